/* place.h - where models are on this machine: the caches of the hubs' own tools, whose layouts
 * vinci shares, and folders that a user chose.
 *
 *   ModelScope     ROOT/models/OWNER/NAME, dots of the name as ___; the files stand there by their
 *                  own names
 *   Hugging Face   ROOT/models--OWNER--NAME: blobs/DIGEST, and snapshots/COMMIT with links to them
 * In each, and in a folder that a user chose, .vinci/ holds the record of what was verified, parts
 * of files that are arriving, and a lock. */
#ifndef VINCI_HUB_PLACE_H
#define VINCI_HUB_PLACE_H

#include "hub/listing.h"

struct hub_place {
    char *folder; /* with .vinci/ in it */
    bool blobs;   /* Hugging Face's layout */
    int lock;     /* descriptor, -1: not locked */
};

/* Where this model goes, or is: a place where it was found complete wins over the default.
 * `local_dir` may be NULL. Nothing is created. NOT_FOUND: there is no cache folder (no HOME). */
enum vinci_status hub_place_find(struct hub_place *place, const struct hub_model *model,
                                 const struct vinci_caches *caches, const char *local_dir,
                                 struct vinci_error *err);

/* Creates the folder and takes the lock; FAILED when another process has it. */
enum vinci_status hub_place_lock(struct hub_place *place, struct vinci_error *err);
void hub_place_free(struct hub_place *place);

/* The folder to give to --model; `commit` for Hugging Face's layout. free() it; NULL: no memory. */
char *hub_place_model(const struct hub_place *place, const char *commit);

/* Where a file of the repository stands below the folder. free() it; NULL: no memory. */
char *hub_place_of(const struct hub_place *place, const struct hub_file *file);

/* Hugging Face's layout: snapshots/COMMIT/PATH becomes a link to the file. */
enum vinci_status hub_place_link(const struct hub_place *place, const char *commit,
                                 const struct hub_file *file, struct vinci_error *err);

/* ... and refs/REVISION says the commit. */
enum vinci_status hub_place_ref(const struct hub_place *place, const char *revision,
                                const char *commit, struct vinci_error *err);

/* All folders that `path` has in it (not the last part). */
enum vinci_status make_folders_of(const char *path, struct vinci_error *err);

/* ---- what is there ------------------------------------------------------------------------ */

struct hub_entry {
    enum hub_kind kind;
    char *id;
    char *folder; /* what removing removes */
    char *model;  /* what --model takes */
    uint64_t bytes;
    bool recorded; /* fetched or verified by vinci */
    bool complete; /* ... and whole; of others it is not known */
};

struct hub_entries {
    struct hub_entry *items;
    size_t n, capacity;
};

/* All models in the caches, those that are on the way too. Sorted by name. */
enum vinci_status hub_entries_read(struct hub_entries *entries, const struct vinci_caches *caches,
                                   struct vinci_error *err);
void hub_entries_free(struct hub_entries *entries);

/* Removes the folder and all that is in it, following no link. */
enum vinci_status hub_entry_remove(const struct hub_entry *entry, struct vinci_error *err);

#endif
