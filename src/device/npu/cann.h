/* cann.h - CANN's C interface as vinci uses it: types, values and one list of entry points.
 *
 * CANN is found at run time, so nothing here comes from its headers: these are our own declarations
 * of the public interface (CANN 8.0 to 9.0, LP64), compared with the headers of 8.1.RC1, 8.5.0 and
 * 9.0.0. Names are CANN's, so that its documents can be searched for them.
 *
 * The lists, each an X-macro:
 *   CANN_RUNTIME    X(since, need, return type, name, arguments)
 *   CANN_META       the same; tensors, scalars, lists
 *   CANN_OPERATORS  X(since, need, name, arguments of the first phase)
 *   CANN_DCMI       X(return type, name, arguments): card management, always optional
 *
 * since  the CANN version whose public headers or documents first have it: 800 is 8.0, 810 8.1.RC1.
 *        An older library may export the name all the same; only its presence decides.
 * need   REQUIRED or OPTIONAL: what is optional has another way, written in the file that uses it.
 *
 * An operator X is two functions: `aclnnStatus XGetWorkspaceSize(arguments)` and the second phase,
 * which has one form for all (cann_launch_fn). */
#ifndef VINCI_DEVICE_NPU_CANN_H
#define VINCI_DEVICE_NPU_CANN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- types --------------------------------------------------------------------------------- */

typedef int aclError;
typedef int32_t aclnnStatus;
typedef void *aclrtStream;
typedef void *aclrtEvent;
typedef void *aclrtContext;
typedef void *aclmdlRI;
typedef void *aclrtTaskGrp;

typedef struct aclOpExecutor aclOpExecutor;
typedef struct aclTensor aclTensor;
typedef struct aclScalar aclScalar;
typedef struct aclIntArray aclIntArray;
typedef struct aclTensorList aclTensorList;

typedef enum {
    ACL_DT_UNDEFINED = -1,
    ACL_FLOAT = 0,
    ACL_FLOAT16 = 1,
    ACL_INT8 = 2,
    ACL_INT32 = 3,
    ACL_UINT8 = 4,
    ACL_INT64 = 9,
    ACL_BOOL = 12,
    ACL_BF16 = 27,
    ACL_INT4 = 29
} aclDataType;

typedef enum { ACL_FORMAT_ND = 2 } aclFormat;

typedef enum {
    ACL_MEMCPY_HOST_TO_HOST = 0,
    ACL_MEMCPY_HOST_TO_DEVICE = 1,
    ACL_MEMCPY_DEVICE_TO_HOST = 2,
    ACL_MEMCPY_DEVICE_TO_DEVICE = 3
} aclrtMemcpyKind;

typedef enum {
    ACL_MEM_MALLOC_HUGE_FIRST = 0,
    ACL_MEM_MALLOC_HUGE_ONLY = 1,
    ACL_MEM_MALLOC_NORMAL_ONLY = 2
} aclrtMemMallocPolicy;

typedef enum { ACL_DDR_MEM = 0, ACL_HBM_MEM = 1 } aclrtMemAttr;

typedef enum {
    ACL_EVENT_RECORDED_STATUS_NOT_READY = 0,
    ACL_EVENT_RECORDED_STATUS_COMPLETE = 1
} aclrtEventRecordedStatus;

enum { ACL_EVENT_SYNC = 0x1, ACL_EVENT_TIME_LINE = 0x8 };

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

typedef enum { ACL_OPT_DETERMINISTIC = 0 } aclSysParamOpt;

typedef enum {
    ACL_PKG_NAME_CANN = 0,
    ACL_PKG_NAME_RUNTIME = 1,
    ACL_PKG_NAME_DRIVER = 7
} aclCANNPackageName;

typedef struct {
    char version[128];
    char majorVersion[64], minorVersion[64], releaseVersion[64], patchVersion[64];
    char reserved[128];
} aclCANNPackageVersion;

typedef struct {
    int32_t cubeUtilization, vectorUtilization, aicpuUtilization, memoryUtilization; /* percent */
    void *utilizationExtend;                                                         /* NULL */
} aclrtUtilizationInfo;

_Static_assert(sizeof(aclCANNPackageVersion) == 512, "as in CANN");
_Static_assert(sizeof(aclrtUtilizationInfo) == 24, "as in CANN");

/* cubeMathType of the matrix products: inputs are used in the type they have, sums are float32. */
enum { CANN_KEEP_DTYPE = 0 };

