/* chat_file.c - conversations as JSON in the form of OpenAI's chat completions, out and in.
 *
 * One assistant message there may be several here (reasoning, remark, call, final answer). Each
 * object that is written is read again at once; where the standard keys would not give the same
 * messages, as after a cut, it also gets "harmony", the list of the exact ones, which wins when the
 * file is loaded. So a conversation that comes back has the same tokens, always. */
#include "cli/chat.h"

#include "base/replace.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const efforts[] = {"none", "low", "medium", "high"};

/* Sets object[key] unless the text is absent. False when memory is short. */
static bool set(json_t *object, const char *key, struct vinci_text text)
{
    return !text.data ||
           json_object_set_new(object, key, json_stringn_nocheck(text.data, text.size)) == 0;
}

static struct vinci_text get(const json_t *object, const char *key)
{
    const json_t *string = json_object_get(object, key);
    return (struct vinci_text){json_string_value(string), json_string_length(string)};
}

static struct vinci_text text_of_buf(const struct buf *buf)
{
    return (struct vinci_text){buf->data ? buf->data : "", buf->size};
}

/* ---- in ------------------------------------------------------------------------------------ */

struct reader {
    struct vinci_conversation *conversation;
    json_t *ids;      /* {tool_call_id: "functions.f"} */
    const char *path; /* for sentences */
    size_t number;    /* of the message */
    struct vinci_error *err;
};

static enum vinci_status fail_form(const struct reader *reader, const char *expected)
{
    return fail(reader->err, VINCI_BAD_FILE, "%s: messages[%zu]: expected %s", reader->path,
                reader->number, _(expected));
}

/* A string, or OpenAI's list of {"type": "text", "text"}; *present false for null and nothing. */
static enum vinci_status read_content(const struct reader *reader, const json_t *object,
                                      struct buf *text, bool *present)
{
    const json_t *content = json_object_get(object, "content"), *part;
    size_t i;
    *present = content && !json_is_null(content);
    if (!*present) return VINCI_OK;
    if (!json_is_string(content) && !json_is_array(content))
        return fail_form(reader, "content to be text");
    bool ok = !json_is_string(content) ||
              buf_append(text, json_string_value(content), json_string_length(content));
    json_array_foreach(content, i, part)
    {
        struct vinci_text piece = get(part, "text");
        if (!piece.data) return fail_form(reader, "content to be text only");
        ok = ok && buf_append(text, piece.data, piece.size);
    }
    return ok ? VINCI_OK : fail_memory(reader->err, text->size, "a message");
}

static enum vinci_status read_exact(const struct reader *reader, const json_t *list)
{
    const json_t *object;
    size_t i;
    enum vinci_status status = VINCI_OK;
    json_array_foreach(list, i, object)
    {
        static const enum vinci_role roles[] = {VINCI_ROLE_SYSTEM, VINCI_ROLE_DEVELOPER,
                                                VINCI_ROLE_USER, VINCI_ROLE_ASSISTANT,
                                                VINCI_ROLE_TOOL};
        struct vinci_message message = {.name = get(object, "name"),
                                        .channel = get(object, "channel"),
                                        .recipient = get(object, "recipient"),
                                        .content_type = get(object, "content_type"),
                                        .content = get(object, "content")};
        for (size_t j = 0; j < sizeof roles / sizeof *roles; j++)
            if (text_equals(get(object, "role"), vinci_role_name(roles[j])))
                message.role = roles[j];
        if (message.role == VINCI_ROLE_NONE || !message.content.data)
            return fail_form(reader, "harmony to be a list of messages with role and content");
        status = vinci_conversation_add(reader->conversation, &message, reader->err);
        if (status != VINCI_OK) break;
    }
    return status;
}

