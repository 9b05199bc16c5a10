/* scan.c - passes over a whole vocabulary.
 *
 * Selection is by radix: a float's bits, made to sort as an unsigned number, are narrowed down 11
 * bits at a time by a histogram of counts or of probability mass. That is linear whatever the
 * values are, equal ones included, and finds the exact cut: a key, and how many of the candidates
 * that have this very key stay. Cheap bounds throw most candidates out before. */
#include "engine/scan.h"

#include "base/fmath.h"

#include <float.h>

typedef float f32x4 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16))); /* what a comparison gives */
typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef double f64x2 __attribute__((vector_size(16)));

static f32x4 load4(const float *x)
{
    f32x4 v;
    memcpy(&v, x, sizeof v);
    return v;
}

static f32x4 choose(i32x4 mask, f32x4 yes, f32x4 no)
{
    return (f32x4)(((i32x4)yes & mask) | ((i32x4)no & ~mask));
}

static const float minus_infinity = -__builtin_inff();

/* ---- copy, maximum ------------------------------------------------------------------------ */

float scan_usable(float x)
{
    if (!(x >= -FLT_MAX)) return minus_infinity; /* NaN too */
    return x > FLT_MAX ? FLT_MAX : x + 0.0f;
}

void scan_copy_usable(float *y, const float *x, size_t n)
{
    const f32x4 least = {-FLT_MAX, -FLT_MAX, -FLT_MAX, -FLT_MAX}, most = -least;
    const f32x4 none = {minus_infinity, minus_infinity, minus_infinity, minus_infinity};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        f32x4 v = load4(x + i);
        f32x4 bounded = choose(v > most, most, v + 0.0f);
        v = choose(v >= least, bounded, none);
        memcpy(y + i, &v, sizeof v);
    }
    for (; i < n; i++) y[i] = scan_usable(x[i]);
}

/* Without the place: four vectors, so that the maxima do not wait for each other. */
static float max_of(const float *x, size_t n)
{
    f32x4 best[4];
    for (size_t k = 0; k < 4; k++)
        best[k] = (f32x4){minus_infinity, minus_infinity, minus_infinity, minus_infinity};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t k = 0; k < 4; k++) {
            f32x4 v = load4(x + i + 4 * k);
            best[k] = choose(v > best[k], v, best[k]);
        }
    float max = minus_infinity;
    for (size_t k = 0; k < 16; k++)
        if (best[k / 4][k % 4] > max) max = best[k / 4][k % 4];
    for (; i < n; i++)
        if (x[i] > max) max = x[i];
    return max;
}

float scan_max(const float *x, size_t n, size_t *first)
{
    float max = minus_infinity;
    size_t at = 0;
    for (size_t begin = 0; begin < n; begin += SCAN_BLOCK) {
        float block_max = max_of(x + begin, n - begin < SCAN_BLOCK ? n - begin : SCAN_BLOCK);
        if (block_max > max) {
            max = block_max;
            at = begin;
        }
    }
    if (first) {
        if (max > minus_infinity)
            while (!(x[at] >= max)) at++;
        *first = at;
    }
    return max;
}

/* ---- exponentials and sums ---------------------------------------------------------------- */

/* e^x for x <= 0: exp_f32 with products and sums in place of fma, which baseline x86-64 would have
 * to call a function for. Error below 2 ulp; LN2_HI has so few bits that n * LN2_HI is exact. */
static f32x4 exp4(f32x4 x)
{
    f32x4 t = x * EXP_F32_LOG2E + EXP_F32_ROUND, n = t - EXP_F32_ROUND;
    f32x4 r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
    f32x4 p = r * EXP_F32_C6 + EXP_F32_C5;
    p = p * r + EXP_F32_C4;
    p = p * r + EXP_F32_C3;
    p = p * r + EXP_F32_C2;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    u32x4 y = (u32x4)p + ((u32x4)t << 23); /* the low bits of t are n; ROUND's own shift out */
    return (f32x4)(y & (u32x4)(x >= EXP_F32_MIN));
}

struct sum4 {
    f64x2 low, high;
};

static void sum4_add(struct sum4 *sum, f32x4 v)
{
    sum->low += (f64x2){v[0], v[1]};
    sum->high += (f64x2){v[2], v[3]};
}

static double sum4_total(const struct sum4 *sum)
{
    return (sum->low[0] + sum->low[1]) + (sum->high[0] + sum->high[1]);
}

