/* Merging against the rule read out loud: look at all neighbours, merge the pair of lowest rank, of
 * equals the leftmost, begin again. Random vocabularies over three letters, which merge densely;
 * merges as a list in any order and as all splits of ranked tokens. */
#include "text/bpe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PIECE_MAX = 80, TOKEN_MAX = 12 };

static uint32_t random_below(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)*seed * n) >> 32);
}

/* All bytes, then n_more tokens, each the concatenation of two. */
static void make_vocab(struct vocab *vocab, uint32_t *seed, size_t n_more)
{
    for (unsigned i = 0; i < 256; i++)
        assert_int_equal(vocab_add(vocab, i, &(char){(char)i}, 1, NULL), VINCI_OK);
    for (size_t id = 256, tries = 0; id < 256 + n_more && tries < 20 * n_more; tries++) {
        char bytes[2 * TOKEN_MAX];
        size_t n = 0;
        bool known = false;
        for (int part = 0; part < 2; part++) {
            uint32_t pick = random_below(seed, (uint32_t)(id - 256) + 3);
            const struct token *token = &vocab->tokens[pick < 3 ? 'a' + pick : pick - 3 + 256];
            memcpy(bytes + n, vocab_bytes(vocab, token), token->n_bytes);
            n += token->n_bytes;
        }
        for (size_t i = 256; i < id && !known; i++)
            known = vocab->tokens[i].n_bytes == n &&
                    memcmp(vocab_bytes(vocab, &vocab->tokens[i]), bytes, n) == 0;
        if (known || n > TOKEN_MAX) continue;
        assert_int_equal(vocab_add(vocab, id++, bytes, n, NULL), VINCI_OK);
    }
    assert_int_equal(vocab_finish(vocab, NULL), VINCI_OK);
}

/* Some of the splits of some tokens, in random order. */
static void make_merges(struct bpe *bpe, const struct vocab *vocab, uint32_t *seed)
{
    uint32_t rank = 0;
    for (int i = 0; i < 200; i++) {
        uint32_t id = 256 + random_below(seed, (uint32_t)vocab->n_ids - 256);
        const struct token *token = &vocab->tokens[id];
        const char *bytes = vocab_bytes(vocab, token);
        size_t n_left = 1 + random_below(seed, token->n_bytes - 1);
        uint32_t left = vocab_find(vocab, bytes, n_left);
        uint32_t right = vocab_find(vocab, bytes + n_left, token->n_bytes - n_left);
        bool known = left == TOKEN_NONE || right == TOKEN_NONE;
        for (size_t m = 0; m < bpe->n_merges && !known; m++)
            known = bpe->merges[m].left == left && bpe->merges[m].right == right;
        if (known) continue;
        assert_int_equal(bpe_add_merge(bpe, vocab, bytes, n_left, token->n_bytes, rank++, NULL),
                         VINCI_OK);
    }
}

static const struct merge *find(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    for (size_t m = 0; m < bpe->n_merges; m++)
        if (bpe->merges[m].left == left && bpe->merges[m].right == right) return &bpe->merges[m];
    return NULL;
}

static size_t merge_slowly(const struct bpe *bpe, const struct vocab *vocab, const char *piece,
                           size_t n, uint32_t ids[PIECE_MAX])
{
    for (size_t i = 0; i < n; i++) ids[i] = vocab->byte_ids[(uint8_t)piece[i]];
    for (;;) {
        const struct merge *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            const struct merge *merge = find(bpe, ids[i], ids[i + 1]);
            if (!merge || (best && merge->rank >= best->rank)) continue;
            best = merge;
            at = i;
        }
        if (!best) return n;
        ids[at] = best->result;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

/* The number of pieces that differ. */
static int compare(const struct bpe *bpe, const struct bpe *slow, const struct vocab *vocab,
                   uint32_t *seed)
{
    struct bpe_scratch scratch = {0};
    struct token_list list = {0};
    int n_different = 0;
    for (int round = 0; round < 300; round++) {
        char piece[PIECE_MAX];
        uint32_t expected[PIECE_MAX];
        size_t n = 1 + random_below(seed, PIECE_MAX);
        uint32_t n_letters = 1 + random_below(seed, 4); /* 'd' is in no merge */
        for (size_t i = 0; i < n; i++) piece[i] = (char)('a' + random_below(seed, n_letters));
        size_t n_expected = merge_slowly(slow, vocab, piece, n, expected);
        list.n = 0;
        assert_true(bpe_merge(bpe, vocab, piece, n, &scratch, &list));
        n_different +=
            list.n != n_expected || memcmp(list.ids, expected, n_expected * sizeof *expected) != 0;
    }
    token_list_free(&list);
    bpe_scratch_free(&scratch);
    return n_different;
}

static void test_lists_of_merges(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        uint32_t random = seed;
        struct vocab vocab = {0};
        struct bpe bpe = {0};
        make_vocab(&vocab, &random, 60);
        make_merges(&bpe, &vocab, &random);
        assert_int_equal(bpe_finish(&bpe, &vocab, NULL), VINCI_OK);
        if (compare(&bpe, &bpe, &vocab, &random)) fail_msg("seed %u", seed);
        bpe_free(&bpe);
        vocab_free(&vocab);
    }
}

