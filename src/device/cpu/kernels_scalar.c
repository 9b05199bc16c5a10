/* kernels_scalar.c - the specification of the numeric contract (docs/kernels.md), in plain C.
 *
 * Every other kernel file gives these bits. Written to be read: one row, one token, one position at
 * a time, with the order of additions spelled out. fma stands only where fmaf is written. */
#include "base/fmath.h"
#include "device/cpu/kernels.h"

#include <math.h>
#include <string.h>

/* 8+8, 4+4, 2+2, 1+1 */
static float sum_tree_16(const float s[16])
{
    float t[16];
    memcpy(t, s, sizeof t);
    for (int width = 8; width >= 1; width /= 2)
        for (int i = 0; i < width; i++) t[i] += t[i + width];
    return t[0];
}

/* ---- f32 activations ----------------------------------------------------------------------- */

/* 16 partial sums, lane = k mod 16, fma in order of k. */
static void f32_any_linear_scalar(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    float *row = args->scratch; /* [n_cols] */
    size_t n = args->w->n_cols;
    for (size_t r = row_begin; r < row_end; r++) {
        matrix_row(args->w, r, row);
        for (size_t t = 0; t < args->n_tokens; t++) {
            const float *x = args->x[t];
            float s[16] = {0};
            for (size_t k = 0; k < n; k += 16)
                for (int i = 0; i < 16; i++) s[i] = fmaf(row[k + i], x[k + i], s[i]);
            args->y[t][r] = sum_tree_16(s);
        }
    }
}

/* ---- int8 activations: the order of sums "sum4" -------------------------------------------- */

static void q8_quantise_scalar(const float *x, size_t n_cols, enum q8_order order, void *out)
{
    int8_t *values = out;
    float *scales = (float *)(uintptr_t)q8_scales(out, n_cols);
    int32_t *sums = (int32_t *)(uintptr_t)q8_sums(out, n_cols);

    memset(out, 0, q8_row_bytes(n_cols));
    for (size_t b = 0; b < n_cols / QUANT_BLOCK; b++) {
        const float *block = x + b * QUANT_BLOCK;
        int8_t *group = values + b / 4 * Q8_GROUP;
        size_t at = b % 4;
        float max = 0;
        for (int i = 0; i < 32; i++) max = fabsf(block[i]) > max ? fabsf(block[i]) : max;
        if (max < Q8_MAX_MIN) max = 0;
        float inverse = max > 0 ? 127.0f / max : 0;
        int32_t sum = 0;
        for (int i = 0; i < 32; i++) {
            float rounded = rintf(block[i] * inverse);
            int8_t q = rounded == rounded ? (int8_t)rounded : 0;
            sum += q;
            if (order == Q8_NATURAL) group[at * 32 + i] = q;
            else if (order == Q8_EVEN_ODD) group[i % 2 * 64 + at * 16 + i / 2] = q;
            else group[i / 16 * 64 + at * 16 + i % 16] = q;
        }
        scales[b] = max / 127.0f;
        sums[b] = sum;
    }
}

/* Both layouts of MXFP4: the low nibbles meet the first 64 bytes of a group, the high ones the
 * other 64. `p` is a block's 16 bytes. */
static int32_t fp4_block_dot(const uint8_t *p, const int8_t *group, size_t at)
{
    int32_t sum = 0;
    for (int j = 0; j < 16; j++)
        sum += FP4_DOUBLED[p[j] & 15] * group[at * 16 + j] +
               FP4_DOUBLED[p[j] >> 4] * group[64 + at * 16 + j];
    return sum;
}

