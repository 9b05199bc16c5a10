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
    NARROW_MAX = 8,
    NARROW_AHEAD = 2 << 10, /* bytes of each stream prefetched before they are used */
    PANEL_ROWS = 16,
    WIDE_ROWS = 2 * PANEL_ROWS,
    WIDE_TOKENS = 6,       /* of a tile */
    WIDE_TOKENS_MAX = 128, /* for which rows are unpacked once */
    WIDE_GROUPS = 8        /* of 4 blocks, unpacked at a time: they fit the first cache */
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
    __m512i to_unsigned; /* FP4: value + 12 of each nibble; Q8_0: the bit that adds 128 */
    __m512i compact;     /* GGUF: the bytes of 4 blocks without their scales */
    __m512i pick;        /* the scales' places among 64 bytes of a row */
    __m512i bytes;       /* MXFP4: scales of 16 blocks, one row a lane, */
    __m512i at, next;    /* the places of this group's and the step to the next one's */
};

/* vpermb ignores an index's two top bits; as the table repeats, the next two do not matter either,
 * and nibbles need no masking. */
static const int8_t FP4_UNSIGNED[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

SPECIALISED struct decoder decoder_for(enum dtype dtype)
{
    struct decoder c;
    const __m512i block = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i row = _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
    c.to_unsigned = keep(dtype == DTYPE_Q8_0 ? _mm512_set1_epi8((char)0x80)
                                             : _mm512_broadcast_i32x4(_mm_loadu_si128(
                                                   (const __m128i *)(const void *)FP4_UNSIGNED)));
    c.bytes = c.compact = c.pick = c.at = c.next = _mm512_setzero_si512();
    if (dtype == DTYPE_MXFP4) { /* byte 3 of lane (block, row): byte `block` of lane `row` */
        c.pick = keep(_mm512_slli_epi32(_mm512_add_epi32(_mm512_slli_epi32(row, 4), block), 24));
        c.next = keep(_mm512_set1_epi32(4 << 24));
    } else if (dtype == DTYPE_MXFP4_GGUF) { /* byte 3 of lane (block, row): byte 17 * block */
        c.pick = keep(_mm512_slli_epi32(_mm512_mullo_epi32(block, _mm512_set1_epi32(17)), 24));
        const __m512i i = _mm512_setr_epi32(0x04030201, 0x08070605, 0x0c0b0a09, 0x100f0e0d,
                                            0x04030201, 0x08070605, 0x0c0b0a09, 0x100f0e0d,
                                            0x04030201, 0x08070605, 0x0c0b0a09, 0x100f0e0d,
                                            0x04030201, 0x08070605, 0x0c0b0a09, 0x100f0e0d);
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

/* The scales of the n (1 to 4) blocks of group g in four rows: [4 blocks][4 rows]. The groups come
 * in order from 0. */
SPECIALISED __m512 load_scales(struct decoder *c, const struct rows4 *rows, enum dtype dtype,
                               size_t g, size_t n, size_t n_blocks)
{
    if (dtype == DTYPE_MXFP4) {
        c->at = _mm512_add_epi32(c->at, c->next);
        if (g % 4 == 0) {
            c->bytes = load_scale_bytes(rows, 4 * g, n_blocks);
            c->at = c->pick;
        }
        __m512i x = _mm512_maskz_permutexvar_epi8(UINT64_C(0x8888888888888888), c->at, c->bytes);
        return float_from_e8m0_top(x, 0xffff);
    }
    __m512i x = _mm512_setzero_si512();
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

/* ---- narrow -------------------------------------------------------------------------------- */

/* A token's group of 4 blocks, as the narrow form wants it; lane = 4 * block + ... */
struct narrow_group {
    int32_t start[16]; /* ... part: -weight_bias * sum of what the part multiplies */
    float scale[16];   /* ... row: the block's scale, halved for FP4 */
    int8_t x[2][64];   /* ... part: 4 + 4 bytes of the block, for the low and the high nibbles */
};

/* Every `stride`-th of out. */
SPECIALISED void narrow_prepare(struct narrow_group *out, size_t stride, const void *row,
                                size_t n_cols, enum dtype dtype)
{
    const __m512i repeat = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i bias = _mm512_set1_epi8((char)weight_bias(dtype));
    const __m512 factor = _mm512_set1_ps(dtype == DTYPE_Q8_0 ? 1.0f : 0.5f);
    for (size_t g = 0; g < q8_groups(n_cols); g++, out += stride) {
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

/* One row's n blocks of a group (p: the group's first byte) as unsigned bytes, lane = block: w[0]
 * meets x[0], w[1] x[1]. */
SPECIALISED void narrow_unpack(__m512i w[2], const struct decoder *c, const uint8_t *p,
                               enum dtype dtype, size_t n)
{
    if (dtype == DTYPE_Q8_0) {
        __m512i a = _mm512_zextsi256_si512(_mm256_loadu_si256((const void *)(p + 2)));
        __m512i b = _mm512_setzero_si512();
        if (n > 1) a = _mm512_inserti64x4(a, _mm256_loadu_si256((const void *)(p + 36)), 1);
        if (n > 2) b = _mm512_zextsi256_si512(_mm256_loadu_si256((const void *)(p + 70)));
        if (n > 3) b = _mm512_inserti64x4(b, _mm256_loadu_si256((const void *)(p + 104)), 1);
        w[0] = _mm512_xor_si512(_mm512_shuffle_i64x2(a, b, 0x88), c->to_unsigned);
        w[1] = _mm512_xor_si512(_mm512_shuffle_i64x2(a, b, 0xdd), c->to_unsigned);
        return;
    }
    __m512i q;
    if (dtype == DTYPE_MXFP4) {
        q = keep(_mm512_maskz_loadu_epi32(lanes_below(4 * n), p)); /* load once */
    } else if (n == 4) { /* 68 bytes: 64, and the last four into the last lane */
        q = _mm512_permutexvar_epi8(c->compact, _mm512_loadu_si512(p));
        q = _mm512_mask_loadu_epi32(q, 0x8000, p + 4);
    } else {
        q = _mm512_maskz_loadu_epi8((UINT64_C(1) << 17 * n) - 1, p);
        q = _mm512_permutexvar_epi8(c->compact, q);
    }
    w[0] = _mm512_permutexvar_epi8(q, c->to_unsigned);
    w[1] = _mm512_permutexvar_epi8(_mm512_srli_epi16(q, 4), c->to_unsigned);
}

/* [row][4 blocks][4 parts] to [4 blocks][4 rows], parts added. */
SPECIALISED __m512i narrow_add_parts(const __m512i p[4], enum dtype dtype, __m512i one)
{
    if (dtype == DTYPE_Q8_0) {
        __m512i p01 =
            _mm512_add_epi32(_mm512_unpacklo_epi32(p[0], p[1]), _mm512_unpackhi_epi32(p[0], p[1]));
        __m512i p23 =
            _mm512_add_epi32(_mm512_unpacklo_epi32(p[2], p[3]), _mm512_unpackhi_epi32(p[2], p[3]));
        return _mm512_add_epi32(_mm512_unpacklo_epi64(p01, p23), _mm512_unpackhi_epi64(p01, p23));
    }
    /* FP4's parts are below 12 * 8 * 127 and their sums below 12 * 16 * 127: 16 bits hold them. */
    __m512i p01 = _mm512_madd_epi16(_mm512_packs_epi32(p[0], p[1]), one);
    __m512i p23 = _mm512_madd_epi16(_mm512_packs_epi32(p[2], p[3]), one);
    return _mm512_madd_epi16(_mm512_packs_epi32(p01, p23), one);
}

/* Group g of four rows onto the partial sums of every token; x: [n_tokens] of that group. */
SPECIALISED void narrow_step(__m512 *f, const struct narrow_group *x, struct decoder *c,
                             const struct rows4 *rows, enum dtype dtype, size_t g, size_t n,
                             size_t n_blocks, size_t n_tokens, __m512i one)
{
    __m512i w[4][2];
    __m512 scales = load_scales(c, rows, dtype, g, n, n_blocks);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        narrow_unpack(w[i], c, rows->data[i] + g * 4 * block_bytes(dtype), dtype, n);
#pragma GCC unroll 8
    for (size_t t = 0; t < n_tokens; t++) {
        __m512i low = _mm512_load_si512(x[t].x[0]), high = _mm512_load_si512(x[t].x[1]), p[4];
        __m512i start = _mm512_load_si512(x[t].start);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            p[i] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(start, w[i][0], low), w[i][1], high);
        __m512 sums = _mm512_cvtepi32_ps(narrow_add_parts(p, dtype, one));
        f[t] = _mm512_fmadd_ps(sums, _mm512_mul_ps(scales, _mm512_load_ps(x[t].scale)), f[t]);
    }
}

/* The four rows come from the four quarters of the range: four streams through memory, each in
 * order, which on 4 KiB pages is faster than one. */
SPECIALISED void narrow_rows(const struct linear_args *args, size_t row_begin, size_t row_end,
                             enum dtype dtype, size_t n_tokens)
{
    const struct matrix *w = args->w;
    struct narrow_group *prepared = args->scratch; /* [n_groups][n_tokens] */
    size_t n_blocks = w->n_cols / QUANT_BLOCK, quarter = (row_end - row_begin + 3) / 4;
    size_t ahead = (NARROW_AHEAD / dtype_row_bytes(dtype, w->n_cols) + 1) * w->row_stride;
    struct decoder c = decoder_for(dtype);
    __m512i one = keep(_mm512_set1_epi16(1));

    for (size_t t = 0; t < n_tokens; t++)
        narrow_prepare(prepared + t, n_tokens, args->x[t], w->n_cols, dtype);
    for (size_t r = 0; r < quarter; r++) {
        struct rows4 rows = rows4_at(w, row_begin + r, quarter, row_end);
        const struct narrow_group *x = prepared;
        __m512 f[NARROW_MAX];
#pragma GCC unroll 8
        for (size_t t = 0; t < n_tokens; t++) f[t] = _mm512_setzero_ps();
        for (size_t g = 0; g < n_blocks / 4; g++, x += n_tokens) {
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) prefetch_group(rows.data[i] + ahead, dtype, g);
            narrow_step(f, x, &c, &rows, dtype, g, 4, n_blocks, n_tokens, one);
        }
        if (n_blocks % 4)
            narrow_step(f, x, &c, &rows, dtype, n_blocks / 4, n_blocks % 4, n_blocks, n_tokens,
                        one);
#pragma GCC unroll 8
        for (size_t t = 0; t < n_tokens; t++) {
            __m128 f01 = _mm_add_ps(_mm512_castps512_ps128(f[t]), _mm512_extractf32x4_ps(f[t], 1));
            __m128 f23 =
                _mm_add_ps(_mm512_extractf32x4_ps(f[t], 2), _mm512_extractf32x4_ps(f[t], 3));
            float y[4];
            _mm_storeu_ps(y, _mm_add_ps(f01, f23));
            for (size_t i = 0, row = row_begin + r; i < 4 && row < row_end; i++, row += quarter)
                args->y[t][row] = y[i];
        }
    }
}

SPECIALISED void narrow(const struct linear_args *args, size_t row_begin, size_t row_end,
                        enum dtype dtype)
{
    switch (args->n_tokens) {
    case 1: narrow_rows(args, row_begin, row_end, dtype, 1); break;
    case 2: narrow_rows(args, row_begin, row_end, dtype, 2); break;
    case 3: narrow_rows(args, row_begin, row_end, dtype, 3); break;
    case 4: narrow_rows(args, row_begin, row_end, dtype, 4); break;
    case 5: narrow_rows(args, row_begin, row_end, dtype, 5); break;
    case 6: narrow_rows(args, row_begin, row_end, dtype, 6); break;
    case 7: narrow_rows(args, row_begin, row_end, dtype, 7); break;
    default: narrow_rows(args, row_begin, row_end, dtype, 8); break;
    }
}

INSTANCE void narrow_mxfp4(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    narrow(args, row_begin, row_end, DTYPE_MXFP4);
}

INSTANCE void narrow_mxfp4_gguf(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    narrow(args, row_begin, row_end, DTYPE_MXFP4_GGUF);
}

INSTANCE void narrow_q8_0(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    narrow(args, row_begin, row_end, DTYPE_Q8_0);
}

/* ---- wide ---------------------------------------------------------------------------------- */

/* 1.5 * 2^23: an integer below 2^22 added to its bits is added to its value, so that a sum that
 * started at MAGIC_BITS becomes a float by subtracting MAGIC. */
#define MAGIC 0x1.8p+23f
#define MAGIC_BITS 0x4b400000

/* A block of 32 rows; lane = row of its panel. */
struct wide_block {
    __m512i w[2][8];           /* unsigned bytes k = 4 i .. 4 i + 3 of the block's packed order */
    __m512 scale[2], shift[2]; /* halved for FP4; shift = -MAGIC * scale */
};

/* What stays in the cache: some blocks of 32 rows, unpacked, while all tokens pass. */
struct wide {
    struct wide_block *blocks; /* [4][WIDE_GROUPS]: those of one partial sum are neighbours */
    uint32_t scale_min, scale_max, d_min, d_max; /* ranges of both scales, as exponents */
    size_t start_stride;
    int32_t *start;    /* [WIDE_TOKENS_MAX][start_stride]: MAGIC_BITS - weight_bias * sum */
    __m512 (*f)[4][2]; /* [WIDE_TOKENS_MAX]: the partial sums of 32 rows */
};

static size_t wide_start_stride(size_t n_cols)
{
    return (n_cols / QUANT_BLOCK + 15) / 16 * 16;
}

static size_t wide_scratch_bytes(size_t n_cols)
{
    return 4 * WIDE_GROUPS * sizeof(struct wide_block) +
           WIDE_TOKENS_MAX * (wide_start_stride(n_cols) * sizeof(int32_t) + 8 * sizeof(__m512));
}

static struct wide wide_at(void *scratch, size_t n_cols)
{
    struct wide s = {.blocks = scratch, .start_stride = wide_start_stride(n_cols)};
    s.f = (void *)(s.blocks + 4 * WIDE_GROUPS);
    s.start = (int32_t *)(void *)(s.f + WIDE_TOKENS_MAX);
    return s;
}

SPECIALISED void wide_prepare(struct wide *s, const void *const *x, size_t n_tokens, size_t n_cols,
                              enum dtype dtype)
{
    size_t n = n_cols / QUANT_BLOCK;
    const __m512i bias = _mm512_set1_epi32(weight_bias(dtype)), one = _mm512_set1_epi32(1);
    __m512i min = _mm512_set1_epi32(-1), max = _mm512_setzero_si512();
    for (size_t t = 0; t < n_tokens; t++) {
        const int32_t *sums = q8_sums(x[t], n_cols);
        const float *d = q8_scales(x[t], n_cols);
        for (size_t i = 0; i < n; i += 16) {
            __m512i start = _mm512_maskz_loadu_epi32(lanes_below(n - i), sums + i);
            __m512i bits = _mm512_maskz_loadu_epi32(lanes_below(n - i), d + i);
            start =
                _mm512_sub_epi32(_mm512_set1_epi32(MAGIC_BITS), _mm512_mullo_epi32(start, bias));
            _mm512_store_si512(s->start + t * s->start_stride + i, start);
            max = _mm512_max_epu32(max, bits);
            min = _mm512_min_epu32(min, _mm512_sub_epi32(bits, one)); /* 0 does not count */
        }
    }
    s->d_min = _mm512_reduce_min_epu32(min) >> 23;
    s->d_max = _mm512_reduce_max_epu32(max) >> 23;
}

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
        for (int i = 0; i < 4; i++) out[i] = _mm512_xor_si512(v[i], c->to_unsigned);
        load_transposed(v, rows, offset + 16);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) out[4 + i] = _mm512_xor_si512(v[i], c->to_unsigned);
    } else {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            out[i] = _mm512_permutexvar_epi8(v[i], c->to_unsigned);
            out[4 + i] = _mm512_permutexvar_epi8(_mm512_srli_epi16(v[i], 4), c->to_unsigned);
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

/* Groups [g_begin, g_end) of rows [row, row + 16) into panel `half`; rows from row_end on repeat
 * the last. Adds to the range of the scales. */
SPECIALISED void wide_unpack(struct wide *s, const struct matrix *w, size_t row, size_t row_end,
                             size_t half, size_t g_begin, size_t g_end, enum dtype dtype)
{
    size_t n_blocks = w->n_cols / QUANT_BLOCK;
    const __m512 factor = _mm512_set1_ps(dtype == DTYPE_Q8_0 ? 1.0f : 0.5f);
    struct rows4 rows[4];
    struct decoder c[4];
    __m512i min = _mm512_set1_epi32(-1), max = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        rows[j] = rows4_at(w, row + 4 * j, 1, row_end);
        c[j] = decoder_for(dtype);
    }
    size_t ahead = row + WIDE_ROWS < row_end ? WIDE_ROWS * w->row_stride : 0;
    for (size_t g = g_begin; g < g_end; g++) {
        size_t n = n_blocks - 4 * g < 4 ? n_blocks - 4 * g : 4;
        __m512 scales[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) /* the next rows in this place */
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) prefetch_group(rows[j].data[i] + ahead, dtype, g);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            scales[j] = n == 4 ? load_scales(&c[j], &rows[j], dtype, g, 4, n_blocks)
                               : load_scales(&c[j], &rows[j], dtype, g, n, n_blocks);
        transpose_scales(scales);
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++) {
            if (k >= n) break;
            struct wide_block *block = s->blocks + k * WIDE_GROUPS + g - g_begin;
            wide_unpack_block(block->w[half], &c[0], rows, dtype, 4 * g + k);
            block->scale[half] = _mm512_mul_ps(scales[k], factor);
            if (dtype == DTYPE_Q8_0) continue;
            block->shift[half] = _mm512_mul_ps(block->scale[half], _mm512_set1_ps(-MAGIC));
            min = _mm512_min_epu32(min, _mm512_castps_si512(block->scale[half]));
            max = _mm512_max_epu32(max, _mm512_castps_si512(block->scale[half]));
        }
    }
    uint32_t low = _mm512_reduce_min_epu32(min) >> 23, high = _mm512_reduce_max_epu32(max) >> 23;
    s->scale_min = half && s->scale_min < low ? s->scale_min : low;
    s->scale_max = half && s->scale_max > high ? s->scale_max : high;
}