/* Inline, so that temperature 1 has a loop of its own: without a division, same bits. */
static inline double exp_and_sum(float *y, const float *x, size_t n, float max, float temperature,
                                 double *block_sums)
{
    double sum = 0.0;
    for (size_t begin = 0; begin < n; begin += SCAN_BLOCK) {
        size_t end = n - begin < SCAN_BLOCK ? n : begin + SCAN_BLOCK, i = begin;
        struct sum4 block = {0};
        for (; i + 4 <= end; i += 4) {
            f32x4 v = exp4((load4(x + i) - max) / temperature);
            if (y) memcpy(y + i, &v, sizeof v);
            sum4_add(&block, v);
        }
        if (i < end) { /* the rest of a vector at -infinity: adds 0 */
            f32x4 v = {minus_infinity, minus_infinity, minus_infinity, minus_infinity};
            memcpy(&v, x + i, (end - i) * sizeof *x);
            v = exp4((v - max) / temperature);
            if (y) memcpy(y + i, &v, (end - i) * sizeof *y);
            sum4_add(&block, v);
        }
        double block_sum = sum4_total(&block);
        if (block_sums) block_sums[begin / SCAN_BLOCK] = block_sum;
        sum += block_sum;
    }
    return sum;
}

double scan_exp(float *y, const float *x, size_t n, float max, float temperature,
                double *block_sums)
{
    if (temperature == 1.0f && !y) return exp_and_sum(NULL, x, n, max, 1.0f, block_sums);
    if (temperature == 1.0f) return exp_and_sum(y, x, n, max, 1.0f, block_sums);
    return exp_and_sum(y, x, n, max, temperature, block_sums);
}

double scan_sum(const float *x, size_t n, double *block_sums)
{
    double sum = 0.0;
    for (size_t begin = 0; begin < n; begin += SCAN_BLOCK) {
        size_t end = n - begin < SCAN_BLOCK ? n : begin + SCAN_BLOCK;
        double block_sum = 0.0;
        for (size_t i = begin; i < end; i++) block_sum += x[i];
        block_sums[begin / SCAN_BLOCK] = block_sum;
        sum += block_sum;
    }
    return sum;
}

/* The block in which the running sum exceeds *target, which becomes what is left of it there. */
static size_t find_block(const double *block_sums, size_t n_blocks, double *target)
{
    size_t block = 0, last = n_blocks - 1;
    while (last > 0 && block_sums[last] <= 0.0) last--;
    while (block < last && *target >= block_sums[block]) *target -= block_sums[block++];
    return block;
}

/* Of a block's n values: the last one where rounding left a little of the target. */
static size_t find_in_block(const float *x, size_t n, double target)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] <= 0.0f) continue;
        found = i;
        if (target < x[i]) break;
        target -= x[i];
    }
    return found;
}

static size_t block_size(size_t begin, size_t n)
{
    return n - begin < SCAN_BLOCK ? n - begin : SCAN_BLOCK;
}

size_t scan_find(const float *x, size_t n, const double *block_sums, double target)
{
    size_t begin = find_block(block_sums, scan_n_blocks(n), &target) * SCAN_BLOCK;
    return begin + find_in_block(x + begin, block_size(begin, n), target);
}

size_t scan_find_exp(const float *x, size_t n, float max, float temperature,
                     const double *block_sums, double target)
{
    float y[SCAN_BLOCK];
    size_t begin = find_block(block_sums, scan_n_blocks(n), &target) * SCAN_BLOCK;
    scan_exp(y, x + begin, block_size(begin, n), max, temperature, NULL);
    return begin + find_in_block(y, block_size(begin, n), target);
}

/* ---- selection ---------------------------------------------------------------------------- */

enum {
    RADIX_BITS = 11,
    RADIX_SIZE = 1 << RADIX_BITS,
    RADIX_LANES = 4 /* neighbours often fall into one bin: they shall not wait for each other */
};

/* What stays: every key above `key`, and the first n_equal candidates that have it. */
struct cut {
    uint32_t key;
    size_t n_equal;
};

/* Sorts as the float does: negative numbers have all bits turned, others the sign bit. */
static uint32_t sort_key(float x)
{
    uint32_t bits = f32_bits(x);
    return bits ^ (bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31);
}

static float value_of_key(uint32_t key)
{
    return f32_from_bits(key >> 31 ? key ^ UINT32_C(1) << 31 : ~key);
}

/* The cut that leaves the fewest largest values whose measure (their number, or their sum) reaches
 * `target` > 0; everything if nothing does. n >= 1. */
