/* serve.h - the HTTP server: the OpenAI API (and Anthropic's messages) over one engine.
 *
 *   http.c         connections, bodies, limits, streams          (libmicrohttpd)
 *   routes.c       paths to handlers, keys, origins; assets.c    files served as they are
 *   chat.c  responses.c  completions.c  messages.c  tokens.c     the APIs' answers, with *_in.c
 *   call.c         the way of every answer, whole or streamed
 *   params.c       what every body becomes                       json_in.c  json_out.c
 *   generation.c   prompts out, tokens in, items                 logprobs.c
 *   loop.c         the engine's thread                           metrics.c  keys.c  store.c
 *   writer.c       the thread that writes streams
 *
 * The one decision: a thread for each connection, which parses, waits and writes, and one thread
 * for the engine, which does nothing else. They meet in loop.c alone. While a stream's client keeps
 * up, writer.c's thread writes for the connection's. */
#ifndef VINCI_SERVE_SERVE_H
#define VINCI_SERVE_SERVE_H

#include "base/status.h"

/* One line of JSON without a newline; called from any thread. */
typedef void serve_log_fn(void *user, const char *line);

struct serve_options {
    const char *host;  /* "127.0.0.1" */
    uint16_t port;     /* 0: the system chooses */
    const char *names; /* of the model, by commas; "*" accepts any; NULL: the folder's name */
    const char *api_key_file; /* NULL: no keys are asked for */
    const char *cors_origins; /* by commas, "*" for all; NULL: none */
    const char *date;         /* of the system message; NULL: today's, "none": none */
    uint32_t max_connections, max_queue;
    uint32_t max_tokens; /* of an answer, 0: as far as the context goes */
    uint32_t max_stored; /* responses kept for previous_response_id */
    uint64_t max_body;   /* bytes */
    uint32_t header_seconds, body_seconds, idle_seconds, write_seconds, keep_alive_seconds;
    bool log_prompts;
    bool no_web_page;  /* nothing at "/" */
    serve_log_fn *log; /* NULL: no log */
    void *log_user;
};

void serve_options_init(struct serve_options *options);

/* Whether the host is a loopback address: only this machine reaches it. */
bool serve_is_local(const struct serve_options *options);

struct server;

/* Listens and answers from here on. The engine and the tokenizer must outlive the server; nobody
 * else may step the engine meanwhile. */
enum vinci_status serve_start(struct server **out, struct vinci_engine *engine,
                              const struct vinci_tokenizer *tokenizer,
                              const struct serve_options *options, struct vinci_error *err);

/* "http://127.0.0.1:8000" */
void serve_address(const struct server *server, char *text, size_t size);

/* Reads the key file again; on failure the old keys stay. */
enum vinci_status serve_reload_keys(struct server *server, struct vinci_error *err);

/* Accepts nothing more; what is under way goes on. */
void serve_drain(struct server *server);

/* Nothing is under way. */
bool serve_is_idle(struct server *server);

/* The engine cannot go on. */
bool serve_has_failed(struct server *server);

/* Ends everything, cancelling what is under way. Accepts NULL. */
void serve_stop(struct server *server);

#endif