/* Whether powers of two may be multiplied in either order: all products are normal numbers. */
static bool wide_power(const struct wide *s)
{
    return s->scale_min >= 1 && s->scale_max <= 227 && s->d_max <= 254 &&
           s->scale_min + s->d_min >= 130 && s->scale_max + s->d_max <= 380;
}

/* The blocks at hand of a token of a tile. */
struct wide_token {
    const int8_t *values;
    const int32_t *start;
    const float *scale;
};

/* 32 rows x n_tokens: adds the n blocks at hand to f. `power`: the weights' scales are powers of
 * two and wide_power agreed, so that one fma makes the sum a float and scales it. */
SPECIALISED void wide_tile(const struct wide *s, const struct wide_token *tokens, size_t n_tokens,
                           size_t n, __m512 (*f)[4][2], bool first, enum dtype dtype, bool power)
{
    size_t high = dtype == DTYPE_Q8_0 ? 16 : 64, step = dtype == DTYPE_Q8_0 ? 32 : 16;
    for (size_t k = 0; k < 4; k++) {
        const struct wide_block *block = s->blocks + k * WIDE_GROUPS;
        __m512 sums[2][WIDE_TOKENS];
#pragma GCC unroll 8
        for (size_t t = 0; t < n_tokens; t++)
#pragma GCC unroll 2
            for (int h = 0; h < 2; h++) sums[h][t] = first ? _mm512_setzero_ps() : f[t][k][h];
        for (size_t b = k; b < n; b += 4, block++) {
            __m512i acc[2][WIDE_TOKENS];
            size_t at = b / 4 * Q8_GROUP + k * step;
#pragma GCC unroll 8
            for (size_t t = 0; t < n_tokens; t++)
                acc[0][t] = acc[1][t] = _mm512_set1_epi32(tokens[t].start[b]);
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
                    __m512 sum = _mm512_castsi512_ps(acc[h][t]), scale = d; /* sum: + MAGIC */
                    if (power) {
                        sum = _mm512_fmadd_ps(sum, block->scale[h], block->shift[h]);
                    } else {
                        sum = _mm512_sub_ps(sum, _mm512_set1_ps(MAGIC));
                        scale = _mm512_mul_ps(block->scale[h], d);
                    }
                    sums[h][t] = _mm512_fmadd_ps(sum, scale, sums[h][t]);
                }
            }
        }
