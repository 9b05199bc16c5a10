/* upload.h - the pipeline that brings weights to the device (upload.c). */
#ifndef VINCI_DEVICE_NPU_UPLOAD_H
#define VINCI_DEVICE_NPU_UPLOAD_H

#include "device/npu/npu.h"

enum { UPLOAD_SLOTS = 4 }; /* even: each has one of two streams */

struct upload {
    struct npu_device *device;
    uint8_t *staging[UPLOAD_SLOTS]; /* pinned */
    aclrtEvent events[UPLOAD_SLOTS];
    bool busy[UPLOAD_SLOTS]; /* a copy from it was queued; its event comes behind */
    unsigned next;
    uint64_t done, total;       /* bytes given to the device; expected */
    unsigned reported;          /* percent, in the log */
    double start, wait_seconds; /* seconds; waited for copies */
};

/* Writes items [first, first + n) of a tensor to `out`, one behind the other. Any thread. */
typedef void upload_fill_fn(const void *ctx, size_t first, size_t n, void *out);

void upload_start(struct upload *upload, struct npu_device *device, uint64_t total);

/* Queues a tensor of n_items items; nothing after an error of the device. `grain`: items that one
 * thread makes at once. */
void upload_items(struct upload *upload, void *to, size_t n_items, size_t item_bytes, size_t grain,
                  upload_fill_fn *fill, const void *ctx);

/* Waits for the copies, releases the pinned memory and tells how fast it was. */
void upload_finish(struct upload *upload);

#endif
