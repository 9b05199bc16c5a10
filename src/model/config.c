/* config.c - hyper-parameters from config.json, and the limits that hold wherever they come from.
 *
 * Two styles of config.json are read: Hugging Face's (`model_type` "gpt_oss", with `rope_scaling`
 * and `rope_theta` or the newer `rope_parameters`) and OpenAI's own (`num_experts`,
 * `rope_ntk_alpha`). A field that decides the shape must be there; the others default to what the
 * reference implementation (transformers' GptOssConfig) takes. null counts as left out.
 *
 * The reader keeps the first failure and turns every later look-up into a no-op, so that the lists
 * of fields below read as lists. */
#include "model/config.h"

#include "base/lang.h"

#include "model/formats.h"
#include "model/json_document.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct reader {
    const json_t *object;
    const char *path;
    struct vinci_error *err;
    enum vinci_status status; /* of the first failure */
};

static const json_t *field(const struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->object, key);
    return json_is_null(value) ? NULL : value;
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return _("an object");
    case JSON_ARRAY: return _("an array");
    case JSON_STRING: return _("a string");
    case JSON_INTEGER: return _("an integer");
    case JSON_REAL: return _("a fraction");
    default: return _("true, false or null");
    }
}

static uint32_t optional_u32(struct reader *r, const char *key, uint32_t fallback)
{
    const json_t *value = field(r, key);
    if (r->status || !value) return fallback;
    if (!json_is_integer(value)) {
        r->status = fail(r->err, VINCI_BAD_FILE, "%s: %s: expected an integer, got %s", r->path,
                         key, type_name(value));
        return fallback;
    }
    json_int_t x = json_integer_value(value);
    if (x < 0 || x > UINT32_MAX) {
        r->status = fail(r->err, VINCI_BAD_FILE,
                         "%s: %s: expected an integer from 0 to %" PRIu32 ", got %" PRId64, r->path,
                         key, UINT32_MAX, (int64_t)x);
        return fallback;
    }
    return (uint32_t)x;
}

static void require(struct reader *r, const char *key)
{
    if (!r->status && !field(r, key))
        r->status = fail(r->err, VINCI_BAD_FILE,
                         "%s: %s is missing; expected gpt-oss's config.json with all its fields",
                         r->path, key);
}

static uint32_t required_u32(struct reader *r, const char *key)
{
    require(r, key);
    return optional_u32(r, key, 0);
}

static double optional_f64(struct reader *r, const char *key, double fallback)
{
    const json_t *value = field(r, key);
    if (r->status || !value) return fallback;
    if (!json_is_number(value)) {
        r->status = fail(r->err, VINCI_BAD_FILE, "%s: %s: expected a number, got %s", r->path, key,
                         type_name(value));
        return fallback;
    }
    return json_number_value(value);
}

/* A text of the file, for a message. */
static const char *shown(const json_t *value)
{
    if (!value) return _("none");
    return json_is_string(value) ? json_string_value(value) : type_name(value);
}

static bool optional_bool(struct reader *r, const char *key, bool fallback)
{
    const json_t *value = field(r, key);
    if (r->status || !value) return fallback;
    if (!json_is_boolean(value))
        r->status = fail(r->err, VINCI_BAD_FILE, "%s: %s: expected true or false, got %s", r->path,
                         key, type_name(value));
    return json_is_true(value);
}

static const json_t *optional_object(struct reader *r, const char *key)
{
    const json_t *value = field(r, key);
    if (r->status || !value) return NULL;
    if (!json_is_object(value))
        r->status = fail(r->err, VINCI_BAD_FILE, "%s: %s: expected an object, got %s", r->path, key,
                         type_name(value));
    return value;
}

/* ---- Hugging Face ------------------------------------------------------------------------- */

/* vinci computes the factor on cos and sin from `factor`; a file that asks for another one would
 * give wrong results silently. */
static void check_yarn_attention_factor(struct reader *rope, double factor)
{
    double expected = 0.1 * log(factor) + 1.0;
    double got = optional_f64(rope, "attention_factor", expected);
    if (rope->status) return;
    if (fabs(got - expected) > 1e-6 * expected)
        rope->status = fail(rope->err, VINCI_UNSUPPORTED,
                            "%s: rope attention_factor: expected 0.1 ln(factor) + 1 = %g, got %g",
                            rope->path, expected, got);
    else if (field(rope, "mscale") || field(rope, "mscale_all_dim"))
        rope->status = fail(rope->err, VINCI_UNSUPPORTED,
                            "%s: rope mscale: expected none, as in gpt-oss's files", rope->path);
}

