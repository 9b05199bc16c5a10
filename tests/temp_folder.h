/* temp_folder.h - a folder of its own for a test, removed with all it holds. Every function fails
 * the test when it cannot do its work. */
#ifndef TESTS_TEMP_FOLDER_H
#define TESTS_TEMP_FOLDER_H

#include <stddef.h>

struct temp_folder {
    char path[256];
};

void temp_folder_make(struct temp_folder *folder);
void temp_folder_remove(struct temp_folder *folder);

/* The path of `name` (which may have folders in it) within the folder: one of a few buffers that
 * are used in turn, good for the arguments of one call. */
const char *temp_path(const struct temp_folder *folder, const char *name);

/* These make the folders that `name` has in it. */
void temp_write(const struct temp_folder *folder, const char *name, const void *data, size_t n);
void temp_text(const struct temp_folder *folder, const char *name, const char *text);
void temp_mkdir(const struct temp_folder *folder, const char *name);
/* A symbolic link to a file or folder; `target` is absolute. */
void temp_link(const struct temp_folder *folder, const char *name, const char *target);

/* The whole file, with a NUL behind it; free() it. */
char *read_whole_file(const char *path, size_t *n);

#endif
