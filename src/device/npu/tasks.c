/* tasks.c - fused attention inside recorded steps, by task groups (aclmdlRICaptureTaskGrp*).
 *
 * FusedInferAttentionScoreV4 takes the sequences' lengths as host arrays and cuts its work by them,
 * so a recording alone would repeat the lengths of the step that was recorded. Each of its launches
 * is recorded as a task group, and before a replay launched anew into that group, with the lengths
 * of the step. Updates go to the same stream: they follow the replay before and precede the next.
 *
 * The interface is marked as experimental, and needs a driver of its own; so what it does is tried
 * when the device is opened, on a small attention whose result is compared. */
#include "base/buf.h"
#include "base/lang.h"
#include "device/npu/npu.h"

#include <stdlib.h>
#include <string.h>

/* Forgets an error, unless it took the device with it. */
static void forgive(struct npu_device *device)
{
    if (device->base.lost) return;
    npu_end_call(device);
    device->status = VINCI_OK;
}

void npu_tasks_give_up(struct npu_device *device)
{
    if (!device->use_fused_decode) return;
    device->use_fused_decode = false;
    log_message(&device->log, VINCI_LOG_WARN,
                _("%s: recorded steps compute attention by small operators from now on: CANN %s "
                  "refused to update the fused one"),
                device->base.name, device->cann->version);
}

static void update(struct npu_device *device, const struct npu_task *task)
{
    const struct cann *cann = device->cann;
    npu_check(device, cann->aclmdlRICaptureTaskUpdateBegin(device->stream, task->group),
              "aclmdlRICaptureTaskUpdateBegin");
    if (device->status != VINCI_OK) return;
    device->launch_mode = UPDATE;
    npu_fused_attention(device, task);
    device->launch_mode = LAUNCH;
    npu_check(device, cann->aclmdlRICaptureTaskUpdateEnd(device->stream),
              "aclmdlRICaptureTaskUpdateEnd");
    device->counters.n_updates++;
}

bool npu_tasks_update(struct npu_device *device, struct npu_graph *graph)
{
    for (size_t i = 0; i < graph->n_tasks && device->status == VINCI_OK; i++)
        update(device, &graph->tasks[i]);
    if (device->status == VINCI_OK) {
        graph->n_updates++;
        return true;
    }
    forgive(device);
    return false;
}

/* The operator's need for the longest sequences of the step's shape, so that the workspace, which a
 * recording freezes, does not have to grow for a later one. */
void npu_tasks_reserve(struct npu_device *device, const struct npu_task *task)
{
    struct step_inputs *in = &device->in;
    int64_t *lengths = in->kv_lengths[task->kind];
    for (uint32_t i = 0; i < in->n_lanes; i++)
        in->longest[i] = (int64_t)in->n_blocks[task->kind] * NPU_PAGE;
    in->kv_lengths[task->kind] = in->longest;
    device->workspace_measured = 0;
    device->launch_mode = MEASURE;
    npu_fused_attention(device, task);
    device->launch_mode = LAUNCH;
    in->kv_lengths[task->kind] = lengths;
    npu_workspace(device, device->workspace_measured);
}

/* ---- the trial ----------------------------------------------------------------------------- */

static void upload(struct npu_device *device, void *to, const void *from, size_t n_bytes)
{
    if (device->status == VINCI_OK)
        npu_check(device,
                  device->cann->aclrtMemcpy(to, n_bytes, from, n_bytes, ACL_MEMCPY_HOST_TO_DEVICE),
                  "aclrtMemcpy");
}

/* Queries, keys and values of two pages, in memory that steps use later. */
static void prepare_trial(struct npu_device *device)
{
    const struct model_config *config = device->config;
    struct npu_scratch *s = device->scratch;
    struct step_inputs *in = &device->in;
    size_t n_q = (size_t)config->n_heads * config->head_dim;
    size_t n = (size_t)2 * NPU_PAGE * config->n_kv_heads * config->head_dim;
    if (n < n_q) n = n_q;
    const int32_t table[] = {0, 1};
    float *x = array_new(n, sizeof *x);
    uint8_t *act = array_new(n, 2);
    if (!x || !act) device->status = fail_memory(&device->err, 6 * n, "a trial");
    for (size_t i = 0; x && act && i < n; i++) x[i] = (float)(i * 37 % 101) / 50 - 1;
    if (x && act) npu_from_float(device->act, x, n, act);
    upload(device, s->gathered, act, n * 2);
    upload(device, s->permuted, act, n * 2);
    upload(device, s->q, act, n_q * 2);
    upload(device, s->chosen, table, sizeof table);
    in->n_rows = in->n_lanes = 1;
    in->decode = in->fused = true;
    in->n_blocks[FULL] = 2;
    in->block_table[FULL] = s->chosen;
    in->q_ends[0] = 1;
    free(x);
    free(act);
}

