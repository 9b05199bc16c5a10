/* chat_text.c - characters and their widths; text that is safe to write to a terminal.
 *
 * A model's text may hold escape sequences, by accident or because somebody put them into a page
 * that it was given. None reaches the terminal. */
#include "cli/chat_markdown.h"

#include <wchar.h>

uint32_t character_at(const char *text, size_t n, size_t *size)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t c = length > 1 ? s[0] & (0x7fu >> length) : s[0];
    *size = 1;
    if (length == 0 || length > n || s[0] > 0xf4) return 0xfffd;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0xfffd;
        c = c << 6 | (s[i] & 0x3fu);
    }
    *size = length;
    return c;
}

/* For machines without any UTF-8 locale: what is wide in East Asian scripts, and emoji. */
static bool is_wide(uint32_t c)
{
    static const uint32_t ranges[][2] = {{0x1100, 0x115f},  {0x2e80, 0x303e}, {0x3041, 0xa4cf},
                                         {0xac00, 0xd7a3},  {0xf900, 0xfaff}, {0xfe30, 0xfe6f},
                                         {0xff00, 0xff60},  {0xffe0, 0xffe6}, {0x1f300, 0x1f64f},
                                         {0x20000, 0x3fffd}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

int character_width(uint32_t character)
{
    int width = wcwidth((wchar_t)character);
    return width >= 0 ? width : is_wide(character) ? 2 : 1;
}

/* C0, DEL, C1, and what turns the direction of the text around. */
static bool is_unsafe(uint32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

bool terminal_text(struct buf *out, const char *text, size_t n)
{
    bool ok = true;
    for (size_t i = 0, size = 0; i < n && ok; i += size) {
        uint32_t c = character_at(text + i, n - i, &size);
        bool same = !is_unsafe(c) && (c != 0xfffd || size > 1);
        ok = same ? buf_append(out, text + i, size) : buf_append_text(out, "\xef\xbf\xbd");
    }
    return ok;
}
