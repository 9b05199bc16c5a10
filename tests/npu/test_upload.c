/* test_upload.c - bringing weights to the simulated Ascend device: what MXFP4 is expanded to, and
 * that expanding and copying go on at the same time. */
#include "device/npu/expand.h"
#include "device/npu/upload.h"
#include "model/formats.h"
#include "npu_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- expansions ---------------------------------------------------------------------------- */

enum { N_ROWS = 64, N_COLS = 256 * 32 / N_ROWS * 4, N_BLOCKS = N_COLS / QUANT_BLOCK };

/* A matrix with every scale, and every code below every scale. */
static struct matrix some_matrix(enum dtype layout)
{
    bool gguf = layout == DTYPE_MXFP4_GGUF;
    size_t row_bytes = N_BLOCKS * (gguf ? 17 : 16);
    uint8_t *data = malloc(N_ROWS * row_bytes), *scales = gguf ? NULL : malloc(N_ROWS * N_BLOCKS);
    uint32_t random = 1;
    for (size_t r = 0; r < N_ROWS; r++)
        for (size_t b = 0; b < N_BLOCKS; b++) {
            uint8_t *block = data + r * row_bytes + b * (gguf ? 17 : 16);
            uint8_t scale = (uint8_t)(r * N_BLOCKS + b);
            if (gguf) *block++ = scale;
            else scales[r * N_BLOCKS + b] = scale;
            for (int j = 0; j < 16; j++, random = random * 1664525 + 1013904223)
                block[j] = (uint8_t)(r < 32 ? (unsigned)j * 17 + b : random >> 24);
        }
    return (struct matrix){
        layout, N_ROWS, N_COLS, data, row_bytes, gguf ? NULL : scales, gguf ? 0 : N_BLOCKS};
}

static void free_matrix(struct matrix *w)
{
    free((void *)(uintptr_t)w->data);
    free((void *)(uintptr_t)w->scales);
}

/* The same bits as by way of floats, from both kernels. */
static void test_rows(void **state)
{
    static const aclDataType dtypes[] = {ACL_BF16, ACL_FLOAT16};
    enum dtype layout = *(enum dtype *)*state;
    struct matrix w = some_matrix(layout);
    struct expand_tables *tables = malloc(sizeof *tables);
    float floats[N_COLS];
    uint16_t wanted[N_COLS], got[N_COLS];
    for (int d = 0; d < 2; d++) {
        expand_tables_fill(tables, dtypes[d]);
        for (size_t r = 0; r < N_ROWS; r++) {
            matrix_row(&w, r, floats);
            npu_from_float(dtypes[d], floats, N_COLS, wanted);
            expand_scalar.row(tables, &w, r, got);
            assert_memory_equal(got, wanted, sizeof wanted);
            memset(got, 0x55, sizeof got);
            expand_kernels()->row(tables, &w, r, got);
            assert_memory_equal(got, wanted, sizeof wanted);
        }
    }
    wanted[17] ^= 1; /* a wrong bit would be seen */
    assert_memory_not_equal(got, wanted, sizeof wanted);
    free(tables);
    free_matrix(&w);
}

static int code_of(const struct matrix *w, size_t row, size_t element)
{
    size_t in_block = element % 32;
    const uint8_t *nibbles = expand_nibbles(w, row, element / 32);
    bool gguf = w->dtype == DTYPE_MXFP4_GGUF, upper = gguf ? in_block >= 16 : in_block % 2;
    uint8_t byte = nibbles[gguf ? in_block % 16 : in_block / 2];
    return upper ? byte >> 4 : byte & 15;
}

/* A signed nibble. */
static int int4(uint8_t byte, bool upper)
{
    int x = upper ? byte >> 4 : byte & 15;
    return x < 8 ? x : x - 16;
}

/* 2 a + b is the doubled value; both kernels give the same. */
static void test_planes(void **state)
{
    struct matrix w = some_matrix(*(enum dtype *)*state);
    uint8_t map[2][16], out[2][2][32][20];
    expand_planes(map[0], map[1]);
    for (size_t first = 0; first < N_ROWS; first += EXPAND_TILE)
        for (size_t block = 0; block < N_BLOCKS; block++) {
            const uint8_t *blocks[EXPAND_TILE];
            for (size_t i = 0; i < EXPAND_TILE; i++)
                blocks[i] = expand_nibbles(&w, first + i, block);
            memset(out, 0x55, sizeof out);
            for (int plane = 0; plane < 2; plane++) {
                expand_scalar.tile(map[plane], w.dtype, blocks, out[0][plane][0], 20);
                expand_kernels()->tile(map[plane], w.dtype, blocks, out[1][plane][0], 20);
            }
            assert_memory_equal(out[0], out[1], sizeof out[0]);
            for (size_t j = 0; j < 32; j++)
                for (size_t o = 0; o < EXPAND_TILE; o++) {
                    int a = int4(out[1][0][j][o / 2], o % 2), b = int4(out[1][1][j][o / 2], o % 2);
                    int code = code_of(&w, first + o, block * 32 + j);
                    assert_int_equal(2 * a + b, FP4_DOUBLED[code]);
                }
        }
    free_matrix(&w);
}

/* ---- the pipeline -------------------------------------------------------------------------- */

enum { N_PIECES = 16, PIECE = 64 << 10, FILL_MS = 10 };

static void slow_fill(const void *ctx, size_t first, size_t n, void *out)
{
    struct timespec time = {0, FILL_MS * 1000000};
    const uint8_t *value = ctx;
    (void)first;
    nanosleep(&time, NULL);
    memset(out, *value, n * PIECE);
}

struct sent {
    double seconds, wait_seconds;
    uint64_t peak;
};

