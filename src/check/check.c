/* check.c - what `vinci check` measures on a device: a training step of a small network, matrix
 * products, bandwidth. The same code for every device, by dense.h; the host only makes random
 * numbers and verifies.
 *
 * The network's gradients are held against differences of the loss that the host computes in double
 * precision: that tells a wrong device from a rounding one without trusting another device. */
#include "check/check.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"

#include "device/device.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Quoted publicly, not measured: F16 and BF16 operations/s, bytes/s of the memory. */
static const struct {
    const char *name;
    double half_peak, bandwidth;
} chips[] = {{"Ascend910B3", 313e12, 1.6e12}};

static void find_published(struct vinci_check *check)
{
    for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
        if (strcmp(chips[i].name, check->device->name) != 0) continue;
        check->published_peak[VINCI_CHECK_F16] = chips[i].half_peak;
        check->published_peak[VINCI_CHECK_BF16] = chips[i].half_peak;
        check->published_bandwidth = chips[i].bandwidth;
    }
}

enum vinci_status vinci_check_open(struct vinci_check **out, const char *device,
                                   const struct vinci_cann_places *cann, uint32_t n_threads,
                                   struct vinci_error *err)
{
    *out = NULL;
    int32_t npu = device ? npu_device_id(device) : -1;
    if (device && npu < 0 && strcmp(device, "cpu") != 0)
        return fail(err, VINCI_NO_DEVICE,
                    "device '%s': expected \"cpu\" or \"npu:0\"; 'vinci devices' lists them",
                    device);
    struct vinci_check *check = array_new_zero(1, sizeof *check);
    if (!check) return fail_memory(err, sizeof *check, "the check");
    struct dense_device *cpu = NULL;
    enum vinci_status status = cpu_dense_create(&cpu, n_threads, NULL, err);
    if (npu < 0) check->device = cpu;
    else check->cpu = cpu;
    if (status == VINCI_OK && npu >= 0)
        status = npu_dense_create(&check->device, npu,
                                  cann ? cann : &(const struct vinci_cann_places){0}, err);
    if (status == VINCI_OK) find_published(check);
    if (status != VINCI_OK) vinci_check_close(check);
    else *out = check;
    return status;
}

void vinci_check_close(struct vinci_check *check)
{
    if (!check) return;
    if (check->device) check->device->ops->destroy(check->device);
    if (check->cpu) check->cpu->ops->destroy(check->cpu);
    free(check);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_size);
    return (x[(n - 1) / 2] + x[n / 2]) / 2;
}

/* ---- the network --------------------------------------------------------------------------- */

/* The network's tensors on the device; all F32. */
struct trained {
    struct dense *input;
    struct dense *weights[NETWORK_LAYERS], *biases[NETWORK_LAYERS], *keep[NETWORK_LAYERS - 1];
    struct dense *sums[NETWORK_LAYERS];       /* x W^T + b */
    struct dense *hidden[NETWORK_LAYERS - 1]; /* after ReLU and dropout */
    struct dense *d_sums[NETWORK_LAYERS];     /* derivative of the loss by sums */
    struct dense *d_hidden[NETWORK_LAYERS - 1];
    struct dense *d_weights[NETWORK_LAYERS], *d_biases[NETWORK_LAYERS];
    struct dense *truth; /* one-hot labels */
};
enum { TRAINED_TENSORS = sizeof(struct trained) / sizeof(struct dense *) };

static void trained_release(struct dense_device *device, struct trained *t)
{
    struct dense **all = (struct dense **)t;
    for (size_t i = 0; i < TRAINED_TENSORS; i++) device->ops->release(device, all[i]);
}

/* A tensor, and what it begins with (NULL: nothing). */
static enum vinci_status put(struct dense_device *device, struct dense **out, size_t n_rows,
                             size_t n_cols, const float *from, struct vinci_error *err)
{
    enum vinci_status status = device->ops->create(device, out, n_rows, n_cols, DTYPE_F32, err);
    if (status == VINCI_OK && from) device->ops->write(device, *out, from);
    return status;
}

