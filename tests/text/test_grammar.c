/* test_grammar.c - JSON schemas and regular expressions as grammars: what they accept, what is
 * refused and how; masks against trying every token; random texts, finished from anywhere, against
 * a validator that knows nothing of grammars; hostile input; failing allocations; time a token. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "alloc_fail.h"
#include "base/random.h"
#include "text/grammar.h"
#include "tokenizer_case.h"

#include <jansson.h>
#include <math.h>
#include <pcre2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NANO TEST_VECTORS "/../../models/nano"

static struct vinci_tokenizer *nano, *published;
static uint64_t n_drawn;

static int set_up(void **state)
{
    (void)state;
    struct vinci_error err;
    if (vinci_tokenizer_open(&nano, NANO, &err) ||
        vinci_tokenizer_open(&published, PUBLISHED_TIKTOKEN, &err)) {
        print_message("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vinci_tokenizer_close(nano);
    vinci_tokenizer_close(published);
    return 0;
}

static uint32_t draw(uint32_t n)
{
    return (uint32_t)(random_uniform(4711, n_drawn++) * n);
}

static struct vinci_grammar *compile(const struct vinci_tokenizer *tokenizer, const char *schema)
{
    struct vinci_grammar *grammar = NULL;
    struct vinci_error err;
    if (vinci_grammar_json_schema(&grammar, tokenizer, schema, strlen(schema), &err))
        fail_msg("%s: %s", schema, err.text);
    return grammar;
}

static bool accepts(const struct vinci_grammar *grammar, const char *text)
{
    bool ok;
    struct vinci_error err;
    assert_int_equal(vinci_grammar_accepts(grammar, text, strlen(text), &ok, &err), VINCI_OK);
    return ok;
}

/* ---- what is accepted ---------------------------------------------------------------------- */

#define OBJECT(properties, required) \
    "{\"type\":\"object\",\"properties\":{" properties "},\"required\":[" required \
    "],\"additionalProperties\":false}"

