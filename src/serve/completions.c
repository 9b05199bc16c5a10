/* completions.c - /v1/completions: raw texts, without the chat format.
 *
 * Special tokens in a prompt's text stay text here too; who needs them sends token ids. */
#include "serve/call.h"

#include <stdlib.h>
#include <string.h>

#define PROMPTS_MAX 64

struct completion {
    struct call call;
    bool echo;
    bool *echoed; /* [n_choices] of a stream */
};

static void completion_release(struct call *call)
{
    free(((struct completion *)call)->echoed);
}

/* ---- the body ------------------------------------------------------------------------------ */

struct prompts {
    int32_t **ids; /* [n] */
    size_t *sizes, n, capacity;
};

static void prompts_free(struct prompts *prompts)
{
    for (size_t i = 0; i < prompts->n; i++) vinci_free(prompts->ids[i]);
    free(prompts->ids);
    free(prompts->sizes);
}

static bool add_ids(struct prompts *prompts, const json_t *array, uint32_t n_vocab,
                    struct api_error *error)
{
    size_t n = json_array_size(array), i;
    const json_t *id;
    int32_t *ids = array_new(n, sizeof *ids);
    if (!ids) return api_fail_memory(error);
    prompts->ids[prompts->n] = ids;
    prompts->sizes[prompts->n++] = n;
    json_array_foreach(array, i, id)
    {
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= n_vocab)
            return api_bad(error, "prompt", "Invalid 'prompt': expected token ids from 0 to %u",
                           n_vocab - 1);
        ids[i] = (int32_t)value;
    }
    return true;
}

static bool add_prompt(struct prompts *prompts, const struct server *server, const json_t *prompt,
                       struct api_error *error)
{
    struct vinci_error err = {0};
    if (json_is_array(prompt))
        return add_ids(prompts, prompt, vinci_tokenizer_n_vocab(server->tokenizer), error);
    if (!json_is_string(prompt))
        return api_bad(error, "prompt",
                       "Invalid 'prompt': expected a string, token ids, or an array of them");
    enum vinci_status status =
        vinci_tokenize(server->tokenizer, json_string_value(prompt), json_string_length(prompt),
                       false, &prompts->ids[prompts->n], &prompts->sizes[prompts->n], &err);
    if (status != VINCI_OK) return api_fail_status(error, status, "prompt", &err);
    prompts->n++;
    return true;
}

static bool read_prompts(struct prompts *prompts, const struct server *server, const json_t *body,
                         struct api_error *error)
{
    const json_t *prompt = in_member(body, "prompt");
    bool many = json_is_array(prompt) && !json_is_integer(json_array_get(prompt, 0));
    size_t n = many ? json_array_size(prompt) : 1;
    if (!prompt)
        return api_fail(error, 400, "prompt", "missing_required_parameter",
                        "Missing required parameter: 'prompt'");
    if (n < 1 || n > PROMPTS_MAX)
        return api_bad(error, "prompt", "Invalid 'prompt': expected 1 to %d prompts", PROMPTS_MAX);
    prompts->ids = array_new_zero(n, sizeof *prompts->ids);
    prompts->sizes = array_new_zero(n, sizeof *prompts->sizes);
    if (!prompts->ids || !prompts->sizes) return api_fail_memory(error);
    for (size_t i = 0; i < n; i++)
        if (!add_prompt(prompts, server, many ? json_array_get(prompt, i) : prompt, error))
            return false;
    return true;
}

