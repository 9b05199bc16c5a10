/* calls.h - the simulator as a test calls it: its libraries opened as a program opens CANN's, every
 * function found by its name, and small helpers that make, fill and read device tensors.
 *
 * What a test makes is remembered and given back by sim_clear(). */
#ifndef NPU_SIM_CALLS_H
#define NPU_SIM_CALLS_H

#include "abi.h"
#include "counters.h"

#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One pointer a function; NULL where the chosen version has it not. */
static struct {
#define FUNCTION(library, since, result, name, arguments) result(*name) arguments;
#define ARGUMENTS(...) __VA_ARGS__
#define OPERATOR(library, since, name, arguments) \
    aclnnStatus (*name##GetWorkspaceSize)(ARGUMENTS arguments, uint64_t *, aclOpExecutor **); \
    aclnnStatus (*name)(void *, uint64_t, aclOpExecutor *, aclrtStream);
#include "facts.def"
#undef FUNCTION
#undef OPERATOR
#undef ARGUMENTS
    void (*npu_sim_counters)(struct npu_sim_counters *);
    void (*npu_sim_reset)(void);
    const char *(*npu_sim_violation)(void);
} cann;

enum { MAX_MADE = 512 };
static aclTensor *made_tensors[MAX_MADE];
static void *made_memory[MAX_MADE];
static size_t n_made_tensors, n_made_memory;
static aclrtStream stream;

static void *sim_symbol(const char *name)
{
    static void *libraries[9];
    static const char *const names[9] = {"ascendcl",   "acl_rt",   "nnopbase",          "opapi",
                                         "opapi_math", "opapi_nn", "opapi_transformer", "dcmi",
                                         "npu_sim"};
    for (int i = 0; i < 9; i++) {
        char path[4096];
        const char *build = getenv("BUILD");
        snprintf(path, sizeof path, "%s/npu_sim/lib64/lib%s.so", build ? build : "build", names[i]);
        if (!libraries[i]) libraries[i] = dlopen(path, RTLD_LAZY | RTLD_GLOBAL);
        if (!libraries[i]) fprintf(stderr, "%s\n", dlerror());
        void *found = libraries[i] ? dlsym(libraries[i], name) : NULL;
        if (found) return found;
    }
    return NULL;
}

static void sim_find(const char *version)
{
    setenv("NPU_SIM_CANN", version, 1);
    setenv("NPU_SIM_VIOLATIONS", "count", 1); /* the tests look at them one by one */
#define FIND(name) *(void **)&cann.name = sim_symbol(#name);
#define FUNCTION(library, since, result, name, arguments) FIND(name)
#define OPERATOR(library, since, name, arguments) FIND(name) FIND(name##GetWorkspaceSize)
#include "facts.def"
#undef FUNCTION
#undef OPERATOR
    FIND(npu_sim_counters)
    FIND(npu_sim_reset)
    FIND(npu_sim_violation)
}

__attribute__((unused)) static struct npu_sim_counters counters(void)
{
    struct npu_sim_counters c;
    cann.npu_sim_counters(&c);
    return c;
}

/* ---- start and end ---- */

static int sim_begin(const char *version)
{
    sim_find(version);
    if (!cann.aclInit || cann.aclInit(NULL) || cann.aclrtSetDevice(0)) return -1;
    cann.npu_sim_reset();
    return cann.aclrtCreateStream(&stream);
}

static void sim_clear(void)
{
    cann.aclrtSynchronizeStream(stream);
    while (n_made_tensors) cann.aclDestroyTensor(made_tensors[--n_made_tensors]);
    while (n_made_memory) cann.aclrtFree(made_memory[--n_made_memory]);
}

static int sim_end(void)
{
    sim_clear();
    cann.aclrtDestroyStream(stream); /* says so when the device was lost */
    return cann.aclrtResetDevice(0) || cann.aclFinalize();
}

/* ---- tensors ---- */

static size_t size_of(aclDataType type)
{
    switch (type) {
    case ACL_FLOAT:
    case ACL_INT32: return 4;
    case ACL_INT64: return 8;
    case ACL_FLOAT16:
    case ACL_BF16: return 2;
    default: return 1;
    }
}

/* Written anew for the tests: shifts for bf16, the compiler's type for fp16. */
static uint16_t bf16(double v)
{
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, 4);
    uint32_t low = bits & 0xFFFF, up = bits >> 16;
    if (low > 0x8000 || (low == 0x8000 && (up & 1))) up++;
    return (uint16_t)up;
}

static uint16_t fp16(double v)
{
    double a = fabs(v);
    uint16_t sign = v < 0 ? 0x8000 : 0;
    if (a == 0) return sign;
    int e = (int)floor(log2(a));
    if (e < -14) e = -14;
    double n = nearbyint(ldexp(a, 10 - e));
    if (n >= 2048) n /= 2, e++;
    if (e > 15) return sign | 0x7C00;
    return (uint16_t)(sign | (n < 1024 ? (int)n : ((e + 15) << 10) | ((int)n - 1024)));
}

