/* sampler.h - from logits to a token: bias, penalties, temperature, top-k, top-p, min-p, draw, in
 * this order (docs/sampling.md has the formulas).
 *
 * The random number of a draw is a function of (seed, index) and every operation is fixed, so the
 * same logits, options and seed give the same token on every machine. One sampler belongs to one
 * request; a draw allocates nothing. */
#ifndef VINCI_ENGINE_SAMPLER_H
#define VINCI_ENGINE_SAMPLER_H

#include "base/status.h"

struct sampler;

/* Copies the options after checking each one's range; the message names the one that is wrong.
 * n_top_logprobs 0: no log-probabilities are computed. */
enum vinci_status sampler_create(struct sampler **out, const struct vinci_sampling *options,
                                 uint32_t n_vocab, uint32_t n_top_logprobs,
                                 struct vinci_error *err);
void sampler_free(struct sampler *sampler);

/* Counts a token for the penalties: every token of the prompt, then every generated token. */
void sampler_accept(struct sampler *sampler, int32_t token, bool is_prompt);

/* Draws generated token number `index`.
 *   logits   [n_vocab]; NaN counts as -infinity, +infinity as the largest float
 *   allowed  bit t of word t / 32 set: token t may be drawn; NULL: every token may
 *   logprob  of the token under the model's own distribution; 0 without log-probabilities; may be
 *            NULL
 * Fails, with *token unchanged, when no token is left to draw. Does not call sampler_accept. */
enum vinci_status sampler_draw(struct sampler *sampler, const float *logits,
                               const uint32_t *allowed, size_t index, int32_t *token,
                               float *logprob, struct vinci_error *err);

/* A draw is the token with the largest logit, of equals the first, whatever came before: nobody
 * needs the others. */
bool sampler_is_greedy(const struct sampler *sampler);

/* The most probable tokens of the last draw's logits, before bias and everything after it: best
 * first, of equals the smaller id; tokens at -infinity are left out. Borrowed until the next
 * draw. */
const struct vinci_token_logprob *sampler_top_logprobs(const struct sampler *sampler, size_t *n);

#endif
