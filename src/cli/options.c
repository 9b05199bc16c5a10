/* options.c - from a command's option table to getopt_long and back into the command's struct.
 *
 * getopt_long only splits the arguments; what a value may be is said by the table, so every message
 * can name the option, the range and what was given. Numbers are strict: no sign where none makes
 * sense, nothing behind the digits, no silent clamping. */
#include "cli/options.h"

#include "base/buf.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/lang.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 64, CODE_FIRST = 256, CODE_HELP = CODE_FIRST + OPTIONS_MAX, CODE_LANG };

const struct option_row common_rows[] = {
    {"lang", 0, "LANGUAGE", N_("language of messages: en or zh_CN; default: by the locale"),
     OPTION_CHOICE, .complete = COMPLETE_WORDS, .words = LANG_WORDS},
    {"help", 'h', NULL, N_("describe this command"), OPTION_FLAG, .offset = 0},
    {0}};

void text_list_free(struct text_list *list)
{
    free(list->items);
    *list = (struct text_list){0};
}

static bool text_list_add(struct text_list *list, const char *text)
{
    const char **items = realloc(list->items, (list->n + 1) * sizeof *items);
    if (!items) return false;
    list->items = items;
    items[list->n++] = text;
    return true;
}

bool parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    if (!isdigit((unsigned char)*text)) return false;
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end || value < min || value > max) return false;
    *out = value;
    return true;
}

bool parse_double(const char *text, double min, double max, double *out)
{
    if (!*text || strspn(text, "+-.0123456789eE") != strlen(text)) return false;
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < min || value > max) return false;
    *out = value;
    return true;
}

/* 4096, 5G, 1.5M; at least one byte unless it is a plain 0. */
static bool parse_size(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    char number[32];
    size_t n = strlen(text);
    double factor = 1;
    if (n > 0 && text[n - 1] != '\0') {
        const char *unit = strchr(units, toupper((unsigned char)text[n - 1]));
        if (unit && *unit) {
            for (const char *u = units; u <= unit; u++) factor *= 1000;
            n--;
        }
    }
    double value = 0;
    if (n == 0 || n >= sizeof number) return false;
    memcpy(number, text, n);
    number[n] = '\0';
    if (!parse_double(number, 0, 9e15, &value) || value * factor > 9e18) return false;
    *out = (uint64_t)(value * factor);
    return value == 0 || *out > 0;
}

const char *option_word(const char *words, unsigned i, size_t *n)
{
    for (;; i--) {
        *n = strcspn(words, "|");
        if (i == 0) return *n > 0 ? words : NULL;
        if (!words[*n]) return NULL;
        words += *n + 1;
    }
}

static bool parse_choice(const char *words, const char *text, unsigned *out)
{
    size_t n = 0;
    for (unsigned i = 0;; i++) {
        const char *word = option_word(words, i, &n);
        if (!word) return false;
        if (strlen(text) == n && memcmp(word, text, n) == 0) {
            *out = i;
            return true;
        }
    }
}

/* "a number from 0 to 1", "a whole number of at least 1", "one of f32, int8". */
static enum vinci_status fail_value(const struct option_row *row, const char *text,
                                    struct vinci_error *err)
{
    char expected[200];
    const char *kind = row->type == OPTION_FLOAT ? _("a number") : _("a whole number");
    if (row->type == OPTION_CHOICE) {
        size_t n = 0, used = (size_t)snprintf(expected, sizeof expected, "%s", _("one of "));
        for (unsigned i = 0; used < sizeof expected; i++) {
            const char *word = option_word(row->words, i, &n);
            if (!word) break;
            used += (size_t)snprintf(expected + used, sizeof expected - used, "%s%.*s",
                                     i ? ", " : "", (int)n, word);
        }
    } else if (row->type == OPTION_SIZE) {
        char least[16], most[16];
        if (row->max > 0)
            snprintf(expected, sizeof expected, _("a number of bytes such as 4M, from %s to %s"),
                     format_bytes((uint64_t)row->min, least),
                     format_bytes((uint64_t)row->max, most));
        else snprintf(expected, sizeof expected, "%s", _("a number of bytes such as 5G"));
    } else if (row->max > 0 || row->type == OPTION_U32) {
        snprintf(expected, sizeof expected, _("%s from %.10g to %.10g"), kind, row->min,
                 row->max > 0 ? row->max : UINT32_MAX);
    } else {
        snprintf(expected, sizeof expected, _("%s of at least %.10g"), kind, row->min);
    }
    return fail(err, VINCI_USAGE, "--%s: expected %s, got '%s'", row->name, expected, text);
}

