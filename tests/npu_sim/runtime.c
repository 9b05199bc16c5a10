/* runtime.c - the rest of the runtime: start and end, memory, copies, what the device says of
 * itself.
 *
 * An asynchronous copy of memory that is not pinned is done at once, after what the stream holds,
 * and counts as a synchronisation. A queued copy to the host fills its destination with 0xFF until
 * it runs; a synchronous copy delivers 0xFF for what queued work has yet to write. */
#include "sim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool initialised;

/* ---- start and end ---- */

aclError sim_aclInit(const char *configPath)
{
    sim_start();
    ENTER(aclInit);
    (void)configPath;
    if (initialised) return sim_error(REPEAT_INITIALIZE, "aclInit was called before");
    if (sim_busy("init"))
        return sim_error(INTERNAL_ERROR, "Resource_Busy(EL0005): The resources are busy.");
    initialised = true;
    return SUCCESS;
}

static void forgotten(enum handle_kind kind)
{
    uint64_t n = handle_count(kind);
    if (n)
        sim_violate("%llu of kind %s were not destroyed", (unsigned long long)n, handle_name(kind));
}

static void forget_pinned(const void *object, void *data)
{
    (void)data;
    handle_remove(HANDLE_PINNED, object);
}

static void forget_event(const void *object, void *data)
{
    (void)data;
    handle_remove(HANDLE_EVENT, object);
}

aclError sim_aclFinalize(void)
{
    ENTER(aclFinalize);
    if (!initialised) return sim_error(REPEAT_FINALIZE, "aclFinalize without aclInit");
    initialised = false;
    forgotten(HANDLE_TENSOR);
    forgotten(HANDLE_TENSORS);
    forgotten(HANDLE_SCALAR);
    forgotten(HANDLE_INTS);
    forgotten(HANDLE_EXECUTOR);
    forgotten(HANDLE_MODEL);
    forgotten(HANDLE_PINNED);
    forgotten(HANDLE_EVENT);
    handle_each(HANDLE_PINNED, forget_pinned, NULL);
    handle_each(HANDLE_EVENT, forget_event, NULL);
    for (int d = 0; d < MAX_DEVICES; d++) {
        streams_release_all(d);
        memory_release_all(d);
    }
    return SUCCESS;
}

static aclError need_device(const char *name)
{
    if (!initialised) return sim_error(UNINITIALIZE, "%s before aclInit", name);
    if (current_device() < 0)
        return sim_error(RT_CONTEXT_NULL, "%s: no device is set in this thread", name);
    pthread_mutex_lock(&sim_lock);
    aclError error = device_error(current_device());
    pthread_mutex_unlock(&sim_lock);
    return error;
}

/* ---- memory ---- */

static aclError device_malloc(const char *name, void **out, size_t size,
                              aclrtMemMallocPolicy policy)
{
    aclError error = need_device(name);
    if (!error) error = capture_forbids(name);
    if (error) return error;
    if (!out || !size || policy < 0 || policy > ACL_MEM_MALLOC_NORMAL_ONLY_P2P)
        return sim_error(INVALID_PARAM, "%s: %p, %zu bytes, policy %d", name, (void *)out, size,
                         (int)policy);
    return memory_alloc(current_device(), out, size);
}

aclError sim_aclrtMalloc(void **devPtr, size_t size, aclrtMemMallocPolicy policy)
{
    ENTER(aclrtMalloc);
    return device_malloc("aclrtMalloc", devPtr, size, policy);
}

aclError sim_aclrtMallocAlign32(void **devPtr, size_t size, aclrtMemMallocPolicy policy)
{
    ENTER(aclrtMallocAlign32);
    return device_malloc("aclrtMallocAlign32", devPtr, size, policy);
}

aclError sim_aclrtFree(void *devPtr)
{
    ENTER(aclrtFree);
    if (current_device() < 0) return sim_error(RT_CONTEXT_NULL, "aclrtFree: no device is set");
    aclError error = capture_forbids("aclrtFree");
    if (error) return error;
    if (!devPtr) return sim_error(INVALID_PARAM, "aclrtFree: NULL");
    return memory_free(devPtr);
}

