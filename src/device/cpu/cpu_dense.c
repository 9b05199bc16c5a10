/* cpu_dense.c - dense.h on the CPU: matrix products by the kernels that run the models, the
 * rest by plain loops. Every operation is done when it returns.
 *
 * The kernels multiply by rows: y = W x, both contiguous, of a multiple of 32 columns. An operand
 * that lies another way is copied first, by all threads, and that is part of the operation. */
#include "device/dense.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fmath.h"
#include "base/threadpool.h"
#include "base/topology.h"
#include "device/cpu/kernels.h"

#include <stdlib.h>
#include <string.h>

struct dense {
    enum dtype dtype;
    size_t n_rows, n_cols, row_bytes;
    uint8_t *data;
};

struct cpu_dense {
    struct dense_device base;
    struct cpu_kernels kernels;
    struct threadpool *pool;
    unsigned n_threads;
    void **scratch; /* [n_threads], for rows of scratch_cols */
    size_t scratch_cols;
    struct buf turned[2], packed; /* operands' copies, and one packed to int8 */
    const void **x;               /* [n_rows]: rows of the left operand */
    float **y;                    /* [n_rows] of the result */
    size_t n_rows;
    struct vinci_error error; /* the first */
    double marks[2];
};

static struct cpu_dense *cpu_dense_of(struct dense_device *device)
{
    return (struct cpu_dense *)device;
}

/* ---- memory -------------------------------------------------------------------------------- */

static void release(struct dense_device *base, struct dense *tensor)
{
    (void)base;
    if (!tensor) return;
    free(tensor->data);
    free(tensor);
}

static enum vinci_status create(struct dense_device *base, struct dense **out, size_t n_rows,
                                size_t n_cols, enum dtype dtype, struct vinci_error *err)
{
    *out = NULL;
    size_t row_bytes = dtype_row_bytes(dtype, n_cols), n_bytes;
    bool fits = size_mul(n_rows, row_bytes, &n_bytes);
    struct dense *tensor = array_new_zero(1, sizeof *tensor);
    if (!tensor) return fail_memory(err, sizeof *tensor, "a tensor");
    *tensor = (struct dense){dtype, n_rows, n_cols, row_bytes, NULL};
    if (fits) tensor->data = array_new_aligned(n_bytes, 1);
    if (!tensor->data) {
        release(base, tensor);
        return fail_memory(err, n_bytes, "a tensor");
    }
    *out = tensor;
    return VINCI_OK;
}

static void write_q8_row(struct block_q8_0 *blocks, const float *from, size_t n_cols)
{
    for (size_t b = 0; b < n_cols / QUANT_BLOCK; b++, from += QUANT_BLOCK) {
        float most = 0;
        for (size_t i = 0; i < QUANT_BLOCK; i++) {
            float x = from[i] < 0 ? -from[i] : from[i];
            most = x > most ? x : most;
        }
        float d = most / 127;
        blocks[b].scale = f16_from_float(d);
        for (size_t i = 0; i < QUANT_BLOCK; i++) {
            float q = d > 0 ? from[i] / d : 0;
            blocks[b].values[i] = (int8_t)(q < 0 ? q - .5f : q + .5f);
        }
    }
}

static void write(struct dense_device *base, struct dense *to, const float *from)
{
    (void)base;
    for (size_t r = 0; r < to->n_rows; r++, from += to->n_cols) {
        void *row = to->data + r * to->row_bytes;
        if (to->dtype == DTYPE_F32) memcpy(row, from, to->row_bytes);
        else if (to->dtype == DTYPE_Q8_0) write_q8_row(row, from, to->n_cols);
        else if (to->dtype == DTYPE_F16)
            for (size_t i = 0; i < to->n_cols; i++) ((f16_t *)row)[i] = f16_from_float(from[i]);
        else
            for (size_t i = 0; i < to->n_cols; i++) ((bf16_t *)row)[i] = bf16_from_float(from[i]);
    }
}

static struct matrix matrix_of(const struct dense *t)
{
    return (struct matrix){.dtype = t->dtype,
                           .n_rows = (uint32_t)t->n_rows,
                           .n_cols = (uint32_t)t->n_cols,
                           .data = t->data,
                           .row_stride = t->row_bytes};
}

