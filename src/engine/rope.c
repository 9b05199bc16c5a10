/* rope.c - frequencies once at load, tables by position. Formulas: docs/model.md, Positions. */
#include "engine/rope.h"

#include "base/fmath.h"

#include <math.h>

/* The dimension pair whose wavelength makes `rotations` turns in the original context. */
static double correction_dim(double rotations, const struct model_config *config)
{
    return config->head_dim *
           log_f64(config->rope.n_ctx_original / (rotations * 6.283185307179586)) /
           (2 * log_f64(config->rope.theta));
}

void rope_init(struct rope *rope, const struct model_config *config)
{
    double log_theta = log_f64(config->rope.theta), factor = config->rope.factor;
    double low = 0, high = 1;
    rope->half = config->head_dim / 2;
    rope->concentration = 1;
    if (config->rope.yarn) {
        rope->concentration = factor > 1 ? 0.1 * log_f64(factor) + 1 : 1;
        low = correction_dim(config->rope.beta_fast, config);
        high = correction_dim(config->rope.beta_slow, config);
        if (config->rope.truncate) {
            low = floor(low);
            high = ceil(high);
        }
        low = fmax(low, 0);
        high = fmin(high, config->head_dim - 1.0);
        if (low == high) high += 0.001; /* as the reference: no division by zero */
    }
    for (uint32_t i = 0; i < rope->half; i++) {
        double frequency = exp_f64(-log_theta * (2.0 * i / config->head_dim));
        double ramp = config->rope.yarn ? fmin(fmax((i - low) / (high - low), 0), 1) : 0;
        rope->inv_freq[i] = frequency * (1 - ramp) + (ramp > 0 ? frequency / factor * ramp : 0);
    }
}

void rope_table(const struct rope *rope, uint32_t position, float *cos, float *sin)
{
    for (uint32_t i = 0; i < rope->half; i++) {
        double s, c;
        sincos_f64(position * rope->inv_freq[i], &s, &c);
        cos[i] = (float)(c * rope->concentration);
        sin[i] = (float)(s * rope->concentration);
    }
}
