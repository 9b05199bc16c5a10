/* test_faults.c - what can fail between opening an engine on the simulated Ascend device and
 * closing it, fails once: the host's allocations and the calls of CANN. Each time there is a status
 * with a sentence or the right result; nothing is left behind (the simulator looks at the end of
 * each engine); the same engine, or the next one, computes the right logits afterwards.
 *
 * Without an argument each hundred-and-first call is tried (seconds); a number is the stride: 1
 * tries all. */
#include "alloc_fail.h"
#include "npu_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_PROMPT = 20, N_DECODE = 4 };

static char model[1024];
static int32_t tokens[N_PROMPT + N_DECODE];
static float expected[N_VOCAB];
static size_t stride = 101;

/* A prompt, then steps of which the third and fourth are recorded and replayed. */
static enum vinci_status compute(struct vinci_engine *engine, float *logits,
                                 struct vinci_error *err)
{
    struct vinci_session *session = NULL;
    enum vinci_status status = vinci_session_open(&session, engine, err);
    if (status == VINCI_OK)
        status = vinci_session_append(session, tokens, N_PROMPT, NULL, logits, err);
    for (int i = 0; status == VINCI_OK && i < N_DECODE; i++)
        status = vinci_session_append(session, tokens + N_PROMPT + i, 1, NULL, logits, err);
    vinci_session_close(session);
    return status;
}

static enum vinci_status open_engine(struct vinci_engine **engine, const char *version,
                                     struct vinci_error *err)
{
    return npu_engine(engine, model, version, VINCI_NPU_BF16, 2, 32, err);
}

static int set_up(void **state)
{
    struct vinci_engine *engine = NULL;
    struct vinci_error err = {0};
    (void)state;
    snprintf(model, sizeof model, "%s/golden/tiny", TEST_VECTORS);
    for (int i = 0; i < N_PROMPT + N_DECODE; i++) tokens[i] = (i * 37 + 5) % 300;
    if (open_engine(&engine, "8.5", &err) != VINCI_OK ||
        compute(engine, expected, &err) != VINCI_OK)
        return -1;
    vinci_engine_close(engine);
    return 0;
}

static void expect_sentence(const struct vinci_error *err, enum vinci_status status)
{
    assert_int_equal(err->status, status);
    assert_true(strlen(err->text) > 10);
    assert_null(strchr(err->text, '\n'));
}

/* ---- the host's memory --------------------------------------------------------------------- */

static enum vinci_status use(struct vinci_error *err)
{
    struct vinci_engine *engine = NULL;
    float logits[N_VOCAB];
    enum vinci_status status = open_engine(&engine, "8.5", err);
    if (status == VINCI_OK) status = compute(engine, logits, err);
    vinci_engine_close(engine);
    return status;
}

static void test_allocations(void **state)
{
    (void)state;
    size_t n_failed = 0, k = 0;
    for (bool failed = true; failed;) {
        struct vinci_error err = {0};
        alloc_fail_begin(++k);
        enum vinci_status status = use(&err);
        failed = alloc_fail_end();
        if (status != VINCI_OK) {
            if (status != VINCI_NO_MEMORY) fail_msg("allocation %zu: %s", k, err.text);
            expect_sentence(&err, status);
            n_failed++;
        }
        if (npu_violations()) fail_msg("allocation %zu: %s", k, err.text);
    }
    print_message("%zu allocations, %zu of them needed\n", k - 1, n_failed);
    assert_true(n_failed > 60);
}

/* ---- CANN's calls -------------------------------------------------------------------------- */

static const int codes[] = {507000, 207001, 507015, 107003};

/* The n-th call fails; false when there were fewer. */
static bool call_fails(const char *version, size_t n, int code)
{
    struct vinci_engine *engine = NULL;
    struct vinci_error err = {0};
    struct npu_sim_counters counters;
    float logits[N_VOCAB];
    char fault[64];
    npu_reset_counters();
    snprintf(fault, sizeof fault, "*@%zu=%d", n, code);
    setenv("NPU_SIM_FAIL", fault, 1);
    enum vinci_status status = open_engine(&engine, version, &err);
    bool opened = status == VINCI_OK;
    if (opened) status = compute(engine, logits, &err);
    npu_counters(&counters);
    bool failed = counters.faults > 0;
    npu_fail(NULL);
    if (status != VINCI_OK) {
        if (!failed) fail_msg("%s without a fault: %s", fault, err.text);
        expect_sentence(&err, status);
        if (!opened) {
            assert_null(engine);
        } else if (!strstr(err.text, "lost")) { /* the engine goes on */
            struct vinci_error second = {0};
            if (compute(engine, logits, &second) != VINCI_OK)
                fail_msg("%s: %s; then: %s", fault, err.text, second.text);
        }
    }
    if (status == VINCI_OK || (opened && !strstr(err.text, "lost")))
        if (strcmp(version, "8.5") == 0) assert_memory_equal(logits, expected, sizeof logits);
    vinci_engine_close(engine);
    if (npu_violations()) fail_msg("%s: %s", fault, err.text);
    return failed;
}

