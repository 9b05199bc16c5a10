/* weights.c - the model's weights on the device, expanded on the way.
 *
 * The upload is a pipeline: host threads expand a piece from the mapped file into pinned memory
 * while the pieces before it are copied on a stream of their own. What is stored:
 *
 *   embeddings, attention, output   act
 *   norms, sinks, router            float32
 *   experts, dense                  [E, n_out, n_in] act; FP4 times a power of two is exact in BF16
 *   experts, compact                INT4 [E, 2 n_in, n_out] and scales: see experts.c
 *
 * The gates of an expert stand before its ups, so that both are plain views of one product. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/lang.h"
#include "device/npu/npu.h"
#include "model/formats.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_STAGING = 3, STAGING_BYTES = 32 << 20, LOG_STEPS = 10 };

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
static void convert_row(const struct matrix *w, size_t row, aclDataType dtype, void *out)
{
    float x[MAX_HIDDEN];
    if (w->dtype == DTYPE_BF16 && dtype == ACL_BF16) {
        memcpy(out, w->data + row * w->row_stride, (size_t)w->n_cols * 2);
        return;
    }
    matrix_row(w, row, x);
    npu_from_float(dtype, x, w->n_cols, out);
}

/* ---- the pipeline -------------------------------------------------------------------------- */

struct upload {
    struct npu_device *device;
    uint8_t *staging[N_STAGING];
    aclrtEvent events[N_STAGING];
    bool busy[N_STAGING];
    unsigned next;
    uint64_t done, total, reported;
    double start;
};

/* Writes item i of what is uploaded. */
typedef void fill_fn(const void *ctx, size_t i, void *out);

struct fill_job {
    fill_fn *fill;
    const void *ctx;
    size_t first, item_bytes;
    uint8_t *out;
};

static void fill_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct fill_job *job = ctx;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        job->fill(job->ctx, job->first + i, job->out + i * job->item_bytes);
}

static void report(struct upload *upload)
{
    uint64_t percent = upload->total ? 100 * upload->done / upload->total : 100;
    if (percent < upload->reported + 100 / LOG_STEPS || percent >= 100) return;
    upload->reported = percent;
    log_message(&upload->device->log, VINCI_LOG_INFO, _("%s: weights %u %%, %.1f GB/s"),
                upload->device->base.name, (unsigned)percent,
                (double)upload->done * 1e-9 / (seconds_now() - upload->start));
}

static void upload_items(struct upload *upload, void *to, size_t n_items, size_t item_bytes,
                         fill_fn *fill, const void *ctx)
{
    struct npu_device *device = upload->device;
    const struct cann *cann = device->cann;
    size_t piece = STAGING_BYTES / item_bytes;
    for (size_t i = 0; i < n_items && device->status == VINCI_OK; i += piece) {
        unsigned slot = upload->next;
        size_t n = n_items - i < piece ? n_items - i : piece;
        upload->next = (slot + 1) % N_STAGING;
        if (upload->busy[slot])
            npu_check(device, cann->aclrtSynchronizeEvent(upload->events[slot]),
                      "aclrtSynchronizeEvent");
        struct fill_job job = {fill, ctx, i, item_bytes, upload->staging[slot]};
        parallel_for(device->pool, n, item_bytes > 4096 ? 4 : 64, fill_task, &job);
        if (device->status == VINCI_OK)
            npu_check(device,
                      cann->aclrtMemcpyAsync((uint8_t *)to + i * item_bytes, n * item_bytes,
                                             upload->staging[slot], n * item_bytes,
                                             ACL_MEMCPY_HOST_TO_DEVICE, device->copy_stream),
                      "aclrtMemcpyAsync");
        if (device->status == VINCI_OK)
            npu_check(device, cann->aclrtRecordEvent(upload->events[slot], device->copy_stream),
                      "aclrtRecordEvent");
        upload->busy[slot] = true;
        upload->done += n * item_bytes;
        report(upload);
    }
}

/* ---- matrices and vectors ------------------------------------------------------------------ */

struct matrix_source {
    const struct matrix *w;
    aclDataType dtype;
};

static void fill_matrix(const void *ctx, size_t i, void *out)
{
    const struct matrix_source *source = ctx;
    convert_row(source->w, i, source->dtype, out);
}

struct vector_source {
    const struct vector *v;
    aclDataType dtype;
};

static void fill_vector(const void *ctx, size_t i, void *out)
{
    const struct vector_source *source = ctx;
    float x;
    vector_read(source->v, i, 1, &x);
    npu_from_float(source->dtype, &x, 1, out);
}

static void *put_vector(struct upload *upload, const struct vector *v, aclDataType dtype)
{
    size_t size = npu_dtype_bytes(dtype);
    void *to = npu_alloc(upload->device, v->n * size, _("the weights"));
    struct vector_source source = {v, dtype};
    upload_items(upload, to, v->n, size, fill_vector, &source);
    return to;
}

