/* kernels_neon.c - kernels for aarch64 processors with the int8 dot product (Armv8.2 dotprod), such
 * as the Kunpeng 920.
 *
 * Matrix products with int8 activations stand in kernels_neon_q8.c. With float activations 4 rows
 * go together, their 16 partial sums in four vectors each: straight from the weights' format for
 * one token, and through unpacked columns for more. Attention takes 4 query rows at a time. */
#include "device/cpu/kernels_neon.h"

#include "base/fmath.h"

#include <math.h>

/* ---- float activations --------------------------------------------------------------------- */

enum {
    F32_ROWS = 4,
    F32_TOKENS = 48,
    F32_CHUNK = 512, /* columns unpacked at a time, so that they stay in the nearest cache */
    F32_GROUP = 4    /* most tokens that meet 4 rows in registers: 16 sums */
};

/* Columns that are unpacked at once. */
INLINE size_t f32_step(enum dtype dtype)
{
    return dtype >= DTYPE_Q8_0 ? QUANT_BLOCK : 16;
}

INLINE void u16_to_f32(bool f16, uint16x8_t x, float32x4_t w[2])
{
    if (f16) {
        w[0] = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(x)));
        w[1] = vcvt_f32_f16(vreinterpret_f16_u16(vget_high_u16(x)));
    } else {
        w[0] = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(x), 16));
        w[1] = vreinterpretq_f32_u32(vshll_high_n_u16(x, 16));
    }
}

INLINE void int8_to_f32(int8x16_t x, float scale, float32x4_t w[4])
{
    int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_high_s8(x);
    w[0] = vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), scale);
    w[1] = vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(low)), scale);
    w[2] = vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), scale);
    w[3] = vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(high)), scale);
}

INLINE const uint8_t *scales_of(const struct matrix *w, enum dtype dtype, size_t row)
{
    return dtype == DTYPE_MXFP4 ? w->scales + row * w->scale_stride : NULL;
}

/* Weights k .. k + f32_step of a row as floats, exactly. `p`, `scales`: the row. */
INLINE void load_weights(enum dtype dtype, const uint8_t *p, const uint8_t *scales, size_t k,
                         float32x4_t w[8])
{
    if (dtype == DTYPE_F32) {
        UNROLL
        for (int i = 0; i < 4; i++) w[i] = vreinterpretq_f32_u8(vld1q_u8(p + 4 * k + 16 * i));
        return;
    }
    if (dtype == DTYPE_F16 || dtype == DTYPE_BF16) {
        u16_to_f32(dtype == DTYPE_F16, vreinterpretq_u16_u8(vld1q_u8(p + 2 * k)), w);
        u16_to_f32(dtype == DTYPE_F16, vreinterpretq_u16_u8(vld1q_u8(p + 2 * k + 16)), w + 2);
        return;
    }
    int8x16_t a, b;
    float scale;
    p += k / QUANT_BLOCK * dtype_row_bytes(dtype, QUANT_BLOCK);
    if (dtype == DTYPE_Q8_0) {
        scale = float_from_f16((f16_t){(uint16_t)(p[0] | p[1] << 8)});
        a = vreinterpretq_s8_u8(vld1q_u8(p + 2));
        b = vreinterpretq_s8_u8(vld1q_u8(p + 18));
    } else {
        const int8x16_t table = vld1q_s8(FP4_DOUBLED);
        bool gguf = dtype == DTYPE_MXFP4_GGUF;
        scale = .5f * float_from_e8m0((e8m0_t){gguf ? *p++ : scales[k / QUANT_BLOCK]});
        uint8x16_t v = vld1q_u8(p);
        int8x16_t low = vqtbl1q_s8(table, vandq_u8(v, vdupq_n_u8(15)));
        int8x16_t high = vqtbl1q_s8(table, vshrq_n_u8(v, 4));
        a = gguf ? low : vzip1q_s8(low, high);
        b = gguf ? high : vzip2q_s8(low, high);
    }
    int8_to_f32(a, scale, w);
    int8_to_f32(b, scale, w + 4);
}

