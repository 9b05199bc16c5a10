/* harmony_render.c - conversation -> tokens, token for token as openai-harmony.
 *
 * Every piece is encoded on its own (role, name, recipient, channel, content type, each part of the
 * content), always without special tokens; control tokens are put between the pieces by id. So no
 * text can become a control token, and the ids are not always those of the joined text. The only
 * text that asks for a control token is a content type that begins with <|constrain|>. */
#include "text/harmony.h"

#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum vinci_status harmony_tokens_find(struct harmony_tokens *tokens,
                                      const struct vinci_tokenizer *tokenizer,
                                      struct vinci_error *err)
{
    const struct {
        const char *text;
        int32_t *id;
        int32_t published;
    } rows[] = {
        {"<|return|>", &tokens->done, 200002},     {HARMONY_CONSTRAIN, &tokens->constrain, 200003},
        {"<|channel|>", &tokens->channel, 200005}, {"<|start|>", &tokens->start, 200006},
        {"<|end|>", &tokens->end, 200007},         {"<|message|>", &tokens->message, 200008},
        {"<|call|>", &tokens->call, 200012},
    };
    tokens->o200k = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int32_t id = vinci_token_special_id(tokenizer, rows[i].text);
        if (id < 0)
            return fail(err, VINCI_UNSUPPORTED,
                        "tokenizer: no special token %s; the chat format needs the tokenizer of a "
                        "gpt-oss model",
                        rows[i].text);
        *rows[i].id = id;
        if (id != rows[i].published) tokens->o200k = false;
    }
    tokens->end_of_text = vinci_token_special_id(tokenizer, "<|endoftext|>");
    return VINCI_OK;
}

enum vinci_status vinci_harmony_stop_tokens(const struct vinci_tokenizer *tokenizer, int32_t *ids,
                                            size_t *n_ids, struct vinci_error *err)
{
    struct harmony_tokens tokens;
    *n_ids = 0;
    enum vinci_status status = harmony_tokens_find(&tokens, tokenizer, err);
    if (status != VINCI_OK) return status;
    ids[(*n_ids)++] = tokens.done;
    ids[(*n_ids)++] = tokens.call;
    if (tokens.end_of_text >= 0) ids[(*n_ids)++] = tokens.end_of_text;
    return VINCI_OK;
}

/* What a rendering is made with; the first failure stays in `status`. */
struct rendering {
    const struct vinci_tokenizer *tokenizer;
    struct harmony_tokens tokens;
    struct token_list list;
    bool has_functions; /* a developer message declares tools under "functions" */
    enum vinci_status status;
    struct vinci_error *err;
};

static void add_token(struct rendering *r, int32_t id)
{
    if (r->status == VINCI_OK && !token_list_append(&r->list, &id, 1))
        r->status = fail_memory(r->err, (r->list.n + 1) * sizeof id, "the rendered tokens");
}

static void add_text(struct rendering *r, const char *text, size_t n)
{
    if (r->status == VINCI_OK)
        r->status = tokenizer_encode(r->tokenizer, text, n, false, &r->list, r->err);
}

/* One piece: `before` and the string together. */
static void add_piece(struct rendering *r, const char *before, const json_t *string)
{
    struct text_out piece = {0};
    put(&piece, before);
    put_string(&piece, string);
    if (piece.failed && r->status == VINCI_OK)
        r->status = fail_memory(r->err, json_string_length(string), "a part of a message");
    add_text(r, piece.buf.data, piece.buf.size);
    buf_free(&piece.buf);
}

/* An empty line between sections. */
static void put_gap(struct text_out *out)
{
    if (out->buf.size) put(out, "\n\n");
}

static void put_line(struct text_out *out, bool *first, const char *label, const json_t *string)
{
    if (!string) return;
    if (!*first) put(out, "\n");
    *first = false;
    put(out, label);
    put_string(out, string);
}

