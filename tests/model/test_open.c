/* test_open.c - every container opens; the same weights are the same numbers in all of them; and a
 * path is found out for what it is: folder, file, shard, index, part of a split model. */
#include "checkpoint_writer.h"
#include "memory_model.h"
#include "model/gguf.h"
#include "model/safetensors.h"
#include "model/weights.h"
#include "temp_folder.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN TEST_VECTORS "/golden/"

static struct model *open_or_fail(const char *path, const struct log *log)
{
    struct model *model = NULL;
    struct vinci_error err;
    if (model_open(&model, path, log, &err) != VINCI_OK) fail_msg("%s", err.text);
    assert_non_null(model);
    return model;
}

static void expect_refused(const char *path, enum vinci_status status, const char *text)
{
    struct model *model = NULL;
    struct vinci_error err = {0};
    enum vinci_status got = model_open(&model, path, NULL, &err);
    assert_null(model);
    if (got != status || !strstr(err.text, text))
        fail_msg("%s: expected %s and \"%s\", got %s: %s", path, vinci_status_name(status), text,
                 vinci_status_name(got), err.text);
}

/* The library's messages, one after the other. */
static void collect_log(void *user, enum vinci_log_level level, const char *message)
{
    (void)level;
    struct buf *log = user;
    assert_true(buf_append_text(log, message) && buf_append_text(log, "\n"));
}

/* ---- the golden containers ----------------------------------------------------------------- */

static const struct {
    const char *path;
    enum vinci_container container;
    uint32_t n_files, n_tensors;
    const char *tokenizer; /* how its path ends, "" if there is none */
    const char *dtypes;    /* in the order in which they come up */
} containers[] = {
    {"tiny", VINCI_CONTAINER_HF, 1, 41, "", "BF16 33, MXFP4 8"},
    {"tiny-original", VINCI_CONTAINER_ORIGINAL, 1, 33, "", "BF16 25, MXFP4 8"},
    {"tiny-bf16", VINCI_CONTAINER_HF, 1, 37, "", "BF16 37"},
    {"tiny-gguf", VINCI_CONTAINER_GGUF, 1, 41, "tiny-gguf/tiny.gguf", "F32 25, BF16 10, MXFP4 6"},
    {"tiny-q8/tiny-q8.gguf", VINCI_CONTAINER_GGUF, 1, 41, "tiny-q8.gguf",
     "F32 25, Q8_0 10, MXFP4 6"},
    {"tiny-f16", VINCI_CONTAINER_GGUF, 1, 41, "tiny-f16.gguf", "F32 25, F16 10, MXFP4 6"},
    {"tiny-dense-gguf", VINCI_CONTAINER_GGUF, 1, 41, "tiny-dense.gguf", "F32 25, BF16 16"},
    {"odd", VINCI_CONTAINER_HF, 1, 79, "", "BF16 63, MXFP4 16"},
    {"odd-sharded", VINCI_CONTAINER_HF, 3, 79, "", "BF16 63, MXFP4 16"},
    {"odd-sharded/model.safetensors.index.json", VINCI_CONTAINER_HF, 3, 79, "",
     "BF16 63, MXFP4 16"},
    {"odd-sharded/model-00002-of-00003.safetensors", VINCI_CONTAINER_HF, 3, 79, "",
     "BF16 63, MXFP4 16"},
    {"odd-q8", VINCI_CONTAINER_GGUF, 1, 79, "odd-q8.gguf", "F32 49, Q8_0 18, MXFP4 12"},
    {"long", VINCI_CONTAINER_HF, 1, 41, "", "BF16 33, MXFP4 8"},
    {"many-experts/model.safetensors", VINCI_CONTAINER_HF, 1, 41, "", "BF16 33, MXFP4 8"},
    {"text/", VINCI_CONTAINER_HF, 1, 41, "text/tokenizer.json", "BF16 33, MXFP4 8"},
    {"text-gguf", VINCI_CONTAINER_GGUF, 1, 41, "text-gguf/text.gguf", "F32 25, BF16 10, MXFP4 6"},
};

static void test_containers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof containers / sizeof *containers; i++) {
        char path[1024];
        struct buf dtypes = {0}, messages = {0};
        struct log log = {collect_log, &messages};
        struct vinci_model_info info;
        snprintf(path, sizeof path, GOLDEN "%s", containers[i].path);
        struct model *model = open_or_fail(path, &log);
        model_describe(model, &info);
        assert_true(isfinite(read_all_weights(model)));
        assert_string_equal(info.path, path);
        assert_int_equal(info.container, containers[i].container);
        assert_int_equal(info.n_files, containers[i].n_files);
        assert_int_equal(info.n_tensors, containers[i].n_tensors);
        size_t n = strlen(info.tokenizer), n_end = strlen(containers[i].tokenizer);
        assert_true(n_end ? n >= n_end : n == 0);
        assert_string_equal(info.tokenizer + n - n_end, containers[i].tokenizer);
        for (uint32_t k = 0; k < info.n_dtypes; k++)
            assert_true(buf_printf(&dtypes, "%s%s %" PRIu32, k ? ", " : "", info.dtypes[k].name,
                                   info.dtypes[k].n_tensors));
        assert_string_equal(dtypes.data, containers[i].dtypes);
        assert_int_equal(model_check_files(model, NULL), VINCI_OK);
        /* Only dense experts of the Hugging Face layout are copied, and that is said. */
        bool transposed = strstr(containers[i].path, "tiny-bf16") != NULL;
        assert_int_equal(info.converted_bytes, transposed ? 393216 : 0);
        assert_int_equal(messages.data && strstr(messages.data, "transposing") != NULL, transposed);
        assert_true(transposed || messages.size == 0);
        buf_free(&messages);
        buf_free(&dtypes);
        model_close(model);
    }
}

