/* partial.c - a file that is arriving, and its journal. */
#include "hub/partial.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOURNAL_MAX = 1 << 28 };

uint64_t partial_piece_from(const struct partial *partial, size_t piece)
{
    return (uint64_t)piece * partial->piece_bytes;
}

uint64_t partial_piece_to(const struct partial *partial, size_t piece)
{
    uint64_t to = partial_piece_from(partial, piece + 1);
    return to < partial->size ? to : partial->size;
}

enum vinci_status sync_folder_of(const char *path, struct vinci_error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? text_copy(path, (size_t)(slash - path) + (slash == path)) : strdup(".");
    if (!folder) return fail_memory(err, strlen(path), "a path");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum vinci_status status = VINCI_OK;
    /* EINVAL: a file system that does not know it. */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
        status = fail_errno(err, errno, folder, "write");
    if (fd >= 0) close(fd);
    free(folder);
    return status;
}

static enum vinci_status write_all(int fd, const char *path, const char *data, size_t n,
                                   struct vinci_error *err)
{
    while (n > 0) {
        ssize_t m = write(fd, data, n);
        if (m < 0 && errno == EINTR) continue;
        if (m < 0) return fail_errno(err, errno, path, "write");
        data += m;
        n -= (size_t)m;
    }
    return VINCI_OK;
}

/* ---- the journal -------------------------------------------------------------------------- */

