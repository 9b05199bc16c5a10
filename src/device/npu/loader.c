/* loader.c - finds CANN's libraries, looks up every entry point, and says what is missing.
 *
 * A folder that was named (ASCEND_HOME_PATH, ASCEND_TOOLKIT_HOME) goes first, then the loader's own
 * path, then the usual install folders. Releases differ in which library holds a function, so a
 * name is looked up in all of them, in order; an operator counts only with both its phases. */
#include "device/npu/loader.h"

#include "base/buf.h"
#include "base/lang.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LIBRARIES = 24, REQUIRED = 1, OPTIONAL = 0 };

static const char *const runtime_names[] = {"libascendcl.so", "libacl_rt.so", NULL};
static const char *const meta_names[] = {"libnnopbase.so", NULL};
static const char *const operator_names[] = {
    "libopapi.so",           "libaclnn_math.so", "libaclnn_ops_infer.so", "libaclnn_rand.so",
    "libaclnn_ops_train.so", "libopapi_math.so", "libopapi_nn.so",        "libopapi_transformer.so",
    "libopapi_cv.so",        "libopapi_oam.so",  "libopapi_legacy.so",    NULL};

static const char *const usual_folders[] = {"/usr/local/Ascend/ascend-toolkit/latest",
                                            "/usr/local/Ascend/cann", "/usr/local/Ascend/latest",
                                            NULL};

struct libraries {
    void *handles[MAX_LIBRARIES];
    size_t n;
    char problem[512]; /* what the loader said about a file that is there and cannot be opened */
};

/* ---- files --------------------------------------------------------------------------------- */

static void *open_library(struct libraries *libraries, const char *folder, const char *name)
{
    char path[1024];
    if (*folder) {
        snprintf(path, sizeof path, "%s/lib64/%s", folder, name);
        if (access(path, F_OK) != 0) return NULL;
    } else {
        snprintf(path, sizeof path, "%s", name);
    }
    void *handle = dlopen(path, RTLD_LAZY | RTLD_GLOBAL);
    if (handle && libraries->n < MAX_LIBRARIES) libraries->handles[libraries->n++] = handle;
    if (!handle && *folder) {
        const char *text = dlerror();
        snprintf(libraries->problem, sizeof libraries->problem, "%.500s", text ? text : path);
    }
    return handle;
}

/* All that are there of a list; true if any. */
static bool open_libraries(struct libraries *libraries, const char *folder,
                           const char *const *names, bool one)
{
    bool any = false;
    for (; *names && !(one && any); names++)
        any = open_library(libraries, folder, *names) != NULL || any;
    return any;
}

static bool open_folder(struct libraries *libraries, const char *folder)
{
    if (!open_libraries(libraries, folder, runtime_names, true)) return false;
    /* The rest may lie elsewhere on the loader's path. */
    if (!open_libraries(libraries, folder, meta_names, true) && *folder)
        open_libraries(libraries, "", meta_names, true);
    if (!open_libraries(libraries, folder, operator_names, false) && *folder)
        open_libraries(libraries, "", operator_names, false);
    return true;
}

static enum vinci_status find_libraries(struct libraries *libraries, struct cann *cann,
                                        const struct vinci_cann_places *places,
                                        struct vinci_error *err)
{
    const char *folders[8];
    size_t n = 0;
    if (places->home) folders[n++] = places->home;
    if (places->toolkit_home) folders[n++] = places->toolkit_home;
    folders[n++] = "";
    for (size_t i = 0; usual_folders[i]; i++) folders[n++] = usual_folders[i];
    for (size_t i = 0; i < n; i++)
        if (open_folder(libraries, folders[i])) {
            snprintf(cann->folder, sizeof cann->folder, "%s", folders[i]);
            return VINCI_OK;
        }
    if (*libraries->problem)
        return fail(err, VINCI_NO_DEVICE,
                    "CANN, the software of Ascend NPUs, is there but cannot be loaded: %s; run "
                    "`source set_env.sh` of the CANN folder in this shell first (it sets "
                    "LD_LIBRARY_PATH), and check that the driver is installed below "
                    "/usr/local/Ascend/driver",
                    libraries->problem);
    return fail(err, VINCI_NO_DEVICE,
                "CANN, the software of Ascend NPUs, was not found: looked for libascendcl.so in "
                "%s/lib64, on the loader's path and in %s/lib64; install CANN 8.0 or newer and run "
                "`source set_env.sh`, or use --device cpu",
                places->home           ? places->home
                : places->toolkit_home ? places->toolkit_home
                                       : "$ASCEND_HOME_PATH",
                usual_folders[0]);
}

