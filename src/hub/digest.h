/* digest.h - the digests by which hubs name a file's content, while it arrives; by OpenSSL's EVP.
 */
#ifndef VINCI_HUB_DIGEST_H
#define VINCI_HUB_DIGEST_H

#include "base/status.h"

enum digest_kind {
    DIGEST_NONE,    /* the hub says none */
    DIGEST_SHA256,  /* of the content */
    DIGEST_GIT_SHA1 /* git's blob id: SHA-1 of "blob SIZE", a NUL and the content */
};

/* Lower-case hexadecimal, NUL-terminated; "" for DIGEST_NONE. */
struct digest_text {
    char hex[65];
};

struct digest; /* one that is going on */

/* `size` is that of the whole content. NULL when memory is short. */
struct digest *digest_new(enum digest_kind kind, uint64_t size);
bool digest_add(struct digest *digest, const void *data, size_t n);
/* The text, and ready for content of the same kind and size again. False: OpenSSL failed. */
bool digest_end(struct digest *digest, struct digest_text *out);
void digest_free(struct digest *digest);

/* Bytes [from, to) of an open file are added. IO when they cannot be read or are not there. */
enum vinci_status digest_add_file(struct digest *digest, int fd, const char *path, uint64_t from,
                                  uint64_t to, struct vinci_error *err);

/* "sha256", "git-sha1", "none". */
const char *digest_name(enum digest_kind kind);

/* True for a text of the right length in hexadecimal, which is copied in lower case. */
bool digest_parse(enum digest_kind kind, const char *text, struct digest_text *out);

#endif
