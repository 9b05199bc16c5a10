/* rope.h - rotary position embedding with YaRN (Peng et al. 2023, arXiv 2309.00071), as gpt-oss
 * uses it: the tables of cos and sin for given positions. Double precision and our own sine, so
 * that the tables are the same on every machine. */
#ifndef VINCI_ENGINE_ROPE_H
#define VINCI_ENGINE_ROPE_H

#include "model/config.h"

struct rope {
    uint32_t half;                     /* head_dim / 2 */
    double inv_freq[MAX_HEAD_DIM / 2]; /* radians a position, scaled by YaRN */
    double concentration;              /* multiplies cos and sin; 1 without YaRN */
};

void rope_init(struct rope *rope, const struct model_config *config);

/* cos, sin [half] of one position */
void rope_table(const struct rope *rope, uint32_t position, float *cos, float *sin);

#endif
