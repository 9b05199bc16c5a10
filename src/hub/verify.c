/* verify.c - reads a model's files again and compares them with what the hub says they are.
 *
 * What they should be is known from vinci's record; in Hugging Face's cache from the names of the
 * blobs; else the hub is asked. */
#include "hub/hub.h"
#include "hub/place.h"
#include "hub/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct expected {
    char *path, *place; /* in the repository; from here */
    uint64_t size;      /* 0 with `any_size`: not known */
    bool any_size, bad;
    enum digest_kind kind;
    struct digest_text digest;
};

struct verify {
    const struct hub_verify_options *options;
    char *record_folder; /* NULL: no record */
    char *on_the_way;    /* the record's model, whose pull was not finished; NULL: none */
    struct expected *files;
    size_t n, capacity;
    struct hub_progress progress;
};

static enum vinci_status expect(struct verify *verify, const char *path, const char *folder,
                                const char *place, enum digest_kind kind,
                                const struct digest_text *digest, struct vinci_error *err)
{
    struct buf full = {0};
    if (verify->n == verify->capacity) {
        size_t capacity = verify->capacity ? 2 * verify->capacity : 32;
        struct expected *files = realloc(verify->files, capacity * sizeof *files);
        if (!files) return fail_memory(err, capacity * sizeof *files, "the list of files");
        verify->files = files;
        verify->capacity = capacity;
    }
    bool ok = buf_printf(&full, "%s/%s", folder, place);
    struct expected *file = &verify->files[verify->n++];
    *file = (struct expected){strdup(path), full.data, 0, true, false, kind, *digest};
    return ok && file->path ? VINCI_OK : fail_memory(err, 4096, "the list of files");
}

static void set_size(struct verify *verify, uint64_t size)
{
    verify->files[verify->n - 1].size = size;
    verify->files[verify->n - 1].any_size = false;
}

static enum vinci_status from_record(struct verify *verify, const char *folder,
                                     struct vinci_error *err)
{
    struct record record;
    enum vinci_status status = record_read(&record, folder, err);
    for (size_t i = 0; i < record.n_files && status == VINCI_OK; i++) {
        const struct record_file *file = &record.files[i];
        status = expect(verify, file->path, folder, file->place, file->kind, &file->digest, err);
        if (status == VINCI_OK) set_size(verify, file->size);
    }
    if (status == VINCI_OK && record.id && !record.complete) {
        struct buf name = {0};
        bool hf = record.hub && strcmp(record.hub, "huggingface") == 0;
        if (!buf_printf(&name, "%s%s", hf ? "hf:" : "", record.id))
            status = fail_memory(err, 256, "a name");
        verify->on_the_way = name.data;
    }
    record_free(&record);
    if (status == VINCI_OK && (verify->n > 0 || verify->on_the_way)) {
        verify->record_folder = strdup(folder);
        if (!verify->record_folder) status = fail_memory(err, strlen(folder), "a path");
    }
    return status;
}

/* What was found bad is no longer vouched for: the next pull looks at the bytes, whatever the
 * file's time says. Where that cannot be written down, the verdict stands all the same. */
static void forget_bad(const struct verify *verify)
{
    struct record record = {0};
    if (!verify->record_folder) return;
    if (record_read(&record, verify->record_folder, NULL) == VINCI_OK) {
        for (size_t i = 0; i < verify->n; i++) {
            struct record_file *file =
                verify->files[i].bad ? record_find(&record, verify->files[i].path) : NULL;
            if (file) file->changed_ns = 0;
        }
        record_write(&record, verify->record_folder, NULL);
    }
    record_free(&record);
}

