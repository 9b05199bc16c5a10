/* test_ahead.c - the host works while the simulated Ascend device computes the next step: the same
 * tokens, texts and endings as one after the other, and proof that the two overlap; what is started
 * in vain for a request that ends, is held or closed; failures of a step that was started ahead.
 *
 * "One after the other" is the same engine told that its device neither runs ahead nor finds the
 * best token. */
#include "engine/engine.h"
#include "engine/request.h"
#include "npu_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MAX_NEW = 48, N_MIXED = 14 };

static struct vinci_tokenizer *tokenizer;

static struct vinci_engine *open_engine(const char *version, uint32_t n_seqs, bool ahead)
{
    struct vinci_engine *engine = NULL;
    struct vinci_error err;
    if (npu_engine(&engine, TEST_VECTORS "/golden/tiny", version, VINCI_NPU_BF16, n_seqs, 64,
                   &err) != VINCI_OK)
        fail_msg("%s", err.text);
    assert_true(engine->device->runs_ahead && engine->device->finds_best);
    engine->device->runs_ahead = engine->device->finds_best = ahead;
    return engine;
}

/* One request and what came of it. `act` is done in the callback of token `at`. */
struct kept {
    struct vinci_request *request;
    int32_t tokens[MAX_NEW];
    size_t n_tokens, n_text;
    char text[1024];
    struct vinci_request_result result;
    enum { GO_ON, STOP, CANCEL_OTHER, PAUSE, LET_GO, RUN } act;
    size_t at;
    struct kept *other;
    void (*run)(void);
};

static bool keep_token(void *user, const struct vinci_token_event *event)
{
    struct kept *kept = user;
    size_t n;
    assert_int_equal(event->index, kept->n_tokens);
    assert_true(kept->n_tokens < MAX_NEW);
    kept->tokens[kept->n_tokens++] = event->token;
    assert_true(kept->n_text + event->n_text < sizeof kept->text);
    memcpy(kept->text + kept->n_text, event->text, event->n_text);
    kept->n_text += event->n_text;
    const int32_t *all = vinci_request_tokens(kept->request, &n);
    assert_int_equal(n, kept->n_tokens); /* what is not reported yet is not there */
    assert_memory_equal(all, kept->tokens, n * sizeof *all);
    if (kept->n_tokens != kept->at) return true;
    switch (kept->act) {
    case STOP: return false;
    case CANCEL_OTHER: vinci_request_cancel(kept->other->request); break;
    case PAUSE: vinci_request_pause(kept->other->request, true); break;
    case LET_GO: vinci_request_pause(kept->other->request, false); break;
    case RUN: kept->run(); break;
    default: break;
    }
    return true;
}

static void submit(struct vinci_engine *engine, struct kept *kept, size_t seed, size_t n_prompt,
                   struct vinci_request_options *options)
{
    int32_t prompt[64];
    struct vinci_error err;
    some_tokens(prompt, n_prompt, seed);
    options->prompt = prompt;
    options->n_prompt = n_prompt;
    options->tokenizer = tokenizer;
    options->on_token = keep_token;
    options->user = kept;
    if (vinci_request_submit(&kept->request, engine, options, &err) != VINCI_OK)
        fail_msg("%s", err.text);
}

static void submit_greedy(struct vinci_engine *engine, struct kept *kept, size_t seed, size_t n_new)
{
    struct vinci_request_options options;
    vinci_request_options_init(&options);
    options.sampling.temperature = 0;
    options.max_new_tokens = n_new;
    submit(engine, kept, seed, 20, &options);
}

static void step(struct vinci_engine *engine, size_t *n_active)
{
    struct vinci_error err;
    if (vinci_engine_step(engine, n_active, &err) != VINCI_OK) fail_msg("%s", err.text);
}

static void finish(struct vinci_engine *engine, struct kept *kept, size_t n)
{
    size_t n_active = 1;
    while (n_active) step(engine, &n_active);
    for (size_t i = 0; i < n; i++) {
        vinci_request_result(kept[i].request, &kept[i].result);
        assert_int_equal(kept[i].result.n_generated, kept[i].n_tokens);
        vinci_request_close(kept[i].request);
        kept[i].request = NULL;
    }
}

/* How far a request had come when another cancelled it depends on how prompts were cut, and that on
 * time. */
