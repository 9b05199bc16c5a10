/* model_options.c - the options that commands with a model share, and opening what they name. */
#include "cli/model_options.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void model_options_init(struct model_options *options)
{
    *options = (struct model_options){.log_level = VINCI_LOG_WARN};
}

#define FIELD(name) .offset = offsetof(struct model_options, name)

const struct option_row model_rows[] = {
    {"model", 'm', "MODEL",
     N_("a folder or file with the weights, or the name of a model that 'vinci pull', ModelScope's "
        "or Hugging Face's own tool has fetched; default: the small demonstration model that comes "
        "with vinci"),
     OPTION_TEXT, FIELD(model), COMPLETE_FILE},
    {"log-level", 0, "LEVEL",
     N_("what to report on standard error: error, warn (the default), info or debug"),
     OPTION_CHOICE, FIELD(log_level), COMPLETE_WORDS, "error|warn|info|debug"},
    {0}};

const struct option_row tokenizer_rows[] = {
    {"tokenizer", 0, "FILE",
     N_("tokenizer.json, a .tiktoken file, a GGUF file or a folder; default: the model's own"),
     OPTION_TEXT, FIELD(tokenizer), COMPLETE_FILE},
    {0}};

const struct option_row engine_rows[] = {
    {"device", 'd', "DEVICE", N_("where to compute: cpu (the default) or npu:0"), OPTION_TEXT,
     FIELD(device), COMPLETE_WORDS, "cpu|npu:0"},
    {"threads", 't', "N", N_("threads; default: one for each core that the process may use"),
     OPTION_U32, FIELD(threads), .min = 1, .max = 4096},
    {"cpu-list", 0, "LIST", N_("bind threads to these processors, such as 0-15,32"), OPTION_TEXT,
     FIELD(cpu_list)},
    {"ctx", 'c', "N", N_("longest sequence in tokens; default: the model's own limit"), OPTION_U32,
     FIELD(ctx), .min = 1},
    {"activations", 0, "TYPE",
     N_("what quantised weights are multiplied with: int8 (the default) or f32, slower and nearer "
        "to the reference"),
     OPTION_CHOICE, FIELD(activations), COMPLETE_WORDS, "int8|f32"},
    {"kv", 0, "TYPE",
     N_("how keys and values are kept: f16 (the default), f32, or q8_0 in half the memory"),
     OPTION_CHOICE, FIELD(kv), COMPLETE_WORDS, "f16|f32|q8_0"},
    {"dtype", 0, "TYPE",
     N_("on an NPU, how weights are kept: bf16, fp16, or compact (MXFP4 experts as INT4, smaller "
        "and less to read); auto (the default) is bf16 where it fits, else compact"),
     OPTION_CHOICE, FIELD(dtype), COMPLETE_WORDS, "auto|bf16|fp16|compact"},
    {"use-fp16", 0, NULL,
     N_("--dtype fp16: compute in float16 on an NPU; a CPU computes as always"), OPTION_FLAG,
     FIELD(use_fp16)},
    {"npu-attention", 0, "WAY",
     N_("on an NPU, attention in recorded steps: small operators, the fused one, or auto (the "
        "default): fused where it works and sequences are long"),
     OPTION_CHOICE, FIELD(npu_attention), COMPLETE_WORDS, "auto|small|fused"},
    {"mlock", 0, NULL, N_("read all weights at the start and keep them in memory"), OPTION_FLAG,
     FIELD(mlock)},
    {"cpu-level", 0, "LEVEL",
     N_("instruction set to use at most (scalar, avx2, ...); results are the same on every level"),
     OPTION_TEXT, FIELD(cpu_level), COMPLETE_WORDS, "scalar|avx2|avx512|neon"},
    {"script", 0, "FILE",
     N_("for testing clients: give the answers in FILE in place of the model's choice; JSON lines "
        "{\"when\": text that the last message contains, or null, \"text\": the answer in "
        "harmony}"),
     OPTION_TEXT, FIELD(script), COMPLETE_FILE},
    {0}};

