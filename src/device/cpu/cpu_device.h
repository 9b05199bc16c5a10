/* cpu_device.h - the CPU device's own state, shared by its files:
 *
 *   cpu_device.c     create, buffers, begin and end, embedding, norms
 *   cpu_linear.c     packs activations, runs matrix products over the thread pool
 *   cpu_attention.c  pages of keys and values, rope, softmax
 *   cpu_experts.c    routing, grouping by expert, the experts' products
 *
 * Everything here is sized at creation from the model and the limits; no operation allocates. */
#ifndef VINCI_DEVICE_CPU_CPU_DEVICE_H
#define VINCI_DEVICE_CPU_CPU_DEVICE_H

#include "base/threadpool.h"
#include "device/cpu/kernels.h"
#include "device/device.h"

struct device_buffer {
    float *data;
};

struct kv_pool {
    uint8_t *data; /* reserved address space; pages appear when written */
    size_t n_bytes, n_pages, page_bytes, tile_bytes;
    uint32_t n_layers, n_kv_heads, head_dim;
    enum vinci_kv_type type;
};

/* Query rows of one sequence and kv head that walk the cache together: the heads of the group of up
 * to `n_tokens` tokens. */
struct attention_unit {
    uint32_t seq, kv_head;
    uint32_t first_token, n_tokens; /* within the step */
};

enum {
    ATTENTION_ROWS = 64,   /* most query rows in a unit */
    ATTENTION_SPLIT = 512, /* positions summed on their own before merging, at multiples of it */
    FEW_TOKENS = 6,        /* a product with so many goes over the matrix once */
    ROWS_MAX = 256         /* rows of a matrix at a time with more */
};

/* What one thread needs for itself. */
struct thread_scratch {
    void *all;                      /* one allocation: */
    void *linear;                   /* cpu_kernels_scratch_bytes */
    struct attention_state *states; /* [2][ATTENTION_ROWS]: a split's, and the totals */
    float *acc;                     /* [2][ATTENTION_ROWS][head_dim], behind the states */
    float *row;                     /* [max(n_hidden, head_dim)] */
    float *expanded;                /* a tile of keys and values in Q8_0 as floats */
};

struct cpu_device {
    struct device base;
    const struct model_config *config;
    struct cpu_kernels kernels;
    enum vinci_activations activations;
    struct threadpool *pool;
    unsigned n_nodes;               /* of memory */
    struct thread_scratch *threads; /* [n_threads] */
    struct device_limits limits;
    const struct step *step; /* between begin and end */

    /* cpu_linear.c: the input of a product, packed, and pointers to its rows */
    uint8_t *packed; /* [max(n_batch, n_slots)][packed_stride] */
    size_t packed_stride;
    const void **x_rows;     /* [n_slots] */
    const void **token_rows; /* [n_batch] */
    float **y_rows;          /* [3][n_slots] */
    float *product;          /* [n_batch][n_hidden]: what linear_add adds */

    /* cpu_attention.c */
    struct attention_unit *units; /* of this step */
    size_t n_units, n_units_max;
    struct attention_state *split_states; /* [n_split_states]: units of one token, split by split */
    float *split_acc;                     /* [n_split_states][head_dim] */
    size_t n_split_states;

    /* cpu_experts.c: slot = one (token, expert) pair, ordered by expert */
    size_t n_slots;         /* n_batch * n_experts_used */
    uint32_t *slot_token;   /* [n_slots] */
    uint32_t *token_slot;   /* [n_batch][n_experts_used] in router order */
    uint32_t *token_expert; /* [n_batch][n_experts_used] */
    float *token_weight;    /* [n_batch][n_experts_used] */
    uint32_t *expert_first; /* [n_experts + 1]: slots of each expert */
    uint32_t *expert_next;  /* [n_experts] */
    uint32_t *active;       /* [n_experts]: experts with slots */
    float *gate;            /* [n_slots][expert_stride] */
    float *up; /* [n_slots][up_stride]; gate and up in turn where their rows alternate; later
                  down's result */
    size_t expert_stride, up_stride;
};

static inline struct cpu_device *cpu_device_of(struct device *device)
{
    return (struct cpu_device *)device;
}

/* ---- cpu_linear.c -------------------------------------------------------------------------- */

/* Whether products with these weights take int8 activations. */
bool cpu_takes_q8(const struct cpu_device *device, enum dtype weights);

/* Fills rows[i] with what a kernel for `weights` wants as input for x + i * stride [n_cols], i < n:
 * the floats themselves, or their packed form in device->packed. */
void cpu_pack_rows(struct cpu_device *device, enum dtype weights, const float *x, size_t stride,
                   size_t n_cols, size_t n, const void **rows);

/* y[t][begin, end) = w x[t] + b for all n tokens, b NULL for none. */
void cpu_linear_rows(struct cpu_device *device, const struct matrix *w, const struct vector *b,
                     const void *const *x, float *const *y, size_t n, size_t begin, size_t end,
                     unsigned thread);

/* Rows that the threads share out a matrix in, whole tiles of the kernel for n_tokens. */
size_t cpu_block_rows(const struct cpu_device *device, size_t n_tokens);

/* fn for [0, n_blocks) blocks of so many rows, over the thread pool. */
void cpu_for_blocks(struct cpu_device *device, size_t n_blocks, size_t block_rows, parallel_fn *fn,
                    void *ctx);

void cpu_linear(struct device *device, const struct matrix *w, const struct vector *b,
                const struct device_buffer *x, size_t n, struct device_buffer *y);
void cpu_linear_add(struct device *device, const struct matrix *w, const struct vector *b,
                    const struct device_buffer *y, size_t n, struct device_buffer *x);
void cpu_qkv(struct device *device, const struct layer_weights *layer,
             const struct device_buffer *t, struct device_buffer *q, struct device_buffer *k,
             struct device_buffer *v);

/* ---- cpu_attention.c ----------------------------------------------------------------------- */

enum vinci_status cpu_kv_pool_create(struct device *device, struct kv_pool **out, uint32_t n_layers,
                                     size_t n_pages_min, size_t *n_pages, enum vinci_kv_type type,
                                     struct vinci_error *err);
void cpu_kv_pool_destroy(struct device *device, struct kv_pool *pool);
size_t cpu_kv_page_bytes(const struct device *device, uint32_t n_layers, enum vinci_kv_type type);
void cpu_kv_page_copy(struct device *device, struct kv_pool *pool, int32_t to, int32_t from);

/* Lists the step's units. */
void cpu_attention_begin(struct cpu_device *device);
void cpu_rope_store(struct device *device, struct device_buffer *q, struct device_buffer *k,
                    const struct device_buffer *v, struct kv_pool *pool, uint32_t layer,
                    bool window);
void cpu_attention(struct device *device, const struct device_buffer *q, const struct kv_pool *pool,
                   uint32_t layer, uint32_t window, const struct vector *sinks,
                   struct device_buffer *out);

/* ---- cpu_experts.c ------------------------------------------------------------------------- */

void cpu_experts(struct device *device, const struct layer_weights *layer,
                 const struct device_buffer *router_logits, const struct device_buffer *t,
                 struct device_buffer *x);

#endif
