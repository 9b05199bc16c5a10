/* The declarations of CANN that the device uses, compared with facts.def: every one must be there
 * with the same result and arguments, and must not be said to be older than it is. The comparison
 * is the compiler's; the tests that run check versions and the simulated libraries. */
#include "device/npu/cann.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Types of facts.def that the device does not use: only their kind matters, as nothing of cann.h
 * has them. */
typedef void *aclrtTaskGrp, *aclrtDrvMemHandle, *aclrtBinHandle, *aclrtFuncHandle, *aclrtArgsHandle;
typedef void (*aclrtCallback)(void *);
typedef void (*aclrtHostFunc)(void *);
typedef void *aclInitCallbackFunc;
typedef int aclRegisterCallbackType, aclrtTsId, aclrtCallbackBlockType, aclrtHostRegisterType,
    aclrtLastErrLevel, aclrtStreamStatus, aclrtDeviceStatus, aclrtRunMode, aclrtDevAttr,
    aclDeviceInfo;
typedef struct aclFloatArray aclFloatArray;
typedef struct aclBoolArray aclBoolArray;
typedef struct aclScalarList aclScalarList;
typedef struct aclrtMemUsageInfo aclrtMemUsageInfo;
typedef struct aclrtMallocConfig aclrtMallocConfig;
typedef struct aclrtPtrAttributes aclrtPtrAttributes;
typedef struct aclrtPhysicalMemProp aclrtPhysicalMemProp;
typedef struct aclrtErrorInfo aclrtErrorInfo;
typedef struct aclrtBinaryLoadOptions aclrtBinaryLoadOptions;
typedef struct aclrtLaunchKernelCfg aclrtLaunchKernelCfg;
typedef void *HcclComm;
typedef struct HcclRootInfoDef HcclRootInfo;
typedef struct HcclCommConfigDef HcclCommConfig;
typedef int HcclResult, HcclReduceOp, HcclDataType;
struct dcmi_proc_mem_info;
enum dcmi_unit_type { DCMI_NPU };
enum dcmi_component_type { DCMI_SOME_COMPONENT = -1, DCMI_OTHER_COMPONENT };
enum dcmi_freq_type { DCMI_SOME_FREQUENCY = -1, DCMI_OTHER_FREQUENCY };

/* fact_<name>: the function as facts.def has it. */
#define ARGUMENTS(...) __VA_ARGS__
#define FUNCTION(library, since, result, name, arguments) typedef result fact_##name arguments;
#define OPERATOR(library, since, name, arguments) \
    typedef aclnnStatus fact_##name(ARGUMENTS arguments, uint64_t *, aclOpExecutor **);
#include "npu_sim/facts.def"
#undef FUNCTION
#undef OPERATOR

