/* tokenize.c - the work of `vinci tokenize`: ids and pieces of a text, or line by line for other
 * programs.
 *
 * Lines go out as soon as they are known, so that a program may talk to this one through two pipes.
 * Every line that goes out is ASCII. */
#include "cli/tokenize.h"

#include "base/buf.h"
#include "cli/program.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- for people --------------------------------------------------------------------------- */

/* The bytes as a JSON string; ill-formed parts are shown as U+FFFD, then *whole is false. */
static json_t *shown_bytes(const char *bytes, size_t n, bool *whole)
{
    struct vinci_utf8_stream stream = {0};
    char *text = array_new(n + 4, 3);
    if (!text) return NULL;
    size_t size = vinci_utf8_stream_next(&stream, bytes, n, true, text);
    *whole = size == n && memcmp(text, bytes, n) == 0;
    json_t *string = json_stringn(text, size);
    free(text);
    return string;
}

static bool append_hex(struct buf *buf, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!buf_printf(buf, "%02x", (uint8_t)bytes[i])) return false;
    return true;
}

/* id, tab, the bytes as a JSON string; then, if they are not UTF-8 by themselves, in hex. */
static bool append_piece(struct buf *out, const struct vinci_tokenizer *tokenizer, int32_t id)
{
    size_t n;
    bool whole = false;
    const char *bytes = vinci_token_bytes(tokenizer, id, &n);
    json_t *string = shown_bytes(bytes, n, &whole);
    char *text = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    bool ok = text && buf_printf(out, "%d\t%s", id, text) &&
              (whole || (buf_append_text(out, "\t") && append_hex(out, bytes, n))) &&
              buf_append_text(out, "\n");
    free(text);
    json_decref(string);
    return ok;
}

static bool append_ids(struct buf *out, const int32_t *ids, size_t n_ids, const char *between)
{
    for (size_t i = 0; i < n_ids; i++)
        if (!buf_printf(out, "%s%d", i ? between : "", ids[i])) return false;
    return true;
}

enum vinci_status tokenize_show(const struct vinci_tokenizer *tokenizer, const char *text, size_t n,
                                bool special, bool ids_only, struct vinci_error *err)
{
    struct buf out = {0};
    int32_t *ids = NULL;
    size_t n_ids;
    bool ok = true;
    enum vinci_status status = vinci_tokenize(tokenizer, text, n, special, &ids, &n_ids, err);
    if (status) return status;
    if (ids_only) ok = append_ids(&out, ids, n_ids, " ") && buf_append_text(&out, "\n");
    for (size_t i = 0; ok && !ids_only && i < n_ids; i++)
        ok = append_piece(&out, tokenizer, ids[i]);
    if (!ok) status = fail_memory(err, out.size, "the list of tokens");
    else if (out.size && !output(out.data, out.size)) status = VINCI_IO;
    buf_free(&out);
    vinci_free(ids);
    return status;
}

/* ---- line by line -------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum vinci_status read_hex(struct buf *bytes, const char *hex, size_t n,
                                  struct vinci_error *err)
{
    bool ok = n % 2 == 0;
    for (size_t i = 0; ok && i < n; i += 2) {
        int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
        if (high < 0 || low < 0) ok = false;
        else if (!buf_append(bytes, &(char){(char)(high * 16 + low)}, 1))
            return fail_memory(err, n, "the text");
    }
    return ok ? VINCI_OK : fail(err, VINCI_BAD_FILE, "hex: expected pairs of hexadecimal digits");
}

static enum vinci_status answer_text(const struct vinci_tokenizer *tokenizer, const char *text,
                                     size_t n, bool special, struct buf *out,
                                     struct vinci_error *err)
{
    int32_t *ids = NULL;
    size_t n_ids;
    enum vinci_status status = vinci_tokenize(tokenizer, text, n, special, &ids, &n_ids, err);
    if (!status && !(buf_append_text(out, "{\"ids\":[") && append_ids(out, ids, n_ids, ",") &&
                     buf_append_text(out, "]}\n")))
        status = fail_memory(err, out->size, "the answer");
    vinci_free(ids);
    return status;
}

/* Appends what the stream shows after n more bytes to the array. */
static bool append_shown(json_t *array, struct vinci_utf8_stream *stream, const char *bytes,
                         size_t n, bool flush)
{
    char *text = array_new(n + 4, 3);
    if (!text) return false;
    size_t size = vinci_utf8_stream_next(stream, bytes, n, flush, text);
    bool ok = json_array_append_new(array, json_stringn(text, size)) == 0;
    free(text);
    return ok;
}

