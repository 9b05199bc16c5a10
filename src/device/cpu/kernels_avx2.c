/* kernels_avx2.c - kernels for x86-64 processors with AVX2, FMA and F16C.
 *
 * Matrix products with int8 activations stand in kernels_avx2_q8.h. With float activations 4 rows
 * go together, their 16 partial sums in two vectors each: straight from the weights' format for one
 * token, and through unpacked columns for more. Attention takes 6 or 4 query rows at a time. */
#include "base/fmath.h"
#include "device/cpu/kernels_avx2_q8.h"

#include <math.h>

static void q8_q8_0_linear_avx2(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(DTYPE_Q8_0, args, row_begin, row_end);
}

static void q8_mxfp4_linear_avx2(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(DTYPE_MXFP4, args, row_begin, row_end);
}

static void q8_mxfp4_gguf_linear_avx2(const struct linear_args *args, size_t row_begin,
                                      size_t row_end)
{
    q8_linear(DTYPE_MXFP4_GGUF, args, row_begin, row_end);
}

/* ---- float activations --------------------------------------------------------------------- */

enum {
    F32_ROWS = 4,
    F32_TOKENS = 48,
    F32_CHUNK = 512, /* columns unpacked at a time, so that they stay in the nearest cache */
    F32_GROUP = 3    /* most tokens that meet 4 rows in registers: 12 sums */
};

/* Columns that are unpacked at once. */
INLINE size_t f32_step(enum dtype dtype)
{
    return dtype >= DTYPE_Q8_0 ? QUANT_BLOCK : 16;
}

INLINE __m256 int8_to_f32(__m128i x, __m256 scale)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)), scale);
}

INLINE const uint8_t *scales_of(const struct matrix *w, enum dtype dtype, size_t row)
{
    return dtype == DTYPE_MXFP4 ? w->scales + row * w->scale_stride : NULL;
}

/* Weights k .. k + f32_step of a row as floats, exactly. `p`, `scales`: the row. */
INLINE void load_weights(enum dtype dtype, const uint8_t *p, const uint8_t *scales, size_t k,
                         __m256 w[4])
{
    if (dtype == DTYPE_F32) {
        w[0] = _mm256_loadu_ps((const float *)(const void *)(p + 4 * k));
        w[1] = _mm256_loadu_ps((const float *)(const void *)(p + 4 * k + 32));
        return;
    }
    if (dtype == DTYPE_F16 || dtype == DTYPE_BF16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(p + 2 * k));
        __m128i b = _mm_loadu_si128((const __m128i *)(p + 2 * k + 16));
        bool f16 = dtype == DTYPE_F16;
        w[0] = f16 ? _mm256_cvtph_ps(a)
                   : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(a), 16));
        w[1] = f16 ? _mm256_cvtph_ps(b)
                   : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(b), 16));
        return;
    }
    __m128i a, b;
    float scale;
    p += k / QUANT_BLOCK * dtype_row_bytes(dtype, QUANT_BLOCK);
    if (dtype == DTYPE_Q8_0) {
        scale = _cvtsh_ss((uint16_t)(p[0] | p[1] << 8));
        a = _mm_loadu_si128((const __m128i *)(p + 2));
        b = _mm_loadu_si128((const __m128i *)(p + 18));
    } else {
        const __m128i low = _mm_set1_epi8(15);
        const __m128i table =
            _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
        bool gguf = dtype == DTYPE_MXFP4_GGUF;
        scale = .5f * float_from_e8m0((e8m0_t){gguf ? *p++ : scales[k / QUANT_BLOCK]});
        __m128i v = _mm_loadu_si128((const __m128i *)p);
        a = _mm_shuffle_epi8(table, _mm_and_si128(v, low));
        b = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(v, 4), low));
        if (!gguf) {
            __m128i even = a;
            a = _mm_unpacklo_epi8(even, b);
            b = _mm_unpackhi_epi8(even, b);
        }
    }
    __m256 scale_8 = _mm256_set1_ps(scale);
    w[0] = int8_to_f32(a, scale_8);
    w[1] = int8_to_f32(_mm_srli_si128(a, 8), scale_8);
    w[2] = int8_to_f32(b, scale_8);
    w[3] = int8_to_f32(_mm_srli_si128(b, 8), scale_8);
}

