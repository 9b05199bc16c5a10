/* usage.h - how busy this machine is: processor time, frequency, memory. Linux's /proc and /sys. */
#ifndef VINCI_BENCH_USAGE_H
#define VINCI_BENCH_USAGE_H

#include <stdint.h>

/* All zero before the first sample. */
struct usage {
    uint64_t busy, total; /* ticks since the start of the machine, all processors */
};

/* Share of all processors' time that was busy since the last call, 0 to 1; NAN the first time and
 * where the system does not say. */
double usage_busy(struct usage *usage);

/* Mean clock of the processors in Hz, NAN where it is not told (many virtual machines). */
double usage_frequency(void);

/* The hottest thermal zone in degrees Celsius, NAN where there is none. */
double usage_temperature(void);

#endif
