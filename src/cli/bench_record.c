/* bench_record.c - keeps the record of a benchmark run and hands it to what was asked for. */
#include "cli/bench_record.h"

#include "base/buf.h"
#include "base/lang.h"
#include "bench/compare.h"
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
     N_("measure nothing: compare two files of --json, the second is the argument; also those of "
        "'bench serve'"),
     OPTION_TEXT, FIELD(compare), COMPLETE_FILE},
    {"from", 0, "FILE.json",
     N_("measure nothing: make --report, --svg, --png, --chart or --output from a file of --json; "
        "without them, --chart"),
     OPTION_TEXT, FIELD(from), COMPLETE_FILE},
    {0}};

/* The NPU that --device names, as it is before anything runs there. One that is not there is
 * measured as CPU, with a warning when the model is opened. */
static void find_npu(struct bench_record *record, const char *device)
{
    struct vinci_device_info *devices = NULL;
    size_t n = 0;
    if (!device || strncmp(device, "npu", 3) != 0) return;
    if (strcmp(device, "npu") == 0) device = "npu:0";
    if (vinci_devices(&devices, &n, &record->program->cann, NULL, NULL, NULL) != VINCI_OK) return;
    for (size_t i = 0; i < n; i++)
        if (strcmp(devices[i].id, device) == 0) record->npu = devices[i];
    vinci_free(devices);
}

enum vinci_status bench_record_begin(struct bench_record *record, const struct program *program,
                                     const struct record_args *args, const char *device,
                                     struct vinci_error *err)
{
    *record = (struct bench_record){.program = program, .args = args, .table = stdout};
    record->root = json_pack("{s:s}", "vinci", vinci_version());
    if (!record->root) return fail_memory(err, 4096, "the JSON");
    if (args->format != BENCH_TABLE || (args->json && strcmp(args->json, "-") == 0))
        record->table = stderr;
    find_npu(record, device);
    const struct vinci_device_info *npu = &record->npu;
    struct monitor_npu watched = {npu->id, &program->cann};
    bool told = !isnan(npu->utilisation_percent) || !isnan(npu->temperature_celsius) ||
                !isnan(npu->power_watts);
    return monitor_start(&record->monitor, *npu->id && told ? &watched : NULL, err);
}

static bool on_npu(const struct bench_record *record, const struct vinci_engine_info *info)
{
    return *record->npu.id && strncmp(info->device, "npu", 3) == 0;
}

const char *bench_record_device(const struct bench_record *record,
                                const struct vinci_engine *engine, char text[200])
{
    struct vinci_engine_info info;
    const struct vinci_device_info *npu = &record->npu;
    vinci_engine_info(engine, &info);
    if (on_npu(record, &info))
        snprintf(text, 200, "%s, %s%sCANN %s", info.device, npu->name, *npu->name ? ", " : "",
                 npu->cann);
    else
        snprintf(text, 200, _("%s, %s kernels, %u threads"), info.device, info.cpu_level,
                 info.n_threads);
    return text;
}

void bench_record_model(struct bench_record *record, const char *path,
                        const struct vinci_engine *engine)
{
    struct vinci_engine_info info;
    const struct vinci_device_info *npu = &record->npu;
    json_t *root = record->root, *text = json_string(path); /* NULL when it is not UTF-8 */
    vinci_engine_info(engine, &info);
    json_object_set_new(root, "model", text ? text : json_null());
    json_object_set_new(root, "device", json_string(info.device));
    json_object_set_new(root, "cpu_level", json_string(info.cpu_level));
    json_object_set_new(root, "threads", json_integer(info.n_threads));
    json_object_set_new(root, "load_seconds", json_real(info.load_seconds));
    if (info.upload_bytes > 0) {
        json_object_set_new(root, "upload_bytes", json_integer((json_int_t)info.upload_bytes));
        json_object_set_new(root, "upload_seconds", json_real(info.upload_seconds));
    }
    if (!on_npu(record, &info)) return;
    json_object_set_new(root, "npu",
                        json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "name", npu->name, "cann",
                                  npu->cann, "driver", npu->driver, "firmware", npu->firmware,
                                  "memory_bytes", (json_int_t)npu->memory_bytes,
                                  "memory_used_before",
                                  (json_int_t)(npu->memory_bytes - npu->memory_free_bytes)));
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

