/* ops_attention.c - aclnnFusedInferAttentionScore V2, V3, V4: softmax attention over a contiguous
 * or paged cache, with window masks and, in V4, learnable sinks.
 *
 * float32 inside; scores and weights are not rounded to the inputs' type, as innerPrecise 0
 * promises high precision. A row that may see no key is zero. Refused is what the documents and
 * host code of the chosen version refuse on Atlas A2:
 *
 *   before 8.3   TND only with D 128 or 192
 *   before 8.5   sinks only in TND and NTD_TND, bf16, D 64 or 128; pages of a multiple of 128
 *   from 8.5     sinks also in BSH, BSND, BNSD; fp16; pages of a multiple of 16 */
#include "sim.h"
#include <math.h>
#include <string.h>

enum { Q, K, V, MASK, BLOCKS, SINK, OUT, LSE };
enum { WORKSPACE = 16384, WORKSPACE_LONG = 512 << 10, MASK_SIDE = 2048 };

struct fia {
    const aclTensor *query;
    const aclTensorList *key, *value;
    const aclTensor *mask;
    const aclIntArray *lengths, *lengths_kv;
    const aclTensor *blocks, *sink;
    int64_t heads;
    double scale;
    int64_t pre_tokens, next_tokens;
    const char *layout;
    int64_t kv_heads, sparse_mode, inner_precise, block_size;
    bool lse_flag;
    const aclTensor *out, *lse;
};

/* plan->i */
enum {
    I_LAYOUT,
    I_HEADS,
    I_KV_HEADS,
    I_SPARSE,
    I_PRE,
    I_NEXT,
    I_BLOCK,
    I_LSE,
    I_HEAD_DIM,
    I_BATCH
};
enum { TND, BSH, BSND, BNSD, N_LAYOUTS };
static const char *const layouts[N_LAYOUTS] = {"TND", "BSH", "BSND", "BNSD"};

/* Element of (batch, position, head) in a dense tensor of the layout; tnd_first: its batch's row.
 */
static int64_t row_of(int64_t layout, int64_t batch, int64_t position, int64_t head,
                      int64_t longest, int64_t heads, int64_t d, int64_t tnd_first)
{
    if (layout == TND) return ((tnd_first + position) * heads + head) * d;
    if (layout == BNSD) return ((batch * heads + head) * longest + position) * d;
    return ((batch * longest + position) * heads + head) * d;
}

/* Whether query i of n_q may see key j of n_k, without the mask tensor. */
static bool visible(const int64_t *p, int64_t i, int64_t j, int64_t n_q, int64_t n_k)
{
    int64_t at = i + n_k - n_q; /* right-down corner */
    if (p[I_SPARSE] == 3) return j <= at;
    if (p[I_SPARSE] == 4) return j >= at - p[I_PRE] && j <= at + p[I_NEXT];
    return true;
}

struct rows {
    const struct plan *plan;
    const struct view *views;
    const float *q, *k, *v, *sinks, *mask;
    const int64_t *table;
    float *out, *lse, *scores;
};

static int64_t key_at(const struct rows *r, int64_t b, int64_t j, int64_t head, int64_t first_k)
{
    const int64_t *p = r->plan->i;
    const struct view *k = &r->views[K];
    int64_t d = p[I_HEAD_DIM], block = p[I_BLOCK];
    if (!r->table)
        return row_of(p[I_LAYOUT], b, j, head, p[I_LAYOUT] == BNSD ? k->dims[2] : k->dims[1],
                      p[I_KV_HEADS], d, first_k);
    int64_t page = r->table[b * r->views[BLOCKS].dims[1] + j / block];
    if (page < 0 || page >= k->dims[0]) {
        sim_violate("%s: block %lld of %lld for position %lld of sequence %lld", r->plan->name,
                    (long long)page, (long long)k->dims[0], (long long)j, (long long)b);
        page = 0;
    }
    if (k->n_dims == 4) return ((page * p[I_KV_HEADS] + head) * block + j % block) * d;
    return ((page * block + j % block) * p[I_KV_HEADS] + head) * d;
}

