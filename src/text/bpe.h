/* bpe.h - byte-pair encoding of one piece of text by ranked merges. */
#ifndef VINCI_TEXT_BPE_H
#define VINCI_TEXT_BPE_H

#include "text/tokenizer.h"
#include "text/vocab.h"

/* left and right stand side by side: they may become `result`. The lowest rank goes first, equal
 * ranks from left to right. */
struct merge {
    uint32_t left, right, result, rank;
};

struct bpe {
    struct merge *merges; /* [n_merges] */
    size_t n_merges, capacity;
    struct hash_index pairs; /* (left, right) -> merge */
    uint32_t *byte_pairs;    /* [256][256]: the same for two single bytes, UINT32_MAX: none */
    bool whole_pieces;       /* a piece that is a token is that token, whatever merging gives */
};

void bpe_free(struct bpe *bpe);

/* Adds the merge of two tokens whose bytes, n_left and n - n_left of them, stand one behind the
 * other. Both and the whole must be normal tokens of the finished vocabulary. */
enum vinci_status bpe_add_merge(struct bpe *bpe, const struct vocab *vocab, const char *bytes,
                                size_t n_left, size_t n, uint32_t rank, struct vinci_error *err);

/* Adds a merge for every way of cutting a token into two tokens, ranked by the token's id: what a
 * list of ranked tokens without merges means. */
enum vinci_status bpe_add_all_splits(struct bpe *bpe, const struct vocab *vocab,
                                     struct vinci_error *err);

/* Makes the merges ready for use. Nothing may be added after it. */
enum vinci_status bpe_finish(struct bpe *bpe, const struct vocab *vocab, struct vinci_error *err);

/* Memory that bpe_merge reuses from piece to piece. All zero is empty. */
struct bpe_scratch {
    struct symbol *symbols;
    size_t symbol_capacity;
    uint64_t *heap;
    size_t heap_capacity;
};

void bpe_scratch_free(struct bpe_scratch *scratch);

/* Appends the tokens of one piece of n >= 1 bytes, n < 2^31; false when memory is short, then the
 * list may hold some of them. */
bool bpe_merge(const struct bpe *bpe, const struct vocab *vocab, const char *piece, size_t n,
               struct bpe_scratch *scratch, struct token_list *list);

#endif
