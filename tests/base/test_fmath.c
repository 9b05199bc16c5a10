/* The elementary functions: errors against libm in double, ends of the range, and a hash of many
 * results, which has to be the same on every machine and with every compiler. */
#include "base/fmath.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static double ulps(float got, double exact)
{
    int exponent;
    frexpf((float)exact, &exponent);
    return fabs((double)got - exact) / ldexp(1.0, exponent - 24);
}

static void hash_add(uint64_t *hash, uint64_t value)
{
    *hash = (*hash ^ value) * UINT64_C(0x100000001b3);
}

static void test_exp_f32(void **state)
{
    (void)state;
    double worst = 0;
    uint64_t hash = 1;
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 9973) { /* all signs and exponents */
        float x = f32_from_bits((uint32_t)bits), y = exp_f32(x);
        if (x != x) {
            assert_true(y != y);
            continue;
        }
        hash_add(&hash, f32_bits(y));
        if (x < EXP_F32_MIN) assert_true(f32_bits(y) == 0);
        else if (x > EXP_F32_MAX) assert_true(y == INFINITY);
        else {
            double error = ulps(y, exp((double)x));
            if (error > worst) worst = error;
        }
    }
    printf("exp_f32: %.3f ulp, hash %016llx\n", worst, (unsigned long long)hash);
    assert_true(worst < 1.0);
    assert_true(hash == UINT64_C(0x6ea4931257acff6f));
    assert_true(exp_f32(0.0f) == 1.0f && exp_f32(-0.0f) == 1.0f);
    assert_true(exp_f32(-INFINITY) == 0.0f && exp_f32(INFINITY) == INFINITY);
    assert_true(exp_f32(EXP_F32_MIN) > 1.17549435e-38f && exp_f32(EXP_F32_MAX) < INFINITY);
}

static void test_sigmoid_f32(void **state)
{
    (void)state;
    double worst = 0;
    for (float x = -87.0f; x < 87.0f; x += 0.00731f) {
        double error = ulps(sigmoid_f32(x), 1.0 / (1.0 + exp(-(double)x)));
        if (error > worst) worst = error;
    }
    printf("sigmoid_f32: %.3f ulp\n", worst);
    assert_true(worst < 3.0);
    assert_true(sigmoid_f32(0.0f) == 0.5f);
    assert_true(sigmoid_f32(-3e38f) == 0.0f && sigmoid_f32(3e38f) == 1.0f);
    assert_true(sigmoid_f32(-INFINITY) == 0.0f && sigmoid_f32(INFINITY) == 1.0f);
}

static void test_exp_log_f64(void **state)
{
    (void)state;
    uint64_t hash = 1;
    for (double x = -707.9; x < 708.9; x += 0.0137) {
        double y = exp_f64(x);
        assert_true(fabs(y - exp(x)) <= 1e-15 * exp(x));
        assert_true(fabs(log_f64(y) - x) <= 1e-15 * (fabs(x) + 1));
        hash_add(&hash, f64_bits(y));
        hash_add(&hash, f64_bits(log_f64(y)));
    }
    for (double x = 0.5; x < 2.0; x += 1e-5)
        assert_true(fabs(log_f64(x) - log(x)) <= 1e-15 * fabs(log(x)) + 1e-18);
    printf("exp_f64, log_f64: hash %016llx\n", (unsigned long long)hash);
    assert_true(hash == UINT64_C(0xc5ec57744e4c2204));
    assert_true(exp_f64(-709.0) == 0.0 && exp_f64(710.0) == INFINITY && exp_f64(0.0) == 1.0);
    assert_true(exp_f64(NAN) != exp_f64(NAN));
    assert_true(log_f64(1.0) == 0.0);
}

static void test_sincos_f64(void **state)
{
    (void)state;
    uint64_t hash = 1;
    static const double steps[] = {0.00137, 1.7, 4095.31, 99999.77};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (int k = -1000; k <= 1000; k++) {
            double x = steps[i] * k, s, c;
            sincos_f64(x, &s, &c);
            assert_true(fabs(s - sin(x)) < 1e-15 && fabs(c - cos(x)) < 1e-15);
            hash_add(&hash, f64_bits(s));
            hash_add(&hash, f64_bits(c));
        }
    for (int k = 0; k < 2000; k++) { /* next to the multiples of pi / 4 */
        double x = k * 0.78539816339744830962, s, c;
        sincos_f64(x, &s, &c);
        assert_true(fabs(s - sin(x)) < 1e-15 && fabs(c - cos(x)) < 1e-15);
    }
    printf("sincos_f64: hash %016llx\n", (unsigned long long)hash);
    assert_true(hash == UINT64_C(0x01dba993ba62fd6d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_f32),
        cmocka_unit_test(test_sigmoid_f32),
        cmocka_unit_test(test_exp_log_f64),
        cmocka_unit_test(test_sincos_f64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
