/* kernels.c - finds out which kernel tables this machine can run, and picks one. */
#include "device/cpu/kernels.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
/* __builtin_cpu_supports also asks the system whether it saves the registers, but not every
 * compiler's knows F16C and AVX-VNNI: leaf 1 ECX bit 29, leaf 7.1 EAX bit 4. */
static bool has_avx2(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 29);
}

static bool has_avxvnni(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}
#elif defined(__aarch64__)
static bool has_dotprod(void)
{
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
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
    {"avx2", has_avx2, kernels_avx2_fill},
    {"avxvnni", has_avxvnni, kernels_avxvnni_fill},
    {"avx512", has_avx512, kernels_avx512_fill},
#elif defined(__aarch64__)
    {"neon", has_dotprod, kernels_neon_fill},
#endif
};

enum { N_LEVELS = sizeof levels / sizeof *levels };

const char *cpu_kernels_level(size_t i)
{
    for (size_t level = N_LEVELS; level-- > 0;)
        if (levels[level].available() && i-- == 0) return levels[level].name;
    return NULL;
}

/* A table may hold products of several levels: the one that needs most decides. */
size_t cpu_kernels_scratch_bytes(const struct cpu_kernels *kernels, size_t n_cols)
{
    size_t most = 0;
    for (size_t i = 0; i < N_LEVELS; i++) {
        struct cpu_kernels table;
        if (!levels[i].available()) continue;
        kernels_scalar_fill(&table);
        levels[i].fill(&table);
        size_t n_bytes = table.linear_scratch_bytes(n_cols);
        most = n_bytes > most ? n_bytes : most;
        if (strcmp(levels[i].name, kernels->isa) == 0) break;
    }
    return most;
}

enum vinci_status cpu_kernels_select(struct cpu_kernels *out, const char *level,
                                     struct vinci_error *err)
{
    const char *wanted = level ? level : cpu_kernels_level(0);
    for (size_t i = 0; i < N_LEVELS; i++) {
        if (!levels[i].available()) continue;
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
