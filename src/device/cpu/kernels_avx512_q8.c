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
#include "device/cpu/kernels_avx512_q8.h"

enum {
    NARROW_MAX = 8,
    TWICE_NARROW_MAX = 14,
    NARROW_AHEAD = 2 << 10, /* bytes of each stream prefetched before they are used */
    WIDE_TOKENS = 6,        /* of a tile */
    WIDE_TOKENS_MAX = 128   /* for which rows are unpacked once */
};

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
        w[0] = _mm512_xor_si512(_mm512_shuffle_i64x2(a, b, 0x88), c->to_bytes);
        w[1] = _mm512_xor_si512(_mm512_shuffle_i64x2(a, b, 0xdd), c->to_bytes);
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
    w[0] = _mm512_permutexvar_epi8(q, c->to_bytes);
    w[1] = _mm512_permutexvar_epi8(_mm512_srli_epi16(q, 4), c->to_bytes);
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
SPECIALISED void narrow_step(__m512 *f, const struct narrow_group *x, const struct decoder *c,
                             struct scale_bytes *scale_bytes, const struct rows4 *rows,
                             enum dtype dtype, size_t g, size_t n, size_t n_blocks, size_t n_tokens,
                             __m512i one)
{
    __m512i w[4][2];
    next_scales(scale_bytes, c, rows, dtype, g, n_blocks);
    __m512 scales = load_scales(scale_bytes, c, rows, dtype, g, n);
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

/* One band: a row of each quarter at a time. prepared: [n_groups][n_tokens]. */
SPECIALISED void narrow_band(const struct linear_args *args, const struct narrow_group *prepared,
                             size_t row_begin, size_t row_end, size_t quarter, enum dtype dtype,
                             size_t n_tokens)
{
    const struct matrix *w = args->w;
    size_t n_blocks = w->n_cols / QUANT_BLOCK;
    size_t rows_ahead = NARROW_AHEAD / dtype_row_bytes(dtype, w->n_cols) + 1;
    const struct decoder c = decoder_for(dtype);
    __m512i one = keep(_mm512_set1_epi16(1));

    for (size_t r = 0; r < quarter; r++) {
        size_t ahead = stream_ahead(r, rows_ahead, quarter, w->row_stride);
        struct rows4 rows = rows4_at(w, row_begin + r, quarter, row_end);
        const struct narrow_group *x = prepared;
        struct scale_bytes scale_bytes = {0};
        __m512 f[NARROW_MAX];
#pragma GCC unroll 8
        for (size_t t = 0; t < n_tokens; t++) f[t] = _mm512_setzero_ps();
        for (size_t g = 0; g < n_blocks / 4; g++, x += n_tokens) {
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) prefetch_group(rows.data[i] + ahead, dtype, g);
            narrow_step(f, x, &c, &scale_bytes, &rows, dtype, g, 4, n_blocks, n_tokens, one);
        }
        if (n_blocks % 4)
            narrow_step(f, x, &c, &scale_bytes, &rows, dtype, n_blocks / 4, n_blocks % 4, n_blocks,
                        n_tokens, one);
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

SPECIALISED void narrow_rows(const struct linear_args *args, size_t row_begin, size_t row_end,
                             enum dtype dtype, size_t n_tokens)
{
    struct narrow_group *prepared = args->scratch;
    for (size_t t = 0; t < n_tokens; t++)
        narrow_prepare(prepared + t, n_tokens, args->x[t], args->w->n_cols, dtype);
    for (size_t row = row_begin; row < row_end;) {
        size_t quarter = stream_rows(row_end - row, args->w->row_stride);
        size_t end = row_end - row < 4 * quarter ? row_end : row + 4 * quarter;
        narrow_band(args, prepared, row, end, quarter, dtype, n_tokens);
        row = end;
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

/* What stays in the cache: some blocks of 32 rows, unpacked, while all tokens pass. */
struct wide {
    struct wide_block *blocks; /* [4][WIDE_GROUPS]: those of one partial sum are neighbours */
    struct exponents w_scales, x_scales;
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
    s->x_scales =
        (struct exponents){_mm512_reduce_min_epu32(min) >> 23, _mm512_reduce_max_epu32(max) >> 23};
}

/* Whether powers of two may be multiplied in either order: all products are normal numbers. */
static bool wide_power(const struct wide *s)
{
    const struct exponents w = s->w_scales, x = s->x_scales;
    return w.min >= 1 && w.max <= 227 && x.max <= 254 && w.min + x.min >= 130 &&
           w.max + x.max <= 380;
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
                for (size_t h = 0; h < 2; h++) {
                    struct exponents e =
                        wide_unpack(s.blocks, w, row + h * PANEL_ROWS, row_end, h, g, g_end, dtype);
                    s.w_scales.min = h && s.w_scales.min < e.min ? s.w_scales.min : e.min;
                    s.w_scales.max = h && s.w_scales.max > e.max ? s.w_scales.max : e.max;
                }
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

/* Twice the narrow form, the weights coming from the second cache the second time, still beats the
 * wide one for a few tokens more. */
SPECIALISED void q8_linear(const struct linear_args *args, size_t row_begin, size_t row_end,
                           linear_fn *narrow_fn, linear_fn *wide_fn)
{
    struct linear_args part = *args;
    size_t m = args->n_tokens, half = (m + 1) / 2;
    if (m <= NARROW_MAX || m > TWICE_NARROW_MAX) {
        (m <= NARROW_MAX ? narrow_fn : wide_fn)(args, row_begin, row_end);
        return;
    }
    part.n_tokens = half;
    narrow_fn(&part, row_begin, row_end);
    part.x += half, part.y += half, part.n_tokens = m - half;
    narrow_fn(&part, row_begin, row_end);
}

void q8_mxfp4_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(args, row_begin, row_end, narrow_mxfp4, wide_mxfp4);
}

void q8_mxfp4_gguf_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(args, row_begin, row_end, narrow_mxfp4_gguf, wide_mxfp4_gguf);
}

void q8_q8_0_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(args, row_begin, row_end, narrow_q8_0, wide_q8_0);
}

size_t q8_linear_scratch_bytes_avx512(size_t n_cols)
{
    size_t narrow_bytes = NARROW_MAX * q8_groups(n_cols) * sizeof(struct narrow_group);
    size_t wide_bytes = wide_scratch_bytes(n_cols);
    return narrow_bytes > wide_bytes ? narrow_bytes : wide_bytes;
}
