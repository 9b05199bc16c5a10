/* Rendering: every line of render.jsonl token for token, the chats of template.jsonl built by
 * calls, and what the document form may and may not contain. */
#include "harmony_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void options_of(const json_t *line, struct vinci_render_options *options)
{
    const char *kind = text(line, "kind"), *role = text(line, "next_turn_role");
    const json_t *config = json_object_get(line, "config");
    vinci_render_options_init(options);
    if (strcmp(kind, "conversation") == 0) options->kind = VINCI_RENDER_CONVERSATION;
    if (strcmp(kind, "training") == 0) options->kind = VINCI_RENDER_TRAINING;
    for (int i = VINCI_ROLE_SYSTEM; role && i <= VINCI_ROLE_TOOL; i++)
        if (strcmp(role, vinci_role_name((enum vinci_role)i)) == 0)
            options->next_role = (enum vinci_role)i;
    options->keep_analysis = json_is_false(json_object_get(config, "auto_drop_analysis"));
}

/* Prints the name and the first difference. */
static bool same_ids(const char *name, const struct ids *got, const struct ids *want)
{
    size_t i = 0;
    while (i < got->n && i < want->n && got->ids[i] == want->ids[i]) i++;
    if (i == got->n && i == want->n) return true;
    printf("%s: %zu ids, expected %zu; the first that differs is %zu\n", name, got->n, want->n, i);
    return false;
}

static bool line_matches(const json_t *line)
{
    struct vinci_render_options options;
    struct vinci_conversation *conversation = NULL;
    struct vinci_error err = {0};
    char *json = json_dumps(json_object_get(line, "conversation"), JSON_ENSURE_ASCII);
    options_of(line, &options);
    enum vinci_status status =
        vinci_conversation_from_json(&conversation, json, strlen(json), &err);
    free(json);
    if (json_is_string(json_object_get(line, "error")) || status != VINCI_OK) {
        vinci_conversation_close(conversation);
        return status == VINCI_BAD_FILE && err.text[0] &&
               json_is_string(json_object_get(line, "error"));
    }
    struct ids got = ids_render(conversation, &options);
    struct ids want = ids_of_json(json_object_get(line, "ids"));
    bool ok = same_ids(text(line, "name"), &got, &want);
    ids_free(&got);

    /* Written and read again it is the same conversation. */
    size_t n;
    assert_int_equal(vinci_conversation_to_json(conversation, &json, &n, &err), VINCI_OK);
    vinci_conversation_close(conversation);
    assert_int_equal(vinci_conversation_from_json(&conversation, json, n, &err), VINCI_OK);
    vinci_free(json);
    got = ids_render(conversation, &options);
    ok = same_ids(text(line, "name"), &got, &want) && ok;
    vinci_conversation_close(conversation);
    ids_free(&got);
    ids_free(&want);
    return ok;
}

static void renders_every_line(void **state)
{
    (void)state;
    json_t *lines = harmony_lines("render.jsonl"), *line;
    size_t i, n_failed = 0;
    json_array_foreach(lines, i, line) if (!line_matches(line)) n_failed++;
    printf("%zu lines\n", json_array_size(lines));
    assert_int_equal(json_array_size(lines), 195);
    assert_int_equal(n_failed, 0);

    /* The comparison notices a wrong token, a missing one and a wrong refusal. */
    line = json_array_get(lines, 0);
    json_array_set_new(json_object_get(line, "ids"), 3, json_integer(1));
    assert_false(line_matches(line));
    line = json_array_get(lines, 1);
    json_array_remove(json_object_get(line, "ids"), 5);
    assert_false(line_matches(line));
    json_object_set_new(line, "error", json_string("refused"));
    assert_false(line_matches(line));
    json_decref(lines);
}

/* ---- the chats of template.jsonl, built by calls ---- */

static void add(struct vinci_conversation *c, enum vinci_role role, const char *name,
                const char *channel, const char *recipient, const char *type, const json_t *content)
{
    struct vinci_message message = {role,
                                    vinci_text_of(name),
                                    vinci_text_of(channel),
                                    vinci_text_of(recipient),
                                    vinci_text_of(type),
                                    {json_string_value(content), json_string_length(content)}};
    struct vinci_error err = {0};
    if (vinci_conversation_add(c, &message, &err)) fail_msg("%s", err.text);
}

static void add_call(struct vinci_conversation *c, const json_t *call, char *name)
{
    const json_t *function = json_object_get(call, "function");
    json_t *arguments = json_object_get(function, "arguments");
    json_incref(arguments);
    if (!json_is_string(arguments)) {
        char *dumped = json_dumps(arguments, 0);
        json_decref(arguments);
        arguments = json_string(dumped);
        free(dumped);
    }
    snprintf(name, 64, "functions.%s", text(function, "name"));
    add(c, VINCI_ROLE_ASSISTANT, NULL, "commentary", name, "json", arguments);
    json_decref(arguments);
}

