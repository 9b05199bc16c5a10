/* estimate.c - how fast an NPU could decode at best: a roofline from bytes, operations and
 * launches.
 *
 * An estimate, never a measurement. A step takes at least as long as its bytes take from memory, or
 * its operations in the matrix units, and to that comes a gap for every operator, also inside a
 * recorded step. The bytes are those of the weights as weights.c stores them: everything but the
 * experts once, and of the experts those that a batch meets when every token chooses at random. */
#include "device/npu/npu.h"

#include <math.h>

/* Quoted for the 910B3: bytes/s of its memory, F16 and BF16 operations/s of its matrix units. */
static const double memory_peak = 1.6e12, matrix_peak = 313e12;

/* Between two operators of a recorded step; assumed. */
static const double launch_seconds = 3e-6;

/* Operators of a decode step, as the simulator counts them with CANN 8.5; and how often small
 * operators move a key or value where the fused one reads it once: read and written by the
 * gathering, by bringing heads to the front and, as float32, by the cast (2 + 2 + 2 + 2 + 2 + 4
 * bytes), read by the product (4). */
enum {
    SMALL_A_STEP = 14,
    SMALL_A_LAYER = 34,
    SMALL_TRAFFIC = 9,
    FUSED_A_STEP = 7,
    FUSED_A_LAYER = 21
};

/* Positions of a sequence that a layer touches; small operators take whole pages and one for the
 * sink. */
static double positions_read(uint32_t n, bool fused)
{
    return fused ? n : ((n + NPU_PAGE - 1) / NPU_PAGE + 1) * (double)NPU_PAGE;
}

enum vinci_status vinci_npu_estimate(struct vinci_npu_estimate *out, const char *path,
                                     enum vinci_npu_dtype dtype, enum vinci_npu_attention attention,
                                     uint32_t n_seqs, uint32_t n_ctx, struct vinci_error *err)
{
    struct model *model = NULL;
    enum vinci_status status = model_open(&model, path, NULL, err);
    if (status != VINCI_OK) return status;
    const struct model_config *c = &model->config;
    bool compact = dtype == VINCI_NPU_COMPACT;
    if (compact && !npu_can_be_compact(model)) {
        model_close(model);
        return fail(err, VINCI_UNSUPPORTED,
                    "--dtype compact is for MXFP4 experts, and this model has others; use bf16");
    }
    double h = c->n_hidden, inner = c->n_intermediate, n = n_seqs, layers = c->n_layers;
    double expert = 3 * h * inner, n_experts = c->n_experts, used = c->n_experts_used;
    double dense = h * c->head_dim * (2. * c->n_heads + 2. * c->n_kv_heads);
    double met = n_experts * (1 - pow(1 - used / n_experts, n));
    /* INT4 in two planes, and for each 32 weights of a plane a scale and a zero offset */
    double expert_bytes = compact ? expert * (1 + 2 * 4. / QUANT_BLOCK) : expert * 2;
    uint32_t pages = (n_ctx + NPU_PAGE - 1) / NPU_PAGE;
    bool fused = attention == VINCI_NPU_ATTENTION_FUSED ||
                 (attention == VINCI_NPU_ATTENTION_AUTO && n * pages >= NPU_FUSED_PAGES);
    double cache = 0, kv_row = 2. * c->n_kv_heads * c->head_dim * 2 * (fused ? 1 : SMALL_TRAFFIC);
    for (uint32_t l = 0; l < c->n_layers; l++) {
        bool window = c->layer_is_sliding[l] && c->sliding_window < n_ctx;
        cache += n * positions_read(window ? c->sliding_window : n_ctx, fused) * kv_row;
    }
    double weights = layers * (dense * 2 + h * n_experts * 4) + c->n_vocab * h * 2;
    *out = (struct vinci_npu_estimate){
        .weight_bytes = npu_weights_bytes(model, compact),
        .step_bytes = weights + layers * met * expert_bytes + cache,
        .step_operations =
            2 * n * (layers * (dense + used * expert * (compact ? 2 : 1)) + c->n_vocab * h),
        .fused_attention = fused,
        .n_operators = fused ? FUSED_A_STEP + FUSED_A_LAYER * c->n_layers
                             : SMALL_A_STEP + SMALL_A_LAYER * c->n_layers,
        .memory_peak = memory_peak,
        .matrix_peak = matrix_peak,
        .launch_seconds = launch_seconds,
    };
    out->memory_seconds = out->step_bytes / memory_peak;
    out->matrix_seconds = out->step_operations / matrix_peak;
    out->gap_seconds = out->n_operators * launch_seconds;
    out->tokens_per_second =
        n / (fmax(out->memory_seconds, out->matrix_seconds) + out->gap_seconds);
    model_close(model);
    return VINCI_OK;
}
