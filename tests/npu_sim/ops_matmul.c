/* ops_matmul.c - dense, weight-quantised and grouped matrix products.
 *
 * Sums are float32, k ascending for every element, whatever the shape; inputs are used in the type
 * they have (cubeMathType 0), or cut to HF32's 11 bits or to fp16 where it allows that. What Atlas
 * A2 documents of types and shapes is refused otherwise. */
#include "sim.h"
#include <stdlib.h>
#include <string.h>

enum { K_BLOCK = 128, WORKSPACE = 4096, LIMIT_WQ = 65535 };

void matmul(const float *a, const float *b, float *c, int64_t m, int64_t k, int64_t n)
{
    for (int64_t first = 0; first < k; first += K_BLOCK) {
        int64_t last = first + K_BLOCK < k ? first + K_BLOCK : k;
        for (int64_t i = 0; i < m; i++)
            for (int64_t l = first; l < last; l++) {
                float x = a[i * k + l];
                const float *row = b + l * n;
                float *out = c + i * n;
                for (int64_t j = 0; j < n; j++) out[j] += x * row[j];
            }
    }
}

static void cut(float *values, int64_t n, int64_t cube_math, aclDataType type)
{
    if (type != ACL_FLOAT || cube_math == 0 || cube_math == 4) return;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bits = (bits + 0x7FF + (bits >> 12 & 1)) & ~0xFFFu;
        if (cube_math == 2) values[i] = round_to(ACL_FLOAT16, values[i]);
        else memcpy(&values[i], &bits, sizeof bits);
    }
}

/* ---- dense ---- */

/* views: a, b, [bias,] out; the last two axes multiply, those before are a batch. i[0]
 * cubeMathType, i[1] whether there is a bias, d[0] beta, d[1] alpha. */
static void run_dense(const struct plan *plan, const struct view *views)
{
    const struct view *va = &views[0], *vb = &views[1], *out = &views[plan->i[1] ? 3 : 2];
    int batch_dims = out->n_dims - 2;
    int64_t m = out->dims[batch_dims], n = out->dims[batch_dims + 1], k = va->dims[va->n_dims - 1];
    int64_t dims[MAX_DIMS], batches = 1;
    memcpy(dims, out->dims, sizeof dims);
    for (int i = 0; i < batch_dims; i++) batches *= dims[i];
    dims[batch_dims] = m, dims[batch_dims + 1] = k;
    struct view ea = view_expand(va, out->n_dims, dims);
    dims[batch_dims] = k, dims[batch_dims + 1] = n;
    struct view eb = view_expand(vb, out->n_dims, dims);
    float *a = load(&ea), *b = load(&eb), *c = scratch((size_t)(batches * m * n) * sizeof *c);
    cut(a, batches * m * k, plan->i[0], va->dtype);
    cut(b, batches * k * n, plan->i[0], vb->dtype);
    for (int64_t i = 0; i < batches; i++)
        matmul(a + i * m * k, b + i * k * n, c + i * m * n, m, k, n);
    if (plan->i[1]) {
        struct view eself = view_expand(&views[2], out->n_dims, out->dims);
        float *self = load(&eself), beta = (float)plan->d[0], alpha = (float)plan->d[1];
        for (int64_t i = 0; i < batches * m * n; i++) c[i] = alpha * c[i] + beta * self[i];
    }
    store(out, c);
}

