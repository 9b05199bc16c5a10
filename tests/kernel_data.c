/* kernel_data.c - see kernel_data.h. */
#include "kernel_data.h"

#include "base/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const LAYOUT_NAMES[LAYOUT_COUNT] = {"packed", "interleaved", "padded"};

static void *must(void *p)
{
    if (p && p != MAP_FAILED) return p;
    fputs("kernel test: out of memory\n", stderr);
    exit(1);
}

/* ---- random numbers ------------------------------------------------------------------------ */

uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

size_t rng_below(struct rng *rng, size_t n)
{
    return (size_t)(rng_next(rng) % n);
}

size_t rng_between(struct rng *rng, size_t low, size_t high)
{
    return low + rng_below(rng, high - low + 1);
}

float rng_float(struct rng *rng)
{
    return (float)((int64_t)rng_next(rng) >> 40) * 0x1p-23f;
}

/* ---- guarded memory ------------------------------------------------------------------------ */

void guarded_new(struct guarded *g, size_t n, size_t align)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = round_up(round_up(n, align) + 64, page);
    g->map_bytes = used + page;
    g->n = n;
    g->map =
        must(mmap(NULL, g->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(g->map + used, page, PROT_NONE);
    g->data = g->map + used - round_up(n, align);
    memset(g->map, CANARY, used);
}

void guarded_free(struct guarded *g)
{
    if (g->map) munmap(g->map, g->map_bytes);
    *g = (struct guarded){0};
}

static bool all_canary(const uint8_t *p, const uint8_t *end)
{
    while (p < end)
        if (*p++ != CANARY) return false;
    return true;
}

bool guarded_intact(const struct guarded *g)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return all_canary(g->map, g->data) && all_canary(g->data + g->n, g->map + g->map_bytes - page);
}

/* ---- values -------------------------------------------------------------------------------- */

void fill_f32(struct rng *rng, enum fill fill, float *x, size_t n)
{
    static const float specials[] = {0,       -0.0f,    0x1p-149f, -0x1p-130f, 0x1p-126f,
                                     0x1p60f, -0x1p60f, 0x1p-60f,  1,          -1};
    for (size_t i = 0; i < n; i++) {
        float value = rng_float(rng); /* two statements: the order of arguments is not fixed */
        x[i] = ldexpf(value, (int)rng_below(rng, 5) - 2);
        if (fill == FILL_SPECIAL && rng_below(rng, 8) == 0)
            x[i] = specials[rng_below(rng, sizeof specials / sizeof *specials)];
    }
    if (fill == FILL_SPECIAL && n >= 64) { /* a whole block of zeros, and one of small numbers */
        size_t at = rng_below(rng, n / 32) * 32;
        memset(x + at, 0, 32 * sizeof *x);
        at = rng_below(rng, n / 32) * 32;
        for (size_t i = 0; i < 32; i++) x[at + i] = ldexpf(rng_float(rng), -95);
    }
}

static uint16_t special_f16(struct rng *rng)
{
    static const uint16_t specials[] = {0, 0x8000, 1, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x3c00};
    return specials[rng_below(rng, sizeof specials / sizeof *specials)];
}

static uint16_t random_16(struct rng *rng, enum fill fill, enum dtype dtype)
{
    static const uint16_t special_bf16[] = {0, 0x8000, 1, 0x807f, 0x0080, 0x5d80, 0xdd80, 0x3f80};
    bool special = fill == FILL_SPECIAL && rng_below(rng, 8) == 0;
    if (dtype == DTYPE_F16) return special ? special_f16(rng) : f16_from_float(rng_float(rng)).bits;
    return special ? special_bf16[rng_below(rng, 8)] : bf16_from_float(rng_float(rng)).bits;
}

void fill_e8m0(struct rng *rng, enum fill fill, uint8_t *scales, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        scales[i] = (uint8_t)rng_between(rng, 117, 124);
        if (fill == FILL_SPECIAL && rng_below(rng, 8) == 0)
            scales[i] = (uint8_t[]){0, 1, 2, 254, 253, 127, 255, 64}[rng_below(rng, 8)];
    }
}

