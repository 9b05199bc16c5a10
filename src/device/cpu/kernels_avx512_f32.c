/* kernels_avx512_f32.c - weights of any format x float activations.
 *
 * The contract's 16 partial sums (lane = column mod 16) are one vector, so a sum is a chain of fma
 * over the columns; several rows and tokens go side by side to keep the units busy.
 *   narrow  1 to NARROW_MAX tokens: 4 rows, converted as they are read, at the speed of memory
 *   wide    more tokens: 8 rows of CHUNK columns are converted into the first cache and meet all
 *           tokens there, 3 at a time; the sums wait in the scratch from chunk to chunk */
#include "device/cpu/kernels_avx512.h"

enum {
    NARROW_MAX = 6,
    NARROW_ROWS = 4,
    NARROW_AHEAD = 2 << 10, /* bytes of each stream prefetched before they are used */
    WIDE_ROWS = 8,
    WIDE_TOKENS = 3,      /* of a tile */
    WIDE_TOKENS_MAX = 64, /* for which rows are converted once */
    CHUNK = 512           /* columns */
};

/* ---- the formats --------------------------------------------------------------------------- */

/* Columns that are converted at once. */
SPECIALISED size_t step_of(enum dtype dtype)
{
    return dtype >= DTYPE_Q8_0 ? QUANT_BLOCK : 16;
}

static inline __m512 scaled_int8(__m128i x, __m512 scale)
{
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x)), scale);
}

static inline __m128i fp4_doubled(__m128i nibbles)
{
    const __m128i table = _mm_loadu_si128((const __m128i *)(const void *)FP4_DOUBLED);
    return _mm_shuffle_epi8(table, _mm_and_si128(nibbles, _mm_set1_epi8(15)));
}

/* Columns k to k + step_of of a row as floats, exactly; p, scales: where the row begins. */
SPECIALISED void load_weights(__m512 w[2], const uint8_t *p, const uint8_t *scales, size_t k,
                              enum dtype dtype)
{
    size_t b = k / QUANT_BLOCK;
    if (dtype == DTYPE_F32) {
        w[0] = _mm512_loadu_ps(p + 4 * k);
    } else if (dtype == DTYPE_F16) {
        w[0] = _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(p + 2 * k)));
    } else if (dtype == DTYPE_BF16) {
        __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(p + 2 * k)));
        w[0] = _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
    } else if (dtype == DTYPE_Q8_0) {
        const uint8_t *block = p + b * sizeof(struct block_q8_0);
        uint16_t bits;
        memcpy(&bits, block, 2);
        __m512 scale = _mm512_cvtph_ps(_mm256_set1_epi16((short)bits));
        w[0] = scaled_int8(_mm_loadu_si128((const void *)(block + 2)), scale);
        w[1] = scaled_int8(_mm_loadu_si128((const void *)(block + 18)), scale);
    } else {
        bool gguf = dtype == DTYPE_MXFP4_GGUF;
        const uint8_t *block = p + b * (gguf ? sizeof(struct block_mxfp4_gguf) : 16);
        __m128i q = _mm_loadu_si128((const void *)(block + gguf));
        __m128i low = fp4_doubled(q), high = fp4_doubled(_mm_srli_epi16(q, 4));
        __m512 half = _mm512_set1_ps(.5f * float_from_e8m0((e8m0_t){gguf ? *block : scales[b]}));
        w[0] = scaled_int8(gguf ? low : _mm_unpacklo_epi8(low, high), half);
        w[1] = scaled_int8(gguf ? high : _mm_unpackhi_epi8(low, high), half);
    }
}

struct row {
    const uint8_t *data, *scales;
};

/* n rows `step` apart; the last row stands for those behind it. */
SPECIALISED void rows_at(struct row *out, size_t n, const struct matrix *w, size_t row, size_t step,
                         size_t row_end)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < n; i++) {
        size_t r = row + i * step < row_end ? row + i * step : row_end - 1;
        out[i].data = w->data + r * w->row_stride;
        out[i].scales = w->scales ? w->scales + r * w->scale_stride : NULL;
    }
}

/* ---- narrow -------------------------------------------------------------------------------- */

