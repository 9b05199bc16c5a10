/* test_bits.c - the same bits, whatever the number of threads, the chunks of the prompt, the
 * company in a step, the way a session came to its tokens, the CPU level, and (with float
 * activations) the container. Every comparison is memcmp: with one thread, the prompt in one piece,
 * and for the levels with the scalar one. */
#include "device/cpu/kernels.h"
#include "golden_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct setup {
    const char *model; /* a case of GOLDEN_CASES */
    enum vinci_activations activations;
    enum vinci_kv_type kv;
    uint32_t n_threads;
    size_t chunk; /* 0: in one piece */
    const char *level;
    size_t n_prompt; /* 0: all */
};

/* Logits of every position; free() them. */
static float *all_logits(const struct setup *setup, size_t *n_floats)
{
    struct golden golden;
    struct vinci_error err;
    struct vinci_engine_options options;
    struct vinci_engine *engine = NULL;
    struct vinci_session *session = NULL;
    const struct golden_case *c = GOLDEN_CASES;
    while (strcmp(c->name, setup->model) != 0) c++;
    assert_true(golden_open(&golden, c));

    vinci_engine_options_init(&options);
    options.model = golden.model;
    options.activations = setup->activations;
    options.kv_type = setup->kv;
    options.n_threads = setup->n_threads;
    options.cpu_level = setup->level;
    options.n_ctx = 8192;
    if (vinci_engine_open(&engine, &options, &err) != VINCI_OK) fail_msg("%s", err.text);
    assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);

    size_t n = golden.n_input;
    if (setup->n_prompt && setup->n_prompt < n) n = setup->n_prompt;
    size_t chunk = setup->chunk ? setup->chunk : n;
    int32_t *ids = golden_ids(golden.input_ids, n);
    uint8_t *want = malloc(n);
    float *logits = calloc(n * golden.n_vocab, sizeof *logits);
    memset(want, 1, n);
    for (size_t at = 0; at < n; at += chunk) {
        size_t now = n - at < chunk ? n - at : chunk;
        assert_int_equal(
            vinci_session_append(session, ids + at, now, want, logits + at * golden.n_vocab, &err),
            VINCI_OK);
    }
    *n_floats = n * golden.n_vocab;
    vinci_session_close(session);
    vinci_engine_close(engine);
    golden_close(&golden);
    free(ids);
    free(want);
    return logits;
}

static void same_bits(const struct setup *a, const struct setup *b)
{
    size_t n_a, n_b;
    float *x = all_logits(a, &n_a), *y = all_logits(b, &n_b);
    assert_int_equal(n_a, n_b);
    for (size_t i = 0; i < n_a; i++)
        if (memcmp(&x[i], &y[i], sizeof *x) != 0)
            fail_msg("%s against %s, %u threads, chunks of %zu, %s: float %zu of %zu: %a and %a",
                     a->model, b->model, b->n_threads, b->chunk, b->level ? b->level : "best level",
                     i, n_a, (double)x[i], (double)y[i]);
    free(x);
    free(y);
}

static const struct {
    const char *model;
    enum vinci_activations activations;
    enum vinci_kv_type kv;
} models[] = {
    {"tiny", VINCI_ACTIVATIONS_F32, VINCI_KV_F32},
    {"tiny-q8", VINCI_ACTIVATIONS_INT8, VINCI_KV_F16},
    {"odd", VINCI_ACTIVATIONS_INT8, VINCI_KV_F16},
    {"odd-q8", VINCI_ACTIVATIONS_INT8, VINCI_KV_F32},
    {"many-experts", VINCI_ACTIVATIONS_INT8, VINCI_KV_F16},
    {"odd", VINCI_ACTIVATIONS_F32, VINCI_KV_Q8_0},
    {"tiny", VINCI_ACTIVATIONS_INT8, VINCI_KV_Q8_0},
};

static struct setup reference(size_t m)
{
    return (struct setup){models[m].model, models[m].activations, models[m].kv, 1, 0, NULL, 0};
}

static void test_threads(void **state)
{
    (void)state;
    static const uint32_t n_threads[] = {2, 3, 7};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        for (size_t i = 0; i < sizeof n_threads / sizeof *n_threads; i++) {
            struct setup a = reference(m), b = a;
            b.n_threads = n_threads[i];
            same_bits(&a, &b);
        }
    }
}

static void test_chunks(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 16, 100};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
            struct setup a = reference(m), b = a;
            b.chunk = chunks[i];
            same_bits(&a, &b);
        }
    }
}

static void test_levels(void **state)
{
    (void)state;
    for (size_t level = 0; cpu_kernels_level(level); level++) {
        for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
            struct setup a = reference(m), b;
            a.level = "scalar";
            a.n_prompt = 140; /* past every window; scalar kernels are slow */
            b = a;
            b.level = cpu_kernels_level(level);
            b.n_threads = 2;
            b.chunk = level % 2 ? 33 : 0;
            same_bits(&a, &b);
        }
    }
}

/* Longer than a split of the softmax, so that splits become tasks of their own when decoding. */
static void test_splits(void **state)
{
    (void)state;
    static const enum vinci_kv_type types[] = {VINCI_KV_F16, VINCI_KV_Q8_0};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct setup a = {"long", VINCI_ACTIVATIONS_INT8, types[i], 1, 0, NULL, 1700}, b = a;
        b.n_threads = 3;
        b.chunk = 1;
        same_bits(&a, &b);
    }
}

/* With float activations the products of MXFP4 and BF16 weights are the same, so the container must
 * not show. */
static void test_containers(void **state)
{
    (void)state;
    static const char *const same[] = {"tiny-original", "tiny-bf16", "tiny-gguf",
                                       "tiny-dense-gguf"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct setup a = {"tiny", VINCI_ACTIVATIONS_F32, VINCI_KV_F16, 1, 0, NULL, 0}, b = a;
        b.model = same[i];
        same_bits(&a, &b);
    }
    struct setup a = {"odd", VINCI_ACTIVATIONS_F32, VINCI_KV_F32, 2, 0, NULL, 0}, b = a;
    b.model = "odd-sharded";
    same_bits(&a, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),    cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_levels),     cmocka_unit_test(test_splits),
        cmocka_unit_test(test_containers),
    };
    return cmocka_run_group_tests_name("same bits", tests, NULL, NULL);
}