/* The tree 8+8, 4+4, 2+2, 1+1 for 4 rows at once: s[h][r] holds partial sums 8 h .. 8 h + 7. */
INLINE __m128 sum_rows(__m256 s[2][F32_ROWS])
{
    __m128 t[F32_ROWS];
    UNROLL
    for (int r = 0; r < F32_ROWS; r++) {
        __m256 u = _mm256_add_ps(s[0][r], s[1][r]);
        t[r] = _mm_add_ps(_mm256_castps256_ps128(u), _mm256_extractf128_ps(u, 1));
    }
    __m128 a = _mm_add_ps(_mm_movelh_ps(t[0], t[1]), _mm_movehl_ps(t[1], t[0]));
    __m128 b = _mm_add_ps(_mm_movelh_ps(t[2], t[3]), _mm_movehl_ps(t[3], t[2]));
    return _mm_add_ps(_mm_shuffle_ps(a, b, 0x88), _mm_shuffle_ps(a, b, 0xdd));
}

/* y[row .. row + 3], or y[row] alone where `step` is 0. */
INLINE void store_rows(float *y, size_t step, __m128 sum)
{
    if (step) _mm_storeu_ps(y, sum);
    else *y = _mm_cvtss_f32(sum);
}

/* One token: the weights go from their format straight into the sums. */
INLINE void f32_panel_1(enum dtype dtype, const struct linear_args *args, size_t row, size_t step)
{
    const struct matrix *w = args->w;
    const uint8_t *p = w->data + row * w->row_stride;
    size_t stride = step * w->row_stride;
    const float *x = args->x[0];
    __m256 s[2][F32_ROWS];

    UNROLL
    for (int r = 0; r < F32_ROWS; r++) s[0][r] = s[1][r] = _mm256_setzero_ps();
    for (size_t k = 0; k < w->n_cols; k += f32_step(dtype)) {
        const uint8_t *next = p + F32_ROWS * stride + dtype_row_bytes(dtype, k);
        UNROLL
        for (size_t r = 0; r < F32_ROWS; r++) {
            __m256 v[4];
            _mm_prefetch((const char *)next + r * stride, _MM_HINT_T0);
            load_weights(dtype, p + r * stride, scales_of(w, dtype, row + r * step), k, v);
            UNROLL
            for (size_t i = 0; i < f32_step(dtype) / 8; i++)
                s[i % 2][r] = _mm256_fmadd_ps(v[i], _mm256_loadu_ps(x + k + 8 * i), s[i % 2][r]);
        }
    }
    store_rows(args->y[0] + row, step, sum_rows(s));
}

/* 4 rows unpacked: [half][step of 16 columns][row][8 columns] */
typedef float f32_panel[2][F32_CHUNK / 16][F32_ROWS][8];

/* Sums of the columns so far, in registers for the length of a chunk:
 * state[t][half][row] += panel[half][..][row] * x[t][k ..] for `n` tokens. */
INLINE void f32_tile(f32_panel *panel, size_t n_steps, const float *const *x, size_t k, size_t n,
                     __m256 (*state)[2][F32_ROWS])
{
    for (size_t half = 0; half < 2; half++) {
        __m256 s[F32_GROUP][F32_ROWS];
        UNROLL
        for (size_t t = 0; t < n; t++) {
            UNROLL
            for (int r = 0; r < F32_ROWS; r++) s[t][r] = state[t][half][r];
        }
        for (size_t i = 0; i < n_steps; i++) {
            __m256 xs[F32_GROUP];
            UNROLL
            for (size_t t = 0; t < n; t++) xs[t] = _mm256_loadu_ps(x[t] + k + 16 * i + 8 * half);
            UNROLL
            for (int r = 0; r < F32_ROWS; r++) {
                __m256 w = _mm256_load_ps((*panel)[half][i][r]);
                UNROLL
                for (size_t t = 0; t < n; t++) s[t][r] = _mm256_fmadd_ps(w, xs[t], s[t][r]);
            }
        }
        UNROLL
        for (size_t t = 0; t < n; t++) {
            UNROLL
            for (int r = 0; r < F32_ROWS; r++) state[t][half][r] = s[t][r];
        }
    }
}

