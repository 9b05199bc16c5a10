/* harmony_conversation.c - the conversation: an array of messages in JSON, checked on the way in.
 *
 * Three ways lead in: a whole document, one message at a time, and the system and developer
 * messages from their parts. All end in check_message, so that rendering has nothing left to
 * refuse. Unknown keys are kept and mean nothing. Limit: a tool's schema is at most
 * SCHEMA_DEPTH_MAX levels of JSON deep, because every level indents what stands below it. */
#include "text/harmony.h"

#include "base/lang.h"

#include "text/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_DEPTH_MAX 128

static const char *const role_names[] = {"", "system", "developer", "user", "assistant", "tool"};
static const char identity[] = "You are ChatGPT, a large language model trained by OpenAI.";
static const char *const default_channels[] = {"analysis", "commentary", "final"};

const char *vinci_role_name(enum vinci_role role)
{
    return (unsigned)role <= VINCI_ROLE_TOOL ? role_names[role] : "";
}

enum vinci_role harmony_role_find(const char *word, size_t n)
{
    for (int role = VINCI_ROLE_SYSTEM; role <= VINCI_ROLE_TOOL; role++)
        if (strlen(role_names[role]) == n && memcmp(role_names[role], word, n) == 0)
            return (enum vinci_role)role;
    return VINCI_ROLE_NONE;
}

struct vinci_text vinci_text_of(const char *string)
{
    return (struct vinci_text){string, string ? strlen(string) : 0};
}

static bool text_is(struct vinci_text text, const char *string)
{
    return text.data && text.size == strlen(string) && memcmp(text.data, string, text.size) == 0;
}

bool vinci_message_is_call(const struct vinci_message *message)
{
    struct vinci_text to = message->recipient;
    return message->role == VINCI_ROLE_ASSISTANT && to.size > 0 && !text_is(to, "all") &&
           !text_is(to, "user") && !text_is(to, "assistant");
}

const json_t *harmony_get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

bool harmony_is(const json_t *object, const char *key, const char *value)
{
    const json_t *string = json_object_get(object, key);
    return json_is_string(string) && json_string_length(string) == strlen(value) &&
           strcmp(json_string_value(string), value) == 0;
}

/* ---- checks ---- */

static const char *type_name(const json_t *value)
{
    if (!value) return N_("nothing");
    static const char *const names[] = {N_("an object"),  N_("an array"), N_("a string"),
                                        N_("an integer"), N_("a number"), "true",
                                        "false",          "null"};
    return names[json_typeof(value)];
}

/* Where in the document: "messages[2].content[0]". Too long a path loses its end. */
struct place {
    char text[256];
};

static struct place place_key(const struct place *parent, const char *key)
{
    struct place place;
    int n = snprintf(place.text, sizeof place.text, "%s.%s", parent->text, key);
    if (n >= (int)sizeof place.text) memcpy(place.text + sizeof place.text - 4, "...", 4);
    return place;
}

static struct place place_index(const struct place *parent, size_t i)
{
    struct place place;
    int n = snprintf(place.text, sizeof place.text, "%s[%zu]", parent->text, i);
    if (n >= (int)sizeof place.text) memcpy(place.text + sizeof place.text - 4, "...", 4);
    return place;
}

static enum vinci_status fail_type(const struct place *at, const char *expected, const json_t *got,
                                   struct vinci_error *err)
{
    return fail(err, VINCI_BAD_FILE, "%s: expected %s, got %s", at->text, _(expected),
                _(type_name(got)));
}

static enum vinci_status check_string(const json_t *object, const char *key, bool required,
                                      const struct place *at, struct vinci_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value) || (!required && (!value || json_is_null(value)))) return VINCI_OK;
    struct place place = place_key(at, key);
    return fail_type(&place, N_("a string"), value, err);
}

static bool deeper_than(const json_t *value, unsigned depth)
{
    const char *key;
    const json_t *item;
    size_t i;
    if (!json_is_array(value) && !json_is_object(value)) return false;
    if (!depth) return true;
    json_array_foreach(value, i, item) if (deeper_than(item, depth - 1)) return true;
    json_object_foreach((json_t *)value, key, item) if (deeper_than(item, depth - 1)) return true;
    return false;
}

