/* kernels_avx2_q8.h - matrix products with int8 activations in 256-bit vectors, for kernels_avx2.c
 * and kernels_avxvnni.c, which compile it with their own flags.
 *
 * A lane is a row. 8 rows of one block of 32 are transposed in registers (8 vectors, each lane 4
 * weights of its row) and applied to every token of the tile before the next block is touched, so
 * the same code serves one token at the speed of memory and 64 at the speed of the multipliers;
 * nothing unpacked is ever stored. The 4 partial sums of the contract are 4 vectors per token. A
 * range's last rows are done by a panel that overlaps the one before, a range of fewer than 8 row
 * by row, so nothing outside the range is read. */
#ifndef VINCI_DEVICE_CPU_KERNELS_AVX2_Q8_H
#define VINCI_DEVICE_CPU_KERNELS_AVX2_Q8_H

#include "device/cpu/kernels.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* Before a loop of few and constant steps: registers cannot be indexed. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Keeps the compiler from making a tree of a chain of integer sums and loading all that it needs
 * first: in the order written the ports are used better, by an eighth. */
#define IN_ORDER(x) __asm__ volatile("" : "+x"(x))

INLINE int32_t load_i32(const void *p)
{
    int32_t x;
    memcpy(&x, p, 4);
    return x;
}

/* 16 bytes at p in the lower half, 16 bytes at q in the upper. */
INLINE __m256i load_2x16(const uint8_t *p, const uint8_t *q)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                                   _mm_loadu_si128((const __m128i *)q), 1);
}

/* In each half: 4 vectors of 4 dwords, transposed. */
INLINE void transpose_4x4(__m256i v[4])
{
    __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
    __m256i c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm256_unpacklo_epi64(a, c);
    v[1] = _mm256_unpackhi_epi64(a, c);
    v[2] = _mm256_unpacklo_epi64(b, d);
    v[3] = _mm256_unpackhi_epi64(b, d);
}

/* 16 bytes of 8 rows -> 4 vectors: lane = row, 4 bytes each. */
INLINE void load_rows_16(const uint8_t *p, size_t stride, __m256i v[4])
{
    UNROLL
    for (size_t i = 0; i < 4; i++) v[i] = load_2x16(p + i * stride, p + (i + 4) * stride);
    transpose_4x4(v);
}

/* The first 4 of 16 bytes of 8 rows. */
INLINE __m256i load_rows_4_of_16(const uint8_t *p, size_t stride)
{
    __m256i v[4];
    UNROLL
    for (size_t i = 0; i < 4; i++) v[i] = load_2x16(p + i * stride, p + (i + 4) * stride);
    return _mm256_unpacklo_epi64(_mm256_unpacklo_epi32(v[0], v[1]),
                                 _mm256_unpacklo_epi32(v[2], v[3]));
}

enum { Q8_ROWS = 8, Q8_TOKENS = 64 };

/* One block of one token; a tile's tokens lie side by side. MXFP4: the 16 values that meet low
 * nibbles, then the 16 that meet high ones. */
struct q8_act {
    int8_t x[32];
    int32_t start; /* where the integer sum starts; two int16 without AVX-VNNI */
    float d;       /* halved for MXFP4 */
};

struct q8_tile {
    size_t n_tokens, n_blocks;
    float *const *y;     /* [n_tokens] */
    struct q8_act *acts; /* [n_blocks][n_tokens] */
    __m256 *sums;        /* [4][n_tokens], lane = row */
};

#ifdef __AVXVNNI__

/* sums[t] = fma(isum, scale * d, sums[t]). The weights are unsigned, w + 12 or w + 128; the 32-bit
 * sum starts at -12 or -128 times the sum of the activations. */
INLINE void u8_dot(const __m256i w[8], __m256 scale, const struct q8_act *act, size_t n_tokens,
                   __m256 *sums)
{
    for (size_t t = 0; t < n_tokens; t++, act++) {
        __m256i s = _mm256_set1_epi32(act->start), s1 = _mm256_setzero_si256();
        UNROLL
        for (int i = 0; i < 8; i += 2) {
            s = _mm256_dpbusd_avx_epi32(s, w[i], _mm256_set1_epi32(load_i32(act->x + 4 * i)));
            s1 = _mm256_dpbusd_avx_epi32(s1, w[i + 1],
                                         _mm256_set1_epi32(load_i32(act->x + 4 * i + 4)));
        }
        s = _mm256_add_epi32(s, s1);
        sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s),
                                  _mm256_mul_ps(scale, _mm256_set1_ps(act->d)), sums[t]);
    }
}

