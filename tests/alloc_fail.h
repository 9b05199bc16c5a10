/* alloc_fail.h - makes one allocation of the code under test fail.
 *
 *   for (size_t k = 1;; k++) {
 *       alloc_fail_begin(k);
 *       status = thing_open(&thing, ..., &err);
 *       bool failed = alloc_fail_end();
 *       ...                                   a status or a thing, no leak, no crash
 *       if (!failed) break;                   fewer than k allocations: all have been tried
 *   }
 *
 * Every test program is linked so that malloc, calloc, realloc and posix_memalign called from the
 * library and from the tests come by here; other libraries' own calls do not. alloc_fail_json sends
 * jansson's here too. Counts the allocations of all threads. */
#ifndef TESTS_ALLOC_FAIL_H
#define TESTS_ALLOC_FAIL_H

#include "vinci.h"

#include <stdbool.h>
#include <stddef.h>

/* The k-th allocation from now on fails (k >= 1), the ones after it succeed. */
void alloc_fail_begin(size_t k);

/* Back to normal. True if an allocation was made to fail since alloc_fail_begin. */
bool alloc_fail_end(void);

/* Runs fn with its first allocation failing, then with the second, ... until none is left to fail,
 * which it returns the number of. fn gives NO_MEMORY each time, and OK at the end, or the test
 * fails. */
size_t alloc_fail_each(enum vinci_status (*fn)(struct vinci_error *err));

/* Once per test program, before anything of jansson's is used. */
void alloc_fail_json(void);

#endif
