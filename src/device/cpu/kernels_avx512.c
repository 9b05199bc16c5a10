/* kernels_avx512.c - the table of AVX-512 (F, BW, VL, DQ, VNNI, VBMI), and the small operations.
 *
 * Tails are done with masks: what is masked out is neither read nor written. */
#include "device/cpu/kernels_avx512.h"

#include <math.h>

/* ---- activations to int8 ------------------------------------------------------------------- */

/* Four vectors to the largest element of each; none is NaN. */
static inline __m128 max_4x16(const __m512 m[4])
{
    __m512 ab = _mm512_max_ps(_mm512_shuffle_f32x4(m[0], m[1], 0x44),
                              _mm512_shuffle_f32x4(m[0], m[1], 0xee));
    __m512 cd = _mm512_max_ps(_mm512_shuffle_f32x4(m[2], m[3], 0x44),
                              _mm512_shuffle_f32x4(m[2], m[3], 0xee));
    __m512 s = _mm512_max_ps(_mm512_shuffle_f32x4(ab, cd, 0x88),
                             _mm512_shuffle_f32x4(ab, cd, 0xdd)); /* lane = block */
    s = _mm512_max_ps(s, _mm512_permute_ps(s, 0x4e));
    s = _mm512_max_ps(s, _mm512_permute_ps(s, 0xb1));
    return _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, s));
}

/* A block's 32 numbers to bytes in the group's order. */
SPECIALISED void store_block(int8_t *group, size_t at, __m512i low, __m512i high,
                             enum q8_order order)
{
    if (order == Q8_EVEN_ODD) {
        const __m512i even =
            _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        __m512i natural = low;
        low = _mm512_permutex2var_epi32(natural, even, high);
        high =
            _mm512_permutex2var_epi32(natural, _mm512_add_epi32(even, _mm512_set1_epi32(1)), high);
    }
    int8_t *first = group + at * (order == Q8_NATURAL ? 32 : 16);
    _mm_storeu_si128((void *)first, _mm512_cvtepi32_epi8(low));
    _mm_storeu_si128((void *)(first + (order == Q8_NATURAL ? 16 : 64)), _mm512_cvtepi32_epi8(high));
}

/* The sums of a packed group's 4 blocks. */
SPECIALISED __m128i group_sums(const int8_t *group, enum q8_order order)
{
    const __m512i one = _mm512_set1_epi8(1), zero = _mm512_setzero_si512();
    __m512i a = _mm512_loadu_si512(group), b = _mm512_loadu_si512(group + 64);
    if (order == Q8_NATURAL) {
        __m512i natural = a;
        a = _mm512_shuffle_i64x2(natural, b, 0x88);
        b = _mm512_shuffle_i64x2(natural, b, 0xdd);
    }
    __m512i s = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, one, a), one, b); /* lane = block */
    s = _mm512_add_epi32(s, _mm512_shuffle_epi32(s, 0x4e));
    s = _mm512_add_epi32(s, _mm512_shuffle_epi32(s, 0xb1));
    return _mm512_castsi512_si128(_mm512_maskz_compress_epi32(0x1111, s));
}

SPECIALISED void quantise(const float *x, size_t n_cols, enum q8_order order, void *out)
{
    size_t n_blocks = n_cols / QUANT_BLOCK, n_groups = q8_groups(n_cols);
    int8_t *group = out;
    float *scales = (float *)(uintptr_t)q8_scales(out, n_cols);
    int32_t *sums = (int32_t *)(uintptr_t)q8_sums(out, n_cols);
    size_t used = n_groups * (Q8_GROUP + 32);

    memset((uint8_t *)out + used, 0, q8_row_bytes(n_cols) - used);
    for (size_t g = 0; g < n_groups; g++, group += Q8_GROUP, x += Q8_GROUP) {
        __m512 v[4][2], m[4];
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++) {
            bool there = 4 * g + k < n_blocks;
            v[k][0] = there ? _mm512_loadu_ps(x + 32 * k) : _mm512_setzero_ps();
            v[k][1] = there ? _mm512_loadu_ps(x + 32 * k + 16) : _mm512_setzero_ps();
            m[k] = _mm512_max_ps(_mm512_abs_ps(v[k][0]), _mm512_setzero_ps()); /* of NaN: 0 */
            m[k] = _mm512_max_ps(_mm512_abs_ps(v[k][1]), m[k]);
        }
        __m128 max = max_4x16(m), c127 = _mm_set1_ps(127);
        __mmask8 some = _mm_cmp_ps_mask(max, _mm_set1_ps(Q8_MAX_MIN), _CMP_GE_OQ);
        __m512 inverse = _mm512_castps128_ps512(_mm_maskz_div_ps(some, c127, max));
        _mm_storeu_ps(scales + 4 * g, _mm_maskz_div_ps(some, max, c127));
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            /* To nearest even; NaN becomes 0x80000000, whose low byte is 0. */
            __m512 factor = _mm512_permutexvar_ps(_mm512_set1_epi32(k), inverse);
            store_block(group, (size_t)k, _mm512_cvtps_epi32(_mm512_mul_ps(v[k][0], factor)),
                        _mm512_cvtps_epi32(_mm512_mul_ps(v[k][1], factor)), order);
        }
        _mm_storeu_si128((void *)(sums + 4 * g), group_sums(group, order));
    }
}

