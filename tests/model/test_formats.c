/* test_formats.c - the conversions of formats.h, all values of every small format, against plain
 * arithmetic in double. */
#include "model/formats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* By the definition: sign, exponent with its bias, fraction. */
static double by_definition(unsigned bits, int exponent_bits, int fraction_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1, all_ones = (1 << exponent_bits) - 1;
    int exponent = (int)(bits >> fraction_bits) & all_ones;
    double fraction = ldexp(bits & ((1u << fraction_bits) - 1), -fraction_bits);
    double sign = bits >> (exponent_bits + fraction_bits) & 1 ? -1 : 1;
    if (exponent == all_ones) return fraction != 0 ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(fraction, 1 - bias);
    return sign * ldexp(1 + fraction, exponent - bias);
}

static void check_value(unsigned bits, float got, double expected)
{
    if (isnan(expected) ? !isnan(got) : got != expected || signbit(got) != signbit((float)expected))
        fail_msg("%04x: expected %a, got %a", bits, expected, (double)got);
}

static void test_f16_all(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 65536; bits++) {
        float x = float_from_f16((f16_t){(uint16_t)bits});
        check_value(bits, x, by_definition(bits, 5, 10));
        f16_t back = f16_from_float(x);
        if (isnan(x)) assert_true(isnan(float_from_f16(back)));
        else assert_int_equal(back.bits, bits);
    }
}

static void test_bf16_all(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 65536; bits++) {
        float x = float_from_bf16((bf16_t){(uint16_t)bits});
        check_value(bits, x, by_definition(bits, 8, 7));
        bf16_t back = bf16_from_float(x);
        if (isnan(x)) assert_true(isnan(float_from_bf16(back)));
        else assert_int_equal(back.bits, bits);
    }
}

/* Between two neighbours: below the middle the lower one, above it the upper, in the middle the
 * even. The largest value's upper neighbour is infinity. */
static void check_rounding(unsigned low, double a, double b, unsigned (*convert)(float))
{
    float middle = (float)((a + b) / 2);
    unsigned even = low & 1 ? low + 1 : low;
    if (convert(middle) != even || convert(nextafterf(middle, 0)) != low ||
        convert(nextafterf(middle, INFINITY)) != low + 1)
        fail_msg("around %a: expected %04x, %04x, %04x, got %04x, %04x, %04x", (double)middle, low,
                 even, low + 1, convert(nextafterf(middle, 0)), convert(middle),
                 convert(nextafterf(middle, INFINITY)));
    assert_int_equal(convert(-middle), even | 0x8000);
}

static unsigned to_f16(float x)
{
    return f16_from_float(x).bits;
}

static unsigned to_bf16(float x)
{
    return bf16_from_float(x).bits;
}

static void test_rounding(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x7c00; bits++) {
        double next = bits == 0x7bff ? 65536.0 : by_definition(bits + 1, 5, 10);
        check_rounding(bits, by_definition(bits, 5, 10), next, to_f16);
    }
    /* The middle between bf16 zero and its smallest value is a float; so are all others. */
    for (unsigned bits = 0; bits < 0x7f7f; bits++)
        check_rounding(bits, by_definition(bits, 8, 7), by_definition(bits + 1, 8, 7), to_bf16);
    assert_int_equal(to_f16(65519.996f), 0x7bff);
    assert_int_equal(to_f16(65520.0f), 0x7c00);
    assert_int_equal(to_f16(INFINITY), 0x7c00);
    assert_int_equal(to_f16(-1e30f), 0xfc00);
    assert_int_equal(to_bf16(INFINITY), 0x7f80);
    assert_int_equal(to_bf16(3.4028235e38f), 0x7f80);
}

static void test_e8m0_all(void **state)
{
    (void)state;
    for (int bits = 0; bits < 255; bits++)
        check_value((unsigned)bits, float_from_e8m0((e8m0_t){(uint8_t)bits}), ldexp(1, bits - 127));
    assert_true(isinf(float_from_e8m0((e8m0_t){255})));
}

static void test_fp4_all(void **state)
{
    (void)state;
    static const double values[] = {0, .5, 1, 1.5, 2, 3, 4, 6}; /* no infinity, no NaN */
    for (unsigned code = 0; code < 16; code++)
        assert_true(FP4_DOUBLED[code] == 2 * values[code & 7] * (code & 8 ? -1 : 1));
}

static void test_row_bytes(void **state)
{
    (void)state;
    static const struct {
        enum dtype dtype;
        size_t n, expected;
    } rows[] = {
        {DTYPE_F32, 3, 12},       {DTYPE_F16, 3, 6},         {DTYPE_BF16, 2880, 5760},
        {DTYPE_Q8_0, 2880, 3060}, {DTYPE_MXFP4, 2880, 1440}, {DTYPE_MXFP4_GGUF, 2880, 1530},
        {DTYPE_U8, 7, 7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(dtype_row_bytes(rows[i].dtype, rows[i].n), rows[i].expected);
    assert_string_equal(dtype_name(DTYPE_MXFP4_GGUF), "MXFP4");
    assert_string_equal(dtype_name(DTYPE_COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16_all),  cmocka_unit_test(test_bf16_all),
        cmocka_unit_test(test_rounding), cmocka_unit_test(test_e8m0_all),
        cmocka_unit_test(test_fp4_all),  cmocka_unit_test(test_row_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
