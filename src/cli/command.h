/* command.h - what a subcommand is, and what main gives to it. */
#ifndef VINCI_CLI_COMMAND_H
#define VINCI_CLI_COMMAND_H

#include "cli/options.h"
#include "cli/program.h"

struct command_example {
    const char *line; /* without "vinci " */
    const char *what;
};

struct command {
    const char *name;
    const char *summary;                    /* one line, for the list of commands */
    const char *operands;                   /* "[COMMAND]", "" for none; see n_operands_max */
    int n_operands_max;                     /* 0: one if `operands` is not empty */
    const char *description;                /* paragraphs, an empty line between them */
    const struct option_group *groups;      /* up to a group without rows */
    const struct command_example *examples; /* up to one without a line; may be NULL */
    size_t args_size;
    void (*init)(void *args);    /* defaults; NULL: all zero */
    void (*release)(void *args); /* NULL: nothing to release */
    enum vinci_status (*run)(const struct program *program, void *args, struct vinci_error *err);
};

/* Every subcommand, in the order of `vinci help`; ends with NULL. */
extern const struct command *const commands[];

/* NULL if there is none of that name. */
const struct command *command_find(const char *name);

/* USAGE: there is no command of that name; the sentence says which is near. */
enum vinci_status fail_no_command(const char *name, struct vinci_error *err);

extern const struct command command_pull;
extern const struct command command_verify;
extern const struct command command_models;
extern const struct command command_info;
extern const struct command command_devices;
extern const struct command command_check;
extern const struct command command_advise;
extern const struct command command_tokenize;
extern const struct command command_chat;
extern const struct command command_generate;
extern const struct command command_logits;
extern const struct command command_serve;
extern const struct command command_bench;
extern const struct command command_bench_serve;
extern const struct command command_synth;
extern const struct command command_harmony;
extern const struct command command_top;
extern const struct command command_help;

#endif