static aclnnStatus dense(const char *name, const aclTensor *self, const aclTensor *mat2,
                         const aclTensor *bias, const aclScalar *beta, const aclScalar *alpha,
                         const aclTensor *out, int n_dims, int8_t cube_math, uint64_t *ws,
                         aclOpExecutor **ex)
{
    op *o = op_new(name);
    const struct view *a = op_in(o, "self", self, FLOATS), *b = op_in(o, "mat2", mat2, FLOATS);
    bool biased = beta != NULL;
    const struct view *c = biased ? op_in(o, "bias", bias, FLOATS) : NULL;
    const struct view *y = op_out(o, "out", out, FLOATS);
    op_same_type(o, a, b);
    op_need(o, y->dtype == a->dtype || (a->dtype == ACL_FLOAT16 && y->dtype == ACL_FLOAT),
            "out must have the type of self");
    op_need(o, cube_math >= 0 && cube_math <= 4, "cubeMathType %d", cube_math);
    op_need(o, cube_math != 2 || a->dtype != ACL_BF16, "cubeMathType 2 with BFLOAT16");
    op_need(o, a->n_dims >= 2 && b->n_dims >= 2 && y->n_dims >= 2,
            "matrices have two dimensions or more");
    if (n_dims)
        op_need(o, a->n_dims == n_dims && b->n_dims == n_dims && y->n_dims == n_dims,
                "self, mat2 and out have %d, %d, %d dimensions, expected %d", a->n_dims, b->n_dims,
                y->n_dims, n_dims);
    if (!o->status) {
        const int64_t *da = a->dims + a->n_dims - 2, *db = b->dims + b->n_dims - 2;
        const int64_t *dy = y->dims + y->n_dims - 2;
        op_need(o, da[1] == db[0] && dy[0] == da[0] && dy[1] == db[1],
                "[%lld, %lld] x [%lld, %lld] into [%lld, %lld]", (long long)da[0], (long long)da[1],
                (long long)db[0], (long long)db[1], (long long)dy[0], (long long)dy[1]);
        struct view batch_a = *a, batch_b = *b;
        batch_a.n_dims -= 2, batch_b.n_dims -= 2;
        op_need(o,
                view_broadcasts(&batch_a, y->n_dims - 2, y->dims) &&
                    view_broadcasts(&batch_b, y->n_dims - 2, y->dims),
                "the batches do not broadcast to that of out");
    }
    if (c) {
        op_need(o, c->dtype == a->dtype || c->dtype == ACL_FLOAT,
                "bias must have the type of self");
        op_need(o, view_broadcasts(c, y->n_dims, y->dims), "the bias does not broadcast to out");
        o->plan->d[0] = op_scalar(o, "beta", beta);
        o->plan->d[1] = op_scalar(o, "alpha", alpha);
    }
    o->plan->i[0] = cube_math;
    o->plan->i[1] = biased;
    return op_done(o, run_dense, WORKSPACE, ws, ex);
}

LAUNCH(aclnnMm)
aclnnStatus sim_aclnnMmGetWorkspaceSize(const aclTensor *self, const aclTensor *mat2,
                                        aclTensor *out, int8_t cubeMathType, uint64_t *ws,
                                        aclOpExecutor **ex)
{
    return dense("aclnnMm", self, mat2, NULL, NULL, NULL, out, 2, cubeMathType, ws, ex);
}

LAUNCH(aclnnMatmul)
aclnnStatus sim_aclnnMatmulGetWorkspaceSize(const aclTensor *self, const aclTensor *mat2,
                                            aclTensor *out, int8_t cubeMathType, uint64_t *ws,
                                            aclOpExecutor **ex)
{
    return dense("aclnnMatmul", self, mat2, NULL, NULL, NULL, out, 0, cubeMathType, ws, ex);
}

LAUNCH(aclnnBatchMatMul)
aclnnStatus sim_aclnnBatchMatMulGetWorkspaceSize(const aclTensor *self, const aclTensor *mat2,
                                                 aclTensor *out, int8_t cubeMathType, uint64_t *ws,
                                                 aclOpExecutor **ex)
{
    return dense("aclnnBatchMatMul", self, mat2, NULL, NULL, NULL, out, 3, cubeMathType, ws, ex);
}

LAUNCH(aclnnAddmm)
aclnnStatus sim_aclnnAddmmGetWorkspaceSize(const aclTensor *self, const aclTensor *mat1,
                                           const aclTensor *mat2, const aclScalar *beta,
                                           const aclScalar *alpha, aclTensor *out,
                                           int8_t cubeMathType, uint64_t *ws, aclOpExecutor **ex)
{
    if (!beta || !alpha) return sim_error(NN_PARAM_NULLPTR, "aclnnAddmm: a scalar is NULL");
    return dense("aclnnAddmm", mat1, mat2, self, beta, alpha, out, 2, cubeMathType, ws, ex);
}

