/* ops_elementwise.c - one element at a time: arithmetic, activations, casts, copies, fills.
 *
 * Types of two inputs promote as in PyTorch (float32 over halves; bfloat16 with float16 gives
 * float32), are computed in double, rounded to float32 and then once more to the output's type. */
#include "sim.h"
#include <math.h>
#include <string.h>

typedef double (*binary_fn)(double a, double b, double c);

/* ---- what they compute ---- */

static double f_add(double a, double b, double c)
{
    return a + (double)(float)(b * c);
}

static double f_sub(double a, double b, double c)
{
    return a - (double)(float)(b * c);
}

static double f_mul(double a, double b, double c)
{
    (void)c;
    return a * b;
}

static double f_div(double a, double b, double c)
{
    (void)c;
    return a / b;
}

static double f_clamp(double a, double b, double c)
{
    return a != a ? a : a < b ? b : a > c ? c : a;
}

static double f_swish(double a, double b, double c)
{
    (void)c;
    return a / (1 + exp(-b * a));
}

static double f_sigmoid(double a, double b, double c)
{
    (void)b, (void)c;
    return 1 / (1 + exp(-a));
}

static double f_exp(double a, double b, double c)
{
    (void)b, (void)c;
    return exp(a);
}

static double f_neg(double a, double b, double c)
{
    (void)b, (void)c;
    return -a;
}

static double f_sqrt(double a, double b, double c)
{
    (void)b, (void)c;
    return sqrt(a);
}

static double f_rsqrt(double a, double b, double c)
{
    (void)b, (void)c;
    return 1 / sqrt(a);
}

static double f_reciprocal(double a, double b, double c)
{
    (void)b, (void)c;
    return 1 / a;
}

static double f_relu(double a, double b, double c)
{
    (void)b, (void)c;
    return a > 0 ? a : a != a ? a : 0;
}

static double f_threshold_backward(double gradient, double x, double threshold)
{
    return x > threshold ? gradient : 0;
}

static double f_sigmoid_backward(double gradient, double y, double c)
{
    (void)c;
    return gradient * y * (1 - y);
}

static double f_eq(double a, double b, double c)
{
    (void)c;
    return a == b;
}

static double f_ge(double a, double b, double c)
{
    (void)c;
    return a >= b;
}

static double f_finite(double a, double b, double c)
{
    (void)b, (void)c;
    return isfinite(a);
}

static const binary_fn functions[] = {f_add,
                                      f_sub,
                                      f_mul,
                                      f_div,
                                      f_clamp,
                                      f_swish,
                                      f_sigmoid,
                                      f_exp,
                                      f_neg,
                                      f_sqrt,
                                      f_rsqrt,
                                      f_reciprocal,
                                      f_relu,
                                      f_threshold_backward,
                                      f_sigmoid_backward,
                                      f_eq,
                                      f_ge,
                                      f_finite};
enum {
    ADD,
    SUB,
    MUL,
    DIV,
    CLAMP,
    SWISH,
    SIGMOID,
    EXP,
    NEG,
    SQRT,
    RSQRT,
    RECIPROCAL,
    RELU,
    THRESHOLD_BACKWARD,
    SIGMOID_BACKWARD,
    EQ,
    GE,
    FINITE
};

/* views: a, [b,] out; i[0] the function, i[1] whether b is a tensor, d[0], d[1] b and c else. */
static void run(const struct plan *plan, const struct view *views)
{
    bool two = plan->i[1];
    const struct view *out = &views[two ? 2 : 1];
    struct view a = view_expand(&views[0], out->n_dims, out->dims);
    double *x = load_f64(&a), *y = NULL;
    if (two) {
        struct view b = view_expand(&views[1], out->n_dims, out->dims);
        y = load_f64(&b);
    }
    int64_t n = view_elements(out);
    binary_fn f = functions[plan->i[0]];
    bool floats = out->dtype == ACL_FLOAT || out->dtype == ACL_BF16 || out->dtype == ACL_FLOAT16;
    for (int64_t i = 0; i < n; i++) {
        x[i] = f(x[i], two ? y[i] : plan->d[0], plan->d[1]);
        if (floats) x[i] = (double)(float)x[i];
    }
    store_f64(out, x);
}

