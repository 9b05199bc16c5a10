/* stop.c - stop strings, by Knuth, Morris and Pratt: for each string, how much of its beginning the
 * text now ends with. The longest of these is what has to be held back. */
#include "engine/stop.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

struct pattern {
    char *text;
    size_t n;
    size_t *border; /* [n]: longest proper beginning of text[0..i] that it also ends with */
    size_t matched; /* the text ends with this many of the string's first bytes */
};

struct stop_matcher {
    struct pattern *patterns;
    size_t n_patterns;
    struct buf pending; /* what the last call showed, then what is held back */
    size_t n_shown;
    int match;
};

static bool pattern_init(struct pattern *p, const char *text)
{
    p->n = strlen(text);
    p->text = text_copy(text, p->n);
    p->border = array_new_zero(p->n, sizeof *p->border);
    if (!p->text || !p->border) return false;
    for (size_t i = 1, k = 0; i < p->n; i++) {
        while (k > 0 && p->text[i] != p->text[k]) k = p->border[k - 1];
        if (p->text[i] == p->text[k]) k++;
        p->border[i] = k;
    }
    return true;
}

enum vinci_status stop_create(struct stop_matcher **out, const char *const *strings, size_t n,
                              struct vinci_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < n; i++)
        if (!strings[i] || !*strings[i])
            return fail(err, VINCI_USAGE, "stop string %zu is empty: it would stop at once", i);
    struct stop_matcher *m = calloc(1, sizeof *m);
    if (!m) goto no_memory;
    m->match = -1;
    m->patterns = array_new_zero(n, sizeof *m->patterns);
    if (!m->patterns) goto no_memory;
    m->n_patterns = n;
    for (size_t i = 0; i < n; i++)
        if (!pattern_init(&m->patterns[i], strings[i])) goto no_memory;
    *out = m;
    return VINCI_OK;
no_memory:
    stop_free(m);
    return fail_memory(err, sizeof *m, "stop strings");
}

void stop_free(struct stop_matcher *m)
{
    if (!m) return;
    for (size_t i = 0; m->patterns && i < m->n_patterns; i++) {
        free(m->patterns[i].text);
        free(m->patterns[i].border);
    }
    free(m->patterns);
    buf_free(&m->pending);
    free(m);
}

/* Takes one byte; true when it completes the string. */
static bool pattern_step(struct pattern *p, char byte)
{
    while (p->matched > 0 && p->text[p->matched] != byte) p->matched = p->border[p->matched - 1];
    if (p->text[p->matched] == byte) p->matched++;
    return p->matched == p->n;
}

/* Takes one byte into every string; returns how long the longest beginning is now. */
static size_t step(struct stop_matcher *m, char byte)
{
    size_t longest = 0, longest_found = 0;
    for (size_t i = 0; i < m->n_patterns; i++) {
        struct pattern *p = &m->patterns[i];
        if (pattern_step(p, byte) && p->n > longest_found) {
            longest_found = p->n;
            m->match = (int)i;
        }
        if (p->matched > longest) longest = p->matched;
    }
    return longest_found ? longest_found : longest;
}

enum vinci_status stop_feed(struct stop_matcher *m, const char *text, size_t n,
                            struct stop_text *shown, struct vinci_error *err)
{
    *shown = (struct stop_text){"", 0, m->match};
    if (m->match >= 0) return VINCI_OK;
    struct buf *pending = &m->pending;
    if (!buf_reserve(pending, n)) return fail_memory(err, n, "text held for stop strings");
    if (m->n_shown) memmove(pending->data, pending->data + m->n_shown, pending->size - m->n_shown);
    pending->size -= m->n_shown;
    m->n_shown = 0;
    size_t held = pending->size;
    for (size_t i = 0; i < n && m->match < 0; i++) {
        held = step(m, text[i]);
        pending->data[pending->size++] = text[i];
    }
    m->n_shown = pending->size - held;
    if (m->match >= 0) pending->size = m->n_shown;
    *shown = (struct stop_text){pending->data, m->n_shown, m->match};
    return VINCI_OK;
}

void stop_flush(struct stop_matcher *m, struct stop_text *shown)
{
    *shown = (struct stop_text){"", 0, m->match};
    if (m->match < 0 && m->pending.size > m->n_shown)
        *shown = (struct stop_text){m->pending.data + m->n_shown, m->pending.size - m->n_shown, -1};
    m->n_shown = m->pending.size;
}
