/* synth.c - writes a checkpoint of random weights in a real model's shape (vinci_synth).
 *
 * Everything is written under a name beside the final one and renamed at the end, so nothing
 * half-written ever stands under the final name; on failure it is removed. This file says which
 * tensors there are and how they are distributed; synth.h lists the other parts.
 *
 * The distributions keep the residual stream near 1 at any depth: what the attention and the
 * experts of n layers add has variance 2 / n of a fixed sum. Special tokens have small output rows:
 * greedy text does not end by chance. */
#include "model/synth.h"

#include "base/file_map.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void vinci_synth_options_init(struct vinci_synth_options *options)
{
    *options = (struct vinci_synth_options){.gguf_dense = "q8_0"};
}

/* ---- shape -------------------------------------------------------------------------------- */

static void set_common(struct model_config *config)
{
    config->head_dim = 64;
    config->n_experts_used = 4;
    config->n_ctx_max = 131072;
    config->rms_norm_eps = 1e-5f;
    config->swiglu_limit = 7.0f;
    config->swiglu_alpha = 1.702f;
    config->rope.theta = 150000;
    config->rope.yarn = true;
    config->rope.factor = 32;
    config->rope.beta_fast = 32;
    config->rope.beta_slow = 1;
    config->rope.n_ctx_original = 4096;
    for (uint32_t i = 0; i < config->n_layers; i++) config->layer_is_sliding[i] = i % 2 == 0;
}

static enum vinci_status read_config(struct model_config *config, const char *path,
                                     struct vinci_error *err)
{
    struct file_map *map = NULL;
    enum vinci_status status = file_map_open(&map, path, err);
    if (status == VINCI_NOT_FOUND)
        return fail(err, status, "%s: no such shape; expected tiny, 20b, 120b or a config.json",
                    path);
    if (status == VINCI_OK)
        status = config_from_json(config, (const char *)map->data, map->size, path, err);
    file_map_close(map);
    return status;
}

static enum vinci_status set_layers(struct model_config *config, uint32_t n_layers,
                                    struct vinci_error *err)
{
    if (n_layers == 0) return VINCI_OK;
    if (n_layers > MAX_LAYERS)
        return fail(err, VINCI_LIMIT, "%" PRIu32 " layers asked for; expected at most %d", n_layers,
                    MAX_LAYERS);
    for (uint32_t i = config->n_layers; i < n_layers; i++)
        config->layer_is_sliding[i] = config->layer_is_sliding[i % config->n_layers];
    config->n_layers = n_layers;
    return VINCI_OK;
}

static enum vinci_status set_shape(struct model_config *config, const char *shape, bool *is_tiny,
                                   struct vinci_error *err)
{
    static const struct {
        const char *name;
        struct model_config config;
    } shapes[] = {
        {"tiny",
         {.n_layers = 2,
          .n_hidden = 64,
          .n_intermediate = 64,
          .n_vocab = 320,
          .n_heads = 4,
          .n_kv_heads = 2,
          .n_experts = 8,
          .sliding_window = 16}},
        {"20b",
         {.n_layers = 24,
          .n_hidden = 2880,
          .n_intermediate = 2880,
          .n_vocab = 201088,
          .n_heads = 64,
          .n_kv_heads = 8,
          .n_experts = 32,
          .sliding_window = 128}},
        {"120b",
         {.n_layers = 36,
          .n_hidden = 2880,
          .n_intermediate = 2880,
          .n_vocab = 201088,
          .n_heads = 64,
          .n_kv_heads = 8,
          .n_experts = 128,
          .sliding_window = 128}},
    };
    *is_tiny = strcmp(shape, "tiny") == 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(shape, shapes[i].name) != 0) continue;
        *config = shapes[i].config;
        set_common(config);
        return VINCI_OK;
    }
    return read_config(config, shape, err);
}

/* ---- tensors ------------------------------------------------------------------------------ */