static enum vinci_status layer_create(struct dense_device *device, struct trained *t, int l,
                                      const struct network *network, struct vinci_error *err)
{
    size_t n_in = network_sizes[l], n_out = network_sizes[l + 1], n = NETWORK_BATCH;
    enum vinci_status status = put(device, &t->weights[l], n_out, n_in, network->weights[l], err);
    if (!status) status = put(device, &t->biases[l], 1, n_out, network->biases[l], err);
    if (!status) status = put(device, &t->sums[l], n, n_out, NULL, err);
    if (!status) status = put(device, &t->d_sums[l], n, n_out, NULL, err);
    if (!status) status = put(device, &t->d_weights[l], n_out, n_in, NULL, err);
    if (!status) status = put(device, &t->d_biases[l], 1, n_out, NULL, err);
    if (l == NETWORK_LAYERS - 1) return status;
    if (!status) status = put(device, &t->keep[l], n, n_out, network->keep[l], err);
    if (!status) status = put(device, &t->hidden[l], n, n_out, NULL, err);
    if (!status) status = put(device, &t->d_hidden[l], n, n_out, NULL, err);
    return status;
}

static enum vinci_status trained_create(struct dense_device *device, struct trained *t,
                                        const struct network *network, struct vinci_error *err)
{
    enum { CLASSES = 10 };
    float truth[NETWORK_BATCH * CLASSES] = {0};
    for (size_t i = 0; i < NETWORK_BATCH; i++) truth[i * CLASSES + network->labels[i]] = 1;
    enum vinci_status status =
        put(device, &t->input, NETWORK_BATCH, network_sizes[0], network->input, err);
    if (!status) status = put(device, &t->truth, NETWORK_BATCH, CLASSES, truth, err);
    for (int l = 0; !status && l < NETWORK_LAYERS; l++)
        status = layer_create(device, t, l, network, err);
    return status;
}

static void forward(struct dense_device *device, struct trained *t)
{
    const struct dense_ops *ops = device->ops;
    for (int l = 0; l < NETWORK_LAYERS; l++) {
        ops->matmul(device, l == 0 ? t->input : t->hidden[l - 1], false, t->weights[l], true,
                    t->sums[l]);
        ops->add_row(device, t->sums[l], t->biases[l]);
        if (l == NETWORK_LAYERS - 1) continue;
        ops->relu(device, t->sums[l], t->hidden[l]);
        ops->multiply(device, t->hidden[l], t->keep[l]);
    }
}

/* d loss / d sums of the last layer is (softmax - truth) / batch; then layer by layer backwards. */
static void backward(struct dense_device *device, struct trained *t)
{
    const struct dense_ops *ops = device->ops;
    const int last = NETWORK_LAYERS - 1;
    ops->softmax(device, t->sums[last], t->d_sums[last]);
    ops->subtract(device, t->d_sums[last], t->truth);
    ops->scale(device, t->d_sums[last], 1.0f / NETWORK_BATCH);
    for (int l = last; l >= 0; l--) {
        ops->matmul(device, t->d_sums[l], true, l == 0 ? t->input : t->hidden[l - 1], false,
                    t->d_weights[l]);
        ops->sum_rows(device, t->d_sums[l], t->d_biases[l]);
        if (l == 0) continue;
        ops->matmul(device, t->d_sums[l], false, t->weights[l], false, t->d_hidden[l - 1]);
        ops->multiply(device, t->d_hidden[l - 1], t->keep[l - 1]);
        ops->relu_backward(device, t->sums[l - 1], t->d_hidden[l - 1], t->d_sums[l - 1]);
    }
}

static double cross_entropy(const float *output, const uint32_t *labels, size_t n_out)
{
    double total = 0;
    for (size_t s = 0; s < NETWORK_BATCH; s++, output += n_out) {
        double most = (double)output[0], sum = 0;
        for (size_t o = 1; o < n_out; o++) most = fmax(most, (double)output[o]);
        for (size_t o = 0; o < n_out; o++) sum += exp((double)output[o] - most);
        total += most + log(sum) - (double)output[labels[s]];
    }
    return total / NETWORK_BATCH;
}

enum { COMPARED_A_TENSOR = 10 };
/* float32 sums of up to 256 products, three layers deep, differ from double by some 1e-6; a kink of
 * ReLU within the step can show on top of that. */
static const double GRADIENT_TOLERANCE = 1e-3, DIFFERENCE_STEP = 1e-6;

