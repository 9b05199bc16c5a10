/* kernels_avx512_attention.c - one tile of the cache against many query rows.
 *
 * Lanes are positions for q.k and head elements for p.v, as the tile lies in memory, so each sum of
 * the contract is a chain of fma in one lane. Up to 8 rows go together: they share the loads of K
 * and V (and their conversion from f16), and are the independent chains that the units need. Rows
 * whose ranges differ share the positions they have in common; the others each does alone, in
 * order. What lies outside a row's range may be NaN and never enters a sum. */
#include "device/cpu/kernels_avx512.h"

#include <math.h>
#include <string.h>

enum { ROWS = 8, VECTORS = KV_TILE / KV_LANES, Q_STRIDE = MAX_HEAD_DIM + 16 };

SPECIALISED __m512 load_kv(const void *tile, size_t i, __mmask16 lanes, bool f16)
{
    if (!f16) {
        const float *p = (const float *)tile + i;
        return lanes == 0xffff ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(lanes, p);
    }
    const f16_t *p = (const f16_t *)tile + i;
    return _mm512_cvtph_ps(lanes == 0xffff ? _mm256_loadu_si256((const void *)p)
                                           : _mm256_maskz_loadu_epi16(lanes, p));
}

/* The first rows fetch the next tile, a line a step (f32: two), from four places in turn: the
 * hardware's own prefetching follows each of them, and lines wait for one another less. */
SPECIALISED void fetch(const void *next, size_t head_dim, size_t step, bool f16)
{
    size_t quarter = head_dim * (f16 ? 64 : 128), at = step / 4 * (f16 ? 64 : 128);
    const char *p = (const char *)next + step % 4 * quarter + at;
    _mm_prefetch(p, _MM_HINT_T0);
    if (!f16) _mm_prefetch(p + 64, _MM_HINT_T0);
}

