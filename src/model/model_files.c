/* model_files.c - finds out what a path is: a folder in one of the layouts, or one of its files.
 *
 * In a folder the first of these wins:
 *   model.safetensors              beside it config.json (an index beside it is not looked at)
 *   model.safetensors.index.json   beside it config.json and the shards
 *   *.gguf                         one model, split or not
 *   original/                      OpenAI's layout, when the folder has nothing else
 * A file is taken by its name, and by GGUF's magic number when the name says nothing: the hubs'
 * caches keep files under names that are hashes. */
#include "model/model_files.h"

#include "base/buf.h"
#include "model/gguf.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char SINGLE[] = "model.safetensors";
static const char INDEX[] = "model.safetensors.index.json";

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* folder/name, or NULL when memory is short. `folder` "" is the current one. */
static char *join(const char *folder, size_t n_folder, const char *name)
{
    struct buf path = {0};
    bool slash = n_folder && folder[n_folder - 1] != '/';
    if (buf_append(&path, folder, n_folder) && buf_append(&path, "/", slash) &&
        buf_append_text(&path, name))
        return path.data;
    buf_free(&path);
    return NULL;
}

/* *path is folder/name when there is such a file, else NULL. Whatever else keeps it from being
 * opened shows when it is opened. */
static enum vinci_status find_file(char **path, const char *folder, size_t n_folder,
                                   const char *name, struct vinci_error *err)
{
    struct stat st;
    *path = join(folder, n_folder, name);
    if (!*path) return fail_memory(err, n_folder + strlen(name) + 2, "a path");
    if (stat(*path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR)) return VINCI_OK;
    free(*path);
    *path = NULL;
    return VINCI_OK;
}

/* Length of the folder above, when the folder is called original; else 0. In the published
 * repositories tokenizer.json lies there. */
static size_t above_original(const char *folder, size_t n_folder)
{
    static const char NAME[] = "/original";
    size_t n = sizeof NAME - 1;
    while (n_folder && folder[n_folder - 1] == '/') n_folder--;
    return n_folder > n && memcmp(folder + n_folder - n, NAME, n) == 0 ? n_folder - n : 0;
}

/* tokenizer.json, or without it the first *.tiktoken by name; *path stays NULL if there is neither.
 */
static enum vinci_status find_tokenizer(char **path, const char *folder, size_t n_folder,
                                        struct vinci_error *err)
{
    char *here = NULL, first[NAME_MAX + 1] = "";
    enum vinci_status status = find_file(path, folder, n_folder, "tokenizer.json", err);
    if (status || *path) return status;
    here = join(folder, n_folder, ".");
    if (!here) return fail_memory(err, n_folder, "a path");
    DIR *dir = opendir(here);
    free(here);
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        if (ends_with(entry->d_name, ".tiktoken") && entry->d_name[0] != '.' &&
            (!*first || strcmp(entry->d_name, first) < 0))
            snprintf(first, sizeof first, "%s", entry->d_name);
    if (dir) closedir(dir);
    return *first ? find_file(path, folder, n_folder, first, err) : VINCI_OK;
}

/* The config beside safetensors, and the tokenizer beside anything. */
static enum vinci_status find_companions(struct model_files *files, const char *folder,
                                         size_t n_folder, struct vinci_error *err)
{
    enum vinci_status status = find_tokenizer(&files->tokenizer, folder, n_folder, err);
    size_t n_above = above_original(folder, n_folder);
    if (status == VINCI_OK && !files->tokenizer && n_above)
        status = find_tokenizer(&files->tokenizer, folder, n_above, err);
    if (status || files->kind == MODEL_FILES_GGUF) return status;
    status = find_file(&files->config, folder, n_folder, "config.json", err);
    if (status == VINCI_OK && !files->config)
        status = fail(err, VINCI_NOT_FOUND,
                      "%s: expected config.json beside it, found none; it says the model's shape",
                      files->weights);
    return status;
}

/* The folder's one GGUF model: *path stays NULL if there is none. Of a split model, its first part.
 */
static enum vinci_status find_gguf(char **path, const char *folder, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    DIR *dir = opendir(folder);
    if (!dir) return fail_errno(err, errno, folder, "open the folder");
    for (const struct dirent *entry; status == VINCI_OK && (entry = readdir(dir));) {
        size_t n_prefix;
        uint32_t part, n_parts;
        if (!ends_with(entry->d_name, ".gguf") || entry->d_name[0] == '.') continue;
        if (gguf_split_name(entry->d_name, &n_prefix, &part, &n_parts) && part != 1) continue;
        if (*path) {
            const char *other = strrchr(*path, '/') + 1;
            status = fail(err, VINCI_USAGE,
                          "%s: the folder holds more than one GGUF model (%s, %s): give the file",
                          folder, other, entry->d_name);
            break;
        }
        *path = join(folder, strlen(folder), entry->d_name);
        if (!*path) status = fail_memory(err, strlen(folder) + strlen(entry->d_name), "a path");
    }
    closedir(dir);
    return status;
}

