/* report_tables.c - the tables of the page: every figure of the record. */
#include "base/lang.h"
#include "base/units.h"
#include "bench/compare.h"
#include "bench/report_parts.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

static bool report_text_line(struct buf *out, const char *format, ...) VINCI_PRINTF(2, 3);
static bool report_text_line(struct buf *out, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return html_text(out, text);
}

bool report_cell(struct buf *out, bool number, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return buf_append_text(out, number ? "<td class=\"n\">" : "<td>") && html_text(out, text) &&
           buf_append_text(out, "</td>");
}

static const char *test_text(const json_t *row)
{
    return report_is(row, "decode")    ? _("generating")
           : report_is(row, "prefill") ? _("reading")
                                       : _("first token");
}

bool report_write_results(struct buf *out, const json_t *root)
{
    const json_t *results = json_object_get(root, "results"), *row = NULL;
    size_t i = 0;
    if (json_array_size(results) == 0) return true;
    bool ok = buf_printf(out,
                         "<h2>%s</h2>\n<div class=\"wide\"><table><thead><tr><th>%s</th><th>%s</th>"
                         "<th>%s</th><th>%s</th><th>%s</th><th>%s</th><th>%s</th><th>%s</th></tr>"
                         "</thead><tbody>\n",
                         _("Every test"), _("test"), _("tokens"), _("before them"), _("sequences"),
                         _("tokens/s (median)"), _("interval"), _("repetitions"),
                         _("share of the limit"));
    json_array_foreach(results, i, row)
    {
        double share = report_real(row, "share");
        ok = ok && buf_append_text(out, "<tr>") && report_cell(out, false, "%s", test_text(row)) &&
             report_cell(out, true, "%.0f", report_real(row, "tokens")) &&
             report_cell(out, true, "%.0f", report_real(row, "depth")) &&
             report_cell(out, true, "%.0f", report_real(row, "batch")) &&
             report_cell(out, true, "%.2f", report_real(row, "tokens_per_second")) &&
             report_cell(out, true, "%.2f – %.2f (%.0f %%)", report_real(row, "median_low"),
                         report_real(row, "median_high"),
                         100 * report_real(row, "median_coverage")) &&
             report_cell(out, true, "%zu",
                         json_array_size(json_object_get(row, "samples_seconds"))) &&
             (share > 0 ? report_cell(out, true, "%.0f %%", 100 * share)
                        : report_cell(out, true, "–")) &&
             buf_append_text(out, "</tr>\n");
    }
    return ok && buf_append_text(out, "</tbody></table></div>\n");
}

bool report_write_prompts(struct buf *out, const json_t *root)
{
    const json_t *prompts = json_object_get(root, "prompts"), *row = NULL;
    char wait[16];
    size_t i = 0;
    if (json_array_size(prompts) == 0) return true;
    bool ok = buf_printf(
        out,
        "<h2>%s</h2>\n<div class=\"wide\"><table><thead><tr><th>%s</th><th class=\"l\">%s</th>"
        "<th>%s</th><th>%s</th><th>%s</th><th>%s</th></tr></thead><tbody>\n",
        _("Prompts"), _("no."), _("prompt"), _("tokens"), _("first token after"),
        _("reading, tokens/s"), _("generating, tokens/s"));
    json_array_foreach(prompts, i, row) ok =
        ok && buf_append_text(out, "<tr>") && report_cell(out, false, "%zu", i + 1) &&
        report_cell(out, false, "%s", report_text(row, "text")) &&
        report_cell(out, true, "%.0f", report_real(row, "tokens")) &&
        report_cell(out, true, "%s",
                    format_seconds(report_real(row, "first_token_seconds"), wait)) &&
        report_cell(out, true, "%.1f", report_real(row, "prefill_tokens_per_second")) &&
        report_cell(out, true, "%.1f", report_real(row, "decode_tokens_per_second")) &&
        buf_append_text(out, "</tr>\n");
    return ok && buf_append_text(out, "</tbody></table></div>\n");
}

bool report_write_comparison(struct buf *out, const struct comparison *comparison)
{
    if (!comparison) return true;
    bool ok = buf_printf(
        out,
        "<div class=\"wide\"><table class=\"names\"><thead><tr><th>%s</th><th>%s</th><th>%s</th>"
        "<th>%s</th><th>%s</th><th>%s</th></tr></thead><tbody>\n",
        _("test"), _("before"), _("after"), _("change"), _("p (Holm)"), _("verdict"));
    for (size_t i = 0; i < comparison->n && ok; i++) {
        const struct compared *row = &comparison->rows[i];
        const char *number = row->seconds ? "%.4g" : "%.2f";
        ok = buf_append_text(out, "<tr>") && report_cell(out, false, "%s", row->label) &&
             report_cell(out, true, number, row->before.median) &&
             report_cell(out, true, number, row->after.median) &&
             report_cell(out, true, "%+.1f %%", 100 * (row->ratio - 1)) &&
             report_cell(out, true, "%.2g", row->p_holm) &&
             report_cell(out, true, "%s", compared_verdict_text(row)) &&
             buf_append_text(out, "</tr>\n");
    }
    ok = ok && buf_append_text(out, "</tbody></table></div>\n");
    for (size_t i = 0; i < comparison->n_differences && ok; i++) {
        const struct difference *d = &comparison->differences[i];
        ok = buf_append_text(out, "<p class=\"under\">") &&
             report_text_line(out, _("The runs differ: %s: %s before, %s after."), d->key,
                              d->before, d->after) &&
             buf_append_text(out, "</p>\n");
    }
    return ok;
}

static bool write_object(struct buf *out, const json_t *object)
{
    const char *key = NULL;
    json_t *value = NULL;
    bool ok = true;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t n = strlen(key);
        if (!ok) break;
        /* What stands in a table of its own, or was the key of an object before. */
        if (n > 3 && strcmp(key + n - 3, "_ms") == 0) continue;
        if (strcmp(key, "vinci") == 0 && json_object_get(object, "environment")) continue;
        if (json_is_string(value) && json_string_value(value)[0])
            ok = buf_printf(out, "<tr><th>%s</th>", key) &&
                 report_cell(out, false, "%s", json_string_value(value)) &&
                 buf_append_text(out, "</tr>\n");
        else if (json_is_number(value))
            ok = buf_printf(out, "<tr><th>%s</th>", key) &&
                 report_cell(out, false, "%.12g", json_number_value(value)) &&
                 buf_append_text(out, "</tr>\n");
    }
    return ok;
}

bool report_write_environment(struct buf *out, const json_t *root)
{
    return buf_printf(out,
                      "<h2>%s</h2>\n<div class=\"wide\"><table class=\"environment\"><tbody>\n",
                      _("Where it was measured")) &&
           write_object(out, json_object_get(root, "environment")) && write_object(out, root) &&
           write_object(out, json_object_get(root, "memory")) &&
           write_object(out, json_object_get(root, "npu")) &&
           buf_append_text(out, "</tbody></table></div>\n");
}
