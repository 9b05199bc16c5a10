/* memory_model.h - a model whose one file is bytes in memory: for tests that damage it a thousand
 * times, and for the fuzzer. */
#ifndef TESTS_MEMORY_MODEL_H
#define TESTS_MEMORY_MODEL_H

#include "base/status.h"

/* Parses, checks and binds; reads every weight once; releases everything. The bytes are copied into
 * a block of exactly their size, so that a sanitizer sees every step beyond them. With `config`
 * (the text of config.json) the bytes are safetensors, without it they are GGUF. */
enum vinci_status memory_model_try(const char *config, size_t n_config, const void *bytes, size_t n,
                                   struct vinci_error *err);

/* Reads every weight of a bound model; returns a sum that depends on all of them. */
struct model;
double read_all_weights(const struct model *model);

#endif