static bool read_body(struct completion *c, struct api_error *error)
{
    const json_t *body = c->call.body, *options = in_member(body, "stream_options");
    struct params *params = &c->call.params;
    uint32_t best_of = 0;
    params->max_tokens = 16; /* OpenAI's default */
    if (!params_read_sampling(params, body, error) ||
        !in_u32(body, "", "max_tokens", 1, INT32_MAX, &params->max_tokens, error) ||
        !in_bool(body, "", "echo", &c->echo, error) ||
        !in_bool(options, "stream_options.", "include_usage", &params->include_usage, error) ||
        !in_u32(body, "", "logprobs", 0, VINCI_TOP_LOGPROBS_MAX, &params->top_logprobs, error) ||
        !in_u32(body, "", "best_of", 1, CHOICES_MAX, &best_of, error))
        return false;
    params->logprobs = json_is_integer(json_object_get(body, "logprobs"));
    if (in_member(body, "suffix"))
        return api_bad(error, "suffix", "'suffix' is not supported by this model");
    if (best_of > params->n)
        return api_bad(error, "best_of", "'best_of' is not supported; use 'n'");
    if (c->echo && params->logprobs)
        return api_bad(error, "echo", "'echo' with 'logprobs' is not supported");
    return true;
}

/* ---- answers ------------------------------------------------------------------------------- */

/* The older form: parallel arrays. Offsets count characters of the text. */
static void write_old_logprobs(struct json_out *out, const struct completion *c,
                               const struct item *item, size_t from, size_t from_top)
{
    const struct vinci_tokenizer *tokenizer = c->call.generation->tokenizer;
    size_t offset = 0, n_text;
    const struct vinci_token_logprob *top = item->tokens.top;
    out_begin(out, '{');
    for (int part = 0; part < 3; part++) {
        static const char *const keys[] = {"tokens", "token_logprobs", "text_offset"};
        out_key(out, keys[part]);
        out_begin(out, '[');
        for (size_t i = part == 2 ? 0 : from; i < item->tokens.n; i++) {
            char *text = token_text(tokenizer, item->tokens.entries[i].id, &n_text);
            if (!text) {
                out->failed = true;
                break;
            }
            if (part == 0) out_text(out, text, n_text);
            else if (part == 1) out_real(out, (double)item->tokens.entries[i].logprob);
            else if (i >= from) out_int(out, (int64_t)offset);
            for (size_t b = 0; part == 2 && b < n_text; b++)
                offset += ((unsigned char)text[b] & 0xc0) != 0x80;
            free(text);
        }
        out_end(out, ']');
    }
    out_key(out, "top_logprobs");
    out_begin(out, '[');
    for (size_t i = from; i < item->tokens.n; i++) {
        out_begin(out, '{');
        for (uint32_t t = 0; t < item->tokens.entries[i].n_top && t < c->call.params.top_logprobs;
             t++) {
            char *text = token_text(tokenizer, top[from_top + t].token, &n_text);
            if (text) out_text(out, text, n_text);
            else out->failed = true;
            free(text);
            if (!buf_append(out->buf, ":", 1)) out->failed = true;
            out->comma = false;
            out_real(out, (double)top[from_top + t].logprob);
        }
        out_end(out, '}');
        from_top += item->tokens.entries[i].n_top;
    }
    out_end(out, ']');
    out_end(out, '}');
}

/* The members before the choices. */
static void write_head(struct json_out *out, const struct call *call)
{
    out_key_str(out, "id", call->id);
    out_key_str(out, "object", "text_completion");
    out_key_int(out, "created", call->created);
    out_key_str(out, "model", call->exchange->model);
    out_key(out, "choices");
    out_begin(out, '[');
}

/* A choice's prompt as text, before `text`. */
static void write_text(struct json_out *out, const struct completion *c, uint32_t choice, bool echo,
                       const char *text, size_t n)
{
    const struct generation *g = c->call.generation;
    size_t prompt = choice / c->call.params.n, n_prompt = 0;
    struct vinci_utf8_stream stream = {0};
    struct buf joined = {0};
    char *bytes = NULL;
    out_key(out, "text");
    if (!echo) {
        out_text(out, text, n);
        return;
    }
    if (vinci_detokenize(g->tokenizer, g->prompts[prompt], g->prompt_sizes[prompt], &bytes,
                         &n_prompt, NULL) != VINCI_OK ||
        !buf_reserve(&joined, 3 * (n_prompt + 4) + n)) {
        out->failed = true;
        out_null(out);
    } else {
        joined.size = vinci_utf8_stream_next(&stream, bytes, n_prompt, true, joined.data);
        buf_append(&joined, text, n);
        out_text(out, joined.data, joined.size);
    }
    vinci_free(bytes);
    buf_free(&joined);
}

