/* completions.c - the option tables as completion scripts for bash, zsh and fish. */
#include "cli/help.h"

#include <string.h>

/* A word of a script in single quotes; `special` characters get a backslash of their own. */
static void put_quoted(FILE *out, const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'') fputs("'\\''", out);
        else if (strchr(special, *text)) fprintf(out, "\\%c", *text);
        else fputc(*text, out);
    }
}

static void put_words(FILE *out, const char *words)
{
    for (; *words; words++) fputc(*words == '|' ? ' ' : *words, out);
}

static void put_commands(FILE *out)
{
    for (const struct command *const *command = commands; *command; command++)
        fprintf(out, "%s%s", command == commands ? "" : " ", (*command)->name);
}

static void bash_option(FILE *out, const struct command *command, const struct option_row *row)
{
    if (row->complete == COMPLETE_NOTHING && !row->argument) return;
    fprintf(out, "    '%s --%s'", command->name, row->name);
    if (row->letter) fprintf(out, " | '%s -%c'", command->name, row->letter);
    fputs(") ", out);
    switch (row->complete) {
    case COMPLETE_NOTHING: fputs("return ;;\n", out); break;
    case COMPLETE_FILE: fputs("_vinci_paths -f; return ;;\n", out); break;
    case COMPLETE_FOLDER: fputs("_vinci_paths -d; return ;;\n", out); break;
    case COMPLETE_WORDS:
        fputs("words='", out);
        put_words(out, row->words);
        fputs("' ;;\n", out);
        break;
    }
}

static void bash_command(FILE *out, const struct command *command)
{
    fprintf(out, "        %s) words='", command->name);
    for (const struct option_group *group = command->groups; group->rows; group++)
        for (const struct option_row *row = group->rows; row->name; row++)
            fprintf(out, "--%s ", row->name);
    for (const struct option_row *row = common_rows; row->name; row++)
        fprintf(out, "--%s%s", row->name, row[1].name ? " " : "");
    if (command == &command_help) {
        fputc(' ', out);
        put_commands(out);
    }
    fputs("' ;;\n", out);
}

static void completions_bash(FILE *out)
{
    fputs("# bash completion for vinci; made by 'vinci help --completions bash'\n"
          "_vinci_paths()\n"
          "{\n"
          "    compopt -o filenames\n"
          "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
          "}\n\n"
          "_vinci()\n"
          "{\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local words=\n"
          "    COMPREPLY=()\n"
          "    case \"${COMP_WORDS[1]} $previous\" in\n",
          out);
    for (const struct command *const *command = commands; *command; command++) {
        for (const struct option_group *group = (*command)->groups; group->rows; group++)
            for (const struct option_row *row = group->rows; row->name; row++)
                bash_option(out, *command, row);
        for (const struct option_row *row = common_rows; row->name; row++)
            bash_option(out, *command, row);
    }
    fputs("    esac\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        words='",
          out);
    put_commands(out);
    fputs(" --help --version --lang'\n"
          "    elif [ -z \"$words\" ]; then\n"
          "        case ${COMP_WORDS[1]} in\n",
          out);
    for (const struct command *const *command = commands; *command; command++)
        bash_command(out, *command);
    fputs("        esac\n"
          "    fi\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
          "}\n"
          "complete -F _vinci vinci\n",
          out);
}

static void zsh_option(FILE *out, const struct option_row *row)
{
    char letter[] = {'-', row->letter, '\0'};
    for (int form = row->letter ? 0 : 1; form < 2; form++) { /* -m, then --model */
        fputs(" \\\n            '", out);
        if (row->type == OPTION_LIST) fputc('*', out);
        else if (row->letter) fprintf(out, "(-%c --%s)", row->letter, row->name);
        fprintf(out, "%s%s%s[", form ? "--" : letter, form ? row->name : "",
                row->argument ? (form ? "=" : "+") : "");
        put_quoted(out, row->help, "[]:\\");
        fputc(']', out);
        if (row->argument) fprintf(out, ":%s:", row->argument);
        if (row->complete == COMPLETE_FILE) fputs("_files", out);
        if (row->complete == COMPLETE_FOLDER) fputs("_files -/", out);
        if (row->complete == COMPLETE_WORDS) {
            fputc('(', out);
            for (const char *c = row->words; *c; c++) {
                if (*c == ':') fputc('\\', out);
                fputc(*c == '|' ? ' ' : *c, out);
            }
            fputc(')', out);
        }
        fputc('\'', out);
    }
}

