/* server.h - what the parts of the server share: the engine, its loop, keys, metrics, options. */
#ifndef VINCI_SERVE_SERVER_H
#define VINCI_SERVE_SERVER_H

#include "serve/keys.h"
#include "serve/loop.h"
#include "serve/metrics.h"
#include "serve/serve.h"
#include "serve/store.h"

#include <time.h>

struct http;

struct server {
    struct serve_options options;
    struct vinci_engine *engine;
    const struct vinci_tokenizer *tokenizer;
    struct vinci_engine_info info; /* at the start */
    char **names;                  /* [n_names] of the model, the first is the one shown */
    size_t n_names;
    bool any_name;
    time_t started;
    struct metrics metrics;
    struct loop *loop;
    struct writer *writer;
    struct keys *keys;
    struct store *store;
    struct http *http;
    atomic_bool draining;
};

/* The date for the system message: fixed, none (NULL) or today's, in UTC. */
const char *server_date(const struct server *server, char text[16]);

/* Whether the model is known by this name. */
bool server_has_model(const struct server *server, const char *name);

#endif
