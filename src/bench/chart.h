/* chart.h - charts of a benchmark as SVG: lines and points over linear or logarithmic axes, bars
 * with intervals. Plain shapes and text, so that pages can style them and nothing else is needed.
 *
 * Colours are those of classes s0 ... s5, which a page's style sheet or chart_style() defines: they
 * differ in lightness too, and each series has its own marker, so print and colour-blind readers
 * can tell them apart. */
#ifndef VINCI_BENCH_CHART_H
#define VINCI_BENCH_CHART_H

#include "base/buf.h"

enum { CHART_SERIES_MAX = 6, CHART_POINTS_MAX = 512 };

struct chart_point {
    double x, y;
    double low, high;  /* an interval of y; both 0: none */
    const char *label; /* beside the point, or below the bar; may be NULL */
};

struct chart_series {
    const char *name; /* NULL: not in the legend */
    const struct chart_point *points;
    size_t n;
    bool line, markers;
};

struct chart_axis {
    const char *title;
    bool log;
    bool from_zero;
    bool chosen;     /* the x values were chosen by somebody: they are the ticks if they are few */
    double min, max; /* both 0: from the data */
};

struct chart {
    const char *title, *description; /* description: for those who do not see it */
    struct chart_axis x, y;
    const struct chart_series *series; /* [n_series] */
    size_t n_series;
    bool bars; /* points are bars side by side, x is not used */
};

/* `alone`: with background and style, to be a file by itself. False: no memory. */
bool chart_svg(const struct chart *chart, bool alone, struct buf *out);

/* Columns of a text where letters all are as wide, and Chinese ones twice as wide. */
int chart_columns(const char *text);

/* Rules for the classes, to stand in a <style>. */
const char *chart_style(void);

#endif
