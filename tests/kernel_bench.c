/* kernel_bench.c - times the kernels against what the machine can do: streaming read, int8 dot
 * products and f32 fma, measured in the same run.
 *
 * Every figure is the median of several rounds, and each round measures the limit right before the
 * kernel, so that the shares mean something on a shared and noisy machine. Few tokens: matrices of
 * 2880 x 2880 one behind the other in memory larger than any cache, as the experts of a model lie.
 * Many tokens: one matrix again and again. A thread takes pieces of rows from a common counter and
 * writes results of its own. */
#include "kernel_bench.h"
#include "kernel_data.h"

#include "base/buf.h"
#include "base/topology.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum {
    BENCH_COLS = 2880,
    BENCH_ROWS = 2880,
    PIECE_ROWS = 192, /* rows that a thread takes at a time */
    MAX_TOKENS = 256,
    MAX_THREADS = 2,
    ROUNDS = 7
};
static const size_t ARENA_BYTES = (size_t)1 << 30;

/* The thread's own time: what other processes take of a shared machine is not in it. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, compare_doubles);
    return x[n / 2];
}

/* ---- threads: the same function on each, timed from a common start to the last one's end --------
 */

typedef void work_fn(void *ctx, unsigned thread);

struct worker {
    work_fn *fn;
    void *ctx;
    unsigned thread;
    pthread_barrier_t *barrier;
    double seconds;
};

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    pthread_barrier_wait(w->barrier);
    double start = now();
    w->fn(w->ctx, w->thread);
    w->seconds = now() - start;
    return NULL;
}

static double timed(unsigned n_threads, work_fn *fn, void *ctx)
{
    pthread_barrier_t barrier;
    pthread_t threads[MAX_THREADS];
    struct worker workers[MAX_THREADS];
    pthread_barrier_init(&barrier, NULL, n_threads);
    for (unsigned i = 0; i < n_threads; i++) {
        workers[i] = (struct worker){fn, ctx, i, &barrier, 0};
        if (i > 0 && pthread_create(&threads[i], NULL, worker_main, &workers[i]) != 0) exit(1);
    }
    worker_main(&workers[0]);
    double longest = workers[0].seconds;
    for (unsigned i = 1; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
        if (workers[i].seconds > longest) longest = workers[i].seconds;
    }
    pthread_barrier_destroy(&barrier);
    return longest;
}

/* ---- the machine's limits ------------------------------------------------------------------ */

static _Atomic uint64_t sink;

typedef uint64_t lanes __attribute__((vector_size(64)));

/* The widest loads the compiler may use here, in four streams, 2 KiB ahead: on 4 KiB pages one
 * stream alone waits for the page walks. */
#define STREAM_READ_BODY \
    lanes sum[4] = {{0}, {0}, {0}, {0}}; \
    for (size_t at = 0; at < n / 4; at += 64) \
        for (int i = 0; i < 4; i++) { \
            lanes x; \
            const uint8_t *from = p + (size_t)i * (n / 4) + at; \
            __builtin_prefetch(from + 2048, 0, 2); \
            memcpy(&x, from, 64); \
            sum[i] += x; \
        } \
    lanes total = sum[0] + sum[1] + sum[2] + sum[3]; \
    for (int i = 0; i < 8; i++) sink += total[i];

static void stream_read_baseline(const uint8_t *p, size_t n)
{
    STREAM_READ_BODY
}

/* Each gives the operations it did: 2 for a multiply-add. */
enum { PEAK_STEPS = 2000000, PEAK_CHAINS = 12 };

#if defined(__x86_64__)

__attribute__((target("avx512f"))) static void stream_read_avx512(const uint8_t *p, size_t n)
{
    STREAM_READ_BODY
}

__attribute__((target("avx512f,avx512vnni"))) static double int8_peak_avx512(void)
{
    __m512i acc[PEAK_CHAINS], x = _mm512_set1_epi32(0x01010101);
    for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = _mm512_set1_epi32(c);
    for (int k = 0; k < PEAK_STEPS; k++) {
#pragma GCC unroll 12
        for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = _mm512_dpbusd_epi32(acc[c], x, x);
        __asm__ volatile("" : "+v"(x));
    }
    for (int c = 0; c < PEAK_CHAINS; c++) sink += (uint64_t)_mm512_reduce_add_epi32(acc[c]);
    return 128.0 * PEAK_CHAINS * PEAK_STEPS;
}

