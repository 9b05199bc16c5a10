/* The split expression: what it cuts, how \s is spelt out, and that the library's limits neither
 * stop honest text nor let a hostile expression run on. */
#include "text/pretokenize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))
#define O200K split_regex_o200k

/* The pieces of text, joined by '|'. */
static const struct {
    const char *regex, *text, *pieces;
} cases[] = {
    {O200K, "", ""},
    {O200K, "Hello, world!", "Hello|,| world|!"},
    {O200K, "don't DON'T we'LL it's", "don't| DON'T| we'LL| it's"},
    {O200K, "camelCase HTTPServer", "camel|Case| HTTPServer"},
    {O200K, "12345", "123|45"},
    {O200K, "a  b", "a| | b"},
    {O200K, "a \n  b\n", "a| \n| | b|\n"},
    {O200K, "x = a[i]/2;\r\n", "x| =| a|[i|]/|2|;\r\n"},
    {O200K, "神经网络 NPU", "神经网络| NPU"},
    {O200K, "   ", "   "},
    /* U+180E is no white space; U+3000 and U+0085 are. */
    {O200K,
     "a\xe1\xa0\x8e"
     "b",
     "a|\xe1\xa0\x8e"
     "b"},
    {O200K, "a \xe1\xa0\x8e b", "a| \xe1\xa0\x8e| b"},
    {O200K, "a\xe3\x80\x80\xc2\x85", "a|\xe3\x80\x80\xc2\x85"},
    {"\\s+", "a\xe1\xa0\x8e \xe2\x80\x8b", "a\xe1\xa0\x8e| |\xe2\x80\x8b"},
    {"\\S+", "a\xe1\xa0\x8e b", "a\xe1\xa0\x8e| |b"},
    {"[\\s!]+", "a !b", "a| !|b"},
    {"[^\\s!]+", "a !b", "a| !|b"},
    {"[\\S]+", "a b", "a| |b"},
    {"[^\\S]+",
     "a \xe3\x80\x80"
     "b",
     "a| \xe3\x80\x80|b"},
    {"[]\\s]+", "a] b", "a|] |b"},
    {"[^]\\s]+", "a] b", "a|] |b"},
    {"\\\\s", "a\\s b", "a|\\s| b"},
    {"\\[\\s", "[ [", "[ |["},
    {"[\\]\\s]+", "a] b", "a|] |b"},
    /* Gaps between matches are pieces; empty matches cut and go on. */
    {"b", "abba", "a|b|b|a"},
    {"x", "abc", "abc"},
    {"x*", "axb", "a|x|b"},
    {"", "a\xc3\xa9z", "a|\xc3\xa9|z"},
    {"(?=b)", "abab", "a|ba|b"},
    {"(?<=a)b\\K", "abc", "ab|c"},
    {"(?=(b))\\Kb", "ab", "a|b"},
};

static bool pieces_are(const char *regex, const char *text, size_t n, const char *expected)
{
    struct split_pattern *pattern = NULL;
    struct split *split = NULL;
    struct vinci_error err;
    char joined[256] = "";
    size_t size = 0;
    assert_int_equal(split_pattern_open(&pattern, regex, strlen(regex), &err), VINCI_OK);
    assert_int_equal(split_open(&split, pattern, &err), VINCI_OK);
    for (int round = 0; round < 2; round++) { /* a split may be used again */
        const char *piece, *next = text;
        size = 0;
        split_begin(split, text, n);
        while (assert_int_equal(split_next(split, &piece, &n, &err), VINCI_OK), piece) {
            assert_ptr_equal(piece, next);
            assert_true(n > 0);
            next = piece + n;
            if (size) joined[size++] = '|';
            memcpy(joined + size, piece, n);
            size += n;
        }
        n = strlen(text);
        assert_ptr_equal(next, text + n);
    }
    split_close(split);
    split_pattern_close(pattern);
    return size == strlen(expected) && memcmp(joined, expected, size) == 0;
}

static void test_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (!pieces_are(cases[i].regex, cases[i].text, strlen(cases[i].text), cases[i].pieces))
            fail_msg("case %zu: %s", i, cases[i].pieces);
    assert_false(pieces_are(O200K, "a b", 3, "a b"));
}

