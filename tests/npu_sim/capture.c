/* capture.c - captured models: what a stream was given between begin and end, to be run again.
 *
 * A captured operator is not run; its addresses, scalars and host arrays are those of that moment.
 * Another stream joins the capture by waiting for an event recorded inside it, and must be joined
 * back before the end. The order of capture is an order of execution, so a replay runs the works
 * one after the other as one task of its stream; whether two streams' works were in need of an
 * order is checked at the end, pair by pair. A task group is a run of works that an update replaces
 * by as many operators of the same names.
 *
 * What a capture forbids (mode global: on every thread; local: on its own; relaxed: nothing) also
 * breaks it, so that the end reports it as invalidated. */
#include "sim.h"
#include <stdlib.h>
#include <string.h>

struct captured {
    struct work *work;
    int stream;
    struct clock clock;
};

struct group {
    struct model *model;
    size_t begin, end;
};

struct model {
    struct captured *works;
    size_t n, capacity;
    struct stream *origin, *joined[NPU_SIM_STREAMS];
    size_t n_joined;
    pthread_t thread;
    aclmdlRICaptureMode mode;
    bool active, invalid;
    size_t group_begin;
    bool in_group;
    struct range *ranges; /* of all works, merged */
    size_t n_ranges;
    struct group **groups;
    size_t n_groups;
    void *token; /* device memory that replays read and updates write: their order is checked */
    struct model *next; /* active ones */
    uint64_t number;    /* never used again: an event may outlive the model */
};

static struct model *active_models;
static uint64_t n_captures;
static _Thread_local aclmdlRICaptureMode thread_mode = ACL_MODEL_RI_CAPTURE_MODE_GLOBAL;

