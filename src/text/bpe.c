/* bpe.c - merges the bytes of a piece, lowest rank first.
 *
 * The piece is a doubly linked list of symbols; each knows the merge it could make with its right
 * neighbour. A heap holds (rank, position); an entry is stale when the symbol there has gone or has
 * another merge now, and is then dropped. So a piece of n bytes takes n log n steps, whatever its
 * contents. Most pieces of ordinary text are tokens as they stand and never get here.
 *
 * Merges are found by the pair of ids, not by the bytes they spell: that honours a list of merges
 * as the file has it (tokenizer.json, GGUF), and the lists of ranked tokens (.tiktoken) become such
 * a list at load. */
#include "text/bpe.h"

#include "base/lang.h"

#include "text/array.h"

#include <stdlib.h>
#include <string.h>

#define MERGE_NONE UINT32_MAX

/* Position in the piece is index in the array. */
struct symbol {
    uint32_t id;
    uint32_t merge;      /* with the right neighbour; MERGE_NONE also when this symbol has gone */
    int32_t left, right; /* neighbours, -1 at the ends */
};

void bpe_free(struct bpe *bpe)
{
    free(bpe->merges);
    free(bpe->byte_pairs);
    hash_index_free(&bpe->pairs);
    *bpe = (struct bpe){0};
}

void bpe_scratch_free(struct bpe_scratch *scratch)
{
    free(scratch->symbols);
    free(scratch->heap);
    *scratch = (struct bpe_scratch){0};
}

static enum vinci_status append_merge(struct bpe *bpe, struct merge merge, struct vinci_error *err)
{
    struct merge *merges =
        array_grow(bpe->merges, &bpe->capacity, bpe->n_merges + 1, sizeof *merges);
    if (!merges) return fail_memory(err, (bpe->n_merges + 1) * sizeof *merges, "the merges");
    bpe->merges = merges;
    merges[bpe->n_merges++] = merge;
    return VINCI_OK;
}

/* The token that the last merge made, or the one behind it: lists are sorted by result more often
 * than not, and this spares the look-up. */
static uint32_t find_result(const struct bpe *bpe, const struct vocab *vocab, const char *bytes,
                            size_t n)
{
    if (bpe->n_merges) {
        uint32_t last = bpe->merges[bpe->n_merges - 1].result;
        for (uint32_t id = last; id <= last + 1 && id < vocab->n_ids; id++) {
            const struct token *token = &vocab->tokens[id];
            if (token->kind == TOKEN_NORMAL && token->n_bytes == n &&
                memcmp(vocab_bytes(vocab, token), bytes, n) == 0)
                return id;
        }
    }
    return vocab_find(vocab, bytes, n);
}

enum vinci_status bpe_add_merge(struct bpe *bpe, const struct vocab *vocab, const char *bytes,
                                size_t n_left, size_t n, uint32_t rank, struct vinci_error *err)
{
    struct merge merge = {vocab_find(vocab, bytes, n_left),
                          vocab_find(vocab, bytes + n_left, n - n_left),
                          find_result(bpe, vocab, bytes, n), rank};
    const char *missing = merge.left == TOKEN_NONE     ? _("left part")
                          : merge.right == TOKEN_NONE  ? _("right part")
                          : merge.result == TOKEN_NONE ? _("result")
                                                       : NULL;
    if (missing)
        return fail(err, VINCI_BAD_FILE, "merge %u: its %s is no token of the vocabulary", rank,
                    missing);
    return append_merge(bpe, merge, err);
}

enum vinci_status bpe_add_all_splits(struct bpe *bpe, const struct vocab *vocab,
                                     struct vinci_error *err)
{
    for (uint32_t id = 0; id < vocab->n_ids; id++) {
        const struct token *token = &vocab->tokens[id];
        if (token->kind != TOKEN_NORMAL) continue;
        const char *bytes = vocab_bytes(vocab, token);
        for (size_t n_left = 1; n_left < token->n_bytes; n_left++) {
            uint32_t left = vocab_find(vocab, bytes, n_left);
            if (left == TOKEN_NONE) continue;
            uint32_t right = vocab_find(vocab, bytes + n_left, token->n_bytes - n_left);
            if (right == TOKEN_NONE) continue;
            enum vinci_status status = append_merge(bpe, (struct merge){left, right, id, id}, err);
            if (status) return status;
        }
    }
    return VINCI_OK;
}

static uint64_t hash_pair(uint32_t left, uint32_t right)
{
    return hash_mix(0, (uint64_t)left << 32 | right);
}

static uint32_t find_merge(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    struct hash_probe it = hash_probe(&bpe->pairs, hash_pair(left, right));
    uint32_t i;
    while (hash_next(&bpe->pairs, &it, &i))
        if (bpe->merges[i].left == left && bpe->merges[i].right == right) return i;
    return MERGE_NONE;
}