/* One query row: batch b, its i-th of n_q queries, head h; it sees n_k keys. */
static void attend(const struct rows *r, int64_t b, int64_t i, int64_t h, int64_t n_q, int64_t n_k,
                   int64_t first_q, int64_t first_k)
{
    const int64_t *p = r->plan->i;
    const struct view *vq = &r->views[Q], *vm = &r->views[MASK];
    int64_t d = p[I_HEAD_DIM], longest = p[I_LAYOUT] == BNSD ? vq->dims[2] : vq->dims[1];
    int64_t at = row_of(p[I_LAYOUT], b, i, h, longest, p[I_HEADS], d, first_q);
    int64_t head = h / (p[I_HEADS] / p[I_KV_HEADS]);
    float most = r->sinks ? r->sinks[h] : -INFINITY, sum = 0;
    bool seen = false;
    for (int64_t j = 0; j < n_k; j++) {
        bool shown = visible(p, i, j, n_q, n_k);
        if (shown && r->mask && p[I_SPARSE] == 0) {
            int64_t side = vm->dims[vm->n_dims - 1], rows = vm->dims[vm->n_dims - 2];
            int64_t plane = vm->n_dims >= 3 && vm->dims[0] > 1 ? b : 0;
            shown = r->mask[(plane * rows + i) * side + j] == 0;
        }
        r->scores[j] = -INFINITY;
        if (!shown) continue;
        const float *key = r->k + key_at(r, b, j, head, first_k);
        float dot = 0;
        for (int64_t l = 0; l < d; l++) dot += r->q[at + l] * key[l];
        r->scores[j] = dot * (float)r->plan->d[0];
        most = fmaxf(most, r->scores[j]);
        seen = true;
    }
    float *out = r->out + at;
    for (int64_t j = 0; j < n_k; j++) {
        if (r->scores[j] == -INFINITY) continue;
        float weight = expf(r->scores[j] - most);
        const float *value = r->v + key_at(r, b, j, head, first_k);
        sum += weight;
        for (int64_t l = 0; l < d; l++) out[l] += weight * value[l];
    }
    float keys = sum;
    if (r->sinks) sum += expf(r->sinks[h] - most);
    for (int64_t l = 0; l < d; l++) out[l] = seen ? out[l] / sum : 0;
    if (!r->lse) return;
    int64_t row =
        p[I_LAYOUT] == TND ? (first_q + i) * p[I_HEADS] + h : (b * p[I_HEADS] + h) * longest + i;
    r->lse[row] = seen ? most + logf(r->sinks ? sum : keys) : INFINITY;
}

static void run_attention(const struct plan *plan, const struct view *views)
{
    const int64_t *p = plan->i;
    struct rows r = {.plan = plan,
                     .views = views,
                     .q = load(&views[Q]),
                     .k = load(&views[K]),
                     .v = load(&views[V])};
    if (views[SINK].present) r.sinks = load(&views[SINK]);
    if (views[MASK].present) r.mask = load(&views[MASK]);
    if (views[BLOCKS].present) r.table = load_i64(&views[BLOCKS]);
    r.out = scratch((size_t)view_elements(&views[OUT]) * sizeof(float));
    if (p[I_LSE]) r.lse = scratch((size_t)view_elements(&views[LSE]) * sizeof(float));
    int64_t total_k = 0;
    const int64_t *n_q = plan->ints[0], *n_kv = plan->ints[1];
    for (int64_t b = 0; b < p[I_BATCH]; b++) total_k += n_kv ? n_kv[b] : 0;
    int64_t room =
        views[K].dims[0] * views[K].dims[1] * (views[K].n_dims > 2 ? views[K].dims[2] : 1);
    r.scores = scratch((size_t)(total_k + room + 1) * sizeof(float));
    uint64_t bytes = 2 * (uint64_t)view_elements(&views[Q]) * type_bits(views[Q].dtype) / 8;
    for (int64_t b = 0; b < p[I_BATCH]; b++) {
        int64_t first_q = 0, first_k = 0, queries, keys;
        if (p[I_LAYOUT] == TND) {
            first_q = b ? n_q[b - 1] : 0;
            queries = n_q[b] - first_q;
            first_k = b && !r.table ? n_kv[b - 1] : 0;
            keys = n_kv[b] - first_k;
        } else {
            int64_t longest = p[I_LAYOUT] == BNSD ? views[Q].dims[2] : views[Q].dims[1];
            int64_t longest_k = p[I_LAYOUT] == BNSD ? views[K].dims[2] : views[K].dims[1];
            queries = n_q ? n_q[plan->n_ints[0] == 1 ? 0 : b] : longest;
            keys = n_kv ? n_kv[plan->n_ints[1] == 1 ? 0 : b] : longest_k;
        }
        for (int64_t i = 0; i < queries; i++)
            for (int64_t h = 0; h < p[I_HEADS]; h++)
                attend(&r, b, i, h, queries, keys, first_q, first_k);
        bytes +=
            (uint64_t)(keys * p[I_KV_HEADS] * p[I_HEAD_DIM]) * 2 * type_bits(views[K].dtype) / 8;
    }
    store(&views[OUT], r.out);
    if (r.lse) store(&views[LSE], r.lse);
    operator_bytes = bytes;
}