INLINE void fp4_dot(const __m256i w[8], __m256 scale, const struct q8_act *act, size_t n_tokens,
                    __m256 *sums)
{
    u8_dot(w, scale, act, n_tokens, sums);
}

INLINE void q8_dot(const __m256i w[8], __m256 scale, const struct q8_act *act, size_t n_tokens,
                   __m256 *sums)
{
    __m256i u[8];
    UNROLL
    for (int i = 0; i < 8; i++) u[i] = _mm256_xor_si256(w[i], _mm256_set1_epi8(-128));
    u8_dot(u, scale, act, n_tokens, sums);
}

#else

/* vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16 bits, saturating.
 *
 * sums[t] = fma(isum, scale * d, sums[t]). The weights are w + 12, that is 0..24: two products are
 * at most 2 * 24 * 127 = 6096. Each 16-bit sum starts at -12 times the 16 activations it is to
 * meet; whatever wraps on the way, at the end it is a sum of 16 w * x, at most 16 * 12 * 127 =
 * 24384. */
INLINE void fp4_dot(const __m256i w[8], __m256 scale, const struct q8_act *act, size_t n_tokens,
                    __m256 *sums)
{
    const __m256i ones = _mm256_set1_epi16(1);
    for (size_t t = 0; t < n_tokens; t++, act++) {
        __m256i s = _mm256_set1_epi32(act->start);
        UNROLL
        for (int i = 0; i < 8; i++) {
            s = _mm256_add_epi16(
                s, _mm256_maddubs_epi16(w[i], _mm256_set1_epi32(load_i32(act->x + 4 * i))));
            IN_ORDER(s);
        }
        __m256 sum = _mm256_cvtepi32_ps(_mm256_madd_epi16(s, ones));
        sums[t] = _mm256_fmadd_ps(sum, _mm256_mul_ps(scale, _mm256_set1_ps(act->d)), sums[t]);
    }
}

/* Weights -128..127: |w| as an unsigned byte times x with w's sign; two products are at most
 * 2 * 128 * 127 = 32512. */
INLINE void q8_dot(const __m256i w[8], __m256 scale, const struct q8_act *act, size_t n_tokens,
                   __m256 *sums)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i magnitude[8];
    UNROLL
    for (int i = 0; i < 8; i++) magnitude[i] = _mm256_abs_epi8(w[i]);
    for (size_t t = 0; t < n_tokens; t++, act++) {
        __m256i s = _mm256_setzero_si256();
        UNROLL
        for (int i = 0; i < 8; i++) {
            __m256i x = _mm256_sign_epi8(_mm256_set1_epi32(load_i32(act->x + 4 * i)), w[i]);
            s = _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude[i], x), ones));
            IN_ORDER(s);
        }
        sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s),
                                  _mm256_mul_ps(scale, _mm256_set1_ps(act->d)), sums[t]);
    }
}

#endif

/* v: lane = row, 8 nibbles in 4 bytes, 4 vectors -> the low nibbles' values + 12, then the high
 * ones'. */
INLINE void fp4_unpack(const __m256i v[4], __m256i w[8])
{
    const __m256i table =
        _mm256_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0, 12, 13, 14, 15,
                         16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
    const __m256i low = _mm256_set1_epi8(15);
    UNROLL
    for (int i = 0; i < 4; i++) {
        w[i] = _mm256_shuffle_epi8(table, _mm256_and_si256(v[i], low));
        w[4 + i] = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v[i], 4), low));
    }
}

/* e8m0 in the low byte of each lane; what stands above it is ignored. */
INLINE __m256 e8m0_to_f32(__m256i e)
{
    __m256i bits = _mm256_and_si256(_mm256_slli_epi32(e, 23), _mm256_set1_epi32(0x7f800000));
    return _mm256_castsi256_ps(_mm256_max_epu32(bits, _mm256_set1_epi32(0x00400000)));
}

