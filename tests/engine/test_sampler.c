/* The sampler against an independent one in double precision that sorts: distributions by
 * chi-square for every filter, and hand-computed examples for what changes single logits. */
#include "base/random.h"
#include "engine/sampler.h"
#include "engine/scan.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))

/* ---- the reference ------------------------------------------------------------------------ */

static const double *sort_values;

static int by_value_then_id(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    if (sort_values[i] != sort_values[j]) return sort_values[i] < sort_values[j] ? 1 : -1;
    return i - j;
}

/* Probabilities after temperature, top-k, top-p, min-p of usable logits. */
static void reference_probabilities(const double *logits, int n, const struct vinci_sampling *o,
                                    double *p)
{
    int32_t *order = calloc((size_t)n, sizeof *order);
    for (int i = 0; i < n; i++) order[i] = i;
    sort_values = logits;
    qsort(order, (size_t)n, sizeof *order, by_value_then_id);
    int kept = o->top_k && (int)o->top_k < n ? (int)o->top_k : n;
    double sum = 0, cumulated = 0, left = 0;
    for (int i = 0; i < n; i++) p[i] = 0;
    for (int i = 0; i < kept; i++)
        sum += exp((logits[order[i]] - logits[order[0]]) / (double)o->temperature);
    for (int i = 0; i < kept; i++) {
        double e = exp((logits[order[i]] - logits[order[0]]) / (double)o->temperature), q = e / sum;
        if (i > 0 && cumulated >= (double)o->top_p) break;
        cumulated += q;
        if (e >= (double)o->min_p) p[order[i]] = q;
    }
    for (int i = 0; i < n; i++) left += p[i];
    for (int i = 0; i < n; i++) p[i] /= left;
    free(order);
}

/* The statistic's excess over its expectation in standard deviations; tokens of probability 0 that
 * were drawn give infinity. Rare tokens are put together. */
static double chi_square_excess(const double *p, const long *drawn, int n, long n_draws)
{
    double statistic = 0, rare_expected = 0, rare_drawn = 0;
    int freedom = -1;
    for (int i = 0; i < n; i++) {
        if (p[i] == 0) {
            if (drawn[i]) return INFINITY;
            continue;
        }
        double expected = p[i] * (double)n_draws, d = (double)drawn[i];
        if (expected < 10) {
            rare_expected += expected;
            rare_drawn += d;
            continue;
        }
        statistic += (d - expected) * (d - expected) / expected;
        freedom++;
    }
    if (rare_expected > 5) {
        statistic += (rare_drawn - rare_expected) * (rare_drawn - rare_expected) / rare_expected;
        freedom++;
    }
    return freedom > 0 ? (statistic - freedom) / sqrt(2.0 * freedom) : 0;
}

/* Normal-like, from the counter generator. */
static float noise(uint64_t seed, uint64_t i)
{
    double sum = 0;
    for (uint64_t k = 0; k < 12; k++) sum += random_uniform(seed, i * 12 + k);
    return (float)(sum - 6.0);
}

static struct sampler *make(const struct vinci_sampling *o, uint32_t n_vocab, uint32_t n_top)
{
    struct sampler *s = NULL;
    struct vinci_error err;
    if (sampler_create(&s, o, n_vocab, n_top, &err) != VINCI_OK) fail_msg("%s", err.text);
    return s;
}

static int32_t draw_one(struct sampler *s, const float *logits, size_t index)
{
    int32_t token = -1;
    assert_int_equal(sampler_draw(s, logits, NULL, index, &token, NULL, NULL), VINCI_OK);
    return token;
}

/* ---- distributions ------------------------------------------------------------------------ */

enum { N_SMALL = 50, N_DRAWS = 100000 };

