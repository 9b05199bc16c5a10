/* http.h - one exchange: a request's method, path and body in; a status and a body, or a stream of
 * server-sent events, out. */
#ifndef VINCI_SERVE_HTTP_H
#define VINCI_SERVE_HTTP_H

#include "base/buf.h"
#include "serve/json_in.h"

struct server;
struct asset;
struct peer;
struct MHD_Connection;

/* Appends what is to be sent next to `out`, waiting at most so many seconds for it; then, if it is
 * to `speak`, a sign that it is still alive. False: what was appended is the last. */
typedef bool stream_next_fn(void *stream, double seconds, bool speak, struct buf *out);
typedef void stream_free_fn(void *stream);

struct exchange {
    struct server *server;
    struct MHD_Connection *connection;
    struct peer *peer;
    int fd; /* the client's socket */
    char method[8], path[256];
    char id[40]; /* "req_..." */
    double arrived;
    const struct route *route; /* NULL: there is none */
    uint32_t key;              /* which API key, from 1; 0: none */
    uint64_t owner;            /* goes with the key; 0: no keys are asked for */
    uint64_t fair_key;         /* whose turn it takes: the key's, else the address's */
    struct buf body;
    bool too_large, answered;

    /* The answer, by the handler. */
    unsigned status;
    const char *content_type; /* "application/json" */
    const char *allow;        /* for 405 */
    uint32_t retry_after;     /* seconds, 0: none */
    struct buf out;
    const struct asset *asset; /* instead of `out` */
    bool asset_packed;
    stream_next_fn *next; /* NULL: `out` is the answer */
    stream_free_fn *free_stream;
    void *stream;
    struct buf pending; /* of the stream: produced and not yet sent */
    size_t pending_sent;
    bool stream_begun, stream_ended;
    struct waiter *waiter; /* of the stream */
    bool direct;           /* its events may go straight to the socket, as chunks of HTTP/1.1 */
    struct buf unsent;     /* the rest of such a chunk */

    char model[256]; /* as the request names it, cut to fit */

    /* For the log. */
    size_t n_prompt, n_cached, n_generated;
    const char *finish;
};

/* Starts to listen; answers go through routes.c. */
struct http;
enum vinci_status http_start(struct http **out, struct server *server, struct vinci_error *err);
uint16_t http_port(const struct http *http);
uint32_t http_n_connections(struct http *http);
uint32_t http_n_busy(struct http *http); /* exchanges that are not answered to the end */
void http_refuse_new(struct http *http);
void http_stop(struct http *http);

/* A header of the request, NULL if it is not there. */
const char *http_header(const struct exchange *exchange, const char *name);

#endif
