/* sampler.c - from logits to a token. docs/sampling.md has the formulas and their order.
 *
 * The draw works on one array of values, the adjusted logits and later their exponentials, and one
 * of ids. A filter shortens both and keeps ids ascending, so "of equals the smaller id" needs no
 * sort anywhere. Where nothing but the temperature changes the logits, and for greedy sampling,
 * they are read where they are. */
#include "engine/sampler.h"

#include "base/buf.h"
#include "base/fmath.h"
#include "base/lang.h"
#include "base/random.h"
#include "engine/scan.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

struct sampler {
    struct vinci_sampling options; /* logit_bias points to our copy */
    struct vinci_logit_bias *bias; /* [options.n_logit_bias] */
    uint32_t n_vocab, n_top_wanted;
    struct candidates c;    /* arrays [n_vocab]; NULL where the logits can be read in place */
    double *block_sums;     /* [scan_n_blocks(n_vocab)] */
    struct {                /* all NULL when no penalty is on */
        uint32_t *n_output; /* [n_vocab] times generated */
        uint8_t *seen;      /* [n_vocab] in prompt or output */
        int32_t *tokens;    /* [n_vocab] the seen ones, each once */
        size_t n_tokens;
    } count;
    struct vinci_token_logprob top[VINCI_TOP_LOGPROBS_MAX];
    size_t n_top;
};

void vinci_sampling_init(struct vinci_sampling *sampling)
{
    *sampling =
        (struct vinci_sampling){.temperature = 1.0f, .top_p = 1.0f, .repetition_penalty = 1.0f};
}

/* ---- create ------------------------------------------------------------------------------- */

static enum vinci_status check_range(const char *name, float value, float min, float max,
                                     const char *range, struct vinci_error *err)
{
    if (value >= min && value <= max) return VINCI_OK; /* false for NaN */
    return fail(err, VINCI_USAGE, "sampling: %s is %g; expected %s", name, (double)value, _(range));
}

static enum vinci_status check_options(const struct vinci_sampling *o, uint32_t n_vocab,
                                       uint32_t n_top_logprobs, struct vinci_error *err)
{
    const float most = 3.4028234e38f, least_positive = 1.17549435e-38f;
    const struct {
        const char *name;
        float value, min, max;
        const char *range;
    } ranges[] = {
        {"temperature", o->temperature, 0.0f, most, N_("a number from 0 (greedy) on")},
        {"top_p", o->top_p, 0.0f, 1.0f, N_("a number from 0 to 1 (off)")},
        {"min_p", o->min_p, 0.0f, 1.0f, N_("a number from 0 (off) to 1")},
        {"repetition_penalty", o->repetition_penalty, least_positive, most,
         N_("a number above 0 (1: off)")},
        {"presence_penalty", o->presence_penalty, -most, most, N_("a finite number (0: off)")},
        {"frequency_penalty", o->frequency_penalty, -most, most, N_("a finite number (0: off)")},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        enum vinci_status status = check_range(ranges[i].name, ranges[i].value, ranges[i].min,
                                               ranges[i].max, ranges[i].range, err);
        if (status != VINCI_OK) return status;
    }
    if (n_vocab == 0) return fail(err, VINCI_USAGE, "sampling: the vocabulary is empty");
    if (n_top_logprobs > VINCI_TOP_LOGPROBS_MAX)
        return fail(err, VINCI_USAGE,
                    "sampling: %u log-probabilities asked for; expected at most %d",
                    (unsigned)n_top_logprobs, VINCI_TOP_LOGPROBS_MAX);
    if (o->n_logit_bias && !o->logit_bias)
        return fail(err, VINCI_USAGE, "sampling: logit_bias is NULL; expected %zu entries",
                    o->n_logit_bias);
    for (size_t i = 0; i < o->n_logit_bias; i++) {
        const struct vinci_logit_bias *b = &o->logit_bias[i];
        if (b->token < 0 || (uint32_t)b->token >= n_vocab)
            return fail(err, VINCI_USAGE,
                        "sampling: logit_bias[%zu] names token %ld; expected 0 to %lu", i,
                        (long)b->token, (unsigned long)n_vocab - 1);
        if (!(b->bias <= most))
            return fail(err, VINCI_USAGE,
                        "sampling: logit_bias[%zu] of token %ld is %g; expected a finite number "
                        "or -inf (never)",
                        i, (long)b->token, (double)b->bias);
    }
    return VINCI_OK;
}

static bool has_penalties(const struct vinci_sampling *o)
{
    return o->repetition_penalty != 1.0f || o->presence_penalty != 0.0f ||
           o->frequency_penalty != 0.0f;
}

