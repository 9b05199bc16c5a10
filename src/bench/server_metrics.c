/* server_metrics.c - see server_metrics.h. */
#include "bench/server_metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Metric names, and where their samples (of all label sets together) go. */
static const struct {
    const char *name;
    size_t offset;
} fields[] = {
#define FIELD(name, field) \
    { \
        name, offsetof(struct server_metrics, field) \
    }
    FIELD("vllm:num_requests_running", running),
    FIELD("vllm:num_requests_waiting", waiting),
    FIELD("vllm:kv_cache_usage_perc", kv_use),
    FIELD("vllm:gpu_cache_usage_perc", kv_use), /* its older name */
    FIELD("vllm:prompt_tokens_total", prompt_tokens),
    FIELD("vllm:generation_tokens_total", generated_tokens),
    FIELD("vllm:request_success_total", finished),
    FIELD("vllm:time_to_first_token_seconds_sum", ttft_sum),
    FIELD("vllm:time_to_first_token_seconds_count", ttft_count),
    FIELD("vllm:inter_token_latency_seconds_sum", itl_sum),
    FIELD("vllm:inter_token_latency_seconds_count", itl_count),
    FIELD("vllm:time_per_output_token_seconds_sum", itl_sum), /* its older name */
    FIELD("vllm:time_per_output_token_seconds_count", itl_count),
#undef FIELD
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

/* "name{label="value"} 1.5 [time]": the number behind name and labels, NAN if there is none. */
static double sample_value(const char *line, size_t n_name)
{
    const char *p = line + n_name;
    if (*p == '{') {
        bool quoted = false;
        for (p++; *p && *p != '\n' && (quoted || *p != '}'); p++) {
            if (quoted && *p == '\\' && p[1]) p++;
            else if (*p == '"') quoted = !quoted;
        }
        if (*p != '}') return (double)NAN;
        p++;
    }
    char *end;
    double value = strtod(p, &end);
    return end > p ? value : (double)NAN;
}

void server_metrics_parse(const char *text, struct server_metrics *out)
{
    bool found[N_FIELDS] = {false};
    for (size_t i = 0; i < N_FIELDS; i++) {
        double nan = (double)NAN;
        memcpy((char *)out + fields[i].offset, &nan, sizeof nan);
    }
    for (const char *line = text; *line;) {
        size_t n_name = strcspn(line, "{ \t\n");
        for (size_t i = 0; i < N_FIELDS; i++) {
            if (strlen(fields[i].name) != n_name || memcmp(fields[i].name, line, n_name) != 0)
                continue;
            double value = sample_value(line, n_name);
            if (isnan(value)) continue;
            double *sum = (double *)((char *)out + fields[i].offset);
            *sum = found[i] ? *sum + value : value;
            found[i] = true;
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
}

enum vinci_status server_watch_open(struct http_get **out, const char *url, const char *key,
                                    struct vinci_error *err)
{
    *out = NULL;
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return fail(err, VINCI_USAGE, "a server's address: expected http://HOST:PORT, got \"%s\"",
                    url);
    return http_get_open(out, url, "/metrics", key, 2, err);
}

enum vinci_status server_watch_read(struct http_get *watch, struct server_metrics *out,
                                    struct vinci_error *err)
{
    const char *text = NULL;
    enum vinci_status status = http_get_read(watch, &text, err);
    if (status != VINCI_OK) return status;
    server_metrics_parse(text, out);
    if (isnan(out->running) && isnan(out->generated_tokens))
        return fail(err, VINCI_FAILED, "%s: expected metrics with vLLM's names, found none",
                    http_get_url(watch));
    return VINCI_OK;
}