/* Rows row .. row + 3 for the tokens [first, first + n_tokens), 2 at least. */
INLINE void f32_panel_many(enum dtype dtype, const struct linear_args *args, size_t first,
                           size_t n_tokens, size_t row, size_t step)
{
    const struct matrix *w = args->w;
    const uint8_t *p = w->data + row * w->row_stride;
    size_t stride = step * w->row_stride;
    f32_panel *panel = args->scratch;
    __m256(*state)[2][F32_ROWS] = (__m256(*)[2][F32_ROWS])(panel + 1); /* [n_tokens] */
    const float *const *x = (const float *const *)args->x + first;

    memset(state, 0, n_tokens * sizeof *state);
    for (size_t k = 0; k < w->n_cols; k += F32_CHUNK) {
        size_t n = w->n_cols - k < F32_CHUNK ? w->n_cols - k : F32_CHUNK;
        for (size_t i = 0; i < n; i += f32_step(dtype)) {
            UNROLL
            for (size_t r = 0; r < F32_ROWS; r++) {
                __m256 v[4];
                load_weights(dtype, p + r * stride, scales_of(w, dtype, row + r * step), k + i, v);
                UNROLL
                for (size_t j = 0; j < f32_step(dtype) / 8; j++)
                    _mm256_store_ps((*panel)[j % 2][i / 16 + j / 2][r], v[j]);
            }
        }
        for (size_t t = 0; t < n_tokens;) {
            size_t left = n_tokens - t, n_now = left == 2 || left == 4 ? 2 : 3;
            if (n_now == 3) f32_tile(panel, n / 16, x + t, k, 3, state + t);
            else f32_tile(panel, n / 16, x + t, k, 2, state + t);
            t += n_now;
        }
    }
    for (size_t t = 0; t < n_tokens; t++)
        store_rows(args->y[first + t] + row, step, sum_rows(state[t]));
}

/* The last rows of a range overlap those before; fewer than 4 are done one by one. */
INLINE void f32_linear(enum dtype dtype, const struct linear_args *args, size_t row_begin,
                       size_t row_end)
{
    size_t step = row_end - row_begin >= F32_ROWS;
    size_t n_tiles = (args->n_tokens + F32_TOKENS - 1) / F32_TOKENS;
    for (size_t i = 0; i < n_tiles; i++) {
        size_t first = args->n_tokens * i / n_tiles, last = args->n_tokens * (i + 1) / n_tiles;
        for (size_t at = row_begin; at < row_end; at += step ? F32_ROWS : 1) {
            size_t row = step && at + F32_ROWS > row_end ? row_end - F32_ROWS : at;
            if (args->n_tokens == 1) f32_panel_1(dtype, args, row, step);
            else f32_panel_many(dtype, args, first, last - first, row, step);
        }
    }
}

static void f32_f32_linear_avx2(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(DTYPE_F32, args, row_begin, row_end);
}

static void f32_f16_linear_avx2(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(DTYPE_F16, args, row_begin, row_end);
}

static void f32_bf16_linear_avx2(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(DTYPE_BF16, args, row_begin, row_end);
}

static void f32_q8_0_linear_avx2(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(DTYPE_Q8_0, args, row_begin, row_end);
}

static void f32_mxfp4_linear_avx2(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(DTYPE_MXFP4, args, row_begin, row_end);
}

static void f32_mxfp4_gguf_linear_avx2(const struct linear_args *args, size_t row_begin,
                                       size_t row_end)
{
    f32_linear(DTYPE_MXFP4_GGUF, args, row_begin, row_end);
}

static size_t linear_scratch_bytes_avx2(size_t n_cols)
{
    size_t q8 = q8_scratch_bytes(n_cols);
    size_t f32 = sizeof(f32_panel) + F32_TOKENS * sizeof(__m256[2][F32_ROWS]);
    return q8 > f32 ? q8 : f32;
}

/* ---- the small operations ------------------------------------------------------------------ */