static void test_describe(void **state)
{
    (void)state;
    struct vinci_model_info info;
    struct vinci_error err;
    assert_int_equal(vinci_model_describe(GOLDEN "tiny", &info, NULL, NULL, &err), VINCI_OK);
    assert_int_equal(info.n_layers, 2);
    assert_int_equal(info.n_hidden, 64);
    assert_int_equal(info.n_experts, 8);
    assert_int_equal(info.sliding_window, 16);
    assert_int_equal(info.n_sliding_layers, 1);
    assert_int_equal(info.n_ctx_max, 131072);
    assert_true(info.rope_yarn && info.rope_factor == 32 && info.rope_theta == 150000);
    assert_false(info.tied_embeddings);
    assert_int_equal(info.file_bytes, 398416);
    assert_int_equal(info.weight_bytes, 394160);
    assert_int_equal(info.kv_bytes_per_token, 2 * 2 * 2 * 64); /* K and V, f16, 2 heads of 64 */
    assert_int_equal(info.kv_window_bytes, 16 * 2 * 2 * 2 * 64);
    /* 2 layers: q, o 256 x 64, k, v 128 x 64, router 8 x 64, in bf16; 4 of 8 experts of 3 x 64 x 64
     * at 17 / 32 bytes; output 320 x 64, one row of the embedding. */
    assert_int_equal(info.bytes_per_token,
                     2 * (2 * (2 * 256 + 2 * 128 + 8) * 64 + 4 * 3 * 64 * 64 * 17 / 32) +
                         2 * 320 * 64 + 2 * 64);
    assert_int_equal(vinci_model_describe(GOLDEN "none", &info, NULL, NULL, &err), VINCI_NOT_FOUND);
    assert_int_equal(info.n_layers, 0);
}

/* The published models' figures follow from their shape. */
static void test_published_figures(void **state)
{
    (void)state;
    static const struct {
        uint32_t n_layers, n_experts;
        uint64_t n_params, n_active_least, n_active_most, bytes_least, bytes_most;
    } shapes[] = {
        {24, 32, 20914757184, 3600000000, 3650000000, 3690000000, 3710000000},
        {36, 128, 116829156672, 5080000000, 5180000000, 4990000000, 5000000000},
    };
    for (size_t i = 0; i < 2; i++) {
        struct model model = {.config = {.n_layers = shapes[i].n_layers,
                                         .n_hidden = 2880,
                                         .n_intermediate = 2880,
                                         .n_vocab = 201088,
                                         .n_heads = 64,
                                         .n_kv_heads = 8,
                                         .head_dim = 64,
                                         .n_experts = shapes[i].n_experts,
                                         .n_experts_used = 4,
                                         .sliding_window = 128}};
        char path[] = "20b";
        uint8_t byte = 0;
        struct layer_weights layers[36] = {0};
        struct matrix expert = {DTYPE_MXFP4, 2880, 2880, &byte, 0, &byte, 0};
        struct expert_weights experts[1] = {{.gate = expert, .up = expert, .down = expert}};
        model.path = path;
        model.weights.layers = layers;
        model.weights.embedding = (struct matrix){.dtype = DTYPE_BF16, 201088, 2880};
        model.weights.output = model.weights.embedding;
        for (uint32_t k = 0; k < shapes[i].n_layers; k++) {
            layers[k].q = (struct matrix){.dtype = DTYPE_BF16, 4096, 2880};
            layers[k].k = layers[k].v = (struct matrix){.dtype = DTYPE_BF16, 512, 2880};
            layers[k].o = (struct matrix){.dtype = DTYPE_BF16, 2880, 4096};
            layers[k].router = (struct matrix){.dtype = DTYPE_BF16, shapes[i].n_experts, 2880};
            layers[k].experts = experts;
            model.config.layer_is_sliding[k] = k % 2 == 0;
        }
        struct vinci_model_info info;
        model_describe(&model, &info);
        assert_int_equal(info.n_params, shapes[i].n_params);
        assert_in_range(info.n_params_active, shapes[i].n_active_least, shapes[i].n_active_most);
        assert_in_range(info.bytes_per_token, shapes[i].bytes_least, shapes[i].bytes_most);
        assert_int_equal(info.kv_bytes_per_token, 2048 * shapes[i].n_layers / 2);
        assert_int_equal(info.kv_window_bytes, 128 * 2048 * shapes[i].n_layers / 2);
    }
}

/* ---- equal weights -------------------------------------------------------------------------- */

