/* config.h - a model's hyper-parameters, from config.json (Hugging Face's or OpenAI's keys) or GGUF
 * metadata, with every limit checked. */
#ifndef VINCI_MODEL_CONFIG_H
#define VINCI_MODEL_CONFIG_H

#include "base/status.h"

enum {
    MAX_LAYERS = 512,
    MAX_EXPERTS = 512,
    MAX_EXPERTS_USED = 32,
    MAX_HIDDEN = 65536, /* hidden and intermediate size; multiples of QUANT_BLOCK */
    MAX_HEADS = 1024,
    MAX_HEAD_DIM = 256, /* even */
    MAX_VOCAB = 1 << 21,
    MAX_CONTEXT = 1 << 24
};

struct model_config {
    uint32_t n_layers, n_hidden, n_intermediate, n_vocab;
    uint32_t n_heads, n_kv_heads, head_dim; /* n_heads is a multiple of n_kv_heads */
    uint32_t n_experts, n_experts_used;
    uint32_t sliding_window;              /* positions seen by a window layer, its own included */
    uint8_t layer_is_sliding[MAX_LAYERS]; /* [n_layers] */
    uint32_t n_ctx_max;
    bool tied_embeddings;
    float rms_norm_eps;
    float swiglu_limit, swiglu_alpha; /* 7, 1.702 */
    struct {
        double theta;
        bool yarn; /* false: plain rope, the rest unused */
        double factor, beta_fast, beta_slow;
        uint32_t n_ctx_original;
        bool truncate; /* round the correction range: false in gpt-oss's files, true where left out
                        */
    } rope;
};

/* Accepts the text of either config.json style. `path` is for messages. */
enum vinci_status config_from_json(struct model_config *config, const char *json, size_t n_bytes,
                                   const char *path, struct vinci_error *err);

/* `n_vocab`: rows of the embedding, which GGUF's metadata does not give. `file` is a model's first
 * or only part. */
struct gguf_file;
enum vinci_status config_from_gguf(struct model_config *config, const struct gguf_file *file,
                                   uint64_t n_vocab, struct vinci_error *err);

/* Every limit above and every relation between fields; the message names the field. The two
 * functions above have called it. */
enum vinci_status config_check(const struct model_config *config, const char *path,
                               struct vinci_error *err);

#endif
