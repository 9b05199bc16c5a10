/* kernels.h - the CPU's kernel table: what each instruction set offers, one row per level.
 *
 * kernels_scalar.c is the specification (docs/kernels.md, the numeric contract): every other file
 * gives the same bits, for any split of rows, tokens and positions. A level's table starts as a
 * copy of the level below and replaces what it does better, so adding an instruction set is adding
 * a file and a line in kernels.c.
 *
 * Names: <activations>_<weights>_<operation>_<isa>, e.g. q8_mxfp4_linear_avx512. */
#ifndef VINCI_DEVICE_CPU_KERNELS_H
#define VINCI_DEVICE_CPU_KERNELS_H

#include "base/status.h"
#include "model/formats.h"
#include "model/weights.h"

/* ---- activations quantised to int8 --------------------------------------------------------- */

/* The order of a block's 32 bytes, so that they meet the weights' nibbles without shuffling. Groups
 * of 4 blocks; the sums are exact in integers, so the order does not show in a result. */
enum q8_order {
    Q8_NATURAL,  /* group: 4 x 32 bytes, elements in order                          (Q8_0) */
    Q8_EVEN_ODD, /* group: 4 x 16 elements 0, 2, .., 30, then 4 x 16 elements 1, 3, .., 31 (MXFP4)
                  */
    Q8_HALVES    /* group: 4 x 16 elements 0..15, then 4 x 16 elements 16..31  (MXFP4_GGUF) */
};

enum { Q8_GROUP = 128 }; /* elements, and bytes, of a group of 4 blocks */

/* One packed vector of n_cols elements (a multiple of 32), 64-byte aligned, in one piece of memory:
 *   int8_t  values[n_groups][128]
 *   float   scales[n_groups][4]    d = max|x| / 127 of each block
 *   int32_t sums[n_groups][4]      the sum of each block's int8 values
 * with n_groups = ceil(n_cols / 128); the last group's missing blocks are zero throughout. */
static inline size_t q8_groups(size_t n_cols)
{
    return (n_cols + Q8_GROUP - 1) / Q8_GROUP;
}

static inline size_t q8_row_bytes(size_t n_cols)
{
    return (q8_groups(n_cols) * (Q8_GROUP + 32) + 63) / 64 * 64;
}

static inline const int8_t *q8_values(const void *row)
{
    return row;
}

static inline const float *q8_scales(const void *row, size_t n_cols)
{
    return (const float *)((const uint8_t *)row + q8_groups(n_cols) * Q8_GROUP);
}

static inline const int32_t *q8_sums(const void *row, size_t n_cols)
{
    return (const int32_t *)((const uint8_t *)row + q8_groups(n_cols) * (Q8_GROUP + 16));
}

static inline enum q8_order q8_order_of(enum dtype weights)
{
    return weights == DTYPE_MXFP4        ? Q8_EVEN_ODD
           : weights == DTYPE_MXFP4_GGUF ? Q8_HALVES
                                         : Q8_NATURAL;
}

/* A block whose max|x| is below counts as zeros: 127 / max|x| must not overflow. */
#define Q8_MAX_MIN 0x1p-100f

/* x [n_cols] -> out (q8_row_bytes). Per block: d = max|x| / 127, q = x * (127 / max|x|) to nearest
 * even; a block of zeros has d = 0. A NaN is left out of the maximum and becomes 0; an infinity
 * makes d infinite and every q 0. */
typedef void q8_quantise_fn(const float *x, size_t n_cols, enum q8_order order, void *out);

/* ---- linear: y[t][r] = w[r] . x[t] --------------------------------------------------------- */

struct linear_args {
    const struct matrix *w;
    const void *const *x; /* [n_tokens]: f32 rows of n_cols, or packed int8 rows */
    float *const *y;      /* [n_tokens]: y[t][r], r counted over the whole matrix */
    size_t n_tokens;      /* >= 1 */
    void *scratch; /* of this thread, cpu_kernels_scratch_bytes(table, n_cols), 64-byte aligned */
};

/* Rows [row_begin, row_end) for all tokens. */
typedef void linear_fn(const struct linear_args *args, size_t row_begin, size_t row_end);

/* ---- attention ----------------------------------------------------------------------------- */

enum {
    KV_TILE = 64, /* positions in a tile of the cache: a page, and a step of the online softmax */
    KV_LANES = 16 /* positions side by side in K */
};

/* One tile of one layer and kv head, element type f16_t or float:
 *   k [KV_TILE / KV_LANES][head_dim][KV_LANES]   so that lanes are positions for q.k
 *   v [KV_TILE][head_dim]                        so that lanes are head elements for p.v */
static inline size_t kv_tile_elements(size_t head_dim)
{
    return KV_TILE * head_dim;
}

/* The same tile in Q8_0: the int8 values in the orders above and behind them, K and V alike, one
 * f16_t a block of 32 elements of a position's head (the last one may be shorter):
 *   scales [kv_blocks][KV_TILE]
 * The tile is expanded before it is used, value = (float)int8 * scale, which is exact. */
static inline size_t kv_blocks(size_t head_dim)
{
    return (head_dim + QUANT_BLOCK - 1) / QUANT_BLOCK;
}

