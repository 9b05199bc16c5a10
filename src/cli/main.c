/* main.c - the program: finds the subcommand, parses its options, runs it, and turns the status
 * into a sentence and an exit code. The only place that ends the process. */
#include "cli/command.h"
#include "cli/help.h"
#include "cli/lang.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum vinci_status run_command(struct program *program, const struct command *command,
                                     int argc, char **argv, struct vinci_error *err)
{
    int first_operand = 0;
    bool help = false;
    void *args = calloc(1, command->args_size ? command->args_size : 1);
    if (!args) return fail_memory(err, command->args_size, "the options");
    if (command->init) command->init(args);
    enum vinci_status status = options_parse(command, argc, argv, args, &first_operand, &help, err);
    int n_operands = argc - first_operand, max_operands = *command->operands ? 1 : 0;
    if (command->n_operands_max) max_operands = command->n_operands_max;
    if (status == VINCI_OK && help) {
        help_command(stdout, command);
    } else if (status == VINCI_OK && n_operands > max_operands) {
        status = fail(err, VINCI_USAGE, "'%s': one argument too many; 'vinci help %s' says more",
                      argv[first_operand + max_operands], command->name);
    } else if (status == VINCI_OK) {
        program->operand = n_operands > 0 ? argv[first_operand] : NULL;
        program->operands = argv + first_operand;
        program->n_operands = n_operands;
        status = command->run(program, args, err);
    }
    if (command->release) command->release(args);
    free(args);
    return status;
}

static bool is_one_of(const char *text, const char *a, const char *b)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* Takes --lang NAME away in front of the command; behind it, it is an option like the others. */
static enum vinci_status take_lang(int *argc, char **argv, struct vinci_error *err)
{
    while (*argc > 1 && strncmp(argv[1], "--lang", 6) == 0 && (!argv[1][6] || argv[1][6] == '=')) {
        int n = argv[1][6] ? 1 : 2;
        if (n >= *argc) return fail(err, VINCI_USAGE, "%s: an argument is missing", argv[1]);
        const char *name = n == 1 ? argv[1] + 7 : argv[2];
        if (!lang_choose(name))
            return fail(err, VINCI_USAGE, "--%s: expected %s, got '%s'", "lang",
                        _("one of en, zh_CN"), name);
        memmove(argv + 1, argv + 1 + n, (size_t)(*argc - n) * sizeof *argv); /* and the NULL */
        *argc -= n;
    }
    return VINCI_OK;
}

/* "bench serve" is the command bench-serve: the second word is taken away. */
static const struct command *find_command(int *argc, char **argv)
{
    char joined[64];
    if (*argc < 2) return NULL;
    if (*argc > 2) {
        snprintf(joined, sizeof joined, "%s-%s", argv[1], argv[2]);
        const struct command *command = command_find(joined);
        if (command) {
            memmove(argv + 2, argv + 3, (size_t)(*argc - 2) * sizeof *argv); /* and the NULL */
            --*argc;
            return command;
        }
    }
    return command_find(argv[1]);
}

int main(int argc, char **argv)
{
    struct program program;
    struct vinci_error err = {0};
    lang_init();
    lang_choose_early(argc, argv);
    enum vinci_status status = program_init(&program, &err);
    if (status == VINCI_OK) status = take_lang(&argc, argv, &err);
    if (status == VINCI_OK) {
        const struct command *command = find_command(&argc, argv);
        if (argc < 2 || is_one_of(argv[1], "--help", "-h")) help_overview(stdout);
        else if (is_one_of(argv[1], "--version", "-V")) printf("vinci %s\n", vinci_version());
        else if (!command) status = fail_no_command(argv[1], &err);
        else status = run_command(&program, command, argc - 1, argv + 1, &err);
    }
    status = program_finish_output(status, &err);
    if (status != VINCI_OK && err.text[0]) say_error(&program, err.text);
    program_release(&program);
    return (int)status;
}