static void read_rope(struct reader *r, struct model_config *config)
{
    const json_t *object = optional_object(r, "rope_parameters");
    if (!object) object = optional_object(r, "rope_scaling");
    double theta = optional_f64(r, "rope_theta", 150000);
    uint32_t n_ctx_original = optional_u32(r, "initial_context_length", 4096);
    if (r->status) return;
    config->rope.theta = theta;
    if (!object) { /* the reference's defaults: GPT-OSS's own YaRN */
        config->rope.yarn = true;
        config->rope.factor = 32;
        config->rope.beta_fast = 32;
        config->rope.beta_slow = 1;
        config->rope.n_ctx_original = 4096;
        config->rope.truncate = false;
        return;
    }
    struct reader rope = {object, r->path, r->err, VINCI_OK};
    const json_t *type = field(&rope, "rope_type");
    if (!type) type = field(&rope, "type");
    const char *name = type ? json_string_value(type) : "default";
    config->rope.theta = optional_f64(&rope, "rope_theta", theta);
    if (name && strcmp(name, "yarn") == 0) {
        config->rope.yarn = true;
        require(&rope, "factor");
        config->rope.factor = optional_f64(&rope, "factor", 1);
        config->rope.beta_fast = optional_f64(&rope, "beta_fast", 32);
        config->rope.beta_slow = optional_f64(&rope, "beta_slow", 1);
        config->rope.n_ctx_original =
            optional_u32(&rope, "original_max_position_embeddings", n_ctx_original);
        config->rope.truncate = optional_bool(&rope, "truncate", true);
        check_yarn_attention_factor(&rope, config->rope.factor);
    } else if (!name || strcmp(name, "default") != 0) {
        rope.status =
            fail(rope.err, VINCI_UNSUPPORTED, "%s: rope_type: expected yarn or default, got %s",
                 rope.path, shown(type));
    }
    r->status = rope.status;
}

static void read_layer_types(struct reader *r, struct model_config *config)
{
    const json_t *types = field(r, "layer_types");
    if (r->status || config->n_layers > MAX_LAYERS) return; /* config_check will say so */
    if (!types) {
        for (uint32_t i = 0; i < config->n_layers; i++) config->layer_is_sliding[i] = i % 2 == 0;
        return;
    }
    if (!json_is_array(types) || json_array_size(types) != config->n_layers) {
        r->status =
            fail(r->err, VINCI_BAD_FILE,
                 "%s: layer_types: expected %" PRIu32 " entries (num_hidden_layers), got %zu",
                 r->path, config->n_layers, json_array_size(types));
        return;
    }
    for (uint32_t i = 0; i < config->n_layers; i++) {
        const json_t *type = json_array_get(types, i);
        const char *name = json_is_string(type) ? json_string_value(type) : "";
        bool sliding = strcmp(name, "sliding_attention") == 0;
        if (!sliding && strcmp(name, "full_attention") != 0) {
            r->status = fail(r->err, VINCI_BAD_FILE,
                             "%s: layer_types[%" PRIu32
                             "]: expected sliding_attention or full_attention, got %s",
                             r->path, i, shown(type));
            return;
        }
        config->layer_is_sliding[i] = sliding;
    }
}

/* Fields that say how the model computes and that no gpt-oss file has otherwise: to ignore another
 * value would be to compute something else. */
static void expect_gpt_oss(struct reader *r)
{
    const json_t *act = field(r, "hidden_act"), *quantised = field(r, "quantization_config");
    const json_t *method = quantised ? json_object_get(quantised, "quant_method") : NULL;
    const char *wrong = NULL, *expected = NULL;
    const json_t *got = NULL;
    if (act && (!json_is_string(act) || strcmp(json_string_value(act), "silu") != 0))
        wrong = "hidden_act", expected = "silu", got = act;
    if (method && (!json_is_string(method) || strcmp(json_string_value(method), "mxfp4") != 0))
        wrong = "quantization_config.quant_method", expected = "mxfp4", got = method;
    if (wrong && !r->status)
        r->status = fail(r->err, VINCI_UNSUPPORTED, "%s: %s: expected %s, got %s", r->path, wrong,
                         expected, shown(got));
}

