/* random.h - random numbers by counter: a pure function of (seed, index), so there is no state to
 * carry, and any element can be had in any order. The same on every machine. */
#ifndef VINCI_BASE_RANDOM_H
#define VINCI_BASE_RANDOM_H

#include <stdint.h>

/* A bijection of 64 bits in which every input bit changes every output bit with probability near
 * one half (the finaliser of SplitMix64). */
static inline uint64_t random_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The seed is mixed first: neighbouring seeds do not give shifted copies of one sequence. */
static inline uint64_t random_u64(uint64_t seed, uint64_t index)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    return random_mix(random_mix(seed + golden) + (index + 1) * golden);
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double random_uniform(uint64_t seed, uint64_t index)
{
    return (double)(random_u64(seed, index) >> 11) * 0x1p-53;
}

#endif
