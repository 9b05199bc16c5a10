/* weights.c - the model's weights on the device, expanded on the way (expand.h, upload.h).
 *
 * What is stored:
 *
 *   embeddings, attention, output   act
 *   norms, sinks, router            float32
 *   experts, dense                  [E, n_out, n_in] act; FP4 times a power of two is exact in BF16
 *   experts, compact                INT4 [E, 2 n_in, n_out] and scales: see experts.c
 *
 * The gates of an expert stand before its ups, so that both are plain views of one product. */
#include "base/buf.h"
#include "base/lang.h"
#include "device/npu/expand.h"
#include "device/npu/upload.h"
#include "model/formats.h"

#include <stdlib.h>
#include <string.h>

enum {
    NUMBERS = 64, /* read and rounded at once */
    ROWS = 4,     /* one thread makes at once */
    BLOCKS = 4    /* the same of a plane: with 64 bytes of each row, a cache line */
};

/* An upload, and what the expansions look up. */
struct placing {
    struct upload upload;
    struct expand_tables tables; /* of act */
    const struct expand_kernels *kernels;
};

/* ---- conversions --------------------------------------------------------------------------- */

void npu_from_float(aclDataType dtype, const float *x, size_t n, void *out)
{
    uint16_t *bits = out;
    if (dtype == ACL_FLOAT) memcpy(out, x, n * sizeof *x);
    for (size_t i = 0; i < n && dtype == ACL_BF16; i++) bits[i] = bf16_from_float(x[i]).bits;
    for (size_t i = 0; i < n && dtype == ACL_FLOAT16; i++) bits[i] = f16_from_float(x[i]).bits;
}

void npu_to_float(aclDataType dtype, const void *x, size_t n, float *out)
{
    const uint16_t *bits = x;
    if (dtype == ACL_FLOAT) memcpy(out, x, n * sizeof *out);
    for (size_t i = 0; i < n && dtype == ACL_BF16; i++) out[i] = float_from_bf16((bf16_t){bits[i]});
    for (size_t i = 0; i < n && dtype == ACL_FLOAT16; i++)
        out[i] = float_from_f16((f16_t){bits[i]});
}

static bool is_mxfp4(const struct matrix *w)
{
    return w->dtype == DTYPE_MXFP4 || w->dtype == DTYPE_MXFP4_GGUF;
}

/* Row `row` as act or float32. */
static void convert_row(const struct placing *placing, const struct matrix *w, size_t row,
                        aclDataType dtype, void *out)
{
    float x[MAX_HIDDEN];
    if (w->dtype == DTYPE_BF16 && dtype == ACL_BF16) {
        memcpy(out, w->data + row * w->row_stride, (size_t)w->n_cols * 2);
    } else if (is_mxfp4(w) && dtype != ACL_FLOAT) {
        placing->kernels->row(&placing->tables, w, row, out);
    } else {
        matrix_row(w, row, x);
        npu_from_float(dtype, x, w->n_cols, out);
    }
}

/* ---- matrices and vectors ------------------------------------------------------------------ */

struct matrix_source {
    const struct placing *placing;
    const struct matrix *w;
    aclDataType dtype;
    size_t row_bytes;
};

static void fill_matrix(const void *ctx, size_t first, size_t n, void *out)
{
    const struct matrix_source *source = ctx;
    for (size_t i = 0; i < n; i++)
        convert_row(source->placing, source->w, first + i, source->dtype,
                    (uint8_t *)out + i * source->row_bytes);
}

struct vector_source {
    const struct vector *v;
    aclDataType dtype;
};

static void fill_vector(const void *ctx, size_t first, size_t n, void *out)
{
    const struct vector_source *source = ctx;
    float x[NUMBERS];
    for (size_t i = 0; i < n; i += NUMBERS) {
        size_t n_now = n - i < NUMBERS ? n - i : NUMBERS;
        vector_read(source->v, first + i, n_now, x);
        npu_from_float(source->dtype, x, n_now,
                       (uint8_t *)out + i * npu_dtype_bytes(source->dtype));
    }
}

