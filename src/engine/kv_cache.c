/* kv_cache.c - full and sliding-window layers: append, rewind, checkpoints, shared pages. */
#include "engine/kv_cache.h"

#include "base/buf.h"

#include <stdlib.h>

enum { CHECKPOINTS_A_SEQ = 8 /* what the window pool has room for, beside the sequence itself */ };

uint32_t kv_pages_for(const struct kv_cache *cache, uint32_t n_positions)
{
    return n_positions / cache->page + (n_positions % cache->page != 0);
}

uint32_t kv_first_window_page(const struct kv_cache *cache, uint32_t position)
{
    uint32_t seen = cache->sliding_window - 1; /* before the token's own position */
    return position > seen ? (position - seen) / cache->page : 0;
}

/* ---- pools --------------------------------------------------------------------------------- */

static void pool_free(struct page_pool *pool, struct device *device)
{
    device->ops->kv_pool_destroy(device, pool->kv);
    free(pool->free_pages);
    free(pool->refs);
}

static enum vinci_status pool_init(struct page_pool *pool, struct device *device, uint32_t n_layers,
                                   uint64_t n_pages_min, uint64_t n_pages_wanted,
                                   enum vinci_kv_type type, struct vinci_error *err)
{
    if (n_pages_wanted > INT32_MAX)
        return fail(err, VINCI_LIMIT, "the KV cache would need %llu pages; use a smaller context",
                    (unsigned long long)n_pages_wanted);
    size_t n_pages = n_pages_wanted;
    enum vinci_status status =
        device->ops->kv_pool_create(device, &pool->kv, n_layers, n_pages_min, &n_pages, type, err);
    if (status != VINCI_OK) return status;
    pool->n_pages = pool->n_free = (uint32_t)n_pages;
    pool->free_pages = array_new(n_pages, sizeof *pool->free_pages);
    pool->refs = array_new_zero(n_pages, sizeof *pool->refs);
    if (!pool->free_pages || !pool->refs)
        return fail_memory(err, n_pages * 2 * sizeof(int32_t), "the KV cache's page table");
    for (uint32_t i = 0; i < pool->n_pages; i++)
        pool->free_pages[i] = (int32_t)(pool->n_pages - 1 - i);
    return VINCI_OK;
}

int32_t kv_page_take(struct page_pool *pool)
{
    int32_t page = pool->free_pages[--pool->n_free];
    pool->refs[page] = 1;
    return page;
}

void kv_page_release(struct page_pool *pool, int32_t *page)
{
    if (*page < 0) return;
    if (--pool->refs[*page] == 0) pool->free_pages[pool->n_free++] = *page;
    *page = -1;
}

int32_t kv_page_share(struct page_pool *pool, int32_t page)
{
    pool->refs[page]++;
    return page;
}

/* How many pages of either kind: those wanted, or fewer (more full ones, if there is room for them)
 * within max_bytes, but not less than one sequence needs. */
static enum vinci_status limit_pages(uint64_t max_bytes, uint64_t full_bytes, uint64_t window_bytes,
                                     const uint64_t least[2], uint64_t wanted[2],
                                     struct vinci_error *err)
{
    uint64_t least_bytes = least[0] * full_bytes + least[1] * window_bytes;
    if (max_bytes < least_bytes)
        return fail(err, VINCI_LIMIT,
                    "memory for keys and values: one sequence needs %llu bytes, %llu are allowed; "
                    "allow more or use a smaller context",
                    (unsigned long long)least_bytes, (unsigned long long)max_bytes);
    uint64_t left = max_bytes - least_bytes, more = wanted[1] - least[1];
    if (window_bytes && more > left / 2 / window_bytes) more = left / 2 / window_bytes;
    wanted[1] = least[1] + more;
    if (full_bytes) wanted[0] = least[0] + (left - more * window_bytes) / full_bytes;
    return VINCI_OK;
}

enum vinci_status kv_cache_create(struct kv_cache **out, struct device *device,
                                  const struct model_config *config, enum vinci_kv_type type,
                                  const struct device_limits *limits, uint64_t max_bytes,
                                  struct vinci_error *err)
{
    *out = NULL;
    struct kv_cache *cache = array_new_zero(1, sizeof *cache);
    if (!cache) return fail_memory(err, sizeof *cache, "the KV cache");
    cache->device = device;
    cache->sliding_window = config->sliding_window;
    cache->n_ctx = limits->n_ctx;
    cache->page = device->kv_page;