INLINE __m256 absolute(__m256 x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

INLINE __m256 negative(__m256 x)
{
    return _mm256_xor_ps(_mm256_set1_ps(-0.0f), x);
}

/* exp_f32, lane by lane. */
INLINE __m256 exp_8(__m256 x)
{
    const __m256 round = _mm256_set1_ps(EXP_F32_ROUND), one = _mm256_set1_ps(1);
    const __m256 max = _mm256_set1_ps(EXP_F32_MAX), min = _mm256_set1_ps(EXP_F32_MIN);
    __m256 t = _mm256_add_ps(_mm256_mul_ps(x, _mm256_set1_ps(EXP_F32_LOG2E)), round);
    __m256i n_bits = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(round));
    __m256 n = _mm256_sub_ps(t, round);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(EXP_F32_LN2_HI), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(EXP_F32_LN2_LO), r);
    __m256 p = _mm256_set1_ps(EXP_F32_C6);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_F32_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_F32_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_F32_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_F32_C2));
    p = _mm256_fmadd_ps(p, r, one);
    p = _mm256_fmadd_ps(p, r, one);
    p = _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(n_bits, 23)));
    p = _mm256_blendv_ps(p, _mm256_set1_ps(INFINITY), _mm256_cmp_ps(x, max, _CMP_GT_OQ));
    p = _mm256_andnot_ps(_mm256_cmp_ps(x, min, _CMP_LT_OQ), p);
    return _mm256_blendv_ps(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

/* The 16 partial sums of one row. */
INLINE float sum_16(__m256 low, __m256 high)
{
    __m256 u = _mm256_add_ps(low, high);
    __m128 t = _mm_add_ps(_mm256_castps256_ps128(u), _mm256_extractf128_ps(u, 1));
    t = _mm_add_ps(t, _mm_movehl_ps(t, t));
    return _mm_cvtss_f32(_mm_add_ss(t, _mm_movehdup_ps(t)));
}

INLINE float max_8(__m256 m)
{
    __m128 m4 = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    m4 = _mm_max_ps(m4, _mm_movehl_ps(m4, m4));
    return _mm_cvtss_f32(_mm_max_ss(m4, _mm_movehdup_ps(m4)));
}

static void q8_quantise_avx2(const float *x, size_t n_cols, enum q8_order order, void *out)
{
    const __m256i bytes = _mm256_set1_epi32(255),
                  in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i even_odd = _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15,
                                              0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    int8_t *values = out;
    float *scales = (float *)(uintptr_t)q8_scales(out, n_cols);
    int32_t *sums = (int32_t *)(uintptr_t)q8_sums(out, n_cols);

    memset(out, 0, q8_row_bytes(n_cols));
    for (size_t b = 0; b < n_cols / QUANT_BLOCK; b++, x += QUANT_BLOCK) {
        __m256 v[4], m = _mm256_setzero_ps();
        UNROLL
        for (int i = 0; i < 4; i++) {
            v[i] = _mm256_loadu_ps(x + 8 * i);
            m = _mm256_max_ps(absolute(v[i]), m); /* a NaN on the left is left out */
        }
        float max = max_8(m);
        if (max < Q8_MAX_MIN) max = 0;
        __m256 inverse = _mm256_set1_ps(max > 0 ? 127.0f / max : 0);
        __m256i q[4]; /* NaN gives 0x80000000, whose low byte is 0 */
        UNROLL
        for (int i = 0; i < 4; i++)
            q[i] = _mm256_and_si256(_mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse)), bytes);
        __m256i all =
            _mm256_packus_epi16(_mm256_packus_epi32(q[0], q[1]), _mm256_packus_epi32(q[2], q[3]));
        all = _mm256_permutevar8x32_epi32(all, in_order);
        __m256i s =
            _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), all), _mm256_set1_epi16(1));
        __m128i s4 = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
        s4 = _mm_add_epi32(s4, _mm_shuffle_epi32(s4, 0x4e));
        sums[b] = _mm_cvtsi128_si32(_mm_add_epi32(s4, _mm_shuffle_epi32(s4, 0xb1)));
        scales[b] = max / 127.0f;

        int8_t *group = values + b / 4 * Q8_GROUP;
        if (order == Q8_NATURAL) {
            _mm256_storeu_si256((__m256i *)(group + b % 4 * 32), all);
            continue;
        }
        if (order == Q8_EVEN_ODD)
            all = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(all, even_odd), 0xd8);
        _mm_storeu_si128((__m128i *)(group + b % 4 * 16), _mm256_castsi256_si128(all));
        _mm_storeu_si128((__m128i *)(group + 64 + b % 4 * 16), _mm256_extracti128_si256(all, 1));
    }
}

static void rms_norm_avx2(const float *x, const float *w, size_t n, float eps, float *out)
{
    __m256 low = _mm256_setzero_ps(), high = low;
    for (size_t i = 0; i < n; i += 16) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        low = _mm256_fmadd_ps(a, a, low);
        high = _mm256_fmadd_ps(b, b, high);
    }
    __m256 scale = _mm256_set1_ps(1.0f / sqrtf(sum_16(low, high) / (float)n + eps));
    for (size_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), scale),
                                                _mm256_loadu_ps(w + i)));
}

