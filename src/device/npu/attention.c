/* attention.c - attention with sinks over pages of keys and values.
 *
 * Where CANN has a fused operator that knows sinks (FusedInferAttentionScoreV4, 8.3) it computes
 * prompts; and decode steps where it can be updated in a recording, as it takes the lengths from
 * the host (tasks.c). Else small operators do it in float32:
 *
 *   K, V    the group's pages gathered, heads in front; one page of zeros more
 *   scores  q K^T / sqrt(head_dim) + mask; in the zero page's first column, the head's sink
 *   out     softmax(scores) V
 *
 * The sink's value vector is zero, as it must be. The mask is made on the device from positions
 * alone: a key at distance d from the query gets min(0, d * NPU_FAR), and in a window layer also
 * min(0, (window - 1/2 - d) * NPU_FAR). */
#include "device/npu/npu.h"

#include <math.h>

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- masks --------------------------------------------------------------------------------- */

static void make_mask(struct npu_device *device, int64_t first_row, int64_t n_rows,
                      int64_t n_columns, int kind, float *mask)
{
    struct npu_scratch *s = device->scratch;
    const float *positions = device->in.positions[kind];
    const int64_t dims[] = {n_rows, n_columns};
    NPU_OP(device, aclnnSub, npu_part(device, positions, ACL_FLOAT, first_row, n_rows, 1),
           npu_tensor(device, s->columns, ACL_FLOAT, NPU_DIMS(1, n_columns)), npu_scalar(device, 1),
           npu_tensor(device, s->scores, ACL_FLOAT, dims, 2));
    NPU_OP(device, aclnnClampMax, npu_tensor(device, s->scores, ACL_FLOAT, dims, 2),
           npu_scalar(device, 0), npu_tensor(device, mask, ACL_FLOAT, dims, 2));
    if (kind == FULL) return;
    NPU_OP(device, aclnnSub, npu_tensor(device, s->columns_seen, ACL_FLOAT, NPU_DIMS(1, n_columns)),
           npu_part(device, positions, ACL_FLOAT, first_row, n_rows, 1), npu_scalar(device, 1),
           npu_tensor(device, s->scores, ACL_FLOAT, dims, 2));
    NPU_OP(device, aclnnClampMax, npu_tensor(device, s->scores, ACL_FLOAT, dims, 2),
           npu_scalar(device, 0), npu_tensor(device, s->probs, ACL_FLOAT, dims, 2));
    NPU_OP(device, aclnnInplaceAdd, npu_tensor(device, mask, ACL_FLOAT, dims, 2),
           npu_tensor(device, s->probs, ACL_FLOAT, dims, 2), npu_scalar(device, 1));
}

void npu_masks(struct npu_device *device)
{
    struct npu_scratch *s = device->scratch;
    size_t used[N_KINDS] = {0};
    if (device->in.fused) return;
    for (uint32_t g = 0; g < device->in.n_groups; g++)
        for (int kind = 0; kind < N_KINDS; kind++) {
            struct attention_group *group = &device->in.groups[g];
            int64_t n_rows = (int64_t)group->n_seqs * group->n_tokens;
            int64_t n_columns = (int64_t)(group->n_pages[kind] + 1) * NPU_PAGE;
            int64_t piece = (int64_t)s->n_scores / n_columns;
            float *mask = group->mask[kind] = s->mask[kind] + used[kind];
            used[kind] += (size_t)(n_rows * n_columns);
            for (int64_t r = 0; r < n_rows; r += piece)
                make_mask(device, group->first_row + r, min_i64(piece, n_rows - r), n_columns, kind,
                          mask + r * n_columns);
        }
}

/* ---- small operators ----------------------------------------------------------------------- */

/* What one pass works on: n_seqs sequences of one token, or n_tokens of one sequence. */
struct pass {
    int64_t n_seqs, n_tokens;
    int64_t n_columns;    /* keys of a sequence, the zero page's included */
    int64_t sink;         /* the column of the sink */
    const int64_t *pages; /* of the group; those of this pass from `first_page` on */
    int64_t first_page;
    const float *mask, *sinks;
    int64_t first_row; /* into the step's rows */
};

