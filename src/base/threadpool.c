/* threadpool.c - persistent workers; parallel_for equals the serial loop.
 *
 * A loop is published by raising `generation`. Threads take pieces from `next` until none is left;
 * the caller waits until every worker has left the loop (`n_inside` is 0), so the next loop may
 * overwrite the description. */
#include "base/threadpool.h"

#include "base/buf.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
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
    _Alignas(64) atomic_size_t next;
    _Alignas(64) atomic_uint generation;
    _Alignas(64) atomic_uint n_inside; /* workers that have not left the current loop */
    _Alignas(64) pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_uint n_sleeping; /* raised under the mutex; read without it before a wake-up */
    atomic_bool quit;
    unsigned n_workers;
    struct worker *workers;
};

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
    for (;;) {
        size_t begin = atomic_fetch_add_explicit(&pool->next, pool->grain, memory_order_relaxed);
        if (begin >= pool->n) return;
        size_t end = pool->n - begin < pool->grain ? pool->n : begin + pool->grain;
        pool->fn(pool->ctx, begin, end, thread);
    }
}

static unsigned wait_for_loop(struct threadpool *pool, unsigned seen)
{
    for (int i = 0; i < SPINS; i++) {
        unsigned now = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (now != seen) return now;
        cpu_relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->n_sleeping, 1);
    while (atomic_load(&pool->generation) == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
    return atomic_load(&pool->generation);
}

static void *worker_main(void *arg)
{
    struct worker *self = arg;
    struct threadpool *pool = self->pool;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_loop(pool, seen);
        if (atomic_load(&pool->quit)) return NULL;
        take_pieces(pool, self->index);
        atomic_fetch_sub_explicit(&pool->n_inside, 1, memory_order_release);
    }
}

/* Makes the workers look: they either spin on `generation` or sleep under the mutex. */
static void publish(struct threadpool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->n_sleeping) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

enum vinci_status threadpool_create(struct threadpool **out, unsigned n_threads,
                                    struct vinci_error *err)
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
    }
    *out = pool;
    return VINCI_OK;
}

void threadpool_destroy(struct threadpool *pool)
{
    if (!pool) return;
    atomic_store(&pool->quit, true);
    publish(pool);
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

void parallel_for(struct threadpool *pool, size_t n, size_t grain, parallel_fn *fn, void *ctx)
{
    if (n == 0) return;
    if (grain == 0) grain = 1;
    if (!pool || pool->n_workers == 0 || n <= grain) {
        for (size_t begin = 0; begin < n; begin += grain)
            fn(ctx, begin, n - begin < grain ? n : begin + grain, 0);
        return;
    }
    pool->fn = fn;
    pool->ctx = ctx;
    pool->n = n;
    pool->grain = grain;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->n_inside, pool->n_workers, memory_order_relaxed);
    publish(pool);
    take_pieces(pool, 0);
    for (unsigned i = 0; atomic_load_explicit(&pool->n_inside, memory_order_acquire) != 0; i++) {
        if (i < SPINS) cpu_relax();
        else sched_yield(); /* more threads than processors: let the others run */
    }
}

/* cgroup v2 "max 100000" or "QUOTA PERIOD"; v1 has the two numbers in two files. */
static double cgroup_cpus(void)
{
    double quota = 0, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file) {
        int n = fscanf(file, "%lf %lf", &quota, &period);
        fclose(file);
        return n == 2 && quota > 0 && period > 0 ? quota / period : 0;
    }
    file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
    if (!file) return 0;
    int n = fscanf(file, "%lf", &quota);
    fclose(file);
    file = n == 1 && quota > 0 ? fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re") : NULL;
    if (!file) return 0;
    n = fscanf(file, "%lf", &period);
    fclose(file);
    return n == 1 && period > 0 ? quota / period : 0;
}

unsigned threadpool_cpu_count(void)
{
    cpu_set_t set;
    unsigned n = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        n = (unsigned)CPU_COUNT(&set);
    double quota = cgroup_cpus();
    if (quota > 0 && quota < n) n = quota < 1 ? 1 : (unsigned)(quota + .5);
    return n;
}
