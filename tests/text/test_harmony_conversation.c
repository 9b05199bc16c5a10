/* Conversations: what a document may hold, building by calls, JSON with exact numbers, response
 * formats, and every allocation failing once. */
#include "alloc_fail.h"
#include "harmony_case.h"

#include "text/harmony.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- documents ---- */

#define MESSAGE(m) "{\"messages\":[" m "]}"
#define SYSTEM(c) MESSAGE("{\"role\":\"system\",\"content\":[{\"type\":\"system_content\"," c "}]}")
#define TOOLS(t) SYSTEM("\"tools\":" t)

static void refuses_bad_documents(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"", "conversation: not a JSON object or array"},
        {"{", "conversation: not a JSON object or array"},
        {"5", "conversation: not a JSON object or array"},
        {"{} x", "conversation: not a JSON object or array"},
        {"{\"messages\":[{\"role\":\"\\ud800\"}]}", "not a JSON object or array"},
        {"\xff", "not a JSON object or array"},
        {"[]", "messages: expected an array, got nothing"},
        {"{}", "messages: expected an array, got nothing"},
        {"{\"messages\":{}}", "messages: expected an array, got an object"},
        {MESSAGE("5"), "messages[0]: expected an object, got an integer"},
        {MESSAGE("{}"), "messages[0].role: expected system, developer"},
        {MESSAGE("{\"role\":\"robot\",\"content\":\"\"}"), "got robot"},
        {MESSAGE("{\"role\":null,\"content\":\"\"}"), "got null"},
        {MESSAGE("{\"role\":\"user\"}"), "messages[0].content: expected a string or an array"},
        {MESSAGE("{\"role\":\"user\",\"content\":null}"), "got null"},
        {MESSAGE("{\"role\":\"user\",\"content\":[\"x\"]}"), "messages[0].content[0]: expected an"},
        {MESSAGE("{\"role\":\"user\",\"content\":[{}]}"), "messages[0].content[0].type: expected"},
        {MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"image\"}]}"), "content[0].type: exp"},
        {MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}"), "[0].text: expected a "},
        {MESSAGE("{\"role\":\"user\",\"content\":\"\",\"name\":5}"), "[0].name: expected a string"},
        {MESSAGE("{\"role\":\"user\",\"content\":\"\",\"channel\":[]}"), "channel: expected a str"},
        {MESSAGE("{\"role\":\"user\",\"content\":\"\",\"recipient\":{}}"), "recipient: expected a"},
        {MESSAGE("{\"role\":\"user\",\"content\":\"\",\"content_type\":1.5}"), "got a number"},
        {MESSAGE("{\"role\":\"tool\",\"content\":\"\"}"), "a tool's message needs its name"},
        {MESSAGE("{\"role\":\"user\",\"content\":[{\"type\":\"system_content\"}]}"),
         "system_content may stand only in a system message, not in one of role user"},
        {MESSAGE("{\"role\":\"system\",\"content\":[{\"type\":\"developer_content\"}]}"),
         "developer_content may stand only in a developer message, not in one of role system"},
        {SYSTEM("\"model_identity\":5"), "content[0].model_identity: expected a string"},
        {SYSTEM("\"knowledge_cutoff\":5"), "knowledge_cutoff: expected a string"},
        {SYSTEM("\"conversation_start_date\":true"), "got true"},
        {SYSTEM("\"reasoning_effort\":\"medium\""), "expected \"Low\", \"Medium\" or \"High\""},
        {SYSTEM("\"channel_config\":5"), "channel_config.valid_channels: expected an array"},
        {SYSTEM("\"channel_config\":{\"valid_channels\":[5],\"channel_required\":true}"),
         "channel_config.valid_channels[0]: expected a string, got an integer"},
        {SYSTEM("\"channel_config\":{\"valid_channels\":[]}"), "channel_required: expected true"},
        {TOOLS("[]"), "tools: expected an object, got an array"},
        {TOOLS("{\"n\":5}"), "tools.n: expected an object, got an integer"},
        {TOOLS("{\"n\":{}}"), "tools.n.name: expected a string"},
        {TOOLS("{\"n\":{\"name\":\"n\"}}"), "tools.n.tools: expected an array"},
        {TOOLS("{\"n\":{\"name\":\"n\",\"description\":5,\"tools\":[]}}"), "n.description: expec"},
        {TOOLS("{\"n\":{\"name\":\"n\",\"tools\":[5]}}"), "tools.n.tools[0]: expected an object"},
        {TOOLS("{\"n\":{\"name\":\"n\",\"tools\":[{}]}}"), "tools.n.tools[0].name: expected a st"},
        {TOOLS("{\"n\":{\"name\":\"n\",\"tools\":[{\"name\":\"f\",\"description\":5}]}}"),
         "tools.n.tools[0].description: expected a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vinci_conversation *conversation = NULL;
        struct vinci_error err = {0};
        enum vinci_status status =
            vinci_conversation_from_json(&conversation, cases[i].json, strlen(cases[i].json), &err);
        if (status != VINCI_BAD_FILE || conversation || !strstr(err.text, cases[i].says))
            fail_msg("%s: %d '%s', expected '%s'", cases[i].json, status, err.text, cases[i].says);
    }
}

