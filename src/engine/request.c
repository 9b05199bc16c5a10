/* request.c - from logits to tokens, text and the end of one generation. */
#include "engine/request.h"

#include "base/buf.h"
#include "engine/scheduler.h"
#include "engine/script.h"

#include <stdlib.h>
#include <string.h>

void vinci_request_options_init(struct vinci_request_options *options)
{
    *options = (struct vinci_request_options){0};
    vinci_sampling_init(&options->sampling);
}

static int32_t *copy_ids(const int32_t *ids, size_t n)
{
    int32_t *copy = array_new(n, sizeof *copy);
    if (copy && n) memcpy(copy, ids, n * sizeof *copy);
    return copy;
}

static enum vinci_status check_options(const struct vinci_engine *engine,
                                       const struct vinci_request_options *options,
                                       struct vinci_error *err)
{
    uint32_t n_vocab = engine->model->config.n_vocab, n_ctx = engine->limits.n_ctx;
    if (options->n_prompt < 1)
        return fail(err, VINCI_USAGE, "the prompt has no token; give at least one");
    if (options->n_prompt > n_ctx)
        return fail(err, VINCI_LIMIT,
                    "the prompt has %zu tokens and the context %u positions; shorten the prompt or "
                    "open the engine with a longer context",
                    options->n_prompt, n_ctx);
    for (size_t i = 0; i < options->n_prompt; i++)
        if (options->prompt[i] < 0 || (uint32_t)options->prompt[i] >= n_vocab)
            return fail(err, VINCI_LIMIT, "prompt token %zu: expected an id from 0 to %u, got %d",
                        i, n_vocab - 1, options->prompt[i]);
    if (options->n_top_logprobs > VINCI_TOP_LOGPROBS_MAX)
        return fail(err, VINCI_LIMIT, "log-probabilities: expected at most %d, got %u",
                    VINCI_TOP_LOGPROBS_MAX, options->n_top_logprobs);
    if (options->session && options->session->engine != engine)
        return fail(err, VINCI_USAGE, "the request's session belongs to another engine");
    return VINCI_OK;
}

/* Either the script's answer or what constrains the model's. */
static enum vinci_status create_choice(struct vinci_request *request,
                                       const struct vinci_request_options *options,
                                       struct vinci_error *err)
{
    const struct script *script = request->engine->script;
    uint32_t n_vocab = request->engine->model->config.n_vocab;
    if (!script) return constraint_create(&request->constraint, options, n_vocab, err);
    size_t n_words = (n_vocab + 31) / 32;
    request->scripted_mask = array_new_zero(n_words, sizeof(uint32_t));
    if (!request->scripted_mask) return fail_memory(err, n_words * 4, "a request's script");
    return script_answer(script, options, n_vocab, &request->scripted, &request->n_scripted, err);
}

enum vinci_status request_create(struct vinci_request **out, struct vinci_engine *engine,
                                 const struct vinci_request_options *options,
                                 struct vinci_error *err)
{
    *out = NULL;
    enum vinci_status status = check_options(engine, options, err);
    if (status != VINCI_OK) return status;
    struct vinci_request *request = array_new_zero(1, sizeof *request);
    if (!request) return fail_memory(err, sizeof *request, "a request");

    request->engine = engine;
    request->options = *options;
    request->session = options->session;
    request->owns_session = !options->session;
    request->all = copy_ids(options->prompt, options->n_prompt);
    request->capacity = options->n_prompt;
    request->stop_tokens = copy_ids(options->stop_tokens, options->n_stop_tokens);
    if (!request->all || !request->stop_tokens)
        status = fail_memory(err, options->n_prompt * sizeof(int32_t), "a request's prompt");
    if (status == VINCI_OK)
        status = sampler_create(&request->sampler, &options->sampling,
                                engine->model->config.n_vocab, options->n_top_logprobs, err);
    if (status == VINCI_OK)
        status = stop_create(&request->stop, options->stop_strings, options->n_stop_strings, err);
    if (status == VINCI_OK) status = create_choice(request, options, err);
    if (status == VINCI_OK && request->owns_session)
        status = vinci_session_open(&request->session, engine, err);
    if (status == VINCI_OK && atomic_exchange(&request->session->in_use, true))
        status = fail(err, VINCI_USAGE, "the session is in use by a request that is not finished");
    else if (status == VINCI_OK) request->holds_session = true;
    if (status != VINCI_OK) {
        request_destroy(request);
        return status;
    }
    for (size_t i = 0; i < options->n_prompt; i++)
        sampler_accept(request->sampler, request->all[i], true);
    request->options.prompt = NULL; /* `all` begins with it */
    request->options.stop_tokens = request->stop_tokens;
    request->options.grammar = NULL;             /* the constraint retains it */
    request->options.turn = NULL;                /* and has copied this */
    request->options.stop_strings = NULL;        /* the matcher has its own copy */
    request->options.sampling.logit_bias = NULL; /* and so has the sampler */
    request->result.n_prompt = options->n_prompt;
    request->time_submitted = seconds_now();
    *out = request;
    return VINCI_OK;
}