static enum vinci_status read_journal(const struct partial *partial, struct buf *text,
                                      struct vinci_error *err)
{
    struct stat st;
    if (fstat(partial->fd_journal, &st) != 0)
        return fail_errno(err, errno, partial->journal, "read");
    if (st.st_size > JOURNAL_MAX || st.st_size == 0) return VINCI_OK; /* none of ours */
    if (!buf_reserve(text, (size_t)st.st_size))
        return fail_memory(err, (size_t)st.st_size, partial->journal);
    for (;;) {
        ssize_t n = pread(partial->fd_journal, text->data + text->size,
                          (size_t)st.st_size - text->size, (off_t)text->size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(err, errno, partial->journal, "read");
        text->size += (size_t)n;
        if (n == 0 || text->size == (size_t)st.st_size) break;
    }
    text->data[text->size] = '\0';
    return VINCI_OK;
}

static bool journal_head(const struct partial *partial, enum digest_kind kind,
                         const struct digest_text *digest, char line[160])
{
    int n = snprintf(line, 160, "vinci 1 %llu %u %s:%s\n", (unsigned long long)partial->size,
                     partial->piece_bytes, digest_name(kind), digest->hex);
    return n > 0 && n < 160;
}

/* Takes the piece size from a journal of the same content; false when it is of another. A content
 * without a digest is never the same. */
static bool same_content(struct partial *partial, const struct buf *text, enum digest_kind kind,
                         const struct digest_text *digest)
{
    unsigned long long size = 0;
    unsigned piece_bytes = 0;
    char head[160];
    struct partial as_it_was = *partial;
    if (kind == DIGEST_NONE || text->size == 0 ||
        sscanf(text->data, "vinci 1 %llu %u", &size, &piece_bytes) != 2 || piece_bytes == 0)
        return false;
    as_it_was.piece_bytes = piece_bytes;
    if (!journal_head(&as_it_was, kind, digest, head) ||
        strncmp(text->data, head, strlen(head)) != 0)
        return false;
    partial->piece_bytes = piece_bytes;
    return true;
}

/* The last line of a piece counts. An unfinished line is one that a crash cut off. */
static void read_lines(const struct partial *partial, const struct buf *text,
                       struct digest_text *lines)
{
    const char *line = strchr(text->data, '\n');
    while (line && line[1]) {
        const char *end = strchr(++line, '\n');
        unsigned long long piece = 0;
        char hex[65] = "";
        if (end && sscanf(line, "%llu %64[0-9a-f]", &piece, hex) == 2 && piece < partial->n_pieces)
            digest_parse(DIGEST_SHA256, hex, &lines[piece]);
        line = end;
    }
}

static enum vinci_status begin_anew(struct partial *partial, enum digest_kind kind,
                                    const struct digest_text *digest, struct vinci_error *err)
{
    char head[160];
    if (ftruncate(partial->fd, 0) != 0) return fail_errno(err, errno, partial->path, "write");
    if (ftruncate(partial->fd_journal, 0) != 0)
        return fail_errno(err, errno, partial->journal, "write");
    if (!journal_head(partial, kind, digest, head))
        return fail(err, VINCI_LIMIT, "%s: the digest is too long", partial->journal);
    enum vinci_status status =
        write_all(partial->fd_journal, partial->journal, head, strlen(head), err);
    if (status == VINCI_OK && fdatasync(partial->fd_journal) != 0)
        status = fail_errno(err, errno, partial->journal, "write");
    return status == VINCI_OK ? sync_folder_of(partial->path, err) : status;
}

/* A crash may have cut off the last line: what is appended must not join it. */
static enum vinci_status end_last_line(const struct partial *partial, const struct buf *text,
                                       struct vinci_error *err)
{
    if (text->size == 0 || text->data[text->size - 1] == '\n') return VINCI_OK;
    return write_all(partial->fd_journal, partial->journal, "\n", 1, err);
}

/* Reads the pieces again that the journal names: only what is on the disk counts. */
static enum vinci_status check_pieces(struct partial *partial, const struct digest_text *lines,
                                      const struct partial_check *check, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    struct stat st;
    struct digest *digest = digest_new(DIGEST_SHA256, 0);
    if (!digest) return fail_memory(err, 512, partial->path);
    if (fstat(partial->fd, &st) != 0) status = fail_errno(err, errno, partial->path, "read");
    for (size_t i = 0; i < partial->n_pieces && status == VINCI_OK; i++) {
        uint64_t from = partial_piece_from(partial, i), to = partial_piece_to(partial, i);
        struct digest_text is;
        if (!lines[i].hex[0] || (uint64_t)st.st_size < to) continue;
        status = digest_add_file(digest, partial->fd, partial->path, from, to, err);
        if (status != VINCI_OK) break;
        partial->kept[i] = digest_end(digest, &is) && strcmp(is.hex, lines[i].hex) == 0;
        if (check && check->checked && !check->checked(check->user, to - from))
            status = fail(err, VINCI_CANCELLED, "stopped");
    }
    digest_free(digest);
    return status;
}

/* ---- the file ----------------------------------------------------------------------------- */

static enum vinci_status open_files(struct partial *partial, const char *stem,
                                    struct vinci_error *err)
{
    struct buf path = {0}, journal = {0};
    bool ok = buf_printf(&path, "%s.part", stem) && buf_printf(&journal, "%s.journal", stem);
    partial->path = path.data;
    partial->journal = journal.data;
    if (!ok) return fail_memory(err, strlen(stem), "a path");
    partial->fd = open(partial->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (partial->fd < 0) return fail_errno(err, errno, partial->path, "write");
    partial->fd_journal =
        open(partial->journal, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (partial->fd_journal < 0) return fail_errno(err, errno, partial->journal, "write");
    return VINCI_OK;
}

static bool count_pieces(struct partial *partial)
{
    partial->n_pieces =
        (size_t)(partial->size / partial->piece_bytes + (partial->size % partial->piece_bytes > 0));
    free(partial->kept);
    partial->kept = array_new_zero(partial->n_pieces, sizeof *partial->kept);
    return partial->kept != NULL;
}

enum vinci_status partial_open(struct partial *partial, const char *stem, uint64_t size,
                               enum digest_kind kind, const struct digest_text *digest,
                               uint32_t piece_bytes, const struct partial_check *check,
                               struct vinci_error *err)
{
    struct buf text = {0};
    struct digest_text *lines = NULL;
    *partial = (struct partial){.fd = -1, .fd_journal = -1, size, piece_bytes};
    partial->size = size;
    partial->piece_bytes = piece_bytes;
    enum vinci_status status = open_files(partial, stem, err);
    if (status == VINCI_OK) status = read_journal(partial, &text, err);
    if (status != VINCI_OK) goto cleanup;
    bool resume = same_content(partial, &text, kind, digest);
    if (!count_pieces(partial)) {
        status = fail_memory(err, partial->n_pieces, partial->path);
        goto cleanup;
    }
    if (!resume) {
        status = begin_anew(partial, kind, digest, err);
        goto cleanup;
    }
    lines = array_new_zero(partial->n_pieces, sizeof *lines);
    if (!lines) {
        status = fail_memory(err, partial->n_pieces * sizeof *lines, partial->path);
        goto cleanup;
    }
    read_lines(partial, &text, lines);
    status = end_last_line(partial, &text, err);
    if (status == VINCI_OK) status = check_pieces(partial, lines, check, err);
cleanup:
    free(lines);
    buf_free(&text);
    if (status != VINCI_OK) partial_close(partial);
    return status;
}

enum vinci_status partial_write(const struct partial *partial, uint64_t at, const char *data,
                                size_t n, struct vinci_error *err)
{
    while (n > 0) {
        ssize_t m = pwrite(partial->fd, data, n, (off_t)at);
        if (m < 0 && errno == EINTR) continue;
        if (m < 0) return fail_errno(err, errno, partial->path, "write");
        data += m;
        at += (uint64_t)m;
        n -= (size_t)m;
    }
    return VINCI_OK;
}

enum vinci_status partial_keep(struct partial *partial, const struct partial_line *lines, size_t n,
                               struct vinci_error *err)
{
    struct buf text = {0};
    if (fdatasync(partial->fd) != 0) return fail_errno(err, errno, partial->path, "write");
    for (size_t i = 0; i < n; i++)
        if (!buf_printf(&text, "%zu %s\n", lines[i].piece, lines[i].sha256.hex)) {
            buf_free(&text);
            return fail_memory(err, n * 80, partial->journal);
        }
    enum vinci_status status =
        write_all(partial->fd_journal, partial->journal, text.data, text.size, err);
    if (status == VINCI_OK && fdatasync(partial->fd_journal) != 0)
        status = fail_errno(err, errno, partial->journal, "write");
    for (size_t i = 0; i < n && status == VINCI_OK; i++) partial->kept[lines[i].piece] = true;
    buf_free(&text);
    return status;
}

enum vinci_status partial_finish(struct partial *partial, const char *place,
                                 struct vinci_error *err)
{
    if (fsync(partial->fd) != 0) return fail_errno(err, errno, partial->path, "write");
    if (rename(partial->path, place) != 0) return fail_errno(err, errno, place, "write");
    enum vinci_status status = sync_folder_of(place, err);
    if (status == VINCI_OK) unlink(partial->journal);
    return status;
}

void partial_discard(struct partial *partial)
{
    if (partial->path) unlink(partial->path);
    if (partial->journal) unlink(partial->journal);
}

void partial_close(struct partial *partial)
{
    if (partial->fd >= 0) close(partial->fd);
    if (partial->fd_journal >= 0) close(partial->fd_journal);
    free(partial->path);
    free(partial->journal);
    free(partial->kept);
    *partial = (struct partial){.fd = -1, .fd_journal = -1};
}
