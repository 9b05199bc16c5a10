/* session.c - one timeline: append, rewind, sync.
 *
 * Window layers forget what they no longer see, so a session cannot go back to any position. It
 * keeps checkpoints at the ends of prompts, where conversations come back to; a rewind goes to the
 * last of them that is not too far, and the rest is computed again. */
#include "engine/session.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

enum vinci_status vinci_session_open(struct vinci_session **out, struct vinci_engine *engine,
                                     struct vinci_error *err)
{
    *out = NULL;
    struct vinci_session *session = array_new_zero(1, sizeof *session);
    if (!session) return fail_memory(err, sizeof *session, "a session");
    session->engine = engine;
    enum vinci_status status = kv_seq_create(&session->kv, engine->cache, err);
    if (status != VINCI_OK) {
        free(session);
        return status;
    }
    *out = session;
    return VINCI_OK;
}

static void drop_checkpoints_after(struct vinci_session *session, size_t n)
{
    for (int i = 0; i < SESSION_CHECKPOINTS; i++)
        if (session->checkpoints[i].n_positions > n)
            kv_checkpoint_drop(&session->checkpoints[i], session->engine->cache);
}

void vinci_session_close(struct vinci_session *session)
{
    if (!session) return;
    pthread_mutex_lock(&session->engine->lock);
    drop_checkpoints_after(session, 0);
    kv_seq_destroy(session->kv, session->engine->cache);
    pthread_mutex_unlock(&session->engine->lock);
    free(session->tokens);
    free(session);
}

const int32_t *vinci_session_tokens(const struct vinci_session *session, size_t *n)
{
    *n = session->kv->n_positions;
    return session->tokens;
}

void session_rewind(struct vinci_session *session, size_t n, size_t *n_kept)
{
    struct kv_cache *cache = session->engine->cache;
    if (n > session->kv->n_positions) n = session->kv->n_positions;
    if (!kv_seq_can_rewind(session->kv, cache, (uint32_t)n)) {
        const struct kv_checkpoint *best = NULL;
        for (int i = 0; i < SESSION_CHECKPOINTS; i++) {
            const struct kv_checkpoint *c = &session->checkpoints[i];
            if (c->n_positions && c->n_positions <= n) best = c;
        }
        if (best) kv_seq_restore(session->kv, cache, best);
        n = best ? best->n_positions : 0;
    }
    kv_seq_rewind(session->kv, cache, (uint32_t)n);
    drop_checkpoints_after(session, n);
    *n_kept = n;
}

size_t session_reuse(struct vinci_session *session, const int32_t *tokens, size_t n)
{
    size_t same = 0, held = session->kv->n_positions, kept;
    while (same < held && same + 1 < n && session->tokens[same] == tokens[same]) same++;
    if (same == held) return held;
    session_rewind(session, same, &kept);
    return kept;
}

size_t session_reuse_cached(struct vinci_session *session, const int32_t *tokens, size_t n)
{
    struct prefix_cache *prefixes = session->engine->prefixes;
    size_t kept = session_reuse(session, tokens, n), n_cached, none;
    if (!prefixes) return kept;
    const struct prefix_node *node = prefix_cache_find(prefixes, tokens, n - 1, &n_cached);
    if (!node || n_cached <= kept) return kept;
    session_rewind(session, 0, &none);
    if (session_reserve(session, n_cached, NULL) != VINCI_OK) return 0;
    prefix_cache_restore(prefixes, node, session->kv);
    session_note(session, tokens, n_cached);
    return n_cached;
}

enum vinci_status session_reserve(struct vinci_session *session, size_t n, struct vinci_error *err)
{
    size_t needed = session->kv->n_positions + n;
    if (needed <= session->capacity) return VINCI_OK;
    size_t capacity = needed + needed / 2 + 256;
    int32_t *tokens = realloc(session->tokens, capacity * sizeof *tokens);
    if (!tokens) return fail_memory(err, capacity * sizeof *tokens, "a session's tokens");
    session->tokens = tokens;
    session->capacity = capacity;
    return VINCI_OK;
}

void session_note(struct vinci_session *session, const int32_t *tokens, size_t n)
{
    memcpy(session->tokens + session->kv->n_positions - n, tokens, n * sizeof *tokens);
}

