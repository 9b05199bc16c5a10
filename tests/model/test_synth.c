/* Synthetic checkpoints: every container opens and holds the same weights, the same options give
 * the same bytes, the numbers are distributed as promised, and whatever goes wrong leaves nothing
 * behind. */
#include "alloc_fail.h"
#include "base/file_map.h"
#include "model/weights.h"
#include "temp_folder.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))
#define TEXT_TOKENIZER TEST_VECTORS "/golden/text/tokenizer.json"

/* Odd sizes: 3 layers, 3 and 5 blocks a row, a number of heads that is no power of two. */
static const char ODD_CONFIG[] =
    "{\"model_type\": \"gpt_oss\", \"num_hidden_layers\": 3, \"hidden_size\": 96,"
    " \"intermediate_size\": 160, \"vocab_size\": 300, \"num_attention_heads\": 6,"
    " \"num_key_value_heads\": 3, \"head_dim\": 32, \"num_local_experts\": 5,"
    " \"num_experts_per_tok\": 3, \"sliding_window\": 7, \"rms_norm_eps\": 3e-06,"
    " \"max_position_embeddings\": 5000, \"rope_theta\": 12345.5,"
    " \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 8.5, \"truncate\": false,"
    " \"original_max_position_embeddings\": 1000}%s}";

static const struct form {
    const char *name; /* of the folder or file */
    enum vinci_synth_format format;
    const char *dense;
    uint64_t shard_bytes;
} forms[] = {
    {"hf", VINCI_SYNTH_SAFETENSORS, NULL, 0}, {"sharded", VINCI_SYNTH_SAFETENSORS, NULL, 40000},
    {"q8.gguf", VINCI_SYNTH_GGUF, "q8_0", 0}, {"bf16.gguf", VINCI_SYNTH_GGUF, "bf16", 0},
    {"f16.gguf", VINCI_SYNTH_GGUF, "f16", 0}, {"f32.gguf", VINCI_SYNTH_GGUF, "f32", 0},
};

static struct vinci_synth_options options_for(const struct form *form, const char *shape,
                                              const char *out)
{
    struct vinci_synth_options o;
    vinci_synth_options_init(&o);
    o.shape = shape;
    o.out = out;
    o.format = form->format;
    if (form->dense) o.gguf_dense = form->dense;
    o.shard_bytes = form->shard_bytes;
    return o;
}

static void synth(const struct vinci_synth_options *o)
{
    struct vinci_error err;
    if (vinci_synth(o, &err) != VINCI_OK) fail_msg("%s", err.text);
}

static struct model *open_model(const char *path)
{
    struct model *model = NULL;
    struct vinci_error err;
    if (model_open(&model, path, NULL, &err) != VINCI_OK) fail_msg("%s", err.text);
    return model;
}

static size_t count_files(const char *folder)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n - 2;
}

/* ---- the weights, out of any container ---------------------------------------------------- */

/* Goes over all weights in one order. */
struct walk {
    uint64_t hash; /* of all values */
    struct moments {
        const char *name;
        double sum, square;
        size_t n;
    } moments[40];
    size_t n_moments;
};

static void note(struct walk *w, const char *name, float x)
{
    uint32_t bits = bits_from_float(x);
    w->hash = (w->hash ^ bits) * UINT64_C(0x100000001b3);
    assert_true(x == 0 || fabsf(x) >= 1.17549435e-38f); /* no denormals */
    assert_true(fabsf(x) < 100);
    size_t i = 0;
    while (i < w->n_moments && w->moments[i].name != name) i++;
    if (i == w->n_moments) w->moments[w->n_moments++].name = name;
    w->moments[i].sum += (double)x;
    w->moments[i].square += (double)x * (double)x;
    w->moments[i].n++;
}

static void walk_matrix(struct walk *w, const char *name, const struct matrix *m)
{
    float *row = calloc(m->n_cols, sizeof *row);
    for (size_t i = 0; i < m->n_rows; i++) {
        matrix_row(m, i, row);
        for (size_t col = 0; col < m->n_cols; col++) note(w, name, row[col]);
    }
    free(row);
}

static void walk_vector(struct walk *w, const char *name, const struct vector *v)
{
    float *x = calloc(v->n, sizeof *x);
    vector_read(v, 0, v->n, x);
    for (size_t i = 0; i < v->n; i++) note(w, name, x[i]);
    free(x);
}

