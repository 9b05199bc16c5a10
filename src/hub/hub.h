/* hub.h - fetching a model from a hub, and checking one that is here.
 *
 * The way of a pull: list the repository, choose files, see which are here and verified, check the
 * disk's room, fetch the rest (fetch.h), put links in place for Hugging Face's layout. config.json
 * comes last: a folder without it is not taken for a model. */
#ifndef VINCI_HUB_HUB_H
#define VINCI_HUB_HUB_H

#include "hub/fetch.h"
#include "hub/listing.h"
#include "hub/select.h"

/* What is going on, for a progress display. Borrowed. */
struct hub_progress {
    bool checking;                  /* reading what is here already; else fetching */
    uint64_t done, total;           /* bytes of the whole pull; when checking, of the check */
    uint64_t arrived;               /* bytes that came over the network in this run */
    size_t n_files, n_here;         /* of the whole pull */
    const struct fetch_file *files; /* those on the way */
    size_t n_on_way;
};

struct hub_pull_options {
    struct hub_model model;
    struct http http;
    struct vinci_caches caches;
    const char *local_dir; /* NULL: the hub's cache */
    struct hub_selection selection;
    unsigned n_connections;
    uint32_t piece_bytes;
    unsigned range_pieces;
    bool dry_run; /* only say what would be done */
    vinci_log_fn *log;
    void *log_user;
    void (*progress)(void *user, const struct hub_progress *progress); /* may be NULL */
    /* For every file wanted, before the first is fetched; may be NULL. */
    void (*planned)(void *user, const struct hub_file *file, bool here);
    void *user;
};

struct hub_pull_result {
    char *path; /* what --model takes */
    char commit[65];
    size_t n_files, n_fetched;
    uint64_t bytes, fetched_bytes; /* of the files; over the network */
    bool offline;                  /* the hub was not reached, and all was here */
};

enum vinci_status hub_pull(const struct hub_pull_options *options, struct hub_pull_result *result,
                           struct vinci_error *err);
void hub_pull_result_free(struct hub_pull_result *result);

enum hub_verdict { HUB_FILE_GOOD, HUB_FILE_BAD, HUB_FILE_MISSING };

struct hub_verify_options {
    const char *folder; /* with .vinci/record.json, or a snapshot in Hugging Face's cache */
    /* When neither says what the files should be: ask this hub, NULL: fail instead. `model` is NULL
     * where the user gave a folder and no name. */
    const struct http *http;
    const struct hub_model *model;
    bool (*stop)(void *user);
    void (*progress)(void *user, const struct hub_progress *progress);
    void (*verdict)(void *user, const char *path, uint64_t size, enum hub_verdict verdict);
    void *user;
};

/* Reads every file again. BAD_FILE when one is bad or missing, or the last pull did not end. */
enum vinci_status hub_verify(const struct hub_verify_options *options, struct vinci_error *err);

#endif
