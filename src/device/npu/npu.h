/* npu.h - what the files of the Ascend device share.
 *
 * The residual stream is float32; everything that goes into a matrix product is `act`: BF16 or F16.
 * A buffer of device.h therefore has two planes, and an operation writes those that are read later.
 *
 * Operations are queued on one stream and never wait. The first error stays with the device, later
 * operations do nothing, and device_end returns it. A decode step (one token each of up to n_seqs
 * sequences) is padded to a power of two of lanes, so that all its shapes and addresses depend on a
 * small key alone: such a step is recorded once (graph.c) and replayed with one launch. All that
 * changes from step to step is copied to the device at its beginning, in one piece (inputs.c). */
#ifndef VINCI_DEVICE_NPU_NPU_H
#define VINCI_DEVICE_NPU_NPU_H

#include "base/threadpool.h"
#include "device/device.h"
#include "device/npu/loader.h"
#include "device/npu/npu_device.h"

enum {
    NPU_PAGE = 128,        /* positions in a page: what every CANN's paged attention accepts */
    NPU_ALIGN = 64,        /* start of an allocation */
    NPU_INPUT_SLOTS = 4,   /* steps whose inputs may be on their way at once */
    NPU_MAX_GRAPHS = 24,   /* recorded steps kept; each holds streams and memory of the driver */
    NPU_CALL_OBJECTS = 32, /* tensors, scalars and lists of one operator call */
    NPU_MASK_SIDE = 2048,  /* of the causal mask, as fused attention wants it */
    NPU_FUSED_PAGES = 64,  /* of all sequences of a decode step: from there on the fused operator is
                              worth its updates (docs/ascend.md) */
};

/* Left free beside the weights and the pages: step memory, workspace, what CANN needs itself. */
#define NPU_RESERVE_BYTES ((size_t)3 << 29)

/* A masked score is at least this much below the others: beyond any real score, and far from
 * overflow when multiplied with a position. */
#define NPU_FAR 1e30f

/* ---- one operator call (op.c) -------------------------------------------------------------- */

enum object_kind { OBJECT_TENSOR, OBJECT_SCALAR, OBJECT_INTS, OBJECT_LIST };

struct call_object {
    enum object_kind kind;
    void *object; /* NULL: given over to a list */
    aclDataType dtype;
    uint32_t n_dims;
    int64_t dims[6];
};

/* ---- weights (weights.c) ------------------------------------------------------------------- */

struct npu_matrix {
    void *data; /* [n_rows, n_cols] of `dtype` */
    aclDataType dtype;
    uint32_t n_rows, n_cols;
    void *bias; /* [n_rows] of `dtype`, NULL where there is none */
};

/* One product of all experts, y = x W + b: dense [E, n_out, n_in] of act, used as its transpose;
 * or compact: INT4 [E, 2 n_in, n_out] with `scales` [E, 2 n_in / 32, n_out]. */
struct npu_experts {
    void *data, *scales;
    void *bias; /* [E, n_out], float32 beside BF16, F16 beside F16 */
    uint32_t n_in, n_out;
};

struct npu_layer {
    float *attn_norm, *mlp_norm; /* [n_hidden] */
    struct npu_matrix q, k, v, o;
    struct npu_matrix router;         /* float32 */
    float *sinks;                     /* [n_heads] float32 */
    void *sinks_act;                  /* the same as BF16 */
    struct npu_experts gate_up, down; /* gate_up: all gates, then all ups */
};

struct npu_weights {
    void *embedding; /* [n_vocab, n_hidden] act */
    struct npu_matrix output;
    float *output_norm;
    struct npu_layer *layers;
    void *zero_offsets; /* compact: zeros, as large as the largest `scales` */
};

/* ---- a step's inputs (inputs.c) ------------------------------------------------------------ */

/* Layers come in two kinds, each with its own pages. */
enum { FULL, WINDOW, N_KINDS };

/* A pool's first pages: written by padded lanes, and always zero. The cache's page 0 follows. */
enum { PAGE_SPARE, PAGE_ZERO, PAGES_BEFORE };

/* Sequences whose attention is computed by one set of small operators: all that have one token, or
 * one that has several. The keys of a sequence are those of n_pages pages, and one page more whose
 * first key stands for the sink. Positions count from the first of the pages. */
