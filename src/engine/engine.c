/* engine.c - opens and closes the loaded model: file, device, KV cache, forward pass, scheduler. */
#include "engine/engine.h"

#include "base/buf.h"
#include "base/clock.h"
#include "engine/scheduler.h"
#include "engine/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BATCH = 512, DEFAULT_SEQS = 16, MAX_BATCH = 8192, MAX_SEQS = 1024 };
#define DEFAULT_CACHED_BYTES (UINT64_C(2) << 30)

void vinci_engine_options_init(struct vinci_engine_options *options)
{
    *options = (struct vinci_engine_options){.prefetch = true};
}

static enum vinci_status set_limits(struct device_limits *limits,
                                    const struct vinci_engine_options *options,
                                    const struct model *model, struct vinci_error *err)
{
    uint32_t n_ctx_max = model->config.n_ctx_max;
    limits->n_batch = options->n_batch ? options->n_batch : DEFAULT_BATCH;
    limits->n_seqs = options->n_seqs ? options->n_seqs : DEFAULT_SEQS;
    limits->n_ctx = options->n_ctx ? options->n_ctx : n_ctx_max;
    if (limits->n_batch > MAX_BATCH)
        return fail(err, VINCI_LIMIT, "batch: expected at most %d tokens, got %u", MAX_BATCH,
                    limits->n_batch);
    if (limits->n_seqs > MAX_SEQS)
        return fail(err, VINCI_LIMIT, "sequences: expected at most %d, got %u", MAX_SEQS,
                    limits->n_seqs);
    if (limits->n_ctx > n_ctx_max)
        return fail(err, VINCI_LIMIT, "context: the model has at most %u positions, got %u",
                    n_ctx_max, limits->n_ctx);
    if (limits->n_batch > limits->n_ctx) limits->n_batch = limits->n_ctx;
    if (limits->n_batch < limits->n_seqs) limits->n_batch = limits->n_seqs; /* decode them all */
    return VINCI_OK;
}

static enum vinci_status create_device(struct vinci_engine *engine,
                                       const struct vinci_engine_options *options,
                                       struct vinci_error *err)
{
    if (options->device && strcmp(options->device, "cpu") != 0) {
        struct npu_device_options npu = {npu_device_id(options->device),
                                         options->npu_dtype,
                                         options->npu_attention,
                                         options->cann,
                                         options->n_threads,
                                         engine->log,
                                         options->progress,
                                         options->progress_user};
        if (npu.id < 0)
            return fail(err, VINCI_USAGE,
                        "device %s: expected cpu or npu:N, with N the number of the NPU",
                        options->device);
        engine->cpu_level = "";
        return npu_device_create(&engine->device, &npu, engine->model, &engine->limits, err);
    }
    struct cpu_device_options cpu = {options->n_threads, options->cpu_list, options->cpu_level,
                                     options->activations};
    return cpu_device_create(&engine->device, &cpu, engine->model, &engine->limits,
                             &engine->cpu_level, err);
}

/* Most that the prefix cache keeps. Pages that were never used take no memory, so without a limit
 * of the user's it must not grow to whatever n_seqs sequences could need. */
static uint64_t cached_bytes(const struct vinci_engine *engine,
                             const struct vinci_engine_options *options)
{
    uint64_t all = engine->cache->n_bytes_max;
    if (options->kv_bytes) return all;
    return all / 2 < DEFAULT_CACHED_BYTES ? all / 2 : DEFAULT_CACHED_BYTES;
}

enum vinci_status vinci_engine_open(struct vinci_engine **out,
                                    const struct vinci_engine_options *options,
                                    struct vinci_error *err)
{
    double start = seconds_now();
    *out = NULL;
    if (!options->model)
        return fail(err, VINCI_USAGE, "no model was given: a folder or a file is needed");
    struct vinci_engine *engine = array_new_zero(1, sizeof *engine);
    if (!engine) return fail_memory(err, sizeof *engine, "the engine");
    engine->profile.on = options->profile;
    engine->log = (struct log){options->log, options->log_user};
    pthread_mutex_init(&engine->lock, NULL);

