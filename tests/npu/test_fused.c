/* test_fused.c - fused attention inside the recorded steps of the simulated Ascend device: what
 * such a step costs, that it computes what small operators compute at every length and with padded
 * lanes, and what happens where CANN refuses the updates it is made of. */
#include "engine/engine.h"
#include "npu_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_LAYERS = 2, MAX_NEW = 40 };

static struct vinci_engine *open_engine(const char *version, uint32_t n_seqs,
                                        enum vinci_npu_attention attention)
{
    struct vinci_engine *engine = NULL;
    struct vinci_error err;
    npu_case_attention = attention;
    if (npu_engine(&engine, TEST_VECTORS "/golden/tiny", version, VINCI_NPU_BF16, n_seqs, 64,
                   &err) != VINCI_OK)
        fail_msg("%s", err.text);
    assert_int_equal(vinci_engine_model(engine)->n_layers, N_LAYERS);
    return engine;
}

static uint64_t updates(void)
{
    struct npu_sim_counters counters;
    npu_counters(&counters);
    return counters.updates;
}

/* ---- what a step costs, and computes ------------------------------------------------------- */

/* Token by token over the ends of pages, of the window and of recordings. */
static void test_every_length(void **state)
{
    enum { FIRST = 100, N = 280 };
    static float small[N][N_VOCAB], logits[N_VOCAB];
    int32_t tokens[N];
    double worst = 0;
    some_tokens(tokens, N, 1);
    for (int fused = 0; fused < 2; fused++) {
        struct vinci_engine *engine =
            open_engine(*state, 2, fused ? VINCI_NPU_ATTENTION_FUSED : VINCI_NPU_ATTENTION_SMALL);
        struct vinci_session *session = NULL;
        struct npu_sim_counters before, after;
        uint64_t n_slow = 0;
        bool recorded = false;
        assert_int_equal(vinci_session_open(&session, engine, NULL), VINCI_OK);
        append(session, tokens, FIRST, logits);
        for (int i = FIRST; i < N; i++) {
            npu_counters(&before);
            append(session, tokens + i, 1, fused ? logits : small[i]);
            npu_counters(&after);
            double d = fused ? difference(small[i], logits) : 0;
            if (!(d <= worst)) worst = d;
            assert_int_equal(after.device_to_host - before.device_to_host, N_VOCAB * 2);
            bool slow = after.launches - before.launches > 1;
            n_slow += slow;
            if (slow || !recorded) { /* the step behind it is recorded */
                recorded = !slow;
                continue;
            }
            assert_int_equal(after.synchronisations - before.synchronisations, 1);
            assert_int_equal(after.mallocs - before.mallocs, 0);
            assert_int_equal(after.updates - before.updates, fused ? N_LAYERS : 0);
        }
        /* 1, 2, 4 pages; the fused operator's workspace grows once */
        assert_int_equal(n_slow, fused ? 4 : 3);
        print_message("%s: %llu launches, %llu updates, %llu operators, %llu bytes up\n",
                      fused ? "fused" : "small",
                      (unsigned long long)(after.launches - before.launches),
                      (unsigned long long)(after.updates - before.updates),
                      (unsigned long long)(after.kernels - before.kernels),
                      (unsigned long long)(after.host_to_device - before.host_to_device));
        vinci_session_close(session);
        close_engine(engine);
    }
    print_message("largest difference of a logit: %.3f\n", worst);
    assert_true(worst > 0 && worst < .25);
}

/* ---- requests ------------------------------------------------------------------------------ */

struct kept {
    struct vinci_request *request;
    size_t n_tokens;
    int32_t tokens[MAX_NEW];
};

static const char *fault; /* injected in the callback of the token number `fault_at` */
static size_t fault_at;

static bool keep_token(void *user, const struct vinci_token_event *event)
{
    struct kept *kept = user;
    kept->tokens[kept->n_tokens++] = event->token;
    if (fault && kept->n_tokens == fault_at) {
        npu_fail(fault);
        fault = NULL;
    }
    return true;
}

/* n greedy requests, the first with a prompt of n_first tokens; returns the updates. */
static uint64_t generate(struct vinci_engine *engine, size_t n, size_t n_first, size_t n_new,
                         struct kept *kept)
{
    int32_t prompt[700];
    struct vinci_error err;
    size_t n_active = 1;
    uint64_t before = updates();
    memset(kept, 0, n * sizeof *kept);
    for (size_t i = 0; i < n; i++) {
        struct vinci_request_options options;
        vinci_request_options_init(&options);
        some_tokens(prompt, n_first, i);
        options.prompt = prompt;
        options.n_prompt = i ? 20 + 3 * i : n_first;
        options.max_new_tokens = n_new;
        options.sampling.temperature = 0;
        options.on_token = keep_token;
        options.user = &kept[i];
        assert_int_equal(vinci_request_submit(&kept[i].request, engine, &options, &err), VINCI_OK);
    }
    while (n_active)
        if (vinci_engine_step(engine, &n_active, &err) != VINCI_OK) fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(kept[i].n_tokens, n_new);
        vinci_request_close(kept[i].request);
    }
    return updates() - before;
}

