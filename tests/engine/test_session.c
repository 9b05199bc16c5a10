/* test_session.c - rewind, sync and requests: however a session came to its tokens, the logits are
 * those of a new session; what a request generates does not depend on its company. */
#include "golden_case.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct golden golden;
static int32_t *ids; /* [golden.n_input]: odd's prompt of 400, window 128 */

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GOLDEN_CASES; i++)
        if (strcmp(GOLDEN_CASES[i].name, "odd") == 0 && !golden_open(&golden, &GOLDEN_CASES[i]))
            return -1;
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

static struct vinci_engine *open_engine(uint32_t n_batch)
{
    return golden_engine(&golden, VINCI_ACTIVATIONS_INT8, VINCI_KV_F16, 2, n_batch);
}

static float *new_row(void)
{
    float *row = calloc(golden.n_vocab, sizeof *row);
    assert_non_null(row);
    return row;
}

/* The last position's logits of a session that sees the tokens for the first time. */
static void fresh_logits(struct vinci_engine *engine, const int32_t *tokens, size_t n, float *row)
{
    struct vinci_session *session = NULL;
    struct vinci_error err;
    assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
    assert_int_equal(vinci_session_append(session, tokens, n, NULL, row, &err), VINCI_OK);
    vinci_session_close(session);
}

/* From n_first tokens to others that share n_shared with them, in one session, by sync. */
static void test_sync(void **state)
{
    (void)state;
    static const struct {
        size_t n_first, n_shared, n_then, n_reused_min;
    } cases[] = {
        {300, 300, 400, 300}, /* goes on */
        {300, 290, 380, 0},   /* a short way back: inside the pages that are kept */
        {400, 5, 60, 0},      /* nearly all new */
        {200, 200, 200, 0},   /* the very same: the last token is computed again */
        {100, 0, 90, 0},
    };
    struct vinci_engine *engine = open_engine(64);
    float *expected = new_row(), *got = new_row();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vinci_session *session = NULL;
        struct vinci_error err;
        size_t n_reused = 99999, n_held;
        int32_t *tokens = malloc(golden.n_input * sizeof *tokens);
        memcpy(tokens, ids, golden.n_input * sizeof *tokens);
        for (size_t t = cases[i].n_shared;
             t < golden.n_input && cases[i].n_shared < cases[i].n_first; t++)
            tokens[t] = (ids[t] + 1) % (int32_t)golden.n_vocab;

        assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
        assert_int_equal(vinci_session_append(session, ids, cases[i].n_first, NULL, NULL, &err),
                         VINCI_OK);
        assert_int_equal(vinci_session_sync(session, tokens, cases[i].n_then, got, &n_reused, &err),
                         VINCI_OK);
        fresh_logits(engine, tokens, cases[i].n_then, expected);
        assert_memory_equal(got, expected, golden.n_vocab * sizeof *got);
        assert_in_range(n_reused, cases[i].n_reused_min, cases[i].n_then - 1);
        const int32_t *held = vinci_session_tokens(session, &n_held);
        assert_int_equal(n_held, cases[i].n_then);
        assert_memory_equal(held, tokens, n_held * sizeof *held);
        vinci_session_close(session);
        free(tokens);
    }
    free(expected);
    free(got);
    vinci_engine_close(engine);
}

/* A conversation: prompt, a long answer token by token, then back to the prompt's end. The window
 * has moved on by more than it holds; the checkpoint saves the prompt's prefill. */
static void test_back_to_the_prompt(void **state)
{
    (void)state;
    struct vinci_engine *engine = open_engine(0);
    struct vinci_session *session = NULL;
    struct vinci_error err;
    size_t n_reused, n_kept;
    float *expected = new_row(), *got = new_row();
    int32_t tokens[200];

    assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
    assert_int_equal(vinci_session_append(session, ids, 150, NULL, NULL, &err), VINCI_OK);
    for (size_t i = 150; i < 390; i++)
        assert_int_equal(vinci_session_append(session, &ids[i], 1, NULL, NULL, &err), VINCI_OK);
    memcpy(tokens, ids, sizeof tokens);
    for (size_t i = 160; i < 200; i++) tokens[i] = (ids[i] + 7) % (int32_t)golden.n_vocab;
    assert_int_equal(vinci_session_sync(session, tokens, 200, got, &n_reused, &err), VINCI_OK);
    assert_int_equal(n_reused, 150);
    fresh_logits(engine, tokens, 200, expected);
    assert_memory_equal(got, expected, golden.n_vocab * sizeof *got);

    /* rewind says how far it really went */
    assert_int_equal(vinci_session_rewind(session, 140, &n_kept, &err), VINCI_OK);
    assert_true(n_kept <= 140);
    assert_int_equal(vinci_session_append(session, ids + n_kept, 170 - n_kept, NULL, got, &err),
                     VINCI_OK);
    fresh_logits(engine, ids, 170, expected);
    assert_memory_equal(got, expected, golden.n_vocab * sizeof *got);
    vinci_session_close(session);
    free(expected);
    free(got);
    vinci_engine_close(engine);
}