aclError sim_aclrtMallocHost(void **hostPtr, size_t size)
{
    ENTER(aclrtMallocHost);
    aclError error = need_device("aclrtMallocHost");
    if (error) return error;
    if (!hostPtr || !size) return sim_error(INVALID_PARAM, "aclrtMallocHost: %zu bytes", size);
    struct pinned *p = sim_alloc(sizeof *p);
    if (posix_memalign((void **)&p->bytes, 64, size)) {
        free(p);
        return sim_error(RT_MEMORY_ALLOCATION, "aclrtMallocHost: %zu bytes", size);
    }
    p->size = size;
    memset(p->bytes, 0xFF, size < 1u << 26 ? size : 1u << 26);
    handle_add(HANDLE_PINNED, p);
    *hostPtr = p->bytes;
    return SUCCESS;
}

struct pinned_of {
    const void *bytes;
    const struct pinned *found;
};

static void pinned_match(const void *object, void *data)
{
    struct pinned_of *q = data;
    if (((const struct pinned *)object)->bytes == q->bytes) q->found = object;
}

aclError sim_aclrtFreeHost(void *hostPtr)
{
    ENTER(aclrtFreeHost);
    struct pinned_of q = {hostPtr, NULL};
    handle_each(HANDLE_PINNED, pinned_match, &q);
    if (!q.found) {
        sim_violate("aclrtFreeHost(%p): not what aclrtMallocHost returned, or freed before",
                    hostPtr);
        return sim_error(RT_PARAM_INVALID, "aclrtFreeHost(%p): no such memory", hostPtr);
    }
    if (work_uses_host(q.found->bytes, q.found->size))
        sim_violate("aclrtFreeHost(%p) while a queued copy uses it", hostPtr);
    handle_remove(HANDLE_PINNED, q.found);
    free(q.found->bytes);
    free((void *)q.found);
    return SUCCESS;
}

aclError sim_aclrtGetMemInfo(aclrtMemAttr attr, size_t *free, size_t *total)
{
    ENTER(aclrtGetMemInfo);
    aclError error = need_device("aclrtGetMemInfo");
    if (error) return error;
    int last = sim_cann() >= 85 ? ACL_MEM_P2P_HUGE1G : ACL_HBM_MEM_P2P_HUGE1G;
    if (!free || !total || attr < 0 || (int)attr > last)
        return sim_error(INVALID_PARAM, "aclrtGetMemInfo: attribute %d", (int)attr);
    uint64_t f = 0, t = 0;
    pthread_mutex_lock(&sim_lock);
    if (attr != ACL_DDR_MEM && attr != ACL_DDR_MEM_HUGE && attr != ACL_DDR_MEM_NORMAL)
        memory_info(current_device(), &f, &t);
    pthread_mutex_unlock(&sim_lock);
    *free = f;
    *total = t;
    return SUCCESS;
}

/* ---- copies ---- */

struct copy {
    uint64_t to, from; /* device addresses or pointers */
    size_t row, rows, to_pitch, from_pitch;
    int kind;
    bool owned; /* `from` is a copy that was made at once */
    int value;  /* kind FILL */
};
enum { FILL = 100 };

static uint8_t *side(uint64_t address, bool device)
{
    return device ? sim_memory(address) : (uint8_t *)(uintptr_t)address;
}

/* As slow as NPU_SIM_COPY wants. */
static void take_time(const struct copy *c)
{
    uint64_t rate = sim_number("NPU_SIM_COPY", 0);
    if (!rate || c->kind != ACL_MEMCPY_HOST_TO_DEVICE) return;
    double seconds = (double)(c->row * c->rows) / (double)rate;
    struct timespec time = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&time, NULL);
}

static void copy_run(void *data)
{
    const struct copy *c = data;
    bool to_device = c->kind == ACL_MEMCPY_HOST_TO_DEVICE || c->kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
    bool from_device =
        c->kind == ACL_MEMCPY_DEVICE_TO_HOST || c->kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
    if (c->kind == FILL) {
        memset(sim_memory(c->to), c->value, c->row);
        return;
    }
    take_time(c);
    for (size_t i = 0; i < c->rows; i++)
        memmove(side(c->to, to_device) + i * c->to_pitch,
                side(c->from, from_device) + i * c->from_pitch, c->row);
}

static void copy_drop(void *data)
{
    struct copy *c = data;
    if (c->owned) free((void *)(uintptr_t)c->from);
    free(c);
}

