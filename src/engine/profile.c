/* profile.c - the rows of `--profile`. */
#include "engine/profile.h"

#include "engine/engine.h"

#include <string.h>

static const char *const operation_names[PROFILE_OPERATIONS] = {
    [PROFILE_EMBED] = "embedding",       [PROFILE_ATTENTION_NORM] = "attention norm",
    [PROFILE_QKV] = "q, k, v",           [PROFILE_ROPE_STORE] = "rope and store",
    [PROFILE_ATTENTION] = "attention",   [PROFILE_ATTENTION_OUT] = "attention output",
    [PROFILE_MLP_NORM] = "experts norm", [PROFILE_ROUTER] = "router",
    [PROFILE_EXPERTS] = "experts",       [PROFILE_OUTPUT] = "logits",
    [PROFILE_SAMPLE] = "sampling",
};

static const char *const layers_names[PROFILE_LAYERS] = {
    [PROFILE_FULL] = "full", [PROFILE_WINDOW] = "window", [PROFILE_OUTSIDE] = ""};

void profile_reset(struct profile *profile)
{
    memset(profile->rows, 0, sizeof profile->rows);
}

void profile_start_on(struct profile *profile, const struct device *device)
{
    profile->last = seconds_now();
    profile->last_bytes = device->weight_bytes;
}

void profile_lap_on(struct profile *profile, const struct device *device,
                    enum profile_operation operation, enum profile_layers layers)
{
    struct vinci_profile_row *row = &profile->rows[operation][layers];
    double now = seconds_now();
    row->n_calls++;
    row->seconds += now - profile->last;
    row->weight_bytes += device->weight_bytes - profile->last_bytes;
    profile->last = now;
    profile->last_bytes = device->weight_bytes;
}

const struct vinci_profile_row *vinci_engine_profile(struct vinci_engine *engine, size_t *n)
{
    struct profile *profile = &engine->profile;
    *n = 0;
    for (int i = 0; i < PROFILE_OPERATIONS; i++) {
        for (int k = 0; k < PROFILE_LAYERS; k++) {
            struct vinci_profile_row row = profile->rows[i][k];
            row.operation = operation_names[i];
            row.layers = layers_names[k];
            if (row.n_calls) profile->report[(*n)++] = row;
        }
    }
    return profile->report;
}

void vinci_engine_profile_reset(struct vinci_engine *engine)
{
    profile_reset(&engine->profile);
}