struct attention_group {
    uint32_t first_row, n_seqs, n_tokens; /* n_tokens of each sequence */
    uint32_t n_pages[N_KINDS];
    int64_t *pages[N_KINDS]; /* [n_seqs, n_pages + 1], on the device */
    float *mask[N_KINDS];    /* [n_seqs * n_tokens, (n_pages + 1) * NPU_PAGE], made there */
};

/* What changes from step to step. Pointers are to the device but for those of fused attention. */
struct step_inputs {
    uint32_t n_rows, n_outputs; /* padded */
    bool decode;                /* one token a sequence, every row an output */
    bool fused;                 /* attention by the fused operator, else by groups */
    int32_t *tokens;            /* [n_rows] */
    int64_t *rows;              /* [n_outputs] */
    void *rope;                 /* [n_rows, head_dim] act: cosines, then sines */
    int64_t *slots[N_KINDS];    /* [n_rows]: where keys and values go */
    float *positions[N_KINDS];  /* [n_rows], times NPU_FAR */
    struct attention_group *groups;
    uint32_t n_groups;

    uint32_t n_lanes, n_blocks[N_KINDS]; /* sequences, padded; fused alone uses these: */
    int32_t *block_table[N_KINDS];       /* [n_lanes, n_blocks] on the device */
    int64_t *q_ends;              /* [n_lanes] on the host: tokens up to each sequence's end */
    int64_t *kv_lengths[N_KINDS]; /* [n_lanes] on the host */
    int64_t *longest;             /* [n_lanes]: room for other lengths */
};

/* ---- step memory (scratch.c) ---------------------------------------------------------------- */

struct npu_scratch {
    float *rstd, *norm;   /* [n_batch], [output_rows, n_hidden] */
    void *y;              /* [n_batch, n_hidden] act */
    void *q, *k;          /* [n_batch, n_heads or n_kv_heads, head_dim] act: rotated */
    void *rope;           /* 2 x [n_batch, n_heads, head_dim / 2] act */
    int64_t *numbers;     /* 0, 1, ... n_batch - 1 */
    int32_t *best;        /* [output_rows]: indices of the largest logits */
    float *columns;       /* 0, 1, ...: positions of keys, times NPU_FAR */
    float *columns_seen;  /* one column each: the position, and a half, that sees it no more */
    float *mask[N_KINDS]; /* of all groups */

    /* small attention: at most `keys` positions of keys, `scores` elements at once */
    size_t n_keys, n_scores;
    void *gathered, *permuted; /* [keys, n_kv_heads * head_dim] act */
    float *k32, *v32;          /* the same in float32 */
    float *scores, *probs;
    void *q_permuted;              /* [n_batch, n_heads, head_dim] act */
    float *q32, *q_scaled, *out32; /* the same in float32 */

    /* experts: P = n_batch * n_experts_used pairs */
    float *weights;           /* [n_batch, n_experts_used] */
    float *top;               /* the same: logits */
    int32_t *chosen;          /* the same: experts */
    int64_t *chosen64;        /* the same */
    int32_t *pair_rows;       /* [P]: row of each pair among the sorted */
    int64_t *order, *order2;  /* [P] */
    int64_t *pair_tokens;     /* [P]: 0 0 0 0 1 1 1 1 ... */
    int64_t *tokens;          /* [P]: token of each sorted row */
    float *experts32;         /* [P] chosen experts in order, as float32 */
    float *numbers32;         /* [n_experts]: 1, 2, ... */
    float *counting;          /* 2 x [P, n_experts] */
    float *counts32;          /* [n_experts] */
    int32_t *ends32;          /* [n_experts], as MoeInitRoutingV2 gives them */
    int64_t *ends;            /* [n_experts]: sorted rows up to each expert's end */
    void *x, *x2;             /* [P, n_hidden]; compact: [P, 2 * max(n_hidden, n_intermediate)] */
    void *gate_up;            /* [P, 2 * n_intermediate] act */
    float *gate_up32;         /* the same; without the fused SwiGLU */
    float *gate, *up, *swish; /* [P, n_intermediate] */
    void *hidden;             /* [P, n_intermediate] act */
    void *down;               /* [P, n_hidden] act */
    float *down32;            /* without the fused summing up */
    float *sum32;             /* [n_batch, n_hidden]; the same */
};