/* A snapshot in Hugging Face's cache: its links lead to files whose names are their digests. */
static enum vinci_status from_links(struct verify *verify, const char *folder, const char *below,
                                    int depth, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    struct buf path = {0}, inner = {0};
    DIR *dir = NULL;
    if (depth > 8) return VINCI_OK;
    if (!buf_printf(&path, "%s/%s", folder, below)) return fail_memory(err, 4096, "a path");
    dir = opendir(path.data);
    for (const struct dirent *entry; dir && status == VINCI_OK && (entry = readdir(dir));) {
        char target[4096] = "";
        struct digest_text digest;
        struct stat st;
        if (entry->d_name[0] == '.') continue;
        inner.size = 0;
        if (!buf_printf(&inner, "%s%s", below, entry->d_name)) {
            status = fail_memory(err, 4096, "a path");
            break;
        }
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISDIR(st.st_mode)) {
            if (!buf_append_text(&inner, "/")) status = fail_memory(err, 4096, "a path");
            else status = from_links(verify, folder, inner.data, depth + 1, err);
        } else if (S_ISLNK(st.st_mode) &&
                   readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1) > 0) {
            const char *name = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
            if (digest_parse(DIGEST_SHA256, name, &digest))
                status =
                    expect(verify, inner.data, folder, inner.data, DIGEST_SHA256, &digest, err);
            else if (digest_parse(DIGEST_GIT_SHA1, name, &digest))
                status =
                    expect(verify, inner.data, folder, inner.data, DIGEST_GIT_SHA1, &digest, err);
        }
    }
    if (dir) closedir(dir);
    buf_free(&path);
    buf_free(&inner);
    return status;
}

/* Files that are here and those without which the model is not whole. */
static enum vinci_status from_hub(struct verify *verify, struct vinci_error *err)
{
    const struct hub_verify_options *options = verify->options;
    struct hub_listing listing = {0};
    struct buf path = {0};
    enum vinci_status status = hub_list(options->http, options->model, &listing, err);
    for (size_t i = 0; i < listing.n_files && status == VINCI_OK; i++) {
        const struct hub_file *file = &listing.files[i];
        struct stat st;
        path.size = 0;
        if (!buf_printf(&path, "%s/%s", options->folder, file->path)) {
            status = fail_memory(err, 4096, "a path");
            break;
        }
        bool here = stat(path.data, &st) == 0;
        bool vital = strcmp(file->path, "config.json") == 0 ||
                     (!strchr(file->path, '/') && strstr(file->path, ".safetensors"));
        if ((!here && !vital) || file->kind == DIGEST_NONE) continue;
        status =
            expect(verify, file->path, options->folder, file->path, file->kind, &file->digest, err);
        if (status == VINCI_OK) set_size(verify, file->size);
    }
    buf_free(&path);
    hub_listing_free(&listing);
    return status;
}

static enum vinci_status collect(struct verify *verify, struct vinci_error *err)
{
    const struct hub_verify_options *options = verify->options;
    enum vinci_status status = from_record(verify, options->folder, err);
    if (status == VINCI_OK && verify->n == 0) {
        char *folder = realpath(options->folder, NULL),
             *slash = folder ? strrchr(folder, '/') : NULL;
        if (slash && slash - folder > 10 && memcmp(slash - 10, "/snapshots", 10) == 0) {
            slash[-10] = '\0';
            status = from_record(verify, folder, err);
            if (status == VINCI_OK && verify->n == 0 && !verify->on_the_way)
                status = from_links(verify, options->folder, "", 0, err);
        }
        free(folder);
    }
    bool unknown = verify->n == 0 && !verify->on_the_way;
    if (status == VINCI_OK && unknown && options->http && options->model)
        status = from_hub(verify, err);
    if (status == VINCI_OK && unknown && verify->n == 0)
        status =
            fail(err, VINCI_NOT_FOUND,
                 "%s: nothing says what its files should be; give the model's name on the hub, "
                 "or `vinci pull NAME --local-dir %s`, which keeps what is right",
                 options->folder, options->folder);
    return status;
}

