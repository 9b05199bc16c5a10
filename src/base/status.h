/* status.h - how functions fail: a status and one sentence (what, where, expected, got, what to
 * do).
 *
 * The codes stand in one list, VINCI_STATUS_LIST in vinci.h. Every function that can fail ends with
 * `struct vinci_error *err`, which may be NULL. */
#ifndef VINCI_BASE_STATUS_H
#define VINCI_BASE_STATUS_H

#include "vinci.h"

/* Writes the sentence into `err` (if not NULL) and returns `status`, so that a failing branch reads
 * `return fail(err, VINCI_BAD_FILE, "%s: ...", path);`. A text that does not fit ends in "...". */
enum vinci_status fail(struct vinci_error *err, enum vinci_status status, const char *format, ...)
    VINCI_PRINTF(3, 4);

/* The usual sentence for an allocation that failed; `what` names the thing, e.g. "the tensor
 * index". */
enum vinci_status fail_memory(struct vinci_error *err, size_t n_bytes, const char *what);

/* errno in words: "PATH: cannot open: No such file or directory". ENOENT gives NOT_FOUND, ENOMEM
 * NO_MEMORY, everything else IO. */
enum vinci_status fail_errno(struct vinci_error *err, int error_number, const char *path,
                             const char *cannot);

#endif
