/* The simulator's rules: what is refused with which error, what is a violation, that work is really
 * asynchronous, that captured models use captured addresses. */
#include "npu_sim/calls.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int begin(void **state)
{
    (void)state;
    return sim_begin("8.5");
}

static int end(void **state)
{
    (void)state;
    unsetenv("NPU_SIM_FAIL");
    unsetenv("NPU_SIM_LOST");
    unsetenv("NPU_SIM_HANG");
    unsetenv("NPU_SIM_MEMORY");
    unsetenv("NPU_SIM_ORDER");
    return sim_end();
}

#define assert_violation(text) \
    do { \
        assert_non_null(strstr(cann.npu_sim_violation(), text)); \
        cann.npu_sim_reset(); \
    } while (0)
#define assert_no_violation() assert_string_equal(cann.npu_sim_violation(), "")

static aclTensor *ones(int64_t n)
{
    double *values = malloc((size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++) values[i] = 1;
    aclTensor *t = tensor(ACL_FLOAT, values, DIMS(n));
    free(values);
    return t;
}

static void *data_of(aclTensor *t)
{
    void *data = NULL;
    cann.aclGetRawTensorAddr(t, &data);
    return data;
}

/* ---- order ---- */

static void test_results_are_there_only_after_a_wait(void **state)
{
    (void)state;
    aclTensor *a = ones(8), *b = tensor(ACL_FLOAT, NULL, DIMS(8));
    float now[8], later[8];
    assert_int_equal(RUN(aclnnExp, a, b), 0);
    assert_int_equal(
        cann.aclrtMemcpy(now, sizeof now, data_of(b), sizeof now, ACL_MEMCPY_DEVICE_TO_HOST), 0);
    for (int i = 0; i < 8; i++) assert_true(isnan(now[i]));
    assert_violation("race");
    assert_int_equal(counters().kernels, 0);
    assert_int_equal(cann.aclrtSynchronizeStream(stream), 0);
    assert_int_equal(
        cann.aclrtMemcpy(later, sizeof later, data_of(b), sizeof later, ACL_MEMCPY_DEVICE_TO_HOST),
        0);
    for (int i = 0; i < 8; i++) assert_float_equal(later[i], expf(1), 1e-6);
    assert_no_violation();
    assert_int_equal(counters().kernels, 1);
}

static void test_copies_to_the_host_are_late(void **state)
{
    (void)state;
    aclTensor *a = ones(4);
    float *host = NULL;
    assert_int_equal(cann.aclrtMallocHost((void **)&host, 16), 0);
    host[0] = 5;
    assert_int_equal(
        cann.aclrtMemcpyAsync(host, 16, data_of(a), 16, ACL_MEMCPY_DEVICE_TO_HOST, stream), 0);
    assert_true(isnan(host[0]));
    assert_int_equal(cann.aclrtSynchronizeStream(stream), 0);
    assert_float_equal(host[0], 1, 0);
    assert_int_equal(counters().synchronisations, 1);
    /* From the host, the source is read when the copy runs. */
    host[0] = 2;
    assert_int_equal(
        cann.aclrtMemcpyAsync(data_of(a), 16, host, 16, ACL_MEMCPY_HOST_TO_DEVICE, stream), 0);
    host[0] = 3;
    assert_int_equal(
        cann.aclrtMemcpyAsync(host + 1, 4, data_of(a), 4, ACL_MEMCPY_DEVICE_TO_HOST, stream), 0);
    cann.aclrtSynchronizeStream(stream);
    assert_float_equal(host[1], 3, 0);
    /* Memory that is not pinned makes the host wait. */
    float pageable[4];
    uint64_t before = counters().synchronisations;
    assert_int_equal(
        cann.aclrtMemcpyAsync(pageable, 16, data_of(a), 16, ACL_MEMCPY_DEVICE_TO_HOST, stream), 0);
    assert_float_equal(pageable[0], 3, 0);
    assert_int_equal(counters().synchronisations, before + 1);
    assert_int_equal(cann.aclrtFreeHost(host), 0);
    assert_no_violation();
}

static void test_streams_race_unless_an_event_orders_them(void **state)
{
    (void)state;
    aclrtStream other = NULL;
    aclrtEvent event = NULL;
    aclTensor *a = ones(4), *b = tensor(ACL_FLOAT, NULL, DIMS(4)),
              *c = tensor(ACL_FLOAT, NULL, DIMS(4));
    double out[4];
    uint64_t ws = 0;
    aclOpExecutor *ex = NULL;
    assert_int_equal(cann.aclrtCreateStream(&other), 0);
    assert_int_equal(cann.aclrtCreateEventWithFlag(&event, ACL_EVENT_SYNC), 0);
    assert_int_equal(RUN(aclnnExp, a, b), 0);
    assert_int_equal(cann.aclnnNegGetWorkspaceSize(b, c, &ws, &ex), 0);
    assert_int_equal(cann.aclnnNeg(NULL, 0, ex, other), 0);
    assert_violation("race: aclnnNeg reads");
    cann.aclrtSynchronizeDevice();
    assert_int_equal(RUN(aclnnExp, a, b), 0);
    assert_int_equal(cann.aclrtRecordEvent(event, stream), 0);
    assert_int_equal(cann.aclrtStreamWaitEvent(other, event), 0);
    assert_int_equal(cann.aclnnNegGetWorkspaceSize(b, c, &ws, &ex), 0);
    assert_int_equal(cann.aclnnNeg(NULL, 0, ex, other), 0);
    assert_int_equal(cann.aclrtSynchronizeStream(other), 0); /* also runs what it waits for */
    fetch(c, ACL_FLOAT, out, 4);
    assert_float_equal(out[0], -exp(1), 1e-6);
    assert_no_violation();
    assert_int_equal(cann.aclrtDestroyEvent(event), 0);
    assert_int_equal(cann.aclrtDestroyStream(other), 0);
    assert_int_equal(cann.aclrtDestroyStream(other), RT_INVALID_HANDLE);
    assert_violation("aclrtDestroyStream");
}

static void test_events(void **state)
{
    (void)state;
    aclrtEvent a = NULL, b = NULL, plain = NULL;
    aclrtEventRecordedStatus status = ACL_EVENT_RECORDED_STATUS_NOT_READY;
    float ms = -1;
    cann.aclrtCreateEvent(&a);
    cann.aclrtCreateEventWithFlag(&b, ACL_EVENT_TIME_LINE);
    cann.aclrtCreateEventWithFlag(&plain, ACL_EVENT_SYNC);
    aclTensor *x = ones(4), *y = tensor(ACL_FLOAT, NULL, DIMS(4));
    cann.aclrtRecordEvent(a, stream);
    RUN(aclnnExp, x, y);
    cann.aclrtRecordEvent(b, stream);
    cann.aclrtRecordEvent(plain, stream);
    assert_int_equal(cann.aclrtQueryEventStatus(b, &status), 0);
    assert_int_equal(status, ACL_EVENT_RECORDED_STATUS_NOT_READY);
    for (int i = 0; status == ACL_EVENT_RECORDED_STATUS_NOT_READY && i < 1000; i++, usleep(1000))
        assert_int_equal(cann.aclrtQueryEventStatus(b, &status), 0);
    assert_int_equal(status, ACL_EVENT_RECORDED_STATUS_COMPLETE);
    assert_int_equal(cann.aclrtSynchronizeEvent(plain), 0);
    assert_int_equal(cann.aclrtEventElapsedTime(&ms, a, b), 0);
    assert_true(ms >= 0);
    assert_int_equal(cann.aclrtEventElapsedTime(&ms, a, plain), RT_EVENT_TIMESTAMP_INVALID);
    cann.aclrtDestroyEvent(a);
    cann.aclrtDestroyEvent(b);
    cann.aclrtDestroyEvent(plain);
    assert_int_equal(cann.aclrtRecordEvent(a, stream), RT_INVALID_HANDLE);
    assert_no_violation();
}

static void test_device_memory_is_not_for_the_host(void **state)
{
    (void)state;
    float *p = device_bytes(16);
    pid_t child = fork();
    if (!child) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile float *)p = 1;
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_true(!WIFEXITED(status) || WEXITSTATUS(status));
}

