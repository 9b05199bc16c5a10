/* test_bad.c - damaged files: every checkpoint of tests/vectors/bad is refused with a sentence that
 * names the file and the thing, with the status that is the program's exit code; files cut off at
 * every length, and files with bytes changed, are refused or bound, under sanitizers without a
 * complaint. */
#include "memory_model.h"
#include "model/weights.h"
#include "temp_folder.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BAD TEST_VECTORS "/bad/"
static const char Q[] = "model.layers.0.self_attn.q_proj.weight";

static const struct {
    const char *path;
    enum vinci_status status;
    const char *file, *thing, *more; /* parts of the sentence */
} bad[] = {
    {"truncated", VINCI_BAD_FILE, "truncated/model.safetensors", "data_offsets", "74064 bytes"},
    {"empty-file", VINCI_BAD_FILE, "empty-file/model.safetensors", "empty", ""},
    {"header-too-long", VINCI_BAD_FILE, "model.safetensors", "header",
     "got a length of 1099511627776"},
    {"header-length-max", VINCI_BAD_FILE, "model.safetensors", "header",
     "got a length of 18446744073709551615"},
    {"header-not-json", VINCI_BAD_FILE, "model.safetensors", "header", "not valid JSON: line 1"},
    {"offsets-beyond-end", VINCI_BAD_FILE, "model.safetensors", Q, "within the 79064 bytes"},
    {"offsets-reversed", VINCI_BAD_FILE, "model.safetensors", Q, "got [50056, 45960]"},
    {"offsets-size", VINCI_BAD_FILE, "model.safetensors", Q, "expected 2048 bytes"},
    {"overlap", VINCI_BAD_FILE, "model.safetensors", Q, "share bytes"},
    {"wrong-dtype", VINCI_UNSUPPORTED, "model.safetensors", Q, "got I8"},
    {"unknown-dtype", VINCI_BAD_FILE, "model.safetensors", Q, "got BF17"},
    {"wrong-shape", VINCI_BAD_FILE, "model.safetensors", Q,
     "expected shape [64, 32] by the configuration, got [32, 64]"},
    {"missing-tensor", VINCI_BAD_FILE, "missing-tensor",
     "model.layers.1.mlp.experts.down_proj_blocks",
     "is missing; expected U8 of shape [4, 32, 1, 16]"},
    {"index-missing-shard", VINCI_NOT_FOUND, "model-00002-of-00002.safetensors", "no such file",
     "model.safetensors.index.json names it"},
    {"config-not-json", VINCI_BAD_FILE, "config.json", "not valid JSON: line 28",
     "it ends too early"},
    {"config-missing", VINCI_NOT_FOUND, "config-missing/model.safetensors", "config.json", ""},
    {"config-hidden-0", VINCI_BAD_FILE, "config.json", "hidden_size", "got 0"},
    {"config-layers-negative", VINCI_BAD_FILE, "config.json", "num_hidden_layers", "got -1"},
    {"config-vocab-huge", VINCI_LIMIT, "config.json", "vocab_size", "got 2147483648"},
    {"config-no-heads", VINCI_BAD_FILE, "config.json", "num_attention_heads is missing", ""},
    {"config-other-model", VINCI_UNSUPPORTED, "config.json", "model_type", "got llama"},
    {"config-layer-types-short", VINCI_BAD_FILE, "config.json", "layer_types",
     "expected 2 entries (num_hidden_layers), got 1"},
    {"gguf-magic/model.gguf", VINCI_BAD_FILE, "model.gguf", "magic", "got 46 55 47 47"},
    {"gguf-version/model.gguf", VINCI_UNSUPPORTED, "model.gguf", "version", "got 99"},
    {"gguf-tensor-count/model.gguf", VINCI_BAD_FILE, "model.gguf", "1152921504606846976 tensors",
     ""},
    {"gguf-kv-count/model.gguf", VINCI_BAD_FILE, "model.gguf",
     "1152921504606846976 metadata entries", ""},
    {"gguf-string-length/model.gguf", VINCI_BAD_FILE, "model.gguf", "metadata entry 1 of 30",
     "the file ends inside it"},
    {"gguf-truncated-meta/model.gguf", VINCI_BAD_FILE, "model.gguf", "30 metadata entries", ""},
    {"gguf-truncated-data/model.gguf", VINCI_BAD_FILE, "model.gguf",
     "tensor blk.1.ffn_up_exps.weight", "within the 79176 bytes"},
    {"gguf-tensor-type/model.gguf", VINCI_BAD_FILE, "model.gguf", "tensor blk.0.attn_q.weight",
     "got number 99"},
    {"gguf-tensor-offset/model.gguf", VINCI_BAD_FILE, "model.gguf", "tensor blk.0.attn_q.weight",
     "multiple of 32, got 17"},
};

