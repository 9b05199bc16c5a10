/* tokenizer_case.h - what the tests of the tokenizer share: a tokenizer written as another format
 * would have it, so that a lone clone tests every reader on the whole vocabulary, and a tokenizer
 * read from memory.
 *
 * The helpers end the program when memory is short. */
#ifndef TESTS_TOKENIZER_CASE_H
#define TESTS_TOKENIZER_CASE_H

#include "base/buf.h"
#include "vinci.h"

#include <jansson.h>

#define PUBLISHED_TIKTOKEN TEST_VECTORS "/tokenizer/o200k_base.tiktoken"
#define PUBLISHED_JSON TEST_SHARED "/tokenizer/tokenizer.json"

/* True when the array has exactly these ids. */
bool case_ids_equal(const json_t *array, const int32_t *ids, size_t n);

/* Reads n bytes as a file called "FILE". They are copied to memory of exactly this size, so that a
 * sanitizer sees a read beyond the end. */
enum vinci_status case_load(struct vinci_tokenizer **out, const void *data, size_t n,
                            struct vinci_error *err);

enum case_merges { MERGES_AS_PAIRS, MERGES_AS_TEXTS };

/* The same tokenizer as tokenizer.json (added tokens as the published file has them: one spelling
 * an id, ids below n_added_end) or as the metadata of a GGUF file without tensors. */
void case_write_json(struct buf *out, const struct vinci_tokenizer *tokenizer,
                     enum case_merges merges, int32_t n_added_end);
void case_write_gguf(struct buf *out, const struct vinci_tokenizer *tokenizer);

#endif
