/* kernels_avx512_q8.c - quantised weights x int8 activations with AVX-512 VNNI and VBMI.
 *
 * Two forms of the same sums (order "sum4", docs/kernels.md):
 *   narrow  1 to NARROW_MAX tokens. A vector is 4 blocks x 4 parts-of-a-block of one row; four rows
 *           are unpacked once, multiplied by each token, and one transposition adds the parts up to
 *           a vector of 4 blocks x 4 rows. Runs at the speed of memory.
 *   wide    more tokens. 32 rows are unpacked into two panels, transposed so that a lane is a row;
 *           tiles of 32 rows x WIDE_TOKENS tokens go over them in 4 passes, one for each partial
 *           sum. Runs at the speed of the multipliers.
 *
 * Weights become unsigned (FP4 + 12, Q8_0 + 128) because vpdpbusd wants it; the integer sum starts
 * at minus that times the sum of the activations. */
#include "device/cpu/kernels_avx512.h"

enum {
    NARROW_MAX = 5,
    NARROW_AHEAD = 12 << 10, /* bytes prefetched before they are used */
    PANEL_ROWS = 16,
    WIDE_ROWS = 2 * PANEL_ROWS,
    WIDE_TOKENS = 6
};

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

SPECIALISED int weight_bias(enum dtype dtype)
{
    return dtype == DTYPE_Q8_0 ? 128 : 12;
}

/* vpermb ignores an index's two top bits; as the table repeats, the next two do not matter either,
 * and nibbles need no masking. */
static inline __m512i fp4_table(void)
{
    return _mm512_broadcast_i32x4(
        _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
}

static inline __m512i fp4_low(__m512i nibbles)
{
    return _mm512_permutexvar_epi8(nibbles, fp4_table());
}

static inline __m512i fp4_high(__m512i nibbles)
{
    return _mm512_permutexvar_epi8(_mm512_srli_epi16(nibbles, 4), fp4_table());
}

/* Q8_0: + 128 */
static inline __m512i q8_unsigned(__m512i values)
{
    return _mm512_xor_si512(values, _mm512_set1_epi8((char)0x80));
}

/* 16 bytes from each of n addresses, one a lane; the other lanes are 0. */
SPECIALISED __m512i load_lanes(const uint8_t *a, const uint8_t *b, const uint8_t *c,
                               const uint8_t *d, size_t n)
{
    __m512i z = _mm512_zextsi128_si512(_mm_loadu_si128((const void *)a));
    if (n > 1) z = _mm512_inserti32x4(z, _mm_loadu_si128((const void *)b), 1);
    if (n > 2) z = _mm512_inserti32x4(z, _mm_loadu_si128((const void *)c), 2);
    if (n > 3) z = _mm512_inserti32x4(z, _mm_loadu_si128((const void *)d), 3);
    return z;
}

/* Four rows; where fewer are left, the last one repeats. */
struct rows4 {
    const uint8_t *data[4], *scales[4];
};

static struct rows4 rows4_at(const struct matrix *w, size_t row, size_t row_end)
{
    struct rows4 rows = {0};
    for (size_t i = 0; i < 4; i++) {
        size_t r = row + i < row_end ? row + i : row_end - 1;
        rows.data[i] = w->data + r * w->row_stride;
        if (w->scales) rows.scales[i] = w->scales + r * w->scale_stride;
    }
    return rows;
}

/* e8m0 in the top byte of each lane, zeros below it. Lanes outside `lanes` become 1: zero would
 * give a denormal number, which is slow to multiply. */
static inline __m512 float_from_e8m0_top(__m512i x, __mmask16 lanes)
{
    x = _mm512_max_epu32(_mm512_srli_epi32(x, 1), _mm512_set1_epi32(0x00400000));
    return _mm512_mask_mov_ps(_mm512_set1_ps(1), lanes, _mm512_castsi512_ps(x));
}

SPECIALISED __m512 load_scales_mxfp4(const struct rows4 *rows, size_t g, size_t n)
{
    uint32_t e[4] = {0}; /* of a row's 4 blocks */
    for (int i = 0; i < 4; i++) memcpy(&e[i], rows->scales[i] + 4 * g, n);
    __m128i bytes = _mm_setr_epi32((int)e[0], (int)e[1], (int)e[2], (int)e[3]);
    const __m512i transposed =
        _mm512_cvtepu8_epi32(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m512i x = _mm512_maskz_permutexvar_epi8(UINT64_C(0x8888888888888888),
                                              _mm512_slli_epi32(transposed, 24),
                                              _mm512_castsi128_si512(bytes));
    return float_from_e8m0_top(x, lanes_below(4 * n));
}

/* A row's scales stand at bytes 0, 17, 34 and 51 of its group: one vpermb takes them out. */
SPECIALISED __m512 load_scales_gguf(const struct rows4 *rows, size_t g, size_t n)
{
    const __m512i at =
        _mm512_setr_epi32(0, 0, 0, 0, 17 << 24, 17 << 24, 17 << 24, 17 << 24, 34 << 24, 34 << 24,
                          34 << 24, 34 << 24, 51 << 24, 51 << 24, 51 << 24, 51 << 24);
    __mmask64 bytes = n == 4 ? ~UINT64_C(0) : (UINT64_C(1) << 17 * n) - 1;
    __m512i x = _mm512_setzero_si512();
    for (int i = 0; i < 4; i++) {
        __m512i z = _mm512_maskz_loadu_epi8(bytes, rows->data[i] + g * 68);
        x = _mm512_mask_permutexvar_epi8(x, UINT64_C(0x0008000800080008) << 4 * i, at, z);
    }
    return float_from_e8m0_top(x, lanes_below(4 * n));
}

/* f16 at bytes 0 and 34 of each half group. */
SPECIALISED __m512 load_scales_q8_0(const struct rows4 *rows, size_t g, size_t n)
{
    const __m512i at = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 34, 35, 34, 35, 34, 35, 34, 35));
    __m512i x = _mm512_setzero_si512(); /* 16 words [4 blocks][4 rows] */
    for (int half = 0; half < 2; half++) {
        size_t left = n > 2 * (size_t)half ? n - 2 * (size_t)half : 0;
        __mmask64 bytes = left >= 2 ? ~UINT64_C(0) : (UINT64_C(1) << 34 * left) - 1;
        for (int i = 0; i < 4; i++) {
            __m512i z = _mm512_maskz_loadu_epi8(bytes, rows->data[i] + g * 136 + half * 68);
            x = _mm512_mask_permutexvar_epi8(x, UINT64_C(0x0303) << (2 * i + 16 * half), at, z);
        }
    }
    return _mm512_cvtph_ps(_mm512_castsi512_si256(x));
}

