/* listing.c - asks a hub what a repository holds.
 *
 *   ModelScope     /api/v1/models/ID/repo/files: one document, SHA-256 of every file
 *   Hugging Face   /api/models/ID/revision/REV names the commit; /api/models/ID/tree/COMMIT comes
 * in pages; large files have a SHA-256, small ones git's blob id What a hub answers is not trusted:
 * every path is checked before it can name a file here. */
#include "hub/listing.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 100000, PAGES_MAX = 1000, DOCUMENT_MAX = 64 << 20 };
#define SIZE_LIMIT ((json_int_t)1 << 50)

/* ---- names -------------------------------------------------------------------------------- */

static bool is_id_part(const char *text, size_t n)
{
    if (n == 0 || text[0] == '.') return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i])) return false;
    return true;
}

/* What stands before OWNER/NAME, and the hub it means. */
static const struct {
    const char *text;
    enum hub_kind kind;
} prefixes[] = {{"ms:", HUB_MODELSCOPE},
                {"modelscope:", HUB_MODELSCOPE},
                {"hf:", HUB_HUGGINGFACE},
                {"huggingface:", HUB_HUGGINGFACE},
                {"https://www.modelscope.cn/models/", HUB_MODELSCOPE},
                {"https://modelscope.cn/models/", HUB_MODELSCOPE},
                {"https://huggingface.co/", HUB_HUGGINGFACE},
                {"https://hf-mirror.com/", HUB_HUGGINGFACE}};

const char *hub_key(enum hub_kind kind)
{
    return kind == HUB_HUGGINGFACE ? "huggingface" : "modelscope";
}

const char *hub_prefix(enum hub_kind kind)
{
    return kind == HUB_HUGGINGFACE ? "hf:" : "";
}

enum vinci_status hub_model_parse(const char *text, struct hub_model *out, struct vinci_error *err)
{
    const char *id = text;
    out->kind = HUB_MODELSCOPE;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(text, prefixes[i].text, strlen(prefixes[i].text)) == 0) {
            id = text + strlen(prefixes[i].text);
            out->kind = prefixes[i].kind;
        }
    const char *slash = strchr(id, '/');
    size_t n_name = slash ? strcspn(slash + 1, "/?#") : 0;
    bool address = strstr(text, "://") != NULL; /* whose page has more behind the name */
    size_t n = slash ? (size_t)(slash - id) + 1 + n_name : 0;
    if (!slash || !is_id_part(id, (size_t)(slash - id)) || !is_id_part(slash + 1, n_name) ||
        (id[n] && !address) || n >= sizeof out->id)
        return fail(
            err, VINCI_USAGE,
            "'%s': expected a model's name on a hub, OWNER/NAME: "
            "openai-mirror/gpt-oss-20b on ModelScope, hf:openai/gpt-oss-20b on Hugging Face",
            text);
    memcpy(out->id, id, n);
    out->id[n] = '\0';
    return VINCI_OK;
}

bool hub_path_is_safe(const char *path)
{
    size_t total = strlen(path);
    if (total == 0 || total > 1000 || path[0] == '~') return false;
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '\\') return false;
    for (const char *part = path;;) {
        size_t n = strcspn(part, "/");
        if (n == 0 || n > 200 || (n == 1 && part[0] == '.') ||
            (n == 2 && part[0] == '.' && part[1] == '.') || (n == 6 && !memcmp(part, ".vinci", 6)))
            return false;
        if (!part[n]) return true;
        part += n + 1;
    }
}

/* ---- files -------------------------------------------------------------------------------- */

static enum vinci_status add_file(struct hub_listing *listing, const char *url, const char *path,
                                  const json_t *size, enum digest_kind kind, const char *digest,
                                  struct vinci_error *err)
{
    struct hub_file file = {NULL, 0, kind, {""}};
    json_int_t n = json_is_integer(size) ? json_integer_value(size) : -1;
    if (!path || !hub_path_is_safe(path))
        return fail(err, VINCI_BAD_FILE, "%s: the list has a file '%s', which is no path to keep",
                    url, path ? path : "");
    if (n < 0 || n > SIZE_LIMIT)
        return fail(err, VINCI_BAD_FILE, "%s: the list gives no usable size for %s", url, path);
    if (digest && *digest && !digest_parse(kind, digest, &file.digest))
        return fail(err, VINCI_BAD_FILE, "%s: the list gives '%s' as %s of %s", url, digest,
                    digest_name(kind), path);
    if (!file.digest.hex[0]) file.kind = DIGEST_NONE;
    if (listing->n_files >= FILES_MAX)
        return fail(err, VINCI_LIMIT, "%s: more than %d files", url, FILES_MAX);
    if (listing->n_files == listing->capacity) {
        size_t capacity = listing->capacity ? 2 * listing->capacity : 32;
        struct hub_file *files = realloc(listing->files, capacity * sizeof *files);
        if (!files) return fail_memory(err, capacity * sizeof *files, "the list of files");
        listing->files = files;
        listing->capacity = capacity;
    }
    file.path = strdup(path);
    file.size = (uint64_t)n;
    if (!file.path) return fail_memory(err, strlen(path), "the list of files");
    listing->files[listing->n_files++] = file;
    return VINCI_OK;
}

