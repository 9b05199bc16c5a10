/* chat_markdown.h - Markdown -> lines for a terminal. */
#ifndef VINCI_CLI_CHAT_MARKDOWN_H
#define VINCI_CLI_CHAT_MARKDOWN_H

#include "base/buf.h"

/* False in a build without md4c. */
extern const bool markdown_available;

/* Appends the text as lines of at most `width` columns (at least 20), each with its own attributes
 * and ended by a newline. `color`: attributes may be used. False when memory is short. */
bool markdown_render(struct buf *out, const char *text, size_t n, size_t width, bool color);

/* Appends text for a terminal, as it stands: what would move the cursor or worse is shown as
 * U+FFFD; newlines and tabs stay. */
bool terminal_text(struct buf *out, const char *text, size_t n);

/* Columns that the character takes; 0 for combining ones. The locale must be UTF-8. */
int character_width(uint32_t character);

/* The UTF-8 character at text[0..n), its bytes in *size; U+FFFD and 1 where there is none. */
uint32_t character_at(const char *text, size_t n, size_t *size);

#endif
