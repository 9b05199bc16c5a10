/* abi.h - the simulator's own declarations of CANN's C ABI: types, enumerators, errors, structs.
 *
 * Written from the facts of CANN's public headers (8.0 to 9.0), not from the device's declarations
 * (src/device/npu/cann.h): tests/npu/test_sim_facts.c compares both with facts.def. Enumerations
 * are as wide as an int, as there. Only what facts.def names is here; structs that no simulated
 * function reads stay incomplete. */
#ifndef NPU_SIM_ABI_H
#define NPU_SIM_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int aclError;
typedef void *aclrtStream;
typedef void *aclrtEvent;
typedef void *aclrtContext;
typedef void *aclmdlRI;
typedef void *aclrtTaskGrp;
typedef void *aclrtDrvMemHandle;
typedef void *aclrtBinHandle;
typedef void *aclrtFuncHandle;
typedef void *aclrtArgsHandle;
typedef void (*aclrtCallback)(void *);
typedef void (*aclrtHostFunc)(void *);
typedef void *aclInitCallbackFunc;
typedef uint16_t aclFloat16;

typedef enum {
    ACL_DT_UNDEFINED = -1,
    ACL_FLOAT = 0,
    ACL_FLOAT16 = 1,
    ACL_INT8 = 2,
    ACL_INT32 = 3,
    ACL_UINT8 = 4,
    ACL_INT16 = 6,
    ACL_UINT16 = 7,
    ACL_UINT32 = 8,
    ACL_INT64 = 9,
    ACL_UINT64 = 10,
    ACL_DOUBLE = 11,
    ACL_BOOL = 12,
    ACL_STRING = 13,
    ACL_COMPLEX64 = 16,
    ACL_COMPLEX128 = 17,
    ACL_BF16 = 27,
    ACL_INT4 = 29,
    ACL_UINT1 = 30,
    ACL_COMPLEX32 = 33
} aclDataType;

typedef enum {
    ACL_FORMAT_UNDEFINED = -1,
    ACL_FORMAT_NCHW = 0,
    ACL_FORMAT_NHWC = 1,
    ACL_FORMAT_ND = 2,
    ACL_FORMAT_NC1HWC0 = 3,
    ACL_FORMAT_FRACTAL_Z = 4,
    ACL_FORMAT_NC1HWC0_C04 = 12,
    ACL_FORMAT_HWCN = 16,
    ACL_FORMAT_NDHWC = 27,
    ACL_FORMAT_FRACTAL_NZ = 29,
    ACL_FORMAT_NCDHW = 30,
    ACL_FORMAT_NDC1HWC0 = 32,
    ACL_FRACTAL_Z_3D = 33,
    ACL_FORMAT_NC = 35,
    ACL_FORMAT_NCL = 47
} aclFormat;