/* Up to 4 e8m0 bytes of 8 rows, lane = row. */
INLINE __m256i load_e8m0(const uint8_t *p, size_t stride, size_t n)
{
    int32_t e[8] = {0};
    if (n < 4) {
        for (size_t i = 0; i < 8; i++) memcpy(&e[i], p + i * stride, n);
        return _mm256_loadu_si256((const __m256i *)e);
    }
    UNROLL
    for (size_t i = 0; i < 8; i++) e[i] = load_i32(p + i * stride);
    return _mm256_setr_epi32(e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7]);
}

/* One block of 8 rows for all tokens of a tile. `e`: e8m0 of DTYPE_MXFP4 in the low bytes. */
INLINE void q8_block(enum dtype dtype, const uint8_t *block, size_t stride, __m256i e,
                     const struct q8_act *act, size_t n_tokens, __m256 *sums)
{
    __m256i v[8], w[8];
    if (dtype == DTYPE_Q8_0) {
        __m256i f16 = _mm256_and_si256(load_rows_4_of_16(block, stride), _mm256_set1_epi32(0xffff));
        __m256 scale = _mm256_cvtph_ps(
            _mm_packus_epi32(_mm256_castsi256_si128(f16), _mm256_extracti128_si256(f16, 1)));
        load_rows_16(block + 2, stride, v);
        load_rows_16(block + 18, stride, v + 4);
        q8_dot(v, scale, act, n_tokens, sums);
        return;
    }
    if (dtype == DTYPE_MXFP4_GGUF) e = load_rows_4_of_16(block++, stride);
    load_rows_16(block, stride, v);
    fp4_unpack(v, w);
    fp4_dot(w, e8m0_to_f32(e), act, n_tokens, sums);
}

/* Fetches n bytes into the second cache. */
INLINE void fetch(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 64) _mm_prefetch((const char *)p + i, _MM_HINT_T1);
}

/* y[t][row ..] of a tile, for 8 rows (`step` 1), or for one row in all lanes (`step` 0). `next` is
 * the first row of the panel that comes after: 4 blocks of 2 of its rows are fetched at each block
 * of this one. */
INLINE void q8_panel(enum dtype dtype, const struct linear_args *args, const struct q8_tile *tile,
                     size_t n_tokens, size_t row, size_t step, size_t next)
{
    const struct matrix *w = args->w;
    const uint8_t *p = w->data + row * w->row_stride;
    const uint8_t *scales = dtype == DTYPE_MXFP4 ? w->scales + row * w->scale_stride : NULL;
    size_t stride = step * w->row_stride, n_blocks = tile->n_blocks;
    size_t block_bytes = dtype_row_bytes(dtype, QUANT_BLOCK);
    const struct q8_act *act = tile->acts;
    const uint8_t *next_p = w->data + next * w->row_stride;
    const uint8_t *next_scales = dtype == DTYPE_MXFP4 ? w->scales + next * w->scale_stride : NULL;
    size_t scale_spread = dtype == DTYPE_MXFP4 ? w->scale_stride / n_blocks : 0;
    __m256 one_token[4], *sums = n_tokens == 1 ? one_token : tile->sums;

    for (size_t i = 0; i < 4 * n_tokens; i++) sums[i] = _mm256_setzero_ps();
    for (size_t b = 0; b < n_blocks; b += 4) {
        __m256i e = _mm256_setzero_si256();
        if (dtype == DTYPE_MXFP4) {
            e = load_e8m0(scales + b, step * w->scale_stride, n_blocks - b);
            fetch(next_scales + b * 8 * scale_spread, 1);
        }
        UNROLL
        for (size_t i = 0; i < 4; i++) {
            if (b + i >= n_blocks) continue;
            fetch(next_p + b * block_bytes + 2 * i * stride, 4 * block_bytes);
            fetch(next_p + b * block_bytes + (2 * i + 1) * stride, 4 * block_bytes);
            q8_block(dtype, p, stride, e, act, n_tokens, sums + i * n_tokens);
            p += block_bytes;
            act += n_tokens;
            e = _mm256_srli_epi32(e, 8);
        }
    }
    for (size_t t = 0; t < n_tokens; t++) {
        const __m256 *f = sums + t;
        __m256 y = _mm256_add_ps(_mm256_add_ps(f[0], f[n_tokens]),
                                 _mm256_add_ps(f[2 * n_tokens], f[3 * n_tokens]));
        float *out = tile->y[t] + row;
        if (step) _mm256_storeu_ps(out, y);
        else *out = _mm256_cvtss_f32(y);
    }
}

