/* test_rope.c - YaRN's tables against the formula written out with libm in double. */
#include "engine/rope.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct model_config config_of(bool yarn, bool truncate, uint32_t head_dim)
{
    struct model_config config = {.head_dim = head_dim};
    config.rope.theta = 150000;
    config.rope.yarn = yarn;
    config.rope.truncate = truncate;
    config.rope.factor = 32;
    config.rope.beta_fast = 32;
    config.rope.beta_slow = 1;
    config.rope.n_ctx_original = 4096;
    return config;
}

static double expected_inv_freq(const struct model_config *c, double i)
{
    double n = c->head_dim, frequency = pow(150000, 2 * i / n);
    if (!c->rope.yarn) return 1 / frequency;
    double low = n * log(4096 / (32 * 2 * M_PI)) / (2 * log(150000));
    double high = n * log(4096 / (1 * 2 * M_PI)) / (2 * log(150000));
    if (c->rope.truncate) {
        low = floor(low);
        high = ceil(high);
    }
    double ramp = fmin(fmax((i - low) / (high - low), 0), 1);
    return (1 - ramp) / frequency + ramp / (32 * frequency);
}

static void test_tables(void **state)
{
    (void)state;
    static const uint32_t positions[] = {0, 1, 127, 4096, 100003, 131071};
    for (int kind = 0; kind < 4; kind++) {
        struct model_config config = config_of(kind != 0, kind == 2, kind == 3 ? 32 : 64);
        double concentration = kind ? 0.1 * log(32) + 1 : 1;
        struct rope rope;
        rope_init(&rope, &config);
        assert_int_equal(rope.half, config.head_dim / 2);
        for (size_t p = 0; p < sizeof positions / sizeof *positions; p++) {
            float c[128], s[128];
            rope_table(&rope, positions[p], c, s);
            for (uint32_t i = 0; i < rope.half; i++) {
                double angle = positions[p] * expected_inv_freq(&config, i);
                assert_true(fabs(c[i] - cos(angle) * concentration) < 2e-7);
                assert_true(fabs(s[i] - sin(angle) * concentration) < 2e-7);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables)};
    return cmocka_run_group_tests_name("rope", tests, NULL, NULL);
}
