/* http.c - one HTTP request over libcurl. */
#include "hub/http.h"

#include "base/clock.h"
#include "base/lang.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

enum { REDIRECTS_MAX = 10, CONNECT_SECONDS = 20, MESSAGE_MAX = 4096 };

enum vinci_status http_init(struct vinci_error *err)
{
    CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (result == CURLE_OK) return VINCI_OK;
    return fail(err, VINCI_FAILED, "libcurl cannot start: %s", curl_easy_strerror(result));
}

void http_exit(void)
{
    curl_global_cleanup();
}

bool http_append_escaped(struct buf *out, const char *text, bool keep_slash)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";
    bool ok = buf_append_text(out, "");
    for (const char *c = text; *c && ok; c++)
        if (strchr(plain, *c) || (keep_slash && *c == '/')) ok = buf_append(out, c, 1);
        else ok = buf_printf(out, "%%%02X", (unsigned char)*c);
    return ok;
}

/* ---- the answer's head -------------------------------------------------------------------- */

/* "Name: value" -> value without the line's end, NULL for another name. */
static const char *header_value(const char *line, size_t n, const char *name, size_t *n_value)
{
    size_t n_name = strlen(name);
    if (n <= n_name || strncasecmp(line, name, n_name) != 0 || line[n_name] != ':') return NULL;
    const char *value = line + n_name + 1, *end = line + n;
    while (value < end && (*value == ' ' || *value == '\t')) value++;
    while (end > value && strchr("\r\n \t", end[-1])) end--;
    *n_value = (size_t)(end - value);
    return value;
}

/* "bytes 0-99/1000" */
static void read_content_range(struct http_request *request, const char *value, size_t n)
{
    char text[96];
    unsigned long long from = 0, last = 0, total = 0;
    int used = 0;
    if (n >= sizeof text) return;
    memcpy(text, value, n);
    text[n] = '\0';
    if (sscanf(text, "bytes %llu-%llu/%llu%n", &from, &last, &total, &used) == 3 &&
        (size_t)used == n && from <= last && last < total) {
        request->has_content_range = true;
        request->range_from = from;
        request->range_to = last + 1;
        request->range_total = total;
    }
}

/* <URL>; rel="next" among links with commas between them */
static void read_link(struct http_request *request, const char *value, size_t n)
{
    const char *end = value + n;
    for (const char *c = value; c < end;) {
        const char *open = memchr(c, '<', (size_t)(end - c));
        const char *close = open ? memchr(open, '>', (size_t)(end - open)) : NULL;
        if (!close) return;
        const char *comma = memchr(close, ',', (size_t)(end - close));
        const char *stop = comma ? comma : end;
        const char *rel = memmem(close, (size_t)(stop - close), "rel=\"next\"", 10);
        if (rel) {
            request->next.size = 0;
            buf_append(&request->next, open + 1, (size_t)(close - open) - 1);
            return;
        }
        c = stop;
    }
}

static size_t on_header(char *line, size_t size, size_t n_items, void *user)
{
    struct http_request *request = user;
    size_t n = size * n_items, n_value = 0;
    const char *value = NULL;
    if (n > 5 && strncasecmp(line, "HTTP/", 5) == 0) { /* 100 Continue and the like come before */
        request->has_content_range = false;
        request->next.size = 0;
    } else if ((value = header_value(line, n, "Content-Range", &n_value))) {
        read_content_range(request, value, n_value);
    } else if ((value = header_value(line, n, "Link", &n_value))) {
        read_link(request, value, n_value);
    }
    return n;
}

static size_t on_body(char *data, size_t size, size_t n_items, void *user)
{
    struct http_request *request = user;
    size_t n = size * n_items;
    if (request->code == 0)
        curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &request->code);
    if (request->code == 200 || request->code == 206) return request->body(request->user, data, n);
    size_t left = MESSAGE_MAX - request->message.size;
    buf_append(&request->message, data, n < left ? n : left);
    return n;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up)
{
    const struct http_request *request = user;
    (void)total, (void)now, (void)up_total, (void)up;
    return request->http->stop && request->http->stop(request->http->user);
}