/* The scales of the n (1 to 4) blocks of group g in four rows: [4 blocks][4 rows]. */
SPECIALISED __m512 load_scales(const struct rows4 *rows, enum dtype dtype, size_t g, size_t n)
{
    return dtype == DTYPE_MXFP4        ? load_scales_mxfp4(rows, g, n)
           : dtype == DTYPE_MXFP4_GGUF ? load_scales_gguf(rows, g, n)
                                       : load_scales_q8_0(rows, g, n);
}

/* ---- narrow -------------------------------------------------------------------------------- */

/* A token's group of 4 blocks, as the narrow form wants it; lane = 4 * block + ... */
struct narrow_group {
    int32_t start[16]; /* ... part: -weight_bias * sum of what the part multiplies */
    float scale[16];   /* ... row: the block's scale, halved for FP4 */
    int8_t x[2][64];   /* ... part: 4 + 4 bytes of the block, for the low and the high nibbles */
};

SPECIALISED void narrow_prepare(struct narrow_group *out, const void *row, size_t n_cols,
                                enum dtype dtype)
{
    const __m512i repeat = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i bias = _mm512_set1_epi8((char)weight_bias(dtype));
    const __m512 factor = _mm512_set1_ps(dtype == DTYPE_Q8_0 ? 1.0f : 0.5f);
    for (size_t g = 0; g < q8_groups(n_cols); g++, out++) {
        const int8_t *values = q8_values(row) + g * Q8_GROUP;
        __m512i low = _mm512_loadu_si512(values), high = _mm512_loadu_si512(values + 64);
        if (dtype == DTYPE_Q8_0) { /* natural order to first and second halves of blocks */
            __m512i natural = low;
            low = _mm512_shuffle_i64x2(natural, high, 0x88);
            high = _mm512_shuffle_i64x2(natural, high, 0xdd);
        }
        __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), bias, low);
        sums = _mm512_dpbusd_epi32(sums, bias, high);
        __m128 d = _mm_loadu_ps(q8_scales(row, n_cols) + 4 * g);
        __m512 scale = _mm512_permutexvar_ps(repeat, _mm512_castps128_ps512(d));
        _mm512_store_si512(out->start, _mm512_sub_epi32(_mm512_setzero_si512(), sums));
        _mm512_store_ps(out->scale, _mm512_mul_ps(scale, factor));
        _mm512_store_si512(out->x[0], low);
        _mm512_store_si512(out->x[1], high);
    }
}