static void completions_zsh(FILE *out)
{
    fputs("#compdef vinci\n"
          "# zsh completion for vinci; made by 'vinci help --completions zsh'\n"
          "_vinci()\n"
          "{\n"
          "    local -a names\n"
          "    names=(\n",
          out);
    for (const struct command *const *command = commands; *command; command++) {
        fprintf(out, "        '%s:", (*command)->name);
        put_quoted(out, (*command)->summary, ":\\");
        fputs("'\n", out);
    }
    fputs("    )\n"
          "    if (( CURRENT == 2 )); then\n"
          "        _describe command names\n"
          "        return\n"
          "    fi\n"
          "    local name=$words[2]\n"
          "    shift words\n"
          "    (( CURRENT-- ))\n"
          "    case $name in\n",
          out);
    for (const struct command *const *command = commands; *command; command++) {
        fprintf(out, "        %s) _arguments -s", (*command)->name);
        for (const struct option_group *group = (*command)->groups; group->rows; group++)
            for (const struct option_row *row = group->rows; row->name; row++) zsh_option(out, row);
        for (const struct option_row *row = common_rows; row->name; row++) zsh_option(out, row);
        if (*command == &command_help) {
            fputs(" \\\n            '1:command:(", out);
            put_commands(out);
            fputs(")'", out);
        }
        fputs(" ;;\n", out);
    }
    fputs("    esac\n"
          "}\n"
          "_vinci \"$@\"\n",
          out);
}

static void fish_option(FILE *out, const struct command *command, const struct option_row *row)
{
    fprintf(out, "complete -c vinci -n '__fish_seen_subcommand_from %s' -l %s", command->name,
            row->name);
    if (row->letter) fprintf(out, " -s %c", row->letter);
    switch (row->complete) {
    case COMPLETE_NOTHING: fputs(row->argument ? " -x" : "", out); break;
    case COMPLETE_FILE: fputs(" -r -F", out); break;
    case COMPLETE_FOLDER: fputs(" -x -a '(__fish_complete_directories)'", out); break;
    case COMPLETE_WORDS:
        fputs(" -x -a '", out);
        put_words(out, row->words);
        fputc('\'', out);
        break;
    }
    fputs(" -d '", out);
    for (const char *c = row->help; *c; c++) { /* fish has \' inside single quotes */
        if (*c == '\'' || *c == '\\') fputc('\\', out);
        fputc(*c, out);
    }
    fputs("'\n", out);
}

static void completions_fish(FILE *out)
{
    fputs("# fish completion for vinci; made by 'vinci help --completions fish'\n"
          "complete -c vinci -f\n",
          out);
    for (const struct command *const *command = commands; *command; command++)
        fprintf(out, "complete -c vinci -n __fish_use_subcommand -a %s -d \"%s\"\n",
                (*command)->name, (*command)->summary);
    for (const struct command *const *command = commands; *command; command++) {
        for (const struct option_group *group = (*command)->groups; group->rows; group++)
            for (const struct option_row *row = group->rows; row->name; row++)
                fish_option(out, *command, row);
        for (const struct option_row *row = common_rows; row->name; row++)
            fish_option(out, *command, row);
    }
    fputs("complete -c vinci -n '__fish_seen_subcommand_from help' -a '", out);
    put_commands(out);
    fputs("'\n", out);
}

void help_completions(FILE *out, enum help_shell shell)
{
    switch (shell) {
    case HELP_BASH: completions_bash(out); break;
    case HELP_ZSH: completions_zsh(out); break;
    case HELP_FISH: completions_fish(out); break;
    case HELP_NO_SHELL: break;
    }
}
