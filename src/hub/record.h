/* record.h - what was verified: FOLDER/.vinci/record.json.
 *
 * A file counts as verified as long as its size, its time of change and its inode are those of the
 * record; that makes a second `vinci pull` a matter of milliseconds. `vinci verify` reads the bytes
 * again. */
#ifndef VINCI_HUB_RECORD_H
#define VINCI_HUB_RECORD_H

#include "hub/listing.h"

struct record_file {
    char *path;  /* in the repository */
    char *place; /* below the folder; differs from `path` in Hugging Face's cache */
    uint64_t size;
    enum digest_kind kind;
    struct digest_text digest;
    int64_t changed_ns; /* the file's, when it was verified */
    uint64_t inode;
};

struct record {
    char *hub, *id, *revision, *commit; /* NULL in an empty record */
    bool complete;                      /* the last pull brought all that it wanted */
    struct record_file *files;
    size_t n_files, capacity;
};

/* No record, and one that cannot be read, is an empty one: everything is verified anew. */
enum vinci_status record_read(struct record *record, const char *folder, struct vinci_error *err);

/* Replaces the old one atomically and durably. */
enum vinci_status record_write(const struct record *record, const char *folder,
                               struct vinci_error *err);
void record_free(struct record *record);

enum vinci_status record_set_model(struct record *record, const char *hub, const char *id,
                                   const char *revision, const char *commit,
                                   struct vinci_error *err);

/* NULL if there is none. */
struct record_file *record_find(const struct record *record, const char *path);

/* The file at `folder`/`place` was verified just now: adds or replaces. */
enum vinci_status record_add(struct record *record, const char *folder, const char *path,
                             const char *place, enum digest_kind kind,
                             const struct digest_text *digest, struct vinci_error *err);

/* The file is there and untouched since it was verified. */
bool record_holds(const struct record_file *file, const char *folder);

#endif
