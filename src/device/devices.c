/* devices.c - what there is to run on: this machine's processor, and its NPUs. */
#include "base/buf.h"
#include "base/topology.h"
#include "device/cpu/kernels.h"
#include "device/npu/npu_info.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "MemAvailable: 123 kB" of /proc/meminfo in bytes, 0 where it is not there. */
static uint64_t meminfo(const char *key)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file) return 0;
    size_t n = strlen(key);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, key, n) == 0 && line[n] == ':' && sscanf(line + n + 1, "%llu", &kib) == 1)
            break;
    fclose(file);
    return (uint64_t)kib * 1024;
}

/* A control group's file that holds one number, UINT64_MAX where there is none ("max"). */
static uint64_t cgroup_bytes(const char *path)
{
    unsigned long long bytes = 0;
    FILE *file = fopen(path, "re");
    if (!file) return UINT64_MAX;
    int n = fscanf(file, "%llu", &bytes);
    fclose(file);
    return n == 1 ? (uint64_t)bytes : UINT64_MAX;
}

static void cpu_memory(struct vinci_device_info *info)
{
    static const char *const files[][2] = {
        {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes",
         "/sys/fs/cgroup/memory/memory.usage_in_bytes"}};
    info->memory_bytes = meminfo("MemTotal");
    info->memory_free_bytes = meminfo("MemAvailable");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        uint64_t most = cgroup_bytes(files[i][0]), used = cgroup_bytes(files[i][1]);
        if (most >= info->memory_bytes) continue;
        uint64_t left = used < most ? most - used : 0;
        info->memory_bytes = most;
        if (left < info->memory_free_bytes) info->memory_free_bytes = left;
    }
}

static enum vinci_status describe_cpu(struct vinci_device_info *info, struct vinci_error *err)
{
    struct topology_summary summary;
    enum vinci_status status = topology_describe(&summary, err);
    if (status != VINCI_OK) return status;
    snprintf(info->id, sizeof info->id, "cpu");
    snprintf(info->name, sizeof info->name, "%s", summary.name);
    info->n_cores = summary.n_cores;
    info->n_hardware_threads = summary.n_hardware_threads;
    info->n_nodes = summary.n_nodes;
    info->temperature_celsius = info->power_watts = info->utilisation_percent = (double)NAN;
    size_t n = 0;
    for (size_t i = 0; cpu_kernels_level(i) && n < sizeof info->isa; i++)
        n += (size_t)snprintf(info->isa + n, sizeof info->isa - n, "%s%s", i > 0 ? " " : "",
                              cpu_kernels_level(i));
    cpu_memory(info);
    return VINCI_OK;
}

enum vinci_status vinci_devices(struct vinci_device_info **devices, size_t *n,
                                const struct vinci_cann_places *cann, enum vinci_status *npu_status,
                                struct vinci_error *npu_reason, struct vinci_error *err)
{
    *devices = NULL;
    *n = 0;
    struct vinci_device_info *npus = NULL;
    size_t n_npus = 0;
    enum vinci_status npu =
        npu_devices(&npus, &n_npus, cann ? cann : &(const struct vinci_cann_places){0}, npu_reason);
    if (npu == VINCI_NO_MEMORY) return fail_memory(err, sizeof *npus, "the list of devices");
    if (npu_status) *npu_status = npu;
    struct vinci_device_info *list = array_new_zero(1 + n_npus, sizeof *list);
    if (list && n_npus > 0) memcpy(list + 1, npus, n_npus * sizeof *list);
    free(npus);
    if (!list) return fail_memory(err, sizeof *list, "the list of devices");
    enum vinci_status status = describe_cpu(&list[0], err);
    if (status != VINCI_OK) {
        free(list);
        return status;
    }
    *devices = list;
    *n = 1 + n_npus;
    return VINCI_OK;
}
