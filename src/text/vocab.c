/* vocab.c - the table of tokens, its index by bytes, and the added tokens.
 *
 * Added tokens are few (21 in tokenizer.json, 1,090 with a .tiktoken file) and are sorted by bytes:
 * a match narrows the range of candidates byte by byte, so the longest one is found in one walk
 * over the text. */
#include "text/vocab.h"

#include "text/array.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

void vocab_free(struct vocab *vocab)
{
    free(vocab->tokens);
    free(vocab->added);
    buf_free(&vocab->bytes);
    hash_index_free(&vocab->index);
    *vocab = (struct vocab){0};
}

bool vocab_reserve(struct vocab *vocab, size_t n_ids)
{
    if (n_ids <= vocab->n_ids) return true;
    struct token *tokens = array_grow(vocab->tokens, &vocab->capacity, n_ids, sizeof *tokens);
    if (!tokens) return false;
    vocab->tokens = tokens;
    memset(tokens + vocab->n_ids, 0, (n_ids - vocab->n_ids) * sizeof *tokens);
    vocab->n_ids = n_ids;
    return true;
}

static enum vinci_status check_token(const struct vocab *vocab, uint64_t id, size_t n,
                                     struct vinci_error *err)
{
    if (id >= VOCAB_MAX_IDS)
        return fail(err, VINCI_LIMIT, "token id %ju: expected an id below %u", (uintmax_t)id,
                    VOCAB_MAX_IDS);
    if (n == 0) return fail(err, VINCI_BAD_FILE, "token %ju is empty", (uintmax_t)id);
    if (n > VOCAB_MAX_TOKEN_BYTES || vocab->bytes.size > UINT32_MAX - n)
        return fail(err, VINCI_LIMIT, "token %ju: the tokens are too long: %zu bytes",
                    (uintmax_t)id, n);
    return VINCI_OK;
}

/* Appends the bytes and makes room for the id. */
static enum vinci_status store(struct vocab *vocab, size_t id, const char *bytes, size_t n,
                               uint32_t *offset, struct vinci_error *err)
{
    *offset = (uint32_t)vocab->bytes.size;
    if (!vocab_reserve(vocab, id + 1) || !buf_append(&vocab->bytes, bytes, n))
        return fail_memory(err, (id + 1) * sizeof *vocab->tokens, "the vocabulary");
    return VINCI_OK;
}

enum vinci_status vocab_add(struct vocab *vocab, uint64_t id, const char *bytes, size_t n,
                            struct vinci_error *err)
{
    enum vinci_status status = check_token(vocab, id, n, err);
    if (status) return status;
    if (id < vocab->n_ids && vocab->tokens[id].kind != TOKEN_UNKNOWN)
        return fail(err, VINCI_BAD_FILE, "two tokens have the id %ju", (uintmax_t)id);
    uint32_t offset;
    if ((status = store(vocab, (size_t)id, bytes, n, &offset, err))) return status;
    vocab->tokens[id] = (struct token){offset, (uint32_t)n & VOCAB_MAX_TOKEN_BYTES, TOKEN_NORMAL};
    return VINCI_OK;
}

enum vinci_status vocab_add_special(struct vocab *vocab, uint64_t id, const char *bytes, size_t n,
                                    enum token_kind kind, struct vinci_error *err)
{
    enum vinci_status status = check_token(vocab, id, n, err);
    if (status) return status;
    uint32_t offset;
    if ((status = store(vocab, (size_t)id, bytes, n, &offset, err))) return status;
    struct token *token = &vocab->tokens[id];
    if (token->kind == TOKEN_NORMAL &&
        (token->n_bytes != n || memcmp(vocab_bytes(vocab, token), bytes, n) != 0))
        return fail(err, VINCI_BAD_FILE, "two tokens have the id %ju", (uintmax_t)id);
    if (token->kind == TOKEN_UNKNOWN || (token->kind == TOKEN_NORMAL && kind == TOKEN_CONTROL))
        *token = (struct token){offset, (uint32_t)n & VOCAB_MAX_TOKEN_BYTES, (uint8_t)kind};
    struct added_token *added =
        array_grow(vocab->added, &vocab->added_capacity, vocab->n_added + 1, sizeof *added);
    if (!added) return fail_memory(err, (vocab->n_added + 1) * sizeof *added, "the special tokens");
    vocab->added = added;
    added[vocab->n_added++] =
        (struct added_token){.offset = offset, .n_bytes = (uint32_t)n, .id = (uint32_t)id};
    vocab->begins_added[(uint8_t)bytes[0]] = true;
    return VINCI_OK;
}

