/* manual.c - the manual page vinci(1), from the option tables, the list of statuses and the list of
 * environment variables. In English whatever the language, since it is installed for everyone.
 * Carries no date: the same sources give the same page. */
#include "cli/help.h"

#include <string.h>

/* Text of the page: nothing in it is taken for a request or an escape. */
static void put(FILE *out, const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\'')) fputs("\\&", out);
        line_start = *text == '\n';
        if (text[0] == '\n' && text[1] == '\n') {
            fputs("\n.PP\n", out);
            text++;
        } else if (*text == '\\') {
            fputs("\\e", out);
        } else if (*text == '\'') {
            fputs("\\(aq", out);
        } else if (*text == '-') {
            fputs("\\-", out);
        } else if (*text == '~') {
            fputs("\\(ti", out);
        } else if (*text == '^') {
            fputs("\\(ha", out);
        } else {
            fputc(*text, out);
        }
    }
}

static void put_option(FILE *out, const struct option_row *row)
{
    fputs(".TP\n", out);
    if (row->letter) fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
    fputs("\\fB", out);
    put(out, "--");
    put(out, row->name);
    fputs("\\fR", out);
    if (row->argument) {
        fputs(" \\fI", out);
        put(out, row->argument);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    put(out, row->help);
    fputs(".\n", out);
}

static void put_command(FILE *out, const struct command *command)
{
    fprintf(out, ".SS \"vinci %s %s%s\"\n", command->name,
            command->groups->rows ? "[\\fIOPTION\\fR]... " : "", command->operands);
    put(out, command->description);
    fputc('\n', out);
    for (const struct option_group *group = command->groups; group->rows; group++) {
        fprintf(out, ".PP\n%s:\n", group->title);
        for (const struct option_row *row = group->rows; row->name; row++) put_option(out, row);
    }
    if (!command->examples) return;
    fputs(".PP\nExamples:\n", out);
    for (const struct command_example *example = command->examples; example->line; example++) {
        fputs(".PP\n.nf\n.RS\n# ", out);
        put(out, example->what);
        fputs("\nvinci ", out);
        put(out, example->line);
        fputs("\n.RE\n.fi\n", out);
    }
}

static void put_statuses(FILE *out)
{
    static const struct {
        int value;
        const char *text;
    } statuses[] = {
#define MANUAL_ROW(name, value, text) {value, text},
        VINCI_STATUS_LIST(MANUAL_ROW)
#undef MANUAL_ROW
    };
    fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        fprintf(out, ".TP 4\n%d\n", statuses[i].value);
        put(out, statuses[i].text);
        fputs("\n", out);
    }
    fputs(".PP\nInterrupted once (Ctrl\\-C), vinci stops cleanly with status 11 and removes what "
          "it had\nbegun to write; interrupted twice, it ends at once. A standard output that "
          "nobody reads any\nmore ends it with status 4 and without a message.\n",
          out);
}

void help_manual(FILE *out)
{
    fprintf(out, ".TH VINCI 1 \"\" \"vinci %s\" \"User Commands\"\n", vinci_version());
    fputs(".SH NAME\nvinci \\- run OpenAI's gpt\\-oss models\n"
          ".SH SYNOPSIS\n.B vinci\n\\fICOMMAND\\fR [\\fIOPTION\\fR]...\n"
          ".br\n.B vinci help\n[\\fICOMMAND\\fR]\n"
          ".br\n.B vinci \\-\\-version\n"
          ".SH DESCRIPTION\n"
          "vinci runs OpenAI's gpt\\-oss models from their published files: the weights stay in "
          "the mapped\nfile and are used as they are. Standard output carries only what a program "
          "may want to\nread; everything else goes to standard error.\n"
          ".SH COMMANDS\n",
          out);
    for (const struct command *const *command = commands; *command; command++)
        put_command(out, *command);
    fputs(".SH GENERAL OPTIONS\nEvery command has these; "
          "\\-\\-lang may also stand in front of it.\n",
          out);
    for (const struct option_row *row = common_rows; row->name; row++) put_option(out, row);
    put_statuses(out);
    fputs(".SH ENVIRONMENT\n", out);
    for (const struct program_variable *v = program_variables; v->name; v++) {
        fprintf(out, ".TP\n.B %s\n", v->name);
        put(out, v->meaning);
        fputs(".\n", out);
    }
}