/* ---- names --------------------------------------------------------------------------------- */

static void *look_up(const struct libraries *libraries, const char *name)
{
    for (size_t i = 0; i < libraries->n; i++) {
        void *symbol = dlsym(libraries->handles[i], name);
        if (symbol) return symbol;
    }
    return NULL;
}

/* The required names that were not found; a message gives the first four. */
struct missing {
    struct buf names;
    unsigned n;
};

static void note_missing(struct missing *missing, const char *name)
{
    if (missing->n++ < 4) buf_printf(&missing->names, missing->n > 1 ? ", %s" : "%s", name);
}

/* Functions and data pointers have one size on the systems that CANN runs on. */
static void resolve(const struct libraries *libraries, const char *name, int need, void *field,
                    struct missing *missing)
{
    void *symbol = look_up(libraries, name);
    memcpy(field, &symbol, sizeof symbol);
    if (!symbol && need == REQUIRED) note_missing(missing, name);
}

static void resolve_operator(const struct libraries *libraries, const char *name, int need,
                             void *first, void *second, struct missing *missing)
{
    char phase[96];
    snprintf(phase, sizeof phase, "%sGetWorkspaceSize", name);
    void *one = look_up(libraries, phase), *two = look_up(libraries, name);
    if (!one || !two) one = two = NULL;
    memcpy(first, &one, sizeof one);
    memcpy(second, &two, sizeof two);
    if (!one && need == REQUIRED) note_missing(missing, name);
}

