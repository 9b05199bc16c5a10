/* lang.c - which language the program speaks, and its texts.
 *
 * The Chinese texts are a sorted table inside the program, made from po/zh_CN.po at build time. The
 * C library's gettext would need an installed locale besides the catalogue: a bare container has
 * only C and POSIX, for which it translates nothing, and a program copied alone to another machine
 * has no catalogue. The table works everywhere. */
#include "cli/lang.h"

#include "cli/chat_markdown.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static bool chinese;                    /* set before there are threads */
static _Thread_local bool chinese_here; /* this thread speaks Chinese though others do not */

static int compare(const void *english, const void *entry)
{
    return strcmp(english, ((const struct lang_entry *)entry)->english);
}

const char *lang_text(const char *english)
{
    if (!chinese && !chinese_here) return english;
    const struct lang_entry *entry =
        bsearch(english, lang_zh_CN, lang_zh_CN_n, sizeof *lang_zh_CN, compare);
    return entry ? entry->translated : english;
}

bool lang_choose(const char *name)
{
    bool zh = strcmp(name, "zh_CN") == 0;
    if (!zh && strcmp(name, "en") != 0) return false;
    chinese = zh;
    chinese_here = false;
    return true;
}

void lang_keep_here(void)
{
    chinese_here = chinese;
    chinese = false;
}

const char *lang_name(void)
{
    return chinese || chinese_here ? "zh_CN" : "en";
}

void lang_choose_early(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--lang=", 7) == 0) lang_choose(argv[i] + 7);
        else if (strcmp(argv[i], "--lang") == 0 && i + 1 < argc) lang_choose(argv[i + 1]);
    }
}

/* One of `names` ("zh", "zh_CN", ...) in front of the codeset and the variant. */
static bool is_locale(const char *locale, size_t n, const char *const *names)
{
    size_t name_n = 0;
    while (name_n < n && locale[name_n] != '.' && locale[name_n] != '@') name_n++;
    for (; *names; names++)
        if (strlen(*names) == name_n && strncmp(*names, locale, name_n) == 0) return true;
    return false;
}

/* Simplified Chinese in UTF-8, which is what the texts are in. */
static bool is_chinese(const char *locale, size_t n)
{
    static const char *const names[] = {"zh",      "zh_CN",      "zh_SG", "zh_Hans",
                                        "zh-Hans", "zh_Hans_CN", NULL};
    static const char *const codesets[] = {"UTF-8", "utf8", "UTF8", "utf-8", NULL};
    const char *dot = memchr(locale, '.', n);
    if (!is_locale(locale, n, names)) return false;
    return !dot || is_locale(dot + 1, n - (size_t)(dot + 1 - locale), codesets);
}

/* As gettext does it: LANGUAGE is a list, which counts unless the locale is C. */
static bool wants_chinese(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    static const char *const plain[] = {"C", "POSIX", NULL};
    const char *locale = NULL, *list = getenv("LANGUAGE");
    for (size_t i = 0; i < sizeof variables / sizeof *variables && (!locale || !*locale); i++)
        locale = getenv(variables[i]);
    if (!locale || !*locale || is_locale(locale, strlen(locale), plain)) return false;
    for (; list && *list; list += *list == ':') {
        size_t n = strcspn(list, ":");
        if (is_chinese(list, n)) return true;
        if (n >= 2 && strncmp(list, "en", 2) == 0) return false;
        list += n;
    }
    return is_chinese(locale, strlen(locale));
}

void lang_init(void)
{
    static const char *const utf8[] = {"", "C.UTF-8", "en_US.UTF-8", "zh_CN.UTF-8"};
    chinese = wants_chinese();
    for (size_t i = 0; i < sizeof utf8 / sizeof *utf8; i++)
        if (setlocale(LC_CTYPE, utf8[i]) && strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
    setlocale(LC_CTYPE, "C"); /* not another codeset: the texts are UTF-8 in any case */
}

int text_columns(const char *text)
{
    int columns = 0;
    for (size_t n = strlen(text), size = 0; n > 0; n -= size, text += size)
        columns += character_width(character_at(text, n, &size));
    return columns;
}

int text_field(const char *text, int columns)
{
    return columns + (int)strlen(text) - text_columns(text);
}
