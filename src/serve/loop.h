/* loop.h - the engine's thread: takes jobs from a queue, pumps vinci_engine_step, and hands tokens
 * to whoever waits for them.
 *
 * A job is one request of the engine. The HTTP thread that submits it (what a request needs is
 * compiled there, not on the engine's thread) owns it again once `done` is set under the waiter's
 * lock; until then the job must live. Several jobs may share a waiter (the choices of one answer).
 * Before every step the thread asks the sockets of all jobs whether their client is still there, so
 * a client that leaves is off the engine within one step. A client that reads slower than the
 * engine generates fills its job's buffer; the request is then held until there is room again,
 * and others take its turns. */
#ifndef VINCI_SERVE_LOOP_H
#define VINCI_SERVE_LOOP_H

#include "base/status.h"
#include "serve/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

/* Tokens that wait for their client: with so many the request is held, and it goes on when they are
 * taken. One that was held for so many seconds in all is cancelled. */
#define JOB_TOKENS_MAX 256
#define JOB_HELD_SECONDS_MAX 600

/* Who takes the tokens: the connection's thread, or writer.c's, which waits for some or is at it.
 */
enum waiter_state { WAITER_OWN, WAITER_PARKED, WAITER_WRITING };

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    int fd;                 /* the client's socket, -1: none to watch */
    atomic_bool client_left;

    /* Under the lock. */
    bool news; /* tokens or an end that nobody has looked at */
    enum waiter_state state;

    /* For writer.c; see there. */
    struct writer *writer;
    bool (*write)(void *user);
    void *user;
    bool listed, silent, wanted_back;
    struct waiter *next;
};

void waiter_init(struct waiter *waiter, int fd);
void waiter_release(struct waiter *waiter);

/* Waits, the lock held, at most so many seconds; false when they are over. */
bool waiter_wait(struct waiter *waiter, double seconds);

struct job_token {
    int32_t id;
    float logprob;
    uint32_t n_top; /* entries of job_tokens.top that are this token's, in order */
};

/* All zero is an empty list. */
struct job_tokens {
    struct job_token *entries;       /* [n] */
    struct vinci_token_logprob *top; /* [n_top] */
    size_t n, capacity, n_top, top_capacity;
};

/* `top` has token->n_top entries. False, and nothing is added, when memory is short. */
bool job_tokens_add(struct job_tokens *list, const struct job_token *token,
                    const struct vinci_token_logprob *top);
void job_tokens_free(struct job_tokens *list);

struct job {
    struct waiter *waiter;
    struct vinci_request_options options; /* on_token and user are the loop's */
    double arrived;

    /* Under the waiter's lock. */
    struct job_tokens tokens; /* that were not taken yet */
    bool done;
    struct vinci_request_result result; /* once done */

    atomic_bool cancelled, satisfied;
    atomic_bool full; /* has JOB_TOKENS_MAX tokens */

    /* The loop's own. */
    struct loop *loop;
    struct vinci_request *request;
    bool out_of_memory, too_slow, held;
    double last_token, held_since, held_seconds; /* the last before held_since */
    struct job *next;
};

struct loop;

enum vinci_status loop_start(struct loop **out, struct vinci_engine *engine,
                             struct metrics *metrics, uint32_t max_waiting,
                             struct vinci_error *err);

/* Queues the job. False when too many wait already or the loop is stopping: nothing was queued. A
 * request that the engine refuses is a job that is done at once. */
bool loop_submit(struct loop *loop, struct job *job);

/* Moves what the job has generated to *tokens, the waiter's lock held; a job that was held goes on.
 */
void loop_take(struct job *job, struct job_tokens *tokens);

/* Takes effect within one step; the job still ends by `done`. */
void loop_cancel(struct job *job);

/* The same, because nothing more is wanted: it counts as a stop. */
void loop_satisfied(struct job *job);

struct loop_state {
    size_t n_jobs; /* submitted and not done */
    bool failed;   /* the engine cannot go on */
};
void loop_state(struct loop *loop, struct loop_state *state);

/* From now on loop_submit refuses. */
void loop_refuse(struct loop *loop);

/* Cancels every job; the loop goes on. */
void loop_cancel_all(struct loop *loop);

/* Cancels what is left, ends the thread, releases. NULL is accepted. */
void loop_stop(struct loop *loop);

/* Makes room for `needed` elements of `size` bytes; false when memory is short. */
bool grow(void **items, size_t *capacity, size_t needed, size_t size);

#endif