/* ---- the request -------------------------------------------------------------------------- */

static bool same_part(CURLU *a, CURLU *b, CURLUPart part, unsigned flags)
{
    char *x = NULL, *y = NULL;
    bool same = curl_url_get(a, part, &x, flags) == CURLUE_OK &&
                curl_url_get(b, part, &y, flags) == CURLUE_OK && strcasecmp(x, y) == 0;
    curl_free(x);
    curl_free(y);
    return same;
}

/* Scheme, host and port are equal. */
static bool same_origin(const char *a, const char *b)
{
    CURLU *x = curl_url(), *y = curl_url();
    bool same = x && y && curl_url_set(x, CURLUPART_URL, a, 0) == CURLUE_OK &&
                curl_url_set(y, CURLUPART_URL, b, 0) == CURLUE_OK &&
                same_part(x, y, CURLUPART_SCHEME, 0) && same_part(x, y, CURLUPART_HOST, 0) &&
                same_part(x, y, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    curl_url_cleanup(x);
    curl_url_cleanup(y);
    return same;
}

enum vinci_status http_request_set(struct http_request *request, const struct http *http,
                                   const char *url, struct vinci_error *err)
{
    request->http = http;
    request->n_redirects = 0;
    request->from = request->to = 0;
    if (!request->easy) request->easy = curl_easy_init();
    free(request->url);
    free(request->where);
    request->url = strdup(url);
    request->where = strdup(url);
    if (!request->easy || !request->url || !request->where)
        return fail_memory(err, strlen(url), "a request");
    return VINCI_OK;
}

static bool add_header(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (longer) *list = longer;
    return longer != NULL;
}

/* The hubs ask for a fresh number on every request, to find it in their logs. */
static bool add_headers(struct http_request *request)
{
    unsigned char random[16] = {0};
    char id[64] = "X-Request-ID: ";
    size_t n = strlen(id);
    ssize_t got = getrandom(random, sizeof random, 0);
    (void)got;
    for (size_t i = 0; i < sizeof random; i++) snprintf(id + n + 2 * i, 3, "%02x", random[i]);
    curl_slist_free_all(request->headers);
    request->headers = NULL;
    const char *token = request->http->token_header;
    if (token && !same_origin(request->where, request->http->endpoint)) token = NULL;
    return add_header(&request->headers, id) && (!token || add_header(&request->headers, token));
}

enum vinci_status http_request_prepare(struct http_request *request, struct vinci_error *err)
{
    CURL *easy = request->easy;
    const struct http *http = request->http;
    char range[64] = "";
    request->code = 0;
    request->has_content_range = false;
    request->next.size = request->message.size = 0;
    request->error[0] = '\0';
    if (request->to > 0)
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)request->from,
                 (unsigned long long)request->to - 1);
    curl_easy_reset(easy); /* connections stay open */
    if (!add_headers(request)) return fail_memory(err, 64, "a request");
    bool ok = curl_easy_setopt(easy, CURLOPT_URL, request->where) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_RANGE, *range ? range : NULL) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_USERAGENT, "vinci/" VINCI_VERSION) == CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075500
    ok = ok && curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
    ok = ok && curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                                (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS)) == CURLE_OK;
#endif
    if (http->ca_file) ok = ok && curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file) == CURLE_OK;
    if (!ok) return fail_memory(err, 4096, "a request");
    /* HTTP/2 would put all ranges on one connection, which is what they are there to avoid. */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)http->stall_seconds);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, request);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    return VINCI_OK;
}

/* ---- what became of it -------------------------------------------------------------------- */