static struct walk *walk_weights(const struct model *model)
{
    struct walk *w = calloc(1, sizeof *w);
    const struct weights *weights = &model->weights;
    walk_matrix(w, "embedding", &weights->embedding);
    for (uint32_t i = 0; i < model->config.n_layers; i++) {
        const struct layer_weights *l = &weights->layers[i];
        walk_vector(w, "norm", &l->attn_norm);
        walk_matrix(w, "q", &l->q);
        walk_matrix(w, "k", &l->k);
        walk_matrix(w, "v", &l->v);
        walk_vector(w, "q bias", &l->q_bias);
        walk_vector(w, "k bias", &l->k_bias);
        walk_vector(w, "v bias", &l->v_bias);
        walk_vector(w, "sinks", &l->sinks);
        walk_matrix(w, "o", &l->o);
        walk_vector(w, "o bias", &l->o_bias);
        walk_vector(w, "norm", &l->mlp_norm);
        walk_matrix(w, "router", &l->router);
        walk_vector(w, "router bias", &l->router_bias);
        for (uint32_t e = 0; e < model->config.n_experts; e++) {
            const struct expert_weights *x = &l->experts[e];
            walk_matrix(w, "gate", &x->gate);
            walk_matrix(w, "up", &x->up);
            walk_matrix(w, "down", &x->down);
            walk_vector(w, "gate bias", &x->gate_bias);
            walk_vector(w, "up bias", &x->up_bias);
            walk_vector(w, "down bias", &x->down_bias);
        }
    }
    walk_vector(w, "output norm", &weights->output_norm);
    walk_matrix(w, "output", &weights->output);
    return w;
}

static uint64_t weights_hash(const char *path)
{
    struct model *model = open_model(path);
    struct walk *w = walk_weights(model);
    uint64_t hash = w->hash;
    free(w);
    model_close(model);
    return hash;
}

/* ---- containers --------------------------------------------------------------------------- */

static void check_same_weights(const struct temp_folder *folder, const char *shape)
{
    uint64_t first = 0;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        char out[300];
        snprintf(out, sizeof out, "%s", temp_path(folder, forms[i].name));
        struct vinci_synth_options o = options_for(&forms[i], shape, out);
        synth(&o);
        uint64_t hash = weights_hash(out);
        if (i == 0) first = hash;
        if (hash != first) fail_msg("%s, %s: other weights than hf", shape, forms[i].name);
    }
}

static void test_same_weights(void **state)
{
    (void)state;
    struct temp_folder folder;
    temp_folder_make(&folder);
    check_same_weights(&folder, "tiny");
    temp_folder_remove(&folder);
}

static void test_odd_shape(void **state)
{
    (void)state;
    struct temp_folder folder;
    struct model_config given, written;
    char text[1000], shape[300];
    size_t n;
    temp_folder_make(&folder);
    snprintf(text, sizeof text, ODD_CONFIG, "");
    temp_text(&folder, "shape/config.json", text);
    snprintf(shape, sizeof shape, "%s", temp_path(&folder, "shape/config.json"));
    check_same_weights(&folder, shape);

    /* The configuration survives both ways; GGUF holds floats. */
    assert_int_equal(config_from_json(&given, text, strlen(text), shape, NULL), VINCI_OK);
    char *json = read_whole_file(temp_path(&folder, "hf/config.json"), &n);
    assert_int_equal(config_from_json(&written, json, n, "hf", NULL), VINCI_OK);
    assert_memory_equal(&given, &written, sizeof given);
    assert_non_null(strstr(json, "\"rms_norm_eps\": 3e-6") ? json : strstr(json, "3e-06"));
    free(json);
    struct model *model = open_model(temp_path(&folder, "q8.gguf"));
    assert_true(model->config.n_ctx_max == 5000 && model->config.sliding_window == 7);
    assert_true(model->config.rope.theta == 12345.5 && model->config.rope.factor == 8.5);
    assert_true(model->config.rope.n_ctx_original == 1000 && model->config.rope.yarn);
    assert_true(model->config.rms_norm_eps == 3e-6f);
    model_close(model);
    temp_folder_remove(&folder);
}

