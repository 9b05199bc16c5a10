/* test_check.c - `vinci check` on the simulated NPU, in every version of CANN: right on a right
 * device; a call that fails, a lost device and failed allocations, of the host and of the device,
 * each end in a status with a sentence; a wrong operator is noticed. */
#include "alloc_fail.h"
#include "check/check.h"
#include "npu_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const versions[] = {"8.0", "8.1", "8.3", "8.5", "9.0"};

static struct vinci_check *open_check(void)
{
    struct vinci_check *check = NULL;
    struct vinci_error err;
    struct vinci_cann_places places = npu_places();
    if (vinci_check_open(&check, "npu:0", &places, 1, &err) != VINCI_OK) fail_msg("%s", err.text);
    return check;
}

static void test_versions(void **state)
{
    (void)state;
    for (size_t v = 0; v < sizeof versions / sizeof *versions; v++) {
        setenv("NPU_SIM_CANN", versions[v], 1);
        struct vinci_check *check = open_check();
        struct vinci_check_network n;
        assert_int_equal(vinci_check_network(check, v, &n, NULL), VINCI_OK);
        assert_true(n.gradients_agree);
        assert_true(n.gradient_error < 1e-5 && n.cpu_error < 1e-5 && n.cpu_error > 0);
        assert_true(n.loss > 2.2 && n.loss < 2.4);
        for (int type = 0; type < VINCI_CHECK_TYPES; type++) {
            struct vinci_check_product p;
            assert_int_equal(
                vinci_check_product(check, (enum vinci_check_type)type, 96, 2, &p, NULL), VINCI_OK);
            if (!p.agrees) fail_msg("type %d: error %g", type, p.error);
            assert_true(p.seconds > 0 && p.operations_per_second > 0);
            bool half = type == VINCI_CHECK_F16 || type == VINCI_CHECK_BF16;
            assert_true((p.published_peak > 0) == half);
        }
        struct vinci_check_bandwidth b;
        assert_int_equal(vinci_check_bandwidth(check, 1 << 20, 2, &b, NULL), VINCI_OK);
        assert_true(b.copy > 0 && b.to_device > 0 && b.from_device > 0 && b.published_copy > 0);
        vinci_check_close(check);
        assert_int_equal(npu_violations(), 0);
    }
}

static void (*right_best)(struct dense_device *, const struct dense *, int64_t *);

/* The last of the equal ones in rows 0 and 1, none of the largest in row 2. */
static void best_otherwise(struct dense_device *device, const struct dense *x, int64_t *out)
{
    right_best(device, x, out);
    out[0] += 1;
    out[1] += 1;
    out[2] -= 1;
}

static void test_ties(void **state)
{
    (void)state;
    struct vinci_check *check = open_check();
    struct vinci_check_ties ties;
    struct vinci_error err;
    assert_int_equal(vinci_check_ties(check, &ties, &err), VINCI_OK);
    assert_int_equal(ties.n_first, ties.n_rows);
    struct dense_ops other = *check->device->ops;
    const struct dense_ops *right = check->device->ops;
    right_best = other.best;
    other.best = best_otherwise;
    check->device->ops = &other;
    assert_int_equal(vinci_check_ties(check, &ties, &err), VINCI_OK);
    check->device->ops = right;
    assert_int_equal(ties.n_first, ties.n_rows - 3);
    assert_int_equal(ties.n_last, 1);    /* row 0: two, one apart */
    assert_int_equal(ties.n_between, 1); /* row 1: three, one apart */
    assert_int_equal(ties.n_wrong, 1);
    vinci_check_close(check);
    assert_int_equal(vinci_check_open(&check, "cpu", NULL, 1, &err), VINCI_OK);
    assert_int_equal(vinci_check_ties(check, &ties, &err), VINCI_UNSUPPORTED);
    vinci_check_close(check);
    assert_int_equal(npu_violations(), 0);
}

