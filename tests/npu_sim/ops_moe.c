/* ops_moe.c - the router's choice, tokens to experts and back. */
#include "sim.h"
#include <math.h>
#include <string.h>

enum { WORKSPACE = 2048 };

/* ---- gating: views x, y, expert indices; i: k, renorm ---- */

static void run_gating(const struct plan *plan, const struct view *views)
{
    int64_t k = plan->i[0], n = views[0].dims[views[0].n_dims - 1],
            rows = view_elements(&views[0]) / n;
    float *x = load(&views[0]), *y = scratch((size_t)(rows * k) * sizeof *y);
    int64_t *chosen = scratch((size_t)(rows * k) * sizeof *chosen);
    bool *taken = scratch((size_t)n);
    for (int64_t r = 0; r < rows; r++) {
        const float *row = x + r * n;
        memset(taken, 0, (size_t)n);
        float most = -INFINITY, sum = 0;
        for (int64_t i = 0; i < n; i++) most = fmaxf(most, row[i]);
        for (int64_t j = 0; j < k; j++) {
            int64_t best = -1;
            for (int64_t i = 0; i < n; i++)
                if (!taken[i] && (best < 0 || row[i] > row[best])) best = i;
            taken[best] = true;
            chosen[r * k + j] = best;
        }
        /* renorm 1: over the chosen ones; 0: over all */
        for (int64_t i = 0; i < n; i++)
            if (!plan->i[1] || taken[i]) sum += expf(row[i] - most);
        for (int64_t j = 0; j < k; j++) y[r * k + j] = expf(row[chosen[r * k + j]] - most) / sum;
    }
    store(&views[1], y);
    store_i64(&views[2], chosen);
}

LAUNCH(aclnnMoeGatingTopKSoftmaxV2)
aclnnStatus sim_aclnnMoeGatingTopKSoftmaxV2GetWorkspaceSize(
    const aclTensor *x, const aclTensor *finishedOptional, int64_t k, int64_t renorm,
    bool outputSoftmaxResultFlag, const aclTensor *yOut, const aclTensor *expertIdxOut,
    const aclTensor *softmaxResultOutOptional, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnMoeGatingTopKSoftmaxV2");
    const struct view *a = op_in(o, "x", x, FLOATS);
    const struct view *y = op_out(o, "y", yOut, FLOATS);
    const struct view *e = op_out(o, "expertIdx", expertIdxOut, TYPE(ACL_INT32));
    op_null(o, "finished", finishedOptional);
    op_need(o, !outputSoftmaxResultFlag, "outputSoftmaxResultFlag is not simulated");
    (void)softmaxResultOutOptional;
    op_need(o, a->n_dims == 2 || a->n_dims == 3, "x has %d dimensions", a->n_dims);
    op_need(o, renorm == 0 || renorm == 1, "renorm %lld", (long long)renorm);
    int64_t n = a->dims[a->n_dims - 1];
    op_need(o, k >= 1 && k <= n && k <= 1024, "k %lld of %lld", (long long)k, (long long)n);
    op_same_type(o, a, y);
    op_same_shape(o, y, e);
    op_need(o,
            y->n_dims == a->n_dims && y->dims[y->n_dims - 1] == k &&
                view_elements(y) == view_elements(a) / n * k,
            "y must have k in its last dimension");
    o->plan->i[0] = k;
    o->plan->i[1] = renorm;
    return op_done(o, run_gating, WORKSPACE, ws, ex);
}

/* ---- tokens to experts ---- */

enum { COUNT_NONE, COUNT_CUMSUM, COUNT_COUNT, COUNT_PAIRS };

/* views: x, expert indices, expanded x, expanded row indices, counts;
 * i: experts, kind of counts, scatter indices, first and last + 1 expert */