/* Every character of White_Space, and none else, is \s. */
static void test_white_space(void **state)
{
    (void)state;
    static const uint32_t white[][2] = {
        {0x9, 0xd},       {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680},
        {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}};
    static const char *const regexes[] = {"\\s", "[\\s]", "[^\\S]", "(?!\\S)."};
    for (size_t r = 0; r < ARRAY_SIZE(regexes); r++) {
        struct split_pattern *pattern = NULL;
        struct split *split = NULL;
        char regex[32] = "(?s)a";
        strcat(regex, regexes[r]);
        assert_int_equal(split_pattern_open(&pattern, regex, strlen(regex), NULL), VINCI_OK);
        assert_int_equal(split_open(&split, pattern, NULL), VINCI_OK);
        for (uint32_t c = 1; c < 0x4000; c++) {
            char text[8] = "xa";
            size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : 3, n_piece;
            text[2] = (char)(n == 1 ? c : n == 2 ? 0xc0 | c >> 6 : 0xe0 | c >> 12);
            text[1 + n] = n == 1 ? (char)c : (char)(0x80 | (c & 0x3f));
            if (n == 3) text[3] = (char)(0x80 | (c >> 6 & 0x3f));
            bool is_white = false;
            for (size_t i = 0; i < ARRAY_SIZE(white); i++)
                is_white |= c >= white[i][0] && c <= white[i][1];
            const char *piece;
            split_begin(split, text, 2 + n);
            split_next(split, &piece, &n_piece, NULL);
            if ((n_piece == 1) != is_white) fail_msg("%s and U+%04X", regexes[r], c);
        }
        split_close(split);
        split_pattern_close(pattern);
    }
}

static enum vinci_status count_pieces(const char *regex, const char *unit, size_t n_units,
                                      size_t *n_pieces, struct vinci_error *err)
{
    struct split_pattern *pattern = NULL;
    struct split *split = NULL;
    size_t n_unit = strlen(unit), n, n_total = 0;
    char *text = malloc(n_units * n_unit);
    const char *piece;
    for (size_t i = 0; i < n_units * n_unit; i++) text[i] = unit[i % n_unit];
    assert_int_equal(split_pattern_open(&pattern, regex, strlen(regex), err), VINCI_OK);
    assert_int_equal(split_open(&split, pattern, err), VINCI_OK);
    split_begin(split, text, n_units * n_unit);
    enum vinci_status status;
    *n_pieces = 0;
    while (!(status = split_next(split, &piece, &n, err)) && piece) {
        ++*n_pieces;
        n_total += n;
    }
    if (!status) assert_int_equal(n_total, n_units * n_unit);
    split_close(split);
    split_pattern_close(pattern);
    free(text);
    return status;
}

static void test_long_text(void **state)
{
    (void)state;
    enum { N = 3 << 20 };
    static const struct {
        const char *unit;
        size_t n_pieces;
    } runs[] = {{"A", 1},       {"a", 1},   {" ", 1},  {"\n", 1},           {"!", 1},
                {"\t", 1},      {" \n", 1}, {"Aa", N}, {"\xe4\xb8\xad", 1}, {"0", N / 3},
                {"\xcc\x81", 1}};
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        size_t n_pieces;
        struct vinci_error err = {0};
        if (count_pieces(O200K, runs[i].unit, N, &n_pieces, &err)) fail_msg("%s", err.text);
        if (n_pieces != runs[i].n_pieces) fail_msg("run %zu: %zu pieces", i, n_pieces);
    }
}

/* Groups that need the machine's stack for every repetition: a larger stack is made, and where that
 * is not enough either, the answer is a status. */
static void test_deep_matches(void **state)
{
    (void)state;
    size_t n_pieces;
    struct vinci_error err = {0};
    assert_int_equal(count_pieces("(?:(a)|b(?=b))*+", "a", 100000, &n_pieces, &err), VINCI_OK);
    assert_int_equal(n_pieces, 1);
    enum vinci_status status = count_pieces("(?:(a)|(b))*", "ab", 8 << 20, &n_pieces, &err);
    assert_true(status == VINCI_OK || status == VINCI_LIMIT);
    /* Exponential in the length. */
    assert_int_equal(count_pieces("(?:a+)+[bc]", "a", 64, &n_pieces, &err), VINCI_LIMIT);
}

static void test_bad_expressions(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "(",        "[a",  "*",    "\\",   "a{2,1}",   "\\p{Nonsense}",
        "(?<=a*)b", "\\C", "\xff", "[\\s", "[\\S-a]x("};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct split_pattern *pattern = NULL;
        struct vinci_error err = {0};
        if (split_pattern_open(&pattern, bad[i], strlen(bad[i]), &err) != VINCI_BAD_FILE)
            fail_msg("accepted: %s", bad[i]);
        assert_null(pattern);
        assert_non_null(strstr(err.text, "does not compile: "));
        assert_int_equal(split_pattern_open(&pattern, bad[i], strlen(bad[i]), NULL),
                         VINCI_BAD_FILE);
    }
    split_pattern_close(NULL);
    split_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),          cmocka_unit_test(test_white_space),
        cmocka_unit_test(test_long_text),       cmocka_unit_test(test_deep_matches),
        cmocka_unit_test(test_bad_expressions),
    };
    return cmocka_run_group_tests_name("pretokenize", tests, NULL, NULL);
}
