/* print.h - how commands put what they found on standard output: labelled lines for people,
 * columns, one JSON value for programs. */
#ifndef VINCI_CLI_PRINT_H
#define VINCI_CLI_PRINT_H

#include "base/status.h"

#include <jansson.h>
#include <stdio.h>

/* "label      text", the text folded at 80 columns. */
void print_field(const char *label, const char *format, ...) VINCI_PRINTF(2, 3);

/* A text in so many columns of the terminal, on the right; on the left for negative ones. */
void print_cell(FILE *to, const char *text, int columns);

/* Prints `root` and releases it. NULL, which is what jansson gives when memory is short: NO_MEMORY.
 */
enum vinci_status print_json(json_t *root, struct vinci_error *err);

/* A text that may not be UTF-8, as paths: then with ? for what is not ASCII. NULL: no memory. */
json_t *json_words(const char *text);

/* What --json prints where a command fails before it has anything to say: {"error", "exit_code"}.
 * The sentence also goes to standard error, as always. */
void print_json_failure(enum vinci_status status, const struct vinci_error *err);

#endif
