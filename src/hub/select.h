/* select.h - which of a repository's files are wanted. */
#ifndef VINCI_HUB_SELECT_H
#define VINCI_HUB_SELECT_H

#include "hub/listing.h"

struct hub_selection {
    const char *const *include, *const *exclude; /* patterns as the hubs' own tools have them */
    size_t n_include, n_exclude;
    bool all; /* everything in the repository */
};

/* '*' and '?' match '/' too, "folder/" means all that is below it. */
bool hub_pattern_matches(const char *pattern, const char *path);

/* The index of the shards must be known before the choice: its path, NULL if none is wanted. */
const char *hub_index_path(const struct hub_listing *listing,
                           const struct hub_selection *selection);

/* wanted[i] for every file of the listing. With `include`, all that matches; with `all`,
 * everything; else what vinci needs: configuration, tokenizer, chat template, and the safetensors
 * that `index` (a JSON text, may be NULL) names, or else the only GGUF model. What `exclude`
 * matches is left out. NOT_FOUND: the index names a file that the repository does not have. USAGE:
 * nothing to choose by, such as several GGUF models; the sentence lists them. */
enum vinci_status hub_select(const struct hub_listing *listing,
                             const struct hub_selection *selection, const struct buf *index,
                             bool *wanted, struct vinci_error *err);

#endif
