/* array.h - growing an array of elements of one size. */
#ifndef VINCI_TEXT_ARRAY_H
#define VINCI_TEXT_ARRAY_H

#include "base/buf.h"

#include <stdlib.h>

/* Returns the array moved to where at least n_needed elements fit and updates *capacity (the new
 * elements are not cleared), or NULL, with the old one as it was. */
static inline void *array_grow(void *array, size_t *capacity, size_t n_needed, size_t size)
{
    if (n_needed <= *capacity && array) return array;
    size_t n = *capacity < SIZE_MAX / 2 ? *capacity * 2 : n_needed, n_bytes;
    if (n < 64) n = 64;
    if (n < n_needed) n = n_needed;
    if (!size_mul(n, size, &n_bytes)) return NULL;
    void *p = realloc(array, n_bytes);
    if (p) *capacity = n;
    return p;
}

#endif
