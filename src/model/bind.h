/* bind.h - from named tensors to `struct weights`. Used by model_open; apart so that tests and the
 * fuzzer can bind an index that is in memory only. */
#ifndef VINCI_MODEL_BIND_H
#define VINCI_MODEL_BIND_H

#include "model/weights.h"

/* Fills model->weights (and model->converted) from model->index, config and container; marks the
 * tensors it uses. On failure what is half built is released by weights_free. */
enum vinci_status weights_bind(struct model *model, const struct log *log, struct vinci_error *err);

/* Leaves the index alone. */
void weights_free(struct model *model);

#endif
