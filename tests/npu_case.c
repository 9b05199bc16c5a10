/* npu_case.c - finds the simulator and opens engines on it. */
#include "npu_case.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *simulator(void)
{
    static char path[1024];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/npu_sim", build ? build : "build");
    return path;
}

static void *function(const char *library, const char *name)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/lib64/%s", simulator(), library);
    void *handle = dlopen(path, RTLD_LAZY), *symbol = handle ? dlsym(handle, name) : NULL;
    if (!symbol) {
        fprintf(stderr, "%s: %s\n", name, dlerror());
        abort();
    }
    return symbol;
}

enum vinci_npu_attention npu_case_attention = VINCI_NPU_ATTENTION_AUTO;

enum vinci_status npu_engine(struct vinci_engine **engine, const char *model, const char *version,
                             enum vinci_npu_dtype dtype, uint32_t n_seqs, uint32_t n_batch,
                             struct vinci_error *err)
{
    struct vinci_engine_options options;
    vinci_engine_options_init(&options);
    setenv("NPU_SIM_CANN", version, 1);
    options.model = model;
    options.device = "npu:0";
    options.cann.home = simulator();
    options.npu_dtype = dtype;
    options.npu_attention = npu_case_attention;
    options.n_threads = 2;
    options.n_ctx = 1024;
    options.n_seqs = n_seqs;
    options.n_batch = n_batch;
    return vinci_engine_open(engine, &options, err);
}

struct vinci_cann_places npu_places(void)
{
    return (struct vinci_cann_places){.home = simulator()};
}

void npu_counters(struct npu_sim_counters *counters)
{
    void (*read)(struct npu_sim_counters *) = NULL;
    void *symbol = function("libnpu_sim.so", "npu_sim_counters");
    memcpy(&read, &symbol, sizeof read);
    read(counters);
}

void npu_reset_counters(void)
{
    void (*reset)(void) = NULL;
    void *symbol = function("libnpu_sim.so", "npu_sim_reset");
    memcpy(&reset, &symbol, sizeof reset);
    reset();
}

uint64_t npu_violations(void)
{
    struct npu_sim_counters counters;
    npu_counters(&counters);
    return counters.violations;
}

void npu_fail(const char *calls)
{
    int (*init)(const char *) = NULL;
    void *symbol = function("libascendcl.so", "aclInit");
    if (calls) setenv("NPU_SIM_FAIL", calls, 1);
    else unsetenv("NPU_SIM_FAIL");
    memcpy(&init, &symbol, sizeof init);
    init(NULL); /* refused, but the simulator reads what shall fail */
}
