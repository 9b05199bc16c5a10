/* params.c - the parts of requests that all APIs share. */
#include "serve/params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

bool params_init(struct params *params, struct api_error *error)
{
    struct vinci_error err = {0};
    *params = (struct params){.effort = VINCI_EFFORT_MEDIUM, .n = 1, .parallel_calls = true};
    vinci_sampling_init(&params->sampling);
    params->tools = json_array();
    params->custom = json_object();
    enum vinci_status status = vinci_conversation_create(&params->conversation, &err);
    if (status == VINCI_OK && params->tools && params->custom) return true;
    return api_fail_memory(error);
}

void params_release(struct params *params)
{
    vinci_conversation_close(params->conversation);
    buf_free(&params->instructions);
    json_decref(params->tools);
    json_decref(params->custom);
    json_decref(params->schema);
    json_decref(params->stop);
    free(params->biases);
    *params = (struct params){0};
}

/* ---- sampling ------------------------------------------------------------------------------ */

static bool read_seed(struct params *params, const json_t *body, struct api_error *error)
{
    const json_t *seed = in_member(body, "seed");
    if (seed && !json_is_integer(seed))
        return api_fail(error, 400, "seed", "invalid_type",
                        "Invalid type for 'seed': expected an integer, got %s", json_kind(seed));
    if (seed) params->sampling.seed = (uint64_t)json_integer_value(seed);
    else if (getrandom(&params->sampling.seed, sizeof params->sampling.seed, 0) < 0)
        return api_fail(error, 500, NULL, "internal_error", "the system gives no random numbers");
    return true;
}

/* {"50256": -100} */
static bool read_logit_bias(struct params *params, const json_t *body, struct api_error *error)
{
    const json_t *map = in_member(body, "logit_bias"), *value;
    const char *key;
    size_t n = 0;
    if (!map) return true;
    if (!json_is_object(map) || json_object_size(map) > LOGIT_BIAS_MAX)
        return api_bad(error, "logit_bias",
                       "Invalid 'logit_bias': expected an object with at most %d members, from "
                       "token ids to numbers",
                       LOGIT_BIAS_MAX);
    params->biases = array_new(json_object_size(map), sizeof *params->biases);
    if (!params->biases) return api_fail_memory(error);
    json_object_foreach((json_t *)map, key, value)
    {
        char *end = NULL;
        long id = strtol(key, &end, 10);
        double bias = json_number_value(value);
        if (!*key || *end || id < 0 || id > INT32_MAX || !json_is_number(value) ||
            !(bias >= -100 && bias <= 100))
            return api_bad(error, "logit_bias",
                           "Invalid 'logit_bias': expected a token id with a number from -100 to "
                           "100, got '%.40s'",
                           key);
        params->biases[n++] = (struct vinci_logit_bias){(int32_t)id, (float)bias};
    }
    params->sampling.logit_bias = params->biases;
    params->sampling.n_logit_bias = n;
    return true;
}

/* A string or up to STOPS_MAX of them. */
static bool read_stop(struct params *params, const json_t *body, struct api_error *error)
{
    const json_t *stop = in_member(body, "stop"), *item;
    size_t i;
    if (!stop) stop = in_member(body, "stop_sequences");
    if (!stop) return true;
    params->stop = json_is_string(stop) ? json_pack("[O]", stop) : json_deep_copy(stop);
    if (!params->stop) return api_fail_memory(error);
    if (!json_is_array(params->stop) || json_array_size(params->stop) > STOPS_MAX)
        return api_bad(error, "stop", "Invalid 'stop': expected a string or up to %d of them",
                       STOPS_MAX);
    json_array_foreach(params->stop, i, item)
    {
        if (!json_is_string(item) || json_string_length(item) == 0 ||
            json_string_length(item) > 1024)
            return api_bad(error, "stop", "Invalid 'stop[%zu]': expected 1 to 1024 bytes of text",
                           i);
    }
    return true;
}

static bool read_priority(struct params *params, const json_t *body, struct api_error *error)
{
    const json_t *priority = in_member(body, "priority");
    if (!priority) return true;
    json_int_t value = json_integer_value(priority);
    if (!json_is_integer(priority) || value < -1000 || value > 1000)
        return api_bad(error, "priority", "Invalid 'priority': expected -1000 to 1000");
    params->priority = (int32_t)value;
    return true;
}

