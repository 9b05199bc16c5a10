/* grammar.h - texts as automata over bytes, and masks of the tokens that may come next. The public
 * functions are in vinci.h, docs/grammar.md has the reasons.
 *
 *   grammar.c         automata: building, checking, reference counts
 *   grammar_match.c   following a text through one; masks
 *   grammar_json.c    the rules of JSON
 *   grammar_number.c  numbers within bounds
 *   grammar_schema.c  JSON schema -> automaton
 *   grammar_regex.c   regular expression -> automaton
 *
 * A grammar is a set of rules; a rule is a nondeterministic automaton whose edges are ranges of
 * bytes, empty, or calls of rules. A position in a text is a set of items (state, tail): the state
 * of a rule, and the tail, what follows once the rule is done: a set of (state, tail) in turn.
 * All callers of a rule at one place in the text share one tail, so that an ambiguous grammar does
 * not multiply (a graph-structured stack). States from which no end can be reached are removed when
 * the grammar is built: every position that exists can be completed. */
#ifndef VINCI_TEXT_GRAMMAR_H
#define VINCI_TEXT_GRAMMAR_H

#include "base/buf.h"
#include "base/status.h"
#include "text/vocab_trie.h"

#include <jansson.h>
#include <stdatomic.h>

/* ---- building (grammar.c) ---- */

enum {
    GRAMMAR_MAX_STATES = 1 << 17,
    GRAMMAR_MAX_LINKS = 1 << 19,
    GRAMMAR_MAX_RULES = 1 << 14,
};
#define GRAMMAR_NO_RULE UINT32_MAX

/* An edge while the grammar is built. */
struct grammar_link {
    uint32_t next; /* of the same state; UINT32_MAX: the last */
    uint32_t target, rule;
    uint8_t lo, hi;
    enum { LINK_BYTES, LINK_EMPTY, LINK_CALL } kind;
};

struct grammar_rule {
    uint32_t start, end;
    uint32_t order; /* a rule comes before those it can call without reading a byte */
};

/* All zero, but for `err`, begins. The first failure sticks; everything after it does nothing. */
struct grammar_builder {
    uint32_t *first; /* [n_states] of the state's links */
    struct grammar_link *links;
    struct grammar_rule *rules;
    size_t n_states, n_links, n_rules, state_capacity, link_capacity, rule_capacity;
    uint32_t n_common; /* states of grammar_add_json, if that came first */
    enum vinci_status status;
    struct vinci_error *err;
};

void grammar_builder_free(struct grammar_builder *b);

/* New states and rules; a rule has a start and an end. */
uint32_t grammar_add_state(struct grammar_builder *b);
uint32_t grammar_add_rule(struct grammar_builder *b);
static inline uint32_t rule_start(const struct grammar_builder *b, uint32_t rule)
{
    return b->status == VINCI_OK ? b->rules[rule].start : 0;
}
static inline uint32_t rule_end(const struct grammar_builder *b, uint32_t rule)
{
    return b->status == VINCI_OK ? b->rules[rule].end : 0;
}

void grammar_add_range(struct grammar_builder *b, uint32_t from, uint8_t lo, uint8_t hi,
                       uint32_t to);
void grammar_add_empty(struct grammar_builder *b, uint32_t from, uint32_t to);
void grammar_add_call(struct grammar_builder *b, uint32_t from, uint32_t rule, uint32_t to);

/* Reads `text` from `from` on; returns the state behind it. */
uint32_t grammar_add_text(struct grammar_builder *b, uint32_t from, const char *text, size_t n);

/* The same, ending in `to`; texts added so from one state share their beginnings. */
void grammar_add_choice(struct grammar_builder *b, uint32_t from, const char *text, size_t n,
                        uint32_t to);

/* Makes the grammar whose texts are those of `root`. What cannot be completed is removed: USAGE if
 * nothing is left, or if a rule can call itself without reading a byte. Frees nothing
 * of the builder. */
enum vinci_status grammar_finish(struct vinci_grammar **out, struct grammar_builder *b,
                                 uint32_t root, const struct vinci_tokenizer *tokenizer,
                                 struct vinci_error *err);

/* ---- finished (grammar.c) ---- */

struct grammar_edge {
    uint32_t target;
    uint8_t lo, hi;
};

