/* speed.h - measures the parts of generation apart: reading a prompt, generating with one or many
 * sequences, and the wait for the first token, each at a depth of context that is already there.
 *
 * Tokens are random ids, the same for the same seed, and generated ones are drawn at temperature 1:
 * so the tokens of a step use different experts, as text does. Sessions go back to the depth after
 * each measurement, so it is computed once. One repetition of each row is not counted. */
#ifndef VINCI_BENCH_SPEED_H
#define VINCI_BENCH_SPEED_H

#include "bench/limits.h"

enum { SPEED_REPEAT_MAX = 64 };

struct speed_options {
    struct vinci_engine *engine;
    struct limits *limits; /* measured before each repetition; NULL: no shares */
    uint32_t n_sequences; /* the largest batch, at least 1; the engine must serve as many at once */
    uint32_t n_longest;   /* the most tokens that a sequence will have */
    uint32_t repeat;      /* 1 to SPEED_REPEAT_MAX */
    uint64_t seed;
    bool (*stop)(void); /* asked after every step; true ends with CANCELLED; may be NULL */
};

enum speed_kind {
    SPEED_PREFILL,    /* n_tokens of a prompt in one go, the logits of the last included */
    SPEED_DECODE,     /* n_tokens more for each of `batch` sequences that have their first */
    SPEED_FIRST_TOKEN /* a prompt of n_tokens: request -> first token */
};

struct speed_test {
    enum speed_kind kind;
    uint32_t n_tokens, depth, batch; /* first token: depth 0, batch 1; prefill: batch 1 */
};

struct speed_sample {
    double seconds;
    double tokens_per_second; /* of all sequences; first token: of the prompt */
    /* What the test is bound by: bytes of weights (decode at batch 1) or operations of the weights'
     * products (prefill, first token) per second, and the machine's limit of it right before. 0
     * where it is not known: decode in batches reads what experts the tokens share once. */
    double rate, limit;
    double limit_weights; /* decode at batch 1: the streaming read of the mapped files */
};

struct speed_row {
    struct speed_test test;
    uint32_t n; /* samples */
    struct speed_sample samples[SPEED_REPEAT_MAX];
};

struct speed;

enum vinci_status speed_open(struct speed **out, const struct speed_options *options,
                             struct vinci_error *err);
void speed_close(struct speed *speed);

enum vinci_status speed_measure(struct speed *speed, const struct speed_test *test,
                                struct speed_row *row, struct vinci_error *err);

#endif
