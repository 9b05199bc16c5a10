/* harmony_json.c - JSON in and out with exact numbers.
 *
 * jansson reads documents and keeps the order of keys, but refuses integers beyond 64 bits (tool
 * schemas written for unsigned types have them) and prints doubles with 17 digits. What the model
 * was trained on has the shortest digits that read back, so printing is done here. The depth of a
 * document, and so of the recursion, is bounded by jansson's parser (2048). */
#include "text/harmony.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void put_bytes(struct text_out *out, const char *text, size_t n)
{
    if (!out->failed && !buf_append(&out->buf, text, n)) out->failed = true;
}

void put(struct text_out *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

void put_spaces(struct text_out *out, size_t n)
{
    static const char spaces[33] = "                                ";
    for (; n > 32; n -= 32) put_bytes(out, spaces, 32);
    put_bytes(out, spaces, n);
}

void put_string(struct text_out *out, const json_t *string)
{
    put_bytes(out, json_string_value(string), json_string_length(string));
}

static void put_quoted(struct text_out *out, const char *text, size_t n)
{
    static const char names[] = "\bb\ff\nn\rr\tt\"\"\\\\"; /* character, letter of its escape */
    put(out, "\"");
    size_t plain = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        put_bytes(out, text + plain, i - plain);
        plain = i + 1;
        char escape[8] = {'\\', 0};
        const char *name = names;
        while (*name && (unsigned char)*name != c) name += 2;
        if (c && *name) escape[1] = name[1];
        else snprintf(escape, sizeof escape, "\\u%04x", c);
        put(out, escape);
    }
    put_bytes(out, text + plain, n - plain);
    put(out, "\"");
}

/* Digits d1 d2 .. dn of x = 0.d1d2..dn * 10^point, the fewest that read back as x > 0. Read back as
 * an integer and an exponent: no decimal point, so the locale does not matter. */
static int shortest_digits(double x, char digits[20], int *point)
{
    int n = 0;
    for (int precision = 0; precision < 17; precision++) {
        char text[48], again[48];
        snprintf(text, sizeof text, "%.*e", precision, x);
        const char *e = strchr(text, 'e');
        n = 0;
        for (const char *p = text; p < e; p++)
            if (*p >= '0' && *p <= '9') digits[n++] = *p;
        *point = atoi(e + 1) + 1;
        snprintf(again, sizeof again, "%.*se%d", n, digits, *point - n);
        if (strtod(again, NULL) == x) break;
        /* At a power of two the doubles above are further apart than those below: the next decimal
         * above may read back where the nearest, below, does not. */
        if (digits[n - 1] == '9') continue;
        digits[n - 1]++;
        snprintf(again, sizeof again, "%.*se%d", n, digits, *point - n);
        if (strtod(again, NULL) == x) break;
    }
    return n;
}

static double power_of_ten(int n)
{
    char text[16];
    snprintf(text, sizeof text, "1e%d", n);
    return strtod(text, NULL);
}

/* What the reference makes of x > 0 written in its fewest digits: it multiplies or divides the
 * digits, as a double, by a power of ten. That rounds twice, so a double of 16 or 17 digits is
 * often its neighbour. The prompt shows the neighbour, and so must ours. */
static double as_reference_reads(double x)
{
    char digits[20];
    int point, n = shortest_digits(x, digits, &point), exponent;
    if (n <= point && point <= 16)
        while (n <= point) digits[n++] = '0'; /* written "120.0" */
    digits[n] = '\0';
    exponent = point - n;
    double value = (double)strtoull(digits, NULL, 10);
    for (; exponent < -308; exponent += 308) value /= 1e308;
    value = exponent < 0 ? value / power_of_ten(-exponent) : value * power_of_ten(exponent);
    return value > 0 && isfinite(value) ? value : x;
}

