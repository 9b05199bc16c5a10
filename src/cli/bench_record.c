/* bench_record.c - keeps the record of a benchmark run and hands it to what was asked for. */
#include "cli/bench_record.h"

#include "base/buf.h"
#include "base/lang.h"
#include "bench/environment.h"
#include "bench/monitor.h"
#include "bench/report.h"
#include "bench/stats.h"
#include "cli/lang.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) .offset = offsetof(struct record_args, name)

const struct option_row record_rows[] = {
    {"output", 'o', "FORMAT",
     N_("of the matrix on standard output: table (the default), csv, json, jsonl or md, with "
        "llama-bench's names"),
     OPTION_CHOICE, FIELD(format), COMPLETE_WORDS, "table|csv|json|jsonl|md"},
    {"json", 0, "FILE",
     N_("also write everything that was measured as JSON; - writes it to standard output"),
     OPTION_TEXT, FIELD(json), COMPLETE_FILE},
    {"report", 0, "FILE.html", N_("write a page with charts and a summary"), OPTION_TEXT,
     FIELD(report), COMPLETE_FILE},
    {"svg", 0, "FILE", N_("write the main chart as SVG"), OPTION_TEXT, FIELD(svg), COMPLETE_FILE},
    {"png", 0, "FILE", N_("write the main chart as PNG"), OPTION_TEXT, FIELD(png), COMPLETE_FILE},
    {"chart", 0, NULL, N_("draw the main chart in the terminal"), OPTION_FLAG, FIELD(chart)},
    {"compare", 0, "BEFORE.json",
     N_("measure nothing: compare two files of --json, the second is the argument"), OPTION_TEXT,
     FIELD(compare), COMPLETE_FILE},
    {"from", 0, "FILE.json",
     N_("measure nothing: make --report, --svg, --png, --chart or --output from a file of --json"),
     OPTION_TEXT, FIELD(from), COMPLETE_FILE},
    {0}};

enum vinci_status bench_record_begin(struct bench_record *record, const struct program *program,
                                     const struct record_args *args, struct vinci_error *err)
{
    *record = (struct bench_record){.program = program, .args = args, .table = stdout};
    record->root = json_pack("{s:s}", "vinci", vinci_version());
    if (!record->root) return fail_memory(err, 4096, "the JSON");
    if (args->format != BENCH_TABLE || (args->json && strcmp(args->json, "-") == 0))
        record->table = stderr;
    return monitor_start(&record->monitor, err);
}

double bench_record_time(const struct bench_record *record)
{
    return monitor_time(record->monitor);
}

void bench_record_row(const struct bench_record *record, json_t *row, const double *speeds,
                      size_t n, double begin)
{
    int trend = 0;
    if (!row || n == 0) return;
    struct stats_interval interval = stats_median(speeds, n, 0.95);
    double p = stats_trend(speeds, n, &trend);
    json_t *more = json_pack("{s:f, s:f, s:f, s:f, s:f, s:i, s:f, s:f}", "median_low", interval.low,
                             "median_high", interval.high, "median_coverage", interval.coverage,
                             "spread", stats_spread(speeds, n), "trend_p", p, "trend", trend,
                             "begin", begin, "end", bench_record_time(record));
    if (more) json_object_update(row, more);
    json_decref(more);
}

/* ---- the end of a run ---------------------------------------------------------------------- */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static double mean(const struct monitor_sample *samples, size_t n, size_t offset)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        double value = *(const double *)((const char *)&samples[i] + offset);
        if (!isfinite(value)) continue;
        sum += value;
        count++;
    }
    return count ? sum / (double)count : (double)NAN;
}

/* Samples as columns, which compress and draw better than rows. */
static json_t *usage_json(const struct monitor_sample *samples, size_t n)
{
    json_t *time = json_array(), *busy = json_array(), *own = json_array(), *clock = json_array(),
           *heat = json_array(), *resident = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(time, number(samples[i].time));
        json_array_append_new(busy, number(samples[i].busy));
        json_array_append_new(own, number(samples[i].own));
        json_array_append_new(clock, number(samples[i].frequency));
        json_array_append_new(heat, number(samples[i].temperature));
        json_array_append_new(resident, json_integer((json_int_t)samples[i].resident));
    }
    double all = mean(samples, n, offsetof(struct monitor_sample, busy));
    double own_mean = mean(samples, n, offsetof(struct monitor_sample, own));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "time", time, "busy",
                     busy, "own", own, "frequency", clock, "temperature", heat, "resident",
                     resident, "mean_busy", number(all), "mean_own", number(own_mean),
                     "mean_others", number(all - own_mean > 0 ? all - own_mean : 0),
                     "mean_frequency",
                     number(mean(samples, n, offsetof(struct monitor_sample, frequency))));
}

static void add_memory(json_t *root, uint64_t kv_bytes)
{
    struct memory_use memory;
    memory_use_now(&memory);
    json_object_set_new(root, "memory",
                        json_pack("{s:I, s:I, s:I, s:I}", "peak", (json_int_t)memory.peak, "own",
                                  (json_int_t)memory.own, "mapped", (json_int_t)memory.mapped,
                                  "kv_cache", (json_int_t)kv_bytes));
}

