/* scheduler.c - mixes decode tokens and prompt chunks of many requests into one step.
 *
 * Requests stand in one list in the order of submission; the first n_seqs unfinished ones are
 * served. What a request generates does not depend on who shares its steps: that is the numeric
 * contract, not the scheduler's doing. Two locks: `step` is held through a step, `list` while the
 * list changes, so that requests can be submitted and cancelled from callbacks. */
#include "engine/scheduler.h"

#include "base/buf.h"
#include "engine/chunk.h"

#include <stdlib.h>

struct scheduler {
    struct vinci_engine *engine;
    pthread_mutex_t step, list;
    struct vinci_request *first, **last;

    /* This step: one entry a sequence. */
    struct vinci_request **requests; /* [n_seqs] */
    struct forward_seq *seqs;        /* [n_seqs] */
    uint32_t *outputs;               /* [n_seqs] rows of the step whose logits are needed */
    struct vinci_request **drawing;  /* [n_seqs] the requests they belong to */
    float *logits;                   /* [n_seqs, n_vocab] */
    uint32_t n_seqs, n_tokens, n_outputs;
    uint32_t n_decode; /* of n_tokens */
    struct chunk chunk;
};

enum vinci_status scheduler_create(struct scheduler **out, struct vinci_engine *engine,
                                   struct vinci_error *err)
{
    size_t n = engine->limits.n_seqs, n_vocab = engine->model->config.n_vocab;
    *out = NULL;
    struct scheduler *s = array_new_zero(1, sizeof *s);
    if (!s) return fail_memory(err, sizeof *s, "the scheduler");
    s->engine = engine;
    s->last = &s->first;
    pthread_mutex_init(&s->step, NULL);
    pthread_mutex_init(&s->list, NULL);
    s->requests = array_new(n, sizeof(struct vinci_request *));
    s->seqs = array_new(n, sizeof *s->seqs);
    s->outputs = array_new(n, sizeof *s->outputs);
    s->drawing = array_new(n, sizeof(struct vinci_request *));
    s->logits = array_new(n * n_vocab, sizeof *s->logits);
    if (!s->requests || !s->seqs || !s->outputs || !s->drawing || !s->logits) {
        scheduler_destroy(s);
        return fail_memory(err, n * n_vocab * sizeof(float), "the logits of a step");
    }
    *out = s;
    return VINCI_OK;
}

void scheduler_destroy(struct scheduler *s)
{
    if (!s) return;
    pthread_mutex_destroy(&s->step);
    pthread_mutex_destroy(&s->list);
    free(s->requests);
    free(s->seqs);
    free(s->outputs);
    free(s->drawing);
    free(s->logits);
    free(s);
}

void scheduler_add(struct scheduler *s, struct vinci_request *request)
{
    pthread_mutex_lock(&s->list);
    request->next = NULL;
    *s->last = request;
    s->last = &request->next;
    pthread_mutex_unlock(&s->list);
}

/* Takes finished requests (or `only`) out of the list; they belong to whoever submitted them. */
static size_t sweep(struct scheduler *s, const struct vinci_request *only)
{
    size_t n_left = 0;
    struct vinci_request **at = &s->first;
    while (*at) {
        if (*at == only || vinci_request_done(*at)) {
            *at = (*at)->next;
        } else {
            at = &(*at)->next;
            n_left++;
        }
    }
    s->last = at;
    return n_left;
}

void scheduler_remove(struct scheduler *s, struct vinci_request *request)
{
    pthread_mutex_lock(&s->step);
    pthread_mutex_lock(&s->list);
    sweep(s, request);
    pthread_mutex_unlock(&s->list);
    pthread_mutex_unlock(&s->step);
}

/* ---- one step ------------------------------------------------------------------------------ */

static void start(struct vinci_request *request)
{
    request->time_started = seconds_now();
    request->result.queue_seconds = request->time_started - request->time_submitted;
    request->result.n_reused =
        session_reuse(request->session, request->prompt, request->options.n_prompt);
    atomic_store(&request->state, REQUEST_PREFILL);
}

/* Reserves the request's next n tokens and puts them into the step; false if it must wait. */
static bool add(struct scheduler *s, struct vinci_request *request, const int32_t *tokens, size_t n,
                bool draws)
{
    struct vinci_error err = {0};
    struct vinci_session *session = request->session;
    enum vinci_status status = kv_seq_reserve(session->kv, s->engine->cache, (uint32_t)n, &err);
    if (status == VINCI_NO_MEMORY && s->n_seqs > 0) return false; /* others will give pages back */
    if (status == VINCI_OK) status = session_reserve(session, n, &err);
    if (status == VINCI_LIMIT) request_finish(request, VINCI_FINISH_CONTEXT);
    else if (status != VINCI_OK) request_fail(request, &err);
    if (status != VINCI_OK) return true;

    s->seqs[s->n_seqs] = (struct forward_seq){session->kv, tokens, (uint32_t)n};
    s->requests[s->n_seqs++] = request;
    s->n_tokens += (uint32_t)n;
    if (draws) {
        s->outputs[s->n_outputs] = s->n_tokens - 1;
        s->drawing[s->n_outputs++] = request;
    }
    return true;
}

