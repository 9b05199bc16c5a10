/* gguf.h - the tensor index of a GGUF model, in one file or split (NAME-00001-of-0000N.gguf). */
#ifndef VINCI_MODEL_GGUF_H
#define VINCI_MODEL_GGUF_H

#include "base/gguf_file.h"
#include "model/tensor_index.h"

/* Adds the tensors of one file. `map` is the mapping that `file` was read from. */
enum vinci_status gguf_add(struct tensor_index *index, const struct gguf_file *file,
                           const struct file_map *map, struct vinci_error *err);

/* Maps and indexes the model that `path` is, or is a part of. *first is the file with the metadata
 * (free with gguf_file_free, before the index). On failure the index is empty and *first NULL. */
enum vinci_status gguf_open(struct tensor_index *index, struct gguf_file **first, const char *path,
                            struct vinci_error *err);

/* For a name that ends in -KKKKK-of-NNNNN.gguf: true, with the length of what stands before it. */
bool gguf_split_name(const char *path, size_t *n_prefix, uint32_t *part, uint32_t *n_parts);

#endif
