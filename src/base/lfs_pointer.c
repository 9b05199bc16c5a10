/* lfs_pointer.c - recognises git-lfs pointer files. */
#include "base/lfs_pointer.h"

#include <string.h>

enum vinci_status lfs_pointer_check(const struct file_map *map, struct vinci_error *err)
{
    static const char BEGIN[] = "version https://git-lfs.github.com/spec/v1";
    size_t n = sizeof BEGIN - 1;
    if (map->size < n || memcmp(map->data, BEGIN, n) != 0) return VINCI_OK;
    const char *slash = strrchr(map->path, '/');
    return fail(
        err, VINCI_BAD_FILE,
        "%s: a git-lfs pointer of %zu bytes, not the file itself: the repository was cloned "
        "without git-lfs; run `git lfs install && git lfs pull` in %.*s",
        map->path, map->size, slash ? (int)(slash - map->path) + (slash == map->path) : 1,
        slash ? map->path : ".");
}