static bool is_float(aclDataType t)
{
    return FLOATS >> t & 1;
}

static aclDataType promote(aclDataType a, aclDataType b)
{
    if (a == b) return a;
    if (is_float(a) && is_float(b)) return ACL_FLOAT;
    if (is_float(a) || is_float(b)) return is_float(a) ? a : b;
    return type_bits(a) > type_bits(b) ? a : b;
}

/* The result's shape must be the broadcast of the inputs', and its type one they can be cast to. */
static void check(op *o, const struct view *a, const struct view *b, const struct view *out)
{
    op_need(o, view_broadcasts(a, out->n_dims, out->dims), "%s does not broadcast to %s", a->name,
            out->name);
    if (b)
        op_need(o, view_broadcasts(b, out->n_dims, out->dims), "%s does not broadcast to %s",
                b->name, out->name);
    int64_t most[MAX_DIMS];
    for (int i = 0; i < out->n_dims; i++) {
        int ia = i - (out->n_dims - a->n_dims), ib = b ? i - (out->n_dims - b->n_dims) : -1;
        int64_t da = ia >= 0 && ia < MAX_DIMS ? a->dims[ia] : 1, db = ib >= 0 ? b->dims[ib] : 1;
        most[i] = da == 1 ? db : da;
        op_need(o, most[i] == out->dims[i], "%s has %lld at dimension %d, the inputs give %lld",
                out->name, (long long)out->dims[i], i, (long long)most[i]);
    }
    aclDataType type = b ? promote(a->dtype, b->dtype) : a->dtype;
    op_need(o, is_float(out->dtype) || !is_float(type), "%s cannot hold a float result", out->name);
}

static aclnnStatus unary(const char *name, int function, const aclTensor *self,
                         const aclTensor *out, double b, double c, uint64_t types, uint64_t *ws,
                         aclOpExecutor **ex)
{
    op *o = op_new(name);
    const struct view *a = op_in(o, "self", self, types);
    const struct view *y = op_out(o, "out", out, function >= EQ ? ANY : types);
    op_same_shape(o, a, y);
    if (function < EQ) check(o, a, NULL, y);
    if (o->plan) {
        o->plan->i[0] = function;
        o->plan->d[0] = b;
        o->plan->d[1] = c;
    }
    return op_done(o, run, 0, ws, ex);
}