static void (*right_relu)(struct dense_device *, const struct dense *, struct dense *);

/* Wrong in one element of the first row only. */
static void relu_wrong(struct dense_device *device, const struct dense *x, struct dense *out)
{
    enum { N = 32 * 256 };
    static float values[N];
    right_relu(device, x, out);
    device->ops->read(device, out, values);
    values[7] += .5f;
    device->ops->write(device, out, values);
}

static void test_a_wrong_operator_is_noticed(void **state)
{
    (void)state;
    struct vinci_check *check = open_check();
    struct vinci_check_network n;
    struct dense_ops wrong = *check->device->ops;
    right_relu = wrong.relu;
    wrong.relu = relu_wrong;
    const struct dense_ops *right = check->device->ops;
    check->device->ops = &wrong;
    assert_int_equal(vinci_check_network(check, 0, &n, NULL), VINCI_OK);
    check->device->ops = right;
    assert_false(n.gradients_agree);
    assert_true(n.cpu_error > n.gradient_tolerance);
    vinci_check_close(check);
}

/* Everything once. */
static enum vinci_status whole(struct vinci_error *err)
{
    struct vinci_check *check = NULL;
    struct vinci_check_network n;
    struct vinci_check_product p;
    struct vinci_check_bandwidth b;
    struct vinci_cann_places places = npu_places();
    enum vinci_status status = vinci_check_open(&check, "npu:0", &places, 1, err);
    if (status == VINCI_OK) status = vinci_check_product(check, VINCI_CHECK_INT8, 32, 1, &p, err);
    if (status == VINCI_OK) status = vinci_check_product(check, VINCI_CHECK_BF16, 32, 1, &p, err);
    if (status == VINCI_OK) status = vinci_check_bandwidth(check, 1 << 16, 1, &b, err);
    if (status == VINCI_OK) status = vinci_check_network(check, 0, &n, err);
    vinci_check_close(check);
    return status;
}

static void test_failing_calls(void **state)
{
    (void)state;
    static const struct {
        const char *calls, *says;
        enum vinci_status status;
    } faults[] = {
        {"aclnnMmGetWorkspaceSize@1=161002", "aclnnMm (bf16[32,32] bf16[32,32] bf16[32,32])",
         VINCI_DEVICE},
        {"aclnnQuantMatmulV3@1=561002", "no kernel for these shapes", VINCI_DEVICE},
        {"aclrtMalloc@2=207001", "out of memory", VINCI_NO_MEMORY},
        {"aclrtMallocHost@1=207001", "aclrtMallocHost", VINCI_NO_MEMORY},
        {"aclrtEventElapsedTime@1=107006", "aclrtEventElapsedTime", VINCI_DEVICE},
        {"aclrtCreateEventWithFlag@2=207000", "aclrtCreateEventWithFlag", VINCI_DEVICE},
        {"aclrtMemcpyAsync@3=507899", "lost", VINCI_DEVICE},
        {"aclrtSynchronizeStream@2=507015", "lost", VINCI_DEVICE},
        {"aclnnReduceSum@1=361001", "aclnnReduceSum", VINCI_DEVICE},
        {"aclrtSetDevice@1=507899", "npu:0", VINCI_NO_DEVICE},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct vinci_error err = {0};
        setenv("NPU_SIM_FAIL", faults[i].calls, 1); /* read by aclInit */
        enum vinci_status status = whole(&err);
        if (status != faults[i].status || !strstr(err.text, faults[i].says))
            fail_msg("%s: %s: %s", faults[i].calls, vinci_status_name(status), err.text);
    }
    unsetenv("NPU_SIM_FAIL");
    struct vinci_error err = {0};
    if (whole(&err) != VINCI_OK) fail_msg("%s", err.text);
    assert_int_equal(npu_violations(), 0);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(whole) >= 40);
    assert_int_equal(npu_violations(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_a_wrong_operator_is_noticed),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
