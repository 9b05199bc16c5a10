/* program.h - the process: environment, terminal, signals, standard streams.
 *
 * The environment is read here (the language: lang.h) and nowhere else, once, at the start.
 * Standard output carries only what a program may want to read; everything said to a person goes to
 * standard error. */
#ifndef VINCI_CLI_PROGRAM_H
#define VINCI_CLI_PROGRAM_H

#include "base/lang.h"
#include "base/status.h"
#include "base/units.h"

struct program {
    const char *operand; /* the command's first operand, NULL if none was given */
    char **operands;     /* all of them */
    int n_operands;
    struct vinci_caches hub; /* cache folders of the hubs' own tools */
    struct vinci_cann_places cann;
    struct program_value {
        const char *name, *value; /* value NULL: not set */
    } cann_environment[20];       /* what CANN reads, for reports; ends with a NULL name */
    const char *home;             /* folder of the user, NULL: unknown */
    bool color;                   /* standard error is a terminal that shows colours */
    bool progress;                /* standard error is a terminal: progress lines may be drawn */
    bool redraw;                  /* so is standard output: what was written may be drawn again */
    bool no_color;                /* asked for by the environment */
    char *state_folder;           /* for what outlives a run, such as a history; NULL: nowhere */
    char *modelscope, *huggingface;
    const char *notify_socket; /* of the service manager that started us; NULL: none */
    struct program_hubs {
        const char *modelscope_domain, *huggingface_endpoint; /* NULL: the hubs themselves */
        const char *modelscope_token, *huggingface_token;     /* NULL: none */
        char *huggingface_token_file;                         /* may not exist */
        const char *ca_file;                                  /* NULL: the system's */
    } hubs;
};

/* Reads the environment; opens what is missing of descriptors 0, 1 and 2 (in a way that reading or
 * writing fails), so that no model file gets their numbers; sets the signal handlers:
 *   SIGINT, SIGTERM, SIGHUP  once: interrupted() turns true; again: the process ends at once
 *   SIGPIPE          ignored: writing fails instead
 *   SIGBUS           says that a mapped file shrank, exit code VINCI_IO */
enum vinci_status program_init(struct program *program, struct vinci_error *err);
void program_release(struct program *program);

/* Tells the service manager a state, such as "READY=1" (sd_notify(3)); without one, nothing. */
void program_notify(const struct program *program, const char *state);

/* Ctrl-C was pressed. */
bool interrupted(void);

/* Forgets a Ctrl-C: whoever calls it has stopped what was going on, and goes on with something
 * else. False when the process was asked to end (SIGTERM), which is not forgotten. */
bool interrupt_forget(void);

/* Environment variables that program_init reads, for the manual: name, meaning; ends with NULL. */
struct program_variable {
    const char *name, *meaning;
};
extern const struct program_variable program_variables[];

/* The last act: flushes standard output. A write that failed (now or before) turns success into
 * IO; a reader that went away is no sentence, only the status. */
enum vinci_status program_finish_output(enum vinci_status status, struct vinci_error *err);

/* Writes to standard output and flushes. False: nobody reads any more, or the disk is full. */
bool output(const char *bytes, size_t n);

/* "vinci: warning: ..." on standard error. */
void say_error(const struct program *program, const char *text);
void say_warning(const struct program *program, const char *text);
void say(const char *format, ...) VINCI_PRINTF(1, 2);

/* One line on the terminal that is redrawn in place: "writing  42 %  1.2 GB/s  8 s left". */
struct progress {
    const struct program *program;
    const char *label;
    double start, drawn;
};
void progress_begin(struct progress *progress, const struct program *program, const char *label);
void progress_update(struct progress *progress, uint64_t done, uint64_t total);
void progress_end(struct progress *progress); /* removes the line */

/* Memory of this process in bytes, 0 where the system does not say. */
struct memory_use {
    uint64_t peak;   /* most ever resident, mapped files included */
    uint64_t mapped; /* resident pages of mapped files now */
    uint64_t own;    /* resident anonymous memory now */
};
void memory_use_now(struct memory_use *use);

/* A whole file, or standard input for "-". */
struct buf;
enum vinci_status read_input(const char *path, struct buf *out, struct vinci_error *err);

/* The first line of a file, as --api-key-file has it; nothing is read for NULL. */
enum vinci_status read_key_file(const char *path, struct buf *key, struct vinci_error *err);

#endif
