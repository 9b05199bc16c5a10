/* select.c - which of a repository's files are wanted.
 *
 * Repositories hold the same weights several times (safetensors, original/, metal/), so by default
 * only what vinci reads is taken: a third of gpt-oss-20b's. */
#include "hub/select.h"

#include "base/lang.h"

#include <fnmatch.h>
#include <jansson.h>
#include <string.h>

static const char INDEX[] = "model.safetensors.index.json";

/* Beside the weights, at the top of the repository. */
static const char *const needed[] = {
    "config.json",           "generation_config.json",  "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
};

bool hub_pattern_matches(const char *pattern, const char *path)
{
    size_t n = strlen(pattern);
    if (n > 0 && pattern[n - 1] == '/') return strncmp(pattern, path, n) == 0;
    return fnmatch(pattern, path, 0) == 0;
}

static bool matches_any(const char *const *patterns, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (hub_pattern_matches(patterns[i], path)) return true;
    return false;
}

const char *hub_index_path(const struct hub_listing *listing, const struct hub_selection *selection)
{
    if (selection->all || selection->n_include > 0) return NULL;
    return hub_listing_find(listing, INDEX) ? INDEX : NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Marks the file; false when the repository does not have it. */
static bool want(const struct hub_listing *listing, const char *path, bool *wanted)
{
    const struct hub_file *file = hub_listing_find(listing, path);
    if (file) wanted[file - listing->files] = true;
    return file != NULL;
}

static enum vinci_status want_shards(const struct hub_listing *listing, const struct buf *index,
                                     bool *wanted, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    json_t *root = json_loadb(index->data, index->size, 0, NULL), *shard = NULL;
    json_t *map = json_object_get(root, "weight_map");
    const char *tensor = NULL;
    if (!json_is_object(map) || json_object_size(map) == 0)
        status = fail(err, VINCI_BAD_FILE, "%s: expected a weight_map, it has none", INDEX);
    json_object_foreach(map, tensor, shard)
    {
        const char *path = json_string_value(shard);
        if (status != VINCI_OK || (path && want(listing, path, wanted))) continue;
        status =
            fail(err, VINCI_NOT_FOUND, "%s: it names %s for %s, which is not in the repository",
                 INDEX, path ? path : _("something else than a file"), tensor);
    }
    json_decref(root);
    return status;
}

/* "model-00002-of-00003.gguf" -> the length of "model", 0 for one that is not split. */
static size_t split_stem(const char *path, unsigned *part)
{
    unsigned total = 0;
    size_t n = strlen(path);
    int used = 0;
    if (n < 20 || sscanf(path + n - 20, "-%5u-of-%5u.gguf%n", part, &total, &used) != 2 ||
        used != 20)
        return 0;
    return n - 20;
}

static enum vinci_status want_gguf(const struct hub_listing *listing, bool *wanted,
                                   struct vinci_error *err)
{
    const char *found = NULL;
    struct buf names = {0};
    size_t n_models = 0;
    for (size_t i = 0; i < listing->n_files; i++) {
        const char *path = listing->files[i].path;
        unsigned part = 0;
        size_t stem = ends_with(path, ".gguf") ? split_stem(path, &part) : 0;
        if (!ends_with(path, ".gguf") || strstr(path, "mmproj")) continue;
        wanted[i] = true;
        if (stem && found && strncmp(found, path, stem) == 0 && split_stem(found, &part) == stem)
            continue; /* another part of the same */
        found = path;
        n_models++;
        if (names.size < 600) buf_printf(&names, "%s%s", names.size ? ", " : "", path);
    }
    enum vinci_status status = VINCI_OK;
    if (n_models == 0)
        status = fail(err, VINCI_UNSUPPORTED,
                      "the repository has no weights that vinci reads (safetensors or GGUF at its "
                      "top); --include or --all fetches what it has");
    else if (n_models > 1)
        status = fail(err, VINCI_USAGE,
                      "the repository has several models; choose by --include: %s", names.data);
    buf_free(&names);
    return status;
}

static enum vinci_status want_needed(const struct hub_listing *listing, const struct buf *index,
                                     bool *wanted, struct vinci_error *err)
{
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) want(listing, needed[i], wanted);
    if (index) {
        want(listing, INDEX, wanted);
        return want_shards(listing, index, wanted, err);
    }
    if (want(listing, "model.safetensors", wanted)) return VINCI_OK;
    return want_gguf(listing, wanted, err);
}

enum vinci_status hub_select(const struct hub_listing *listing,
                             const struct hub_selection *selection, const struct buf *index,
                             bool *wanted, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    size_t n_wanted = 0;
    for (size_t i = 0; i < listing->n_files; i++)
        wanted[i] = selection->all ||
                    matches_any(selection->include, selection->n_include, listing->files[i].path);
    if (!selection->all && selection->n_include == 0)
        status = want_needed(listing, index, wanted, err);
    for (size_t i = 0; i < listing->n_files && status == VINCI_OK; i++) {
        if (matches_any(selection->exclude, selection->n_exclude, listing->files[i].path))
            wanted[i] = false;
        n_wanted += wanted[i];
    }
    if (status == VINCI_OK && n_wanted == 0)
        status = fail(err, VINCI_USAGE, "no file of the repository is wanted by these patterns");
    return status;
}
