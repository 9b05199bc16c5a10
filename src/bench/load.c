/* load.c - see load.h. */
#include "bench/load.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "bench/http_get.h"
#include "bench/sse.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- figures ------------------------------------------------------------------------------- */

double load_percentile(const double *sorted, uint32_t n, double p)
{
    double at = p / 100 * (n - 1);
    uint32_t low = at <= 0 ? 0 : at >= n - 1 ? n - 1 : (uint32_t)at;
    uint32_t high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

static double normal(uint64_t seed, uint64_t *counter)
{
    double u = 1 - random_uniform(seed, *counter), v = random_uniform(seed, *counter + 1);
    *counter += 2;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* Gamma of shape k and mean 1: Marsaglia and Tsang, "A simple method for generating gamma
 * variables", ACM TOMS 26 (2000). */
double load_gap(uint64_t seed, uint32_t index, double rate, double burstiness)
{
    uint64_t own = random_u64(seed, index), counter = 0;
    double k = burstiness < 1 ? burstiness + 1 : burstiness;
    double d = k - 1.0 / 3, c = 1 / sqrt(9 * d), value;
    for (;;) {
        double x = normal(own, &counter), v = 1 + c * x;
        double u = 1 - random_uniform(own, counter++);
        if (v <= 0) continue;
        v = v * v * v;
        if (log(u) >= x * x / 2 + d - d * v + d * log(v)) continue;
        value = d * v;
        break;
    }
    if (burstiness < 1) value *= pow(1 - random_uniform(own, counter), 1 / burstiness);
    return value / burstiness / rate;
}

/* ---- one request --------------------------------------------------------------------------- */

struct transfer {
    struct load *load;
    struct load_request *request;
    CURL *curl;
    char *body;
    struct sse sse;
    struct buf other; /* an answer that is no event stream: the error's text */
    double last;      /* the latest event with text; 0 before the first */
    uint32_t n_events, capacity;
    bool finished, out_of_memory; /* [DONE] came */
    char reason[CURL_ERROR_SIZE];
};

struct load {
    const struct load_options *options;
    CURLM *multi;
    struct curl_slist *headers;
    char *url;
    struct transfer **transfers; /* [n]: the running one of each request, else NULL */
    double start;
    uint32_t n_running;
};

static bool has_text(json_t *choice)
{
    static const char *const keys[] = {"content", "reasoning_content", "reasoning"};
    json_t *delta = json_object_get(choice, "delta");
    const char *text = json_string_value(json_object_get(choice, "text"));
    if (text && *text) return true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        text = json_string_value(json_object_get(delta, keys[i]));
        if (text && *text) return true;
    }
    return json_array_size(json_object_get(delta, "tool_calls")) > 0;
}

static void on_text(struct transfer *t)
{
    struct load_request *r = t->request;
    double now = seconds_now() - t->load->start;
    t->n_events++;
    if (t->last == 0) r->first = now;
    else {
        if (r->n_gaps == t->capacity) {
            uint32_t capacity = t->capacity ? 2 * t->capacity : 64;
            double *gaps = realloc(r->gaps, capacity * sizeof *gaps);
            if (!gaps) {
                t->out_of_memory = true;
                return;
            }
            r->gaps = gaps;
            t->capacity = capacity;
        }
        r->gaps[r->n_gaps++] = now - t->last;
    }
    t->last = now;
}

static void on_event(void *user, const char *data, size_t n)
{
    struct transfer *t = user;
    if (strcmp(data, "[DONE]") == 0) {
        t->finished = true;
        return;
    }
    json_t *root = json_loadb(data, n, 0, NULL);
    json_t *usage = json_object_get(root, "usage"), *error = json_object_get(root, "error");
    if (json_is_object(usage)) {
        t->request->n_input = (uint32_t)json_integer_value(json_object_get(usage, "prompt_tokens"));
        t->request->n_output =
            (uint32_t)json_integer_value(json_object_get(usage, "completion_tokens"));
    }
    const char *message = json_string_value(json_object_get(error, "message"));
    if (message) snprintf(t->request->error, sizeof t->request->error, "%s", message);
    if (has_text(json_array_get(json_object_get(root, "choices"), 0))) on_text(t);
    json_decref(root);
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct transfer *t = user;
    long code = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code == 200)
        return sse_push(&t->sse, data, size * n, on_event, t) && !t->out_of_memory ? size * n : 0;
    if (t->other.size < 4096) buf_append(&t->other, data, size * n);
    return size * n;
}

