/* ops_norm.c - norms, softmax and its kin, gated activations, rotary positions, the loss.
 *
 * float32 inside, one rounding at the end. */
#include "sim.h"
#include <math.h>
#include <string.h>

enum { WORKSPACE = 1024 };

/* ---- RMSNorm ---- */

/* views: x1, x2, gamma, y, rstd, x; x2 and x may be absent. d[0] epsilon */
static void run_rms_norm(const struct plan *plan, const struct view *views)
{
    int64_t n = view_elements(&views[2]), rows = view_elements(&views[0]) / n;
    float *x = load(&views[0]), *gamma = load(&views[2]),
          *rstd = scratch((size_t)rows * sizeof *rstd);
    if (views[1].present) {
        float *x2 = load(&views[1]);
        for (int64_t i = 0; i < rows * n; i++) x[i] += x2[i];
        store(&views[5], x);
        for (int64_t i = 0; i < rows * n; i++) x[i] = round_to(views[5].dtype, x[i]);
    }
    for (int64_t r = 0; r < rows; r++) {
        float sum = 0;
        for (int64_t i = 0; i < n; i++) sum += x[r * n + i] * x[r * n + i];
        rstd[r] = 1 / sqrtf(sum / (float)n + (float)plan->d[0]);
        for (int64_t i = 0; i < n; i++) x[r * n + i] = x[r * n + i] * rstd[r] * gamma[i];
    }
    store(&views[3], x);
    store(&views[4], rstd);
}

static void check_norm(op *o, const struct view *x, const struct view *gamma, const struct view *y,
                       const struct view *rstd)
{
    op_same_type(o, x, y);
    op_same_shape(o, x, y);
    int first = x->n_dims - gamma->n_dims;
    op_need(o, first >= 0 && rstd->n_dims == x->n_dims, "gamma or rstd: dimensions");
    for (int i = 0; i < x->n_dims && !o->status; i++) {
        if (i >= first)
            op_need(o, gamma->dims[i - first] == x->dims[i],
                    "gamma is not the last dimensions of x");
        op_need(o, rstd->dims[i] == (i < first ? x->dims[i] : 1), "rstd: dimension %d", i);
    }
}

LAUNCH(aclnnRmsNorm)
aclnnStatus sim_aclnnRmsNormGetWorkspaceSize(const aclTensor *x, const aclTensor *gamma,
                                             double epsilon, const aclTensor *yOut,
                                             const aclTensor *rstdOut, uint64_t *ws,
                                             aclOpExecutor **ex)
{
    op *o = op_new("aclnnRmsNorm");
    const struct view *a = op_in(o, "x", x, FLOATS);
    op_optional(o, "x2", NULL, FLOATS);
    const struct view *g = op_in(o, "gamma", gamma, FLOATS);
    const struct view *y = op_out(o, "y", yOut, FLOATS);
    const struct view *r = op_out(o, "rstd", rstdOut, TYPE(ACL_FLOAT));
    op_optional(o, "xOut", NULL, FLOATS);
    op_need(o, g->dtype == a->dtype || g->dtype == ACL_FLOAT,
            "gamma must have the type of x, or FLOAT");
    check_norm(o, a, g, y, r);
    o->plan->d[0] = epsilon;
    return op_done(o, run_rms_norm, WORKSPACE, ws, ex);
}

LAUNCH(aclnnAddRmsNorm)
aclnnStatus sim_aclnnAddRmsNormGetWorkspaceSize(const aclTensor *x1, const aclTensor *x2,
                                                const aclTensor *gamma, double epsilon,
                                                const aclTensor *yOut, const aclTensor *rstdOut,
                                                const aclTensor *xOut, uint64_t *ws,
                                                aclOpExecutor **ex)
{
    op *o = op_new("aclnnAddRmsNorm");
    const struct view *a = op_in(o, "x1", x1, FLOATS), *b = op_in(o, "x2", x2, FLOATS);
    const struct view *g = op_in(o, "gamma", gamma, FLOATS);
    const struct view *y = op_out(o, "y", yOut, FLOATS);
    const struct view *r = op_out(o, "rstd", rstdOut, TYPE(ACL_FLOAT));
    const struct view *s = op_out(o, "x", xOut, FLOATS);
    op_same_type(o, a, b);
    op_same_type(o, a, g);
    op_same_type(o, a, s);
    op_same_shape(o, a, b);
    op_same_shape(o, a, s);
    check_norm(o, a, g, y, r);
    o->plan->d[0] = epsilon;
    return op_done(o, run_rms_norm, WORKSPACE, ws, ex);
}

