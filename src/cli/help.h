/* help.h - what the option tables become for people and shells. */
#ifndef VINCI_CLI_HELP_H
#define VINCI_CLI_HELP_H

#include "cli/command.h"

#include <stdio.h>

enum help_shell { HELP_BASH, HELP_ZSH, HELP_FISH, HELP_NO_SHELL };

void help_overview(FILE *out);                               /* vinci help */
void help_command(FILE *out, const struct command *command); /* vinci help COMMAND */
void help_manual(FILE *out);                                 /* vinci(1), in man's macros */
void help_completions(FILE *out, enum help_shell shell);

/* "label      text", the text beginning at column `indent` and folded at 80 columns. */
void help_field(FILE *out, const char *label, int indent, const char *text);

#endif
