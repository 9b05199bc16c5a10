/* options.h - a command's options stand in one table, and everything comes from it: parsing (by
 * getopt_long), --help, the shell completions and the manual page.
 *
 * A row names the option, says what its argument is and where the value goes (an offset into the
 * command's own struct of arguments). Groups join tables, so that the options which several
 * commands share ("Model") are written once, for a struct that each command embeds. */
#ifndef VINCI_CLI_OPTIONS_H
#define VINCI_CLI_OPTIONS_H

#include "base/lang.h"
#include "base/status.h"

enum option_type {
    OPTION_FLAG,   /* bool */
    OPTION_TEXT,   /* const char * */
    OPTION_CHOICE, /* unsigned: the index of the word given */
    OPTION_U32,
    OPTION_U64,
    OPTION_FLOAT,
    OPTION_SIZE, /* uint64_t: bytes, with K, M, G or T (powers of 1000) behind the number */
    OPTION_LIST  /* struct text_list: may be given several times */
};

/* What a shell offers behind the option. */
enum option_complete { COMPLETE_NOTHING, COMPLETE_WORDS, COMPLETE_FILE, COMPLETE_FOLDER };

struct option_row {
    const char *name;
    char letter;          /* 0: none */
    const char *argument; /* how --help calls it; NULL for a flag */
    const char *help;     /* one sentence without a full stop, in N_() */
    enum option_type type;
    size_t offset; /* of the field, in the struct of the row's group */
    enum option_complete complete;
    const char *words; /* "f32|int8": for a choice, all that is allowed */
    double min, max;   /* numbers; max 0: whatever the type holds */
    bool several;      /* a list: words up to the next option belong to it too */
};

struct option_group {
    const char *title;             /* the heading in --help */
    const struct option_row *rows; /* up to a row without a name */
    size_t offset;                 /* of the struct that the rows fill, in the arguments */
};

/* Texts in the order given; they point into argv. All zero is an empty list. */
struct text_list {
    const char **items;
    size_t n;
};
void text_list_free(struct text_list *list);

/* What every command has: --lang, which takes effect at once, and --help. */
extern const struct option_row common_rows[];

struct command; /* command.h */

/* Fills `args` from argv[1..]. Operands are moved to the end of argv and begin at *first_operand. A
 * word behind one that a list with `several` has is an operand only if there was none before.
 * --help and -h set *help and end the parse. Every mistake is USAGE with a sentence that names the
 * option, what it expects and, for an unknown one, the nearest that exists. */
enum vinci_status options_parse(const struct command *command, int argc, char **argv, void *args,
                                int *first_operand, bool *help, struct vinci_error *err);

/* Whole decimal numbers and nothing behind them; false otherwise or when out of range. */
bool parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out);
bool parse_double(const char *text, double min, double max, double *out);

/* The word of `words` ("a|b|c") that begins at index i: its length in *n, NULL behind the last. */
const char *option_word(const char *words, unsigned i, size_t *n);

/* The candidate nearest to `text`, NULL if none is near enough to be what was meant. */
const char *nearest(const char *text, const char *const *candidates, size_t n);

#endif