/* ---- the two phases ---- */

static void test_an_executor_is_for_one_launch(void **state)
{
    (void)state;
    aclTensor *a = ones(4), *b = tensor(ACL_FLOAT, NULL, DIMS(4));
    uint64_t ws = 0;
    aclOpExecutor *ex = NULL;
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(a, b, &ws, &ex), 0);
    assert_int_equal(cann.aclnnExp(NULL, 0, ex, stream), 0);
    assert_int_equal(cann.aclnnExp(NULL, 0, ex, stream), NN_INNER_NULLPTR);
    assert_violation("one launch");
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(a, b, &ws, &ex), 0);
    assert_int_equal(cann.aclnnNeg(NULL, 0, ex, stream), NN_PARAM_INVALID);
    assert_violation("executor of aclnnExp");
    assert_int_equal(cann.aclSetAclOpExecutorRepeatable(ex), 0);
    assert_int_equal(cann.aclnnExp(NULL, 0, ex, stream), 0);
    assert_int_equal(cann.aclnnExp(NULL, 0, ex, stream), 0);
    assert_int_equal(cann.aclDestroyAclOpExecutor(ex), 0);
    assert_int_equal(cann.aclDestroyAclOpExecutor(ex), NN_PARAM_INVALID);
    assert_violation("not alive");
}

