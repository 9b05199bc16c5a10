/* log.h - messages of the library to a sink that the caller gives; without one they are dropped. */
#ifndef VINCI_BASE_LOG_H
#define VINCI_BASE_LOG_H

#include "vinci.h"

struct log {
    vinci_log_fn *fn; /* NULL: silent */
    void *user;
};

/* `log` may be NULL. One message without a newline. */
void log_message(const struct log *log, enum vinci_log_level level, const char *format, ...)
    VINCI_PRINTF(3, 4);

#endif