static bool same_matrix(const struct matrix *a, const struct matrix *b)
{
    if (a->n_rows != b->n_rows || a->n_cols != b->n_cols) return false;
    bool same = true;
    float *x = calloc(a->n_cols, sizeof *x), *y = calloc(a->n_cols, sizeof *y);
    assert_true(x && y);
    for (uint32_t i = 0; i < a->n_rows && same; i++) {
        matrix_row(a, i, x);
        matrix_row(b, i, y);
        for (uint32_t j = 0; j < a->n_cols; j++) same = same && x[j] == y[j];
    }
    free(x);
    free(y);
    return same;
}

static bool same_vector(const struct vector *a, const struct vector *b)
{
    bool same = a->n == b->n;
    for (uint32_t i = 0; i < a->n && same; i++) {
        float x, y;
        vector_read(a, i, 1, &x);
        vector_read(b, i, 1, &y);
        same = x == y;
    }
    return same;
}

static bool same_expert(const struct expert_weights *a, const struct expert_weights *b)
{
    return same_matrix(&a->gate, &b->gate) && same_matrix(&a->up, &b->up) &&
           same_matrix(&a->down, &b->down) && same_vector(&a->gate_bias, &b->gate_bias) &&
           same_vector(&a->up_bias, &b->up_bias) && same_vector(&a->down_bias, &b->down_bias);
}

static bool same_layer(const struct layer_weights *a, const struct layer_weights *b)
{
    return same_matrix(&a->q, &b->q) && same_matrix(&a->k, &b->k) && same_matrix(&a->v, &b->v) &&
           same_matrix(&a->o, &b->o) && same_matrix(&a->router, &b->router) &&
           same_vector(&a->attn_norm, &b->attn_norm) && same_vector(&a->q_bias, &b->q_bias) &&
           same_vector(&a->k_bias, &b->k_bias) && same_vector(&a->v_bias, &b->v_bias) &&
           same_vector(&a->sinks, &b->sinks) && same_vector(&a->o_bias, &b->o_bias) &&
           same_vector(&a->mlp_norm, &b->mlp_norm) && same_vector(&a->router_bias, &b->router_bias);
}

static bool same_config(const struct model_config *a, const struct model_config *b)
{
    return a->n_layers == b->n_layers && a->n_hidden == b->n_hidden &&
           a->n_intermediate == b->n_intermediate && a->n_vocab == b->n_vocab &&
           a->n_heads == b->n_heads && a->n_kv_heads == b->n_kv_heads &&
           a->head_dim == b->head_dim && a->n_experts == b->n_experts &&
           a->n_experts_used == b->n_experts_used && a->sliding_window == b->sliding_window &&
           memcmp(a->layer_is_sliding, b->layer_is_sliding, a->n_layers) == 0 &&
           a->n_ctx_max == b->n_ctx_max && a->tied_embeddings == b->tied_embeddings &&
           a->rms_norm_eps == b->rms_norm_eps && a->swiglu_limit == b->swiglu_limit &&
           a->swiglu_alpha == b->swiglu_alpha && a->rope.theta == b->rope.theta &&
           a->rope.yarn == b->rope.yarn && a->rope.factor == b->rope.factor &&
           a->rope.beta_fast == b->rope.beta_fast && a->rope.beta_slow == b->rope.beta_slow &&
           a->rope.n_ctx_original == b->rope.n_ctx_original && a->rope.truncate == b->rope.truncate;
}

static bool same_models(const struct model *a, const struct model *b)
{
    const struct weights *v = &a->weights, *w = &b->weights;
    if (!same_config(&a->config, &b->config) || !same_matrix(&v->embedding, &w->embedding) ||
        !same_matrix(&v->output, &w->output) || !same_vector(&v->output_norm, &w->output_norm))
        return false;
    for (uint32_t i = 0; i < a->config.n_layers; i++) {
        if (!same_layer(&v->layers[i], &w->layers[i])) return false;
        for (uint32_t e = 0; e < a->config.n_experts; e++)
            if (!same_expert(&v->layers[i].experts[e], &w->layers[i].experts[e])) return false;
    }
    return true;
}

/* Opens both and says whether all is the same. */
static bool same_paths(const char *a, const char *b)
{
    struct model *x = open_or_fail(a, NULL), *y = open_or_fail(b, NULL);
    bool same = same_models(x, y);
    model_close(x);
    model_close(y);
    return same;
}

static void test_same_weights(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } pairs[] = {
        {GOLDEN "tiny", GOLDEN "tiny-original", true},
        {GOLDEN "tiny", GOLDEN "tiny-bf16", true},
        {GOLDEN "tiny", GOLDEN "tiny-gguf", true},
        {GOLDEN "tiny", GOLDEN "tiny-dense-gguf", true},
        {GOLDEN "odd", GOLDEN "odd-sharded", true},
        {GOLDEN "text", GOLDEN "text-gguf", true},
        {GOLDEN "tiny", GOLDEN "tiny-q8", false},
        {GOLDEN "tiny", GOLDEN "tiny-f16", false},
        {GOLDEN "tiny", GOLDEN "long", false},
        {GOLDEN "odd", GOLDEN "odd-q8", false},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (same_paths(pairs[i].a, pairs[i].b) != pairs[i].same)
            fail_msg("%s and %s: expected %s weights", pairs[i].a, pairs[i].b,
                     pairs[i].same ? "the same" : "different");
}