static void add_chat_message(struct vinci_conversation *c, const json_t *message, char *name)
{
    const json_t *content = json_object_get(message, "content"), *call;
    const json_t *calls = json_object_get(message, "tool_calls");
    const json_t *thinking = json_object_get(message, "thinking");
    const char *role = text(message, "role");
    size_t i;
    if (strcmp(role, "user") == 0) add(c, VINCI_ROLE_USER, NULL, NULL, NULL, NULL, content);
    if (strcmp(role, "tool") == 0)
        add(c, VINCI_ROLE_TOOL, name, "commentary", "assistant", NULL, content);
    if (strcmp(role, "assistant") != 0) return;
    if (calls && !thinking) thinking = content;
    if (thinking) add(c, VINCI_ROLE_ASSISTANT, NULL, "analysis", NULL, NULL, thinking);
    json_array_foreach(calls, i, call) add_call(c, call, name);
    if (!calls) add(c, VINCI_ROLE_ASSISTANT, NULL, "final", NULL, NULL, content);
}

static enum vinci_effort effort_of(const char *word)
{
    if (!word) return VINCI_EFFORT_MEDIUM;
    return strcmp(word, "low") == 0    ? VINCI_EFFORT_LOW
           : strcmp(word, "high") == 0 ? VINCI_EFFORT_HIGH
                                       : VINCI_EFFORT_MEDIUM;
}

static bool has(const json_t *array, const char *word)
{
    const json_t *item;
    size_t i;
    json_array_foreach(array, i, item) if (strcmp(json_string_value(item), word) == 0) return true;
    return false;
}

static struct vinci_conversation *build_chat(const json_t *line)
{
    const json_t *options = json_object_get(line, "options"), *message;
    const json_t *messages = json_object_get(line, "messages");
    struct vinci_conversation *c = NULL;
    struct vinci_system_message system;
    struct vinci_developer_message developer = {0};
    struct vinci_error err = {0};
    char name[64] = "", *tools = NULL;
    size_t first = 0, i;
    assert_int_equal(vinci_conversation_create(&c, &err), VINCI_OK);

    const char *role = text(json_array_get(messages, 0), "role");
    if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
        developer.instructions = vinci_text_of(text(json_array_get(messages, first++), "content"));
    if (json_is_array(json_object_get(line, "tools"))) {
        tools = json_dumps(json_object_get(line, "tools"), 0);
        developer.tools = vinci_text_of(tools);
    }
    if (first || tools)
        assert_int_equal(vinci_conversation_set_developer(c, &developer, &err), VINCI_OK);
    free(tools);

    vinci_system_message_init(&system);
    system.current_date = text(line, "date");
    system.effort = effort_of(text(options, "reasoning_effort"));
    if (text(options, "model_identity")) system.identity = text(options, "model_identity");
    system.browser = has(json_object_get(options, "builtin_tools"), "browser");
    system.python = has(json_object_get(options, "builtin_tools"), "python");
    assert_int_equal(vinci_conversation_set_system(c, &system, &err), VINCI_OK);
    json_array_foreach(messages, i, message) if (i >= first) add_chat_message(c, message, name);
    return c;
}

static void builds_chats_by_calls(void **state)
{
    (void)state;
    json_t *lines = harmony_lines("template.jsonl"), *line;
    size_t i, n_failed = 0;
    json_array_foreach(lines, i, line)
    {
        struct vinci_conversation *c = build_chat(line);
        struct vinci_render_options options;
        vinci_render_options_init(&options);
        if (!json_is_true(json_object_get(line, "add_generation_prompt")))
            options.kind = VINCI_RENDER_TRAINING;
        struct ids ids = ids_render(c, &options);
        char *got = NULL;
        size_t n;
        assert_int_equal(vinci_detokenize(harmony_tokenizer(), ids.ids, ids.n, &got, &n, NULL), 0);
        if (strcmp(got, text(line, "harmony_text")) != 0) {
            printf("%s: got\n%s\nexpected\n%s\n", text(line, "name"), got,
                   text(line, "harmony_text"));
            n_failed++;
        }
        vinci_free(got);
        ids_free(&ids);
        vinci_conversation_close(c);
    }
    assert_int_equal(json_array_size(lines), 25);
    assert_int_equal(n_failed, 0);
    json_decref(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_every_line),
        cmocka_unit_test(builds_chats_by_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
