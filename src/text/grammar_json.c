/* grammar_json.c - the rules of JSON.
 *
 * A little tighter than RFC 8259, where models and readers gain by it: white space comes only
 * behind { [ , : and before } ], at most a space or one line break with indentation (a model may
 * otherwise write blanks without end); numbers have at most 18 digits before and 17 behind the
 * point and exponents two, so that they fit what readers read them into; strings are UTF-8, \u
 * escapes pair their surrogates and do not write U+0000. */
#include "text/grammar.h"

#include <string.h>

enum { MAX_INDENT = 40, MAX_DIGITS = 18, MAX_FRACTION = 17, MAX_EXPONENT = 2 };

uint32_t grammar_add_space(struct grammar_builder *b, const struct json_rules *rules, uint32_t from)
{
    uint32_t to = grammar_add_state(b);
    grammar_add_empty(b, from, to);
    grammar_add_call(b, from, rules->space, to);
    return to;
}

/* A space, or a line break and some indentation. */
static uint32_t add_space_rule(struct grammar_builder *b)
{
    uint32_t rule = grammar_add_rule(b), at = grammar_add_state(b);
    grammar_add_range(b, rule_start(b, rule), ' ', ' ', rule_end(b, rule));
    grammar_add_range(b, rule_start(b, rule), '\n', '\n', at);
    for (int i = 0; i < MAX_INDENT; i++) {
        uint32_t next = grammar_add_state(b);
        grammar_add_empty(b, at, rule_end(b, rule));
        grammar_add_range(b, at, ' ', ' ', next);
        grammar_add_range(b, at, '\t', '\t', next);
        at = next;
    }
    grammar_add_empty(b, at, rule_end(b, rule));
    return rule;
}

static void add_hex(struct grammar_builder *b, uint32_t from, uint32_t to)
{
    grammar_add_range(b, from, '0', '9', to);
    grammar_add_range(b, from, 'a', 'f', to);
    grammar_add_range(b, from, 'A', 'F', to);
}

static uint32_t add_hexes(struct grammar_builder *b, uint32_t from, int n, uint32_t to)
{
    for (; n > 1; n--) {
        uint32_t next = grammar_add_state(b);
        add_hex(b, from, next);
        from = next;
    }
    add_hex(b, from, to);
    return to;
}

/* Behind \u: four digits, not 0000, surrogates in pairs. */
static void add_unicode_escape(struct grammar_builder *b, uint32_t from, uint32_t to)
{
    uint32_t zero = grammar_add_state(b), zeros = grammar_add_state(b), last = grammar_add_state(b);
    uint32_t d = grammar_add_state(b), high = grammar_add_state(b), low = grammar_add_state(b);
    uint32_t three = grammar_add_state(b), two = grammar_add_state(b);
    grammar_add_range(b, from, '0', '0', zero); /* 0: one of the other three is not 0 */
    grammar_add_range(b, zero, '0', '0', zeros);
    grammar_add_range(b, zeros, '0', '0', last);
    static const char digits[][2] = {{'1', '9'}, {'a', 'f'}, {'A', 'F'}};
    for (size_t i = 0; i < 3; i++) {
        uint8_t lo = (uint8_t)digits[i][0], hi = (uint8_t)digits[i][1];
        grammar_add_range(b, zero, lo, hi, two);
        grammar_add_range(b, last, lo, hi, to);
    }
    uint32_t one = grammar_add_state(b);
    for (size_t i = 0; i < 3; i++)
        grammar_add_range(b, zeros, (uint8_t)digits[i][0], (uint8_t)digits[i][1], one);
    add_hex(b, one, to);
    add_hexes(b, two, 2, to);
    static const char first[][2] = {{'1', '9'}, {'a', 'c'}, {'A', 'C'}, {'e', 'f'}, {'E', 'F'}};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        grammar_add_range(b, from, (uint8_t)first[i][0], (uint8_t)first[i][1], three);
    add_hexes(b, three, 3, to);
    grammar_add_range(b, from, 'd', 'd', d);
    grammar_add_range(b, from, 'D', 'D', d);
    grammar_add_range(b, d, '0', '7', two);
    grammar_add_range(b, d, '8', '9', high);
    grammar_add_range(b, d, 'a', 'b', high);
    grammar_add_range(b, d, 'A', 'B', high);
    uint32_t at = grammar_add_state(b);
    add_hexes(b, high, 2, at);
    at = grammar_add_text(b, at, "\\u", 2);
    uint32_t low_d = grammar_add_state(b);
    grammar_add_range(b, at, 'd', 'd', low_d);
    grammar_add_range(b, at, 'D', 'D', low_d);
    grammar_add_range(b, low_d, 'c', 'f', low);
    grammar_add_range(b, low_d, 'C', 'F', low);
    add_hexes(b, low, 2, to);
}

