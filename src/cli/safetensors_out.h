/* safetensors_out.h - writes a safetensors file piece by piece, in any order, and publishes it
 * under its name only when it is whole. */
#ifndef VINCI_CLI_SAFETENSORS_OUT_H
#define VINCI_CLI_SAFETENSORS_OUT_H

#include "base/replace.h"

struct out_tensor {
    const char *name;
    const char *dtype; /* "I64", "F32" */
    size_t item_bytes;
    size_t shape[2];
    unsigned n_dims;
    uint64_t offset; /* in the file; set by safetensors_out_open */
};

struct safetensors_out {
    struct replacement file;
    char *path;                 /* as it was given */
    struct out_tensor *tensors; /* the caller's */
    size_t n_tensors;
};

/* Creates a temporary file beside `path` with the header for these tensors. Refuses a path that
 * exists and is not a regular file. */
enum vinci_status safetensors_out_open(struct safetensors_out *out, const char *path,
                                       struct out_tensor *tensors, size_t n_tensors,
                                       struct vinci_error *err);

/* Items [first, first + n) of a tensor, counted over all its dimensions. */
enum vinci_status safetensors_out_write(struct safetensors_out *out, size_t tensor, size_t first,
                                        const void *items, size_t n, struct vinci_error *err);

/* Gives the file its name. */
enum vinci_status safetensors_out_publish(struct safetensors_out *out, struct vinci_error *err);

/* Removes what was not published. All zero, or after a failed open: nothing to do. */
void safetensors_out_close(struct safetensors_out *out);

#endif