/* scores[r][16 v ..] = q[r] . k for vectors v and v + 1 of n_rows rows. */
SPECIALISED void dot_rows(const struct attention_tile_args *args, const float q[][Q_STRIDE],
                          size_t n_rows, size_t v, float scores[][KV_TILE], bool f16, bool first)
{
    size_t n = args->head_dim;
    const void *next = args->next_k ? args->next_k : args->k;
    __m512 s[ROWS][2];
#pragma GCC unroll 8
    for (size_t r = 0; r < n_rows; r++) s[r][0] = s[r][1] = _mm512_setzero_ps();
    for (size_t d = 0; d < n; d++) {
        if (first) fetch(next, n, v / 2 * n + d, f16);
        __m512 k0 = load_kv(args->k, (v * n + d) * KV_LANES, 0xffff, f16);
        __m512 k1 = load_kv(args->k, ((v + 1) * n + d) * KV_LANES, 0xffff, f16);
#pragma GCC unroll 8
        for (size_t r = 0; r < n_rows; r++) {
            __m512 x = _mm512_set1_ps(q[r][d]);
            s[r][0] = _mm512_fmadd_ps(x, k0, s[r][0]);
            s[r][1] = _mm512_fmadd_ps(x, k1, s[r][1]);
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < n_rows; r++) {
        _mm512_store_ps(&scores[r][16 * v], s[r][0]);
        _mm512_store_ps(&scores[r][16 * v + 16], s[r][1]);
    }
}

/* Scores to probabilities of one row, in place; its state's max and sums. */
static void softmax_row(struct attention_state *state, size_t head_dim, float scale, size_t begin,
                        size_t end, float *scores)
{
    uint64_t seen = (end < 64 ? (UINT64_C(1) << end) - 1 : ~UINT64_C(0)) & ~UINT64_C(0) << begin;
    __m512 s[VECTORS], max = _mm512_set1_ps(-INFINITY);
    for (int v = 0; v < VECTORS; v++) {
        __mmask16 lanes = (__mmask16)(seen >> 16 * v);
        if (!lanes) continue;
        s[v] = _mm512_mul_ps(_mm512_load_ps(scores + 16 * v), _mm512_set1_ps(scale));
        max = _mm512_mask_max_ps(max, lanes, s[v], max); /* of a NaN and max: max */
    }
    float m = _mm512_reduce_max_ps(max);
    if (m > state->max) {
        float c = exp_f32(state->max - m);
        __m512 factor = _mm512_set1_ps(c);
        _mm512_storeu_ps(state->sum, _mm512_mul_ps(_mm512_loadu_ps(state->sum), factor));
        for (size_t d = 0; d < head_dim; d += 16) {
            __mmask16 lanes = lanes_below(head_dim - d);
            __m512 acc = _mm512_maskz_loadu_ps(lanes, state->acc + d);
            _mm512_mask_storeu_ps(state->acc + d, lanes, _mm512_mul_ps(acc, factor));
        }
        state->max = m;
    }
    __m512 sum = _mm512_loadu_ps(state->sum);
    for (int v = 0; v < VECTORS; v++) {
        __mmask16 lanes = (__mmask16)(seen >> 16 * v);
        if (!lanes) continue;
        __m512 p = exp_16(_mm512_sub_ps(s[v], _mm512_set1_ps(state->max)));
        sum = _mm512_mask_add_ps(sum, lanes, sum, p);
        _mm512_store_ps(scores + 16 * v, p);
    }
    _mm512_storeu_ps(state->sum, sum);
}

/* acc[d ..] += p v over positions [begin, end) for two vectors of elements of n_rows rows. */
SPECIALISED void add_rows(const struct attention_tile_args *args, const uint16_t *rows,
                          size_t n_rows, size_t begin, size_t end, size_t d, __mmask16 low,
                          __mmask16 high, float scores[][KV_TILE], bool f16, bool first)
{
    size_t n = args->head_dim;
    __m512 acc[ROWS][2];
#pragma GCC unroll 8
    for (size_t r = 0; r < n_rows; r++) {
        acc[r][0] = _mm512_maskz_loadu_ps(low, args->states[rows[r]].acc + d);
        acc[r][1] = _mm512_maskz_loadu_ps(high, args->states[rows[r]].acc + d + 16);
    }
    const void *next = args->next_k ? args->next_k : args->k;
    for (size_t j = begin; j < end; j++) {
        if (first) fetch(next, n, 2 * n + d / 32 * KV_TILE + j, f16);
        __m512 v0 = load_kv(args->v, j * n + d, low, f16);
        __m512 v1 = load_kv(args->v, j * n + d + 16, high, f16);
#pragma GCC unroll 8
        for (size_t r = 0; r < n_rows; r++) {
            __m512 p = _mm512_set1_ps(scores[r][j]);
            acc[r][0] = _mm512_fmadd_ps(p, v0, acc[r][0]);
            acc[r][1] = _mm512_fmadd_ps(p, v1, acc[r][1]);
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < n_rows; r++) {
        _mm512_mask_storeu_ps(args->states[rows[r]].acc + d, low, acc[r][0]);
        _mm512_mask_storeu_ps(args->states[rows[r]].acc + d + 16, high, acc[r][1]);
    }
}

SPECIALISED void add_all(const struct attention_tile_args *args, const uint16_t *rows,
                         size_t n_rows, size_t begin, size_t end, float scores[][KV_TILE], bool f16,
                         bool first)
{
    size_t n = args->head_dim, d = 0;
    for (; d + 32 <= n; d += 32)
        add_rows(args, rows, n_rows, begin, end, d, 0xffff, 0xffff, scores, f16, first);
    if (d < n)
        add_rows(args, rows, n_rows, begin, end, d, lanes_below(n - d),
                 n - d > 16 ? lanes_below(n - d - 16) : 0, scores, f16, first);
}

/* One row's positions that the others of its group do not see. */
INSTANCE void add_one_f16(const struct attention_tile_args *args, const uint16_t *row, size_t begin,
                          size_t end, float (*scores)[KV_TILE])
{
    add_all(args, row, 1, begin, end, scores, true, false);
}

INSTANCE void add_one_f32(const struct attention_tile_args *args, const uint16_t *row, size_t begin,
                          size_t end, float (*scores)[KV_TILE])
{
    add_all(args, row, 1, begin, end, scores, false, false);
}

/* n_rows rows, none with an empty range. */
SPECIALISED void tile_rows(const struct attention_tile_args *args, const uint16_t *rows,
                           size_t n_rows, bool f16, bool first_rows)
{
    _Alignas(64) float scores[ROWS][KV_TILE], q[ROWS][Q_STRIDE]; /* rows at fixed distances */
    size_t first = KV_TILE, last = 0, begin = 0, end = KV_TILE;  /* of any row; of all rows */
    for (size_t r = 0; r < n_rows; r++) {
        size_t b = args->begin[rows[r]], e = args->end[rows[r]];
        first = b < first ? b : first, last = e > last ? e : last;
        begin = b > begin ? b : begin, end = e < end ? e : end;
    }
    for (size_t r = 0; r < n_rows; r++)
        memcpy(q[r], args->q[rows[r]], args->head_dim * sizeof(float));
    for (size_t v = first / 32 * 2; v * KV_LANES < last; v += 2)
        dot_rows(args, q, n_rows, v, scores, f16, first_rows);
    for (size_t r = 0; r < n_rows; r++)
        softmax_row(&args->states[rows[r]], args->head_dim, args->scale, args->begin[rows[r]],
                    args->end[rows[r]], scores[r]);

    if (begin >= end) begin = end = KV_TILE; /* nothing in common: all before "begin" */
    for (size_t r = 0; r < n_rows; r++) {
        size_t b = args->begin[rows[r]], e = args->end[rows[r]];
        if (b < begin)
            (f16 ? add_one_f16 : add_one_f32)(args, rows + r, b, e < begin ? e : begin, scores + r);
    }
    if (begin < end) add_all(args, rows, n_rows, begin, end, scores, f16, first_rows);
    for (size_t r = 0; r < n_rows; r++) {
        size_t e = args->end[rows[r]];
        if (e > end) (f16 ? add_one_f16 : add_one_f32)(args, rows + r, end, e, scores + r);
    }
}

SPECIALISED void some_rows(const struct attention_tile_args *args, const uint16_t *rows, size_t n,
                           bool f16, bool first)
{
    if (n & 8) tile_rows(args, rows, 8, f16, first), rows += 8;
    if (n & 4) tile_rows(args, rows, 4, f16, first), rows += 4;
    if (n & 2) tile_rows(args, rows, 2, f16, first), rows += 2;
    if (n & 1) tile_rows(args, rows, 1, f16, first);
}

SPECIALISED void attention_tile(const struct attention_tile_args *args, bool f16)
{
    uint16_t rows[ROWS];
    bool first = true;
    for (size_t r = 0, n = 0; r < args->n_rows; r++) {
        if (args->begin[r] < args->end[r]) rows[n++] = (uint16_t)r;
        if (n == 0 || (n < ROWS && r + 1 < args->n_rows)) continue;
        if (first) some_rows(args, rows, n, f16, true);
        else some_rows(args, rows, n, f16, false);
        first = false;
        n = 0;
    }
}

void f16_attention_tile_avx512(const struct attention_tile_args *args)
{
    attention_tile(args, true);
}

void f32_attention_tile_avx512(const struct attention_tile_args *args)
{
    attention_tile(args, false);
}

/* 16 values of one scale, or of one each. */
static inline __m512 expand_16(const int8_t *q, __mmask16 lanes, __m512 scale)
{
    __m128i bytes =
        lanes == 0xffff ? _mm_loadu_si128((const void *)q) : _mm_maskz_loadu_epi8(lanes, q);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), scale);
}