/* One character beyond ASCII: well-formed UTF-8 (RFC 3629). */
static void add_utf8(struct grammar_builder *b, uint32_t from, uint32_t to)
{
    static const uint8_t heads[][4] = {/* first byte from, to; second byte from, to */
                                       {0xe0, 0xe0, 0xa0, 0xbf}, {0xe1, 0xec, 0x80, 0xbf},
                                       {0xed, 0xed, 0x80, 0x9f}, {0xee, 0xef, 0x80, 0xbf},
                                       {0xf0, 0xf0, 0x90, 0xbf}, {0xf1, 0xf3, 0x80, 0xbf},
                                       {0xf4, 0xf4, 0x80, 0x8f}};
    uint32_t last = grammar_add_state(b), last_two = grammar_add_state(b);
    grammar_add_range(b, last, 0x80, 0xbf, to);
    grammar_add_range(b, last_two, 0x80, 0xbf, last);
    grammar_add_range(b, from, 0xc2, 0xdf, last);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        uint32_t second = grammar_add_state(b);
        grammar_add_range(b, from, heads[i][0], heads[i][1], second);
        grammar_add_range(b, second, heads[i][2], heads[i][3],
                          heads[i][0] >= 0xf0 ? last_two : last);
    }
}

static uint32_t add_string_rule(struct grammar_builder *b)
{
    uint32_t rule = grammar_add_rule(b), body = grammar_add_state(b);
    uint32_t escape = grammar_add_state(b), unicode = grammar_add_state(b);
    grammar_add_range(b, rule_start(b, rule), '"', '"', body);
    grammar_add_range(b, body, '"', '"', rule_end(b, rule));
    grammar_add_range(b, body, 0x20, '"' - 1, body);
    grammar_add_range(b, body, '"' + 1, '\\' - 1, body);
    grammar_add_range(b, body, '\\' + 1, 0x7f, body);
    grammar_add_range(b, body, '\\', '\\', escape);
    for (const char *c = "\"\\/bfnrt"; *c; c++)
        grammar_add_range(b, escape, (uint8_t)*c, (uint8_t)*c, body);
    grammar_add_range(b, escape, 'u', 'u', unicode);
    add_unicode_escape(b, unicode, body);
    add_utf8(b, body, body);
    return rule;
}

/* At least one and at most `most` digits. */
static uint32_t add_digits(struct grammar_builder *b, uint32_t from, int most)
{
    uint32_t to = grammar_add_state(b);
    for (int i = 0; i < most; i++) {
        uint32_t next = grammar_add_state(b);
        grammar_add_range(b, from, '0', '9', next);
        grammar_add_empty(b, next, to);
        from = next;
    }
    return to;
}

static uint32_t add_integer_part(struct grammar_builder *b, uint32_t from)
{
    uint32_t digits = grammar_add_state(b), first = grammar_add_state(b);
    uint32_t to = grammar_add_state(b);
    grammar_add_empty(b, from, digits);
    grammar_add_range(b, from, '-', '-', digits);
    grammar_add_range(b, digits, '0', '0', to);
    grammar_add_range(b, digits, '1', '9', first);
    grammar_add_empty(b, first, to);
    grammar_add_empty(b, add_digits(b, first, MAX_DIGITS - 1), to);
    return to;
}

