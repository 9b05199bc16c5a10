/* forward.h - the transformer: n >= 1 tokens of m >= 1 sequences in one step. Prefill and decode
 * are the same call; the names are those of docs/model.md. */
#ifndef VINCI_ENGINE_FORWARD_H
#define VINCI_ENGINE_FORWARD_H

#include "engine/kv_cache.h"
#include "engine/profile.h"
#include "engine/rope.h"

struct forward;

/* The next tokens of one sequence. */
struct forward_seq {
    struct kv_seq *kv;
    const int32_t *tokens; /* [n_tokens], each in [0, n_vocab) */
    uint32_t n_tokens;     /* >= 1 */
};

/* Step memory for up to limits->n_batch tokens; what is pointed to must outlive it. */
enum vinci_status forward_create(struct forward **out, const struct model *model,
                                 struct device *device, struct kv_cache *cache,
                                 const struct device_limits *limits, struct profile *profile,
                                 struct vinci_error *err);
void forward_destroy(struct forward *forward);

/* Appends every sequence's tokens to its keys and values. logits [n_outputs, n_vocab] receives the
 * rows outputs[i], counted over the tokens of all sequences in order, ascending. At most n_batch
 * tokens and n_seqs sequences. On failure no sequence has grown. Allocates nothing. */
enum vinci_status forward_step(struct forward *forward, const struct forward_seq *seqs,
                               uint32_t n_seqs, const uint32_t *outputs, size_t n_outputs,
                               float *logits, struct vinci_error *err);

/* The same, but of each of these rows only the token with the largest logit, of equals the first:
 * best [n_outputs]. Only where the device finds_best. */
enum vinci_status forward_step_best(struct forward *forward, const struct forward_seq *seqs,
                                    uint32_t n_seqs, const uint32_t *outputs, size_t n_outputs,
                                    int32_t *best, struct vinci_error *err);

/* Bytes of the step memory held by this object (the device has its own beside it). */
uint64_t forward_bytes(const struct forward *forward);

#endif
