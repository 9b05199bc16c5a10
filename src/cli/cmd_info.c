/* cmd_info.c - `vinci info`: what a model is, from its headers; the weights are not read.
 *
 * The keys of --json are an interface: they may grow, never change. */
#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/print.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct info_args {
    struct model_options model;
    bool json;
};

static const struct option_row rows[] = {{"json", 0, NULL, N_("print one JSON object"), OPTION_FLAG,
                                          .offset = offsetof(struct info_args, json)},
                                         {0}};

static const struct option_group groups[] = {
    {N_("Model"), model_rows, offsetof(struct info_args, model)}, {N_("Output"), rows, 0}, {0}};

static const struct command_example examples[] = {
    {"info --model gpt-oss-20b", N_("a folder with config.json and safetensors")},
    {"info --model openai-mirror/gpt-oss-20b --json", N_("a model that 'vinci pull' has fetched")},
    {0}};

static void init(void *arguments)
{
    model_options_init(&((struct info_args *)arguments)->model);
}

static const char *container_text(enum vinci_container container)
{
    switch (container) {
    case VINCI_CONTAINER_HF: return _("Hugging Face safetensors");
    case VINCI_CONTAINER_ORIGINAL: return _("OpenAI's original safetensors");
    case VINCI_CONTAINER_GGUF: return "GGUF";
    }
    return _("unknown");
}

static const char *container_key(enum vinci_container container)
{
    return container == VINCI_CONTAINER_GGUF       ? "gguf"
           : container == VINCI_CONTAINER_ORIGINAL ? "original"
                                                   : "hf";
}

static const char *format_count(uint64_t n, char text[24])
{
    if (n >= 1000000000) snprintf(text, 24, _("%.1f billion"), (double)n / 1e9);
    else if (n >= 1000000) snprintf(text, 24, _("%.1f million"), (double)n / 1e6);
    else snprintf(text, 24, "%u", (unsigned)n);
    return text;
}

static void print_dtypes(const struct vinci_model_info *info)
{
    char bytes[16];
    printf(_("weights     %s"), format_bytes(info->weight_bytes, bytes));
    for (uint32_t i = 0; i < info->n_dtypes; i++)
        printf(_("%s%s %s in %u tensors"),
               i == 0  ? ": "
               : i % 2 ? ", "
                       : ",\n            ",
               info->dtypes[i].name, format_bytes(info->dtypes[i].bytes, bytes),
               info->dtypes[i].n_tensors);
    putchar('\n');
    if (info->converted_bytes > 0)
        printf(_("converted   %s are copied into another layout at load\n"),
               format_bytes(info->converted_bytes, bytes));
}

static void print_readable(const struct vinci_model_info *info)
{
    char a[24], b[24];
    printf(_("model       %s\n"), info->path);
    printf(info->n_files == 1 ? _("container   %s, %u file, %u tensors, %s\n")
                              : _("container   %s, %u files, %u tensors, %s\n"),
           container_text(info->container), info->n_files, info->n_tensors,
           format_bytes(info->file_bytes, a));
    printf(_("layers      %u: %u with a window of %u positions, %u without\n"), info->n_layers,
           info->n_sliding_layers, info->sliding_window, info->n_layers - info->n_sliding_layers);
    printf(_("shape       hidden %u, intermediate %u, vocabulary %u%s\n"), info->n_hidden,
           info->n_intermediate, info->n_vocab,
           info->tied_embeddings ? _(" (embedding used as output too)") : "");
    printf(_("attention   %u heads of %u, %u for keys and values\n"), info->n_heads, info->head_dim,
           info->n_kv_heads);
    printf(_("experts     %u, %u used per token\n"), info->n_experts, info->n_experts_used);
    if (info->rope_yarn)
        printf(_("context     %u positions; rope theta %g, YaRN factor %g\n"), info->n_ctx_max,
               info->rope_theta, info->rope_factor);
    else
        printf(_("context     %u positions; rope theta %g, plain\n"), info->n_ctx_max,
               info->rope_theta);
    printf(_("parameters  %s, %s used per token\n"), format_count(info->n_params, a),
           format_count(info->n_params_active, b));
    print_dtypes(info);
    printf(_("per token   %s of weights are read at batch 1\n"),
           format_bytes(info->bytes_per_token, a));
    printf(_("KV cache    %s per token and %s per sequence, in f16\n"),
           format_bytes(info->kv_bytes_per_token, a), format_bytes(info->kv_window_bytes, b));
    size_t n = strlen(info->path); /* a file of the folder is shown without it */
    bool inside = strncmp(info->tokenizer, info->path, n) == 0 && info->tokenizer[n] == '/';
    const char *tokenizer = inside ? info->tokenizer + n + 1 : info->tokenizer;
    printf(_("tokenizer   %s\n"), *tokenizer ? tokenizer : _("none"));
}