__attribute__((target("avx512f"))) static double f32_peak_avx512(void)
{
    __m512 acc[PEAK_CHAINS], x = _mm512_set1_ps(0.5f);
    for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = _mm512_set1_ps((float)c);
    for (int k = 0; k < PEAK_STEPS; k++) {
#pragma GCC unroll 12
        for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = _mm512_fmadd_ps(acc[c], x, x);
        __asm__ volatile("" : "+v"(x));
    }
    for (int c = 0; c < PEAK_CHAINS; c++) sink += (uint64_t)_mm512_reduce_add_ps(acc[c]);
    return 32.0 * PEAK_CHAINS * PEAK_STEPS;
}

__attribute__((target("avx2"))) static double int8_peak_avx2(void)
{
    __m256i acc[PEAK_CHAINS], x = _mm256_set1_epi32(0x01010101), one = _mm256_set1_epi16(1);
    for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = _mm256_set1_epi32(c);
    for (int k = 0; k < PEAK_STEPS; k++) {
#pragma GCC unroll 12
        for (int c = 0; c < PEAK_CHAINS; c++)
            acc[c] = _mm256_add_epi32(
                acc[c],
                _mm256_madd_epi16(_mm256_maddubs_epi16(x, _mm256_sign_epi8(x, acc[c])), one));
        __asm__ volatile("" : "+x"(x));
    }
    for (int c = 0; c < PEAK_CHAINS; c++) sink += (uint64_t)_mm256_extract_epi32(acc[c], 0);
    return 64.0 * PEAK_CHAINS * PEAK_STEPS;
}

__attribute__((target("avx2,fma"))) static double f32_peak_avx2(void)
{
    __m256 acc[PEAK_CHAINS], x = _mm256_set1_ps(0.5f);
    for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = _mm256_set1_ps((float)c);
    for (int k = 0; k < PEAK_STEPS; k++) {
#pragma GCC unroll 12
        for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = _mm256_fmadd_ps(acc[c], x, x);
        __asm__ volatile("" : "+x"(x));
    }
    for (int c = 0; c < PEAK_CHAINS; c++) sink += (uint64_t)acc[c][0];
    return 16.0 * PEAK_CHAINS * PEAK_STEPS;
}

static void stream_read(const uint8_t *p, size_t n)
{
    if (__builtin_cpu_supports("avx512f")) stream_read_avx512(p, n);
    else stream_read_baseline(p, n);
}

static double int8_peak(void)
{
    if (__builtin_cpu_supports("avx512vnni")) return int8_peak_avx512();
    return __builtin_cpu_supports("avx2") ? int8_peak_avx2() : 0;
}

static double f32_peak(void)
{
    if (__builtin_cpu_supports("avx512f")) return f32_peak_avx512();
    return __builtin_cpu_supports("fma") ? f32_peak_avx2() : 0;
}

#elif defined(__aarch64__)

static void stream_read(const uint8_t *p, size_t n)
{
    stream_read_baseline(p, n);
}

__attribute__((target("arch=armv8.2-a+dotprod"))) static double int8_peak(void)
{
    int32x4_t acc[PEAK_CHAINS];
    int8x16_t x = vdupq_n_s8(1);
    for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = vdupq_n_s32(c);
    for (int k = 0; k < PEAK_STEPS; k++) {
#pragma GCC unroll 12
        for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = vdotq_s32(acc[c], x, x);
        __asm__ volatile("" : "+w"(x));
    }
    for (int c = 0; c < PEAK_CHAINS; c++) sink += (uint64_t)vaddvq_s32(acc[c]);
    return 32.0 * PEAK_CHAINS * PEAK_STEPS;
}

static double f32_peak(void)
{
    float32x4_t acc[PEAK_CHAINS], x = vdupq_n_f32(0.5f);
    for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = vdupq_n_f32((float)c);
    for (int k = 0; k < PEAK_STEPS; k++) {
#pragma GCC unroll 12
        for (int c = 0; c < PEAK_CHAINS; c++) acc[c] = vfmaq_f32(acc[c], x, x);
        __asm__ volatile("" : "+w"(x));
    }
    for (int c = 0; c < PEAK_CHAINS; c++) sink += (uint64_t)vaddvq_f32(acc[c]);
    return 8.0 * PEAK_CHAINS * PEAK_STEPS;
}

#endif

/* ---- the bench ----------------------------------------------------------------------------- */

