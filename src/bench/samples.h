/* samples.h - the order statistics that benchmarks print. */
#ifndef VINCI_BENCH_SAMPLES_H
#define VINCI_BENCH_SAMPLES_H

#include <stddef.h>

/* Of n >= 1 numbers, which are few: each one's rank is counted. Of an even number, the mean of the
 * middle two. */
static inline double samples_median(const double *x, size_t n)
{
    double low = x[0], high = x[0];
    for (size_t i = 0; i < n; i++) {
        size_t rank = 0;
        for (size_t j = 0; j < n; j++) rank += x[j] < x[i] || (x[j] == x[i] && j < i);
        if (rank == (n - 1) / 2) low = x[i];
        if (rank == n / 2) high = x[i];
    }
    return (low + high) / 2;
}

static inline double samples_min(const double *x, size_t n)
{
    double least = x[0];
    for (size_t i = 1; i < n; i++) least = x[i] < least ? x[i] : least;
    return least;
}

static inline double samples_max(const double *x, size_t n)
{
    double most = x[0];
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

#endif