typedef enum { ACL_OPT_DETERMINISTIC = 0, ACL_OPT_ENABLE_DEBUG_KERNEL = 1 } aclSysParamOpt;
typedef enum {
    ACL_DEVICE_INFO_UNDEFINED = -1,
    ACL_DEVICE_INFO_AI_CORE_NUM = 0,
    ACL_DEVICE_INFO_VECTOR_CORE_NUM = 1,
    ACL_DEVICE_INFO_L2_SIZE = 2
} aclDeviceInfo;
typedef enum {
    ACL_MEMCPY_HOST_TO_HOST = 0,
    ACL_MEMCPY_HOST_TO_DEVICE = 1,
    ACL_MEMCPY_DEVICE_TO_HOST = 2,
    ACL_MEMCPY_DEVICE_TO_DEVICE = 3,
    ACL_MEMCPY_DEFAULT = 4 /* this and the following from 8.1.RC1 */
} aclrtMemcpyKind;
typedef enum {
    ACL_MEM_MALLOC_HUGE_FIRST = 0,
    ACL_MEM_MALLOC_HUGE_ONLY = 1,
    ACL_MEM_MALLOC_NORMAL_ONLY = 2,
    ACL_MEM_MALLOC_HUGE_FIRST_P2P = 3,
    ACL_MEM_MALLOC_HUGE_ONLY_P2P = 4,
    ACL_MEM_MALLOC_NORMAL_ONLY_P2P = 5,
    ACL_MEM_MALLOC_HUGE1G_ONLY = 6,
    ACL_MEM_MALLOC_HUGE1G_ONLY_P2P = 7,
    ACL_MEM_TYPE_LOW_BAND_WIDTH = 0x0100,
    ACL_MEM_TYPE_HIGH_BAND_WIDTH = 0x1000,
    ACL_MEM_ACCESS_USER_SPACE_READONLY = 0x100000
} aclrtMemMallocPolicy;
typedef enum {
    ACL_DDR_MEM = 0,
    ACL_HBM_MEM = 1,
    ACL_DDR_MEM_HUGE = 2,
    ACL_DDR_MEM_NORMAL = 3,
    ACL_HBM_MEM_HUGE = 4,
    ACL_HBM_MEM_NORMAL = 5,
    ACL_HBM_MEM_P2P_HUGE1G = 11,
    ACL_MEM_P2P_HUGE1G = 17 /* 8.5 */
} aclrtMemAttr;
typedef enum { ACL_DEVICE = 0, ACL_HOST = 1 } aclrtRunMode;
typedef enum {
    ACL_EVENT_RECORDED_STATUS_NOT_READY = 0,
    ACL_EVENT_RECORDED_STATUS_COMPLETE = 1
} aclrtEventRecordedStatus;
typedef enum {
    ACL_STREAM_STATUS_COMPLETE = 0,
    ACL_STREAM_STATUS_NOT_READY = 1,
    ACL_STREAM_STATUS_RESERVED = 0xFFFF
} aclrtStreamStatus;
typedef enum {
    ACL_RT_DEVICE_STATUS_NORMAL = 0,
    ACL_RT_DEVICE_STATUS_ABNORMAL = 1,
    ACL_RT_DEVICE_STATUS_END = 0xFFFF
} aclrtDeviceStatus;
typedef enum {
    ACL_MODEL_RI_CAPTURE_MODE_GLOBAL = 0,
    ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL = 1,
    ACL_MODEL_RI_CAPTURE_MODE_RELAXED = 2
} aclmdlRICaptureMode;
typedef enum {
    ACL_MODEL_RI_CAPTURE_STATUS_NONE = 0,
    ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE = 1,
    ACL_MODEL_RI_CAPTURE_STATUS_INVALIDATED = 2
} aclmdlRICaptureStatus;
typedef enum {
    ACL_DEV_ATTR_AICPU_CORE_NUM = 1,
    ACL_DEV_ATTR_AICORE_CORE_NUM = 101,
    ACL_DEV_ATTR_CUBE_CORE_NUM = 102,
    ACL_DEV_ATTR_VECTOR_CORE_NUM = 201,
    ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE = 301,
    ACL_DEV_ATTR_L2_CACHE_SIZE = 302
} aclrtDevAttr;
typedef enum {
    ACL_PKG_NAME_CANN = 0,
    ACL_PKG_NAME_RUNTIME = 1,
    ACL_PKG_NAME_COMPILER = 2,
    ACL_PKG_NAME_HCCL = 3,
    ACL_PKG_NAME_TOOLKIT = 4,
    ACL_PKG_NAME_OPP = 5,
    ACL_PKG_NAME_OPP_KERNEL = 6,
    ACL_PKG_NAME_DRIVER = 7
} aclCANNPackageName;
/* Not used by what is simulated: as wide as an enumeration. */
typedef int aclRegisterCallbackType, aclrtTsId, aclrtCallbackBlockType, aclrtHostRegisterType,
    aclrtLastErrLevel;

enum {
    ACL_EVENT_SYNC = 0x1,
    ACL_EVENT_CAPTURE_STREAM_PROGRESS = 0x2,
    ACL_EVENT_TIME_LINE = 0x8,
    ACL_STREAM_FAST_LAUNCH = 0x1,
    ACL_STREAM_FAST_SYNC = 0x2
};