/* Errors that vinci tells apart. The whole list: docs/ascend.md. */
enum {
    ACL_SUCCESS = 0,
    ACL_ERROR_INVALID_PARAM = 100000,
    ACL_ERROR_UNINITIALIZE = 100001,
    ACL_ERROR_REPEAT_INITIALIZE = 100002,
    ACL_ERROR_COMPILING_STUB_MODE = 100039,
    ACL_ERROR_RT_PARAM_INVALID = 107000,
    ACL_ERROR_RT_INVALID_DEVICEID = 107001,
    ACL_ERROR_RT_CONTEXT_NULL = 107002,
    ACL_ERROR_RT_STREAM_CONTEXT = 107003,
    ACL_ERROR_RT_INVALID_HANDLE = 107017,
    ACL_ERROR_RT_DEVICE_TASK_ABORT = 107022,
    ACL_ERROR_RT_MODEL_CAPTURED = 107026,
    ACL_ERROR_RT_STREAM_CAPTURED = 107027,
    ACL_ERROR_RT_EVENT_CAPTURED = 107028,
    ACL_ERROR_RT_STREAM_NOT_CAPTURED = 107029,
    ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT = 107030,
    ACL_ERROR_RT_STREAM_CAPTURE_WRONG_THREAD = 107038,
    ACL_ERROR_INVALID_OPP_PATH = 148049,
    ACLNN_ERR_PARAM_NULLPTR = 161001,
    ACLNN_ERR_PARAM_INVALID = 161002,
    ACL_ERROR_BAD_ALLOC = 200000,
    ACL_ERROR_RT_FEATURE_NOT_SUPPORT = 207000,
    ACL_ERROR_RT_MEMORY_ALLOCATION = 207001,
    ACL_ERROR_RT_NO_DEVICE = 207004,
    ACL_ERROR_RT_NO_STREAM_RESOURCE = 207008,
    ACL_ERROR_RT_NO_MODEL_RESOURCE = 207010,
    ACL_ERROR_RT_DEVICE_OOM = 207018,
    ACLNN_ERR_RUNTIME_ERROR = 361001,
    ACLNN_ERR_INNER_TILING_ERROR = 561002,
    ACL_ERROR_RT_INTERNAL_ERROR = 507000,
    ACL_ERROR_RT_AICORE_TIMEOUT = 507014,
    ACL_ERROR_RT_AICORE_EXCEPTION = 507015,
    ACL_ERROR_RT_AICPU_TIMEOUT = 507017,
    ACL_ERROR_RT_AICPU_EXCEPTION = 507018,
    ACL_ERROR_RT_DEV_SETUP_ERROR = 507033,
    ACL_ERROR_RT_VECTOR_CORE_TIMEOUT = 507034,
    ACL_ERROR_RT_VECTOR_CORE_EXCEPTION = 507035,
    ACL_ERROR_RT_STREAM_SYNC_TIMEOUT = 507046,
    ACL_ERROR_RT_DEVICE_MEM_ERROR = 507053,
    ACL_ERROR_RT_HBM_MULTI_BIT_ECC_ERROR = 507054,
    ACL_ERROR_RT_DRV_INTERNAL_ERROR = 507899,
    ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED = 507903
};

/* ---- runtime: libascendcl.so, else libacl_rt.so ---------------------------------------------- */