bool params_read_sampling(struct params *params, const json_t *body, struct api_error *error)
{
    struct vinci_sampling *s = &params->sampling;
    return in_real(body, "", "temperature", 0, 2, &s->temperature, error) &&
           in_real(body, "", "top_p", 0, 1, &s->top_p, error) &&
           in_u32(body, "", "top_k", 0, INT32_MAX, &s->top_k, error) &&
           in_real(body, "", "min_p", 0, 1, &s->min_p, error) &&
           in_real(body, "", "presence_penalty", -2, 2, &s->presence_penalty, error) &&
           in_real(body, "", "frequency_penalty", -2, 2, &s->frequency_penalty, error) &&
           in_real(body, "", "repetition_penalty", 0.01, 100, &s->repetition_penalty, error) &&
           in_u32(body, "", "n", 1, CHOICES_MAX, &params->n, error) &&
           in_bool(body, "", "stream", &params->stream, error) &&
           in_bool(body, "", "ignore_eos", &params->ignore_eos, error) &&
           read_seed(params, body, error) && read_logit_bias(params, body, error) &&
           read_stop(params, body, error) && read_priority(params, body, error);
}

/* ---- tools --------------------------------------------------------------------------------- */

bool name_is_valid(const struct vinci_text *name)
{
    if (name->size < 1 || name->size > NAME_MAX_BYTES) return false;
    for (size_t i = 0; i < name->size; i++) {
        char c = name->data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '.') return false;
    }
    return true;
}

bool params_has_tool(const struct params *params, const char *name, size_t n)
{
    for (size_t i = 0; i < json_array_size(params->tools); i++) {
        const json_t *known = json_object_get(json_array_get(params->tools, i), "name");
        if (json_string_length(known) == n && memcmp(json_string_value(known), name, n) == 0)
            return true;
    }
    return false;
}

bool params_tool_is_custom(const struct params *params, const char *name, size_t n)
{
    char key[NAME_MAX_BYTES + 1];
    if (n > NAME_MAX_BYTES) return false;
    memcpy(key, name, n);
    key[n] = '\0';
    return json_object_get(params->custom, key) != NULL;
}

bool params_add_tool(struct params *params, const json_t *function, bool custom, const char *where,
                     struct api_error *error)
{
    char param[176], inside[176];
    struct vinci_text name = {NULL, 0}, description = {NULL, 0};
    snprintf(param, sizeof param, "%s.name", where);
    snprintf(inside, sizeof inside, "%s.", where);
    if (!json_is_object(function))
        return api_bad(error, where, "Invalid '%s': expected an object, got %s", where,
                       json_kind(function));
    if (!in_text(function, inside, "name", &name, error) ||
        !in_text(function, inside, "description", &description, error))
        return false;
    if (!name.data)
        return api_fail(error, 400, param, "missing_required_parameter",
                        "Missing required parameter: '%s'", param);
    if (!name_is_valid(&name))
        return api_bad(error, param,
                       "Invalid '%s': expected 1 to %d letters, digits, '_', '-' or '.'", param,
                       NAME_MAX_BYTES);
    if (params_has_tool(params, name.data, name.size))
        return api_bad(error, param, "Invalid '%s': '%s' is given twice", param, name.data);
    if (json_array_size(params->tools) >= TOOLS_MAX)
        return api_bad(error, "tools", "Invalid 'tools': more than %d tools", TOOLS_MAX);
    const json_t *schema = in_member(function, "parameters");
    if (schema && !json_is_object(schema))
        return api_bad(error, where, "Invalid '%s.parameters': expected an object, got %s", where,
                       json_kind(schema));
    json_t *tool = json_object();
    bool ok = tool && json_object_set(tool, "name", json_object_get(function, "name")) == 0;
    if (ok && description.data)
        ok = json_object_set(tool, "description", json_object_get(function, "description")) == 0;
    if (ok && schema && !custom) ok = json_object_set(tool, "parameters", (json_t *)schema) == 0;
    if (ok && json_is_boolean(json_object_get(function, "strict")))
        ok = json_object_set(tool, "strict", json_object_get(function, "strict")) == 0;
    if (ok && custom) ok = json_object_set_new(params->custom, name.data, json_true()) == 0;
    if (ok) ok = json_array_append(params->tools, tool) == 0;
    json_decref(tool);
    return ok || api_fail_memory(error);
}