static struct cut find_cut(const float *value, size_t n, double target, bool by_sum)
{
    double histogram[RADIX_LANES][RADIX_SIZE];
    size_t n_lanes = n < RADIX_SIZE ? 1 : RADIX_LANES;
    uint32_t prefix = 0; /* the bits found so far */
    double above = 0.0;  /* measure of what is larger than every key with this prefix */
    for (int shift = 32 - RADIX_BITS, width = RADIX_BITS;;) {
        memset(histogram, 0, n_lanes * sizeof *histogram);
        uint32_t least = RADIX_SIZE; /* the smallest bin that holds something */
        for (size_t i = 0; i < n; i++) {
            uint32_t key = sort_key(value[i]);
            if ((uint64_t)key >> (shift + width) != prefix) continue;
            uint32_t bin = key >> shift & ((1u << width) - 1);
            histogram[i & (n_lanes - 1)][bin] += by_sum ? value[i] : 1.0;
            least = bin < least ? bin : least;
        }
        for (size_t lane = 1; lane < n_lanes; lane++)
            for (size_t i = 0; i < RADIX_SIZE; i++) histogram[0][i] += histogram[lane][i];
        uint32_t bin = (1u << width) - 1;
        while (bin > least && above + histogram[0][bin] < target) above += histogram[0][bin--];
        prefix = prefix << width | bin;
        if (shift == 0) break;
        width = shift < RADIX_BITS ? shift : RADIX_BITS;
        shift -= width;
    }
    double each = by_sum ? value_of_key(prefix) : 1.0, n_equal = (target - above) / each;
    struct cut cut = {prefix, n};
    if (!by_sum) cut.n_equal = (size_t)n_equal;
    else if (n_equal < (double)n) {
        cut.n_equal = n_equal < 1.0 ? 1 : (size_t)n_equal;
        while (above + (double)cut.n_equal * each < target && cut.n_equal < n) cut.n_equal++;
    }
    return cut;
}

/* The two filters write every candidate to place n and step on if it stays: no branch to guess
 * wrong. So one place behind the last that stays has been written too. */
static void keep_first(struct candidates *c, size_t n)
{
    size_t n_moved = n < c->n ? n + 1 : n;
    c->n = n;
    if (n_moved > c->n_moved) c->n_moved = n_moved;
}

static void apply_cut(struct candidates *c, struct cut cut)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        uint32_t key = sort_key(c->value[i]);
        size_t equal = (key == cut.key) & (cut.n_equal > 0);
        cut.n_equal -= equal;
        c->value[n] = c->value[i];
        c->id[n] = c->id[i];
        n += (key > cut.key) | equal;
    }
    keep_first(c, n);
}

void scan_keep_above(struct candidates *c, double bound)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        float value = c->value[i];
        c->value[n] = value;
        c->id[n] = c->id[i];
        n += value >= bound;
    }
    keep_first(c, n);
}

/* A value that at least k candidates reach: the k-th largest of block maxima. */
static float bound_by_blocks(const struct candidates *c, size_t k)
{
    enum { N_MAXIMA = 4096 };
    float maxima[N_MAXIMA];
    size_t block = (c->n + N_MAXIMA - 1) / N_MAXIMA;
    block = block < 16 ? 16 : block;
    size_t n = (c->n + block - 1) / block;
    if (k > n) return minus_infinity;
    for (size_t i = 0; i < n; i++) {
        size_t begin = i * block, left = c->n - begin;
        maxima[i] = max_of(c->value + begin, left < block ? left : block);
    }
    return value_of_key(find_cut(maxima, n, (double)k, false).key);
}

void scan_keep_largest(struct candidates *c, size_t k)
{
    if (k >= c->n) return;
    if (c->n >= 1024) scan_keep_above(c, bound_by_blocks(c, k));
    apply_cut(c, find_cut(c->value, c->n, (double)k, false));
}

void scan_keep_mass(struct candidates *c, double share, double sum)
{
    if (c->n == 0) return;
    /* All values below (1 - share) * sum / n together are less than what may be left out. Half of
     * it, so that no rounding matters. */
    float max = scan_max(c->value, c->n, NULL);
    double bound = 0.5 * (1.0 - share) * sum / (double)c->n;
    scan_keep_above(c, bound < max ? bound : max);
    double target = share * sum;
    apply_cut(c, find_cut(c->value, c->n, target > 0.0 ? target : DBL_MIN, true));
}
