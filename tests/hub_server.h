/* hub_server.h - a model hub on this machine that makes mistakes on request. It speaks ModelScope's
 * and Hugging Face's protocols over HTTP on two ports: the hub, and a content host that the hub can
 * redirect to. Files are texts or pseudo-random bytes. */
#ifndef TESTS_HUB_SERVER_H
#define TESTS_HUB_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hub_server_file {
    const char *path;
    const char *text; /* NULL: `size` bytes from `seed` */
    uint64_t size;    /* ignored with text */
    uint32_t seed;
    const char *listed_sha256; /* NULL: the right one */
    uint64_t listed_size;      /* 0: the right one */
};

/* Counters go down by one with each answer to which the fault was applied; -1: always. Faults of
 * the second kind concern answers with file content alone. */
struct hub_server_faults {
    int refuse; /* answer with `refuse_code`, and `retry_after` seconds if not 0 */
    unsigned refuse_code, retry_after;
    const char *list_body; /* instead of the list of files */

    int cut; /* the connection ends after `cut_after` bytes of an answer */
    uint64_t cut_after;
    int corrupt; /* a bit of byte `corrupt_at` of the file `corrupt_path` is wrong */
    uint64_t corrupt_at;
    const char *corrupt_path;
    int wrong_range;    /* the bytes of another range */
    int unsatisfiable;  /* 416 */
    int too_long;       /* more bytes than were asked for */
    bool ignore_ranges; /* 200 and everything */
    bool redirect;      /* from the hub to the content host */
    bool redirect_loop;
    bool is_proxy; /* the addresses asked for are whole ones */
    uint64_t rate; /* bytes a second of a connection; 0: as fast as it goes */
};

struct hub_server_counts {
    unsigned lists, requests, file_answers, tokens_at_hub, tokens_at_content;
    uint64_t bytes; /* of files */
};

struct hub_server {
    const struct hub_server_file *files;
    size_t n_files;
    struct hub_server_faults faults;
    struct hub_server_counts counts;
    unsigned page;         /* files on a page of Hugging Face's list; 0: all */
    pthread_mutex_t mutex; /* held while faults and counts change */
    struct MHD_Daemon *hub, *content;
    unsigned short hub_port, content_port;
};

/* Fails the test when it cannot. `files` is borrowed. */
void hub_server_start(struct hub_server *server, const struct hub_server_file *files, size_t n);
void hub_server_stop(struct hub_server *server);

/* No faults, counts from zero. */
void hub_server_reset(struct hub_server *server);
struct hub_server_counts hub_server_count(struct hub_server *server);

/* The right bytes [from, from + n) of a file. */
void hub_server_content(const struct hub_server_file *file, uint64_t from, size_t n, void *out);
uint64_t hub_server_size(const struct hub_server_file *file);

#endif