/* Four rows' 4 blocks of group g as unsigned bytes, lane = block: [0] meets x[0], [1] x[1]. */
SPECIALISED void narrow_unpack(__m512i w[2][4], const struct rows4 *rows, enum dtype dtype,
                               size_t g, size_t n)
{
    size_t step = block_bytes(dtype);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const uint8_t *p = rows->data[i] + g * 4 * step + data_offset(dtype);
        if (dtype == DTYPE_Q8_0) {
            w[0][i] = q8_unsigned(load_lanes(p, p + 34, p + 68, p + 102, n));
            w[1][i] = q8_unsigned(load_lanes(p + 16, p + 50, p + 84, p + 118, n));
        } else {
            __m512i q = dtype == DTYPE_MXFP4 ? _mm512_maskz_loadu_epi32(lanes_below(4 * n), p)
                                             : load_lanes(p, p + 17, p + 34, p + 51, n);
            w[0][i] = fp4_low(q), w[1][i] = fp4_high(q);
        }
    }
}

/* [row][4 blocks][4 parts] to [4 blocks][4 rows], parts added. */
SPECIALISED __m512i narrow_add_parts(const __m512i p[4], enum dtype dtype)
{
    if (dtype == DTYPE_Q8_0) {
        __m512i p01 =
            _mm512_add_epi32(_mm512_unpacklo_epi32(p[0], p[1]), _mm512_unpackhi_epi32(p[0], p[1]));
        __m512i p23 =
            _mm512_add_epi32(_mm512_unpacklo_epi32(p[2], p[3]), _mm512_unpackhi_epi32(p[2], p[3]));
        return _mm512_add_epi32(_mm512_unpacklo_epi64(p01, p23), _mm512_unpackhi_epi64(p01, p23));
    }
    /* FP4's parts are below 12 * 8 * 127 and their sums below 12 * 16 * 127: 16 bits hold them. */
    const __m512i one = _mm512_set1_epi16(1);
    __m512i p01 = _mm512_madd_epi16(_mm512_packs_epi32(p[0], p[1]), one);
    __m512i p23 = _mm512_madd_epi16(_mm512_packs_epi32(p[2], p[3]), one);
    return _mm512_madd_epi16(_mm512_packs_epi32(p01, p23), one);
}

/* Group g of four rows onto the partial sums of every token. */
SPECIALISED void narrow_step(__m512 *f, const struct narrow_group *x, size_t n_groups,
                             const struct rows4 *rows, enum dtype dtype, size_t g, size_t n,
                             size_t n_tokens)
{
    __m512i w[2][4];
    narrow_unpack(w, rows, dtype, g, n);
    __m512 scales = load_scales(rows, dtype, g, n);
#pragma GCC unroll 8
    for (size_t t = 0; t < n_tokens; t++) {
        const struct narrow_group *xt = &x[t * n_groups + g];
        __m512i low = _mm512_load_si512(xt->x[0]), high = _mm512_load_si512(xt->x[1]), p[4];
        __m512i start = _mm512_load_si512(xt->start);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            p[i] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(start, w[0][i], low), w[1][i], high);
        __m512 sums = _mm512_cvtepi32_ps(narrow_add_parts(p, dtype));
        f[t] = _mm512_fmadd_ps(sums, _mm512_mul_ps(scales, _mm512_load_ps(xt->scale)), f[t]);
    }
}

