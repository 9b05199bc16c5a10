/* lang.h - the language of what is said to a person: gettext's domain "vinci", po/zh_CN.po.
 *
 * English is in the source; `_("...")` gives it in the chosen language where it is used,
 * `N_("...")` marks a text of a table that is translated where it is printed. Formats given to
 * fail() are translated there. What programs read (JSON keys, CSV, exit codes) is never translated.
 * The program chooses the language (cli/main.c); a process that did not call setlocale gets
 * English. */
#ifndef VINCI_BASE_LANG_H
#define VINCI_BASE_LANG_H

#include <libintl.h>

#define _(text) dgettext("vinci", text)
#define N_(text) text

#endif
