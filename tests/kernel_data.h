/* kernel_data.h - what the kernel tests and the kernel benchmark work on: random numbers, memory
 * that ends at an unreadable page, matrices of every format and layout.
 *
 * The helpers here end the program when memory is short: a test has nothing better to do. */
#ifndef VINCI_TESTS_KERNEL_DATA_H
#define VINCI_TESTS_KERNEL_DATA_H

#include "device/cpu/kernels.h"

/* splitmix64 */
struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *rng);
size_t rng_below(struct rng *rng, size_t n);                  /* 0 .. n - 1 */
size_t rng_between(struct rng *rng, size_t low, size_t high); /* low .. high */
float rng_float(struct rng *rng);                             /* -1 .. 1, never denormal but 0 */

/* n bytes whose end, rounded up to `align`, is the start of a PROT_NONE page; the rest of the
 * mapping is canary. */
struct guarded {
    uint8_t *map, *data;
    size_t map_bytes, n;
};
void guarded_new(struct guarded *g, size_t n, size_t align);
void guarded_free(struct guarded *g);
/* True if no byte of the canary changed. */
bool guarded_intact(const struct guarded *g);

enum { CANARY = 0xa5 };

enum fill {
    FILL_PLAIN,  /* ordinary magnitudes, no denormals */
    FILL_SPECIAL /* zeros, -0, denormals, the largest and smallest of the format among them */
};

void fill_f32(struct rng *rng, enum fill fill, float *x, size_t n);

/* How a matrix lies in memory. */
enum layout {
    LAYOUT_PACKED,
    LAYOUT_INTERLEAVED, /* every second row of twice the rows (gate and up in safetensors) */
    LAYOUT_PADDED,      /* an odd number of bytes between rows */
    LAYOUT_COUNT
};
extern const char *const LAYOUT_NAMES[LAYOUT_COUNT];

/* The last byte of the last row (and of its scales) is the last one before the unreadable page. */
struct test_matrix {
    struct matrix m;
    struct guarded data, scales;
};
void test_matrix_new(struct test_matrix *w, struct rng *rng, enum dtype dtype, size_t n_rows,
                     size_t n_cols, enum layout layout, enum fill fill);
void test_matrix_free(struct test_matrix *w);

/* The bytes of rows of any format, n_rows * dtype_row_bytes. */
void fill_weights(struct rng *rng, enum fill fill, enum dtype dtype, uint8_t *data, size_t n_rows,
                  size_t n_cols);
void fill_e8m0(struct rng *rng, enum fill fill, uint8_t *scales, size_t n);

/* n_tokens vectors, f32 or packed by the scalar kernel; the pointers do not follow the order in
 * memory. */
struct test_rows {
    struct guarded mem;
    const void **x; /* [n_tokens] */
};
void test_rows_new(struct test_rows *rows, struct rng *rng, size_t n_tokens, size_t n_cols,
                   enum fill fill);
void test_rows_new_q8(struct test_rows *rows, struct rng *rng, size_t n_tokens, size_t n_cols,
                      enum q8_order order, enum fill fill);
void test_rows_free(struct test_rows *rows);

#endif