static enum vinci_status read_call(const struct reader *reader, const json_t *call)
{
    const json_t *function = json_object_get(call, "function");
    struct vinci_text name = get(function, "name"), arguments = get(function, "arguments");
    struct vinci_text id = get(call, "id");
    struct buf recipient = {0};
    if (!name.data || !arguments.data || !id.data)
        return fail_form(reader, "a call to have id, function.name and function.arguments");
    struct vinci_message message = {.role = VINCI_ROLE_ASSISTANT,
                                    .channel = vinci_text_of("commentary"),
                                    .content_type = vinci_text_of("<|constrain|>json"),
                                    .content = arguments};
    enum vinci_status status = VINCI_OK;
    if (!buf_printf(&recipient, "functions.%s", name.data) ||
        json_object_set_new(reader->ids, id.data, json_string(recipient.data)) != 0)
        status = fail_memory(reader->err, name.size, "a call");
    message.recipient = text_of_buf(&recipient);
    if (status == VINCI_OK)
        status = vinci_conversation_add(reader->conversation, &message, reader->err);
    buf_free(&recipient);
    return status;
}

static enum vinci_status read_assistant(const struct reader *reader, const json_t *object,
                                        const struct buf *text, bool present)
{
    const json_t *calls = json_object_get(object, "tool_calls"), *call;
    bool has_calls = json_array_size(calls) > 0;
    struct vinci_message message = {.role = VINCI_ROLE_ASSISTANT,
                                    .channel = vinci_text_of("analysis"),
                                    .content = get(object, "reasoning_content")};
    enum vinci_status status = VINCI_OK;
    size_t i;
    if (!message.content.data) message.content = get(object, "reasoning");
    if (message.content.data)
        status = vinci_conversation_add(reader->conversation, &message, reader->err);
    if (status == VINCI_OK && present && (text->size || !has_calls)) {
        message.channel = vinci_text_of(has_calls ? "commentary" : "final");
        message.content = text_of_buf(text);
        status = vinci_conversation_add(reader->conversation, &message, reader->err);
    }
    json_array_foreach(calls, i, call)
    {
        if (status == VINCI_OK) status = read_call(reader, call);
    }
    return status;
}

static enum vinci_status read_tool(const struct reader *reader, const json_t *object,
                                   const struct buf *text)
{
    struct vinci_text id = get(object, "tool_call_id"), name = get(object, "name");
    struct vinci_text known = id.data ? get(reader->ids, id.data) : (struct vinci_text){0};
    struct vinci_message message = {.role = VINCI_ROLE_TOOL,
                                    .name = known.data ? known : name,
                                    .channel = vinci_text_of("commentary"),
                                    .recipient = vinci_text_of("assistant"),
                                    .content = text_of_buf(text)};
    if (!message.name.data)
        return fail_form(reader, "tool_call_id to be that of a call further up");
    return vinci_conversation_add(reader->conversation, &message, reader->err);
}

/* Appends what the object stands for. */
static enum vinci_status read_message(const struct reader *reader, const json_t *object)
{
    const json_t *exact = json_object_get(object, "harmony");
    struct vinci_text role = get(object, "role");
    struct buf text = {0};
    bool present = false;
    enum vinci_status status = read_content(reader, object, &text, &present);
    struct vinci_message message = {.content = text_of_buf(&text)};
    bool developer = text_equals(role, "system") || text_equals(role, "developer");
    if (status != VINCI_OK) goto cleanup;
    if (json_is_array(exact)) {
        struct buf unused = {0};
        const json_t *calls = json_object_get(object, "tool_calls"), *call;
        size_t i; /* later answers name these calls */
        json_array_foreach(calls, i, call)
        {
            struct vinci_text id = get(call, "id");
            struct vinci_text name = get(json_object_get(call, "function"), "name");
            unused.size = 0;
            if (id.data && name.data && buf_printf(&unused, "functions.%s", name.data))
                json_object_set_new(reader->ids, id.data, json_string(unused.data));
        }
        buf_free(&unused);
        status = read_exact(reader, exact);
    } else if (text_equals(role, "assistant")) {
        status = read_assistant(reader, object, &text, present);
    } else if (text_equals(role, "tool")) {
        status = read_tool(reader, object, &text);
    } else if (text_equals(role, "user") || developer) {
        message.role = developer ? VINCI_ROLE_DEVELOPER : VINCI_ROLE_USER;
        status = vinci_conversation_add(reader->conversation, &message, reader->err);
    } else {
        status = fail_form(reader, "role to be system, developer, user, assistant or tool");
    }
cleanup:
    buf_free(&text);
    return status;
}

