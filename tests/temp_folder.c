/* temp_folder.c - folders for tests. */
#include "temp_folder.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void temp_folder_make(struct temp_folder *folder)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder->path, sizeof folder->path, "%s/vinci-test-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(folder->path)) fail_msg("%s: %s", folder->path, strerror(errno));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void temp_folder_remove(struct temp_folder *folder)
{
    if (nftw(folder->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS) != 0)
        fail_msg("%s: %s", folder->path, strerror(errno));
}

const char *temp_path(const struct temp_folder *folder, const char *name)
{
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder->path, name);
    return path;
}

static void make_parents(const struct temp_folder *folder, const char *name)
{
    char part[512];
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - name), name);
        if (mkdir(temp_path(folder, part), 0777) != 0 && errno != EEXIST)
            fail_msg("%s: %s", part, strerror(errno));
    }
}

void temp_mkdir(const struct temp_folder *folder, const char *name)
{
    make_parents(folder, name);
    assert_int_equal(mkdir(temp_path(folder, name), 0777), 0);
}

void temp_write(const struct temp_folder *folder, const char *name, const void *data, size_t n)
{
    make_parents(folder, name);
    FILE *file = fopen(temp_path(folder, name), "wb");
    if (!file) fail_msg("%s: %s", name, strerror(errno));
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

void temp_text(const struct temp_folder *folder, const char *name, const char *text)
{
    temp_write(folder, name, text, strlen(text));
}

void temp_link(const struct temp_folder *folder, const char *name, const char *target)
{
    make_parents(folder, name);
    if (symlink(target, temp_path(folder, name)) != 0) fail_msg("%s: %s", name, strerror(errno));
}

char *read_whole_file(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s: %s", path, strerror(errno));
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *data = malloc((size_t)size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, file), size);
    data[size] = '\0';
    fclose(file);
    *n = (size_t)size;
    return data;
}
