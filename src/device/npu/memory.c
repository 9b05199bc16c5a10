/* memory.c - device memory, pinned host memory, the buffers and the pages of keys and values.
 *
 * Large blocks come from CANN one by one; small ones (biases, norms) from blocks of 2 MB, each with
 * the 32 bytes behind it that operators may read. Everything is released with the device. */
#include "base/buf.h"
#include "base/lang.h"
#include "device/npu/npu.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES = 2 << 20, SMALL_BYTES = 256 << 10, TAIL_BYTES = 32 };

struct npu_allocation {
    struct npu_allocation *next;
    void *memory;
    bool host;
};

static void *keep(struct npu_device *device, void *memory, bool host)
{
    struct npu_allocation *allocation = array_new(1, sizeof *allocation);
    if (!allocation) {
        if (host) device->cann->aclrtFreeHost(memory);
        else device->cann->aclrtFree(memory);
        device->status = fail_memory(&device->err, sizeof *allocation, "the list of allocations");
        return NULL;
    }
    *allocation = (struct npu_allocation){device->allocations, memory, host};
    device->allocations = allocation;
    return memory;
}

void npu_memory(struct npu_device *device, size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = *total_bytes = 0;
    device->cann->aclrtGetMemInfo(ACL_HBM_MEM, free_bytes, total_bytes);
}

static void *allocate(struct npu_device *device, size_t n_bytes, const char *what)
{
    void *memory = NULL;
    int code = device->cann->aclrtMalloc(&memory, n_bytes, ACL_MEM_MALLOC_HUGE_FIRST);
    device->counters.n_allocations++;
    if (code == ACL_SUCCESS) return keep(device, memory, false);
    if (code != ACL_ERROR_RT_MEMORY_ALLOCATION && code != ACL_ERROR_RT_DEVICE_OOM) {
        npu_check(device, code, "aclrtMalloc");
        return NULL;
    }
    size_t free_bytes, total_bytes;
    npu_memory(device, &free_bytes, &total_bytes);
    device->status = fail(
        &device->err, VINCI_NO_MEMORY,
        "%s: out of memory: %.2f GB are needed for %s, %.2f of %.2f GB are free; --dtype compact, "
        "a smaller --ctx or fewer sequences need less, and `npu-smi info` shows who has the rest",
        device->base.name, (double)n_bytes * 1e-9, what, (double)free_bytes * 1e-9,
        (double)total_bytes * 1e-9);
    return NULL;
}

void *npu_alloc_block(struct npu_device *device, size_t n_bytes, const char *what)
{
    if (device->status != VINCI_OK) return NULL;
    return allocate(device, round_up(n_bytes ? n_bytes : 1, TAIL_BYTES) + TAIL_BYTES, what);
}

void *npu_alloc(struct npu_device *device, size_t n_bytes, const char *what)
{
    if (n_bytes > SMALL_BYTES) return npu_alloc_block(device, n_bytes, what);
    if (device->status != VINCI_OK) return NULL;
    n_bytes = round_up(round_up(n_bytes ? n_bytes : 1, TAIL_BYTES) + TAIL_BYTES, NPU_ALIGN);
    if (n_bytes > device->arena_left) {
        device->arena = allocate(device, ARENA_BYTES, what);
        device->arena_left = device->arena ? ARENA_BYTES : 0;
        if (!device->arena) return NULL;
    }
    void *memory = device->arena;
    device->arena += n_bytes;
    device->arena_left -= n_bytes;
    return memory;
}

void *npu_pinned(struct npu_device *device, size_t n_bytes)
{
    void *memory = NULL;
    if (device->status != VINCI_OK) return NULL;
    int code = device->cann->aclrtMallocHost(&memory, n_bytes ? n_bytes : 1);
    if (code == ACL_ERROR_RT_MEMORY_ALLOCATION)
        device->status = fail(&device->err, VINCI_NO_MEMORY,
                              "%s: the host has no %.3f GB of memory that the device can copy from "
                              "(aclrtMallocHost, error %d): end other programs, or give the "
                              "container more memory",
                              device->base.name, (double)n_bytes * 1e-9, code);
    else npu_check(device, code, "aclrtMallocHost");
    return memory ? keep(device, memory, true) : NULL;
}

