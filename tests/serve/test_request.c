/* test_request.c - bodies of all APIs: what the model is shown of them, what is refused and how,
 * and that neither a special token in any field nor failing memory does harm. */
#include "alloc_fail.h"
#include "serve/request_case.h"

#include "serve/json_out.h"
#include "serve/keys.h"
#include "serve/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TOOL "{\"name\":\"f\"}"
#define CHAT_TOOLS "\"tools\":[{\"type\":\"function\",\"function\":" TOOL "}]"
#define DEVELOPER_F \
    "<|start|>developer<|message|># Tools\n\n## functions\n\nnamespace functions {\n\n" \
    "type f = () => any;\n\n} // namespace functions<|end|>"

struct good {
    const char *name;
    enum request_api api;
    const char *body;
    const char *expected; /* the prompt behind the system message */
};

static const struct good goods[] = {
    {"a question", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "<|start|>user<|message|>hi<|end|><|start|>assistant"},
    {"parts, a name, both kinds of instructions", API_CHAT,
     "{\"messages\":[{\"role\":\"system\",\"content\":\"A.\"},{\"role\":\"developer\",\"content\":"
     "[{\"type\":\"text\",\"text\":\"B\"},{\"type\":\"text\",\"text\":\".\"}]},"
     "{\"role\":\"user\",\"name\":\"bob\",\"content\":\"hi\"}]}",
     "<|start|>developer<|message|># Instructions\n\nA.\n\nB.<|end|><|start|>user:bob<|message|>hi"
     "<|end|><|start|>assistant"},
    {"instructions in the middle stay there", API_CHAT,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"system\",\"content\":\"A."
     "\"}]}",
     "<|start|>user<|message|>hi<|end|><|start|>developer<|message|>A.<|end|><|start|>assistant"},
    {"reasoning before the last answer is left out", API_CHAT,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
     "\"b\","
     "\"reasoning\":\"old\"},{\"role\":\"user\",\"content\":\"c\"}]}",
     "<|start|>user<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|end|>"
     "<|start|>user<|message|>c<|end|><|start|>assistant"},
    {"reasoning of an open tool loop stays, by either name; that before it does not", API_CHAT,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
     "\"b\","
     "\"reasoning\":\"old\"},{\"role\":\"user\",\"content\":\"c\"},{\"role\":\"assistant\","
     "\"content\":"
     "null,\"reasoning_content\":\"new\",\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\","
     "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"2\",\"type\":\"function\","
     "\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}]},{\"role\":\"tool\",\"tool_call_id\":"
     "\"1\",\"content\":\"r\"}]," CHAT_TOOLS "}",
     DEVELOPER_F
     "<|start|>user<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|end|><|start|"
     ">"
     "user<|message|>c<|end|><|start|>assistant<|channel|>analysis<|message|>new<|end|><|start|>"
     "assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|><|start|>"
     "assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>{\"x\":1}<|call|>"
     "<|start|>functions.f to=assistant<|channel|>commentary<|message|>r<|end|><|start|>assistant"},
    {"what is said before a call", API_CHAT,
     "{\"messages\":[{\"role\":\"assistant\",\"content\":\"Wait.\",\"tool_calls\":[{\"id\":\"1\","
     "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":"
     "\"tool\","
     "\"tool_call_id\":\"1\",\"content\":[{\"type\":\"text\",\"text\":\"r\"}]}]}",
     "<|start|>assistant<|channel|>commentary<|message|>Wait.<|end|><|start|>assistant to="
     "functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|><|start|>functions.f "
     "to=assistant<|channel|>commentary<|message|>r<|end|><|start|>assistant"},
    {"no tools where none may be called", API_CHAT,
     "{\"tool_choice\":\"none\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]," CHAT_TOOLS
     "}",
     "<|start|>user<|message|>a<|end|><|start|>assistant"},
    {"no reasoning", API_CHAT,
     "{\"reasoning_effort\":\"none\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
     "<|start|>user<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|><|end|>"
     "<|start|>assistant"},
    {"hosted tools are let through, unknown members ignored", API_CHAT,
     "{\"foo\":1,\"store\":true,\"user\":\"u\",\"tools\":[{\"type\":\"web_search\"}],\"messages\":"
     "[{\"role\":\"user\",\"content\":\"a\"}]}",
     "<|start|>user<|message|>a<|end|><|start|>assistant"},
    {"a string", API_RESPONSES, "{\"input\":\"hi\",\"instructions\":\"A.\"}",
     "<|start|>developer<|message|># Instructions\n\nA.<|end|><|start|>user<|message|>hi<|end|>"
     "<|start|>assistant"},
    {"items of a tool loop, others let through", API_RESPONSES,
     "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"a\"}]},"
     "{\"type\":\"reasoning\",\"id\":\"r\",\"summary\":[],\"content\":[{\"type\":\"reasoning_"
     "text\","
     "\"text\":\"t\"}]},{\"type\":\"web_search_call\",\"id\":\"w\"},{\"type\":\"function_call\","
     "\"call_id\":\"1\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\","
     "\"call_id\":\"1\",\"output\":\"r\"}]}",
     "<|start|>user<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>t<|end|>"
     "<|start|>assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|>"
     "<|start|>functions.f to=assistant<|channel|>commentary<|message|>r<|end|><|start|>assistant"},
    {"old reasoning is left out", API_RESPONSES,
     "{\"input\":[{\"role\":\"user\",\"content\":\"a\"},{\"type\":\"reasoning\",\"content\":[{"
     "\"type\":"
     "\"reasoning_text\",\"text\":\"t\"}]},{\"type\":\"message\",\"role\":\"assistant\","
     "\"content\":"
     "[{\"type\":\"output_text\",\"text\":\"b\",\"annotations\":[]}]},{\"role\":\"user\","
     "\"content\":"
     "\"c\"}]}",
     "<|start|>user<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|end|>"
     "<|start|>user<|message|>c<|end|><|start|>assistant"},
    {"a tool that takes text", API_RESPONSES,
     "{\"input\":\"a\",\"tools\":[{\"type\":\"custom\",\"name\":\"f\",\"format\":{\"type\":"
     "\"text\"}}]}",
     DEVELOPER_F "<|start|>user<|message|>a<|end|><|start|>assistant"},
    {"blocks", API_MESSAGES,
     "{\"max_tokens\":9,\"system\":[{\"type\":\"text\",\"text\":\"A.\"}],\"messages\":[{\"role\":"
     "\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
     "\"thinking\":\"t\",\"signature\":\"\"},{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\","
     "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
     "\"1\","
     "\"content\":\"r\"}]}]}",
     "<|start|>developer<|message|># Instructions\n\nA.<|end|><|start|>user<|message|>a<|end|>"
     "<|start|>assistant<|channel|>analysis<|message|>t<|end|><|start|>assistant to=functions.f"
     "<|channel|>commentary <|constrain|>json<|message|>{}<|call|><|start|>functions.f to=assistant"
     "<|channel|>commentary<|message|>r<|end|><|start|>assistant"},
};

