/* cpu_attention.c - pages of keys and values, rope, and attention with sinks.
 *
 * The order of sums is fixed by absolute positions alone: tiles of KV_TILE positions go through the
 * online softmax in order, within splits of ATTENTION_SPLIT positions; the splits are merged in
 * order into a total that begins as the head's sink (Xiao et al. 2023, arXiv 2309.17453; the sink
 * is one more logit whose value vector is zero). Which thread did a split does not show. */
#include "base/buf.h"
#include "base/topology.h"
#include "device/cpu/cpu_device.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Static_assert((int)ATTENTION_ROWS <= (int)MAX_HEADS, "a unit has at most MAX_HEADS rows");
_Static_assert((int)ATTENTION_SPLIT % (int)KV_TILE == 0, "a split is whole tiles");

/* ---- pages --------------------------------------------------------------------------------- */

enum { PAGE_GROUP = ATTENTION_SPLIT / KV_TILE /* pages whose tiles of one head are neighbours */ };

/* K of a page, layer and head, or V. */
static size_t tile_bytes(enum vinci_kv_type type, size_t head_dim)
{
    switch (type) {
    case VINCI_KV_Q8_0: return kv_q8_0_tile_bytes(head_dim);
    case VINCI_KV_F32: return kv_tile_elements(head_dim) * sizeof(float);
    default: return kv_tile_elements(head_dim) * sizeof(f16_t);
    }
}

