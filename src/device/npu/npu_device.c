/* npu_device.c - opening and closing the Ascend device, and a step's beginning and end. */
#include "device/npu/npu_device.h"

#include "base/buf.h"
#include "base/lang.h"
#include "base/topology.h"
#include "device/npu/npu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUT_ROWS = 16 };

/* ---- a step -------------------------------------------------------------------------------- */

/* Something can be asked of it, by this thread. */
bool npu_ready(struct npu_device *device)
{
    if (device->base.lost && device->status == VINCI_OK)
        device->status = fail(&device->err, VINCI_DEVICE,
                              "%s: the device was lost by an earlier error; close the model and "
                              "start again, `npu-smi info` shows the card's state",
                              device->base.name);
    if (device->status == VINCI_OK)
        npu_check(device, device->cann->aclrtSetCurrentContext(device->context),
                  "aclrtSetCurrentContext");
    return device->status == VINCI_OK;
}

/* Gives the first error away, and has nothing under way after it. */
enum vinci_status npu_settle(struct npu_device *device, struct vinci_error *err)
{
    enum vinci_status status = device->status;
    if (status == VINCI_OK) return VINCI_OK;
    if (err) *err = device->err;
    npu_end_call(device);
    if (!device->base.lost) device->cann->aclrtSynchronizeStream(device->stream);
    device->status = VINCI_OK;
    return status;
}

static bool begin(struct device *base, const struct step *step)
{
    struct npu_device *device = npu_device_of(base);
    device->step = step;
    device->counters.n_steps++;
    if (!npu_ready(device)) return true;
    npu_inputs_stage(device, step);
    if (npu_graph_begin(device)) return false;
    npu_masks(device);
    return true;
}

static enum vinci_status end(struct device *base, struct vinci_error *err)
{
    struct npu_device *device = npu_device_of(base);
    npu_graph_finish(device);
    device->step = NULL;
    return npu_settle(device, err);
}

/* ---- opening ------------------------------------------------------------------------------- */

int32_t npu_device_id(const char *name)
{
    unsigned id;
    char rest;
    if (strcmp(name, "npu") == 0) return 0;
    return sscanf(name, "npu:%u%c", &id, &rest) == 1 && id < 1024 && strlen(name) < 9 ? (int32_t)id
                                                                                      : -1;
}

static enum vinci_status open_device(struct npu_device *device, struct vinci_error *err)
{
    const struct cann *cann = device->cann;
    const char *name = device->base.name;
    uint32_t count = 0;
    char what[128];
    int code = cann->aclrtGetDeviceCount(&count);
    if (code != ACL_SUCCESS) {
        snprintf(what, sizeof what, _("%s: the devices cannot be counted"), name);
        return cann_refused(cann, code, what, err);
    }
    if (count == 0)
        return fail(err, VINCI_NO_DEVICE,
                    "%s: CANN %s is there, but no NPU%s; use --device cpu meanwhile", name,
                    cann->version, cann_driver_hint(0));
    if ((uint32_t)device->id >= count)
        return fail(err, VINCI_NO_DEVICE,
                    "%s: this process sees %u NPUs, npu:0 to npu:%u "
                    "(ASCEND_RT_VISIBLE_DEVICES chooses them)",
                    name, count, count - 1);
    code = cann->aclrtSetDevice(device->id);
    if (code != ACL_SUCCESS) {
        snprintf(what, sizeof what, _("%s cannot be opened"), name);
        return cann_refused(cann, code, what, err);
    }
    device->device_set = true;
    npu_check(device, cann->aclrtGetCurrentContext(&device->context), "aclrtGetCurrentContext");
    if (device->status == VINCI_OK)
        npu_check(device, cann->aclrtCreateStream(&device->stream), "aclrtCreateStream");
    if (device->status == VINCI_OK)
        npu_check(device, cann->aclrtCreateStream(&device->copy_stream), "aclrtCreateStream");
    const char *soc = cann->aclrtGetSocName();
    snprintf(device->soc, sizeof device->soc, "%s", soc ? soc : "?");
    if (!strstr(device->soc, "910B") && !strstr(device->soc, "910_93"))
        log_message(&device->log, VINCI_LOG_WARN,
                    _("%s is a %s: vinci is made for the 910B (Atlas A2)"), name, device->soc);
    if (err && device->status != VINCI_OK) *err = device->err;
    return device->status;
}