static void test_workspace(void **state)
{
    (void)state;
    aclTensor *a = tensor(ACL_FLOAT, NULL, DIMS(4, 4)), *b = tensor(ACL_FLOAT, NULL, DIMS(4, 4));
    aclTensor *c = tensor(ACL_FLOAT, NULL, DIMS(4, 4));
    uint64_t ws = 0;
    aclOpExecutor *ex = NULL;
    assert_int_equal(cann.aclnnMmGetWorkspaceSize(a, b, c, 0, &ws, &ex), 0);
    assert_true(ws > 0);
    uint8_t *memory = device_bytes(ws);
#define LAUNCHED(workspace, size) \
    (cann.aclnnMmGetWorkspaceSize(a, b, c, 0, &ws, &ex), cann.aclnnMm(workspace, size, ex, stream))
    assert_int_equal(cann.aclnnMm(memory, ws - 1, ex, stream), NN_PARAM_INVALID);
    assert_int_equal(LAUNCHED(NULL, ws), NN_PARAM_INVALID);
    assert_int_equal(LAUNCHED(memory + 32, ws), NN_PARAM_INVALID);
    assert_int_equal(LAUNCHED(memory, ws), 0);
    assert_int_equal(counters().executors_alive, 0); /* failing takes the executor, too */
    cann.aclrtSynchronizeStream(stream);
    uint8_t bytes[8];
    cann.aclrtMemcpy(bytes, 8, memory, 8, ACL_MEMCPY_DEVICE_TO_HOST);
    assert_int_equal(bytes[0], 0x33); /* written over */
    assert_no_violation();
    /* Beyond its allocation: the device is lost. */
    assert_int_equal(LAUNCHED(memory + 64, ws), 0);
    assert_violation("not within one live allocation");
    assert_int_equal(cann.aclrtSynchronizeStream(stream), RT_AICORE_EXCEPTION);
}

