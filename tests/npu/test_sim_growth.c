/* Steps that were captured with one workspace, replayed after another sequence made it grow: the
 * captured addresses must not be used again, which the simulator would report. */
#include "npu_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_STEPS = 6, N_LONG = 700, N_VOCAB_MOST = 4096 };

static void step(struct vinci_session *session, int n, const int32_t *tokens, float *logits)
{
    struct vinci_error err;
    if (vinci_session_append(session, tokens, (size_t)n, NULL, logits, &err) != VINCI_OK)
        fail_msg("%s", err.text);
}

/* The last logits of 3 + 2 * N_STEPS tokens, in between a long prompt of another sequence. */
static void decode(bool interrupted, float *logits)
{
    struct vinci_engine *engine = NULL;
    struct vinci_session *session = NULL, *other = NULL;
    struct vinci_error err;
    int32_t tokens[N_LONG];
    float *ignored = malloc(N_VOCAB_MOST * sizeof *ignored);
    for (int i = 0; i < N_LONG; i++) tokens[i] = 1 + i % 50;
    if (npu_engine(&engine, TEST_VECTORS "/golden/tiny", "8.1", VINCI_NPU_BF16, 2, 1024, &err) !=
        VINCI_OK)
        fail_msg("%s", err.text);
    assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
    step(session, 3, tokens, logits);
    for (int i = 0; i < N_STEPS; i++) step(session, 1, tokens + i, logits);
    struct npu_sim_counters before, after;
    npu_counters(&before);
    assert_true(before.model_launches > 0);
    if (interrupted) {
        assert_int_equal(vinci_session_open(&other, engine, &err), VINCI_OK);
        step(other, N_LONG, tokens, ignored);
        vinci_session_close(other);
        npu_counters(&after);
        assert_true(after.workspace_largest > 2 * before.workspace_largest); /* it did grow */
    }
    for (int i = 0; i < N_STEPS; i++) step(session, 1, tokens + N_STEPS + i, logits);
    npu_counters(&after);
    assert_true(after.model_launches > before.model_launches);
    vinci_session_close(session);
    vinci_engine_close(engine);
    free(ignored);
}

static void test_a_grown_workspace(void **state)
{
    (void)state;
    float *alone = calloc(N_VOCAB_MOST, sizeof *alone),
          *interrupted = calloc(N_VOCAB_MOST, sizeof *alone);
    decode(false, alone);
    decode(true, interrupted);
    assert_memory_equal(alone, interrupted, N_VOCAB_MOST * sizeof *alone);
    assert_true(alone[1] != alone[2]);
    assert_int_equal(npu_violations(), 0);
    free(alone);
    free(interrupted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_grown_workspace)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