static void read(struct dense_device *base, const struct dense *from, float *to)
{
    (void)base;
    struct matrix m = matrix_of(from);
    for (size_t r = 0; r < from->n_rows; r++) matrix_row(&m, r, to + r * from->n_cols);
}

static void copy(struct dense_device *base, const struct dense *from, struct dense *to);

/* ---- matrix products ----------------------------------------------------------------------- */

enum { TURN_TILE = 32, KERNEL_COLS = 32 /* kernels take rows of a multiple of these */ };

struct turn_job {
    const struct dense *from;
    uint8_t *to;
    size_t stride, size; /* bytes from a row of `to` to the next; of an element: 2 or 4 */
    bool transpose;
};

/* Some columns of `from` become rows of `to`, or columns of it as they are. */
static void turn_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct turn_job *job = ctx;
    const struct dense *from = job->from;
    size_t first = begin * TURN_TILE, last = end * TURN_TILE, size = job->size;
    (void)thread;
    if (last > from->n_cols) last = from->n_cols;
    for (size_t r = 0; r < from->n_rows; r++)
        for (size_t c = first; c < last; c++)
            memcpy(job->to +
                       (job->transpose ? c * job->stride + r * size : r * job->stride + c * size),
                   from->data + r * from->row_bytes + c * size, size);
}

/* `from` or its transpose in rows that a kernel can take: as it is if it can, else filled up with
 * zeros in memory that the device keeps for it. */
static bool kernel_rows(struct cpu_dense *device, const struct dense *from, bool transpose,
                        struct buf *memory, struct dense *out)
{
    *out = *from;
    if (!transpose && from->n_cols % KERNEL_COLS == 0) return true;
    size_t size = dtype_row_bytes(from->dtype, 1);
    size_t n_rows = transpose ? from->n_cols : from->n_rows;
    size_t n_cols = round_up(transpose ? from->n_rows : from->n_cols, KERNEL_COLS);
    size_t n_bytes = n_rows * n_cols * size;
    memory->size = 0;
    if (!buf_reserve(memory, n_bytes)) {
        fail_memory(&device->error, n_bytes, "an operand's copy");
        return false;
    }
    *out = (struct dense){from->dtype, n_rows, n_cols, n_cols * size, (uint8_t *)memory->data};
    memset(out->data, 0, n_bytes);
    struct turn_job job = {from, out->data, out->row_bytes, size, transpose};
    parallel_for(device->pool, (from->n_cols + TURN_TILE - 1) / TURN_TILE, 1, turn_task, &job);
    return true;
}

/* Pointers to rows, and scratch for rows of n_cols. */
static bool make_room(struct cpu_dense *device, size_t n_rows, size_t n_cols)
{
    if (n_rows > device->n_rows) {
        free(device->x);
        free(device->y);
        device->x = array_new(n_rows, sizeof *device->x);
        device->y = array_new(n_rows, sizeof *device->y);
        device->n_rows = device->x && device->y ? n_rows : 0;
    }
    for (unsigned i = 0; n_cols > device->scratch_cols && i < device->n_threads; i++) {
        free(device->scratch[i]);
        device->scratch[i] =
            array_new_aligned(cpu_kernels_scratch_bytes(&device->kernels, n_cols), 1);
        if (!device->scratch[i]) device->n_rows = 0;
    }
    if (device->n_rows < n_rows) {
        device->scratch_cols = 0;
        fail_memory(&device->error, n_rows * sizeof *device->x, "a matrix product");
        return false;
    }
    if (n_cols > device->scratch_cols) device->scratch_cols = n_cols;
    return true;
}

struct product_job {
    struct cpu_dense *device;
    struct matrix w;
    linear_fn *linear;
    size_t n_tokens, task_rows;
};

static void product_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct product_job *job = ctx;
    struct linear_args args = {&job->w, job->device->x, job->device->y, job->n_tokens,
                               job->device->scratch[thread]};
    for (size_t task = begin; task < end; task++) {
        size_t first = task * job->task_rows, last = first + job->task_rows;
        job->linear(&args, first, last < job->w.n_rows ? last : job->w.n_rows);
    }
}

struct pack_job {
    struct cpu_dense *device;
    const struct dense *a;
    uint8_t *out;
    size_t stride;
};

static void pack_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct pack_job *job = ctx;
    (void)thread;
    for (size_t r = begin; r < end; r++)
        job->device->kernels.q8_quantise((const float *)(job->a->data + r * job->a->row_bytes),
                                         job->a->n_cols, Q8_NATURAL, job->out + r * job->stride);
}

