/* metrics.h - counters and histograms for Prometheus, under vLLM's names where vLLM has them, so
 * that dashboards and the Kubernetes inference gateway work unchanged.
 *
 * One lock guards everything: the engine's thread writes a few numbers a step, /metrics reads. */
#ifndef VINCI_SERVE_METRICS_H
#define VINCI_SERVE_METRICS_H

#include "base/buf.h"

#include <pthread.h>

#define METRICS_BUCKETS_MAX 24

/* field, name, help, buckets (metrics.c) */
#define METRICS_HISTOGRAMS(H) \
    H(ttft, "vllm:time_to_first_token_seconds", "From arrival to the first token.", ttft_bounds) \
    H(itl, "vllm:inter_token_latency_seconds", "Between two tokens of a request.", itl_bounds) \
    H(tpot, "vllm:request_time_per_output_token_seconds", \
      "A request's mean time a token, without the first.", itl_bounds) \
    H(e2e, "vllm:e2e_request_latency_seconds", "From arrival to the last token.", e2e_bounds) \
    H(queue, "vllm:request_queue_time_seconds", "Waiting for a place.", e2e_bounds) \
    H(prefill, "vllm:request_prefill_time_seconds", "From the first chunk to the first token.", \
      e2e_bounds) \
    H(decode, "vllm:request_decode_time_seconds", "From the first token to the last.", e2e_bounds) \
    H(prompt, "vllm:request_prompt_tokens", "Tokens of a prompt.", token_bounds) \
    H(generated, "vllm:request_generation_tokens", "Tokens generated for a request.", token_bounds)

struct histogram {
    uint64_t counts[METRICS_BUCKETS_MAX + 1];
    uint64_t n;
    double sum;
};

struct metrics {
    pthread_mutex_t lock;
    uint64_t prompt_tokens, generated_tokens, cached_tokens;
    uint64_t finished_stop, finished_length, finished_abort, finished_error;
    uint64_t http[6]; /* answers by class: [2] is 2xx */
#define H(field, name, help, bounds) struct histogram field;
    METRICS_HISTOGRAMS(H)
#undef H
};

void metrics_init(struct metrics *metrics);
void metrics_release(struct metrics *metrics);

/* Which histogram, by its field. */
void metrics_observe(struct metrics *metrics, struct histogram *histogram, double value);

/* A request has ended; `arrived` and `now` in seconds of the same clock. */
void metrics_finish(struct metrics *metrics, const struct vinci_request_result *result,
                    double arrived, double now);

void metrics_http(struct metrics *metrics, unsigned status);

/* What is not counted but is so now. */
struct metrics_now {
    const char *model;
    uint32_t n_running, n_waiting, n_paused, n_connections;
    double kv_use;                                       /* 0 to 1 */
    uint64_t kv_bytes, heap_bytes, n_preempted, n_steps; /* heap_bytes 0: not known */
};

/* Prometheus' text format 0.0.4. False: no memory. */
bool metrics_write(struct metrics *metrics, const struct metrics_now *now, struct buf *out);

#endif
