/* sim.h - the inside of the simulator.
 *
 * One lock, sim_lock, guards everything; streams have a thread each, which runs its work without
 * the lock. Work runs late: only when the host waits for it (NPU_SIM_ORDER=eager: at once). What
 * depends on luck on hardware is decided by order, not by time: every access of a queued operator
 * is compared with those before it, and a pair that no stream, event or synchronisation orders is a
 * violation, whatever was computed (memory.c).
 *
 * Device addresses are not readable by the host: they lie in a reserved region without access;
 * sim_memory() translates. So a program that follows a device pointer crashes as it should.
 *
 * Two kinds of misuse: what CANN refuses returns its documented error with a text for
 * aclGetRecentErrMsg; what it leaves undefined (races, leaks, use after free) is a violation: a
 * line on stderr, a count, and exit status 86 when the process ends. */
#ifndef NPU_SIM_SIM_H
#define NPU_SIM_SIM_H

#include "abi.h"
#include "counters.h"
#include <pthread.h>

enum { MAX_DIMS = 8, MAX_DEVICES = 16, VIOLATION_EXIT = 86 };

/* ---- config.c: environment, faults, errors, counters ---- */

extern pthread_mutex_t sim_lock;
extern struct npu_sim_counters sim_count;

int sim_cann(void); /* 80, 81, 83, 85, 90: NPU_SIM_CANN, or 85 */
bool sim_eager(void);
bool sim_busy(const char *where);
uint64_t sim_number(const char *variable, uint64_t fallback); /* with k, M, G behind it */

/* Counts a call; the error that NPU_SIM_FAIL wants of it, or 0. Format of the variable:
 * "aclrtMalloc@3,aclnnMm@1=507015": the third call of one, the first of the other. */
