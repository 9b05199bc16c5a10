/* test_alloc_fail.c - opening and describing a model while one allocation after the other fails:
 * every failure is a status, and nothing is leaked (under a leak checker) or freed twice. */
#include "alloc_fail.h"
#include "model/weights.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GOLDEN TEST_VECTORS "/golden/"

static void test_model_open(void **state)
{
    (void)state;
    static const char *const paths[] = {
        GOLDEN "tiny",      GOLDEN "tiny-original", GOLDEN "tiny-bf16",
        GOLDEN "tiny-gguf", GOLDEN "odd-sharded",   GOLDEN "text/model.safetensors",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        size_t k = 0;
        for (bool failed = true; failed;) {
            struct model *model = NULL;
            struct vinci_error err = {0};
            alloc_fail_begin(++k);
            enum vinci_status status = model_open(&model, paths[i], NULL, &err);
            failed = alloc_fail_end();
            assert_true((status == VINCI_OK) == (model != NULL));
            if (status != (failed ? VINCI_NO_MEMORY : VINCI_OK) ||
                (failed && !strstr(err.text, "out of memory")))
                fail_msg("%s: allocation %zu failed: expected that to be said, got %s: %s",
                         paths[i], k, vinci_status_name(status), err.text);
            model_close(model);
        }
        print_message("%s: %zu allocations\n", strrchr(paths[i], '/') + 1, k - 1);
        assert_true(k > 40);
    }
}

static void test_model_find(void **state)
{
    (void)state;
    struct temp_folder folder;
    temp_folder_make(&folder);
    temp_link(&folder, "models--a--b/snapshots/c/config.json", GOLDEN "tiny/config.json");
    temp_link(&folder, "models--a--b/snapshots/c/model.safetensors",
              GOLDEN "tiny/model.safetensors");
    struct vinci_caches caches = {temp_path(&folder, "ms"), folder.path};
    size_t k = 0;
    for (bool failed = true; failed;) {
        char path[1024];
        struct vinci_error err = {0};
        alloc_fail_begin(++k);
        enum vinci_status status = vinci_model_find("a/b", &caches, path, sizeof path, &err);
        failed = alloc_fail_end();
        /* A folder that cannot be looked into for want of memory counts as not there. */
        if (!failed) assert_int_equal(status, VINCI_OK);
        else assert_true(status == VINCI_NO_MEMORY || status == VINCI_NOT_FOUND);
    }
    assert_true(k > 5);
    temp_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_open),
        cmocka_unit_test(test_model_find),
    };
    alloc_fail_json();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
