/* cmd_bench.c - `vinci bench`: the options and the output of the measurement in src/bench. Every
 * figure printed was measured in this run. */
#include "base/buf.h"
#include "bench/bench.h"
#include "cli/bench_prompts.h"
#include "cli/bench_speed.h"
#include "cli/command.h"
#include "cli/model_options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench_args {
    struct model_options model;
    const char *batch, *new_tokens; /* as typed: numbers, or lists for the matrix */
    uint32_t batch_size, max_new_tokens, warmup, iters;
    bool estimate;
    struct text_list prompts;
    const char *prompts_file;
    bool load;
    struct speed_args speed;
    struct record_args record;
};

enum { BATCH_SIZE = 1, MAX_NEW_TOKENS = 128, WARMUP = 2, ITERS = 5 }; /* the defaults */

#define FIELD(name) .offset = offsetof(struct bench_args, name)

static const struct option_row rows[] = {
    {"model-path", 0, "MODEL", N_("the same as --model"), OPTION_TEXT, FIELD(model.model),
     COMPLETE_FILE},
    {"batch-size", 'b', "N", N_("requests that run at once; default: 1"), OPTION_TEXT,
     FIELD(batch)},
    {"max-new-tokens", 'n', "N", N_("tokens generated per request; default: 128"), OPTION_TEXT,
     FIELD(new_tokens)},
    {"warmup", 0, "N", N_("iterations before the measured ones; default: 2"), OPTION_U32,
     FIELD(warmup)},
    {"iters", 0, "N", N_("measured iterations; default: 5"), OPTION_U32, FIELD(iters), .min = 1},
    {"estimate", 0, NULL,
     N_("with --device npu:N: no measurement, but what an Ascend 910B3 could do at best with this "
        "model, from bytes, operations and launches"),
     OPTION_FLAG, FIELD(estimate)},
    {"prompt", 'p', "TEXT", N_("a prompt; may be given several times; default: two in Chinese"),
     OPTION_LIST, FIELD(prompts)},
    {"prompts", 0, "FILE",
     N_("compare prompts, one a line of FILE: each one's length, wait for the first token, speed "
        "of reading and of generating, --repeat times"),
     OPTION_TEXT, FIELD(prompts_file), COMPLETE_FILE},
    {"load", 0, NULL,
     N_("time loading and the first token, with the files out of memory (cold) and in it (warm)"),
     OPTION_FLAG, FIELD(load)},
    {0}};

