/* npu_dense.c - dense.h on the Ascend device: a few matrices, and operators on them one by one.
 *
 * It is the device of npu.h with no model on it, so calls, errors and memory are the same code. The
 * host's arrays go through one pinned block, piece by piece; memory of host_create is pinned and
 * goes directly. A product in INT8 gives BF16, the only float that its operator gives: so a tensor
 * knows what it holds at the moment, which is never wider than what it was created for. */
#include "base/buf.h"
#include "base/lang.h"
#include "device/dense.h"
#include "device/npu/npu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGING_BYTES = 16 << 20, MAX_HOST = 4 };

struct dense {
    enum dtype dtype;
    aclDataType type;  /* that it was created for */
    aclDataType holds; /* of what is in it */
    int64_t n_rows, n_cols;
    float scale; /* of INT8 */
    void *data;
};

struct npu_dense {
    struct dense_device base;
    struct npu_device *npu;
    void *staging;
    void *host[MAX_HOST];
    float *scale; /* on the device: of the product of two INT8 matrices */
    float scale_now;
    int64_t *best; /* [DENSE_BEST_ROWS] on the device */
    aclrtEvent events[2];
    unsigned n_marks;
};

static struct npu_device *npu_of(struct dense_device *device)
{
    return ((struct npu_dense *)device)->npu;
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Queued operators and copies may use what is about to be released, on a lost device too. */
static void settle(struct npu_device *device)
{
    device->cann->aclrtSynchronizeStream(device->stream);
}

static void release(struct dense_device *base, struct dense *tensor)
{
    if (!tensor) return;
    settle(npu_of(base));
    npu_release(npu_of(base), tensor->data);
    free(tensor);
}

static enum vinci_status create(struct dense_device *base, struct dense **out, size_t n_rows,
                                size_t n_cols, enum dtype dtype, struct vinci_error *err)
{
    struct npu_device *device = npu_of(base);
    aclDataType type = dtype == DTYPE_F32    ? ACL_FLOAT
                       : dtype == DTYPE_F16  ? ACL_FLOAT16
                       : dtype == DTYPE_BF16 ? ACL_BF16
                                             : ACL_INT8;
    size_t n_bytes;
    *out = NULL;
    if (!size_mul(n_rows, n_cols, &n_bytes) || !size_mul(n_bytes, npu_dtype_bytes(type), &n_bytes))
        return fail_memory(err, SIZE_MAX, "a tensor");
    struct dense *tensor = array_new_zero(1, sizeof *tensor);
    if (!tensor) return fail_memory(err, sizeof *tensor, "a tensor");
    *tensor = (struct dense){dtype, type, type, (int64_t)n_rows, (int64_t)n_cols, 1, NULL};
    tensor->data = npu_alloc_block(device, n_bytes, _("a tensor"));
    if (device->status != VINCI_OK) {
        free(tensor);
        if (err) *err = device->err;
        return device->status;
    }
    *out = tensor;
    return VINCI_OK;
}

static bool is_pinned(const struct npu_dense *device, const void *memory)
{
    for (int i = 0; i < MAX_HOST; i++)
        if (memory && device->host[i] == memory) return true;
    return false;
}

static void *host_create(struct dense_device *base, size_t n_bytes)
{
    struct npu_dense *device = (struct npu_dense *)base;
    for (int i = 0; i < MAX_HOST; i++)
        if (!device->host[i]) return device->host[i] = npu_pinned(device->npu, n_bytes);
    return NULL;
}

static void host_release(struct dense_device *base, void *memory)
{
    struct npu_dense *device = (struct npu_dense *)base;
    for (int i = 0; memory && i < MAX_HOST; i++) {
        if (device->host[i] != memory) continue;
        settle(device->npu);
        npu_release(device->npu, memory);
        device->host[i] = NULL;
    }
}

static void copy_bytes(struct npu_device *device, void *to, const void *from, size_t n_bytes,
                       aclrtMemcpyKind kind)
{
    if (device->status != VINCI_OK) return;
    device->counters.n_copies++;
    npu_check(device,
              device->cann->aclrtMemcpyAsync(to, n_bytes, from, n_bytes, kind, device->stream),
              "aclrtMemcpyAsync");
}

static float largest_of(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        float size = x[i] < 0 ? -x[i] : x[i];
        most = size > most ? size : most;
    }
    return most;
}

