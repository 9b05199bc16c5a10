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
 * On a device that runs ahead, the host works while it computes: a step's tokens are drawn, the
 * next step is started, and only then are the tokens reported (text, callbacks). And where the
 * device itself finds every token of a step, the next one, of the same requests, is started even
 * before its result is read (follow). What was started for a request that ends, is cancelled or
 * paused meanwhile is superfluous: its row is left out when the step is collected, and its sequence
 * has not grown, so nothing must be undone. Pages that were given back may still be written to by a
 * step that is under way; whoever gets them next writes later, for the device keeps the order.
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

/* One request's part in a step. */
struct part {
    struct vinci_request *request; /* NULL: superfluous, or closed since */
    uint32_t n_tokens;
    bool draws; /* its last row's logits are an output */
};

/* A step from its start until its results are there. */
struct flight {
    struct part *parts;   /* [n_seqs] */
    uint32_t n, n_tokens; /* n 0: none */
    uint32_t n_decode;    /* of n_tokens */
    uint32_t n_outputs;
    bool takes_best; /* nobody needs the logits */
    unsigned slot;
    uint64_t number; /* of forward_n_begun */
    double time_started;
    enum vinci_status status; /* of the start */
    struct vinci_error err;
};

struct scheduler {
    struct vinci_engine *engine;
    pthread_mutex_t step, list;
    struct vinci_request *first, **last;
    struct share *shares;
    struct vinci_engine_info info; /* the counts; the rest as it was after the last step */

