/* counters.h - what the simulator counted, for tests: npu_sim_counters() is exported by
 * libnpu_sim.so, which every simulated library needs, so that dlsym finds it through each of them.
 * The same figures are written as JSON to the file that NPU_SIM_REPORT names, at exit. */
#ifndef NPU_SIM_COUNTERS_H
#define NPU_SIM_COUNTERS_H

#include <stdint.h>

enum { NPU_SIM_STREAMS = 64 };

struct npu_sim_counters {
    uint64_t launches;         /* operators and captured models given to a stream by the host */
    uint64_t model_launches;   /* of these, captured models */
    uint64_t updates;          /* operators given to captured models in place of others */
    uint64_t kernels;          /* operators that ran, those inside models included */
    uint64_t kernel_bytes;     /* read and written by them */
    uint64_t synchronisations; /* calls that made the host wait: streams, events, devices, copies of
                                  memory that is not pinned */
    uint64_t stream_waits, event_waits, device_waits, pageable_copies; /* which of these */
    uint64_t idle; /* times a stream had nothing more to do (NPU_SIM_ORDER=eager) */
    uint64_t queries;
    uint64_t sync_copies; /* aclrtMemcpy and aclrtMemset, which also wait */
    uint64_t host_to_device, device_to_host, device_to_device; /* bytes */
    uint64_t copies_queued_peak; /* to the device, from pinned memory: the most at once that were
                                    queued and not done */
    uint64_t workspace_largest;
    uint64_t mallocs, frees;
    uint64_t memory_used, memory_peak;
    uint64_t executors; /* first phases */
    uint64_t tensors_alive, executors_alive, streams_alive, events_alive, models_alive;
    uint64_t faults;       /* failures that NPU_SIM_FAIL asked for */
    uint64_t refusals;     /* calls that returned an error */
    uint64_t violations;   /* what hardware would not report: races, leaks, use after free */
    uint64_t launches_run; /* since aclInit: what NPU_SIM_LOST and NPU_SIM_HANG count */
    uint64_t stream_launches[NPU_SIM_STREAMS];
};

/* The figures since the start or the last npu_sim_reset(), which keeps what is alive. */
void npu_sim_counters(struct npu_sim_counters *out);
void npu_sim_reset(void);

/* The text of the last violation; "" when there was none since the last npu_sim_reset(). */
const char *npu_sim_violation(void);

#endif