static void to_int8(const float *x, size_t n, float scale, int8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        float q = scale > 0 ? x[i] / scale : 0;
        out[i] = (int8_t)(q < 0 ? q - .5f : q + .5f);
    }
}

static void write(struct dense_device *base, struct dense *to, const float *from)
{
    struct npu_dense *dense = (struct npu_dense *)base;
    struct npu_device *device = dense->npu;
    size_t n = (size_t)(to->n_rows * to->n_cols), size = npu_dtype_bytes(to->type);
    to->holds = to->type;
    if (to->type == ACL_INT8) to->scale = largest_of(from, n) / 127;
    if (to->type == ACL_FLOAT && is_pinned(dense, from)) {
        copy_bytes(device, to->data, from, n * size, ACL_MEMCPY_HOST_TO_DEVICE);
        return;
    }
    for (size_t i = 0, piece = STAGING_BYTES / size; i < n; i += piece) {
        size_t n_now = n - i < piece ? n - i : piece;
        if (to->type == ACL_INT8) to_int8(from + i, n_now, to->scale, dense->staging);
        else npu_from_float(to->type, from + i, n_now, dense->staging);
        copy_bytes(device, (uint8_t *)to->data + i * size, dense->staging, n_now * size,
                   ACL_MEMCPY_HOST_TO_DEVICE);
        npu_sync(device); /* before the block is filled again */
    }
}

static void read(struct dense_device *base, const struct dense *from, float *to)
{
    struct npu_dense *dense = (struct npu_dense *)base;
    struct npu_device *device = dense->npu;
    size_t n = (size_t)(from->n_rows * from->n_cols), size = npu_dtype_bytes(from->holds);
    if (from->holds == ACL_FLOAT && is_pinned(dense, to)) {
        copy_bytes(device, to, from->data, n * size, ACL_MEMCPY_DEVICE_TO_HOST);
        return;
    }
    for (size_t i = 0, piece = STAGING_BYTES / size; i < n; i += piece) {
        size_t n_now = n - i < piece ? n - i : piece;
        copy_bytes(device, dense->staging, (const uint8_t *)from->data + i * size, n_now * size,
                   ACL_MEMCPY_DEVICE_TO_HOST);
        npu_sync(device);
        if (device->status != VINCI_OK) memset(to + i, 0, n_now * sizeof *to);
        else npu_to_float(from->holds, dense->staging, n_now, to + i);
    }
}

/* ---- operators ----------------------------------------------------------------------------- */

static aclTensor *tensor_of(struct npu_device *device, const struct dense *x)
{
    return npu_tensor(device, x->data, x->holds, NPU_DIMS(x->n_rows, x->n_cols));
}

static aclTensor *operand(struct npu_device *device, const struct dense *x, bool transpose)
{
    return transpose ? npu_transposed(device, x->data, x->holds, 0, x->n_rows, x->n_cols)
                     : tensor_of(device, x);
}

/* (a b) times the product of their scales */
static void matmul_int8(struct npu_dense *dense, const struct dense *a, bool transpose_a,
                        const struct dense *b, bool transpose_b, struct dense *c)
{
    struct npu_device *device = dense->npu;
    float scale = a->scale * b->scale;
    if (scale != dense->scale_now) {
        npu_sync(device);
        memcpy(dense->staging, &scale, sizeof scale);
        copy_bytes(device, dense->scale, dense->staging, sizeof scale, ACL_MEMCPY_HOST_TO_DEVICE);
        npu_sync(device);
        dense->scale_now = scale;
    }
    NPU_OP(device, aclnnQuantMatmulV3, tensor_of(device, a), tensor_of(device, b),
           npu_tensor(device, dense->scale, ACL_FLOAT, NPU_DIMS(1)), NULL, NULL, transpose_a,
           transpose_b, tensor_of(device, c));
}