/* ---- softmax ---- */

/* views: self, out; i: axis, logarithm */
static void run_softmax(const struct plan *plan, const struct view *views)
{
    struct view in = view_axis_last(&views[0], (int)plan->i[0]),
                out = view_axis_last(&views[1], (int)plan->i[0]);
    int64_t n = in.dims[in.n_dims - 1], rows = view_elements(&in) / n;
    float *x = load(&in);
    for (int64_t r = 0; r < rows; r++) {
        float most = -INFINITY, sum = 0, *row = x + r * n;
        for (int64_t i = 0; i < n; i++) most = fmaxf(most, row[i]);
        for (int64_t i = 0; i < n; i++) sum += expf(row[i] - most);
        for (int64_t i = 0; i < n; i++)
            row[i] = plan->i[1] ? row[i] - most - logf(sum) : expf(row[i] - most) / sum;
    }
    store(&out, x);
}

static aclnnStatus softmax(const char *name, bool logarithm, const aclTensor *self, int64_t dim,
                           aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new(name);
    const struct view *a = op_in(o, "self", self, FLOATS), *y = op_out(o, "out", out, FLOATS);
    op_same_shape(o, a, y);
    op_need(o, y->dtype == a->dtype || y->dtype == ACL_FLOAT,
            "out must have the type of self, or FLOAT");
    o->plan->i[0] = op_axis(o, a, dim);
    o->plan->i[1] = logarithm;
    return op_done(o, run_softmax, WORKSPACE, ws, ex);
}

LAUNCH(aclnnSoftmax)
aclnnStatus sim_aclnnSoftmaxGetWorkspaceSize(const aclTensor *self, int64_t dim, aclTensor *out,
                                             uint64_t *ws, aclOpExecutor **ex)
{
    return softmax("aclnnSoftmax", false, self, dim, out, ws, ex);
}

LAUNCH(aclnnLogSoftmax)
aclnnStatus sim_aclnnLogSoftmaxGetWorkspaceSize(const aclTensor *self, int64_t dim, aclTensor *out,
                                                uint64_t *ws, aclOpExecutor **ex)
{
    return softmax("aclnnLogSoftmax", true, self, dim, out, ws, ex);
}

/* views: gradient, output of the forward pass, out: g - exp(y) * sum(g) */
static void run_log_softmax_backward(const struct plan *plan, const struct view *views)
{
    int axis = (int)plan->i[0];
    struct view vg = view_axis_last(&views[0], axis), vy = view_axis_last(&views[1], axis);
    struct view out = view_axis_last(&views[2], axis);
    int64_t n = vg.dims[vg.n_dims - 1], rows = view_elements(&vg) / n;
    float *g = load(&vg), *y = load(&vy);
    for (int64_t r = 0; r < rows; r++) {
        float sum = 0;
        for (int64_t i = 0; i < n; i++) sum += g[r * n + i];
        for (int64_t i = 0; i < n; i++) g[r * n + i] -= expf(y[r * n + i]) * sum;
    }
    store(&out, g);
}

LAUNCH(aclnnLogSoftmaxBackward)
aclnnStatus sim_aclnnLogSoftmaxBackwardGetWorkspaceSize(const aclTensor *gradOutput,
                                                        const aclTensor *output, int64_t dim,
                                                        aclTensor *out, uint64_t *ws,
                                                        aclOpExecutor **ex)
{
    op *o = op_new("aclnnLogSoftmaxBackward");
    const struct view *g = op_in(o, "gradOutput", gradOutput, FLOATS);
    const struct view *a = op_in(o, "output", output, FLOATS);
    const struct view *y = op_out(o, "out", out, FLOATS);
    op_same_type(o, g, a);
    op_same_shape(o, g, a);
    op_same_shape(o, g, y);
    o->plan->i[0] = op_axis(o, g, dim);
    return op_done(o, run_log_softmax_backward, WORKSPACE, ws, ex);
}

/* ---- negative log likelihood: reduction 0 none, 1 mean, 2 sum ---- */

