/* utf8.c - checks UTF-8 and replaces what is ill-formed, whole or as a stream.
 *
 * Everything rests on utf8_look, which reads one part: a whole character, the maximal ill-formed
 * part, or a beginning that the end of the data cuts off. The stream feeds it byte by byte: tokens
 * are a few bytes long, so nothing is gained by being clever there. */
#include "text/utf8.h"

#include <stdio.h>
#include <string.h>

enum utf8_part { UTF8_WHOLE, UTF8_ILL, UTF8_CUT };

static const char replacement[3] = "\xef\xbf\xbd";

/* What stands at the start of n >= 1 bytes; *length >= 1 bytes belong to it. */
static enum utf8_part utf8_look(const uint8_t *p, size_t n, size_t *length)
{
    *length = 1;
    uint8_t lead = p[0];
    if (lead < 0x80) return UTF8_WHOLE;
    if (lead < 0xc2 || lead > 0xf4) return UTF8_ILL;
    size_t whole = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    /* The second byte has narrower bounds behind four leads: overlong forms, surrogates, beyond
     * U+10FFFF. */
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < whole; i++) {
        if (i == n) return UTF8_CUT;
        if (p[i] < low || p[i] > high) return UTF8_ILL;
        low = 0x80;
        high = 0xbf;
        *length = i + 1;
    }
    return UTF8_WHOLE;
}

size_t utf8_valid_length(const char *text, size_t n)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t i = 0;
    while (i < n) {
        uint64_t word;
        while (n - i >= sizeof word) {
            memcpy(&word, p + i, sizeof word);
            if (word & UINT64_C(0x8080808080808080)) break;
            i += sizeof word;
        }
        while (i < n && p[i] < 0x80) i++;
        while (i < n && p[i] >= 0x80) {
            size_t length;
            if (utf8_look(p + i, n - i, &length) != UTF8_WHOLE) return i;
            i += length;
        }
    }
    return n;
}

size_t utf8_ill_formed_length(const char *text, size_t n)
{
    size_t length;
    return n && utf8_look((const uint8_t *)text, n, &length) == UTF8_ILL ? length : 0;
}

bool utf8_append_lossy(struct buf *buf, const char *text, size_t n)
{
    while (n) {
        size_t valid = utf8_valid_length(text, n);
        if (!buf_append(buf, text, valid)) return false;
        text += valid;
        n -= valid;
        if (!n) break;
        size_t length;
        utf8_look((const uint8_t *)text, n, &length);
        if (!buf_append(buf, replacement, sizeof replacement)) return false;
        text += length;
        n -= length;
    }
    return true;
}

const char *utf8_quote(char out[UTF8_QUOTE_BYTES], const char *text, size_t n)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t size = 0, length;
    for (size_t i = 0; i < n && i < 64; i += length) {
        enum utf8_part part = utf8_look(p + i, n - i, &length);
        if (part == UTF8_WHOLE && p[i] >= 0x20 && p[i] != 0x7f) {
            memcpy(out + size, p + i, length);
            size += length;
            continue;
        }
        length = 1;
        size += (size_t)snprintf(out + size, UTF8_QUOTE_BYTES - size, "\\x%02x", p[i]);
    }
    snprintf(out + size, UTF8_QUOTE_BYTES - size, "%s", n > 64 ? "..." : "");
    return out;
}

/* The first two bytes of a surrogate: ill-formed already, but held until the third is there, as the
 * reference decoder does, so that what a token shows is the same. */
static bool is_half_surrogate(const uint8_t *held, size_t n_held)
{
    return n_held == 2 && held[0] == 0xed && held[1] >= 0xa0 && held[1] <= 0xbf;
}

size_t vinci_utf8_stream_next(struct vinci_utf8_stream *stream, const char *bytes, size_t n,
                              bool flush, char *out)
{
    uint8_t *held = stream->held;
    size_t n_held = stream->n_held, n_out = 0;
    for (size_t i = 0; i < n + flush; i++) {
        bool last = i == n;
        if (!last) held[n_held++] = (uint8_t)bytes[i];
        while (n_held) {
            size_t length;
            enum utf8_part part = utf8_look(held, n_held, &length);
            if (!last && (part == UTF8_CUT || is_half_surrogate(held, n_held))) break;
            const void *shown = part == UTF8_WHOLE ? (const void *)held : replacement;
            size_t n_shown = part == UTF8_WHOLE ? length : sizeof replacement;
            memcpy(out + n_out, shown, n_shown);
            n_out += n_shown;
            n_held -= length;
            memmove(held, held + length, n_held);
        }
    }
    stream->n_held = (uint8_t)n_held;
    return n_out;
}
