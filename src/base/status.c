/* status.c - status codes, their names and texts, and the error sentence. */
#include "base/status.h"

#include "base/lang.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum vinci_status status;
    const char *name, *text;
} statuses[] = {
#define STATUS_ROW(name, value, text) {VINCI_##name, #name, text},
    VINCI_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

const char *vinci_status_name(enum vinci_status status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status) return statuses[i].name;
    return "UNKNOWN";
}

const char *vinci_status_text(enum vinci_status status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status) return _(statuses[i].text);
    return _("unknown status");
}

const char *vinci_version(void)
{
    return VINCI_VERSION;
}

enum vinci_status fail(struct vinci_error *err, enum vinci_status status, const char *format, ...)
{
    if (!err) return status;
    /* The arguments may point into err->text (a sentence that wraps another): write beside it. */
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, _(format), args);
    va_end(args);
    if (n < 0) text[0] = '\0';
    if (n >= (int)sizeof text) {
        char *end = text + sizeof text - 4;
        while (end > text && (*end & 0xc0) == 0x80) end--; /* no half of a character */
        memcpy(end, "...", 4);
    }
    /* Names and texts out of a damaged file end up in sentences: keep them on one line. */
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = '?';
    memcpy(err->text, text, sizeof text);
    err->status = status;
    return status;
}

enum vinci_status fail_memory(struct vinci_error *err, size_t n_bytes, const char *what)
{
    return fail(err, VINCI_NO_MEMORY, "out of memory: %zu bytes for %s", n_bytes, _(what));
}

/* What strerror() says most often, for the translations: the C library's own would need a locale.
 */
static const char *const system_texts[] __attribute__((unused)) = {
    N_("No such file or directory"),
    N_("Permission denied"),
    N_("Operation not permitted"),
    N_("Is a directory"),
    N_("Not a directory"),
    N_("File exists"),
    N_("No space left on device"),
    N_("Disk quota exceeded"),
    N_("Read-only file system"),
    N_("File too large"),
    N_("File name too long"),
    N_("Too many open files"),
    N_("Too many levels of symbolic links"),
    N_("Input/output error"),
    N_("Invalid argument"),
    N_("Invalid cross-device link"),
    N_("Bad file descriptor"),
    N_("Broken pipe"),
    N_("Bad address"),
    N_("Argument list too long"),
    N_("No such device"),
    N_("No such device or address"),
    N_("Cannot allocate memory"),
    N_("Resource temporarily unavailable"),
    N_("Device or resource busy"),
    N_("Text file busy"),
    N_("Stale file handle"),
    N_("Address already in use"),
    N_("Cannot assign requested address"),
    N_("Connection refused"),
    N_("Connection reset by peer"),
    N_("Connection timed out"),
    N_("Network is unreachable"),
    N_("No route to host"),
};

enum vinci_status fail_errno(struct vinci_error *err, int error_number, const char *path,
                             const char *cannot)
{
    enum vinci_status status = error_number == ENOENT   ? VINCI_NOT_FOUND
                               : error_number == ENOMEM ? VINCI_NO_MEMORY
                                                        : VINCI_IO;
    return fail(err, status, "%s: cannot %s: %s", path, _(cannot), _(strerror(error_number)));
}
