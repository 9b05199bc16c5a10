/* http.c - connections by libmicrohttpd, one thread each.
 *
 * libmicrohttpd limits the number of connections, the size of headers and the time that a socket
 * stands still. What it does not see is a client that sends a byte now and then: a watch, once a
 * second, gives every connection so much time for its header, its body and its idleness, whatever
 * arrives meanwhile, and shuts the socket of one that takes longer. */
#include "serve/http.h"

#include "base/clock.h"
#include "base/lang.h"
#include "serve/assets.h"
#include "serve/json_out.h"
#include "serve/routes.h"
#include "serve/server.h"
#include "serve/writer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEADER_BYTES_MAX (32 * 1024)
#define THREAD_STACK_BYTES (1024 * 1024)
/* What the kernel keeps for a client that reads slowly; else it would grow to megabytes. */
#define SEND_BYTES (128 * 1024)

enum phase { PHASE_IDLE, PHASE_HEADER, PHASE_BODY, PHASE_ANSWER };

struct peer {
    int fd;
    enum phase phase;
    double since;
    struct peer *next, *previous;
};

struct http {
    struct server *server;
    struct MHD_Daemon *daemon;
    int listen_fd;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct peer peers; /* head of the ring */
    uint32_t n_peers, n_busy;
    pthread_t watch;
    bool watching, ending;
};

/* ---- the watch ----------------------------------------------------------------------------- */

static void set_phase(struct http *http, struct peer *peer, enum phase phase)
{
    if (!peer) return;
    pthread_mutex_lock(&http->lock);
    if (phase == PHASE_ANSWER && peer->phase != PHASE_ANSWER) http->n_busy++;
    if (phase != PHASE_ANSWER && peer->phase == PHASE_ANSWER) http->n_busy--;
    peer->phase = phase;
    peer->since = seconds_now();
    pthread_mutex_unlock(&http->lock);
}

static void shut_overdue(struct http *http)
{
    const struct serve_options *options = &http->server->options;
    const double limits[] = {options->idle_seconds, options->header_seconds, options->body_seconds,
                             1e18};
    double now = seconds_now();
    for (struct peer *peer = http->peers.next; peer != &http->peers; peer = peer->next)
        if (now - peer->since > limits[peer->phase]) shutdown(peer->fd, SHUT_RDWR);
}

static void *watch(void *user)
{
    struct http *http = user;
    pthread_mutex_lock(&http->lock);
    while (!http->ending) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&http->wake, &http->lock, &until);
        shut_overdue(http);
    }
    pthread_mutex_unlock(&http->lock);
    return NULL;
}

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = user;
    struct peer *peer = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        peer = array_new_zero(1, sizeof *peer);
        if (!peer || !info) {
            free(peer);
            return;
        }
        peer->fd = info->connect_fd;
        peer->since = seconds_now();
        setsockopt(peer->fd, SOL_SOCKET, SO_SNDBUF, &(int){SEND_BYTES}, sizeof(int));
        pthread_mutex_lock(&http->lock);
        peer->next = &http->peers;
        peer->previous = http->peers.previous;
        peer->previous->next = peer->next->previous = peer;
        http->n_peers++;
        pthread_mutex_unlock(&http->lock);
        *context = peer;
    } else if (peer) {
        set_phase(http, peer, PHASE_IDLE);
        pthread_mutex_lock(&http->lock);
        peer->previous->next = peer->next;
        peer->next->previous = peer->previous;
        http->n_peers--;
        pthread_mutex_unlock(&http->lock);
        free(peer);
        *context = NULL;
    }
}

static struct peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* A request line has come. */
static void *on_uri(void *user, const char *uri, struct MHD_Connection *connection)
{
    (void)uri;
    set_phase(user, peer_of(connection), PHASE_HEADER);
    return NULL;
}

/* ---- an exchange --------------------------------------------------------------------------- */

