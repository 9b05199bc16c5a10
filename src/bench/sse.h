/* sse.h - server-sent events out of a stream that arrives in pieces of any size (WHATWG HTML, 9.2):
 * the data of each event, its lines joined. Names, ids and comments are passed over. */
#ifndef VINCI_BENCH_SSE_H
#define VINCI_BENCH_SSE_H

#include "base/buf.h"

/* All zero to begin; released by sse_free. */
struct sse {
    struct buf line, data;
    bool has_data, after_cr;
};

/* `data` is NUL-terminated and borrowed for the call. */
typedef void sse_event_fn(void *user, const char *data, size_t n);

/* False: memory is short, or an event is beyond 16 MiB. */
bool sse_push(struct sse *sse, const char *bytes, size_t n, sse_event_fn *on_event, void *user);
void sse_free(struct sse *sse);

#endif