typedef struct aclrtUtilizationExtendInfo aclrtUtilizationExtendInfo;
typedef struct aclrtUtilizationInfo {
    int32_t cubeUtilization, vectorUtilization, aicpuUtilization, memoryUtilization;
    aclrtUtilizationExtendInfo *utilizationExtend;
} aclrtUtilizationInfo;
typedef struct aclCANNPackageVersion {
    char version[128], majorVersion[64], minorVersion[64], releaseVersion[64], patchVersion[64],
        reserved[128];
} aclCANNPackageVersion;
typedef struct aclrtMemUsageInfo {
    char name[32];
    uint64_t curMemSize, memPeakSize;
    size_t reserved[8];
} aclrtMemUsageInfo;
typedef struct aclrtMallocConfig aclrtMallocConfig;
typedef struct aclrtPtrAttributes aclrtPtrAttributes;
typedef struct aclrtPhysicalMemProp aclrtPhysicalMemProp;
typedef struct aclrtErrorInfo aclrtErrorInfo;
typedef struct aclrtBinaryLoadOptions aclrtBinaryLoadOptions;
typedef struct aclrtLaunchKernelCfg aclrtLaunchKernelCfg;

/* The names without ACL_ERROR_: the values of ACL_ERROR_<name>. */
enum {
    SUCCESS = 0,
    INVALID_PARAM = 100000,
    UNINITIALIZE = 100001,
    REPEAT_INITIALIZE = 100002,
    REPEAT_FINALIZE = 100037,
    INVALID_OPP_PATH = 148049,
    RT_PARAM_INVALID = 107000,
    RT_INVALID_DEVICEID = 107001,
    RT_CONTEXT_NULL = 107002,
    RT_STREAM_CONTEXT = 107003,
    RT_EVENT_TIMESTAMP_INVALID = 107006,
    RT_EVENT_TIMESTAMP_REVERSAL = 107007,
    RT_INVALID_HANDLE = 107017,
    RT_CAPTURE_DEPENDENCY = 107024,
    RT_STREAM_UNJOINED = 107025,
    RT_MODEL_CAPTURED = 107026,
    RT_STREAM_CAPTURED = 107027,
    RT_EVENT_CAPTURED = 107028,
    RT_STREAM_NOT_CAPTURED = 107029,
    RT_CAPTURE_MODE_NOT_SUPPORT = 107030,
    RT_STREAM_CAPTURE_UNMATCHED = 107036,
    RT_STREAM_CAPTURE_WRONG_THREAD = 107038,
    RT_FEATURE_NOT_SUPPORT = 207000,
    RT_MEMORY_ALLOCATION = 207001,
    RT_NO_DEVICE = 207004,
    RT_NO_STREAM_RESOURCE = 207008,
    RT_FEATURE_NOT_SUPPORT_UPDATE_OP = 207019,
    INTERNAL_ERROR = 500000,
    RT_INTERNAL_ERROR = 507000,
    RT_DEV_SETUP_ERROR = 507033,
    RT_AICORE_TIMEOUT = 507014,
    RT_AICORE_EXCEPTION = 507015,
    RT_STREAM_SYNC_TIMEOUT = 507046,
    RT_DRV_INTERNAL_ERROR = 507899,
    RT_STREAM_CAPTURE_INVALIDATED = 507903,
    NN_PARAM_NULLPTR = 161001,
    NN_PARAM_INVALID = 161002,
    NN_RUNTIME_ERROR = 361001,
    NN_INNER_TILING_ERROR = 561002,
    NN_INNER_NULLPTR = 561103
};

typedef int32_t aclnnStatus;
typedef struct aclOpExecutor aclOpExecutor;
typedef struct aclTensor aclTensor;
typedef struct aclScalar aclScalar;
typedef struct aclIntArray aclIntArray;
typedef struct aclFloatArray aclFloatArray;
typedef struct aclBoolArray aclBoolArray;
typedef struct aclTensorList aclTensorList;
typedef struct aclScalarList aclScalarList;

