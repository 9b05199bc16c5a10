/* stream.c - devices and threads, streams, events: work in order, on a thread per stream, late.
 *
 * A stream's thread runs a task when it is demanded: by a wait of the host, a query, or by another
 * stream that waits for an event (NPU_SIM_ORDER=eager: at once). More than QUEUE_MOST tasks demand
 * the oldest, as a full queue does on hardware. An event is the record it had last when a stream is
 * made to wait for it, as in CANN; waiting for one that was never recorded does nothing. */
#include "sim.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QUEUE_MOST = 8192 };

static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct device {
    int users; /* aclrtSetDevice minus aclrtResetDevice */
    aclError error;
    struct stream *default_stream;
} devices[MAX_DEVICES];
static struct stream *streams[NPU_SIM_STREAMS];
static uint64_t stream_times[NPU_SIM_STREAMS]; /* an index is used again with a later clock */
static struct event *dead_events;              /* destroyed before their record ran */
static _Thread_local int thread_device = -1;

int current_device(void)
{
    return thread_device;
}

/* ---- work ---- */

struct work *work_new(const char *name, void (*run)(void *), void (*drop)(void *), void *data)
{
    struct work *work = sim_alloc(sizeof *work);
    *work = (struct work){.refs = 1, .name = name, .run = run, .drop = drop, .data = data};
    return work;
}

void work_range(struct work *work, uint64_t begin, uint64_t end, bool write)
{
    if (begin >= end) return;
    work->ranges = realloc(work->ranges, (work->n_ranges + 1) * sizeof *work->ranges);
    if (!work->ranges) sim_give_up("the host is out of memory");
    work->ranges[work->n_ranges++] = (struct range){begin, end, write, 0};
}

void work_release(struct work *work)
{
    if (!work || __atomic_sub_fetch(&work->refs, 1, __ATOMIC_ACQ_REL)) return;
    if (work->drop) work->drop(work->data);
    free(work->ranges);
    free(work);
}

/* ---- the stream's thread ---- */

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool ready(const struct stream *s)
{
    const struct task *t = s->head;
    if (!t || t->seq > s->demanded) return false;
    return !t->wait_stream || t->wait_stream->done >= t->wait_seq;
}

/* NPU_SIM_LOST and NPU_SIM_HANG, counted over operators. */
static bool task_faults(struct stream *s)
{
    uint64_t n = ++sim_operators_run;
    if (n == sim_number("NPU_SIM_LOST", 0)) {
        const char *code = strchr(getenv("NPU_SIM_LOST"), '=');
        device_lose(s->device, code ? atoi(code + 1) : RT_AICORE_EXCEPTION);
    }
    return n == sim_number("NPU_SIM_HANG", 0);
}

static void *stream_main(void *data)
{
    struct stream *s = data;
    pthread_mutex_lock(&sim_lock);
    for (;;) {
        while (!ready(s) && !s->stop) pthread_cond_wait(&changed, &sim_lock);
        if (s->stop) break;
        struct task *t = s->head;
        bool hangs = t->work && t->work->kernel && task_faults(s);
        if (t->work && !devices[s->device].error && !hangs) {
            pthread_mutex_unlock(&sim_lock);
            t->work->run(t->work->data);
            scratch_release();
            pthread_mutex_lock(&sim_lock);
        }
        s->hung = hangs;
        if (hangs) pthread_cond_broadcast(&changed);
        while (hangs && !s->stop && !devices[s->device].error)
            pthread_cond_wait(&changed, &sim_lock);
        if (s->stop) break;
        if (t->record) {
            t->record->time = now_ms();
            if (t->record->completed < t->generation) t->record->completed = t->generation;
        }
        s->head = t->next;
        if (!s->head) s->tail = NULL, sim_count.idle++;
        s->done = t->seq;
        /* Those who wait, wait for an event's record or for all that is demanded. */
        bool tell = t->record || !ready(s);
        work_release(t->work);
        free(t);
        if (tell) pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&sim_lock);
    return NULL;
}