static void free_allocation(struct npu_device *device, struct npu_allocation *allocation)
{
    if (allocation->host) device->cann->aclrtFreeHost(allocation->memory);
    else device->cann->aclrtFree(allocation->memory);
    free(allocation);
}

void npu_release(struct npu_device *device, void *memory)
{
    for (struct npu_allocation **at = &device->allocations; memory && *at; at = &(*at)->next) {
        struct npu_allocation *allocation = *at;
        if (allocation->memory != memory) continue;
        *at = allocation->next;
        free_allocation(device, allocation);
        return;
    }
}

void npu_release_all(struct npu_device *device)
{
    while (device->allocations) {
        struct npu_allocation *next = device->allocations->next;
        free_allocation(device, device->allocations);
        device->allocations = next;
    }
}

void npu_clear(struct npu_device *device, void *memory, size_t n_bytes)
{
    if (device->status == VINCI_OK)
        npu_check(device,
                  device->cann->aclrtMemsetAsync(memory, n_bytes, 0, n_bytes, device->stream),
                  "aclrtMemsetAsync");
}

void npu_sync(struct npu_device *device)
{
    if (device->base.lost) return;
    device->counters.n_syncs++;
    npu_check(device, device->cann->aclrtSynchronizeStream(device->stream),
              "aclrtSynchronizeStream");
}

/* ---- buffers ------------------------------------------------------------------------------- */

enum vinci_status npu_buffer_create(struct device *base, struct device_buffer **out, size_t n,
                                    struct vinci_error *err)
{
    struct npu_device *device = npu_device_of(base);
    *out = NULL;
    struct device_buffer *buffer = array_new_zero(1, sizeof *buffer);
    if (!buffer) return fail_memory(err, sizeof *buffer, "a buffer");
    device->cann->aclrtSetCurrentContext(device->context);
    buffer->n = n;
    buffer->f32 = npu_alloc(device, n * sizeof(float), _("the activations of a step"));
    buffer->act = npu_alloc(device, n * 2, _("the activations of a step"));
    if (device->status != VINCI_OK) {
        if (err) *err = device->err;
        free(buffer); /* its memory goes with the device */
        return device->status;
    }
    base->scratch_bytes += n * 6;
    *out = buffer;
    return VINCI_OK;
}

void npu_buffer_destroy(struct device *base, struct device_buffer *buffer)
{
    (void)base;
    free(buffer);
}

const void *npu_fetch(struct npu_device *device, const void *memory, size_t n_bytes)
{
    npu_graph_finish(device);
    if (device->status != VINCI_OK) return NULL;
    npu_check(device,
              device->cann->aclrtMemcpyAsync(device->read_host, n_bytes, memory, n_bytes,
                                             ACL_MEMCPY_DEVICE_TO_HOST, device->stream),
              "aclrtMemcpyAsync");
    device->counters.n_copies++;
    device->counters.bytes_down += n_bytes;
    npu_sync(device);
    return device->status == VINCI_OK ? device->read_host : NULL;
}

void npu_buffer_read(struct device *base, const struct device_buffer *buffer, size_t first,
                     size_t n, float *out)
{
    struct npu_device *device = npu_device_of(base);
    aclDataType dtype = buffer->read_act ? device->act : ACL_FLOAT;
    size_t size = npu_dtype_bytes(dtype), piece = device->read_bytes / size;
    const uint8_t *data = buffer->read_act ? buffer->act : (const uint8_t *)buffer->f32;
    for (size_t i = 0; i < n && device->status == VINCI_OK; i += piece) {
        size_t n_now = n - i < piece ? n - i : piece;
        const void *host = npu_fetch(device, data + (first + i) * size, n_now * size);
        if (host) npu_to_float(dtype, host, n_now, out + i);
    }
}

/* ---- keys and values ----------------------------------------------------------------------- */

