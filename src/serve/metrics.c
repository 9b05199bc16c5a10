/* metrics.c - what the server counts, and its text for Prometheus. */
#include "serve/metrics.h"

#include <stdio.h>
#include <string.h>

/* Upper bounds in seconds or tokens; they end with 0. */
static const double ttft_bounds[] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                     0.25,  0.5,   0.75, 1,    2.5,  5,    7.5,  10,
                                     20,    40,    80,   160,  640,  2560, 0};
static const double itl_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,
                                    0.15,  0.2,    0.3,   0.4,  0.5,   0.75, 1,     2.5,
                                    5,     7.5,    10,    20,   40,    80,   0};
static const double e2e_bounds[] = {0.01, 0.03, 0.1, 0.3, 0.5, 0.8, 1,   1.5, 2,   2.5, 5,    10,
                                    15,   20,   30,  40,  50,  60,  120, 240, 480, 960, 1920, 7680};
static const double token_bounds[] = {1,    2,    5,    10,    20,    50,    100,    200,    500,
                                      1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 0};

static const double *bounds_of(const struct metrics *metrics, const struct histogram *histogram)
{
#define H(field, name, help, bounds) \
    if (histogram == &metrics->field) return bounds;
    METRICS_HISTOGRAMS(H)
#undef H
    return e2e_bounds;
}

void metrics_init(struct metrics *metrics)
{
    *metrics = (struct metrics){0};
    pthread_mutex_init(&metrics->lock, NULL);
}

void metrics_release(struct metrics *metrics)
{
    pthread_mutex_destroy(&metrics->lock);
}

static void observe(struct metrics *metrics, struct histogram *histogram, double value)
{
    const double *bounds = bounds_of(metrics, histogram);
    size_t i = 0;
    while (i < METRICS_BUCKETS_MAX && bounds[i] > 0 && value > bounds[i]) i++;
    histogram->counts[i]++;
    histogram->n++;
    histogram->sum += value;
}