SPECIALISED void narrow_rows(const struct linear_args *args, const struct narrow_group *x,
                             size_t row_begin, size_t row_end, struct ahead *ahead,
                             enum dtype dtype, size_t n_tokens)
{
    const struct matrix *w = args->w;
    size_t n_blocks = w->n_cols / QUANT_BLOCK, n_groups = q8_groups(w->n_cols);
    for (size_t row = row_begin; row < row_end; row += 4) {
        struct rows4 rows = rows4_at(w, row, row_end);
        __m512 f[8];
        for (size_t t = 0; t < n_tokens; t++) f[t] = _mm512_setzero_ps();
        for (size_t g = 0; g < n_blocks / 4; g++) {
            for (size_t i = 0; i < (dtype == DTYPE_Q8_0 ? 3 : 1); i++)
                AHEAD_STEP(ahead, _MM_HINT_T0);
            narrow_step(f, x, n_groups, &rows, dtype, g, 4, n_tokens);
        }
        if (n_blocks % 4)
            narrow_step(f, x, n_groups, &rows, dtype, n_blocks / 4, n_blocks % 4, n_tokens);
        for (size_t t = 0; t < n_tokens; t++) {
            __m128 f01 =
                _mm_add_ps(_mm512_extractf32x4_ps(f[t], 0), _mm512_extractf32x4_ps(f[t], 1));
            __m128 f23 =
                _mm_add_ps(_mm512_extractf32x4_ps(f[t], 2), _mm512_extractf32x4_ps(f[t], 3));
            _mm_mask_storeu_ps(args->y[t] + row, (__mmask8)lanes_below(row_end - row),
                               _mm_add_ps(f01, f23));
        }
    }
}

SPECIALISED void narrow(const struct linear_args *args, size_t row_begin, size_t row_end,
                        enum dtype dtype)
{
    const struct matrix *w = args->w;
    struct narrow_group *x = args->scratch; /* [n_tokens][n_groups] */
    size_t row_bytes = dtype_row_bytes(dtype, w->n_cols);
    struct ahead ahead = ahead_start(w, row_begin, row_end, NARROW_AHEAD / row_bytes + 1);
    for (size_t t = 0; t < args->n_tokens; t++)
        narrow_prepare(x + t * q8_groups(w->n_cols), args->x[t], w->n_cols, dtype);
    switch (args->n_tokens) {
    case 1: narrow_rows(args, x, row_begin, row_end, &ahead, dtype, 1); break;
    case 2: narrow_rows(args, x, row_begin, row_end, &ahead, dtype, 2); break;
    case 3: narrow_rows(args, x, row_begin, row_end, &ahead, dtype, 3); break;
    case 4: narrow_rows(args, x, row_begin, row_end, &ahead, dtype, 4); break;
    default: narrow_rows(args, x, row_begin, row_end, &ahead, dtype, 5); break;
    }
}

/* ---- wide ---------------------------------------------------------------------------------- */

/* A block of 32 rows; lane = row of its panel. */
struct wide_block {
    __m512i w[2][8];           /* unsigned bytes k = 4 i .. 4 i + 3 of the block's packed order */
    __m512 scale[2], shift[2]; /* shift: -MAGIC * scale */
};

/* 1.5 * 2^23: an integer below 2^22 added to its bits is added to its value, so that a sum that
 * started at MAGIC_BITS becomes a float by subtracting MAGIC. */
#define MAGIC 0x1.8p+23f
#define MAGIC_BITS 0x4b400000

/* A token of a tile: for each block the start of its integer sum and its scale. */
struct wide_token {
    const int8_t *values;
    const int32_t *start;
    const float *scale;
};

struct wide_scratch {
    struct wide_block *blocks;     /* the blocks of partial sum 0 in order, then those of 1, 2, 3 */
    int32_t *start;                /* [WIDE_TOKENS][n_groups * 4] */
    float *scale;                  /* likewise */
    uint32_t scale_min, scale_max; /* of the blocks, as bits */
};

static size_t wide_scratch_bytes(size_t n_cols)
{
    return q8_groups(n_cols) * 4 * (sizeof(struct wide_block) + WIDE_TOKENS * 8) + 128;
}

static struct wide_scratch wide_scratch_at(void *scratch, size_t n_cols)
{
    size_t n = q8_groups(n_cols) * 4;
    uint8_t *p = scratch;
    struct wide_scratch s = {.blocks = scratch};
    s.start = (int32_t *)(void *)(p + n * sizeof(struct wide_block));
    s.scale = (float *)(void *)(s.start + WIDE_TOKENS * n);
    return s;
}

/* Where block b is kept: blocks of the same partial sum are neighbours. */
static inline size_t wide_index(size_t b, size_t n_blocks)
{
    size_t before = 0;
    for (size_t k = 0; k < b % 4; k++) before += (n_blocks - k + 3) / 4;
    return before + b / 4;
}

/* Four vectors of 4 rows' 4 dwords (vector j: rows j, j + 4, j + 8, j + 12) to lane = row. */
static inline void transpose_lanes(__m512i v[4])
{
    __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
    __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi64(a, c), v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d), v[3] = _mm512_unpackhi_epi64(b, d);
}