struct bench {
    const char *filter;
    unsigned n_cpus;
    uint8_t *arena;  /* [ARENA_BYTES], then room for what prefetches reach */
    uint8_t *scales; /* e8m0 of MXFP4 matrices */
    float *x;        /* [MAX_TOKENS][BENCH_COLS] */
    uint8_t *x_q8;   /* [MAX_TOKENS][q8_row_bytes] */
    const void *rows[MAX_TOKENS];
    float *y[MAX_THREADS][MAX_TOKENS]; /* of BENCH_ROWS each */
    void *scratch[MAX_THREADS];
    unsigned n_threads;    /* of the measurement under way */
    double peak_ops;       /* of one thread's last run of a peak */
    _Atomic size_t n_done; /* pieces taken */
};

static void run_read(void *ctx, unsigned thread)
{
    struct bench *b = ctx;
    size_t n = ARENA_BYTES / b->n_threads;
    stream_read(b->arena + thread * n, n);
}

static void run_int8_peak(void *ctx, unsigned thread)
{
    double ops = int8_peak();
    if (thread == 0) ((struct bench *)ctx)->peak_ops = ops;
}

static void run_f32_peak(void *ctx, unsigned thread)
{
    double ops = f32_peak();
    if (thread == 0) ((struct bench *)ctx)->peak_ops = ops;
}

/* The limit that a measurement is held against, in bytes or operations per second. */
enum limit { LIMIT_READ, LIMIT_INT8, LIMIT_F32 };

static double measure_limit(struct bench *b, enum limit limit)
{
    if (limit == LIMIT_READ)
        return (double)(ARENA_BYTES / b->n_threads * b->n_threads) /
               timed(b->n_threads, run_read, b);
    double seconds = timed(b->n_threads, limit == LIMIT_INT8 ? run_int8_peak : run_f32_peak, b);
    return b->peak_ops * b->n_threads / seconds;
}

/* One line: median rate of the kernel and median of its share of the limit. */
static void report(struct bench *b, const char *name, const char *what, enum limit limit,
                   work_fn *fn, void *ctx, double bytes, double ops)
{
    for (unsigned threads = 1; threads <= b->n_cpus; threads++) {
        double seconds[ROUNDS], limits[ROUNDS];
        b->n_threads = threads;
        for (int i = -1; i < ROUNDS; i++) { /* the first round warms up */
            double l = measure_limit(b, limit);
            b->n_done = 0;
            double s = timed(threads, fn, ctx);
            if (i >= 0) limits[i] = l, seconds[i] = s;
        }
        double s = median(seconds, ROUNDS), l = median(limits, ROUNDS);
        printf("%-30s %-12s %u thread%s %7.1f GB/s %7.3f TOPS   %3.0f %% of %.1f G%s\n", name, what,
               threads, threads > 1 ? "s" : " ", bytes / s * 1e-9, ops / s * 1e-12,
               100 * (limit == LIMIT_READ ? bytes : ops) / s / l, l * 1e-9,
               limit == LIMIT_READ   ? "B/s"
               : limit == LIMIT_INT8 ? "op/s int8"
                                     : "op/s f32");
        fflush(stdout);
    }
}

/* ---- linear -------------------------------------------------------------------------------- */

struct linear_bench {
    struct bench *b;
    linear_fn *fn;
    struct matrix (*matrices)[2]; /* [n_matrices]; [1] used if strided */
    size_t n_matrices, repeats;
    bool strided; /* pairs of matrices whose rows alternate */
    size_t n_tokens;
};

static void run_linear(void *ctx, unsigned thread)
{
    struct linear_bench *l = ctx;
    size_t rows = l->matrices[0][0].n_rows, per_matrix = (rows + PIECE_ROWS - 1) / PIECE_ROWS;
    size_t n_pieces = l->n_matrices * per_matrix * l->repeats;
    for (size_t i = l->b->n_done++; i < n_pieces; i = l->b->n_done++) {
        size_t begin = i % per_matrix * PIECE_ROWS;
        size_t end = begin + PIECE_ROWS < rows ? begin + PIECE_ROWS : rows;
        for (int half = 0; half <= l->strided; half++) {
            struct linear_args args = {.w = &l->matrices[i / per_matrix % l->n_matrices][half],
                                       .x = l->b->rows,
                                       .y = l->b->y[thread],
                                       .n_tokens = l->n_tokens,
                                       .scratch = l->b->scratch[thread]};
            l->fn(&args, begin, end);
        }
    }
}

