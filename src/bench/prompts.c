/* prompts.c - compares prompts, through vinci.h alone. */
#include "bench/prompts.h"

#include "base/clock.h"

static enum vinci_status measure_once(struct vinci_engine *engine,
                                      const struct bench_prompt *prompt, uint32_t max_new_tokens,
                                      bool (*stop)(void), struct prompt_sample *sample,
                                      struct vinci_error *err)
{
    struct vinci_request_options options;
    struct vinci_request *request = NULL;
    struct vinci_request_result result;
    vinci_request_options_init(&options);
    options.prompt = prompt->ids;
    options.n_prompt = prompt->n;
    options.max_new_tokens = max_new_tokens;
    options.sampling.temperature = 0;
    double start = seconds_now(), first = 0;
    enum vinci_status status = vinci_request_submit(&request, engine, &options, err);
    while (status == VINCI_OK && !vinci_request_done(request)) {
        size_t n_active = 0, n_tokens = 0;
        if (stop && stop()) status = fail(err, VINCI_CANCELLED, "stopped");
        else status = vinci_engine_step(engine, &n_active, err);
        if (status == VINCI_OK) vinci_request_tokens(request, &n_tokens);
        if (first == 0 && n_tokens > 0) first = seconds_now();
    }
    double end = seconds_now();
    if (status == VINCI_OK) {
        vinci_request_result(request, &result);
        if (result.finish == VINCI_FINISH_ERROR)
            status = fail(err, result.error.status, "%s", result.error.text);
        else if (result.n_generated < max_new_tokens)
            status = fail(err, VINCI_LIMIT,
                          "the context is full after %zu of %u tokens; give a "
                          "larger --ctx",
                          (size_t)result.n_generated, max_new_tokens);
        *sample = (struct prompt_sample){first - start, end - first, (uint32_t)result.n_generated};
    }
    vinci_request_close(request);
    return status;
}

enum vinci_status prompts_measure(struct vinci_engine *engine, const struct bench_prompt *prompt,
                                  uint32_t max_new_tokens, uint32_t repeat, bool (*stop)(void),
                                  struct prompt_sample *samples, struct vinci_error *err)
{
    struct prompt_sample warm_up;
    enum vinci_status status = measure_once(engine, prompt, max_new_tokens, stop, &warm_up, err);
    for (uint32_t i = 0; i < repeat && status == VINCI_OK; i++)
        status = measure_once(engine, prompt, max_new_tokens, stop, &samples[i], err);
    return status;
}
