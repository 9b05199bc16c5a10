/* synth_safetensors.c - the Hugging Face layout: config.json, generation_config.json, and
 * model.safetensors or shards with their index. */
#include "model/json_document.h"
#include "model/synth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A tensor of the file; experts are two, their blocks and their scales. */
struct entry {
    const struct synth_tensor *tensor;
    bool scales;
    uint64_t n_bytes;
    uint32_t shard;
};

struct layout {
    struct entry *entries; /* [n] */
    size_t n;
    uint32_t n_shards;
};

/* Shards are filled in order; a tensor larger than a shard has one of its own. */
static enum vinci_status plan_layout(struct layout *layout, const struct synth *s,
                                     struct vinci_error *err)
{
    *layout = (struct layout){0};
    layout->entries = array_new(2 * s->n_tensors, sizeof *layout->entries);
    if (!layout->entries) return fail_memory(err, 2 * s->n_tensors, "the list of tensors");
    uint64_t shard_max = s->options->shard_bytes ? s->options->shard_bytes : UINT64_MAX, used = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        const struct synth_tensor *t = &s->tensors[i];
        uint64_t n_rows = (uint64_t)t->n_matrices * t->n_rows; /* limits: bytes stay below 2^52 */
        for (int scales = 0; scales <= (t->kind == SYNTH_EXPERTS); scales++) {
            uint64_t row = scales                     ? t->n_cols / QUANT_BLOCK
                           : t->kind == SYNTH_EXPERTS ? dtype_row_bytes(DTYPE_MXFP4, t->n_cols)
                                                      : dtype_row_bytes(DTYPE_BF16, t->n_cols);
            if (used > 0 && used + n_rows * row > shard_max) {
                layout->n_shards++;
                used = 0;
            }
            used += n_rows * row;
            layout->entries[layout->n++] =
                (struct entry){t, scales, n_rows * row, layout->n_shards};
        }
    }
    layout->n_shards++;
    if (layout->n_shards <= 99999) return VINCI_OK;
    return fail(err, VINCI_LIMIT,
                "shards of %" PRIu64 " bytes would be %" PRIu32 " files; expected at most 99999",
                s->options->shard_bytes, layout->n_shards);
}

static const char *suffix(const struct entry *e)
{
    return e->scales ? "_scales" : e->tensor->kind == SYNTH_EXPERTS ? "_blocks" : "";
}

static void shard_name(const struct layout *layout, uint32_t shard, char name[64])
{
    if (layout->n_shards == 1) snprintf(name, 64, "model.safetensors");
    else
        snprintf(name, 64, "model-%05" PRIu32 "-of-%05" PRIu32 ".safetensors", shard + 1,
                 layout->n_shards);
}

static bool add_shape(struct buf *header, const struct entry *e)
{
    const struct synth_tensor *t = e->tensor;
    switch (t->kind) {
    case SYNTH_VECTOR: return buf_printf(header, "%" PRIu32, t->n_rows);
    case SYNTH_MATRIX: return buf_printf(header, "%" PRIu32 ",%" PRIu32, t->n_rows, t->n_cols);
    case SYNTH_EXPERT_BIAS:
        return buf_printf(header, "%" PRIu32 ",%" PRIu32, t->n_matrices, t->n_rows);
    default:
        return buf_printf(header, "%" PRIu32 ",%" PRIu32 ",%" PRIu32 "%s", t->n_matrices, t->n_rows,
                          t->n_cols / QUANT_BLOCK, e->scales ? "" : ",16");
    }
}

/* The 8 bytes of length and the JSON, padded to a multiple of 8 bytes. */
static enum vinci_status make_header(struct buf *header, const struct layout *layout,
                                     uint32_t shard, struct vinci_error *err)
{
    uint64_t offset = 0, length = 0;
    bool ok = buf_append(header, &length, sizeof length) &&
              buf_append_text(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; ok && i < layout->n; i++) {
        const struct entry *e = &layout->entries[i];
        if (e->shard != shard) continue;
        const char *dtype = e->tensor->kind == SYNTH_EXPERTS ? "U8" : "BF16";
        ok = buf_printf(header, ",\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", e->tensor->name,
                        suffix(e), dtype) &&
             add_shape(header, e) &&
             buf_printf(header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset,
                        offset + e->n_bytes);
        offset += e->n_bytes;
    }
    ok = ok && buf_append_text(header, "}");
    while (ok && header->size % 8) ok = buf_append_text(header, " ");
    if (!ok) return fail_memory(err, header->size, "a safetensors header");
    length = header->size - sizeof length;
    memcpy(header->data, &length, sizeof length);
    return VINCI_OK;
}