static void accepts_unusual_documents(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"{\"messages\":[],\"x\":1}", ""},
        {MESSAGE("{\"role\":\"user\",\"content\":\"plain\",\"extra\":3}"),
         "<|start|>user<|message|>plain<|end|>"},
        {MESSAGE("{\"role\":\"user\",\"content\":[],\"name\":null,\"channel\":null}"),
         "<|start|>user<|message|><|end|>"},
        {MESSAGE("{\"role\":\"user\",\"content\":\"a\\u0000b\"}"), "<|start|>user<|message|>a"},
        {MESSAGE("{\"role\":\"tool\",\"content\":\"\",\"name\":\"\"}"),
         "<|start|><|message|><|end|>"},
        {SYSTEM("\"reasoning_effort\":null,\"tools\":null,\"channel_config\":null"),
         "<|start|>system<|message|><|end|>"},
        {TOOLS("{}"), "<|start|>system<|message|><|end|>"},
        {TOOLS("{\"n\":{\"name\":\"n\",\"tools\":[{\"name\":\"f\"}]}}"),
         "<|start|>system<|message|># Tools\n\n## n\n\nnamespace n {\n\ntype f = () => any;\n\n} "
         "// "
         "namespace n<|end|>"},
        {TOOLS("{\"n\":{\"name\":\"n\",\"tools\":[{\"name\":\"f\",\"parameters\":5}]}}"),
         "<|start|>system<|message|># Tools\n\n## n\n\nnamespace n {\n\ntype f = (_: any) => "
         "any;\n\n"
         "} // namespace n<|end|>"},
        {TOOLS("{\"n\":{\"name\":\"n\",\"tools\":[{\"name\":\"f\",\"parameters\":{\"type\":"
               "\"integer\",\"maximum\":18446744073709551615}}]}}"),
         "<|start|>system<|message|># Tools\n\n## n\n\nnamespace n {\n\ntype f = (_: number) => "
         "any;"
         "\n\n} // namespace n<|end|>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vinci_conversation *conversation = NULL;
        struct vinci_error err = {0};
        struct vinci_render_options options = {.kind = VINCI_RENDER_CONVERSATION};
        if (vinci_conversation_from_json(&conversation, cases[i].json, strlen(cases[i].json), &err))
            fail_msg("%s: %s", cases[i].json, err.text);
        struct ids ids = ids_render(conversation, &options);
        char *text = NULL;
        size_t n;
        assert_int_equal(vinci_detokenize(harmony_tokenizer(), ids.ids, ids.n, &text, &n, NULL), 0);
        assert_string_equal(text, cases[i].text);
        vinci_free(text);
        ids_free(&ids);
        vinci_conversation_close(conversation);
    }
}

static void limits_the_depth_of_schemas(void **state)
{
    (void)state;
    for (int depth = 100; depth <= 1000; depth += 900) {
        struct buf json = {0};
        bool ok = buf_append_text(
            &json, "{\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"system_content\","
                   "\"tools\":{\"n\":{\"name\":\"n\",\"tools\":[{\"name\":\"f\",\"parameters\":");
        for (int i = 0; i < depth; i++) ok = ok && buf_append_text(&json, "{\"items\":");
        ok = ok && buf_append_text(&json, "1");
        for (int i = 0; i < depth; i++) ok = ok && buf_append_text(&json, "}");
        assert_true(ok && buf_append_text(&json, "}]}}}]}]}"));
        struct vinci_conversation *conversation = NULL;
        struct vinci_error err = {0};
        assert_int_equal(vinci_conversation_from_json(&conversation, json.data, json.size, &err),
                         depth == 100 ? VINCI_OK : VINCI_LIMIT);
        if (depth > 100) assert_non_null(strstr(err.text, "nested deeper than 128 levels"));
        vinci_conversation_close(conversation);
        buf_free(&json);
    }
}