/* `name` and `gguf` below are without the layer's prefix; layer -1: there is none. */
static struct synth_tensor *add(struct synth *s, int layer, const char *name, const char *gguf,
                                enum synth_kind kind, uint32_t n_rows, uint32_t n_cols, double mean,
                                double std)
{
    struct synth_tensor *t = &s->tensors[s->n_tensors++];
    bool experts = kind == SYNTH_EXPERT_BIAS || kind == SYNTH_EXPERTS;
    *t = (struct synth_tensor){.kind = kind,
                               .n_matrices = experts ? s->config.n_experts : 1,
                               .n_rows = n_rows,
                               .n_cols = n_cols,
                               .mean = (float)mean,
                               .std = (float)std,
                               .first_small_row = UINT32_MAX};
    if (layer < 0) {
        snprintf(t->name, sizeof t->name, "%s", name);
        snprintf(t->gguf_name[0], sizeof *t->gguf_name, "%s", gguf);
    } else {
        snprintf(t->name, sizeof t->name, "model.layers.%d.%s", layer, name);
        snprintf(t->gguf_name[0], sizeof *t->gguf_name, "blk.%d.%s", layer, gguf);
    }
    return t;
}

static void add_linear(struct synth *s, int layer, const char *name, const char *gguf,
                       uint32_t n_rows, uint32_t n_cols, double std, double bias_std)
{
    char full[64], full_gguf[48];
    snprintf(full, sizeof full, "%s.weight", name);
    snprintf(full_gguf, sizeof full_gguf, "%s.weight", gguf);
    add(s, layer, full, full_gguf, SYNTH_MATRIX, n_rows, n_cols, 0, std);
    snprintf(full, sizeof full, "%s.bias", name);
    snprintf(full_gguf, sizeof full_gguf, "%s.bias", gguf);
    add(s, layer, full, full_gguf, SYNTH_VECTOR, n_rows, 1, 0, bias_std);
}

static void add_layer(struct synth *s, int layer)
{
    const struct model_config *c = &s->config;
    uint32_t H = c->n_hidden, I = c->n_intermediate;
    uint32_t n_q = c->n_heads * c->head_dim, n_kv = c->n_kv_heads * c->head_dim;
    double h = 1 / sqrt(H), branch = sqrt(2.0 / c->n_layers);
    add(s, layer, "input_layernorm.weight", "attn_norm.weight", SYNTH_VECTOR, H, 1, 1, .2);
    add_linear(s, layer, "self_attn.q_proj", "attn_q", n_q, H, h, .3);
    add_linear(s, layer, "self_attn.k_proj", "attn_k", n_kv, H, h, .3);
    add_linear(s, layer, "self_attn.v_proj", "attn_v", n_kv, H, 1.2 * h, .2);
    add(s, layer, "self_attn.sinks", "attn_sinks.weight", SYNTH_VECTOR, c->n_heads, 1, 0, 1);
    add_linear(s, layer, "self_attn.o_proj", "attn_output", H, n_q, .8 * branch / sqrt(n_q), .1);
    add(s, layer, "post_attention_layernorm.weight", "post_attention_norm.weight", SYNTH_VECTOR, H,
        1, 1, .2);
    add_linear(s, layer, "mlp.router", "ffn_gate_inp", c->n_experts, H, 2 * h, .3);
    static const char *const parts[2] = {"weight", "bias"};
    for (int bias = 0; bias < 2; bias++) {
        char name[64], gguf[48];
        enum synth_kind kind = bias ? SYNTH_EXPERT_BIAS : SYNTH_EXPERTS;
        const char *suffix = bias ? "_bias" : "";
        snprintf(name, sizeof name, "mlp.experts.gate_up_proj%s", suffix);
        snprintf(gguf, sizeof gguf, "ffn_gate_exps.%s", parts[bias]);
        struct synth_tensor *gate_up =
            add(s, layer, name, gguf, kind, 2 * I, bias ? 1 : H, 0, bias ? .5 : 1.4 * h);
        snprintf(gate_up->gguf_name[1], sizeof *gate_up->gguf_name, "blk.%d.ffn_up_exps.%s", layer,
                 parts[bias]);
        snprintf(name, sizeof name, "mlp.experts.down_proj%s", suffix);
        snprintf(gguf, sizeof gguf, "ffn_down_exps.%s", parts[bias]);
        add(s, layer, name, gguf, kind, H, bias ? 1 : I, 0, bias ? .1 : .15 * branch / sqrt(I));
    }
}