LAUNCH(aclnnBaddbmm)
aclnnStatus sim_aclnnBaddbmmGetWorkspaceSize(const aclTensor *self, const aclTensor *batch1,
                                             const aclTensor *batch2, const aclScalar *beta,
                                             const aclScalar *alpha, aclTensor *out,
                                             int8_t cubeMathType, uint64_t *ws, aclOpExecutor **ex)
{
    if (!beta || !alpha) return sim_error(NN_PARAM_NULLPTR, "aclnnBaddbmm: a scalar is NULL");
    return dense("aclnnBaddbmm", batch1, batch2, self, beta, alpha, out, 3, cubeMathType, ws, ex);
}

/* ---- quantised: INT8 by INT8 ---- */

/* views: x1, x2, scale, out; i: transposes. Exact integers (all below 2^53), then one rounding. */
static void run_int8(const struct plan *plan, const struct view *views)
{
    struct view x = views[0], w = views[1];
    const struct view *out = &views[3];
    if (plan->i[0]) x = view_axis_last(&x, 0);
    if (!plan->i[1]) w = view_axis_last(&w, 0); /* [n, k] */
    int64_t m = out->dims[0], n = out->dims[1], k = x.dims[1];
    int64_t *a = load_i64(&x), *b = load_i64(&w);
    float *scale = load(&views[2]), *c = scratch((size_t)(m * n) * sizeof *c);
    bool one = views[2].dims[0] == 1;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            int32_t sum = 0;
            for (int64_t l = 0; l < k; l++) sum += (int32_t)(a[i * k + l] * b[j * k + l]);
            c[i * n + j] = (float)sum * scale[one ? 0 : j];
        }
    store(out, c);
}

LAUNCH(aclnnQuantMatmulV3)
aclnnStatus sim_aclnnQuantMatmulV3GetWorkspaceSize(const aclTensor *x1, const aclTensor *x2,
                                                   const aclTensor *scale, const aclTensor *offset,
                                                   const aclTensor *bias, bool transposeX1,
                                                   bool transposeX2, const aclTensor *out,
                                                   uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnQuantMatmulV3");
    const struct view *a = op_in(o, "x1", x1, TYPE(ACL_INT8));
    const struct view *b = op_in(o, "x2", x2, TYPE(ACL_INT8));
    const struct view *s = op_in(o, "scale", scale, TYPE(ACL_FLOAT) | TYPE(ACL_BF16));
    const struct view *y = op_out(o, "out", out, TYPE(ACL_BF16)); /* of a float scale */
    op_null(o, "offset", offset);
    op_null(o, "bias", bias); /* not simulated */
    op_shape(o, a, 2, (int64_t)-1, (int64_t)-1);
    op_shape(o, b, 2, (int64_t)-1, (int64_t)-1);
    op_need(o, view_dense(a) && view_dense(b), "x1 and x2 must be contiguous");
    int64_t m = a->dims[transposeX1], k = a->dims[!transposeX1], n = b->dims[!transposeX2];
    op_need(o, b->dims[transposeX2] == k, "x1 has k %lld, x2 %lld", (long long)k,
            (long long)b->dims[transposeX2]);
    op_need(o, a->dims[1] <= LIMIT_WQ && b->dims[1] <= LIMIT_WQ,
            "the last dimensions of x1 and x2 must be within 65535");
    op_need(o, s->n_dims == 1 && (s->dims[0] == 1 || s->dims[0] == n), "scale: (1) or (n)");
    op_shape(o, y, 2, m, n);
    o->plan->i[0] = transposeX1;
    o->plan->i[1] = transposeX2;
    return op_done(o, run_int8, WORKSPACE, ws, ex);
}

