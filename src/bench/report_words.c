/* report_words.c - what a record says in words: warnings, and a summary with advice.
 *
 * A difference is called one only where the repetitions tell it from chance (Mann-Whitney, p <
 * 0.05); what is computed from figures and was not measured says "estimated". */
#include "base/lang.h"
#include "base/units.h"
#include "bench/compare.h"
#include "bench/report.h"
#include "bench/report_parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- warnings ------------------------------------------------------------------------------- */

static void warning(struct report_warnings *out, const char *format, ...) VINCI_PRINTF(2, 3);
static void warning(struct report_warnings *out, const char *format, ...)
{
    va_list args;
    if (out->n == sizeof out->texts / sizeof *out->texts) return;
    va_start(args, format);
    vsnprintf(out->texts[out->n++], sizeof out->texts[0], format, args);
    va_end(args);
}

/* How many of the tests spread and drift; of iterations, which are one test, all is computed. */
struct steadiness {
    size_t n, n_wide, n_drift;
    double widest;
};

static void look_at(struct steadiness *s, double spread, double trend_p, size_t n_tests)
{
    s->n++;
    s->n_wide += spread > 0.05;
    if (spread > s->widest) s->widest = spread;
    /* Several tests are looked at: by chance alone one in a hundred would pass 0.01. */
    s->n_drift += trend_p * (double)n_tests < 0.05;
}

static size_t iteration_seconds(const json_t *root, double out[STATS_MAX])
{
    const json_t *seconds = json_object_get(json_object_get(root, "iterations"), "seconds");
    size_t n = 0;
    for (; n < json_array_size(seconds) && n < STATS_MAX; n++)
        out[n] = json_number_value(json_array_get(seconds, n));
    return n;
}

static struct steadiness steadiness_of(const json_t *root)
{
    static const char *const lists[] = {"results", "prompts"};
    struct steadiness s = {0, 0, 0, 0};
    double seconds[STATS_MAX];
    size_t n_iterations = iteration_seconds(root, seconds), n = n_iterations > 1;
    for (size_t k = 0; k < 2; k++) n += json_array_size(json_object_get(root, lists[k]));
    for (size_t k = 0; k < 2; k++) {
        const json_t *row = NULL;
        size_t i = 0;
        json_array_foreach(json_object_get(root, lists[k]), i, row)
            look_at(&s, report_real(row, "spread"), report_real(row, "trend_p"), n);
    }
    if (n_iterations > 1) {
        int trend = 0;
        look_at(&s, stats_spread(seconds, n_iterations), stats_trend(seconds, n_iterations, &trend),
                n);
    }
    return s;
}

static void serve_warnings(const json_t *root, struct report_warnings *out)
{
    double failed = report_real(root, "failed"), done = report_real(root, "completed");
    if (failed > 0)
        warning(out, _("%.0f of %.0f requests failed; the figures are those of the others"), failed,
                failed + done);
}

void report_find_warnings(const json_t *root, struct report_warnings *out)
{
    double others = report_real(json_object_get(root, "usage"), "mean_others");
    const json_t *cold = json_object_get(json_object_get(root, "load"), "cold");
    struct steadiness s = steadiness_of(root);
    *out = (struct report_warnings){.n = 0};
    if (record_is_serve(root)) serve_warnings(root, out);
    if (others > 0.05)
        warning(out,
                _("other programs used %.0f %% of the processors meanwhile: figures are lower and "
                  "vary more than on a quiet machine"),
                100 * others);
    if (s.n_wide > 0)
        warning(
            out,
            _("%zu of %zu tests vary by more than 5 %% between the quartiles and the median (the "
              "widest by %.0f %%): compare medians and intervals, not single figures"),
            s.n_wide, s.n, 100 * s.widest);
    if (s.n_drift > 0)
        warning(out,
                _("%zu of %zu tests drift from repetition to repetition: the machine was not in a "
                  "steady state (clock, heat, other programs); repeat with a larger --repeat"),
                s.n_drift, s.n);
    if (report_real(cold, "in_memory_before") > 0.05)
        warning(out, _("the system kept a part of the files in memory: the cold times are too "
                       "short"));
}

/* ---- sentences ------------------------------------------------------------------------------ */

bool report_sentence(struct buf *out, const char *format, ...)
{
    char text[800];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return buf_append_text(out, "<li>") && html_text(out, text) && buf_append_text(out, "</li>\n");
}

