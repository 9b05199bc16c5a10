/* results.c - results on their way to the host while the device goes on with the next step.
 *
 * A slot's copy is queued behind the step and followed by an event; who wants the result waits for
 * that event alone, so steps that were queued later go on running. */
#include "base/buf.h"
#include "device/npu/npu.h"

#include <string.h>

void npu_results_create(struct npu_device *device)
{
    for (int i = 0; i < DEVICE_SLOTS; i++) {
        struct npu_result *result = &device->results[i];
        result->host = npu_pinned(device, device->read_bytes);
        if (device->status == VINCI_OK)
            npu_check(device, device->cann->aclrtCreateEvent(&result->sent), "aclrtCreateEvent");
    }
}

void npu_results_destroy(struct npu_device *device)
{
    for (int i = 0; i < DEVICE_SLOTS; i++)
        if (device->results[i].sent) device->cann->aclrtDestroyEvent(device->results[i].sent);
}

static void send(struct npu_device *device, const void *data, aclDataType dtype, size_t n,
                 unsigned slot)
{
    struct npu_result *result = &device->results[slot];
    size_t n_bytes = n * npu_dtype_bytes(dtype);
    npu_graph_finish(device);
    if (device->status != VINCI_OK) return;
    result->n = n;
    result->dtype = dtype;
    npu_check(device,
              device->cann->aclrtMemcpyAsync(result->host, device->read_bytes, data, n_bytes,
                                             ACL_MEMCPY_DEVICE_TO_HOST, device->stream),
              "aclrtMemcpyAsync");
    if (device->status == VINCI_OK)
        npu_check(device, device->cann->aclrtRecordEvent(result->sent, device->stream),
                  "aclrtRecordEvent");
    device->counters.n_copies++;
    device->counters.bytes_down += n_bytes;
}

void npu_buffer_send(struct device *base, const struct device_buffer *buffer, size_t n,
                     unsigned slot)
{
    struct npu_device *device = npu_device_of(base);
    if (buffer->read_act) send(device, buffer->act, device->act, n, slot);
    else send(device, buffer->f32, ACL_FLOAT, n, slot);
}

void npu_best_send(struct device *base, size_t n_rows, unsigned slot)
{
    struct npu_device *device = npu_device_of(base);
    send(device, device->scratch->best, ACL_INT32, n_rows, slot);
}

enum vinci_status npu_receive(struct device *base, unsigned slot, float *floats, int32_t *best,
                              struct vinci_error *err)
{
    struct npu_device *device = npu_device_of(base);
    const struct npu_result *result = &device->results[slot];
    if (npu_ready(device)) {
        device->counters.n_syncs++;
        npu_check(device, device->cann->aclrtSynchronizeEvent(result->sent),
                  "aclrtSynchronizeEvent");
    }
    if (device->status == VINCI_OK && best) memcpy(best, result->host, result->n * sizeof *best);
    else if (device->status == VINCI_OK)
        npu_to_float(result->dtype, result->host, result->n, floats);
    return npu_settle(device, err);
}
