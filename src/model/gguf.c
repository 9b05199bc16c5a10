/* gguf.c - the tensor index of a GGUF model: what tensor types mean, where the bytes lie, and split
 * models.
 *
 * A split model is opened from any of its parts: the name says how many there are, and each part's
 * metadata (split.no, split.count) must agree. Only the first part carries the model's metadata.
 * Shapes are turned around on the way in: outermost dimension first, as in safetensors. */
#include "model/gguf.h"

#include "base/buf.h"

#include <inttypes.h>
#include <string.h>

/* ggml's type numbers. Types that vinci does not compute with are here for their names. */
static const struct {
    uint32_t number;
    const char *name;
    uint32_t block; /* elements */
    uint32_t n_bytes;
    enum dtype dtype;
} types[] = {
    {0, "F32", 1, 4, DTYPE_F32},
    {1, "F16", 1, 2, DTYPE_F16},
    {30, "BF16", 1, 2, DTYPE_BF16},
    {8, "Q8_0", QUANT_BLOCK, sizeof(struct block_q8_0), DTYPE_Q8_0},
    {39, "MXFP4", QUANT_BLOCK, sizeof(struct block_mxfp4_gguf), DTYPE_MXFP4_GGUF},
    {2, "Q4_0", 32, 18, DTYPE_OTHER},
    {3, "Q4_1", 32, 20, DTYPE_OTHER},
    {6, "Q5_0", 32, 22, DTYPE_OTHER},
    {7, "Q5_1", 32, 24, DTYPE_OTHER},
    {9, "Q8_1", 32, 36, DTYPE_OTHER},
    {10, "Q2_K", 256, 84, DTYPE_OTHER},
    {11, "Q3_K", 256, 110, DTYPE_OTHER},
    {12, "Q4_K", 256, 144, DTYPE_OTHER},
    {13, "Q5_K", 256, 176, DTYPE_OTHER},
    {14, "Q6_K", 256, 210, DTYPE_OTHER},
    {15, "Q8_K", 256, 292, DTYPE_OTHER},
    {16, "IQ2_XXS", 256, 66, DTYPE_OTHER},
    {17, "IQ2_XS", 256, 74, DTYPE_OTHER},
    {18, "IQ3_XXS", 256, 98, DTYPE_OTHER},
    {19, "IQ1_S", 256, 50, DTYPE_OTHER},
    {20, "IQ4_NL", 32, 18, DTYPE_OTHER},
    {21, "IQ3_S", 256, 110, DTYPE_OTHER},
    {22, "IQ2_S", 256, 82, DTYPE_OTHER},
    {23, "IQ4_XS", 256, 136, DTYPE_OTHER},
    {24, "I8", 1, 1, DTYPE_OTHER},
    {25, "I16", 1, 2, DTYPE_OTHER},
    {26, "I32", 1, 4, DTYPE_OTHER},
    {27, "I64", 1, 8, DTYPE_OTHER},
    {28, "F64", 1, 8, DTYPE_OTHER},
    {29, "IQ1_M", 256, 56, DTYPE_OTHER},
    {34, "TQ1_0", 256, 54, DTYPE_OTHER},
    {35, "TQ2_0", 256, 66, DTYPE_OTHER},
};

static enum vinci_status add_tensor(struct tensor_index *index, const struct gguf_file *file,
                                    const struct gguf_tensor_info *info, const struct file_map *map,
                                    struct vinci_error *err)
{
    int n_name = (int)info->name.n;
    size_t type = 0, n_types = sizeof types / sizeof *types;
    while (type < n_types && types[type].number != info->type) type++;
    if (type == n_types)
        return fail(err, VINCI_BAD_FILE,
                    "%s: tensor %.*s: expected one of ggml's tensor types, got number %" PRIu32
                    "; the file is damaged or newer than this vinci",
                    file->path, n_name, info->name.data, info->type);

    struct tensor tensor = {.file = map,
                            .dtype = types[type].dtype,
                            .type_name = types[type].name,
                            .n_dims = info->n_dims};
    size_t n = 1, end = 0;
    bool fits = info->shape[0] % types[type].block == 0;
    for (uint32_t i = 0; i < info->n_dims; i++) {
        tensor.shape[i] = info->shape[info->n_dims - 1 - i];
        fits = fits && size_mul(n, info->shape[i], &n);
    }
    fits = fits && size_mul(n / types[type].block, types[type].n_bytes, &tensor.n_bytes);
    if (!fits)
        return fail(err, VINCI_BAD_FILE,
                    "%s: tensor %.*s: expected rows in blocks of %" PRIu32
                    " elements (%s) and a size below 2^64, got rows of %" PRIu64,
                    file->path, n_name, info->name.data, types[type].block, types[type].name,
                    info->shape[0]);
    if (!size_add(info->offset, tensor.n_bytes, &end) || end > file->n_bytes)
        return fail(err, VINCI_BAD_FILE,
                    "%s: tensor %.*s: expected its %zu bytes at offset %" PRIu64
                    " within the %zu bytes of data; the file is damaged or cut off: fetch it again",
                    file->path, n_name, info->name.data, tensor.n_bytes, info->offset,
                    file->n_bytes);
    tensor.data = file->data + info->offset;
    return tensor_index_add(index, &tensor, info->name.data, info->name.n, err);
}