/* Equal weights could be equally wrong: where some rows of layer 1, expert 5 must lie in each
 * layout. tiny has hidden and intermediate size 64, 4 heads and 2 of keys and values, of 64. */
static void check_place(const struct model *model, const char *tensor, size_t offset,
                        const uint8_t *got)
{
    const struct tensor *t = tensor_index_find(&model->index, tensor);
    assert_non_null(t);
    if (got != t->data + offset)
        fail_msg("%s: expected byte %zu, got %td", tensor, offset, got - t->data);
}

static void test_places(void **state)
{
    (void)state;
    enum { EXPERT = 5, ROW = 3 };
    struct model *model = open_or_fail(GOLDEN "tiny", NULL);
    const struct layer_weights *l = &model->weights.layers[1];
    const struct expert_weights *e = &l->experts[EXPERT];
#define HF(name) "model.layers.1." name
    size_t gate = EXPERT * 128 + 2 * ROW, down = EXPERT * 64 + ROW; /* 2 blocks a row */
    check_place(model, HF("mlp.experts.gate_up_proj_blocks"), gate * 32,
                e->gate.data + ROW * e->gate.row_stride);
    check_place(model, HF("mlp.experts.gate_up_proj_blocks"), (gate + 1) * 32,
                e->up.data + ROW * e->up.row_stride);
    check_place(model, HF("mlp.experts.gate_up_proj_scales"), gate * 2,
                e->gate.scales + ROW * e->gate.scale_stride);
    check_place(model, HF("mlp.experts.gate_up_proj_scales"), (gate + 1) * 2,
                e->up.scales + ROW * e->up.scale_stride);
    check_place(model, HF("mlp.experts.gate_up_proj_bias"), (gate + 1) * 2,
                e->up_bias.data + ROW * e->up_bias.stride);
    check_place(model, HF("mlp.experts.down_proj_blocks"), down * 32,
                e->down.data + ROW * e->down.row_stride);
    check_place(model, HF("mlp.experts.down_proj_scales"), down * 2,
                e->down.scales + ROW * e->down.scale_stride);
    check_place(model, HF("mlp.experts.down_proj_bias"), down * 2,
                e->down_bias.data + ROW * e->down_bias.stride);
    check_place(model, HF("self_attn.v_proj.weight"), ROW * 128, l->v.data + ROW * l->v.row_stride);
    model_close(model);

    model = open_or_fail(GOLDEN "tiny-original", NULL);
    l = &model->weights.layers[1];
    check_place(model, "block.1.attn.qkv.weight", ROW * 128, l->q.data + ROW * l->q.row_stride);
    check_place(model, "block.1.attn.qkv.weight", 256 * 128, l->k.data);
    check_place(model, "block.1.attn.qkv.weight", 384 * 128, l->v.data);
    check_place(model, "block.1.attn.qkv.bias", 384 * 2, l->v_bias.data);
    model_close(model);

    model = open_or_fail(GOLDEN "tiny-gguf", NULL);
    e = &model->weights.layers[1].experts[EXPERT];
    check_place(model, "blk.1.ffn_up_exps.weight", down * 34, e->up.data + ROW * e->up.row_stride);
    check_place(model, "blk.1.ffn_gate_exps.bias", down * 4,
                e->gate_bias.data + ROW * e->gate_bias.stride);
    model_close(model);

    /* Transposed: [experts, hidden, 2 x intermediate] in the file. */
    model = open_or_fail(GOLDEN "tiny-bf16", NULL);
    e = &model->weights.layers[1].experts[EXPERT];
    const struct tensor *t = tensor_index_find(&model->index, HF("mlp.experts.gate_up_proj"));
    assert_non_null(t);
    assert_memory_equal(e->up.data + ROW * e->up.row_stride + 7 * 2,
                        t->data + ((EXPERT * 64 + 7) * 128 + 2 * ROW + 1) * 2, 2);
    model_close(model);
}

/* ---- variants that people have -------------------------------------------------------------- */

/* One value in another dtype. */
static void convert(const uint8_t *from, uint8_t *to, const char *dtype)
{
    uint16_t bits;
    memcpy(&bits, from, sizeof bits);
    float x = float_from_bf16((bf16_t){bits});
    if (strcmp(dtype, "F32") == 0) {
        memcpy(to, &x, sizeof x);
    } else {
        bits = strcmp(dtype, "F16") == 0 ? f16_from_float(x).bits : bits;
        memcpy(to, &bits, sizeof bits);
    }
}

struct variant {
    const char *dtype;    /* of all tensors */
    bool experts_as_bf16; /* ... but the experts' matrices */
    bool output_first;    /* experts as [E, out, in] */
    const char *left_out; /* a tensor that is not written, or NULL */
    const char *extra;    /* a tensor that is added, or NULL */
};