/* views: self (N, C), target, weight, out, total weight */
static void run_nll(const struct plan *plan, const struct view *views)
{
    int64_t n = views[0].dims[0], c = views[0].dims[1], reduction = plan->i[0];
    float *x = load(&views[0]), *weight = load(&views[2]), *out = scratch((size_t)n * sizeof *out);
    int64_t *target = load_i64(&views[1]);
    float sum = 0, total = 0;
    for (int64_t i = 0; i < n; i++) {
        if (target[i] == plan->i[1]) continue;
        if (target[i] < 0 || target[i] >= c) {
            sim_violate("%s: target %lld of %lld", plan->name, (long long)target[i], (long long)c);
            continue;
        }
        out[i] = -weight[target[i]] * x[i * c + target[i]];
        sum += out[i];
        total += weight[target[i]];
    }
    if (reduction) out[0] = reduction == 1 ? sum / total : sum;
    store(&views[3], out);
    store(&views[4], &total);
}

static void check_nll(op *o, const struct view *x, const struct view *t, const struct view *w,
                      int64_t reduction)
{
    op_shape(o, x, 2, (int64_t)-1, (int64_t)-1);
    op_shape(o, t, 1, x->dims[0]);
    op_shape(o, w, 1, x->dims[1]);
    op_same_type(o, x, w);
    op_need(o, reduction >= 0 && reduction <= 2, "reduction %lld", (long long)reduction);
}

LAUNCH(aclnnNLLLoss)
aclnnStatus sim_aclnnNLLLossGetWorkspaceSize(const aclTensor *self, const aclTensor *target,
                                             const aclTensor *weight, int64_t reduction,
                                             int64_t ignoreIndex, aclTensor *out,
                                             aclTensor *totalWeightOut, uint64_t *ws,
                                             aclOpExecutor **ex)
{
    op *o = op_new("aclnnNLLLoss");
    const struct view *x = op_in(o, "self", self, FLOATS);
    const struct view *t = op_in(o, "target", target, INDICES | TYPE(ACL_UINT8));
    const struct view *w = op_in(o, "weight", weight, FLOATS);
    const struct view *y = op_out(o, "out", out, FLOATS);
    const struct view *s = op_out(o, "totalWeight", totalWeightOut, FLOATS);
    check_nll(o, x, t, w, reduction);
    op_same_type(o, x, s);
    op_need(o, view_elements(s) == 1 && view_elements(y) == (reduction ? 1 : x->dims[0]),
            "out or totalWeight: size");
    o->plan->i[0] = reduction;
    o->plan->i[1] = ignoreIndex;
    return op_done(o, run_nll, WORKSPACE, ws, ex);
}

/* views: gradient, self, target, weight, total weight, out */
static void run_nll_backward(const struct plan *plan, const struct view *views)
{
    int64_t n = views[1].dims[0], c = views[1].dims[1], reduction = plan->i[0];
    float *g = load(&views[0]), *weight = load(&views[3]), *total = load(&views[4]);
    float *out = scratch((size_t)(n * c) * sizeof *out);
    int64_t *target = load_i64(&views[2]);
    for (int64_t i = 0; i < n; i++) {
        if (target[i] == plan->i[1] || target[i] < 0 || target[i] >= c) continue;
        float scale = reduction == 0 ? g[i] : reduction == 1 ? g[0] / total[0] : g[0];
        out[i * c + target[i]] = -weight[target[i]] * scale;
    }
    store(&views[5], out);
}

LAUNCH(aclnnNLLLossBackward)
aclnnStatus sim_aclnnNLLLossBackwardGetWorkspaceSize(const aclTensor *gradOutput,
                                                     const aclTensor *self, const aclTensor *target,
                                                     const aclTensor *weight, int64_t reduction,
                                                     int64_t ignoreIndex,
                                                     const aclTensor *totalWeight, aclTensor *out,
                                                     uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnNLLLossBackward");
    const struct view *g = op_in(o, "gradOutput", gradOutput, FLOATS);
    const struct view *x = op_in(o, "self", self, FLOATS);
    const struct view *t = op_in(o, "target", target, INDICES | TYPE(ACL_UINT8));
    const struct view *w = op_in(o, "weight", weight, FLOATS);
    const struct view *s = op_in(o, "totalWeight", totalWeight, FLOATS);
    const struct view *y = op_out(o, "out", out, FLOATS);
    check_nll(o, x, t, w, reduction);
    op_same_shape(o, x, y);
    op_need(o, view_elements(s) == 1 && view_elements(g) == (reduction ? 1 : x->dims[0]),
            "gradOutput or totalWeight: size");
    o->plan->i[0] = reduction;
    o->plan->i[1] = ignoreIndex;
    return op_done(o, run_nll_backward, WORKSPACE, ws, ex);
}

/* ---- gated activations ---- */

