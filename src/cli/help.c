/* help.c - `vinci help` and `vinci help COMMAND`: plain text of at most 80 columns. */
#include "cli/help.h"

#include "cli/chat_markdown.h"
#include "cli/lang.h"

#include <string.h>

enum { WIDTH = 80, OPTION_COLUMN = 28 };

static bool is_one_of(const char *characters, const char *text, size_t n)
{
    char character[5] = {0};
    memcpy(character, text, n);
    return n > 1 && strstr(characters, character);
}

/* Bytes and columns of what stays together at the start of a text: up to a space, or to a wide
 * character or what follows one, as Chinese is broken anywhere but before punctuation that closes
 * and behind what opens. 0: a space. */
static size_t piece(const char *text, int *columns)
{
    size_t n = 0, size = 0, length = strlen(text);
    bool wide = false, opens = false; /* the character before */
    *columns = 0;
    while (text[n] && text[n] != ' ' && text[n] != '\n') {
        int width = character_width(character_at(text + n, length - n, &size));
        bool closes = is_one_of("，。、；：？！）」』》”’…", text + n, size);
        if (n > 0 && (wide || width > 1) && !closes && !opens) break;
        opens = is_one_of("（「『《“‘", text + n, size);
        wide = width > 1 || closes || opens;
        n += size;
        *columns += width;
    }
    return n;
}

/* `text` up to WIDTH, lines after the first indented; the cursor stands at `column`. */
static void print_wrapped(FILE *out, const char *text, int column, int indent)
{
    bool line_start = true, space = false;
    while (*text) {
        int columns;
        size_t n = piece(text, &columns);
        if (n == 0) {
            space = true;
            if (text[0] == '\n' && text[1] == '\n') {
                fprintf(out, "\n\n%*s", indent, "");
                column = indent;
                line_start = true;
            }
            text += strspn(text, " \n");
            continue;
        }
        if (!line_start && column + space + columns > WIDTH - 1) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
            line_start = true;
        }
        column += fprintf(out, "%s", space && !line_start ? " " : "") + columns;
        fwrite(text, 1, n, out);
        line_start = space = false;
        text += n;
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
    print_wrapped(out, _(row->help), OPTION_COLUMN, OPTION_COLUMN);
}

static void print_group(FILE *out, const char *title, const struct option_row *rows)
{
    fprintf(out, _("\n%s:\n"), _(title));
    for (; rows->name; rows++) print_option(out, rows);
}

void help_command(FILE *out, const struct command *command)
{
    char name[64]; /* bench-serve is typed in two words */
    snprintf(name, sizeof name, "%s", command->name);
    for (char *c = name; *c; c++)
        if (*c == '-') *c = ' ';
    fprintf(out, _("usage: vinci %s [OPTION]...%s%s\n\n"), name, *command->operands ? " " : "",
            command->operands);
    print_wrapped(out, _(command->description), 0, 0);
    for (const struct option_group *group = command->groups; group->rows; group++)
        print_group(out, group->title, group->rows);
    print_group(out, N_("General"), common_rows);
    if (!command->examples) return;
    fprintf(out, _("\n%s:\n"), _("Examples"));
    for (const struct command_example *example = command->examples; example->line; example++)
        fprintf(out, "  # %s\n  vinci %s\n", _(example->what), example->line);
}

void help_overview(FILE *out)
{
    fputs(_("vinci - run OpenAI's gpt-oss models\n\n"
            "usage: vinci COMMAND [OPTION]...\n\n"),
          out);
    for (const struct command *const *command = commands; *command; command++)
        fprintf(out, "  %-12s %s\n", (*command)->name, _((*command)->summary));
    fputs(_("\n'vinci help COMMAND' describes one and its options, 'man vinci' all of them;\n"
            "'vinci --version' prints the version, '--lang en' or '--lang zh_CN' chooses\n"
            "the language of messages.\n"),
          out);
}

void help_field(FILE *out, const char *label, int indent, const char *text)
{
    fprintf(out, "%-*s", text_field(label, indent), label);
    print_wrapped(out, text, indent, indent);
}