enum vinci_status cpu_kv_pool_create(struct device *base, struct kv_pool **out, uint32_t n_layers,
                                     size_t n_pages_min, size_t *n_pages, enum vinci_kv_type type,
                                     struct vinci_error *err)
{
    const struct model_config *config = cpu_device_of(base)->config;
    (void)n_pages_min;
    *out = NULL;
    struct kv_pool *pool = array_new_zero(1, sizeof *pool);
    if (!pool) return fail_memory(err, sizeof *pool, "the KV cache");
    pool->n_layers = n_layers;
    pool->n_pages = (*n_pages + PAGE_GROUP - 1) / PAGE_GROUP * PAGE_GROUP;
    pool->n_kv_heads = config->n_kv_heads;
    pool->head_dim = config->head_dim;
    pool->type = type;
    pool->tile_bytes = tile_bytes(type, config->head_dim);
    pool->page_bytes = cpu_kv_page_bytes(base, n_layers, type);
    if (!size_mul(pool->page_bytes, pool->n_pages, &pool->n_bytes)) {
        free(pool);
        return fail_memory(err, SIZE_MAX, "the KV cache");
    }
    if (pool->n_bytes) {
        void *data = mmap(NULL, pool->n_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (data == MAP_FAILED) {
            size_t n_bytes = pool->n_bytes;
            free(pool);
            return fail_memory(err, n_bytes, "the KV cache; try a smaller context");
        }
        pool->data = data;
        if (cpu_device_of(base)->n_nodes > 1) topology_interleave(data, pool->n_bytes);
    }
    *out = pool;
    return VINCI_OK;
}

void cpu_kv_pool_destroy(struct device *base, struct kv_pool *pool)
{
    (void)base;
    if (!pool) return;
    if (pool->data) munmap(pool->data, pool->n_bytes);
    free(pool);
}

size_t cpu_kv_page_bytes(const struct device *device, uint32_t n_layers, enum vinci_kv_type type)
{
    const struct model_config *config = ((const struct cpu_device *)device)->config;
    return 2 * tile_bytes(type, config->head_dim) * config->n_kv_heads * n_layers;
}

/* K tile of a page, layer and head; the V tile follows it. [n_layers][groups][n_kv_heads][a group's
 * pages]: pages are handed out in order, so what a task reads, a split of one head, is one piece of
 * memory (1.6 microseconds a tile; 2.1 with all heads and layers of a page together).
 */
static uint8_t *tile_of(const struct kv_pool *pool, int32_t page, uint32_t layer, uint32_t head)
{
    size_t n_groups = pool->n_pages / PAGE_GROUP, group = (size_t)page / PAGE_GROUP;
    size_t row = (layer * n_groups + group) * pool->n_kv_heads + head;
    return pool->data + (row * PAGE_GROUP + (size_t)page % PAGE_GROUP) * 2 * pool->tile_bytes;
}

void cpu_kv_page_copy(struct device *base, struct kv_pool *pool, int32_t to, int32_t from)
{
    (void)base;
    for (uint32_t layer = 0; layer < pool->n_layers; layer++)
        for (uint32_t head = 0; head < pool->n_kv_heads; head++)
            memcpy(tile_of(pool, to, layer, head), tile_of(pool, from, layer, head),
                   2 * pool->tile_bytes);
}

static const int32_t *pages_of(const struct step_seq *seq, bool window)
{
    return window ? seq->window_pages : seq->full_pages;
}

/* ---- rope and store ------------------------------------------------------------------------ */

struct store_job {
    struct cpu_device *device;
    float *q, *k;   /* [n_tokens][n_heads * head_dim], [n_tokens][n_kv_heads * head_dim] */
    const float *v; /* as k */
    struct kv_pool *pool;
    uint32_t layer;
    bool window;
};

/* One position's head as Q8_0 into half a tile: element d at values[d * stride]. */
static void store_q8_0(const struct store_job *job, uint8_t *half_tile, size_t at, const float *x,
                       int8_t *values, size_t stride)
{
    size_t n = job->pool->head_dim, n_blocks = kv_blocks(n), n_cols = n_blocks * QUANT_BLOCK;
    f16_t *scales = (f16_t *)(half_tile + kv_tile_elements(n)), halves[MAX_HEAD_DIM / QUANT_BLOCK];
    float padded[MAX_HEAD_DIM] = {0};
    _Alignas(64) uint8_t packed[MAX_HEAD_DIM / Q8_GROUP * (Q8_GROUP + 32)];
    memcpy(padded, x, n * sizeof *x);
    job->device->kernels.q8_quantise(padded, n_cols, Q8_NATURAL, packed);
    job->device->kernels.f32_to_f16(q8_scales(packed, n_cols), n_blocks, halves);
    for (size_t d = 0; d < n; d++) values[d * stride] = q8_values(packed)[d];
    for (size_t b = 0; b < n_blocks; b++) scales[b * KV_TILE + at] = halves[b];
}

static void store_head(const struct store_job *job, uint8_t *tile, size_t at, const float *k,
                       const float *v, float *scratch)
{
    size_t n = job->pool->head_dim;
    size_t first =
        at / KV_LANES * n * KV_LANES + at % KV_LANES; /* K: element d at + d * KV_LANES */
    if (job->pool->type == VINCI_KV_Q8_0) {
        uint8_t *half = tile + job->pool->tile_bytes;
        store_q8_0(job, tile, at, k, (int8_t *)tile + first, KV_LANES);
        store_q8_0(job, half, at, v, (int8_t *)half + at * n, 1);
        return;
    }
    if (job->pool->type == VINCI_KV_F32) {
        float *tile_k = (float *)tile, *tile_v = (float *)(tile + job->pool->tile_bytes);
        for (size_t d = 0; d < n; d++) tile_k[first + d * KV_LANES] = k[d];
        memcpy(tile_v + at * n, v, n * sizeof *v);
        return;
    }
    f16_t *tile_k = (f16_t *)tile, *tile_v = (f16_t *)(tile + job->pool->tile_bytes);
    f16_t *half = (f16_t *)scratch;
    job->device->kernels.f32_to_f16(k, n, half);
    for (size_t d = 0; d < n; d++) tile_k[first + d * KV_LANES] = half[d];
    job->device->kernels.f32_to_f16(v, n, tile_v + at * n);
}

static void store_token(const struct store_job *job, const struct step_seq *seq, size_t t,
                        unsigned thread)
{
    const struct cpu_device *device = job->device;
    const struct model_config *config = device->config;
    size_t n = config->head_dim, half = n / 2;
    const float *cos = device->step->rope_cos + t * half, *sin = device->step->rope_sin + t * half;
    float *q = job->q + t * config->n_heads * n, *k = job->k + t * config->n_kv_heads * n;
    const float *v = job->v + t * config->n_kv_heads * n;
    size_t position = seq->position + (t - seq->first_token);
    int32_t page = pages_of(seq, job->window)[position / KV_TILE];

    for (size_t h = 0; h < config->n_heads; h++) device->kernels.rope(q + h * n, cos, sin, half);
    for (uint32_t h = 0; h < config->n_kv_heads; h++) {
        device->kernels.rope(k + h * n, cos, sin, half);
        store_head(job, tile_of(job->pool, page, job->layer, h), position % KV_TILE, k + h * n,
                   v + h * n, device->threads[thread].row);
    }
}

static void store_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct store_job *job = ctx;
    const struct step_seq *seq = job->device->step->seqs;
    for (size_t t = begin; t < end; t++) {
        while (t >= (size_t)seq->first_token + seq->n_tokens) seq++;
        store_token(job, seq, t, thread);
    }
}