static void test_calls(void **state)
{
    const char *version = *state;
    size_t n = 1;
    for (unsigned i = 0; call_fails(version, n, codes[i % 4]); i++) n += stride;
    print_message("CANN %s: %zu calls in strides of %zu\n", version, n, stride);
    assert_true(n > 500);
}

/* ---- requests ------------------------------------------------------------------------------ */

/* Two requests at once; what became of them, and of the engine. */
static enum vinci_status generate(struct vinci_engine *engine,
                                  struct vinci_request_result results[2], int32_t made[2][6],
                                  struct vinci_error *err)
{
    struct vinci_request *requests[2];
    enum vinci_status status = VINCI_OK;
    size_t n_active = 1, n;
    for (int r = 0; r < 2; r++) {
        struct vinci_request_options options;
        vinci_request_options_init(&options);
        options.prompt = tokens + r;
        options.n_prompt = N_PROMPT;
        options.max_new_tokens = 6;
        options.sampling.temperature = 0;
        assert_int_equal(vinci_request_submit(&requests[r], engine, &options, err), VINCI_OK);
    }
    while (status == VINCI_OK && n_active > 0) status = vinci_engine_step(engine, &n_active, err);
    for (int r = 0; r < 2; r++) {
        vinci_request_result(requests[r], &results[r]);
        const int32_t *ids = vinci_request_tokens(requests[r], &n);
        assert_true(n <= 6);
        memset(made[r], 0, sizeof made[r]);
        if (n) memcpy(made[r], ids, n * sizeof *ids);
        vinci_request_close(requests[r]);
    }
    return status;
}

/* An operator that fails ends the requests of its step; those behind it are served. A lost device
 * ends the engine. */
static void test_requests(void **state)
{
    (void)state;
    struct vinci_engine *engine = NULL;
    struct vinci_error err = {0};
    struct vinci_request_result results[2];
    int32_t right[2][6], made[2][6];
    assert_int_equal(open_engine(&engine, "8.5", &err), VINCI_OK);
    assert_int_equal(generate(engine, results, right, &err), VINCI_OK);
    npu_fail("aclnnRmsNorm@3=561002");
    assert_int_equal(generate(engine, results, made, &err), VINCI_OK);
    npu_fail(NULL);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(results[r].finish, VINCI_FINISH_ERROR);
        assert_int_equal(results[r].error.status, VINCI_DEVICE);
        assert_non_null(strstr(results[r].error.text, "aclnnRmsNorm"));
    }
    assert_int_equal(generate(engine, results, made, &err), VINCI_OK);
    assert_memory_equal(made, right, sizeof right);
    npu_fail("aclnnRmsNorm@3=507015");
    assert_int_equal(generate(engine, results, made, &err), VINCI_DEVICE);
    npu_fail(NULL);
    assert_non_null(strstr(err.text, "lost"));
    assert_int_equal(generate(engine, results, made, &err), VINCI_DEVICE);
    assert_non_null(strstr(err.text, "lost"));
    vinci_engine_close(engine);
    assert_int_equal(open_engine(&engine, "8.5", &err), VINCI_OK); /* the next one is well */
    assert_int_equal(generate(engine, results, made, &err), VINCI_OK);
    assert_memory_equal(made, right, sizeof right);
    vinci_engine_close(engine);
    assert_int_equal(npu_violations(), 0);
}

int main(int argc, char **argv)
{
    static char v80[] = "8.0", v85[] = "8.5";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_allocations),
        cmocka_unit_test_prestate(test_calls, v80),
        cmocka_unit_test_prestate(test_calls, v85),
    };
    if (argc > 1) stride = strtoul(argv[1], NULL, 10);
    if (stride == 0) return 2;
    return cmocka_run_group_tests_name("faults on an NPU", tests, set_up, NULL);
}
