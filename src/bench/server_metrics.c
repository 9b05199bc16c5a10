/* server_metrics.c - see server_metrics.h. */
#include "bench/server_metrics.h"

#include "base/buf.h"

#include <curl/curl.h>
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

struct server_watch {
    CURL *curl;
    struct curl_slist *headers;
    struct buf body;
    char *url;
    bool too_long;
    char reason[CURL_ERROR_SIZE];
};

enum { BODY_MAX = 16 << 20 };

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct server_watch *watch = user;
    if (watch->body.size + size * n > BODY_MAX) return 0;
    return buf_append(&watch->body, data, size * n) ? size * n : 0;
}

static bool prepare(struct server_watch *watch, const char *url, const char *key)
{
    struct buf text = {0};
    bool ok = buf_printf(&text, "%s%smetrics", url, url[strlen(url) - 1] == '/' ? "" : "/");
    watch->url = text.data;
    watch->curl = curl_easy_init();
    if (!ok || !watch->curl) return false;
    if (key) {
        struct buf header = {0};
        ok = buf_printf(&header, "Authorization: Bearer %s", key);
        watch->headers = ok ? curl_slist_append(NULL, header.data) : NULL;
        buf_free(&header);
        if (!watch->headers) return false;
    }
    curl_easy_setopt(watch->curl, CURLOPT_URL, watch->url);
    curl_easy_setopt(watch->curl, CURLOPT_HTTPHEADER, watch->headers);
    curl_easy_setopt(watch->curl, CURLOPT_TIMEOUT_MS, 2000L);
    curl_easy_setopt(watch->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(watch->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(watch->curl, CURLOPT_WRITEDATA, watch);
    curl_easy_setopt(watch->curl, CURLOPT_ERRORBUFFER, watch->reason);
    return true;
}

enum vinci_status server_watch_open(struct server_watch **out, const char *url, const char *key,
                                    struct vinci_error *err)
{
    *out = NULL;
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return fail(err, VINCI_USAGE, "a server's address: expected http://HOST:PORT, got \"%s\"",
                    url);
    struct server_watch *watch = array_new_zero(1, sizeof *watch);
    if (!watch || !prepare(watch, url, key)) {
        server_watch_close(watch);
        return fail_memory(err, sizeof *watch, "the connection");
    }
    *out = watch;
    return VINCI_OK;
}

void server_watch_close(struct server_watch *watch)
{
    if (!watch) return;
    if (watch->curl) curl_easy_cleanup(watch->curl);
    curl_slist_free_all(watch->headers);
    buf_free(&watch->body);
    free(watch->url);
    free(watch);
}

enum vinci_status server_watch_read(struct server_watch *watch, struct server_metrics *out,
                                    struct vinci_error *err)
{
    long code = 0;
    watch->body.size = 0;
    watch->reason[0] = '\0';
    CURLcode result = curl_easy_perform(watch->curl);
    if (result != CURLE_OK)
        return fail(err, VINCI_NOT_FOUND, "%s: no server answers: %s", watch->url,
                    watch->reason[0] ? watch->reason : curl_easy_strerror(result));
    curl_easy_getinfo(watch->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200)
        return fail(err, VINCI_FAILED, "%s: expected status 200, got %ld%s", watch->url, code,
                    code == 401 ? "; give the key with --api-key-file" : "");
    if (!buf_append(&watch->body, "", 1)) return fail_memory(err, watch->body.size, "the metrics");
    server_metrics_parse(watch->body.data, out);
    if (isnan(out->running) && isnan(out->generated_tokens))
        return fail(err, VINCI_FAILED, "%s: expected metrics with vLLM's names, found none",
                    watch->url);
    return VINCI_OK;
}
