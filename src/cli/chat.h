/* chat.h - `vinci chat`: a conversation with a model, and the parts it is made of.
 *
 *   cmd_chat.c       options; one question, or a session at the terminal
 *   chat_turn.c      one turn: render, answer, parse, calls of tools
 *   chat_commands.c  /help and the others
 *   chat_file.c      conversations as JSON in OpenAI's form
 *   chat_input.c     what is typed           chat_view.c      what is shown
 *   chat_tools.c     tools                   chat_markdown.c  Markdown, with chat_text.c
 *   chat_model.c     what answers
 *
 * The one decision: the conversation is libvinci's object and everything else about it is in struct
 * chat_settings, from which the system and developer messages are made anew whenever they change.
 * The tokens of a turn come from rendering the whole; the session finds what it holds already. */
#ifndef VINCI_CLI_CHAT_H
#define VINCI_CLI_CHAT_H

#include "cli/chat_input.h"
#include "cli/chat_model.h"
#include "cli/chat_tools.h"
#include "cli/chat_view.h"

/* Texts are owned; NULL is absent. */
struct chat_settings {
    enum vinci_effort effort;
    char *date;         /* "2025-06-28" */
    char *instructions; /* of the developer message */
    char *tools;        /* JSON array in OpenAI's form */
};

void chat_settings_release(struct chat_settings *settings);

/* Replaces an owned text by a copy of n bytes; NULL: absent. False when memory is short. */
bool chat_set_text(char **text, const char *value, size_t n);

/* What the last turn cost; a turn with calls of tools has several answers. */
struct chat_figures {
    size_t n_answers, n_prompt, n_reused, n_prefilled, n_generated, n_decoded;
    double prefill_seconds, decode_seconds;
    enum vinci_finish finish; /* of the last answer */
};

struct chat {
    const struct program *program;
    struct chat_model model;
    struct chat_settings settings;
    struct chat_tool_options tool;
    struct vinci_sampling sampling;
    size_t max_new_tokens;
    struct vinci_conversation *conversation;
    struct chat_view view;
    struct chat_input *input; /* NULL: one question */
    struct chat_figures figures;
};

/* ---- chat_turn.c ---- */

/* Puts the settings into the conversation. */
enum vinci_status chat_apply_settings(struct vinci_conversation *conversation,
                                      const struct chat_settings *settings,
                                      struct vinci_error *err);

/* Messages that the settings make, at the front of the conversation. */
size_t chat_n_front(const struct vinci_conversation *conversation);

/* The tokens that the next answer would be asked with. */
enum vinci_status chat_count_tokens(const struct chat *chat, size_t *n, struct vinci_error *err);

enum vinci_status chat_add_user(struct chat *chat, const char *text, size_t n,
                                struct vinci_error *err);

/* Answers what stands last in the conversation, with calls of tools, until it is the user's turn.
 * A turn that was stopped or cut keeps what there is and says so; that is no failure. */
enum vinci_status chat_turn(struct chat *chat, struct vinci_error *err);

/* The first message after the last one by the user; 0 if the user has said nothing. */
size_t chat_last_turn(const struct vinci_conversation *conversation);

/* ---- chat_commands.c ---- */

/* A line that begins with '/'. *quit: the session is over. Failures are told to the person. */
void chat_command(struct chat *chat, const char *line, bool *quit);

/* ---- chat_file.c ---- */

/* {"model", "messages", "tools", "reasoning_effort", "vinci": {"date"}}: a body for OpenAI's chat
 * completions but for the last. Freed with free(). */
enum vinci_status chat_to_json(const struct chat *chat, char **json, struct vinci_error *err);

/* The opposite; the same tokens. Nothing changes on failure. */
enum vinci_status chat_from_json(struct chat *chat, const char *json, size_t n, const char *path,
                                 struct vinci_error *err);

/* A file that only its owner may read, in place of one that is there. */
enum vinci_status chat_write_file(const char *path, const char *text, struct vinci_error *err);

/* Whether that would work, before an hour of talk depends on it; the file stays as it is. */
enum vinci_status chat_try_file(const char *path, struct vinci_error *err);

/* --json: the turn as one object on a line. */
enum vinci_status chat_turn_json(const struct chat *chat, char **json, struct vinci_error *err);

#endif