/* Reads one file. The verdict is not an error; reading that fails is. */
static enum vinci_status check(struct verify *verify, const struct expected *file,
                               enum hub_verdict *verdict, struct vinci_error *err)
{
    const struct hub_verify_options *options = verify->options;
    enum vinci_status status = VINCI_OK;
    struct digest_text is;
    struct stat st;
    *verdict = HUB_FILE_MISSING;
    int fd = open(file->place, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return VINCI_OK;
    if (fd < 0 || fstat(fd, &st) != 0) {
        status = fail_errno(err, errno, file->place, "read");
        if (fd >= 0) close(fd);
        return status;
    }
    *verdict = HUB_FILE_BAD;
    uint64_t size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (!file->any_size && size != file->size) {
        close(fd);
        verify->progress.done += file->size;
        return VINCI_OK;
    }
    struct digest *digest = digest_new(file->kind, size);
    if (!digest) status = fail_memory(err, 512, file->place);
    for (uint64_t from = 0; from < size && status == VINCI_OK;) {
        uint64_t to = size - from < (16 << 20) ? size : from + (16 << 20);
        status = digest_add_file(digest, fd, file->place, from, to, err);
        verify->progress.done += to - from;
        from = to;
        if (options->progress) options->progress(options->user, &verify->progress);
        if (options->stop && options->stop(options->user))
            status = fail(err, VINCI_CANCELLED, "stopped");
    }
    if (status == VINCI_OK && digest_end(digest, &is) && strcmp(is.hex, file->digest.hex) == 0)
        *verdict = HUB_FILE_GOOD;
    digest_free(digest);
    close(fd);
    return status;
}

/* With the command that goes on; --local-dir only where the folder was not found by its name. */
static enum vinci_status fail_half(const struct verify *verify, struct vinci_error *err)
{
    const char *folder = verify->record_folder;
    if (verify->options->model)
        return fail(err, VINCI_BAD_FILE,
                    "%s: fetched in part, %zu files are here and as they should be; `vinci pull "
                    "%s` goes on where it stopped",
                    folder, verify->n, verify->on_the_way);
    return fail(err, VINCI_BAD_FILE,
                "%s: fetched in part, %zu files are here and as they should be; `vinci pull %s "
                "--local-dir %s` goes on where it stopped",
                folder, verify->n, verify->on_the_way, folder);
}

enum vinci_status hub_verify(const struct hub_verify_options *options, struct vinci_error *err)
{
    struct verify verify = {.options = options, .progress = {.checking = true}};
    size_t n_bad = 0;
    const char *first = NULL;
    enum vinci_status status = collect(&verify, err);
    for (size_t i = 0; i < verify.n && status == VINCI_OK; i++) {
        struct stat st;
        struct expected *file = &verify.files[i];
        if (file->any_size && stat(file->place, &st) == 0) file->size = (uint64_t)st.st_size;
        verify.progress.total += file->size;
    }
    verify.progress.n_files = verify.n;
    for (size_t i = 0; i < verify.n && status == VINCI_OK; i++) {
        enum hub_verdict verdict = HUB_FILE_MISSING;
        struct expected *file = &verify.files[i];
        status = check(&verify, file, &verdict, err);
        if (status != VINCI_OK) break;
        verify.progress.n_here++;
        if (options->verdict) options->verdict(options->user, file->path, file->size, verdict);
        if (verdict == HUB_FILE_GOOD) continue;
        n_bad++;
        file->bad = true;
        if (!first) first = file->path;
    }
    if (n_bad > 0) forget_bad(&verify);
    if (status == VINCI_OK && n_bad > 0)
        status = fail(err, VINCI_BAD_FILE,
                      "%s: %zu of %zu files are not as they should be (%s%s); `vinci pull` fetches "
                      "them again",
                      options->folder, n_bad, verify.n, first, n_bad > 1 ? ", ..." : "");
    /* All that is here is right, but the last pull did not come to its end. */
    if (status == VINCI_OK && verify.on_the_way) status = fail_half(&verify, err);
    for (size_t i = 0; i < verify.n; i++) {
        free(verify.files[i].path);
        free(verify.files[i].place);
    }
    free(verify.files);
    free(verify.record_folder);
    free(verify.on_the_way);
    return status;
}