static const struct {
    const char *schema;
    const char *yes[8], *no[8];
} cases[] = {
    {"{\"type\":\"string\"}",
     {"\"\"", "\"a b\"", "\"\\u00e9\\n\\\"\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"",
      "\"\\ud83d\\ude00\""},
     {"", "a", "\"", "\"\n\"", "\"\\x\"", "\"\\ud83d\"", "\"\xff\"", "\"\\u0000\""}},
    {"{\"type\":\"integer\"}",
     {"0", "-7", "123456789012345678"},
     {"01", "1.0", "-", "+1", "1e3", "1234567890123456789", " 1"}},
    {"{\"type\":\"number\"}",
     {"0", "-0.5", "1e3", "12.25E-10"},
     {".5", "1.", "1e", "1e100", "NaN", "00"}},
    {"{\"type\":\"boolean\"}", {"true", "false"}, {"True", "tru", "truefalse", "null"}},
    {"{\"type\":[\"string\",\"null\"]}", {"null", "\"x\""}, {"1", "nul"}},
    {"{}", {"1", "\"a\"", "[1, {\"a\": [true]}]", "{\"a\":{}}"}, {"", "[1,]", "{a:1}", "[1 ]x"}},
    {"{\"type\":\"object\"}", {"{}", "{\"a\": 1,\n  \"b\": []}"}, {"[]", "{\"a\"}", "{\"a\":1,}"}},
    {"{\"enum\":[\"a\",\"a\\\"b\",1,12,null,{\"k\":[1.5]}]}",
     {"\"a\"", "\"a\\\"b\"", "1", "12", "null", "{\"k\":[1.5]}"},
     {"\"b\"", "2", "123", "{\"k\":[]}"}},
    {"{\"type\":\"integer\",\"enum\":[1,2.0,\"3\"]}", {"1", "2"}, {"\"3\"", "3"}},
    {"{\"const\":\"x y\"}", {"\"x y\""}, {"\"x\"", "x y"}},
    {OBJECT("\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"boolean\"}", "\"a\",\"b\""),
     {"{\"a\":1,\"b\":true}", "{ \"a\": 1, \"b\": false }", "{\n  \"a\": 1,\n  \"b\": true\n}"},
     {"{}", "{\"a\":1}", "{\"b\":true,\"a\":1}", "{\"a\":1,\"b\":true,\"c\":1}",
      "{\"a\":1 ,\"b\":true}", "{\"a\":1,\"b\":true}}"}},
    {OBJECT("\"a\":{},\"b\":{},\"c\":{}", "\"b\""),
     {"{\"b\":1}", "{\"a\":1,\"b\":2}", "{\"b\":1,\"c\":2}", "{\"a\":1,\"b\":2,\"c\":3}"},
     {"{}", "{\"a\":1}", "{\"a\":1,\"c\":2}", "{\"b\":1,\"a\":2}", "{,\"b\":1}"}},
    {OBJECT("\"a\":{},\"b\":{}", ""),
     {"{}", "{\"b\":1}", "{\"a\":1}"},
     {"{,}", "{\"b\":1,\"a\":1}"}},
    {OBJECT("", ""), {"{}"}, {"{\"a\":1}", "{ }"}},
    {OBJECT("\"a/\\\"~\xc3\xa9\":{}", "\"a/\\\"~\xc3\xa9\""), {"{\"a/\\\"~\xc3\xa9\":0}"}, {"{}"}},
    {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}",
     {"{}", "{\"x\":1, \"y\":2}"},
     {"{\"x\":\"1\"}"}},
    {"{\"type\":\"array\",\"items\":{\"type\":\"null\"}}",
     {"[]", "[null]", "[null, null,null]"},
     {"[1]", "[null,]", "[,null]"}},
    {"{\"type\":\"array\",\"items\":{\"type\":\"null\"},\"minItems\":2,\"maxItems\":3}",
     {"[null,null]", "[null,null,null]"},
     {"[]", "[null]", "[null,null,null,null]"}},
    {"{\"type\":\"array\",\"minItems\":2}", {"[1,2]", "[1,2,3]"}, {"[]", "[1]"}},
    {"{\"type\":\"array\",\"maxItems\":0}", {"[]"}, {"[1]"}},
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}]}",
     {"1", "[]", "[1,[2,[]]]"},
     {"\"a\"", "[[]", "[1,null]"}},
    {"{\"$ref\":\"#/$defs/list\",\"$defs\":{\"list\":{\"anyOf\":[{\"type\":\"null\"},"
     "{\"$ref\":\"#/$defs/no~1de\"}]},\"no/de\":" OBJECT(
         "\"v\":{\"type\":\"integer\"},\"n\":{\"$ref\":\"#/$defs/list\"}", "\"v\",\"n\"") "}}",
     {"null", "{\"v\":1,\"n\":null}", "{\"v\":1,\"n\":{\"v\":2,\"n\":null}}"},
     {"{\"v\":1}", "{\"v\":1,\"n\":{}}"}},
    {"{\"type\":\"integer\",\"minimum\":0}", {"0", "17"}, {"-1", "-0"}},
    {"{\"type\":\"integer\",\"minimum\":-12,\"exclusiveMaximum\":105}",
     {"-12", "-9", "-1", "0", "99", "104"},
     {"-13", "105", "110", "-20", "-0", "1000"}},
    {"{\"type\":\"integer\",\"exclusiveMinimum\":1.5,\"maximum\":3}", {"2", "3"}, {"1", "4"}},
    {"{\"type\":\"number\",\"minimum\":-0.5,\"maximum\":10.25}",
     {"-0.5", "-0.25", "0", "0.0", "10.25", "10.250", "9.99", "10"},
     {"-0.51", "10.2501", "10.26", "11", "-1", "1e1"}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}",
     {"0.1", "0.0001", "0.999"},
     {"0", "0.0", "1", "1.0", "-0.5"}},
    {"{\"type\":\"number\",\"maximum\":-3}", {"-3", "-3.5", "-100"}, {"-2.9", "0", "3"}},
    {"{\"type\":\"string\",\"pattern\":\"^[a-c]{2,3}$\"}",
     {"\"ab\"", "\"abc\""},
     {"\"a\"", "\"abcd\"", "ab"}},
    {"{\"type\":\"string\",\"pattern\":\"b|^a$\"}",
     {"\"a\"", "\"xbx\"", "\"\\nb\""},
     {"\"aa\"", "\"\""}},
    {"{\"type\":\"string\",\"pattern\":\"^\\\\d+(?:\\\\.\\\\d{1,2})?\\\\s?(?<u>kg|\\\\u00b5g)$\"}",
     {"\"1kg\"", "\"12.5 \xc2\xb5g\""},
     {"\"kg\"", "\"1.kg\"", "\"1.555kg\""}},
    {"{\"type\":\"string\",\"pattern\":\"^[^\\\"a]\\\\W.$\"}",
     {"\"b-\xe2\x82\xac\"", "\"\\\\ x\""},
     {"\"\\\"-x\"", "\"bbx\"", "\"b-\\n\""}},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"\xc3\xa9\xf0\x9f\x98\x80\\n\""},
     {"\"a\"", "\"abcd\""}},
    {"{\"type\":\"string\",\"format\":\"date\"}",
     {"\"2024-02-29\"", "\"2023-12-31\"", "\"2000-02-29\""},
     {"\"2023-02-29\"", "\"1900-02-29\"", "\"2023-04-31\"", "\"2023-1-01\"", "\"2023-13-01\""}},
    {"{\"type\":\"string\",\"format\":\"date-time\"}",
     {"\"2024-02-29T23:59:59Z\"", "\"2024-01-01T00:00:00.25+05:30\""},
     {"\"2024-01-01\"", "\"2024-01-01T24:00:00Z\"", "\"2024-01-01T00:00:00\""}},
    {"{\"type\":\"string\",\"format\":\"time\"}",
     {"\"12:00:00Z\""},
     {"\"12:00\"", "\"12:60:00Z\""}},
    {"{\"type\":\"string\",\"format\":\"duration\"}",
     {"\"P3W\"", "\"P1Y2M3DT4H5M6S\"", "\"PT5M\"", "\"P1D\""},
     {"\"P\"", "\"PT\"", "\"P1H\"", "\"P1YT\""}},
    {"{\"type\":\"string\",\"format\":\"email\"}",
     {"\"a.b@example.org\""},
     {"\"a@b\"", "\"@b.org\"", "\"a b@c.org\""}},
    {"{\"type\":\"string\",\"format\":\"hostname\"}",
     {"\"a-b.example\"", "\"localhost\""},
     {"\"-a\"", "\"a..b\"", "\"\""}},
    {"{\"type\":\"string\",\"format\":\"ipv4\"}",
     {"\"192.168.0.1\"", "\"0.0.0.0\""},
     {"\"256.1.1.1\"", "\"1.1.1\"", "\"01.1.1.1\""}},
    {"{\"type\":\"string\",\"format\":\"ipv6\"}",
     {"\"::\"", "\"::1\"", "\"2001:db8::1\"", "\"1:2:3:4:5:6:7:8\"", "\"1::\""},
     {"\":\"", "\"1:2:3\"", "\"12345::\"", "\"g::\""}},
    {"{\"type\":\"string\",\"format\":\"uuid\"}",
     {"\"123e4567-e89b-12d3-a456-426614174000\""},
     {"\"123e4567e89b12d3a456426614174000\"", "\"123e4567-e89b-12d3-a456-42661417400\""}},
    {"{\"properties\":{\"a\":{}},\"title\":\"t\",\"x-note\":1}",
     {"{}", "{\"a\":1}"},
     {"{\"b\":1}", "1"}},
};

