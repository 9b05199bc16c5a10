/* expand.c - MXFP4 expanded by tables, plainly: the reference for expand_simd.c, and what runs
 * where that does not. */
#include "device/npu/expand.h"

#include "model/formats.h"

void expand_tables_fill(struct expand_tables *tables, aclDataType dtype)
{
    for (unsigned scale = 0; scale < 256; scale++) {
        float half = .5f * float_from_e8m0((e8m0_t){(uint8_t)scale});
        for (unsigned code = 0; code < 16; code++) {
            float x = half * FP4_DOUBLED[code];
            uint16_t bits = dtype == ACL_FLOAT16 ? f16_from_float(x).bits : bf16_from_float(x).bits;
            tables->of[scale].low[code] = (uint8_t)bits;
            tables->of[scale].high[code] = (uint8_t)(bits >> 8);
        }
    }
}

void expand_planes(uint8_t a[16], uint8_t b[16])
{
    for (unsigned code = 0; code < 16; code++) {
        a[code] = FP4_DOUBLED[code] / 2 & 15; /* both towards zero */
        b[code] = FP4_DOUBLED[code] % 2 & 15;
    }
}

static void row(const struct expand_tables *tables, const struct matrix *w, size_t row, void *out)
{
    bool gguf = w->dtype == DTYPE_MXFP4_GGUF;
    uint8_t *bytes = out;
    for (size_t b = 0; b < w->n_cols / QUANT_BLOCK; b++, bytes += 2 * QUANT_BLOCK) {
        const uint8_t *nibbles = expand_nibbles(w, row, b);
        const uint8_t scale = expand_scale(w, row, b);
        const uint8_t *low = tables->of[scale].low, *high = tables->of[scale].high;
        for (size_t j = 0; j < 16; j++) {
            uint8_t *first = bytes + (gguf ? 2 * j : 4 * j), *second = first + (gguf ? 32 : 2);
            first[0] = low[nibbles[j] & 15];
            first[1] = high[nibbles[j] & 15];
            second[0] = low[nibbles[j] >> 4];
            second[1] = high[nibbles[j] >> 4];
        }
    }
}

static void tile(const uint8_t map[16], enum dtype layout, const uint8_t *const blocks[EXPAND_TILE],
                 uint8_t *out, size_t stride)
{
    bool gguf = layout == DTYPE_MXFP4_GGUF;
    for (size_t j = 0; j < 16; j++) {
        uint8_t *first = out + (gguf ? j : 2 * j) * stride;
        uint8_t *second = first + (gguf ? 16 : 1) * stride;
        for (size_t o = 0; o < EXPAND_TILE; o += 2) {
            uint8_t even = blocks[o][j], odd = blocks[o + 1][j];
            first[o / 2] = (uint8_t)(map[even & 15] | map[odd & 15] << 4);
            second[o / 2] = (uint8_t)(map[even >> 4] | map[odd >> 4] << 4);
        }
    }
}

const struct expand_kernels expand_scalar = {"scalar", row, tile};