bool params_choose_tool(struct params *params, const char *name)
{
    if (!name || strlen(name) > NAME_MAX_BYTES) return false;
    params->tool_choice = TOOL_CHOICE_NAMED;
    snprintf(params->named_tool, sizeof params->named_tool, "%s", name);
    return true;
}

bool params_check_tools(const struct params *params, struct api_error *error)
{
    size_t n = json_array_size(params->tools);
    if (n == 0 && params->tool_choice >= TOOL_CHOICE_REQUIRED)
        return api_bad(error, "tool_choice",
                       "Invalid 'tool_choice': a call is asked for, but no tools are given");
    if (params->tool_choice == TOOL_CHOICE_NAMED &&
        !params_has_tool(params, params->named_tool, strlen(params->named_tool)))
        return api_bad(error, "tool_choice", "Invalid 'tool_choice': '%s' is not among the tools",
                       params->named_tool);
    return true;
}

bool params_set_effort(struct params *params, const char *effort, const char *where,
                       struct api_error *error)
{
    static const struct {
        const char *name;
        enum vinci_effort effort;
        bool none;
    } efforts[] = {{"low", VINCI_EFFORT_LOW, false},     {"medium", VINCI_EFFORT_MEDIUM, false},
                   {"high", VINCI_EFFORT_HIGH, false},   {"none", VINCI_EFFORT_LOW, true},
                   {"minimal", VINCI_EFFORT_LOW, false}, {"xhigh", VINCI_EFFORT_HIGH, false},
                   {"max", VINCI_EFFORT_HIGH, false}};
    for (size_t i = 0; i < sizeof efforts / sizeof *efforts; i++)
        if (strcmp(effort, efforts[i].name) == 0) {
            params->effort = efforts[i].effort;
            params->no_reasoning = efforts[i].none;
            return true;
        }
    return api_bad(error, where,
                   "Invalid '%s': expected none, minimal, low, medium or high, got '%.40s'", where,
                   effort);
}

/* ---- the form of the answer ---------------------------------------------------------------- */

static bool set_schema(struct params *params, const json_t *object, const char *where,
                       struct api_error *error)
{
    char inside[176];
    const char *name = NULL;
    snprintf(inside, sizeof inside, "%s.", where);
    if (!json_is_object(object))
        return api_bad(error, where, "Invalid '%s': expected an object, got %s", where,
                       json_kind(object));
    if (!in_str(object, inside, "name", &name, error)) return false;
    struct vinci_text text = vinci_text_of(name);
    if (name && !name_is_valid(&text))
        return api_bad(error, where,
                       "Invalid '%s.name': expected 1 to %d letters, digits, '_', '-' or '.'",
                       where, NAME_MAX_BYTES);
    const json_t *schema = in_member(object, "schema");
    if (schema && !json_is_object(schema))
        return api_bad(error, where, "Invalid '%s.schema': expected an object, got %s", where,
                       json_kind(schema));
    params->schema_is_a_hint = json_is_false(json_object_get(object, "strict"));
    json_decref(params->schema);
    params->schema = json_object();
    bool ok = params->schema &&
              json_object_set_new(params->schema, "name", json_string(name ? name : "answer")) == 0;
    if (ok)
        ok = json_object_set_new(params->schema, "schema",
                                 schema ? json_deep_copy(schema) : json_object()) == 0;
    if (ok && json_is_string(json_object_get(object, "description")))
        ok = json_object_set(params->schema, "description",
                             json_object_get(object, "description")) == 0;
    return ok || api_fail_memory(error);
}

bool params_set_format(struct params *params, const json_t *format, bool inner, const char *where,
                       struct api_error *error)
{
    char param[160];
    const char *type = NULL;
    if (!format) return true;
    snprintf(param, sizeof param, "%s.", where);
    if (!json_is_object(format))
        return api_bad(error, where, "Invalid '%s': expected an object, got %s", where,
                       json_kind(format));
    if (!in_str(format, param, "type", &type, error)) return false;
    if (type && strcmp(type, "text") == 0) return true;
    if (type && strcmp(type, "json_object") == 0) {
        params->format = FORMAT_JSON;
        return true;
    }
    snprintf(param, sizeof param, "%s.%s", where, type && !inner ? "json_schema" : "type");
    if (!type || strcmp(type, "json_schema") != 0)
        return api_bad(error, param, "Invalid '%s.type': expected text, json_object or json_schema",
                       where);
    params->format = FORMAT_JSON_SCHEMA;
    return set_schema(params, inner ? format : json_object_get(format, "json_schema"),
                      inner ? where : param, error);
}

