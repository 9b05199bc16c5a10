/* fmath.h - the elementary functions of the numeric contract: exp, sigmoid, log, sine and cosine.
 *
 * libm's results differ between libraries, versions and processors; these do not. Each is a fixed
 * sequence of IEEE operations (round to nearest even), so the same bits come out everywhere, and a
 * vector kernel that performs the same operations lane by lane gives the scalar's bits too. That
 * is why the sequence is spelled out step by step: it is part of the contract, not an
 * implementation detail. `fma` is the correctly rounded one; nothing else may be contracted.
 *
 * Coefficients: exp_f32's were fitted for this file (interpolation of (e^r - 1 - r) / r^2 in
 * Chebyshev nodes on |r| <= ln(2) / 2); the double functions use the Taylor series themselves. */
#ifndef VINCI_BASE_FMATH_H
#define VINCI_BASE_FMATH_H

#include <stdint.h>
#include <string.h>

static inline uint32_t f32_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float f32_from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline uint64_t f64_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double f64_from_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

#define EXP_F32_MIN -87.3f /* below: exactly 0, so that no result is denormal */
#define EXP_F32_MAX 88.7f  /* above: infinity */
#define EXP_F32_LOG2E 0x1.715476p+0f
#define EXP_F32_LN2_HI 0x1.62e43p-1f /* n * LN2_HI is exact inside the fma, x - n * LN2_HI too */
#define EXP_F32_LN2_LO -0x1.05c61p-29f
#define EXP_F32_ROUND 0x1.8p+23f /* x + ROUND - ROUND is rint(x) for |x| < 2^22 */
#define EXP_F32_C2 0x1p-1f
#define EXP_F32_C3 0x1.5554dcp-3f
#define EXP_F32_C4 0x1.55551ap-5f
#define EXP_F32_C5 0x1.120b6cp-7f
#define EXP_F32_C6 0x1.6d1106p-10f

/* e^x, error below 1 ulp. 0 for x < -87.3 and infinity for x > 88.7; NaN only from NaN.
 *
 * A kernel repeats: t = x * LOG2E (rounded product); n = rint(t); r = fma(n, -LN2_HI, x);
 * r = fma(n, -LN2_LO, r); p = Horner in fma from C6 down to 1, 1; result = p with n added to its
 * exponent bits (in range that is exactly p * 2^n); then the two selections, in any order. */
static inline float exp_f32(float x)
{
    if (x < EXP_F32_MIN) return 0.0f;
    if (x > EXP_F32_MAX) return f32_from_bits(0x7f800000u);
    if (x != x) return x;
    float t = x * EXP_F32_LOG2E + EXP_F32_ROUND; /* two roundings: -ffp-contract=off */
    uint32_t n_bits = f32_bits(t) - f32_bits(EXP_F32_ROUND);
    float n = t - EXP_F32_ROUND;
    float r = __builtin_fmaf(n, -EXP_F32_LN2_HI, x);
    r = __builtin_fmaf(n, -EXP_F32_LN2_LO, r);
    float p = EXP_F32_C6;
    p = __builtin_fmaf(p, r, EXP_F32_C5);
    p = __builtin_fmaf(p, r, EXP_F32_C4);
    p = __builtin_fmaf(p, r, EXP_F32_C3);
    p = __builtin_fmaf(p, r, EXP_F32_C2);
    p = __builtin_fmaf(p, r, 1.0f);
    p = __builtin_fmaf(p, r, 1.0f);
    return f32_from_bits(f32_bits(p) + (n_bits << 23));
}

/* 1 / (1 + e^-x): one exp_f32, one addition, one division. Error below 3 ulp; 0 and 1 at the ends,
 * never NaN from a finite x. */
static inline float sigmoid_f32(float x)
{
    return 1.0f / (1.0f + exp_f32(-x));
}

#define F64_LN2_HI 0x1.62e42fefa39efp-1
#define F64_LN2_LO 0x1.abc9e3b39803fp-56
#define F64_ROUND 0x1.8p+52 /* x + ROUND - ROUND is rint(x) for |x| < 2^51 */