static void fill_arena(struct bench *b, enum dtype dtype)
{
    struct rng rng = {1};
    size_t pattern = (size_t)64 * dtype_row_bytes(dtype, BENCH_COLS);
    fill_weights(&rng, FILL_PLAIN, dtype, b->arena, 64, BENCH_COLS);
    for (size_t at = pattern; at < ARENA_BYTES; at += pattern)
        memcpy(b->arena + at, b->arena, at + pattern < ARENA_BYTES ? pattern : ARENA_BYTES - at);
}

static void bench_linear(struct bench *b, const char *name, enum dtype dtype, bool q8,
                         linear_fn *fn, bool strided)
{
    static const size_t tokens[] = {1, 2, 4, 8, 16, 64, 256};
    size_t row_bytes = dtype_row_bytes(dtype, BENCH_COLS), n_blocks = BENCH_COLS / QUANT_BLOCK;
    size_t n = ARENA_BYTES / (row_bytes * BENCH_ROWS);
    struct matrix(*matrices)[2] = array_new(n, sizeof *matrices);
    if (!matrices) exit(1);

    fill_arena(b, dtype);
    for (size_t i = 0; i < n; i++)
        for (size_t half = 0; half < 2; half++) {
            size_t first = i * BENCH_ROWS + (strided ? half : 0);
            matrices[i][half] = (struct matrix){
                .dtype = dtype,
                .n_rows = strided ? BENCH_ROWS / 2 : BENCH_ROWS,
                .n_cols = BENCH_COLS,
                .data = b->arena + first * row_bytes,
                .row_stride = row_bytes * (1 + strided),
                .scales = dtype == DTYPE_MXFP4 ? b->scales + first * n_blocks : NULL,
                .scale_stride = n_blocks * (1 + strided),
            };
        }
    size_t x_bytes = q8_row_bytes(BENCH_COLS);
    struct cpu_kernels scalar;
    kernels_scalar_fill(&scalar);
    for (size_t t = 0; t < MAX_TOKENS; t++) {
        b->rows[t] = q8 ? (void *)(b->x_q8 + t * x_bytes) : (void *)(b->x + t * BENCH_COLS);
        if (q8)
            scalar.q8_quantise(b->x + t * BENCH_COLS, BENCH_COLS, q8_order_of(dtype),
                               b->x_q8 + t * x_bytes);
    }
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        size_t t = tokens[i];
        bool many = t > 16;
        struct linear_bench l = {b, fn, matrices, many ? 1 : n, 1, strided, t};
        if (many) l.repeats = 512 / t;
        double weights = (double)(l.n_matrices * l.repeats) * BENCH_ROWS;
        double scale_bytes = dtype == DTYPE_MXFP4 ? (double)n_blocks : 0;
        char what[32];
        snprintf(what, sizeof what, "%zu token%s", t, t > 1 ? "s" : "");
        report(b, name, what,
               !many ? LIMIT_READ
               : q8  ? LIMIT_INT8
                     : LIMIT_F32,
               run_linear, &l, weights * ((double)row_bytes + scale_bytes),
               2 * weights * BENCH_COLS * (double)t);
    }
    free(matrices);
}

/* ---- attention ----------------------------------------------------------------------------- */

enum { HEAD_DIM = 64, ATTENTION_ROWS = 64, TILES_A_PIECE = 16 };

struct attention_bench {
    struct bench *b;
    attention_tile_fn *fn;
    kv_expand_fn *expand; /* of Q8_0, before fn; or NULL */
    size_t n_rows, tile_bytes, n_tiles;
};

static void run_attention(void *ctx, unsigned thread)
{
    struct attention_bench *a = ctx;
    const float *q[ATTENTION_ROWS];
    uint8_t begin[ATTENTION_ROWS], end[ATTENTION_ROWS];
    struct attention_state states[ATTENTION_ROWS];
    _Alignas(64) float expanded[2 * KV_TILE * HEAD_DIM];
    for (size_t r = 0; r < a->n_rows; r++) {
        q[r] = a->b->x + (thread * ATTENTION_ROWS + r) * HEAD_DIM;
        begin[r] = 0, end[r] = KV_TILE;
        states[r] = (struct attention_state){.max = -INFINITY, .acc = a->b->y[thread][r]};
        memset(states[r].acc, 0, HEAD_DIM * sizeof(float));
    }
    size_t n_pieces = a->n_tiles / TILES_A_PIECE;
    for (size_t i = a->b->n_done++; i < n_pieces; i = a->b->n_done++)
        for (size_t j = 0; j < TILES_A_PIECE; j++) {
            const uint8_t *tile = a->b->arena + (i * TILES_A_PIECE + j) * 2 * a->tile_bytes;
            struct attention_tile_args args = {.head_dim = HEAD_DIM,
                                               .n_rows = a->n_rows,
                                               .scale = 0.125f,
                                               .q = q,
                                               .k = tile,
                                               .v = tile + a->tile_bytes,
                                               .begin = begin,
                                               .end = end,
                                               .states = states,
                                               .next_k = tile + 2 * a->tile_bytes};
            if (a->expand) {
                a->expand(tile, HEAD_DIM, args.next_k, expanded);
                args.k = expanded, args.v = expanded + KV_TILE * HEAD_DIM, args.next_k = NULL;
            }
            a->fn(&args);
        }
}

