/* safetensors.c - reads safetensors headers into a tensor index.
 *
 * A file is a u64 length, that many bytes of JSON and the tensors' bytes. The JSON maps names to
 * {"dtype", "shape", "data_offsets": [begin, end]}, offsets counted from the end of the header;
 * "__metadata__" is text for people. Holes between tensors are let pass, sharing bytes is not.
 * Shards are listed in an index file: {"weight_map": {tensor: file name}}. */
#include "model/safetensors.h"

#include "base/buf.h"
#include "base/lang.h"
#include "base/lfs_pointer.h"
#include "model/json_document.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES_MAX = 100 * 1000 * 1000, SHARDS_MAX = 4096 };

static const struct {
    const char *name;
    unsigned bits;
    enum dtype dtype;
} types[] = {
    {"F32", 32, DTYPE_F32},      {"F16", 16, DTYPE_F16},      {"BF16", 16, DTYPE_BF16},
    {"U8", 8, DTYPE_U8},         {"F8_E8M0", 8, DTYPE_U8},    {"I8", 8, DTYPE_OTHER},
    {"BOOL", 8, DTYPE_OTHER},    {"F8_E4M3", 8, DTYPE_OTHER}, {"F8_E5M2", 8, DTYPE_OTHER},
    {"I16", 16, DTYPE_OTHER},    {"U16", 16, DTYPE_OTHER},    {"I32", 32, DTYPE_OTHER},
    {"U32", 32, DTYPE_OTHER},    {"I64", 64, DTYPE_OTHER},    {"U64", 64, DTYPE_OTHER},
    {"F64", 64, DTYPE_OTHER},    {"C64", 64, DTYPE_OTHER},    {"F4", 4, DTYPE_OTHER},
    {"F6_E2M3", 6, DTYPE_OTHER}, {"F6_E3M2", 6, DTYPE_OTHER},
};

/* The n_dims numbers of a JSON array; false if one is not a number >= 0. */
static bool read_sizes(const json_t *array, size_t n, uint64_t *sizes)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
        sizes[i] = (uint64_t)json_integer_value(value);
    }
    return true;
}

/* The element count times the type's size; false, with SIZE_MAX, when that does not fit or is no
 * whole number of bytes. */
static bool tensor_bytes(const struct tensor *tensor, unsigned bits, size_t *n_bytes)
{
    size_t n = 1;
    *n_bytes = SIZE_MAX;
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        if (!size_mul(n, tensor->shape[i], &n)) return false;
    if (!size_mul(n, bits, &n) || n % 8) return false;
    *n_bytes = n / 8;
    return true;
}

static enum vinci_status add_tensor(struct tensor_index *index, const struct file_map *map,
                                    const char *name, const json_t *entry, const uint8_t *data,
                                    size_t n_data, struct vinci_error *err)
{
    const char *path = map->path, *type = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape = json_object_get(entry, "shape");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    uint64_t range[2];
    if (!type || !json_is_array(shape) || json_array_size(offsets) != 2 ||
        !read_sizes(offsets, 2, range))
        return fail(err, VINCI_BAD_FILE,
                    "%s: tensor %s: expected dtype, shape and two data_offsets in the header", path,
                    name);

    struct tensor tensor = {.file = map};
    unsigned bits = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].name) == 0) {
            tensor.dtype = types[i].dtype;
            tensor.type_name = types[i].name;
            bits = types[i].bits;
        }
    if (!bits)
        return fail(err, VINCI_BAD_FILE,
                    "%s: tensor %s: expected one of safetensors' dtypes (BF16, U8, F32, ...), got "
                    "%.40s",
                    path, name, type);

    if (json_array_size(shape) > TENSOR_DIMS_MAX ||
        !read_sizes(shape, json_array_size(shape), tensor.shape))
        return fail(err, VINCI_BAD_FILE,
                    "%s: tensor %s: expected a shape of up to %d sizes >= 0, got %zu entries or "
                    "others",
                    path, name, TENSOR_DIMS_MAX, json_array_size(shape));
    tensor.n_dims = (uint32_t)json_array_size(shape);
    if (range[0] > range[1] || range[1] > n_data)
        return fail(
            err, VINCI_BAD_FILE,
            "%s: tensor %s: expected data_offsets in order and within the %zu bytes of data, "
            "got [%" PRIu64 ", %" PRIu64 "]; the file is damaged or cut off: fetch it again",
            path, name, n_data, range[0], range[1]);
    if (!tensor_bytes(&tensor, bits, &tensor.n_bytes) || tensor.n_bytes != range[1] - range[0])
        return fail(err, VINCI_BAD_FILE,
                    "%s: tensor %s: expected %zu bytes for its shape as %s, got data_offsets over "
                    "%" PRIu64 " bytes",
                    path, name, tensor.n_bytes, type, range[1] - range[0]);
    tensor.data = data + range[0];
    return tensor_index_add(index, &tensor, name, strlen(name), err);
}