static void test_accepts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vinci_grammar *grammar = compile(nano, cases[i].schema);
        for (size_t k = 0; k < 8 && cases[i].yes[k]; k++)
            if (!accepts(grammar, cases[i].yes[k]))
                fail_msg("%s does not accept %s", cases[i].schema, cases[i].yes[k]);
        for (size_t k = 0; k < 8 && cases[i].no[k]; k++)
            if (accepts(grammar, cases[i].no[k]))
                fail_msg("%s accepts %s", cases[i].schema, cases[i].no[k]);
        vinci_grammar_close(grammar);
    }
}

/* ---- what is refused ----------------------------------------------------------------------- */

static const struct {
    const char *schema;
    enum vinci_status status;
    const char *text; /* part of the sentence */
} refused[] = {
    {"[]", VINCI_BAD_FILE, "#"},
    {"{", VINCI_BAD_FILE, "not a JSON"},
    {"{\"type\":\"strin\"}", VINCI_BAD_FILE, "strin"},
    {"{\"type\":7}", VINCI_BAD_FILE, "type"},
    {"{\"oneOf\":[{}]}", VINCI_UNSUPPORTED, "oneOf"},
    {OBJECT("\"a\":{\"type\":\"array\",\"items\":{\"not\":{}}}", "\"a\""), VINCI_UNSUPPORTED,
     "#/properties/a/items: the keyword 'not'"},
    {OBJECT("\"a/b\":{\"allOf\":[]}", ""), VINCI_UNSUPPORTED,
     "#/properties/a~1b: the keyword 'allOf'"},
    {"{\"type\":\"number\",\"multipleOf\":2}", VINCI_UNSUPPORTED, "multipleOf"},
    {"{\"type\":\"array\",\"uniqueItems\":true}", VINCI_UNSUPPORTED, "uniqueItems"},
    {"{\"type\":\"string\",\"format\":\"color\"}", VINCI_UNSUPPORTED, "color"},
    {"{\"type\":\"string\",\"pattern\":\"a\",\"format\":\"date\"}", VINCI_UNSUPPORTED, "only one"},
    {"{\"anyOf\":[{}],\"type\":\"object\"}", VINCI_UNSUPPORTED, "anyOf"},
    {"{\"anyOf\":[{\"type\":\"null\"},{\"anyOf\":[]}]}", VINCI_BAD_FILE, "#/anyOf/1"},
    {"{\"enum\":[]}", VINCI_BAD_FILE, "enum"},
    {"{\"type\":\"string\",\"enum\":[1]}", VINCI_USAGE, "of the type"},
    {"{\"$ref\":\"#/$defs/x\"}", VINCI_BAD_FILE, "leads nowhere"},
    {"{\"$ref\":\"other.json\"}", VINCI_UNSUPPORTED, "other documents"},
    {"{\"$ref\":\"#\"}", VINCI_USAGE, "$ref"},
    {"{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}", VINCI_USAGE, "refers to itself"},
    {OBJECT("\"a\":{\"$ref\":\"#\"}", "\"a\""), VINCI_USAGE, "no finite value"},
    {"{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"minItems\":1}", VINCI_USAGE, "no finite"},
    {"{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}", VINCI_USAGE, "no finite"},
    {"{\"type\":\"array\",\"minItems\":3,\"maxItems\":2}", VINCI_USAGE, "maxItems"},
    {"{\"type\":\"array\",\"minItems\":-1}", VINCI_BAD_FILE, "minItems"},
    {"{\"type\":\"array\",\"maxItems\":1000000}", VINCI_LIMIT, "maxItems"},
    {"{\"type\":\"object\",\"required\":[\"a\"]}", VINCI_UNSUPPORTED, "'a'"},
    {"{\"properties\":{\"a\":{}},\"additionalProperties\":true}", VINCI_UNSUPPORTED, "additional"},
    {"{\"properties\":{\"a\":3}}", VINCI_BAD_FILE, "#/properties/a"},
    {"{\"type\":\"string\",\"pattern\":\"(\"}", VINCI_BAD_FILE, ") is missing"},
    {"{\"type\":\"string\",\"pattern\":\"a)\"}", VINCI_BAD_FILE, "( is missing"},
    {"{\"type\":\"string\",\"pattern\":\"*a\"}", VINCI_BAD_FILE, "repeat"},
    {"{\"type\":\"string\",\"pattern\":\"[b-a]\"}", VINCI_BAD_FILE, "range"},
    {"{\"type\":\"string\",\"pattern\":\"\\\\bword\"}", VINCI_UNSUPPORTED, "\\b"},
    {"{\"type\":\"string\",\"pattern\":\"(?=a)\"}", VINCI_UNSUPPORTED, "look-around"},
    {"{\"type\":\"string\",\"pattern\":\"(a)\\\\1\"}", VINCI_UNSUPPORTED, "escape"},
    {"{\"type\":\"string\",\"pattern\":\"a$b\"}", VINCI_UNSUPPORTED, "$"},
    {"{\"type\":\"string\",\"pattern\":\"a{2000}\"}", VINCI_LIMIT, "1000"},
    {"{\"type\":\"string\",\"pattern\":\"((a{900}){900}){900}\"}", VINCI_LIMIT, "too large"},
    {"{\"type\":\"string\",\"pattern\":\"(a|b)*a(a|b){20}\"}", VINCI_LIMIT, "too complex"},
    {"{\"type\":\"string\",\"pattern\":\"^[^\\\\s\\\\S]$\"}", VINCI_USAGE, "no finite"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct vinci_grammar *grammar = NULL;
        struct vinci_error err = {0};
        enum vinci_status status = vinci_grammar_json_schema(&grammar, nano, refused[i].schema,
                                                             strlen(refused[i].schema), &err);
        if (status != refused[i].status || !strstr(err.text, refused[i].text) || grammar)
            fail_msg("%s: %s '%s'", refused[i].schema, vinci_status_name(status), err.text);
    }
}

