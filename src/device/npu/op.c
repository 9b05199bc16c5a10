/* op.c - one operator call: its tensors, both phases, and what to say when it fails.
 *
 * Workspace is one block shared by all calls: they run in order on one stream. It grows only when a
 * larger need is seen, which waits for the stream and forgets the recorded graphs, whose addresses
 * it has; a step is recorded only after it ran once, so that never happens inside a recording. */
#include "base/buf.h"
#include "base/lang.h"
#include "device/npu/npu.h"

#include <stdio.h>
#include <string.h>

/* ---- objects ------------------------------------------------------------------------------- */

static struct call_object *add_object(struct npu_device *device, enum object_kind kind,
                                      void *object)
{
    static const char *const creators[] = {[OBJECT_TENSOR] = "aclCreateTensor",
                                           [OBJECT_SCALAR] = "aclCreateScalar",
                                           [OBJECT_INTS] = "aclCreateIntArray",
                                           [OBJECT_LIST] = "aclCreateTensorList"};
    if (!object) {
        npu_check(device, ACL_ERROR_BAD_ALLOC, creators[kind]);
        return NULL;
    }
    /* The fixed count is larger than any call's; see the calls. */
    struct call_object *slot = &device->objects[device->n_objects++];
    *slot = (struct call_object){.kind = kind, .object = object};
    return slot;
}

aclTensor *npu_view(struct npu_device *device, const void *data, aclDataType dtype,
                    const int64_t *dims, const int64_t *strides, size_t n_dims, int64_t offset)
{
    int64_t n_storage = offset + 1;
    for (size_t i = 0; i < n_dims; i++) n_storage += (dims[i] - 1) * strides[i];
    aclTensor *tensor =
        device->cann->aclCreateTensor(dims, n_dims, dtype, strides, offset, ACL_FORMAT_ND,
                                      &n_storage, 1, (void *)(uintptr_t)data);
    struct call_object *object = add_object(device, OBJECT_TENSOR, tensor);
    if (!object) return NULL;
    object->dtype = dtype;
    object->n_dims = (uint32_t)n_dims;
    memcpy(object->dims, dims, n_dims * sizeof *dims);
    return tensor;
}

aclTensor *npu_tensor(struct npu_device *device, const void *data, aclDataType dtype,
                      const int64_t *dims, size_t n_dims)
{
    int64_t strides[6], n = 1;
    for (size_t i = n_dims; i-- > 0; n *= dims[i]) strides[i] = n;
    return npu_view(device, data, dtype, dims, strides, n_dims, 0);
}

aclTensor *npu_part(struct npu_device *device, const void *data, aclDataType dtype, int64_t first,
                    int64_t n, int64_t n_cols)
{
    const int64_t dims[] = {n, n_cols}, one = 1, strides[] = {n_cols, 1};
    bool vector = n_cols == 0;
    return npu_view(device, data, dtype, dims, vector ? &one : strides, vector ? 1 : 2, first);
}

aclTensor *npu_transposed(struct npu_device *device, const void *data, aclDataType dtype, int64_t n,
                          int64_t n_rows, int64_t n_cols)
{
    const int64_t dims[] = {n, n_cols, n_rows}, strides[] = {n_rows * n_cols, 1, n_cols};
    size_t first = n > 0 ? 0 : 1;
    return npu_view(device, data, dtype, dims + first, strides + first, 3 - first, 0);
}

aclScalar *npu_scalar(struct npu_device *device, float value)
{
    aclScalar *scalar = device->cann->aclCreateScalar(&value, ACL_FLOAT);
    add_object(device, OBJECT_SCALAR, scalar);
    return scalar;
}

aclIntArray *npu_ints(struct npu_device *device, const int64_t *values, size_t n)
{
    aclIntArray *array = device->cann->aclCreateIntArray(values, n);
    add_object(device, OBJECT_INTS, array);
    return array;
}

aclTensorList *npu_list(struct npu_device *device, aclTensor *tensor)
{
    const aclTensor *const tensors[] = {tensor};
    if (!tensor) return NULL; /* the error is kept */
    aclTensorList *list = device->cann->aclCreateTensorList(tensors, 1);
    if (!add_object(device, OBJECT_LIST, list)) return NULL;
    for (size_t i = 0; i < device->n_objects; i++)
        if (device->objects[i].object == tensor) device->objects[i].object = NULL;
    return list;
}

void npu_end_call(struct npu_device *device)
{
    const struct cann *cann = device->cann;
    for (size_t i = 0; i < device->n_objects; i++) {
        void *object = device->objects[i].object;
        if (!object) continue;
        switch (device->objects[i].kind) {
        case OBJECT_TENSOR: cann->aclDestroyTensor(object); break;
        case OBJECT_SCALAR: cann->aclDestroyScalar(object); break;
        case OBJECT_INTS: cann->aclDestroyIntArray(object); break;
        case OBJECT_LIST: cann->aclDestroyTensorList(object); break;
        }
    }
    device->n_objects = 0;
}

