/* loader.h - CANN found and opened at run time: one struct of function pointers.
 *
 * A required entry point is never NULL after cann_find; an optional one may be, and its user has
 * another way. The libraries stay mapped for the life of the process: CANN starts threads of its
 * own, which closing would pull the ground from under. */
#ifndef VINCI_DEVICE_NPU_LOADER_H
#define VINCI_DEVICE_NPU_LOADER_H

#include "base/buf.h"
#include "base/log.h"
#include "base/status.h"
#include "device/npu/cann.h"

struct cann {
#define CANN_FIELD(since, need, type, name, args) type(*name) args;
    CANN_RUNTIME(CANN_FIELD)
    CANN_META(CANN_FIELD)
#undef CANN_FIELD
#define CANN_FIELD(since, need, name, args) \
    aclnnStatus(*name##GetWorkspaceSize) args; \
    cann_launch_fn *name;
    CANN_OPERATORS(CANN_FIELD)
#undef CANN_FIELD
    bool initialised;    /* by us: we finish it too */
    char folder[512];    /* where the runtime was found, "" if by the loader's path */
    char version[64];    /* "8.1.RC1"; "unknown" */
    unsigned version_no; /* 810; 0 when unknown */
};

/* Card management, from the driver; all NULL where libdcmi.so is not there. */
struct dcmi {
#define DCMI_FIELD(type, name, args) type(*name) args;
    CANN_DCMI(DCMI_FIELD)
#undef DCMI_FIELD
};

/* Opens the libraries and looks every name up. NO_DEVICE says which file was looked for and what to
 * do. `log` may be NULL. */
enum vinci_status cann_find(struct cann **out, const struct vinci_cann_places *places,
                            const struct log *log, struct vinci_error *err);

/* What of CANN is there, for a report, in lines of two words: "folder PATH", "version TEXT",
 * "library PATH" for each that was opened, "missing NAME" for each function that vinci would use.
 * Nothing is started. NO_DEVICE as cann_find, but functions may be missing. */
enum vinci_status cann_describe(struct buf *out, const struct vinci_cann_places *places,
                                struct vinci_error *err);

/* Fails with what CANN refused before a device could be used: NO_DEVICE. `what`: "npu:0 cannot be
 * opened". A busy device has a sentence of its own, the others a hint of cann_driver_hint. */
enum vinci_status cann_refused(const struct cann *cann, int code, const char *what,
                               struct vinci_error *err);

/* aclInit. NO_DEVICE names the error and what is known about the driver. */
enum vinci_status cann_start(struct cann *cann, struct vinci_error *err);

/* aclFinalize, if cann_start was the first to call aclInit. */
void cann_unload(struct cann *cann);

/* Looks on the loader's path, in the usual driver folder and in `folder`/lib64. False when there is
 * none or it does not answer. */
bool dcmi_load(struct dcmi *dcmi, const char *folder);

/* "8.1.RC1" -> 810; 0 for what is no version. */
unsigned cann_version_number(const char *text);

/* What an error code means, in a few words; never NULL. */
const char *cann_error_text(int code);

/* Words to add to a failure of the runtime before a device could be used: missing driver, missing
 * permission, stub libraries. "" if nothing is known. */
const char *cann_driver_hint(int code);

#endif