/* ---- checks ---- */

static void check_lengths(op *o, const struct view *q, const struct view *k, bool paged)
{
    const int64_t *n_q = o->plan->ints[0], *n_kv = o->plan->ints[1];
    uint64_t batch = o->plan->n_ints[0], batch_kv = o->plan->n_ints[1];
    int64_t layout = o->plan->i[I_LAYOUT];
    if (layout == TND) {
        op_need(o, batch >= 1 && batch == batch_kv && batch <= 4096,
                "TND needs actualSeqLengths and actualSeqLengthsKv of the batch, got %llu and %llu",
                (unsigned long long)batch, (unsigned long long)batch_kv);
        if (o->status) return;
        for (uint64_t b = 1; b < batch; b++) {
            op_need(o, n_q[b] >= n_q[b - 1], "actualSeqLengths must be cumulative");
            op_need(o, paged || n_kv[b] >= n_kv[b - 1],
                    "actualSeqLengthsKv must be cumulative without pages");
        }
        op_need(o, n_q[batch - 1] == q->dims[0],
                "actualSeqLengths ends at %lld, the query has %lld rows", (long long)n_q[batch - 1],
                (long long)q->dims[0]);
        op_need(o, paged || n_kv[batch - 1] == k->dims[0],
                "actualSeqLengthsKv ends at %lld of %lld", (long long)n_kv[batch - 1],
                (long long)k->dims[0]);
        o->plan->i[I_BATCH] = (int64_t)batch;
    } else {
        int64_t n = q->dims[0], longest = layout == BNSD ? q->dims[2] : q->dims[1];
        op_need(o,
                (!batch || batch == 1 || batch == (uint64_t)n) &&
                    (!batch_kv || batch_kv == 1 || batch_kv == (uint64_t)n),
                "actualSeqLengths must have one element or those of the batch");
        if (o->status) return;
        for (uint64_t b = 0; b < batch; b++)
            op_need(o, n_q[b] >= 0 && n_q[b] <= longest, "actualSeqLengths %lld of %lld",
                    (long long)n_q[b], (long long)longest);
        op_need(o, !paged || batch_kv, "pages need actualSeqLengthsKv");
        int64_t longest_k = layout == BNSD ? k->dims[2] : k->dims[1];
        for (uint64_t b = 0; !paged && b < batch_kv; b++)
            op_need(o, n_kv[b] >= 0 && n_kv[b] <= longest_k, "actualSeqLengthsKv %lld of %lld",
                    (long long)n_kv[b], (long long)longest_k);
        o->plan->i[I_BATCH] = n;
    }
}

static void check_pages(op *o, const struct fia *f, const struct view *k, const struct view *v,
                        const struct view *blocks, int64_t d)
{
    int64_t block = f->block_size, unit = sim_cann() >= 85 ? 16 : 128;
    op_need(o, block > 0 && block % unit == 0 && block <= 1024,
            "blockSize %lld: a multiple of %lld up to 1024", (long long)block, (long long)unit);
    op_same_shape(o, k, v);
    if (k->n_dims == 4) {
        op_shape(o, k, 4, (int64_t)-1, f->kv_heads, block, d);
    } else {
        op_shape(o, k, 3, (int64_t)-1, block, f->kv_heads * d);
        op_need(o, f->kv_heads * d <= 65535, "KV heads * D %lld", (long long)(f->kv_heads * d));
    }
    op_shape(o, blocks, 2, o->plan->i[I_BATCH], (int64_t)-1);
    for (uint64_t b = 0; b < o->plan->n_ints[1] && !o->status; b++)
        op_need(o, o->plan->ints[1][b] <= blocks->dims[1] * block,
                "actualSeqLengthsKv %lld needs more than %lld blocks",
                (long long)o->plan->ints[1][b], (long long)blocks->dims[1]);
    o->plan->i[I_BLOCK] = block;
}

