/* lfs_pointer.h - recognises what a clone without git-lfs leaves in place of a large file: a text
 * of about 130 bytes. Whoever opens a model's file asks this first, so that the user reads what to
 * do instead of "damaged file". */
#ifndef VINCI_BASE_LFS_POINTER_H
#define VINCI_BASE_LFS_POINTER_H

#include "base/file_map.h"

/* BAD_FILE, with the command that fetches the file, when the map is such a pointer. */
enum vinci_status lfs_pointer_check(const struct file_map *map, struct vinci_error *err);

#endif
