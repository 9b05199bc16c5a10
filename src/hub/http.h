/* http.h - one HTTP request over libcurl, as a downloader needs it.
 *
 * Redirects are followed here and not by libcurl, because of one rule: the access token goes to the
 * origin (scheme, host and port) it belongs to and never anywhere else. What a failed attempt means
 * is decided here too: try again, after which pause, or give up with which sentence. Proxies are
 * libcurl's affair (http_proxy, https_proxy, all_proxy, no_proxy). */
#ifndef VINCI_HUB_HTTP_H
#define VINCI_HUB_HTTP_H

#include "base/buf.h"

#include <curl/curl.h>

/* What every request to a hub has in common. Texts are borrowed. */
struct http {
    const char *endpoint;     /* "https://www.modelscope.cn": where the token belongs */
    const char *token_header; /* "Authorization: Bearer ...", "Cookie: ..."; NULL: none */
    const char *ca_file;      /* certificates to trust; NULL: the system's */
    unsigned n_retries;       /* attempts in a row without a byte of progress, after the first */
    double retry_delay;       /* seconds before the second attempt; doubles each time */
    unsigned stall_seconds;   /* a connection that brings nothing for so long is given up */
    bool (*stop)(void *user); /* true: end as soon as possible; may be NULL */
    void *user;
};

enum http_outcome {
    HTTP_DONE,     /* the body was delivered whole */
    HTTP_REDIRECT, /* perform it once more: it points to another place now */
    HTTP_RETRY,    /* a passing fault, see `pause`; err says which */
    HTTP_FATAL     /* err says why it will not get better */
};

struct http_request {
    const struct http *http;
    CURL *easy;
    struct curl_slist *headers;
    char *url, *where; /* as asked for; where redirects lead */
    unsigned n_redirects;
    uint64_t from, to; /* bytes wanted; to == 0: all, without a Range header */
    /* Bytes of an answer 200 or 206; less than n: the receiver gives up. */
    size_t (*body)(void *user, const char *data, size_t n);
    void *user;
    /* The answer's head. */
    long code;
    bool has_content_range;
    uint64_t range_from, range_to, range_total; /* [from, to) of total */
    struct buf next;                            /* Link: <...>; rel="next" */
    struct buf message;                         /* begin of the body of any other answer */
    double pause;                               /* seconds to wait before a retry, at least */
    char error[CURL_ERROR_SIZE];
};

/* Call once per process, before any thread; the opposite at the end. */
enum vinci_status http_init(struct vinci_error *err);
void http_exit(void);

/* `url` is copied. All zero before the first call; may be called again for another request, which
 * uses open connections. */
enum vinci_status http_request_set(struct http_request *request, const struct http *http,
                                   const char *url, struct vinci_error *err);

/* Makes `easy` ready to be performed. */
enum vinci_status http_request_prepare(struct http_request *request, struct vinci_error *err);

/* What libcurl's result means. `gave_up`: the receiver ended it; the caller knows better then. */
enum http_outcome http_request_outcome(struct http_request *request, CURLcode result,
                                       struct vinci_error *err);
void http_request_free(struct http_request *request);

/* Seconds before attempt `failures` + 1: doubles, with some chance in it, at most a minute; longer
 * when the server asked for it. */
double http_pause(const struct http *http, unsigned failures, double asked);

/* False when stop() turned true meanwhile. */
bool http_wait(const struct http *http, double seconds);

/* A whole document of at most `limit` bytes, with retries. `next` (may be NULL): the page behind
 * this one, empty if none. */
enum vinci_status http_get(const struct http *http, const char *url, size_t limit, struct buf *out,
                           struct buf *next, struct vinci_error *err);

/* Appends text with all but letters, digits and -_.~ as %XX; '/' stays when `keep_slash`. */
bool http_append_escaped(struct buf *out, const char *text, bool keep_slash);

#endif
