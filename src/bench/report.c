/* report.c - the page: summary in words, charts, tables. The charts themselves are chosen in
 * report_charts.c.
 *
 * Everything on the page is from the record. What is computed from it and not measured says
 * "estimated". */
#include "bench/report.h"

#include "base/lang.h"
#include "bench/chart.h"
#include "bench/report_parts.h"
#include "bench/stats.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
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

/* ---- warnings ------------------------------------------------------------------------------- */

void report_find_warnings(const json_t *root, struct report_warnings *out)
{
    const json_t *row = NULL;
    size_t i = 0, n_wide = 0, n_drift = 0, n = json_array_size(json_object_get(root, "results"));
    double others = report_real(json_object_get(root, "usage"), "mean_others"), widest = 0;
    *out = (struct report_warnings){.n = 0};
    json_array_foreach(json_object_get(root, "results"), i, row)
    {
        double spread = report_real(row, "spread");
        n_wide += spread > 0.05;
        if (spread > widest) widest = spread;
        /* Several rows are looked at: by chance alone one in a hundred would pass 0.01. */
        n_drift += report_real(row, "trend_p") * (double)n < 0.05;
    }
    if (others > 0.05)
        snprintf(out->texts[out->n++], sizeof out->texts[0],
                 _("other programs used %.0f %% of the processors meanwhile: figures are lower and "
                   "vary more than on a quiet machine"),
                 100 * others);
    if (n_wide > 0)
        snprintf(
            out->texts[out->n++], sizeof out->texts[0],
            _("%zu of %zu tests vary by more than 5 %% between the quartiles and the median (the "
              "widest by %.0f %%): compare medians and intervals, not single figures"),
            n_wide, n, 100 * widest);
    if (n_drift > 0)
        snprintf(out->texts[out->n++], sizeof out->texts[0],
                 _("%zu of %zu tests drift from repetition to repetition: the machine was not in a "
                   "steady state (clock, heat, other programs); repeat with a larger --repeat"),
                 n_drift, n);
}

/* ---- the summary ---------------------------------------------------------------------------- */

static bool sentence(struct buf *out, const char *format, ...) VINCI_PRINTF(2, 3);
static bool sentence(struct buf *out, const char *format, ...)
{
    char text[800];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return buf_append_text(out, "<li>") && html_text(out, text) && buf_append_text(out, "</li>\n");
}

/* The row of a test with the largest value under `key`. */
static const json_t *largest(const json_t *root, const char *test, const char *key, double depth)
{
    const json_t *row = NULL, *best = NULL;
    size_t i = 0;
    json_array_foreach(
        json_object_get(root, "results"), i,
        row) if (report_is(row, test) && (depth < 0 || report_real(row, "depth") == depth) &&
                 (!best || report_real(row, key) > report_real(best, key))) best = row;
    return best;
}

static bool advise_decode(struct buf *out, const json_t *root)
{
    const json_t *one = report_find(root, "decode", -1, 0, 1);
    if (!one) return true;
    double speed = report_real(one, "tokens_per_second"), share = report_real(one, "share");
    double limit = report_real(one, "limit"), bytes = report_real(root, "bytes_per_token");
    bool ok = sentence(out, _("One sequence: %.1f tokens per second (measured)."), speed);
    if (!(limit > 0)) return ok;
    double most = limit / bytes;
    char size[32];
    snprintf(size, sizeof size, bytes < 1e8 ? "%.2f MB" : "%.2f GB",
             bytes / (bytes < 1e8 ? 1e6 : 1e9));
    if (share > 1.1)
        return ok && sentence(out,
                              _("Each token reads %s of weights, more per second than the memory "
                                "gives (%.1f GB/s, measured): the model is so small that the "
                                "processor's caches hold it."),
                              size, limit / 1e9);
    ok = ok && sentence(out,
                        _("Each token reads %s of weights; the memory gives %.1f GB/s, so at "
                          "most %.1f tokens per second are possible one at a time (estimated); "
                          "%.0f %% of that is reached."),
                        size, limit / 1e9, most, 100 * share);
    if (share >= 0.7)
        return ok &&
               sentence(out, _("That is near the memory's limit: for one sequence only faster "
                               "memory or smaller weights bring more. The lever is to run "
                               "several requests at once, which share each reading of the "
                               "weights."));
    if (share < 0.5)
        return ok &&
               sentence(out,
                        _("There is room: up to %.1f times as fast before memory is the limit "
                          "(estimated). Look at threads (--threads, --cpu-list), at other "
                          "programs, and on machines with several memory nodes at where the "
                          "pages lie."),
                        1 / share);
    return ok;
}