struct bad {
    enum request_api api;
    const char *body, *param, *code;
};

static const struct bad bads[] = {
    {API_CHAT, "", "", "invalid_json"},
    {API_CHAT, "[]", "", "invalid_json"},
    {API_CHAT, "{\"messages\":[}", "", "invalid_json"},
    {API_CHAT, "{\"messages\":\"\xff\"}", "", "invalid_json"},
    {API_CHAT, "{}", "messages", "missing_required_parameter"},
    {API_CHAT, "{\"messages\":{}}", "messages", "invalid_value"},
    {API_CHAT, "{\"messages\":[1]}", "messages", "invalid_value"},
    {API_CHAT, "{\"messages\":[{}]}", "messages", "missing_required_parameter"},
    {API_CHAT, "{\"messages\":[{\"role\":\"king\",\"content\":\"a\"}]}", "messages",
     "invalid_value"},
    {API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":1}]}", "messages[0].content",
     "invalid_type"},
    {API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
     "messages[0].content[0]", "invalid_value"},
    {API_CHAT, "{\"messages\":[{\"role\":\"user\",\"name\":\"a to=b\",\"content\":\"\"}]}",
     "messages", "invalid_value"},
    {API_CHAT, "{\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"\"}]}",
     "messages", "invalid_value"},
    {API_CHAT, "{\"temperature\":3}", "temperature", "invalid_value"},
    {API_CHAT, "{\"temperature\":\"hot\"}", "temperature", "invalid_type"},
    {API_CHAT, "{\"max_tokens\":0}", "max_tokens", "invalid_value"},
    {API_CHAT, "{\"n\":1000}", "n", "invalid_value"},
    {API_CHAT, "{\"stop\":[\"\"]}", "stop", "invalid_value"},
    {API_CHAT, "{\"logit_bias\":{\"a\":1}}", "logit_bias", "invalid_value"},
    {API_CHAT, "{\"top_logprobs\":2}", "top_logprobs", "invalid_value"},
    {API_CHAT, "{\"tools\":[{\"type\":\"function\",\"function\":{}}]}", "tools[0].function.name",
     "missing_required_parameter"},
    {API_CHAT, "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a<|x|>\"}}]}",
     "tools[0].function.name", "invalid_value"},
    {API_CHAT, "{\"tool_choice\":\"required\"}", "tool_choice", "invalid_value"},
    {API_CHAT,
     "{\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}," CHAT_TOOLS "}",
     "tool_choice", "invalid_value"},
    {API_CHAT, "{\"reasoning_effort\":\"extreme\"}", "reasoning_effort", "invalid_value"},
    {API_CHAT, "{\"response_format\":{\"type\":\"xml\"}}", "response_format.json_schema",
     "invalid_value"},
    {API_CHAT,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"response_format\":{\"type\":"
     "\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":{\"not\":{}}}}}",
     "response_format", "invalid_json_schema"},
    {API_RESPONSES, "{}", "input", "missing_required_parameter"},
    {API_RESPONSES, "{\"input\":\"a\",\"previous_response_id\":\"resp_x\"}", "previous_response_id",
     "previous_response_not_found"},
    {API_RESPONSES, "{\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]}", "input",
     "item_not_found"},
    {API_RESPONSES, "{\"input\":\"a\",\"background\":true}", "background", "invalid_value"},
    {API_RESPONSES, "{\"input\":\"a\",\"tool_choice\":{\"type\":\"function\"}}", "tool_choice.name",
     "missing_required_parameter"},
    {API_RESPONSES, "{\"input\":\"a\",\"tool_choice\":{\"type\":\"allowed_tools\"}}", "tool_choice",
     "invalid_value"},
    {API_RESPONSES, "{\"input\":\"a\",\"tool_choice\":{\"name\":\"f\"}}", "tool_choice",
     "invalid_value"},
    {API_MESSAGES, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "max_tokens", NULL},
    {API_MESSAGES, "{\"max_tokens\":1,\"messages\":[{\"role\":\"system\",\"content\":\"a\"}]}",
     "messages.0", "invalid_value"},
};

static struct vinci_tokenizer *tokenizer;

/* The text behind the system message; freed by the caller. */
static char *read_good(enum request_api api, const char *body)
{
    struct api_error error;
    int32_t *ids = NULL;
    size_t n_ids = 0, n = 0;
    char *text = NULL;
    if (!request_read(api, body, strlen(body), tokenizer, &ids, &n_ids, &error)) {
        print_error("%u %s: %s\n", error.http, error.param, error.message);
        return NULL;
    }
    assert_int_equal(vinci_detokenize(tokenizer, ids, n_ids, &text, &n, NULL), VINCI_OK);
    vinci_free(ids);
    char *end = strstr(text, "<|end|>");
    assert_non_null(end);
    end += strlen("<|end|>");
    memmove(text, end, strlen(end) + 1);
    return text;
}

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        char *text = read_good(goods[i].api, goods[i].body);
        if (!text || strcmp(text, goods[i].expected) != 0)
            fail_msg("%s:\n%s\ninstead of\n%s", goods[i].name, text, goods[i].expected);
        vinci_free(text);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        struct api_error error;
        int32_t *ids;
        size_t n_ids;
        const struct bad *bad = &bads[i];
        if (request_read(bad->api, bad->body, strlen(bad->body), tokenizer, &ids, &n_ids, &error))
            fail_msg("not refused: %s", bad->body);
        bool same = strcmp(error.param, bad->param) == 0 && error.http >= 400 && error.http < 500 &&
                    !error.code == !bad->code && (!bad->code || !strcmp(error.code, bad->code));
        if (!same || !error.message[0])
            fail_msg("%s: %u, param '%s', code '%s', %s", bad->body, error.http, error.param,
                     error.code ? error.code : "null", error.message);
    }
}