const json_t *report_largest(const json_t *root, const char *test, const char *key, double depth)
{
    const json_t *row = NULL, *best = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(root, "results"), i, row)
    {
        if (!report_is(row, test) || (depth >= 0 && report_real(row, "depth") != depth)) continue;
        if (!best || report_real(row, key) > report_real(best, key)) best = row;
    }
    return best;
}

/* Whether the repetitions of two results tell their speeds apart. */
static bool differ(const json_t *a, const json_t *b)
{
    double x[STATS_MAX], y[STATS_MAX];
    size_t n = record_speeds(a, x), m = record_speeds(b, y);
    return stats_compare(x, n, y, m).p < 0.05;
}

static bool advise_decode(struct buf *out, const json_t *root)
{
    const json_t *one = report_find(root, "decode", -1, 0, 1);
    if (!one) return true;
    double speed = report_real(one, "tokens_per_second"), share = report_real(one, "share");
    double limit = report_real(one, "limit"), bytes = report_real(root, "bytes_per_token");
    bool ok = report_sentence(out, _("One sequence: %.1f tokens per second (measured)."), speed);
    if (!(limit > 0)) return ok;
    double most = limit / bytes;
    char size[16];
    format_bytes((uint64_t)bytes, size);
    if (share > 1.1)
        return ok &&
               report_sentence(out,
                               _("Each token reads %s of weights, more per second than the memory "
                                 "gives (%.1f GB/s, measured): the model is so small that the "
                                 "processor's caches hold it."),
                               size, limit / 1e9);
    ok =
        ok && report_sentence(out,
                              _("Each token reads %s of weights; the memory gives %.1f GB/s, so at "
                                "most %.1f tokens per second are possible one at a time "
                                "(estimated); %.0f %% of that is reached."),
                              size, limit / 1e9, most, 100 * share);
    if (share >= 0.7)
        return ok && report_sentence(
                         out, _("That is near the memory's limit: for one sequence only faster "
                                "memory or smaller weights bring more. The lever is to run "
                                "several requests at once, which share each reading of the "
                                "weights."));
    if (share < 0.5)
        return ok && report_sentence(
                         out,
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
    const json_t *many = report_largest(root, "decode", "batch", 0);
    if (!one || !many || many == one) return true;
    const json_t *best = report_largest(root, "decode", "tokens_per_second", 0);
    if (best != one && differ(one, best)) many = best;
    double gain = report_real(many, "tokens_per_second") / report_real(one, "tokens_per_second");
    double batch = report_real(many, "batch");
    if (!differ(one, many))
        return report_sentence(
            out,
            _("%.0f sequences at once: %.1f tokens per second together; so few repetitions cannot "
              "tell that from one sequence's %.1f."),
            batch, report_real(many, "tokens_per_second"), report_real(one, "tokens_per_second"));
    return report_sentence(
        out,
        _("%.0f sequences at once: %.1f tokens per second together, %.1f times one "
          "sequence; each of them gets %.1f (measured). %s"),
        batch, report_real(many, "tokens_per_second"), gain,
        report_real(many, "tokens_per_second") / batch,
        gain > 1.3   ? _("Who serves several users, or has many prompts to work through, "
                           "should run them together.")
        : gain > 0.9 ? _("Running more at once brings little here.")
                     : _("Running more at once costs speed here: run one after the other."));
}

static bool advise_prompt(struct buf *out, const json_t *root)
{
    const json_t *row = report_largest(root, "prefill", "tokens_per_second", -1);
    char time[16];
    if (!row) return true;
    double speed = report_real(row, "tokens_per_second"), share = report_real(row, "share");
    bool ok =
        report_sentence(out,
                        _("Reading a prompt of %.0f tokens: %.0f tokens per second (measured); a "
                          "prompt of 2000 tokens takes about %s (estimated)."),
                        report_real(row, "tokens"), speed, format_seconds(2000 / speed, time));
    if (share > 0)
        ok = ok && report_sentence(
                       out, _("That is %.0f %% of this machine's int8 arithmetic (measured)."),
                       100 * share);
    return ok;
}

static bool advise_depth(struct buf *out, const json_t *root)
{
    const json_t *zero = report_find(root, "decode", -1, 0, 1), *deep = NULL, *row = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(root, "results"), i, row)
    {
        if (!report_is(row, "decode") || report_real(row, "batch") != 1) continue;
        if (!deep || report_real(row, "depth") > report_real(deep, "depth")) deep = row;
    }
    if (!zero || !deep || deep == zero) return true;
    double kept = report_real(deep, "tokens_per_second") / report_real(zero, "tokens_per_second");
    double depth = report_real(deep, "depth");
    if (!differ(zero, deep))
        return report_sentence(out,
                               _("With %.0f tokens before it, generating runs at %.0f %% of its "
                                 "speed without them: the repetitions do not tell that from "
                                 "chance."),
                               depth, 100 * kept);
    if (kept > 1)
        return report_sentence(
            out,
            _("With %.0f tokens before it, generating was measured at %.0f %% of "
              "its speed without them. More context cannot do that: the machine "
              "changed in between. Measure again when it is quiet."),
            depth, 100 * kept);
    return report_sentence(
        out, _("With %.0f tokens before it, generating keeps %.0f %% of its speed (measured). %s"),
        depth, 100 * kept,
        kept < 0.8 ? _("Shorter contexts, or summaries of what was said, pay here.")
                   : _("Long contexts cost little here."));
}

