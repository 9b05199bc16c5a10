/* kernels_neon_q8.c - matrix products with int8 activations for aarch64 with the int8 dot product.
 *
 * A lane is a row. 8 rows of one block of 32 are transposed in registers (2 x 8 vectors, each lane
 * 4 weights of its row) and applied to every token of the tile, whose bytes the dot product takes
 * lane by lane, before the next block is touched: nothing unpacked is ever stored, and the same
 * code serves one token and many. The 4 partial sums of the contract are 4 pairs of vectors per
 * token. A range's last rows are done by a panel that overlaps the one before, a range of fewer
 * than 8 row by row, so nothing outside the range is read. */
#include "device/cpu/kernels_neon.h"

enum { Q8_ROWS = 8, Q8_TOKENS = 64 };

/* One block of one token; a tile's tokens lie side by side. MXFP4: the 16 values that meet low
 * nibbles, then the 16 that meet high ones. */
struct q8_act {
    int8_t x[32];
    float d; /* halved for MXFP4 */
};

struct q8_tile {
    size_t n_tokens, n_blocks;
    float *const *y;     /* [n_tokens] */
    struct q8_act *acts; /* [n_blocks][n_tokens] */
    float32x4x2_t *sums; /* [4][n_tokens], lane = row */
};

/* 16 bytes of 4 rows -> v[i]: lane = row, its bytes 4 i .. 4 i + 3. */
INLINE void load_rows_16(const uint8_t *p, size_t stride, uint8x16_t v[4])
{
    uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(p));
    uint32x4_t b = vreinterpretq_u32_u8(vld1q_u8(p + stride));
    uint32x4_t c = vreinterpretq_u32_u8(vld1q_u8(p + 2 * stride));
    uint32x4_t d = vreinterpretq_u32_u8(vld1q_u8(p + 3 * stride));
    uint64x2_t ab_even = vreinterpretq_u64_u32(vtrn1q_u32(a, b));
    uint64x2_t ab_odd = vreinterpretq_u64_u32(vtrn2q_u32(a, b));
    uint64x2_t cd_even = vreinterpretq_u64_u32(vtrn1q_u32(c, d));
    uint64x2_t cd_odd = vreinterpretq_u64_u32(vtrn2q_u32(c, d));
    v[0] = vreinterpretq_u8_u64(vtrn1q_u64(ab_even, cd_even));
    v[1] = vreinterpretq_u8_u64(vtrn1q_u64(ab_odd, cd_odd));
    v[2] = vreinterpretq_u8_u64(vtrn2q_u64(ab_even, cd_even));
    v[3] = vreinterpretq_u8_u64(vtrn2q_u64(ab_odd, cd_odd));
}

/* Nibbles -> twice their FP4 values: the low ones in w[0..3], the high ones in w[4..7]. */
INLINE void fp4_unpack(const uint8x16_t v[4], int8x16_t w[8])
{
    const int8x16_t table = vld1q_s8(FP4_DOUBLED);
    UNROLL
    for (int i = 0; i < 4; i++) {
        w[i] = vqtbl1q_s8(table, vandq_u8(v[i], vdupq_n_u8(15)));
        w[4 + i] = vqtbl1q_s8(table, vshrq_n_u8(v[i], 4));
    }
}

/* s[half] += the products of 4 vectors of weights and the 16 values of x. */
INLINE void dot_16(int32x4_t s[2], const int8x16_t w[2][8], int first, int8x16_t x)
{
    s[0] = vdotq_laneq_s32(s[0], w[0][first], x, 0);
    s[1] = vdotq_laneq_s32(s[1], w[1][first], x, 0);
    s[0] = vdotq_laneq_s32(s[0], w[0][first + 1], x, 1);
    s[1] = vdotq_laneq_s32(s[1], w[1][first + 1], x, 1);
    s[0] = vdotq_laneq_s32(s[0], w[0][first + 2], x, 2);
    s[1] = vdotq_laneq_s32(s[1], w[1][first + 2], x, 2);
    s[0] = vdotq_laneq_s32(s[0], w[0][first + 3], x, 3);
    s[1] = vdotq_laneq_s32(s[1], w[1][first + 3], x, 3);
}

