/* prefetch.c - threads that populate mapped files piece by piece. */
#include "base/prefetch.h"

#include "base/buf.h"
#include "base/topology.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

enum { N_THREADS = 4, PIECE_BYTES = 8 << 20, LEAST_BYTES = 64 << 20 };

struct prefetch {
    struct file_map *const *files;
    size_t n_files;
    atomic_size_t next; /* piece, counted over all files */
    atomic_uint_fast64_t done;
    atomic_bool quit;
    unsigned n_threads;
    pthread_t threads[N_THREADS];
};

static size_t n_pieces(const struct file_map *file)
{
    return (file->size + PIECE_BYTES - 1) / PIECE_BYTES;
}

/* False when there is no such piece. Kernels that cannot populate are asked to read ahead. */
static bool fetch_piece(struct prefetch *p, size_t piece)
{
    size_t i = 0;
    while (i < p->n_files && piece >= n_pieces(p->files[i])) piece -= n_pieces(p->files[i++]);
    if (i == p->n_files) return false;
    size_t at = piece * PIECE_BYTES, left = p->files[i]->size - at;
    size_t n = left < PIECE_BYTES ? left : PIECE_BYTES;
    void *data = (void *)(uintptr_t)(p->files[i]->data + at);
    if (madvise(data, n, MADV_POPULATE_READ) != 0) madvise(data, n, MADV_WILLNEED);
    atomic_fetch_add(&p->done, n);
    return true;
}

static void *prefetch_main(void *arg)
{
    struct prefetch *p = arg;
    struct sched_param param = {0};
    pthread_setschedparam(pthread_self(), SCHED_IDLE, &param);
    topology_interleave_thread();
    while (!atomic_load(&p->quit) && fetch_piece(p, atomic_fetch_add(&p->next, 1))) {}
    return NULL;
}

static bool worth_it(struct file_map *const *files, size_t n_files)
{
    uint64_t bytes = 0;
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < n_files; i++) bytes += files[i]->size;
    return bytes >= LEAST_BYTES && pages > 0 &&
           bytes <= (uint64_t)pages * (uint64_t)page_bytes / 4 * 3;
}

struct prefetch *prefetch_start(struct file_map *const *files, size_t n_files)
{
    if (!worth_it(files, n_files)) return NULL;
    struct prefetch *p = array_new_zero(1, sizeof *p);
    if (!p) return NULL;
    p->files = files;
    p->n_files = n_files;
    while (p->n_threads < N_THREADS &&
           pthread_create(&p->threads[p->n_threads], NULL, prefetch_main, p) == 0)
        p->n_threads++;
    return p;
}

uint64_t prefetch_done(const struct prefetch *prefetch)
{
    return prefetch ? atomic_load(&prefetch->done) : 0;
}

void prefetch_stop(struct prefetch *p)
{
    if (!p) return;
    atomic_store(&p->quit, true);
    for (unsigned i = 0; i < p->n_threads; i++) pthread_join(p->threads[i], NULL);
    free(p);
}
