/* The simulator's operators, each against a plain computation in double written for this file
 * alone: the inputs as they are stored, one rounding of the result. What Atlas A2 refuses is tried,
 * too. */
#include "npu_sim/calls.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int begin(void **state)
{
    return sim_begin(*state ? *state : "8.5");
}

static int end(void **state)
{
    (void)state;
    return sim_end();
}

static double epsilon(aclDataType type)
{
    return type == ACL_BF16      ? 1.0 / 256
           : type == ACL_FLOAT16 ? 1.0 / 2048
           : type == ACL_FLOAT   ? 2e-6
                                 : 0;
}

/* |got - want| <= eps (|want| + scale): the first that is not is shown. */
static void check_near(const aclTensor *t, aclDataType type, const double *want, int64_t n,
                       double scale)
{
    double *got = malloc((size_t)n * sizeof *got);
    fetch(t, type, got, n);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= epsilon(type) * (fabs(want[i]) + scale)))
            fail_msg("element %lld: got %.9g, expected %.9g", (long long)i, got[i], want[i]);
    free(got);
    assert_string_equal(cann.npu_sim_violation(), "");
}

static double *alloc(int64_t n)
{
    return calloc((size_t)n, sizeof(double));
}

static aclScalar *scalar(double value)
{
    float f = (float)value;
    return cann.aclCreateScalar(&f, ACL_FLOAT);
}

static aclTensorList *list(aclTensor *t)
{
    /* The list owns its tensor from now on. */
    for (size_t i = 0; i < n_made_tensors; i++)
        if (made_tensors[i] == t) made_tensors[i] = made_tensors[--n_made_tensors];
    return cann.aclCreateTensorList((const aclTensor *const *)&t, 1);
}

static const aclDataType floats[] = {ACL_FLOAT, ACL_BF16, ACL_FLOAT16};

/* ---- one by one ---- */

static void test_elementwise(void **state)
{
    (void)state;
    enum { N = 40 };
    for (int f = 0; f < 3; f++) {
        aclDataType type = floats[f];
        double *x = random_values(N, 1, 4, type), *y = random_values(N, 2, 4, type), *w = alloc(N);
        aclTensor *a = tensor(type, x, DIMS(N)), *b = tensor(type, y, DIMS(N)),
                  *c = tensor(type, NULL, DIMS(N));
        aclScalar *two = scalar(2), *low = scalar(-1), *high = scalar(1.5), *alpha = scalar(1.75);
#define ELEMENTS(expression) \
    for (int i = 0; i < N; i++) w[i] = expression; \
    check_near(c, type, w, N, 0)
        assert_int_equal(RUN(aclnnAdd, a, b, two, c), 0);
        ELEMENTS(x[i] + 2 * y[i]);
        assert_int_equal(RUN(aclnnSub, a, b, two, c), 0);
        ELEMENTS(x[i] - 2 * y[i]);
        assert_int_equal(RUN(aclnnMul, a, b, c), 0);
        ELEMENTS(x[i] * y[i]);
        assert_int_equal(RUN(aclnnDiv, a, b, c), 0);
        ELEMENTS(x[i] / y[i]);
        assert_int_equal(RUN(aclnnAdds, a, alpha, two, c), 0);
        ELEMENTS(x[i] + 3.5);
        assert_int_equal(RUN(aclnnMuls, a, alpha, c), 0);
        ELEMENTS(x[i] * 1.75);
        assert_int_equal(RUN(aclnnClamp, a, low, high, c), 0);
        ELEMENTS(x[i] < -1 ? -1 : x[i] > 1.5 ? 1.5 : x[i]);
        assert_int_equal(RUN(aclnnClampMax, a, high, c), 0);
        ELEMENTS(x[i] > 1.5 ? 1.5 : x[i]);
        assert_int_equal(RUN(aclnnClampMin, a, low, c), 0);
        ELEMENTS(x[i] < -1 ? -1 : x[i]);
        assert_int_equal(RUN(aclnnSwish, a, alpha, c), 0);
        ELEMENTS(x[i] / (1 + exp(-1.75 * x[i])));
        assert_int_equal(RUN(aclnnSigmoid, a, c), 0);
        ELEMENTS(1 / (1 + exp(-x[i])));
        assert_int_equal(RUN(aclnnSilu, a, c), 0);
        ELEMENTS(x[i] / (1 + exp(-x[i])));
        assert_int_equal(RUN(aclnnExp, a, c), 0);
        ELEMENTS(exp(x[i]));
        assert_int_equal(RUN(aclnnNeg, a, c), 0);
        ELEMENTS(-x[i]);
        assert_int_equal(RUN(aclnnReciprocal, a, c), 0);
        ELEMENTS(1 / x[i]);
        assert_int_equal(RUN(aclnnRelu, a, c), 0);
        ELEMENTS(x[i] > 0 ? x[i] : 0);
        assert_int_equal(RUN(aclnnThresholdBackward, a, b, low, c), 0);
        ELEMENTS(y[i] > -1 ? x[i] : 0);
        assert_int_equal(RUN(aclnnInplaceFillScalar, c, alpha), 0);
        ELEMENTS(1.75);
        assert_int_equal(RUN(aclnnInplaceAdd, c, a, two), 0);
        ELEMENTS(1.75 + 2 * x[i]);
        assert_int_equal(RUN(aclnnInplaceZero, c), 0);
        ELEMENTS(0);
        aclScalar *all[] = {two, low, high, alpha};
        for (int i = 0; i < 4; i++) cann.aclDestroyScalar(all[i]);
        free(x), free(y), free(w);
        sim_clear();
    }
}

static void test_rounding(void **state)
{
    (void)state;
    /* Ties, the ends of the range, numbers below the normal ones, zero of both signs. */
    static const double values[] = {
        0,         -0.0,      1 + 1.0 / 256, 1 + 3.0 / 256, 1 + 1.0 / 2048, 1 + 3.0 / 2048,
        65519,     65520,     -70000,        1e-7,          5.9e-8,         2.9e-8,
        6.097e-05, 6.104e-05, 3e38,          -1.0 / 3,      2047.5,         0.1};
    enum { N = sizeof values / sizeof *values };
    double want[N];
    uint8_t one[2];
    for (int f = 1; f < 3; f++) {
        aclTensor *a = tensor(ACL_FLOAT, values, DIMS(N)), *b = tensor(floats[f], NULL, DIMS(N));
        assert_int_equal(RUN(aclnnCast, a, floats[f], b), 0);
        for (int i = 0; i < N; i++)
            put(one, floats[f], 0, (float)values[i]), want[i] = get(one, floats[f], 0);
        double got[N];
        fetch(b, floats[f], got, N);
        for (int i = 0; i < N; i++)
            if (got[i] != want[i])
                fail_msg("%.9g: got %.9g, expected %.9g", values[i], got[i], want[i]);
    }
}