/* JSON strings are UTF-8; a path need not be. */
static json_t *json_text(const char *text)
{
    struct vinci_utf8_stream stream = {0};
    size_t n = strlen(text);
    char *valid = malloc(3 * (n + 4));
    if (!valid) return NULL;
    size_t size = vinci_utf8_stream_next(&stream, text, n, true, valid);
    json_t *string = json_stringn(valid, size);
    free(valid);
    return string;
}

/* The double with the fewest digits that is this float: 1e-05, not 9.9999997473787516e-06. */
static double shortest(float value)
{
    char text[32];
    for (int digits = 1; digits < 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
        snprintf(text, sizeof text, "%.9g", (double)value);
    }
    return strtod(text, NULL);
}

static enum vinci_status print_info_json(const struct vinci_model_info *info,
                                         struct vinci_error *err)
{
    json_t *dtypes = json_array();
    for (uint32_t i = 0; i < info->n_dtypes; i++)
        json_array_append_new(dtypes, json_pack("{s:s, s:i, s:I}", "name", info->dtypes[i].name,
                                                "tensors", (int)info->dtypes[i].n_tensors, "bytes",
                                                (json_int_t)info->dtypes[i].bytes));
    json_t *rope =
        json_pack("{s:s, s:f, s:f}", "type", info->rope_yarn ? "yarn" : "default", "theta",
                  shortest(info->rope_theta), "factor", shortest(info->rope_factor));
    json_t *root = json_pack(
        "{s:o*, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, "
        "s:f, s:f, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}",
        "path", json_text(info->path), "container", container_key(info->container), "files",
        (json_int_t)info->n_files, "tensors", (json_int_t)info->n_tensors, "layers",
        (json_int_t)info->n_layers, "sliding_layers", (json_int_t)info->n_sliding_layers,
        "sliding_window", (json_int_t)info->sliding_window, "hidden", (json_int_t)info->n_hidden,
        "intermediate", (json_int_t)info->n_intermediate, "vocab", (json_int_t)info->n_vocab,
        "heads", (json_int_t)info->n_heads, "kv_heads", (json_int_t)info->n_kv_heads, "head_dim",
        (json_int_t)info->head_dim, "experts", (json_int_t)info->n_experts, "experts_used",
        (json_int_t)info->n_experts_used, "context", (json_int_t)info->n_ctx_max, "rope", rope,
        "rms_norm_eps", shortest(info->rms_norm_eps), "swiglu_limit", shortest(info->swiglu_limit),
        "tied_embeddings", info->tied_embeddings, "parameters", (json_int_t)info->n_params,
        "active_parameters", (json_int_t)info->n_params_active, "file_bytes",
        (json_int_t)info->file_bytes, "weight_bytes", (json_int_t)info->weight_bytes,
        "bytes_per_token", (json_int_t)info->bytes_per_token, "bytes_per_expert",
        (json_int_t)info->bytes_per_expert, "kv_bytes_per_token",
        (json_int_t)info->kv_bytes_per_token, "kv_window_bytes", (json_int_t)info->kv_window_bytes,
        "converted_bytes", (json_int_t)info->converted_bytes, "dtypes", dtypes, "tokenizer",
        *info->tokenizer ? json_text(info->tokenizer) : json_null());
    return print_json(root, err);
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct info_args *args = arguments;
    struct log_sink sink = {program, (enum vinci_log_level)args->model.log_level};
    struct vinci_model_info info;
    char path[4096];
    enum vinci_status status = model_path(program, &args->model, path, sizeof path, err);
    if (status == VINCI_OK) status = vinci_model_describe(path, &info, log_to_stderr, &sink, err);
    if (status != VINCI_OK) return status;
    if (args->json) return print_info_json(&info, err);
    print_readable(&info);
    return VINCI_OK;
}

const struct command command_info = {
    .name = "info",
    .summary = N_("describe a model: shape, files, number formats, sizes"),
    .operands = "",
    .description =
        N_("Opens the model, checks every tensor against the configuration and prints what it is. "
           "The weights are not read. MODEL is a Hugging Face folder (config.json and "
           "safetensors), OpenAI's original layout, a GGUF file (the first of a split one), or a "
           "hub's id such as openai-mirror/gpt-oss-20b whose files are in the hub's cache."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct info_args),
    .init = init,
    .run = run,
};