static void test_descriptors(void **state)
{
    (void)state;
    aclTensor *a = ones(6), *b = tensor(ACL_FLOAT, NULL, DIMS(6)),
              *c = tensor(ACL_FLOAT, NULL, DIMS(5));
    aclTensor *i = tensor(ACL_INT32, NULL, DIMS(6));
    uint64_t ws = 0;
    aclOpExecutor *ex = NULL;
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(NULL, b, &ws, &ex), NN_PARAM_NULLPTR);
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(a, b, NULL, &ex), NN_PARAM_NULLPTR);
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(a, c, &ws, &ex), NN_PARAM_INVALID);
    assert_non_null(strstr(cann.aclGetRecentErrMsg(), "differ in shape"));
    assert_null(cann.aclGetRecentErrMsg());
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(i, b, &ws, &ex), NN_PARAM_INVALID);
    assert_non_null(strstr(cann.aclGetRecentErrMsg(), "INT32"));
    /* Out of its storage, not aligned, overlapping. */
    aclTensor *out = view(data_of(a), ACL_FLOAT, DIMS(6), NULL, 1, 6);
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(out, b, &ws, &ex), NN_PARAM_INVALID);
    assert_non_null(strstr(cann.aclGetRecentErrMsg(), "leaves its storage"));
    aclTensor *odd = view((char *)data_of(a) + 4, ACL_FLOAT, DIMS(4), NULL, 0, 4);
    aclTensor *d = tensor(ACL_FLOAT, NULL, DIMS(4));
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(odd, d, &ws, &ex), NN_PARAM_INVALID);
    assert_no_violation();
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(a, a, &ws, &ex), 0);
    assert_violation("lies over");
    cann.aclDestroyAclOpExecutor(ex);
    /* Interleaved columns do not overlap. */
    aclTensor *even = view(data_of(a), ACL_FLOAT, DIMS(3), (int64_t[]){2}, 0, 6);
    aclTensor *uneven = view(data_of(a), ACL_FLOAT, DIMS(3), (int64_t[]){2}, 1, 6);
    assert_int_equal(RUN(aclnnExp, even, uneven), 0);
    assert_no_violation();
    /* Destroyed. */
    aclTensor *gone = cann.aclCreateTensor((int64_t[]){6}, 1, ACL_FLOAT, NULL, 0, ACL_FORMAT_ND,
                                           (int64_t[]){6}, 1, data_of(a));
    assert_int_equal(cann.aclDestroyTensor(gone), 0);
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(gone, b, &ws, &ex), NN_PARAM_INVALID);
    assert_violation("not alive");
    assert_int_equal(cann.aclDestroyTensor(gone), NN_PARAM_INVALID);
    assert_violation("not alive");
}

/* ---- memory ---- */

static void test_memory_misuse(void **state)
{
    (void)state;
    void *p = NULL;
    assert_int_equal(cann.aclrtMalloc(&p, 0, ACL_MEM_MALLOC_HUGE_FIRST), INVALID_PARAM);
    assert_int_equal(cann.aclrtMalloc(&p, 100, ACL_MEM_MALLOC_HUGE_FIRST), 0);
    assert_int_equal((uintptr_t)p % 64, 0);
    assert_int_equal(cann.aclrtMemcpy(p, 100, p, 100, ACL_MEMCPY_HOST_TO_DEVICE), RT_PARAM_INVALID);
    char host[200] = {0};
    assert_int_equal(cann.aclrtMemcpy(p, 200, host, 200, ACL_MEMCPY_HOST_TO_DEVICE),
                     RT_PARAM_INVALID);
    assert_int_equal(cann.aclrtMemcpy(p, 100, host, 101, ACL_MEMCPY_HOST_TO_DEVICE), INVALID_PARAM);
    assert_int_equal(cann.aclrtFree((char *)p + 64), RT_PARAM_INVALID);
    assert_violation("not what aclrtMalloc returned");
    assert_int_equal(cann.aclrtFree(p), 0);
    assert_int_equal(cann.aclrtFree(p), RT_PARAM_INVALID);
    assert_violation("second time");
    assert_int_equal(cann.aclrtMemcpy(p, 100, host, 100, ACL_MEMCPY_HOST_TO_DEVICE),
                     RT_PARAM_INVALID);
    assert_int_equal(cann.aclrtFreeHost(host), RT_PARAM_INVALID);
    assert_violation("aclrtFreeHost");
    /* Freed while queued work uses it; used after it was freed. */
    void *q = NULL;
    assert_int_equal(cann.aclrtMalloc(&q, 64, ACL_MEM_MALLOC_HUGE_FIRST), 0);
    assert_int_equal(cann.aclrtMemsetAsync(q, 64, 0, 64, stream), 0);
    assert_int_equal(cann.aclrtFree(q), 0);
    assert_violation("was not waited for");
    aclTensor *t = view(q, ACL_FLOAT, DIMS(16), NULL, 0, 16),
              *u = tensor(ACL_FLOAT, NULL, DIMS(16));
    assert_int_equal(RUN(aclnnExp, t, u), 0);
    assert_violation("live allocation");
    assert_int_equal(cann.aclrtSynchronizeStream(stream), RT_AICORE_EXCEPTION);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    setenv("NPU_SIM_MEMORY", "1M", 1);
    size_t free = 0, total = 0;
    void *p = NULL, *q = NULL;
    assert_int_equal(cann.aclrtGetMemInfo(ACL_HBM_MEM, &free, &total), 0);
    assert_int_equal(total, 1 << 20);
    assert_int_equal(cann.aclrtMalloc(&p, 2 << 20, ACL_MEM_MALLOC_HUGE_FIRST),
                     RT_MEMORY_ALLOCATION);
    assert_non_null(strstr(cann.aclGetRecentErrMsg(), "are free"));
    assert_int_equal(cann.aclrtMalloc(&p, 1 << 19, ACL_MEM_MALLOC_HUGE_FIRST), 0);
    assert_int_equal(cann.aclrtMalloc(&q, 1 << 19, ACL_MEM_MALLOC_HUGE_FIRST),
                     RT_MEMORY_ALLOCATION);
    assert_int_equal(cann.aclrtFree(p), 0);
    assert_int_equal(cann.aclrtMalloc(&q, 1 << 19, ACL_MEM_MALLOC_HUGE_FIRST), 0);
    assert_int_equal(cann.aclrtFree(q), 0);
}