static void test_tied_and_plain_rope(void **state)
{
    (void)state;
    struct temp_folder folder;
    char text[1000], shape[300];
    temp_folder_make(&folder);
    snprintf(text, sizeof text, ODD_CONFIG,
             ", \"tie_word_embeddings\": true, \"rope_parameters\": {\"rope_type\": \"default\","
             " \"rope_theta\": 10000}");
    temp_text(&folder, "shape.json", text);
    snprintf(shape, sizeof shape, "%s", temp_path(&folder, "shape.json"));
    check_same_weights(&folder, shape);
    for (int i = 0; i < 2; i++) {
        struct model *model = open_model(temp_path(&folder, i ? "q8.gguf" : "hf"));
        assert_true(model->config.tied_embeddings);
        assert_true(!model->config.rope.yarn && model->config.rope.theta == 10000);
        assert_ptr_equal(model->weights.output.data, model->weights.embedding.data);
        model_close(model);
    }
    temp_folder_remove(&folder);
}

static void test_layers(void **state)
{
    (void)state;
    struct temp_folder folder;
    struct vinci_error err;
    temp_folder_make(&folder);
    struct vinci_synth_options o = options_for(&forms[0], "tiny", temp_path(&folder, "five"));
    o.n_layers = 5;
    synth(&o);
    struct model *model = open_model(o.out);
    assert_int_equal(model->config.n_layers, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(model->config.layer_is_sliding[i], i % 2 == 0);
    model_close(model);
    o.out = temp_path(&folder, "many");
    o.n_layers = MAX_LAYERS + 1;
    assert_int_equal(vinci_synth(&o, &err), VINCI_LIMIT);
    temp_folder_remove(&folder);
}

static void test_shards(void **state)
{
    (void)state;
    struct temp_folder folder;
    temp_folder_make(&folder);
    struct vinci_synth_options o = options_for(&forms[1], "tiny", temp_path(&folder, "out/"));
    synth(&o);
    struct model *model = open_model(temp_path(&folder, "out"));
    assert_true(model->index.n_files > 5);
    for (size_t i = 0; i < model->index.n_files; i++)
        assert_true(model->index.files[i]->size < 60000); /* a tensor is at most 41,000 */
    /* config, generation_config, index, and nothing else */
    assert_int_equal(count_files(o.out), model->index.n_files + 3);
    model_close(model);
    o.out = temp_path(&folder, "each");
    o.shard_bytes = 1; /* every tensor on its own */
    synth(&o);
    model = open_model(o.out);
    assert_int_equal(model->index.n_files, model->index.n_tensors);
    model_close(model);
    temp_folder_remove(&folder);
}

/* ---- distribution ------------------------------------------------------------------------- */

static void test_distribution(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double mean, std;
    } expected[] = {
        {"embedding", 0, .9},     {"norm", 1, .2},        {"q", 0, .125},
        {"k", 0, .125},           {"v", 0, .15},          {"q bias", 0, .3},
        {"k bias", 0, .3},        {"v bias", 0, .2},      {"sinks", 0, 1},
        {"o", 0, .8 / 16 / 2},    {"o bias", 0, .1},      {"router", 0, .25},
        {"router bias", 0, .3},   {"gate", 0, 1.4 / 8},   {"up", 0, 1.4 / 8},
        {"down", 0, .15 / 8 / 2}, {"gate bias", 0, .5},   {"up bias", 0, .5},
        {"down bias", 0, .1},     {"output norm", 1, .2},
    };
    struct temp_folder folder;
    temp_folder_make(&folder);
    struct vinci_synth_options o = options_for(&forms[2], "tiny", temp_path(&folder, "a.gguf"));
    o.n_layers = 8; /* sqrt(2 / 8) = 1/2 */
    synth(&o);
    struct model *model = open_model(o.out);
    struct walk *w = walk_weights(model);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        size_t k = 0;
        while (k < w->n_moments && strcmp(w->moments[k].name, expected[i].name) != 0) k++;
        assert_true(k < w->n_moments);
        double n = (double)w->moments[k].n, mean = w->moments[k].sum / n;
        double std = sqrt(w->moments[k].square / n - mean * mean), unit = expected[i].std / sqrt(n);
        if (fabs(mean - expected[i].mean) > 4.5 * unit ||
            fabs(std - expected[i].std) > .015 * expected[i].std + 4 * unit)
            fail_msg("%s: mean %g, standard deviation %g; expected %g, %g", expected[i].name, mean,
                     std, expected[i].mean, expected[i].std);
    }
    /* The output's rows: 3 / sqrt(64), but a sixteenth of it for the nine special tokens. */
    double plain = 0, special = 0;
    for (size_t row = 0; row < 320; row++) {
        float x[64];
        matrix_row(&model->weights.output, row, x);
        for (size_t col = 0; col < 64; col++)
            *(row < 311 ? &plain : &special) += (double)x[col] * (double)x[col];
    }
    assert_true(fabs(sqrt(plain / (311 * 64)) / .375 - 1) < .03);
    assert_true(fabs(sqrt(special / (9 * 64)) / (.375 / 16) - 1) < .15);
    /* Both scales of a block occur, and no f16 scale is denormal. */
    const struct matrix *q = &model->weights.layers[0].q;
    float least = 1, most = 0;
    for (size_t i = 0; i < (size_t)q->n_rows * q->n_cols / QUANT_BLOCK; i++) {
        struct block_q8_0 b;
        memcpy(&b, q->data + i * sizeof b, sizeof b);
        least = fminf(least, float_from_f16(b.scale));
        most = fmaxf(most, float_from_f16(b.scale));
    }
    assert_true(most == 2 * least && least >= 0x1p-14f);
    free(w);
    model_close(model);
    temp_folder_remove(&folder);
}

