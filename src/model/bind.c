/* bind.c - binds the names of either layout once, checking dtype and shape against the config.
 *
 * Three tables of names, one walk. What differs between the layouts is said here and nowhere else:
 *   HF        q, k, v apart; experts as MXFP4 blocks and scales, gate and up rows alternating; or
 *             dense, usually input dimension first: transposed into model->converted
 *   original  q, k, v as one tensor, rows in that order; experts as in HF
 *   GGUF      gate, up and down apart, rows whole
 * A shape may carry leading ones more or less than expected: writers of GGUF drop them. */
#include "model/bind.h"

#include "base/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 128 };

struct names {
    const char *embedding, *output_norm, *output;
    const char *layer; /* stands before the layer's number */
    bool fused_qkv;    /* q, k and v name one tensor, rows in that order */
    const char *attn_norm, *q, *k, *v, *q_bias, *k_bias, *v_bias, *sinks, *o, *o_bias;
    const char *mlp_norm, *router, *router_bias;
    const char *gate_up_blocks, *gate_up_scales, *down_blocks, *down_scales; /* NULL in GGUF */
    const char *gate_up, *gate_up_bias;                                      /* NULL in GGUF */
    const char *gate, *up, *gate_bias, *up_bias;                             /* GGUF alone */
    const char *down, *down_bias;
};

static const struct names NAMES[] = {
    [VINCI_CONTAINER_HF] = {.embedding = "model.embed_tokens.weight",
                            .output_norm = "model.norm.weight",
                            .output = "lm_head.weight",
                            .layer = "model.layers",
                            .attn_norm = "input_layernorm.weight",
                            .q = "self_attn.q_proj.weight",
                            .k = "self_attn.k_proj.weight",
                            .v = "self_attn.v_proj.weight",
                            .q_bias = "self_attn.q_proj.bias",
                            .k_bias = "self_attn.k_proj.bias",
                            .v_bias = "self_attn.v_proj.bias",
                            .sinks = "self_attn.sinks",
                            .o = "self_attn.o_proj.weight",
                            .o_bias = "self_attn.o_proj.bias",
                            .mlp_norm = "post_attention_layernorm.weight",
                            .router = "mlp.router.weight",
                            .router_bias = "mlp.router.bias",
                            .gate_up_blocks = "mlp.experts.gate_up_proj_blocks",
                            .gate_up_scales = "mlp.experts.gate_up_proj_scales",
                            .gate_up = "mlp.experts.gate_up_proj",
                            .gate_up_bias = "mlp.experts.gate_up_proj_bias",
                            .down_blocks = "mlp.experts.down_proj_blocks",
                            .down_scales = "mlp.experts.down_proj_scales",
                            .down = "mlp.experts.down_proj",
                            .down_bias = "mlp.experts.down_proj_bias"},
    [VINCI_CONTAINER_ORIGINAL] = {.embedding = "embedding.weight",
                                  .output_norm = "norm.scale",
                                  .output = "unembedding.weight",
                                  .layer = "block",
                                  .fused_qkv = true,
                                  .attn_norm = "attn.norm.scale",
                                  .q = "attn.qkv.weight",
                                  .k = "attn.qkv.weight",
                                  .v = "attn.qkv.weight",
                                  .q_bias = "attn.qkv.bias",
                                  .k_bias = "attn.qkv.bias",
                                  .v_bias = "attn.qkv.bias",
                                  .sinks = "attn.sinks",
                                  .o = "attn.out.weight",
                                  .o_bias = "attn.out.bias",
                                  .mlp_norm = "mlp.norm.scale",
                                  .router = "mlp.gate.weight",
                                  .router_bias = "mlp.gate.bias",
                                  .gate_up_blocks = "mlp.mlp1_weight.blocks",
                                  .gate_up_scales = "mlp.mlp1_weight.scales",
                                  .gate_up = "mlp.mlp1_weight",
                                  .gate_up_bias = "mlp.mlp1_bias",
                                  .down_blocks = "mlp.mlp2_weight.blocks",
                                  .down_scales = "mlp.mlp2_weight.scales",
                                  .down = "mlp.mlp2_weight",
                                  .down_bias = "mlp.mlp2_bias"},
    [VINCI_CONTAINER_GGUF] = {.embedding = "token_embd.weight",
                              .output_norm = "output_norm.weight",
                              .output = "output.weight",
                              .layer = "blk",
                              .attn_norm = "attn_norm.weight",
                              .q = "attn_q.weight",
                              .k = "attn_k.weight",
                              .v = "attn_v.weight",
                              .q_bias = "attn_q.bias",
                              .k_bias = "attn_k.bias",
                              .v_bias = "attn_v.bias",
                              .sinks = "attn_sinks.weight",
                              .o = "attn_output.weight",
                              .o_bias = "attn_output.bias",
                              .mlp_norm = "post_attention_norm.weight",
                              .router = "ffn_gate_inp.weight",
                              .router_bias = "ffn_gate_inp.bias",
                              .gate = "ffn_gate_exps.weight",
                              .gate_bias = "ffn_gate_exps.bias",
                              .up = "ffn_up_exps.weight",
                              .up_bias = "ffn_up_exps.bias",
                              .down = "ffn_down_exps.weight",
                              .down_bias = "ffn_down_exps.bias"},
};