static size_t n_same(const struct kept *a, const struct kept *b, size_t n)
{
    size_t same = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < a[i].n_tokens && a[i].tokens[t] == b[i].tokens[t]; t++) same++;
    return same;
}

/* Three sequences in four lanes, one step ahead of the host: as with small operators, until two
 * tokens are nearly equal. */
static void test_lanes(void **state)
{
    static struct kept small[3], fused[3], again[3];
    struct vinci_engine *engine = open_engine(*state, 4, VINCI_NPU_ATTENTION_SMALL);
    assert_int_equal(generate(engine, 3, 150, MAX_NEW, small), 0);
    close_engine(engine);
    engine = open_engine(*state, 4, VINCI_NPU_ATTENTION_FUSED);
    assert_true(generate(engine, 3, 150, MAX_NEW, fused) > 30 * N_LAYERS);
    generate(engine, 3, 150, MAX_NEW, again);
    close_engine(engine);
    size_t same = n_same(small, fused, 3);
    print_message("%zu of %d tokens before the first that differs\n", same, 3 * MAX_NEW);
    assert_true(same > 3 * MAX_NEW / 2);
    assert_int_equal(n_same(fused, again, 3), 3 * MAX_NEW);
}

/* `auto` takes the fused operator where all sequences together have 64 pages: 8 of up to 8. */
static void test_auto(void **state)
{
    static struct kept kept[8];
    struct vinci_engine *engine = open_engine(*state, 8, VINCI_NPU_ATTENTION_AUTO);
    assert_int_equal(generate(engine, 8, 100, 6, kept), 0);
    assert_true(generate(engine, 8, 520, 20, kept) >= 4 * N_LAYERS);
    close_engine(engine);
}

/* ---- refusals ------------------------------------------------------------------------------ */

/* A driver that is too old, updates that change nothing, an operator that fails: seen when the
 * device is opened, and then small operators do it. */
static void test_refused_at_opening(void **state)
{
    static const char *const faults[] = {"aclmdlRICaptureTaskGrpBegin@1=207000",
                                         "aclmdlRICaptureTaskGrpEnd@1=207000",
                                         "aclmdlRICaptureTaskUpdateBegin@1=207000",
                                         "aclmdlRICaptureTaskUpdateEnd@1=207000",
                                         "aclnnFusedInferAttentionScoreV4GetWorkspaceSize@2=561002",
                                         NULL};
    static struct kept kept[2];
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (faults[i]) setenv("NPU_SIM_FAIL", faults[i], 1);
        else setenv("NPU_SIM_UPDATES", "ignored", 1);
        struct vinci_engine *engine = open_engine(*state, 2, VINCI_NPU_ATTENTION_FUSED);
        npu_fail(NULL);
        assert_int_equal(generate(engine, 2, 30, 8, kept), 0);
        close_engine(engine);
        unsetenv("NPU_SIM_UPDATES");
    }
}

/* Refused in the middle, with another step under way: recorded anew where updates have worked
 * before, else by small operators; no token is lost. */
static void test_refused_later(void **state)
{
    static const struct {
        const char *fault;
        size_t at;
        bool goes_on;
    } cases[] = {{"aclmdlRICaptureTaskUpdateEnd@3=207019", 12, true},
                 {"aclmdlRICaptureTaskUpdateBegin@1=207000", 12, true},
                 {"aclnnFusedInferAttentionScoreV4GetWorkspaceSize@2=561002", 12, true},
                 {"aclmdlRICaptureTaskUpdateEnd@1=207019", 2, false}};
    static struct kept expected[2], kept[2];
    struct vinci_engine *engine = open_engine(*state, 2, VINCI_NPU_ATTENTION_FUSED);
    uint64_t all = generate(engine, 2, 30, MAX_NEW, expected);
    close_engine(engine);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        engine = open_engine(*state, 2, VINCI_NPU_ATTENTION_FUSED);
        fault = cases[i].fault;
        fault_at = cases[i].at;
        uint64_t n = generate(engine, 2, 30, MAX_NEW, kept);
        npu_fail(NULL);
        assert_null(fault); /* it was injected */
        print_message("%-58s %llu of %llu updates\n", cases[i].fault, (unsigned long long)n,
                      (unsigned long long)all);
        assert_true(n < all);
        if (cases[i].goes_on) assert_true(n > all / 2);
        else assert_int_equal(n, 0);
        if (cases[i].goes_on) assert_int_equal(n_same(expected, kept, 2), 2 * MAX_NEW);
        else assert_int_equal(generate(engine, 2, 30, MAX_NEW, kept), 0);
        close_engine(engine);
    }
}

int main(int argc, char **argv)
{
    static char v83[] = "8.3", v85[] = "8.5", v90[] = "9.0";
    const struct CMUnitTest tests[] = {
        {"every length, CANN 8.3", test_every_length, NULL, NULL, v83},
        {"every length, CANN 9.0", test_every_length, NULL, NULL, v90},
        {"lanes", test_lanes, NULL, NULL, v85},
        {"auto", test_auto, NULL, NULL, v85},
        {"refused at opening", test_refused_at_opening, NULL, NULL, v85},
        {"refused later", test_refused_later, NULL, NULL, v85},
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("npu fused", tests, NULL, NULL);
}