/* ---- the conversation ---------------------------------------------------------------------- */

static bool add(struct params *params, const struct vinci_message *message, struct api_error *error)
{
    struct vinci_error err = {0};
    enum vinci_status status = vinci_conversation_add(params->conversation, message, &err);
    return status == VINCI_OK || api_fail_status(error, status, "messages", &err);
}

static struct vinci_text present(struct vinci_text text)
{
    return text.data ? text : (struct vinci_text){"", 0};
}

bool params_add_instructions(struct params *params, struct vinci_text text, struct api_error *error)
{
    if (vinci_conversation_n_messages(params->conversation) > 0) {
        struct vinci_message message = {.role = VINCI_ROLE_DEVELOPER, .content = present(text)};
        return add(params, &message, error);
    }
    bool ok = params->instructions.size == 0 || buf_append(&params->instructions, "\n\n", 2);
    ok = ok && buf_append(&params->instructions, present(text).data, text.size);
    return ok || api_fail_memory(error);
}

bool params_add_user(struct params *params, struct vinci_text name, struct vinci_text text,
                     struct api_error *error)
{
    struct vinci_message message = {
        .role = VINCI_ROLE_USER, .name = name, .content = present(text)};
    return add(params, &message, error);
}

bool params_add_reasoning(struct params *params, struct vinci_text text, struct api_error *error)
{
    struct vinci_message message = {.role = VINCI_ROLE_ASSISTANT,
                                    .channel = vinci_text_of("analysis"),
                                    .content = present(text)};
    return text.size == 0 || add(params, &message, error);
}

bool params_add_answer(struct params *params, struct vinci_text text, bool before_call,
                       struct api_error *error)
{
    struct vinci_message message = {.role = VINCI_ROLE_ASSISTANT,
                                    .channel = vinci_text_of(before_call ? "commentary" : "final"),
                                    .content = present(text)};
    return add(params, &message, error);
}

/* How headers name a tool: "functions.f". */
static bool tool_address(char address[NAME_MAX_BYTES + 16], struct vinci_text name,
                         struct api_error *error)
{
    if (!name_is_valid(&name))
        return api_bad(error, "messages",
                       "a tool's name: expected 1 to %d letters, digits, '_', "
                       "'-' or '.'",
                       NAME_MAX_BYTES);
    snprintf(address, NAME_MAX_BYTES + 16, "functions.%.*s", (int)name.size, name.data);
    return true;
}

bool params_add_call(struct params *params, struct vinci_text name, struct vinci_text arguments,
                     bool custom, struct api_error *error)
{
    char recipient[NAME_MAX_BYTES + 16];
    if (!tool_address(recipient, name, error)) return false;
    struct vinci_message message = {
        .role = VINCI_ROLE_ASSISTANT,
        .channel = vinci_text_of("commentary"),
        .recipient = vinci_text_of(recipient),
        .content_type = custom ? (struct vinci_text){NULL, 0} : vinci_text_of("<|constrain|>json"),
        .content = present(arguments),
    };
    return add(params, &message, error);
}

bool params_add_result(struct params *params, struct vinci_text name, struct vinci_text text,
                       struct api_error *error)
{
    char tool[NAME_MAX_BYTES + 16];
    if (!tool_address(tool, name, error)) return false;
    struct vinci_message message = {
        .role = VINCI_ROLE_TOOL,
        .name = vinci_text_of(tool),
        .recipient = vinci_text_of("assistant"),
        .channel = vinci_text_of("commentary"),
        .content = present(text),
    };
    return add(params, &message, error);
}

struct vinci_text buf_text(const struct buf *buf)
{
    return (struct vinci_text){buf->data ? buf->data : "", buf->size};
}

static bool is_one_of(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = words; at; at = strchr(at, '|')) {
        if (*at == '|') at++;
        if (strncmp(at, word, n) == 0 && (at[n] == '|' || at[n] == '\0')) return true;
    }
    return false;
}

