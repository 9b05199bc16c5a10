/* tensor_index.h - what both containers give: name -> dtype, shape and bytes inside a mapping.
 *
 * Nothing is read but headers. A tensor's bytes lie inside its file, no two tensors share bytes,
 * and no address is aligned to anything: readers load bytewise or with unaligned instructions. */
#ifndef VINCI_MODEL_TENSOR_INDEX_H
#define VINCI_MODEL_TENSOR_INDEX_H

#include "base/file_map.h"
#include "model/formats.h"

enum { TENSOR_DIMS_MAX = 4 };

struct tensor {
    char *name;            /* printable ASCII */
    const char *type_name; /* what the container calls the dtype: "BF16", "I64", "Q5_K"; static */
    enum dtype dtype;
    bool bound; /* is one of the model's weights */
    uint32_t n_dims;
    uint64_t shape[TENSOR_DIMS_MAX]; /* outermost first, in both containers */
    const uint8_t *data;             /* inside the mapping of `file` */
    size_t n_bytes;                  /* checked: shape x element size */
    const struct file_map *file;
};

struct tensor_index {
    struct file_map **files; /* [n_files], owned */
    size_t n_files;
    struct tensor *tensors; /* [n_tensors], sorted by name (bytes), no two alike */
    size_t n_tensors;
};

/* NULL when there is none of that name. */
struct tensor *tensor_index_find(const struct tensor_index *index, const char *name);

/* Frees names, arrays and mappings; accepts a half-built or zero index. */
void tensor_index_free(struct tensor_index *index);

/* ---- for the containers' readers ---------------------------------------------------------- */

/* Maps `path` into the index; *map is borrowed. Refuses what is no model file: an empty one, a
 * git-lfs pointer. */
enum vinci_status tensor_index_map(struct tensor_index *index, const char *path,
                                   const struct file_map **map, struct vinci_error *err);

/* Room for n more tensors. */
enum vinci_status tensor_index_reserve(struct tensor_index *index, size_t n,
                                       struct vinci_error *err);

/* Appends a copy of `tensor` under `name` (n_name bytes, checked to be printable ASCII). Room must
 * be reserved. */
enum vinci_status tensor_index_add(struct tensor_index *index, const struct tensor *tensor,
                                   const char *name, size_t n_name, struct vinci_error *err);

/* Sorts by name; refuses equal names and shared bytes. After it the index is complete. */
enum vinci_status tensor_index_finish(struct tensor_index *index, struct vinci_error *err);

#endif
