/* op.c - the two phases of an operator: what the first checks and keeps, what the second enforces.
 *
 * The first phase copies the tensors' views, so that the program may destroy its tensors after the
 * second (repeatable executors: not before the executor). The first thing that is wrong decides the
 * status; later checks of the same call run on a view of one element. An executor is for one launch
 * unless it was made repeatable at once. The workspace is overwritten while the operator runs, and
 * counts as written: whoever keeps something there, or shares it between streams, is found out. */
#include "sim.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

op *op_new(const char *name)
{
    op *o = sim_alloc(sizeof *o);
    o->plan = sim_alloc(sizeof *o->plan);
    o->plan->refs = 1;
    o->plan->name = name;
    char phase[128];
    snprintf(phase, sizeof phase, "%sGetWorkspaceSize", name);
    o->status = sim_enter(phase);
    if (!o->status && current_device() < 0)
        o->status = sim_error(NN_RUNTIME_ERROR, "%s: no device is set in this thread", name);
    return o;
}

static void plan_release(struct plan *plan)
{
    if (__atomic_sub_fetch(&plan->refs, 1, __ATOMIC_ACQ_REL)) return;
    free(plan->ints[0]);
    free(plan->ints[1]);
    free(plan);
}

static void op_free(op *o)
{
    plan_release(o->plan);
    free(o->views);
    free(o->tensors);
    free(o);
}

bool op_need(op *o, bool condition, const char *format, ...)
{
    if (condition || o->status) return condition;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    o->status = sim_error(NN_PARAM_INVALID, "%s: %s", o->plan->name, text);
    return false;
}

static const char *type_name(aclDataType type)
{
    switch (type) {
    case ACL_FLOAT: return "FLOAT";
    case ACL_FLOAT16: return "FLOAT16";
    case ACL_BF16: return "BFLOAT16";
    case ACL_INT4: return "INT4";
    case ACL_INT8: return "INT8";
    case ACL_UINT8: return "UINT8";
    case ACL_INT32: return "INT32";
    case ACL_INT64: return "INT64";
    case ACL_BOOL: return "BOOL";
    default: return "another type";
    }
}

/* Views are appended to an array that may move, so callers get copies that live as long as the
 * thread's next operator. */
static _Thread_local struct view taken[64];

static const struct view *append(op *o, const char *name, const aclTensor *tensor, uint64_t types,
                                 bool output)
{
    if (!o->n_views) memset(taken, 0, sizeof taken);
    if (o->n_views == 64) sim_give_up("an operator of more than 64 tensors");
    o->views = realloc(o->views, (o->n_views + 1) * sizeof *o->views);
    o->tensors = realloc(o->tensors, (o->n_views + 1) * sizeof *o->tensors);
    if (!o->views || !o->tensors) sim_give_up("the host is out of memory");
    struct view v = {.name = name, .n_dims = 1, .dims = {1, 1, 1, 1, 1, 1, 1, 1}, .strides = {1}};
    if (tensor && !handle_is(HANDLE_TENSOR, tensor)) {
        sim_violate("%s: %s is a tensor that is not alive", o->plan->name, name);
        op_need(o, false, "%s is not a tensor", name);
        tensor = NULL;
    }
    if (tensor && !o->status) {
        op_need(o, !tensor->fault, "%s has %s", name, tensor->fault ? tensor->fault : "");
        op_need(o, types >> (tensor->view.dtype < 0 ? 63 : tensor->view.dtype) & 1,
                "%s may not be %s", name, type_name(tensor->view.dtype));
        op_need(o, tensor->view.format != ACL_FORMAT_FRACTAL_NZ, "%s: FRACTAL_NZ is not simulated",
                name);
        op_need(o, tensor->view.address % 32 == 0, "%s does not begin at a multiple of 32 bytes",
                name);
        op_need(o, tensor->view.address || !view_elements(&tensor->view), "%s has no data", name);
    }
    if (tensor && !o->status) v = tensor->view;
    v.name = name;
    v.present = tensor != NULL;
    v.output = output;
    if (!o->status && tensor) {
        for (size_t i = 0; output && i < o->n_views; i++) {
            const struct view *w = &o->views[i];
            if (w->present && w->name != name && views_overlap(w, &v))
                sim_violate("%s: %s lies over %s", o->plan->name, name, w->name);
        }
    }
    o->tensors[o->n_views] = tensor;
    o->views[o->n_views] = v;
    taken[o->n_views] = v;
    return &taken[o->n_views++];
}

