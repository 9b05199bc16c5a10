/* kernels_avx512_q8.h - quantised weights in AVX-512 registers: where the formats keep their scales
 * and values, and panels of rows unpacked and transposed. The products are in kernels_avx512_q8.c.
 *
 * A group is 4 blocks, as in the packed activations (kernels.h). What a format needs is decided by
 * constant arguments, so that each kernel is compiled for one. */
#ifndef VINCI_DEVICE_CPU_KERNELS_AVX512_Q8_H
#define VINCI_DEVICE_CPU_KERNELS_AVX512_Q8_H

#include "device/cpu/kernels_avx512.h"

/* ---- the formats --------------------------------------------------------------------------- */

/* Block b of a row starts at b * block_bytes, its data (16 bytes, or twice 16) data_offset behind.
 */
SPECIALISED size_t block_bytes(enum dtype dtype)
{
    return dtype == DTYPE_MXFP4 ? 16 : dtype == DTYPE_MXFP4_GGUF ? 17 : 34;
}

SPECIALISED size_t data_offset(enum dtype dtype)
{
    return dtype == DTYPE_MXFP4 ? 0 : dtype == DTYPE_MXFP4_GGUF ? 1 : 2;
}

/* Four rows `step` apart; the last row stands for those behind it. */
struct rows4 {
    const uint8_t *data[4], *scales[4];
};

SPECIALISED struct rows4 rows4_at(const struct matrix *w, size_t row, size_t step, size_t row_end)
{
    struct rows4 rows;
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        size_t r = row + i * step < row_end ? row + i * step : row_end - 1;
        rows.data[i] = w->data + r * w->row_stride;
        rows.scales[i] = w->scales ? w->scales + r * w->scale_stride : NULL;
    }
    return rows;
}

/* A row's group g into the cache. */
SPECIALISED void prefetch_group(const uint8_t *row, enum dtype dtype, size_t g)
{
    size_t n_bytes = 4 * block_bytes(dtype);
#pragma GCC unroll 3
    for (size_t at = 0; at < n_bytes; at += 64)
        _mm_prefetch((const char *)row + g * n_bytes + at, _MM_HINT_T0);
}

/* Constants of a format, kept in registers while rows are unpacked. */
struct decoder {
    __m512i to_bytes; /* FP4: the value of each nibble; Q8_0: what a byte is xored with */
    __m512i compact;  /* GGUF: the bytes of 4 blocks without their scales */
    __m512i pick;     /* the scales' places among 64 bytes of a row, */
    __m512i next;     /* MXFP4: and the step from a group's to the next one's */
};

/* What makes the weights unsigned, as vpdpbusd wants them. */
SPECIALISED int weight_bias(enum dtype dtype)
{
    return dtype == DTYPE_Q8_0 ? 128 : 12;
}

/* vpermb ignores an index's two top bits; as the table repeats, the next two do not matter either,
 * and nibbles need no masking. */
SPECIALISED __m512i byte_table(enum dtype dtype)
{
    const __m128i fp4 = _mm_loadu_si128((const __m128i *)(const void *)FP4_DOUBLED);
    char bias = (char)weight_bias(dtype);
    if (dtype == DTYPE_Q8_0) return _mm512_set1_epi8(bias); /* + 128 flips the highest bit */
    return _mm512_broadcast_i32x4(_mm_add_epi8(fp4, _mm_set1_epi8(bias)));
}

SPECIALISED struct decoder decoder_for(enum dtype dtype)
{
    struct decoder c = {.to_bytes = keep(byte_table(dtype))};
    const __m512i block = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i row = _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
    c.compact = c.pick = c.next = _mm512_setzero_si512();
    if (dtype == DTYPE_MXFP4) { /* byte 3 of lane (block, row): byte `block` of lane `row` */
        c.pick = keep(_mm512_slli_epi32(_mm512_add_epi32(_mm512_slli_epi32(row, 4), block), 24));
        c.next = keep(_mm512_set1_epi32(4 << 24));
    } else if (dtype == DTYPE_MXFP4_GGUF) { /* byte 3 of lane (block, row): byte 17 * block */
        c.pick = keep(_mm512_slli_epi32(_mm512_mullo_epi32(block, _mm512_set1_epi32(17)), 24));
        const __m512i i = _mm512_broadcast_i32x4(
            _mm_setr_epi8(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16));
        c.compact = keep(_mm512_add_epi8(
            i, _mm512_mullo_epi32(block, _mm512_set1_epi32(0x11111111)))); /* 17 * block */
    } else { /* 16-bit lanes of 4 blocks x 4 rows: bytes 0 and 34 of each half group */
        c.pick = keep(_mm512_broadcast_i32x4(
            _mm_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 34, 35, 34, 35, 34, 35, 34, 35)));
    }
    return c;
}

