/* layers.c - embeddings, norms, matrix products and rope: the operations of device.h that are one
 * or a few operators each. */
#include "device/npu/npu.h"

#include <string.h>

/* Rows that an operation works on: a decode step is padded, tokens and outputs alike. */
static int64_t rows_of(const struct npu_device *device, size_t n)
{
    return device->in.decode ? device->in.n_rows : (int64_t)n;
}

size_t npu_layer_of(const struct npu_device *device, const void *within)
{
    const struct layer_weights *layers = device->model->weights.layers;
    return (size_t)((const uint8_t *)within - (const uint8_t *)layers) / sizeof *layers;
}

static const struct npu_matrix *matrix_of(const struct npu_device *device, const struct matrix *w)
{
    if (w == &device->model->weights.output) return &device->weights.output;
    size_t layer = npu_layer_of(device, w);
    const struct layer_weights *host = &device->model->weights.layers[layer];
    const struct npu_layer *on_device = &device->weights.layers[layer];
    return w == &host->o ? &on_device->o : &on_device->router;
}

static const float *vector_of(const struct npu_device *device, const struct vector *v)
{
    if (v == &device->model->weights.output_norm) return device->weights.output_norm;
    size_t layer = npu_layer_of(device, v);
    const struct npu_layer *on_device = &device->weights.layers[layer];
    return v == &device->model->weights.layers[layer].attn_norm ? on_device->attn_norm
                                                                : on_device->mlp_norm;
}

void npu_embed(struct device *base, const struct matrix *embedding, struct device_buffer *x)
{
    struct npu_device *device = npu_device_of(base);
    int64_t n = rows_of(device, device->step->n_tokens), n_hidden = embedding->n_cols;
    NPU_OP(device, aclnnEmbedding,
           npu_tensor(device, device->weights.embedding, device->act,
                      NPU_DIMS(embedding->n_rows, n_hidden)),
           npu_tensor(device, device->in.tokens, ACL_INT32, NPU_DIMS(n)),
           npu_tensor(device, x->act, device->act, NPU_DIMS(n, n_hidden)));
    NPU_OP(device, aclnnCast, npu_tensor(device, x->act, device->act, NPU_DIMS(n, n_hidden)),
           ACL_FLOAT, npu_tensor(device, x->f32, ACL_FLOAT, NPU_DIMS(n, n_hidden)));
}

void npu_rms_norm(struct device *base, const struct device_buffer *x, const struct vector *w,
                  float eps, size_t n_rows, struct device_buffer *out)
{
    struct npu_device *device = npu_device_of(base);
    int64_t n = rows_of(device, n_rows), n_hidden = device->config->n_hidden;
    float *y = x == out ? device->scratch->norm : out->f32;
    NPU_OP(device, aclnnRmsNorm, npu_tensor(device, x->f32, ACL_FLOAT, NPU_DIMS(n, n_hidden)),
           npu_tensor(device, vector_of(device, w), ACL_FLOAT, NPU_DIMS(n_hidden)), eps,
           npu_tensor(device, y, ACL_FLOAT, NPU_DIMS(n, n_hidden)),
           npu_tensor(device, device->scratch->rstd, ACL_FLOAT, NPU_DIMS(n, 1)));
    NPU_OP(device, aclnnCast, npu_tensor(device, y, ACL_FLOAT, NPU_DIMS(n, n_hidden)), device->act,
           npu_tensor(device, out->act, device->act, NPU_DIMS(n, n_hidden)));
}

/* y[n] = W x + b */
static void product(struct npu_device *device, const struct npu_matrix *w, const void *x, int64_t n,
                    void *y)
{
    int64_t rows = w->n_rows, cols = w->n_cols;
    if (w->bias)
        NPU_OP(device, aclnnAddmm, npu_tensor(device, w->bias, w->dtype, NPU_DIMS(rows)),
               npu_tensor(device, x, w->dtype, NPU_DIMS(n, cols)),
               npu_transposed(device, w->data, w->dtype, 0, rows, cols), npu_scalar(device, 1),
               npu_scalar(device, 1), npu_tensor(device, y, w->dtype, NPU_DIMS(n, rows)),
               CANN_KEEP_DTYPE);
    else
        NPU_OP(device, aclnnMm, npu_tensor(device, x, w->dtype, NPU_DIMS(n, cols)),
               npu_transposed(device, w->data, w->dtype, 0, rows, cols),
               npu_tensor(device, y, w->dtype, NPU_DIMS(n, rows)), CANN_KEEP_DTYPE);
}

