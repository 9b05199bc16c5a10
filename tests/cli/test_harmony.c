/* `vinci harmony` on the vector files: the answers are the files' own results, line by line. */
#include "cli/command.h"
#include "harmony_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKENIZER TEST_VECTORS "/tokenizer/o200k_base.tiktoken"

/* Runs the command with `input` as standard input; its standard output comes back as lines. */
static enum vinci_status run(const char *what, bool lenient, FILE *input, json_t **answers,
                             struct vinci_error *err)
{
    char *argv[] = {"harmony", "--jsonl", "--tokenizer", TOKENIZER, lenient ? "--lenient" : NULL,
                    NULL};
    struct program program = {.operand = what};
    bool help;
    int first;
    void *args = calloc(1, command_harmony.args_size);
    command_harmony.init(args);
    assert_int_equal(
        options_parse(&command_harmony, lenient ? 5 : 4, argv, args, &first, &help, err), VINCI_OK);

    FILE *output = tmpfile();
    int saved_in = dup(0), saved_out = dup(1);
    fflush(stdout);
    dup2(fileno(input), 0);
    dup2(fileno(output), 1);
    clearerr(stdin);
    rewind(stdin);
    enum vinci_status status = command_harmony.run(&program, args, err);
    fflush(stdout);
    dup2(saved_in, 0);
    dup2(saved_out, 1);
    close(saved_in);
    close(saved_out);
    free(args);

    char *line = NULL;
    size_t capacity = 0;
    rewind(output);
    *answers = json_array();
    for (ssize_t n; (n = getline(&line, &capacity, output)) > 0;)
        assert_int_equal(
            json_array_append_new(*answers, json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL)), 0);
    free(line);
    fclose(output);
    return status;
}

static bool same(const json_t *line, const json_t *answer, const char *key)
{
    const json_t *want = json_object_get(line, key), *got = json_object_get(answer, key);
    return want && got && json_equal(want, got);
}

static json_t *answers_to(const char *what, bool lenient, const char *file, size_t n_lines)
{
    char path[512];
    struct vinci_error err = {0};
    json_t *answers = NULL;
    snprintf(path, sizeof path, TEST_VECTORS "/text/%s", file);
    FILE *input = fopen(path, "r");
    assert_non_null(input);
    if (run(what, lenient, input, &answers, &err)) fail_msg("%s", err.text);
    fclose(input);
    assert_int_equal(json_array_size(answers), n_lines);
    return answers;
}

static void renders_the_file(void **state)
{
    (void)state;
    json_t *lines = harmony_lines("render.jsonl"), *line;
    json_t *answers = answers_to("render", false, "render.jsonl", 195);
    size_t i, n_refused = 0;
    json_array_foreach(lines, i, line)
    {
        const json_t *answer = json_array_get(answers, i);
        if (!same(line, answer, "name") || !same(line, answer, "ids") ||
            !same(line, answer, "text"))
            fail_msg("line %zu", i + 1);
        if (json_is_string(json_object_get(line, "error"))) {
            assert_true(json_is_string(json_object_get(answer, "error")));
            n_refused++;
        } else {
            assert_int_equal(json_object_size(answer), 3);
        }
    }
    assert_int_equal(n_refused, 3);
    json_decref(lines);
    json_decref(answers);
}

/* All deltas and all contents of an answer, joined. */
static bool deltas_are_contents(const json_t *answer)
{
    struct buf deltas = {0}, contents = {0};
    const json_t *item;
    size_t i;
    bool ok = buf_append(&deltas, "", 0) && buf_append(&contents, "", 0);
    json_array_foreach(json_object_get(answer, "deltas"), i, item)
    {
        const json_t *text = json_object_get(item, "delta");
        if (json_is_string(text))
            ok = ok && buf_append(&deltas, json_string_value(text), json_string_length(text));
    }
    json_array_foreach(json_object_get(answer, "messages"), i, item)
    {
        const json_t *part = json_array_get(json_object_get(item, "content"), 0);
        const json_t *text = json_object_get(part, "text");
        ok = ok && buf_append(&contents, json_string_value(text), json_string_length(text));
    }
    assert_true(ok);
    ok = deltas.size == contents.size && memcmp(deltas.data, contents.data, deltas.size) == 0;
    buf_free(&deltas);
    buf_free(&contents);
    return ok;
}

static void parses_the_file(void **state)
{
    (void)state;
    json_t *lines = harmony_lines("parse.jsonl"), *line;
    for (int lenient = 0; lenient < 2; lenient++) {
        json_t *answers = answers_to("parse", lenient, "parse.jsonl", 182);
        size_t i, n_strict = 0;
        json_array_foreach(lines, i, line)
        {
            const json_t *answer = json_array_get(answers, i);
            const json_t *error = json_object_get(answer, "error");
            bool strict = !lenient && json_is_true(json_object_get(line, "strict"));
            bool ok = same(line, answer, "name") && json_object_size(answer) == 4;
            if (strict) {
                ok = ok && same(line, answer, "messages") &&
                     json_is_null(error) == json_is_null(json_object_get(line, "error"));
                if (json_is_true(json_object_get(line, "deltas_complete")))
                    ok = ok && same(line, answer, "deltas");
                n_strict++;
            } else {
                ok = ok && json_is_null(error);
            }
            if (json_is_null(error)) ok = ok && deltas_are_contents(answer);
            if (!ok) fail_msg("line %zu", i + 1);
        }
        assert_int_equal(n_strict, lenient ? 0 : 91);
        json_decref(answers);
    }
    json_decref(lines);
}

static void says_what_is_wrong_with_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *what, *input, *says;
        enum vinci_status status;
    } cases[] = {
        {"parse", "\n\n{\"role\":null,\"ids\":[]}\n{", "line 4: expected a JSON object",
         VINCI_BAD_FILE},
        {"parse", "[]", "line 1: expected a JSON object: got an array", VINCI_BAD_FILE},
        {"parse", "{}", "line 1: ids: expected an array", VINCI_BAD_FILE},
        {"parse", "{\"ids\":[1,\"x\"]}", "ids[1]: expected an integer", VINCI_BAD_FILE},
        {"parse", "{\"ids\":[],\"role\":\"robot\"}", "role: expected null or", VINCI_BAD_FILE},
        {"render", "{}", "conversation: missing", VINCI_BAD_FILE},
        {"render", "{\"kind\":\"x\"}", "kind: expected", VINCI_BAD_FILE},
        {"render", "{\"next_turn_role\":5}", "next_turn_role: expected", VINCI_BAD_FILE},
        {"chat", "", "'chat': expected render or parse", VINCI_USAGE},
        {NULL, "", "expected render or parse", VINCI_USAGE},
        {"parse", "{\"ids\":[-5,9999999999,200008,1]}", "", VINCI_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vinci_error err = {0};
        json_t *answers = NULL;
        FILE *input = tmpfile();
        fputs(cases[i].input, input);
        rewind(input);
        enum vinci_status status = run(cases[i].what, false, input, &answers, &err);
        if (cases[i].status == VINCI_FAILED) { /* ids that are no tokens are a result */
            assert_int_equal(status, VINCI_OK);
            assert_int_equal(json_array_size(answers), 1);
        } else if (status != cases[i].status || !strstr(err.text, cases[i].says)) {
            fail_msg("case %zu: %d '%s'", i, status, err.text);
        }
        json_decref(answers);
        fclose(input);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_the_file),
        cmocka_unit_test(parses_the_file),
        cmocka_unit_test(says_what_is_wrong_with_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