const char *http_header(const struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

/* Every version of libmicrohttpd sends a stream in chunks then. */
static bool takes_chunks(struct exchange *x, const char *version)
{
    const char *wish = http_header(x, "Connection");
    return strcmp(version, "HTTP/1.1") == 0 && strcmp(x->method, "POST") == 0 && x->fd >= 0 &&
           (!wish || strcasecmp(wish, "keep-alive") == 0);
}

static struct exchange *exchange_new(struct http *http, struct MHD_Connection *connection,
                                     const char *method, const char *path)
{
    struct exchange *x = array_new_zero(1, sizeof *x);
    if (!x) return NULL;
    x->server = http->server;
    x->connection = connection;
    x->peer = peer_of(connection);
    x->fd = x->peer ? x->peer->fd : -1;
    x->arrived = seconds_now();
    x->content_type = "application/json";
    snprintf(x->method, sizeof x->method, "%s", method);
    snprintf(x->path, sizeof x->path, "%s", path);
    routes_begin(x);
    set_phase(http, x->peer, PHASE_BODY);
    return x;
}

static void exchange_free(struct exchange *x)
{
    if (x->free_stream) x->free_stream(x->stream);
    buf_free(&x->body);
    buf_free(&x->out);
    buf_free(&x->pending);
    buf_free(&x->unsent);
    free(x);
}

static void log_exchange(const struct exchange *x)
{
    const struct serve_options *options = &x->server->options;
    struct buf line = {0};
    struct json_out out = {.buf = &line};
    char time_text[40];
    struct timespec now;
    struct tm parts;
    if (!options->log) return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &parts);
    size_t n = strlen(time_text);
    snprintf(time_text + n, sizeof time_text - n, ".%03ldZ", now.tv_nsec / 1000000);
    out_begin(&out, '{');
    out_key_str(&out, "time", time_text);
    out_key_str(&out, "request_id", x->id);
    out_key_str(&out, "method", x->method);
    out_key(&out, "path");
    struct vinci_utf8_stream stream = {0};
    char path[3 * (sizeof x->path + 4)];
    out_text(&out, path, vinci_utf8_stream_next(&stream, x->path, strlen(x->path), true, path));
    out_key_int(&out, "status", x->status);
    out_key_real(&out, "seconds", seconds_now() - x->arrived);
    if (x->key) out_key_int(&out, "key", x->key);
    if (x->finish) {
        out_key_str(&out, "finish", x->finish);
        out_key_int(&out, "prompt_tokens", (int64_t)x->n_prompt);
        out_key_int(&out, "cached_tokens", (int64_t)x->n_cached);
        out_key_int(&out, "completion_tokens", (int64_t)x->n_generated);
    }
    if (options->log_prompts && x->body.size) {
        char *body = malloc(3 * (x->body.size + 4));
        struct vinci_utf8_stream utf8 = {0};
        out_key(&out, "body");
        if (body)
            out_text(&out, body,
                     vinci_utf8_stream_next(&utf8, x->body.data, x->body.size, true, body));
        else out_null(&out);
        free(body);
    }
    out_end(&out, '}');
    if (!out.failed) options->log(options->log_user, line.data);
    buf_free(&line);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct http *http = user;
    struct exchange *x = *context;
    (void)code;
    *context = NULL;
    set_phase(http, peer_of(connection), PHASE_IDLE);
    if (!x) return;
    if (x->free_stream) x->free_stream(x->stream); /* may still write what the log wants */
    x->free_stream = NULL;
    metrics_http(&http->server->metrics, x->status ? x->status : 499);
    if (x->status == 0) x->status = 499; /* the client left before an answer */
    if (!x->route || !x->route->quiet || x->status >= 400) log_exchange(x);
    exchange_free(x);
}

/* ---- answers ------------------------------------------------------------------------------- */

/* Sends what is pending as one chunk; what finds no room is `unsent`. libmicrohttpd has sent all
 * that was before, and what comes later goes through it or the same way. */
