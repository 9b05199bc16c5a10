/* listing.h - what a repository on a hub holds: paths, sizes, digests. */
#ifndef VINCI_HUB_LISTING_H
#define VINCI_HUB_LISTING_H

#include "hub/digest.h"
#include "hub/http.h"

enum hub_kind { HUB_MODELSCOPE, HUB_HUGGINGFACE };

/* A model on a hub. Borrowed texts. */
struct hub_model {
    enum hub_kind kind;
    char id[256];         /* "openai-mirror/gpt-oss-20b" */
    const char *revision; /* a branch, tag or commit */
};

/* "huggingface", "modelscope", as records and JSON have it; and what stands before an id: "hf:" or
 * "". */
const char *hub_key(enum hub_kind kind);
const char *hub_prefix(enum hub_kind kind);

struct hub_file {
    char *path; /* '/' between folders; never leaves the repository (hub_path_is_safe) */
    uint64_t size;
    enum digest_kind kind;
    struct digest_text digest;
};

struct hub_listing {
    char commit[65]; /* Hugging Face: what `revision` means now; ModelScope: "" */
    struct hub_file *files;
    size_t n_files, capacity;
};

/* "ms:OWNER/NAME", "modelscope:...", "hf:...", "huggingface:...", the address of the model's page,
 * or OWNER/NAME, which is ModelScope's. Sets kind and id. USAGE says what is expected. */
enum vinci_status hub_model_parse(const char *text, struct hub_model *out, struct vinci_error *err);

/* Asks the hub. The listing is free of what could harm: paths that lead out of the repository,
 * paths given twice, sizes that no file has. */
enum vinci_status hub_list(const struct http *http, const struct hub_model *model,
                           struct hub_listing *out, struct vinci_error *err);
void hub_listing_free(struct hub_listing *listing);

/* NULL if there is no file of that path. */
const struct hub_file *hub_listing_find(const struct hub_listing *listing, const char *path);

/* The file's address, appended. `commit`: hub_listing's. */
bool hub_file_url(const struct http *http, const struct hub_model *model, const char *commit,
                  const char *path, struct buf *url);

/* One document of a hub's answer, for tests and fuzzing: ModelScope's list, a page of Hugging
 * Face's tree. Adds to `out`. */
enum vinci_status hub_listing_parse(struct hub_listing *out, enum hub_kind kind, const char *url,
                                    const char *text, size_t n, struct vinci_error *err);

/* Relative, without empty parts, ".", "..", control characters and the names vinci uses itself. */
bool hub_path_is_safe(const char *path);

#endif
