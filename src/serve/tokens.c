/* tokens.c - /tokenize and /detokenize, in vLLM's form; llama.cpp's "content" is taken too. */
#include "serve/call.h"
#include "serve/chat_in.h"

#include <stdlib.h>
#include <string.h>

static bool tokenize(struct call *call, int32_t **ids, size_t *n_ids, struct api_error *error)
{
    const struct server *server = call->exchange->server;
    struct vinci_text text = {NULL, 0};
    struct vinci_error err = {0};
    bool special = false;
    if (in_member(call->body, "messages"))
        return chat_in_conversation(&call->params, call->body, error) &&
               call_render(call, ids, n_ids, error);
    if (!in_text(call->body, "", "prompt", &text, error) ||
        (!text.data && !in_text(call->body, "", "content", &text, error)) ||
        !in_bool(call->body, "", "parse_special", &special, error))
        return false;
    if (!text.data)
        return api_fail(error, 400, "prompt", "missing_required_parameter",
                        "Missing required parameter: 'prompt' or 'messages'");
    enum vinci_status status =
        vinci_tokenize(server->tokenizer, text.data, text.size, special, ids, n_ids, &err);
    return status == VINCI_OK || api_fail_status(error, status, "prompt", &err);
}

static void write_ids(struct json_out *out, const struct server *server, const int32_t *ids,
                      size_t n_ids, bool texts)
{
    out_begin(out, '{');
    out_key_int(out, "count", (int64_t)n_ids);
    out_key_int(out, "max_model_len", server->info.n_ctx);
    out_key(out, "tokens");
    out_begin(out, '[');
    for (size_t i = 0; i < n_ids; i++) out_int(out, ids[i]);
    out_end(out, ']');
    if (texts) {
        out_key(out, "token_strs");
        out_begin(out, '[');
        for (size_t i = 0; i < n_ids; i++) {
            size_t n = 0;
            char *text = token_text(server->tokenizer, ids[i], &n);
            if (text) out_text(out, text, n);
            else out->failed = true;
            free(text);
        }
        out_end(out, ']');
    }
    out_end(out, '}');
}

void handle_tokenize(struct exchange *x)
{
    struct call call = {0};
    struct api_error error = {0};
    struct json_out out = {.buf = &x->out};
    int32_t *ids = NULL;
    size_t n_ids = 0;
    bool texts = false;
    if (call_begin(&call, x, "tok_", &error) &&
        in_bool(call.body, "", "return_token_strs", &texts, &error) &&
        tokenize(&call, &ids, &n_ids, &error)) {
        write_ids(&out, x->server, ids, n_ids, texts);
        answer_written(x, &out);
    } else {
        answer_error(x, &error);
    }
    vinci_free(ids);
    call_release(&call);
}

static bool read_tokens(const json_t *body, int32_t **ids, size_t *n_ids, struct api_error *error)
{
    const json_t *tokens = in_member(body, "tokens"), *token;
    size_t i;
    if (!json_is_array(tokens))
        return api_bad(error, "tokens", "Invalid 'tokens': expected an array of token ids");
    *n_ids = json_array_size(tokens);
    *ids = array_new(*n_ids, sizeof **ids);
    if (!*ids) return api_fail_memory(error);
    json_array_foreach(tokens, i, token)
    {
        json_int_t id = json_integer_value(token);
        if (!json_is_integer(token) || id < 0 || id > INT32_MAX)
            return api_bad(error, "tokens", "Invalid 'tokens[%zu]': expected a token id", i);
        (*ids)[i] = (int32_t)id;
    }
    return true;
}

void handle_detokenize(struct exchange *x)
{
    struct call call = {0};
    struct api_error error = {0};
    struct vinci_error err = {0};
    struct vinci_utf8_stream stream = {0};
    struct json_out out = {.buf = &x->out};
    struct buf text = {0};
    int32_t *ids = NULL;
    char *bytes = NULL;
    size_t n_ids = 0, n = 0;
    bool ok = call_begin(&call, x, "tok_", &error) && read_tokens(call.body, &ids, &n_ids, &error);
    if (ok) {
        enum vinci_status status =
            vinci_detokenize(x->server->tokenizer, ids, n_ids, &bytes, &n, &err);
        ok = status == VINCI_OK || api_fail_status(&error, status, "tokens", &err);
    }
    if (ok) ok = buf_reserve(&text, 3 * (n + 4)) || api_fail_memory(&error);
    if (ok) {
        text.size = vinci_utf8_stream_next(&stream, bytes, n, true, text.data);
        out_begin(&out, '{');
        out_key_text(&out, "prompt", &text);
        out_key_text(&out, "content", &text);
        out_end(&out, '}');
        answer_written(x, &out);
    } else {
        answer_error(x, &error);
    }
    free(ids);
    vinci_free(bytes);
    buf_free(&text);
    call_release(&call);
}