static enum vinci_status find_in_folder(struct model_files *files, const char *folder,
                                        struct vinci_error *err)
{
    size_t n = strlen(folder);
    enum vinci_status status = VINCI_OK;
    files->kind = MODEL_FILES_SAFETENSORS;
    status = find_file(&files->weights, folder, n, SINGLE, err);
    if (status == VINCI_OK && !files->weights) {
        files->kind = MODEL_FILES_SHARDS;
        status = find_file(&files->weights, folder, n, INDEX, err);
    }
    if (status == VINCI_OK && !files->weights) {
        files->kind = MODEL_FILES_GGUF;
        status = find_gguf(&files->weights, folder, err);
    }
    if (status || !files->weights) return status;
    return find_companions(files, folder, n, err);
}

static enum vinci_status find_original(struct model_files *files, const char *folder,
                                       struct vinci_error *err)
{
    char *original = join(folder, strlen(folder), "original");
    if (!original) return fail_memory(err, strlen(folder), "a path");
    enum vinci_status status =
        is_folder(original) ? find_in_folder(files, original, err) : VINCI_OK;
    free(original);
    return status;
}

/* A shard stands for the model it belongs to. */
static bool is_shard(const char *name)
{
    size_t n = strlen(name), n_form = strlen("-00001-of-00002.safetensors");
    return n > n_form && ends_with(name, ".safetensors") &&
           memcmp(name + n - n_form + 6, "-of-", 4) == 0;
}

static enum vinci_status find_by_file(struct model_files *files, const char *path,
                                      struct vinci_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t n_folder = (size_t)(name - path);
    enum vinci_status status = VINCI_OK;
    if (ends_with(name, ".safetensors.index.json")) {
        files->kind = MODEL_FILES_SHARDS;
    } else if (ends_with(name, ".safetensors")) {
        files->kind = MODEL_FILES_SAFETENSORS;
        if (is_shard(name)) status = find_file(&files->weights, path, n_folder, INDEX, err);
        if (files->weights) files->kind = MODEL_FILES_SHARDS;
    } else {
        files->kind = MODEL_FILES_GGUF;
        struct file_map *map = NULL;
        status = file_map_open(&map, path, err);
        if (status == VINCI_OK && !ends_with(name, ".gguf") && !gguf_file_is(map))
            status = fail(err, VINCI_UNSUPPORTED,
                          "%s: expected a model's folder, a .safetensors file, its index or a GGUF "
                          "file",
                          path);
        file_map_close(map);
    }
    if (status == VINCI_OK && !files->weights) files->weights = text_copy(path, strlen(path));
    if (status == VINCI_OK && !files->weights) status = fail_memory(err, strlen(path), "a path");
    return status ? status : find_companions(files, path, n_folder, err);
}

enum vinci_status model_files_find(struct model_files *files, const char *path,
                                   struct vinci_error *err)
{
    struct stat st;
    *files = (struct model_files){0};
    if (stat(path, &st) != 0) return fail_errno(err, errno, path, "open the model");
    enum vinci_status status = VINCI_OK;
    if (!S_ISDIR(st.st_mode)) {
        status = find_by_file(files, path, err);
    } else {
        status = find_in_folder(files, path, err);
        if (status == VINCI_OK && !files->weights) status = find_original(files, path, err);
        if (status == VINCI_OK && !files->weights)
            status = fail(err, VINCI_NOT_FOUND,
                          "%s: no model in this folder; looked for %s, %s, *.gguf and "
                          "original/; a clone or download of gpt-oss-20b has the first two",
                          path, SINGLE, INDEX);
    }
    if (status) model_files_free(files);
    return status;
}

bool model_files_in(const char *folder)
{
    struct model_files files = {0};
    if (!is_folder(folder)) return false;
    enum vinci_status status = model_files_find(&files, folder, NULL);
    model_files_free(&files);
    return status == VINCI_OK || status == VINCI_USAGE; /* USAGE: more than one model */
}

void model_files_free(struct model_files *files)
{
    free(files->weights);
    free(files->config);
    free(files->tokenizer);
    *files = (struct model_files){0};
}
