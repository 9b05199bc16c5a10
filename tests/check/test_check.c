/* test_check.c - the checks of `vinci check`: right on a right device, and each of a dozen devices
 * with one operation wrong is found out; failing allocations; bad arguments. */
#include "alloc_fail.h"
#include "check/check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_network(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct vinci_check *check = NULL;
        struct vinci_check_network n;
        assert_int_equal(vinci_check_open(&check, "cpu", NULL, 1 + (uint32_t)seed, NULL), VINCI_OK);
        assert_int_equal(vinci_check_network(check, seed, &n, NULL), VINCI_OK);
        assert_int_equal(n.n_params, 101386);
        assert_true(n.gradients_agree);
        assert_true(fabs(n.loss - 2.3026) < .1);
        assert_true(n.output_min < 0 && n.output_max > 0 && n.output_max < 2);
        assert_true(n.mean_abs_gradient > 1e-4 && n.mean_abs_gradient < 1e-2);
        assert_int_equal(n.n_compared, 6 * 10);
        assert_true(n.gradient_error < 1e-5);
        vinci_check_close(check);
    }
}

static void test_products(void **state)
{
    (void)state;
    struct vinci_check *check = NULL;
    assert_int_equal(vinci_check_open(&check, NULL, NULL, 2, NULL), VINCI_OK);
    static const uint32_t sizes[] = {32, 96, 256};
    for (int type = 0; type < VINCI_CHECK_TYPES; type++) {
        for (size_t i = 0; i < 3; i++) {
            struct vinci_check_product p;
            assert_int_equal(
                vinci_check_product(check, (enum vinci_check_type)type, sizes[i], 2, &p, NULL),
                VINCI_OK);
            if (!p.agrees) fail_msg("type %d, n %u: error %g", type, sizes[i], p.error);
            assert_true(p.operations_per_second > 1e6 && p.min_seconds > 0);
            assert_true(p.seconds >= 2 * p.min_seconds);
        }
    }
    struct vinci_check_bandwidth b;
    assert_int_equal(vinci_check_bandwidth(check, 1 << 20, 3, &b, NULL), VINCI_OK);
    assert_int_equal(b.n_bytes, 1 << 20);
    assert_true(b.copy > 1e6 && b.to_device > 1e6 && b.from_device > 1e6);
    vinci_check_close(check);
}

/* ---- devices with a mistake ---------------------------------------------------------------- */

static const struct dense_ops *right_ops;

static float *copy_of(struct dense_device *device, const struct dense *x)
{
    float *values = calloc(256 * 256, sizeof *values);
    right_ops->read(device, x, values);
    return values;
}

static void add_row_nothing(struct dense_device *device, struct dense *x, const struct dense *row)
{
    (void)device, (void)x, (void)row;
}

static void relu_nothing(struct dense_device *device, const struct dense *x, struct dense *out)
{
    right_ops->copy(device, x, out);
}

static void relu_backward_nothing(struct dense_device *device, const struct dense *x,
                                  const struct dense *gradient, struct dense *out)
{
    (void)x;
    right_ops->copy(device, gradient, out);
}

static void multiply_nothing(struct dense_device *device, struct dense *x, const struct dense *y)
{
    (void)device, (void)x, (void)y;
}

static void scale_more(struct dense_device *device, struct dense *x, float factor)
{
    right_ops->scale(device, x, factor * 1.01f);
}

static void softmax_nothing(struct dense_device *device, const struct dense *x, struct dense *out)
{
    right_ops->copy(device, x, out);
}

static void sum_rows_last(struct dense_device *device, const struct dense *x, struct dense *row)
{
    float *values = copy_of(device, x);
    right_ops->write(device, row, values);
    free(values);
}

static void matmul_not_transposed(struct dense_device *device, const struct dense *a,
                                  bool transpose_a, const struct dense *b, bool transpose_b,
                                  struct dense *c)
{
    right_ops->matmul(device, a, transpose_a, b, transpose_b, c);
    if (transpose_b) right_ops->scale(device, c, 1.02f);
}

static void matmul_nan(struct dense_device *device, const struct dense *a, bool transpose_a,
                       const struct dense *b, bool transpose_b, struct dense *c)
{
    right_ops->matmul(device, a, transpose_a, b, transpose_b, c);
    right_ops->scale(device, c, NAN);
}

