/* report_charts.c - which charts a record gives, and their data. */
#include "base/lang.h"
#include "base/units.h"
#include "bench/chart.h"
#include "bench/compare.h"
#include "bench/report.h"
#include "bench/report_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A chart under way: series and points in place. Too large for a stack of its own kind: allocated.
 */
struct drawing {
    struct chart chart;
    struct chart_series series[CHART_SERIES_MAX];
    struct chart_point points[CHART_SERIES_MAX][CHART_POINTS_MAX];
    char names[CHART_SERIES_MAX][80], labels[CHART_POINTS_MAX][48];
    size_t n_labels;
};

enum { BARS_MAX = 16 };

static struct drawing *new_drawing(const char *title, const char *x, const char *y)
{
    struct drawing *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->chart = (struct chart){.title = title,
                              .x = {.title = x},
                              .y = {.title = y, .from_zero = true},
                              .series = d->series};
    return d;
}

/* The series of that name, made if there is room; NULL if not. */
static struct chart_series *series_of(struct drawing *d, const char *name, bool line)
{
    for (size_t i = 0; i < d->chart.n_series; i++)
        if (strcmp(d->names[i], name) == 0) return &d->series[i];
    if (d->chart.n_series == CHART_SERIES_MAX) return NULL;
    size_t i = d->chart.n_series++;
    snprintf(d->names[i], sizeof d->names[i], "%s", name);
    d->series[i] = (struct chart_series){d->names[i], d->points[i], 0, line, true};
    return &d->series[i];
}

static void add_point(struct drawing *d, struct chart_series *series, struct chart_point point,
                      const char *label)
{
    if (!series || series->n == CHART_POINTS_MAX) return;
    if (label && d->n_labels < CHART_POINTS_MAX) {
        snprintf(d->labels[d->n_labels], sizeof d->labels[0], "%s", label);
        point.label = d->labels[d->n_labels++];
    }
    d->points[series - d->series][series->n++] = point;
}

static struct chart_point point_of(const json_t *row, double x)
{
    double low = report_real(row, "median_low"), high = report_real(row, "median_high");
    return (struct chart_point){x, report_real(row, "tokens_per_second"), isfinite(low) ? low : 0,
                                isfinite(high) ? high : 0, NULL};
}

/* A value with the interval that its samples give. */
static struct chart_point interval_point(double x, double value, const json_t *samples)
{
    double y[STATS_MAX];
    size_t n = 0;
    for (; n < json_array_size(samples) && n < STATS_MAX; n++)
        y[n] = json_number_value(json_array_get(samples, n));
    struct stats_interval interval = {0, 0, 0, 0};
    if (n > 1) interval = stats_median(y, n, 0.95);
    return (struct chart_point){x, value, interval.low, interval.high, NULL};
}

/* Draws the figure if it has points; frees. */
static bool put(struct buf *out, struct drawing *d, const char *caption)
{
    size_t n = 0;
    bool ok = d != NULL;
    for (size_t i = 0; d && i < d->chart.n_series; i++) n += d->series[i].n;
    if (n > 0) {
        d->chart.description = caption;
        ok = buf_append_text(out, "<figure>\n") && chart_svg(&d->chart, false, out) &&
             buf_append_text(out, "<figcaption>") && html_text(out, caption) &&
             buf_append_text(out, "</figcaption></figure>\n");
    }
    free(d);
    return ok;
}

/* ---- the charts ------------------------------------------------------------------------------ */

/* How many different values `key` has in the rows of a test. */
static size_t count_values(const json_t *root, const char *test, const char *key)
{
    double seen[64];
    size_t n = 0, i = 0;
    const json_t *row = NULL;
    json_array_foreach(json_object_get(root, "results"), i, row)
    {
        bool known = !report_is(row, test);
        for (size_t k = 0; k < n && !known; k++) known = seen[k] == report_real(row, key);
        if (!known && n < 64) seen[n++] = report_real(row, key);
    }
    return n;
}

/* Speed of a test against `along`, a line for each value of `by`. */
static struct drawing *speed_chart(const json_t *root, const char *test, const char *along,
                                   const char *by, const char *by_text, const char *title,
                                   const char *x_title)
{
    const json_t *row = NULL;
    size_t i = 0;
    struct drawing *d = new_drawing(title, x_title, _("tokens/s"));
    if (!d) return NULL;
    d->chart.x.log = count_values(root, test, along) > 1 && strcmp(along, "depth") != 0;
    d->chart.x.chosen = true;
    json_array_foreach(json_object_get(root, "results"), i, row)
    {
        char name[80];
        if (!report_is(row, test)) continue;
        snprintf(name, sizeof name, by_text, report_real(row, by));
        add_point(d, series_of(d, name, true), point_of(row, report_real(row, along)), NULL);
    }
    return d;
}

