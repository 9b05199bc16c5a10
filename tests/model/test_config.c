/* test_config.c - config.json in both styles, with one thing changed in each row, and GGUF
 * metadata by way of test_open.c. */
#include "model/config.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char HF[] =
    "{\"model_type\": \"gpt_oss\", \"num_hidden_layers\": 4, \"hidden_size\": 64,"
    " \"intermediate_size\": 96, \"vocab_size\": 320, \"num_attention_heads\": 4,"
    " \"num_key_value_heads\": 2, \"head_dim\": 32, \"num_local_experts\": 8,"
    " \"num_experts_per_tok\": 3, \"sliding_window\": 16, \"max_position_embeddings\": 1000,"
    " \"rms_norm_eps\": 1e-6, \"swiglu_limit\": 6.5, \"tie_word_embeddings\": true,"
    " \"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\","
    " \"full_attention\"], \"rope_theta\": 10000, \"rope_scaling\": {\"rope_type\": \"yarn\","
    " \"factor\": 8, \"beta_fast\": 20, \"beta_slow\": 2, \"truncate\": false,"
    " \"original_max_position_embeddings\": 512}}";

static const char ORIGINAL[] =
    "{\"num_hidden_layers\": 3, \"num_experts\": 8, \"experts_per_token\": 4,"
    " \"vocab_size\": 320, \"hidden_size\": 64, \"intermediate_size\": 64, \"swiglu_limit\": 7.0,"
    " \"head_dim\": 64, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,"
    " \"sliding_window\": 16, \"initial_context_length\": 4096, \"rope_theta\": 150000,"
    " \"rope_scaling_factor\": 32.0, \"rope_ntk_alpha\": 1.5, \"rope_ntk_beta\": 31}";

/* `base` with the fields of `edit` put over it; null removes (it counts as left out). */
static enum vinci_status parse(struct model_config *config, const char *base, const char *edit,
                               struct vinci_error *err)
{
    json_t *root = json_loads(base, 0, NULL), *changes = json_loads(edit, 0, NULL);
    assert_non_null(root);
    if (!changes) fail_msg("not JSON: %s", edit);
    assert_int_equal(json_object_update(root, changes), 0);
    char *text = json_dumps(root, JSON_ENCODE_ANY);
    *err = (struct vinci_error){0};
    enum vinci_status status = config_from_json(config, text, strlen(text), "dir/config.json", err);
    free(text);
    json_decref(root);
    json_decref(changes);
    return status;
}

static void test_huggingface(void **state)
{
    (void)state;
    struct vinci_error err;
    struct model_config c;
    assert_int_equal(parse(&c, HF, "{}", &err), VINCI_OK);
    assert_int_equal(c.n_layers, 4);
    assert_int_equal(c.n_hidden, 64);
    assert_int_equal(c.n_intermediate, 96);
    assert_int_equal(c.n_vocab, 320);
    assert_int_equal(c.n_heads, 4);
    assert_int_equal(c.n_kv_heads, 2);
    assert_int_equal(c.head_dim, 32);
    assert_int_equal(c.n_experts, 8);
    assert_int_equal(c.n_experts_used, 3);
    assert_int_equal(c.sliding_window, 16);
    assert_int_equal(c.n_ctx_max, 1000);
    assert_true(c.tied_embeddings);
    assert_true(c.rms_norm_eps == 1e-6f && c.swiglu_limit == 6.5f && c.swiglu_alpha == 1.702f);
    assert_memory_equal(c.layer_is_sliding, "\0\1\0\0", 4);
    assert_true(c.rope.yarn && c.rope.theta == 10000 && c.rope.factor == 8);
    assert_true(c.rope.beta_fast == 20 && c.rope.beta_slow == 2 && !c.rope.truncate);
    assert_int_equal(c.rope.n_ctx_original, 512);
}