static aclError stream_new(int device, struct stream **out)
{
    int index = 0;
    while (index < NPU_SIM_STREAMS && streams[index]) index++;
    if (index == NPU_SIM_STREAMS)
        return sim_error(RT_NO_STREAM_RESOURCE, "more than %d streams", NPU_SIM_STREAMS);
    struct stream *s = sim_alloc(sizeof *s);
    s->device = device;
    s->index = index;
    s->clock = host_clock;
    s->clock.time[index] = stream_times[index];
    if (pthread_create(&s->thread, NULL, stream_main, s)) sim_give_up("no thread for a stream");
    streams[index] = s;
    *out = s;
    return SUCCESS;
}

/* The thread must not hold sim_lock. Undone work is dropped. */
void stream_free(struct stream *s)
{
    pthread_mutex_lock(&sim_lock);
    s->stop = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&sim_lock);
    pthread_join(s->thread, NULL);
    pthread_mutex_lock(&sim_lock);
    for (struct task *t = s->head, *next; t; t = next) {
        next = t->next;
        if (t->record) t->record->completed = t->generation;
        work_release(t->work);
        free(t);
    }
    for (int i = 0; i < NPU_SIM_STREAMS; i++)
        for (struct task *t = streams[i] ? streams[i]->head : NULL; t; t = t->next)
            if (t->wait_stream == s) t->wait_stream = NULL;
    pthread_cond_broadcast(&changed);
    stream_times[s->index] = s->clock.time[s->index] + 1;
    host_clock.time[s->index] = stream_times[s->index];
    streams[s->index] = NULL;
    pthread_mutex_unlock(&sim_lock);
    free(s);
}

void stream_demand(struct stream *s, uint64_t seq)
{
    if (s->demanded >= seq) return;
    uint64_t before = s->demanded;
    s->demanded = seq;
    for (struct task *t = s->head; t && t->seq <= seq; t = t->next)
        if (t->wait_stream && t->seq > before) stream_demand(t->wait_stream, t->wait_seq);
    pthread_cond_broadcast(&changed);
}

void clock_join(struct clock *clock, const struct clock *other)
{
    for (int i = 0; i < NPU_SIM_STREAMS; i++)
        if (clock->time[i] < other->time[i]) clock->time[i] = other->time[i];
}

aclError stream_get(aclrtStream handle, struct stream **out)
{
    if (thread_device < 0)
        return sim_error(RT_CONTEXT_NULL, "no device is set in this thread: call aclrtSetDevice");
    if (!handle) {
        struct device *d = &devices[thread_device];
        if (!d->default_stream) {
            aclError error = stream_new(thread_device, &d->default_stream);
            if (error) return error;
        }
        *out = d->default_stream;
        return SUCCESS;
    }
    if (!handle_is(HANDLE_STREAM, handle))
        return sim_error(RT_INVALID_HANDLE, "%p is not a stream, or a destroyed one", handle);
    struct stream *s = handle;
    if (s->device != thread_device)
        return sim_error(RT_STREAM_CONTEXT, "a stream of device %d is used while device %d is set",
                         s->device, thread_device);
    *out = s;
    return SUCCESS;
}

aclError stream_wait(struct stream *s, int timeout_ms)
{
    uint64_t target = s->queued;
    struct clock clock = s->clock;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) until.tv_sec++, until.tv_nsec -= 1000000000L;
    stream_demand(s, target);
    while (s->done < target) {
        if (timeout_ms < 0 && s->hung) { /* the hardware's own limit for one operator */
            device_lose(s->device, RT_AICORE_TIMEOUT);
            pthread_cond_broadcast(&changed);
        }
        int failed = timeout_ms < 0 ? pthread_cond_wait(&changed, &sim_lock)
                                    : pthread_cond_timedwait(&changed, &sim_lock, &until);
        if (failed == ETIMEDOUT)
            return sim_error(RT_STREAM_SYNC_TIMEOUT, "the stream did not end within %d ms",
                             timeout_ms);
    }
    clock_join(&host_clock, &clock);
    return device_error(s->device);
}

aclError device_wait(int device, int timeout_ms)
{
    aclError error = device_error(device);
    for (int i = 0; i < NPU_SIM_STREAMS; i++)
        if (streams[i] && streams[i]->device == device) {
            aclError e = stream_wait(streams[i], timeout_ms);
            if (!error) error = e;
        }
    return error;
}