/* Central differences for some parameters of one tensor, against `gradient` [n]. */
static void compare(const struct network *network, uint32_t layer, bool bias, const float *gradient,
                    size_t n, uint64_t seed, double *worst, double *largest, uint32_t *n_compared)
{
    for (uint64_t i = 0; i < COMPARED_A_TENSOR; i++) {
        uint32_t index = (uint32_t)(random_u64(seed, 1000 + i) % n);
        struct network_change change = {layer, index, bias, DIFFERENCE_STEP};
        double up = network_loss(network, &change);
        change.change = -DIFFERENCE_STEP;
        double derivative = (up - network_loss(network, &change)) / (2 * DIFFERENCE_STEP);
        double error = fabs(derivative - (double)gradient[index]);
        /* Written so that a NaN counts as the worst. */
        if (!(error <= *worst)) *worst = error;
        *largest = fmax(*largest, fabs(derivative));
        ++*n_compared;
    }
}

/* The whole gradient, layer by layer: weights, biases. */
static void read_gradient(struct dense_device *device, struct trained *t, float *gradient)
{
    for (int l = 0; l < NETWORK_LAYERS; l++) {
        device->ops->read(device, t->d_weights[l], gradient);
        gradient += (size_t)network_sizes[l + 1] * network_sizes[l];
        device->ops->read(device, t->d_biases[l], gradient);
        gradient += network_sizes[l + 1];
    }
}

/* One forward and backward pass: outputs [NETWORK_BATCH, 10] and the gradient, and how long. */
static enum vinci_status train(struct dense_device *device, const struct network *network,
                               float *outputs, float *gradient, double seconds[2],
                               struct vinci_error *err)
{
    struct trained trained = {0};
    enum vinci_status status = trained_create(device, &trained, network, err);
    /* The first pass pays for what a device does once; the second is timed. */
    for (int pass = 0; status == VINCI_OK && pass < 2; pass++) {
        double start = seconds_now();
        forward(device, &trained);
        status = device->ops->wait(device, err);
        seconds[0] = seconds_now() - start;
        if (status != VINCI_OK) break;
        start = seconds_now();
        backward(device, &trained);
        status = device->ops->wait(device, err);
        seconds[1] = seconds_now() - start;
    }
    if (status == VINCI_OK) {
        device->ops->read(device, trained.sums[NETWORK_LAYERS - 1], outputs);
        read_gradient(device, &trained, gradient);
        status = device->ops->wait(device, err);
    }
    trained_release(device, &trained);
    return status;
}

static void evaluate(const struct network *network, const float *outputs, const float *gradient,
                     uint64_t seed, struct vinci_check_network *out)
{
    const uint32_t n_out = network_sizes[NETWORK_LAYERS];
    double sum = 0, worst = 0, largest = 0;
    out->output_min = out->output_max = (double)outputs[0];
    for (size_t i = 1; i < NETWORK_BATCH * n_out; i++) {
        out->output_min = fmin(out->output_min, (double)outputs[i]);
        out->output_max = fmax(out->output_max, (double)outputs[i]);
    }
    out->loss = cross_entropy(outputs, network->labels, n_out);
    out->reference_loss = network_loss(network, NULL);
    for (size_t i = 0; i < out->n_params; i++) sum += fabs((double)gradient[i]);
    for (uint32_t l = 0; l < NETWORK_LAYERS; l++) {
        for (int bias = 0; bias < 2; bias++) {
            size_t n = network_sizes[l + 1] * (bias ? 1 : network_sizes[l]);
            compare(network, l, bias, gradient, n, random_u64(seed, 300 + 2 * l + (uint64_t)bias),
                    &worst, &largest, &out->n_compared);
            gradient += n;
        }
    }
    out->mean_abs_gradient = sum / out->n_params;
    out->gradient_error = worst / largest;
    out->gradient_tolerance = GRADIENT_TOLERANCE;
    out->gradients_agree = out->gradient_error <= GRADIENT_TOLERANCE &&
                           fabs(out->loss - out->reference_loss) <= GRADIENT_TOLERANCE;
}