/* Large and deep ones end in a grammar or an error, soon. */
static void test_hostile(void **state)
{
    (void)state;
    struct vinci_error err;
    struct vinci_grammar *grammar = NULL;
    struct buf text = {0};
    for (int i = 0; i < 1500; i++) buf_append_text(&text, "{\"type\":\"array\",\"items\":");
    buf_append_text(&text, "{}");
    for (int i = 0; i < 1500; i++) buf_append_text(&text, "}");
    assert_int_equal(vinci_grammar_json_schema(&grammar, nano, text.data, text.size, &err),
                     VINCI_OK);
    vinci_grammar_close(grammar);
    text.size = 0;
    buf_append_text(&text, "{\"properties\":{"); /* each way through doubles */
    for (int i = 0; i < 200; i++) buf_printf(&text, "%s\"k%d\":{\"$ref\":\"#\"}", i ? "," : "", i);
    buf_append_text(&text, "}}");
    grammar = compile(nano, text.data);
    assert_true(accepts(grammar, "{\"k3\":{\"k7\":{}},\"k199\":{}}"));
    vinci_grammar_close(grammar);
    text.size = 0; /* two readings of every level */
    buf_append_text(&text,
                    "{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"array\",\"items\":{\"$ref\":"
                    "\"#\"}},{\"type\":\"array\",\"items\":{\"anyOf\":[{\"$ref\":\"#\"},{"
                    "\"type\":\"integer\"}]}}]}");
    grammar = compile(nano, text.data);
    struct grammar_matcher *matcher = NULL;
    const uint32_t *mask;
    bool ok;
    assert_int_equal(grammar_matcher_create(&matcher, grammar, &err), VINCI_OK);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(grammar_matcher_advance(matcher, "[", 1, &ok, &err), VINCI_OK);
        assert_true(ok);
    }
    assert_int_equal(grammar_matcher_mask(matcher, &mask, &err), VINCI_OK);
    grammar_matcher_free(matcher);
    vinci_grammar_close(grammar);
    text.size = 0;
    buf_append_text(&text, "{\"enum\":[");
    for (int i = 0; i < 60000; i++) buf_printf(&text, "%s\"v%d\"", i ? "," : "", i * 7919);
    buf_append_text(&text, "]}");
    enum vinci_status status =
        vinci_grammar_json_schema(&grammar, nano, text.data, text.size, &err);
    assert_true(status == VINCI_OK || status == VINCI_LIMIT);
    vinci_grammar_close(grammar);
    text.size = 0;
    for (int i = 0; i < (1 << 20) + 1; i++) buf_append(&text, " ", 1);
    assert_int_equal(vinci_grammar_json_schema(&grammar, nano, text.data, text.size, &err),
                     VINCI_LIMIT);
    buf_free(&text);
}

