/* grammar_number.c - the numbers within bounds, as automata over their digits.
 *
 * A number is compared with its bounds digit by digit: `low` says that all digits so far are those
 * of the lower bound, `high` the same of the upper one; without either, any digit will do. Numbers
 * of another length before the point than a bound are told apart by their length, so there is one
 * automaton for each length. Negative numbers are their magnitudes with the bounds exchanged; -0 is
 * left out. */
#include "text/grammar.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_INT = 18, MAX_FRAC = 17 };
#define NO_STATE UINT32_MAX
#define INTEGER_LIMIT INT64_C(999999999999999999)

/* ---- bounds -------------------------------------------------------------------------------- */

/* From "-12.50" */
static void set_digits(struct number_bound *bound, const char *text)
{
    bound->negative = *text == '-';
    text += bound->negative;
    const char *point = strchr(text, '.');
    size_t n_int = point ? (size_t)(point - text) : strlen(text);
    size_t n_frac = point ? strlen(point + 1) : 0;
    memcpy(bound->digits, text, n_int);
    if (point) memcpy(bound->digits + n_int, point + 1, n_frac);
    while (n_frac > 0 && bound->digits[n_int + n_frac - 1] == '0') n_frac--;
    bound->n_int = (int)n_int;
    bound->n_frac = (int)n_frac;
    if (n_int == 1 && n_frac == 0 && *text == '0') bound->negative = false;
}

enum vinci_status number_bound_read(struct number_bound *bound, const json_t *number,
                                    const char *where, struct vinci_error *err)
{
    char text[64];
    double value = json_number_value(number);
    if (!json_is_number(number))
        return fail(err, VINCI_BAD_FILE, "%s: a bound must be a number", where);
    if (fabs(value) >= 1e18)
        return fail(err, VINCI_UNSUPPORTED, "%s: bounds must be less than 1e18 in size", where);
    bound->is_set = true;
    if (json_is_integer(number)) {
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(number));
        set_digits(bound, text);
        return VINCI_OK;
    }
    for (int places = 0; places <= MAX_FRAC; places++) {
        snprintf(text, sizeof text, "%.*f", places, value);
        char *point = strchr(text, ','); /* whatever the locale says */
        if (point) *point = '.';
        char *end;
        double again = strtod(text, &end);
        if (*end == '.') again = value; /* a locale that does not read points: take all places */
        if (again == value && (*end == '\0' || places == MAX_FRAC)) {
            set_digits(bound, text);
            return VINCI_OK;
        }
    }
    return fail(err, VINCI_UNSUPPORTED, "%s: bounds have at most %d decimals", where, MAX_FRAC);
}

/* The nearest integer not below (`up`) or not above the bound, and inside it if it is exclusive. */
static int64_t to_integer(const struct number_bound *bound, bool up)
{
    int64_t value = 0;
    for (int i = 0; i < bound->n_int; i++) value = value * 10 + (bound->digits[i] - '0');
    if (bound->negative) value = -value;
    if (bound->n_frac) return bound->negative ? (up ? value : value - 1) : up ? value + 1 : value;
    return value + (bound->exclusive ? (up ? 1 : -1) : 0);
}

static struct number_bound from_integer(int64_t value)
{
    struct number_bound bound = {.is_set = true};
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    set_digits(&bound, text);
    return bound;
}

/* ---- magnitudes ---------------------------------------------------------------------------- */

struct magnitudes {
    struct grammar_builder *b;
    const struct number_bound *low, *high; /* is_set may be false for `high` */
    bool integer;
    uint32_t to;
    uint32_t frac[MAX_FRAC + 1][2][2]; /* states behind the point, by digits read */
};

/* Digit i behind the point. */
static char frac_digit(const struct number_bound *bound, int i)
{
    return i < bound->n_frac ? bound->digits[bound->n_int + i] : '0';
}

/* Edges for one more digit from `first` to '9'; next(low, high) gives the states. */
struct digit_step {
    char low_digit, high_digit; /* of the bounds */
    bool low, high;
    uint32_t next[2][2]; /* [still low][still high]; NO_STATE: not allowed */
};

static void add_digit(struct grammar_builder *b, uint32_t from, char first,
                      const struct digit_step *step)
{
    for (char c = first; c <= '9'; c++) {
        if ((step->low && c < step->low_digit) || (step->high && c > step->high_digit)) continue;
        bool low = step->low && c == step->low_digit, high = step->high && c == step->high_digit;
        if (step->next[low][high] != NO_STATE)
            grammar_add_range(b, from, (uint8_t)c, (uint8_t)c, step->next[low][high]);
    }
}

