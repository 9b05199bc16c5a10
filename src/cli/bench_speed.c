/* bench_speed.c - `vinci bench --limits` and the speed matrix: options, tables, JSON.
 *
 * The tables go to standard output, or to standard error when the JSON goes there. The keys of the
 * JSON are an interface: they may grow, never change. */
#include "cli/bench_speed.h"

#include "base/buf.h"
#include "bench/advice.h"
#include "bench/samples.h"
#include "bench/speed.h"
#include "cli/lang.h"
#include "cli/profile_report.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 32, NUMBER_MAX = 1 << 20, BATCH_MAX = 1024 };

void speed_args_init(struct speed_args *args)
{
    *args = (struct speed_args){.repeat = 5};
}

#define FIELD(name) .offset = offsetof(struct speed_args, name)

const struct option_row speed_rows[] = {
    {"limits", 0, NULL,
     N_("measure what the machine can do on 1, 2, ... threads: streaming read, int8, f32; with "
        "--model also the streaming read of its files"),
     OPTION_FLAG, FIELD(limits)},
    {"pp", 0, "LIST", N_("time the reading of prompts of these lengths, such as 512,4096"),
     OPTION_TEXT, FIELD(pp)},
    {"tg", 0, "LIST", N_("time the generation of so many tokens, such as 64"), OPTION_TEXT,
     FIELD(tg)},
    {"ttft", 0, "LIST", N_("time from a request with a prompt of these lengths to its first token"),
     OPTION_TEXT, FIELD(ttft)},
    {"depth", 0, "LIST", N_("tokens that stand before those of --pp and --tg; default: 0"),
     OPTION_TEXT, FIELD(depth)},
    {"batch", 0, "LIST", N_("sequences that generate at once, for --tg; default: 1"), OPTION_TEXT,
     FIELD(batch)},
    {"repeat", 'r', "N", N_("repetitions of each line of the table; default: 5"), OPTION_U32,
     FIELD(repeat), .min = 1, .max = SPEED_REPEAT_MAX},
    {"seed", 0, "N", N_("same seed, same tokens; default: 0"), OPTION_U64, FIELD(seed)},
    {"profile", 0, NULL,
     N_("below each line, the time of each operation and kind of layer in its repetitions"),
     OPTION_FLAG, FIELD(profile)},
    {0}};

/* ---- options ------------------------------------------------------------------------------- */

struct numbers {
    uint32_t items[LIST_MAX];
    size_t n;
};

/* "512", "1-4", "128-1024+128", "1-16*2": adds what it means; false when it is none of these. */
static bool read_item(const char *text, uint32_t min, uint32_t max, struct numbers *out)
{
    char part[3][16] = {"", "", ""};
    uint64_t from = 0, to = 0, step = 1;
    int used = 0;
    char kind = '+';
    if (sscanf(text, "%15[0-9]%n", part[0], &used) != 1) return false;
    const char *rest = text + used;
    snprintf(part[1], sizeof part[1], "%s", part[0]);
    if (*rest == '-') {
        if (sscanf(rest + 1, "%15[0-9]%n", part[1], &used) != 1) return false;
        rest += 1 + used;
        if (*rest == '+' || *rest == '*') {
            kind = *rest;
            if (sscanf(rest + 1, "%15[0-9]%n", part[2], &used) != 1) return false;
            rest += 1 + used;
            if (!parse_u64(part[2], kind == '*' ? 2 : 1, max, &step)) return false;
        }
    }
    if (*rest || !parse_u64(part[0], min, max, &from) || !parse_u64(part[1], from, max, &to) ||
        (kind == '*' && from == 0))
        return false;
    for (; from <= to; from = kind == '*' ? from * step : from + step) {
        if (out->n == LIST_MAX) return false;
        out->items[out->n++] = (uint32_t)from;
    }
    return true;
}

