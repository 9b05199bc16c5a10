/* test_npu.c - the forward pass on the Ascend device, through the simulator of CANN
 * (tests/npu_sim): every golden checkpoint in every version of CANN and every way to keep the
 * weights.
 *
 * Tolerances are on the mean KL of the distributions, in nats, of prompt and continuation: BF16 has
 * 8 bits, so activations are rounded to one part in 256 at every product, F16 to one in 2048. What
 * an NPU computes differs from the simulator in the order of sums alone. */
#include "golden_case.h"
#include "npu_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const versions[] = {"8.0", "8.1", "8.3", "8.5", "9.0"};
enum { N_VERSIONS = sizeof versions / sizeof *versions };

/* Mean KL of the kept positions of the prompt, in chunks, and of the continuation. */
static double distance(const struct golden *golden, struct vinci_engine *engine, size_t *n_same)
{
    struct vinci_error err;
    struct vinci_session *session = NULL;
    size_t n_vocab = golden->n_vocab;
    int32_t *ids = golden_ids(golden->input_ids, golden->n_input);
    uint8_t *want = calloc(golden->n_input, 1);
    float *logits = calloc(golden->n_positions * n_vocab, sizeof *logits);
    double kl = 0;
    *n_same = 0;
    for (size_t i = 0; i < golden->n_positions; i++) want[golden->positions[i]] = 1;
    assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
    if (vinci_session_append(session, ids, golden->n_input, want, logits, &err) != VINCI_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < golden->n_positions; i++)
        kl += kl_divergence(golden->logits + i * n_vocab, logits + i * n_vocab, n_vocab);
    memcpy(logits, logits + (golden->n_positions - 1) * n_vocab, n_vocab * sizeof *logits);
    for (size_t g = 0; g < golden->n_greedy; g++) {
        int32_t token = (int32_t)golden->greedy_ids[g];
        *n_same += argmax(logits, n_vocab) == (size_t)token;
        kl += kl_divergence(golden->greedy_logits + g * n_vocab, logits, n_vocab);
        if (vinci_session_append(session, &token, 1, NULL, logits, &err) != VINCI_OK)
            fail_msg("%s", err.text);
    }
    vinci_session_close(session);
    free(ids);
    free(want);
    free(logits);
    return kl / (double)(golden->n_positions + golden->n_greedy);
}

struct mode {
    const char *name;
    enum vinci_npu_dtype dtype;
    double kl_max;
    enum vinci_npu_attention attention;
};

static const struct mode modes[] = {
    {"bf16", VINCI_NPU_BF16, 1e-2, VINCI_NPU_ATTENTION_SMALL},
    {"fp16", VINCI_NPU_F16, 1e-4, VINCI_NPU_ATTENTION_AUTO},
    {"compact", VINCI_NPU_COMPACT, 1e-2, VINCI_NPU_ATTENTION_SMALL},
    {"bf16 fused", VINCI_NPU_BF16, 1e-2, VINCI_NPU_ATTENTION_FUSED},
    {"compact fused", VINCI_NPU_COMPACT, 1e-2, VINCI_NPU_ATTENTION_FUSED},
};
enum { N_MODES = sizeof modes / sizeof *modes };

struct golden_test {
    const struct golden_case *golden;
    const char *version;
    const struct mode *mode;
};

static void test_golden(void **state)
{
    const struct golden_test *test = *state;
    struct golden golden;
    struct vinci_engine *engine = NULL;
    struct vinci_error err;
    size_t n_same;
    if (!golden_open(&golden, test->golden)) skip();
    if (golden.n_input > 900) { /* takes too long */
        golden_close(&golden);
        skip();
    }
    npu_case_attention = test->mode->attention;
    enum vinci_status status =
        npu_engine(&engine, golden.model, test->version, test->mode->dtype, 4, 96, &err);
    if (status == VINCI_UNSUPPORTED && test->mode->dtype == VINCI_NPU_COMPACT) {
        assert_non_null(strstr(err.text, "MXFP4"));
        golden_close(&golden);
        skip();
    }
    if (status != VINCI_OK) fail_msg("%s", err.text);
    double kl = distance(&golden, engine, &n_same);
    print_message("%-16s %s %-13s KL %.2e, %zu of %zu tokens\n", test->golden->name, test->version,
                  test->mode->name, kl, n_same, golden.n_greedy);
    assert_true(kl <= test->mode->kl_max);
    vinci_engine_close(engine);
    golden_close(&golden);
    assert_int_equal(npu_violations(), 0);
}

/* Without an argument each checkpoint once, versions and modes in turn (seconds); "all": each in
 * every version and mode; anything else is a filter over all, such as "odd, CANN 8.1*". */
int main(int argc, char **argv)
{
    enum { MAX = 32 * N_VERSIONS * N_MODES };
    static struct CMUnitTest tests[MAX];
    static struct golden_test golden_tests[MAX];
    static char names[MAX][64];
    size_t n = 0;
    for (size_t c = 0; c < N_GOLDEN_CASES; c++)
        for (size_t v = 0; v < N_VERSIONS; v++)
            for (size_t m = 0; m < N_MODES; m++) {
                size_t turn = 2 * c + c / N_MODES;
                if (argc < 2 && (v != c % N_VERSIONS || m != turn % N_MODES)) continue;
                golden_tests[n] = (struct golden_test){&GOLDEN_CASES[c], versions[v], &modes[m]};
                snprintf(names[n], sizeof names[n], "%s, CANN %s, %s", GOLDEN_CASES[c].name,
                         versions[v], modes[m].name);
                tests[n] = (struct CMUnitTest){names[n], test_golden, NULL, NULL, &golden_tests[n]};
                n++;
            }
    if (argc > 1 && strcmp(argv[1], "all") != 0) cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("npu", tests, n, NULL, NULL);
}