static void check_mask(op *o, const struct fia *f, const struct view *mask, const struct view *q,
                       const struct view *k, bool paged)
{
    int64_t layout = o->plan->i[I_LAYOUT];
    bool known = f->sparse_mode == 0 || f->sparse_mode == 3 || f->sparse_mode == 4;
    op_need(o, known, "sparseMode %lld: only 0, 3 and 4 are simulated", (long long)f->sparse_mode);
    if (f->sparse_mode) {
        op_need(o, mask->present, "sparseMode %lld needs the compressed mask",
                (long long)f->sparse_mode);
        bool square = mask->n_dims >= 2 && mask->dims[mask->n_dims - 1] == MASK_SIDE &&
                      mask->dims[mask->n_dims - 2] == MASK_SIDE &&
                      view_elements(mask) == MASK_SIDE * MASK_SIDE;
        op_need(o, square, "the compressed mask is 2048 x 2048");
    } else if (mask->present) {
        int64_t longest = layout == BNSD ? q->dims[2] : layout == TND ? 0 : q->dims[1];
        int64_t longest_k = paged ? 0 : layout == BNSD ? k->dims[2] : k->dims[1];
        op_need(o, layout != TND, "TND with sparseMode 0 takes no mask");
        op_need(o, mask->n_dims >= 2 && mask->n_dims <= 4, "the mask has %d dimensions",
                mask->n_dims);
        op_need(o, mask->n_dims < 4 || mask->dims[1] == 1, "the mask is [B, 1, S, S]");
        op_need(o, mask->n_dims < 3 || mask->dims[0] == 1 || mask->dims[0] == q->dims[0],
                "the mask's batch");
        if (!o->status)
            op_need(o,
                    mask->dims[mask->n_dims - 2] >= longest &&
                        mask->dims[mask->n_dims - 1] >= longest_k,
                    "the mask is smaller than queries x keys");
    }
    for (uint64_t b = 0;
         paged && !f->sparse_mode && mask->present && !o->status && b < o->plan->n_ints[1]; b++)
        op_need(o, mask->dims[mask->n_dims - 1] >= o->plan->ints[1][b],
                "the mask is smaller than the keys");
    op_need(o, f->sparse_mode != 4 || (f->pre_tokens >= 0 && f->next_tokens >= 0),
            "band of %lld and %lld", (long long)f->pre_tokens, (long long)f->next_tokens);
}

static void check_sink(op *o, const struct fia *f, const struct view *sink, const struct view *q,
                       int64_t d)
{
    int cann = sim_cann();
    op_shape(o, sink, 1, f->heads);
    op_need(o, f->inner_precise == 0, "innerPrecise %lld with a sink", (long long)f->inner_precise);
    op_need(o, d == 64 || d == 128, "D %lld with a sink", (long long)d);
    if (cann < 85) {
        op_need(o, o->plan->i[I_LAYOUT] == TND, "only TND and NTD_TND support a sink before 8.5");
        op_need(o, q->dtype == ACL_BF16, "only BFLOAT16 with a sink before 8.5");
    }
    op_need(o, sink->dtype == ACL_BF16, "the sink must be BFLOAT16 on Atlas A2");
}

static int64_t check_query(op *o, const struct fia *f, const struct view *q, const struct view *y)
{
    int64_t layout = o->plan->i[I_LAYOUT], d = 1;
    op_same_type(o, q, y);
    op_same_shape(o, q, y);
    op_need(o, f->heads >= 1 && f->kv_heads >= 0 && f->heads <= 256, "numHeads %lld",
            (long long)f->heads);
    int64_t kv = f->kv_heads ? f->kv_heads : f->heads;
    op_need(o, kv >= 1 && f->heads % kv == 0,
            "numHeads %lld is no multiple of numKeyValueHeads %lld", (long long)f->heads,
            (long long)kv);
    op_need(o, q->n_dims == (layout == TND || layout == BSH ? 3 : 4),
            "the query has %d dimensions in %s", q->n_dims, f->layout);
    if (o->status) return 1;
    if (layout == BSH) {
        op_need(o, q->dims[2] % f->heads == 0, "H %lld with %lld heads", (long long)q->dims[2],
                (long long)f->heads);
        d = q->dims[2] / f->heads;
    } else {
        d = q->dims[q->n_dims - 1];
        op_need(o, q->dims[layout == BSND ? 2 : 1] == f->heads,
                "the query has other heads than numHeads");
    }
    op_need(o, d >= 1 && d <= 512 && d % 16 == 0, "D %lld: a multiple of 16 up to 512",
            (long long)d);
    return d;
}

