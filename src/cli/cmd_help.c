/* cmd_help.c - `vinci help`: the commands, one command, the manual page, shell completions. */
#include "cli/help.h"

#include <stddef.h>

struct help_args {
    bool manual;
    unsigned shell; /* enum help_shell */
};

static const struct option_row rows[] = {
    {"man", 0, NULL, N_("print the manual page, for 'man -l -'"), OPTION_FLAG,
     .offset = offsetof(struct help_args, manual)},
    {"completions", 0, "SHELL", N_("print the completion script for bash, zsh or fish"),
     OPTION_CHOICE, .offset = offsetof(struct help_args, shell), COMPLETE_WORDS, "bash|zsh|fish"},
    {0}};

static const struct option_group groups[] = {{N_("Options"), rows, 0}, {0}};

static const struct command_example examples[] = {
    {"help generate", N_("how to generate text")},
    {"help --man | man -l -", N_("the whole manual, without installing it")},
    {"help --completions fish > ~/.config/fish/completions/vinci.fish",
     N_("completion for your fish")},
    {0}};

static void init(void *arguments)
{
    ((struct help_args *)arguments)->shell = HELP_NO_SHELL;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct help_args *args = arguments;
    if (args->manual) {
        help_manual(stdout);
    } else if (args->shell != HELP_NO_SHELL) {
        help_completions(stdout, (enum help_shell)args->shell);
    } else if (program->operand) {
        char joined[64]; /* "help bench serve" */
        snprintf(joined, sizeof joined, "%s-%s", program->operand,
                 program->n_operands > 1 ? program->operands[1] : "");
        const struct command *command =
            command_find(program->n_operands > 1 ? joined : program->operand);
        if (!command)
            return fail_no_command(program->n_operands > 1 ? joined : program->operand, err);
        help_command(stdout, command);
    } else {
        help_overview(stdout);
    }
    return VINCI_OK;
}

const struct command command_help = {
    .name = "help",
    .summary = N_("describe the commands and their options"),
    .operands = "[COMMAND]",
    .n_operands_max = 2,
    .description = N_("Describes COMMAND, or lists all commands."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct help_args),
    .init = init,
    .run = run,
};