/* clang-format off */
#define CANN_RUNTIME(X) \
    X(800, REQUIRED, aclError, aclInit, (const char *configPath)) \
    X(800, REQUIRED, aclError, aclFinalize, (void)) \
    X(800, REQUIRED, aclError, aclrtSetDevice, (int32_t deviceId)) \
    X(800, REQUIRED, aclError, aclrtResetDevice, (int32_t deviceId)) \
    X(800, REQUIRED, aclError, aclrtGetDeviceCount, (uint32_t *count)) \
    X(800, REQUIRED, aclError, aclrtGetCurrentContext, (aclrtContext *context)) \
    X(800, REQUIRED, aclError, aclrtSetCurrentContext, (aclrtContext context)) \
    X(800, REQUIRED, const char *, aclrtGetSocName, (void)) \
    X(800, REQUIRED, aclError, aclrtGetMemInfo, (aclrtMemAttr attr, size_t *free, size_t *total)) \
    X(800, REQUIRED, aclError, aclrtMalloc, (void **devPtr, size_t size, aclrtMemMallocPolicy policy)) \
    X(800, REQUIRED, aclError, aclrtFree, (void *devPtr)) \
    X(800, REQUIRED, aclError, aclrtMallocHost, (void **hostPtr, size_t size)) \
    X(800, REQUIRED, aclError, aclrtFreeHost, (void *hostPtr)) \
    X(800, REQUIRED, aclError, aclrtMemcpy, (void *dst, size_t destMax, const void *src, size_t count, aclrtMemcpyKind kind)) \
    X(800, REQUIRED, aclError, aclrtMemcpyAsync, (void *dst, size_t destMax, const void *src, size_t count, aclrtMemcpyKind kind, aclrtStream stream)) \
    X(800, REQUIRED, aclError, aclrtMemsetAsync, (void *devPtr, size_t maxCount, int32_t value, size_t count, aclrtStream stream)) \
    X(800, REQUIRED, aclError, aclrtCreateStream, (aclrtStream *stream)) \
    X(800, REQUIRED, aclError, aclrtDestroyStream, (aclrtStream stream)) \
    X(800, REQUIRED, aclError, aclrtSynchronizeStream, (aclrtStream stream)) \
    X(800, REQUIRED, aclError, aclrtCreateEvent, (aclrtEvent *event)) \
    X(800, REQUIRED, aclError, aclrtCreateEventWithFlag, (aclrtEvent *event, uint32_t flag)) \
    X(800, REQUIRED, aclError, aclrtDestroyEvent, (aclrtEvent event)) \
    X(800, REQUIRED, aclError, aclrtRecordEvent, (aclrtEvent event, aclrtStream stream)) \
    X(800, REQUIRED, aclError, aclrtQueryEventStatus, (aclrtEvent event, aclrtEventRecordedStatus *status)) \
    X(800, REQUIRED, aclError, aclrtSynchronizeEvent, (aclrtEvent event)) \
    X(800, REQUIRED, aclError, aclrtEventElapsedTime, (float *ms, aclrtEvent startEvent, aclrtEvent endEvent)) \
    X(800, REQUIRED, const char *, aclGetRecentErrMsg, (void)) \
    X(800, OPTIONAL, aclError, aclrtGetDeviceUtilizationRate, (int32_t deviceId, aclrtUtilizationInfo *utilizationInfo)) \
    X(810, OPTIONAL, aclError, aclsysGetCANNVersion, (aclCANNPackageName name, aclCANNPackageVersion *version)) \
    X(810, OPTIONAL, aclError, aclmdlRICaptureBegin, (aclrtStream stream, aclmdlRICaptureMode mode)) \
    X(810, OPTIONAL, aclError, aclmdlRICaptureEnd, (aclrtStream stream, aclmdlRI *modelRI)) \
    X(810, OPTIONAL, aclError, aclmdlRIExecuteAsync, (aclmdlRI modelRI, aclrtStream stream)) \
    X(810, OPTIONAL, aclError, aclmdlRIDestroy, (aclmdlRI modelRI)) \
    X(810, OPTIONAL, aclError, aclmdlRICaptureTaskGrpBegin, (aclrtStream stream)) \
    X(810, OPTIONAL, aclError, aclmdlRICaptureTaskGrpEnd, (aclrtStream stream, aclrtTaskGrp *handle)) \
    X(810, OPTIONAL, aclError, aclmdlRICaptureTaskUpdateBegin, (aclrtStream stream, aclrtTaskGrp handle)) \
    X(810, OPTIONAL, aclError, aclmdlRICaptureTaskUpdateEnd, (aclrtStream stream))

/* ---- tensors: libnnopbase.so ----------------------------------------------------------------- */

/* Strides and offset are in elements, INT4 ones too; stride NULL is contiguous. A list owns its
 * tensors. A scalar's value is read at once. An executor goes with its launch; one that is not
 * launched is destroyed. */
