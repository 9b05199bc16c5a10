/* replace.c - see replace.h. */
#include "base/replace.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum vinci_status replace_begin(struct replacement *r, const char *path, struct vinci_error *err)
{
    struct stat info;
    struct buf temporary = {0};
    *r = (struct replacement){.fd = -1};
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return fail(err, VINCI_UNSUPPORTED, "%s: exists and is not a regular file", path);
    r->path = realpath(path, NULL); /* NULL: it is not there yet */
    if (!r->path) r->path = strdup(path);
    if (!r->path || !buf_printf(&temporary, "%s.XXXXXX", r->path)) {
        replace_end(r);
        return fail_memory(err, strlen(path), path);
    }
    r->fd = mkostemp(temporary.data, O_CLOEXEC);
    if (r->fd < 0) {
        int error = errno;
        buf_free(&temporary); /* there is no file of that name to remove */
        replace_end(r);
        return fail_errno(err, error, path, "create");
    }
    r->temporary = temporary.data;
    return VINCI_OK;
}

enum vinci_status replace_publish(struct replacement *r, struct vinci_error *err)
{
    int fd = r->fd;
    r->fd = -1;
    if (fd >= 0 && close(fd) != 0) return fail_errno(err, errno, r->path, "write");
    if (rename(r->temporary, r->path) != 0)
        return fail_errno(err, errno, r->path, "rename the finished file to it");
    free(r->temporary);
    r->temporary = NULL;
    return VINCI_OK;
}

void replace_end(struct replacement *r)
{
    if (r->path && r->fd >= 0) close(r->fd);
    if (r->temporary) unlink(r->temporary);
    free(r->temporary);
    free(r->path);
    *r = (struct replacement){.fd = -1};
}
