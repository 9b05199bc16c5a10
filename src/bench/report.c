/* report.c - the page. Its parts: report_words.c (summary, warnings), report_charts.c,
 * report_tables.c, report_serve.c (a server under load).
 *
 * Everything on the page is from the record. What is computed from it and not measured says
 * "estimated". */
#include "bench/report.h"

#include "base/lang.h"
#include "base/units.h"
#include "bench/chart.h"
#include "bench/compare.h"
#include "bench/report_parts.h"

#include <math.h>
#include <string.h>

double report_real(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *report_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

bool report_is(const json_t *row, const char *test)
{
    return strcmp(report_text(row, "test"), test) == 0;
}

const json_t *report_find(const json_t *root, const char *test, double tokens, double depth,
                          double batch)
{
    const json_t *row = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(root, "results"), i,
                       row) if (report_is(row, test) &&
                                (tokens < 0 || report_real(row, "tokens") == tokens) &&
                                (depth < 0 || report_real(row, "depth") == depth) &&
                                (batch < 0 || report_real(row, "batch") == batch)) return row;
    return NULL;
}

bool html_text(struct buf *out, const char *text)
{
    bool ok = true;
    for (const char *c = text; *c && ok; c++)
        ok = *c == '&'   ? buf_append_text(out, "&amp;")
             : *c == '<' ? buf_append_text(out, "&lt;")
             : *c == '>' ? buf_append_text(out, "&gt;")
                         : buf_append(out, c, 1);
    return ok;
}

/* ---- the page ------------------------------------------------------------------------------- */

static const char page_style[] =
    ":root{color-scheme:light}*{box-sizing:border-box}"
    "body{font:16px/1.55 system-ui,'Noto Sans','Noto Sans CJK SC','PingFang SC','Microsoft YaHei',"
    "sans-serif;color:#222;background:#fff;margin:0 auto;padding:1.2rem;max-width:60rem}"
    "h1{font-size:1.6rem;line-height:1.25;margin:.4rem 0;overflow-wrap:anywhere}"
    "h2{font-size:1.15rem;margin:1.8rem 0 .5rem}p.under{color:#555;margin:.2rem 0 1rem}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.7rem}"
    ".card{border:1px solid #d5d9de;border-radius:.5rem;padding:.6rem .8rem}"
    ".card b{display:block;font-size:1.5rem;color:#1f5fa8}.card span{color:#555;font-size:.85rem}"
    ".warning{background:#fff6e0;border-left:4px solid #e08214;padding:.6rem .6rem .6rem 2rem}"
    ".charts{display:grid;grid-template-columns:1fr;gap:1rem}"
    "figure{margin:0;break-inside:avoid}figcaption{color:#555;font-size:.88rem}"
    "svg.chart{width:100%;height:auto;border:1px solid #e3e6ea;border-radius:.4rem;background:#fff}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;width:100%}"
    "td,th{padding:.28rem .55rem;border-bottom:1px solid #e3e6ea;text-align:left}"
    "thead th{text-align:right;vertical-align:bottom}thead th:first-child,thead "
    "th.l{text-align:left}"
    ".names "
    "td:first-child{white-space:nowrap}td.n{text-align:right;font-variant-numeric:tabular-nums;"
    "white-space:nowrap}"
    ".environment th{font-weight:500;color:#555;white-space:nowrap}"
    ".environment td{overflow-wrap:anywhere}footer{color:#777;font-size:.82rem;margin-top:2rem}"
    "@media (max-width:40rem){body{padding:.7rem}.chart text{font-size:19px}.chart "
    ".t{font-size:22px}"
    ".chart .small{font-size:16px}td,th{padding:.28rem .35rem}ul{padding-left:1.3rem}}"
    "@media print{body{max-width:none;padding:0;font-size:11pt}h2{break-after:avoid}"
    "tr{break-inside:avoid}.wide{overflow:visible}}";

static bool card(struct buf *out, const char *title, const char *text)
{
    return buf_append_text(out, "<div class=\"card\"><b>") && html_text(out, text) &&
           buf_append_text(out, "</b><span>") && html_text(out, title) &&
           buf_append_text(out, "</span></div>\n");
}

bool report_card(struct buf *out, const char *title, const char *format, double value)
{
    char text[64];
    snprintf(text, sizeof text, format, value);
    return !isfinite(value) || card(out, title, text);
}

bool report_card_seconds(struct buf *out, const char *title, double seconds)
{
    char text[16];
    return !(seconds > 0) || card(out, title, format_seconds(seconds, text));
}

static bool card_bytes(struct buf *out, const char *title, double bytes)
{
    char text[16];
    return !(bytes > 0) || card(out, title, format_bytes((uint64_t)bytes, text));
}