static void test_leaks_are_reported(void **state)
{
    (void)state;
    void *p = NULL;
    aclrtStream forgotten = NULL;
    aclTensor *t = cann.aclCreateTensor((int64_t[]){4}, 1, ACL_FLOAT, NULL, 0, ACL_FORMAT_ND,
                                        (int64_t[]){4}, 1, NULL);
    assert_int_equal(cann.aclrtMalloc(&p, 64, ACL_MEM_MALLOC_HUGE_FIRST), 0);
    assert_int_equal(cann.aclrtCreateStream(&forgotten), 0);
    assert_int_equal(sim_end(), 0);
    assert_int_equal(counters().violations, 3); /* stream, memory, tensor */
    assert_int_equal(cann.aclDestroyTensor(t), 0);
    assert_int_equal(sim_begin("8.5"), 0);
    assert_no_violation();
}

/* ---- captured models ---- */

static void test_replay_uses_captured_addresses(void **state)
{
    (void)state;
    aclTensor *a = ones(4), *b = tensor(ACL_FLOAT, NULL, DIMS(4)),
              *c = tensor(ACL_FLOAT, NULL, DIMS(4));
    void *pa = data_of(a);
    aclmdlRI model = NULL;
    double out[4];
    float two[4] = {2, 2, 2, 2};
    uint64_t ws = 0;
    aclOpExecutor *ex = NULL;
    assert_int_equal(cann.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL), 0);
    assert_int_equal(cann.aclnnExpGetWorkspaceSize(a, b, &ws, &ex), 0);
    assert_int_equal(cann.aclnnExp(NULL, 0, ex, stream), 0);
    assert_int_equal(cann.aclnnNegGetWorkspaceSize(b, c, &ws, &ex), 0);
    assert_int_equal(cann.aclnnNeg(NULL, 0, ex, stream), 0);
    assert_int_equal(cann.aclmdlRICaptureEnd(stream, &model), 0);
    fetch(c, ACL_FLOAT, out, 4);
    assert_float_equal(out[0], 0, 0);                             /* nothing ran */
    assert_int_equal(cann.aclSetRawTensorAddr(a, data_of(c)), 0); /* no longer matters */
    assert_int_equal(cann.aclrtMemcpy(pa, 16, two, 16, ACL_MEMCPY_HOST_TO_DEVICE), 0);
    cann.npu_sim_reset();
    assert_int_equal(cann.aclmdlRIExecuteAsync(model, stream), 0);
    fetch(c, ACL_FLOAT, out, 4);
    assert_float_equal(out[0], -exp(2), 1e-5);
    assert_int_equal(counters().launches, 1);
    assert_int_equal(counters().model_launches, 1);
    assert_int_equal(counters().kernels, 2);
    assert_int_equal(cann.aclmdlRIDestroy(model), 0);
    assert_int_equal(cann.aclmdlRIExecuteAsync(model, stream), RT_INVALID_HANDLE);
    assert_int_equal(cann.aclmdlRIDestroy(model), RT_INVALID_HANDLE);
    assert_violation("aclmdlRIDestroy");
}

