/* network.c - the host's side of the little network: its random parameters and inputs, and its loss
 * in double precision with one parameter changed, by which the device's gradients are checked.
 * Plain loops on purpose: this is the reference. */
#include "check/check.h"

#include "base/buf.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const uint32_t network_sizes[NETWORK_LAYERS + 1] = {128, 256, 256, 10};

enum { WIDEST = 256 };
static const double DROPOUT = .1;

uint32_t network_n_params(void)
{
    uint32_t n = 0;
    for (int l = 0; l < NETWORK_LAYERS; l++) n += (network_sizes[l] + 1) * network_sizes[l + 1];
    return n;
}

/* Every array takes its numbers from a counter of its own. */
static void fill_uniform(float *x, size_t n, uint64_t seed, double limit)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)((2 * random_uniform(seed, i) - 1) * limit);
}

static void fill_normal(float *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        double u = 1 - random_uniform(seed, 2 * i), angle = random_uniform(seed, 2 * i + 1);
        x[i] = (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * angle));
    }
}

enum vinci_status network_create(struct network *network, uint64_t seed, struct vinci_error *err)
{
    bool ok = true;
    *network = (struct network){0};
    for (uint64_t l = 0; l < NETWORK_LAYERS; l++) {
        size_t n_in = network_sizes[l], n_out = network_sizes[l + 1];
        double limit = 1 / sqrt((double)n_in);
        network->weights[l] = array_new(n_out * n_in, sizeof(float));
        network->biases[l] = array_new(n_out, sizeof(float));
        ok = ok && network->weights[l] && network->biases[l];
        if (ok) fill_uniform(network->weights[l], n_out * n_in, random_u64(seed, 8 * l), limit);
        if (ok) fill_uniform(network->biases[l], n_out, random_u64(seed, 8 * l + 1), limit);
        if (l == NETWORK_LAYERS - 1) continue;
        float *keep = network->keep[l] = array_new(NETWORK_BATCH * n_out, sizeof(float));
        ok = ok && keep;
        for (size_t i = 0; ok && i < NETWORK_BATCH * n_out; i++)
            keep[i] = random_uniform(random_u64(seed, 8 * l + 2), i) < DROPOUT
                          ? 0
                          : (float)(1 / (1 - DROPOUT));
    }
    network->input = array_new(NETWORK_BATCH * network_sizes[0], sizeof(float));
    network->values = array_new(2 * WIDEST, sizeof(double));
    if (!ok || !network->input || !network->values) {
        network_release(network);
        return fail_memory(err, network_n_params() * sizeof(float), "the network");
    }
    fill_normal(network->input, NETWORK_BATCH * network_sizes[0], random_u64(seed, 100));
    for (size_t i = 0; i < NETWORK_BATCH; i++)
        network->labels[i] = (uint32_t)(random_u64(seed, 200 + i) % network_sizes[NETWORK_LAYERS]);
    return VINCI_OK;
}

void network_release(struct network *network)
{
    for (int l = 0; l < NETWORK_LAYERS; l++) {
        free(network->weights[l]);
        free(network->biases[l]);
        if (l < NETWORK_LAYERS - 1) free(network->keep[l]);
    }
    free(network->input);
    free(network->values);
    *network = (struct network){0};
}

/* One layer of one input: out = x W^T + b, then ReLU and dropout but for the last. */
static void layer_forward(const struct network *network, int l, size_t sample,
                          const struct network_change *change, const double *x, double *out)
{
    size_t n_in = network_sizes[l], n_out = network_sizes[l + 1];
    bool here = change && change->layer == (uint32_t)l;
    for (size_t o = 0; o < n_out; o++) {
        const float *w = network->weights[l] + o * n_in;
        double sum = (double)network->biases[l][o];
        for (size_t i = 0; i < n_in; i++) sum += (double)w[i] * x[i];
        if (here && change->bias && change->index == o) sum += change->change;
        if (here && !change->bias && change->index / n_in == o)
            sum += change->change * x[change->index % n_in];
        out[o] = sum;
        if (l == NETWORK_LAYERS - 1) continue;
        out[o] = sum > 0 ? sum * (double)network->keep[l][sample * n_out + o] : 0;
    }
}

double network_loss(const struct network *network, const struct network_change *change)
{
    size_t n_out = network_sizes[NETWORK_LAYERS];
    double total = 0;
    for (size_t s = 0; s < NETWORK_BATCH; s++) {
        double *x = network->values, *y = network->values + WIDEST;
        for (size_t i = 0; i < network_sizes[0]; i++)
            x[i] = (double)network->input[s * network_sizes[0] + i];
        for (int l = 0; l < NETWORK_LAYERS; l++) {
            layer_forward(network, l, s, change, x, y);
            double *swap = x;
            x = y;
            y = swap;
        }
        double most = x[0], sum = 0;
        for (size_t o = 1; o < n_out; o++) most = fmax(most, x[o]);
        for (size_t o = 0; o < n_out; o++) sum += exp(x[o] - most);
        total += most + log(sum) - x[network->labels[s]];
    }
    return total / NETWORK_BATCH;
}