/* 16 bytes at `offset` of each of 16 rows -> dword i of every row. */
static inline void load_transposed(__m512i v[4], const struct rows4 rows[4], size_t offset)
{
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        v[j] = load_lanes(rows[0].data[j] + offset, rows[1].data[j] + offset,
                          rows[2].data[j] + offset, rows[3].data[j] + offset, 4);
    transpose_lanes(v);
}

SPECIALISED void wide_unpack_data(__m512i out[8], const struct rows4 rows[4], enum dtype dtype,
                                  size_t b)
{
    size_t offset = b * block_bytes(dtype) + data_offset(dtype);
    __m512i v[4];
    load_transposed(v, rows, offset);
    if (dtype == DTYPE_Q8_0) {
        for (int i = 0; i < 4; i++) out[i] = q8_unsigned(v[i]);
        load_transposed(v, rows, offset + 16);
        for (int i = 0; i < 4; i++) out[4 + i] = q8_unsigned(v[i]);
    } else {
        for (int i = 0; i < 4; i++) out[i] = fp4_low(v[i]), out[4 + i] = fp4_high(v[i]);
    }
}

/* Rows [row, row + 16) into panel `half`; rows from row_end on repeat the last. */
SPECIALISED void wide_unpack(struct wide_scratch *s, const struct matrix *w, size_t row,
                             size_t row_end, int half, struct ahead *ahead, enum dtype dtype)
{
    size_t n_blocks = w->n_cols / QUANT_BLOCK;
    struct rows4 rows[4];
    __m512i min = _mm512_set1_epi32(-1), max = _mm512_setzero_si512();
    for (size_t j = 0; j < 4; j++) rows[j] = rows4_at(w, row + 4 * j, row_end);

    for (size_t b = 0; b < n_blocks; b += 4) {
        size_t n = n_blocks - b < 4 ? n_blocks - b : 4;
        __m512i scales[4]; /* [row / 4]: [4 blocks][4 rows], then [block]: 16 rows */
        for (int j = 0; j < 4; j++)
            scales[j] = _mm512_castps_si512(n == 4 ? load_scales(&rows[j], dtype, b / 4, 4)
                                                   : load_scales(&rows[j], dtype, b / 4, n));
        __m512i t0 = _mm512_shuffle_i32x4(scales[0], scales[1], 0x44);
        __m512i t1 = _mm512_shuffle_i32x4(scales[0], scales[1], 0xee);
        __m512i t2 = _mm512_shuffle_i32x4(scales[2], scales[3], 0x44);
        __m512i t3 = _mm512_shuffle_i32x4(scales[2], scales[3], 0xee);
        scales[0] = _mm512_shuffle_i32x4(t0, t2, 0x88);
        scales[1] = _mm512_shuffle_i32x4(t0, t2, 0xdd);
        scales[2] = _mm512_shuffle_i32x4(t1, t3, 0x88);
        scales[3] = _mm512_shuffle_i32x4(t1, t3, 0xdd);
        for (size_t i = 0; i < n; i++) {
            struct wide_block *block = &s->blocks[wide_index(b + i, n_blocks)];
            AHEAD_STEP(ahead, _MM_HINT_T0);
            wide_unpack_data(block->w[half], rows, dtype, b + i);
            block->scale[half] = _mm512_castsi512_ps(scales[i]);
            if (dtype == DTYPE_Q8_0) continue;
            block->shift[half] = _mm512_mul_ps(block->scale[half], _mm512_set1_ps(-MAGIC));
            min = _mm512_min_epu32(min, scales[i]), max = _mm512_max_epu32(max, scales[i]);
        }
    }
    uint32_t low = _mm512_reduce_min_epu32(min), high = _mm512_reduce_max_epu32(max);
    s->scale_min = half && s->scale_min < low ? s->scale_min : low;
    s->scale_max = half && s->scale_max > high ? s->scale_max : high;
}

/* Fills a tile's tokens; returns whether the short way (wide_tile) gives the contract's bits: all
 * products of two scales normal numbers, so that a power of two may be multiplied in either order.
 */
