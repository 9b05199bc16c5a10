/* json_in.h - reads a request's body: bounded JSON, and members by name with OpenAI's error
 * objects.
 *
 * Readers return false after writing the error. A member that is absent or null leaves *out as it
 * is. Members that nobody asks for are ignored, as vLLM's and llama.cpp's servers do: clients send
 * more than the standard names. */
#ifndef VINCI_SERVE_JSON_IN_H
#define VINCI_SERVE_JSON_IN_H

#include "base/status.h"

#include <jansson.h>

#define JSON_DEPTH_MAX 96

struct api_error {
    unsigned http;     /* 400; 0: no error */
    const char *type;  /* "invalid_request_error" */
    const char *code;  /* "model_not_found"; NULL for null */
    char param[160];   /* "messages[2].role"; "" for null */
    char message[768]; /* one sentence or two */
};

/* Writes an error and returns false. `param` and `code` may be NULL. */
bool api_fail(struct api_error *error, unsigned http, const char *param, const char *code,
              const char *format, ...) VINCI_PRINTF(5, 6);

/* A value of a parameter is not what it should be: 400. */
bool api_bad(struct api_error *error, const char *param, const char *format, ...)
    VINCI_PRINTF(3, 4);

bool api_fail_memory(struct api_error *error);

/* From the library's errors: LIMIT, USAGE, UNSUPPORTED and BAD_FILE are the client's, NO_MEMORY is
 * 503, the rest 500. */
bool api_fail_status(struct api_error *error, enum vinci_status status, const char *param,
                     const struct vinci_error *err);

/* The body as an object: *out is released with json_decref. */
bool json_in(json_t **out, const char *text, size_t n, struct api_error *error);

/* `where` is put before the name in errors: "" or "messages[2].". */
bool in_u32(const json_t *object, const char *where, const char *key, uint32_t min, uint32_t max,
            uint32_t *out, struct api_error *error);
bool in_real(const json_t *object, const char *where, const char *key, double min, double max,
             float *out, struct api_error *error);
bool in_bool(const json_t *object, const char *where, const char *key, bool *out,
             struct api_error *error);
/* Borrowed from the object; may hold NUL. */
bool in_text(const json_t *object, const char *where, const char *key, struct vinci_text *out,
             struct api_error *error);
/* The same without NUL inside. */
bool in_str(const json_t *object, const char *where, const char *key, const char **out,
            struct api_error *error);

/* The member, NULL also for null. */
const json_t *in_member(const json_t *object, const char *key);

/* The member's text, NULL when it is not there or no string: a type or a name to look at, whose
 * absence is judged by the caller. */
const char *in_word(const json_t *object, const char *key);

/* `text` may be NULL: then it is not. */
bool word_is(const char *text, const char *word);

struct vinci_text json_text(const json_t *string);

/* "a string", for errors. */
const char *json_kind(const json_t *value);

#endif