static const struct view *required(op *o, const char *name, const aclTensor *tensor, uint64_t types,
                                   bool output)
{
    if (!tensor && !o->status)
        o->status = sim_error(NN_PARAM_NULLPTR, "%s: %s is NULL", o->plan->name, name);
    return append(o, name, tensor, types, output);
}

const struct view *op_in(op *o, const char *name, const aclTensor *tensor, uint64_t types)
{
    return required(o, name, tensor, types, false);
}

const struct view *op_optional(op *o, const char *name, const aclTensor *tensor, uint64_t types)
{
    return append(o, name, tensor, types, false);
}

const struct view *op_out(op *o, const char *name, const aclTensor *tensor, uint64_t types)
{
    return required(o, name, tensor, types, true);
}

const struct view *op_ref(op *o, const char *name, const aclTensor *tensor, uint64_t types)
{
    required(o, name, tensor, types, false);
    return required(o, name, tensor, types, true);
}

const struct view *op_list(op *o, const char *name, const aclTensorList *list, uint64_t types,
                           bool optional, bool output)
{
    if (!list)
        return optional ? append(o, name, NULL, types, output)
                        : required(o, name, NULL, types, output);
    if (!handle_is(HANDLE_TENSORS, list)) {
        sim_violate("%s: %s is a list that is not alive", o->plan->name, name);
        op_need(o, false, "%s is not a list", name);
        return append(o, name, NULL, types, output);
    }
    op_need(o, list->size == 1, "%s has %llu tensors, expected 1", name,
            (unsigned long long)list->size);
    return required(o, name, list->size ? list->tensors[0] : NULL, types, output);
}

void op_null(op *o, const char *name, const void *argument)
{
    op_need(o, !argument, "%s must be NULL here", name);
}

void op_same_type(op *o, const struct view *a, const struct view *b)
{
    op_need(o, a->dtype == b->dtype, "%s is %s, %s is %s", a->name, type_name(a->dtype), b->name,
            type_name(b->dtype));
}

void op_same_shape(op *o, const struct view *a, const struct view *b)
{
    bool same = a->n_dims == b->n_dims;
    for (int i = 0; same && i < a->n_dims; i++) same = a->dims[i] == b->dims[i];
    op_need(o, same, "%s and %s differ in shape", a->name, b->name);
}

void op_shape(op *o, const struct view *v, int n_dims, ...)
{
    va_list args;
    va_start(args, n_dims);
    op_need(o, v->n_dims == n_dims, "%s has %d dimensions, expected %d", v->name, v->n_dims,
            n_dims);
    for (int i = 0; i < n_dims; i++) {
        int64_t want = va_arg(args, int64_t);
        if (i < v->n_dims && want >= 0)
            op_need(o, v->dims[i] == want, "%s: dimension %d is %lld, expected %lld", v->name, i,
                    (long long)v->dims[i], (long long)want);
    }
    va_end(args);
}

void op_ints(op *o, int slot, const aclIntArray *array)
{
    if (!array) return;
    if (!handle_is(HANDLE_INTS, array)) {
        op_need(o, false, "an array is not alive");
        return;
    }
    o->plan->ints[slot] = sim_alloc(array->size * sizeof(int64_t));
    memcpy(o->plan->ints[slot], array->values, array->size * sizeof(int64_t));
    o->plan->n_ints[slot] = array->size;
}

int64_t op_axis(op *o, const struct view *v, int64_t dim)
{
    op_need(o, dim >= -v->n_dims && dim < v->n_dims, "dim %lld of a tensor of %d dimensions",
            (long long)dim, v->n_dims);
    if (o->status) return 0;
    return dim < 0 ? dim + v->n_dims : dim;
}

