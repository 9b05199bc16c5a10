/* hub_server.c - a model hub on this machine that makes mistakes on request. */
#include "hub_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <microhttpd.h>
#include <openssl/evp.h>

enum { COMMIT_LENGTH = 40 };
static const char COMMIT[COMMIT_LENGTH + 1] = "0123456789abcdef0123456789abcdef01234567";

uint64_t hub_server_size(const struct hub_server_file *file)
{
    return file->text ? strlen(file->text) : file->size;
}

void hub_server_content(const struct hub_server_file *file, uint64_t from, size_t n, void *out)
{
    unsigned char *bytes = out;
    if (file->text) {
        memcpy(out, file->text + from, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t x = (from + i) / 8 + ((uint64_t)file->seed << 40);
        x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
        x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
        bytes[i] = (unsigned char)(x >> (8 * ((from + i) % 8)));
    }
}

static void digest_of(const struct hub_server_file *file, bool git, char hex[65])
{
    uint64_t size = hub_server_size(file);
    unsigned char *bytes = malloc(size + 64), is[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    assert_non_null(bytes);
    size_t head =
        git ? (size_t)sprintf((char *)bytes, "blob %llu", (unsigned long long)size) + 1 : 0;
    hub_server_content(file, 0, size, bytes + head);
    EVP_Digest(bytes, head + size, is, &n, git ? EVP_sha1() : EVP_sha256(), NULL);
    for (unsigned i = 0; i < n; i++) sprintf(hex + 2 * i, "%02x", is[i]);
    free(bytes);
}

/* ---- answers ------------------------------------------------------------------------------- */

static bool use(int *counter)
{
    if (*counter == 0) return false;
    if (*counter > 0) --*counter;
    return true;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, const char *body,
                              const char *header, const char *value)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(body), (void *)body, MHD_RESPMEM_MUST_COPY);
    if (header) MHD_add_response_header(response, header, value);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

/* A file's bytes on the way. */
struct stream {
    const struct hub_server_file *file;
    struct hub_server *server;
    uint64_t from, rate, cut_after, corrupt_at;
    bool cut, corrupt;
};

static ssize_t on_read(void *user, uint64_t at, char *out, size_t room)
{
    const struct stream *stream = user;
    size_t n = room < 16384 ? room : 16384;
    if (stream->rate > 0 && n > stream->rate / 50 + 1) n = stream->rate / 50 + 1;
    if (stream->cut && at >= stream->cut_after) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (stream->cut && n > stream->cut_after - at) n = (size_t)(stream->cut_after - at);
    uint64_t size = hub_server_size(stream->file), begin = stream->from + at;
    memset(out, '!', n); /* behind the end, for answers that are too long */
    size_t inside = begin >= size ? 0 : size - begin < n ? (size_t)(size - begin) : n;
    hub_server_content(stream->file, begin, inside, out);
    if (stream->corrupt && stream->corrupt_at >= begin && stream->corrupt_at < begin + n)
        out[stream->corrupt_at - begin] ^= 4;
    if (stream->rate > 0) nanosleep(&(struct timespec){0, 20000000}, NULL);
    pthread_mutex_lock(&stream->server->mutex);
    stream->server->counts.bytes += n;
    pthread_mutex_unlock(&stream->server->mutex);
    return (ssize_t)n;
}

static enum MHD_Result answer_file(struct hub_server *server, struct MHD_Connection *connection,
                                   const struct hub_server_file *file)
{
    struct hub_server_faults *faults = &server->faults;
    const char *range = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Range");
    unsigned long long from = 0, last = 0;
    uint64_t size = hub_server_size(file), to = size;
    char text[96];
    bool part =
        range && !faults->ignore_ranges && sscanf(range, "bytes=%llu-%llu", &from, &last) == 2;
    if (part && (from >= size || use(&faults->unsatisfiable)))
        return answer(connection, 416, "", NULL, NULL);
    if (part) to = last + 1 < size ? last + 1 : size;
    struct stream *stream = calloc(1, sizeof *stream);
    assert_non_null(stream);
    *stream = (struct stream){
        file, server, from, faults->rate, faults->cut_after, faults->corrupt_at, use(&faults->cut),
        false};
    if (part && use(&faults->wrong_range))
        stream->from = from = from >= 1000 ? from - 1000 : from + 7;
    if (faults->corrupt_path && strcmp(faults->corrupt_path, file->path) == 0 &&
        faults->corrupt_at >= from && faults->corrupt_at < to)
        stream->corrupt = use(&faults->corrupt);
    server->counts.file_answers++;
    uint64_t length = to - stream->from + (use(&faults->too_long) ? 999 : 0);
    struct MHD_Response *response =
        MHD_create_response_from_callback(length, 16384, on_read, stream, free);
    snprintf(text, sizeof text, "bytes %llu-%llu/%llu", from, (unsigned long long)to - 1,
             (unsigned long long)size);
    if (part) MHD_add_response_header(response, "Content-Range", text);
    enum MHD_Result result = MHD_queue_response(connection, part ? 206 : 200, response);
    MHD_destroy_response(response);
    return result;
}

static void list_entry(char **out, const struct hub_server_file *file, bool modelscope, bool first)
{
    char digest[65];
    uint64_t size = file->listed_size ? file->listed_size : hub_server_size(file);
    bool large = !file->text;
    digest_of(file, !modelscope && !large, digest);
    const char *listed = file->listed_sha256 ? file->listed_sha256 : digest;
    *out += sprintf(*out, "%s", first ? "" : ",");
    if (modelscope)
        *out += sprintf(*out,
                        "{\"Name\":\"x\",\"Path\":\"%s\",\"Size\":%llu,\"Sha256\":\"%s\","
                        "\"Type\":\"blob\"}",
                        file->path, (unsigned long long)size, listed);
    else if (large)
        *out += sprintf(*out,
                        "{\"type\":\"file\",\"path\":\"%s\",\"size\":%llu,\"oid\":\"0\","
                        "\"lfs\":{\"oid\":\"%s\",\"size\":%llu}}",
                        file->path, (unsigned long long)size, listed, (unsigned long long)size);
    else
        *out += sprintf(*out, "{\"type\":\"file\",\"path\":\"%s\",\"size\":%llu,\"oid\":\"%s\"}",
                        file->path, (unsigned long long)size, listed);
}

static enum MHD_Result answer_list(struct hub_server *server, struct MHD_Connection *connection,
                                   bool modelscope)
{
    char *body = malloc(400 * (server->n_files + 1)), *out = body, link[200];
    const char *cursor = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "cursor");
    size_t begin = cursor ? strtoul(cursor, NULL, 10) : 0, end = server->n_files;
    assert_non_null(body);
    server->counts.lists++;
    if (server->page && !modelscope && begin + server->page < end) end = begin + server->page;
    out += sprintf(out, "%s",
                   modelscope ? "{\"Code\":200,\"Success\":true,\"Data\":{\"Files\":["
                                "{\"Path\":\"original\",\"Type\":\"tree\",\"Size\":0},"
                              : "[{\"type\":\"directory\",\"path\":\"original\",\"size\":0},");
    for (size_t i = begin; i < end; i++)
        list_entry(&out, &server->files[i], modelscope, i == begin);
    sprintf(out, "%s", modelscope ? "]}}" : "]");
    snprintf(link, sizeof link,
             "<http://127.0.0.1:%u/api/models/o/m/tree/%s?recursive=true&cursor=%zu>; rel=\"next\"",
             server->hub_port, COMMIT, end);
    const char *text = server->faults.list_body ? server->faults.list_body : body;
    enum MHD_Result result =
        answer(connection, 200, text, end < server->n_files ? "Link" : NULL, link);
    free(body);
    return result;
}

