/* npu_device.h - what tests and benchmarks see of the Ascend device beyond device.h. */
#ifndef VINCI_DEVICE_NPU_NPU_DEVICE_H
#define VINCI_DEVICE_NPU_NPU_DEVICE_H

#include "device/device.h"

/* Since creation; the upload is not counted. */
struct npu_counters {
    uint64_t n_steps;
    uint64_t n_operators;  /* launched one by one, or into a recording */
    uint64_t n_graphs;     /* recordings replayed: one launch each */
    uint64_t n_recordings; /* made */
    uint64_t n_updates;    /* operators in recordings, launched anew before a replay */
    uint64_t n_syncs;      /* times the host waited for the device */
    uint64_t n_copies;     /* between host and device */
    uint64_t bytes_up, bytes_down;
    uint64_t n_allocations; /* of device memory */
    uint64_t workspace_peak;
};
void npu_device_counters(const struct device *device, struct npu_counters *counters);

#endif
