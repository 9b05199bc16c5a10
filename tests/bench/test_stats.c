/* test_stats.c - the statistics of benchmarks against values from tables and from counting every
 * case. */
#include "bench/stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void near(double is, double expected)
{
    if (!(fabs(is - expected) <= 1e-9 * (1 + fabs(expected))))
        fail_msg("%.12g instead of %.12g", is, expected);
}

/* Coverages of order statistics: 1 - 2 * sum of binomials / 2^n. */
static void medians(void **state)
{
    (void)state;
    double x[] = {5, 1, 4, 2, 3, 9, 7, 6, 8, 10};
    struct stats_interval i = stats_median(x, 5, 0.95);
    near(i.median, 3);
    near(i.low, 1); /* five samples cannot give 95 % */
    near(i.high, 5);
    near(i.coverage, 0.9375);
    i = stats_median(x, 10, 0.95);
    near(i.median, 5.5);
    near(i.low, 2); /* leaving out one each: 1 - 2 * 11 / 1024 */
    near(i.high, 9);
    near(i.coverage, 1 - 22.0 / 1024);
    i = stats_median(x, 1, 0.95);
    near(i.coverage, 0);
    near(stats_spread(x, 1), 0);
    near(stats_spread(x, 5), 1 / 3.0); /* quartiles 2 and 4 */
}

/* Against every permutation of 6. */
static unsigned permutations, extreme;

static void permute(double *x, size_t k, size_t n, int s, double *p)
{
    if (k == n) {
        int is = 0;
        *p = stats_trend(x, n, &is);
        permutations++;
        extreme += is <= -s || is >= s;
        return;
    }
    for (size_t i = k; i < n; i++) {
        double t = x[k];
        x[k] = x[i], x[i] = t;
        permute(x, k + 1, n, s, p);
        t = x[k];
        x[k] = x[i], x[i] = t;
    }
}

static void trends(void **state)
{
    (void)state;
    double x[] = {1, 2, 3, 5, 4, 6}, ignored = 0;
    int s = 0;
    double p = stats_trend(x, 6, &s);
    assert_int_equal(s, 13);
    permutations = extreme = 0;
    permute(x, 0, 6, 13, &ignored);
    assert_int_equal(permutations, 720);
    near(p, (double)extreme / permutations);
    double flat[] = {2, 2, 2, 2};
    near(stats_trend(flat, 4, &s), 1);
    assert_int_equal(s, 0);
    double falling[] = {5, 4, 3, 2, 1};
    near(stats_trend(falling, 5, &s), 2.0 / 120);
    assert_int_equal(s, -10);
}

/* Against every choice of which samples are the first group's. */
static double by_counting(const double *all, unsigned n, unsigned m, double u)
{
    unsigned cases = 0, as_extreme = 0;
    double middle = n * m / 2.0;
    for (unsigned set = 0; set < 1u << (n + m); set++) {
        if (__builtin_popcount(set) != (int)n) continue;
        double wins = 0;
        for (unsigned i = 0; i < n + m; i++)
            for (unsigned j = 0; j < n + m; j++)
                wins += (set >> i & 1) && !(set >> j & 1) && all[i] > all[j];
        cases++;
        as_extreme += fabs(wins - middle) >= fabs(u - middle);
    }
    return (double)as_extreme / cases;
}

static void comparisons(void **state)
{
    (void)state;
    double all[] = {1, 4, 2.5, 3, 8, 7, 2, 6, 5};
    struct stats_comparison c = stats_compare(all, 4, all + 4, 5);
    double u = 0;
    for (int i = 0; i < 4; i++)
        for (int j = 4; j < 9; j++) u += all[i] > all[j];
    near(c.p, by_counting(all, 4, 5, u));
    near(c.p_min, 2.0 / 126);
    /* Five against five, all apart: the tables say 2 / 252. */
    double slow[] = {10, 10.1, 10.2, 10.3, 10.4}, fast[] = {20, 20.2, 20.4, 20.6, 20.8};
    c = stats_compare(slow, 5, fast, 5);
    near(c.p, 2.0 / 252);
    near(c.ratio, 2);
    c = stats_compare(slow, 5, slow, 5);
    near(c.ratio, 1);
    assert_true(c.p > 0.9);
    c = stats_compare(slow, 2, fast, 2); /* too few to tell anything */
    near(c.p_min, 1.0 / 3);
    double p[] = {0.04, 0.01, 0.03};
    stats_holm(p, 3);
    near(p[1], 0.03);
    near(p[2], 0.06);
    near(p[0], 0.06);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians),
        cmocka_unit_test(trends),
        cmocka_unit_test(comparisons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