static char *request_body(const struct load_options *o, const struct load_request *r)
{
    bool chat = strstr(o->endpoint, "chat") != NULL;
    json_t *root =
        json_pack("{s:s, s:b, s:{s:b}, s:f, s:I}", "model", o->model, "stream", true,
                  "stream_options", "include_usage", true, "temperature", o->temperature,
                  chat ? "max_completion_tokens" : "max_tokens", (json_int_t)r->max_tokens);
    /* Servers that do not know the newer name. */
    if (root && chat) json_object_set_new(root, "max_tokens", json_integer(r->max_tokens));
    if (root && o->ignore_eos) json_object_set_new(root, "ignore_eos", json_true());
    if (root && chat)
        json_object_set_new(root, "messages",
                            json_pack("[{s:s, s:s}]", "role", "user", "content", r->prompt));
    else if (root) json_object_set_new(root, "prompt", json_string(r->prompt));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

static void transfer_free(struct transfer *t)
{
    if (!t) return;
    if (t->curl) curl_easy_cleanup(t->curl);
    free(t->body);
    sse_free(&t->sse);
    buf_free(&t->other);
    free(t);
}

static enum vinci_status start_transfer(struct load *load, struct load_request *requests,
                                        uint32_t index, struct vinci_error *err)
{
    struct load_request *request = &requests[index];
    struct transfer *t = array_new_zero(1, sizeof *t);
    if (!t) return fail_memory(err, sizeof *t, "a request");
    *t = (struct transfer){.load = load, .request = request, .curl = curl_easy_init()};
    t->body = request_body(load->options, request);
    if (!t->curl || !t->body) {
        transfer_free(t);
        return fail_memory(err, 4096, "a request");
    }
    curl_easy_setopt(t->curl, CURLOPT_URL, load->url);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, load->headers);
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, t->body);
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(t->body));
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->reason);
    curl_easy_setopt(t->curl, CURLOPT_PRIVATE, t);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, (long)(1e3 * load->options->timeout));
    request->start = seconds_now() - load->start;
    if (curl_multi_add_handle(load->multi, t->curl) != CURLM_OK) {
        transfer_free(t);
        return fail_memory(err, 4096, "a request");
    }
    load->transfers[index] = t;
    load->n_running++;
    return VINCI_OK;
}

/* The message of an OpenAI error object, else the body's beginning. */
static void explain(struct transfer *t, long code)
{
    char *error = t->request->error;
    size_t size = sizeof t->request->error;
    json_t *root = t->other.data ? json_loadb(t->other.data, t->other.size, 0, NULL) : NULL;
    const char *message =
        json_string_value(json_object_get(json_object_get(root, "error"), "message"));
    snprintf(error, size, "status %ld: %s", code,
             message         ? message
             : t->other.data ? t->other.data
                             : "no text");
    json_decref(root);
}

static void end_transfer(struct transfer *t, CURLcode result)
{
    struct load_request *r = t->request;
    long code = 0;
    r->end = seconds_now() - t->load->start;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    if (r->n_output == 0) r->n_output = t->n_events;
    if (result != CURLE_OK)
        snprintf(r->error, sizeof r->error, "%s",
                 t->reason[0] ? t->reason : curl_easy_strerror(result));
    else if (code != 200) explain(t, code);
    else if (!t->finished && !r->error[0])
        snprintf(r->error, sizeof r->error, "the stream ended without [DONE]");
    else if (t->n_events == 0 && !r->error[0]) snprintf(r->error, sizeof r->error, "no text came");
    r->ok = !r->error[0];
    curl_multi_remove_handle(t->load->multi, t->curl);
    t->load->n_running--;
    transfer_free(t);
}

/* ---- the run ------------------------------------------------------------------------------- */

/* Hands back what has ended. */
static void collect(struct load *load, struct load_request *requests, uint32_t *n_done, uint32_t n)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(load->multi, &left))) {
        struct transfer *t = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        load->transfers[t->request - requests] = NULL;
        end_transfer(t, result);
        ++*n_done;
        if (load->options->on_done) load->options->on_done(load->options->user, *n_done, n);
    }
}

