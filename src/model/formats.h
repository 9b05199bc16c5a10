/* formats.h - the number formats of weight files: one-field structs, block layouts, and their exact
 * conversions to float. Sources: OCP Microscaling Formats (MX) 1.0 for e2m1 and e8m0; the GGUF
 * specification for the block layouts. */
#ifndef VINCI_MODEL_FORMATS_H
#define VINCI_MODEL_FORMATS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "vinci reads its files in place: little-endian machines only"
#endif

enum {
    QUANT_BLOCK = 32 /* elements that share a scale, in MXFP4 and Q8_0 */
};

/* How a tensor's elements are stored. MXFP4 has two layouts:
 *   DTYPE_MXFP4       safetensors: 16 bytes a block, the e8m0 scales in a tensor of their own;
 *                     byte j holds element 2j (low nibble) and 2j + 1 (high nibble)
 *   DTYPE_MXFP4_GGUF  17 bytes a block, e8m0 first; byte j holds element j (low) and j + 16 (high)
 */
enum dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_Q8_0,
    DTYPE_MXFP4,
    DTYPE_MXFP4_GGUF,
    DTYPE_U8,    /* raw bytes: MXFP4 blocks or scales before they are bound */
    DTYPE_OTHER, /* a type that no weight of gpt-oss has: struct tensor knows its name */
    DTYPE_COUNT
};

typedef struct {
    uint16_t bits;
} bf16_t;
typedef struct {
    uint16_t bits;
} f16_t;
typedef struct {
    uint8_t bits;
} e8m0_t; /* 2^(bits - 127) */

struct block_mxfp4_gguf {
    e8m0_t scale;
    uint8_t nibbles[16];
};
struct block_q8_0 {
    f16_t scale;
    int8_t values[32];
};
_Static_assert(sizeof(struct block_mxfp4_gguf) == 17, "17 bytes in the file");
_Static_assert(sizeof(struct block_q8_0) == 34, "34 bytes in the file");

/* FP4 (e2m1) values doubled, so that they are integers: 2 * {0, .5, 1, 1.5, 2, 3, 4, 6}, sign in
 * bit 3. */
static const int8_t FP4_DOUBLED[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static inline float float_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static inline uint32_t bits_from_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static inline float float_from_bf16(bf16_t x)
{
    return float_from_bits((uint32_t)x.bits << 16);
}

/* Round to nearest even; NaN stays NaN. */
static inline bf16_t bf16_from_float(float x)
{
    uint32_t bits = bits_from_float(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return (bf16_t){(uint16_t)(bits >> 16 | 0x40)};
    return (bf16_t){(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

/* Exact, subnormals included. */
static inline float float_from_f16(f16_t x)
{
    uint32_t sign = (uint32_t)(x.bits & 0x8000) << 16, rest = x.bits & 0x7fff;
    if (rest >= 0x7c00) return float_from_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    /* 2^112 moves the exponent from f16's bias 15 to float's 127, and makes subnormals normal. */
    float magnitude = float_from_bits(rest << 13) * 0x1p112f;
    return float_from_bits(sign | bits_from_float(magnitude));
}

/* Round to nearest even; too large becomes infinity (as VCVTPS2PH and FCVT do). */
static inline f16_t f16_from_float(float x)
{
    uint32_t bits = bits_from_float(x), sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return (f16_t){(uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff))};
    if (bits >= 0x477ff000) return (f16_t){(uint16_t)(sign | 0x7c00)}; /* >= 65520 */
    if (bits < 0x38800000) { /* subnormal: adding 0.5 lines the last bit up with 2^-24 */
        float y = float_from_bits(bits) + 0.5f;
        return (f16_t){(uint16_t)(sign | (bits_from_float(y) - 0x3f000000))};
    }
    bits += 0xfff + (bits >> 13 & 1);
    return (f16_t){(uint16_t)(sign | ((bits - 0x38000000) >> 13))};
}

/* Exact: 2^(bits - 127); 0 gives 2^-127 (subnormal). 255, NaN in the standard, gives infinity: it
 * never stands in a real file, and this form is one shift and one maximum in every instruction set.
 */
static inline float float_from_e8m0(e8m0_t x)
{
    uint32_t bits = (uint32_t)x.bits << 23;
    return float_from_bits(bits > 0x00400000 ? bits : 0x00400000);
}

/* Bytes of a row of n_cols elements (without the separate scales of DTYPE_MXFP4). n_cols is a
 * multiple of QUANT_BLOCK for the block formats, and below 2^32, so nothing overflows. */
static inline size_t dtype_row_bytes(enum dtype dtype, size_t n_cols)
{
    switch (dtype) {
    case DTYPE_F32: return n_cols * 4;
    case DTYPE_F16:
    case DTYPE_BF16: return n_cols * 2;
    case DTYPE_Q8_0: return n_cols / QUANT_BLOCK * sizeof(struct block_q8_0);
    case DTYPE_MXFP4: return n_cols / 2;
    case DTYPE_MXFP4_GGUF: return n_cols / QUANT_BLOCK * sizeof(struct block_mxfp4_gguf);
    default: return n_cols;
    }
}

static inline const char *dtype_name(enum dtype dtype)
{
    static const char *const names[DTYPE_COUNT] = {"F32",   "F16",   "BF16", "Q8_0",
                                                   "MXFP4", "MXFP4", "U8",   "?"};
    return (unsigned)dtype < DTYPE_COUNT ? names[dtype] : "?";
}

#endif
