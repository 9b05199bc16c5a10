/* synth_weights.c - random weights at disk speed, equal in every container.
 *
 * All numbers come from one pool of uniform random bytes. A row takes a stretch of the pool at a
 * random place and, so that no two rows are alike, has its bytes xor-ed with a random word; a table
 * of 256 entries turns a byte into the normal distribution's quantile, scaled and rounded to the
 * format. Expert rows are copied from a pool of FP4 codes, made the same way.
 *
 * Matrices outside the experts lie on Q8_0's grid with scales that are powers of two: q * 2^e with
 * |q| <= 127, and 2^e or 2^(e-1) for the blocks of 32. Such numbers are exact in Q8_0, BF16, F16
 * and F32 alike, so all containers of one seed hold the same model. No scale is denormal in f16. */
#include "base/fmath.h"
#include "base/random.h"
#include "model/synth.h"

#include <math.h>
#include <stdlib.h>

enum { MIN_POOL_BLOCKS = 1 << 14, MAX_POOL_BLOCKS = 1 << 20 };

/* Root mean square of a block scale that is 1 or 1/2, each half of the time. */
static const float scale_rms = 0.79056942f;

/* ---- pool --------------------------------------------------------------------------------- */

/* The normal distribution cut into 256 parts of equal probability, each stood for by its middle:
 * found by summing the density in small steps. */
static void fill_quantiles(float quantile[256])
{
    const double step = 1.0 / 1024;
    double area = 0.0, total = 0.0, square = 0.0, middle[256];
    for (int k = -6 * 1024; k < 6 * 1024; k++)
        total += exp_f64(-0.5 * step * step * (k + .5) * (k + .5));
    int n = 0;
    for (int k = -6 * 1024; k < 6 * 1024 && n < 128;
         k++) { /* the lower half; the rest mirrors it */
        double x = step * (k + .5);
        area += exp_f64(-0.5 * x * x) / total;
        while (n < 128 && area >= (n + .5) / 256) middle[n++] = x;
    }
    for (int i = 0; i < 128; i++) square += 2 * middle[i] * middle[i] / 256;
    for (int i = 0; i < 128; i++) {
        quantile[i] = (float)(middle[i] / sqrt(square));
        quantile[255 - i] = -quantile[i];
    }
}

enum vinci_status synth_pool_init(struct synth_pool *pool, uint64_t seed, uint64_t n_params,
                                  uint32_t max_cols, struct vinci_error *err)
{
    *pool = (struct synth_pool){.seed = seed, .n_blocks = MIN_POOL_BLOCKS};
    while (pool->n_blocks < MAX_POOL_BLOCKS && pool->n_blocks < n_params / QUANT_BLOCK)
        pool->n_blocks *= 2;
    while (pool->n_blocks * QUANT_BLOCK < (uint64_t)max_cols * 2) pool->n_blocks *= 2;
    pool->uniform = array_new_aligned(pool->n_blocks, QUANT_BLOCK);
    pool->half = array_new_aligned(pool->n_blocks, 1);
    if (!pool->uniform || !pool->half)
        return fail_memory(err, pool->n_blocks * QUANT_BLOCK, "the pool of random numbers");
    for (size_t i = 0; i < pool->n_blocks * QUANT_BLOCK / 8; i++) {
        uint64_t word = random_u64(seed, i);
        memcpy(pool->uniform + 8 * i, &word, 8);
    }
    for (size_t i = 0; i < pool->n_blocks; i++)
        pool->half[i] = (uint8_t)(random_u64(seed, UINT64_C(1) << 40 | i) >> 63);
    fill_quantiles(pool->quantile);
    return VINCI_OK;
}

void synth_pool_free(struct synth_pool *pool)
{
    free(pool->uniform);
    free(pool->half);
    for (size_t i = 0; i < 2; i++) free(pool->codes[i].nibbles);
}

/* The smallest exponent e with largest * std / (2^e * scale_rms) <= max. */
static int scale_exponent(float largest, float std, float max)
{
    int e = -126;
    while (largest * std > max * scale_rms * ldexpf(1.0f, e)) e++;
    return e;
}