/* "0,4096"; an absent list is `otherwise`. */
static enum vinci_status read_list(const char *option, const char *text, const char *otherwise,
                                   uint32_t min, uint32_t max, struct numbers *out,
                                   struct vinci_error *err)
{
    const char *list = text ? text : otherwise;
    out->n = 0;
    while (list) {
        char item[48];
        size_t n = strcspn(list, ",");
        snprintf(item, sizeof item, "%.*s", n < sizeof item ? (int)n : 0, list);
        if (!read_item(item, min, max, out))
            return fail(err, VINCI_USAGE,
                        "%s: expected up to %d whole numbers from %u to %u with commas between, or "
                        "ranges such as 128-1024+128 and 1-16*2, got '%s'",
                        option, LIST_MAX, min, max, text);
        list = list[n] ? list + n + 1 : NULL;
    }
    return VINCI_OK;
}

struct matrix_plan {
    struct numbers pp, tg, ttft, depth, batch;
    uint32_t n_ctx, n_sequences;
};

static uint32_t largest(const struct numbers *numbers)
{
    uint32_t most = 0;
    for (size_t i = 0; i < numbers->n; i++)
        if (numbers->items[i] > most) most = numbers->items[i];
    return most;
}

static enum vinci_status make_plan(const struct speed_args *args, struct matrix_plan *plan,
                                   struct vinci_error *err)
{
    enum vinci_status status = read_list("--pp", args->pp, NULL, 1, NUMBER_MAX, &plan->pp, err);
    if (status == VINCI_OK)
        status = read_list("--tg", args->tg, NULL, 1, NUMBER_MAX, &plan->tg, err);
    if (status == VINCI_OK)
        status = read_list("--ttft", args->ttft, NULL, 1, NUMBER_MAX, &plan->ttft, err);
    if (status == VINCI_OK)
        status = read_list("--depth", args->depth, "0", 0, NUMBER_MAX, &plan->depth, err);
    if (status == VINCI_OK)
        status = read_list("--batch", args->batch, "1", 1, BATCH_MAX, &plan->batch, err);
    if (status != VINCI_OK) return status;
    uint32_t generated = plan->tg.n ? largest(&plan->tg) + 2 : 0, n = largest(&plan->pp);
    n = largest(&plan->depth) + (n > generated ? n : generated);
    plan->n_ctx = n > largest(&plan->ttft) + 1 ? n : largest(&plan->ttft) + 1;
    plan->n_sequences = plan->tg.n ? largest(&plan->batch) : 1;
    return VINCI_OK;
}

static bool wants_matrix(const struct speed_args *args)
{
    return args->pp || args->tg || args->ttft;
}

enum vinci_status speed_args_check(const struct speed_args *args, bool *wanted,
                                   struct vinci_error *err)
{
    struct matrix_plan plan;
    *wanted = args->limits || wants_matrix(args);
    if (args->profile && !wants_matrix(args))
        return fail(err, VINCI_USAGE, "--profile needs --pp, --tg or --ttft");
    if (args->depth && !args->pp && !args->tg)
        return fail(err, VINCI_USAGE, "--depth needs --pp or --tg: tokens to time at that depth");
    if (args->batch && !args->tg)
        return fail(err, VINCI_USAGE,
                    "--batch needs --tg: tokens to generate (--batch-size is the other form's)");
    return make_plan(args, &plan, err);
}

/* ---- tables and JSON ----------------------------------------------------------------------- */

struct report {
    FILE *table;
    json_t *root;
    struct vinci_engine *profile; /* NULL without --profile */
    struct bench_record *record;
    const struct vinci_model_info *model;
    double begin; /* of the row that is being measured */
};

static bool flush(struct report *report)
{
    return fflush(report->table) == 0 && !ferror(report->table) && !interrupted();
}

static json_t *json_figure(const struct limits_figure *figure)
{
    return json_pack("{s:f, s:f, s:f}", "median", figure->median, "min", figure->min, "max",
                     figure->max);
}

