/* cpu_experts.c - the mixture of experts: tokens are grouped by expert, so that one pass over an
 * expert's weights serves all its tokens; each token then sums its experts in router order, so the
 * grouping does not show in a result. */
#include "base/fmath.h"
#include "device/cpu/cpu_device.h"

#include <math.h>

/* The largest logits in order (ties: the lower expert first), and their softmax. */
static void choose(const struct model_config *config, const float *logits, uint32_t *experts,
                   float *weights)
{
    uint32_t n_used = config->n_experts_used;
    for (uint32_t i = 0; i < n_used; i++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t e = 0; e < config->n_experts; e++) {
            bool taken = false;
            for (uint32_t j = 0; j < i; j++) taken = taken || experts[j] == e;
            if (!taken && (best == UINT32_MAX || logits[e] > logits[best])) best = e;
        }
        experts[i] = best;
    }
    float sum = 0;
    for (uint32_t i = 0; i < n_used; i++) {
        weights[i] = exp_f32(logits[experts[i]] - logits[experts[0]]);
        sum += weights[i];
    }
    for (uint32_t i = 0; i < n_used; i++) weights[i] /= sum;
}

/* Counting sort of (token, expert) pairs by expert. Returns the number of experts that have any. */
static size_t group(struct cpu_device *device, const float *logits, size_t n_tokens)
{
    const struct model_config *config = device->config;
    uint32_t n_used = config->n_experts_used, n_experts = config->n_experts;
    uint32_t *first = device->expert_first;

    for (uint32_t e = 0; e <= n_experts; e++) first[e] = 0;
    for (size_t t = 0; t < n_tokens; t++) {
        uint32_t *experts = device->token_expert + t * n_used;
        choose(config, logits + t * n_experts, experts, device->token_weight + t * n_used);
        for (uint32_t i = 0; i < n_used; i++) first[experts[i] + 1]++;
    }
    size_t n_active = 0;
    for (uint32_t e = 0; e < n_experts; e++) {
        if (first[e + 1]) device->active[n_active++] = e;
        first[e + 1] += first[e];
        device->expert_next[e] = first[e];
    }
    for (size_t t = 0; t < n_tokens; t++) {
        for (uint32_t i = 0; i < n_used; i++) {
            uint32_t slot = device->expert_next[device->token_expert[t * n_used + i]]++;
            device->slot_token[slot] = (uint32_t)t;
            device->token_slot[t * n_used + i] = slot;
        }
    }
    return n_active;
}

struct experts_job {
    struct cpu_device *device;
    const struct layer_weights *layer;
    size_t n_rows, block_rows, blocks_per_expert;
    float *x; /* [n_tokens][n_hidden] */
};

struct expert_task {
    const struct expert_weights *expert;
    size_t first_slot, n_slots, begin, end; /* rows */
};

/* The first expert's part of the blocks [begin, end): *next is where the others begin. */
static struct expert_task task_of(const struct experts_job *job, size_t begin, size_t end,
                                  size_t *next)
{
    const struct cpu_device *device = job->device;
    size_t i = begin / job->blocks_per_expert, first = i * job->blocks_per_expert;
    uint32_t e = device->active[i];
    *next = end - first < job->blocks_per_expert ? end : first + job->blocks_per_expert;
    size_t last_row = (*next - first) * job->block_rows;
    return (struct expert_task){
        .expert = &job->layer->experts[e],
        .first_slot = device->expert_first[e],
        .n_slots = device->expert_first[e + 1] - device->expert_first[e],
        .begin = (begin - first) * job->block_rows,
        .end = last_row < job->n_rows ? last_row : job->n_rows,
    };
}

/* Where rows of gate and up alternate in memory, they are one matrix: going over it once, in order,
 * is a sixth faster than over every other row twice (one token, from memory). False elsewhere. */
static bool interleaved(const struct expert_weights *e, struct matrix *both)
{
    const struct matrix *gate = &e->gate, *up = &e->up;
    if (gate->dtype != up->dtype || gate->row_stride != up->row_stride ||
        gate->scale_stride != up->scale_stride || gate->row_stride % 2 ||
        gate->data + gate->row_stride / 2 != up->data)
        return false;
    if (gate->scales &&
        (gate->scale_stride % 2 || gate->scales + gate->scale_stride / 2 != up->scales))
        return false;
    *both = *gate;
    both->n_rows = 2 * gate->n_rows;
    both->row_stride /= 2;
    both->scale_stride /= 2;
    return true;
}

/* Rows [begin, end), at most ROWS_MAX, of gate and up, whose products came row by row in turn:
 * they are told apart while the bias is added. */
static void tell_apart(struct cpu_device *device, const struct expert_task *t, size_t begin,
                       size_t end, float *const *gate, float *const *products)
{
    const struct model_config *config = device->config;
    size_t n = end - begin;
    float gate_bias[ROWS_MAX], up_bias[ROWS_MAX], up[ROWS_MAX];
    vector_read(&t->expert->gate_bias, begin, n, gate_bias);
    vector_read(&t->expert->up_bias, begin, n, up_bias);
    for (size_t s = 0; s < t->n_slots; s++) {
        const float *y = products[s] + 2 * begin;
        float *g = gate[s] + begin;
        for (size_t r = 0; r < n; r++) {
            g[r] = y[2 * r] + gate_bias[r];
            up[r] = y[2 * r + 1] + up_bias[r];
        }
        device->kernels.swiglu(g, up, n, config->swiglu_limit, config->swiglu_alpha, g);
    }
}