static double most(const struct monitor_sample *samples, size_t n, size_t offset)
{
    double value = (double)NAN;
    for (size_t i = 0; i < n; i++)
        value = fmax(value, *(const double *)((const char *)&samples[i] + offset));
    return value;
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

/* What the NPU did; only what its driver tells. */
static void add_npu_usage(json_t *root, const struct monitor_sample *samples, size_t n)
{
    static const struct {
        const char *key;
        size_t offset;
    } columns[] = {{"npu_busy", offsetof(struct monitor_sample, npu_busy)},
                   {"npu_memory", offsetof(struct monitor_sample, npu_memory)},
                   {"npu_temperature", offsetof(struct monitor_sample, npu_temperature)},
                   {"npu_power", offsetof(struct monitor_sample, npu_power)}};
    json_t *usage = json_object_get(root, "usage"), *npu = json_object_get(root, "npu");
    for (size_t c = 0; npu && c < sizeof columns / sizeof *columns; c++) {
        double peak = most(samples, n, columns[c].offset);
        char key[32];
        if (!isfinite(peak)) continue;
        json_t *values = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(
                values, number(*(const double *)((const char *)&samples[i] + columns[c].offset)));
        json_object_set_new(usage, columns[c].key, values);
        snprintf(key, sizeof key, "%s_most", columns[c].key + 4);
        json_object_set_new(npu, key, json_real(peak));
        snprintf(key, sizeof key, "%s_mean", columns[c].key + 4);
        json_object_set_new(npu, key, json_real(mean(samples, n, columns[c].offset)));
    }
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

enum vinci_status bench_write_json(const char *path, const json_t *root, struct vinci_error *err)
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

/* `comparison`: with another run; NULL for one. The chart in letters goes to `terminal`. */
static enum vinci_status write_views(const json_t *root, const struct comparison *comparison,
                                     const struct record_args *args, FILE *terminal,
                                     struct vinci_error *err)
{
    struct buf text = {0};
    enum vinci_status status = VINCI_OK;
    if (args->report) {
        status = report_html(root, comparison, lang_name(), &text, err);
        if (status == VINCI_OK) status = write_text(args->report, &text, err);
    }
    if (status == VINCI_OK && (args->svg || args->png)) {
        text.size = 0;
        status = report_main_chart(root, comparison, &text, err);
        if (status == VINCI_OK && args->svg) status = write_text(args->svg, &text, err);
        if (status == VINCI_OK && args->png) status = report_png(&text, args->png, err);
    }
    if (status == VINCI_OK && terminal) {
        text.size = 0;
        status = report_terminal(root, comparison, &text, err);
        if (status == VINCI_OK) fwrite(text.data, 1, text.size, terminal);
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
    add_npu_usage(record->root, samples, n);
    add_memory(record->root, kv_bytes);
    fflush(record->table);
    warn(record);
    if (args->json) status = bench_write_json(args->json, record->root, err);
    if (status == VINCI_OK && args->format != BENCH_TABLE)
        status = bench_print_format(record->root, args->format, stdout, err);
    if (status == VINCI_OK)
        status = write_views(record->root, NULL, args, args->chart ? stderr : NULL, err);
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
    json_error_t where = {.text = ""};
    struct buf text = {0};
    enum vinci_status status = read_input(path, &text, err);
    *out = status == VINCI_OK ? json_loadb(text.data ? text.data : "", text.size, 0, &where) : NULL;
    if (status == VINCI_OK && !json_is_string(json_object_get(*out, "vinci")) &&
        !record_is_serve(*out))
        status = fail(err, VINCI_BAD_FILE,
                      "%s: expected a file of 'vinci bench --json' or 'vinci bench serve "
                      "--json'%s%s",
                      path, *out ? "" : ": ", *out ? "" : where.text);
    buf_free(&text);
    if (status != VINCI_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}

/* The chart in letters is for people, but here the only thing there is: standard output. With
 * nothing asked for, it is what --from shows. */
static FILE *chart_stream(const struct record_args *args)
{
    bool taken = args->format != BENCH_TABLE || (args->json && strcmp(args->json, "-") == 0) ||
                 (args->report && strcmp(args->report, "-") == 0) ||
                 (args->svg && strcmp(args->svg, "-") == 0);
    if (args->chart) return taken ? stderr : stdout;
    return !args->compare && !taken && !args->json && !args->report && !args->svg && !args->png
               ? stdout
               : NULL;
}

static enum vinci_status show_record(const json_t *root, const struct record_args *args,
                                     struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    if (args->format != BENCH_TABLE) status = bench_print_format(root, args->format, stdout, err);
    if (status == VINCI_OK && args->json) status = bench_write_json(args->json, root, err);
    return status == VINCI_OK ? write_views(root, NULL, args, chart_stream(args), err) : status;
}

static enum vinci_status show_comparison(const json_t *before, const json_t *after,
                                         const struct record_args *args, struct vinci_error *err)
{
    struct comparison comparison = {0};
    enum vinci_status status = VINCI_OK;
    if (args->format != BENCH_TABLE && args->format != BENCH_JSON)
        return fail(err, VINCI_USAGE, "--compare: --output is table or json");
    status = comparison_make(&comparison, before, after, err);
    if (status != VINCI_OK) return status;
    json_t *json = bench_comparison_json(&comparison);
    if (args->format == BENCH_JSON) status = bench_write_json("-", json, err);
    if (status == VINCI_OK && args->json) status = bench_write_json(args->json, json, err);
    if (args->format == BENCH_TABLE && !(args->json && strcmp(args->json, "-") == 0))
        bench_print_comparison(before, after, &comparison, stdout);
    if (status == VINCI_OK) status = write_views(after, &comparison, args, chart_stream(args), err);
    json_decref(json);
    comparison_free(&comparison);
    return status;
}

enum vinci_status bench_record_read_only(const struct record_args *args, const char *other,
                                         struct vinci_error *err)
{
    json_t *before = NULL, *after = NULL;
    if (args->compare && args->from)
        return fail(err, VINCI_USAGE, "--compare does not go with --from: it names both files");
    if (args->compare && !other)
        return fail(err, VINCI_USAGE,
                    "--compare needs two files: --compare BEFORE.json AFTER.json");
    if (args->from && other)
        return fail(err, VINCI_USAGE, "'%s': a file goes with --compare", other);
    enum vinci_status status = read_record(args->compare ? other : args->from, &after, err);
    if (status == VINCI_OK && args->compare) status = read_record(args->compare, &before, err);
    if (status == VINCI_OK)
        status = before ? show_comparison(before, after, args, err) : show_record(after, args, err);
    json_decref(before);
    json_decref(after);
    return status;
}