static bool is_same(const struct kept *a, const struct kept *b)
{
    size_t n = a->n_tokens < b->n_tokens ? a->n_tokens : b->n_tokens;
    bool cut = a->act != STOP && (a->result.finish == VINCI_FINISH_CANCELLED ||
                                  b->result.finish == VINCI_FINISH_CANCELLED);
    if (memcmp(a->tokens, b->tokens, n * sizeof *a->tokens) != 0) return false;
    return cut || (a->n_tokens == b->n_tokens && a->result.finish == b->result.finish &&
                   memcmp(a->text, b->text, sizeof a->text) == 0);
}

static void compare(const struct kept *a, const struct kept *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_same(&a[i], &b[i]))
            fail_msg("request %zu: %zu tokens (end %d), expected %zu (%d)", i, b[i].n_tokens,
                     (int)b[i].result.finish, a[i].n_tokens, (int)a[i].result.finish);
}

/* ---- the same tokens ----------------------------------------------------------------------- */

/* Lengths, sampling and ends of all kinds; `known`, if not NULL: what the greedy requests said, to
 * stop at it. `greedy`: all are. */
static void run_mixed(struct vinci_engine *engine, const struct kept *known, bool greedy,
                      struct kept kept[N_MIXED])
{
    memset(kept, 0, N_MIXED * sizeof *kept);
    for (size_t i = 0; i < N_MIXED; i++) {
        struct vinci_request_options options;
        char end[8] = "";
        const char *const ends[] = {end};
        vinci_request_options_init(&options);
        options.sampling.temperature = greedy || i % 3 ? 0 : 1;
        options.sampling.seed = i;
        options.sampling.presence_penalty = !greedy && i % 7 == 2 ? .5f : 0;
        options.n_top_logprobs = !greedy && i % 5 == 4 ? 3 : 0;
        options.max_new_tokens = 5 + i * 3 % 17;
        if (known && i % 4 == 1) { /* in the middle of what it says */
            snprintf(end, sizeof end, "%.2s", known[i].text + known[i].n_text / 2);
            options.stop_strings = ends;
            options.n_stop_strings = *end != '\0';
        }
        if (known && i % 4 == 2) {
            options.stop_tokens = &known[i].tokens[known[i].n_tokens / 2];
            options.n_stop_tokens = 1;
        }
        kept[i].other = &kept[(i + 3) % N_MIXED];
        kept[i].at = 3 + i % 5;
        if (i == 3 || i == 8) kept[i].act = STOP;
        if (i == 4 || i == 11) kept[i].act = CANCEL_OTHER;
        submit(engine, &kept[i], i, 10 + 7 * (i % 8), &options);
    }
    finish(engine, kept, N_MIXED);
}

static void same_tokens(const char *version, bool greedy)
{
    static struct kept known[N_MIXED], expected[N_MIXED], got[N_MIXED];
    struct vinci_engine *engine = open_engine(version, 4, false);
    run_mixed(engine, NULL, greedy, known);
    run_mixed(engine, known, greedy, expected);
    close_engine(engine);
    size_t ends[8] = {0};
    for (size_t i = 0; i < N_MIXED; i++) ends[expected[i].result.finish]++;
    assert_true(ends[VINCI_FINISH_STOP] >= 3 && ends[VINCI_FINISH_LENGTH] >= 3 &&
                ends[VINCI_FINISH_CANCELLED] >= 2);
    engine = open_engine(version, 4, true);
    run_mixed(engine, known, greedy, got);
    compare(expected, got, N_MIXED);
    close_engine(engine);
    got[3].tokens[0]++; /* and a difference would be seen */
    assert_false(is_same(&got[3], &expected[3]));
}

static void test_same_tokens(void **state)
{
    (void)state;
    same_tokens("8.5", true);
}

/* Without recordings, and drawn on the host as well. */
static void test_same_tokens_mixed(void **state)
{
    (void)state;
    same_tokens("8.0", false);
}

