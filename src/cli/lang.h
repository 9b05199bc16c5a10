/* lang.h - which language the program speaks. */
#ifndef VINCI_CLI_LANG_H
#define VINCI_CLI_LANG_H

#include "base/lang.h"

#include <stdbool.h>
#include <stddef.h>

/* A table made from po/<language>.po, sorted by strcmp of the English. */
struct lang_entry {
    const char *english, *translated;
};
extern const struct lang_entry lang_zh_CN[];
extern const size_t lang_zh_CN_n;

/* What --lang may be, in the form of option_row.words. */
#define LANG_WORDS "en|zh_CN"

/* Speaks the language of the environment (LC_ALL, LC_MESSAGES or LANG, and LANGUAGE), and reads and
 * measures text as UTF-8. Numbers are those of the C locale, whatever the environment says. Called
 * once, before any thread. */
void lang_init(void);

/* "en" or "zh_CN"; false for anything else, which changes nothing. */
bool lang_choose(const char *name);

/* --lang NAME or --lang=NAME among the arguments, so that errors before it are in that language
 * too. What is wrong with it is found when the options are parsed. */
void lang_choose_early(int argc, char **argv);

/* Columns of a text on a terminal; printed columns padded with spaces to `width`. */
int text_columns(const char *text);

#endif
