/* cpu_linear.c - matrix products of the CPU device: the input is packed once for all rows, then the
 * thread pool takes blocks of rows. How rows are split never shows in a result. */
#include "device/cpu/cpu_device.h"

bool cpu_takes_q8(const struct cpu_device *device, enum dtype weights)
{
    return device->activations == VINCI_ACTIVATIONS_INT8 && device->kernels.q8_linear[weights];
}

size_t cpu_block_rows(const struct cpu_device *device, size_t n_tokens)
{
    enum { FEW_ROWS = 8 };
    return n_tokens <= FEW_TOKENS ? FEW_ROWS : device->kernels.row_tile;
}

void cpu_for_blocks(struct cpu_device *device, size_t n_blocks, size_t block_rows, parallel_fn *fn,
                    void *ctx)
{
    enum { LEAST_ROWS = 64, LEAST_PIECES = 2 };
    size_t least = LEAST_ROWS / block_rows;
    size_t even = n_blocks / (LEAST_PIECES * (size_t)threadpool_n_threads(device->pool));
    parallel_for_shrinking(device->pool, n_blocks, even < least ? even : least, fn, ctx);
}

struct pack_job {
    struct cpu_device *device;
    enum q8_order order;
    const float *x;
    size_t stride, n_cols;
};

static void pack_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct pack_job *job = ctx;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        job->device->kernels.q8_quantise(job->x + i * job->stride, job->n_cols, job->order,
                                         job->device->packed + i * job->device->packed_stride);
}

void cpu_pack_rows(struct cpu_device *device, enum dtype weights, const float *x, size_t stride,
                   size_t n_cols, size_t n, const void **rows)
{
    if (!cpu_takes_q8(device, weights)) {
        for (size_t i = 0; i < n; i++) rows[i] = x + i * stride;
        return;
    }
    struct pack_job job = {device, q8_order_of(weights), x, stride, n_cols};
    parallel_for(device->pool, n, 4, pack_task, &job);
    for (size_t i = 0; i < n; i++) rows[i] = device->packed + i * device->packed_stride;
}

void cpu_linear_rows(struct cpu_device *device, const struct matrix *w, const struct vector *b,
                     const void *const *x, float *const *y, size_t n, size_t begin, size_t end,
                     unsigned thread)
{
    struct linear_args args = {w, x, y, n, device->threads[thread].linear};
    linear_fn *fn = cpu_takes_q8(device, w->dtype) ? device->kernels.q8_linear[w->dtype]
                                                   : device->kernels.f32_linear[w->dtype];
    /* Many tokens go over the rows several times: as many rows as the cache keeps. */
    size_t most = n > FEW_TOKENS ? ROWS_MAX : end - begin;
    for (size_t first = begin; first < end; first += most)
        fn(&args, first, end - first < most ? end : first + most);
    if (!b) return;
    for (size_t first = begin; first < end; first += ROWS_MAX) {
        float bias[ROWS_MAX];
        size_t last = end - first < ROWS_MAX ? end : first + ROWS_MAX;
        vector_read(b, first, last - first, bias);
        for (size_t t = 0; t < n; t++)
            for (size_t r = first; r < last; r++) y[t][r] += bias[r - first];
    }
}

/* Up to three products with one input; their blocks of rows form one list. */
struct linear_job {
    struct cpu_device *device;
    const struct matrix *w[3];
    const struct vector *b[3];
    float **y[3];
    size_t n_products, n_tokens, block_rows;
    float *add_to; /* NULL, or [n_tokens][n_rows]: the product is added there */
};

static size_t n_blocks_of(const struct linear_job *job, size_t i)
{
    return (job->w[i]->n_rows + job->block_rows - 1) / job->block_rows;
}

static void linear_rows(const struct linear_job *job, size_t i, size_t first, size_t last,
                        unsigned thread)
{
    size_t n_rows = job->w[i]->n_rows;
    cpu_linear_rows(job->device, job->w[i], job->b[i], job->device->x_rows, job->y[i],
                    job->n_tokens, first, last, thread);
    if (!job->add_to) return;
    for (size_t t = 0; t < job->n_tokens; t++)
        for (size_t r = first; r < last; r++) job->add_to[t * n_rows + r] += job->y[i][t][r];
}

static void linear_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct linear_job *job = ctx;
    for (size_t i = 0, before = 0; i < job->n_products && before < end; i++) {
        size_t n = n_blocks_of(job, i), n_rows = job->w[i]->n_rows;
        size_t first = begin > before ? (begin - before) * job->block_rows : 0;
        size_t last = end - before < n ? (end - before) * job->block_rows : n_rows;
        if (first < last) linear_rows(job, i, first, last, thread);
        before += n;
    }
}

static void run(struct linear_job *job, const float *x)
{
    struct cpu_device *device = job->device;
    size_t n_cols = job->w[0]->n_cols, n_blocks = 0;
    job->block_rows = cpu_block_rows(device, job->n_tokens);
    for (size_t i = 0; i < job->n_products; i++) {
        n_blocks += n_blocks_of(job, i);
        device->base.weight_bytes += matrix_bytes(job->w[i]);
    }
    cpu_pack_rows(device, job->w[0]->dtype, x, n_cols, n_cols, job->n_tokens, device->x_rows);
    cpu_for_blocks(device, n_blocks, job->block_rows, linear_task, job);
}

static float **rows_of(struct cpu_device *device, size_t i, float *y, size_t n_rows, size_t n)
{
    float **rows = device->y_rows + i * device->n_slots;
    for (size_t t = 0; t < n; t++) rows[t] = y + t * n_rows;
    return rows;
}

void cpu_linear(struct device *base, const struct matrix *w, const struct vector *b,
                const struct device_buffer *x, size_t n, struct device_buffer *y)
{
    struct cpu_device *device = cpu_device_of(base);
    struct linear_job job = {.device = device, .w = {w}, .b = {b}, .n_products = 1, .n_tokens = n};
    job.y[0] = rows_of(device, 0, y->data, w->n_rows, n);
    run(&job, x->data);
}

void cpu_linear_add(struct device *base, const struct matrix *w, const struct vector *b,
                    const struct device_buffer *y, size_t n, struct device_buffer *x)
{
    struct cpu_device *device = cpu_device_of(base);
    struct linear_job job = {.device = device, .w = {w}, .b = {b}, .n_products = 1, .n_tokens = n};
    job.y[0] = rows_of(device, 0, device->product, w->n_rows, n);
    job.add_to = x->data;
    run(&job, y->data);
}

void cpu_qkv(struct device *base, const struct layer_weights *layer, const struct device_buffer *t,
             struct device_buffer *q, struct device_buffer *k, struct device_buffer *v)
{
    struct cpu_device *device = cpu_device_of(base);
    size_t n = device->step->n_tokens;
    const struct matrix *w[3] = {&layer->q, &layer->k, &layer->v};
    const struct vector *b[3] = {&layer->q_bias, &layer->k_bias, &layer->v_bias};
    struct device_buffer *y[3] = {q, k, v};
    bool alike = w[0]->dtype == w[1]->dtype && w[1]->dtype == w[2]->dtype;

    struct linear_job job = {.device = device, .n_tokens = n};
    for (size_t i = 0; i < 3; i++) {
        size_t at = job.n_products++;
        job.w[at] = w[i];
        job.b[at] = b[i];
        job.y[at] = rows_of(device, at, y[i]->data, w[i]->n_rows, n);
        if (alike && i < 2) continue;
        run(&job, t->data); /* matrices that differ in format pack their input on their own */
        job.n_products = 0;
    }
}
