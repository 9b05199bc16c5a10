/* checkpoint_writer.c - small safetensors and GGUF files in memory. */
#include "checkpoint_writer.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void append(struct buf *buf, const void *data, size_t n)
{
    assert_true(buf_append(buf, data, n));
}

static void append_u32(struct buf *buf, uint32_t value)
{
    append(buf, &value, sizeof value);
}

static void append_u64(struct buf *buf, uint64_t value)
{
    append(buf, &value, sizeof value);
}

static void append_text(struct buf *buf, const char *text)
{
    append_u64(buf, strlen(text));
    append(buf, text, strlen(text));
}

static void pad(struct buf *buf, size_t multiple)
{
    while (buf->size % multiple) append(buf, "", 1);
}

void safetensors_writer_add(struct safetensors_writer *writer, const char *name, const char *dtype,
                            const uint64_t *shape, uint32_t n_dims, const void *data, size_t n)
{
    struct buf *header = &writer->header;
    bool ok = buf_printf(header, "%s\"%s\": {\"dtype\": \"%s\", \"shape\": [",
                         header->size ? ", " : "", name, dtype);
    for (uint32_t i = 0; i < n_dims; i++)
        ok = ok && buf_printf(header, "%s%" PRIu64, i ? ", " : "", shape[i]);
    ok = ok && buf_printf(header, "], \"data_offsets\": [%zu, %zu]}", writer->data.size,
                          writer->data.size + n);
    assert_true(ok);
    append(&writer->data, data, n);
}

struct buf safetensors_writer_finish(struct safetensors_writer *writer)
{
    struct buf file = {0};
    append_u64(&file, writer->header.size + 2);
    append(&file, "{", 1);
    append(&file, writer->header.data, writer->header.size);
    append(&file, "}", 1);
    append(&file, writer->data.data, writer->data.size);
    buf_free(&writer->header);
    buf_free(&writer->data);
    return file;
}

void gguf_writer_kv(struct gguf_writer *writer, const char *key, enum gguf_type type,
                    const void *value, size_t n)
{
    append_text(&writer->kvs, key);
    append_u32(&writer->kvs, (uint32_t)type);
    append(&writer->kvs, value, n);
    writer->n_kvs++;
}

void gguf_writer_text(struct gguf_writer *writer, const char *key, const char *value)
{
    struct buf text = {0};
    append_text(&text, value);
    gguf_writer_kv(writer, key, GGUF_STRING, text.data, text.size);
    buf_free(&text);
}

void gguf_writer_u32(struct gguf_writer *writer, const char *key, uint32_t value)
{
    gguf_writer_kv(writer, key, GGUF_U32, &value, sizeof value);
}

void gguf_writer_tensor(struct gguf_writer *writer, const char *name, uint32_t type,
                        const uint64_t *shape, uint32_t n_dims, const void *data, size_t n)
{
    append_text(&writer->infos, name);
    append_u32(&writer->infos, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) append_u64(&writer->infos, shape[i]);
    append_u32(&writer->infos, type);
    append_u64(&writer->infos, writer->data.size);
    append(&writer->data, data, n);
    pad(&writer->data, 32);
    writer->n_tensors++;
}

struct buf gguf_writer_finish(struct gguf_writer *writer)
{
    struct buf file = {0};
    append(&file, "GGUF", 4);
    append_u32(&file, writer->version ? writer->version : 3);
    append_u64(&file, writer->n_tensors);
    append_u64(&file, writer->n_kvs);
    append(&file, writer->kvs.data, writer->kvs.size);
    append(&file, writer->infos.data, writer->infos.size);
    pad(&file, 32);
    append(&file, writer->data.data, writer->data.size);
    buf_free(&writer->kvs);
    buf_free(&writer->infos);
    buf_free(&writer->data);
    return file;
}
