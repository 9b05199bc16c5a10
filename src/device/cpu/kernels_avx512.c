/* kernels_avx512.c - the table of AVX-512 (F, BW, VL, DQ, VNNI, VBMI). */
#include "device/cpu/kernels_avx512.h"

static size_t linear_scratch_bytes_avx512(size_t n_cols)
{
    size_t q8 = q8_linear_scratch_bytes_avx512(n_cols), f32 = f32_linear_scratch_bytes_avx512();
    return q8 > f32 ? q8 : f32;
}

void kernels_avx512_fill(struct cpu_kernels *table)
{
    table->isa = "avx512";
    table->linear_scratch_bytes = linear_scratch_bytes_avx512;
    table->row_tile = 32;
    table->f32_linear[DTYPE_F32] = f32_f32_linear_avx512;
    table->f32_linear[DTYPE_F16] = f32_f16_linear_avx512;
    table->f32_linear[DTYPE_BF16] = f32_bf16_linear_avx512;
    table->f32_linear[DTYPE_Q8_0] = f32_q8_0_linear_avx512;
    table->f32_linear[DTYPE_MXFP4] = f32_mxfp4_linear_avx512;
    table->f32_linear[DTYPE_MXFP4_GGUF] = f32_mxfp4_gguf_linear_avx512;
    table->q8_linear[DTYPE_Q8_0] = q8_q8_0_linear_avx512;
    table->q8_linear[DTYPE_MXFP4] = q8_mxfp4_linear_avx512;
    table->q8_linear[DTYPE_MXFP4_GGUF] = q8_mxfp4_gguf_linear_avx512;
}