/* Says what makes the figures doubtful. The same words stand in the report. */
static void warn(const struct bench_record *record)
{
    struct report_warnings warnings;
    report_find_warnings(record->root, &warnings);
    for (size_t i = 0; i < warnings.n; i++) say_warning(record->program, warnings.texts[i]);
}

static enum vinci_status write_text(const char *path, const struct buf *text,
                                    struct vinci_error *err)
{
    if (strcmp(path, "-") == 0) {
        output(text->data, text->size);
        return VINCI_OK; /* program_finish_output sees whether it went well */
    }
    FILE *file = fopen(path, "we");
    if (!file) return fail(err, VINCI_IO, "%s: cannot be written: %s", path, _(strerror(errno)));
    bool ok = fwrite(text->data, 1, text->size, file) == text->size;
    if (fclose(file) != 0 || !ok)
        return fail(err, VINCI_IO, "%s: cannot be written: %s", path, _(strerror(errno)));
    return VINCI_OK;
}

static enum vinci_status write_json(const char *path, const json_t *root, struct vinci_error *err)
{
    struct buf text = {0};
    enum vinci_status status = VINCI_OK;
    char *json = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (json && buf_printf(&text, "%s\n", json)) status = write_text(path, &text, err);
    else status = fail_memory(err, 4096, "the JSON");
    free(json);
    buf_free(&text);
    return status;
}

static enum vinci_status write_views(const json_t *root, const json_t *before,
                                     const struct record_args *args, struct vinci_error *err)
{
    struct buf text = {0};
    enum vinci_status status = VINCI_OK;
    if (args->report) {
        status = report_html(root, before, lang_name(), &text, err);
        if (status == VINCI_OK) status = write_text(args->report, &text, err);
    }
    if (status == VINCI_OK && (args->svg || args->png)) {
        text.size = 0;
        status = report_main_chart(root, &text, err);
        if (status == VINCI_OK && args->svg) status = write_text(args->svg, &text, err);
        if (status == VINCI_OK && args->png) status = report_png(&text, args->png, err);
    }
    if (status == VINCI_OK && args->chart) {
        text.size = 0;
        status = report_terminal(root, &text, err);
        if (status == VINCI_OK) fwrite(text.data, 1, text.size, stderr);
    }
    buf_free(&text);
    return status;
}

enum vinci_status bench_record_finish(struct bench_record *record, const char *model,
                                      uint64_t kv_bytes, struct vinci_error *err)
{
    const struct record_args *args = record->args;
    enum vinci_status status = VINCI_OK;
    size_t n = 0;
    monitor_stop(record->monitor);
    const struct monitor_sample *samples = monitor_samples(record->monitor, &n);
    json_object_set_new(record->root, "environment", environment_json(model));
    json_object_set_new(record->root, "usage", usage_json(samples, n));
    add_memory(record->root, kv_bytes);
    fflush(record->table);
    warn(record);
    if (args->json) status = write_json(args->json, record->root, err);
    if (status == VINCI_OK && args->format != BENCH_TABLE)
        status = bench_print_format(record->root, args->format, stdout, err);
    if (status == VINCI_OK) status = write_views(record->root, NULL, args, err);
    return status;
}

void bench_record_free(struct bench_record *record)
{
    monitor_close(record->monitor);
    json_decref(record->root);
    *record = (struct bench_record){0};
}

/* ---- files of earlier runs ----------------------------------------------------------------- */

static enum vinci_status read_record(const char *path, json_t **out, struct vinci_error *err)
{
    json_error_t where;
    struct buf text = {0};
    enum vinci_status status = read_input(path, &text, err);
    *out = status == VINCI_OK ? json_loadb(text.data ? text.data : "", text.size, 0, &where) : NULL;
    if (status == VINCI_OK && !json_is_string(json_object_get(*out, "vinci")))
        status = fail(err, VINCI_BAD_FILE, "%s: expected a file of 'vinci bench --json'%s%s", path,
                      *out ? "" : ": ", *out ? "" : where.text);
    buf_free(&text);
    if (status != VINCI_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}

enum vinci_status bench_record_read_only(const struct program *program,
                                         const struct record_args *args, const char *other,
                                         struct vinci_error *err)
{
    json_t *before = NULL, *after = NULL;
    const char *main_file = args->compare ? other : args->from;
    (void)program;
    if (args->compare && !other)
        return fail(err, VINCI_USAGE,
                    "--compare needs two files: --compare BEFORE.json AFTER.json");
    enum vinci_status status = read_record(main_file, &after, err);
    if (status == VINCI_OK && args->compare) status = read_record(args->compare, &before, err);
    if (status == VINCI_OK && before)
        status = bench_print_comparison(before, after, stdout, args->format == BENCH_JSON, err);
    else if (status == VINCI_OK && args->format != BENCH_TABLE)
        status = bench_print_format(after, args->format, stdout, err);
    if (status == VINCI_OK) status = write_views(after, before, args, err);
    json_decref(before);
    json_decref(after);
    return status;
}
