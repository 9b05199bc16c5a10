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

/* Operators of a decode step by small-operator attention, as the simulator counts them. */
enum { OPERATORS_A_STEP = 14, OPERATORS_A_LAYER = 34 };

enum vinci_status vinci_npu_estimate(struct vinci_npu_estimate *out, const char *path,
                                     enum vinci_npu_dtype dtype, uint32_t n_seqs, uint32_t n_ctx,
                                     struct vinci_error *err)
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
    double attention = h * c->head_dim * (2. * c->n_heads + 2. * c->n_kv_heads);
    double met = n_experts * (1 - pow(1 - used / n_experts, n));
    /* INT4 in two planes, and for each 32 weights of a plane a scale and a zero offset */
    double expert_bytes = compact ? expert * (1 + 2 * 4. / QUANT_BLOCK) : expert * 2;
    double window = 0, kv_row = 2. * c->n_kv_heads * c->head_dim * 2;
    for (uint32_t l = 0; l < c->n_layers; l++) {
        double seen =
            c->layer_is_sliding[l] && c->sliding_window < n_ctx ? c->sliding_window : (double)n_ctx;
        window += n * seen * kv_row;
    }
    double weights = layers * (attention * 2 + h * n_experts * 4) + c->n_vocab * h * 2;
    *out = (struct vinci_npu_estimate){
        .weight_bytes = npu_weights_bytes(model, compact),
        .step_bytes = weights + layers * met * expert_bytes + window,
        .step_operations =
            2 * n * (layers * (attention + used * expert * (compact ? 2 : 1)) + c->n_vocab * h),
        .n_operators = OPERATORS_A_STEP + OPERATORS_A_LAYER * c->n_layers,
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