/* One band: a row of each quarter at a time. */
SPECIALISED void narrow_band(const struct linear_args *args, size_t row_begin, size_t row_end,
                             size_t quarter, enum dtype dtype, size_t n_tokens)
{
    const struct matrix *w = args->w;
    size_t step = step_of(dtype), step_bytes = dtype_row_bytes(dtype, step);
    size_t rows_ahead = NARROW_AHEAD / dtype_row_bytes(dtype, w->n_cols) + 1;
    for (size_t r = 0; r < quarter; r++) {
        struct row rows[NARROW_ROWS];
        __m512 s[NARROW_MAX][NARROW_ROWS];
        size_t ahead = stream_ahead(r, rows_ahead, quarter, w->row_stride);
        rows_at(rows, NARROW_ROWS, w, row_begin + r, quarter, row_end);
#pragma GCC unroll 6
        for (size_t t = 0; t < n_tokens; t++)
#pragma GCC unroll 4
            for (int i = 0; i < NARROW_ROWS; i++) s[t][i] = _mm512_setzero_ps();
        for (size_t k = 0; k < w->n_cols; k += step) {
            __m512 v[NARROW_ROWS][2];
#pragma GCC unroll 4
            for (int i = 0; i < NARROW_ROWS; i++) {
                _mm_prefetch((const char *)rows[i].data + ahead + k / step * step_bytes,
                             _MM_HINT_T0);
                load_weights(v[i], rows[i].data, rows[i].scales, k, dtype);
            }
#pragma GCC unroll 2
            for (size_t j = 0; j < step / 16; j++)
#pragma GCC unroll 6
                for (size_t t = 0; t < n_tokens; t++) {
                    __m512 x = _mm512_loadu_ps((const float *)args->x[t] + k + 16 * j);
#pragma GCC unroll 4
                    for (int i = 0; i < NARROW_ROWS; i++)
                        s[t][i] = _mm512_fmadd_ps(v[i][j], x, s[t][i]);
                }
        }
#pragma GCC unroll 6
        for (size_t t = 0; t < n_tokens; t++) {
            float y[16];
            _mm512_storeu_ps(y, sum_tree_4x16(s[t][0], s[t][1], s[t][2], s[t][3]));
            for (size_t i = 0, row = row_begin + r; i < 4 && row < row_end; i++, row += quarter)
                args->y[t][row] = y[i];
        }
    }
}

SPECIALISED void narrow_rows(const struct linear_args *args, size_t row_begin, size_t row_end,
                             enum dtype dtype, size_t n_tokens)
{
    for (size_t row = row_begin; row < row_end;) {
        size_t quarter = stream_rows(row_end - row, args->w->row_stride);
        size_t end = row_end - row < 4 * quarter ? row_end : row + 4 * quarter;
        narrow_band(args, row, end, quarter, dtype, n_tokens);
        row = end;
    }
}

/* ---- wide ---------------------------------------------------------------------------------- */

struct wide {
    __m512 w[CHUNK / 16][WIDE_ROWS];      /* the rows at hand, columns of this chunk */
    __m512 s[WIDE_TOKENS_MAX][WIDE_ROWS]; /* sums so far */
};

/* Columns [k_begin, k_begin + n) of 8 rows; fetches what is `ahead` bytes behind. */
SPECIALISED void wide_unpack(struct wide *wide, const struct row *rows, size_t k_begin, size_t n,
                             size_t ahead, enum dtype dtype)
{
    size_t step = step_of(dtype), step_bytes = dtype_row_bytes(dtype, step);
    for (size_t k = 0; k < n; k += step) {
#pragma GCC unroll 8
        for (int i = 0; i < WIDE_ROWS; i++) {
            __m512 v[2];
            _mm_prefetch((const char *)rows[i].data + ahead + (k_begin + k) / step * step_bytes,
                         _MM_HINT_T0);
            load_weights(v, rows[i].data, rows[i].scales, k_begin + k, dtype);
            for (size_t j = 0; j < step / 16; j++) wide->w[k / 16 + j][i] = v[j];
        }
    }
}

/* n columns of 8 rows x n_tokens; x: where the chunk begins. */
SPECIALISED void wide_tile(struct wide *wide, const float *const *x, size_t t0, size_t n,
                           bool first, size_t n_tokens)
{
    __m512 s[WIDE_TOKENS][WIDE_ROWS];
#pragma GCC unroll 3
    for (size_t t = 0; t < n_tokens; t++)
#pragma GCC unroll 8
        for (int i = 0; i < WIDE_ROWS; i++)
            s[t][i] = first ? _mm512_setzero_ps() : wide->s[t0 + t][i];
    for (size_t k = 0; k < n; k += 16) {
        __m512 v[WIDE_TOKENS];
#pragma GCC unroll 3
        for (size_t t = 0; t < n_tokens; t++) v[t] = _mm512_loadu_ps(x[t] + k);
#pragma GCC unroll 8
        for (int i = 0; i < WIDE_ROWS; i++) {
            __m512 w = wide->w[k / 16][i];
#pragma GCC unroll 3
            for (size_t t = 0; t < n_tokens; t++) s[t][i] = _mm512_fmadd_ps(w, v[t], s[t][i]);
        }
    }
#pragma GCC unroll 3
    for (size_t t = 0; t < n_tokens; t++)
#pragma GCC unroll 8
        for (int i = 0; i < WIDE_ROWS; i++) wide->s[t0 + t][i] = s[t][i];
}