static const struct filter_case {
    const char *name;
    struct vinci_sampling o;
} filter_cases[] = {
    {"nothing", {.temperature = 1, .top_p = 1}},
    {"cold", {.temperature = 0.3f, .top_p = 1}},
    {"hot", {.temperature = 5, .top_p = 1}},
    {"top-k 1", {.temperature = 2, .top_k = 1, .top_p = 1}},
    {"top-k 7", {.temperature = 1, .top_k = 7, .top_p = 1}},
    {"top-k as many as there are", {.temperature = 1, .top_k = N_SMALL, .top_p = 1}},
    {"top-k more than there are", {.temperature = 1, .top_k = 1000000, .top_p = 1}},
    {"top-p 0", {.temperature = 1, .top_p = 0}},
    {"top-p 0.1", {.temperature = 1, .top_p = 0.1f}},
    {"top-p 0.5", {.temperature = 1, .top_p = 0.5f}},
    {"top-p 0.9", {.temperature = 1, .top_p = 0.9f}},
    {"top-p 0.999", {.temperature = 3, .top_p = 0.999f}},
    {"min-p 0.05", {.temperature = 1, .top_p = 1, .min_p = 0.05f}},
    {"min-p 0.5", {.temperature = 4, .top_p = 1, .min_p = 0.5f}},
    {"min-p 1", {.temperature = 1, .top_p = 1, .min_p = 1}},
    {"top-k 20, top-p 0.8", {.temperature = 2, .top_k = 20, .top_p = 0.8f}},
    {"all three", {.temperature = 1.5f, .top_k = 30, .top_p = 0.95f, .min_p = 0.1f}},
};

static double excess_of(const struct vinci_sampling *drawn_with,
                        const struct vinci_sampling *expected)
{
    float logits[N_SMALL];
    double exact[N_SMALL], p[N_SMALL];
    long drawn[N_SMALL] = {0};
    for (int i = 0; i < N_SMALL; i++) exact[i] = logits[i] = 2.0f * noise(99, (uint64_t)i);
    exact[17] = logits[17] = logits[40]; /* a tie */
    reference_probabilities(exact, N_SMALL, expected, p);
    struct vinci_sampling o = *drawn_with;
    o.repetition_penalty = 1;
    o.seed = 5;
    struct sampler *s = make(&o, N_SMALL, 0);
    for (size_t i = 0; i < N_DRAWS; i++) drawn[draw_one(s, logits, i)]++;
    sampler_free(s);
    return chi_square_excess(p, drawn, N_SMALL, N_DRAWS);
}

static void test_distributions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(filter_cases); i++) {
        double excess = excess_of(&filter_cases[i].o, &filter_cases[i].o);
        printf("%-28s chi-square %+.2f standard deviations\n", filter_cases[i].name, excess);
        if (!(fabs(excess) < 4.0)) fail_msg("%s: %g", filter_cases[i].name, excess);
    }
}

/* The checker sees a temperature that is 3 % off, and a filter that keeps one token too many. */
static void test_checker_notices(void **state)
{
    (void)state;
    struct vinci_sampling a = {.temperature = 1, .top_p = 1},
                          b = {.temperature = 1.03f, .top_p = 1};
    assert_true(excess_of(&a, &b) > 6.0);
    struct vinci_sampling k7 = {.temperature = 1, .top_k = 7, .top_p = 1}, k8 = k7;
    k8.top_k = 8;
    assert_true(excess_of(&k8, &k7) > 6.0);
    assert_true(excess_of(&k7, &k8) > 6.0);
}

/* Different seeds and indices draw independently: each half of a byte of what they draw is even. */
static void test_uniform_draws(void **state)
{
    (void)state;
    float logits[16] = {0};
    struct vinci_sampling o;
    vinci_sampling_init(&o);
    long by_seed[16] = {0}, pairs[256] = {0};
    double p[256];
    int32_t last = 0;
    for (o.seed = 0; o.seed < 20000; o.seed++) {
        struct sampler *s = make(&o, 16, 0);
        int32_t first = draw_one(s, logits, 0), second = draw_one(s, logits, 1);
        by_seed[first]++;
        pairs[(first + last) % 16 * 16 + second]++;
        last = first;
        sampler_free(s);
    }
    for (int i = 0; i < 256; i++) p[i] = i < 16 ? 1.0 / 16 : 0;
    assert_true(fabs(chi_square_excess(p, by_seed, 16, 20000)) < 4.0);
    for (int i = 0; i < 256; i++) p[i] = 1.0 / 256;
    assert_true(fabs(chi_square_excess(p, pairs, 256, 20000)) < 4.0);
}

