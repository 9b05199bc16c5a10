/* threadpool.h - persistent workers for short parallel loops.
 *
 * parallel_for gives the same calls as the serial loop, in any order and on any thread; a NULL pool
 * runs them on the caller. Workers spin for a moment after a loop (the next one of a step follows
 * within microseconds), then sleep, so an idle pool costs nothing. */
#ifndef VINCI_BASE_THREADPOOL_H
#define VINCI_BASE_THREADPOOL_H

#include "base/status.h"

struct threadpool;

/* n_threads >= 1 counts the caller: n_threads - 1 workers are started. cpus NULL: they run where
 * the system likes; else worker i is bound to processor cpus[i], 1 <= i < n_threads. The caller's
 * own thread is left alone: cpus[0] is where it finds room. */
enum vinci_status threadpool_create(struct threadpool **out, unsigned n_threads,
                                    const unsigned *cpus, struct vinci_error *err);
void threadpool_destroy(struct threadpool *pool);

/* 1 for NULL. */
unsigned threadpool_n_threads(const struct threadpool *pool);

/* Does items [begin, end); `thread` < n_threads names the scratch it may use. */
typedef void parallel_fn(void *ctx, size_t begin, size_t end, unsigned thread);

/* Calls fn for [0, n) in pieces of `grain` items (the last may be shorter), which free threads
 * take one after the other; returns when all are done. One caller at a time; not reentrant. */
void parallel_for(struct threadpool *pool, size_t n, size_t grain, parallel_fn *fn, void *ctx);

/* The same in pieces that begin large and end small, at least `least` items (but the last): few
 * beginnings for work that reads memory in order, and an even end. On one thread it is one piece.
 */
void parallel_for_shrinking(struct threadpool *pool, size_t n, size_t least, parallel_fn *fn,
                            void *ctx);

#endif
