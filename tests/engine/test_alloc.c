/* test_alloc.c - memory that cannot be had: every allocation of opening, stepping and closing fails
 * once, and each time there is a status or a whole result, no leak (under AddressSanitizer) and no
 * crash. And a step makes no allocation at all. */
#include "alloc_fail.h"
#include "engine/session.h"
#include "golden_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct golden golden;
static int32_t *ids;

static int set_up(void **state)
{
    (void)state;
    if (!golden_open(&golden, &GOLDEN_CASES[0])) return -1;
    ids = golden_ids(golden.input_ids, golden.n_input);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(ids);
    golden_close(&golden);
    return 0;
}

static enum vinci_status open_engine(struct vinci_engine **engine, struct vinci_error *err)
{
    struct vinci_engine_options options;
    vinci_engine_options_init(&options);
    options.model = golden.model;
    options.n_threads = 2;
    options.n_ctx = 256;
    return vinci_engine_open(engine, &options, err);
}

/* Open, a prompt through the scheduler with text-free options, a session beside it, close. */
static enum vinci_status use(struct vinci_error *err)
{
    static const char *const stop[] = {"never"};
    struct vinci_engine *engine = NULL;
    struct vinci_session *session = NULL;
    struct vinci_request_options options;
    struct vinci_request_result result;
    float row[320];
    enum vinci_status status = open_engine(&engine, err);
    if (status == VINCI_OK) status = vinci_session_open(&session, engine, err);
    if (status == VINCI_OK) status = vinci_session_append(session, ids, 40, NULL, row, err);
    if (status == VINCI_OK) status = vinci_session_sync(session, ids + 1, 30, row, NULL, err);
    vinci_request_options_init(&options);
    options.prompt = ids;
    options.n_prompt = 20;
    options.max_new_tokens = 5;
    options.n_top_logprobs = 3;
    options.stop_tokens = ids;
    options.n_stop_tokens = 1;
    options.stop_strings = stop;
    options.n_stop_strings = 1;
    if (status == VINCI_OK) status = vinci_generate(engine, &options, &result, err);
    vinci_session_close(session);
    vinci_engine_close(engine);
    return status;
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    size_t n_failed = 0;
    for (size_t k = 1;; k++) {
        struct vinci_error err = {0};
        alloc_fail_begin(k);
        enum vinci_status status = use(&err);
        bool failed = alloc_fail_end();
        if (status != VINCI_OK) {
            if (status != VINCI_NO_MEMORY) fail_msg("allocation %zu: %s", k, err.text);
            assert_int_equal(err.status, status);
            assert_non_null(strstr(err.text, "memory"));
            n_failed++;
        }
        if (!failed) {
            assert_int_equal(status, VINCI_OK);
            break;
        }
    }
    assert_true(n_failed > 100); /* it was really tried */
}

static void test_no_allocation_in_a_step(void **state)
{
    (void)state;
    struct vinci_engine *engine = NULL;
    struct vinci_session *a = NULL, *b = NULL;
    struct vinci_error err;
    float logits[2 * 320];
    uint32_t outputs[] = {49, 50};
    assert_int_equal(open_engine(&engine, &err), VINCI_OK);
    assert_int_equal(vinci_session_open(&a, engine, &err), VINCI_OK);
    assert_int_equal(vinci_session_open(&b, engine, &err), VINCI_OK);
    struct forward_seq seqs[] = {{a->kv, ids, 50, 0}, {b->kv, ids + 3, 1, 0}};
    for (int step = 0; step < 2; step++) {
        alloc_fail_begin(1);
        enum vinci_status status = forward_step(engine->forward, seqs, 2, outputs, 2, logits, &err);
        assert_false(alloc_fail_end());
        assert_int_equal(status, VINCI_OK);
        seqs[0].n_tokens = 1;
        outputs[0] = 0;
        outputs[1] = 1;
    }
    vinci_session_close(a);
    vinci_session_close(b);
    vinci_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_no_allocation_in_a_step),
    };
    return cmocka_run_group_tests_name("failing allocations", tests, set_up, tear_down);
}