/* No two tokens alike, in a vocabulary that is large against the pool of random numbers. */
static int compare_rows(const void *a, const void *b)
{
    return memcmp(a, b, 64);
}

static void test_rows_differ(void **state)
{
    (void)state;
    struct temp_folder folder;
    char text[1000];
    temp_folder_make(&folder);
    snprintf(text, sizeof text,
             "{\"model_type\": \"gpt_oss\", \"num_hidden_layers\": 1, \"hidden_size\": 32,"
             " \"intermediate_size\": 32, \"vocab_size\": 100000, \"num_attention_heads\": 1,"
             " \"num_key_value_heads\": 1, \"head_dim\": 32, \"num_local_experts\": 1,"
             " \"num_experts_per_tok\": 1}");
    temp_text(&folder, "shape.json", text);
    char shape[300];
    snprintf(shape, sizeof shape, "%s", temp_path(&folder, "shape.json"));
    struct vinci_synth_options o = options_for(&forms[0], shape, temp_path(&folder, "a"));
    synth(&o);
    struct model *model = open_model(o.out);
    uint8_t *rows = malloc(100000 * 64);
    memcpy(rows, model->weights.embedding.data, 100000 * 64);
    qsort(rows, 100000, 64, compare_rows);
    for (size_t i = 1; i < 100000; i++)
        assert_true(memcmp(rows + 64 * i, rows + 64 * (i - 1), 64) != 0);
    free(rows);
    model_close(model);
    temp_folder_remove(&folder);
}

/* ---- the same bytes ----------------------------------------------------------------------- */

static uint64_t file_hash(const char *path)
{
    size_t n;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    char *data = read_whole_file(path, &n);
    for (size_t i = 0; i < n; i++) hash = (hash ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
    free(data);
    return hash;
}

static uint64_t folder_hash(const char *folder)
{
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "model.safetensors",
                                        "model.safetensors.index.json",
                                        "model-00002-of-00002.safetensors",
                                        "tokenizer.json"};
    uint64_t hash = 0;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (access(path, F_OK) == 0) hash = hash * 31 + file_hash(path);
    }
    return hash;
}

static void test_same_bytes(void **state)
{
    (void)state;
    static const struct {
        size_t form;
        uint64_t seed, hash;
    } cases[] = {
        {0, 0, UINT64_C(0x6b0e6be58bd545dd)},
        {2, 0, UINT64_C(0xf2b64a00048438cd)},
        {2, 1, UINT64_C(0x68fd0c6333d9b28d)},
        {5, UINT64_MAX, UINT64_C(0x37e67ccea2914919)},
    };
    struct temp_folder folder;
    temp_folder_make(&folder);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (int again = 0; again < 2; again++) {
            char name[20], file[300];
            snprintf(name, sizeof name, "%zu-%d", i, again);
            struct vinci_synth_options o =
                options_for(&forms[cases[i].form], "tiny", temp_path(&folder, name));
            o.seed = cases[i].seed;
            synth(&o);
            snprintf(file, sizeof file, "%s%s", o.out,
                     o.format == VINCI_SYNTH_GGUF ? "" : "/model.safetensors");
            uint64_t hash = file_hash(file);
            if (hash != cases[i].hash)
                fail_msg("%s, seed %" PRIu64 ": hash %016" PRIx64 ", expected %016" PRIx64,
                         forms[cases[i].form].name, cases[i].seed, hash, cases[i].hash);
        }
    temp_folder_remove(&folder);
}

