/* chat_in.c - reads /v1/chat/completions.
 *
 * Reasoning that came before the last answer is left out, as the model was trained to see it; that
 * of a tool loop which is still open stays. It is taken from "reasoning", which vLLM and OpenAI's
 * own compatibility test use, or "reasoning_content", which DeepSeek's and llama.cpp's clients
 * use. */
#include "serve/chat_in.h"

#include <stdio.h>
#include <string.h>

struct reader {
    struct params *params;
    struct api_error *error;
    json_t *calls;     /* a call's id -> the tool's name */
    size_t last_final; /* messages up to this one have lost their reasoning; SIZE_MAX: none */
};

/* ---- tools --------------------------------------------------------------------------------- */

static bool read_tools(struct reader *r, const json_t *body)
{
    const json_t *tools = in_member(body, "tools");
    if (tools && !json_is_array(tools))
        return api_bad(r->error, "tools", "Invalid 'tools': expected an array, got %s",
                       json_kind(tools));
    for (size_t i = 0; i < json_array_size(tools); i++) {
        char where[48];
        const json_t *tool = json_array_get(tools, i);
        const char *type = in_word(tool, "type");
        bool custom = word_is(type, "custom");
        if (!type) return api_bad(r->error, "tools", "Invalid 'tools[%zu]': it has no type", i);
        if (!custom && !word_is(type, "function")) continue; /* the model cannot use it */
        snprintf(where, sizeof where, "tools[%zu].%s", i, type);
        if (!params_add_tool(r->params, json_object_get(tool, type), custom, where, r->error))
            return false;
    }
    return in_bool(body, "", "parallel_tool_calls", &r->params->parallel_calls, r->error);
}

static bool read_tool_choice(struct reader *r, const json_t *body)
{
    const json_t *choice = in_member(body, "tool_choice");
    struct params *params = r->params;
    if (!choice) return true;
    const char *word = json_string_value(choice), *type = in_word(choice, "type");
    const json_t *inner = type ? json_object_get(choice, type) : NULL;
    if (word_is(type, "allowed_tools")) word = in_word(inner, "mode");
    if (word_is(word, "auto")) params->tool_choice = TOOL_CHOICE_AUTO;
    else if (word_is(word, "none")) params->tool_choice = TOOL_CHOICE_NONE;
    else if (word_is(word, "required")) params->tool_choice = TOOL_CHOICE_REQUIRED;
    else if (!params_choose_tool(params, in_word(inner, "name")))
        return api_bad(r->error, "tool_choice",
                       "Invalid 'tool_choice': expected auto, none, required or "
                       "{\"type\": \"function\", \"function\": {\"name\": ...}}");
    return true;
}

/* ---- messages ------------------------------------------------------------------------------ */

/* {"id", "type": "function", "function": {"name", "arguments"}}, or "custom" with "input". */
static bool read_call(struct reader *r, const json_t *call, const char *where)
{
    bool custom = word_is(in_word(call, "type"), "custom");
    const json_t *inner = json_object_get(call, custom ? "custom" : "function");
    const json_t *arguments = in_member(inner, custom ? "input" : "arguments");
    const char *id = in_word(call, "id");
    struct vinci_text name = json_text(json_object_get(inner, "name")), text = json_text(arguments);
    char *dumped = NULL;
    if (!name.data || !name_is_valid(&name))
        return api_bad(r->error, where,
                       "Invalid '%s': expected a call with a function's name of letters, digits, "
                       "'_', '-' or '.'",
                       where);
    if (id && json_object_set(r->calls, id, json_object_get(inner, "name")) != 0)
        return api_fail_memory(r->error);
    if (arguments && !text.data) {
        dumped = json_dumps(arguments, JSON_COMPACT | JSON_ENCODE_ANY);
        if (!dumped) return api_fail_memory(r->error);
        text = vinci_text_of(dumped);
    }
    bool ok = params_add_call(r->params, name, text, custom, r->error);
    free(dumped);
    return ok;
}

static struct vinci_text reasoning_of(const json_t *message)
{
    static const char *const keys[] = {"reasoning", "reasoning_content"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct vinci_text text = json_text(json_object_get(message, keys[i]));
        if (text.size) return text;
    }
    return (struct vinci_text){NULL, 0};
}

static bool read_assistant(struct reader *r, const json_t *message, size_t i,
                           const struct buf *text)
{
    char where[64];
    const json_t *calls = in_member(message, "tool_calls");
    size_t n_calls = json_array_size(calls);
    bool keep = r->last_final == SIZE_MAX || i > r->last_final;
    if (calls && !json_is_array(calls))
        return api_bad(r->error, "messages",
                       "Invalid 'messages[%zu].tool_calls': expected an array", i);
    if (keep && !params_add_reasoning(r->params, reasoning_of(message), r->error)) return false;
    if ((text->size || n_calls == 0) &&
        !params_add_answer(r->params, buf_text(text), n_calls > 0, r->error))
        return false;
    for (size_t c = 0; c < n_calls; c++) {
        snprintf(where, sizeof where, "messages[%zu].tool_calls[%zu]", i, c);
        if (!read_call(r, json_array_get(calls, c), where)) return false;
    }
    return true;
}

static bool read_result(struct reader *r, const json_t *message, size_t i, const struct buf *text)
{
    const char *id = in_word(message, "tool_call_id");
    struct vinci_text name = json_text(id ? json_object_get(r->calls, id) : NULL);
    if (!name.data) name = json_text(json_object_get(message, "name"));
    if (name.data && name_is_valid(&name))
        return params_add_result(r->params, name, buf_text(text), r->error);
    return api_bad(r->error, "messages",
                   "Invalid 'messages[%zu].tool_call_id': no call with this id comes before it", i);
}