struct binder {
    struct model *model;
    const struct model_config *config;
    const struct names *names;
    uint8_t *convert_to; /* where the next transposed stack goes */
    struct vinci_error *err;
};

/* ---- one tensor: there, of a dtype, of a shape --------------------------------------------- */

struct shape {
    uint32_t n;
    uint64_t size[TENSOR_DIMS_MAX]; /* outermost first */
};

struct dtype_set {
    unsigned bits; /* 1 << dtype */
    const char *text;
};
static const struct dtype_set FLOATS = {1u << DTYPE_F32 | 1u << DTYPE_F16 | 1u << DTYPE_BF16,
                                        "F32, F16 or BF16"};
static const struct dtype_set DENSE = {1u << DTYPE_F32 | 1u << DTYPE_F16 | 1u << DTYPE_BF16 |
                                           1u << DTYPE_Q8_0,
                                       "F32, F16, BF16 or Q8_0"};
static const struct dtype_set EXPERT = {1u << DTYPE_F32 | 1u << DTYPE_F16 | 1u << DTYPE_BF16 |
                                            1u << DTYPE_Q8_0 | 1u << DTYPE_MXFP4_GGUF,
                                        "F32, F16, BF16, Q8_0 or MXFP4"};
static const struct dtype_set BYTES = {1u << DTYPE_U8, "U8"};

static bool shape_is(const struct tensor *tensor, const struct shape *expected)
{
    uint32_t n = tensor->n_dims > expected->n ? tensor->n_dims : expected->n;
    for (uint32_t i = 1; i <= n; i++) { /* from the innermost */
        uint64_t a = i <= tensor->n_dims ? tensor->shape[tensor->n_dims - i] : 1;
        uint64_t b = i <= expected->n ? expected->size[expected->n - i] : 1;
        if (a != b) return false;
    }
    return true;
}

static const char *shape_text(const uint64_t *shape, uint32_t n, char text[NAME_BYTES])
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < n && used < NAME_BYTES; i++)
        used +=
            (size_t)snprintf(text + used, NAME_BYTES - used, "%s%" PRIu64, i ? ", " : "", shape[i]);
    return text;
}

enum { NO_LAYER = UINT32_MAX };

static const char *full_name(const struct binder *b, uint32_t layer, const char *suffix,
                             char name[NAME_BYTES])
{
    if (layer == NO_LAYER) snprintf(name, NAME_BYTES, "%s", suffix);
    else snprintf(name, NAME_BYTES, "%s.%" PRIu32 ".%s", b->names->layer, layer, suffix);
    return name;
}

static struct tensor *look_up(const struct binder *b, uint32_t layer, const char *suffix)
{
    char name[NAME_BYTES];
    return suffix ? tensor_index_find(&b->model->index, full_name(b, layer, suffix, name)) : NULL;
}