static bool send_chunk(struct exchange *x)
{
    char head[20];
    size_t n_head = (size_t)snprintf(head, sizeof head, "%zx\r\n", x->pending.size);
    struct iovec parts[] = {{head, n_head}, {x->pending.data, x->pending.size}, {"\r\n", 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    ssize_t sent = sendmsg(x->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    size_t n = sent > 0 ? (size_t)sent : 0;
    bool ok = true;
    for (size_t i = 0; i < 3; i++) {
        size_t here = n < parts[i].iov_len ? n : parts[i].iov_len;
        ok =
            ok && buf_append(&x->unsent, (char *)parts[i].iov_base + here, parts[i].iov_len - here);
        n -= here;
    }
    if (!ok) shutdown(x->fd, SHUT_RDWR); /* no memory: the stream cannot be kept whole */
    x->pending.size = 0;
    return x->unsent.size == 0 && ok;
}

/* For writer.c. */
static bool write_stream(void *user)
{
    struct exchange *x = user;
    x->stream_ended = !x->next(x->stream, 0, false, &x->pending);
    return !x->stream_ended && (x->pending.size == 0 || send_chunk(x));
}

/* The rest of a chunk, as the client takes it. */
static bool send_rest(struct exchange *x)
{
    int milliseconds = 1000 * (int)x->server->options.write_seconds;
    size_t n_sent = 0;
    while (n_sent < x->unsent.size) {
        struct pollfd room = {.fd = x->fd, .events = POLLOUT};
        if (poll(&room, 1, milliseconds) == 0) return false;
        ssize_t n = send(x->fd, x->unsent.data + n_sent, x->unsent.size - n_sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
        if (n > 0) n_sent += (size_t)n;
    }
    x->unsent.size = 0;
    return true;
}

/* While others write, libmicrohttpd sees nothing move: its clock stands. Returns whether there was
 * silence. */
static bool lend_stream(struct exchange *x)
{
    const struct serve_options *options = &x->server->options;
    MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    bool silent =
        !writer_lend(x->server->writer, x->waiter, options->keep_alive_seconds, write_stream, x);
    MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              (unsigned)options->write_seconds);
    return silent;
}

static ssize_t read_stream(void *user, uint64_t position, char *to, size_t max)
{
    struct exchange *x = user;
    double seconds = x->server->options.keep_alive_seconds;
    (void)position;
    if (x->pending_sent == x->pending.size) {
        x->pending.size = x->pending_sent = 0;
        while (!x->stream_ended && x->pending.size == 0) {
            bool lent = x->direct && x->stream_begun;
            bool silent = lent && lend_stream(x);
            if (x->unsent.size && !send_rest(x)) return MHD_CONTENT_READER_END_WITH_ERROR;
            if (x->stream_ended || x->pending.size) break;
            x->stream_ended = !x->next(x->stream, lent ? 0 : seconds, silent || !lent, &x->pending);
            x->stream_begun = true;
        }
        if (x->pending.size == 0) return MHD_CONTENT_READER_END_OF_STREAM;
    }
    size_t n = x->pending.size - x->pending_sent;
    if (n > max) n = max;
    memcpy(to, x->pending.data + x->pending_sent, n);
    x->pending_sent += n;
    return (ssize_t)n;
}

static void add_headers(struct exchange *x, struct MHD_Response *response)
{
    char number[16];
    MHD_add_response_header(response, "Content-Type", x->content_type);
    MHD_add_response_header(response, "X-Request-Id", x->id);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (x->next) {
        MHD_add_response_header(response, "Cache-Control", "no-cache");
        MHD_add_response_header(response, "X-Accel-Buffering", "no");
    }
    if (x->allow) MHD_add_response_header(response, "Allow", x->allow);
    if (x->retry_after) {
        snprintf(number, sizeof number, "%u", x->retry_after);
        MHD_add_response_header(response, "Retry-After", number);
    }
    if (x->status == 401) MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    routes_add_headers(x, response);
}

static struct MHD_Response *new_asset(const struct exchange *x)
{
    const char *data = x->asset_packed ? x->asset->packed : x->asset->data;
    const char *end = x->asset_packed ? x->asset->packed_end : x->asset->end;
    return MHD_create_response_from_buffer((size_t)(end - data), (void *)(uintptr_t)data,
                                           MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result send_answer(struct exchange *x)
{
    struct MHD_Response *response = NULL;
    x->answered = true;
    if (x->next)
        response =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 * 1024, read_stream, x, NULL);
    else if (x->asset && x->status == 200) response = new_asset(x);
    else
        response = MHD_create_response_from_buffer(x->out.size, x->out.data ? x->out.data : "",
                                                   MHD_RESPMEM_MUST_COPY);
    if (!response) return MHD_NO;
    add_headers(x, response);
    enum MHD_Result queued = MHD_queue_response(x->connection, x->status, response);
    MHD_destroy_response(response);
    return queued;
}

/* Everything has arrived: the handler may take long, so libmicrohttpd's clock stands meanwhile. */
static enum MHD_Result answer(struct http *http, struct exchange *x)
{
    MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    set_phase(http, x->peer, PHASE_ANSWER);
    routes_answer(x);
    MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              (unsigned)http->server->options.write_seconds);
    return send_answer(x);
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n_data, void **context)
{
    struct http *http = user;
    struct exchange *x = *context;
    uint64_t max = http->server->options.max_body;
    if (!x) {
        *context = x = exchange_new(http, connection, method, path);
        if (!x) return MHD_NO;
        x->direct = takes_chunks(x, version);
        const char *length = http_header(x, "Content-Length");
        if (length && strtoull(length, NULL, 10) > max) x->too_large = true;
        if (!routes_check(x)) return send_answer(x); /* before the body, which is not read then */
        return MHD_YES;
    }
    if (x->answered) return MHD_YES;
    if (*n_data) {
        if (x->body.size + *n_data > max)
            return MHD_NO; /* no length was told, and it is too much */
        bool kept = buf_append(&x->body, data, *n_data);
        *n_data = 0;
        return kept ? MHD_YES : MHD_NO;
    }
    return answer(http, x);
}

/* ---- beginning and end --------------------------------------------------------------------- */

static enum vinci_status listen_on(struct http *http, struct vinci_error *err)
{
    const struct serve_options *options = &http->server->options;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    char port[8];
    int on = 1, code;
    snprintf(port, sizeof port, "%u", options->port);
    code = getaddrinfo(options->host, port, &hints, &found);
    if (code) return fail(err, VINCI_USAGE, "--host %s: %s", options->host, gai_strerror(code));
    http->listen_fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = http->listen_fd >= 0 &&
              setsockopt(http->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(http->listen_fd, found->ai_addr, found->ai_addrlen) == 0 &&
              listen(http->listen_fd, 511) == 0;
    freeaddrinfo(found);
    if (ok) return VINCI_OK;
    return fail(err, VINCI_IO, "cannot listen on %s port %u: %s", options->host, options->port,
                _(strerror(errno)));
}

static void log_nothing(void *user, const char *format, va_list args)
{
    (void)user;
    (void)format;
    (void)args;
}

enum vinci_status http_start(struct http **out, struct server *server, struct vinci_error *err)
{
    const struct serve_options *options = &server->options;
    *out = NULL;
    struct http *http = array_new_zero(1, sizeof *http);
    if (!http) return fail_memory(err, sizeof *http, "the HTTP server");
    http->server = server;
    http->listen_fd = -1;
    http->peers.next = http->peers.previous = &http->peers;
    pthread_mutex_init(&http->lock, NULL);
    pthread_cond_init(&http->wake, NULL);
    enum vinci_status status = listen_on(http, err);
    if (status == VINCI_OK) {
        http->watching = pthread_create(&http->watch, NULL, watch, http) == 0;
        if (!http->watching) status = fail(err, VINCI_FAILED, "cannot start a thread");
    }
    if (status == VINCI_OK) {
        *out = http; /* before the first request, whose thread may want it */
        http->daemon = MHD_start_daemon(
            MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
                MHD_USE_ITC | MHD_USE_ERROR_LOG,
            0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, log_nothing, NULL,
            MHD_OPTION_LISTEN_SOCKET, http->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
            (unsigned)options->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
            (size_t)HEADER_BYTES_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)options->write_seconds, MHD_OPTION_THREAD_STACK_SIZE,
            (size_t)THREAD_STACK_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
            MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_URI_LOG_CALLBACK, on_uri,
            http, MHD_OPTION_END);
        if (!http->daemon) status = fail(err, VINCI_FAILED, "libmicrohttpd cannot start");
    }
    if (status != VINCI_OK) {
        *out = NULL;
        http_stop(http);
    }
    return status;
}

uint16_t http_port(const struct http *http)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(http->listen_fd, (struct sockaddr *)&address, &size) != 0) return 0;
    if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

uint32_t http_n_connections(struct http *http)
{
    pthread_mutex_lock(&http->lock);
    uint32_t n = http->n_peers;
    pthread_mutex_unlock(&http->lock);
    return n;
}

uint32_t http_n_busy(struct http *http)
{
    pthread_mutex_lock(&http->lock);
    uint32_t n = http->n_busy;
    pthread_mutex_unlock(&http->lock);
    return n;
}

void http_refuse_new(struct http *http)
{
    MHD_socket fd = MHD_quiesce_daemon(http->daemon);
    if (fd != MHD_INVALID_SOCKET) close(fd);
    http->listen_fd = -1;
}

void http_stop(struct http *http)
{
    if (!http) return;
    if (http->daemon) MHD_stop_daemon(http->daemon); /* closes the socket too */
    else if (http->listen_fd >= 0) close(http->listen_fd);
    if (http->watching) {
        pthread_mutex_lock(&http->lock);
        http->ending = true;
        pthread_cond_signal(&http->wake);
        pthread_mutex_unlock(&http->lock);
        pthread_join(http->watch, NULL);
    }
    pthread_cond_destroy(&http->wake);
    pthread_mutex_destroy(&http->lock);
    free(http);
}