static enum vinci_status check_tool(const json_t *tool, const struct place *at,
                                    struct vinci_error *err)
{
    if (!json_is_object(tool)) return fail_type(at, N_("an object"), tool, err);
    enum vinci_status status = check_string(tool, "name", true, at, err);
    if (status == VINCI_OK) status = check_string(tool, "description", false, at, err);
    if (status == VINCI_OK && deeper_than(harmony_get(tool, "parameters"), SCHEMA_DEPTH_MAX))
        return fail(err, VINCI_LIMIT, "%s.parameters: nested deeper than %d levels", at->text,
                    SCHEMA_DEPTH_MAX);
    return status;
}

/* {"functions": {"name", "description", "tools": [...]}, ...} */
static enum vinci_status check_namespaces(const json_t *namespaces, const struct place *at,
                                          struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    const char *key;
    const json_t *namespace, *tool;
    size_t i;
    if (!namespaces) return VINCI_OK;
    if (!json_is_object(namespaces)) return fail_type(at, N_("an object"), namespaces, err);
    json_object_foreach((json_t *)namespaces, key, namespace)
    {
        struct place here = place_key(at, key), in = place_key(&here, "tools");
        const json_t *tools = json_object_get(namespace, "tools");
        if (!json_is_object(namespace)) return fail_type(&here, N_("an object"), namespace, err);
        status = check_string(namespace, "name", true, &here, err);
        if (status == VINCI_OK) status = check_string(namespace, "description", false, &here, err);
        if (status == VINCI_OK && !json_is_array(tools))
            status = fail_type(&in, N_("an array"), tools, err);
        if (status != VINCI_OK) return status;
        json_array_foreach(tools, i, tool)
        {
            struct place place = place_index(&in, i);
            status = check_tool(tool, &place, err);
            if (status != VINCI_OK) return status;
        }
    }
    return VINCI_OK;
}

static enum vinci_status check_system(const json_t *content, const struct place *at,
                                      struct vinci_error *err)
{
    static const char *const texts[] = {"model_identity", "knowledge_cutoff",
                                        "conversation_start_date", "reasoning_effort"};
    const json_t *config = harmony_get(content, "channel_config"), *channel;
    const json_t *effort = harmony_get(content, "reasoning_effort");
    enum vinci_status status = VINCI_OK;
    size_t i;
    for (i = 0; status == VINCI_OK && i < sizeof texts / sizeof *texts; i++)
        status = check_string(content, texts[i], false, at, err);
    if (status != VINCI_OK) return status;
    if (effort && !harmony_is(content, "reasoning_effort", "Low") &&
        !harmony_is(content, "reasoning_effort", "Medium") &&
        !harmony_is(content, "reasoning_effort", "High"))
        return fail(err, VINCI_BAD_FILE,
                    "%s.reasoning_effort: expected \"Low\", \"Medium\" or \"High\", got \"%.40s\"",
                    at->text, json_string_value(effort));
    if (config) {
        struct place here = place_key(at, "channel_config");
        struct place list = place_key(&here, "valid_channels");
        const json_t *channels = json_object_get(config, "valid_channels");
        const json_t *required = json_object_get(config, "channel_required");
        if (!json_is_array(channels)) return fail_type(&list, N_("an array"), channels, err);
        json_array_foreach(channels, i, channel)
        {
            struct place place = place_index(&list, i);
            if (!json_is_string(channel)) return fail_type(&place, N_("a string"), channel, err);
        }
        here = place_key(&here, "channel_required");
        if (!json_is_boolean(required)) return fail_type(&here, N_("true or false"), required, err);
    }
    struct place tools = place_key(at, "tools");
    return check_namespaces(harmony_get(content, "tools"), &tools, err);
}

