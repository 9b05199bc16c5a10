/* lang.c - the language of the library: English. Alone in its file, because a program that defines
 * lang_text() itself must not get this one as well. */
#include "base/lang.h"

const char *lang_text(const char *english)
{
    return english;
}