/* ---- numbers ---- */

static void prints_numbers_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"0", "0"},
        {"-0", "-0.0"},
        {"0.0", "0.0"},
        {"-0.0", "-0.0"},
        {"1.0", "1.0"},
        {"0.1", "0.1"},
        {"100.0", "100.0"},
        {"123.456", "123.456"},
        {"0.00001", "0.00001"},
        {"0.000012", "0.000012"},
        {"0.000001", "1e-6"},
        {"1e-7", "1e-7"},
        {"1.5e-9", "1.5e-9"},
        {"1e15", "1000000000000000.0"},
        {"1e16", "1e16"},
        {"123456789012345680.0", "1.2345678901234568e17"},
        {"1e22", "1e22"},
        {"1e300", "1e300"},
        {"5e-324", "5e-324"},
        {"1.7976931348623157e308", "1.7976931348623157e308"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775808", "9.223372036854776e18"},
        {"18446744073709551616", "1.8446744073709552e19"},
        /* doubles that the reference reads as their neighbours */
        {"5.684341886080802e-14", "5.684341886080803e-14"},
        {"-5.189655134029826e-179", "-5.1896551340298264e-179"},
        {"3.6628434351600774e109", "3.6628434351600778e109"},
        {"[1,2.5,null,true,false,\"a\",{}]", "[1,2.5,null,true,false,\"a\",{}]"},
        {"{\"z\":1,\"a\":{\"b\":[]}}", "{\"z\":1,\"a\":{\"b\":[]}}"},
        {"\"\\u0000\\u0001\\b\\f\\n\\r\\t\\u001f\\u007f\\\"\\\\\\/\\u4e2d\"",
         "\"\\u0000\\u0001\\b\\f\\n\\r\\t\\u001f\x7f\\\"\\\\/中\""},
        {"\"1e5 -0 99999999999999999999 \\\" -0\"", "\"1e5 -0 99999999999999999999 \\\" -0\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf wrapped = {0};
        struct text_out out = {0};
        json_t *array = NULL;
        struct vinci_error err = {0};
        assert_true(buf_printf(&wrapped, "[%s]", cases[i].in));
        if (harmony_json_load(&array, wrapped.data, wrapped.size, "test", &err))
            fail_msg("%s: %s", cases[i].in, err.text);
        put_json(&out, json_array_get(array, 0));
        assert_false(out.failed);
        assert_string_equal(out.buf.data, cases[i].out);
        buf_free(&out.buf);
        buf_free(&wrapped);
        json_decref(array);
    }
}

/* ---- building ---- */

static char *rendered(const struct vinci_conversation *conversation)
{
    struct vinci_render_options options = {.kind = VINCI_RENDER_CONVERSATION};
    struct ids ids = ids_render(conversation, &options);
    char *text = NULL;
    size_t n;
    assert_int_equal(vinci_detokenize(harmony_tokenizer(), ids.ids, ids.n, &text, &n, NULL), 0);
    ids_free(&ids);
    return text;
}

static void expect_rendered(const struct vinci_conversation *conversation, const char *want)
{
    char *text = rendered(conversation);
    assert_string_equal(text, want);
    vinci_free(text);
}