/* One more string than ids: what a token makes showable, and what the end does. */
static enum vinci_status answer_ids(const struct vinci_tokenizer *tokenizer, const json_t *ids,
                                    struct buf *out, struct vinci_error *err)
{
    struct vinci_utf8_stream stream = {0};
    struct buf hex = {0};
    enum vinci_status status = VINCI_OK;
    json_t *shown = json_array(), *answer = NULL;
    char *line = NULL;
    bool ok = shown && buf_reserve(&hex, 0);
    const json_t *value;
    size_t i, n;
    json_array_foreach(ids, i, value)
    {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        const char *bytes =
            id < 0 || id > INT32_MAX ? NULL : vinci_token_bytes(tokenizer, (int32_t)id, &n);
        if (!bytes) {
            status = fail(err, VINCI_BAD_FILE, "ids[%zu]: expected a token's id, below %u", i,
                          vinci_tokenizer_n_vocab(tokenizer));
            goto cleanup;
        }
        ok = ok && append_hex(&hex, bytes, n) && append_shown(shown, &stream, bytes, n, false);
    }
    ok = ok && append_shown(shown, &stream, "", 0, true);
    if (ok) answer = json_pack("{s:s%, s:O}", "hex", hex.data, hex.size, "stream", shown);
    if (answer) line = json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (!line || !buf_append_text(out, line) || !buf_append_text(out, "\n"))
        status = fail_memory(err, hex.size, "the answer");
cleanup:
    free(line);
    json_decref(answer);
    json_decref(shown);
    buf_free(&hex);
    return status;
}

static enum vinci_status answer_line(const struct vinci_tokenizer *tokenizer, const char *line,
                                     size_t n, bool special, struct buf *out,
                                     struct vinci_error *err)
{
    struct buf bytes = {0};
    json_error_t error;
    enum vinci_status status;
    json_t *question = json_loadb(line, n, JSON_ALLOW_NUL, &error);
    if (!question) return fail(err, VINCI_BAD_FILE, "%s", error.text);
    const json_t *text = json_object_get(question, "text"), *hex = json_object_get(question, "hex"),
                 *ids = json_object_get(question, "ids");
    if (json_is_string(text) && !hex && !ids) {
        status = answer_text(tokenizer, json_string_value(text), json_string_length(text), special,
                             out, err);
    } else if (json_is_string(hex) && !text && !ids) {
        status = read_hex(&bytes, json_string_value(hex), json_string_length(hex), err);
        if (!status)
            status =
                answer_text(tokenizer, bytes.data ? bytes.data : "", bytes.size, special, out, err);
    } else if (json_is_array(ids) && !text && !hex) {
        status = answer_ids(tokenizer, ids, out, err);
    } else {
        status = fail(err, VINCI_BAD_FILE,
                      "expected {\"text\": TEXT}, {\"hex\": TEXT} or {\"ids\": [...]}");
    }
    buf_free(&bytes);
    json_decref(question);
    return status;
}

enum vinci_status tokenize_lines(const struct vinci_tokenizer *tokenizer, bool special,
                                 struct vinci_error *err)
{
    struct vinci_error inner = {0};
    struct buf out = {0};
    char *line = NULL;
    size_t capacity = 0, number = 0;
    enum vinci_status status = VINCI_OK;
    for (ssize_t n; !status && (n = getline(&line, &capacity, stdin)) >= 0;) {
        number++;
        out.size = 0;
        if (strspn(line, " \t\r\n") == (size_t)n) continue;
        status = answer_line(tokenizer, line, (size_t)n, special, &out, &inner);
        if (status) fail(err, status, "standard input: line %zu: %s", number, inner.text);
        else if (!output(out.data, out.size)) status = VINCI_IO;
    }
    /* The loop ends for a status or because getline failed. */
    if (!status && interrupted()) status = fail(err, VINCI_CANCELLED, "stopped");
    else if (!status && !feof(stdin)) status = fail_errno(err, errno, "standard input", "read");
    free(line);
    buf_free(&out);
    return status;
}
