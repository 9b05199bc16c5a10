/* chat.c - /v1/chat/completions: answers, whole and streamed. */
#include "serve/call.h"
#include "serve/chat_in.h"

#include <stdlib.h>
#include <string.h>

struct chat {
    struct call call;
    struct buf head; /* of every chunk, up to the choices */
    struct buf *out; /* while pieces are written */
    bool begun, ended, failed;
};

static void chat_free(void *stream)
{
    struct chat *chat = stream;
    if (!chat) return;
    call_release(&chat->call);
    buf_free(&chat->head);
    free(chat);
}

static void write_usage(struct json_out *out, struct chat *chat)
{
    struct usage usage;
    call_usage(&chat->call, &usage);
    out_key(out, "usage");
    out_begin(out, '{');
    out_key_int(out, "prompt_tokens", (int64_t)usage.n_prompt);
    out_key_int(out, "completion_tokens", (int64_t)usage.n_generated);
    out_key_int(out, "total_tokens", (int64_t)(usage.n_prompt + usage.n_generated));
    out_key(out, "prompt_tokens_details");
    out_begin(out, '{');
    out_key_int(out, "cached_tokens", (int64_t)usage.n_cached);
    out_end(out, '}');
    out_key(out, "completion_tokens_details");
    out_begin(out, '{');
    out_key_int(out, "reasoning_tokens", (int64_t)usage.n_reasoning);
    out_end(out, '}');
    out_end(out, '}');
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

static void write_all_logprobs(struct json_out *out, const struct chat *chat,
                               const struct choice *choice)
{
    out_key(out, "logprobs");
    if (!chat->call.params.logprobs) {
        out_null(out);
        return;
    }
    out_begin(out, '{');
    out_key(out, "content");
    out_begin(out, '[');
    for (size_t i = 0; i < choice->n_items; i++)
        write_logprobs(out, chat->call.generation, &choice->items[i], 0, 0);
    out_end(out, ']');
    out_key_null(out, "refusal");
    out_end(out, '}');
}

static void write_completion(struct json_out *out, struct chat *chat)
{
    const struct generation *g = chat->call.generation;
    out_begin(out, '{');
    out_key_str(out, "id", chat->call.id);
    out_key_str(out, "object", "chat.completion");
    out_key_int(out, "created", chat->call.created);
    out_key_str(out, "model", chat->call.exchange->model);
    out_key(out, "choices");
    out_begin(out, '[');
    for (uint32_t i = 0; i < g->n_choices; i++) {
        out_begin(out, '{');
        out_key_int(out, "index", i);
        out_key(out, "message");
        write_message(out, &g->choices[i]);
        write_all_logprobs(out, chat, &g->choices[i]);
        out_key_str(out, "finish_reason", finish_name(g->choices[i].finish));
        out_end(out, '}');
    }
    out_end(out, ']');
    write_usage(out, chat);
    out_key_str(out, "system_fingerprint", "vinci-" VINCI_VERSION);
    out_end(out, '}');
}

/* ---- streams ------------------------------------------------------------------------------- */

static bool write_head(struct chat *chat)
{
    struct json_out out = {.buf = &chat->head};
    out_begin(&out, '{');
    out_key_str(&out, "id", chat->call.id);
    out_key_str(&out, "object", "chat.completion.chunk");
    out_key_int(&out, "created", chat->call.created);
    out_key_str(&out, "model", chat->call.exchange->model);
    out_key_str(&out, "system_fingerprint", "vinci-" VINCI_VERSION);
    if (chat->call.params.include_usage) out_key_null(&out, "usage");
    return !out.failed;
}

/* A chunk is begun, a delta is written between, the chunk is ended. */
static struct json_out begin_chunk(struct chat *chat, uint32_t choice)
{
    struct json_out out = {.buf = chat->out};
    out.failed =
        !buf_append(out.buf, "data: ", 6) || !buf_append(out.buf, chat->head.data, chat->head.size);
    out.comma = true;
    out_key(&out, "choices");
    out_begin(&out, '[');
    out_begin(&out, '{');
    out_key_int(&out, "index", choice);
    out_key(&out, "delta");
    out_begin(&out, '{');
    return out;
}

static void end_chunk(struct chat *chat, struct json_out *out, const struct item *item,
                      const char *finish)
{
    out_end(out, '}');
    out_key(out, "logprobs");
    if (item && item->n_tokens > item->reported) {
        out_begin(out, '{');
        out_key(out, "content");
        out_begin(out, '[');
        write_logprobs(out, chat->call.generation, item, item->reported, item->top_reported);
        out_end(out, ']');
        out_key_null(out, "refusal");
        out_end(out, '}');
    } else {
        out_null(out);
    }
    out_key_str(out, "finish_reason", finish);
    out_end(out, '}');
    out_end(out, ']');
    out_end(out, '}');
    if (out->failed || !buf_append(out->buf, "\n\n", 2)) chat->failed = true;
}

/* The place of item i among the items of its kind. */
static int index_of(const struct choice *choice, uint32_t i)
{
    int n = 0;
    for (uint32_t before = 0; before < i; before++)
        n += choice->items[before].kind == choice->items[i].kind;
    return n;
}

static void write_delta(struct chat *chat, const struct choice *choice, const struct piece *piece)
{
    const struct item *item = &choice->items[piece->item];
    struct json_out out = begin_chunk(chat, piece->choice);
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
    end_chunk(chat, &out, item, NULL);
}

/* A call is announced; a second text of the same kind begins behind an empty line. */
static void write_begin(struct chat *chat, const struct choice *choice, const struct piece *piece)
{
    const struct item *item = &choice->items[piece->item];
    struct json_out out;
    int index = index_of(choice, piece->item);
    if (item->kind == ITEM_CALL) {
        out = begin_chunk(chat, piece->choice);
        out_key(&out, "tool_calls");
        out_begin(&out, '[');
        write_call(&out, item, index, true);
        out_end(&out, ']');
        end_chunk(chat, &out, NULL, NULL);
    } else if (index > 0) {
        struct piece gap = *piece;
        gap.text = vinci_text_of("\n\n");
        write_delta(chat, choice, &gap);
    }
}

static void on_piece(void *user, const struct piece *piece)
{
    struct chat *chat = user;
    const struct choice *choice = &chat->call.generation->choices[piece->choice];
    switch (piece->kind) {
    case PIECE_BEGIN: write_begin(chat, choice, piece); break;
    case PIECE_DELTA: write_delta(chat, choice, piece); break;
    case PIECE_END: break;
    case PIECE_FINISH:
        if (choice->finish != CHOICE_FAILED) {
            struct json_out out = begin_chunk(chat, piece->choice);
            end_chunk(chat, &out, NULL, finish_name(choice->finish));
        }
        break;
    }
}

static void write_roles(struct chat *chat)
{
    for (uint32_t i = 0; i < chat->call.generation->n_choices; i++) {
        struct json_out out = begin_chunk(chat, i);
        out_key_str(&out, "role", "assistant");
        out_key_str(&out, "content", "");
        end_chunk(chat, &out, NULL, NULL);
    }
    chat->begun = true;
}

static void write_end(struct chat *chat)
{
    struct json_out out = {.buf = chat->out};
    struct usage usage;
    call_usage(&chat->call, &usage);
    if (chat->call.generation->failed) {
        out.failed = !buf_append(out.buf, "data: ", 6);
        write_error_object(out.buf, false, &chat->call.generation->error);
        buf_append(out.buf, "\n\n", 2);
    } else if (chat->call.params.include_usage) {
        /* The head ends in a null usage; this chunk has its own. */
        size_t n = chat->head.size - strlen(",\"usage\":null");
        out.failed = !buf_append(out.buf, "data: ", 6) || !buf_append(out.buf, chat->head.data, n);
        out.comma = true;
        out_key(&out, "choices");
        out_begin(&out, '[');
        out_end(&out, ']');
        write_usage(&out, chat);
        out_end(&out, '}');
        buf_append(out.buf, "\n\n", 2);
    }
    buf_append(out.buf, "data: [DONE]\n\n", 14);
    chat->ended = true;
}

static bool chat_next(void *stream, struct buf *to)
{
    struct chat *chat = stream;
    double seconds = chat->call.exchange->server->options.keep_alive_seconds;
    chat->out = to;
    if (!chat->begun) {
        write_roles(chat);
        return !chat->failed;
    }
    enum generation_state state = generation_next(chat->call.generation, seconds, on_piece, chat);
    if (state == GENERATION_IDLE) buf_append(to, ": keep-alive\n\n", 14);
    if (state == GENERATION_DONE) write_end(chat);
    return !chat->ended && !chat->failed;
}

/* ---- the handler --------------------------------------------------------------------------- */

void handle_chat(struct exchange *x)
{
    struct api_error error = {0};
    struct json_out out = {.buf = &x->out};
    struct chat *chat = array_new_zero(1, sizeof *chat);
    bool ok = chat || api_fail_memory(&error);
    ok = ok && call_begin(&chat->call, x, "chatcmpl-", &error) &&
         chat_in(&chat->call.params, chat->call.body, &error) &&
         generation_start(&chat->call.generation, x->server, &chat->call.params, x->fd, &error);
    if (ok && chat->call.params.stream && !write_head(chat)) ok = api_fail_memory(&error);
    if (ok && chat->call.params.stream) {
        answer_stream(x, chat_next, chat_free, chat);
        return;
    }
    if (!ok) {
        answer_error(x, &error);
    } else if (call_wait(&chat->call)) {
        write_completion(&out, chat);
        answer_written(x, &out);
    }
    chat_free(chat);
}