void fill_weights(struct rng *rng, enum fill fill, enum dtype dtype, uint8_t *data, size_t n_rows,
                  size_t n_cols)
{
    size_t n_bytes = n_rows * dtype_row_bytes(dtype, n_cols);
    switch (dtype) {
    case DTYPE_F32:
        for (size_t i = 0; i < n_bytes; i += 4) {
            float x;
            fill_f32(rng, fill, &x, 1);
            memcpy(data + i, &x, 4);
        }
        return;
    case DTYPE_F16:
    case DTYPE_BF16:
        for (size_t i = 0; i < n_bytes; i += 2) {
            uint16_t bits = random_16(rng, fill, dtype);
            memcpy(data + i, &bits, 2);
        }
        return;
    default: break;
    }
    for (size_t i = 0; i < n_bytes; i++) data[i] = (uint8_t)rng_next(rng);
    if (dtype == DTYPE_MXFP4_GGUF)
        for (size_t i = 0; i < n_bytes; i += sizeof(struct block_mxfp4_gguf))
            fill_e8m0(rng, fill, data + i, 1);
    if (dtype == DTYPE_Q8_0)
        for (size_t i = 0; i < n_bytes; i += sizeof(struct block_q8_0)) {
            uint16_t bits = f16_from_float(rng_float(rng) * 0.01f).bits;
            if (fill == FILL_SPECIAL && rng_below(rng, 8) == 0) bits = special_f16(rng);
            memcpy(data + i, &bits, 2);
        }
}

/* ---- matrices and vectors ------------------------------------------------------------------ */

void test_matrix_new(struct test_matrix *w, struct rng *rng, enum dtype dtype, size_t n_rows,
                     size_t n_cols, enum layout layout, enum fill fill)
{
    size_t row_bytes = dtype_row_bytes(dtype, n_cols), n_blocks = n_cols / QUANT_BLOCK;
    size_t stride = row_bytes, scale_stride = n_blocks;
    if (layout == LAYOUT_INTERLEAVED) stride *= 2, scale_stride *= 2;
    if (layout == LAYOUT_PADDED) stride += 2 * rng_below(rng, 40) + 1, scale_stride += 3;

    *w = (struct test_matrix){0};
    guarded_new(&w->data, (n_rows - 1) * stride + row_bytes, 1);
    memset(w->data.data, 0xff,
           w->data.n); /* NaN in every float format, so that a stray read shows */
    for (size_t r = 0; r < n_rows; r++)
        fill_weights(rng, fill, dtype, w->data.data + r * stride, 1, n_cols);
    w->m = (struct matrix){.dtype = dtype,
                           .n_rows = (uint32_t)n_rows,
                           .n_cols = (uint32_t)n_cols,
                           .data = w->data.data,
                           .row_stride = stride};
    if (dtype == DTYPE_MXFP4) {
        guarded_new(&w->scales, (n_rows - 1) * scale_stride + n_blocks, 1);
        fill_e8m0(rng, fill, w->scales.data, w->scales.n);
        w->m.scales = w->scales.data;
        w->m.scale_stride = scale_stride;
    }
}

void test_matrix_free(struct test_matrix *w)
{
    guarded_free(&w->data);
    guarded_free(&w->scales);
}

static void rows_place(struct test_rows *rows, size_t n_tokens, size_t row_bytes, size_t align)
{
    size_t stride = round_up(row_bytes, align);
    guarded_new(&rows->mem, (n_tokens - 1) * stride + row_bytes, align);
    rows->x = must(malloc(n_tokens * sizeof *rows->x));
    for (size_t t = 0; t < n_tokens; t++) /* pairs swapped: neither rising nor falling addresses */
        rows->x[t] = rows->mem.data + ((t ^ 1) < n_tokens ? t ^ 1 : t) * stride;
}

void test_rows_new(struct test_rows *rows, struct rng *rng, size_t n_tokens, size_t n_cols,
                   enum fill fill)
{
    rows_place(rows, n_tokens, n_cols * sizeof(float), sizeof(float));
    fill_f32(rng, fill, (float *)(void *)rows->mem.data, n_tokens * n_cols);
}

void test_rows_new_q8(struct test_rows *rows, struct rng *rng, size_t n_tokens, size_t n_cols,
                      enum q8_order order, enum fill fill)
{
    struct cpu_kernels scalar;
    kernels_scalar_fill(&scalar);
    float *x = must(malloc(n_cols * sizeof *x));
    rows_place(rows, n_tokens, q8_row_bytes(n_cols), 64);
    for (size_t t = 0; t < n_tokens; t++) {
        fill_f32(rng, fill, x, n_cols);
        scalar.q8_quantise(x, n_cols, order, (void *)(uintptr_t)rows->x[t]);
    }
    free(x);
}

void test_rows_free(struct test_rows *rows)
{
    guarded_free(&rows->mem);
    free(rows->x);
    rows->x = NULL;
}