static void stream_push(struct stream *s, struct task task)
{
    struct task *t = sim_alloc(sizeof *t);
    *t = task;
    t->seq = ++s->queued;
    if (s->tail) s->tail->next = t;
    else s->head = t;
    s->tail = t;
    if (sim_eager()) stream_demand(s, t->seq);
    if (t->seq - s->done > QUEUE_MOST) stream_demand(s, t->seq - QUEUE_MOST);
}

/* Every range must lie in the allocation it was captured with, or, the first time, in a live one.
 */
static bool ranges_alive(struct work *work, int device)
{
    for (size_t i = 0; i < work->n_ranges; i++) {
        struct range *r = &work->ranges[i];
        int holder = -1;
        uint64_t serial = memory_find(r->begin, r->end - r->begin, &holder);
        if (!serial || holder != device || (r->allocation && r->allocation != serial)) {
            sim_violate("%s %s %llu bytes at 0x%llx, %s", work->name, r->write ? "writes" : "reads",
                        (unsigned long long)(r->end - r->begin), (unsigned long long)r->begin,
                        serial && holder != device ? "another device's memory"
                        : r->allocation            ? "freed since it was captured"
                                                   : "not within one live allocation");
            return false;
        }
        r->allocation = serial;
    }
    return true;
}

static void poison_host(const struct work *work)
{
    if (work->host && work->host_write) memset((void *)work->host, 0xFF, work->host_size);
}

static void count_copies(void)
{
    uint64_t n = 0;
    for (int i = 0; i < NPU_SIM_STREAMS; i++)
        for (struct task *t = streams[i] ? streams[i]->head : NULL; t; t = t->next)
            n += t->work && t->work->host && !t->work->host_write;
    if (n > sim_count.copies_queued_peak) sim_count.copies_queued_peak = n;
}