/* The router computes in float32: a near tie must not fall to the rounding of its input. */
void npu_linear(struct device *base, const struct matrix *w, const struct vector *b,
                const struct device_buffer *x, size_t n, struct device_buffer *y)
{
    struct npu_device *device = npu_device_of(base);
    const struct npu_matrix *matrix = matrix_of(device, w);
    bool f32 = matrix->dtype == ACL_FLOAT;
    (void)b;
    product(device, matrix, f32 ? x->f32 : x->act, rows_of(device, n), f32 ? y->f32 : y->act);
    y->read_act = !f32;
}

void npu_linear_add(struct device *base, const struct matrix *w, const struct vector *b,
                    const struct device_buffer *y, size_t n_rows, struct device_buffer *x)
{
    struct npu_device *device = npu_device_of(base);
    const struct npu_matrix *matrix = matrix_of(device, w);
    int64_t n = rows_of(device, n_rows), n_out = matrix->n_rows;
    (void)b;
    product(device, matrix, y->act, n, device->scratch->y);
    NPU_OP(device, aclnnInplaceAdd, npu_tensor(device, x->f32, ACL_FLOAT, NPU_DIMS(n, n_out)),
           npu_tensor(device, device->scratch->y, device->act, NPU_DIMS(n, n_out)),
           npu_scalar(device, 1));
}

void npu_qkv(struct device *base, const struct layer_weights *layer, const struct device_buffer *t,
             struct device_buffer *q, struct device_buffer *k, struct device_buffer *v)
{
    struct npu_device *device = npu_device_of(base);
    const struct npu_layer *w = &device->weights.layers[npu_layer_of(device, layer)];
    int64_t n = rows_of(device, device->step->n_tokens);
    product(device, &w->q, t->act, n, q->act);
    product(device, &w->k, t->act, n, k->act);
    product(device, &w->v, t->act, n, v->act);
}

void npu_gather(struct device *base, const struct device_buffer *x, const uint32_t *rows,
                size_t n_rows, struct device_buffer *out)
{
    struct npu_device *device = npu_device_of(base);
    int64_t n_hidden = device->config->n_hidden, n = rows_of(device, n_rows);
    int64_t n_tokens = rows_of(device, device->step->n_tokens);
    int64_t first = rows - device->step->outputs;
    NPU_OP(device, aclnnIndexSelect,
           npu_tensor(device, x->f32, ACL_FLOAT, NPU_DIMS(n_tokens, n_hidden)), 0,
           npu_part(device, device->in.rows, ACL_INT64, first, n, 0),
           npu_tensor(device, out->f32, ACL_FLOAT, NPU_DIMS(n, n_hidden)));
}

void npu_best_find(struct device *base, const struct device_buffer *x, size_t n_rows, size_t n)
{
    struct npu_device *device = npu_device_of(base);
    int64_t rows = rows_of(device, n_rows), cols = (int64_t)n;
    NPU_OP(device, aclnnArgMax, npu_tensor(device, x->act, device->act, NPU_DIMS(rows, cols)), 1,
           false, npu_tensor(device, device->scratch->best, ACL_INT32, NPU_DIMS(rows)));
}

/* ---- positions, keys and values -------------------------------------------------------------- */