static enum vinci_status parse_modelscope(struct hub_listing *out, const char *url,
                                          const json_t *root, struct vinci_error *err)
{
    const json_t *code = json_object_get(root, "Code");
    const char *message = json_string_value(json_object_get(root, "Message"));
    const json_t *files = json_object_get(json_object_get(root, "Data"), "Files");
    if (json_is_integer(code) && json_integer_value(code) != 200)
        return fail(err, VINCI_NOT_FOUND, "%s: the hub answers: %s", url,
                    message ? message : "an error without a message");
    if (!json_is_array(files))
        return fail(err, VINCI_BAD_FILE, "%s: the answer is no list of files", url);
    size_t i = 0;
    json_t *entry = NULL;
    json_array_foreach(files, i, entry)
    {
        const char *type = json_string_value(json_object_get(entry, "Type"));
        if (type && strcmp(type, "tree") == 0) continue;
        enum vinci_status status =
            add_file(out, url, json_string_value(json_object_get(entry, "Path")),
                     json_object_get(entry, "Size"), DIGEST_SHA256,
                     json_string_value(json_object_get(entry, "Sha256")), err);
        if (status != VINCI_OK) return status;
    }
    return VINCI_OK;
}

static enum vinci_status parse_huggingface(struct hub_listing *out, const char *url,
                                           const json_t *root, struct vinci_error *err)
{
    if (!json_is_array(root))
        return fail(err, VINCI_BAD_FILE, "%s: the answer is no list of files", url);
    size_t i = 0;
    json_t *entry = NULL;
    json_array_foreach(root, i, entry)
    {
        const char *type = json_string_value(json_object_get(entry, "type"));
        if (!type || strcmp(type, "file") != 0) continue;
        const json_t *lfs = json_object_get(entry, "lfs");
        bool large = json_is_object(lfs);
        enum vinci_status status =
            add_file(out, url, json_string_value(json_object_get(entry, "path")),
                     json_object_get(large && json_object_get(lfs, "size") ? lfs : entry, "size"),
                     large ? DIGEST_SHA256 : DIGEST_GIT_SHA1,
                     json_string_value(json_object_get(large ? lfs : entry, "oid")), err);
        if (status != VINCI_OK) return status;
    }
    return VINCI_OK;
}

enum vinci_status hub_listing_parse(struct hub_listing *out, enum hub_kind kind, const char *url,
                                    const char *text, size_t n, struct vinci_error *err)
{
    json_error_t where;
    json_t *root = json_loadb(text ? text : "", n, 0, &where);
    enum vinci_status status = VINCI_OK;
    if (!root)
        status = fail(err, VINCI_BAD_FILE,
                      "%s: expected the hub's list of files, got something else (%s); is there a "
                      "login page or a proxy in between?",
                      url, where.text);
    else if (kind == HUB_MODELSCOPE) status = parse_modelscope(out, url, root, err);
    else status = parse_huggingface(out, url, root, err);
    json_decref(root);
    return status;
}

/* ---- asking ------------------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct hub_file *)a)->path, ((const struct hub_file *)b)->path);
}

/* Sorted; a path that is a file and, for another, a folder would be two things here. */
static enum vinci_status finish_listing(struct hub_listing *listing, const char *id,
                                        struct vinci_error *err)
{
    if (listing->n_files == 0)
        return fail(err, VINCI_NOT_FOUND, "%s: the repository has no files", id);
    qsort(listing->files, listing->n_files, sizeof *listing->files, by_path);
    for (size_t i = 0; i + 1 < listing->n_files; i++)
        if (by_path(&listing->files[i], &listing->files[i + 1]) == 0)
            return fail(err, VINCI_BAD_FILE, "%s: the list has %s twice", id,
                        listing->files[i].path);
    return VINCI_OK;
}

