/* test_golden.c - the whole forward pass against the reference's logits, for every golden
 * checkpoint.
 *
 * With float activations and an f32 cache the logits must be the reference's up to the rounding of
 * float32; with int8 activations the distributions must stay as close as the reference says int8
 * activations are. Prints max, rms, KL and top-1 agreement for each case. */
#include "golden_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct distance {
    double max_abs, sum_square, sum_reference_square, sum_kl;
    size_t n, n_rows, n_same_top;
};

static void measure(struct distance *d, const float *reference, const float *got, size_t n_rows,
                    size_t n_vocab)
{
    for (size_t r = 0; r < n_rows; r++, reference += n_vocab, got += n_vocab) {
        for (size_t i = 0; i < n_vocab; i++) {
            double difference = fabs((double)got[i] - reference[i]);
            if (!(difference <= d->max_abs)) d->max_abs = isnan(difference) ? INFINITY : difference;
            d->sum_square += difference * difference;
            d->sum_reference_square += (double)reference[i] * reference[i];
        }
        d->sum_kl += kl_divergence(reference, got, n_vocab);
        d->n_same_top += argmax(reference, n_vocab) == argmax(got, n_vocab);
        d->n += n_vocab;
        d->n_rows++;
    }
}

static void print_distance(const char *name, const char *mode, const struct distance *d)
{
    print_message("%-16s %-5s max %.2e  rms %.2e  KL %.2e  top-1 %.1f %%\n", name, mode, d->max_abs,
                  sqrt(d->sum_square / d->sum_reference_square), d->sum_kl / (double)d->n_rows,
                  100. * (double)d->n_same_top / (double)d->n_rows);
}

/* The prompt's kept positions, then the continuation given the reference's own tokens. Returns how
 * many of the continuation's argmaxes are the reference's. */
static size_t run_case(const struct golden *golden, struct vinci_engine *engine,
                       struct distance *prompt, struct distance *greedy)
{
    struct vinci_error err;
    struct vinci_session *session = NULL;
    int32_t *ids = golden_ids(golden->input_ids, golden->n_input);
    uint8_t *want = calloc(golden->n_input, 1);
    float *logits = calloc(golden->n_positions * golden->n_vocab, sizeof *logits);
    float *row = calloc(golden->n_vocab, sizeof *row);
    size_t n_same = 0;

    for (size_t i = 0; i < golden->n_positions; i++) want[golden->positions[i]] = 1;
    assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
    if (vinci_session_append(session, ids, golden->n_input, want, logits, &err) != VINCI_OK)
        fail_msg("%s", err.text);
    measure(prompt, golden->logits, logits, golden->n_positions, golden->n_vocab);

    assert_int_equal(golden->positions[golden->n_positions - 1], golden->n_input - 1);
    const float *last = logits + (golden->n_positions - 1) * golden->n_vocab;
    for (size_t g = 0; g < golden->n_greedy; g++) {
        int32_t token = (int32_t)golden->greedy_ids[g];
        const float *got = g ? row : last;
        measure(greedy, golden->greedy_logits + g * golden->n_vocab, got, 1, golden->n_vocab);
        n_same += argmax(got, golden->n_vocab) == (size_t)token;
        assert_int_equal(vinci_session_append(session, &token, 1, NULL, row, &err), VINCI_OK);
    }
    vinci_session_close(session);
    free(ids);
    free(want);
    free(logits);
    free(row);
    return n_same;
}

static void test_float(void **state)
{
    const struct golden_case *c = *state;
    struct golden golden;
    struct distance prompt = {0}, greedy = {0};
    if (!golden_open(&golden, c)) skip();
    struct vinci_engine *engine = golden_engine(&golden, VINCI_ACTIVATIONS_F32, VINCI_KV_F32, 2, 0);
    size_t n_same = run_case(&golden, engine, &prompt, &greedy);
    print_distance(c->name, "f32", &prompt);
    double bound = fmax(4 * golden.f32_max_abs, 1e-4);
    assert_true(prompt.max_abs <= bound);
    assert_true(greedy.max_abs <= bound);
    assert_int_equal(n_same, golden.n_greedy);
    vinci_engine_close(engine);
    golden_close(&golden);
}

static void test_int8(void **state)
{
    const struct golden_case *c = *state;
    struct golden golden;
    struct distance prompt = {0}, greedy = {0};
    if (!golden_open(&golden, c)) skip();
    struct vinci_engine *engine =
        golden_engine(&golden, VINCI_ACTIVATIONS_INT8, VINCI_KV_F16, 2, 0);
    run_case(&golden, engine, &prompt, &greedy);
    print_distance(c->name, "int8", &prompt);
    assert_true(prompt.sum_kl / (double)prompt.n_rows <= 3 * golden.int8_kl_mean);
    vinci_engine_close(engine);
    golden_close(&golden);
}

/* The measure must notice what it is there to notice. */
static void test_measure_notices(void **state)
{
    (void)state;
    float a[] = {0, 1, 2, 3}, b[] = {0, 1, 2, 2.5f}, nan_row[] = {0, NAN, 2, 3};
    struct distance same = {0}, other = {0}, bad = {0};
    measure(&same, a, a, 1, 4);
    measure(&other, a, b, 1, 4);
    measure(&bad, a, nan_row, 1, 4);
    assert_true(same.max_abs == 0 && same.sum_kl < 1e-12);
    assert_true(other.max_abs == 0.5 && other.sum_kl > 1e-3);
    assert_false(bad.max_abs <= 1e30);
}

/* An argument names the tests to run: "tiny, float", "odd*". */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[2 * 32 + 1];
    char names[2 * 32][64];
    size_t n = 0;
    for (size_t i = 0; i < N_GOLDEN_CASES; i++) {
        for (int int8 = 0; int8 < 2; int8++, n++) {
            snprintf(names[n], sizeof names[n], "%s, %s", GOLDEN_CASES[i].name,
                     int8 ? "int8 activations, f16 cache" : "float");
            tests[n] = (struct CMUnitTest){names[n], int8 ? test_int8 : test_float, NULL, NULL,
                                           (void *)(uintptr_t)&GOLDEN_CASES[i]};
        }
    }
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_measure_notices);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("golden", tests, n, NULL, NULL);
}