/* ---- errors -------------------------------------------------------------------------------- */

static const char *dtype_text(aclDataType dtype)
{
    switch (dtype) {
    case ACL_FLOAT: return "f32";
    case ACL_FLOAT16: return "f16";
    case ACL_BF16: return "bf16";
    case ACL_INT4: return "int4";
    case ACL_INT8: return "int8";
    case ACL_INT32: return "int32";
    case ACL_INT64: return "int64";
    case ACL_UINT8: return "uint8";
    case ACL_BOOL: return "bool";
    default: return "?";
    }
}

/* "(bf16[1,2880] f32[2880])" */
static void describe_objects(const struct npu_device *device, struct buf *text)
{
    const char *separator = " (";
    for (size_t i = 0; i < device->n_objects; i++) {
        const struct call_object *object = &device->objects[i];
        if (object->kind != OBJECT_TENSOR) continue;
        buf_printf(text, "%s%s[", separator, dtype_text(object->dtype));
        for (uint32_t d = 0; d < object->n_dims; d++)
            buf_printf(text, d ? ",%lld" : "%lld", (long long)object->dims[d]);
        buf_append_text(text, "]");
        separator = " ";
    }
    if (*separator == ' ' && separator[1] == '\0') buf_append_text(text, ")");
}

static bool ends_the_device(int code)
{
    switch (code) {
    case ACL_ERROR_RT_DEVICE_TASK_ABORT:
    case ACL_ERROR_RT_AICORE_TIMEOUT:
    case ACL_ERROR_RT_AICORE_EXCEPTION:
    case ACL_ERROR_RT_AICPU_TIMEOUT:
    case ACL_ERROR_RT_AICPU_EXCEPTION:
    case ACL_ERROR_RT_VECTOR_CORE_TIMEOUT:
    case ACL_ERROR_RT_VECTOR_CORE_EXCEPTION:
    case ACL_ERROR_RT_STREAM_SYNC_TIMEOUT:
    case ACL_ERROR_RT_DEVICE_MEM_ERROR:
    case ACL_ERROR_RT_HBM_MULTI_BIT_ECC_ERROR:
    case ACL_ERROR_RT_DRV_INTERNAL_ERROR: return true;
    default: return false;
    }
}

void npu_check(struct npu_device *device, int code, const char *what)
{
    if (code == ACL_SUCCESS) return;
    const char *said = device->cann->aclGetRecentErrMsg();
    if (device->status != VINCI_OK) return;
    struct buf call = {0};
    describe_objects(device, &call);
    device->base.lost = device->base.lost || ends_the_device(code);
    bool memory = code == ACL_ERROR_RT_MEMORY_ALLOCATION || code == ACL_ERROR_RT_DEVICE_OOM;
    device->status =
        fail(&device->err, memory ? VINCI_NO_MEMORY : VINCI_DEVICE,
             "%s: %s%.300s failed: error %d, %s (CANN %s)%s%.300s%s", device->base.name, what,
             call.data ? call.data : "", code, cann_error_text(code), device->cann->version,
             said && *said ? "; " : "", said ? said : "",
             device->base.lost ? _("; the device is lost to this process, start it again") : "");
    buf_free(&call);
}

/* ---- launching ----------------------------------------------------------------------------- */

void npu_workspace(struct npu_device *device, uint64_t need)
{
    if (need <= device->workspace_bytes || device->status != VINCI_OK) return;
    size_t n_bytes = round_up(need + need / 4, 1 << 20);
    npu_sync(device);
    npu_graphs_drop(device);
    npu_release(device, device->workspace);
    device->workspace_bytes = 0;
    device->workspace = npu_alloc_block(device, n_bytes, _("an operator's workspace"));
    if (device->workspace) device->workspace_bytes = n_bytes;
}

void npu_launch(struct npu_device *device, const char *name, aclnnStatus code,
                cann_launch_fn *launch)
{
    uint64_t need = device->workspace_need;
    npu_check(device, code, name);
    if (device->launch_mode == UPDATE && need > device->workspace_bytes)
        npu_check(device, ACL_ERROR_RT_FEATURE_NOT_SUPPORT, name); /* it is in recordings */
    else if (device->launch_mode == LAUNCH) npu_workspace(device, need);
    if (need > device->workspace_measured) device->workspace_measured = need;
    if (device->status == VINCI_OK && device->launch_mode != MEASURE) {
        if (need > device->counters.workspace_peak) device->counters.workspace_peak = need;
        device->counters.n_operators++;
        npu_check(device,
                  launch(need ? device->workspace : NULL, need, device->executor, device->stream),
                  name);
    } else if (code == ACL_SUCCESS && device->cann->aclDestroyAclOpExecutor) {
        device->cann->aclDestroyAclOpExecutor(device->executor);
    }
    device->workspace_need = 0;
    device->executor = NULL;
    npu_end_call(device);
}
