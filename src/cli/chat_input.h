/* chat_input.h - what the person types: lines with editing and a history on a terminal, plain lines
 * from a pipe. */
#ifndef VINCI_CLI_CHAT_INPUT_H
#define VINCI_CLI_CHAT_INPUT_H

#include "base/buf.h"
#include "cli/program.h"

enum chat_read { READ_TEXT, READ_STOPPED /* Ctrl-C */, READ_END };

struct chat_input;

/* A history that cannot be read or kept is no error. */
enum vinci_status chat_input_open(struct chat_input **out, const struct program *program,
                                  struct vinci_error *err);
void chat_input_close(struct chat_input *input);

/* Whether keys pressed now are shown; not while an answer is drawn. Nothing for a pipe. */
void chat_input_echo(struct chat_input *input, bool on);

/* Whether a person is there to be asked. */
bool chat_input_is_terminal(const struct chat_input *input);

/* One message into `text` (NUL-terminated): a line; lines that end in a backslash with the one that
 * follows; or all between two """. */
enum chat_read chat_input_read(struct chat_input *input, struct buf *text);

/* One line in answer to a question, which the history does not keep. */
enum chat_read chat_input_ask(struct chat_input *input, const char *prompt, struct buf *text);

#endif
