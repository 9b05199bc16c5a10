/* test_advice.c - the estimates of `vinci advise` against numbers worked out by hand. */
#include "bench/advice.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* 8 experts, 2 used: a token reads 100 + 2 * 50 bytes. */
static const struct vinci_model_info model = {
    .n_experts = 8,
    .n_experts_used = 2,
    .n_hidden = 10,
    .n_vocab = 20,
    .sliding_window = 128,
    .n_params_active = 1000,
    .file_bytes = 1000,
    .bytes_per_token = 200,
    .bytes_per_expert = 50,
    .kv_bytes_per_token = 3,
    .kv_window_bytes = 256,
};
static const struct machine_limits machine = {
    .read_bytes_per_second = 1e3,
    .int8_per_second = 1e6,
    .memory_bytes = 5000,
    .memory_free_bytes = 3000,
};

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9 * fabs(b);
}

static void test_bytes(void **state)
{
    (void)state;
    assert_true(near(advice_step_bytes(&model, 1), 200));
    /* two tokens: 8 (1 - (3/4)^2) = 3.5 experts */
    assert_true(near(advice_step_bytes(&model, 2), 100 + 3.5 * 50));
    /* very many: all eight */
    assert_true(near(advice_step_bytes(&model, 1000), 100 + 8 * 50));
    assert_int_equal(advice_kv_bytes(&model, 1000, 2), 2 * (3000 + 256));
    assert_int_equal(advice_kv_bytes(&model, 64, 1), 3 * 64 + 128); /* half a window */
}

static void test_speed(void **state)
{
    (void)state;
    assert_true(near(advice_decode_limit(&model, &machine, 1, 0), 1 / .2));
    assert_true(near(advice_decode_limit(&model, &machine, 2, 0), 2 / .275));
    assert_true(near(advice_decode_limit(&model, &machine, 1, 1000), 1 / (.2 + 3.256)));
    struct machine_limits slow = machine;
    slow.int8_per_second = 1000; /* 2 * 1000 operations a token: two seconds */
    assert_true(near(advice_decode_limit(&model, &slow, 1, 0), .5));
    /* 2 * (100 * 800 + 200) operations in .16 s, reading 500 bytes in .5 s */
    assert_true(near(advice_prefill_seconds(&model, &machine, 100), .5));
    assert_true(near(advice_prefill_seconds(&model, &slow, 100), 160.4));
}

static void test_memory(void **state)
{
    (void)state;
    assert_int_equal(advice_fit(&model, &machine, 2000), ADVICE_FITS);
    assert_int_equal(advice_fit(&model, &machine, 2001), ADVICE_TIGHT);
    assert_int_equal(advice_fit(&model, &machine, 4001), ADVICE_TOO_BIG);
    assert_int_equal(advice_sequences(&model, &machine, 248), 2); /* 744 + 256 = 1000 each */
    assert_int_equal(advice_sequences(&model, &machine, 249), 1);
    struct machine_limits full = machine;
    full.memory_free_bytes = 900;
    assert_int_equal(advice_sequences(&model, &full, 248), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_speed),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
