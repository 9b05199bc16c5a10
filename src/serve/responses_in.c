/* responses_in.c - reads /v1/responses.
 *
 * A conversation is a list of items: messages, reasoning, calls and their outputs. Items and tools
 * of kinds that this server has no part in (web search, shells, files) are let through without
 * being shown to the model: programs send them to every server, and refusing them would keep those
 * programs from working at all. */
#include "serve/responses_in.h"

#include <stdio.h>
#include <string.h>

struct reader {
    struct params *params;
    struct api_error *error;
    json_t *calls;   /* a call's id -> the tool's name */
    size_t n_finals; /* reasoning before this item is left out */
};

/* An item without a type is a message. */
static const char *type_of(const json_t *item)
{
    const char *type = in_word(item, "type");
    return type ? type : "message";
}

static bool is_call(const json_t *item)
{
    return word_is(type_of(item), "function_call") || word_is(type_of(item), "custom_tool_call");
}

static bool is_answer(const json_t *item)
{
    return word_is(type_of(item), "message") && word_is(in_word(item, "role"), "assistant");
}

/* ---- tools --------------------------------------------------------------------------------- */

static bool read_tools(struct reader *r, const json_t *body)
{
    const json_t *tools = in_member(body, "tools");
    if (tools && !json_is_array(tools))
        return api_bad(r->error, "tools", "Invalid 'tools': expected an array, got %s",
                       json_kind(tools));
    for (size_t i = 0; i < json_array_size(tools); i++) {
        char where[32];
        const json_t *tool = json_array_get(tools, i);
        bool custom = word_is(in_word(tool, "type"), "custom");
        snprintf(where, sizeof where, "tools[%zu]", i);
        if (!in_word(tool, "type"))
            return api_bad(r->error, where, "Invalid '%s': it has no type", where);
        if (!custom && !word_is(in_word(tool, "type"), "function")) continue;
        if (!params_add_tool(r->params, tool, custom, where, r->error)) return false;
    }
    return in_bool(body, "", "parallel_tool_calls", &r->params->parallel_calls, r->error);
}

static bool read_tool_choice(struct reader *r, const json_t *body)
{
    const json_t *choice = in_member(body, "tool_choice");
    struct params *params = r->params;
    const char *word = json_string_value(choice), *type = in_word(choice, "type");
    if (!choice || word_is(word, "auto")) return true;
    bool allowed = word_is(type, "allowed_tools");
    bool named = word_is(type, "function") || word_is(type, "custom");
    if (allowed) word = in_word(choice, "mode");
    if (word_is(word, "none")) params->tool_choice = TOOL_CHOICE_NONE;
    else if (word_is(word, "required")) params->tool_choice = TOOL_CHOICE_REQUIRED;
    else if (named && !in_word(choice, "name"))
        return api_fail(r->error, 400, "tool_choice.name", "missing_required_parameter",
                        "Missing required parameter: 'tool_choice.name'.");
    else if (named ? !params_choose_tool(params, in_word(choice, "name"))
                   : (allowed || !type) && !word_is(word, "auto"))
        return api_bad(r->error, "tool_choice",
                       "Invalid 'tool_choice': expected auto, none, required or "
                       "{\"type\": \"function\", \"name\": ...}");
    return true; /* a built-in tool's type: the model has none of them */
}

/* ---- items --------------------------------------------------------------------------------- */

static bool read_message(struct reader *r, const json_t *item, const char *where, bool before_call)
{
    struct buf text = {0};
    char param[160];
    const char *role = in_word(item, "role");
    bool ok = false;
    snprintf(param, sizeof param, "%s.content", where);
    if (!params_read_content(json_object_get(item, "content"),
                             "input_text|output_text|text|refusal|summary_text", param, &text,
                             r->error))
        goto cleanup;
    if (word_is(role, "system") || word_is(role, "developer"))
        ok = params_add_instructions(r->params, buf_text(&text), r->error);
    else if (word_is(role, "user"))
        ok = params_add_user(r->params, (struct vinci_text){NULL, 0}, buf_text(&text), r->error);
    else if (word_is(role, "assistant"))
        ok = params_add_answer(r->params, buf_text(&text), before_call, r->error);
    else
        api_bad(r->error, where,
                "Invalid '%s.role': expected user, assistant, system or developer, got '%.40s'",
                where, role ? role : "");
cleanup:
    buf_free(&text);
    return ok;
}

