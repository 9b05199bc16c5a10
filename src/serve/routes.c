/* routes.c - which handler answers which path, and who may ask.
 *
 * Browsers are the danger of a server on a person's own machine: any page may send requests to it.
 * So a request that tells its origin (browsers do) is answered only if the origin is the server
 * itself or allowed by --cors-origin; on a loopback address "itself" must be a loopback name, or a
 * page could make its own name mean this machine. */
#include "serve/routes.h"

#include "serve/assets.h"
#include "serve/generation.h"
#include "serve/json_out.h"
#include "serve/server.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
#include <malloc.h>
#define HAS_MALLINFO2 1
#endif

static route_fn handle_models, handle_model, handle_health, handle_ready, handle_metrics,
    handle_version, handle_asset;

static const struct route routes[] = {
    {"POST", "/v1/chat/completions", handle_chat, .open = false},
    {"POST", "/v1/completions", handle_completions, .open = false},
    {"POST", "/v1/responses", handle_responses, .open = false},
    {"GET", "/v1/responses/*", handle_response_get, .open = false},
    {"DELETE", "/v1/responses/*", handle_response_delete, .open = false},
    {"POST", "/tokenize", handle_tokenize, .open = false},
    {"POST", "/detokenize", handle_detokenize, .open = false},
    {"POST", "/v1/messages", handle_messages, .anthropic = true},
    {"POST", "/v1/messages/count_tokens", handle_count_tokens, .anthropic = true},
    {"GET", "/v1/models", handle_models, .open = false},
    {"GET", "/v1/models/*", handle_model, .open = false},
    {"GET", "/health", handle_health, .open = true, .quiet = true},
    {"GET", "/ready", handle_ready, .open = true, .quiet = true},
    {"GET", "/metrics", handle_metrics, .open = true, .quiet = true},
    {"GET", "/version", handle_version, .open = true, .quiet = true},
};

static const struct route asset_route = {"GET", "/", handle_asset, .open = true, .quiet = true};

static bool path_fits(const char *pattern, const char *path)
{
    size_t n = strlen(pattern);
    if (pattern[n - 1] == '*') return strncmp(pattern, path, n - 1) == 0 && path[n - 1];
    return strcmp(pattern, path) == 0;
}

