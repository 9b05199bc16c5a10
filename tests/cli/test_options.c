/* test_options.c - option tables: what is accepted, what is refused, and in which words. */
#include "base/buf.h"
#include "cli/command.h"
#include "cli/ids.h"
#include "cli/safetensors_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct shared {
    const char *model;
};

struct args {
    uint32_t count;
    uint64_t seed, size;
    float share;
    bool loud;
    unsigned kind;
    struct shared shared;
    struct text_list stops, words;
};

#define FIELD(name) .offset = offsetof(struct args, name)

static const struct option_row shared_rows[] = {
    {"model", 'm', "X", "", OPTION_TEXT, .offset = offsetof(struct shared, model)}, {0}};

static const struct option_row rows[] = {
    {"count", 'n', "N", "", OPTION_U32, FIELD(count), .min = 1, .max = 100},
    {"seed", 0, "N", "", OPTION_U64, FIELD(seed)},
    {"size", 0, "SIZE", "", OPTION_SIZE, FIELD(size)},
    {"share", 0, "X", "", OPTION_FLOAT, FIELD(share), .min = -1, .max = 1},
    {"loud", 'l', NULL, "", OPTION_FLAG, FIELD(loud)},
    {"kind", 0, "K", "", OPTION_CHOICE, FIELD(kind), COMPLETE_WORDS, "f16|f32"},
    {"stop", 0, "TEXT", "", OPTION_LIST, FIELD(stops)},
    {"words", 0, "TEXT...", "", OPTION_LIST, FIELD(words), .several = true},
    {0}};

static const struct option_group groups[] = {
    {"Options", rows, 0}, {"Shared", shared_rows, offsetof(struct args, shared)}, {0}};

static const struct command test_command = {
    .name = "test", .operands = "[X]", .groups = groups, .args_size = sizeof(struct args)};

enum { WORDS_MAX = 12 };

static enum vinci_status parse(const char *const *words, struct args *args, int *first, bool *help,
                               struct vinci_error *err)
{
    char *argv[WORDS_MAX + 2] = {(char *)"test"};
    int argc = 1;
    for (; words[argc - 1]; argc++) argv[argc] = (char *)words[argc - 1];
    *args = (struct args){0};
    return options_parse(&test_command, argc, argv, args, first, help, err);
}

static void everything_arrives(void **state)
{
    (void)state;
    struct args args;
    struct vinci_error err;
    int first = 0;
    bool help = false;
    const char *const words[] = {"--count=7", "-m",     "model", "--seed", "18446744073709551615",
                                 "-l",        "--kind", "f32",   "--stop", "a",
                                 "--stop=",   NULL};
    assert_int_equal(parse(words, &args, &first, &help, &err), VINCI_OK);
    assert_int_equal(args.count, 7);
    assert_true(args.seed == UINT64_MAX);
    assert_true(args.loud);
    assert_int_equal(args.kind, 1);
    assert_string_equal(args.shared.model, "model");
    assert_int_equal(args.stops.n, 2);
    assert_string_equal(args.stops.items[0], "a");
    assert_string_equal(args.stops.items[1], "");
    assert_false(help);
    text_list_free(&args.stops);

    const char *const more[] = {"operand", "--share", "-0.5", "--size", "1.5K", "-ln3", NULL};
    assert_int_equal(parse(more, &args, &first, &help, &err), VINCI_OK);
    assert_true(args.share == -0.5f);
    assert_true(args.size == 1500);
    assert_true(args.loud);
    assert_int_equal(args.count, 3);
    assert_int_equal(first, 6); /* the operand was moved to the end */

    const char *const asked[] = {"--help", "--nonsense", NULL};
    assert_int_equal(parse(asked, &args, &first, &help, &err), VINCI_OK);
    assert_true(help);
}

