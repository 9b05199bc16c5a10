/* test_steps.c - steps on the simulated Ascend device: what they cost (launches, waits, copies,
 * allocations), several sequences at once, pages that are shared, and failures. What a step costs
 * is counted by the simulator, not by the code under test. */
#include "engine/engine.h"
#include "golden_case.h"
#include "npu_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct vinci_engine *tiny_engine(const char *version, uint32_t n_seqs, uint32_t n_batch)
{
    struct vinci_engine *engine = NULL;
    struct vinci_error err;
    char model[1024];
    snprintf(model, sizeof model, "%s/golden/tiny", TEST_VECTORS);
    if (npu_engine(&engine, model, version, VINCI_NPU_BF16, n_seqs, n_batch, &err) != VINCI_OK)
        fail_msg("%s", err.text);
    return engine;
}

static struct vinci_session *new_session(struct vinci_engine *engine)
{
    struct vinci_session *session = NULL;
    struct vinci_error err;
    assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
    return session;
}

/* ---- what a step costs --------------------------------------------------------------------- */

static void test_recorded_step(void **state)
{
    const char *version = *state;
    bool recorded = strcmp(version, "8.0") != 0; /* it cannot */
    struct vinci_engine *engine = tiny_engine(version, 4, 64);
    struct vinci_session *session = new_session(engine);
    int32_t tokens[40];
    float logits[N_VOCAB];
    struct npu_sim_counters before, after;
    some_tokens(tokens, 40, 1);
    append(session, tokens, 20, logits);
    for (int i = 20; i < 24; i++) append(session, tokens + i, 1, logits);
    uint64_t copied = 0;
    for (int i = 24; i < 40; i++) {
        npu_counters(&before);
        append(session, tokens + i, 1, logits);
        npu_counters(&after);
        uint64_t launches = after.launches - before.launches;
        assert_int_equal(after.synchronisations - before.synchronisations, 1);
        assert_int_equal(after.sync_copies - before.sync_copies, 0);
        assert_int_equal(after.mallocs - before.mallocs, 0);
        assert_int_equal(after.device_to_host - before.device_to_host, N_VOCAB * 2);
        if (recorded) assert_int_equal(launches, 1);
        else assert_true(launches > 60);
        assert_true(after.kernels - before.kernels > 40); /* they ran all the same */
        copied = after.host_to_device - before.host_to_device;
        assert_in_range(copied, 1, 4096);
    }
    print_message("CANN %s: %llu launches, %llu operators, %llu bytes up, workspace %llu\n",
                  version, (unsigned long long)(after.launches - before.launches),
                  (unsigned long long)(after.kernels - before.kernels), (unsigned long long)copied,
                  (unsigned long long)after.workspace_largest);
    vinci_session_close(session);
    vinci_engine_close(engine);
    assert_int_equal(npu_violations(), 0);
}

/* Generates n tokens for each of three prompts at once, greedily; `looked_at`: in a way that the
 * host must see the logits. Returns the bytes that a step copies back. */
static uint64_t generate(struct vinci_engine *engine, size_t n, bool looked_at,
                         int32_t tokens[3][64])
{
    struct vinci_request *requests[3];
    struct npu_sim_counters before = {0}, after = {0};
    struct vinci_error err;
    size_t n_active = 1, n_tokens;
    for (int r = 0; r < 3; r++) {
        int32_t prompt[20];
        some_tokens(prompt, 20, r);
        struct vinci_request_options options;
        vinci_request_options_init(&options);
        options.prompt = prompt;
        options.n_prompt = 20;
        options.max_new_tokens = n;
        options.sampling.temperature = 0;
        options.n_top_logprobs = looked_at;
        assert_int_equal(vinci_request_submit(&requests[r], engine, &options, &err), VINCI_OK);
    }
    for (int step = 0; n_active > 0; step++) {
        if (step == 10) npu_counters(&before);
        if (vinci_engine_step(engine, &n_active, &err) != VINCI_OK) fail_msg("%s", err.text);
        if (step == 10) npu_counters(&after);
    }
    assert_int_equal(after.synchronisations - before.synchronisations, 1);
    for (int r = 0; r < 3; r++) {
        const int32_t *made = vinci_request_tokens(requests[r], &n_tokens);
        assert_int_equal(n_tokens, n);
        memcpy(tokens[r], made, n * sizeof *made);
        vinci_request_close(requests[r]);
    }
    return after.device_to_host - before.device_to_host;
}