static void test_broadcast_and_strides(void **state)
{
    (void)state;
    double *x = random_values(12, 3, 1, ACL_FLOAT), row[4] = {1, 2, 3, 4}, w[12];
    /* (3, 4) stored transposed; a row; the result into every second column of (3, 8). */
    void *data = upload(ACL_FLOAT, x, 12);
    aclTensor *a = view(data, ACL_FLOAT, DIMS(3, 4), (int64_t[]){1, 3}, 0, 12);
    aclTensor *b = tensor(ACL_BF16, row, DIMS(4)), *wide = tensor(ACL_FLOAT, NULL, DIMS(3, 8));
    void *out = NULL;
    cann.aclGetRawTensorAddr(wide, &out);
    aclTensor *c = view(out, ACL_FLOAT, DIMS(3, 4), (int64_t[]){8, 2}, 1, 24);
    assert_int_equal(RUN(aclnnMul, a, b, c), 0);
    double got[24];
    fetch(wide, ACL_FLOAT, got, 24);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            w[0] = x[j * 3 + i] * row[j];
            assert_float_equal(got[i * 8 + 2 * j + 1], w[0], 1e-6);
            assert_float_equal(got[i * 8 + 2 * j], 0, 0);
        }
    assert_int_equal(RUN(aclnnInplaceCopy, c, b), 0); /* a row into all rows, another type */
    fetch(wide, ACL_FLOAT, got, 24);
    assert_float_equal(got[2 * 8 + 7], 4, 0);
    aclIntArray *order = cann.aclCreateIntArray((int64_t[]){1, 0}, 2);
    aclTensor *p = tensor(ACL_FLOAT, NULL, DIMS(4, 3));
    assert_int_equal(RUN(aclnnPermute, a, order, p), 0);
    check_near(p, ACL_FLOAT, x, 12, 0);
    cann.aclDestroyIntArray(order);
    free(x);
}

/* ---- matrix products ---- */

static void naive_matmul(const double *a, const double *b, double *c, int m, int k, int n)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            c[i * n + j] = 0;
            for (int l = 0; l < k; l++) c[i * n + j] += a[i * k + l] * b[l * n + j];
        }
}

static void transpose(const double *from, double *to, int rows, int columns)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) to[j * rows + i] = from[i * columns + j];
}

static void test_dense_products(void **state)
{
    (void)state;
    enum { M = 5, K = 200, N = 7 };
    for (int f = 0; f < 3; f++) {
        aclDataType type = floats[f];
        double *x = random_values(M * K, 4, 1, type), *w = random_values(K * N, 5, 1, type),
               *want = alloc(M * N);
        double *wt = alloc(K * N), *bias = random_values(N, 6, 1, type);
        transpose(w, wt, K, N);
        naive_matmul(x, w, want, M, K, N);
        aclTensor *a = tensor(type, x, DIMS(M, K)), *c = tensor(type, NULL, DIMS(M, N));
        aclTensor *b = view(upload(type, wt, K * N), type, DIMS(K, N), (int64_t[]){1, K}, 0, K * N);
        assert_int_equal(RUN(aclnnMm, a, b, c, 0), 0);
        check_near(c, type, want, M * N, 10);
        aclScalar *one = scalar(1);
        assert_int_equal(RUN(aclnnAddmm, tensor(type, bias, DIMS(N)), a, b, one, one, c, 0), 0);
        for (int i = 0; i < M * N; i++) want[i] += bias[i % N];
        check_near(c, type, want, M * N, 10);
        uint64_t ws = 0;
        aclOpExecutor *ex = NULL;
        assert_int_equal(cann.aclnnMmGetWorkspaceSize(a, a, c, 0, &ws, &ex), 161002);
        assert_int_equal(cann.aclnnMmGetWorkspaceSize(a, b, c, 7, &ws, &ex), 161002);
        cann.aclDestroyScalar(one);
        free(x), free(w), free(want), free(wt), free(bias);
        sim_clear();
    }
    double *x = random_values(2 * 3 * 4, 7, 1, ACL_FLOAT),
           *y = random_values(2 * 4 * 5, 8, 1, ACL_FLOAT), want[30];
    for (int i = 0; i < 2; i++) naive_matmul(x + i * 12, y + i * 20, want + i * 15, 3, 4, 5);
    aclTensor *c = tensor(ACL_FLOAT, NULL, DIMS(2, 3, 5));
    assert_int_equal(RUN(aclnnBatchMatMul, tensor(ACL_FLOAT, x, DIMS(2, 3, 4)),
                         tensor(ACL_FLOAT, y, DIMS(2, 4, 5)), c, 0),
                     0);
    check_near(c, ACL_FLOAT, want, 30, 1);
    free(x), free(y);
}