static bool add_prompt(struct scheduler *s, struct vinci_request *request)
{
    size_t done = request->session->kv->n_positions, n = request->options.n_prompt - done;
    size_t room =
        chunk_room(&s->chunk, s->n_decode, s->engine->limits.n_batch) + s->n_decode - s->n_tokens;
    bool whole = n <= room;
    if (room == 0) return false;
    return add(s, request, request->prompt + done, whole ? n : room, whole);
}

static void end_cancelled(struct scheduler *s)
{
    for (struct vinci_request *request = s->first; request; request = request->next)
        if (!vinci_request_done(request) && atomic_load(&request->cancelled))
            request_finish(request, VINCI_FINISH_CANCELLED);
}

/* Decode tokens first: nobody who is generating waits for a prompt. */
static void plan(struct scheduler *s)
{
    uint32_t n_served = 0;
    struct vinci_request *request = s->first, *end;
    s->n_seqs = s->n_tokens = s->n_outputs = 0;
    end_cancelled(s);
    for (; request && n_served < s->engine->limits.n_seqs; request = request->next) {
        if (vinci_request_done(request)) continue;
        n_served++;
        if (request->state == REQUEST_DECODE)
            add(s, request, request->tokens + request->n_tokens - 1, 1, true);
    }
    end = request;
    s->n_decode = s->n_tokens;
    for (request = s->first; request != end; request = request->next) {
        if (request->state == REQUEST_QUEUED) start(request);
        if (request->state == REQUEST_PREFILL && !add_prompt(s, request)) break;
    }
}

/* A finished request may be kept long by who submitted it; the pages of its own session are wanted
 * by others now. */
static void release_pages(struct scheduler *s)
{
    size_t n_kept;
    for (struct vinci_request *request = s->first; request; request = request->next)
        if (vinci_request_done(request) && request->owns_session)
            session_rewind(request->session, 0, &n_kept);
}

static void fail_all(struct scheduler *s, const struct vinci_error *err)
{
    for (uint32_t i = 0; i < s->n_seqs; i++) request_fail(s->requests[i], err);
}

static enum vinci_status run(struct scheduler *s, struct vinci_error *err)
{
    if (s->n_seqs == 0) return VINCI_OK;
    double start = seconds_now();
    enum vinci_status status = forward_step(s->engine->forward, s->seqs, s->n_seqs, s->outputs,
                                            s->n_outputs, s->logits, err);
    chunk_note(&s->chunk, s->n_decode, s->n_tokens - s->n_decode, seconds_now() - start);
    for (uint32_t i = 0; i < s->n_seqs && status == VINCI_OK; i++) {
        struct vinci_session *session = s->requests[i]->session;
        session_note(session, s->seqs[i].tokens, s->seqs[i].n_tokens);
        if (session->kv->n_positions == s->requests[i]->options.n_prompt)
            session_checkpoint(session);
    }
    return status;
}

enum vinci_status vinci_engine_step(struct vinci_engine *engine, size_t *n_active,
                                    struct vinci_error *err)
{
    struct scheduler *s = engine->scheduler;
    size_t n_vocab = engine->model->config.n_vocab;
    struct vinci_error step_err = {0};

    pthread_mutex_lock(&s->step);
    pthread_mutex_lock(&engine->lock);
    pthread_mutex_lock(&s->list);
    plan(s);
    pthread_mutex_unlock(&s->list);
    enum vinci_status status = run(s, &step_err);
    pthread_mutex_unlock(&engine->lock);

    if (status != VINCI_OK) fail_all(s, &step_err);
    else
        for (uint32_t i = 0; i < s->n_outputs; i++) {
            request_next_token(s->drawing[i], s->logits + i * n_vocab);
            profile_lap(&engine->profile, engine->device, PROFILE_SAMPLE, PROFILE_OUTSIDE);
        }

    pthread_mutex_lock(&engine->lock);
    pthread_mutex_lock(&s->list);
    release_pages(s);
    *n_active = sweep(s, NULL);
    pthread_mutex_unlock(&s->list);
    pthread_mutex_unlock(&engine->lock);
    pthread_mutex_unlock(&s->step);
    if (status == VINCI_DEVICE || status == VINCI_IO)
        return fail(err, status, "%s", step_err.text); /* the next step would fail as well */
    return VINCI_OK;
}

/* ---- requests ------------------------------------------------------------------------------ */

enum vinci_status vinci_request_submit(struct vinci_request **out, struct vinci_engine *engine,
                                       const struct vinci_request_options *options,
                                       struct vinci_error *err)
{
    enum vinci_status status = request_create(out, engine, options, err);
    if (status == VINCI_OK) scheduler_add(engine->scheduler, *out);
    return status;
}

enum vinci_status vinci_generate(struct vinci_engine *engine,
                                 const struct vinci_request_options *options,
                                 struct vinci_request_result *result, struct vinci_error *err)
{
    struct vinci_request *request = NULL;
    size_t n_active;
    enum vinci_status status = vinci_request_submit(&request, engine, options, err);
    while (status == VINCI_OK && !vinci_request_done(request))
        status = vinci_engine_step(engine, &n_active, err);
    if (request) vinci_request_result(request, result);
    if (status == VINCI_OK && result->finish == VINCI_FINISH_ERROR)
        status = fail(err, result->error.status, "%s", result->error.text);
    vinci_request_close(request);
    return status;
}