/* A greedy request gets its token from the device, the same as from the logits. */
static void test_best_token(void **state)
{
    enum { N = 24 };
    struct vinci_engine *engine = tiny_engine(*state, 4, 64);
    int32_t found[3][64], drawn[3][64];
    assert_int_equal(generate(engine, N, true, drawn), 3 * N_VOCAB * 2);
    assert_int_equal(generate(engine, N, false, found), 3 * 4);
    for (int r = 0; r < 3; r++) assert_memory_equal(found[r], drawn[r], N * sizeof **found);
    vinci_engine_close(engine);
    assert_int_equal(npu_violations(), 0);
}

/* A prompt waits once a chunk at most: for the copies of its inputs; with fused attention a layer
 * is a few dozen operators whatever the chunk's size. */
static void test_prefill_does_not_wait(void **state)
{
    const char *version = *state;
    struct vinci_engine *engine = tiny_engine(version, 2, 32);
    struct vinci_session *session = new_session(engine);
    int32_t tokens[128];
    float logits[N_VOCAB];
    struct npu_sim_counters before, after;
    some_tokens(tokens, 128, 2);
    append(session, tokens, 64, logits);
    npu_counters(&before);
    append(session, tokens + 64, 64, logits); /* two chunks, one result */
    npu_counters(&after);
    assert_int_equal(after.synchronisations - before.synchronisations, 1);
    assert_int_equal(after.mallocs - before.mallocs, 0);
    vinci_session_close(session);
    vinci_engine_close(engine);
    assert_int_equal(npu_violations(), 0);
}

/* ---- the same result by other ways --------------------------------------------------------- */

/* Chunks, decode steps (operator by operator, recorded, replayed) and mixed batches compute the
 * same up to the rounding of BF16; the simulator sums in one order, so small operators agree
 * exactly. */
static void test_chunks_and_lanes(void **state)
{
    const char *version = *state;
    enum { N = 70, SEQS = 3 };
    struct vinci_engine *engine = tiny_engine(version, 4, 64);
    struct vinci_session *sessions[SEQS];
    int32_t tokens[SEQS][N];
    float whole[SEQS][N_VOCAB], stepwise[SEQS][N_VOCAB], together[SEQS * N_VOCAB];
    struct vinci_error err;
    for (int s = 0; s < SEQS; s++) {
        some_tokens(tokens[s], N, s);
        sessions[s] = new_session(engine);
        append(sessions[s], tokens[s], N, whole[s]);
        vinci_session_close(sessions[s]);
        sessions[s] = new_session(engine);
        append(sessions[s], tokens[s], 40, stepwise[s]);
        for (int i = 40; i < N; i++) append(sessions[s], tokens[s] + i, 1, stepwise[s]);
        assert_true(difference(whole[s], stepwise[s]) < .25);
        vinci_session_close(sessions[s]);
    }
    /* All sequences at once: one decodes, another is in the middle of its prompt. */
    struct kv_seq *kv[SEQS];
    for (int s = 0; s < SEQS; s++)
        assert_int_equal(kv_seq_create(&kv[s], engine->cache, &err), VINCI_OK);
    for (int i = 0; i < N; i++) {
        struct forward_seq seqs[SEQS];
        uint32_t outputs[SEQS], n = 0, n_tokens = 0;
        for (int s = 0; s < SEQS; s++) {
            /* the second comes in pieces of 7 */
            uint32_t k = s != 1 ? 1 : i % 7 == 0 ? 7 : 0;
            if (k == 0) continue;
            seqs[n] = (struct forward_seq){kv[s], tokens[s] + i, k, 0};
            n_tokens += k;
            outputs[n++] = n_tokens - 1;
        }
        if (forward_step(engine->forward, seqs, n, outputs, n, together, &err) != VINCI_OK)
            fail_msg("%s", err.text);
        if (i == 63) assert_true(difference(together + N_VOCAB, whole[1]) < .25);
    }
    assert_true(difference(together, whole[0]) < .25);
    assert_true(difference(together + N_VOCAB, whole[2]) < .25);
    for (int s = 0; s < SEQS; s++) kv_seq_destroy(kv[s], engine->cache);
    vinci_engine_close(engine);
    assert_int_equal(npu_violations(), 0);
}

