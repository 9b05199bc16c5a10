/* limits.c - measures the machine with the widest instructions it has.
 *
 * Threads come from the engine's own thread pool and take small pieces of the work from a common
 * counter, so a neighbour that takes a core for a moment slows its share and not the whole. Time is
 * the wall clock's: what a program can really get. */
#include "bench/limits.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/threadpool.h"
#include "base/topology.h"
#include "bench/limits_kernels.h"
#include "bench/samples.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

enum {
    PIECE_BYTES = 1 << 20,
    PIECE_STEPS = 100000, /* a fraction of a millisecond */
    PIECES_A_THREAD = 32,
    REPEAT_MAX = 64
};
static const size_t ARENA_MOST = (size_t)1 << 30, ARENA_LEAST = (size_t)1 << 26;

struct limits {
    struct limits_kernels kernels;
    struct cpu_set_list cpus;
    bool bind;
    unsigned n_threads;
    struct threadpool *pool; /* of n_threads */
    uint8_t *arena;          /* [arena_bytes] */
    size_t arena_bytes;
    const struct limits_file *files; /* [n_files] */
    size_t n_files, n_file_pieces;
    atomic_ullong sink, ops;
};

static void fill_kernels(struct limits_kernels *kernels)
{
    limits_portable_fill(kernels);
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        limits_avx2_fill(kernels);
        if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4)) limits_avxvnni_fill(kernels);
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni"))
        limits_avx512_fill(kernels);
#elif defined(__aarch64__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) limits_neon_fill(kernels);
#endif
}

/* ---- the work ------------------------------------------------------------------------------ */

static void fill_pieces(void *ctx, size_t begin, size_t end, unsigned thread)
{
    struct limits *l = ctx;
    (void)thread;
    memset(l->arena + begin * PIECE_BYTES, 1, (end - begin) * PIECE_BYTES);
}

static void read_pieces(void *ctx, size_t begin, size_t end, unsigned thread)
{
    struct limits *l = ctx;
    (void)thread;
    atomic_fetch_add(&l->sink,
                     l->kernels.read(l->arena + begin * PIECE_BYTES, (end - begin) * PIECE_BYTES));
}

/* Piece i of the files' ARENA_MOST / PIECE_BYTES, evenly spread. */
static const uint8_t *file_piece(const struct limits *l, size_t i)
{
    size_t n = ARENA_MOST / PIECE_BYTES, piece = i;
    if (l->n_file_pieces > n) piece = i * l->n_file_pieces / n;
    for (size_t f = 0; f < l->n_files; f++) {
        size_t n_pieces = l->files[f].n_bytes / PIECE_BYTES;
        if (piece < n_pieces) return l->files[f].data + piece * PIECE_BYTES;
        piece -= n_pieces;
    }
    return l->files[0].data;
}

static void file_pieces(void *ctx, size_t begin, size_t end, unsigned thread)
{
    struct limits *l = ctx;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&l->sink, l->kernels.read(file_piece(l, i), PIECE_BYTES));
}

static void int8_pieces(void *ctx, size_t begin, size_t end, unsigned thread)
{
    struct limits *l = ctx;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        double ops = 0;
        atomic_fetch_add(&l->sink, l->kernels.int8(PIECE_STEPS, &ops));
        atomic_fetch_add(&l->ops, (unsigned long long)ops);
    }
}

static void f32_pieces(void *ctx, size_t begin, size_t end, unsigned thread)
{
    struct limits *l = ctx;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        double ops = 0;
        atomic_fetch_add(&l->sink, l->kernels.f32(PIECE_STEPS, &ops));
        atomic_fetch_add(&l->ops, (unsigned long long)ops);
    }
}

static double measure_on(struct limits *l, struct threadpool *pool, enum limit which)
{
    size_t n_pieces = (size_t)threadpool_n_threads(pool) * PIECES_A_THREAD;
    double start = seconds_now();
    if (which == LIMIT_READ) {
        parallel_for(pool, l->arena_bytes / PIECE_BYTES, 1, read_pieces, l);
        return (double)l->arena_bytes / (seconds_now() - start);
    }
    atomic_store(&l->ops, 0);
    parallel_for(pool, n_pieces, 1, which == LIMIT_INT8 ? int8_pieces : f32_pieces, l);
    return (double)atomic_load(&l->ops) / (seconds_now() - start);
}

/* ---- open, measure, close ------------------------------------------------------------------ */

static enum vinci_status open_pool(const struct limits *l, struct threadpool **out, unsigned n,
                                   struct vinci_error *err)
{
    return threadpool_create(out, n, l->bind && n <= l->cpus.n ? l->cpus.cpus : NULL, err);
}

