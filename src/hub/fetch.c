/* fetch.c - brings files here.
 *
 * A slot is a connection. It takes the next pieces that nobody has taken yet, in order, as one
 * range request of some length: in order, so that the keeper's digest of the whole file runs
 * closely behind; of some length, so that hubs see few requests. After a fault the slot asks for
 * the rest of its range from the very byte where it stands. A server that ignores ranges is read by
 * one slot from the beginning, and what is here already is skipped. */
#include "hub/fetch.h"

#include "base/clock.h"
#include "base/log.h"
#include "hub/keeper.h"

#include <stdlib.h>
#include <string.h>

/* Why the receiver gave up an answer. */
enum fault {
    FAULT_NONE,
    FAULT_NO_RANGES, /* 200 where 206 was asked for */
    FAULT_WRONG_RANGE,
    FAULT_WRONG_SIZE,
    FAULT_TOO_LONG,
    FAULT_HERE /* no disk, no memory: slot->err */
};

enum piece_state { PIECE_MISSING, PIECE_TAKEN, PIECE_HERE };

struct file_work {
    unsigned char *pieces; /* enum piece_state [n_pieces] */
    size_t first_missing;  /* none before it */
    bool no_ranges;
    unsigned n_slots; /* that work on it */
};

struct slot {
    struct fetch *fetch;
    struct http_request request;
    struct digest *digest; /* of the piece at `pos` */
    bool busy, running;
    size_t file;
    uint64_t pos, end, began; /* began: where this attempt started */
    bool checked;             /* the answer's head was looked at */
    unsigned failures;        /* in a row, without a byte of progress */
    double not_before;
    enum fault fault;
    struct vinci_error err;
};

struct fetch {
    const struct fetch_options *options;
    struct fetch_file *files;
    struct keeper_file *kept;
    struct file_work *work;
    size_t n_files, n_open; /* n_open: whose partial is open */
    struct keeper *keeper;
    CURLM *multi;
    struct slot *slots;
    double not_before; /* a hub that is asked too often wants a pause of all */
    double shown;
};

/* ---- receiving ---------------------------------------------------------------------------- */

static bool give_up(struct slot *slot, enum fault fault)
{
    slot->fault = fault;
    return false;
}