/* ---- a validator --------------------------------------------------------------------------- */

static bool matches(const char *pattern, const json_t *string)
{
    int error;
    PCRE2_SIZE offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &error, &offset, NULL);
    assert_non_null(code);
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
    int n = pcre2_match(code, (PCRE2_SPTR)json_string_value(string), json_string_length(string), 0,
                        0, data, NULL);
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    return n > 0;
}

static bool is_valid(const json_t *root, const json_t *schema, const json_t *value);

static bool is_type(const json_t *value, const char *type)
{
    return strcmp(type, "object") == 0    ? json_is_object(value)
           : strcmp(type, "array") == 0   ? json_is_array(value)
           : strcmp(type, "string") == 0  ? json_is_string(value)
           : strcmp(type, "integer") == 0 ? json_is_integer(value)
           : strcmp(type, "number") == 0  ? json_is_number(value)
           : strcmp(type, "boolean") == 0 ? json_is_boolean(value)
                                          : json_is_null(value);
}

static bool object_is_valid(const json_t *root, const json_t *schema, const json_t *value)
{
    const json_t *properties = json_object_get(schema, "properties"), *name;
    const char *key;
    json_t *member;
    size_t i;
    json_array_foreach(json_object_get(schema, "required"), i, name)
    {
        if (!json_object_get(value, json_string_value(name))) return false;
    }
    json_object_foreach((json_t *)value, key, member)
    {
        const json_t *own = json_object_get(properties, key);
        if (own ? !is_valid(root, own, member)
                : json_is_false(json_object_get(schema, "additionalProperties")))
            return false;
    }
    return true;
}