static enum vinci_status open_arena(struct limits *l, struct vinci_error *err)
{
    for (size_t n = ARENA_MOST; n >= ARENA_LEAST; n /= 2) {
        void *arena = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (arena == MAP_FAILED) continue;
        madvise(arena, n, MADV_HUGEPAGE);
        l->arena = arena;
        l->arena_bytes = n;
        parallel_for(l->pool, n / PIECE_BYTES, 1, fill_pieces, l);
        return VINCI_OK;
    }
    return fail_memory(err, ARENA_LEAST, "measuring the streaming read");
}

enum vinci_status limits_open(struct limits **out, unsigned n_threads, const char *cpu_list,
                              struct vinci_error *err)
{
    *out = NULL;
    struct limits *l = array_new_zero(1, sizeof *l);
    if (!l) return fail_memory(err, sizeof *l, "the machine's limits");
    fill_kernels(&l->kernels);
    l->bind = cpu_list != NULL;
    enum vinci_status status = topology_cpus(&l->cpus, cpu_list, err);
    if (status == VINCI_OK) {
        l->n_threads = n_threads ? n_threads : l->cpus.n;
        status = open_pool(l, &l->pool, l->n_threads, err);
    }
    if (status == VINCI_OK) status = open_arena(l, err);
    if (status != VINCI_OK) {
        limits_close(l);
        return status;
    }
    *out = l;
    return VINCI_OK;
}

void limits_close(struct limits *l)
{
    if (!l) return;
    if (l->arena) munmap(l->arena, l->arena_bytes);
    threadpool_destroy(l->pool);
    topology_cpus_free(&l->cpus);
    free(l);
}

unsigned limits_n_threads(const struct limits *l)
{
    return l->n_threads;
}

const char *limits_isa(const struct limits *l)
{
    return l->kernels.name;
}

double limits_measure(struct limits *l, enum limit which)
{
    return measure_on(l, l->pool, which);
}

void limits_set_weights(struct limits *l, const struct limits_file *files, size_t n)
{
    l->files = files;
    l->n_files = n;
    l->n_file_pieces = 0;
    for (size_t i = 0; i < n; i++) l->n_file_pieces += files[i].n_bytes / PIECE_BYTES;
}

double limits_measure_weights(struct limits *l)
{
    size_t most = ARENA_MOST / PIECE_BYTES, n = l->n_file_pieces < most ? l->n_file_pieces : most;
    if (n == 0) return 0;
    double start = seconds_now();
    parallel_for(l->pool, n, 1, file_pieces, l);
    return (double)n * PIECE_BYTES / (seconds_now() - start);
}

static enum vinci_status measure_row(struct limits *l, unsigned n_threads, uint32_t repeat,
                                     struct limits_row *row, struct vinci_error *err)
{
    struct threadpool *pool = NULL;
    double samples[LIMIT_COUNT][REPEAT_MAX];
    enum vinci_status status = open_pool(l, &pool, n_threads, err);
    if (status != VINCI_OK) return status;
    *row = (struct limits_row){.n_threads = n_threads};
    /* The kinds take turns, so that a slow moment of the machine does not hit one of them alone. */
    for (int which = 0; which < LIMIT_COUNT; which++) measure_on(l, pool, (enum limit)which);
    for (uint32_t i = 0; i < repeat; i++)
        for (int which = 0; which < LIMIT_COUNT; which++)
            samples[which][i] = measure_on(l, pool, (enum limit)which);
    for (int which = 0; which < LIMIT_COUNT; which++)
        row->figures[which] = (struct limits_figure){samples_median(samples[which], repeat),
                                                     samples_min(samples[which], repeat),
                                                     samples_max(samples[which], repeat)};
    threadpool_destroy(pool);
    return VINCI_OK;
}

static unsigned next_count(unsigned n, unsigned most)
{
    unsigned next = n < 8 ? n + 1 : 2 * n;
    return next < most || n == most ? next : most;
}

double limits_best(struct limits *limits, enum limit which)
{
    double best = 0;
    for (int i = 0; i < 5; i++) {
        double rate = limits_measure(limits, which);
        best = rate > best ? rate : best;
    }
    return best;
}

enum vinci_status limits_run(struct limits *l, uint32_t repeat, limits_row_fn *on_row, void *user,
                             struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    if (repeat > REPEAT_MAX) repeat = REPEAT_MAX;
    for (unsigned n = 1; status == VINCI_OK && n <= l->n_threads; n = next_count(n, l->n_threads)) {
        struct limits_row row;
        status = measure_row(l, n, repeat, &row, err);
        if (status == VINCI_OK && !on_row(user, &row))
            status = fail(err, VINCI_CANCELLED, "stopped");
    }
    return status;
}
