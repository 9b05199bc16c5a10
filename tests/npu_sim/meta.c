/* meta.c - tensors, scalars, arrays and lists, as libnnopbase.so makes them.
 *
 * CANN checks little when a tensor is made and much when an operator takes it; so here: what is
 * wrong with a tensor is noted, and refused by the first phase (op.c). */
#include "sim.h"
#include <stdlib.h>
#include <string.h>

static void tensor_init(aclTensor *t, const int64_t *viewDims, uint64_t viewDimsNum,
                        aclDataType dataType, const int64_t *stride, int64_t offset,
                        aclFormat format, const int64_t *storageDims, uint64_t storageDimsNum,
                        void *tensorData)
{
    bool in_list = t->in_list;
    memset(t, 0, sizeof *t);
    t->in_list = in_list;
    struct view *v = &t->view;
    *v = (struct view){.dtype = dataType, .format = format, .offset = offset};
    v->address = (uint64_t)(uintptr_t)tensorData;
    v->n_dims = viewDimsNum > MAX_DIMS ? 0 : (int)viewDimsNum;
    int n_storage = storageDimsNum > MAX_DIMS ? 0 : (int)storageDimsNum;
    if (viewDimsNum > MAX_DIMS || storageDimsNum > MAX_DIMS) t->fault = "more than 8 dimensions";
    if (!type_bits(dataType)) t->fault = "a data type that Atlas A2 has not";
    if (format < 0 || format > ACL_FORMAT_NCL) t->fault = "no valid format";
    if (offset < 0) t->fault = "a negative offset";
    int64_t step = 1, last = offset;
    for (int i = v->n_dims - 1; i >= 0; i--) {
        v->dims[i] = viewDims[i];
        v->strides[i] = stride ? stride[i] : step;
        if (viewDims[i] < 0) t->fault = "a negative dimension";
        if (v->strides[i] < 0) t->fault = "a negative stride";
        step *= viewDims[i];
        last += (viewDims[i] - 1) * v->strides[i];
    }
    v->storage = 1;
    for (int i = 0; i < n_storage; i++) {
        if (storageDims[i] < 0) t->fault = "a negative storage dimension";
        v->storage *= storageDims[i];
    }
    if (!t->fault && step && last >= v->storage) t->fault = "a view that leaves its storage";
}

aclTensor *sim_aclCreateTensor(const int64_t *viewDims, uint64_t viewDimsNum, aclDataType dataType,
                               const int64_t *stride, int64_t offset, aclFormat format,
                               const int64_t *storageDims, uint64_t storageDimsNum,
                               void *tensorData)
{
    if (sim_enter("aclCreateTensor")) return NULL;
    if ((viewDimsNum && !viewDims) || (storageDimsNum && !storageDims)) {
        sim_error(NN_PARAM_NULLPTR, "aclCreateTensor: dims are NULL");
        return NULL;
    }
    aclTensor *t = sim_alloc(sizeof *t);
    tensor_init(t, viewDims, viewDimsNum, dataType, stride, offset, format, storageDims,
                storageDimsNum, tensorData);
    handle_add(HANDLE_TENSOR, t);
    return t;
}

aclnnStatus sim_aclInitTensor(aclTensor *tensor, const int64_t *viewDims, uint64_t viewDimsNum,
                              aclDataType dataType, const int64_t *stride, int64_t offset,
                              aclFormat format, const int64_t *storageDims, uint64_t storageDimsNum,
                              void *tensorDataAddr)
{
    ENTER(aclInitTensor);
    if (!handle_is(HANDLE_TENSOR, tensor))
        return sim_error(NN_PARAM_NULLPTR, "aclInitTensor: no tensor");
    tensor_init(tensor, viewDims, viewDimsNum, dataType, stride, offset, format, storageDims,
                storageDimsNum, tensorDataAddr);
    return SUCCESS;
}

static aclnnStatus not_alive(const char *name, const void *object)
{
    sim_violate("%s(%p): not alive: destroyed before, or owned by a list that was", name, object);
    return sim_error(NN_PARAM_INVALID, "%s(%p): not alive", name, object);
}

aclnnStatus sim_aclDestroyTensor(const aclTensor *tensor)
{
    ENTER(aclDestroyTensor);
    if (!tensor) return SUCCESS;
    if (!handle_is(HANDLE_TENSOR, tensor)) return not_alive("aclDestroyTensor", tensor);
    if (tensor->in_list) sim_violate("aclDestroyTensor(%p): a list owns it", (const void *)tensor);
    handle_remove(HANDLE_TENSOR, tensor);
    free((void *)tensor);
    return SUCCESS;
}