/* To the end of the context. */
static void test_full_context(void **state)
{
    static struct kept kept[2];
    int32_t prompt[1020];
    struct vinci_error err;
    memset(kept, 0, sizeof kept);
    some_tokens(prompt, 1020, 1);
    for (int i = 0; i < 2; i++) {
        struct vinci_engine *engine = open_engine(*state, 2, i);
        struct vinci_request_options options;
        vinci_request_options_init(&options);
        options.sampling.temperature = 0;
        options.prompt = prompt;
        options.n_prompt = 1020;
        options.on_token = keep_token;
        options.user = &kept[i];
        assert_int_equal(vinci_request_submit(&kept[i].request, engine, &options, &err), VINCI_OK);
        finish(engine, &kept[i], 1);
        assert_int_equal(kept[i].result.finish, VINCI_FINISH_CONTEXT);
        assert_int_equal(kept[i].n_tokens, 5);
        close_engine(engine);
    }
    compare(&kept[0], &kept[1], 1);
}

/* Held by another's callback while a step with it is under way, later let go on. */
static void test_pause(void **state)
{
    static struct kept expected[3], got[3];
    for (int ahead = 0; ahead < 2; ahead++) {
        struct kept *kept = ahead ? got : expected;
        struct vinci_engine *engine = open_engine(*state, 4, ahead);
        size_t n_active, n_before;
        memset(kept, 0, sizeof got);
        for (size_t i = 0; i < 3; i++) {
            kept[i].other = &kept[2];
            kept[i].act = i == 0 ? PAUSE : i == 1 ? LET_GO : GO_ON;
            kept[i].at = i == 0 ? 6 : 15;
            submit_greedy(engine, &kept[i], i, 30);
        }
        while (kept[0].n_tokens < 7) step(engine, &n_active);
        n_before = kept[2].n_tokens;
        while (kept[1].n_tokens < 14) step(engine, &n_active);
        assert_int_equal(kept[2].n_tokens, n_before); /* held */
        finish(engine, kept, 3);
        assert_int_equal(kept[2].n_tokens, 30);
        close_engine(engine);
    }
    compare(expected, got, 3);
}

static struct kept *held_one;
static size_t hold_at;
static enum vinci_status (*receive)(struct device *device, unsigned slot, float *floats,
                                    int32_t *best, struct vinci_error *err);

static enum vinci_status receive_and_hold(struct device *device, unsigned slot, float *floats,
                                          int32_t *best, struct vinci_error *err)
{
    if (held_one->n_tokens == hold_at) vinci_request_pause(held_one->request, true);
    return receive(device, slot, floats, best, err);
}

/* Held by another thread when two steps with it are under way, and let go before the second is
 * collected: that one began with a token which was not taken. */
static void test_pause_within_a_step(void **state)
{
    static struct kept expected[2], got[2];
    struct vinci_engine *engine = open_engine(*state, 2, true);
    const struct device_ops *real = engine->device->ops;
    struct device_ops ops = *real;
    memset(expected, 0, sizeof expected);
    memset(got, 0, sizeof got);
    for (size_t i = 0; i < 2; i++) submit_greedy(engine, &expected[i], i, 30);
    finish(engine, expected, 2);
    receive = ops.receive;
    ops.receive = receive_and_hold;
    engine->device->ops = &ops;
    held_one = &got[0];
    hold_at = 8;
    for (size_t i = 0; i < 2; i++) submit_greedy(engine, &got[i], i, 30);
    got[1].other = held_one;
    got[1].act = LET_GO;
    got[1].at = 9; /* of the step that the other was held in */
    while (got[1].n_tokens < 9) {
        size_t n_active;
        step(engine, &n_active);
    }
    assert_int_equal(got[0].n_tokens, 8);
    hold_at = SIZE_MAX;
    finish(engine, got, 2);
    compare(expected, got, 2);
    engine->device->ops = real;
    close_engine(engine);
}

/* ---- overlap ------------------------------------------------------------------------------- */

static uint64_t kernels_run(void)
{
    struct npu_sim_counters counters;
    npu_counters(&counters);
    return counters.kernels;
}

static void sleep_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* In the callback: until the device has computed another whole step. It never would if it were only
 * asked to after the callback. */
static void wait_for_next_step(void)
{
    uint64_t before = kernels_run();
    for (int i = 0; kernels_run() < before + 40; i++) {
        if (i == 2000) fail_msg("the device does nothing while the host is at work");
        sleep_ms(2);
    }
}