#define UNARY(operator, function, constness, types) \
    LAUNCH(operator) \
    aclnnStatus sim_##operator##GetWorkspaceSize(const aclTensor *self, constness aclTensor *out, \
                                                 uint64_t *workspaceSize, \
                                                 aclOpExecutor **executor) \
    { \
        return unary(#operator, function, self, out, 0, 0, types, workspaceSize, executor); \
    }
UNARY(aclnnSigmoid, SIGMOID, , FLOATS)
UNARY(aclnnExp, EXP, , FLOATS)
UNARY(aclnnNeg, NEG, , FLOATS | INTS)
UNARY(aclnnSqrt, SQRT, , FLOATS)
UNARY(aclnnRsqrt, RSQRT, , FLOATS)
UNARY(aclnnReciprocal, RECIPROCAL, , FLOATS)
UNARY(aclnnRelu, RELU, const, FLOATS | INTS)
UNARY(aclnnIsFinite, FINITE, , FLOATS)

LAUNCH(aclnnSilu)
aclnnStatus sim_aclnnSiluGetWorkspaceSize(const aclTensor *self, aclTensor *out, uint64_t *ws,
                                          aclOpExecutor **ex)
{
    return unary("aclnnSilu", SWISH, self, out, 1, 0, FLOATS, ws, ex);
}

/* With scalars. */
static aclnnStatus scaled(const char *name, int function, const aclTensor *self, const aclScalar *b,
                          const aclScalar *c, double no_b, double no_c, const aclTensor *out,
                          uint64_t types, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new(name);
    const struct view *a = op_in(o, "self", self, types);
    const struct view *y = op_out(o, "out", out, function >= EQ ? ANY : types);
    op_same_shape(o, a, y);
    if (function < EQ) check(o, a, NULL, y);
    o->plan->i[0] = function;
    o->plan->d[0] = b ? op_scalar(o, "other", b) : no_b;
    o->plan->d[1] = c ? op_scalar(o, "alpha", c) : no_c;
    return op_done(o, run, 0, ws, ex);
}

static aclnnStatus null_scalar(const char *name)
{
    return sim_error(NN_PARAM_NULLPTR, "%s: a scalar is NULL", name);
}

LAUNCH(aclnnAdds)
aclnnStatus sim_aclnnAddsGetWorkspaceSize(const aclTensor *self, const aclScalar *other,
                                          const aclScalar *alpha, aclTensor *out, uint64_t *ws,
                                          aclOpExecutor **ex)
{
    if (!other || !alpha) return null_scalar("aclnnAdds");
    return scaled("aclnnAdds", ADD, self, other, alpha, 0, 0, out, FLOATS | INTS, ws, ex);
}

LAUNCH(aclnnMuls)
aclnnStatus sim_aclnnMulsGetWorkspaceSize(const aclTensor *self, const aclScalar *other,
                                          aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    if (!other) return null_scalar("aclnnMuls");
    return scaled("aclnnMuls", MUL, self, other, NULL, 0, 0, out, FLOATS | INTS, ws, ex);
}

LAUNCH(aclnnDivs)
aclnnStatus sim_aclnnDivsGetWorkspaceSize(const aclTensor *self, const aclScalar *other,
                                          aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    if (!other) return null_scalar("aclnnDivs");
    return scaled("aclnnDivs", DIV, self, other, NULL, 0, 0, out, FLOATS, ws, ex);
}

LAUNCH(aclnnClamp)
aclnnStatus sim_aclnnClampGetWorkspaceSize(const aclTensor *self, const aclScalar *clipValueMin,
                                           const aclScalar *clipValueMax, aclTensor *out,
                                           uint64_t *ws, aclOpExecutor **ex)
{
    if (!clipValueMin && !clipValueMax) return null_scalar("aclnnClamp");
    return scaled("aclnnClamp", CLAMP, self, clipValueMin, clipValueMax, -INFINITY, INFINITY, out,
                  FLOATS | INTS, ws, ex);
}

LAUNCH(aclnnClampMin)
aclnnStatus sim_aclnnClampMinGetWorkspaceSize(const aclTensor *self, const aclScalar *clipValueMin,
                                              aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    if (!clipValueMin) return null_scalar("aclnnClampMin");
    return scaled("aclnnClampMin", CLAMP, self, clipValueMin, NULL, 0, INFINITY, out, FLOATS | INTS,
                  ws, ex);
}

LAUNCH(aclnnClampMax)
aclnnStatus sim_aclnnClampMaxGetWorkspaceSize(const aclTensor *self, const aclScalar *clipValueMax,
                                              aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    if (!clipValueMax) return null_scalar("aclnnClampMax");
    return scaled("aclnnClampMax", CLAMP, self, NULL, clipValueMax, -INFINITY, 0, out,
                  FLOATS | INTS, ws, ex);
}

LAUNCH(aclnnSwish)
aclnnStatus sim_aclnnSwishGetWorkspaceSize(const aclTensor *self, const aclScalar *betaOptional,
                                           aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    return scaled("aclnnSwish", SWISH, self, betaOptional, NULL, 1, 0, out, FLOATS, ws, ex);
}

LAUNCH(aclnnEqScalar)
aclnnStatus sim_aclnnEqScalarGetWorkspaceSize(const aclTensor *self, const aclScalar *other,
                                              aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    if (!other) return null_scalar("aclnnEqScalar");
    return scaled("aclnnEqScalar", EQ, self, other, NULL, 0, 0, out, FLOATS | INTS, ws, ex);
}

LAUNCH(aclnnGeScalar)
aclnnStatus sim_aclnnGeScalarGetWorkspaceSize(const aclTensor *self, const aclScalar *other,
                                              aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    if (!other) return null_scalar("aclnnGeScalar");
    return scaled("aclnnGeScalar", GE, self, other, NULL, 0, 0, out, FLOATS | INTS, ws, ex);
}

/* Two tensors. */
static aclnnStatus binary(const char *name, int function, const aclTensor *self,
                          const aclTensor *other, const aclScalar *alpha, bool scales,
                          const aclTensor *out, uint64_t types, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new(name);
    const struct view *a = op_in(o, "self", self, types);
    const struct view *b = op_in(o, "other", other, types);
    const struct view *y = op_out(o, out == self ? "self" : "out", out, types);
    if (out == self) o->views[0].name = o->views[2].name;
    check(o, a, b, y);
    o->plan->i[0] = function;
    o->plan->i[1] = 1;
    o->plan->d[1] = scales ? op_scalar(o, "alpha", alpha) : 0;
    return op_done(o, run, 0, ws, ex);
}

LAUNCH(aclnnAdd)
aclnnStatus sim_aclnnAddGetWorkspaceSize(const aclTensor *self, const aclTensor *other,
                                         const aclScalar *alpha, aclTensor *out, uint64_t *ws,
                                         aclOpExecutor **ex)
{
    return binary("aclnnAdd", ADD, self, other, alpha, true, out, FLOATS | INTS, ws, ex);
}

LAUNCH(aclnnSub)
aclnnStatus sim_aclnnSubGetWorkspaceSize(const aclTensor *self, const aclTensor *other,
                                         const aclScalar *alpha, aclTensor *out, uint64_t *ws,
                                         aclOpExecutor **ex)
{
    return binary("aclnnSub", SUB, self, other, alpha, true, out, FLOATS | INTS, ws, ex);
}

LAUNCH(aclnnMul)
aclnnStatus sim_aclnnMulGetWorkspaceSize(const aclTensor *self, const aclTensor *other,
                                         aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    return binary("aclnnMul", MUL, self, other, NULL, false, out, FLOATS | INTS | BOOLS, ws, ex);
}

LAUNCH(aclnnDiv)
aclnnStatus sim_aclnnDivGetWorkspaceSize(const aclTensor *self, const aclTensor *other,
                                         aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    return binary("aclnnDiv", DIV, self, other, NULL, false, out, FLOATS, ws, ex);
}

LAUNCH(aclnnInplaceAdd)
aclnnStatus sim_aclnnInplaceAddGetWorkspaceSize(const aclTensor *selfRef, const aclTensor *other,
                                                const aclScalar *alpha, uint64_t *ws,
                                                aclOpExecutor **ex)
{
    return binary("aclnnInplaceAdd", ADD, selfRef, other, alpha, true, selfRef, FLOATS | INTS, ws,
                  ex);
}

LAUNCH(aclnnInplaceMul)
aclnnStatus sim_aclnnInplaceMulGetWorkspaceSize(aclTensor *selfRef, const aclTensor *other,
                                                uint64_t *ws, aclOpExecutor **ex)
{
    return binary("aclnnInplaceMul", MUL, selfRef, other, NULL, false, selfRef, FLOATS | INTS, ws,
                  ex);
}

LAUNCH(aclnnSigmoidBackward)
aclnnStatus sim_aclnnSigmoidBackwardGetWorkspaceSize(const aclTensor *gradOutput,
                                                     const aclTensor *output, aclTensor *gradInput,
                                                     uint64_t *ws, aclOpExecutor **ex)
{
    return binary("aclnnSigmoidBackward", SIGMOID_BACKWARD, gradOutput, output, NULL, false,
                  gradInput, FLOATS, ws, ex);
}

LAUNCH(aclnnThresholdBackward)
aclnnStatus sim_aclnnThresholdBackwardGetWorkspaceSize(const aclTensor *gradOutput,
                                                       const aclTensor *self,
                                                       const aclScalar *threshold, aclTensor *out,
                                                       uint64_t *ws, aclOpExecutor **ex)
{
    return binary("aclnnThresholdBackward", THRESHOLD_BACKWARD, gradOutput, self, threshold, true,
                  out, FLOATS, ws, ex);
}

/* In place, alone or with scalars. */
static aclnnStatus in_place(const char *name, int function, const aclTensor *self,
                            const aclScalar *b, const aclScalar *c, double no_c, bool scalar,
                            uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new(name);
    op_ref(o, "self", self, FLOATS | INTS);
    o->plan->i[0] = function;
    if (scalar) o->plan->d[0] = op_scalar(o, "other", b);
    o->plan->d[1] = c ? op_scalar(o, "alpha", c) : no_c;
    return op_done(o, run, 0, ws, ex);
}

LAUNCH(aclnnInplaceMuls)
aclnnStatus sim_aclnnInplaceMulsGetWorkspaceSize(aclTensor *selfRef, const aclScalar *other,
                                                 uint64_t *ws, aclOpExecutor **ex)
{
    return in_place("aclnnInplaceMuls", MUL, selfRef, other, NULL, 0, true, ws, ex);
}

LAUNCH(aclnnInplaceAdds)
aclnnStatus sim_aclnnInplaceAddsGetWorkspaceSize(const aclTensor *selfRef, const aclScalar *other,
                                                 const aclScalar *alpha, uint64_t *ws,
                                                 aclOpExecutor **ex)
{
    if (!alpha) return null_scalar("aclnnInplaceAdds");
    return in_place("aclnnInplaceAdds", ADD, selfRef, other, alpha, 0, true, ws, ex);
}

LAUNCH(aclnnInplaceRelu)
aclnnStatus sim_aclnnInplaceReluGetWorkspaceSize(aclTensor *selfRef, uint64_t *ws,
                                                 aclOpExecutor **ex)
{
    return in_place("aclnnInplaceRelu", RELU, selfRef, NULL, NULL, 0, false, ws, ex);
}

/* ---- casts, copies, fills ---- */

static void run_copy(const struct plan *plan, const struct view *views)
{
    (void)plan;
    struct view from = view_expand(&views[0], views[1].n_dims, views[1].dims);
    if (from.dtype == ACL_INT64 || from.dtype == ACL_INT32) store_i64(&views[1], load_i64(&from));
    else store_f64(&views[1], load_f64(&from));
}

LAUNCH(aclnnCast)
aclnnStatus sim_aclnnCastGetWorkspaceSize(const aclTensor *self, const aclDataType dtype,
                                          aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnCast");
    const struct view *a = op_in(o, "self", self, ANY);
    const struct view *y = op_out(o, "out", out, ANY);
    op_same_shape(o, a, y);
    op_need(o, y->dtype == dtype, "dtype is not that of out");
    return op_done(o, run_copy, 0, ws, ex);
}

LAUNCH(aclnnInplaceCopy)
aclnnStatus sim_aclnnInplaceCopyGetWorkspaceSize(aclTensor *selfRef, const aclTensor *src,
                                                 uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnInplaceCopy");
    const struct view *a = op_in(o, "src", src, ANY);
    const struct view *y = op_out(o, "self", selfRef, ANY);
    op_need(o, view_broadcasts(a, y->n_dims, y->dims), "src does not broadcast to self");
    return op_done(o, run_copy, 0, ws, ex);
}

LAUNCH(aclnnExpand)
aclnnStatus sim_aclnnExpandGetWorkspaceSize(const aclTensor *self, const aclIntArray *size,
                                            aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnExpand");
    const struct view *a = op_in(o, "self", self, ANY);
    const struct view *y = op_out(o, "out", out, ANY);
    op_same_type(o, a, y);
    op_need(o, view_broadcasts(a, y->n_dims, y->dims), "self does not broadcast to out");
    op_need(o, size && size->size == (uint64_t)y->n_dims, "size is not the shape of out");
    return op_done(o, run_copy, 0, ws, ex);
}

static void run_fill(const struct plan *plan, const struct view *views)
{
    int64_t n = view_elements(&views[0]);
    double *values = scratch((size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++) values[i] = plan->d[0] + (double)i * plan->d[1];
    store_f64(&views[0], values);
}

LAUNCH(aclnnInplaceFillScalar)
aclnnStatus sim_aclnnInplaceFillScalarGetWorkspaceSize(aclTensor *selfRef, const aclScalar *value,
                                                       uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnInplaceFillScalar");
    op_out(o, "self", selfRef, ANY);
    o->plan->d[0] = op_scalar(o, "value", value);
    return op_done(o, run_fill, 0, ws, ex);
}

LAUNCH(aclnnInplaceZero)
aclnnStatus sim_aclnnInplaceZeroGetWorkspaceSize(aclTensor *selfRef, uint64_t *ws,
                                                 aclOpExecutor **ex)
{
    op *o = op_new("aclnnInplaceZero");
    op_out(o, "self", selfRef, ANY);
    return op_done(o, run_fill, 0, ws, ex);
}

LAUNCH(aclnnArange)
aclnnStatus sim_aclnnArangeGetWorkspaceSize(const aclScalar *start, const aclScalar *end,
                                            const aclScalar *step, aclTensor *out, uint64_t *ws,
                                            aclOpExecutor **ex)
{
    op *o = op_new("aclnnArange");
    const struct view *y = op_out(o, "out", out, FLOATS | INTS);
    o->plan->d[0] = op_scalar(o, "start", start);
    o->plan->d[1] = op_scalar(o, "step", step);
    double last = op_scalar(o, "end", end);
    op_need(
        o, o->plan->d[1] != 0 && (double)y->dims[0] == ceil((last - o->plan->d[0]) / o->plan->d[1]),
        "out does not have as many elements as the range");
    return op_done(o, run_fill, 0, ws, ex);
}

static void run_where(const struct plan *plan, const struct view *views)
{
    (void)plan;
    const struct view *out = &views[3];
    double *in[3];
    for (int i = 0; i < 3; i++) {
        struct view v = view_expand(&views[i], out->n_dims, out->dims);
        in[i] = load_f64(&v);
    }
    for (int64_t i = view_elements(out) - 1; i >= 0; i--)
        if (in[0][i] == 0) in[1][i] = in[2][i];
    store_f64(out, in[1]);
}

LAUNCH(aclnnSWhere)
aclnnStatus sim_aclnnSWhereGetWorkspaceSize(const aclTensor *condition, const aclTensor *self,
                                            const aclTensor *other, aclTensor *out, uint64_t *ws,
                                            aclOpExecutor **ex)
{
    op *o = op_new("aclnnSWhere");
    const struct view *c = op_in(o, "condition", condition, BOOLS | TYPE(ACL_UINT8));
    const struct view *a = op_in(o, "self", self, ANY);
    const struct view *b = op_in(o, "other", other, ANY);
    const struct view *y = op_out(o, "out", out, ANY);
    op_same_type(o, a, b);
    op_same_type(o, a, y);
    check(o, a, b, y);
    op_need(o, view_broadcasts(c, y->n_dims, y->dims), "condition does not broadcast to out");
    return op_done(o, run_where, 0, ws, ex);
}
