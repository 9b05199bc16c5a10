/* model_options.h - the options that every command with a model has, and what they open. */
#ifndef VINCI_CLI_MODEL_OPTIONS_H
#define VINCI_CLI_MODEL_OPTIONS_H

#include "cli/options.h"
#include "cli/program.h"

struct model_options {
    const char *model, *tokenizer, *device, *cpu_level, *cpu_list, *script;
    uint32_t threads, ctx;
    unsigned activations, kv; /* enum vinci_activations, enum vinci_kv_type */
    unsigned dtype;           /* enum vinci_npu_dtype */
    unsigned npu_attention;   /* enum vinci_npu_attention */
    bool use_fp16;
    uint64_t kv_memory; /* bytes, 0: the engine's own limit */
    bool prefix_cache;
    const char *prefix_cache_folder;
    uint64_t prefix_cache_file_bytes;
    unsigned log_level; /* enum vinci_log_level */
    bool profile;       /* where a command offers it */
    bool mlock;
};

void model_options_init(struct model_options *options);

extern const struct option_row model_rows[];     /* --model, --log-level */
extern const struct option_row tokenizer_rows[]; /* --tokenizer */
extern const struct option_row engine_rows[];    /* --device, --threads, --ctx, ... */

/* Where the library's messages go: those of the level or graver, to standard error. */
struct log_sink {
    const struct program *program;
    enum vinci_log_level level;
};
void log_to_stderr(void *sink, enum vinci_log_level level, const char *message);

/* --model as the user typed it -> a path. Not given: the demonstration model, said in a line; USAGE
 * when that is not there either. */
enum vinci_status model_path(const struct program *program, const struct model_options *options,
                             char *path, size_t size, struct vinci_error *err);

/* The tokenizer alone, for commands that run no model: --tokenizer, else the model's own. */
enum vinci_status model_tokenizer(struct vinci_tokenizer **out, const struct program *program,
                                  const struct model_options *options, struct vinci_error *err);

/* A model that is ready to run. All zero holds nothing. */
struct loaded_model {
    char path[4096];
    struct log_sink sink;
    struct vinci_engine *engine;
    struct vinci_tokenizer *tokenizer; /* NULL until loaded_model_tokenizer */
};

/* n_batch and n_seqs: 0 leaves the engine's own. */
enum vinci_status loaded_model_open(struct loaded_model *loaded, const struct program *program,
                                    const struct model_options *options, uint32_t n_batch,
                                    uint32_t n_seqs, struct vinci_error *err);

/* On a terminal, while much of the files is not in memory yet: how far the system is with reading
 * them. Every READING_MILLISECONDS reading_goes_on draws the line; false: over, the line is gone.
 */
struct reading {
    struct progress progress;
    struct vinci_engine *engine;
    uint64_t before, total;
    int n_still;
    bool under_way;
};
enum { READING_MILLISECONDS = 50 };
void reading_begin(struct reading *reading, const struct loaded_model *loaded,
                   const struct program *program);
bool reading_goes_on(struct reading *reading);
void reading_end(struct reading *reading);

/* The same at once, for who has nothing else to do. On a terminal, where much of the files is not
 * in memory yet: waits for it and shows how far it is. The first token would wait for nearly all of
 * it, too. Ctrl-C ends the waiting. */
void loaded_model_watch(const struct loaded_model *loaded, const struct program *program);

/* From --tokenizer, else from the model's files; NOT_FOUND says what to do. */
enum vinci_status loaded_model_tokenizer(struct loaded_model *loaded,
                                         const struct model_options *options,
                                         struct vinci_error *err);
void loaded_model_close(struct loaded_model *loaded);

#endif
