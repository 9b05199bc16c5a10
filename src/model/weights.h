/* weights.h - the model's tensors, bound once: after this no name is looked up.
 *
 * Matrices are [n_rows, n_cols], row-major, y = W x: a row is one output. Everything points into
 * the mapped files, which `struct model` owns, but for dense experts stored input dimension first,
 * which are transposed at load into `model->converted`. */
#ifndef VINCI_MODEL_WEIGHTS_H
#define VINCI_MODEL_WEIGHTS_H

#include "base/log.h"
#include "model/config.h"
#include "model/tensor_index.h"

struct matrix {
    enum dtype dtype;
    uint32_t n_rows, n_cols;
    const uint8_t *data;
    size_t row_stride;     /* bytes from a row to the next; beyond the row's own bytes where rows
                              of two matrices alternate (gate and up in safetensors) */
    const uint8_t *scales; /* DTYPE_MXFP4: e8m0 [n_rows][n_cols / 32]; else NULL */
    size_t scale_stride;   /* bytes from a row's scales to the next row's */
};

/* F32, F16 or BF16 */
struct vector {
    enum dtype dtype;
    uint32_t n;
    const uint8_t *data;
    size_t stride; /* bytes from an element to the next */
};

struct expert_weights {
    struct matrix gate, up;           /* [n_intermediate, n_hidden] */
    struct matrix down;               /* [n_hidden, n_intermediate] */
    struct vector gate_bias, up_bias; /* [n_intermediate] */
    struct vector down_bias;          /* [n_hidden] */
};

struct layer_weights {
    struct vector attn_norm; /* [n_hidden] */
    struct matrix q;         /* [n_heads * head_dim, n_hidden] */
    struct matrix k, v;      /* [n_kv_heads * head_dim, n_hidden] */
    struct vector q_bias, k_bias, v_bias;
    struct vector sinks;            /* [n_heads] */
    struct matrix o;                /* [n_hidden, n_heads * head_dim] */
    struct vector o_bias;           /* [n_hidden] */
    struct vector mlp_norm;         /* [n_hidden] */
    struct matrix router;           /* [n_experts, n_hidden] */
    struct vector router_bias;      /* [n_experts] */
    struct expert_weights *experts; /* [n_experts] */
};

struct weights {
    struct matrix embedding;      /* [n_vocab, n_hidden] */
    struct matrix output;         /* [n_vocab, n_hidden]; the embedding itself when tied */
    struct vector output_norm;    /* [n_hidden] */
    struct layer_weights *layers; /* [n_layers] */
};

/* A model on disk, mapped and checked. */
struct model {
    struct model_config config;
    struct weights weights;
    struct tensor_index index;
    enum vinci_container container;
    char *path;         /* what was opened: folder or file */
    char *tokenizer;    /* file a tokenizer can be read from; NULL if none was found */
    uint8_t *converted; /* transposed weights, NULL if none were needed */
    size_t converted_bytes;
};

/* `path`: a Hugging Face or OpenAI folder, a GGUF file (any part of a split one), or a safetensors
 * file or index beside its config.json. */
enum vinci_status model_open(struct model **out, const char *path, const struct log *log,
                             struct vinci_error *err);
void model_close(struct model *model);

/* Fills all of vinci_model_info. */
void model_describe(const struct model *model, struct vinci_model_info *info);

/* Fails if a file shrank since it was mapped. */
enum vinci_status model_check_files(const struct model *model, struct vinci_error *err);

/* What a pass over all its rows reads. */
uint64_t matrix_bytes(const struct matrix *w);

/* Row `row` as floats, exactly: out [n_cols]. */
void matrix_row(const struct matrix *w, size_t row, float *out);

/* Elements [first, first + n) as floats, exactly. */
void vector_read(const struct vector *v, size_t first, size_t n, float *out);

#endif