static enum vinci_status list_modelscope(const struct http *http, const struct hub_model *model,
                                         struct hub_listing *out, struct vinci_error *err)
{
    struct buf url = {0}, text = {0};
    enum vinci_status status = VINCI_OK;
    if (!buf_printf(&url, "%s/api/v1/models/%s/repo/files?Recursive=True&Revision=", http->endpoint,
                    model->id) ||
        !http_append_escaped(&url, model->revision, false))
        status = fail_memory(err, 256, "an address");
    if (status == VINCI_OK) status = http_get(http, url.data, DOCUMENT_MAX, &text, NULL, err);
    if (status == VINCI_OK)
        status = hub_listing_parse(out, model->kind, url.data, text.data, text.size, err);
    buf_free(&url);
    buf_free(&text);
    return status;
}

static enum vinci_status find_commit(const struct http *http, const struct hub_model *model,
                                     char commit[65], struct vinci_error *err)
{
    struct buf url = {0}, text = {0};
    json_t *root = NULL;
    enum vinci_status status = VINCI_OK;
    if (!buf_printf(&url, "%s/api/models/%s/revision/", http->endpoint, model->id) ||
        !http_append_escaped(&url, model->revision, false))
        status = fail_memory(err, 256, "an address");
    if (status == VINCI_OK) status = http_get(http, url.data, DOCUMENT_MAX, &text, NULL, err);
    if (status == VINCI_OK) {
        root = json_loadb(text.data, text.size, 0, NULL);
        const char *sha = json_string_value(json_object_get(root, "sha"));
        size_t n = sha ? strlen(sha) : 0;
        if (n < 7 || n > 64 || strspn(sha, "0123456789abcdef") != n)
            status = fail(err, VINCI_BAD_FILE, "%s: the answer names no commit", url.data);
        else memcpy(commit, sha, n + 1);
    }
    json_decref(root);
    buf_free(&url);
    buf_free(&text);
    return status;
}

static enum vinci_status list_huggingface(const struct http *http, const struct hub_model *model,
                                          struct hub_listing *out, struct vinci_error *err)
{
    struct buf url = {0}, text = {0}, next = {0};
    enum vinci_status status = find_commit(http, model, out->commit, err);
    if (status == VINCI_OK && !buf_printf(&url, "%s/api/models/%s/tree/%s?recursive=true",
                                          http->endpoint, model->id, out->commit))
        status = fail_memory(err, 256, "an address");
    for (int page = 0; status == VINCI_OK && url.size > 0; page++) {
        if (page == PAGES_MAX) {
            status = fail(err, VINCI_LIMIT, "%s: more than %d pages", url.data, PAGES_MAX);
            break;
        }
        status = http_get(http, url.data, DOCUMENT_MAX, &text, &next, err);
        if (status == VINCI_OK)
            status = hub_listing_parse(out, model->kind, url.data, text.data, text.size, err);
        struct buf swap = url;
        url = next;
        next = swap;
    }
    buf_free(&url);
    buf_free(&text);
    buf_free(&next);
    return status;
}

enum vinci_status hub_list(const struct http *http, const struct hub_model *model,
                           struct hub_listing *out, struct vinci_error *err)
{
    *out = (struct hub_listing){0};
    enum vinci_status status = model->kind == HUB_MODELSCOPE
                                   ? list_modelscope(http, model, out, err)
                                   : list_huggingface(http, model, out, err);
    if (status == VINCI_OK) status = finish_listing(out, model->id, err);
    if (status != VINCI_OK) hub_listing_free(out);
    return status;
}

void hub_listing_free(struct hub_listing *listing)
{
    for (size_t i = 0; i < listing->n_files; i++) free(listing->files[i].path);
    free(listing->files);
    *listing = (struct hub_listing){0};
}

const struct hub_file *hub_listing_find(const struct hub_listing *listing, const char *path)
{
    struct hub_file key = {.path = (char *)path};
    if (listing->n_files == 0) return NULL;
    return bsearch(&key, listing->files, listing->n_files, sizeof key, by_path);
}

bool hub_file_url(const struct http *http, const struct hub_model *model, const char *commit,
                  const char *path, struct buf *url)
{
    if (model->kind == HUB_HUGGINGFACE)
        return buf_printf(url, "%s/%s/resolve/%s/", http->endpoint, model->id, commit) &&
               http_append_escaped(url, path, true);
    return buf_printf(url, "%s/api/v1/models/%s/repo?Revision=", http->endpoint, model->id) &&
           http_append_escaped(url, model->revision, false) && buf_append_text(url, "&FilePath=") &&
           http_append_escaped(url, path, false);
}
