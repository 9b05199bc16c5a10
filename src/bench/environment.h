/* environment.h - where a benchmark ran: what a reader needs to judge its figures, and to repeat
 * them. Nothing that names a person or a machine. */
#ifndef VINCI_BENCH_ENVIRONMENT_H
#define VINCI_BENCH_ENVIRONMENT_H

#include <jansson.h>

/* An object: time (UTC), vinci, processor, processors, kernel, governor, memory_bytes; with a model
 * (folder or file; may be NULL) its bytes and fingerprint: the SHA-256 over names, sizes and the
 * first MiB of its weights and configuration, which tells models apart without reading all. NULL:
 * no memory. */
json_t *environment_json(const char *model);

#endif