static void check_contiguous(op *o, const struct view *q, const struct view *k, int64_t d)
{
    int64_t layout = o->plan->i[I_LAYOUT], kv = o->plan->i[I_KV_HEADS];
    if (layout == TND) op_shape(o, k, 3, (int64_t)-1, kv, d);
    if (layout == BSH) op_shape(o, k, 3, q->dims[0], (int64_t)-1, kv * d);
    if (layout == BSND) op_shape(o, k, 4, q->dims[0], (int64_t)-1, kv, d);
    if (layout == BNSD) op_shape(o, k, 4, q->dims[0], kv, (int64_t)-1, d);
}

static aclnnStatus attention(op *o, const struct fia *f, uint64_t *ws, aclOpExecutor **ex)
{
    const struct view *q = op_in(o, "query", f->query, HALVES);
    const struct view *k = op_list(o, "key", f->key, HALVES, false, false);
    const struct view *v = op_list(o, "value", f->value, HALVES, false, false);
    const struct view *mask =
        op_optional(o, "attenMask", f->mask, BOOLS | TYPE(ACL_INT8) | TYPE(ACL_UINT8));
    const struct view *blocks = op_optional(o, "blockTable", f->blocks, TYPE(ACL_INT32));
    const struct view *sink = op_optional(o, "learnableSink", f->sink, HALVES);
    const struct view *y = op_out(o, "attentionOut", f->out, HALVES);
    const struct view *lse = op_optional(o, "softmaxLse", f->lse, TYPE(ACL_FLOAT));
    if (f->lse_flag && lse->present) o->views[LSE].output = true;
    bool paged = blocks->present;
    int64_t layout = 0;
    while (layout < N_LAYOUTS && (!f->layout || strcmp(f->layout, layouts[layout]))) layout++;
    op_need(o, layout < N_LAYOUTS, "inputLayout %s is not simulated",
            f->layout ? f->layout : "NULL");
    int64_t *p = o->plan->i;
    p[I_LAYOUT] = layout, p[I_HEADS] = f->heads,
    p[I_KV_HEADS] = f->kv_heads ? f->kv_heads : f->heads;
    p[I_SPARSE] = f->sparse_mode, p[I_PRE] = f->pre_tokens, p[I_NEXT] = f->next_tokens,
    p[I_LSE] = f->lse_flag;
    o->plan->d[0] = f->scale;
    op_ints(o, 0, f->lengths);
    op_ints(o, 1, f->lengths_kv);
    op_same_type(o, q, k);
    op_same_type(o, q, v);
    op_need(o, view_dense(q) && view_dense(y), "query and attentionOut must be dense");
    op_need(o, f->inner_precise >= 0 && f->inner_precise <= 3, "innerPrecise %lld",
            (long long)f->inner_precise);
    int64_t d = p[I_HEAD_DIM] = check_query(o, f, q, y);
    op_need(o, layout != TND || sim_cann() >= 83 || d == 128 || d == 192,
            "TND with D %lld before 8.3", (long long)d);
    if (!o->status && !paged) check_contiguous(o, q, k, d), check_contiguous(o, q, v, d);
    if (!o->status) check_lengths(o, q, k, paged);
    if (!o->status && paged) check_pages(o, f, k, v, blocks, d);
    if (!o->status) check_mask(o, f, mask, q, k, paged);
    if (!o->status && sink->present) check_sink(o, f, sink, q, d);
    if (f->lse_flag && !o->status) {
        op_need(o, lse->present, "softmaxLse is NULL");
        if (layout == TND) op_shape(o, lse, 3, q->dims[0], f->heads, (int64_t)1);
        else
            op_shape(o, lse, 4, q->dims[0], f->heads, layout == BNSD ? q->dims[2] : q->dims[1],
                     (int64_t)1);
    }
    uint64_t workspace = WORKSPACE; /* more for longer sequences, in steps as real ones are */
    for (uint64_t i = 0; i < o->plan->n_ints[1] && !o->status; i++)
        workspace += (uint64_t)o->plan->ints[1][i] / 64 * WORKSPACE_LONG;
    return op_done(o, run_attention, workspace, ws, ex);
}

/* ---- entry points ---- */

/* The arguments of V4: each version only added to the one before. NULL and 0 stand for what an
 * older one has not. */