#pragma GCC unroll 8
        for (size_t t = 0; t < n_tokens; t++)
#pragma GCC unroll 2
            for (int h = 0; h < 2; h++) f[t][k][h] = sums[h][t];
    }
}

typedef void wide_tile_fn(const struct wide *s, const struct wide_token *tokens, size_t n_tokens,
                          size_t n, __m512 (*f)[4][2], bool first);

SPECIALISED void wide_tile_any(const struct wide *s, const struct wide_token *tokens,
                               size_t n_tokens, size_t n, __m512 (*f)[4][2], bool first,
                               enum dtype dtype, bool power)
{
    switch (n_tokens) {
    case 1: wide_tile(s, tokens, 1, n, f, first, dtype, power); break;
    case 2: wide_tile(s, tokens, 2, n, f, first, dtype, power); break;
    case 3: wide_tile(s, tokens, 3, n, f, first, dtype, power); break;
    case 4: wide_tile(s, tokens, 4, n, f, first, dtype, power); break;
    case 5: wide_tile(s, tokens, 5, n, f, first, dtype, power); break;
    default: wide_tile(s, tokens, 6, n, f, first, dtype, power); break;
    }
}

/* The two layouts of MXFP4 are packed alike by now: low nibbles, then high ones. */
INSTANCE void wide_tile_power(const struct wide *s, const struct wide_token *tokens,
                              size_t n_tokens, size_t n, __m512 (*f)[4][2], bool first)
{
    wide_tile_any(s, tokens, n_tokens, n, f, first, DTYPE_MXFP4, true);
}