/* ---- tokenizer ---------------------------------------------------------------------------- */

static void check_tokenizer(const char *path)
{
    static const char text[] = "What does an NPU do? 神经网络<|end|>";
    struct vinci_tokenizer *original = NULL, *ours = NULL;
    struct vinci_error err;
    int32_t *expected, *got;
    size_t n_expected, n_got;
    assert_int_equal(vinci_tokenizer_open(&original, TEXT_TOKENIZER, &err), VINCI_OK);
    if (vinci_tokenizer_open(&ours, path, &err) != VINCI_OK) fail_msg("%s", err.text);
    for (int special = 0; special < 2; special++) {
        assert_int_equal(
            vinci_tokenize(original, text, strlen(text), special, &expected, &n_expected, &err),
            VINCI_OK);
        assert_int_equal(vinci_tokenize(ours, text, strlen(text), special, &got, &n_got, &err),
                         VINCI_OK);
        assert_int_equal(n_got, n_expected);
        assert_memory_equal(got, expected, n_got * sizeof *got);
        vinci_free(got);
        vinci_free(expected);
    }
    vinci_tokenizer_close(original);
    vinci_tokenizer_close(ours);
}

static void test_tokenizer(void **state)
{
    (void)state;
    static const char *const given[] = {TEXT_TOKENIZER, TEST_VECTORS "/golden/text"};
    struct temp_folder folder;
    temp_folder_make(&folder);
    for (size_t i = 0; i < 2; i++)
        for (size_t form = 0; form < 3; form += 2) {
            char name[40];
            snprintf(name, sizeof name, "%zu-%s", i, forms[form].name);
            struct vinci_synth_options o =
                options_for(&forms[form], "tiny", temp_path(&folder, name));
            o.tokenizer = given[i];
            synth(&o);
            struct model *model = open_model(o.out);
            assert_int_equal(model->config.n_vocab, 600); /* tiny takes the tokenizer's size */
            assert_non_null(model->tokenizer);
            check_tokenizer(model->tokenizer);
            model_close(model);
        }
    /* Not the model's files, but the tokenizer's. */
    assert_int_equal(access(temp_path(&folder, "1-hf/tokenizer_config.json"), R_OK), 0);
    assert_int_not_equal(access(temp_path(&folder, "1-hf/golden.json"), R_OK), 0);

    /* A vocabulary larger than the tokenizer's is filled; a smaller one is refused. */
    char text[1000], shape[300];
    snprintf(text, sizeof text, ODD_CONFIG, "");
    temp_text(&folder, "small.json", text);
    snprintf(shape, sizeof shape, "%s", temp_path(&folder, "small.json"));
    struct vinci_error err;
    for (size_t form = 0; form < 3; form += 2) {
        struct vinci_synth_options o = options_for(&forms[form], shape, temp_path(&folder, "none"));
        o.tokenizer = TEXT_TOKENIZER;
        assert_int_equal(vinci_synth(&o, &err), VINCI_USAGE);
        assert_non_null(strstr(err.text, "600 ids, and the shape's vocabulary is 300"));
    }
    char *at = strstr(text, "\"vocab_size\": 300");
    memcpy(at, "\"vocab_size\": 700", 17);
    temp_text(&folder, "large.json", text);
    snprintf(shape, sizeof shape, "%s", temp_path(&folder, "large.json"));
    struct vinci_synth_options o = options_for(&forms[2], shape, temp_path(&folder, "large.gguf"));
    o.tokenizer = TEXT_TOKENIZER;
    synth(&o);
    check_tokenizer(o.out);
    struct model *model = open_model(o.out);
    assert_int_equal(model->config.n_vocab, 700);
    model_close(model);
    temp_folder_remove(&folder);
}