/* _mm256_min_ps(a, b) is a < b ? a : b, so a NaN on the right passes. */
INLINE __m256 swiglu_8(__m256 gate, __m256 up, float limit, float alpha)
{
    const __m256 one = _mm256_set1_ps(1), high = _mm256_set1_ps(limit);
    __m256 g = _mm256_min_ps(high, gate);
    __m256 u = _mm256_max_ps(negative(high), _mm256_min_ps(high, up));
    __m256 e = exp_8(negative(_mm256_mul_ps(_mm256_set1_ps(alpha), g)));
    __m256 sigmoid = _mm256_div_ps(one, _mm256_add_ps(one, e));
    return _mm256_mul_ps(_mm256_add_ps(u, one), _mm256_mul_ps(g, sigmoid));
}

static void swiglu_avx2(const float *gate, const float *up, size_t n, float limit, float alpha,
                        float *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(
            out + i, swiglu_8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i), limit, alpha));
    if (i == n) return;
    float g[8] = {0}, u[8] = {0};
    memcpy(g, gate + i, (n - i) * sizeof *g);
    memcpy(u, up + i, (n - i) * sizeof *u);
    _mm256_storeu_ps(g, swiglu_8(_mm256_loadu_ps(g), _mm256_loadu_ps(u), limit, alpha));
    memcpy(out + i, g, (n - i) * sizeof *g);
}

static void rope_avx2(float *x, const float *cos, const float *sin, size_t half)
{
    size_t i = 0;
    for (; i + 8 <= half; i += 8) {
        __m256 x1 = _mm256_loadu_ps(x + i), x2 = _mm256_loadu_ps(x + half + i);
        __m256 c = _mm256_loadu_ps(cos + i), s = _mm256_loadu_ps(sin + i);
        _mm256_storeu_ps(x + i, _mm256_fmsub_ps(x1, c, _mm256_mul_ps(x2, s)));
        _mm256_storeu_ps(x + half + i, _mm256_fmadd_ps(x2, c, _mm256_mul_ps(x1, s)));
    }
    for (; i < half; i++) {
        float x1 = x[i], x2 = x[half + i];
        x[i] = fmaf(x1, cos[i], -(x2 * sin[i]));
        x[half + i] = fmaf(x2, cos[i], x1 * sin[i]);
    }
}

static void add_scaled_avx2(float *acc, const float *x, float w, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(acc + i, _mm256_fmadd_ps(_mm256_set1_ps(w), _mm256_loadu_ps(x + i),
                                                  _mm256_loadu_ps(acc + i)));
    for (; i < n; i++) acc[i] = fmaf(w, x[i], acc[i]);
}

static void f32_to_f16_avx2(const float *x, size_t n, f16_t *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(out + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++) out[i] = f16_from_float(x[i]);
}

/* ---- attention ----------------------------------------------------------------------------- */

enum { ATTENTION_ROWS = 6 }; /* most query rows that go together: 12 sums in registers */

INLINE __m256 load_kv_8(bool f16, const void *tile, size_t i)
{
    return f16 ? _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)((const f16_t *)tile + i)))
               : _mm256_loadu_ps((const float *)tile + i);
}

INLINE float load_kv(bool f16, const void *tile, size_t i)
{
    return f16 ? float_from_f16(((const f16_t *)tile)[i]) : ((const float *)tile)[i];
}

/* s[r][j] = (q[r] . k[j]) * scale for the 16 positions from j; lanes are positions. */
INLINE void scores_16(const struct attention_tile_args *args, bool f16, size_t first, size_t n,
                      size_t j, float (*s)[KV_TILE])
{
    const float *const *q = args->q + first;
    __m256 dot[ATTENTION_ROWS][2], scale = _mm256_set1_ps(args->scale);
    UNROLL
    for (size_t r = 0; r < n; r++) dot[r][0] = dot[r][1] = _mm256_setzero_ps();
    for (size_t d = 0; d < args->head_dim; d++) {
        __m256 k0 = load_kv_8(f16, args->k, j * args->head_dim + d * KV_LANES);
        __m256 k1 = load_kv_8(f16, args->k, j * args->head_dim + d * KV_LANES + 8);
        UNROLL
        for (size_t r = 0; r < n; r++) {
            __m256 x = _mm256_broadcast_ss(q[r] + d);
            dot[r][0] = _mm256_fmadd_ps(x, k0, dot[r][0]);
            dot[r][1] = _mm256_fmadd_ps(x, k1, dot[r][1]);
        }
    }
    UNROLL
    for (size_t r = 0; r < n; r++) {
        _mm256_store_ps(&s[r][j], _mm256_mul_ps(dot[r][0], scale));
        _mm256_store_ps(&s[r][j + 8], _mm256_mul_ps(dot[r][1], scale));
    }
}