static bool print_limits_row(void *user, const struct limits_row *row)
{
    static const double units[LIMIT_COUNT] = {1e9, 1e12, 1e12};
    static const int digits[LIMIT_COUNT] = {1, 2, 3};
    struct report *report = user;
    fprintf(report->table, "%7u", row->n_threads);
    for (int i = 0; i < LIMIT_COUNT; i++) {
        const struct limits_figure *f = &row->figures[i];
        char range[32];
        snprintf(range, sizeof range, _("(%.*f to %.*f)"), digits[i], f->min / units[i], digits[i],
                 f->max / units[i]);
        fprintf(report->table, " %7.*f %-*s", digits[i], f->median / units[i],
                text_field(range, 16), range);
    }
    fputc('\n', report->table);
    if (report->root)
        json_array_append_new(
            json_object_get(json_object_get(report->root, "limits"), "threads"),
            json_pack("{s:i, s:o, s:o, s:o}", "threads", (int)row->n_threads,
                      "read_bytes_per_second", json_figure(&row->figures[LIMIT_READ]),
                      "int8_operations_per_second", json_figure(&row->figures[LIMIT_INT8]),
                      "f32_operations_per_second", json_figure(&row->figures[LIMIT_F32])));
    return flush(report);
}

static enum vinci_status run_limits(struct limits *limits, uint32_t repeat, struct report *report,
                                    struct vinci_error *err)
{
    fprintf(report->table, _("limits of this machine, %s instructions, medians of %u\n"),
            limits_isa(limits), repeat);
    fputs(_("threads   streaming read, GB/s       int8, 10^12 op/s         f32, 10^12 op/s    \n"),
          report->table);
    if (report->root)
        json_object_set_new(
            report->root, "limits",
            json_pack("{s:s, s:[]}", "instructions", limits_isa(limits), "threads"));
    return limits_run(limits, repeat, print_limits_row, report, err);
}

static const char *const kind_names[] = {[SPEED_PREFILL] = N_("prefill"),
                                         [SPEED_DECODE] = N_("decode"),
                                         [SPEED_FIRST_TOKEN] = N_("first token")};

static void print_head(struct report *report, const struct loaded_model *loaded,
                       const struct speed_args *args)
{
    struct vinci_engine_info info;
    const struct vinci_model_info *model = vinci_engine_model(loaded->engine);
    char bytes[16], device[200];
    vinci_engine_info(loaded->engine, &info);
    fprintf(report->table, _("model    %s\n"), loaded->path);
    fprintf(report->table, _("device   %s\n"),
            bench_record_device(report->record, loaded->engine, device));
    fprintf(report->table, _("load     %.4f s\n"), info.load_seconds);
    fprintf(report->table, _("weights  %s read per token at batch 1\n"),
            format_bytes(model->bytes_per_token, bytes));
    fprintf(report->table,
            _("speed    medians of %u, least to most, share of the machine's limit\n"),
            args->repeat);
    fputs(_("test        tokens  depth batch  tokens/s                        share\n"),
          report->table);
    if (!report->root) return;
    bench_record_model(report->record, loaded->path, loaded->engine);
    json_object_set_new(report->root, "bytes_per_token",
                        json_integer((json_int_t)model->bytes_per_token));
    json_object_set_new(report->root, "model_parameters",
                        json_integer((json_int_t)model->n_params));
    json_object_set_new(report->root, "active_parameters",
                        json_integer((json_int_t)model->n_params_active));
    json_object_set_new(report->root, "file_bytes", json_integer((json_int_t)model->file_bytes));
    json_object_set_new(report->root, "context", json_integer(info.n_ctx));
    json_object_set_new(report->root, "seed", json_integer((json_int_t)args->seed));
    json_object_set_new(report->root, "results", json_array());
}

/* Medians over a row's samples; `share` is that of each sample against the limit right before. */
struct row_summary {
    double speed, speed_min, speed_max, seconds, rate, limit, share, limit_weights, share_weights;
};

