/* limits_avxvnni.c - 256-bit vectors with vpdpbusd; the rest is AVX2's. */
#include "bench/limits_kernels.h"

#include <immintrin.h>

static inline __m256i int8_first(int c)
{
    return _mm256_set1_epi32(c);
}

static inline __m256i int8_fma(__m256i acc, __m256i x)
{
    return _mm256_dpbusd_avx_epi32(acc, x, x);
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

void limits_avxvnni_fill(struct limits_kernels *table)
{
    table->name = "avxvnni";
    table->int8 = int8_peak;
}
