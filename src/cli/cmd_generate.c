/* cmd_generate.c - `vinci generate`: continues a raw text and streams what comes.
 *
 * No chat format: the prompt goes to the model as it is. With --ids the prompt is token ids and so
 * is the output, which needs no tokenizer. Standard output carries the continuation alone. */
#include "base/buf.h"
#include "cli/command.h"
#include "cli/ids.h"
#include "cli/model_options.h"
#include "cli/profile_report.h"
#include "cli/sampling_options.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct generate_args {
    struct model_options model;
    const char *prompt, *prompt_file, *ids;
    bool special, stats;
    uint32_t max_new_tokens, logprobs;
    struct sampling_options sampling;
    struct text_list stop;
};

#define FIELD(name) .offset = offsetof(struct generate_args, name)

static const struct option_row prompt_rows[] = {
    {"prompt", 'p', "TEXT", N_("the text to continue"), OPTION_TEXT, FIELD(prompt)},
    {"prompt-file", 'f', "FILE", N_("read the text from FILE, or from standard input for -"),
     OPTION_TEXT, FIELD(prompt_file), COMPLETE_FILE},
    {"ids", 0, "FILE",
     N_("read the prompt as token ids from FILE, or from standard input for -; print ids as well"),
     OPTION_TEXT, FIELD(ids), COMPLETE_FILE},
    {"special", 0, NULL, N_("recognise special tokens such as <|start|> in the prompt"),
     OPTION_FLAG, FIELD(special)},
    {0}};

static const struct option_row output_rows[] = {
    {"max-new-tokens", 'n', "N",
     N_("stop after N tokens; default: 128, 0: when the context is full"), OPTION_U32,
     FIELD(max_new_tokens)},
    {"stop", 0, "TEXT", N_("stop before TEXT; may be given several times"), OPTION_LIST,
     FIELD(stop)},
    {"logprobs", 0, "N",
     N_("print one JSON object a token instead of the text, with its log-probability and those of "
        "the N likeliest"),
     OPTION_U32, FIELD(logprobs), .min = 1, .max = VINCI_TOP_LOGPROBS_MAX},
    {"stats", 0, NULL, N_("at the end, print times, tokens/s and memory on standard error"),
     OPTION_FLAG, FIELD(stats)},
    {"profile", 0, NULL,
     N_("at the end, print the time of each operation and kind of layer on standard error"),
     OPTION_FLAG, FIELD(model.profile)},
    {0}};

static const struct option_group groups[] = {
    {N_("Model"), model_rows, offsetof(struct generate_args, model)},
    {N_("Prompt"), prompt_rows, 0},
    {N_("Output"), output_rows, 0},
    {N_("Sampling"), sampling_rows, offsetof(struct generate_args, sampling)},
    {N_("Tokenizer"), tokenizer_rows, offsetof(struct generate_args, model)},
    {N_("Engine"), engine_rows, offsetof(struct generate_args, model)},
    {0}};

static const struct command_example examples[] = {
    {"generate -m gpt-oss-20b -p 'The capital of France is' -n 20",
     N_("the likeliest continuation")},
    {"generate -m gpt-oss-20b -f story.txt --temperature 1 --seed 7 --stats",
     N_("a drawn one, with times")},
    {0}};

static void init(void *arguments)
{
    struct generate_args *args = arguments;
    model_options_init(&args->model);
    sampling_options_init(&args->sampling);
    args->sampling.sampling.temperature = 0;
    args->max_new_tokens = 128;
}

static void release(void *arguments)
{
    struct generate_args *args = arguments;
    sampling_options_release(&args->sampling);
    text_list_free(&args->stop);
}

/* What the callback needs to print a token. */
struct printer {
    const struct generate_args *args;
    const struct vinci_tokenizer *tokenizer;
    bool failed;  /* standard output cannot be written */
    bool newline; /* the last thing printed ended a line */
};

static json_t *token_json(const struct printer *printer, int32_t id, float logprob)
{
    struct vinci_utf8_stream stream = {0};
    size_t n = 0;
    const char *bytes = printer->tokenizer ? vinci_token_bytes(printer->tokenizer, id, &n) : NULL;
    char *text = malloc(3 * (n + 4));
    if (!text) return NULL;
    size_t size = bytes ? vinci_utf8_stream_next(&stream, bytes, n, true, text) : 0;
    json_t *object = json_pack("{s:i, s:s%, s:f}", "id", (int)id, "token", text, size, "logprob",
                               (double)logprob);
    free(text);
    return object;
}