enum vinci_status bpe_finish(struct bpe *bpe, const struct vocab *vocab, struct vinci_error *err)
{
    if (!hash_index_init(&bpe->pairs, bpe->n_merges))
        return fail_memory(err, bpe->n_merges * 2 * sizeof(uint32_t), "the index of merges");
    for (uint32_t i = 0; i < bpe->n_merges; i++) {
        const struct merge *merge = &bpe->merges[i];
        struct hash_probe it = hash_probe(&bpe->pairs, hash_pair(merge->left, merge->right));
        uint32_t other;
        while (hash_next(&bpe->pairs, &it, &other))
            if (bpe->merges[other].left == merge->left && bpe->merges[other].right == merge->right)
                return fail(err, VINCI_BAD_FILE, "merges %u and %u are the same", other, i);
        hash_put(&bpe->pairs, &it, i);
    }
    bpe->byte_pairs = array_new(256 * 256, sizeof *bpe->byte_pairs);
    if (!bpe->byte_pairs)
        return fail_memory(err, 256 * 256 * sizeof *bpe->byte_pairs, "the index of merges");
    for (size_t i = 0; i < 256 * 256; i++)
        bpe->byte_pairs[i] = find_merge(bpe, vocab->byte_ids[i / 256], vocab->byte_ids[i % 256]);
    return VINCI_OK;
}

/* ---- the heap: the smallest of (rank, position) in 64 bits is on top ----------------------- */

static uint64_t heap_entry(const struct bpe *bpe, uint32_t merge, size_t position)
{
    return (uint64_t)bpe->merges[merge].rank << 32 | position;
}

static void heap_sift_down(uint64_t *heap, size_t n, size_t i)
{
    uint64_t entry = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child]) child++;
        if (entry <= heap[child]) break;
        heap[i] = heap[child];
    }
    heap[i] = entry;
}

static void heap_push(uint64_t *heap, size_t *n, uint64_t entry)
{
    size_t i = (*n)++;
    for (size_t parent; i && entry < heap[parent = (i - 1) / 2]; i = parent) heap[i] = heap[parent];
    heap[i] = entry;
}

static uint64_t heap_pop(uint64_t *heap, size_t *n)
{
    uint64_t top = heap[0];
    heap[0] = heap[--*n];
    if (*n) heap_sift_down(heap, *n, 0);
    return top;
}

/* ---- encoding ------------------------------------------------------------------------------ */

/* Fills the list of symbols, one a byte, and the heap with the merges of neighbours. */
static size_t begin_piece(const struct bpe *bpe, const struct vocab *vocab, const uint8_t *piece,
                          size_t n, struct symbol *symbols, uint64_t *heap)
{
    size_t n_heap = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t merge = i + 1 < n ? bpe->byte_pairs[piece[i] * 256 + piece[i + 1]] : MERGE_NONE;
        symbols[i] = (struct symbol){vocab->byte_ids[piece[i]], merge, (int32_t)i - 1,
                                     i + 1 < n ? (int32_t)i + 1 : -1};
        if (merge != MERGE_NONE) heap[n_heap++] = heap_entry(bpe, merge, i);
    }
    for (size_t i = n_heap / 2; i-- > 0;) heap_sift_down(heap, n_heap, i);
    return n_heap;
}

/* Looks up what the symbol could become with its right neighbour now. */
static void offer_merge(const struct bpe *bpe, struct symbol *symbols, int32_t i, uint64_t *heap,
                        size_t *n_heap)
{
    struct symbol *symbol = &symbols[i];
    symbol->merge = find_merge(bpe, symbol->id, symbols[symbol->right].id);
    if (symbol->merge != MERGE_NONE)
        heap_push(heap, n_heap, heap_entry(bpe, symbol->merge, (size_t)i));
}

static void merge_symbols(const struct bpe *bpe, struct symbol *symbols, uint64_t *heap,
                          size_t n_heap)
{
    while (n_heap) {
        uint64_t entry = heap_pop(heap, &n_heap);
        int32_t i = (int32_t)(uint32_t)entry;
        struct symbol *symbol = &symbols[i];
        if (symbol->merge == MERGE_NONE || bpe->merges[symbol->merge].rank != entry >> 32) continue;
        struct symbol *gone = &symbols[symbol->right];
        symbol->id = bpe->merges[symbol->merge].result;
        symbol->merge = gone->merge = MERGE_NONE;
        symbol->right = gone->right;
        if (symbol->right >= 0) {
            symbols[symbol->right].left = i;
            offer_merge(bpe, symbols, i, heap, &n_heap);
        }
        if (symbol->left >= 0) offer_merge(bpe, symbols, symbol->left, heap, &n_heap);
    }
}

bool bpe_merge(const struct bpe *bpe, const struct vocab *vocab, const char *piece, size_t n,
               struct bpe_scratch *scratch, struct token_list *list)
{
    /* One entry a pair at first; each merge takes one and adds at most two. */
    struct symbol *symbols =
        array_grow(scratch->symbols, &scratch->symbol_capacity, n, sizeof *symbols);
    if (!symbols) return false;
    scratch->symbols = symbols;
    uint64_t *heap = array_grow(scratch->heap, &scratch->heap_capacity, 2 * n, sizeof *heap);
    if (!heap) return false;
    scratch->heap = heap;
    merge_symbols(bpe, symbols, heap,
                  begin_piece(bpe, vocab, (const uint8_t *)piece, n, symbols, heap));
    for (int32_t i = 0; i >= 0; i = symbols[i].right)
        if (!token_list_append(list, &(int32_t){(int32_t)symbols[i].id}, 1)) return false;
    return true;
}
