/* utf8.h - well-formed UTF-8, and what to put in place of the rest: one U+FFFD for each maximal
 * ill-formed part (the practice of Unicode and WHATWG). The streaming form is in vinci.h. */
#ifndef VINCI_TEXT_UTF8_H
#define VINCI_TEXT_UTF8_H

#include "base/buf.h"

/* How many of the first bytes are well-formed: n if all are. */
size_t utf8_valid_length(const char *text, size_t n);

/* Length of the maximal ill-formed part at the start; 0 if a character stands there, or the
 * beginning of one that the end of the text cuts off. */
size_t utf8_ill_formed_length(const char *text, size_t n);

/* Appends `text` with its ill-formed parts replaced; false when memory is short. */
bool utf8_append_lossy(struct buf *buf, const char *text, size_t n);

/* A text of any bytes for an error sentence: at most 64 of them, what is not printable as \xNN. */
#define UTF8_QUOTE_BYTES 300
const char *utf8_quote(char out[UTF8_QUOTE_BYTES], const char *text, size_t n);

#endif
