/* matrix.c - rows and vectors of any weight format as floats, exactly: the reference that kernels
 * and tests compare with, and what reads embeddings, norms and biases. */
#include "model/weights.h"

/* Files need not be aligned to the element. */
static uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static void mxfp4_block(const uint8_t *nibbles, float scale, bool even_odd, float *out)
{
    float half = .5f * scale;
    for (int j = 0; j < 16; j++) {
        float low = half * FP4_DOUBLED[nibbles[j] & 15], high = half * FP4_DOUBLED[nibbles[j] >> 4];
        out[even_odd ? 2 * j : j] = low;
        out[even_odd ? 2 * j + 1 : j + 16] = high;
    }
}

uint64_t matrix_bytes(const struct matrix *w)
{
    uint64_t row = dtype_row_bytes(w->dtype, w->n_cols);
    return w->n_rows * (row + (w->scales ? w->n_cols / QUANT_BLOCK : 0));
}

void matrix_row(const struct matrix *w, size_t row, float *out)
{
    const uint8_t *p = w->data + row * w->row_stride;
    size_t n = w->n_cols, n_blocks = n / QUANT_BLOCK;

    switch (w->dtype) {
    case DTYPE_F32: memcpy(out, p, n * sizeof *out); break;
    case DTYPE_F16:
        for (size_t i = 0; i < n; i++) out[i] = float_from_f16((f16_t){load_u16(p + 2 * i)});
        break;
    case DTYPE_BF16:
        for (size_t i = 0; i < n; i++) out[i] = float_from_bf16((bf16_t){load_u16(p + 2 * i)});
        break;
    case DTYPE_Q8_0:
        for (size_t b = 0; b < n_blocks; b++, p += sizeof(struct block_q8_0)) {
            float scale = float_from_f16((f16_t){load_u16(p)});
            for (size_t j = 0; j < 32; j++) out[b * 32 + j] = scale * (float)(int8_t)p[2 + j];
        }
        break;
    case DTYPE_MXFP4: {
        const uint8_t *scales = w->scales + row * w->scale_stride;
        for (size_t b = 0; b < n_blocks; b++, p += 16)
            mxfp4_block(p, float_from_e8m0((e8m0_t){scales[b]}), true, out + b * 32);
        break;
    }
    case DTYPE_MXFP4_GGUF:
        for (size_t b = 0; b < n_blocks; b++, p += sizeof(struct block_mxfp4_gguf))
            mxfp4_block(p + 1, float_from_e8m0((e8m0_t){p[0]}), false, out + b * 32);
        break;
    default: break; /* no other dtype is bound */
    }
}

void vector_read(const struct vector *v, size_t first, size_t n, float *out)
{
    const uint8_t *p = v->data + first * v->stride;
    switch (v->dtype) {
    case DTYPE_F32:
        for (size_t i = 0; i < n; i++) memcpy(out + i, p + i * v->stride, sizeof *out);
        break;
    case DTYPE_F16:
        for (size_t i = 0; i < n; i++)
            out[i] = float_from_f16((f16_t){load_u16(p + i * v->stride)});
        break;
    default:
        for (size_t i = 0; i < n; i++)
            out[i] = float_from_bf16((bf16_t){load_u16(p + i * v->stride)});
    }
}
