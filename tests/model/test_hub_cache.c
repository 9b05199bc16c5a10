/* test_hub_cache.c - what a user types is found: a path as it is, a hub's id in the folders that
 * the hubs' own tools make. */
#include "temp_folder.h"
#include "vinci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define GOLDEN TEST_VECTORS "/golden/"

static struct temp_folder folder;

static int make_folder(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    temp_folder_remove(&folder);
    return 0;
}

/* A model in the folder of that name. */
static void put_model(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/config.json", name);
    temp_link(&folder, path, GOLDEN "tiny/config.json");
    snprintf(path, sizeof path, "%s/model.safetensors", name);
    temp_link(&folder, path, GOLDEN "tiny/model.safetensors");
}

static enum vinci_status find(const char *name, char path[1024], struct vinci_error *err)
{
    char modelscope[512], huggingface[512];
    snprintf(modelscope, sizeof modelscope, "%s/ms", folder.path);
    snprintf(huggingface, sizeof huggingface, "%s/hf", folder.path);
    struct vinci_caches caches = {modelscope, huggingface};
    *err = (struct vinci_error){0};
    return vinci_model_find(name, &caches, path, 1024, err);
}

static void expect_found(const char *name, const char *expected)
{
    char path[1024];
    struct vinci_error err;
    if (find(name, path, &err) != VINCI_OK) fail_msg("%s: %s", name, err.text);
    assert_string_equal(path, expected);
}

static void test_paths(void **state)
{
    (void)state;
    expect_found(GOLDEN "tiny", GOLDEN "tiny");
    expect_found(GOLDEN "tiny/model.safetensors", GOLDEN "tiny/model.safetensors");
    expect_found("/", "/");
    char path[8];
    struct vinci_error err;
    assert_int_equal(vinci_model_find(GOLDEN "tiny", NULL, path, sizeof path, &err), VINCI_LIMIT);
    assert_string_equal(path, "");
}

static void test_modelscope(void **state)
{
    (void)state;
    put_model("ms/openai-mirror/gpt-oss-20b");
    expect_found("openai-mirror/gpt-oss-20b", temp_path(&folder, "ms/openai-mirror/gpt-oss-20b"));
    put_model("ms/models/openai-mirror/gpt-oss-120b");
    expect_found("openai-mirror/gpt-oss-120b",
                 temp_path(&folder, "ms/models/openai-mirror/gpt-oss-120b"));
    put_model("ms/some/model-1___5-x___y");
    expect_found("some/model-1.5-x.y", temp_path(&folder, "ms/some/model-1___5-x___y"));
    put_model("ms/models/some/old.name");
    expect_found("some/old.name", temp_path(&folder, "ms/models/some/old.name"));

    put_model("ms/hub/openai-mirror/below-hub");
    expect_found("openai-mirror/below-hub", temp_path(&folder, "ms/hub/openai-mirror/below-hub"));
    put_model("ms/hub/models/some/new___name");
    expect_found("some/new.name", temp_path(&folder, "ms/hub/models/some/new___name"));
    temp_link(&folder, "ms/some/gguf/a.gguf", GOLDEN "tiny-gguf/tiny.gguf");
    temp_link(&folder, "ms/some/gguf/b.gguf", GOLDEN "tiny-gguf/tiny.gguf");
    expect_found("some/gguf", temp_path(&folder, "ms/some/gguf")); /* opening it says: give one */
}

static void test_huggingface(void **state)
{
    (void)state;
    put_model("hf/models--openai--gpt-oss-20b/snapshots/aaa");
    put_model("hf/models--openai--gpt-oss-20b/snapshots/bbb");
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(
        utimensat(0, temp_path(&folder, "hf/models--openai--gpt-oss-20b/snapshots/aaa"), times, 0),
        0);
    char newest[512];
    snprintf(newest, sizeof newest, "%s/hf/models--openai--gpt-oss-20b/snapshots/bbb", folder.path);
    expect_found("openai/gpt-oss-20b", newest);
    temp_text(&folder, "hf/models--openai--gpt-oss-20b/refs/main", "aaa\n");
    expect_found("openai/gpt-oss-20b",
                 temp_path(&folder, "hf/models--openai--gpt-oss-20b/snapshots/aaa"));
    /* A ref is the name of a folder here, never a way out. */
    temp_text(&folder, "hf/models--openai--gpt-oss-20b/refs/main", "../../../ms");
    expect_found("openai/gpt-oss-20b", newest);
    temp_text(&folder, "hf/models--openai--gpt-oss-20b/refs/main", "");
    expect_found("openai/gpt-oss-20b", newest);
}

/* An unfinished download in one cache does not hide the whole model in the other. */
static void test_unfinished(void **state)
{
    (void)state;
    char path[1024];
    struct vinci_error err;
    temp_text(&folder, "ms/openai/both/tokenizer.json", "{}");
    assert_int_equal(find("openai/both", path, &err), VINCI_NOT_FOUND);
    assert_non_null(strstr(err.text, "ms/openai/both (no complete model in it), "));
    put_model("hf/models--openai--both/snapshots/c");
    expect_found("openai/both", temp_path(&folder, "hf/models--openai--both/snapshots/c"));
}

static void test_not_found(void **state)
{
    (void)state;
    char path[1024];
    struct vinci_error err;
    assert_int_equal(find("openai/gpt-oss-7b", path, &err), VINCI_NOT_FOUND);
    assert_string_equal(path, "");
    assert_non_null(strstr(err.text, "openai/gpt-oss-7b: no such file or folder"));
    assert_non_null(strstr(err.text, "/ms/openai/gpt-oss-7b, "));
    assert_non_null(strstr(err.text, "/ms/models/openai/gpt-oss-7b, "));
    assert_non_null(strstr(err.text, "/hf/models--openai--gpt-oss-7b/snapshots;"));
    assert_non_null(strstr(err.text, "`vinci pull hf:openai/gpt-oss-7b`"));
    assert_int_equal(vinci_model_find("openai/gpt-oss-7b", NULL, path, sizeof path, &err),
                     VINCI_NOT_FOUND);
    static const char *const no_ids[] = {"",         "model",    "/none/at/all", "./none",
                                         "a/b/c",    "../x/y",   "a/",           "/b",
                                         "owner/..", "own er/x", "owner/na\nme"};
    for (size_t i = 0; i < sizeof no_ids / sizeof *no_ids; i++) {
        assert_int_equal(find(no_ids[i], path, &err), VINCI_NOT_FOUND);
        assert_non_null(strstr(err.text, "it is no hub id"));
        assert_null(strchr(err.text, '\n'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),       cmocka_unit_test(test_modelscope),
        cmocka_unit_test(test_huggingface), cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_not_found),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