void log_to_stderr(void *user, enum vinci_log_level level, const char *message)
{
    const struct log_sink *sink = user;
    if (level > sink->level) return;
    if (level == VINCI_LOG_ERROR) say_error(sink->program, message);
    else if (level == VINCI_LOG_WARN) say_warning(sink->program, message);
    else say("vinci: %s\n", message);
}

/* The demonstration model that comes with vinci, as seen from the program's own folder: installed
 * in PREFIX/bin, or built in a folder of the repository. */
static bool demonstration_model(char *path, size_t size)
{
    static const char *const places[] = {"../share/vinci/nano", "../models/nano"};
    char program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0) return false;
    program[n] = '\0';
    *strrchr(program, '/') = '\0'; /* an absolute path */
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char place[sizeof program + 32];
        snprintf(place, sizeof place, "%s/%s", program, places[i]);
        char *real = realpath(place, NULL);
        bool found = real && strlen(real) < size;
        if (found) memcpy(path, real, strlen(real) + 1);
        free(real);
        if (found) return true;
    }
    return false;
}

enum vinci_status model_path(const struct program *program, const struct model_options *options,
                             char *path, size_t size, struct vinci_error *err)
{
    if (!options->model && demonstration_model(path, size)) {
        say(_("vinci: no --model, so this is the small demonstration model\n"));
        return VINCI_OK;
    }
    if (!options->model || !*options->model)
        return fail(err, VINCI_USAGE,
                    "no model: give --model a folder or file with gpt-oss weights, or a hub's id");
    return vinci_model_find(options->model, &program->hub, path, size, err);
}

enum vinci_status model_tokenizer(struct vinci_tokenizer **out, const struct program *program,
                                  const struct model_options *options, struct vinci_error *err)
{
    char path[4096];
    if (options->tokenizer) return vinci_tokenizer_open(out, options->tokenizer, err);
    enum vinci_status status = model_path(program, options, path, sizeof path, err);
    return status == VINCI_OK ? vinci_tokenizer_open(out, path, err) : status;
}

/* `vinci serve` has the signals blocked. */
static bool asked_to_stop(void)
{
    sigset_t set;
    return interrupted() || (sigpending(&set) == 0 &&
                             (sigismember(&set, SIGINT) == 1 || sigismember(&set, SIGTERM) == 1));
}

static bool show_upload(void *user, uint64_t done, uint64_t total)
{
    progress_update(user, done, total);
    return !asked_to_stop();
}

enum vinci_status loaded_model_open(struct loaded_model *loaded, const struct program *program,
                                    const struct model_options *options, uint32_t n_batch,
                                    uint32_t n_seqs, struct vinci_error *err)
{
    struct vinci_engine_options engine;
    struct progress progress;
    *loaded = (struct loaded_model){.sink = {program, (enum vinci_log_level)options->log_level}};
    enum vinci_status status = model_path(program, options, loaded->path, sizeof loaded->path, err);
    if (status != VINCI_OK) return status;
    vinci_engine_options_init(&engine);
    engine.model = loaded->path;
    engine.device = options->device;
    engine.cpu_level = options->cpu_level;
    engine.n_threads = options->threads;
    engine.cpu_list = options->cpu_list;
    engine.n_ctx = options->ctx;
    engine.n_batch = n_batch;
    engine.n_seqs = n_seqs;
    engine.activations = (enum vinci_activations)options->activations;
    engine.kv_type = (enum vinci_kv_type)options->kv;
    engine.kv_bytes = options->kv_memory;
    engine.prefix_cache = options->prefix_cache;
    engine.prefix_cache_folder = options->prefix_cache_folder;
    engine.prefix_cache_file_bytes = options->prefix_cache_file_bytes;
    engine.script = options->script;
    engine.npu_dtype = options->use_fp16 ? VINCI_NPU_F16 : (enum vinci_npu_dtype)options->dtype;
    engine.npu_attention = (enum vinci_npu_attention)options->npu_attention;
    engine.cann = program->cann;
    engine.profile = options->profile;
    engine.lock_weights = options->mlock;
    engine.log = log_to_stderr;
    engine.log_user = &loaded->sink;
    engine.progress = show_upload;
    engine.progress_user = &progress;
    progress_begin(&progress, program, _("bringing the weights to the NPU"));
    status = vinci_engine_open(&loaded->engine, &engine, err);
    progress_end(&progress);
    return status;
}