static void test_int8_products(void **state)
{
    (void)state;
    enum { M = 5, K = 32, N = 6 };
    const double scale = 1.0 / 1024;
    double *a = alloc(M * K), *b = alloc(K * N), *at = alloc(M * K), *bt = alloc(K * N);
    double *want = alloc(M * N);
    for (int i = 0; i < M * K; i++) a[i] = i * 37 % 255 - 127;
    for (int i = 0; i < K * N; i++) b[i] = i * 91 % 255 - 127;
    transpose(a, at, M, K);
    transpose(b, bt, K, N);
    naive_matmul(a, b, want, M, K, N);
    for (int i = 0; i < M * N; i++) want[i] *= scale;
    aclTensor *x[2] = {tensor(ACL_INT8, a, DIMS(M, K)), tensor(ACL_INT8, at, DIMS(K, M))};
    aclTensor *w[2] = {tensor(ACL_INT8, b, DIMS(K, N)), tensor(ACL_INT8, bt, DIMS(N, K))};
    aclTensor *s = tensor(ACL_FLOAT, &scale, DIMS(1)), *y = tensor(ACL_BF16, NULL, DIMS(M, N));
    for (int way = 0; way < 4; way++) {
        assert_int_equal(
            RUN(aclnnQuantMatmulV3, x[way & 1], w[way >> 1], s, NULL, NULL, way & 1, way >> 1, y),
            0);
        check_near(y, ACL_BF16, want, M * N, 0.3); /* 8 bits of some 60 */
    }
    uint64_t ws = 0;
    aclOpExecutor *ex = NULL;
#define REFUSED_INT8(...) \
    assert_int_equal(cann.aclnnQuantMatmulV3GetWorkspaceSize(__VA_ARGS__, &ws, &ex), 161002)
    REFUSED_INT8(x[0], w[1], s, NULL, NULL, false, false, y); /* k of one, n of the other */
    REFUSED_INT8(x[0], w[0], s, NULL, NULL, false, false, tensor(ACL_FLOAT, NULL, DIMS(M, N)));
    REFUSED_INT8(tensor(ACL_BF16, a, DIMS(M, K)), w[0], s, NULL, NULL, false, false, y);
    REFUSED_INT8(x[0], w[0], tensor(ACL_FLOAT, b, DIMS(N - 1)), NULL, NULL, false, false, y);
    free(a), free(b), free(at), free(bt), free(want);
}

static void test_weight_quantised(void **state)
{
    (void)state;
    enum { M = 3, K = 128, N = 64, G = 32 };
    double *x = random_values(M * K, 9, 1, ACL_BF16),
           *s = random_values(K / G * N, 10, 0.01, ACL_BF16);
    double *q = alloc(K * N), *w = alloc(K * N), *want = alloc(M * N),
           *bias = random_values(N, 11, 1, ACL_FLOAT);
    uint32_t seed = 12;
    uint8_t two[2];
    for (int i = 0; i < K * N; i++) {
        q[i] = floor(noise(&seed) * 12);
        put(two, ACL_BF16, 0, q[i] * s[i / N / G * N + i % N]);
        w[i] = get(two, ACL_BF16, 0);
    }
    naive_matmul(x, w, want, M, K, N);
    for (int i = 0; i < M * N; i++) want[i] += bias[i % N];
    aclTensor *a = tensor(ACL_BF16, x, DIMS(M, K)), *b = tensor(ACL_INT8, q, DIMS(K, N));
    aclTensor *scales = tensor(ACL_BF16, s, DIMS(K / G, N)),
              *c = tensor(ACL_BF16, NULL, DIMS(M, N));
    aclTensor *f32 = tensor(ACL_FLOAT, bias, DIMS(N)), *f16 = tensor(ACL_FLOAT16, bias, DIMS(N));
    assert_int_equal(RUN(aclnnWeightQuantBatchMatmulV2, a, b, scales, NULL, NULL, NULL, f32, G, c),
                     0);
    check_near(c, ACL_BF16, want, M * N, 0.1);
    uint64_t ws = 0;
    aclOpExecutor *ex = NULL;
#define REFUSED(...) \
    assert_int_equal(cann.aclnnWeightQuantBatchMatmulV2GetWorkspaceSize(__VA_ARGS__, &ws, &ex), \
                     161002)
    REFUSED(a, b, scales, NULL, NULL, NULL, f16, G, c);  /* bias must be FLOAT with bf16 */
    REFUSED(a, b, scales, NULL, NULL, NULL, f32, 16, c); /* groups are multiples of 32 */
    REFUSED(a, b, scales, NULL, NULL, NULL, f32, K, c);  /* and at most k - 1 */
    REFUSED(a, b, scales, NULL, NULL, NULL, f32, 0, c);  /* per channel wants other scales */
    aclTensor *wide =
        view(upload(ACL_INT8, NULL, K * N), ACL_INT8, DIMS(1, 65536), (int64_t[]){0, 0}, 0, K * N);
    aclTensor *y = view(upload(ACL_BF16, NULL, 65536), ACL_BF16, DIMS(1, 65536), NULL, 0, 65536);
    REFUSED(view(upload(ACL_BF16, x, 1), ACL_BF16, DIMS(1, 1), NULL, 0, 1), wide,
            tensor(ACL_BF16, s, DIMS(1)), NULL, NULL, NULL, NULL, 0, y); /* n within 65535 */
    free(x), free(s), free(q), free(w), free(want), free(bias);
}

static void test_grouped_products(void **state)
{
    (void)state;
    enum { M = 6, K = 64, N = 32, E = 4 };
    static const double ends[E] = {2, 2, 5, 6}, counts[E] = {2, 0, 3, 1};
    for (int f = 1; f < 3; f++) {
        aclDataType type = floats[f], bias_type = type == ACL_BF16 ? ACL_FLOAT : ACL_FLOAT16;
        double *x = random_values(M * K, 13, 1, type), *w = random_values(E * K * N, 14, 1, type);
        double *wt = alloc(E * K * N), *want = alloc(M * N),
               *bias = random_values(E * N, 15, 1, bias_type);
        for (int e = 0, begin = 0; e < E; begin = (int)ends[e++]) {
            transpose(w + e * K * N, wt + e * K * N, K, N);
            naive_matmul(x + begin * K, w + e * K * N, want + begin * N, (int)ends[e] - begin, K,
                         N);
            for (int i = begin * N; i < ends[e] * N; i++) want[i] += bias[e * N + i % N];
        }
        aclTensor *y = tensor(type, NULL, DIMS(M, N)), *g = tensor(ACL_INT64, ends, DIMS(E));
        aclTensor *n = tensor(ACL_INT64, counts, DIMS(E));
        aclTensorList *lx = list(tensor(type, x, DIMS(M, K))), *ly = list(y);
        aclTensorList *lw = list(view(upload(type, wt, E * K * N), type, DIMS(E, K, N),
                                      (int64_t[]){K * N, 1, K}, 0, E * K * N));
        aclTensorList *lb = list(tensor(bias_type, bias, DIMS(E, N)));
        assert_int_equal(RUN(aclnnGroupedMatmulV3, lx, lw, lb, NULL, NULL, NULL, NULL, g, 2, 0, ly),
                         0);
        check_near(y, type, want, M * N, 8);
        assert_int_equal(RUN(aclnnGroupedMatmulV4, lx, lw, lb, NULL, NULL, NULL, NULL, NULL, n,
                             NULL, NULL, NULL, 2, 0, 1, 0, ly, NULL, NULL),
                         0);
        check_near(y, type, want, M * N, 8);
        aclTensorList *wrong =
            list(tensor(type == ACL_BF16 ? ACL_BF16 : ACL_FLOAT, bias, DIMS(E, N)));
        assert_int_equal(
            RUN(aclnnGroupedMatmulV3, lx, lw, wrong, NULL, NULL, NULL, NULL, g, 2, 0, ly), 161002);
        cann.aclDestroyTensorList(lx), cann.aclDestroyTensorList(ly), cann.aclDestroyTensorList(lw);
        cann.aclDestroyTensorList(lb), cann.aclDestroyTensorList(wrong);
        free(x), free(w), free(wt), free(want), free(bias);
        sim_clear();
    }
}