static void read_huggingface(struct reader *r, struct model_config *config)
{
    expect_gpt_oss(r);
    config->n_layers = required_u32(r, "num_hidden_layers");
    config->n_hidden = required_u32(r, "hidden_size");
    config->n_intermediate = required_u32(r, "intermediate_size");
    config->n_vocab = required_u32(r, "vocab_size");
    config->n_heads = required_u32(r, "num_attention_heads");
    config->n_kv_heads = required_u32(r, "num_key_value_heads");
    config->head_dim = optional_u32(r, "head_dim", 64);
    config->n_experts = required_u32(r, "num_local_experts");
    config->n_experts_used = field(r, "num_experts_per_tok")
                                 ? required_u32(r, "num_experts_per_tok")
                                 : required_u32(r, "experts_per_token");
    config->sliding_window = optional_u32(r, "sliding_window", 128);
    config->n_ctx_max = optional_u32(r, "max_position_embeddings", 131072);
    config->tied_embeddings = optional_bool(r, "tie_word_embeddings", false);
    config->rms_norm_eps = (float)optional_f64(r, "rms_norm_eps", 1e-5);
    config->swiglu_limit = (float)optional_f64(r, "swiglu_limit", 7.0);
    config->swiglu_alpha = (float)optional_f64(r, "swiglu_alpha", 1.702);
    read_layer_types(r, config);
    read_rope(r, config);
}

/* ---- OpenAI ------------------------------------------------------------------------------- */

static void read_original(struct reader *r, struct model_config *config)
{
    config->n_layers = required_u32(r, "num_hidden_layers");
    config->n_hidden = required_u32(r, "hidden_size");
    config->n_intermediate = required_u32(r, "intermediate_size");
    config->n_vocab = required_u32(r, "vocab_size");
    config->n_heads = required_u32(r, "num_attention_heads");
    config->n_kv_heads = required_u32(r, "num_key_value_heads");
    config->head_dim = required_u32(r, "head_dim");
    config->n_experts = required_u32(r, "num_experts");
    config->n_experts_used = required_u32(r, "experts_per_token");
    config->sliding_window = optional_u32(r, "sliding_window", 128);
    config->rms_norm_eps = 1e-5f;
    config->swiglu_limit = (float)optional_f64(r, "swiglu_limit", 7.0);
    config->swiglu_alpha = 1.702f;
    for (uint32_t i = 0; i < config->n_layers && i < MAX_LAYERS; i++)
        config->layer_is_sliding[i] = i % 2 == 0;

    config->rope.theta = optional_f64(r, "rope_theta", 150000);
    config->rope.factor = optional_f64(r, "rope_scaling_factor", 32);
    config->rope.beta_slow = optional_f64(r, "rope_ntk_alpha", 1);
    config->rope.beta_fast = optional_f64(r, "rope_ntk_beta", 32);
    config->rope.n_ctx_original = optional_u32(r, "initial_context_length", 4096);
    config->rope.yarn = config->rope.factor > 1;
    config->rope.truncate = false;
    double n_ctx = config->rope.n_ctx_original * fmax(config->rope.factor, 1);
    config->n_ctx_max = n_ctx < UINT32_MAX ? (uint32_t)n_ctx : UINT32_MAX;
}

enum vinci_status config_from_json(struct model_config *config, const char *json, size_t n_bytes,
                                   const char *path, struct vinci_error *err)
{
    json_t *root = NULL;
    enum vinci_status status = json_document_parse(&root, json, n_bytes, path, "the config", err);
    if (status) return status;
    struct reader r = {root, path, err, VINCI_OK};
    const json_t *type = field(&r, "model_type");
    *config = (struct model_config){0};
    if (!type && field(&r, "num_experts") && field(&r, "experts_per_token")) {
        read_original(&r, config);
    } else if (json_is_string(type) && strcmp(json_string_value(type), "gpt_oss") == 0) {
        read_huggingface(&r, config);
    } else {
        r.status = fail(err, VINCI_UNSUPPORTED,
                        "%s: model_type: expected gpt_oss, got %s; vinci runs gpt-oss models only",
                        path, shown(type));
    }
    status = r.status;
    json_decref(root);
    return status ? status : config_check(config, path, err);
}