double op_scalar(op *o, const char *name, const aclScalar *scalar)
{
    if (!scalar && !o->status)
        o->status = sim_error(NN_PARAM_NULLPTR, "%s: %s is NULL", o->plan->name, name);
    if (!scalar) return 0;
    if (!handle_is(HANDLE_SCALAR, scalar)) {
        sim_violate("%s: %s is a scalar that is not alive", o->plan->name, name);
        op_need(o, false, "%s is not a scalar", name);
        return 0;
    }
    return scalar->value;
}

aclnnStatus op_done(op *o, void (*run)(const struct plan *, const struct view *),
                    uint64_t workspace, uint64_t *workspace_size, aclOpExecutor **executor)
{
    if (!o->status && (!workspace_size || !executor))
        o->status =
            sim_error(NN_PARAM_NULLPTR, "%s: workspaceSize or executor is NULL", o->plan->name);
    if (o->status) {
        aclnnStatus status = o->status;
        op_free(o);
        return status;
    }
    /* What is not dense is copied first; operators that need room at all need more for more rows.
     */
    bool grows = workspace > 0;
    for (size_t i = 0; i < o->n_views; i++) {
        const struct view *v = &o->views[i];
        uint64_t bytes = v->present ? (uint64_t)view_elements(v) * type_bits(v->dtype) / 8 : 0;
        if (v->present && !view_dense(v)) workspace += (bytes + 511) / 512 * 512;
        if (grows && v->output) workspace += (bytes + 511) / 512 * 1024;
    }
    o->plan->run = run;
    o->workspace = workspace;
    *workspace_size = workspace;
    *executor = o;
    handle_add(HANDLE_EXECUTOR, o);
    __atomic_add_fetch(&sim_count.executors, 1, __ATOMIC_RELAXED);
    return SUCCESS;
}

/* ---- second phase ---- */

struct launch {
    struct plan *plan;
    uint64_t workspace, workspace_size, bytes;
    struct view views[]; /* of the executor */
};

static void overwrite_workspace(const struct launch *l, int byte)
{
    if (l->workspace_size)
        memset(sim_memory(l->workspace), byte,
               l->workspace_size < 1 << 20 ? l->workspace_size : 1 << 20);
}

static void launch_run(void *data)
{
    const struct launch *l = data;
    overwrite_workspace(l, 0xCC);
    operator_bytes = 0;
    l->plan->run(l->plan, l->views);
    overwrite_workspace(l, 0x33);
    sim_count_operator(l->plan->name, operator_bytes ? operator_bytes : l->bytes);
}

static void launch_drop(void *data)
{
    struct launch *l = data;
    plan_release(l->plan);
    free(l);
}

static aclnnStatus launch_check(const char *name, void *workspace, uint64_t size, aclOpExecutor *o)
{
    aclError fault = sim_enter(name);
    if (fault) return fault;
    if (!o) return sim_error(NN_PARAM_NULLPTR, "%s: executor is NULL", name);
    if (!handle_is(HANDLE_EXECUTOR, o)) {
        sim_violate("%s: the executor is not alive: it is for one launch", name);
        return sim_error(NN_INNER_NULLPTR, "%s: the executor is not alive", name);
    }
    if (strcmp(o->plan->name, name)) {
        sim_violate("%s is given an executor of %s", name, o->plan->name);
        return sim_error(NN_PARAM_INVALID, "%s: an executor of %s", name, o->plan->name);
    }
    if (size < o->workspace || (o->workspace && !workspace))
        return sim_error(NN_PARAM_INVALID, "%s: a workspace of %llu bytes, %llu are needed", name,
                         (unsigned long long)size, (unsigned long long)o->workspace);
    if (o->workspace && (uint64_t)(uintptr_t)workspace % 64)
        return sim_error(NN_PARAM_INVALID, "%s: the workspace does not begin at a multiple of 64",
                         name);
    for (size_t i = 0; o->repeatable && i < o->n_views; i++)
        if (o->tensors[i] && !handle_is(HANDLE_TENSOR, o->tensors[i])) {
            sim_violate("%s: a tensor of a repeatable executor was destroyed", name);
            return sim_error(NN_PARAM_INVALID, "%s: a tensor was destroyed", name);
        }
    return SUCCESS;
}

