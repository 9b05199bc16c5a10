/* safetensors_out.c - see safetensors_out.h; base/replace.h keeps half a file from being found. */
#include "cli/safetensors_out.h"

#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool tensor_bytes(const struct out_tensor *tensor, size_t *n)
{
    *n = tensor->item_bytes;
    for (unsigned i = 0; i < tensor->n_dims; i++)
        if (!size_mul(*n, tensor->shape[i], n)) return false;
    return true;
}

static enum vinci_status write_at(struct safetensors_out *out, uint64_t offset, const void *bytes,
                                  size_t n, struct vinci_error *err)
{
    while (n > 0) {
        ssize_t written = pwrite(out->file.fd, bytes, n, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_errno(err, errno, out->path, "write");
        bytes = (const char *)bytes + written;
        offset += (uint64_t)written;
        n -= (size_t)written;
    }
    return VINCI_OK;
}

/* Eight bytes of length and the JSON, padded with spaces to a multiple of 8. */
static enum vinci_status write_header(struct safetensors_out *out, struct vinci_error *err)
{
    struct buf json = {0};
    size_t end = 0, n = 0;
    bool ok = buf_append_text(&json, "{");
    for (size_t i = 0; i < out->n_tensors; i++) {
        struct out_tensor *tensor = &out->tensors[i];
        tensor->offset = end;
        if (!tensor_bytes(tensor, &n) || !size_add(end, n, &end) || end > INT64_MAX / 2) {
            buf_free(&json);
            return fail(err, VINCI_LIMIT, "%s: %s would be too large", out->path, tensor->name);
        }
        ok = ok && buf_printf(&json, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "",
                              tensor->name, tensor->dtype);
        for (unsigned d = 0; d < tensor->n_dims; d++)
            ok = ok && buf_printf(&json, "%s%zu", d ? "," : "", tensor->shape[d]);
        ok = ok && buf_printf(&json, "],\"data_offsets\":[%zu,%zu]}", (size_t)tensor->offset, end);
    }
    ok = ok && buf_append_text(&json, "}");
    while (ok && json.size % 8 != 0) ok = buf_append_text(&json, " ");
    if (!ok) {
        buf_free(&json);
        return fail_memory(err, 4096, "the header");
    }
    for (size_t i = 0; i < out->n_tensors; i++) out->tensors[i].offset += 8 + json.size;
    uint64_t length = json.size; /* little-endian, as everything vinci runs on */
    enum vinci_status status = write_at(out, 0, &length, sizeof length, err);
    if (status == VINCI_OK) status = write_at(out, 8, json.data, json.size, err);
    if (status == VINCI_OK && ftruncate(out->file.fd, (off_t)(8 + json.size + end)) != 0)
        status = fail_errno(err, errno, out->path, "write");
    buf_free(&json);
    return status;
}

enum vinci_status safetensors_out_open(struct safetensors_out *out, const char *path,
                                       struct out_tensor *tensors, size_t n_tensors,
                                       struct vinci_error *err)
{
    *out = (struct safetensors_out){.tensors = tensors, .n_tensors = n_tensors};
    enum vinci_status status = replace_begin(&out->file, path, err);
    if (status != VINCI_OK) return status;
    if (!(out->path = strdup(path))) return fail_memory(err, strlen(path), path);
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(out->file.fd, 0666 & ~mask) != 0) return fail_errno(err, errno, path, "create");
    return write_header(out, err);
}

enum vinci_status safetensors_out_write(struct safetensors_out *out, size_t tensor, size_t first,
                                        const void *items, size_t n, struct vinci_error *err)
{
    const struct out_tensor *t = &out->tensors[tensor];
    return write_at(out, t->offset + (uint64_t)first * t->item_bytes, items, n * t->item_bytes,
                    err);
}

enum vinci_status safetensors_out_publish(struct safetensors_out *out, struct vinci_error *err)
{
    return replace_publish(&out->file, err);
}

void safetensors_out_close(struct safetensors_out *out)
{
    replace_end(&out->file);
    free(out->path);
    out->path = NULL;
}
