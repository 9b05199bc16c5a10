/* cmd_advise.c - `vinci advise`: what of a model fits this machine and how fast it can run there at
 * most. The machine is measured, the rest estimated from it (bench/advice.h); each figure says
 * which.
 *
 * The keys of --json are an interface: they may grow, never change. */
#include "base/clock.h"
#include "base/lang.h"
#include "bench/advice.h"
#include "bench/limits.h"
#include "bench/usage.h"
#include "cli/command.h"
#include "cli/devices.h"
#include "cli/model_options.h"
#include "cli/print.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct advise_args {
    struct model_options model;
    bool json;
};

static const struct option_row rows[] = {{"json", 0, NULL, N_("print one JSON object"), OPTION_FLAG,
                                          .offset = offsetof(struct advise_args, json)},
                                         {0}};

static const struct option_group groups[] = {
    {N_("Model"), model_rows, offsetof(struct advise_args, model)}, {N_("Output"), rows, 0}, {0}};

static const struct command_example examples[] = {
    {"advise -m gpt-oss-20b", N_("a model on this machine")}, {0}};

static void init(void *arguments)
{
    model_options_init(&((struct advise_args *)arguments)->model);
}

struct advice_row {
    uint64_t n_ctx, kv_bytes;
    uint32_t n_seqs;
    enum advice_fit fit;
    double decode; /* tokens/s of all sequences, half of the context behind each */
};

struct advice {
    const char *name; /* as the user gave it; NULL: the demonstration model */
    struct vinci_model_info model;
    struct machine_limits machine;
    char isa[32];
    uint32_t n_cores, n_sequences; /* n_sequences: that fit, with 8192 positions each */
    struct advice_row rows[16];
    size_t n_rows;
    double prefill_512; /* seconds */
    double others;      /* share of the processors that other programs used meanwhile; or NAN */
    struct npu_advice {
        const struct vinci_device_info *device;
        const char *dtype; /* the finest that fits, NULL: none does */
        uint64_t weight_bytes;
        double one, sixteen; /* tokens/s at best with 1 and 16 sequences, together */
    } npus[8];
    size_t n_npus;
};

enum { SERVE_CTX = 8192 };

