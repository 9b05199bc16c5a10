/* limits_portable.c - plain C on 128-bit vectors of the compiler: what code without an instruction
 * set's help reaches. int8 goes by way of 16-bit products. */
#include "bench/limits_kernels.h"

typedef int16_t i16_lanes __attribute__((vector_size(16)));
typedef float f32_lanes __attribute__((vector_size(16)));

#if defined(__x86_64__)
#define KEEP "x"
#elif defined(__aarch64__)
#define KEEP "w"
#else
#define KEEP "m"
#endif

static inline i16_lanes int8_first(int c)
{
    return (i16_lanes){0} + (int16_t)c;
}

static inline i16_lanes int8_fma(i16_lanes acc, i16_lanes x)
{
    return acc * x + x;
}

static inline int int8_total(i16_lanes acc)
{
    return acc[0];
}

static uint64_t int8_peak(uint32_t steps, double *ops)
{
    LIMITS_PEAK_BODY(i16_lanes, int8_first, i16_lanes, (i16_lanes){0} + 1, KEEP, int8_fma,
                     int8_total, 16)
}

static inline f32_lanes f32_first(int c)
{
    return (f32_lanes){0} + (float)c;
}

static inline f32_lanes f32_fma(f32_lanes acc, f32_lanes x)
{
    return acc * x + x;
}

static inline float f32_total(f32_lanes acc)
{
    return acc[0];
}

static uint64_t f32_peak(uint32_t steps, double *ops)
{
    LIMITS_PEAK_BODY(f32_lanes, f32_first, f32_lanes, (f32_lanes){0} + 0.5f, KEEP, f32_fma,
                     f32_total, 8)
}

static uint64_t read_all(const uint8_t *p, size_t n)
{
    return limits_read_body(p, n);
}

void limits_portable_fill(struct limits_kernels *table)
{
    *table = (struct limits_kernels){"portable", read_all, int8_peak, f32_peak};
}