static void *put_vector(struct placing *placing, const struct vector *v, aclDataType dtype)
{
    size_t size = npu_dtype_bytes(dtype);
    void *to = npu_alloc(placing->upload.device, v->n * size, _("the weights"));
    struct vector_source source = {v, dtype};
    upload_items(&placing->upload, to, v->n, size, NUMBERS, fill_vector, &source);
    return to;
}

static void *put_rows(struct placing *placing, const struct matrix *w, aclDataType dtype)
{
    size_t row_bytes = w->n_cols * npu_dtype_bytes(dtype);
    void *to = npu_alloc(placing->upload.device, w->n_rows * row_bytes, _("the weights"));
    struct matrix_source source = {placing, w, dtype, row_bytes};
    upload_items(&placing->upload, to, w->n_rows, row_bytes, ROWS, fill_matrix, &source);
    return to;
}

static struct npu_matrix put_matrix(struct placing *placing, const struct matrix *w,
                                    const struct vector *bias, aclDataType dtype)
{
    struct npu_matrix matrix = {.dtype = dtype, .n_rows = w->n_rows, .n_cols = w->n_cols};
    matrix.data = put_rows(placing, w, dtype);
    if (bias) matrix.bias = put_vector(placing, bias, dtype);
    return matrix;
}

/* ---- experts ------------------------------------------------------------------------------- */

struct expert_source {
    const struct placing *placing;
    const struct expert_weights *experts;
    bool gate_up;
    uint32_t n_in, n_out;
    aclDataType dtype;
    uint8_t map[2][16];     /* compact: code -> the nibble of either plane */
    uint16_t scale[2][256]; /* compact: of either plane, as BF16 */
};

/* Output `row` of an expert: a row of gate, up or down. */
static const struct matrix *row_of(const struct expert_source *source, size_t expert, size_t *row)
{
    const struct expert_weights *w = &source->experts[expert];
    if (!source->gate_up) return &w->down;
    if (*row < w->gate.n_rows) return &w->gate;
    *row -= w->gate.n_rows;
    return &w->up;
}

static void fill_expert_rows(const void *ctx, size_t first, size_t n, void *out)
{
    const struct expert_source *source = ctx;
    for (size_t i = 0; i < n; i++) {
        size_t row = (first + i) % source->n_out;
        const struct matrix *w = row_of(source, (first + i) / source->n_out, &row);
        convert_row(source->placing, w, row, source->dtype,
                    (uint8_t *)out + i * source->n_in * npu_dtype_bytes(source->dtype));
    }
}

static void fill_expert_bias(const void *ctx, size_t first, size_t n, void *out)
{
    const struct expert_source *source = ctx;
    size_t size = npu_dtype_bytes(source->dtype);
    for (size_t i = 0; i < n; i++) {
        size_t row = (first + i) % source->n_out;
        const struct expert_weights *w = &source->experts[(first + i) / source->n_out];
        const struct vector *v = source->gate_up ? &w->gate_bias : &w->down_bias;
        float x;
        if (source->gate_up && row >= w->gate_bias.n) {
            row -= w->gate_bias.n;
            v = &w->up_bias;
        }
        vector_read(v, row, 1, &x);
        npu_from_float(source->dtype, &x, 1, (uint8_t *)out + i * size);
    }
}

/* An item of a compact tensor is one quantisation block of every output: of an expert first those
 * of plane a, then those of plane b. */
struct plane_block {
    size_t expert, plane, block;
};

static struct plane_block plane_block(const struct expert_source *source, size_t item)
{
    size_t blocks = source->n_in / QUANT_BLOCK, in_expert = item % (2 * blocks);
    return (struct plane_block){item / (2 * blocks), in_expert / blocks, in_expert % blocks};
}

/* Each item: 32 rows of the stored [2 n_in, n_out]. The items go together over the outputs, so that
 * a row's bytes are used while they are near. */
