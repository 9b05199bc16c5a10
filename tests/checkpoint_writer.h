/* checkpoint_writer.h - writes small safetensors and GGUF files in memory, right or wrong, for the
 * loaders' tests. Every function fails the test when memory is short. */
#ifndef TESTS_CHECKPOINT_WRITER_H
#define TESTS_CHECKPOINT_WRITER_H

#include "base/buf.h"
#include "base/gguf_file.h"

struct safetensors_writer {
    struct buf header, data;
};

/* `data` is copied. */
void safetensors_writer_add(struct safetensors_writer *writer, const char *name, const char *dtype,
                            const uint64_t *shape, uint32_t n_dims, const void *data, size_t n);
/* The file's bytes; the writer is released. buf_free() them. */
struct buf safetensors_writer_finish(struct safetensors_writer *writer);

/* Keys, values and tensor descriptions are appended in the order of the calls; `finish` puts the
 * header in front and the data, padded to 32 bytes each, behind. */
struct gguf_writer {
    struct buf kvs, infos, data;
    uint32_t version;
    uint64_t n_kvs, n_tensors;
};

void gguf_writer_text(struct gguf_writer *writer, const char *key, const char *value);
/* `n` bytes of a value or, with its item type and length in front, of an array. */
void gguf_writer_kv(struct gguf_writer *writer, const char *key, enum gguf_type type,
                    const void *value, size_t n);
void gguf_writer_u32(struct gguf_writer *writer, const char *key, uint32_t value);
/* `shape` innermost first. */
void gguf_writer_tensor(struct gguf_writer *writer, const char *name, uint32_t type,
                        const uint64_t *shape, uint32_t n_dims, const void *data, size_t n);
struct buf gguf_writer_finish(struct gguf_writer *writer);

#endif