INSTANCE void wide_tile_mxfp4(const struct wide *s, const struct wide_token *tokens,
                              size_t n_tokens, size_t n, __m512 (*f)[4][2], bool first)
{
    wide_tile_any(s, tokens, n_tokens, n, f, first, DTYPE_MXFP4, false);
}

INSTANCE void wide_tile_q8_0(const struct wide *s, const struct wide_token *tokens, size_t n_tokens,
                             size_t n, __m512 (*f)[4][2], bool first)
{
    wide_tile_any(s, tokens, n_tokens, n, f, first, DTYPE_Q8_0, false);
}

/* All tokens over the n blocks at hand, from group g on. */
SPECIALISED void wide_tiles(const struct wide *s, const void *const *x, size_t n_tokens,
                            size_t n_cols, size_t g, size_t n, enum dtype dtype)
{
    size_t n_tiles = (n_tokens + WIDE_TOKENS - 1) / WIDE_TOKENS;
    wide_tile_fn *tile = dtype == DTYPE_Q8_0 ? wide_tile_q8_0
                         : wide_power(s)     ? wide_tile_power
                                             : wide_tile_mxfp4;
    for (size_t i = 0; i < n_tiles; i++) {
        size_t t0 = n_tokens * i / n_tiles, t1 = n_tokens * (i + 1) / n_tiles;
        struct wide_token tokens[WIDE_TOKENS] = {0};
        for (size_t t = t0; t < t1; t++)
            tokens[t - t0] = (struct wide_token){.values = q8_values(x[t]) + g * Q8_GROUP,
                                                 .start = s->start + t * s->start_stride + 4 * g,
                                                 .scale = q8_scales(x[t], n_cols) + 4 * g};
        tile(s, tokens, t1 - t0, n, s->f + t0, g == 0);
    }
}

