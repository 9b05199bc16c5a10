/* file_map.h - a file mapped read-only. Model weights are used where they lie in the mapping. */
#ifndef VINCI_BASE_FILE_MAP_H
#define VINCI_BASE_FILE_MAP_H

#include "base/log.h"
#include "base/status.h"

struct file_map {
    const uint8_t *data; /* [size]; NULL for an empty file */
    size_t size;
    int fd;
    char *path;
};

/* Regular files only. The mapping lives until file_map_close. */
enum vinci_status file_map_open(struct file_map **out, const char *path, struct vinci_error *err);
void file_map_close(struct file_map *map);

/* Reads all of it and keeps it in memory (mlock); a refusal is a warning that says what to raise.
 */
void file_map_lock(const struct file_map *map, const struct log *log);

/* Fails if the file is now shorter than it was: touching the missing pages would raise SIGBUS.
 * One fstat, cheap enough for every step. */
enum vinci_status file_map_check(const struct file_map *map, struct vinci_error *err);

#endif
