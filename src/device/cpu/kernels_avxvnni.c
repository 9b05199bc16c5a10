/* kernels_avxvnni.c - what AVX-VNNI adds to AVX2: an int8 dot product in one instruction. For
 * processors that have it without AVX-512 (Alder Lake and later clients). */
#include "device/cpu/kernels_avx2_q8.h"

static void q8_q8_0_linear_avxvnni(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(DTYPE_Q8_0, args, row_begin, row_end);
}

static void q8_mxfp4_linear_avxvnni(const struct linear_args *args, size_t row_begin,
                                    size_t row_end)
{
    q8_linear(DTYPE_MXFP4, args, row_begin, row_end);
}

static void q8_mxfp4_gguf_linear_avxvnni(const struct linear_args *args, size_t row_begin,
                                         size_t row_end)
{
    q8_linear(DTYPE_MXFP4_GGUF, args, row_begin, row_end);
}

void kernels_avxvnni_fill(struct cpu_kernels *table)
{
    table->isa = "avxvnni";
    table->q8_linear[DTYPE_Q8_0] = q8_q8_0_linear_avxvnni;
    table->q8_linear[DTYPE_MXFP4] = q8_mxfp4_linear_avxvnni;
    table->q8_linear[DTYPE_MXFP4_GGUF] = q8_mxfp4_gguf_linear_avxvnni;
}
