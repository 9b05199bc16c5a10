/* prefix_cache.h - beginnings of sequences that have been computed, kept for requests to come:
 * system prompts, conversations that come back.
 *
 * A tree: a node adds tokens to its parent's and holds the full layers' pages with those positions,
 * and the window layers' pages that a continuation needs; pages are shared by reference. So a
 * prefix can be taken up where a node ends, and there only. Nodes are made at multiples of
 * PREFIX_STEP, at the ends of prompts and at the ends of sequences. What was used longest ago goes
 * first. The engine's lock is held for every call. */
#ifndef VINCI_ENGINE_PREFIX_CACHE_H
#define VINCI_ENGINE_PREFIX_CACHE_H

#include "engine/kv_cache.h"

enum { PREFIX_STEP = 256, PREFIX_NODES_MAX = 1 << 16 };

/* Both are written by prefix_cache.c alone; prefix_file.c reads them. */
struct prefix_node {
    struct prefix_node *parent, *child, *sibling; /* the root has no parent */
    struct prefix_node *older, *newer;            /* by use; the root is not in this list */
    uint32_t n;                                   /* positions, the parent's included */
    int32_t *tokens;                              /* [n - parent->n] */
    int32_t *pages; /* [n_full] full layers, from page parent->n / kv->page on; then [n_window] */
    uint32_t n_full, n_window;
    uint64_t number; /* while it is saved */
};

struct prefix_cache {
    struct kv_cache *kv;
    struct prefix_node root, *oldest, *newest;
    uint64_t max_bytes, n_bytes;
    uint32_t n_nodes;
};

/* Keeps at most max_bytes of pages. */
enum vinci_status prefix_cache_create(struct prefix_cache **out, struct kv_cache *kv,
                                      uint64_t max_bytes, struct vinci_error *err);
void prefix_cache_destroy(struct prefix_cache *cache);

/* The longest known prefix of at most n_max of these tokens, NULL if there is none; *n is its
 * length. */
const struct prefix_node *prefix_cache_find(struct prefix_cache *cache, const int32_t *tokens,
                                            size_t n_max, size_t *n);

/* Makes an empty sequence hold the prefix. */
void prefix_cache_restore(struct prefix_cache *cache, const struct prefix_node *node,
                          struct kv_seq *seq);

/* Keeps the first n >= 1 of the sequence's positions; its window pages for n must still be there.
 * Does nothing when memory is short: a cache may forget. */
void prefix_cache_add(struct prefix_cache *cache, const struct kv_seq *seq, const int32_t *tokens,
                      size_t n);

/* A node of n positions below `parent` (NULL: the root), used longer ago than all others, with
 * pages of its own that the caller fills. NULL when there is no room, or the tree has the node
 * already.
 */
struct prefix_node *prefix_cache_put(struct prefix_cache *cache, struct prefix_node *parent,
                                     const int32_t *tokens, uint32_t n);

/* Forgets what was used longest ago; false if nothing is left. A node that others build on stays.
 */
bool prefix_cache_evict(struct prefix_cache *cache);

uint64_t prefix_cache_bytes(const struct prefix_cache *cache);
uint32_t prefix_cache_n_nodes(const struct prefix_cache *cache);

#endif
