/* config.c - what the environment chooses, injected faults, errors, violations and the report.
 *
 *   NPU_SIM_CANN=8.0|8.1|8.3|8.5|9.0   which functions exist and which limits hold; 8.5 if not set
 *   NPU_SIM_MEMORY=64G  NPU_SIM_DEVICES=1
 *   NPU_SIM_ORDER=lazy|eager           work runs when it is waited for, or at once
 *   NPU_SIM_COPY=200M                  bytes a second that copies to the device take at most
 *   NPU_SIM_FAIL=aclrtMalloc@3,aclnnMm@1=507015   that call of the function fails, with this error
 *   NPU_SIM_FAIL=*@200=507000          the two hundredth call that can fail, whatever it is; those
 *                                      that only release are not counted: nobody could react
 *   NPU_SIM_BUSY=init|set              another container holds the device: aclInit says so, or
 *                                      aclrtSetDevice
 *   NPU_SIM_LOST=100[=507054]          the device is lost at the hundredth launch since aclInit
 *   NPU_SIM_HANG=100                   the hundredth launch since aclInit never ends
 *   NPU_SIM_DELAY=3000                 so many microseconds longer takes every captured model
 *   NPU_SIM_REPORT=file.json           the counters at exit
 *   NPU_SIM_UPDATES=ignored            task updates succeed and change nothing
 *   NPU_SIM_VIOLATIONS=count           violations do not change the exit status
 *
 * The figures are read when they are needed, so that one process can try several. */
#include "sim.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

pthread_mutex_t sim_lock = PTHREAD_MUTEX_INITIALIZER;
struct npu_sim_counters sim_count;
uint64_t sim_operators_run;

enum { MAX_FAULTS = 32, MAX_OPERATORS = 256, TEXT = 2048 };

static struct fault {
    char function[80];
    uint64_t call, calls;
    aclError error;
} faults[MAX_FAULTS];
static size_t n_faults;
static bool faults_read;

static struct operator_count {
    const char *name;
    uint64_t n, bytes;
} operators[MAX_OPERATORS];
static size_t n_operators;

static _Thread_local char recent[TEXT], recent_read[TEXT];
static char last_violation[TEXT];
static pthread_mutex_t text_lock = PTHREAD_MUTEX_INITIALIZER;

#pragma GCC visibility push(default)
int npu_sim_version(void);
#pragma GCC visibility pop

int sim_cann(void)
{
    static const struct {
        const char *name;
        int number;
    } versions[] = {{"8.0", 80}, {"8.1", 81}, {"8.3", 83}, {"8.5", 85}, {"9.0", 90}};
    const char *wanted = getenv("NPU_SIM_CANN");
    if (!wanted) return 85;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        if (!strcmp(wanted, versions[i].name)) return versions[i].number;
    fprintf(stderr, "npu_sim: NPU_SIM_CANN=%s: expected 8.0, 8.1, 8.3, 8.5 or 9.0\n", wanted);
    _exit(VIOLATION_EXIT);
}

int npu_sim_version(void)
{
    return sim_cann();
}

bool sim_eager(void)
{
    const char *order = getenv("NPU_SIM_ORDER");
    return order && !strcmp(order, "eager");
}

uint64_t sim_number(const char *variable, uint64_t fallback)
{
    const char *text = getenv(variable);
    if (!text || !*text) return fallback;
    char *end = NULL;
    uint64_t n = strtoull(text, &end, 10);
    switch (*end) {
    case 'G': return n << 30;
    case 'M': return n << 20;
    case 'k': return n << 10;
    default: return n;
    }
}

void sim_sleep(uint64_t microseconds)
{
    struct timespec left = {(time_t)(microseconds / 1000000),
                            (long)(microseconds % 1000000) * 1000};
    while (microseconds && nanosleep(&left, &left) && errno == EINTR) {}
}