static const struct hub_server_file *find_file(const struct hub_server *server, const char *path)
{
    for (size_t i = 0; path && i < server->n_files; i++)
        if (strcmp(server->files[i].path, path) == 0) return &server->files[i];
    return NULL;
}

/* What is asked for: a list, a commit, or a file. Under the mutex. */
static enum MHD_Result serve(struct hub_server *server, struct MHD_Connection *connection,
                             const char *url, bool is_content)
{
    struct hub_server_faults *faults = &server->faults;
    char text[400];
    const char *path = NULL;
    if (strstr(url, "/repo/files")) return answer_list(server, connection, true);
    if (strstr(url, "/tree/")) return answer_list(server, connection, false);
    if (strstr(url, "/revision/")) {
        snprintf(text, sizeof text, "{\"id\":\"o/m\",\"sha\":\"%s\"}", COMMIT);
        return answer(connection, 200, text, NULL, NULL);
    }
    if (strstr(url, "/repo"))
        path = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "FilePath");
    else if (strstr(url, "/resolve/")) path = strchr(strstr(url, "/resolve/") + 9, '/') + 1;
    else if (strncmp(url, "/content/", 9) == 0) path = url + 9;
    const struct hub_server_file *file = find_file(server, path);
    if (!file) return answer(connection, 404, "{\"Message\":\"no such thing\"}", NULL, NULL);
    if (faults->redirect_loop && !is_content) {
        snprintf(text, sizeof text, "%s?FilePath=%s", url, path);
        return answer(connection, 302, "", "Location", text);
    }
    if (faults->redirect && !is_content) {
        snprintf(text, sizeof text, "http://127.0.0.1:%u/content/%s", server->content_port, path);
        return answer(connection, 302, "<a>there</a>", "Location", text);
    }
    return answer_file(server, connection, file);
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *n_data, void **state)
{
    struct hub_server *server = user;
    char text[40];
    (void)version, (void)data, (void)n_data, (void)state;
    if (strcmp(method, "GET") != 0) return MHD_NO;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_DAEMON);
    const char *authorization =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    bool token =
        authorization || MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Cookie");
    pthread_mutex_lock(&server->mutex);
    bool is_content = info->daemon == server->content && !server->faults.is_proxy;
    server->counts.requests++;
    server->counts.tokens_at_hub += token && !is_content;
    server->counts.tokens_at_content += token && is_content;
    enum MHD_Result result = MHD_NO;
    if (use(&server->faults.refuse)) {
        snprintf(text, sizeof text, "%u", server->faults.retry_after);
        result = answer(connection, server->faults.refuse_code, "{\"Message\":\"not now\"}",
                        server->faults.retry_after ? "Retry-After" : NULL, text);
    } else {
        result = serve(server, connection, url, is_content);
    }
    pthread_mutex_unlock(&server->mutex);
    return result;
}