/* (a, b) -> (a cos - b sin, b cos + a sin) of the two halves of each head, by small operators. */
static void rotate(struct npu_device *device, const void *x, int64_t n, int64_t n_heads, void *out)
{
    int64_t half = device->config->head_dim / 2, row = n_heads * 2 * half;
    const int64_t dims[] = {n, n_heads, half}, strides[] = {row, 2 * half, 1};
    const int64_t table_dims[] = {n, 1, half}, table_strides[] = {2 * half, 2 * half, 1};
    void *products[] = {device->scratch->rope,
                        (uint8_t *)device->scratch->rope + (size_t)(n * n_heads * half) * 2};
    aclDataType act = device->act;
    for (int second = 0; second < 2; second++) {
        for (int i = 0; i < 2; i++) /* first: a cos, b sin; second: b cos, a sin */
            NPU_OP(
                device, aclnnMul, npu_view(device, x, act, dims, strides, 3, second ^ i ? half : 0),
                npu_view(device, device->in.rope, act, table_dims, table_strides, 3, i ? half : 0),
                npu_tensor(device, products[i], act, dims, 3));
        NPU_OP(device, aclnnAdd, npu_tensor(device, products[0], act, dims, 3),
               npu_tensor(device, products[1], act, dims, 3), npu_scalar(device, second ? 1 : -1),
               npu_view(device, out, act, dims, strides, 3, second ? half : 0));
    }
}

static void store(struct npu_device *device, const void *values, int64_t n, uint8_t *to,
                  const struct kv_pool *pool, const int64_t *slots)
{
    int64_t row = (int64_t)device->config->n_kv_heads * device->config->head_dim;
    int64_t n_slots = (int64_t)pool->n_pages * NPU_PAGE;
    NPU_OP(device, aclnnScatterNdUpdate,
           npu_tensor(device, to, device->act, NPU_DIMS(n_slots, row)),
           npu_tensor(device, slots, ACL_INT64, NPU_DIMS(n, 1)),
           npu_tensor(device, values, device->act, NPU_DIMS(n, row)));
}

void npu_rope_store(struct device *base, struct device_buffer *q, struct device_buffer *k,
                    const struct device_buffer *v, struct kv_pool *pool, uint32_t layer,
                    bool window)
{
    struct npu_device *device = npu_device_of(base);
    const struct model_config *config = device->config;
    struct npu_scratch *s = device->scratch;
    int64_t n = rows_of(device, device->step->n_tokens), d = config->head_dim;
    int64_t q_row = config->n_heads * d, kv_row = config->n_kv_heads * d;
    aclDataType act = device->act;
    if (device->use_rope_cache) {
        /* The step's own table is the cache, its rows the positions. */
        NPU_OP(device, aclnnRopeWithSinCosCache,
               npu_tensor(device, s->numbers, ACL_INT64, NPU_DIMS(n)),
               npu_tensor(device, q->act, act, NPU_DIMS(n, q_row)),
               npu_tensor(device, k->act, act, NPU_DIMS(n, kv_row)),
               npu_tensor(device, device->in.rope, act, NPU_DIMS(n, d)), NULL, d, true,
               npu_tensor(device, s->q, act, NPU_DIMS(n, q_row)),
               npu_tensor(device, s->k, act, NPU_DIMS(n, kv_row)));
    } else {
        rotate(device, q->act, n, config->n_heads, s->q);
        rotate(device, k->act, n, config->n_kv_heads, s->k);
    }
    uint8_t *keys = pool->k + layer * pool->layer_bytes;
    uint8_t *values = pool->v + layer * pool->layer_bytes;
    const int64_t *slots = device->in.slots[window ? WINDOW : FULL];
    if (!device->use_paged_scatter) {
        store(device, s->k, n, keys, pool, slots);
        store(device, v->act, n, values, pool, slots);
        return;
    }
    char cache_mode[] = "Norm", scatter_mode[] = "None";
    const int64_t pages[] = {(int64_t)pool->n_pages, NPU_PAGE, config->n_kv_heads, d};
    const int64_t rows[] = {n, config->n_kv_heads, d};
    NPU_OP(device, aclnnScatterPaKvCache, npu_tensor(device, s->k, act, rows, 3),
           npu_tensor(device, keys, act, pages, 4),
           npu_tensor(device, slots, ACL_INT64, NPU_DIMS(n)),
           npu_tensor(device, v->act, act, rows, 3), npu_tensor(device, values, act, pages, 4),
           NULL, NULL, NULL, cache_mode, scatter_mode, npu_ints(device, (const int64_t[]){1, 1}, 2),
           npu_ints(device, (const int64_t[]){0, 0}, 2));
}