/* The tree 8+8, 4+4, 2+2, 1+1 for 4 rows at once: s[q][r] holds partial sums 4 q .. 4 q + 3. */
INLINE float32x4_t sum_rows(float32x4_t s[4][F32_ROWS])
{
    float64x2_t u[F32_ROWS];
    UNROLL
    for (int r = 0; r < F32_ROWS; r++)
        u[r] = vreinterpretq_f64_f32(
            vaddq_f32(vaddq_f32(s[0][r], s[2][r]), vaddq_f32(s[1][r], s[3][r])));
    float32x4_t a = vaddq_f32(vreinterpretq_f32_f64(vzip1q_f64(u[0], u[1])),
                              vreinterpretq_f32_f64(vzip2q_f64(u[0], u[1])));
    float32x4_t b = vaddq_f32(vreinterpretq_f32_f64(vzip1q_f64(u[2], u[3])),
                              vreinterpretq_f32_f64(vzip2q_f64(u[2], u[3])));
    return vpaddq_f32(a, b);
}

/* y[row .. row + 3], or y[row] alone where `step` is 0. */
INLINE void store_rows(float *y, size_t step, float32x4_t sum)
{
    if (step) vst1q_f32(y, sum);
    else *y = vgetq_lane_f32(sum, 0);
}

/* One token: the weights go from their format straight into the sums. */
INLINE void f32_panel_1(enum dtype dtype, const struct linear_args *args, size_t row, size_t step)
{
    const struct matrix *w = args->w;
    const uint8_t *p = w->data + row * w->row_stride;
    size_t stride = step * w->row_stride;
    const float *x = args->x[0];
    float32x4_t s[4][F32_ROWS];

    UNROLL
    for (int i = 0; i < 4 * F32_ROWS; i++) s[i / F32_ROWS][i % F32_ROWS] = vdupq_n_f32(0);
    for (size_t k = 0; k < w->n_cols; k += f32_step(dtype)) {
        const uint8_t *next = p + F32_ROWS * stride + dtype_row_bytes(dtype, k);
        UNROLL
        for (size_t r = 0; r < F32_ROWS; r++) {
            float32x4_t v[8];
            __builtin_prefetch(next + r * stride);
            load_weights(dtype, p + r * stride, scales_of(w, dtype, row + r * step), k, v);
            UNROLL
            for (size_t i = 0; i < f32_step(dtype) / 4; i++)
                s[i % 4][r] = vfmaq_f32(s[i % 4][r], v[i], vld1q_f32(x + k + 4 * i));
        }
    }
    store_rows(args->y[0] + row, step, sum_rows(s));
}

/* 4 rows unpacked: [quarter][step of 16 columns][row][4 columns] */
typedef float f32_panel[4][F32_CHUNK / 16][F32_ROWS][4];

/* Sums of the columns so far, in registers for the length of a chunk:
 * state[t][quarter][row] += panel[quarter][..][row] * x[t][k ..] for `n` tokens. */