static bool say_iterations(struct buf *out, const json_t *root)
{
    const json_t *iterations = json_object_get(root, "iterations");
    double seconds[STATS_MAX];
    size_t n = iteration_seconds(root, seconds);
    char a[16], b[16], c[16];
    if (!iterations || n == 0) return true;
    bool ok = report_sentence(out,
                              _("%.1f tokens per second generated, with batches of %.0f, "
                                "reading the prompts included (measured)."),
                              report_real(iterations, "tokens_per_second"),
                              report_real(iterations, "batch_size"));
    if (n < 2) return ok;
    struct stats_interval interval = stats_median(seconds, n, 0.95);
    ok = ok &&
         report_sentence(
             out, _("%zu iterations of %s each in the median; it lies from %s to %s (%.0f %%)."), n,
             format_seconds(interval.median, a), format_seconds(interval.low, b),
             format_seconds(interval.high, c), 100 * interval.coverage);
    if (report_real(iterations, "batch_size") == 1)
        ok = ok && report_sentence(out, _("Whether several requests at once bring more tokens per "
                                          "second in all: --batch-size 4 measures it."));
    return ok;
}

/* ---- prompts and loading -------------------------------------------------------------------- */

static size_t samples_of(const json_t *row, const char *key, double out[STATS_MAX])
{
    const json_t *samples = json_object_get(row, key);
    size_t n = 0;
    for (; n < json_array_size(samples) && n < STATS_MAX; n++)
        out[n] = json_number_value(json_array_get(samples, n));
    return n;
}

static bool say_prompts(struct buf *out, const json_t *root)
{
    enum { ANSWER = 128 };
    static const char decode_key[] = "samples_decode_tokens_per_second";
    const json_t *row = NULL, *shortest = NULL, *longest = NULL;
    double x[STATS_MAX], y[STATS_MAX];
    char a[16], b[16];
    size_t i = 0;
    json_array_foreach(json_object_get(root, "prompts"), i, row)
    {
        if (!shortest || report_real(row, "tokens") < report_real(shortest, "tokens"))
            shortest = row;
        if (!longest || report_real(row, "tokens") > report_real(longest, "tokens")) longest = row;
    }
    if (!longest) return true;
    double wait = report_real(longest, "first_token_seconds");
    double speed = report_real(longest, "decode_tokens_per_second");
    bool ok = true;
    if (shortest == longest)
        ok = report_sentence(out,
                             _("A prompt of %.0f tokens has its first token after %s (measured)."),
                             report_real(longest, "tokens"), format_seconds(wait, a));
    else
        ok = report_sentence(
            out,
            _("The shortest prompt (%.0f tokens) has its first token after %s, the longest (%.0f "
              "tokens) after %s (measured)."),
            report_real(shortest, "tokens"),
            format_seconds(report_real(shortest, "first_token_seconds"), a),
            report_real(longest, "tokens"), format_seconds(wait, b));
    if (shortest != longest) {
        double before = report_real(shortest, "decode_tokens_per_second");
        size_t n = samples_of(shortest, decode_key, x), m = samples_of(longest, decode_key, y);
        ok = ok && (stats_compare(x, n, y, m).p < 0.05
                        ? report_sentence(out,
                                          _("After the longest, generating runs at %.1f tokens per "
                                            "second, after the shortest at %.1f (measured)."),
                                          speed, before)
                        : report_sentence(out,
                                          _("Generating runs at %.1f tokens per second after the "
                                            "longest and at %.1f after the shortest: the "
                                            "repetitions do not tell that from chance."),
                                          speed, before));
    }
    double share = wait / (wait + ANSWER / speed);
    return ok &&
           report_sentence(out,
                           _("Of a request with the longest prompt and an answer of %d tokens, the "
                             "wait for the first token takes %.0f %% (estimated). %s"),
                           ANSWER, 100 * share,
                           share > 0.5 ? _("The lever is the prompt: a shorter one, or a beginning "
                                           "that requests have in common, which the server keeps.")
                                       : _("The lever is generating: shorter answers, or several "
                                           "requests at once."));
}