#define SAME(name, ...) \
    _Static_assert(__builtin_types_compatible_p(fact_##name, __VA_ARGS__), \
                   "unlike facts.def: " #name);
#define CHECK_FUNCTION(since, need, result, name, arguments) SAME(name, result arguments)
#define CHECK_OPERATOR(since, need, name, arguments) SAME(name, aclnnStatus arguments)
#define CHECK_DCMI(result, name, arguments) SAME(name, result arguments)
CANN_RUNTIME(CHECK_FUNCTION)
CANN_META(CHECK_FUNCTION)
CANN_OPERATORS(CHECK_OPERATOR)
CANN_DCMI(CHECK_DCMI)
_Static_assert(__builtin_types_compatible_p(cann_launch_fn,
                                            aclnnStatus(void *, uint64_t, aclOpExecutor *,
                                                        aclrtStream)),
               "the second phase");
/* The comparison can fail. */
_Static_assert(!__builtin_types_compatible_p(fact_aclrtMalloc,
                                             aclError(void **, uint32_t, aclrtMemMallocPolicy)),
               "a narrower argument is another type");
_Static_assert(!__builtin_types_compatible_p(fact_aclnnMm, fact_aclnnAddmm), "operators differ");

/* Values, as CANN's headers give them. */
#define VALUE(name, value) _Static_assert((int)(name) == (value), "unlike CANN: " #name);
VALUE(ACL_FLOAT, 0)
VALUE(ACL_FLOAT16, 1)
VALUE(ACL_INT8, 2)
VALUE(ACL_INT32, 3)
VALUE(ACL_UINT8, 4)
VALUE(ACL_INT64, 9)
VALUE(ACL_BOOL, 12)
VALUE(ACL_BF16, 27)
VALUE(ACL_INT4, 29)
VALUE(ACL_FORMAT_ND, 2)
VALUE(ACL_MEMCPY_HOST_TO_HOST, 0)
VALUE(ACL_MEMCPY_HOST_TO_DEVICE, 1)
VALUE(ACL_MEMCPY_DEVICE_TO_HOST, 2)
VALUE(ACL_MEMCPY_DEVICE_TO_DEVICE, 3)
VALUE(ACL_MEM_MALLOC_HUGE_FIRST, 0)
VALUE(ACL_HBM_MEM, 1)
VALUE(ACL_EVENT_RECORDED_STATUS_NOT_READY, 0)
VALUE(ACL_EVENT_RECORDED_STATUS_COMPLETE, 1)
VALUE(ACL_EVENT_SYNC, 1)
VALUE(ACL_EVENT_TIME_LINE, 8)
VALUE(ACL_MODEL_RI_CAPTURE_MODE_GLOBAL, 0)
VALUE(ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL, 1)
VALUE(ACL_MODEL_RI_CAPTURE_MODE_RELAXED, 2)
VALUE(ACL_MODEL_RI_CAPTURE_STATUS_NONE, 0)
VALUE(ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE, 1)
VALUE(ACL_MODEL_RI_CAPTURE_STATUS_INVALIDATED, 2)
VALUE(ACL_OPT_DETERMINISTIC, 0)
VALUE(ACL_PKG_NAME_CANN, 0)
VALUE(ACL_PKG_NAME_DRIVER, 7)
VALUE(ACL_ERROR_INVALID_PARAM, 100000)
VALUE(ACL_ERROR_REPEAT_INITIALIZE, 100002)
VALUE(ACL_ERROR_COMPILING_STUB_MODE, 100039)
VALUE(ACL_ERROR_RT_INVALID_DEVICEID, 107001)
VALUE(ACL_ERROR_RT_CONTEXT_NULL, 107002)
VALUE(ACL_ERROR_RT_STREAM_CONTEXT, 107003)
VALUE(ACL_ERROR_RT_INVALID_HANDLE, 107017)
VALUE(ACL_ERROR_RT_DEVICE_TASK_ABORT, 107022)
VALUE(ACL_ERROR_RT_STREAM_CAPTURED, 107027)
VALUE(ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT, 107030)
VALUE(ACL_ERROR_RT_STREAM_CAPTURE_WRONG_THREAD, 107038)
VALUE(ACL_ERROR_INVALID_OPP_PATH, 148049)
VALUE(ACLNN_ERR_PARAM_NULLPTR, 161001)
VALUE(ACLNN_ERR_PARAM_INVALID, 161002)
VALUE(ACL_ERROR_BAD_ALLOC, 200000)
VALUE(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, 207000)
VALUE(ACL_ERROR_RT_MEMORY_ALLOCATION, 207001)
VALUE(ACL_ERROR_RT_NO_DEVICE, 207004)
VALUE(ACL_ERROR_RT_NO_MODEL_RESOURCE, 207010)
VALUE(ACL_ERROR_RT_DEVICE_OOM, 207018)
VALUE(ACLNN_ERR_RUNTIME_ERROR, 361001)
VALUE(ACL_ERROR_RT_INTERNAL_ERROR, 507000)
VALUE(ACL_ERROR_RT_AICORE_TIMEOUT, 507014)
VALUE(ACL_ERROR_RT_AICORE_EXCEPTION, 507015)
VALUE(ACL_ERROR_RT_AICPU_EXCEPTION, 507018)
VALUE(ACL_ERROR_RT_VECTOR_CORE_EXCEPTION, 507035)
VALUE(ACL_ERROR_RT_STREAM_SYNC_TIMEOUT, 507046)
VALUE(ACL_ERROR_RT_DEV_SETUP_ERROR, 507033)
VALUE(ACL_ERROR_RT_DEVICE_MEM_ERROR, 507053)
VALUE(ACL_ERROR_RT_HBM_MULTI_BIT_ECC_ERROR, 507054)
VALUE(ACL_ERROR_RT_DRV_INTERNAL_ERROR, 507899)
VALUE(ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED, 507903)

_Static_assert(offsetof(aclCANNPackageVersion, patchVersion) == 320, "aclCANNPackageVersion");
_Static_assert(offsetof(aclrtUtilizationInfo, utilizationExtend) == 16, "aclrtUtilizationInfo");
_Static_assert(offsetof(struct dcmi_hbm_info, memory_usage) == 16, "dcmi_hbm_info");
_Static_assert(offsetof(struct dcmi_hbm_info, temp) == 24, "dcmi_hbm_info");
_Static_assert(offsetof(struct dcmi_chip_info_v2, npu_name) == 100, "dcmi_chip_info_v2");

/* ---- versions ---- */

static const struct fact {
    const char *name;
    const char *library;
    int since;
} facts[] = {
#define FUNCTION(library, since, result, name, arguments) {#name, #library, since},
#define OPERATOR(library, since, name, arguments) {#name, #library, since},
#include "npu_sim/facts.def"
#undef FUNCTION
#undef OPERATOR
};
enum { N_FACTS = sizeof facts / sizeof *facts };

static const struct declared {
    const char *name;
    int since;
    bool required, operator;
} declared[] = {
#define REQUIRED true
#define OPTIONAL false
#define FUNCTION_ROW(since, need, result, name, arguments) {#name, since, need, false},
#define OPERATOR_ROW(since, need, name, arguments) {#name, since, need, true},
    CANN_RUNTIME(FUNCTION_ROW) CANN_META(FUNCTION_ROW) CANN_OPERATORS(OPERATOR_ROW)};
enum { N_DECLARED = sizeof declared / sizeof *declared };

static const struct fact *fact_of(const char *name)
{
    for (size_t i = 0; i < N_FACTS; i++)
        if (!strcmp(facts[i].name, name)) return &facts[i];
    return NULL;
}

static void test_nothing_is_declared_older_than_known(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < N_DECLARED; i++) {
        const struct fact *fact = fact_of(declared[i].name);
        if (!fact || declared[i].since < 10 * fact->since ||
            (declared[i].required && fact->since > 80)) {
            fprintf(stderr, "%s: declared for %d%s, known from %d\n", declared[i].name,
                    declared[i].since, declared[i].required ? ", required" : "",
                    fact ? 10 * fact->since : 0);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void test_facts_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FACTS; i++) assert_ptr_equal(fact_of(facts[i].name), &facts[i]);
}

/* ---- the simulated libraries ---- */

static const char *const files[] = {
    "libascendcl.so",   "libacl_rt.so",   "libnnopbase.so",         "libopapi.so",
    "libopapi_math.so", "libopapi_nn.so", "libopapi_transformer.so"};
enum { N_FILES = sizeof files / sizeof *files };
static void *libraries[N_FILES];

static int open_libraries(void **state)
{
    (void)state;
    const char *build = getenv("BUILD");
    for (size_t i = 0; i < N_FILES; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/npu_sim/lib64/%s", build ? build : "build", files[i]);
        libraries[i] = dlopen(path, RTLD_LAZY | RTLD_GLOBAL);
        if (!libraries[i]) fprintf(stderr, "%s\n", dlerror());
        if (!libraries[i]) return -1;
    }
    return 0;
}

static int where(const char *name)
{
    for (int i = 0; i < N_FILES; i++)
        if (dlsym(libraries[i], name)) return i;
    return -1;
}

/* Every function of the device is simulated from its version on, and absent before. */
static void test_versions_hide_and_show(void **state)
{
    (void)state;
    static const char *const versions[] = {"8.0", "8.1", "8.3", "8.5", "9.0"};
    static const int numbers[] = {80, 81, 83, 85, 90};
    size_t wrong = 0;
    for (size_t v = 0; v < 5; v++) {
        setenv("NPU_SIM_CANN", versions[v], 1);
        for (size_t i = 0; i < N_DECLARED; i++) {
            char first[128];
            snprintf(first, sizeof first, "%sGetWorkspaceSize", declared[i].name);
            bool wanted = fact_of(declared[i].name)->since <= numbers[v];
            bool there = where(declared[i].name) >= 0;
            bool both = !declared[i].operator||(where(first) >= 0) == wanted;
            if (there == wanted && both) continue;
            fprintf(stderr, "%s in %s: %s\n", declared[i].name, versions[v],
                    there ? "there" : "missing");
            wrong++;
        }
    }
    unsetenv("NPU_SIM_CANN");
    assert_int_equal(wrong, 0);
}

static void test_libraries_as_in_each_version(void **state)
{
    (void)state;
    setenv("NPU_SIM_CANN", "8.3", 1);
    assert_string_equal(files[where("aclnnMm")], "libopapi.so");
    assert_string_equal(files[where("aclnnFusedInferAttentionScoreV4")], "libopapi.so");
    assert_null(dlsym(libraries[1], "aclInit"));
    setenv("NPU_SIM_CANN", "8.5", 1);
    assert_string_equal(files[where("aclnnMm")], "libopapi_nn.so");
    assert_string_equal(files[where("aclnnAdd")], "libopapi_math.so");
    assert_string_equal(files[where("aclnnFusedInferAttentionScoreV4")], "libopapi_transformer.so");
    assert_null(dlsym(libraries[3], "aclnnMm"));
    assert_non_null(dlsym(libraries[0], "aclInit"));
    assert_non_null(dlsym(libraries[1], "aclInit"));
    assert_string_equal(files[where("aclCreateTensor")], "libnnopbase.so");
    unsetenv("NPU_SIM_CANN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_declared_older_than_known),
        cmocka_unit_test(test_facts_are_unique),
        cmocka_unit_test(test_versions_hide_and_show),
        cmocka_unit_test(test_libraries_as_in_each_version),
    };
    return cmocka_run_group_tests(tests, open_libraries, NULL);
}
