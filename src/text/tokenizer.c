/* tokenizer.c - text to token ids and back: the public functions on an open tokenizer.
 *
 * Encoding: ill-formed UTF-8 is replaced; with parse_special the text is cut at special tokens; the
 * split expression cuts what lies between into pieces; each piece is merged on its own. Between
 * special tokens the expression sees nothing but that part, so its look-ahead ends there. */
#include "text/tokenizer.h"

#include "text/array.h"
#include "text/tokenizer_file.h"
#include "text/utf8.h"

#include <string.h>

/* Positions inside a piece are 32-bit, signed. */
#define TEXT_MAX_BYTES ((size_t)INT32_MAX)

/* Bounds of the table of pieces seen, powers of two. */
#define SEEN_MIN ((size_t)512)
#define SEEN_MAX ((size_t)16384)

bool token_list_append(struct token_list *list, const int32_t *ids, size_t n)
{
    if (n > list->capacity - list->n) {
        size_t n_needed;
        if (!size_add(list->n, n, &n_needed)) return false;
        int32_t *grown = array_grow(list->ids, &list->capacity, n_needed, sizeof *grown);
        if (!grown) return false;
        list->ids = grown;
    }
    if (n) memcpy(list->ids + list->n, ids, n * sizeof *ids);
    list->n += n;
    return true;
}

void token_list_free(struct token_list *list)
{
    free(list->ids);
    *list = (struct token_list){0};
}

/* ---- encode ------------------------------------------------------------------------------- */

/* Where a piece was last seen in the text and what it became: texts repeat their words, and the
 * vocabulary is larger than the processor's nearer caches. */
struct seen_piece {
    uint32_t tag; /* upper half of the piece's hash */
    uint32_t text_at, list_at;
    uint16_t n_bytes, n_ids; /* 0: nothing seen */
};

/* What one call needs. */
struct encoder {
    const struct vinci_tokenizer *tokenizer;
    const char *text; /* the whole, of which the pieces are parts */
    struct split *split;
    struct bpe_scratch scratch;
    struct seen_piece *seen; /* [seen_mask + 1], NULL for a short text */
    size_t seen_mask;
    struct token_list *list;
};

/* Memory in proportion to the text; without any the encoder is only slower. */
static void encoder_remember(struct encoder *encoder, size_t n_bytes)
{
    size_t n = SEEN_MIN;
    if (n_bytes < SEEN_MIN * 4) return;
    while (n < SEEN_MAX && n < n_bytes / 4) n *= 2;
    encoder->seen = array_new_zero(n, sizeof *encoder->seen);
    encoder->seen_mask = n - 1;
}

/* Appends n ids that the list has already. */
static bool append_again(struct token_list *list, size_t at, size_t n)
{
    if (n > list->capacity - list->n) {
        int32_t *grown = array_grow(list->ids, &list->capacity, list->n + n, sizeof *grown);
        if (!grown) return false;
        list->ids = grown;
    }
    memcpy(list->ids + list->n, list->ids + at, n * sizeof *list->ids);
    list->n += n;
    return true;
}

static bool encode_piece(struct encoder *encoder, const char *piece, size_t n)
{
    const struct vocab *vocab = &encoder->tokenizer->vocab;
    const struct bpe *bpe = &encoder->tokenizer->bpe;
    struct token_list *list = encoder->list;
    struct seen_piece *seen = NULL;
    uint64_t hash = hash_bytes(piece, n);
    uint32_t tag = (uint32_t)(hash >> 32), id = TOKEN_NONE;
    size_t list_at = list->n;
    bool ok;
    if (encoder->seen) {
        seen = &encoder->seen[hash & encoder->seen_mask];
        if (seen->tag == tag && seen->n_bytes == n &&
            memcmp(encoder->text + seen->text_at, piece, n) == 0) {
            ok = append_again(list, seen->list_at, seen->n_ids);
            goto remember;
        }
    }
    if (bpe->whole_pieces) id = vocab_find_hashed(vocab, piece, n, hash);
    if (id != TOKEN_NONE) ok = token_list_append(list, &(int32_t){(int32_t)id}, 1);
    else ok = bpe_merge(bpe, vocab, piece, n, &encoder->scratch, list);
remember:
    if (ok && seen && n <= UINT16_MAX && list->n <= UINT32_MAX)
        *seen = (struct seen_piece){tag, (uint32_t)(piece - encoder->text), (uint32_t)list_at,
                                    (uint16_t)n, (uint16_t)(list->n - list_at)};
    return ok;
}

/* Text without special tokens, well-formed. */
static enum vinci_status encode_ordinary(struct encoder *encoder, const char *text, size_t n,
                                         struct vinci_error *err)
{
    const char *piece;
    split_begin(encoder->split, text, n);
    for (;;) {
        enum vinci_status status = split_next(encoder->split, &piece, &n, err);
        if (status || !piece) return status;
        if (!encode_piece(encoder, piece, n))
            return fail_memory(err, n * sizeof(int32_t), "tokens");
    }
}

