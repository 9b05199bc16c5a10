/* compare.h - two records of benchmark runs (cli/bench_record.h) side by side: every test that both
 * have, how much it changed, and whether that is more than chance.
 *
 * Records of `vinci bench serve`, which are in vLLM's form, have the requests as samples. */
#ifndef VINCI_BENCH_COMPARE_H
#define VINCI_BENCH_COMPARE_H

#include "base/status.h"
#include "bench/stats.h"

#include <jansson.h>

struct compared {
    char name[64];  /* English, a key for programs: "tg128 @ d4096" */
    char label[96]; /* in the program's language */
    bool seconds;   /* of times less is better; else tokens per second */
    struct stats_interval before, after;
    double ratio;     /* of the value after to that before (Hodges and Lehmann) */
    double p, p_holm; /* two-sided; corrected for the number of rows */
};

/* Of the machine, the program or the options: a reason that is none of the change's. */
struct difference {
    const char *key; /* the record's */
    char before[41], after[41];
};

struct comparison {
    struct compared *rows; /* [n] */
    size_t n;
    struct difference differences[12];
    size_t n_differences;
    double p_least; /* the least p_holm that so few samples can give */
};

/* USAGE: nothing in common. */
enum vinci_status comparison_make(struct comparison *out, const json_t *before, const json_t *after,
                                  struct vinci_error *err);
void comparison_free(struct comparison *comparison);

/* 0: may be chance; 1: better; -1: worse. */
int compared_verdict(const struct compared *row);
const char *compared_verdict_text(const struct compared *row);

/* Tokens per second of each repetition of a result of the matrix; how many. */
size_t record_speeds(const json_t *row, double speeds[STATS_MAX]);

/* "pp512", "tg128 @ d4096", "tg128 x 4", "ttft512" */
void record_test_name(const json_t *row, char name[64]);

/* A file of `vinci bench serve --json`, or of vLLM's own. */
bool record_is_serve(const json_t *root);

/* Seconds of each request that succeeded, of a record of `bench serve`: `what` is "ttft", "tpot" or
 * "e2el". *out is freed by the caller; NULL when there are none or memory is short. */
double *record_latencies(const json_t *root, const char *what, size_t *n);

#endif