aclError stream_submit(aclrtStream handle, struct work *work)
{
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    aclError error = stream_get(handle, &s);
    if (!error) error = device_error(s->device);
    if (!error && !ranges_alive(work, s->device)) device_lose(s->device, RT_AICORE_EXCEPTION);
    if (error) {
        work_release(work);
    } else if (s->update) {
        s->update_work = realloc(s->update_work, (s->n_update + 1) * sizeof(struct work *));
        if (!s->update_work) sim_give_up("the host is out of memory");
        s->update_work[s->n_update++] = work;
    } else if (s->capture) {
        s->clock.time[s->index]++;
        capture_add(s->capture, s, work);
    } else {
        clock_join(&s->clock, &host_clock);
        s->clock.time[s->index]++;
        memory_access(work->name, s->index, &s->clock, work->ranges, work->n_ranges);
        poison_host(work);
        if (work->kernel) {
            sim_count.launches++;
            sim_count.stream_launches[s->index]++;
        }
        stream_push(s, (struct task){.work = work});
        count_copies();
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

bool work_uses_host(const void *address, size_t size)
{
    const uint8_t *begin = address;
    bool found = false;
    pthread_mutex_lock(&sim_lock);
    for (int i = 0; i < NPU_SIM_STREAMS; i++)
        for (struct task *t = streams[i] ? streams[i]->head : NULL; t; t = t->next) {
            const uint8_t *used = t->work ? t->work->host : NULL;
            if (used && used < begin + size && begin < used + t->work->host_size) found = true;
        }
    pthread_mutex_unlock(&sim_lock);
    return found;
}

/* ---- devices ---- */

aclError device_error(int device)
{
    aclError error = devices[device].error;
    return error ? sim_error(error, "device %d is lost: reset it", device) : SUCCESS;
}

void device_lose(int device, aclError code)
{
    if (!devices[device].error) devices[device].error = code;
}

static int device_count(void)
{
    uint64_t n = sim_number("NPU_SIM_DEVICES", 1);
    return n > MAX_DEVICES ? MAX_DEVICES : (int)n;
}

aclError sim_aclrtGetDeviceCount(uint32_t *count)
{
    ENTER(aclrtGetDeviceCount);
    if (!count) return sim_error(INVALID_PARAM, "aclrtGetDeviceCount: count is NULL");
    *count = (uint32_t)device_count();
    return *count ? SUCCESS : sim_error(RT_NO_DEVICE, "aclrtGetDeviceCount: no device");
}

aclError sim_aclrtSetDevice(int32_t deviceId)
{
    ENTER(aclrtSetDevice);
    if (deviceId < 0 || deviceId >= device_count())
        return sim_error(RT_INVALID_DEVICEID, "aclrtSetDevice(%d): there are %d devices", deviceId,
                         device_count());
    if (sim_busy("set"))
        return sim_error(RT_DEV_SETUP_ERROR, "EL0005: The resources are busy. drvRetCode=87");
    pthread_mutex_lock(&sim_lock);
    devices[deviceId].users++;
    thread_device = deviceId;
    pthread_mutex_unlock(&sim_lock);
    return SUCCESS;
}

aclError sim_aclrtGetDevice(int32_t *deviceId)
{
    ENTER(aclrtGetDevice);
    if (!deviceId) return sim_error(INVALID_PARAM, "aclrtGetDevice: deviceId is NULL");
    if (thread_device < 0) return sim_error(RT_CONTEXT_NULL, "aclrtGetDevice: no device is set");
    *deviceId = thread_device;
    return SUCCESS;
}

/* Everything of the device ends; streams and memory that the program forgot are violations. */
static void device_end(int device)
{
    streams_release_all(device);
    memory_release_all(device);
    pthread_mutex_lock(&sim_lock);
    devices[device].error = SUCCESS;
    pthread_mutex_unlock(&sim_lock);
}

static aclError device_reset(int32_t deviceId, bool force)
{
    if (deviceId < 0 || deviceId >= device_count())
        return sim_error(RT_INVALID_DEVICEID, "aclrtResetDevice(%d): no such device", deviceId);
    pthread_mutex_lock(&sim_lock);
    bool set = devices[deviceId].users > 0;
    if (set) devices[deviceId].users = force ? 0 : devices[deviceId].users - 1;
    bool last = set && !devices[deviceId].users;
    if (last && thread_device == deviceId) thread_device = -1;
    pthread_mutex_unlock(&sim_lock);
    if (!set) return sim_error(RT_CONTEXT_NULL, "aclrtResetDevice(%d): it was not set", deviceId);
    if (last) device_end(deviceId);
    return SUCCESS;
}

aclError sim_aclrtResetDevice(int32_t deviceId)
{
    ENTER(aclrtResetDevice);
    return device_reset(deviceId, false);
}

aclError sim_aclrtResetDeviceForce(int32_t deviceId)
{
    ENTER(aclrtResetDeviceForce);
    return device_reset(deviceId, true);
}

void streams_release_all(int device)
{
    size_t forgotten = 0;
    for (int i = 0; i < NPU_SIM_STREAMS; i++) {
        struct stream *s = streams[i];
        if (!s || s->device != device) continue;
        if (handle_remove(HANDLE_STREAM, s)) forgotten++;
        if (devices[device].default_stream == s) devices[device].default_stream = NULL;
        stream_free(s);
    }
    if (forgotten) sim_violate("%zu streams of device %d were not destroyed", forgotten, device);
}

/* A context is its device: the implicit one of aclrtSetDevice, shared by all threads. */
aclError sim_aclrtGetCurrentContext(aclrtContext *context)
{
    ENTER(aclrtGetCurrentContext);
    if (!context) return sim_error(INVALID_PARAM, "aclrtGetCurrentContext: context is NULL");
    if (thread_device < 0)
        return sim_error(RT_CONTEXT_NULL,
                         "aclrtGetCurrentContext: no device is set in this thread");
    *context = &devices[thread_device];
    return SUCCESS;
}

aclError sim_aclrtSetCurrentContext(aclrtContext context)
{
    ENTER(aclrtSetCurrentContext);
    struct device *d = context;
    if (d < devices || d >= devices + MAX_DEVICES || !d->users)
        return sim_error(RT_CONTEXT_NULL, "aclrtSetCurrentContext(%p): no such context", context);
    thread_device = (int)(d - devices);
    return SUCCESS;
}

/* ---- streams ---- */

aclError sim_aclrtCreateStream(aclrtStream *stream)
{
    ENTER(aclrtCreateStream);
    if (!stream) return sim_error(INVALID_PARAM, "aclrtCreateStream: stream is NULL");
    if (thread_device < 0) return sim_error(RT_CONTEXT_NULL, "aclrtCreateStream: no device is set");
    struct stream *s = NULL;
    pthread_mutex_lock(&sim_lock);
    aclError error = device_error(thread_device);
    if (!error) error = stream_new(thread_device, &s);
    pthread_mutex_unlock(&sim_lock);
    if (error) return error;
    handle_add(HANDLE_STREAM, s);
    *stream = s;
    return SUCCESS;
}

aclError sim_aclrtCreateStreamWithConfig(aclrtStream *stream, uint32_t priority, uint32_t flag)
{
    ENTER(aclrtCreateStreamWithConfig);
    uint32_t known = ACL_STREAM_FAST_LAUNCH | ACL_STREAM_FAST_SYNC;
    if (sim_cann() >= 85) known = 0x3F;
    if (priority > 7 || flag & ~known)
        return sim_error(RT_PARAM_INVALID, "aclrtCreateStreamWithConfig: priority %u, flag 0x%x",
                         priority, flag);
    return sim_aclrtCreateStream(stream);
}

static aclError stream_destroy(const char *name, aclrtStream stream, bool force)
{
    pthread_mutex_lock(&sim_lock);
    bool captured = handle_is(HANDLE_STREAM, stream) && ((struct stream *)stream)->capture;
    pthread_mutex_unlock(&sim_lock);
    if (captured) return sim_error(RT_STREAM_CAPTURED, "%s: the stream is being captured", name);
    if (!handle_is(HANDLE_STREAM, stream)) {
        sim_violate("%s(%p): not a stream, or destroyed before", name, stream);
        return sim_error(RT_INVALID_HANDLE, "%s(%p): not a stream", name, stream);
    }
    struct stream *s = stream;
    aclError error = SUCCESS;
    pthread_mutex_lock(&sim_lock);
    if (!force) error = stream_wait(s, -1); /* what is queued is run first */
    pthread_mutex_unlock(&sim_lock);
    handle_remove(HANDLE_STREAM, stream);
    stream_free(s);
    return error;
}

aclError sim_aclrtDestroyStream(aclrtStream stream)
{
    ENTER(aclrtDestroyStream);
    return stream_destroy("aclrtDestroyStream", stream, false);
}

aclError sim_aclrtDestroyStreamForce(aclrtStream stream)
{
    ENTER(aclrtDestroyStreamForce);
    return stream_destroy("aclrtDestroyStreamForce", stream, true);
}

static aclError synchronise(const char *name, aclrtStream stream, int timeout)
{
    aclError error = capture_forbids(name);
    if (error) return error;
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    error = stream_get(stream, &s);
    if (!error && s->capture)
        error = sim_error(RT_STREAM_CAPTURED, "%s: it is being captured", name);
    sim_count.synchronisations++;
    sim_count.stream_waits++;
    if (!error) error = stream_wait(s, timeout);
    pthread_mutex_unlock(&sim_lock);
    return error;
}

aclError sim_aclrtSynchronizeStream(aclrtStream stream)
{
    ENTER(aclrtSynchronizeStream);
    return synchronise("aclrtSynchronizeStream", stream, -1);
}

aclError sim_aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t timeout)
{
    ENTER(aclrtSynchronizeStreamWithTimeout);
    return synchronise("aclrtSynchronizeStreamWithTimeout", stream, timeout);
}

static aclError synchronise_device(const char *name, int timeout)
{
    aclError error = capture_forbids(name);
    if (error) return error;
    if (thread_device < 0) return sim_error(RT_CONTEXT_NULL, "%s: no device is set", name);
    pthread_mutex_lock(&sim_lock);
    sim_count.synchronisations++;
    sim_count.device_waits++;
    error = device_wait(thread_device, timeout);
    pthread_mutex_unlock(&sim_lock);
    return error;
}

aclError sim_aclrtSynchronizeDevice(void)
{
    ENTER(aclrtSynchronizeDevice);
    return synchronise_device("aclrtSynchronizeDevice", -1);
}

aclError sim_aclrtSynchronizeDeviceWithTimeout(int32_t timeout)
{
    ENTER(aclrtSynchronizeDeviceWithTimeout);
    return synchronise_device("aclrtSynchronizeDeviceWithTimeout", timeout);
}

aclError sim_aclrtStreamQuery(aclrtStream stream, aclrtStreamStatus *status)
{
    ENTER(aclrtStreamQuery);
    aclError error = capture_forbids("aclrtStreamQuery");
    if (error) return error;
    if (!status) return sim_error(INVALID_PARAM, "aclrtStreamQuery: status is NULL");
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    error = stream_get(stream, &s);
    sim_count.queries++;
    if (!error) {
        *status = s->done == s->queued ? ACL_STREAM_STATUS_COMPLETE : ACL_STREAM_STATUS_NOT_READY;
        if (s->done == s->queued) clock_join(&host_clock, &s->clock);
        stream_demand(s, s->queued);
        error = device_error(s->device);
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

/* ---- events ---- */

static aclError event_new(const char *name, aclrtEvent *event, bool timed)
{
    if (!event) return sim_error(INVALID_PARAM, "%s: event is NULL", name);
    if (thread_device < 0) return sim_error(RT_CONTEXT_NULL, "%s: no device is set", name);
    struct event *e = sim_alloc(sizeof *e);
    e->timed = timed;
    handle_add(HANDLE_EVENT, e);
    *event = e;
    return SUCCESS;
}

aclError sim_aclrtCreateEvent(aclrtEvent *event)
{
    ENTER(aclrtCreateEvent);
    return event_new("aclrtCreateEvent", event, true);
}

static aclError event_flags(const char *name, aclrtEvent *event, uint32_t flag)
{
    if (!flag || flag & ~0x7Fu) return sim_error(RT_PARAM_INVALID, "%s: flag 0x%x", name, flag);
    return event_new(name, event, flag & ACL_EVENT_TIME_LINE);
}

aclError sim_aclrtCreateEventWithFlag(aclrtEvent *event, uint32_t flag)
{
    ENTER(aclrtCreateEventWithFlag);
    return event_flags("aclrtCreateEventWithFlag", event, flag);
}

aclError sim_aclrtCreateEventExWithFlag(aclrtEvent *event, uint32_t flag)
{
    ENTER(aclrtCreateEventExWithFlag);
    return event_flags("aclrtCreateEventExWithFlag", event, flag);
}

static aclError event_get(const char *name, aclrtEvent event)
{
    return handle_is(HANDLE_EVENT, event)
               ? SUCCESS
               : sim_error(RT_INVALID_HANDLE, "%s: %p is not an event, or a destroyed one", name,
                           event);
}

aclError sim_aclrtDestroyEvent(aclrtEvent event)
{
    ENTER(aclrtDestroyEvent);
    pthread_mutex_lock(&sim_lock);
    bool known = handle_remove(HANDLE_EVENT, event);
    pthread_mutex_unlock(&sim_lock);
    if (!known) {
        sim_violate("aclrtDestroyEvent(%p): not an event, or destroyed before", event);
        return event_get("aclrtDestroyEvent", event);
    }
    struct event *e = event;
    if (e->completed < e->generation && !e->capture) { /* a queued record still writes to it */
        pthread_mutex_lock(&sim_lock);
        e->next_dead = dead_events;
        dead_events = e;
        pthread_mutex_unlock(&sim_lock);
    } else {
        free(e);
    }
    return SUCCESS;
}

aclError sim_aclrtRecordEvent(aclrtEvent event, aclrtStream stream)
{
    ENTER(aclrtRecordEvent);
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    struct event *e = event;
    aclError error = event_get("aclrtRecordEvent", event);
    if (!error) error = stream_get(stream, &s);
    if (!error) error = device_error(s->device);
    if (!error) {
        e->recorded = true;
        e->stream = s;
        e->capture = capture_number(s->capture);
        if (!s->capture) clock_join(&s->clock, &host_clock);
        e->clock = s->clock;
        e->generation++;
        if (!s->capture) {
            stream_push(s, (struct task){.record = e, .generation = e->generation});
            e->seq = s->queued;
        }
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

aclError sim_aclrtResetEvent(aclrtEvent event, aclrtStream stream)
{
    ENTER(aclrtResetEvent);
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    aclError error = event_get("aclrtResetEvent", event);
    if (!error) error = stream_get(stream, &s);
    if (!error) ((struct event *)event)->recorded = false;
    pthread_mutex_unlock(&sim_lock);
    return error;
}

aclError sim_aclrtStreamWaitEvent(aclrtStream stream, aclrtEvent event)
{
    ENTER(aclrtStreamWaitEvent);
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    struct event *e = event;
    aclError error = event_get("aclrtStreamWaitEvent", event);
    if (!error) error = stream_get(stream, &s);
    if (!error) error = device_error(s->device);
    if (!error && e->recorded && (s->capture || e->capture)) {
        error = capture_wait(s, e);
    } else if (!error && e->recorded) {
        clock_join(&s->clock, &e->clock);
        if (e->completed < e->generation && e->stream != s)
            stream_push(s, (struct task){.wait_stream = e->stream, .wait_seq = e->seq});
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

aclError sim_aclrtQueryEventStatus(aclrtEvent event, aclrtEventRecordedStatus *status)
{
    ENTER(aclrtQueryEventStatus);
    aclError error = capture_forbids("aclrtQueryEventStatus");
    if (error) return error;
    pthread_mutex_lock(&sim_lock);
    struct event *e = event;
    error = event_get("aclrtQueryEventStatus", event);
    if (!error && !status)
        error = sim_error(INVALID_PARAM, "aclrtQueryEventStatus: status is NULL");
    if (!error && e->capture)
        error = sim_error(RT_EVENT_CAPTURED, "aclrtQueryEventStatus: recorded inside a capture");
    sim_count.queries++;
    if (!error) {
        bool done = !e->recorded || e->completed >= e->generation;
        *status = done ? ACL_EVENT_RECORDED_STATUS_COMPLETE : ACL_EVENT_RECORDED_STATUS_NOT_READY;
        if (done && e->recorded) clock_join(&host_clock, &e->clock);
        if (!done) stream_demand(e->stream, e->seq);
        error = thread_device < 0 ? SUCCESS : device_error(thread_device);
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

aclError sim_aclrtSynchronizeEvent(aclrtEvent event)
{
    ENTER(aclrtSynchronizeEvent);
    aclError error = capture_forbids("aclrtSynchronizeEvent");
    if (error) return error;
    pthread_mutex_lock(&sim_lock);
    struct event *e = event;
    error = event_get("aclrtSynchronizeEvent", event);
    if (!error && e->capture)
        error = sim_error(RT_EVENT_CAPTURED, "aclrtSynchronizeEvent: recorded inside a capture");
    if (!error && e->recorded) {
        uint64_t generation = e->generation;
        struct clock clock = e->clock;
        sim_count.synchronisations++;
        sim_count.event_waits++;
        if (e->completed < generation) stream_demand(e->stream, e->seq);
        while (handle_is(HANDLE_EVENT, e) && e->completed < generation)
            pthread_cond_wait(&changed, &sim_lock);
        clock_join(&host_clock, &clock);
        error = thread_device < 0 ? SUCCESS : device_error(thread_device);
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

aclError sim_aclrtEventElapsedTime(float *ms, aclrtEvent startEvent, aclrtEvent endEvent)
{
    ENTER(aclrtEventElapsedTime);
    pthread_mutex_lock(&sim_lock);
    struct event *a = startEvent, *b = endEvent;
    aclError error = event_get("aclrtEventElapsedTime", a);
    if (!error) error = event_get("aclrtEventElapsedTime", b);
    if (!error && !ms) error = sim_error(INVALID_PARAM, "aclrtEventElapsedTime: ms is NULL");
    if (!error && (!a->timed || !b->timed || !a->recorded || !b->recorded ||
                   a->completed < a->generation || b->completed < b->generation))
        error =
            sim_error(RT_EVENT_TIMESTAMP_INVALID, "aclrtEventElapsedTime: an event without a time");
    if (!error && b->time < a->time)
        error = sim_error(RT_EVENT_TIMESTAMP_REVERSAL, "aclrtEventElapsedTime: the end is earlier");
    if (!error) *ms = (float)(b->time - a->time);
    pthread_mutex_unlock(&sim_lock);
    return error;
}