static struct row_summary summarise(const struct speed_row *row)
{
    double speed[SPEED_REPEAT_MAX] = {0}, seconds[SPEED_REPEAT_MAX] = {0},
           rate[SPEED_REPEAT_MAX] = {0}, limit[SPEED_REPEAT_MAX] = {0},
           share[SPEED_REPEAT_MAX] = {0}, limit_weights[SPEED_REPEAT_MAX] = {0},
           share_weights[SPEED_REPEAT_MAX] = {0};
    for (uint32_t i = 0; i < row->n; i++) {
        const struct speed_sample *sample = &row->samples[i];
        speed[i] = sample->tokens_per_second;
        seconds[i] = sample->seconds;
        rate[i] = sample->rate;
        limit[i] = sample->limit;
        share[i] = sample->limit > 0 ? sample->rate / sample->limit : 0;
        limit_weights[i] = sample->limit_weights;
        share_weights[i] = sample->limit_weights > 0 ? sample->rate / sample->limit_weights : 0;
    }
    return (struct row_summary){
        samples_median(speed, row->n),        samples_min(speed, row->n),
        samples_max(speed, row->n),           samples_median(seconds, row->n),
        samples_median(rate, row->n),         samples_median(limit, row->n),
        samples_median(share, row->n),        samples_median(limit_weights, row->n),
        samples_median(share_weights, row->n)};
}

static void add_json_row(const struct report *report, const struct speed_row *row,
                         const struct row_summary *s)
{
    json_t *results = json_object_get(report->root, "results");
    double speeds[SPEED_REPEAT_MAX] = {0};
    json_t *samples = json_array(), *limits = json_array();
    for (uint32_t i = 0; i < row->n; i++) {
        json_array_append_new(samples, json_real(row->samples[i].seconds));
        json_array_append_new(limits, json_real(row->samples[i].limit));
    }
    json_t *object = json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:o}", "test",
                               kind_names[row->test.kind], "tokens", (int)row->test.n_tokens,
                               "depth", (int)row->test.depth, "batch", (int)row->test.batch,
                               "tokens_per_second", s->speed, "min", s->speed_min, "max",
                               s->speed_max, "seconds", s->seconds, "samples_seconds", samples);
    const char *rate =
        row->test.kind == SPEED_DECODE ? "bytes_per_second" : "operations_per_second";
    if (object && s->rate > 0) json_object_set_new(object, rate, json_real(s->rate));
    if (object && s->limit > 0) {
        json_object_set_new(object, "limit", json_real(s->limit));
        json_object_set_new(object, "share", json_real(s->share));
        json_object_set(object, "samples_limit", limits);
        if (s->limit_weights > 0) {
            json_object_set_new(object, "limit_mapped", json_real(s->limit_weights));
            json_object_set_new(object, "share_mapped", json_real(s->share_weights));
        }
    }
    json_decref(limits);
    /* Of one repetition; what experts several tokens share is estimated (bench/advice.h). */
    uint32_t steps =
        row->test.kind == SPEED_DECODE ? row->test.n_tokens : (row->test.n_tokens + 511) / 512;
    double per_step =
        row->test.kind == SPEED_DECODE ? row->test.batch : (double)row->test.n_tokens / steps;
    if (object) {
        json_object_set_new(object, "weight_bytes_estimated",
                            json_real(steps * advice_step_bytes(report->model, per_step)));
        json_object_set_new(
            object, "weight_operations",
            json_real(2.0 * (double)report->model->n_params_active * per_step * steps));
    }
    for (uint32_t i = 0; i < row->n; i++) speeds[i] = row->samples[i].tokens_per_second;
    bench_record_row(report->record, object, speeds, row->n, report->begin);
    json_array_append_new(results, object);
}