/* INT4 weights with a scale per group of 32; INT8 only per channel. */
static void test_grouped_int4(void **state)
{
    (void)state;
    enum { M = 3, K = 64, N = 8, E = 2, G = 2 };
    static const double ends[E] = {1, 3};
    double *x = random_values(M * K, 16, 1, ACL_BF16),
           *s = random_values(E * G * N, 17, 0.25, ACL_BF16);
    double *w = alloc(E * K * N), *want = alloc(M * N);
    int8_t packed[E * K * N / 2] = {0};
    uint32_t seed = 18;
    uint8_t two[2];
    for (int i = 0; i < E * K * N; i++) {
        int q = (int)floor(noise(&seed) * 8); /* -8..7 */
        packed[i / 2] = (int8_t)(packed[i / 2] | (q & 15) << (i % 2 ? 4 : 0));
        int e = i / (K * N), k = i / N % K;
        put(two, ACL_BF16, 0, q * s[(e * G + k / (K / G)) * N + i % N]);
        w[i] = get(two, ACL_BF16, 0);
    }
    naive_matmul(x, w, want, 1, K, N);
    naive_matmul(x + K, w + K * N, want + N, 2, K, N);
    void *data = device_bytes(sizeof packed);
    cann.aclrtMemcpy(data, sizeof packed, packed, sizeof packed, ACL_MEMCPY_HOST_TO_DEVICE);
    aclTensor *y = tensor(ACL_BF16, NULL, DIMS(M, N)), *g = tensor(ACL_INT64, ends, DIMS(E));
    aclTensorList *lx = list(tensor(ACL_BF16, x, DIMS(M, K))), *ly = list(y);
    aclTensorList *lw = list(view(data, ACL_INT4, DIMS(E, K, N), NULL, 0, E * K * N));
    aclTensorList *ls = list(tensor(ACL_BF16, s, DIMS(E, G, N))),
                  *lo = list(tensor(ACL_BF16, NULL, DIMS(E, G, N)));
#define GMM(weights, scales, offsets) \
    RUN(aclnnGroupedMatmulV4, lx, weights, NULL, NULL, NULL, scales, offsets, NULL, g, NULL, NULL, \
        NULL, 2, 0, 0, 0, ly, NULL, NULL)
    assert_int_equal(GMM(lw, ls, lo), 0);
    check_near(y, ACL_BF16, want, M * N, 1);
    assert_int_equal(GMM(lw, ls, NULL), 161002);
    aclTensorList *l8 = list(tensor(ACL_INT8, NULL, DIMS(E, K, N)));
    assert_int_equal(GMM(l8, ls, lo), 161002);
    assert_non_null(strstr(cann.aclGetRecentErrMsg(), "per channel"));
    aclTensorList *all[] = {lx, ly, lw, ls, lo, l8};
    for (int i = 0; i < 6; i++) cann.aclDestroyTensorList(all[i]);
    free(x), free(s), free(w), free(want);
}

/* ---- norms, softmax, order ---- */

static void test_norms_and_softmax(void **state)
{
    (void)state;
    enum { R = 3, N = 33 };
    for (int f = 0; f < 3; f++) {
        aclDataType type = floats[f];
        double *x = random_values(R * N, 19, 3, type), *g = random_values(N, 20, 1, ACL_FLOAT),
               *w = alloc(R * N);
        aclTensor *a = tensor(type, x, DIMS(R, N)), *c = tensor(type, NULL, DIMS(R, N));
        aclTensor *rstd = tensor(ACL_FLOAT, NULL, DIMS(R, 1)),
                  *gamma = tensor(ACL_FLOAT, g, DIMS(N));
        for (int r = 0; r < R; r++) {
            double sum = 0;
            for (int i = 0; i < N; i++) sum += x[r * N + i] * x[r * N + i];
            for (int i = 0; i < N; i++) w[r * N + i] = x[r * N + i] / sqrt(sum / N + 1e-5) * g[i];
        }
        assert_int_equal(RUN(aclnnRmsNorm, a, gamma, 1e-5, c, rstd), 0);
        check_near(c, type, w, R * N, 0.1);
        for (int r = 0; r < R; r++) {
            double sum = 0, most = -1e9;
            for (int i = 0; i < N; i++) most = fmax(most, x[r * N + i]);
            for (int i = 0; i < N; i++) sum += exp(x[r * N + i] - most);
            for (int i = 0; i < N; i++) w[r * N + i] = exp(x[r * N + i] - most) / sum;
        }
        assert_int_equal(RUN(aclnnSoftmax, a, -1, c), 0);
        check_near(c, type, w, R * N, 0.01);
        free(x), free(g), free(w);
        sim_clear();
    }
}