/* Model files, small files and a margin. */
static enum vinci_status count_bytes(struct synth *s, const struct layout *layout,
                                     struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    for (size_t i = 0; i < layout->n; i++) s->output.total += layout->entries[i].n_bytes;
    for (uint32_t shard = 0; status == VINCI_OK && shard < layout->n_shards; shard++) {
        struct buf header = {0};
        status = make_header(&header, layout, shard, err);
        s->output.total += header.size;
        buf_free(&header);
    }
    return status;
}

static enum vinci_status write_shard(struct synth *s, const struct layout *layout, uint32_t shard,
                                     const char *folder, struct vinci_error *err)
{
    struct buf header = {0}, path = {0};
    char name[64];
    shard_name(layout, shard, name);
    enum vinci_status status = make_header(&header, layout, shard, err);
    if (status == VINCI_OK && !buf_printf(&path, "%s/%s", folder, name))
        status = fail_memory(err, strlen(folder), "a path");
    if (status == VINCI_OK) status = synth_output_open(&s->output, path.data);
    if (status == VINCI_OK) synth_output_write(&s->output, header.data, header.size);
    for (size_t i = 0; status == VINCI_OK && i < layout->n; i++) {
        const struct entry *e = &layout->entries[i];
        enum dtype dtype = e->tensor->kind == SYNTH_EXPERTS ? DTYPE_MXFP4 : DTYPE_BF16;
        if (e->shard == shard) status = synth_write_rows(s, e->tensor, dtype, e->scales, 0, 1, err);
    }
    if (status == VINCI_OK) status = synth_output_close(&s->output);
    buf_free(&header);
    buf_free(&path);
    return status;
}

/* ---- the small files ---------------------------------------------------------------------- */

static enum vinci_status write_text(const char *folder, const char *name, const char *text,
                                    size_t n, struct vinci_error *err)
{
    struct buf path = {0};
    if (!buf_printf(&path, "%s/%s", folder, name))
        return fail_memory(err, strlen(folder), "a path");
    enum vinci_status status = synth_write_file(path.data, text, n, err);
    buf_free(&path);
    return status;
}

/* json_dumps can lose a piece of the text without saying so when memory is short. */
struct json_text {
    struct buf buf;
    bool failed;
};

static int append_json(const char *piece, size_t n, void *user)
{
    struct json_text *text = user;
    if (!buf_append(&text->buf, piece, n)) text->failed = true;
    return text->failed ? -1 : 0;
}

/* Consumes `root`, which may be NULL for want of memory. */
static enum vinci_status write_json(json_t *root, const char *folder, const char *name,
                                    struct vinci_error *err)
{
    struct json_text text = {0};
    bool ok = root &&
              json_dump_callback(root, append_json, &text,
                                 JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
              !text.failed && buf_append_text(&text.buf, "\n");
    enum vinci_status status = ok ? write_text(folder, name, text.buf.data, text.buf.size, err)
                                  : fail_memory(err, 0, name);
    buf_free(&text.buf);
    json_decref(root);
    return status;
}

/* The decimal number that was meant by a float: 1e-05, not 9.99999975e-06. */
static double shortest(float x)
{
    char text[32];
    for (int digits = 1; digits < 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) return strtod(text, NULL);
    }
    return (double)x;
}

static json_t *rope_json(const struct model_config *c)
{
    if (!c->rope.yarn) return json_pack("{s:s}", "rope_type", "default");
    return json_pack("{s:f, s:f, s:f, s:i, s:s, s:b}", "beta_fast", c->rope.beta_fast, "beta_slow",
                     c->rope.beta_slow, "factor", c->rope.factor,
                     "original_max_position_embeddings", (int)c->rope.n_ctx_original, "rope_type",
                     "yarn", "truncate", (int)c->rope.truncate);
}

static json_t *layer_types_json(const struct model_config *c)
{
    json_t *types = json_array();
    for (uint32_t i = 0; types && i < c->n_layers; i++)
        if (json_array_append_new(types, json_string(c->layer_is_sliding[i] ? "sliding_attention"
                                                                            : "full_attention"))) {
            json_decref(types);
            return NULL;
        }
    return types;
}

/* An id, or null where the vocabulary has none. */
static json_t *id_json(int64_t id)
{
    return id < 0 ? json_null() : json_integer(id);
}

