/* compare.c - see compare.h. */
#include "bench/compare.h"

#include "base/buf.h"
#include "base/lang.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 512 };

static double real_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

size_t record_speeds(const json_t *row, double speeds[STATS_MAX])
{
    double batch = real_of(row, "batch"), tokens = real_of(row, "tokens") * (batch > 0 ? batch : 1);
    const json_t *samples = json_object_get(row, "samples_seconds");
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(samples) && n < STATS_MAX; i++) {
        double seconds = json_number_value(json_array_get(samples, i));
        if (seconds > 0) speeds[n++] = tokens / seconds;
    }
    return n;
}

void record_test_name(const json_t *row, char name[64])
{
    const char *kind = json_string_value(json_object_get(row, "test"));
    int n = snprintf(name, 64, "%s%.0f",
                     kind && strcmp(kind, "decode") == 0    ? "tg"
                     : kind && strcmp(kind, "prefill") == 0 ? "pp"
                                                            : "ttft",
                     real_of(row, "tokens"));
    if (real_of(row, "batch") > 1)
        n += snprintf(name + n, 64 - (size_t)n, " x %.0f", real_of(row, "batch"));
    if (real_of(row, "depth") > 0)
        snprintf(name + n, 64 - (size_t)n, " @ d%.0f", real_of(row, "depth"));
}

/* ---- requests of a server ------------------------------------------------------------------- */

bool record_is_serve(const json_t *root)
{
    return json_is_array(json_object_get(root, "ttfts")) &&
           json_is_array(json_object_get(root, "itls")) &&
           json_is_number(json_object_get(root, "duration"));
}

double *record_latencies(const json_t *root, const char *what, size_t *n)
{
    const json_t *ttfts = json_object_get(root, "ttfts"), *itls = json_object_get(root, "itls");
    const json_t *outputs = json_object_get(root, "output_lens");
    double *out = array_new_zero(json_array_size(ttfts), sizeof *out);
    *n = 0;
    for (size_t i = 0; out && i < json_array_size(ttfts); i++) {
        const json_t *gaps = json_array_get(itls, i);
        double first = json_number_value(json_array_get(ttfts, i)), rest = 0, value = first;
        double tokens = json_number_value(json_array_get(outputs, i));
        if (!(first > 0)) continue; /* it failed */
        for (size_t k = 0; k < json_array_size(gaps); k++)
            rest += json_number_value(json_array_get(gaps, k));
        if (strcmp(what, "tpot") == 0) value = tokens > 1 ? rest / (tokens - 1) : 0;
        if (strcmp(what, "e2el") == 0) value = first + rest;
        if (value > 0) out[(*n)++] = value;
    }
    if (*n > 0) return out;
    free(out);
    return NULL;
}

/* ---- what a record has ---------------------------------------------------------------------- */

struct measured {
    char name[64], label[96];
    bool seconds;
    double samples[STATS_MAX];
    size_t n;
};

struct measured_list {
    struct measured *items; /* ROWS_MAX */
    size_t n;
};

static void add(struct measured_list *list, bool seconds, const double *samples, size_t n,
                const char *format, ...) VINCI_PRINTF(5, 6);
static void add(struct measured_list *list, bool seconds, const double *samples, size_t n,
                const char *format, ...)
{
    struct measured *m = &list->items[list->n];
    size_t step = n / STATS_MAX + (n % STATS_MAX > 0);
    va_list args, again;
    if (list->n == ROWS_MAX || n == 0) return;
    *m = (struct measured){.seconds = seconds};
    va_start(args, format);
    va_copy(again, args);
    vsnprintf(m->name, sizeof m->name, format, args);
    vsnprintf(m->label, sizeof m->label, _(format), again);
    va_end(again);
    va_end(args);
    /* Of more samples than the exact test takes, every second or third, ... in their order. */
    for (size_t i = 0; i < n && m->n < STATS_MAX; i += step) m->samples[m->n++] = samples[i];
    list->n++;
}

