/* buf.c - growable bytes and array allocation with checked sizes. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *array_new(size_t n, size_t size)
{
    size_t n_bytes;
    if (!size_mul(n, size, &n_bytes)) return NULL;
    return malloc(n_bytes ? n_bytes : 1);
}

void *array_new_zero(size_t n, size_t size)
{
    return calloc(n ? n : 1, size ? size : 1);
}

void *array_new_aligned(size_t n, size_t size)
{
    size_t n_bytes, padded;
    void *p = NULL;
    if (!size_mul(n, size, &n_bytes) || !size_add(n_bytes, 64, &padded)) return NULL;
    return posix_memalign(&p, 64, round_up(n_bytes ? n_bytes : 1, 64)) ? NULL : p;
}

char *text_copy(const char *text, size_t n)
{
    char *copy = n < SIZE_MAX ? malloc(n + 1) : NULL;
    if (!copy) return NULL;
    if (n) memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

bool buf_reserve(struct buf *buf, size_t n_more)
{
    size_t needed;
    if (!size_add(buf->size, n_more, &needed) || !size_add(needed, 1, &needed)) return false;
    if (needed <= buf->capacity) return true;
    size_t capacity = buf->capacity ? buf->capacity : 64;
    while (capacity < needed)
        if (!size_mul(capacity, 2, &capacity)) return false;
    char *data = realloc(buf->data, capacity);
    if (!data) return false;
    buf->data = data;
    buf->capacity = capacity;
    buf->data[buf->size] = '\0';
    return true;
}

bool buf_append(struct buf *buf, const void *data, size_t n)
{
    if (!buf_reserve(buf, n)) return false;
    if (n) memcpy(buf->data + buf->size, data, n);
    buf->size += n;
    buf->data[buf->size] = '\0';
    return true;
}

bool buf_append_text(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    bool ok = n >= 0 && buf_reserve(buf, (size_t)n);
    if (ok) {
        vsnprintf(buf->data + buf->size, (size_t)n + 1, format, again);
        buf->size += (size_t)n;
    }
    va_end(again);
    va_end(args);
    return ok;
}

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}
