/* byte_level.c - reads GPT-2's byte alphabet.
 *
 * By arithmetic instead of a table: bytes 00-20, 7F-A0 and AD are the ones that do not print, so
 * U+0100..0120, U+0121..0142 and U+0143 stand for them. */
#include "text/byte_level.h"

#include "text/utf8.h"

#include <string.h>

/* The byte that the one- or two-byte character at p stands for, -1 if none; *n is its length. */
static int read_letter(const char *p, size_t n_left, size_t *n)
{
    uint8_t lead = (uint8_t)p[0];
    *n = 1;
    if (lead > 0x20 && lead < 0x7f) return lead;
    if (lead < 0xc2 || lead > 0xc5 || n_left < 2 || ((uint8_t)p[1] & 0xc0) != 0x80) return -1;
    *n = 2;
    int letter = (lead & 0x1f) << 6 | ((uint8_t)p[1] & 0x3f);
    if (letter < 0x100) return letter > 0xa0 && letter != 0xad ? letter : -1;
    if (letter <= 0x120) return letter - 0x100;
    if (letter <= 0x142) return letter - 0x121 + 0x7f;
    return letter == 0x143 ? 0xad : -1;
}

enum vinci_status byte_level_decode(struct buf *out, const char *text, size_t n,
                                    struct vinci_error *err)
{
    if (!buf_reserve(out, n)) return fail_memory(err, n, "a token");
    char *p = out->data + out->size;
    for (size_t i = 0, length; i < n; i += length) {
        int byte = read_letter(text + i, n - i, &length);
        if (byte < 0) {
            out->data[out->size] = '\0';
            return fail(err, VINCI_BAD_FILE, "token \"%s\": expected the byte-level alphabet",
                        utf8_quote((char[UTF8_QUOTE_BYTES]){0}, text, n));
        }
        *p++ = (char)byte;
    }
    *p = '\0';
    out->size = (size_t)(p - out->data);
    return VINCI_OK;
}

enum vinci_status byte_level_decode_pair(struct buf *out, const char *text, size_t n,
                                         size_t *n_left, struct vinci_error *err)
{
    const char *space = memchr(text, ' ', n);
    if (!space)
        return fail(err, VINCI_BAD_FILE, "merge \"%s\": expected two tokens and a space between",
                    utf8_quote((char[UTF8_QUOTE_BYTES]){0}, text, n));
    size_t n_first = (size_t)(space - text), size = out->size;
    enum vinci_status status = byte_level_decode(out, text, n_first, err);
    if (status) return status;
    *n_left = out->size - size;
    status = byte_level_decode(out, space + 1, n - n_first - 1, err);
    if (status) out->size = size;
    return status;
}
