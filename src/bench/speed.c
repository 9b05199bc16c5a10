/* speed.c - the tests of the speed matrix, through vinci.h alone.
 *
 * Sequence s has one endless text: its id at position i depends on the seed, s and i only. A test
 * begins with sessions that hold the first `depth` ids of theirs and leaves them so. */
#include "bench/speed.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"

#include <stdlib.h>

struct speed {
    struct speed_options options;
    const struct vinci_model_info *model;
    struct vinci_session **sessions; /* [n_sequences], NULL until used */
    struct vinci_request **requests; /* [n_sequences] */
    int32_t *ids;                    /* [n_longest] */
    float *logits;                   /* [n_vocab] */
};

enum vinci_status speed_open(struct speed **out, const struct speed_options *options,
                             struct vinci_error *err)
{
    *out = NULL;
    struct speed *s = array_new_zero(1, sizeof *s);
    if (!s) return fail_memory(err, sizeof *s, "the measurement");
    s->options = *options;
    s->model = vinci_engine_model(options->engine);
    s->sessions = array_new_zero(options->n_sequences, sizeof *s->sessions);
    s->requests = array_new_zero(options->n_sequences, sizeof *s->requests);
    s->ids = array_new(options->n_longest, sizeof *s->ids);
    s->logits = array_new(s->model->n_vocab, sizeof *s->logits);
    if (!s->sessions || !s->requests || !s->ids || !s->logits) {
        speed_close(s);
        return fail_memory(err, options->n_longest * sizeof *s->ids, "the tokens to measure with");
    }
    *out = s;
    return VINCI_OK;
}

static void close_requests(struct speed *s)
{
    for (uint32_t i = 0; i < s->options.n_sequences; i++) {
        vinci_request_close(s->requests[i]);
        s->requests[i] = NULL;
    }
}

void speed_close(struct speed *s)
{
    if (!s) return;
    if (s->requests) close_requests(s);
    if (s->sessions)
        for (uint32_t i = 0; i < s->options.n_sequences; i++) vinci_session_close(s->sessions[i]);
    free(s->sessions);
    free(s->requests);
    free(s->ids);
    free(s->logits);
    free(s);
}

static enum vinci_status check_stop(const struct speed *s, struct vinci_error *err)
{
    if (s->options.stop && s->options.stop()) return fail(err, VINCI_CANCELLED, "stopped");
    return VINCI_OK;
}

/* The ids of a sequence at positions [begin, end), end <= n_longest; borrowed until the next call.
 */
static const int32_t *ids_of(struct speed *s, uint32_t sequence, size_t begin, size_t end)
{
    uint64_t seed = random_u64(s->options.seed, sequence);
    for (size_t i = begin; i < end; i++)
        s->ids[i] = (int32_t)(random_u64(seed, i) % s->model->n_vocab);
    return s->ids + begin;
}

/* Makes the session hold the first `depth` ids of its sequence, which it holds as far as it goes.
 */
static enum vinci_status go_to(struct speed *s, uint32_t sequence, uint32_t depth,
                               struct vinci_error *err)
{
    enum { PIECE = 512 }; /* so that Ctrl-C does not wait for a long text */
    struct vinci_session **session = &s->sessions[sequence];
    size_t held = 0;
    enum vinci_status status = VINCI_OK;
    if (!*session) status = vinci_session_open(session, s->options.engine, err);
    if (status == VINCI_OK) status = vinci_session_rewind(*session, depth, &held, err);
    while (status == VINCI_OK && held < depth) {
        size_t end = depth - held < PIECE ? depth : held + PIECE;
        status = vinci_session_append(*session, ids_of(s, sequence, held, end), end - held, NULL,
                                      NULL, err);
        held = end;
        if (status == VINCI_OK) status = check_stop(s, err);
    }
    return status;
}

static double measure_limit(const struct speed *s, enum limit which)
{
    return s->options.limits ? limits_measure(s->options.limits, which) : 0;
}

/* Of n tokens of a prompt: a multiply-add is two. The output matrix serves the last one only;
 * attention and the router's choice are not counted. */
static double prompt_operations(const struct speed *s, uint32_t n)
{
    double output = (double)s->model->n_vocab * s->model->n_hidden;
    return 2 * (((double)s->model->n_params_active - output) * n + output);
}

static enum vinci_status prefill(struct speed *s, const struct speed_test *test,
                                 struct speed_sample *sample, struct vinci_error *err)
{
    size_t end = (size_t)test->depth + test->n_tokens, held = 0;
    enum vinci_status status = go_to(s, 0, test->depth, err);
    if (status != VINCI_OK) return status;
    const int32_t *ids = ids_of(s, 0, test->depth, end);
    sample->limit = measure_limit(s, LIMIT_INT8);
    double start = seconds_now();
    status = vinci_session_append(s->sessions[0], ids, test->n_tokens, NULL, s->logits, err);
    sample->seconds = seconds_now() - start;
    sample->rate = prompt_operations(s, test->n_tokens) / sample->seconds;
    sample->tokens_per_second = test->n_tokens / sample->seconds;
    if (status == VINCI_OK) status = vinci_session_rewind(s->sessions[0], test->depth, &held, err);
    return status;
}

