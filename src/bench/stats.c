/* stats.c - statistics of a few repeated timings. */
#include "bench/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sort(double *out, const double *x, size_t n)
{
    memcpy(out, x, n * sizeof *x);
    qsort(out, n, sizeof *out, ascending);
}

static double median_of_sorted(const double *x, size_t n)
{
    return (x[(n - 1) / 2] + x[n / 2]) / 2;
}

struct stats_interval stats_median(const double *x, size_t n, double wanted)
{
    double sorted[STATS_MAX] = {0}, binomial = 1, below = 0;
    sort(sorted, x, n);
    struct stats_interval out = {median_of_sorted(sorted, n), sorted[0], sorted[n - 1], 0};
    /* The number of samples below the median is binomial with n and 1/2. Leaving out k at each end
     * loses what lies below k twice. */
    for (size_t k = 0; k < (n + 1) / 2; k++) {
        below += ldexp(binomial, -(int)n);
        double coverage = 1 - 2 * below;
        if (k > 0 && coverage < wanted) break;
        out.low = sorted[k];
        out.high = sorted[n - 1 - k];
        out.coverage = coverage > 0 ? coverage : 0;
        binomial = binomial * (double)(n - k) / (double)(k + 1);
    }
    return out;
}

/* The value at a share of the way through the sorted samples. */
static double quantile(const double *sorted, size_t n, double share)
{
    double at = share * (double)(n - 1);
    size_t i = (size_t)at;
    if (i + 1 >= n) return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

double stats_spread(const double *x, size_t n)
{
    double sorted[STATS_MAX] = {0};
    if (n < 2) return 0;
    sort(sorted, x, n);
    double median = median_of_sorted(sorted, n);
    return median > 0 ? (quantile(sorted, n, 0.75) - quantile(sorted, n, 0.25)) / 2 / median : 0;
}

/* Share of the permutations of n that have at most `inversions` of them: the counts for n come from
 * those for n - 1 by a window of n. */
static double few_inversions(size_t n, size_t inversions)
{
    enum { MOST = STATS_MAX * (STATS_MAX - 1) / 2 + 1 };
    double share[MOST] = {1}, next[MOST];
    size_t most = 0;
    for (size_t k = 2; k <= n; k++) {
        double window = 0;
        most += k - 1;
        for (size_t i = 0; i <= most; i++) {
            window += i <= most - (k - 1) ? share[i] : 0;
            if (i >= k) window -= share[i - k];
            next[i] = window / (double)k;
        }
        memcpy(share, next, (most + 1) * sizeof *share);
    }
    double sum = 0;
    for (size_t i = 0; i <= inversions && i <= most; i++) sum += share[i];
    return sum < 1 ? sum : 1;
}

double stats_trend(const double *x, size_t n, int *s)
{
    int rising = 0, falling = 0;
    *s = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            rising += x[j] > x[i];
            falling += x[j] < x[i];
        }
    *s = rising - falling;
    if (n < 3) return 1;
    /* Ties count for neither side, so the side with fewer has at most half of all pairs. */
    size_t few = ((size_t)(rising + falling) - (size_t)abs(*s)) / 2;
    size_t ties = n * (n - 1) / 2 - (size_t)(rising + falling);
    double p = 2 * few_inversions(n, few + ties / 2);
    return p < 1 ? p : 1;
}

/* Mann and Whitney's count of the orders of n and m samples with U at most u, over all of them. */
static double few_wins(size_t n, size_t m, size_t u)
{
    /* f(n, m, u) = (n f(n-1, m, u-m) + m f(n, m-1, u)) / (n + m), as shares */
    size_t width = n * m + 1;
    double *f = calloc((n + 1) * width, sizeof *f); /* for one m, by n and u */
    if (!f) return 1;
    for (size_t i = 0; i <= n; i++) f[i * width] = 1; /* m = 0: U is 0 */
    for (size_t j = 1; j <= m; j++)
        for (size_t i = 1; i <= n; i++) /* row i - 1 is of this j already, row i of j - 1 */
            for (size_t k = width; k-- > 0;) {
                double won = k >= j ? f[(i - 1) * width + k - j] : 0;
                f[i * width + k] =
                    ((double)i * won + (double)j * f[i * width + k]) / (double)(i + j);
            }
    double sum = 0;
    for (size_t k = 0; k <= u && k < width; k++) sum += f[n * width + k];
    free(f);
    return sum < 1 ? sum : 1;
}

/* With ties the exact distribution does not hold: the normal one, corrected for ties and steps. */
static double normal_p(const double *x, size_t n, const double *y, size_t m, double u)
{
    double all[2 * STATS_MAX], ties = 0, count = (double)(n + m);
    memcpy(all, x, n * sizeof *x);
    memcpy(all + n, y, m * sizeof *y);
    qsort(all, n + m, sizeof *all, ascending);
    for (size_t i = 0; i < n + m;) {
        size_t j = i;
        while (j < n + m && all[j] == all[i]) j++;
        double t = (double)(j - i);
        ties += t * t * t - t;
        i = j;
    }
    double variance = (double)(n * m) / 12 * (count + 1 - ties / (count * (count - 1)));
    if (variance <= 0) return 1;
    double z = (fabs(u - (double)(n * m) / 2) - 0.5) / sqrt(variance);
    return z > 0 ? erfc(z / sqrt(2)) : 1;
}

struct stats_comparison stats_compare(const double *x, size_t n, const double *y, size_t m)
{
    struct stats_comparison out = {1, 1, 1};
    double *ratios = calloc(n * m + 1, sizeof *ratios), wins = 0;
    bool tied = false;
    if (!ratios || n == 0 || m == 0) {
        free(ratios);
        return out;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) {
            ratios[i * m + j] = y[j] / x[i];
            wins += x[i] > y[j] ? 1 : x[i] == y[j] ? 0.5 : 0;
            tied |= x[i] == y[j];
        }
    qsort(ratios, n * m, sizeof *ratios, ascending);
    out.ratio = median_of_sorted(ratios, n * m);
    free(ratios);
    double fewer = wins < (double)(n * m) - wins ? wins : (double)(n * m) - wins;
    out.p = tied ? normal_p(x, n, y, m, wins) : 2 * few_wins(n, m, (size_t)fewer);
    out.p_min = 2 * few_wins(n, m, 0);
    if (out.p > 1) out.p = 1;
    if (out.p_min > 1) out.p_min = 1;
    return out;
}

void stats_holm(double *p, size_t n)
{
    bool *taken = calloc(n ? n : 1, sizeof *taken);
    double most = 0;
    for (size_t k = 0; taken && k < n; k++) {
        size_t least = n;
        for (size_t i = 0; i < n; i++)
            if (!taken[i] && (least == n || p[i] < p[least])) least = i;
        taken[least] = true;
        double corrected = p[least] * (double)(n - k);
        if (corrected > most) most = corrected;
        p[least] = most < 1 ? most : 1;
    }
    free(taken);
}