/* The settings that a document holds; those it does not speak of stay as in `old`. */
static enum vinci_status read_settings(struct chat_settings *settings,
                                       const struct chat_settings *old, const json_t *root,
                                       bool has_instructions, const struct reader *reader)
{
    const json_t *tools = json_object_get(root, "tools");
    const json_t *first = json_array_get(json_object_get(root, "messages"), 0);
    const json_t *ours = json_object_get(root, "vinci");
    struct vinci_text date = get(ours, "date"), effort = get(root, "reasoning_effort");
    struct buf text = {0};
    bool present = false, ok = true;
    enum vinci_status status = VINCI_OK;
    settings->effort = old->effort;
    for (int i = 0; effort.data && i < 4; i++)
        if (text_equals(effort, efforts[i])) settings->effort = (enum vinci_effort)i;
    if (date.data) ok = chat_set_text(&settings->date, date.data, date.size);
    else if (old->date && !json_is_object(ours))
        ok = chat_set_text(&settings->date, old->date, strlen(old->date));
    if (json_array_size(tools)) ok = (settings->tools = json_dumps(tools, JSON_COMPACT)) && ok;
    if (has_instructions) {
        status = read_content(reader, first, &text, &present);
        ok = ok && chat_set_text(&settings->instructions, text.data ? text.data : "", text.size);
    }
    buf_free(&text);
    return status == VINCI_OK && !ok ? fail_memory(reader->err, 4096, "a conversation") : status;
}

enum vinci_status chat_from_json(struct chat *chat, const char *json, size_t n, const char *path,
                                 struct vinci_error *err)
{
    json_error_t problem;
    struct chat_settings settings = {0};
    struct reader reader = {.path = path, .err = err, .ids = json_object()};
    json_t *root = json_loadb(json, n, JSON_ALLOW_NUL, &problem);
    json_t *messages = json_object_get(root, "messages"), *message;
    struct vinci_text role = get(json_array_get(messages, 0), "role");
    bool instructions = (text_equals(role, "system") || text_equals(role, "developer")) &&
                        !json_object_get(json_array_get(messages, 0), "harmony");
    enum vinci_status status = VINCI_OK;
    if (!root)
        status = fail(err, VINCI_BAD_FILE, "%s: not JSON: line %d: %s", path, problem.line,
                      problem.text);
    else if (!json_is_array(messages))
        status = fail(err, VINCI_BAD_FILE, "%s: expected {\"messages\": [...]}", path);
    else status = vinci_conversation_create(&reader.conversation, err);
    if (status == VINCI_OK)
        status = read_settings(&settings, &chat->settings, root, instructions, &reader);
    if (status == VINCI_OK) status = chat_apply_settings(reader.conversation, &settings, err);
    json_array_foreach(messages, reader.number, message)
    {
        if (status == VINCI_OK && !(instructions && reader.number == 0))
            status = read_message(&reader, message);
    }
    json_decref(root);
    json_decref(reader.ids);
    if (status != VINCI_OK) {
        vinci_conversation_close(reader.conversation);
        chat_settings_release(&settings);
        return status;
    }
    vinci_conversation_close(chat->conversation);
    chat_settings_release(&chat->settings);
    chat->conversation = reader.conversation;
    chat->settings = settings;
    return VINCI_OK;
}

/* ---- out ----------------------------------------------------------------------------------- */

static bool same_text(struct vinci_text a, struct vinci_text b)
{
    return !a.data == !b.data && a.size == b.size && (!a.size || !memcmp(a.data, b.data, a.size));
}

static bool same_message(struct vinci_message a, struct vinci_message b)
{
    return a.role == b.role && same_text(a.name, b.name) && same_text(a.channel, b.channel) &&
           same_text(a.recipient, b.recipient) && same_text(a.content_type, b.content_type) &&
           same_text(a.content, b.content);
}

