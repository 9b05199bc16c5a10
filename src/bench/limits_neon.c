/* limits_neon.c - 128-bit vectors: s8 x s8 by sdot; float fma. */
#include "bench/limits_kernels.h"

#include <arm_neon.h>

static inline int32x4_t int8_first(int c)
{
    return vdupq_n_s32(c);
}

static inline int32x4_t int8_fma(int32x4_t acc, int8x16_t x)
{
    return vdotq_s32(acc, x, x);
}

static uint64_t int8_peak(uint32_t steps, double *ops)
{
    LIMITS_PEAK_BODY(int32x4_t, int8_first, int8x16_t, vdupq_n_s8(1), "w", int8_fma, vaddvq_s32, 32)
}

static inline float32x4_t f32_first(int c)
{
    return vdupq_n_f32((float)c);
}

static inline float32x4_t f32_fma(float32x4_t acc, float32x4_t x)
{
    return vfmaq_f32(acc, x, x);
}

static uint64_t f32_peak(uint32_t steps, double *ops)
{
    LIMITS_PEAK_BODY(float32x4_t, f32_first, float32x4_t, vdupq_n_f32(0.5f), "w", f32_fma,
                     vaddvq_f32, 8)
}

static uint64_t read_all(const uint8_t *p, size_t n)
{
    return limits_read_body(p, n);
}

void limits_neon_fill(struct limits_kernels *table)
{
    *table = (struct limits_kernels){"neon", read_all, int8_peak, f32_peak};
}