INLINE void f32_tile(f32_panel *panel, size_t n_steps, const float *const *x, size_t k, size_t n,
                     float32x4_t (*state)[4][F32_ROWS])
{
    for (size_t quarter = 0; quarter < 4; quarter++) {
        float32x4_t s[F32_GROUP][F32_ROWS];
        UNROLL
        for (size_t t = 0; t < n; t++) {
            UNROLL
            for (int r = 0; r < F32_ROWS; r++) s[t][r] = state[t][quarter][r];
        }
        for (size_t i = 0; i < n_steps; i++) {
            float32x4_t xs[F32_GROUP];
            UNROLL
            for (size_t t = 0; t < n; t++) xs[t] = vld1q_f32(x[t] + k + 16 * i + 4 * quarter);
            UNROLL
            for (int r = 0; r < F32_ROWS; r++) {
                float32x4_t w = vld1q_f32((*panel)[quarter][i][r]);
                UNROLL
                for (size_t t = 0; t < n; t++) s[t][r] = vfmaq_f32(s[t][r], w, xs[t]);
            }
        }
        UNROLL
        for (size_t t = 0; t < n; t++) {
            UNROLL
            for (int r = 0; r < F32_ROWS; r++) state[t][quarter][r] = s[t][r];
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
    float32x4_t(*state)[4][F32_ROWS] = (float32x4_t(*)[4][F32_ROWS])(panel + 1); /* [n_tokens] */
    const float *const *x = (const float *const *)args->x + first;

    memset(state, 0, n_tokens * sizeof *state);
    for (size_t k = 0; k < w->n_cols; k += F32_CHUNK) {
        size_t n = w->n_cols - k < F32_CHUNK ? w->n_cols - k : F32_CHUNK;
        for (size_t i = 0; i < n; i += f32_step(dtype)) {
            UNROLL
            for (size_t r = 0; r < F32_ROWS; r++) {
                float32x4_t v[8];
                load_weights(dtype, p + r * stride, scales_of(w, dtype, row + r * step), k + i, v);
                UNROLL
                for (size_t j = 0; j < f32_step(dtype) / 4; j++)
                    vst1q_f32((*panel)[j % 4][i / 16 + j / 4][r], v[j]);
            }
        }
        for (size_t t = 0; t < n_tokens;) {
            size_t left = n_tokens - t, n_now = left == 2 ? 2 : left == 3 || left == 5 ? 3 : 4;
            if (n_now == 4) f32_tile(panel, n / 16, x + t, k, 4, state + t);
            else if (n_now == 3) f32_tile(panel, n / 16, x + t, k, 3, state + t);
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

static void f32_f32_linear_neon(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(DTYPE_F32, args, row_begin, row_end);
}

static void f32_f16_linear_neon(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(DTYPE_F16, args, row_begin, row_end);
}

static void f32_bf16_linear_neon(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(DTYPE_BF16, args, row_begin, row_end);
}

static void f32_q8_0_linear_neon(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(DTYPE_Q8_0, args, row_begin, row_end);
}

static void f32_mxfp4_linear_neon(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    f32_linear(DTYPE_MXFP4, args, row_begin, row_end);
}

static void f32_mxfp4_gguf_linear_neon(const struct linear_args *args, size_t row_begin,
                                       size_t row_end)
{
    f32_linear(DTYPE_MXFP4_GGUF, args, row_begin, row_end);
}

static size_t linear_scratch_bytes_neon(size_t n_cols)
{
    size_t q8 = q8_linear_scratch_bytes_neon(n_cols);
    size_t f32 = sizeof(f32_panel) + F32_TOKENS * sizeof(float32x4_t[4][F32_ROWS]);
    return q8 > f32 ? q8 : f32;
}

/* ---- the small operations ------------------------------------------------------------------ */

/* a > b ? a : b, also with NaN. */
INLINE float32x4_t greater(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

/* exp_f32, lane by lane. */
INLINE float32x4_t exp_4(float32x4_t x)
{
    const float32x4_t round = vdupq_n_f32(EXP_F32_ROUND), one = vdupq_n_f32(1);
    float32x4_t t = vaddq_f32(vmulq_n_f32(x, EXP_F32_LOG2E), round);
    uint32x4_t n_bits = vsubq_u32(vreinterpretq_u32_f32(t), vreinterpretq_u32_f32(round));
    float32x4_t n = vsubq_f32(t, round);
    float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(EXP_F32_LN2_HI));
    r = vfmsq_f32(r, n, vdupq_n_f32(EXP_F32_LN2_LO));
    float32x4_t p = vdupq_n_f32(EXP_F32_C6);
    p = vfmaq_f32(vdupq_n_f32(EXP_F32_C5), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_F32_C4), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_F32_C3), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_F32_C2), p, r);
    p = vfmaq_f32(one, p, r);
    p = vfmaq_f32(one, p, r);
    p = vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), vshlq_n_u32(n_bits, 23)));
    p = vbslq_f32(vcgtq_f32(x, vdupq_n_f32(EXP_F32_MAX)), vdupq_n_f32(INFINITY), p);
    p = vbslq_f32(vcltq_f32(x, vdupq_n_f32(EXP_F32_MIN)), vdupq_n_f32(0), p);
    return vbslq_f32(vceqq_f32(x, x), p, x);
}

/* The 16 partial sums of one row. */
INLINE float sum_16(const float32x4_t s[4])
{
    float32x4_t u = vaddq_f32(vaddq_f32(s[0], s[2]), vaddq_f32(s[1], s[3]));
    return vpadds_f32(vadd_f32(vget_low_f32(u), vget_high_f32(u)));
}

/* The same choice as comparing one after the other; there is no NaN among them. */
INLINE float max_4(float32x4_t x)
{
    return vmaxvq_f32(x);
}

