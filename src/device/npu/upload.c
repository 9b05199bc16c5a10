/* upload.c - weights on their way to the device: expanded by the host's threads, copied meanwhile.
 *
 * There are UPLOAD_SLOTS blocks of pinned memory. The threads fill one while the device copies from
 * the others, on two streams in turn, so that a copy begins while the one before it ends. A block
 * is filled again when the event behind its copy has come: only there the host waits, and only if
 * copying is what takes longer. So an upload takes as long as the slower of both, not their sum. */
#include "device/npu/upload.h"

#include "base/clock.h"
#include "base/lang.h"

enum { SLOT_BYTES = 16 << 20, LOG_PERCENT = 10 };

struct fill_job {
    upload_fill_fn *fill;
    const void *ctx;
    size_t first, item_bytes;
    uint8_t *out;
};

static void fill_task(void *ctx, size_t begin, size_t end, unsigned thread)
{
    const struct fill_job *job = ctx;
    (void)thread;
    job->fill(job->ctx, job->first + begin, end - begin, job->out + begin * job->item_bytes);
}

static void report(struct upload *upload)
{
    struct npu_device *device = upload->device;
    uint64_t done = upload->done < upload->total ? upload->done : upload->total;
    unsigned percent = upload->total ? (unsigned)(100 * done / upload->total) : 100;
    if (device->status == VINCI_OK && device->progress &&
        !device->progress(device->progress_user, done, upload->total))
        device->status = fail(&device->err, VINCI_CANCELLED, "stopped");
    if (percent < upload->reported + LOG_PERCENT || percent >= 100) return;
    upload->reported = percent;
    log_message(&device->log, VINCI_LOG_INFO, _("%s: weights %u %%, %.1f GB/s"), device->base.name,
                percent, (double)upload->done * 1e-9 / (seconds_now() - upload->start));
}

/* Until the copy from the slot is over. */
static void await(struct upload *upload, unsigned slot)
{
    struct npu_device *device = upload->device;
    double start = seconds_now();
    if (upload->busy[slot])
        npu_check(device, device->cann->aclrtSynchronizeEvent(upload->events[slot]),
                  "aclrtSynchronizeEvent");
    upload->busy[slot] = false;
    upload->wait_seconds += seconds_now() - start;
}

static void copy(struct upload *upload, unsigned slot, void *to, size_t n_bytes)
{
    struct npu_device *device = upload->device;
    const struct cann *cann = device->cann;
    aclrtStream stream = slot % 2 ? device->stream : device->copy_stream;
    if (device->status == VINCI_OK)
        npu_check(device,
                  cann->aclrtMemcpyAsync(to, n_bytes, upload->staging[slot], n_bytes,
                                         ACL_MEMCPY_HOST_TO_DEVICE, stream),
                  "aclrtMemcpyAsync");
    if (device->status == VINCI_OK)
        npu_check(device, cann->aclrtRecordEvent(upload->events[slot], stream), "aclrtRecordEvent");
    upload->busy[slot] = device->status == VINCI_OK;
}

void upload_items(struct upload *upload, void *to, size_t n_items, size_t item_bytes, size_t grain,
                  upload_fill_fn *fill, const void *ctx)
{
    struct npu_device *device = upload->device;
    size_t piece = SLOT_BYTES / item_bytes;
    for (size_t i = 0; i < n_items && device->status == VINCI_OK; i += piece) {
        unsigned slot = upload->next;
        size_t n = n_items - i < piece ? n_items - i : piece;
        upload->next = (slot + 1) % UPLOAD_SLOTS;
        await(upload, slot);
        if (device->status != VINCI_OK) return;
        struct fill_job job = {fill, ctx, i, item_bytes, upload->staging[slot]};
        parallel_for(device->pool, n, grain, fill_task, &job);
        copy(upload, slot, (uint8_t *)to + i * item_bytes, n * item_bytes);
        upload->done += n * item_bytes;
        report(upload);
    }
}

void upload_start(struct upload *upload, struct npu_device *device, uint64_t total)
{
    *upload = (struct upload){.device = device, .total = total, .start = seconds_now()};
    for (int i = 0; i < UPLOAD_SLOTS && device->status == VINCI_OK; i++) {
        upload->staging[i] = npu_pinned(device, SLOT_BYTES);
        npu_check(device, device->cann->aclrtCreateEvent(&upload->events[i]), "aclrtCreateEvent");
    }
}

void upload_finish(struct upload *upload)
{
    struct npu_device *device = upload->device;
    const struct cann *cann = device->cann;
    double start = seconds_now();
    npu_check(device, cann->aclrtSynchronizeStream(device->copy_stream), "aclrtSynchronizeStream");
    npu_check(device, cann->aclrtSynchronizeStream(device->stream), "aclrtSynchronizeStream");
    double end = seconds_now(), seconds = end - upload->start;
    upload->wait_seconds += end - start;
    for (int i = 0; i < UPLOAD_SLOTS; i++) {
        if (upload->events[i]) cann->aclrtDestroyEvent(upload->events[i]);
        /* After a failure it may still be read: it goes with the device. */
        if (device->status == VINCI_OK) npu_release(device, upload->staging[i]);
    }
    if (device->status != VINCI_OK) return;
    device->base.upload_bytes = upload->done;
    device->base.upload_seconds = seconds;
    log_message(&device->log, VINCI_LOG_INFO,
                _("%s: %.2f GB of weights in %.1f s, %.1f GB/s (%.1f s of it waiting for copies)"),
                device->base.name, (double)upload->done * 1e-9, seconds,
                (double)upload->done * 1e-9 / seconds, upload->wait_seconds);
}