/* N_PIECES pieces that take FILL_MS each to fill, by a device that copies so many bytes a second.
 */
static struct sent send(const char *rate)
{
    struct npu_device *device = NULL;
    struct npu_sim_counters counters;
    struct vinci_error err;
    struct upload upload;
    uint8_t *memory[N_PIECES], values[N_PIECES], *back = malloc(PIECE);
    struct vinci_cann_places places = npu_places();
    setenv("NPU_SIM_ORDER", rate ? "eager" : "lazy", 1);
    if (rate) setenv("NPU_SIM_COPY", rate, 1);
    npu_reset_counters();
    if (npu_open(&device, 0, &places, NULL, &err) != VINCI_OK) fail_msg("%s", err.text);
    upload_start(&upload, device, N_PIECES * PIECE);
    for (int i = 0; i < N_PIECES; i++) {
        memory[i] = npu_alloc_block(device, PIECE, "a piece");
        values[i] = (uint8_t)(i * 17 + 1);
        upload_items(&upload, memory[i], 1, PIECE, 1, slow_fill, &values[i]);
    }
    upload_finish(&upload);
    npu_counters(&counters);
    assert_int_equal(device->status, VINCI_OK);
    assert_int_equal(device->base.upload_bytes, N_PIECES * PIECE);
    struct sent sent = {device->base.upload_seconds, upload.wait_seconds,
                        counters.copies_queued_peak};
    device->read_host = npu_pinned(device, PIECE); /* what has come */
    for (int i = 0; i < N_PIECES; i++) {
        const uint8_t *bytes = npu_fetch(device, memory[i], PIECE);
        assert_non_null(bytes);
        for (size_t j = 0; j < PIECE; j++) assert_int_equal(bytes[j], values[i]);
    }
    npu_close(device);
    unsetenv("NPU_SIM_COPY");
    unsetenv("NPU_SIM_ORDER");
    free(back);
    assert_int_equal(npu_violations(), 0);
    return sent;
}

/* Of the blocks of pinned memory none is waited for before it is needed again. */
static void test_all_slots_are_used(void **state)
{
    (void)state;
    struct sent sent = send(NULL);
    assert_int_equal(sent.peak, UPLOAD_SLOTS);
}

/* Filling takes 160 ms, copying on two streams 160 or 320 ms: far less than one behind the other.
 * Both sleep, so a busy machine can only make it longer, and may try again. */
static void test_filling_and_copying_overlap(void **state)
{
    (void)state;
    bool overlap = false;
    for (int attempt = 0; attempt < 3 && !overlap; attempt++) {
        struct sent fast = send("1G"), even = send("3200k"), slow = send("1600k");
        print_message("fill 160 ms; copy 1 ms: %.0f ms; copy 160 ms: %.0f ms; copy 320 ms: "
                      "%.0f ms, %.0f of them waiting\n",
                      1e3 * fast.seconds, 1e3 * even.seconds, 1e3 * slow.seconds,
                      1e3 * slow.wait_seconds);
        overlap = even.seconds < fast.seconds + .7 * .16 && slow.seconds < fast.seconds + .7 * .32;
        assert_true(slow.wait_seconds > fast.wait_seconds);
    }
    assert_true(overlap);
}

static bool stop_halfway(void *user, uint64_t done, uint64_t total)
{
    unsigned *calls = user;
    ++*calls;
    return done < total / 2;
}

/* A progress function that says so ends the opening of an engine. */
static void test_stopped(void **state)
{
    (void)state;
    struct vinci_engine_options options;
    struct vinci_engine *engine = NULL;
    struct vinci_error err;
    char model[1024];
    unsigned calls = 0;
    snprintf(model, sizeof model, "%s/golden/tiny", TEST_VECTORS);
    vinci_engine_options_init(&options);
    options.model = model;
    options.device = "npu:0";
    options.cann = npu_places();
    options.progress = stop_halfway;
    options.progress_user = &calls;
    assert_int_equal(vinci_engine_open(&engine, &options, &err), VINCI_CANCELLED);
    assert_null(engine);
    assert_true(calls > 2);
    assert_int_equal(npu_violations(), 0);
}

/* What is measured is told, and is all of it. */
static void test_info(void **state)
{
    (void)state;
    struct vinci_engine *engine = NULL;
    struct vinci_engine_info info;
    struct npu_sim_counters counters;
    struct vinci_error err;
    char model[1024];
    snprintf(model, sizeof model, "%s/golden/tiny", TEST_VECTORS);
    npu_reset_counters();
    if (npu_engine(&engine, model, "8.5", VINCI_NPU_BF16, 2, 32, &err) != VINCI_OK)
        fail_msg("%s", err.text);
    vinci_engine_info(engine, &info);
    npu_counters(&counters);
    assert_true(info.upload_bytes > 0 && info.upload_bytes <= counters.host_to_device);
    assert_true(info.upload_bytes > vinci_engine_model(engine)->weight_bytes);
    assert_true(info.upload_seconds > 0 && info.upload_seconds <= info.load_seconds);
    vinci_engine_close(engine);
    assert_int_equal(npu_violations(), 0);
}

int main(void)
{
    static enum dtype layouts[] = {DTYPE_MXFP4, DTYPE_MXFP4_GGUF};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_rows, &layouts[0]),
        cmocka_unit_test_prestate(test_rows, &layouts[1]),
        cmocka_unit_test_prestate(test_planes, &layouts[0]),
        cmocka_unit_test_prestate(test_planes, &layouts[1]),
        cmocka_unit_test(test_all_slots_are_used),
        cmocka_unit_test(test_filling_and_copying_overlap),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