void cpu_rope_store(struct device *base, struct device_buffer *q, struct device_buffer *k,
                    const struct device_buffer *v, struct kv_pool *pool, uint32_t layer,
                    bool window)
{
    struct cpu_device *device = cpu_device_of(base);
    struct store_job job = {device, q->data, k->data, v->data, pool, layer, window};
    parallel_for(device->pool, device->step->n_tokens, 4, store_task, &job);
}

/* ---- attention ----------------------------------------------------------------------------- */

void cpu_attention_begin(struct cpu_device *device)
{
    const struct model_config *config = device->config;
    uint32_t group = config->n_heads / config->n_kv_heads;
    uint32_t n_together = group < ATTENTION_ROWS ? ATTENTION_ROWS / group : 1;
    device->n_units = 0;
    for (uint32_t s = 0; s < device->step->n_seqs; s++) {
        const struct step_seq *seq = &device->step->seqs[s];
        for (uint32_t t = 0; t < seq->n_tokens; t += n_together) {
            uint32_t n = seq->n_tokens - t < n_together ? seq->n_tokens - t : n_together;
            for (uint32_t h = 0; h < config->n_kv_heads; h++)
                device->units[device->n_units++] =
                    (struct attention_unit){s, h, seq->first_token + t, n};
        }
    }
}

struct attention_job {
    struct cpu_device *device;
    const float *q; /* [n_tokens][n_heads * head_dim] */
    float *out;     /* as q */
    const struct kv_pool *pool;
    uint32_t layer, window;
    const struct vector *sinks;
    float scale;
    size_t n_splits; /* of the longest unit, when splits are tasks of their own */
};

static size_t unit_position(const struct attention_job *job, const struct attention_unit *unit)
{
    const struct step_seq *seq = &job->device->step->seqs[unit->seq];
    return seq->position + (unit->first_token - seq->first_token);
}

/* First position that a query at `position` sees. */
static size_t first_seen(const struct attention_job *job, size_t position)
{
    return job->window && position + 1 > job->window ? position + 1 - job->window : 0;
}

static void reset_state(struct attention_state *state, float *acc, size_t head_dim)
{
    state->max = -INFINITY;
    memset(state->sum, 0, sizeof state->sum);
    state->acc = acc;
    memset(acc, 0, head_dim * sizeof *acc);
}

