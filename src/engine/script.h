/* script.h - answers from a file in place of the model's choice, for testing clients
 * (docs/scripted.md). The model runs as always: steps, caches and log-probabilities are real. */
#ifndef VINCI_ENGINE_SCRIPT_H
#define VINCI_ENGINE_SCRIPT_H

#include "base/status.h"

struct script;

/* Reads a file of JSON lines; every line is checked. */
enum vinci_status script_open(struct script **out, const char *path, struct vinci_error *err);
void script_close(struct script *script);

/* The answer to a prompt: ids (free()) from the first line whose `when` occurs in the prompt's last
 * message. NOT_FOUND if there is none. The request's tokenizer is needed for `when` and `text`. */
enum vinci_status script_answer(const struct script *script,
                                const struct vinci_request_options *options, uint32_t n_vocab,
                                int32_t **ids, size_t *n_ids, struct vinci_error *err);

#endif
