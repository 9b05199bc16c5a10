/* byte_level.h - GPT-2's alphabet, in which tokenizer.json and GGUF write tokens as text: printable
 * Latin-1 characters stand for their own byte, U+0100 to U+0143 for the other bytes in order. */
#ifndef VINCI_TEXT_BYTE_LEVEL_H
#define VINCI_TEXT_BYTE_LEVEL_H

#include "base/buf.h"

/* Appends the bytes that the text stands for; on failure the buffer is as before. BAD_FILE when a
 * character is outside the alphabet. The sentence has no file name. */
enum vinci_status byte_level_decode(struct buf *out, const char *text, size_t n,
                                    struct vinci_error *err);

/* The same for a merge written as "a b": the bytes of both, *n_left of them from the first. */
enum vinci_status byte_level_decode_pair(struct buf *out, const char *text, size_t n,
                                         size_t *n_left, struct vinci_error *err);

#endif