static void builds_replaces_and_truncates(void **state)
{
    (void)state;
    struct vinci_conversation *c = NULL;
    struct vinci_error err = {0};
    struct vinci_message user = {.role = VINCI_ROLE_USER, .content = vinci_text_of("Hi")};
    struct vinci_system_message system = {.identity = "I"};
    struct vinci_developer_message developer = {.instructions = vinci_text_of("D")};
    assert_int_equal(vinci_conversation_create(&c, &err), VINCI_OK);
    expect_rendered(c, "");
    assert_int_equal(vinci_conversation_add(c, &user, &err), VINCI_OK);
    assert_int_equal(vinci_conversation_set_developer(c, &developer, &err), VINCI_OK);
    assert_int_equal(vinci_conversation_set_system(c, &system, &err), VINCI_OK);
    expect_rendered(c, "<|start|>system<|message|>I<|end|><|start|>developer<|message|>"
                       "# Instructions\n\nD<|end|><|start|>user<|message|>Hi<|end|>");
    system.identity = "J";
    system.effort = VINCI_EFFORT_HIGH;
    assert_int_equal(vinci_conversation_set_system(c, &system, &err), VINCI_OK);
    assert_int_equal(vinci_conversation_set_developer(c, NULL, &err), VINCI_OK);
    assert_int_equal(vinci_conversation_set_developer(c, NULL, &err), VINCI_OK);
    expect_rendered(c, "<|start|>system<|message|>J\n\nReasoning: high<|end|>"
                       "<|start|>user<|message|>Hi<|end|>");

    struct vinci_message call = {
        VINCI_ROLE_ASSISTANT,         vinci_text_of(NULL),   vinci_text_of("commentary"),
        vinci_text_of("functions.f"), vinci_text_of("json"), vinci_text_of("{}"),
    };
    struct vinci_message answer = {.role = VINCI_ROLE_TOOL,
                                   .name = vinci_text_of("functions.f"),
                                   .channel = vinci_text_of("commentary"),
                                   .recipient = vinci_text_of("assistant"),
                                   .content = {"a\xff\0b", 4}};
    assert_int_equal(vinci_conversation_add(c, &call, &err), VINCI_OK);
    assert_int_equal(vinci_conversation_add(c, &answer, &err), VINCI_OK);
    assert_int_equal(vinci_conversation_n_messages(c), 4);
    struct vinci_message got = vinci_conversation_message(c, 3);
    assert_int_equal(got.role, VINCI_ROLE_TOOL);
    assert_int_equal(got.content.size, 6);
    assert_memory_equal(got.content.data, "a\xef\xbf\xbd\0b", 6);
    got = vinci_conversation_message(c, 2);
    assert_string_equal(got.recipient.data, "functions.f");
    assert_string_equal(got.content_type.data, "json");
    assert_null(got.name.data);
    assert_null(vinci_conversation_message(c, 0).content.data);
    assert_int_equal(vinci_conversation_message(c, 4).role, VINCI_ROLE_NONE);

    /* Refused, and nothing changed. */
    answer.name = vinci_text_of(NULL);
    assert_int_equal(vinci_conversation_add(c, &answer, &err), VINCI_BAD_FILE);
    user.role = VINCI_ROLE_NONE;
    assert_int_equal(vinci_conversation_add(c, &user, &err), VINCI_BAD_FILE);
    system.effort = (enum vinci_effort)9;
    assert_int_equal(vinci_conversation_set_system(c, &system, &err), VINCI_USAGE);
    assert_int_equal(vinci_conversation_n_messages(c), 4);
    vinci_conversation_truncate(c, 9);
    assert_int_equal(vinci_conversation_n_messages(c), 4);
    vinci_conversation_truncate(c, 1);
    expect_rendered(c, "<|start|>system<|message|>J\n\nReasoning: high<|end|>");
    vinci_conversation_close(c);
    vinci_conversation_close(NULL);
}

