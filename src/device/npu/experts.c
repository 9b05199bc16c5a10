/* experts.c - router, sorting of (token, expert) pairs by expert, the experts' products, the sum.
 *
 * The pairs of one expert become neighbouring rows, and one grouped product serves all experts; how
 * many rows each has stays on the device, so nothing waits for the router. Compact weights are INT4
 * with a scale for 32: a doubled FP4 value (up to 12) does not fit, but is 2 a + b with small a and
 * b, so the weights are two planes behind each other along the input dimension, the second plane
 * with half the scale, and the input stands twice: every product is exact. */
#include "device/npu/npu.h"

static void choose(struct npu_device *device, const float *logits, int64_t n)
{
    struct npu_scratch *s = device->scratch;
    int64_t n_experts = device->config->n_experts, k = device->config->n_experts_used;
    const int64_t dims[] = {n, k};
    aclDataType f32 = ACL_FLOAT;
    if (device->use_gating) {
        NPU_OP(device, aclnnMoeGatingTopKSoftmaxV2,
               npu_tensor(device, logits, f32, NPU_DIMS(n, n_experts)), NULL, k, 1, false,
               npu_tensor(device, s->weights, f32, dims, 2),
               npu_tensor(device, s->chosen, ACL_INT32, dims, 2), NULL);
        return;
    }
    NPU_OP(device, aclnnTopk, npu_tensor(device, logits, f32, NPU_DIMS(n, n_experts)), k, 1, true,
           true, npu_tensor(device, s->top, f32, dims, 2),
           npu_tensor(device, s->chosen64, ACL_INT64, dims, 2));
    NPU_OP(device, aclnnSoftmax, npu_tensor(device, s->top, f32, dims, 2), 1,
           npu_tensor(device, s->weights, f32, dims, 2));
    NPU_OP(device, aclnnCast, npu_tensor(device, s->chosen64, ACL_INT64, dims, 2), ACL_INT32,
           npu_tensor(device, s->chosen, ACL_INT32, dims, 2));
}

/* Without MoeInitRoutingV2: two stable sorts, and counting by comparison. */
static void sort_by_operators(struct npu_device *device, const void *x, int64_t n)
{
    struct npu_scratch *s = device->scratch;
    int64_t n_experts = device->config->n_experts, h = device->config->n_hidden;
    int64_t pairs = n * device->config->n_experts_used;
    aclDataType f32 = ACL_FLOAT;
    float *counting2 = s->counting + pairs * n_experts;
    NPU_OP(device, aclnnCast, npu_tensor(device, s->chosen, ACL_INT32, NPU_DIMS(pairs)), f32,
           npu_tensor(device, counting2, f32, NPU_DIMS(pairs)));
    NPU_OP(device, aclnnSort, npu_tensor(device, counting2, f32, NPU_DIMS(pairs)), true, 0, false,
           npu_tensor(device, s->experts32, f32, NPU_DIMS(pairs)),
           npu_tensor(device, s->order, ACL_INT64, NPU_DIMS(pairs)));
    NPU_OP(device, aclnnIndexSelect, npu_tensor(device, s->pair_tokens, ACL_INT64, NPU_DIMS(pairs)),
           0, npu_tensor(device, s->order, ACL_INT64, NPU_DIMS(pairs)),
           npu_tensor(device, s->tokens, ACL_INT64, NPU_DIMS(pairs)));
    NPU_OP(device, aclnnIndexSelect, npu_tensor(device, x, device->act, NPU_DIMS(n, h)), 0,
           npu_tensor(device, s->tokens, ACL_INT64, NPU_DIMS(pairs)),
           npu_tensor(device, s->x, device->act, NPU_DIMS(pairs, h)));
    /* rows up to the end of expert e: how many chosen ones are <= e */
    NPU_OP(device, aclnnSub, npu_tensor(device, s->numbers32, f32, NPU_DIMS(1, n_experts)),
           npu_tensor(device, s->experts32, f32, NPU_DIMS(pairs, 1)), npu_scalar(device, 1),
           npu_tensor(device, s->counting, f32, NPU_DIMS(pairs, n_experts)));
    NPU_OP(device, aclnnClamp, npu_tensor(device, s->counting, f32, NPU_DIMS(pairs, n_experts)),
           npu_scalar(device, 0), npu_scalar(device, 1),
           npu_tensor(device, counting2, f32, NPU_DIMS(pairs, n_experts)));
    NPU_OP(device, aclnnReduceSum, npu_tensor(device, counting2, f32, NPU_DIMS(pairs, n_experts)),
           npu_ints(device, (const int64_t[]){0}, 1), false, f32,
           npu_tensor(device, s->counts32, f32, NPU_DIMS(n_experts)));
    NPU_OP(device, aclnnCast, npu_tensor(device, s->counts32, f32, NPU_DIMS(n_experts)), ACL_INT64,
           npu_tensor(device, s->ends, ACL_INT64, NPU_DIMS(n_experts)));
    /* where each pair went: the inverse of the order */
    NPU_OP(device, aclnnCast, npu_tensor(device, s->order, ACL_INT64, NPU_DIMS(pairs)), f32,
           npu_tensor(device, s->counting, f32, NPU_DIMS(pairs)));
    NPU_OP(device, aclnnSort, npu_tensor(device, s->counting, f32, NPU_DIMS(pairs)), true, 0, false,
           npu_tensor(device, counting2, f32, NPU_DIMS(pairs)),
           npu_tensor(device, s->order2, ACL_INT64, NPU_DIMS(pairs)));
}

