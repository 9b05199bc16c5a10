/* bench_format.c - the speed matrix of a record in the forms of llama-bench (its names, so that the
 * same scripts read both), and two records side by side.
 *
 * Added to llama-bench's columns: n_seqs (sequences that generate at once) and the median with its
 * interval. avg_ts and stddev_ts are what they are there: mean and standard deviation. */
#include "base/buf.h"
#include "base/lang.h"
#include "bench/compare.h"
#include "cli/bench_record.h"
#include "cli/print.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double real_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static json_t *llama_row(const json_t *root, const json_t *row)
{
    double speeds[STATS_MAX] = {0}, sum = 0, squares = 0, ns = 0, ns_squares = 0;
    size_t n = record_speeds(row, speeds);
    json_t *samples_ns = json_array(), *samples_ts = json_array();
    const json_t *seconds = json_object_get(row, "samples_seconds");
    const json_t *environment = json_object_get(root, "environment");
    for (size_t i = 0; i < n; i++) {
        double t = 1e9 * json_number_value(json_array_get(seconds, i));
        sum += speeds[i];
        ns += t;
        json_array_append_new(samples_ns, json_integer((json_int_t)t));
        json_array_append_new(samples_ts, json_real(speeds[i]));
    }
    double mean = n ? sum / (double)n : 0, mean_ns = n ? ns / (double)n : 0;
    for (size_t i = 0; i < n; i++) {
        double t = 1e9 * json_number_value(json_array_get(seconds, i));
        squares += (speeds[i] - mean) * (speeds[i] - mean);
        ns_squares += (t - mean_ns) * (t - mean_ns);
    }
    double steps = n > 1 ? (double)n - 1 : 1;
    bool decode = strcmp(text_of(row, "test"), "decode") == 0;
    json_int_t tokens = (json_int_t)real_of(row, "tokens");
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:f, s:f, "
        "s:f, "
        "s:f, s:f, s:o, s:o}",
        "build_commit", text_of(root, "vinci"), "cpu_info", text_of(environment, "processor"),
        "backends", text_of(root, "device"), "cpu_level", text_of(root, "cpu_level"),
        "model_filename", text_of(root, "model"), "model_size",
        (json_int_t)real_of(root, "file_bytes"), "model_n_params",
        (json_int_t)real_of(root, "model_parameters"), "n_threads",
        (json_int_t)real_of(root, "threads"), "n_prompt", decode ? 0 : tokens, "n_gen",
        decode ? tokens : 0, "n_depth", (json_int_t)real_of(row, "depth"), "n_seqs",
        (json_int_t)real_of(row, "batch"), "test_time", text_of(environment, "time"), "avg_ns",
        (json_int_t)mean_ns, "stddev_ns", (json_int_t)sqrt(ns_squares / steps), "avg_ts", mean,
        "stddev_ts", sqrt(squares / steps), "median_ts", real_of(row, "tokens_per_second"),
        "median_low", real_of(row, "median_low"), "median_high", real_of(row, "median_high"),
        "samples_ns", samples_ns, "samples_ts", samples_ts);
}

