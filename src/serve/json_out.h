/* json_out.h - writes JSON text piece by piece into a buffer.
 *
 * Answers are written, not built as trees: a streamed token costs one short append. Commas are put
 * where they belong; the caller keeps begin and end in balance. Memory that cannot be had sets
 * `failed`, which stays, so that only the end has to be checked. */
#ifndef VINCI_SERVE_JSON_OUT_H
#define VINCI_SERVE_JSON_OUT_H

#include "base/buf.h"

#include <jansson.h>

struct json_out {
    struct buf *buf;
    bool comma, failed;
};

/* '{' or '['; '}' or ']'. */
void out_begin(struct json_out *out, char bracket);
void out_end(struct json_out *out, char bracket);

/* The name of the member whose value is written next: a plain ASCII constant. */
void out_key(struct json_out *out, const char *key);

void out_text(struct json_out *out, const char *text, size_t n); /* well-formed UTF-8 */
void out_str(struct json_out *out, const char *text);            /* NULL gives null */
void out_int(struct json_out *out, int64_t value);
void out_real(struct json_out *out, double value); /* infinities and NaN give -9999, as OpenAI's */
void out_bool(struct json_out *out, bool value);
void out_null(struct json_out *out);
void out_json(struct json_out *out, const json_t *value); /* NULL gives null */
void out_raw(struct json_out *out, const char *json, size_t n);

/* A member at once. */
void out_key_str(struct json_out *out, const char *key, const char *text);
void out_key_text(struct json_out *out, const char *key, const struct buf *text);
void out_key_int(struct json_out *out, const char *key, int64_t value);
void out_key_real(struct json_out *out, const char *key, double value);
void out_key_bool(struct json_out *out, const char *key, bool value);
void out_key_null(struct json_out *out, const char *key);
void out_key_json(struct json_out *out, const char *key, const json_t *value);

#endif
