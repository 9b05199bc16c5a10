/* harmony_tools.c - tools and their JSON schemas -> the TypeScript-like notation of the prompt.
 *
 * The model has seen exactly this text in training, so it is reproduced with its oddities: a nested
 * object's description is printed twice, array types have no parentheses around unions, anyOf and
 * $ref are `any`, the second line of a parameter's description has no comment sign. All text is
 * copied as it stands; the caller encodes it without special tokens. */
#include "text/harmony.h"

#include <stdlib.h>
#include <string.h>

static bool is_enum(const json_t *schema)
{
    return json_array_size(json_object_get(schema, "enum")) > 0;
}

static bool is_text(const json_t *string, const char *text)
{
    return json_is_string(string) && strcmp(json_string_value(string), text) == 0 &&
           json_string_length(string) == strlen(text);
}

/* "// TEXT" on a line of its own, if `text` is a string. */
static void put_comment(struct text_out *out, const json_t *text, size_t indent)
{
    if (!json_is_string(text)) return;
    put_spaces(out, indent);
    put(out, "// ");
    put_string(out, text);
    put(out, "\n");
}

/* "default: V". The defaults of enums have no quotes, other strings have them, unescaped. */
static void put_default(struct text_out *out, const json_t *schema, bool enum_as_json)
{
    const json_t *value = json_object_get(schema, "default");
    put(out, "default: ");
    if (!json_is_string(value) || (is_enum(schema) && enum_as_json)) {
        put_json(out, value);
        return;
    }
    const char *quote = is_enum(schema) ? "" : "\"";
    put(out, quote);
    put_string(out, value);
    put(out, quote);
}

/* The type, and " | null" if the schema says nullable and the type does not say null anywhere. */
static void put_nullable_type(struct text_out *out, const json_t *schema, size_t indent)
{
    size_t begin = out->buf.size;
    put_schema_type(out, schema, indent);
    if (out->failed || !json_is_true(json_object_get(schema, "nullable"))) return;
    if (out->buf.size == begin || !memmem(out->buf.data + begin, out->buf.size - begin, "null", 4))
        put(out, " | null");
}

/* One alternative of oneOf with its comments behind it. */
static void put_variant(struct text_out *out, const json_t *variant, size_t indent,
                        const json_t *description, bool enum_as_json)
{
    bool has_default = json_object_get(variant, "default") != NULL;
    put_spaces(out, indent);
    put(out, " | ");
    put_nullable_type(out, variant, indent + 3);
    if (description || has_default) put(out, " // ");
    if (description) put_string(out, description);
    if (description && has_default) put(out, " ");
    if (has_default) put_default(out, variant, enum_as_json);
}

static const json_t *description_of(const json_t *schema)
{
    const json_t *description = json_object_get(schema, "description");
    return json_is_string(description) ? description : NULL;
}

static void put_key(struct text_out *out, const char *key, bool required, size_t indent)
{
    put_spaces(out, indent);
    put(out, key);
    put(out, required ? ":" : "?:");
}

/* A property whose schema is a oneOf: the alternatives stand below the key. */
static void put_one_of_property(struct text_out *out, const char *key, const json_t *schema,
                                bool required, size_t indent)
{
    const json_t *variants = json_object_get(schema, "oneOf");
    const json_t *description = description_of(schema), *variant;
    const json_t *first = description_of(json_array_get(variants, 0));
    bool above = description && !(first && json_equal(description, first));
    size_t i;
    if (above) put_comment(out, description, indent);
    if (json_object_get(schema, "default")) {
        put_spaces(out, indent);
        put(out, "// ");
        put_default(out, schema, false);
        put(out, "\n");
    }
    put_key(out, key, required, indent);
    put(out, "\n");
    json_array_foreach(variants, i, variant)
    {
        const json_t *own = description_of(variant);
        if ((i == 0 && above) || (own && description && json_equal(own, description))) own = NULL;
        put_variant(out, variant, indent, own, false);
        put(out, "\n");
    }
    put_spaces(out, indent);
    put(out, ",\n");
}

static void put_property(struct text_out *out, const char *key, const json_t *schema, bool required,
                         size_t indent)
{
    const json_t *one_of = json_object_get(schema, "oneOf");
    const json_t *title = json_object_get(schema, "title");
    const json_t *examples = json_object_get(schema, "examples"), *example;
    size_t i;
    put_comment(out, title, indent);
    if (json_is_string(title)) {
        put_spaces(out, indent);
        put(out, "//\n");
    }
    if (!one_of) put_comment(out, json_object_get(schema, "description"), indent);
    if (json_array_size(examples) > 0) {
        put_spaces(out, indent);
        put(out, "// Examples:\n");
    }
    json_array_foreach(examples, i, example)
    {
        if (!json_is_string(example)) continue;
        put_spaces(out, indent);
        put(out, "// - \"");
        put_string(out, example);
        put(out, "\"\n");
    }
    if (json_is_array(one_of)) {
        put_one_of_property(out, key, schema, required, indent);
        return;
    }
    put_key(out, key, required, indent);
    put(out, " ");
    put_nullable_type(out, schema, indent + 4);
    put(out, ",");
    if (!one_of && json_object_get(schema, "default")) {
        put(out, " // ");
        put_default(out, schema, false);
    }
    put(out, "\n");
}