/* [n_seqs, n_kv_heads, n_columns, head_dim] in float32 */
static void gather_heads(struct npu_device *device, const struct pass *pass, const uint8_t *from,
                         const struct kv_pool *pool, float *out)
{
    const struct model_config *config = device->config;
    struct npu_scratch *s = device->scratch;
    int64_t n_heads = config->n_kv_heads, d = config->head_dim, page = NPU_PAGE * n_heads * d;
    int64_t n = pass->n_seqs * pass->n_columns / NPU_PAGE, columns = pass->n_columns;
    int64_t n_pages = (int64_t)pool->n_pages;
    NPU_OP(device, aclnnIndexSelect, npu_tensor(device, from, device->act, NPU_DIMS(n_pages, page)),
           0, npu_part(device, pass->pages, ACL_INT64, pass->first_page, n, 0),
           npu_tensor(device, s->gathered, device->act, NPU_DIMS(n, page)));
    NPU_OP(
        device, aclnnPermute,
        npu_tensor(device, s->gathered, device->act, NPU_DIMS(pass->n_seqs, columns, n_heads, d)),
        npu_ints(device, (const int64_t[]){0, 2, 1, 3}, 4),
        npu_tensor(device, s->permuted, device->act, NPU_DIMS(pass->n_seqs, n_heads, columns, d)));
    NPU_OP(
        device, aclnnCast,
        npu_tensor(device, s->permuted, device->act, NPU_DIMS(pass->n_seqs * n_heads, columns, d)),
        ACL_FLOAT,
        npu_tensor(device, out, ACL_FLOAT, NPU_DIMS(pass->n_seqs * n_heads, columns, d)));
}

/* Heads of several tokens side by side: [a, b, group, d] -> [b, a, group, d]. */
static void swap_heads(struct npu_device *device, const void *x, aclDataType dtype, int64_t a,
                       int64_t b, int64_t group, void *out)
{
    int64_t d = device->config->head_dim;
    NPU_OP(device, aclnnPermute, npu_tensor(device, x, dtype, NPU_DIMS(a, b, group, d)),
           npu_ints(device, (const int64_t[]){1, 0, 2, 3}, 4),
           npu_tensor(device, out, dtype, NPU_DIMS(b, a, group, d)));
}

/* q / sqrt(head_dim) as [n_seqs * n_kv_heads, n_tokens * group, head_dim] in float32. */
static void prepare_queries(struct npu_device *device, const struct pass *pass)
{
    const struct model_config *config = device->config;
    struct npu_scratch *s = device->scratch;
    int64_t d = config->head_dim, row = config->n_heads * d;
    int64_t n = pass->n_seqs * pass->n_tokens;
    const void *q = (const uint8_t *)s->q + pass->first_row * row * 2;
    if (pass->n_tokens > 1) {
        swap_heads(device, q, device->act, n, config->n_kv_heads,
                   config->n_heads / config->n_kv_heads, s->q_permuted);
        q = s->q_permuted;
    }
    NPU_OP(device, aclnnCast, npu_tensor(device, q, device->act, NPU_DIMS(n, row)), ACL_FLOAT,
           npu_tensor(device, s->q32, ACL_FLOAT, NPU_DIMS(n, row)));
    NPU_OP(device, aclnnMuls, npu_tensor(device, s->q32, ACL_FLOAT, NPU_DIMS(n, row)),
           npu_scalar(device, 1 / sqrtf((float)d)),
           npu_tensor(device, s->q_scaled, ACL_FLOAT, NPU_DIMS(n, row)));
}

