/* replace.h - a file that takes another's place only when it is whole.
 *
 * It is made beside the other one, so that a full disk costs nothing that was there; under a name
 * that nobody has, so that two writers do not meet. What is a symbolic link stays one: the file it
 * points to is replaced. */
#ifndef VINCI_BASE_REPLACE_H
#define VINCI_BASE_REPLACE_H

#include "base/status.h"

struct replacement {
    int fd;                 /* to write to; -1 when it is closed */
    char *path, *temporary; /* the place that is taken; NULL: nothing to remove */
};

/* A new, empty file for its owner alone. `path` must be a regular file or nothing: UNSUPPORTED. */
enum vinci_status replace_begin(struct replacement *r, const char *path, struct vinci_error *err);

/* Closes the file if it is open and gives it its name. */
enum vinci_status replace_publish(struct replacement *r, struct vinci_error *err);

/* Removes what was not published. After a failed replace_begin, or all zero: nothing to do. */
void replace_end(struct replacement *r);

#endif
