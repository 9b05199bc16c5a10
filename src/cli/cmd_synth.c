/* cmd_synth.c - `vinci synth`: writes a checkpoint of random weights in a real model's shape. */
#include "cli/command.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct synth_args {
    const char *shape, *out, *dense, *tokenizer;
    unsigned format; /* enum vinci_synth_format */
    uint32_t layers;
    uint64_t shard_size, seed;
};

#define FIELD(name) .offset = offsetof(struct synth_args, name)

static const struct option_row rows[] = {
    {"shape", 0, "SHAPE", N_("20b, 120b, tiny, or the path of a config.json"), OPTION_TEXT,
     FIELD(shape), COMPLETE_WORDS, "tiny|20b|120b"},
    {"out", 'o', "PATH", N_("the folder (safetensors) or file (GGUF) to write; must not exist"),
     OPTION_TEXT, FIELD(out), COMPLETE_FILE},
    {"format", 0, "FORMAT", N_("safetensors (the default) or gguf"), OPTION_CHOICE, FIELD(format),
     COMPLETE_WORDS, "safetensors|gguf"},
    {"dense", 0, "TYPE",
     N_("GGUF: number format of the matrices outside the experts: q8_0 (the default), bf16, f16 or "
        "f32"),
     OPTION_TEXT, FIELD(dense), COMPLETE_WORDS, "q8_0|bf16|f16|f32"},
    {"layers", 0, "N", N_("write only N layers; default: the shape's own"), OPTION_U32,
     FIELD(layers), .min = 1},
    {"shard-size", 0, "SIZE",
     N_("safetensors: begin another file beyond SIZE bytes (5G); default: one file"), OPTION_SIZE,
     FIELD(shard_size)},
    {"seed", 0, "N", N_("same seed, same bytes; default: 0"), OPTION_U64, FIELD(seed)},
    {"tokenizer", 0, "FILE", N_("a tokenizer file or folder to put into the checkpoint"),
     OPTION_TEXT, FIELD(tokenizer), COMPLETE_FILE},
    {0}};

static const struct option_group groups[] = {{N_("Options"), rows, 0}, {0}};

static const struct command_example examples[] = {
    {"synth --shape 20b --out synth-20b --shard-size 5G", N_("13.8 GB in the published layout")},
    {"synth --shape 20b --layers 2 --format gguf --out two-layers.gguf", N_("a small GGUF file")},
    {0}};

static bool show_progress(void *user, uint64_t done, uint64_t total)
{
    progress_update(user, done, total);
    return !interrupted();
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct synth_args *args = arguments;
    struct vinci_synth_options options;
    struct progress progress;
    if (!args->shape || !args->out)
        return fail(err, VINCI_USAGE, "both --shape and --out are needed");
    bool gguf = args->format == VINCI_SYNTH_GGUF;
    if (args->dense && !gguf)
        return fail(err, VINCI_USAGE, "--dense is for --format gguf: safetensors take bf16");
    if (args->shard_size && gguf)
        return fail(err, VINCI_USAGE, "--shard-size is for safetensors: GGUF is one file");
    vinci_synth_options_init(&options);
    options.shape = args->shape;
    options.out = args->out;
    options.format = (enum vinci_synth_format)args->format;
    if (args->dense) options.gguf_dense = args->dense;
    options.n_layers = args->layers;
    options.shard_bytes = args->shard_size;
    options.seed = args->seed;
    options.tokenizer = args->tokenizer;
    options.progress = show_progress;
    options.user = &progress;
    progress_begin(&progress, program, _("writing"));
    enum vinci_status status = vinci_synth(&options, err);
    progress_end(&progress);
    return status;
}

const struct command command_synth = {
    .name = "synth",
    .summary = N_("write a checkpoint of random weights in a real model's shape"),
    .operands = "",
    .description = N_("Writes random weights with sane statistics in the published layout, to "
                      "measure loading and speed without a download. The same options give the "
                      "same bytes. Nothing is left under --out when it fails or is stopped."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct synth_args),
    .run = run,
};
