/* limits_avx2.c - 256-bit vectors: u8 x s8 by vpmaddubsw, vpmaddwd and an addition; float fma. */
#include "bench/limits_kernels.h"

#include <immintrin.h>

static inline __m256i int8_first(int c)
{
    return _mm256_set1_epi32(c);
}

/* The sum's own bytes are a factor, so that the chains do not share their products. */
static inline __m256i int8_fma(__m256i acc, __m256i x)
{
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(x, acc), x));
}

static inline int int8_total(__m256i acc)
{
    return _mm256_extract_epi32(acc, 0);
}

static uint64_t int8_peak(uint32_t steps, double *ops)
{
    LIMITS_PEAK_BODY(__m256i, int8_first, __m256i, _mm256_set1_epi8(1), "x", int8_fma, int8_total,
                     64)
}

static inline __m256 f32_first(int c)
{
    return _mm256_set1_ps((float)c);
}

static inline __m256 f32_fma(__m256 acc, __m256 x)
{
    return _mm256_fmadd_ps(acc, x, x);
}

static inline float f32_total(__m256 acc)
{
    return _mm256_cvtss_f32(acc);
}

static uint64_t f32_peak(uint32_t steps, double *ops)
{
    LIMITS_PEAK_BODY(__m256, f32_first, __m256, _mm256_set1_ps(0.5f), "x", f32_fma, f32_total, 16)
}

static uint64_t read_all(const uint8_t *p, size_t n)
{
    return limits_read_body(p, n);
}

void limits_avx2_fill(struct limits_kernels *table)
{
    *table = (struct limits_kernels){"avx2", read_all, int8_peak, f32_peak};
}
