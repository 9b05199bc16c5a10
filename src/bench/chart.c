/* chart.c - charts as SVG, 720 by 400 units. */
#include "bench/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 720, HEIGHT = 400, LEFT = 76, RIGHT = 24, TOP = 40, BOTTOM = 100 };

static const char style[] =
    ".chart text{font:13px system-ui,'Noto Sans','Noto Sans CJK SC','Microsoft YaHei',sans-serif;"
    "fill:#333}"
    ".chart .t{font-size:15px;font-weight:600}.chart .small{font-size:11px}"
    ".chart .grid{stroke:#ddd;stroke-width:1}.chart .axis{stroke:#666;stroke-width:1}"
    ".chart .whisker{stroke:#222;stroke-width:1.4;fill:none}"
    ".chart .line{fill:none;stroke-width:2.2}"
    ".chart .s0{fill:#1f5fa8;stroke:#1f5fa8}.chart .s1{fill:#e08214;stroke:#e08214}"
    ".chart .s2{fill:#2a9d63;stroke:#2a9d63}.chart .s3{fill:#b2367c;stroke:#b2367c}"
    ".chart .s4{fill:#7a6fc4;stroke:#7a6fc4}.chart .s5{fill:#555;stroke:#555}"
    ".chart path.line{fill:none}";

const char *chart_style(void)
{
    return style;
}

static bool append_escaped(struct buf *out, const char *text)
{
    bool ok = true;
    for (const char *c = text; *c && ok; c++)
        ok = *c == '&'   ? buf_append_text(out, "&amp;")
             : *c == '<' ? buf_append_text(out, "&lt;")
             : *c == '>' ? buf_append_text(out, "&gt;")
             : *c == '"' ? buf_append_text(out, "&quot;")
                         : buf_append(out, c, 1);
    return ok;
}

int chart_columns(const char *text)
{
    int columns = 0; /* wide characters have three bytes or more */
    for (const char *c = text; *c; c++)
        columns += ((unsigned char)*c & 0xc0) == 0x80 ? 0 : (unsigned char)*c >= 0xe0 ? 2 : 1;
    return columns;
}

static bool text_at(struct buf *out, double x, double y, const char *anchor, const char *kind,
                    const char *text)
{
    return buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s%s%s>", x, y, anchor,
                      *kind ? " class=\"" : "", kind, *kind ? "\"" : "") &&
           append_escaped(out, text) && buf_append_text(out, "</text>\n");
}

/* ---- axes ---------------------------------------------------------------------------------- */

struct scale {
    double min, max, step;
    bool log;
    double from, to; /* where they lie in the picture */
};

static double place(const struct scale *s, double value)
{
    double a = s->log ? log(s->min) : s->min, b = s->log ? log(s->max) : s->max;
    double v = s->log ? log(value > s->min ? value : s->min) : value;
    return s->from + (v - a) / (b - a) * (s->to - s->from);
}

/* 1, 2 or 5 times a power of ten: some `wanted` steps between least and most. */
static double nice_step(double range, int wanted)
{
    double raw = range / wanted, power = pow(10, floor(log10(raw))), share = raw / power;
    return power * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
}

static void widen(double value, bool log_axis, double *min, double *max)
{
    if (!isfinite(value) || (log_axis && value <= 0)) return;
    if (value < *min) *min = value;
    if (value > *max) *max = value;
}

static struct scale make_scale(const struct chart *chart, bool vertical, double from, double to)
{
    const struct chart_axis *axis = vertical ? &chart->y : &chart->x;
    double min = INFINITY, max = -INFINITY;
    for (size_t i = 0; i < chart->n_series; i++)
        for (size_t k = 0; k < chart->series[i].n; k++) {
            const struct chart_point *p = &chart->series[i].points[k];
            widen(vertical ? p->y : p->x, axis->log, &min, &max);
            if (vertical && p->high > 0) {
                widen(p->high, axis->log, &min, &max);
                widen(p->low, axis->log, &min, &max);
            }
        }
    if (axis->min < axis->max) {
        min = axis->min;
        max = axis->max;
    }
    if (!(min <= max)) min = 0, max = 1;
    if (axis->log) {
        if (!(min > 0)) min = max > 0 ? max / 10 : 0.1;
        double room = max > min ? 1.1 : 2;
        return (struct scale){min / room, max * room, 0, true, from, to};
    }
    if (axis->from_zero && min > 0) min = 0;
    if (max <= min) { /* one value: in the middle, or the top of what begins at zero */
        double around = min != 0 ? fabs(min) * 0.5 : 1;
        if (!axis->from_zero || min != 0) min -= around;
        max += around;
        if (axis->from_zero) min = 0;
    }
    /* Ticks will stand where the values are: some room beside the first and the last. */
    if (axis->chosen) {
        double room = 0.05 * (max - min);
        return (struct scale){min - room, max + room, nice_step(max - min, 7), false, from, to};
    }
    double step = nice_step(max - min, vertical ? 5 : 7);
    bool fixed = axis->min < axis->max;
    return (struct scale){fixed ? min : floor(min / step) * step,
                          fixed ? max : ceil(max / step * (1 + 1e-9)) * step,
                          step,
                          false,
                          from,
                          to};
}

