/* describe.c - what `vinci info` says about a model: its shape, and what it costs in memory and in
 * bytes read. All figures follow from the configuration and the file's headers. */
#include "model/weights.h"

#include <stdio.h>
#include <string.h>

/* Every weight counts once; what `n_experts` experts a layer have counts as the parameters of a
 * model that has no others. The embedding is looked up, not multiplied: the usual figures for
 * active parameters leave it out, and count the output matrix. */
static uint64_t count_params(const struct model_config *c, uint64_t n_experts, bool embedding)
{
    uint64_t h = c->n_hidden, inter = c->n_intermediate;
    uint64_t n_q = (uint64_t)c->n_heads * c->head_dim, n_kv = (uint64_t)c->n_kv_heads * c->head_dim;
    uint64_t attention = (h + 1) * (n_q + 2 * n_kv) + (n_q + 1) * h + c->n_heads;
    uint64_t router = (h + 1) * c->n_experts;
    uint64_t expert = (h + 1) * 2 * inter + (inter + 1) * h;
    uint64_t layer = 2 * h + attention + router + n_experts * expert;
    return c->n_layers * layer + h + c->n_vocab * h * (embedding ? 2 : 1);
}

/* Matrices that a token passes through: all of a layer, but only the experts in use, and one row of
 * the embedding. */
static uint64_t bytes_per_token(const struct model *model, uint64_t *bytes_per_expert)
{
    const struct model_config *c = &model->config;
    const struct weights *w = &model->weights;
    uint64_t n = matrix_bytes(&w->output) + matrix_bytes(&w->embedding) / c->n_vocab;
    *bytes_per_expert = 0;
    for (uint32_t i = 0; i < c->n_layers; i++) {
        const struct layer_weights *l = &w->layers[i];
        const struct expert_weights *e = &l->experts[0];
        n += matrix_bytes(&l->q) + matrix_bytes(&l->k) + matrix_bytes(&l->v) + matrix_bytes(&l->o) +
             matrix_bytes(&l->router);
        *bytes_per_expert += matrix_bytes(&e->gate) + matrix_bytes(&e->up) + matrix_bytes(&e->down);
    }
    n += c->n_experts_used * *bytes_per_expert;
    return n;
}

static void count_dtypes(const struct model *model, struct vinci_model_info *info)
{
    for (size_t i = 0; i < model->index.n_tensors; i++) {
        const struct tensor *tensor = &model->index.tensors[i];
        if (!tensor->bound) continue;
        /* Blocks and scales are two tensors of bytes. */
        const char *name = dtype_name(tensor->dtype == DTYPE_U8 ? DTYPE_MXFP4 : tensor->dtype);
        uint32_t k = 0;
        while (k < info->n_dtypes && strcmp(info->dtypes[k].name, name) != 0) k++;
        if (k == VINCI_DTYPE_COUNT_MAX) continue; /* there are fewer names than that */
        if (k == info->n_dtypes) {
            info->n_dtypes++;
            snprintf(info->dtypes[k].name, sizeof info->dtypes[k].name, "%s", name);
        }
        info->dtypes[k].n_tensors++;
        info->dtypes[k].bytes += tensor->n_bytes;
        info->weight_bytes += tensor->n_bytes;
    }
}

void model_describe(const struct model *model, struct vinci_model_info *info)
{
    const struct model_config *c = &model->config;
    *info = (struct vinci_model_info){
        .container = model->container,
        .n_files = (uint32_t)model->index.n_files,
        .n_tensors = (uint32_t)model->index.n_tensors,
        .n_layers = c->n_layers,
        .n_hidden = c->n_hidden,
        .n_intermediate = c->n_intermediate,
        .n_vocab = c->n_vocab,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .n_experts = c->n_experts,
        .n_experts_used = c->n_experts_used,
        .sliding_window = c->sliding_window,
        .n_ctx_max = c->n_ctx_max,
        .rope_theta = (float)c->rope.theta,
        .rope_factor = c->rope.yarn ? (float)c->rope.factor : 1.0f,
        .rope_yarn = c->rope.yarn,
        .tied_embeddings = c->tied_embeddings,
        .rms_norm_eps = c->rms_norm_eps,
        .swiglu_limit = c->swiglu_limit,
        .n_params = count_params(c, c->n_experts, !c->tied_embeddings),
        .n_params_active = count_params(c, c->n_experts_used, false),
        .converted_bytes = model->converted_bytes,
    };
    info->bytes_per_token = bytes_per_token(model, &info->bytes_per_expert);
    snprintf(info->path, sizeof info->path, "%s", model->path);
    if (model->tokenizer) snprintf(info->tokenizer, sizeof info->tokenizer, "%s", model->tokenizer);
    for (size_t i = 0; i < model->index.n_files; i++)
        info->file_bytes += model->index.files[i]->size;
    for (uint32_t i = 0; i < c->n_layers; i++) info->n_sliding_layers += c->layer_is_sliding[i];
    uint64_t kv_row = 2 * 2 * (uint64_t)c->n_kv_heads * c->head_dim; /* K and V, f16 */
    info->kv_bytes_per_token = kv_row * (c->n_layers - info->n_sliding_layers);
    info->kv_window_bytes = kv_row * info->n_sliding_layers * c->sliding_window;
    count_dtypes(model, info);
}

enum vinci_status vinci_model_describe(const char *path, struct vinci_model_info *info,
                                       vinci_log_fn *log, void *log_user, struct vinci_error *err)
{
    struct model *model = NULL;
    struct log sink = {log, log_user};
    *info = (struct vinci_model_info){0};
    enum vinci_status status = model_open(&model, path, &sink, err);
    if (status == VINCI_OK) model_describe(model, info);
    model_close(model);
    return status;
}