enum vinci_status gguf_add(struct tensor_index *index, const struct gguf_file *file,
                           const struct file_map *map, struct vinci_error *err)
{
    enum vinci_status status = tensor_index_reserve(index, file->n_tensors, err);
    for (size_t i = 0; i < file->n_tensors && status == VINCI_OK; i++)
        status = add_tensor(index, file, &file->tensors[i], map, err);
    return status;
}

/* ---- split models ------------------------------------------------------------------------- */

static bool read_digits(const char *p, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 5; i++) {
        if (p[i] < '0' || p[i] > '9') return false;
        *value = *value * 10 + (uint32_t)(p[i] - '0');
    }
    return true;
}

bool gguf_split_name(const char *path, size_t *n_prefix, uint32_t *part, uint32_t *n_parts)
{
    static const char FORM[] = "-00001-of-00002.gguf";
    size_t n = strlen(path), n_form = sizeof FORM - 1;
    if (n <= n_form) return false;
    const char *p = path + n - n_form;
    *n_prefix = n - n_form;
    return p[0] == '-' && read_digits(p + 1, part) && memcmp(p + 6, "-of-", 4) == 0 &&
           read_digits(p + 10, n_parts) && strcmp(p + 15, ".gguf") == 0;
}

/* Maps one file and indexes its tensors. `part` counts from 1. */
static enum vinci_status open_part(struct tensor_index *index, struct gguf_file **out,
                                   const char *path, uint32_t part, uint32_t n_parts,
                                   struct vinci_error *err)
{
    const struct file_map *map = NULL;
    struct gguf_file *file = NULL;
    uint64_t split_no = 0, split_count = 1;
    *out = NULL;
    enum vinci_status status = tensor_index_map(index, path, &map, err);
    if (status == VINCI_NOT_FOUND && n_parts > 1)
        return fail(err, status,
                    "%s: there is no such file; expected all %" PRIu32
                    " parts of the split model in one folder",
                    path, n_parts);
    if (status) return status;
    status = gguf_file_read(&file, map, err);
    if (status == VINCI_OK) status = gguf_read_u64(file, "split.no", false, &split_no, err);
    if (status == VINCI_OK) status = gguf_read_u64(file, "split.count", false, &split_count, err);
    if (status == VINCI_OK && (split_count > 1 ? split_count : 1) != n_parts)
        status = fail(err, VINCI_BAD_FILE,
                      "%s: split.count: expected %" PRIu32 " from the file's name, got %" PRIu64
                      "; parts of a split model are called NAME-00001-of-0000N.gguf",
                      path, n_parts, split_count);
    else if (status == VINCI_OK && split_no + 1 != part)
        status = fail(err, VINCI_BAD_FILE,
                      "%s: split.no: expected %" PRIu32 " from the file's name, got %" PRIu64, path,
                      part - 1, split_no);
    if (status == VINCI_OK) status = gguf_add(index, file, map, err);
    if (status) {
        gguf_file_free(file);
        return status;
    }
    *out = file;
    return VINCI_OK;
}

enum vinci_status gguf_open(struct tensor_index *index, struct gguf_file **first, const char *path,
                            struct vinci_error *err)
{
    struct gguf_file *file = NULL;
    struct buf name = {0};
    size_t n_prefix = 0;
    uint32_t part = 1, n_parts = 1;
    enum vinci_status status = VINCI_OK;
    *index = (struct tensor_index){0};
    *first = NULL;

    bool split = gguf_split_name(path, &n_prefix, &part, &n_parts) && n_parts > 1;
    if (!split) {
        status = open_part(index, &file, path, 1, 1, err);
        if (status) goto cleanup;
    }
    for (uint32_t i = 1; split && i <= n_parts; i++) {
        struct gguf_file *one = NULL;
        name.size = 0;
        if (!buf_append(&name, path, n_prefix) ||
            !buf_printf(&name, "-%05" PRIu32 "-of-%05" PRIu32 ".gguf", i, n_parts)) {
            status = fail_memory(err, n_prefix, path);
            goto cleanup;
        }
        status = open_part(index, &one, name.data, i, n_parts, err);
        if (status) goto cleanup;
        if (i == 1) file = one;
        else gguf_file_free(one);
    }
    status = tensor_index_finish(index, err);
    if (status) goto cleanup;
    *first = file;
    file = NULL;
cleanup:
    gguf_file_free(file);
    buf_free(&name);
    if (status) tensor_index_free(index);
    return status;
}
