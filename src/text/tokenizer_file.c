/* tokenizer_file.c - finds the tokenizer's file and hands it to the reader of its format.
 *
 * The format is told by how the file begins, not by its name: GGUF's magic number, the brace of a
 * JSON object, else lines of a .tiktoken file. */
#include "text/tokenizer_file.h"

#include "base/gguf_file.h"
#include "base/lfs_pointer.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_BYTES 256

static bool ends_in(const char *text, const char *ending)
{
    size_t n = strlen(text), n_ending = strlen(ending);
    return n > n_ending && strcmp(text + n - n_ending, ending) == 0;
}

/* Which of a folder's files is taken: the highest; 0 for those that hold no tokenizer. */
static int preference(const char *name)
{
    return strcmp(name, "tokenizer.json") == 0 ? 3
           : ends_in(name, ".tiktoken")        ? 2
           : ends_in(name, ".gguf")            ? 1
                                               : 0;
}

/* The name of the file to take, the first by name among equals; "" if there is none. */
static enum vinci_status look_into_folder(const char *folder, char name[NAME_BYTES],
                                          struct vinci_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir) return fail_errno(err, errno, folder, "read the folder");
    name[0] = '\0';
    for (const struct dirent *entry; (entry = readdir(dir));) {
        int better = preference(entry->d_name) - preference(name);
        if (!preference(entry->d_name)) continue;
        if (better > 0 || (better == 0 && strcmp(entry->d_name, name) < 0))
            snprintf(name, NAME_BYTES, "%s", entry->d_name);
    }
    closedir(dir);
    return VINCI_OK;
}

enum vinci_status tokenizer_find_file(const char *path, char *file, size_t size,
                                      struct vinci_error *err)
{
    struct stat st;
    char name[NAME_BYTES] = "";
    enum vinci_status status = VINCI_OK;
    if (stat(path, &st) != 0) return fail_errno(err, errno, path, "look at the file");
    int n = snprintf(file, size, "%s", path);
    if (!S_ISDIR(st.st_mode) && ends_in(path, ".safetensors")) {
        const char *slash = strrchr(path, '/');
        n = snprintf(file, size, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    } else if (!S_ISDIR(st.st_mode)) {
        goto done;
    }
    if (n < 0 || (size_t)n >= size) goto done;
    if ((status = look_into_folder(file, name, err))) return status;
    /* OpenAI's original layout lies in a folder below the one with the tokenizer. */
    size_t n_folder = (size_t)n;
    n += snprintf(file + n_folder, size - n_folder, "/%s", *name ? name : "../tokenizer.json");
    if ((size_t)n < size && !*name && stat(file, &st) != 0)
        return fail(err, VINCI_NOT_FOUND,
                    "%s: no tokenizer: expected tokenizer.json, a .tiktoken or a .gguf file", path);
done:
    if (n < 0 || (size_t)n >= size)
        return fail(err, VINCI_LIMIT, "%s: the path is too long: expected less than %zu bytes",
                    path, size);
    return VINCI_OK;
}

static enum vinci_status read_format(struct vinci_tokenizer *tokenizer, const struct file_map *map,
                                     struct vinci_error *err)
{
    static const char white[] = " \t\r\n";
    size_t i = 0;
    while (i < map->size && memchr(white, map->data[i], sizeof white - 1)) i++;
    if (i == map->size) return fail(err, VINCI_BAD_FILE, "the file is empty: expected a tokenizer");
    if (gguf_file_is(map)) return tokenizer_read_gguf(tokenizer, map, err);
    if (map->data[i] == '{') return tokenizer_read_json(tokenizer, map, err);
    return tokenizer_read_tiktoken(tokenizer, map, err);
}

enum vinci_status tokenizer_load(struct vinci_tokenizer **out, const struct file_map *map,
                                 struct vinci_error *err)
{
    *out = NULL;
    struct vinci_error inner = {0};
    struct vinci_tokenizer *tokenizer = array_new_zero(1, sizeof *tokenizer);
    if (!tokenizer) return fail_memory(err, sizeof *tokenizer, map->path);
    tokenizer->trie = trie_slot_create();
    enum vinci_status status = lfs_pointer_check(map, &inner);
    if (!status && !tokenizer->trie)
        status = fail_memory(&inner, sizeof *tokenizer->trie, map->path);
    if (!status) status = read_format(tokenizer, map, &inner);
    if (!status) {
        *out = tokenizer;
        return VINCI_OK;
    }
    vinci_tokenizer_close(tokenizer);
    if (strncmp(inner.text, map->path, strlen(map->path)) == 0)
        return fail(err, status, "%s", inner.text);
    return fail(err, status, "%s: %s", map->path, inner.text);
}

enum vinci_status vinci_tokenizer_open(struct vinci_tokenizer **out, const char *path,
                                       struct vinci_error *err)
{
    *out = NULL;
    char file[4096];
    struct file_map *map = NULL;
    enum vinci_status status = tokenizer_find_file(path, file, sizeof file, err);
    if (!status) status = file_map_open(&map, file, err);
    if (!status) status = tokenizer_load(out, map, err);
    file_map_close(map);
    return status;
}

void vinci_tokenizer_close(struct vinci_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    split_pattern_close(tokenizer->split);
    bpe_free(&tokenizer->bpe);
    vocab_free(&tokenizer->vocab);
    trie_slot_free(tokenizer->trie);
    free(tokenizer);
}
