/* messages.c - Anthropic's /v1/messages: answers, whole and streamed.
 *
 * Items become content blocks: reasoning a block "thinking" (with an empty signature: nothing here
 * is signed), texts "text", calls "tool_use". */
#include "serve/call.h"
#include "serve/messages_in.h"

#include <stdlib.h>
#include <string.h>

struct messages {
    struct call call;
    struct buf *out;
    bool begun, ended, failed;
};

static void messages_free(void *stream)
{
    struct messages *m = stream;
    if (!m) return;
    call_release(&m->call);
    free(m);
}

static const char *stop_reason(const struct choice *choice)
{
    if (choice->finish == CHOICE_CALLS) return "tool_use";
    if (choice->finish == CHOICE_LENGTH) return "max_tokens";
    return choice->matched ? "stop_sequence" : "end_turn";
}

static void write_usage(struct json_out *out, struct call *call, bool ended)
{
    struct usage usage;
    if (ended) call_usage(call, &usage);
    else generation_usage(call->generation, &usage);
    out_key(out, "usage");
    out_begin(out, '{');
    out_key_int(out, "input_tokens", (int64_t)(usage.n_prompt - usage.n_cached));
    out_key_int(out, "cache_creation_input_tokens", 0);
    out_key_int(out, "cache_read_input_tokens", (int64_t)usage.n_cached);
    out_key_int(out, "output_tokens", (int64_t)usage.n_generated);
    out_end(out, '}');
}

/* A call's arguments as an object; what is no JSON (an answer cut off) as its text. */
static void write_input(struct json_out *out, const struct item *item)
{
    json_t *input =
        item->text.size ? json_loadb(item->text.data, item->text.size, JSON_ALLOW_NUL, NULL) : NULL;
    out_key(out, "input");
    if (input) {
        out_json(out, input);
    } else {
        out_begin(out, '{');
        if (item->text.size) out_key_text(out, "incomplete", &item->text);
        out_end(out, '}');
    }
    json_decref(input);
}

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
        write_input(out, item);
    }
    out_end(out, '}');
}

static void write_message(struct json_out *out, struct call *call, bool ended)
{
    const struct choice *choice = &call->generation->choices[0];
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
    write_usage(out, call, ended);
    out_end(out, '}');
}

/* ---- streams ------------------------------------------------------------------------------- */

static struct json_out begin_event(struct messages *m, const char *type)
{
    struct json_out out = {.buf = m->out};
    out.failed = !buf_printf(m->out, "event: %s\ndata: ", type);
    out_begin(&out, '{');
    out_key_str(&out, "type", type);
    return out;
}

static void end_event(struct messages *m, struct json_out *out)
{
    out_end(out, '}');
    if (out->failed || !buf_append(out->buf, "\n\n", 2)) m->failed = true;
}

static void send_start(struct messages *m, const struct item *item, uint32_t index)
{
    struct json_out out = begin_event(m, "content_block_start");
    out_key_int(&out, "index", index);
    out_key(&out, "content_block");
    if (item->kind == ITEM_CALL) {
        out_begin(&out, '{');
        out_key_str(&out, "type", "tool_use");
        out_key_str(&out, "id", item->call_id);
        out_key_str(&out, "name", item->name);
        out_key(&out, "input");
        out_begin(&out, '{');
        out_end(&out, '}');
        out_end(&out, '}');
    } else {
        write_block(&out, item, false);
    }
    end_event(m, &out);
}

static void send_delta(struct messages *m, const struct item *item, const struct piece *piece)
{
    static const char *const types[] = {"thinking_delta", "text_delta", "input_json_delta"};
    static const char *const keys[] = {"thinking", "text", "partial_json"};
    struct json_out out = begin_event(m, "content_block_delta");
    out_key_int(&out, "index", piece->item);
    out_key(&out, "delta");
    out_begin(&out, '{');
    out_key_str(&out, "type", types[item->kind]);
    out_key(&out, keys[item->kind]);
    out_text(&out, piece->text.data, piece->text.size);
    out_end(&out, '}');
    end_event(m, &out);
}

static void on_piece(void *user, const struct piece *piece)
{
    struct messages *m = user;
    if (piece->kind == PIECE_FINISH) return;
    const struct item *item = &m->call.generation->choices[0].items[piece->item];
    if (piece->kind == PIECE_BEGIN) {
        send_start(m, item, piece->item);
    } else if (piece->kind == PIECE_DELTA) {
        send_delta(m, item, piece);
    } else {
        struct json_out out = begin_event(m, "content_block_stop");
        out_key_int(&out, "index", piece->item);
        end_event(m, &out);
    }
}

static void send_end(struct messages *m)
{
    struct call *call = &m->call;
    struct usage usage;
    call_usage(call, &usage);
    m->ended = true;
    if (call->generation->failed) {
        if (!buf_append_text(m->out, "event: error\ndata: ")) m->failed = true;
        write_error_object(m->out, true, &call->generation->error);
        buf_append(m->out, "\n\n", 2);
        return;
    }
    const struct choice *choice = &call->generation->choices[0];
    struct json_out out = begin_event(m, "message_delta");
    out_key(&out, "delta");
    out_begin(&out, '{');
    out_key_str(&out, "stop_reason", stop_reason(choice));
    out_key_str(&out, "stop_sequence", choice->matched);
    out_end(&out, '}');
    write_usage(&out, call, true);
    end_event(m, &out);
    out = begin_event(m, "message_stop");
    end_event(m, &out);
}

static bool messages_next(void *stream, struct buf *to)
{
    struct messages *m = stream;
    double seconds = m->call.exchange->server->options.keep_alive_seconds;
    m->out = to;
    if (!m->begun) {
        struct json_out out = begin_event(m, "message_start");
        out_key(&out, "message");
        write_message(&out, &m->call, false);
        end_event(m, &out);
        m->begun = true;
        return !m->failed;
    }
    enum generation_state state = generation_next(m->call.generation, seconds, on_piece, m);
    if (state == GENERATION_IDLE) {
        struct json_out out = begin_event(m, "ping");
        end_event(m, &out);
    }
    if (state == GENERATION_DONE) send_end(m);
    return !m->ended && !m->failed;
}

/* ---- handlers ------------------------------------------------------------------------------ */

void handle_messages(struct exchange *x)
{
    struct api_error error = {0};
    struct json_out out = {.buf = &x->out};
    struct messages *m = array_new_zero(1, sizeof *m);
    bool ok = m || api_fail_memory(&error);
    ok = ok && call_begin(&m->call, x, "msg_", &error) &&
         messages_in(&m->call.params, m->call.body, &error);
    if (ok && m->call.params.n != 1) ok = api_bad(&error, "n", "n: not supported here");
    ok = ok && generation_start(&m->call.generation, x->server, &m->call.params, x->fd, &error);
    if (ok && m->call.params.stream) {
        answer_stream(x, messages_next, messages_free, m);
        return;
    }
    if (!ok) {
        answer_error(x, &error);
    } else if (call_wait(&m->call)) {
        write_message(&out, &m->call, true);
        answer_written(x, &out);
    }
    messages_free(m);
}

void handle_count_tokens(struct exchange *x)
{
    struct call call = {0};
    struct api_error error = {0};
    struct json_out out = {.buf = &x->out};
    char date[16];
    int32_t *ids = NULL;
    size_t n_ids = 0, n_forced;
    if (call_begin(&call, x, "msg_", &error) &&
        messages_in_conversation(&call.params, call.body, &error) &&
        params_render(&call.params, x->server->tokenizer, server_date(x->server, date), &ids,
                      &n_ids, &n_forced, &error)) {
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
