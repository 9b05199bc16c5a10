/* test_nano.c - the trained model of models/nano, whose answers mean something:
 * float activations give the reference's answers to held-out questions token for token; int8
 * activations give those of float on nearly all, with the KL divergence of their distributions;
 * and an answer does not depend on the company it is computed in.
 *
 * `test_nano FILE` asks all questions of another file in heldout.jsonl's form (tools/nano). */
#include "golden_case.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    MAX_QUESTIONS = 4000,
    EVERY = 2,     /* of the file's questions, one in so many is asked: seconds, not minutes */
    EVERY_KL = 10, /* of those asked, one in so many is measured */
    N_COMPANY = 32
};
#define NEAR_TIE 1e-3 /* a margin below this another order of sums may decide */
#define KL_MAX 5e-6   /* mean, in nats: some six times what was measured */

struct answer {
    int32_t *ids;
    size_t n;
};

struct question {
    struct answer prompt, reference;
    double margin;
    bool right; /* the reference's answer is the expected one */
};

static const char *other_file;
static struct question questions[MAX_QUESTIONS];
static size_t n_questions;

static struct answer ids_of(const json_t *array)
{
    struct answer a = {.n = json_array_size(array)};
    a.ids = calloc(a.n + 1, sizeof *a.ids);
    assert_non_null(a.ids);
    for (size_t i = 0; i < a.n; i++)
        a.ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return a;
}

static int read_questions(void **state)
{
    (void)state;
    FILE *file = fopen(other_file ? other_file : TEST_VECTORS "/nano/heldout.jsonl", "r");
    assert_non_null(file);
    json_t *line = NULL;
    for (size_t i = 0; (line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)); i++) {
        if (other_file || i % EVERY == 0) {
            assert_true(n_questions < MAX_QUESTIONS);
            questions[n_questions++] =
                (struct question){.prompt = ids_of(json_object_get(line, "ids")),
                                  .reference = ids_of(json_object_get(line, "greedy")),
                                  .margin = json_real_value(json_object_get(line, "margin")),
                                  .right = json_is_true(json_object_get(line, "right"))};
        }
        json_decref(line);
    }
    fclose(file);
    assert_true(n_questions >= 200);
    return 0;
}

static int free_questions(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_questions; i++) {
        free(questions[i].prompt.ids);
        free(questions[i].reference.ids);
    }
    return 0;
}

static struct vinci_engine *open_nano(enum vinci_activations activations, enum vinci_kv_type kv)
{
    struct golden nano = {.model = TEST_VECTORS "/../../models/nano"};
    return golden_engine(&nano, activations, kv, 2, 0);
}

static struct vinci_request *submit(struct vinci_engine *engine, size_t i, float temperature)
{
    struct vinci_request_options options;
    struct vinci_request *request = NULL;
    struct vinci_error err;
    vinci_request_options_init(&options);
    options.prompt = questions[i].prompt.ids;
    options.n_prompt = questions[i].prompt.n;
    options.max_new_tokens = questions[i].reference.n;
    options.sampling.temperature = temperature;
    options.sampling.seed = i;
    assert_int_equal(vinci_request_submit(&request, engine, &options, &err), VINCI_OK);
    return request;
}

static void run(struct vinci_engine *engine)
{
    struct vinci_error err;
    size_t n_active = 1;
    while (n_active) assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
}

static struct answer take(struct vinci_request *request)
{
    struct answer a = {0};
    const int32_t *ids = vinci_request_tokens(request, &a.n);
    a.ids = calloc(a.n + 1, sizeof *a.ids);
    assert_non_null(a.ids);
    memcpy(a.ids, ids, a.n * sizeof *ids);
    vinci_request_close(request);
    return a;
}

static bool same(const struct answer *a, const struct answer *b)
{
    return a->n == b->n && memcmp(a->ids, b->ids, a->n * sizeof *a->ids) == 0;
}

static void ask_all(struct vinci_engine *engine, struct answer *answers)
{
    static struct vinci_request *requests[MAX_QUESTIONS];
    for (size_t i = 0; i < n_questions; i++) requests[i] = submit(engine, i, 0);
    run(engine);
    for (size_t i = 0; i < n_questions; i++) answers[i] = take(requests[i]);
}

/* Mean KL of the two engines' distributions at the positions of an answer. */
static double divergence(struct vinci_engine *p, struct vinci_engine *q, const struct question *x)
{
    struct vinci_engine *engines[2] = {p, q};
    size_t n_vocab = vinci_engine_model(p)->n_vocab, n = x->prompt.n + x->reference.n - 1;
    int32_t *ids = calloc(n, sizeof *ids);
    uint8_t *want = calloc(n, 1);
    float *rows[2] = {NULL, NULL};
    struct vinci_error err;
    double sum = 0;
    assert_non_null(ids);
    assert_non_null(want);
    memcpy(ids, x->prompt.ids, x->prompt.n * sizeof *ids);
    memcpy(ids + x->prompt.n, x->reference.ids, (x->reference.n - 1) * sizeof *ids);
    memset(want + x->prompt.n - 1, 1, x->reference.n);
    for (int k = 0; k < 2; k++) {
        struct vinci_session *session = NULL;
        rows[k] = calloc(x->reference.n * n_vocab, sizeof *rows[k]);
        assert_non_null(rows[k]);
        assert_int_equal(vinci_session_open(&session, engines[k], &err), VINCI_OK);
        assert_int_equal(vinci_session_append(session, ids, n, want, rows[k], &err), VINCI_OK);
        vinci_session_close(session);
    }
    for (size_t i = 0; i < x->reference.n; i++)
        sum += kl_divergence(rows[0] + i * n_vocab, rows[1] + i * n_vocab, n_vocab);
    free(ids);
    free(want);
    free(rows[0]);
    free(rows[1]);
    return sum / (double)x->reference.n;
}

