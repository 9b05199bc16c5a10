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
    const int32_t *tokens; /* [n_tokens], each in [0, n_vocab); NULL: see forward_start */
    uint32_t n_tokens;     /* >= 1 */
    uint32_t n_ahead;      /* positions before them that a started step appends; see there */
};

/* Where a step's results go: one of the two. best [n_outputs]: of each row only the token with the
 * largest logit, of equals the first; where the device finds_best. */
struct forward_output {
    float *logits; /* [n_outputs, n_vocab] */
    int32_t *best;
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

/* A step in two parts. start begins it and finish waits for it; `out` is the same in both. On a
 * device that runs_ahead as many as DEVICE_SLOTS may be under way, each with a slot of its own; one
 * that nobody wants any more need not be finished. On others start does everything. n_outputs is at
 * most n_seqs. No sequence grows: the caller does that (kv_seq_advance) with those that it keeps.
 *
 * A step whose every sequence has one token may leave `tokens` NULL in all of them, if the step
 * that was started last had the same sequences in the same order, with one token and one output
 * each: then a sequence's token is the best of its row there, which the host need not know yet. */
enum vinci_status forward_start(struct forward *forward, const struct forward_seq *seqs,
                                uint32_t n_seqs, const uint32_t *outputs, size_t n_outputs,
                                const struct forward_output *out, unsigned slot,
                                struct vinci_error *err);
enum vinci_status forward_finish(struct forward *forward, size_t n_outputs,
                                 const struct forward_output *out, unsigned slot,
                                 struct vinci_error *err);

/* Steps that were begun so far, those of forward_step included: unchanged since a forward_start,
 * its step is still the last. */
uint64_t forward_n_begun(const struct forward *forward);

/* Bytes of the step memory held by this object (the device has its own beside it). */
uint64_t forward_bytes(const struct forward *forward);

#endif
