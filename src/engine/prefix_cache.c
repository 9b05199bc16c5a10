/* prefix_cache.c - a tree of prefixes over shared pages. */
#include "engine/prefix_cache.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

enum vinci_status prefix_cache_create(struct prefix_cache **out, struct kv_cache *kv,
                                      uint64_t max_bytes, struct vinci_error *err)
{
    *out = NULL;
    struct prefix_cache *cache = array_new_zero(1, sizeof *cache);
    if (!cache) return fail_memory(err, sizeof *cache, "the prefix cache");
    cache->kv = kv;
    cache->max_bytes = max_bytes;
    *out = cache;
    return VINCI_OK;
}

void prefix_cache_destroy(struct prefix_cache *cache)
{
    if (!cache) return;
    while (prefix_cache_evict(cache)) {}
    free(cache);
}

/* ---- use ----------------------------------------------------------------------------------- */

static void take_out(struct prefix_cache *cache, struct prefix_node *node)
{
    *(node->older ? &node->older->newer : &cache->oldest) = node->newer;
    *(node->newer ? &node->newer->older : &cache->newest) = node->older;
}

static void put_newest(struct prefix_cache *cache, struct prefix_node *node)
{
    node->older = cache->newest;
    node->newer = NULL;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = node;
    cache->newest = node;
}

/* Ancestors were used as well, and are newer: leaves go before what they build on. */
static void touch(struct prefix_cache *cache, struct prefix_node *node)
{
    for (; node->parent; node = node->parent) {
        take_out(cache, node);
        put_newest(cache, node);
    }
}

/* ---- finding ------------------------------------------------------------------------------- */

/* The longest node below `node` (itself included) that the tokens begin with. Children of one node
 * may be prefixes of each other, so all that match are followed; the depth is that of the tree. */
static struct prefix_node *find(struct prefix_node *root, const int32_t *tokens, size_t n_max)
{
    struct prefix_node *best = root, *node = root->child;
    while (node && node != root) {
        const struct prefix_node *parent = node->parent;
        size_t n = node->n - parent->n;
        bool same =
            node->n <= n_max && memcmp(tokens + parent->n, node->tokens, n * sizeof *tokens) == 0;
        if (same && node->n > best->n) best = node;
        if (same && node->child) {
            node = node->child;
            continue;
        }
        while (node != root && !node->sibling) node = node->parent;
        if (node != root) node = node->sibling;
    }
    return best;
}

const struct prefix_node *prefix_cache_find(struct prefix_cache *cache, const int32_t *tokens,
                                            size_t n_max, size_t *n)
{
    struct prefix_node *node = find(&cache->root, tokens, n_max);
    touch(cache, node);
    *n = node->n;
    return node->parent ? node : NULL;
}

void prefix_cache_restore(struct prefix_cache *cache, const struct prefix_node *node,
                          struct kv_seq *seq)
{
    struct kv_cache *kv = cache->kv;
    kv_seq_begin(seq, kv, node->n, node->pages + node->n_full, node->n_window);
    for (; node->parent; node = node->parent) { /* a deeper node's page holds more positions */
        uint32_t first = node->parent->n / kv->page;
        for (uint32_t i = 0; i < node->n_full; i++)
            if (seq->full_pages[first + i] < 0)
                seq->full_pages[first + i] = kv_page_share(&kv->full, node->pages[i]);
    }
}

/* ---- adding -------------------------------------------------------------------------------- */

static uint64_t node_bytes(const struct prefix_cache *cache, const struct prefix_node *node)
{
    return kv_pages_bytes(cache->kv, node->n_full, node->n_window);
}

static void free_node(struct prefix_node *node)
{
    if (!node) return;
    free(node->tokens);
    free(node->pages);
    free(node);
}

/* With room for its pages; NULL when it is too large or memory is short. */
static struct prefix_node *new_node(struct prefix_cache *cache, const struct prefix_node *parent,
                                    const int32_t *tokens, uint32_t n)
{
    const struct kv_cache *kv = cache->kv;
    struct prefix_node *node = array_new_zero(1, sizeof *node);
    if (!node) return NULL;
    uint32_t n_pages = kv_pages_for(kv, n);
    node->n = n;
    node->n_full = n_pages - parent->n / kv->page;
    node->n_window = n_pages - kv_first_window_page(kv, n);
    node->tokens = array_new(n - parent->n, sizeof *tokens);
    node->pages = array_new((size_t)node->n_full + node->n_window, sizeof *node->pages);
    if (!node->tokens || !node->pages || node_bytes(cache, node) > cache->max_bytes) {
        free_node(node);
        return NULL;
    }
    memcpy(node->tokens, tokens, (n - parent->n) * sizeof *tokens);
    return node;
}