/* Every parameter's derivative against that of this machine's processor. */
static void compare_with_cpu(const float *gradient, const float *cpu,
                             struct vinci_check_network *out)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < out->n_params; i++) {
        double error = fabs((double)gradient[i] - (double)cpu[i]);
        if (!(error <= worst)) worst = error;
        largest = fmax(largest, fabs((double)cpu[i]));
    }
    out->cpu_error = worst / largest;
    out->gradients_agree = out->gradients_agree && out->cpu_error <= GRADIENT_TOLERANCE;
}

enum vinci_status vinci_check_network(struct vinci_check *check, uint64_t seed,
                                      struct vinci_check_network *out, struct vinci_error *err)
{
    struct network network = {0};
    double seconds[2] = {0}, cpu_seconds[2];
    *out = (struct vinci_check_network){
        .n_layers = NETWORK_LAYERS, .n_batch = NETWORK_BATCH, .n_params = network_n_params()};
    memcpy(out->sizes, network_sizes, sizeof out->sizes);
    enum vinci_status status = network_create(&network, seed, err);
    size_t n_outputs = (size_t)NETWORK_BATCH * network_sizes[NETWORK_LAYERS];
    float *outputs = array_new(n_outputs, sizeof *outputs);
    float *gradients = array_new((size_t)2 * out->n_params, sizeof *gradients);
    if (status == VINCI_OK && (!outputs || !gradients))
        status = fail_memory(err, out->n_params * sizeof *gradients, "the gradients");
    if (status == VINCI_OK && check->cpu)
        status = train(check->cpu, &network, outputs, gradients + out->n_params, cpu_seconds, err);
    if (status == VINCI_OK)
        status = train(check->device, &network, outputs, gradients, seconds, err);
    if (status == VINCI_OK) {
        evaluate(&network, outputs, gradients, seed, out);
        if (check->cpu) compare_with_cpu(gradients, gradients + out->n_params, out);
        out->forward_seconds = seconds[0];
        out->backward_seconds = seconds[1];
    }
    network_release(&network);
    free(outputs);
    free(gradients);
    return status;
}

/* ---- matrix products ----------------------------------------------------------------------- */

static const struct {
    enum dtype dtype;
    double rounding; /* of one element of the operands, relative */
} types[VINCI_CHECK_TYPES] = {
    {DTYPE_F32, 0x1p-24}, {DTYPE_F16, 0x1p-11}, {DTYPE_BF16, 0x1p-8}, {DTYPE_Q8_0, 1.0 / 127}};

struct product {
    struct dense *a, *b, *c;
    float *values, *result; /* [n, n]: b's elements, as they were before rounding; c */
};

static float *random_matrix(float *out, uint32_t n, uint64_t seed)
{
    for (size_t i = 0; i < (size_t)n * n; i++) out[i] = (float)(2 * random_uniform(seed, i) - 1);
    return out;
}

/* A few rows of c against double precision. Rounding errors of n terms add up like a random walk,
 * as their sum does: 8 times one's are not to be had by chance. Sums in float32 round at each of n
 * steps besides. */
static void verify_product(struct dense_device *device, struct product *p, uint32_t n,
                           double rounding, struct vinci_check_product *out)
{
    enum { ROWS = 4 };
    double worst = 0, largest = 0;
    float *row = p->result + (size_t)n * n;
    device->ops->read(device, p->c, p->result);
    for (uint32_t i = 0; i < ROWS; i++) {
        size_t r = (size_t)i * (n - 1) / (ROWS - 1);
        for (size_t k = 0; k < n; k++) row[k] = (float)(2 * random_uniform(1, r * n + k) - 1);
        for (size_t c = 0; c < n; c++) {
            double sum = 0;
            for (size_t k = 0; k < n; k++) sum += (double)row[k] * (double)p->values[c * n + k];
            double error = fabs(sum - (double)p->result[r * n + c]);
            if (!(error <= worst)) worst = error;
            largest = fmax(largest, fabs(sum));
        }
    }
    out->error = worst / largest;
    out->agrees = out->error <= 8 * rounding + sqrt((double)n) * 0x1p-24;
}

