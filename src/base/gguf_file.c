/* gguf_file.c - reads the GGUF container's header, metadata and tensor descriptions.
 *
 *   magic "GGUF", u32 version, u64 n_tensors, u64 n_kvs,
 *   n_kvs     x (key, u32 type, value)
 *   n_tensors x (name, u32 n_dims, u64 shape[n_dims], u32 type, u64 offset)
 *   padding to general.alignment, then the tensors' bytes
 *
 * A text is u64 length and bytes; an array is u32 item type, u64 length and items. Every read goes
 * through a cursor that knows how many bytes are left, so a wrong length anywhere ends in the same
 * sentence: which entry, and that the file ends inside it. Counts are checked against the bytes
 * left before anything is allocated. Version 1 (32-bit lengths) and big-endian files are refused.
 */
#include "base/gguf_file.h"

#include "base/buf.h"
#include "base/lang.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    KVS_MAX = 1 << 16,
    TENSORS_MAX = 1 << 20,
    NAME_MAX_BYTES = 255, /* of a key or a tensor's name; real ones have less than 64 */
    ALIGNMENT_MAX = 1 << 20,
    ARRAY_DEPTH_MAX = 4,
    KV_BYTES_MIN = 8 + 1 + 4 + 1, /* length, one character, type, a u8 */
    TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8
};

