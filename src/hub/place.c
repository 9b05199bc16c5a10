/* place.c - where a model goes. What is there already: entries.c. */
#include "hub/place.h"

#include "hub/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* OWNER/NAME with the dots of the name as ___. */
static bool append_modelscope_id(struct buf *path, const char *id)
{
    const char *name = strchr(id, '/');
    bool ok = buf_append(path, id, (size_t)(name - id));
    for (const char *c = name; *c && ok; c++)
        ok = *c == '.' ? buf_append_text(path, "___") : buf_append(path, c, 1);
    return ok;
}

static bool modelscope_folder(struct buf *path, const char *root, const char *id)
{
    /* Some releases of ModelScope's tool put a folder hub between the root and the models. */
    if (!buf_printf(path, "%s/hub", root)) return false;
    bool hub = exists(path->data);
    path->size = 0;
    return buf_printf(path, "%s/%smodels/", root, hub ? "hub/" : "") &&
           append_modelscope_id(path, id);
}

static bool huggingface_folder(struct buf *path, const char *root, const char *id)
{
    const char *name = strchr(id, '/');
    return buf_printf(path, "%s/models--%.*s--%s", root, (int)(name - id), id, name + 1);
}

enum vinci_status hub_place_find(struct hub_place *place, const struct hub_model *model,
                                 const struct vinci_caches *caches, const char *local_dir,
                                 struct vinci_error *err)
{
    struct buf path = {0};
    char found[4096];
    bool ok = true;
    *place = (struct hub_place){.lock = -1};
    const char *root = model->kind == HUB_HUGGINGFACE ? caches->huggingface : caches->modelscope;
    if (!local_dir && !root)
        return fail(err, VINCI_NOT_FOUND,
                    "no folder for models: neither HOME nor a cache folder is set; --local-dir "
                    "names one");
    if (local_dir) {
        ok = buf_append_text(&path, local_dir);
        while (path.size > 1 && path.data[path.size - 1] == '/') path.data[--path.size] = '\0';
    } else if (model->kind == HUB_HUGGINGFACE) {
        place->blobs = true;
        ok = huggingface_folder(&path, root, model->id);
    } else {
        struct vinci_caches only = {root, NULL};
        if (!exists(model->id) &&
            vinci_model_find(model->id, &only, found, sizeof found, NULL) == VINCI_OK)
            ok = buf_append_text(&path, found);
        else ok = modelscope_folder(&path, root, model->id);
    }
    place->folder = path.data;
    return ok ? VINCI_OK : fail_memory(err, 4096, "a path");
}

enum vinci_status make_folders_of(const char *path, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    char *copy = strdup(path);
    if (!copy) return fail_memory(err, strlen(path), "a path");
    for (char *slash = strchr(copy + 1, '/'); slash && status == VINCI_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int error = mkdir(copy, 0777) == 0 ? 0 : errno;
        if (error && error != EEXIST && !exists(copy)) /* which sets errno, too */
            status = fail_errno(err, error, copy, "make the folder");
        *slash = '/';
    }
    free(copy);
    return status;
}

enum vinci_status hub_place_lock(struct hub_place *place, struct vinci_error *err)
{
    struct buf path = {0};
    if (!buf_printf(&path, "%s/.vinci/parts/", place->folder))
        return fail_memory(err, 4096, "a path");
    enum vinci_status status = make_folders_of(path.data, err);
    path.size = 0;
    if (status == VINCI_OK && !buf_printf(&path, "%s/.vinci/lock", place->folder))
        status = fail_memory(err, 4096, "a path");
    if (status != VINCI_OK) goto cleanup;
    place->lock = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (place->lock < 0) status = fail_errno(err, errno, path.data, "open");
    else if (flock(place->lock, LOCK_EX | LOCK_NB) != 0)
        status = errno == EWOULDBLOCK
                     ? fail(err, VINCI_FAILED, "%s: another vinci is at work there; wait for it",
                            place->folder)
                     : fail_errno(err, errno, path.data, "lock");
cleanup:
    buf_free(&path);
    return status;
}

void hub_place_free(struct hub_place *place)
{
    if (place->lock >= 0) close(place->lock);
    free(place->folder);
    *place = (struct hub_place){.lock = -1};
}

char *hub_place_model(const struct hub_place *place, const char *commit)
{
    struct buf path = {0};
    bool ok = place->blobs ? buf_printf(&path, "%s/snapshots/%s", place->folder, commit)
                           : buf_append_text(&path, place->folder);
    if (ok) return path.data;
    buf_free(&path);
    return NULL;
}

char *hub_place_of(const struct hub_place *place, const struct hub_file *file)
{
    struct buf path = {0};
    bool ok = place->blobs ? buf_printf(&path, "blobs/%s", file->digest.hex)
                           : buf_append_text(&path, file->path);
    if (ok) return path.data;
    buf_free(&path);
    return NULL;
}

enum vinci_status hub_place_link(const struct hub_place *place, const char *commit,
                                 const struct hub_file *file, struct vinci_error *err)
{
    struct buf link = {0}, target = {0}, part = {0};
    enum vinci_status status = VINCI_OK;
    bool ok = buf_printf(&link, "%s/snapshots/%s/%s", place->folder, commit, file->path) &&
              buf_printf(&part, "%s/.vinci/link", place->folder) &&
              buf_append_text(&target, "../../");
    for (const char *c = file->path; *c && ok; c++)
        if (*c == '/') ok = buf_append_text(&target, "../");
    if (!ok || !buf_printf(&target, "blobs/%s", file->digest.hex)) {
        status = fail_memory(err, 4096, "a path");
        goto cleanup;
    }
    char is[256];
    ssize_t n = readlink(link.data, is, sizeof is);
    if (n == (ssize_t)target.size && memcmp(is, target.data, target.size) == 0) goto cleanup;
    status = make_folders_of(link.data, err);
    if (status != VINCI_OK) goto cleanup;
    unlink(part.data);
    if (symlink(target.data, part.data) != 0 || rename(part.data, link.data) != 0)
        status = fail_errno(err, errno, link.data, "make the link");
cleanup:
    buf_free(&link);
    buf_free(&target);
    buf_free(&part);
    return status;
}

enum vinci_status hub_place_ref(const struct hub_place *place, const char *revision,
                                const char *commit, struct vinci_error *err)
{
    struct buf path = {0}, part = {0};
    enum vinci_status status = VINCI_OK;
    int fd = -1;
    if (strcmp(revision, commit) == 0 || !hub_path_is_safe(revision)) return VINCI_OK;
    if (!buf_printf(&path, "%s/refs/%s", place->folder, revision) ||
        !buf_printf(&part, "%s/.vinci/ref", place->folder)) {
        status = fail_memory(err, 4096, "a path");
        goto cleanup;
    }
    status = make_folders_of(path.data, err);
    if (status != VINCI_OK) goto cleanup;
    fd = open(part.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    ssize_t n = (ssize_t)strlen(commit);
    if (fd < 0 || write(fd, commit, (size_t)n) != n || fsync(fd) != 0 ||
        rename(part.data, path.data) != 0)
        status = fail_errno(err, errno, path.data, "write");
    else status = sync_folder_of(path.data, err);
cleanup:
    if (fd >= 0) close(fd);
    buf_free(&path);
    buf_free(&part);
    return status;
}