static void mask_and_sinks(struct npu_device *device, const struct pass *pass)
{
    const struct model_config *config = device->config;
    float *scores = device->scratch->scores;
    int64_t kv = config->n_kv_heads, group = config->n_heads / kv, c = pass->n_columns;
    bool many = pass->n_tokens > 1;
    /* Either [kv, tokens, group, c] or [seqs, kv, group, c]: the mask has the one, sinks the other
     * dimensions. */
    int64_t a = many ? kv : pass->n_seqs, b = many ? pass->n_tokens : kv;
    NPU_OP(device, aclnnInplaceAdd, npu_tensor(device, scores, ACL_FLOAT, NPU_DIMS(a, b, group, c)),
           npu_tensor(device, pass->mask, ACL_FLOAT, NPU_DIMS(many ? 1 : a, many ? b : 1, 1, c)),
           npu_scalar(device, 1));
    const int64_t dims[] = {a, b, group, 1}, strides[] = {b * group * c, group * c, c, 1};
    NPU_OP(
        device, aclnnInplaceCopy, npu_view(device, scores, ACL_FLOAT, dims, strides, 4, pass->sink),
        npu_tensor(device, pass->sinks, ACL_FLOAT, NPU_DIMS(many ? a : 1, many ? 1 : b, group, 1)));
}

static void attend(struct npu_device *device, const struct pass *pass, struct device_buffer *out)
{
    const struct model_config *config = device->config;
    struct npu_scratch *s = device->scratch;
    int64_t kv = config->n_kv_heads, group = config->n_heads / kv, d = config->head_dim;
    int64_t batch = pass->n_seqs * kv, rows = pass->n_tokens * group, c = pass->n_columns;
    int64_t n = pass->n_seqs * pass->n_tokens, row = config->n_heads * d;
    prepare_queries(device, pass);
    NPU_OP(device, aclnnBatchMatMul,
           npu_tensor(device, s->q_scaled, ACL_FLOAT, NPU_DIMS(batch, rows, d)),
           npu_transposed(device, s->k32, ACL_FLOAT, batch, c, d),
           npu_tensor(device, s->scores, ACL_FLOAT, NPU_DIMS(batch, rows, c)), CANN_KEEP_DTYPE);
    mask_and_sinks(device, pass);
    NPU_OP(device, aclnnSoftmax,
           npu_tensor(device, s->scores, ACL_FLOAT, NPU_DIMS(batch * rows, c)), 1,
           npu_tensor(device, s->probs, ACL_FLOAT, NPU_DIMS(batch * rows, c)));
    NPU_OP(device, aclnnBatchMatMul,
           npu_tensor(device, s->probs, ACL_FLOAT, NPU_DIMS(batch, rows, c)),
           npu_tensor(device, s->v32, ACL_FLOAT, NPU_DIMS(batch, c, d)),
           npu_tensor(device, s->out32, ACL_FLOAT, NPU_DIMS(batch, rows, d)), CANN_KEEP_DTYPE);
    const float *result = s->out32;
    if (pass->n_tokens > 1) {
        swap_heads(device, s->out32, ACL_FLOAT, kv, pass->n_tokens, group, s->q32);
        result = s->q32;
    }
    NPU_OP(device, aclnnCast, npu_tensor(device, result, ACL_FLOAT, NPU_DIMS(n, row)), device->act,
           npu_tensor(device, (uint8_t *)out->act + pass->first_row * row * 2, device->act,
                      NPU_DIMS(n, row)));
}