/* ---- limits ------------------------------------------------------------------------------- */

static enum vinci_status check_numbers(const struct model_config *c, const char *path,
                                       struct vinci_error *err)
{
    const struct {
        const char *name;
        uint32_t value, multiple_of, max;
    } ranges[] = {
        {"num_hidden_layers", c->n_layers, 1, MAX_LAYERS},
        {"hidden_size", c->n_hidden, QUANT_BLOCK, MAX_HIDDEN},
        {"intermediate_size", c->n_intermediate, QUANT_BLOCK, MAX_HIDDEN},
        {"vocab_size", c->n_vocab, 1, MAX_VOCAB},
        {"num_attention_heads", c->n_heads, 1, MAX_HEADS},
        {"num_key_value_heads", c->n_kv_heads, 1, MAX_HEADS},
        {"head_dim", c->head_dim, 2, MAX_HEAD_DIM},
        {"number of experts", c->n_experts, 1, MAX_EXPERTS},
        {"experts per token", c->n_experts_used, 1, MAX_EXPERTS_USED},
        {"sliding_window", c->sliding_window, 1, MAX_CONTEXT},
        {"context length", c->n_ctx_max, 1, MAX_CONTEXT},
        {"original context length", c->rope.yarn ? c->rope.n_ctx_original : 1, 1, MAX_CONTEXT},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        uint32_t value = ranges[i].value, m = ranges[i].multiple_of;
        if (value >= m && value <= ranges[i].max && value % m == 0) continue;
        return fail(err, value > ranges[i].max ? VINCI_LIMIT : VINCI_BAD_FILE,
                    "%s: %s: expected %" PRIu32 " to %" PRIu32 "%s, got %" PRIu32, path,
                    ranges[i].name, m, ranges[i].max,
                    m == 1   ? ""
                    : m == 2 ? _(", even")
                             : _(" in steps of 32"),
                    value);
    }
    return VINCI_OK;
}

static enum vinci_status check_reals(const struct model_config *c, const char *path,
                                     struct vinci_error *err)
{
    bool yarn = c->rope.yarn;
    const struct {
        const char *name, *expected;
        double value;
        bool ok;
    } reals[] = {
        {"rms_norm_eps", N_("more than 0"), (double)c->rms_norm_eps, c->rms_norm_eps > 0},
        {"swiglu_limit", N_("more than 0"), (double)c->swiglu_limit, c->swiglu_limit > 0},
        {"swiglu_alpha", N_("more than 0"), (double)c->swiglu_alpha, c->swiglu_alpha > 0},
        {"rope_theta", N_("more than 1"), c->rope.theta, c->rope.theta > 1},
        {"rope factor", N_("at least 1"), c->rope.factor, !yarn || c->rope.factor >= 1},
        {"rope beta_slow", N_("more than 0"), c->rope.beta_slow, !yarn || c->rope.beta_slow > 0},
        {"rope beta_fast", N_("more than beta_slow"), c->rope.beta_fast,
         !yarn || c->rope.beta_fast > c->rope.beta_slow},
    };
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        if (!reals[i].ok || !isfinite(reals[i].value))
            return fail(err, VINCI_BAD_FILE, "%s: %s: expected %s, got %g", path, reals[i].name,
                        _(reals[i].expected), reals[i].value);
    return VINCI_OK;
}

enum vinci_status config_check(const struct model_config *config, const char *path,
                               struct vinci_error *err)
{
    enum vinci_status status = check_numbers(config, path, err);
    if (status == VINCI_OK) status = check_reals(config, path, err);
    if (status) return status;
    if (config->n_heads % config->n_kv_heads)
        return fail(err, VINCI_BAD_FILE,
                    "%s: num_attention_heads: expected a multiple of num_key_value_heads (%" PRIu32
                    "), got %" PRIu32,
                    path, config->n_kv_heads, config->n_heads);
    if (config->n_experts_used > config->n_experts)
        return fail(err, VINCI_BAD_FILE,
                    "%s: experts per token: expected at most the number of experts (%" PRIu32
                    "), got %" PRIu32,
                    path, config->n_experts, config->n_experts_used);
    return VINCI_OK;
}