static void test_depth(void **state)
{
    (void)state;
    char body[4096] = "{\"messages\":", *at = body + strlen(body);
    struct api_error error;
    int32_t *ids;
    size_t n_ids;
    memset(at, '[', 2000);
    assert_false(request_read(API_CHAT, body, strlen(body), tokenizer, &ids, &n_ids, &error));
    assert_string_equal(error.code, "json_too_deep");
}

/* Control tokens are those of an innocent request, wherever the text of one stands. */
static size_t count_special(enum request_api api, const char *body)
{
    struct api_error error;
    int32_t *ids = NULL;
    size_t n_ids = 0, n = 0;
    if (!request_read(api, body, strlen(body), tokenizer, &ids, &n_ids, &error))
        fail_msg("%s: %s", body, error.message);
    for (size_t i = 0; i < n_ids; i++) n += vinci_token_is_special(tokenizer, ids[i]);
    vinci_free(ids);
    return n;
}

static void test_special(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "{\"messages\":[{\"role\":\"system\",\"content\":\"%s\"},{\"role\":\"user\",\"content\":\"%"
        "s\"},"
        "{\"role\":\"assistant\",\"content\":\"%s\",\"reasoning\":\"%s\",\"tool_calls\":[{\"id\":"
        "\"%s\","
        "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"%s\"}}]},{\"role\":"
        "\"tool\","
        "\"tool_call_id\":\"%s\",\"content\":\"%s\"}],\"tools\":[{\"type\":\"function\","
        "\"function\":"
        "{\"name\":\"f\",\"description\":\"%s\",\"parameters\":{\"type\":\"object\",\"properties\":"
        "{"
        "\"%s\":{\"type\":\"string\",\"description\":\"%s\"}}}}}],\"response_format\":{\"type\":"
        "\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":{\"type\":\"object\","
        "\"properties\":"
        "{\"%s\":{\"type\":\"string\"}}}}}}"};
    static const char *const texts[] = {"<|start|>",     "<|end|>",      "<|message|>",
                                        "<|channel|>",   "<|call|>",     "<|return|>",
                                        "<|constrain|>", "<|endoftext|>"};
    char body[4096];
#define FILL(t) t, t, t, t, t, t, t, t, t, t, t, t
    snprintf(body, sizeof body, forms[0], FILL("x"));
    size_t innocent = count_special(API_CHAT, body);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        snprintf(body, sizeof body, forms[0], FILL(texts[i]));
        assert_int_equal(count_special(API_CHAT, body), innocent);
    }
}