bool params_read_content(const json_t *content, const char *types, const char *where,
                         struct buf *out, struct api_error *error)
{
    if (!content || json_is_null(content)) return true;
    if (json_is_string(content)) {
        bool ok = buf_append(out, json_string_value(content), json_string_length(content));
        return ok || api_fail_memory(error);
    }
    if (!json_is_array(content))
        return api_fail(error, 400, where, "invalid_type",
                        "Invalid type for '%s': expected a string or an array of parts, got %s",
                        where, json_kind(content));
    for (size_t i = 0; i < json_array_size(content); i++) {
        char param[160];
        const json_t *part = json_array_get(content, i);
        const char *type = in_word(part, "type");
        const json_t *text = json_object_get(part, "text");
        snprintf(param, sizeof param, "%s[%zu]", where, i);
        if (json_is_string(part)) text = part;
        else if (!type || !is_one_of(types, type))
            return api_bad(error, param,
                           "Invalid '%s.type': '%.40s' is not supported; the model reads text only",
                           param, type ? type : "");
        else if (!text) text = json_object_get(part, type); /* {"type":"refusal","refusal":".."} */
        if (!json_is_string(text))
            return api_fail(error, 400, param, "missing_required_parameter",
                            "Missing required parameter: '%s.text'", param);
        if (!buf_append(out, json_string_value(text), json_string_length(text)))
            return api_fail_memory(error);
    }
    return true;
}

/* ---- tokens -------------------------------------------------------------------------------- */

/* What the system and developer messages say. */
static bool set_front(struct params *params, const char *date, struct api_error *error)
{
    struct vinci_error err = {0};
    struct vinci_system_message system;
    struct vinci_developer_message developer = {0};
    char *tools = NULL, *format = NULL;
    bool with_tools = json_array_size(params->tools) > 0 && params->tool_choice != TOOL_CHOICE_NONE;
    vinci_system_message_init(&system);
    system.effort = params->effort;
    system.current_date = date;
    enum vinci_status status = vinci_conversation_set_system(params->conversation, &system, &err);
    if (status != VINCI_OK) return api_fail_status(error, status, NULL, &err);
    if (params->instructions.size)
        developer.instructions =
            (struct vinci_text){params->instructions.data, params->instructions.size};
    if (with_tools) tools = json_dumps(params->tools, JSON_COMPACT);
    if (params->schema) format = json_dumps(params->schema, JSON_COMPACT);
    if ((with_tools && !tools) || (params->schema && !format)) {
        free(tools);
        free(format);
        return api_fail_memory(error);
    }
    developer.tools = vinci_text_of(tools);
    developer.response_format = vinci_text_of(format);
    bool any = developer.instructions.data || tools || format;
    if (any) status = vinci_conversation_set_developer(params->conversation, &developer, &err);
    free(tools);
    free(format);
    return status == VINCI_OK || api_fail_status(error, status, "tools", &err);
}

bool params_render(struct params *params, const struct vinci_tokenizer *tokenizer, const char *date,
                   int32_t **ids, size_t *n_ids, size_t *n_forced, struct api_error *error)
{
    /* Asked not to think, the model finds that it has: it goes on with an answer or a call. */
    static const char empty_analysis[] = "<|channel|>analysis<|message|><|end|><|start|>assistant";
    struct vinci_error err = {0};
    struct vinci_render_options options;
    int32_t *forced = NULL, *rendered = NULL;
    *ids = NULL;
    *n_ids = *n_forced = 0;
    if (!set_front(params, date, error)) return false;
    vinci_render_options_init(&options);
    options.keep_analysis = true; /* the readers leave out what is old */
    enum vinci_status status = vinci_conversation_render(params->conversation, tokenizer, &options,
                                                         &rendered, n_ids, &err);
    if (status == VINCI_OK && params->no_reasoning)
        status = vinci_tokenize(tokenizer, empty_analysis, strlen(empty_analysis), true, &forced,
                                n_forced, &err);
    if (status == VINCI_OK && *n_forced) {
        *ids = array_new(*n_ids + *n_forced, sizeof **ids);
        if (*ids) {
            memcpy(*ids, rendered, *n_ids * sizeof **ids);
            memcpy(*ids + *n_ids, forced, *n_forced * sizeof **ids);
            *n_ids += *n_forced;
        } else {
            status = fail_memory(&err, *n_ids * sizeof **ids, "a prompt");
        }
    } else if (status == VINCI_OK) {
        *ids = rendered;
        rendered = NULL;
    }
    vinci_free(rendered);
    vinci_free(forced);
    return status == VINCI_OK || api_fail_status(error, status, "messages", &err);
}
