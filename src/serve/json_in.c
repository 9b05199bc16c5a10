/* json_in.c - bounded JSON in, errors in OpenAI's form out. */
#include "serve/json_in.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool write_error(struct api_error *error, unsigned http, const char *param, const char *code,
                        const char *format, va_list args)
{
    static const struct {
        unsigned http;
        const char *type;
    } types[] = {{401, "authentication_error"}, {403, "permission_error"},
                 {404, "not_found_error"},      {429, "rate_limit_error"},
                 {500, "server_error"},         {503, "overloaded_error"}};
    *error = (struct api_error){.http = http, .type = "invalid_request_error", .code = code};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].http == http) error->type = types[i].type;
    snprintf(error->param, sizeof error->param, "%s", param ? param : "");
    vsnprintf(error->message, sizeof error->message, format, args);
    return false;
}

bool api_fail(struct api_error *error, unsigned http, const char *param, const char *code,
              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_error(error, http, param, code, format, args);
    va_end(args);
    return false;
}

bool api_bad(struct api_error *error, const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_error(error, 400, param, "invalid_value", format, args);
    va_end(args);
    return false;
}

bool api_fail_memory(struct api_error *error)
{
    return api_fail(error, 503, NULL, "out_of_memory", "the server has no memory for this request");
}

bool api_fail_status(struct api_error *error, enum vinci_status status, const char *param,
                     const struct vinci_error *err)
{
    switch (status) {
    case VINCI_LIMIT:
    case VINCI_USAGE:
    case VINCI_UNSUPPORTED:
    case VINCI_BAD_FILE: return api_fail(error, 400, param, "invalid_value", "%s", err->text);
    case VINCI_NO_MEMORY: return api_fail_memory(error);
    default: return api_fail(error, 500, NULL, "internal_error", "%s", err->text);
    }
}

/* The deepest nesting of brackets outside strings: asked before a parser recurses. */
static size_t nesting(const char *text, size_t n)
{
    size_t depth = 0, deepest = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (quoted) {
            if (c == '\\') i++;
            else if (c == '"') quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest) deepest = depth;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

bool json_in(json_t **out, const char *text, size_t n, struct api_error *error)
{
    json_error_t at = {.line = 0};
    *out = NULL;
    if (nesting(text, n) > JSON_DEPTH_MAX)
        return api_fail(error, 400, NULL, "json_too_deep",
                        "the body's JSON is nested more than %d levels deep", JSON_DEPTH_MAX);
    json_t *value = json_loadb(text, n, JSON_ALLOW_NUL, &at);
    if (value && json_is_object(value)) {
        *out = value;
        return true;
    }
    json_decref(value);
    if (value) return api_fail(error, 400, NULL, "invalid_json", "the body must be a JSON object");
    if (json_error_code(&at) == json_error_out_of_memory || at.line < 1)
        return api_fail_memory(error); /* not a word about the text */
    return api_fail(error, 400, NULL, "invalid_json",
                    "the body is not valid JSON: line %d, column %d: %s", at.line, at.column,
                    at.text);
}

const char *json_kind(const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    default: return "null";
    }
}

const json_t *in_member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

const char *in_word(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

bool word_is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

static bool wrong(struct api_error *error, const char *where, const char *key, const char *expected,
                  const json_t *got)
{
    char param[160];
    snprintf(param, sizeof param, "%s%s", where, key);
    return api_fail(error, 400, param, "invalid_type", "Invalid type for '%s': expected %s, got %s",
                    param, expected, json_kind(got));
}

bool in_u32(const json_t *object, const char *where, const char *key, uint32_t min, uint32_t max,
            uint32_t *out, struct api_error *error)
{
    char param[160];
    const json_t *value = in_member(object, key);
    if (!value) return true;
    if (!json_is_integer(value)) return wrong(error, where, key, "an integer", value);
    json_int_t number = json_integer_value(value);
    if (number < min || number > max) {
        snprintf(param, sizeof param, "%s%s", where, key);
        return api_bad(error, param, "Invalid '%s': expected %u to %u, got %lld", param, min, max,
                       (long long)number);
    }
    *out = (uint32_t)number;
    return true;
}

bool in_real(const json_t *object, const char *where, const char *key, double min, double max,
             float *out, struct api_error *error)
{
    char param[160];
    const json_t *value = in_member(object, key);
    if (!value) return true;
    if (!json_is_number(value)) return wrong(error, where, key, "a number", value);
    double number = json_number_value(value);
    if (!(number >= min && number <= max)) {
        snprintf(param, sizeof param, "%s%s", where, key);
        return api_bad(error, param, "Invalid '%s': expected %g to %g, got %g", param, min, max,
                       number);
    }
    *out = (float)number;
    return true;
}

bool in_bool(const json_t *object, const char *where, const char *key, bool *out,
             struct api_error *error)
{
    const json_t *value = in_member(object, key);
    if (!value) return true;
    if (!json_is_boolean(value)) return wrong(error, where, key, "a boolean", value);
    *out = json_is_true(value);
    return true;
}

struct vinci_text json_text(const json_t *string)
{
    return (struct vinci_text){json_string_value(string), json_string_length(string)};
}

bool in_text(const json_t *object, const char *where, const char *key, struct vinci_text *out,
             struct api_error *error)
{
    const json_t *value = in_member(object, key);
    if (!value) return true;
    if (!json_is_string(value)) return wrong(error, where, key, "a string", value);
    *out = json_text(value);
    return true;
}

bool in_str(const json_t *object, const char *where, const char *key, const char **out,
            struct api_error *error)
{
    struct vinci_text text = {NULL, 0};
    if (!in_text(object, where, key, &text, error)) return false;
    if (!text.data) return true;
    if (strlen(text.data) != text.size)
        return wrong(error, where, key, "a string without NUL", NULL);
    *out = text.data;
    return true;
}