static void test_captured_memory_must_stay(void **state)
{
    (void)state;
    void *p = NULL, *again = NULL;
    assert_int_equal(cann.aclrtMalloc(&p, 16, ACL_MEM_MALLOC_HUGE_FIRST), 0);
    aclmdlRI model = NULL;
    assert_int_equal(cann.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_RELAXED), 0);
    assert_int_equal(cann.aclrtMemsetAsync(p, 16, 0, 16, stream), 0);
    assert_int_equal(cann.aclmdlRICaptureEnd(stream, &model), 0);
    assert_int_equal(cann.aclrtFree(p), 0);
    assert_int_equal(cann.aclrtMalloc(&again, 16, ACL_MEM_MALLOC_HUGE_FIRST), 0);
    assert_no_violation();
    assert_int_equal(cann.aclmdlRIExecuteAsync(model, stream), 0);
    assert_violation("freed since it was captured");
    assert_int_equal(cann.aclrtSynchronizeStream(stream), RT_AICORE_EXCEPTION);
    cann.aclmdlRIDestroy(model);
    cann.aclrtFree(again);
}

static void test_what_captures_forbid(void **state)
{
    (void)state;
    aclmdlRI model = NULL;
    void *p = NULL;
    assert_int_equal(cann.aclmdlRICaptureEnd(stream, &model), RT_STREAM_NOT_CAPTURED);
    assert_int_equal(cann.aclmdlRICaptureBegin(NULL, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL),
                     RT_STREAM_CAPTURE_UNMATCHED);
    assert_int_equal(cann.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL), 0);
    assert_int_equal(cann.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL),
                     RT_STREAM_CAPTURED);
    assert_int_equal(cann.aclrtSynchronizeDevice(), RT_CAPTURE_MODE_NOT_SUPPORT);
    assert_int_equal(cann.aclmdlRICaptureEnd(stream, &model), RT_STREAM_CAPTURE_INVALIDATED);
    assert_int_equal(cann.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL), 0);
    assert_int_equal(cann.aclrtMalloc(&p, 16, ACL_MEM_MALLOC_HUGE_FIRST),
                     RT_CAPTURE_MODE_NOT_SUPPORT);
    assert_int_equal(cann.aclmdlRICaptureEnd(stream, &model), RT_STREAM_CAPTURE_INVALIDATED);
    assert_null(model);
    assert_int_equal(cann.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_RELAXED), 0);
    p = device_bytes(16);
    assert_non_null(p);
    assert_int_equal(cann.aclrtSynchronizeStream(stream), RT_STREAM_CAPTURED);
    aclrtStream other = NULL;
    aclrtEvent event = NULL;
    cann.aclrtCreateStream(&other);
    cann.aclrtCreateEventWithFlag(&event, ACL_EVENT_SYNC);
    cann.aclrtRecordEvent(event, stream);
    assert_int_equal(cann.aclrtStreamWaitEvent(other, event), 0);
    assert_int_equal(cann.aclrtMemsetAsync(p, 16, 0, 16, other), 0);
    assert_int_equal(cann.aclmdlRICaptureEnd(stream, &model), RT_STREAM_UNJOINED);
    cann.aclrtDestroyEvent(event);
    cann.aclrtDestroyStream(other);
    assert_no_violation();
}

/* An event may outlive the capture that it was recorded in, and the model. */
static void test_events_of_ended_captures(void **state)
{
    (void)state;
    aclmdlRI model = NULL;
    aclrtStream other = NULL;
    aclrtEvent event = NULL;
    void *p = device_bytes(16);
    cann.aclrtCreateStream(&other);
    cann.aclrtCreateEventWithFlag(&event, ACL_EVENT_SYNC);
    assert_int_equal(cann.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_RELAXED), 0);
    cann.aclrtMemsetAsync(p, 16, 0, 16, stream);
    assert_int_equal(cann.aclrtRecordEvent(event, stream), 0);
    assert_int_equal(cann.aclmdlRICaptureEnd(stream, &model), 0);
    assert_int_equal(cann.aclmdlRIDestroy(model), 0);
    assert_int_equal(cann.aclrtStreamWaitEvent(other, event), RT_EVENT_CAPTURED);
    /* Another capture may have got the model's memory: it is not the event's. */
    assert_int_equal(cann.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_RELAXED), 0);
    assert_int_equal(cann.aclrtStreamWaitEvent(other, event), RT_EVENT_CAPTURED);
    assert_int_equal(cann.aclrtStreamWaitEvent(stream, event), RT_STREAM_CAPTURED);
    assert_int_equal(cann.aclmdlRICaptureEnd(stream, &model), 0);
    assert_int_equal(cann.aclmdlRIDestroy(model), 0);
    assert_int_equal(cann.aclrtDestroyEvent(event), 0);
    cann.aclrtDestroyStream(other);
    assert_no_violation();
}