/* All ones where position j + lane is in [begin, end). */
INLINE __m256 in_range(size_t j, size_t begin, size_t end)
{
    __m256i at =
        _mm256_add_epi32(_mm256_set1_epi32((int)j), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_castsi256_ps(
        _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)begin), at),
                            _mm256_cmpgt_epi32(_mm256_set1_epi32((int)end), at)));
}

/* The largest of `max` and the scores; a NaN on the left of _mm256_max_ps is left out, as it is by
 * a comparison. */
INLINE float max_score(const float *s, size_t begin, size_t end, float max)
{
    __m256 m[2] = {_mm256_set1_ps(max), _mm256_set1_ps(max)};
    for (size_t j = begin / 16 * 16; j < end; j += 16) {
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            __m256 x = _mm256_load_ps(s + j + 8 * h);
            if (j < begin || j + 16 > end)
                x = _mm256_blendv_ps(m[h], x, in_range(j + 8 * h, begin, end));
            m[h] = _mm256_max_ps(x, m[h]);
        }
    }
    return max_8(_mm256_max_ps(m[0], m[1]));
}

/* Scores to p; the state's maximum and sums along, acc scaled where the maximum grew. */
INLINE void softmax_row(struct attention_state *state, size_t head_dim, size_t begin, size_t end,
                        float max, float *s)
{
    __m256 sum[2] = {_mm256_loadu_ps(state->sum), _mm256_loadu_ps(state->sum + 8)};
    if (max != state->max) {
        float c = exp_f32(state->max - max);
        __m256 c8 = _mm256_set1_ps(c);
        size_t d = 0;
        sum[0] = _mm256_mul_ps(sum[0], c8);
        sum[1] = _mm256_mul_ps(sum[1], c8);
        for (; d + 8 <= head_dim; d += 8)
            _mm256_storeu_ps(state->acc + d, _mm256_mul_ps(_mm256_loadu_ps(state->acc + d), c8));
        for (; d < head_dim; d++) state->acc[d] *= c;
        state->max = max;
    }
    for (size_t j = begin / 16 * 16; j < end; j += 16) {
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            __m256 p = exp_8(_mm256_sub_ps(_mm256_load_ps(s + j + 8 * h), _mm256_set1_ps(max)));
            if (j < begin || j + 16 > end) p = _mm256_and_ps(p, in_range(j + 8 * h, begin, end));
            sum[h] = _mm256_add_ps(sum[h], p);
            _mm256_store_ps(s + j + 8 * h, p);
        }
    }
    _mm256_storeu_ps(state->sum, sum[0]);
    _mm256_storeu_ps(state->sum + 8, sum[1]);
}

/* acc[r] += p[r][j] * v[j] for the positions [begin, end) of n rows, 16 elements at a time. */
INLINE void add_values(const struct attention_tile_args *args, bool f16, size_t first, size_t n,
                       size_t begin, size_t end, float (*p)[KV_TILE])
{
    struct attention_state *states = args->states + first;
    size_t n_d = args->head_dim, d = 0;
    for (; d + 16 <= n_d; d += 16) {
        __m256 acc[ATTENTION_ROWS][2];
        UNROLL
        for (size_t r = 0; r < n; r++) {
            acc[r][0] = _mm256_loadu_ps(states[r].acc + d);
            acc[r][1] = _mm256_loadu_ps(states[r].acc + d + 8);
        }
        for (size_t j = begin; j < end; j++) {
            __m256 v0 = load_kv_8(f16, args->v, j * n_d + d);
            __m256 v1 = load_kv_8(f16, args->v, j * n_d + d + 8);
            UNROLL
            for (size_t r = 0; r < n; r++) {
                __m256 x = _mm256_broadcast_ss(&p[r][j]);
                acc[r][0] = _mm256_fmadd_ps(x, v0, acc[r][0]);
                acc[r][1] = _mm256_fmadd_ps(x, v1, acc[r][1]);
            }
        }
        UNROLL
        for (size_t r = 0; r < n; r++) {
            _mm256_storeu_ps(states[r].acc + d, acc[r][0]);
            _mm256_storeu_ps(states[r].acc + d + 8, acc[r][1]);
        }
    }
    for (; d < n_d; d++)
        for (size_t r = 0; r < n; r++)
            for (size_t j = begin; j < end; j++)
                states[r].acc[d] =
                    fmaf(p[r][j], load_kv(f16, args->v, j * n_d + d), states[r].acc[d]);
}