    struct flight flights[DEVICE_SLOTS];
    struct flight *now, *next; /* of these: the step that is collected first, and the other */
    struct forward_seq *seqs;  /* [n_seqs], of the step that is started */
    uint32_t *outputs;         /* [n_seqs] its rows whose logits are needed */
    float *logits;             /* [n_seqs, n_vocab], of the step that is collected */
    int32_t *best;             /* [n_seqs]: in their place, where nobody needs them */
    uint64_t n_steps;          /* planned */
    double time_collected;
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
    s->seqs = array_new(n, sizeof *s->seqs);
    s->outputs = array_new(n, sizeof *s->outputs);
    s->logits = array_new(n * n_vocab, sizeof *s->logits);
    s->best = array_new(n, sizeof *s->best);
    bool enough = s->seqs && s->outputs && s->logits && s->best;
    for (unsigned i = 0; i < DEVICE_SLOTS; i++) {
        s->flights[i].slot = i;
        s->flights[i].parts = array_new(n, sizeof *s->flights[i].parts);
        enough = enough && s->flights[i].parts;
    }
    s->now = &s->flights[0];
    s->next = &s->flights[1];
    if (!enough) {
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
    for (unsigned i = 0; i < DEVICE_SLOTS; i++) free(s->flights[i].parts);
    free(s->seqs);
    free(s->outputs);
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

/* Whatever the step computes for the request is superfluous. */
static void leave(struct flight *flight, const struct vinci_request *request)
{
    for (uint32_t i = 0; i < flight->n; i++)
        if (flight->parts[i].request == request) flight->parts[i].request = NULL;
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
    for (unsigned i = 0; i < DEVICE_SLOTS; i++) leave(&s->flights[i], request);
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

static void clear(struct flight *flight)
{
    flight->n = flight->n_tokens = flight->n_decode = flight->n_outputs = 0;
}

/* tokens NULL: the one that the step before finds. */
static void put(struct scheduler *s, struct flight *flight, struct vinci_request *request,
                const int32_t *tokens, size_t n, bool draws)
{
    uint32_t n_ahead = tokens ? 0 : 1;
    s->seqs[flight->n] = (struct forward_seq){request->session->kv, tokens, (uint32_t)n, n_ahead};
    flight->parts[flight->n++] = (struct part){request, (uint32_t)n, draws};
    flight->n_tokens += (uint32_t)n;
    request->step = s->n_steps;
    request->share->n_tokens += (double)n;
    if (draws) s->outputs[flight->n_outputs++] = flight->n_tokens - 1;
}

/* Reserves the request's next n tokens and puts them into the step; false if it must wait. */
static bool add(struct scheduler *s, struct flight *flight, struct vinci_request *request,
                const int32_t *tokens, size_t n, bool draws)
{
    struct vinci_error err = {0};
    struct vinci_session *session = request->session;
    enum vinci_status status;
    request->step = s->n_steps;
    do status = kv_seq_reserve(session->kv, s->engine->cache, (uint32_t)n, &err);
    while (status == VINCI_NO_MEMORY && (evict(s) || preempt(s, request)));
    if (status == VINCI_NO_MEMORY && count_running(s) > 1) return false; /* they will give back */
    if (status == VINCI_OK) status = session_reserve(session, n, &err);
    if (status != VINCI_OK && request->unreported) return true; /* it ends behind its token */
    if (status == VINCI_LIMIT) request_finish(request, VINCI_FINISH_CONTEXT);
    else if (status != VINCI_OK) request_fail(request, &err);
    else put(s, flight, request, tokens, n, draws);
    return true;
}

/* Prompt tokens that the step still takes. */
static uint32_t prompt_room(const struct scheduler *s, const struct flight *flight)
{
    uint32_t room = chunk_room(&s->chunk, flight->n_decode, s->engine->limits.n_batch);
    return room - (flight->n_tokens - flight->n_decode);
}

static bool add_prompt(struct scheduler *s, struct flight *flight, struct vinci_request *request)
{
    size_t done = request->session->kv->n_positions, n = request_n_known(request) - done;
    size_t room = prompt_room(s, flight);
    bool whole = n <= room;
    if (room == 0 || flight->n == s->engine->limits.n_seqs) return false;
    return add(s, flight, request, request->all + done, whole ? n : room, whole);
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

static bool is_cancelled(const struct vinci_request *request)
{
    return atomic_load(&request->cancelled);
}

/* What may be in a step: held back are also those that will end before the next call's. */
static bool is_wanted(const struct vinci_request *request)
{
    return !is_paused(request) && !is_cancelled(request);
}

/* The next of the requests in this state that has no part in the step yet. */
static struct vinci_request *choose(struct scheduler *s, enum request_state state)
{
    struct vinci_request *best = NULL;
    for (struct vinci_request *r = s->first; r; r = r->next) {
        if (r->state != state || r->step == s->n_steps || !is_wanted(r)) continue;
        if (!best || r->options.priority > best->options.priority ||
            (r->options.priority == best->options.priority && state == REQUEST_QUEUED &&
             r->share->n_tokens < best->share->n_tokens))
            best = r;
    }
    return best;
}

/* Decode tokens first: nobody who is generating waits for a prompt. Then prompts that were begun,
 * then new ones. */
static void plan(struct scheduler *s, struct flight *flight)
{
    struct vinci_request *request;
    uint32_t n_seqs = s->engine->limits.n_seqs;
    clear(flight);
    s->n_steps++;
    for (request = s->first; request && flight->n < n_seqs; request = request->next)
        if (request->state == REQUEST_DECODE && is_wanted(request))
            add(s, flight, request, request->all + request_n_known(request) - 1, 1, true);
    flight->n_decode = flight->n_tokens;
    while ((request = choose(s, REQUEST_PREFILL)))
        if (!add_prompt(s, flight, request)) break;
    for (uint32_t n = count_running(s); n < n_seqs && prompt_room(s, flight); n++) {
        request = choose(s, REQUEST_QUEUED);
        if (!request || !start(s, request, n) || !add_prompt(s, flight, request)) break;
    }
    flight->takes_best = s->engine->device->finds_best && flight->n_outputs > 0;
    for (uint32_t i = 0; i < flight->n; i++)
        if (flight->parts[i].draws)
            flight->takes_best = flight->takes_best && request_takes_best(flight->parts[i].request);
}

/* Plans the step behind one whose result is not there yet: of the same requests, if all of them go
 * on for sure unless their token itself ends them, and if nobody else could take part. */
static void follow(struct scheduler *s, const struct flight *before, struct flight *flight)
{
    struct kv_cache *cache = s->engine->cache;
    clear(flight);
    if (!before->takes_best || before->n_outputs != before->n || before->status != VINCI_OK ||
        before->number != forward_n_begun(s->engine->forward))
        return;
    for (uint32_t i = 0; i < before->n; i++) {
        struct vinci_request *request = before->parts[i].request;
        if (!request || request->state != REQUEST_DECODE || !is_wanted(request) ||
            !request_goes_on(request) ||
            kv_seq_reserve(request->session->kv, cache, 2, NULL) != VINCI_OK ||
            session_reserve(request->session, 2, NULL) != VINCI_OK)
            return;
    }
    s->n_steps++;
    for (uint32_t i = 0; i < before->n; i++) before->parts[i].request->step = s->n_steps;
    if (choose(s, REQUEST_PREFILL) || choose(s, REQUEST_DECODE) ||
        (count_running(s) < s->engine->limits.n_seqs && choose(s, REQUEST_QUEUED)))
        return;
    for (uint32_t i = 0; i < before->n; i++)
        put(s, flight, before->parts[i].request, NULL, 1, true);
    flight->n_decode = flight->n_tokens;
    flight->takes_best = true;
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

static struct forward_output output_of(struct scheduler *s, const struct flight *flight)
{
    return flight->takes_best ? (struct forward_output){.best = s->best}
                              : (struct forward_output){.logits = s->logits};
}

/* What fails here is the step's status when it is collected. */
static void begin(struct scheduler *s, struct flight *flight)
{
    struct forward_output out = output_of(s, flight);
    if (flight->n == 0) return;
    flight->time_started = seconds_now();
    flight->status = forward_start(s->engine->forward, s->seqs, flight->n, s->outputs,
                                   flight->n_outputs, &out, flight->slot, &flight->err);
    flight->number = forward_n_begun(s->engine->forward);
}

/* The request's part is superfluous: it has ended; or it is held, then the step is taken again. */
static bool is_unwanted(const struct part *part)
{
    return !part->request || vinci_request_done(part->request) ||
           (part->draws && is_paused(part->request));
}

static void grow(struct scheduler *s, const struct part *part)
{
    const struct vinci_request *request = part->request;
    struct vinci_session *session = request->session;
    uint32_t n_before = session->kv->n_positions, n = n_before + part->n_tokens;
    bool is_prompt_end = n == request->options.n_prompt;
    kv_seq_advance(session->kv, part->n_tokens);
    session_note(session, request->all + n_before, part->n_tokens);
    if (is_prompt_end) session_checkpoint(session);
    keep_prefixes(s, session, n_before, is_prompt_end);
    kv_seq_trim(session->kv, s->engine->cache);
}

/* Waits for the step's results; whoever has a part in it has grown by it, or failed. */
static enum vinci_status collect(struct scheduler *s, struct flight *flight,
                                 struct vinci_error *err)
{
    struct forward_output out = output_of(s, flight);
    enum vinci_status status = flight->status;
    if (flight->n == 0) return VINCI_OK;
    if (status != VINCI_OK) *err = flight->err;
    else status = forward_finish(s->engine->forward, flight->n_outputs, &out, flight->slot, err);
    double now = seconds_now(), from = flight->time_started;
    if (from < s->time_collected) from = s->time_collected; /* it waited for the step before it */
    chunk_note(&s->chunk, flight->n_decode, flight->n_tokens - flight->n_decode, now - from);
    s->time_collected = now;
    for (uint32_t i = 0; i < flight->n; i++) {
        struct part *part = &flight->parts[i];
        if (is_unwanted(part)) {
            leave(s->next, part->request); /* which began with this step's token */
            part->request = NULL;
        } else if (status == VINCI_OK) {
            grow(s, part);
        } else {
            request_fail(part->request, err);
        }
    }
    return status;
}

/* Returns how many tokens. */
static uint32_t draw(struct scheduler *s, const struct flight *flight)
{
    size_t n_vocab = s->engine->model->config.n_vocab, row = 0;
    uint32_t n_drawn = 0;
    for (uint32_t i = 0; i < flight->n; i++) {
        const struct part *part = &flight->parts[i];
        if (!part->draws) continue;
        if (part->request) {
            request_draw(part->request, flight->takes_best ? NULL : s->logits + row * n_vocab,
                         flight->takes_best ? s->best[row] : 0);
            profile_lap(&s->engine->profile, s->engine->device, PROFILE_SAMPLE, PROFILE_OUTSIDE);
            n_drawn++;
        }
        row++;
    }
    return n_drawn;
}

/* Nothing is held: who is called may submit, cancel and pause. */
static void report(const struct flight *flight)
{
    for (uint32_t i = 0; i < flight->n; i++) {
        const struct part *part = &flight->parts[i];
        if (part->draws && part->request && !vinci_request_done(part->request))
            request_report(part->request);
    }
}

/* A step that was started for requests that have all ended since is forgotten. */
static void forget_unwanted(struct flight *flight)
{
    bool wanted = false;
    for (uint32_t i = 0; i < flight->n; i++) {
        const struct vinci_request *request = flight->parts[i].request;
        wanted = wanted || (request && !vinci_request_done(request));
    }
    if (!wanted) clear(flight);
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
        bool begun = state != REQUEST_QUEUED && state != REQUEST_DONE;
        info->n_running += begun && !is_paused(r);
        info->n_paused += begun && is_paused(r);
        info->n_waiting += state == REQUEST_QUEUED;
    }
    pthread_mutex_unlock(&s->list);
    if (idle) pthread_mutex_unlock(&s->engine->lock);
}

/* Their pages are for whoever begins in this step. */
static void end_cancelled(struct scheduler *s)
{
    bool any = false;
    pthread_mutex_lock(&s->list);
    for (struct vinci_request *request = s->first; request; request = request->next) {
        if (vinci_request_done(request) || !is_cancelled(request)) continue;
        request_finish(request, VINCI_FINISH_CANCELLED);
        any = true;
    }
    if (any) release_pages(s);
    pthread_mutex_unlock(&s->list);
}

/* Plans and starts the step that is next after `before`, NULL: after all that are collected. */
static void launch(struct scheduler *s, const struct flight *before, struct flight *flight)
{
    pthread_mutex_lock(&s->list);
    if (before) follow(s, before, flight);
    else plan(s, flight);
    pthread_mutex_unlock(&s->list);
    begin(s, flight);
}

enum vinci_status vinci_engine_step(struct vinci_engine *engine, size_t *n_active,
                                    struct vinci_error *err)
{
    struct scheduler *s = engine->scheduler;
    struct vinci_error step_err = {0};
    bool ahead = engine->device->runs_ahead;
    uint32_t n_drawn = 0;

    pthread_mutex_lock(&s->step);
    struct flight *now = s->now, *next = s->next;
    pthread_mutex_lock(&engine->lock);
    end_cancelled(s);
    if (now->n == 0) launch(s, NULL, now);
    if (ahead) launch(s, now, next);
    enum vinci_status status = collect(s, now, &step_err);
    pthread_mutex_unlock(&engine->lock);

    if (status == VINCI_OK) {
        n_drawn = draw(s, now);
        if (ahead && next->n == 0) {
            pthread_mutex_lock(&engine->lock);
            launch(s, NULL, next);
            pthread_mutex_unlock(&engine->lock);
        }
        report(now);
    }

    pthread_mutex_lock(&engine->lock);
    pthread_mutex_lock(&s->list);
    s->info.n_steps++;
    s->info.n_generated_tokens += n_drawn;
    release_pages(s);
    *n_active = sweep(s, NULL);
    note_memory(s);
    pthread_mutex_unlock(&s->list);
    pthread_mutex_unlock(&engine->lock);
    clear(now);
    forget_unwanted(next);
    s->now = next;
    s->next = now;
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