static enum vinci_status resolve_all(struct cann *cann, const struct libraries *libraries,
                                     struct vinci_error *err)
{
    struct missing missing = {0};
#define RESOLVE(since, need, type, name, args) \
    resolve(libraries, #name, need, &cann->name, &missing);
    CANN_RUNTIME(RESOLVE)
    CANN_META(RESOLVE)
#undef RESOLVE
#define RESOLVE(since, need, name, args) \
    resolve_operator(libraries, #name, need, &cann->name##GetWorkspaceSize, &cann->name, &missing);
    CANN_OPERATORS(RESOLVE)
#undef RESOLVE
    enum vinci_status status = VINCI_OK;
    if (missing.n)
        status = fail(err, VINCI_NO_DEVICE,
                      "CANN in %s lacks %u functions that vinci needs (%s%s): CANN 8.0 or newer "
                      "with its operator package (ops, kernels) must be installed",
                      *cann->folder ? cann->folder : "the loader's path", missing.n,
                      missing.names.data ? missing.names.data : "?", missing.n > 4 ? ", ..." : "");
    buf_free(&missing.names);
    return status;
}

/* ---- version ------------------------------------------------------------------------------- */

unsigned cann_version_number(const char *text)
{
    unsigned major, minor;
    if (sscanf(text, "%u.%u", &major, &minor) != 2 || major < 5 || major > 99 || minor > 9)
        return 0;
    return major * 100 + minor * 10;
}

/* From version.cfg: "runtime_running_version=[7.7.0.1.238:8.1.RC1]". */
static void version_from_file(struct cann *cann)
{
    char path[1024], line[256];
    snprintf(path, sizeof path, "%s/version.cfg", cann->folder);
    FILE *file = *cann->folder ? fopen(path, "re") : NULL;
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        char *colon = strrchr(line, ':'), *end = strchr(line, ']');
        if (!strstr(line, "_version") || !colon || !end || end < colon) continue;
        *end = '\0';
        if (cann_version_number(colon + 1) == 0) continue;
        snprintf(cann->version, sizeof cann->version, "%.60s", colon + 1);
        break;
    }
    fclose(file);
}

static void find_version(struct cann *cann)
{
    static const aclCANNPackageName packages[] = {ACL_PKG_NAME_CANN, ACL_PKG_NAME_RUNTIME};
    aclCANNPackageVersion version;
    for (size_t i = 0; i < 2 && cann->aclsysGetCANNVersion && !*cann->version; i++) {
        memset(&version, 0, sizeof version);
        if (cann->aclsysGetCANNVersion(packages[i], &version) == ACL_SUCCESS &&
            cann_version_number(version.version) != 0)
            snprintf(cann->version, sizeof cann->version, "%.60s", version.version);
    }
    if (!*cann->version) version_from_file(cann);
    cann->version_no = cann_version_number(cann->version);
    if (!*cann->version) strcpy(cann->version, "unknown");
}

/* ---- errors -------------------------------------------------------------------------------- */

const char *cann_error_text(int code)
{
    static const struct {
        int code;
        const char *text;
    } texts[] = {
        {ACL_ERROR_INVALID_PARAM, N_("invalid parameter")},
        {ACL_ERROR_UNINITIALIZE, N_("not initialised")},
        {ACL_ERROR_COMPILING_STUB_MODE, N_("a stub library was loaded")},
        {ACL_ERROR_RT_PARAM_INVALID, N_("invalid parameter")},
        {ACL_ERROR_RT_INVALID_DEVICEID, N_("no such device")},
        {ACL_ERROR_RT_CONTEXT_NULL, N_("no device was set in this thread")},
        {ACL_ERROR_RT_DEVICE_TASK_ABORT, N_("the device was reset")},
        {ACL_ERROR_INVALID_OPP_PATH, N_("ASCEND_OPP_PATH is not set: source set_env.sh")},
        {ACLNN_ERR_PARAM_NULLPTR, N_("a required parameter is null")},
        {ACLNN_ERR_PARAM_INVALID, N_("a parameter is not supported")},
        {ACL_ERROR_BAD_ALLOC, N_("out of host memory")},
        {ACL_ERROR_RT_FEATURE_NOT_SUPPORT, N_("not supported by this driver")},
        {ACL_ERROR_RT_MEMORY_ALLOCATION, N_("out of device memory")},
        {ACL_ERROR_RT_NO_DEVICE, N_("no device")},
        {ACL_ERROR_RT_NO_STREAM_RESOURCE, N_("no stream left")},
        {ACL_ERROR_RT_NO_MODEL_RESOURCE, N_("too many recorded graphs")},
        {ACL_ERROR_RT_DEVICE_OOM, N_("out of device memory")},
        {ACL_ERROR_RT_DEV_SETUP_ERROR, N_("the device cannot be set up: it is busy or defective")},
        {ACLNN_ERR_RUNTIME_ERROR, N_("the runtime failed")},
        {ACLNN_ERR_INNER_TILING_ERROR, N_("no kernel for these shapes")},
        {ACL_ERROR_RT_AICORE_TIMEOUT, N_("an AI core timed out")},
        {ACL_ERROR_RT_AICORE_EXCEPTION, N_("an AI core stopped with an error")},
        {ACL_ERROR_RT_AICPU_TIMEOUT, N_("an AI CPU timed out")},
        {ACL_ERROR_RT_AICPU_EXCEPTION, N_("an AI CPU stopped with an error")},
        {ACL_ERROR_RT_VECTOR_CORE_TIMEOUT, N_("a vector core timed out")},
        {ACL_ERROR_RT_VECTOR_CORE_EXCEPTION, N_("a vector core stopped with an error")},
        {ACL_ERROR_RT_STREAM_SYNC_TIMEOUT, N_("waiting for the device timed out")},
        {ACL_ERROR_RT_DEVICE_MEM_ERROR, N_("device memory error")},
        {ACL_ERROR_RT_HBM_MULTI_BIT_ECC_ERROR, N_("uncorrectable error in the device's memory")},
        {ACL_ERROR_RT_DRV_INTERNAL_ERROR, N_("the driver failed")},
        {ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED, N_("recording was broken off")},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].code == code) return _(texts[i].text);
    if (code / 1000 == 561) return _("the operator library failed; is the kernels package there?");
    return _("see CANN's list of errors");
}

const char *cann_driver_hint(int code)
{
    static const char *const manager = "/dev/davinci_manager";
    if (code == ACL_ERROR_COMPILING_STUB_MODE)
        return _("; LD_LIBRARY_PATH names a devlib folder, whose libraries are empty: take it out");
    if (access(manager, F_OK) != 0)
        return _("; /dev/davinci_manager is not there: the NPU driver is not loaded, or this "
                 "container was started without the NPU's devices (--device /dev/davinci0 --device "
                 "/dev/davinci_manager --device /dev/devmm_svm --device /dev/hisi_hdc)");
    if (access(manager, R_OK | W_OK) != 0)
        return _("; /dev/davinci_manager may not be opened: add yourself to its group "
                 "(sudo usermod -aG HwHiAiUser $USER) and log in again");
    return _("; `npu-smi info` shows whether another process holds the device");
}

/* The driver gives a card to the container that opens it first; to others it says "resource
 * occupied" (87), which CANN reports as EL0005 beside an error number that says nothing. */
static bool says_busy(const char *said)
{
    return said && (strstr(said, "EL0005") || strstr(said, "esources are busy") ||
                    strstr(said, "drvRet=87") || strstr(said, "drvRetCode=87"));
}

