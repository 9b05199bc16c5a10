/* hub_cache.c - finds a model that `vinci pull` or a hub's own tool has fetched, by its id. A
 * prefix ms: or hf: looks in that hub's cache alone.
 *
 *   ModelScope     ROOT/{owner}/{name} or ROOT/models/{owner}/{name}, with the dots of the name
 *                  turned to ___ (older releases keep the dots); some releases put a folder hub
 *                  between ROOT and these
 *   Hugging Face   ROOT/models--{owner}--{name}/snapshots/{commit}; refs/main names the commit, and
 *                  without it the snapshot changed last is taken
 * A folder counts when it holds weights: both tools leave folders of unfinished downloads, and of
 * tokenizers fetched alone. */
#include "base/buf.h"
#include "base/lang.h"
#include "model/model_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct search {
    const char *owner, *name;
    int n_owner;
    struct buf path;   /* the candidate; what was found in the end */
    struct buf looked; /* for the message: the places, with commas */
    bool found, no_memory;
};

/* Letters, digits, '-', '_' and '.', not beginning with a '.'. */
static bool is_id_part(const char *text, size_t n)
{
    if (n == 0 || text[0] == '.') return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i])) return false;
    return true;
}

static bool parse_id(const char *id, struct search *search)
{
    const char *slash = strchr(id, '/'), *dot = strrchr(id, '.');
    if (dot && (strcmp(dot, ".gguf") == 0 || strcmp(dot, ".safetensors") == 0))
        return false; /* a file that is not there */
    if (!slash || !is_id_part(id, (size_t)(slash - id)) ||
        !is_id_part(slash + 1, strlen(slash + 1)))
        return false;
    search->owner = id;
    search->n_owner = (int)(slash - id);
    search->name = slash + 1;
    return true;
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* Looks at the folder in search->path; true when the search is over. */
static bool try_candidate(struct search *search)
{
    const char *note = exists(search->path.data) ? " (no complete model in it)" : "";
    search->found = model_files_in(search->path.data);
    if (!search->found && !buf_printf(&search->looked, "%s%s%s", search->looked.size ? ", " : "",
                                      search->path.data, note))
        search->no_memory = true;
    return search->found || search->no_memory;
}

static void search_modelscope(struct search *search, const char *root)
{
    static const char *const folders[] = {"", "models/", "hub/", "hub/models/"};
    struct buf *path = &search->path;
    path->size = 0;
    bool ok = buf_printf(path, "%s/hub", root);
    search->no_memory = !ok;
    if (!ok) return;
    int n_forms = exists(path->data) ? 8 : 4;
    for (int form = 0; form < n_forms; form++) {
        bool plain = form & 1; /* the name as it is, dots and all */
        if (plain && !strchr(search->name, '.')) continue;
        path->size = 0;
        ok =
            buf_printf(path, "%s/%s%.*s/", root, folders[form / 2], search->n_owner, search->owner);
        for (const char *c = search->name; *c && ok; c++)
            ok = *c == '.' && !plain ? buf_append_text(path, "___") : buf_append(path, c, 1);
        search->no_memory = !ok;
        if (!ok || try_candidate(search)) return;
    }
}

/* The first line of refs/main; false when there is none that could be a folder's name. */
static bool read_ref(const char *path, char *commit, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) return false;
    bool ok = fgets(commit, (int)size, file) != NULL;
    fclose(file);
    if (ok) commit[strcspn(commit, " \r\n")] = '\0';
    return ok && is_id_part(commit, strlen(commit));
}

/* The name of the folder changed last within `path`; false when there is none. */
static bool newest_folder(const char *path, char *name, size_t size)
{
    DIR *dir = opendir(path);
    if (!dir) return false;
    struct timespec newest = {0};
    bool found = false;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;
        if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, 0) != 0 ||
            !S_ISDIR(st.st_mode) || strlen(entry->d_name) >= size)
            continue;
        bool later = st.st_mtim.tv_sec > newest.tv_sec ||
                     (st.st_mtim.tv_sec == newest.tv_sec && st.st_mtim.tv_nsec > newest.tv_nsec);
        if (found && !later) continue;
        found = true;
        newest = st.st_mtim;
        snprintf(name, size, "%s", entry->d_name);
    }
    closedir(dir);
    return found;
}

static void search_huggingface(struct search *search, const char *root)
{
    char commit[128];
    struct buf *path = &search->path;
    path->size = 0;
    bool ok =
        buf_printf(path, "%s/models--%.*s--%s", root, search->n_owner, search->owner, search->name);
    size_t n_model = path->size;
    ok = ok && buf_append_text(path, "/refs/main");
    search->no_memory = !ok;
    if (!ok) return;
    bool known = read_ref(path->data, commit, sizeof commit);
    path->size = n_model;
    ok = buf_append_text(path, "/snapshots");
    if (ok && !known) known = newest_folder(path->data, commit, sizeof commit);
    if (ok && known) ok = buf_printf(path, "/%s", commit);
    search->no_memory = !ok;
    if (ok) try_candidate(search);
}

static enum vinci_status copy_path(const char *from, char *path, size_t size,
                                   struct vinci_error *err)
{
    size_t n = strlen(from);
    if (n >= size)
        return fail(err, VINCI_LIMIT, "%s: expected a path of less than %zu bytes, got %zu", from,
                    size, n);
    memcpy(path, from, n + 1);
    return VINCI_OK;
}

enum vinci_status vinci_model_find(const char *name, const struct vinci_caches *caches, char *path,
                                   size_t size, struct vinci_error *err)
{
    struct search search = {0};
    enum vinci_status status = VINCI_OK;
    if (size) path[0] = '\0';
    if (exists(name)) return copy_path(name, path, size, err);
    const char *id = name;
    bool only_hf = strncmp(name, "hf:", 3) == 0, only_ms = strncmp(name, "ms:", 3) == 0;
    if (only_hf || only_ms) id = name + 3;
    if (!parse_id(id, &search))
        return fail(err, VINCI_NOT_FOUND,
                    "%s: there is no such file or folder, and it is no hub id like "
                    "openai-mirror/gpt-oss-20b",
                    name);
    if (caches && caches->modelscope && !only_hf) search_modelscope(&search, caches->modelscope);
    if (caches && caches->huggingface && !only_ms && !search.found && !search.no_memory)
        search_huggingface(&search, caches->huggingface);
    if (search.no_memory) status = fail_memory(err, strlen(name), "a path");
    else if (search.found) status = copy_path(search.path.data, path, size, err);
    else
        status = fail(err, VINCI_NOT_FOUND,
                      "%s: no such file or folder, and not in the hubs' caches; looked at %s; "
                      "`vinci pull %s` fetches it from ModelScope, `vinci pull hf:%s` from Hugging "
                      "Face",
                      name, search.looked.size ? search.looked.data : _("none"), id, id);
    buf_free(&search.path);
    buf_free(&search.looked);
    return status;
}
