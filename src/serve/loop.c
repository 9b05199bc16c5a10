/* loop.c - one thread pumps the engine; see loop.h. */
#include "serve/loop.h"

#include "base/clock.h"
#include "base/lang.h"
#include "serve/writer.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* With nothing but held jobs clients are still watched, as often as this. */
#define HELD_WAIT_SECONDS 0.1
/* With nothing to do for so long, what requests have left of the heap goes back to the system. */
#define IDLE_SECONDS 0.5

struct loop {
    struct vinci_engine *engine;
    struct metrics *metrics;
    uint32_t max_waiting, n_seqs;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job *arrived, **arrived_last; /* submitted by other threads */
    struct job *active;                  /* the thread's own list */
    size_t n_jobs;
    bool stopping, refusing, failed, cancel_all;
    bool nudged;              /* a job that was held may go on, or is cancelled */
    struct vinci_error error; /* why the engine failed */
    struct writer *writer;    /* to be woken after the step; NULL: not */
    struct pollfd *polls;     /* [polls_capacity] */
    size_t polls_capacity;
};

/* ---- waiters ------------------------------------------------------------------------------- */

/* A condition whose waits are timed by CLOCK_MONOTONIC. */
static void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static bool condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    long nanoseconds = until.tv_nsec + (long)((seconds - (double)(long)seconds) * 1e9);
    until.tv_sec += (time_t)seconds + nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    return pthread_cond_timedwait(condition, lock, &until) == 0;
}

void waiter_init(struct waiter *waiter, int fd)
{
    *waiter = (struct waiter){.fd = fd};
    pthread_mutex_init(&waiter->lock, NULL);
    condition_init(&waiter->changed);
    atomic_init(&waiter->client_left, false);
}

void waiter_release(struct waiter *waiter)
{
    pthread_cond_destroy(&waiter->changed);
    pthread_mutex_destroy(&waiter->lock);
}

bool waiter_wait(struct waiter *waiter, double seconds)
{
    return condition_wait(&waiter->changed, &waiter->lock, seconds);
}

/* ---- tokens -------------------------------------------------------------------------------- */

bool grow(void **items, size_t *capacity, size_t needed, size_t size)
{
    size_t n = *capacity ? *capacity : 16;
    if (needed <= *capacity) return true;
    while (n < needed) n *= 2;
    void *moved = realloc(*items, n * size);
    if (!moved) return false;
    *items = moved;
    *capacity = n;
    return true;
}

bool job_tokens_add(struct job_tokens *list, const struct job_token *token,
                    const struct vinci_token_logprob *top)
{
    if (!grow((void **)&list->entries, &list->capacity, list->n + 1, sizeof *list->entries) ||
        !grow((void **)&list->top, &list->top_capacity, list->n_top + token->n_top, sizeof *top))
        return false;
    list->entries[list->n++] = *token;
    if (token->n_top) memcpy(list->top + list->n_top, top, token->n_top * sizeof *top);
    list->n_top += token->n_top;
    return true;
}

void job_tokens_free(struct job_tokens *list)
{
    free(list->entries);
    free(list->top);
    *list = (struct job_tokens){0};
}

static bool keep(struct job *job, const struct vinci_token_event *event)
{
    struct job_token token = {event->token, event->logprob, (uint32_t)event->n_top};
    if (!job_tokens_add(&job->tokens, &token, event->top)) job->out_of_memory = true;
    return !job->out_of_memory;
}

static void hold(struct job *job, double now)
{
    vinci_request_pause(job->request, true);
    job->held = true;
    job->held_since = now;
}

