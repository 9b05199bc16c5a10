/* pull.c - fetches a model. */
#include "base/lang.h"
#include "base/log.h"
#include "base/units.h"
#include "hub/hub.h"
#include "hub/partial.h"
#include "hub/place.h"
#include "hub/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { INDEX_MAX = 64 << 20, ROUNDS_MAX = 2 };

struct wanted {
    const struct hub_file *file;
    char *place, *path; /* below the folder; from here */
    bool here;
};

struct pull {
    const struct hub_pull_options *options;
    struct hub_pull_result *result;
    struct http http;
    struct hub_place place;
    struct record record;
    struct hub_listing listing;
    struct wanted *wanted;
    size_t n_wanted;
    struct hub_progress progress;
    uint64_t done_before; /* bytes of files that are not on the way */
};

static void note(const struct pull *pull, enum vinci_log_level level, const char *text,
                 const char *path)
{
    struct log log = {pull->options->log, pull->options->log_user};
    log_message(&log, level, "%s: %s", path, text);
}

static bool stopped(const struct pull *pull)
{
    return pull->http.stop && pull->http.stop(pull->http.user);
}

static void show(struct pull *pull)
{
    if (pull->options->progress) pull->options->progress(pull->options->user, &pull->progress);
}

/* ---- what is here -------------------------------------------------------------------------- */

static bool same_digest(const struct record_file *known, const struct hub_file *file)
{
    if (known->size != file->size) return false;
    return file->kind == DIGEST_NONE || /* the hub says nothing: its size must do */
           (known->kind == file->kind && strcmp(known->digest.hex, file->digest.hex) == 0);
}