static enum vinci_status plan_tensors(struct synth *s, struct vinci_error *err)
{
    const struct model_config *c = &s->config;
    size_t n_max = 3 + 20 * (size_t)c->n_layers;
    s->tensors = array_new(n_max, sizeof *s->tensors);
    if (!s->tensors) return fail_memory(err, n_max * sizeof *s->tensors, "the list of tensors");
    add(s, -1, "model.embed_tokens.weight", "token_embd.weight", SYNTH_MATRIX, c->n_vocab,
        c->n_hidden, 0, .9);
    for (uint32_t i = 0; i < c->n_layers; i++) add_layer(s, (int)i);
    /* Tied: a norm of both signs keeps a token's own logit from drowning all others. */
    bool tied = c->tied_embeddings;
    add(s, -1, "model.norm.weight", "output_norm.weight", SYNTH_VECTOR, c->n_hidden, 1, !tied,
        tied ? .4 : .2);
    if (tied) return VINCI_OK;
    add(s, -1, "lm_head.weight", "output.weight", SYNTH_MATRIX, c->n_vocab, c->n_hidden, 0,
        3 / sqrt(c->n_hidden))
        ->first_small_row = s->vocab.n_plain;
    return VINCI_OK;
}

static uint64_t count_params(const struct synth *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        const struct synth_tensor *t = &s->tensors[i];
        n += (uint64_t)t->n_matrices * t->n_rows * t->n_cols;
    }
    return n;
}

static uint32_t max_cols(const struct synth *s)
{
    uint32_t max = 0;
    for (size_t i = 0; i < s->n_tensors; i++)
        if (s->tensors[i].n_cols > max) max = s->tensors[i].n_cols;
    return max;
}

enum vinci_status synth_write_rows(struct synth *s, const struct synth_tensor *tensor,
                                   enum dtype dtype, bool scales, uint32_t first, uint32_t step,
                                   struct vinci_error *err)
{
    struct synth_encoder *encoder = malloc(sizeof *encoder);
    if (!encoder) return fail_memory(err, sizeof *encoder, "a tensor's tables");
    enum vinci_status status = synth_encoder_init(encoder, &s->pool, tensor, dtype, err);
    size_t n_bytes = scales ? tensor->n_cols / QUANT_BLOCK : dtype_row_bytes(dtype, tensor->n_cols);
    for (uint32_t matrix = 0; status == VINCI_OK && matrix < tensor->n_matrices; matrix++) {
        for (uint32_t row = first; row < tensor->n_rows; row += step) {
            uint8_t *out = synth_output_room(&s->output, n_bytes);
            if (scales) synth_encode_scales(encoder, matrix, row, out);
            else synth_encode_row(encoder, matrix, row, out);
        }
        status = s->output.status;
    }
    free(encoder);
    return status;
}

/* ---- tokenizer ---------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* folder/name; NULL when memory is short. */
static char *join(const char *folder, const char *name)
{
    struct buf path = {0};
    if (buf_printf(&path, "%s/%s", folder, name)) return path.data;
    buf_free(&path);
    return NULL;
}

