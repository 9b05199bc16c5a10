/* chat.c - /v1/chat/completions: answers, whole and streamed. */
#include "serve/call.h"
#include "serve/chat_in.h"

#include <stdlib.h>
#include <string.h>

struct chat {
    struct call call;
    struct buf head; /* the members that every chunk begins with */
};

static void chat_release(struct call *call)
{
    buf_free(&((struct chat *)call)->head);
}

static void write_call(struct json_out *out, const struct item *item, int index, bool streaming)
{
    struct buf none = {0};
    out_begin(out, '{');
    if (index >= 0) out_key_int(out, "index", index);
    out_key_str(out, "id", item->call_id);
    out_key_str(out, "type", item->custom ? "custom" : "function");
    out_key(out, item->custom ? "custom" : "function");
    out_begin(out, '{');
    out_key_str(out, "name", item->name);
    out_key_text(out, item->custom ? "input" : "arguments", streaming ? &none : &item->text);
    out_end(out, '}');
    out_end(out, '}');
}

/* ---- whole answers ------------------------------------------------------------------------- */

static void write_message(struct json_out *out, const struct choice *choice)
{
    struct buf text = {0}, reasoning = {0};
    size_t n_calls = 0;
    if (!join_items(choice, ITEM_TEXT, &text) || !join_items(choice, ITEM_REASONING, &reasoning))
        out->failed = true;
    for (size_t i = 0; i < choice->n_items; i++) n_calls += choice->items[i].kind == ITEM_CALL;
    out_begin(out, '{');
    out_key_str(out, "role", "assistant");
    if (text.size || !n_calls) out_key_text(out, "content", &text);
    else out_key_null(out, "content");
    out_key_null(out, "refusal");
    if (reasoning.size) {
        out_key_text(out, "reasoning", &reasoning);
        out_key_text(out, "reasoning_content", &reasoning);
    }
    if (n_calls) {
        out_key(out, "tool_calls");
        out_begin(out, '[');
        for (size_t i = 0; i < choice->n_items; i++)
            if (choice->items[i].kind == ITEM_CALL) write_call(out, &choice->items[i], -1, false);
        out_end(out, ']');
    }
    out_end(out, '}');
    buf_free(&text);
    buf_free(&reasoning);
}

static void write_all_logprobs(struct json_out *out, const struct call *call,
                               const struct choice *choice)
{
    out_key(out, "logprobs");
    if (!call->params.logprobs) {
        out_null(out);
        return;
    }
    out_begin(out, '{');
    out_key(out, "content");
    out_begin(out, '[');
    for (size_t i = 0; i < choice->n_items; i++)
        write_logprobs(out, call->generation, &choice->items[i], 0, 0);
    out_end(out, ']');
    out_key_null(out, "refusal");
    out_end(out, '}');
}

static void write_completion(struct json_out *out, struct call *call)
{
    const struct generation *g = call->generation;
    out_begin(out, '{');
    out_key_str(out, "id", call->id);
    out_key_str(out, "object", "chat.completion");
    out_key_int(out, "created", call->created);
    out_key_str(out, "model", call->exchange->model);
    out_key(out, "choices");
    out_begin(out, '[');
    for (uint32_t i = 0; i < g->n_choices; i++) {
        out_begin(out, '{');
        out_key_int(out, "index", i);
        out_key(out, "message");
        write_message(out, &g->choices[i]);
        write_all_logprobs(out, call, &g->choices[i]);
        out_key_str(out, "finish_reason", finish_name(g->choices[i].finish));
        out_end(out, '}');
    }
    out_end(out, ']');
    write_token_usage(out, call, true);
    out_key_str(out, "system_fingerprint", "vinci-" VINCI_VERSION);
    out_end(out, '}');
}

/* ---- streams ------------------------------------------------------------------------------- */

static bool write_head(struct chat *chat)
{
    struct json_out out = {.buf = &chat->head};
    out_key_str(&out, "id", chat->call.id);
    out_key_str(&out, "object", "chat.completion.chunk");
    out_key_int(&out, "created", chat->call.created);
    out_key_str(&out, "model", chat->call.exchange->model);
    out_key_str(&out, "system_fingerprint", "vinci-" VINCI_VERSION);
    return !out.failed;
}

static struct json_out begin_chunk(struct call *call)
{
    const struct buf *head = &((struct chat *)call)->head;
    struct json_out out = begin_event(call, NULL);
    out_raw(&out, head->data, head->size);
    return out;
}

static void write_usage_so_far(struct json_out *out, const struct generation *g)
{
    size_t n_prompt = 0, n = 0;
    for (size_t i = 0; i < g->n_prompts; i++) n_prompt += g->prompt_sizes[i];
    for (uint32_t i = 0; i < g->n_choices; i++) n += g->choices[i].n_tokens;
    out_key(out, "usage");
    out_begin(out, '{');
    out_key_int(out, "prompt_tokens", (int64_t)n_prompt);
    out_key_int(out, "completion_tokens", (int64_t)n);
    out_key_int(out, "total_tokens", (int64_t)(n_prompt + n));
    out_end(out, '}');
}