static void test_order_and_sums(void **state)
{
    (void)state;
    static const double x[8] = {3, 1, 4, 1, 5, 9, 2, 6};
    aclTensor *a = tensor(ACL_FLOAT, x, DIMS(2, 4)), *v = tensor(ACL_FLOAT, NULL, DIMS(2, 2));
    aclTensor *i = tensor(ACL_INT64, NULL, DIMS(2, 2));
    assert_int_equal(RUN(aclnnTopk, a, 2, 1, true, true, v, i), 0);
    check_near(v, ACL_FLOAT, (double[]){4, 3, 9, 6}, 4, 0);
    check_near(i, ACL_INT64, (double[]){2, 0, 1, 3}, 4, 0);
    assert_int_equal(RUN(aclnnTopk, a, 2, 1, true, false, v, i), 161002);
    aclTensor *sv = tensor(ACL_FLOAT, NULL, DIMS(2, 4)), *si = tensor(ACL_INT64, NULL, DIMS(2, 4));
    assert_int_equal(RUN(aclnnSort, a, true, -1, false, sv, si), 0);
    check_near(sv, ACL_FLOAT, (double[]){1, 1, 3, 4, 2, 5, 6, 9}, 8, 0);
    check_near(si, ACL_INT64, (double[]){1, 3, 0, 2, 2, 0, 3, 1}, 8, 0);
    aclTensor *m = tensor(ACL_INT64, NULL, DIMS(2));
    assert_int_equal(RUN(aclnnArgMax, a, 1, false, m), 0);
    check_near(m, ACL_INT64, (double[]){2, 1}, 2, 0);
    aclIntArray *first = cann.aclCreateIntArray((int64_t[]){0}, 1);
    aclTensor *s = tensor(ACL_FLOAT, NULL, DIMS(4));
    assert_int_equal(RUN(aclnnReduceSum, a, first, false, ACL_FLOAT, s), 0);
    check_near(s, ACL_FLOAT, (double[]){8, 10, 6, 7}, 4, 0);
    assert_int_equal(RUN(aclnnReduceSum, a, first, true, ACL_FLOAT, s), 161002);
    cann.aclDestroyIntArray(first);
}

static void test_gather_and_scatter(void **state)
{
    (void)state;
    static const double x[6] = {1, 2, 3, 4, 5, 6};
    aclTensor *table = tensor(ACL_BF16, x, DIMS(3, 2)),
              *i = tensor(ACL_INT32, (double[]){2, 0}, DIMS(2));
    aclTensor *out = tensor(ACL_BF16, NULL, DIMS(2, 2));
    assert_int_equal(RUN(aclnnEmbedding, table, i, out), 0);
    check_near(out, ACL_BF16, (double[]){5, 6, 1, 2}, 4, 0);
    aclTensor *columns = tensor(ACL_BF16, NULL, DIMS(3, 2));
    assert_int_equal(
        RUN(aclnnIndexSelect, table, 1, tensor(ACL_INT64, (double[]){1, 0}, DIMS(2)), columns), 0);
    check_near(columns, ACL_BF16, (double[]){2, 1, 4, 3, 6, 5}, 6, 0);
    aclTensor *at = tensor(ACL_INT64, (double[]){1, 2}, DIMS(2, 1));
    assert_int_equal(RUN(aclnnScatterNdUpdate, table, at, out), 0);
    check_near(table, ACL_BF16, (double[]){1, 2, 5, 6, 1, 2}, 6, 0);
    assert_int_equal(RUN(aclnnEmbedding, table, tensor(ACL_INT32, (double[]){3, 0}, DIMS(2)), out),
                     0);
    cann.aclrtSynchronizeStream(stream);
    assert_non_null(strstr(cann.npu_sim_violation(), "index 3 of 3"));
    cann.npu_sim_reset();
    /* One place twice: with the same row or not. */
    aclTensor *same = tensor(ACL_INT64, (double[]){1, 1}, DIMS(2, 1));
    aclTensor *rows = tensor(ACL_BF16, (double[]){7, 8, 7, 8}, DIMS(2, 2));
    assert_int_equal(RUN(aclnnScatterNdUpdate, table, same, rows), 0);
    check_near(table, ACL_BF16, (double[]){1, 2, 7, 8, 1, 2}, 6, 0);
    rows = tensor(ACL_BF16, (double[]){7, 8, 7, 9}, DIMS(2, 2));
    assert_int_equal(RUN(aclnnScatterNdUpdate, table, same, rows), 0);
    cann.aclrtSynchronizeStream(stream);
    assert_non_null(strstr(cann.npu_sim_violation(), "index 1 twice"));
    cann.npu_sim_reset();
    /* A paged cache: two blocks of 16 slots, one head of 16. */
    double *k = random_values(2 * 16, 21, 1, ACL_BF16), *want = alloc(2 * 16 * 16);
    aclTensor *kc = tensor(ACL_BF16, NULL, DIMS(2, 16, 1, 16)),
              *vc = tensor(ACL_BF16, NULL, DIMS(2, 16, 1, 16));
    aclTensor *keys = tensor(ACL_BF16, k, DIMS(2, 1, 16)),
              *values = tensor(ACL_BF16, k, DIMS(2, 1, 16));
    aclTensor *slots = tensor(ACL_INT64, (double[]){17, 3}, DIMS(2));
    assert_int_equal(RUN(aclnnScatterPaKvCache, keys, kc, slots, values, vc, NULL, NULL, NULL,
                         "Norm", NULL, NULL, NULL),
                     0);
    for (int d = 0; d < 16; d++) want[17 * 16 + d] = k[d], want[3 * 16 + d] = k[16 + d];
    check_near(kc, ACL_BF16, want, 2 * 16 * 16, 0);
    check_near(vc, ACL_BF16, want, 2 * 16 * 16, 0);
    free(k), free(want);
}

/* ---- experts ---- */