/* e8m0 in the top byte of each lane, zeros below it. Lanes outside `lanes` become 1: zero would
 * give a denormal number, which is slow to multiply. */
SPECIALISED __m512 float_from_e8m0_top(__m512i x, __mmask16 lanes)
{
    x = _mm512_max_epu32(_mm512_srli_epi32(x, 1), _mm512_set1_epi32(0x00400000));
    return _mm512_mask_mov_ps(_mm512_set1_ps(1), lanes, _mm512_castsi512_ps(x));
}

/* The next 16 blocks' scale bytes of four rows; 1 where there are no more. */
SPECIALISED __m512i load_scale_bytes(const struct rows4 *rows, size_t b, size_t n_blocks)
{
    const __m128i one = _mm_set1_epi8(127);
    __mmask16 m = lanes_below(n_blocks - b);
    __m512i z = _mm512_castsi128_si512(_mm_mask_loadu_epi8(one, m, rows->scales[0] + b));
    z = _mm512_inserti32x4(z, _mm_mask_loadu_epi8(one, m, rows->scales[1] + b), 1);
    z = _mm512_inserti32x4(z, _mm_mask_loadu_epi8(one, m, rows->scales[2] + b), 2);
    return _mm512_inserti32x4(z, _mm_mask_loadu_epi8(one, m, rows->scales[3] + b), 3);
}

/* MXFP4, whose scales stand apart: what four rows' scales are taken from. For the other formats
 * there is nothing to do. Groups come in order, from a multiple of 4. */
struct scale_bytes {
    __m512i bytes; /* of 16 blocks, one row a lane */
    __m512i at;    /* places of this group's */
};

SPECIALISED void next_scales(struct scale_bytes *s, const struct decoder *c,
                             const struct rows4 *rows, enum dtype dtype, size_t g, size_t n_blocks)
{
    if (dtype != DTYPE_MXFP4) return;
    s->at = _mm512_add_epi32(s->at, c->next);
    if (g % 4) return;
    s->bytes = load_scale_bytes(rows, 4 * g, n_blocks);
    s->at = c->pick;
}

/* The scales of the n (1 to 4) blocks of group g in four rows: [4 blocks][4 rows]. */
SPECIALISED __m512 load_scales(const struct scale_bytes *s, const struct decoder *c,
                               const struct rows4 *rows, enum dtype dtype, size_t g, size_t n)
{
    __m512i x = _mm512_setzero_si512();
    if (dtype == DTYPE_MXFP4) {
        x = _mm512_maskz_permutexvar_epi8(UINT64_C(0x8888888888888888), s->at, s->bytes);
        return float_from_e8m0_top(x, 0xffff);
    }
    if (dtype == DTYPE_MXFP4_GGUF) {
        __mmask64 bytes = n == 4 ? ~UINT64_C(0) : (UINT64_C(1) << 17 * n) - 1;
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            __m512i z = _mm512_maskz_loadu_epi8(bytes, rows->data[i] + g * 68);
            x = _mm512_mask_permutexvar_epi8(x, UINT64_C(0x0008000800080008) << 4 * i, c->pick, z);
        }
        return float_from_e8m0_top(x, lanes_below(4 * n));
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        size_t left = n > 2 * (size_t)half ? n - 2 * (size_t)half : 0;
        __mmask64 bytes = left >= 2 ? ~UINT64_C(0) : (UINT64_C(1) << 34 * left) - 1;
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            __m512i z = _mm512_maskz_loadu_epi8(bytes, rows->data[i] + g * 136 + half * 68);
            x = _mm512_mask_permutexvar_epi8(x, UINT64_C(0x0303) << (2 * i + 16 * half), c->pick,
                                             z);
        }
    }
    return _mm512_cvtph_ps(_mm512_castsi512_si256(x));
}

/* ---- panels -------------------------------------------------------------------------------- */

enum {
    PANEL_ROWS = 16,
    WIDE_ROWS = 2 * PANEL_ROWS,
    WIDE_GROUPS = 8 /* unpacked at a time: they fit the first cache */
};

/* 1.5 * 2^23: an integer below 2^22 added to its bits is added to its value, so that a sum that
 * started at MAGIC_BITS becomes a float by subtracting MAGIC. */
#define MAGIC 0x1.8p+23f
#define MAGIC_BITS 0x4b400000

/* A block of 32 rows; lane = row of its panel. */
struct wide_block {
    __m512i w[2][8];           /* bytes k = 4 i .. 4 i + 3 of the block's packed order */
    __m512 scale[2], shift[2]; /* halved for FP4; shift = -MAGIC * scale */
};

struct exponents {
    uint32_t min, max;
};

