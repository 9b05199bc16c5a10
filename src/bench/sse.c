/* sse.c - see sse.h. Lines end in CR, LF or both; an empty line sends the event. */
#include "bench/sse.h"

#include <string.h>

enum { EVENT_MAX = 16 << 20 };

static bool end_of_line(struct sse *sse, sse_event_fn *on_event, void *user)
{
    const char *line = sse->line.data;
    size_t n = sse->line.size;
    if (n == 0) {
        if (sse->has_data) on_event(user, sse->data.data, sse->data.size);
        sse->data.size = 0;
        sse->has_data = false;
        return true;
    }
    size_t n_name = strnlen(line, n);
    const char *colon = memchr(line, ':', n);
    if (colon) n_name = (size_t)(colon - line);
    bool ok = true;
    if (n_name == 4 && memcmp(line, "data", 4) == 0) {
        size_t first = colon ? n_name + 1 + (n_name + 1 < n && line[n_name + 1] == ' ') : n;
        if (sse->has_data) ok = buf_append(&sse->data, "\n", 1);
        ok = ok && buf_append(&sse->data, line + first, n - first);
        sse->has_data = true;
    }
    sse->line.size = 0;
    return ok && sse->data.size <= EVENT_MAX;
}

bool sse_push(struct sse *sse, const char *bytes, size_t n, sse_event_fn *on_event, void *user)
{
    /* From the first byte on there is always a NUL behind both. */
    if (!buf_reserve(&sse->line, 1) || !buf_reserve(&sse->data, 1)) return false;
    for (size_t i = 0; i < n;) {
        if (sse->after_cr && bytes[i] == '\n') i++; /* the second half of CR LF */
        sse->after_cr = false;
        size_t m = 0;
        while (i + m < n && bytes[i + m] != '\r' && bytes[i + m] != '\n') m++;
        if (sse->line.size + m > EVENT_MAX || !buf_append(&sse->line, bytes + i, m)) return false;
        i += m;
        if (i == n) break;
        sse->after_cr = bytes[i++] == '\r';
        if (!end_of_line(sse, on_event, user)) return false;
    }
    return true;
}

void sse_free(struct sse *sse)
{
    buf_free(&sse->line);
    buf_free(&sse->data);
    *sse = (struct sse){0};
}