static size_t numbers_of(const json_t *array, double out[STATS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(array) && n < STATS_MAX; i++) {
        double x = json_number_value(json_array_get(array, i));
        if (x > 0) out[n++] = x;
    }
    return n;
}

/* `amount` over each of the numbers. */
static size_t rates_of(const json_t *seconds, double amount, double out[STATS_MAX])
{
    size_t n = numbers_of(seconds, out);
    for (size_t i = 0; i < n; i++) out[i] = amount / out[i];
    return n;
}

static void gather_matrix(const json_t *root, struct measured_list *list)
{
    const json_t *row = NULL;
    double x[STATS_MAX];
    char name[64];
    size_t i = 0;
    json_array_foreach(json_object_get(root, "results"), i, row)
    {
        record_test_name(row, name);
        add(list, false, x, record_speeds(row, x), "%s", name);
    }
}

static void gather_iterations(const json_t *root, struct measured_list *list)
{
    const json_t *iterations = json_object_get(root, "iterations");
    const json_t *seconds = json_object_get(iterations, "seconds");
    double each = real_of(iterations, "max_new_tokens"), x[STATS_MAX];
    if (json_array_size(seconds) == 0 || !(each > 0)) return;
    double tokens = real_of(iterations, "tokens_generated") / (double)json_array_size(seconds);
    add(list, false, x, rates_of(seconds, tokens, x), N_("%.0f x tg%.0f, batch %.0f"),
        tokens / each, each, real_of(iterations, "batch_size"));
}

static void gather_prompts(const json_t *root, struct measured_list *list)
{
    const json_t *row = NULL;
    double x[STATS_MAX];
    size_t i = 0;
    json_array_foreach(json_object_get(root, "prompts"), i, row)
    {
        double tokens = real_of(row, "tokens");
        add(list, false, x,
            rates_of(json_object_get(row, "samples_first_token_seconds"), tokens, x),
            N_("prompt %zu, pp%.0f"), i + 1, tokens);
        add(list, false, x, numbers_of(json_object_get(row, "samples_decode_tokens_per_second"), x),
            N_("prompt %zu, tg @ d%.0f"), i + 1, tokens);
    }
}

static void gather_load(const json_t *root, struct measured_list *list)
{
    const json_t *load = json_object_get(root, "load");
    const json_t *cold = json_object_get(load, "cold"), *warm = json_object_get(load, "warm");
    double x[STATS_MAX];
    add(list, true, x, numbers_of(json_object_get(cold, "samples_open_seconds"), x),
        N_("cold opening, s"));
    add(list, true, x, numbers_of(json_object_get(cold, "samples_first_token_seconds"), x),
        N_("cold first token, s"));
    add(list, true, x, numbers_of(json_object_get(warm, "samples_open_seconds"), x),
        N_("warm opening, s"));
    add(list, true, x, numbers_of(json_object_get(warm, "samples_first_token_seconds"), x),
        N_("warm first token, s"));
}

static void gather_serve(const json_t *root, struct measured_list *list)
{
    size_t n = 0;
    if (!record_is_serve(root)) return;
    double *x = record_latencies(root, "ttft", &n);
    add(list, true, x, n, N_("first token, s"));
    free(x);
    x = record_latencies(root, "tpot", &n);
    add(list, true, x, n, N_("each token after, s"));
    free(x);
    x = record_latencies(root, "e2el", &n);
    add(list, true, x, n, N_("whole request, s"));
    free(x);
}

static bool gather(const json_t *root, struct measured_list *list)
{
    list->items = array_new_zero(ROWS_MAX, sizeof *list->items);
    if (!list->items) return false;
    gather_matrix(root, list);
    gather_iterations(root, list);
    gather_prompts(root, list);
    gather_load(root, list);
    gather_serve(root, list);
    return true;
}

/* ---- two of them ---------------------------------------------------------------------------- */

static const struct measured *find(const struct measured_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i].name, name) == 0) return &list->items[i];
    return NULL;
}

