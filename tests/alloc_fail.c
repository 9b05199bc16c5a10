/* alloc_fail.c - the allocation functions of test programs: the linker's --wrap sends calls of
 * malloc to __wrap_malloc, and those of __real_malloc to the real one. */
#include "alloc_fail.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
int __real_posix_memalign(void **p, size_t alignment, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
int __wrap_posix_memalign(void **p, size_t alignment, size_t n);

static atomic_size_t countdown; /* 0: nothing fails; 1: the next one does */
static atomic_bool has_failed;

static bool must_fail(void)
{
    size_t n = atomic_load(&countdown);
    while (n && !atomic_compare_exchange_weak(&countdown, &n, n - 1)) continue;
    if (n != 1) return false;
    atomic_store(&has_failed, true);
    errno = ENOMEM;
    return true;
}

void alloc_fail_begin(size_t k)
{
    atomic_store(&has_failed, false);
    atomic_store(&countdown, k);
}

bool alloc_fail_end(void)
{
    atomic_store(&countdown, 0);
    return atomic_load(&has_failed);
}

size_t alloc_fail_each(enum vinci_status (*fn)(struct vinci_error *err))
{
    size_t k = 0;
    for (bool failed = true; failed;) {
        struct vinci_error err = {0};
        alloc_fail_begin(++k);
        enum vinci_status status = fn(&err);
        failed = alloc_fail_end();
        if (status != (failed ? VINCI_NO_MEMORY : VINCI_OK))
            fail_msg("allocation %zu failed: got %s: %s", k, vinci_status_name(status), err.text);
    }
    return k - 1;
}

void alloc_fail_json(void)
{
    json_set_alloc_funcs(malloc, free);
}

void *__wrap_malloc(size_t n)
{
    return must_fail() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return must_fail() ? NULL : __real_realloc(p, n);
}

int __wrap_posix_memalign(void **p, size_t alignment, size_t n)
{
    return must_fail() ? ENOMEM : __real_posix_memalign(p, alignment, n);
}