static enum vinci_status check_developer(const json_t *content, const struct place *at,
                                         struct vinci_error *err)
{
    const json_t *formats = harmony_get(content, "response_formats"), *format;
    struct place tools = place_key(at, "tools"), here = place_key(at, "response_formats");
    const char *key;
    enum vinci_status status = check_string(content, "instructions", false, at, err);
    if (status == VINCI_OK) status = check_namespaces(harmony_get(content, "tools"), &tools, err);
    if (status != VINCI_OK || !formats) return status;
    if (!json_is_object(formats)) return fail_type(&here, N_("an object"), formats, err);
    json_object_foreach((json_t *)formats, key, format)
    {
        struct place place = place_key(&here, key);
        status = check_string(format, "description", false, &place, err);
        if (status != VINCI_OK) return status;
        if (json_object_get(format, "schema")) continue;
        place = place_key(&place, "schema");
        return fail_type(&place, N_("a JSON schema"), NULL, err);
    }
    return VINCI_OK;
}

static enum vinci_status check_content(const json_t *content, enum vinci_role role,
                                       const struct place *at, struct vinci_error *err)
{
    if (!json_is_object(content)) return fail_type(at, N_("an object"), content, err);
    if (harmony_is(content, "type", "text")) return check_string(content, "text", true, at, err);
    bool system = harmony_is(content, "type", "system_content");
    if (!system && !harmony_is(content, "type", "developer_content"))
        return fail(err, VINCI_BAD_FILE,
                    "%s.type: expected \"text\", \"system_content\" or \"developer_content\"",
                    at->text);
    enum vinci_role expected = system ? VINCI_ROLE_SYSTEM : VINCI_ROLE_DEVELOPER;
    if (role != expected)
        return fail(err, VINCI_BAD_FILE,
                    "%s: %s_content may stand only in a %s message, not in one of role %s",
                    at->text, vinci_role_name(expected), vinci_role_name(expected),
                    vinci_role_name(role));
    return system ? check_system(content, at, err) : check_developer(content, at, err);
}

static enum vinci_status check_message(const json_t *message, const struct place *at,
                                       struct vinci_error *err)
{
    static const char *const texts[] = {"name", "channel", "recipient", "content_type"};
    if (!json_is_object(message)) return fail_type(at, N_("an object"), message, err);
    const json_t *content = json_object_get(message, "content"), *part;
    const json_t *name = json_object_get(message, "role");
    enum vinci_role role = harmony_role_find(json_is_string(name) ? json_string_value(name) : "",
                                             json_string_length(name));
    enum vinci_status status = VINCI_OK;
    size_t i;
    if (role == VINCI_ROLE_NONE)
        return fail(err, VINCI_BAD_FILE,
                    "%s.role: expected system, developer, user, assistant or tool, got %.40s",
                    at->text, json_is_string(name) ? json_string_value(name) : type_name(name));
    for (i = 0; status == VINCI_OK && i < sizeof texts / sizeof *texts; i++)
        status = check_string(message, texts[i], false, at, err);
    if (status != VINCI_OK) return status;
    if (role == VINCI_ROLE_TOOL && !harmony_get(message, "name"))
        return fail(err, VINCI_BAD_FILE,
                    "%s: a tool's message needs its name, such as \"functions.f\"", at->text);
    struct place here = place_key(at, "content");
    if (json_is_string(content)) return VINCI_OK;
    if (!json_is_array(content)) return fail_type(&here, N_("a string or an array"), content, err);
    json_array_foreach(content, i, part)
    {
        struct place place = place_index(&here, i);
        status = check_content(part, role, &place, err);
        if (status != VINCI_OK) return status;
    }
    return VINCI_OK;
}

/* ---- documents ---- */

static enum vinci_status wrap(struct vinci_conversation **out, json_t *messages,
                              struct vinci_error *err)
{
    struct vinci_conversation *conversation = messages ? malloc(sizeof *conversation) : NULL;
    if (!conversation) {
        json_decref(messages);
        return fail_memory(err, sizeof *conversation, "a conversation");
    }
    conversation->messages = messages;
    *out = conversation;
    return VINCI_OK;
}

enum vinci_status vinci_conversation_create(struct vinci_conversation **out,
                                            struct vinci_error *err)
{
    *out = NULL;
    return wrap(out, json_array(), err);
}

