/* graph.c - decode steps recorded once and replayed with one launch (aclmdlRI, CANN 8.1).
 *
 * A recording freezes addresses and everything that operators took from the host; both follow from
 * the key here: the number of lanes and of pages. The first step of a key runs operator by operator
 * (it may make the workspace grow), the second is recorded, the others are replayed. */
#include "device/npu/npu.h"

#include <string.h>

static void drop(struct npu_device *device, struct npu_graph *graph)
{
    if (graph->model) device->cann->aclmdlRIDestroy(graph->model);
    *graph = device->graphs[--device->n_graphs];
}

void npu_graphs_drop(struct npu_device *device)
{
    while (device->n_graphs) drop(device, &device->graphs[device->n_graphs - 1]);
    device->recording = NULL;
}

static struct npu_graph *find(struct npu_device *device, uint32_t n_rows, uint32_t n_pages)
{
    for (size_t i = 0; i < device->n_graphs; i++)
        if (device->graphs[i].n_rows == n_rows && device->graphs[i].n_pages == n_pages)
            return &device->graphs[i];
    return NULL;
}

static void add(struct npu_device *device, uint32_t n_rows, uint32_t n_pages)
{
    if (device->n_graphs == NPU_MAX_GRAPHS) {
        struct npu_graph *oldest = device->graphs;
        for (size_t i = 1; i < device->n_graphs; i++)
            if (device->graphs[i].last_used < oldest->last_used) oldest = &device->graphs[i];
        drop(device, oldest);
    }
    device->graphs[device->n_graphs++] =
        (struct npu_graph){n_rows, n_pages, NULL, device->counters.n_steps};
}

static void replay(struct npu_device *device, struct npu_graph *graph)
{
    graph->last_used = device->counters.n_steps;
    device->counters.n_graphs++;
    npu_check(device, device->cann->aclmdlRIExecuteAsync(graph->model, device->stream),
              "aclmdlRIExecuteAsync");
}

bool npu_graph_begin(struct npu_device *device)
{
    const struct step_inputs *in = &device->in;
    if (!device->use_graphs || !in->decode || device->status != VINCI_OK) return false;
    uint32_t n_pages = in->groups[0].n_pages[FULL];
    struct npu_graph *graph = find(device, in->n_rows, n_pages);
    if (!graph) {
        add(device, in->n_rows, n_pages);
        return false;
    }
    if (graph->model) {
        replay(device, graph);
        return true;
    }
    if (device->cann->aclmdlRICaptureBegin(device->stream,
                                           ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL) == ACL_SUCCESS)
        device->recording = graph;
    return false;
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
        drop(device, graph);
        device->use_graphs = false; /* steps go on one operator at a time */
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
