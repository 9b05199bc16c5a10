/* npu_case.h - engines on the simulated Ascend device (tests/npu_sim), and what it counted. */
#ifndef TESTS_NPU_CASE_H
#define TESTS_NPU_CASE_H

#include "npu_sim/counters.h"
#include "vinci.h"

/* `version` of CANN: "8.0", "8.1", "8.3", "8.5", "9.0". A context of 1024, two threads. */
enum vinci_status npu_engine(struct vinci_engine **engine, const char *model, const char *version,
                             enum vinci_npu_dtype dtype, uint32_t n_seqs, uint32_t n_batch,
                             struct vinci_error *err);

/* How the engines opened from now on compute attention in recorded steps. */
extern enum vinci_npu_attention npu_case_attention;

/* Closes it; the simulator has seen nothing that CANN forbids. */
void close_engine(struct vinci_engine *engine);

enum { N_VOCAB = 320 }; /* of the golden model "tiny" */

/* Tokens of that model, others for each seed. */
void some_tokens(int32_t *tokens, size_t n, size_t seed);

/* vinci_session_append, which must succeed; `logits` of the last token. */
void append(struct vinci_session *session, const int32_t *tokens, size_t n, float *logits);

/* The largest between two logits of the same token; a NaN counts. */
double difference(const float *a, const float *b);

/* Where the simulator is. */
struct vinci_cann_places npu_places(void);

void npu_counters(struct npu_sim_counters *counters);
void npu_reset_counters(void);
uint64_t npu_violations(void);

/* From now on, "aclnnMm@2=161002": the second call fails, with that error. NULL: none does. */
void npu_fail(const char *calls);

#endif
