/* model.c - opens a model: finds its files, indexes the tensors, reads the configuration, binds the
 * weights. Nothing but headers is read, so this takes milliseconds whatever the model's size (dense
 * experts that must be transposed excepted: bind.c). */
#include "base/buf.h"
#include "base/lfs_pointer.h"
#include "model/bind.h"
#include "model/gguf.h"
#include "model/model_files.h"
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

static enum vinci_status read_config(struct model_config *config, const char *path,
                                     struct vinci_error *err)
{
    struct file_map *map = NULL;
    enum vinci_status status = file_map_open(&map, path, err);
    if (status == VINCI_OK) status = lfs_pointer_check(map, err);
    if (status == VINCI_OK)
        status = config_from_json(config, (const char *)map->data, map->size, path, err);
    file_map_close(map);
    return status;
}

static enum vinci_status set_tokenizer(struct model *model, const char *path,
                                       struct vinci_error *err)
{
    model->tokenizer = text_copy(path, strlen(path));
    return model->tokenizer ? VINCI_OK : fail_memory(err, strlen(path), "a path");
}

static enum vinci_status open_safetensors(struct model *model, const struct model_files *files,
                                          struct vinci_error *err)
{
    enum vinci_status status = read_config(&model->config, files->config, err);
    if (status) return status;
    status = files->kind == MODEL_FILES_SHARDS
                 ? safetensors_open_shards(&model->index, files->weights, err)
                 : safetensors_open(&model->index, files->weights, err);
    if (status) return status;
    bool original = tensor_index_find(&model->index, "embedding.weight") != NULL;
    model->container = original ? VINCI_CONTAINER_ORIGINAL : VINCI_CONTAINER_HF;
    return VINCI_OK;
}

static enum vinci_status open_gguf(struct model *model, const struct model_files *files,
                                   struct vinci_error *err)
{
    struct gguf_file *first = NULL;
    enum vinci_status status = gguf_open(&model->index, &first, files->weights, err);
    if (status) return status;
    model->container = VINCI_CONTAINER_GGUF;
    const struct tensor *embedding = tensor_index_find(&model->index, "token_embd.weight");
    if (!embedding)
        status = fail(err, VINCI_BAD_FILE,
                      "%s: tensor token_embd.weight is missing; expected a whole gpt-oss model",
                      first->path);
    /* Two dimensions are checked with the shape; until then the outermost one will do. */
    if (status == VINCI_OK)
        status = config_from_gguf(&model->config, first, embedding->shape[0], err);
    model->config.tied_embeddings = !tensor_index_find(&model->index, "output.weight");
    if (status == VINCI_OK && gguf_find(first, "tokenizer.ggml.tokens"))
        status = set_tokenizer(model, first->path, err);
    gguf_file_free(first);
    return status;
}

/* The model can be used by token ids without it, so this is only said. */
static enum vinci_status check_tokenizer(const struct model *model, const struct log *log,
                                         struct vinci_error *err)
{
    struct vinci_error why = {0};
    struct file_map *map = NULL;
    if (!model->tokenizer) return VINCI_OK;
    enum vinci_status status = file_map_open(&map, model->tokenizer, &why);
    if (status == VINCI_OK) status = lfs_pointer_check(map, &why);
    file_map_close(map);
    if (status == VINCI_NO_MEMORY) return fail(err, status, "%s", why.text);
    if (status) log_message(log, VINCI_LOG_WARN, "%s", why.text);
    return VINCI_OK;
}

enum vinci_status model_open(struct model **out, const char *path, const struct log *log,
                             struct vinci_error *err)
{
    struct model_files files = {0};
    struct model *model = NULL;
    *out = NULL;
    enum vinci_status status = model_files_find(&files, path, err);
    if (status) goto cleanup;
    model = array_new_zero(1, sizeof *model);
    if (!model) {
        status = fail_memory(err, sizeof *model, "the model");
        goto cleanup;
    }
    model->path = text_copy(path, strlen(path));
    if (!model->path) {
        status = fail_memory(err, strlen(path), "a path");
        goto cleanup;
    }
    status = files.kind == MODEL_FILES_GGUF ? open_gguf(model, &files, err)
                                            : open_safetensors(model, &files, err);
    if (status) goto cleanup;
    status = weights_bind(model, log, err);
    if (status) goto cleanup;
    if (!model->tokenizer && files.tokenizer) status = set_tokenizer(model, files.tokenizer, err);
    if (status) goto cleanup;
    status = check_tokenizer(model, log, err);
    if (status) goto cleanup;
    *out = model;
    model = NULL;
cleanup:
    model_close(model);
    model_files_free(&files);
    return status;
}

void model_close(struct model *model)
{
    if (!model) return;
    weights_free(model);
    tensor_index_free(&model->index);
    free(model->path);
    free(model->tokenizer);
    free(model);
}

enum vinci_status model_check_files(const struct model *model, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    for (size_t i = 0; i < model->index.n_files && status == VINCI_OK; i++)
        status = file_map_check(model->index.files[i], err);
    return status;
}
