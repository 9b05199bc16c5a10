/* scheduler.c - mixes decode tokens and prompt chunks of many requests into one step.
 *
 * Requests stand in one list in the order of submission; up to n_seqs of them run. When one can
 * begin, it is the one with the highest priority; of equals, one of the key that has been given the
 * fewest tokens; of these the first. A request begins when its prompt finds room in the KV cache,
 * and generates as long as there is any: when there is none left, cached prefixes go, then the
 * request that began last gives its pages back and waits to begin anew, with what it has generated
 * as part of its prompt. A paused request has no place: it keeps its pages as long as nobody needs
 * them. None of this shows in what is generated: that is the numeric contract.
 *
 * Two locks: `step` is held through a step, `list` while the list changes, so that requests can be
 * submitted and cancelled from callbacks. */
#include "engine/scheduler.h"

#include "base/buf.h"
#include "engine/chunk.h"

#include <stdlib.h>

/* What the requests of one fair_key have been given. */
struct share {
    struct share *next;
    uint64_t key;
    size_t n_requests; /* in the list */
    double n_tokens;
};

struct scheduler {
    struct vinci_engine *engine;
    pthread_mutex_t step, list;
    struct vinci_request *first, **last;
    struct share *shares;
    struct vinci_engine_info info; /* the counts; the rest as it was after the last step */

