/* constraint.h - which tokens may come next in a request, by a grammar for the whole output or by
 * the rules for a turn of the assistant (struct vinci_turn_rules). */
#ifndef VINCI_ENGINE_CONSTRAINT_H
#define VINCI_ENGINE_CONSTRAINT_H

#include "base/status.h"

struct constraint;

/* From the request's grammar or turn rules, its tokenizer, prompt and stop tokens; *out is NULL if
 * it has neither. USAGE where the rules contradict each other or the prompt. */
enum vinci_status constraint_create(struct constraint **out,
                                    const struct vinci_request_options *options, uint32_t n_vocab,
                                    struct vinci_error *err);
void constraint_free(struct constraint *constraint);

/* The tokens that may come next, a bit for each of n_vocab; NULL: all. Borrowed until the next
 * call. */
enum vinci_status constraint_mask(struct constraint *constraint, const uint32_t **allowed,
                                  struct vinci_error *err);

/* The token that came; *done: nothing can follow it. */
enum vinci_status constraint_accept(struct constraint *constraint, int32_t token, bool *done,
                                    struct vinci_error *err);

#endif