static void put_channels(struct text_out *out, const json_t *config, bool has_functions)
{
    const json_t *channels = json_object_get(config, "valid_channels"), *channel;
    size_t i;
    put(out, "# Valid channels: ");
    json_array_foreach(channels, i, channel)
    {
        if (i) put(out, ", ");
        put_string(out, channel);
    }
    put(out, ".");
    if (json_is_true(json_object_get(config, "channel_required")))
        put(out, " Channel must be included for every message.");
    if (has_functions)
        put(out, "\nCalls to these tools must go to the commentary channel: 'functions'.");
}

/* Sections with an empty line between them. A section counts even if its text is empty: `any` says
 * that one stands before. */
static void put_system(struct text_out *out, const json_t *content, bool has_functions)
{
    const json_t *config = harmony_get(content, "channel_config");
    const json_t *effort = harmony_get(content, "reasoning_effort");
    const json_t *tools = harmony_get(content, "tools");
    bool first = true;
    put_line(out, &first, "", harmony_get(content, "model_identity"));
    put_line(out, &first, "Knowledge cutoff: ", harmony_get(content, "knowledge_cutoff"));
    put_line(out, &first, "Current date: ", harmony_get(content, "conversation_start_date"));
    bool any = !first;
    if (effort) {
        if (any) put(out, "\n\n");
        any = true;
        put(out, harmony_is(content, "reasoning_effort", "Low")    ? "Reasoning: low"
                 : harmony_is(content, "reasoning_effort", "High") ? "Reasoning: high"
                                                                   : "Reasoning: medium");
    }
    if (json_object_size(tools)) {
        if (any) put(out, "\n\n");
        any = true;
        put_tools(out, tools);
    }
    if (json_array_size(json_object_get(config, "valid_channels"))) {
        if (any) put(out, "\n\n");
        put_channels(out, config, has_functions);
    }
}

static void put_formats(struct text_out *out, const json_t *formats)
{
    const char *key;
    json_t *format;
    put(out, "# Response Formats");
    json_object_foreach((json_t *)formats, key, format)
    {
        const json_t *description = harmony_get(format, "description");
        put(out, "\n\n## ");
        put(out, key);
        put(out, "\n\n");
        if (description) {
            put(out, "// ");
            put_string(out, description);
            put(out, "\n");
        }
        put_json(out, json_object_get(format, "schema"));
    }
}

static void put_developer(struct text_out *out, const json_t *content)
{
    const json_t *instructions = harmony_get(content, "instructions");
    const json_t *tools = harmony_get(content, "tools");
    const json_t *formats = harmony_get(content, "response_formats");
    if (instructions) {
        put(out, "# Instructions\n\n");
        put_string(out, instructions);
    }
    if (json_object_size(tools)) {
        put_gap(out);
        put_tools(out, tools);
    }
    if (json_object_size(formats)) {
        put_gap(out);
        put_formats(out, formats);
    }
}

static void add_content(struct rendering *r, const json_t *content)
{
    if (harmony_is(content, "type", "text")) {
        add_piece(r, "", json_object_get(content, "text"));
        return;
    }
    struct text_out out = {0};
    if (harmony_is(content, "type", "system_content")) put_system(&out, content, r->has_functions);
    else put_developer(&out, content);
    if (out.failed && r->status == VINCI_OK)
        r->status = fail_memory(r->err, out.buf.capacity, "a message's text");
    add_text(r, out.buf.data, out.buf.size);
    buf_free(&out.buf);
}

static void add_content_type(struct rendering *r, const json_t *content_type)
{
    const char *text = json_string_value(content_type);
    size_t n = json_string_length(content_type), n_marker = strlen(HARMONY_CONSTRAIN);
    if (n < n_marker || memcmp(text, HARMONY_CONSTRAIN, n_marker) != 0) {
        add_piece(r, " ", content_type);
        return;
    }
    add_text(r, " ", 1);
    add_token(r, r->tokens.constrain);
    add_text(r, text + n_marker, n - n_marker);
}

