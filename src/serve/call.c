/* call.c - what the APIs' handlers have in common. */
#include "serve/call.h"

#include <stdlib.h>

bool call_begin(struct call *call, struct exchange *exchange, const char *id_prefix,
                struct api_error *error)
{
    call->exchange = exchange;
    call->created = (int64_t)time(NULL);
    make_id(call->id, id_prefix);
    bool ok = json_in(&call->body, exchange->body.data ? exchange->body.data : "",
                      exchange->body.size, error) &&
              check_model(exchange, call->body, error) && params_init(&call->params, error);
    call->params.fair_key = exchange->fair_key;
    return ok;
}

void call_release(struct call *call)
{
    generation_release(call->generation);
    params_release(&call->params);
    json_decref(call->body);
}

bool call_render(struct call *call, int32_t **ids, size_t *n_ids, struct api_error *error)
{
    const struct server *server = call->exchange->server;
    char date[16];
    size_t n_forced;
    return params_render(&call->params, server->tokenizer, server_date(server, date), ids, n_ids,
                         &n_forced, error);
}

/* Everything is generated: the sums, also for the log. */
static void note_usage(struct call *call)
{
    struct exchange *x = call->exchange;
    struct generation *g = call->generation;
    generation_usage(g, &call->usage);
    x->n_prompt = call->usage.n_prompt;
    x->n_cached = call->usage.n_cached;
    x->n_generated = call->usage.n_generated;
    if (!g->failed) x->finish = finish_name(g->choices[0].finish);
    else x->finish = atomic_load(&g->waiter.client_left) ? "abort" : "error";
}

/* The client of a stream is gone before its end: what the engine did for it goes into the log. */
static void note_left(struct call *call)
{
    struct exchange *x = call->exchange;
    size_t n_generated = generation_stop(call->generation);
    generation_usage(call->generation, &call->usage);
    x->n_prompt = call->usage.n_prompt;
    x->n_cached = call->usage.n_cached;
    x->n_generated = n_generated;
    x->finish = "abort";
}

static void call_free(void *stream)
{
    struct call *call = stream;
    if (!call) return;
    if (call->generation && !call->exchange->finish) note_left(call);
    if (call->api->release) call->api->release(call);
    call_release(call);
    free(call);
}

static bool call_next(void *stream, double seconds, bool speak, struct buf *to)
{
    struct call *call = stream;
    const struct api *api = call->api;
    call->out = to;
    if (!call->begun) {
        call->begun = true;
        if (api->begin) api->begin(call);
        return !call->failed;
    }
    enum generation_state state = generation_next(call->generation, seconds, api->on_piece, call);
    if (state == GENERATION_IDLE && speak)
        buf_append_text(to, api->keep_alive ? api->keep_alive : ": keep-alive\n\n");
    if (state == GENERATION_DONE) {
        note_usage(call);
        api->end(call);
    }
    return state != GENERATION_DONE && !call->failed;
}

static void answer_whole(struct call *call)
{
    struct exchange *x = call->exchange;
    struct json_out out = {.buf = &x->out};
    while (generation_next(call->generation, 60, NULL, NULL) != GENERATION_DONE) {}
    note_usage(call);
    if (call->generation->failed) {
        answer_error(x, &call->generation->error);
        return;
    }
    call->api->write(&out, call);
    answer_written(x, &out);
}

void call_answer(struct exchange *x, const struct api *api)
{
    struct api_error error = {0};
    struct call *call = array_new_zero(1, api->size);
    if (call) call->api = api;
    bool ok = call ? api->start(call, x, &error) : api_fail_memory(&error);
    if (ok && call->params.stream) {
        x->waiter = &call->generation->waiter;
        answer_stream(x, call_next, call_free, call);
        return;
    }
    if (ok) answer_whole(call);
    else answer_error(x, &error);
    call_free(call);
}

/* ---- what they write ----------------------------------------------------------------------- */

struct json_out begin_event(struct call *call, const char *type)
{
    struct json_out out = {.buf = call->out};
    if (type) out.failed = !buf_printf(call->out, "event: %s\ndata: ", type);
    else out.failed = !buf_append_text(call->out, "data: ");
    out_begin(&out, '{');
    if (type) out_key_str(&out, "type", type);
    return out;
}

void end_event(struct call *call, struct json_out *out)
{
    out_end(out, '}');
    if (out->failed || !buf_append_text(call->out, "\n\n")) call->failed = true;
}

void send_error(struct call *call)
{
    bool anthropic = call->exchange->route->anthropic;
    buf_append_text(call->out, anthropic ? "event: error\ndata: " : "data: ");
    write_error_object(call->out, anthropic, &call->generation->error);
    buf_append_text(call->out, "\n\n");
}

void write_token_usage(struct json_out *out, const struct call *call, bool reasoning)
{
    const struct usage *usage = &call->usage;
    out_key(out, "usage");
    out_begin(out, '{');
    out_key_int(out, "prompt_tokens", (int64_t)usage->n_prompt);
    out_key_int(out, "completion_tokens", (int64_t)usage->n_generated);
    out_key_int(out, "total_tokens", (int64_t)(usage->n_prompt + usage->n_generated));
    out_key(out, "prompt_tokens_details");
    out_begin(out, '{');
    out_key_int(out, "cached_tokens", (int64_t)usage->n_cached);
    out_end(out, '}');
    if (reasoning) {
        out_key(out, "completion_tokens_details");
        out_begin(out, '{');
        out_key_int(out, "reasoning_tokens", (int64_t)usage->n_reasoning);
        out_end(out, '}');
    }
    out_end(out, '}');
}

const char *finish_name(enum choice_finish finish)
{
    switch (finish) {
    case CHOICE_LENGTH: return "length";
    case CHOICE_CALLS: return "tool_calls";
    case CHOICE_FAILED: return "error";
    default: return "stop";
    }
}

bool join_items(const struct choice *choice, enum item_kind kind, struct buf *text)
{
    size_t n = 0;
    bool ok = true;
    for (size_t i = 0; i < choice->n_items; i++) {
        const struct item *item = &choice->items[i];
        if (item->kind != kind) continue;
        if (n++ && text->size) ok = ok && buf_append(text, "\n\n", 2);
        ok = ok && buf_append(text, item->text.data ? item->text.data : "", item->text.size);
    }
    return ok;
}
