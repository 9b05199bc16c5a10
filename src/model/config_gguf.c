/* config_gguf.c - hyper-parameters from GGUF metadata (`general.architecture` gpt-oss).
 *
 * GGUF leaves some of gpt-oss's constants out; its readers supply them, and so does this one: even
 * layers slide, swiglu limit 7 and alpha 1.702, YaRN betas 32 and 1, and a correction range that is
 * not rounded. The vocabulary's size is the embedding's, which the caller hands in. */
#include "base/gguf_file.h"
#include "model/config.h"

#include <inttypes.h>

/* Keeps the first failure and turns every later look-up into a no-op. */
struct reader {
    const struct gguf_file *file;
    struct vinci_error *err;
    enum vinci_status status;
};

/* Values beyond 32 bits become UINT32_MAX, which every limit of config_check refuses. */
static uint32_t read_u32(struct reader *r, const char *key, bool required, uint32_t fallback)
{
    uint64_t value = fallback;
    if (!r->status) r->status = gguf_read_u64(r->file, key, required, &value, r->err);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static double read_f64(struct reader *r, const char *key, bool required, double fallback)
{
    double value = fallback;
    if (!r->status) r->status = gguf_read_f64(r->file, key, required, &value, r->err);
    return value;
}

static void read_rope(struct reader *r, struct model_config *config)
{
    struct gguf_text type = {"none", 4};
    if (!r->status)
        r->status = gguf_read_text(r->file, "gpt-oss.rope.scaling.type", false, &type, r->err);
    if (r->status) return;
    config->rope.theta = read_f64(r, "gpt-oss.rope.freq_base", false, 150000);
    if (gguf_text_is(type, "yarn")) {
        config->rope.yarn = true;
        config->rope.factor = read_f64(r, "gpt-oss.rope.scaling.factor", true, 1);
        config->rope.n_ctx_original =
            read_u32(r, "gpt-oss.rope.scaling.original_context_length", false, 4096);
        config->rope.beta_fast = read_f64(r, "gpt-oss.rope.scaling.yarn_beta_fast", false, 32);
        config->rope.beta_slow = read_f64(r, "gpt-oss.rope.scaling.yarn_beta_slow", false, 1);
        config->rope.truncate = false;
    } else if (!gguf_text_is(type, "none")) {
        r->status = fail(r->err, VINCI_UNSUPPORTED,
                         "%s: gpt-oss.rope.scaling.type: expected yarn or none, got %.*s",
                         r->file->path, type.n < 32 ? (int)type.n : 32, type.data);
    }
}

enum vinci_status config_from_gguf(struct model_config *config, const struct gguf_file *file,
                                   uint64_t n_vocab, struct vinci_error *err)
{
    *config = (struct model_config){0};
    struct gguf_text architecture = {0};
    enum vinci_status status =
        gguf_read_text(file, "general.architecture", true, &architecture, err);
    if (status) return status;
    if (!gguf_text_is(architecture, "gpt-oss"))
        return fail(
            err, VINCI_UNSUPPORTED,
            "%s: general.architecture: expected gpt-oss, got %.*s; vinci runs gpt-oss models "
            "only",
            file->path, architecture.n < 32 ? (int)architecture.n : 32, architecture.data);

    struct reader r = {file, err, VINCI_OK};
    config->n_layers = read_u32(&r, "gpt-oss.block_count", true, 0);
    config->n_hidden = read_u32(&r, "gpt-oss.embedding_length", true, 0);
    bool has_expert_length = gguf_find(file, "gpt-oss.expert_feed_forward_length") != NULL;
    config->n_intermediate = read_u32(&r,
                                      has_expert_length ? "gpt-oss.expert_feed_forward_length"
                                                        : "gpt-oss.feed_forward_length",
                                      true, 0);
    config->n_vocab = n_vocab > UINT32_MAX ? UINT32_MAX : (uint32_t)n_vocab;
    config->n_heads = read_u32(&r, "gpt-oss.attention.head_count", true, 0);
    config->n_kv_heads = read_u32(&r, "gpt-oss.attention.head_count_kv", true, 0);
    config->head_dim = read_u32(&r, "gpt-oss.attention.key_length", false, 64);
    uint32_t value_length = read_u32(&r, "gpt-oss.attention.value_length", false, config->head_dim);
    config->n_experts = read_u32(&r, "gpt-oss.expert_count", true, 0);
    config->n_experts_used = read_u32(&r, "gpt-oss.expert_used_count", true, 0);
    config->sliding_window = read_u32(&r, "gpt-oss.attention.sliding_window", true, 0);
    config->n_ctx_max = read_u32(&r, "gpt-oss.context_length", true, 0);
    config->rms_norm_eps = (float)read_f64(&r, "gpt-oss.attention.layer_norm_rms_epsilon", true, 0);
    config->swiglu_limit = 7.0f;
    config->swiglu_alpha = 1.702f;
    for (uint32_t i = 0; i < config->n_layers && i < MAX_LAYERS; i++)
        config->layer_is_sliding[i] = i % 2 == 0;
    read_rope(&r, config);
    if (r.status) return r.status;
    if (value_length != config->head_dim)
        return fail(err, VINCI_UNSUPPORTED,
                    "%s: gpt-oss.attention.value_length: expected that of the keys (%" PRIu32
                    "), got %" PRIu32,
                    file->path, config->head_dim, value_length);
    return config_check(config, file->path, err);
}