/* ---- the device ---------------------------------------------------------------------------- */

struct device_buffer {
    float *f32; /* two planes of n elements */
    void *act;
    size_t n;
    bool read_act; /* which plane buffer_read gives */
};

struct kv_pool {
    uint8_t *k, *v; /* [n_layers][n_pages][NPU_PAGE][n_kv_heads * head_dim] act */
    uint32_t n_layers;
    size_t n_pages;     /* PAGES_BEFORE, then those of the cache */
    size_t layer_bytes; /* of k, and of v */
};

/* Results on their way to the host, which looks at them later (results.c). */
struct npu_result {
    uint8_t *host; /* pinned, read_bytes */
    size_t n;      /* elements */
    aclDataType dtype;
    aclrtEvent sent; /* behind the copy */
};

/* A launch of the fused attention, and the task group that it is in a recording. */
struct npu_task {
    const struct kv_pool *pool;
    uint32_t layer;
    int kind;
    const void *sinks; /* [n_heads] BF16 */
    void *out;         /* [n_rows, n_heads * head_dim] act */
    aclrtTaskGrp group;
};

struct npu_graph {
    uint32_t n_rows, n_pages; /* the key: lanes, pages of the full layers */
    bool fused;               /* and how attention is computed */
    aclmdlRI model;           /* NULL: seen once, not recorded yet */
    uint64_t last_used, n_updates;
    struct npu_task *tasks; /* [n_layers] */
    size_t n_tasks;
};

struct npu_device {
    struct device base;
    const struct model *model;
    const struct model_config *config;
    struct device_limits limits;
    struct log log;
    struct cann *cann;
    int32_t id;
    char soc[64];
    bool device_set;
    aclrtContext context;
    aclrtStream stream, copy_stream;
    aclDataType act; /* ACL_BF16 or ACL_FLOAT16 */
    bool compact;

    /* which of the newer operators are used: those that are there; recordings were tried, too */
    bool use_fused_attention, use_rope_cache, use_paged_scatter;
    bool use_gating, use_routing, use_swiglu, use_graphs;
    bool use_fused_decode; /* in recorded steps, too, from fused_decode_pages on */
    uint32_t fused_decode_pages;

    enum vinci_status status; /* of the step, or of what goes on at creation */
    struct vinci_error err;

    struct call_object objects[NPU_CALL_OBJECTS];
    size_t n_objects;
    uint64_t workspace_need;
    enum { LAUNCH, MEASURE, UPDATE } launch_mode;
    uint64_t workspace_measured; /* MEASURE: nothing is launched, the largest need is kept */
    aclOpExecutor *executor;
    void *workspace;
    size_t workspace_bytes;

    struct npu_allocation *allocations; /* everything from npu_alloc */
    uint8_t *arena;                     /* where small allocations come from */
    size_t arena_left;

    struct npu_weights weights;
    struct threadpool *pool;     /* for the upload; NULL later */
    vinci_progress_fn *progress; /* of the upload; may be NULL */
    void *progress_user;

    const struct step *step;
    struct step_inputs in;
    uint8_t *input_device;
    uint8_t *input_host[NPU_INPUT_SLOTS];
    aclrtEvent input_event[NPU_INPUT_SLOTS];
    bool input_used[NPU_INPUT_SLOTS];
    unsigned input_next;
    size_t input_bytes;
    uint8_t *read_host; /* pinned: results on their way to the caller */
    size_t read_bytes;
    struct npu_result results[DEVICE_SLOTS];

    struct npu_scratch *scratch; /* step memory beside the buffers of forward.c */
    void *causal_mask;           /* [NPU_MASK_SIDE, NPU_MASK_SIDE] uint8, for fused attention */

    struct npu_graph graphs[NPU_MAX_GRAPHS];
    size_t n_graphs;
    struct npu_graph *recording;

    struct npu_counters counters;
};

static inline struct npu_device *npu_device_of(struct device *device)
{
    return (struct npu_device *)device;
}

static inline size_t npu_dtype_bytes(aclDataType dtype)
{
    switch (dtype) {
    case ACL_FLOAT:
    case ACL_INT32: return 4;
    case ACL_INT64: return 8;
    case ACL_FLOAT16:
    case ACL_BF16: return 2;
    default: return 1;
    }
}

/* ---- op.c ---------------------------------------------------------------------------------- */