static bool read_reasoning(struct reader *r, const json_t *item, const char *where)
{
    struct buf text = {0};
    char param[160];
    snprintf(param, sizeof param, "%s.content", where);
    bool ok = params_read_content(json_object_get(item, "content"), "reasoning_text|text", param,
                                  &text, r->error) &&
              params_add_reasoning(r->params, buf_text(&text), r->error);
    buf_free(&text);
    return ok;
}

static bool read_call(struct reader *r, const json_t *item, const char *where)
{
    bool custom = word_is(type_of(item), "custom_tool_call");
    struct vinci_text name = json_text(json_object_get(item, "name"));
    struct vinci_text text = json_text(json_object_get(item, custom ? "input" : "arguments"));
    const char *id = in_word(item, "call_id");
    if (!id || !name.data || !name_is_valid(&name))
        return api_bad(r->error, where,
                       "Invalid '%s': expected a call_id, and a name of letters, digits, '_', '-' "
                       "or '.'",
                       where);
    if (json_object_set(r->calls, id, json_object_get(item, "name")) != 0)
        return api_fail_memory(r->error);
    return params_add_call(r->params, name, text, custom, r->error);
}

static bool read_output(struct reader *r, const json_t *item, const char *where)
{
    struct buf text = {0};
    char param[160];
    const char *id = in_word(item, "call_id");
    struct vinci_text name = json_text(id ? json_object_get(r->calls, id) : NULL);
    snprintf(param, sizeof param, "%s.output", where);
    if (!name.data)
        return api_bad(r->error, where,
                       "Invalid '%s.call_id': no call with this id comes before it", where);
    bool ok = params_read_content(json_object_get(item, "output"), "input_text|output_text|text",
                                  param, &text, r->error) &&
              params_add_result(r->params, name, buf_text(&text), r->error);
    buf_free(&text);
    return ok;
}

static bool read_item(struct reader *r, const json_t *items, size_t i)
{
    char where[32];
    const json_t *item = json_array_get(items, i);
    const char *type = type_of(item);
    snprintf(where, sizeof where, "input[%zu]", i);
    if (!json_is_object(item))
        return api_bad(r->error, where, "Invalid '%s': expected an object, got %s", where,
                       json_kind(item));
    if (word_is(type, "message")) return read_message(r, item, where, i >= r->n_finals);
    if (word_is(type, "reasoning")) return i < r->n_finals || read_reasoning(r, item, where);
    if (is_call(item)) return read_call(r, item, where);
    if (word_is(type, "function_call_output") || word_is(type, "custom_tool_call_output"))
        return read_output(r, item, where);
    return true; /* of a kind that the model knows nothing of */
}

/* An assistant's message with a call behind it is no last word. */
static size_t count_to_last_final(const json_t *items)
{
    size_t n = 0, i;
    const json_t *item;
    json_array_foreach(items, i, item)
    {
        const json_t *next = json_array_get(items, i + 1);
        if (is_answer(item) && !is_call(next)) n = i + 1;
    }
    return n;
}

/* ---- the input ----------------------------------------------------------------------------- */