/* gate[slot] = swiglu(gate, up) for rows of one expert. */
static void gate_up(struct cpu_device *device, const struct expert_task *t, unsigned thread)
{
    const struct model_config *config = device->config;
    const struct expert_weights *e = t->expert;
    const void **x = device->x_rows + t->first_slot;
    float **gate = device->y_rows + t->first_slot, **up = gate + device->n_slots;
    struct matrix both;
    if (interleaved(e, &both)) {
        cpu_linear_rows(device, &both, NULL, x, up, t->n_slots, 2 * t->begin, 2 * t->end, thread);
        for (size_t r = t->begin; r < t->end; r += ROWS_MAX)
            tell_apart(device, t, r, t->end - r < ROWS_MAX ? t->end : r + ROWS_MAX, gate, up);
        return;
    }
    cpu_linear_rows(device, &e->gate, &e->gate_bias, x, gate, t->n_slots, t->begin, t->end, thread);
    cpu_linear_rows(device, &e->up, &e->up_bias, x, up, t->n_slots, t->begin, t->end, thread);
    for (size_t s = 0; s < t->n_slots; s++)
        device->kernels.swiglu(gate[s] + t->begin, up[s] + t->begin, t->end - t->begin,
                               config->swiglu_limit, config->swiglu_alpha, gate[s] + t->begin);
}

static void gate_up_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct experts_job *job = ctx;
    while (begin < end) {
        struct expert_task t = task_of(job, begin, end, &begin);
        gate_up(job->device, &t, thread);
    }
}

/* up[slot] = down projection of gate[slot]. */
static void down_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct experts_job *job = ctx;
    struct cpu_device *device = job->device;
    while (begin < end) {
        struct expert_task t = task_of(job, begin, end, &begin);
        cpu_linear_rows(
            device, &t.expert->down, &t.expert->down_bias, device->x_rows + t.first_slot,
            device->y_rows + device->n_slots + t.first_slot, t.n_slots, t.begin, t.end, thread);
    }
}

/* fn over rows [0, n_rows) of every expert that has tokens. */
static void for_rows(struct experts_job *job, size_t n_active, size_t n_rows, parallel_fn *fn)
{
    size_t n_slots = job->device->step->n_tokens * job->device->config->n_experts_used;
    job->n_rows = n_rows;
    job->block_rows = cpu_block_rows(job->device, (n_slots + n_active - 1) / n_active);
    job->blocks_per_expert = (n_rows + job->block_rows - 1) / job->block_rows;
    cpu_for_blocks(job->device, n_active * job->blocks_per_expert, job->block_rows, fn, job);
}

static void sum_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct experts_job *job = ctx;
    struct cpu_device *device = job->device;
    size_t n_hidden = device->config->n_hidden, n_used = device->config->n_experts_used;
    (void)thread;
    for (size_t t = begin; t < end; t++)
        for (size_t i = t * n_used; i < (t + 1) * n_used; i++)
            device->kernels.add_scaled(job->x + t * n_hidden,
                                       device->up + device->token_slot[i] * device->up_stride,
                                       device->token_weight[i], n_hidden);
}

void cpu_experts(struct device *base, const struct layer_weights *layer,
                 const struct device_buffer *router_logits, const struct device_buffer *t,
                 struct device_buffer *x)
{
    struct cpu_device *device = cpu_device_of(base);
    const struct model_config *config = device->config;
    size_t n_tokens = device->step->n_tokens, n_hidden = config->n_hidden;
    size_t n_slots = n_tokens * config->n_experts_used;
    size_t n_active = group(device, router_logits->data, n_tokens);
    struct experts_job job = {.device = device, .layer = layer, .x = x->data};

    const struct expert_weights *one = &layer->experts[0];
    device->base.weight_bytes +=
        n_active * (matrix_bytes(&one->gate) + matrix_bytes(&one->up) + matrix_bytes(&one->down));

    /* All experts of a model have one format (bind.c binds one tensor for all). Tokens are
     * packed once, and the slots point to their packed rows. */
    cpu_pack_rows(device, layer->experts[0].gate.dtype, t->data, n_hidden, n_hidden, n_tokens,
                  device->token_rows);
    for (size_t s = 0; s < n_slots; s++) {
        device->x_rows[s] = device->token_rows[device->slot_token[s]];
        device->y_rows[s] = device->gate + s * device->expert_stride;
        device->y_rows[device->n_slots + s] = device->up + s * device->up_stride;
    }
    for_rows(&job, n_active, config->n_intermediate, gate_up_task);

    cpu_pack_rows(device, layer->experts[0].down.dtype, device->gate, device->expert_stride,
                  config->n_intermediate, n_slots, device->x_rows);
    for_rows(&job, n_active, n_hidden, down_task);

    parallel_for(device->pool, n_tokens, 1, sum_task, &job);
}
