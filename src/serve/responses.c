/* responses.c - /v1/responses: answers, whole and as its own kind of stream, and what is kept. */
#include "serve/responses_in.h"
#include "serve/responses_out.h"

#include <stdlib.h>
#include <string.h>

struct response {
    struct call call;
    json_t *items; /* the conversation */
    bool store;
    int64_t n_events;
};

static void response_release(struct call *call)
{
    json_decref(((struct response *)call)->items);
}

/* Keeps the answer, if it is one, for those who come back to it. */
static void keep(struct response *r, const char *text)
{
    const struct choice *choice = &r->call.generation->choices[0];
    struct buf item = {0};
    bool ok = r->store && !r->call.generation->failed;
    for (size_t i = 0; ok && i < choice->n_items; i++) {
        struct json_out out = {.buf = &item};
        item.size = 0;
        write_item(&out, &r->call, &choice->items[i], true);
        ok = !out.failed && json_array_append_new(r->items, json_loadb(item.data, item.size,
                                                                       JSON_ALLOW_NUL, NULL)) == 0;
    }
    if (ok)
        store_put(r->call.exchange->server->store, r->call.id, r->call.exchange->owner, text,
                  r->items);
    buf_free(&item);
}

/* ---- events -------------------------------------------------------------------------------- */

static struct json_out begin_numbered(struct response *r, const char *type)
{
    struct json_out out = begin_event(&r->call, type);
    out_key_int(&out, "sequence_number", r->n_events++);
    return out;
}

static void send_response(struct response *r, const char *type, const char *status)
{
    struct json_out out = begin_numbered(r, type);
    out_key(&out, "response");
    size_t at = out.buf->size;
    write_response(&out, &r->call, status);
    if (strcmp(status, "in_progress") != 0 && !out.failed) keep(r, out.buf->data + at);
    end_event(&r->call, &out);
}

static void send_item(struct response *r, const char *type, const struct item *item,
                      const struct piece *piece, bool whole)
{
    struct json_out out = begin_numbered(r, type);
    out_key_int(&out, "output_index", piece->item);
    out_key(&out, "item");
    write_item(&out, &r->call, item, whole);
    end_event(&r->call, &out);
}

/* What events inside an item begin with. */
static struct json_out begin_inner(struct response *r, const char *type, const struct item *item,
                                   const struct piece *piece)
{
    struct json_out out = begin_numbered(r, type);
    out_key_str(&out, "item_id", item->id);
    out_key_int(&out, "output_index", piece->item);
    if (item->kind != ITEM_CALL) out_key_int(&out, "content_index", 0);
    return out;
}

static void send_part(struct response *r, const char *type, const struct item *item,
                      const struct piece *piece, bool whole)
{
    struct json_out out = begin_inner(r, type, item, piece);
    out_key(&out, "part");
    write_part(&out, &r->call, item, whole);
    end_event(&r->call, &out);
}

static const char *stem(const struct item *item)
{
    if (item->kind == ITEM_REASONING) return "response.reasoning_text";
    if (item->kind == ITEM_TEXT) return "response.output_text";
    return item->custom ? "response.custom_tool_call_input" : "response.function_call_arguments";
}

static void send_delta(struct response *r, const struct item *item, const struct piece *piece)
{
    char type[64];
    snprintf(type, sizeof type, "%s.delta", stem(item));
    struct json_out out = begin_inner(r, type, item, piece);
    out_key(&out, "delta");
    out_text(&out, piece->text.data, piece->text.size);
    if (item->kind == ITEM_TEXT) {
        out_key(&out, "logprobs");
        out_begin(&out, '[');
        write_logprobs(&out, r->call.generation, item, item->reported, item->top_reported);
        out_end(&out, ']');
    }
    end_event(&r->call, &out);
}