#define NPU_DIMS(...) \
    (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)

/* Objects for the next NPU_OP, released by it. `data` is the start of the storage; strides and
 * offset are in elements. */
aclTensor *npu_tensor(struct npu_device *device, const void *data, aclDataType dtype,
                      const int64_t *dims, size_t n_dims);
aclTensor *npu_view(struct npu_device *device, const void *data, aclDataType dtype,
                    const int64_t *dims, const int64_t *strides, size_t n_dims, int64_t offset);
/* n rows of n_cols from element `first` on, which need not be aligned; n_cols 0: a vector. */
aclTensor *npu_part(struct npu_device *device, const void *data, aclDataType dtype, int64_t first,
                    int64_t n, int64_t n_cols);
/* The transpose of a stored [n_rows, n_cols] (or [n, n_rows, n_cols] for n > 0). */
aclTensor *npu_transposed(struct npu_device *device, const void *data, aclDataType dtype, int64_t n,
                          int64_t n_rows, int64_t n_cols);
aclScalar *npu_scalar(struct npu_device *device, float value);
aclIntArray *npu_ints(struct npu_device *device, const int64_t *values, size_t n);
aclTensorList *npu_list(struct npu_device *device, aclTensor *tensor);

/* Both phases of an operator on the device's stream; nothing after a first error. */
#define NPU_OP(device, op, ...) \
    do { \
        if ((device)->status == VINCI_OK) \
            npu_launch(device, #op, \
                       (device)->cann->op##GetWorkspaceSize( \
                           __VA_ARGS__, &(device)->workspace_need, &(device)->executor), \
                       (device)->cann->op); \
    } while (0)
void npu_launch(struct npu_device *device, const char *name, aclnnStatus code,
                cann_launch_fn *launch);

/* Makes the workspace at least so large; waits, and forgets the recordings. */
void npu_workspace(struct npu_device *device, uint64_t n_bytes);

/* Releases the objects of a call, also of one that did not take place. */
void npu_end_call(struct npu_device *device);

/* Keeps the first error: "npu:0: aclrtMemcpyAsync ...: error 107003, ...". `what` names the call.
 */
void npu_check(struct npu_device *device, int code, const char *what);

/* ---- memory.c ------------------------------------------------------------------------------ */

/* Device memory for the device's life; NULL after an error. `what` for the message: "the weights".
 */
void *npu_alloc(struct npu_device *device, size_t n_bytes, const char *what);
/* The same in a block of its own, which npu_release may give back before; so may pinned memory. */
void *npu_alloc_block(struct npu_device *device, size_t n_bytes, const char *what);
void *npu_pinned(struct npu_device *device, size_t n_bytes);
void npu_release(struct npu_device *device, void *memory);
void npu_release_all(struct npu_device *device);
void npu_clear(struct npu_device *device, void *memory, size_t n_bytes);
/* At most read_bytes, after waiting for the stream; NULL after an error. Good until the next. */
const void *npu_fetch(struct npu_device *device, const void *memory, size_t n_bytes);
void npu_memory(struct npu_device *device, size_t *free_bytes, size_t *total_bytes);
void npu_sync(struct npu_device *device);

enum vinci_status npu_buffer_create(struct device *device, struct device_buffer **out, size_t n,
                                    struct vinci_error *err);
void npu_buffer_destroy(struct device *device, struct device_buffer *buffer);
void npu_buffer_read(struct device *device, const struct device_buffer *buffer, size_t first,
                     size_t n, float *out);
enum vinci_status npu_kv_pool_create(struct device *device, struct kv_pool **out, uint32_t n_layers,
                                     size_t n_pages_min, size_t *n_pages, enum vinci_kv_type type,
                                     struct vinci_error *err);
void npu_kv_pool_destroy(struct device *device, struct kv_pool *pool);
size_t npu_kv_page_bytes(const struct device *device, uint32_t n_layers, enum vinci_kv_type type);
void npu_kv_page_copy(struct device *device, struct kv_pool *pool, int32_t to, int32_t from);

/* ---- npu_device.c: an opened device with nothing on it ----------------------------------------
 */

/* `log` may be NULL. Release with npu_close. */
enum vinci_status npu_open(struct npu_device **out, int32_t id,
                           const struct vinci_cann_places *places, const struct log *log,
                           struct vinci_error *err);
