/* golden_case.h - a golden checkpoint: where its model is, what the reference computed, and how far
 * from it is allowed (tests/vectors/golden/README.md). */
#ifndef TESTS_GOLDEN_CASE_H
#define TESTS_GOLDEN_CASE_H

#include "model/tensor_index.h"
#include "vinci.h"

struct golden_case {
    const char *name;   /* for messages */
    const char *model;  /* below tests/vectors/golden, or ../shared/golden */
    const char *values; /* the folder that holds the expected values */
};

extern const struct golden_case GOLDEN_CASES[];
extern const size_t N_GOLDEN_CASES;

struct golden {
    char model[1024];
    struct tensor_index index;
    const int64_t *input_ids, *positions, *greedy_ids;
    const float *logits;        /* [n_positions, n_vocab] */
    const float *greedy_logits; /* [n_greedy, n_vocab]; row 0 is the prompt's last position */
    size_t n_input, n_positions, n_greedy, n_vocab;
    double f32_max_abs, int8_kl_mean; /* golden.json's tolerance, unmultiplied */
};

/* False when the case is in neither place (a lone clone has no `wide`). Fails the test on anything
 * else. */
bool golden_open(struct golden *golden, const struct golden_case *c);
void golden_close(struct golden *golden);

/* Ids as int32; free() them. */
int32_t *golden_ids(const int64_t *ids, size_t n);

/* The engine for a case, or a failed test. */
struct vinci_engine *golden_engine(const struct golden *golden, enum vinci_activations activations,
                                   enum vinci_kv_type kv, uint32_t n_threads, uint32_t n_batch);

/* KL(p || q) of two rows of logits, in nats. */
double kl_divergence(const float *p, const float *q, size_t n);
size_t argmax(const float *x, size_t n);

#endif
