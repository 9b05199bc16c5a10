/* keeper.c - makes arrived pieces durable, computes digests. */
#include "hub/keeper.h"

#include "base/buf.h"
#include "base/lang.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct piece {
    size_t file;
    struct partial_line line;
};

struct keeper {
    struct keeper_file *files;
    size_t n_files;
    void (*woken)(void *user);
    void *user;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex: */
    struct piece *queue;
    size_t n_queue, capacity;
    bool stop;
    enum vinci_status status;
    struct vinci_error error;
};

static void set_state(struct keeper *keeper, struct keeper_file *file, enum keeper_state state)
{
    pthread_mutex_lock(&keeper->mutex);
    file->state = state;
    pthread_mutex_unlock(&keeper->mutex);
    if (keeper->woken) keeper->woken(keeper->user);
}

/* The pieces of a batch, file by file, so that each file is flushed once. */
static enum vinci_status keep_batch(struct keeper *keeper, struct piece *batch, size_t n,
                                    struct vinci_error *err)
{
    struct partial_line *lines = array_new(n, sizeof *lines);
    enum vinci_status status =
        lines ? VINCI_OK : fail_memory(err, n * sizeof *lines, "the journal");
    for (size_t file = 0; file < keeper->n_files && status == VINCI_OK; file++) {
        size_t n_lines = 0;
        for (size_t i = 0; i < n; i++)
            if (batch[i].file == file) lines[n_lines++] = batch[i].line;
        if (n_lines) status = partial_keep(&keeper->files[file].partial, lines, n_lines, err);
    }
    free(lines);
    return status;
}

static enum vinci_status finish_file(struct keeper *keeper, struct keeper_file *file,
                                     struct vinci_error *err)
{
    if (!digest_end(file->digest, &file->is))
        return fail(err, VINCI_FAILED, "%s: OpenSSL cannot compute its digest", file->place);
    if (file->kind != DIGEST_NONE && strcmp(file->is.hex, file->expected.hex) != 0) {
        partial_discard(&file->partial);
        set_state(keeper, file, KEEPER_MISMATCH);
        return VINCI_OK;
    }
    enum vinci_status status = partial_finish(&file->partial, file->place, err);
    if (status == VINCI_OK) set_state(keeper, file, KEEPER_COMPLETE);
    return status;
}

/* Adds one piece to the digest of a file that has the next one. False: there is nothing to do. */
static bool hash_piece(struct keeper *keeper, enum vinci_status *status, struct vinci_error *err)
{
    for (size_t i = 0; i < keeper->n_files; i++) {
        struct keeper_file *file = &keeper->files[i];
        struct partial *partial = &file->partial;
        if (file->state != KEEPER_ARRIVING) continue; /* only this thread changes it */
        if (file->n_hashed < partial->n_pieces) {
            if (!partial->kept[file->n_hashed]) continue;
            *status = digest_add_file(file->digest, partial->fd, partial->path,
                                      partial_piece_from(partial, file->n_hashed),
                                      partial_piece_to(partial, file->n_hashed), err);
            file->n_hashed++;
        }
        if (*status == VINCI_OK && file->n_hashed == partial->n_pieces)
            *status = finish_file(keeper, file, err);
        return true;
    }
    return false;
}

static void *keep(void *user)
{
    struct keeper *keeper = user;
    enum vinci_status status = VINCI_OK;
    struct vinci_error err = {0};
    struct piece *batch = NULL;
    size_t capacity = 0;
    for (bool idle = false; status == VINCI_OK;) {
        pthread_mutex_lock(&keeper->mutex);
        while (idle && keeper->n_queue == 0 && !keeper->stop)
            pthread_cond_wait(&keeper->changed, &keeper->mutex);
        bool stop = keeper->stop;
        struct piece *work = keeper->queue; /* the two arrays are exchanged */
        size_t n = keeper->n_queue, room = keeper->capacity;
        keeper->queue = batch;
        keeper->capacity = capacity;
        keeper->n_queue = 0;
        pthread_mutex_unlock(&keeper->mutex);
        batch = work;
        capacity = room;
        if (n > 0) status = keep_batch(keeper, batch, n, &err);
        if (stop) break;
        if (status == VINCI_OK) idle = !hash_piece(keeper, &status, &err);
    }
    free(batch);
    pthread_mutex_lock(&keeper->mutex);
    keeper->status = status;
    keeper->error = err;
    pthread_mutex_unlock(&keeper->mutex);
    if (status != VINCI_OK && keeper->woken) keeper->woken(keeper->user);
    return NULL;
}

enum vinci_status keeper_start(struct keeper **out, struct keeper_file *files, size_t n_files,
                               void (*woken)(void *user), void *user, struct vinci_error *err)
{
    *out = NULL;
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper) return fail_memory(err, sizeof *keeper, "the writing thread");
    *keeper = (struct keeper){.files = files, .n_files = n_files, .woken = woken, .user = user};
    pthread_mutex_init(&keeper->mutex, NULL);
    pthread_cond_init(&keeper->changed, NULL);
    int error = pthread_create(&keeper->thread, NULL, keep, keeper);
    if (error) {
        pthread_cond_destroy(&keeper->changed);
        pthread_mutex_destroy(&keeper->mutex);
        free(keeper);
        return fail(err, VINCI_FAILED, "the writing thread cannot start: %s", _(strerror(error)));
    }
    *out = keeper;
    return VINCI_OK;
}

enum vinci_status keeper_add(struct keeper *keeper, size_t file, size_t piece,
                             const struct digest_text *sha256, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    pthread_mutex_lock(&keeper->mutex);
    if (keeper->n_queue == keeper->capacity) {
        size_t capacity = keeper->capacity ? 2 * keeper->capacity : 64;
        struct piece *queue = realloc(keeper->queue, capacity * sizeof *queue);
        if (queue) {
            keeper->queue = queue;
            keeper->capacity = capacity;
        } else {
            status = fail_memory(err, capacity * sizeof *queue, "the journal");
        }
    }
    if (status == VINCI_OK) {
        keeper->queue[keeper->n_queue++] = (struct piece){file, {piece, *sha256}};
        pthread_cond_signal(&keeper->changed);
    }
    pthread_mutex_unlock(&keeper->mutex);
    return status;
}

enum keeper_state keeper_state(struct keeper *keeper, size_t file)
{
    pthread_mutex_lock(&keeper->mutex);
    enum keeper_state state = keeper->files[file].state;
    pthread_mutex_unlock(&keeper->mutex);
    return state;
}

enum vinci_status keeper_status(struct keeper *keeper, struct vinci_error *err)
{
    pthread_mutex_lock(&keeper->mutex);
    enum vinci_status status = keeper->status;
    if (status != VINCI_OK && err) *err = keeper->error;
    pthread_mutex_unlock(&keeper->mutex);
    return status;
}

void keeper_stop(struct keeper *keeper)
{
    if (!keeper) return;
    pthread_mutex_lock(&keeper->mutex);
    keeper->stop = true;
    pthread_cond_signal(&keeper->changed);
    pthread_mutex_unlock(&keeper->mutex);
    pthread_join(keeper->thread, NULL);
    pthread_cond_destroy(&keeper->changed);
    pthread_mutex_destroy(&keeper->mutex);
    free(keeper->queue);
    free(keeper);
}