/* ---- weight-quantised ---- */

/* (weight + offset) * scale, the scale repeated `group` rows; rounded to x's type as the cube units
 * take it. */
static void dequantise(float *weight, const float *scale, const float *offset, int64_t k, int64_t n,
                       int64_t rows, int64_t columns, aclDataType type)
{
    int64_t group = (k + rows - 1) / rows;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < n; j++) {
            int64_t at = i / group * columns + (columns == 1 ? 0 : j);
            weight[i * n + j] =
                round_to(type, (weight[i * n + j] + (offset ? offset[at] : 0)) * scale[at]);
        }
}

/* views: x, weight, scale, offset, bias, y */
static void run_quantised(const struct plan *plan, const struct view *views)
{
    (void)plan;
    const struct view *x = &views[0], *w = &views[1], *s = &views[2], *y = &views[5];
    int64_t m = x->dims[0], k = x->dims[1], n = w->dims[1];
    float *a = load(x), *b = load(w), *c = scratch((size_t)(m * n) * sizeof *c);
    int64_t columns = s->dims[s->n_dims - 1], rows = s->n_dims == 2 ? s->dims[0] : 1;
    dequantise(b, load(s), views[3].present ? load(&views[3]) : NULL, k, n, rows, columns,
               x->dtype);
    matmul(a, b, c, m, k, n);
    if (views[4].present) {
        float *bias = load(&views[4]);
        for (int64_t i = 0; i < m * n; i++) c[i] += bias[i % n];
    }
    store(y, c);
}

static aclnnStatus quantised(const char *name, const aclTensor *x, const aclTensor *weight,
                             const aclTensor *scale, const aclTensor *offset,
                             const aclTensor *quant_scale, const aclTensor *quant_offset,
                             const aclTensor *bias, int group, int inner_precise,
                             const aclTensor *y, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new(name);
    const struct view *a = op_in(o, "x", x, HALVES);
    const struct view *w = op_in(o, "weight", weight, TYPE(ACL_INT8) | TYPE(ACL_INT4));
    const struct view *s = op_in(o, "antiquantScale", scale, HALVES);
    const struct view *f = op_optional(o, "antiquantOffset", offset, HALVES);
    const struct view *b = op_optional(o, "bias", bias, FLOATS);
    const struct view *out = op_out(o, "y", y, HALVES);
    op_null(o, "quantScale", quant_scale);
    op_null(o, "quantOffset", quant_offset);
    op_need(o, inner_precise == 0 || inner_precise == 1, "innerPrecise %d", inner_precise);
    op_shape(o, a, 2, (int64_t)-1, (int64_t)-1);
    op_shape(o, w, 2, a->dims[1], (int64_t)-1);
    op_shape(o, out, 2, a->dims[0], w->dims[1]);
    op_same_type(o, a, s);
    op_same_type(o, a, out);
    int64_t k = a->dims[1], n = w->dims[1];
    op_need(o, k >= 1 && k <= LIMIT_WQ && n >= 1 && n <= LIMIT_WQ,
            "k %lld and n %lld must be within 65535", (long long)k, (long long)n);
    op_need(o, view_dense(a), "x may not be transposed");
    int64_t unit = w->dtype == ACL_INT8 ? 32 : 64;
    if (group) {
        op_need(o, group >= 32 && group % 32 == 0 && group <= k - 1,
                "antiquantGroupSize %d: a multiple of 32 from 32 to k - 1 = %lld", group,
                (long long)k - 1);
        op_need(o, k % unit == 0 && n % unit == 0,
                "k %lld and n %lld must be multiples of %lld per group", (long long)k, (long long)n,
                (long long)unit);
        if (!o->status) op_shape(o, s, 2, (k + group - 1) / group, n);
    } else {
        bool one = s->n_dims == 1 && (s->dims[0] == 1 || s->dims[0] == n);
        op_need(o, one || (s->n_dims == 2 && s->dims[0] == 1 && s->dims[1] == n),
                "antiquantScale: (1), (n) or (1, n) without groups");
    }
    bool transposed = w->strides[0] == 1 && w->strides[1] == k && k > 1;
    op_need(o, view_dense(w) || transposed, "weight is neither dense nor transposed");
    if (group && transposed)
        op_need(o, s->strides[0] == 1, "weight is transposed, so antiquantScale must be, too");
    if (f->present) {
        op_same_type(o, a, f);
        op_same_shape(o, s, f);
    }
    if (b->present) {
        op_need(o, b->dtype == (a->dtype == ACL_BF16 ? ACL_FLOAT : ACL_FLOAT16),
                "bias must be FLOAT with BFLOAT16 and FLOAT16 with FLOAT16");
        op_need(o, view_elements(b) == n && b->dims[b->n_dims - 1] == n,
                "bias must have n elements");
    }
    return op_done(o, run_quantised, WORKSPACE, ws, ex);
}