static void test_bad_checkpoints(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[1024];
        struct model *model = NULL;
        struct vinci_error err = {0};
        snprintf(path, sizeof path, BAD "%s", bad[i].path);
        enum vinci_status status = model_open(&model, path, NULL, &err);
        assert_null(model);
        if (status != bad[i].status || err.status != status || !strstr(err.text, bad[i].file) ||
            !strstr(err.text, bad[i].thing) || !strstr(err.text, bad[i].more))
            fail_msg("%s: expected %s and \"%s\", \"%s\", \"%s\", got %s: %s", bad[i].path,
                     vinci_status_name(bad[i].status), bad[i].file, bad[i].thing, bad[i].more,
                     vinci_status_name(status), err.text);
    }
}

/* The good ones that the others were made from: else all of the above proves nothing. */
static void test_good(void **state)
{
    (void)state;
    static const char *const good[] = {BAD "good/hf", BAD "good/gguf", BAD "good/gguf/model.gguf",
                                       BAD "good/hf/model.safetensors"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct model *model = NULL;
        struct vinci_error err;
        if (model_open(&model, good[i], NULL, &err) != VINCI_OK) fail_msg("%s", err.text);
        model_close(model);
    }
}

/* ---- in memory ---------------------------------------------------------------------------- */

struct files {
    char *config, *safetensors, *gguf;
    size_t n_config, n_safetensors, n_gguf;
    size_t n_header, n_metadata; /* what is parsed of each, without tensor bytes */
};

static int read_files(void **state)
{
    struct files *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->config = read_whole_file(BAD "good/hf/config.json", &f->n_config);
    f->safetensors = read_whole_file(BAD "good/hf/model.safetensors", &f->n_safetensors);
    f->gguf = read_whole_file(BAD "good/gguf/model.gguf", &f->n_gguf);
    uint64_t n;
    memcpy(&n, f->safetensors, sizeof n);
    f->n_header = sizeof n + n;
    f->n_metadata = f->n_gguf - 82176; /* the tensors' bytes: 79176 in the cut file + 3000 */
    *state = f;
    return 0;
}

static int free_files(void **state)
{
    struct files *f = *state;
    free(f->config);
    free(f->safetensors);
    free(f->gguf);
    free(f);
    return 0;
}

static void expect_refused(enum vinci_status status, const struct vinci_error *err, size_t n)
{
    if (status == VINCI_OK || status == VINCI_NO_MEMORY || !err->text[0])
        fail_msg("cut at %zu: got %s: %s", n, vinci_status_name(status), err->text);
}

