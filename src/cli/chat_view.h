/* chat_view.h - how a turn looks while it comes: the answer on standard output, everything else
 * (reasoning, calls of tools, remarks) on standard error. */
#ifndef VINCI_CLI_CHAT_VIEW_H
#define VINCI_CLI_CHAT_VIEW_H

#include "base/buf.h"
#include "cli/program.h"

enum chat_reasoning { REASONING_FULL, REASONING_BRIEF, REASONING_NONE };

enum chat_part { PART_NONE, PART_REASONING, PART_CALL, PART_REMARK, PART_ANSWER };

struct chat_view {
    const struct program *program;
    enum chat_reasoning reasoning;
    bool quiet;    /* nothing is shown (--json) */
    bool markdown; /* standard output is a terminal that can be drawn again */
    bool failed;   /* standard output cannot be written, or memory was short */

    enum chat_part part;
    bool newline; /* what was written last ended a line */
    double start, drawn;
    size_t n_reasoning; /* tokens */
    struct buf source;  /* Markdown: the message so far, and the lines on the screen */
    struct buf shown;
    size_t width; /* of the terminal when it was drawn last */
};

void chat_view_init(struct chat_view *view, const struct program *program,
                    enum chat_reasoning reasoning, bool quiet);
void chat_view_release(struct chat_view *view);

/* A token was generated; to be called before what the parser makes of it. */
void chat_view_token(struct chat_view *view);

void chat_view_event(struct chat_view *view, const struct vinci_harmony_event *event);

/* The turn is over: what is half shown is ended. */
void chat_view_end(struct chat_view *view);

/* One line to the person, dimmed; model or tool text in it is made safe. */
void chat_view_note(struct chat_view *view, const char *format, ...) VINCI_PRINTF(2, 3);

/* True for the text of a part that is `string`. */
bool text_equals(struct vinci_text text, const char *string);

#endif