/* "--words a b" is two words, unless b is the only thing that can be the operand. */
static void lists_take_several(void **state)
{
    (void)state;
    static const struct {
        const char *words[9];
        size_t n;
        const char *operands;
    } cases[] = {{{"x", "--words", "a", "b", "-l", "c"}, 2, "x c"},
                 {{"--words", "a", "x"}, 1, "x"},
                 {{"--words", "a", "x", "y"}, 1, "x y"},
                 {{"x", "--words=a", "b", "--words", "c", "d"}, 4, "x"},
                 {{"x", "--words", "a", "--", "b"}, 1, "x b"},
                 {{"x", "--stop", "a", "b"}, 0, "x b"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct args args;
        struct vinci_error err;
        struct buf operands = {0};
        int first = 0, argc = 1;
        bool help = false;
        char *argv[WORDS_MAX + 2] = {(char *)"test"};
        for (; cases[i].words[argc - 1]; argc++) argv[argc] = (char *)cases[i].words[argc - 1];
        args = (struct args){0};
        assert_int_equal(options_parse(&test_command, argc, argv, &args, &first, &help, &err),
                         VINCI_OK);
        assert_int_equal(args.words.n, cases[i].n);
        for (int k = first; k < argc; k++)
            buf_printf(&operands, "%s%s", k > first ? " " : "", argv[k]);
        assert_string_equal(operands.data, cases[i].operands);
        buf_free(&operands);
        text_list_free(&args.words);
        text_list_free(&args.stops);
    }
}

static void mistakes_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *words[3];
        const char *text; /* part of the sentence */
    } cases[] = {
        {{"--count", "0"}, "--count: expected a whole number from 1 to 100, got '0'"},
        {{"--count", "101"}, "from 1 to 100"},
        {{"--count", "-1"}, "got '-1'"},
        {{"--count", "7 "}, "got '7 '"},
        {{"--count", "+7"}, "got '+7'"},
        {{"--count", "7.0"}, "got '7.0'"},
        {{"--count", "0x7"}, "got '0x7'"},
        {{"--count", ""}, "got ''"},
        {{"--count"}, "--count: an argument is missing"},
        {{"-n"}, "-n: an argument is missing"},
        {{"--seed", "18446744073709551616"}, "a whole number of at least 0"},
        {{"--share", "1.5"}, "--share: expected a number from -1 to 1, got '1.5'"},
        {{"--share", "nan"}, "got 'nan'"},
        {{"--share", "inf"}, "got 'inf'"},
        {{"--share", "0x1p-1"}, "got '0x1p-1'"},
        {{"--share", "0.5f"}, "got '0.5f'"},
        {{"--size", "5X"}, "a number of bytes such as 5G, got '5X'"},
        {{"--size", "K"}, "got 'K'"},
        {{"--size", "-5"}, "got '-5'"},
        {{"--size", "99999999T"}, "got '99999999T'"},
        {{"--kind", "f64"}, "--kind: expected one of f16, f32, got 'f64'"},
        {{"--kind", "f1"}, "got 'f1'"},
        {{"--kind", "f16|f32"}, "got 'f16|f32'"},
        {{"--loud=yes"}, "--loud takes no argument, got 'yes'"},
        {{"--cuont", "7"}, "did you mean '--count'?"},
        {{"--hepl"}, "did you mean '--help'?"},
        {{"--zzzzzzzz"}, "unknown option '--zzzzzzzz'; 'vinci help test' lists them"},
        {{"-x"}, "unknown option '-x'"},
        {{"-lx"}, "unknown option '-x'"},
        {{"--s", "1"}, "'--s' may mean '--seed' or '--size'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct args args;
        struct vinci_error err = {0};
        int first = 0;
        bool help = false;
        assert_int_equal(parse(cases[i].words, &args, &first, &help, &err), VINCI_USAGE);
        if (!strstr(err.text, cases[i].text))
            fail_msg("case %zu: '%s' is not in '%s'", i, cases[i].text, err.text);
    }
}

static void real_tables_are_sound(void **state)
{
    (void)state;
    for (const struct command *const *c = commands; *c; c++) {
        const char *names[64];
        char letters[64] = "h";
        size_t n = 0, n_letters = 1;
        for (const struct option_group *group = (*c)->groups; group->rows; group++)
            for (const struct option_row *row = group->rows; row->name; row++) {
                for (size_t i = 0; i < n; i++) assert_string_not_equal(names[i], row->name);
                names[n++] = row->name;
                if (row->letter) assert_null(strchr(letters, row->letter));
                if (row->letter) letters[n_letters++] = row->letter;
                assert_true((row->argument == NULL) == (row->type == OPTION_FLAG));
                assert_true((row->words != NULL) == (row->complete == COMPLETE_WORDS));
                assert_true(row->type != OPTION_CHOICE || row->words);
                assert_true(group->offset + row->offset < (*c)->args_size);
                assert_true(*row->help && row->help[strlen(row->help) - 1] != '.');
            }
        assert_true(n < 64);
        assert_ptr_equal(command_find((*c)->name), *c);
    }
}