    /* This step: one entry a sequence. */
    struct vinci_request **requests; /* [n_seqs] */
    struct forward_seq *seqs;        /* [n_seqs] */
    uint32_t *outputs;               /* [n_seqs] rows of the step whose logits are needed */
    struct vinci_request **drawing;  /* [n_seqs] the requests they belong to */
    float *logits;                   /* [n_seqs, n_vocab] */
    int32_t *best;                   /* [n_seqs]: in their place, where nobody needs them */
    bool take_best;
    uint32_t n_seqs, n_tokens, n_outputs;
    uint64_t n_steps;
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
    s->best = array_new(n, sizeof *s->best);
    if (!s->best || !s->requests || !s->seqs || !s->outputs || !s->drawing || !s->logits) {
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
    free(s->best);
    free(s);
}

/* A key that comes anew begins with what the least served one has had, so that nobody saves up. */
static struct share *take_share(struct scheduler *s, uint64_t key)
{
    struct share *share = s->shares;
    while (share && share->key != key) share = share->next;
    if (!share) {
        if (!(share = array_new_zero(1, sizeof *share))) return NULL;
        share->key = key;
        if (s->shares) share->n_tokens = s->shares->n_tokens;
        for (const struct share *other = s->shares; other; other = other->next)
            if (other->n_tokens < share->n_tokens) share->n_tokens = other->n_tokens;
        share->next = s->shares;
        s->shares = share;
    }
    share->n_requests++;
    return share;
}

static void leave_share(struct scheduler *s, struct vinci_request *request)
{
    struct share **at = &s->shares, *share = request->share;
    request->share = NULL;
    if (!share || --share->n_requests > 0) return;
    while (*at != share) at = &(*at)->next;
    *at = share->next;
    free(share);
}

enum vinci_status scheduler_add(struct scheduler *s, struct vinci_request *request,
                                struct vinci_error *err)
{
    pthread_mutex_lock(&s->list);
    request->share = take_share(s, request->options.fair_key);
    if (request->share) {
        request->next = NULL;
        *s->last = request;
        s->last = &request->next;
    }
    pthread_mutex_unlock(&s->list);
    return request->share ? VINCI_OK : fail_memory(err, sizeof(struct share), "a request");
}

/* Takes finished requests (or `only`) out of the list; they belong to whoever submitted them. */
static size_t sweep(struct scheduler *s, const struct vinci_request *only)
{
    size_t n_left = 0;
    struct vinci_request **at = &s->first;
    while (*at) {
        if (*at == only || vinci_request_done(*at)) {
            leave_share(s, *at);
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

/* ---- memory -------------------------------------------------------------------------------- */

static bool is_running(const struct vinci_request *request)
{
    return request->state == REQUEST_PREFILL || request->state == REQUEST_DECODE;
}

static bool is_paused(const struct vinci_request *request)
{
    return atomic_load_explicit(&request->paused, memory_order_relaxed);
}

static uint32_t count_running(const struct scheduler *s)
{
    uint32_t n = 0;
    for (const struct vinci_request *r = s->first; r; r = r->next)
        n += is_running(r) && !is_paused(r);
    return n;
}

/* True if a goes before b, which is paused, began later or is less important. One that waits to
 * begin goes before paused ones only. */
static bool outranks(const struct vinci_request *a, const struct vinci_request *b)
{
    if (is_paused(b)) return true;
    if (is_paused(a) || !is_running(a)) return false;
    if (a->options.priority != b->options.priority)
        return a->options.priority > b->options.priority;
    return a->time_started < b->time_started;
}

static void stop_running(struct scheduler *s, struct vinci_request *request)
{
    size_t n_kept;
    (void)s;
    session_rewind(request->session, 0, &n_kept);
    atomic_store(&request->state, REQUEST_QUEUED);
}

/* Takes the pages of the last of those that `request` goes before and that have no part in this
 * step. False if there is none. */
static bool preempt(struct scheduler *s, const struct vinci_request *request)
{
    struct vinci_request *victim = NULL;
    for (struct vinci_request *r = s->first; r; r = r->next)
        if (is_running(r) && r->step != s->n_steps && r != request && outranks(request, r) &&
            (!victim || outranks(victim, r)))
            victim = r;
    if (!victim) return false;
    stop_running(s, victim);
    s->info.n_preempted++;
    return true;
}

static bool evict(struct scheduler *s)
{
    return s->engine->prefixes && prefix_cache_evict(s->engine->prefixes);
}

/* ---- one step ------------------------------------------------------------------------------ */

/* Reserves the request's next n tokens and puts them into the step; false if it must wait. */
static bool add(struct scheduler *s, struct vinci_request *request, const int32_t *tokens, size_t n,
                bool draws)
{
    struct vinci_error err = {0};
    struct vinci_session *session = request->session;
    enum vinci_status status;
    do status = kv_seq_reserve(session->kv, s->engine->cache, (uint32_t)n, &err);
    while (status == VINCI_NO_MEMORY && (evict(s) || preempt(s, request)));
    if (status == VINCI_NO_MEMORY && count_running(s) > 1) return false; /* they will give back */
    if (status == VINCI_OK) status = session_reserve(session, n, &err);
    if (status == VINCI_LIMIT) request_finish(request, VINCI_FINISH_CONTEXT);
    else if (status != VINCI_OK) request_fail(request, &err);
    if (status != VINCI_OK) return true;

    s->seqs[s->n_seqs] = (struct forward_seq){session->kv, tokens, (uint32_t)n};
    s->requests[s->n_seqs++] = request;
    s->n_tokens += (uint32_t)n;
    request->step = s->n_steps;
    request->share->n_tokens += (double)n;
    if (draws) {
        s->outputs[s->n_outputs] = s->n_tokens - 1;
        s->drawing[s->n_outputs++] = request;
    }
    return true;
}

/* Prompt tokens that this step still takes. */
static uint32_t prompt_room(const struct scheduler *s)
{
    uint32_t room = chunk_room(&s->chunk, s->n_decode, s->engine->limits.n_batch);
    return room - (s->n_tokens - s->n_decode);
}

static bool add_prompt(struct scheduler *s, struct vinci_request *request)
{
    size_t done = request->session->kv->n_positions, n = request_n_known(request) - done;
    size_t room = prompt_room(s);
    bool whole = n <= room;
    if (room == 0 || s->n_seqs == s->engine->limits.n_seqs) return false;
    return add(s, request, request->all + done, whole ? n : room, whole);
}

/* Takes up what is known already; false if the rest of the prompt finds no room now. */
static bool start(struct scheduler *s, struct vinci_request *request, uint32_t n_running)
{
    const struct kv_cache *cache = s->engine->cache;
    size_t n_known = request_n_known(request);
    size_t n_reused = session_reuse_cached(request->session, request->all, n_known);
    uint32_t needed =
        kv_pages_for(cache, (uint32_t)n_known) + 1 + n_running; /* a page each to go on */
    uint32_t held = request->session->kv->n_pages;
    while (n_running > 0 && held + cache->full.n_free < needed)
        if (!evict(s) && !preempt(s, request)) {
            stop_running(s, request);
            return false;
        }
    bool first = request->time_started == 0;
    request->time_started = seconds_now();
    if (first) {
        request->result.queue_seconds = request->time_started - request->time_submitted;
        request->result.n_reused = n_reused;
        s->info.n_prompt_tokens += n_known;
        s->info.n_reused_tokens += n_reused;
    }
    atomic_store(&request->state, REQUEST_PREFILL);
    return true;
}

/* The next of the requests in this state that has no part in the step yet. */
static struct vinci_request *choose(struct scheduler *s, enum request_state state)
{
    struct vinci_request *best = NULL;
    for (struct vinci_request *r = s->first; r; r = r->next) {
        if (r->state != state || r->step == s->n_steps || is_paused(r)) continue;
        if (!best || r->options.priority > best->options.priority ||
            (r->options.priority == best->options.priority && state == REQUEST_QUEUED &&
             r->share->n_tokens < best->share->n_tokens))
            best = r;
    }
    return best;
}

static void end_cancelled(struct scheduler *s)
{
    for (struct vinci_request *request = s->first; request; request = request->next)
        if (!vinci_request_done(request) && atomic_load(&request->cancelled))
            request_finish(request, VINCI_FINISH_CANCELLED);
}

/* Decode tokens first: nobody who is generating waits for a prompt. Then prompts that were begun,
 * then new ones. */
static void plan(struct scheduler *s)
{
    struct vinci_request *request;
    s->n_seqs = s->n_tokens = s->n_outputs = 0;
    s->n_steps++;
    end_cancelled(s);
    for (request = s->first; request && s->n_seqs < s->engine->limits.n_seqs;
         request = request->next)
        if (request->state == REQUEST_DECODE && !is_paused(request))
            add(s, request, request->all + request_n_known(request) - 1, 1, true);
    s->n_decode = s->n_tokens;
    while ((request = choose(s, REQUEST_PREFILL)))
        if (!add_prompt(s, request)) break;
    for (uint32_t n = count_running(s); n < s->engine->limits.n_seqs && prompt_room(s); n++) {
        request = choose(s, REQUEST_QUEUED);
        if (!request || !start(s, request, n) || !add_prompt(s, request)) break;
    }
}

/* Positions of the sequence that others may begin with: at every PREFIX_STEP, and its end if
 * `is_end`. */
static void keep_prefixes(struct scheduler *s, const struct vinci_session *session,
                          uint32_t n_before, bool is_end)
{
    struct prefix_cache *prefixes = s->engine->prefixes;
    uint32_t n = session->kv->n_positions;
    if (!prefixes) return;
    for (uint32_t at = (n_before / PREFIX_STEP + 1) * PREFIX_STEP; at <= n; at += PREFIX_STEP)
        prefix_cache_add(prefixes, session->kv, session->tokens, at);
    if (is_end && n > 0) prefix_cache_add(prefixes, session->kv, session->tokens, n);
}

/* A finished request may be kept long by who submitted it; the pages of its own session are wanted
 * by others now. */
static void release_pages(struct scheduler *s)
{
    size_t n_kept;
    for (struct vinci_request *request = s->first; request; request = request->next) {
        if (!vinci_request_done(request) || !request->owns_session) continue;
        keep_prefixes(s, request->session, request->session->kv->n_positions, true);
        session_rewind(request->session, 0, &n_kept);
    }
}

static void fail_all(struct scheduler *s, const struct vinci_error *err)
{
    for (uint32_t i = 0; i < s->n_seqs; i++) request_fail(s->requests[i], err);
}

static enum vinci_status forward(struct scheduler *s, struct vinci_error *err)
{
    s->take_best = s->engine->device->finds_best && s->n_outputs > 0;
    for (uint32_t i = 0; i < s->n_outputs; i++)
        s->take_best = s->take_best && request_takes_best(s->drawing[i]);
    if (s->take_best)
        return forward_step_best(s->engine->forward, s->seqs, s->n_seqs, s->outputs, s->n_outputs,
                                 s->best, err);
    return forward_step(s->engine->forward, s->seqs, s->n_seqs, s->outputs, s->n_outputs, s->logits,
                        err);
}

static enum vinci_status run(struct scheduler *s, struct vinci_error *err)
{
    if (s->n_seqs == 0) return VINCI_OK;
    double start = seconds_now();
    enum vinci_status status = forward(s, err);
    chunk_note(&s->chunk, s->n_decode, s->n_tokens - s->n_decode, seconds_now() - start);
    for (uint32_t i = 0; i < s->n_seqs && status == VINCI_OK; i++) {
        struct vinci_session *session = s->requests[i]->session;
        uint32_t n = session->kv->n_positions, n_new = s->seqs[i].n_tokens;
        bool is_prompt_end = n == s->requests[i]->options.n_prompt;
        session_note(session, s->seqs[i].tokens, n_new);
        if (is_prompt_end) session_checkpoint(session);
        keep_prefixes(s, session, n - n_new, is_prompt_end);
        kv_seq_trim(session->kv, s->engine->cache);
    }
    return status;
}

/* The engine's lock is held, and the list's. */
static void note_memory(struct scheduler *s)
{
    const struct vinci_engine *engine = s->engine;
    s->info.kv_bytes = kv_cache_bytes(engine->cache);
    s->info.kv_bytes_peak = engine->cache->n_bytes_peak;
    s->info.cached_bytes = engine->prefixes ? prefix_cache_bytes(engine->prefixes) : 0;
    s->info.n_cached = engine->prefixes ? prefix_cache_n_nodes(engine->prefixes) : 0;
}

void scheduler_info(struct scheduler *s, struct vinci_engine_info *info)
{
    bool idle = pthread_mutex_trylock(&s->engine->lock) == 0;
    pthread_mutex_lock(&s->list);
    if (idle) note_memory(s);
    *info = s->info;
    for (const struct vinci_request *r = s->first; r; r = r->next) {
        enum request_state state = atomic_load(&r->state);
        bool begun = state == REQUEST_PREFILL || state == REQUEST_DECODE;
        info->n_running += begun && !is_paused(r);
        info->n_paused += begun && is_paused(r);
        info->n_waiting += state == REQUEST_QUEUED;
    }
    pthread_mutex_unlock(&s->list);
    if (idle) pthread_mutex_unlock(&s->engine->lock);
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
            request_next_token(s->drawing[i], s->take_best ? NULL : s->logits + i * n_vocab,
                               s->take_best ? s->best[i] : 0);
            profile_lap(&engine->profile, engine->device, PROFILE_SAMPLE, PROFILE_OUTSIDE);
        }

    pthread_mutex_lock(&engine->lock);
    pthread_mutex_lock(&s->list);
    s->info.n_steps = s->n_steps;
    s->info.n_generated_tokens += status == VINCI_OK ? s->n_outputs : 0;
    release_pages(s);
    *n_active = sweep(s, NULL);
    note_memory(s);
    pthread_mutex_unlock(&s->list);
    pthread_mutex_unlock(&engine->lock);
    pthread_mutex_unlock(&s->step);
    if ((status == VINCI_DEVICE && engine->device->lost) || status == VINCI_IO)
        return fail(err, status, "%s", step_err.text); /* the next step would fail as well */
    return VINCI_OK;
}

/* ---- requests ------------------------------------------------------------------------------ */

enum vinci_status vinci_request_submit(struct vinci_request **out, struct vinci_engine *engine,
                                       const struct vinci_request_options *options,
                                       struct vinci_error *err)
{
    enum vinci_status status = request_create(out, engine, options, err);
    if (status == VINCI_OK) status = scheduler_add(engine->scheduler, *out, err);
    if (status != VINCI_OK) {
        request_destroy(*out);
        *out = NULL;
    }
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