#define CANN_META(X) \
    X(800, REQUIRED, aclTensor *, aclCreateTensor, (const int64_t *viewDims, uint64_t viewDimsNum, aclDataType dataType, const int64_t *stride, int64_t offset, aclFormat format, const int64_t *storageDims, uint64_t storageDimsNum, void *tensorData)) \
    X(800, REQUIRED, aclScalar *, aclCreateScalar, (void *value, aclDataType dataType)) \
    X(800, REQUIRED, aclIntArray *, aclCreateIntArray, (const int64_t *value, uint64_t size)) \
    X(800, REQUIRED, aclTensorList *, aclCreateTensorList, (const aclTensor *const *value, uint64_t size)) \
    X(800, REQUIRED, aclnnStatus, aclDestroyTensor, (const aclTensor *tensor)) \
    X(800, REQUIRED, aclnnStatus, aclDestroyScalar, (const aclScalar *scalar)) \
    X(800, REQUIRED, aclnnStatus, aclDestroyIntArray, (const aclIntArray *array)) \
    X(800, REQUIRED, aclnnStatus, aclDestroyTensorList, (const aclTensorList *array)) \
    X(800, OPTIONAL, aclnnStatus, aclDestroyAclOpExecutor, (aclOpExecutor *executor))

/* ---- operators: libopapi.so, libaclnn_*.so, or from 8.5 libopapi_*.so ------------------------ */

#define CANN_WS uint64_t *workspaceSize, aclOpExecutor **executor