LAUNCH(aclnnWeightQuantBatchMatmulV2)
aclnnStatus sim_aclnnWeightQuantBatchMatmulV2GetWorkspaceSize(
    const aclTensor *x, const aclTensor *weight, const aclTensor *antiquantScale,
    const aclTensor *antiquantOffsetOptional, const aclTensor *quantScaleOptional,
    const aclTensor *quantOffsetOptional, const aclTensor *biasOptional, int antiquantGroupSize,
    const aclTensor *y, uint64_t *ws, aclOpExecutor **ex)
{
    return quantised("aclnnWeightQuantBatchMatmulV2", x, weight, antiquantScale,
                     antiquantOffsetOptional, quantScaleOptional, quantOffsetOptional, biasOptional,
                     antiquantGroupSize, 0, y, ws, ex);
}

LAUNCH(aclnnWeightQuantBatchMatmulV3)
aclnnStatus sim_aclnnWeightQuantBatchMatmulV3GetWorkspaceSize(
    const aclTensor *x, const aclTensor *weight, const aclTensor *antiquantScale,
    const aclTensor *antiquantOffsetOptional, const aclTensor *quantScaleOptional,
    const aclTensor *quantOffsetOptional, const aclTensor *biasOptional, int antiquantGroupSize,
    int innerPrecise, const aclTensor *y, uint64_t *ws, aclOpExecutor **ex)
{
    return quantised("aclnnWeightQuantBatchMatmulV3", x, weight, antiquantScale,
                     antiquantOffsetOptional, quantScaleOptional, quantOffsetOptional, biasOptional,
                     antiquantGroupSize, innerPrecise, y, ws, ex);
}

/* ---- grouped ---- */

enum { GMM_X, GMM_WEIGHT, GMM_BIAS, GMM_SCALE, GMM_OFFSET, GMM_GROUPS, GMM_OUT };

/* The rows of group e: [begin, end). */
static void group_rows(const int64_t *list, int64_t type, int64_t n_list, int64_t e, int64_t *begin,
                       int64_t *end)
{
    *begin = *end = 0;
    if (type == 0) {
        *begin = e ? list[e - 1] : 0;
        *end = list[e];
        return;
    }
    for (int64_t i = 0; i < n_list; i++) {
        int64_t index = type == 2 ? list[2 * i] : i, count = type == 2 ? list[2 * i + 1] : list[i];
        if (index == e) {
            *end = *begin + count;
            return;
        }
        *begin += count;
    }
    *end = *begin;
}