void session_checkpoint(struct vinci_session *session)
{
    struct kv_checkpoint *all = session->checkpoints, *last = &all[SESSION_CHECKPOINTS - 1];
    struct kv_cache *cache = session->engine->cache;
    int i = 0;
    while (i < SESSION_CHECKPOINTS && all[i].n_positions) i++;
    if (i > 0 && all[i - 1].n_positions == session->kv->n_positions) return;
    if (i == SESSION_CHECKPOINTS) { /* the oldest goes */
        kv_checkpoint_drop(&all[0], cache);
        memmove(all, all + 1, (SESSION_CHECKPOINTS - 1) * sizeof *all);
        *last = (struct kv_checkpoint){0};
        i--;
    }
    kv_checkpoint_take(&all[i], session->kv, cache, NULL);
}

static enum vinci_status check_free(const struct vinci_session *session, struct vinci_error *err)
{
    if (!atomic_load(&session->in_use)) return VINCI_OK;
    return fail(err, VINCI_USAGE, "the session is in use by a request that is not finished");
}

enum vinci_status vinci_session_rewind(struct vinci_session *session, size_t n, size_t *n_kept,
                                       struct vinci_error *err)
{
    enum vinci_status status = check_free(session, err);
    if (status != VINCI_OK) return status;
    pthread_mutex_lock(&session->engine->lock);
    session_rewind(session, n, n_kept);
    pthread_mutex_unlock(&session->engine->lock);
    return VINCI_OK;
}

/* The rows of a chunk whose logits are wanted; only the last of all tokens when want is NULL. */
static size_t wanted_rows(const uint8_t *want, size_t first, size_t n, size_t n_all, uint32_t *rows)
{
    size_t n_rows = 0;
    for (size_t i = 0; i < n; i++)
        if (want ? want[first + i] != 0 : first + i + 1 == n_all) rows[n_rows++] = (uint32_t)i;
    return n_rows;
}

static enum vinci_status append_locked(struct vinci_session *session, const int32_t *tokens,
                                       size_t n, const uint8_t *want, float *logits,
                                       struct vinci_error *err)
{
    struct vinci_engine *engine = session->engine;
    size_t n_vocab = engine->model->config.n_vocab, n_batch = engine->limits.n_batch;
    uint32_t *rows = NULL;
    enum vinci_status status = session_reserve(session, n, err);
    if (status != VINCI_OK) return status;
    rows = array_new(n < n_batch ? n : n_batch, sizeof *rows);
    if (!rows) return fail_memory(err, n_batch * sizeof *rows, "a chunk's rows");

    for (size_t first = 0; first < n && status == VINCI_OK; first += n_batch) {
        size_t chunk = n - first < n_batch ? n - first : n_batch;
        size_t n_rows = logits ? wanted_rows(want, first, chunk, n, rows) : 0;
        struct forward_seq seq = {session->kv, tokens + first, (uint32_t)chunk, 0};
        status = forward_step(engine->forward, &seq, 1, rows, n_rows, logits, err);
        if (status != VINCI_OK) break;
        session_note(session, tokens + first, chunk);
        kv_seq_trim(session->kv, engine->cache);
        if (logits) logits += n_rows * n_vocab;
    }
    free(rows);
    if (status == VINCI_OK && n > 1) session_checkpoint(session);
    return status;
}

enum vinci_status vinci_session_append(struct vinci_session *session, const int32_t *tokens,
                                       size_t n, const uint8_t *want, float *logits,
                                       struct vinci_error *err)
{
    if (n < 1) return fail(err, VINCI_USAGE, "append: expected at least one token, got none");
    enum vinci_status status = check_free(session, err);
    if (status != VINCI_OK) return status;
    pthread_mutex_lock(&session->engine->lock);
    status = append_locked(session, tokens, n, want, logits, err);
    pthread_mutex_unlock(&session->engine->lock);
    return status;
}

enum vinci_status vinci_session_sync(struct vinci_session *session, const int32_t *tokens, size_t n,
                                     float *logits, size_t *n_reused, struct vinci_error *err)
{
    if (n < 1) return fail(err, VINCI_USAGE, "sync: expected at least one token, got none");
    pthread_mutex_lock(&session->engine->lock);
    size_t kept = session_reuse(session, tokens, n);
    if (n_reused) *n_reused = kept;
    enum vinci_status status = append_locked(session, tokens + kept, n - kept, NULL, logits, err);
    pthread_mutex_unlock(&session->engine->lock);
    return status;
}