/* Whether reading `object` gives messages [from, to) of the conversation. */
static bool reads_back(const struct vinci_conversation *conversation, size_t from, size_t to,
                       const json_t *object, json_t *ids)
{
    struct reader reader = {.path = "", .ids = ids};
    bool same = vinci_conversation_create(&reader.conversation, NULL) == VINCI_OK &&
                read_message(&reader, object) == VINCI_OK &&
                vinci_conversation_n_messages(reader.conversation) == to - from;
    for (size_t i = from; same && i < to; i++)
        same = same_message(vinci_conversation_message(conversation, i),
                            vinci_conversation_message(reader.conversation, i - from));
    vinci_conversation_close(reader.conversation);
    return same;
}

static json_t *exact_json(const struct vinci_conversation *conversation, size_t from, size_t to)
{
    json_t *list = json_array();
    for (size_t i = from; i < to; i++) {
        struct vinci_message m = vinci_conversation_message(conversation, i);
        json_t *object = json_object();
        if (!set(object, "role", vinci_text_of(vinci_role_name(m.role))) ||
            !set(object, "name", m.name) || !set(object, "channel", m.channel) ||
            !set(object, "recipient", m.recipient) ||
            !set(object, "content_type", m.content_type) || !set(object, "content", m.content) ||
            json_array_append(list, object) != 0) {
            json_decref(list);
            list = NULL;
        }
        json_decref(object);
    }
    return list;
}

static json_t *call_json(const struct vinci_message *call, unsigned number)
{
    static const char prefix[] = "functions.";
    size_t skip = sizeof prefix - 1;
    struct vinci_text name = call->recipient;
    if (name.size > skip && memcmp(name.data, prefix, skip) == 0) {
        name.data += skip;
        name.size -= skip;
    }
    char id[24];
    snprintf(id, sizeof id, "call_%u", number);
    return json_pack("{s:s, s:s, s:{s:s%, s:s%}}", "id", id, "type", "function", "function", "name",
                     name.data, name.size, "arguments",
                     call->content.data ? call->content.data : "", call->content.size);
}

/* The run of assistant messages [from, to) as one of OpenAI's. */
static json_t *assistant_json(const struct vinci_conversation *conversation, size_t from, size_t to,
                              unsigned *n_calls)
{
    json_t *object = json_pack("{s:s, s:n}", "role", "assistant", "content");
    bool ok = object != NULL;
    for (size_t i = from; i < to && ok; i++) {
        struct vinci_message m = vinci_conversation_message(conversation, i);
        if (vinci_message_is_call(&m)) {
            json_t *calls = json_object_get(object, "tool_calls");
            if (!calls) {
                json_object_set_new(object, "tool_calls", json_array());
                calls = json_object_get(object, "tool_calls");
            }
            ok = json_array_append_new(calls, call_json(&m, ++*n_calls)) == 0;
        } else {
            bool analysis = text_equals(m.channel, "analysis");
            ok = set(object, analysis ? "reasoning_content" : "content", m.content);
        }
    }
    if (ok) return object;
    json_decref(object);
    return NULL;
}

static json_t *plain_json(const struct vinci_message *message, unsigned n_calls)
{
    char id[24];
    json_t *object = json_object();
    snprintf(id, sizeof id, "call_%u", n_calls);
    bool ok = object && set(object, "role", vinci_text_of(vinci_role_name(message->role))) &&
              set(object, "content", message->content);
    if (ok && message->role == VINCI_ROLE_TOOL) ok = set(object, "tool_call_id", vinci_text_of(id));
    if (ok) return object;
    json_decref(object);
    return NULL;
}

/* Messages from `from` on; NULL when memory is short. */
static json_t *messages_json(const struct vinci_conversation *conversation, size_t from)
{
    json_t *list = json_array(), *ids = json_object();
    size_t n = vinci_conversation_n_messages(conversation);
    unsigned n_calls = 0;
    bool ok = list && ids;
    for (size_t i = from, to; ok && i < n; i = to) {
        struct vinci_message message = vinci_conversation_message(conversation, i);
        json_t *object = NULL;
        to = i + 1;
        if (message.role == VINCI_ROLE_ASSISTANT) {
            while (to < n &&
                   vinci_conversation_message(conversation, to).role == VINCI_ROLE_ASSISTANT)
                to++;
            object = assistant_json(conversation, i, to, &n_calls);
        } else {
            object = plain_json(&message, n_calls);
        }
        bool front = list && json_array_size(list) == 0 && message.role == VINCI_ROLE_DEVELOPER;
        if (object && (front || !reads_back(conversation, i, to, object, ids)))
            ok = json_object_set_new(object, "harmony", exact_json(conversation, i, to)) == 0;
        ok = json_array_append_new(list, object) == 0 && ok;
    }
    json_decref(ids);
    if (ok) return list;
    json_decref(list);
    return NULL;
}