static void test_gating_and_routing(void **state)
{
    (void)state;
    enum { R = 3, E = 5, K = 2, H = 8 };
    static const double logits[R * E] = {0, 3, 1, 2, -1, 5, 5, 5, 0, 0, -2, -1, -4, -8, -1.5};
    static const double chosen[R * K] = {1, 3, 0, 1, 1, 4}; /* of equal ones the lower */
    double weights[R * K], *x = random_values(R * H, 22, 1, ACL_BF16), *want = alloc(R * H);
    for (int i = 0; i < R * K; i++) {
        double a = logits[i / K * E + (int)chosen[i]], b = logits[i / K * E + (int)chosen[i ^ 1]];
        weights[i] = 1 / (1 + exp(b - a));
    }
    aclTensor *l = tensor(ACL_FLOAT, logits, DIMS(R, E)), *w = tensor(ACL_FLOAT, NULL, DIMS(R, K));
    aclTensor *e = tensor(ACL_INT32, NULL, DIMS(R, K)), *tokens = tensor(ACL_BF16, x, DIMS(R, H));
    assert_int_equal(RUN(aclnnMoeGatingTopKSoftmaxV2, l, NULL, K, 1, false, w, e, NULL), 0);
    check_near(w, ACL_FLOAT, weights, R * K, 0);
    check_near(e, ACL_INT32, chosen, R * K, 0);
    /* By expert: rows (token, choice) 1:0, 0:0, 1:1, 2:0, 0:1, 2:1. */
    static const double index[R * K] = {1, 4, 0, 2, 3, 5}, cumulative[E] = {1, 4, 4, 5, 6},
                                  counts[E] = {1, 3, 0, 1, 1};
    static const int from[R * K] = {1, 0, 1, 2, 0, 2};
    double sorted[R * K * H];
    for (int i = 0; i < R * K * H; i++) sorted[i] = x[from[i / H] * H + i % H];
    aclTensor *rows = tensor(ACL_BF16, NULL, DIMS(R * K, H)),
              *at = tensor(ACL_INT32, NULL, DIMS(R * K));
    aclTensor *n = tensor(ACL_INT32, NULL, DIMS(E)), *n64 = tensor(ACL_INT64, NULL, DIMS(E));
    assert_int_equal(RUN(aclnnMoeInitRoutingV2, tokens, e, 0, 0, E, 0, 1, false, rows, at, n, NULL),
                     0);
    check_near(rows, ACL_BF16, sorted, R * K * H, 0);
    check_near(at, ACL_INT32, index, R * K, 0);
    check_near(n, ACL_INT32, cumulative, E, 0);
    assert_int_equal(RUN(aclnnMoeInitRoutingV3, tokens, e, NULL, NULL, R * K, 0, E, 0, 1, true, -1,
                         NULL, 0, rows, at, n64, NULL),
                     0);
    check_near(at, ACL_INT32, index, R * K, 0);
    check_near(n64, ACL_INT64, counts, E, 0);
    /* Back, with the residual stream: x + sum of weight * row. */
    aclTensor *out = tensor(ACL_BF16, NULL, DIMS(R, H)),
              *residual = tensor(ACL_BF16, x, DIMS(R, H));
    assert_int_equal(RUN(aclnnMoeFinalizeRoutingV2, rows, at, residual, NULL, NULL, w, e, 2, out),
                     0);
    for (int i = 0; i < R * H; i++) want[i] = 2 * x[i]; /* the weights of a token sum to one */
    check_near(out, ACL_BF16, want, R * H, 0.01);
    free(x), free(want);
}

static void test_clipped_swiglu(void **state)
{
    (void)state;
    enum { R = 2, N = 6 };
    double *x = random_values(R * 2 * N, 23, 12, ACL_BF16), w[R * N];
    aclTensor *a = tensor(ACL_BF16, x, DIMS(R, 2 * N)), *c = tensor(ACL_BF16, NULL, DIMS(R, N));
    for (int interleaved = 0; interleaved < 2; interleaved++) {
        for (int i = 0; i < R * N; i++) {
            const double *row = x + i / N * 2 * N;
            double gate = interleaved ? row[i % N * 2] : row[i % N];
            double up = interleaved ? row[i % N * 2 + 1] : row[N + i % N];
            gate = gate > 7 ? 7 : gate;
            up = up > 7 ? 7 : up < -7 ? -7 : up;
            w[i] = gate / (1 + exp(-1.702 * gate)) * (up + 1);
        }
        assert_int_equal(RUN(aclnnClippedSwiglu, a, NULL, -1, 1.702, 7.0, 1.0, interleaved, c), 0);
        check_near(c, ACL_BF16, w, R * N, 0.001);
    }
    free(x);
}

static void test_rope(void **state)
{
    (void)state;
    enum { T = 2, HEADS = 3, D = 64, MOST = 10 };
    double *q = random_values(T * HEADS * D, 24, 1, ACL_FLOAT), *cache = alloc(MOST * D),
           *want = alloc(T * HEADS * D);
    static const double positions[T] = {7, 4};
    for (int p = 0; p < MOST; p++)
        for (int i = 0; i < D / 2; i++) {
            double angle = p * pow(1000, -2.0 * i / D);
            cache[p * D + i] = (float)cos(angle), cache[p * D + D / 2 + i] = (float)sin(angle);
        }
    for (int i = 0; i < T * HEADS * D; i++) {
        int d = i % D, pair = d < D / 2 ? i + D / 2 : i - D / 2;
        const double *row = cache + (int)positions[i / D / HEADS] * D;
        want[i] =
            q[i] * row[d % (D / 2)] + (d < D / 2 ? -1 : 1) * q[pair] * row[D / 2 + d % (D / 2)];
    }
    aclTensor *x = tensor(ACL_FLOAT, q, DIMS(T, HEADS * D)),
              *y = tensor(ACL_FLOAT, NULL, DIMS(T, HEADS * D));
    aclTensor *k = tensor(ACL_FLOAT, q, DIMS(T, D)), *ko = tensor(ACL_FLOAT, NULL, DIMS(T, D));
    aclTensor *p = tensor(ACL_INT64, positions, DIMS(T)),
              *c = tensor(ACL_FLOAT, cache, DIMS(MOST, D));
    assert_int_equal(RUN(aclnnRopeWithSinCosCache, p, x, k, c, NULL, D, true, y, ko), 0);
    check_near(y, ACL_FLOAT, want, T * HEADS * D, 1);
    assert_int_equal(RUN(aclnnRopeWithSinCosCache, p, x, k, c, NULL, 48, true, y, ko), 161002);
    free(q), free(cache), free(want);
}

/* ---- attention ---- */

enum { HEADS = 4, KV_HEADS = 2, D = 64, BLOCK = 128, PAGES = 4, SEQS = 2 };