size_t npu_kv_page_bytes(const struct device *device, uint32_t n_layers, enum vinci_kv_type type)
{
    const struct model_config *config = ((const struct npu_device *)device)->config;
    (void)type; /* as it computes: two bytes, K and V */
    return (size_t)2 * 2 * NPU_PAGE * config->n_kv_heads * config->head_dim * n_layers;
}

enum vinci_status npu_kv_pool_create(struct device *base, struct kv_pool **out, uint32_t n_layers,
                                     size_t n_pages_min, size_t *n_pages, enum vinci_kv_type type,
                                     struct vinci_error *err)
{
    struct npu_device *device = npu_device_of(base);
    const struct model_config *config = device->config;
    (void)type; /* as it computes */
    *out = NULL;
    device->cann->aclrtSetCurrentContext(device->context);
    struct kv_pool *pool = array_new_zero(1, sizeof *pool);
    if (!pool) return fail_memory(err, sizeof *pool, "the KV cache");
    size_t page = (size_t)NPU_PAGE * config->n_kv_heads * config->head_dim * 2;
    size_t free_bytes, total_bytes, all_layers = 2 * page * (n_layers ? n_layers : 1);
    npu_memory(device, &free_bytes, &total_bytes);
    size_t room =
        free_bytes > NPU_RESERVE_BYTES ? (free_bytes - NPU_RESERVE_BYTES) / all_layers : 0;
    room = room > PAGES_BEFORE ? room - PAGES_BEFORE : 0;
    if (*n_pages > room && room >= n_pages_min) {
        log_message(&device->log, VINCI_LOG_INFO,
                    _("%s: memory for %zu pages of %d positions in the KV cache, not %zu"),
                    base->name, room, NPU_PAGE, *n_pages);
        *n_pages = room;
    } else if (*n_pages > room) {
        *n_pages = n_pages_min; /* fails, and says so, if this is too much */
    }
    pool->n_layers = n_layers;
    pool->n_pages = PAGES_BEFORE + *n_pages;
    pool->layer_bytes = pool->n_pages * page;
    size_t n_bytes = n_layers * pool->layer_bytes;
    pool->k = npu_alloc_block(device, n_bytes, _("the KV cache"));
    pool->v = npu_alloc_block(device, n_bytes, _("the KV cache"));
    /* Masked positions are multiplied with zero: what is there must be a number. */
    if (pool->v && n_bytes > 0) { /* a model may have no layer of a kind */
        npu_clear(device, pool->k, n_bytes);
        npu_clear(device, pool->v, n_bytes);
        npu_sync(device);
    }
    if (device->status != VINCI_OK) {
        if (err) *err = device->err;
        free(pool); /* its memory goes with the device */
        return device->status;
    }
    *out = pool;
    return VINCI_OK;
}

void npu_kv_pool_destroy(struct device *base, struct kv_pool *pool)
{
    if (!pool) return;
    struct npu_device *device = npu_device_of(base);
    if (device->base.lost) { /* nobody waited for it: its memory goes with it */
        free(pool);
        return;
    }
    device->cann->aclrtSetCurrentContext(device->context);
    device->cann->aclrtSynchronizeStream(device->stream); /* a step may still be under way */
    npu_release(device, pool->k);
    npu_release(device, pool->v);
    free(pool);
}

void npu_kv_page_copy(struct device *base, struct kv_pool *pool, int32_t to, int32_t from)
{
    struct npu_device *device = npu_device_of(base);
    device->cann->aclrtSetCurrentContext(device->context);
    size_t page = pool->layer_bytes / pool->n_pages;
    for (uint32_t layer = 0; layer < 2 * pool->n_layers; layer++) {
        uint8_t *data = (layer % 2 ? pool->v : pool->k) + layer / 2 * pool->layer_bytes;
        if (device->status == VINCI_OK && !device->base.lost)
            npu_check(
                device,
                device->cann->aclrtMemcpyAsync(data + (size_t)(to + PAGES_BEFORE) * page, page,
                                               data + (size_t)(from + PAGES_BEFORE) * page, page,
                                               ACL_MEMCPY_DEVICE_TO_DEVICE, device->stream),
                "aclrtMemcpyAsync");
    }
}
