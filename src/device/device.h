/* device.h - the operations that one step of the transformer needs, on opaque buffers.
 *
 * forward.c is the only caller: begin, operations in order, end. An operation may be queued; its
 * effect is there after device_end, or for the operations behind it. Operations do not fail one by
 * one: the first error stays with the device and device_end returns it.
 *
 * Rows are float32 on every device's interface: x [n_tokens, n]. Weights are the `struct matrix`
 * and `struct vector` of weights.h; a device that needs them elsewhere uploads them in its create
 * function. Nothing is allocated between begin and end. A device with a queue of its own
 * runs_ahead: it may be given the next step before the results of the last one were waited for. */
#ifndef VINCI_DEVICE_DEVICE_H
#define VINCI_DEVICE_DEVICE_H

#include "base/log.h"
#include "base/status.h"
#include "model/weights.h"

struct device;
struct device_buffer; /* floats in the device's memory */
struct kv_pool;       /* pages of keys and values */

/* The tokens of one sequence within a step, and where its keys and values lie. A page holds
 * device->kv_page positions and begins at a multiple of it. */
struct step_seq {
    uint32_t first_token; /* index into the step's tokens */
    uint32_t n_tokens;
    uint32_t position;           /* of its first token; the others follow */
    const int32_t *full_pages;   /* [i]: page of positions [kv_page * i, kv_page * (i + 1)) */
    const int32_t *window_pages; /* the same for the window layers; -1 where no longer kept */
};

/* One step: n_tokens tokens of n_seqs sequences. */
struct step {
    size_t n_tokens;
    const int32_t *tokens; /* [n_tokens]; NULL: token i is the best of row i of the step before,
                              which had as many; only of a device that runs_ahead, and finds_best */
    const float *rope_cos, *rope_sin; /* [n_tokens, head_dim / 2] */
    size_t n_seqs;
    const struct step_seq *seqs; /* [n_seqs], in the order of their tokens */
    size_t n_outputs;
    const uint32_t *outputs; /* [n_outputs], the rows that gather will be asked for, ascending */
};

/* Limits that the device sizes its own memory by. */
struct device_limits {
    uint32_t n_batch; /* tokens in a step */
    uint32_t n_seqs;
    uint32_t n_ctx;
};

struct device_ops {
    void (*destroy)(struct device *device);

    /* Memory: n floats, not cleared. read waits for the operations before it. */
    enum vinci_status (*buffer_create)(struct device *device, struct device_buffer **out, size_t n,
                                       struct vinci_error *err);
    void (*buffer_destroy)(struct device *device, struct device_buffer *buffer);
    void (*buffer_read)(struct device *device, const struct device_buffer *buffer, size_t first,
                        size_t n, float *out);

    /* Keys and values of n_layers layers in *n_pages pages that are handed out by kv_cache.c. A
     * device whose memory does not hold so many makes fewer, at least n_pages_min, and says so.
     * On the CPU pages are reserved, not touched: memory is used when one is written first. */
    enum vinci_status (*kv_pool_create)(struct device *device, struct kv_pool **out,
                                        uint32_t n_layers, size_t n_pages_min, size_t *n_pages,
                                        enum vinci_kv_type type, struct vinci_error *err);
    void (*kv_pool_destroy)(struct device *device, struct kv_pool *pool);
    /* Of a page with n_layers layers. */
    size_t (*kv_page_bytes)(const struct device *device, uint32_t n_layers,
                            enum vinci_kv_type type);
    void (*kv_page_copy)(struct device *device, struct kv_pool *pool, int32_t to, int32_t from);
    /* A page's bytes, kv_page_bytes of them, to and from the host; NULL: the device cannot. */
    void (*kv_page_read)(struct device *device, const struct kv_pool *pool, int32_t page,
                         uint8_t *to);
    void (*kv_page_write)(struct device *device, struct kv_pool *pool, int32_t page,
                          const uint8_t *from);

    /* False: the device has recorded the operations of such a step and runs them by itself; the
     * caller leaves them out and goes on with buffer_read. Only for n_outputs <= output_rows. */
    bool (*begin)(struct device *device, const struct step *step);
    enum vinci_status (*end)(struct device *device, struct vinci_error *err);

    /* x[t] = embedding[token[t]] */
    void (*embed)(struct device *device, const struct matrix *embedding, struct device_buffer *x);

    /* out[t] = x[t] / sqrt(mean(x[t]^2) + eps) * w, for n rows */
    void (*rms_norm)(struct device *device, const struct device_buffer *x, const struct vector *w,
                     float eps, size_t n, struct device_buffer *out);

    /* y[t] = W x[t] + b; b may be NULL. */
    void (*linear)(struct device *device, const struct matrix *w, const struct vector *b,
                   const struct device_buffer *x, size_t n, struct device_buffer *y);