static void release_session(struct vinci_request *request)
{
    if (request->holds_session) atomic_store(&request->session->in_use, false);
    request->holds_session = false;
}

void request_destroy(struct vinci_request *request)
{
    if (!request) return;
    release_session(request);
    if (request->owns_session) vinci_session_close(request->session);
    sampler_free(request->sampler);
    stop_free(request->stop);
    constraint_free(request->constraint);
    free(request->scripted);
    free(request->scripted_mask);
    free(request->all);
    free(request->stop_tokens);
    free(request);
}

void request_finish(struct vinci_request *request, enum vinci_finish finish)
{
    double now = seconds_now();
    request->result.finish = finish;
    request->result.n_generated = request->n_tokens;
    if (request->n_tokens) request->result.decode_seconds = now - request->time_first_token;
    release_session(request);
    atomic_store(&request->state, REQUEST_DONE);
}

void request_fail(struct vinci_request *request, const struct vinci_error *error)
{
    request->result.error = *error;
    request_finish(request, VINCI_FINISH_ERROR);
}

static bool note_token(struct vinci_request *request, int32_t token)
{
    size_t n = request_n_known(request);
    if (n == request->capacity) {
        size_t capacity = n + n / 2 + 64;
        int32_t *all = realloc(request->all, capacity * sizeof *all);
        if (!all) return false;
        request->all = all;
        request->capacity = capacity;
    }
    request->all[n] = token;
    request->n_tokens++;
    return true;
}

static bool is_stop_token(const struct vinci_request *request, int32_t token)
{
    for (size_t i = 0; i < request->options.n_stop_tokens; i++)
        if (request->stop_tokens[i] == token) return true;
    return false;
}

/* Why the request ends with its newest token, NONE if it goes on. */
static enum vinci_finish finish_after(const struct vinci_request *request, int32_t token)
{
    size_t max = request->options.max_new_tokens;
    if (is_stop_token(request, token)) return VINCI_FINISH_STOP;
    if (max && request->n_tokens >= max) return VINCI_FINISH_LENGTH;
    if (request_n_known(request) > request->engine->limits.n_ctx) return VINCI_FINISH_CONTEXT;
    return VINCI_FINISH_NONE;
}

bool request_goes_on(const struct vinci_request *request)
{
    size_t max = request->options.max_new_tokens;
    return (!max || request->n_tokens + 1 < max) &&
           request_n_known(request) < request->engine->limits.n_ctx;
}

/* Adds what the token makes showable to `text`; with `last`, also everything that was held back. */
static enum vinci_status show_bytes(struct vinci_request *request, const char *bytes, size_t n,
                                    bool last, struct buf *text, struct stop_text *shown,
                                    struct vinci_error *err)
{
    struct buf utf8 = {0};
    if (!buf_reserve(&utf8, 3 * (n + 4))) return fail_memory(err, 3 * (n + 4), "a token's text");
    utf8.size = vinci_utf8_stream_next(&request->utf8, bytes, n, last, utf8.data);
    enum vinci_status status = stop_feed(request->stop, utf8.data, utf8.size, shown, err);
    if (status == VINCI_OK && !buf_append(text, shown->text, shown->n))
        status = fail_memory(err, shown->n, "a token's text");
    if (status == VINCI_OK && last && shown->match < 0) {
        stop_flush(request->stop, shown);
        if (!buf_append(text, shown->text, shown->n))
            status = fail_memory(err, shown->n, "a token's text");
    }
    buf_free(&utf8);
    return status;
}

static enum vinci_status show_token(struct vinci_request *request, int32_t token, struct buf *text,
                                    struct vinci_error *err)
{
    const struct vinci_tokenizer *tokenizer = request->options.tokenizer;
    struct stop_text shown = {"", 0, -1};
    const char *bytes = NULL;
    size_t n = 0;
    enum vinci_status status = VINCI_OK;
    if (tokenizer && !vinci_token_is_special(tokenizer, token) && !is_stop_token(request, token))
        bytes = vinci_token_bytes(tokenizer, token, &n);
    if (bytes) status = show_bytes(request, bytes, n, false, text, &shown, err);
    if (shown.match >= 0) request->finish = VINCI_FINISH_STOP;
    else if (status == VINCI_OK && request->finish != VINCI_FINISH_NONE)
        status = show_bytes(request, "", 0, true, text, &shown, err);
    return status;
}