/* Without a tokenizer GGUF has an invented one, in which bytes are themselves. */
static void test_invented_vocabulary(void **state)
{
    (void)state;
    struct temp_folder folder;
    struct vinci_tokenizer *t = NULL;
    struct vinci_error err;
    temp_folder_make(&folder);
    struct vinci_synth_options o = options_for(&forms[2], "tiny", temp_path(&folder, "a.gguf"));
    synth(&o);
    if (vinci_tokenizer_open(&t, o.out, &err) != VINCI_OK) fail_msg("%s", err.text);
    assert_int_equal(vinci_tokenizer_n_vocab(t), 320);
    bool seen[256] = {false};
    for (int32_t id = 0; id < 256; id++) {
        size_t n;
        const char *bytes = vinci_token_bytes(t, id, &n);
        assert_int_equal(n, 1);
        assert_false(seen[(uint8_t)*bytes]);
        seen[(uint8_t)*bytes] = true;
    }
    assert_int_equal(vinci_token_special_id(t, "<|call|>"), 319);
    assert_int_equal(vinci_token_special_id(t, "<|return|>"), 313);
    vinci_tokenizer_close(t);
    temp_folder_remove(&folder);
}

/* ---- what goes wrong ---------------------------------------------------------------------- */

static void test_existing_output(void **state)
{
    (void)state;
    struct temp_folder folder;
    struct vinci_error err;
    temp_folder_make(&folder);
    temp_text(&folder, "file", "mine");
    temp_mkdir(&folder, "folder");
    temp_link(&folder, "dangling", "/nowhere");
    for (size_t form = 0; form < 3; form += 2)
        for (size_t i = 0; i < 3; i++) {
            static const char *const names[] = {"file", "folder/", "dangling"};
            struct vinci_synth_options o =
                options_for(&forms[form], "tiny", temp_path(&folder, names[i]));
            assert_int_equal(vinci_synth(&o, &err), VINCI_USAGE);
            assert_non_null(strstr(err.text, "exists already"));
        }
    assert_int_equal(count_files(folder.path), 3);
    assert_int_equal(count_files(temp_path(&folder, "folder")), 0);
    size_t n;
    char *text = read_whole_file(temp_path(&folder, "file"), &n);
    assert_string_equal(text, "mine");
    free(text);
    temp_folder_remove(&folder);
}

/* A disk that is full after some bytes: writes beyond RLIMIT_FSIZE fail with EFBIG. */
static void test_full_disk(void **state)
{
    (void)state;
    struct temp_folder folder;
    struct rlimit old, small;
    temp_folder_make(&folder);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (size_t form = 0; form < 3; form++)
        for (rlim_t limit = 0; limit < 300000; limit = limit ? limit * 8 : 1000) {
            struct vinci_error err = {0};
            struct vinci_synth_options o =
                options_for(&forms[form], "tiny", temp_path(&folder, "out"));
            if (limit > 40000 && form == 1) continue; /* no shard is that large */
            small = (struct rlimit){limit, old.rlim_max};
            setrlimit(RLIMIT_FSIZE, &small);
            enum vinci_status status = vinci_synth(&o, &err);
            setrlimit(RLIMIT_FSIZE, &old);
            if (status != VINCI_IO || !strstr(err.text, "cannot write"))
                fail_msg("%s, %ld bytes: %s: %s", forms[form].name, (long)limit,
                         vinci_status_name(status), err.text);
            assert_int_equal(count_files(folder.path), 0);
        }
    temp_folder_remove(&folder);
}

/* More than any disk has is refused before anything is written. */
static void test_no_space(void **state)
{
    (void)state;
    struct temp_folder folder;
    struct vinci_error err;
    char shape[300];
    temp_folder_make(&folder);
    temp_text(&folder, "huge.json",
              "{\"model_type\": \"gpt_oss\", \"num_hidden_layers\": 512, \"hidden_size\": 65536,"
              " \"intermediate_size\": 65536, \"vocab_size\": 3000, \"num_attention_heads\": 64,"
              " \"num_key_value_heads\": 8, \"head_dim\": 256, \"num_local_experts\": 512,"
              " \"num_experts_per_tok\": 4}");
    snprintf(shape, sizeof shape, "%s", temp_path(&folder, "huge.json"));
    for (size_t form = 0; form < 3; form += 2) {
        struct vinci_synth_options o = options_for(&forms[form], shape, temp_path(&folder, "out"));
        assert_int_equal(vinci_synth(&o, &err), VINCI_IO);
        assert_non_null(strstr(err.text, "are free there"));
        assert_int_equal(count_files(folder.path), 1);
    }
    temp_folder_remove(&folder);
}

