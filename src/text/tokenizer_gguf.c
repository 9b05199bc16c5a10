/* tokenizer_gguf.c - the tokenizer in a GGUF file's metadata (tokenizer.ggml.*).
 *
 * Tokens and merges are those of tokenizer.json; the split expression is only named, by
 * tokenizer.ggml.pre, and must be the one of gpt-oss. Whether a piece that is a token is taken
 * whole is not written there at all: o200k does so. */
#include "base/gguf_file.h"
#include "text/byte_level.h"
#include "text/tokenizer_file.h"
#include "text/utf8.h"

#include <string.h>

/* ggml's token types. */
enum { TYPE_NORMAL = 1, TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4, TYPE_UNUSED = 5 };

static enum vinci_status check_kind(const struct gguf_file *file, const char *key,
                                    const char *expected, struct vinci_error *err)
{
    struct gguf_text text;
    enum vinci_status status = gguf_read_text(file, key, true, &text, err);
    if (status || gguf_text_is(text, expected)) return status;
    return fail(err, VINCI_UNSUPPORTED,
                "%s: expected \"%s\", the tokenizer of gpt-oss, got \"%s\"; others are not "
                "supported",
                key, expected, utf8_quote((char[UTF8_QUOTE_BYTES]){0}, text.data, text.n));
}

static enum vinci_status add_token(struct vocab *vocab, uint64_t id, struct gguf_text text,
                                   int64_t type, struct buf *bytes, struct vinci_error *err)
{
    enum vinci_status status;
    switch (type) {
    case TYPE_UNUSED: return VINCI_OK;
    case TYPE_CONTROL: return vocab_add_special(vocab, id, text.data, text.n, TOKEN_CONTROL, err);
    case TYPE_USER_DEFINED:
        return vocab_add_special(vocab, id, text.data, text.n, TOKEN_ADDED, err);
    case TYPE_NORMAL:
        bytes->size = 0;
        if ((status = byte_level_decode(bytes, text.data, text.n, err))) return status;
        return vocab_add(vocab, id, bytes->data, bytes->size, err);
    default:
        return fail(err, VINCI_UNSUPPORTED,
                    "tokenizer.ggml.token_type: token %ju: expected 1 (normal), 3 (control), "
                    "4 (user defined) or 5 (unused), got %jd",
                    (uintmax_t)id, (intmax_t)type);
    }
}

static enum vinci_status read_tokens(struct vocab *vocab, const struct gguf_file *file,
                                     struct buf *bytes, struct vinci_error *err)
{
    struct gguf_strings tokens = {0};
    const struct gguf_kv *types = NULL;
    enum vinci_status status = gguf_read_strings(file, "tokenizer.ggml.tokens", true, &tokens, err);
    if (!status) status = gguf_read_ints(file, "tokenizer.ggml.token_type", true, &types, err);
    if (status) return status;
    uint64_t n = tokens.n_left;
    if (types->n != n)
        return fail(err, VINCI_BAD_FILE,
                    "tokenizer.ggml.token_type: expected %ju values, one a token, got %ju",
                    (uintmax_t)n, (uintmax_t)types->n);
    if (n > VOCAB_MAX_IDS)
        return fail(err, VINCI_LIMIT, "tokenizer.ggml.tokens: expected at most %u tokens, got %ju",
                    VOCAB_MAX_IDS, (uintmax_t)n);
    if (!vocab_reserve(vocab, (size_t)n))
        return fail_memory(err, (size_t)n * sizeof *vocab->tokens, "the vocabulary");
    struct gguf_text text;
    for (uint64_t id = 0; gguf_strings_next(&tokens, &text); id++)
        if ((status = add_token(vocab, id, text, gguf_int_at(types, id), bytes, err)))
            return status;
    return vocab_finish(vocab, err);
}

static enum vinci_status read_merges(struct vinci_tokenizer *tokenizer,
                                     const struct gguf_file *file, struct buf *bytes,
                                     struct vinci_error *err)
{
    struct gguf_strings merges = {0};
    enum vinci_status status = gguf_read_strings(file, "tokenizer.ggml.merges", true, &merges, err);
    struct gguf_text text;
    for (uint32_t rank = 0; !status && gguf_strings_next(&merges, &text); rank++) {
        size_t n_left;
        bytes->size = 0;
        status = byte_level_decode_pair(bytes, text.data, text.n, &n_left, err);
        if (!status)
            status = bpe_add_merge(&tokenizer->bpe, &tokenizer->vocab, bytes->data, n_left,
                                   bytes->size, rank, err);
    }
    return status ? status : bpe_finish(&tokenizer->bpe, &tokenizer->vocab, err);
}

enum vinci_status tokenizer_read_gguf(struct vinci_tokenizer *tokenizer, const struct file_map *map,
                                      struct vinci_error *err)
{
    struct gguf_file *file = NULL;
    struct buf bytes = {0};
    enum vinci_status status = gguf_file_read(&file, map, err);
    if (status) return status;
    tokenizer->bpe.whole_pieces = true;
    if ((status = check_kind(file, "tokenizer.ggml.model", "gpt2", err))) goto cleanup;
    if ((status = check_kind(file, "tokenizer.ggml.pre", "gpt-4o", err))) goto cleanup;
    if ((status = read_tokens(&tokenizer->vocab, file, &bytes, err))) goto cleanup;
    if ((status = read_merges(tokenizer, file, &bytes, err))) goto cleanup;
    status =
        split_pattern_open(&tokenizer->split, split_regex_o200k, strlen(split_regex_o200k), err);
cleanup:
    buf_free(&bytes);
    gguf_file_free(file);
    return status;
}
