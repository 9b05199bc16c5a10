/* advice.c - see advice.h. Plain arithmetic; every formula stands there. */
#include "bench/advice.h"

#include <math.h>

uint64_t advice_kv_bytes(const struct vinci_model_info *model, uint64_t n_ctx, uint64_t n_seqs)
{
    uint64_t window = model->kv_window_bytes;
    if (model->sliding_window > 0 && n_ctx < model->sliding_window)
        window = window / model->sliding_window * n_ctx;
    return n_seqs * (model->kv_bytes_per_token * n_ctx + window);
}

double advice_step_bytes(const struct vinci_model_info *model, double n_tokens)
{
    double n = model->n_experts, k = model->n_experts_used,
           expert = (double)model->bytes_per_expert;
    double dense = (double)model->bytes_per_token - k * expert;
    return dense + expert * n * (1 - pow(1 - k / n, n_tokens));
}

double advice_decode_limit(const struct vinci_model_info *model,
                           const struct machine_limits *machine, uint32_t n_seqs, uint64_t depth)
{
    double bytes = advice_step_bytes(model, n_seqs) + (double)advice_kv_bytes(model, depth, n_seqs);
    double seconds = bytes / machine->read_bytes_per_second;
    double compute = 2.0 * n_seqs * (double)model->n_params_active / machine->int8_per_second;
    return n_seqs / fmax(seconds, compute);
}

double advice_prefill_seconds(const struct vinci_model_info *model,
                              const struct machine_limits *machine, uint64_t n)
{
    double output = (double)model->n_hidden * model->n_vocab; /* for the last position alone */
    double n_params = (double)n * ((double)model->n_params_active - output) + output;
    double reading = advice_step_bytes(model, (double)n) / machine->read_bytes_per_second;
    return fmax(2 * n_params / machine->int8_per_second, reading);
}

enum advice_fit advice_fit(const struct vinci_model_info *model,
                           const struct machine_limits *machine, uint64_t kv_bytes)
{
    uint64_t wanted = model->file_bytes + model->converted_bytes + kv_bytes;
    return wanted <= machine->memory_free_bytes ? ADVICE_FITS
           : wanted <= machine->memory_bytes    ? ADVICE_TIGHT
                                                : ADVICE_TOO_BIG;
}

uint32_t advice_sequences(const struct vinci_model_info *model,
                          const struct machine_limits *machine, uint64_t n_ctx)
{
    enum { MOST = 1024 };
    uint64_t files = model->file_bytes + model->converted_bytes;
    uint64_t one = advice_kv_bytes(model, n_ctx, 1);
    if (files >= machine->memory_free_bytes || one == 0) return 0;
    uint64_t n = (machine->memory_free_bytes - files) / one;
    return n > MOST ? MOST : (uint32_t)n;
}
