/* limits_kernels.h - what one instruction set can do at most: a table that limits.c fills level by
 * level, each replacing what it does better. One file an instruction set, with its own flags. */
#ifndef VINCI_BENCH_LIMITS_KERNELS_H
#define VINCI_BENCH_LIMITS_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct limits_kernels {
    const char *name; /* of the highest level that is in the table */
    /* Reads n bytes (a multiple of 256), as fast as it can. The result keeps the loads alive. */
    uint64_t (*read)(const uint8_t *p, size_t n);
    /* `steps` rounds of independent multiply-adds in registers; the operations done (a multiply-add
     * counts as two) go to *ops. */
    uint64_t (*int8)(uint32_t steps, double *ops);
    uint64_t (*f32)(uint32_t steps, double *ops);
};

void limits_portable_fill(struct limits_kernels *table);
void limits_avx2_fill(struct limits_kernels *table);
void limits_avxvnni_fill(struct limits_kernels *table);
void limits_avx512_fill(struct limits_kernels *table);
void limits_neon_fill(struct limits_kernels *table);

/* Chains of dependent operations: enough to cover the latency of two units. */
enum { LIMITS_CHAINS = 12 };

/* The widest loads that the file's flags allow, four chains, prefetched 8 KiB ahead (a prefetch
 * past the end does nothing). */
static inline uint64_t limits_read_body(const uint8_t *p, size_t n)
{
    typedef uint64_t lanes __attribute__((vector_size(64)));
    lanes sum[4] = {{0}, {0}, {0}, {0}};
    for (const uint8_t *end = p + n; p < end; p += 256)
        for (int i = 0; i < 4; i++) {
            lanes x;
            __builtin_prefetch((const void *)((uintptr_t)p + 8192 + 64 * (uintptr_t)i), 0, 3);
            memcpy(&x, p + 64 * i, 64);
            sum[i] += x;
        }
    lanes all = sum[0] + sum[1] + sum[2] + sum[3];
    uint64_t total = 0;
    for (int i = 0; i < 8; i++) total += all[i];
    return total;
}

/* A round of `fma` (acc, x -> acc) on every chain; `keep` is the register class of x, which the
 * compiler must take as changed, or it would compute the result by itself. ops_a_round: of one
 * chain. */
#define LIMITS_PEAK_BODY(type, first, x_type, x_value, keep, fma, total, ops_a_round) \
    type acc[LIMITS_CHAINS]; \
    x_type x = (x_value); \
    uint64_t sum = 0; \
    for (int c = 0; c < LIMITS_CHAINS; c++) acc[c] = first(c); \
    for (uint32_t k = 0; k < steps; k++) { \
        _Pragma("GCC unroll 12") for (int c = 0; c < LIMITS_CHAINS; c++) acc[c] = fma(acc[c], x); \
        __asm__ volatile("" : "+" keep(x)); \
    } \
    for (int c = 0; c < LIMITS_CHAINS; c++) sum += (uint64_t)total(acc[c]); \
    *ops = (double)(ops_a_round)*LIMITS_CHAINS * steps; \
    return sum;

#endif
