/* synth_gguf.c - GGUF version 3: metadata, tensor descriptions, then the data, every tensor at a
 * multiple of 32 bytes. Experts are MXFP4, vectors and the router F32, other matrices as asked for.
 *
 * GGUF has no words for some of what config.json can say; a shape that differs from gpt-oss there
 * is refused, since a reader would run another model. */
#include "base/lang.h"
#include "model/synth.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ALIGNMENT = 32, FILE_TYPE_MXFP4 = 38 };

enum gguf_value { VALUE_U32 = 4, VALUE_I32 = 5, VALUE_F32 = 6, VALUE_TEXT = 8, VALUE_ARRAY = 9 };

/* A tensor of the file: a tensor of ours, or every second row of one. */
struct entry {
    const struct synth_tensor *tensor;
    const char *name;
    enum dtype dtype;
    uint32_t first, step;
    uint64_t n_bytes;
};

/* ---- header ------------------------------------------------------------------------------- */

/* Collects the header; the first append that finds no memory stays. */
struct header {
    struct buf buf;
    uint64_t n_values;
    bool failed;
};

static void put(struct header *h, const void *data, size_t n)
{
    if (!h->failed && !buf_append(&h->buf, data, n)) h->failed = true;
}

static void put_u32(struct header *h, uint32_t x)
{
    put(h, &x, sizeof x);
}

static void put_u64(struct header *h, uint64_t x)
{
    put(h, &x, sizeof x);
}

static void put_text(struct header *h, const char *text)
{
    put_u64(h, strlen(text));
    put(h, text, strlen(text));
}

static void begin_value(struct header *h, const char *key, enum gguf_value type)
{
    h->n_values++;
    put_text(h, key);
    put_u32(h, type);
}

static void add_u32(struct header *h, const char *key, uint32_t x)
{
    begin_value(h, key, VALUE_U32);
    put_u32(h, x);
}

static void add_f32(struct header *h, const char *key, float x)
{
    begin_value(h, key, VALUE_F32);
    put_u32(h, bits_from_float(x));
}

static void add_text(struct header *h, const char *key, const char *text)
{
    begin_value(h, key, VALUE_TEXT);
    put_text(h, text);
}

static void add_array(struct header *h, const char *key, enum gguf_value type, uint64_t n)
{
    begin_value(h, key, VALUE_ARRAY);
    put_u32(h, type);
    put_u64(h, n);
}

static void add_model(struct header *h, const struct model_config *c)
{
    add_text(h, "general.architecture", "gpt-oss");
    add_text(h, "general.type", "model");
    add_text(h, "general.name", "gpt-oss synthetic");
    add_u32(h, "general.file_type", FILE_TYPE_MXFP4);
    add_u32(h, "gpt-oss.block_count", c->n_layers);
    add_u32(h, "gpt-oss.context_length", c->n_ctx_max);
    add_u32(h, "gpt-oss.embedding_length", c->n_hidden);
    add_u32(h, "gpt-oss.feed_forward_length", c->n_intermediate);
    add_u32(h, "gpt-oss.attention.head_count", c->n_heads);
    add_u32(h, "gpt-oss.attention.head_count_kv", c->n_kv_heads);
    add_f32(h, "gpt-oss.rope.freq_base", (float)c->rope.theta);
    add_f32(h, "gpt-oss.attention.layer_norm_rms_epsilon", c->rms_norm_eps);
    add_u32(h, "gpt-oss.expert_count", c->n_experts);
    add_u32(h, "gpt-oss.expert_used_count", c->n_experts_used);
    add_u32(h, "gpt-oss.attention.key_length", c->head_dim);
    add_u32(h, "gpt-oss.attention.value_length", c->head_dim);
    add_u32(h, "gpt-oss.attention.sliding_window", c->sliding_window);
    add_u32(h, "gpt-oss.expert_feed_forward_length", c->n_intermediate);
    if (c->rope.yarn) {
        add_text(h, "gpt-oss.rope.scaling.type", "yarn");
        add_f32(h, "gpt-oss.rope.scaling.factor", (float)c->rope.factor);
        add_u32(h, "gpt-oss.rope.scaling.original_context_length", c->rope.n_ctx_original);
    }
    add_u32(h, "general.quantization_version", 2);
}

