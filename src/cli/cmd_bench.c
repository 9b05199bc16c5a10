/* cmd_bench.c - `vinci bench`: the options and the output of the measurement in src/bench. Every
 * figure printed was measured in this run. */
#include "base/buf.h"
#include "bench/bench.h"
#include "cli/bench_speed.h"
#include "cli/command.h"
#include "cli/model_options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench_args {
    struct model_options model;
    uint32_t batch_size, max_new_tokens, warmup, iters;
    struct text_list prompts;
    struct speed_args speed;
};

enum { BATCH_SIZE = 1, MAX_NEW_TOKENS = 128, WARMUP = 2, ITERS = 5 }; /* the defaults */

#define FIELD(name) .offset = offsetof(struct bench_args, name)

static const struct option_row rows[] = {
    {"model-path", 0, "MODEL", N_("the same as --model"), OPTION_TEXT, FIELD(model.model),
     COMPLETE_FILE},
    {"batch-size", 'b', "N", N_("requests that run at once; default: 1"), OPTION_U32,
     FIELD(batch_size), .min = 1, .max = 4096},
    {"max-new-tokens", 'n', "N", N_("tokens generated per request; default: 128"), OPTION_U32,
     FIELD(max_new_tokens), .min = 1},
    {"warmup", 0, "N", N_("iterations before the measured ones; default: 2"), OPTION_U32,
     FIELD(warmup)},
    {"iters", 0, "N", N_("measured iterations; default: 5"), OPTION_U32, FIELD(iters), .min = 1},
    {"prompt", 'p', "TEXT", N_("a prompt; may be given several times; default: two in Chinese"),
     OPTION_LIST, FIELD(prompts)},
    {0}};

static const struct option_group groups[] = {
    {N_("Model"), model_rows, offsetof(struct bench_args, model)},
    {N_("Measurement"), rows, 0},
    {N_("Limits and speed matrix"), speed_rows, offsetof(struct bench_args, speed)},
    {N_("Tokenizer"), tokenizer_rows, offsetof(struct bench_args, model)},
    {N_("Engine"), engine_rows, offsetof(struct bench_args, model)},
    {0}};

static const struct command_example examples[] = {
    {"bench --model-path gpt-oss-20b --device cpu --max-new-tokens 128",
     N_("two prompts, 2 iterations to warm up, 5 measured")},
    {"bench -m gpt-oss-20b -b 8 -p 'Once upon a time' --iters 10", N_("eight requests at once")},
    {"bench --limits", N_("what this machine can do at most")},
    {"bench -m gpt-oss-20b --pp 512 --tg 64 --depth 0,4096 --batch 1,4,16",
     N_("reading and generating apart, at two depths, with 1, 4 and 16 sequences")},
    {0}};

static const char *const default_prompts[] = {
    "写一段关于昇腾 NPU910 在大模型部署中优势的说明:",
    "请总结 GPT-OSS 20B 模型的关键特性:",
};

static void init(void *arguments)
{
    struct bench_args *args = arguments;
    model_options_init(&args->model);
    speed_args_init(&args->speed);
    args->batch_size = BATCH_SIZE;
    args->max_new_tokens = MAX_NEW_TOKENS;
    args->warmup = WARMUP;
    args->iters = ITERS;
}

static void release(void *arguments)
{
    text_list_free(&((struct bench_args *)arguments)->prompts);
}

/* An absent NPU is no reason to stop: the CPU is measured, and the reader told so. */
static enum vinci_status open_model(struct loaded_model *loaded, const struct program *program,
                                    const struct model_options *wanted, uint32_t n_seqs,
                                    struct vinci_error *err)
{
    struct model_options options = *wanted;
    enum vinci_status status = loaded_model_open(loaded, program, &options, 0, n_seqs, err);
    if (status == VINCI_NO_DEVICE && options.device && strncmp(options.device, "npu", 3) == 0) {
        char text[sizeof err->text + 100];
        snprintf(text, sizeof text, _("%s; measuring the CPU instead: the figures are the CPU's"),
                 err->text);
        say_warning(program, text);
        err->text[0] = '\0';
        loaded_model_close(loaded);
        options.device = "cpu";
        status = loaded_model_open(loaded, program, &options, 0, n_seqs, err);
    }
    return status;
}

