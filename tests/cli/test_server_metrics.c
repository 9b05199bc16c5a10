/* test_server_metrics.c - reading a server's metrics: names, labels, damaged text. */
#include "bench/server_metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_parse(void **state)
{
    (void)state;
    struct server_metrics m;
    server_metrics_parse("# HELP vllm:num_requests_running Requests.\n"
                         "# TYPE vllm:num_requests_running gauge\n"
                         "vllm:num_requests_running{model_name=\"a \\\" } b\"} 3.0\n"
                         "vllm:num_requests_waiting 2\n"
                         "vllm:num_requests_waiting_by_reason{reason=\"x\"} 99\n"
                         "vllm:request_success_total{finished_reason=\"stop\"} 5\n"
                         "vllm:request_success_total{finished_reason=\"length\"} 1.5e1\n"
                         "vllm:gpu_cache_usage_perc{} 0.25 1700000000\n"
                         "vllm:time_to_first_token_seconds_bucket{le=\"+Inf\"} 9\n"
                         "vllm:time_to_first_token_seconds_sum 4.5\n"
                         "vllm:time_to_first_token_seconds_count 9\n",
                         &m);
    assert_true(m.running == 3 && m.waiting == 2 && m.finished == 20);
    assert_true(m.kv_use == .25 && m.ttft_sum == 4.5 && m.ttft_count == 9);
    assert_true(isnan(m.generated_tokens) && isnan(m.itl_sum));
}

static void test_damaged(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "\n\n",
        "vllm:num_requests_running",
        "vllm:num_requests_running{",
        "vllm:num_requests_running{a=\"",
        "vllm:num_requests_running{a=\"\\",
        "vllm:num_requests_running x",
        "vllm:num_requests_running{a=\"b\"}",
        "{} 1",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct server_metrics m;
        server_metrics_parse(texts[i], &m);
        if (!isnan(m.running)) fail_msg("'%s' gave %g", texts[i], m.running);
    }
}

static void test_address(void **state)
{
    (void)state;
    struct http_get *watch = NULL;
    struct server_metrics m;
    struct vinci_error err = {0};
    assert_int_equal(server_watch_open(&watch, "localhost:8000", NULL, &err), VINCI_USAGE);
    assert_null(watch);
    /* Port 1 of this machine: nobody listens there. */
    assert_int_equal(server_watch_open(&watch, "http://127.0.0.1:1", "key", &err), VINCI_OK);
    assert_int_equal(server_watch_read(watch, &m, &err), VINCI_NOT_FOUND);
    assert_non_null(strstr(err.text, "http://127.0.0.1:1/metrics"));
    http_get_close(watch);
    http_get_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