static void run_grouped(const struct plan *plan, const struct view *views)
{
    const struct view *x = &views[GMM_X], *weight = &views[GMM_WEIGHT], *out = &views[GMM_OUT];
    int64_t m = x->dims[0], k = x->dims[1], n_groups = weight->dims[0], n = weight->dims[2];
    int64_t *list = load_i64(&views[GMM_GROUPS]);
    int64_t n_list = views[GMM_GROUPS].dims[0];
    uint64_t bytes = (uint64_t)(m * (k + n)) * type_bits(x->dtype) / 8;
    for (int64_t e = 0; e < n_groups; e++) {
        int64_t begin = 0, end = 0;
        if (plan->i[0] == 0 && e >= n_list) break;
        group_rows(list, plan->i[0], n_list, e, &begin, &end);
        if (begin < 0 || end < begin || end > m) {
            sim_violate("%s: group %lld has rows %lld to %lld of %lld", plan->name, (long long)e,
                        (long long)begin, (long long)end, (long long)m);
            return;
        }
        if (begin == end) continue;
        struct view xe = *x, we = *weight, oe = *out;
        xe.dims[0] = oe.dims[0] = end - begin;
        xe.offset += begin * x->strides[0];
        oe.offset += begin * out->strides[0];
        we.n_dims = 2;
        we.dims[0] = k, we.dims[1] = n;
        we.strides[0] = weight->strides[1], we.strides[1] = weight->strides[2];
        we.offset += e * weight->strides[0];
        float *a = load(&xe), *b = load(&we), *c = scratch((size_t)((end - begin) * n) * sizeof *c);
        bytes += (uint64_t)(k * n) * type_bits(weight->dtype) / 8;
        if (views[GMM_SCALE].present) {
            const struct view *vs = &views[GMM_SCALE];
            int64_t rows = vs->n_dims == 3 ? vs->dims[1] : 1;
            dequantise(b, load(vs) + e * rows * n, load(&views[GMM_OFFSET]) + e * rows * n, k, n,
                       rows, n, x->dtype);
            bytes += (uint64_t)(4 * rows * n);
        }
        matmul(a, b, c, end - begin, k, n);
        if (views[GMM_BIAS].present) {
            float *bias = load(&views[GMM_BIAS]) + e * n;
            for (int64_t i = 0; i < (end - begin) * n; i++) c[i] += bias[i % n];
        }
        store(&oe, c);
        scratch_release();
        list = load_i64(&views[GMM_GROUPS]);
    }
    operator_bytes = bytes;
}

static void check_antiquant(op *o, const struct view *x, const struct view *w, const struct view *s,
                            const struct view *f)
{
    int64_t k = w->dims[1], n = w->dims[2];
    op_need(o, s->present && f->present,
            "an INT8 or INT4 weight needs antiquantScale and antiquantOffset");
    op_same_type(o, x, s);
    op_same_type(o, x, f);
    op_same_shape(o, s, f);
    if (w->dtype == ACL_INT4 && s->n_dims == 3) {
        op_shape(o, s, 3, w->dims[0], (int64_t)-1, n);
        op_need(o, s->dims[1] > 0 && k % s->dims[1] == 0, "k %lld in %lld groups", (long long)k,
                (long long)s->dims[1]);
        op_need(o, s->dims[1] <= 0 || k / s->dims[1] % 2 == 0, "groups of an odd number of int4");
    } else {
        op_need(o, s->n_dims == 2, "antiquantScale is per channel, (E, N)%s",
                w->dtype == ACL_INT8 ? ": no groups with INT8 weights on Atlas A2" : "");
        op_shape(o, s, 2, w->dims[0], n);
    }
    if (w->dtype == ACL_INT4)
        op_need(o, w->dims[2] % 2 == 0 && w->strides[2] == 1, "INT4: N must be even and inner");
}