static void test_defaults(void **state)
{
    (void)state;
    struct vinci_error err;
    struct model_config c;
    assert_int_equal(parse(&c, HF,
                           "{\"layer_types\": null, \"head_dim\": null, \"sliding_window\": null,"
                           " \"max_position_embeddings\": null, \"rms_norm_eps\": null,"
                           " \"swiglu_limit\": null, \"tie_word_embeddings\": null,"
                           " \"rope_theta\": null, \"rope_scaling\": null,"
                           " \"num_experts_per_tok\": null, \"experts_per_token\": 2}",
                           &err),
                     VINCI_OK);
    assert_memory_equal(c.layer_is_sliding, "\1\0\1\0", 4);
    assert_int_equal(c.head_dim, 64);
    assert_int_equal(c.sliding_window, 128);
    assert_int_equal(c.n_ctx_max, 131072);
    assert_int_equal(c.n_experts_used, 2);
    assert_true(c.rms_norm_eps == 1e-5f && c.swiglu_limit == 7.0f && !c.tied_embeddings);
    /* No rope scaling at all is YaRN with gpt-oss's own numbers. */
    assert_true(c.rope.yarn && c.rope.theta == 150000 && c.rope.factor == 32);
    assert_true(c.rope.beta_fast == 32 && c.rope.beta_slow == 1 && !c.rope.truncate);
    assert_int_equal(c.rope.n_ctx_original, 4096);
}

static void test_rope(void **state)
{
    (void)state;
    struct vinci_error err;
    struct model_config c;
    /* The newer style wins, with its own theta; what is left out of it: truncate is true. */
    assert_int_equal(parse(&c, HF,
                           "{\"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4,"
                           " \"rope_theta\": 5000, \"original_max_position_embeddings\": 100}}",
                           &err),
                     VINCI_OK);
    assert_true(c.rope.yarn && c.rope.theta == 5000 && c.rope.factor == 4 && c.rope.truncate);
    assert_true(c.rope.beta_fast == 32 && c.rope.beta_slow == 1);
    assert_int_equal(c.rope.n_ctx_original, 100);
    assert_int_equal(parse(&c, HF,
                           "{\"rope_parameters\": {\"rope_type\": \"default\","
                           " \"rope_theta\": 7000}}",
                           &err),
                     VINCI_OK);
    assert_true(!c.rope.yarn && c.rope.theta == 7000);
    assert_int_equal(parse(&c, HF, "{\"rope_scaling\": {\"type\": \"default\"}}", &err), VINCI_OK);
    assert_true(!c.rope.yarn && c.rope.theta == 10000);
    /* The factor on cos and sin, spelled out, is 0.1 ln(8) + 1. */
    assert_int_equal(parse(&c, HF,
                           "{\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 8,"
                           " \"attention_factor\": 1.2079441541679836}}",
                           &err),
                     VINCI_OK);
    assert_int_equal(c.rope.n_ctx_original, 4096);
}

