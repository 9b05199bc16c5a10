/* gguf_file.h - the GGUF container (versions 2 and 3): header, metadata and tensor descriptions of
 * one file, raw, as the model's loader and the tokenizer need them.
 *
 * Nothing is copied: keys, texts and arrays point into the mapping, which must outlive the
 * `struct gguf_file`. gguf_file_read walks the whole metadata once and checks that every length
 * lies inside the file, so that nothing below can run out of it. What tensor types mean, and
 * whether a tensor's bytes lie inside the file, is the affair of model/gguf.c. */
#ifndef VINCI_BASE_GGUF_FILE_H
#define VINCI_BASE_GGUF_FILE_H

#include "base/file_map.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};

/* Any bytes, NUL included; not NUL-terminated. */
struct gguf_text {
    const char *data;
    size_t n;
};

struct gguf_kv {
    struct gguf_text key;
    enum gguf_type type;      /* of the value */
    enum gguf_type item_type; /* of an array's elements; else the same as `type` */
    uint64_t n;               /* elements of an array; else 1 */
    const uint8_t *data;      /* the value, or the array's first element; not aligned */
};

enum { GGUF_DIMS_MAX = 4 };

struct gguf_tensor_info {
    struct gguf_text name;
    uint32_t n_dims;               /* 1 .. GGUF_DIMS_MAX */
    uint64_t shape[GGUF_DIMS_MAX]; /* as in the file: innermost first */
    uint32_t type;                 /* ggml's number */
    uint64_t offset;               /* from `data`; a multiple of `alignment` */
};

struct gguf_file {
    const char *path; /* the map's */
    uint32_t version;
    uint32_t alignment;
    struct gguf_kv *kvs; /* [n_kvs], sorted by key (bytes), no two alike */
    size_t n_kvs;
    struct gguf_tensor_info *tensors; /* [n_tensors], in the file's order */
    size_t n_tensors;
    const uint8_t *data; /* [n_bytes], what follows the metadata */
    size_t n_bytes;
};

/* True when the file begins with GGUF's magic number. */
bool gguf_file_is(const struct file_map *map);

enum vinci_status gguf_file_read(struct gguf_file **out, const struct file_map *map,
                                 struct vinci_error *err);
void gguf_file_free(struct gguf_file *file);

/* NULL when there is none of that key. */
const struct gguf_kv *gguf_find(const struct gguf_file *file, const char *key);

/* Typed look-ups. A missing key fails with BAD_FILE when it is `required`; otherwise the result
 * stays as it was: set it to the default before. A value of another type fails with BAD_FILE.
 *   u64      any integer type, not negative     text     a string
 *   f64      any float or integer type          strings  an array of strings, to be walked
 *   bool     a bool                             ints     an array of any integer type, or of bool
 */
struct gguf_strings {
    const uint8_t *next; /* zero-initialised: an empty list */
    uint64_t n_left;     /* before the first step: the array's length */
};

enum vinci_status gguf_read_u64(const struct gguf_file *file, const char *key, bool required,
                                uint64_t *value, struct vinci_error *err);
enum vinci_status gguf_read_f64(const struct gguf_file *file, const char *key, bool required,
                                double *value, struct vinci_error *err);
enum vinci_status gguf_read_bool(const struct gguf_file *file, const char *key, bool required,
                                 bool *value, struct vinci_error *err);
enum vinci_status gguf_read_text(const struct gguf_file *file, const char *key, bool required,
                                 struct gguf_text *value, struct vinci_error *err);
enum vinci_status gguf_read_strings(const struct gguf_file *file, const char *key, bool required,
                                    struct gguf_strings *value, struct vinci_error *err);
enum vinci_status gguf_read_ints(const struct gguf_file *file, const char *key, bool required,
                                 const struct gguf_kv **value, struct vinci_error *err);

/* Walks an array of strings: false at its end. */
bool gguf_strings_next(struct gguf_strings *strings, struct gguf_text *text);

/* Element i < kv->n of an array that gguf_read_ints gave. Values of u64 beyond INT64_MAX become
 * INT64_MAX. */
int64_t gguf_int_at(const struct gguf_kv *kv, uint64_t i);

/* True when the text is exactly the C string. */
bool gguf_text_is(struct gguf_text text, const char *expected);

#endif