static bool advise_batch(struct buf *out, const json_t *root)
{
    const json_t *one = report_find(root, "decode", -1, 0, 1);
    const json_t *many = largest(root, "decode", "tokens_per_second", 0);
    if (!one || !many || many == one) return true;
    double gain = report_real(many, "tokens_per_second") / report_real(one, "tokens_per_second");
    double batch = report_real(many, "batch");
    return sentence(out,
                    _("%.0f sequences at once: %.1f tokens per second together, %.1f times one "
                      "sequence; each of them gets %.1f (measured). %s"),
                    batch, report_real(many, "tokens_per_second"), gain,
                    report_real(many, "tokens_per_second") / batch,
                    gain > 1.3 ? _("Who serves several users, or has many prompts to work through, "
                                   "should run them together.")
                               : _("Running more at once brings little here: arithmetic is the "
                                   "limit, not memory."));
}

static bool advise_prompt(struct buf *out, const json_t *root)
{
    const json_t *row = largest(root, "prefill", "tokens_per_second", -1);
    if (!row) return true;
    double speed = report_real(row, "tokens_per_second"), share = report_real(row, "share");
    bool ok = sentence(out,
                       _("Reading a prompt of %.0f tokens: %.0f tokens per second (measured); a "
                         "prompt of 2000 tokens takes about %.2g s (estimated)."),
                       report_real(row, "tokens"), speed, 2000 / speed);
    if (share > 0)
        ok = ok && sentence(out, _("That is %.0f %% of this machine's int8 arithmetic (measured)."),
                            100 * share);
    return ok;
}

static bool advise_depth(struct buf *out, const json_t *root)
{
    const json_t *zero = report_find(root, "decode", -1, 0, 1);
    const json_t *deep = NULL, *row = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(root, "results"), i,
                       row) if (report_is(row, "decode") && report_real(row, "batch") == 1 &&
                                (!deep || report_real(row, "depth") > report_real(deep, "depth")))
        deep = row;
    if (!zero || !deep || deep == zero) return true;
    double kept = report_real(deep, "tokens_per_second") / report_real(zero, "tokens_per_second");
    return sentence(
        out,
        _("With %.0f tokens before it, generating keeps %.0f %% of its speed (measured). "
          "%s"),
        report_real(deep, "depth"), 100 * kept,
        kept < 0.8 ? _("Shorter contexts, or summaries of what was said, pay here.")
                   : _("Long contexts cost little here."));
}

static bool write_summary(struct buf *out, const json_t *root)
{
    const json_t *iterations = json_object_get(root, "iterations");
    struct report_warnings warnings;
    bool ok = buf_printf(out, "<h2>%s</h2>\n<ul class=\"summary\">\n", _("Summary"));
    if (iterations)
        ok = ok && sentence(out,
                            _("%.1f tokens per second generated, with %.0f requests at once, "
                              "reading the prompts included (measured)."),
                            report_real(iterations, "tokens_per_second"),
                            report_real(iterations, "batch_size"));
    ok = ok && advise_decode(out, root) && advise_batch(out, root) && advise_prompt(out, root) &&
         advise_depth(out, root);
    report_find_warnings(root, &warnings);
    ok = ok && buf_append_text(out, "</ul>\n");
    if (warnings.n) ok = ok && buf_append_text(out, "<ul class=\"warning\">\n");
    for (size_t i = 0; i < warnings.n && ok; i++) ok = sentence(out, "%s", warnings.texts[i]);
    if (warnings.n) ok = ok && buf_append_text(out, "</ul>\n");
    return ok;
}

/* ---- tables --------------------------------------------------------------------------------- */

