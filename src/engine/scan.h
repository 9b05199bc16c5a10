/* scan.h - passes over a whole vocabulary for the sampler: copy, maximum, exponentials and their
 * sum, selection of the largest.
 *
 * A vocabulary has 200,000 entries, so nothing here sorts and nothing costs more than a few passes.
 * Sums are formed in one fixed order; the vectors are the compiler's generic ones, four lanes wide
 * on every machine, so the result does not depend on the processor. */
#ifndef VINCI_ENGINE_SCAN_H
#define VINCI_ENGINE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Candidates, ids ascending. Selections shorten the list in place. */
struct candidates {
    float *value; /* [n] */
    int32_t *id;  /* [n] */
    size_t n;
    size_t n_moved; /* from here on the id array still holds id[i] == i */
};

enum {
    SCAN_BLOCK = 256 /* elements that share one partial sum */
};

static inline size_t scan_n_blocks(size_t n)
{
    return (n + SCAN_BLOCK - 1) / SCAN_BLOCK;
}

/* The largest of x[0..n), NaN ignored, -infinity if there is nothing else; *first (may be NULL) is
 * the first place that holds it, 0 if nothing does. */
float scan_max(const float *x, size_t n, size_t *first);

/* y = x made usable: NaN becomes -infinity, +infinity FLT_MAX, -0 becomes 0. */
float scan_usable(float x);
void scan_copy_usable(float *y, const float *x, size_t n);

/* y[i] = e^((x[i] - max) / temperature), 0 below e^-87; y may be x, or NULL if only the sum is
 * wanted. x is at most max, which is finite; of NaN it is 0. Returns the sum; the sum of each
 * SCAN_BLOCK is written to block_sums [scan_n_blocks(n)] unless NULL. */
double scan_exp(float *y, const float *x, size_t n, float max, float temperature,
                double *block_sums);

/* The sum and block sums of finite x >= 0. */
double scan_sum(const float *x, size_t n, double *block_sums);

/* The first place where the running sum of x exceeds `target`, never one with x = 0; given the
 * block sums, it looks into one block only. x >= 0, not all 0; target < sum. */
size_t scan_find(const float *x, size_t n, const double *block_sums, double target);

/* The same for values e^((x[i] - max) / temperature) that scan_exp summed and did not store. */
size_t scan_find_exp(const float *x, size_t n, float max, float temperature,
                     const double *block_sums, double target);

/* Keeps the k candidates of largest value, of equals the smaller ids. Values are usable. */
void scan_keep_largest(struct candidates *c, size_t k);

/* Keeps the fewest candidates, largest first (of equals the smaller ids), whose values sum to at
 * least share * sum. Values are >= 0; sum is theirs; 0 <= share < 1. Keeps at least one. */
void scan_keep_mass(struct candidates *c, double share, double sum);

/* Keeps the candidates with value >= bound. */
void scan_keep_above(struct candidates *c, double bound);

#endif