static char *temporary_file(const char *text, size_t n)
{
    char *path = strdup("/tmp/vinci-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, n) == (ssize_t)n);
    close(fd);
    return path;
}

static void ids_are_read_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n; /* ids; 0: refused */
    } cases[] = {
        {"1 2 3", 3},    {"7", 1},          {"  0\n2147483647\t5\r\n", 3},
        {"[]", 0},       {"[1, 2]", 2},     {" [ 7 ]\n", 1},
        {"", 0},         {" \n", 0},        {"1 -2", 0},
        {"1, 2", 0},     {"2147483648", 0}, {"99999999999999999999", 0},
        {"1 2x", 0},     {"[1, 2", 0},      {"[1] 2", 0},
        {"[1, 2.5]", 0}, {"[1, -1]", 0},    {"[1, 4294967296]", 0},
        {"{}", 0},       {"[[1]]", 0},      {"[1, \"2\"]", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vinci_error err = {0};
        int32_t *ids = NULL;
        size_t n = 0;
        char *path = temporary_file(cases[i].text, strlen(cases[i].text));
        enum vinci_status status = ids_read(path, &ids, &n, &err);
        unlink(path);
        if (status != (cases[i].n ? VINCI_OK : VINCI_BAD_FILE) || n != cases[i].n)
            fail_msg("'%s': status %d, %zu ids, %s", cases[i].text, (int)status, n, err.text);
        if (cases[i].n == 0) assert_non_null(strstr(err.text, path));
        free(ids);
        free(path);
    }
    char *path = temporary_file("1 \0 2", 5);
    struct vinci_error err;
    int32_t *ids = NULL;
    size_t n = 0;
    assert_int_equal(ids_read(path, &ids, &n, &err), VINCI_BAD_FILE);
    unlink(path);
    assert_int_equal(ids_read(path, &ids, &n, &err), VINCI_NOT_FOUND);
    free(path);
}

static void sizes_read_well(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        const char *text;
    } cases[] = {{0, "0 bytes"},         {999, "999 bytes"},  {1000, "1.00 kB"},
                 {9994, "9.99 kB"},      {9996, "10.0 kB"},   {99960, "100 kB"},
                 {999499, "999 kB"},     {999999, "1.00 MB"}, {13800000000, "13.8 GB"},
                 {UINT64_MAX, "18.4 EB"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[16];
        assert_string_equal(format_bytes(cases[i].n, text), cases[i].text);
    }
}

static void output_appears_only_when_whole(void **state)
{
    (void)state;
    struct vinci_error err;
    struct safetensors_out out;
    struct buf text = {0};
    char folder[] = "/tmp/vinci-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x", folder);
    struct out_tensor tensors[] = {{"ids", "I64", 8, {2}, 1, 0}, {"rows", "F32", 4, {1, 3}, 2, 0}};
    int64_t ids[] = {5, 6};
    float rows_[] = {1, 2, 3};

    assert_int_equal(safetensors_out_open(&out, path, tensors, 2, &err), VINCI_OK);
    assert_int_equal(access(path, F_OK), -1);
    safetensors_out_close(&out);
    assert_int_equal(rmdir(folder), 0); /* nothing is left */

    assert_int_equal(safetensors_out_open(&out, path, tensors, 2, &err), VINCI_NOT_FOUND);
    safetensors_out_close(&out);
    assert_int_equal(safetensors_out_open(&out, "/dev/null", tensors, 2, &err), VINCI_UNSUPPORTED);
    safetensors_out_close(&out);

    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x", folder);
    assert_int_equal(safetensors_out_open(&out, path, tensors, 2, &err), VINCI_OK);
    assert_int_equal(safetensors_out_write(&out, 1, 0, rows_, 3, &err), VINCI_OK);
    assert_int_equal(safetensors_out_write(&out, 0, 1, &ids[1], 1, &err), VINCI_OK);
    assert_int_equal(safetensors_out_write(&out, 0, 0, &ids[0], 1, &err), VINCI_OK);
    assert_int_equal(safetensors_out_publish(&out, &err), VINCI_OK);
    safetensors_out_close(&out);
    assert_int_equal(read_input(path, &text, &err), VINCI_OK);
    uint64_t n = 0;
    memcpy(&n, text.data, 8);
    assert_true(n % 8 == 0 && text.size == 8 + n + 16 + 12);
    assert_memory_equal(text.data + 8,
                        "{\"ids\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
                        "\"rows\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[16,28]}}",
                        113);
    assert_memory_equal(text.data + 8 + n, ids, 16);
    assert_memory_equal(text.data + 8 + n + 16, rows_, 12);
    buf_free(&text);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives),
        cmocka_unit_test(lists_take_several),
        cmocka_unit_test(mistakes_are_explained),
        cmocka_unit_test(real_tables_are_sound),
        cmocka_unit_test(ids_are_read_or_refused),
        cmocka_unit_test(sizes_read_well),
        cmocka_unit_test(output_appears_only_when_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