static bool cell(struct buf *out, bool number, const char *format, ...) VINCI_PRINTF(3, 4);
static bool cell(struct buf *out, bool number, const char *format, ...)
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

static bool write_results(struct buf *out, const json_t *root)
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
        ok = ok && buf_append_text(out, "<tr>") && cell(out, false, "%s", test_text(row)) &&
             cell(out, true, "%.0f", report_real(row, "tokens")) &&
             cell(out, true, "%.0f", report_real(row, "depth")) &&
             cell(out, true, "%.0f", report_real(row, "batch")) &&
             cell(out, true, "%.2f", report_real(row, "tokens_per_second")) &&
             cell(out, true, "%.2f – %.2f (%.0f %%)", report_real(row, "median_low"),
                  report_real(row, "median_high"), 100 * report_real(row, "median_coverage")) &&
             cell(out, true, "%zu", json_array_size(json_object_get(row, "samples_seconds"))) &&
             (share > 0 ? cell(out, true, "%.0f %%", 100 * share) : cell(out, true, "–")) &&
             buf_append_text(out, "</tr>\n");
    }
    return ok && buf_append_text(out, "</tbody></table></div>\n");
}

static bool write_prompts(struct buf *out, const json_t *root)
{
    const json_t *prompts = json_object_get(root, "prompts"), *row = NULL;
    size_t i = 0;
    if (json_array_size(prompts) == 0) return true;
    bool ok = buf_printf(out,
                         "<h2>%s</h2>\n<div class=\"wide\"><table><thead><tr><th>%s</th><th>%s</th>"
                         "<th>%s</th><th>%s</th><th>%s</th></tr></thead><tbody>\n",
                         _("Prompts"), _("prompt"), _("tokens"), _("first token after"),
                         _("reading, tokens/s"), _("generating, tokens/s"));
    json_array_foreach(prompts, i, row) ok =
        ok && buf_append_text(out, "<tr>") &&
        cell(out, false, "%.80s", report_text(row, "begin")) &&
        cell(out, true, "%.0f", report_real(row, "tokens")) &&
        cell(out, true, "%.3f s", report_real(row, "first_token_seconds")) &&
        cell(out, true, "%.1f", report_real(row, "prefill_tokens_per_second")) &&
        cell(out, true, "%.1f", report_real(row, "decode_tokens_per_second")) &&
        buf_append_text(out, "</tr>\n");
    return ok && buf_append_text(out, "</tbody></table></div>\n");
}

static bool write_object(struct buf *out, const json_t *object)
{
    const char *key = NULL;
    json_t *value = NULL;
    bool ok = true;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!ok) break;
        if (json_is_string(value) && json_string_value(value)[0])
            ok = buf_printf(out, "<tr><th>%s</th>", key) &&
                 cell(out, false, "%s", json_string_value(value)) &&
                 buf_append_text(out, "</tr>\n");
        else if (json_is_number(value))
            ok = buf_printf(out, "<tr><th>%s</th>", key) &&
                 cell(out, false, "%.12g", json_number_value(value)) &&
                 buf_append_text(out, "</tr>\n");
    }
    return ok;
}