    enum vinci_status status = model_open(&engine->model, options->model, &engine->log, err);
    if (status == VINCI_OK) status = set_limits(&engine->limits, options, engine->model, err);
    /* Before the device is made: an NPU's reads all of it. */
    if (status == VINCI_OK && options->prefetch)
        engine->prefetch = prefetch_start(engine->model->index.files, engine->model->index.n_files);
    if (status == VINCI_OK) status = create_device(engine, options, err);
    if (status == VINCI_OK && engine->device->upload_bytes > 0) { /* the files are done with */
        prefetch_stop(engine->prefetch);
        engine->prefetch = NULL;
    }
    if (status == VINCI_OK)
        status = kv_cache_create(&engine->cache, engine->device, &engine->model->config,
                                 options->kv_type, &engine->limits, options->kv_bytes, err);
    if (status == VINCI_OK)
        status = forward_create(&engine->forward, engine->model, engine->device, engine->cache,
                                &engine->limits, &engine->profile, err);
    if (status == VINCI_OK && options->prefix_cache)
        status = prefix_cache_create(&engine->prefixes, engine->cache,
                                     cached_bytes(engine, options), err);
    if (status == VINCI_OK && engine->prefixes && options->prefix_cache_folder)
        status = prefix_file_open(&engine->prefix_file, options->prefix_cache_folder, engine->model,
                                  engine->cache, options->activations, options->kv_type,
                                  &engine->log, err);
    engine->prefix_file_bytes = options->prefix_cache_file_bytes;
    if (status == VINCI_OK) status = scheduler_create(&engine->scheduler, engine, err);
    if (status == VINCI_OK && options->script)
        status = script_open(&engine->script, options->script, err);
    if (status != VINCI_OK) {
        prefix_file_close(engine->prefix_file); /* nothing to save */
        engine->prefix_file = NULL;
        vinci_engine_close(engine);
        return status;
    }
    if (engine->prefix_file) prefix_file_load(engine->prefix_file, engine->prefixes);
    if (options->lock_weights)
        for (size_t i = 0; i < engine->model->index.n_files; i++)
            file_map_lock(engine->model->index.files[i], &engine->log);
    model_describe(engine->model, &engine->model_info);
    engine->load_seconds = seconds_now() - start;
    *out = engine;
    return VINCI_OK;
}

void vinci_engine_close(struct vinci_engine *engine)
{
    if (!engine) return;
    prefetch_stop(engine->prefetch);
    scheduler_destroy(engine->scheduler);
    script_close(engine->script);
    if (engine->prefix_file)
        prefix_file_save(engine->prefix_file, engine->prefixes, engine->prefix_file_bytes);
    prefix_file_close(engine->prefix_file);
    prefix_cache_destroy(engine->prefixes);
    forward_destroy(engine->forward);
    kv_cache_destroy(engine->cache);
    if (engine->device) engine->device->ops->destroy(engine->device);
    model_close(engine->model);
    pthread_mutex_destroy(&engine->lock);
    free(engine);
}

const struct vinci_model_info *vinci_engine_model(const struct vinci_engine *engine)
{
    return &engine->model_info;
}

const void *vinci_engine_file(const struct vinci_engine *engine, uint32_t i, size_t *n_bytes)
{
    const struct tensor_index *index = &engine->model->index;
    *n_bytes = i < index->n_files ? index->files[i]->size : 0;
    return i < index->n_files ? index->files[i]->data : NULL;
}

void vinci_engine_info(const struct vinci_engine *engine, struct vinci_engine_info *info)
{
    scheduler_info(engine->scheduler, info);
    info->n_threads = engine->device->n_threads;
    info->n_ctx = engine->limits.n_ctx;
    info->n_batch = engine->limits.n_batch;
    info->n_seqs = engine->limits.n_seqs;
    info->load_seconds = engine->load_seconds;
    info->upload_bytes = engine->device->upload_bytes;
    info->upload_seconds = engine->device->upload_seconds;
    info->kv_bytes_max = engine->cache->n_bytes_max;
    info->scratch_bytes = forward_bytes(engine->forward) + engine->device->scratch_bytes;
    info->prefetched_bytes = prefetch_done(engine->prefetch);
    snprintf(info->device, sizeof info->device, "%s", engine->device->name);
    snprintf(info->cpu_level, sizeof info->cpu_level, "%s", engine->cpu_level);
}
