/* record.c - what was verified. */
#include "hub/record.h"

#include "hub/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char NAME[] = ".vinci/record.json";

static int64_t changed_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static char *copy_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? strdup(text) : NULL;
}

static struct record_file *new_file(struct record *record)
{
    if (record->n_files == record->capacity) {
        size_t capacity = record->capacity ? 2 * record->capacity : 32;
        struct record_file *files = realloc(record->files, capacity * sizeof *files);
        if (!files) return NULL;
        record->files = files;
        record->capacity = capacity;
    }
    struct record_file *file = &record->files[record->n_files++];
    *file = (struct record_file){0};
    return file;
}

/* An entry that is not as it should be is left out: its file is verified again. */
static bool read_file_entry(struct record *record, const json_t *entry)
{
    const char *path = json_string_value(json_object_get(entry, "path"));
    const char *place = json_string_value(json_object_get(entry, "place"));
    const char *hex = json_string_value(json_object_get(entry, "digest"));
    const char *kind = json_string_value(json_object_get(entry, "kind"));
    struct digest_text digest;
    enum digest_kind is =
        kind && strcmp(kind, digest_name(DIGEST_GIT_SHA1)) == 0 ? DIGEST_GIT_SHA1 : DIGEST_SHA256;
    if (!path || !hub_path_is_safe(path) || (place && !hub_path_is_safe(place)) ||
        !digest_parse(is, hex, &digest))
        return true;
    struct record_file *file = new_file(record);
    if (!file) return false;
    file->path = strdup(path);
    file->place = strdup(place ? place : path);
    file->size = (uint64_t)json_integer_value(json_object_get(entry, "size"));
    file->kind = is;
    file->digest = digest;
    file->changed_ns = json_integer_value(json_object_get(entry, "changed_ns"));
    file->inode = (uint64_t)json_integer_value(json_object_get(entry, "inode"));
    return file->path && file->place;
}

enum vinci_status record_read(struct record *record, const char *folder, struct vinci_error *err)
{
    struct buf path = {0};
    enum vinci_status status = VINCI_OK;
    *record = (struct record){0};
    if (!buf_printf(&path, "%s/%s", folder, NAME)) return fail_memory(err, 4096, "a path");
    json_t *root = json_load_file(path.data, 0, NULL), *entry = NULL;
    if (json_is_object(root)) {
        size_t i = 0;
        record->hub = copy_of(root, "hub");
        record->id = copy_of(root, "id");
        record->revision = copy_of(root, "revision");
        record->commit = copy_of(root, "commit");
        record->complete = json_is_true(json_object_get(root, "complete"));
        json_array_foreach(json_object_get(root, "files"), i,
                           entry) if (status == VINCI_OK && !read_file_entry(record, entry))
            status = fail_memory(err, 4096, path.data);
    }
    json_decref(root);
    buf_free(&path);
    return status;
}

static json_t *to_json(const struct record *record)
{
    json_t *files = json_array();
    for (size_t i = 0; i < record->n_files; i++) {
        const struct record_file *file = &record->files[i];
        json_t *entry = json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:I}", "path", file->path,
                                  "place", file->place, "size", (json_int_t)file->size, "kind",
                                  digest_name(file->kind), "digest", file->digest.hex, "changed_ns",
                                  (json_int_t)file->changed_ns, "inode", (json_int_t)file->inode);
        if (!entry || json_array_append_new(files, entry) != 0) {
            json_decref(files);
            return NULL;
        }
    }
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:b, s:o}", "vinci", 1, "hub", record->hub, "id",
                     record->id, "revision", record->revision, "commit", record->commit, "complete",
                     record->complete, "files", files);
}

enum vinci_status record_write(const struct record *record, const char *folder,
                               struct vinci_error *err)
{
    struct buf path = {0}, part = {0};
    enum vinci_status status = VINCI_OK;
    int fd = -1;
    json_t *root = to_json(record);
    if (!root || !buf_printf(&path, "%s/%s", folder, NAME) ||
        !buf_printf(&part, "%s/%s.part", folder, NAME)) {
        status = fail_memory(err, 4096, "the record of the download");
        goto cleanup;
    }
    fd = open(part.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 || json_dumpfd(root, fd, JSON_INDENT(1)) != 0 || fsync(fd) != 0 ||
        rename(part.data, path.data) != 0)
        status = fail_errno(err, errno, path.data, "write");
    else status = sync_folder_of(path.data, err);
cleanup:
    if (fd >= 0) close(fd);
    json_decref(root);
    buf_free(&path);
    buf_free(&part);
    return status;
}

void record_free(struct record *record)
{
    for (size_t i = 0; i < record->n_files; i++) {
        free(record->files[i].path);
        free(record->files[i].place);
    }
    free(record->files);
    free(record->hub);
    free(record->id);
    free(record->revision);
    free(record->commit);
    *record = (struct record){0};
}

static bool replace(char **text, const char *by)
{
    char *copy = strdup(by);
    if (copy) free(*text), *text = copy;
    return copy != NULL;
}

enum vinci_status record_set_model(struct record *record, const char *hub, const char *id,
                                   const char *revision, const char *commit,
                                   struct vinci_error *err)
{
    if (replace(&record->hub, hub) && replace(&record->id, id) &&
        replace(&record->revision, revision) && replace(&record->commit, commit))
        return VINCI_OK;
    return fail_memory(err, 256, "the record of the download");
}

struct record_file *record_find(const struct record *record, const char *path)
{
    for (size_t i = 0; i < record->n_files; i++)
        if (strcmp(record->files[i].path, path) == 0) return &record->files[i];
    return NULL;
}

static bool stat_place(const char *folder, const char *place, struct stat *st)
{
    struct buf path = {0};
    bool there = buf_printf(&path, "%s/%s", folder, place) && stat(path.data, st) == 0 &&
                 S_ISREG(st->st_mode);
    buf_free(&path);
    return there;
}

enum vinci_status record_add(struct record *record, const char *folder, const char *path,
                             const char *place, enum digest_kind kind,
                             const struct digest_text *digest, struct vinci_error *err)
{
    struct stat st;
    if (!stat_place(folder, place, &st)) return fail_errno(err, errno, place, "read");
    struct record_file *file = record_find(record, path);
    if (!file) file = new_file(record);
    if (!file) return fail_memory(err, sizeof *file, "the record of the download");
    if (!replace(&file->path, path) || !replace(&file->place, place)) {
        if (!file->place) { /* the new one */
            free(file->path);
            record->n_files--;
        }
        return fail_memory(err, strlen(path), "the record of the download");
    }
    file->size = (uint64_t)st.st_size;
    file->kind = kind;
    file->digest = *digest;
    file->changed_ns = changed_ns(&st);
    file->inode = st.st_ino;
    return VINCI_OK;
}

bool record_holds(const struct record_file *file, const char *folder)
{
    struct stat st;
    return stat_place(folder, file->place, &st) && (uint64_t)st.st_size == file->size &&
           changed_ns(&st) == file->changed_ns && st.st_ino == file->inode;
}
