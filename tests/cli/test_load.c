/* test_load.c - the parts of `vinci bench serve` that can be checked without a server: events out
 * of a stream cut anywhere, percentiles, the distribution of gaps. */
#include "bench/load.h"
#include "bench/sse.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void collect(void *user, const char *data, size_t n)
{
    struct buf *events = user;
    assert_int_equal(strlen(data), n);
    assert_true(buf_printf(events, "[%s]", data));
}

static void test_events(void **state)
{
    (void)state;
    static const char stream[] = ": a comment\n\n"
                                 "data: one\n\n"
                                 "event: x\r\ndata: two\r\ndata:lines\r\n\r\n"
                                 "id: 1\rdata\r\r"
                                 "datab: no\n\n"
                                 "data: [DONE]\n\n"
                                 "data: unfinished\n";
    static const char expected[] = "[one][two\nlines][][[DONE]]";
    for (size_t piece = 1; piece <= sizeof stream; piece++) {
        struct sse sse = {0};
        struct buf events = {0};
        for (size_t i = 0; i < sizeof stream - 1; i += piece) {
            size_t left = sizeof stream - 1 - i;
            assert_true(sse_push(&sse, stream + i, left < piece ? left : piece, collect, &events));
        }
        assert_string_equal(events.data, expected);
        sse_free(&sse);
        buf_free(&events);
    }
}

static void test_percentiles(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3, 10};
    static const double expected[][2] = {{0, 1}, {50, 2.5}, {100, 10}, {90, 7.9}, {99, 9.79}};
    for (size_t i = 0; i < 5; i++)
        assert_true(fabs(load_percentile(x, 4, expected[i][0]) - expected[i][1]) < 1e-9);
    assert_true(load_percentile(x, 1, 99) == 1);
}

/* Mean 1 / rate; variance 1 / (burstiness rate^2). */
static void test_gaps(void **state)
{
    (void)state;
    static const double shapes[] = {.3, 1, 4};
    enum { N = 20000 };
    for (size_t i = 0; i < 3; i++) {
        double sum = 0, squares = 0;
        for (uint32_t k = 0; k < N; k++) {
            double gap = load_gap(7, k, 2, shapes[i]);
            assert_true(gap >= 0 && isfinite(gap));
            sum += gap;
            squares += gap * gap;
        }
        double mean = sum / N, variance = squares / N - mean * mean;
        assert_true(fabs(mean - .5) < .02);
        if (fabs(variance * 4 * shapes[i] - 1) > .1)
            fail_msg("burstiness %g: variance %g", shapes[i], variance);
    }
    assert_true(load_gap(7, 3, 2, 1) == load_gap(7, 3, 2, 1));
}

/* Port 1 of this machine: nobody listens. */
static void test_no_server(void **state)
{
    (void)state;
    struct load_options options = {.url = "http://127.0.0.1:1",
                                   .endpoint = "/v1/completions",
                                   .model = "m",
                                   .burstiness = 1,
                                   .timeout = 5};
    struct load_request *requests = calloc(3, sizeof *requests);
    struct vinci_error err = {0};
    char *name = NULL;
    double seconds = -1;
    for (int i = 0; i < 3; i++) requests[i].prompt = "a";
    assert_int_equal(load_run(&options, requests, 3, &seconds, &err), VINCI_OK);
    for (int i = 0; i < 3; i++) assert_true(!requests[i].ok && requests[i].error[0]);
    load_free(requests, 3);
    assert_int_equal(load_first_model(&options, &name, &err), VINCI_NOT_FOUND);
    assert_null(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_no_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
