/* tensor_index.h - what both containers give: name -> dtype, shape and bytes inside a mapping. */
#ifndef VINCI_MODEL_TENSOR_INDEX_H
#define VINCI_MODEL_TENSOR_INDEX_H

#include "base/file_map.h"
#include "model/formats.h"

enum { TENSOR_DIMS_MAX = 4 };

struct tensor {
    char *name;
    enum dtype dtype;
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
const struct tensor *tensor_index_find(const struct tensor_index *index, const char *name);

/* Frees names, arrays and mappings; accepts a half-built or zero index. */
void tensor_index_free(struct tensor_index *index);

#endif
