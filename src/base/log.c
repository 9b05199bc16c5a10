/* log.c - levelled log to a sink. */
#include "base/log.h"

#include "base/lang.h"

#include <stdarg.h>
#include <stdio.h>

void log_message(const struct log *log, enum vinci_log_level level, const char *format, ...)
{
    if (!log || !log->fn) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, _(format), args);
    va_end(args);
    log->fn(log->user, level, text);
}
