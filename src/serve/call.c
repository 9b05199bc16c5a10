/* call.c - what the APIs' handlers have in common. */
#include "serve/call.h"

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

bool call_wait(struct call *call)
{
    struct usage usage;
    while (generation_next(call->generation, 60, NULL, NULL) != GENERATION_DONE) {}
    call_usage(call, &usage);
    if (call->generation->failed) answer_error(call->exchange, &call->generation->error);
    return !call->generation->failed;
}

void call_usage(struct call *call, struct usage *usage)
{
    struct exchange *x = call->exchange;
    generation_usage(call->generation, usage);
    x->n_prompt = usage->n_prompt;
    x->n_cached = usage->n_cached;
    x->n_generated = usage->n_generated;
    x->finish =
        call->generation->failed ? "error" : finish_name(call->generation->choices[0].finish);
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