/* 16 bytes at `offset` of each of 16 rows -> dword i of every row. */
SPECIALISED void load_transposed(__m512i v[4], const struct rows4 rows[4], size_t offset)
{
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) { /* rows j, j + 4, j + 8, j + 12, one a lane */
        __m512i z =
            _mm512_castsi128_si512(_mm_loadu_si128((const void *)(rows[0].data[j] + offset)));
        z = _mm512_inserti32x4(z, _mm_loadu_si128((const void *)(rows[1].data[j] + offset)), 1);
        z = _mm512_inserti32x4(z, _mm_loadu_si128((const void *)(rows[2].data[j] + offset)), 2);
        v[j] = _mm512_inserti32x4(z, _mm_loadu_si128((const void *)(rows[3].data[j] + offset)), 3);
    }
    __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
    __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi64(a, c), v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d), v[3] = _mm512_unpackhi_epi64(b, d);
}

SPECIALISED void wide_unpack_block(__m512i out[8], const struct decoder *c,
                                   const struct rows4 rows[4], enum dtype dtype, size_t b)
{
    size_t offset = b * block_bytes(dtype) + data_offset(dtype);
    __m512i v[4];
    load_transposed(v, rows, offset);
    if (dtype == DTYPE_Q8_0) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) out[i] = _mm512_xor_si512(v[i], c->to_bytes);
        load_transposed(v, rows, offset + 16);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) out[4 + i] = _mm512_xor_si512(v[i], c->to_bytes);
    } else {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            out[i] = _mm512_permutexvar_epi8(v[i], c->to_bytes);
            out[4 + i] = _mm512_permutexvar_epi8(_mm512_srli_epi16(v[i], 4), c->to_bytes);
        }
    }
}

/* [4 rows][4 blocks][4 rows] to [4 blocks][16 rows] */
SPECIALISED void transpose_scales(__m512 s[4])
{
    __m512 a = _mm512_shuffle_f32x4(s[0], s[1], 0x44), b = _mm512_shuffle_f32x4(s[0], s[1], 0xee);
    __m512 c = _mm512_shuffle_f32x4(s[2], s[3], 0x44), d = _mm512_shuffle_f32x4(s[2], s[3], 0xee);
    s[0] = _mm512_shuffle_f32x4(a, c, 0x88), s[1] = _mm512_shuffle_f32x4(a, c, 0xdd);
    s[2] = _mm512_shuffle_f32x4(b, d, 0x88), s[3] = _mm512_shuffle_f32x4(b, d, 0xdd);
}

/* Groups [g_begin, g_end), g_begin a multiple of 4, of rows [row, row + 16) into panel `half` of
 * blocks [4][WIDE_GROUPS]; rows from row_end on repeat the last. Returns the lowest and the highest
 * exponent of the scales. */
SPECIALISED struct exponents wide_unpack(struct wide_block *blocks, const struct matrix *w,
                                         size_t row, size_t row_end, size_t half, size_t g_begin,
                                         size_t g_end, enum dtype dtype)
{
    size_t n_blocks = w->n_cols / QUANT_BLOCK;
    const __m512 factor = _mm512_set1_ps(dtype == DTYPE_Q8_0 ? 1.0f : 0.5f);
    const struct decoder c = decoder_for(dtype);
    struct rows4 rows[4];
    struct scale_bytes s[4] = {0};
    __m512i min = _mm512_set1_epi32(-1), max = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) rows[j] = rows4_at(w, row + 4 * j, 1, row_end);
    size_t ahead = row + WIDE_ROWS < row_end ? WIDE_ROWS * w->row_stride : 0;
    for (size_t g = g_begin; g < g_end; g++) {
        size_t n = n_blocks - 4 * g < 4 ? n_blocks - 4 * g : 4;
        __m512 scales[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) /* the next rows in this place */
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) prefetch_group(rows[j].data[i] + ahead, dtype, g);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            next_scales(&s[j], &c, &rows[j], dtype, g, n_blocks);
            scales[j] = n == 4 ? load_scales(&s[j], &c, &rows[j], dtype, g, 4)
                               : load_scales(&s[j], &c, &rows[j], dtype, g, n);
        }
        transpose_scales(scales);
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++) {
            if (k >= n) break;
            struct wide_block *block = blocks + k * WIDE_GROUPS + g - g_begin;
            wide_unpack_block(block->w[half], &c, rows, dtype, 4 * g + k);
            block->scale[half] = _mm512_mul_ps(scales[k], factor);
            if (dtype == DTYPE_Q8_0) continue;
            block->shift[half] = _mm512_mul_ps(block->scale[half], _mm512_set1_ps(-MAGIC));
            min = _mm512_min_epu32(min, _mm512_castps_si512(block->scale[half]));
            max = _mm512_max_epu32(max, _mm512_castps_si512(block->scale[half]));
        }
    }
    return (struct exponents){_mm512_reduce_min_epu32(min) >> 23,
                              _mm512_reduce_max_epu32(max) >> 23};
}

#endif
