/* kernels.c - finds out which kernel tables this machine can run, and picks one. */
#include "device/cpu/kernels.h"

#include <stdio.h>
#include <string.h>

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}
#endif

/* From the lowest level up: each builds on the table of those before it. */
static const struct {
    const char *name;
    bool (*available)(void);
    void (*fill)(struct cpu_kernels *table);
} levels[] = {
    {"scalar", always, kernels_scalar_fill},
#if defined(__x86_64__)
    {"avx512", has_avx512, kernels_avx512_fill},
#endif
};

enum { N_LEVELS = sizeof levels / sizeof *levels };

const char *cpu_kernels_level(size_t i)
{
    for (size_t level = N_LEVELS; level-- > 0;)
        if (levels[level].available() && i-- == 0) return levels[level].name;
    return NULL;
}

enum vinci_status cpu_kernels_select(struct cpu_kernels *out, const char *level,
                                     struct vinci_error *err)
{
    const char *wanted = level ? level : cpu_kernels_level(0);
    for (size_t i = 0; i < N_LEVELS && levels[i].available(); i++) {
        levels[i].fill(out);
        if (strcmp(levels[i].name, wanted) == 0) return VINCI_OK;
    }
    char names[128] = "";
    for (size_t i = 0; cpu_kernels_level(i); i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", cpu_kernels_level(i));
    }
    return fail(err, VINCI_UNSUPPORTED, "CPU level: expected one this machine has (%s), got %s",
                names, wanted);
}