static bool print_row(struct report *report, const struct speed_row *row)
{
    struct row_summary s = summarise(row);
    const char *kind = _(kind_names[row->test.kind]);
    char range[32];
    snprintf(range, sizeof range, _("(%.2f to %.2f)"), s.speed_min, s.speed_max);
    fprintf(report->table, "%-*s %6u %6u %5u %9.2f %-*s", text_field(kind, 11), kind,
            row->test.n_tokens, row->test.depth, row->test.batch, s.speed, text_field(range, 21),
            range);
    if (row->test.kind == SPEED_FIRST_TOKEN) fprintf(report->table, _("  after %.4f s"), s.seconds);
    else if (s.limit > 0 && row->test.kind == SPEED_DECODE)
        fprintf(report->table, _("  %.0f %% of %.1f GB/s, %.0f %% of %.1f mapped"), 100 * s.share,
                s.limit / 1e9, 100 * s.share_weights, s.limit_weights / 1e9);
    else if (s.limit > 0)
        fprintf(report->table, _("  %.0f %% of %.2f int8"), 100 * s.share, s.limit / 1e12);
    fputc('\n', report->table);
    if (report->profile) profile_print(report->table, report->profile);
    json_t *results = json_object_get(report->root, "results");
    add_json_row(report, row, &s);
    if (report->profile)
        json_object_set_new(json_array_get(results, json_array_size(results) - 1), "profile",
                            profile_json(report->profile));
    return flush(report);
}

/* ---- the run ------------------------------------------------------------------------------- */

static enum vinci_status measure(struct speed *speed, struct report *report, struct speed_test test,
                                 struct vinci_error *err)
{
    struct speed_row row;
    report->begin = bench_record_time(report->record);
    enum vinci_status status = speed_measure(speed, &test, &row, err);
    if (status == VINCI_OK && !print_row(report, &row))
        status = interrupted() ? fail(err, VINCI_CANCELLED, "stopped") : VINCI_IO;
    return status;
}

static enum vinci_status measure_all(struct speed *speed, struct report *report,
                                     const struct matrix_plan *plan, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    for (size_t d = 0; d < plan->depth.n; d++) {
        uint32_t depth = plan->depth.items[d];
        for (size_t i = 0; status == VINCI_OK && i < plan->pp.n; i++)
            status = measure(speed, report,
                             (struct speed_test){SPEED_PREFILL, plan->pp.items[i], depth, 1}, err);
        for (size_t i = 0; status == VINCI_OK && i < plan->tg.n; i++)
            for (size_t b = 0; status == VINCI_OK && b < plan->batch.n; b++)
                status = measure(speed, report,
                                 (struct speed_test){SPEED_DECODE, plan->tg.items[i], depth,
                                                     plan->batch.items[b]},
                                 err);
    }
    for (size_t i = 0; status == VINCI_OK && i < plan->ttft.n; i++)
        status = measure(speed, report,
                         (struct speed_test){SPEED_FIRST_TOKEN, plan->ttft.items[i], 0, 1}, err);
    return status;
}

/* The machine's limits as the report draws them: the best of a few, before anything else. */
static void measure_peak(struct limits *limits, json_t *root)
{
    json_object_set_new(root, "peak",
                        json_pack("{s:f, s:f}", "read_bytes_per_second",
                                  limits_best(limits, LIMIT_READ), "int8_operations_per_second",
                                  limits_best(limits, LIMIT_INT8)));
}

/* Of the engine: keys, values and activations, beside the pages of the files. The measurement of
 * the limits has given its memory back. */
static void print_memory(const struct report *report, const struct loaded_model *loaded)
{
    struct memory_use memory;
    struct vinci_engine_info info;
    char own[16], kv[16];
    uint64_t file_bytes = vinci_engine_model(loaded->engine)->file_bytes;
    memory_use_now(&memory);
    vinci_engine_info(loaded->engine, &info);
    fprintf(report->table,
            _("memory   %s beyond the files, %.1f %% of theirs; KV cache %s at most\n"),
            format_bytes(memory.own, own), 100 * (double)memory.own / (double)file_bytes,
            format_bytes(info.kv_bytes_peak, kv));
}