/* The share of the files' memory that is here, of a page in every 16 MB. */
static double share_here(const struct vinci_engine *engine)
{
    enum { EVERY = 16 << 20 };
    size_t n = 0, here = 0, n_bytes = 0;
    for (uint32_t i = 0; i < vinci_engine_model(engine)->n_files; i++) {
        const unsigned char *data = vinci_engine_file(engine, i, &n_bytes);
        for (size_t at = 0; at < n_bytes; at += EVERY, n++) {
            unsigned char in_memory = 1;
            mincore((void *)(uintptr_t)(data + at), 1, &in_memory);
            here += in_memory & 1;
        }
    }
    return n ? (double)here / (double)n : 1;
}

enum { WORTH_BYTES = 256 << 20, STILL = 100 /* rounds: 5 s */, NOT_BEGUN = 10 };

void reading_begin(struct reading *reading, const struct loaded_model *loaded,
                   const struct program *program)
{
    struct vinci_engine_info info;
    vinci_engine_info(loaded->engine, &info);
    *reading = (struct reading){.engine = loaded->engine,
                                .total = vinci_engine_model(loaded->engine)->file_bytes};
    reading->under_way = program->progress && strcmp(info.device, "cpu") == 0 &&
                         reading->total >= WORTH_BYTES && share_here(loaded->engine) <= 0.9;
    if (reading->under_way) progress_begin(&reading->progress, program, _("reading the model"));
}

bool reading_goes_on(struct reading *reading)
{
    struct vinci_engine_info info;
    if (!reading->under_way) return false;
    vinci_engine_info(reading->engine, &info);
    reading->n_still = info.prefetched_bytes == reading->before ? reading->n_still + 1 : 0;
    reading->before = info.prefetched_bytes;
    if (reading->before >= reading->total ||
        reading->n_still > (reading->before > 0 ? STILL : NOT_BEGUN)) { /* larger than memory */
        reading_end(reading);
        return false;
    }
    progress_update(&reading->progress, reading->before, reading->total);
    return true;
}

void reading_end(struct reading *reading)
{
    if (reading->under_way) progress_end(&reading->progress);
    reading->under_way = false;
}

void loaded_model_watch(const struct loaded_model *loaded, const struct program *program)
{
    struct reading reading;
    reading_begin(&reading, loaded, program);
    while (!interrupted() && reading_goes_on(&reading)) usleep(1000 * READING_MILLISECONDS);
    reading_end(&reading);
}

enum vinci_status loaded_model_tokenizer(struct loaded_model *loaded,
                                         const struct model_options *options,
                                         struct vinci_error *err)
{
    const char *path =
        options->tokenizer ? options->tokenizer : vinci_engine_model(loaded->engine)->tokenizer;
    if (!*path)
        return fail(err, VINCI_NOT_FOUND,
                    "%s: no tokenizer (tokenizer.json, *.tiktoken or GGUF metadata); give one with "
                    "--tokenizer, or token ids with --ids where the command takes them",
                    loaded->path);
    return vinci_tokenizer_open(&loaded->tokenizer, path, err);
}

void loaded_model_close(struct loaded_model *loaded)
{
    vinci_tokenizer_close(loaded->tokenizer);
    vinci_engine_close(loaded->engine);
    loaded->tokenizer = NULL;
    loaded->engine = NULL;
}
