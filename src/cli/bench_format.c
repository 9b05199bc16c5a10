/* bench_format.c - the speed matrix of a record in the forms of llama-bench (its names, so that the
 * same scripts read both), and two records side by side.
 *
 * Added to llama-bench's columns: n_seqs (sequences that generate at once) and the median with its
 * interval. avg_ts and stddev_ts are what they are there: mean and standard deviation. */
#include "base/buf.h"
#include "base/lang.h"
#include "bench/samples.h"
#include "bench/stats.h"
#include "cli/bench_record.h"
#include "cli/lang.h"

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

/* Tokens per second of each repetition. */
static size_t speeds_of(const json_t *row, double speeds[STATS_MAX])
{
    double tokens =
        real_of(row, "tokens") * (real_of(row, "batch") > 0 ? real_of(row, "batch") : 1);
    const json_t *samples = json_object_get(row, "samples_seconds");
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(samples) && n < STATS_MAX; i++) {
        double seconds = json_number_value(json_array_get(samples, i));
        if (seconds > 0) speeds[n++] = tokens / seconds;
    }
    return n;
}

/* "pp512", "tg128 @ d4096", "tg128 x 4", "ttft512" */
static void test_name(const json_t *row, char name[64])
{
    const char *kind = text_of(row, "test");
    int n = snprintf(name, 64, "%s%.0f",
                     strcmp(kind, "decode") == 0    ? "tg"
                     : strcmp(kind, "prefill") == 0 ? "pp"
                                                    : "ttft",
                     real_of(row, "tokens"));
    if (real_of(row, "batch") > 1)
        n += snprintf(name + n, 64 - (size_t)n, " x %.0f", real_of(row, "batch"));
    if (real_of(row, "depth") > 0)
        snprintf(name + n, 64 - (size_t)n, " @ d%.0f", real_of(row, "depth"));
}

static json_t *llama_row(const json_t *root, const json_t *row)
{
    double speeds[STATS_MAX] = {0}, sum = 0, squares = 0, ns = 0, ns_squares = 0;
    size_t n = speeds_of(row, speeds);
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
        test_name(row, name);
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

/* What two runs may have in common: a name that says what was done, and a sample a repetition. */
struct measured {
    char name[64];
    bool seconds; /* less is better */
    double value, samples[STATS_MAX];
    size_t n;
};

enum { COMPARED_MAX = 512 };

struct measured_list {
    struct measured *items; /* COMPARED_MAX */
    size_t n;
};

/* Each sample is multiplied by `factor` or, where `inverse`, divides it. */
static void add_measured(struct measured_list *list, const char *name, const json_t *samples,
                         double factor, bool inverse, bool seconds)
{
    struct measured *m = &list->items[list->n];
    if (list->n == COMPARED_MAX) return;
    *m = (struct measured){.seconds = seconds};
    snprintf(m->name, sizeof m->name, "%s", name);
    for (size_t i = 0; i < json_array_size(samples) && m->n < STATS_MAX; i++) {
        double x = json_number_value(json_array_get(samples, i));
        if (x > 0) m->samples[m->n++] = inverse ? factor / x : factor * x;
    }
    if (m->n == 0) return;
    m->value = samples_median(m->samples, m->n);
    list->n++;
}

static void gather(const json_t *root, struct measured_list *list)
{
    const json_t *row = NULL, *load = json_object_get(root, "load");
    const json_t *iterations = json_object_get(root, "iterations");
    const json_t *seconds = json_object_get(iterations, "seconds");
    static const char *const kinds[] = {"cold", "warm"};
    char name[64];
    size_t i = 0;
    json_array_foreach(json_object_get(root, "results"), i, row)
    {
        double batch = real_of(row, "batch") > 0 ? real_of(row, "batch") : 1;
        test_name(row, name);
        add_measured(list, name, json_object_get(row, "samples_seconds"),
                     real_of(row, "tokens") * batch, true, false);
    }
    if (json_array_size(seconds) > 0) {
        double tokens = real_of(iterations, "tokens_generated") / (double)json_array_size(seconds);
        double each = real_of(iterations, "max_new_tokens");
        snprintf(name, sizeof name, "%.0f x tg%.0f, batch %.0f", each > 0 ? tokens / each : 0, each,
                 real_of(iterations, "batch_size"));
        add_measured(list, name, seconds, tokens, true, false);
    }
    json_array_foreach(json_object_get(root, "prompts"), i, row)
    {
        double tokens = real_of(row, "tokens");
        snprintf(name, sizeof name, "prompt %zu, pp%.0f", i + 1, tokens);
        add_measured(list, name, json_object_get(row, "samples_first_token_seconds"), tokens, true,
                     false);
        snprintf(name, sizeof name, "prompt %zu, tg @ d%.0f", i + 1, tokens);
        add_measured(list, name, json_object_get(row, "samples_decode_tokens_per_second"), 1, false,
                     false);
    }
    for (i = 0; i < 2; i++) {
        const json_t *kind = json_object_get(load, kinds[i]);
        snprintf(name, sizeof name, "%s opening, s", kinds[i]);
        add_measured(list, name, json_object_get(kind, "samples_open_seconds"), 1, false, true);
        snprintf(name, sizeof name, "%s first token, s", kinds[i]);
        add_measured(list, name, json_object_get(kind, "samples_first_token_seconds"), 1, false,
                     true);
    }
}

static const struct measured *find_measured(const struct measured_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i].name, name) == 0) return &list->items[i];
    return NULL;
}

