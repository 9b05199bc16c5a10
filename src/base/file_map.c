/* file_map.c - map a model file read-only, prefetch, release. */
#include "base/file_map.h"

#include "base/buf.h"
#include "base/lang.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum vinci_status file_map_open(struct file_map **out, const char *path, struct vinci_error *err)
{
    *out = NULL;
    enum vinci_status status = VINCI_OK;
    struct file_map *map = array_new_zero(1, sizeof *map);
    if (!map) return fail_memory(err, sizeof *map, path);
    map->fd = -1;
    map->path = text_copy(path, strlen(path));
    if (!map->path) {
        status = fail_memory(err, strlen(path) + 1, path);
        goto cleanup;
    }
    /* O_NONBLOCK: a FIFO would make open wait for a writer; regular files do not know it. */
    map->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (map->fd < 0) {
        status = fail_errno(err, errno, path, "open");
        goto cleanup;
    }
    struct stat st;
    if (fstat(map->fd, &st) != 0) {
        status = fail_errno(err, errno, path, "look at the file");
        goto cleanup;
    }
    if (!S_ISREG(st.st_mode)) {
        status = fail(err, VINCI_IO, "%s: expected a regular file, got %s", path,
                      S_ISDIR(st.st_mode) ? _("a folder") : _("something else"));
        goto cleanup;
    }
    map->size = (size_t)st.st_size;
    if (map->size) {
        void *data = mmap(NULL, map->size, PROT_READ, MAP_SHARED, map->fd, 0);
        if (data == MAP_FAILED) {
            status = fail_errno(err, errno, path, "map into memory");
            map->size = 0;
            goto cleanup;
        }
        map->data = data;
        /* Where the file system can (ext4 since Linux 6.16, XFS), 2 MiB pages: weights are streamed
         * through, and 4 KiB pages cost a sixth of the speed in address translation (measured on a
         * virtual machine). A hint: elsewhere nothing happens. */
        madvise(data, map->size, MADV_HUGEPAGE);
    }
    *out = map;
    return VINCI_OK;
cleanup:
    file_map_close(map);
    return status;
}

void file_map_close(struct file_map *map)
{
    if (!map) return;
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    if (map->fd >= 0) close(map->fd);
    free(map->path);
    free(map);
}

void file_map_lock(const struct file_map *map, const struct log *log)
{
    if (map->data && mlock(map->data, map->size) != 0)
        log_message(log, VINCI_LOG_WARN,
                    "%s: cannot be locked in memory: %s; 'ulimit -l' must allow %zu bytes",
                    map->path, strerror(errno), map->size);
}

enum vinci_status file_map_check(const struct file_map *map, struct vinci_error *err)
{
    struct stat st;
    if (fstat(map->fd, &st) != 0) return fail_errno(err, errno, map->path, "look at the file");
    if ((uintmax_t)st.st_size < map->size)
        return fail(err, VINCI_IO,
                    "%s: the file shrank while in use: expected %zu bytes, got %jd; load it again",
                    map->path, map->size, (intmax_t)st.st_size);
    return VINCI_OK;
}