/* Answers that are those of float, and the mean KL; a wrong answer must show. */
static void compare(struct vinci_engine *f32, struct answer *as_float,
                    enum vinci_activations activations, enum vinci_kv_type kv, const char *name)
{
    static struct answer answers[MAX_QUESTIONS];
    struct vinci_engine *engine = open_nano(activations, kv);
    size_t n_same = 0, n_kl = 0;
    double kl = 0;
    ask_all(engine, answers);
    for (size_t i = 0; i < n_questions; i++) {
        n_same += same(&as_float[i], &answers[i]);
        if (i % EVERY_KL != 0) continue;
        kl += divergence(f32, engine, &questions[i]);
        n_kl++;
    }
    kl /= (double)n_kl;
    print_message("%s: %zu of %zu answers are those of float; mean KL %.2g\n", name, n_same,
                  n_questions, kl);
    assert_true(n_same * 100 >= n_questions * 99);
    assert_true(kl > 0 && kl < KL_MAX);
    as_float[0].ids[0]++;
    assert_false(same(&as_float[0], &answers[0]));
    as_float[0].ids[0]--;
    vinci_engine_close(engine);
    for (size_t i = 0; i < n_questions; i++) free(answers[i].ids);
}

static void test_answers(void **state)
{
    (void)state;
    static struct answer as_float[MAX_QUESTIONS];
    struct vinci_engine *f32 = open_nano(VINCI_ACTIVATIONS_F32, VINCI_KV_F32);
    ask_all(f32, as_float);

    size_t n_clear = 0, n_reference = 0, n_right = 0;
    for (size_t i = 0; i < n_questions; i++) {
        const struct question *q = &questions[i];
        bool as_reference = same(&as_float[i], &q->reference);
        if (q->margin > NEAR_TIE) {
            n_clear++;
            n_reference += as_reference;
        }
        n_right += q->right && as_reference;
    }
    print_message("float: %zu of %zu answers are the reference's; %zu of %zu are right\n",
                  n_reference, n_clear, n_right, n_questions);
    assert_true(n_clear > n_questions * 8 / 10);
    assert_int_equal(n_reference, n_clear);
    assert_true(n_right * 100 >= n_questions * 92);
    compare(f32, as_float, VINCI_ACTIVATIONS_INT8, VINCI_KV_F16, "int8, f16 keys and values");
    compare(f32, as_float, VINCI_ACTIVATIONS_F32, VINCI_KV_Q8_0, "float, q8_0 keys and values");
    compare(f32, as_float, VINCI_ACTIVATIONS_INT8, VINCI_KV_Q8_0, "int8, q8_0 keys and values");

    vinci_engine_close(f32);
    for (size_t i = 0; i < n_questions; i++) free(as_float[i].ids);
}

/* Greedy and drawn answers to different prompts: each alone, then all of them side by side. */
static void test_company(void **state)
{
    (void)state;
    struct vinci_engine *engine = open_nano(VINCI_ACTIVATIONS_INT8, VINCI_KV_F16);
    struct vinci_request *requests[N_COMPANY];
    struct answer alone[N_COMPANY];
    size_t stride = n_questions / N_COMPANY, n_tokens = 0;
    for (size_t i = 0; i < N_COMPANY; i++) {
        struct vinci_request *request = submit(engine, i * stride, i % 2 ? 1 : 0);
        run(engine);
        alone[i] = take(request);
        n_tokens += alone[i].n;
    }
    for (size_t i = 0; i < N_COMPANY; i++) requests[i] = submit(engine, i * stride, i % 2 ? 1 : 0);
    run(engine);
    for (size_t i = 0; i < N_COMPANY; i++) {
        struct answer together = take(requests[i]);
        assert_true(same(&alone[i], &together));
        assert_true(i == 0 || !same(&alone[i], &alone[i - 1]));
        free(together.ids);
    }
    print_message("%d prompts alone and together: the same %zu tokens\n", N_COMPANY, n_tokens);
    for (size_t i = 0; i < N_COMPANY; i++) free(alone[i].ids);
    vinci_engine_close(engine);
}

int main(int argc, char **argv)
{
    other_file = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers),
                                       cmocka_unit_test(test_company)};
    return cmocka_run_group_tests_name("the trained model", tests, read_questions, free_questions);
}
