/* chat_tools.h - the functions a model may call, and the program that carries them out. */
#ifndef VINCI_CLI_CHAT_TOOLS_H
#define VINCI_CLI_CHAT_TOOLS_H

#include "base/buf.h"

struct chat_tool_options {
    const char *exec; /* --tool-exec: a shell command; NULL: none */
    uint32_t seconds; /* its time limit */
    uint64_t bytes;   /* what it may answer */
    uint32_t rounds;  /* calls that may follow each other without a word by the user */
    bool yes;         /* do not ask */
};

/* Reads OpenAI's array of functions (or a request body that has it under "tools"), checks its form
 * and gives it back as JSON text, freed with free(). */
enum vinci_status chat_tools_read(const char *path, char **json, struct vinci_error *err);

/* "get_weather, get_time" */
enum vinci_status chat_tools_names(const char *json, struct buf *names, struct vinci_error *err);

/* NULL when the call may be carried out, else why not, in words for the model. `recipient` is
 * "functions.NAME"; *name points into it. `reason` has room for `size` bytes. */
const char *chat_tools_refusal(const char *json, const char *recipient, const char *arguments,
                               const char **name, char *reason, size_t size);

/* Runs options->exec with {"name", "arguments"} on its standard input. Whatever goes wrong stands
 * in `answer`, for the model to read; fails only where that cannot be had. *stopped: by Ctrl-C. */
enum vinci_status chat_tools_run(const struct chat_tool_options *options, const char *name,
                                 const char *arguments, struct buf *answer, bool *stopped,
                                 struct vinci_error *err);

#endif
