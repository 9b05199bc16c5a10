/* buf.h - growable bytes, and checked size arithmetic: every product of sizes that come from a file
 * or an option goes through here. */
#ifndef VINCI_BASE_BUF_H
#define VINCI_BASE_BUF_H

#include "base/status.h"

/* False when the result does not fit; *out is then SIZE_MAX. */
static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    if (!__builtin_mul_overflow(a, b, out)) return true;
    *out = SIZE_MAX;
    return false;
}

static inline bool size_add(size_t a, size_t b, size_t *out)
{
    if (!__builtin_add_overflow(a, b, out)) return true;
    *out = SIZE_MAX;
    return false;
}

/* The smallest multiple of m >= n; n must be far from SIZE_MAX. */
static inline size_t round_up(size_t n, size_t m)
{
    return (n + m - 1) / m * m;
}

/* malloc/calloc of n elements; NULL also when n * size does not fit. Freed by free(). Zero elements
 * give a pointer that may be freed, never NULL for that reason. */
void *array_new(size_t n, size_t size);
void *array_new_zero(size_t n, size_t size);

/* 64-byte aligned, not cleared; freed by free(). */
void *array_new_aligned(size_t n, size_t size);

/* A copy of n bytes with a NUL behind them, NULL when memory is short. */
char *text_copy(const char *text, size_t n);

/* Growable bytes. All zero is an empty buffer. After a failed append the buffer is unchanged. */
struct buf {
    char *data; /* NULL while nothing was ever appended; else NUL-terminated behind `size` */
    size_t size, capacity;
};

bool buf_reserve(struct buf *buf, size_t n_more);
bool buf_append(struct buf *buf, const void *data, size_t n);
bool buf_append_text(struct buf *buf, const char *text);
bool buf_printf(struct buf *buf, const char *format, ...) VINCI_PRINTF(2, 3);
void buf_free(struct buf *buf);

#endif
