/* messages.c - Anthropic's /v1/messages: answers, whole and streamed.
 *
 * Items become content blocks: reasoning a block "thinking" (with an empty signature: nothing here
 * is signed), texts "text", calls "tool_use". */
#include "serve/call.h"
#include "serve/messages_in.h"

#include <stdlib.h>
#include <string.h>

static const char *stop_reason(const struct choice *choice)
{
    if (choice->finish == CHOICE_CALLS) return "tool_use";
    if (choice->finish == CHOICE_LENGTH) return "max_tokens";
    return choice->matched ? "stop_sequence" : "end_turn";
}

static void write_usage(struct json_out *out, const struct usage *usage)
{
    out_key(out, "usage");
    out_begin(out, '{');
    out_key_int(out, "input_tokens", (int64_t)(usage->n_prompt - usage->n_cached));
    out_key_int(out, "cache_creation_input_tokens", 0);
    out_key_int(out, "cache_read_input_tokens", (int64_t)usage->n_cached);
    out_key_int(out, "output_tokens", (int64_t)usage->n_generated);
    out_end(out, '}');
}

/* A call's arguments as an object; what is no JSON (an answer cut off) as its text. */
static void write_input(struct json_out *out, const struct buf *text)
{
    json_t *input = text->size ? json_loadb(text->data, text->size, JSON_ALLOW_NUL, NULL) : NULL;
    out_key(out, "input");
    if (input) {
        out_json(out, input);
    } else {
        out_begin(out, '{');
        if (text->size) out_key_text(out, "incomplete", text);
        out_end(out, '}');
    }
    json_decref(input);
}

/* As it ended or, `whole` false, as it begins: without its text. */
static void write_block(struct json_out *out, const struct item *item, bool whole)
{
    const struct buf none = {0};
    const struct buf *text = whole ? &item->text : &none;
    out_begin(out, '{');
    if (item->kind == ITEM_REASONING) {
        out_key_str(out, "type", "thinking");
        out_key_text(out, "thinking", text);
        out_key_str(out, "signature", "");
    } else if (item->kind == ITEM_TEXT) {
        out_key_str(out, "type", "text");
        out_key_text(out, "text", text);
    } else {
        out_key_str(out, "type", "tool_use");
        out_key_str(out, "id", item->call_id);
        out_key_str(out, "name", item->name);
        write_input(out, text);
    }
    out_end(out, '}');
}

static void write_message(struct json_out *out, struct call *call, bool ended)
{
    const struct choice *choice = &call->generation->choices[0];
    struct usage usage = call->usage;
    if (!ended) generation_usage(call->generation, &usage);
    out_begin(out, '{');
    out_key_str(out, "id", call->id);
    out_key_str(out, "type", "message");
    out_key_str(out, "role", "assistant");
    out_key_str(out, "model", call->exchange->model);
    out_key(out, "content");
    out_begin(out, '[');
    for (size_t i = 0; ended && i < choice->n_items; i++) write_block(out, &choice->items[i], true);
    out_end(out, ']');
    out_key_str(out, "stop_reason", ended ? stop_reason(choice) : NULL);
    out_key_str(out, "stop_sequence", ended ? choice->matched : NULL);
    write_usage(out, &usage);
    out_end(out, '}');
}

/* ---- streams ------------------------------------------------------------------------------- */

static void send_delta(struct call *call, const struct item *item, const struct piece *piece)
{
    static const char *const types[] = {"thinking_delta", "text_delta", "input_json_delta"};
    static const char *const keys[] = {"thinking", "text", "partial_json"};
    struct json_out out = begin_event(call, "content_block_delta");
    out_key_int(&out, "index", piece->item);
    out_key(&out, "delta");
    out_begin(&out, '{');
    out_key_str(&out, "type", types[item->kind]);
    out_key(&out, keys[item->kind]);
    out_text(&out, piece->text.data, piece->text.size);
    out_end(&out, '}');
    end_event(call, &out);
}

static void on_piece(void *user, const struct piece *piece)
{
    struct call *call = user;
    if (piece->kind == PIECE_FINISH) return;
    const struct item *item = &call->generation->choices[0].items[piece->item];
    if (piece->kind == PIECE_BEGIN) {
        struct json_out out = begin_event(call, "content_block_start");
        out_key_int(&out, "index", piece->item);
        out_key(&out, "content_block");
        write_block(&out, item, false);
        end_event(call, &out);
    } else if (piece->kind == PIECE_DELTA) {
        send_delta(call, item, piece);
    } else {
        struct json_out out = begin_event(call, "content_block_stop");
        out_key_int(&out, "index", piece->item);
        end_event(call, &out);
    }
}

static void send_start(struct call *call)
{
    struct json_out out = begin_event(call, "message_start");
    out_key(&out, "message");
    write_message(&out, call, false);
    end_event(call, &out);
}

static void send_end(struct call *call)
{
    if (call->generation->failed) {
        send_error(call);
        return;
    }
    const struct choice *choice = &call->generation->choices[0];
    struct json_out out = begin_event(call, "message_delta");
    out_key(&out, "delta");
    out_begin(&out, '{');
    out_key_str(&out, "stop_reason", stop_reason(choice));
    out_key_str(&out, "stop_sequence", choice->matched);
    out_end(&out, '}');
    write_usage(&out, &call->usage);
    end_event(call, &out);
    out = begin_event(call, "message_stop");
    end_event(call, &out);
}

/* ---- handlers ------------------------------------------------------------------------------ */

static bool start(struct call *call, struct exchange *x, struct api_error *error)
{
    if (!call_begin(call, x, "msg_", error) || !messages_in(&call->params, call->body, error))
        return false;
    if (call->params.n != 1) return api_bad(error, "n", "n: not supported here");
    return generation_start(&call->generation, x->server, &call->params, x->fd, error);
}

static void write_answer(struct json_out *out, struct call *call)
{
    write_message(out, call, true);
}

void handle_messages(struct exchange *x)
{
    static const struct api api = {.size = sizeof(struct call),
                                   .start = start,
                                   .write = write_answer,
                                   .begin = send_start,
                                   .on_piece = on_piece,
                                   .end = send_end,
                                   .keep_alive = "event: ping\ndata: {\"type\":\"ping\"}\n\n"};
    call_answer(x, &api);
}

void handle_count_tokens(struct exchange *x)
{
    struct call call = {0};
    struct api_error error = {0};
    struct json_out out = {.buf = &x->out};
    int32_t *ids = NULL;
    size_t n_ids = 0;
    if (call_begin(&call, x, "msg_", &error) &&
        messages_in_conversation(&call.params, call.body, &error) &&
        call_render(&call, &ids, &n_ids, &error)) {
        out_begin(&out, '{');
        out_key_int(&out, "input_tokens", (int64_t)n_ids);
        out_end(&out, '}');
        answer_written(x, &out);
    } else {
        answer_error(x, &error);
    }
    vinci_free(ids);
    call_release(&call);
}
