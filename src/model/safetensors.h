/* safetensors.h - the safetensors container: one file, or shards by an index file. */
#ifndef VINCI_MODEL_SAFETENSORS_H
#define VINCI_MODEL_SAFETENSORS_H

#include "model/tensor_index.h"

/* Adds the tensors of a mapped file (one of the index's own, or any that outlives it). */
enum vinci_status safetensors_add(struct tensor_index *index, const struct file_map *map,
                                  struct vinci_error *err);

/* Maps one file and indexes it. On failure the index is empty. */
enum vinci_status safetensors_open(struct tensor_index *index, const char *path,
                                   struct vinci_error *err);

/* The same for all files that a model.safetensors.index.json names; they lie beside it. */
enum vinci_status safetensors_open_shards(struct tensor_index *index, const char *index_path,
                                          struct vinci_error *err);

#endif