static void test_limits(void **state)
{
    (void)state;
    struct vinci_engine *engine = open_engine(0);
    struct vinci_session *session = NULL;
    struct vinci_error err;
    size_t n;
    char sentence[64];
    int32_t bad[] = {3, (int32_t)golden.n_vocab}, negative = -1;
    int32_t *many = calloc(8200, sizeof *many);
    assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
    assert_int_equal(vinci_session_append(session, bad, 2, NULL, NULL, &err), VINCI_LIMIT);
    snprintf(sentence, sizeof sentence, "expected 0 to %d, got %d", bad[1] - 1, bad[1]);
    assert_non_null(strstr(err.text, sentence));
    assert_int_equal(vinci_session_append(session, &negative, 1, NULL, NULL, &err), VINCI_LIMIT);
    assert_int_equal(vinci_session_append(session, ids, 0, NULL, NULL, &err), VINCI_USAGE);
    vinci_session_tokens(session, &n);
    assert_int_equal(n, 0);
    assert_int_equal(vinci_session_append(session, many, 8200, NULL, NULL, &err), VINCI_LIMIT);
    assert_non_null(strstr(err.text, "context is full"));
    vinci_session_tokens(session, &n);
    assert_int_equal(n, 8192 / 512 * 512);
    free(many);
    vinci_session_close(session);
    vinci_engine_close(engine);
}

/* ---- requests ------------------------------------------------------------------------------ */

enum { N_REQUESTS = 12, N_NEW = 24 };

static void describe(struct vinci_request_options *options, size_t i)
{
    vinci_request_options_init(options);
    options->prompt = ids + 3 * i;
    options->n_prompt = 5 + 31 * i % 190;
    options->max_new_tokens = N_NEW - i % 3;
    options->sampling.temperature = i % 2 ? 0.9f : 0;
    options->sampling.top_p = 0.95f;
    options->sampling.seed = 1000 + i;
}

static void run_all(struct vinci_engine *engine, size_t first, size_t n, int32_t tokens[][N_NEW])
{
    struct vinci_request *requests[N_REQUESTS] = {NULL};
    struct vinci_error err;
    size_t n_active = 1;
    for (size_t i = 0; i < n; i++) {
        struct vinci_request_options options;
        describe(&options, first + i);
        assert_int_equal(vinci_request_submit(&requests[i], engine, &options, &err), VINCI_OK);
        if (i == n / 2) assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    }
    while (n_active) assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    for (size_t i = 0; i < n; i++) {
        struct vinci_request_result result;
        size_t n_tokens;
        assert_true(vinci_request_done(requests[i]));
        vinci_request_result(requests[i], &result);
        assert_int_equal(result.finish, VINCI_FINISH_LENGTH);
        const int32_t *got = vinci_request_tokens(requests[i], &n_tokens);
        assert_int_equal(n_tokens, N_NEW - (first + i) % 3);
        assert_int_equal(result.n_generated, n_tokens);
        memcpy(tokens[first + i], got, n_tokens * sizeof *got);
        vinci_request_close(requests[i]);
    }
}

static void test_alone_or_together(void **state)
{
    (void)state;
    static int32_t alone[N_REQUESTS][N_NEW], together[N_REQUESTS][N_NEW];
    struct vinci_engine *engine = open_engine(0);
    for (size_t i = 0; i < N_REQUESTS; i++) run_all(engine, i, 1, alone);
    vinci_engine_close(engine);
    static const uint32_t batches[] = {512, 40};
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        memset(together, 0, sizeof together);
        engine = open_engine(batches[b]);
        run_all(engine, 0, N_REQUESTS, together);
        vinci_engine_close(engine);
        assert_memory_equal(alone, together, sizeof alone);
    }
}

static bool stop_at_third(void *user, const struct vinci_token_event *event)
{
    ++*(size_t *)user;
    return event->index < 2;
}