/* qsort_r's comparison of two added tokens: by bytes, a prefix before what it begins. */
static int compare_added(const void *a, const void *b, void *bytes)
{
    const struct added_token *x = a, *y = b;
    const char *base = bytes;
    size_t n = x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes;
    int order = memcmp(base + x->offset, base + y->offset, n);
    return order ? order : (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

static enum vinci_status index_tokens(struct vocab *vocab, struct vinci_error *err)
{
    if (!hash_index_init(&vocab->index, vocab->n_ids))
        return fail_memory(err, vocab->n_ids * 2 * sizeof(uint32_t), "the vocabulary's index");
    for (size_t id = 0; id < vocab->n_ids; id++) {
        const struct token *token = &vocab->tokens[id];
        if (token->kind != TOKEN_NORMAL) continue;
        const char *bytes = vocab_bytes(vocab, token);
        struct hash_probe it = hash_probe(&vocab->index, hash_bytes(bytes, token->n_bytes));
        uint32_t other;
        while (hash_next(&vocab->index, &it, &other))
            if (vocab->tokens[other].n_bytes == token->n_bytes &&
                memcmp(vocab_bytes(vocab, &vocab->tokens[other]), bytes, token->n_bytes) == 0)
                return fail(err, VINCI_BAD_FILE, "tokens %u and %zu have the same bytes", other,
                            id);
        hash_put(&vocab->index, &it, (uint32_t)id);
    }
    return VINCI_OK;
}

enum vinci_status vocab_finish(struct vocab *vocab, struct vinci_error *err)
{
    enum vinci_status status = index_tokens(vocab, err);
    if (status) return status;
    for (unsigned byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        vocab->byte_ids[byte] = vocab_find(vocab, &c, 1);
        if (vocab->byte_ids[byte] == TOKEN_NONE)
            return fail(err, VINCI_BAD_FILE,
                        "no token for the byte 0x%02x: expected a byte-level vocabulary", byte);
    }
    if (!vocab->n_added) return VINCI_OK;
    qsort_r(vocab->added, vocab->n_added, sizeof *vocab->added, compare_added, vocab->bytes.data);
    for (size_t i = 1; i < vocab->n_added; i++)
        if (compare_added(&vocab->added[i - 1], &vocab->added[i], vocab->bytes.data) == 0)
            return fail(err, VINCI_BAD_FILE, "two special tokens are spelt \"%s\"",
                        utf8_quote((char[UTF8_QUOTE_BYTES]){0},
                                   vocab->bytes.data + vocab->added[i].offset,
                                   vocab->added[i].n_bytes));
    return VINCI_OK;
}

/* The first of the added tokens [low, high), all equal in their first `at` bytes, whose byte there
 * is at least `byte`; a token that ends there comes before all others. */
static size_t lower_bound(const struct vocab *vocab, size_t low, size_t high, size_t at,
                          unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct added_token *added = &vocab->added[middle];
        const uint8_t *bytes = (const uint8_t *)vocab->bytes.data + added->offset;
        if (added->n_bytes <= at || bytes[at] < byte) low = middle + 1;
        else high = middle;
    }
    return low;
}

const struct added_token *vocab_match_added(const struct vocab *vocab, const char *text, size_t n)
{
    const struct added_token *longest = NULL;
    size_t low = 0, high = vocab->n_added;
    for (size_t at = 0; at < n && low < high; at++) {
        unsigned byte = (uint8_t)text[at];
        low = lower_bound(vocab, low, high, at, byte);
        high = lower_bound(vocab, low, high, at, byte + 1);
        if (low < high && vocab->added[low].n_bytes == at + 1) longest = &vocab->added[low];
    }
    return longest;
}
