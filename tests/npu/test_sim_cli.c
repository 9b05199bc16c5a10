/* The program on the simulated device, as a person would start it: ASCEND_HOME_PATH and `--device
 * npu:0`. Golden logits in every version of CANN and way to keep weights, and what the device was
 * asked to do for them; faults from outside; a machine without a device.
 *
 * Tolerance: the mean KL of prompt and continuation, 1e-2 nats where products are of bf16 inputs (8
 * bits), 1e-4 of fp16 ones (11 bits). Violations of the simulator's rules end the program with
 * status 86, so the status is the check. */
#include "golden_case.h"
#include "model/safetensors.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/vinci-sim-XXXXXX";

static const char *build(void)
{
    const char *path = getenv("BUILD");
    return path ? path : "build";
}

/* Runs `environment vinci arguments`; its status; what it printed is in folder/out and folder/err.
 */
static int vinci(const char *environment, const char *arguments)
{
    char command[8192];
    snprintf(command, sizeof command,
             "env ASCEND_HOME_PATH=%s/npu_sim %s %s %s/vinci %s >%s/out 2>%s/err </dev/null",
             build(), environment, getenv("RUN") ? getenv("RUN") : "", build(), arguments, folder,
             folder);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool printed(const char *file, const char *text)
{
    char path[256], content[16384];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(content, 1, sizeof content - 1, f);
    content[n] = 0;
    fclose(f);
    if (strstr(content, text)) return true;
    print_message("%s: expected \"%s\" in: %s\n", file, text, content);
    return false;
}

static json_int_t reported(const char *name)
{
    char path[256];
    json_error_t error;
    snprintf(path, sizeof path, "%s/report", folder);
    json_t *root = json_load_file(path, 0, &error);
    assert_non_null(root);
    json_t *value = json_object_get(root, name);
    assert_true(json_is_integer(value));
    json_int_t n = json_integer_value(value);
    json_decref(root);
    return n;
}

static void write_ids(const struct golden *golden)
{
    char path[256];
    snprintf(path, sizeof path, "%s/ids", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < golden->n_input; i++) fprintf(f, "%d ", (int)golden->input_ids[i]);
    fclose(f);
}

/* Mean KL of the file's rows; the continuation counts as far as it chose the same tokens. */
static double distance(const struct golden *golden, const char *path)
{
    struct tensor_index index;
    struct vinci_error err;
    if (safetensors_open(&index, path, &err) != VINCI_OK) fail_msg("%s", err.text);
    const float *logits = (const void *)tensor_index_find(&index, "logits")->data;
    const float *greedy = (const void *)tensor_index_find(&index, "greedy_logits")->data;
    const int64_t *ids = (const void *)tensor_index_find(&index, "greedy_ids")->data;
    size_t n = golden->n_vocab, rows = 0;
    double kl = 0;
    assert_int_equal(tensor_index_find(&index, "logits")->shape[0], golden->n_input);
    for (size_t i = 0; i < golden->n_positions; i++, rows++)
        kl += kl_divergence(golden->logits + i * n, logits + (size_t)golden->positions[i] * n, n);
    for (size_t g = 0; g < golden->n_greedy; g++, rows++) {
        kl += kl_divergence(golden->greedy_logits + g * n, greedy + g * n, n);
        if (ids[g] != golden->greedy_ids[g]) break;
    }
    tensor_index_free(&index);
    return kl / (double)rows;
}

struct run {
    const char *name, *golden, *version, *dtype;
    double kl_max;
    bool captures;
};

static const struct run runs[] = {
    {"CANN 8.0, bf16", "tiny", "8.0", "bf16", 1e-2, false},
    {"CANN 8.1, bf16", "tiny", "8.1", "bf16", 1e-2, true},
    {"CANN 8.3, bf16", "tiny", "8.3", "bf16", 1e-2, true},
    {"CANN 8.5, bf16", "tiny", "8.5", "bf16", 1e-2, true},
    {"CANN 9.0, bf16", "tiny", "9.0", "bf16", 1e-2, true},
    {"CANN 8.5, fp16", "tiny", "8.5", "fp16", 1e-4, true},
    {"CANN 8.0, fp16", "odd", "8.0", "fp16", 1e-4, false},
    {"CANN 9.0, compact", "odd", "9.0", "compact", 1e-2, true},
};
enum { N_RUNS = sizeof runs / sizeof *runs };

static void test_golden(void **state)
{
    const struct run *run = *state;
    const struct golden_case *c = GOLDEN_CASES;
    struct golden golden;
    char environment[256], arguments[4096], path[256];
    while (strcmp(c->name, run->golden)) c++;
    if (!golden_open(&golden, c)) skip();
    write_ids(&golden);
    snprintf(path, sizeof path, "%s/logits", folder);
    snprintf(environment, sizeof environment, "NPU_SIM_CANN=%s NPU_SIM_REPORT=%s/report",
             run->version, folder);
    snprintf(arguments, sizeof arguments,
             "logits --device npu:0 --dtype %s -m %s --ids %s/ids --greedy %zu -o %s", run->dtype,
             golden.model, folder, golden.n_greedy, path);
    if (vinci(environment, arguments))
        fail_msg("%s", printed("err", "?") ? "" : "the program failed");
    double kl = distance(&golden, path);
    print_message("%s, %s: KL %.2e\n", run->golden, run->name, kl);
    assert_true(kl <= run->kl_max);
    assert_int_equal(reported("violations"), 0);
    assert_int_equal(reported("refusals"), 0);
    assert_true(reported("kernels") > 100);
    /* One launch a token where CANN can capture; the first steps are for recording. */
    json_int_t replays = reported("model_launches");
    if (run->captures) assert_in_range(replays, golden.n_greedy / 2, golden.n_greedy + 1);
    else assert_int_equal(replays, 0);
    golden_close(&golden);
}

/* The tolerance would notice: logits of another prompt are far off. */
static void test_the_distance_notices(void **state)
{
    (void)state;
    struct golden golden;
    char arguments[4096], path[256];
    assert_true(golden_open(&golden, &GOLDEN_CASES[0]));
    int64_t *ids = malloc(golden.n_input * sizeof *ids);
    memcpy(ids, golden.input_ids, golden.n_input * sizeof *ids);
    ids[golden.n_input / 2] ^= 1;
    const int64_t *kept = golden.input_ids;
    golden.input_ids = ids;
    write_ids(&golden);
    golden.input_ids = kept;
    snprintf(path, sizeof path, "%s/logits", folder);
    snprintf(arguments, sizeof arguments,
             "logits --device npu:0 -m %s --ids %s/ids --greedy %zu -o %s", golden.model, folder,
             golden.n_greedy, path);
    assert_int_equal(vinci("NPU_SIM_CANN=8.5", arguments), 0);
    assert_true(distance(&golden, path) > 1e-2);
    free(ids);
    golden_close(&golden);
}

static int logits(const char *environment)
{
    struct golden golden;
    char arguments[4096];
    assert_true(golden_open(&golden, &GOLDEN_CASES[0]));
    write_ids(&golden);
    snprintf(arguments, sizeof arguments,
             "logits --device npu:0 -m %s --ids %s/ids --greedy 4 -o %s/logits", golden.model,
             folder, folder);
    golden_close(&golden);
    return vinci(environment, arguments);
}

/* Each ends with a status and a sentence, never with a violation (86) or a signal. */
static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *environment, *text;
    } faults[] = {
        {"NPU_SIM_CANN=8.5 NPU_SIM_LOST=40=507054", "507054"},
        {"NPU_SIM_CANN=8.0 NPU_SIM_LOST=40=507015", "507015"},
        {"NPU_SIM_CANN=8.5 NPU_SIM_FAIL=aclnnRmsNorm@3=561002", "aclnnRmsNorm"},
        {"NPU_SIM_CANN=8.5 NPU_SIM_FAIL=aclnnAddmmGetWorkspaceSize@2=161002", "aclnnAddmm"},
        {"NPU_SIM_CANN=8.5 NPU_SIM_MEMORY=64M", "npu:0"},
        {"NPU_SIM_CANN=8.5 NPU_SIM_DEVICES=0", "npu"},
        {"NPU_SIM_CANN=8.5 NPU_SIM_FAIL=aclInit@1=500000", "500000"},
        {"NPU_SIM_CANN=8.5 NPU_SIM_FAIL=aclrtSetDevice@1=507899", "507899"},
        {"NPU_SIM_CANN=8.5 NPU_SIM_FAIL=aclrtSetDevice@1=507033", "busy or defective"},
        {"NPU_SIM_CANN=8.5 NPU_SIM_BUSY=init", "CANN cannot be started: the device is busy"},
        {"NPU_SIM_CANN=8.0 NPU_SIM_BUSY=set", "npu:0 cannot be opened: the device is busy"},
        {"NPU_SIM_CANN=8.5 NPU_SIM_FAIL=aclmdlRICaptureEnd@1=507903", NULL},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        int status = logits(faults[i].environment);
        print_message("%s: status %d\n", faults[i].environment, status);
        if (status == 86 || status < 0)
            fail_msg("%s", printed("err", "?") ? "" : faults[i].environment);
        if (!faults[i].text) continue; /* whether it goes on without is the device's choice */
        assert_true(status > 0);
        assert_true(printed("err", faults[i].text));
    }
}

