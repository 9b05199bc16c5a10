/* fetch.h - brings files here: several ranges side by side, resumed, verified, put in place. */
#ifndef VINCI_HUB_FETCH_H
#define VINCI_HUB_FETCH_H

#include "hub/digest.h"
#include "hub/http.h"

enum fetch_state { FETCH_WAITING, FETCH_COMPLETE, FETCH_MISMATCH };

struct fetch_file {
    const char *name;  /* for messages */
    const char *url;   /* at the hub; redirects are followed anew for each range */
    const char *stem;  /* STEM.part and STEM.journal hold it meanwhile */
    const char *place; /* where it goes, by a rename: on the same file system */
    uint64_t size;
    enum digest_kind kind;
    struct digest_text digest;
    /* What became of it. */
    uint64_t done;    /* bytes here, unfinished pieces included */
    uint64_t arrived; /* bytes that came over the network */
    struct digest_text
        is; /* of a complete one or of a mismatch; its SHA-256 if the hub says none */
    enum fetch_state state;
};

struct fetch_options {
    const struct http *http;
    unsigned n_connections;
    uint32_t piece_bytes;  /* what is verified, and kept, at a time */
    unsigned range_pieces; /* pieces that one request asks for */
    vinci_log_fn *log;     /* may be NULL */
    void *log_user;
    /* From time to time and at each change; may be NULL. */
    void (*progress)(void *user, const struct fetch_file *files, size_t n_files);
    /* A file is in its place. */
    enum vinci_status (*completed)(void *user, const struct fetch_file *file,
                                   struct vinci_error *err);
    void *user;
};

enum { FETCH_FILES_MAX = 64 }; /* in one call: so many are open at a time */

/* OK also when a file's digest was not what the hub says (FETCH_MISMATCH): nothing of it is left.
 * After any failure, and after a kill, what was verified stays for the next call. */
enum vinci_status hub_fetch(struct fetch_file *files, size_t n_files,
                            const struct fetch_options *options, struct vinci_error *err);

#endif
