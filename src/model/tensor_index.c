/* tensor_index.c - the tensors of a model's files, found by name. */
#include "model/tensor_index.h"

#include "base/buf.h"
#include "base/lfs_pointer.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 255 };

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

struct tensor *tensor_index_find(const struct tensor_index *index, const char *name)
{
    size_t low = 0, high = index->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, index->tensors[middle].name);
        if (order == 0) return &index->tensors[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}

void tensor_index_free(struct tensor_index *index)
{
    for (size_t i = 0; i < index->n_tensors; i++) free(index->tensors[i].name);
    for (size_t i = 0; i < index->n_files; i++) file_map_close(index->files[i]);
    free(index->tensors);
    free(index->files);
    *index = (struct tensor_index){0};
}

enum vinci_status tensor_index_map(struct tensor_index *index, const char *path,
                                   const struct file_map **map, struct vinci_error *err)
{
    *map = NULL;
    size_t n_bytes = (index->n_files + 1) * sizeof *index->files;
    struct file_map **files = realloc(index->files, n_bytes);
    if (!files) return fail_memory(err, n_bytes, "the list of files");
    index->files = files;
    struct file_map *file = NULL;
    enum vinci_status status = file_map_open(&file, path, err);
    if (status) return status;
    index->files[index->n_files++] = file;
    if (file->size == 0)
        return fail(err, VINCI_BAD_FILE, "%s: the file is empty; fetch it again", path);
    status = lfs_pointer_check(file, err);
    if (status) return status;
    *map = file;
    return VINCI_OK;
}

enum vinci_status tensor_index_reserve(struct tensor_index *index, size_t n,
                                       struct vinci_error *err)
{
    size_t n_bytes = SIZE_MAX;
    struct tensor *tensors = NULL;
    if (size_add(index->n_tensors, n, &n) && size_mul(n ? n : 1, sizeof *tensors, &n_bytes))
        tensors = realloc(index->tensors, n_bytes);
    if (!tensors) return fail_memory(err, n_bytes, "the tensor index");
    index->tensors = tensors;
    return VINCI_OK;
}

enum vinci_status tensor_index_add(struct tensor_index *index, const struct tensor *tensor,
                                   const char *name, size_t n_name, struct vinci_error *err)
{
    bool sound = n_name > 0 && n_name <= NAME_BYTES_MAX;
    for (size_t i = 0; sound && i < n_name; i++) sound = name[i] > ' ' && name[i] <= '~';
    if (!sound)
        return fail(err, VINCI_BAD_FILE,
                    "%s: tensor %zu: expected a name of 1 to %d printable characters",
                    tensor->file->path, index->n_tensors, NAME_BYTES_MAX);
    char *copy = text_copy(name, n_name);
    if (!copy) return fail_memory(err, n_name + 1, "a tensor's name");
    struct tensor *added = &index->tensors[index->n_tensors++];
    *added = *tensor;
    added->name = copy;
    return VINCI_OK;
}

/* By file, then by place. Files are compared by address: any fixed order will do. */
static int compare_places(const void *a, const void *b)
{
    const struct tensor *s = *(const struct tensor *const *)a,
                        *t = *(const struct tensor *const *)b;
    uintptr_t file_s = (uintptr_t)s->file, file_t = (uintptr_t)t->file;
    if (file_s != file_t) return file_s < file_t ? -1 : 1;
    if (s->data != t->data) return s->data < t->data ? -1 : 1;
    return (s->n_bytes > t->n_bytes) - (s->n_bytes < t->n_bytes);
}

static enum vinci_status check_overlaps(const struct tensor_index *index, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    const struct tensor **order = array_new(index->n_tensors, sizeof *order);
    if (!order) return fail_memory(err, index->n_tensors * sizeof *order, "the tensor index");
    for (size_t i = 0; i < index->n_tensors; i++) order[i] = &index->tensors[i];
    qsort(order, index->n_tensors, sizeof *order, compare_places);
    for (size_t i = 1; i < index->n_tensors && status == VINCI_OK; i++) {
        const struct tensor *a = order[i - 1], *b = order[i];
        if (a->file == b->file && a->n_bytes > (size_t)(b->data - a->data))
            status = fail(err, VINCI_BAD_FILE,
                          "%s: tensors %s and %s share bytes; the file is damaged: fetch it again",
                          a->file->path, a->name, b->name);
    }
    free(order);
    return status;
}

enum vinci_status tensor_index_finish(struct tensor_index *index, struct vinci_error *err)
{
    if (!index->n_tensors) return VINCI_OK;
    qsort(index->tensors, index->n_tensors, sizeof *index->tensors, compare_names);
    for (size_t i = 1; i < index->n_tensors; i++) {
        const struct tensor *a = &index->tensors[i - 1], *b = &index->tensors[i];
        if (strcmp(a->name, b->name) == 0)
            return fail(err, VINCI_BAD_FILE, "tensor %s stands twice: in %s and in %s", a->name,
                        a->file->path, b->file->path);
    }
    return check_overlaps(index, err);
}