/* ---- whole vocabularies ------------------------------------------------------------------- */

/* What the filters keep among many tokens, against sorting. */
static void check_large(const char *name, const float *logits, int n, struct vinci_sampling o)
{
    double *exact = calloc((size_t)n, sizeof *exact), *p = calloc((size_t)n, sizeof *p);
    for (int i = 0; i < n; i++) exact[i] = (double)logits[i];
    o.repetition_penalty = 1;
    reference_probabilities(exact, n, &o, p);
    struct sampler *s = make(&o, (uint32_t)n, 0);
    /* Forty groups of about equal probability, in order of id. */
    enum { N_GROUPS = 40, N_LARGE = 800 };
    int *group = calloc((size_t)n, sizeof *group);
    double group_p[N_GROUPS] = {0}, sum = 0;
    long drawn[N_GROUPS] = {0};
    for (int i = 0; i < n; i++) {
        group[i] = sum * N_GROUPS < N_GROUPS - 1 ? (int)(sum * N_GROUPS) : N_GROUPS - 1;
        group_p[group[i]] += p[i];
        sum += p[i];
    }
    for (size_t i = 0; i < N_LARGE; i++) {
        int32_t token = draw_one(s, logits, i);
        if (p[token] == 0)
            fail_msg("%s: token %d, logit %g was filtered", name, (int)token,
                     (double)logits[token]);
        drawn[group[token]]++;
    }
    double excess = chi_square_excess(group_p, drawn, N_GROUPS, N_LARGE);
    if (!(fabs(excess) < 4.0)) fail_msg("%s: %g", name, excess);
    sampler_free(s);
    free(exact);
    free(p);
    free(group);
}

static void test_large(void **state)
{
    (void)state;
    enum { N = 5003 };
    float *logits = calloc(N, sizeof *logits);
    static const char *const shapes[] = {"normal",    "peaked",     "equal",
                                         "ascending", "few values", "some at -inf"};
    for (size_t shape = 0; shape < ARRAY_SIZE(shapes); shape++) {
        for (int i = 0; i < N; i++) {
            float x = noise(3, (uint64_t)i);
            logits[i] = shape == 0   ? 3 * x
                        : shape == 1 ? 10 * x
                        : shape == 2 ? 1
                        : shape == 3 ? (float)i / N
                        : shape == 4 ? roundf(x)
                        : i % 3      ? -INFINITY
                                     : x;
        }
        for (size_t i = 0; i < ARRAY_SIZE(filter_cases); i++) {
            char name[100];
            snprintf(name, sizeof name, "%s, %s", shapes[shape], filter_cases[i].name);
            check_large(name, logits, N, filter_cases[i].o);
        }
    }
    free(logits);
}