static struct drawing *iteration_chart(const json_t *root)
{
    const json_t *seconds = json_object_get(json_object_get(root, "iterations"), "seconds");
    struct drawing *d = new_drawing(_("Time of each iteration"), _("iteration"), _("seconds"));
    if (!d) return NULL;
    struct chart_series *series = series_of(d, "", true);
    series->name = NULL;
    d->chart.x.chosen = true;
    for (size_t i = 0; i < json_array_size(seconds); i++)
        add_point(d, series,
                  (struct chart_point){(double)i + 1, json_number_value(json_array_get(seconds, i)),
                                       0, 0, NULL},
                  NULL);
    return d;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Share of repetitions that took at most so long, each test divided by its own median. */
static struct drawing *distribution_chart(const json_t *root)
{
    const json_t *row = NULL;
    size_t i = 0;
    struct drawing *d = new_drawing(_("How much repetitions differ"), _("time / median"),
                                    _("share of the repetitions, %"));
    if (!d) return NULL;
    d->chart.y.max = 100;
    json_array_foreach(json_object_get(root, "results"), i, row)
    {
        const json_t *samples = json_object_get(row, "samples_seconds");
        double seconds[64], median = report_real(row, "seconds");
        char name[64];
        size_t n = 0;
        for (; n < json_array_size(samples) && n < 64; n++)
            seconds[n] = json_number_value(json_array_get(samples, n));
        if (n < 3 || !(median > 0)) continue;
        qsort(seconds, n, sizeof *seconds, ascending);
        record_test_name(row, name);
        struct chart_series *series = series_of(d, name, true);
        for (size_t k = 0; k < n; k++)
            add_point(d, series,
                      (struct chart_point){seconds[k] / median, 100.0 * (double)(k + 1) / (double)n,
                                           0, 0, NULL},
                      NULL);
    }
    return d;
}

/* Operations per second against operations per byte of weights, under the machine's two limits. */
static struct drawing *roofline_chart(const json_t *root)
{
    const json_t *peak = json_object_get(root, "peak"), *row = NULL;
    double read = report_real(peak, "read_bytes_per_second");
    double top = report_real(peak, "int8_operations_per_second");
    double least = INFINITY, most = 0;
    size_t i = 0;
    struct drawing *d =
        new_drawing(_("Under the machine's limits (roofline)"),
                    _("operations per byte of weights (estimated)"), _("operations/s"));
    if (!d) return NULL;
    if (!(read > 0) || !(top > 0)) return d;
    d->chart.x.log = d->chart.y.log = true;
    d->chart.y.from_zero = false;
    struct chart_series *roof = series_of(d, _("limit: memory, then int8 arithmetic"), true);
    roof->markers = false;
    json_array_foreach(json_object_get(root, "results"), i, row)
    {
        double bytes = report_real(row, "weight_bytes_estimated");
        double operations = report_real(row, "weight_operations");
        double seconds = report_real(row, "seconds"), at = operations / bytes;
        char label[48];
        if (!(bytes > 0) || !(seconds > 0)) continue;
        if (at < least) least = at;
        if (at > most) most = at;
        snprintf(label, sizeof label, report_is(row, "decode") ? "×%.0f" : "%.0f",
                 report_real(row, report_is(row, "decode") ? "batch" : "tokens"));
        add_point(
            d,
            series_of(d, report_is(row, "decode") ? _("generating") : _("reading a prompt"), false),
            (struct chart_point){at, operations / seconds, 0, 0, NULL},
            report_real(row, "depth") > 0 || report_is(row, "first token") ? NULL : label);
    }
    if (most > 0) {
        double corner = top / read;
        least = (least < corner ? least : corner) / 1.5;
        most = (most > corner ? most : corner) * 1.5;
        add_point(d, roof, (struct chart_point){least, least * read, 0, 0, NULL}, NULL);
        add_point(d, roof, (struct chart_point){corner, top, 0, 0, NULL}, NULL);
        add_point(d, roof, (struct chart_point){most, top, 0, 0, NULL}, NULL);
    }
    return d;
}

/* A column of the samples over time, at most as many points as can be drawn. */
static void add_column(struct drawing *d, const json_t *usage, const char *key, const char *name,
                       double times)
{
    const json_t *time = json_object_get(usage, "time"), *values = json_object_get(usage, key);
    size_t n = json_array_size(values), step = n / CHART_POINTS_MAX + 1;
    bool any = false;
    for (size_t i = 0; i < n; i++) any |= json_is_number(json_array_get(values, i));
    if (!any || n < 3) return; /* a run too short to show a course */
    struct chart_series *series = series_of(d, name, true);
    if (!series) return;
    series->markers = n < 40;
    for (size_t i = 0; i < n; i += step) {
        const json_t *value = json_array_get(values, i);
        double y = json_is_number(value) ? times * json_number_value(value) : (double)NAN;
        add_point(d, series,
                  (struct chart_point){json_number_value(json_array_get(time, i)), y, 0, 0, NULL},
                  NULL);
    }
}

static bool put_usage(struct buf *out, const json_t *root)
{
    const json_t *usage = json_object_get(root, "usage");
    struct drawing *d = new_drawing(_("Processors over time"), _("seconds"), "%");
    if (!d) return false;
    add_column(d, usage, "busy", _("all programs"), 100);
    add_column(d, usage, "own", _("vinci"), 100);
    d->chart.y.max = 105;
    if (!put(
            out, d,
            _("Share of all processors' time. What lies between the two lines is other programs.")))
        return false;
    d = new_drawing(_("Memory over time"), _("seconds"), "GB");
    if (!d) return false;
    add_column(d, usage, "resident", _("resident, mapped files included"), 1e-9);
    if (!put(
            out, d,
            _("Weights count as far as their pages are in memory. Measuring the limits takes up to "
              "1 GB of it.")))
        return false;
    d = new_drawing(_("Clock over time"), _("seconds"), "GHz");
    if (!d) return false;
    add_column(d, usage, "frequency", _("mean of all processors"), 1e-9);
    return put(out, d, _("A falling clock means heat or a power limit."));
}

/* As speed: of times, the share that is saved counts the other way round. */
static struct drawing *comparison_chart(const struct comparison *comparison)
{
    struct drawing *d = new_drawing(_("Before and after"), NULL, _("share of the speed before, %"));
    if (!d) return NULL;
    d->chart.bars = true;
    struct chart_series *a = series_of(d, _("before"), false), *b = series_of(d, _("after"), false);
    for (size_t i = 0; i < comparison->n && a->n < BARS_MAX; i++) {
        const struct compared *row = &comparison->rows[i];
        double base = row->before.median;
        const struct stats_interval *x = &row->before, *y = &row->after;
        struct chart_point before = {0, 100, 100 * x->low / base, 100 * x->high / base, NULL};
        struct chart_point after = {0, 100 * y->median / base, 100 * y->low / base,
                                    100 * y->high / base, NULL};
        if (row->seconds) {
            before.low = 100 * base / x->high;
            before.high = 100 * base / x->low;
            after = (struct chart_point){0, 100 * base / y->median, 100 * base / y->high,
                                         100 * base / y->low, NULL};
        }
        add_point(d, a, before, row->label);
        add_point(d, b, after, NULL);
    }
    return d;
}

static struct drawing *load_chart(const json_t *root)
{
    static const char *const kinds[] = {"cold", "warm"};
    const json_t *load = json_object_get(root, "load");
    struct drawing *d = new_drawing(_("From the command to the first token"), NULL, _("seconds"));
    if (!d) return NULL;
    d->chart.bars = true;
    struct chart_series *open = series_of(d, _("opening the model"), false),
                        *first = series_of(d, _("until the first token"), false);
    for (size_t i = 0; i < 2; i++) {
        const json_t *object = json_object_get(load, kinds[i]);
        if (!object) continue;
        add_point(d, open,
                  interval_point(0, report_real(object, "open_seconds"),
                                 json_object_get(object, "samples_open_seconds")),
                  i == 0 ? _("files not in memory") : _("files in memory"));
        add_point(d, first,
                  interval_point(0, report_real(object, "first_token_seconds"),
                                 json_object_get(object, "samples_first_token_seconds")),
                  NULL);
    }
    return d;
}

static struct drawing *prompts_chart(const json_t *root)
{
    const json_t *row = NULL;
    size_t i = 0;
    struct drawing *d =
        new_drawing(_("First token by the length of the prompt"), _("tokens"), _("seconds"));
    if (!d) return NULL;
    struct chart_series *series = series_of(d, "", false);
    series->name = NULL;
    json_array_foreach(json_object_get(root, "prompts"), i, row)
    {
        char label[24];
        snprintf(label, sizeof label, "%zu", i + 1);
        add_point(d, series,
                  interval_point(report_real(row, "tokens"),
                                 report_real(row, "first_token_seconds"),
                                 json_object_get(row, "samples_first_token_seconds")),
                  label);
    }
    d->chart.x.from_zero = true;
    return d;
}

static struct drawing *prompts_decode_chart(const json_t *root)
{
    const json_t *row = NULL;
    size_t i = 0;
    struct drawing *d = new_drawing(_("Generating after each prompt"), NULL, _("tokens/s"));
    if (!d) return NULL;
    d->chart.bars = true;
    struct chart_series *series = series_of(d, "", false);
    series->name = NULL;
    json_array_foreach(json_object_get(root, "prompts"), i, row)
    {
        char label[32];
        if (series->n == BARS_MAX) break;
        snprintf(label, sizeof label, "%zu", i + 1);
        add_point(d, series,
                  interval_point(0, report_real(row, "decode_tokens_per_second"),
                                 json_object_get(row, "samples_decode_tokens_per_second")),
                  label);
    }
    return d;
}

/* ---- a server under load --------------------------------------------------------------------- */

/* Share of the requests that took at most so long. */
static void add_shares(struct drawing *d, const json_t *root, const char *what, const char *name,
                       double times)
{
    size_t n = 0;
    double *x = report_latencies(root, what, &n);
    struct chart_series *series = x ? series_of(d, name, true) : NULL;
    size_t step = n / CHART_POINTS_MAX + 1;
    if (series) series->markers = n < 40;
    for (size_t i = 0; series && i < n; i++)
        if (i % step == 0 || i + 1 == n)
            add_point(
                d, series,
                (struct chart_point){times * x[i], 100.0 * (double)(i + 1) / (double)n, 0, 0, NULL},
                NULL);
    free(x);
}

static struct drawing *latency_chart(const json_t *root)
{
    struct drawing *d =
        new_drawing(_("How long requests wait"), _("seconds"), _("share of the requests, %"));
    if (!d) return NULL;
    add_shares(d, root, "ttft", _("first token"), 1);
    add_shares(d, root, "e2el", _("whole request"), 1);
    d->chart.x.from_zero = true;
    d->chart.y.max = 100;
    return d;
}

static struct drawing *token_time_chart(const json_t *root)
{
    struct drawing *d =
        new_drawing(_("Time of each token after the first"), "ms", _("share of the requests, %"));
    if (!d) return NULL;
    add_shares(d, root, "tpot", "", 1e3);
    d->series[0].name = NULL;
    d->chart.x.from_zero = true;
    d->chart.y.max = 100;
    return d;
}

/* The wait of each request by when it was sent: a queue shows as a slope. */
static struct drawing *arrival_chart(const json_t *root)
{
    const json_t *starts = json_object_get(root, "start_times");
    const json_t *ttfts = json_object_get(root, "ttfts");
    struct drawing *d = new_drawing(_("First token by the time of the request"),
                                    _("sent after, seconds"), _("seconds"));
    if (!d) return NULL;
    size_t n = json_array_size(starts), step = n / CHART_POINTS_MAX + 1;
    struct chart_series *series = series_of(d, "", false);
    series->name = NULL;
    for (size_t i = 0; i < n; i += step) {
        double wait = json_number_value(json_array_get(ttfts, i));
        if (wait > 0)
            add_point(d, series,
                      (struct chart_point){json_number_value(json_array_get(starts, i)), wait, 0, 0,
                                           NULL},
                      NULL);
    }
    d->chart.x.from_zero = true;
    return d;
}

static bool put_serve(struct buf *out, const json_t *root)
{
    if (!record_is_serve(root)) return true;
    return put(out, latency_chart(root),
               _("Each line says what share of the requests was served within a time.")) &&
           put(out, token_time_chart(root),
               _("Of each request, the mean time between its tokens.")) &&
           put(out, arrival_chart(root),
               _("A rising line means a queue: requests come faster than they are served."));
}

static bool put_npu(struct buf *out, const json_t *root)
{
    static const struct {
        const char *key, *title, *unit;
        double times;
    } charts[] = {{"npu_busy", N_("NPU over time"), "%", 100},
                  {"npu_memory", N_("Memory of the NPU over time"), "GB", 1e-9},
                  {"npu_temperature", N_("Temperature of the NPU over time"), "°C", 1},
                  {"npu_power", N_("Power of the NPU over time"), "W", 1}};
    bool ok = true;
    for (size_t i = 0; i < sizeof charts / sizeof *charts && ok; i++) {
        struct drawing *d = new_drawing(_(charts[i].title), _("seconds"), charts[i].unit);
        if (!d) return false;
        add_column(d, json_object_get(root, "usage"), charts[i].key, "", charts[i].times);
        d->series[0].name = NULL;
        ok = put(out, d, _("As its driver tells it, twice a second."));
    }
    return ok;
}

static struct drawing *batch_chart(const json_t *root)
{
    return speed_chart(root, "decode", "batch", "depth", _("%.0f tokens before"),
                       _("Generating: all sequences together"), _("sequences at once"));
}

bool report_write_charts(struct buf *out, const json_t *root, const struct comparison *comparison)
{
    bool ok = true;
    if (comparison)
        ok = put(out, comparison_chart(comparison),
                 _("Medians, the run before being 100; the whiskers are the medians' intervals. "
                   "The table says what is more than chance."));
    ok = ok && put(out, iteration_chart(root), _("Measured iterations, warm-up left out."));
    if (count_values(root, "decode", "batch") > 0)
        ok = ok && put(out, batch_chart(root),
                       _("Medians and their intervals. Sequences that run together share each "
                         "reading of the weights."));
    if (count_values(root, "decode", "depth") > 1)
        ok = ok && put(out,
                       speed_chart(root, "decode", "depth", "batch", _("%.0f sequences"),
                                   _("Generating after a long context"), _("tokens before")),
                       _("Medians and their intervals."));
    ok = ok && put(out,
                   speed_chart(root, "prefill", "tokens", "depth", _("%.0f tokens before"),
                               _("Reading a prompt"), _("tokens of the prompt")),
                   _("Medians and their intervals."));
    ok = ok && put(out,
                   speed_chart(root, "first token", "tokens", "depth", _("first token"),
                               _("Reading, from the request to the first token"),
                               _("tokens of the prompt")),
                   _("Medians and their intervals."));
    ok = ok && put(out, prompts_chart(root), _("Each point is a prompt of the table below."));
    ok = ok && put(out, prompts_decode_chart(root), _("Medians and their intervals.")) &&
         put_serve(out, root);
    ok = ok && put(out, roofline_chart(root),
                   _("The nearer to the line, the better the machine is used. Left of the bend "
                     "memory is the limit, right of it arithmetic. Numbers are tokens of a prompt, "
                     "and xN sequences that generate at once."));
    ok = ok &&
         put(out, load_chart(root),
             _("The model is opened anew each time; before the cold ones its files were dropped "
               "from memory."));
    ok = ok && put(out, distribution_chart(root),
                   _("A steep step is a steady machine; the first six tests are shown."));
    return ok && put_usage(out, root) && put_npu(out, root);
}

/* ---- alone ----------------------------------------------------------------------------------- */

static struct drawing *main_drawing(const json_t *root, const struct comparison *comparison)
{
    if (comparison) return comparison_chart(comparison);
    if (count_values(root, "decode", "batch") > 1) return batch_chart(root);
    if (count_values(root, "decode", "depth") > 1)
        return speed_chart(root, "decode", "depth", "batch", _("%.0f sequences"),
                           _("Generating after a long context"), _("tokens before"));
    if (json_array_size(json_object_get(root, "results")) > 0) {
        const json_t *row = NULL;
        size_t i = 0;
        struct drawing *d = new_drawing(_("Speed"), NULL, _("tokens/s"));
        if (!d) return NULL;
        d->chart.bars = true;
        struct chart_series *series = series_of(d, "", false);
        series->name = NULL;
        json_array_foreach(json_object_get(root, "results"), i, row)
        {
            char label[64];
            record_test_name(row, label);
            if (series->n < BARS_MAX) add_point(d, series, point_of(row, 0), label);
        }
        return d;
    }
    if (json_object_get(root, "prompts")) return prompts_chart(root);
    if (json_object_get(root, "load")) return load_chart(root);
    if (record_is_serve(root)) return latency_chart(root);
    return iteration_chart(root);
}

enum vinci_status report_main_chart(const json_t *root, const struct comparison *comparison,
                                    struct buf *out, struct vinci_error *err)
{
    struct drawing *d = main_drawing(root, comparison);
    size_t n = 0;
    for (size_t i = 0; d && i < d->chart.n_series; i++) n += d->series[i].n;
    enum vinci_status status = VINCI_OK;
    char title[200]; /* alone, it must say of what it is */
    const char *name = report_model_name(root);
    if (d && *name) {
        snprintf(title, sizeof title, "%.80s – %s", name, d->chart.title);
        d->chart.title = title;
    }
    if (!d) status = fail_memory(err, sizeof *d, "the chart");
    else if (n == 0) status = fail(err, VINCI_USAGE, "the record has nothing to draw");
    else if (!chart_svg(&d->chart, true, out)) status = fail_memory(err, out->size, "the chart");
    free(d);
    return status;
}
