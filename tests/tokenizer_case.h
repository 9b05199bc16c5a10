/* tokenizer_case.h - what the tests of the tokenizer share: lines of a vector file, ids of a JSON
 * array, files below a temporary folder, and a tokenizer written as the other formats would have
 * it, so that a lone clone tests every reader on the whole vocabulary.
 *
 * The helpers end the program when memory or a vector file is missing. */
#ifndef TESTS_TOKENIZER_CASE_H
#define TESTS_TOKENIZER_CASE_H

#include "base/buf.h"
#include "vinci.h"

#include <jansson.h>

/* Both end in ".../": the vectors and, beside the repository, what it shares with others. */
#define PUBLISHED_TIKTOKEN TEST_VECTORS "/tokenizer/o200k_base.tiktoken"
#define PUBLISHED_JSON TEST_SHARED "/tokenizer/tokenizer.json"

/* An array of the objects in a file, one a line. */
json_t *case_lines(const char *path);

struct case_ids {
    int32_t *ids;
    size_t n;
};
struct case_ids case_ids(const json_t *array);

/* True when the array has exactly these ids. */
bool case_ids_equal(const json_t *array, const int32_t *ids, size_t n);

/* A whole file. */
struct buf case_read(const char *path);
void case_write(const char *path, const void *data, size_t n);

/* A path for `name` in this program's temporary folder, which case_remove_files empties. Good until
 * the call after the next. */
const char *case_path(const char *name);
void case_remove_files(void);

enum case_merges { MERGES_AS_PAIRS, MERGES_AS_TEXTS };

/* The same tokenizer as tokenizer.json (added tokens as the published file has them: one spelling
 * an id, ids below n_added_end) or as the metadata of a GGUF file without tensors. */
void case_write_json(struct buf *out, const struct vinci_tokenizer *tokenizer,
                     enum case_merges merges, int32_t n_added_end);
void case_write_gguf(struct buf *out, const struct vinci_tokenizer *tokenizer);

#endif
