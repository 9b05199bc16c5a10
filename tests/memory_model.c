/* memory_model.c - models in memory. */
#include "memory_model.h"

#include "base/gguf_file.h"
#include "model/bind.h"
#include "model/gguf.h"
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

static double read_matrix(const struct matrix *m)
{
    double sum = 0;
    float *row = malloc(m->n_cols * sizeof *row);
    if (!row) return 0;
    for (uint32_t i = 0; i < m->n_rows; i++) {
        matrix_row(m, i, row);
        for (uint32_t j = 0; j < m->n_cols; j++) sum += row[j];
    }
    free(row);
    return sum;
}

static double read_vector(const struct vector *v)
{
    double sum = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        float x;
        vector_read(v, i, 1, &x);
        sum += x;
    }
    return sum;
}

static double read_layer(const struct layer_weights *l, uint32_t n_experts)
{
    const struct matrix *matrices[] = {&l->q, &l->k, &l->v, &l->o, &l->router};
    const struct vector *vectors[] = {&l->attn_norm, &l->q_bias, &l->k_bias,   &l->v_bias,
                                      &l->sinks,     &l->o_bias, &l->mlp_norm, &l->router_bias};
    double sum = 0;
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) sum += read_matrix(matrices[i]);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) sum += read_vector(vectors[i]);
    for (uint32_t e = 0; e < n_experts; e++) {
        const struct expert_weights *x = &l->experts[e];
        sum += read_matrix(&x->gate) + read_matrix(&x->up) + read_matrix(&x->down);
        sum += read_vector(&x->gate_bias) + read_vector(&x->up_bias) + read_vector(&x->down_bias);
    }
    return sum;
}

double read_all_weights(const struct model *model)
{
    const struct weights *w = &model->weights;
    double sum =
        read_matrix(&w->embedding) + read_matrix(&w->output) + read_vector(&w->output_norm);
    for (uint32_t i = 0; i < model->config.n_layers; i++)
        sum += read_layer(&w->layers[i], model->config.n_experts);
    return sum;
}

static enum vinci_status index_gguf(struct model *model, const struct file_map *map,
                                    struct vinci_error *err)
{
    struct gguf_file *file = NULL;
    enum vinci_status status = gguf_file_read(&file, map, err);
    if (status) return status;
    model->container = VINCI_CONTAINER_GGUF;
    status = gguf_add(&model->index, file, map, err);
    if (status == VINCI_OK) status = tensor_index_finish(&model->index, err);
    if (status == VINCI_OK) {
        const struct tensor *embedding = tensor_index_find(&model->index, "token_embd.weight");
        status = config_from_gguf(&model->config, file, embedding ? embedding->shape[0] : 0, err);
    }
    model->config.tied_embeddings = !tensor_index_find(&model->index, "output.weight");
    gguf_file_free(file);
    return status;
}

static enum vinci_status index_safetensors(struct model *model, const char *config, size_t n_config,
                                           const struct file_map *map, struct vinci_error *err)
{
    enum vinci_status status = config_from_json(&model->config, config, n_config, "memory", err);
    if (status == VINCI_OK) status = safetensors_add(&model->index, map, err);
    if (status == VINCI_OK) status = tensor_index_finish(&model->index, err);
    model->container = tensor_index_find(&model->index, "embedding.weight")
                           ? VINCI_CONTAINER_ORIGINAL
                           : VINCI_CONTAINER_HF;
    return status;
}

enum vinci_status memory_model_try(const char *config, size_t n_config, const void *bytes, size_t n,
                                   struct vinci_error *err)
{
    static char path[] = "memory";
    struct model model = {.path = path};
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) return fail_memory(err, n, path);
    if (n) memcpy(copy, bytes, n);
    struct file_map map = {.data = n ? copy : NULL, .size = n, .fd = -1, .path = path};
    enum vinci_status status = config ? index_safetensors(&model, config, n_config, &map, err)
                                      : index_gguf(&model, &map, err);
    if (status == VINCI_OK) status = weights_bind(&model, NULL, err);
    if (status == VINCI_OK) {
        volatile double sum = read_all_weights(&model);
        (void)sum;
    }
    weights_free(&model);
    tensor_index_free(&model.index);
    free(copy);
    return status;
}