static bool write_environment(struct buf *out, const json_t *root)
{
    return buf_printf(out,
                      "<h2>%s</h2>\n<div class=\"wide\"><table class=\"environment\"><tbody>\n",
                      _("Where it was measured")) &&
           write_object(out, json_object_get(root, "environment")) && write_object(out, root) &&
           write_object(out, json_object_get(root, "memory")) &&
           buf_append_text(out, "</tbody></table></div>\n");
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
    "td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".environment th{font-weight:500;color:#555;white-space:nowrap}"
    ".environment td{overflow-wrap:anywhere}footer{color:#777;font-size:.82rem;margin-top:2rem}"
    "@media (max-width:40rem){body{padding:.7rem}svg.chart{min-width:34rem}figure{overflow-x:auto}}"
    "@media print{body{max-width:none;padding:0;font-size:11pt}h2{break-after:avoid}"
    "tr{break-inside:avoid}.wide{overflow:visible}}";

static bool card(struct buf *out, const char *title, const char *format, double value)
{
    char text[64];
    if (!isfinite(value)) return true;
    snprintf(text, sizeof text, format, value);
    return buf_append_text(out, "<div class=\"card\"><b>") && html_text(out, text) &&
           buf_append_text(out, "</b><span>") && html_text(out, title) &&
           buf_append_text(out, "</span></div>\n");
}

static bool write_cards(struct buf *out, const json_t *root)
{
    const json_t *one = report_find(root, "decode", -1, 0, 1);
    const json_t *many = largest(root, "decode", "tokens_per_second", 0);
    const json_t *prompt = largest(root, "prefill", "tokens_per_second", -1);
    const json_t *first = largest(root, "first token", "tokens", -1);
    const json_t *memory = json_object_get(root, "memory");
    return buf_append_text(out, "<div class=\"cards\">\n") &&
           card(out, _("tokens/s over all iterations"), "%.1f",
                report_real(json_object_get(root, "iterations"), "tokens_per_second")) &&
           card(out, _("tokens/s, one sequence"), "%.1f", report_real(one, "tokens_per_second")) &&
           (many == one || card(out, _("tokens/s, several sequences together"), "%.1f",
                                report_real(many, "tokens_per_second"))) &&
           card(out, _("tokens/s reading a prompt"), "%.0f",
                report_real(prompt, "tokens_per_second")) &&
           card(out, _("until the first token"), "%.3f s", report_real(first, "seconds")) &&
           card(out, _("share of the memory's limit"), "%.0f %%",
                100 * report_real(one, "share")) &&
           card(out, _("memory in use, mapped files included"), "%.2f GB",
                (report_real(memory, "own") + report_real(memory, "mapped")) / 1e9) &&
           buf_append_text(out, "</div>\n");
}

static bool write_head(struct buf *out, const json_t *root, const char *language)
{
    const json_t *environment = json_object_get(root, "environment");
    const char *path = report_text(root, "model"), *slash = strrchr(path, '/');
    const char *name = slash && slash[1] ? slash + 1 : path;
    bool ok = buf_printf(out,
                         "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n"
                         "<meta name=\"viewport\" content=\"width=device-width, "
                         "initial-scale=1\">\n<title>",
                         strcmp(language, "zh_CN") == 0 ? "zh-CN" : "en");
    ok = ok && html_text(out, *name ? name : "vinci") &&
         buf_printf(out, " – vinci bench</title>\n<style>%s%s</style>\n</head>\n<body>\n<h1>",
                    page_style, chart_style()) &&
         html_text(out, _("How fast is it?")) && buf_append_text(out, " ") &&
         html_text(out, name) && buf_append_text(out, "</h1>\n<p class=\"under\">") &&
         html_text(out, report_text(environment, "processor")) && buf_append_text(out, " · ");
    char threads[64];
    snprintf(threads, sizeof threads, _("%.0f threads"), report_real(root, "threads"));
    return ok && html_text(out, threads) && buf_append_text(out, " · ") &&
           html_text(out, report_text(root, "cpu_level")) && buf_append_text(out, " · ") &&
           html_text(out, report_text(environment, "time")) && buf_append_text(out, " · vinci ") &&
           html_text(out, report_text(root, "vinci")) && buf_append_text(out, "</p>\n");
}

enum vinci_status report_html(const json_t *root, const json_t *before, const char *language,
                              struct buf *out, struct vinci_error *err)
{
    bool ok = write_head(out, root, language) && write_cards(out, root) &&
              write_summary(out, root) &&
              buf_printf(out, "<h2>%s</h2>\n<div class=\"charts\">\n", _("Charts")) &&
              report_write_charts(out, root, before) && buf_append_text(out, "</div>\n") &&
              write_results(out, root) && write_prompts(out, root) && write_environment(out, root);
    ok = ok && buf_append_text(out, "<footer>") &&
         html_text(out,
                   _("Medians; intervals from order statistics with the coverage shown. Points "
                     "marked as estimated, and every roof, are computed from the machine's "
                     "measured limits; everything else was measured in this run. Shares compare "
                     "with a limit that was measured right before each repetition.")) &&
         buf_append_text(out, "</footer>\n</body>\n</html>\n");
    return ok ? VINCI_OK : fail_memory(err, out->size, "the report");
}