/* n rows (1, 4 or 6) against a tile. The positions that all rows see are added to all at
 * once; those before and after, row by row. The first rows fetch what comes next: V while K is
 * used, the next tile's K before V is. */
INLINE void attention_rows(const struct attention_tile_args *args, bool f16, size_t first, size_t n)
{
    float s[ATTENTION_ROWS][KV_TILE] __attribute__((aligned(32)));
    float max[ATTENTION_ROWS];
    const uint8_t *begin = args->begin + first, *end = args->end + first;
    struct attention_state *states = args->states + first;
    size_t low = KV_TILE, high = 0, all_low = 0, all_high = KV_TILE;
    for (size_t r = 0; r < n; r++) {
        if (begin[r] < end[r] && begin[r] < low) low = begin[r];
        if (begin[r] < end[r] && end[r] > high) high = end[r];
        if (begin[r] > all_low) all_low = begin[r];
        if (end[r] < all_high) all_high = end[r];
    }
    size_t tile_bytes = kv_tile_elements(args->head_dim) * (f16 ? sizeof(f16_t) : sizeof(float));
    size_t piece_bytes = tile_bytes / (KV_TILE / KV_LANES);
    for (size_t j = low / KV_LANES * KV_LANES; j < high; j += KV_LANES) {
        if (first == 0) fetch((const uint8_t *)args->v + j / KV_LANES * piece_bytes, piece_bytes);
        scores_16(args, f16, first, n, j, s);
    }
    for (size_t r = 0; r < n; r++) max[r] = max_score(s[r], begin[r], end[r], states[r].max);
    for (size_t r = 0; r < n; r++) {
        if (first == 0 && args->next_k)
            fetch((const uint8_t *)args->next_k + r * (tile_bytes / n), tile_bytes / n);
        if (begin[r] < end[r])
            softmax_row(&states[r], args->head_dim, begin[r], end[r], max[r], s[r]);
    }
    if (all_low >= all_high) { /* nothing in common */
        for (size_t r = 0; r < n; r++) add_values(args, f16, first + r, 1, begin[r], end[r], s + r);
        return;
    }
    for (size_t r = 0; r < n; r++) add_values(args, f16, first + r, 1, begin[r], all_low, s + r);
    add_values(args, f16, first, n, all_low, all_high, s);
    for (size_t r = 0; r < n; r++) add_values(args, f16, first + r, 1, all_high, end[r], s + r);
}

INLINE void attention_tile(const struct attention_tile_args *args, bool f16)
{
    for (size_t r = 0; r < args->n_rows;) {
        size_t left = args->n_rows - r, n = left == 6 || left >= 10 ? 6 : left >= 4 ? 4 : 1;
        if (n == 6) attention_rows(args, f16, r, 6);
        else if (n == 4) attention_rows(args, f16, r, 4);
        else attention_rows(args, f16, r, 1);
        r += n;
    }
}

static void f16_attention_tile_avx2(const struct attention_tile_args *args)
{
    attention_tile(args, true);
}

static void f32_attention_tile_avx2(const struct attention_tile_args *args)
{
    attention_tile(args, false);
}

INLINE __m256 expand_8(const int8_t *q, __m256 scale)
{
    __m256i values = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)q));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(values), scale);
}