/* tiny-bf16, changed, as model.safetensors in the folder. */
static void write_variant(const struct temp_folder *folder, const struct variant *variant)
{
    struct tensor_index index;
    struct safetensors_writer writer = {0};
    struct vinci_error err;
    if (safetensors_open(&index, GOLDEN "tiny-bf16/model.safetensors", &err) != VINCI_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < index.n_tensors; i++) {
        const struct tensor *t = &index.tensors[i];
        if (variant->left_out && strcmp(t->name, variant->left_out) == 0) continue;
        bool expert = t->n_dims == 3;
        const char *dtype = expert && variant->experts_as_bf16 ? "BF16" : variant->dtype;
        size_t n = t->n_bytes / 2, size = strcmp(dtype, "F32") == 0 ? 4 : 2;
        uint8_t *data = malloc(n * size);
        assert_non_null(data);
        uint64_t shape[TENSOR_DIMS_MAX];
        memcpy(shape, t->shape, sizeof shape);
        bool turn = expert && variant->output_first;
        uint64_t n_rows = turn ? t->shape[1] : 1, n_cols = turn ? t->shape[2] : 1;
        for (size_t k = 0; k < n; k++) {
            size_t e = k / (n_rows * n_cols), r = k / n_cols % n_rows, c = k % n_cols;
            size_t to = turn ? (e * n_cols + c) * n_rows + r : k;
            convert(t->data + k * 2, data + to * size, dtype);
        }
        if (turn) {
            shape[1] = n_cols;
            shape[2] = n_rows;
        }
        safetensors_writer_add(&writer, t->name, dtype, shape, t->n_dims, data, n * size);
        free(data);
    }
    if (variant->extra)
        safetensors_writer_add(&writer, variant->extra, "I64", (uint64_t[]){1}, 1, "12345678", 8);
    struct buf file = safetensors_writer_finish(&writer);
    temp_write(folder, "model.safetensors", file.data, file.size);
    buf_free(&file);
    tensor_index_free(&index);
}

static void test_dense_variants(void **state)
{
    (void)state;
    static const struct {
        struct variant variant;
        uint64_t converted; /* bytes: 2 layers x 8 experts x 3 x 64 x 64 elements */
        bool same;          /* f16 does not hold every bf16 */
    } rows[] = {
        {{"BF16", false, false, NULL, NULL}, 393216, true},
        {{"BF16", false, true, NULL, NULL}, 0, true},
        {{"F32", false, false, NULL, NULL}, 786432, true},
        {{"F32", true, true, NULL, NULL}, 0, true},
        {{"F16", true, false, NULL, NULL}, 393216, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct temp_folder folder;
        struct vinci_model_info info;
        temp_folder_make(&folder);
        temp_link(&folder, "config.json", GOLDEN "tiny-bf16/config.json");
        write_variant(&folder, &rows[i].variant);
        struct model *model = open_or_fail(folder.path, NULL);
        struct model *tiny = open_or_fail(GOLDEN "tiny", NULL);
        model_describe(model, &info);
        assert_int_equal(info.converted_bytes, rows[i].converted);
        if (rows[i].same != same_models(model, tiny)) fail_msg("variant %zu", i);
        model_close(model);
        model_close(tiny);
        temp_folder_remove(&folder);
    }
}

static void test_tied_missing_unused(void **state)
{
    (void)state;
    struct temp_folder folder;
    size_t n = 0;
    char *config = read_whole_file(GOLDEN "tiny-bf16/config.json", &n);
    temp_folder_make(&folder);
    write_variant(&folder, &(struct variant){.dtype = "BF16", .left_out = "lm_head.weight"});
    temp_write(&folder, "config.json", config, n);
    expect_refused(folder.path, VINCI_BAD_FILE,
                   "tensor lm_head.weight is missing; expected F32, F16, BF16 or Q8_0 of shape "
                   "[320, 64]");

    char *tied = strstr(config, "\"tie_word_embeddings\": false");
    assert_non_null(tied);
    memcpy(tied, "\"tie_word_embeddings\": true ", 28);
    temp_write(&folder, "config.json", config, n);
    struct model *model = open_or_fail(folder.path, NULL);
    struct vinci_model_info info;
    model_describe(model, &info);
    assert_true(info.tied_embeddings);
    assert_ptr_equal(model->weights.output.data, model->weights.embedding.data);
    assert_int_equal(info.n_params, 341464 - 320 * 64);
    assert_int_equal(info.n_params_active, 221144);
    assert_int_equal(info.weight_bytes, 682928 - 2 * 320 * 64);
    model_close(model);

    /* A tensor of a type that vinci does not know does no harm where nobody asks for it. */
    struct buf messages = {0};
    write_variant(&folder, &(struct variant){.dtype = "BF16", .extra = "model.step"});
    model = open_or_fail(folder.path, &(struct log){collect_log, &messages});
    assert_non_null(strstr(messages.data, "tensors that are not used: 2; one is lm_head.weight"));
    model_close(model);
    buf_free(&messages);
    free(config);
    temp_folder_remove(&folder);
}

/* ---- GGUF ----------------------------------------------------------------------------------- */

static const struct tensor *find(const struct tensor_index *index, struct gguf_text name)
{
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)name.n, name.data);
    const struct tensor *tensor = tensor_index_find(index, text);
    assert_non_null(tensor);
    return tensor;
}