static void fetch(struct npu_device *device, const void *from, uint8_t *to, size_t n_bytes)
{
    const void *host = npu_fetch(device, from, n_bytes);
    if (host) memcpy(to, host, n_bytes);
}

/* Recorded at one length, updated to another, replayed: is it what a direct launch computes? */
static bool try_tasks(struct npu_device *device, uint8_t *results, size_t n_bytes)
{
    enum { SHORT = 5, LONG = 200 };
    const struct cann *cann = device->cann;
    struct npu_scratch *s = device->scratch;
    const struct kv_pool pool = {s->gathered, s->permuted, 1, 2, 0};
    struct npu_task task = {&pool,         0,   FULL, device->weights.layers[0].sinks_act,
                            s->q_permuted, NULL};
    struct npu_graph *graph = &device->graphs[0];
    int64_t *length = device->in.kv_lengths[FULL];
    aclmdlRI model = NULL;

    prepare_trial(device);
    *length = SHORT;
    npu_graph_task(device, &task); /* directly */
    fetch(device, task.out, results, n_bytes);
    if (device->status != VINCI_OK ||
        cann->aclmdlRICaptureBegin(device->stream, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL))
        return false;
    device->recording = graph;
    npu_graph_task(device, &task);
    device->recording = NULL;
    npu_check(device, cann->aclmdlRICaptureEnd(device->stream, &model), "aclmdlRICaptureEnd");
    *length = LONG;
    if (device->status == VINCI_OK) update(device, &graph->tasks[0]);
    if (device->status == VINCI_OK)
        npu_check(device, cann->aclmdlRIExecuteAsync(model, device->stream),
                  "aclmdlRIExecuteAsync");
    fetch(device, task.out, results + n_bytes, n_bytes);
    task.out = s->out32;
    npu_graph_task(device, &task);
    fetch(device, task.out, results + 2 * n_bytes, n_bytes);
    bool same = device->status == VINCI_OK &&
                memcmp(results + n_bytes, results + 2 * n_bytes, n_bytes) == 0 &&
                memcmp(results, results + n_bytes, n_bytes) != 0;
    if (model) {
        cann->aclrtSynchronizeStream(device->stream);
        cann->aclmdlRIDestroy(model);
    }
    graph->n_tasks = 0;
    return same;
}

static bool tasks_work(struct npu_device *device)
{
    const struct cann *cann = device->cann;
    size_t n_bytes = (size_t)device->config->n_heads * device->config->head_dim * 2;
    if (!device->use_fused_attention || !device->use_graphs || !cann->aclmdlRICaptureTaskGrpBegin ||
        !cann->aclmdlRICaptureTaskGrpEnd || !cann->aclmdlRICaptureTaskUpdateBegin ||
        !cann->aclmdlRICaptureTaskUpdateEnd || n_bytes > device->read_bytes)
        return false;
    uint8_t *results = array_new(n_bytes, 3);
    bool work = results && try_tasks(device, results, n_bytes);
    free(results);
    forgive(device);
    return work;
}

void npu_tasks_choose(struct npu_device *device, enum vinci_npu_attention attention)
{
    if (attention == VINCI_NPU_ATTENTION_SMALL) return;
    device->use_fused_decode = tasks_work(device);
    device->fused_decode_pages = attention == VINCI_NPU_ATTENTION_FUSED ? 0 : NPU_FUSED_PAGES;
    if (!device->use_fused_decode && attention == VINCI_NPU_ATTENTION_FUSED)
        log_message(&device->log, VINCI_LOG_WARN,
                    _("%s: recorded steps compute attention by small operators: CANN %s and this "
                      "driver do not update the fused one; it takes CANN 8.3, driver 25.0.RC1 and "
                      "--dtype bf16 or compact"),
                    device->base.name, device->cann->version);
}