static aclnnStatus fused_infer_attention(
    const char *name, const aclTensor *query, const aclTensorList *key, const aclTensorList *value,
    const aclTensor *pseShiftOptional, const aclTensor *attenMaskOptional,
    const aclIntArray *actualSeqLengthsOptional, const aclIntArray *actualSeqLengthsKvOptional,
    const aclTensor *deqScale1Optional, const aclTensor *quantScale1Optional,
    const aclTensor *deqScale2Optional, const aclTensor *quantScale2Optional,
    const aclTensor *quantOffset2Optional, const aclTensor *antiquantScaleOptional,
    const aclTensor *antiquantOffsetOptional, const aclTensor *blockTableOptional,
    const aclTensor *queryPaddingSizeOptional, const aclTensor *kvPaddingSizeOptional,
    const aclTensor *keyAntiquantScaleOptional, const aclTensor *keyAntiquantOffsetOptional,
    const aclTensor *valueAntiquantScaleOptional, const aclTensor *valueAntiquantOffsetOptional,
    const aclTensor *keySharedPrefixOptional, const aclTensor *valueSharedPrefixOptional,
    const aclIntArray *actualSharedPrefixLenOptional, const aclTensor *queryRopeOptional,
    const aclTensor *keyRopeOptional, const aclTensor *keyRopeAntiquantScaleOptional,
    const aclTensor *dequantScaleQueryOptional, const aclTensor *learnableSinkOptional,
    int64_t numHeads, double scaleValue, int64_t preTokens, int64_t nextTokens, char *inputLayout,
    int64_t numKeyValueHeads, int64_t sparseMode, int64_t innerPrecise, int64_t blockSize,
    int64_t antiquantMode, bool softmaxLseFlag, int64_t keyAntiquantMode,
    int64_t valueAntiquantMode, int64_t queryQuantMode, const aclTensor *attentionOut,
    const aclTensor *softmaxLse, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new(name);
    op_null(o, "pseShift", pseShiftOptional);
    op_null(o, "deqScale1", deqScale1Optional);
    op_null(o, "quantScale1", quantScale1Optional);
    op_null(o, "deqScale2", deqScale2Optional);
    op_null(o, "quantScale2", quantScale2Optional);
    op_null(o, "quantOffset2", quantOffset2Optional);
    op_null(o, "antiquantScale", antiquantScaleOptional);
    op_null(o, "antiquantOffset", antiquantOffsetOptional);
    op_null(o, "queryPaddingSize", queryPaddingSizeOptional);
    op_null(o, "kvPaddingSize", kvPaddingSizeOptional);
    op_null(o, "keyAntiquantScale", keyAntiquantScaleOptional);
    op_null(o, "keyAntiquantOffset", keyAntiquantOffsetOptional);
    op_null(o, "valueAntiquantScale", valueAntiquantScaleOptional);
    op_null(o, "valueAntiquantOffset", valueAntiquantOffsetOptional);
    op_null(o, "keySharedPrefix", keySharedPrefixOptional);
    op_null(o, "valueSharedPrefix", valueSharedPrefixOptional);
    op_null(o, "actualSharedPrefixLen", actualSharedPrefixLenOptional);
    op_null(o, "queryRope", queryRopeOptional);
    op_null(o, "keyRope", keyRopeOptional);
    op_null(o, "keyRopeAntiquantScale", keyRopeAntiquantScaleOptional);
    op_null(o, "dequantScaleQuery", dequantScaleQueryOptional);
    op_need(o, antiquantMode == 0, "antiquantMode without quantisation");
    (void)keyAntiquantMode;
    (void)valueAntiquantMode;
    (void)queryQuantMode;
    struct fia f = {.query = query,
                    .key = key,
                    .value = value,
                    .mask = attenMaskOptional,
                    .lengths = actualSeqLengthsOptional,
                    .lengths_kv = actualSeqLengthsKvOptional,
                    .blocks = blockTableOptional,
                    .sink = learnableSinkOptional,
                    .heads = numHeads,
                    .scale = scaleValue,
                    .pre_tokens = preTokens,
                    .next_tokens = nextTokens,
                    .layout = inputLayout,
                    .kv_heads = numKeyValueHeads,
                    .sparse_mode = sparseMode,
                    .inner_precise = innerPrecise,
                    .block_size = blockSize,
                    .lse_flag = softmaxLseFlag,
                    .out = attentionOut,
                    .lse = softmaxLse};
    return attention(o, &f, ws, ex);
}