/* s->x: the inputs of the pairs, by expert; s->ends: rows up to each expert's end. */
static void sort_pairs(struct npu_device *device, const void *x, int64_t n)
{
    enum { CUMULATIVE = 1 };
    struct npu_scratch *s = device->scratch;
    int64_t n_experts = device->config->n_experts, k = device->config->n_experts_used;
    int64_t h = device->config->n_hidden;
    if (!device->use_routing) {
        sort_by_operators(device, x, n);
        return;
    }
    NPU_OP(device, aclnnMoeInitRoutingV2, npu_tensor(device, x, device->act, NPU_DIMS(n, h)),
           npu_tensor(device, s->chosen, ACL_INT32, NPU_DIMS(n, k)), 0, 0, n_experts, 0, CUMULATIVE,
           false, npu_tensor(device, s->x, device->act, NPU_DIMS(n * k, h)),
           npu_tensor(device, s->pair_rows, ACL_INT32, NPU_DIMS(n * k)),
           npu_tensor(device, s->ends32, ACL_INT32, NPU_DIMS(n_experts)), NULL);
    NPU_OP(device, aclnnCast, npu_tensor(device, s->ends32, ACL_INT32, NPU_DIMS(n_experts)),
           ACL_INT64, npu_tensor(device, s->ends, ACL_INT64, NPU_DIMS(n_experts)));
}

/* y = x W + b, each row with its expert's */
static void grouped(struct npu_device *device, const struct npu_experts *w, const void *x,
                    int64_t n, void *y)
{
    enum { ONE_TENSOR = 2, SPLIT_ROWS = 0, CUMULATIVE = 0 };
    struct npu_scratch *s = device->scratch;
    int64_t e = device->config->n_experts, n_in = w->n_in, n_out = w->n_out, k = n_in;
    aclDataType act = device->act, bias = act == ACL_BF16 ? ACL_FLOAT : act;
    if (device->compact) {
        NPU_OP(device, aclnnInplaceCopy, npu_tensor(device, s->x2, act, NPU_DIMS(n, 2, n_in)),
               npu_tensor(device, x, act, NPU_DIMS(n, 1, n_in)));
        x = s->x2;
        k = 2 * n_in;
    }
    int64_t scale_dims[] = {e, k / QUANT_BLOCK, n_out};
    if (device->status != VINCI_OK) return;
    aclTensorList *input = npu_list(device, npu_tensor(device, x, act, NPU_DIMS(n, k)));
    aclTensorList *weight = npu_list(
        device, device->compact ? npu_tensor(device, w->data, ACL_INT4, NPU_DIMS(e, k, n_out))
                                : npu_transposed(device, w->data, act, e, n_out, k));
    aclTensorList *biases = npu_list(device, npu_tensor(device, w->bias, bias, NPU_DIMS(e, n_out)));
    aclTensorList *scales = NULL, *offsets = NULL;
    if (device->compact) {
        scales = npu_list(device, npu_tensor(device, w->scales, act, scale_dims, 3));
        offsets =
            npu_list(device, npu_tensor(device, device->weights.zero_offsets, act, scale_dims, 3));
    }
    aclTensor *ends = npu_tensor(device, s->ends, ACL_INT64, NPU_DIMS(e));
    aclTensorList *output = npu_list(device, npu_tensor(device, y, act, NPU_DIMS(n, n_out)));
    if (device->cann->aclnnGroupedMatmulV4)
        NPU_OP(device, aclnnGroupedMatmulV4, input, weight, biases, NULL, NULL, scales, offsets,
               NULL, ends, NULL, NULL, NULL, ONE_TENSOR, SPLIT_ROWS, CUMULATIVE, 0, output, NULL,
               NULL);
    else
        NPU_OP(device, aclnnGroupedMatmulV3, input, weight, biases, NULL, NULL, scales, offsets,
               ends, ONE_TENSOR, SPLIT_ROWS, output);
}