/* The bytes from the first to the last that a side touches. */
static size_t extent(const struct copy *c, size_t pitch)
{
    return c->rows ? (c->rows - 1) * pitch + c->row : 0;
}

static aclError copy_check(const char *name, const struct copy *c, size_t room)
{
    if (c->kind == ACL_MEMCPY_DEFAULT && sim_cann() < 81)
        return sim_error(INVALID_PARAM, "%s: kind 4 is not known before 8.1", name);
    if (c->kind < 0 || c->kind > ACL_MEMCPY_DEVICE_TO_DEVICE)
        return sim_error(INVALID_PARAM, "%s: kind %d", name, c->kind);
    if (!c->to || !c->from || !c->row || room < c->row)
        return sim_error(INVALID_PARAM, "%s: %zu bytes into %zu", name, c->row, room);
    bool to_device = c->kind == ACL_MEMCPY_HOST_TO_DEVICE || c->kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
    bool from_device =
        c->kind == ACL_MEMCPY_DEVICE_TO_HOST || c->kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
    if (memory_is_device((void *)(uintptr_t)c->to) != to_device ||
        memory_is_device((void *)(uintptr_t)c->from) != from_device)
        return sim_error(RT_PARAM_INVALID, "%s: kind %d does not fit the addresses", name, c->kind);
    if ((to_device && !memory_find(c->to, extent(c, c->to_pitch), NULL)) ||
        (from_device && !memory_find(c->from, extent(c, c->from_pitch), NULL)))
        return sim_error(RT_PARAM_INVALID, "%s: %zu bytes are not within one live allocation", name,
                         c->row * c->rows);
    return SUCCESS;
}

static void count_copy(const struct copy *c)
{
    uint64_t bytes = c->row * c->rows;
    if (c->kind == ACL_MEMCPY_HOST_TO_DEVICE) sim_count.host_to_device += bytes;
    if (c->kind == ACL_MEMCPY_DEVICE_TO_HOST) sim_count.device_to_host += bytes;
    if (c->kind == ACL_MEMCPY_DEVICE_TO_DEVICE) sim_count.device_to_device += bytes;
}

static size_t copy_ranges(const struct copy *c, struct range ranges[2])
{
    size_t n = 0;
    bool to_device = c->kind == ACL_MEMCPY_HOST_TO_DEVICE ||
                     c->kind == ACL_MEMCPY_DEVICE_TO_DEVICE || c->kind == FILL;
    bool from_device =
        c->kind == ACL_MEMCPY_DEVICE_TO_HOST || c->kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
    if (to_device) ranges[n++] = (struct range){c->to, c->to + extent(c, c->to_pitch), true, 0};
    if (from_device)
        ranges[n++] = (struct range){c->from, c->from + extent(c, c->from_pitch), false, 0};
    return n;
}

static aclError copy_now(const char *name, struct copy c, size_t room)
{
    aclError error = need_device(name);
    if (!error) error = capture_forbids(name);
    if (error) return error;
    pthread_mutex_lock(&sim_lock);
    error = copy_check(name, &c, room);
    if (!error) {
        struct range ranges[2];
        memory_access(name, -1, &host_clock, ranges, copy_ranges(&c, ranges));
        copy_run(&c);
        if (c.kind == ACL_MEMCPY_DEVICE_TO_HOST && c.rows == 1)
            memory_poison(c.from, c.from + c.row, (uint8_t *)(uintptr_t)c.to);
        count_copy(&c);
        sim_count.sync_copies++;
    }
    pthread_mutex_unlock(&sim_lock);
    return error;
}