static void run_routing(const struct plan *plan, const struct view *views)
{
    int64_t rows = views[0].dims[0], h = views[0].dims[1], k = views[1].dims[1], n = rows * k;
    int64_t first = plan->i[3], last = plan->i[4], n_local = last - first, at = 0;
    float *x = load(&views[0]), *y = scratch((size_t)(n * h) * sizeof *y);
    int64_t *experts = load_i64(&views[1]), *index = scratch((size_t)n * sizeof *index);
    int64_t *counts = scratch((size_t)(2 * n_local + 2) * sizeof *counts);
    for (int64_t i = 0; i < n; i++) {
        index[i] = -1;
        if (experts[i] < 0 || experts[i] >= plan->i[0])
            sim_violate("%s: expert %lld of %lld", plan->name, (long long)experts[i],
                        (long long)plan->i[0]);
    }
    for (int64_t e = first; e < last; e++)
        for (int64_t i = 0; i < n; i++)
            if (experts[i] == e) {
                memcpy(y + at * h, x + i / k * h, (size_t)h * sizeof *y);
                if (plan->i[2]) index[at] = i;
                else index[i] = at;
                counts[e - first]++;
                at++;
            }
    struct view out = views[2];
    if (out.dims[0] > at) out.dims[0] = at; /* rows behind the local ones are not written */
    store(&out, y);
    store_i64(&views[3], index);
    if (plan->i[1] == COUNT_PAIRS) {
        int64_t *pairs = scratch((size_t)(2 * plan->i[0]) * sizeof *pairs), p = 0;
        for (int64_t e = 0; e < n_local; e++)
            if (counts[e]) pairs[2 * p] = first + e, pairs[2 * p++ + 1] = counts[e];
        counts = pairs;
    } else if (plan->i[1] == COUNT_CUMSUM) {
        for (int64_t e = 1; e < n_local; e++) counts[e] += counts[e - 1];
    }
    if (views[4].present) store_i64(&views[4], counts);
}

static void check_routing(op *o, const struct view *x, const struct view *e, const struct view *y,
                          const struct view *r)
{
    op_shape(o, x, 2, (int64_t)-1, (int64_t)-1);
    op_shape(o, e, 2, x->dims[0], (int64_t)-1);
    op_shape(o, y, 2, x->dims[0] * e->dims[1], x->dims[1]);
    op_shape(o, r, 1, x->dims[0] * e->dims[1]);
    op_same_type(o, x, y);
}

LAUNCH(aclnnMoeInitRoutingV2)
aclnnStatus sim_aclnnMoeInitRoutingV2GetWorkspaceSize(
    const aclTensor *x, const aclTensor *expertIdx, int64_t activeNumOptional,
    int64_t expertCapacityOptional, int64_t expertNumOptional, int64_t dropPadModeOptional,
    int64_t expertTokensCountOrCumsumFlagOptional, bool expertTokensBeforeCapacityFlagOptional,
    const aclTensor *expandedXOut, const aclTensor *expandedRowIdxOut,
    const aclTensor *expertTokensCountOrCumsumOutOptional,
    const aclTensor *expertTokensBeforeCapacityOutOptional, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnMoeInitRoutingV2");
    (void)expertTokensBeforeCapacityOutOptional;
    const struct view *a = op_in(o, "x", x, FLOATS),
                      *e = op_in(o, "expertIdx", expertIdx, TYPE(ACL_INT32));
    const struct view *y = op_out(o, "expandedX", expandedXOut, FLOATS);
    const struct view *r = op_out(o, "expandedRowIdx", expandedRowIdxOut, TYPE(ACL_INT32));
    int64_t flag = expertTokensCountOrCumsumFlagOptional;
    op_need(o, flag >= 0 && flag <= 2, "expertTokensCountOrCumsumFlag %lld", (long long)flag);
    op_need(o, dropPadModeOptional == 0 && expertCapacityOptional == 0,
            "only dropPadMode 0 is simulated");
    op_need(o, activeNumOptional == 0, "only activeNum 0 is simulated");
    op_need(o, !expertTokensBeforeCapacityFlagOptional,
            "expertTokensBeforeCapacityFlag without capacity");
    op_need(o, expertNumOptional >= 1 || !flag, "expertNum %lld", (long long)expertNumOptional);
    if (flag)
        op_shape(o,
                 op_out(o, "expertTokensCountOrCumsum", expertTokensCountOrCumsumOutOptional,
                        TYPE(ACL_INT32)),
                 1, expertNumOptional);
    else op_optional(o, "expertTokensCountOrCumsum", NULL, 0);
    check_routing(o, a, e, y, r);
    o->plan->i[0] = o->plan->i[4] = expertNumOptional;
    o->plan->i[1] = flag == 1 ? COUNT_CUMSUM : flag == 2 ? COUNT_COUNT : COUNT_NONE;
    return op_done(o, run_routing, WORKSPACE, ws, ex);
}