/* tiny.gguf with the tensors [first, last) and, for part 0, its metadata. */
static void write_part(const struct temp_folder *folder, const char *name, uint32_t version,
                       uint16_t part, uint16_t n_parts)
{
    struct tensor_index index;
    struct gguf_file *file = NULL;
    struct gguf_writer writer = {.version = version};
    struct vinci_error err;
    if (gguf_open(&index, &file, GOLDEN "tiny-gguf/tiny.gguf", &err) != VINCI_OK)
        fail_msg("%s", err.text);
    if (part == 0) { /* what stands between the header and the first tensor's description */
        const uint8_t *begin = index.files[0]->data + 24;
        const uint8_t *end = (const uint8_t *)file->tensors[0].name.data - 8;
        assert_true(buf_append(&writer.kvs, begin, (size_t)(end - begin)));
        writer.n_kvs = file->n_kvs;
    }
    if (n_parts > 1) {
        gguf_writer_kv(&writer, "split.no", GGUF_U16, &part, 2);
        gguf_writer_kv(&writer, "split.count", GGUF_U16, &n_parts, 2);
        gguf_writer_u32(&writer, "split.tensors.count", (uint32_t)file->n_tensors);
    }
    for (size_t i = part; i < file->n_tensors; i += n_parts) {
        const struct gguf_tensor_info *info = &file->tensors[i];
        const struct tensor *tensor = find(&index, info->name);
        gguf_writer_tensor(&writer, tensor->name, info->type, info->shape, info->n_dims,
                           tensor->data, tensor->n_bytes);
    }
    struct buf bytes = gguf_writer_finish(&writer);
    temp_write(folder, name, bytes.data, bytes.size);
    buf_free(&bytes);
    gguf_file_free(file);
    tensor_index_free(&index);
}

static void test_gguf_forms(void **state)
{
    (void)state;
    struct temp_folder folder;
    temp_folder_make(&folder);
    write_part(&folder, "v2/any.gguf", 2, 0, 1);
    assert_true(same_paths(temp_path(&folder, "v2"), GOLDEN "tiny"));
    /* Without a suffix, as in the hubs' caches: known by the magic number. */
    temp_link(&folder, "blob", GOLDEN "tiny-gguf/tiny.gguf");
    assert_true(same_paths(temp_path(&folder, "blob"), GOLDEN "tiny"));
    temp_text(&folder, "notes.txt", "not a model");
    expect_refused(temp_path(&folder, "notes.txt"), VINCI_UNSUPPORTED, "expected a model's folder");

    for (uint16_t part = 0; part < 3; part++) {
        char name[64];
        snprintf(name, sizeof name, "split/tiny-%05d-of-00003.gguf", part + 1);
        write_part(&folder, name, 3, part, 3);
    }
    static const char *const parts[] = {"split", "split/tiny-00001-of-00003.gguf",
                                        "split/tiny-00003-of-00003.gguf"};
    for (size_t i = 0; i < 3; i++) {
        struct model *model = open_or_fail(temp_path(&folder, parts[i]), NULL);
        struct model *tiny = open_or_fail(GOLDEN "tiny", NULL);
        assert_int_equal(model->index.n_files, 3);
        assert_string_equal(model->tokenizer, temp_path(&folder, parts[1])); /* metadata is there */
        assert_true(same_models(model, tiny));
        model_close(model);
        model_close(tiny);
    }
    write_part(&folder, "split/tiny-00002-of-00003.gguf", 3, 2, 3);
    expect_refused(temp_path(&folder, "split"), VINCI_BAD_FILE,
                   "split.no: expected 1 from the file's name, got 2");
    write_part(&folder, "split/tiny-00002-of-00003.gguf", 3, 0, 1);
    expect_refused(temp_path(&folder, "split"), VINCI_BAD_FILE,
                   "split.count: expected 3 from the file's name, got 1");
    assert_int_equal(unlink(temp_path(&folder, "split/tiny-00002-of-00003.gguf")), 0);
    expect_refused(temp_path(&folder, "split"), VINCI_NOT_FOUND,
                   "tiny-00002-of-00003.gguf: there is no such file; expected all 3 parts");
    assert_int_equal(rename(temp_path(&folder, "split/tiny-00001-of-00003.gguf"),
                            temp_path(&folder, "lone.gguf")),
                     0);
    expect_refused(temp_path(&folder, "lone.gguf"), VINCI_BAD_FILE, "split.count: expected 1");
    temp_folder_remove(&folder);
}

