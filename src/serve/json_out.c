/* json_out.c - JSON text, written piece by piece. */
#include "serve/json_out.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void append(struct json_out *out, const char *text, size_t n)
{
    if (!buf_append(out->buf, text, n)) out->failed = true;
}

static void before_value(struct json_out *out)
{
    if (out->comma) append(out, ",", 1);
    out->comma = true;
}

void out_begin(struct json_out *out, char bracket)
{
    before_value(out);
    append(out, &bracket, 1);
    out->comma = false;
}

void out_end(struct json_out *out, char bracket)
{
    append(out, &bracket, 1);
    out->comma = true;
}

void out_key(struct json_out *out, const char *key)
{
    before_value(out);
    append(out, "\"", 1);
    append(out, key, strlen(key));
    append(out, "\":", 2);
    out->comma = false;
}

void out_text(struct json_out *out, const char *text, size_t n)
{
    size_t plain = 0;
    before_value(out);
    append(out, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        char escape[8];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
        append(out, text + plain, i - plain);
        plain = i + 1;
        if (c == '\n') append(out, "\\n", 2);
        else if (c == '"') append(out, "\\\"", 2);
        else if (c == '\\') append(out, "\\\\", 2);
        else {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            append(out, escape, 6);
        }
    }
    append(out, text + plain, n - plain);
    append(out, "\"", 1);
}

void out_str(struct json_out *out, const char *text)
{
    if (text) out_text(out, text, strlen(text));
    else out_null(out);
}

void out_raw(struct json_out *out, const char *json, size_t n)
{
    before_value(out);
    append(out, json, n);
}

void out_int(struct json_out *out, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)value);
    out_raw(out, text, (size_t)n);
}

void out_real(struct json_out *out, double value)
{
    char text[40];
    int n = snprintf(text, sizeof text, "%.9g", isfinite(value) ? value : -9999.0);
    for (int i = 0; i < n; i++)
        if (text[i] == ',') text[i] = '.'; /* whatever the locale */
    if (!strpbrk(text, ".e")) n += snprintf(text + n, sizeof text - (size_t)n, ".0");
    out_raw(out, text, (size_t)n);
}

void out_bool(struct json_out *out, bool value)
{
    if (value) out_raw(out, "true", 4);
    else out_raw(out, "false", 5);
}

void out_null(struct json_out *out)
{
    out_raw(out, "null", 4);
}

void out_json(struct json_out *out, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (text) out_raw(out, text, strlen(text));
    else if (value) out->failed = true;
    else out_null(out);
    free(text);
}

void out_key_str(struct json_out *out, const char *key, const char *text)
{
    out_key(out, key);
    out_str(out, text);
}

void out_key_text(struct json_out *out, const char *key, const struct buf *text)
{
    out_key(out, key);
    out_text(out, text->data ? text->data : "", text->size);
}

void out_key_int(struct json_out *out, const char *key, int64_t value)
{
    out_key(out, key);
    out_int(out, value);
}

void out_key_real(struct json_out *out, const char *key, double value)
{
    out_key(out, key);
    out_real(out, value);
}

void out_key_bool(struct json_out *out, const char *key, bool value)
{
    out_key(out, key);
    out_bool(out, value);
}

void out_key_null(struct json_out *out, const char *key)
{
    out_key(out, key);
    out_null(out);
}

void out_key_json(struct json_out *out, const char *key, const json_t *value)
{
    out_key(out, key);
    out_json(out, value);
}