enum vinci_status cann_refused(const struct cann *cann, int code, const char *what,
                               struct vinci_error *err)
{
    const char *said = cann->aclGetRecentErrMsg();
    if (says_busy(said))
        return fail(
            err, VINCI_NO_DEVICE,
            "%s: the device is busy, says CANN %s (error %d): a card belongs to the container that "
            "uses it first, until the last process there ends; `npu-smi info` outside of "
            "containers shows the processes, --device npu:N takes another card",
            what, cann->version, code);
    return fail(err, VINCI_NO_DEVICE, "%s: error %d, %s (CANN %s)%s%.200s%s", what, code,
                cann_error_text(code), cann->version, said && *said ? "; " : "", said ? said : "",
                cann_driver_hint(code));
}

/* ---- loading ------------------------------------------------------------------------------- */

enum vinci_status cann_find(struct cann **out, const struct vinci_cann_places *places,
                            const struct log *log, struct vinci_error *err)
{
    struct libraries libraries = {0};
    *out = NULL;
    struct cann *cann = array_new_zero(1, sizeof *cann);
    if (!cann) return fail_memory(err, sizeof *cann, "CANN's functions");
    enum vinci_status status = find_libraries(&libraries, cann, places, err);
    if (status == VINCI_OK) status = resolve_all(cann, &libraries, err);
    if (status != VINCI_OK) {
        cann_unload(cann);
        return status;
    }
    find_version(cann);
    log_message(log, VINCI_LOG_INFO, _("CANN %s from %s"), cann->version,
                *cann->folder ? cann->folder : _("the loader's path"));
    *out = cann;
    return VINCI_OK;
}

/* False when memory is short. */
static bool list_missing(struct buf *out, const struct libraries *libraries)
{
    static const char *const functions[] = {
#define NAME(since, need, type, name, args) #name,
        CANN_RUNTIME(NAME) CANN_META(NAME)
#undef NAME
#define NAME(since, need, name, args) #name,
            CANN_OPERATORS(NAME)
#undef NAME
    };
    bool ok = true;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!look_up(libraries, functions[i]))
            ok = ok && buf_printf(out, "missing %s\n", functions[i]);
    return ok;
}

enum vinci_status cann_describe(struct buf *out, const struct vinci_cann_places *places,
                                struct vinci_error *err)
{
    struct libraries libraries = {0};
    struct cann *cann = array_new_zero(1, sizeof *cann);
    if (!cann) return fail_memory(err, sizeof *cann, "CANN's functions");
    enum vinci_status status = find_libraries(&libraries, cann, places, err);
    if (status == VINCI_OK) {
        void *symbol = look_up(&libraries, "aclsysGetCANNVersion");
        memcpy(&cann->aclsysGetCANNVersion, &symbol, sizeof symbol);
        find_version(cann);
        bool ok = buf_printf(out, "folder %s\nversion %s\n", cann->folder, cann->version);
        for (size_t i = 0; i < libraries.n; i++) {
            struct link_map *map = NULL;
            if (dlinfo(libraries.handles[i], RTLD_DI_LINKMAP, &map) == 0 && map)
                ok = ok && buf_printf(out, "library %s\n", map->l_name);
        }
        if (!ok || !list_missing(out, &libraries)) status = fail_memory(err, 4096, "the report");
    }
    cann_unload(cann);
    return status;
}

enum vinci_status cann_start(struct cann *cann, struct vinci_error *err)
{
    int code = cann->aclInit(NULL);
    cann->initialised = code == ACL_SUCCESS;
    if (code == ACL_SUCCESS || code == ACL_ERROR_REPEAT_INITIALIZE) return VINCI_OK;
    return cann_refused(cann, code, _("CANN cannot be started"), err);
}

void cann_unload(struct cann *cann)
{
    if (!cann) return;
    if (cann->initialised) cann->aclFinalize();
    free(cann);
}

bool dcmi_load(struct dcmi *dcmi, const char *folder)
{
    char beside[1024];
    const char *const names[] = {"libdcmi.so", "/usr/local/Ascend/driver/lib64/driver/libdcmi.so",
                                 beside};
    void *handle = NULL;
    memset(dcmi, 0, sizeof *dcmi);
    snprintf(beside, sizeof beside, "%s/lib64/libdcmi.so", folder);
    for (size_t i = 0; i < 3 && !handle; i++) handle = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    if (!handle) return false;
#define RESOLVE(type, name, args) \
    do { \
        void *symbol = dlsym(handle, #name); \
        memcpy(&dcmi->name, &symbol, sizeof symbol); \
    } while (0);
    CANN_DCMI(RESOLVE)
#undef RESOLVE
    return dcmi->dcmi_init && dcmi->dcmi_init() == 0;
}
