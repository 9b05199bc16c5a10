/* load.h - drives a server of the OpenAI API with many requests at once and records when each token
 * arrived. One thread, by libcurl's multi interface: the machine that is measured has other things
 * to do. What counts as a token's arrival is an event with new text, reasoning or tool arguments.
 */
#ifndef VINCI_BENCH_LOAD_H
#define VINCI_BENCH_LOAD_H

#include "base/status.h"

struct load_options {
    const char *url;      /* "http://127.0.0.1:8000" */
    const char *endpoint; /* "/v1/chat/completions" or "/v1/completions" */
    const char *key;      /* sent as a bearer token; NULL: none */
    const char *model;    /* NULL: the server's first */
    double temperature;
    bool ignore_eos;          /* vLLM's and vinci's field: generate all tokens asked for */
    double request_rate;      /* requests per second; 0: all at once */
    double burstiness;        /* shape of the gamma distribution of the gaps; 1: Poisson */
    uint32_t max_concurrency; /* 0: no limit */
    uint64_t seed;
    double timeout;     /* seconds a request may take */
    bool (*stop)(void); /* asked every now and then; may be NULL */
    void (*on_done)(void *user, uint32_t n_done, uint32_t n); /* may be NULL */
    void *user;
};

/* Times in seconds since the run began. */
struct load_request {
    const char *prompt; /* in: text, borrowed */
    uint32_t max_tokens;
    uint32_t n_input, n_output; /* out: as the server's usage has them, else what was counted */
    double start, first, end;   /* sent, first token, last byte */
    double *gaps;               /* [n_gaps] between events with text */
    uint32_t n_gaps;
    bool ok;
    char error[300]; /* why not */
};

/* Runs all n requests; returns when the last has ended. A request that fails is in its `ok`;
 * CANCELLED: stop() said so. Lists are freed by load_free. *seconds: from the first start to the
 * last end. */
enum vinci_status load_run(const struct load_options *options, struct load_request *requests,
                           uint32_t n, double *seconds, struct vinci_error *err);
void load_free(struct load_request *requests, uint32_t n);

/* The id of the first model at /v1/models; *name is freed with free(). */
enum vinci_status load_first_model(const struct load_options *options, char **name,
                                   struct vinci_error *err);

/* ---- figures ------------------------------------------------------------------------------- */

/* Percentile p (0 to 100) of n >= 1 sorted numbers, between neighbours in proportion (numpy's
 * default). */
double load_percentile(const double *sorted, uint32_t n, double p);

/* Seconds from one of the gamma-distributed gaps of mean 1 / rate; `index` counts them. */
double load_gap(uint64_t seed, uint32_t index, double rate, double burstiness);

#endif
