/* units.c - see units.h. */
#include "base/units.h"

#include "base/lang.h"

#include <stddef.h>
#include <stdio.h>

const char *format_bytes(uint64_t n, char text[16])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)n / 1000;
    size_t unit = 0;
    if (n < 1000) {
        snprintf(text, 16, _("%u bytes"), (unsigned)n);
        return text;
    }
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    snprintf(text, 16, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[unit]);
    return text;
}

const char *format_seconds(double seconds, char text[16])
{
    if (seconds < 0.9995e-3) snprintf(text, 16, "%.3g us", seconds * 1e6);
    else if (seconds < 0.9995) snprintf(text, 16, "%.3g ms", seconds * 1e3);
    else if (seconds < 999.5) snprintf(text, 16, "%.3g s", seconds);
    else snprintf(text, 16, "%.0f s", seconds);
    return text;
}
