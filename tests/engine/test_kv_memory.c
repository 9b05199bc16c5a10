/* The memory that keys and values may take, by the count that the engine reserves it by: 131,072
 * tokens of gpt-oss-20b. Nothing is touched, so nothing is used. */
#include "device/device.h"
#include "engine/kv_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail

#define GIB 1073741824.0

static struct model_config config_20b(void)
{
    struct model_config config = {.n_layers = 24,
                                  .n_hidden = 2880,
                                  .n_intermediate = 2880,
                                  .n_vocab = 201088,
                                  .n_heads = 64,
                                  .n_kv_heads = 8,
                                  .head_dim = 64,
                                  .n_experts = 32,
                                  .n_experts_used = 4,
                                  .sliding_window = 128};
    for (uint32_t i = 0; i < config.n_layers; i += 2) config.layer_is_sliding[i] = true;
    return config;
}

/* Of one sequence of n_ctx positions. */
static uint64_t reserved(enum vinci_kv_type type, uint32_t n_ctx, uint64_t *page_bytes)
{
    static struct model model;
    const struct cpu_device_options options = {.n_threads = 2};
    const struct device_limits limits = {.n_batch = 512, .n_seqs = 1, .n_ctx = n_ctx};
    struct device *device = NULL;
    struct kv_cache *cache = NULL;
    struct vinci_error err;
    model.config = config_20b();
    assert_int_equal(cpu_device_create(&device, &options, &model, &limits, NULL, &err), VINCI_OK);
    assert_int_equal(kv_cache_create(&cache, device, &model.config, type, &limits, 0, &err),
                     VINCI_OK);
    uint64_t n_bytes = cache->n_bytes_max;
    *page_bytes = cache->full.page_bytes;
    kv_cache_destroy(cache);
    device->ops->destroy(device);
    return n_bytes;
}

static void test_longest_context(void **state)
{
    (void)state;
    static const struct {
        enum vinci_kv_type type;
        const char *name;
        double most_gib;
        uint64_t page_bytes; /* 12 layers, 8 heads, 64 positions, K and V of 64 elements */
    } rows[] = {{VINCI_KV_F16, "f16", 3.1, 12ull * 8 * 64 * 2 * 128},
                {VINCI_KV_F32, "f32", 6.2, 12ull * 8 * 64 * 2 * 256},
                {VINCI_KV_Q8_0, "q8_0", 1.65, 12ull * 8 * 64 * 2 * 68}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t page_bytes = 0, half_page_bytes = 0;
        uint64_t n = reserved(rows[i].type, 131072, &page_bytes);
        uint64_t half = reserved(rows[i].type, 65536, &half_page_bytes);
        print_message("131072 tokens, %s: %.3f GiB\n", rows[i].name, (double)n / GIB);
        assert_true((double)n <= rows[i].most_gib * GIB);
        assert_int_equal(page_bytes, rows[i].page_bytes);
        /* A context of twice the length costs its full layers' pages. */
        assert_int_equal(n - half, 65536 / 64 * page_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_longest_context)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