static bool is_valid(const json_t *root, const json_t *schema, const json_t *value)
{
    const json_t *k, *item;
    size_t i;
    if ((k = json_object_get(schema, "$ref"))) {
        const json_t *at = root;
        char path[256], *save = NULL;
        snprintf(path, sizeof path, "%s", json_string_value(k) + 1);
        for (char *p = strtok_r(path, "/", &save); p; p = strtok_r(NULL, "/", &save))
            at = json_object_get(at, p);
        return is_valid(root, at, value);
    }
    if ((k = json_object_get(schema, "anyOf"))) {
        json_array_foreach(k, i, item)
        {
            if (is_valid(root, item, value)) return true;
        }
        return false;
    }
    if ((k = json_object_get(schema, "enum"))) {
        json_array_foreach(k, i, item)
        {
            if (json_equal(item, value)) return true;
        }
        return false;
    }
    if ((k = json_object_get(schema, "type")) && !is_type(value, json_string_value(k)))
        return false;
    double x = json_number_value(value);
    if ((k = json_object_get(schema, "minimum")) && x < json_number_value(k)) return false;
    if ((k = json_object_get(schema, "maximum")) && x > json_number_value(k)) return false;
    if ((k = json_object_get(schema, "exclusiveMinimum")) && x <= json_number_value(k))
        return false;
    if ((k = json_object_get(schema, "pattern")) && !matches(json_string_value(k), value))
        return false;
    if (json_is_array(value)) {
        size_t n = json_array_size(value);
        if ((k = json_object_get(schema, "minItems")) && n < (size_t)json_integer_value(k))
            return false;
        if ((k = json_object_get(schema, "maxItems")) && n > (size_t)json_integer_value(k))
            return false;
        k = json_object_get(schema, "items");
        for (i = 0; k && i < n; i++)
            if (!is_valid(root, k, json_array_get(value, i))) return false;
    }
    return !json_is_object(value) || object_is_valid(root, schema, value);
}

/* ---- random texts -------------------------------------------------------------------------- */

static const char *const random_schemas[] = {
    "{\"type\":\"object\"}",
    OBJECT(
        "\"name\":{\"type\":\"string\"},\"age\":{\"type\":\"integer\",\"minimum\":-3,\"maximum\":"
        "150},\"ratio\":{\"type\":\"number\",\"exclusiveMinimum\":0.25,\"maximum\":99.5},"
        "\"code\":{\"type\":\"string\",\"pattern\":\"^[A-Z]{2}-\\\\d{3,6}\\\\S*$\"},\"tags\":{"
        "\"type\":\"array\",\"items\":{\"enum\":[\"red\",\"green\",3,null]},\"minItems\":1,"
        "\"maxItems\":4}",
        "\"name\",\"ratio\",\"code\""),
    "{\"anyOf\":[{\"$ref\":\"#/$defs/leaf\"},{\"$ref\":\"#/$defs/tree\"}],\"$defs\":{\"leaf\":{"
    "\"type\":\"boolean\"},\"tree\":" OBJECT("\"left\":{\"$ref\":\"#\"},\"right\":{\"$ref\":\"#\"},"
                                             "\"n\":{\"type\":\"integer\"}",
                                             "\"left\",\"right\"") "}}",
};

static bool in_mask(const uint32_t *mask, uint32_t token)
{
    return mask[token / 32] >> token % 32 & 1;
}

/* A token of the mask: at random, or one that leads to an end. */
static int32_t pick(const struct vinci_tokenizer *tokenizer, const uint32_t *mask, size_t words,
                    bool to_end)
{
    static const char *const endings[] = {"\"", "}", "]", "t", "r", "u", "e", "1", "A", "-"};
    uint32_t n = 0;
    for (size_t i = 0; to_end && i < sizeof endings / sizeof *endings; i++)
        for (uint32_t t = 0; t < 256; t++) { /* single bytes have the lowest ids */
            size_t size;
            const char *bytes = vinci_token_bytes(tokenizer, (int32_t)t, &size);
            if (size == 1 && *bytes == *endings[i] && in_mask(mask, t)) return (int32_t)t;
        }
    for (size_t i = 0; i < words; i++) n += (uint32_t)__builtin_popcount(mask[i]);
    assert_true(n > 0); /* never a dead end */
    n = draw(n);
    for (uint32_t t = 0; t < words * 32; t++)
        if (in_mask(mask, t) && n-- == 0) return (int32_t)t;
    return -1;
}