static void *put_rows(struct upload *upload, const struct matrix *w, aclDataType dtype)
{
    size_t row_bytes = w->n_cols * npu_dtype_bytes(dtype);
    void *to = npu_alloc(upload->device, w->n_rows * row_bytes, _("the weights"));
    struct matrix_source source = {w, dtype};
    upload_items(upload, to, w->n_rows, row_bytes, fill_matrix, &source);
    return to;
}

static struct npu_matrix put_matrix(struct upload *upload, const struct matrix *w,
                                    const struct vector *bias, aclDataType dtype)
{
    struct npu_matrix matrix = {.dtype = dtype, .n_rows = w->n_rows, .n_cols = w->n_cols};
    matrix.data = put_rows(upload, w, dtype);
    if (bias) matrix.bias = put_vector(upload, bias, dtype);
    return matrix;
}

/* ---- experts ------------------------------------------------------------------------------- */

struct expert_source {
    const struct expert_weights *experts;
    bool gate_up;
    uint32_t n_in, n_out;
    aclDataType dtype;
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

static void fill_expert_row(const void *ctx, size_t i, void *out)
{
    const struct expert_source *source = ctx;
    size_t row = i % source->n_out;
    const struct matrix *w = row_of(source, i / source->n_out, &row);
    convert_row(w, row, source->dtype, out);
}

static void fill_expert_bias(const void *ctx, size_t i, void *out)
{
    const struct expert_source *source = ctx;
    size_t row = i % source->n_out;
    const struct expert_weights *w = &source->experts[i / source->n_out];
    const struct vector *v = source->gate_up ? &w->gate_bias : &w->down_bias;
    float x;
    if (source->gate_up && row >= w->gate_bias.n) {
        row -= w->gate_bias.n;
        v = &w->up_bias;
    }
    vector_read(v, row, 1, &x);
    npu_from_float(source->dtype, &x, 1, out);
}

/* The nibbles of a block of 32 in order, and its scale's bits. */
static uint8_t read_block(const struct matrix *w, size_t row, size_t block, uint8_t codes[32])
{
    bool gguf = w->dtype == DTYPE_MXFP4_GGUF;
    const uint8_t *p = w->data + row * w->row_stride + block * (gguf ? 17 : 16);
    uint8_t scale = gguf ? p[0] : w->scales[row * w->scale_stride + block];
    for (int j = 0; j < 16; j++) {
        uint8_t byte = p[gguf + j];
        codes[gguf ? j : 2 * j] = byte & 15;
        codes[gguf ? j + 16 : 2 * j + 1] = byte >> 4;
    }
    return scale;
}

/* Item i: 32 rows of the stored [2 n_in, n_out], one quantisation block of every output. */
static void fill_compact(const void *ctx, size_t i, void *out)
{
    const struct expert_source *source = ctx;
    size_t blocks = source->n_in / QUANT_BLOCK, in_expert = i % (2 * blocks);
    bool second = in_expert >= blocks;
    size_t expert = i / (2 * blocks), block = in_expert % blocks, row_bytes = source->n_out / 2;
    uint8_t *nibbles = out, codes[2][32];
    for (size_t o = 0; o < source->n_out; o += 2) {
        for (size_t half = 0; half < 2; half++) {
            size_t row = o + half;
            const struct matrix *w = row_of(source, expert, &row);
            read_block(w, row, block, codes[half]);
        }
        for (size_t j = 0; j < 32; j++) {
            int low = FP4_DOUBLED[codes[0][j]], high = FP4_DOUBLED[codes[1][j]];
            low = second ? low % 2 : low / 2; /* 2 (v / 2) + v % 2, both towards zero */
            high = second ? high % 2 : high / 2;
            nibbles[j * row_bytes + o / 2] = (uint8_t)((low & 15) | (high & 15) << 4);
        }
    }
}

/* Item i: the scales of one quantisation block for every output. */
static void fill_scales(const void *ctx, size_t i, void *out)
{
    const struct expert_source *source = ctx;
    size_t blocks = source->n_in / QUANT_BLOCK, in_expert = i % (2 * blocks);
    bool second = in_expert >= blocks;
    uint16_t *scales = out;
    uint8_t codes[32];
    for (size_t o = 0; o < source->n_out; o++) {
        size_t row = o;
        const struct matrix *w = row_of(source, i / (2 * blocks), &row);
        float scale = float_from_e8m0((e8m0_t){read_block(w, row, in_expert % blocks, codes)});
        scales[o] = bf16_from_float(second ? scale * .5f : scale).bits;
    }
}

static size_t scale_bytes(size_t n_experts, size_t n_in, size_t n_out)
{
    return n_experts * (2 * n_in / QUANT_BLOCK) * n_out * 2;
}

static struct npu_experts put_experts(struct upload *upload, const struct layer_weights *layer,
                                      bool gate_up)
{
    struct npu_device *device = upload->device;
    const struct model_config *config = device->config;
    size_t e = config->n_experts;
    uint32_t n_in = gate_up ? config->n_hidden : config->n_intermediate;
    uint32_t n_out = gate_up ? 2 * config->n_intermediate : config->n_hidden;
    struct npu_experts experts = {.n_in = n_in, .n_out = n_out};
    struct expert_source source = {layer->experts, gate_up, n_in, n_out, device->act};
    if (device->compact) {
        size_t n_items = e * 2 * (n_in / QUANT_BLOCK), bytes = (size_t)QUANT_BLOCK * n_out / 2;
        experts.data = npu_alloc(device, n_items * bytes, _("the weights"));
        upload_items(upload, experts.data, n_items, bytes, fill_compact, &source);
        experts.scales = npu_alloc(device, scale_bytes(e, n_in, n_out), _("the weights"));
        upload_items(upload, experts.scales, n_items, (size_t)n_out * 2, fill_scales, &source);
    } else {
        experts.data = npu_alloc(device, e * n_out * n_in * 2, _("the weights"));
        upload_items(upload, experts.data, e * n_out, (size_t)n_in * 2, fill_expert_row, &source);
    }
    source.dtype = device->act == ACL_BF16 ? ACL_FLOAT : device->act;
    size_t size = npu_dtype_bytes(source.dtype);
    experts.bias = npu_alloc(device, e * n_out * size, _("the weights"));
    upload_items(upload, experts.bias, e * n_out, size, fill_expert_bias, &source);
    return experts;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void put_layer(struct upload *upload, const struct layer_weights *w, struct npu_layer *layer)
{
    aclDataType act = upload->device->act;
    layer->attn_norm = put_vector(upload, &w->attn_norm, ACL_FLOAT);
    layer->mlp_norm = put_vector(upload, &w->mlp_norm, ACL_FLOAT);
    layer->q = put_matrix(upload, &w->q, &w->q_bias, act);
    layer->k = put_matrix(upload, &w->k, &w->k_bias, act);
    layer->v = put_matrix(upload, &w->v, &w->v_bias, act);
    layer->o = put_matrix(upload, &w->o, &w->o_bias, act);
    layer->router = put_matrix(upload, &w->router, &w->router_bias, ACL_FLOAT);
    layer->sinks = put_vector(upload, &w->sinks, ACL_FLOAT);
    layer->sinks_act = put_vector(upload, &w->sinks, ACL_BF16);
    layer->gate_up = put_experts(upload, w, true);
    layer->down = put_experts(upload, w, false);
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

static void start_upload(struct upload *upload, struct npu_device *device)
{
    *upload = (struct upload){.device = device,
                              .total = npu_weights_bytes(device->model, device->compact),
                              .start = seconds_now()};
    for (int i = 0; i < N_STAGING && device->status == VINCI_OK; i++) {
        upload->staging[i] = npu_pinned(device, STAGING_BYTES);
        npu_check(device, device->cann->aclrtCreateEvent(&upload->events[i]), "aclrtCreateEvent");
    }
}

static void finish_upload(struct upload *upload)
{
    struct npu_device *device = upload->device;
    npu_check(device, device->cann->aclrtSynchronizeStream(device->copy_stream),
              "aclrtSynchronizeStream");
    double seconds = seconds_now() - upload->start;
    for (int i = 0; i < N_STAGING; i++) {
        if (upload->events[i]) device->cann->aclrtDestroyEvent(upload->events[i]);
        /* After a failure it may still be read: it goes with the device. */
        if (device->status == VINCI_OK) npu_release(device, upload->staging[i]);
    }
    if (device->status == VINCI_OK)
        log_message(&device->log, VINCI_LOG_INFO, _("%s: %.2f GB of weights in %.1f s, %.1f GB/s"),
                    device->base.name, (double)upload->done * 1e-9, seconds,
                    (double)upload->done * 1e-9 / seconds);
}

void npu_weights_create(struct npu_device *device)
{
    const struct model *model = device->model;
    const struct model_config *config = &model->config;
    struct npu_weights *weights = &device->weights;
    struct upload upload;
    weights->layers = array_new_zero(config->n_layers, sizeof *weights->layers);
    if (!weights->layers) {
        device->status = fail_memory(&device->err, config->n_layers * sizeof *weights->layers,
                                     "the list of layers");
        return;
    }
    start_upload(&upload, device);
    if (device->compact) {
        size_t n = scale_bytes(config->n_experts, config->n_hidden, 2 * config->n_intermediate);
        size_t m = scale_bytes(config->n_experts, config->n_intermediate, config->n_hidden);
        n = n > m ? n : m;
        weights->zero_offsets = npu_alloc(device, n, _("the weights"));
        if (weights->zero_offsets) npu_clear(device, weights->zero_offsets, n);
    }
    weights->embedding = put_rows(&upload, &model->weights.embedding, device->act);
    if (model->weights.output.data == model->weights.embedding.data)
        weights->output = (struct npu_matrix){weights->embedding, device->act, config->n_vocab,
                                              config->n_hidden, NULL};
    else weights->output = put_matrix(&upload, &model->weights.output, NULL, device->act);
    weights->output_norm = put_vector(&upload, &model->weights.output_norm, ACL_FLOAT);
    for (uint32_t l = 0; l < config->n_layers && device->status == VINCI_OK; l++)
        put_layer(&upload, &model->weights.layers[l], &weights->layers[l]);
    finish_upload(&upload);
}