static void format_value(double value, char text[24])
{
    double size = fabs(value);
    if (size >= 1e12) snprintf(text, 24, "%gT", value / 1e12);
    else if (size >= 1e9) snprintf(text, 24, "%gG", value / 1e9);
    else if (size >= 1e6) snprintf(text, 24, "%gM", value / 1e6);
    else if (size >= 1e4) snprintf(text, 24, "%gk", value / 1e3);
    else snprintf(text, 24, "%.6g", size < 1e-12 ? 0 : value);
}

static bool draw_tick(struct buf *out, const struct scale *s, double value, bool vertical)
{
    char text[24];
    double at = place(s, value);
    format_value(value, text);
    if (vertical)
        return buf_printf(out,
                          "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                          LEFT, WIDTH - RIGHT, at, at) &&
               text_at(out, LEFT - 8, at + 4, "end", "", text);
    return buf_printf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n",
                      at, at, TOP, HEIGHT - BOTTOM) &&
           text_at(out, at, HEIGHT - BOTTOM + 18, "middle", "", text);
}

enum { FEW = 9 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Where x takes few values, which somebody chose, those are the ticks: 1, 4, 16 sequences. Returns
 * how many, 0 when there are more or they would stand too close. */
static size_t few_values(const struct chart *chart, const struct scale *s, double values[FEW])
{
    size_t n = 0;
    for (size_t i = 0; i < chart->n_series; i++)
        for (size_t k = 0; k < chart->series[i].n && chart->series[i].markers; k++) {
            double x = chart->series[i].points[k].x;
            bool known = false;
            for (size_t j = 0; j < n; j++) known |= values[j] == x;
            if (known) continue;
            if (n == FEW) return 0;
            values[n++] = x;
        }
    qsort(values, n, sizeof *values, ascending);
    for (size_t j = 0; j + 1 < n; j++)
        if (place(s, values[j + 1]) - place(s, values[j]) < 24) return 0;
    return n;
}

static bool draw_ticks(struct buf *out, const struct chart *chart, const struct scale *s,
                       bool vertical)
{
    bool ok = true;
    double values[FEW];
    size_t n_values = vertical || !chart->x.chosen ? 0 : few_values(chart, s, values);
    for (size_t i = 0; i < n_values && ok; i++) ok = draw_tick(out, s, values[i], false);
    if (n_values > 0) return ok;
    if (!s->log) {
        for (int i = 0; i < 20 && ok; i++) {
            double value = ceil(s->min / s->step - 1e-9) * s->step + i * s->step;
            if (value > s->max * (1 + 1e-9) + 1e-12) break;
            ok = draw_tick(out, s, value, vertical);
        }
        return ok;
    }
    /* Powers of ten; with few of them also 2 and 5 times those. */
    double decades = log10(s->max / s->min);
    for (int power = (int)floor(log10(s->min)); power <= (int)ceil(log10(s->max)); power++) {
        static const int times[] = {1, 2, 5};
        for (int k = 0; k < (decades < 2.5 ? 3 : 1) && ok; k++) {
            double value = times[k] * pow(10, power);
            if (value >= s->min && value <= s->max) ok = draw_tick(out, s, value, vertical);
        }
    }
    return ok;
}

/* ---- data ---------------------------------------------------------------------------------- */

static bool draw_marker(struct buf *out, size_t series, double x, double y)
{
    switch (series % 3) {
    case 0:
        return buf_printf(out, "<circle class=\"s%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", series,
                          x, y);
    case 1:
        return buf_printf(out,
                          "<rect class=\"s%zu\" x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\"/>\n",
                          series, x - 4, y - 4);
    default:
        return buf_printf(out, "<path class=\"s%zu\" d=\"M%.1f %.1fl5 8h-10z\"/>\n", series, x,
                          y - 5);
    }
}

static bool draw_whisker(struct buf *out, const struct scale *y, double x,
                         const struct chart_point *p)
{
    if (!(p->high > p->low)) return true;
    double a = place(y, p->low), b = place(y, p->high);
    return buf_printf(out,
                      "<path class=\"whisker\" d=\"M%.1f %.1fV%.1fM%.1f %.1fh8M%.1f %.1fh8\"/>\n",
                      x, a, b, x - 4, a, x - 4, b);
}

/* Places that labels have taken. */
struct labels {
    struct {
        double x, y, width;
    } taken[CHART_POINTS_MAX];
    size_t n;
};

/* Beside the point, where no other label stands; left out where there is no room around it. */
static bool draw_label(struct buf *out, struct labels *labels, double x, double y, const char *text)
{
    static const double around[][2] = {{8, -8}, {-8, -8}, {8, 16}, {-8, 16}};
    double width = 7.0 * chart_columns(text);
    for (size_t k = 0; k < 4; k++) {
        double left = x + around[k][0] - (around[k][0] < 0 ? width : 0), at = y + around[k][1];
        bool free_place = left > LEFT && left + width < WIDTH - 4;
        for (size_t i = 0; i < labels->n && free_place; i++)
            free_place = fabs(labels->taken[i].y - at) > 12 ||
                         left > labels->taken[i].x + labels->taken[i].width + 3 ||
                         left + width + 3 < labels->taken[i].x;
        if (!free_place) continue;
        if (labels->n < CHART_POINTS_MAX) {
            labels->taken[labels->n].x = left;
            labels->taken[labels->n].y = at;
            labels->taken[labels->n++].width = width;
        }
        return text_at(out, left, at, "start", "small", text);
    }
    return true;
}

static bool draw_series(struct buf *out, const struct chart *chart, size_t i, const struct scale *x,
                        const struct scale *y, struct labels *labels)
{
    const struct chart_series *series = &chart->series[i];
    bool ok = true, pen_down = false;
    if (series->line) {
        ok = buf_printf(out, "<path class=\"line s%zu\" d=\"", i);
        for (size_t k = 0; k < series->n && ok; k++) {
            const struct chart_point *p = &series->points[k];
            if (!isfinite(p->y)) {
                pen_down = false;
                continue;
            }
            ok = buf_printf(out, "%s%.1f %.1f", pen_down ? "L" : "M", place(x, p->x),
                            place(y, p->y));
            pen_down = true;
        }
        ok = ok && buf_append_text(out, "\"/>\n");
    }
    for (size_t k = 0; k < series->n && ok; k++) {
        const struct chart_point *p = &series->points[k];
        if (!isfinite(p->y)) continue;
        /* Intervals of several series at one place stand side by side. */
        double aside = p->high > p->low ? 7 * ((double)i - (double)(chart->n_series - 1) / 2) : 0;
        double at_x = place(x, p->x) + aside, at_y = place(y, p->y);
        ok = draw_whisker(out, y, at_x, p);
        if (ok && series->markers) ok = draw_marker(out, i, at_x, at_y);
        if (ok && p->label) ok = draw_label(out, labels, at_x, at_y, p->label);
    }
    return ok;
}

static bool draw_bars(struct buf *out, const struct chart *chart, const struct scale *y)
{
    size_t n = 0;
    bool ok = true;
    for (size_t i = 0; i < chart->n_series; i++)
        n = chart->series[i].n > n ? chart->series[i].n : n;
    double group = (double)(WIDTH - LEFT - RIGHT) / (double)(n ? n : 1);
    double width = group * 0.76 / (double)(chart->n_series ? chart->n_series : 1);
    if (width > 60) width = 60;
    for (size_t i = 0; i < chart->n_series && ok; i++)
        for (size_t k = 0; k < chart->series[i].n && ok; k++) {
            const struct chart_point *p = &chart->series[i].points[k];
            double middle = LEFT + group * ((double)k + 0.5);
            double x = middle + width * ((double)i - (double)chart->n_series / 2);
            double top = place(y, isfinite(p->y) ? p->y : 0), bottom = place(y, y->min);
            char value[24];
            snprintf(value, sizeof value,
                     p->y < 1     ? "%.3g"
                     : p->y < 10  ? "%.2f"
                     : p->y < 100 ? "%.1f"
                                  : "%.0f",
                     p->y);
            ok = buf_printf(out,
                            "<rect class=\"s%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                            "height=\"%.1f\"/>\n",
                            i, x, top, width - 2, bottom - top);
            double above = p->high > p->low ? place(y, p->high) : top;
            ok = ok && draw_whisker(out, y, x + width / 2 - 1, p) &&
                 (width < 26 ||
                  text_at(out, x + width / 2 - 1, above - 6, "middle", "small", value));
            /* Long names stand slanted. */
            if (ok && i == 0 && p->label && group >= 7.0 * chart_columns(p->label))
                ok = text_at(out, middle, HEIGHT - BOTTOM + 18, "middle", "small", p->label);
            else if (ok && i == 0 && p->label)
                ok = buf_printf(out,
                                "<text class=\"small\" text-anchor=\"end\" "
                                "transform=\"translate(%.1f %d) rotate(-30)\">",
                                middle + 6, HEIGHT - BOTTOM + 16) &&
                     append_escaped(out, p->label) && buf_append_text(out, "</text>\n");
        }
    return ok;
}

static bool draw_legend(struct buf *out, const struct chart *chart)
{
    double x = LEFT, y = HEIGHT - 32;
    bool ok = true;
    for (size_t i = 0; i < chart->n_series && ok; i++) {
        const char *name = chart->series[i].name;
        if (!name) continue;
        double columns = chart_columns(name);
        /* Wide enough for the larger letters that a phone's page has. */
        if (x > LEFT && x + 14 + 10 * columns > WIDTH - RIGHT) {
            x = LEFT;
            y += 20;
        }
        ok = draw_marker(out, i, x + 5, y - 4) && text_at(out, x + 14, y, "start", "", name);
        x += 30 + 10 * columns;
    }
    return ok;
}

bool chart_svg(const struct chart *chart, bool alone, struct buf *out)
{
    struct scale x = make_scale(chart, false, LEFT, WIDTH - RIGHT);
    struct scale y = make_scale(chart, true, HEIGHT - BOTTOM, TOP);
    struct labels labels = {.n = 0};
    bool ok = buf_printf(out,
                         "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" "
                         "viewBox=\"0 0 %d %d\" role=\"img\"%s>\n",
                         WIDTH, HEIGHT, alone ? " width=\"720\" height=\"400\"" : "");
    ok = ok && buf_append_text(out, "<title>") && append_escaped(out, chart->title) &&
         buf_append_text(out, "</title>\n");
    if (chart->description)
        ok = ok && buf_append_text(out, "<desc>") && append_escaped(out, chart->description) &&
             buf_append_text(out, "</desc>\n");
    if (alone)
        ok = ok && buf_printf(out,
                              "<style>%s</style>\n<rect width=\"%d\" height=\"%d\" "
                              "fill=\"#fff\"/>\n",
                              style, WIDTH, HEIGHT);
    ok = ok && text_at(out, LEFT, 20, "start", "t", chart->title);
    ok = ok && draw_ticks(out, chart, &y, true) &&
         (chart->bars || draw_ticks(out, chart, &x, false));
    ok = ok && buf_printf(out, "<path class=\"axis\" fill=\"none\" d=\"M%d %dV%dH%d\"/>\n", LEFT,
                          TOP, HEIGHT - BOTTOM, WIDTH - RIGHT);
    if (chart->y.title)
        ok = ok &&
             buf_printf(out,
                        "<text text-anchor=\"middle\" transform=\"translate(16 %d) "
                        "rotate(-90)\">",
                        (TOP + HEIGHT - BOTTOM) / 2) &&
             append_escaped(out, chart->y.title) && buf_append_text(out, "</text>\n");
    if (chart->x.title)
        ok = ok && text_at(out, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - BOTTOM + 38, "middle", "",
                           chart->x.title);
    if (chart->bars) ok = ok && draw_bars(out, chart, &y);
    for (size_t i = 0; i < chart->n_series && ok && !chart->bars; i++)
        ok = draw_series(out, chart, i, &x, &y, &labels);
    return ok && draw_legend(out, chart) && buf_append_text(out, "</svg>\n");
}