/* Reads a file that is there but of which nothing is known: it may have been fetched otherwise. */
static enum vinci_status adopt(struct pull *pull, struct wanted *wanted, struct vinci_error *err)
{
    const struct hub_file *file = wanted->file;
    struct digest_text is;
    struct stat st;
    if (stat(wanted->path, &st) != 0 || !S_ISREG(st.st_mode)) return VINCI_OK;
    if ((uint64_t)st.st_size != file->size || file->kind == DIGEST_NONE) {
        note(pull, VINCI_LOG_WARN, _("differs from the hub's; it is replaced"), wanted->path);
        return VINCI_OK;
    }
    int fd = open(wanted->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno(err, errno, wanted->path, "read");
    enum vinci_status status = VINCI_OK;
    struct digest *digest = digest_new(file->kind, file->size);
    if (!digest) status = fail_memory(err, 512, wanted->path);
    for (uint64_t from = 0; from < file->size && status == VINCI_OK;) {
        uint64_t to = file->size - from < (16 << 20) ? file->size : from + (16 << 20);
        status = digest_add_file(digest, fd, wanted->path, from, to, err);
        pull->progress.done += to - from;
        from = to;
        show(pull);
        if (stopped(pull)) status = fail(err, VINCI_CANCELLED, "stopped");
    }
    if (status == VINCI_OK)
        wanted->here = digest_end(digest, &is) && strcmp(is.hex, file->digest.hex) == 0;
    digest_free(digest);
    close(fd);
    if (status != VINCI_OK) return status;
    if (wanted->here)
        return record_add(&pull->record, pull->place.folder, file->path, wanted->place, file->kind,
                          &file->digest, err);
    note(pull, VINCI_LOG_WARN, _("differs from the hub's; it is replaced"), wanted->path);
    return VINCI_OK;
}

static bool is_recorded(const struct pull *pull, const struct wanted *wanted)
{
    const struct record_file *known = record_find(&pull->record, wanted->file->path);
    return known && strcmp(known->place, wanted->place) == 0 && same_digest(known, wanted->file) &&
           record_holds(known, pull->place.folder);
}

static uint64_t size_here(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

static enum vinci_status look_around(struct pull *pull, struct vinci_error *err)
{
    struct hub_progress *progress = &pull->progress;
    enum vinci_status status = VINCI_OK;
    *progress = (struct hub_progress){.checking = true, .n_files = pull->n_wanted};
    for (size_t i = 0; i < pull->n_wanted; i++) {
        struct wanted *wanted = &pull->wanted[i];
        wanted->here = is_recorded(pull, wanted);
        if (!wanted->here && size_here(wanted->path) == wanted->file->size)
            progress->total += wanted->file->size;
    }
    for (size_t i = 0; i < pull->n_wanted && status == VINCI_OK; i++)
        if (!pull->wanted[i].here && !pull->options->dry_run)
            status = adopt(pull, &pull->wanted[i], err);
    return status;
}

/* ---- what is wanted ------------------------------------------------------------------------ */

/* These bytes are the file, as far as the hub says what it is. */
static bool is_content(const struct hub_file *file, const struct buf *bytes)
{
    struct digest_text is = {""};
    if (bytes->size != file->size) return false;
    if (file->kind == DIGEST_NONE) return true;
    struct digest *digest = digest_new(file->kind, file->size);
    bool same = digest && digest_add(digest, bytes->data, bytes->size) && digest_end(digest, &is) &&
                strcmp(is.hex, file->digest.hex) == 0;
    digest_free(digest);
    return same;
}

/* The shards' index: from here if it is the one that the hub has, else from the hub. */
static enum vinci_status read_index(struct pull *pull, const char *path, struct buf *out,
                                    struct vinci_error *err)
{
    const struct hub_file *file = hub_listing_find(&pull->listing, path);
    const struct record_file *known = record_find(&pull->record, path);
    struct buf url = {0};
    enum vinci_status status = VINCI_OK;
    if (file->size > INDEX_MAX)
        return fail(err, VINCI_LIMIT, "%s: expected at most %d bytes", path, INDEX_MAX);
    if (known && same_digest(known, file) && record_holds(known, pull->place.folder)) {
        if (!buf_printf(&url, "%s/%s", pull->place.folder, known->place) ||
            !buf_reserve(out, (size_t)file->size + 1)) {
            buf_free(&url);
            return fail_memory(err, (size_t)file->size, path);
        }
        int fd = open(url.data, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, out->data, (size_t)file->size) : -1;
        if (fd >= 0) close(fd);
        out->size = n > 0 ? (size_t)n : 0;
        out->data[out->size] = '\0';
        buf_free(&url);
        if (out->size == file->size) return VINCI_OK;
    }
    if (!hub_file_url(&pull->http, &pull->options->model, pull->listing.commit, path, &url))
        status = fail_memory(err, 256, "an address");
    for (int attempt = 0; status == VINCI_OK; attempt++) {
        status = http_get(&pull->http, url.data, INDEX_MAX, out, NULL, err);
        if (status != VINCI_OK || is_content(file, out)) break;
        if (attempt < 2) continue;
        status =
            fail(err, VINCI_BAD_FILE, "%s: expected %llu bytes with %s %s, got others", url.data,
                 (unsigned long long)file->size, digest_name(file->kind), file->digest.hex);
    }
    buf_free(&url);
    return status;
}

static void forget_wanted(struct pull *pull)
{
    for (size_t i = 0; i < pull->n_wanted; i++) {
        free(pull->wanted[i].place);
        free(pull->wanted[i].path);
    }
    free(pull->wanted);
    pull->wanted = NULL;
    pull->n_wanted = 0;
}

static enum vinci_status add_wanted(struct pull *pull, const struct hub_file *file,
                                    struct vinci_error *err)
{
    struct buf path = {0};
    struct wanted *wanted = &pull->wanted[pull->n_wanted++];
    *wanted = (struct wanted){file, NULL, NULL, false};
    if (pull->place.blobs && file->kind == DIGEST_NONE)
        return fail(err, VINCI_UNSUPPORTED,
                    "%s: the hub gives no digest, which Hugging Face's cache names files by; "
                    "--local-dir keeps it elsewhere",
                    file->path);
    wanted->place = hub_place_of(&pull->place, file);
    if (!wanted->place || !buf_printf(&path, "%s/%s", pull->place.folder, wanted->place)) {
        buf_free(&path);
        return fail_memory(err, 4096, "a path");
    }
    wanted->path = path.data;
    return VINCI_OK;
}

static enum vinci_status choose(struct pull *pull, struct vinci_error *err)
{
    const struct hub_listing *listing = &pull->listing;
    const struct hub_selection *selection = &pull->options->selection;
    const char *index_path = hub_index_path(listing, selection);
    struct buf index = {0};
    enum vinci_status status = VINCI_OK;
    bool *marks = array_new_zero(listing->n_files, sizeof *marks);
    forget_wanted(pull);
    pull->wanted = array_new_zero(listing->n_files, sizeof *pull->wanted);
    if (!marks || !pull->wanted) {
        status = fail_memory(err, listing->n_files * sizeof *pull->wanted, "the list of files");
        goto cleanup;
    }
    if (index_path) status = read_index(pull, index_path, &index, err);
    if (status == VINCI_OK)
        status = hub_select(listing, selection, index_path ? &index : NULL, marks, err);
    for (size_t i = 0; i < listing->n_files && status == VINCI_OK; i++)
        if (marks[i]) status = add_wanted(pull, &listing->files[i], err);
cleanup:
    buf_free(&index);
    free(marks);
    return status;
}

/* ---- fetching ------------------------------------------------------------------------------ */

static bool part_stem(const struct pull *pull, const struct wanted *wanted, struct buf *stem)
{
    return buf_printf(stem, "%s/.vinci/parts/%s", pull->place.folder, wanted->file->path);
}

/* Room for what is missing, with what unfinished files already hold taken off. */
static enum vinci_status check_room(struct pull *pull, struct vinci_error *err)
{
    uint64_t need = 0;
    struct statvfs fs;
    for (size_t i = 0; i < pull->n_wanted; i++) {
        const struct wanted *wanted = &pull->wanted[i];
        struct buf stem = {0};
        struct stat st;
        if (wanted->here) continue;
        bool ok = part_stem(pull, wanted, &stem) && buf_append_text(&stem, ".part");
        uint64_t held = ok && stat(stem.data, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
        need += wanted->file->size > held ? wanted->file->size - held : 0;
        buf_free(&stem);
    }
    if (need == 0) return VINCI_OK;
    if (statvfs(pull->place.folder, &fs) != 0)
        return fail_errno(err, errno, pull->place.folder, "look at the free space");
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room >= need) return VINCI_OK;
    char wanted[16], free_bytes[16];
    return fail(err, VINCI_LIMIT,
                "%s: expected room for %s more, the disk has %s; free some, or choose another "
                "with --local-dir",
                pull->place.folder, format_bytes(need, wanted), format_bytes(room, free_bytes));
}

static void on_fetch_progress(void *user, const struct fetch_file *files, size_t n_files)
{
    struct pull *pull = user;
    struct hub_progress *progress = &pull->progress;
    uint64_t done = 0, arrived = 0;
    for (size_t i = 0; i < n_files; i++) {
        done += files[i].done;
        arrived += files[i].arrived;
    }
    progress->files = files;
    progress->n_on_way = n_files;
    progress->done = pull->done_before + done;
    progress->arrived = pull->result->fetched_bytes + arrived;
    show(pull);
}

static enum vinci_status on_completed(void *user, const struct fetch_file *file,
                                      struct vinci_error *err)
{
    struct pull *pull = user;
    for (size_t i = 0; i < pull->n_wanted; i++) {
        struct wanted *wanted = &pull->wanted[i];
        if (wanted->path != file->place) continue;
        wanted->here = true;
        pull->progress.n_here++;
        pull->result->n_fetched++;
        enum vinci_status status =
            record_add(&pull->record, pull->place.folder, wanted->file->path, wanted->place,
                       file->kind == DIGEST_NONE ? DIGEST_SHA256 : file->kind, &file->is, err);
        return status == VINCI_OK ? record_write(&pull->record, pull->place.folder, err) : status;
    }
    return VINCI_OK;
}

static void release_files(struct fetch_file *files, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free((char *)files[i].stem);
        free((char *)files[i].url);
    }
}

static enum vinci_status describe_file(struct pull *pull, const struct wanted *wanted,
                                       struct fetch_file *file, struct vinci_error *err)
{
    struct buf stem = {0}, url = {0};
    bool ok = part_stem(pull, wanted, &stem) &&
              hub_file_url(&pull->http, &pull->options->model, pull->listing.commit,
                           wanted->file->path, &url);
    *file = (struct fetch_file){.name = wanted->file->path,
                                .url = url.data,
                                .stem = stem.data,
                                .place = wanted->path,
                                .size = wanted->file->size,
                                .kind = wanted->file->kind,
                                .digest = wanted->file->digest};
    if (!ok) return fail_memory(err, 4096, "a path");
    enum vinci_status status = make_folders_of(file->stem, err);
    return status == VINCI_OK ? make_folders_of(file->place, err) : status;
}

/* Fetches those that are not here, a group at a time; `doors`: only config.json, or all but it. A
 * mismatch ends it with BAD_FILE; *again says whether another try may help. */
static enum vinci_status fetch_missing(struct pull *pull, bool doors, bool *again,
                                       struct vinci_error *err)
{
    struct fetch_file files[FETCH_FILES_MAX];
    struct fetch_options options = {.http = &pull->http,
                                    .n_connections = pull->options->n_connections,
                                    .piece_bytes = pull->options->piece_bytes,
                                    .range_pieces = pull->options->range_pieces,
                                    .log = pull->options->log,
                                    .log_user = pull->options->log_user,
                                    .progress = on_fetch_progress,
                                    .completed = on_completed,
                                    .user = pull};
    enum vinci_status status = VINCI_OK;
    for (size_t next = 0; status == VINCI_OK && next < pull->n_wanted;) {
        size_t n = 0;
        for (; next < pull->n_wanted && n < FETCH_FILES_MAX && status == VINCI_OK; next++) {
            const struct wanted *wanted = &pull->wanted[next];
            if (wanted->here || (strcmp(wanted->file->path, "config.json") == 0) != doors) continue;
            /* The same content under two names is one file in Hugging Face's layout. */
            bool twice = false;
            for (size_t i = 0; i < n; i++) twice |= strcmp(files[i].place, wanted->path) == 0;
            if (twice) continue;
            status = describe_file(pull, wanted, &files[n++], err);
        }
        if (status == VINCI_OK && n > 0) status = hub_fetch(files, n, &options, err);
        for (size_t i = 0; i < n; i++) {
            pull->done_before += files[i].state == FETCH_COMPLETE ? files[i].size : 0;
            pull->result->fetched_bytes += files[i].arrived;
            if (files[i].state != FETCH_MISMATCH || status != VINCI_OK) continue;
            *again = true;
            status = fail(err, VINCI_BAD_FILE,
                          "%s: expected %s %s, what arrived has %s; thrown away", files[i].name,
                          digest_name(files[i].kind), files[i].digest.hex, files[i].is.hex);
        }
        release_files(files, n);
        pull->progress.files = NULL;
        pull->progress.n_on_way = 0;
    }
    return status;
}

/* A kill between a file's renaming and the end of its journal leaves the journal. */
static void remove_parts(const struct pull *pull)
{
    static const char *const ends[] = {".part", ".journal"};
    for (size_t i = 0; i < pull->n_wanted; i++)
        for (size_t k = 0; k < 2; k++) {
            struct buf path = {0};
            if (part_stem(pull, &pull->wanted[i], &path) && buf_append_text(&path, ends[k]))
                unlink(path.data);
            buf_free(&path);
        }
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum vinci_status finish(struct pull *pull, struct vinci_error *err)
{
    const struct hub_model *model = &pull->options->model;
    struct hub_place *place = &pull->place;
    enum vinci_status status = VINCI_OK;
    for (size_t i = 0; i < pull->n_wanted && status == VINCI_OK && place->blobs; i++)
        status = hub_place_link(place, pull->listing.commit, pull->wanted[i].file, err);
    if (status == VINCI_OK && place->blobs)
        status = hub_place_ref(place, model->revision, pull->listing.commit, err);
    if (status != VINCI_OK) return status;
    remove_parts(pull);
    pull->record.complete = true;
    return record_write(&pull->record, place->folder, err);
}

/* One listing, and everything it asks for. */
static enum vinci_status pull_round(struct pull *pull, bool *again, struct vinci_error *err)
{
    const struct hub_pull_options *options = pull->options;
    struct hub_pull_result *result = pull->result;
    uint64_t total = 0;
    size_t n_here = 0;
    enum vinci_status status = choose(pull, err);
    if (status == VINCI_OK) status = look_around(pull, err);
    if (status != VINCI_OK) return status;
    pull->done_before = 0;
    for (size_t i = 0; i < pull->n_wanted; i++) {
        const struct wanted *wanted = &pull->wanted[i];
        total += wanted->file->size;
        n_here += wanted->here;
        pull->done_before += wanted->here ? wanted->file->size : 0;
        if (options->planned) options->planned(options->user, wanted->file, wanted->here);
    }
    pull->progress = (struct hub_progress){
        .done = pull->done_before, .total = total, .n_files = pull->n_wanted, .n_here = n_here};
    result->n_files = pull->n_wanted;
    result->bytes = total;
    if (options->dry_run) return VINCI_OK;
    if (n_here == pull->n_wanted && pull->record.complete && !pull->place.blobs) return VINCI_OK;
    status = record_set_model(&pull->record, hub_key(options->model.kind), options->model.id,
                              options->model.revision, pull->listing.commit, err);
    if (status == VINCI_OK) status = check_room(pull, err);
    if (status == VINCI_OK && n_here < pull->n_wanted) {
        pull->record.complete = false;
        status = record_write(&pull->record, pull->place.folder, err);
    }
    if (status == VINCI_OK) status = fetch_missing(pull, false, again, err);
    if (status == VINCI_OK) status = fetch_missing(pull, true, again, err);
    return status == VINCI_OK ? finish(pull, err) : status;
}

/* Everything that the last pull of the same brought is here and untouched. */
static bool is_complete(const struct pull *pull)
{
    const struct record *record = &pull->record;
    const struct hub_pull_options *options = pull->options;
    if (!record->complete || !record->revision || options->selection.all ||
        options->selection.n_include || options->selection.n_exclude ||
        strcmp(record->id, options->model.id) != 0 ||
        strcmp(record->hub, hub_key(options->model.kind)) != 0 ||
        strcmp(record->revision, options->model.revision) != 0)
        return false;
    for (size_t i = 0; i < record->n_files; i++)
        if (!record_holds(&record->files[i], pull->place.folder)) return false;
    return record->n_files > 0;
}

static enum vinci_status list(struct pull *pull, struct vinci_error *err)
{
    struct http http = pull->http;
    bool complete = is_complete(pull);
    if (complete) http.n_retries = 1; /* not worth a long wait */
    hub_listing_free(&pull->listing);
    enum vinci_status status = hub_list(&http, &pull->options->model, &pull->listing, err);
    if (status != VINCI_IO || !complete) return status;
    struct hub_pull_result *result = pull->result;
    result->offline = true;
    snprintf(pull->listing.commit, sizeof pull->listing.commit, "%s", pull->record.commit);
    for (size_t i = 0; i < pull->record.n_files; i++) {
        result->n_files++;
        result->bytes += pull->record.files[i].size;
    }
    return VINCI_OK;
}

enum vinci_status hub_pull(const struct hub_pull_options *options, struct hub_pull_result *result,
                           struct vinci_error *err)
{
    struct pull pull = {
        .options = options, .result = result, .http = options->http, .place = {.lock = -1}};
    *result = (struct hub_pull_result){0};
    enum vinci_status status =
        hub_place_find(&pull.place, &options->model, &options->caches, options->local_dir, err);
    if (status == VINCI_OK) status = record_read(&pull.record, pull.place.folder, err);
    if (status == VINCI_OK) status = list(&pull, err);
    if (status == VINCI_OK && !result->offline && !options->dry_run)
        status = hub_place_lock(&pull.place, err);
    for (int round = 0; status == VINCI_OK && !result->offline; round++) {
        bool again = false;
        status = pull_round(&pull, &again, err);
        if (!again || round + 1 == ROUNDS_MAX) break;
        /* The hub's file may have changed since it was listed. */
        note(&pull, VINCI_LOG_WARN, _("fetched once more"), err ? err->text : "");
        status = list(&pull, err);
    }
    if (status == VINCI_OK) {
        memcpy(result->commit, pull.listing.commit, sizeof result->commit);
        result->path = hub_place_model(&pull.place, pull.listing.commit);
        if (!result->path) status = fail_memory(err, 4096, "a path");
    }
    forget_wanted(&pull);
    hub_listing_free(&pull.listing);
    record_free(&pull.record);
    hub_place_free(&pull.place);
    return status;
}

void hub_pull_result_free(struct hub_pull_result *result)
{
    free(result->path);
    *result = (struct hub_pull_result){0};
}