static void test_cut_off(void **state)
{
    const struct files *f = *state;
    struct vinci_error err = {0};
    assert_int_equal(
        memory_model_try(f->config, f->n_config, f->safetensors, f->n_safetensors, &err), VINCI_OK);
    assert_int_equal(memory_model_try(NULL, 0, f->gguf, f->n_gguf, &err), VINCI_OK);
    for (size_t n = 0; n < f->n_metadata; n++)
        expect_refused(memory_model_try(NULL, 0, f->gguf, n, &err), &err, n);
    for (size_t n = f->n_metadata; n < f->n_gguf; n += 997)
        expect_refused(memory_model_try(NULL, 0, f->gguf, n, &err), &err, n);
    for (size_t n = 0; n < f->n_header; n++)
        expect_refused(memory_model_try(f->config, f->n_config, f->safetensors, n, &err), &err, n);
    for (size_t n = f->n_header; n < f->n_safetensors; n += 997)
        expect_refused(memory_model_try(f->config, f->n_config, f->safetensors, n, &err), &err, n);
    for (size_t n = 0; n + 2 < f->n_config; n++) /* it ends in a brace and a newline */
        expect_refused(memory_model_try(f->config, n, f->safetensors, f->n_safetensors, &err), &err,
                       n);
}

/* The header's length agrees with where it was cut: what is left is JSON that ends too early. */
static void test_header_cut_off(void **state)
{
    const struct files *f = *state;
    struct vinci_error err = {0};
    char *copy = malloc(f->n_safetensors);
    assert_non_null(copy);
    memcpy(copy, f->safetensors, f->n_safetensors);
    for (uint64_t n = 0; n + 8 < f->n_header - 8; n++) { /* it ends in up to 7 spaces */
        memcpy(copy, &n, sizeof n);
        expect_refused(memory_model_try(f->config, f->n_config, copy, f->n_safetensors, &err), &err,
                       (size_t)n);
    }
    free(copy);
}

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t x = *state += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* One to four bytes set to anything, or to what often breaks arithmetic. */
static void damage(char *bytes, size_t n, uint64_t *random)
{
    static const char nasty[] = {0, 1, (char)0x7f, (char)0x80, (char)0xff, '9', '-', '"', '}', ']'};
    for (uint64_t k = 1 + next_random(random) % 4; k; k--) {
        uint64_t r = next_random(random);
        char *byte = &bytes[r % n];
        *byte = r >> 62 == 0 ? (char)(r >> 32) : nasty[(r >> 40) % sizeof nasty];
    }
}

enum { N_MUTATIONS = 4000 };

static void test_bytes_changed(void **state)
{
    const struct files *f = *state;
    struct vinci_error err = {0};
    uint64_t random = 3;
    size_t n_bound = 0;
    char *gguf = malloc(f->n_gguf), *safetensors = malloc(f->n_safetensors),
         *config = malloc(f->n_config);
    assert_true(gguf && safetensors && config);
    for (int i = 0; i < N_MUTATIONS; i++) {
        memcpy(gguf, f->gguf, f->n_gguf);
        damage(gguf, f->n_metadata, &random);
        n_bound += memory_model_try(NULL, 0, gguf, f->n_gguf, &err) == VINCI_OK;

        memcpy(safetensors, f->safetensors, f->n_safetensors);
        damage(safetensors, f->n_header, &random);
        n_bound += memory_model_try(f->config, f->n_config, safetensors, f->n_safetensors, &err) ==
                   VINCI_OK;

        memcpy(config, f->config, f->n_config);
        damage(config, f->n_config, &random);
        n_bound += memory_model_try(config, f->n_config, f->safetensors, f->n_safetensors, &err) ==
                   VINCI_OK;
    }
    print_message("%zu of %d damaged files could still be bound\n", n_bound, 3 * N_MUTATIONS);
    assert_true(n_bound > 0 && n_bound < N_MUTATIONS); /* else the damage is nil, or the check */
    free(gguf);
    free(safetensors);
    free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_checkpoints), cmocka_unit_test(test_good),
        cmocka_unit_test(test_cut_off),         cmocka_unit_test(test_header_cut_off),
        cmocka_unit_test(test_bytes_changed),
    };
    return cmocka_run_group_tests(tests, read_files, free_files);
}