static json_t *config_json(const struct synth *s)
{
    const struct model_config *c = &s->config;
    return json_pack(
        "{s:[s], s:b, s:f, s:o, s:i, s:i, s:s, s:i, s:i, s:f, s:i, s:o, s:i, s:s, s:i, s:i, s:i, "
        "s:i, s:i, s:o, s:{s:[s,s,s,s], s:s}, s:f, s:o, s:f, s:i, s:f, s:f, s:b, s:b, s:i}",
        "architectures", "GptOssForCausalLM", "attention_bias", 1, "attention_dropout", 0.0,
        "eos_token_id", id_json(s->vocab.eos), "experts_per_token", (int)c->n_experts_used,
        "head_dim", (int)c->head_dim, "hidden_act", "silu", "hidden_size", (int)c->n_hidden,
        "initial_context_length", (int)(c->rope.yarn ? c->rope.n_ctx_original : c->n_ctx_max),
        "initializer_range", 0.02, "intermediate_size", (int)c->n_intermediate, "layer_types",
        layer_types_json(c), "max_position_embeddings", (int)c->n_ctx_max, "model_type", "gpt_oss",
        "num_attention_heads", (int)c->n_heads, "num_experts_per_tok", (int)c->n_experts_used,
        "num_hidden_layers", (int)c->n_layers, "num_key_value_heads", (int)c->n_kv_heads,
        "num_local_experts", (int)c->n_experts, "pad_token_id", id_json(s->vocab.pad),
        "quantization_config", "modules_to_not_convert", "model.layers.*.self_attn",
        "model.layers.*.mlp.router", "model.embed_tokens", "lm_head", "quant_method", "mxfp4",
        "rms_norm_eps", shortest(c->rms_norm_eps), "rope_scaling", rope_json(c), "rope_theta",
        c->rope.theta, "sliding_window", (int)c->sliding_window, "swiglu_alpha",
        shortest(c->swiglu_alpha), "swiglu_limit", shortest(c->swiglu_limit), "tie_word_embeddings",
        (int)c->tied_embeddings, "use_cache", 1, "vocab_size", (int)c->n_vocab);
}

static json_t *generation_config_json(const struct synth *s)
{
    const int64_t stops[] = {s->vocab.eos, s->vocab.pad, s->vocab.call};
    json_t *eos = json_array();
    for (size_t i = 0; i < 3; i++)
        if (stops[i] >= 0 && json_array_append_new(eos, json_integer(stops[i]))) {
            json_decref(eos);
            return NULL;
        }
    return json_pack("{s:o, s:b, s:o, s:o}", "bos_token_id", id_json(s->vocab.bos), "do_sample", 1,
                     "eos_token_id", eos, "pad_token_id", id_json(s->vocab.pad));
}

static enum vinci_status write_index(const struct layout *layout, const char *folder,
                                     struct vinci_error *err)
{
    struct buf text = {0};
    uint64_t total = 0;
    for (size_t i = 0; i < layout->n; i++) total += layout->entries[i].n_bytes;
    bool ok = buf_printf(
        &text, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n  \"weight_map\": {",
        total);
    for (size_t i = 0; ok && i < layout->n; i++) {
        const struct entry *e = &layout->entries[i];
        char name[64];
        shard_name(layout, e->shard, name);
        ok = buf_printf(&text, "%s\n    \"%s%s\": \"%s\"", i ? "," : "", e->tensor->name, suffix(e),
                        name);
    }
    ok = ok && buf_append_text(&text, "\n  }\n}\n");
    enum vinci_status status =
        ok ? write_text(folder, "model.safetensors.index.json", text.data, text.size, err)
           : fail_memory(err, text.size, "the index of the shards");
    buf_free(&text);
    return status;
}

enum vinci_status synth_write_safetensors(struct synth *s, const char *folder,
                                          struct vinci_error *err)
{
    struct layout layout;
    enum vinci_status status = plan_layout(&layout, s, err);
    if (status == VINCI_OK) status = count_bytes(s, &layout, err);
    if (status == VINCI_OK) status = synth_check_space(folder, s->output.total, err);
    if (status == VINCI_OK) status = write_json(config_json(s), folder, "config.json", err);
    if (status == VINCI_OK)
        status = write_json(generation_config_json(s), folder, "generation_config.json", err);
    for (uint32_t shard = 0; status == VINCI_OK && shard < layout.n_shards; shard++)
        status = write_shard(s, &layout, shard, folder, err);
    if (status == VINCI_OK && layout.n_shards > 1) status = write_index(&layout, folder, err);
    free(layout.entries);
    return status;
}