SPECIALISED void wide(const struct linear_args *args, size_t row_begin, size_t row_end,
                      enum dtype dtype)
{
    const struct matrix *w = args->w;
    size_t n_blocks = w->n_cols / QUANT_BLOCK, n_groups = q8_groups(w->n_cols);
    struct wide s = wide_at(args->scratch, w->n_cols);
    for (size_t t0 = 0; t0 < args->n_tokens; t0 += WIDE_TOKENS_MAX) {
        size_t m = args->n_tokens - t0 < WIDE_TOKENS_MAX ? args->n_tokens - t0 : WIDE_TOKENS_MAX;
        wide_prepare(&s, args->x + t0, m, w->n_cols, dtype);
        for (size_t row = row_begin; row < row_end; row += WIDE_ROWS) {
            for (size_t g = 0; g < n_groups; g += WIDE_GROUPS) {
                size_t g_end = n_groups - g < WIDE_GROUPS ? n_groups : g + WIDE_GROUPS;
                size_t n = (g_end * 4 < n_blocks ? g_end * 4 : n_blocks) - g * 4;
                for (size_t h = 0; h < 2; h++)
                    wide_unpack(&s, w, row + h * PANEL_ROWS, row_end, h, g, g_end, dtype);
                wide_tiles(&s, args->x + t0, m, w->n_cols, g, n, dtype);
            }
            for (size_t t = 0; t < m; t++)
                for (size_t h = 0, r = row; h < 2 && r < row_end; h++, r += PANEL_ROWS) {
                    __m512 f01 = _mm512_add_ps(s.f[t][0][h], s.f[t][1][h]);
                    __m512 f23 = _mm512_add_ps(s.f[t][2][h], s.f[t][3][h]);
                    _mm512_mask_storeu_ps(args->y[t0 + t] + r, lanes_below(row_end - r),
                                          _mm512_add_ps(f01, f23));
                }
        }
    }
}