static void bench_attention(struct bench *b, const char *name, enum dtype dtype,
                            attention_tile_fn *fn, kv_expand_fn *expand)
{
    static const size_t n_rows[] = {1, 8, 64};
    size_t tile_bytes = expand ? kv_q8_0_tile_bytes(HEAD_DIM)
                               : kv_tile_elements(HEAD_DIM) * (dtype == DTYPE_F16 ? 2 : 4);
    fill_arena(b, dtype);
    for (size_t i = 0; i < sizeof n_rows / sizeof *n_rows; i++) {
        size_t r = n_rows[i];
        struct attention_bench a = {b, fn, expand, r, tile_bytes, ARENA_BYTES / (2 * tile_bytes)};
        if (r > 8) a.n_tiles /= 8;
        char what[32];
        snprintf(what, sizeof what, "%zu row%s", r, r > 1 ? "s" : "");
        report(b, name, what, r > 8 ? LIMIT_F32 : LIMIT_READ, run_attention, &a,
               (double)a.n_tiles * 2 * (double)tile_bytes,
               (double)(a.n_tiles * r) * 4 * KV_TILE * HEAD_DIM);
    }
}

/* ---- the small operations: one thread, in cache -------------------------------------------- */

static void small(const struct cpu_kernels *k, int which, struct bench *b, size_t n)
{
    float *x = b->x, *y = b->y[0][0];
    switch (which) {
    case 0: k->q8_quantise(x, n, Q8_NATURAL, b->x_q8); break;
    case 1: k->q8_quantise(x, n, Q8_EVEN_ODD, b->x_q8); break;
    case 2: k->q8_quantise(x, n, Q8_HALVES, b->x_q8); break;
    case 3: k->rms_norm(x, x + n, n, 1e-5f, y); break;
    case 4: k->swiglu(x, x + n, n, 7.0f, 1.702f, y); break;
    case 5:
        for (size_t i = 0; i < n; i += 64) k->rope(y + i, x, x + 32, 32);
        break;
    case 6: k->f32_to_f16(x, n, (f16_t *)(void *)b->x_q8); break;
    default: break;
    }
}

static void bench_small(struct bench *b, const struct cpu_kernels *k)
{
    static const char *const names[] = {"q8_quantise natural",
                                        "q8_quantise even_odd",
                                        "q8_quantise halves",
                                        "rms_norm",
                                        "swiglu",
                                        "rope",
                                        "f32_to_f16"};
    enum { CALLS = 200 };
    for (int which = 0; which < 7; which++) {
        char name[64];
        double seconds[ROUNDS];
        snprintf(name, sizeof name, "%s %s", k->isa, names[which]);
        if (!strstr(name, b->filter)) continue;
        memset(b->y[0][0], 0, BENCH_ROWS * sizeof(float));
        for (int i = 0; i < ROUNDS; i++) {
            double start = now();
            for (int j = 0; j < CALLS; j++) small(k, which, b, BENCH_COLS);
            seconds[i] = now() - start;
        }
        printf("%-30s %-12s %8.2f us, %.2f elements/ns\n", name, "2880", //
               median(seconds, ROUNDS) / CALLS * 1e6,
               BENCH_COLS * CALLS / (median(seconds, ROUNDS) * 1e9));
    }
}

/* ---- all ----------------------------------------------------------------------------------- */