static void write_choice(struct json_out *out, const struct completion *c, uint32_t i)
{
    const struct choice *choice = &c->call.generation->choices[i];
    const struct item *item = &choice->items[0];
    out_begin(out, '{');
    out_key_int(out, "index", i);
    write_text(out, c, i, c->echo, item->text.data ? item->text.data : "", item->text.size);
    out_key(out, "logprobs");
    if (c->call.params.logprobs) write_old_logprobs(out, c, item, 0, 0);
    else out_null(out);
    out_key_str(out, "finish_reason", finish_name(choice->finish));
    out_end(out, '}');
}

/* ---- streams ------------------------------------------------------------------------------- */

static void write_chunk(struct completion *c, uint32_t i, struct vinci_text text,
                        const char *finish)
{
    const struct item *item = &c->call.generation->choices[i].items[0];
    struct json_out out = begin_event(&c->call, NULL);
    write_head(&out, &c->call);
    out_begin(&out, '{');
    out_key_int(&out, "index", i);
    write_text(&out, c, i, c->echo && !c->echoed[i], text.data ? text.data : "", text.size);
    c->echoed[i] = true;
    out_key(&out, "logprobs");
    if (c->call.params.logprobs && item->tokens.n > item->reported)
        write_old_logprobs(&out, c, item, item->reported, item->top_reported);
    else out_null(&out);
    out_key_str(&out, "finish_reason", finish);
    out_end(&out, '}');
    out_end(&out, ']');
    if (c->call.params.include_usage) out_key_null(&out, "usage");
    end_event(&c->call, &out);
}

static void on_piece(void *user, const struct piece *piece)
{
    struct completion *c = user;
    const struct choice *choice = &c->call.generation->choices[piece->choice];
    if (piece->kind == PIECE_DELTA) write_chunk(c, piece->choice, piece->text, NULL);
    if (piece->kind == PIECE_FINISH && choice->finish != CHOICE_FAILED)
        write_chunk(c, piece->choice, (struct vinci_text){"", 0}, finish_name(choice->finish));
}

static void write_end(struct call *call)
{
    if (call->generation->failed) {
        send_error(call);
    } else if (call->params.include_usage) {
        struct json_out out = begin_event(call, NULL);
        write_head(&out, call);
        out_end(&out, ']');
        write_token_usage(&out, call, false);
        end_event(call, &out);
    }
    buf_append_text(call->out, "data: [DONE]\n\n");
}

/* ---- the handler --------------------------------------------------------------------------- */

static void write_completion(struct json_out *out, struct call *call)
{
    out_begin(out, '{');
    write_head(out, call);
    for (uint32_t i = 0; i < call->generation->n_choices; i++)
        write_choice(out, (struct completion *)call, i);
    out_end(out, ']');
    write_token_usage(out, call, false);
    out_key_str(out, "system_fingerprint", "vinci-" VINCI_VERSION);
    out_end(out, '}');
}

static bool start(struct call *call, struct exchange *x, struct api_error *error)
{
    struct completion *c = (struct completion *)call;
    struct prompts prompts = {0};
    if (!call_begin(call, x, "cmpl-", error) || !read_body(c, error)) return false;
    bool ok = read_prompts(&prompts, x->server, call->body, error);
    if (ok) {
        c->echoed = array_new_zero(prompts.n * call->params.n, sizeof *c->echoed);
        ok = c->echoed || api_fail_memory(error);
    }
    if (!ok) {
        prompts_free(&prompts);
        return false;
    }
    return generation_start_raw(&call->generation, x->server, &call->params, prompts.ids,
                                prompts.sizes, prompts.n, x->fd, error);
}

void handle_completions(struct exchange *x)
{
    static const struct api api = {.size = sizeof(struct completion),
                                   .start = start,
                                   .release = completion_release,
                                   .write = write_completion,
                                   .on_piece = on_piece,
                                   .end = write_end};
    call_answer(x, &api);
}