/* ---- with requests ------------------------------------------------------------------------- */

static enum vinci_status submit(struct speed *s, uint32_t sequence, size_t n_prompt, size_t n_new,
                                struct vinci_error *err)
{
    struct vinci_request_options request;
    vinci_request_options_init(&request);
    request.prompt = ids_of(s, sequence, 0, n_prompt);
    request.n_prompt = n_prompt;
    request.max_new_tokens = n_new;
    request.sampling.temperature = 1;
    request.sampling.seed = random_u64(s->options.seed, sequence);
    request.session = s->sessions[sequence];
    return vinci_request_submit(&s->requests[sequence], s->options.engine, &request, err);
}

/* Steps until each of the first `batch` requests has n tokens; *n_all is how many they have
 * together. */
static enum vinci_status step_until(struct speed *s, uint32_t batch, size_t n, size_t *n_all,
                                    struct vinci_error *err)
{
    for (;;) {
        size_t n_active = 0, least = SIZE_MAX;
        enum vinci_status status = check_stop(s, err);
        if (status == VINCI_OK) status = vinci_engine_step(s->options.engine, &n_active, err);
        if (status != VINCI_OK) return status;
        *n_all = 0;
        for (uint32_t i = 0; i < batch; i++) {
            size_t n_tokens = 0;
            vinci_request_tokens(s->requests[i], &n_tokens);
            *n_all += n_tokens;
            if (n_tokens < least) least = n_tokens;
            struct vinci_request_result result;
            vinci_request_result(s->requests[i], &result);
            if (result.finish == VINCI_FINISH_ERROR)
                return fail(err, result.error.status, "%s", result.error.text);
            if (n_tokens < n && vinci_request_done(s->requests[i]))
                return fail(err, VINCI_LIMIT,
                            "the context is full after %zu of %zu tokens; give a larger --ctx",
                            n_tokens, n);
        }
        if (least >= n) return VINCI_OK;
    }
}

static enum vinci_status decode(struct speed *s, const struct speed_test *test,
                                struct speed_sample *sample, struct vinci_error *err)
{
    size_t n_before = 0, n_after = 0, held = 0;
    double start = 0;
    enum vinci_status status = VINCI_OK;
    for (uint32_t i = 0; status == VINCI_OK && i < test->batch; i++)
        status = go_to(s, i, test->depth, err);
    sample->limit = test->batch == 1 ? measure_limit(s, LIMIT_READ) : 0;
    if (test->batch == 1 && s->options.limits)
        sample->limit_weights = limits_measure_weights(s->options.limits);
    for (uint32_t i = 0; status == VINCI_OK && i < test->batch; i++)
        status = submit(s, i, (size_t)test->depth + 1, (size_t)test->n_tokens + 1, err);
    if (status == VINCI_OK) status = step_until(s, test->batch, 1, &n_before, err);
    start = seconds_now();
    if (status == VINCI_OK)
        status = step_until(s, test->batch, (size_t)test->n_tokens + 1, &n_after, err);
    sample->seconds = seconds_now() - start;
    sample->tokens_per_second = (double)(n_after - n_before) / sample->seconds;
    if (test->batch == 1)
        sample->rate = (double)s->model->bytes_per_token * sample->tokens_per_second;
    close_requests(s);
    for (uint32_t i = 0; status == VINCI_OK && i < test->batch; i++)
        status = vinci_session_rewind(s->sessions[i], test->depth, &held, err);
    return status;
}

static enum vinci_status first_token(struct speed *s, const struct speed_test *test,
                                     struct speed_sample *sample, struct vinci_error *err)
{
    size_t n = 0, held = 0;
    enum vinci_status status = go_to(s, 0, 0, err);
    sample->limit = measure_limit(s, LIMIT_INT8);
    double start = seconds_now();
    if (status == VINCI_OK) status = submit(s, 0, test->n_tokens, 1, err);
    if (status == VINCI_OK) status = step_until(s, 1, 1, &n, err);
    sample->seconds = seconds_now() - start;
    sample->rate = prompt_operations(s, test->n_tokens) / sample->seconds;
    sample->tokens_per_second = test->n_tokens / sample->seconds;
    close_requests(s);
    if (status == VINCI_OK) status = vinci_session_rewind(s->sessions[0], 0, &held, err);
    return status;
}

enum vinci_status speed_measure(struct speed *s, const struct speed_test *test,
                                struct speed_row *row, struct vinci_error *err)
{
    *row = (struct speed_row){.test = *test};
    for (uint32_t i = 0; i <= s->options.repeat; i++) {
        struct speed_sample sample = {0};
        enum vinci_status status = check_stop(s, err);
        if (status != VINCI_OK) return status;
        switch (test->kind) {
        case SPEED_PREFILL: status = prefill(s, test, &sample, err); break;
        case SPEED_DECODE: status = decode(s, test, &sample, err); break;
        case SPEED_FIRST_TOKEN: status = first_token(s, test, &sample, err); break;
        }
        if (status != VINCI_OK) return status;
        if (i > 0) row->samples[row->n++] = sample;
        else vinci_engine_profile_reset(s->options.engine); /* the first one warms up */
    }
    return VINCI_OK;
}