static aclError copy_later(const char *name, struct copy c, size_t room, aclrtStream stream)
{
    aclError error = need_device(name);
    if (error) return error;
    bool host_from = c.kind == ACL_MEMCPY_HOST_TO_DEVICE,
         host_to = c.kind == ACL_MEMCPY_DEVICE_TO_HOST;
    pthread_mutex_lock(&sim_lock);
    struct stream *s = NULL;
    error = stream_get(stream, &s);
    if (!error) error = copy_check(name, &c, room);
    if (!error) count_copy(&c);
    const void *host = host_from ? (void *)(uintptr_t)c.from
                       : host_to ? (void *)(uintptr_t)c.to
                                 : NULL;
    size_t host_size = extent(&c, host_from ? c.from_pitch : c.to_pitch);
    bool pageable = host && !pinned_find(host, host_size);
    if (!error && pageable && s->capture)
        error =
            sim_error(RT_STREAM_CAPTURED, "%s: host memory that is not pinned in a capture", name);
    if (!error && pageable && host_from) { /* taken over before the call returns */
        uint8_t *taken = sim_alloc(host_size);
        memcpy(taken, host, host_size);
        c.from = (uint64_t)(uintptr_t)taken;
        c.owned = true;
    }
    if (pageable) {
        sim_count.synchronisations++;
        sim_count.pageable_copies++;
    }
    pthread_mutex_unlock(&sim_lock);
    if (error) return error;
    struct copy *kept = sim_alloc(sizeof *kept);
    *kept = c;
    struct work *work = work_new(name, copy_run, copy_drop, kept);
    struct range ranges[2];
    size_t n = copy_ranges(&c, ranges);
    for (size_t i = 0; i < n; i++)
        work_range(work, ranges[i].begin, ranges[i].end, ranges[i].write);
    if (host && !pageable) {
        work->host = host;
        work->host_size = host_size;
        work->host_write = host_to && c.rows == 1;
    }
    error = stream_submit(stream, work);
    if (!error && pageable && host_to) {
        pthread_mutex_lock(&sim_lock);
        error = stream_get(stream, &s);
        if (!error) error = stream_wait(s, -1);
        pthread_mutex_unlock(&sim_lock);
    }
    return error;
}

static struct copy plain(void *dst, const void *src, size_t count, aclrtMemcpyKind kind)
{
    return (struct copy){.to = (uint64_t)(uintptr_t)dst,
                         .from = (uint64_t)(uintptr_t)src,
                         .row = count,
                         .rows = 1,
                         .kind = (int)kind};
}

aclError sim_aclrtMemcpy(void *dst, size_t destMax, const void *src, size_t count,
                         aclrtMemcpyKind kind)
{
    ENTER(aclrtMemcpy);
    return copy_now("aclrtMemcpy", plain(dst, src, count, kind), destMax);
}

aclError sim_aclrtMemcpyAsync(void *dst, size_t destMax, const void *src, size_t count,
                              aclrtMemcpyKind kind, aclrtStream stream)
{
    ENTER(aclrtMemcpyAsync);
    return copy_later("aclrtMemcpyAsync", plain(dst, src, count, kind), destMax, stream);
}

aclError sim_aclrtMemcpy2d(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width,
                           size_t height, aclrtMemcpyKind kind)
{
    ENTER(aclrtMemcpy2d);
    struct copy c = plain(dst, src, width, kind);
    c.rows = height, c.to_pitch = dpitch, c.from_pitch = spitch;
    if (dpitch < width || spitch < width || !height)
        return sim_error(INVALID_PARAM, "aclrtMemcpy2d: width %zu, pitches %zu, %zu", width, dpitch,
                         spitch);
    return copy_now("aclrtMemcpy2d", c, dpitch);
}

aclError sim_aclrtMemcpy2dAsync(void *dst, size_t dpitch, const void *src, size_t spitch,
                                size_t width, size_t height, aclrtMemcpyKind kind,
                                aclrtStream stream)
{
    ENTER(aclrtMemcpy2dAsync);
    struct copy c = plain(dst, src, width, kind);
    c.rows = height, c.to_pitch = dpitch, c.from_pitch = spitch;
    if (dpitch < width || spitch < width || !height)
        return sim_error(INVALID_PARAM, "aclrtMemcpy2dAsync: width %zu, pitches %zu, %zu", width,
                         dpitch, spitch);
    return copy_later("aclrtMemcpy2dAsync", c, dpitch, stream);
}

static aclError fill_check(const char *name, const struct copy *c, size_t room)
{
    if (!c->to || !c->row || c->row > room)
        return sim_error(INVALID_PARAM, "%s: %zu bytes of %zu", name, c->row, room);
    pthread_mutex_lock(&sim_lock);
    bool inside = memory_find(c->to, c->row, NULL);
    pthread_mutex_unlock(&sim_lock);
    return inside ? SUCCESS
                  : sim_error(RT_PARAM_INVALID, "%s: %zu bytes are not within one live allocation",
                              name, c->row);
}