/* The vocabulary: of the tokenizer's tokenizer.json, or invented. tiny takes its size from it. */
static enum vinci_status plan_vocab(struct synth *s, bool is_tiny, struct vinci_error *err)
{
    const char *tokenizer = s->options->tokenizer;
    struct vinci_error why;
    if (!tokenizer) return synth_vocab_invent(&s->vocab, s->config.n_vocab, err);
    char *path = is_folder(tokenizer) ? join(tokenizer, "tokenizer.json")
                                      : text_copy(tokenizer, strlen(tokenizer));
    if (!path) return fail_memory(err, strlen(tokenizer), "a path");
    enum vinci_status status = VINCI_OK;
    if (ends_with(path, ".json")) {
        status = synth_vocab_read(&s->vocab, path, is_tiny ? 0 : s->config.n_vocab, &why);
        /* A folder may hold another kind of tokenizer, which can be copied. */
        if (status == VINCI_NOT_FOUND && is_folder(tokenizer) &&
            s->options->format == VINCI_SYNTH_SAFETENSORS)
            status = synth_vocab_invent(&s->vocab, s->config.n_vocab, &why);
    } else if (s->options->format == VINCI_SYNTH_SAFETENSORS && !ends_with(path, ".tiktoken")) {
        status = fail(&why, VINCI_UNSUPPORTED,
                      "%s: expected a .json or .tiktoken file, or a folder with one", path);
    } else if (s->options->format == VINCI_SYNTH_SAFETENSORS) {
        status = synth_vocab_invent(&s->vocab, s->config.n_vocab, &why);
    } else {
        status =
            fail(&why, VINCI_UNSUPPORTED,
                 "%s: expected a tokenizer.json or a folder with one, to embed it in GGUF", path);
    }
    free(path);
    if (status) return fail(err, status, "%s", why.text);
    s->config.n_vocab = s->vocab.n;
    return VINCI_OK;
}

static enum vinci_status copy_file(const char *from, const char *folder, const char *name,
                                   struct vinci_error *err)
{
    struct file_map *map = NULL;
    char *to = join(folder, name);
    if (!to) return fail_memory(err, strlen(name), "a path");
    enum vinci_status status = file_map_open(&map, from, err);
    if (status == VINCI_OK) status = synth_write_file(to, map->data, map->size, err);
    file_map_close(map);
    free(to);
    return status;
}

/* The tokenizer's files of a folder: not its model's. */
static enum vinci_status copy_tokenizer_folder(const char *from, const char *folder,
                                               struct vinci_error *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json",
                                        "special_tokens_map.json", "chat_template.jinja"};
    enum vinci_status status = VINCI_OK;
    size_t n_copied = 0;
    DIR *dir = opendir(from);
    if (!dir) return fail_errno(err, errno, from, "open the folder");
    for (const struct dirent *entry; status == VINCI_OK && (entry = readdir(dir));) {
        bool wanted = ends_with(entry->d_name, ".tiktoken");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            wanted = wanted || strcmp(entry->d_name, names[i]) == 0;
        if (!wanted) continue;
        char *path = join(from, entry->d_name);
        status = path ? copy_file(path, folder, entry->d_name, err)
                      : fail_memory(err, strlen(from), "a path");
        free(path);
        n_copied++;
    }
    closedir(dir);
    if (status == VINCI_OK && n_copied == 0)
        status = fail(
            err, VINCI_NOT_FOUND,
            "%s: expected tokenizer.json or a .tiktoken file in the folder, found neither", from);
    return status;
}

static enum vinci_status copy_tokenizer(const struct synth *s, const char *folder,
                                        struct vinci_error *err)
{
    const char *from = s->options->tokenizer, *slash = from ? strrchr(from, '/') : NULL;
    if (!from) return VINCI_OK;
    if (is_folder(from)) return copy_tokenizer_folder(from, folder, err);
    return copy_file(from, folder,
                     ends_with(from, ".json") ? "tokenizer.json"
                     : slash                  ? slash + 1
                                              : from,
                     err);
}

/* ---- place -------------------------------------------------------------------------------- */

/* The final name without slashes at its end, and the name to write under. */
struct place {
    char *out, *partial;
    bool is_folder;
};