static void test_mistakes(void **state)
{
    (void)state;
    struct vinci_check *check = NULL;
    assert_int_equal(vinci_check_open(&check, "cpu", NULL, 1, NULL), VINCI_OK);
    right_ops = check->device->ops;
    struct dense_ops wrong[9];
    for (size_t i = 0; i < 9; i++) wrong[i] = *right_ops;
    wrong[0].add_row = add_row_nothing;
    wrong[1].relu = relu_nothing;
    wrong[2].relu_backward = relu_backward_nothing;
    wrong[3].multiply = multiply_nothing;
    wrong[4].scale = scale_more;
    wrong[5].softmax = softmax_nothing;
    wrong[6].sum_rows = sum_rows_last;
    wrong[7].matmul = matmul_not_transposed;
    wrong[8].matmul = matmul_nan;
    for (size_t i = 0; i < 9; i++) {
        struct vinci_check_network n;
        check->device->ops = &wrong[i];
        assert_int_equal(vinci_check_network(check, 0, &n, NULL), VINCI_OK);
        if (n.gradients_agree) fail_msg("mistake %zu was not noticed: %g", i, n.gradient_error);
    }
    for (size_t i = 7; i < 9; i++) {
        struct vinci_check_product p;
        check->device->ops = &wrong[i];
        assert_int_equal(vinci_check_product(check, VINCI_CHECK_F32, 64, 1, &p, NULL), VINCI_OK);
        if (p.agrees) fail_msg("mistake %zu in a product was not noticed: %g", i, p.error);
    }
    check->device->ops = right_ops;
    vinci_check_close(check);
}

/* ---- what can go wrong --------------------------------------------------------------------- */

static void test_arguments(void **state)
{
    (void)state;
    struct vinci_check *check = NULL;
    struct vinci_check_product p;
    struct vinci_check_bandwidth b;
    struct vinci_error err;
    assert_int_equal(vinci_check_open(&check, "gpu", NULL, 1, &err), VINCI_NO_DEVICE);
    assert_null(check);
    assert_int_equal(vinci_check_open(&check, "cpu", NULL, 1, &err), VINCI_OK);
    static const uint32_t wrong[][2] = {{0, 1}, {33, 1}, {1 << 16, 1}, {64, 0}, {64, 1 << 20}};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(
            vinci_check_product(check, VINCI_CHECK_F32, wrong[i][0], wrong[i][1], &p, &err),
            VINCI_USAGE);
    assert_int_equal(vinci_check_product(check, VINCI_CHECK_TYPES, 64, 1, &p, &err),
                     VINCI_UNSUPPORTED);
    assert_int_equal(vinci_check_bandwidth(check, 1, 1, &b, &err), VINCI_USAGE);
    assert_int_equal(vinci_check_bandwidth(check, 1 << 20, 0, &b, &err), VINCI_USAGE);
    vinci_check_close(check);
    vinci_check_close(NULL);
}

static enum vinci_status whole(struct vinci_error *err)
{
    struct vinci_check *check = NULL;
    struct vinci_check_network n;
    struct vinci_check_product p;
    struct vinci_check_bandwidth b;
    struct vinci_device_info *devices = NULL;
    size_t n_devices = 0;
    enum vinci_status status = vinci_devices(&devices, &n_devices, NULL, NULL, NULL, err);
    vinci_free(devices);
    if (status == VINCI_OK) status = vinci_check_open(&check, "cpu", NULL, 2, err);
    if (status == VINCI_OK) status = vinci_check_product(check, VINCI_CHECK_INT8, 64, 1, &p, err);
    if (status == VINCI_OK) status = vinci_check_product(check, VINCI_CHECK_BF16, 96, 1, &p, err);
    if (status == VINCI_OK) status = vinci_check_bandwidth(check, 1 << 16, 1, &b, err);
    /* The longest, so it comes last: it is reached once. */
    if (status == VINCI_OK) status = vinci_check_network(check, 0, &n, err);
    vinci_check_close(check);
    return status;
}

static void test_failing_allocations(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(whole) >= 40);
}

static void test_devices(void **state)
{
    (void)state;
    struct vinci_device_info *devices = NULL;
    size_t n = 0;
    assert_int_equal(vinci_devices(&devices, &n, NULL, NULL, NULL, NULL), VINCI_OK);
    assert_true(n >= 1);
    assert_string_equal(devices[0].id, "cpu");
    assert_true(devices[0].n_cores >= 1 && devices[0].n_hardware_threads >= devices[0].n_cores);
    assert_true(devices[0].memory_bytes > devices[0].memory_free_bytes);
    assert_true(devices[0].memory_free_bytes > 0);
    assert_non_null(strstr(devices[0].isa, "scalar"));
    vinci_free(devices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network),  cmocka_unit_test(test_products),
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_devices),  cmocka_unit_test(test_failing_allocations),
    };
    alloc_fail_json();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