static enum vinci_status run_all(struct load *load, struct load_request *requests, uint32_t n,
                                 struct vinci_error *err)
{
    const struct load_options *o = load->options;
    uint32_t n_started = 0, n_done = 0;
    double due = 0; /* when the next one is to start */
    while (n_done < n) {
        if (o->stop && o->stop()) return fail(err, VINCI_CANCELLED, "stopped");
        double now = seconds_now() - load->start;
        while (n_started < n && due <= now &&
               (o->max_concurrency == 0 || load->n_running < o->max_concurrency)) {
            enum vinci_status status = start_transfer(load, requests, n_started, err);
            if (status != VINCI_OK) return status;
            n_started++;
            if (o->request_rate > 0)
                due += load_gap(o->seed, n_started, o->request_rate, o->burstiness);
        }
        int n_running = 0;
        if (curl_multi_perform(load->multi, &n_running) != CURLM_OK)
            return fail(err, VINCI_FAILED, "libcurl cannot go on");
        uint32_t n_before = n_done;
        collect(load, requests, &n_done, n);
        double wait = n_started < n && due > now ? due - now : .2;
        if (n_done == n_before) /* else there may be room for another */
            curl_multi_poll(load->multi, NULL, 0, wait < .2 ? (int)(1e3 * wait) : 200, NULL);
    }
    return VINCI_OK;
}

static enum vinci_status prepare(struct load *load, const struct load_options *options, uint32_t n,
                                 struct vinci_error *err)
{
    struct buf text = {0};
    bool ok = buf_printf(&text, "%s%s", options->url, options->endpoint);
    load->options = options;
    load->url = text.data;
    load->multi = curl_multi_init();
    load->transfers = array_new_zero(n, sizeof *load->transfers);
    load->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (options->key) ok = ok && load->headers && http_add_key(&load->headers, options->key);
    if (!ok || !load->multi || !load->headers || !load->transfers)
        return fail_memory(err, 4096, "the connections");
    return VINCI_OK;
}

enum vinci_status load_run(const struct load_options *options, struct load_request *requests,
                           uint32_t n, double *seconds, struct vinci_error *err)
{
    struct load load = {0};
    double first = INFINITY, last = 0;
    enum vinci_status status = prepare(&load, options, n, err);
    load.start = seconds_now();
    if (status == VINCI_OK) status = run_all(&load, requests, n, err);
    for (uint32_t i = 0; load.transfers && i < n; i++) {
        if (!load.transfers[i]) continue;
        curl_multi_remove_handle(load.multi, load.transfers[i]->curl);
        transfer_free(load.transfers[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        first = fmin(first, requests[i].start);
        last = fmax(last, requests[i].end);
    }
    *seconds = status == VINCI_OK ? last - first : 0;
    curl_slist_free_all(load.headers);
    if (load.multi) curl_multi_cleanup(load.multi);
    free(load.transfers);
    free(load.url);
    return status;
}

void load_free(struct load_request *requests, uint32_t n)
{
    for (uint32_t i = 0; requests && i < n; i++) free(requests[i].gaps);
    free(requests);
}

/* ---- the server's model -------------------------------------------------------------------- */

enum vinci_status load_first_model(const struct load_options *options, char **name,
                                   struct vinci_error *err)
{
    struct http_get *get = NULL;
    const char *body = NULL;
    *name = NULL;
    enum vinci_status status =
        http_get_open(&get, options->url, "/v1/models", options->key, 10, err);
    if (status == VINCI_OK) status = http_get_read(get, &body, err);
    json_t *root = body ? json_loads(body, 0, NULL) : NULL;
    json_t *model = json_array_get(json_object_get(root, "data"), 0);
    const char *id = json_string_value(json_object_get(model, "id"));
    if (status == VINCI_OK && !id)
        status = fail(err, VINCI_FAILED, "%s: expected a list of models", http_get_url(get));
    if (status == VINCI_OK && !(*name = text_copy(id, strlen(id))))
        status = fail_memory(err, strlen(id), "the model's name");
    json_decref(root);
    http_get_close(get);
    return status;
}
