/* test_base.c - status, log, growable bytes, mapped files, thread pool. */
#include "base/buf.h"
#include "base/file_map.h"
#include "base/log.h"
#include "base/prefetch.h"
#include "base/threadpool.h"
#include "base/topology.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of that name */

/* ---- status and log ------------------------------------------------------------------------ */

static void test_status(void **state)
{
    (void)state;
    struct vinci_error err = {0};
    assert_string_equal(vinci_status_name(VINCI_BAD_FILE), "BAD_FILE");
    assert_string_equal(vinci_status_name((enum vinci_status)99), "UNKNOWN");
    assert_int_equal(VINCI_OK, 0);
    assert_int_equal(fail(NULL, VINCI_IO, "%s", "nobody listens"), VINCI_IO);
    assert_int_equal(fail(&err, VINCI_LIMIT, "expected %d", 7), VINCI_LIMIT);
    assert_int_equal(err.status, VINCI_LIMIT);
    fail(&err, VINCI_IO, "outer: %s", err.text); /* a sentence may wrap itself */
    assert_string_equal(err.text, "outer: expected 7");

    char lengthy[3000];
    memset(lengthy, 'x', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    fail(&err, VINCI_IO, "%s", lengthy);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_string_equal(err.text + sizeof err.text - 4, "...");
}

static void keep_message(void *user, enum vinci_log_level level, const char *message)
{
    snprintf(user, 100, "%d %s", level, message);
}

static void test_log(void **state)
{
    (void)state;
    char got[100] = "";
    log_message(NULL, VINCI_LOG_ERROR, "nobody");
    log_message(&(struct log){keep_message, got}, VINCI_LOG_WARN, "%s %d", "token", 3);
    assert_string_equal(got, "1 token 3");
}

/* ---- buf ----------------------------------------------------------------------------------- */

static void test_sizes(void **state)
{
    (void)state;
    size_t out;
    assert_true(size_mul(6, 7, &out) && out == 42);
    assert_false(size_mul(SIZE_MAX / 2, 3, &out));
    assert_int_equal(out, SIZE_MAX);
    assert_false(size_add(SIZE_MAX, 1, &out));
    assert_int_equal(round_up(65, 64), 128);
    assert_null(array_new(SIZE_MAX / 4, 8));
    assert_null(array_new_aligned(SIZE_MAX, 1));
    void *p = array_new(0, 8);
    assert_non_null(p);
    free(p);
    p = array_new_aligned(3, 5);
    assert_int_equal((uintptr_t)p % 64, 0);
    free(p);
}

static void test_buf(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (int i = 0; i < 1000; i++) assert_true(buf_printf(&buf, "%d,", i));
    assert_true(buf_append(&buf, "\0z", 2));
    assert_int_equal(buf.size, 10 * 2 + 90 * 3 + 900 * 4 + 2);
    assert_memory_equal(buf.data, "0,1,2,", 6);
    assert_int_equal(buf.data[buf.size], '\0');
    size_t before = buf.size;
    assert_false(buf_reserve(&buf, SIZE_MAX - 10));
    assert_int_equal(buf.size, before);
    buf_free(&buf);
    assert_null(buf.data);
}

/* ---- file_map ------------------------------------------------------------------------------ */

/* All of the files, more than one, and the end is waited for or not. */
static void test_prefetch(void **state)
{
    (void)state;
    enum { N_BYTES = (64 << 20) + 4097 };
    char path[] = "test-prefetch-XXXXXX";
    struct file_map *maps[2] = {NULL, NULL};
    struct vinci_error err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, N_BYTES), 0); /* a hole: takes no disk */
    for (int i = 0; i < 2; i++) assert_int_equal(file_map_open(&maps[i], path, &err), VINCI_OK);
    struct prefetch *prefetch = prefetch_start(maps, 2);
    assert_non_null(prefetch);
    for (int i = 0; i < 2000 && prefetch_done(prefetch) < 2 * (uint64_t)N_BYTES; i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    assert_int_equal(prefetch_done(prefetch), 2 * (uint64_t)N_BYTES);
    prefetch_stop(prefetch);
    prefetch_stop(prefetch_start(maps, 2)); /* at once */
    prefetch_stop(NULL);
    assert_int_equal(prefetch_done(NULL), 0);
    for (int i = 0; i < 2; i++) file_map_close(maps[i]);
    close(fd);
    unlink(path);
}