/* The number may end after n digits behind the point. */
static bool may_end(const struct magnitudes *m, int n, bool low, bool high)
{
    if (low) {
        if (m->low->n_frac > n) return false; /* still below the bound */
        if (m->low->exclusive) return false;
    }
    return !(high && m->high->n_frac <= n && m->high->exclusive);
}

static void add_fractions(struct magnitudes *m)
{
    for (int n = 0; n <= MAX_FRAC; n++)
        for (int k = 0; k < 4; k++) m->frac[n][k / 2][k % 2] = grammar_add_state(m->b);
    for (int n = 0; n <= MAX_FRAC; n++)
        for (int k = 0; k < 4; k++) {
            bool low = k / 2, high = k % 2;
            uint32_t state = m->frac[n][low][high];
            if (n > 0 && may_end(m, n, low, high)) grammar_add_empty(m->b, state, m->to);
            if (n == MAX_FRAC) continue;
            struct digit_step step = {
                frac_digit(m->low, n), frac_digit(m->high, n), low, high, {{0}}};
            memcpy(step.next, m->frac[n + 1], sizeof step.next);
            add_digit(m->b, state, '0', &step);
        }
}

/* Numbers with n digits before the point. */
static void add_length(struct magnitudes *m, uint32_t from, int n)
{
    struct grammar_builder *b = m->b;
    uint32_t states[2][2] = {{NO_STATE, NO_STATE}, {NO_STATE, NO_STATE}}, next[2][2];
    bool low = n == m->low->n_int, high = m->high->is_set && n == m->high->n_int;
    states[low][high] = from;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < 4; k++) next[k / 2][k % 2] = grammar_add_state(b);
        for (int k = 0; k < 4; k++) {
            if (states[k / 2][k % 2] == NO_STATE) continue;
            struct digit_step step = {m->low->digits[i], m->high->digits[i], k / 2, k % 2, {{0}}};
            memcpy(step.next, next, sizeof next);
            add_digit(b, states[k / 2][k % 2], i == 0 && n > 1 ? '1' : '0', &step);
        }
        memcpy(states, next, sizeof next);
    }
    for (int k = 0; k < 4; k++) {
        bool is_low = k / 2, is_high = k % 2;
        if (m->integer || may_end(m, 0, is_low, is_high))
            grammar_add_empty(b, states[is_low][is_high], m->to);
        if (!m->integer)
            grammar_add_range(b, states[is_low][is_high], '.', '.', m->frac[0][is_low][is_high]);
    }
}

/* All magnitudes from low to high; none where low is above high. */
static void add_magnitudes(struct grammar_builder *b, uint32_t from, uint32_t to, bool integer,
                           const struct number_bound *low, const struct number_bound *high)
{
    struct magnitudes m = {.b = b, .low = low, .high = high, .integer = integer, .to = to};
    int longest = high->is_set ? high->n_int : MAX_INT;
    if (!integer) add_fractions(&m);
    for (int n = low->n_int; n <= longest && b->status == VINCI_OK; n++) {
        uint32_t begin = grammar_add_state(b);
        grammar_add_empty(b, from, begin);
        add_length(&m, begin, n);
    }
}

uint32_t grammar_add_number(struct grammar_builder *b, bool integer, const struct number_bound *min,
                            const struct number_bound *max)
{
    uint32_t rule = grammar_add_rule(b), from = rule_start(b, rule), to = rule_end(b, rule);
    struct number_bound lo = *min, hi = *max, low, high;
    if (integer) {
        int64_t a = lo.is_set ? to_integer(&lo, true) : -INTEGER_LIMIT;
        int64_t z = hi.is_set ? to_integer(&hi, false) : INTEGER_LIMIT;
        lo = from_integer(a < -INTEGER_LIMIT ? -INTEGER_LIMIT : a);
        hi = from_integer(z > INTEGER_LIMIT ? INTEGER_LIMIT : z);
    }
    if (!hi.is_set || !hi.negative) { /* 0 and above */
        low = lo.is_set && !lo.negative ? lo : from_integer(0);
        add_magnitudes(b, from, to, integer, &low, &hi);
    }
    if (!lo.is_set || lo.negative) { /* below 0: the bounds change places */
        uint32_t minus = grammar_add_text(b, from, "-", 1);
        low = hi.is_set && hi.negative ? hi : from_integer(integer ? 1 : 0);
        if (!(hi.is_set && hi.negative) && !integer) low.exclusive = true;
        high = lo;
        add_magnitudes(b, minus, to, integer, &low, &high);
    }
    return rule;
}