/* A mask that allows everything goes the long way, with copies: the short one draws the same. */
static void test_in_place(void **state)
{
    (void)state;
    enum { N = 5003, N_PAIRS = 300 };
    static const float temperatures[] = {0.3f, 1.0f, 1.7f, 40.0f};
    static const float odd[] = {NAN, -INFINITY, -0.0f, 0.0f, -NAN, -3e38f, 87.0f};
    float *logits = calloc(N, sizeof *logits);
    uint32_t *all = malloc((N / 32 + 1) * sizeof *all);
    memset(all, 0xff, (N / 32 + 1) * sizeof *all);
    for (int shape = 0; shape < 4; shape++) {
        for (int i = 0; i < N; i++) logits[i] = (shape < 2 ? 3.0f : 0.1f) * noise(5, (uint64_t)i);
        for (int i = 0; shape % 2 && i < N; i += 7) logits[i] = odd[i / 7 % (int)ARRAY_SIZE(odd)];
        if (shape == 3) logits[N - 2] = INFINITY;
        for (size_t k = 0; k < ARRAY_SIZE(temperatures); k++) {
            struct vinci_sampling o = {.temperature = temperatures[k], .top_p = 1};
            o.repetition_penalty = 1;
            struct sampler *s = make(&o, N, 0);
            for (size_t i = 0; i < N_PAIRS; i++) {
                int32_t token = -1, same = -1;
                struct vinci_error err;
                assert_int_equal(sampler_draw(s, logits, NULL, i, &token, NULL, &err), VINCI_OK);
                assert_int_equal(sampler_draw(s, logits, all, i, &same, NULL, &err), VINCI_OK);
                assert_int_equal(token, same);
            }
            sampler_free(s);
        }
    }
    free(logits);
    free(all);
}

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Exactly the k largest, of equals those with the smaller ids. */
static void test_keep_largest(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 15, 16, 17, 1023, 1024, 1025, 5000, 70000};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        for (int coarse = 0; coarse < 3; coarse++) {
            size_t n = sizes[i];
            float *values = calloc(n, sizeof *values), *sorted = calloc(n, sizeof *sorted);
            struct candidates c = {calloc(n, sizeof *c.value), calloc(n, sizeof *c.id), 0, 0};
            for (size_t j = 0; j < n; j++) {
                float x = noise(7, j);
                values[j] = coarse == 0 ? x : coarse == 1 ? floorf(2 * x) : x > 1 ? -INFINITY : -3;
            }
            memcpy(sorted, values, n * sizeof *sorted);
            qsort(sorted, n, sizeof *sorted, descending);
            const size_t ks[] = {1, 2, 5, 50, n / 2, n - 1, n, n + 1};
            for (size_t j = 0; j < ARRAY_SIZE(ks); j++) {
                size_t k = ks[j] < n ? ks[j] : n, n_equal = 0;
                if (k == 0) continue;
                scan_copy_usable(c.value, values, n);
                for (size_t m = 0; m < n; m++) c.id[m] = (int32_t)m;
                c.n = n;
                scan_keep_largest(&c, ks[j]);
                assert_int_equal(c.n, k);
                for (size_t m = 0; m < k; m++) n_equal += sorted[m] == sorted[k - 1];
                size_t at = 0;
                for (size_t m = 0; m < n; m++) {
                    if (values[m] < sorted[k - 1]) continue;
                    if (values[m] == sorted[k - 1] && n_equal == 0) continue;
                    n_equal -= values[m] == sorted[k - 1];
                    assert_int_equal(c.id[at], m);
                    assert_true(c.value[at] == values[m]);
                    at++;
                }
                assert_int_equal(at, k);
            }
            free(values);
            free(sorted);
            free(c.value);
            free(c.id);
        }
}

/* Selections in one draw do not disturb the next (ids are put back). */
static void test_draws_are_independent(void **state)
{
    (void)state;
    enum { N = 3000 };
    float *a = calloc(N, sizeof *a), *b = calloc(N, sizeof *b);
    for (int i = 0; i < N; i++) {
        a[i] = 3 * noise(1, (uint64_t)i);
        b[i] = 0.1f * noise(2, (uint64_t)i);
    }
    struct vinci_sampling o = {
        .temperature = 1, .top_k = 40, .top_p = .9f, .repetition_penalty = 1};
    struct sampler *one = make(&o, N, 3), *fresh = NULL;
    for (size_t i = 0; i < 200; i++) {
        const float *logits = i % 2 ? a : b;
        fresh = make(&o, N, 0);
        assert_int_equal(draw_one(one, logits, i), draw_one(fresh, logits, i));
        sampler_free(fresh);
    }
    sampler_free(one);
    free(a);
    free(b);
}

/* ---- the same everywhere ------------------------------------------------------------------ */