static bool say_load(struct buf *out, const json_t *root)
{
    const json_t *load = json_object_get(root, "load"), *warm = json_object_get(load, "warm");
    const json_t *cold = json_object_get(load, "cold");
    double x[STATS_MAX], y[STATS_MAX];
    char a[16], b[16];
    if (!warm) return true;
    double first = report_real(warm, "first_token_seconds");
    bool ok = report_sentence(
        out,
        _("With its files in memory, the model is open after %s and gives its first "
          "token after %s (measured)."),
        format_seconds(report_real(warm, "open_seconds"), a), format_seconds(first, b));
    if (!cold) return ok;
    double slow = report_real(cold, "first_token_seconds");
    size_t n = samples_of(warm, "samples_first_token_seconds", x);
    size_t m = samples_of(cold, "samples_first_token_seconds", y);
    if (stats_compare(x, n, y, m).p >= 0.05)
        return ok && report_sentence(out,
                                     _("With its files out of memory, the first token comes after "
                                       "%s: so few repetitions do not tell that from the time "
                                       "with them in it."),
                                     format_seconds(slow, a));
    return ok &&
           report_sentence(
               out,
               _("With its files out of memory, the first token comes after %s, %.1f times as late "
                 "(measured). The lever is to keep the model open: a server (vinci serve) loads it "
                 "once, and enough free memory keeps its files there."),
               format_seconds(slow, a), slow / first);
}

/* ---- two runs, and the list ----------------------------------------------------------------- */

static bool say_comparison(struct buf *out, const struct comparison *comparison)
{
    size_t faster = 0, slower = 0;
    const struct compared *most = NULL;
    for (size_t i = 0; i < comparison->n; i++) {
        const struct compared *row = &comparison->rows[i];
        int verdict = compared_verdict(row);
        faster += verdict > 0;
        slower += verdict < 0;
        if (verdict != 0 && (!most || fabs(log(row->ratio)) > fabs(log(most->ratio)))) most = row;
    }
    bool ok = report_sentence(out,
                              _("Of %zu tests that both runs have, %zu are faster and %zu slower "
                                "than before; what the other %zu differ by may be chance."),
                              comparison->n, faster, slower, comparison->n - faster - slower);
    if (most)
        ok = ok && report_sentence(out, _("The largest change: %s, %+.1f %% (p = %.2g)."),
                                   most->label, 100 * (most->ratio - 1), most->p_holm);
    if (comparison->p_least >= 0.05)
        ok = ok && report_sentence(out,
                                   _("So few repetitions cannot show more than p = %.2g: give a "
                                     "larger --repeat."),
                                   comparison->p_least);
    return ok;
}

bool report_write_summary(struct buf *out, const json_t *root, const struct comparison *comparison)
{
    struct report_warnings warnings;
    bool ok = buf_printf(out, "<h2>%s</h2>\n<ul class=\"summary\">\n", _("Summary"));
    if (comparison) ok = ok && say_comparison(out, comparison);
    ok = ok && say_iterations(out, root) && advise_decode(out, root) && advise_batch(out, root) &&
         advise_prompt(out, root) && advise_depth(out, root) && say_prompts(out, root) &&
         say_load(out, root) && report_say_serve(out, root);
    report_find_warnings(root, &warnings);
    ok = ok && buf_append_text(out, "</ul>\n");
    if (warnings.n) ok = ok && buf_append_text(out, "<ul class=\"warning\">\n");
    for (size_t i = 0; i < warnings.n && ok; i++)
        ok = report_sentence(out, "%s", warnings.texts[i]);
    if (warnings.n) ok = ok && buf_append_text(out, "</ul>\n");
    return ok;
}