static void fill_compact(const void *ctx, size_t first, size_t n, void *out)
{
    const struct expert_source *source = ctx;
    size_t row_bytes = source->n_out / 2;
    for (size_t o = 0; o < source->n_out; o += EXPAND_TILE)
        for (size_t i = 0; i < n; i++) {
            const struct plane_block at = plane_block(source, first + i);
            const uint8_t *blocks[EXPAND_TILE];
            enum dtype layout = DTYPE_MXFP4;
            for (size_t t = 0; t < EXPAND_TILE; t++) {
                size_t row = o + t;
                const struct matrix *w = row_of(source, at.expert, &row);
                layout = w->dtype;
                blocks[t] = expand_nibbles(w, row, at.block);
            }
            source->placing->kernels->tile(source->map[at.plane], layout, blocks,
                                           (uint8_t *)out + i * QUANT_BLOCK * row_bytes + o / 2,
                                           row_bytes);
        }
}

/* Each item: the scales of one quantisation block for every output. */
static void fill_scales(const void *ctx, size_t first, size_t n, void *out)
{
    const struct expert_source *source = ctx;
    uint16_t *scales = out;
    for (size_t o = 0; o < source->n_out; o++)
        for (size_t i = 0; i < n; i++) {
            const struct plane_block at = plane_block(source, first + i);
            size_t row = o;
            const struct matrix *w = row_of(source, at.expert, &row);
            scales[i * source->n_out + o] = source->scale[at.plane][expand_scale(w, row, at.block)];
        }
}

static size_t scale_bytes(size_t n_experts, size_t n_in, size_t n_out)
{
    return n_experts * (2 * n_in / QUANT_BLOCK) * n_out * 2;
}

static void put_compact(struct placing *placing, struct expert_source *source, size_t n_experts,
                        struct npu_experts *experts)
{
    struct npu_device *device = placing->upload.device;
    uint32_t n_in = source->n_in, n_out = source->n_out;
    size_t n_items = n_experts * 2 * (n_in / QUANT_BLOCK), bytes = (size_t)QUANT_BLOCK * n_out / 2;
    expand_planes(source->map[0], source->map[1]);
    for (unsigned i = 0; i < 256; i++) {
        float scale = float_from_e8m0((e8m0_t){(uint8_t)i});
        source->scale[0][i] = bf16_from_float(scale).bits;
        source->scale[1][i] = bf16_from_float(scale * .5f).bits;
    }
    experts->data = npu_alloc(device, n_items * bytes, _("the weights"));
    upload_items(&placing->upload, experts->data, n_items, bytes, BLOCKS, fill_compact, source);
    experts->scales = npu_alloc(device, scale_bytes(n_experts, n_in, n_out), _("the weights"));
    upload_items(&placing->upload, experts->scales, n_items, (size_t)n_out * 2, 16 * BLOCKS,
                 fill_scales, source);
}