/* A model of metadata only, with one key changed. */
static void write_gguf_config(const struct temp_folder *folder, const char *architecture,
                              const char *rope_type, uint32_t value_length, bool embedding)
{
    struct gguf_writer w = {0};
    const float eps = 1e-5f, factor = 4;
    gguf_writer_text(&w, "general.architecture", architecture);
    gguf_writer_u32(&w, "gpt-oss.block_count", 1);
    gguf_writer_u32(&w, "gpt-oss.context_length", 100);
    gguf_writer_u32(&w, "gpt-oss.embedding_length", 32);
    gguf_writer_u32(&w, "gpt-oss.feed_forward_length", 32);
    gguf_writer_u32(&w, "gpt-oss.attention.head_count", 2);
    gguf_writer_u32(&w, "gpt-oss.attention.head_count_kv", 1);
    gguf_writer_u32(&w, "gpt-oss.attention.value_length", value_length);
    gguf_writer_u32(&w, "gpt-oss.attention.sliding_window", 8);
    gguf_writer_u32(&w, "gpt-oss.expert_count", 2);
    gguf_writer_u32(&w, "gpt-oss.expert_used_count", 1);
    gguf_writer_kv(&w, "gpt-oss.attention.layer_norm_rms_epsilon", GGUF_F32, &eps, 4);
    gguf_writer_text(&w, "gpt-oss.rope.scaling.type", rope_type);
    gguf_writer_kv(&w, "gpt-oss.rope.scaling.factor", GGUF_F32, &factor, 4);
    char zeros[32 * 32 * 4] = {0};
    if (embedding)
        gguf_writer_tensor(&w, "token_embd.weight", 2, (uint64_t[]){32, 32}, 2, zeros, 32 * 18);
    else gguf_writer_tensor(&w, "output.weight", 0, (uint64_t[]){32, 32}, 2, zeros, sizeof zeros);
    struct buf bytes = gguf_writer_finish(&w);
    temp_write(folder, "m.gguf", bytes.data, bytes.size);
    buf_free(&bytes);
}

static void test_gguf_refused(void **state)
{
    (void)state;
    static const struct {
        const char *architecture, *rope_type;
        uint32_t value_length;
        bool embedding;
        enum vinci_status status;
        const char *text;
    } rows[] = {
        {"llama", "yarn", 64, true, VINCI_UNSUPPORTED,
         "general.architecture: expected gpt-oss, got llama"},
        {"gpt-oss", "linear", 64, true, VINCI_UNSUPPORTED, "expected yarn or none, got linear"},
        {"gpt-oss", "none", 32, true, VINCI_UNSUPPORTED, "value_length"},
        {"gpt-oss", "yarn", 64, false, VINCI_BAD_FILE, "token_embd.weight is missing"},
        /* All is well with the metadata; now the tensors' turn. */
        {"gpt-oss", "yarn", 64, true, VINCI_BAD_FILE, "tensor output_norm.weight is missing"},
    };
    struct temp_folder folder;
    temp_folder_make(&folder);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_gguf_config(&folder, rows[i].architecture, rows[i].rope_type, rows[i].value_length,
                          rows[i].embedding);
        expect_refused(temp_path(&folder, "m.gguf"), rows[i].status, rows[i].text);
    }
    temp_folder_remove(&folder);
}

/* ---- folders -------------------------------------------------------------------------------- */

static void test_folders(void **state)
{
    (void)state;
    struct temp_folder folder;
    temp_folder_make(&folder);
    temp_mkdir(&folder, "empty");
    expect_refused(temp_path(&folder, "empty"), VINCI_NOT_FOUND,
                   "no model in this folder; looked for model.safetensors, "
                   "model.safetensors.index.json, *.gguf and original/; a clone");
    expect_refused(temp_path(&folder, "none"), VINCI_NOT_FOUND, "none: cannot open the model");
    expect_refused("", VINCI_NOT_FOUND, "cannot open");

    /* A whole model beside an index that leads nowhere. */
    temp_link(&folder, "single/config.json", GOLDEN "tiny/config.json");
    temp_link(&folder, "single/model.safetensors", GOLDEN "tiny/model.safetensors");
    temp_text(&folder, "single/model.safetensors.index.json", "{\"weight_map\": {\"a\": \"b\"}}");
    assert_true(same_paths(temp_path(&folder, "single"), GOLDEN "tiny"));
    /* The same with GGUF files and the second copy of the weights that the repositories hold. */
    temp_link(&folder, "single/a.gguf", GOLDEN "odd-q8/odd-q8.gguf");
    temp_link(&folder, "single/b.gguf", GOLDEN "odd-q8/odd-q8.gguf");
    temp_link(&folder, "single/original", GOLDEN "tiny-original");
    assert_true(same_paths(temp_path(&folder, "single"), GOLDEN "tiny"));

    temp_link(&folder, "two/a.gguf", GOLDEN "odd-q8/odd-q8.gguf");
    temp_link(&folder, "two/b.gguf", GOLDEN "odd-q8/odd-q8.gguf");
    expect_refused(temp_path(&folder, "two"), VINCI_USAGE, "more than one GGUF model");
    assert_true(same_paths(temp_path(&folder, "two/b.gguf"), GOLDEN "odd-q8"));

    /* Only OpenAI's layout was fetched: tokenizer.json is one folder above. */
    temp_link(&folder, "repo/original/config.json", GOLDEN "tiny-original/config.json");
    temp_link(&folder, "repo/original/model.safetensors", GOLDEN "tiny-original/model.safetensors");
    temp_link(&folder, "repo/tokenizer.json", GOLDEN "text/tokenizer.json");
    static const char *const originals[] = {"repo", "repo/original", "repo/original/",
                                            "repo/original/model.safetensors"};
    for (size_t i = 0; i < 4; i++) {
        struct model *model = open_or_fail(temp_path(&folder, originals[i]), NULL);
        assert_int_equal(model->container, VINCI_CONTAINER_ORIGINAL);
        assert_string_equal(model->tokenizer, temp_path(&folder, "repo/tokenizer.json"));
        model_close(model);
    }
    temp_folder_remove(&folder);
}

