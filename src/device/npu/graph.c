/* graph.c - decode steps recorded once and replayed with one launch (aclmdlRI, CANN 8.1).
 *
 * A recording freezes addresses and everything that operators took from the host; both follow from
 * the key here: the number of lanes and of pages, and how attention is computed (what the fused
 * operator took from the host is updated before each replay: tasks.c). The first step of a key runs
 * operator by operator (it may make the workspace grow), the second is recorded, the others are
 * replayed. */
#include "base/buf.h"
#include "device/npu/npu.h"

#include <stdlib.h>

static void forget_model(struct npu_device *device, struct npu_graph *graph)
{
    if (graph->model) device->cann->aclmdlRIDestroy(graph->model);
    graph->model = NULL;
    graph->n_tasks = graph->n_updates = 0;
}

static void drop(struct npu_device *device, struct npu_graph *graph)
{
    forget_model(device, graph);
    struct npu_graph *last = &device->graphs[--device->n_graphs], dropped = *graph;
    *graph = *last;
    last->tasks = dropped.tasks; /* each place keeps its memory */
    last->n_tasks = 0;
}

void npu_graphs_drop(struct npu_device *device)
{
    while (device->n_graphs) drop(device, &device->graphs[device->n_graphs - 1]);
    device->recording = NULL;
}

void npu_graphs_create(struct npu_device *device)
{
    size_t n = device->config->n_layers;
    for (int i = 0; i < NPU_MAX_GRAPHS && device->status == VINCI_OK; i++)
        if (!(device->graphs[i].tasks = array_new_zero(n, sizeof *device->graphs[i].tasks)))
            device->status = fail_memory(&device->err, n * sizeof(struct npu_task), "a recording");
}

void npu_graphs_destroy(struct npu_device *device)
{
    if (device->n_graphs) npu_graphs_drop(device);
    for (int i = 0; i < NPU_MAX_GRAPHS; i++) free(device->graphs[i].tasks);
}

static struct npu_graph *find(struct npu_device *device, uint32_t n_rows, uint32_t n_pages,
                              bool fused)
{
    for (size_t i = 0; i < device->n_graphs; i++) {
        struct npu_graph *graph = &device->graphs[i];
        if (graph->n_rows == n_rows && graph->n_pages == n_pages && graph->fused == fused)
            return graph;
    }
    return NULL;
}

static void add(struct npu_device *device, uint32_t n_rows, uint32_t n_pages, bool fused)
{
    if (device->n_graphs == NPU_MAX_GRAPHS) {
        struct npu_graph *oldest = device->graphs;
        for (size_t i = 1; i < device->n_graphs; i++)
            if (device->graphs[i].last_used < oldest->last_used) oldest = &device->graphs[i];
        drop(device, oldest);
    }
    struct npu_graph *graph = &device->graphs[device->n_graphs++];
    *graph = (struct npu_graph){.n_rows = n_rows,
                                .n_pages = n_pages,
                                .fused = fused,
                                .last_used = device->counters.n_steps,
                                .tasks = graph->tasks};
}

static void replay(struct npu_device *device, struct npu_graph *graph)
{
    graph->last_used = device->counters.n_steps;
    device->counters.n_graphs++;
    npu_check(device, device->cann->aclmdlRIExecuteAsync(graph->model, device->stream),
              "aclmdlRIExecuteAsync");
}

/* An update that fails may have reached some of the tasks: the recording is of no use any more. The
 * operator may have cut the work for these lengths into other tasks, then the next step is recorded
 * anew; if no update ever succeeded, they do not work. */
static bool update(struct npu_device *device, struct npu_graph *graph)
{
    bool ever = graph->n_updates > 0;
    if (npu_tasks_update(device, graph)) return true;
    if (device->status == VINCI_OK) npu_sync(device);
    forget_model(device, graph);
    if (!ever && device->status == VINCI_OK) npu_tasks_give_up(device);
    return false;
}

bool npu_graph_begin(struct npu_device *device)
{
    const struct step_inputs *in = &device->in;
    if (!device->use_graphs || !in->decode || device->status != VINCI_OK) return false;
    uint32_t n_pages = in->groups[0].n_pages[FULL];
    struct npu_graph *graph = find(device, in->n_rows, n_pages, in->fused);
    if (!graph) {
        add(device, in->n_rows, n_pages, in->fused);
        return false;
    }
    if (graph->model) {
        if (in->fused && !update(device, graph)) return false;
        replay(device, graph);
        return true;
    }
    if (device->cann->aclmdlRICaptureBegin(device->stream,
                                           ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL) == ACL_SUCCESS)
        device->recording = graph;
    return false;
}

void npu_graph_task(struct npu_device *device, const struct npu_task *task)
{
    const struct cann *cann = device->cann;
    struct npu_graph *graph = device->in.decode ? device->recording : NULL;
    if (!graph) {
        if (device->in.decode && device->use_graphs) npu_tasks_reserve(device, task);
        npu_fused_attention(device, task);
        return;
    }
    struct npu_task *recorded = &graph->tasks[graph->n_tasks++];
    *recorded = *task;
    if (device->status == VINCI_OK)
        npu_check(device, cann->aclmdlRICaptureTaskGrpBegin(device->stream),
                  "aclmdlRICaptureTaskGrpBegin");
    npu_fused_attention(device, task);
    if (device->status == VINCI_OK)
        npu_check(device, cann->aclmdlRICaptureTaskGrpEnd(device->stream, &recorded->group),
                  "aclmdlRICaptureTaskGrpEnd");
}

void npu_graph_finish(struct npu_device *device)
{
    struct npu_graph *graph = device->recording;
    aclmdlRI model = NULL;
    if (!graph) return;
    device->recording = NULL;
    int code = device->cann->aclmdlRICaptureEnd(device->stream, &model);
    if (code != ACL_SUCCESS || device->status != VINCI_OK) {
        npu_check(device, code, "aclmdlRICaptureEnd");
        if (model) device->cann->aclmdlRIDestroy(model);
        if (graph->fused) npu_tasks_give_up(device);
        else device->use_graphs = false; /* steps go on one operator at a time */
        drop(device, graph);
        return;
    }
    graph->model = model;
    device->counters.n_recordings++;
    replay(device, graph);
}

bool npu_graphs_work(struct npu_device *device)
{
    const struct cann *cann = device->cann;
    aclmdlRI model = NULL;
    if (!cann->aclmdlRICaptureBegin || !cann->aclmdlRICaptureEnd || !cann->aclmdlRIExecuteAsync ||
        !cann->aclmdlRIDestroy)
        return false;
    /* The driver may be older than the library: try it with two small copies. */
    if (cann->aclmdlRICaptureBegin(device->stream, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL) !=
        ACL_SUCCESS)
        return false;
    struct npu_scratch *s = device->scratch;
    NPU_OP(device, aclnnCast, npu_tensor(device, s->numbers, ACL_INT64, NPU_DIMS(1)), ACL_FLOAT,
           npu_tensor(device, s->rstd, ACL_FLOAT, NPU_DIMS(1)));
    bool ok = cann->aclmdlRICaptureEnd(device->stream, &model) == ACL_SUCCESS && model &&
              device->status == VINCI_OK &&
              cann->aclmdlRIExecuteAsync(model, device->stream) == ACL_SUCCESS &&
              cann->aclrtSynchronizeStream(device->stream) == ACL_SUCCESS;
    if (model) cann->aclmdlRIDestroy(model);
    device->status = VINCI_OK;
    return ok;
}