    /* x[t] += W y[t] + b */
    void (*linear_add)(struct device *device, const struct matrix *w, const struct vector *b,
                       const struct device_buffer *y, size_t n, struct device_buffer *x);

    /* q, k, v of every token from t; the three share their input. */
    void (*qkv)(struct device *device, const struct layer_weights *layer,
                const struct device_buffer *t, struct device_buffer *q, struct device_buffer *k,
                struct device_buffer *v);

    /* Rotates q and k, stores k and v in layer `layer` of the pool. `window`: use window_pages. */
    void (*rope_store)(struct device *device, struct device_buffer *q, struct device_buffer *k,
                       const struct device_buffer *v, struct kv_pool *pool, uint32_t layer,
                       bool window);

    /* out[t] = softmax over (q.k / sqrt(head_dim), sink) . v, heads concatenated. `window` > 0:
     * only the last `window` positions, the token's own included. */
    void (*attention)(struct device *device, const struct device_buffer *q,
                      const struct kv_pool *pool, uint32_t layer, uint32_t window,
                      const struct vector *sinks, struct device_buffer *out);

    /* x[t] += sum over the n_experts_used largest router logits (ties: the lower expert) of
     * softmax weight * expert(t[t]); experts are summed in the order of their logits. */
    void (*experts)(struct device *device, const struct layer_weights *layer,
                    const struct device_buffer *router_logits, const struct device_buffer *t,
                    struct device_buffer *x);

    /* out[i] = x[rows[i]], n rows of n_hidden */
    void (*gather)(struct device *device, const struct device_buffer *x, const uint32_t *rows,
                   size_t n, struct device_buffer *out);

    /* Finds the index of the largest element of each row of x [n_rows, n], of equals the first,
     * n_rows <= output_rows. Only of a device that finds_best. */
    void (*best_find)(struct device *device, const struct device_buffer *x, size_t n_rows,
                      size_t n);

    /* Only of a device that runs_ahead, in place of buffer_read: the first n elements, or the best
     * of n_rows, are sent to one of DEVICE_SLOTS places on the host when they are there, whatever
     * is queued behind. receive waits for what was last sent to the slot, and copies it to that of
     * `floats` and `best` which it is for. */
    void (*buffer_send)(struct device *device, const struct device_buffer *buffer, size_t n,
                        unsigned slot);
    void (*best_send)(struct device *device, size_t n_rows, unsigned slot);
    enum vinci_status (*receive)(struct device *device, unsigned slot, float *floats, int32_t *best,
                                 struct vinci_error *err);
};

enum { DEVICE_SLOTS = 2 };

struct device {
    const struct device_ops *ops;
    char name[64];
    uint64_t scratch_bytes; /* host memory that the device holds for steps */
    uint64_t weight_bytes;  /* of the matrices that the operations so far went over */
    uint64_t upload_bytes;  /* of weights, when it was created */
    double upload_seconds;
    bool lost; /* by an error after which every further step fails; other errors end a step alone */
    uint32_t n_threads;
    uint32_t kv_page;     /* positions in a page of the cache */
    uint32_t output_rows; /* rows of logits that one step can hold */
    bool finds_best;      /* only one that runs_ahead */
    bool runs_ahead; /* a step may begin before the results of the one before it were received */
};

struct cpu_device_options {
    uint32_t n_threads;   /* 0: one a core */
    const char *cpu_list; /* processors to bind threads to, e.g. "0-15"; NULL: not bound */
    const char *level;    /* NULL: the best */
    enum vinci_activations activations;
};

/* The model must outlive the device. The level's name is in *level (static). */
enum vinci_status cpu_device_create(struct device **out, const struct cpu_device_options *options,
                                    const struct model *model, const struct device_limits *limits,
                                    const char **level, struct vinci_error *err);

struct npu_device_options {
    int32_t id; /* of the device among those that the process may see */
    enum vinci_npu_dtype dtype;
    enum vinci_npu_attention attention;
    struct vinci_cann_places cann;
    uint32_t n_threads; /* that expand weights during the upload; 0: one a core */
    struct log log;
    vinci_progress_fn *progress; /* of the upload; may be NULL */
    void *progress_user;
};

/* Loads CANN, opens the device and uploads the weights. The model must outlive the device.
 * NO_DEVICE: nothing to compute on; NO_MEMORY: says what was needed, what is free, what helps. */
enum vinci_status npu_device_create(struct device **out, const struct npu_device_options *options,
                                    const struct model *model, const struct device_limits *limits,
                                    struct vinci_error *err);

/* "npu", "npu:3" -> 0, 3; -1 for anything else. */
int32_t npu_device_id(const char *name);

#endif