LAUNCH(aclnnMoeInitRoutingV3)
aclnnStatus sim_aclnnMoeInitRoutingV3GetWorkspaceSize(
    const aclTensor *x, const aclTensor *expertIdx, const aclTensor *scaleOptional,
    const aclTensor *offsetOptional, int64_t activeNum, int64_t expertCapacity, int64_t expertNum,
    int64_t dropPadMode, int64_t expertTokensNumType, bool expertTokensNumFlag, int64_t quantMode,
    const aclIntArray *activeExpertRangeOptional, int64_t rowIdxType, const aclTensor *expandedXOut,
    const aclTensor *expandedRowIdxOut, const aclTensor *expertTokensCountOrCumsumOut,
    const aclTensor *expandedScaleOut, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnMoeInitRoutingV3");
    const struct view *a = op_in(o, "x", x, FLOATS),
                      *e = op_in(o, "expertIdx", expertIdx, TYPE(ACL_INT32));
    const struct view *y = op_out(o, "expandedX", expandedXOut, FLOATS);
    const struct view *r = op_out(o, "expandedRowIdx", expandedRowIdxOut, TYPE(ACL_INT32));
    const struct view *c =
        op_out(o, "expertTokensCountOrCumsum", expertTokensCountOrCumsumOut, TYPE(ACL_INT64));
    (void)expandedScaleOut; /* written only with a scale */
    op_null(o, "scale", scaleOptional);
    op_null(o, "offset", offsetOptional);
    op_need(o, quantMode == -1, "only quantMode -1 is simulated");
    op_need(o, dropPadMode == 0 && expertCapacity <= 0, "only dropPadMode 0 is simulated");
    op_need(o, expertTokensNumFlag, "expertTokensNumFlag must be true");
    op_need(o, expertTokensNumType >= 0 && expertTokensNumType <= 2, "expertTokensNumType %lld",
            (long long)expertTokensNumType);
    op_need(o, rowIdxType == 0 || rowIdxType == 1, "rowIdxType %lld", (long long)rowIdxType);
    check_routing(o, a, e, y, r);
    op_need(o, activeNum <= 0 || activeNum == a->dims[0] * e->dims[1],
            "activeNum %lld, expected rows * k", (long long)activeNum);
    op_need(o, expertNum >= 1 && expertNum <= 10240, "expertNum %lld", (long long)expertNum);
    int64_t first = 0, last = expertNum;
    if (activeExpertRangeOptional && activeExpertRangeOptional->size == 2) {
        first = activeExpertRangeOptional->values[0];
        last = activeExpertRangeOptional->values[1];
    }
    op_need(o, first >= 0 && first < last && last <= expertNum, "activeExpertRange [%lld, %lld)",
            (long long)first, (long long)last);
    if (expertTokensNumType == 2) op_shape(o, c, 2, expertNum, (int64_t)2);
    else op_shape(o, c, 1, last - first);
    o->plan->i[0] = expertNum;
    o->plan->i[1] = expertTokensNumType == 0   ? COUNT_CUMSUM
                    : expertTokensNumType == 1 ? COUNT_COUNT
                                               : COUNT_PAIRS;
    o->plan->i[2] = rowIdxType;
    o->plan->i[3] = first, o->plan->i[4] = last;
    return op_done(o, run_routing, WORKSPACE, ws, ex);
}

/* ---- and back ---- */

