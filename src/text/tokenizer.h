/* tokenizer.h - byte-level BPE as gpt-oss uses it: split by a regex, merge by rank, special tokens
 * only where the caller asks. The public functions are in vinci.h; this is what the rest of
 * src/text and the tests see.
 *
 *   tokenizer_file.c      finds the file and its format; open and close
 *   tokenizer_json.c, tokenizer_tiktoken.c, tokenizer_gguf.c  read it
 *   vocab.c               ids <-> bytes, special tokens
 *   pretokenize.c         the split regex, by PCRE2
 *   bpe.c                 merges
 *   tokenizer.c           encode, decode
 *   utf8.c                lossy UTF-8 and the streaming decoder */
#ifndef VINCI_TEXT_TOKENIZER_H
#define VINCI_TEXT_TOKENIZER_H

#include "base/buf.h"
#include "base/status.h"

/* Growable token ids. All zero is an empty list. */
struct token_list {
    int32_t *ids;
    size_t n, capacity;
};

bool token_list_append(struct token_list *list, const int32_t *ids, size_t n);
void token_list_free(struct token_list *list);

/* Appends the encoding of `text` to `list`; on failure the list is as before. With `parse_special`
 * control tokens in the text become single ids, otherwise they are plain text. */
enum vinci_status tokenizer_encode(const struct vinci_tokenizer *tokenizer, const char *text,
                                   size_t n_bytes, bool parse_special, struct token_list *list,
                                   struct vinci_error *err);

/* The file that vinci_tokenizer_open would read for this path: the file itself, or the one in the
 * folder, or beside the model's safetensors file. */
enum vinci_status tokenizer_find_file(const char *path, char *file, size_t size,
                                      struct vinci_error *err);

#endif