static void add_vocab(struct header *h, const struct synth_vocab *v)
{
    add_text(h, "tokenizer.ggml.model", "gpt2");
    add_text(h, "tokenizer.ggml.pre", "gpt-4o");
    add_array(h, "tokenizer.ggml.tokens", VALUE_TEXT, v->n);
    for (uint32_t i = 0; i < v->n; i++) put_text(h, v->texts[i]);
    add_array(h, "tokenizer.ggml.token_type", VALUE_I32, v->n);
    for (uint32_t i = 0; i < v->n; i++) put_u32(h, v->types[i]);
    add_array(h, "tokenizer.ggml.merges", VALUE_TEXT, v->n_merges);
    for (size_t i = 0; i < v->n_merges; i++) put_text(h, v->merges[i]);
    if (v->bos >= 0) add_u32(h, "tokenizer.ggml.bos_token_id", (uint32_t)v->bos);
    if (v->eos >= 0) add_u32(h, "tokenizer.ggml.eos_token_id", (uint32_t)v->eos);
    if (v->pad >= 0) add_u32(h, "tokenizer.ggml.padding_token_id", (uint32_t)v->pad);
}

static uint32_t gguf_type(enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_F16: return 1;
    case DTYPE_Q8_0: return 8;
    case DTYPE_BF16: return 30;
    case DTYPE_MXFP4_GGUF: return 39;
    default: return 0; /* F32 */
    }
}

/* Innermost dimension first. */
static void add_entry(struct header *h, const struct entry *e, uint64_t offset)
{
    const struct synth_tensor *t = e->tensor;
    uint64_t n_rows = t->n_rows / e->step;
    put_text(h, e->name);
    switch (t->kind) {
    case SYNTH_VECTOR:
        put_u32(h, 1);
        put_u64(h, n_rows);
        break;
    case SYNTH_MATRIX:
        put_u32(h, 2);
        put_u64(h, t->n_cols);
        put_u64(h, n_rows);
        break;
    case SYNTH_EXPERT_BIAS:
        put_u32(h, 2);
        put_u64(h, n_rows);
        put_u64(h, t->n_matrices);
        break;
    case SYNTH_EXPERTS:
        put_u32(h, 3);
        put_u64(h, t->n_cols);
        put_u64(h, n_rows);
        put_u64(h, t->n_matrices);
        break;
    }
    put_u32(h, gguf_type(e->dtype));
    put_u64(h, offset);
}

/* Magic, version, counts, metadata, descriptions, padding. */
static enum vinci_status make_header(struct buf *out, const struct synth *s,
                                     const struct entry *entries, size_t n, struct vinci_error *err)
{
    struct header h = {0}, values = {0};
    add_model(&values, &s->config);
    add_vocab(&values, &s->vocab);
    put(&h, "GGUF", 4);
    put_u32(&h, 3);
    put_u64(&h, n);
    put_u64(&h, values.n_values);
    put(&h, values.buf.data, values.buf.size);
    uint64_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        add_entry(&h, &entries[i], offset);
        offset = round_up(offset + entries[i].n_bytes, ALIGNMENT);
    }
    static const uint8_t zeros[ALIGNMENT];
    put(&h, zeros, round_up(h.buf.size, ALIGNMENT) - h.buf.size);
    bool failed = h.failed || values.failed;
    buf_free(&values.buf);
    if (failed) {
        buf_free(&h.buf);
        return fail_memory(err, 0, "the GGUF header");
    }
    *out = h.buf;
    return VINCI_OK;
}

/* ---- file --------------------------------------------------------------------------------- */