/* Drawn once and written down: another machine, compiler or C library has to draw the same. */
static void test_fixed_draws(void **state)
{
    (void)state;
    static const int32_t plain[] = {4365, 1774, 4365, 3475, 3502, 593,  3502, 1774,
                                    4554, 3251, 2273, 850,  1133, 4812, 3502, 1133},
                         filtered[] = {4365, 2273, 4365, 3475, 3502, 850,  3502, 2273,
                                       4383, 3475, 3475, 1133, 1355, 4383, 3502, 1320};
    enum { N = 5000 };
    float *logits = calloc(N, sizeof *logits);
    for (int i = 0; i < N; i++) logits[i] = 4 * noise(11, (uint64_t)i);
    struct vinci_sampling o;
    vinci_sampling_init(&o);
    o.seed = UINT64_C(0x123456789abcdef0);
    struct sampler *s = make(&o, N, 0);
    o.temperature = 0.8f;
    o.top_k = 200;
    o.top_p = 0.95f;
    o.min_p = 0.01f;
    struct sampler *t = make(&o, N, 0);
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
        assert_int_equal(draw_one(s, logits, i), plain[i]);
        assert_int_equal(draw_one(t, logits, i), filtered[i]);
    }
    sampler_free(s);
    sampler_free(t);
    free(logits);
}

/* ---- single logits ------------------------------------------------------------------------ */