static bool write_cards(struct buf *out, const json_t *root)
{
    const json_t *one = report_find(root, "decode", -1, 0, 1);
    const json_t *many = report_largest(root, "decode", "tokens_per_second", 0);
    const json_t *prompt = report_largest(root, "prefill", "tokens_per_second", -1);
    const json_t *first = report_largest(root, "first token", "tokens", -1);
    const json_t *memory = json_object_get(root, "memory"), *npu = json_object_get(root, "npu");
    const json_t *load = json_object_get(root, "load"), *warm = json_object_get(load, "warm");
    const json_t *cold = json_object_get(load, "cold");
    return buf_append_text(out, "<div class=\"cards\">\n") &&
           report_card(out, _("tokens/s over all iterations"), "%.1f",
                       report_real(json_object_get(root, "iterations"), "tokens_per_second")) &&
           report_card(out, _("tokens/s, one sequence"), "%.1f",
                       report_real(one, "tokens_per_second")) &&
           (many == one || report_card(out, _("tokens/s, several sequences together"), "%.1f",
                                       report_real(many, "tokens_per_second"))) &&
           report_card(out, _("tokens/s reading a prompt"), "%.0f",
                       report_real(prompt, "tokens_per_second")) &&
           report_card_seconds(out, _("until the first token"), report_real(first, "seconds")) &&
           report_card_seconds(out, _("until the first token, files in memory"),
                               report_real(warm, "first_token_seconds")) &&
           report_card_seconds(out, _("until the first token, files not in memory"),
                               report_real(cold, "first_token_seconds")) &&
           report_serve_cards(out, root) &&
           report_card(out, _("share of the memory's limit"), "%.0f %%",
                       100 * report_real(one, "share")) &&
           card_bytes(out, _("memory in use, mapped files included"),
                      report_real(memory, "own") + report_real(memory, "mapped")) &&
           card_bytes(out, _("memory of the NPU in use, most"), report_real(npu, "memory_most")) &&
           buf_append_text(out, "</div>\n");
}

/* "a · b · c", without what is empty. */
static bool part(struct buf *out, const char *text, bool *any)
{
    if (!*text) return true;
    bool ok = (!*any || buf_append_text(out, " · ")) && html_text(out, text);
    *any = true;
    return ok;
}

static bool write_under(struct buf *out, const json_t *root)
{
    const json_t *environment = json_object_get(root, "environment");
    const json_t *npu = json_object_get(root, "npu");
    char text[160];
    bool any = false, ok = buf_append_text(out, "<p class=\"under\">");
    if (npu) {
        snprintf(text, sizeof text, "%s, CANN %s", report_text(npu, "name"),
                 report_text(npu, "cann"));
        ok = ok && part(out, text, &any);
    }
    ok = ok && part(out, report_text(environment, "processor"), &any);
    if (!npu && report_real(root, "threads") > 0) {
        snprintf(text, sizeof text, _("%.0f threads"), report_real(root, "threads"));
        ok = ok && part(out, text, &any);
    }
    ok = ok && part(out, report_text(root, "cpu_level"), &any) &&
         part(out, report_text(environment, "time"), &any) &&
         part(out, report_text(root, "date"), &any);
    snprintf(text, sizeof text, "vinci %s", report_text(root, "vinci"));
    if (*report_text(root, "vinci")) ok = ok && part(out, text, &any);
    return ok && buf_append_text(out, "</p>\n");
}

const char *report_model_name(const json_t *root)
{
    const char *path = report_text(root, "model"), *slash = strrchr(path, '/');
    if (!*path) return report_text(root, "model_id");
    return slash && slash[1] ? slash + 1 : path;
}

static bool write_head(struct buf *out, const json_t *root, const char *language)
{
    const char *name = report_model_name(root);
    return buf_printf(out,
                      "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width, "
                      "initial-scale=1\">\n<title>",
                      strcmp(language, "zh_CN") == 0 ? "zh-CN" : "en") &&
           html_text(out, *name ? name : "vinci") &&
           buf_printf(out, " – vinci bench</title>\n<style>%s%s</style>\n</head>\n<body>\n<h1>",
                      chart_style(), page_style) &&
           html_text(out, _("How fast is it?")) && buf_append_text(out, " ") &&
           html_text(out, name) && buf_append_text(out, "</h1>\n") && write_under(out, root);
}

enum vinci_status report_html(const json_t *root, const struct comparison *comparison,
                              const char *language, struct buf *out, struct vinci_error *err)
{
    bool ok = write_head(out, root, language) && write_cards(out, root) &&
              report_write_summary(out, root, comparison) &&
              buf_printf(out, "<h2>%s</h2>\n", comparison ? _("Before and after") : _("Charts")) &&
              report_write_comparison(out, comparison) &&
              buf_append_text(out, "<div class=\"charts\">\n") &&
              report_write_charts(out, root, comparison) && buf_append_text(out, "</div>\n") &&
              report_write_serve(out, root) && report_write_results(out, root) &&
              report_write_prompts(out, root) && report_write_environment(out, root);
    ok = ok && buf_append_text(out, "<footer>") &&
         html_text(out,
                   _("Medians; intervals from order statistics with the coverage shown. Points "
                     "marked as estimated, and every roof, are computed from the machine's "
                     "measured limits; everything else was measured in this run. Shares compare "
                     "with a limit that was measured right before each repetition.")) &&
         buf_append_text(out, "</footer>\n</body>\n</html>\n");
    return ok ? VINCI_OK : fail_memory(err, out->size, "the report");
}