enum vinci_status sampler_create(struct sampler **out, const struct vinci_sampling *options,
                                 uint32_t n_vocab, uint32_t n_top_logprobs, struct vinci_error *err)
{
    *out = NULL;
    enum vinci_status status = check_options(options, n_vocab, n_top_logprobs, err);
    if (status != VINCI_OK) return status;
    struct sampler *s = calloc(1, sizeof *s);
    if (!s) goto no_memory;
    s->options = *options;
    s->n_vocab = n_vocab;
    s->n_top_wanted = n_top_logprobs;
    if (options->n_logit_bias) {
        if (!(s->bias = array_new(options->n_logit_bias, sizeof *s->bias))) goto no_memory;
        memcpy(s->bias, options->logit_bias, options->n_logit_bias * sizeof *s->bias);
    }
    s->options.logit_bias = s->bias;
    if (has_penalties(options)) {
        s->count.n_output = array_new_zero(n_vocab, sizeof *s->count.n_output);
        s->count.seen = array_new_zero(n_vocab, sizeof *s->count.seen);
        s->count.tokens = array_new(n_vocab, sizeof *s->count.tokens);
        if (!s->count.n_output || !s->count.seen || !s->count.tokens) goto no_memory;
    }
    if (options->temperature > 0.0f || s->bias || s->count.seen || n_top_logprobs) {
        s->c.value = array_new_aligned(n_vocab, sizeof *s->c.value);
        s->c.id = array_new_aligned(n_vocab, sizeof *s->c.id);
        s->block_sums = array_new(scan_n_blocks(n_vocab), sizeof *s->block_sums);
        if (!s->c.value || !s->c.id || !s->block_sums) goto no_memory;
        s->c.n_moved = n_vocab;
    }
    *out = s;
    return VINCI_OK;
no_memory:
    sampler_free(s);
    return fail_memory(err, (size_t)n_vocab * (sizeof *s->c.value + sizeof *s->c.id), "sampling");
}

void sampler_free(struct sampler *s)
{
    if (!s) return;
    free(s->bias);
    free(s->c.value);
    free(s->c.id);
    free(s->block_sums);
    free(s->count.n_output);
    free(s->count.seen);
    free(s->count.tokens);
    free(s);
}

void sampler_accept(struct sampler *s, int32_t token, bool is_prompt)
{
    if (!s->count.seen || token < 0 || (uint32_t)token >= s->n_vocab) return;
    if (!s->count.seen[token]) {
        s->count.seen[token] = 1;
        s->count.tokens[s->count.n_tokens++] = token;
    }
    if (!is_prompt && s->count.n_output[token] < UINT32_MAX) s->count.n_output[token]++;
}

/* ---- log-probabilities -------------------------------------------------------------------- */

/* Every token a candidate. */
static struct candidates *load(struct sampler *s, const float *logits)
{
    scan_copy_usable(s->c.value, logits, s->n_vocab);
    for (size_t i = 0; i < s->c.n_moved; i++) s->c.id[i] = (int32_t)i;
    s->c.n = s->n_vocab;
    s->c.n_moved = 0;
    return &s->c;
}

/* The model's own distribution: p = e^(logit - max) / sum. Apart, because max + ln(sum) would lose
 * what the logits of a broken model have beyond the precision of max. */
struct softmax {
    double max, log_sum;
};

static float log_probability(const struct softmax *model, float logit)
{
    return (float)((scan_usable(logit) - model->max) - model->log_sum);
}

/* Also fills s->top. */
static struct softmax find_top(struct sampler *s, const float *logits)
{
    struct candidates *c = load(s, logits);
    float max = scan_max(c->value, c->n, NULL);
    s->n_top = 0;
    if (max == -INFINITY) return (struct softmax){0};
    struct softmax model = {max, log_f64(scan_exp(NULL, c->value, c->n, max, 1.0f, NULL))};
    scan_keep_largest(c, s->n_top_wanted);
    for (size_t i = 0; i < c->n; i++) { /* insertion: at most VINCI_TOP_LOGPROBS_MAX of them */
        if (c->value[i] == -INFINITY) continue;
        size_t at = s->n_top++;
        for (; at > 0 && s->top[at - 1].logprob < c->value[i]; at--) s->top[at] = s->top[at - 1];
        s->top[at] = (struct vinci_token_logprob){c->id[i], c->value[i]};
    }
    for (size_t i = 0; i < s->n_top; i++)
        s->top[i].logprob = log_probability(&model, s->top[i].logprob);
    return model;
}

const struct vinci_token_logprob *sampler_top_logprobs(const struct sampler *s, size_t *n)
{
    *n = s->n_top;
    return s->top;
}

/* ---- draw --------------------------------------------------------------------------------- */

static void forbid(float *value, size_t n, const uint32_t *allowed)
{
    for (size_t i = 0; i < n; i += 32) {
        uint32_t word = allowed[i / 32];
        if (word == UINT32_MAX) continue;
        size_t end = n - i < 32 ? n - i : 32;
        for (size_t bit = 0; bit < end; bit++)
            if (!(word >> bit & 1)) value[i + bit] = -INFINITY;
    }
}