/* Rows of a unit: token by token, the heads of the group side by side. */
static void run_split(const struct attention_job *job, const struct attention_unit *unit,
                      size_t split, struct attention_state *states, unsigned thread)
{
    const struct cpu_device *device = job->device;
    const struct model_config *config = device->config;
    size_t n = config->head_dim, group = config->n_heads / config->n_kv_heads;
    size_t position = unit_position(job, unit), n_rows = unit->n_tokens * group;
    const int32_t *pages = pages_of(&device->step->seqs[unit->seq], job->window != 0);
    const float *q[MAX_HEADS];
    uint8_t begin[MAX_HEADS], end[MAX_HEADS];

    for (size_t r = 0; r < n_rows; r++)
        q[r] = job->q + ((unit->first_token + r / group) * config->n_heads + unit->kv_head * group +
                         r % group) *
                            n;
    size_t first = split * ATTENTION_SPLIT, last = first + ATTENTION_SPLIT;
    if (first < first_seen(job, position)) first = first_seen(job, position);
    size_t seen = position + unit->n_tokens; /* the next split is likely this thread's, too */
    if (last > seen) last = seen;
    for (size_t tile = first / KV_TILE; tile * KV_TILE < last; tile++) {
        for (size_t r = 0; r < n_rows; r++) {
            size_t at = position + r / group, from = first_seen(job, at), low = tile * KV_TILE;
            size_t high = at + 1 < low + KV_TILE ? at + 1 : low + KV_TILE;
            begin[r] = (uint8_t)(from > low ? (from < low + KV_TILE ? from - low : KV_TILE) : 0);
            end[r] = (uint8_t)(high > low ? high - low : 0);
        }
        const uint8_t *k = tile_of(job->pool, pages[tile], job->layer, unit->kv_head);
        const uint8_t *next = (tile + 1) * KV_TILE < seen
                                  ? tile_of(job->pool, pages[tile + 1], job->layer, unit->kv_head)
                                  : NULL;
        struct attention_tile_args args = {
            n, n_rows, job->scale, q, k, k + job->pool->tile_bytes, begin, end, states, next};
        if (job->pool->type == VINCI_KV_Q8_0) {
            float *expanded = device->threads[thread].expanded;
            device->kernels.q8_0_kv_expand(k, n, next, expanded);
            args.k = expanded, args.v = expanded + kv_tile_elements(n), args.next_k = NULL;
        }
        if (job->pool->type == VINCI_KV_F16) device->kernels.f16_attention_tile(&args);
        else device->kernels.f32_attention_tile(&args);
    }
}

/* The first split that any row of the unit sees, and one behind the last. */
static size_t split_begin(const struct attention_job *job, const struct attention_unit *unit)
{
    return first_seen(job, unit_position(job, unit)) / ATTENTION_SPLIT;
}

static size_t split_end(const struct attention_job *job, const struct attention_unit *unit)
{
    return (unit_position(job, unit) + unit->n_tokens - 1) / ATTENTION_SPLIT + 1;
}

/* The sink is the first part of every total. */
static void begin_totals(const struct attention_job *job, const struct attention_unit *unit,
                         struct attention_state *totals, float *acc)
{
    const struct model_config *config = job->device->config;
    size_t n = config->head_dim, group = config->n_heads / config->n_kv_heads;
    for (size_t r = 0; r < unit->n_tokens * group; r++) {
        reset_state(&totals[r], acc + r * n, n);
        vector_read(job->sinks, unit->kv_head * group + r % group, 1, &totals[r].max);
        totals[r].sum[0] = 1;
    }
}

static void write_out(const struct attention_job *job, const struct attention_unit *unit,
                      const struct attention_state *totals)
{
    const struct model_config *config = job->device->config;
    size_t n = config->head_dim, group = config->n_heads / config->n_kv_heads;
    for (size_t r = 0; r < unit->n_tokens * group; r++) {
        float *out = job->out + ((unit->first_token + r / group) * config->n_heads +
                                 unit->kv_head * group + r % group) *
                                    n;
        for (size_t d = 0; d < n; d++) out[d] = totals[r].acc[d] / totals[r].sum[0];
    }
}