#ifdef __AVXVNNI__
INLINE int32_t fp4_start(__m128i low, __m128i high, int32_t sum)
{
    (void)low, (void)high;
    return -12 * sum;
}
#else
/* -12 times the sums of bytes 0, 1 and of bytes 2, 3 of every dword. */
INLINE int32_t fp4_start(__m128i low, __m128i high, int32_t sum)
{
    const __m128i ones = _mm_set1_epi8(1);
    __m128i s = _mm_add_epi16(_mm_maddubs_epi16(ones, low), _mm_maddubs_epi16(ones, high));
    (void)sum;
    s = _mm_add_epi16(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi16(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(_mm_mullo_epi16(s, _mm_set1_epi16(-12)));
}
#endif

/* One packed token into place t of a tile. */
INLINE void q8_repack(enum dtype dtype, const void *x, size_t n_cols, const struct q8_tile *tile,
                      size_t t)
{
    const int8_t *values = q8_values(x);
    const float *d = q8_scales(x, n_cols);
    const int32_t *sums = q8_sums(x, n_cols);
    for (size_t b = 0; b < tile->n_blocks; b++) {
        struct q8_act *act = &tile->acts[b * tile->n_tokens + t];
        const int8_t *group = values + b / 4 * Q8_GROUP;
        if (dtype == DTYPE_Q8_0) {
            memcpy(act->x, group + b % 4 * 32, 32);
            act->start = -128 * sums[b];
            act->d = d[b];
            continue;
        }
        __m128i low = _mm_loadu_si128((const __m128i *)(group + b % 4 * 16));
        __m128i high = _mm_loadu_si128((const __m128i *)(group + 64 + b % 4 * 16));
        _mm_storeu_si128((__m128i *)act->x, low);
        _mm_storeu_si128((__m128i *)(act->x + 16), high);
        act->start = fp4_start(low, high, sums[b]);
        act->d = .5f * d[b];
    }
}

/* All rows of a range for one tile of tokens. */
INLINE void q8_rows(enum dtype dtype, const struct linear_args *args, const struct q8_tile *tile,
                    size_t n_tokens, size_t row_begin, size_t row_end)
{
    if (row_end - row_begin < Q8_ROWS) {
        for (size_t row = row_begin; row < row_end; row++)
            q8_panel(dtype, args, tile, n_tokens, row, 0, row);
        return;
    }
    for (size_t row = row_begin; row < row_end; row += Q8_ROWS) {
        size_t at = row + Q8_ROWS <= row_end ? row : row_end - Q8_ROWS;
        size_t next = at + 2 * Q8_ROWS <= row_end ? at + Q8_ROWS : row_end - Q8_ROWS;
        q8_panel(dtype, args, tile, n_tokens, at, 1, next);
    }
}

INLINE void q8_linear(enum dtype dtype, const struct linear_args *args, size_t row_begin,
                      size_t row_end)
{
    size_t n_cols = args->w->n_cols;
    size_t n_tiles = (args->n_tokens + Q8_TOKENS - 1) / Q8_TOKENS;
    for (size_t row = row_begin; row < row_end && row < row_begin + Q8_ROWS; row++)
        fetch(args->w->data + row * args->w->row_stride, dtype_row_bytes(dtype, n_cols));
    for (size_t i = 0; i < n_tiles; i++) {
        size_t first = args->n_tokens * i / n_tiles, last = args->n_tokens * (i + 1) / n_tiles;
        struct q8_tile tile = {.n_tokens = last - first,
                               .n_blocks = n_cols / QUANT_BLOCK,
                               .y = args->y + first,
                               .sums = args->scratch};
        tile.acts = (struct q8_act *)(tile.sums + 4 * tile.n_tokens);
        for (size_t t = 0; t < tile.n_tokens; t++)
            q8_repack(dtype, args->x[first + t], n_cols, &tile, t);
        if (tile.n_tokens == 1) q8_rows(dtype, args, &tile, 1, row_begin, row_end);
        else q8_rows(dtype, args, &tile, tile.n_tokens, row_begin, row_end);
    }
}

static inline size_t q8_scratch_bytes(size_t n_cols)
{
    return Q8_TOKENS * (4 * sizeof(__m256) + n_cols / QUANT_BLOCK * sizeof(struct q8_act));
}

#endif