static bool print_logprobs(const struct printer *printer, const struct vinci_token_event *event)
{
    json_t *object = token_json(printer, event->token, event->logprob);
    json_t *top = json_array();
    for (size_t i = 0; i < event->n_top; i++)
        json_array_append_new(top, token_json(printer, event->top[i].token, event->top[i].logprob));
    char *line = NULL;
    if (object && json_object_set_new(object, "top", top) == 0)
        line = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    bool ok = line && output(line, strlen(line)) && output("\n", 1);
    free(line);
    return ok;
}

static bool print_token(void *user, const struct vinci_token_event *event)
{
    struct printer *printer = user;
    char id[16];
    bool ok = true;
    if (printer->args->logprobs > 0) {
        ok = print_logprobs(printer, event);
        printer->newline = true;
    } else if (printer->args->ids) {
        int n = snprintf(id, sizeof id, "%s%d", event->index ? " " : "", (int)event->token);
        ok = output(id, (size_t)n);
        printer->newline = false;
    } else if (event->n_text > 0) {
        ok = output(event->text, event->n_text);
        printer->newline = event->text[event->n_text - 1] == '\n';
    }
    if (!ok) printer->failed = true;
    return ok;
}

/* Ids of --ids are freed with free(), those of a text with vinci_free(). */
static enum vinci_status read_prompt(const struct generate_args *args,
                                     const struct loaded_model *loaded, int32_t **ids,
                                     size_t *n_ids, struct vinci_error *err)
{
    struct buf text = {0};
    int given = (args->prompt != NULL) + (args->prompt_file != NULL) + (args->ids != NULL);
    if (given != 1)
        return fail(err, VINCI_USAGE, "give one of --prompt, --prompt-file and --ids%s",
                    given ? _(", not several") : "");
    if (args->ids) return ids_read(args->ids, ids, n_ids, err);
    enum vinci_status status = VINCI_OK;
    const char *bytes = args->prompt;
    size_t n = bytes ? strlen(bytes) : 0;
    if (!bytes) {
        status = read_input(args->prompt_file, &text, err);
        bytes = text.data ? text.data : "";
        n = text.size;
    }
    if (status == VINCI_OK && n == 0) status = fail(err, VINCI_USAGE, "the prompt is empty");
    if (status == VINCI_OK)
        status = vinci_tokenize(loaded->tokenizer, bytes, n, args->special, ids, n_ids, err);
    buf_free(&text);
    return status;
}

/* The tokens that end a text or a turn, as far as this tokenizer has them. */
static size_t end_tokens(const struct vinci_tokenizer *tokenizer, int32_t ids[3])
{
    static const char *const names[] = {"<|endoftext|>", "<|return|>", "<|call|>"};
    size_t n = 0;
    for (size_t i = 0; tokenizer && i < sizeof names / sizeof *names; i++) {
        int32_t id = vinci_token_special_id(tokenizer, names[i]);
        if (id >= 0) ids[n++] = id;
    }
    return n;
}

/* *info is of the moment when the request, with its cache, is still there. */
static enum vinci_status run_request(struct vinci_engine *engine,
                                     const struct vinci_request_options *options,
                                     struct vinci_request_result *result,
                                     struct vinci_engine_info *info, struct vinci_error *err)
{
    struct vinci_request *request = NULL;
    enum vinci_status status = vinci_request_submit(&request, engine, options, err);
    size_t n_active = 1;
    while (status == VINCI_OK && n_active > 0) {
        if (interrupted()) vinci_request_cancel(request);
        status = vinci_engine_step(engine, &n_active, err);
    }
    if (status == VINCI_OK) vinci_request_result(request, result);
    vinci_engine_info(engine, info);
    vinci_request_close(request);
    return status;
}