static enum vinci_status product_create(struct vinci_check *check, struct product *p,
                                        enum dtype dtype, uint32_t n, struct vinci_error *err)
{
    struct dense_device *device = check->device;
    size_t n_elements = (size_t)n * n;
    p->values = array_new(n_elements, sizeof(float));
    p->result = array_new(n_elements + n, sizeof(float));
    if (!p->values || !p->result) return fail_memory(err, n_elements * sizeof(float), "a matrix");
    enum vinci_status status =
        device->ops->create(device, &p->a, n, n, device->x_dtype[dtype], err);
    if (status == VINCI_OK) status = device->ops->create(device, &p->b, n, n, dtype, err);
    if (status == VINCI_OK) status = device->ops->create(device, &p->c, n, n, DTYPE_F32, err);
    if (status != VINCI_OK) return status;
    device->ops->write(device, p->a, random_matrix(p->values, n, 1));
    device->ops->write(device, p->b, random_matrix(p->values, n, 2));
    return device->ops->wait(device, err);
}

enum vinci_status vinci_check_product(struct vinci_check *check, enum vinci_check_type type,
                                      uint32_t n, uint32_t repeat, struct vinci_check_product *out,
                                      struct vinci_error *err)
{
    struct dense_device *device = check->device;
    struct product p = {0};
    *out = (struct vinci_check_product){.n = n, .repeat = repeat};
    if (n < QUANT_BLOCK || n % QUANT_BLOCK != 0 || n > 32768 || repeat < 1 || repeat > 10000)
        return fail(err, VINCI_USAGE,
                    "matrix product: expected 32 to 32768 rows, a multiple of 32, and 1 to 10000 "
                    "repetitions; got %u and %u",
                    n, repeat);
    if ((unsigned)type >= VINCI_CHECK_TYPES || !device->multiplies[types[type].dtype])
        return fail(err, VINCI_UNSUPPORTED, "the device does not multiply matrices of this type");
    double *samples = array_new(repeat, sizeof *samples);
    enum vinci_status status = samples ? VINCI_OK : fail_memory(err, repeat * 8, "the samples");
    if (status == VINCI_OK) status = product_create(check, &p, types[type].dtype, n, err);
    for (uint32_t i = 0; status == VINCI_OK && i <= repeat; i++) {
        device->ops->mark(device);
        device->ops->matmul(device, p.a, false, p.b, true, p.c);
        device->ops->mark(device);
        status = device->ops->wait(device, err);
        if (i == 0 || status != VINCI_OK) continue;
        samples[i - 1] = device->ops->seconds(device);
        out->seconds += samples[i - 1];
    }
    if (status == VINCI_OK) {
        verify_product(device, &p, n, types[type].rounding, out);
        out->operations_per_second = 2.0 * n * n * n / median(samples, repeat);
        out->min_seconds = samples[0];
        out->published_peak = check->published_peak[type];
        status = device->ops->wait(device, err);
    }
    device->ops->release(device, p.a);
    device->ops->release(device, p.b);
    device->ops->release(device, p.c);
    free(p.values);
    free(p.result);
    free(samples);
    return status;
}

/* ---- bandwidth ----------------------------------------------------------------------------- */

