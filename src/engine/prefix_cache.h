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

enum { PREFIX_STEP = 256 };

struct prefix_cache;
struct prefix_node;

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

/* Forgets what was used longest ago; false if nothing is left. A node that others build on stays.
 */
bool prefix_cache_evict(struct prefix_cache *cache);

uint64_t prefix_cache_bytes(const struct prefix_cache *cache);
uint32_t prefix_cache_n_nodes(const struct prefix_cache *cache);

#endif