static void q8_quantise_neon(const float *x, size_t n_cols, enum q8_order order, void *out)
{
    int8_t *values = out;
    float *scales = (float *)(uintptr_t)q8_scales(out, n_cols);
    int32_t *sums = (int32_t *)(uintptr_t)q8_sums(out, n_cols);

    memset(out, 0, q8_row_bytes(n_cols));
    for (size_t b = 0; b < n_cols / QUANT_BLOCK; b++, x += QUANT_BLOCK) {
        float32x4_t v[8], m = vdupq_n_f32(0);
        UNROLL
        for (int i = 0; i < 8; i++) {
            v[i] = vld1q_f32(x + 4 * i);
            m = greater(vabsq_f32(v[i]), m);
        }
        float max = max_4(m);
        if (max < Q8_MAX_MIN) max = 0;
        float inverse = max > 0 ? 127.0f / max : 0;
        int16x4_t q[8]; /* to nearest even, NaN to 0 */
        UNROLL
        for (int i = 0; i < 8; i++) q[i] = vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(v[i], inverse)));
        int8x16_t low =
            vcombine_s8(vmovn_s16(vcombine_s16(q[0], q[1])), vmovn_s16(vcombine_s16(q[2], q[3])));
        int8x16_t high =
            vcombine_s8(vmovn_s16(vcombine_s16(q[4], q[5])), vmovn_s16(vcombine_s16(q[6], q[7])));
        const int8x16_t ones = vdupq_n_s8(1);
        sums[b] = vaddvq_s32(vdotq_s32(vdotq_s32(vdupq_n_s32(0), low, ones), high, ones));
        scales[b] = max / 127.0f;

        int8_t *group = values + b / 4 * Q8_GROUP;
        if (order == Q8_NATURAL) {
            vst1q_s8(group + b % 4 * 32, low);
            vst1q_s8(group + b % 4 * 32 + 16, high);
        } else {
            bool even_odd = order == Q8_EVEN_ODD;
            vst1q_s8(group + b % 4 * 16, even_odd ? vuzp1q_s8(low, high) : low);
            vst1q_s8(group + 64 + b % 4 * 16, even_odd ? vuzp2q_s8(low, high) : high);
        }
    }
}

static void rms_norm_neon(const float *x, const float *w, size_t n, float eps, float *out)
{
    float32x4_t s[4];
    UNROLL
    for (int q = 0; q < 4; q++) s[q] = vdupq_n_f32(0);
    for (size_t i = 0; i < n; i += 16) {
        UNROLL
        for (int q = 0; q < 4; q++) {
            float32x4_t v = vld1q_f32(x + i + 4 * q);
            s[q] = vfmaq_f32(s[q], v, v);
        }
    }
    float scale = 1.0f / sqrtf(sum_16(s) / (float)n + eps);
    for (size_t i = 0; i < n; i += 4)
        vst1q_f32(out + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), scale), vld1q_f32(w + i)));
}

INLINE float32x4_t swiglu_4(float32x4_t gate, float32x4_t up, float limit, float alpha)
{
    const float32x4_t one = vdupq_n_f32(1), high = vdupq_n_f32(limit), low = vdupq_n_f32(-limit);
    float32x4_t g = vbslq_f32(vcgtq_f32(gate, high), high, gate);
    float32x4_t u = vbslq_f32(vcgtq_f32(up, high), high, up);
    u = vbslq_f32(vcltq_f32(up, low), low, u);
    float32x4_t e = exp_4(vnegq_f32(vmulq_n_f32(g, alpha)));
    float32x4_t sigmoid = vdivq_f32(one, vaddq_f32(one, e));
    return vmulq_f32(vaddq_f32(u, one), vmulq_f32(g, sigmoid));
}

static void swiglu_neon(const float *gate, const float *up, size_t n, float limit, float alpha,
                        float *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(out + i, swiglu_4(vld1q_f32(gate + i), vld1q_f32(up + i), limit, alpha));
    if (i == n) return;
    float g[4] = {0}, u[4] = {0};
    memcpy(g, gate + i, (n - i) * sizeof *g);
    memcpy(u, up + i, (n - i) * sizeof *u);
    vst1q_f32(g, swiglu_4(vld1q_f32(g), vld1q_f32(u), limit, alpha));
    memcpy(out + i, g, (n - i) * sizeof *g);
}