/* The FP4 code nearest to x, without the sign: halfway cases go to the smaller value. */
static uint8_t fp4_code(float x)
{
    static const float halfway[7] = {.25f, .75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
    int code = 0;
    while (code < 7 && fabsf(x) > halfway[code]) code++;
    if (x < 0) code += 8;
    return (uint8_t)code;
}

/* Fills one of the two pools of codes, unless it is there already. */
static enum vinci_status find_codes(struct synth_pool *pool, float std, enum dtype layout,
                                    const struct synth_codes **out, struct vinci_error *err)
{
    struct synth_codes *codes = &pool->codes[pool->codes[0].nibbles && pool->codes[0].std != std];
    *out = codes;
    if (codes->nibbles && codes->std == std && codes->layout == layout) return VINCI_OK;
    free(codes->nibbles);
    codes->nibbles = array_new_aligned(pool->n_blocks, QUANT_BLOCK / 2);
    if (!codes->nibbles) return fail_memory(err, pool->n_blocks * 16, "the pool of FP4 codes");
    int e = scale_exponent(pool->quantile[255], std, 6.5f);
    codes->std = std;
    codes->layout = layout;
    codes->scale = (uint8_t)(127 + e);
    uint8_t table[256];
    for (int i = 0; i < 256; i++)
        table[i] = fp4_code(pool->quantile[i] * std / (scale_rms * ldexpf(1.0f, e)));
    for (size_t i = 0; i < pool->n_blocks; i++) {
        const uint8_t *from = pool->uniform + i * QUANT_BLOCK;
        uint8_t *to = codes->nibbles + i * 16;
        for (size_t j = 0; j < 16; j++) {
            bool pairs = layout == DTYPE_MXFP4;
            uint8_t low = from[pairs ? 2 * j : j], high = from[pairs ? 2 * j + 1 : j + 16];
            to[j] = (uint8_t)(table[low] | table[high] << 4);
        }
    }
    return VINCI_OK;
}

/* ---- rows --------------------------------------------------------------------------------- */

static uint64_t key_of_name(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *name; name++) hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return hash;
}

static void set_value(struct synth_encoder *e, int small, int half, int i, float x)
{
    switch (e->dtype) {
    case DTYPE_F32: e->value[small][half].f32[i] = bits_from_float(x); break;
    case DTYPE_F16: e->value[small][half].f16[i] = f16_from_float(x).bits; break;
    default: e->value[small][half].f16[i] = bf16_from_float(x).bits; break;
    }
}

/* Matrices: q * 2^e, and half of it. */
static void fill_grid(struct synth_encoder *e)
{
    const float *quantile = e->pool->quantile;
    float std = e->tensor->std;
    int exponent = scale_exponent(quantile[255], std, 127.0f);
    if (exponent < -13) exponent = -13; /* half of it is the smallest normal f16 */
    float scale = ldexpf(1.0f, exponent);
    for (int small = 0; small < 2; small++)
        for (int half = 0; half < 2; half++) {
            e->scale[half] = f16_from_float(half ? 0.5f * scale : scale);
            for (int i = 0; i < 256; i++) {
                float x = quantile[i] * std / (scale_rms * scale) * (small ? 0.0625f : 1.0f);
                float q = rintf(x > 127    ? 127
                                : x < -127 ? -127
                                           : x) +
                          0.0f; /* no -0: int8 has none */
                if (e->dtype == DTYPE_Q8_0) e->value[small][half].q8[i] = (int8_t)q;
                else set_value(e, small, half, i, q * (half ? 0.5f * scale : scale));
            }
        }
}

