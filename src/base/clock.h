/* clock.h - time for measuring: seconds from some moment on, never set back. */
#ifndef VINCI_BASE_CLOCK_H
#define VINCI_BASE_CLOCK_H

#include <time.h>

static inline double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