static void q8_quantise_avx512(const float *x, size_t n_cols, enum q8_order order, void *out)
{
    switch (order) {
    case Q8_NATURAL: quantise(x, n_cols, Q8_NATURAL, out); break;
    case Q8_EVEN_ODD: quantise(x, n_cols, Q8_EVEN_ODD, out); break;
    default: quantise(x, n_cols, Q8_HALVES, out); break;
    }
}

/* ---- the others ---------------------------------------------------------------------------- */

static void rms_norm_avx512(const float *x, const float *w, size_t n, float eps, float *out)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i);
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    __m512 scale = _mm512_set1_ps(1.0f / sqrtf(sum_tree_16(sum) / (float)n + eps));
    for (size_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_mul_ps(_mm512_loadu_ps(x + i), scale);
        _mm512_storeu_ps(out + i, _mm512_mul_ps(v, _mm512_loadu_ps(w + i)));
    }
}

static void swiglu_avx512(const float *gate, const float *up, size_t n, float limit, float alpha,
                          float *out)
{
    const __m512 high = _mm512_set1_ps(limit), low = _mm512_set1_ps(-limit);
    const __m512 one = _mm512_set1_ps(1), minus_alpha = _mm512_set1_ps(-alpha);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = lanes_below(n - i);
        /* Of a NaN and a number, minimum and maximum give the second argument. */
        __m512 g = _mm512_min_ps(high, _mm512_maskz_loadu_ps(lanes, gate + i));
        __m512 u = _mm512_min_ps(high, _mm512_maskz_loadu_ps(lanes, up + i));
        u = _mm512_max_ps(low, u);
        __m512 e = exp_16(_mm512_mul_ps(minus_alpha, g)); /* -(alpha g) has the same bits */
        __m512 sigmoid = _mm512_div_ps(one, _mm512_add_ps(one, e));
        _mm512_mask_storeu_ps(out + i, lanes,
                              _mm512_mul_ps(_mm512_add_ps(u, one), _mm512_mul_ps(g, sigmoid)));
    }
}

static void rope_avx512(float *x, const float *cos, const float *sin, size_t half)
{
    for (size_t i = 0; i < half; i += 16) {
        __mmask16 lanes = lanes_below(half - i);
        __m512 x1 = _mm512_maskz_loadu_ps(lanes, x + i);
        __m512 x2 = _mm512_maskz_loadu_ps(lanes, x + half + i);
        __m512 c = _mm512_maskz_loadu_ps(lanes, cos + i), s = _mm512_maskz_loadu_ps(lanes, sin + i);
        _mm512_mask_storeu_ps(x + i, lanes, _mm512_fmsub_ps(x1, c, _mm512_mul_ps(x2, s)));
        _mm512_mask_storeu_ps(x + half + i, lanes, _mm512_fmadd_ps(x2, c, _mm512_mul_ps(x1, s)));
    }
}

static void add_scaled_avx512(float *acc, const float *x, float w, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = lanes_below(n - i);
        __m512 sum = _mm512_fmadd_ps(_mm512_set1_ps(w), _mm512_maskz_loadu_ps(lanes, x + i),
                                     _mm512_maskz_loadu_ps(lanes, acc + i));
        _mm512_mask_storeu_ps(acc + i, lanes, sum);
    }
}

static void f32_to_f16_avx512(const float *x, size_t n, f16_t *out)
{
    enum { ROUNDING = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((void *)(out + i), _mm512_cvtps_ph(_mm512_loadu_ps(x + i), ROUNDING));
    if (i == n) return;
    __mmask16 lanes = lanes_below(n - i);
    __m256i half = _mm512_cvtps_ph(_mm512_maskz_loadu_ps(lanes, x + i), ROUNDING);
    _mm256_mask_storeu_epi16(out + i, lanes, half);
}

/* ---- the table ----------------------------------------------------------------------------- */

static size_t linear_scratch_bytes_avx512(size_t n_cols)
{
    size_t q8 = q8_linear_scratch_bytes_avx512(n_cols), f32 = f32_linear_scratch_bytes_avx512();
    return q8 > f32 ? q8 : f32;
}

void kernels_avx512_fill(struct cpu_kernels *table)
{
    *table = (struct cpu_kernels){
        .isa = "avx512",
        .f32_linear = {[DTYPE_F32] = f32_f32_linear_avx512,
                       [DTYPE_F16] = f32_f16_linear_avx512,
                       [DTYPE_BF16] = f32_bf16_linear_avx512,
                       [DTYPE_Q8_0] = f32_q8_0_linear_avx512,
                       [DTYPE_MXFP4] = f32_mxfp4_linear_avx512,
                       [DTYPE_MXFP4_GGUF] = f32_mxfp4_gguf_linear_avx512},
        .q8_linear = {[DTYPE_Q8_0] = q8_q8_0_linear_avx512,
                      [DTYPE_MXFP4] = q8_mxfp4_linear_avx512,
                      [DTYPE_MXFP4_GGUF] = q8_mxfp4_gguf_linear_avx512},
        .linear_scratch_bytes = linear_scratch_bytes_avx512,
        .row_tile = 32,
        .q8_quantise = q8_quantise_avx512,
        .rms_norm = rms_norm_avx512,
        .swiglu = swiglu_avx512,
        .rope = rope_avx512,
        .f16_attention_tile = f16_attention_tile_avx512,
        .f32_attention_tile = f32_attention_tile_avx512,
        .q8_0_kv_expand = q8_0_kv_expand_avx512,
        .attention_merge = attention_merge_avx512,
        .add_scaled = add_scaled_avx512,
        .f32_to_f16 = f32_to_f16_avx512,
    };
}