static void takes_tools_and_formats_of_the_api(void **state)
{
    (void)state;
#define HEAD "<|start|>developer<|message|>"
#define FORMAT(middle) \
    HEAD "# Response Formats\n\n## shape\n\n" middle "{\"type\":\"object\"}<|end|>"
    static const struct {
        const char *tools, *format;
        enum vinci_status status;
        const char *text; /* of the message, or in the error */
    } cases[] = {
        {"[]", NULL, VINCI_OK, HEAD "<|end|>"},
        {"[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"F.\",\"strict\":"
         "true}}]",
         NULL, VINCI_OK,
         HEAD "# Tools\n\n## functions\n\nnamespace functions {\n\n// F.\ntype f = () => any;\n\n} "
              "// namespace functions<|end|>"},
        {"[{\"type\":\"function\",\"name\":\"f\"}]", NULL, VINCI_OK,
         HEAD "# Tools\n\n## functions\n\nnamespace functions {\n\ntype f = () => any;\n\n} "
              "// namespace functions<|end|>"},
        {"[{\"name\":\"f\"}]", "{\"name\":\"s\",\"schema\":{}}", VINCI_OK,
         HEAD "# Tools\n\n## functions\n\nnamespace functions {\n\ntype f = () => any;\n\n} "
              "// namespace functions\n\n# Response Formats\n\n## s\n\n{}<|end|>"},
        {NULL,
         "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"shape\",\"description\":\"S.\","
         "\"schema\":{\"type\":\"object\"}}}",
         VINCI_OK, FORMAT("// S.\n")},
        {NULL, "{\"type\":\"json_schema\",\"name\":\"shape\",\"schema\":{\"type\":\"object\"}}",
         VINCI_OK, FORMAT("")},
        {"{}", NULL, VINCI_BAD_FILE, "tools: expected an array, got an object"},
        {"[5]", NULL, VINCI_BAD_FILE, "tools.functions.tools[0]: expected an object"},
        {"[{}]", NULL, VINCI_BAD_FILE, "tools.functions.tools[0].name: expected a string"},
        {"[{\"type\":\"web_search\"}]", NULL, VINCI_UNSUPPORTED, "tools[0].type: expected"},
        {"nonsense", NULL, VINCI_BAD_FILE, "tools: not a JSON"},
        {NULL, "{\"type\":\"json_object\"}", VINCI_UNSUPPORTED, "response_format.type"},
        {NULL, "{\"schema\":{}}", VINCI_BAD_FILE, "response_format.name: expected a string"},
        {NULL, "{\"name\":\"x\"}", VINCI_BAD_FILE, "x.schema: expected a JSON schema"},
        {NULL, "{\"name\":\"x\",\"description\":5,\"schema\":{}}", VINCI_BAD_FILE, "x.description"},
    };
#undef HEAD
#undef FORMAT
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vinci_conversation *c = NULL;
        struct vinci_error err = {0};
        struct vinci_developer_message developer = {.tools = vinci_text_of(cases[i].tools),
                                                    .response_format =
                                                        vinci_text_of(cases[i].format)};
        assert_int_equal(vinci_conversation_create(&c, &err), VINCI_OK);
        enum vinci_status status = vinci_conversation_set_developer(c, &developer, &err);
        if (status != cases[i].status) fail_msg("case %zu: %d %s", i, status, err.text);
        if (status == VINCI_OK) expect_rendered(c, cases[i].text);
        else if (!strstr(err.text, cases[i].text)) fail_msg("case %zu: %s", i, err.text);
        vinci_conversation_close(c);
    }
}