static void test_file_map(void **state)
{
    (void)state;
    char path[] = "test-file-map-XXXXXX";
    struct file_map *map = NULL;
    struct vinci_error err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "weights", 7), 7);
    assert_int_equal(file_map_open(&map, path, &err), VINCI_OK);
    assert_int_equal(map->size, 7);
    assert_memory_equal(map->data, "weights", 7);
    assert_null(prefetch_start(&map, 1)); /* not worth a thread */
    assert_int_equal(file_map_check(map, &err), VINCI_OK);
    assert_int_equal(ftruncate(fd, 3), 0);
    assert_int_equal(file_map_check(map, &err), VINCI_IO);
    assert_non_null(strstr(err.text, "expected 7 bytes, got 3"));
    file_map_close(map);

    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(file_map_open(&map, path, &err), VINCI_OK); /* empty is a file too */
    assert_int_equal(map->size, 0);
    assert_null(prefetch_start(&map, 1));
    file_map_lock(map, NULL);
    file_map_close(map);
    close(fd);
    unlink(path);

    assert_int_equal(file_map_open(&map, path, &err), VINCI_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
    assert_null(map);
    assert_int_equal(file_map_open(&map, "/", &err), VINCI_IO);
    assert_non_null(strstr(err.text, "a folder"));
    file_map_close(NULL);
}

/* ---- threadpool ---------------------------------------------------------------------------- */

struct count_job {
    atomic_uchar *visits; /* [n] */
    atomic_uint threads_seen;
    size_t grain, n;
    atomic_bool bad;
};

static void count(void *ctx, size_t begin, size_t end, unsigned thread)
{
    struct count_job *job = ctx;
    if (begin % job->grain || end > job->n || end - begin > job->grain)
        atomic_store(&job->bad, true);
    atomic_fetch_or(&job->threads_seen, 1u << thread);
    for (size_t i = begin; i < end; i++) atomic_fetch_add(&job->visits[i], 1);
}

/* Every item once, in pieces of the grain, for many short loops one behind the other. */
static void test_parallel_for(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 7, 64, 1000}, grains[] = {1, 3, 64};
    for (unsigned n_threads = 0; n_threads <= 5; n_threads++) {
        struct threadpool *pool = NULL;
        struct vinci_error err;
        if (n_threads) assert_int_equal(threadpool_create(&pool, n_threads, NULL, &err), VINCI_OK);
        assert_int_equal(threadpool_n_threads(pool), n_threads ? n_threads : 1);
        for (int repeat = 0; repeat < 200; repeat++) {
            struct count_job job = {.n = sizes[repeat % 6], .grain = grains[repeat % 3]};
            job.visits = calloc(job.n + 1, sizeof *job.visits);
            parallel_for(pool, job.n, job.grain, count, &job);
            for (size_t i = 0; i < job.n; i++) assert_int_equal(job.visits[i], 1);
            assert_false(job.bad);
            assert_true(job.threads_seen < 1u << (n_threads ? n_threads : 1));
            if (repeat % 50 == 49) usleep(2000); /* long enough for the workers to fall asleep */
            free(job.visits);
        }
        threadpool_destroy(pool);
    }
}

static void count_shrinking(void *ctx, size_t begin, size_t end, unsigned thread)
{
    struct count_job *job = ctx;
    if (end <= begin || end > job->n || (end - begin < job->grain && end != job->n))
        atomic_store(&job->bad, true);
    atomic_fetch_or(&job->threads_seen, 1u << thread);
    for (size_t i = begin; i < end; i++) atomic_fetch_add(&job->visits[i], 1);
}

static void test_parallel_for_shrinking(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 7, 64, 1000}, least[] = {1, 3, 64, 0};
    for (unsigned n_threads = 0; n_threads <= 5; n_threads++) {
        struct threadpool *pool = NULL;
        struct vinci_error err;
        if (n_threads) assert_int_equal(threadpool_create(&pool, n_threads, NULL, &err), VINCI_OK);
        for (int repeat = 0; repeat < 120; repeat++) {
            struct count_job job = {.n = sizes[repeat % 6], .grain = least[repeat % 4]};
            job.visits = calloc(job.n + 1, sizeof *job.visits);
            parallel_for_shrinking(pool, job.n, job.grain, count_shrinking, &job);
            for (size_t i = 0; i < job.n; i++) assert_int_equal(job.visits[i], 1);
            assert_false(job.bad);
            assert_true(job.threads_seen < 1u << (n_threads ? n_threads : 1));
            free(job.visits);
        }
        threadpool_destroy(pool);
    }
}