static void put_real(struct text_out *out, double x)
{
    char digits[20];
    int point;
    if (signbit(x)) put(out, "-");
    if (x == 0) {
        put(out, "0.0");
        return;
    }
    int n = shortest_digits(as_reference_reads(fabs(x)), digits, &point);
    if (point > 16 || point <= -5) {
        char exponent[16];
        put_bytes(out, digits, 1);
        if (n > 1) put(out, ".");
        put_bytes(out, digits + 1, (size_t)n - 1);
        snprintf(exponent, sizeof exponent, "e%d", point - 1);
        put(out, exponent);
    } else if (point <= 0) {
        put(out, "0.");
        for (int i = point; i < 0; i++) put(out, "0");
        put_bytes(out, digits, (size_t)n);
    } else {
        for (int i = 0; i < n || i < point; i++) {
            if (i == point) put(out, ".");
            put_bytes(out, i < n ? digits + i : "0", 1);
        }
        if (n <= point) put(out, ".0");
    }
}

void put_json(struct text_out *out, const json_t *value)
{
    char number[32];
    const char *key;
    json_t *item;
    size_t i;
    switch (json_typeof(value)) {
    case JSON_NULL: put(out, "null"); break;
    case JSON_TRUE: put(out, "true"); break;
    case JSON_FALSE: put(out, "false"); break;
    case JSON_REAL: put_real(out, json_real_value(value)); break;
    case JSON_STRING: put_quoted(out, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        put(out, number);
        break;
    case JSON_ARRAY:
        put(out, "[");
        json_array_foreach(value, i, item)
        {
            if (i) put(out, ",");
            put_json(out, item);
        }
        put(out, "]");
        break;
    case JSON_OBJECT:
        put(out, "{");
        i = 0;
        json_object_foreach((json_t *)value, key, item)
        {
            if (i++) put(out, ",");
            put_quoted(out, key, strlen(key));
            put(out, ":");
            put_json(out, item);
        }
        put(out, "}");
        break;
    }
}

/* An integer literal that jansson refuses, or whose sign it would lose. */
static bool needs_point(const char *literal, size_t n)
{
    bool negative = literal[0] == '-';
    const char *digits = literal + negative;
    size_t n_digits = n - negative;
    if (negative && n_digits == 1 && digits[0] == '0') return true;
    for (size_t i = 0; i < n_digits; i++)
        if (digits[i] < '0' || digits[i] > '9') return false;
    const char *limit = negative ? "9223372036854775808" : "9223372036854775807";
    return n_digits > 19 || (n_digits == 19 && memcmp(digits, limit, 19) > 0);
}

/* Writes the document with ".0" behind such literals; nothing is written if there are none. */
static void put_widened(struct text_out *out, const char *text, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n;) {
        size_t begin = i;
        if (text[i] == '"') {
            for (i++; i < n && text[i] != '"'; i++)
                if (text[i] == '\\' && i + 1 < n) i++;
            i++;
        } else if (text[i] == '-' || (text[i] >= '0' && text[i] <= '9')) {
            while (i < n && text[i] && strchr("+-.0123456789eE", text[i])) i++;
            if (!needs_point(text + begin, i - begin)) continue;
            put_bytes(out, text + done, i - done);
            put(out, ".0");
            done = i;
        } else {
            i++;
        }
    }
    if (done) put_bytes(out, text + done, n - done);
}

enum vinci_status harmony_json_load(json_t **out, const char *text, size_t n, const char *what,
                                    struct vinci_error *err)
{
    struct text_out widened = {0};
    json_error_t error;
    *out = NULL;
    put_widened(&widened, text, n);
    if (!widened.failed)
        *out = json_loadb(widened.buf.size ? widened.buf.data : text,
                          widened.buf.size ? widened.buf.size : n, JSON_ALLOW_NUL, &error);
    buf_free(&widened.buf);
    if (*out) return VINCI_OK;
    /* When memory is short jansson says so or says nothing. */
    if (widened.failed || !error.text[0] || json_error_code(&error) == json_error_out_of_memory)
        return fail_memory(err, n, what);
    return fail(err, VINCI_BAD_FILE, "%s: not a JSON object or array: %s (line %d, column %d)",
                what, error.text, error.line, error.column);
}