static bool bench_new(struct bench *b)
{
    struct rng rng = {3};
    size_t scale_bytes = ARENA_BYTES / 16, slack = 1 << 20;
    b->arena = mmap(NULL, ARENA_BYTES + slack + scale_bytes + slack, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->arena == MAP_FAILED) return false;
    b->scales = b->arena + ARENA_BYTES + slack;
    fill_e8m0(&rng, FILL_PLAIN, b->scales, scale_bytes);
    b->x = array_new_aligned((size_t)MAX_TOKENS * BENCH_COLS, sizeof(float));
    b->x_q8 = array_new_aligned(MAX_TOKENS, q8_row_bytes(BENCH_COLS));
    if (!b->x || !b->x_q8) return false;
    fill_f32(&rng, FILL_PLAIN, b->x, (size_t)MAX_TOKENS * BENCH_COLS);
    for (unsigned thread = 0; thread < MAX_THREADS; thread++) {
        for (size_t t = 0; t < MAX_TOKENS; t++)
            if (!(b->y[thread][t] = array_new_aligned(BENCH_ROWS, sizeof(float)))) return false;
        if (!(b->scratch[thread] = array_new_aligned(1, (size_t)1 << 22))) return false;
    }
    struct cpu_set_list cpus;
    if (topology_cpus(&cpus, NULL, NULL) != VINCI_OK) return false;
    b->n_cpus = cpus.n < MAX_THREADS ? cpus.n : MAX_THREADS;
    topology_cpus_free(&cpus);
    return true;
}

static void bench_level(struct bench *b, const struct cpu_kernels *k)
{
    static const struct {
        const char *name;
        enum dtype dtype;
        bool q8, strided;
    } linears[] = {
        {"q8_mxfp4_linear", DTYPE_MXFP4, true, false},
        {"q8_mxfp4_linear strided", DTYPE_MXFP4, true, true},
        {"q8_mxfp4_gguf_linear", DTYPE_MXFP4_GGUF, true, false},
        {"q8_q8_0_linear", DTYPE_Q8_0, true, false},
        {"f32_bf16_linear", DTYPE_BF16, false, false},
        {"f32_f16_linear", DTYPE_F16, false, false},
        {"f32_f32_linear", DTYPE_F32, false, false},
        {"f32_mxfp4_linear", DTYPE_MXFP4, false, false},
        {"f32_mxfp4_gguf_linear", DTYPE_MXFP4_GGUF, false, false},
        {"f32_q8_0_linear", DTYPE_Q8_0, false, false},
    };
    char name[64];
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) {
        snprintf(name, sizeof name, "%s %s", k->isa, linears[i].name);
        enum dtype dtype = linears[i].dtype;
        if (strstr(name, b->filter))
            bench_linear(b, name, dtype, linears[i].q8,
                         linears[i].q8 ? k->q8_linear[dtype] : k->f32_linear[dtype],
                         linears[i].strided);
    }
    snprintf(name, sizeof name, "%s f16_attention_tile", k->isa);
    if (strstr(name, b->filter)) bench_attention(b, name, DTYPE_F16, k->f16_attention_tile, NULL);
    snprintf(name, sizeof name, "%s f32_attention_tile", k->isa);
    if (strstr(name, b->filter)) bench_attention(b, name, DTYPE_F32, k->f32_attention_tile, NULL);
    snprintf(name, sizeof name, "%s q8_0_kv_expand, f32_attention_tile", k->isa);
    if (strstr(name, b->filter)) /* random bytes of F16: no scale is denormal */
        bench_attention(b, name, DTYPE_F16, k->f32_attention_tile, k->q8_0_kv_expand);
    bench_small(b, k);
}

int kernel_bench(const char *filter)
{
    static struct bench b; /* several KB of pointers */
    b.filter = filter;
    if (!bench_new(&b)) {
        fputs("kernel_bench: out of memory\n", stderr);
        return 1;
    }
    memset(b.arena, 1, ARENA_BYTES);
    for (unsigned threads = 1; threads <= b.n_cpus; threads++) {
        b.n_threads = threads;
        double limits[3][5];
        for (int round = 0; round < 5; round++)
            for (int i = 0; i < 3; i++) limits[i][round] = measure_limit(&b, (enum limit)i);
        printf("limits, %u thread%s: read %.1f GB/s, int8 %.2f TOPS, f32 %.3f TFLOPS\n", threads,
               threads > 1 ? "s" : "", median(limits[0], 5) * 1e-9, median(limits[1], 5) * 1e-12,
               median(limits[2], 5) * 1e-12);
    }
    for (size_t i = 0; cpu_kernels_level(i); i++) {
        struct cpu_kernels k;
        bool slow = i > 0 && !cpu_kernels_level(i + 1); /* scalar only where it is asked for */
        if (slow && !strstr(filter, "scalar")) continue;
        if (cpu_kernels_select(&k, cpu_kernels_level(i), NULL) == VINCI_OK) bench_level(&b, &k);
    }
    return 0;
}