static void test_greedy(void **state)
{
    (void)state;
    struct vinci_sampling o;
    vinci_sampling_init(&o);
    o.temperature = 0;
    const struct {
        float logits[9];
        int32_t token; /* -1: an error */
    } cases[] = {
        {{1, 3, 2, 3, 0, 0, 0, 0, 0}, 1},
        {{0, -0.0f, 0, 0, 0, 0, 0, 0, 0}, 0},
        {{-5, -4, -4, -9, -9, -9, -9, -9, -9}, 1},
        {{NAN, 1, NAN, 2, 0, 0, 0, 0, NAN}, 3},
        {{NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, -1e38f}, 8},
        {{-INFINITY, -INFINITY, -7, -INFINITY, NAN, NAN, NAN, NAN, NAN}, 2},
        {{1, INFINITY, 2, INFINITY, 0, 0, 0, 0, 0}, 1},
        {{NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN}, -1},
        {{-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY,
          -INFINITY},
         -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (uint32_t n_top = 0; n_top < 2; n_top++)
            for (int biased = 0; biased < 3; biased++) { /* the same through every path */
                const struct vinci_logit_bias none = {2, 0};
                o.logit_bias = &none;
                o.n_logit_bias = biased == 1;
                const uint32_t all = 0x1ff;
                struct sampler *s = make(&o, 9, n_top);
                int32_t token = -1;
                struct vinci_error err = {0};
                enum vinci_status status = sampler_draw(
                    s, cases[i].logits, biased == 2 ? &all : NULL, 3, &token, NULL, &err);
                assert_int_equal(token, cases[i].token);
                assert_int_equal(status, token < 0 ? VINCI_FAILED : VINCI_OK);
                if (token < 0) assert_non_null(strstr(err.text, "number 3"));
                sampler_free(s);
            }
}

static void test_broken_logits(void **state)
{
    (void)state;
    struct vinci_sampling o;
    vinci_sampling_init(&o);
    o.top_p = 0.9f;
    struct sampler *s = make(&o, 4, 2);
    int32_t token = -1;
    float logits[4] = {NAN, NAN, -INFINITY, NAN}, logprob;
    size_t n;
    assert_int_equal(sampler_draw(s, logits, NULL, 0, &token, &logprob, NULL), VINCI_FAILED);
    sampler_top_logprobs(s, &n);
    assert_int_equal(n, 0);
    logits[3] = 1e30f;
    assert_int_equal(sampler_draw(s, logits, NULL, 0, &token, &logprob, NULL), VINCI_OK);
    assert_int_equal(token, 3);
    assert_true(logprob == 0);
    float infinite[4] = {INFINITY, -FLT_MAX, INFINITY, NAN}; /* two tokens share everything */
    assert_int_equal(sampler_draw(s, infinite, NULL, 0, &token, &logprob, NULL), VINCI_OK);
    assert_true(token == 0 || token == 2);
    assert_true(fabs((double)logprob + log(2.0)) < 1e-6);
    sampler_free(s);
}

static void test_mask(void **state)
{
    (void)state;
    enum { N = 70 };
    float logits[N];
    for (int i = 0; i < N; i++) logits[i] = (float)i;
    uint32_t allowed[3] = {1u << 5 | 1u << 9, 1u << 0, 0xffffffc0u}; /* beyond the vocabulary too */
    for (int path = 0; path < 3; path++) {
        struct vinci_sampling o;
        vinci_sampling_init(&o);
        o.temperature = path == 0 ? 0 : 1000;
        o.top_k = path == 2 ? 2 : 0;
        struct sampler *s = make(&o, N, 0);
        long drawn[N] = {0};
        int32_t token;
        for (size_t i = 0; i < 300; i++) {
            assert_int_equal(sampler_draw(s, logits, allowed, i, &token, NULL, NULL), VINCI_OK);
            drawn[token]++;
        }
        if (path == 0) assert_int_equal(drawn[32], 300);
        if (path == 1) assert_true(drawn[5] > 50 && drawn[9] > 50 && drawn[32] > 50);
        if (path == 2) assert_true(drawn[5] == 0 && drawn[9] > 50 && drawn[32] > 50);
        assert_int_equal(drawn[5] + drawn[9] + drawn[32], 300);
        const uint32_t nothing[3] = {0};
        struct vinci_error err;
        assert_int_equal(sampler_draw(s, logits, nothing, 0, &token, NULL, &err), VINCI_FAILED);
        assert_non_null(strstr(err.text, "not allowed"));
        sampler_free(s);
    }
}

/* Whether the adjusted logits are these is seen by the distribution: with two tokens that are
 * allowed, ln(p_a / p_b) is the difference of their adjusted logits. Measured with the reference
 * by drawing; so the examples are computed by hand instead. */
static void check_adjusted(const struct vinci_sampling *options, const float *logits,
                           const double *adjusted, const int32_t *prompt, size_t n_prompt,
                           const int32_t *output, size_t n_output)
{
    enum { N = 4, DRAWS = 40000 };
    struct vinci_sampling o = *options;
    struct sampler *s = make(&o, N, 0);
    for (size_t i = 0; i < n_prompt; i++) sampler_accept(s, prompt[i], true);
    for (size_t i = 0; i < n_output; i++) sampler_accept(s, output[i], false);
    double p[N];
    long drawn[N] = {0};
    reference_probabilities(adjusted, N, &o, p);
    for (size_t i = 0; i < DRAWS; i++) drawn[draw_one(s, logits, i)]++;
    double excess = chi_square_excess(p, drawn, N, DRAWS);
    if (!(fabs(excess) < 4.0)) fail_msg("%g", excess);
    sampler_free(s);
}

static void test_bias_and_penalties(void **state)
{
    (void)state;
    const float logits[4] = {1.0f, 0.5f, -0.5f, 0.0f};
    const int32_t prompt[] = {0, 2, 0}, output[] = {1, 1, 2};
    struct vinci_sampling o;

    vinci_sampling_init(&o);
    const struct vinci_logit_bias bias[] = {{2, 2.0f}, {0, -1.0f}, {2, 0.5f}};
    o.logit_bias = bias;
    o.n_logit_bias = 3;
    check_adjusted(&o, logits, (double[]){0.0, 0.5, 2.0, 0.0}, NULL, 0, NULL, 0);

    vinci_sampling_init(&o); /* divides a positive logit, multiplies a negative one, once each */
    o.repetition_penalty = 2.0f;
    check_adjusted(&o, logits, (double[]){0.5, 0.25, -1.0, 0.0}, prompt, 3, output, 3);
    check_adjusted(&o, logits, (double[]){0.5, 0.5, -1.0, 0.0}, prompt, 3, NULL, 0);

    vinci_sampling_init(&o); /* over the output alone */
    o.presence_penalty = 0.75f;
    check_adjusted(&o, logits, (double[]){1.0, -0.25, -1.25, 0.0}, prompt, 3, output, 3);

    vinci_sampling_init(&o);
    o.frequency_penalty = -0.5f;
    check_adjusted(&o, logits, (double[]){1.0, 1.5, 0.0, 0.0}, prompt, 3, output, 3);

    vinci_sampling_init(&o); /* all, in order: (0.5 + 1) / 2 - 0.25 - 2 * 0.125 */
    const struct vinci_logit_bias up = {1, 1.0f};
    o.logit_bias = &up;
    o.n_logit_bias = 1;
    o.repetition_penalty = 2.0f;
    o.presence_penalty = 0.25f;
    o.frequency_penalty = 0.125f;
    o.temperature = 0.5f;
    check_adjusted(&o, logits, (double[]){0.5, 0.25, -1.375, 0.0}, prompt, 3, output, 3);
}

static void test_bias_forbids(void **state)
{
    (void)state;
    const float logits[3] = {5, 4, 3};
    const struct vinci_logit_bias bias[] = {{0, -INFINITY}, {1, -100}};
    struct vinci_sampling o;
    vinci_sampling_init(&o);
    o.logit_bias = bias;
    o.n_logit_bias = 2;
    for (int greedy = 0; greedy < 2; greedy++) {
        o.temperature = greedy ? 0 : 1;
        struct sampler *s = make(&o, 3, 0);
        for (size_t i = 0; i < 100; i++) assert_int_equal(draw_one(s, logits, i), 2);
        sampler_free(s);
    }
}

/* ---- log-probabilities -------------------------------------------------------------------- */

static void test_top_logprobs(void **state)
{
    (void)state;
    enum { N = 30001 };
    float *logits = calloc(N, sizeof *logits);
    double *exact = calloc(N, sizeof *exact), sum = 0;
    for (int i = 0; i < N; i++) {
        logits[i] = i % 1000 == 7 ? NAN : 5 * noise(21, (uint64_t)i);
        if (i == 100 || i == 20000) logits[i] = 25; /* a tie at the top */
        exact[i] = isnan(logits[i]) ? -INFINITY : (double)logits[i];
        sum += exp(exact[i]);
    }
    int32_t *order = calloc(N, sizeof *order);
    for (int i = 0; i < N; i++) order[i] = i;
    sort_values = exact;
    qsort(order, N, sizeof *order, by_value_then_id);
    struct vinci_sampling o; /* none of these changes the log-probabilities */
    vinci_sampling_init(&o);
    const struct vinci_logit_bias bias = {order[3], -50};
    o.logit_bias = &bias;
    o.n_logit_bias = 1;
    o.temperature = 3;
    o.top_k = 2000;
    for (uint32_t n_top = 1; n_top <= VINCI_TOP_LOGPROBS_MAX; n_top++) {
        struct sampler *s = make(&o, N, n_top);
        for (size_t i = 0; i < 3; i++) {
            int32_t token;
            float logprob;
            size_t n;
            assert_int_equal(sampler_draw(s, logits, NULL, i, &token, &logprob, NULL), VINCI_OK);
            assert_true(fabs((double)logprob - (exact[token] - log(sum))) < 2e-6);
            const struct vinci_token_logprob *top = sampler_top_logprobs(s, &n);
            assert_int_equal(n, n_top);
            for (size_t j = 0; j < n; j++) {
                assert_int_equal(top[j].token, order[j]);
                assert_true(fabs((double)top[j].logprob - (exact[order[j]] - log(sum))) < 2e-6);
            }
        }
        sampler_free(s);
    }
    free(logits);
    free(exact);
    free(order);
}

static void test_no_logprobs(void **state)
{
    (void)state;
    const float logits[3] = {1, 2, 3};
    struct vinci_sampling o;
    vinci_sampling_init(&o);
    struct sampler *s = make(&o, 3, 0);
    int32_t token;
    float logprob = 5;
    size_t n = 5;
    assert_int_equal(sampler_draw(s, logits, NULL, 0, &token, &logprob, NULL), VINCI_OK);
    assert_true(logprob == 0);
    sampler_top_logprobs(s, &n);
    assert_int_equal(n, 0);
    sampler_free(s);
}

/* ---- options ------------------------------------------------------------------------------ */

static void test_options(void **state)
{
    (void)state;
    struct vinci_sampling o;
#define REFUSED(field, bad, name) \
    do { \
        struct vinci_error err = {0}; \
        struct sampler *s = (struct sampler *)&err; \
        vinci_sampling_init(&o); \
        o.field = bad; \
        assert_int_equal(sampler_create(&s, &o, 100, 0, &err), VINCI_USAGE); \
        assert_null(s); \
        if (!strstr(err.text, name)) fail_msg("%s", err.text); \
    } while (0)
    REFUSED(temperature, NAN, "temperature is nan");
    REFUSED(temperature, -0.1f, "temperature is -0.1");
    REFUSED(temperature, INFINITY, "temperature is inf");
    REFUSED(top_p, NAN, "top_p");
    REFUSED(top_p, -0.5f, "top_p");
    REFUSED(top_p, 1.5f, "top_p is 1.5; expected");
    REFUSED(min_p, NAN, "min_p");
    REFUSED(min_p, 1.01f, "min_p");
    REFUSED(repetition_penalty, 0, "repetition_penalty");
    REFUSED(repetition_penalty, NAN, "repetition_penalty");
    REFUSED(presence_penalty, INFINITY, "presence_penalty");
    REFUSED(presence_penalty, NAN, "presence_penalty");
    REFUSED(frequency_penalty, -INFINITY, "frequency_penalty");
    REFUSED(n_logit_bias, 1, "logit_bias is NULL");
#undef REFUSED
    static const struct {
        struct vinci_logit_bias bias;
        const char *text;
    } biases[] = {{{-1, 0}, "token -1"},
                  {{100, 0}, "token 100; expected 0 to 99"},
                  {{3, NAN}, "nan"},
                  {{3, INFINITY}, "inf"}};
    struct vinci_error err;
    struct sampler *s;
    for (size_t i = 0; i < ARRAY_SIZE(biases); i++) {
        vinci_sampling_init(&o);
        o.logit_bias = &biases[i].bias;
        o.n_logit_bias = 1;
        assert_int_equal(sampler_create(&s, &o, 100, 0, &err), VINCI_USAGE);
        assert_non_null(strstr(err.text, biases[i].text));
    }
    vinci_sampling_init(&o);
    assert_int_equal(sampler_create(&s, &o, 100, VINCI_TOP_LOGPROBS_MAX + 1, &err), VINCI_USAGE);
    assert_int_equal(sampler_create(&s, &o, 0, 0, &err), VINCI_USAGE);
    sampler_free(NULL);
    s = make(&o, 100, 0);
    sampler_accept(s, -1, false); /* no penalties: nothing to count, nothing to break */
    sampler_free(s);
    o.presence_penalty = 1;
    s = make(&o, 100, 0);
    sampler_accept(s, -1, false);
    sampler_accept(s, 100, true);
    sampler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_checker_notices),
        cmocka_unit_test(test_uniform_draws),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_keep_largest),
        cmocka_unit_test(test_draws_are_independent),
        cmocka_unit_test(test_fixed_draws),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_broken_logits),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_bias_and_penalties),
        cmocka_unit_test(test_bias_forbids),
        cmocka_unit_test(test_top_logprobs),
        cmocka_unit_test(test_no_logprobs),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