void metrics_observe(struct metrics *metrics, struct histogram *histogram, double value)
{
    pthread_mutex_lock(&metrics->lock);
    observe(metrics, histogram, value);
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_finish(struct metrics *metrics, const struct vinci_request_result *result,
                    double arrived, double now)
{
    pthread_mutex_lock(&metrics->lock);
    metrics->prompt_tokens += result->n_prompt;
    metrics->generated_tokens += result->n_generated;
    metrics->cached_tokens += result->n_reused;
    switch (result->finish) {
    case VINCI_FINISH_STOP: metrics->finished_stop++; break;
    case VINCI_FINISH_LENGTH:
    case VINCI_FINISH_CONTEXT: metrics->finished_length++; break;
    case VINCI_FINISH_ERROR: metrics->finished_error++; break;
    default: metrics->finished_abort++; break;
    }
    if (result->n_generated > 0) {
        observe(metrics, &metrics->e2e, now - arrived);
        observe(metrics, &metrics->queue, result->queue_seconds);
        observe(metrics, &metrics->prefill, result->prefill_seconds);
        observe(metrics, &metrics->decode, result->decode_seconds);
        observe(metrics, &metrics->prompt, (double)result->n_prompt);
        observe(metrics, &metrics->generated, (double)result->n_generated);
    }
    if (result->n_generated > 1)
        observe(metrics, &metrics->tpot,
                result->decode_seconds / (double)(result->n_generated - 1));
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_http(struct metrics *metrics, unsigned status)
{
    pthread_mutex_lock(&metrics->lock);
    metrics->http[status / 100 < 6 ? status / 100 : 5]++;
    pthread_mutex_unlock(&metrics->lock);
}

/* ---- text ---------------------------------------------------------------------------------- */

struct writer {
    struct buf *out;
    char labels[300]; /* model_name="...",engine="0" */
    bool ok;
};

/* Also says so when the locale would write a decimal comma. */
static void number(struct writer *w, double value)
{
    size_t at = w->out->size;
    w->ok = w->ok && buf_printf(w->out, "%.9g", value);
    for (; w->ok && at < w->out->size; at++)
        if (w->out->data[at] == ',') w->out->data[at] = '.';
}

static void head(struct writer *w, const char *name, const char *help, const char *type)
{
    w->ok = w->ok && buf_printf(w->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void sample(struct writer *w, const char *name, const char *extra, double value)
{
    w->ok = w->ok && buf_printf(w->out, "%s{%s%s} ", name, w->labels, extra);
    number(w, value);
    w->ok = w->ok && buf_append(w->out, "\n", 1);
}

static void single(struct writer *w, const char *name, const char *help, const char *type,
                   double value)
{
    head(w, name, help, type);
    sample(w, name, "", value);
}

static void write_histogram(struct writer *w, const char *name, const char *help,
                            const struct histogram *histogram, const double *bounds)
{
    uint64_t sum = 0;
    head(w, name, help, "histogram");
    for (size_t i = 0; i < METRICS_BUCKETS_MAX && bounds[i] > 0; i++) {
        sum += histogram->counts[i];
        w->ok = w->ok && buf_printf(w->out, "%s_bucket{%s,le=\"", name, w->labels);
        number(w, bounds[i]);
        w->ok = w->ok && buf_printf(w->out, "\"} %llu\n", (unsigned long long)sum);
    }
    w->ok = w->ok && buf_printf(w->out, "%s_bucket{%s,le=\"+Inf\"} %llu\n%s_sum{%s} ", name,
                                w->labels, (unsigned long long)histogram->n, name, w->labels);
    number(w, histogram->sum);
    w->ok = w->ok && buf_printf(w->out, "\n%s_count{%s} %llu\n", name, w->labels,
                                (unsigned long long)histogram->n);
}

static void label_model(struct writer *w, const char *model)
{
    char *at = w->labels, *end = w->labels + sizeof w->labels - 16;
    at = stpcpy(at, "model_name=\"");
    for (; *model && at + 2 < end; model++) {
        if (*model == '"' || *model == '\\') *at++ = '\\';
        *at++ = *model == '\n' ? ' ' : *model;
    }
    strcpy(at, "\",engine=\"0\"");
}

bool metrics_write(struct metrics *metrics, const struct metrics_now *now, struct buf *out)
{
    struct writer w = {.out = out, .ok = true};
    label_model(&w, now->model);
    pthread_mutex_lock(&metrics->lock);
    single(&w, "vllm:num_requests_running", "Requests being computed.", "gauge", now->n_running);
    single(&w, "vllm:num_requests_waiting", "Requests waiting for a place.", "gauge",
           now->n_waiting);
    single(&w, "vinci:num_requests_paused", "Requests held for a client that reads slowly.",
           "gauge", now->n_paused);
    single(&w, "vllm:kv_cache_usage_perc", "KV cache in use, 1 is all of it.", "gauge",
           now->kv_use);
    single(&w, "vinci:kv_cache_bytes", "KV cache in use.", "gauge", (double)now->kv_bytes);
    if (now->heap_bytes)
        single(&w, "vinci:heap_bytes", "Memory in use beside the KV cache's pages.", "gauge",
               (double)now->heap_bytes);
    single(&w, "vinci:http_connections", "Open connections.", "gauge", now->n_connections);
    single(&w, "vllm:prompt_tokens_total", "Tokens of prompts.", "counter",
           (double)metrics->prompt_tokens);
    single(&w, "vllm:generation_tokens_total", "Tokens generated.", "counter",
           (double)metrics->generated_tokens);
    single(&w, "vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.",
           "counter", (double)metrics->prompt_tokens);
    single(&w, "vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.",
           "counter", (double)metrics->cached_tokens);
    head(&w, "vllm:request_success_total", "Requests that ended, by why.", "counter");
    sample(&w, "vllm:request_success_total", ",finished_reason=\"stop\"",
           (double)metrics->finished_stop);
    sample(&w, "vllm:request_success_total", ",finished_reason=\"length\"",
           (double)metrics->finished_length);
    sample(&w, "vllm:request_success_total", ",finished_reason=\"abort\"",
           (double)metrics->finished_abort);
    sample(&w, "vllm:request_success_total", ",finished_reason=\"error\"",
           (double)metrics->finished_error);
    head(&w, "vinci:http_responses_total", "Answers by the class of their status.", "counter");
    for (unsigned class = 2; class < 6; class ++) {
        char extra[24];
        snprintf(extra, sizeof extra, ",class=\"%uxx\"", class);
        sample(&w, "vinci:http_responses_total", extra, (double)metrics->http[class]);
    }
    single(&w, "vinci:engine_steps_total", "Steps of the engine.", "counter", (double)now->n_steps);
    single(&w, "vllm:num_preemptions_total", "Times that a request gave its memory to others.",
           "counter", (double)now->n_preempted);
#define H(field, name, help, bounds) write_histogram(&w, name, help, &metrics->field, bounds);
    METRICS_HISTOGRAMS(H)
#undef H
    pthread_mutex_unlock(&metrics->lock);
    return w.ok;
}
