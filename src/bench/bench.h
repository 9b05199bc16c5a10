/* bench.h - measures generation through the public API; knows nothing of options or output.
 *
 * An iteration runs every prompt once, in batches of `batch_size` requests that are submitted
 * together and stepped until all are done; where the prompts do not fill the last batch, they are
 * repeated from the first. So every iteration does the same work. Tokens are always the likeliest,
 * and no token ends a request early: each gives max_new_tokens. */
#ifndef VINCI_BENCH_BENCH_H
#define VINCI_BENCH_BENCH_H

#include "base/status.h"

struct bench_prompt {
    const int32_t *ids; /* [n] */
    size_t n;
};

struct bench_iteration {
    uint32_t index; /* from 0, warm-up and measured iterations counted apart */
    bool warmup;
    double seconds; /* first submit -> last token, over all batches */
    uint64_t n_prompt_tokens, n_generated;
    uint64_t kv_bytes; /* most KV cache in use at once so far */
};

/* Return false to stop. */
typedef bool bench_iteration_fn(void *user, const struct bench_iteration *iteration);

struct bench_options {
    struct vinci_engine *engine;
    const struct bench_prompt *prompts; /* [n_prompts], at least one */
    size_t n_prompts;
    uint32_t batch_size, max_new_tokens, warmup, iters; /* batch_size and max_new_tokens >= 1 */
    bench_iteration_fn *on_iteration;                   /* after each; may be NULL */
    bool (*stop)(void);                                 /* asked after every step; may be NULL */
    void *user;
};

/* Over the measured iterations. */
struct bench_result {
    uint32_t n_iterations;
    double seconds, seconds_min, seconds_max;
    uint64_t n_prompt_tokens, n_generated;
    uint64_t kv_bytes; /* most KV cache in use at once so far */
};

/* CANCELLED when a callback stopped it; *result then holds what was measured. */
enum vinci_status bench_run(const struct bench_options *options, struct bench_result *result,
                            struct vinci_error *err);

#endif