INSTANCE void wide_mxfp4(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    wide(args, row_begin, row_end, DTYPE_MXFP4);
}

INSTANCE void wide_mxfp4_gguf(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    wide(args, row_begin, row_end, DTYPE_MXFP4_GGUF);
}

INSTANCE void wide_q8_0(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    wide(args, row_begin, row_end, DTYPE_Q8_0);
}

/* ---- the table's entries ------------------------------------------------------------------- */

void q8_mxfp4_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    (args->n_tokens > NARROW_MAX ? wide_mxfp4 : narrow_mxfp4)(args, row_begin, row_end);
}

void q8_mxfp4_gguf_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    (args->n_tokens > NARROW_MAX ? wide_mxfp4_gguf : narrow_mxfp4_gguf)(args, row_begin, row_end);
}

void q8_q8_0_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    (args->n_tokens > NARROW_MAX ? wide_q8_0 : narrow_q8_0)(args, row_begin, row_end);
}

size_t q8_linear_scratch_bytes_avx512(size_t n_cols)
{
    size_t narrow_bytes = NARROW_MAX * q8_groups(n_cols) * sizeof(struct narrow_group);
    size_t wide_bytes = wide_scratch_bytes(n_cols);
    return narrow_bytes > wide_bytes ? narrow_bytes : wide_bytes;
}
