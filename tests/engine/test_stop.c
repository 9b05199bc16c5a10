/* Stop strings: table of cases, each fed whole, byte by byte, and in every cut into two; and random
 * texts against a plain search. */
#include "base/random.h"
#include "engine/stop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))

enum { MAX_STRINGS = 4 };

static const struct stop_case {
    const char *strings[MAX_STRINGS];
    const char *text, *shown;
    int match;
} cases[] = {
    {{"stop"}, "please stop now", "please ", 0},
    {{"stop"}, "please sto", "please sto", -1},
    {{"stop"}, "stop", "", 0},
    {{"stop"}, "", "", -1},
    {{0}, "anything", "anything", -1},
    {{"aab"}, "aaab", "a", 0},
    {{"abab!"}, "ababab!x", "ab", 0},
    {{"aaaa"}, "aaabaaabaaaa", "aaabaaab", 0},
    {{"aabaaac"}, "aabaaabaaac", "aaba", 0}, /* falls back twice */
    {{"END", "EN"}, "the END", "the ", 1},   /* the one that ends first */
    {{"bc", "abc"}, "xabc", "x", 1},         /* both end here: the longest */
    {{"abc", "bc"}, "xabc", "x", 0},
    {{"abcd", "bc"}, "xabcd", "xa", 1},
    {{"abcde", "cdf"}, "abcdf", "ab", 1}, /* a beginning of one that turns into another */
    {{"abcx", "bcdx", "cd"}, "abcd", "ab", 2},
    {{"\n\nUser:", "\n\n\n"}, "hi\n\nUse\n\n\nx", "hi\n\nUse", 1},
    {{"结束", "结果"}, "这是结构，结束了", "这是结构，", 0},
    {{"é"}, "caf\xc3\xa8 caf\xc3\xa9", "caf\xc3\xa8 caf", 0}, /* the same first byte */
    {{"x", "x"}, "ax", "a", 0},
};

/* Feeds the pieces that `cuts` marks (bit i: a cut behind byte i); checks what comes out. */
static void check(const struct stop_case *c, const uint8_t *cuts)
{
    size_t n_strings = 0, n = strlen(c->text), n_out = 0;
    while (n_strings < MAX_STRINGS && c->strings[n_strings]) n_strings++;
    struct stop_matcher *m = NULL;
    assert_int_equal(stop_create(&m, c->strings, n_strings, NULL), VINCI_OK);
    char *out = calloc(n + 1, 1);
    struct stop_text shown = {"", 0, -1};
    for (size_t begin = 0, i = 0; i < n; i++) {
        if (i + 1 < n && !cuts[i]) continue;
        char *piece = malloc(i + 1 - begin); /* exactly as long: the sanitizer sees an overrun */
        memcpy(piece, c->text + begin, i + 1 - begin);
        assert_int_equal(stop_feed(m, piece, i + 1 - begin, &shown, NULL), VINCI_OK);
        free(piece);
        memcpy(out + n_out, shown.text, shown.n);
        n_out += shown.n;
        begin = i + 1;
        /* Nothing shown may have to be taken back. */
        if (n_out > strlen(c->shown) || memcmp(out, c->shown, n_out))
            fail_msg("text '%s': '%s' was shown, expected '%s'", c->text, out, c->shown);
    }
    stop_flush(m, &shown);
    memcpy(out + n_out, shown.text, shown.n);
    n_out += shown.n;
    assert_string_equal(out, c->shown);
    assert_int_equal(shown.match, c->match);
    stop_feed(m, "more", 4, &shown, NULL);
    if (c->match >= 0) assert_int_equal(shown.n, 0);
    stop_free(m);
    free(out);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t n = strlen(cases[i].text);
        uint8_t cuts[64] = {0};
        check(&cases[i], cuts);
        for (size_t at = 0; at < n; at++) {
            memset(cuts, 0, sizeof cuts);
            cuts[at] = 1;
            check(&cases[i], cuts);
        }
        memset(cuts, 1, sizeof cuts);
        check(&cases[i], cuts);
    }
}

/* Words over two letters, so that beginnings overlap all the time. */
static void test_random(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        uint64_t at = 0;
        char strings[MAX_STRINGS][12] = {{0}}, text[41] = {0}, shown[41];
        uint8_t cuts[64] = {0};
        struct stop_case c = {.text = text, .shown = shown, .match = -1};
        size_t n_strings = 1 + random_u64(seed, at++) % (MAX_STRINGS - 1);
        for (size_t i = 0; i < n_strings; i++) {
            size_t n = 2 + random_u64(seed, at++) % 9;
            for (size_t j = 0; j < n; j++) strings[i][j] = "ab"[random_u64(seed, at++) % 4 == 0];
            c.strings[i] = strings[i];
        }
        for (size_t i = 0; i < 40; i++) {
            text[i] = "ab"[random_u64(seed, at++) % 4 == 0];
            cuts[i] = random_u64(seed, at++) & 1;
        }
        size_t n_shown = 40, longest = 0;
        for (size_t end = 1; end <= 40 && c.match < 0; end++)
            for (size_t i = 0; i < n_strings; i++) {
                size_t n = strlen(strings[i]);
                if (n > end || n <= longest || memcmp(text + end - n, strings[i], n)) continue;
                longest = n;
                n_shown = end - n;
                c.match = (int)i;
            }
        memcpy(shown, text, n_shown);
        shown[n_shown] = '\0';
        check(&c, cuts);
    }
}

/* Text that cannot become a stop string is shown at once. */
static void test_prompt(void **state)
{
    (void)state;
    const char *strings[] = {"Observation:"};
    struct stop_matcher *m = NULL;
    struct stop_text shown;
    assert_int_equal(stop_create(&m, strings, 1, NULL), VINCI_OK);
    stop_feed(m, "Hello", 5, &shown, NULL);
    assert_int_equal(shown.n, 5);
    stop_feed(m, " Obs", 4, &shown, NULL);
    assert_int_equal(shown.n, 1);
    stop_feed(m, "olete", 5, &shown, NULL);
    assert_int_equal(shown.n, 8);
    assert_memory_equal(shown.text, "Obsolete", 8);
    stop_feed(m, "", 0, &shown, NULL);
    assert_int_equal(shown.n, 0);
    stop_free(m);
}

static void test_refused(void **state)
{
    (void)state;
    const char *strings[] = {"a", ""};
    struct stop_matcher *m = (struct stop_matcher *)&strings;
    struct vinci_error err;
    assert_int_equal(stop_create(&m, strings, 2, &err), VINCI_USAGE);
    assert_null(m);
    assert_non_null(strstr(err.text, "stop string 1 is empty"));
    stop_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