/* Second phase of every operator. */
typedef aclnnStatus cann_launch_fn(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#define CANN_OPERATORS(X) \
    /* embeddings, gathering, copies */ \
    X(800, REQUIRED, aclnnEmbedding, (const aclTensor *weight, const aclTensor *indices, const aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnIndexSelect, (const aclTensor *self, int64_t dim, const aclTensor *index, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnInplaceCopy, (aclTensor *selfRef, const aclTensor *src, CANN_WS)) \
    X(800, REQUIRED, aclnnPermute, (const aclTensor *self, const aclIntArray *dims, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnCast, (const aclTensor *self, const aclDataType dtype, aclTensor *out, CANN_WS)) \
    /* norm */ \
    X(800, REQUIRED, aclnnRmsNorm, (const aclTensor *x, const aclTensor *gamma, double epsilon, const aclTensor *yOut, const aclTensor *rstdOut, CANN_WS)) \
    /* matrix products */ \
    X(800, REQUIRED, aclnnMm, (const aclTensor *self, const aclTensor *mat2, aclTensor *out, int8_t cubeMathType, CANN_WS)) \
    X(800, REQUIRED, aclnnAddmm, (const aclTensor *self, const aclTensor *mat1, const aclTensor *mat2, const aclScalar *beta, const aclScalar *alpha, aclTensor *out, int8_t cubeMathType, CANN_WS)) \
    X(800, REQUIRED, aclnnBatchMatMul, (const aclTensor *self, const aclTensor *mat2, aclTensor *out, int8_t cubeMathType, CANN_WS)) \
    X(800, OPTIONAL, aclnnGroupedMatmulV3, (const aclTensorList *x, const aclTensorList *weight, const aclTensorList *biasOptional, const aclTensorList *scaleOptional, const aclTensorList *offsetOptional, const aclTensorList *antiquantScaleOptional, const aclTensorList *antiquantOffsetOptional, const aclTensor *groupListOptional, int64_t splitItem, int64_t groupType, const aclTensorList *y, CANN_WS)) \
    X(810, OPTIONAL, aclnnGroupedMatmulV4, (const aclTensorList *x, const aclTensorList *weight, const aclTensorList *biasOptional, const aclTensorList *scaleOptional, const aclTensorList *offsetOptional, const aclTensorList *antiquantScaleOptional, const aclTensorList *antiquantOffsetOptional, const aclTensorList *perTokenScaleOptional, const aclTensor *groupListOptional, const aclTensorList *activationInputOptional, const aclTensorList *activationQuantScaleOptional, const aclTensorList *activationQuantOffsetOptional, int64_t splitItem, int64_t groupType, int64_t groupListType, int64_t actType, aclTensorList *out, aclTensorList *activationFeatureOutOptional, aclTensorList *dynQuantScaleOutOptional, CANN_WS)) \
    /* element by element */ \
    X(800, REQUIRED, aclnnAdd, (const aclTensor *self, const aclTensor *other, const aclScalar *alpha, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnAdds, (const aclTensor *self, const aclScalar *other, const aclScalar *alpha, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnInplaceAdd, (const aclTensor *selfRef, const aclTensor *other, const aclScalar *alpha, CANN_WS)) \
    X(800, REQUIRED, aclnnSub, (const aclTensor *self, const aclTensor *other, const aclScalar *alpha, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnMul, (const aclTensor *self, const aclTensor *other, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnMuls, (const aclTensor *self, const aclScalar *other, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnClamp, (const aclTensor *self, const aclScalar *clipValueMin, const aclScalar *clipValueMax, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnClampMax, (const aclTensor *self, const aclScalar *clipValueMax, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnSwish, (const aclTensor *self, const aclScalar *betaOptional, aclTensor *out, CANN_WS)) \
    X(850, OPTIONAL, aclnnClippedSwiglu, (const aclTensor *x, const aclTensor *groupIndexOptional, int64_t dim, double alpha, double limit, double bias, bool interleaved, const aclTensor *out, CANN_WS)) \
    /* reductions, order */ \
    X(800, REQUIRED, aclnnSoftmax, (const aclTensor *self, int64_t dim, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnReduceSum, (const aclTensor *self, const aclIntArray *dims, bool keepDims, aclDataType dtype, aclTensor *out, CANN_WS)) \
    X(800, REQUIRED, aclnnTopk, (const aclTensor *self, int64_t k, int64_t dim, bool largest, bool sorted, aclTensor *valuesOut, aclTensor *indicesOut, CANN_WS)) \
    X(800, REQUIRED, aclnnSort, (const aclTensor *self, bool stable, int64_t dim, bool descending, aclTensor *valuesOut, aclTensor *indicesOut, CANN_WS)) \
    X(800, OPTIONAL, aclnnArgMax, (const aclTensor *self, int64_t dim, bool keepdim, aclTensor *out, CANN_WS)) \
    /* mixture of experts */ \
    X(810, OPTIONAL, aclnnMoeGatingTopKSoftmaxV2, (const aclTensor *x, const aclTensor *finishedOptional, int64_t k, int64_t renorm, bool outputSoftmaxResultFlag, const aclTensor *yOut, const aclTensor *expertIdxOut, const aclTensor *softmaxResultOutOptional, CANN_WS)) \
    X(810, OPTIONAL, aclnnMoeInitRoutingV2, (const aclTensor *x, const aclTensor *expertIdx, int64_t activeNumOptional, int64_t expertCapacityOptional, int64_t expertNumOptional, int64_t dropPadModeOptional, int64_t expertTokensCountOrCumsumFlagOptional, bool expertTokensBeforeCapacityFlagOptional, const aclTensor *expandedXOut, const aclTensor *expandedRowIdxOut, const aclTensor *expertTokensCountOrCumsumOutOptional, const aclTensor *expertTokensBeforeCapacityOutOptional, CANN_WS)) \
    X(810, OPTIONAL, aclnnMoeFinalizeRoutingV2, (const aclTensor *expandedX, const aclTensor *expandedRowIdx, const aclTensor *x1Optional, const aclTensor *x2Optional, const aclTensor *biasOptional, const aclTensor *scalesOptional, const aclTensor *expertIdxOptional, int64_t dropPadMode, const aclTensor *out, CANN_WS)) \
    /* positions, keys and values, attention */ \
    X(810, OPTIONAL, aclnnRopeWithSinCosCache, (const aclTensor *positions, const aclTensor *queryIn, const aclTensor *keyIn, const aclTensor *cosSinCache, const aclIntArray *mropeSection, int64_t headSize, bool isNeoxStyle, aclTensor *queryOut, aclTensor *keyOut, CANN_WS)) \
    X(800, REQUIRED, aclnnScatterNdUpdate, (aclTensor *varRef, const aclTensor *indices, const aclTensor *updates, CANN_WS)) \
    X(830, OPTIONAL, aclnnScatterPaKvCache, (const aclTensor *key, aclTensor *keyCacheRef, const aclTensor *slotMapping, const aclTensor *value, aclTensor *valueCacheRef, const aclTensor *compressLensOptional, const aclTensor *compressSeqOffsetOptional, const aclTensor *seqLensOptional, char *cacheModeOptional, char *scatterModeOptional, const aclIntArray *stridesOptional, const aclIntArray *offsetsOptional, CANN_WS)) \
    X(830, OPTIONAL, aclnnFusedInferAttentionScoreV4, (const aclTensor *query, const aclTensorList *key, const aclTensorList *value, const aclTensor *pseShiftOptional, const aclTensor *attenMaskOptional, const aclIntArray *actualSeqLengthsOptional, const aclIntArray *actualSeqLengthsKvOptional, const aclTensor *deqScale1Optional, const aclTensor *quantScale1Optional, const aclTensor *deqScale2Optional, const aclTensor *quantScale2Optional, const aclTensor *quantOffset2Optional, const aclTensor *antiquantScaleOptional, const aclTensor *antiquantOffsetOptional, const aclTensor *blockTableOptional, const aclTensor *queryPaddingSizeOptional, const aclTensor *kvPaddingSizeOptional, const aclTensor *keyAntiquantScaleOptional, const aclTensor *keyAntiquantOffsetOptional, const aclTensor *valueAntiquantScaleOptional, const aclTensor *valueAntiquantOffsetOptional, const aclTensor *keySharedPrefixOptional, const aclTensor *valueSharedPrefixOptional, const aclIntArray *actualSharedPrefixLenOptional, const aclTensor *queryRopeOptional, const aclTensor *keyRopeOptional, const aclTensor *keyRopeAntiquantScaleOptional, const aclTensor *dequantScaleQueryOptional, const aclTensor *learnableSinkOptional, int64_t numHeads, double scaleValue, int64_t preTokens, int64_t nextTokens, char *inputLayout, int64_t numKeyValueHeads, int64_t sparseMode, int64_t innerPrecise, int64_t blockSize, int64_t antiquantMode, bool softmaxLseFlag, int64_t keyAntiquantMode, int64_t valueAntiquantMode, int64_t queryQuantMode, const aclTensor *attentionOut, const aclTensor *softmaxLse, CANN_WS)) \
    /* `vinci check` */ \
    X(800, OPTIONAL, aclnnRelu, (const aclTensor *self, const aclTensor *out, CANN_WS)) \
    X(800, OPTIONAL, aclnnThresholdBackward, (const aclTensor *gradOutput, const aclTensor *self, const aclScalar *threshold, aclTensor *out, CANN_WS)) \
    X(800, OPTIONAL, aclnnInplaceMul, (aclTensor *selfRef, const aclTensor *other, CANN_WS)) \
    X(800, OPTIONAL, aclnnInplaceMuls, (aclTensor *selfRef, const aclScalar *other, CANN_WS)) \
    X(800, OPTIONAL, aclnnQuantMatmulV3, (const aclTensor *x1, const aclTensor *x2, const aclTensor *scale, const aclTensor *offset, const aclTensor *bias, bool transposeX1, bool transposeX2, const aclTensor *out, CANN_WS))

/* ---- card management: libdcmi.so, from the driver -------------------------------------------- */

struct dcmi_hbm_info {
    unsigned long long memory_size; /* MB */
    unsigned int freq;
    unsigned long long memory_usage; /* MB */
    int temp;
    unsigned int bandwith_util_rate; /* percent; spelled so in the interface */
};
_Static_assert(sizeof(struct dcmi_hbm_info) == 32, "as in DCMI");

struct dcmi_chip_info_v2 {
    unsigned char chip_type[32], chip_name[32], chip_ver[32];
    unsigned int aicore_cnt;
    unsigned char npu_name[32];
};
_Static_assert(sizeof(struct dcmi_chip_info_v2) == 132, "as in DCMI");

enum { DCMI_UTILIZATION_AICORE = 2, DCMI_UTILIZATION_HBM_BANDWIDTH = 10, DCMI_UTILIZATION_NPU = 13 };
/* The component whose version `npu-smi` calls the firmware of a 910B. */
enum { DCMI_COMPONENT_TYPE_HILINK = 18 };

/* Power is in 0.1 W, temperature in degrees Celsius, utilisation in percent. Versions want room for
 * 64 bytes. */
#define CANN_DCMI(X) \
    X(int, dcmi_init, (void)) \
    X(int, dcmi_get_driver_version, (char *driver_ver, unsigned int len)) \
    X(int, dcmi_get_card_id_device_id_from_logicid, (int *card_id, int *device_id, unsigned int device_logic_id)) \
    X(int, dcmi_get_device_chip_info_v2, (int card_id, int device_id, struct dcmi_chip_info_v2 *chip_info)) \
    X(int, dcmi_get_device_hbm_info, (int card_id, int device_id, struct dcmi_hbm_info *hbm_info)) \
    X(int, dcmi_get_device_utilization_rate, (int card_id, int device_id, int input_type, unsigned int *utilization_rate)) \
    X(int, dcmi_get_device_power_info, (int card_id, int device_id, int *power)) \
    X(int, dcmi_get_device_temperature, (int card_id, int device_id, int *temperature)) \
    X(int, dcmi_get_device_component_static_version, (int card_id, int device_id, int component_type, unsigned char *version_str, unsigned int len))
/* clang-format on */

#endif
