/* dense.h - a handful of dense operations on a device: what a small network's forward and
 * backward pass and the measurement of matrix products need (src/check). A model's step goes by
 * device.h.
 *
 * Tensors are matrices, row-major. Operations may be queued; as in device.h the first error stays
 * with the device and `wait` returns it. Only create allocates for the caller. */
#ifndef VINCI_DEVICE_DENSE_H
#define VINCI_DEVICE_DENSE_H

#include "base/status.h"
#include "model/formats.h"

struct dense_device; /* a device, seen as one that computes with tensors */
struct dense;        /* [n_rows, n_cols] of one dtype in its memory */

struct dense_ops {
    void (*destroy)(struct dense_device *device);

    /* Not cleared. For Q8_0, n_cols is a multiple of 32. */
    enum vinci_status (*create)(struct dense_device *device, struct dense **out, size_t n_rows,
                                size_t n_cols, enum dtype dtype, struct vinci_error *err);
    void (*release)(struct dense_device *device, struct dense *tensor);

    /* All elements, from floats rounded to the tensor's dtype, and back; read waits. */
    void (*write)(struct dense_device *device, struct dense *to, const float *from);
    void (*read)(struct dense_device *device, const struct dense *from, float *to);

    /* c = op(a) op(b), op the transpose where asked for; c is F32, or the dtype of a where the
     * device multiplies in it. a has the dtype that x_dtype gives for b's. */
    void (*matmul)(struct dense_device *device, const struct dense *a, bool transpose_a,
                   const struct dense *b, bool transpose_b, struct dense *c);

    /* Elementwise, all F32 and of one shape: */
    void (*add_row)(struct dense_device *device, struct dense *x, const struct dense *row);
    void (*relu)(struct dense_device *device, const struct dense *x, struct dense *out);
    void (*relu_backward)(struct dense_device *device, const struct dense *x,
                          const struct dense *gradient,
                          struct dense *out); /* gradient, zero where x <= 0 */
    void (*multiply)(struct dense_device *device, struct dense *x,
                     const struct dense *y); /* x *= y */
    void (*subtract)(struct dense_device *device, struct dense *x,
                     const struct dense *y); /* x -= y */
    void (*scale)(struct dense_device *device, struct dense *x, float factor);
    void (*softmax)(struct dense_device *device, const struct dense *x,
                    struct dense *out); /* of every row */
    void (*sum_rows)(struct dense_device *device, const struct dense *x, struct dense *row);

    void (*copy)(struct dense_device *device, const struct dense *from, struct dense *to);

    /* The index of a largest element of every row, at most DENSE_BEST_ROWS; waits. Only of a device
     * that finds_best. */
    void (*best)(struct dense_device *device, const struct dense *x, int64_t *out);

    enum vinci_status (*wait)(struct dense_device *device, struct vinci_error *err);

    /* Notes the time when everything before it is done; `seconds`, after a wait, is the time from
     * the mark before the last to the last. */
    void (*mark)(struct dense_device *device);
    double (*seconds)(struct dense_device *device);

    /* Memory of the host that the device reads and writes at its best; NULL: there is none. */
    void *(*host_create)(struct dense_device *device, size_t n_bytes);
    void (*host_release)(struct dense_device *device, void *memory);
};

enum { DENSE_BEST_ROWS = 64 };

struct dense_device {
    const struct dense_ops *ops;
    bool multiplies[DTYPE_COUNT];    /* dtypes of b that matmul takes */
    enum dtype x_dtype[DTYPE_COUNT]; /* of a, for each of them */
    char name[64];                   /* of the chip, "" for a CPU */
    bool finds_best;
};

/* n_threads 0: one a core; cpu_list as in device.h. */
enum vinci_status cpu_dense_create(struct dense_device **out, uint32_t n_threads,
                                   const char *cpu_list, struct vinci_error *err);

/* Tensors of a Q8_0 dtype are INT8 with one scale here. */
enum vinci_status npu_dense_create(struct dense_device **out, int32_t id,
                                   const struct vinci_cann_places *places, struct vinci_error *err);

#endif
