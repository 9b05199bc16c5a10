/* npu_case.c - finds the simulator and opens engines on it. */
#include "npu_case.h"

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

void close_engine(struct vinci_engine *engine)
{
    vinci_engine_close(engine);
    assert_int_equal(npu_violations(), 0);
}

void some_tokens(int32_t *tokens, size_t n, size_t seed)
{
    for (size_t i = 0; i < n; i++) tokens[i] = (int32_t)((i * 37 + seed * 11 + 5) % 300);
}

void append(struct vinci_session *session, const int32_t *tokens, size_t n, float *logits)
{
    struct vinci_error err;
    if (vinci_session_append(session, tokens, n, NULL, logits, &err) != VINCI_OK)
        fail_msg("%s", err.text);
}

double difference(const float *a, const float *b)
{
    double max = 0;
    for (int i = 0; i < N_VOCAB; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= max)) max = d; /* a NaN counts */
    }
    return max;
}