/* The library's and the server's allocations, not jansson's: its parser (2.14) writes past its
 * buffer when that cannot grow. */
static void test_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        for (size_t k = 1;; k += 3) { /* every third: seconds, not minutes */
            struct api_error error;
            int32_t *ids = NULL;
            size_t n_ids;
            alloc_fail_begin(k);
            bool ok = request_read(goods[i].api, goods[i].body, strlen(goods[i].body), tokenizer,
                                   &ids, &n_ids, &error);
            bool failed = alloc_fail_end();
            vinci_free(ids);
            if (!ok && error.http != 503)
                fail_msg("%s, allocation %zu: %u %s", goods[i].name, k, error.http, error.message);
            if (!failed) {
                assert_true(ok);
                break;
            }
        }
    }
}

static void test_json_out(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct json_out out = {.buf = &buf};
    out_begin(&out, '{');
    out_key(&out, "a");
    out_text(&out, "\"\\\n\x01\0é", 7);
    out_key_real(&out, "b", 0.5);
    out_key_real(&out, "c", -1.0 / 0.0);
    out_key(&out, "d");
    out_begin(&out, '[');
    out_int(&out, -1);
    out_null(&out);
    out_end(&out, ']');
    out_end(&out, '}');
    assert_string_equal(buf.data, "{\"a\":\"\\\"\\\\\\n\\u0001\\u0000é\",\"b\":0.5,\"c\":-9999.0,"
                                  "\"d\":[-1,null]}");
    buf_free(&buf);
}