static void rope_neon(float *x, const float *cos, const float *sin, size_t half)
{
    size_t i = 0;
    for (; i + 4 <= half; i += 4) {
        float32x4_t x1 = vld1q_f32(x + i), x2 = vld1q_f32(x + half + i);
        float32x4_t c = vld1q_f32(cos + i), s = vld1q_f32(sin + i);
        vst1q_f32(x + i, vfmaq_f32(vnegq_f32(vmulq_f32(x2, s)), x1, c));
        vst1q_f32(x + half + i, vfmaq_f32(vmulq_f32(x1, s), x2, c));
    }
    for (; i < half; i++) {
        float x1 = x[i], x2 = x[half + i];
        x[i] = fmaf(x1, cos[i], -(x2 * sin[i]));
        x[half + i] = fmaf(x2, cos[i], x1 * sin[i]);
    }
}

static void add_scaled_neon(float *acc, const float *x, float w, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(acc + i, vfmaq_n_f32(vld1q_f32(acc + i), vld1q_f32(x + i), w));
    for (; i < n; i++) acc[i] = fmaf(w, x[i], acc[i]);
}

static void f32_to_f16_neon(const float *x, size_t n, f16_t *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1_u16(&out[i].bits, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
    for (; i < n; i++) out[i] = f16_from_float(x[i]);
}

/* ---- attention ----------------------------------------------------------------------------- */

enum { ATTENTION_ROWS = 4 };

/* 16 elements from the i-th. */
INLINE void load_kv_16(bool f16, const void *tile, size_t i, float32x4_t x[4])
{
    if (f16) {
        const uint16_t *p = (const uint16_t *)tile + i;
        u16_to_f32(true, vld1q_u16(p), x);
        u16_to_f32(true, vld1q_u16(p + 8), x + 2);
    } else {
        UNROLL
        for (int c = 0; c < 4; c++) x[c] = vld1q_f32((const float *)tile + i + 4 * c);
    }
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
    float32x4_t dot[ATTENTION_ROWS][4];
    UNROLL
    for (size_t r = 0; r < n; r++) {
        UNROLL
        for (int c = 0; c < 4; c++) dot[r][c] = vdupq_n_f32(0);
    }
    for (size_t d = 0; d < args->head_dim; d++) {
        float32x4_t k[4];
        load_kv_16(f16, args->k, j * args->head_dim + d * KV_LANES, k);
        UNROLL
        for (size_t r = 0; r < n; r++) {
            UNROLL
            for (int c = 0; c < 4; c++) dot[r][c] = vfmaq_n_f32(dot[r][c], k[c], q[r][d]);
        }
    }
    UNROLL
    for (size_t r = 0; r < n; r++) {
        UNROLL
        for (int c = 0; c < 4; c++)
            vst1q_f32(&s[r][j + 4 * (size_t)c], vmulq_n_f32(dot[r][c], args->scale));
    }
}

/* All ones where position j + lane is in [begin, end). */
INLINE uint32x4_t in_range(size_t j, size_t begin, size_t end)
{
    static const uint32_t lanes[4] = {0, 1, 2, 3};
    uint32x4_t at = vaddq_u32(vdupq_n_u32((uint32_t)j), vld1q_u32(lanes));
    return vandq_u32(vcgeq_u32(at, vdupq_n_u32((uint32_t)begin)),
                     vcltq_u32(at, vdupq_n_u32((uint32_t)end)));
}

/* The largest of `max` and the scores; NaN is left out, as it is by a comparison. */
INLINE float max_score(const float *s, size_t begin, size_t end, float max)
{
    float32x4_t m = vdupq_n_f32(max);
    for (size_t j = begin / 4 * 4; j < end; j += 4) {
        float32x4_t x = vld1q_f32(s + j);
        if (j < begin || j + 4 > end) x = vbslq_f32(in_range(j, begin, end), x, m);
        m = greater(x, m);
    }
    return max_4(m);
}

/* Scores to p; the state's maximum and sums along, acc scaled where the maximum grew. */
INLINE void softmax_row(struct attention_state *state, size_t head_dim, size_t begin, size_t end,
                        float max, float *s)
{
    float32x4_t sum[4];
    UNROLL
    for (int c = 0; c < 4; c++) sum[c] = vld1q_f32(state->sum + 4 * c);
    if (max != state->max) {
        float c = exp_f32(state->max - max);
        size_t d = 0;
        UNROLL
        for (int i = 0; i < 4; i++) sum[i] = vmulq_n_f32(sum[i], c);
        for (; d + 4 <= head_dim; d += 4)
            vst1q_f32(state->acc + d, vmulq_n_f32(vld1q_f32(state->acc + d), c));
        for (; d < head_dim; d++) state->acc[d] *= c;
        state->max = max;
    }
    for (size_t j = begin / 16 * 16; j < end; j += 16) {
        UNROLL
        for (size_t c = 0; c < 4; c++) {
            float32x4_t p = exp_4(vsubq_f32(vld1q_f32(s + j + 4 * c), vdupq_n_f32(max)));
            if (j < begin || j + 16 > end)
                p = vreinterpretq_f32_u32(
                    vandq_u32(vreinterpretq_u32_f32(p), in_range(j + 4 * c, begin, end)));
            sum[c] = vaddq_f32(sum[c], p);
            vst1q_f32(s + j + 4 * c, p);
        }
    }
    UNROLL
    for (int c = 0; c < 4; c++) vst1q_f32(state->sum + 4 * c, sum[c]);
}

/* acc[r] += p[r][j] * v[j] for the positions [begin, end) of n rows, 16 elements at a time. */
INLINE void add_values(const struct attention_tile_args *args, bool f16, size_t first, size_t n,
                       size_t begin, size_t end, float (*p)[KV_TILE])
{
    struct attention_state *states = args->states + first;
    size_t n_d = args->head_dim, d = 0;
    for (; d + 16 <= n_d; d += 16) {
        float32x4_t acc[ATTENTION_ROWS][4];
        UNROLL
        for (size_t r = 0; r < n; r++) {
            UNROLL
            for (int c = 0; c < 4; c++) acc[r][c] = vld1q_f32(states[r].acc + d + 4 * c);
        }
        for (size_t j = begin; j < end; j++) {
            float32x4_t v[4];
            load_kv_16(f16, args->v, j * n_d + d, v);
            UNROLL
            for (size_t r = 0; r < n; r++) {
                UNROLL
                for (int c = 0; c < 4; c++) acc[r][c] = vfmaq_n_f32(acc[r][c], v[c], p[r][j]);
            }
        }
        UNROLL
        for (size_t r = 0; r < n; r++) {
            UNROLL
            for (int c = 0; c < 4; c++) vst1q_f32(states[r].acc + d + 4 * c, acc[r][c]);
        }
    }
    for (; d < n_d; d++)
        for (size_t r = 0; r < n; r++)
            for (size_t j = begin; j < end; j++)
                states[r].acc[d] =
                    fmaf(p[r][j], load_kv(f16, args->v, j * n_d + d), states[r].acc[d]);
}

/* n rows (1 or ATTENTION_ROWS) against a tile. The positions that all rows see are added to all at
 * once; those before and after, row by row. The first rows fetch what comes next: V while K is
 * used, the next tile's K before V is. */
INLINE void attention_rows(const struct attention_tile_args *args, bool f16, size_t first, size_t n)
{
    float s[ATTENTION_ROWS][KV_TILE];
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
    size_t r = 0;
    for (; r + ATTENTION_ROWS <= args->n_rows; r += ATTENTION_ROWS)
        attention_rows(args, f16, r, ATTENTION_ROWS);
    for (; r < args->n_rows; r++) attention_rows(args, f16, r, 1);
}

static void f16_attention_tile_neon(const struct attention_tile_args *args)
{
    attention_tile(args, true);
}

static void f32_attention_tile_neon(const struct attention_tile_args *args)
{
    attention_tile(args, false);
}

INLINE void expand_8(const int8_t *q, float32x4_t low, float32x4_t high, float *out)
{
    int16x8_t x = vmovl_s8(vld1_s8(q));
    vst1q_f32(out, vmulq_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(x))), low));
    vst1q_f32(out + 4, vmulq_f32(vcvtq_f32_s32(vmovl_high_s16(x)), high));
}