static struct MHD_Daemon *start(struct hub_server *server, unsigned short *port)
{
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL, on_request,
        server, MHD_OPTION_CONNECTION_TIMEOUT, 20u, MHD_OPTION_END);
    assert_non_null(daemon);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    assert_non_null(info);
    *port = info->port;
    return daemon;
}

void hub_server_start(struct hub_server *server, const struct hub_server_file *files, size_t n)
{
    *server = (struct hub_server){.files = files, .n_files = n};
    pthread_mutex_init(&server->mutex, NULL);
    pthread_mutex_lock(&server->mutex);
    server->hub = start(server, &server->hub_port);
    server->content = start(server, &server->content_port);
    pthread_mutex_unlock(&server->mutex);
}

void hub_server_stop(struct hub_server *server)
{
    MHD_stop_daemon(server->hub);
    MHD_stop_daemon(server->content);
    pthread_mutex_destroy(&server->mutex);
}

void hub_server_reset(struct hub_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->faults = (struct hub_server_faults){0};
    server->counts = (struct hub_server_counts){0};
    pthread_mutex_unlock(&server->mutex);
}

struct hub_server_counts hub_server_count(struct hub_server *server)
{
    pthread_mutex_lock(&server->mutex);
    struct hub_server_counts counts = server->counts;
    pthread_mutex_unlock(&server->mutex);
    return counts;
}
