/* kernels_neon.h - what the NEON files share. Include it only in files compiled for Armv8.2 with
 * the int8 dot product. */
#ifndef VINCI_DEVICE_CPU_KERNELS_NEON_H
#define VINCI_DEVICE_CPU_KERNELS_NEON_H

#include "device/cpu/kernels.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

/* Before a loop of few and constant steps: registers cannot be indexed. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Fetches n bytes into the second cache. */
INLINE void fetch(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i += 64) __builtin_prefetch((const uint8_t *)p + i, 0, 2);
}

linear_fn q8_q8_0_linear_neon, q8_mxfp4_linear_neon, q8_mxfp4_gguf_linear_neon;
size_t q8_linear_scratch_bytes_neon(size_t n_cols);

#endif