static enum vinci_status bind_tensor(struct binder *b, uint32_t layer, const char *suffix,
                                     const struct dtype_set *dtypes, struct shape shape,
                                     const struct tensor **out)
{
    char name[NAME_BYTES], expected[NAME_BYTES], got[NAME_BYTES];
    struct tensor *tensor = look_up(b, layer, suffix);
    shape_text(shape.size, shape.n, expected);
    if (!tensor)
        return fail(b->err, VINCI_BAD_FILE,
                    "%s: tensor %s is missing; expected %s of shape [%s]; the checkpoint is "
                    "incomplete or the configuration is another model's",
                    b->model->path, full_name(b, layer, suffix, name), dtypes->text, expected);
    if (!(dtypes->bits >> tensor->dtype & 1))
        return fail(b->err, VINCI_UNSUPPORTED, "%s: tensor %s: expected %s, got %s",
                    tensor->file->path, tensor->name, dtypes->text, tensor->type_name);
    if (!shape_is(tensor, &shape))
        return fail(b->err, VINCI_BAD_FILE,
                    "%s: tensor %s: expected shape [%s] by the configuration, got [%s]",
                    tensor->file->path, tensor->name, expected,
                    shape_text(tensor->shape, tensor->n_dims, got));
    tensor->bound = true;
    *out = tensor;
    return VINCI_OK;
}

/* ---- vectors and plain matrices ------------------------------------------------------------ */

/* Elements or rows [first, first + n) of a tensor that has `total` of them. */
struct part {
    uint32_t total, first, n;
};

static struct part whole(uint32_t n)
{
    return (struct part){n, 0, n};
}

struct vector_slot {
    const char *name;
    struct vector *out;
    struct part part;
};

struct matrix_slot {
    const char *name;
    struct matrix *out;
    struct part rows;
    uint32_t n_cols;
};

static enum vinci_status bind_vectors(struct binder *b, uint32_t layer,
                                      const struct vector_slot *slots, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct tensor *tensor = NULL;
        struct part part = slots[i].part;
        enum vinci_status status =
            bind_tensor(b, layer, slots[i].name, &FLOATS, (struct shape){1, {part.total}}, &tensor);
        if (status) return status;
        size_t stride = dtype_row_bytes(tensor->dtype, 1);
        *slots[i].out =
            (struct vector){tensor->dtype, part.n, tensor->data + part.first * stride, stride};
    }
    return VINCI_OK;
}

static enum vinci_status bind_matrices(struct binder *b, uint32_t layer,
                                       const struct matrix_slot *slots, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct tensor *tensor = NULL;
        const struct matrix_slot *slot = &slots[i];
        enum vinci_status status =
            bind_tensor(b, layer, slot->name, &DENSE,
                        (struct shape){2, {slot->rows.total, slot->n_cols}}, &tensor);
        if (status) return status;
        size_t stride = dtype_row_bytes(tensor->dtype, slot->n_cols);
        *slot->out = (struct matrix){.dtype = tensor->dtype,
                                     .n_rows = slot->rows.n,
                                     .n_cols = slot->n_cols,
                                     .data = tensor->data + slot->rows.first * stride,
                                     .row_stride = stride};
    }
    return VINCI_OK;
}

#define BIND_ALL(function, b, layer, slots) \
    function((b), (layer), (slots), sizeof(slots) / sizeof *(slots))

/* All of a layer but its experts. */
static enum vinci_status bind_layer(struct binder *b, uint32_t layer, struct layer_weights *l)
{
    const struct model_config *c = b->config;
    const struct names *n = b->names;
    uint32_t n_q = c->n_heads * c->head_dim, n_kv = c->n_kv_heads * c->head_dim;
    struct part q = whole(n_q), k = whole(n_kv), v = whole(n_kv);
    if (n->fused_qkv) {
        uint32_t total = n_q + 2 * n_kv;
        q = (struct part){total, 0, n_q};
        k = (struct part){total, n_q, n_kv};
        v = (struct part){total, n_q + n_kv, n_kv};
    }
    const struct vector_slot vectors[] = {
        {n->attn_norm, &l->attn_norm, whole(c->n_hidden)},
        {n->q_bias, &l->q_bias, q},
        {n->k_bias, &l->k_bias, k},
        {n->v_bias, &l->v_bias, v},
        {n->sinks, &l->sinks, whole(c->n_heads)},
        {n->o_bias, &l->o_bias, whole(c->n_hidden)},
        {n->mlp_norm, &l->mlp_norm, whole(c->n_hidden)},
        {n->router_bias, &l->router_bias, whole(c->n_experts)},
    };
    const struct matrix_slot matrices[] = {
        {n->q, &l->q, q, c->n_hidden},
        {n->k, &l->k, k, c->n_hidden},
        {n->v, &l->v, v, c->n_hidden},
        {n->o, &l->o, whole(c->n_hidden), n_q},
        {n->router, &l->router, whole(c->n_experts), c->n_hidden},
    };
    enum vinci_status status = BIND_ALL(bind_vectors, b, layer, vectors);
    return status ? status : BIND_ALL(bind_matrices, b, layer, matrices);
}