/* A chunk with a delta, which is written between the two. */
static struct json_out begin_delta(struct call *call, uint32_t choice)
{
    struct json_out out = begin_chunk(call);
    if (call->params.continuous_usage) write_usage_so_far(&out, call->generation);
    else if (call->params.include_usage) out_key_null(&out, "usage");
    out_key(&out, "choices");
    out_begin(&out, '[');
    out_begin(&out, '{');
    out_key_int(&out, "index", choice);
    out_key(&out, "delta");
    out_begin(&out, '{');
    return out;
}

static void end_delta(struct call *call, struct json_out *out, const struct item *item,
                      const char *finish)
{
    out_end(out, '}');
    out_key(out, "logprobs");
    if (item && item->tokens.n > item->reported) {
        out_begin(out, '{');
        out_key(out, "content");
        out_begin(out, '[');
        write_logprobs(out, call->generation, item, item->reported, item->top_reported);
        out_end(out, ']');
        out_key_null(out, "refusal");
        out_end(out, '}');
    } else {
        out_null(out);
    }
    out_key_str(out, "finish_reason", finish);
    out_end(out, '}');
    out_end(out, ']');
    end_event(call, out);
}

/* The place of item i among the items of its kind. */
static int index_of(const struct choice *choice, uint32_t i)
{
    int n = 0;
    for (uint32_t before = 0; before < i; before++)
        n += choice->items[before].kind == choice->items[i].kind;
    return n;
}

static void write_delta(struct call *call, const struct choice *choice, const struct piece *piece)
{
    const struct item *item = &choice->items[piece->item];
    struct json_out out = begin_delta(call, piece->choice);
    if (item->kind == ITEM_REASONING) {
        out_key(&out, "reasoning");
        out_text(&out, piece->text.data, piece->text.size);
        out_key(&out, "reasoning_content");
        out_text(&out, piece->text.data, piece->text.size);
    } else if (item->kind == ITEM_TEXT) {
        out_key(&out, "content");
        out_text(&out, piece->text.data, piece->text.size);
    } else {
        out_key(&out, "tool_calls");
        out_begin(&out, '[');
        out_begin(&out, '{');
        out_key_int(&out, "index", index_of(choice, piece->item));
        out_key(&out, item->custom ? "custom" : "function");
        out_begin(&out, '{');
        out_key(&out, item->custom ? "input" : "arguments");
        out_text(&out, piece->text.data, piece->text.size);
        out_end(&out, '}');
        out_end(&out, '}');
        out_end(&out, ']');
    }
    end_delta(call, &out, item, NULL);
}

/* A call is announced; a second text of the same kind begins behind an empty line. */
static void write_begin(struct call *call, const struct choice *choice, const struct piece *piece)
{
    const struct item *item = &choice->items[piece->item];
    struct json_out out;
    int index = index_of(choice, piece->item);
    if (item->kind == ITEM_CALL) {
        out = begin_delta(call, piece->choice);
        out_key(&out, "tool_calls");
        out_begin(&out, '[');
        write_call(&out, item, index, true);
        out_end(&out, ']');
        end_delta(call, &out, NULL, NULL);
    } else if (index > 0) {
        struct piece gap = *piece;
        gap.text = vinci_text_of("\n\n");
        write_delta(call, choice, &gap);
    }
}

static void on_piece(void *user, const struct piece *piece)
{
    struct call *call = user;
    const struct choice *choice = &call->generation->choices[piece->choice];
    switch (piece->kind) {
    case PIECE_BEGIN: write_begin(call, choice, piece); break;
    case PIECE_DELTA: write_delta(call, choice, piece); break;
    case PIECE_END: break;
    case PIECE_FINISH:
        if (choice->finish != CHOICE_FAILED) {
            struct json_out out = begin_delta(call, piece->choice);
            end_delta(call, &out, NULL, finish_name(choice->finish));
        }
        break;
    }
}

static void write_roles(struct call *call)
{
    for (uint32_t i = 0; i < call->generation->n_choices; i++) {
        struct json_out out = begin_delta(call, i);
        out_key_str(&out, "role", "assistant");
        out_key_str(&out, "content", "");
        end_delta(call, &out, NULL, NULL);
    }
}

static void write_end(struct call *call)
{
    if (call->generation->failed) {
        send_error(call);
    } else if (call->params.include_usage) {
        struct json_out out = begin_chunk(call);
        out_key(&out, "choices");
        out_begin(&out, '[');
        out_end(&out, ']');
        write_token_usage(&out, call, true);
        end_event(call, &out);
    }
    buf_append_text(call->out, "data: [DONE]\n\n");
}

/* ---- the handler --------------------------------------------------------------------------- */

static bool start(struct call *call, struct exchange *x, struct api_error *error)
{
    return call_begin(call, x, "chatcmpl-", error) && chat_in(&call->params, call->body, error) &&
           generation_start(&call->generation, x->server, &call->params, x->fd, error) &&
           (write_head((struct chat *)call) || api_fail_memory(error));
}

void handle_chat(struct exchange *x)
{
    static const struct api api = {.size = sizeof(struct chat),
                                   .start = start,
                                   .release = chat_release,
                                   .write = write_completion,
                                   .begin = write_roles,
                                   .on_piece = on_piece,
                                   .end = write_end};
    call_answer(x, &api);
}