/* All merges of a token have one rank here: the leftmost goes first. */
static void test_ranked_tokens(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        uint32_t random = seed;
        struct vocab vocab = {0};
        struct bpe bpe = {0}, other = {0};
        make_vocab(&vocab, &random, 60);
        assert_int_equal(bpe_add_all_splits(&bpe, &vocab, NULL), VINCI_OK);
        assert_int_equal(bpe_finish(&bpe, &vocab, NULL), VINCI_OK);
        if (compare(&bpe, &bpe, &vocab, &random)) fail_msg("seed %u", seed);
        /* One split missing must show. */
        for (size_t i = 0; i < bpe.n_merges; i++) {
            const struct merge *merge = &bpe.merges[i];
            const struct token *left = &vocab.tokens[merge->left],
                               *whole = &vocab.tokens[merge->result];
            if (i == bpe.n_merges / 8) continue;
            assert_int_equal(bpe_add_merge(&other, &vocab, vocab_bytes(&vocab, whole),
                                           left->n_bytes, whole->n_bytes, merge->rank, NULL),
                             VINCI_OK);
        }
        if (seed == 1) assert_true(compare(&bpe, &other, &vocab, &random) > 0);
        bpe_free(&other);
        bpe_free(&bpe);
        vocab_free(&vocab);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct vocab vocab = {0};
    struct bpe bpe = {0};
    struct vinci_error err;
    uint32_t seed = 1;
    make_vocab(&vocab, &seed, 0);
    assert_int_equal(bpe_add_merge(&bpe, &vocab, "ab", 1, 2, 0, &err), VINCI_BAD_FILE);
    assert_string_equal(err.text, "merge 0: its result is no token of the vocabulary");
    assert_int_equal(bpe_add_merge(&bpe, &vocab, "abc", 2, 3, 7, &err), VINCI_BAD_FILE);
    assert_string_equal(err.text, "merge 7: its left part is no token of the vocabulary");
    assert_int_equal(bpe_add_merge(&bpe, &vocab, "abc", 1, 3, 7, &err), VINCI_BAD_FILE);
    assert_string_equal(err.text, "merge 7: its right part is no token of the vocabulary");
    assert_int_equal(bpe_add_merge(&bpe, &vocab, "a", 0, 1, 0, &err), VINCI_BAD_FILE);
    assert_int_equal(bpe_add_merge(&bpe, &vocab, "a", 1, 1, 0, &err), VINCI_BAD_FILE);
    vocab_free(&vocab);

    make_vocab(&vocab, &seed, 1);
    const struct token *token = &vocab.tokens[256];
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(
            bpe_add_merge(&bpe, &vocab, vocab_bytes(&vocab, token), 1, token->n_bytes, i, &err),
            VINCI_OK);
    assert_int_equal(bpe_finish(&bpe, &vocab, &err), VINCI_BAD_FILE);
    assert_string_equal(err.text, "merges 0 and 1 are the same");
    bpe_free(&bpe);
    vocab_free(&vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_of_merges),
        cmocka_unit_test(test_ranked_tokens),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("bpe", tests, NULL, NULL);
}