aclError capture_forbids(const char *what)
{
    aclError error = SUCCESS;
    pthread_mutex_lock(&sim_lock);
    for (struct model *m = active_models; m; m = m->next) {
        bool own = pthread_equal(m->thread, pthread_self());
        aclmdlRICaptureMode mode = m->mode;
        if (!own && thread_mode > mode) mode = thread_mode;
        if (mode == ACL_MODEL_RI_CAPTURE_MODE_RELAXED) continue;
        if (mode == ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL && !own) continue;
        m->invalid = true;
        error = sim_error(RT_CAPTURE_MODE_NOT_SUPPORT, "%s while a stream is being captured", what);
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

uint64_t capture_number(const struct model *model)
{
    return model ? model->number : 0;
}

void capture_add(struct model *m, struct stream *s, struct work *work)
{
    if (m->n == m->capacity) {
        m->capacity = m->capacity ? 2 * m->capacity : 64;
        m->works = realloc(m->works, m->capacity * sizeof *m->works);
        if (!m->works) sim_give_up("the host is out of memory");
    }
    m->works[m->n++] = (struct captured){work, s->index, s->clock};
}

aclError capture_wait(struct stream *s, struct event *e)
{
    struct model *m = active_models; /* the event's, if it is going on */
    while (m && m->number != e->capture) m = m->next;
    if (!e->capture)
        return sim_error(RT_CAPTURE_DEPENDENCY,
                         "a captured stream waits for an event from outside");
    if (s->capture && s->capture->number != e->capture)
        return sim_error(RT_STREAM_CAPTURED, "the event belongs to another capture");
    if (!m)
        return sim_error(RT_EVENT_CAPTURED,
                         "the event was recorded inside a capture that has ended");
    if (!s->capture) {
        s->capture = m;
        m->joined[m->n_joined++] = s;
        if (s->update) return sim_error(RT_STREAM_CAPTURE_UNMATCHED, "a task update is open");
    }
    clock_join(&s->clock, &e->clock);
    return SUCCESS;
}

static bool ranges_conflict(const struct work *a, const struct work *b)
{
    for (size_t i = 0; i < a->n_ranges; i++)
        for (size_t j = 0; j < b->n_ranges; j++)
            if ((a->ranges[i].write || b->ranges[j].write) &&
                a->ranges[i].begin < b->ranges[j].end && b->ranges[j].begin < a->ranges[i].end)
                return true;
    return false;
}

static void check_races(const struct model *m)
{
    for (size_t i = 0; m->n_joined && i < m->n; i++)
        for (size_t j = i + 1; j < m->n; j++) {
            const struct captured *a = &m->works[i], *b = &m->works[j];
            if (a->stream == b->stream || b->clock.time[a->stream] >= a->clock.time[a->stream])
                continue;
            if (ranges_conflict(a->work, b->work))
                sim_violate("race inside a capture: %s of stream %d and %s of stream %d",
                            a->work->name, a->stream, b->work->name, b->stream);
        }
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    if (x->write != y->write) return x->write - y->write;
    if (x->allocation != y->allocation) return x->allocation < y->allocation ? -1 : 1;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static void merge_ranges(struct model *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) n += m->works[i].work->n_ranges;
    free(m->ranges);
    m->ranges = sim_alloc(n * sizeof *m->ranges);
    n = 0;
    for (size_t i = 0; i < m->n; i++)
        for (size_t j = 0; j < m->works[i].work->n_ranges; j++)
            m->ranges[n++] = m->works[i].work->ranges[j];
    qsort(m->ranges, n, sizeof *m->ranges, compare_ranges);
    m->n_ranges = 0;
    for (size_t i = 0; i < n; i++) {
        struct range *last = m->n_ranges ? &m->ranges[m->n_ranges - 1] : NULL;
        const struct range *r = &m->ranges[i];
        if (last && last->write == r->write && last->allocation == r->allocation &&
            r->begin <= last->end) {
            if (r->end > last->end) last->end = r->end;
        } else {
            m->ranges[m->n_ranges++] = *r;
        }
    }
}

static void model_free(struct model *m)
{
    for (size_t i = 0; i < m->n; i++) work_release(m->works[i].work);
    for (size_t i = 0; i < m->n_groups; i++) {
        handle_remove(HANDLE_GROUP, m->groups[i]);
        free(m->groups[i]);
    }
    free(m->groups);
    free(m->works);
    free(m->ranges);
    free(m);
}

/* ---- begin and end ---- */

aclError sim_aclmdlRICaptureBegin(aclrtStream stream, aclmdlRICaptureMode mode)
{
    ENTER(aclmdlRICaptureBegin);
    if (mode < 0 || mode > ACL_MODEL_RI_CAPTURE_MODE_RELAXED)
        return sim_error(RT_PARAM_INVALID, "aclmdlRICaptureBegin: mode %d", (int)mode);
    if (!stream)
        return sim_error(RT_STREAM_CAPTURE_UNMATCHED, "the default stream cannot be captured");
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    aclError error = stream_get(stream, &s);
    if (!error) error = device_error(s->device);
    if (!error && s->capture)
        error = sim_error(RT_STREAM_CAPTURED, "aclmdlRICaptureBegin: it is being captured already");
    if (!error) {
        struct model *m = sim_alloc(sizeof *m);
        m->origin = s;
        m->thread = pthread_self();
        m->mode = mode;
        m->active = true;
        m->number = ++n_captures;
        m->next = active_models;
        active_models = m;
        s->capture = m;
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

static aclError capture_close(struct model *m)
{
    aclError error = SUCCESS;
    struct model **link = &active_models;
    while (*link != m) link = &(*link)->next;
    *link = m->next;
    m->active = false;
    for (size_t i = 0; i < m->n_joined; i++) {
        struct stream *s = m->joined[i];
        if (m->origin->clock.time[s->index] < s->clock.time[s->index])
            error = sim_error(RT_STREAM_UNJOINED,
                              "aclmdlRICaptureEnd: a stream that joined the capture "
                              "was not waited for");
        s->capture = NULL;
    }
    m->origin->capture = NULL;
    if (!error && m->in_group)
        error = sim_error(RT_STREAM_CAPTURE_UNMATCHED, "aclmdlRICaptureEnd: a task group is open");
    if (!error && m->invalid)
        error = sim_error(RT_STREAM_CAPTURE_INVALIDATED,
                          "aclmdlRICaptureEnd: a call that captures forbid came in between");
    return error;
}

aclError sim_aclmdlRICaptureEnd(aclrtStream stream, aclmdlRI *modelRI)
{
    aclError fault = sim_enter("aclmdlRICaptureEnd"); /* the capture ends all the same */
    if (!modelRI) return sim_error(INVALID_PARAM, "aclmdlRICaptureEnd: modelRI is NULL");
    *modelRI = NULL;
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    struct model *m = NULL;
    aclError error = stream_get(stream, &s);
    if (!error && !s->capture)
        error = sim_error(RT_STREAM_NOT_CAPTURED, "aclmdlRICaptureEnd: no capture was begun on it");
    if (!error) m = s->capture;
    if (!error && m->origin != s) {
        error =
            sim_error(RT_STREAM_CAPTURE_UNMATCHED, "aclmdlRICaptureEnd: begun on another stream");
    } else if (!error && !pthread_equal(m->thread, pthread_self())) {
        error = sim_error(RT_STREAM_CAPTURE_WRONG_THREAD,
                          "aclmdlRICaptureEnd: begun by another thread");
    } else if (!error) {
        error = capture_close(m);
        if (!error) error = fault;
        /* The thread's own order: what was captured has not run. */
        s->clock.time[s->index]++;
        if (error) {
            model_free(m);
        } else {
            check_races(m);
            merge_ranges(m);
        }
    }
    int device = error ? 0 : s->device;
    pthread_mutex_unlock(&sim_lock);
    if (error) return error;
    memory_alloc(device, &m->token, 64);
    handle_add(HANDLE_MODEL, m);
    *modelRI = m;
    return SUCCESS;
}

aclError sim_aclmdlRICaptureGetInfo(aclrtStream stream, aclmdlRICaptureStatus *status,
                                    aclmdlRI *modelRI)
{
    ENTER(aclmdlRICaptureGetInfo);
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    aclError error = stream_get(stream, &s);
    if (!error && status)
        *status = !s->capture           ? ACL_MODEL_RI_CAPTURE_STATUS_NONE
                  : s->capture->invalid ? ACL_MODEL_RI_CAPTURE_STATUS_INVALIDATED
                                        : ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE;
    if (!error && modelRI) *modelRI = s->capture;
    pthread_mutex_unlock(&sim_lock);
    return error;
}

aclError sim_aclmdlRICaptureThreadExchangeMode(aclmdlRICaptureMode *mode)
{
    ENTER(aclmdlRICaptureThreadExchangeMode);
    if (!mode || *mode < 0 || *mode > ACL_MODEL_RI_CAPTURE_MODE_RELAXED)
        return sim_error(RT_PARAM_INVALID, "aclmdlRICaptureThreadExchangeMode: no valid mode");
    aclmdlRICaptureMode old = thread_mode;
    thread_mode = *mode;
    *mode = old;
    return SUCCESS;
}

/* ---- replay ---- */

static void replay(void *data)
{
    struct model *m = data;
    sim_sleep(sim_number("NPU_SIM_DELAY", 0));
    for (size_t i = 0; i < m->n; i++) {
        m->works[i].work->run(m->works[i].work->data);
        scratch_release();
    }
}

aclError sim_aclmdlRIExecuteAsync(aclmdlRI modelRI, aclrtStream stream)
{
    ENTER(aclmdlRIExecuteAsync);
    if (!handle_is(HANDLE_MODEL, modelRI))
        return sim_error(RT_INVALID_HANDLE, "aclmdlRIExecuteAsync: %p is not a captured model",
                         modelRI);
    struct model *m = modelRI;
    struct work *work = work_new("captured model", replay, NULL, m);
    pthread_mutex_lock(&sim_lock);
    work->ranges = sim_alloc((m->n_ranges + 1) * sizeof *work->ranges);
    memcpy(work->ranges, m->ranges, m->n_ranges * sizeof *work->ranges);
    work->n_ranges = m->n_ranges;
    for (size_t i = 0; i < m->n; i++) {
        const struct work *w = m->works[i].work;
        if (w->host_write) memset((void *)w->host, 0xFF, w->host_size);
    }
    pthread_mutex_unlock(&sim_lock);
    uint64_t token = (uint64_t)(uintptr_t)m->token;
    work_range(work, token, token + 64, false);
    work->kernel = true;
    aclError error = stream_submit(stream, work);
    if (!error) __atomic_add_fetch(&sim_count.model_launches, 1, __ATOMIC_RELAXED);
    return error;
}

aclError sim_aclmdlRIExecute(aclmdlRI modelRI, int32_t timeout)
{
    ENTER(aclmdlRIExecute);
    aclError error = sim_aclmdlRIExecuteAsync(modelRI, NULL);
    return error ? error : sim_aclrtSynchronizeStreamWithTimeout(NULL, timeout);
}

aclError sim_aclmdlRIDestroy(aclmdlRI modelRI)
{
    ENTER(aclmdlRIDestroy);
    if (!handle_remove(HANDLE_MODEL, modelRI)) {
        sim_violate("aclmdlRIDestroy(%p): not a captured model, or destroyed before", modelRI);
        return sim_error(RT_INVALID_HANDLE, "aclmdlRIDestroy(%p): not a captured model", modelRI);
    }
    struct model *m = modelRI;
    memory_free(m->token); /* a violation if a replay was not waited for */
    pthread_mutex_lock(&sim_lock);
    if (m->origin && current_device() >= 0) device_wait(current_device(), -1);
    model_free(m);
    pthread_mutex_unlock(&sim_lock);
    return SUCCESS;
}

/* ---- task groups ---- */

aclError sim_aclmdlRICaptureTaskGrpBegin(aclrtStream stream)
{
    ENTER(aclmdlRICaptureTaskGrpBegin);
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    aclError error = stream_get(stream, &s);
    if (!error && !s->capture)
        error =
            sim_error(RT_STREAM_NOT_CAPTURED, "aclmdlRICaptureTaskGrpBegin: it is not captured");
    if (!error && s->capture->in_group)
        error = sim_error(RT_PARAM_INVALID, "aclmdlRICaptureTaskGrpBegin: a group is open");
    if (!error) {
        s->capture->in_group = true;
        s->capture->group_begin = s->capture->n;
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

aclError sim_aclmdlRICaptureTaskGrpEnd(aclrtStream stream, aclrtTaskGrp *handle)
{
    ENTER(aclmdlRICaptureTaskGrpEnd);
    if (!handle) return sim_error(INVALID_PARAM, "aclmdlRICaptureTaskGrpEnd: handle is NULL");
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    aclError error = stream_get(stream, &s);
    if (!error && (!s->capture || !s->capture->in_group))
        error = sim_error(RT_STREAM_NOT_CAPTURED, "aclmdlRICaptureTaskGrpEnd: no group is open");
    if (!error) {
        struct model *m = s->capture;
        struct group *g = sim_alloc(sizeof *g);
        *g = (struct group){m, m->group_begin, m->n};
        m->in_group = false;
        m->groups = realloc(m->groups, (m->n_groups + 1) * sizeof *m->groups);
        if (!m->groups) sim_give_up("the host is out of memory");
        m->groups[m->n_groups++] = g;
        handle_add(HANDLE_GROUP, g);
        *handle = g;
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

aclError sim_aclmdlRICaptureTaskUpdateBegin(aclrtStream stream, aclrtTaskGrp handle)
{
    ENTER(aclmdlRICaptureTaskUpdateBegin);
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    aclError error = stream_get(stream, &s);
    if (!error && !handle_is(HANDLE_GROUP, handle))
        error = sim_error(RT_INVALID_HANDLE, "aclmdlRICaptureTaskUpdateBegin: not a task group");
    if (!error && (s->capture || s->update))
        error =
            sim_error(RT_STREAM_CAPTURED, "aclmdlRICaptureTaskUpdateBegin: the stream is in use");
    if (!error) s->update = handle;
    pthread_mutex_unlock(&sim_lock);
    return error;
}

struct update {
    struct group *group;
    struct work **works;
    size_t n;
};

static void update_run(void *data)
{
    struct update *u = data;
    pthread_mutex_lock(&sim_lock);
    const char *updates = getenv("NPU_SIM_UPDATES");
    bool ignored = updates && !strcmp(updates, "ignored");
    for (size_t i = 0; i < u->n; i++) {
        struct captured *c = &u->group->model->works[u->group->begin + i];
        work_release(ignored ? u->works[i] : c->work);
        if (!ignored) c->work = u->works[i];
    }
    u->n = 0;
    pthread_mutex_unlock(&sim_lock);
}

static void update_drop(void *data)
{
    struct update *u = data;
    for (size_t i = 0; i < u->n; i++) work_release(u->works[i]);
    free(u->works);
    free(u);
}

aclError sim_aclmdlRICaptureTaskUpdateEnd(aclrtStream stream)
{
    aclError fault = sim_enter("aclmdlRICaptureTaskUpdateEnd"); /* the update ends all the same */
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    aclError error = stream_get(stream, &s);
    if (!error && !s->update)
        error =
            sim_error(RT_STREAM_CAPTURE_UNMATCHED, "aclmdlRICaptureTaskUpdateEnd: none is open");
    struct update *u = NULL;
    if (!error) {
        struct group *g = s->update;
        u = sim_alloc(sizeof *u);
        *u = (struct update){g, s->update_work, s->n_update};
        s->update = NULL;
        s->update_work = NULL;
        s->n_update = 0;
        bool same = u->n == g->end - g->begin;
        for (size_t i = 0; same && i < u->n; i++)
            same = !strcmp(u->works[i]->name, g->model->works[g->begin + i].work->name);
        if (fault || !same) {
            error = fault ? fault
                          : sim_error(RT_FEATURE_NOT_SUPPORT_UPDATE_OP,
                                      "aclmdlRICaptureTaskUpdateEnd: not the operators of the "
                                      "group");
            update_drop(u);
            u = NULL;
        } else {
            sim_count.updates += u->n;
        }
    }
    if (u) { /* replays from now on may touch what either touches */
        struct model *m = u->group->model;
        for (size_t i = 0; i < u->n; i++)
            for (size_t j = 0; j < u->works[i]->n_ranges; j++) {
                m->ranges = realloc(m->ranges, (m->n_ranges + 1) * sizeof *m->ranges);
                if (!m->ranges) sim_give_up("the host is out of memory");
                m->ranges[m->n_ranges++] = u->works[i]->ranges[j];
            }
    }
    pthread_mutex_unlock(&sim_lock);
    if (!u) return error;
    struct work *work = work_new("task update", update_run, update_drop, u);
    uint64_t token = (uint64_t)(uintptr_t)u->group->model->token;
    work_range(work, token, token + 64, true);
    return stream_submit(stream, work);
}