/* sums[t] = fma(isum, scale * d, sums[t]); w[half][dword], half: rows 0..3 and 4..7. */
INLINE void q8_dot(int8x16_t w[2][8], float32x4x2_t scale, const struct q8_act *act,
                   size_t n_tokens, float32x4x2_t *sums)
{
    for (size_t t = 0; t < n_tokens; t++, act++) {
        int32x4_t s[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
        dot_16(s, w, 0, vld1q_s8(act->x));
        dot_16(s, w, 4, vld1q_s8(act->x + 16));
        UNROLL
        for (int h = 0; h < 2; h++)
            sums[t].val[h] =
                vfmaq_f32(sums[t].val[h], vcvtq_f32_s32(s[h]), vmulq_n_f32(scale.val[h], act->d));
    }
}

/* e8m0 in the low byte of each lane; what stands above it is ignored. */
INLINE float32x4_t e8m0_to_f32(uint32x4_t e)
{
    uint32x4_t bits = vandq_u32(vshlq_n_u32(e, 23), vdupq_n_u32(0x7f800000));
    return vreinterpretq_f32_u32(vmaxq_u32(bits, vdupq_n_u32(0x00400000)));
}

/* Up to 4 e8m0 bytes of 8 rows, lane = row. */
INLINE uint32x4x2_t load_e8m0(const uint8_t *p, size_t stride, size_t n)
{
    uint32_t e[8] = {0};
    if (n < 4) {
        for (size_t i = 0; i < 8; i++) memcpy(&e[i], p + i * stride, n);
    } else {
        UNROLL
        for (size_t i = 0; i < 8; i++) memcpy(&e[i], p + i * stride, 4);
    }
    return (uint32x4x2_t){{vld1q_u32(e), vld1q_u32(e + 4)}};
}

/* The first byte, or the first two, of 8 rows. */
INLINE uint8x8_t load_rows_u8(const uint8_t *p, size_t stride)
{
    uint8x8_t v = vdup_n_u8(0);
    v = vld1_lane_u8(p, v, 0);
    v = vld1_lane_u8(p + stride, v, 1);
    v = vld1_lane_u8(p + 2 * stride, v, 2);
    v = vld1_lane_u8(p + 3 * stride, v, 3);
    v = vld1_lane_u8(p + 4 * stride, v, 4);
    v = vld1_lane_u8(p + 5 * stride, v, 5);
    v = vld1_lane_u8(p + 6 * stride, v, 6);
    return vld1_lane_u8(p + 7 * stride, v, 7);
}

INLINE uint16x4_t load_rows_u16(const uint8_t *p, size_t stride)
{
    uint16_t v[4];
    UNROLL
    for (size_t i = 0; i < 4; i++) memcpy(&v[i], p + i * stride, 2);
    return vld1_u16(v);
}

/* One block of 8 rows for all tokens of a tile. `e`: e8m0 of DTYPE_MXFP4 in the low bytes. */
INLINE void q8_block(enum dtype dtype, const uint8_t *block, size_t stride, uint32x4x2_t e,
                     const struct q8_act *act, size_t n_tokens, float32x4x2_t *sums)
{
    uint8x16_t v[2][8];
    int8x16_t w[2][8];
    float32x4x2_t scale;
    if (dtype == DTYPE_Q8_0) {
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            const uint8_t *p = block + 4 * h * stride;
            scale.val[h] = vcvt_f32_f16(vreinterpret_f16_u16(load_rows_u16(p, stride)));
            load_rows_16(p + 2, stride, v[h]);
            load_rows_16(p + 18, stride, v[h] + 4);
            UNROLL
            for (int i = 0; i < 8; i++) w[h][i] = vreinterpretq_s8_u8(v[h][i]);
        }
    } else {
        if (dtype == DTYPE_MXFP4_GGUF) {
            uint16x8_t e16 = vmovl_u8(load_rows_u8(block++, stride));
            e.val[0] = vmovl_u16(vget_low_u16(e16));
            e.val[1] = vmovl_u16(vget_high_u16(e16));
        }
        UNROLL
        for (size_t h = 0; h < 2; h++) {
            scale.val[h] = e8m0_to_f32(e.val[h]);
            load_rows_16(block + 4 * h * stride, stride, v[h]);
            fp4_unpack(v[h], w[h]);
        }
    }
    q8_dot(w, scale, act, n_tokens, sums);
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
    float32x4x2_t one_token[4], *sums = n_tokens == 1 ? one_token : tile->sums;

    for (size_t i = 0; i < 4 * n_tokens; i++) sums[i].val[0] = sums[i].val[1] = vdupq_n_f32(0);
    for (size_t b = 0; b < n_blocks; b += 4) {
        uint32x4x2_t e = {{vdupq_n_u32(0), vdupq_n_u32(0)}};
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
            e.val[0] = vshrq_n_u32(e.val[0], 8);
            e.val[1] = vshrq_n_u32(e.val[1], 8);
        }
    }
    for (size_t t = 0; t < n_tokens; t++) {
        const float32x4x2_t *f = sums + t;
        float32x4_t y[2];
        UNROLL
        for (int h = 0; h < 2; h++)
            y[h] = vaddq_f32(vaddq_f32(f[0].val[h], f[n_tokens].val[h]),
                             vaddq_f32(f[2 * n_tokens].val[h], f[3 * n_tokens].val[h]));
        float *out = tile->y[t] + row;
        if (step) {
            vst1q_f32(out, y[0]);
            vst1q_f32(out + 4, y[1]);
        } else {
            *out = vgetq_lane_f32(y[0], 0);
        }
    }
}

/* One packed token into place t of a tile. */
INLINE void q8_repack(enum dtype dtype, const void *x, size_t n_cols, const struct q8_tile *tile,
                      size_t t)
{
    const int8_t *values = q8_values(x);
    const float *d = q8_scales(x, n_cols);
    for (size_t b = 0; b < tile->n_blocks; b++) {
        struct q8_act *act = &tile->acts[b * tile->n_tokens + t];
        const int8_t *group = values + b / 4 * Q8_GROUP;
        bool q8_0 = dtype == DTYPE_Q8_0;
        memcpy(act->x, group + b % 4 * (q8_0 ? 32 : 16), 16);
        memcpy(act->x + 16, q8_0 ? group + b % 4 * 32 + 16 : group + 64 + b % 4 * 16, 16);
        act->d = q8_0 ? d[b] : .5f * d[b];
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

void q8_q8_0_linear_neon(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(DTYPE_Q8_0, args, row_begin, row_end);
}

void q8_mxfp4_linear_neon(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(DTYPE_MXFP4, args, row_begin, row_end);
}

void q8_mxfp4_gguf_linear_neon(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    q8_linear(DTYPE_MXFP4_GGUF, args, row_begin, row_end);
}

size_t q8_linear_scratch_bytes_neon(size_t n_cols)
{
    return Q8_TOKENS * (4 * sizeof(float32x4x2_t) + n_cols / QUANT_BLOCK * sizeof(struct q8_act));
}