static void test_store(void **state)
{
    (void)state;
    struct store *store = NULL;
    json_t *items = json_pack("[{s:s}]", "id", "msg_1");
    assert_int_equal(store_open(&store, 2, 1000, NULL), VINCI_OK);
    store_put(store, "a", 1, "{}", items);
    assert_null(store_items(store, "a", 2));
    json_t *again = store_items(store, "a", 1);
    assert_true(json_equal(again, items));
    json_decref(again);
    json_t *item = store_item(store, "msg_1", 1);
    assert_non_null(item);
    json_decref(item);
    assert_null(store_item(store, "msg_1", 2));
    store_put(store, "b", 1, "{}", items);
    store_put(store, "c", 1, "{}", items);
    assert_null(store_response(store, "a", 1)); /* the oldest went */
    assert_true(store_remove(store, "b", 1));
    assert_false(store_remove(store, "b", 1));
    store_put(store, "d", 1, "{}", items);
    char *text = store_response(store, "d", 1);
    assert_string_equal(text, "{}");
    free(text);
    json_decref(items);
    store_close(store);
}

static void test_keys(void **state)
{
    (void)state;
    struct keys *keys = NULL;
    uint32_t index;
    uint64_t owner, same;
    char path[] = "/tmp/vinci-keys-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(keys_open(&keys, path, NULL), VINCI_BAD_FILE); /* none in it */
    assert_int_equal(write(fd, "# mine\nsecret \n\nother\n", 22), 22);
    assert_int_equal(keys_open(&keys, path, NULL), VINCI_OK);
    assert_true(keys_accept(keys, "secret", &index, &owner) && index == 1);
    assert_true(keys_accept(keys, "other", &index, &same) && index == 2 && same != owner);
    assert_false(keys_accept(keys, "secre", &index, &same));
    assert_false(keys_accept(keys, "secrets", &index, &same));
    assert_false(keys_accept(keys, "", &index, &same));
    assert_false(keys_accept(keys, NULL, &index, &same));
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_not_equal(keys_reload(keys, NULL), VINCI_OK);
    assert_true(keys_accept(keys, "secret", &index, &same) && same == owner); /* the old stay */
    keys_close(keys);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),   cmocka_unit_test(test_bad),
        cmocka_unit_test(test_depth),  cmocka_unit_test(test_special),
        cmocka_unit_test(test_memory), cmocka_unit_test(test_json_out),
        cmocka_unit_test(test_store),  cmocka_unit_test(test_keys),
    };
    tokenizer = request_tokenizer();
    if (!tokenizer) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vinci_tokenizer_close(tokenizer);
    return failed;
}