static enum http_outcome follow_redirect(struct http_request *request, struct vinci_error *err)
{
    char *to = NULL;
    curl_easy_getinfo(request->easy, CURLINFO_REDIRECT_URL, &to);
    if (!to || ++request->n_redirects > REDIRECTS_MAX) {
        fail(err, VINCI_IO, "%s: answer %ld leads %s", request->url, request->code,
             to ? _("in circles") : _("nowhere"));
        return HTTP_FATAL;
    }
    if (strncasecmp(request->where, "https:", 6) == 0 && strncasecmp(to, "https:", 6) != 0) {
        fail(err, VINCI_IO, "%s: the answer leads to %s, which is not protected; not followed",
             request->url, to);
        return HTTP_FATAL;
    }
    char *copy = strdup(to);
    if (!copy) {
        fail_memory(err, strlen(to), "a request");
        return HTTP_FATAL;
    }
    free(request->where);
    request->where = copy;
    return HTTP_REDIRECT;
}

/* The sentence within the JSON that hubs answer mistakes with, or NULL; free() it. */
static char *message_of(const struct buf *body)
{
    static const char *const keys[] = {"Message", "message", "error"};
    json_t *root = body->size ? json_loadb(body->data, body->size, 0, NULL) : NULL;
    char *text = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !text; i++) {
        const char *value = json_string_value(json_object_get(root, keys[i]));
        if (value && *value) text = strdup(value);
    }
    json_decref(root);
    return text;
}

static enum http_outcome refused(struct http_request *request, struct vinci_error *err)
{
    long code = request->code;
    bool elsewhere = !same_origin(request->where, request->url);
    char *message = message_of(&request->message);
    curl_off_t after = 0;
    curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &after);
    if (after > 0) request->pause = (double)after;
    /* A content host answers 403 when the address that the hub gave has expired: a new one helps.
     */
    bool passing = code >= 500 || code == 408 || code == 416 || code == 425 || code == 429 ||
                   (elsewhere && code >= 400);
    fail(err,
         code == 404                  ? VINCI_NOT_FOUND
         : code == 401 || code == 403 ? VINCI_NOT_FOUND
                                      : VINCI_IO,
         "%s: the hub answers %ld%s%s%s", request->url, code, message ? ": " : "",
         message ? message : "",
         passing       ? ""
         : code == 404 ? _("; the name or the revision is not there")
         : (code == 401 || code == 403) && request->http->token_header
             ? _("; the access token does not open it")
         : code == 401 || code == 403 ? _("; it is not there, or wants an access token")
                                      : "");
    free(message);
    return passing ? HTTP_RETRY : HTTP_FATAL;
}

/* libcurl's sentence names whom it could not reach: unless that is the URL's host, it is a proxy.
 */
static bool failed_at_proxy(const char *url, CURLcode result, const char *why)
{
    if (result == CURLE_COULDNT_RESOLVE_PROXY || result == CURLE_PROXY) return true;
    if (result != CURLE_COULDNT_CONNECT) return false;
    CURLU *parts = curl_url();
    char *host = NULL;
    bool is_proxy = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                    curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                    strstr(why, "onnect to ") && !strstr(why, host);
    curl_free(host);
    curl_url_cleanup(parts);
    return is_proxy;
}

enum http_outcome http_request_outcome(struct http_request *request, CURLcode result,
                                       struct vinci_error *err)
{
    request->pause = 0;
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &request->code);
    if (request->http->stop && request->http->stop(request->http->user)) {
        fail(err, VINCI_CANCELLED, "stopped");
        return HTTP_FATAL;
    }
    if (result != CURLE_OK) {
        const char *why = request->error[0] ? request->error : curl_easy_strerror(result);
        bool certificate = result == CURLE_PEER_FAILED_VERIFICATION ||
                           result == CURLE_SSL_CACERT_BADFILE || result == CURLE_SSL_CERTPROBLEM;
        fail(err, VINCI_IO, "%s: %s%s", request->url, why,
             certificate ? _("; behind a company's proxy, SSL_CERT_FILE names its certificate")
             : failed_at_proxy(request->url, result, why)
                 ? _("; that is the proxy of https_proxy, http_proxy or all_proxy: check or unset "
                     "it")
                 : "");
        bool hopeless = certificate || result == CURLE_URL_MALFORMAT ||
                        result == CURLE_UNSUPPORTED_PROTOCOL || result == CURLE_OUT_OF_MEMORY;
        return hopeless ? HTTP_FATAL : HTTP_RETRY;
    }
    if (request->code == 200 || request->code == 206) return HTTP_DONE;
    if (request->code == 301 || request->code == 302 || request->code == 303 ||
        request->code == 307 || request->code == 308)
        return follow_redirect(request, err);
    return refused(request, err);
}