enum vinci_status vinci_conversation_from_json(struct vinci_conversation **out, const char *json,
                                               size_t n_bytes, struct vinci_error *err)
{
    json_t *root = NULL;
    *out = NULL;
    enum vinci_status status = harmony_json_load(&root, json, n_bytes, "conversation", err);
    if (status != VINCI_OK) return status;
    json_t *messages = json_object_get(root, "messages"), *message;
    struct place at = {"messages"};
    size_t i;
    if (!json_is_array(messages)) status = fail_type(&at, N_("an array"), messages, err);
    json_array_foreach(messages, i, message)
    {
        struct place place = place_index(&at, i);
        if (status == VINCI_OK) status = check_message(message, &place, err);
    }
    if (status == VINCI_OK) status = wrap(out, json_incref(messages), err);
    json_decref(root);
    return status;
}

enum vinci_status vinci_conversation_to_json(const struct vinci_conversation *conversation,
                                             char **json, size_t *n_bytes, struct vinci_error *err)
{
    struct text_out out = {0};
    *json = NULL;
    *n_bytes = 0;
    put(&out, "{\"messages\":");
    put_json(&out, conversation->messages);
    put(&out, "}");
    if (out.failed) {
        buf_free(&out.buf);
        return fail_memory(err, out.buf.capacity, "the conversation as JSON");
    }
    *json = out.buf.data;
    *n_bytes = out.buf.size;
    return VINCI_OK;
}

void vinci_conversation_close(struct vinci_conversation *conversation)
{
    if (!conversation) return;
    json_decref(conversation->messages);
    free(conversation);
}

size_t vinci_conversation_n_messages(const struct vinci_conversation *conversation)
{
    return json_array_size(conversation->messages);
}

static struct vinci_text text_of_json(const json_t *string)
{
    return (struct vinci_text){json_string_value(string), json_string_length(string)};
}

struct vinci_message vinci_conversation_message(const struct vinci_conversation *conversation,
                                                size_t i)
{
    const json_t *message = json_array_get(conversation->messages, i);
    const json_t *content = json_object_get(message, "content");
    struct vinci_text role = text_of_json(json_object_get(message, "role"));
    if (json_is_array(content))
        content = json_array_size(content) == 1
                      ? json_object_get(json_array_get(content, 0), "text")
                      : NULL;
    return (struct vinci_message){
        .role = role.data ? harmony_role_find(role.data, role.size) : VINCI_ROLE_NONE,
        .name = text_of_json(json_object_get(message, "name")),
        .channel = text_of_json(json_object_get(message, "channel")),
        .recipient = text_of_json(json_object_get(message, "recipient")),
        .content_type = text_of_json(json_object_get(message, "content_type")),
        .content = text_of_json(content),
    };
}

void vinci_conversation_truncate(struct vinci_conversation *conversation, size_t n)
{
    for (size_t size = json_array_size(conversation->messages); size > n; size--)
        json_array_remove(conversation->messages, size - 1);
}

/* ---- messages from their parts ---- */

static json_t *json_of_text(struct vinci_text text)
{
    struct buf valid = {0};
    json_t *string = NULL;
    if (utf8_valid_length(text.data, text.size) == text.size)
        return json_stringn_nocheck(text.data, text.size);
    if (utf8_append_lossy(&valid, text.data, text.size))
        string = json_stringn_nocheck(valid.data, valid.size);
    buf_free(&valid);
    return string;
}

/* Sets object[key]; absent text sets nothing. False when memory is short. */
static bool set_text(json_t *object, const char *key, struct vinci_text text)
{
    return !text.data || json_object_set_new_nocheck(object, key, json_of_text(text)) == 0;
}

/* {"role", "content": [content]}: takes over `content`. NULL when memory is short. */
static json_t *new_message(enum vinci_role role, json_t *content)
{
    json_t *message = json_object(), *parts = json_array();
    bool ok = parts && content && json_array_append(parts, content) == 0 && message &&
              set_text(message, "role", vinci_text_of(vinci_role_name(role))) &&
              json_object_set(message, "content", parts) == 0;
    json_decref(content);
    json_decref(parts);
    if (ok) return message;
    json_decref(message);
    return NULL;
}

/* Checks `message` (NULL: memory was short) and puts it at `at`, in place of what stands there if
 * `replace`. Takes it over. */