static bool on_token(void *user, const struct vinci_token_event *event)
{
    struct job *job = user;
    struct metrics *metrics = job->loop->metrics;
    double now = seconds_now();
    pthread_mutex_lock(&job->waiter->lock);
    bool kept = keep(job, event), full = job->tokens.n >= JOB_TOKENS_MAX;
    bool first = job->tokens.n == 1, own = job->waiter->state == WAITER_OWN;
    if (full) atomic_store(&job->full, true);
    job->waiter->news = true;
    if (!own) {
        writer_add(job->waiter);
        job->loop->writer = job->waiter->writer;
    }
    pthread_mutex_unlock(&job->waiter->lock);
    /* The lock is free when the other thread wakes; the waiter lives until the job is done. */
    if (first && own) pthread_cond_signal(&job->waiter->changed);
    if (full) hold(job, now);
    if (event->index == 0) metrics_observe(metrics, &metrics->ttft, now - job->arrived);
    else metrics_observe(metrics, &metrics->itl, now - job->last_token);
    job->last_token = now;
    return kept && !atomic_load(&job->cancelled);
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* The job is the submitter's from here on. */
static void end_job(struct loop *loop, struct job *job, const struct vinci_request_result *result)
{
    struct waiter *waiter = job->waiter;
    struct vinci_request_result ended = *result;
    if (ended.finish == VINCI_FINISH_CANCELLED && atomic_load(&job->satisfied))
        ended.finish = VINCI_FINISH_STOP;
    if (job->out_of_memory || job->too_slow) ended.finish = VINCI_FINISH_ERROR;
    if (job->out_of_memory) fail_memory(&ended.error, 0, "a request's tokens");
    if (job->too_slow)
        fail(&ended.error, VINCI_IO,
             "the client reads too slowly: its request was held for more than %d seconds",
             JOB_HELD_SECONDS_MAX);
    metrics_finish(loop->metrics, &ended, job->arrived, seconds_now());
    pthread_mutex_lock(&loop->lock);
    loop->n_jobs--;
    pthread_mutex_unlock(&loop->lock);
    pthread_mutex_lock(&waiter->lock);
    job->result = ended;
    job->done = waiter->news = true;
    struct writer *writer = waiter->state == WAITER_OWN ? NULL : waiter->writer;
    if (writer) writer_add(waiter);
    else pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
    if (writer) writer_wake(writer);
}

static void fail_job(struct loop *loop, struct job *job, const struct vinci_error *error)
{
    struct vinci_request_result result = {.finish = VINCI_FINISH_ERROR, .error = *error};
    vinci_request_close(job->request);
    end_job(loop, job, &result);
}

static void watch_job(struct loop *loop, struct job *job)
{
    struct job **at = &loop->active;
    while (*at) at = &(*at)->next;
    job->next = NULL;
    *at = job;
}

/* Whose client has gone? One system call for all. */
static void watch_clients(struct loop *loop)
{
    size_t n = 0;
    for (struct job *job = loop->active; job; job = job->next) {
        if (job->waiter->fd < 0) continue;
        if (!grow((void **)&loop->polls, &loop->polls_capacity, n + 1, sizeof *loop->polls)) return;
        loop->polls[n++] = (struct pollfd){.fd = job->waiter->fd, .events = POLLRDHUP};
    }
    if (n == 0 || poll(loop->polls, (nfds_t)n, 0) <= 0) return;
    n = 0;
    for (struct job *job = loop->active; job; job = job->next) {
        if (job->waiter->fd < 0) continue;
        if (loop->polls[n++].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL))
            atomic_store(&job->waiter->client_left, true);
    }
}

static void cancel_unwanted(struct loop *loop, bool all)
{
    for (struct job *job = loop->active; job; job = job->next)
        if (all || job->too_slow || atomic_load(&job->cancelled) ||
            atomic_load(&job->waiter->client_left))
            vinci_request_cancel(job->request);
}

/* Lets jobs go on whose tokens were taken; true if any job can go on. */
static bool release_held(struct loop *loop)
{
    bool any = false;
    double now = 0;
    for (struct job *job = loop->active; job; job = job->next) {
        if (job->held) {
            if (now == 0) now = seconds_now();
            double seconds = job->held_seconds + (now - job->held_since);
            job->too_slow = seconds > JOB_HELD_SECONDS_MAX;
            if (!atomic_load(&job->full)) {
                job->held = false;
                job->held_seconds = seconds;
                job->last_token = now; /* the client's delay is no latency of the server's */
                vinci_request_pause(job->request, false);
            }
        }
        any = any || !job->held;
    }
    return any;
}

static void collect_done(struct loop *loop)
{
    for (struct job **at = &loop->active; *at;) {
        struct job *job = *at;
        if (!vinci_request_done(job->request)) {
            at = &job->next;
            continue;
        }
        struct vinci_request_result result;
        *at = job->next;
        vinci_request_result(job->request, &result);
        vinci_request_close(job->request);
        job->request = NULL;
        end_job(loop, job, &result);
    }
}

static void fail_active(struct loop *loop, const struct vinci_error *error)
{
    while (loop->active) {
        struct job *job = loop->active;
        loop->active = job->next;
        fail_job(loop, job, error);
    }
}

static void step(struct loop *loop)
{
    struct vinci_error err = {0};
    size_t n_active = 0;
    enum vinci_status status = vinci_engine_step(loop->engine, &n_active, &err);
    if (loop->writer) writer_wake(loop->writer);
    loop->writer = NULL;
    collect_done(loop);
    if (status != VINCI_OK) fail_active(loop, &err);
    if (status == VINCI_OK) return;
    pthread_mutex_lock(&loop->lock);
    loop->failed = true;
    loop->error = err;
    pthread_mutex_unlock(&loop->lock);
}

/* Until there is something to do; the lock is held. */
static void wait_idle(struct loop *loop)
{
    bool trimmed = false;
    while (!loop->arrived && !loop->stopping) {
        if (trimmed) {
            pthread_cond_wait(&loop->wake, &loop->lock);
        } else if (!condition_wait(&loop->wake, &loop->lock, IDLE_SECONDS)) {
            pthread_mutex_unlock(&loop->lock);
#ifdef __GLIBC__
            malloc_trim(0);
#endif
            trimmed = true;
            pthread_mutex_lock(&loop->lock);
        }
    }
}

