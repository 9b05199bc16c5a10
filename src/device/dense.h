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
                          struct dense *gradient); /* zero where x <= 0 */
    void (*multiply)(struct dense_device *device, struct dense *x,
                     const struct dense *y); /* x *= y */
    void (*subtract)(struct dense_device *device, struct dense *x,
                     const struct dense *y); /* x -= y */
    void (*scale)(struct dense_device *device, struct dense *x, float factor);
    void (*softmax)(struct dense_device *device, struct dense *x); /* of every row, in place */
    void (*sum_rows)(struct dense_device *device, const struct dense *x, struct dense *row);

    void (*copy)(struct dense_device *device, const struct dense *from, struct dense *to);

    enum vinci_status (*wait)(struct dense_device *device, struct vinci_error *err);
};

struct dense_device {
    const struct dense_ops *ops;
    bool multiplies[DTYPE_COUNT];    /* dtypes of b that matmul takes */
    enum dtype x_dtype[DTYPE_COUNT]; /* of a, for each of them */
};

/* n_threads 0: one a core; cpu_list as in device.h. */
enum vinci_status cpu_dense_create(struct dense_device **out, uint32_t n_threads,
                                   const char *cpu_list, struct vinci_error *err);

#endif