/* The rows of `a` as int8, for weights in Q8_0. */
static bool pack(struct cpu_dense *device, const struct dense *a)
{
    struct pack_job job = {device, a, NULL, q8_row_bytes(a->n_cols)};
    device->packed.size = 0;
    if (!buf_reserve(&device->packed, a->n_rows * job.stride + 64)) {
        fail_memory(&device->error, a->n_rows * job.stride, "a packed operand");
        return false;
    }
    job.out = (uint8_t *)round_up((size_t)device->packed.data, 64);
    parallel_for(device->pool, a->n_rows, 4, pack_task, &job);
    for (size_t r = 0; r < a->n_rows; r++) device->x[r] = job.out + r * job.stride;
    return true;
}

static void matmul(struct dense_device *base, const struct dense *a, bool transpose_a,
                   const struct dense *b, bool transpose_b, struct dense *c)
{
    struct cpu_dense *device = cpu_dense_of(base);
    struct dense a_rows, b_rows; /* [m, k] and [n, k] */
    if (device->error.status != VINCI_OK) return;
    if (!kernel_rows(device, a, transpose_a, &device->turned[0], &a_rows) ||
        !kernel_rows(device, b, !transpose_b, &device->turned[1], &b_rows))
        return;
    if (!make_room(device, a_rows.n_rows, a_rows.n_cols)) return;

    struct product_job job = {.device = device, .w = matrix_of(&b_rows), .n_tokens = a_rows.n_rows};
    if (b->dtype == DTYPE_Q8_0) {
        job.linear = device->kernels.q8_linear[b->dtype];
        if (!pack(device, &a_rows)) return;
    } else {
        job.linear = device->kernels.f32_linear[b->dtype];
        for (size_t r = 0; r < a_rows.n_rows; r++)
            device->x[r] = a_rows.data + r * a_rows.row_bytes;
    }
    for (size_t r = 0; r < a_rows.n_rows; r++) device->y[r] = (float *)(c->data + r * c->row_bytes);
    size_t tile = device->kernels.row_tile;
    job.task_rows = round_up(b_rows.n_rows / (device->n_threads * (size_t)8) + 1, tile);
    parallel_for(device->pool, (b_rows.n_rows + job.task_rows - 1) / job.task_rows, 1, product_task,
                 &job);
}

/* ---- elementwise --------------------------------------------------------------------------- */

static float *floats(const struct dense *t)
{
    return (float *)t->data;
}

static size_t count(const struct dense *t)
{
    return t->n_rows * t->n_cols;
}

static void add_row(struct dense_device *base, struct dense *x, const struct dense *row)
{
    (void)base;
    for (size_t i = 0; i < count(x); i++) floats(x)[i] += floats(row)[i % x->n_cols];
}

static void relu(struct dense_device *base, const struct dense *x, struct dense *out)
{
    (void)base;
    for (size_t i = 0; i < count(x); i++) floats(out)[i] = floats(x)[i] > 0 ? floats(x)[i] : 0;
}

static void relu_backward(struct dense_device *base, const struct dense *x,
                          const struct dense *gradient, struct dense *out)
{
    (void)base;
    for (size_t i = 0; i < count(x); i++)
        floats(out)[i] = floats(x)[i] > 0 ? floats(gradient)[i] : 0;
}

static void multiply(struct dense_device *base, struct dense *x, const struct dense *y)
{
    (void)base;
    for (size_t i = 0; i < count(x); i++) floats(x)[i] *= floats(y)[i];
}

static void subtract(struct dense_device *base, struct dense *x, const struct dense *y)
{
    (void)base;
    for (size_t i = 0; i < count(x); i++) floats(x)[i] -= floats(y)[i];
}

static void scale(struct dense_device *base, struct dense *x, float factor)
{
    (void)base;
    for (size_t i = 0; i < count(x); i++) floats(x)[i] *= factor;
}

static void softmax(struct dense_device *base, const struct dense *x, struct dense *out)
{
    (void)base;
    for (size_t r = 0; r < x->n_rows; r++) {
        const float *row = floats(x) + r * x->n_cols;
        float *to = floats(out) + r * x->n_cols, most = row[0], sum = 0;
        for (size_t i = 1; i < x->n_cols; i++) most = row[i] > most ? row[i] : most;
        for (size_t i = 0; i < x->n_cols; i++) sum += to[i] = exp_f32(row[i] - most);
        for (size_t i = 0; i < x->n_cols; i++) to[i] /= sum;
    }
}