enum vinci_status vinci_check_bandwidth(struct vinci_check *check, uint64_t n_bytes,
                                        uint32_t repeat, struct vinci_check_bandwidth *out,
                                        struct vinci_error *err)
{
    struct dense_device *device = check->device;
    enum { COLS = 4096, KINDS = 3 };
    size_t n_rows = (size_t)(n_bytes / (COLS * sizeof(float)));
    *out = (struct vinci_check_bandwidth){0};
    if (n_rows < 1 || n_rows > UINT32_MAX || repeat < 1 || repeat > 1000)
        return fail(err, VINCI_USAGE,
                    "bandwidth: expected at least 16384 bytes and 1 to 1000 repetitions, got %llu "
                    "and %u",
                    (unsigned long long)n_bytes, repeat);
    struct dense *a = NULL, *b = NULL;
    double *samples[KINDS] = {NULL};
    enum vinci_status status = device->ops->create(device, &a, n_rows, COLS, DTYPE_F32, err);
    if (status == VINCI_OK) status = device->ops->create(device, &b, n_rows, COLS, DTYPE_F32, err);
    float *host = device->ops->host_create(device, n_rows * COLS * sizeof *host);
    if (host) memset(host, 0, n_rows * COLS * sizeof *host);
    for (int k = 0; k < KINDS; k++) samples[k] = array_new(repeat, sizeof(double));
    if (status == VINCI_OK && (!host || !samples[0] || !samples[1] || !samples[2]))
        status = fail_memory(err, n_rows * COLS * sizeof *host, "the bandwidth's measurement");
    for (uint32_t i = 0; status == VINCI_OK && i <= repeat; i++) {
        for (int k = 0; status == VINCI_OK && k < KINDS; k++) {
            device->ops->mark(device);
            if (k == 0) device->ops->write(device, a, host);
            else if (k == 1) device->ops->copy(device, a, b);
            else device->ops->read(device, b, host);
            device->ops->mark(device);
            status = device->ops->wait(device, err);
            if (i > 0 && status == VINCI_OK) samples[k][i - 1] = device->ops->seconds(device);
        }
    }
    if (status == VINCI_OK) {
        out->n_bytes = n_rows * COLS * sizeof(float);
        out->to_device = (double)out->n_bytes / median(samples[0], repeat);
        out->copy = 2 * (double)out->n_bytes / median(samples[1], repeat);
        out->from_device = (double)out->n_bytes / median(samples[2], repeat);
        out->published_copy = check->published_bandwidth;
    }
    device->ops->release(device, a);
    device->ops->release(device, b);
    for (int k = 0; k < KINDS; k++) free(samples[k]);
    device->ops->host_release(device, host);
    return status;
}

/* ---- ties ---------------------------------------------------------------------------------- */

enum { TIE_ROWS = 32, TIE_COLS = 201088 /* gpt-oss's vocabulary */ };

/* Row r: from the first of the largest on, every gap-th number up to three. Even rows have two, a
 * power of two apart; odd ones three. The last row has nothing but equal numbers. */
static size_t tie_index(uint32_t row, uint32_t i)
{
    size_t gap = (size_t)1 << row / 2;
    size_t first = (size_t)(random_uniform(3, row) * (double)(TIE_COLS - 2 * gap));
    return row == TIE_ROWS - 1 ? i * (TIE_COLS - 1) / 2 : first + i * gap;
}

static void fill_ties(float *x)
{
    for (uint32_t r = 0; r < TIE_ROWS; r++, x += TIE_COLS) {
        bool equal = r == TIE_ROWS - 1;
        for (size_t c = 0; c < TIE_COLS; c++)
            x[c] = equal ? 4 : (float)(2 * random_uniform(4 + r, c) - 1);
        for (uint32_t i = 0; i < 2 + r % 2; i++) x[tie_index(r, i)] = 4;
    }
}

enum vinci_status vinci_check_ties(struct vinci_check *check, struct vinci_check_ties *out,
                                   struct vinci_error *err)
{
    struct dense_device *device = check->device;
    struct dense *tensor = NULL;
    int64_t found[TIE_ROWS];
    *out = (struct vinci_check_ties){.n_rows = TIE_ROWS, .n_cols = TIE_COLS};
    if (!device->finds_best)
        return fail(err, VINCI_UNSUPPORTED, "the device does not look for a largest number itself");
    float *x = array_new((size_t)TIE_ROWS * TIE_COLS, sizeof *x);
    if (!x) return fail_memory(err, (size_t)TIE_ROWS * TIE_COLS * sizeof *x, "numbers");
    fill_ties(x);
    enum vinci_status status =
        device->ops->create(device, &tensor, TIE_ROWS, TIE_COLS, DTYPE_BF16, err);
    if (status == VINCI_OK) {
        device->ops->write(device, tensor, x);
        device->ops->best(device, tensor, found);
        status = device->ops->wait(device, err);
    }
    for (uint32_t r = 0; status == VINCI_OK && r < TIE_ROWS; r++) {
        int64_t first = (int64_t)tie_index(r, 0), last = (int64_t)tie_index(r, 1 + r % 2);
        bool largest = found[r] >= 0 && found[r] < TIE_COLS && x[r * TIE_COLS + found[r]] == 4;
        if (!largest) out->n_wrong++;
        else if (found[r] == first) out->n_first++;
        else if (found[r] == last) out->n_last++;
        else out->n_between++;
    }
    device->ops->release(device, tensor);
    free(x);
    return status;
}