SPECIALISED bool wide_prepare(struct wide_token *tokens, const struct wide_scratch *s,
                              const void *const *x, size_t n_tokens, size_t n_cols,
                              enum dtype dtype)
{
    size_t n = q8_groups(n_cols) * 4;
    __m512i min = _mm512_set1_epi32(-1), max = _mm512_setzero_si512();
    const __m512i bias = _mm512_set1_epi32(weight_bias(dtype));
    const __m512 factor = _mm512_set1_ps(dtype == DTYPE_Q8_0 ? 1.0f : 0.5f);
    for (size_t t = 0; t < n_tokens; t++) {
        const int32_t *sums = q8_sums(x[t], n_cols);
        const float *d = q8_scales(x[t], n_cols);
        tokens[t] = (struct wide_token){q8_values(x[t]), s->start + t * n, s->scale + t * n};
        for (size_t i = 0; i < n; i += 16) {
            __mmask16 lanes = lanes_below(n - i);
            __m512i start = _mm512_mullo_epi32(_mm512_maskz_loadu_epi32(lanes, sums + i), bias);
            start = _mm512_sub_epi32(_mm512_set1_epi32(MAGIC_BITS), start);
            __m512 scale = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, d + i), factor);
            _mm512_mask_storeu_epi32(s->start + t * n + i, lanes, start);
            _mm512_mask_storeu_ps(s->scale + t * n + i, lanes, scale);
            __m512i bits = _mm512_castps_si512(scale);
            max = _mm512_max_epu32(max, bits);
            min = _mm512_min_epu32(min, _mm512_sub_epi32(bits, _mm512_set1_epi32(1))); /* not 0 */
        }
    }
    uint32_t d_min = _mm512_reduce_min_epu32(min) >> 23, d_max = _mm512_reduce_max_epu32(max) >> 23;
    uint32_t w_min = s->scale_min >> 23, w_max = s->scale_max >> 23;
    return dtype != DTYPE_Q8_0 && w_min >= 1 && w_max <= 227 && d_max <= 254 &&
           w_min + d_min >= 130 && w_max + d_max <= 380;
}

/* 32 rows x n_tokens. `power`: the weights' scales are powers of two and wide_prepare agreed: sums
 * become floats and are scaled in one fma. */
SPECIALISED void wide_tile(const struct wide_block *block, const struct wide_token *tokens,
                           size_t n_tokens, size_t n_blocks, enum dtype dtype, bool power,
                           __m512 out[2][WIDE_TOKENS])
{
    __m512 sums[2][WIDE_TOKENS]; /* f0, then f0 + f1, and so on */
    size_t high = dtype == DTYPE_Q8_0 ? 16 : 64, step = dtype == DTYPE_Q8_0 ? 32 : 16;
    for (size_t k = 0; k < 4; k++) {
        __m512 f[2][WIDE_TOKENS];
#pragma GCC unroll 8
        for (size_t t = 0; t < n_tokens; t++) f[0][t] = f[1][t] = _mm512_setzero_ps();
        for (size_t b = k; b < n_blocks; b += 4, block++) {
            __m512i acc[2][WIDE_TOKENS];
            size_t at = b / 4 * Q8_GROUP + k * step;
#pragma GCC unroll 8
            for (size_t t = 0; t < n_tokens; t++) {
                acc[0][t] = _mm512_set1_epi32(tokens[t].start[b]);
                acc[1][t] = acc[0][t];
            }
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++) {
                __m512i w0 = block->w[0][i], w1 = block->w[1][i];
                size_t from = at + (i < 4 ? 4 * i : high + 4 * (i - 4));
#pragma GCC unroll 8
                for (size_t t = 0; t < n_tokens; t++) {
                    int32_t bytes;
                    memcpy(&bytes, tokens[t].values + from, 4);
                    __m512i x = _mm512_set1_epi32(bytes);
                    acc[0][t] = _mm512_dpbusd_epi32(acc[0][t], w0, x);
                    acc[1][t] = _mm512_dpbusd_epi32(acc[1][t], w1, x);
                }
            }
#pragma GCC unroll 8
            for (size_t t = 0; t < n_tokens; t++) {
                __m512 d = _mm512_set1_ps(tokens[t].scale[b]);
#pragma GCC unroll 2
                for (int h = 0; h < 2; h++) {
                    __m512 sum = _mm512_castsi512_ps(acc[h][t]); /* + MAGIC */
                    if (power) {
                        sum = _mm512_fmadd_ps(sum, block->scale[h], block->shift[h]);
                        f[h][t] = _mm512_fmadd_ps(sum, d, f[h][t]);
                    } else {
                        sum = _mm512_sub_ps(sum, _mm512_set1_ps(MAGIC));
                        f[h][t] = _mm512_fmadd_ps(sum, _mm512_mul_ps(block->scale[h], d), f[h][t]);
                    }
                }
            }
        }
#pragma GCC unroll 8
        for (size_t t = 0; t < n_tokens; t++)
#pragma GCC unroll 2
            for (int h = 0; h < 2; h++)
                if (k == 0) out[h][t] = f[h][t];
                else if (k == 1) out[h][t] = _mm512_add_ps(out[h][t], f[h][t]);
                else if (k == 2) sums[h][t] = f[h][t];
                else out[h][t] = _mm512_add_ps(out[h][t], _mm512_add_ps(sums[h][t], f[h][t]));
    }
}

