/* kernels_avx512.c - the table of AVX-512 (F, BW, VL, DQ, VNNI, VBMI). */
#include "device/cpu/kernels_avx512.h"

static size_t linear_scratch_bytes_avx512(size_t n_cols)
{
    return q8_linear_scratch_bytes_avx512(n_cols);
}

void kernels_avx512_fill(struct cpu_kernels *table)
{
    table->isa = "avx512";
    table->linear_scratch_bytes = linear_scratch_bytes_avx512;
    table->row_tile = 32;
    table->q8_linear[DTYPE_Q8_0] = q8_q8_0_linear_avx512;
    table->q8_linear[DTYPE_MXFP4] = q8_mxfp4_linear_avx512;
    table->q8_linear[DTYPE_MXFP4_GGUF] = q8_mxfp4_gguf_linear_avx512;
}