/* views: x, out; i: axis, interleaved, clipped; d: alpha, limit, bias */
static void run_swiglu(const struct plan *plan, const struct view *views)
{
    int axis = (int)plan->i[0];
    struct view in = view_axis_last(&views[0], axis), out = view_axis_last(&views[1], axis);
    int64_t n = out.dims[out.n_dims - 1], rows = view_elements(&out) / n;
    float *x = load(&in), *y = scratch((size_t)(rows * n) * sizeof *y);
    float alpha = (float)plan->d[0], limit = (float)plan->d[1], bias = (float)plan->d[2];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i++) {
            const float *row = x + r * 2 * n;
            float gate = plan->i[1] ? row[2 * i] : row[i],
                  up = plan->i[1] ? row[2 * i + 1] : row[n + i];
            if (plan->i[2]) {
                gate = fminf(gate, limit);
                up = fmaxf(fminf(up, limit), -limit);
            }
            y[r * n + i] = gate / (1 + expf(-alpha * gate)) * (up + bias);
        }
    store(&out, y);
}

static void check_halves(op *o, const struct view *x, const struct view *y, int64_t axis)
{
    op_same_type(o, x, y);
    op_need(o, x->n_dims == y->n_dims, "out has %d dimensions", y->n_dims);
    for (int d = 0; d < x->n_dims; d++)
        op_need(o, d == axis ? x->dims[d] == 2 * y->dims[d] : x->dims[d] == y->dims[d],
                "out: dimension %d", d);
}

LAUNCH(aclnnClippedSwiglu)
aclnnStatus sim_aclnnClippedSwigluGetWorkspaceSize(const aclTensor *x,
                                                   const aclTensor *groupIndexOptional, int64_t dim,
                                                   double alpha, double limit, double bias,
                                                   bool interleaved, const aclTensor *out,
                                                   uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnClippedSwiglu");
    const struct view *a = op_in(o, "x", x, FLOATS), *y = op_out(o, "out", out, FLOATS);
    op_null(o, "groupIndex", groupIndexOptional);
    int64_t axis = op_axis(o, a, dim);
    check_halves(o, a, y, axis);
    o->plan->i[0] = axis, o->plan->i[1] = interleaved, o->plan->i[2] = true;
    o->plan->d[0] = alpha, o->plan->d[1] = limit, o->plan->d[2] = bias;
    return op_done(o, run_swiglu, WORKSPACE, ws, ex);
}

LAUNCH(aclnnSwiGlu)
aclnnStatus sim_aclnnSwiGluGetWorkspaceSize(const aclTensor *x, int64_t dim, const aclTensor *out,
                                            uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnSwiGlu");
    const struct view *a = op_in(o, "x", x, FLOATS), *y = op_out(o, "out", out, FLOATS);
    int64_t axis = op_axis(o, a, dim);
    check_halves(o, a, y, axis);
    o->plan->i[0] = axis;
    o->plan->d[0] = 1;
    return op_done(o, run_swiglu, WORKSPACE, ws, ex);
}

/* ---- rotary positions ---- */

static void rotate(float *x, int64_t n, const float *cosines, const float *sines, bool interleaved)
{
    for (int64_t i = 0; i < n / 2; i++) {
        int64_t p = interleaved ? 2 * i : i, q = interleaved ? 2 * i + 1 : i + n / 2;
        float a = x[p], b = x[q];
        x[p] = a * cosines[p] - b * sines[p];
        x[q] = b * cosines[q] + a * sines[q];
    }
}

/* views: positions, q, k, cache (max, rotary: cos | sin), q out, k out */
static void run_rope_cache(const struct plan *plan, const struct view *views)
{
    int64_t head = plan->i[0], n = view_elements(&views[0]), rotary = views[3].dims[1];
    int64_t *positions = load_i64(&views[0]);
    float *cache = load(&views[3]), *cosines = scratch((size_t)rotary * 4),
          *sines = scratch((size_t)rotary * 4);
    for (int part = 0; part < 2; part++) {
        float *x = load(&views[1 + part]);
        int64_t width = views[1 + part].dims[1];
        for (int64_t t = 0; t < n; t++) {
            if (positions[t] < 0 || positions[t] >= views[3].dims[0]) {
                sim_violate("%s: position %lld of %lld", plan->name, (long long)positions[t],
                            (long long)views[3].dims[0]);
                continue;
            }
            const float *row = cache + positions[t] * rotary;
            for (int64_t i = 0; i < rotary / 2; i++) {
                int64_t p = plan->i[1] ? i : 2 * i, q = plan->i[1] ? i + rotary / 2 : 2 * i + 1;
                cosines[p] = cosines[q] = row[i];
                sines[p] = sines[q] = row[rotary / 2 + i];
            }
            for (int64_t h = 0; h < width; h += head)
                rotate(x + t * width + h, rotary, cosines, sines, !plan->i[1]);
        }
        store(&views[4 + part], x);
    }
}