static enum vinci_status store(const struct option_row *row, void *field, const char *text,
                               struct vinci_error *err)
{
    bool ok = true;
    uint64_t whole = 0;
    double number = 0;
    switch (row->type) {
    case OPTION_FLAG: *(bool *)field = true; break;
    case OPTION_TEXT: *(const char **)field = text; break;
    case OPTION_CHOICE: ok = parse_choice(row->words, text, field); break;
    case OPTION_U32:
        ok = parse_u64(text, (uint64_t)row->min, row->max > 0 ? (uint64_t)row->max : UINT32_MAX,
                       &whole);
        if (ok) *(uint32_t *)field = (uint32_t)whole;
        break;
    case OPTION_U64:
        ok = parse_u64(text, (uint64_t)row->min, row->max > 0 ? (uint64_t)row->max : UINT64_MAX,
                       &whole);
        if (ok) *(uint64_t *)field = whole;
        break;
    case OPTION_FLOAT:
        ok = parse_double(text, row->min, row->max > 0 ? row->max : 1e30, &number);
        if (ok) *(float *)field = (float)number;
        break;
    case OPTION_SIZE:
        ok = parse_size(text, &whole) &&
             (row->max <= 0 || ((double)whole >= row->min && (double)whole <= row->max));
        if (ok) *(uint64_t *)field = whole;
        break;
    case OPTION_LIST:
        if (!text_list_add(field, text)) return fail_memory(err, sizeof text, "the options");
        break;
    }
    return ok ? VINCI_OK : fail_value(row, text, err);
}

/* Changed, added, lost and swapped characters; more than 63 characters count as far away. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { MAX = 63 };
    size_t n = strlen(a), m = strlen(b);
    size_t rows[3][MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    if (n > MAX || m > MAX) return MAX;
    for (size_t j = 0; j <= m; j++) last[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[m];
}

const char *nearest(const char *text, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t best_distance = strlen(text) < 4 ? 2 : strlen(text) / 3 + 2; /* as far as is meant */
    for (size_t i = 0; i < n; i++) {
        size_t distance = edit_distance(text, candidates[i]), same = 0;
        while (text[same] && text[same] == candidates[i][same]) same++;
        if (same >= 4) distance = distance > same ? distance - same : 1; /* iterations: iters */
        if (distance < best_distance) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}

/* The table in the form getopt_long wants; an option's code is its letter or CODE_FIRST + i. */
struct parser {
    const struct option_row *rows[OPTIONS_MAX];
    size_t offsets[OPTIONS_MAX]; /* of the field in the arguments */
    size_t n;
    struct option longs[OPTIONS_MAX + 3];
    char shorts[2 * OPTIONS_MAX + 4];
    char **operands; /* [n_operands] */
    int n_operands;
};

static enum vinci_status parser_init(struct parser *parser, const struct command *command,
                                     struct vinci_error *err)
{
    *parser = (struct parser){.shorts = "-:h"};
    size_t n_shorts = strlen(parser->shorts);
    for (const struct option_group *group = command->groups; group->rows; group++)
        for (const struct option_row *row = group->rows; row->name; row++) {
            size_t i = parser->n++;
            if (i >= OPTIONS_MAX)
                return fail(err, VINCI_FAILED, "%s: too many options", command->name);
            int takes = row->argument ? required_argument : no_argument;
            parser->rows[i] = row;
            parser->offsets[i] = group->offset + row->offset;
            parser->longs[i] = (struct option){row->name, takes, NULL, CODE_FIRST + (int)i};
            if (row->letter) {
                parser->shorts[n_shorts++] = row->letter;
                if (row->argument) parser->shorts[n_shorts++] = ':';
            }
        }
    parser->longs[parser->n] = (struct option){"help", no_argument, NULL, CODE_HELP};
    parser->longs[parser->n + 1] = (struct option){"lang", required_argument, NULL, CODE_LANG};
    return VINCI_OK;
}

