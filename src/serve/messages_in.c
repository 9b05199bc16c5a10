/* messages_in.c - reads /v1/messages.
 *
 * A message's content is a string or a list of blocks: text, thinking, tool_use, tool_result. Each
 * block becomes a message of its own, in order; texts before a tool_use are what is said before a
 * call. Thinking before the last answer is left out, as everywhere. */
#include "serve/messages_in.h"

#include <stdio.h>
#include <string.h>

struct reader {
    struct params *params;
    struct api_error *error;
    json_t *calls; /* a call's id -> the tool's name */
};

static bool has_block(const json_t *message, const char *type)
{
    size_t i;
    const json_t *block;
    json_array_foreach(json_object_get(message, "content"), i, block)
    {
        if (word_is(in_word(block, "type"), type)) return true;
    }
    return false;
}

/* ---- tools --------------------------------------------------------------------------------- */

static bool read_tools(struct reader *r, const json_t *body)
{
    const json_t *tools = in_member(body, "tools");
    if (tools && !json_is_array(tools))
        return api_bad(r->error, "tools", "tools: expected an array, got %s", json_kind(tools));
    for (size_t i = 0; i < json_array_size(tools); i++) {
        char where[32];
        const json_t *tool = json_array_get(tools, i);
        const char *type = in_word(tool, "type");
        snprintf(where, sizeof where, "tools[%zu]", i);
        if (type && strcmp(type, "custom") != 0) continue; /* the service's own tools */
        json_t *function = json_copy((json_t *)tool);      /* shallow */
        const json_t *schema = json_object_get(tool, "input_schema");
        bool ok =
            function && (!schema || json_object_set(function, "parameters", (json_t *)schema) == 0);
        ok = ok ? params_add_tool(r->params, function, false, where, r->error)
                : api_fail_memory(r->error);
        json_decref(function);
        if (!ok) return false;
    }
    return true;
}

static bool read_tool_choice(struct reader *r, const json_t *body)
{
    const json_t *choice = in_member(body, "tool_choice");
    const char *type = in_word(choice, "type"), *name = in_word(choice, "name");
    struct params *params = r->params;
    bool serial = json_is_true(json_object_get(choice, "disable_parallel_tool_use"));
    params->parallel_calls = !serial;
    if (!choice || word_is(type, "auto")) return true;
    if (word_is(type, "none")) params->tool_choice = TOOL_CHOICE_NONE;
    else if (word_is(type, "any")) params->tool_choice = TOOL_CHOICE_REQUIRED;
    else if (!word_is(type, "tool") || !params_choose_tool(params, name))
        return api_bad(r->error, "tool_choice",
                       "tool_choice: expected the type auto, any, none, or tool with a name");
    return true;
}

/* ---- messages ------------------------------------------------------------------------------ */

static bool read_tool_use(struct reader *r, const json_t *block, const char *where)
{
    struct vinci_text name = json_text(json_object_get(block, "name"));
    const char *id = in_word(block, "id");
    char *input = json_dumps(json_object_get(block, "input"), JSON_COMPACT | JSON_ENCODE_ANY);
    bool ok = false;
    if (!id || !name.data || !name_is_valid(&name))
        api_bad(r->error, where,
                "%s: expected an id, and a name of letters, digits, '_', '-' or '.'", where);
    else if (json_object_set(r->calls, id, json_object_get(block, "name")) != 0)
        api_fail_memory(r->error);
    else
        ok = params_add_call(r->params, name, vinci_text_of(input ? input : "{}"), false, r->error);
    free(input);
    return ok;
}

static bool read_tool_result(struct reader *r, const json_t *block, const char *where)
{
    struct buf text = {0};
    const char *id = in_word(block, "tool_use_id");
    struct vinci_text name = json_text(id ? json_object_get(r->calls, id) : NULL);
    if (!name.data)
        return api_bad(r->error, where, "%s.tool_use_id: no call with this id comes before it",
                       where);
    bool ok =
        params_read_content(json_object_get(block, "content"), "text", where, &text, r->error) &&
        params_add_result(r->params, name, buf_text(&text), r->error);
    buf_free(&text);
    return ok;
}