static void q8_0_kv_expand_avx2(const void *tile, size_t head_dim, const void *next, float *out)
{
    const int8_t *k = tile, *v = k + kv_q8_0_tile_bytes(head_dim);
    const f16_t *k_scales = (const void *)(k + kv_tile_elements(head_dim));
    const f16_t *v_scales = (const void *)(v + kv_tile_elements(head_dim));
    const char *fetched = next ? next : tile;
    size_t half = kv_q8_0_tile_bytes(head_dim);
    for (size_t i = 0; i < KV_TILE / KV_LANES; i++) {
        __m256 low = _mm256_setzero_ps(), high = low;
        for (size_t d = 0; d < head_dim; d++, k += KV_LANES, out += KV_LANES, fetched += 16) {
            const f16_t *scales = k_scales + d / QUANT_BLOCK * KV_TILE + i * KV_LANES;
            if (d % QUANT_BLOCK == 0) {
                low = _mm256_cvtph_ps(_mm_loadu_si128((const void *)scales));
                high = _mm256_cvtph_ps(_mm_loadu_si128((const void *)(scales + 8)));
            }
            if (d % 4 == 0) { /* K and V of the next tile: two streams */
                _mm_prefetch(fetched, _MM_HINT_T0);
                _mm_prefetch(fetched + half, _MM_HINT_T0);
            }
            _mm256_storeu_ps(out, expand_8(k, low));
            _mm256_storeu_ps(out + 8, expand_8(k + 8, high));
        }
    }
    for (size_t j = 0; j < KV_TILE; j++, v += head_dim, out += head_dim)
        for (size_t d = 0, b = 0; d < head_dim; b++) {
            size_t end = d + QUANT_BLOCK < head_dim ? d + QUANT_BLOCK : head_dim;
            float scale = float_from_f16(v_scales[b * KV_TILE + j]);
            for (; d + 8 <= end; d += 8)
                _mm256_storeu_ps(out + d, expand_8(v + d, _mm256_set1_ps(scale)));
            for (; d < end; d++) out[d] = (float)v[d] * scale;
        }
}

static void attention_merge_avx2(struct attention_state *total, const struct attention_state *part,
                                 size_t head_dim)
{
    if (part->max == -INFINITY) return;
    float m = part->max > total->max ? part->max : total->max;
    float c = exp_f32(total->max - m), c_part = exp_f32(part->max - m);
    float sum = sum_16(_mm256_loadu_ps(part->sum), _mm256_loadu_ps(part->sum + 8));
    size_t d = 0;
    total->max = m;
    total->sum[0] = fmaf(sum, c_part, total->sum[0] * c);
    for (; d + 8 <= head_dim; d += 8)
        _mm256_storeu_ps(
            total->acc + d,
            _mm256_fmadd_ps(_mm256_loadu_ps(part->acc + d), _mm256_set1_ps(c_part),
                            _mm256_mul_ps(_mm256_loadu_ps(total->acc + d), _mm256_set1_ps(c))));
    for (; d < head_dim; d++) total->acc[d] = fmaf(part->acc[d], c_part, total->acc[d] * c);
}

void kernels_avx2_fill(struct cpu_kernels *table)
{
    table->isa = "avx2";
    table->f32_linear[DTYPE_F32] = f32_f32_linear_avx2;
    table->f32_linear[DTYPE_F16] = f32_f16_linear_avx2;
    table->f32_linear[DTYPE_BF16] = f32_bf16_linear_avx2;
    table->f32_linear[DTYPE_Q8_0] = f32_q8_0_linear_avx2;
    table->f32_linear[DTYPE_MXFP4] = f32_mxfp4_linear_avx2;
    table->f32_linear[DTYPE_MXFP4_GGUF] = f32_mxfp4_gguf_linear_avx2;
    table->q8_linear[DTYPE_Q8_0] = q8_q8_0_linear_avx2;
    table->q8_linear[DTYPE_MXFP4] = q8_mxfp4_linear_avx2;
    table->q8_linear[DTYPE_MXFP4_GGUF] = q8_mxfp4_gguf_linear_avx2;
    table->linear_scratch_bytes = linear_scratch_bytes_avx2;
    table->row_tile = 32;
    table->q8_quantise = q8_quantise_avx2;
    table->rms_norm = rms_norm_avx2;
    table->swiglu = swiglu_avx2;
    table->rope = rope_avx2;
    table->f16_attention_tile = f16_attention_tile_avx2;
    table->f32_attention_tile = f32_attention_tile_avx2;
    table->q8_0_kv_expand = q8_0_kv_expand_avx2;
    table->attention_merge = attention_merge_avx2;
    table->add_scaled = add_scaled_avx2;
    table->f32_to_f16 = f32_to_f16_avx2;
}
