/* test_markdown.c - Markdown as lines for a terminal: the forms, the widths, and text that must not
 * reach a terminal as it is. */
#include "cli/chat_markdown.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *name, *text;
    size_t width;
    bool color;
    const char *lines;
} cases[] = {
    {"nothing", "", 40, false, ""},
    {"a paragraph", "one *two* **three**", 40, false, "one two three\n"},
    {"attributes", "a **b** c", 40, true, "a \033[0;1mb\033[0m c\n"},
    {"attributes end with the line", "**aaaaaaaaaaaa bbbbbbbbbbbb**", 20, true,
     "\033[0;1maaaaaaaaaaaa\033[0m\n\033[0;1mbbbbbbbbbbbb\033[0m\n"},
    {"lines break at words", "aaaaaaaaaa bbbbbbbbb ccccc", 20, false,
     "aaaaaaaaaa bbbbbbbbb\nccccc\n"},
    {"a long word is cut", "aaaaaaaaaaaaaaaaaaaaaaaaa", 20, false, "aaaaaaaaaaaaaaaaaaaa\naaaaa\n"},
    {"wide characters count twice", "一二三四五六七八九十一", 20, false,
     "一二三四五六七八九十\n一\n"},
    {"no closing mark begins a line", "一二三四五六七八九十。", 20, false,
     "一二三四五六七八九\n十。\n"},
    {"a heading", "# T\n\ntext", 40, false, "T\n\ntext\n"},
    {"a list", "- a\n- b\n  - c\n- d", 40, false, "• a\n• b\n  • c\n• d\n"},
    {"a numbered list", "3. a\n4. b", 40, false, "3. a\n4. b\n"},
    {"a loose list", "- a\n\n- b", 40, false, "• a\n\n• b\n"},
    {"text behind a list", "- a\n\nb", 40, false, "• a\n\nb\n"},
    {"code keeps its spaces", "```c\nif (x)\n    y  =  1;\n```", 40, false,
     "  if (x)\n      y  =  1;\n"},
    {"a code block that has not ended", "```\nab", 40, false, "  ab\n"},
    {"code in a list", "- a\n\n  ```\n  b\n  ```", 40, false, "• a\n\n    b\n"},
    {"a quotation", "> a\n>\n> b", 40, false, "│ a\n│\n│ b\n"},
    {"a table", "| a | 名 |\n|---|--:|\n| bb | 1 |", 40, false, "a  │ 名\n───┼───\nbb │  1\n"},
    {"a table that is too wide", "| a | b |\n|---|---|\n| cccc cccc cccc | dddd dddd dddd |", 24,
     false,
     "a          │ b\n───────────┼────────────\ncccc cccc  │ dddd dddd\ncccc       │ dddd\n"},
    {"a link", "[a](http://b) <http://c>", 40, false, "a (http://b) http://c\n"},
    {"entities", "a &lt; b &amp; c", 40, false, "a < b & c\n"},
    {"HTML is text", "<b>x</b>", 40, false, "<b>x</b>\n"},
    {"escape sequences", "a\033[31mb\007", 40, false, "a\xef\xbf\xbd[31mb\xef\xbf\xbd\n"},
    {"ill-formed UTF-8", "a\xff\xe4\xb8", 40, false, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n"},
};

static void test_cases(void **state)
{
    (void)state;
    if (!markdown_available) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        assert_true(markdown_render(&out, cases[i].text, strlen(cases[i].text), cases[i].width,
                                    cases[i].color));
        if (strcmp(out.data ? out.data : "", cases[i].lines) != 0)
            fail_msg("%s: expected\n%sgot\n%s", cases[i].name, cases[i].lines, out.data);
        buf_free(&out);
    }
}

static size_t widest_line(const struct buf *out)
{
    size_t widest = 0, width = 0, size = 0;
    for (size_t i = 0; i < out->size; i += size) {
        uint32_t c = character_at(out->data + i, out->size - i, &size);
        width = c == '\n' ? 0 : width + (size_t)character_width(c);
        if (width > widest) widest = width;
    }
    return widest;
}

/* Any mixture of Markdown's pieces: no line is too wide, every line ends, every beginning of the
 * text can be rendered too. */
static void test_any_text(void **state)
{
    static const char *const pieces[] = {"# ",
                                         "- ",
                                         "1. ",
                                         "> ",
                                         "\n",
                                         "\n\n",
                                         "```\n",
                                         "**",
                                         "*",
                                         "`",
                                         "| a | b |\n|---|---|\n",
                                         "| ",
                                         "a",
                                         "bb ",
                                         "名",
                                         "前 ",
                                         "。",
                                         "~~",
                                         "[",
                                         "](",
                                         "x)",
                                         "    ",
                                         "\t",
                                         "&",
                                         "<b>",
                                         "\\",
                                         "---",
                                         "\xff",
                                         "\033[",
                                         "e",
                                         "￥",
                                         "word "};
    (void)state;
    if (!markdown_available) skip();
    srand(1);
    for (int round = 0; round < 3000; round++) {
        struct buf text = {0}, out = {0};
        int n = rand() % 40;
        size_t width = 60 + (size_t)rand() % 60;
        for (int i = 0; i < n; i++)
            assert_true(
                buf_append_text(&text, pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)]));
        assert_true(markdown_render(&out, text.data ? text.data : "", text.size, width, false));
        if (out.size) assert_int_equal(out.data[out.size - 1], '\n');
        if (widest_line(&out) > width)
            fail_msg("%zu columns instead of %zu:\n%s", widest_line(&out), width, out.data);
        buf_free(&text);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases),
                                       cmocka_unit_test(test_any_text)};
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
