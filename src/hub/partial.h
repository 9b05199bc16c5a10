/* partial.h - a file that is arriving, and the journal that says which pieces of it are here.
 *
 * NAME.part has the file's full length in the end but says nothing by its length: pieces arrive in
 * any order. NAME.journal is text:
 *   vinci 1 SIZE PIECE_BYTES KIND:DIGEST
 *   INDEX SHA256           one line a piece, written after the piece itself is on the disk
 * After an interruption of any kind a piece counts when its bytes have the SHA-256 of its line. A
 * journal of another content (the hub's file changed) counts for nothing. */
#ifndef VINCI_HUB_PARTIAL_H
#define VINCI_HUB_PARTIAL_H

#include "hub/digest.h"

struct partial {
    char *path, *journal;
    int fd, fd_journal;
    uint64_t size;
    uint32_t piece_bytes;
    size_t n_pieces;
    bool *kept; /* [n_pieces] in the journal */
};

/* What `partial_open` found of an earlier run. May be NULL. `checked` returns false to stop. */
struct partial_check {
    bool (*checked)(void *user, uint64_t n_bytes); /* after each piece that was read again */
    void *user;
};

/* Opens or creates `stem`.part and `stem`.journal, in a folder that exists. piece_bytes is for a
 * new one. CANCELLED when `checked` said so. */
enum vinci_status partial_open(struct partial *partial, const char *stem, uint64_t size,
                               enum digest_kind kind, const struct digest_text *digest,
                               uint32_t piece_bytes, const struct partial_check *check,
                               struct vinci_error *err);

/* Bytes [from, to) of a piece; the last one is shorter. */
uint64_t partial_piece_from(const struct partial *partial, size_t piece);
uint64_t partial_piece_to(const struct partial *partial, size_t piece);

enum vinci_status partial_write(const struct partial *partial, uint64_t at, const char *data,
                                size_t n, struct vinci_error *err);

struct partial_line {
    size_t piece;
    struct digest_text sha256;
};

/* Makes the pieces durable, then the lines that say so. */
enum vinci_status partial_keep(struct partial *partial, const struct partial_line *lines, size_t n,
                               struct vinci_error *err);

/* To its place, by an atomic rename; the journal goes. */
enum vinci_status partial_finish(struct partial *partial, const char *place,
                                 struct vinci_error *err);

/* Forgets all pieces: the content is not what the hub says. */
void partial_discard(struct partial *partial);
void partial_close(struct partial *partial);

/* Makes names in the folder of `path` durable. */
enum vinci_status sync_folder_of(const char *path, struct vinci_error *err);

#endif
