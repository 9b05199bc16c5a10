/* cpu_device.c - the CPU device: weights are used where the file has them, all memory is sized at
 * creation, every operation is done when it returns. */
#include "device/cpu/cpu_device.h"

#include "base/buf.h"
#include "base/topology.h"

#include <stdlib.h>
#include <string.h>

enum { OUTPUT_ROWS = 16 /* rows of logits computed together; 201,088 floats each in gpt-oss */ };

/* ---- buffers ------------------------------------------------------------------------------- */

static enum vinci_status buffer_create(struct device *base, struct device_buffer **out, size_t n,
                                       struct vinci_error *err)
{
    (void)base;
    struct device_buffer *buffer = array_new(1, sizeof *buffer);
    *out = NULL;
    if (!buffer) return fail_memory(err, sizeof *buffer, "a buffer");
    buffer->data = array_new_aligned(n, sizeof(float));
    if (!buffer->data) {
        free(buffer);
        return fail_memory(err, n * sizeof(float), "the activations of a step");
    }
    *out = buffer;
    return VINCI_OK;
}

static void buffer_destroy(struct device *base, struct device_buffer *buffer)
{
    (void)base;
    if (!buffer) return;
    free(buffer->data);
    free(buffer);
}

static void buffer_read(struct device *base, const struct device_buffer *buffer, size_t first,
                        size_t n, float *out)
{
    (void)base;
    memcpy(out, buffer->data + first, n * sizeof *out);
}

/* ---- a step -------------------------------------------------------------------------------- */

static bool begin(struct device *base, const struct step *step)
{
    struct cpu_device *device = cpu_device_of(base);
    device->step = step;
    cpu_attention_begin(device);
    return true;
}

static enum vinci_status end(struct device *base, struct vinci_error *err)
{
    (void)err;
    cpu_device_of(base)->step = NULL;
    return VINCI_OK;
}

static void embed(struct device *base, const struct matrix *embedding, struct device_buffer *x)
{
    const struct step *step = cpu_device_of(base)->step;
    for (size_t t = 0; t < step->n_tokens; t++)
        matrix_row(embedding, (size_t)step->tokens[t], x->data + t * embedding->n_cols);
}

struct norm_job {
    struct cpu_device *device;
    const float *x, *w;
    float eps, *out;
};

static void norm_task(void *ctx, size_t first, size_t last, unsigned thread)
{
    const struct norm_job *job = ctx;
    size_t n = job->device->config->n_hidden;
    (void)thread;
    for (size_t t = first; t < last; t++)
        job->device->kernels.rms_norm(job->x + t * n, job->w, n, job->eps, job->out + t * n);
}

static void rms_norm(struct device *base, const struct device_buffer *x, const struct vector *w,
                     float eps, size_t n, struct device_buffer *out)
{
    struct cpu_device *device = cpu_device_of(base);
    float *weights = device->threads[0].row;
    vector_read(w, 0, device->config->n_hidden, weights);
    struct norm_job job = {device, x->data, weights, eps, out->data};
    parallel_for(device->pool, n, 8, norm_task, &job);
}

static void gather(struct device *base, const struct device_buffer *x, const uint32_t *rows,
                   size_t n, struct device_buffer *out)
{
    size_t n_hidden = cpu_device_of(base)->config->n_hidden;
    for (size_t i = 0; i < n; i++)
        memcpy(out->data + i * n_hidden, x->data + rows[i] * n_hidden, n_hidden * sizeof(float));
}

/* ---- creation ------------------------------------------------------------------------------ */

static void destroy(struct device *base)
{
    if (!base) return;
    struct cpu_device *device = cpu_device_of(base);
    threadpool_destroy(device->pool);
    for (unsigned i = 0; device->threads && i < base->n_threads; i++) free(device->threads[i].all);
    void *owned[] = {device->threads,      device->packed,       device->x_rows,
                     device->token_rows,   device->y_rows,       device->product,
                     device->units,        device->split_states, device->split_acc,
                     device->slot_token,   device->token_slot,   device->token_expert,
                     device->token_weight, device->expert_first, device->expert_next,
                     device->active,       device->gate,         device->up};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    free(device);
}