enum vinci_status synth_encoder_init(struct synth_encoder *e, struct synth_pool *pool,
                                     const struct synth_tensor *tensor, enum dtype dtype,
                                     struct vinci_error *err)
{
    *e = (struct synth_encoder){
        .tensor = tensor, .pool = pool, .dtype = dtype, .key = key_of_name(tensor->name)};
    if (tensor->kind == SYNTH_EXPERTS) return find_codes(pool, tensor->std, dtype, &e->codes, err);
    if (tensor->kind == SYNTH_MATRIX) {
        fill_grid(e);
        return VINCI_OK;
    }
    for (int half = 0; half < 2; half++) /* vectors are bf16 in the file, whatever reads them */
        for (int i = 0; i < 256; i++)
            set_value(
                e, 0, half, i,
                float_from_bf16(bf16_from_float(tensor->mean + tensor->std * pool->quantile[i])));
    return VINCI_OK;
}

/* Where a row begins in the pool, and the word its bytes are changed with. */
static size_t row_place(const struct synth_encoder *e, uint32_t matrix, uint32_t row,
                        uint64_t *mask)
{
    uint64_t index = (uint64_t)matrix * e->tensor->n_rows + row;
    uint64_t random = random_u64(e->pool->seed ^ e->key, index);
    size_t n_blocks = ((size_t)e->tensor->n_cols + QUANT_BLOCK - 1) / QUANT_BLOCK;
    *mask = random_mix(random);
    return random % (e->pool->n_blocks - n_blocks + 1);
}

static void encode_block(const struct synth_encoder *e, int small, size_t block, uint64_t mask,
                         size_t n, uint8_t *out)
{
    uint64_t words[QUANT_BLOCK / 8];
    uint8_t bytes[QUANT_BLOCK];
    int half = e->pool->half[block];
    memcpy(words, e->pool->uniform + block * QUANT_BLOCK, sizeof words);
    for (size_t i = 0; i < QUANT_BLOCK / 8; i++) words[i] ^= mask;
    memcpy(bytes, words, sizeof bytes);
    if (e->dtype == DTYPE_Q8_0) {
        const int8_t *q8 = e->value[small][half].q8;
        struct block_q8_0 q = {.scale = e->scale[half]};
        for (size_t i = 0; i < QUANT_BLOCK; i++) q.values[i] = q8[bytes[i]];
        memcpy(out, &q, sizeof q);
    } else if (e->dtype == DTYPE_F32) {
        const uint32_t *f32 = e->value[small][half].f32;
        for (size_t i = 0; i < n; i++) memcpy(out + 4 * i, &f32[bytes[i]], 4);
    } else {
        const uint16_t *f16 = e->value[small][half].f16;
        for (size_t i = 0; i < n; i++) memcpy(out + 2 * i, &f16[bytes[i]], 2);
    }
}

void synth_encode_row(const struct synth_encoder *e, uint32_t matrix, uint32_t row, uint8_t *out)
{
    uint64_t mask;
    size_t place = row_place(e, matrix, row, &mask), n_cols = e->tensor->n_cols;
    if (e->dtype == DTYPE_MXFP4) {
        memcpy(out, e->codes->nibbles + place * 16, n_cols / 2);
    } else if (e->dtype == DTYPE_MXFP4_GGUF) {
        for (size_t i = 0; i < n_cols / QUANT_BLOCK; i++, out += 17) {
            out[0] = e->codes->scale - e->pool->half[place + i];
            memcpy(out + 1, e->codes->nibbles + (place + i) * 16, 16);
        }
    } else {
        int small = row >= e->tensor->first_small_row;
        size_t block_bytes = dtype_row_bytes(e->dtype, QUANT_BLOCK);
        for (size_t i = 0; i < n_cols; i += QUANT_BLOCK, out += block_bytes)
            encode_block(e, small, place + i / QUANT_BLOCK, mask,
                         n_cols - i < QUANT_BLOCK ? n_cols - i : QUANT_BLOCK, out);
    }
}

void synth_encode_scales(const struct synth_encoder *e, uint32_t matrix, uint32_t row, uint8_t *out)
{
    uint64_t mask;
    size_t place = row_place(e, matrix, row, &mask);
    for (size_t i = 0; i < e->tensor->n_cols / QUANT_BLOCK; i++)
        out[i] = e->codes->scale - e->pool->half[place + i];
}
