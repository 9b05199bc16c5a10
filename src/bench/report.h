/* report.h - what people look at, made from the record of a benchmark run (cli/bench_record.h): one
 * page without any address outside itself, single charts, and warnings in words. */
#ifndef VINCI_BENCH_REPORT_H
#define VINCI_BENCH_REPORT_H

#include "base/buf.h"

#include <jansson.h>

struct comparison;

/* `comparison`: with an earlier run, or NULL. `language`: "en", "zh_CN",
 * for the page's own mark; its words are in the program's language. */
enum vinci_status report_html(const json_t *root, const struct comparison *comparison,
                              const char *language, struct buf *out, struct vinci_error *err);

/* The chart that tells most, as SVG with its own background, to stand alone; of a comparison, that
 * of both runs. USAGE: nothing in the record can be drawn. */
enum vinci_status report_main_chart(const json_t *root, const struct comparison *comparison,
                                    struct buf *out, struct vinci_error *err);

/* ... in letters, 80 columns wide. */
enum vinci_status report_terminal(const json_t *root, const struct comparison *comparison,
                                  struct buf *out, struct vinci_error *err);

/* An SVG as a PNG file, twice as large. UNSUPPORTED when vinci was built without librsvg. */
enum vinci_status report_png(const struct buf *svg, const char *path, struct vinci_error *err);

/* What makes the figures doubtful: others at work, wide spread, drift. */
struct report_warnings {
    char texts[6][400];
    size_t n;
};
void report_find_warnings(const json_t *root, struct report_warnings *out);

#endif