/* Back to a prefix and on with something else: pages are shared, and copied before they change. */
static void test_rewind(void **state)
{
    const char *version = *state;
    enum { N = 300 };
    struct vinci_engine *engine = tiny_engine(version, 4, 64);
    struct vinci_session *session = new_session(engine), *fresh = new_session(engine);
    int32_t tokens[N], other[N];
    float first[N_VOCAB], again[N_VOCAB];
    struct vinci_error err;
    size_t n_reused;
    some_tokens(tokens, N, 3);
    memcpy(other, tokens, sizeof other);
    some_tokens(other + 200, 20, 9);
    append(session, tokens, N, first);
    assert_int_equal(vinci_session_sync(session, other, 220, again, &n_reused, &err), VINCI_OK);
    append(fresh, other, 220, first);
    assert_true(difference(first, again) < .25);
    vinci_session_close(session);
    vinci_session_close(fresh);
    vinci_engine_close(engine);
    assert_int_equal(npu_violations(), 0);
}

/* ---- failures ------------------------------------------------------------------------------ */

/* Every call that may fail at opening fails once: a status and a sentence, nothing left behind. */
static void test_opening_fails(void **state)
{
    (void)state;
    static const char *const calls[] = {
        "aclInit@1=507899",        "aclrtGetDeviceCount@1=507899",
        "aclrtSetDevice@1=507033", "aclrtCreateStream@2",
        "aclrtMalloc@1",           "aclrtMalloc@7",
        "aclrtMallocHost@2",       "aclrtMemcpyAsync@3",
        "aclrtCreateEvent@5",      "aclrtMemcpy@1",
        "aclrtMemsetAsync@1",      "aclrtSynchronizeStream@1",
    };
    char model[1024];
    snprintf(model, sizeof model, "%s/golden/tiny", TEST_VECTORS);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct vinci_engine *engine = NULL;
        struct vinci_error err = {0};
        setenv("NPU_SIM_FAIL", calls[i], 1);
        enum vinci_status status = npu_engine(&engine, model, "8.5", VINCI_NPU_BF16, 2, 32, &err);
        unsetenv("NPU_SIM_FAIL");
        if (status == VINCI_OK) fail_msg("%s went unnoticed", calls[i]);
        assert_null(engine);
        print_message("%-28s %s\n", calls[i], err.text);
        assert_true(status == VINCI_NO_DEVICE || status == VINCI_DEVICE ||
                    status == VINCI_NO_MEMORY);
        assert_int_equal(npu_violations(), 0);
    }
}

