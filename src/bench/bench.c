/* bench.c - the measuring loop. Only vinci.h is used, so what is measured is what any program
 * gets. */
#include "bench/bench.h"

#include "base/buf.h"
#include "base/clock.h"

#include <stdlib.h>

/* Adds what a finished request did; its failure becomes ours. */
static enum vinci_status collect(const struct vinci_request *request,
                                 struct bench_iteration *iteration, struct vinci_error *err)
{
    struct vinci_request_result result;
    vinci_request_result(request, &result);
    if (result.finish == VINCI_FINISH_ERROR)
        return fail(err, result.error.status, "%s", result.error.text);
    iteration->n_prompt_tokens += result.n_prompt;
    iteration->n_generated += result.n_generated;
    return VINCI_OK;
}

/* One batch, its requests beginning with prompt `first`. */
static enum vinci_status run_batch(const struct bench_options *options, size_t first,
                                   struct vinci_request **requests,
                                   struct bench_iteration *iteration, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    struct vinci_engine_info info;
    size_t n_active = 1;
    for (uint32_t i = 0; status == VINCI_OK && i < options->batch_size; i++) {
        const struct bench_prompt *prompt = &options->prompts[(first + i) % options->n_prompts];
        struct vinci_request_options request;
        vinci_request_options_init(&request);
        request.prompt = prompt->ids;
        request.n_prompt = prompt->n;
        request.max_new_tokens = options->max_new_tokens;
        request.sampling.temperature = 0;
        status = vinci_request_submit(&requests[i], options->engine, &request, err);
    }
    while (status == VINCI_OK && n_active > 0) {
        if (options->stop && options->stop()) status = fail(err, VINCI_CANCELLED, "stopped");
        else status = vinci_engine_step(options->engine, &n_active, err);
    }
    vinci_engine_info(options->engine, &info);
    if (info.kv_bytes_peak > iteration->kv_bytes) iteration->kv_bytes = info.kv_bytes_peak;
    for (uint32_t i = 0; i < options->batch_size; i++) {
        if (status == VINCI_OK) status = collect(requests[i], iteration, err);
        vinci_request_close(requests[i]);
        requests[i] = NULL;
    }
    return status;
}

static enum vinci_status run_iteration(const struct bench_options *options,
                                       struct vinci_request **requests,
                                       struct bench_iteration *iteration, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    double start = seconds_now();
    for (size_t first = 0; status == VINCI_OK && first < options->n_prompts;
         first += options->batch_size)
        status = run_batch(options, first, requests, iteration, err);
    iteration->seconds = seconds_now() - start;
    return status;
}

static void add(struct bench_result *result, const struct bench_iteration *iteration)
{
    double seconds = iteration->seconds;
    if (result->n_iterations == 0 || seconds < result->seconds_min) result->seconds_min = seconds;
    if (seconds > result->seconds_max) result->seconds_max = seconds;
    result->n_iterations++;
    result->seconds += seconds;
    result->n_prompt_tokens += iteration->n_prompt_tokens;
    result->n_generated += iteration->n_generated;
    if (iteration->kv_bytes > result->kv_bytes) result->kv_bytes = iteration->kv_bytes;
}

enum vinci_status bench_run(const struct bench_options *options, struct bench_result *result,
                            struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    *result = (struct bench_result){0};
    struct vinci_request **requests = array_new_zero(options->batch_size, sizeof *requests);
    if (!requests)
        return fail_memory(err, options->batch_size * sizeof *requests, "the requests of a batch");
    uint64_t n = (uint64_t)options->warmup + options->iters;
    for (uint64_t i = 0; status == VINCI_OK && i < n; i++) {
        struct bench_iteration iteration = {.warmup = i < options->warmup};
        iteration.index = (uint32_t)(iteration.warmup ? i : i - options->warmup);
        status = run_iteration(options, requests, &iteration, err);
        if (status != VINCI_OK) break;
        if (!iteration.warmup) add(result, &iteration);
        if (options->on_iteration && !options->on_iteration(options->user, &iteration))
            status = fail(err, VINCI_CANCELLED, "stopped");
    }
    free(requests);
    return status;
}