static bool read_message(struct reader *r, const json_t *message, size_t i)
{
    char where[64];
    const char *role = in_word(message, "role");
    struct buf text = {0};
    bool ok = false;
    snprintf(where, sizeof where, "messages[%zu].content", i);
    if (!role) {
        return api_fail(r->error, 400, "messages", "missing_required_parameter",
                        "Missing required parameter: 'messages[%zu].role'", i);
    }
    if (!params_read_content(json_object_get(message, "content"), "text|refusal|input_text", where,
                             &text, r->error))
        goto cleanup;
    if (word_is(role, "system") || word_is(role, "developer")) {
        ok = params_add_instructions(r->params, buf_text(&text), r->error);
    } else if (word_is(role, "user")) {
        struct vinci_text name = json_text(json_object_get(message, "name"));
        if (name.data && !name_is_valid(&name))
            api_bad(r->error, "messages",
                    "Invalid 'messages[%zu].name': expected 1 to %d letters, "
                    "digits, '_', '-' or '.'",
                    i, NAME_MAX_BYTES);
        else ok = params_add_user(r->params, name, buf_text(&text), r->error);
    } else if (word_is(role, "assistant")) {
        ok = read_assistant(r, message, i, &text);
    } else if (word_is(role, "tool") || word_is(role, "function")) {
        ok = read_result(r, message, i, &text);
    } else {
        api_bad(
            r->error, "messages",
            "Invalid 'messages[%zu].role': expected system, developer, user, assistant or tool, "
            "got '%.40s'",
            i, role);
    }
cleanup:
    buf_free(&text);
    return ok;
}

static bool is_empty(const json_t *content)
{
    return !content || json_is_null(content) ||
           json_array_size(content) + json_string_length(content) == 0;
}

static bool read_messages(struct reader *r, const json_t *body)
{
    const json_t *messages = in_member(body, "messages"), *message;
    size_t i;
    if (!messages)
        return api_fail(r->error, 400, "messages", "missing_required_parameter",
                        "Missing required parameter: 'messages'");
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return api_bad(r->error, "messages",
                       "Invalid 'messages': expected an array with at least one message");
    r->last_final = SIZE_MAX;
    json_array_foreach(messages, i, message)
    {
        if (word_is(in_word(message, "role"), "assistant") &&
            json_array_size(json_object_get(message, "tool_calls")) == 0 &&
            !is_empty(json_object_get(message, "content")))
            r->last_final = i;
    }
    json_array_foreach(messages, i, message)
    {
        if (!json_is_object(message))
            return api_bad(r->error, "messages",
                           "Invalid 'messages[%zu]': expected an object, got %s", i,
                           json_kind(message));
        if (!read_message(r, message, i)) return false;
    }
    return true;
}

/* ---- the rest ------------------------------------------------------------------------------ */

static bool read_effort(struct reader *r, const json_t *body)
{
    const json_t *holders[] = {body, json_object_get(body, "reasoning"),
                               json_object_get(body, "chat_template_kwargs")};
    static const char *const keys[] = {"reasoning_effort", "effort", "reasoning_effort"};
    for (size_t i = 0; i < 3; i++) {
        const char *effort = NULL;
        if (!json_is_object(holders[i])) continue;
        if (!in_str(holders[i], "", keys[i], &effort, r->error)) return false;
        if (effort) return params_set_effort(r->params, effort, keys[i], r->error);
    }
    return true;
}

static bool refuse_unsupported(const json_t *body, struct api_error *error)
{
    size_t i;
    const json_t *modality;
    if (in_member(body, "functions"))
        return api_bad(error, "functions",
                       "'functions' is no longer supported; use 'tools' instead");
    if (in_member(body, "audio"))
        return api_bad(error, "audio", "'audio' is not supported; the model writes text only");
    json_array_foreach(in_member(body, "modalities"), i, modality)
    {
        if (!word_is(json_string_value(modality), "text"))
            return api_bad(error, "modalities", "the model writes text only");
    }
    return true;
}

static bool read_logprobs(struct params *params, const json_t *body, struct api_error *error)
{
    if (!in_bool(body, "", "logprobs", &params->logprobs, error) ||
        !in_u32(body, "", "top_logprobs", 0, VINCI_TOP_LOGPROBS_MAX, &params->top_logprobs, error))
        return false;
    if (params->top_logprobs && !params->logprobs)
        return api_bad(error, "top_logprobs", "'top_logprobs' needs 'logprobs' to be true");
    return true;
}

bool chat_in_conversation(struct params *params, const json_t *body, struct api_error *error)
{
    struct reader reader = {.params = params, .error = error, .calls = json_object()};
    if (!reader.calls) return api_fail_memory(error);
    bool ok = read_tools(&reader, body) && read_tool_choice(&reader, body) &&
              params_check_tools(params, error) && read_effort(&reader, body) &&
              params_set_format(params, in_member(body, "response_format"), false,
                                "response_format", error) &&
              read_messages(&reader, body);
    json_decref(reader.calls);
    return ok;
}

bool chat_in(struct params *params, const json_t *body, struct api_error *error)
{
    const json_t *options = in_member(body, "stream_options");
    return refuse_unsupported(body, error) && params_read_sampling(params, body, error) &&
           in_u32(body, "", "max_tokens", 1, INT32_MAX, &params->max_tokens, error) &&
           in_u32(body, "", "max_completion_tokens", 1, INT32_MAX, &params->max_tokens, error) &&
           in_bool(options, "stream_options.", "include_usage", &params->include_usage, error) &&
           in_bool(options, "stream_options.", "continuous_usage_stats", &params->continuous_usage,
                   error) &&
           read_logprobs(params, body, error) && chat_in_conversation(params, body, error);
}