static float q8_row_dot(const struct matrix *w, size_t row, const void *x)
{
    size_t n_blocks = w->n_cols / QUANT_BLOCK;
    const uint8_t *p = w->data + row * w->row_stride;
    const uint8_t *e8m0 = w->scales ? w->scales + row * w->scale_stride : NULL;
    const int8_t *values = q8_values(x);
    const float *d = q8_scales(x, w->n_cols);
    float f[4] = {0};

    for (size_t b = 0; b < n_blocks; b++) {
        const int8_t *group = values + b / 4 * Q8_GROUP;
        float scale;
        int32_t sum = 0;
        if (w->dtype == DTYPE_MXFP4) {
            sum = fp4_block_dot(p + b * 16, group, b % 4);
            scale = float_from_e8m0((e8m0_t){e8m0[b]}) * (.5f * d[b]);
        } else if (w->dtype == DTYPE_MXFP4_GGUF) {
            const uint8_t *block = p + b * sizeof(struct block_mxfp4_gguf);
            sum = fp4_block_dot(block + 1, group, b % 4);
            scale = float_from_e8m0((e8m0_t){block[0]}) * (.5f * d[b]);
        } else {
            const uint8_t *block = p + b * sizeof(struct block_q8_0);
            for (int j = 0; j < 32; j++) sum += (int8_t)block[2 + j] * group[b % 4 * 32 + j];
            scale = float_from_f16((f16_t){(uint16_t)(block[0] | block[1] << 8)}) * d[b];
        }
        f[b % 4] = fmaf((float)sum, scale, f[b % 4]);
    }
    return (f[0] + f[1]) + (f[2] + f[3]);
}

static void q8_any_linear_scalar(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t t = 0; t < args->n_tokens; t++)
            args->y[t][r] = q8_row_dot(args->w, r, args->x[t]);
}

static size_t linear_scratch_bytes_scalar(size_t n_cols)
{
    return n_cols * sizeof(float);
}

/* ---- the small operations ------------------------------------------------------------------ */

static void rms_norm_scalar(const float *x, const float *w, size_t n, float eps, float *out)
{
    float s[16] = {0};
    for (size_t i = 0; i < n; i += 16)
        for (int j = 0; j < 16; j++) s[j] = fmaf(x[i + j], x[i + j], s[j]);
    float scale = 1.0f / sqrtf(sum_tree_16(s) / (float)n + eps);
    for (size_t i = 0; i < n; i++) out[i] = x[i] * scale * w[i];
}

static void swiglu_scalar(const float *gate, const float *up, size_t n, float limit, float alpha,
                          float *out)
{
    for (size_t i = 0; i < n; i++) {
        float g = gate[i] > limit ? limit : gate[i];
        float u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];
        out[i] = (u + 1.0f) * (g * sigmoid_f32(alpha * g));
    }
}

static void rope_scalar(float *x, const float *cos, const float *sin, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        float x1 = x[i], x2 = x[half + i];
        x[i] = fmaf(x1, cos[i], -(x2 * sin[i]));
        x[half + i] = fmaf(x2, cos[i], x1 * sin[i]);
    }
}

static void f32_to_f16_scalar(const float *x, size_t n, f16_t *out)
{
    for (size_t i = 0; i < n; i++) out[i] = f16_from_float(x[i]);
}

/* ---- attention ----------------------------------------------------------------------------- */

/* Element i of a tile in either format. */
typedef float tile_at_fn(const void *tile, size_t i);

static float f16_at(const void *tile, size_t i)
{
    return float_from_f16(((const f16_t *)tile)[i]);
}

static float f32_at(const void *tile, size_t i)
{
    return ((const float *)tile)[i];
}

static void attention_row(const struct attention_tile_args *args, size_t r, tile_at_fn *at)
{
    size_t d_head = args->head_dim, begin = args->begin[r], end = args->end[r];
    struct attention_state *state = &args->states[r];
    if (begin >= end) return;

    float s[KV_TILE], max = state->max;
    for (size_t j = begin; j < end; j++) {
        float dot = 0;
        for (size_t d = 0; d < d_head; d++)
            dot = fmaf(args->q[r][d],
                       at(args->k, (j / KV_LANES * d_head + d) * KV_LANES + j % KV_LANES), dot);
        s[j] = dot * args->scale;
        if (s[j] > max) max = s[j];
    }
    if (max != state->max) {
        float c = exp_f32(state->max - max);
        for (size_t i = 0; i < KV_LANES; i++) state->sum[i] *= c;
        for (size_t d = 0; d < d_head; d++) state->acc[d] *= c;
        state->max = max;
    }
    for (size_t j = begin; j < end; j++) {
        float p = exp_f32(s[j] - max);
        state->sum[j % KV_LANES] += p;
        for (size_t d = 0; d < d_head; d++)
            state->acc[d] = fmaf(p, at(args->v, j * d_head + d), state->acc[d]);
    }
}