void http_request_free(struct http_request *request)
{
    if (request->easy) curl_easy_cleanup(request->easy);
    curl_slist_free_all(request->headers);
    free(request->url);
    free(request->where);
    buf_free(&request->next);
    buf_free(&request->message);
    *request = (struct http_request){0};
}

double http_pause(const struct http *http, unsigned failures, double asked)
{
    unsigned char random = 0;
    ssize_t got = getrandom(&random, 1, 0);
    (void)got;
    double pause =
        http->retry_delay * (double)(1u << (failures < 12 ? failures - (failures > 0) : 12));
    if (pause > 60) pause = 60;
    pause *= 1 + random / 1024.0; /* so that several do not come back at once */
    if (asked > 600) asked = 600;
    return pause > asked ? pause : asked;
}

bool http_wait(const struct http *http, double seconds)
{
    double end = seconds_now() + seconds;
    for (;;) {
        if (http->stop && http->stop(http->user)) return false;
        double left = end - seconds_now();
        if (left <= 0) return true;
        if (left > 0.1) left = 0.1;
        nanosleep(&(struct timespec){0, (long)(left * 1e9)}, NULL);
    }
}

/* ---- whole documents ---------------------------------------------------------------------- */

struct document {
    struct buf *out;
    size_t limit;
};

static size_t add_to_document(void *user, const char *data, size_t n)
{
    struct document *document = user;
    bool fits = n <= document->limit - document->out->size;
    return fits && buf_append(document->out, data, n) ? n : 0;
}

/* Whoever is not connected should not wait for a minute to read so. */
static bool unreachable(CURLcode result)
{
    return result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_RESOLVE_PROXY ||
           result == CURLE_COULDNT_CONNECT;
}

enum vinci_status http_get(const struct http *http, const char *url, size_t limit, struct buf *out,
                           struct buf *next, struct vinci_error *err)
{
    struct document document = {out, limit};
    struct http_request request = {.body = add_to_document, .user = &document};
    enum vinci_status status = http_request_set(&request, http, url, err);
    for (unsigned failures = 0; status == VINCI_OK;) {
        struct vinci_error why = {0};
        status = http_request_prepare(&request, err);
        if (status != VINCI_OK) break;
        out->size = 0;
        CURLcode result = curl_easy_perform(request.easy);
        enum http_outcome outcome = http_request_outcome(&request, result, &why);
        if (outcome == HTTP_DONE) break;
        if (outcome == HTTP_REDIRECT) continue;
        if (result == CURLE_WRITE_ERROR) {
            status = fail(err, VINCI_BAD_FILE, "%s: expected a document of at most %zu bytes", url,
                          limit);
        } else if (outcome == HTTP_FATAL || ++failures > http->n_retries ||
                   (unreachable(result) && failures > 2)) {
            status = failures ? fail(err, why.status, "%s; given up at attempt %u", why.text,
                                     failures + (outcome == HTTP_FATAL))
                              : fail(err, why.status, "%s", why.text);
        } else if (!http_wait(http, http_pause(http, failures, request.pause))) {
            status = fail(err, VINCI_CANCELLED, "stopped");
        } else {
            status = http_request_set(&request, http, url, err);
        }
    }
    if (status == VINCI_OK && next) {
        next->size = 0;
        if (request.next.size && !buf_append(next, request.next.data, request.next.size))
            status = fail_memory(err, request.next.size, "a request");
    }
    if (status == VINCI_OK && !buf_append(out, "", 0)) status = fail_memory(err, 1, "a document");
    http_request_free(&request);
    return status;
}