static void *end_elsewhere(void *model)
{
    cann.aclrtSetDevice(0);
    aclError error = cann.aclmdlRICaptureEnd(stream, model);
    cann.aclrtResetDevice(0);
    return (void *)(intptr_t)error;
}

static void test_captures_end_in_their_thread(void **state)
{
    (void)state;
    pthread_t thread;
    void *result = NULL;
    aclmdlRI model = NULL;
    assert_int_equal(cann.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_RELAXED), 0);
    pthread_create(&thread, NULL, end_elsewhere, &model);
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, RT_STREAM_CAPTURE_WRONG_THREAD);
    assert_int_equal(cann.aclmdlRICaptureEnd(stream, &model), 0);
    assert_int_equal(cann.aclmdlRIDestroy(model), 0);
}

static void test_task_update(void **state)
{
    (void)state;
    aclTensor *a = ones(4), *b = tensor(ACL_FLOAT, NULL, DIMS(4)), *c = ones(4);
    aclmdlRI model = NULL;
    aclrtTaskGrp group = NULL;
    float value = 3;
    double out[4];
    uint64_t ws = 0;
    aclOpExecutor *ex = NULL;
    aclScalar *three = cann.aclCreateScalar(&value, ACL_FLOAT);
    value = 5;
    aclScalar *five = cann.aclCreateScalar(&value, ACL_FLOAT);
    cann.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_RELAXED);
    assert_int_equal(cann.aclmdlRICaptureTaskGrpBegin(stream), 0);
    cann.aclnnMulsGetWorkspaceSize(a, three, b, &ws, &ex);
    assert_int_equal(cann.aclnnMuls(NULL, 0, ex, stream), 0);
    assert_int_equal(cann.aclmdlRICaptureTaskGrpEnd(stream, &group), 0);
    assert_int_equal(cann.aclmdlRICaptureEnd(stream, &model), 0);
    assert_int_equal(cann.aclmdlRICaptureTaskUpdateBegin(stream, group), 0);
    cann.aclnnExpGetWorkspaceSize(c, b, &ws, &ex);
    assert_int_equal(cann.aclnnExp(NULL, 0, ex, stream), 0);
    assert_int_equal(cann.aclmdlRICaptureTaskUpdateEnd(stream), RT_FEATURE_NOT_SUPPORT_UPDATE_OP);
    assert_int_equal(cann.aclmdlRICaptureTaskUpdateBegin(stream, group), 0);
    cann.aclnnMulsGetWorkspaceSize(a, five, b, &ws, &ex);
    assert_int_equal(cann.aclnnMuls(NULL, 0, ex, stream), 0);
    assert_int_equal(cann.aclmdlRICaptureTaskUpdateEnd(stream), 0);
    assert_int_equal(cann.aclmdlRIExecuteAsync(model, stream), 0);
    fetch(b, ACL_FLOAT, out, 4);
    assert_float_equal(out[0], 5, 0);
    cann.aclmdlRIDestroy(model);
    cann.aclDestroyScalar(three);
    cann.aclDestroyScalar(five);
    assert_no_violation();
}

/* ---- threads, devices, faults ---- */

static void *use_without_device(void *data)
{
    void *p = NULL;
    (void)data;
    return (void *)(intptr_t)cann.aclrtMalloc(&p, 16, ACL_MEM_MALLOC_HUGE_FIRST);
}