static bool read_block(struct reader *r, const json_t *message, size_t i, const char *where,
                       bool keep_thinking)
{
    const json_t *block = json_array_get(json_object_get(message, "content"), i);
    const char *type = in_word(block, "type");
    bool assistant = word_is(in_word(message, "role"), "assistant");
    struct vinci_text text = json_text(json_object_get(block, "text"));
    if (word_is(type, "text") && text.data)
        return assistant
                   ? params_add_answer(r->params, text, has_block(message, "tool_use"), r->error)
                   : params_add_user(r->params, (struct vinci_text){NULL, 0}, text, r->error);
    if (assistant && word_is(type, "thinking"))
        return !keep_thinking ||
               params_add_reasoning(r->params, json_text(json_object_get(block, "thinking")),
                                    r->error);
    if (assistant && word_is(type, "redacted_thinking")) return true;
    if (assistant && word_is(type, "tool_use")) return read_tool_use(r, block, where);
    if (!assistant && word_is(type, "tool_result")) return read_tool_result(r, block, where);
    return api_bad(r->error, where,
                   "%s: a block of the type '%.40s' is not supported here; the model reads text "
                   "only",
                   where, type ? type : "");
}

static bool read_message(struct reader *r, const json_t *message, size_t i, bool keep_thinking)
{
    char where[64];
    const json_t *content = json_object_get(message, "content");
    const char *role = in_word(message, "role");
    snprintf(where, sizeof where, "messages.%zu", i);
    bool assistant = word_is(role, "assistant");
    if (!assistant && !word_is(role, "user"))
        return api_bad(r->error, where, "%s.role: expected user or assistant, got '%.40s'", where,
                       role ? role : "");
    if (json_is_string(content))
        return assistant ? params_add_answer(r->params, json_text(content), false, r->error)
                         : params_add_user(r->params, (struct vinci_text){NULL, 0},
                                           json_text(content), r->error);
    if (!json_is_array(content))
        return api_bad(r->error, where, "%s.content: expected a string or an array, got %s", where,
                       json_kind(content));
    for (size_t b = 0; b < json_array_size(content); b++) {
        snprintf(where, sizeof where, "messages.%zu.content.%zu", i, b);
        if (!read_block(r, message, b, where, keep_thinking)) return false;
    }
    return true;
}

static bool read_messages(struct reader *r, const json_t *body)
{
    const json_t *messages = in_member(body, "messages"), *message;
    size_t i, n_finals = 0;
    struct buf system = {0};
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return api_bad(r->error, "messages",
                       "messages: expected an array with at least one message");
    bool ok = params_read_content(in_member(body, "system"), "text", "system", &system, r->error) &&
              (system.size == 0 || params_add_instructions(r->params, buf_text(&system), r->error));
    json_array_foreach(messages, i, message)
    {
        if (word_is(in_word(message, "role"), "assistant") && !has_block(message, "tool_use"))
            n_finals = i + 1;
    }
    for (i = 0; ok && i < json_array_size(messages); i++)
        ok = read_message(r, json_array_get(messages, i), i, i >= n_finals);
    buf_free(&system);
    return ok;
}

/* {"thinking": {"type": "enabled" | "disabled" | "adaptive", "budget_tokens"}}, and
 * {"output_config": {"effort"}}. */
static bool read_thinking(struct reader *r, const json_t *body)
{
    const json_t *thinking = in_member(body, "thinking");
    const char *effort = in_word(in_member(body, "output_config"), "effort");
    json_int_t budget = json_integer_value(json_object_get(thinking, "budget_tokens"));
    if (effort && !params_set_effort(r->params, effort, "output_config.effort", r->error))
        return false;
    if (word_is(in_word(thinking, "type"), "disabled"))
        return params_set_effort(r->params, "none", "thinking", r->error);
    if (budget > 0 && !effort)
        r->params->effort = budget < 2048    ? VINCI_EFFORT_LOW
                            : budget < 16384 ? VINCI_EFFORT_MEDIUM
                                             : VINCI_EFFORT_HIGH;
    return true;
}

bool messages_in_conversation(struct params *params, const json_t *body, struct api_error *error)
{
    struct reader r = {.params = params, .error = error, .calls = json_object()};
    if (!r.calls) return api_fail_memory(error);
    bool ok = read_tools(&r, body) && read_tool_choice(&r, body) &&
              params_check_tools(params, error) && read_thinking(&r, body) &&
              params_set_format(params, in_member(in_member(body, "output_config"), "format"), true,
                                "output_config.format", error) &&
              read_messages(&r, body);
    json_decref(r.calls);
    return ok;
}

bool messages_in(struct params *params, const json_t *body, struct api_error *error)
{
    if (!in_member(body, "max_tokens"))
        return api_fail(error, 400, "max_tokens", NULL, "max_tokens: Field required");
    return params_read_sampling(params, body, error) &&
           in_u32(body, "", "max_tokens", 1, INT32_MAX, &params->max_tokens, error) &&
           messages_in_conversation(params, body, error);
}
