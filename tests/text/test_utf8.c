/* UTF-8: ill-formed parts are replaced one by one, whole or as a stream in any cuts. */
#include "text/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))
#define X "\xef\xbf\xbd"

/* Input and what is shown; a byte 0 ends neither. */
static const struct {
    const char *bytes;
    size_t n;
    const char *shown;
} cases[] = {
    {"", 0, ""},
    {"plain ASCII, longer than a word", 31, "plain ASCII, longer than a word"},
    {"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"},
    {"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 10, "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"},
    {"\x80", 1, X},
    {"\xbf\x80", 2, X X},
    {"\xc0\x80", 2, X X},       /* overlong */
    {"\xe0\x80\x80", 3, X X X}, /* overlong */
    {"\xe0\x9f\xbf", 3, X X X}, /* overlong */
    {"\xf0\x8f\xbf\xbf", 4, X X X X},
    {"\xed\xa0\x80", 3, X X X},       /* a surrogate */
    {"\xf4\x90\x80\x80", 4, X X X X}, /* beyond U+10FFFF */
    {"\xf5", 1, X},
    {"\xff\xfe", 2, X X},
    {"\xe4\xb8", 2, X}, /* cut off: one part */
    {"\xe4\xb8 ", 3, X " "},
    {"\xe4\xe4\xb8\xad", 4, X "\xe4\xb8\xad"},
    {"\xf0\x9f\x98", 3, X},
    {"\xf0\x9f\x98\xe4\xb8\xad", 6, X "\xe4\xb8\xad"},
    {"\xf0\x9f\xf0\x9f\x98\x80", 6, X "\xf0\x9f\x98\x80"},
    {"a\xc3"
     "a",
     3, "a" X "a"},
    {"eight by\xffte words", 17, "eight by" X "te words"},
    {"\xc3", 1, X},
};

static bool lossy_is(const char *bytes, size_t n, const char *shown, size_t n_shown)
{
    struct buf out = {0};
    assert_true(utf8_append_lossy(&out, bytes, n));
    bool same = out.size == n_shown && (n_shown == 0 || memcmp(out.data, shown, n_shown) == 0);
    buf_free(&out);
    return same;
}

/* Streams the bytes in pieces that end where `cuts` has a bit; the buffer is exactly as large as
 * vinci.h says. */
static bool stream_is(const char *bytes, size_t n, uint64_t cuts, const char *shown, size_t n_shown)
{
    struct vinci_utf8_stream stream = {0};
    struct buf all = {0};
    for (size_t begin = 0, i = 0; i <= n; i++) {
        if (i < n && !(cuts >> (i % 64) & 1)) continue;
        char *out = malloc(3 * (i - begin + 4));
        size_t size = vinci_utf8_stream_next(&stream, bytes + begin, i - begin, i == n, out);
        assert_true(size <= 3 * (i - begin + 4));
        assert_int_equal(utf8_valid_length(out, size), size);
        buf_append(&all, out, size);
        free(out);
        begin = i;
    }
    bool same = all.size == n_shown && (n_shown == 0 || memcmp(all.data, shown, n_shown) == 0);
    buf_free(&all);
    return same && stream.n_held == 0;
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *bytes = cases[i].bytes, *shown = cases[i].shown;
        size_t n = cases[i].n, n_shown = strlen(shown);
        bool valid = n == n_shown && memcmp(bytes, shown, n) == 0;
        assert_true((utf8_valid_length(bytes, n) == n) == valid);
        if (!lossy_is(bytes, n, shown, n_shown)) fail_msg("case %zu, whole", i);
        for (uint64_t cuts = 0; cuts < (uint64_t)1 << (n < 6 ? n : 6); cuts++)
            if (!stream_is(bytes, n, cuts, shown, n_shown)) fail_msg("case %zu as a stream", i);
    }
}

/* Random bytes, dense in leads and continuations: the stream agrees with the whole, and encoding
 * every code point by hand gives itself. */
static void test_random(void **state)
{
    (void)state;
    static const uint8_t likely[] = {0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc2, 0xdf, 0xe0, 0xe4,
                                     0xed, 0xef, 0xf0, 0xf3, 0xf4, 0xf5, 'a',  0,    0xc1, 0xff};
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char bytes[24];
        struct buf whole = {0};
        size_t n = 0;
        seed = seed * 1664525 + 1013904223;
        for (uint32_t r = seed; n < (seed >> 8) % sizeof bytes; n++) {
            r = r * 1664525 + 1013904223;
            bytes[n] = (char)likely[(r >> 16) % sizeof likely];
        }
        assert_true(utf8_append_lossy(&whole, bytes, n));
        assert_int_equal(utf8_valid_length(whole.data ? whole.data : "", whole.size), whole.size);
        assert_true(stream_is(bytes, n, seed, whole.data, whole.size));
        buf_free(&whole);
    }
}

static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char bytes[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        uint32_t left = c;
        for (size_t i = n; i-- > 1; left >>= 6) bytes[i] = (char)(0x80 | (left & 0x3f));
        bytes[0] = (char)(n == 1 ? left : (0xf00u >> n & 0xff) | left);
        bool surrogate = c >= 0xd800 && c < 0xe000;
        assert_true((utf8_valid_length(bytes, n) == n) == !surrogate);
    }
}

static void test_quote(void **state)
{
    (void)state;
    char out[UTF8_QUOTE_BYTES], large[1000];
    assert_string_equal(utf8_quote(out, "a\xc3\xa9\n\xff", 5), "a\xc3\xa9\\x0a\\xff");
    assert_string_equal(utf8_quote(out, "", 0), "");
    memset(large, 0xff, sizeof large);
    utf8_quote(out, large, sizeof large);
    assert_int_equal(strlen(out), 64 * 4 + 3);
    for (size_t i = 0; i < sizeof large; i++) large[i] = "\xf0\x9f\x98\x80"[(i + 3) % 4];
    utf8_quote(out, large, sizeof large);
    assert_int_equal(utf8_valid_length(out, strlen(out)), strlen(out));
}

/* The helpers above must be able to say no. */
static void test_notices(void **state)
{
    (void)state;
    assert_false(lossy_is("\xc3", 1, "?", 1));
    assert_false(stream_is("\xe4\xb8\xad", 3, 7, "\xe4\xb8\xae", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_notices),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