static void group_attention(struct npu_device *device, const struct attention_group *group,
                            const struct kv_pool *pool, uint32_t layer, int kind,
                            const float *sinks, struct device_buffer *out)
{
    const struct npu_scratch *s = device->scratch;
    const uint8_t *keys = pool->k + layer * pool->layer_bytes;
    const uint8_t *values = pool->v + layer * pool->layer_bytes;
    int64_t n_pages = group->n_pages[kind], c = (n_pages + 1) * NPU_PAGE;
    int64_t at_once = (int64_t)s->n_scores / (device->config->n_heads * c);
    int64_t seqs_at_once = min_i64(at_once, (int64_t)s->n_keys / c);
    for (int64_t seq = 0; seq < group->n_seqs; seq += seqs_at_once) {
        struct pass pass = {.n_seqs = min_i64(seqs_at_once, group->n_seqs - seq),
                            .n_tokens = 1,
                            .n_columns = c,
                            .sink = n_pages * NPU_PAGE,
                            .pages = group->pages[kind],
                            .first_page = seq * (n_pages + 1),
                            .mask = group->mask[kind] + seq * c,
                            .sinks = sinks,
                            .first_row = group->first_row + seq};
        gather_heads(device, &pass, keys, pool, s->k32);
        gather_heads(device, &pass, values, pool, s->v32);
        for (int64_t t = 0; t < group->n_tokens; t += pass.n_tokens) {
            if (group->n_tokens > 1) {
                pass.n_tokens = min_i64(at_once, group->n_tokens - t);
                pass.mask = group->mask[kind] + t * c;
                pass.first_row = group->first_row + t;
            }
            attend(device, &pass, out);
        }
    }
}

/* ---- the fused operator -------------------------------------------------------------------- */

void npu_fused_attention(struct npu_device *device, const struct npu_task *task)
{
    enum { CAUSAL = 3, BAND = 4, MASK = NPU_MASK_SIDE };
    const struct model_config *config = device->config;
    const struct step_inputs *in = &device->in;
    const struct kv_pool *pool = task->pool;
    size_t layer = task->layer * pool->layer_bytes;
    int64_t heads = config->n_heads, kv = config->n_kv_heads, d = config->head_dim, n = in->n_rows;
    const int64_t pages[] = {(int64_t)pool->n_pages, NPU_PAGE, kv * d};
    bool window = task->kind == WINDOW;
    aclDataType act = device->act;
    char layout[] = "TND";
    NPU_OP(device, aclnnFusedInferAttentionScoreV4,
           npu_tensor(device, device->scratch->q, act, NPU_DIMS(n, heads, d)),
           npu_list(device, npu_tensor(device, pool->k + layer, act, pages, 3)),
           npu_list(device, npu_tensor(device, pool->v + layer, act, pages, 3)), NULL,
           npu_tensor(device, device->causal_mask, ACL_UINT8, NPU_DIMS(MASK, MASK)),
           npu_ints(device, in->q_ends, in->n_lanes),
           npu_ints(device, in->kv_lengths[task->kind], in->n_lanes), NULL, NULL, NULL, NULL, NULL,
           NULL, NULL,
           npu_tensor(device, in->block_table[task->kind], ACL_INT32,
                      NPU_DIMS(in->n_lanes, in->n_blocks[task->kind])),
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           npu_tensor(device, task->sinks, ACL_BF16, NPU_DIMS(heads)), heads, 1 / sqrt((double)d),
           window ? (int64_t)config->sliding_window - 1 : INT32_MAX, window ? 0 : INT32_MAX, layout,
           kv, window ? BAND : CAUSAL, 0, NPU_PAGE, 0, false, 0, 0, 0,
           npu_tensor(device, task->out, act, NPU_DIMS(n, heads, d)),
           npu_tensor(device, device->scratch->rstd, ACL_FLOAT, NPU_DIMS(1)));
}

void npu_attention(struct device *base, const struct device_buffer *q, const struct kv_pool *pool,
                   uint32_t layer, uint32_t window, const struct vector *sinks,
                   struct device_buffer *out)
{
    struct npu_device *device = npu_device_of(base);
    const struct npu_layer *w = &device->weights.layers[npu_layer_of(device, sinks)];
    int kind = window ? WINDOW : FULL;
    (void)q; /* rope_store left the rotated queries in the scratch */
    if (device->in.fused) {
        npu_graph_task(device, &(struct npu_task){pool, layer, kind, w->sinks_act, out->act, NULL});
        return;
    }
    for (uint32_t g = 0; g < device->in.n_groups && device->status == VINCI_OK; g++)
        group_attention(device, &device->in.groups[g], pool, layer, kind, w->sinks, out);
}