enum vinci_status chat_to_json(const struct chat *chat, char **json, struct vinci_error *err)
{
    const struct chat_settings *settings = &chat->settings;
    json_t *messages = messages_json(chat->conversation, chat_n_front(chat->conversation));
    json_t *root = json_object(), *ours = json_object();
    bool ok = messages && root && ours && set(root, "model", vinci_text_of(chat->model.name));
    *json = NULL;
    if (ok && settings->effort != VINCI_EFFORT_NONE)
        ok = set(root, "reasoning_effort", vinci_text_of(efforts[settings->effort]));
    if (ok && settings->instructions)
        ok = json_array_insert_new(
                 messages, 0,
                 json_pack("{s:s, s:s}", "role", "system", "content", settings->instructions)) == 0;
    ok = ok && json_object_set(root, "messages", messages) == 0;
    if (ok && settings->tools)
        ok = json_object_set_new(root, "tools", json_loads(settings->tools, 0, NULL)) == 0;
    ok = ok && set(ours, "date", vinci_text_of(settings->date)) &&
         json_object_set(root, "vinci", ours) == 0;
    if (ok) *json = json_dumps(root, JSON_INDENT(2));
    json_decref(messages);
    json_decref(root);
    json_decref(ours);
    return *json ? VINCI_OK : fail_memory(err, 4096, "the conversation");
}

enum vinci_status chat_turn_json(const struct chat *chat, char **json, struct vinci_error *err)
{
    const struct chat_figures *f = &chat->figures;
    json_t *messages = messages_json(chat->conversation, chat_last_turn(chat->conversation));
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const char *finish = f->finish == VINCI_FINISH_CANCELLED   ? "cancelled"
                         : f->finish != VINCI_FINISH_STOP      ? "length"
                         : json_object_get(last, "tool_calls") ? "tool_calls"
                                                               : "stop";
    json_t *content = json_object_get(last, "content");
    json_t *reasoning = json_object_get(last, "reasoning_content");
    json_t *root = json_pack(
        "{s:s, s:O?, s:O?, s:s, s:O?, s:{s:I, s:I, s:I}, s:{s:I, s:I, s:f, s:f}}", "model",
        chat->model.name, "content", content, "reasoning_content", reasoning, "finish_reason",
        finish, "messages", messages, "usage", "prompt_tokens", (json_int_t)f->n_prompt,
        "completion_tokens", (json_int_t)f->n_generated, "total_tokens",
        (json_int_t)(f->n_prompt + f->n_generated), "timings", "reused_tokens",
        (json_int_t)f->n_reused, "prefilled_tokens", (json_int_t)f->n_prefilled, "prefill_seconds",
        f->prefill_seconds, "decode_seconds", f->decode_seconds);
    *json = root && messages ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(root);
    json_decref(messages);
    return *json ? VINCI_OK : fail_memory(err, 4096, "the turn as JSON");
}

enum vinci_status chat_write_file(const char *path, const char *text, struct vinci_error *err)
{
    struct replacement file;
    enum vinci_status status = replace_begin(&file, path, err);
    if (status != VINCI_OK) return status;
    if (dprintf(file.fd, "%s\n", text) < 0) status = fail_errno(err, errno, path, "write");
    else status = replace_publish(&file, err);
    replace_end(&file);
    return status;
}

enum vinci_status chat_try_file(const char *path, struct vinci_error *err)
{
    struct replacement file;
    enum vinci_status status = replace_begin(&file, path, err);
    replace_end(&file);
    return status;
}
