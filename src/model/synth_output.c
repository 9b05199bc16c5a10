/* synth_output.c - bytes on their way to the disk: large writes, progress, one failure kept. */
#include "model/synth.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum vinci_status synth_output_init(struct synth_output *output,
                                    const struct vinci_synth_options *options,
                                    struct vinci_error *err)
{
    *output = (struct synth_output){
        .err = err, .fd = -1, .progress = options->progress, .user = options->user};
    output->buffer = array_new_aligned(SYNTH_ROOM_MAX, 1);
    if (output->buffer) return VINCI_OK;
    return output->status = fail_memory(err, SYNTH_ROOM_MAX, "the output buffer");
}

/* All n bytes, or errno. */
static int write_all(int fd, const uint8_t *data, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, data, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        data += written;
        n -= (size_t)written;
    }
    return 0;
}

static void flush(struct synth_output *output)
{
    size_t n = output->n_buffered;
    output->n_buffered = 0;
    if (output->status || n == 0) return;
    int error = write_all(output->fd, output->buffer, n);
    output->done += n;
    if (error) output->status = fail_errno(output->err, error, output->path, "write");
    else if (output->progress && !output->progress(output->user, output->done, output->total))
        output->status = fail(output->err, VINCI_CANCELLED, "%s: stopped after %" PRIu64 " bytes",
                              output->path, output->done);
}

uint8_t *synth_output_room(struct synth_output *output, size_t n)
{
    if (n > SYNTH_ROOM_MAX - output->n_buffered) flush(output);
    uint8_t *room = output->buffer + output->n_buffered;
    output->n_buffered += n;
    return room;
}

void synth_output_write(struct synth_output *output, const void *data, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t piece = n - i < SYNTH_ROOM_MAX ? n - i : SYNTH_ROOM_MAX;
        memcpy(synth_output_room(output, piece), (const uint8_t *)data + i, piece);
        i += piece;
    }
}

void synth_output_zeros(struct synth_output *output, size_t n)
{
    memset(synth_output_room(output, n), 0, n);
}

enum vinci_status synth_output_open(struct synth_output *output, const char *path)
{
    if (output->status) return output->status;
    output->path = text_copy(path, strlen(path));
    if (!output->path) return output->status = fail_memory(output->err, strlen(path), "a path");
    output->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (output->fd < 0) output->status = fail_errno(output->err, errno, path, "create");
    return output->status;
}

enum vinci_status synth_output_close(struct synth_output *output)
{
    flush(output);
    if (output->fd >= 0 && close(output->fd) && !output->status)
        output->status = fail_errno(output->err, errno, output->path, "write");
    output->fd = -1;
    free(output->path);
    output->path = NULL;
    return output->status;
}

void synth_output_free(struct synth_output *output)
{
    if (output->fd >= 0) close(output->fd);
    free(output->path);
    free(output->buffer);
}

enum vinci_status synth_write_file(const char *path, const void *data, size_t n,
                                   struct vinci_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return fail_errno(err, errno, path, "create");
    int error = write_all(fd, data, n);
    if (close(fd) && !error) error = errno;
    return error ? fail_errno(err, error, path, "write") : VINCI_OK;
}

enum vinci_status synth_check_space(const char *path, uint64_t n_bytes, struct vinci_error *err)
{
    struct statvfs fs;
    if (statvfs(path, &fs)) return fail_errno(err, errno, path, "ask for free space");
    uint64_t n_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (n_free >= n_bytes) return VINCI_OK;
    return fail(err, VINCI_IO,
                "%s: the checkpoint takes %" PRIu64 " bytes, and %" PRIu64
                " are free there; choose another place or fewer layers",
                path, n_bytes, n_free);
}