static void add_message(struct rendering *r, const json_t *message)
{
    const json_t *name = harmony_get(message, "name"), *channel = harmony_get(message, "channel");
    const json_t *recipient = harmony_get(message, "recipient");
    const json_t *content_type = harmony_get(message, "content_type");
    const json_t *content = json_object_get(message, "content"), *part;
    size_t i;
    add_token(r, r->tokens.start);
    if (harmony_is(message, "role", "tool")) {
        add_piece(r, "", name);
    } else {
        add_piece(r, "", json_object_get(message, "role"));
        if (name) add_piece(r, ":", name);
    }
    if (recipient && !harmony_is(message, "recipient", "all")) add_piece(r, " to=", recipient);
    if (channel) {
        add_token(r, r->tokens.channel);
        add_piece(r, "", channel);
    }
    if (content_type) add_content_type(r, content_type);
    add_token(r, r->tokens.message);
    if (json_is_string(content)) add_piece(r, "", content);
    json_array_foreach(content, i, part) add_content(r, part);
    bool call = recipient && harmony_is(message, "role", "assistant");
    add_token(r, call ? r->tokens.call : r->tokens.end);
}

static bool has_functions(const json_t *messages)
{
    const json_t *message, *content;
    size_t i, k;
    json_array_foreach(messages, i, message)
    {
        json_array_foreach(json_object_get(message, "content"), k, content)
        {
            const json_t *tools = json_object_get(content, "tools");
            const json_t *functions = json_object_get(tools, "functions");
            if (harmony_is(content, "type", "developer_content") &&
                json_array_size(json_object_get(functions, "tools")))
                return true;
        }
    }
    return false;
}

/* Analysis in messages [0, this) is left out: the place of the first final if the last word of the
 * assistant is a final, else 0. */
static size_t drop_analysis_before(const json_t *messages)
{
    size_t n = json_array_size(messages), last = n, first_final = 0;
    while (last && !harmony_is(json_array_get(messages, last - 1), "role", "assistant")) last--;
    if (!last || !harmony_is(json_array_get(messages, last - 1), "channel", "final")) return 0;
    while (!harmony_is(json_array_get(messages, first_final), "channel", "final")) first_final++;
    return first_final;
}

void vinci_render_options_init(struct vinci_render_options *options)
{
    *options = (struct vinci_render_options){.kind = VINCI_RENDER_COMPLETION,
                                             .next_role = VINCI_ROLE_ASSISTANT};
}

enum vinci_status vinci_conversation_render(const struct vinci_conversation *conversation,
                                            const struct vinci_tokenizer *tokenizer,
                                            const struct vinci_render_options *options,
                                            int32_t **ids, size_t *n_ids, struct vinci_error *err)
{
    const json_t *messages = conversation->messages, *message;
    struct rendering r = {.tokenizer = tokenizer, .err = err};
    const char *next_role = vinci_role_name(options->next_role);
    size_t i, drop = options->keep_analysis ? 0 : drop_analysis_before(messages);
    *ids = NULL;
    *n_ids = 0;
    if (options->kind == VINCI_RENDER_COMPLETION && !*next_role)
        return fail(err, VINCI_USAGE, "rendering: a completion needs the next role");
    r.status = harmony_tokens_find(&r.tokens, tokenizer, err);
    r.has_functions = has_functions(messages);
    json_array_foreach(messages, i, message)
    {
        if (i < drop && harmony_is(message, "channel", "analysis")) continue;
        add_message(&r, message);
    }
    if (options->kind == VINCI_RENDER_COMPLETION) {
        add_token(&r, r.tokens.start);
        add_text(&r, next_role, strlen(next_role));
    }
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    if (options->kind == VINCI_RENDER_TRAINING && harmony_is(last, "role", "assistant") &&
        harmony_is(last, "channel", "final") && r.status == VINCI_OK)
        r.list.ids[r.list.n - 1] = r.tokens.done;
    if (r.status != VINCI_OK) {
        token_list_free(&r.list);
        return r.status;
    }
    if (!r.list.ids && !(r.list.ids = array_new(1, sizeof *r.list.ids)))
        return fail_memory(err, sizeof *r.list.ids, "the rendered tokens");
    *ids = r.list.ids;
    *n_ids = r.list.n;
    return VINCI_OK;
}
