/* test_slow.c - clients that trickle, stand still or do not read: each is shut out in its time, and
 * meanwhile the server answers others. The program's limits are minutes; here they are a second. */
#include "base/clock.h"
#include "serve/serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#undef fail
#include <cmocka.h>

#define MODEL TEST_VECTORS "/../../models/nano"

static struct vinci_engine *engine;
static struct vinci_tokenizer *tokenizer;
static struct server *server;
static uint16_t port;
static const char *version = "1.0"; /* of HTTP; with 1.1 streams come in chunks, by writer.c */

static void open_server(unsigned write_seconds)
{
    struct serve_options serve;
    struct vinci_error err;
    char address[64];
    serve_options_init(&serve);
    serve.port = 0;
    serve.max_connections = 40;
    serve.header_seconds = serve.idle_seconds = serve.body_seconds = 1;
    serve.write_seconds = write_seconds;
    serve.keep_alive_seconds = 1;
    if (serve_start(&server, engine, tokenizer, &serve, &err)) fail_msg("%s", err.text);
    serve_address(server, address, sizeof address);
    port = (uint16_t)atoi(strrchr(address, ':') + 1);
}

static void close_server(void)
{
    serve_stop(server);
    server = NULL;
}

static int set_up(void **state)
{
    (void)state;
    struct vinci_engine_options options;
    struct vinci_error err;
    vinci_engine_options_init(&options);
    options.model = MODEL;
    options.n_threads = 1;
    options.n_seqs = 2;
    if (vinci_engine_open(&engine, &options, &err) ||
        vinci_tokenizer_open(&tokenizer, MODEL, &err)) {
        print_message("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    serve_stop(server);
    vinci_tokenizer_close(tokenizer);
    vinci_engine_close(engine);
    return 0;
}

/* ---- clients ------------------------------------------------------------------------------- */

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){128 * 1024}, sizeof(int));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* False: the server has shut the connection. */
static bool say(int fd, const char *text, size_t n)
{
    return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static int ask(const char *body)
{
    char text[1024];
    int fd = dial();
    int n = snprintf(text, sizeof text,
                     "POST /v1/chat/completions HTTP/%s\r\nHost: localhost\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     version, strlen(body), body);
    assert_true(say(fd, text, (size_t)n));
    return fd;
}

/* Everything that still comes; false when nothing does for 20 s. */
static bool hear(int fd, char *text, size_t size, size_t *n)
{
    *n = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        char rest[4096];
        if (poll(&wait, 1, 20000) != 1) return false;
        bool room = *n + 1 < size;
        ssize_t got = recv(fd, room ? text + *n : rest, room ? size - 1 - *n : sizeof rest, 0);
        if (got <= 0) break;
        if (room) *n += (size_t)got;
    }
    text[*n] = '\0';
    close(fd);
    return true;
}

#define QUESTION \
    "\"messages\":[{\"role\":\"user\",\"content\":\"What is vinci?\"}],\"temperature\":0"

/* The server answers somebody else, soon. */
static void others_are_served(void)
{
    static char text[65536];
    size_t n;
    double start = seconds_now();
    assert_true(hear(ask("{" QUESTION ",\"max_tokens\":20}"), text, sizeof text, &n));
    assert_non_null(strstr(text, " 200 OK\r\n"));
    assert_non_null(strstr(text, "\"completion_tokens\":20"));
    assert_true(seconds_now() - start < 5);
}

/* ---- those that trickle -------------------------------------------------------------------- */

#define POST \
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

/* What they send, and then a byte each 0.1 s; 0: nothing more. */
static struct trickle {
    const char *opening;
    char byte;
    int fd;
    double seconds; /* until it was shut */
} trickles[] = {
    {POST "X: ", 'a', -1, 0},
    {"POS", 'T', -1, 0}, /* not even a line */
    {POST "Content-Length: 1000000\r\n\r\n{", ' ', -1, 0},
    {POST "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", '0', -1, 0},
    {"", 0, -1, 0},
    {"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 0, -1, 0}, /* kept alive, silent */
};
enum { N_TRICKLES = sizeof trickles / sizeof *trickles };

static bool is_shut(struct trickle *client)
{
    struct pollfd wait = {.fd = client->fd, .events = POLLIN};
    char text[512];
    if (poll(&wait, 1, 0) > 0 && recv(client->fd, text, sizeof text, 0) <= 0) return true;
    return client->byte && !say(client->fd, &client->byte, 1);
}

/* Each is shut within its second, whatever trickles in, and others are served all the time. */
static void test_trickling(void **state)
{
    (void)state;
    open_server(60);
    double start = seconds_now();
    size_t n_open = N_TRICKLES;
    for (size_t i = 0; i < N_TRICKLES; i++) {
        trickles[i].fd = dial();
        assert_true(say(trickles[i].fd, trickles[i].opening, strlen(trickles[i].opening)));
    }
    while (n_open && seconds_now() - start < 10) {
        for (size_t i = 0; i < N_TRICKLES; i++) {
            struct trickle *client = &trickles[i];
            if (client->fd < 0 || !is_shut(client)) continue;
            close(client->fd);
            client->fd = -1;
            client->seconds = seconds_now() - start;
            n_open--;
        }
        others_are_served();
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    for (size_t i = 0; i < N_TRICKLES; i++) {
        print_message("%.20s...: %.1f s\n", trickles[i].opening, trickles[i].seconds);
        assert_true(trickles[i].seconds > 0.9);
        assert_true(trickles[i].seconds < 8);
    }
    close_server();
}

/* All connections taken by silent ones: those that come later are let in once they are shut. */
static void test_all_connections(void **state)
{
    (void)state;
    int fds[40];
    open_server(60);
    for (size_t i = 0; i < 40; i++) fds[i] = dial();
    nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 500000000}, NULL);
    others_are_served();
    for (size_t i = 0; i < 40; i++) close(fds[i]);
    close_server();
}

/* ---- those that do not read ---------------------------------------------------------------- */

#define LONG \
    "{" QUESTION ",\"stream\":true,\"ignore_eos\":true,\"max_tokens\":2000,\"logprobs\":true," \
    "\"top_logprobs\":20}"
enum { ANSWER_BYTES = 16 << 20, LONG_TOKENS = 2000 };

/* Leaves the chunks' contents; the text must begin with a header that announces them. False: they
 * are not whole. */
static bool join_chunks(char *text)
{
    char *to = strstr(text, "\r\n\r\n"), *at = to ? to + 4 : NULL, *end = text + strlen(text);
    if (!at || !strcasestr(text, "Transfer-Encoding: chunked")) return false;
    for (;;) {
        size_t n = strtoul(at, &at, 16);
        if (strncmp(at, "\r\n", 2) != 0 || n > (size_t)(end - at)) return false;
        memmove(to, at + 2, n);
        to += n;
        at += 2 + n;
        if (strncmp(at, "\r\n", 2) != 0) return false;
        at += 2;
        if (n == 0) break;
    }
    *to = '\0';
    return at == end;
}

/* From the events' first content on: ids and times differ. */
static size_t contents(char *text)
{
    size_t n = 0;
    if (version[2] == '1') assert_true(join_chunks(text));
    assert_non_null(strstr(text, "data: [DONE]"));
    for (char *at = text; (at = strstr(at, "\"choices\":")); at++) {
        size_t size = strcspn(at, "\n");
        memmove(text + n, at, size);
        n += size;
        at += size;
    }
    text[n] = '\0';
    return n;
}

/* As many slow readers as places: they are held, others are served, and what they read in the end
 * is what a fast one reads. */
static void test_slow_readers(void **state)
{
    (void)state;
    char *fast = malloc(ANSWER_BYTES), *slow = malloc(ANSWER_BYTES);
    size_t n_fast, n_slow;
    int fds[3];
    assert_true(fast && slow);
    open_server(60);
    assert_true(hear(ask(LONG), fast, ANSWER_BYTES, &n_fast));
    n_fast = contents(fast);
    for (size_t i = 0; i < 3; i++) fds[i] = ask(LONG);
    struct vinci_engine_info info = {0};
    for (int i = 0; i < 1600 && info.n_paused < 3; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        vinci_engine_info(engine, &info);
    }
    assert_int_equal(info.n_paused, 3);
    others_are_served();
    for (size_t i = 0; i < 3; i++) {
        assert_true(hear(fds[i], slow, ANSWER_BYTES, &n_slow));
        n_slow = contents(slow);
        assert_int_equal(n_slow, n_fast);
        assert_memory_equal(slow, fast, n_fast);
    }
    free(fast);
    free(slow);
    close_server();
}

/* One that reads nothing at all is let go. */
static void test_no_reader(void **state)
{
    (void)state;
    struct vinci_engine_info before, info;
    open_server(1);
    vinci_engine_info(engine, &before);
    int fd = ask(LONG);
    double start = seconds_now();
    do {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        vinci_engine_info(engine, &info);
    } while (seconds_now() - start < 15 &&
             (seconds_now() - start < 0.9 || info.n_running || info.n_paused));
    assert_int_equal(info.n_running + info.n_paused, 0);
    assert_true(info.n_generated_tokens - before.n_generated_tokens < LONG_TOKENS);
    close(fd);
    others_are_served();
    close_server();
}

/* The same as HTTP/1.1. */
static void test_chunked_slow_readers(void **state)
{
    version = "1.1";
    test_slow_readers(state);
    version = "1.0";
}

static void test_chunked_no_reader(void **state)
{
    version = "1.1";
    test_no_reader(state);
    version = "1.0";
}

/* A stream that waits for its turn longer than a connection may stand still: a comment a second
 * tells that it lives, and then it comes whole, which takes as long again. */
static void test_chunked_silence(void **state)
{
    (void)state;
    static char text[ANSWER_BYTES];
    size_t n;
    int fds[4];
    version = "1.1";
    open_server(1);
    for (size_t i = 0; i < 4; i++)
        fds[i] = ask("{" QUESTION ",\"ignore_eos\":true,\"max_tokens\":3000}");
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    int last = ask(LONG);
    assert_true(hear(last, text, sizeof text, &n));
    assert_non_null(strstr(text, ": keep-alive\n\n"));
    contents(text);
    for (size_t i = 0; i < 4; i++) {
        assert_true(hear(fds[i], text, sizeof text, &n));
        assert_non_null(strstr(text, "\"completion_tokens\":3000"));
    }
    version = "1.0";
    close_server();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trickling),
        cmocka_unit_test(test_all_connections),
        cmocka_unit_test(test_slow_readers),
        cmocka_unit_test(test_no_reader),
        cmocka_unit_test(test_chunked_slow_readers),
        cmocka_unit_test(test_chunked_no_reader),
        cmocka_unit_test(test_chunked_silence),
    };
    return cmocka_run_group_tests_name("slow", tests, set_up, tear_down);
}
