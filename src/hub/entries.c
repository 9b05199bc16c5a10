/* entries.c - the models that are in the caches, and removing one. */
#include "hub/place.h"
#include "hub/record.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Bytes of the regular files at and below `path`, links not followed. */
static uint64_t bytes_below(const char *path, int depth)
{
    uint64_t bytes = 0;
    struct stat st;
    if (lstat(path, &st) != 0) return 0;
    if (S_ISREG(st.st_mode))
        return (uint64_t)st.st_blocks * 512 < (uint64_t)st.st_size ? (uint64_t)st.st_blocks * 512
                                                                   : (uint64_t)st.st_size;
    DIR *dir = S_ISDIR(st.st_mode) && depth < 20 ? opendir(path) : NULL;
    if (!dir) return 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        struct buf inner = {0};
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (buf_printf(&inner, "%s/%s", path, entry->d_name))
            bytes += bytes_below(inner.data, depth + 1);
        buf_free(&inner);
    }
    closedir(dir);
    return bytes;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Weights lie in the folder, or vinci has begun to fetch some. */
static bool is_model(const char *folder)
{
    DIR *dir = opendir(folder);
    bool found = false;
    if (!dir) return false;
    for (const struct dirent *entry; !found && (entry = readdir(dir));)
        found = ends_with(entry->d_name, ".safetensors") || ends_with(entry->d_name, ".gguf") ||
                strcmp(entry->d_name, ".vinci") == 0;
    closedir(dir);
    return found;
}

/* Takes `id`, `folder` and `model`, also when it fails. */
static enum vinci_status add_entry(struct hub_entries *entries, enum hub_kind kind, char *id,
                                   char *folder, char *model, struct vinci_error *err)
{
    struct record record = {0};
    enum vinci_status status = id && folder && model ? record_read(&record, folder, err)
                                                     : fail_memory(err, 4096, "the list of models");
    if (status == VINCI_OK && entries->n == entries->capacity) {
        size_t capacity = entries->capacity ? 2 * entries->capacity : 16;
        struct hub_entry *items = realloc(entries->items, capacity * sizeof *items);
        if (items) {
            entries->items = items;
            entries->capacity = capacity;
        } else {
            status = fail_memory(err, capacity * sizeof *items, "the list of models");
        }
    }
    if (status == VINCI_OK) {
        struct hub_entry *entry = &entries->items[entries->n++];
        *entry = (struct hub_entry){kind, id, folder, model, bytes_below(folder, 0), false, false};
        entry->recorded = record.id != NULL;
        entry->complete = record.complete;
        for (size_t i = 0; i < record.n_files && entry->complete; i++)
            entry->complete = record_holds(&record.files[i], folder);
    } else {
        free(id);
        free(folder);
        free(model);
    }
    record_free(&record);
    return status;
}

typedef enum vinci_status visit_fn(struct hub_entries *entries, const char *folder,
                                   const char *name, struct vinci_error *err);

/* Calls `visit` for each folder within `path`, hidden ones left out. */
static enum vinci_status each_folder(struct hub_entries *entries, const char *path, visit_fn *visit,
                                     struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    DIR *dir = opendir(path);
    if (!dir) return VINCI_OK;
    for (const struct dirent *entry; status == VINCI_OK && (entry = readdir(dir));) {
        struct buf inner = {0};
        if (entry->d_name[0] == '.') continue;
        if (!buf_printf(&inner, "%s/%s", path, entry->d_name))
            status = fail_memory(err, 4096, "a path");
        else if (is_folder(inner.data)) status = visit(entries, inner.data, entry->d_name, err);
        buf_free(&inner);
    }
    closedir(dir);
    return status;
}

/* ---- ModelScope: OWNER/NAME ---------------------------------------------------------------- */

static enum vinci_status visit_name(struct hub_entries *entries, const char *folder,
                                    const char *name, struct vinci_error *err)
{
    struct stat st;
    struct buf id = {0};
    if (lstat(folder, &st) != 0 || S_ISLNK(st.st_mode)) return VINCI_OK; /* the plain name's link */
    if (!is_model(folder)) return VINCI_OK;
    const char *owner_end = folder + strlen(folder) - strlen(name) - 1, *owner = owner_end;
    while (owner > folder && owner[-1] != '/') owner--;
    bool ok = buf_printf(&id, "%.*s/", (int)(owner_end - owner), owner);
    for (const char *c = name; *c && ok;) {
        bool dot = strncmp(c, "___", 3) == 0;
        ok = dot ? buf_append_text(&id, ".") : buf_append(&id, c, 1);
        c += dot ? 3 : 1;
    }
    return add_entry(entries, HUB_MODELSCOPE, ok ? id.data : NULL, strdup(folder), strdup(folder),
                     err);
}