static const struct option_group groups[] = {
    {N_("Model"), model_rows, offsetof(struct bench_args, model)},
    {N_("Measurement"), rows, 0},
    {N_("Limits and speed matrix"), speed_rows, offsetof(struct bench_args, speed)},
    {N_("Records and reports"), record_rows, offsetof(struct bench_args, record)},
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
    {"bench -m gpt-oss-20b -p 512 -n 128 -d 0,4096 -b 1,4 --report speed.html",
     N_("the same as llama-bench writes it, with a page of charts")},
    {"bench --compare before.json after.json",
     N_("what changed, and whether it is more than chance")},
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

static void print_head(const struct bench_record *record, const struct loaded_model *loaded,
                       const struct bench_args *args, const struct bench_prompt *prompts,
                       size_t n_prompts)
{
    FILE *to = record->table;
    char device[200];
    struct vinci_engine_info info;
    vinci_engine_info(loaded->engine, &info);
    fprintf(to, _("model            %s\n"), loaded->path);
    fprintf(to, _("device           %s\n"), bench_record_device(record, loaded->engine, device));
    fprintf(to, _("batch size       %u\n"), args->batch_size);
    fprintf(to, _("prompts          %zu:"), n_prompts);
    for (size_t i = 0; i < n_prompts; i++) fprintf(to, "%s %zu", i ? "," : "", prompts[i].n);
    fprintf(to, _(" tokens\n"));
    fprintf(to, _("load             %.4f s\n"), info.load_seconds);
    if (info.upload_bytes > 0)
        fprintf(to, _("upload           %.3f GB to the NPU, %.4f s, %.2f GB/s\n"),
                (double)info.upload_bytes * 1e-9, info.upload_seconds,
                (double)info.upload_bytes * 1e-9 / info.upload_seconds);
    fflush(to);
}

static bool print_iteration(FILE *to, const struct bench_iteration *iteration)
{
    if (iteration->warmup) {
        say(_("warm-up %-8u %.4f s\n"), iteration->index + 1, iteration->seconds);
        return true;
    }
    fprintf(to, _("iteration %-6u %.4f s\n"), iteration->index + 1, iteration->seconds);
    return to == stdout ? output("", 0) : fflush(to) == 0;
}

static void print_result(FILE *to, const struct bench_result *result)
{
    struct memory_use memory;
    char a[16], b[16], c[16];
    memory_use_now(&memory);
    fprintf(to, _("iterations       %u\n"), result->n_iterations);
    fprintf(to, _("total            %.4f s\n"), result->seconds);
    fprintf(to, _("average          %.4f s (%.4f to %.4f)\n"),
            result->seconds / result->n_iterations, result->seconds_min, result->seconds_max);
    fprintf(to, _("tokens generated %llu\n"), (unsigned long long)result->n_generated);
    fprintf(to, _("tokens/s         %.2f\n"), (double)result->n_generated / result->seconds);
    fprintf(to, _("memory           %s at most; now %s of its own, %s of mapped files\n"),
            format_bytes(memory.peak, a), format_bytes(memory.own, b),
            format_bytes(memory.mapped, c));
    fprintf(to, _("KV cache         %s at most\n"), format_bytes(result->kv_bytes, a));
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
                                   struct bench_record *record, struct vinci_error *err)
{
    if (args->prompts.n > 0 || args->prompts_file || args->load || args->batch_size != BATCH_SIZE ||
        args->max_new_tokens != MAX_NEW_TOKENS || args->warmup != WARMUP || args->iters != ITERS)
        return fail(err, VINCI_USAGE,
                    "--limits, --pp, --tg and --ttft do not go with --prompt, --batch-size, "
                    "--max-new-tokens, --warmup and --iters; use --batch, --repeat");
    struct matrix_source source = {program, args};
    struct speed_model model = {.options = &args->model, .user = &source, .open = open_for_matrix};
    enum vinci_status status = speed_run(&args->speed, &model, record, err);
    struct vinci_engine_info info = {0};
    if (model.loaded.engine) vinci_engine_info(model.loaded.engine, &info);
    if (status == VINCI_OK)
        status = bench_record_finish(record, model.loaded.engine ? model.loaded.path : NULL,
                                     info.kv_bytes_peak, err);
    loaded_model_close(&model.loaded);
    return status;
}

static void print_estimate_head(FILE *to, const struct vinci_npu_estimate *e, uint32_t n_ctx)
{
    fprintf(to,
            _("ESTIMATE for an Ascend 910B3, not a measurement: decoding at %u positions,\n"
              "at best; memory %.1f TB/s and matrix units %.0f TFLOPS (as quoted publicly),\n"
              "%.0f us between operators (assumed)\n\n"
              "weights        size  batch attention   bytes ms  matrix ms  gaps ms  tokens/s\n"),
            n_ctx, e->memory_peak * 1e-12, e->matrix_peak * 1e-12, e->launch_seconds * 1e6);
}

/* A line for every way to keep the weights and every batch. */
static enum vinci_status run_estimate(const struct program *program, const struct bench_args *args,
                                      struct vinci_error *err)
{
    static const struct {
        const char *name;
        enum vinci_npu_dtype dtype;
    } modes[] = {{"bf16", VINCI_NPU_BF16}, {"compact", VINCI_NPU_COMPACT}};
    static const uint32_t batches[] = {1, 4, 16, 64};
    const char *json = args->record.json;
    FILE *to = json && strcmp(json, "-") == 0 ? stderr : stdout;
    char path[4096], weights[16];
    uint32_t n_ctx = args->model.ctx ? args->model.ctx : 1024;
    struct vinci_npu_estimate e;
    if (!args->model.device || strncmp(args->model.device, "npu", 3) != 0)
        return fail(err, VINCI_USAGE,
                    "--estimate is for --device npu:N; `vinci advise` estimates for the CPU");
    enum vinci_status status = model_path(program, &args->model, path, sizeof path, err);
    json_t *lines = json_array();
    for (size_t m = 0; m < 2 && status == VINCI_OK; m++)
        for (size_t b = 0; b < 4 && status == VINCI_OK; b++) {
            status = vinci_npu_estimate(&e, path, modes[m].dtype,
                                        (enum vinci_npu_attention)args->model.npu_attention,
                                        batches[b], n_ctx, err);
            if (status != VINCI_OK) break;
            if (m == 0 && b == 0) print_estimate_head(to, &e, n_ctx);
            const char *attention = e.fused_attention ? "fused" : "small";
            fprintf(to, "%-8s %10s %6u %9s %10.2f %10.2f %8.2f %9.0f\n", modes[m].name,
                    format_bytes(e.weight_bytes, weights), batches[b], attention,
                    e.memory_seconds * 1e3, e.matrix_seconds * 1e3, e.gap_seconds * 1e3,
                    e.tokens_per_second);
            json_array_append_new(
                lines,
                json_pack("{s:b, s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "estimated",
                          true, "device", "Ascend 910B3", "dtype", modes[m].name, "attention",
                          attention, "weight_bytes", (json_int_t)e.weight_bytes, "batch",
                          (json_int_t)batches[b], "positions", (json_int_t)n_ctx, "memory_seconds",
                          e.memory_seconds, "matrix_seconds", e.matrix_seconds, "gap_seconds",
                          e.gap_seconds, "tokens_per_second_limit", e.tokens_per_second));
        }
    if (status == VINCI_UNSUPPORTED && json_array_size(lines) > 0)
        status = VINCI_OK; /* no MXFP4: no compact */
    if (status == VINCI_OK && json) status = bench_write_json(json, lines, err);
    json_decref(lines);
    return status;
}

/* ---- one form or the other ----------------------------------------------------------------- */

/* Whole numbers with commas, and what ranges are written with. */
static bool is_list(const char *text)
{
    return text && text[0] >= '0' && text[0] <= '9' &&
           strspn(text, "0123456789,-+*") == strlen(text);
}

/* llama-bench's form is told by its numbers: -p 512 is no prompt, -d 0,4096 no device. Then -p, -n,
 * -d and -b mean --pp, --tg, --depth and --batch. */
static enum vinci_status read_form(struct bench_args *args, struct vinci_error *err)
{
    struct speed_args *speed = &args->speed;
    uint64_t value = 0;
    bool matrix = (args->prompts.n == 1 && is_list(args->prompts.items[0])) ||
                  is_list(args->model.device) || (args->batch && strpbrk(args->batch, ",+*")) ||
                  (args->new_tokens && strpbrk(args->new_tokens, ",+*"));
    if (matrix && !speed->pp && !speed->tg) {
        if (args->prompts.n > 0) speed->pp = args->prompts.items[0];
        speed->tg = args->new_tokens;
        if (is_list(args->model.device)) {
            speed->depth = args->model.device;
            args->model.device = NULL;
        }
        speed->batch = speed->tg ? args->batch : NULL;
        args->prompts.n = 0;
        return VINCI_OK;
    }
    if (args->batch && !parse_u64(args->batch, 1, 4096, &value))
        return fail(err, VINCI_USAGE,
                    "--batch-size: expected a whole number from 1 to 4096, got '%s'", args->batch);
    if (args->batch) args->batch_size = (uint32_t)value;
    if (args->new_tokens && !parse_u64(args->new_tokens, 1, UINT32_MAX, &value))
        return fail(err, VINCI_USAGE,
                    "--max-new-tokens: expected a whole number of at least 1, got '%s'",
                    args->new_tokens);
    if (args->new_tokens) args->max_new_tokens = (uint32_t)value;
    return VINCI_OK;
}

/* What --report draws of iterations. */
struct iteration_view {
    struct bench_record *record;
    json_t *seconds;
};

static bool on_iteration(void *user, const struct bench_iteration *iteration)
{
    struct iteration_view *view = user;
    if (!iteration->warmup) json_array_append_new(view->seconds, json_real(iteration->seconds));
    return print_iteration(view->record->table, iteration);
}

static void add_iterations(struct bench_record *record, const struct bench_args *args,
                           const struct bench_result *result, json_t *seconds)
{
    json_object_set_new(
        record->root, "iterations",
        json_pack("{s:i, s:i, s:i, s:I, s:f, s:O}", "batch_size", (int)args->batch_size,
                  "max_new_tokens", (int)args->max_new_tokens, "warmup", (int)args->warmup,
                  "tokens_generated", (json_int_t)result->n_generated, "tokens_per_second",
                  (double)result->n_generated / result->seconds, "seconds", seconds));
}

/* ---- prompts of a file, and loading -------------------------------------------------------- */

static enum vinci_status run_prompts(const struct program *program, const struct bench_args *args,
                                     struct bench_record *record, struct vinci_error *err)
{
    struct loaded_model loaded = {0};
    struct text_list texts = {0};
    struct buf text = {0};
    struct bench_prompt *prompts = NULL;
    enum vinci_status status = bench_read_prompts(args->prompts_file, &text, &texts, err);
    if (status == VINCI_OK && args->max_new_tokens < 2)
        status = fail(err, VINCI_USAGE, "--prompts: --max-new-tokens must be at least 2");
    if (status == VINCI_OK) {
        prompts = array_new_zero(texts.n, sizeof *prompts);
        if (!prompts) status = fail_memory(err, texts.n * sizeof *prompts, "the prompts");
    }
    if (status == VINCI_OK) status = open_model(&loaded, program, &args->model, 1, err);
    if (status == VINCI_OK) status = loaded_model_tokenizer(&loaded, &args->model, err);
    if (status == VINCI_OK) status = tokenize_prompts(&loaded, texts.items, prompts, texts.n, err);
    if (status == VINCI_OK) status = check_context(&loaded, args, prompts, texts.n, err);
    if (status == VINCI_OK) {
        bench_record_model(record, loaded.path, loaded.engine);
        print_head(record, &loaded, args, prompts, texts.n);
        status = bench_compare_prompts(record, loaded.engine, texts.items, prompts, texts.n,
                                       args->max_new_tokens, args->speed.repeat, err);
    }
    if (status == VINCI_OK) {
        struct vinci_engine_info info;
        vinci_engine_info(loaded.engine, &info);
        status = bench_record_finish(record, loaded.path, info.kv_bytes_peak, err);
    }
    for (size_t i = 0; prompts && i < texts.n; i++) vinci_free((int32_t *)prompts[i].ids);
    free(prompts);
    text_list_free(&texts);
    buf_free(&text);
    loaded_model_close(&loaded);
    return status;
}

static enum vinci_status open_for_load(void *user, struct loaded_model *loaded,
                                       struct vinci_error *err)
{
    const struct matrix_source *source = user;
    return open_model(loaded, source->program, &source->args->model, 1, err);
}

static enum vinci_status run_load(const struct program *program, const struct bench_args *args,
                                  struct bench_record *record, struct vinci_error *err)
{
    struct bench_args again = *args;
    struct matrix_source source = {program, &again};
    struct loaded_model loaded = {0};
    struct load_test test = {NULL, &source, open_for_load};
    char path[sizeof loaded.path];
    enum vinci_status status = open_model(&loaded, program, &args->model, 1, err);
    if (status == VINCI_OK) {
        bench_record_model(record, loaded.path, loaded.engine);
        memcpy(path, loaded.path, sizeof path);
        test.path = path;
        again.model.model = path;
    }
    loaded_model_close(&loaded); /* what is mapped cannot be dropped */
    if (status == VINCI_OK) status = bench_load(record, &test, args->speed.repeat, err);
    return status == VINCI_OK ? bench_record_finish(record, path, 0, err) : status;
}

static enum vinci_status run_iterations(const struct program *program,
                                        const struct bench_args *args, struct bench_record *record,
                                        struct vinci_error *err)
{
    struct loaded_model loaded = {0};
    struct bench_result result = {0};
    struct iteration_view view = {record, json_array()};
    size_t n = args->prompts.n ? args->prompts.n : sizeof default_prompts / sizeof *default_prompts;
    struct bench_prompt *prompts = array_new_zero(n, sizeof *prompts);
    if (!prompts || !view.seconds) {
        json_decref(view.seconds);
        free(prompts);
        return fail_memory(err, n * sizeof *prompts, "the prompts");
    }
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
            args->model.kv == VINCI_KV_F16   ? _("float16 already")
            : args->model.kv == VINCI_KV_F32 ? _("float32, as --kv asks")
                                             : _("Q8_0, as --kv asks"));
    print_head(record, &loaded, args, prompts, n);
    struct bench_options options = {.engine = loaded.engine,
                                    .prompts = prompts,
                                    .n_prompts = n,
                                    .batch_size = args->batch_size,
                                    .max_new_tokens = args->max_new_tokens,
                                    .warmup = args->warmup,
                                    .iters = args->iters,
                                    .on_iteration = on_iteration,
                                    .stop = interrupted,
                                    .user = &view};
    status = bench_run(&options, &result, err);
    if (ferror(stdout)) status = VINCI_IO; /* program_finish_output says why */
    else if (result.n_iterations > 0) print_result(record->table, &result);
    if (status == VINCI_OK) {
        bench_record_model(record, loaded.path, loaded.engine);
        add_iterations(record, args, &result, view.seconds);
        status = bench_record_finish(record, loaded.path, result.kv_bytes, err);
    }
cleanup:
    json_decref(view.seconds);
    for (size_t i = 0; i < n; i++) vinci_free((int32_t *)prompts[i].ids);
    free(prompts);
    loaded_model_close(&loaded);
    return status;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    struct bench_args *args = arguments;
    struct bench_record record = {0};
    bool speed = false;
    if (args->estimate) return run_estimate(program, args, err);
    if (args->record.compare || args->record.from)
        return bench_record_read_only(&args->record, program->operand, err);
    if (program->operand)
        return fail(err, VINCI_USAGE, "'%s': a file goes with --compare", program->operand);
    enum vinci_status status = read_form(args, err);
    if (status == VINCI_OK) status = speed_args_check(&args->speed, &speed, err);
    if (status == VINCI_OK && args->prompts_file && (args->prompts.n > 0 || args->load))
        status = fail(err, VINCI_USAGE, "--prompts does not go with --prompt and --load");
    if (status == VINCI_OK && !speed && args->record.format != BENCH_TABLE)
        status = fail(err, VINCI_USAGE, "--output needs --pp or --tg: it is the matrix's");
    if (status == VINCI_OK)
        status = bench_record_begin(&record, program, &args->record, args->model.device, err);
    if (status == VINCI_OK)
        status = speed                ? run_speed(program, args, &record, err)
                 : args->prompts_file ? run_prompts(program, args, &record, err)
                 : args->load         ? run_load(program, args, &record, err)
                                      : run_iterations(program, args, &record, err);
    bench_record_free(&record);
    return status;
}

const struct command command_bench = {
    .name = "bench",
    .summary = N_("measure how fast a model generates"),
    .operands = "[FILE]",
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