aclError sim_aclrtMemset(void *devPtr, size_t maxCount, int32_t value, size_t count)
{
    ENTER(aclrtMemset);
    struct copy c = plain(devPtr, NULL, count, 0);
    c.kind = FILL, c.value = value;
    aclError error = need_device("aclrtMemset");
    if (!error) error = capture_forbids("aclrtMemset");
    if (!error) error = fill_check("aclrtMemset", &c, maxCount);
    if (error) return error;
    pthread_mutex_lock(&sim_lock);
    struct range ranges[2];
    memory_access("aclrtMemset", -1, &host_clock, ranges, copy_ranges(&c, ranges));
    copy_run(&c);
    sim_count.sync_copies++;
    pthread_mutex_unlock(&sim_lock);
    return SUCCESS;
}

aclError sim_aclrtMemsetAsync(void *devPtr, size_t maxCount, int32_t value, size_t count,
                              aclrtStream stream)
{
    ENTER(aclrtMemsetAsync);
    struct copy c = plain(devPtr, NULL, count, 0);
    c.kind = FILL, c.value = value;
    aclError error = need_device("aclrtMemsetAsync");
    if (!error) error = fill_check("aclrtMemsetAsync", &c, maxCount);
    if (error) return error;
    struct copy *kept = sim_alloc(sizeof *kept);
    *kept = c;
    struct work *work = work_new("aclrtMemsetAsync", copy_run, copy_drop, kept);
    work_range(work, c.to, c.to + c.row, true);
    return stream_submit(stream, work);
}

/* ---- what the device says ---- */

const char *sim_aclrtGetSocName(void)
{
    return current_device() < 0 ? NULL : "Ascend910B3";
}

aclError sim_aclrtGetVersion(int32_t *majorVersion, int32_t *minorVersion, int32_t *patchVersion)
{
    ENTER(aclrtGetVersion);
    if (!majorVersion || !minorVersion || !patchVersion)
        return sim_error(INVALID_PARAM, "aclrtGetVersion: NULL");
    int cann = sim_cann();
    *majorVersion = 1;
    *minorVersion = cann == 80 ? 2 : cann == 81 ? 13 : cann == 83 ? 14 : cann == 85 ? 16 : 17;
    *patchVersion = 0;
    return SUCCESS;
}

static const char *version_text(aclCANNPackageName package)
{
    if (package == ACL_PKG_NAME_DRIVER) return "25.0.RC1";
    switch (sim_cann()) {
    case 80: return "8.0.0";
    case 81: return "8.1.RC1";
    case 83: return "8.3.RC1";
    case 85: return "8.5.0";
    default: return "9.0.0";
    }
}

aclError sim_aclsysGetCANNVersion(aclCANNPackageName name, aclCANNPackageVersion *version)
{
    ENTER(aclsysGetCANNVersion);
    if (!version || (int)name < 0 || name > ACL_PKG_NAME_DRIVER)
        return sim_error(INVALID_PARAM, "aclsysGetCANNVersion: package %d", (int)name);
    memset(version, 0, sizeof *version);
    snprintf(version->version, sizeof version->version, "%s", version_text(name));
    sscanf(version->version, "%63[^.].%63[^.].%63s", version->majorVersion, version->minorVersion,
           version->releaseVersion);
    return SUCCESS;
}

aclError sim_aclsysGetVersionStr(char *pkgName, char *versionStr)
{
    ENTER(aclsysGetVersionStr);
    if (!pkgName || !versionStr) return sim_error(INVALID_PARAM, "aclsysGetVersionStr: NULL");
    strcpy(versionStr,
           version_text(strcmp(pkgName, "driver") ? ACL_PKG_NAME_CANN : ACL_PKG_NAME_DRIVER));
    return SUCCESS;
}

aclError sim_aclrtGetDeviceUtilizationRate(int32_t deviceId, aclrtUtilizationInfo *utilizationInfo)
{
    ENTER(aclrtGetDeviceUtilizationRate);
    uint32_t n = 0;
    sim_aclrtGetDeviceCount(&n);
    if (deviceId < 0 || (uint32_t)deviceId >= n || !utilizationInfo)
        return sim_error(RT_INVALID_DEVICEID, "aclrtGetDeviceUtilizationRate(%d)", deviceId);
    *utilizationInfo = (aclrtUtilizationInfo){7, 3, 0, -1, NULL};
    return SUCCESS;
}