static void test_overlap(void **state)
{
    setenv("NPU_SIM_ORDER", "eager", 1);
    setenv("NPU_SIM_DELAY", "20000", 1);
    for (int greedy = 0; greedy < 2; greedy++) {
        struct vinci_engine *engine = open_engine(*state, 2, true);
        struct vinci_request_options options;
        static struct kept kept;
        memset(&kept, 0, sizeof kept);
        kept.act = RUN;
        kept.at = 8;
        kept.run = wait_for_next_step;
        vinci_request_options_init(&options);
        options.sampling.temperature = greedy ? 0 : 1;
        options.max_new_tokens = 20;
        submit(engine, &kept, 3, 20, &options);
        finish(engine, &kept, 1);
        assert_int_equal(kept.n_tokens, 20);
        close_engine(engine);
    }
    unsetenv("NPU_SIM_ORDER");
    unsetenv("NPU_SIM_DELAY");
}

static long callback_ms;

static bool take_time(void *user, const struct vinci_token_event *event)
{
    sleep_ms(callback_ms);
    return keep_token(user, event);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A device step of 20 ms and a callback of 12: printed; and counted, how often the device had
 * nothing to do. It is never so where the token's way is from one step to the next on the device.
 */
static void test_no_gap(void **state)
{
    enum { N = 16 };
    static const char *const names[] = {"one after the other", "drawn on the host",
                                        "found on the device"};
    setenv("NPU_SIM_ORDER", "eager", 1);
    setenv("NPU_SIM_DELAY", "20000", 1);
    callback_ms = 12;
    for (int mode = 0; mode < 3; mode++) {
        struct vinci_engine *engine = open_engine(*state, 2, true);
        static struct kept kept;
        struct vinci_request_options options;
        struct npu_sim_counters before, after;
        size_t n_active;
        memset(&kept, 0, sizeof kept);
        engine->device->runs_ahead = mode > 0;
        engine->device->finds_best = mode > 1;
        vinci_request_options_init(&options);
        options.sampling.temperature = 0;
        options.max_new_tokens = N + 8;
        submit(engine, &kept, 3, 20, &options);
        kept.request->options.on_token = take_time;
        while (kept.n_tokens < 4) step(engine, &n_active);
        npu_counters(&before);
        double start = now();
        while (kept.n_tokens < 4 + N) step(engine, &n_active);
        double ms = (now() - start) * 1e3 / N;
        npu_counters(&after);
        print_message("%-20s %.1f ms a token; per step: %.2f launches, %.2f waits, %.0f bytes up, "
                      "%.0f down, %.0f on the device, idle %.2f times\n",
                      names[mode], ms, (double)(after.launches - before.launches) / N,
                      (double)(after.synchronisations - before.synchronisations) / N,
                      (double)(after.host_to_device - before.host_to_device) / N,
                      (double)(after.device_to_host - before.device_to_host) / N,
                      (double)(after.device_to_device - before.device_to_device) / N,
                      (double)(after.idle - before.idle) / N);
        assert_int_equal(after.launches - before.launches, N);
        assert_int_equal(after.synchronisations - before.synchronisations, N);
        assert_int_equal(after.mallocs - before.mallocs, 0);
        assert_int_equal(after.device_to_device - before.device_to_device, mode == 2 ? 4 * N : 0);
        if (mode < 2) assert_true(after.idle - before.idle >= N);
        else assert_true(after.idle - before.idle < N / 2); /* a machine may be busy */
        finish(engine, &kept, 1);
        close_engine(engine);
    }
    unsetenv("NPU_SIM_ORDER");
    unsetenv("NPU_SIM_DELAY");
}

/* ---- what was started in vain -------------------------------------------------------------- */

/* A session given to a request can be used when the request has ended, though a step with it is
 * under way: it holds what was reported, and goes on as any other. */
static void test_session_after(void **state)
{
    float expected[N_VOCAB], logits[N_VOCAB];
    struct vinci_engine *engine = open_engine(*state, 2, true);
    for (size_t length = 5; length < 135;
         length += length < 100 ? 103 : 5) { /* over a page's end */
        struct vinci_session *session = NULL, *fresh = NULL;
        struct vinci_request_options options;
        struct vinci_error err;
        static struct kept kept;
        int32_t prompt[160];
        size_t n, n_active = 1;
        memset(&kept, 0, sizeof kept);
        some_tokens(prompt, length, 2);
        assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
        assert_int_equal(vinci_session_open(&fresh, engine, &err), VINCI_OK);
        vinci_request_options_init(&options);
        options.sampling.temperature = 0;
        options.prompt = prompt;
        options.n_prompt = length;
        options.session = session;
        options.on_token = keep_token;
        options.user = &kept;
        kept.act = STOP;
        kept.at = 9;
        assert_int_equal(vinci_request_submit(&kept.request, engine, &options, &err), VINCI_OK);
        while (n_active) step(engine, &n_active);
        const int32_t *held = vinci_session_tokens(session, &n);
        assert_int_equal(n, length + 8);
        assert_memory_equal(held, prompt, length * sizeof *held);
        assert_memory_equal(held + length, kept.tokens, 8 * sizeof *held);
        assert_int_equal(vinci_session_append(session, prompt, 1, NULL, logits, &err), VINCI_OK);
        assert_int_equal(vinci_session_append(fresh, held, length, NULL, expected, &err), VINCI_OK);
        for (size_t i = 0; i < 9; i++)
            assert_int_equal(vinci_session_append(fresh, i < 8 ? &kept.tokens[i] : prompt, 1, NULL,
                                                  expected, &err),
                             VINCI_OK);
        assert_memory_equal(logits, expected, sizeof logits);
        assert_int_equal(vinci_session_rewind(session, length + 4, &n, &err), VINCI_OK);
        assert_int_equal(n, length + 4);
        vinci_request_close(kept.request);
        vinci_session_close(session);
        vinci_session_close(fresh);
    }
    close_engine(engine);
}

/* Requests that are closed, and sessions that compute, while a step is under way. */
static void test_in_between(void **state)
{
    static struct kept expected, kept[3];
    struct vinci_engine *engine = open_engine(*state, 3, true);
    struct vinci_session *session = NULL;
    struct vinci_error err;
    int32_t tokens[40];
    float logits[N_VOCAB];
    size_t n_active;
    memset(&expected, 0, sizeof expected);
    memset(kept, 0, sizeof kept);
    some_tokens(tokens, 40, 8);
    submit_greedy(engine, &expected, 0, 30);
    finish(engine, &expected, 1);
    assert_int_equal(forward_n_begun(engine->forward), 30); /* none beyond a known end */
    assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
    for (size_t i = 0; i < 3; i++) submit_greedy(engine, &kept[i], i, 30);
    for (size_t i = 0; i < 20; i++) {
        step(engine, &n_active);
        if (i == 7 || i == 12) vinci_request_close(kept[i / 6].request);
        if (i % 3 == 0)
            assert_int_equal(vinci_session_append(session, tokens + i, 2, NULL, logits, &err),
                             VINCI_OK);
    }
    finish(engine, kept, 1);
    compare(&expected, kept, 1);
    vinci_session_close(session);
    close_engine(engine);
}

/* ---- failures ------------------------------------------------------------------------------ */

static void fail_next_replay(void)
{
    npu_fail("aclmdlRIExecuteAsync@1");
}

static void fail_next_copy(void)
{
    npu_fail("aclrtMemcpyAsync@1");
}

/* The step that is started while a token is reported fails: tokens of the steps before it are
 * reported, then the requests end; the engine goes on. */
static void test_step_fails(void **state)
{
    static struct kept expected[2], kept[2], after[2];
    void (*const failures[])(void) = {fail_next_replay, fail_next_copy};
    for (size_t f = 0; f < 2; f++) {
        struct vinci_engine *engine = open_engine(*state, 2, true);
        struct vinci_error err = {0};
        size_t n_active = 1, n_calls = 0;
        enum vinci_status status = VINCI_OK;
        memset(expected, 0, sizeof expected);
        memset(kept, 0, sizeof kept);
        memset(after, 0, sizeof after);
        for (size_t i = 0; i < 2; i++) submit_greedy(engine, &expected[i], i, 30);
        finish(engine, expected, 2);
        for (size_t i = 0; i < 2; i++) submit_greedy(engine, &kept[i], i, 30);
        kept[1].act = RUN;
        kept[1].at = 10;
        kept[1].run = failures[f];
        while (n_active && status == VINCI_OK) {
            status = vinci_engine_step(engine, &n_active, &err);
            n_calls++;
        }
        npu_fail(NULL);
        assert_int_equal(status, VINCI_OK); /* the device is not lost */
        assert_int_equal(n_active, 0);
        for (size_t i = 0; i < 2; i++) {
            vinci_request_result(kept[i].request, &kept[i].result);
            assert_int_equal(kept[i].result.finish, VINCI_FINISH_ERROR);
            assert_int_equal(kept[i].result.error.status, VINCI_DEVICE);
            assert_non_null(strstr(kept[i].result.error.text, "failed: error"));
            assert_int_equal(kept[i].n_tokens, 11); /* one step was under way already */
            assert_int_equal(kept[i].result.n_generated, 11);
            assert_memory_equal(kept[i].tokens, expected[i].tokens, 11 * sizeof(int32_t));
            vinci_request_close(kept[i].request);
        }
        for (size_t i = 0; i < 2; i++) submit_greedy(engine, &after[i], i, 30);
        finish(engine, after, 2);
        compare(expected, after, 2);
        close_engine(engine);
    }
}

static void lose_soon(void)
{
    struct npu_sim_counters counters;
    char lost[64];
    npu_counters(&counters);
    snprintf(lost, sizeof lost, "%llu=507015", (unsigned long long)counters.launches_run + 1);
    setenv("NPU_SIM_LOST", lost, 1);
}

/* The device is lost in a step that is under way: once a sentence, then a refusal. */
static void test_lost_under_way(void **state)
{
    static struct kept kept[2];
    struct vinci_engine *engine = open_engine(*state, 2, true);
    struct vinci_request *request = NULL;
    struct vinci_error err = {0};
    size_t n_active = 1;
    enum vinci_status status = VINCI_OK;
    memset(kept, 0, sizeof kept);
    for (size_t i = 0; i < 2; i++) submit_greedy(engine, &kept[i], i, 30);
    kept[1].act = RUN;
    kept[1].at = 10;
    kept[1].run = lose_soon;
    while (n_active && status == VINCI_OK) status = vinci_engine_step(engine, &n_active, &err);
    unsetenv("NPU_SIM_LOST");
    print_message("%s\n", err.text);
    assert_int_equal(status, VINCI_DEVICE);
    assert_non_null(strstr(err.text, "an AI core stopped"));
    assert_int_equal(n_active, 0);
    for (size_t i = 0; i < 2; i++) {
        vinci_request_result(kept[i].request, &kept[i].result);
        assert_int_equal(kept[i].result.finish, VINCI_FINISH_ERROR);
        assert_in_range(kept[i].n_tokens, 10, 11);
        vinci_request_close(kept[i].request);
        kept[i] = (struct kept){0};
    }
    assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK); /* nothing to do */
    submit_greedy(engine, &kept[0], 0, 30);
    request = kept[0].request;
    assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_DEVICE);
    assert_non_null(strstr(err.text, "lost by an earlier error"));
    assert_true(vinci_request_done(request));
    vinci_request_close(request);
    vinci_engine_close(engine);
}