aclError sim_enter(const char *function);
#define ENTER(function) \
    do { \
        aclError fault_ = sim_enter(#function); \
        if (fault_) return fault_; \
    } while (0)

/* Keeps the text for aclGetRecentErrMsg of this thread; returns the code. */
aclError sim_error(aclError code, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_sleep(uint64_t microseconds);
void sim_violate(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_count_operator(const char *name, uint64_t bytes);
void sim_start(void);                         /* aclInit: reads the faults anew */
extern uint64_t sim_operators_run;            /* since aclInit */
_Noreturn void sim_give_up(const char *what); /* the simulator itself is out of means */
void *sim_alloc(size_t size);                 /* zeroed, never NULL */

/* ---- handles.c: every object the program holds ---- */

enum handle_kind {
    HANDLE_TENSOR,
    HANDLE_SCALAR,
    HANDLE_INTS,
    HANDLE_FLOATS,
    HANDLE_BOOLS,
    HANDLE_TENSORS,
    HANDLE_EXECUTOR,
    HANDLE_STREAM,
    HANDLE_EVENT,
    HANDLE_MODEL,
    HANDLE_GROUP,
    HANDLE_PINNED,
    N_HANDLES
};
void handle_add(enum handle_kind kind, const void *object);
bool handle_is(enum handle_kind kind, const void *object);
bool handle_remove(enum handle_kind kind, const void *object); /* false: not alive */
uint64_t handle_count(enum handle_kind kind);
void handle_each(enum handle_kind kind, void (*visit)(const void *object, void *data), void *data);
const char *handle_name(enum handle_kind kind);

/* ---- memory.c ---- */

struct range {
    uint64_t begin, end; /* device addresses */
    bool write;
    uint64_t allocation; /* serial number of the one it was checked with; 0: not yet */
};

struct clock {
    uint64_t time[NPU_SIM_STREAMS];
};

aclError memory_alloc(int device, void **out, size_t size);
aclError memory_free(void *address);
uint64_t memory_total(void); /* of a device */
void memory_info(int device, uint64_t *free, uint64_t *total);
bool memory_is_device(const void *address);
/* A live allocation that holds [address, address + size): its serial number, else 0. */
uint64_t memory_find(uint64_t address, uint64_t size, int *device);
void *sim_memory(uint64_t address);  /* for the simulator itself */
void memory_release_all(int device); /* aclrtResetDevice, aclFinalize; leaks are violations */

/* Work `name` of stream `stream` at `now` touches the ranges; reports races. Host: stream < 0. */
void memory_access(const char *name, int stream, const struct clock *now,
                   const struct range *ranges, size_t n);
/* Overwrites, in a copy of [begin, end) at `bytes`, what queued work has yet to write. */
size_t memory_poison(uint64_t begin, uint64_t end, uint8_t *bytes);
extern struct clock host_clock; /* what the host has waited for */

struct pinned {
    uint8_t *bytes;
    size_t size;
};
bool pinned_find(const void *address, size_t size);

/* ---- stream.c ---- */

struct work {
    int refs;
    const char *name;
    void (*run)(void *data);
    void (*drop)(void *data);
    void *data;
    struct range *ranges;
    size_t n_ranges;
    bool kernel;      /* an operator: counted as a launch */
    const void *host; /* host memory it reads or writes later, or NULL */
    size_t host_size;
    bool host_write;
};

struct task {
    struct task *next;
    struct work *work; /* NULL: record or wait */
    struct event *record;
    uint64_t generation;
    struct stream *wait_stream;
    uint64_t wait_seq;
    uint64_t seq;
};

struct model;
struct stream {
    int device;
    int index; /* into clocks */
    struct clock clock;
    struct task *head, *tail;
    uint64_t queued, demanded, done;
    bool stop, hung;
    pthread_t thread;
    struct model *capture; /* what is captured from it, or NULL */
    struct group *update;  /* open task update */
    struct work **update_work;
    size_t n_update;
};

struct event {
    bool timed;
    bool recorded;
    uint64_t generation, completed;
    struct stream *stream; /* of the last record */
    uint64_t seq;
    struct clock clock;
    uint64_t capture; /* number of the capture that it was recorded in; 0: none */
    double time;      /* when the record ran, in ms */
    struct event *next_dead;
};

struct work *work_new(const char *name, void (*run)(void *), void (*drop)(void *), void *data);
void work_range(struct work *work, uint64_t begin, uint64_t end, bool write);
void work_release(struct work *work);
/* Takes the work over. The stream may be NULL (the default stream of the thread's device). */
aclError stream_submit(aclrtStream stream, struct work *work);
aclError stream_get(aclrtStream handle, struct stream **out); /* with sim_lock held */
aclError stream_wait(struct stream *stream, int timeout_ms);  /* with sim_lock held */
aclError device_wait(int device, int timeout_ms);             /* with sim_lock held */
void stream_free(struct stream *stream);
void stream_demand(struct stream *stream, uint64_t seq);
/* The clock knows what the other knew, too. */
void clock_join(struct clock *clock, const struct clock *other);
aclError device_error(int device); /* of a lost device */
void device_lose(int device, aclError code);
int current_device(void); /* -1: none */
void streams_release_all(int device);
bool work_uses_host(const void *address, size_t size); /* by a queued copy */

/* ---- capture.c ---- */

/* Refuses what must not happen while a capture is active; `what` names the call. */
aclError capture_forbids(const char *what);
uint64_t capture_number(const struct model *model); /* 0 of NULL */
void capture_add(struct model *model, struct stream *stream, struct work *work);
aclError capture_wait(struct stream *stream, struct event *event);

/* ---- op.c: views, the two phases ---- */

struct view {
    const char *name;
    bool present, output;
    aclDataType dtype;
    aclFormat format;
    int n_dims;
    int64_t dims[MAX_DIMS], strides[MAX_DIMS];
    int64_t offset; /* elements from address */
    uint64_t address;
    int64_t storage; /* elements */
};

/* Bits for op_in and op_out. */
#define TYPE(dtype) (1ull << (dtype))
#define HALVES (TYPE(ACL_FLOAT16) | TYPE(ACL_BF16))
#define FLOATS (HALVES | TYPE(ACL_FLOAT))
#define INTS (TYPE(ACL_INT8) | TYPE(ACL_UINT8) | TYPE(ACL_INT32) | TYPE(ACL_INT64))
#define INDICES (TYPE(ACL_INT32) | TYPE(ACL_INT64))
#define BOOLS (TYPE(ACL_BOOL))
#define ANY (FLOATS | INTS | BOOLS | TYPE(ACL_INT16) | TYPE(ACL_DOUBLE))

enum { MAX_PARAMS = 24 };

/* What the first phase fixed; shared by all launches of an executor. */
struct plan {
    int refs;
    const char *name;
    void (*run)(const struct plan *plan, const struct view *views);
    int64_t i[MAX_PARAMS];
    double d[8];
    int64_t *ints[2]; /* host arrays, as they were */
    uint64_t n_ints[2];
};

struct aclOpExecutor {
    struct plan *plan;
    struct view *views;
    const struct aclTensor **tensors; /* where the views came from */
    size_t n_views;
    uint64_t workspace;
    bool repeatable, launched;
    aclnnStatus status;
};
typedef struct aclOpExecutor op;

op *op_new(const char *name);
/* Appends a tensor to the operator's; a failure stays with op. Never NULL. */
const struct view *op_in(op *o, const char *name, const aclTensor *tensor, uint64_t types);
const struct view *op_optional(op *o, const char *name, const aclTensor *tensor, uint64_t types);
const struct view *op_out(op *o, const char *name, const aclTensor *tensor, uint64_t types);
/* An output that is also read. */
const struct view *op_ref(op *o, const char *name, const aclTensor *tensor, uint64_t types);
/* A list of exactly one tensor; NULL only when optional. */
const struct view *op_list(op *o, const char *name, const aclTensorList *list, uint64_t types,
                           bool optional, bool output);
void op_null(op *o, const char *name, const void *argument); /* must be NULL on Atlas A2 */
bool op_need(op *o, bool condition, const char *format, ...) __attribute__((format(printf, 3, 4)));
void op_same_type(op *o, const struct view *a, const struct view *b);
void op_same_shape(op *o, const struct view *a, const struct view *b);
void op_shape(op *o, const struct view *v, int n_dims, ...); /* int64_t each; -1: any */
void op_ints(op *o, int slot, const aclIntArray *array);
int64_t op_axis(op *o, const struct view *v, int64_t dim); /* negative ones from the end */
double op_scalar(op *o, const char *name, const aclScalar *scalar);
aclnnStatus op_done(op *o, void (*run)(const struct plan *, const struct view *),
                    uint64_t workspace, uint64_t *workspace_size, aclOpExecutor **executor);
aclnnStatus op_launch(const char *name, void *workspace, uint64_t size, aclOpExecutor *executor,
                      aclrtStream stream);

/* The second phase of an operator. */
#define LAUNCH(operator) \
    aclnnStatus sim_##operator(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, \
                               aclrtStream stream) \
    { \
        return op_launch(#operator, workspace, workspaceSize, executor, stream); \
    }

/* ---- values.c: what runs on the stream's thread; memory is freed after the operator ---- */

size_t type_bits(aclDataType type);
int64_t view_elements(const struct view *v);
uint64_t view_begin(const struct view *v), view_end(const struct view *v); /* bytes touched */
bool view_broadcasts(const struct view *from, int n_dims, const int64_t *dims);
bool view_dense(const struct view *v);
bool views_overlap(const struct view *a, const struct view *b); /* of elements, not of ranges */
struct view view_expand(const struct view *v, int n_dims, const int64_t *dims);
/* With the axis last, so that rows along it are dense once loaded. */
struct view view_axis_last(const struct view *v, int axis);
/* An operator that reads parts of its tensors only says how much that was. */
extern _Thread_local uint64_t operator_bytes;
void *scratch(size_t size);
void scratch_release(void);
float *load(const struct view *v); /* in the order of the dims */
double *load_f64(const struct view *v);
int64_t *load_i64(const struct view *v);
void store(const struct view *v, const float *values); /* rounded to the view's type */
void store_f64(const struct view *v, const double *values);
void store_i64(const struct view *v, const int64_t *values);
float round_to(aclDataType type, float value);

/* ---- ops_matmul.c ---- */

/* c[m, n] += a[m, k] b[k, n], float32 sums */
void matmul(const float *a, const float *b, float *c, int64_t m, int64_t k, int64_t n);

/* ---- meta.c ---- */

struct aclTensor {
    struct view view;
    bool in_list;
    const char *fault; /* why it cannot be used, or NULL */
};
struct aclScalar {
    aclDataType dtype;
    double value;
};
struct aclIntArray {
    uint64_t size;
    int64_t *values;
};
struct aclFloatArray {
    uint64_t size;
    float *values;
};
struct aclBoolArray {
    uint64_t size;
    bool *values;
};
struct aclTensorList {
    uint64_t size;
    const aclTensor **tensors;
};

#endif