static void print_csv_row(const json_t *object, bool head, FILE *file)
{
    const char *key = NULL;
    json_t *value = NULL;
    bool first = true;
    json_object_foreach((json_t *)object, key, value)
    {
        if (json_is_array(value)) continue;
        if (!first) fputc(',', file);
        first = false;
        if (head) {
            fputs(key, file);
        } else if (json_is_string(value)) {
            fputc('"', file);
            for (const char *c = json_string_value(value); *c; c++)
                if (*c == '"') fputs("\"\"", file);
                else fputc(*c, file);
            fputc('"', file);
        } else if (json_is_integer(value)) {
            fprintf(file, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        } else {
            fprintf(file, "%.6g", json_number_value(value));
        }
    }
    fputc('\n', file);
}

static void print_md(const json_t *root, const json_t *results, FILE *file)
{
    size_t i = 0;
    const json_t *row = NULL;
    const char *path = text_of(root, "model"), *slash = strrchr(path, '/');
    fputs("| model | size | params | backend | threads | test | t/s |\n"
          "| --- | ---: | ---: | --- | ---: | ---: | ---: |\n",
          file);
    json_array_foreach(results, i, row)
    {
        char name[64];
        json_t *values = llama_row(root, row);
        record_test_name(row, name);
        fprintf(file, "| %s | %.2f GiB | %.2f B | %s %s | %.0f | %s | %.2f ± %.2f |\n",
                slash && slash[1] ? slash + 1 : path, real_of(root, "file_bytes") / (1 << 30),
                real_of(root, "model_parameters") / 1e9, text_of(root, "device"),
                text_of(root, "cpu_level"), real_of(root, "threads"), name,
                real_of(values, "avg_ts"), real_of(values, "stddev_ts"));
        json_decref(values);
    }
}

enum vinci_status bench_print_format(const json_t *root, enum bench_format format, FILE *file,
                                     struct vinci_error *err)
{
    const json_t *results = json_object_get(root, "results"), *row = NULL;
    size_t i = 0, flags = JSON_REAL_PRECISION(9);
    json_t *all = json_array();
    json_array_foreach(results, i, row) json_array_append_new(all, llama_row(root, row));
    if (!all || json_array_size(all) != json_array_size(results)) {
        json_decref(all);
        return fail_memory(err, 4096, "the JSON");
    }
    if (json_array_size(results) == 0) {
        json_decref(all);
        return fail(err, VINCI_USAGE, "the record has no matrix (--pp, --tg): nothing to print");
    }
    switch (format) {
    case BENCH_JSON:
        json_dumpf(all, file, JSON_INDENT(2) | flags);
        fputc('\n', file);
        break;
    case BENCH_JSONL:
        json_array_foreach(all, i, row)
        {
            json_dumpf(row, file, JSON_COMPACT | flags);
            fputc('\n', file);
        }
        break;
    case BENCH_CSV:
        print_csv_row(json_array_get(all, 0), true, file);
        json_array_foreach(all, i, row) print_csv_row(row, false, file);
        break;
    case BENCH_MD: print_md(root, results, file); break;
    case BENCH_TABLE: break;
    }
    json_decref(all);
    return VINCI_OK;
}

/* ---- comparison ---------------------------------------------------------------------------- */

static void print_differences(const struct comparison *comparison, FILE *file)
{
    for (size_t i = 0; i < comparison->n_differences; i++) {
        const struct difference *d = &comparison->differences[i];
        fprintf(file, _("differs: %s: %s | %s\n"), d->key, d->before, d->after);
    }
}

/* One figure a run has no spread: it is shown, not judged. */
static void print_throughput(const json_t *before, const json_t *after, FILE *file)
{
    if (!record_is_serve(before) || !record_is_serve(after)) return;
    fprintf(file, _("requests/s %.3f | %.3f, tokens/s generated %.2f | %.2f (one figure a run)\n"),
            real_of(before, "request_throughput"), real_of(after, "request_throughput"),
            real_of(before, "output_throughput"), real_of(after, "output_throughput"));
}

static void print_compared(const struct comparison *comparison, FILE *file)
{
    print_cell(file, _("test"), -24);
    print_cell(file, _("before"), 11);
    print_cell(file, _("after"), 11);
    print_cell(file, _("change"), 11);
    fprintf(file, "  %-8s\n", _("p (Holm)"));
    for (size_t i = 0; i < comparison->n; i++) {
        const struct compared *row = &comparison->rows[i];
        const char *format = row->seconds ? "%11.4g%11.4g%11s" : "%11.2f%11.2f%11s";
        char change[32];
        snprintf(change, sizeof change, "%+.1f %%", 100 * (row->ratio - 1));
        print_cell(file, row->label, -24);
        fprintf(file, format, row->before.median, row->after.median, change);
        fprintf(file, "  %-8.2g  %s\n", row->p_holm, compared_verdict_text(row));
    }
    if (comparison->p_least >= 0.05)
        fprintf(file,
                _("so few repetitions cannot show more than p = %.2g: give a larger --repeat\n"),
                comparison->p_least);
}

json_t *bench_comparison_json(const struct comparison *comparison)
{
    json_t *array = json_array();
    for (size_t i = 0; i < comparison->n; i++) {
        const struct compared *row = &comparison->rows[i];
        int verdict = compared_verdict(row);
        json_array_append_new(array, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:s}", "test",
                                               row->name, "unit", row->seconds ? "s" : "tokens/s",
                                               "before", row->before.median, "after",
                                               row->after.median, "ratio", row->ratio, "p", row->p,
                                               "p_holm", row->p_holm, "verdict",
                                               verdict == 0  ? "chance"
                                               : verdict > 0 ? "faster"
                                                             : "slower"));
    }
    return array;
}

void bench_print_comparison(const json_t *before, const json_t *after,
                            const struct comparison *comparison, FILE *file)
{
    print_differences(comparison, file);
    print_throughput(before, after, file);
    print_compared(comparison, file);
}