static double own_seconds(void)
{
    struct timespec t = {0, 0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum vinci_status measure(struct advice *a, struct vinci_error *err)
{
    struct limits *limits = NULL;
    struct usage usage = {0, 0};
    usage_busy(&usage);
    double own = own_seconds(), start = seconds_now();
    enum vinci_status status = limits_open(&limits, 0, NULL, err);
    if (status != VINCI_OK) return status;
    a->machine.read_bytes_per_second = limits_best(limits, LIMIT_READ);
    a->machine.int8_per_second = limits_best(limits, LIMIT_INT8);
    a->n_cores = limits_n_threads(limits);
    snprintf(a->isa, sizeof a->isa, "%s", limits_isa(limits));
    limits_close(limits);
    own = (own_seconds() - own) / (seconds_now() - start) / (double)sysconf(_SC_NPROCESSORS_ONLN);
    a->others = usage_busy(&usage) - own;
    return VINCI_OK;
}

/* Each NPU: the finest way to keep the weights that leaves 1.6 GB beside them (docs/ascend.md). */
static void estimate_npus(struct advice *a, const char *path, const struct device_list *devices)
{
    static const struct {
        const char *name;
        enum vinci_npu_dtype dtype;
    } modes[] = {{"bf16", VINCI_NPU_BF16}, {"compact", VINCI_NPU_COMPACT}};
    const uint64_t working = 1600000000;
    for (size_t i = 1; i < devices->n && a->n_npus < sizeof a->npus / sizeof *a->npus; i++) {
        struct npu_advice *npu = &a->npus[a->n_npus++];
        struct vinci_npu_estimate one, many;
        *npu = (struct npu_advice){.device = &devices->devices[i]};
        for (size_t m = 0; m < 2 && !npu->dtype; m++) {
            if (vinci_npu_estimate(&one, path, modes[m].dtype, VINCI_NPU_ATTENTION_AUTO, 1, 1024,
                                   NULL) != VINCI_OK ||
                vinci_npu_estimate(&many, path, modes[m].dtype, VINCI_NPU_ATTENTION_AUTO, 16, 1024,
                                   NULL) != VINCI_OK)
                break;
            npu->weight_bytes = one.weight_bytes;
            npu->one = one.tokens_per_second;
            npu->sixteen = many.tokens_per_second;
            if (one.weight_bytes + working <= npu->device->memory_free_bytes)
                npu->dtype = modes[m].name;
        }
    }
}

static void estimate(struct advice *a)
{
    static const uint64_t contexts[] = {4096, 32768, 131072};
    static const uint32_t sequences[] = {1, 4, 16};
    for (size_t i = 0; i < 3; i++) {
        if (contexts[i] > a->model.n_ctx_max) continue;
        for (size_t j = 0; j < 3; j++) {
            struct advice_row *row = &a->rows[a->n_rows++];
            row->n_ctx = contexts[i];
            row->n_seqs = sequences[j];
            row->kv_bytes = advice_kv_bytes(&a->model, row->n_ctx, row->n_seqs);
            row->fit = advice_fit(&a->model, &a->machine, row->kv_bytes);
            row->decode = advice_decode_limit(&a->model, &a->machine, row->n_seqs, row->n_ctx / 2);
        }
    }
    uint64_t n_ctx = a->model.n_ctx_max < SERVE_CTX ? a->model.n_ctx_max : SERVE_CTX;
    a->n_sequences = advice_sequences(&a->model, &a->machine, n_ctx);
    a->prefill_512 = advice_prefill_seconds(&a->model, &a->machine, 512);
}

/* ---- for people ---------------------------------------------------------------------------- */

/* Not folded: it is to be copied. */
static void command_line(const char *label, const char *format, ...) VINCI_PRINTF(2, 3);
static void command_line(const char *label, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_cell(stdout, label, -12);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

static const char *fit_text(enum advice_fit fit)
{
    return fit == ADVICE_FITS    ? _("yes")
           : fit == ADVICE_TIGHT ? _("if other programs end")
                                 : _("no");
}

static void print_table(const struct advice *a)
{
    char bytes[16];
    putchar('\n');
    print_cell(stdout, _("context"), 10);
    print_cell(stdout, _("sequences"), 11);
    print_cell(stdout, _("KV cache"), 12);
    print_cell(stdout, _("tokens/s at most"), 20);
    printf("   %s\n", _("fits"));
    for (size_t i = 0; i < a->n_rows; i++) {
        const struct advice_row *row = &a->rows[i];
        printf("%10llu%11u%12s", (unsigned long long)row->n_ctx, row->n_seqs,
               format_bytes(row->kv_bytes, bytes));
        if (row->fit == ADVICE_TOO_BIG) printf("%20s", "-");
        else printf("%20.1f", row->decode);
        printf("   %s\n", fit_text(row->fit));
    }
    putchar('\n');
}

static void print_npus(const struct advice *a)
{
    for (size_t i = 0; i < a->n_npus; i++) {
        const struct npu_advice *npu = &a->npus[i];
        char weights[16], left[16];
        format_bytes(npu->weight_bytes, weights);
        format_bytes(npu->device->memory_free_bytes, left);
        if (npu->dtype)
            print_field(npu->device->id,
                        _("%s, %s free: the weights take %s as %s; at best %.0f tokens/s with one "
                          "sequence, %.0f with 16 together (estimated for a 910B3)"),
                        npu->device->name, left, weights, npu->dtype, npu->one, npu->sixteen);
        else
            print_field(npu->device->id, _("%s, %s free: the weights do not fit (%s)"),
                        npu->device->name, left, weights);
    }
}

static void print_advice(const struct advice *a)
{
    const char *name = a->name ? a->name : "";
    const char *option = a->name ? " -m " : "";
    enum advice_fit fit = advice_fit(&a->model, &a->machine, 0);
    if (fit == ADVICE_TOO_BIG)
        print_field(
            _("advice"),
            _("the weights are larger than the memory: every token would wait for the disk. Take a "
              "smaller model, or a machine with more memory than the files and 2 GB"));
    else if (fit == ADVICE_TIGHT)
        print_field(_("advice"),
                    _("the weights fit only if other programs give memory back: end them first"));
    else
        print_field(
            _("advice"),
            a->n_sequences >= 4
                ? _("everything fits; the more requests at once, the more tokens/s in all, as one "
                    "reading of the weights serves them all")
                : _("everything fits"));
    command_line(_("talk"), "vinci chat%s%s", option, name);
    if (fit != ADVICE_TOO_BIG)
        command_line(_("serve"), "vinci serve%s%s --parallel %u --ctx %u", option, name,
                     a->n_sequences > 16  ? 16
                     : a->n_sequences > 0 ? a->n_sequences
                                          : 1,
                     a->model.n_ctx_max < SERVE_CTX ? a->model.n_ctx_max : SERVE_CTX);
    if (a->n_npus > 0 && a->npus[0].dtype)
        command_line(_("on the NPU"), "vinci chat%s%s --device %s", option, name,
                     a->npus[0].device->id);
    command_line(_("measure"), "vinci bench%s%s --pp 512 --tg 64 --batch 1,4,16", option, name);
}

static void print_readable(const struct advice *a)
{
    char b[4][16];
    const struct vinci_model_info *m = &a->model;
    print_field(_("machine"), _("%u threads, %s; %s of memory, %s free"), a->n_cores, a->isa,
                format_bytes(a->machine.memory_bytes, b[0]),
                format_bytes(a->machine.memory_free_bytes, b[1]));
    print_field(_("measured"), _("%.1f GB/s read, %.2f * 10^12 int8 operations/s (the best of 5)"),
                a->machine.read_bytes_per_second / 1e9, a->machine.int8_per_second / 1e12);
    print_field(_("model"),
                _("%s in files; one token reads %s of weights; %s a position for the cache"),
                format_bytes(m->file_bytes, b[0]), format_bytes(m->bytes_per_token, b[1]),
                format_bytes(m->kv_bytes_per_token, b[2]));
    print_field(
        _("estimated"),
        _("from the measured limits, nothing was run: tokens/s of all sequences together with half "
          "of the context behind each; reading 512 tokens takes %s or more"),
        format_seconds(a->prefill_512, b[0]));
    print_npus(a);
    print_table(a);
    print_advice(a);
}

/* ---- for programs -------------------------------------------------------------------------- */

static enum vinci_status print_advice_json(const struct advice *a, struct vinci_error *err)
{
    static const char *const fits[] = {"yes", "tight", "no"};
    json_t *rows_json = json_array();
    for (size_t i = 0; i < a->n_rows; i++) {
        const struct advice_row *row = &a->rows[i];
        json_array_append_new(
            rows_json,
            json_pack("{s:I, s:I, s:I, s:s, s:f}", "context", (json_int_t)row->n_ctx, "sequences",
                      (json_int_t)row->n_seqs, "kv_bytes", (json_int_t)row->kv_bytes, "fits",
                      fits[row->fit], "tokens_per_second_limit", row->decode));
    }
    json_t *root = json_pack(
        "{s:{s:I, s:s, s:I, s:I, s:f, s:f}, s:{s:s, s:I, s:I, s:I}, s:{s:o, s:I, s:f}}", "measured",
        "threads", (json_int_t)a->n_cores, "isa", a->isa, "memory_bytes",
        (json_int_t)a->machine.memory_bytes, "memory_free_bytes",
        (json_int_t)a->machine.memory_free_bytes, "read_bytes_per_second",
        a->machine.read_bytes_per_second, "int8_operations_per_second", a->machine.int8_per_second,
        "model", "path", a->model.path, "file_bytes", (json_int_t)a->model.file_bytes,
        "bytes_per_token", (json_int_t)a->model.bytes_per_token, "kv_bytes_per_token",
        (json_int_t)a->model.kv_bytes_per_token, "estimated", "decode", rows_json,
        "sequences_of_8192", (json_int_t)a->n_sequences, "prefill_512_seconds_least",
        a->prefill_512);
    json_t *npus = json_array();
    for (size_t i = 0; i < a->n_npus; i++) {
        const struct npu_advice *npu = &a->npus[i];
        json_array_append_new(
            npus,
            json_pack("{s:s, s:s, s:I, s:s?, s:I, s:f, s:f}", "id", npu->device->id, "name",
                      npu->device->name, "memory_free_bytes",
                      (json_int_t)npu->device->memory_free_bytes, "dtype", npu->dtype,
                      "weight_bytes", (json_int_t)npu->weight_bytes, "tokens_per_second_limit_1",
                      npu->one, "tokens_per_second_limit_16", npu->sixteen));
    }
    json_object_set_new(json_object_get(root, "estimated"), "npus", npus);
    json_object_set_new(json_object_get(root, "measured"), "others_busy",
                        isfinite(a->others) ? json_real(a->others) : json_null());
    return print_json(root, err);
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct advise_args *args = arguments;
    char path[4096];
    struct device_list devices = {0};
    struct advice *a = calloc(1, sizeof *a);
    if (!a) return fail_memory(err, sizeof *a, "the advice");
    a->name = args->model.model;
    struct log_sink sink = {program, (enum vinci_log_level)args->model.log_level};
    enum vinci_status status = model_path(program, &args->model, path, sizeof path, err);
    if (status == VINCI_OK)
        status = vinci_model_describe(path, &a->model, log_to_stderr, &sink, err);
    if (status == VINCI_OK) status = devices_open(&devices, program, err);
    if (status == VINCI_OK) {
        a->machine.memory_bytes = devices.devices[0].memory_bytes;
        a->machine.memory_free_bytes = devices.devices[0].memory_free_bytes;
        status = measure(a, err);
    }
    if (status == VINCI_OK) {
        estimate(a);
        estimate_npus(a, path, &devices);
        if (a->others > 0.1) {
            char text[200];
            snprintf(
                text, sizeof text,
                _("other programs used %.0f %% of the processors meanwhile: what was measured, "
                  "and all that follows from it, is too low"),
                100 * a->others);
            say_warning(program, text);
        }
        if (args->json) status = print_advice_json(a, err);
        else print_readable(a);
    }
    if (args->json && status != VINCI_OK) print_json_failure(status, err);
    devices_close(&devices);
    free(a);
    return status;
}

const struct command command_advise = {
    .name = "advise",
    .summary = N_("what of a model fits this machine, and how fast it can be"),
    .operands = "",
    .description =
        N_("Measures the machine (streaming read, int8 operations; a second) and estimates from it "
           "and the model's sizes what will fit and how many tokens per second are possible at "
           "most, by context and by number of sequences at once. The model's headers are read, its "
           "weights are not. Every figure says whether it was measured or estimated; 'vinci bench' "
           "tells how near to the limit vinci comes."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct advise_args),
    .init = init,
    .run = run,
};