/* What differs between the runs besides what was measured. */
static void print_differences(const json_t *before, const json_t *after, FILE *file)
{
    static const char *const keys[] = {"processor", "kernel", "governor", "model_fingerprint",
                                       "vinci"};
    static const char *const top[] = {"device", "cpu_level"};
    const json_t *a = json_object_get(before, "environment"),
                 *b = json_object_get(after, "environment");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(text_of(a, keys[i]), text_of(b, keys[i])) != 0)
            fprintf(file, _("differs: %s: %.40s | %.40s\n"), keys[i], text_of(a, keys[i]),
                    text_of(b, keys[i]));
    for (size_t i = 0; i < sizeof top / sizeof *top; i++)
        if (strcmp(text_of(before, top[i]), text_of(after, top[i])) != 0)
            fprintf(file, _("differs: %s: %.40s | %.40s\n"), top[i], text_of(before, top[i]),
                    text_of(after, top[i]));
    if (real_of(before, "threads") != real_of(after, "threads"))
        fprintf(file, _("differs: threads: %.0f | %.0f\n"), real_of(before, "threads"),
                real_of(after, "threads"));
}

struct compared {
    const struct measured *before, *after;
    struct stats_comparison result;
};

static void print_compared(const struct compared *rows, const double *p, size_t n, FILE *file)
{
    double p_min = 0;
    fputs(_("test                     before      after   change  p (Holm)\n"), file);
    for (size_t i = 0; i < n; i++) {
        const struct measured *after = rows[i].after;
        double ratio = rows[i].result.ratio;
        int digits = after->seconds ? 4 : 2;
        fprintf(file, "%-20s %10.*f %10.*f  %+6.1f %%  %-8.2g  %s\n", after->name, digits,
                rows[i].before->value, digits, after->value, 100 * (ratio - 1), p[i],
                p[i] >= 0.05                     ? _("may be chance")
                : (ratio >= 1) != after->seconds ? _("faster")
                                                 : _("slower"));
        if (rows[i].result.p_min > p_min) p_min = rows[i].result.p_min;
    }
    if (p_min * (double)n >= 0.05)
        fprintf(file,
                _("so few repetitions cannot show more than p = %.2g: give a larger --repeat\n"),
                p_min * (double)n < 1 ? p_min * (double)n : 1);
}

enum vinci_status bench_print_comparison(const json_t *before, const json_t *after, FILE *file,
                                         bool json, struct vinci_error *err)
{
    struct compared rows[COMPARED_MAX];
    double p[COMPARED_MAX];
    size_t n = 0;
    json_t *array = NULL;
    enum vinci_status status = VINCI_OK;
    struct measured_list a = {array_new_zero(COMPARED_MAX, sizeof *a.items), 0},
                         b = {array_new_zero(COMPARED_MAX, sizeof *b.items), 0};
    if (!a.items || !b.items) {
        status = fail_memory(err, COMPARED_MAX * sizeof *a.items, "the comparison");
        goto cleanup;
    }
    gather(before, &a);
    gather(after, &b);
    for (size_t i = 0; i < b.n; i++) {
        const struct measured *y = &b.items[i], *x = find_measured(&a, y->name);
        if (!x) continue;
        rows[n] = (struct compared){x, y, stats_compare(x->samples, x->n, y->samples, y->n)};
        p[n] = rows[n].result.p;
        n++;
    }
    if (n == 0) {
        status = fail(err, VINCI_USAGE, "the two records have no test in common");
        goto cleanup;
    }
    stats_holm(p, n);
    if (!json) {
        print_differences(before, after, file);
        print_compared(rows, p, n, file);
        goto cleanup;
    }
    array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "test", rows[i].after->name,
                             "unit", rows[i].after->seconds ? "s" : "tokens/s", "before",
                             rows[i].before->value, "after", rows[i].after->value, "ratio",
                             rows[i].result.ratio, "p", rows[i].result.p, "p_holm", p[i]));
    json_dumpf(array, file, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', file);
cleanup:
    json_decref(array);
    free(a.items);
    free(b.items);
    return status;
}
