/* stats.h - statistics of a few repeated timings, without assuming a distribution.
 *
 *   spread       median, and an interval for it from order statistics, with its exact coverage
 *   comparison   Mann-Whitney's U, exact for the sizes that occur, and the ratio by Hodges and
 *                Lehmann; several comparisons at once are corrected by Holm
 *   disturbance  wide spread, drift (Mann-Kendall's S, exact) */
#ifndef VINCI_BENCH_STATS_H
#define VINCI_BENCH_STATS_H

#include <stdbool.h>
#include <stddef.h>

enum { STATS_MAX = 64 }; /* most samples of a group */

struct stats_interval {
    double median, low, high;
    double coverage; /* probability that the median lies within; what n samples allow, at most what
                        was asked for or the least above it; 0 for one sample */
};

/* The narrowest symmetric pair of order statistics that covers the median with at least `wanted`;
 * least and most when none does. 1 <= n <= STATS_MAX. */
struct stats_interval stats_median(const double *x, size_t n, double wanted);

/* Half of the distance between the quartiles over the median: a spread that one outlier does not
 * move. 0 for n < 2. */
double stats_spread(const double *x, size_t n);

/* Two-sided p that samples in this order have no trend; *s > 0: rising. 1 for n < 3. */
double stats_trend(const double *x, size_t n, int *s);

struct stats_comparison {
    double ratio; /* median of all y[j] / x[i] */
    double p;     /* two-sided; exact without ties, with them the normal approximation */
    double p_min; /* the least p that so few samples can give */
};
struct stats_comparison stats_compare(const double *x, size_t n, const double *y, size_t m);

/* Holm's correction of n p-values, in place. */
void stats_holm(double *p, size_t n);

#endif