static const struct device_ops cpu_ops = {
    .destroy = destroy,
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .buffer_read = buffer_read,
    .kv_pool_create = cpu_kv_pool_create,
    .kv_pool_destroy = cpu_kv_pool_destroy,
    .kv_page_bytes = cpu_kv_page_bytes,
    .kv_page_copy = cpu_kv_page_copy,
    .begin = begin,
    .end = end,
    .embed = embed,
    .rms_norm = rms_norm,
    .linear = cpu_linear,
    .linear_add = cpu_linear_add,
    .qkv = cpu_qkv,
    .rope_store = cpu_rope_store,
    .attention = cpu_attention,
    .experts = cpu_experts,
    .gather = gather,
};

/* malloc for the device's life, counted; freed by destroy. */
static void *keep(struct cpu_device *device, size_t n, size_t size)
{
    device->base.scratch_bytes += n * size;
    return array_new_aligned(n, size);
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Everything of one thread lies in pages of its own, which are where the thread touches them. */
static bool create_threads(struct cpu_device *device, size_t max_cols)
{
    const struct model_config *config = device->config;
    size_t n_rows = 2 * max_size(ATTENTION_ROWS, config->n_heads / config->n_kv_heads);
    const size_t n_bytes[] = {
        cpu_kernels_scratch_bytes(&device->kernels, max_cols),
        n_rows * sizeof(struct attention_state),
        n_rows * config->head_dim * sizeof(float),
        max_size(config->n_hidden, MAX_HEAD_DIM) * sizeof(float),
        2 * kv_tile_elements(config->head_dim) * sizeof(float),
    };
    enum { PARTS = sizeof n_bytes / sizeof *n_bytes, APART = 2 * 4096 /* page and prefetch */ };
    size_t all = APART;
    for (int i = 0; i < PARTS; i++) all += round_up(n_bytes[i], 64);
    device->threads = array_new_zero(device->base.n_threads, sizeof *device->threads);
    if (!device->threads) return false;
    for (unsigned i = 0; i < device->base.n_threads; i++) {
        struct thread_scratch *scratch = &device->threads[i];
        uint8_t *p = scratch->all = keep(device, all, 1), *parts[PARTS];
        if (!p) return false;
        for (int k = 0; k < PARTS; k++) parts[k] = p, p += round_up(n_bytes[k], 64);
        scratch->linear = parts[0];
        scratch->states = (struct attention_state *)(void *)parts[1];
        scratch->acc = (float *)(void *)parts[2];
        scratch->row = (float *)(void *)parts[3];
        scratch->expanded = (float *)(void *)parts[4];
    }
    return true;
}

/* The limits of config.h keep all these products far from overflow; array_new checks the last. */
static bool create_arrays(struct cpu_device *device, size_t max_cols)
{
    const struct model_config *config = device->config;
    const struct device_limits *limits = &device->limits;
    size_t n_batch = limits->n_batch, n_used = config->n_experts_used;
    size_t group = config->n_heads / config->n_kv_heads;
    size_t n_pairs = n_batch * n_used;

    device->n_slots = max_size(n_pairs, max_size(n_batch, limits->n_seqs));
    device->expert_stride = max_size(config->n_hidden, config->n_intermediate);
    device->up_stride = max_size(config->n_hidden, 2 * (size_t)config->n_intermediate);
    device->packed_stride = q8_row_bytes(max_cols);
    device->n_units_max = (n_batch + limits->n_seqs) * (size_t)config->n_kv_heads;
    /* Splits are tasks of their own for fewer than 4 units a thread, each of `group` rows. */
    device->n_split_states =
        4 * (size_t)device->base.n_threads * group * (limits->n_ctx / ATTENTION_SPLIT + 1);

    device->packed = keep(device, device->n_slots, device->packed_stride);
    device->x_rows = keep(device, device->n_slots, sizeof *device->x_rows);
    device->token_rows = keep(device, device->n_slots, sizeof *device->token_rows);
    device->y_rows = keep(device, 3 * device->n_slots, sizeof *device->y_rows);
    device->product = keep(device, n_batch * config->n_hidden, sizeof(float));
    device->units = keep(device, device->n_units_max, sizeof *device->units);
    device->split_states = keep(device, device->n_split_states, sizeof *device->split_states);
    device->split_acc = keep(device, device->n_split_states * config->head_dim, sizeof(float));
    device->slot_token = keep(device, n_pairs, sizeof(uint32_t));
    device->token_slot = keep(device, n_pairs, sizeof(uint32_t));
    device->token_expert = keep(device, n_pairs, sizeof(uint32_t));
    device->token_weight = keep(device, n_pairs, sizeof(float));
    device->expert_first = keep(device, config->n_experts + 1, sizeof(uint32_t));
    device->expert_next = keep(device, config->n_experts, sizeof(uint32_t));
    device->active = keep(device, config->n_experts, sizeof(uint32_t));
    device->gate = keep(device, n_pairs * device->expert_stride, sizeof(float));
    device->up = keep(device, n_pairs * device->up_stride, sizeof(float));
    return device->packed && device->x_rows && device->token_rows && device->y_rows &&
           device->product && device->units && device->split_states && device->split_acc &&
           device->slot_token && device->token_slot && device->token_expert &&
           device->token_weight && device->expert_first && device->expert_next && device->active &&
           device->gate && device->up;
}

/* Threads are bound to the processors of a list, and on machines of several memory nodes to cores
 * spread evenly over them; elsewhere the system finds better places among busy neighbours. */
static const unsigned *cpus_to_bind(struct cpu_set_list *cpus,
                                    const struct cpu_device_options *options, unsigned n_threads)
{
    if (cpus->n < n_threads || (!options->cpu_list && cpus->n_nodes < 2)) return NULL;
    for (size_t i = 0; i < n_threads && !options->cpu_list; i++)
        cpus->cpus[i] = cpus->cpus[i * cpus->n / n_threads];
    return cpus->cpus;
}

enum vinci_status cpu_device_create(struct device **out, const struct cpu_device_options *options,
                                    const struct model *model, const struct device_limits *limits,
                                    const char **level, struct vinci_error *err)
{
    const struct model_config *config = &model->config;
    struct cpu_set_list cpus = {0};
    *out = NULL;
    struct cpu_device *device = array_new_zero(1, sizeof *device);
    if (!device) return fail_memory(err, sizeof *device, "the CPU device");
    device->base.ops = &cpu_ops;
    strcpy(device->base.name, "cpu");
    device->base.kv_page = KV_TILE;
    device->base.output_rows = OUTPUT_ROWS;
    device->config = config;
    device->activations = options->activations;
    device->limits = *limits;

    size_t max_cols = max_size(max_size(config->n_hidden, config->n_intermediate),
                               (size_t)config->n_heads * config->head_dim);
    enum vinci_status status = topology_cpus(&cpus, options->cpu_list, err);
    if (status == VINCI_OK) status = cpu_kernels_select(&device->kernels, options->level, err);
    if (status != VINCI_OK) goto cleanup;
    device->base.n_threads = options->n_threads ? options->n_threads : cpus.n;
    if (!create_threads(device, max_cols) || !create_arrays(device, max_cols)) {
        status =
            fail(err, VINCI_NO_MEMORY,
                 "out of memory for the activations of a step of %u tokens; try a smaller batch",
                 limits->n_batch);
        goto cleanup;
    }
    device->n_nodes = cpus.n_nodes;
    status = threadpool_create(&device->pool, device->base.n_threads,
                               cpus_to_bind(&cpus, options, device->base.n_threads), err);
    if (status != VINCI_OK) goto cleanup;
    if (level) *level = device->kernels.isa;
    *out = &device->base;
    device = NULL;
cleanup:
    topology_cpus_free(&cpus);
    destroy(device ? &device->base : NULL);
    return status;
}