/* The arguments of V4: V5 added a hint only. NULL and 0 stand for what V3 has not. */
static aclnnStatus grouped(
    const char *name, int version, const aclTensorList *x_list, const aclTensorList *weight,
    const aclTensorList *biasOptional, const aclTensorList *scaleOptional,
    const aclTensorList *offsetOptional, const aclTensorList *antiquantScaleOptional,
    const aclTensorList *antiquantOffsetOptional, const aclTensorList *perTokenScaleOptional,
    const aclTensor *groupListOptional, const aclTensorList *activationInputOptional,
    const aclTensorList *activationQuantScaleOptional,
    const aclTensorList *activationQuantOffsetOptional, int64_t splitItem, int64_t groupType,
    int64_t groupListType, int64_t actType, const aclTensorList *out,
    aclTensorList *activationFeatureOutOptional, aclTensorList *dynQuantScaleOutOptional,
    uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new(name);
    op_null(o, "perTokenScale", perTokenScaleOptional);
    op_null(o, "activationInput", activationInputOptional);
    op_null(o, "activationQuantScale", activationQuantScaleOptional);
    op_null(o, "activationQuantOffset", activationQuantOffsetOptional);
    op_null(o, "activationFeatureOut", activationFeatureOutOptional);
    op_null(o, "dynQuantScaleOut", dynQuantScaleOutOptional);
    op_need(o, version != 4 || groupListType == 0 || groupListType == 1,
            "groupListType %lld: 0 or 1 in V4", (long long)groupListType);
    int64_t max_groups = version == 3 ? 128 : 1024;
    const struct view *x = op_list(o, "x", x_list, FLOATS, false, false);
    const struct view *w =
        op_list(o, "weight", weight, FLOATS | TYPE(ACL_INT8) | TYPE(ACL_INT4), false, false);
    const struct view *b = op_list(o, "bias", biasOptional, FLOATS, true, false);
    const struct view *s =
        op_list(o, "antiquantScale", antiquantScaleOptional, HALVES, true, false);
    const struct view *f =
        op_list(o, "antiquantOffset", antiquantOffsetOptional, HALVES, true, false);
    const struct view *groups = op_in(o, "groupList", groupListOptional, TYPE(ACL_INT64));
    const struct view *y = op_list(o, "out", out, FLOATS, false, true);
    op_null(o, "scale", scaleOptional);
    op_null(o, "offset", offsetOptional);
    op_need(o, groupType == 0, "groupType %lld: only 0 is simulated", (long long)groupType);
    op_need(o, splitItem == 2 || splitItem == 3, "splitItem %lld: 2 or 3 for one output",
            (long long)splitItem);
    op_need(o, groupListType >= 0 && groupListType <= 2, "groupListType %lld",
            (long long)groupListType);
    op_need(o, actType == 0, "actType %lld without quantisation", (long long)actType);
    op_shape(o, x, 2, (int64_t)-1, (int64_t)-1);
    op_shape(o, w, 3, (int64_t)-1, x->dims[1], (int64_t)-1);
    op_shape(o, y, 2, x->dims[0], w->dims[2]);
    op_same_type(o, x, y);
    op_need(o, w->dims[0] <= max_groups, "%lld groups, at most %lld", (long long)w->dims[0],
            (long long)max_groups);
    if (groupListType == 2) op_shape(o, groups, 2, (int64_t)-1, (int64_t)2);
    else op_shape(o, groups, 1, w->dims[0]);
    bool dense_w = w->strides[2] == 1 && w->strides[1] == w->dims[2];
    bool transposed = w->strides[1] == 1 && w->strides[2] == w->dims[1];
    op_need(o, dense_w || transposed,
            "weight is neither dense nor transposed in its last two axes");
    op_need(o, view_dense(x) && view_dense(y), "x and out must be dense");
    if (w->dtype == ACL_INT8 || w->dtype == ACL_INT4) {
        op_need(o, x->dtype != ACL_FLOAT, "x must be FLOAT16 or BFLOAT16 with such a weight");
        check_antiquant(o, x, w, s, f);
    } else {
        op_same_type(o, x, w);
        op_need(o, !s->present && !f->present,
                "antiquantScale with a weight that is not quantised");
    }
    if (b->present) {
        aclDataType wanted = x->dtype == ACL_BF16 ? ACL_FLOAT : x->dtype;
        op_need(o, b->dtype == wanted, "bias must be %s",
                wanted == ACL_FLOAT ? "FLOAT" : "FLOAT16");
        op_shape(o, b, 2, w->dims[0], w->dims[2]);
    }
    o->plan->i[0] = groupListType;
    return op_done(o, run_grouped, WORKSPACE, ws, ex);
}