static enum vinci_status place_message(struct vinci_conversation *conversation, json_t *message,
                                       size_t at, bool replace, struct vinci_error *err)
{
    struct place place = {"message"};
    if (!message) return fail_memory(err, sizeof *message, "a message");
    enum vinci_status status = check_message(message, &place, err);
    if (status == VINCI_OK) {
        int failed = replace ? json_array_set(conversation->messages, at, message)
                             : json_array_insert(conversation->messages, at, message);
        if (failed) status = fail_memory(err, sizeof *message, "a message");
    }
    json_decref(message);
    return status;
}

enum vinci_status vinci_conversation_add(struct vinci_conversation *conversation,
                                         const struct vinci_message *message,
                                         struct vinci_error *err)
{
    struct vinci_text empty = {"", 0};
    json_t *content = json_object(), *copy = NULL;
    if (content && set_text(content, "type", vinci_text_of("text")) &&
        set_text(content, "text", message->content.data ? message->content : empty))
        copy = new_message(message->role, json_incref(content));
    json_decref(content);
    if (copy &&
        (!set_text(copy, "name", message->name) || !set_text(copy, "channel", message->channel) ||
         !set_text(copy, "recipient", message->recipient) ||
         !set_text(copy, "content_type", message->content_type))) {
        json_decref(copy);
        copy = NULL;
    }
    size_t at = json_array_size(conversation->messages);
    return place_message(conversation, copy, at, false, err);
}

void vinci_system_message_init(struct vinci_system_message *system)
{
    *system = (struct vinci_system_message){
        .identity = identity,
        .knowledge_cutoff = "2024-06",
        .effort = VINCI_EFFORT_MEDIUM,
        .channels = default_channels,
        .n_channels = sizeof default_channels / sizeof *default_channels,
        .channel_required = true,
    };
}

static bool set_channels(json_t *content, const struct vinci_system_message *system)
{
    json_t *channels = json_array(), *config = json_object();
    bool ok = channels && config;
    for (size_t i = 0; ok && i < system->n_channels; i++)
        ok = json_array_append_new(channels, json_of_text(vinci_text_of(system->channels[i]))) == 0;
    ok = ok && json_object_set(config, "valid_channels", channels) == 0 &&
         json_object_set_new(config, "channel_required", json_boolean(system->channel_required)) ==
             0 &&
         json_object_set(content, "channel_config", config) == 0;
    json_decref(channels);
    json_decref(config);
    return ok;
}

static bool set_builtin_tools(json_t *content, bool browser, bool python)
{
    json_t *tools = json_object();
    bool ok = tools != NULL;
    if (ok && browser)
        ok = !json_object_set_new(tools, "browser", json_loads(harmony_browser_tool, 0, NULL));
    if (ok && python)
        ok = !json_object_set_new(tools, "python", json_loads(harmony_python_tool, 0, NULL));
    ok = ok && json_object_set(content, "tools", tools) == 0;
    json_decref(tools);
    return ok;
}

enum vinci_status vinci_conversation_set_system(struct vinci_conversation *conversation,
                                                const struct vinci_system_message *system,
                                                struct vinci_error *err)
{
    static const char *const efforts[] = {NULL, "Low", "Medium", "High"};
    if ((unsigned)system->effort > VINCI_EFFORT_HIGH)
        return fail(err, VINCI_USAGE, "system message: no reasoning effort %d", system->effort);
    json_t *content = json_object(), *message = NULL;
    if (content && set_text(content, "model_identity", vinci_text_of(system->identity)) &&
        set_text(content, "reasoning_effort", vinci_text_of(efforts[system->effort])) &&
        set_text(content, "conversation_start_date", vinci_text_of(system->current_date)) &&
        set_text(content, "knowledge_cutoff", vinci_text_of(system->knowledge_cutoff)) &&
        (!system->n_channels || set_channels(content, system)) &&
        ((!system->browser && !system->python) ||
         set_builtin_tools(content, system->browser, system->python)) &&
        set_text(content, "type", vinci_text_of("system_content")))
        message = new_message(VINCI_ROLE_SYSTEM, json_incref(content));
    json_decref(content);
    bool replace = harmony_is(json_array_get(conversation->messages, 0), "role", "system");
    return place_message(conversation, message, 0, replace, err);
}

