/* http_get.h - small answers from a server of the OpenAI API: its metrics, its list of models. By
 * libcurl; the connection stays open between reads. */
#ifndef VINCI_BENCH_HTTP_GET_H
#define VINCI_BENCH_HTTP_GET_H

#include "base/buf.h"

#include <curl/curl.h>

struct http_get;

/* `server`: "http://127.0.0.1:8000", a slash behind it does no harm; `path` begins with one. `key`:
 * sent as a bearer token, or NULL. A read takes `seconds` at most. */
enum vinci_status http_get_open(struct http_get **out, const char *server, const char *path,
                                const char *key, double seconds, struct vinci_error *err);
void http_get_close(struct http_get *get);

/* The address that is read; borrowed. */
const char *http_get_url(const struct http_get *get);

/* *body: NUL-terminated, at most 16 MiB, borrowed until the next read. NOT_FOUND: nobody answers;
 * FAILED: with another status than 200. */
enum vinci_status http_get_read(struct http_get *get, const char **body, struct vinci_error *err);

/* Adds "Authorization: Bearer KEY" to *headers; false when memory is short. */
bool http_add_key(struct curl_slist **headers, const char *key);

#endif
