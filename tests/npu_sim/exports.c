/* exports.c - one of CANN's libraries: the names it has, as the version asked for has them.
 *
 * Compiled once per library with -DLIBRARY_<name>. Each exported function is an indirect one: the
 * dynamic linker asks its resolver when dlsym looks the name up, and the resolver says none if the
 * chosen CANN (NPU_SIM_CANN) has not the function, or has it in another library. Up to 8.3 all
 * operators are in libopapi.so; from 8.5 in libopapi_math.so, _nn.so and _transformer.so, while
 * libopapi.so is an empty shell; libacl_rt.so exists from 8.5, beside libascendcl.so. What is not
 * simulated does not exist here either. */
#include "abi.h"

extern int npu_sim_version(void);

#if defined LIBRARY_ascendcl
#define HOLDS_RUNTIME 1
#elif defined LIBRARY_acl_rt
#define HOLDS_RUNTIME (npu_sim_version() >= 85)
#elif defined LIBRARY_nnopbase
#define HOLDS_META 1
#elif defined LIBRARY_dcmi
#define HOLDS_DCMI 1
#elif defined LIBRARY_opapi
#define HOLDS_MATH (npu_sim_version() < 85)
#define HOLDS_NN (npu_sim_version() < 85)
#define HOLDS_TRANSFORMER (npu_sim_version() < 85)
#elif defined LIBRARY_opapi_math
#define HOLDS_MATH (npu_sim_version() >= 85)
#elif defined LIBRARY_opapi_nn
#define HOLDS_NN (npu_sim_version() >= 85)
#elif defined LIBRARY_opapi_transformer
#define HOLDS_TRANSFORMER (npu_sim_version() >= 85)
#else
#error "no library chosen"
#endif

#define EXPORT(name, exists) \
    extern __typeof__(sim_##name) sim_##name __attribute__((weak)); \
    __attribute__(( \
        used, \
        no_sanitize("address", "undefined"))) static __typeof__(sim_##name) *resolve_##name(void) \
    { \
        return exists ? sim_##name : (__typeof__(sim_##name) *)0; \
    } \
    __attribute__((visibility("default"))) __typeof__(sim_##name) name \
        __attribute__((ifunc("resolve_" #name)));

#ifdef HOLDS_RUNTIME
#define RUNTIME_FUNCTION(since, name) EXPORT(name, HOLDS_RUNTIME &&npu_sim_version() >= since)
#else
#define RUNTIME_FUNCTION(since, name)
#endif
#ifdef HOLDS_META
#define META_FUNCTION(since, name) EXPORT(name, HOLDS_META &&npu_sim_version() >= since)
#else
#define META_FUNCTION(since, name)
#endif
#ifdef HOLDS_DCMI
#define DCMI_FUNCTION(since, name) EXPORT(name, HOLDS_DCMI)
#else
#define DCMI_FUNCTION(since, name)
#endif
#define HCCL_FUNCTION(since, name)
#ifdef HOLDS_MATH
#define MATH_OPERATOR(since, name) EXPORT(name, HOLDS_MATH &&npu_sim_version() >= since)
#else
#define MATH_OPERATOR(since, name)
#endif
#ifdef HOLDS_NN
#define NN_OPERATOR(since, name) EXPORT(name, HOLDS_NN &&npu_sim_version() >= since)
#else
#define NN_OPERATOR(since, name)
#endif
#ifdef HOLDS_TRANSFORMER
#define TRANSFORMER_OPERATOR(since, name) \
    EXPORT(name, HOLDS_TRANSFORMER &&npu_sim_version() >= since)
#else
#define TRANSFORMER_OPERATOR(since, name)
#endif

#define FUNCTION(library, since, result, name, arguments) library##_FUNCTION(since, name)
#define OPERATOR(library, since, name, arguments) \
    library##_OPERATOR(since, name) library##_OPERATOR(since, name##GetWorkspaceSize)
#include "facts.def"