/* min(gate, limit) * sigmoid(alpha * gate) * (clamp(up) + 1); the gates stand before the ups. */
static void swiglu(struct npu_device *device, int64_t n)
{
    struct npu_scratch *s = device->scratch;
    int64_t inner = device->config->n_intermediate;
    const int64_t dims[] = {n, inner}, strides[] = {2 * inner, 1};
    float limit = device->config->swiglu_limit, alpha = device->config->swiglu_alpha;
    aclDataType f32 = ACL_FLOAT;
    if (device->use_swiglu) {
        NPU_OP(device, aclnnClippedSwiglu,
               npu_tensor(device, s->gate_up, device->act, NPU_DIMS(n, 2 * inner)), NULL, -1, alpha,
               limit, 1., false, npu_tensor(device, s->hidden, device->act, dims, 2));
        return;
    }
    NPU_OP(device, aclnnCast, npu_tensor(device, s->gate_up, device->act, NPU_DIMS(n, 2 * inner)),
           f32, npu_tensor(device, s->gate_up32, f32, NPU_DIMS(n, 2 * inner)));
    NPU_OP(device, aclnnClampMax, npu_view(device, s->gate_up32, f32, dims, strides, 2, 0),
           npu_scalar(device, limit), npu_tensor(device, s->gate, f32, dims, 2));
    NPU_OP(device, aclnnSwish, npu_tensor(device, s->gate, f32, dims, 2), npu_scalar(device, alpha),
           npu_tensor(device, s->swish, f32, dims, 2));
    NPU_OP(device, aclnnClamp, npu_view(device, s->gate_up32, f32, dims, strides, 2, inner),
           npu_scalar(device, -limit), npu_scalar(device, limit),
           npu_tensor(device, s->up, f32, dims, 2));
    NPU_OP(device, aclnnAdds, npu_tensor(device, s->up, f32, dims, 2), npu_scalar(device, 1),
           npu_scalar(device, 1), npu_tensor(device, s->gate, f32, dims, 2));
    NPU_OP(device, aclnnMul, npu_tensor(device, s->swish, f32, dims, 2),
           npu_tensor(device, s->gate, f32, dims, 2), npu_tensor(device, s->up, f32, dims, 2));
    NPU_OP(device, aclnnCast, npu_tensor(device, s->up, f32, dims, 2), device->act,
           npu_tensor(device, s->hidden, device->act, dims, 2));
}

/* x[t] += sum over its pairs of weight * row */
static void sum_up(struct npu_device *device, int64_t n, struct device_buffer *x)
{
    struct npu_scratch *s = device->scratch;
    int64_t k = device->config->n_experts_used, h = device->config->n_hidden;
    aclDataType act = device->act, f32 = ACL_FLOAT;
    const void *sum = s->y;
    if (device->use_routing) {
        enum { ROW_ORDER = 2 };
        NPU_OP(device, aclnnMoeFinalizeRoutingV2,
               npu_tensor(device, s->down, act, NPU_DIMS(n * k, h)),
               npu_tensor(device, s->pair_rows, ACL_INT32, NPU_DIMS(n * k)), NULL, NULL, NULL,
               npu_tensor(device, s->weights, f32, NPU_DIMS(n, k)), NULL, ROW_ORDER,
               npu_tensor(device, s->y, act, NPU_DIMS(n, h)));
    } else {
        NPU_OP(device, aclnnIndexSelect, npu_tensor(device, s->down, act, NPU_DIMS(n * k, h)), 0,
               npu_tensor(device, s->order2, ACL_INT64, NPU_DIMS(n * k)),
               npu_tensor(device, s->x, act, NPU_DIMS(n * k, h)));
        NPU_OP(device, aclnnCast, npu_tensor(device, s->x, act, NPU_DIMS(n * k, h)), f32,
               npu_tensor(device, s->down32, f32, NPU_DIMS(n * k, h)));
        NPU_OP(device, aclnnBatchMatMul, npu_tensor(device, s->weights, f32, NPU_DIMS(n, 1, k)),
               npu_tensor(device, s->down32, f32, NPU_DIMS(n, k, h)),
               npu_tensor(device, s->sum32, f32, NPU_DIMS(n, 1, h)), CANN_KEEP_DTYPE);
        sum = s->sum32;
    }
    NPU_OP(device, aclnnInplaceAdd, npu_tensor(device, x->f32, f32, NPU_DIMS(n, h)),
           npu_tensor(device, sum, device->use_routing ? act : f32, NPU_DIMS(n, h)),
           npu_scalar(device, 1));
}

void npu_experts(struct device *base, const struct layer_weights *layer,
                 const struct device_buffer *router_logits, const struct device_buffer *t,
                 struct device_buffer *x)
{
    struct npu_device *device = npu_device_of(base);
    struct npu_scratch *s = device->scratch;
    const struct npu_layer *w = &device->weights.layers[npu_layer_of(device, layer)];
    int64_t n = device->in.n_rows, pairs = n * device->config->n_experts_used;
    choose(device, router_logits->f32, n);
    sort_pairs(device, t->act, n);
    grouped(device, &w->gate_up, s->x, pairs, s->gate_up);
    swiglu(device, pairs);
    grouped(device, &w->down, s->hidden, pairs, s->down);
    sum_up(device, n, x);
}
