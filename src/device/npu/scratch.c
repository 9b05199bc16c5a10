/* scratch.c - step memory beside the buffers of forward.c, sized once from the limits and from the
 * operators that this CANN has; and the few tables that never change. */
#include "base/buf.h"
#include "base/lang.h"
#include "device/npu/npu.h"

#include <stdlib.h>

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void *keep(struct npu_device *device, size_t n, size_t size)
{
    device->base.scratch_bytes += n * size;
    return npu_alloc(device, n * size, _("the activations of a step"));
}

static void upload(struct npu_device *device, void *to, const void *from, size_t n_bytes)
{
    if (device->status == VINCI_OK)
        npu_check(device,
                  device->cann->aclrtMemcpy(to, n_bytes, from, n_bytes, ACL_MEMCPY_HOST_TO_DEVICE),
                  "aclrtMemcpy");
}

/* i / divisor for i < n */
static int64_t *numbers(struct npu_device *device, size_t n, size_t divisor)
{
    int64_t *host = array_new(n, sizeof *host), *memory = keep(device, n, sizeof *host);
    if (!host) device->status = fail_memory(&device->err, n * sizeof *host, "a table");
    for (size_t i = 0; host && i < n; i++) host[i] = (int64_t)(i / divisor);
    if (host && memory) upload(device, memory, host, n * sizeof *host);
    free(host);
    return memory;
}

/* (i + first) * scale for i < n */
static float *numbers32(struct npu_device *device, size_t n, float first, float scale)
{
    float *host = array_new(n, sizeof *host), *memory = keep(device, n, sizeof *host);
    if (!host) device->status = fail_memory(&device->err, n * sizeof *host, "a table");
    for (size_t i = 0; host && i < n; i++) host[i] = ((float)i + first) * scale;
    if (host && memory) upload(device, memory, host, n * sizeof *host);
    free(host);
    return memory;
}

/* The compressed mask of fused attention: ones above the diagonal. */
static void create_causal_mask(struct npu_device *device)
{
    size_t n = NPU_MASK_SIDE;
    uint8_t *host = array_new(n * n, 1);
    device->causal_mask = npu_alloc(device, n * n, _("a mask"));
    if (!host) device->status = fail_memory(&device->err, n * n, "a mask");
    for (size_t i = 0; host && i < n; i++)
        for (size_t j = 0; j < n; j++) host[i * n + j] = j > i;
    upload(device, device->causal_mask, host, n * n);
    free(host);
}

static void create_attention(struct npu_device *device, struct npu_scratch *s)
{
    const struct model_config *config = device->config;
    size_t n = device->limits.n_batch, kv = (size_t)config->n_kv_heads * config->head_dim;
    size_t heads = n * config->n_heads * config->head_dim;
    size_t full = round_up(device->limits.n_ctx, NPU_PAGE) + NPU_PAGE;
    size_t window = round_up(config->sliding_window + n, NPU_PAGE) + 3 * NPU_PAGE;
    s->n_keys = max_size(max_size(full, window), 1 << 14);
    s->n_scores = max_size(config->n_heads * max_size(full, window), 1 << 22);
    s->mask[FULL] = keep(device, n * full, sizeof(float));
    s->mask[WINDOW] = keep(device, n * window, sizeof(float));
    s->columns = numbers32(device, max_size(full, window), 0, NPU_FAR);
    s->columns_seen = numbers32(device, window, (float)config->sliding_window - .5f, NPU_FAR);
    s->gathered = keep(device, s->n_keys * kv, 2);
    s->permuted = keep(device, s->n_keys * kv, 2);
    s->k32 = keep(device, s->n_keys * kv, sizeof(float));
    s->v32 = keep(device, s->n_keys * kv, sizeof(float));
    s->scores = keep(device, s->n_scores, sizeof(float));
    s->probs = keep(device, s->n_scores, sizeof(float));
    s->q_permuted = keep(device, heads, 2);
    s->q32 = keep(device, heads, sizeof(float));
    s->q_scaled = keep(device, heads, sizeof(float));
    s->out32 = keep(device, heads, sizeof(float));
}

static void create_experts(struct npu_device *device, struct npu_scratch *s)
{
    const struct model_config *config = device->config;
    size_t n = device->limits.n_batch, k = config->n_experts_used, pairs = n * k;
    size_t n_experts = config->n_experts, inner = config->n_intermediate;
    s->weights = keep(device, pairs, sizeof(float));
    s->top = keep(device, pairs, sizeof(float));
    s->chosen = keep(device, pairs, sizeof(int32_t));
    s->chosen64 = keep(device, pairs, sizeof(int64_t));
    s->pair_rows = keep(device, pairs, sizeof(int32_t));
    s->ends32 = keep(device, n_experts, sizeof(int32_t));
    s->ends = keep(device, n_experts, sizeof(int64_t));
    s->x = keep(device, pairs * config->n_hidden, 2);
    if (device->compact) s->x2 = keep(device, pairs * 2 * max_size(config->n_hidden, inner), 2);
    s->gate_up = keep(device, pairs * 2 * inner, 2);
    s->hidden = keep(device, pairs * inner, 2);
    s->down = keep(device, pairs * config->n_hidden, 2);
    if (!device->use_swiglu) {
        s->gate_up32 = keep(device, pairs * 2 * inner, sizeof(float));
        s->gate = keep(device, pairs * inner, sizeof(float));
        s->up = keep(device, pairs * inner, sizeof(float));
        s->swish = keep(device, pairs * inner, sizeof(float));
    }
    if (!device->use_routing) {
        s->order = keep(device, pairs, sizeof(int64_t));
        s->order2 = keep(device, pairs, sizeof(int64_t));
        s->tokens = keep(device, pairs, sizeof(int64_t));
        s->experts32 = keep(device, pairs, sizeof(float));
        s->counting = keep(device, 2 * pairs * n_experts, sizeof(float));
        s->counts32 = keep(device, n_experts, sizeof(float));
        s->pair_tokens = numbers(device, pairs, k);
        s->numbers32 = numbers32(device, n_experts, 1, 1);
        s->down32 = keep(device, pairs * config->n_hidden, sizeof(float));
        s->sum32 = keep(device, n * config->n_hidden, sizeof(float));
    }
}

void npu_scratch_create(struct npu_device *device)
{
    const struct model_config *config = device->config;
    size_t n = device->limits.n_batch;
    struct npu_scratch *s = device->scratch = array_new_zero(1, sizeof *s);
    if (!s) {
        device->status = fail_memory(&device->err, sizeof *s, "the device");
        return;
    }
    s->rstd = keep(device, max_size(n, device->base.output_rows), sizeof(float));
    s->norm = keep(device, (size_t)device->base.output_rows * config->n_hidden, sizeof(float));
    s->y = keep(device, n * config->n_hidden, 2);
    s->q = keep(device, n * config->n_heads * config->head_dim, 2);
    s->k = keep(device, n * config->n_kv_heads * config->head_dim, 2);
    if (!device->use_rope_cache) s->rope = keep(device, n * config->n_heads * config->head_dim, 2);
    s->numbers = numbers(device, n, 1);
    s->best = keep(device, device->base.output_rows, sizeof *s->best);
    create_attention(device, s);
    create_experts(device, s);
    if (device->use_fused_attention) create_causal_mask(device);
}