/* ---- experts ------------------------------------------------------------------------------- */

/* The matrices of all experts: [n_experts, n_rows, n_cols], and the biases [n_experts, n_rows]. */
struct stack {
    enum dtype dtype;
    uint32_t n_rows, n_cols;
    const uint8_t *data;
    const uint8_t *scales; /* DTYPE_MXFP4 only */
    const struct tensor *bias;
};

/* Rows first, first + step, ... of one expert. */
static struct matrix stack_matrix(const struct stack *s, size_t expert, uint32_t first,
                                  uint32_t step)
{
    size_t row_bytes = dtype_row_bytes(s->dtype, s->n_cols), n_blocks = s->n_cols / QUANT_BLOCK;
    size_t row = expert * s->n_rows + first;
    return (struct matrix){.dtype = s->dtype,
                           .n_rows = s->n_rows / step,
                           .n_cols = s->n_cols,
                           .data = s->data + row * row_bytes,
                           .row_stride = step * row_bytes,
                           .scales = s->scales ? s->scales + row * n_blocks : NULL,
                           .scale_stride = s->scales ? step * n_blocks : 0};
}

static struct vector stack_bias(const struct stack *s, size_t expert, uint32_t first, uint32_t step)
{
    size_t size = dtype_row_bytes(s->bias->dtype, 1);
    return (struct vector){s->bias->dtype, s->n_rows / step,
                           s->bias->data + (expert * s->n_rows + first) * size, step * size};
}

/* [n_rows, n_cols] -> [n_cols, n_rows], in tiles that stay in the nearest cache. */
#define DEFINE_TRANSPOSE(name, type) \
    static void name(uint8_t *to, const uint8_t *from, size_t n_rows, size_t n_cols) \
    { \
        enum { TILE = 32 }; \
        for (size_t r0 = 0; r0 < n_rows; r0 += TILE) \
            for (size_t c0 = 0; c0 < n_cols; c0 += TILE) \
                for (size_t c = c0; c < c0 + TILE && c < n_cols; c++) \
                    for (size_t r = r0; r < r0 + TILE && r < n_rows; r++) \
                        memcpy(to + (c * n_rows + r) * sizeof(type), \
                               from + (r * n_cols + c) * sizeof(type), sizeof(type)); \
    }
DEFINE_TRANSPOSE(transpose_u16, uint16_t)
DEFINE_TRANSPOSE(transpose_u32, uint32_t)

/* A stack that is one tensor. With `input_first` it stands as [n_experts, n_cols, n_rows]. */
static enum vinci_status bind_stack(struct binder *b, uint32_t layer, const char *name,
                                    bool input_first, struct stack *s)
{
    const struct tensor *tensor = NULL;
    uint64_t n_experts = b->config->n_experts;
    struct shape shape = {3, {n_experts, s->n_rows, s->n_cols}};
    if (input_first) shape = (struct shape){3, {n_experts, s->n_cols, s->n_rows}};
    enum vinci_status status =
        bind_tensor(b, layer, name, input_first ? &FLOATS : &EXPERT, shape, &tensor);
    if (status) return status;
    s->dtype = tensor->dtype;
    s->data = tensor->data;
    if (!input_first) return VINCI_OK;

    s->data = b->convert_to;
    size_t expert_bytes = tensor->n_bytes / b->config->n_experts;
    for (uint32_t e = 0; e < n_experts; e++, b->convert_to += expert_bytes)
        (s->dtype == DTYPE_F32 ? transpose_u32 : transpose_u16)(
            b->convert_to, tensor->data + e * expert_bytes, s->n_cols, s->n_rows);
    return VINCI_OK;
}

