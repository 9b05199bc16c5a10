/* ids.h - token ids as text. */
#ifndef VINCI_CLI_IDS_H
#define VINCI_CLI_IDS_H

#include "base/status.h"

/* Ids from a file or "-": separated by white space, or one JSON array of numbers. At least one;
 * each at least 0. *ids is freed by the caller with free(). */
enum vinci_status ids_read(const char *path, int32_t **ids, size_t *n_ids, struct vinci_error *err);

#endif