static enum vinci_status fail_unknown(const struct parser *parser, const struct command *command,
                                      const char *argument, int letter, struct vinci_error *err)
{
    if (letter)
        return fail(err, VINCI_USAGE, "unknown option '-%c'; 'vinci help %s' lists them", letter,
                    command->name);
    char name[64];
    const char *candidates[OPTIONS_MAX + 2];
    const char *text = argument + strspn(argument, "-");
    size_t n = strcspn(text, "=");
    if (text[n] && n < sizeof name) {
        for (size_t i = 0; i < parser->n; i++)
            if (strlen(parser->rows[i]->name) == n && memcmp(parser->rows[i]->name, text, n) == 0)
                return fail(err, VINCI_USAGE, "--%s takes no argument, got '%s'",
                            parser->rows[i]->name, text + n + 1);
    }
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    for (size_t i = 0; i < parser->n; i++) candidates[i] = parser->rows[i]->name;
    candidates[parser->n] = "help";
    candidates[parser->n + 1] = "lang";
    const char *other = NULL;
    for (size_t i = 0; i < parser->n + 2; i++) {
        if (strncmp(candidates[i], name, n) != 0) continue;
        if (other)
            return fail(err, VINCI_USAGE, "'--%s' may mean '--%s' or '--%s'", name, other,
                        candidates[i]);
        other = candidates[i];
    }
    const char *best = nearest(name, candidates, parser->n + 2);
    if (best)
        return fail(err, VINCI_USAGE, "unknown option '--%s'; did you mean '--%s'?", name, best);
    return fail(err, VINCI_USAGE, "unknown option '--%s'; 'vinci help %s' lists them", name,
                command->name);
}

/* One option, or an operand, which getopt_long gives as option 1; -1 at the end. */
static enum vinci_status parse_one(struct parser *parser, const struct command *command, int argc,
                                   char **argv, void *args, int *code, size_t *list,
                                   struct vinci_error *err)
{
    int wanted = getopt_long(argc, argv, parser->shorts, parser->longs, NULL);
    size_t i = 0, last = *list;
    *code = wanted;
    if (wanted == 1 && last < parser->n && parser->n_operands > 0)
        return store(parser->rows[last], (char *)args + parser->offsets[last], optarg, err);
    *list = SIZE_MAX;
    if (wanted == 1) parser->operands[parser->n_operands++] = optarg;
    if (wanted == 1 || wanted == -1 || wanted == 'h' || wanted == CODE_HELP) return VINCI_OK;
    if (wanted == ':')
        return fail(err, VINCI_USAGE, "%s: an argument is missing", argv[optind - 1]);
    if (wanted == CODE_LANG)
        return lang_choose(optarg) ? VINCI_OK : fail_value(common_rows, optarg, err);
    if (wanted == '?')
        return fail_unknown(parser, command, argv[optind - 1],
                            optopt > 0 && optopt < CODE_FIRST ? optopt : 0, err);
    if (wanted >= CODE_FIRST) i = (size_t)(wanted - CODE_FIRST);
    else
        while (parser->rows[i]->letter != wanted) i++;
    if (parser->rows[i]->several) *list = i;
    return store(parser->rows[i], (char *)args + parser->offsets[i], optarg, err);
}

enum vinci_status options_parse(const struct command *command, int argc, char **argv, void *args,
                                int *first_operand, bool *help, struct vinci_error *err)
{
    struct parser parser;
    size_t list = SIZE_MAX; /* the row of the list that the words before belong to */
    int code = 0;
    enum vinci_status status = parser_init(&parser, command, err);
    *help = false;
    *first_operand = argc;
    if (status == VINCI_OK) parser.operands = calloc((size_t)argc + 1, sizeof *parser.operands);
    if (status == VINCI_OK && !parser.operands)
        return fail_memory(err, (size_t)argc * sizeof *parser.operands, "the options");
    opterr = 0;
    optind = 0; /* begin anew */
    while (status == VINCI_OK && !*help && code != -1) {
        status = parse_one(&parser, command, argc, argv, args, &code, &list, err);
        *help = status == VINCI_OK && (code == 'h' || code == CODE_HELP);
    }
    if (status == VINCI_OK) {
        /* Behind "--" all are operands. */
        while (code == -1 && optind < argc) parser.operands[parser.n_operands++] = argv[optind++];
        *first_operand = argc - parser.n_operands;
        for (int i = 0; i < parser.n_operands; i++) argv[*first_operand + i] = parser.operands[i];
    }
    free(parser.operands);
    return status;
}