void sim_give_up(const char *what)
{
    fprintf(stderr, "npu_sim: %s\n", what);
    _exit(VIOLATION_EXIT);
}

void *sim_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p) sim_give_up("the host is out of memory");
    return p;
}

/* ---- faults ---- */

static void read_faults(void)
{
    n_faults = 0;
    faults_read = true;
    const char *text = getenv("NPU_SIM_FAIL");
    while (text && *text && n_faults < MAX_FAULTS) {
        struct fault *f = &faults[n_faults];
        memset(f, 0, sizeof *f);
        f->call = 1;
        unsigned long long call = 1;
        int error = RT_INTERNAL_ERROR;
        if (sscanf(text, "%79[^@,=]@%llu=%d", f->function, &call, &error) < 1) break;
        f->call = call;
        f->error = error;
        n_faults++;
        text = strchr(text, ',');
        if (text) text++;
    }
}

void sim_start(void)
{
    pthread_mutex_lock(&text_lock);
    read_faults();
    sim_operators_run = 0;
    pthread_mutex_unlock(&text_lock);
}

static bool releases(const char *function)
{
    static const char *const names[] = {"aclrtFree",  "aclrtDestroy",    "aclDestroy",
                                        "aclrtReset", "aclmdlRIDestroy", "aclFinalize"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strncmp(function, names[i], strlen(names[i]))) return true;
    return false;
}

static bool is_meant(const struct fault *fault, const char *function)
{
    if (strcmp(fault->function, "*") == 0) return !releases(function);
    return strcmp(fault->function, function) == 0;
}

aclError sim_enter(const char *function)
{
    aclError error = SUCCESS;
    pthread_mutex_lock(&text_lock);
    if (!faults_read) read_faults();
    for (size_t i = 0; i < n_faults; i++)
        if (is_meant(&faults[i], function) && ++faults[i].calls == faults[i].call) {
            error = faults[i].error;
            sim_count.faults++;
        }
    pthread_mutex_unlock(&text_lock);
    return error ? sim_error(error, "%s: failure that NPU_SIM_FAIL asks for", function) : SUCCESS;
}

/* The driver's answer 87, as CANN words it. */
bool sim_busy(const char *where)
{
    const char *busy = getenv("NPU_SIM_BUSY");
    return busy && !strcmp(busy, where);
}

/* ---- errors and violations ---- */

aclError sim_error(aclError code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = snprintf(recent, sizeof recent, "EZ%d: ", code / 1000);
    vsnprintf(recent + n, sizeof recent - (size_t)n, format, args);
    va_end(args);
    __atomic_add_fetch(&sim_count.refusals, 1, __ATOMIC_RELAXED);
    return code;
}

const char *sim_aclGetRecentErrMsg(void)
{
    if (!recent[0]) return NULL;
    memcpy(recent_read, recent, sizeof recent);
    recent[0] = 0;
    return recent_read;
}

void sim_violate(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&text_lock);
    vsnprintf(last_violation, sizeof last_violation, format, args);
    sim_count.violations++;
    if (sim_count.violations <= 20) fprintf(stderr, "npu_sim: violation: %s\n", last_violation);
    pthread_mutex_unlock(&text_lock);
    va_end(args);
}

/* ---- counters ---- */

void sim_count_operator(const char *name, uint64_t bytes)
{
    pthread_mutex_lock(&text_lock);
    size_t i = 0;
    while (i < n_operators && strcmp(operators[i].name, name)) i++;
    if (i == n_operators && i < MAX_OPERATORS)
        operators[n_operators++] = (struct operator_count){name, 0, 0};
    if (i < n_operators) {
        operators[i].n++;
        operators[i].bytes += bytes;
    }
    sim_count.kernels++;
    sim_count.kernel_bytes += bytes;
    pthread_mutex_unlock(&text_lock);
}

#pragma GCC visibility push(default)