/* What the parser gives goes back into the conversation and renders to the same tokens. */
static void parsed_messages_render_again(void **state)
{
    (void)state;
    static const char tokens[] =
        "<|start|>assistant<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant "
        "to=functions.f<|channel|>commentary <|constrain|>json<|message|>{\"a\": 1}<|call|>"
        "<|start|>functions.f to=assistant<|channel|>commentary<|message|>2<|end|>"
        "<|start|>user:bob<|message|>中文<|end|>";
    struct ids ids = ids_of_text(tokens);
    struct vinci_conversation *c = NULL;
    struct vinci_harmony_parser *parser = NULL;
    struct vinci_harmony_parser_options options = {.tokenizer = harmony_tokenizer()};
    assert_int_equal(vinci_harmony_parser_open(&parser, &options, NULL), VINCI_OK);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(vinci_harmony_parser_push(parser, ids.ids[i], NULL), VINCI_OK);
    assert_int_equal(vinci_harmony_parser_finish(parser, NULL), VINCI_OK);
    size_t n;
    const struct vinci_message *messages = vinci_harmony_parser_messages(parser, &n);
    assert_int_equal(n, 4);
    assert_int_equal(vinci_conversation_create(&c, NULL), VINCI_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(vinci_conversation_add(c, &messages[i], NULL), VINCI_OK);
    struct vinci_render_options render = {.kind = VINCI_RENDER_CONVERSATION};
    struct ids again = ids_render(c, &render);
    assert_int_equal(again.n, ids.n);
    assert_memory_equal(again.ids, ids.ids, ids.n * sizeof *ids.ids);
    ids_free(&ids);
    ids_free(&again);
    vinci_conversation_close(c);
    vinci_harmony_parser_close(parser);
}

/* ---- memory ---- */

struct life {
    const char *json; /* NULL: by calls alone, no JSON is read */
    const char *tokens;
    bool strict;
};

static enum vinci_status build(struct vinci_conversation **c, const char *json,
                               struct vinci_error *err)
{
    struct vinci_system_message system;
    struct vinci_developer_message developer = {.instructions = vinci_text_of("D")};
    struct vinci_message message = {
        .role = VINCI_ROLE_ASSISTANT, .channel = vinci_text_of("final"), .content = {"a\xff", 2}};
    vinci_system_message_init(&system);
    if (json) {
        system.browser = system.python = true;
        developer.tools = vinci_text_of("[{\"name\":\"f\",\"parameters\":{\"type\":\"object\","
                                        "\"properties\":{\"a\":{\"type\":\"string\",\"default\":"
                                        "-0}},\"required\":[\"a\"]}}]");
        developer.response_format = vinci_text_of("{\"name\":\"s\",\"schema\":{}}");
    }
    enum vinci_status status = json ? vinci_conversation_from_json(c, json, strlen(json), err)
                                    : vinci_conversation_create(c, err);
    if (status == VINCI_OK) status = vinci_conversation_set_system(*c, &system, err);
    if (status == VINCI_OK) status = vinci_conversation_set_developer(*c, &developer, err);
    if (status == VINCI_OK) status = vinci_conversation_add(*c, &message, err);
    return status;
}

/* Built, written, rendered, parsed. *sum is one of the rendered tokens. */
static enum vinci_status live(const struct life *life, const struct ids *ids, uint64_t *sum,
                              struct vinci_error *err)
{
    struct vinci_conversation *c = NULL;
    struct vinci_harmony_parser *parser = NULL;
    struct vinci_harmony_parser_options options = {
        .tokenizer = harmony_tokenizer(), .role = VINCI_ROLE_ASSISTANT, .strict = life->strict};
    struct vinci_render_options render;
    char *text = NULL;
    int32_t *rendered_ids = NULL;
    size_t n = 0;
    *sum = 0;
    vinci_render_options_init(&render);
    enum vinci_status status = build(&c, life->json, err);
    if (status == VINCI_OK) status = vinci_conversation_to_json(c, &text, &n, err);
    if (status == VINCI_OK)
        status = vinci_conversation_render(c, harmony_tokenizer(), &render, &rendered_ids, &n, err);
    for (size_t i = 0; i < n && status == VINCI_OK; i++)
        *sum = *sum * 31 + (uint64_t)rendered_ids[i];
    if (status == VINCI_OK) status = vinci_harmony_parser_open(&parser, &options, err);
    for (size_t i = 0; i < ids->n && status == VINCI_OK; i++) {
        status = vinci_harmony_parser_push(parser, ids->ids[i], err);
        if (status != VINCI_OK) /* a failure stays */
            assert_int_equal(vinci_harmony_parser_push(parser, ids->ids[i], NULL), status);
    }
    if (status == VINCI_OK) status = vinci_harmony_parser_finish(parser, err);
    vinci_harmony_parser_close(parser);
    vinci_free(rendered_ids);
    vinci_free(text);
    vinci_conversation_close(c);
    return status;
}

/* jansson's own allocations fail only where no JSON is read: its lexer (2.14) overlooks some that
 * fail, losing a character, and asserts on others. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
#define MESSAGES \
    "<|channel|>analysis<|message|>Think 想<|end|><|start|>assistant to=functions.f<|channel|>" \
    "commentary <|constrain|>json<|message|>{}<|call|><|start|>user<|message|>a<|end|>" \
    "<|start|>user<|message|>b<|end|><|start|>user<|message|>c<|end|>"
    static const char hello[] = MESSAGE("{\"role\":\"user\",\"content\":\"Hi\"}");
    static const struct life lives[] = {
        {hello, MESSAGES, true},
        {hello, MESSAGES, false},
        {hello, "<|channel|>final no message<|start|>more text<|end|>x y<|end|>", false},
        {NULL, "", false},
    };
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
        struct ids ids = ids_of_text(lives[i].tokens);
        if (!lives[i].json) alloc_fail_json();
        uint64_t whole, sum;
        assert_int_equal(live(&lives[i], &ids, &whole, NULL), VINCI_OK);
        for (size_t k = 1;; k++) {
            struct vinci_error err = {0};
            alloc_fail_begin(k);
            enum vinci_status status = live(&lives[i], &ids, &sum, &err);
            if (alloc_fail_end()) {
                if (status == VINCI_NO_MEMORY && err.text[0]) continue;
                if (status == VINCI_OK && sum == whole) continue; /* the encoder's cache */
                fail_msg("life %zu, allocation %zu: status %d '%s'", i, k, status, err.text);
            }
            if (status != VINCI_OK) fail_msg("life %zu: %s", i, err.text);
            printf("life %zu: %zu allocations\n", i, k - 1);
            assert_true(k > 40);
            break;
        }
        ids_free(&ids);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_documents),
        cmocka_unit_test(accepts_unusual_documents),
        cmocka_unit_test(limits_the_depth_of_schemas),
        cmocka_unit_test(prints_numbers_exactly),
        cmocka_unit_test(builds_replaces_and_truncates),
        cmocka_unit_test(takes_tools_and_formats_of_the_api),
        cmocka_unit_test(parsed_messages_render_again),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
