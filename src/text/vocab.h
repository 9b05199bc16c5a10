/* vocab.h - token ids to bytes and back.
 *
 * All bytes lie in one buffer. A token is normal (reachable by merging, found by vocab_find) or
 * added: the splitter of special tokens alone may produce it, so text that merely looks like
 * <|end|> never becomes one. Added tokens may have further spellings with the same id. */
#ifndef VINCI_TEXT_VOCAB_H
#define VINCI_TEXT_VOCAB_H

#include "base/buf.h"
#include "text/hash_index.h"

/* Ids are below this: a damaged file must not ask for gigabytes. gpt-oss has 201,088. */
#define VOCAB_MAX_IDS (1u << 22)
#define VOCAB_MAX_TOKEN_BYTES ((1u << 24) - 1)
#define TOKEN_NONE UINT32_MAX

enum token_kind {
    TOKEN_UNKNOWN, /* no token has this id */
    TOKEN_NORMAL,
    TOKEN_ADDED,   /* special to the splitter, but text like any other to the reader */
    TOKEN_CONTROL, /* <|end|> and its like */
};

struct token {
    uint32_t offset; /* of its bytes in vocab.bytes */
    uint32_t n_bytes : 24, kind : 8;
};

/* One spelling of an added token. */
struct added_token {
    uint32_t offset, n_bytes; /* in vocab.bytes */
    uint32_t id;
};

struct vocab {
    struct token *tokens; /* [n_ids] */
    size_t n_ids, capacity;
    struct buf bytes;
    struct hash_index index;   /* of the normal tokens, by bytes */
    uint32_t byte_ids[256];    /* the token of each single byte */
    struct added_token *added; /* [n_added], sorted by bytes after vocab_finish */
    size_t n_added, added_capacity;
    bool begins_added[256]; /* some added token begins with this byte */
};

void vocab_free(struct vocab *vocab);

/* Makes all ids below n_ids <= VOCAB_MAX_IDS exist, unknown as yet; false when memory is short. */
bool vocab_reserve(struct vocab *vocab, size_t n_ids);

/* Adds a normal token of n >= 1 bytes. */
enum vinci_status vocab_add(struct vocab *vocab, uint64_t id, const char *bytes, size_t n,
                            struct vinci_error *err);

/* Adds a spelling of an added token. The first spelling of an id is its bytes. If the id was a
 * normal token with the same bytes, a control token takes its place and others stand beside it. */
enum vinci_status vocab_add_special(struct vocab *vocab, uint64_t id, const char *bytes, size_t n,
                                    enum token_kind kind, struct vinci_error *err);

/* Makes the vocabulary ready for look-ups: every byte must have a token, no two tokens the same
 * bytes. Nothing may be added after it. */
enum vinci_status vocab_finish(struct vocab *vocab, struct vinci_error *err);

static inline const char *vocab_bytes(const struct vocab *vocab, const struct token *token)
{
    return vocab->bytes.data + token->offset;
}

/* The normal token with exactly these n >= 1 bytes, TOKEN_NONE if there is none; `hash` is
 * hash_bytes of them. */
static inline uint32_t vocab_find_hashed(const struct vocab *vocab, const char *bytes, size_t n,
                                         uint64_t hash)
{
    struct hash_probe it = hash_probe(&vocab->index, hash);
    uint32_t id;
    while (hash_next(&vocab->index, &it, &id)) {
        const struct token *token = &vocab->tokens[id];
        if (token->n_bytes == n && memcmp(vocab_bytes(vocab, token), bytes, n) == 0) return id;
    }
    return TOKEN_NONE;
}

static inline uint32_t vocab_find(const struct vocab *vocab, const char *bytes, size_t n)
{
    return vocab_find_hashed(vocab, bytes, n, hash_bytes(bytes, n));
}

/* The longest added token at the start of the text, NULL if none is there. */
const struct added_token *vocab_match_added(const struct vocab *vocab, const char *text, size_t n);

#endif