/* An operator that fails ends the step, not the engine. */
static void test_operator_fails(void **state)
{
    (void)state;
    static const char *const calls[] = {
        "aclnnAddmmGetWorkspaceSize@7", "aclnnSoftmaxGetWorkspaceSize@2=561002",
        "aclrtMemcpyAsync@1", "aclnnGroupedMatmulV4GetWorkspaceSize@2=161002"};
    int32_t tokens[8];
    float expected[N_VOCAB], logits[N_VOCAB];
    some_tokens(tokens, 8, 4);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct vinci_error err = {0};
        struct vinci_engine *engine = tiny_engine("8.1", 2, 32);
        struct vinci_session *session = new_session(engine);
        append(session, tokens, 7, expected);
        append(session, tokens + 7, 1, expected);
        vinci_session_close(session);
        session = new_session(engine);
        npu_fail(calls[i]);
        enum vinci_status status = vinci_session_append(session, tokens, 7, NULL, logits, &err);
        npu_fail(NULL);
        assert_int_equal(status, VINCI_DEVICE);
        print_message("%-28s %s\n", calls[i], err.text);
        assert_non_null(strstr(err.text, "CANN 8.1"));
        vinci_session_close(session);
        session = new_session(engine);
        append(session, tokens, 7, logits);
        append(session, tokens + 7, 1, logits);
        assert_memory_equal(logits, expected, sizeof logits);
        vinci_session_close(session);
        vinci_engine_close(engine);
        assert_int_equal(npu_violations(), 0);
    }
}

static void test_lost_device(void **state)
{
    (void)state;
    int32_t tokens[8];
    float logits[N_VOCAB];
    struct vinci_error err = {0};
    struct vinci_engine *engine = tiny_engine("8.3", 2, 32);
    struct vinci_session *session = new_session(engine);
    some_tokens(tokens, 8, 5);
    append(session, tokens, 7, logits);
    struct npu_sim_counters counters;
    char lost[64];
    npu_counters(&counters);
    snprintf(lost, sizeof lost, "%llu=507015", (unsigned long long)counters.kernels + 10);
    setenv("NPU_SIM_LOST", lost, 1);
    enum vinci_status status = vinci_session_append(session, tokens, 7, NULL, logits, &err);
    unsetenv("NPU_SIM_LOST");
    assert_int_equal(status, VINCI_DEVICE);
    print_message("%s\n", err.text);
    assert_non_null(strstr(err.text, "lost"));
    assert_int_equal(vinci_session_append(session, tokens, 1, NULL, logits, &err), VINCI_DEVICE);
    assert_non_null(strstr(err.text, "lost by an earlier error"));
    vinci_session_close(session);
    vinci_engine_close(engine);
}

static void test_too_little_memory(void **state)
{
    (void)state;
    struct vinci_engine *engine = NULL;
    struct vinci_error err = {0};
    char model[1024];
    snprintf(model, sizeof model, "%s/golden/tiny", TEST_VECTORS);
    setenv("NPU_SIM_MEMORY", "1G", 1);
    assert_int_equal(npu_engine(&engine, model, "8.5", VINCI_NPU_AUTO, 2, 32, &err),
                     VINCI_NO_MEMORY);
    unsetenv("NPU_SIM_MEMORY");
    assert_null(engine);
    print_message("%s\n", err.text);
    assert_non_null(strstr(err.text, "GB"));
}

int main(int argc, char **argv)
{
    static const char *const versions[] = {"8.0", "8.1", "8.3", "8.5", "9.0"};
    static const struct {
        const char *name;
        CMUnitTestFunction function;
    } by_version[] = {
        {"a recorded step is one launch", test_recorded_step},
        {"a prompt does not wait", test_prefill_does_not_wait},
        {"chunks and lanes", test_chunks_and_lanes},
        {"rewind", test_rewind},
        {"the best token", test_best_token},
    };
    static char names[32][80];
    struct CMUnitTest tests[32];
    size_t n = 0;
    /* First: the simulator counts to the operator at which the device is lost from its start. */
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_lost_device);
    for (size_t f = 0; f < sizeof by_version / sizeof *by_version; f++)
        for (size_t v = 0; v < 5; v++) {
            /* 8.1 and 9.0 run no other operators than their neighbours */
            if (f > 0 && v % 3 == 1) continue;
            snprintf(names[n], sizeof names[n], "%s, CANN %s", by_version[f].name, versions[v]);
            tests[n] = (struct CMUnitTest){names[n], by_version[f].function, NULL, NULL,
                                           (void *)(uintptr_t)versions[v]};
            n++;
        }
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_opening_fails);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_operator_fails);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_too_little_memory);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("npu steps", tests, n, NULL, NULL);
}