/* e^x in double, relative error below 1e-15; 0 for x < -708, infinity for x > 709. */
static inline double exp_f64(double x)
{
    if (x < -708.0) return 0.0;
    if (x > 709.0) return f64_from_bits(UINT64_C(0x7ff) << 52);
    if (x != x) return x;
    double t = x * 0x1.71547652b82fep+0 + F64_ROUND;
    uint64_t n_bits = f64_bits(t) - f64_bits(F64_ROUND);
    double n = t - F64_ROUND;
    double r = __builtin_fma(n, -F64_LN2_HI, x);
    r = __builtin_fma(n, -F64_LN2_LO, r);
    static const double inverse_factorial[] = {1.0,
                                               1.0,
                                               1.0 / 2,
                                               1.0 / 6,
                                               1.0 / 24,
                                               1.0 / 120,
                                               1.0 / 720,
                                               1.0 / 5040,
                                               1.0 / 40320,
                                               1.0 / 362880,
                                               1.0 / 3628800,
                                               1.0 / 39916800,
                                               1.0 / 479001600,
                                               1.0 / 6227020800.0};
    double p = inverse_factorial[13];
    for (int k = 12; k >= 0; k--) p = __builtin_fma(p, r, inverse_factorial[k]);
    return f64_from_bits(f64_bits(p) + (n_bits << 52));
}

/* ln x in double for positive, finite, normal x; relative error below 1e-15.
 * x = 2^n m with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh(s), s = (m - 1) / (m + 1). */
static inline double log_f64(double x)
{
    uint64_t bits = f64_bits(x);
    int64_t n = (int64_t)(bits >> 52) - 1023;
    double m = f64_from_bits((bits & ((UINT64_C(1) << 52) - 1)) | (UINT64_C(1023) << 52));
    if (m > 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        n++;
    }
    double s = (m - 1.0) / (m + 1.0), z = s * s;
    double p = 1.0 / 25;
    for (int k = 23; k >= 3; k -= 2) p = __builtin_fma(p, z, 1.0 / k);
    double ln_m = __builtin_fma(2.0 * s * z, p, 2.0 * s);
    return __builtin_fma((double)n, F64_LN2_HI, __builtin_fma((double)n, F64_LN2_LO, ln_m));
}

/* sin x and cos x in double for |x| <= 1e8; absolute error below 1e-15.
 * x = n pi/2 + r with |r| <= pi/4, pi/2 in two parts (the first product is exact in the fma). */
static inline void sincos_f64(double x, double *sine, double *cosine)
{
    double t = x * 0x1.45f306dc9c883p-1 + F64_ROUND;
    uint64_t quadrant = f64_bits(t) - f64_bits(F64_ROUND);
    double n = t - F64_ROUND;
    double r = __builtin_fma(n, -0x1.921fb54442d18p+0, x);
    r = __builtin_fma(n, -0x1.1a62633145c07p-54, r);
    double z = r * r;
    double s = -1.0 / 1307674368000.0; /* 15!, 13!, ... */
    s = __builtin_fma(s, z, 1.0 / 6227020800.0);
    s = __builtin_fma(s, z, -1.0 / 39916800);
    s = __builtin_fma(s, z, 1.0 / 362880);
    s = __builtin_fma(s, z, -1.0 / 5040);
    s = __builtin_fma(s, z, 1.0 / 120);
    s = __builtin_fma(s, z, -1.0 / 6);
    s = __builtin_fma(s * z, r, r);
    double c = 1.0 / 20922789888000.0; /* 16!, 14!, ... */
    c = __builtin_fma(c, z, -1.0 / 87178291200.0);
    c = __builtin_fma(c, z, 1.0 / 479001600);
    c = __builtin_fma(c, z, -1.0 / 3628800);
    c = __builtin_fma(c, z, 1.0 / 40320);
    c = __builtin_fma(c, z, -1.0 / 720);
    c = __builtin_fma(c, z, 1.0 / 24);
    c = __builtin_fma(c, z, -1.0 / 2);
    c = __builtin_fma(c, z, 1.0);
    double sin_of[4] = {s, c, -s, -c};
    *sine = sin_of[quadrant & 3];
    *cosine = sin_of[(quadrant + 1) & 3];
}

#endif
