/* limits_avx512.c - 512-bit vectors: u8 x s8 by vpdpbusd; float fma. */
#include "bench/limits_kernels.h"

#include <immintrin.h>

static inline __m512i int8_first(int c)
{
    return _mm512_set1_epi32(c);
}

static inline __m512i int8_fma(__m512i acc, __m512i x)
{
    return _mm512_dpbusd_epi32(acc, x, x);
}

static inline int int8_total(__m512i acc)
{
    return _mm_cvtsi128_si32(_mm512_castsi512_si128(acc));
}

static uint64_t int8_peak(uint32_t steps, double *ops)
{
    LIMITS_PEAK_BODY(__m512i, int8_first, __m512i, _mm512_set1_epi32(0x01010101), "v", int8_fma,
                     int8_total, 128)
}

static inline __m512 f32_first(int c)
{
    return _mm512_set1_ps((float)c);
}

static inline __m512 f32_fma(__m512 acc, __m512 x)
{
    return _mm512_fmadd_ps(acc, x, x);
}

static inline float f32_total(__m512 acc)
{
    return _mm512_cvtss_f32(acc);
}

static uint64_t f32_peak(uint32_t steps, double *ops)
{
    LIMITS_PEAK_BODY(__m512, f32_first, __m512, _mm512_set1_ps(0.5f), "v", f32_fma, f32_total, 32)
}

static uint64_t read_all(const uint8_t *p, size_t n)
{
    return limits_read_body(p, n);
}

void limits_avx512_fill(struct limits_kernels *table)
{
    *table = (struct limits_kernels){"avx512", read_all, int8_peak, f32_peak};
}
