/* command.c - the table of subcommands: a new one is a file cmd_<name>.c and a row here. */
#include "cli/command.h"

#include <string.h>

const struct command *const commands[] = {
    &command_pull,
    &command_models,
    &command_verify,
    &command_info,
    &command_devices,
    &command_check,
    &command_advise,
    &command_chat,
    &command_serve,
    &command_tokenize,
    &command_generate,
    &command_logits,
    &command_bench,
    &command_bench_serve,
    &command_top,
    &command_synth,
    &command_harmony,
    &command_help,
    NULL,
};

const struct command *command_find(const char *name)
{
    for (const struct command *const *command = commands; *command; command++)
        if (strcmp((*command)->name, name) == 0) return *command;
    return NULL;
}

enum vinci_status fail_no_command(const char *name, struct vinci_error *err)
{
    if (name[0] == '-')
        return fail(err, VINCI_USAGE, "'%s': the command comes first; 'vinci help' lists them",
                    name);
    const char *names[sizeof commands / sizeof *commands];
    size_t n = 0;
    for (; commands[n]; n++) names[n] = commands[n]->name;
    const char *near = nearest(name, names, n);
    if (near) return fail(err, VINCI_USAGE, "no command '%s'; did you mean '%s'?", name, near);
    return fail(err, VINCI_USAGE, "no command '%s'; 'vinci help' lists them", name);
}