/* views: expanded x, row indices, x1, x2, bias, scales, expert indices, out; i: mode, k */
static void run_finalize(const struct plan *plan, const struct view *views)
{
    int64_t rows = views[7].dims[0], h = views[7].dims[1], k = plan->i[1], n = views[0].dims[0];
    float *x = load(&views[0]), *y = scratch((size_t)(rows * h) * sizeof *y);
    float *scales = views[5].present ? load(&views[5]) : NULL,
          *bias = views[4].present ? load(&views[4]) : NULL;
    int64_t *index = load_i64(&views[1]), *experts = views[6].present ? load_i64(&views[6]) : NULL;
    for (int part = 2; part <= 3; part++) {
        float *add = views[part].present ? load(&views[part]) : NULL;
        for (int64_t i = 0; add && i < rows * h; i++) y[i] += add[i];
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < k; j++) {
            int64_t from = plan->i[0] == 2 ? index[r * k + j] : index[j * rows + r];
            if (from < 0 || from >= n) {
                sim_violate("%s: row %lld of %lld", plan->name, (long long)from, (long long)n);
                continue;
            }
            float scale = scales ? scales[r * k + j] : 1;
            const float *b = bias ? bias + experts[r * k + j] * h : NULL;
            for (int64_t i = 0; i < h; i++)
                y[r * h + i] += scale * (x[from * h + i] + (b ? b[i] : 0));
        }
    store(&views[7], y);
}

LAUNCH(aclnnMoeFinalizeRoutingV2)
aclnnStatus sim_aclnnMoeFinalizeRoutingV2GetWorkspaceSize(
    const aclTensor *expandedX, const aclTensor *expandedRowIdx, const aclTensor *x1Optional,
    const aclTensor *x2Optional, const aclTensor *biasOptional, const aclTensor *scalesOptional,
    const aclTensor *expertIdxOptional, int64_t dropPadMode, const aclTensor *out, uint64_t *ws,
    aclOpExecutor **ex)
{
    op *o = op_new("aclnnMoeFinalizeRoutingV2");
    const struct view *x = op_in(o, "expandedX", expandedX, FLOATS);
    const struct view *r = op_in(o, "expandedRowIdx", expandedRowIdx, TYPE(ACL_INT32));
    const struct view *a = op_optional(o, "x1", x1Optional, FLOATS),
                      *b = op_optional(o, "x2", x2Optional, FLOATS);
    const struct view *bias = op_optional(o, "bias", biasOptional, FLOATS);
    const struct view *s = op_optional(o, "scales", scalesOptional, FLOATS);
    const struct view *e = op_optional(o, "expertIdx", expertIdxOptional, TYPE(ACL_INT32));
    const struct view *y = op_out(o, "out", out, FLOATS);
    op_need(o, dropPadMode == 0 || dropPadMode == 2, "dropPadMode %lld: only 0 and 2 are simulated",
            (long long)dropPadMode);
    op_shape(o, x, 2, (int64_t)-1, (int64_t)-1);
    op_shape(o, y, 2, (int64_t)-1, x->dims[1]);
    op_same_type(o, x, y);
    int64_t rows = y->dims[0], k = s->present ? s->dims[1] : 1;
    op_need(o, rows > 0 && view_elements(r) == rows * k && r->n_dims == 1,
            "expandedRowIdx must have rows * k elements");
    op_need(o, x->dims[0] == rows * k, "expandedX has %lld rows, expected %lld",
            (long long)x->dims[0], (long long)(rows * k));
    if (s->present) {
        op_shape(o, s, 2, rows, (int64_t)-1);
        op_need(o, s->dtype == x->dtype || s->dtype == ACL_FLOAT,
                "scales must have the type of expandedX, or FLOAT");
    }
    op_need(o, a->present || !b->present, "x2 without x1");
    if (a->present) op_same_type(o, x, a), op_same_shape(o, y, a);
    if (b->present) op_same_type(o, x, b), op_same_shape(o, y, b);
    if (bias->present) {
        op_same_type(o, x, bias);
        op_need(o, e->present, "bias without expertIdx");
        op_shape(o, bias, 2, (int64_t)-1, x->dims[1]);
    }
    if (e->present) op_shape(o, e, 2, rows, k);
    o->plan->i[0] = dropPadMode;
    o->plan->i[1] = k;
    return op_done(o, run_finalize, WORKSPACE, ws, ex);
}
