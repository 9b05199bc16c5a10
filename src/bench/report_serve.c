/* report_serve.c - what the page says of a server under load: a record of `vinci bench serve`, or
 * of vLLM's own benchmark, whose form it has. */
#include "base/lang.h"
#include "base/units.h"
#include "bench/compare.h"
#include "bench/load.h"
#include "bench/report_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *key, *name;
} latencies[] = {{"ttft", N_("first token")},
                 {"tpot", N_("each token after the first")},
                 {"e2el", N_("whole request")}};
enum { N_LATENCIES = 3 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double *report_latencies(const json_t *root, const char *what, size_t *n)
{
    double *x = record_latencies(root, what, n);
    if (x) qsort(x, *n, sizeof *x, ascending);
    return x;
}

static double percentile(const json_t *root, const char *what, double p)
{
    size_t n = 0;
    double *x = report_latencies(root, what, &n);
    double value = x ? load_percentile(x, (uint32_t)n, p) : (double)NAN;
    free(x);
    return value;
}

bool report_say_serve(struct buf *out, const json_t *root)
{
    char a[16], b[16], c[16];
    if (!record_is_serve(root)) return true;
    double median = percentile(root, "ttft", 50), late = percentile(root, "ttft", 99);
    double each = percentile(root, "tpot", 50);
    bool ok = report_sentence(
        out,
        _("%.0f requests in %s: %.2f requests and %.1f generated tokens per second, all together "
          "(measured)."),
        report_real(root, "completed"), format_seconds(report_real(root, "duration"), a),
        report_real(root, "request_throughput"), report_real(root, "output_throughput"));
    if (!(median > 0)) return ok;
    ok = ok && report_sentence(out,
                               _("Half of them had their first token within %s, 99 of 100 within "
                                 "%s (measured)."),
                               format_seconds(median, b), format_seconds(late, c));
    if (each > 0)
        ok =
            ok && report_sentence(out,
                                  _("After it a token came every %s in the median: %.1f tokens per "
                                    "second for each request (measured)."),
                                  format_seconds(each, a), 1 / each);
    if (late > 4 * median)
        ok = ok && report_sentence(
                       out, _("Some waited more than four times as long as most: they stood in "
                              "a queue. The lever is fewer requests at once, more of them "
                              "side by side in the server (--parallel), or a second server."));
    return ok;
}

bool report_serve_cards(struct buf *out, const json_t *root)
{
    if (!record_is_serve(root)) return true;
    return report_card(out, _("requests per second"), "%.2f",
                       report_real(root, "request_throughput")) &&
           report_card(out, _("generated tokens/s, all together"), "%.1f",
                       report_real(root, "output_throughput")) &&
           report_card_seconds(out, _("until the first token, median"),
                               percentile(root, "ttft", 50)) &&
           report_card_seconds(out, _("until the first token, 99 %"),
                               percentile(root, "ttft", 99)) &&
           report_card_seconds(out, _("each token after it, median"),
                               percentile(root, "tpot", 50)) &&
           report_card_seconds(out, _("whole request, median"), percentile(root, "e2el", 50));
}

bool report_write_serve(struct buf *out, const json_t *root)
{
    static const double wanted[] = {50, 90, 99};
    bool ok = true;
    if (!record_is_serve(root)) return true;
    ok = buf_printf(out,
                    "<h2>%s</h2>\n<div class=\"wide\"><table><thead><tr><th>%s</th><th>%s</th>"
                    "<th>%s</th><th>p90</th><th>p99</th><th>%s</th></tr></thead><tbody>\n",
                    _("Times of the requests"), _("time"), _("requests"), _("median"), _("most"));
    for (size_t i = 0; i < N_LATENCIES && ok; i++) {
        size_t n = 0;
        char text[16];
        double *x = report_latencies(root, latencies[i].key, &n);
        if (!x) continue;
        ok = buf_append_text(out, "<tr>") && report_cell(out, false, "%s", _(latencies[i].name)) &&
             report_cell(out, true, "%zu", n);
        for (size_t k = 0; k < 3 && ok; k++)
            ok = report_cell(out, true, "%s",
                             format_seconds(load_percentile(x, (uint32_t)n, wanted[k]), text));
        ok = ok && report_cell(out, true, "%s", format_seconds(x[n - 1], text)) &&
             buf_append_text(out, "</tr>\n");
        free(x);
    }
    return ok && buf_append_text(out, "</tbody></table></div>\n");
}
