/* digest.c - SHA-256 and git's blob id. */
#include "hub/digest.h"

#include "base/buf.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct digest {
    EVP_MD_CTX *context;
    enum digest_kind kind;
    uint64_t size;
};

static bool begin(struct digest *digest)
{
    if (digest->kind != DIGEST_GIT_SHA1)
        return EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) == 1;
    char head[40];
    int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)digest->size);
    return EVP_DigestInit_ex(digest->context, EVP_sha1(), NULL) == 1 &&
           EVP_DigestUpdate(digest->context, head, (size_t)n + 1) == 1;
}

struct digest *digest_new(enum digest_kind kind, uint64_t size)
{
    struct digest *digest = calloc(1, sizeof *digest);
    if (!digest) return NULL;
    *digest = (struct digest){EVP_MD_CTX_new(), kind, size};
    if (digest->context && begin(digest)) return digest;
    digest_free(digest);
    return NULL;
}

bool digest_add(struct digest *digest, const void *data, size_t n)
{
    return EVP_DigestUpdate(digest->context, data, n) == 1;
}

bool digest_end(struct digest *digest, struct digest_text *out)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    *out = (struct digest_text){""};
    if (EVP_DigestFinal_ex(digest->context, bytes, &n) != 1 || 2 * n >= sizeof out->hex)
        return false;
    for (unsigned i = 0; i < n && digest->kind != DIGEST_NONE; i++)
        snprintf(out->hex + 2 * i, 3, "%02x", bytes[i]);
    return begin(digest);
}

void digest_free(struct digest *digest)
{
    if (!digest) return;
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

enum vinci_status digest_add_file(struct digest *digest, int fd, const char *path, uint64_t from,
                                  uint64_t to, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    size_t room = 1 << 18;
    char *bytes = malloc(room);
    if (!bytes) return fail_memory(err, room, path);
    while (from < to && status == VINCI_OK) {
        size_t want = to - from < room ? (size_t)(to - from) : room;
        ssize_t n = pread(fd, bytes, want, (off_t)from);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = fail_errno(err, errno, path, "read");
        else if (n == 0)
            status = fail(err, VINCI_IO, "%s: expected %llu bytes, ends after %llu", path,
                          (unsigned long long)to, (unsigned long long)from);
        else if (!digest_add(digest, bytes, (size_t)n))
            status = fail(err, VINCI_FAILED, "%s: OpenSSL cannot compute its digest", path);
        else from += (uint64_t)n;
    }
    free(bytes);
    return status;
}

const char *digest_name(enum digest_kind kind)
{
    return kind == DIGEST_SHA256 ? "sha256" : kind == DIGEST_GIT_SHA1 ? "git-sha1" : "none";
}

bool digest_parse(enum digest_kind kind, const char *text, struct digest_text *out)
{
    size_t n = kind == DIGEST_SHA256 ? 64 : kind == DIGEST_GIT_SHA1 ? 40 : 0;
    *out = (struct digest_text){""};
    if (n == 0 || !text || strlen(text) != n) return false;
    for (size_t i = 0; i < n; i++) {
        if (!isxdigit((unsigned char)text[i])) {
            *out = (struct digest_text){""};
            return false;
        }
        out->hex[i] = (char)tolower((unsigned char)text[i]);
    }
    return true;
}
