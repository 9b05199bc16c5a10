/* test_logits.c - `vinci logits` as a program: the file it writes for a golden prompt has the
 * reference's tensors under the reference's names, with logits as near as float32 comes. */
#include "golden_case.h"
#include "model/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/vinci-test-XXXXXX";

static const char *variable(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static void write_list(const char *path, const char *separator, const int64_t *items, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < n; i++) fprintf(file, "%s%lld", i ? separator : "", (long long)items[i]);
    fclose(file);
}

/* Runs the program on the golden prompt; `options` are added. */
static void run_logits(const struct golden *golden, const char *out, const char *options)
{
    char ids[64], positions[64], command[4096];
    snprintf(ids, sizeof ids, "%s/ids", folder);
    snprintf(positions, sizeof positions, "%s/positions", folder);
    write_list(ids, " ", golden->input_ids, golden->n_input);
    write_list(positions, ",", golden->positions, golden->n_positions);
    snprintf(command, sizeof command,
             "%s '%s/vinci' logits --model '%s' --ids %s --positions \"$(cat %s)\" --greedy %zu "
             "--out %s %s",
             variable("RUN", ""), variable("BUILD", "build"), golden->model, ids, positions,
             golden->n_greedy, out, options);
    if (system(command) != 0) fail_msg("failed: %s", command);
}

static const void *tensor(const struct tensor_index *index, const char *name, const char *type,
                          uint64_t n_rows, uint64_t n_cols)
{
    const struct tensor *t = tensor_index_find(index, name);
    if (!t) fail_msg("no tensor %s", name);
    assert_string_equal(t->type_name, type);
    assert_int_equal(t->n_dims, n_cols ? 2 : 1);
    assert_true(t->shape[0] == n_rows && (!n_cols || t->shape[1] == n_cols));
    return t->data;
}

static double max_difference(const float *a, const float *b, size_t n)
{
    double max = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (!(d <= max)) max = isnan(d) ? INFINITY : d;
    }
    return max;
}

static void file_holds_the_reference(void **state)
{
    const struct golden_case *c = *state;
    struct golden golden;
    struct tensor_index index = {0};
    struct vinci_error err;
    char out[64];
    if (!golden_open(&golden, c)) skip();
    snprintf(out, sizeof out, "%s/out.safetensors", folder);
    run_logits(&golden, out, "--activations f32 --kv f32");
    if (safetensors_open(&index, out, &err) != VINCI_OK) fail_msg("%s", err.text);

    size_t n = golden.n_input, p = golden.n_positions, g = golden.n_greedy, v = golden.n_vocab;
    assert_memory_equal(tensor(&index, "input_ids", "I64", n, 0), golden.input_ids, n * 8);
    assert_memory_equal(tensor(&index, "positions", "I64", p, 0), golden.positions, p * 8);
    assert_memory_equal(tensor(&index, "greedy_ids", "I64", g, 0), golden.greedy_ids, g * 8);
    const float *logits = tensor(&index, "logits", "F32", p, v);
    const float *greedy = tensor(&index, "greedy_logits", "F32", g, v);
    double bound = fmax(4 * golden.f32_max_abs, 1e-4);
    assert_true(max_difference(logits, golden.logits, p * v) <= bound);
    assert_true(max_difference(greedy, golden.greedy_logits, g * v) <= bound);
    assert_memory_equal(logits + (p - 1) * v, greedy, v * sizeof *logits);
    /* The measure notices a row in the wrong place. */
    assert_false(max_difference(logits, golden.logits + v, v) <= bound);
    tensor_index_free(&index);
    golden_close(&golden);
    unlink(out);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    struct CMUnitTest tests[32];
    size_t n = 0;
    for (size_t i = 0; i < N_GOLDEN_CASES; i++) {
        const char *name = GOLDEN_CASES[i].name;
        if (strcmp(name, "long") == 0) continue; /* minutes with scalar kernels; in test_golden */
        tests[n++] = (struct CMUnitTest){name, file_holds_the_reference, NULL, NULL,
                                         (void *)(uintptr_t)&GOLDEN_CASES[i]};
    }
    return _cmocka_run_group_tests("logits", tests, n, make_folder, remove_folder);
}
