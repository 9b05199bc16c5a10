/* monitor.h - samples how busy the machine is while a benchmark runs, from a thread of its own that
 * takes well under a thousandth of one processor: all processors, this process's part of it, clock,
 * temperature, memory. What others used tells whether the machine was quiet. */
#ifndef VINCI_BENCH_MONITOR_H
#define VINCI_BENCH_MONITOR_H

#include "vinci.h"

/* Shares are of all processors' time since the sample before; NAN where it is not told. */
struct monitor_sample {
    double time; /* seconds since the start */
    double busy, own;
    double frequency;   /* Hz */
    double temperature; /* degrees Celsius */
    uint64_t resident;  /* bytes, mapped files included */
    /* Of the NPU that is watched; NAN without one */
    double npu_busy, npu_memory, npu_temperature, npu_power; /* share, bytes, degrees, watts */
};

struct monitor;

/* An NPU to watch beside the processors: `id` as vinci_devices gives it. Only one whose driver
 * tells its temperature, use or power: asking CANN instead would disturb what runs there. Borrowed.
 */
struct monitor_npu {
    const char *id;
    const struct vinci_cann_places *places;
};

/* `npu` may be NULL. */
enum vinci_status monitor_start(struct monitor **out, const struct monitor_npu *npu,
                                struct vinci_error *err);

/* Seconds since the start, on the samples' clock. */
double monitor_time(const struct monitor *monitor);

/* Ends the thread. Accepts NULL. The samples stay until monitor_close. */
void monitor_stop(struct monitor *monitor);
const struct monitor_sample *monitor_samples(const struct monitor *monitor, size_t *n);
void monitor_close(struct monitor *monitor);

#endif