static bool method_fits(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0 ||
           (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* A client may name its request; the name goes into headers and logs. */
static void name_exchange(struct exchange *x)
{
    const char *given = http_header(x, "X-Request-Id");
    struct vinci_text text = vinci_text_of(given);
    if (given && text.size < sizeof x->id && name_is_valid(&text))
        memcpy(x->id, given, text.size + 1);
    else make_id(x->id, "req_");
}

void routes_begin(struct exchange *x)
{
    name_exchange(x);
    for (size_t i = 0; i < sizeof routes / sizeof *routes && !x->route; i++)
        if (path_fits(routes[i].path, x->path)) {
            if (method_fits(routes[i].method, x->method)) x->route = &routes[i];
            else x->allow = routes[i].method;
        }
    if (!x->route && !x->server->options.no_web_page && asset_find(x->path)) {
        if (method_fits("GET", x->method)) x->route = &asset_route;
        else x->allow = "GET";
    }
    if (x->route) x->allow = NULL;
}

/* ---- errors -------------------------------------------------------------------------------- */

void write_error_object(struct buf *to, bool anthropic, const struct api_error *error)
{
    struct json_out out = {.buf = to};
    out_begin(&out, '{');
    if (anthropic) {
        out_key_str(&out, "type", "error");
        out_key(&out, "error");
        out_begin(&out, '{');
        out_key_str(&out, "type", error->http == 500 ? "api_error" : error->type);
        out_key_str(&out, "message", error->message);
    } else {
        out_key(&out, "error");
        out_begin(&out, '{');
        out_key_str(&out, "message", error->message);
        out_key_str(&out, "type", error->type);
        out_key_str(&out, "param", *error->param ? error->param : NULL);
        out_key_str(&out, "code", error->code);
    }
    out_end(&out, '}');
    out_end(&out, '}');
}

/* Texts of errors quote what clients send, cut at any byte: they are made valid UTF-8. */
static void clean(char *text, size_t size)
{
    struct vinci_utf8_stream stream = {0};
    char out[3 * (sizeof((struct api_error *)0)->message + 4)];
    size_t n = vinci_utf8_stream_next(&stream, text, strlen(text), true, out);
    if (n >= size) {
        n = size - 1;
        while (n > 0 && ((unsigned char)out[n] & 0xc0) == 0x80) n--; /* between characters */
    }
    memcpy(text, out, n);
    text[n] = '\0';
}

void answer_error(struct exchange *x, const struct api_error *error)
{
    struct api_error shown = *error;
    clean(shown.message, sizeof shown.message);
    clean(shown.param, sizeof shown.param);
    x->status = error->http ? error->http : 500;
    x->next = NULL;
    x->content_type = "application/json";
    x->out.size = 0;
    if (x->status == 503 || x->status == 429) x->retry_after = 1;
    if (error->code && strcmp(error->code, "client_left") == 0) x->status = 499; /* for the log */
    write_error_object(&x->out, x->route && x->route->anthropic, &shown);
}

void answer_written(struct exchange *x, const struct json_out *out)
{
    struct api_error error;
    x->status = 200;
    if (!out->failed) return;
    api_fail_memory(&error);
    answer_error(x, &error);
}

void answer_stream(struct exchange *x, stream_next_fn *next, stream_free_fn *free_stream,
                   void *stream)
{
    x->status = 200;
    x->content_type = "text/event-stream; charset=utf-8";
    x->next = next;
    x->free_stream = free_stream;
    x->stream = stream;
}

/* ---- who may ask --------------------------------------------------------------------------- */

static bool in_list(const char *list, const char *word, size_t n)
{
    while (list && *list) {
        size_t size = strcspn(list, ",");
        if ((size == 1 && *list == '*') || (size == n && strncasecmp(list, word, n) == 0))
            return true;
        list += size + (list[size] == ',');
    }
    return false;
}

/* "localhost:8000" names this machine. */
static bool is_loopback_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncasecmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':')) return true;
    }
    return false;
}

/* The origin that browsers are told is allowed; NULL: none was given or it is the server itself. */
static bool origin_is_allowed(const struct exchange *x, const char **cross)
{
    const struct serve_options *options = &x->server->options;
    const char *origin = http_header(x, "Origin"), *host = http_header(x, "Host");
    *cross = NULL;
    if (!origin) return true;
    if (in_list(options->cors_origins, origin, strlen(origin))) {
        *cross = origin;
        return true;
    }
    const char *name = strstr(origin, "://");
    if (!name || !host || strcasecmp(name + 3, host) != 0) return false;
    return !serve_is_local(options) || is_loopback_name(host);
}

static bool check_key(struct exchange *x, struct api_error *error)
{
    const char *given = http_header(x, "Authorization");
    if (given && strncasecmp(given, "Bearer ", 7) == 0) given += 7;
    else given = http_header(x, "X-Api-Key");
    if (keys_accept(x->server->keys, given, &x->key, &x->owner)) return true;
    return api_fail(error, 401, NULL, "invalid_api_key",
                    given ? "Incorrect API key provided."
                          : "No API key was given; send it as 'Authorization: Bearer KEY'.");
}

static bool check_type(const struct exchange *x, struct api_error *error)
{
    const char *type = http_header(x, "Content-Type");
    if (strcmp(x->method, "POST") != 0) return true;
    if (type && strncasecmp(type, "application/json", 16) == 0) return true;
    return api_fail(error, 415, NULL, "unsupported_media_type",
                    "The body must be JSON, sent with 'Content-Type: application/json'.");
}