static void put(void *to, aclDataType type, size_t i, double v)
{
    switch (type) {
    case ACL_FLOAT: ((float *)to)[i] = (float)v; break;
    case ACL_INT32: ((int32_t *)to)[i] = (int32_t)v; break;
    case ACL_INT64: ((int64_t *)to)[i] = (int64_t)v; break;
    case ACL_BF16: ((uint16_t *)to)[i] = bf16(v); break;
    case ACL_FLOAT16: ((uint16_t *)to)[i] = fp16(v); break;
    default: ((int8_t *)to)[i] = (int8_t)v;
    }
}

static double get(const void *from, aclDataType type, size_t i)
{
    uint32_t bits;
    float f;
    switch (type) {
    case ACL_FLOAT: return ((const float *)from)[i];
    case ACL_INT32: return ((const int32_t *)from)[i];
    case ACL_INT64: return (double)((const int64_t *)from)[i];
    case ACL_BF16:
        bits = (uint32_t)((const uint16_t *)from)[i] << 16;
        memcpy(&f, &bits, 4);
        return f;
    case ACL_FLOAT16: {
        uint16_t h = ((const uint16_t *)from)[i];
        int e = h >> 10 & 31, m = h & 1023;
        double a = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(m + 1024, e - 25) : ldexp(m, -24);
        return h & 0x8000 ? -a : a;
    }
    default: return ((const int8_t *)from)[i];
    }
}

static void *device_bytes(size_t n)
{
    void *p = NULL;
    if (cann.aclrtMalloc(&p, n ? n : 1, ACL_MEM_MALLOC_HUGE_FIRST)) return NULL;
    made_memory[n_made_memory++] = p;
    return p;
}

/* A view of device memory with strides (NULL: dense), its storage of n elements. */
static aclTensor *view(void *data, aclDataType type, int n_dims, const int64_t *dims,
                       const int64_t *strides, int64_t offset, int64_t n)
{
    aclTensor *t = cann.aclCreateTensor(dims, (uint64_t)n_dims, type, strides, offset,
                                        ACL_FORMAT_ND, &n, 1, data);
    made_tensors[n_made_tensors++] = t;
    return t;
}

static void *upload(aclDataType type, const double *values, int64_t n)
{
    void *data = device_bytes((size_t)n * size_of(type));
    void *host = malloc((size_t)n * size_of(type) + 1);
    for (int64_t i = 0; i < n; i++) put(host, type, (size_t)i, values ? values[i] : 0);
    if (n)
        cann.aclrtMemcpy(data, (size_t)n * size_of(type), host, (size_t)n * size_of(type),
                         ACL_MEMCPY_HOST_TO_DEVICE);
    free(host);
    return data;
}

#define DIMS(...) \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (const int64_t[]) \
    { \
        __VA_ARGS__ \
    }

/* A dense tensor of new memory; values NULL: zeros. */
static aclTensor *tensor(aclDataType type, const double *values, int n_dims, const int64_t *dims)
{
    int64_t n = 1;
    for (int i = 0; i < n_dims; i++) n *= dims[i];
    return view(upload(type, values, n), type, n_dims, dims, NULL, 0, n);
}

/* The n elements of a dense tensor's memory, after the stream has ended. */
static void fetch(const aclTensor *t, aclDataType type, double *values, int64_t n)
{
    void *data = NULL;
    cann.aclrtSynchronizeStream(stream);
    cann.aclGetRawTensorAddr(t, &data);
    void *host = malloc((size_t)n * size_of(type));
    cann.aclrtMemcpy(host, (size_t)n * size_of(type), data, (size_t)n * size_of(type),
                     ACL_MEMCPY_DEVICE_TO_HOST);
    for (int64_t i = 0; i < n; i++) values[i] = get(host, type, (size_t)i);
    free(host);
}

/* Both phases with a workspace of its own; the status of the one that failed. */
#define RUN(operator, ...) \
    ({ \
        uint64_t size_ = 0; \
        aclOpExecutor *executor_ = NULL; \
        aclnnStatus status_ = cann.operator##GetWorkspaceSize(__VA_ARGS__, &size_, &executor_); \
        void *workspace_ = !status_ && size_ ? device_bytes(size_) : NULL; \
        if (!status_) status_ = cann.operator(workspace_, size_, executor_, stream); \
        status_; \
    })

/* Numbers between -1 and 1 that are the same everywhere. */
static double noise(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (double)(int32_t)*seed / 2147483648.0;
}

__attribute__((unused)) static double *random_values(int64_t n, uint32_t seed, double scale,
                                                     aclDataType type)
{
    double *values = malloc((size_t)n * sizeof *values);
    uint8_t one[8];
    for (int64_t i = 0; i < n; i++) {
        put(one, type, 0, noise(&seed) * scale);
        values[i] = get(one, type, 0); /* as it is stored */
    }
    return values;
}

#endif
