/* server_metrics.h - what a running server says of itself at /metrics, in Prometheus' text form
 * with vLLM's names: vinci's own server, vLLM and others alike. By libcurl. */
#ifndef VINCI_BENCH_SERVER_METRICS_H
#define VINCI_BENCH_SERVER_METRICS_H

#include "bench/http_get.h"

/* NAN where the server does not give it. Totals count from the server's start. */
struct server_metrics {
    double running, waiting; /* requests */
    double kv_use;           /* share of the KV cache, 0 to 1 */
    double prompt_tokens, generated_tokens, finished;
    double ttft_sum, ttft_count; /* seconds to the first token */
    double itl_sum, itl_count;   /* seconds between tokens */
};

/* Fills `out` from a scrape's text; what it does not know it skips. */
void server_metrics_parse(const char *text, struct server_metrics *out);

/* `url`: "http://127.0.0.1:8000", without "/metrics". `key`: sent as a bearer token, or NULL.
 * Closed by http_get_close. */
enum vinci_status server_watch_open(struct http_get **out, const char *url, const char *key,
                                    struct vinci_error *err);

/* One scrape; waits 2 seconds at most. NOT_FOUND: nobody answers there; FAILED: not with metrics.
 */
enum vinci_status server_watch_read(struct http_get *watch, struct server_metrics *out,
                                    struct vinci_error *err);

#endif