LAUNCH(aclnnFusedInferAttentionScoreV2)
aclnnStatus sim_aclnnFusedInferAttentionScoreV2GetWorkspaceSize(
    const aclTensor *query, const aclTensorList *key, const aclTensorList *value,
    const aclTensor *pseShiftOptional, const aclTensor *attenMaskOptional,
    const aclIntArray *actualSeqLengthsOptional, const aclIntArray *actualSeqLengthsKvOptional,
    const aclTensor *deqScale1Optional, const aclTensor *quantScale1Optional,
    const aclTensor *deqScale2Optional, const aclTensor *quantScale2Optional,
    const aclTensor *quantOffset2Optional, const aclTensor *antiquantScaleOptional,
    const aclTensor *antiquantOffsetOptional, const aclTensor *blockTableOptional,
    const aclTensor *queryPaddingSizeOptional, const aclTensor *kvPaddingSizeOptional,
    const aclTensor *keyAntiquantScaleOptional, const aclTensor *keyAntiquantOffsetOptional,
    const aclTensor *valueAntiquantScaleOptional, const aclTensor *valueAntiquantOffsetOptional,
    const aclTensor *keySharedPrefixOptional, const aclTensor *valueSharedPrefixOptional,
    const aclIntArray *actualSharedPrefixLenOptional, int64_t numHeads, double scaleValue,
    int64_t preTokens, int64_t nextTokens, char *inputLayout, int64_t numKeyValueHeads,
    int64_t sparseMode, int64_t innerPrecise, int64_t blockSize, int64_t antiquantMode,
    bool softmaxLseFlag, int64_t keyAntiquantMode, int64_t valueAntiquantMode,
    const aclTensor *attentionOut, const aclTensor *softmaxLse, uint64_t *ws, aclOpExecutor **ex)
{
    return fused_infer_attention(
        "aclnnFusedInferAttentionScoreV2", query, key, value, pseShiftOptional, attenMaskOptional,
        actualSeqLengthsOptional, actualSeqLengthsKvOptional, deqScale1Optional,
        quantScale1Optional, deqScale2Optional, quantScale2Optional, quantOffset2Optional,
        antiquantScaleOptional, antiquantOffsetOptional, blockTableOptional,
        queryPaddingSizeOptional, kvPaddingSizeOptional, keyAntiquantScaleOptional,
        keyAntiquantOffsetOptional, valueAntiquantScaleOptional, valueAntiquantOffsetOptional,
        keySharedPrefixOptional, valueSharedPrefixOptional, actualSharedPrefixLenOptional, NULL,
        NULL, NULL, NULL, NULL, numHeads, scaleValue, preTokens, nextTokens, inputLayout,
        numKeyValueHeads, sparseMode, innerPrecise, blockSize, antiquantMode, softmaxLseFlag,
        keyAntiquantMode, valueAntiquantMode, 0, attentionOut, softmaxLse, ws, ex);
}

LAUNCH(aclnnFusedInferAttentionScoreV3)
aclnnStatus sim_aclnnFusedInferAttentionScoreV3GetWorkspaceSize(
    const aclTensor *query, const aclTensorList *key, const aclTensorList *value,
    const aclTensor *pseShiftOptional, const aclTensor *attenMaskOptional,
    const aclIntArray *actualSeqLengthsOptional, const aclIntArray *actualSeqLengthsKvOptional,
    const aclTensor *deqScale1Optional, const aclTensor *quantScale1Optional,
    const aclTensor *deqScale2Optional, const aclTensor *quantScale2Optional,
    const aclTensor *quantOffset2Optional, const aclTensor *antiquantScaleOptional,
    const aclTensor *antiquantOffsetOptional, const aclTensor *blockTableOptional,
    const aclTensor *queryPaddingSizeOptional, const aclTensor *kvPaddingSizeOptional,
    const aclTensor *keyAntiquantScaleOptional, const aclTensor *keyAntiquantOffsetOptional,
    const aclTensor *valueAntiquantScaleOptional, const aclTensor *valueAntiquantOffsetOptional,
    const aclTensor *keySharedPrefixOptional, const aclTensor *valueSharedPrefixOptional,
    const aclIntArray *actualSharedPrefixLenOptional, const aclTensor *queryRopeOptional,
    const aclTensor *keyRopeOptional, const aclTensor *keyRopeAntiquantScaleOptional,
    int64_t numHeads, double scaleValue, int64_t preTokens, int64_t nextTokens, char *inputLayout,
    int64_t numKeyValueHeads, int64_t sparseMode, int64_t innerPrecise, int64_t blockSize,
    int64_t antiquantMode, bool softmaxLseFlag, int64_t keyAntiquantMode,
    int64_t valueAntiquantMode, const aclTensor *attentionOut, const aclTensor *softmaxLse,
    uint64_t *ws, aclOpExecutor **ex)
{
    return fused_infer_attention(
        "aclnnFusedInferAttentionScoreV3", query, key, value, pseShiftOptional, attenMaskOptional,
        actualSeqLengthsOptional, actualSeqLengthsKvOptional, deqScale1Optional,
        quantScale1Optional, deqScale2Optional, quantScale2Optional, quantOffset2Optional,
        antiquantScaleOptional, antiquantOffsetOptional, blockTableOptional,
        queryPaddingSizeOptional, kvPaddingSizeOptional, keyAntiquantScaleOptional,
        keyAntiquantOffsetOptional, valueAntiquantScaleOptional, valueAntiquantOffsetOptional,
        keySharedPrefixOptional, valueSharedPrefixOptional, actualSharedPrefixLenOptional,
        queryRopeOptional, keyRopeOptional, keyRopeAntiquantScaleOptional, NULL, NULL, numHeads,
        scaleValue, preTokens, nextTokens, inputLayout, numKeyValueHeads, sparseMode, innerPrecise,
        blockSize, antiquantMode, softmaxLseFlag, keyAntiquantMode, valueAntiquantMode, 0,
        attentionOut, softmaxLse, ws, ex);
}