static inline size_t kv_q8_0_tile_bytes(size_t head_dim)
{
    return kv_tile_elements(head_dim) + kv_blocks(head_dim) * KV_TILE * sizeof(f16_t);
}

/* K and V behind it, Q8_0 -> float, V behind K again; fetches as much at `next`, or NULL. */
typedef void kv_expand_fn(const void *tile, size_t head_dim, const void *next, float *out);

/* The running softmax of one query row over the tiles so far. */
struct attention_state {
    float max;           /* -INFINITY before the first tile */
    float sum[KV_LANES]; /* lane = position mod 16 */
    float *acc;          /* [head_dim] */
};

/* Adds one tile to the states of n_rows query rows (same layer, same kv head). For row r only the
 * positions [begin[r], end[r]) of the tile count; an empty range leaves the state alone. In order:
 *   s_j   = (fma chain over d of q[d] * k[d][j]) * scale
 *   m     = max(state.max, max_j s_j);  c = exp(state.max - m)  (c = 0 at the first tile)
 *   sum[] = sum[] * c,  acc[] = acc[] * c   (left alone when m did not change)
 *   p_j   = exp(s_j - m);  sum[j % 16] += p_j in order of j
 *   acc[d] = fma(p_j, v_j[d], acc[d]) in order of j */
struct attention_tile_args {
    size_t head_dim, n_rows;
    float scale;
    const float *const *q; /* [n_rows] -> [head_dim] */
    const void *k, *v;
    const uint8_t *begin, *end;     /* [n_rows] */
    struct attention_state *states; /* [n_rows] */
    const void *next_k; /* the next tile's K with V behind it, to be fetched ahead; or NULL */
};
typedef void attention_tile_fn(const struct attention_tile_args *args);

/* Puts the state of some positions into the total of those before them. total->sum[0] alone is the
 * total's sum; a part without positions (max -INFINITY) leaves it alone.
 *   m = max(total.max, part.max), c = exp(total.max - m), c' = exp(part.max - m)
 *   sum = fma(tree(part.sum), c', sum * c),  acc[d] = fma(part.acc[d], c', acc[d] * c) */
typedef void attention_merge_fn(struct attention_state *total, const struct attention_state *part,
                                size_t head_dim);

/* ---- the table ----------------------------------------------------------------------------- */

struct cpu_kernels {
    const char *isa; /* "scalar", "avx2", "avxvnni", "avx512", "neon" */

    linear_fn *f32_linear[DTYPE_COUNT]; /* every weight dtype but U8 */
    linear_fn *q8_linear[DTYPE_COUNT];  /* Q8_0, MXFP4, MXFP4_GGUF; NULL for the others */
    size_t (*linear_scratch_bytes)(size_t n_cols); /* what this level's own products need */
    size_t row_tile; /* rows that a task should hold a multiple of; at most 64 */

    q8_quantise_fn *q8_quantise;

    /* out = x / sqrt(mean(x^2) + eps) * w; n a multiple of 16; may be in place. The squares have 16
     * partial sums, lane = i mod 16, fma in order, reduced 8+8, 4+4, 2+2, 1+1. */
    void (*rms_norm)(const float *x, const float *w, size_t n, float eps, float *out);

    /* g = min(gate, limit), u = clamp(up, -limit, limit): out = (u + 1) * (g * sigmoid(alpha * g)).
     * NaN passes through. out may be gate. */
    void (*swiglu)(const float *gate, const float *up, size_t n, float limit, float alpha,
                   float *out);

    /* One head in place: halves x1, x2 of length half become x1 c - x2 s and x2 c + x1 s:
     * fma(x1, c, -(x2 * s)) and fma(x2, c, x1 * s). */
    void (*rope)(float *x, const float *cos, const float *sin, size_t half);

    attention_tile_fn *f16_attention_tile, *f32_attention_tile;

    kv_expand_fn *q8_0_kv_expand;

    attention_merge_fn *attention_merge;

    /* acc[i] = fma(w, x[i], acc[i]) */
    void (*add_scaled)(float *acc, const float *x, float w, size_t n);

    /* Round to nearest even. */
    void (*f32_to_f16)(const float *x, size_t n, f16_t *out);
};

/* Each instruction set's file fills in what it does better than the levels below it, which have
 * filled the table before: kernels_scalar_fill fills everything. */
void kernels_scalar_fill(struct cpu_kernels *table);
#if defined(__x86_64__)
void kernels_avx2_fill(struct cpu_kernels *table);
void kernels_avxvnni_fill(struct cpu_kernels *table);
void kernels_avx512_fill(struct cpu_kernels *table);
#elif defined(__aarch64__)
void kernels_neon_fill(struct cpu_kernels *table);
#endif

/* The names of the levels this machine can run, best first, "scalar" last; NULL beyond the end. */
const char *cpu_kernels_level(size_t i);

/* Fills the table of a level; `level` NULL: the best. An unknown or unavailable one fails, and the
 * sentence lists the others. */
enum vinci_status cpu_kernels_select(struct cpu_kernels *out, const char *level,
                                     struct vinci_error *err);

/* Scratch that any product of the table needs for matrices of up to n_cols columns. */
size_t cpu_kernels_scratch_bytes(const struct cpu_kernels *kernels, size_t n_cols);

#endif
