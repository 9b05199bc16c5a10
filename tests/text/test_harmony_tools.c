/* JSON schemas as TypeScript: shapes that the lines of render.jsonl do not have, with what
 * openai-harmony 0.0.8 prints for them. */
#include "text/harmony.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *schema, *type;
} cases[] = {
    {"{\"type\": \"array\", \"items\": {\"oneOf\": [{\"type\": \"string\", \"enum\": [\"a\\\"b\"], "
     "\"default\": \"a\\\"b\", \"description\": \"D.\"}, {\"type\": \"string\", \"default\": "
     "\"x\\\"y\"}, {\"type\": \"integer\", \"default\": 1, \"nullable\": true}]}}",
     "\n | \"a\"b\" // D. default: \"a\\\"b\"\n | string // default: \"x\"y\"\n | number | null // "
     "default: 1[]"},
    {"{\"oneOf\": [{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\"}}, "
     "\"description\": \"O.\"}, {\"oneOf\": [{\"type\": \"null\"}]}]}",
     "\n |    // O.\n{\n   a?: string,\n   } // O.\n | \n    | any"},
    {"{\"oneOf\": 5, \"type\": \"string\"}", "string"},
    {"{\"oneOf\": [], \"nullable\": true}", ""},
    {"true", "any"},
    {"null", "any"},
    {"\"string\"", "any"},
    {"[]", "any"},
    {"5", "any"},
    {"{\"type\": [\"integer\", 5, \"object\"]}", "number | object"},
    {"{\"type\": [5]}", "any"},
    {"{\"type\": \"array\", \"items\": null}", "any[]"},
    {"{\"type\": \"array\", \"items\": {\"type\": \"array\"}}", "Array<any>[]"},
    {"{\"type\": \"string\", \"enum\": [1, null]}", "string"},
    {"{\"type\": \"object\", \"properties\": 5, \"required\": 5}", "{\n}"},
    {"{\"type\": \"object\", \"properties\": {\"\": {\"type\": \"string\"}, \"a\": 5}, "
     "\"required\": [\"\", 5, \"zz\"]}",
     "{\n: string,\na?: any,\n}"},
    {"{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", \"title\": \"\", "
     "\"description\": 5, \"examples\": [1], \"default\": null}, \"b\": {\"oneOf\": {}, "
     "\"description\": \"hidden\", \"default\": 2, \"type\": \"number\"}}}",
     "{\n// \n//\n// Examples:\na?: string, // default: null\nb?: number,\n}"},
    {"{\"type\": \"object\", \"properties\": {\"a\": {\"oneOf\": [{\"type\": \"string\", "
     "\"description\": \"One.\"}, {\"type\": \"string\", \"description\": \"Two.\", \"default\": "
     "\"t\"}], \"description\": \"Two.\", \"default\": {\"k\": [1.0]}, \"title\": \"T\", "
     "\"examples\": [\"e\"]}}, \"required\": [\"a\"]}",
     "{\n// T\n//\n// Examples:\n// - \"e\"\n// Two.\n// default: {\"k\":[1.0]}\na:\n | string\n | "
     "string // default: \"t\"\n,\n}"},
    {"{\"type\": \"object\", \"properties\": {\"a\": {\"oneOf\": [{\"type\": \"string\", "
     "\"description\": \"Same.\"}, {\"type\": \"string\", \"description\": \"Same.\"}], "
     "\"description\": \"Same.\", \"enum\": [\"q\"], \"default\": \"q\"}}}",
     "{\n// default: q\na?:\n | string\n | string\n,\n}"},
    {"{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"object\", \"nullable\": true, "
     "\"properties\": {\"null\": {\"type\": \"string\"}}}, \"b\": {\"nullable\": true}, \"c\": "
     "{\"type\": \"array\", \"items\": {\"type\": \"object\", \"properties\": {\"d\": {\"type\": "
     "\"integer\", \"default\": -1}}}, \"nullable\": true}}}",
     "{\na?: {\n    null?: string,\n    },\nb?: any | null,\nc?: {\n    d?: number, // default: "
     "-1\n    }[] | null,\n}"},
};

static void prints_odd_schemas(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text_out out = {0};
        json_t *schema = json_loads(cases[i].schema, JSON_DECODE_ANY, NULL);
        assert_non_null(schema);
        put_schema_type(&out, schema, 0);
        assert_false(out.failed);
        /* An empty oneOf prints nothing at all. */
        assert_string_equal(out.buf.data ? out.buf.data : "", cases[i].type);
        buf_free(&out.buf);
        json_decref(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(prints_odd_schemas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