static enum vinci_status run_matrix(const struct speed_args *args, struct speed_model *model,
                                    struct limits *limits, struct report *report,
                                    struct vinci_error *err)
{
    struct matrix_plan plan;
    struct speed *speed = NULL;
    enum vinci_status status = make_plan(args, &plan, err);
    if (status != VINCI_OK) return status;
    print_head(report, &model->loaded, args);
    if (args->profile) report->profile = model->loaded.engine;
    report->model = vinci_engine_model(model->loaded.engine);
    if (limits) measure_peak(limits, report->root);
    struct speed_options options = {.engine = model->loaded.engine,
                                    .limits = limits,
                                    .n_sequences = plan.n_sequences,
                                    .n_longest = plan.n_ctx,
                                    .repeat = args->repeat,
                                    .seed = args->seed,
                                    .stop = interrupted};
    status = speed_open(&speed, &options, err);
    if (status == VINCI_OK) status = measure_all(speed, report, &plan, err);
    speed_close(speed);
    return status;
}

/* The model's files as the engine has mapped them; *files is freed by the caller. */
static enum vinci_status set_weights(struct limits *limits, const struct vinci_engine *engine,
                                     struct limits_file **files, struct vinci_error *err)
{
    uint32_t n = vinci_engine_model(engine)->n_files;
    *files = array_new_zero(n, sizeof **files);
    if (!*files) return fail_memory(err, n * sizeof **files, "the list of files");
    for (uint32_t i = 0; i < n; i++)
        (*files)[i].data = vinci_engine_file(engine, i, &(*files)[i].n_bytes);
    limits_set_weights(limits, *files, n);
    return VINCI_OK;
}

/* Below the table of the limits: what the memory of the model's files gives. */
static bool print_weights_limit(struct limits *limits, uint32_t repeat, struct report *report)
{
    double samples[SPEED_REPEAT_MAX] = {0};
    limits_measure_weights(limits); /* maps the pages */
    for (uint32_t i = 0; i < repeat; i++) samples[i] = limits_measure_weights(limits);
    struct limits_figure figure = {samples_median(samples, repeat), samples_min(samples, repeat),
                                   samples_max(samples, repeat)};
    fprintf(report->table, _("mapped files, %u threads: %.1f GB/s (%.1f to %.1f)\n"),
            limits_n_threads(limits), figure.median / 1e9, figure.min / 1e9, figure.max / 1e9);
    if (report->root)
        json_object_set_new(json_object_get(report->root, "limits"), "mapped_bytes_per_second",
                            json_figure(&figure));
    return flush(report);
}

enum vinci_status speed_run(const struct speed_args *args, struct speed_model *model,
                            struct bench_record *record, struct vinci_error *err)
{
    struct matrix_plan plan;
    struct limits *limits = NULL;
    struct limits_file *files = NULL;
    struct report report = {.table = record->table, .root = record->root, .record = record};
    struct vinci_engine_info info = {.n_threads = model->options->threads, .device = "cpu"};
    enum vinci_status status = make_plan(args, &plan, err);
    bool with_model = wants_matrix(args) || (args->limits && model->options->model);
    if (status == VINCI_OK && with_model) {
        status = model->open(&model->loaded, model->user, plan.n_ctx, plan.n_sequences, err);
        if (status == VINCI_OK) vinci_engine_info(model->loaded.engine, &info);
    }
    if (status != VINCI_OK) return status;
    if (args->limits || strcmp(info.device, "cpu") == 0)
        status = limits_open(&limits, info.n_threads, model->options->cpu_list, err);
    if (status == VINCI_OK && limits && with_model)
        status = set_weights(limits, model->loaded.engine, &files, err);
    if (status == VINCI_OK && args->limits) status = run_limits(limits, args->repeat, &report, err);
    if (status == VINCI_OK && args->limits && files &&
        !print_weights_limit(limits, args->repeat, &report))
        status = interrupted() ? fail(err, VINCI_CANCELLED, "stopped") : VINCI_IO;
    if (status == VINCI_OK && wants_matrix(args))
        status = run_matrix(args, model, limits, &report, err);
    limits_close(limits);
    free(files);
    if (status == VINCI_OK && wants_matrix(args)) print_memory(&report, &model->loaded);
    return status;
}