/* --stats tells of the upload; in a file there is no line of progress, though copying takes long.
 */
static void test_upload_is_told(void **state)
{
    (void)state;
    const char *command = "generate --device npu:0 -m models/nano -p hello -n 2 --stats";
    assert_int_equal(vinci("NPU_SIM_ORDER=eager NPU_SIM_COPY=12M", command), 0);
    assert_true(printed("err", "upload    14.6 MB to the NPU, "));
    assert_true(printed("err", "device    npu:0\n"));
    char text[8192], path[256];
    snprintf(path, sizeof path, "%s/err", folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    assert_null(strchr(text, '\r'));
    assert_null(strstr(text, "bringing"));
}

/* What was generated stays as it is; the error begins a line of its own. */
static void test_lost_in_a_text(void **state)
{
    (void)state;
    const char *command = "generate --device npu:0 -m models/nano -p hello -n 30";
    char whole[1024], path[256];
    assert_int_equal(vinci("NPU_SIM_CANN=8.5", command), 0);
    snprintf(path, sizeof path, "%s/out", folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(whole, 1, sizeof whole - 1, f);
    fclose(f);
    whole[n / 3] = 0;
    assert_int_equal(vinci("NPU_SIM_CANN=8.5 NPU_SIM_LOST=370=507015", command), 10);
    assert_true(printed("out", whole));
    f = fopen(path, "r");
    assert_non_null(f);
    assert_in_range(fread(whole, 1, sizeof whole, f), n / 3, n - 1);
    fclose(f);
    snprintf(path, sizeof path, "%s/err", folder);
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(whole, 1, sizeof whole - 1, f);
    fclose(f);
    whole[n] = 0;
    assert_int_equal(strncmp(whole, "\nvinci: error: npu:0: ", 22), 0);
}

static void test_eager_streams_give_the_same(void **state)
{
    (void)state;
    char command[512];
    assert_int_equal(logits("NPU_SIM_CANN=8.5"), 0);
    snprintf(command, sizeof command, "mv %s/logits %s/lazy", folder, folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(logits("NPU_SIM_CANN=8.5 NPU_SIM_ORDER=eager"), 0);
    snprintf(command, sizeof command, "cmp %s/logits %s/lazy", folder, folder);
    assert_int_equal(system(command), 0);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[256];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[N_RUNS + 5];
    for (size_t i = 0; i < N_RUNS; i++)
        tests[i] = (struct CMUnitTest){runs[i].name, test_golden, NULL, NULL, (void *)&runs[i]};
    tests[N_RUNS] = (struct CMUnitTest)cmocka_unit_test(test_the_distance_notices);
    tests[N_RUNS + 1] = (struct CMUnitTest)cmocka_unit_test(test_faults);
    tests[N_RUNS + 2] = (struct CMUnitTest)cmocka_unit_test(test_eager_streams_give_the_same);
    tests[N_RUNS + 4] = (struct CMUnitTest)cmocka_unit_test(test_upload_is_told);
    tests[N_RUNS + 3] = (struct CMUnitTest)cmocka_unit_test(test_lost_in_a_text);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("sim_cli", tests, N_RUNS + 5, make_folder, remove_folder);
}