/* A whole unit on one thread: split after split. */
static void unit_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct attention_job *job = ctx;
    const struct cpu_device *device = job->device;
    size_t n = device->config->head_dim,
           group = device->config->n_heads / device->config->n_kv_heads;
    for (size_t u = begin; u < end; u++) {
        const struct attention_unit *unit = &device->units[u];
        size_t n_rows = unit->n_tokens * group;
        struct attention_state *states = device->threads[thread].states, *totals = states + n_rows;
        float *acc = device->threads[thread].acc;
        begin_totals(job, unit, totals, acc + n_rows * n);
        for (size_t split = split_begin(job, unit); split < split_end(job, unit); split++) {
            for (size_t r = 0; r < n_rows; r++) reset_state(&states[r], acc + r * n, n);
            run_split(job, unit, split, states, thread);
            for (size_t r = 0; r < n_rows; r++)
                device->kernels.attention_merge(&totals[r], &states[r], n);
        }
        write_out(job, unit, totals);
    }
}

/* Few units and long: each split is a task, its states kept until all are there. */
static void split_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct attention_job *job = ctx;
    const struct cpu_device *device = job->device;
    size_t n = device->config->head_dim,
           group = device->config->n_heads / device->config->n_kv_heads;
    for (size_t task = begin; task < end; task++) {
        const struct attention_unit *unit = &device->units[task / job->n_splits];
        size_t split = split_begin(job, unit) + task % job->n_splits;
        struct attention_state *states = device->split_states + task * group;
        for (size_t r = 0; r < group; r++)
            reset_state(&states[r], device->split_acc + (task * group + r) * n, n);
        if (split < split_end(job, unit)) run_split(job, unit, split, states, thread);
    }
}

static void merge_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct attention_job *job = ctx;
    const struct cpu_device *device = job->device;
    size_t n = device->config->head_dim,
           group = device->config->n_heads / device->config->n_kv_heads;
    for (size_t u = begin; u < end; u++) {
        struct attention_state *totals = device->threads[thread].states;
        begin_totals(job, &device->units[u], totals, device->threads[thread].acc);
        for (size_t split = 0; split < job->n_splits; split++)
            for (size_t r = 0; r < group; r++)
                device->kernels.attention_merge(
                    &totals[r], &device->split_states[(u * job->n_splits + split) * group + r], n);
        write_out(job, &device->units[u], totals);
    }
}

void cpu_attention(struct device *base, const struct device_buffer *q, const struct kv_pool *pool,
                   uint32_t layer, uint32_t window, const struct vector *sinks,
                   struct device_buffer *out)
{
    struct cpu_device *device = cpu_device_of(base);
    const struct model_config *config = device->config;
    struct attention_job job = {
        .device = device,
        .q = q->data,
        .out = out->data,
        .pool = pool,
        .layer = layer,
        .window = window,
        .sinks = sinks,
        .scale = 1.0f / sqrtf((float)config->head_dim),
    };
    size_t group = config->n_heads / config->n_kv_heads, n_tokens_max = 0;
    for (size_t u = 0; u < device->n_units; u++) {
        const struct attention_unit *unit = &device->units[u];
        size_t n = split_end(&job, unit) - split_begin(&job, unit);
        if (n > job.n_splits) job.n_splits = n;
        if (unit->n_tokens > n_tokens_max) n_tokens_max = unit->n_tokens;
    }
    size_t n_tasks = device->n_units * job.n_splits;
    if (job.n_splits > 1 && n_tokens_max == 1 && n_tasks * group <= device->n_split_states &&
        device->n_units < 4 * (size_t)threadpool_n_threads(device->pool)) {
        size_t grain = n_tasks / (4 * (size_t)threadpool_n_threads(device->pool));
        parallel_for(device->pool, n_tasks, grain, split_task, &job);
        parallel_for(device->pool, device->n_units, 1, merge_task, &job);
    } else {
        parallel_for(device->pool, device->n_units, 1, unit_task, &job);
    }
}