static enum vinci_status bind_stack_mxfp4(struct binder *b, uint32_t layer, const char *blocks_name,
                                          const char *scales_name, struct stack *s)
{
    const struct tensor *blocks = NULL, *scales = NULL;
    uint64_t n_experts = b->config->n_experts, n_blocks = s->n_cols / QUANT_BLOCK;
    enum vinci_status status =
        bind_tensor(b, layer, blocks_name, &BYTES,
                    (struct shape){4, {n_experts, s->n_rows, n_blocks, QUANT_BLOCK / 2}}, &blocks);
    if (status == VINCI_OK)
        status = bind_tensor(b, layer, scales_name, &BYTES,
                             (struct shape){3, {n_experts, s->n_rows, n_blocks}}, &scales);
    if (status) return status;
    s->dtype = DTYPE_MXFP4;
    s->data = blocks->data;
    s->scales = scales->data;
    return VINCI_OK;
}

enum expert_layout { EXPERTS_GGUF, EXPERTS_MXFP4, EXPERTS_OUTPUT_FIRST, EXPERTS_INPUT_FIRST };

/* Which way round dense experts stand shows in the two shapes together: [E, 2I, H] with [E, H, I]
 * and [E, H, 2I] with [E, I, H] are never the same pair. */
static enum expert_layout expert_layout(const struct binder *b, uint32_t layer)
{
    const struct names *n = b->names;
    uint64_t e = b->config->n_experts, h = b->config->n_hidden, i = b->config->n_intermediate;
    if (n->gate) return EXPERTS_GGUF;
    const struct tensor *gate_up = look_up(b, layer, n->gate_up);
    const struct tensor *down = look_up(b, layer, n->down);
    if (look_up(b, layer, n->gate_up_blocks) || look_up(b, layer, n->down_blocks) ||
        (!gate_up && !down))
        return EXPERTS_MXFP4;
    if (gate_up && down && shape_is(gate_up, &(struct shape){3, {e, 2 * i, h}}) &&
        shape_is(down, &(struct shape){3, {e, h, i}}))
        return EXPERTS_OUTPUT_FIRST;
    return EXPERTS_INPUT_FIRST;
}

static enum vinci_status bind_bias(struct binder *b, uint32_t layer, const char *name,
                                   struct stack *s)
{
    return bind_tensor(b, layer, name, &FLOATS,
                       (struct shape){2, {b->config->n_experts, s->n_rows}}, &s->bias);
}

static enum vinci_status bind_experts(struct binder *b, uint32_t layer, struct layer_weights *l)
{
    const struct names *n = b->names;
    uint32_t hidden = b->config->n_hidden, inter = b->config->n_intermediate;
    enum expert_layout layout = expert_layout(b, layer);
    bool input_first = layout == EXPERTS_INPUT_FIRST, apart = layout == EXPERTS_GGUF;
    /* Where gate and up stand in one stack, their rows alternate. */
    uint32_t step = apart ? 1 : 2;
    struct stack gate = {.n_rows = step * inter, .n_cols = hidden}, up = gate;
    struct stack down = {.n_rows = hidden, .n_cols = inter};
    enum vinci_status status = VINCI_OK;

    if (apart) {
        status = bind_stack(b, layer, n->gate, false, &gate);
        if (status == VINCI_OK) status = bind_stack(b, layer, n->up, false, &up);
    } else if (layout == EXPERTS_MXFP4) {
        status = bind_stack_mxfp4(b, layer, n->gate_up_blocks, n->gate_up_scales, &gate);
    } else {
        status = bind_stack(b, layer, n->gate_up, input_first, &gate);
    }
    if (status) return status;
    status = layout == EXPERTS_MXFP4
                 ? bind_stack_mxfp4(b, layer, n->down_blocks, n->down_scales, &down)
                 : bind_stack(b, layer, n->down, input_first, &down);
    if (status) return status;

    status = bind_bias(b, layer, apart ? n->gate_bias : n->gate_up_bias, &gate);
    if (status == VINCI_OK && apart) status = bind_bias(b, layer, n->up_bias, &up);
    if (status == VINCI_OK) status = bind_bias(b, layer, n->down_bias, &down);
    if (status) return status;
    if (!apart) up = gate;

    l->experts = array_new(b->config->n_experts, sizeof *l->experts);
    if (!l->experts)
        return fail_memory(b->err, b->config->n_experts * sizeof *l->experts, "the experts");
    for (uint32_t e = 0; e < b->config->n_experts; e++)
        l->experts[e] = (struct expert_weights){
            .gate = stack_matrix(&gate, e, 0, step),
            .up = stack_matrix(&up, e, step - 1, step),
            .down = stack_matrix(&down, e, 0, 1),
            .gate_bias = stack_bias(&gate, e, 0, step),
            .up_bias = stack_bias(&up, e, step - 1, step),
            .down_bias = stack_bias(&down, e, 0, 1),
        };
    return VINCI_OK;
}