static void test_index_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum vinci_status status;
        const char *expected;
    } rows[] = {
        {"{}", VINCI_BAD_FILE, "expected a weight_map"},
        {"{\"weight_map\": {}}", VINCI_BAD_FILE, "expected a weight_map"},
        {"{\"weight_map\": {\"a\": 1}}", VINCI_BAD_FILE, "a: expected a file name, got something"},
        {"{\"weight_map\": {\"a\": \"../b\"}}", VINCI_BAD_FILE, "expected a file name, got ../b"},
        {"{\"weight_map\": {\"a\": \"..\"}}", VINCI_BAD_FILE, "expected a file name, got .."},
        {"{\"weight_map\": {\"a\": \"\"}}", VINCI_BAD_FILE, "expected a file name"},
        {"{\"weight_map\": {\"a\": \"config.json\"}}", VINCI_BAD_FILE, "safetensors header"},
        {"{\"weight_map\": {\"a\": \"1.safetensors\", \"b\": \"2.safetensors\"}}", VINCI_BAD_FILE,
         "stands twice: in "},
        {"[]", VINCI_BAD_FILE, "expected one JSON object"},
        {"", VINCI_BAD_FILE, "not valid JSON"},
    };
    struct temp_folder folder;
    temp_folder_make(&folder);
    temp_link(&folder, "config.json", GOLDEN "tiny/config.json");
    temp_link(&folder, "1.safetensors", GOLDEN "tiny/model.safetensors");
    temp_link(&folder, "2.safetensors", GOLDEN "tiny/model.safetensors");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        temp_text(&folder, "model.safetensors.index.json", rows[i].text);
        expect_refused(folder.path, rows[i].status, rows[i].expected);
    }
    temp_folder_remove(&folder);
}

static void test_lfs_pointers(void **state)
{
    (void)state;
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n"
                                  "oid sha256:0000\nsize 13\n";
    static const char *const names[] = {"model.safetensors", "config.json", "1.safetensors",
                                        "model.safetensors.index.json", "m.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct temp_folder folder;
        temp_folder_make(&folder);
        if (i != 1) temp_link(&folder, "config.json", GOLDEN "tiny/config.json");
        if (i == 1) temp_link(&folder, "model.safetensors", GOLDEN "tiny/model.safetensors");
        if (i == 2)
            temp_text(&folder, "model.safetensors.index.json",
                      "{\"weight_map\": {\"a\": \"1.safetensors\"}}");
        temp_text(&folder, names[i], pointer);
        char expected[512];
        snprintf(expected, sizeof expected, "%s/%s: a git-lfs pointer of 67 bytes", folder.path,
                 names[i]);
        expect_refused(folder.path, VINCI_BAD_FILE, expected);
        expect_refused(folder.path, VINCI_BAD_FILE, "git lfs pull");
        temp_folder_remove(&folder);
    }
    /* A tokenizer that is a pointer is only told of: token ids do without. */
    struct temp_folder folder;
    struct buf messages = {0};
    temp_folder_make(&folder);
    temp_link(&folder, "config.json", GOLDEN "tiny/config.json");
    temp_link(&folder, "model.safetensors", GOLDEN "tiny/model.safetensors");
    temp_text(&folder, "tokenizer.json", pointer);
    model_close(open_or_fail(folder.path, &(struct log){collect_log, &messages}));
    assert_non_null(strstr(messages.data, "tokenizer.json: a git-lfs pointer"));
    buf_free(&messages);
    temp_folder_remove(&folder);
}

static void test_unreadable_and_shrunk(void **state)
{
    (void)state;
    struct temp_folder folder;
    struct vinci_error err = {0};
    size_t n;
    char *weights = read_whole_file(GOLDEN "tiny/model.safetensors", &n);
    temp_folder_make(&folder);
    temp_link(&folder, "config.json", GOLDEN "tiny/config.json");
    temp_write(&folder, "model.safetensors", weights, n);
    struct model *model = open_or_fail(folder.path, NULL);
    assert_int_equal(truncate(temp_path(&folder, "model.safetensors"), (off_t)n - 1), 0);
    assert_int_equal(model_check_files(model, &err), VINCI_IO);
    assert_non_null(strstr(err.text, "model.safetensors: the file shrank"));
    model_close(model);

    if (geteuid() != 0) { /* root reads everything */
        assert_int_equal(chmod(temp_path(&folder, "model.safetensors"), 0), 0);
        expect_refused(folder.path, VINCI_IO, "model.safetensors: cannot open: Permission denied");
    }
    assert_int_equal(unlink(temp_path(&folder, "model.safetensors")), 0);
    temp_mkdir(&folder, "model.safetensors");
    expect_refused(folder.path, VINCI_IO,
                   "model.safetensors: expected a regular file, got a folder");
    free(weights);
    temp_folder_remove(&folder);
    model_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_containers),
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_published_figures),
        cmocka_unit_test(test_same_weights),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_dense_variants),
        cmocka_unit_test(test_tied_missing_unused),
        cmocka_unit_test(test_gguf_forms),
        cmocka_unit_test(test_gguf_refused),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_index_refused),
        cmocka_unit_test(test_lfs_pointers),
        cmocka_unit_test(test_unreadable_and_shrunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
