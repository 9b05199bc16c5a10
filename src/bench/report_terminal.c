/* report_terminal.c - the main chart in letters: a bar a line, groups with a scale of their own. */
#include "base/lang.h"
#include "bench/chart.h"
#include "bench/compare.h"
#include "bench/report.h"
#include "bench/report_parts.h"

#include <stdlib.h>
#include <string.h>

enum { BARS_MAX = 256, LABEL = 24, BAR = 36 };

struct bar {
    char label[100];
    double value;
};

struct bars {
    struct bar items[BARS_MAX];
    size_t n;
};

static void add(struct bars *bars, const char *label, double value)
{
    if (bars->n == BARS_MAX || !(value >= 0)) return;
    snprintf(bars->items[bars->n].label, sizeof bars->items[0].label, "%s", label);
    bars->items[bars->n++].value = value;
}

/* Writes the bars and empties the list. */
static bool draw(struct buf *out, const char *title, struct bars *bars, const char *unit)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    double most = 0;
    bool ok = bars->n == 0 || buf_printf(out, "%s\n", title);
    for (size_t i = 0; i < bars->n; i++)
        if (bars->items[i].value > most) most = bars->items[i].value;
    for (size_t i = 0; i < bars->n && ok; i++) {
        const struct bar *bar = &bars->items[i];
        int eighth = most > 0 ? (int)(bar->value / most * BAR * 8 + 0.5) : 0;
        int gap = LABEL - chart_columns(bar->label);
        ok = buf_printf(out, "  %s%*s", bar->label, gap > 0 ? gap : 0, "");
        for (int k = 0; k < eighth / 8 && ok; k++) ok = buf_append_text(out, "█");
        ok = ok && buf_printf(out, "%s %.*f%s\n", eighths[eighth % 8],
                              bar->value < 0.1  ? 4
                              : bar->value < 10 ? 3
                                                : 1,
                              bar->value, unit);
    }
    bars->n = 0;
    return ok;
}

static bool draw_matrix(struct buf *out, const json_t *root, struct bars *bars)
{
    static const struct {
        const char *test, *title;
    } kinds[] = {{"prefill", N_("reading, tokens/s")},
                 {"decode", N_("generating, tokens/s")},
                 {"first token", N_("reading up to the first token, tokens/s")}};
    bool ok = true;
    for (size_t k = 0; k < 3 && ok; k++) {
        const json_t *row = NULL;
        size_t i = 0;
        json_array_foreach(json_object_get(root, "results"), i, row)
        {
            char name[64];
            if (!report_is(row, kinds[k].test)) continue;
            record_test_name(row, name);
            add(bars, name, report_real(row, "tokens_per_second"));
        }
        ok = draw(out, _(kinds[k].title), bars, "");
    }
    return ok;
}

static bool draw_iterations(struct buf *out, const json_t *root, struct bars *bars)
{
    const json_t *seconds = json_object_get(json_object_get(root, "iterations"), "seconds");
    for (size_t i = 0; i < json_array_size(seconds); i++) {
        char label[32];
        snprintf(label, sizeof label, "%zu", i + 1);
        add(bars, label, json_number_value(json_array_get(seconds, i)));
    }
    return draw(out, _("Time of each iteration"), bars, " s");
}

static bool draw_prompts(struct buf *out, const json_t *root, struct bars *bars)
{
    static const struct {
        const char *key, *title, *unit;
    } kinds[] = {{"first_token_seconds", N_("first token, by prompt"), " s"},
                 {"decode_tokens_per_second", N_("generating after each prompt, tokens/s"), ""}};
    bool ok = true;
    for (size_t k = 0; k < 2 && ok; k++) {
        const json_t *row = NULL;
        size_t i = 0;
        json_array_foreach(json_object_get(root, "prompts"), i, row)
        {
            char label[64];
            snprintf(label, sizeof label, _("%zu (%.0f tokens)"), i + 1,
                     report_real(row, "tokens"));
            add(bars, label, report_real(row, kinds[k].key));
        }
        ok = draw(out, _(kinds[k].title), bars, kinds[k].unit);
    }
    return ok;
}

static bool draw_load(struct buf *out, const json_t *root, struct bars *bars)
{
    const json_t *load = json_object_get(root, "load"), *cold = json_object_get(load, "cold");
    const json_t *warm = json_object_get(load, "warm");
    add(bars, _("cold opening"), report_real(cold, "open_seconds"));
    add(bars, _("cold first token"), report_real(cold, "first_token_seconds"));
    add(bars, _("warm opening"), report_real(warm, "open_seconds"));
    add(bars, _("warm first token"), report_real(warm, "first_token_seconds"));
    return draw(out, _("From the command to the first token"), bars, " s");
}

static bool draw_serve(struct buf *out, const json_t *root, struct bars *bars)
{
    if (!record_is_serve(root)) return true;
    add(bars, _("first token"), report_real(root, "median_ttft_ms"));
    add(bars, _("each token after"), report_real(root, "median_tpot_ms"));
    add(bars, _("whole request"), report_real(root, "median_e2el_ms"));
    return draw(out, _("Times of the requests, medians"), bars, " ms");
}

enum vinci_status report_terminal(const json_t *root, const struct comparison *comparison,
                                  struct buf *out, struct vinci_error *err)
{
    struct bars *bars = calloc(1, sizeof *bars);
    bool ok = bars != NULL;
    if (comparison) {
        for (size_t i = 0; ok && i < comparison->n; i++) {
            const struct compared *row = &comparison->rows[i];
            add(bars, row->label, 100 * (row->seconds ? 1 / row->ratio : row->ratio));
        }
        ok = ok && draw(out, _("Speed after, the run before being 100 %"), bars, " %");
    } else {
        ok = ok && draw_matrix(out, root, bars) && draw_iterations(out, root, bars) &&
             draw_prompts(out, root, bars) && draw_load(out, root, bars) &&
             draw_serve(out, root, bars);
    }
    free(bars);
    if (!ok) return fail_memory(err, out->size, "the chart");
    return out->size > 0 ? VINCI_OK : fail(err, VINCI_USAGE, "the record has nothing to draw");
}