/* Writes a text: n_random tokens at random, then towards an end. */
static void write_text(const struct vinci_tokenizer *tokenizer, const struct vinci_grammar *grammar,
                       size_t n_random, struct buf *text)
{
    struct grammar_matcher *matcher = NULL;
    struct vinci_error err;
    const uint32_t *mask;
    bool ok;
    assert_int_equal(grammar_matcher_create(&matcher, grammar, &err), VINCI_OK);
    for (size_t n = 0;; n++) {
        if (!grammar_matcher_can_continue(matcher)) break;
        if (n > n_random && grammar_matcher_is_complete(matcher)) break;
        assert_true(n < n_random + 3000);
        assert_int_equal(grammar_matcher_mask(matcher, &mask, &err), VINCI_OK);
        int32_t token = pick(tokenizer, mask, grammar_matcher_words(matcher),
                             n > n_random ? draw(20) > 0 : draw(8) == 0);
        size_t size;
        const char *bytes = vinci_token_bytes(tokenizer, token, &size);
        assert_int_equal(grammar_matcher_advance(matcher, bytes, size, &ok, &err), VINCI_OK);
        assert_true(ok);
        assert_true(buf_append(text, bytes, size));
    }
    assert_true(grammar_matcher_is_complete(matcher));
    grammar_matcher_free(matcher);
}

static void test_random_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof random_schemas / sizeof *random_schemas; i++) {
        json_t *schema = json_loads(random_schemas[i], 0, NULL);
        assert_non_null(schema);
        for (int k = 0; k < 60; k++) {
            const struct vinci_tokenizer *tokenizer = k < 50 ? nano : published;
            struct vinci_grammar *grammar = compile(tokenizer, random_schemas[i]);
            struct buf text = {0};
            json_error_t error;
            write_text(tokenizer, grammar, draw(60), &text);
            json_t *value = json_loadb(text.data, text.size, JSON_DECODE_ANY, &error);
            if (!value) fail_msg("%s: %s", error.text, text.data);
            if (!is_valid(schema, schema, value)) fail_msg("not valid: %s", text.data);
            json_decref(value);
            buf_free(&text);
            vinci_grammar_close(grammar);
        }
        json_t *wrong =
            json_loads("{\"name\":7,\"left\":true}", 0, NULL); /* the validator can say no */
        if (i > 0) assert_false(is_valid(schema, schema, wrong));
        json_decref(wrong);
        json_decref(schema);
    }
}

/* ---- masks --------------------------------------------------------------------------------- */

/* Every token, tried from the beginning of the text. */
static void check_mask(const struct vinci_tokenizer *tokenizer, const struct vinci_grammar *grammar,
                       const char *text, size_t n, uint32_t every)
{
    struct grammar_matcher *matcher = NULL, *trial = NULL;
    struct vinci_error err;
    const uint32_t *mask;
    bool ok;
    assert_int_equal(grammar_matcher_create(&matcher, grammar, &err), VINCI_OK);
    assert_int_equal(grammar_matcher_create(&trial, grammar, &err), VINCI_OK);
    assert_int_equal(grammar_matcher_advance(matcher, text, n, &ok, &err), VINCI_OK);
    assert_true(ok);
    assert_int_equal(grammar_matcher_mask(matcher, &mask, &err), VINCI_OK);
    bool fresh = false;
    for (uint32_t t = draw(every); t < vinci_tokenizer_n_vocab(tokenizer); t += every) {
        size_t size;
        const char *bytes = vinci_token_bytes(tokenizer, (int32_t)t, &size);
        if (!bytes || vinci_token_is_special(tokenizer, (int32_t)t)) {
            assert_false(in_mask(mask, t));
            continue;
        }
        if (!fresh) {
            assert_int_equal(grammar_matcher_reset(trial, &err), VINCI_OK);
            assert_int_equal(grammar_matcher_advance(trial, text, n, &ok, &err), VINCI_OK);
            fresh = true;
        }
        assert_int_equal(grammar_matcher_advance(trial, bytes, size, &ok, &err), VINCI_OK);
        fresh = !ok;
        if (ok != in_mask(mask, t))
            fail_msg("token %u '%.*s' behind %.*s", t, (int)size, bytes, (int)n, text);
    }
    grammar_matcher_free(matcher);
    grammar_matcher_free(trial);
}

