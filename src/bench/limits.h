/* limits.h - what this machine can do at most: streaming read, int8 and f32 multiply-adds, on a
 * given number of threads. Every figure of a benchmark is held against these.
 *
 * Nothing of the engine is used. The limits are those of the instruction set that the machine has,
 * also when the engine was told to use less. */
#ifndef VINCI_BENCH_LIMITS_H
#define VINCI_BENCH_LIMITS_H

#include "base/status.h"

enum limit { LIMIT_READ, LIMIT_INT8, LIMIT_F32, LIMIT_COUNT };

struct limits;

/* For up to n_threads threads (0: one for each core that the process may use), bound to the
 * processors of cpu_list, or to none (NULL). Takes a gigabyte of memory, or what can be had of it
 * (NO_MEMORY below 64 MiB), and fills it, which can take a second. */
enum vinci_status limits_open(struct limits **out, unsigned n_threads, const char *cpu_list,
                              struct vinci_error *err);
void limits_close(struct limits *limits);

unsigned limits_n_threads(const struct limits *limits);
const char *limits_isa(const struct limits *limits); /* "avx512", "portable" */

/* One measurement of some 20 milliseconds, on the most threads: bytes/s, or operations/s where a
 * multiply-add is two. */
double limits_measure(struct limits *limits, enum limit which);

/* The best of five: what the machine can do when nothing else runs for a moment. */
double limits_best(struct limits *limits, enum limit which);

/* The mapped files of a model, [n]; they must outlive the last call of limits_measure_weights. */
struct limits_file {
    const uint8_t *data;
    size_t n_bytes;
};
void limits_set_weights(struct limits *limits, const struct limits_file *files, size_t n);

/* The streaming read of the weights where they lie: pieces of 1 MiB spread evenly over the files, a
 * gigabyte in all and always the same ones. Bytes/s; 0 where no file was set. The memory of a file
 * in the page cache can be slower than private memory, in smaller pages or on another node. */
double limits_measure_weights(struct limits *limits);

struct limits_row {
    unsigned n_threads;
    struct limits_figure {
        double median, min, max;
    } figures[LIMIT_COUNT];
};

/* For 1 to 8 threads, then doubling, and the most there are: `repeat` (1 to 64) measurements of
 * each kind, after one that is not counted. on_row is called for each row; false stops: CANCELLED.
 */
typedef bool limits_row_fn(void *user, const struct limits_row *row);
enum vinci_status limits_run(struct limits *limits, uint32_t repeat, limits_row_fn *on_row,
                             void *user, struct vinci_error *err);

#endif