static enum vinci_status visit_owner(struct hub_entries *entries, const char *folder,
                                     const char *name, struct vinci_error *err)
{
    (void)name;
    return each_folder(entries, folder, visit_name, err);
}

/* In the root itself stand folders that are no owners. */
static enum vinci_status visit_old_owner(struct hub_entries *entries, const char *folder,
                                         const char *name, struct vinci_error *err)
{
    static const char *const others[] = {"models", "hub", "datasets", "ast_indexer", "temp"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0) return VINCI_OK;
    return visit_owner(entries, folder, name, err);
}

static enum vinci_status read_modelscope(struct hub_entries *entries, const char *root,
                                         struct vinci_error *err)
{
    static const struct {
        const char *folder;
        visit_fn *visit;
    } forms[] = {{"", visit_old_owner},
                 {"/models", visit_owner},
                 {"/hub", visit_old_owner},
                 {"/hub/models", visit_owner}};
    enum vinci_status status = VINCI_OK;
    for (size_t i = 0; i < sizeof forms / sizeof *forms && status == VINCI_OK; i++) {
        struct buf path = {0};
        status = buf_printf(&path, "%s%s", root, forms[i].folder)
                     ? each_folder(entries, path.data, forms[i].visit, err)
                     : fail_memory(err, 4096, "a path");
        buf_free(&path);
    }
    return status;
}

/* ---- Hugging Face: models--OWNER--NAME ------------------------------------------------------ */

static enum vinci_status visit_huggingface(struct hub_entries *entries, const char *folder,
                                           const char *name, struct vinci_error *err)
{
    static const char begin[] = "models--";
    struct buf id = {0};
    char path[4096] = "";
    if (strncmp(name, begin, sizeof begin - 1) != 0) return VINCI_OK;
    const char *owner = name + sizeof begin - 1, *dashes = strstr(owner, "--");
    bool ok = dashes ? buf_printf(&id, "%.*s/%s", (int)(dashes - owner), owner, dashes + 2)
                     : buf_append_text(&id, owner);
    if (!ok) return add_entry(entries, HUB_HUGGINGFACE, NULL, NULL, NULL, err);
    char *root = text_copy(folder, strlen(folder) - strlen(name) - 1);
    struct vinci_caches only = {NULL, root};
    /* Not a whole one: the folder itself is what can be named. */
    if (!root || is_folder(id.data) ||
        vinci_model_find(id.data, &only, path, sizeof path, NULL) != VINCI_OK)
        snprintf(path, sizeof path, "%s", folder);
    free(root);
    return add_entry(entries, HUB_HUGGINGFACE, id.data, strdup(folder), strdup(path), err);
}

static int by_name(const void *a, const void *b)
{
    const struct hub_entry *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order ? order : strcmp(x->folder, y->folder);
}

enum vinci_status hub_entries_read(struct hub_entries *entries, const struct vinci_caches *caches,
                                   struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    *entries = (struct hub_entries){0};
    if (caches->modelscope) status = read_modelscope(entries, caches->modelscope, err);
    if (status == VINCI_OK && caches->huggingface)
        status = each_folder(entries, caches->huggingface, visit_huggingface, err);
    if (status != VINCI_OK) hub_entries_free(entries);
    if (entries->n) qsort(entries->items, entries->n, sizeof *entries->items, by_name);
    return status;
}

void hub_entries_free(struct hub_entries *entries)
{
    for (size_t i = 0; i < entries->n; i++) {
        free(entries->items[i].id);
        free(entries->items[i].folder);
        free(entries->items[i].model);
    }
    free(entries->items);
    *entries = (struct hub_entries){0};
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

enum vinci_status hub_entry_remove(const struct hub_entry *entry, struct vinci_error *err)
{
    if (nftw(entry->folder, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return fail_errno(err, errno, entry->folder, "remove");
    return VINCI_OK;
}