static void compare(struct comparison *out, const struct measured *x, const struct measured *y)
{
    struct stats_comparison result = stats_compare(x->samples, x->n, y->samples, y->n);
    struct compared *row = &out->rows[out->n++];
    *row = (struct compared){.seconds = y->seconds,
                             .before = stats_median(x->samples, x->n, 0.95),
                             .after = stats_median(y->samples, y->n, 0.95),
                             .ratio = result.ratio,
                             .p = result.p};
    memcpy(row->name, y->name, sizeof row->name);
    memcpy(row->label, y->label, sizeof row->label);
    if (result.p_min > out->p_least) out->p_least = result.p_min;
}

static void value_text(const json_t *object, const char *key, char text[41])
{
    const json_t *value = json_object_get(object, key);
    text[0] = '\0';
    if (json_is_string(value)) snprintf(text, 41, "%.40s", json_string_value(value));
    else if (json_is_number(value)) snprintf(text, 41, "%.12g", json_number_value(value));
}

/* What differs between the runs besides what was measured. */
static void find_differences(struct comparison *out, const json_t *before, const json_t *after)
{
    static const struct {
        const char *group, *key; /* NULL: the record itself */
    } places[] = {{"environment", "processor"}, {"environment", "kernel"},
                  {"environment", "governor"},  {"environment", "model_fingerprint"},
                  {"environment", "vinci"},     {NULL, "device"},
                  {NULL, "cpu_level"},          {NULL, "model_id"},
                  {NULL, "request_rate"},       {NULL, "threads"},
                  {NULL, "num_prompts"},        {NULL, "max_concurrency"}};
    _Static_assert(sizeof places / sizeof *places ==
                       sizeof out->differences / sizeof *out->differences,
                   "room for all");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct difference *d = &out->differences[out->n_differences];
        const char *group = places[i].group;
        d->key = places[i].key;
        value_text(group ? json_object_get(before, group) : before, d->key, d->before);
        value_text(group ? json_object_get(after, group) : after, d->key, d->after);
        if (strcmp(d->before, d->after) != 0) out->n_differences++;
    }
}

enum vinci_status comparison_make(struct comparison *out, const json_t *before, const json_t *after,
                                  struct vinci_error *err)
{
    struct measured_list a = {0}, b = {0};
    double p[ROWS_MAX];
    enum vinci_status status = VINCI_OK;
    *out = (struct comparison){.rows = array_new_zero(ROWS_MAX, sizeof *out->rows)};
    if (!out->rows || !gather(before, &a) || !gather(after, &b)) {
        status = fail_memory(err, ROWS_MAX * sizeof *a.items, "the comparison");
        goto cleanup;
    }
    for (size_t i = 0; i < b.n; i++) {
        const struct measured *other = find(&a, b.items[i].name);
        if (other) compare(out, other, &b.items[i]);
    }
    for (size_t i = 0; i < out->n; i++) p[i] = out->rows[i].p;
    stats_holm(p, out->n);
    for (size_t i = 0; i < out->n; i++) out->rows[i].p_holm = p[i];
    out->p_least *= (double)out->n;
    if (out->p_least > 1) out->p_least = 1;
    if (out->n == 0) status = fail(err, VINCI_USAGE, "the two records have no test in common");
    find_differences(out, before, after);
cleanup:
    free(a.items);
    free(b.items);
    if (status != VINCI_OK) comparison_free(out);
    return status;
}

void comparison_free(struct comparison *comparison)
{
    free(comparison->rows);
    *comparison = (struct comparison){0};
}

int compared_verdict(const struct compared *row)
{
    return row->p_holm >= 0.05 ? 0 : (row->ratio >= 1) != row->seconds ? 1 : -1;
}

const char *compared_verdict_text(const struct compared *row)
{
    int verdict = compared_verdict(row);
    return verdict == 0 ? _("may be chance") : verdict > 0 ? _("faster") : _("slower");
}
