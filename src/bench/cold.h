/* cold.h - drops a model's files from memory, so that a load can be timed as after a restart. */
#ifndef VINCI_BENCH_COLD_H
#define VINCI_BENCH_COLD_H

#include "base/status.h"

/* `model`: a file, or a folder whose safetensors and GGUF files are meant. They must not be mapped
 * by this process. *left: share of their pages that stayed, because other processes map them or the
 * system did not want to; no root is needed. */
enum vinci_status cold_evict(const char *model, double *left, struct vinci_error *err);

#endif
