/* cold.c - drops a model's files from memory. */
#include "bench/cold.h"

#include "base/buf.h"
#include "base/file_map.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Adds the file's pages that are in memory, and all of them. */
static enum vinci_status count_pages(const char *path, uint64_t *here, uint64_t *all,
                                     struct vinci_error *err)
{
    struct file_map *map = NULL;
    enum vinci_status status = file_map_open(&map, path, err);
    if (status != VINCI_OK) return status;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (map->size + page - 1) / page;
    unsigned char *pages = array_new(n, 1);
    if (!pages) status = fail_memory(err, n, path);
    else if (n > 0 && mincore((void *)map->data, map->size, pages) == 0)
        for (size_t i = 0; i < n; i++) *here += pages[i] & 1;
    *all += n;
    free(pages);
    file_map_close(map);
    return status;
}

static enum vinci_status evict_file(const char *path, uint64_t *here, uint64_t *all,
                                    struct vinci_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        fdatasync(fd); /* pages not yet written would stay */
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    return count_pages(path, here, all, err);
}

static bool holds_weights(const char *name)
{
    size_t n = strlen(name);
    return (n > 12 && strcmp(name + n - 12, ".safetensors") == 0) ||
           (n > 5 && strcmp(name + n - 5, ".gguf") == 0);
}

enum vinci_status cold_evict(const char *model, double *left, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    uint64_t here = 0, all = 0;
    DIR *dir = opendir(model);
    *left = 0;
    if (!dir) status = evict_file(model, &here, &all, err);
    for (const struct dirent *entry; dir && status == VINCI_OK && (entry = readdir(dir));) {
        struct buf path = {0};
        if (!holds_weights(entry->d_name)) continue;
        status = buf_printf(&path, "%s/%s", model, entry->d_name)
                     ? evict_file(path.data, &here, &all, err)
                     : fail_memory(err, 4096, "a path");
        buf_free(&path);
    }
    if (dir) closedir(dir);
    if (all > 0) *left = (double)here / (double)all;
    return status;
}