static void test_masks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof random_schemas / sizeof *random_schemas; i++)
        for (int k = 0; k < 12; k++) {
            const struct vinci_tokenizer *tokenizer = k < 8 ? nano : published;
            struct vinci_grammar *grammar = compile(tokenizer, random_schemas[i]);
            struct buf text = {0};
            write_text(tokenizer, grammar, draw(20), &text);
            for (int places = 0; places < 4; places++)
                check_mask(tokenizer, grammar, text.data, draw((uint32_t)text.size),
                           k < 8 ? 3 : 101);
            buf_free(&text);
            vinci_grammar_close(grammar);
        }
}

/* ---- memory and time ------------------------------------------------------------------------ */

static enum vinci_status use(const char *schema, struct vinci_error *err)
{
    struct vinci_grammar *grammar = NULL;
    struct grammar_matcher *matcher = NULL;
    const uint32_t *mask;
    bool ok = true;
    const char *text = "{\"name\":\"x\",";
    enum vinci_status status =
        vinci_grammar_json_schema(&grammar, nano, schema, strlen(schema), err);
    if (status == VINCI_OK) status = grammar_matcher_create(&matcher, grammar, err);
    for (; *text && status == VINCI_OK; text++) {
        status = grammar_matcher_mask(matcher, &mask, err);
        if (status == VINCI_OK) status = grammar_matcher_advance(matcher, text, 1, &ok, err);
    }
    if (status == VINCI_OK) assert_true(ok);
    grammar_matcher_free(matcher);
    vinci_grammar_close(grammar);
    return status;
}

static void test_failing_allocations(void **state)
{
    (void)state;
    size_t n_failed = 0;
    for (size_t k = 1;; k++) {
        struct vinci_error err = {0};
        alloc_fail_begin(k);
        enum vinci_status status = use(random_schemas[1], &err);
        bool failed = alloc_fail_end();
        if (status != VINCI_OK) {
            if (status != VINCI_NO_MEMORY) fail_msg("allocation %zu: %s", k, err.text);
            n_failed++;
        }
        if (!failed) {
            assert_int_equal(status, VINCI_OK);
            break;
        }
    }
    assert_true(n_failed > 100);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Processor time for a mask and a step, over whole texts, each with a grammar of its own. */
static void test_time(void **state)
{
    (void)state;
    static const char *const names[] = {"json_object", "schema", "recursive schema"};
    for (size_t i = 0; i < sizeof random_schemas / sizeof *random_schemas; i++) {
        double total = 0, worst = 0, made = 0;
        size_t n_tokens = 0;
        for (int k = 0; k < 10; k++) {
            double begin = seconds();
            struct vinci_grammar *grammar = compile(published, random_schemas[i]);
            made += (seconds() - begin) / 10;
            struct buf text = {0};
            write_text(published, grammar, 60, &text);
            int32_t *ids = NULL;
            size_t n;
            struct vinci_error err;
            assert_int_equal(vinci_tokenize(published, text.data, text.size, false, &ids, &n, &err),
                             VINCI_OK);
            grammar_drop_masks(grammar);
            struct grammar_matcher *matcher = NULL;
            assert_int_equal(grammar_matcher_create(&matcher, grammar, &err), VINCI_OK);
            for (size_t t = 0; t < n; t++) {
                const uint32_t *mask;
                size_t size;
                bool ok;
                const char *bytes = vinci_token_bytes(published, ids[t], &size);
                begin = seconds();
                assert_int_equal(grammar_matcher_mask(matcher, &mask, &err), VINCI_OK);
                assert_int_equal(grammar_matcher_advance(matcher, bytes, size, &ok, &err),
                                 VINCI_OK);
                double took = seconds() - begin;
                total += took;
                if (took > worst) worst = took;
                n_tokens++;
            }
            grammar_matcher_free(matcher);
            vinci_free(ids);
            buf_free(&text);
            vinci_grammar_close(grammar);
        }
        print_message("%s: compiled in %.2f ms; a token %.3f ms on average, %.2f ms at most\n",
                      names[i], made * 1e3, total / (double)n_tokens * 1e3, worst * 1e3);
        assert_true(total / (double)n_tokens < 0.02); /* sanitizers are slow */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hostile), cmocka_unit_test(test_random_texts),
        cmocka_unit_test(test_masks),   cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_time),
    };
    return cmocka_run_group_tests_name("grammars", tests, set_up, tear_down);
}