static void matmul(struct dense_device *base, const struct dense *a, bool transpose_a,
                   const struct dense *b, bool transpose_b, struct dense *c)
{
    struct npu_device *device = npu_of(base);
    c->holds = a->holds == ACL_INT8 ? ACL_BF16 : a->holds;
    if (a->holds == ACL_INT8)
        matmul_int8((struct npu_dense *)base, a, transpose_a, b, transpose_b, c);
    else
        NPU_OP(device, aclnnMm, operand(device, a, transpose_a), operand(device, b, transpose_b),
               tensor_of(device, c), CANN_KEEP_DTYPE);
}

static void add(struct npu_device *device, struct dense *x, const struct dense *y, float factor)
{
    NPU_OP(device, aclnnInplaceAdd, tensor_of(device, x), tensor_of(device, y),
           npu_scalar(device, factor));
}

static void add_row(struct dense_device *base, struct dense *x, const struct dense *row)
{
    add(npu_of(base), x, row, 1);
}

static void subtract(struct dense_device *base, struct dense *x, const struct dense *y)
{
    add(npu_of(base), x, y, -1);
}

static void relu(struct dense_device *base, const struct dense *x, struct dense *out)
{
    struct npu_device *device = npu_of(base);
    NPU_OP(device, aclnnRelu, tensor_of(device, x), tensor_of(device, out));
}

static void relu_backward(struct dense_device *base, const struct dense *x,
                          const struct dense *gradient, struct dense *out)
{
    struct npu_device *device = npu_of(base);
    NPU_OP(device, aclnnThresholdBackward, tensor_of(device, gradient), tensor_of(device, x),
           npu_scalar(device, 0), tensor_of(device, out));
}

static void multiply(struct dense_device *base, struct dense *x, const struct dense *y)
{
    struct npu_device *device = npu_of(base);
    NPU_OP(device, aclnnInplaceMul, tensor_of(device, x), tensor_of(device, y));
}

static void scale(struct dense_device *base, struct dense *x, float factor)
{
    struct npu_device *device = npu_of(base);
    NPU_OP(device, aclnnInplaceMuls, tensor_of(device, x), npu_scalar(device, factor));
}

static void softmax(struct dense_device *base, const struct dense *x, struct dense *out)
{
    struct npu_device *device = npu_of(base);
    NPU_OP(device, aclnnSoftmax, tensor_of(device, x), 1, tensor_of(device, out));
}

static void sum_rows(struct dense_device *base, const struct dense *x, struct dense *row)
{
    struct npu_device *device = npu_of(base);
    NPU_OP(device, aclnnReduceSum, tensor_of(device, x), npu_ints(device, (const int64_t[]){0}, 1),
           true, ACL_FLOAT, tensor_of(device, row));
}

/* By the vector units, which reach the memory's speed; a copy of the runtime need not. */
static void copy(struct dense_device *base, const struct dense *from, struct dense *to)
{
    struct npu_device *device = npu_of(base);
    to->holds = from->holds;
    to->scale = from->scale;
    NPU_OP(device, aclnnInplaceCopy, tensor_of(device, to), tensor_of(device, from));
}

static void best(struct dense_device *base, const struct dense *x, int64_t *out)
{
    struct npu_dense *dense = (struct npu_dense *)base;
    struct npu_device *device = dense->npu;
    size_t n_bytes = (size_t)x->n_rows * sizeof *out;
    NPU_OP(device, aclnnArgMax, tensor_of(device, x), 1, false,
           npu_tensor(device, dense->best, ACL_INT64, NPU_DIMS(x->n_rows)));
    copy_bytes(device, dense->staging, dense->best, n_bytes, ACL_MEMCPY_DEVICE_TO_HOST);
    npu_sync(device);
    if (device->status == VINCI_OK) memcpy(out, dense->staging, n_bytes);
    else memset(out, 0, n_bytes);
}

/* ---- time ---------------------------------------------------------------------------------- */

static void mark(struct dense_device *base)
{
    struct npu_dense *dense = (struct npu_dense *)base;
    struct npu_device *device = dense->npu;
    if (device->status != VINCI_OK) return;
    npu_check(device,
              device->cann->aclrtRecordEvent(dense->events[dense->n_marks % 2], device->stream),
              "aclrtRecordEvent");
    dense->n_marks++;
}