void npu_sim_counters(struct npu_sim_counters *out)
{
    pthread_mutex_lock(&sim_lock);
    sim_count.tensors_alive = handle_count(HANDLE_TENSOR);
    sim_count.executors_alive = handle_count(HANDLE_EXECUTOR);
    sim_count.streams_alive = handle_count(HANDLE_STREAM);
    sim_count.events_alive = handle_count(HANDLE_EVENT);
    sim_count.models_alive = handle_count(HANDLE_MODEL);
    sim_count.launches_run = sim_operators_run;
    *out = sim_count;
    pthread_mutex_unlock(&sim_lock);
}

void npu_sim_reset(void)
{
    pthread_mutex_lock(&sim_lock);
    pthread_mutex_lock(&text_lock);
    uint64_t used = sim_count.memory_used;
    memset(&sim_count, 0, sizeof sim_count);
    sim_count.memory_used = sim_count.memory_peak = used;
    n_operators = 0;
    last_violation[0] = 0;
    pthread_mutex_unlock(&text_lock);
    pthread_mutex_unlock(&sim_lock);
}

const char *npu_sim_violation(void)
{
    return last_violation;
}

#pragma GCC visibility pop

static void write_report(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) {
        fprintf(stderr, "npu_sim: cannot write NPU_SIM_REPORT=%s\n", path);
        return;
    }
    const struct npu_sim_counters *c = &sim_count;
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {{"launches", c->launches},
                   {"model_launches", c->model_launches},
                   {"updates", c->updates},
                   {"kernels", c->kernels},
                   {"kernel_bytes", c->kernel_bytes},
                   {"synchronisations", c->synchronisations},
                   {"stream_waits", c->stream_waits},
                   {"event_waits", c->event_waits},
                   {"device_waits", c->device_waits},
                   {"pageable_copies", c->pageable_copies},
                   {"idle", c->idle},
                   {"queries", c->queries},
                   {"sync_copies", c->sync_copies},
                   {"host_to_device", c->host_to_device},
                   {"device_to_host", c->device_to_host},
                   {"device_to_device", c->device_to_device},
                   {"workspace_largest", c->workspace_largest},
                   {"mallocs", c->mallocs},
                   {"frees", c->frees},
                   {"memory_peak", c->memory_peak},
                   {"executors", c->executors},
                   {"copies_queued_peak", c->copies_queued_peak},
                   {"faults", c->faults},
                   {"refusals", c->refusals},
                   {"violations", c->violations}};
    fprintf(f, "{\n  \"cann\": \"%d.%d\",\n", sim_cann() / 10, sim_cann() % 10);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        fprintf(f, "  \"%s\": %llu,\n", figures[i].name, (unsigned long long)figures[i].value);
    fprintf(f, "  \"streams\": [");
    size_t last = 0;
    for (size_t i = 0; i < NPU_SIM_STREAMS; i++)
        if (c->stream_launches[i]) last = i;
    for (size_t i = 0; i <= last; i++)
        fprintf(f, "%s%llu", i ? ", " : "", (unsigned long long)c->stream_launches[i]);
    fprintf(f, "],\n  \"operators\": {");
    for (size_t i = 0; i < n_operators; i++)
        fprintf(f, "%s\n    \"%s\": {\"n\": %llu, \"bytes\": %llu}", i ? "," : "",
                operators[i].name, (unsigned long long)operators[i].n,
                (unsigned long long)operators[i].bytes);
    fprintf(f, "\n  }\n}\n");
    fclose(f);
}

__attribute__((destructor)) static void at_exit(void)
{
    const char *report = getenv("NPU_SIM_REPORT");
    if (report && *report) write_report(report);
    const char *mode = getenv("NPU_SIM_VIOLATIONS");
    if (sim_count.violations && !(mode && !strcmp(mode, "count"))) {
        fprintf(stderr, "npu_sim: %llu violations\n", (unsigned long long)sim_count.violations);
        fflush(NULL);
        _exit(VIOLATION_EXIT);
    }
}