static struct npu_experts put_experts(struct placing *placing, const struct layer_weights *layer,
                                      bool gate_up)
{
    struct npu_device *device = placing->upload.device;
    const struct model_config *config = device->config;
    size_t e = config->n_experts;
    uint32_t n_in = gate_up ? config->n_hidden : config->n_intermediate;
    uint32_t n_out = gate_up ? 2 * config->n_intermediate : config->n_hidden;
    struct npu_experts experts = {.n_in = n_in, .n_out = n_out};
    struct expert_source source = {.placing = placing,
                                   .experts = layer->experts,
                                   .gate_up = gate_up,
                                   .n_in = n_in,
                                   .n_out = n_out,
                                   .dtype = device->act};
    if (device->compact) {
        put_compact(placing, &source, e, &experts);
    } else {
        experts.data = npu_alloc(device, e * n_out * n_in * 2, _("the weights"));
        upload_items(&placing->upload, experts.data, e * n_out, (size_t)n_in * 2, ROWS,
                     fill_expert_rows, &source);
    }
    source.dtype = device->act == ACL_BF16 ? ACL_FLOAT : device->act;
    size_t size = npu_dtype_bytes(source.dtype);
    experts.bias = npu_alloc(device, e * n_out * size, _("the weights"));
    upload_items(&placing->upload, experts.bias, e * n_out, size, NUMBERS, fill_expert_bias,
                 &source);
    return experts;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void put_layer(struct placing *placing, const struct layer_weights *w,
                      struct npu_layer *layer)
{
    aclDataType act = placing->upload.device->act;
    layer->attn_norm = put_vector(placing, &w->attn_norm, ACL_FLOAT);
    layer->mlp_norm = put_vector(placing, &w->mlp_norm, ACL_FLOAT);
    layer->q = put_matrix(placing, &w->q, &w->q_bias, act);
    layer->k = put_matrix(placing, &w->k, &w->k_bias, act);
    layer->v = put_matrix(placing, &w->v, &w->v_bias, act);
    layer->o = put_matrix(placing, &w->o, &w->o_bias, act);
    layer->router = put_matrix(placing, &w->router, &w->router_bias, ACL_FLOAT);
    layer->sinks = put_vector(placing, &w->sinks, ACL_FLOAT);
    layer->sinks_act = put_vector(placing, &w->sinks, ACL_BF16);
    layer->gate_up = put_experts(placing, w, true);
    layer->down = put_experts(placing, w, false);
}

bool npu_can_be_compact(const struct model *model)
{
    const struct model_config *config = &model->config;
    for (uint32_t l = 0; l < config->n_layers; l++)
        for (uint32_t e = 0; e < config->n_experts; e++) {
            const struct expert_weights *w = &model->weights.layers[l].experts[e];
            if (!is_mxfp4(&w->gate) || !is_mxfp4(&w->up) || !is_mxfp4(&w->down)) return false;
        }
    return true;
}

uint64_t npu_weights_bytes(const struct model *model, bool compact)
{
    const struct model_config *c = &model->config;
    uint64_t h = c->n_hidden, d = c->head_dim;
    uint64_t experts = (uint64_t)c->n_experts * 3 * h * c->n_intermediate;
    uint64_t attention = h * d * (2 * c->n_heads + 2 * c->n_kv_heads) * 2;
    uint64_t a_layer = attention + h * c->n_experts * 4 +
                       (compact ? experts + experts / 16 * 2 : experts * 2) +
                       (uint64_t)c->n_experts * (2 * c->n_intermediate + h) * 4;
    uint64_t vocab = (uint64_t)c->n_vocab * h * 2 * (c->tied_embeddings ? 1 : 2);
    uint64_t zeros = compact ? scale_bytes(c->n_experts, h, 2 * (uint64_t)c->n_intermediate) : 0;
    return c->n_layers * a_layer + vocab + zeros;
}

static void put_weights(struct placing *placing)
{
    struct npu_device *device = placing->upload.device;
    const struct model *model = device->model;
    const struct model_config *config = &model->config;
    struct npu_weights *weights = &device->weights;
    if (device->compact) {
        size_t n = scale_bytes(config->n_experts, config->n_hidden, 2 * config->n_intermediate);
        size_t m = scale_bytes(config->n_experts, config->n_intermediate, config->n_hidden);
        n = n > m ? n : m;
        weights->zero_offsets = npu_alloc(device, n, _("the weights"));
        if (weights->zero_offsets) npu_clear(device, weights->zero_offsets, n);
    }
    weights->embedding = put_rows(placing, &model->weights.embedding, device->act);
    if (model->weights.output.data == model->weights.embedding.data)
        weights->output = (struct npu_matrix){weights->embedding, device->act, config->n_vocab,
                                              config->n_hidden, NULL};
    else weights->output = put_matrix(placing, &model->weights.output, NULL, device->act);
    weights->output_norm = put_vector(placing, &model->weights.output_norm, ACL_FLOAT);
    for (uint32_t l = 0; l < config->n_layers && device->status == VINCI_OK; l++)
        put_layer(placing, &model->weights.layers[l], &weights->layers[l]);
}

void npu_weights_create(struct npu_device *device)
{
    uint32_t n_layers = device->config->n_layers;
    struct placing *placing = array_new(1, sizeof *placing);
    device->weights.layers = array_new_zero(n_layers, sizeof *device->weights.layers);
    if (placing && device->weights.layers) {
        placing->kernels = expand_kernels();
        expand_tables_fill(&placing->tables, device->act);
        upload_start(&placing->upload, device, npu_weights_bytes(device->model, device->compact));
        put_weights(placing);
        upload_finish(&placing->upload);
    } else {
        device->status =
            fail_memory(&device->err, n_layers * sizeof *device->weights.layers, "the weights");
    }
    free(placing);
}