int main(int argc, char **argv)
{
    static char v85[] = "8.5", v81[] = "8.1";
    const struct CMUnitTest tests[] = {
        /* First: the simulator counts to the operator at which the device is lost from its start.
         */
        {"lost under way", test_lost_under_way, NULL, NULL, v85},
        {"the same tokens", test_same_tokens, NULL, NULL, NULL},
        {"the same tokens, mixed", test_same_tokens_mixed, NULL, NULL, NULL},
        {"a full context", test_full_context, NULL, NULL, v85},
        {"held and let go", test_pause, NULL, NULL, v85},
        {"held within a step", test_pause_within_a_step, NULL, NULL, v85},
        {"a session after its request", test_session_after, NULL, NULL, v85},
        {"closed and computed in between", test_in_between, NULL, NULL, v85},
        {"overlap", test_overlap, NULL, NULL, v85},
        {"no gap", test_no_gap, NULL, NULL, v85},
        {"a step fails", test_step_fails, NULL, NULL, v81},
    };
    struct vinci_error err;
    if (vinci_tokenizer_open(&tokenizer, TEST_VECTORS "/../../models/nano", &err) != VINCI_OK) {
        print_message("%s\n", err.text);
        return 1;
    }
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    int failed = cmocka_run_group_tests_name("npu ahead", tests, NULL, NULL);
    vinci_tokenizer_close(tokenizer);
    return failed;
}