/* All tokens over the chunk at hand. */
INSTANCE void wide_tiles(struct wide *wide, const void *const *x, size_t n_tokens, size_t k,
                         size_t n)
{
    for (size_t t = 0; t < n_tokens; t += WIDE_TOKENS) {
        const float *at[WIDE_TOKENS] = {0};
        size_t m = n_tokens - t < WIDE_TOKENS ? n_tokens - t : WIDE_TOKENS;
        for (size_t i = 0; i < m; i++) at[i] = (const float *)x[t + i] + k;
        switch (m) {
        case 1: wide_tile(wide, at, t, n, k == 0, 1); break;
        case 2: wide_tile(wide, at, t, n, k == 0, 2); break;
        default: wide_tile(wide, at, t, n, k == 0, 3); break;
        }
    }
}

SPECIALISED void wide_rows(const struct linear_args *args, size_t row_begin, size_t row_end,
                           enum dtype dtype)
{
    const struct matrix *w = args->w;
    struct wide *wide = args->scratch;
    for (size_t t0 = 0; t0 < args->n_tokens; t0 += WIDE_TOKENS_MAX) {
        size_t m = args->n_tokens - t0 < WIDE_TOKENS_MAX ? args->n_tokens - t0 : WIDE_TOKENS_MAX;
        for (size_t row = row_begin; row < row_end; row += WIDE_ROWS) {
            struct row rows[WIDE_ROWS];
            rows_at(rows, WIDE_ROWS, w, row, 1, row_end);
            size_t ahead = row + WIDE_ROWS < row_end ? WIDE_ROWS * w->row_stride : 0;
            for (size_t k = 0; k < w->n_cols; k += CHUNK) {
                size_t n = w->n_cols - k < CHUNK ? w->n_cols - k : CHUNK;
                wide_unpack(wide, rows, k, n, ahead, dtype);
                wide_tiles(wide, args->x + t0, m, k, n);
            }
            for (size_t t = 0; t < m; t++) {
                const __m512 *s = wide->s[t];
                __m512 low = sum_tree_4x16(s[0], s[1], s[2], s[3]);
                __m512 high = sum_tree_4x16(s[4], s[5], s[6], s[7]);
                _mm512_mask_storeu_ps(args->y[t0 + t] + row, lanes_below(row_end - row) & 0xff,
                                      _mm512_insertf32x4(low, _mm512_castps512_ps128(high), 1));
            }
        }
    }
}

/* ---- the table's entries ------------------------------------------------------------------- */

SPECIALISED void f32_linear(const struct linear_args *args, size_t row_begin, size_t row_end,
                            enum dtype dtype)
{
    switch (args->n_tokens) {
    case 1: narrow_rows(args, row_begin, row_end, dtype, 1); break;
    case 2: narrow_rows(args, row_begin, row_end, dtype, 2); break;
    case 3: narrow_rows(args, row_begin, row_end, dtype, 3); break;
    case 4: narrow_rows(args, row_begin, row_end, dtype, 4); break;
    case 5: narrow_rows(args, row_begin, row_end, dtype, 5); break;
    case 6: narrow_rows(args, row_begin, row_end, dtype, 6); break;
    default: wide_rows(args, row_begin, row_end, dtype); break;
    }
}

void f32_f32_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(args, row_begin, row_end, DTYPE_F32);
}

void f32_f16_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(args, row_begin, row_end, DTYPE_F16);
}

void f32_bf16_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(args, row_begin, row_end, DTYPE_BF16);
}

void f32_q8_0_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(args, row_begin, row_end, DTYPE_Q8_0);
}

void f32_mxfp4_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(args, row_begin, row_end, DTYPE_MXFP4);
}

void f32_mxfp4_gguf_linear_avx512(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(args, row_begin, row_end, DTYPE_MXFP4_GGUF);
}

size_t f32_linear_scratch_bytes_avx512(void)
{
    return sizeof(struct wide);
}