struct progress {
    uint64_t done, total, stop_at;
};

static bool on_progress(void *user, uint64_t done, uint64_t total)
{
    struct progress *p = user;
    assert_true(done >= p->done && done <= total);
    assert_true(p->total == 0 || p->total == total);
    p->done = done;
    p->total = total;
    return done < p->stop_at;
}

static void test_progress_and_cancel(void **state)
{
    (void)state;
    struct temp_folder folder;
    temp_folder_make(&folder);
    for (size_t form = 0; form < 3; form++) {
        struct progress p = {.stop_at = UINT64_MAX};
        struct vinci_synth_options o =
            options_for(&forms[form], "tiny", temp_path(&folder, forms[form].name));
        o.progress = on_progress;
        o.user = &p;
        synth(&o);
        assert_true(p.total > 280000 && p.done == p.total);
        struct model *model = open_model(o.out);
        uint64_t bytes = 0;
        for (size_t i = 0; i < model->index.n_files; i++) bytes += model->index.files[i]->size;
        assert_int_equal(bytes, p.total);
        model_close(model);
    }
    for (size_t form = 0; form < 3; form++) {
        struct progress p = {.stop_at = form == 1 ? 60000 : 1};
        struct vinci_synth_options o =
            options_for(&forms[form], "tiny", temp_path(&folder, "stopped"));
        struct vinci_error err;
        o.progress = on_progress;
        o.user = &p;
        assert_int_equal(vinci_synth(&o, &err), VINCI_CANCELLED);
        assert_int_equal(count_files(folder.path), 3);
    }
    temp_folder_remove(&folder);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *shape, *extra; /* NULL shape: the odd config with `extra` */
        size_t form;
        const char *dense, *tokenizer, *out;
        enum vinci_status status;
        const char *text;
    } cases[] = {
        {"30b", NULL, 0, NULL, NULL, "x", VINCI_NOT_FOUND, "expected tiny, 20b, 120b or"},
        {"", NULL, 0, NULL, NULL, "x", VINCI_NOT_FOUND, "expected tiny, 20b"},
        {"tiny", NULL, 2, "q4_0", NULL, "x", VINCI_USAGE, "gguf_dense is q4_0; expected"},
        {"tiny", NULL, 0, NULL, NULL, "", VINCI_USAGE, "empty"},
        {"tiny", NULL, 0, NULL, NULL, "/no/such/folder/x", VINCI_NOT_FOUND, "/no/such/folder/x"},
        {"tiny", NULL, 2, NULL, NULL, "/no/such/folder/x", VINCI_NOT_FOUND, "/no/such/folder/x"},
        {"tiny", NULL, 0, NULL, "/no/such.json", "x", VINCI_NOT_FOUND, "/no/such.json"},
        {"tiny", NULL, 2, NULL, "/no/such.json", "x", VINCI_NOT_FOUND, "/no/such.json"},
        {"tiny", NULL, 0, NULL, "/no/such.tiktoken", "x", VINCI_NOT_FOUND, "/no/such.tiktoken"},
        {"tiny", NULL, 0, NULL, "/x.txt", "x", VINCI_UNSUPPORTED, "expected a .json or .tiktoken"},
        {"tiny", NULL, 2, NULL, "/x.tiktoken", "x", VINCI_UNSUPPORTED, "expected a tokenizer.json"},
        {"tiny", NULL, 0, NULL, TEST_VECTORS, "x", VINCI_NOT_FOUND, "expected tokenizer.json or"},
        {"tiny", NULL, 2, NULL, TEST_VECTORS, "x", VINCI_NOT_FOUND, "tokenizer.json"},
        {"tiny", NULL, 2, NULL, TEST_VECTORS "/golden/tiny/config.json", "x", VINCI_BAD_FILE,
         "expected a byte-level BPE"},
        {NULL, ", \"num_hidden_layers\": 0", 0, NULL, NULL, "x", VINCI_BAD_FILE, "config"},
        {NULL, ", \"swiglu_limit\": 8", 2, NULL, NULL, "x", VINCI_UNSUPPORTED, "swiglu"},
        {NULL, ", \"layer_types\": [\"full_attention\", \"full_attention\", \"full_attention\"]", 2,
         NULL, NULL, "x", VINCI_UNSUPPORTED, "layer_types"},
    };
    struct temp_folder folder;
    temp_folder_make(&folder);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[1000], out[300];
        struct vinci_error err = {0};
        snprintf(text, sizeof text, ODD_CONFIG, cases[i].extra ? cases[i].extra : "");
        temp_text(&folder, "shape.json", text);
        snprintf(out, sizeof out, "%s%s", strcmp(cases[i].out, "x") ? "" : folder.path,
                 strcmp(cases[i].out, "x") ? cases[i].out : "/x");
        struct vinci_synth_options o =
            options_for(&forms[cases[i].form],
                        cases[i].shape ? cases[i].shape : temp_path(&folder, "shape.json"), out);
        if (cases[i].dense) o.gguf_dense = cases[i].dense;
        o.tokenizer = cases[i].tokenizer;
        enum vinci_status status = vinci_synth(&o, &err);
        if (status != cases[i].status || !strstr(err.text, cases[i].text))
            fail_msg("case %zu: %s: %s", i, vinci_status_name(status), err.text);
        assert_int_equal(count_files(folder.path), 1);
    }
    temp_folder_remove(&folder);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct temp_folder folder;
    char text[1000], shape[300], tokenizer[300];
    temp_folder_make(&folder);
    temp_text(&folder, "shape.json",
              "{\"model_type\": \"gpt_oss\", \"num_hidden_layers\": 1, \"hidden_size\": 32,"
              " \"intermediate_size\": 32, \"vocab_size\": 20, \"num_attention_heads\": 1,"
              " \"num_key_value_heads\": 1, \"head_dim\": 32, \"num_local_experts\": 1,"
              " \"num_experts_per_tok\": 1}");
    snprintf(text, sizeof text,
             "{\"model\": {\"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [[\"a\", "
             "\"b\"]]}, \"added_tokens\": [{\"id\": 4, \"content\": \"<|call|>\", \"special\": "
             "true}]}");
    temp_text(&folder, "tokenizer.json", text);
    snprintf(shape, sizeof shape, "%s", temp_path(&folder, "shape.json"));
    snprintf(tokenizer, sizeof tokenizer, "%s", temp_path(&folder, "tokenizer.json"));
    size_t n_tried = 0;
    for (size_t form = 0; form < 3; form++)
        for (int with = 0; with < 2; with++) {
            uint64_t expected = 0;
            bool failed = true;
            for (size_t k = 0; failed; k++, n_tried++) { /* 0: nothing fails */
                char name[40];
                struct vinci_error err = {0};
                snprintf(name, sizeof name, "out-%zu-%d-%zu", form, with, k);
                struct vinci_synth_options o =
                    options_for(&forms[form], shape, temp_path(&folder, name));
                o.tokenizer = with ? tokenizer : NULL;
                size_t n_before = count_files(folder.path);
                if (k > 0) alloc_fail_begin(k);
                enum vinci_status status = vinci_synth(&o, &err);
                if (k > 0) failed = alloc_fail_end();
                assert_int_equal(count_files(folder.path), n_before + (status == VINCI_OK));
                if (status == VINCI_OK) { /* jansson does without some of what it asks for */
                    uint64_t hash = form == 2 ? file_hash(o.out) : folder_hash(o.out);
                    if (k == 0) expected = hash;
                    assert_true(hash == expected);
                } else if (status != VINCI_NO_MEMORY || !failed) {
                    fail_msg("%s, allocation %zu: %s: %s", forms[form].name, k,
                             vinci_status_name(status), err.text);
                }
            }
        }
    assert_true(n_tried > 600);
    temp_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_weights),
        cmocka_unit_test(test_odd_shape),
        cmocka_unit_test(test_tied_and_plain_rope),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_rows_differ),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_tokenizer),
        cmocka_unit_test(test_invented_vocabulary),
        cmocka_unit_test(test_existing_output),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_progress_and_cancel),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_out_of_memory),
    };
    alloc_fail_json();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