/* Bias and penalties touch few tokens. A result beyond the range of float stays usable. */
static void adjust(const struct sampler *s, float *value)
{
    const struct vinci_sampling *o = &s->options;
    for (size_t i = 0; i < o->n_logit_bias; i++) {
        float *x = &value[o->logit_bias[i].token];
        *x = scan_usable(*x + o->logit_bias[i].bias);
    }
    for (size_t i = 0; i < s->count.n_tokens; i++) {
        int32_t token = s->count.tokens[i];
        float x = value[token], n = (float)s->count.n_output[token];
        x = x > 0.0f ? x / o->repetition_penalty : x * o->repetition_penalty;
        if (n > 0.0f) x = x - (o->presence_penalty + n * o->frequency_penalty);
        value[token] = value[token] == -INFINITY ? -INFINITY : scan_usable(x);
    }
}

/* The first of equal maxima, straight from the logits; -1 if there is none. */
static int32_t greedy_in_place(const struct sampler *s, const float *logits,
                               const uint32_t *allowed)
{
    size_t at;
    if (!allowed) return scan_max(logits, s->n_vocab, &at) == -INFINITY ? -1 : (int32_t)at;
    int32_t best = -1;
    for (size_t i = 0, end; i < s->n_vocab; i = end) {
        uint32_t word = allowed[i / 32];
        end = i + 32;
        if (word == UINT32_MAX) /* most masks are full, but for some places */
            while (end < s->n_vocab && allowed[end / 32] == UINT32_MAX) end += 32;
        if (end > s->n_vocab) end = s->n_vocab;
        if (word == UINT32_MAX) {
            float max = scan_max(logits + i, end - i, &at);
            if (max > (best < 0 ? -INFINITY : logits[best])) best = (int32_t)(i + at);
            continue;
        }
        for (; word && i < end; i++, word >>= 1)
            if ((word & 1) && logits[i] > (best < 0 ? -INFINITY : logits[best])) best = (int32_t)i;
    }
    return best;
}

/* Whether nothing but the temperature stands between the logits and the draw. */
static bool is_plain(const struct sampler *s, const uint32_t *allowed)
{
    const struct vinci_sampling *o = &s->options;
    return !allowed && !s->bias && !s->count.n_tokens && o->temperature > 0.0f && !o->top_k &&
           o->top_p >= 1.0f && o->min_p <= 0.0f;
}

/* The same draw as below, bit by bit, straight from the logits; their largest is finite. */
static int32_t draw_in_place(struct sampler *s, const float *logits, float max, double uniform)
{
    float temperature = s->options.temperature;
    double sum = scan_exp(NULL, logits, s->n_vocab, max, temperature, s->block_sums);
    return (int32_t)scan_find_exp(logits, s->n_vocab, max, temperature, s->block_sums,
                                  uniform * sum);
}

/* Temperature, filters, draw; the values are logits, `max` the largest. */
static int32_t draw(struct sampler *s, float max, double uniform)
{
    const struct vinci_sampling *o = &s->options;
    struct candidates *c = &s->c;
    if (o->top_k) scan_keep_largest(c, o->top_k);
    double sum = scan_exp(c->value, c->value, c->n, max, o->temperature, s->block_sums);
    if (o->top_p < 1.0f) scan_keep_mass(c, o->top_p, sum);
    if (o->min_p > 0.0f) scan_keep_above(c, o->min_p); /* the largest value is e^0 */
    if (o->top_p < 1.0f || o->min_p > 0.0f) sum = scan_sum(c->value, c->n, s->block_sums);
    return c->id[scan_find(c->value, c->n, s->block_sums, uniform * sum)];
}

bool sampler_is_greedy(const struct sampler *s)
{
    return !s->c.value; /* made for everything else */
}

enum vinci_status sampler_draw(struct sampler *s, const float *logits, const uint32_t *allowed,
                               size_t index, int32_t *token, float *logprob,
                               struct vinci_error *err)
{
    struct softmax model = {0};
    int32_t chosen = -1;
    float max;
    if (s->n_top_wanted) model = find_top(s, logits);
    if (!s->c.value || (s->options.temperature <= 0.0f && !s->bias && !s->count.n_tokens)) {
        chosen = greedy_in_place(s, logits, allowed);
    } else if (is_plain(s, allowed) &&
               (max = scan_max(logits, s->n_vocab, NULL), max >= -FLT_MAX && max <= FLT_MAX)) {
        chosen = draw_in_place(s, logits, max, random_uniform(s->options.seed, index));
    } else {
        struct candidates *c = load(s, logits);
        if (allowed) forbid(c->value, c->n, allowed);
        adjust(s, c->value);
        size_t first;
        max = scan_max(c->value, c->n, &first);
        if (max > -INFINITY)
            chosen = s->options.temperature <= 0.0f
                         ? (int32_t)first
                         : draw(s, max, random_uniform(s->options.seed, index));
    }
    if (chosen < 0)
        return fail(err, VINCI_FAILED,
                    "sampling: no token can be drawn as number %zu: every logit is -inf or NaN%s",
                    index, allowed ? _(" or not allowed") : "");
    *token = chosen;
    if (logprob) *logprob = s->n_top_wanted ? log_probability(&model, logits[chosen]) : 0.0f;
    return VINCI_OK;
}
