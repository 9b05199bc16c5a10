/* keeper.h - a thread of its own that makes arrived pieces durable and computes the digests of
 * whole files, so that neither the disk nor the hashing holds up the connections.
 *
 * Pieces come in any order; the digest runs behind the first gap, as pieces fill it, and is
 * complete moments after the last one. Then the file goes to its place. */
#ifndef VINCI_HUB_KEEPER_H
#define VINCI_HUB_KEEPER_H

#include "hub/partial.h"

enum keeper_state {
    KEEPER_ARRIVING,
    KEEPER_COMPLETE, /* in its place, with the digest that it should have */
    KEEPER_MISMATCH  /* discarded: another digest */
};

/* One file; the caller allocates an array that outlives the keeper. */
struct keeper_file {
    struct partial partial;
    const char *place; /* where it goes */
    enum digest_kind kind;
    struct digest_text expected; /* "" for DIGEST_NONE */
    /* The rest is the keeper's. */
    struct digest *digest;
    size_t n_hashed; /* pieces */
    struct digest_text is;
    enum keeper_state state;
};

struct keeper;

/* `woken` is called from the thread when a file's state changes or the keeper fails; may be NULL.
 */
enum vinci_status keeper_start(struct keeper **out, struct keeper_file *files, size_t n_files,
                               void (*woken)(void *user), void *user, struct vinci_error *err);

/* A piece whose bytes are all written. */
enum vinci_status keeper_add(struct keeper *keeper, size_t file, size_t piece,
                             const struct digest_text *sha256, struct vinci_error *err);

enum keeper_state keeper_state(struct keeper *keeper, size_t file);

/* What went wrong in the thread, or OK. */
enum vinci_status keeper_status(struct keeper *keeper, struct vinci_error *err);

/* Keeps what was added, ends the thread. Accepts NULL. */
void keeper_stop(struct keeper *keeper);

#endif