void q8_0_kv_expand_avx512(const void *tile, size_t head_dim, const void *next, float *out)
{
    const int8_t *k = tile, *v = k + kv_q8_0_tile_bytes(head_dim);
    const uint16_t *k_scales = (const void *)(k + kv_tile_elements(head_dim));
    const uint16_t *v_scales = (const void *)(v + kv_tile_elements(head_dim));
    const char *fetched = next ? next : tile;
    size_t half = kv_q8_0_tile_bytes(head_dim);
    for (size_t i = 0; i < VECTORS; i++) {
        __m512 scale = _mm512_setzero_ps();
        for (size_t d = 0; d < head_dim; d++, k += KV_LANES, out += KV_LANES, fetched += 16) {
            if (d % QUANT_BLOCK == 0)
                scale = _mm512_cvtph_ps(_mm256_loadu_si256(
                    (const void *)(k_scales + d / QUANT_BLOCK * KV_TILE + i * KV_LANES)));
            if (d % 4 == 0) { /* K and V of the next tile: two streams */
                _mm_prefetch(fetched, _MM_HINT_T0);
                _mm_prefetch(fetched + half, _MM_HINT_T0);
            }
            _mm512_storeu_ps(out, expand_16(k, 0xffff, scale));
        }
    }
    for (size_t j = 0; j < KV_TILE; j++, v += head_dim, out += head_dim)
        for (size_t d = 0; d < head_dim; d += 16) {
            short bits = (short)v_scales[d / QUANT_BLOCK * KV_TILE + j];
            __mmask16 lanes = lanes_below(head_dim - d);
            _mm512_mask_storeu_ps(
                out + d, lanes, expand_16(v + d, lanes, _mm512_cvtph_ps(_mm256_set1_epi16(bits))));
        }
}

void attention_merge_avx512(struct attention_state *total, const struct attention_state *part,
                            size_t head_dim)
{
    if (part->max == -INFINITY) return;
    float m = part->max > total->max ? part->max : total->max;
    float c = exp_f32(total->max - m), c_part = exp_f32(part->max - m);
    __m512 factor = _mm512_set1_ps(c), factor_part = _mm512_set1_ps(c_part);
    total->max = m;
    total->sum[0] = fmaf(sum_tree_16(_mm512_loadu_ps(part->sum)), c_part, total->sum[0] * c);
    for (size_t d = 0; d < head_dim; d += 16) {
        __mmask16 lanes = lanes_below(head_dim - d);
        __m512 acc = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, total->acc + d), factor);
        __m512 x = _mm512_maskz_loadu_ps(lanes, part->acc + d);
        _mm512_mask_storeu_ps(total->acc + d, lanes, _mm512_fmadd_ps(x, factor_part, acc));
    }
}