static void test_endings(void **state)
{
    (void)state;
    struct vinci_engine *engine = open_engine(0);
    struct vinci_request_options options;
    struct vinci_request_result result;
    struct vinci_request *request = NULL;
    struct vinci_error err;
    size_t n_events = 0, n_active;

    describe(&options, 0);
    options.on_token = stop_at_third;
    options.user = &n_events;
    assert_int_equal(vinci_generate(engine, &options, &result, &err), VINCI_OK);
    assert_int_equal(result.finish, VINCI_FINISH_CANCELLED);
    assert_int_equal(n_events, 3);
    assert_int_equal(result.n_generated, 3);

    /* the token that comes second, as a stop token */
    describe(&options, 0);
    assert_int_equal(vinci_request_submit(&request, engine, &options, &err), VINCI_OK);
    do assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    while (n_active);
    int32_t second = vinci_request_tokens(request, &n_active)[1];
    vinci_request_close(request);
    options.stop_tokens = &second;
    options.n_stop_tokens = 1;
    assert_int_equal(vinci_generate(engine, &options, &result, &err), VINCI_OK);
    assert_int_equal(result.finish, VINCI_FINISH_STOP);
    assert_int_equal(result.n_generated, 2);

    /* cancelled before it began; closed while it runs */
    assert_int_equal(vinci_request_submit(&request, engine, &options, &err), VINCI_OK);
    vinci_request_cancel(request);
    assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    assert_true(vinci_request_done(request));
    vinci_request_close(request);
    assert_int_equal(vinci_request_submit(&request, engine, &options, &err), VINCI_OK);
    vinci_request_close(request);
    assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    assert_int_equal(n_active, 0);

    describe(&options, 0);
    options.n_prompt = 0;
    assert_int_equal(vinci_generate(engine, &options, &result, &err), VINCI_USAGE);
    vinci_engine_close(engine);
}

/* To the very end of a small context. */
static void test_context_end(void **state)
{
    (void)state;
    struct vinci_engine_options engine_options;
    struct vinci_engine *engine = NULL;
    struct vinci_request_options options;
    struct vinci_request_result result;
    struct vinci_error err;
    vinci_engine_options_init(&engine_options);
    engine_options.model = golden.model;
    engine_options.n_ctx = 100;
    assert_int_equal(vinci_engine_open(&engine, &engine_options, &err), VINCI_OK);
    vinci_request_options_init(&options);
    options.prompt = ids;
    options.n_prompt = 90;
    assert_int_equal(vinci_generate(engine, &options, &result, &err), VINCI_OK);
    assert_int_equal(result.finish, VINCI_FINISH_CONTEXT);
    assert_int_equal(result.n_generated, 11); /* the last is drawn from the last position */
    options.n_prompt = 101;
    assert_int_equal(vinci_generate(engine, &options, &result, &err), VINCI_LIMIT);
    vinci_engine_close(engine);
}

/* A file that shrinks while it is mapped: a sentence, not SIGBUS; and the engine can still be
 * closed. */
static void test_file_shrinks(void **state)
{
    (void)state;
    struct vinci_engine_options options;
    struct vinci_engine *engine = NULL;
    struct vinci_session *session = NULL;
    struct vinci_request_options request;
    struct vinci_request_result result;
    struct vinci_error err;
    struct temp_folder folder;
    static const char *const files[] = {"config.json", "model.safetensors"};
    temp_folder_make(&folder);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char from[1200];
        size_t n;
        snprintf(from, sizeof from, "%s/%s", golden.model, files[i]);
        char *data = read_whole_file(from, &n);
        temp_write(&folder, files[i], data, n);
        free(data);
    }
    vinci_engine_options_init(&options);
    options.model = folder.path;
    assert_int_equal(vinci_engine_open(&engine, &options, &err), VINCI_OK);
    assert_int_equal(vinci_session_open(&session, engine, &err), VINCI_OK);
    assert_int_equal(vinci_session_append(session, ids, 10, NULL, NULL, &err), VINCI_OK);
    assert_int_equal(truncate(temp_path(&folder, files[1]), 5000), 0);
    assert_int_equal(vinci_session_append(session, ids, 10, NULL, NULL, &err), VINCI_IO);
    assert_non_null(strstr(err.text, "model.safetensors"));
    assert_non_null(strstr(err.text, "got 5000"));
    describe(&request, 0);
    assert_int_equal(vinci_generate(engine, &request, &result, &err), VINCI_IO);
    vinci_session_close(session);
    vinci_engine_close(engine);
    temp_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sync),         cmocka_unit_test(test_back_to_the_prompt),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_alone_or_together),
        cmocka_unit_test(test_endings),      cmocka_unit_test(test_context_end),
        cmocka_unit_test(test_file_shrinks),
    };
    return cmocka_run_group_tests_name("sessions and requests", tests, set_up, tear_down);
}