static bool head_is_right(struct slot *slot)
{
    const struct http_request *request = &slot->request;
    uint64_t size = slot->fetch->files[slot->file].size;
    if (request->to == 0) { /* everything was asked for */
        curl_off_t length = -1;
        curl_easy_getinfo(request->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        if (request->code != 200) return give_up(slot, FAULT_WRONG_RANGE);
        if (length >= 0 && (uint64_t)length != size) return give_up(slot, FAULT_WRONG_SIZE);
        return true;
    }
    if (request->code == 200) return give_up(slot, FAULT_NO_RANGES);
    if (!request->has_content_range || request->range_from != slot->pos ||
        request->range_to > slot->end)
        return give_up(slot, FAULT_WRONG_RANGE);
    return request->range_total == size || give_up(slot, FAULT_WRONG_SIZE);
}

static bool end_piece(struct slot *slot, size_t piece)
{
    struct fetch *fetch = slot->fetch;
    struct digest_text sha256;
    bool ok = digest_end(slot->digest, &sha256) &&
              keeper_add(fetch->keeper, slot->file, piece, &sha256, &slot->err) == VINCI_OK;
    if (ok) fetch->work[slot->file].pieces[piece] = PIECE_HERE;
    return ok || give_up(slot, FAULT_HERE);
}

static size_t on_bytes(void *user, const char *data, size_t n)
{
    struct slot *slot = user;
    struct fetch *fetch = slot->fetch;
    const struct partial *partial = &fetch->kept[slot->file].partial;
    const unsigned char *pieces = fetch->work[slot->file].pieces;
    size_t left = n;
    if (!slot->checked && !head_is_right(slot)) return 0;
    slot->checked = true;
    while (left > 0) {
        if (slot->pos == slot->end) return give_up(slot, FAULT_TOO_LONG);
        size_t piece = (size_t)(slot->pos / partial->piece_bytes);
        uint64_t to = partial_piece_to(partial, piece);
        size_t take = to - slot->pos < left ? (size_t)(to - slot->pos) : left;
        bool wanted = pieces[piece] != PIECE_HERE;
        if (wanted && (partial_write(partial, slot->pos, data, take, &slot->err) != VINCI_OK ||
                       !digest_add(slot->digest, data, take)))
            return give_up(slot, FAULT_HERE);
        slot->pos += take;
        data += take;
        left -= take;
        if (wanted) fetch->files[slot->file].done += take;
        fetch->files[slot->file].arrived += take;
        if (wanted && slot->pos == to && !end_piece(slot, piece)) return 0;
    }
    return n;
}

/* ---- giving out work ---------------------------------------------------------------------- */

/* Takes the next pieces of the file; false when there are none to take. */
static bool take_pieces(struct fetch *fetch, size_t file, struct slot *slot)
{
    struct file_work *work = &fetch->work[file];
    const struct partial *partial = &fetch->kept[file].partial;
    size_t n = partial->n_pieces, first = work->first_missing;
    while (first < n && work->pieces[first] != PIECE_MISSING) first++;
    work->first_missing = first;
    if (first == n || (work->no_ranges && work->n_slots > 0)) return false;
    size_t last = first;
    if (work->no_ranges) {
        for (size_t i = first; i < n; i++)
            if (work->pieces[i] == PIECE_MISSING) work->pieces[i] = PIECE_TAKEN;
        first = 0;
        last = n;
    } else {
        /* Shorter towards the end, so that all connections have something to do until then. */
        size_t share = (n - first) / (2 * (size_t)fetch->options->n_connections) + 1;
        size_t most = fetch->options->range_pieces < share ? fetch->options->range_pieces : share;
        while (last < n && last - first < most && work->pieces[last] == PIECE_MISSING)
            work->pieces[last++] = PIECE_TAKEN;
    }
    work->n_slots++;
    slot->busy = true;
    slot->file = file;
    slot->pos = slot->began = partial_piece_from(partial, first);
    slot->end = partial_piece_to(partial, last - 1);
    slot->failures = 0;
    slot->not_before = 0;
    return true;
}

/* What the slot had of a piece counts no more, and what it had taken is free. */
static void drop_work(struct slot *slot)
{
    struct fetch *fetch = slot->fetch;
    struct file_work *work = &fetch->work[slot->file];
    const struct partial *partial = &fetch->kept[slot->file].partial;
    struct digest_text ignored;
    digest_end(slot->digest, &ignored);
    if (slot->pos < slot->end) {
        size_t piece = (size_t)(slot->pos / partial->piece_bytes);
        if (work->pieces[piece] != PIECE_HERE)
            fetch->files[slot->file].done -= slot->pos - partial_piece_from(partial, piece);
    }
    uint64_t from = work->no_ranges ? 0 : slot->pos / partial->piece_bytes;
    for (size_t i = (size_t)from; i < partial->n_pieces; i++) {
        if (partial_piece_from(partial, i) >= slot->end) break;
        if (work->pieces[i] != PIECE_TAKEN) continue;
        work->pieces[i] = PIECE_MISSING;
        if (i < work->first_missing) work->first_missing = i;
    }
    work->n_slots--;
    slot->busy = false;
}

static enum vinci_status start_attempt(struct slot *slot, struct vinci_error *err)
{
    struct fetch *fetch = slot->fetch;
    const struct fetch_file *file = &fetch->files[slot->file];
    enum vinci_status status =
        http_request_set(&slot->request, fetch->options->http, file->url, err);
    if (status != VINCI_OK) return status;
    if (slot->pos > 0 || slot->end < file->size) {
        slot->request.from = slot->pos;
        slot->request.to = slot->end;
    }
    slot->request.body = on_bytes;
    slot->request.user = slot;
    slot->began = slot->pos;
    return VINCI_OK;
}

static enum vinci_status perform(struct slot *slot, struct vinci_error *err)
{
    enum vinci_status status = http_request_prepare(&slot->request, err);
    if (status != VINCI_OK) return status;
    slot->checked = false;
    slot->fault = FAULT_NONE;
    if (curl_multi_add_handle(slot->fetch->multi, slot->request.easy) != CURLM_OK)
        return fail(err, VINCI_FAILED, "%s: libcurl does not take the request", slot->request.url);
    slot->running = true;
    return VINCI_OK;
}

static enum vinci_status give_work(struct fetch *fetch, struct vinci_error *err)
{
    double now = seconds_now();
    enum vinci_status status = VINCI_OK;
    for (unsigned i = 0; i < fetch->options->n_connections && status == VINCI_OK; i++) {
        struct slot *slot = &fetch->slots[i];
        for (size_t file = 0; file < fetch->n_files && !slot->busy; file++)
            take_pieces(fetch, file, slot);
        if (!slot->busy || slot->running || now < slot->not_before || now < fetch->not_before)
            continue;
        status = start_attempt(slot, err);
        if (status == VINCI_OK) status = perform(slot, err);
    }
    return status;
}

/* ---- after an attempt --------------------------------------------------------------------- */

static enum vinci_status try_again(struct slot *slot, double asked, const struct vinci_error *why,
                                   struct vinci_error *err)
{
    struct fetch *fetch = slot->fetch;
    const struct http *http = fetch->options->http;
    struct log log = {fetch->options->log, fetch->options->log_user};
    if (slot->pos > slot->began && !fetch->work[slot->file].no_ranges) slot->failures = 0;
    if (++slot->failures > http->n_retries)
        return fail(err, why->status,
                    "%s; given up at attempt %u; the same command goes on from here", why->text,
                    slot->failures);
    double pause = http_pause(http, slot->failures, asked);
    log_message(&log, VINCI_LOG_INFO, "%s; again in %.1f s", why->text, pause);
    slot->not_before = seconds_now() + pause;
    if (asked > 0) fetch->not_before = slot->not_before;
    if (fetch->work[slot->file].no_ranges) { /* from the beginning */
        unsigned failures = slot->failures;
        double not_before = slot->not_before;
        size_t file = slot->file;
        drop_work(slot);
        take_pieces(fetch, file, slot);
        slot->failures = failures;
        slot->not_before = not_before;
    }
    return VINCI_OK;
}

static enum vinci_status handle_fault(struct slot *slot, struct vinci_error *err)
{
    struct fetch *fetch = slot->fetch;
    const struct fetch_file *file = &fetch->files[slot->file];
    struct http_request *request = &slot->request;
    struct log log = {fetch->options->log, fetch->options->log_user};
    struct vinci_error why = {0};
    switch (slot->fault) {
    case FAULT_NO_RANGES:
        if (!fetch->work[slot->file].no_ranges)
            log_message(&log, VINCI_LOG_INFO,
                        "%s: the server does not give parts of it; one connection from the "
                        "beginning",
                        file->name);
        drop_work(slot);
        fetch->work[slot->file].no_ranges = true;
        return VINCI_OK;
    case FAULT_WRONG_RANGE:
        fail(&why, VINCI_IO, "%s: asked for bytes %llu to %llu, got others", file->url,
             (unsigned long long)slot->pos, (unsigned long long)slot->end);
        break;
    case FAULT_WRONG_SIZE:
        fail(&why, VINCI_BAD_FILE, "%s: the list says %llu bytes, the server has another size",
             file->url, (unsigned long long)file->size);
        break;
    case FAULT_TOO_LONG:
        fail(&why, VINCI_IO, "%s: the answer is longer than what was asked for", file->url);
        break;
    case FAULT_HERE:
        if (slot->err.text[0]) return fail(err, slot->err.status, "%s", slot->err.text);
        return fail(err, VINCI_FAILED, "%s: OpenSSL cannot compute a digest", file->name);
    case FAULT_NONE: return VINCI_OK;
    }
    return try_again(slot, request->pause, &why, err);
}

static enum vinci_status after_attempt(struct slot *slot, CURLcode result, struct vinci_error *err)
{
    struct vinci_error why = {0};
    slot->running = false;
    curl_multi_remove_handle(slot->fetch->multi, slot->request.easy);
    if (slot->fault != FAULT_NONE) return handle_fault(slot, err);
    switch (http_request_outcome(&slot->request, result, &why)) {
    case HTTP_REDIRECT: return perform(slot, err);
    case HTTP_FATAL: return fail(err, why.status, "%s", why.text);
    case HTTP_RETRY: return try_again(slot, slot->request.pause, &why, err);
    case HTTP_DONE: break;
    }
    if (slot->pos < slot->end) {
        fail(&why, VINCI_IO, "%s: the answer ends after byte %llu of %llu", slot->request.url,
             (unsigned long long)slot->pos, (unsigned long long)slot->end);
        return try_again(slot, 0, &why, err);
    }
    drop_work(slot);
    return VINCI_OK;
}

static enum vinci_status handle_messages(struct fetch *fetch, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    int n = 0;
    for (CURLMsg *message;
         status == VINCI_OK && (message = curl_multi_info_read(fetch->multi, &n));)
        for (unsigned i = 0; i < fetch->options->n_connections; i++)
            if (message->msg == CURLMSG_DONE &&
                message->easy_handle == fetch->slots[i].request.easy) {
                status = after_attempt(&fetch->slots[i], message->data.result, err);
                break;
            }
    return status;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Looks what the keeper has finished. */
static enum vinci_status collect(struct fetch *fetch, size_t *n_left, struct vinci_error *err)
{
    enum vinci_status status = keeper_status(fetch->keeper, err);
    *n_left = 0;
    for (size_t i = 0; i < fetch->n_files && status == VINCI_OK; i++) {
        struct fetch_file *file = &fetch->files[i];
        if (file->state != FETCH_WAITING) continue;
        enum keeper_state state = keeper_state(fetch->keeper, i);
        if (state == KEEPER_ARRIVING) {
            ++*n_left;
            continue;
        }
        file->is = fetch->kept[i].is;
        file->state = state == KEEPER_COMPLETE ? FETCH_COMPLETE : FETCH_MISMATCH;
        if (state == KEEPER_COMPLETE && fetch->options->completed)
            status = fetch->options->completed(fetch->options->user, file, err);
    }
    return status;
}

static void show(struct fetch *fetch, bool now)
{
    if (!fetch->options->progress || (!now && seconds_now() - fetch->shown < 0.1)) return;
    fetch->shown = seconds_now();
    fetch->options->progress(fetch->options->user, fetch->files, fetch->n_files);
}

/* Until when nothing has to be done without an event. */
static int wait_milliseconds(const struct fetch *fetch)
{
    double now = seconds_now(), wait = 0.2;
    for (unsigned i = 0; i < fetch->options->n_connections; i++) {
        const struct slot *slot = &fetch->slots[i];
        if (!slot->busy || slot->running) continue;
        double at = slot->not_before > fetch->not_before ? slot->not_before : fetch->not_before;
        if (at - now < wait) wait = at - now;
    }
    return wait > 0 ? (int)(wait * 1000) + 1 : 0;
}

static enum vinci_status run(struct fetch *fetch, struct vinci_error *err)
{
    const struct http *http = fetch->options->http;
    for (;;) {
        size_t n_left = 0;
        int n_running = 0;
        enum vinci_status status = collect(fetch, &n_left, err);
        if (status != VINCI_OK) return status;
        show(fetch, n_left == 0);
        if (n_left == 0) return VINCI_OK;
        if (http->stop && http->stop(http->user)) return fail(err, VINCI_CANCELLED, "stopped");
        status = give_work(fetch, err);
        if (status != VINCI_OK) return status;
        if (curl_multi_perform(fetch->multi, &n_running) != CURLM_OK)
            return fail(err, VINCI_FAILED, "libcurl cannot go on");
        status = handle_messages(fetch, err);
        if (status != VINCI_OK) return status;
        curl_multi_poll(fetch->multi, NULL, 0, wait_milliseconds(fetch), NULL);
    }
}

static void wake(void *user)
{
    curl_multi_wakeup(((struct fetch *)user)->multi);
}

static bool on_checked(void *user, uint64_t n_bytes)
{
    struct fetch *fetch = user;
    const struct http *http = fetch->options->http;
    fetch->files[fetch->n_open].done += n_bytes;
    show(fetch, false);
    return !http->stop || !http->stop(http->user);
}

/* Opens what an earlier run left, or begins. */
static enum vinci_status open_file(struct fetch *fetch, size_t i, struct vinci_error *err)
{
    struct fetch_file *file = &fetch->files[i];
    struct keeper_file *kept = &fetch->kept[i];
    struct partial_check check = {on_checked, fetch};
    file->done = 0;
    enum vinci_status status =
        partial_open(&kept->partial, file->stem, file->size, file->kind, &file->digest,
                     fetch->options->piece_bytes, &check, err);
    if (status != VINCI_OK) return status;
    fetch->n_open++;
    file->done = 0;
    file->state = FETCH_WAITING;
    kept->place = file->place;
    kept->kind = file->kind;
    kept->expected = file->digest;
    kept->digest = digest_new(file->kind == DIGEST_NONE ? DIGEST_SHA256 : file->kind, file->size);
    struct file_work *work = &fetch->work[i];
    work->pieces = array_new_zero(kept->partial.n_pieces, 1);
    if (!kept->digest || !work->pieces) return fail_memory(err, kept->partial.n_pieces, file->name);
    for (size_t k = 0; k < kept->partial.n_pieces; k++) {
        if (!kept->partial.kept[k]) continue;
        work->pieces[k] = PIECE_HERE;
        file->done += partial_piece_to(&kept->partial, k) - partial_piece_from(&kept->partial, k);
    }
    return VINCI_OK;
}

static enum vinci_status open_all(struct fetch *fetch, struct vinci_error *err)
{
    const struct fetch_options *options = fetch->options;
    enum vinci_status status = VINCI_OK;
    fetch->kept = array_new_zero(fetch->n_files, sizeof *fetch->kept);
    fetch->work = array_new_zero(fetch->n_files, sizeof *fetch->work);
    fetch->slots = array_new_zero(options->n_connections, sizeof *fetch->slots);
    fetch->multi = curl_multi_init();
    if (!fetch->kept || !fetch->work || !fetch->slots || !fetch->multi)
        return fail_memory(err, fetch->n_files * sizeof *fetch->kept, "the download");
    curl_multi_setopt(fetch->multi, CURLMOPT_MAXCONNECTS, (long)options->n_connections * 2);
    for (unsigned i = 0; i < options->n_connections; i++) {
        fetch->slots[i].fetch = fetch;
        fetch->slots[i].digest = digest_new(DIGEST_SHA256, 0);
        if (!fetch->slots[i].digest) return fail_memory(err, 512, "the download");
    }
    for (size_t i = 0; i < fetch->n_files && status == VINCI_OK; i++)
        status = open_file(fetch, i, err);
    if (status == VINCI_OK)
        status = keeper_start(&fetch->keeper, fetch->kept, fetch->n_files, wake, fetch, err);
    return status;
}

static void close_all(struct fetch *fetch)
{
    unsigned n_slots = fetch->slots ? fetch->options->n_connections : 0;
    keeper_stop(fetch->keeper); /* before the files close: it keeps what has arrived */
    for (unsigned i = 0; i < n_slots; i++) {
        struct slot *slot = &fetch->slots[i];
        if (slot->running) curl_multi_remove_handle(fetch->multi, slot->request.easy);
        http_request_free(&slot->request);
        digest_free(slot->digest);
    }
    for (size_t i = 0; i < fetch->n_open; i++) {
        partial_close(&fetch->kept[i].partial);
        digest_free(fetch->kept[i].digest);
        free(fetch->work[i].pieces);
    }
    if (fetch->multi) curl_multi_cleanup(fetch->multi);
    free(fetch->slots);
    free(fetch->kept);
    free(fetch->work);
}

enum vinci_status hub_fetch(struct fetch_file *files, size_t n_files,
                            const struct fetch_options *options, struct vinci_error *err)
{
    struct fetch fetch = {.options = options, .files = files, .n_files = n_files};
    if (n_files > FETCH_FILES_MAX)
        return fail(err, VINCI_LIMIT, "more than %d files at once", FETCH_FILES_MAX);
    enum vinci_status status = open_all(&fetch, err);
    if (status == VINCI_OK) status = run(&fetch, err);
    close_all(&fetch);
    return status;
}