    uint32_t n_window_layers = 0;
    for (uint32_t i = 0; i < config->n_layers; i++) n_window_layers += config->layer_is_sliding[i];
    uint64_t a_seq = kv_pages_for(cache, limits->n_ctx), n_seqs = limits->n_seqs;
    uint64_t window = kv_pages_for(cache, config->sliding_window) + 1;
    uint64_t a_seq_window = window + kv_pages_for(cache, limits->n_batch) + 1;
    if (a_seq_window > a_seq) a_seq_window = a_seq;
    uint64_t wanted[] = {n_seqs * (a_seq + 1),
                         n_seqs * (a_seq_window + CHECKPOINTS_A_SEQ * window)};
    uint64_t least[] = {a_seq + 1, a_seq_window + CHECKPOINTS_A_SEQ * window};
    uint32_t n_full_layers = config->n_layers - n_window_layers;
    cache->full.page_bytes = device->ops->kv_page_bytes(device, n_full_layers, type);
    cache->window.page_bytes = device->ops->kv_page_bytes(device, n_window_layers, type);
    enum vinci_status status = VINCI_OK;
    if (max_bytes)
        status = limit_pages(max_bytes, cache->full.page_bytes, cache->window.page_bytes, least,
                             wanted, err);
    /* The window pool first: it is small, and the full one takes what a device has left. */
    if (status == VINCI_OK)
        status =
            pool_init(&cache->window, device, n_window_layers, wanted[1], wanted[1], type, err);
    if (status == VINCI_OK)
        status = pool_init(&cache->full, device, n_full_layers, least[0], wanted[0], type, err);
    cache->n_bytes_max = kv_pages_bytes(cache, cache->full.n_pages, cache->window.n_pages);
    if (status != VINCI_OK) {
        kv_cache_destroy(cache);
        return status;
    }
    *out = cache;
    return VINCI_OK;
}

void kv_cache_destroy(struct kv_cache *cache)
{
    if (!cache) return;
    pool_free(&cache->full, cache->device);
    pool_free(&cache->window, cache->device);
    free(cache);
}

uint64_t kv_pages_bytes(const struct kv_cache *cache, uint64_t n_full, uint64_t n_window)
{
    return n_full * cache->full.page_bytes + n_window * cache->window.page_bytes;
}

uint64_t kv_cache_bytes(const struct kv_cache *cache)
{
    return kv_pages_bytes(cache, cache->full.n_pages - cache->full.n_free,
                          cache->window.n_pages - cache->window.n_free);
}

/* ---- sequences ----------------------------------------------------------------------------- */

enum vinci_status kv_seq_create(struct kv_seq **out, const struct kv_cache *cache,
                                struct vinci_error *err)
{
    size_t n = kv_pages_for(cache, cache->n_ctx);
    *out = NULL;
    struct kv_seq *seq = array_new_zero(1, sizeof *seq);
    if (!seq) return fail_memory(err, sizeof *seq, "a sequence");
    seq->full_pages = array_new(n, sizeof(int32_t));
    seq->window_pages = array_new(n, sizeof(int32_t));
    if (!seq->full_pages || !seq->window_pages) {
        free(seq->full_pages);
        free(seq->window_pages);
        free(seq);
        return fail_memory(err, 2 * n * sizeof(int32_t), "a sequence's page table");
    }
    for (size_t i = 0; i < n; i++) seq->full_pages[i] = seq->window_pages[i] = -1;
    *out = seq;
    return VINCI_OK;
}

static void drop_pages(struct kv_seq *seq, struct kv_cache *cache, uint32_t n_kept)
{
    while (seq->n_pages > n_kept) {
        seq->n_pages--;
        kv_page_release(&cache->full, &seq->full_pages[seq->n_pages]);
        kv_page_release(&cache->window, &seq->window_pages[seq->n_pages]);
    }
    if (seq->window_first > seq->n_pages) seq->window_first = seq->n_pages;
}

void kv_seq_destroy(struct kv_seq *seq, struct kv_cache *cache)
{
    if (!seq) return;
    drop_pages(seq, cache, 0);
    free(seq->full_pages);
    free(seq->window_pages);
    free(seq);
}

/* The page that is written next must be the sequence's own. */
static bool own_page(struct page_pool *pool, struct device *device, int32_t *page)
{
    if (*page < 0 || pool->refs[*page] == 1) return true;
    if (pool->n_free == 0) return false;
    int32_t copy = kv_page_take(pool);
    device->ops->kv_page_copy(device, pool->kv, copy, *page);
    kv_page_release(pool, page);
    *page = copy;
    return true;
}

