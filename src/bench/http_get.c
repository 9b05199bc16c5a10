/* http_get.c - see http_get.h. */
#include "bench/http_get.h"

#include <stdlib.h>
#include <string.h>

struct http_get {
    CURL *curl;
    struct curl_slist *headers;
    struct buf url, body;
    char reason[CURL_ERROR_SIZE];
};

enum { BODY_MAX = 16 << 20 };

bool http_add_key(struct curl_slist **headers, const char *key)
{
    struct buf line = {0};
    bool ok = buf_printf(&line, "Authorization: Bearer %s", key);
    struct curl_slist *longer = ok ? curl_slist_append(*headers, line.data) : NULL;
    buf_free(&line);
    if (longer) *headers = longer;
    return longer != NULL;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct http_get *get = user;
    if (get->body.size + size * n > BODY_MAX) return 0;
    return buf_append(&get->body, data, size * n) ? size * n : 0;
}

static bool prepare(struct http_get *get, const char *server, const char *path, const char *key,
                    double seconds)
{
    size_t n = strlen(server);
    if (n > 0 && server[n - 1] == '/') n--;
    get->curl = curl_easy_init();
    if (!get->curl || !buf_printf(&get->url, "%.*s%s", (int)n, server, path) ||
        (key && !http_add_key(&get->headers, key)))
        return false;
    curl_easy_setopt(get->curl, CURLOPT_URL, get->url.data);
    curl_easy_setopt(get->curl, CURLOPT_HTTPHEADER, get->headers);
    curl_easy_setopt(get->curl, CURLOPT_TIMEOUT_MS, (long)(1e3 * seconds));
    curl_easy_setopt(get->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(get->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(get->curl, CURLOPT_WRITEDATA, get);
    curl_easy_setopt(get->curl, CURLOPT_ERRORBUFFER, get->reason);
    return true;
}

enum vinci_status http_get_open(struct http_get **out, const char *server, const char *path,
                                const char *key, double seconds, struct vinci_error *err)
{
    *out = NULL;
    struct http_get *get = array_new_zero(1, sizeof *get);
    if (!get || !prepare(get, server, path, key, seconds)) {
        http_get_close(get);
        return fail_memory(err, sizeof *get, "the connection");
    }
    *out = get;
    return VINCI_OK;
}

void http_get_close(struct http_get *get)
{
    if (!get) return;
    if (get->curl) curl_easy_cleanup(get->curl);
    curl_slist_free_all(get->headers);
    buf_free(&get->url);
    buf_free(&get->body);
    free(get);
}

const char *http_get_url(const struct http_get *get)
{
    return get->url.data;
}

enum vinci_status http_get_read(struct http_get *get, const char **body, struct vinci_error *err)
{
    long code = 0;
    get->body.size = 0;
    get->reason[0] = '\0';
    CURLcode result = curl_easy_perform(get->curl);
    if (result != CURLE_OK)
        return fail(err, VINCI_NOT_FOUND, "%s: no server answers: %s", get->url.data,
                    get->reason[0] ? get->reason : curl_easy_strerror(result));
    curl_easy_getinfo(get->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200)
        return fail(err, VINCI_FAILED, "%s: expected status 200, got %ld%s", get->url.data, code,
                    code == 401 ? "; give the key with --api-key-file" : "");
    if (!buf_append(&get->body, "", 1)) return fail_memory(err, get->body.size, "the answer");
    *body = get->body.data;
    return VINCI_OK;
}
