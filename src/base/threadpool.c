/* threadpool.c - persistent workers; parallel_for equals the serial loop.
 *
 * A loop is published in `state`: its number, whether it is open, and how many workers are inside.
 * Threads take pieces from `next` until none is left. The caller then closes the loop and waits
 * only for workers that are inside: one that the system has not let run yet finds the loop closed
 * and is not waited for, so busy neighbours cost their share and no more. */
#include "base/threadpool.h"

#include "base/buf.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SPINS = 4000 }; /* about 50 microseconds: longer than the serial part between two loops */

struct worker {
    struct threadpool *pool;
    pthread_t thread;
    unsigned index; /* 1 .. n_threads - 1 */
};

struct threadpool {
    parallel_fn *fn;
    void *ctx;
    size_t n, grain;
    size_t shares; /* 0: pieces of `grain`; else a piece is this part of what is left, >= grain */
    _Alignas(64) atomic_size_t next;
    _Alignas(64) atomic_ullong state; /* see below */
    _Alignas(64) pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_uint n_sleeping; /* raised under the mutex; read without it before a wake-up */
    atomic_bool quit;
    unsigned n_workers;
    struct worker *workers;
};

/* state: loop number << 32 | OPEN | number of workers inside */
#define OPEN (1ull << 31)
#define N_INSIDE(state) ((state) & (OPEN - 1))
#define LOOP(state) ((state) >> 32)

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_pieces(struct threadpool *pool, unsigned thread)
{
    size_t begin = atomic_load_explicit(&pool->next, memory_order_relaxed);
    while (begin < pool->n) {
        size_t left = pool->n - begin, piece = pool->shares ? left / pool->shares : 0;
        if (piece < pool->grain) piece = pool->grain;
        if (piece > left) piece = left;
        if (!atomic_compare_exchange_weak_explicit(&pool->next, &begin, begin + piece,
                                                   memory_order_relaxed, memory_order_relaxed))
            continue;
        pool->fn(pool->ctx, begin, begin + piece, thread);
        begin = atomic_load_explicit(&pool->next, memory_order_relaxed);
    }
}

/* True when there is a loop after number `seen`, or the end has come. */
static bool is_news(const struct threadpool *pool, unsigned long long state,
                    unsigned long long seen)
{
    return (LOOP(state) != seen && state & OPEN) || atomic_load(&pool->quit);
}

static void wait_for_loop(struct threadpool *pool, unsigned long long seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (is_news(pool, atomic_load(&pool->state), seen)) return;
        cpu_relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->n_sleeping, 1);
    while (!is_news(pool, atomic_load(&pool->state), seen))
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
}

/* Goes inside the loop that is open now, if it is not number `seen`. Returns the number of the loop
 * it is inside of, `seen` otherwise. */
static unsigned long long enter(struct threadpool *pool, unsigned long long seen)
{
    unsigned long long state = atomic_load(&pool->state);
    while (state & OPEN && LOOP(state) != seen)
        if (atomic_compare_exchange_weak(&pool->state, &state, state + 1)) return LOOP(state);
    return seen;
}

static void *worker_main(void *arg)
{
    struct worker *self = arg;
    struct threadpool *pool = self->pool;
    unsigned long long seen = 0;
    while (!atomic_load(&pool->quit)) {
        unsigned long long loop = enter(pool, seen);
        if (loop == seen) {
            wait_for_loop(pool, seen);
            continue;
        }
        take_pieces(pool, self->index);
        atomic_fetch_sub(&pool->state, 1);
        seen = loop;
    }
    return NULL;
}

/* Workers either spin on `state` and `quit` or sleep under the mutex. */
static void wake_sleepers(struct threadpool *pool)
{
    if (atomic_load(&pool->n_sleeping) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

/* A worker that cannot be bound runs anywhere: that is slower at worst. */
static void bind_worker(const struct worker *worker, unsigned cpu)
{
    cpu_set_t *set = CPU_ALLOC(cpu + 1);
    size_t size = CPU_ALLOC_SIZE(cpu + 1);
    if (!set) return;
    CPU_ZERO_S(size, set);
    CPU_SET_S(cpu, size, set);
    pthread_setaffinity_np(worker->thread, size, set);
    CPU_FREE(set);
}

enum vinci_status threadpool_create(struct threadpool **out, unsigned n_threads,
                                    const unsigned *cpus, struct vinci_error *err)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > 4096)
        return fail(err, VINCI_USAGE, "threads: expected 1 to 4096, got %u", n_threads);
    struct threadpool *pool = array_new_aligned(1, sizeof *pool);
    if (!pool) return fail_memory(err, sizeof *pool, "the thread pool");
    memset(pool, 0, sizeof *pool);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->workers = array_new_zero(n_threads, sizeof *pool->workers);
    if (!pool->workers) {
        threadpool_destroy(pool);
        return fail_memory(err, n_threads * sizeof(struct worker), "the thread pool");
    }
    for (unsigned i = 0; i + 1 < n_threads; i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){.pool = pool, .index = i + 1};
        int error = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (error) {
            threadpool_destroy(pool);
            return fail(err, VINCI_NO_MEMORY, "cannot start thread %u of %u: %s", i + 2, n_threads,
                        strerror(error));
        }
        pool->n_workers++;
        if (cpus) bind_worker(worker, cpus[worker->index]);
    }
    *out = pool;
    return VINCI_OK;
}

void threadpool_destroy(struct threadpool *pool)
{
    if (!pool) return;
    atomic_store(&pool->quit, true);
    wake_sleepers(pool);
    for (unsigned i = 0; i < pool->n_workers; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    free(pool);
}

unsigned threadpool_n_threads(const struct threadpool *pool)
{
    return pool ? pool->n_workers + 1 : 1;
}

static void run_loop(struct threadpool *pool, size_t n, size_t grain, size_t shares,
                     parallel_fn *fn, void *ctx)
{
    pool->fn = fn;
    pool->ctx = ctx;
    pool->n = n;
    pool->grain = grain;
    pool->shares = shares;
    atomic_store(&pool->next, 0);
    unsigned long long loop = LOOP(atomic_load(&pool->state)) + 1;
    atomic_store(&pool->state,
                 loop << 32 | OPEN); /* nobody is inside: the last loop was waited for */
    wake_sleepers(pool);
    take_pieces(pool, 0);
    unsigned long long state = atomic_fetch_and(&pool->state, ~OPEN);
    for (unsigned i = 0; N_INSIDE(state) != 0; i++) {
        if (i < SPINS) cpu_relax();
        else sched_yield(); /* more threads than processors: let the others run */
        state = atomic_load(&pool->state);
    }
}

void parallel_for(struct threadpool *pool, size_t n, size_t grain, parallel_fn *fn, void *ctx)
{
    if (grain == 0) grain = 1;
    if (pool && pool->n_workers > 0 && n > grain) {
        run_loop(pool, n, grain, 0, fn, ctx);
        return;
    }
    for (size_t begin = 0; begin < n; begin += grain)
        fn(ctx, begin, n - begin < grain ? n : begin + grain, 0);
}

void parallel_for_shrinking(struct threadpool *pool, size_t n, size_t least, parallel_fn *fn,
                            void *ctx)
{
    if (least == 0) least = 1;
    if (pool && pool->n_workers > 0 && n > least)
        run_loop(pool, n, least, 4 * (size_t)threadpool_n_threads(pool), fn, ctx);
    else if (n > 0) fn(ctx, 0, n, 0);
}