struct grammar_jump {
    uint32_t target, rule; /* GRAMMAR_NO_RULE: an empty edge */
};

struct grammar_state {
    uint32_t first_edge, first_jump;
    uint32_t n_edges;
    uint32_t n_jumps;
    bool is_end;
    bool simple; /* no jumps, no end; edges do not overlap */
};

struct vinci_grammar {
    atomic_uint n_refs;
    struct vocab_trie *trie;
    struct grammar_state *states; /* [n_states] */
    struct grammar_edge *edges;
    struct grammar_jump *jumps;
    struct grammar_rule *rules; /* [n_rules] */
    uint32_t n_states, n_rules, root;
    uint32_t
        n_common; /* the first states are those of every JSON grammar; the trie has their masks */
    pthread_mutex_t lock;      /* of what follows */
    struct state_mask **masks; /* [n_states], NULL: not yet known */
    size_t mask_bytes;
};

/* Another reference, for vinci_grammar_close. */
struct vinci_grammar *grammar_retain(const struct vinci_grammar *grammar);

/* The grammar's lock is held. */
void grammar_drop_masks(struct vinci_grammar *grammar);

/* ---- matching (grammar_match.c) ---- */

struct grammar_matcher;

/* Retains the grammar. */
enum vinci_status grammar_matcher_create(struct grammar_matcher **out,
                                         const struct vinci_grammar *grammar,
                                         struct vinci_error *err);
void grammar_matcher_free(struct grammar_matcher *matcher);

/* Back to the beginning of the text. */
enum vinci_status grammar_matcher_reset(struct grammar_matcher *matcher, struct vinci_error *err);

/* Reads on; *ok is false, and the position unchanged, where the text leaves the grammar. */
enum vinci_status grammar_matcher_advance(struct grammar_matcher *matcher, const char *text,
                                          size_t n, bool *ok, struct vinci_error *err);

/* The text may end here; it may go on. At least one is true. */
bool grammar_matcher_is_complete(const struct grammar_matcher *matcher);
bool grammar_matcher_can_continue(const struct grammar_matcher *matcher);

/* Words of its masks. */
size_t grammar_matcher_words(const struct grammar_matcher *matcher);

/* The tokens that may come next, bit t of word t / 32: borrowed until the next call. LIMIT when the
 * grammar is too ambiguous to tell in bounded time. */
enum vinci_status grammar_matcher_mask(struct grammar_matcher *matcher, const uint32_t **mask,
                                       struct vinci_error *err);

/* ---- JSON (grammar_json.c) ---- */

/* The rules that every JSON grammar has. */
struct json_rules {
    uint32_t space; /* white space, not empty */
    uint32_t string, number, integer, boolean, null;
    uint32_t value, object, array; /* any */
};

/* The first thing that is added to a grammar. */
void grammar_add_json(struct grammar_builder *b, struct json_rules *rules);

/* White space or nothing. */
uint32_t grammar_add_space(struct grammar_builder *b, const struct json_rules *rules,
                           uint32_t from);

/* A bound of a number: decimal digits, those before the point first. */
struct number_bound {
    bool is_set, exclusive, negative;
    char digits[64];
    int n_int, n_frac; /* n_int >= 1 */
};

/* Reads a JSON number; UNSUPPORTED beyond 18 digits before or 17 behind the point. */
enum vinci_status number_bound_read(struct number_bound *bound, const json_t *number,
                                    const char *where, struct vinci_error *err);

/* A rule for the numbers within the bounds, written without exponent. */
uint32_t grammar_add_number(struct grammar_builder *b, bool integer, const struct number_bound *min,
                            const struct number_bound *max);

/* ---- regular expressions (grammar_regex.c) ---- */

enum grammar_regex_kind {
    REGEX_WHOLE,      /* the expression is the whole text, from `from` to `to` */
    REGEX_JSON_WHOLE, /* the same in a JSON string; its closing quote is added */
    REGEX_JSON_SEARCH /* somewhere in a JSON string: a schema's `pattern` */
};

/* Adds the texts that the expression matches. `where` begins error texts. */
void grammar_add_regex(struct grammar_builder *b, uint32_t from, uint32_t to, const char *pattern,
                       size_t n, enum grammar_regex_kind kind, const char *where);

#endif
