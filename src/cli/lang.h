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

/* This thread goes on in the chosen language, all others speak English: a server's errors are read
 * by programs, what this thread says by its operator. Called before any other thread. */
void lang_keep_here(void);

/* What lang_choose() was given, or what the environment said. */
const char *lang_name(void);

/* --lang NAME or --lang=NAME among the arguments, so that errors before it are in that language
 * too. What is wrong with it is found when the options are parsed. */
void lang_choose_early(int argc, char **argv);

/* Columns of a text on a terminal. */
int text_columns(const char *text);

/* The width to give printf for "%-*s" and "%*s", which count bytes, so that `text` takes `columns`.
 */
int text_field(const char *text, int columns);

#endif