enum vinci_status safetensors_add(struct tensor_index *index, const struct file_map *map,
                                  struct vinci_error *err)
{
    uint64_t n_header = 0;
    if (map->size < sizeof n_header)
        return fail(err, VINCI_BAD_FILE,
                    "%s: expected a safetensors file, got %zu bytes; fetch it again", map->path,
                    map->size);
    memcpy(&n_header, map->data, sizeof n_header);
    size_t n_rest = map->size - sizeof n_header;
    if (n_header > n_rest || n_header > HEADER_BYTES_MAX)
        return fail(
            err, VINCI_BAD_FILE,
            "%s: expected a safetensors header of at most %zu bytes, got a length of %" PRIu64
            "; the file is damaged, cut off or no safetensors file",
            map->path, n_rest < HEADER_BYTES_MAX ? n_rest : (size_t)HEADER_BYTES_MAX, n_header);

    json_t *root = NULL;
    const uint8_t *header = map->data + sizeof n_header;
    enum vinci_status status = json_document_parse(&root, (const char *)header, (size_t)n_header,
                                                   map->path, "the safetensors header", err);
    if (status) return status;
    status = tensor_index_reserve(index, json_object_size(root), err);
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry)
    {
        if (status) break;
        if (strcmp(name, "__metadata__") == 0) continue;
        status =
            add_tensor(index, map, name, entry, header + n_header, n_rest - (size_t)n_header, err);
    }
    json_decref(root);
    return status;
}

enum vinci_status safetensors_open(struct tensor_index *index, const char *path,
                                   struct vinci_error *err)
{
    const struct file_map *map = NULL;
    *index = (struct tensor_index){0};
    enum vinci_status status = tensor_index_map(index, path, &map, err);
    if (status == VINCI_OK) status = safetensors_add(index, map, err);
    if (status == VINCI_OK) status = tensor_index_finish(index, err);
    if (status) tensor_index_free(index);
    return status;
}

/* ---- shards ------------------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different file names of a weight_map, sorted; *names borrows them from it. */
static enum vinci_status list_shards(const json_t *weight_map, const char *index_path,
                                     const char ***names, size_t *n_names, struct vinci_error *err)
{
    size_t n = 0, n_unique = 0;
    const char **list = array_new(json_object_size(weight_map), sizeof *list);
    if (!list) return fail_memory(err, json_object_size(weight_map) * sizeof *list, index_path);
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)weight_map, tensor, value)
    {
        const char *name = json_string_value(value);
        /* Files beside the index only: an index must not reach out of its folder. */
        if (!name || !*name || strchr(name, '/') || name[0] == '.') {
            free(list);
            return fail(err, VINCI_BAD_FILE, "%s: weight_map: %s: expected a file name, got %s",
                        index_path, tensor, name ? name : _("something else"));
        }
        list[n++] = name;
    }
    qsort(list, n, sizeof *list, compare_texts);
    for (size_t i = 0; i < n; i++)
        if (!i || strcmp(list[i], list[n_unique - 1]) != 0) list[n_unique++] = list[i];
    *names = list;
    *n_names = n_unique;
    return VINCI_OK;
}

static enum vinci_status open_shard(struct tensor_index *index, const char *index_path,
                                    const char *name, struct vinci_error *err)
{
    struct buf path = {0};
    const struct file_map *map = NULL;
    const char *slash = strrchr(index_path, '/');
    size_t n_folder = slash ? (size_t)(slash - index_path) + 1 : 0;
    enum vinci_status status = VINCI_OK;
    if (!buf_append(&path, index_path, n_folder) || !buf_append_text(&path, name))
        status = fail_memory(err, n_folder + strlen(name) + 1, index_path);
    if (status == VINCI_OK) status = tensor_index_map(index, path.data, &map, err);
    if (status == VINCI_NOT_FOUND)
        status = fail(err, status, "%s: there is no such file, but %s names it; fetch it again",
                      path.data, index_path);
    if (status == VINCI_OK) status = safetensors_add(index, map, err);
    buf_free(&path);
    return status;
}

enum vinci_status safetensors_open_shards(struct tensor_index *index, const char *index_path,
                                          struct vinci_error *err)
{
    struct file_map *map = NULL;
    json_t *root = NULL;
    const char **names = NULL;
    size_t n_names = 0;
    *index = (struct tensor_index){0};

    enum vinci_status status = file_map_open(&map, index_path, err);
    if (status) goto cleanup;
    status = lfs_pointer_check(map, err);
    if (status) goto cleanup;
    status = json_document_parse(&root, (const char *)map->data, map->size, index_path, "the index",
                                 err);
    if (status) goto cleanup;
    const json_t *weight_map = json_object_get(root, "weight_map");
    if (!json_is_object(weight_map) || json_object_size(weight_map) == 0) {
        status =
            fail(err, VINCI_BAD_FILE,
                 "%s: expected a weight_map that says which file holds which tensor", index_path);
        goto cleanup;
    }
    status = list_shards(weight_map, index_path, &names, &n_names, err);
    if (status) goto cleanup;
    if (n_names > SHARDS_MAX) {
        status = fail(err, VINCI_LIMIT, "%s: expected at most %d files, got %zu", index_path,
                      SHARDS_MAX, n_names);
        goto cleanup;
    }
    for (size_t i = 0; i < n_names && status == VINCI_OK; i++)
        status = open_shard(index, index_path, names[i], err);
    if (status == VINCI_OK) status = tensor_index_finish(index, err);
cleanup:
    if (status) tensor_index_free(index);
    free(names);
    json_decref(root);
    file_map_close(map);
    return status;
}