static double seconds(struct dense_device *base)
{
    struct npu_dense *dense = (struct npu_dense *)base;
    struct npu_device *device = dense->npu;
    float ms = 0;
    if (device->status == VINCI_OK)
        npu_check(device,
                  device->cann->aclrtEventElapsedTime(&ms, dense->events[dense->n_marks % 2],
                                                      dense->events[(dense->n_marks + 1) % 2]),
                  "aclrtEventElapsedTime");
    return (double)ms * 1e-3;
}

static enum vinci_status wait(struct dense_device *base, struct vinci_error *err)
{
    struct npu_device *device = npu_of(base);
    if (device->status == VINCI_OK) npu_sync(device);
    if (err && device->status != VINCI_OK) *err = device->err;
    return device->status;
}

/* ---- creation ------------------------------------------------------------------------------ */

static void destroy(struct dense_device *base)
{
    if (!base) return;
    struct npu_dense *dense = (struct npu_dense *)base;
    for (int i = 0; i < 2; i++)
        if (dense->events[i]) dense->npu->cann->aclrtDestroyEvent(dense->events[i]);
    npu_close(dense->npu);
    free(dense);
}

static const struct dense_ops npu_dense_ops = {
    .destroy = destroy,
    .create = create,
    .release = release,
    .write = write,
    .read = read,
    .matmul = matmul,
    .add_row = add_row,
    .relu = relu,
    .relu_backward = relu_backward,
    .multiply = multiply,
    .subtract = subtract,
    .scale = scale,
    .softmax = softmax,
    .sum_rows = sum_rows,
    .copy = copy,
    .best = best,
    .wait = wait,
    .mark = mark,
    .seconds = seconds,
    .host_create = host_create,
    .host_release = host_release,
};

enum vinci_status npu_dense_create(struct dense_device **out, int32_t id,
                                   const struct vinci_cann_places *places, struct vinci_error *err)
{
    *out = NULL;
    struct npu_dense *dense = array_new_zero(1, sizeof *dense);
    if (!dense) return fail_memory(err, sizeof *dense, "the NPU");
    dense->base.ops = &npu_dense_ops;
    enum vinci_status status = npu_open(&dense->npu, id, places, NULL, err);
    if (status != VINCI_OK) {
        free(dense);
        return status;
    }
    struct npu_device *device = dense->npu;
    const struct cann *cann = device->cann;
    snprintf(dense->base.name, sizeof dense->base.name, "%s", device->soc);
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        dense->base.x_dtype[dtype] = (enum dtype)dtype;
        dense->base.multiplies[dtype] = dtype == DTYPE_F32 || dtype == DTYPE_F16 ||
                                        dtype == DTYPE_BF16 ||
                                        (dtype == DTYPE_Q8_0 && cann->aclnnQuantMatmulV3);
    }
    if (!cann->aclnnRelu || !cann->aclnnThresholdBackward || !cann->aclnnInplaceMul ||
        !cann->aclnnInplaceMuls)
        device->status = fail(&device->err, VINCI_UNSUPPORTED,
                              "CANN %s lacks operators of the small network (aclnnRelu, "
                              "aclnnThresholdBackward, aclnnInplaceMul): is its operator package "
                              "installed?",
                              cann->version);
    dense->staging = npu_pinned(device, STAGING_BYTES);
    dense->scale = npu_alloc(device, sizeof *dense->scale, _("a tensor"));
    dense->best = npu_alloc(device, DENSE_BEST_ROWS * sizeof *dense->best, _("a tensor"));
    dense->base.finds_best = cann->aclnnArgMax != NULL;
    for (int i = 0; i < 2 && device->status == VINCI_OK; i++)
        npu_check(device, cann->aclrtCreateEventWithFlag(&dense->events[i], ACL_EVENT_TIME_LINE),
                  "aclrtCreateEventWithFlag");
    if (device->status != VINCI_OK) {
        status = device->status;
        if (err) *err = device->err;
        destroy(&dense->base);
        return status;
    }
    *out = &dense->base;
    return VINCI_OK;
}