/* What a tool or format object wraps: {"type": "function", "function": {...}} -> {...}. */
static json_t *unwrap(json_t *object, const char *key)
{
    json_t *inner = json_object_get(object, key);
    return json_is_object(inner) ? inner : object;
}

/* tools: {"functions": {"name": "functions", "tools": [...]}} from OpenAI's array. */
static enum vinci_status set_functions(json_t *content, struct vinci_text json,
                                       struct vinci_error *err)
{
    json_t *list = NULL, *tool;
    size_t i;
    if (!json.data) return VINCI_OK;
    enum vinci_status status = harmony_json_load(&list, json.data, json.size, "tools", err);
    if (status != VINCI_OK) return status;
    struct place at = {"tools"};
    json_t *tools = json_array(), *namespace = json_object(), *namespaces = json_object();
    bool ok = tools && namespace && namespaces;
    if (!json_is_array(list)) status = fail_type(&at, N_("an array"), list, err);
    json_array_foreach(list, i, tool)
    {
        if (harmony_get(tool, "type") && !harmony_is(tool, "type", "function"))
            status = fail(err, VINCI_UNSUPPORTED,
                          "tools[%zu].type: expected \"function\", got another kind of tool", i);
        ok = ok && json_array_append(tools, unwrap(tool, "function")) == 0;
    }
    ok = ok && set_text(namespace, "name", vinci_text_of("functions")) &&
         json_object_set(namespace, "tools", tools) == 0 &&
         json_object_set(namespaces, "functions", namespace) == 0 &&
         (!json_array_size(tools) || json_object_set(content, "tools", namespaces) == 0);
    if (status == VINCI_OK && !ok) status = fail_memory(err, json.size, "tools");
    json_decref(list);
    json_decref(tools);
    json_decref(namespace);
    json_decref(namespaces);
    return status;
}

/* response_formats: {NAME: {"description", "schema"}} from OpenAI's response_format. */
static enum vinci_status set_format(json_t *content, struct vinci_text json,
                                    struct vinci_error *err)
{
    json_t *outer = NULL;
    if (!json.data) return VINCI_OK;
    enum vinci_status status =
        harmony_json_load(&outer, json.data, json.size, "response_format", err);
    if (status != VINCI_OK) return status;
    json_t *format = unwrap(outer, "json_schema"), *formats = json_object();
    const json_t *name = json_object_get(format, "name");
    if (harmony_get(outer, "type") && !harmony_is(outer, "type", "json_schema"))
        status = fail(err, VINCI_UNSUPPORTED, "response_format.type: expected \"json_schema\"");
    else if (!json_is_string(name))
        status = fail(err, VINCI_BAD_FILE, "response_format.name: expected a string, got %s",
                      type_name(name));
    else if (!formats || json_object_set(formats, json_string_value(name), format) != 0 ||
             json_object_set(content, "response_formats", formats) != 0)
        status = fail_memory(err, json.size, "response_format");
    json_decref(outer);
    json_decref(formats);
    return status;
}

enum vinci_status vinci_conversation_set_developer(struct vinci_conversation *conversation,
                                                   const struct vinci_developer_message *developer,
                                                   struct vinci_error *err)
{
    size_t at = harmony_is(json_array_get(conversation->messages, 0), "role", "system");
    bool replace = harmony_is(json_array_get(conversation->messages, at), "role", "developer");
    if (!developer) {
        if (replace) json_array_remove(conversation->messages, at);
        return VINCI_OK;
    }
    json_t *content = json_object(), *message = NULL;
    if (!content || !set_text(content, "instructions", developer->instructions) ||
        !set_text(content, "type", vinci_text_of("developer_content"))) {
        json_decref(content);
        return fail_memory(err, developer->instructions.size, "a message");
    }
    enum vinci_status status = set_functions(content, developer->tools, err);
    if (status == VINCI_OK) status = set_format(content, developer->response_format, err);
    if (status == VINCI_OK) message = new_message(VINCI_ROLE_DEVELOPER, json_incref(content));
    json_decref(content);
    return status == VINCI_OK ? place_message(conversation, message, at, replace, err) : status;
}