aclScalar *sim_aclCreateScalar(void *value, aclDataType dataType)
{
    if (sim_enter("aclCreateScalar") || !value) return NULL;
    aclScalar *s = sim_alloc(sizeof *s);
    s->dtype = dataType;
    uint32_t bits = 0;
    uint16_t half = 0;
    float f = 0;
    switch (dataType) {
    case ACL_FLOAT: memcpy(&f, value, sizeof f), s->value = f; break;
    case ACL_DOUBLE: memcpy(&s->value, value, sizeof s->value); break;
    case ACL_INT8: s->value = *(int8_t *)value; break;
    case ACL_UINT8: s->value = *(uint8_t *)value; break;
    case ACL_BOOL: s->value = *(bool *)value; break;
    case ACL_INT32: s->value = *(int32_t *)value; break;
    case ACL_INT64: s->value = (double)*(int64_t *)value; break;
    case ACL_BF16:
        memcpy(&half, value, sizeof half);
        bits = (uint32_t)half << 16;
        memcpy(&f, &bits, sizeof f);
        s->value = f;
        break;
    default:
        free(s);
        sim_error(NN_PARAM_INVALID, "aclCreateScalar: type %d", (int)dataType);
        return NULL;
    }
    handle_add(HANDLE_SCALAR, s);
    return s;
}

aclnnStatus sim_aclDestroyScalar(const aclScalar *scalar)
{
    ENTER(aclDestroyScalar);
    if (!scalar) return SUCCESS;
    if (!handle_remove(HANDLE_SCALAR, scalar)) return not_alive("aclDestroyScalar", scalar);
    free((void *)scalar);
    return SUCCESS;
}

/* The three arrays differ in their element only. */
#define ARRAY(Kind, element, handle, create, destroy) \
    Kind *create(const element *value, uint64_t size) \
    { \
        if (sim_enter(&(#create)[4]) || (size && !value)) return NULL; \
        Kind *a = sim_alloc(sizeof *a); \
        a->size = size; \
        a->values = sim_alloc(size * sizeof *a->values); \
        if (size) memcpy(a->values, value, size * sizeof *a->values); \
        handle_add(handle, a); \
        return a; \
    } \
    aclnnStatus destroy(const Kind *array) \
    { \
        aclError fault = sim_enter(&(#destroy)[4]); \
        if (fault || !array) return fault; \
        if (!handle_remove(handle, array)) return not_alive(&(#destroy)[4], array); \
        free(array->values); \
        free((void *)array); \
        return SUCCESS; \
    }
ARRAY(aclIntArray, int64_t, HANDLE_INTS, sim_aclCreateIntArray, sim_aclDestroyIntArray)
ARRAY(aclFloatArray, float, HANDLE_FLOATS, sim_aclCreateFloatArray, sim_aclDestroyFloatArray)
ARRAY(aclBoolArray, bool, HANDLE_BOOLS, sim_aclCreateBoolArray, sim_aclDestroyBoolArray)

aclnnStatus sim_aclGetIntArraySize(const aclIntArray *array, uint64_t *size)
{
    ENTER(aclGetIntArraySize);
    if (!handle_is(HANDLE_INTS, array) || !size)
        return sim_error(NN_PARAM_NULLPTR, "aclGetIntArraySize: no array");
    *size = array->size;
    return SUCCESS;
}

aclTensorList *sim_aclCreateTensorList(const aclTensor *const *value, uint64_t size)
{
    if (sim_enter("aclCreateTensorList") || (size && !value)) return NULL;
    aclTensorList *list = sim_alloc(sizeof *list);
    list->size = size;
    list->tensors = sim_alloc(size * sizeof *list->tensors);
    for (uint64_t i = 0; i < size; i++) {
        list->tensors[i] = value[i];
        if (!handle_is(HANDLE_TENSOR, value[i])) {
            sim_violate("aclCreateTensorList: tensor %llu is not alive", (unsigned long long)i);
            list->tensors[i] = NULL;
        } else if (value[i]->in_list) {
            sim_violate("aclCreateTensorList: tensor %llu is in another list",
                        (unsigned long long)i);
        } else {
            ((aclTensor *)value[i])->in_list = true;
        }
    }
    handle_add(HANDLE_TENSORS, list);
    return list;
}

aclnnStatus sim_aclDestroyTensorList(const aclTensorList *array)
{
    ENTER(aclDestroyTensorList);
    if (!array) return SUCCESS;
    if (!handle_remove(HANDLE_TENSORS, array)) return not_alive("aclDestroyTensorList", array);
    for (uint64_t i = 0; i < array->size; i++)
        if (handle_remove(HANDLE_TENSOR, array->tensors[i])) free((void *)array->tensors[i]);
    free(array->tensors);
    free((void *)array);
    return SUCCESS;
}

aclnnStatus sim_aclSetRawTensorAddr(aclTensor *tensor, void *addr)
{
    ENTER(aclSetRawTensorAddr);
    if (!handle_is(HANDLE_TENSOR, tensor))
        return sim_error(NN_PARAM_NULLPTR, "aclSetRawTensorAddr: NULL");
    tensor->view.address = (uint64_t)(uintptr_t)addr;
    return SUCCESS;
}

aclnnStatus sim_aclGetRawTensorAddr(const aclTensor *tensor, void **addr)
{
    ENTER(aclGetRawTensorAddr);
    if (!handle_is(HANDLE_TENSOR, tensor) || !addr)
        return sim_error(NN_PARAM_NULLPTR, "aclGetRawTensorAddr: NULL");
    *addr = (void *)(uintptr_t)tensor->view.address;
    return SUCCESS;
}
