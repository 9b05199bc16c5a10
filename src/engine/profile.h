/* profile.h - where the time of the steps goes, for `--profile`: one clock reading behind each
 * operation, added to the operation's row; nothing but a test of a flag when it is off.
 *
 * The time of an operation is that from the end of the one before it. On a device that queues its
 * work this is the time that queueing takes, and waiting shows where results are read. */
#ifndef VINCI_ENGINE_PROFILE_H
#define VINCI_ENGINE_PROFILE_H

#include "device/device.h"

enum profile_operation {
    PROFILE_EMBED,
    PROFILE_ATTENTION_NORM,
    PROFILE_QKV,
    PROFILE_ROPE_STORE,
    PROFILE_ATTENTION,
    PROFILE_ATTENTION_OUT,
    PROFILE_MLP_NORM,
    PROFILE_ROUTER,
    PROFILE_EXPERTS,
    PROFILE_OUTPUT,
    PROFILE_SAMPLE,
    PROFILE_OPERATIONS
};

enum profile_layers { PROFILE_FULL, PROFILE_WINDOW, PROFILE_OUTSIDE, PROFILE_LAYERS };

struct profile {
    bool on;
    double last;
    uint64_t last_bytes;
    struct vinci_profile_row rows[PROFILE_OPERATIONS][PROFILE_LAYERS];
    struct vinci_profile_row report[PROFILE_OPERATIONS * PROFILE_LAYERS];
};

void profile_reset(struct profile *profile);

/* From here the next operation counts. */
void profile_start_on(struct profile *profile, const struct device *device);
void profile_lap_on(struct profile *profile, const struct device *device,
                    enum profile_operation operation, enum profile_layers layers);

static inline void profile_start(struct profile *profile, const struct device *device)
{
    if (profile->on) profile_start_on(profile, device);
}

/* The operation is done. */
static inline void profile_lap(struct profile *profile, const struct device *device,
                               enum profile_operation operation, enum profile_layers layers)
{
    if (profile->on) profile_lap_on(profile, device, operation, layers);
}

#endif