SPECIALISED void wide_tile_any(const struct wide_scratch *s, const struct wide_token *tokens,
                               size_t n_tokens, size_t n_blocks, enum dtype dtype, bool power,
                               __m512 out[2][WIDE_TOKENS])
{
    switch (n_tokens) {
    case 1: wide_tile(s->blocks, tokens, 1, n_blocks, dtype, power, out); break;
    case 2: wide_tile(s->blocks, tokens, 2, n_blocks, dtype, power, out); break;
    case 3: wide_tile(s->blocks, tokens, 3, n_blocks, dtype, power, out); break;
    case 4: wide_tile(s->blocks, tokens, 4, n_blocks, dtype, power, out); break;
    case 5: wide_tile(s->blocks, tokens, 5, n_blocks, dtype, power, out); break;
    default: wide_tile(s->blocks, tokens, 6, n_blocks, dtype, power, out); break;
    }
}

SPECIALISED void wide(const struct linear_args *args, size_t row_begin, size_t row_end,
                      enum dtype dtype)
{
    const struct matrix *w = args->w;
    size_t n_blocks = w->n_cols / QUANT_BLOCK, m = args->n_tokens;
    size_t n_tiles = (m + WIDE_TOKENS - 1) / WIDE_TOKENS;
    struct wide_scratch s = wide_scratch_at(args->scratch, w->n_cols);
    struct ahead ahead = ahead_start(w, row_begin, row_end, PANEL_ROWS);

    for (size_t row = row_begin; row < row_end; row += WIDE_ROWS) {
        for (size_t h = 0; h < 2; h++)
            wide_unpack(&s, w, row + h * PANEL_ROWS, row_end, (int)h, &ahead, dtype);
        for (size_t i = 0; i < n_tiles; i++) {
            size_t t0 = m * i / n_tiles, n = m * (i + 1) / n_tiles - t0;
            struct wide_token tokens[WIDE_TOKENS];
            __m512 out[2][WIDE_TOKENS];
            bool power = wide_prepare(tokens, &s, args->x + t0, n, w->n_cols, dtype);
            if (dtype != DTYPE_Q8_0 && power)
                wide_tile_any(&s, tokens, n, n_blocks, dtype, true, out);
            else wide_tile_any(&s, tokens, n, n_blocks, dtype, false, out);
            for (size_t t = 0; t < n; t++)
                for (size_t h = 0, r = row; h < 2 && r < row_end; h++, r += PANEL_ROWS)
                    _mm512_mask_storeu_ps(args->y[t0 + t] + r, lanes_below(row_end - r), out[h][t]);
        }
    }
}

/* ---- the table's entries ------------------------------------------------------------------- */

SPECIALISED void q8_linear(const struct linear_args *args, size_t row_begin, size_t row_end,
                           enum dtype dtype)
{
    if (row_begin >= row_end) return;
    if (args->n_tokens > NARROW_MAX) wide(args, row_begin, row_end, dtype);
    else narrow(args, row_begin, row_end, dtype);
}

void q8_q8_0_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(args, row_begin, row_end, DTYPE_Q8_0);
}

void q8_mxfp4_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(args, row_begin, row_end, DTYPE_MXFP4);
}

void q8_mxfp4_gguf_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(args, row_begin, row_end, DTYPE_MXFP4_GGUF);
}

size_t q8_linear_scratch_bytes_avx512(size_t n_cols)
{
    size_t narrow_bytes = NARROW_MAX * q8_groups(n_cols) * sizeof(struct narrow_group);
    size_t wide_bytes = wide_scratch_bytes(n_cols);
    return narrow_bytes > wide_bytes ? narrow_bytes : wide_bytes;
}