static uint32_t add_number_rule(struct grammar_builder *b)
{
    uint32_t rule = grammar_add_rule(b), end = rule_end(b, rule);
    uint32_t at = add_integer_part(b, rule_start(b, rule));
    uint32_t mantissa = grammar_add_state(b), e = grammar_add_state(b), sign = grammar_add_state(b);
    grammar_add_empty(b, at, mantissa);
    at = grammar_add_text(b, at, ".", 1);
    grammar_add_empty(b, add_digits(b, at, MAX_FRACTION), mantissa);
    grammar_add_empty(b, mantissa, end);
    grammar_add_range(b, mantissa, 'e', 'e', e);
    grammar_add_range(b, mantissa, 'E', 'E', e);
    grammar_add_empty(b, e, sign);
    grammar_add_range(b, e, '+', '+', sign);
    grammar_add_range(b, e, '-', '-', sign);
    grammar_add_empty(b, add_digits(b, sign, MAX_EXPONENT), end);
    return rule;
}

static uint32_t add_words_rule(struct grammar_builder *b, const char *one, const char *other)
{
    uint32_t rule = grammar_add_rule(b);
    grammar_add_choice(b, rule_start(b, rule), one, strlen(one), rule_end(b, rule));
    if (other) grammar_add_choice(b, rule_start(b, rule), other, strlen(other), rule_end(b, rule));
    return rule;
}

/* OPEN element (, element)* CLOSE, or OPEN CLOSE; returns where an element begins. */
static void add_list(struct grammar_builder *b, const struct json_rules *rules, uint32_t rule,
                     char open, char close, uint32_t *element, uint32_t *behind)
{
    uint32_t at = grammar_add_text(b, rule_start(b, rule), &open, 1), last;
    *element = grammar_add_space(b, rules, at);
    *behind = grammar_add_state(b);
    grammar_add_empty(b, grammar_add_space(b, rules, grammar_add_text(b, *behind, ",", 1)),
                      *element);
    last = grammar_add_space(b, rules, *behind);
    grammar_add_range(b, last, (uint8_t)close, (uint8_t)close, rule_end(b, rule));
    grammar_add_range(b, at, (uint8_t)close, (uint8_t)close, rule_end(b, rule));
}

void grammar_add_json(struct grammar_builder *b, struct json_rules *rules)
{
    uint32_t element, behind, at;
    bool first = b->n_states == 0;
    rules->space = add_space_rule(b);
    rules->string = add_string_rule(b);
    rules->number = add_number_rule(b);
    rules->integer = grammar_add_rule(b);
    grammar_add_empty(b, add_integer_part(b, rule_start(b, rules->integer)),
                      rule_end(b, rules->integer));
    rules->boolean = add_words_rule(b, "true", "false");
    rules->null = add_words_rule(b, "null", NULL);
    rules->value = grammar_add_rule(b);
    rules->object = grammar_add_rule(b);
    rules->array = grammar_add_rule(b);
    const uint32_t kinds[] = {rules->string, rules->number, rules->boolean,
                              rules->null,   rules->object, rules->array};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        grammar_add_call(b, rule_start(b, rules->value), kinds[i], rule_end(b, rules->value));
    add_list(b, rules, rules->array, '[', ']', &element, &behind);
    grammar_add_call(b, element, rules->value, behind);
    add_list(b, rules, rules->object, '{', '}', &element, &behind);
    at = grammar_add_state(b);
    grammar_add_call(b, element, rules->string, at);
    at = grammar_add_space(b, rules, grammar_add_text(b, at, ":", 1));
    grammar_add_call(b, at, rules->value, behind);
    if (first) b->n_common = (uint32_t)b->n_states;
}

enum vinci_status vinci_grammar_json(struct vinci_grammar **out,
                                     const struct vinci_tokenizer *tokenizer,
                                     struct vinci_error *err)
{
    struct grammar_builder b = {.err = err};
    struct json_rules rules;
    grammar_add_json(&b, &rules);
    enum vinci_status status = grammar_finish(out, &b, rules.object, tokenizer, err);
    grammar_builder_free(&b);
    return status;
}