static enum vinci_status tokenize_prompts(const struct loaded_model *loaded,
                                          const char *const *texts, struct bench_prompt *prompts,
                                          size_t n, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    for (size_t i = 0; status == VINCI_OK && i < n; i++) {
        int32_t *ids = NULL;
        status = vinci_tokenize(loaded->tokenizer, texts[i], strlen(texts[i]), false, &ids,
                                &prompts[i].n, err);
        prompts[i].ids = ids;
        if (status == VINCI_OK && prompts[i].n == 0)
            status = fail(err, VINCI_USAGE, "--prompt: empty");
    }
    return status;
}

/* Every request is to generate all its tokens; the last one drawn is not computed again. */
static enum vinci_status check_context(const struct loaded_model *loaded,
                                       const struct bench_args *args,
                                       const struct bench_prompt *prompts, size_t n,
                                       struct vinci_error *err)
{
    struct vinci_engine_info info;
    vinci_engine_info(loaded->engine, &info);
    for (size_t i = 0; i < n; i++)
        if (prompts[i].n + args->max_new_tokens > (uint64_t)info.n_ctx + 1)
            return fail(err, VINCI_LIMIT,
                        "prompt %zu has %zu tokens: with %u more it goes beyond the context of %u",
                        i + 1, prompts[i].n, args->max_new_tokens, info.n_ctx);
    return VINCI_OK;
}

static void print_head(const struct loaded_model *loaded, const struct bench_args *args,
                       const struct bench_prompt *prompts, size_t n_prompts)
{
    struct vinci_engine_info info;
    vinci_engine_info(loaded->engine, &info);
    printf(_("model            %s\n"), loaded->path);
    printf(_("device           %s, %s kernels, %u threads\n"), info.device, info.cpu_level,
           info.n_threads);
    printf(_("batch size       %u\n"), args->batch_size);
    printf(_("prompts          %zu:"), n_prompts);
    for (size_t i = 0; i < n_prompts; i++) printf("%s %zu", i ? "," : "", prompts[i].n);
    printf(_(" tokens\n"));
    printf(_("load             %.4f s\n"), info.load_seconds);
    fflush(stdout);
}

static bool print_iteration(void *user, const struct bench_iteration *iteration)
{
    (void)user;
    if (iteration->warmup) {
        say(_("warm-up %-8u %.4f s\n"), iteration->index + 1, iteration->seconds);
        return true;
    }
    printf(_("iteration %-6u %.4f s\n"), iteration->index + 1, iteration->seconds);
    return output("", 0);
}

static void print_result(const struct bench_result *result)
{
    struct memory_use memory;
    char a[16], b[16], c[16];
    memory_use_now(&memory);
    printf(_("iterations       %u\n"), result->n_iterations);
    printf(_("total            %.4f s\n"), result->seconds);
    printf(_("average          %.4f s (%.4f to %.4f)\n"), result->seconds / result->n_iterations,
           result->seconds_min, result->seconds_max);
    printf(_("tokens generated %llu\n"), (unsigned long long)result->n_generated);
    printf(_("tokens/s         %.2f\n"), (double)result->n_generated / result->seconds);
    printf(_("memory           %s at most; now %s of its own, %s of mapped files\n"),
           format_bytes(memory.peak, a), format_bytes(memory.own, b),
           format_bytes(memory.mapped, c));
    printf(_("KV cache         %s at most\n"), format_bytes(result->kv_bytes, a));
}

/* ---- limits and speed matrix --------------------------------------------------------------- */

struct matrix_source {
    const struct program *program;
    const struct bench_args *args;
};

/* Without --ctx, the context is what the tests need: memory for more would only be in the way. */
static enum vinci_status open_for_matrix(struct loaded_model *loaded, void *user, uint32_t n_ctx,
                                         uint32_t n_sequences, struct vinci_error *err)
{
    const struct matrix_source *source = user;
    struct model_options options = source->args->model;
    if (options.ctx == 0) options.ctx = n_ctx;
    options.profile = source->args->speed.profile;
    return open_model(loaded, source->program, &options, n_sequences, err);
}