LAUNCH(aclnnFusedInferAttentionScoreV4)
aclnnStatus sim_aclnnFusedInferAttentionScoreV4GetWorkspaceSize(
    const aclTensor *query, const aclTensorList *key, const aclTensorList *value,
    const aclTensor *pseShiftOptional, const aclTensor *attenMaskOptional,
    const aclIntArray *actualSeqLengthsOptional, const aclIntArray *actualSeqLengthsKvOptional,
    const aclTensor *deqScale1Optional, const aclTensor *quantScale1Optional,
    const aclTensor *deqScale2Optional, const aclTensor *quantScale2Optional,
    const aclTensor *quantOffset2Optional, const aclTensor *antiquantScaleOptional,
    const aclTensor *antiquantOffsetOptional, const aclTensor *blockTableOptional,
    const aclTensor *queryPaddingSizeOptional, const aclTensor *kvPaddingSizeOptional,
    const aclTensor *keyAntiquantScaleOptional, const aclTensor *keyAntiquantOffsetOptional,
    const aclTensor *valueAntiquantScaleOptional, const aclTensor *valueAntiquantOffsetOptional,
    const aclTensor *keySharedPrefixOptional, const aclTensor *valueSharedPrefixOptional,
    const aclIntArray *actualSharedPrefixLenOptional, const aclTensor *queryRopeOptional,
    const aclTensor *keyRopeOptional, const aclTensor *keyRopeAntiquantScaleOptional,
    const aclTensor *dequantScaleQueryOptional, const aclTensor *learnableSinkOptional,
    int64_t numHeads, double scaleValue, int64_t preTokens, int64_t nextTokens, char *inputLayout,
    int64_t numKeyValueHeads, int64_t sparseMode, int64_t innerPrecise, int64_t blockSize,
    int64_t antiquantMode, bool softmaxLseFlag, int64_t keyAntiquantMode,
    int64_t valueAntiquantMode, int64_t queryQuantMode, const aclTensor *attentionOut,
    const aclTensor *softmaxLse, uint64_t *ws, aclOpExecutor **ex)
{
    return fused_infer_attention(
        "aclnnFusedInferAttentionScoreV4", query, key, value, pseShiftOptional, attenMaskOptional,
        actualSeqLengthsOptional, actualSeqLengthsKvOptional, deqScale1Optional,
        quantScale1Optional, deqScale2Optional, quantScale2Optional, quantOffset2Optional,
        antiquantScaleOptional, antiquantOffsetOptional, blockTableOptional,
        queryPaddingSizeOptional, kvPaddingSizeOptional, keyAntiquantScaleOptional,
        keyAntiquantOffsetOptional, valueAntiquantScaleOptional, valueAntiquantOffsetOptional,
        keySharedPrefixOptional, valueSharedPrefixOptional, actualSharedPrefixLenOptional,
        queryRopeOptional, keyRopeOptional, keyRopeAntiquantScaleOptional,
        dequantScaleQueryOptional, learnableSinkOptional, numHeads, scaleValue, preTokens,
        nextTokens, inputLayout, numKeyValueHeads, sparseMode, innerPrecise, blockSize,
        antiquantMode, softmaxLseFlag, keyAntiquantMode, valueAntiquantMode, queryQuantMode,
        attentionOut, softmaxLse, ws, ex);
}