static const struct {
    const char *name;
    size_t n_bytes; /* 0: its own length says */
} types[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"u8", 1},   [GGUF_I8] = {"i8", 1},          [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2}, [GGUF_U32] = {"u32", 4},        [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4}, [GGUF_BOOL] = {"bool", 1},      [GGUF_STRING] = {"a string", 0},
    [GGUF_U64] = {"u64", 8}, [GGUF_ARRAY] = {"an array", 0}, [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

/* ---- cursor ------------------------------------------------------------------------------- */

static const char ENDS_INSIDE[] = "the file ends inside it";

struct cursor {
    const uint8_t *next;
    size_t n_left;
};

static const uint8_t *take(struct cursor *cursor, uint64_t n)
{
    if (n > cursor->n_left) return NULL;
    const uint8_t *p = cursor->next;
    cursor->next += n;
    cursor->n_left -= (size_t)n;
    return p;
}

static bool take_u32(struct cursor *cursor, uint32_t *value)
{
    const uint8_t *p = take(cursor, sizeof *value);
    if (p) memcpy(value, p, sizeof *value);
    return p != NULL;
}

static bool take_u64(struct cursor *cursor, uint64_t *value)
{
    const uint8_t *p = take(cursor, sizeof *value);
    if (p) memcpy(value, p, sizeof *value);
    return p != NULL;
}

static bool take_text(struct cursor *cursor, struct gguf_text *text)
{
    uint64_t n;
    if (!take_u64(cursor, &n)) return false;
    text->data = (const char *)take(cursor, n);
    text->n = (size_t)n;
    return text->data != NULL;
}

/* The functions below return what is wrong, NULL when nothing is. */

/* `name` is left alone when something is wrong with it: messages show only sound names. */
static const char *take_name(struct cursor *cursor, struct gguf_text *name)
{
    struct gguf_text text;
    if (!take_text(cursor, &text)) return ENDS_INSIDE;
    if (text.n == 0 || text.n > NAME_MAX_BYTES) return N_("its name is empty or beyond 255 bytes");
    for (size_t i = 0; i < text.n; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return N_("its name holds something other than printable ASCII");
    *name = text;
    return NULL;
}

static const char *skip_items(struct cursor *cursor, enum gguf_type type, uint64_t n, int depth)
{
    size_t n_bytes;
    if (types[type].n_bytes)
        return size_mul((size_t)n, types[type].n_bytes, &n_bytes) && take(cursor, n_bytes)
                   ? NULL
                   : ENDS_INSIDE;
    /* Each step takes at least 8 bytes: a wrong n ends with the file, not later. */
    for (uint64_t i = 0; i < n; i++) {
        struct gguf_text text;
        uint32_t item_type;
        uint64_t n_items;
        if (type == GGUF_STRING) {
            if (!take_text(cursor, &text)) return ENDS_INSIDE;
            continue;
        }
        if (depth == ARRAY_DEPTH_MAX) return N_("arrays are nested more than 4 deep");
        if (!take_u32(cursor, &item_type) || !take_u64(cursor, &n_items)) return ENDS_INSIDE;
        if (item_type >= GGUF_TYPE_COUNT) return N_("its type is not one of GGUF's");
        const char *problem = skip_items(cursor, (enum gguf_type)item_type, n_items, depth + 1);
        if (problem) return problem;
    }
    return NULL;
}

static const char *take_kv(struct cursor *cursor, struct gguf_kv *kv)
{
    uint32_t type;
    const char *problem = take_name(cursor, &kv->key);
    if (problem) return problem;
    if (!take_u32(cursor, &type)) return ENDS_INSIDE;
    if (type >= GGUF_TYPE_COUNT) return N_("its type is not one of GGUF's");
    kv->type = kv->item_type = (enum gguf_type)type;
    kv->n = 1;
    if (kv->type == GGUF_ARRAY) {
        if (!take_u32(cursor, &type) || !take_u64(cursor, &kv->n)) return ENDS_INSIDE;
        if (type >= GGUF_TYPE_COUNT) return N_("its type is not one of GGUF's");
        kv->item_type = (enum gguf_type)type;
    }
    kv->data = cursor->next;
    return skip_items(cursor, kv->item_type, kv->n, 1);
}

static const char *take_tensor(struct cursor *cursor, struct gguf_tensor_info *tensor)
{
    const char *problem = take_name(cursor, &tensor->name);
    if (problem) return problem;
    if (!take_u32(cursor, &tensor->n_dims)) return ENDS_INSIDE;
    if (tensor->n_dims < 1 || tensor->n_dims > GGUF_DIMS_MAX)
        return N_("expected 1 to 4 dimensions, got another number");
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        if (!take_u64(cursor, &tensor->shape[i])) return ENDS_INSIDE;
    if (!take_u32(cursor, &tensor->type) || !take_u64(cursor, &tensor->offset)) return ENDS_INSIDE;
    return NULL;
}

/* ---- the file ----------------------------------------------------------------------------- */

static int compare_texts(struct gguf_text a, struct gguf_text b)
{
    int order = memcmp(a.data, b.data, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_kvs(const void *a, const void *b)
{
    return compare_texts(((const struct gguf_kv *)a)->key, ((const struct gguf_kv *)b)->key);
}

bool gguf_file_is(const struct file_map *map)
{
    return map->size >= 4 && memcmp(map->data, "GGUF", 4) == 0;
}

static enum vinci_status read_header(struct gguf_file *file, struct cursor *cursor,
                                     uint64_t *n_tensors, uint64_t *n_kvs, struct vinci_error *err)
{
    const uint8_t *magic = take(cursor, 4);
    if (!magic)
        return fail(err, VINCI_BAD_FILE, "%s: expected a GGUF file, got %zu bytes", file->path,
                    cursor->n_left);
    if (memcmp(magic, "GGUF", 4) != 0)
        return fail(err, VINCI_BAD_FILE,
                    "%s: expected a GGUF file (magic 47 47 55 46), got %02x %02x %02x %02x",
                    file->path, magic[0], magic[1], magic[2], magic[3]);
    if (!take_u32(cursor, &file->version) || !take_u64(cursor, n_tensors) ||
        !take_u64(cursor, n_kvs))
        return fail(err, VINCI_BAD_FILE, "%s: the file ends inside GGUF's header", file->path);
    if (file->version == 2u << 24 || file->version == 3u << 24)
        return fail(err, VINCI_UNSUPPORTED,
                    "%s: a big-endian GGUF file; vinci reads little-endian ones", file->path);
    if (file->version != 2 && file->version != 3)
        return fail(err, VINCI_UNSUPPORTED, "%s: expected GGUF version 2 or 3, got %" PRIu32,
                    file->path, file->version);
    if (*n_kvs > KVS_MAX || *n_kvs > cursor->n_left / KV_BYTES_MIN)
        return fail(err, VINCI_BAD_FILE,
                    "%s: the GGUF header claims %" PRIu64
                    " metadata entries, more than the file has room for or vinci reads (%d)",
                    file->path, *n_kvs, KVS_MAX);
    if (*n_tensors > TENSORS_MAX || *n_tensors > cursor->n_left / TENSOR_BYTES_MIN)
        return fail(err, VINCI_BAD_FILE,
                    "%s: the GGUF header claims %" PRIu64
                    " tensors, more than the file has room for or vinci reads (%d)",
                    file->path, *n_tensors, TENSORS_MAX);
    return VINCI_OK;
}

static enum vinci_status fail_entry(const struct gguf_file *file, const char *what, size_t i,
                                    uint64_t n, struct gguf_text name, const char *problem,
                                    struct vinci_error *err)
{
    return fail(err, VINCI_BAD_FILE,
                "%s: GGUF %s %zu of %" PRIu64 "%s%.*s: %s; the file is damaged or cut off: fetch "
                "it again",
                file->path, _(what), i + 1, n, name.data ? ", " : "", name.data ? (int)name.n : 0,
                name.data ? name.data : "", _(problem));
}

static enum vinci_status read_kvs(struct gguf_file *file, struct cursor *cursor, uint64_t n,
                                  struct vinci_error *err)
{
    file->kvs = array_new_zero((size_t)n, sizeof *file->kvs);
    if (!file->kvs) return fail_memory(err, (size_t)n * sizeof *file->kvs, "GGUF metadata");
    for (; file->n_kvs < n; file->n_kvs++) {
        struct gguf_kv *kv = &file->kvs[file->n_kvs];
        const char *problem = take_kv(cursor, kv);
        if (problem)
            return fail_entry(file, N_("metadata entry"), file->n_kvs, n, kv->key, problem, err);
    }
    qsort(file->kvs, file->n_kvs, sizeof *file->kvs, compare_kvs);
    for (size_t i = 1; i < file->n_kvs; i++)
        if (compare_kvs(&file->kvs[i - 1], &file->kvs[i]) == 0)
            return fail(err, VINCI_BAD_FILE, "%s: GGUF metadata has the key %.*s twice", file->path,
                        (int)file->kvs[i].key.n, file->kvs[i].key.data);
    return VINCI_OK;
}

static enum vinci_status read_tensors(struct gguf_file *file, struct cursor *cursor, uint64_t n,
                                      struct vinci_error *err)
{
    file->tensors = array_new_zero((size_t)n, sizeof *file->tensors);
    if (!file->tensors)
        return fail_memory(err, (size_t)n * sizeof *file->tensors, "GGUF tensor descriptions");
    for (; file->n_tensors < n; file->n_tensors++) {
        struct gguf_tensor_info *tensor = &file->tensors[file->n_tensors];
        const char *problem = take_tensor(cursor, tensor);
        if (problem)
            return fail_entry(file, N_("tensor description"), file->n_tensors, n, tensor->name,
                              problem, err);
        if (tensor->offset % file->alignment)
            return fail(err, VINCI_BAD_FILE,
                        "%s: tensor %.*s: expected an offset that is a multiple of %" PRIu32
                        ", got %" PRIu64 "; the file is damaged: fetch it again",
                        file->path, (int)tensor->name.n, tensor->name.data, file->alignment,
                        tensor->offset);
    }
    return VINCI_OK;
}

enum vinci_status gguf_file_read(struct gguf_file **out, const struct file_map *map,
                                 struct vinci_error *err)
{
    *out = NULL;
    struct cursor cursor = {map->data, map->size};
    uint64_t n_tensors = 0, n_kvs = 0, alignment = 32;
    enum vinci_status status = VINCI_OK;
    struct gguf_file *file = array_new_zero(1, sizeof *file);
    if (!file) return fail_memory(err, sizeof *file, "GGUF metadata");
    file->path = map->path;

    status = read_header(file, &cursor, &n_tensors, &n_kvs, err);
    if (status) goto cleanup;
    status = read_kvs(file, &cursor, n_kvs, err);
    if (status) goto cleanup;
    status = gguf_read_u64(file, "general.alignment", false, &alignment, err);
    if (status) goto cleanup;
    if (alignment == 0 || alignment > ALIGNMENT_MAX || (alignment & (alignment - 1))) {
        status = fail(err, VINCI_BAD_FILE,
                      "%s: general.alignment: expected a power of two up to %d, got %" PRIu64,
                      file->path, ALIGNMENT_MAX, alignment);
        goto cleanup;
    }
    file->alignment = (uint32_t)alignment;
    status = read_tensors(file, &cursor, n_tensors, err);
    if (status) goto cleanup;

    /* A file without tensor bytes (the first part of some split models) may end unpadded. */
    size_t begin = round_up(map->size - cursor.n_left, file->alignment);
    file->n_bytes = begin < map->size ? map->size - begin : 0;
    file->data = map->data + (map->size - file->n_bytes);
    *out = file;
    return VINCI_OK;
cleanup:
    gguf_file_free(file);
    return status;
}

void gguf_file_free(struct gguf_file *file)
{
    if (!file) return;
    free(file->kvs);
    free(file->tensors);
    free(file);
}

/* ---- look-ups ----------------------------------------------------------------------------- */

const struct gguf_kv *gguf_find(const struct gguf_file *file, const char *key)
{
    struct gguf_kv wanted = {.key = {key, strlen(key)}};
    if (!file->n_kvs) return NULL;
    return bsearch(&wanted, file->kvs, file->n_kvs, sizeof wanted, compare_kvs);
}

static enum vinci_status find(const struct gguf_file *file, const char *key, bool required,
                              const struct gguf_kv **kv, struct vinci_error *err)
{
    *kv = gguf_find(file, key);
    if (*kv || !required) return VINCI_OK;
    return fail(err, VINCI_BAD_FILE, "%s: the GGUF metadata has no %s", file->path, key);
}

static enum vinci_status fail_type(const struct gguf_file *file, const struct gguf_kv *kv,
                                   const char *expected, struct vinci_error *err)
{
    bool array = kv->type == GGUF_ARRAY;
    return fail(err, VINCI_BAD_FILE, "%s: GGUF metadata %.*s: expected %s, got %s%s", file->path,
                (int)kv->key.n, kv->key.data, _(expected), array ? _("an array of ") : "",
                types[kv->item_type].name);
}

static bool is_integer(enum gguf_type type)
{
    return type <= GGUF_I32 || type == GGUF_U64 || type == GGUF_I64;
}

int64_t gguf_int_at(const struct gguf_kv *kv, uint64_t i)
{
    const uint8_t *p = kv->data + i * types[kv->item_type].n_bytes;
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } x = {.u64 = 0};
    memcpy(&x, p, types[kv->item_type].n_bytes);
    switch (kv->item_type) {
    case GGUF_U8: return x.u8;
    case GGUF_I8: return x.i8;
    case GGUF_U16: return x.u16;
    case GGUF_I16: return x.i16;
    case GGUF_U32: return x.u32;
    case GGUF_I32: return x.i32;
    case GGUF_U64: return x.u64 > INT64_MAX ? INT64_MAX : (int64_t)x.u64;
    case GGUF_I64: return x.i64;
    case GGUF_BOOL: return x.u8 != 0;
    default: return 0;
    }
}

enum vinci_status gguf_read_u64(const struct gguf_file *file, const char *key, bool required,
                                uint64_t *value, struct vinci_error *err)
{
    const struct gguf_kv *kv;
    enum vinci_status status = find(file, key, required, &kv, err);
    if (status || !kv) return status;
    if (!is_integer(kv->type)) return fail_type(file, kv, N_("an integer"), err);
    if (kv->type == GGUF_U64) {
        memcpy(value, kv->data, sizeof *value);
        return VINCI_OK;
    }
    int64_t x = gguf_int_at(kv, 0);
    if (x < 0)
        return fail(err, VINCI_BAD_FILE,
                    "%s: GGUF metadata %s: expected a number that is not negative, got %" PRId64,
                    file->path, key, x);
    *value = (uint64_t)x;
    return VINCI_OK;
}

enum vinci_status gguf_read_f64(const struct gguf_file *file, const char *key, bool required,
                                double *value, struct vinci_error *err)
{
    const struct gguf_kv *kv;
    enum vinci_status status = find(file, key, required, &kv, err);
    if (status || !kv) return status;
    if (kv->type == GGUF_F64) {
        memcpy(value, kv->data, sizeof *value);
    } else if (kv->type == GGUF_F32) {
        float x;
        memcpy(&x, kv->data, sizeof x);
        *value = (double)x;
    } else if (is_integer(kv->type)) {
        *value = (double)gguf_int_at(kv, 0);
    } else {
        return fail_type(file, kv, N_("a number"), err);
    }
    return VINCI_OK;
}

enum vinci_status gguf_read_bool(const struct gguf_file *file, const char *key, bool required,
                                 bool *value, struct vinci_error *err)
{
    const struct gguf_kv *kv;
    enum vinci_status status = find(file, key, required, &kv, err);
    if (status || !kv) return status;
    if (kv->type != GGUF_BOOL) return fail_type(file, kv, N_("a bool"), err);
    *value = *kv->data != 0;
    return VINCI_OK;
}

enum vinci_status gguf_read_text(const struct gguf_file *file, const char *key, bool required,
                                 struct gguf_text *value, struct vinci_error *err)
{
    const struct gguf_kv *kv;
    enum vinci_status status = find(file, key, required, &kv, err);
    if (status || !kv) return status;
    if (kv->type != GGUF_STRING) return fail_type(file, kv, N_("a string"), err);
    struct gguf_strings strings = {kv->data, 1};
    gguf_strings_next(&strings, value);
    return VINCI_OK;
}

enum vinci_status gguf_read_strings(const struct gguf_file *file, const char *key, bool required,
                                    struct gguf_strings *value, struct vinci_error *err)
{
    const struct gguf_kv *kv;
    enum vinci_status status = find(file, key, required, &kv, err);
    if (status || !kv) return status;
    if (kv->type != GGUF_ARRAY || kv->item_type != GGUF_STRING)
        return fail_type(file, kv, N_("an array of strings"), err);
    *value = (struct gguf_strings){kv->data, kv->n};
    return VINCI_OK;
}

enum vinci_status gguf_read_ints(const struct gguf_file *file, const char *key, bool required,
                                 const struct gguf_kv **value, struct vinci_error *err)
{
    const struct gguf_kv *kv;
    enum vinci_status status = find(file, key, required, &kv, err);
    if (status || !kv) return status;
    if (kv->type != GGUF_ARRAY || !(is_integer(kv->item_type) || kv->item_type == GGUF_BOOL))
        return fail_type(file, kv, N_("an array of integers"), err);
    *value = kv;
    return VINCI_OK;
}

bool gguf_strings_next(struct gguf_strings *strings, struct gguf_text *text)
{
    if (!strings->n_left) return false;
    uint64_t n;
    memcpy(&n, strings->next, sizeof n);
    text->data = (const char *)strings->next + sizeof n;
    text->n = (size_t)n;
    strings->next += sizeof n + n;
    strings->n_left--;
    return true;
}

bool gguf_text_is(struct gguf_text text, const char *expected)
{
    return text.n == strlen(expected) && memcmp(text.data, expected, text.n) == 0;
}