enum vinci_status kv_seq_reserve(struct kv_seq *seq, struct kv_cache *cache, uint32_t n,
                                 struct vinci_error *err)
{
    if (n > cache->n_ctx - seq->n_positions)
        return fail(err, VINCI_LIMIT,
                    "the context is full: %u positions of %u are used, %u more were asked for",
                    seq->n_positions, cache->n_ctx, n);
    kv_seq_trim(seq, cache);
    uint32_t n_pages = kv_pages_for(cache, seq->n_positions + n), first_new = seq->n_pages;
    if (seq->n_positions % cache->page != 0) {
        uint32_t last = seq->n_positions / cache->page;
        if (!own_page(&cache->full, cache->device, &seq->full_pages[last]) ||
            !own_page(&cache->window, cache->device, &seq->window_pages[last]))
            goto used_up;
    }
    while (seq->n_pages < n_pages) {
        if (cache->full.n_free == 0 || cache->window.n_free == 0) goto used_up;
        seq->full_pages[seq->n_pages] = kv_page_take(&cache->full);
        seq->window_pages[seq->n_pages] = kv_page_take(&cache->window);
        seq->n_pages++;
    }
    uint64_t n_bytes = kv_cache_bytes(cache);
    if (n_bytes > cache->n_bytes_peak) cache->n_bytes_peak = n_bytes;
    return VINCI_OK;
used_up:
    drop_pages(seq, cache, first_new);
    return fail(err, VINCI_NO_MEMORY,
                "the KV cache is used up: %u of %u pages for full layers and %u of %u for window "
                "layers are taken; close a session or allow fewer",
                cache->full.n_pages - cache->full.n_free, cache->full.n_pages,
                cache->window.n_pages - cache->window.n_free, cache->window.n_pages);
}

void kv_seq_advance(struct kv_seq *seq, uint32_t n)
{
    seq->n_positions += n;
}

void kv_seq_trim(struct kv_seq *seq, struct kv_cache *cache)
{
    uint32_t first = kv_first_window_page(cache, seq->n_positions);
    for (; seq->window_first < first && seq->window_first < seq->n_pages; seq->window_first++)
        kv_page_release(&cache->window, &seq->window_pages[seq->window_first]);
}

void kv_seq_begin(struct kv_seq *seq, struct kv_cache *cache, uint32_t n,
                  const int32_t *window_pages, uint32_t n_window)
{
    seq->n_positions = n;
    seq->n_pages = kv_pages_for(cache, n);
    seq->window_first = seq->n_pages - n_window;
    for (uint32_t i = 0; i < n_window; i++)
        seq->window_pages[seq->window_first + i] = kv_page_share(&cache->window, window_pages[i]);
}

bool kv_seq_can_rewind(const struct kv_seq *seq, const struct kv_cache *cache, uint32_t n)
{
    return n <= seq->n_positions && (n == 0 || kv_first_window_page(cache, n) >= seq->window_first);
}

void kv_seq_rewind(struct kv_seq *seq, struct kv_cache *cache, uint32_t n)
{
    seq->n_positions = n;
    drop_pages(seq, cache, kv_pages_for(cache, n));
    if (n == 0) seq->window_first = 0;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

enum vinci_status kv_checkpoint_take(struct kv_checkpoint *checkpoint, const struct kv_seq *seq,
                                     struct kv_cache *cache, struct vinci_error *err)
{
    uint32_t first = kv_first_window_page(cache, seq->n_positions);
    uint32_t n = kv_pages_for(cache, seq->n_positions) - first;
    int32_t *pages = array_new(n, sizeof *pages);
    if (!pages) return fail_memory(err, n * sizeof *pages, "a checkpoint");
    for (uint32_t i = 0; i < n; i++) {
        pages[i] = seq->window_pages[first + i];
        cache->window.refs[pages[i]]++;
    }
    kv_checkpoint_drop(checkpoint, cache);
    *checkpoint = (struct kv_checkpoint){seq->n_positions, first, n, pages};
    return VINCI_OK;
}

void kv_seq_restore(struct kv_seq *seq, struct kv_cache *cache,
                    const struct kv_checkpoint *checkpoint)
{
    kv_seq_rewind(seq, cache, checkpoint->n_positions);
    for (uint32_t i = 0; i < seq->n_pages; i++)
        kv_page_release(&cache->window, &seq->window_pages[i]);
    for (uint32_t i = 0; i < checkpoint->n; i++) {
        seq->window_pages[checkpoint->first + i] = checkpoint->pages[i];
        cache->window.refs[checkpoint->pages[i]]++;
    }
    seq->window_first = checkpoint->first;
}

void kv_checkpoint_drop(struct kv_checkpoint *checkpoint, struct kv_cache *cache)
{
    for (uint32_t i = 0; i < checkpoint->n; i++)
        kv_page_release(&cache->window, &checkpoint->pages[i]);
    free(checkpoint->pages);
    *checkpoint = (struct kv_checkpoint){0};
}
