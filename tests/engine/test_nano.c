/* test_nano.c - the trained model of models/nano: float activations give the reference's answers to
 * held-out questions token for token, int8 activations the same on nearly all of them. */
#include "golden_case.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    N_QUESTIONS = 400,
    EVERY = 2 /* of the questions, one in so many is asked: seconds, not minutes */
};
#define NEAR_TIE 1e-3 /* a margin below this another order of sums may decide */

struct question {
    int32_t *ids, *greedy;
    size_t n_ids, n_greedy;
    double margin;
    struct vinci_request *request;
};

static int32_t *ids_of(const json_t *array, size_t *n)
{
    *n = json_array_size(array);
    int32_t *ids = calloc(*n + 1, sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++) ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return ids;
}

static size_t read_questions(struct question *questions)
{
    FILE *file = fopen(TEST_VECTORS "/nano/heldout.jsonl", "r");
    assert_non_null(file);
    size_t n = 0;
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        json_t *line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(line);
        if (i % EVERY == 0) {
            struct question *q = &questions[n++];
            q->ids = ids_of(json_object_get(line, "ids"), &q->n_ids);
            q->greedy = ids_of(json_object_get(line, "greedy"), &q->n_greedy);
            q->margin = json_real_value(json_object_get(line, "margin"));
        }
        json_decref(line);
    }
    fclose(file);
    return n;
}

static struct vinci_engine *open_nano(enum vinci_activations activations, enum vinci_kv_type kv)
{
    struct golden nano = {.model = TEST_VECTORS "/../../models/nano"};
    return golden_engine(&nano, activations, kv, 2, 0);
}

/* How many continuations are the reference's; those with a near tie on the way are not counted. */
static size_t ask(struct vinci_engine *engine, struct question *questions, size_t n,
                  size_t *n_asked)
{
    struct vinci_error err;
    size_t n_same = 0, n_active = 1;
    *n_asked = 0;
    for (size_t i = 0; i < n; i++) {
        struct vinci_request_options options;
        vinci_request_options_init(&options);
        options.prompt = questions[i].ids;
        options.n_prompt = questions[i].n_ids;
        options.max_new_tokens = questions[i].n_greedy;
        options.sampling.temperature = 0;
        assert_int_equal(vinci_request_submit(&questions[i].request, engine, &options, &err),
                         VINCI_OK);
    }
    while (n_active) assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    for (size_t i = 0; i < n; i++) {
        size_t n_got;
        const int32_t *got = vinci_request_tokens(questions[i].request, &n_got);
        bool same = n_got == questions[i].n_greedy &&
                    memcmp(got, questions[i].greedy, n_got * sizeof *got) == 0;
        if (questions[i].margin > NEAR_TIE) {
            ++*n_asked;
            n_same += same;
        }
        vinci_request_close(questions[i].request);
    }
    return n_same;
}

static void test_answers(void **state)
{
    (void)state;
    static struct question questions[N_QUESTIONS];
    size_t n = read_questions(questions), n_asked, n_same;
    assert_int_equal(n, N_QUESTIONS / EVERY);

    struct vinci_engine *engine = open_nano(VINCI_ACTIVATIONS_F32, VINCI_KV_F32);
    n_same = ask(engine, questions, n, &n_asked);
    print_message("float: %zu of %zu answers are the reference's\n", n_same, n_asked);
    assert_true(n_asked > n * 8 / 10);
    assert_int_equal(n_same, n_asked);
    vinci_engine_close(engine);

    engine = open_nano(VINCI_ACTIVATIONS_INT8, VINCI_KV_F16);
    n_same = ask(engine, questions, n, &n_asked);
    print_message("int8: %zu of %zu answers are the reference's\n", n_same, n_asked);
    assert_true(n_same * 100 >= n_asked * 95);
    questions[0].greedy[0]++; /* and a wrong answer is seen */
    size_t n_less = ask(engine, questions, 1, &n_asked);
    assert_int_equal(n_less, 0);
    vinci_engine_close(engine);
    for (size_t i = 0; i < n; i++) {
        free(questions[i].ids);
        free(questions[i].greedy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers)};
    return cmocka_run_group_tests_name("the trained model", tests, NULL, NULL);
}
