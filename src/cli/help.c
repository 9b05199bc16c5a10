/* help.c - `vinci help` and `vinci help COMMAND`: plain text of at most 80 columns. */
#include "cli/help.h"

#include <string.h>

enum { WIDTH = 80, OPTION_COLUMN = 28 };

/* Words of `text` up to WIDTH, lines after the first indented; the cursor stands at `column`. */
static void print_wrapped(FILE *out, const char *text, int column, int indent)
{
    bool first = true;
    while (*text) {
        int n = (int)strcspn(text, " \n");
        if (!first && column + 1 + n > WIDTH - 1) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
            first = true;
        }
        column += fprintf(out, "%s%.*s", first ? "" : " ", n, text);
        first = false;
        text += n;
        if (text[0] == '\n' && text[1] == '\n') {
            fprintf(out, "\n\n%*s", indent, "");
            column = indent;
            first = true;
        }
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const struct option_row *row)
{
    int column = row->letter ? fprintf(out, "  -%c, ", row->letter) : fprintf(out, "      ");
    column += fprintf(out, "--%s%s%s", row->name, row->argument ? " " : "",
                      row->argument ? row->argument : "");
    if (column > OPTION_COLUMN - 2) {
        fputc('\n', out);
        column = 0;
    }
    fprintf(out, "%*s", OPTION_COLUMN - column, "");
    print_wrapped(out, row->help, OPTION_COLUMN, OPTION_COLUMN);
}

void help_command(FILE *out, const struct command *command)
{
    fprintf(out, "usage: vinci %s [OPTION]... %s\n\n", command->name, command->operands);
    print_wrapped(out, command->description, 0, 0);
    for (const struct option_group *group = command->groups; group->rows; group++) {
        fprintf(out, "\n%s:\n", group->title);
        for (const struct option_row *row = group->rows; row->name; row++) print_option(out, row);
    }
    if (!command->examples) return;
    fputs("\nExamples:\n", out);
    for (const struct command_example *example = command->examples; example->line; example++)
        fprintf(out, "  # %s\n  vinci %s\n", example->what, example->line);
}

void help_overview(FILE *out)
{
    fputs("vinci - run OpenAI's gpt-oss models\n\n"
          "usage: vinci COMMAND [OPTION]...\n\n",
          out);
    for (const struct command *const *command = commands; *command; command++)
        fprintf(out, "  %-10s %s\n", (*command)->name, (*command)->summary);
    fputs("\n'vinci help COMMAND' describes one and its options, 'man vinci' all of them;\n"
          "'vinci --version' prints the version.\n",
          out);
}

void help_field(FILE *out, const char *label, int indent, const char *text)
{
    fprintf(out, "%-*s", indent, label);
    print_wrapped(out, text, indent, indent);
}