static void hang(struct prefix_cache *cache, struct prefix_node *parent, struct prefix_node *node)
{
    node->parent = parent;
    node->sibling = parent->child;
    parent->child = node;
    cache->n_nodes++;
    cache->n_bytes += node_bytes(cache, node);
}

struct prefix_node *prefix_cache_put(struct prefix_cache *cache, struct prefix_node *parent,
                                     const int32_t *tokens, uint32_t n)
{
    struct kv_cache *kv = cache->kv;
    if (!parent) parent = &cache->root;
    for (const struct prefix_node *child = parent->child; child; child = child->sibling)
        if (child->n == n && memcmp(child->tokens, tokens, (n - parent->n) * sizeof *tokens) == 0)
            return NULL;
    if (n > kv->n_ctx || cache->n_nodes == PREFIX_NODES_MAX) return NULL;
    struct prefix_node *node = new_node(cache, parent, tokens, n);
    if (!node) return NULL;
    if (cache->n_bytes + node_bytes(cache, node) > cache->max_bytes ||
        kv->full.n_free < node->n_full || kv->window.n_free < node->n_window) {
        free_node(node);
        return NULL;
    }
    for (uint32_t i = 0; i < node->n_full + node->n_window; i++)
        node->pages[i] = kv_page_take(i < node->n_full ? &kv->full : &kv->window);
    node->newer = cache->oldest;
    *(cache->oldest ? &cache->oldest->older : &cache->newest) = node;
    cache->oldest = node;
    hang(cache, parent, node);
    return node;
}

void prefix_cache_add(struct prefix_cache *cache, const struct kv_seq *seq, const int32_t *tokens,
                      size_t n)
{
    struct kv_cache *kv = cache->kv;
    struct prefix_node *parent = find(&cache->root, tokens, n), *node = NULL;
    touch(cache, parent);
    if (parent->n == n || cache->n_nodes == PREFIX_NODES_MAX) return;
    uint32_t first_full = parent->n / kv->page;
    uint32_t first_window = kv_first_window_page(kv, (uint32_t)n);
    if (first_window < seq->window_first || n > seq->n_positions) return;
    if (!(node = new_node(cache, parent, tokens + parent->n, (uint32_t)n))) return;
    for (uint32_t i = 0; i < node->n_full; i++)
        node->pages[i] = kv_page_share(&kv->full, seq->full_pages[first_full + i]);
    for (uint32_t i = 0; i < node->n_window; i++)
        node->pages[node->n_full + i] =
            kv_page_share(&kv->window, seq->window_pages[first_window + i]);
    hang(cache, parent, node);
    put_newest(cache, node);
    touch(cache, node); /* its ancestors are newer */
    while (cache->n_bytes > cache->max_bytes && prefix_cache_evict(cache)) {}
}

bool prefix_cache_evict(struct prefix_cache *cache)
{
    struct prefix_node *node = cache->oldest;
    while (node && node->child) node = node->newer;
    if (!node) return false;
    struct prefix_node **at = &node->parent->child;
    while (*at != node) at = &(*at)->sibling;
    *at = node->sibling;
    take_out(cache, node);
    cache->n_nodes--;
    cache->n_bytes -= node_bytes(cache, node);
    for (uint32_t i = 0; i < node->n_full; i++) kv_page_release(&cache->kv->full, &node->pages[i]);
    for (uint32_t i = 0; i < node->n_window; i++)
        kv_page_release(&cache->kv->window, &node->pages[node->n_full + i]);
    free_node(node);
    return true;
}

uint64_t prefix_cache_bytes(const struct prefix_cache *cache)
{
    return cache->n_bytes;
}

uint32_t prefix_cache_n_nodes(const struct prefix_cache *cache)
{
    return cache->n_nodes;
}
