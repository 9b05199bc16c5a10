/* prompts.h - compares prompts: each one's wait for the first token, and the speeds of reading it
 * and of generating after it, as a request of its own on an otherwise idle engine. */
#ifndef VINCI_BENCH_PROMPTS_H
#define VINCI_BENCH_PROMPTS_H

#include "bench/bench.h"

enum { PROMPTS_REPEAT_MAX = 64 };

struct prompt_sample {
    double first_token_seconds; /* request -> first token */
    double decode_seconds;      /* first -> last token */
    uint32_t n_generated;
};

/* `repeat` samples (1 to PROMPTS_REPEAT_MAX) after one that is not counted; max_new_tokens >= 2. */
enum vinci_status prompts_measure(struct vinci_engine *engine, const struct bench_prompt *prompt,
                                  uint32_t max_new_tokens, uint32_t repeat, bool (*stop)(void),
                                  struct prompt_sample *samples, struct vinci_error *err);

#endif