static bool append_input(json_t *items, const json_t *input, struct store *store, uint64_t owner,
                         struct api_error *error)
{
    size_t i;
    json_t *item;
    if (json_is_string(input)) {
        json_t *message =
            json_pack("{s:s,s:s,s:O}", "type", "message", "role", "user", "content", input);
        return json_array_append_new(items, message) == 0 || api_fail_memory(error);
    }
    if (!json_is_array(input))
        return api_bad(error, "input", "Invalid 'input': expected a string or an array, got %s",
                       json_kind(input));
    json_array_foreach((json_t *)input, i, item)
    {
        json_t *found = NULL;
        if (word_is(in_word(item, "type"), "item_reference")) {
            const char *id = in_word(item, "id");
            found = store && id ? store_item(store, id, owner) : NULL;
            if (!found)
                return api_fail(error, 404, "input", "item_not_found",
                                "Item '%.60s' is not (or no longer) kept here.", id ? id : "");
            item = found;
        }
        int failed = json_array_append(items, item);
        json_decref(found);
        if (failed) return api_fail_memory(error);
    }
    return true;
}

static bool gather(json_t **items, const json_t *body, struct store *store, uint64_t owner,
                   struct api_error *error)
{
    const char *previous = NULL;
    const json_t *input = in_member(body, "input");
    if (!in_str(body, "", "previous_response_id", &previous, error)) return false;
    *items = !previous ? json_array() : store ? store_items(store, previous, owner) : NULL;
    if (!*items && !previous) return api_fail_memory(error);
    if (!*items)
        return api_fail(error, 404, "previous_response_id", "previous_response_not_found",
                        "Previous response with id '%.60s' not found.", previous ? previous : "");
    if (!input && !previous)
        return api_fail(error, 400, "input", "missing_required_parameter",
                        "Missing required parameter: 'input'");
    return !input || append_input(*items, input, store, owner, error);
}

static bool read_conversation(struct reader *r, const json_t *body, const json_t *items)
{
    struct vinci_text instructions = {NULL, 0};
    if (!in_text(body, "", "instructions", &instructions, r->error)) return false;
    if (instructions.size && !params_add_instructions(r->params, instructions, r->error))
        return false;
    r->n_finals = count_to_last_final(items);
    for (size_t i = 0; i < json_array_size(items); i++)
        if (!read_item(r, items, i)) return false;
    return true;
}

static bool refuse_unsupported(const json_t *body, struct api_error *error)
{
    if (json_is_true(json_object_get(body, "background")))
        return api_bad(error, "background", "'background' is not supported");
    if (in_member(body, "conversation"))
        return api_bad(error, "conversation",
                       "'conversation' is not supported; use 'previous_response_id'");
    if (in_member(body, "prompt"))
        return api_bad(error, "prompt", "'prompt' is not supported; use 'input'");
    return true;
}

bool responses_in(struct params *params, const json_t *body, struct store *store, uint64_t owner,
                  json_t **items, struct api_error *error)
{
    struct reader r = {.params = params, .error = error, .calls = json_object()};
    const json_t *reasoning = in_member(body, "reasoning"), *text = in_member(body, "text");
    const char *effort = NULL;
    *items = NULL;
    if (!r.calls) return api_fail_memory(error);
    bool ok =
        refuse_unsupported(body, error) && params_read_sampling(params, body, error) &&
        in_u32(body, "", "max_output_tokens", 1, INT32_MAX, &params->max_tokens, error) &&
        in_u32(body, "", "top_logprobs", 0, VINCI_TOP_LOGPROBS_MAX, &params->top_logprobs, error) &&
        in_str(reasoning, "reasoning.", "effort", &effort, error) &&
        (!effort || params_set_effort(params, effort, "reasoning.effort", error)) &&
        params_set_format(params, in_member(text, "format"), true, "text.format", error) &&
        read_tools(&r, body) && read_tool_choice(&r, body) && params_check_tools(params, error) &&
        gather(items, body, store, owner, error) && read_conversation(&r, body, *items);
    for (size_t i = 0; ok && i < json_array_size(json_object_get(body, "include")); i++) {
        const json_t *wanted = json_array_get(json_object_get(body, "include"), i);
        if (word_is(json_string_value(wanted), "message.output_text.logprobs"))
            params->logprobs = true;
    }
    if (params->top_logprobs) params->logprobs = true;
    if (ok && params->n != 1) ok = api_bad(error, "n", "'n' is not supported here");
    json_decref(r.calls);
    return ok;
}
