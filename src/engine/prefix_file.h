/* prefix_file.h - the prefix cache in a file, from one run to the next.
 *
 * A folder holds one file for each model and way of computing: its name and its first bytes have a
 * key over the configuration, the sizes and times of the weights' files, samples of every tensor,
 * the types of activations and of the cache, and vinci's version. What was computed otherwise is
 * never taken up. Whoever can write to the folder can change what the model reads: it must be the
 * server's own. */
#ifndef VINCI_ENGINE_PREFIX_FILE_H
#define VINCI_ENGINE_PREFIX_FILE_H

#include "base/log.h"
#include "engine/prefix_cache.h"

struct prefix_file;

/* The folder must exist; UNSUPPORTED for a device whose pages cannot be read. `activations` and
 * `type` as the engine was opened with. */
enum vinci_status prefix_file_open(struct prefix_file **out, const char *folder,
                                   const struct model *model, const struct kv_cache *kv,
                                   enum vinci_activations activations, enum vinci_kv_type type,
                                   const struct log *log, struct vinci_error *err);
void prefix_file_close(struct prefix_file *file);

/* Puts what the file holds into an empty cache. A file that is damaged or cut off gives what stands
 * before the damage; the log says so. */
void prefix_file_load(const struct prefix_file *file, struct prefix_cache *cache);

/* Writes what the cache holds in place of the file, what was used last first, up to max_bytes (0:
 * all). On failure the old file stays, and the log says why. */
void prefix_file_save(const struct prefix_file *file, const struct prefix_cache *cache,
                      uint64_t max_bytes);

#endif