static void sum_rows(struct dense_device *base, const struct dense *x, struct dense *row)
{
    (void)base;
    memset(row->data, 0, row->row_bytes);
    for (size_t i = 0; i < count(x); i++) floats(row)[i % x->n_cols] += floats(x)[i];
}

struct copy_job {
    const uint8_t *from;
    uint8_t *to;
    size_t n_bytes;
};

enum { COPY_BYTES = 1 << 20 };

static void copy_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct copy_job *job = ctx;
    size_t first = begin * COPY_BYTES, last = end * COPY_BYTES;
    (void)thread;
    memcpy(job->to + first, job->from + first, (last < job->n_bytes ? last : job->n_bytes) - first);
}

static void copy(struct dense_device *base, const struct dense *from, struct dense *to)
{
    struct copy_job job = {from->data, to->data, from->n_rows * from->row_bytes};
    parallel_for(cpu_dense_of(base)->pool, (job.n_bytes + COPY_BYTES - 1) / COPY_BYTES, 1,
                 copy_task, &job);
}

static enum vinci_status wait(struct dense_device *base, struct vinci_error *err)
{
    struct cpu_dense *device = cpu_dense_of(base);
    if (device->error.status == VINCI_OK) return VINCI_OK;
    return fail(err, device->error.status, "%s", device->error.text);
}

static void mark(struct dense_device *base)
{
    struct cpu_dense *device = cpu_dense_of(base);
    device->marks[0] = device->marks[1];
    device->marks[1] = seconds_now();
}

static double seconds(struct dense_device *base)
{
    const struct cpu_dense *device = cpu_dense_of(base);
    return device->marks[1] - device->marks[0];
}

static void *host_create(struct dense_device *base, size_t n_bytes)
{
    (void)base;
    return array_new_aligned(n_bytes, 1);
}

static void host_release(struct dense_device *base, void *memory)
{
    (void)base;
    free(memory);
}

/* ---- creation ------------------------------------------------------------------------------ */

static void destroy(struct dense_device *base)
{
    if (!base) return;
    struct cpu_dense *device = cpu_dense_of(base);
    threadpool_destroy(device->pool);
    for (unsigned i = 0; device->scratch && i < device->n_threads; i++) free(device->scratch[i]);
    free(device->scratch);
    buf_free(&device->turned[0]);
    buf_free(&device->turned[1]);
    buf_free(&device->packed);
    free(device->x);
    free(device->y);
    free(device);
}

static const struct dense_ops cpu_dense_ops = {
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
    .wait = wait,
    .mark = mark,
    .seconds = seconds,
    .host_create = host_create,
    .host_release = host_release,
};

enum vinci_status cpu_dense_create(struct dense_device **out, uint32_t n_threads,
                                   const char *cpu_list, struct vinci_error *err)
{
    *out = NULL;
    struct cpu_set_list cpus = {0};
    struct cpu_dense *device = array_new_zero(1, sizeof *device);
    if (!device) return fail_memory(err, sizeof *device, "the device");
    device->base.ops = &cpu_dense_ops;
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++)
        device->base.multiplies[dtype] =
            dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16 || dtype == DTYPE_Q8_0;
    enum vinci_status status = cpu_kernels_select(&device->kernels, NULL, err);
    if (status == VINCI_OK) status = topology_cpus(&cpus, cpu_list, err);
    if (status != VINCI_OK) goto cleanup;
    device->n_threads = n_threads > 0 ? n_threads : cpus.n;
    device->scratch = array_new_zero(device->n_threads, sizeof *device->scratch);
    if (!device->scratch) {
        status = fail_memory(err, device->n_threads * sizeof *device->scratch, "the device");
        goto cleanup;
    }
    bool bind = cpu_list && device->n_threads <= cpus.n;
    status = threadpool_create(&device->pool, device->n_threads, bind ? cpus.cpus : NULL, err);

cleanup:
    topology_cpus_free(&cpus);
    if (status != VINCI_OK) destroy(&device->base);
    else *out = &device->base;
    return status;
}