static void send_done(struct response *r, const struct item *item, const struct piece *piece)
{
    char type[64];
    snprintf(type, sizeof type, "%s.done", stem(item));
    struct json_out out = begin_inner(r, type, item, piece);
    if (item->kind == ITEM_CALL) {
        out_key_str(&out, "name", item->name);
        out_key_text(&out, item->custom ? "input" : "arguments", &item->text);
    } else {
        out_key_text(&out, "text", &item->text);
    }
    if (item->kind == ITEM_TEXT) {
        out_key(&out, "logprobs");
        out_begin(&out, '[');
        write_logprobs(&out, r->call.generation, item, 0, 0);
        out_end(&out, ']');
    }
    end_event(&r->call, &out);
}

static void on_piece(void *user, const struct piece *piece)
{
    struct response *r = user;
    if (piece->kind == PIECE_FINISH) return;
    const struct item *item = &r->call.generation->choices[0].items[piece->item];
    bool parts = item->kind != ITEM_CALL;
    if (piece->kind == PIECE_BEGIN) {
        send_item(r, "response.output_item.added", item, piece, false);
        if (parts) send_part(r, "response.content_part.added", item, piece, false);
    } else if (piece->kind == PIECE_DELTA) {
        send_delta(r, item, piece);
    } else {
        send_done(r, item, piece);
        if (parts) send_part(r, "response.content_part.done", item, piece, true);
        send_item(r, "response.output_item.done", item, piece, true);
    }
}

static void send_begin(struct call *call)
{
    struct response *r = (struct response *)call;
    send_response(r, "response.created", "in_progress");
    send_response(r, "response.in_progress", "in_progress");
}

static void send_end(struct call *call)
{
    struct response *r = (struct response *)call;
    char type[32];
    const char *status = response_status(&r->call);
    if (r->call.generation->failed) {
        const struct api_error *error = &r->call.generation->error;
        struct json_out out = begin_numbered(r, "error");
        out_key_str(&out, "code", error->code);
        out_key_str(&out, "message", error->message);
        out_key_str(&out, "param", *error->param ? error->param : NULL);
        end_event(&r->call, &out);
    }
    snprintf(type, sizeof type, "response.%s", status);
    send_response(r, type, status);
}

/* ---- handlers ------------------------------------------------------------------------------ */

static bool start(struct call *call, struct exchange *x, struct api_error *error)
{
    struct response *r = (struct response *)call;
    r->store = true;
    return call_begin(call, x, "resp_", error) &&
           responses_in(&call->params, call->body, x->server->store, x->owner, &r->items, error) &&
           in_bool(call->body, "", "store", &r->store, error) &&
           generation_start(&call->generation, x->server, &call->params, x->fd, error);
}

static void write_answer(struct json_out *out, struct call *call)
{
    write_response(out, call, response_status(call));
    if (!out->failed) keep((struct response *)call, out->buf->data);
}

void handle_responses(struct exchange *x)
{
    static const struct api api = {.size = sizeof(struct response),
                                   .start = start,
                                   .release = response_release,
                                   .write = write_answer,
                                   .begin = send_begin,
                                   .on_piece = on_piece,
                                   .end = send_end};
    call_answer(x, &api);
}

static const char *id_of(const struct exchange *x)
{
    return x->path + strlen("/v1/responses/");
}

static void answer_not_found(struct exchange *x)
{
    struct api_error error;
    api_fail(&error, 404, NULL, "response_not_found", "Response with id '%.60s' not found.",
             id_of(x));
    answer_error(x, &error);
}

void handle_response_get(struct exchange *x)
{
    char *text = store_response(x->server->store, id_of(x), x->owner);
    struct json_out out = {.buf = &x->out};
    if (!text) {
        answer_not_found(x);
        return;
    }
    out_raw(&out, text, strlen(text));
    free(text);
    answer_written(x, &out);
}

void handle_response_delete(struct exchange *x)
{
    struct json_out out = {.buf = &x->out};
    if (!store_remove(x->server->store, id_of(x), x->owner)) {
        answer_not_found(x);
        return;
    }
    out_begin(&out, '{');
    out_key(&out, "id");
    out_text(&out, id_of(x), strlen(id_of(x)));
    out_key_str(&out, "object", "response");
    out_key_bool(&out, "deleted", true);
    out_end(&out, '}');
    answer_written(x, &out);
}