static void test_devices_belong_to_threads(void **state)
{
    (void)state;
    pthread_t thread;
    void *result = NULL;
    uint32_t n = 0;
    pthread_create(&thread, NULL, use_without_device, NULL);
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, RT_CONTEXT_NULL);
    assert_int_equal(cann.aclrtSetDevice(1), RT_INVALID_DEVICEID);
    setenv("NPU_SIM_DEVICES", "2", 1);
    assert_int_equal(cann.aclrtGetDeviceCount(&n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(cann.aclrtSetDevice(1), 0);
    assert_int_equal(cann.aclrtSynchronizeStream(stream), RT_STREAM_CONTEXT);
    assert_int_equal(cann.aclrtResetDevice(1), 0);
    assert_int_equal(cann.aclrtSetDevice(0), 0);
    assert_int_equal(cann.aclrtResetDevice(0), 0);
    setenv("NPU_SIM_DEVICES", "0", 1);
    assert_int_equal(cann.aclrtGetDeviceCount(&n), RT_NO_DEVICE);
    unsetenv("NPU_SIM_DEVICES");
    assert_int_equal(cann.aclInit(NULL), REPEAT_INITIALIZE);
}

static void test_injected_faults(void **state)
{
    (void)state;
    aclTensor *a = ones(4), *b = tensor(ACL_FLOAT, NULL, DIMS(4));
    void *p = NULL;
    setenv("NPU_SIM_FAIL",
           "aclrtMalloc@2=207001,aclnnExp@1=561103,aclnnNegGetWorkspaceSize@1=161002", 1);
    cann.aclInit(NULL); /* reads the variable */
    assert_non_null(device_bytes(16));
    assert_int_equal(cann.aclrtMalloc(&p, 16, ACL_MEM_MALLOC_HUGE_FIRST), RT_MEMORY_ALLOCATION);
    assert_int_equal(RUN(aclnnNeg, a, b), NN_PARAM_INVALID);
    assert_int_equal(RUN(aclnnNeg, a, b), 0);
    assert_int_equal(RUN(aclnnExp, a, b), 561103);
    assert_int_equal(RUN(aclnnExp, a, b), 0);
    cann.aclrtSynchronizeStream(stream);
    assert_no_violation();
    unsetenv("NPU_SIM_FAIL");
    cann.aclInit(NULL);
}

static void test_a_lost_device(void **state)
{
    (void)state;
    aclTensor *a = ones(4), *b = tensor(ACL_FLOAT, NULL, DIMS(4));
    setenv("NPU_SIM_LOST", "2=507054", 1);
    assert_int_equal(RUN(aclnnExp, a, b), 0);
    assert_int_equal(cann.aclrtSynchronizeStream(stream), 0);
    assert_int_equal(RUN(aclnnExp, a, b), 0); /* the launch itself is accepted */
    assert_int_equal(cann.aclrtSynchronizeStream(stream), 507054);
    assert_int_equal(RUN(aclnnExp, a, b), 507054);
    void *p = NULL;
    assert_int_equal(cann.aclrtMalloc(&p, 16, ACL_MEM_MALLOC_HUGE_FIRST), 507054);
    unsetenv("NPU_SIM_LOST");
}

static void test_a_hung_operator(void **state)
{
    (void)state;
    aclTensor *a = ones(4), *b = tensor(ACL_FLOAT, NULL, DIMS(4));
    setenv("NPU_SIM_HANG", "1", 1);
    assert_int_equal(RUN(aclnnExp, a, b), 0);
    assert_int_equal(cann.aclrtSynchronizeStreamWithTimeout(stream, 50), RT_STREAM_SYNC_TIMEOUT);
    assert_int_equal(cann.aclrtSynchronizeStream(stream), RT_AICORE_TIMEOUT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(test_results_are_there_only_after_a_wait),
        T(test_copies_to_the_host_are_late),
        T(test_streams_race_unless_an_event_orders_them),
        T(test_events),
        T(test_device_memory_is_not_for_the_host),
        T(test_an_executor_is_for_one_launch),
        T(test_workspace),
        T(test_descriptors),
        T(test_memory_misuse),
        T(test_out_of_memory),
        T(test_leaks_are_reported),
        T(test_replay_uses_captured_addresses),
        T(test_captured_memory_must_stay),
        T(test_what_captures_forbid),
        T(test_events_of_ended_captures),
        T(test_captures_end_in_their_thread),
        T(test_task_update),
        T(test_devices_belong_to_threads),
        T(test_injected_faults),
        T(test_a_lost_device),
        T(test_a_hung_operator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
