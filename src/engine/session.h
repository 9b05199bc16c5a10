/* session.h - one timeline of tokens: what the scheduler needs beside the public calls. */
#ifndef VINCI_ENGINE_SESSION_H
#define VINCI_ENGINE_SESSION_H

#include "engine/engine.h"

#include <stdatomic.h>

enum { SESSION_CHECKPOINTS = 4 };

struct vinci_session {
    struct vinci_engine *engine;
    atomic_bool in_use; /* by a request that was given this session and is not finished */
    struct kv_seq *kv;
    int32_t *tokens; /* [capacity], as many as kv->n_positions are in use */
    size_t capacity;
    struct kv_checkpoint
        checkpoints[SESSION_CHECKPOINTS]; /* ascending n_positions, empty ones last */
};

/* The following are for callers that hold the engine's lock. */

/* Goes back to at most n tokens: *n_kept <= n is what could be kept. */
void session_rewind(struct vinci_session *session, size_t n, size_t *n_kept);

/* Goes back to the longest prefix of tokens[n] that the session can keep, at most n - 1. */
size_t session_reuse(struct vinci_session *session, const int32_t *tokens, size_t n);

/* The same, or what the engine's prefix cache has if that is more. */
size_t session_reuse_cached(struct vinci_session *session, const int32_t *tokens, size_t n);

/* Room to note n more tokens. */
enum vinci_status session_reserve(struct vinci_session *session, size_t n, struct vinci_error *err);

/* Notes tokens that a step has just appended to session->kv; session_reserve came before. */
void session_note(struct vinci_session *session, const int32_t *tokens, size_t n);

/* Remembers this position, so that a later rewind behind the window need not begin at zero. Without
 * memory for it nothing is lost but time. */
void session_checkpoint(struct vinci_session *session);

#endif