LAUNCH(aclnnGroupedMatmulV3)
aclnnStatus sim_aclnnGroupedMatmulV3GetWorkspaceSize(
    const aclTensorList *x, const aclTensorList *weight, const aclTensorList *biasOptional,
    const aclTensorList *scaleOptional, const aclTensorList *offsetOptional,
    const aclTensorList *antiquantScaleOptional, const aclTensorList *antiquantOffsetOptional,
    const aclTensor *groupListOptional, int64_t splitItem, int64_t groupType,
    const aclTensorList *y, uint64_t *ws, aclOpExecutor **ex)
{
    return grouped("aclnnGroupedMatmulV3", 3, x, weight, biasOptional, scaleOptional,
                   offsetOptional, antiquantScaleOptional, antiquantOffsetOptional, NULL,
                   groupListOptional, NULL, NULL, NULL, splitItem, groupType, 0, 0, y, NULL, NULL,
                   ws, ex);
}

LAUNCH(aclnnGroupedMatmulV4)
aclnnStatus sim_aclnnGroupedMatmulV4GetWorkspaceSize(
    const aclTensorList *x, const aclTensorList *weight, const aclTensorList *biasOptional,
    const aclTensorList *scaleOptional, const aclTensorList *offsetOptional,
    const aclTensorList *antiquantScaleOptional, const aclTensorList *antiquantOffsetOptional,
    const aclTensorList *perTokenScaleOptional, const aclTensor *groupListOptional,
    const aclTensorList *activationInputOptional, const aclTensorList *activationQuantScaleOptional,
    const aclTensorList *activationQuantOffsetOptional, int64_t splitItem, int64_t groupType,
    int64_t groupListType, int64_t actType, aclTensorList *out,
    aclTensorList *activationFeatureOutOptional, aclTensorList *dynQuantScaleOutOptional,
    uint64_t *ws, aclOpExecutor **ex)
{
    return grouped("aclnnGroupedMatmulV4", 4, x, weight, biasOptional, scaleOptional,
                   offsetOptional, antiquantScaleOptional, antiquantOffsetOptional,
                   perTokenScaleOptional, groupListOptional, activationInputOptional,
                   activationQuantScaleOptional, activationQuantOffsetOptional, splitItem,
                   groupType, groupListType, actType, out, activationFeatureOutOptional,
                   dynQuantScaleOutOptional, ws, ex);
}

LAUNCH(aclnnGroupedMatmulV5)
aclnnStatus sim_aclnnGroupedMatmulV5GetWorkspaceSize(
    const aclTensorList *x, const aclTensorList *weight, const aclTensorList *biasOptional,
    const aclTensorList *scaleOptional, const aclTensorList *offsetOptional,
    const aclTensorList *antiquantScaleOptional, const aclTensorList *antiquantOffsetOptional,
    const aclTensorList *perTokenScaleOptional, const aclTensor *groupListOptional,
    const aclTensorList *activationInputOptional, const aclTensorList *activationQuantScaleOptional,
    const aclTensorList *activationQuantOffsetOptional, int64_t splitItem, int64_t groupType,
    int64_t groupListType, int64_t actType, aclIntArray *tuningConfigOptional, aclTensorList *out,
    aclTensorList *activationFeatureOutOptional, aclTensorList *dynQuantScaleOutOptional,
    uint64_t *ws, aclOpExecutor **ex)
{
    (void)tuningConfigOptional; /* a hint of the number of tokens per expert */
    return grouped("aclnnGroupedMatmulV5", 5, x, weight, biasOptional, scaleOptional,
                   offsetOptional, antiquantScaleOptional, antiquantOffsetOptional,
                   perTokenScaleOptional, groupListOptional, activationInputOptional,
                   activationQuantScaleOptional, activationQuantOffsetOptional, splitItem,
                   groupType, groupListType, actType, out, activationFeatureOutOptional,
                   dynQuantScaleOutOptional, ws, ex);
}