/* How weights are kept: what was asked for, or what fits. */
static enum vinci_status choose_dtype(struct npu_device *device, enum vinci_npu_dtype dtype,
                                      struct vinci_error *err)
{
    bool can = npu_can_be_compact(device->model);
    size_t free_bytes, total_bytes;
    npu_memory(device, &free_bytes, &total_bytes);
    uint64_t room = free_bytes > NPU_RESERVE_BYTES ? free_bytes - NPU_RESERVE_BYTES : 0;
    if (dtype == VINCI_NPU_COMPACT && !can)
        return fail(err, VINCI_UNSUPPORTED,
                    "--dtype compact is for MXFP4 experts, and this model has others; use bf16");
    bool compact = dtype == VINCI_NPU_COMPACT || (dtype == VINCI_NPU_AUTO && can &&
                                                  npu_weights_bytes(device->model, false) > room);
    uint64_t need = npu_weights_bytes(device->model, compact);
    if (need > room)
        return fail(err, VINCI_NO_MEMORY,
                    "%s: %.2f GB are needed, %.2f for the weights as %s and %.2f for the work "
                    "itself; %.2f of %.2f GB are free%s; `npu-smi info` shows who has the rest",
                    device->base.name, (double)(need + NPU_RESERVE_BYTES) * 1e-9,
                    (double)need * 1e-9, compact ? "compact" : "bf16 or fp16",
                    (double)NPU_RESERVE_BYTES * 1e-9, (double)free_bytes * 1e-9,
                    (double)total_bytes * 1e-9,
                    can && !compact ? _("; --dtype compact needs less") : "");
    device->compact = compact;
    device->act = dtype == VINCI_NPU_F16 ? ACL_FLOAT16 : ACL_BF16;
    log_message(&device->log, VINCI_LOG_INFO, _("%s: %s, %.1f of %.1f GB free, weights as %s"),
                device->base.name, device->soc, (double)free_bytes * 1e-9,
                (double)total_bytes * 1e-9,
                compact                   ? "compact"
                : device->act == ACL_BF16 ? "bf16"
                                          : "fp16");
    return VINCI_OK;
}

/* Newer operators where they are; each has another way. */
static enum vinci_status choose_operators(struct npu_device *device, struct vinci_error *err)
{
    const struct cann *cann = device->cann;
    uint32_t d = device->config->head_dim;
    if (!cann->aclnnGroupedMatmulV4 && !cann->aclnnGroupedMatmulV3)
        return fail(err, VINCI_UNSUPPORTED,
                    "CANN %s has neither aclnnGroupedMatmulV3 nor V4: install CANN 8.0 or newer "
                    "with its operator package",
                    cann->version);
    device->use_rope_cache = cann->aclnnRopeWithSinCosCache && d % 32 == 0;
    device->use_paged_scatter = cann->aclnnScatterPaKvCache != NULL;
    device->use_gating = cann->aclnnMoeGatingTopKSoftmaxV2 != NULL;
    device->use_routing = cann->aclnnMoeInitRoutingV2 && cann->aclnnMoeFinalizeRoutingV2;
    /* In F16 a logit may have become infinite or no number: then the host looks at them. */
    device->base.finds_best = cann->aclnnArgMax && device->act == ACL_BF16;
    device->use_swiglu = cann->aclnnClippedSwiglu != NULL;
    /* Before 8.3 the name stood for another list of arguments. */
    device->use_fused_attention = cann->aclnnFusedInferAttentionScoreV4 &&
                                  cann->version_no >= 830 && device->act == ACL_BF16 &&
                                  (d == 64 || d == 128);
    return VINCI_OK;
}

static enum vinci_status create_memory(struct npu_device *device,
                                       const struct npu_device_options *options,
                                       struct vinci_error *err)
{
    struct cpu_set_list cpus = {0};
    uint32_t n_threads = options->n_threads;
    enum vinci_status status = topology_cpus(&cpus, NULL, err);
    if (status == VINCI_OK)
        status = threadpool_create(&device->pool, n_threads ? n_threads : cpus.n, NULL, err);
    device->base.n_threads = n_threads ? n_threads : cpus.n;
    topology_cpus_free(&cpus);
    if (status != VINCI_OK) return status;
    npu_weights_create(device);
    threadpool_destroy(device->pool);
    device->pool = NULL;
    if (device->status == VINCI_OK) npu_inputs_create(device);
    if (device->status == VINCI_OK) npu_scratch_create(device);
    device->read_bytes = (size_t)device->base.output_rows * device->config->n_vocab * 2;
    device->read_host = npu_pinned(device, device->read_bytes);
    npu_results_create(device);
    if (device->status == VINCI_OK) npu_sync(device);
    if (device->status == VINCI_OK) npu_graphs_create(device);
    if (device->status == VINCI_OK) device->use_graphs = npu_graphs_work(device);
    if (device->status == VINCI_OK) npu_tasks_choose(device, options->attention);
    if (err && device->status != VINCI_OK) *err = device->err;
    return device->status;
}