/* The strings of `names` as the keys of an object: a set. NULL when memory is short. */
static json_t *set_of(const json_t *names)
{
    json_t *set = json_object();
    const json_t *name;
    size_t i;
    json_array_foreach(names, i, name)
    {
        const char *key = json_string_value(name);
        if (!set || !key || strlen(key) != json_string_length(name)) continue;
        if (json_object_set_new_nocheck(set, key, json_true()) == 0) continue;
        json_decref(set);
        set = NULL;
    }
    return set;
}

static void put_object_type(struct text_out *out, const json_t *schema, size_t indent)
{
    json_t *properties = json_object_get(schema, "properties"), *property;
    json_t *required = set_of(json_object_get(schema, "required"));
    const char *key;
    if (!required) out->failed = true;
    put_comment(out, json_object_get(schema, "description"), indent);
    put(out, "{\n");
    json_object_foreach(properties, key, property)
        put_property(out, key, property, json_object_get(required, key) != NULL, indent);
    put_spaces(out, indent);
    put(out, "}");
    json_decref(required);
}

/* The strings of `values` joined by " | ", each between `quote`; false if there is none. */
static bool put_union(struct text_out *out, const json_t *values, const char *quote)
{
    const json_t *value;
    size_t i, n = 0;
    json_array_foreach(values, i, value)
    {
        if (!json_is_string(value)) continue;
        if (n++) put(out, " | ");
        put(out, quote);
        if (!*quote && is_text(value, "integer")) put(out, "number");
        else put_string(out, value);
        put(out, quote);
    }
    return n > 0;
}

void put_schema_type(struct text_out *out, const json_t *schema, size_t indent)
{
    const json_t *variants = json_object_get(schema, "oneOf"), *variant;
    const json_t *type = json_object_get(schema, "type");
    size_t i;
    if (json_is_array(variants)) {
        json_array_foreach(variants, i, variant)
        {
            put(out, "\n");
            put_variant(out, variant, indent, description_of(variant), true);
        }
    } else if (json_is_array(type)) {
        if (!put_union(out, type, "")) put(out, "any");
    } else if (is_text(type, "object")) {
        put_object_type(out, schema, indent);
    } else if (is_text(type, "string")) {
        if (!put_union(out, json_object_get(schema, "enum"), "\"")) put(out, "string");
    } else if (is_text(type, "number") || is_text(type, "integer")) {
        put(out, "number");
    } else if (is_text(type, "boolean")) {
        put(out, "boolean");
    } else if (is_text(type, "array") && json_object_get(schema, "items")) {
        put_schema_type(out, json_object_get(schema, "items"), indent);
        put(out, "[]");
    } else {
        put(out, is_text(type, "array") ? "Array<any>" : "any");
    }
}

/* Each line of `text` on a line of its own behind `prefix`; lines end at LF or CRLF, a last empty
 * one does not count. */
static void put_lines(struct text_out *out, const json_t *text, const char *prefix)
{
    const char *line = json_string_value(text);
    size_t left = json_string_length(text);
    while (left) {
        const char *newline = memchr(line, '\n', left);
        size_t n = newline ? (size_t)(newline - line) : left, step = newline ? n + 1 : n;
        if (newline && n && line[n - 1] == '\r') n--;
        put(out, "\n");
        put(out, prefix);
        put_bytes(out, line, n);
        line += step;
        left -= step;
    }
}

static void put_namespace(struct text_out *out, const json_t *namespace)
{
    const json_t *name = json_object_get(namespace, "name");
    const json_t *tools = json_object_get(namespace, "tools"), *tool;
    size_t i;
    put(out, "\n\n## ");
    put_string(out, name);
    put(out, "\n");
    put_lines(out, harmony_get(namespace, "description"), json_array_size(tools) ? "// " : "");
    if (!json_array_size(tools)) return;
    put(out, "\nnamespace ");
    put_string(out, name);
    put(out, " {\n");
    json_array_foreach(tools, i, tool)
    {
        const json_t *parameters = harmony_get(tool, "parameters");
        put_lines(out, harmony_get(tool, "description"), "// ");
        put(out, "\ntype ");
        put_string(out, json_object_get(tool, "name"));
        put(out, parameters ? " = (_: " : " = () => any;\n");
        if (!parameters) continue;
        put_schema_type(out, parameters, 0);
        put(out, ") => any;\n");
    }
    put(out, "\n} // namespace ");
    put_string(out, name);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void put_tools(struct text_out *out, const json_t *namespaces)
{
    size_t n = json_object_size(namespaces), i = 0;
    const char **keys = array_new(n, sizeof *keys), *key;
    json_t *namespace;
    if (!keys) {
        out->failed = true;
        return;
    }
    json_object_foreach((json_t *)namespaces, key, namespace) keys[i++] = key;
    qsort(keys, n, sizeof *keys, compare_keys);
    put(out, "# Tools");
    for (i = 0; i < n; i++) put_namespace(out, json_object_get(namespaces, keys[i]));
    free(keys);
}