static bool check_all(struct exchange *x, struct api_error *error)
{
    const char *cross;
    if (!origin_is_allowed(x, &cross))
        return api_fail(error, 403, NULL, "origin_not_allowed",
                        "Requests from this origin are not allowed (--cors-origin allows them).");
    if (!x->route && x->allow)
        return api_fail(error, 405, NULL, "method_not_allowed", "%s does not answer %s; use %s.",
                        x->path, x->method, x->allow);
    if (!x->route)
        return api_fail(error, 404, NULL, "not_found", "There is nothing at %s %s.", x->method,
                        x->path);
    if (!x->route->open && !check_key(x, error)) return false;
    if (x->too_large)
        return api_fail(error, 413, NULL, "body_too_large",
                        "The body has more than %llu bytes, the most that this server takes.",
                        (unsigned long long)x->server->options.max_body);
    return check_type(x, error);
}

bool routes_check(struct exchange *x)
{
    struct api_error error = {0};
    const char *cross = NULL;
    if (strcmp(x->method, "OPTIONS") == 0 && origin_is_allowed(x, &cross) && cross) {
        x->status = 204;
        return false;
    }
    if (check_all(x, &error)) return true;
    answer_error(x, &error);
    return false;
}

/* Requests of the same key, or else from the same address, share one place in the queue's turns. */
static uint64_t fair_key(const struct exchange *x)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    const unsigned char *bytes = (const unsigned char *)&address;
    size_t n = 0;
    if (x->owner) return x->owner;
    if (x->fd < 0 || getpeername(x->fd, (struct sockaddr *)&address, &size) != 0) return 0;
    if (address.ss_family == AF_INET) {
        bytes = (const unsigned char *)&((struct sockaddr_in *)&address)->sin_addr;
        n = sizeof(struct in_addr);
    } else if (address.ss_family == AF_INET6) {
        bytes = (const unsigned char *)&((struct sockaddr_in6 *)&address)->sin6_addr;
        n = 8; /* a network of its own */
    }
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

void routes_answer(struct exchange *x)
{
    x->fair_key = fair_key(x);
    x->route->handler(x);
}

void routes_add_headers(const struct exchange *x, struct MHD_Response *response)
{
    const char *cross = NULL;
    if (!x->asset)
        MHD_add_response_header(response, "Content-Security-Policy",
                                "default-src 'none'; frame-ancestors 'none'");
    else asset_add_headers(x, response);
    if (!origin_is_allowed(x, &cross) || !cross) return;
    MHD_add_response_header(response, "Access-Control-Allow-Origin", cross);
    MHD_add_response_header(response, "Vary", "Origin");
    MHD_add_response_header(response, "Access-Control-Expose-Headers", "X-Request-Id");
    if (strcmp(x->method, "OPTIONS") != 0) return;
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, POST, DELETE");
    MHD_add_response_header(response, "Access-Control-Allow-Headers",
                            "Authorization, Content-Type, X-Api-Key, X-Request-Id, "
                            "Anthropic-Version, OpenAI-Beta");
    MHD_add_response_header(response, "Access-Control-Max-Age", "600");
}

static bool model_not_found(const struct exchange *x, const char *name, struct api_error *error)
{
    return api_fail(error, 404, "model", "model_not_found",
                    "The model '%.100s' does not exist here; '%s' does.", name,
                    x->server->names[0]);
}

bool check_model(struct exchange *x, const json_t *body, struct api_error *error)
{
    const char *name = NULL;
    if (!in_str(body, "", "model", &name, error)) return false;
    if (name && !server_has_model(x->server, name)) return model_not_found(x, name, error);
    struct vinci_utf8_stream stream = {0};
    char shown[3 * (sizeof x->model + 4)];
    if (!name) name = x->server->names[0];
    size_t n = strlen(name);
    if (n > sizeof x->model / 3 - 4) n = sizeof x->model / 3 - 4;
    n = vinci_utf8_stream_next(&stream, name, n, true, shown);
    memcpy(x->model, shown, n);
    x->model[n] = '\0';
    return true;
}