static void *run(void *user)
{
    struct loop *loop = user;
    for (;;) {
        bool all_held = loop->active && !release_held(loop);
        pthread_mutex_lock(&loop->lock);
        if (all_held && !loop->arrived && !loop->stopping && !loop->nudged)
            condition_wait(&loop->wake, &loop->lock, HELD_WAIT_SECONDS);
        if (!loop->active) wait_idle(loop);
        loop->nudged = false;
        struct job *job = loop->arrived;
        bool stopping = loop->stopping, all = loop->cancel_all || stopping;
        loop->cancel_all = false;
        loop->arrived = NULL;
        loop->arrived_last = &loop->arrived;
        pthread_mutex_unlock(&loop->lock);
        if (stopping && !job && !loop->active) break; /* nobody submits any more */
        while (job) {
            struct job *next = job->next;
            if (loop->failed) fail_job(loop, job, &loop->error);
            else watch_job(loop, job);
            job = next;
        }
        watch_clients(loop);
        cancel_unwanted(loop, all);
        if (loop->active) step(loop);
    }
    return NULL;
}

/* ---- from other threads -------------------------------------------------------------------- */

enum vinci_status loop_start(struct loop **out, struct vinci_engine *engine,
                             struct metrics *metrics, uint32_t max_waiting, struct vinci_error *err)
{
    struct vinci_engine_info info;
    *out = NULL;
    struct loop *loop = array_new_zero(1, sizeof *loop);
    if (!loop) return fail_memory(err, sizeof *loop, "the engine's thread");
    vinci_engine_info(engine, &info);
    loop->engine = engine;
    loop->metrics = metrics;
    loop->max_waiting = max_waiting;
    loop->n_seqs = info.n_seqs;
    loop->arrived_last = &loop->arrived;
    pthread_mutex_init(&loop->lock, NULL);
    condition_init(&loop->wake);
    int error = pthread_create(&loop->thread, NULL, run, loop);
    if (error) {
        pthread_cond_destroy(&loop->wake);
        pthread_mutex_destroy(&loop->lock);
        free(loop);
        return fail(err, VINCI_FAILED, "cannot start the engine's thread: %s", _(strerror(error)));
    }
    *out = loop;
    return VINCI_OK;
}

bool loop_submit(struct loop *loop, struct job *job)
{
    job->loop = loop;
    job->next = NULL;
    job->options.on_token = on_token;
    job->options.user = job;
    struct vinci_error err = {0};
    pthread_mutex_lock(&loop->lock);
    bool accepted = !loop->refusing && loop->n_jobs < (size_t)loop->n_seqs + loop->max_waiting;
    if (accepted) loop->n_jobs++;
    pthread_mutex_unlock(&loop->lock);
    if (!accepted) return false;
    if (vinci_request_submit(&job->request, loop->engine, &job->options, &err) != VINCI_OK) {
        fail_job(loop, job, &err);
        return true;
    }
    pthread_mutex_lock(&loop->lock);
    *loop->arrived_last = job;
    loop->arrived_last = &job->next;
    pthread_cond_signal(&loop->wake);
    pthread_mutex_unlock(&loop->lock);
    return true;
}

static void nudge(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->nudged = true;
    pthread_cond_signal(&loop->wake);
    pthread_mutex_unlock(&loop->lock);
}

void loop_take(struct job *job, struct job_tokens *tokens)
{
    *tokens = job->tokens;
    job->tokens = (struct job_tokens){0};
    if (atomic_exchange(&job->full, false)) nudge(job->loop);
}

void loop_cancel(struct job *job)
{
    if (!atomic_exchange(&job->cancelled, true) && job->loop && atomic_load(&job->full))
        nudge(job->loop);
}

void loop_satisfied(struct job *job)
{
    atomic_store(&job->satisfied, true);
    loop_cancel(job);
}

void loop_state(struct loop *loop, struct loop_state *state)
{
    pthread_mutex_lock(&loop->lock);
    *state = (struct loop_state){loop->n_jobs, loop->failed};
    pthread_mutex_unlock(&loop->lock);
}

void loop_refuse(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->refusing = true;
    pthread_mutex_unlock(&loop->lock);
}

void loop_cancel_all(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->cancel_all = true;
    pthread_cond_signal(&loop->wake);
    pthread_mutex_unlock(&loop->lock);
}

void loop_stop(struct loop *loop)
{
    if (!loop) return;
    pthread_mutex_lock(&loop->lock);
    loop->refusing = loop->stopping = true;
    pthread_cond_signal(&loop->wake);
    pthread_mutex_unlock(&loop->lock);
    pthread_join(loop->thread, NULL);
    pthread_cond_destroy(&loop->wake);
    pthread_mutex_destroy(&loop->lock);
    free(loop->polls);
    free(loop);
}