/* Two sequences, 3 queries of 150 keys and 1 of 20, in pages; window 0: all. */
static void attention_reference(const double *q, const double *k, const double *v, const int *pages,
                                const double *sinks, int window, double *want)
{
    static const int n_q[SEQS] = {3, 1}, n_k[SEQS] = {150, 20};
    for (int s = 0, row = 0; s < SEQS; s++)
        for (int i = 0; i < n_q[s]; i++, row++)
            for (int h = 0; h < HEADS; h++) {
                double sum = sinks ? exp(sinks[h]) : 0, *out = want + (row * HEADS + h) * D;
                int last = n_k[s] - n_q[s] + i;
                for (int d = 0; d < D; d++) out[d] = 0;
                for (int j = window && last - window + 1 > 0 ? last - window + 1 : 0; j <= last;
                     j++) {
                    int at = (pages[s * 2 + j / BLOCK] * BLOCK + j % BLOCK) * KV_HEADS +
                             h / (HEADS / KV_HEADS);
                    double dot = 0;
                    for (int d = 0; d < D; d++) dot += q[(row * HEADS + h) * D + d] * k[at * D + d];
                    sum += exp(dot / 8);
                    for (int d = 0; d < D; d++) out[d] += exp(dot / 8) * v[at * D + d];
                }
                for (int d = 0; d < D; d++) out[d] /= sum;
            }
}

#define FIA4(q, k, v, mask, n_q, n_k, table, sink, pre, next, layout, sparse, inner, block, flag, \
             out, lse) \
    RUN(aclnnFusedInferAttentionScoreV4, q, k, v, NULL, mask, n_q, n_k, NULL, NULL, NULL, NULL, \
        NULL, NULL, NULL, table, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
        NULL, NULL, sink, HEADS, 0.125, pre, next, layout, KV_HEADS, sparse, inner, block, 0, \
        flag, 0, 0, 0, out, lse)

static void test_paged_attention(void **state)
{
    (void)state;
    int64_t n = (int64_t)PAGES * BLOCK * KV_HEADS * D;
    double *q = random_values(4 * HEADS * D, 25, 1, ACL_BF16),
           *k = random_values(n, 26, 1, ACL_BF16);
    double *v = random_values(n, 27, 1, ACL_BF16), *sinks = random_values(HEADS, 28, 2, ACL_BF16);
    double *want = alloc(4 * HEADS * D), *triangle = alloc(2048 * 2048);
    static const int pages[SEQS * 2] = {3, 1, 0, 0};
    double table[SEQS * 2];
    for (int i = 0; i < SEQS * 2; i++) table[i] = pages[i];
    for (int i = 0; i < 2048; i++)
        for (int j = i + 1; j < 2048; j++) triangle[i * 2048 + j] = 1;
    aclTensor *tq = tensor(ACL_BF16, q, DIMS(4, HEADS, D)),
              *out = tensor(ACL_BF16, NULL, DIMS(4, HEADS, D));
    aclTensorList *tk = list(tensor(ACL_BF16, k, DIMS(PAGES, BLOCK, KV_HEADS * D)));
    aclTensorList *tv = list(tensor(ACL_BF16, v, DIMS(PAGES, BLOCK, KV_HEADS * D)));
    aclTensor *tt = tensor(ACL_INT32, table, DIMS(SEQS, 2)),
              *sink = tensor(ACL_BF16, sinks, DIMS(HEADS));
    aclTensor *mask = tensor(ACL_BOOL, triangle, DIMS(2048, 2048)),
              *lse = tensor(ACL_FLOAT, NULL, DIMS(1));
    aclIntArray *n_q = cann.aclCreateIntArray((int64_t[]){3, 4}, 2),
                *n_k = cann.aclCreateIntArray((int64_t[]){150, 20}, 2);
    assert_int_equal(FIA4(tq, tk, tv, mask, n_q, n_k, tt, sink, 2147483647, 0, "TND", 3, 0, BLOCK,
                          false, out, lse),
                     0);
    attention_reference(q, k, v, pages, sinks, 0, want);
    check_near(out, ACL_BF16, want, 4 * HEADS * D, 0.05);
    assert_int_equal(
        FIA4(tq, tk, tv, mask, n_q, n_k, tt, sink, 127, 0, "TND", 4, 0, BLOCK, false, out, lse), 0);
    attention_reference(q, k, v, pages, sinks, 128, want);
    check_near(out, ACL_BF16, want, 4 * HEADS * D, 0.05);
    assert_int_equal(
        FIA4(tq, tk, tv, mask, n_q, n_k, tt, NULL, 9, 0, "TND", 4, 0, BLOCK, false, out, lse), 0);
    attention_reference(q, k, v, pages, NULL, 10, want);
    check_near(out, ACL_BF16, want, 4 * HEADS * D, 0.05);
    /* One key more is another result: the reference would notice. */
    double *other = alloc(4 * HEADS * D), most = 0;
    attention_reference(q, k, v, pages, NULL, 11, other);
    for (int i = 0; i < 4 * HEADS * D; i++) most = fmax(most, fabs(other[i] - want[i]));
    assert_true(most > 0.02);
    aclTensor *half = tensor(ACL_FLOAT16, sinks, DIMS(HEADS));
    assert_int_equal(
        FIA4(tq, tk, tv, mask, n_q, n_k, tt, half, 0, 0, "TND", 3, 0, BLOCK, false, out, lse),
        161002);
    assert_int_equal(
        FIA4(tq, tk, tv, NULL, n_q, n_k, tt, sink, 0, 0, "TND", 3, 0, BLOCK, false, out, lse),
        161002);
    assert_int_equal(
        FIA4(tq, tk, tv, mask, n_q, n_k, tt, sink, 0, 0, "TND", 3, 1, BLOCK, false, out, lse),
        161002);
    assert_int_equal(
        FIA4(tq, tk, tv, mask, n_q, n_k, tt, sink, 0, 0, "TND", 3, 0, 100, false, out, lse),
        161002);
    cann.aclDestroyIntArray(n_q), cann.aclDestroyIntArray(n_k);
    cann.aclDestroyTensorList(tk), cann.aclDestroyTensorList(tv);
    free(q), free(k), free(v), free(sinks), free(want), free(triangle), free(other);
}