static void q8_0_kv_expand_neon(const void *tile, size_t head_dim, const void *next, float *out)
{
    const int8_t *k = tile, *v = k + kv_q8_0_tile_bytes(head_dim);
    const f16_t *k_scales = (const void *)(k + kv_tile_elements(head_dim));
    const f16_t *v_scales = (const void *)(v + kv_tile_elements(head_dim));
    const char *fetched = next ? next : tile;
    size_t half = kv_q8_0_tile_bytes(head_dim);
    for (size_t i = 0; i < KV_TILE / KV_LANES; i++) {
        float32x4_t scale[4] = {vdupq_n_f32(0)};
        for (size_t d = 0; d < head_dim; d++, k += KV_LANES, out += KV_LANES, fetched += 16) {
            if (d % QUANT_BLOCK == 0)
                load_kv_16(true, k_scales, d / QUANT_BLOCK * KV_TILE + i * KV_LANES, scale);
            if (d % 4 == 0) { /* K and V of the next tile: two streams */
                __builtin_prefetch(fetched);
                __builtin_prefetch(fetched + half);
            }
            expand_8(k, scale[0], scale[1], out);
            expand_8(k + 8, scale[2], scale[3], out + 8);
        }
    }
    for (size_t j = 0; j < KV_TILE; j++, v += head_dim, out += head_dim)
        for (size_t d = 0, b = 0; d < head_dim; b++) {
            size_t end = d + QUANT_BLOCK < head_dim ? d + QUANT_BLOCK : head_dim;
            float scale = float_from_f16(v_scales[b * KV_TILE + j]);
            float32x4_t all = vdupq_n_f32(scale);
            for (; d + 8 <= end; d += 8) expand_8(v + d, all, all, out + d);
            for (; d < end; d++) out[d] = (float)v[d] * scale;
        }
}