static enum vinci_status check_config(const struct synth *s, struct vinci_error *err)
{
    const struct model_config *c = &s->config;
    const char *shape = s->options->shape, *what = NULL;
    for (uint32_t i = 0; i < c->n_layers; i++)
        if (c->layer_is_sliding[i] != (i % 2 == 0)) what = _("layer_types that do not alternate");
    if (c->rope.yarn && c->rope.truncate) what = _("rope_scaling with truncate true");
    if (c->rope.yarn && (c->rope.beta_fast != 32 || c->rope.beta_slow != 1))
        what = _("rope_scaling with other betas than 32 and 1");
    if (c->swiglu_limit != 7.0f || c->swiglu_alpha != 1.702f)
        what = _("another swiglu limit than 7 or alpha than 1.702");
    if (!what) return VINCI_OK;
    return fail(err, VINCI_UNSUPPORTED, "%s: GGUF cannot express %s; write safetensors", shape,
                what);
}

static enum vinci_status dense_dtype(const struct synth *s, enum dtype *dtype,
                                     struct vinci_error *err)
{
    static const struct {
        const char *name;
        enum dtype dtype;
    } names[] = {
        {"q8_0", DTYPE_Q8_0}, {"bf16", DTYPE_BF16}, {"f16", DTYPE_F16}, {"f32", DTYPE_F32}};
    const char *wanted = s->options->gguf_dense ? s->options->gguf_dense : "q8_0";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(wanted, names[i].name) != 0) continue;
        *dtype = names[i].dtype;
        uint32_t n_q = s->config.n_heads * s->config.head_dim;
        if (*dtype == DTYPE_Q8_0 && n_q % QUANT_BLOCK)
            return fail(err, VINCI_UNSUPPORTED,
                        "%s: q8_0 wants rows of blocks of 32, and heads x head_dim is %" PRIu32
                        "; choose bf16, f16 or f32",
                        s->options->shape, n_q);
        return VINCI_OK;
    }
    return fail(err, VINCI_USAGE, "gguf_dense is %s; expected q8_0, bf16, f16 or f32", wanted);
}

static bool is_router(const struct synth_tensor *t)
{
    return strstr(t->name, ".mlp.router.") != NULL;
}

static size_t plan_entries(const struct synth *s, enum dtype dense, struct entry *entries)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        const struct synth_tensor *t = &s->tensors[i];
        enum dtype dtype = t->kind == SYNTH_EXPERTS                   ? DTYPE_MXFP4_GGUF
                           : t->kind == SYNTH_MATRIX && !is_router(t) ? dense
                                                                      : DTYPE_F32;
        uint32_t n_parts = t->gguf_name[1][0] ? 2 : 1;
        uint64_t n_bytes =
            (uint64_t)t->n_matrices * (t->n_rows / n_parts) * dtype_row_bytes(dtype, t->n_cols);
        for (uint32_t part = 0; part < n_parts; part++)
            entries[n++] = (struct entry){t, t->gguf_name[part], dtype, part, n_parts, n_bytes};
    }
    return n;
}

enum vinci_status synth_write_gguf(struct synth *s, const char *path, struct vinci_error *err)
{
    struct buf header = {0};
    enum dtype dense = DTYPE_Q8_0;
    struct entry *entries = NULL;
    size_t n = 0;
    enum vinci_status status = check_config(s, err);
    if (status == VINCI_OK) status = dense_dtype(s, &dense, err);
    if (status) return status;
    entries = array_new(2 * s->n_tensors, sizeof *entries);
    if (!entries)
        return fail_memory(err, 2 * s->n_tensors * sizeof *entries, "the list of tensors");
    n = plan_entries(s, dense, entries);
    if ((status = make_header(&header, s, entries, n, err))) goto cleanup;
    s->output.total = header.size;
    for (size_t i = 0; i < n; i++) s->output.total += round_up(entries[i].n_bytes, ALIGNMENT);
    if ((status = synth_check_space(path, s->output.total, err))) goto cleanup;
    synth_output_write(&s->output, header.data, header.size);
    for (size_t i = 0; status == VINCI_OK && i < n; i++) {
        const struct entry *e = &entries[i];
        status = synth_write_rows(s, e->tensor, e->dtype, false, e->first, e->step, err);
        synth_output_zeros(&s->output, round_up(e->n_bytes, ALIGNMENT) - e->n_bytes);
    }
    if (status == VINCI_OK) status = synth_output_close(&s->output);
cleanup:
    free(entries);
    buf_free(&header);
    return status;
}