static void f16_attention_tile_scalar(const struct attention_tile_args *args)
{
    for (size_t r = 0; r < args->n_rows; r++) attention_row(args, r, f16_at);
}

static void f32_attention_tile_scalar(const struct attention_tile_args *args)
{
    for (size_t r = 0; r < args->n_rows; r++) attention_row(args, r, f32_at);
}

static void q8_0_kv_expand_scalar(const void *tile, size_t head_dim, const void *next, float *out)
{
    const int8_t *k = tile, *v = k + kv_q8_0_tile_bytes(head_dim);
    const f16_t *k_scales = (const f16_t *)(const void *)(k + kv_tile_elements(head_dim));
    const f16_t *v_scales = (const f16_t *)(const void *)(v + kv_tile_elements(head_dim));
    float *out_v = out + kv_tile_elements(head_dim);
    (void)next;
    for (size_t j = 0; j < KV_TILE; j++) {
        for (size_t d = 0; d < head_dim; d++) {
            size_t at_k = (j / KV_LANES * head_dim + d) * KV_LANES + j % KV_LANES;
            size_t at_v = j * head_dim + d, scale = d / QUANT_BLOCK * KV_TILE + j;
            out[at_k] = (float)k[at_k] * float_from_f16(k_scales[scale]);
            out_v[at_v] = (float)v[at_v] * float_from_f16(v_scales[scale]);
        }
    }
}

static void attention_merge_scalar(struct attention_state *total,
                                   const struct attention_state *part, size_t head_dim)
{
    if (part->max == -INFINITY) return;
    float m = part->max > total->max ? part->max : total->max;
    float c = exp_f32(total->max - m), c_part = exp_f32(part->max - m);
    total->max = m;
    total->sum[0] = fmaf(sum_tree_16(part->sum), c_part, total->sum[0] * c);
    for (size_t d = 0; d < head_dim; d++)
        total->acc[d] = fmaf(part->acc[d], c_part, total->acc[d] * c);
}

static void add_scaled_scalar(float *acc, const float *x, float w, size_t n)
{
    for (size_t i = 0; i < n; i++) acc[i] = fmaf(w, x[i], acc[i]);
}

void kernels_scalar_fill(struct cpu_kernels *table)
{
    *table = (struct cpu_kernels){
        .isa = "scalar",
        .linear_scratch_bytes = linear_scratch_bytes_scalar,
        .row_tile = 16,
        .q8_quantise = q8_quantise_scalar,
        .rms_norm = rms_norm_scalar,
        .swiglu = swiglu_scalar,
        .rope = rope_scalar,
        .f16_attention_tile = f16_attention_tile_scalar,
        .f32_attention_tile = f32_attention_tile_scalar,
        .q8_0_kv_expand = q8_0_kv_expand_scalar,
        .attention_merge = attention_merge_scalar,
        .add_scaled = add_scaled_scalar,
        .f32_to_f16 = f32_to_f16_scalar,
    };
    for (int dtype = DTYPE_F32; dtype <= DTYPE_MXFP4_GGUF; dtype++)
        table->f32_linear[dtype] = f32_any_linear_scalar;
    for (int dtype = DTYPE_Q8_0; dtype <= DTYPE_MXFP4_GGUF; dtype++)
        table->q8_linear[dtype] = q8_any_linear_scalar;
}
