/* kernels_avx512.h - what the AVX-512 files share: the entries of the table, sums in the order of
 * the contract, and prefetching. Include it only in files compiled for AVX-512. */
#ifndef VINCI_DEVICE_CPU_KERNELS_AVX512_H
#define VINCI_DEVICE_CPU_KERNELS_AVX512_H

#include "device/cpu/kernels.h"

#include <immintrin.h>

/* A body that is compiled once for each set of constant arguments it is called with. */
#define SPECIALISED static inline __attribute__((always_inline))

linear_fn q8_q8_0_linear_avx512, q8_mxfp4_linear_avx512, q8_mxfp4_gguf_linear_avx512;
size_t q8_linear_scratch_bytes_avx512(size_t n_cols);

linear_fn f32_f32_linear_avx512, f32_f16_linear_avx512, f32_bf16_linear_avx512,
    f32_quantised_linear_avx512;
size_t f32_linear_scratch_bytes_avx512(size_t n_cols);

attention_tile_fn f16_attention_tile_avx512, f32_attention_tile_avx512;

/* The lowest n of 16 lanes; all for n >= 16. */
static inline __mmask16 lanes_below(size_t n)
{
    return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}

/* Four vectors to four sums, each by the tree 8+8, 4+4, 2+2, 1+1. */
static inline __m128 sum_tree_4x16(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    __m512 s = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88),
                             _mm512_shuffle_f32x4(ab, cd, 0xdd)); /* lane = input, 4 sums each */
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0x4e));
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0xb1));
    return _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, s));
}

static inline float sum_tree_16(__m512 a)
{
    return _mm_cvtss_f32(sum_tree_4x16(a, a, a, a));
}

/* ---- prefetching --------------------------------------------------------------------------- */

/* Walks the rows of a range in the order of memory, some rows before they are used. Memory in order
 * is what the controllers are fast at, although the kernels take several rows at a time. It stops
 * at the end of the range: the rows behind it may be another thread's, or nobody's. */
struct ahead {
    const uint8_t *p, *row_end; /* next line; end of the row it is in */
    size_t row_bytes, row_stride, rows_left;
};

enum { AHEAD_LINES = 4 };

#define AHEAD_STEP(ahead, hint) \
    do { \
        if ((ahead)->rows_left == 0) break; \
        for (int line_ = 0; line_ < AHEAD_LINES; line_++) \
            _mm_prefetch((const char *)(ahead)->p + 64 * line_, hint); \
        (ahead)->p += AHEAD_LINES * 64; \
        if ((ahead)->p >= (ahead)->row_end) ahead_next_row(ahead); \
    } while (0)

static inline void ahead_next_row(struct ahead *a)
{
    a->row_end += a->row_stride;
    a->p = a->row_end - a->row_bytes;
    a->rows_left--;
}

/* Prefetches the first `n_rows` rows of the range at once; the steps go on from there. */
static inline struct ahead ahead_start(const struct matrix *w, size_t row_begin, size_t row_end,
                                       size_t n_rows)
{
    size_t row_bytes = dtype_row_bytes(w->dtype, w->n_cols);
    const uint8_t *row = w->data + row_begin * w->row_stride;
    struct ahead a = {row, row + row_bytes, row_bytes, w->row_stride, row_end - row_begin};
    while (a.rows_left > 0 && row_end - row_begin - a.rows_left < n_rows)
        AHEAD_STEP(&a, _MM_HINT_T0);
    return a;
}

#endif