typedef void *HcclComm;
typedef struct HcclRootInfoDef {
    char internal[4108];
} HcclRootInfo;
typedef struct HcclCommConfigDef HcclCommConfig;
typedef enum {
    HCCL_SUCCESS = 0,
    HCCL_E_PARA = 1,
    HCCL_E_PTR = 2,
    HCCL_E_INTERNAL = 4,
    HCCL_E_TIMEOUT = 9
} HcclResult;
typedef enum {
    HCCL_REDUCE_SUM = 0,
    HCCL_REDUCE_PROD = 1,
    HCCL_REDUCE_MAX = 2,
    HCCL_REDUCE_MIN = 3
} HcclReduceOp;
typedef enum {
    HCCL_DATA_TYPE_INT8 = 0,
    HCCL_DATA_TYPE_INT32 = 2,
    HCCL_DATA_TYPE_FP16 = 3,
    HCCL_DATA_TYPE_FP32 = 4,
    HCCL_DATA_TYPE_INT64 = 5,
    HCCL_DATA_TYPE_BFP16 = 11
} HcclDataType;

enum dcmi_unit_type { NPU_TYPE = 0, MCU_TYPE = 1, CPU_TYPE = 2, INVALID_TYPE = 0xFF };
enum dcmi_component_type { DCMI_COMPONENT_TYPE_NVE, DCMI_COMPONENT_TYPE_HILINK = 18 };
enum dcmi_freq_type {
    DCMI_FREQ_CTRLCPU = 2,
    DCMI_FREQ_HBM = 6,
    DCMI_FREQ_AICORE_CURRENT = 7,
    DCMI_FREQ_AICORE_MAX = 9
};
struct dcmi_hbm_info {
    unsigned long long memory_size; /* MB */
    unsigned int freq;
    unsigned long long memory_usage; /* MB */
    int temp;
    unsigned int bandwith_util_rate;
};
struct dcmi_chip_info_v2 {
    unsigned char chip_type[32], chip_name[32], chip_ver[32];
    unsigned int aicore_cnt;
    unsigned char npu_name[32];
};
struct dcmi_proc_mem_info {
    int proc_id;
    unsigned long proc_mem_usage;
};

_Static_assert(sizeof(aclDataType) == 4 && sizeof(aclFormat) == 4, "enumerations are ints");
_Static_assert(sizeof(aclrtUtilizationInfo) == 24, "aclrtUtilizationInfo");
_Static_assert(offsetof(aclrtUtilizationInfo, utilizationExtend) == 16, "its pointer");
_Static_assert(sizeof(aclCANNPackageVersion) == 512, "aclCANNPackageVersion");
_Static_assert(sizeof(aclrtMemUsageInfo) == 112, "aclrtMemUsageInfo");
_Static_assert(sizeof(HcclRootInfo) == 4108, "HcclRootInfo");
_Static_assert(sizeof(struct dcmi_hbm_info) == 32, "dcmi_hbm_info");
_Static_assert(offsetof(struct dcmi_hbm_info, memory_usage) == 16, "its usage");
_Static_assert(offsetof(struct dcmi_hbm_info, temp) == 24, "its temperature");
_Static_assert(sizeof(struct dcmi_chip_info_v2) == 132, "dcmi_chip_info_v2");
_Static_assert(sizeof(struct dcmi_proc_mem_info) == 16, "dcmi_proc_mem_info");

/* The simulator's functions are CANN's names behind sim_; exports.c gives them CANN's names. */
#pragma GCC visibility push(default)
#define FUNCTION(library, since, result, name, arguments) result sim_##name arguments;
#define ARGUMENTS(...) __VA_ARGS__
#define OPERATOR(library, since, name, arguments) \
    aclnnStatus sim_##name##GetWorkspaceSize(ARGUMENTS arguments, uint64_t *workspaceSize, \
                                             aclOpExecutor **executor); \
    aclnnStatus sim_##name(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, \
                           aclrtStream stream);
#include "facts.def"
#undef FUNCTION
#undef OPERATOR
#undef ARGUMENTS
#pragma GCC visibility pop

#endif
