/* units.h - amounts as people read them. */
#ifndef VINCI_BASE_UNITS_H
#define VINCI_BASE_UNITS_H

#include <stdint.h>

/* "13.8 GB", "512 bytes": three digits, powers of 1000. `text` has room for 16 bytes; returned. */
const char *format_bytes(uint64_t n, char text[16]);

/* "12.3 ms", "4.56 s": three digits. */
const char *format_seconds(double seconds, char text[16]);

#endif
