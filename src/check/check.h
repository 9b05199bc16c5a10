/* check.h - what the files of src/check share: an opened device, and the little network. */
#ifndef VINCI_CHECK_CHECK_H
#define VINCI_CHECK_CHECK_H

#include "device/dense.h"

struct vinci_check {
    struct dense_device *device;
    struct dense_device *cpu;                 /* beside an NPU, for comparison; else NULL */
    double published_peak[VINCI_CHECK_TYPES]; /* operations/s, 0: not published */
    double published_bandwidth;               /* bytes/s of the device's memory */
};

/* ---- network.c: sizes, parameters and inputs, and the loss in double precision on the host -----
 */

enum { NETWORK_LAYERS = 3, NETWORK_BATCH = 32 };
extern const uint32_t network_sizes[NETWORK_LAYERS + 1];

/* Row-major floats. weights[l] is [sizes[l + 1], sizes[l]], y = x W^T + b; keep[l] [batch,
 * sizes[l + 1]] is what dropout multiplies with: 0 or 1 / 0.9. */
struct network {
    float *weights[NETWORK_LAYERS], *biases[NETWORK_LAYERS], *keep[NETWORK_LAYERS - 1];
    float *input;                   /* [batch, sizes[0]] */
    uint32_t labels[NETWORK_BATCH]; /* < sizes[last] */
    double *values;                 /* scratch of network_loss */
};

/* Weights and biases uniform within 1 / sqrt(inputs), inputs normal; everything from the seed. */
enum vinci_status network_create(struct network *network, uint64_t seed, struct vinci_error *err);
void network_release(struct network *network);
uint32_t network_n_params(void);

/* Mean cross-entropy, with `change` added to one parameter: element `index` of layer's weights, or
 * of its bias where bias is set. */
struct network_change {
    uint32_t layer, index;
    bool bias;
    double change;
};
double network_loss(const struct network *network, const struct network_change *change);

#endif