void npu_close(struct npu_device *device);

/* ---- the rest ------------------------------------------------------------------------------ */

/* act <-> float on the host */
void npu_from_float(aclDataType dtype, const float *x, size_t n, void *out);
void npu_to_float(aclDataType dtype, const void *x, size_t n, float *out);

bool npu_can_be_compact(const struct model *model);                        /* weights.c */
void npu_weights_create(struct npu_device *device);                        /* weights.c */
uint64_t npu_weights_bytes(const struct model *model, bool compact);       /* weights.c */
void npu_inputs_create(struct npu_device *device);                         /* inputs.c */
void npu_inputs_destroy(struct npu_device *device);                        /* inputs.c */
void npu_inputs_stage(struct npu_device *device, const struct step *step); /* inputs.c */
void npu_results_create(struct npu_device *device);                        /* results.c */
void npu_results_destroy(struct npu_device *device);                       /* results.c */
void npu_scratch_create(struct npu_device *device);                        /* scratch.c */
bool npu_ready(struct npu_device *device);                                 /* npu_device.c */
enum vinci_status npu_settle(struct npu_device *device, struct vinci_error *err);
bool npu_graphs_work(struct npu_device *device);                                      /* graph.c */
void npu_graphs_create(struct npu_device *device);                                    /* graph.c */
void npu_graphs_destroy(struct npu_device *device);                                   /* graph.c */
void npu_graph_task(struct npu_device *device, const struct npu_task *task);          /* graph.c */
void npu_tasks_choose(struct npu_device *device, enum vinci_npu_attention attention); /* tasks.c */
bool npu_tasks_update(struct npu_device *device, struct npu_graph *graph);            /* tasks.c */
void npu_tasks_reserve(struct npu_device *device, const struct npu_task *task);       /* tasks.c */
void npu_tasks_give_up(struct npu_device *device);                                    /* tasks.c */
bool npu_graph_begin(struct npu_device *device);                                      /* graph.c */
void npu_graph_finish(struct npu_device *device);                                     /* graph.c */
void npu_graphs_drop(struct npu_device *device);                                      /* graph.c */

size_t npu_layer_of(const struct npu_device *device, const void *within);

void npu_masks(struct npu_device *device);                                        /* attention.c */
void npu_fused_attention(struct npu_device *device, const struct npu_task *task); /* attention.c */

/* The operations of device.h: layers.c, attention.c, experts.c, results.c. */
void npu_embed(struct device *device, const struct matrix *embedding, struct device_buffer *x);
void npu_rms_norm(struct device *device, const struct device_buffer *x, const struct vector *w,
                  float eps, size_t n, struct device_buffer *out);
void npu_linear(struct device *device, const struct matrix *w, const struct vector *b,
                const struct device_buffer *x, size_t n, struct device_buffer *y);
void npu_linear_add(struct device *device, const struct matrix *w, const struct vector *b,
                    const struct device_buffer *y, size_t n, struct device_buffer *x);
void npu_qkv(struct device *device, const struct layer_weights *layer,
             const struct device_buffer *t, struct device_buffer *q, struct device_buffer *k,
             struct device_buffer *v);
void npu_gather(struct device *device, const struct device_buffer *x, const uint32_t *rows,
                size_t n, struct device_buffer *out);
void npu_best_find(struct device *device, const struct device_buffer *x, size_t n_rows, size_t n);
void npu_buffer_send(struct device *device, const struct device_buffer *buffer, size_t n,
                     unsigned slot);
void npu_best_send(struct device *device, size_t n_rows, unsigned slot);
enum vinci_status npu_receive(struct device *device, unsigned slot, float *floats, int32_t *best,
                              struct vinci_error *err);
void npu_rope_store(struct device *device, struct device_buffer *q, struct device_buffer *k,
                    const struct device_buffer *v, struct kv_pool *pool, uint32_t layer,
                    bool window);
void npu_attention(struct device *device, const struct device_buffer *q, const struct kv_pool *pool,
                   uint32_t layer, uint32_t window, const struct vector *sinks,
                   struct device_buffer *out);
void npu_experts(struct device *device, const struct layer_weights *layer,
                 const struct device_buffer *router_logits, const struct device_buffer *t,
                 struct device_buffer *x);

#endif