/* ---- small answers ------------------------------------------------------------------------- */

static void write_model(struct json_out *out, const struct server *server, const char *name)
{
    out_begin(out, '{');
    out_key_str(out, "id", name);
    out_key_str(out, "object", "model");
    out_key_int(out, "created", (int64_t)server->started);
    out_key_str(out, "owned_by", "vinci");
    out_key_int(out, "max_model_len", server->info.n_ctx);
    out_end(out, '}');
}

static void handle_models(struct exchange *x)
{
    struct json_out out = {.buf = &x->out};
    out_begin(&out, '{');
    out_key_str(&out, "object", "list");
    out_key(&out, "data");
    out_begin(&out, '[');
    for (size_t i = 0; i < x->server->n_names; i++)
        write_model(&out, x->server, x->server->names[i]);
    out_end(&out, ']');
    out_end(&out, '}');
    answer_written(x, &out);
}

static void handle_model(struct exchange *x)
{
    const char *name = x->path + strlen("/v1/models/");
    struct json_out out = {.buf = &x->out};
    struct api_error error;
    if (!server_has_model(x->server, name)) {
        model_not_found(x, name, &error);
        answer_error(x, &error);
        return;
    }
    write_model(&out, x->server, name);
    answer_written(x, &out);
}

static void answer_state(struct exchange *x, unsigned status, const char *text)
{
    struct json_out out = {.buf = &x->out};
    out_begin(&out, '{');
    out_key_str(&out, "status", text);
    out_end(&out, '}');
    answer_written(x, &out);
    if (x->status == 200) x->status = status;
}

/* Alive: restarting would not help. */
static void handle_health(struct exchange *x)
{
    struct loop_state state;
    loop_state(x->server->loop, &state);
    if (state.failed) answer_state(x, 503, "failed");
    else answer_state(x, 200, "ok");
}

/* Takes work. */
static void handle_ready(struct exchange *x)
{
    struct loop_state state;
    loop_state(x->server->loop, &state);
    if (state.failed) answer_state(x, 503, "failed");
    else if (atomic_load(&x->server->draining)) answer_state(x, 503, "shutting down");
    else answer_state(x, 200, "ok");
}

static void handle_version(struct exchange *x)
{
    struct json_out out = {.buf = &x->out};
    out_begin(&out, '{');
    out_key_str(&out, "version", vinci_version());
    out_end(&out, '}');
    answer_written(x, &out);
}

/* What was allocated and not freed; 0 where the C library does not tell. */
static uint64_t heap_bytes(void)
{
#ifdef HAS_MALLINFO2
    struct mallinfo2 info = mallinfo2();
    return (uint64_t)info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

static void handle_metrics(struct exchange *x)
{
    struct server *server = x->server;
    struct vinci_engine_info info;
    struct json_out out = {.buf = &x->out};
    struct loop_state state;
    loop_state(server->loop, &state);
    vinci_engine_info(server->engine, &info);
    uint32_t n = (uint32_t)state.n_jobs, n_begun = info.n_running + info.n_paused;
    struct metrics_now now = {
        .model = server->names[0],
        .n_running = info.n_running,
        .n_waiting = n > n_begun ? n - n_begun : 0,
        .n_paused = info.n_paused,
        .n_connections = http_n_connections(server->http),
        .kv_bytes = info.kv_bytes,
        .heap_bytes = heap_bytes(),
        .kv_use = info.kv_bytes_max ? (double)info.kv_bytes / (double)info.kv_bytes_max : 0,
        .n_preempted = info.n_preempted,
        .n_steps = info.n_steps,
    };
    x->content_type = "text/plain; version=0.0.4; charset=utf-8";
    out.failed = !metrics_write(&server->metrics, &now, &x->out);
    answer_written(x, &out);
}

static void handle_asset(struct exchange *x)
{
    asset_answer(x, asset_find(x->path));
}
