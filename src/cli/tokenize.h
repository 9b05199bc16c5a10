/* tokenize.h - the work of `vinci tokenize`, apart from its options. */
#ifndef VINCI_CLI_TOKENIZE_H
#define VINCI_CLI_TOKENIZE_H

#include "base/status.h"

/* One line a token on standard output: id and bytes as a JSON string; with `ids_only`, all ids on
 * one line. `special`: special tokens are recognised in the text. */
enum vinci_status tokenize_show(const struct vinci_tokenizer *tokenizer, const char *text, size_t n,
                                bool special, bool ids_only, struct vinci_error *err);

/* Lines of standard input {"text": ...} | {"hex": ...} -> {"ids": [...]}, and {"ids": [...]} ->
 * {"hex": ..., "stream": [...]}, on standard output, in order, each as soon as it is known. */
enum vinci_status tokenize_lines(const struct vinci_tokenizer *tokenizer, bool special,
                                 struct vinci_error *err);

#endif