LAUNCH(aclnnRopeWithSinCosCache)
aclnnStatus sim_aclnnRopeWithSinCosCacheGetWorkspaceSize(
    const aclTensor *positions, const aclTensor *queryIn, const aclTensor *keyIn,
    const aclTensor *cosSinCache, const aclIntArray *mropeSection, int64_t headSize,
    bool isNeoxStyle, aclTensor *queryOut, aclTensor *keyOut, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnRopeWithSinCosCache");
    const struct view *p = op_in(o, "positions", positions, TYPE(ACL_INT64));
    const struct view *q = op_in(o, "queryIn", queryIn, FLOATS),
                      *k = op_in(o, "keyIn", keyIn, FLOATS);
    const struct view *c = op_in(o, "cosSinCache", cosSinCache, FLOATS);
    const struct view *qo = op_out(o, "queryOut", queryOut, FLOATS);
    const struct view *ko = op_out(o, "keyOut", keyOut, FLOATS);
    op_null(o, "mropeSection", mropeSection);
    op_same_type(o, q, k);
    op_same_type(o, q, c);
    op_same_type(o, q, qo);
    op_same_type(o, q, ko);
    op_same_shape(o, q, qo);
    op_same_shape(o, k, ko);
    op_shape(o, p, 1, (int64_t)-1);
    op_shape(o, q, 2, p->dims[0], (int64_t)-1);
    op_shape(o, k, 2, p->dims[0], (int64_t)-1);
    op_shape(o, c, 2, (int64_t)-1, (int64_t)-1);
    op_need(o, headSize > 0 && headSize % 32 == 0, "headSize %lld: a multiple of 32",
            (long long)headSize);
    if (!o->status)
        op_need(o,
                q->dims[1] % headSize == 0 && k->dims[1] % headSize == 0 && c->dims[1] <= headSize,
                "widths %lld, %lld and rotary %lld with heads of %lld", (long long)q->dims[1],
                (long long)k->dims[1], (long long)c->dims[1], (long long)headSize);
    o->plan->i[0] = headSize;
    o->plan->i[1] = isNeoxStyle;
    return op_done(o, run_rope_cache, WORKSPACE, ws, ex);
}

/* views: x, cos, sin, out; i[0]: interleaved */
static void run_rope(const struct plan *plan, const struct view *views)
{
    struct view c = view_expand(&views[1], views[0].n_dims, views[0].dims);
    struct view s = view_expand(&views[2], views[0].n_dims, views[0].dims);
    float *x = load(&views[0]), *cosines = load(&c), *sines = load(&s);
    int64_t n = views[0].dims[3], rows = view_elements(&views[0]) / n;
    for (int64_t r = 0; r < rows; r++)
        rotate(x + r * n, n, cosines + r * n, sines + r * n, plan->i[0]);
    store(&views[3], x);
}

LAUNCH(aclnnRotaryPositionEmbedding)
aclnnStatus sim_aclnnRotaryPositionEmbeddingGetWorkspaceSize(const aclTensor *x,
                                                             const aclTensor *cos,
                                                             const aclTensor *sin, int64_t mode,
                                                             aclTensor *out, uint64_t *ws,
                                                             aclOpExecutor **ex)
{
    op *o = op_new("aclnnRotaryPositionEmbedding");
    const struct view *a = op_in(o, "x", x, FLOATS), *c = op_in(o, "cos", cos, FLOATS);
    const struct view *s = op_in(o, "sin", sin, FLOATS), *y = op_out(o, "out", out, FLOATS);
    op_same_type(o, a, c);
    op_same_type(o, a, s);
    op_same_type(o, a, y);
    op_same_shape(o, a, y);
    op_same_shape(o, c, s);
    op_need(o, mode == 0 || mode == 1, "mode %lld", (long long)mode);
    op_need(o, a->n_dims == 4 && c->n_dims == 4, "x, cos and sin have four dimensions");
    op_need(o, a->dims[3] % 2 == 0 && a->dims[3] <= 1024 && c->dims[3] == a->dims[3], "D %lld",
            (long long)a->dims[3]);
    op_need(o, view_broadcasts(c, a->n_dims, a->dims), "cos does not broadcast to x");
    o->plan->i[0] = mode;
    return op_done(o, run_rope, WORKSPACE, ws, ex);
}