/* ---- the model ----------------------------------------------------------------------------- */

/* Room for the experts that have to be transposed, all at once. */
static enum vinci_status allocate_converted(struct binder *b, const struct log *log)
{
    struct model *model = b->model;
    size_t n_bytes = 0;
    for (uint32_t i = 0; i < b->config->n_layers; i++) {
        if (expert_layout(b, i) != EXPERTS_INPUT_FIRST) continue;
        const struct tensor *tensors[] = {look_up(b, i, b->names->gate_up),
                                          look_up(b, i, b->names->down)};
        for (int j = 0; j < 2; j++)
            if (tensors[j] && !size_add(n_bytes, tensors[j]->n_bytes, &n_bytes))
                return fail_memory(b->err, n_bytes, "transposed experts");
    }
    if (!n_bytes) return VINCI_OK;
    model->converted = array_new_aligned(n_bytes, 1);
    if (!model->converted)
        return fail(b->err, VINCI_NO_MEMORY,
                    "%s: out of memory: %zu bytes for the experts, which are not quantised and "
                    "have to be transposed; a checkpoint with MXFP4 experts is used as it is",
                    model->path, n_bytes);
    model->converted_bytes = n_bytes;
    b->convert_to = model->converted;
    log_message(log, VINCI_LOG_INFO,
                "%s: the experts' matrices stand input dimension first: transposing %.1f MiB into "
                "memory (a checkpoint with MXFP4 experts is used as it is)",
                model->path, (double)n_bytes / 0x1p20);
    return VINCI_OK;
}

static enum vinci_status bind_ends(struct binder *b)
{
    const struct model_config *c = b->config;
    struct weights *w = &b->model->weights;
    const struct vector_slot vectors[] = {
        {b->names->output_norm, &w->output_norm, whole(c->n_hidden)},
    };
    const struct matrix_slot matrices[] = {
        {b->names->embedding, &w->embedding, whole(c->n_vocab), c->n_hidden},
        {c->tied_embeddings ? b->names->embedding : b->names->output, &w->output, whole(c->n_vocab),
         c->n_hidden},
    };
    enum vinci_status status = BIND_ALL(bind_vectors, b, NO_LAYER, vectors);
    return status ? status : BIND_ALL(bind_matrices, b, NO_LAYER, matrices);
}

static void warn_of_unused(const struct model *model, const struct log *log)
{
    size_t n = 0;
    const char *name = NULL;
    for (size_t i = 0; i < model->index.n_tensors; i++)
        if (!model->index.tensors[i].bound) {
            name = name ? name : model->index.tensors[i].name;
            n++;
        }
    if (n)
        log_message(log, VINCI_LOG_WARN, "%s: tensors that are not used: %zu; one is %s",
                    model->path, n, name);
}

enum vinci_status weights_bind(struct model *model, const struct log *log, struct vinci_error *err)
{
    struct binder b = {model, &model->config, &NAMES[model->container], NULL, err};
    struct weights *w = &model->weights;
    enum vinci_status status = bind_ends(&b);
    if (status) return status;
    w->layers = array_new_zero(b.config->n_layers, sizeof *w->layers);
    if (!w->layers) return fail_memory(err, b.config->n_layers * sizeof *w->layers, "the layers");
    status = allocate_converted(&b, log);
    for (uint32_t i = 0; i < b.config->n_layers && status == VINCI_OK; i++) {
        status = bind_layer(&b, i, &w->layers[i]);
        if (status == VINCI_OK) status = bind_experts(&b, i, &w->layers[i]);
    }
    if (status == VINCI_OK) warn_of_unused(model, log);
    return status;
}

void weights_free(struct model *model)
{
    if (model->weights.layers)
        for (uint32_t i = 0; i < model->config.n_layers; i++)
            free(model->weights.layers[i].experts);
    free(model->weights.layers);
    free(model->converted);
    model->weights = (struct weights){0};
    model->converted = NULL;
    model->converted_bytes = 0;
}