aclnnStatus op_launch(const char *name, void *workspace, uint64_t size, aclOpExecutor *o,
                      aclrtStream stream)
{
    aclnnStatus status = launch_check(name, workspace, size, o);
    if (status) { /* the second phase takes the executor even if it fails */
        if (handle_is(HANDLE_EXECUTOR, o) && !o->repeatable && !strcmp(o->plan->name, name) &&
            handle_remove(HANDLE_EXECUTOR, o))
            op_free(o);
        return status;
    }
    struct launch *l = sim_alloc(sizeof *l + o->n_views * sizeof *l->views);
    l->plan = o->plan;
    __atomic_add_fetch(&o->plan->refs, 1, __ATOMIC_RELAXED);
    l->workspace = (uint64_t)(uintptr_t)workspace;
    l->workspace_size = o->workspace;
    memcpy(l->views, o->views, o->n_views * sizeof *l->views);
    struct work *work = work_new(o->plan->name, launch_run, launch_drop, l);
    work->kernel = true;
    for (size_t i = 0; i < o->n_views; i++) {
        const struct view *v = &o->views[i];
        if (!v->present) continue;
        work_range(work, view_begin(v), view_end(v), v->output);
        l->bytes += (uint64_t)view_elements(v) * type_bits(v->dtype) / 8;
    }
    if (o->workspace) work_range(work, l->workspace, l->workspace + o->workspace, true);
    if (o->workspace > sim_count.workspace_largest) sim_count.workspace_largest = o->workspace;
    o->launched = true;
    if (!o->repeatable && handle_remove(HANDLE_EXECUTOR, o)) op_free(o);
    aclError error = stream_submit(stream, work);
    /* What the runtime refuses comes out as a failure of the operator's launch. */
    return error == RT_CONTEXT_NULL || error == RT_STREAM_CONTEXT || error == RT_INVALID_HANDLE
               ? NN_RUNTIME_ERROR
               : error;
}

aclnnStatus sim_aclSetAclOpExecutorRepeatable(aclOpExecutor *executor)
{
    ENTER(aclSetAclOpExecutorRepeatable);
    if (!handle_is(HANDLE_EXECUTOR, executor) || executor->launched)
        return sim_error(NN_PARAM_INVALID, "aclSetAclOpExecutorRepeatable: not a fresh executor");
    executor->repeatable = true;
    return SUCCESS;
}

aclnnStatus sim_aclDestroyAclOpExecutor(aclOpExecutor *executor)
{
    ENTER(aclDestroyAclOpExecutor);
    if (!handle_remove(HANDLE_EXECUTOR, executor)) {
        sim_violate("aclDestroyAclOpExecutor(%p): not alive", (void *)executor);
        return sim_error(NN_PARAM_INVALID, "aclDestroyAclOpExecutor: not alive");
    }
    op_free(executor);
    return SUCCESS;
}

aclnnStatus sim_aclSetTensorAddr(aclOpExecutor *executor, const size_t index, aclTensor *tensor,
                                 void *addr)
{
    ENTER(aclSetTensorAddr);
    if (!handle_is(HANDLE_EXECUTOR, executor) || !executor->repeatable ||
        index >= executor->n_views)
        return sim_error(NN_PARAM_INVALID, "aclSetTensorAddr: index %zu", index);
    if (!handle_is(HANDLE_TENSOR, tensor) || executor->tensors[index] != tensor)
        return sim_error(NN_PARAM_INVALID, "aclSetTensorAddr: not the tensor at index %zu", index);
    executor->views[index].address = tensor->view.address = (uint64_t)(uintptr_t)addr;
    return SUCCESS;
}

aclnnStatus sim_aclnnInit(const char *configPath)
{
    (void)configPath;
    return sim_enter("aclnnInit");
}

aclnnStatus sim_aclnnFinalize(void)
{
    return sim_enter("aclnnFinalize");
}