static enum vinci_status run_speed(const struct program *program, const struct bench_args *args,
                                   struct vinci_error *err)
{
    if (args->prompts.n > 0 || args->batch_size != BATCH_SIZE ||
        args->max_new_tokens != MAX_NEW_TOKENS || args->warmup != WARMUP || args->iters != ITERS)
        return fail(err, VINCI_USAGE,
                    "--limits, --pp, --tg and --ttft do not go with --prompt, --batch-size, "
                    "--max-new-tokens, --warmup and --iters; use --batch, --repeat");
    struct matrix_source source = {program, args};
    struct speed_model model = {.options = &args->model, .user = &source, .open = open_for_matrix};
    enum vinci_status status = speed_run(&args->speed, &model, err);
    loaded_model_close(&model.loaded);
    return status;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct bench_args *args = arguments;
    bool speed = false;
    enum vinci_status checked = speed_args_check(&args->speed, &speed, err);
    if (checked != VINCI_OK) return checked;
    if (speed) return run_speed(program, args, err);
    struct loaded_model loaded = {0};
    struct bench_result result = {0};
    size_t n = args->prompts.n ? args->prompts.n : sizeof default_prompts / sizeof *default_prompts;
    struct bench_prompt *prompts = array_new_zero(n, sizeof *prompts);
    if (!prompts) return fail_memory(err, n * sizeof *prompts, "the prompts");
    enum vinci_status status = open_model(&loaded, program, &args->model, args->batch_size, err);
    if (status == VINCI_OK) status = loaded_model_tokenizer(&loaded, &args->model, err);
    if (status == VINCI_OK)
        status = tokenize_prompts(&loaded, args->prompts.n ? args->prompts.items : default_prompts,
                                  prompts, n, err);
    if (status == VINCI_OK) status = check_context(&loaded, args, prompts, n, err);
    if (status != VINCI_OK) goto cleanup;
    struct vinci_engine_info info;
    vinci_engine_info(loaded.engine, &info);
    if (args->model.use_fp16 && strcmp(info.device, "cpu") == 0)
        say(_("vinci: --use-fp16: on the CPU the weights stay in the file's formats and nothing "
              "changes; keys and values are %s\n"),
            args->model.kv == VINCI_KV_F16 ? _("float16 already") : _("float32, as --kv asks"));
    print_head(&loaded, args, prompts, n);
    struct bench_options options = {.engine = loaded.engine,
                                    .prompts = prompts,
                                    .n_prompts = n,
                                    .batch_size = args->batch_size,
                                    .max_new_tokens = args->max_new_tokens,
                                    .warmup = args->warmup,
                                    .iters = args->iters,
                                    .on_iteration = print_iteration,
                                    .stop = interrupted};
    status = bench_run(&options, &result, err);
    if (ferror(stdout)) status = VINCI_IO; /* program_finish_output says why */
    else if (result.n_iterations > 0) print_result(&result);
cleanup:
    for (size_t i = 0; i < n; i++) vinci_free((int32_t *)prompts[i].ids);
    free(prompts);
    loaded_model_close(&loaded);
    return status;
}

const struct command command_bench = {
    .name = "bench",
    .summary = N_("measure how fast a model generates"),
    .operands = "",
    .description =
        N_("Loads the model, runs --warmup iterations and then --iters measured ones, and prints "
           "the time of each, the total, the average, tokens generated, tokens/s and memory. An "
           "iteration runs every prompt once, in batches of --batch-size requests that run at the "
           "same time (prompts are repeated to fill the last batch). Every request generates "
           "exactly --max-new-tokens, whatever the model would say. tokens/s counts generated "
           "tokens over the whole time, reading the prompts included.\n\n"
           "--limits, --pp, --tg and --ttft measure in another form, without a tokenizer: what the "
           "machine can do, reading a prompt of random tokens, generating for --batch sequences at "
           "once (from their first tokens on), and the wait for the first token, each --repeat "
           "times. The limit is measured before each repetition; shares are bytes of weights "
           "against the streaming read (generating, one sequence) and the weights' multiply-adds, "
           "two operations each, against the int8 peak in 10^12 operations a second (reading).\n\n"
           "With --device npu:0 and no such device, the CPU is measured, with a warning."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct bench_args),
    .init = init,
    .release = release,
    .run = run,
};