static void attention_merge_neon(struct attention_state *total, const struct attention_state *part,
                                 size_t head_dim)
{
    if (part->max == -INFINITY) return;
    float m = part->max > total->max ? part->max : total->max;
    float c = exp_f32(total->max - m), c_part = exp_f32(part->max - m);
    float32x4_t s[4];
    size_t d = 0;
    UNROLL
    for (int i = 0; i < 4; i++) s[i] = vld1q_f32(part->sum + 4 * i);
    total->max = m;
    total->sum[0] = fmaf(sum_16(s), c_part, total->sum[0] * c);
    for (; d + 4 <= head_dim; d += 4)
        vst1q_f32(total->acc + d, vfmaq_n_f32(vmulq_n_f32(vld1q_f32(total->acc + d), c),
                                              vld1q_f32(part->acc + d), c_part));
    for (; d < head_dim; d++) total->acc[d] = fmaf(part->acc[d], c_part, total->acc[d] * c);
}

void kernels_neon_fill(struct cpu_kernels *table)
{
    table->isa = "neon";
    table->f32_linear[DTYPE_F32] = f32_f32_linear_neon;
    table->f32_linear[DTYPE_F16] = f32_f16_linear_neon;
    table->f32_linear[DTYPE_BF16] = f32_bf16_linear_neon;
    table->f32_linear[DTYPE_Q8_0] = f32_q8_0_linear_neon;
    table->f32_linear[DTYPE_MXFP4] = f32_mxfp4_linear_neon;
    table->f32_linear[DTYPE_MXFP4_GGUF] = f32_mxfp4_gguf_linear_neon;
    table->q8_linear[DTYPE_Q8_0] = q8_q8_0_linear_neon;
    table->q8_linear[DTYPE_MXFP4] = q8_mxfp4_linear_neon;
    table->q8_linear[DTYPE_MXFP4_GGUF] = q8_mxfp4_gguf_linear_neon;
    table->linear_scratch_bytes = linear_scratch_bytes_neon;
    table->row_tile = 32;
    table->q8_quantise = q8_quantise_neon;
    table->rms_norm = rms_norm_neon;
    table->swiglu = swiglu_neon;
    table->rope = rope_neon;
    table->f16_attention_tile = f16_attention_tile_neon;
    table->f32_attention_tile = f32_attention_tile_neon;
    table->q8_0_kv_expand = q8_0_kv_expand_neon;
    table->attention_merge = attention_merge_neon;
    table->add_scaled = add_scaled_neon;
    table->f32_to_f16 = f32_to_f16_neon;
}