static enum vinci_status encode_special(struct encoder *encoder, const char *text, size_t n,
                                        struct vinci_error *err)
{
    const struct vocab *vocab = &encoder->tokenizer->vocab;
    size_t begin = 0, i = 0;
    while (i < n) {
        const struct added_token *added = vocab->begins_added[(uint8_t)text[i]]
                                              ? vocab_match_added(vocab, text + i, n - i)
                                              : NULL;
        if (!added) {
            i++;
            continue;
        }
        enum vinci_status status = encode_ordinary(encoder, text + begin, i - begin, err);
        if (status) return status;
        if (!token_list_append(encoder->list, &(int32_t){(int32_t)added->id}, 1))
            return fail_memory(err, sizeof(int32_t), "tokens");
        begin = i += added->n_bytes;
    }
    return encode_ordinary(encoder, text + begin, n - begin, err);
}

enum vinci_status tokenizer_encode(const struct vinci_tokenizer *tokenizer, const char *text,
                                   size_t n_bytes, bool parse_special, struct token_list *list,
                                   struct vinci_error *err)
{
    struct encoder encoder = {.tokenizer = tokenizer, .list = list};
    struct buf replaced = {0};
    size_t n_before = list->n;
    enum vinci_status status = VINCI_OK;
    if (utf8_valid_length(text, n_bytes) < n_bytes) {
        if (!utf8_append_lossy(&replaced, text, n_bytes)) {
            status = fail_memory(err, n_bytes, "text");
            goto cleanup;
        }
        text = replaced.data;
        n_bytes = replaced.size;
    }
    if (n_bytes > TEXT_MAX_BYTES) {
        status = fail(err, VINCI_LIMIT, "text of %zu bytes: expected at most %zu", n_bytes,
                      TEXT_MAX_BYTES);
        goto cleanup;
    }
    encoder.text = text;
    encoder_remember(&encoder, n_bytes);
    if ((status = split_open(&encoder.split, tokenizer->split, err))) goto cleanup;
    status = parse_special ? encode_special(&encoder, text, n_bytes, err)
                           : encode_ordinary(&encoder, text, n_bytes, err);
cleanup:
    if (status) list->n = n_before;
    split_close(encoder.split);
    bpe_scratch_free(&encoder.scratch);
    free(encoder.seen);
    buf_free(&replaced);
    return status;
}

enum vinci_status vinci_tokenize(const struct vinci_tokenizer *tokenizer, const char *text,
                                 size_t n_bytes, bool parse_special, int32_t **ids, size_t *n_ids,
                                 struct vinci_error *err)
{
    struct token_list list = {0};
    *ids = NULL;
    *n_ids = 0;
    enum vinci_status status =
        tokenizer_encode(tokenizer, text, n_bytes, parse_special, &list, err);
    if (status) {
        token_list_free(&list);
        return status;
    }
    *ids = list.ids;
    *n_ids = list.n;
    return VINCI_OK;
}

/* ---- decode ------------------------------------------------------------------------------- */

static const struct token *find_token(const struct vinci_tokenizer *tokenizer, int32_t id)
{
    if (id < 0 || (size_t)id >= tokenizer->vocab.n_ids) return NULL;
    const struct token *token = &tokenizer->vocab.tokens[id];
    return token->kind == TOKEN_UNKNOWN ? NULL : token;
}

uint32_t vinci_tokenizer_n_vocab(const struct vinci_tokenizer *tokenizer)
{
    return (uint32_t)tokenizer->vocab.n_ids;
}

const char *vinci_token_bytes(const struct vinci_tokenizer *tokenizer, int32_t id, size_t *n_bytes)
{
    const struct token *token = find_token(tokenizer, id);
    *n_bytes = token ? token->n_bytes : 0;
    return token ? vocab_bytes(&tokenizer->vocab, token) : NULL;
}

bool vinci_token_is_special(const struct vinci_tokenizer *tokenizer, int32_t id)
{
    const struct token *token = find_token(tokenizer, id);
    return token && token->kind == TOKEN_CONTROL;
}

int32_t vinci_token_special_id(const struct vinci_tokenizer *tokenizer, const char *text)
{
    size_t n = strlen(text);
    const struct added_token *added = vocab_match_added(&tokenizer->vocab, text, n);
    bool found =
        added && added->n_bytes == n && tokenizer->vocab.tokens[added->id].kind == TOKEN_CONTROL;
    return found ? (int32_t)added->id : -1;
}

enum vinci_status vinci_detokenize(const struct vinci_tokenizer *tokenizer, const int32_t *ids,
                                   size_t n_ids, char **text, size_t *n_bytes,
                                   struct vinci_error *err)
{
    struct buf buf = {0};
    *text = NULL;
    *n_bytes = 0;
    enum vinci_status status = VINCI_OK;
    for (size_t i = 0; i < n_ids && !status; i++) {
        size_t n;
        const char *bytes = vinci_token_bytes(tokenizer, ids[i], &n);
        if (!bytes)
            status = fail(err, VINCI_LIMIT,
                          "token id %d at index %zu: no such token; ids are "
                          "below %u",
                          ids[i], i, vinci_tokenizer_n_vocab(tokenizer));
        else if (!buf_append(&buf, bytes, n)) status = fail_memory(err, buf.size + n, "text");
    }
    if (!status && !buf_reserve(&buf, 0)) status = fail_memory(err, 1, "text");
    if (status) {
        buf_free(&buf);
        return status;
    }
    *text = buf.data;
    *n_bytes = buf.size;
    return VINCI_OK;
}

void vinci_free(void *p)
{
    free(p);
}