static double processor_seconds(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void spin_a_while(void *ctx, size_t begin, size_t end, unsigned thread)
{
    (void)ctx, (void)begin, (void)end, (void)thread;
    double start = processor_seconds();
    while (processor_seconds() - start < 0.002) {}
}

/* A moment after its last loop a pool takes no processor time. */
static void test_idle_threads(void **state)
{
    (void)state;
    struct threadpool *pool = NULL;
    struct vinci_error err;
    assert_int_equal(threadpool_create(&pool, 4, NULL, &err), VINCI_OK);
    double start = processor_seconds();
    parallel_for(pool, 16, 1, spin_a_while, NULL);
    assert_true(processor_seconds() - start > 0.01); /* the clock sees the threads' work */
    nanosleep(&(struct timespec){0, 50000000}, NULL);
    start = processor_seconds();
    nanosleep(&(struct timespec){0, 300000000}, NULL);
    double used = processor_seconds() - start;
    print_message("idle threads used %.4f of 0.3 s\n", used);
    assert_true(used < 0.003);
    threadpool_destroy(pool);
}

static void test_threadpool_limits(void **state)
{
    (void)state;
    struct threadpool *pool = NULL;
    struct vinci_error err;
    assert_int_equal(threadpool_create(&pool, 0, NULL, &err), VINCI_USAGE);
    assert_int_equal(threadpool_create(&pool, 100000, NULL, &err), VINCI_USAGE);
    assert_null(pool);
    threadpool_destroy(NULL);
}

/* ---- topology ------------------------------------------------------------------------------ */

static void test_topology(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x", "0-", "1,,2x", "99999", "-1", "0-99999"};
    struct cpu_set_list all, one;
    struct vinci_error err;
    assert_int_equal(topology_cpus(&all, NULL, &err), VINCI_OK);
    assert_in_range(all.n, 1, sysconf(_SC_NPROCESSORS_CONF));
    for (unsigned i = 1; i < all.n; i++) assert_int_not_equal(all.cpus[i], all.cpus[i - 1]);
    char list[16];
    snprintf(list, sizeof list, "%u", all.cpus[all.n - 1]);
    assert_int_equal(topology_cpus(&one, list, &err), VINCI_OK);
    assert_int_equal(one.n, 1);
    assert_int_equal(one.cpus[0], all.cpus[all.n - 1]);
    topology_cpus_free(&one);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(topology_cpus(&one, bad[i], &err), VINCI_USAGE);
        assert_non_null(strstr(err.text, "processors"));
        assert_null(one.cpus);
    }
    topology_cpus_free(&all);
}

/* Machines that hwloc is told to imagine: cores of two threads, several memory nodes. */
static void test_other_machines(void **state)
{
    (void)state;
    static const struct {
        const char *description;
        unsigned n_cores, threads_a_core, n_nodes;
    } machines[] = {{"pack:2 [numa] core:4 pu:2", 8, 2, 2},
                    {"numa:8 core:24 pu:1", 192, 1, 8}, /* a Kunpeng 920 server with four sockets */
                    {"core:3 pu:4", 3, 4, 1}};
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        struct cpu_set_list cpus;
        struct topology_summary summary;
        struct vinci_error err;
        setenv("HWLOC_SYNTHETIC", machines[i].description, 1);
        assert_int_equal(topology_describe(&summary, &err), VINCI_OK);
        assert_int_equal(summary.n_cores, machines[i].n_cores);
        assert_int_equal(summary.n_hardware_threads,
                         machines[i].n_cores * machines[i].threads_a_core);
        assert_int_equal(summary.n_nodes, machines[i].n_nodes);
        assert_int_equal(topology_cpus(&cpus, NULL, &err), VINCI_OK);
        assert_in_range(cpus.n, 1, machines[i].n_cores); /* less by a cgroup's quota */
        for (unsigned c = 0; c < cpus.n; c++)            /* no two threads of a core */
            assert_int_equal(cpus.cpus[c], c * machines[i].threads_a_core);
        if (cpus.n == machines[i].n_cores) assert_int_equal(cpus.n_nodes, machines[i].n_nodes);
        topology_cpus_free(&cpus);
        assert_int_equal(topology_cpus(&cpus, "0-2", &err), VINCI_OK); /* as told, siblings too */
        assert_int_equal(cpus.n, 3);
        assert_int_equal(cpus.cpus[1], 1);
        assert_int_equal(cpus.n_nodes, 1);
        topology_cpus_free(&cpus);
        char page[4096];
        topology_interleave(page, sizeof page); /* of a machine that is not this one: nothing */
        topology_interleave_thread();
    }
    unsetenv("HWLOC_SYNTHETIC");
}

/* The affinity mask bounds what is used: that of all threads, and an emulator has some of its own.
 */
static void test_affinity(void **state)
{
    (void)state;
    cpu_set_t before, one;
    struct cpu_set_list all, bound;
    struct vinci_error err;
    const char *run = getenv("RUN");
    if (run && *run) skip();
    assert_int_equal(topology_cpus(&all, NULL, &err), VINCI_OK);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    CPU_SET(all.cpus[all.n - 1], &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(topology_cpus(&bound, NULL, &err), VINCI_OK);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(bound.n, 1);
    assert_int_equal(bound.cpus[0], all.cpus[all.n - 1]);
    topology_cpus_free(&bound);
    topology_cpus_free(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),       cmocka_unit_test(test_log),
        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_file_map),     cmocka_unit_test(test_prefetch),
        cmocka_unit_test(test_parallel_for), cmocka_unit_test(test_threadpool_limits),
        cmocka_unit_test(test_topology),     cmocka_unit_test(test_parallel_for_shrinking),
        cmocka_unit_test(test_idle_threads), cmocka_unit_test(test_other_machines),
        cmocka_unit_test(test_affinity),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
