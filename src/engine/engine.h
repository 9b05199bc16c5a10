/* engine.h - the loaded model: weights, device, KV cache, forward pass; and the one lock that makes
 * steps follow each other. What the other files of src/engine see of it. */
#ifndef VINCI_ENGINE_ENGINE_H
#define VINCI_ENGINE_ENGINE_H

#include "base/clock.h"
#include "base/prefetch.h"
#include "engine/forward.h"
#include "engine/prefix_cache.h"
#include "engine/prefix_file.h"
#include "engine/profile.h"

#include <pthread.h>

struct scheduler;
struct script;

struct vinci_engine {
    struct model *model;
    struct device *device;
    struct kv_cache *cache;
    struct prefix_cache *prefixes;   /* NULL: requests share nothing */
    struct prefix_file *prefix_file; /* NULL: they are forgotten at the end */
    uint64_t prefix_file_bytes;
    struct forward *forward;
    struct scheduler *scheduler;
    struct script *script; /* NULL: the model chooses */
    struct device_limits limits;
    struct vinci_model_info model_info;
    const char *cpu_level;
    double load_seconds;
    struct prefetch *prefetch; /* may be NULL */
    struct log log;
    struct profile profile;
    pthread_mutex_t lock; /* one step, session change or page change at a time */
};

#endif