/* ---- closing ------------------------------------------------------------------------------- */

void npu_close(struct npu_device *device)
{
    if (!device) return;
    const struct cann *cann = device->cann;
    if (device->device_set) {
        if (device->context) cann->aclrtSetCurrentContext(device->context);
        if (device->stream) cann->aclrtSynchronizeStream(device->stream);
        if (device->copy_stream) cann->aclrtSynchronizeStream(device->copy_stream);
        npu_graphs_destroy(device);
        npu_inputs_destroy(device);
        npu_results_destroy(device);
        npu_release_all(device);
        if (device->stream) cann->aclrtDestroyStream(device->stream);
        if (device->copy_stream) cann->aclrtDestroyStream(device->copy_stream);
        cann->aclrtResetDevice(device->id);
    }
    cann_unload(device->cann);
    threadpool_destroy(device->pool);
    free(device->weights.layers);
    free(device->scratch);
    free(device);
}

static void destroy(struct device *base)
{
    if (base) npu_close(npu_device_of(base));
}

static const struct device_ops npu_ops = {
    .destroy = destroy,
    .buffer_create = npu_buffer_create,
    .buffer_destroy = npu_buffer_destroy,
    .buffer_read = npu_buffer_read,
    .kv_pool_create = npu_kv_pool_create,
    .kv_pool_destroy = npu_kv_pool_destroy,
    .kv_page_bytes = npu_kv_page_bytes,
    .kv_page_copy = npu_kv_page_copy,
    .begin = begin,
    .end = end,
    .embed = npu_embed,
    .rms_norm = npu_rms_norm,
    .linear = npu_linear,
    .linear_add = npu_linear_add,
    .qkv = npu_qkv,
    .rope_store = npu_rope_store,
    .attention = npu_attention,
    .experts = npu_experts,
    .gather = npu_gather,
    .best_find = npu_best_find,
    .buffer_send = npu_buffer_send,
    .best_send = npu_best_send,
    .receive = npu_receive,
};

enum vinci_status npu_open(struct npu_device **out, int32_t id,
                           const struct vinci_cann_places *places, const struct log *log,
                           struct vinci_error *err)
{
    *out = NULL;
    struct npu_device *device = array_new_zero(1, sizeof *device);
    if (!device) return fail_memory(err, sizeof *device, "the NPU");
    snprintf(device->base.name, sizeof device->base.name, "npu:%d", id);
    device->id = id;
    if (log) device->log = *log;
    enum vinci_status status = cann_find(&device->cann, places, log, err);
    if (status == VINCI_OK) status = cann_start(device->cann, err);
    if (status == VINCI_OK) status = open_device(device, err);
    if (status != VINCI_OK) npu_close(device);
    else *out = device;
    return status;
}

enum vinci_status npu_device_create(struct device **out, const struct npu_device_options *options,
                                    const struct model *model, const struct device_limits *limits,
                                    struct vinci_error *err)
{
    *out = NULL;
    struct npu_device *device = NULL;
    enum vinci_status status = npu_open(&device, options->id, &options->cann, &options->log, err);
    if (status != VINCI_OK) return status;
    device->base.ops = &npu_ops;
    device->base.kv_page = NPU_PAGE;
    device->base.runs_ahead = true;
    device->base.output_rows = limits->n_seqs > OUTPUT_ROWS ? limits->n_seqs : OUTPUT_ROWS;
    device->model = model;
    device->config = &model->config;
    device->limits = *limits;
    device->progress = options->progress;
    device->progress_user = options->progress_user;
    status = choose_dtype(device, options->dtype, err);
    if (status == VINCI_OK) status = choose_operators(device, err);
    if (status == VINCI_OK) status = create_memory(device, options, err);
    if (status != VINCI_OK) {
        destroy(&device->base);
        return status;
    }
    device->counters = (struct npu_counters){0};
    *out = &device->base;
    return VINCI_OK;
}

void npu_device_counters(const struct device *device, struct npu_counters *counters)
{
    *counters = ((const struct npu_device *)device)->counters;
}
