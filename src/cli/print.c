/* print.c - see print.h. */
#include "cli/print.h"

#include "cli/help.h"
#include "cli/lang.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void print_field(const char *label, const char *format, ...)
{
    enum { INDENT = 12 };
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    help_field(stdout, label, INDENT, text);
}

void print_cell(FILE *to, const char *text, int columns)
{
    int width = columns < 0 ? -text_field(text, -columns) : text_field(text, columns);
    fprintf(to, "%*s", width, text);
}

enum vinci_status print_json(json_t *root, struct vinci_error *err)
{
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(root);
    if (!text) return fail_memory(err, 4096, "the JSON");
    puts(text);
    free(text);
    return VINCI_OK;
}

json_t *json_words(const char *text)
{
    json_t *value = json_string(text);
    char *copy = value ? NULL : strdup(text);
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    if (copy) value = json_string(copy);
    free(copy);
    return value;
}

void print_json_failure(enum vinci_status status, const struct vinci_error *err)
{
    print_json(json_pack("{s:o, s:i}", "error", json_words(err->text), "exit_code", (int)status),
               NULL);
}
