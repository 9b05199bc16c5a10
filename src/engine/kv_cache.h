/* kv_cache.h - which page of the device's memory holds which positions of which sequence.
 *
 * Two kinds of layers, two pools: full layers keep every position; window layers give pages back
 * once no later token can see them. Pages are counted by reference, so sequences and checkpoints
 * share them; a shared page is copied before it is written to. */
#ifndef VINCI_ENGINE_KV_CACHE_H
#define VINCI_ENGINE_KV_CACHE_H

#include "device/device.h"

struct page_pool {
    struct kv_pool *kv;
    uint32_t n_pages, n_free;
    uint64_t page_bytes;
    int32_t *free_pages; /* stack: the page freed last is taken next */
    uint32_t *refs;      /* [n_pages] */
};

struct kv_cache {
    struct device *device;
    struct page_pool full, window;
    uint32_t sliding_window, n_ctx;
    uint32_t page;         /* positions in a page: the device's kv_page */
    uint64_t n_bytes_peak; /* most that was in use at once */
    uint64_t n_bytes_max;  /* of all pages */
};

/* One sequence. Page i of a kind holds positions [page * i, page * (i + 1)). */
struct kv_seq {
    int32_t *full_pages, *window_pages; /* [ceil(n_ctx / page)], -1 where there is none */
    uint32_t n_positions;
    uint32_t n_pages;      /* pages of either kind that were begun, reserved ones included */
    uint32_t window_first; /* window pages before this one were given back */
};

/* The window pages that a continuation at n_positions needs, kept for a later kv_seq_restore. */
struct kv_checkpoint {
    uint32_t n_positions; /* 0: empty */
    uint32_t first, n;
    int32_t *pages; /* [n] */
};

/* max_bytes: most for all pages, at least what one sequence of n_ctx needs (else LIMIT); 0: as much
 * as n_seqs such sequences need. */
enum vinci_status kv_cache_create(struct kv_cache **out, struct device *device,
                                  const struct model_config *config, enum vinci_kv_type type,
                                  const struct device_limits *limits, uint64_t max_bytes,
                                  struct vinci_error *err);
void kv_cache_destroy(struct kv_cache *cache);

/* Pages of n positions; the first window page that a token at `position` or later still sees. */
uint32_t kv_pages_for(const struct kv_cache *cache, uint32_t n_positions);
uint32_t kv_first_window_page(const struct kv_cache *cache, uint32_t position);
uint64_t kv_pages_bytes(const struct kv_cache *cache, uint64_t n_full, uint64_t n_window);

/* A page that is free (n_free > 0), with one reference. */
int32_t kv_page_take(struct page_pool *pool);

/* One more reference to a page; one less, and *page = -1. */
int32_t kv_page_share(struct page_pool *pool, int32_t page);
void kv_page_release(struct page_pool *pool, int32_t *page);

/* Bytes of the pages in use. */
uint64_t kv_cache_bytes(const struct kv_cache *cache);

enum vinci_status kv_seq_create(struct kv_seq **out, const struct kv_cache *cache,
                                struct vinci_error *err);
void kv_seq_destroy(struct kv_seq *seq, struct kv_cache *cache);

/* Makes room for n more positions: LIMIT beyond n_ctx, NO_MEMORY when the pool is used up. On
 * failure the sequence can be used as before. */
enum vinci_status kv_seq_reserve(struct kv_seq *seq, struct kv_cache *cache, uint32_t n,
                                 struct vinci_error *err);

/* The n reserved positions are written now. */
void kv_seq_advance(struct kv_seq *seq, uint32_t n);

/* Gives window pages back that nothing will see; kv_seq_reserve does it too. */
void kv_seq_trim(struct kv_seq *seq, struct kv_cache *cache);

/* Makes an empty sequence have n positions and these window pages, shared with others; the caller
 * shares full_pages[0 .. pages of n). */
void kv_seq_begin(struct kv_seq *seq, struct kv_cache *cache, uint32_t n,
                  const int32_t *window_pages, uint32_t n_window);

/* True if the sequence can go back to n positions with what it has. */
bool kv_seq_can_rewind(const struct kv_seq *seq, const struct kv_cache *cache, uint32_t n);

/* Forgets the positions from n on; kv_seq_can_rewind must be true. */
void kv_seq_rewind(struct kv_seq *seq, struct kv_cache *cache, uint32_t n);

/* Remembers the sequence as it is now. */
enum vinci_status kv_checkpoint_take(struct kv_checkpoint *checkpoint, const struct kv_seq *seq,
                                     struct kv_cache *cache, struct vinci_error *err);

/* Goes back to the checkpoint, which keeps its pages; the sequence must not have been rewound to
 * fewer positions since it was taken. */
void kv_seq_restore(struct kv_seq *seq, struct kv_cache *cache,
                    const struct kv_checkpoint *checkpoint);

void kv_checkpoint_drop(struct kv_checkpoint *checkpoint, struct kv_cache *cache);

#endif