/* BSND, contiguous, with lse: the sink applied afterwards is the sink inside. */
static void test_attention_with_lse(void **state)
{
    enum { S = 5, L = 40 };
    (void)state;
    double *q = random_values(HEADS * D, 29, 1, ACL_BF16),
           *k = random_values(L * KV_HEADS * D, 30, 1, ACL_BF16);
    double *v = random_values(L * KV_HEADS * D, 31, 1, ACL_BF16),
           *sinks = random_values(HEADS, 32, 2, ACL_BF16);
    double plain[HEADS * D], with[HEADS * D], lse[HEADS];
    aclTensor *tq = tensor(ACL_BF16, q, DIMS(1, 1, HEADS, D)),
              *out = tensor(ACL_BF16, NULL, DIMS(1, 1, HEADS, D));
    aclTensorList *tk = list(tensor(ACL_BF16, k, DIMS(1, L, KV_HEADS, D)));
    aclTensorList *tv = list(tensor(ACL_BF16, v, DIMS(1, L, KV_HEADS, D)));
    aclTensor *tl = tensor(ACL_FLOAT, NULL, DIMS(1, HEADS, 1, 1)),
              *sink = tensor(ACL_BF16, sinks, DIMS(HEADS));
    assert_int_equal(
        FIA4(tq, tk, tv, NULL, NULL, NULL, NULL, NULL, 0, 0, "BSND", 0, 0, 0, true, out, tl), 0);
    fetch(out, ACL_BF16, plain, HEADS * D);
    fetch(tl, ACL_FLOAT, lse, HEADS);
    assert_int_equal(
        FIA4(tq, tk, tv, NULL, NULL, NULL, NULL, sink, 0, 0, "BSND", 0, 0, 0, false, out, NULL), 0);
    for (int i = 0; i < HEADS * D; i++) with[i] = plain[i] / (1 + exp(sinks[i / D] - lse[i / D]));
    check_near(out, ACL_BF16, with, HEADS * D, 1);
    for (int h = 0; h < HEADS; h++) {
        double sum = 0;
        for (int j = 0; j < L; j++) {
            double dot = 0;
            for (int d = 0; d < D; d++) dot += q[h * D + d] * k[(j * KV_HEADS + h / 2) * D + d];
            sum += exp(dot / 8);
        }
        assert_float_equal(lse[h], log(sum), 1e-5);
    }
    cann.aclDestroyTensorList(tk), cann.aclDestroyTensorList(tv);
    free(q), free(k), free(v), free(sinks);
}

/* What 8.3 does not take yet. */
static void test_attention_of_8_3(void **state)
{
    (void)state;
    aclTensor *tq = tensor(ACL_BF16, NULL, DIMS(1, 1, HEADS, D)),
              *out = tensor(ACL_BF16, NULL, DIMS(1, 1, HEADS, D));
    aclTensorList *tk = list(tensor(ACL_BF16, NULL, DIMS(1, 16, KV_HEADS, D)));
    aclTensorList *tv = list(tensor(ACL_BF16, NULL, DIMS(1, 16, KV_HEADS, D)));
    aclTensor *sink = tensor(ACL_BF16, NULL, DIMS(HEADS));
    assert_int_equal(
        FIA4(tq, tk, tv, NULL, NULL, NULL, NULL, sink, 0, 0, "BSND", 0, 0, 0, false, out, NULL),
        161002);
    assert_non_null(strstr(cann.aclGetRecentErrMsg(), "TND"));
    assert_int_equal(
        FIA4(tq, tk, tv, NULL, NULL, NULL, NULL, NULL, 0, 0, "BSND", 0, 0, 0, false, out, NULL), 0);
    assert_null(cann.aclnnClippedSwigluGetWorkspaceSize);
    cann.aclDestroyTensorList(tk), cann.aclDestroyTensorList(tv);
}

/* ---- the loss of the small network ---- */

static double nll(const double *x, const double *target)
{
    double loss = 0;
    for (int r = 0; r < 4; r++) {
        double sum = 0;
        for (int i = 0; i < 3; i++) sum += exp(x[r * 3 + i]);
        loss += (log(sum) - x[r * 3 + (int)target[r]]) / 4;
    }
    return loss;
}

static void test_loss_and_its_gradient(void **state)
{
    (void)state;
    static const double target[4] = {2, 0, 1, 1}, ones[3] = {1, 1, 1};
    double *x = random_values(12, 33, 2, ACL_FLOAT), want[12], loss = nll(x, target);
    for (int i = 0; i < 12; i++) { /* finite differences */
        double h = 1e-4, kept = x[i];
        x[i] = kept + h;
        want[i] = nll(x, target);
        x[i] = kept - h;
        want[i] = (want[i] - nll(x, target)) / (2 * h);
        x[i] = kept;
    }
    aclTensor *a = tensor(ACL_FLOAT, x, DIMS(4, 3)), *p = tensor(ACL_FLOAT, NULL, DIMS(4, 3));
    aclTensor *t = tensor(ACL_INT64, target, DIMS(4)), *w = tensor(ACL_FLOAT, ones, DIMS(3));
    aclTensor *l = tensor(ACL_FLOAT, NULL, DIMS(1)), *total = tensor(ACL_FLOAT, NULL, DIMS(1));
    aclTensor *g = tensor(ACL_FLOAT, ones, DIMS(1)), *gp = tensor(ACL_FLOAT, NULL, DIMS(4, 3));
    aclTensor *gx = tensor(ACL_FLOAT, NULL, DIMS(4, 3));
    assert_int_equal(RUN(aclnnLogSoftmax, a, 1, p), 0);
    assert_int_equal(RUN(aclnnNLLLoss, p, t, w, 1, -100, l, total), 0);
    check_near(l, ACL_FLOAT, &loss, 1, 1);
    assert_int_equal(RUN(aclnnNLLLossBackward, g, p, t, w, 1, -100, total, gp), 0);
    assert_int_equal(RUN(aclnnLogSoftmaxBackward, gp, p, 1, gx), 0);
    check_near(gx, ACL_FLOAT, want, 12, 1);
    assert_int_equal(RUN(aclnnNLLLoss, p, t, NULL, 1, -100, l, total), 161001);
    free(x);
}

int main(void)
{
    static char v83[] = "8.3";
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(test_elementwise),
        T(test_rounding),
        T(test_broadcast_and_strides),
        T(test_dense_products),
        T(test_int8_products),
        T(test_weight_quantised),
        T(test_grouped_products),
        T(test_grouped_int4),
        T(test_norms_and_softmax),
        T(test_order_and_sums),
        T(test_gather_and_scatter),
        T(test_gating_and_routing),
        T(test_clipped_swiglu),
        T(test_rope),
        T(test_paged_attention),
        T(test_attention_with_lse),
        cmocka_unit_test_prestate_setup_teardown(test_attention_of_8_3, begin, end, v83),
        T(test_loss_and_its_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
