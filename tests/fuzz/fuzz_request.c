/* fuzz_request.c - any body on any path, through the handlers of a server with the demonstration
 * model, which generates a few tokens: no crash, no leak, and never an error of the server's own;
 * what comes back is JSON, whole or as events. The first byte chooses the path; of paths that take
 * no body the rest is the end of the path. */
#include "serve/http.h"
#include "serve/request_case.h"
#include "serve/routes.h"
#include "serve/serve.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *method, *path;
} targets[] = {
    {"POST", "/v1/chat/completions"},
    {"POST", "/v1/responses"},
    {"POST", "/v1/messages"},
    {"POST", "/v1/completions"},
    {"POST", "/v1/messages/count_tokens"},
    {"POST", "/tokenize"},
    {"POST", "/detokenize"},
    {"GET", "/v1/responses/"},
    {"DELETE", "/v1/responses/"},
    {"GET", "/v1/models/"},
    {"GET", "/"},
};
enum { N_TARGETS = sizeof targets / sizeof *targets };

static struct server *start(void)
{
    struct vinci_engine_options engine_options;
    struct serve_options options;
    struct vinci_engine *engine = NULL;
    struct server *server = NULL;
    struct vinci_error err;
    vinci_engine_options_init(&engine_options);
    engine_options.model = TEST_VECTORS "/../../models/nano";
    engine_options.n_threads = 1;
    engine_options.n_ctx = 1024;
    engine_options.prefix_cache = true;
    serve_options_init(&options);
    options.port = 0;
    options.max_tokens = 3;
    options.max_stored = 8;
    options.keep_alive_seconds = 600;
    if (vinci_engine_open(&engine, &engine_options, &err) ||
        serve_start(&server, engine, request_tokenizer(), &options, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return server;
}

static void is_json(const char *text, size_t n)
{
    json_error_t error;
    json_t *json = json_loadb(text, n, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    /* Log-probabilities are told by tokens' texts, and one token is a NUL: JSON, but not jansson's.
     */
    if (!json && json_error_code(&error) == json_error_null_byte_in_key) return;
    if (!json) {
        fprintf(stderr, "no JSON (%s): %.*s\n", error.text, (int)n, text);
        abort();
    }
    json_decref(json);
}

static void are_events(const struct buf *out)
{
    const char *at = out->data, *end = out->data + out->size;
    while (at && at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        size_t n = line ? (size_t)(line - at) : (size_t)(end - at);
        if (n > 6 && memcmp(at, "data: ", 6) == 0 && memcmp(at + 6, "[DONE]", 6) != 0)
            is_json(at + 6, n - 6);
        at = line ? line + 1 : end;
    }
}

static void check(const struct exchange *x)
{
    bool overloaded = x->status == 503 && memmem(x->out.data, x->out.size, "server_overloaded", 17);
    if (x->status != 200 && (x->status < 400 || x->status >= 500) && !overloaded) {
        fprintf(stderr, "%u: %.*s\n", x->status, (int)x->out.size, x->out.data);
        abort();
    }
    if (x->next) are_events(&x->out);
    else if (!x->asset) is_json(x->out.data, x->out.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct server *server;
    struct exchange x = {.fd = -1, .content_type = "application/json"};
    if (!server) server = start();
    if (!size) return 0;
    size_t target = data[0] % N_TARGETS;
    x.server = server;
    snprintf(x.method, sizeof x.method, "%s", targets[target].method);
    snprintf(x.path, sizeof x.path, "%s", targets[target].path);
    if (x.method[0] == 'P') buf_append(&x.body, (const char *)data + 1, size - 1);
    else
        snprintf(x.path, sizeof x.path, "%s%.*s", targets[target].path, (int)size - 1,
                 (const char *)data + 1);
    routes_begin(&x);
    if (x.route) {
        x.route->handler(&x);
        while (x.next && x.next(x.stream, 10, true, &x.out)) {}
        check(&x);
    }
    if (x.free_stream) x.free_stream(x.stream);
    buf_free(&x.body);
    buf_free(&x.out);
    return 0;
}
