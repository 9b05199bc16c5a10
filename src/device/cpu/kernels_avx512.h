/* kernels_avx512.h - what the AVX-512 files share: the entries of the table, sums in the order of
 * the contract, exp. Include it only in files compiled for AVX-512. */
#ifndef VINCI_DEVICE_CPU_KERNELS_AVX512_H
#define VINCI_DEVICE_CPU_KERNELS_AVX512_H

#include "base/fmath.h"
#include "device/cpu/kernels.h"

#include <immintrin.h>

/* A body that is compiled once for each set of constant arguments it is called with: by an
 * INSTANCE, which stands alone so that each gets the registers to itself. */
#define SPECIALISED static inline __attribute__((always_inline))
#define INSTANCE static __attribute__((noinline))

enum { STREAM_BAND = 256 /* rows */ };

linear_fn q8_q8_0_linear_avx512, q8_mxfp4_linear_avx512, q8_mxfp4_gguf_linear_avx512;
size_t q8_linear_scratch_bytes_avx512(size_t n_cols);

linear_fn f32_f32_linear_avx512, f32_f16_linear_avx512, f32_bf16_linear_avx512,
    f32_q8_0_linear_avx512, f32_mxfp4_linear_avx512, f32_mxfp4_gguf_linear_avx512;
size_t f32_linear_scratch_bytes_avx512(void);

attention_tile_fn f16_attention_tile_avx512, f32_attention_tile_avx512;
kv_expand_fn q8_0_kv_expand_avx512;
attention_merge_fn attention_merge_avx512;

/* Keeps a constant in a register: without it the compiler makes it anew in every round of a loop,
 * with instructions that the loop has no room for. */
SPECIALISED __m512i keep(__m512i x)
{
    __asm__("" : "+v"(x));
    return x;
}

/* One token reads a matrix in four streams side by side, each in order (on 4 KiB pages faster than
 * one): the quarters of a band of rows, then of the next. Returns the rows of a quarter, for a
 * range of n rows: a few more than a quarter of the band where that makes the streams' distance
 * about 1 or 3 KiB modulo 4 (streams at the same place of their pages wait for the same memory
 * channels: 31 against 34 GB/s). */
static inline size_t stream_rows(size_t n, size_t row_stride)
{
    size_t quarter = ((n < STREAM_BAND ? n : STREAM_BAND) + 3) / 4;
    for (size_t more = 0; more <= quarter / 16; more++)
        if (((quarter + more) * row_stride + 256) % 2048 - 1024 <= 512) return quarter + more;
    return quarter;
}

/* How far behind row r of a quarter that row begins which is fetched with it, `ahead` rows further
 * in its stream: behind the quarter's end, the next band's. */
static inline size_t stream_ahead(size_t r, size_t ahead, size_t quarter, size_t row_stride)
{
    return (ahead + (r + ahead >= quarter ? 3 * quarter : 0)) * row_stride;
}

/* The lowest n of 16 lanes; all for n >= 16. */
static inline __mmask16 lanes_below(size_t n)
{
    return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}

/* Four vectors to four sums in the lowest lanes, each by the tree 8+8, 4+4, 2+2, 1+1. (Store them
 * with a mask from the whole register: gcc 12 makes a masked store of the lowest quarter an
 * extraction, which faults behind the mask.) */
static inline __m512 sum_tree_4x16(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    __m512 s = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88),
                             _mm512_shuffle_f32x4(ab, cd, 0xdd)); /* lane = input, 4 sums each */
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0x4e));
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0xb1));
    return _mm512_maskz_compress_ps(0x1111, s);
}

static inline float sum_tree_16(__m512 a)
{
    return _mm512_cvtss_f32(sum_tree_4x16(a, a, a, a));
}

/* exp_f32, step by step, of 16 numbers. */
static inline __m512 exp_16(__m512 x)
{
    const __m512 round = _mm512_set1_ps(EXP_F32_ROUND);
    __m512 t = _mm512_add_ps(_mm512_mul_ps(x, _mm512_set1_ps(EXP_F32_LOG2E)), round);
    __m512i n_bits = _mm512_sub_epi32(_mm512_castps_si512(t), _mm512_castps_si512(round));
    __m512 n = _mm512_sub_ps(t, round);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_F32_LN2_HI), x);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_F32_LN2_LO), r);
    __m512 p = _mm512_set1_ps(EXP_F32_C6);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_F32_C5));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_F32_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_F32_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_F32_C2));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    p = _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(n_bits, 23)));
    __mmask16 below = _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_F32_MIN), _CMP_LT_OQ);
    __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_F32_MAX), _CMP_GT_OQ);
    p = _mm512_mask_mov_ps(p, below, _mm512_setzero_ps());
    p = _mm512_mask_mov_ps(p, above, _mm512_set1_ps(__builtin_inff()));
    return _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}

#endif