static enum vinci_status place_init(struct place *place, const char *out, bool folder,
                                    struct vinci_error *err)
{
    struct stat st;
    struct buf partial = {0};
    size_t n = strlen(out);
    while (n > 1 && out[n - 1] == '/') n--;
    if (n == 0) return fail(err, VINCI_USAGE, "the name to write to is empty");
    place->is_folder = folder;
    place->out = text_copy(out, n);
    if (!place->out || !buf_printf(&partial, "%s.partial-%ld", place->out, (long)getpid()))
        return fail_memory(err, n, "a path");
    place->partial = partial.data;
    if (lstat(place->out, &st) == 0)
        return fail(err, VINCI_USAGE, "%s: exists already; choose a new name or remove it",
                    place->out);
    if (errno != ENOENT) return fail_errno(err, errno, place->out, "create");
    if (folder && mkdir(place->partial, 0777))
        return fail_errno(err, errno, place->partial, "create the folder");
    return VINCI_OK;
}

/* rename() that replaces nothing, where the file system can do that. */
static enum vinci_status place_publish(const struct place *place, struct vinci_error *err)
{
    int failed = renameat2(AT_FDCWD, place->partial, AT_FDCWD, place->out, RENAME_NOREPLACE);
    if (failed && (errno == EINVAL || errno == ENOSYS)) failed = rename(place->partial, place->out);
    return failed ? fail_errno(err, errno, place->out, "rename to it what was written") : VINCI_OK;
}

static void place_remove(const struct place *place)
{
    DIR *dir = place->is_folder ? opendir(place->partial) : NULL;
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
    if (place->is_folder) rmdir(place->partial);
    else unlink(place->partial);
}

static void place_free(struct place *place)
{
    free(place->out);
    free(place->partial);
}

/* ---- all of it ---------------------------------------------------------------------------- */

static enum vinci_status plan(struct synth *s, struct vinci_error *err)
{
    bool is_tiny;
    const struct vinci_synth_options *o = s->options;
    if (!o->shape || !o->out) return fail(err, VINCI_USAGE, "synth needs a shape and a name");
    enum vinci_status status = set_shape(&s->config, o->shape, &is_tiny, err);
    if (status == VINCI_OK) status = set_layers(&s->config, o->n_layers, err);
    if (status == VINCI_OK) status = plan_vocab(s, is_tiny, err);
    if (status == VINCI_OK) status = config_check(&s->config, o->shape, err);
    if (status == VINCI_OK) status = plan_tensors(s, err);
    if (status == VINCI_OK)
        status = synth_pool_init(&s->pool, o->seed, count_params(s), max_cols(s), err);
    if (status == VINCI_OK) status = synth_output_init(&s->output, o, err);
    return status;
}

enum vinci_status vinci_synth(const struct vinci_synth_options *options, struct vinci_error *err)
{
    struct synth s = {.options = options, .output.fd = -1};
    struct place place = {0};
    bool created = false;
    enum vinci_status status = plan(&s, err);
    if (status) goto cleanup;
    bool folder = options->format == VINCI_SYNTH_SAFETENSORS;
    status = place_init(&place, options->out, folder, err);
    if (status == VINCI_OK && !folder) status = synth_output_open(&s.output, place.partial);
    if (status) goto cleanup;
    created = true;
    status = folder ? synth_write_safetensors(&s, place.partial, err)
                    : synth_write_gguf(&s, place.partial, err);
    if (status == VINCI_OK && folder) status = copy_tokenizer(&s, place.partial, err);
    if (status == VINCI_OK) status = place_publish(&place, err);
cleanup:
    synth_output_free(&s.output); /* closes the file before it is removed */
    if (status && created) place_remove(&place);
    place_free(&place);
    synth_pool_free(&s.pool);
    synth_vocab_free(&s.vocab);
    free(s.tensors);
    return status;
}
