/* lang.h - the language of what is said to a person.
 *
 * English is in the source; `_("...")` gives it in the chosen language where it is used,
 * `N_("...")` marks a text of a table that is translated where it is printed. Formats given to
 * fail() are translated there. What programs read (JSON keys, CSV, exit codes) is never translated.
 *
 * The library keeps no state, so it cannot know a language: lang_text() of base/lang.c gives back
 * the English. The program has its own (cli/lang.c), which the linker takes in its place. */
#ifndef VINCI_BASE_LANG_H
#define VINCI_BASE_LANG_H

/* The text in the chosen language; as it is if there is no translation. Never freed. */
const char *lang_text(const char *english) __attribute__((format_arg(1)));

#define _(text) lang_text(text)
#define N_(text) text

#endif
