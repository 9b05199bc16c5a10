/* advice.h - what a model will need on a machine and how fast it can run there at most, computed
 * from the model's sizes and the machine's measured limits. Estimates: nothing is run here.
 *
 * Decoding reads, for b sequences at once, the dense weights once, every expert that any of them
 * uses, and each sequence's keys and values; it also takes its multiply-adds. The slower of the two
 * is the bound. Tokens are taken to choose experts independently and evenly, so of n experts, k
 * used a token, b tokens use n (1 - (1 - k/n)^b). */
#ifndef VINCI_BENCH_ADVICE_H
#define VINCI_BENCH_ADVICE_H

#include "vinci.h"

struct machine_limits {
    double read_bytes_per_second, int8_per_second; /* a multiply-add is two operations */
    uint64_t memory_bytes, memory_free_bytes;
};

/* Bytes of keys and values (f16) of n_seqs sequences of n_ctx positions. */
uint64_t advice_kv_bytes(const struct vinci_model_info *model, uint64_t n_ctx, uint64_t n_seqs);

/* Weights that a step of n_tokens tokens reads. */
double advice_step_bytes(const struct vinci_model_info *model, double n_tokens);

/* Most tokens per second, of all n_seqs sequences together, each with `depth` positions behind it.
 */
double advice_decode_limit(const struct vinci_model_info *model,
                           const struct machine_limits *machine, uint32_t n_seqs, uint64_t depth);

/* Least seconds to read a prompt of n tokens: its multiply-adds (attention not counted), and the
 * weights once. */
double advice_prefill_seconds(const struct vinci_model_info *model,
                              const struct machine_limits *machine, uint64_t n);

/* Where the weights will lie. */
enum advice_fit {
    ADVICE_FITS,   /* files and cache in the memory that is free */
    ADVICE_TIGHT,  /* in the machine's memory, if other programs leave it */
    ADVICE_TOO_BIG /* the weights alone are larger than the memory: every token reads the disk */
};
enum advice_fit advice_fit(const struct vinci_model_info *model,
                           const struct machine_limits *machine, uint64_t kv_bytes);

/* Most sequences of n_ctx positions whose cache fits beside the files into free memory; up to 1024.
 */
uint32_t advice_sequences(const struct vinci_model_info *model,
                          const struct machine_limits *machine, uint64_t n_ctx);

#endif