/* As if the model had been sure: its log-probabilities are those of the model. */
static enum vinci_status scripted_token(struct vinci_request *request, const float *logits,
                                        int32_t *token, float *logprob, bool *done,
                                        struct vinci_error *err)
{
    int32_t next = request->scripted[request->n_tokens];
    uint32_t *mask = request->scripted_mask, bit = 1u << next % 32;
    mask[next / 32] |= bit;
    enum vinci_status status =
        sampler_draw(request->sampler, logits, mask, request->n_tokens, token, logprob, err);
    mask[next / 32] &= ~bit;
    *done = request->n_tokens + 1 == request->n_scripted;
    return status;
}

/* The next token, within the constraint; *done: nothing can follow it. */
static enum vinci_status choose_token(struct vinci_request *request, const float *logits,
                                      int32_t *token, float *logprob, bool *done,
                                      struct vinci_error *err)
{
    struct constraint *constraint = request->constraint;
    const uint32_t *allowed = NULL;
    enum vinci_status status = VINCI_OK;
    *done = false;
    if (request->scripted) return scripted_token(request, logits, token, logprob, done, err);
    if (constraint) status = constraint_mask(constraint, &allowed, err);
    if (status == VINCI_OK)
        status =
            sampler_draw(request->sampler, logits, allowed, request->n_tokens, token, logprob, err);
    if (status == VINCI_OK && constraint) status = constraint_accept(constraint, *token, done, err);
    return status;
}

bool request_takes_best(const struct vinci_request *request)
{
    return !request->scripted && !request->constraint && sampler_is_greedy(request->sampler);
}

void request_draw(struct vinci_request *request, const float *logits, int32_t best)
{
    struct vinci_error err = {0};
    int32_t token = best;
    bool done = false;

    request->logprob = 0;
    if (logits &&
        choose_token(request, logits, &token, &request->logprob, &done, &err) != VINCI_OK) {
        request_fail(request, &err);
        return;
    }
    if (request->n_tokens == 0) {
        request->time_first_token = seconds_now();
        request->result.prefill_seconds = request->time_first_token - request->time_started;
    }
    if (!note_token(request, token)) {
        fail_memory(&err, request->capacity * sizeof(int32_t), "the generated tokens");
        request_fail(request, &err);
        return;
    }
    sampler_accept(request->sampler, token, false);
    request->unreported = true;
    request->finish = done ? VINCI_FINISH_STOP : finish_after(request, token);
    atomic_store(&request->state, request->finish ? REQUEST_ENDING : REQUEST_DECODE);
}

void request_report(struct vinci_request *request)
{
    struct vinci_error err = {0};
    struct buf text = {0};
    struct vinci_token_event event = {
        .token = request->all[request_n_known(request) - 1],
        .index = request->n_tokens - 1,
        .logprob = request->logprob,
    };
    request->unreported = false;
    if (show_token(request, event.token, &text, &err) != VINCI_OK) {
        request_fail(request, &err);
        buf_free(&text);
        return;
    }
    event.text = text.data ? text.data : "";
    event.n_text = text.size;
    event.last = request->finish != VINCI_FINISH_NONE;
    event.top = sampler_top_logprobs(request->sampler, &event.n_top);
    bool go_on =
        !request->options.on_token || request->options.on_token(request->options.user, &event);
    if (event.last) request_finish(request, request->finish);
    else if (!go_on) request_finish(request, VINCI_FINISH_CANCELLED);
    buf_free(&text);
}

void vinci_request_cancel(struct vinci_request *request)
{
    atomic_store(&request->cancelled, true);
}

void vinci_request_pause(struct vinci_request *request, bool paused)
{
    atomic_store(&request->paused, paused);
}

bool vinci_request_done(const struct vinci_request *request)
{
    return atomic_load(&request->state) == REQUEST_DONE;
}

void vinci_request_result(const struct vinci_request *request, struct vinci_request_result *result)
{
    *result = request->result;
}

const int32_t *vinci_request_tokens(const struct vinci_request *request, size_t *n)
{
    *n = request->n_tokens;
    return request->all + request->options.n_prompt;
}

void vinci_request_close(struct vinci_request *request)
{
    if (!request) return;
    scheduler_remove(request->engine->scheduler, request);
    request_destroy(request);
}