aclError sim_aclGetDeviceCapability(uint32_t deviceId, aclDeviceInfo deviceInfo, int64_t *value)
{
    ENTER(aclGetDeviceCapability);
    (void)deviceId;
    if (!value || deviceInfo < 0 || deviceInfo > ACL_DEVICE_INFO_L2_SIZE)
        return sim_error(INVALID_PARAM, "aclGetDeviceCapability: %d", (int)deviceInfo);
    *value = deviceInfo == ACL_DEVICE_INFO_AI_CORE_NUM       ? 20
             : deviceInfo == ACL_DEVICE_INFO_VECTOR_CORE_NUM ? 40
                                                             : 192ll << 20;
    return SUCCESS;
}

aclError sim_aclrtGetDeviceInfo(uint32_t deviceId, aclrtDevAttr attr, int64_t *value)
{
    ENTER(aclrtGetDeviceInfo);
    (void)deviceId;
    if (!value) return sim_error(INVALID_PARAM, "aclrtGetDeviceInfo: value is NULL");
    switch (attr) {
    case ACL_DEV_ATTR_AICORE_CORE_NUM:
    case ACL_DEV_ATTR_CUBE_CORE_NUM: *value = 20; return SUCCESS;
    case ACL_DEV_ATTR_VECTOR_CORE_NUM: *value = 40; return SUCCESS;
    case ACL_DEV_ATTR_L2_CACHE_SIZE: *value = 192ll << 20; return SUCCESS;
    case ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE: *value = (int64_t)memory_total(); return SUCCESS;
    default: return sim_error(INVALID_PARAM, "aclrtGetDeviceInfo: attribute %d", (int)attr);
    }
}

aclError sim_aclrtQueryDeviceStatus(int32_t deviceId, aclrtDeviceStatus *deviceStatus)
{
    ENTER(aclrtQueryDeviceStatus);
    if (deviceId < 0 || deviceId >= MAX_DEVICES || !deviceStatus)
        return sim_error(RT_INVALID_DEVICEID, "aclrtQueryDeviceStatus(%d)", deviceId);
    pthread_mutex_lock(&sim_lock);
    *deviceStatus =
        device_error(deviceId) ? ACL_RT_DEVICE_STATUS_ABNORMAL : ACL_RT_DEVICE_STATUS_NORMAL;
    pthread_mutex_unlock(&sim_lock);
    return SUCCESS;
}

aclError sim_aclrtGetRunMode(aclrtRunMode *runMode)
{
    ENTER(aclrtGetRunMode);
    if (!runMode) return sim_error(INVALID_PARAM, "aclrtGetRunMode: NULL");
    *runMode = ACL_HOST;
    return SUCCESS;
}

static int64_t options[2]; /* by aclSysParamOpt */

static aclError option(const char *name, aclSysParamOpt opt, int64_t *get, const int64_t *set)
{
    if ((int)opt < 0 || opt > ACL_OPT_ENABLE_DEBUG_KERNEL || (!get && !set))
        return sim_error(INVALID_PARAM, "%s: option %d", name, (int)opt);
    if (get) *get = options[opt];
    if (set) options[opt] = *set;
    return SUCCESS;
}

aclError sim_aclrtSetSysParamOpt(aclSysParamOpt opt, int64_t value)
{
    ENTER(aclrtSetSysParamOpt);
    return option("aclrtSetSysParamOpt", opt, NULL, &value);
}

aclError sim_aclrtGetSysParamOpt(aclSysParamOpt opt, int64_t *value)
{
    ENTER(aclrtGetSysParamOpt);
    return option("aclrtGetSysParamOpt", opt, value, NULL);
}

aclError sim_aclrtCtxSetSysParamOpt(aclSysParamOpt opt, int64_t value)
{
    ENTER(aclrtCtxSetSysParamOpt);
    aclError error = need_device("aclrtCtxSetSysParamOpt");
    return error ? error : option("aclrtCtxSetSysParamOpt", opt, NULL, &value);
}

aclError sim_aclrtCtxGetSysParamOpt(aclSysParamOpt opt, int64_t *value)
{
    ENTER(aclrtCtxGetSysParamOpt);
    aclError error = need_device("aclrtCtxGetSysParamOpt");
    return error ? error : option("aclrtCtxGetSysParamOpt", opt, value, NULL);
}

size_t sim_aclDataTypeSize(aclDataType dataType)
{
    return type_bits(dataType) / 8;
}