static void print_stats(const struct vinci_engine_info *info,
                        const struct vinci_request_result *result)
{
    struct memory_use memory;
    char a[16], b[16], c[16];
    memory_use_now(&memory);
    size_t n_prefill = result->n_prompt - result->n_reused;
    size_t n_decode = result->n_generated ? result->n_generated - 1 : 0;
    if (*info->cpu_level)
        say(_("device    %s, %s kernels, %u threads\n"), info->device, info->cpu_level,
            info->n_threads);
    else say(_("device    %s\n"), info->device);
    say(_("load      %.4f s\n"), info->load_seconds);
    if (info->upload_bytes > 0)
        say(_("upload    %s to the NPU, %.4f s, %.2f GB/s\n"), format_bytes(info->upload_bytes, a),
            info->upload_seconds, (double)info->upload_bytes * 1e-9 / info->upload_seconds);
    if (result->n_generated == 0) say(_("prefill   not finished\n"));
    else
        say(_("prefill   %zu tokens, %.4f s, %.1f tokens/s (to the first token)\n"), n_prefill,
            result->prefill_seconds,
            result->prefill_seconds > 0 ? (double)n_prefill / result->prefill_seconds : 0.0);
    say(_("decode    %zu tokens, %.4f s, %.1f tokens/s\n"), n_decode, result->decode_seconds,
        result->decode_seconds > 0 ? (double)n_decode / result->decode_seconds : 0.0);
    say(_("memory    %s at most, now %s of its own and %s of mapped files\n"),
        format_bytes(memory.peak, a), format_bytes(memory.own, b), format_bytes(memory.mapped, c));
    say(_("          KV cache %s, step buffers %s\n"), format_bytes(info->kv_bytes_peak, a),
        format_bytes(info->scratch_bytes, b));
}

static enum vinci_status result_status(const struct vinci_request_result *result,
                                       const struct printer *printer, struct vinci_error *err)
{
    if (printer->failed) return VINCI_IO; /* program_finish_output says why */
    if (result->finish == VINCI_FINISH_ERROR)
        return fail(err, result->error.status, "%s", result->error.text);
    if (result->finish == VINCI_FINISH_CANCELLED) return fail(err, VINCI_CANCELLED, "stopped");
    return VINCI_OK;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    struct generate_args *args = arguments;
    struct loaded_model loaded = {0};
    struct vinci_request_options options;
    struct vinci_request_result result = {0};
    struct vinci_engine_info info;
    struct printer printer = {.args = args, .newline = true};
    int32_t *ids = NULL, stops[3];
    size_t n_ids = 0;
    enum vinci_status status = sampling_options_finish(&args->sampling, err);
    if (status == VINCI_OK) status = loaded_model_open(&loaded, program, &args->model, 0, 1, err);
    if (status == VINCI_OK && !(args->ids && !args->model.tokenizer && !args->stop.n))
        status = loaded_model_tokenizer(&loaded, &args->model, err);
    if (status == VINCI_OK) status = read_prompt(args, &loaded, &ids, &n_ids, err);
    if (status != VINCI_OK) goto cleanup;
    loaded_model_watch(&loaded, program);

    vinci_request_options_init(&options);
    options.prompt = ids;
    options.n_prompt = n_ids;
    options.max_new_tokens = args->max_new_tokens;
    options.sampling = args->sampling.sampling;
    options.stop_tokens = stops;
    options.n_stop_tokens = end_tokens(loaded.tokenizer, stops);
    options.stop_strings = args->stop.items;
    options.n_stop_strings = args->stop.n;
    options.n_top_logprobs = args->logprobs;
    options.tokenizer = loaded.tokenizer;
    options.on_token = print_token;
    options.user = &printer;
    printer.tokenizer = loaded.tokenizer;
    status = run_request(loaded.engine, &options, &result, &info, err);
    if (!printer.newline && !printer.failed && (args->ids || isatty(STDOUT_FILENO)))
        printer.failed = !output("\n", 1);
    bool told = status == VINCI_OK && (args->stats || args->model.profile);
    if (status == VINCI_OK) status = result_status(&result, &printer, err);
    /* The text stays as it is, what people read begins a line. */
    if (!printer.newline && !printer.failed && !isatty(STDOUT_FILENO) && !args->ids &&
        (told || status != VINCI_OK))
        say("\n");
    if (told && args->stats) print_stats(&info, &result);
    if (told && args->model.profile) profile_print(stderr, loaded.engine);
cleanup:
    if (args->ids) free(ids);
    else vinci_free(ids);
    loaded_model_close(&loaded);
    return status;
}

const struct command command_generate = {
    .name = "generate",
    .summary = N_("continue a text"),
    .operands = "",
    .description =
        N_("Continues a raw text, without any chat format, and prints the continuation as it "
           "comes. Without sampling options the likeliest token is always taken, so the same "
           "prompt gives the same text. Generation ends at <|endoftext|>, <|return|> or <|call|>, "
           "before a --stop text, after --max-new-tokens, or when the context is full; with --ids "
           "and no --tokenizer only by the last two.\n\n"
           "The options of sampling are applied in this order: --logit-bias, --repetition-penalty, "
           "--presence-penalty and --frequency-penalty, --temperature, --top-k, --top-p, --min-p."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct generate_args),
    .init = init,
    .release = release,
    .run = run,
};