static void test_original(void **state)
{
    (void)state;
    struct vinci_error err;
    struct model_config c;
    assert_int_equal(parse(&c, ORIGINAL, "{}", &err), VINCI_OK);
    assert_int_equal(c.n_layers, 3);
    assert_int_equal(c.n_experts, 8);
    assert_int_equal(c.n_experts_used, 4);
    assert_int_equal(c.n_ctx_max, 131072);
    assert_memory_equal(c.layer_is_sliding, "\1\0\1", 3);
    assert_true(c.rope.yarn && c.rope.factor == 32 && !c.rope.truncate);
    assert_true(c.rope.beta_fast == 31 && c.rope.beta_slow == 1.5); /* beta is the fast one */
    assert_int_equal(c.rope.n_ctx_original, 4096);
    assert_true(c.rms_norm_eps == 1e-5f && c.swiglu_alpha == 1.702f);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *base, *edit;
        enum vinci_status status;
        const char *text;
    } rows[] = {
        {HF, "{\"model_type\": \"llama\"}", VINCI_UNSUPPORTED, "expected gpt_oss, got llama"},
        {HF, "{\"model_type\": null}", VINCI_UNSUPPORTED, "got none"},
        {HF, "{\"hidden_act\": \"gelu\"}", VINCI_UNSUPPORTED,
         "hidden_act: expected silu, got gelu"},
        {HF, "{\"quantization_config\": {\"quant_method\": \"awq\"}}", VINCI_UNSUPPORTED,
         "quant_method: expected mxfp4, got awq"},
        {HF, "{\"model_type\": 7}", VINCI_UNSUPPORTED, "got an integer"},
        {HF, "{\"model_type\": \"a\\nb\\u007f\"}", VINCI_UNSUPPORTED, "got a?b?;"},
        {HF, "{\"hidden_size\": null}", VINCI_BAD_FILE, "hidden_size is missing"},
        {HF, "{\"hidden_size\": \"64\"}", VINCI_BAD_FILE,
         "hidden_size: expected an integer, got a s"},
        {HF, "{\"hidden_size\": 64.0}", VINCI_BAD_FILE,
         "hidden_size: expected an integer, got a f"},
        {HF, "{\"hidden_size\": [64]}", VINCI_BAD_FILE, "got an array"},
        {HF, "{\"hidden_size\": 4294967296}", VINCI_BAD_FILE, "got 4294967296"},
        {HF, "{\"hidden_size\": 48}", VINCI_BAD_FILE, "32 to 65536 in steps of 32, got 48"},
        {HF, "{\"hidden_size\": 65568}", VINCI_LIMIT, "got 65568"},
        {HF, "{\"intermediate_size\": 0}", VINCI_BAD_FILE, "intermediate_size"},
        {HF, "{\"num_hidden_layers\": 513}", VINCI_LIMIT, "num_hidden_layers: expected 1 to 512"},
        {HF, "{\"num_hidden_layers\": 0}", VINCI_BAD_FILE, "num_hidden_layers"},
        {HF, "{\"vocab_size\": 2097153}", VINCI_LIMIT, "vocab_size: expected 1 to 2097152"},
        {HF, "{\"num_attention_heads\": 1025}", VINCI_LIMIT, "num_attention_heads"},
        {HF, "{\"num_attention_heads\": 3}", VINCI_BAD_FILE, "multiple of num_key_value_heads (2)"},
        {HF, "{\"num_key_value_heads\": 0}", VINCI_BAD_FILE, "num_key_value_heads"},
        {HF, "{\"head_dim\": 31}", VINCI_BAD_FILE, "head_dim: expected 2 to 256, even, got 31"},
        {HF, "{\"head_dim\": 258}", VINCI_LIMIT, "head_dim"},
        {HF, "{\"num_local_experts\": 513}", VINCI_LIMIT, "number of experts"},
        {HF, "{\"num_local_experts\": 2}", VINCI_BAD_FILE, "at most the number of experts (2)"},
        {HF, "{\"num_experts_per_tok\": 33}", VINCI_LIMIT, "experts per token"},
        {HF, "{\"sliding_window\": 0}", VINCI_BAD_FILE, "sliding_window"},
        {HF, "{\"max_position_embeddings\": 16777217}", VINCI_LIMIT, "context length"},
        {HF, "{\"rms_norm_eps\": 0}", VINCI_BAD_FILE, "rms_norm_eps: expected more than 0, got 0"},
        {HF, "{\"rms_norm_eps\": true}", VINCI_BAD_FILE, "rms_norm_eps: expected a number"},
        {HF, "{\"swiglu_limit\": 1e300}", VINCI_BAD_FILE, "swiglu_limit"},
        {HF, "{\"tie_word_embeddings\": 1}", VINCI_BAD_FILE, "expected true or false"},
        {HF, "{\"rope_theta\": 1}", VINCI_BAD_FILE, "rope_theta"},
        {HF, "{\"layer_types\": []}", VINCI_BAD_FILE, "expected 4 entries"},
        {HF, "{\"layer_types\": \"full\"}", VINCI_BAD_FILE, "expected 4 entries"},
        {HF, "{\"layer_types\": [1, 2, 3, 4]}", VINCI_BAD_FILE, "layer_types[0]"},
        {HF,
         "{\"layer_types\": [\"full_attention\", \"full_attention\", \"full_attention\", \"x\"]}",
         VINCI_BAD_FILE, "layer_types[3]: expected sliding_attention or full_attention, got x"},
        {HF, "{\"rope_scaling\": 3}", VINCI_BAD_FILE, "rope_scaling: expected an object"},
        {HF, "{\"rope_parameters\": \"x\"}", VINCI_BAD_FILE, "rope_parameters: expected an object"},
        {HF, "{\"rope_scaling\": {\"rope_type\": \"llama3\"}}", VINCI_UNSUPPORTED, "got llama3"},
        {HF, "{\"rope_scaling\": {\"rope_type\": 1}}", VINCI_UNSUPPORTED, "rope_type"},
        {HF, "{\"rope_scaling\": {\"rope_type\": \"yarn\"}}", VINCI_BAD_FILE, "factor is missing"},
        {HF, "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 0.5}}", VINCI_BAD_FILE,
         "rope factor: expected at least 1"},
        {HF, "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2, \"beta_fast\": 1}}",
         VINCI_BAD_FILE, "beta_fast"},
        {HF, "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2, \"beta_slow\": 0}}",
         VINCI_BAD_FILE, "beta_slow"},
        {HF,
         "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2,"
         " \"original_max_position_embeddings\": 0}}",
         VINCI_BAD_FILE, "original context length"},
        {HF,
         "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2, \"attention_factor\": 1}}",
         VINCI_UNSUPPORTED, "attention_factor"},
        {HF, "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2, \"mscale\": 1}}",
         VINCI_UNSUPPORTED, "mscale"},
        {HF, "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2, \"truncate\": 0}}",
         VINCI_BAD_FILE, "truncate"},
        {ORIGINAL, "{\"head_dim\": null}", VINCI_BAD_FILE, "head_dim is missing"},
        {ORIGINAL, "{\"num_experts\": null}", VINCI_UNSUPPORTED, "model_type"},
        {ORIGINAL, "{\"rope_scaling_factor\": 1e30}", VINCI_LIMIT, "context length"},
        {ORIGINAL, "{\"rope_scaling_factor\": \"x\"}", VINCI_BAD_FILE, "rope_scaling_factor"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vinci_error err;
        struct model_config c;
        enum vinci_status status = parse(&c, rows[i].base, rows[i].edit, &err);
        if (status != rows[i].status || !strstr(err.text, rows[i].text) ||
            strncmp(err.text, "dir/config.json: ", 17) != 0)
            fail_msg("%s: expected %s and \"%s\", got %s: %s", rows[i].edit,
                     vinci_status_name(rows[i].status), rows[i].text, vinci_status_name(status),
                     err.text);
    }
}

static void test_not_json(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "1",
        "{\"a\": 1, \"a\": 2}",
        "\xff\xfe",
        "{\"model_type\": \"\\u0000\"}",
        "{\"hidden_size\": 99999999999999999999}",
    };
    struct model_config c;
    struct vinci_error err;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(config_from_json(&c, texts[i], strlen(texts[i]), "c.json", &err),
                         VINCI_BAD_FILE);
        assert_non_null(strstr(err.text, "c.json: the config"));
        assert_null(strchr(err.text, '\n'));
    }
    /* A million brackets must not use up the stack. */
    size_t n = 1000000;
    char *deep = malloc(n);
    assert_non_null(deep);
    memset(deep, '[', n);
    assert_int_equal(config_from_json(&c, deep, n, "c.json", &err), VINCI_BAD_FILE);
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_huggingface), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_rope),        cmocka_unit_test(test_original),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_not_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
