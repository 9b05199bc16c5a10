/* golden_case.c - finds and reads golden checkpoints for the engine's tests. */
#include "golden_case.h"

#include "model/safetensors.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

const struct golden_case GOLDEN_CASES[] = {
    {"tiny", "tiny", "tiny"},
    {"tiny-original", "tiny-original", "tiny"},
    {"tiny-bf16", "tiny-bf16", "tiny"},
    {"tiny-gguf", "tiny-gguf/tiny.gguf", "tiny"},
    {"tiny-q8", "tiny-q8/tiny-q8.gguf", "tiny-q8"},
    {"tiny-f16", "tiny-f16/tiny-f16.gguf", "tiny-f16"},
    {"tiny-dense-gguf", "tiny-dense-gguf/tiny-dense.gguf", "tiny"},
    {"odd", "odd", "odd"},
    {"odd-sharded", "odd-sharded", "odd"},
    {"odd-q8", "odd-q8/odd-q8.gguf", "odd-q8"},
    {"wide", "wide", "wide"},
    {"long", "long", "long"},
    {"many-experts", "many-experts", "many-experts"},
    {"text", "text", "text"},
    {"text-gguf", "text-gguf/text.gguf", "text"},
};
const size_t N_GOLDEN_CASES = sizeof GOLDEN_CASES / sizeof *GOLDEN_CASES;

static const char *const places[] = {TEST_VECTORS "/golden",
                                     TEST_VECTORS "/../../../shared/golden"};

static const void *array(const struct tensor_index *index, const char *name, size_t *n_rows,
                         size_t *n_cols)
{
    const struct tensor *tensor = tensor_index_find(index, name);
    assert_non_null(tensor);
    *n_rows = (size_t)tensor->shape[0];
    if (n_cols) *n_cols = (size_t)tensor->shape[1];
    return tensor->data;
}

static void read_tolerance(struct golden *golden, const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error), *tolerance, *row;
    assert_non_null(root);
    tolerance = json_object_get(root, "tolerance");
    row = json_object_get(tolerance, "f32_reference_vs_f64");
    golden->f32_max_abs = json_real_value(json_object_get(row, "max_abs"));
    row = json_object_get(json_object_get(tolerance, "int8_activations_vs_f64"), "kept_positions");
    golden->int8_kl_mean = json_real_value(json_object_get(row, "kl_mean"));
    assert_true(golden->f32_max_abs > 0 && golden->int8_kl_mean > 0);
    json_decref(root);
}

bool golden_open(struct golden *golden, const struct golden_case *c)
{
    struct vinci_error err;
    char path[1024];
    const char *place = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places && !place; i++) {
        snprintf(golden->model, sizeof golden->model, "%s/%s", places[i], c->model);
        if (access(golden->model, R_OK) == 0) place = places[i];
    }
    if (!place) return false;
    snprintf(path, sizeof path, "%s/%s/golden.json", place, c->values);
    read_tolerance(golden, path);
    snprintf(path, sizeof path, "%s/%s/golden.safetensors", place, c->values);
    golden->index = (struct tensor_index){0};
    if (safetensors_open(&golden->index, path, &err) != VINCI_OK) fail_msg("%s", err.text);
    golden->input_ids = array(&golden->index, "input_ids", &golden->n_input, NULL);
    golden->positions = array(&golden->index, "positions", &golden->n_positions, NULL);
    golden->logits = array(&golden->index, "logits", &golden->n_positions, &golden->n_vocab);
    golden->greedy_ids = array(&golden->index, "greedy_ids", &golden->n_greedy, NULL);
    golden->greedy_logits = array(&golden->index, "greedy_logits", &golden->n_greedy, NULL);
    return true;
}

void golden_close(struct golden *golden)
{
    tensor_index_free(&golden->index);
}

int32_t *golden_ids(const int64_t *ids, size_t n)
{
    int32_t *copy = calloc(n, sizeof *copy);
    assert_non_null(copy);
    for (size_t i = 0; i < n; i++) copy[i] = (int32_t)ids[i];
    return copy;
}

struct vinci_engine *golden_engine(const struct golden *golden, enum vinci_activations activations,
                                   enum vinci_kv_type kv, uint32_t n_threads, uint32_t n_batch)
{
    struct vinci_engine_options options;
    struct vinci_engine *engine = NULL;
    struct vinci_error err;
    vinci_engine_options_init(&options);
    options.model = golden->model;
    options.activations = activations;
    options.kv_type = kv;
    options.n_threads = n_threads;
    options.n_batch = n_batch;
    options.n_ctx = 8192;
    if (vinci_engine_open(&engine, &options, &err) != VINCI_OK) fail_msg("%s", err.text);
    return engine;
}

static double log_sum_exp(const float *x, size_t n)
{
    double max = x[0], sum = 0;
    for (size_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) sum += exp(x[i] - max);
    return max + log(sum);
}

double kl_divergence(const float *p, const float *q, size_t n)
{
    double zp = log_sum_exp(p, n), zq = log_sum_exp(q, n), kl = 0;
    for (size_t i = 0; i < n; i++) kl += exp(p[i] - zp) * ((p[i] - zp) - (q[i] - zq));
    return kl;
}

size_t argmax(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}
