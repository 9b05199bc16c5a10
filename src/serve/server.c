/* server.c - puts the parts together: start, shutdown, names and dates. */
#include "serve/server.h"

#include "base/buf.h"
#include "serve/http.h"
#include "serve/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_BYTES_MAX ((size_t)256 << 20)

void serve_options_init(struct serve_options *options)
{
    *options = (struct serve_options){
        .host = "127.0.0.1",
        .port = 8000,
        .max_connections = 512,
        .max_queue = 256,
        .max_stored = 1000,
        .max_body = 16 << 20,
        .header_seconds = 15,
        .body_seconds = 120,
        .idle_seconds = 75,
        .write_seconds = 60,
        .keep_alive_seconds = 10,
    };
}

bool serve_is_local(const struct serve_options *options)
{
    const char *host = options->host;
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

const char *server_date(const struct server *server, char text[16])
{
    const char *fixed = server->options.date;
    time_t now = time(NULL);
    struct tm parts;
    if (fixed) return strcmp(fixed, "none") == 0 ? NULL : fixed;
    gmtime_r(&now, &parts);
    strftime(text, 16, "%Y-%m-%d", &parts);
    return text;
}

bool server_has_model(const struct server *server, const char *name)
{
    for (size_t i = 0; i < server->n_names; i++)
        if (strcmp(server->names[i], name) == 0) return true;
    return server->any_name;
}

static bool add_name(struct server *server, const char *name, size_t n)
{
    char **names = realloc(server->names, (server->n_names + 1) * sizeof *names);
    if (!names) return false;
    server->names = names;
    names[server->n_names] = text_copy(name, n);
    return names[server->n_names] && ++server->n_names;
}

/* From --alias, else the last part of the model's path. */
static bool set_names(struct server *server)
{
    const char *list = server->options.names, *path = vinci_engine_model(server->engine)->path;
    bool ok = true;
    while (ok && list && *list) {
        size_t n = strcspn(list, ",");
        if (n == 1 && *list == '*') server->any_name = true;
        else if (n) ok = add_name(server, list, n);
        list += n + (list[n] == ',');
    }
    if (!ok || server->n_names) return ok;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    size_t begin = n;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    return n > begin ? add_name(server, path + begin, n - begin) : add_name(server, "gpt-oss", 7);
}

enum vinci_status serve_start(struct server **out, struct vinci_engine *engine,
                              const struct vinci_tokenizer *tokenizer,
                              const struct serve_options *options, struct vinci_error *err)
{
    *out = NULL;
    struct server *server = array_new_zero(1, sizeof *server);
    if (!server) return fail_memory(err, sizeof *server, "the server");
    server->options = *options;
    server->engine = engine;
    server->tokenizer = tokenizer;
    server->started = time(NULL);
    atomic_init(&server->draining, false);
    metrics_init(&server->metrics);
    vinci_engine_info(engine, &server->info);
    enum vinci_status status = VINCI_OK;
    if (!set_names(server)) status = fail_memory(err, 256, "the model's name");
    if (status == VINCI_OK) status = keys_open(&server->keys, options->api_key_file, err);
    if (status == VINCI_OK)
        status = store_open(&server->store, options->max_stored, STORE_BYTES_MAX, err);
    if (status == VINCI_OK) status = writer_start(&server->writer, err);
    if (status == VINCI_OK)
        status = loop_start(&server->loop, engine, &server->metrics, options->max_queue, err);
    if (status == VINCI_OK) status = http_start(&server->http, server, err);
    if (status == VINCI_OK) *out = server;
    else serve_stop(server);
    return status;
}

void serve_address(const struct server *server, char *text, size_t size)
{
    const char *host = server->options.host;
    const char *form = strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u";
    snprintf(text, size, form, host, http_port(server->http));
}

enum vinci_status serve_reload_keys(struct server *server, struct vinci_error *err)
{
    return keys_reload(server->keys, err);
}

void serve_drain(struct server *server)
{
    if (atomic_exchange(&server->draining, true)) return;
    http_refuse_new(server->http);
    loop_refuse(server->loop);
}

bool serve_is_idle(struct server *server)
{
    struct loop_state state;
    loop_state(server->loop, &state);
    return state.n_jobs == 0 && http_n_busy(server->http) == 0;
}

bool serve_has_failed(struct server *server)
{
    struct loop_state state;
    loop_state(server->loop, &state);
    return state.failed;
}

void serve_stop(struct server *server)
{
    if (!server) return;
    if (server->http) {
        serve_drain(server);
        loop_cancel_all(server->loop);
        for (int i = 0; i < 200 && !serve_is_idle(server); i++) /* clients are told */
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    http_stop(server->http); /* waits for the connections' threads, which wait for their jobs */
    loop_stop(server->loop);
    writer_stop(server->writer);
    store_close(server->store);
    keys_close(server->keys);
    metrics_release(&server->metrics);
    for (size_t i = 0; i < server->n_names; i++) free(server->names[i]);
    free(server->names);
    free(server);
}
