/* grammar_regex.c - regular expression -> automaton.
 *
 * The part of ECMA-262 that is regular: characters and escapes, classes, groups, |, repetition
 * (lazy is the same as greedy: which texts match does not depend on it), ^ first and $ last. What
 * is not regular, or depends on the neighbours (\b, look-around, \1), is refused by name.
 *
 * The expression becomes a tree, the tree an automaton over bytes (UTF-8, in a JSON string with its
 * escapes in one form each), and that a deterministic one, by sets of states: so a hostile
 * expression cannot make a token slow; where the sets are too many it is refused. */
#include "text/array.h"
#include "text/grammar.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_PATTERN = 4096, /* bytes */
    MAX_DEPTH = 64,     /* of groups */
    MAX_REPEAT = 1000,  /* in {n,m} */
    MAX_NFA = 1 << 16,  /* states before they become deterministic */
    MAX_DFA = 1 << 13,  /* and after */
    MAX_WORK = 1 << 26, /* members of all sets that are looked at */
    MAX_CODE = 0x10ffff,
};
#define NONE UINT32_MAX

struct range {
    uint32_t lo, hi; /* code points */
};

struct node {
    enum { NODE_EMPTY, NODE_SET, NODE_CAT, NODE_ALT, NODE_REPEAT } kind;
    uint32_t a, b;     /* SET: ranges [a, b); CAT, ALT: nodes; REPEAT: node a */
    uint32_t min, max; /* max NONE: no limit */
};

struct parser {
    const char *pattern, *where;
    size_t n, at;
    int depth;
    struct node *nodes;
    struct range *ranges;
    size_t n_nodes, n_ranges, node_capacity, range_capacity;
    enum vinci_status status;
    struct vinci_error *err;
};

static uint32_t refuse(struct parser *p, enum vinci_status status, const char *what)
{
    if (p->status == VINCI_OK)
        p->status =
            fail(p->err, status, "%.200s: regular expression, byte %zu: %s", p->where, p->at, what);
    return 0;
}

static uint32_t no_memory(struct parser *p)
{
    if (p->status == VINCI_OK) p->status = fail_memory(p->err, p->n, "a regular expression");
    return 0;
}

static uint32_t add_node(struct parser *p, struct node node)
{
    if (p->status != VINCI_OK) return 0;
    struct node *nodes = array_grow(p->nodes, &p->node_capacity, p->n_nodes + 1, sizeof *nodes);
    if (!nodes) return no_memory(p);
    p->nodes = nodes;
    nodes[p->n_nodes] = node;
    return (uint32_t)p->n_nodes++;
}

static void add_range(struct parser *p, uint32_t lo, uint32_t hi)
{
    if (p->status != VINCI_OK) return;
    struct range *ranges =
        array_grow(p->ranges, &p->range_capacity, p->n_ranges + 1, sizeof *ranges);
    if (!ranges) {
        no_memory(p);
        return;
    }
    p->ranges = ranges;
    ranges[p->n_ranges++] = (struct range){lo, hi};
}

/* ---- sets of characters -------------------------------------------------------------------- */

static int by_lo(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

/* The ranges from `first` on: sorted, joined, and turned round if asked for. */
static void finish_set(struct parser *p, size_t first, bool negate)
{
    if (p->status != VINCI_OK) return;
    struct range *r = p->ranges + first;
    size_t n = p->n_ranges - first, kept = 0;
    if (n > 1) qsort(r, n, sizeof *r, by_lo);
    for (size_t i = 0; i < n; i++) {
        if (kept && r[i].lo <= r[kept - 1].hi + 1) {
            if (r[i].hi > r[kept - 1].hi) r[kept - 1].hi = r[i].hi;
        } else {
            r[kept++] = r[i];
        }
    }
    p->n_ranges = first + kept;
    if (!negate) return;
    uint32_t from = 0;
    for (size_t i = 0; i < kept; i++) { /* a gap before each range takes its place */
        struct range gap = {from, p->ranges[first + i].lo - 1};
        bool empty = p->ranges[first + i].lo == from;
        from = p->ranges[first + i].hi + 1;
        p->ranges[first + i] = empty ? (struct range){1, 0} : gap;
    }
    if (from <= MAX_CODE) add_range(p, from, MAX_CODE);
    for (size_t i = n = first; i < p->n_ranges; i++)
        if (p->ranges[i].lo <= p->ranges[i].hi) p->ranges[n++] = p->ranges[i];
    p->n_ranges = n;
}

static const struct range digit_class[] = {{'0', '9'}};
static const struct range word_class[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct range space_class[] = {
    {9, 13},          {32, 32},         {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
    {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
static const struct range line_end_class[] = {{10, 10}, {13, 13}, {0x2028, 0x2029}};

static void add_class(struct parser *p, const struct range *class, size_t n, bool negate)
{
    size_t first = p->n_ranges;
    for (size_t i = 0; i < n; i++) add_range(p, class[i].lo, class[i].hi);
    finish_set(p, first, negate);
}

/* ---- parsing ------------------------------------------------------------------------------- */

static bool has(const struct parser *p, char c)
{
    return p->at < p->n && p->pattern[p->at] == c;
}

static bool take(struct parser *p, char c)
{
    if (!has(p, c)) return false;
    p->at++;
    return true;
}

/* The next character of the pattern, which is UTF-8 from a JSON document. */
static uint32_t take_character(struct parser *p)
{
    uint8_t c = (uint8_t)p->pattern[p->at++];
    uint32_t n = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    uint32_t code = n == 0 ? c : c & (0x3fu >> n);
    for (; n > 0 && p->at < p->n; n--) code = code << 6 | ((uint8_t)p->pattern[p->at++] & 0x3f);
    return code <= MAX_CODE ? code : 0xfffd;
}

static uint32_t take_hex(struct parser *p, size_t least, size_t most)
{
    uint32_t value = 0;
    size_t n = 0;
    for (; n < most && p->at < p->n; n++, p->at++) {
        char c = p->pattern[p->at], lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9') value = value * 16 + (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f') value = value * 16 + (uint32_t)(lower - 'a' + 10);
        else break;
    }
    if (n < least || value > MAX_CODE) refuse(p, VINCI_BAD_FILE, "a bad hexadecimal escape");
    return value;
}

static uint32_t take_unicode(struct parser *p)
{
    if (take(p, '{')) {
        uint32_t code = take_hex(p, 1, 6);
        if (!take(p, '}')) refuse(p, VINCI_BAD_FILE, "a bad \\u{...}");
        return code;
    }
    uint32_t code = take_hex(p, 4, 4);
    bool high = code >= 0xd800 && code < 0xdc00;
    if (high && p->at + 1 < p->n && has(p, '\\') && p->pattern[p->at + 1] == 'u') {
        p->at += 2;
        uint32_t low = take_hex(p, 4, 4);
        return 0x10000 + ((code - 0xd800) << 10) + ((low - 0xdc00) & 0x3ff);
    }
    return code;
}

/* Behind a backslash: a class is added to the ranges, and NONE returned; else the character. */
static uint32_t take_escape(struct parser *p, bool in_class)
{
    if (p->at >= p->n) return refuse(p, VINCI_BAD_FILE, "nothing behind the backslash");
    char c = p->pattern[p->at];
    switch (c) {
    case 'd':
    case 'D': add_class(p, digit_class, 1, c == 'D'); break;
    case 'w':
    case 'W': add_class(p, word_class, 4, c == 'W'); break;
    case 's':
    case 'S': add_class(p, space_class, sizeof space_class / sizeof *space_class, c == 'S'); break;
    case 't': p->at++; return '\t';
    case 'n': p->at++; return '\n';
    case 'v': p->at++; return '\v';
    case 'f': p->at++; return '\f';
    case 'r': p->at++; return '\r';
    case 'x': p->at++; return take_hex(p, 2, 2);
    case 'u': p->at++; return take_unicode(p);
    case 'b':
        if (in_class) {
            p->at++;
            return '\b';
        }
        return refuse(p, VINCI_UNSUPPORTED, "\\b is not supported");
    default:
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            return refuse(p, VINCI_UNSUPPORTED,
                          "this escape is not supported (back references, \\B, \\p, \\c ...)");
        return take_character(p);
    }
    p->at++;
    return NONE;
}

/* Behind "[" */
static uint32_t parse_class(struct parser *p)
{
    size_t first = p->n_ranges;
    bool negate = take(p, '^');
    while (p->status == VINCI_OK && !take(p, ']')) {
        if (p->at >= p->n) return refuse(p, VINCI_BAD_FILE, "] is missing");
        uint32_t lo = take(p, '\\') ? take_escape(p, true) : take_character(p), hi = lo;
        bool range = has(p, '-') && p->at + 1 < p->n && p->pattern[p->at + 1] != ']';
        if (lo != NONE && range) {
            p->at++;
            hi = take(p, '\\') ? take_escape(p, true) : take_character(p);
            if (hi == NONE || hi < lo) return refuse(p, VINCI_BAD_FILE, "a bad range in [...]");
        }
        if (lo != NONE) add_range(p, lo, hi);
    }
    finish_set(p, first, negate);
    return add_node(p, (struct node){NODE_SET, (uint32_t)first, (uint32_t)p->n_ranges, 0, 0});
}

static uint32_t parse_alternatives(struct parser *p);

/* Behind "(" */
static uint32_t parse_group(struct parser *p)
{
    if (++p->depth > MAX_DEPTH) return refuse(p, VINCI_LIMIT, "too many groups in each other");
    if (take(p, '?') && !take(p, ':')) {
        bool named = take(p, '<') && !has(p, '=') && !has(p, '!');
        if (!named) return refuse(p, VINCI_UNSUPPORTED, "look-around and flags are not supported");
        while (p->at < p->n && !has(p, '>')) p->at++;
        if (!take(p, '>')) return refuse(p, VINCI_BAD_FILE, "> is missing");
    }
    uint32_t node = parse_alternatives(p);
    if (!take(p, ')')) return refuse(p, VINCI_BAD_FILE, ") is missing");
    p->depth--;
    return node;
}

static uint32_t parse_atom(struct parser *p)
{
    size_t first = p->n_ranges;
    if (take(p, '(')) return parse_group(p);
    if (take(p, '[')) return parse_class(p);
    if (has(p, '*') || has(p, '+') || has(p, '?'))
        return refuse(p, VINCI_BAD_FILE, "nothing to repeat");
    if (has(p, '^') || has(p, '$'))
        return refuse(p, VINCI_UNSUPPORTED,
                      "^ is supported at the beginning and $ at the end only");
    if (take(p, '.')) {
        add_class(p, line_end_class, 3, true);
    } else if (take(p, '\\')) {
        uint32_t code = take_escape(p, false);
        if (code != NONE) add_range(p, code, code);
    } else {
        uint32_t code = take_character(p);
        add_range(p, code, code);
    }
    return add_node(p, (struct node){NODE_SET, (uint32_t)first, (uint32_t)p->n_ranges, 0, 0});
}

/* A number of at most MAX_REPEAT, `absent` where there is none. */
static uint32_t take_number(struct parser *p, uint32_t absent)
{
    if (p->at >= p->n || p->pattern[p->at] < '0' || p->pattern[p->at] > '9') return absent;
    uint32_t n = 0;
    for (; p->at < p->n && p->pattern[p->at] >= '0' && p->pattern[p->at] <= '9'; p->at++) {
        n = n * 10 + (uint32_t)(p->pattern[p->at] - '0');
        if (n > MAX_REPEAT) return refuse(p, VINCI_LIMIT, "a repetition of more than 1000");
    }
    return n;
}

static uint32_t parse_repeat(struct parser *p)
{
    uint32_t node = parse_atom(p), min, max;
    for (int n = 0; p->status == VINCI_OK && p->at < p->n; n++) {
        size_t at = p->at;
        if (take(p, '*')) {
            min = 0;
            max = NONE;
        } else if (take(p, '+')) {
            min = 1;
            max = NONE;
        } else if (take(p, '?')) {
            min = 0;
            max = 1;
        } else if (take(p, '{')) {
            min = take_number(p, NONE);
            max = take(p, ',') ? take_number(p, NONE) : min;
            if (min == NONE || !take(p, '}') || (max != NONE && max < min)) {
                p->at = at;
                return refuse(p, VINCI_BAD_FILE, "a bad {n,m}; a brace itself is \\{");
            }
        } else {
            break;
        }
        if (n > 0) return refuse(p, VINCI_BAD_FILE, "nothing to repeat");
        take(p, '?'); /* lazy */
        node = add_node(p, (struct node){NODE_REPEAT, node, 0, min, max});
    }
    return node;
}

static uint32_t parse_sequence(struct parser *p)
{
    uint32_t node = add_node(p, (struct node){NODE_EMPTY, 0, 0, 0, 0});
    while (p->status == VINCI_OK && p->at < p->n && !has(p, '|') && !has(p, ')')) {
        if (p->depth == 0 && has(p, '$') && (p->at + 1 == p->n || p->pattern[p->at + 1] == '|'))
            break;
        uint32_t next = parse_repeat(p);
        node = add_node(p, (struct node){NODE_CAT, node, next, 0, 0});
    }
    return node;
}

static uint32_t parse_alternatives(struct parser *p)
{
    uint32_t node = parse_sequence(p);
    while (take(p, '|')) {
        uint32_t next = parse_sequence(p);
        node = add_node(p, (struct node){NODE_ALT, node, next, 0, 0});
    }
    return node;
}

static uint32_t add_anything(struct parser *p)
{
    size_t first = p->n_ranges;
    add_range(p, 0, MAX_CODE);
    uint32_t set = add_node(p, (struct node){NODE_SET, (uint32_t)first, (uint32_t)first + 1, 0, 0});
    return add_node(p, (struct node){NODE_REPEAT, set, 0, 0, NONE});
}

/* ^A$|B|...: each alternative has its own anchors; without them anything may stand there. */
static uint32_t parse_pattern(struct parser *p, bool search)
{
    uint32_t all = NONE;
    do {
        bool begins = take(p, '^');
        uint32_t node = parse_sequence(p);
        bool ends = take(p, '$');
        if (has(p, ')')) return refuse(p, VINCI_BAD_FILE, "( is missing");
        if (search && !begins)
            node = add_node(p, (struct node){NODE_CAT, add_anything(p), node, 0, 0});
        if (search && !ends)
            node = add_node(p, (struct node){NODE_CAT, node, add_anything(p), 0, 0});
        all = all == NONE ? node : add_node(p, (struct node){NODE_ALT, all, node, 0, 0});
    } while (p->status == VINCI_OK && take(p, '|'));
    return all;
}

/* ---- tree -> automaton over bytes ----------------------------------------------------------- */

static size_t encode(uint32_t code, uint8_t bytes[4])
{
    if (code < 0x80) {
        bytes[0] = (uint8_t)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; code >>= 6) bytes[i] = (uint8_t)(0x80 | (code & 0x3f));
    bytes[0] = (uint8_t)((0xf0u << (4 - n)) | code);
    return n;
}

/* The UTF-8 of lo..hi: cut until all but the trailing bytes are the same, then ranges of bytes. */
static void add_utf8(struct grammar_builder *b, uint32_t from, uint32_t to, uint32_t lo,
                     uint32_t hi)
{
    static const uint32_t last[] = {0x7f, 0x7ff, 0xd7ff, 0xdfff, 0xffff};
    for (size_t i = 0; i < sizeof last / sizeof *last; i++)
        if (lo <= last[i] && hi > last[i]) {
            add_utf8(b, from, to, lo, last[i]);
            lo = last[i] + 1;
        }
    if (lo >= 0xd800 && hi <= 0xdfff) return; /* surrogates are no characters */
    for (uint32_t bits = 6; bits <= 18 && lo > 0x7f; bits += 6) {
        uint32_t mask = (1u << bits) - 1;
        if ((lo & ~mask) == (hi & ~mask)) break;
        if (lo & mask) {
            add_utf8(b, from, to, lo, lo | mask);
            lo = (lo | mask) + 1;
        }
        if ((hi & mask) != mask) {
            add_utf8(b, from, to, hi & ~mask, hi);
            hi = (hi & ~mask) - 1;
        }
        if (lo > hi) return;
    }
    uint8_t first[4], end[4];
    size_t n = encode(lo, first);
    encode(hi, end);
    for (size_t i = 0; i < n; i++) {
        uint32_t next = i + 1 < n ? grammar_add_state(b) : to;
        grammar_add_range(b, from, first[i], end[i], next);
        from = next;
    }
}

/* One character as a JSON string has it. U+0000 is left out. */
static void add_escaped(struct grammar_builder *b, uint32_t from, uint32_t to, uint32_t code)
{
    static const char names[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    static const char hex[] = "0123456789abcdef";
    const char *name = names;
    if (code == 0) return;
    while (*name && (uint32_t)*name != code) name += 2;
    char text[6] = {'\\', *name ? name[1] : 'u', '0', '0', hex[code >> 4 & 15], hex[code & 15]};
    grammar_add_empty(b, grammar_add_text(b, from, text, *name ? 2 : 6), to);
}

static void add_set(struct grammar_builder *b, uint32_t from, uint32_t to, uint32_t lo, uint32_t hi,
                    bool json)
{
    for (uint32_t code = lo; json && code <= hi && code <= '\\'; code++) {
        if (code >= 0x20 && code != '"' && code != '\\') continue;
        if (code > lo) add_utf8(b, from, to, lo, code - 1);
        add_escaped(b, from, to, code);
        lo = code + 1;
    }
    if (lo <= hi) add_utf8(b, from, to, lo, hi);
}

/* Adds a node's automaton between two states. Recursion is bounded: by the groups, and along a
 * sequence or list of alternatives by the loop over the left sides. */
static void add_tree(const struct parser *p, struct grammar_builder *b, uint32_t id, uint32_t from,
                     uint32_t to, bool json)
{
    for (;;) {
        const struct node *node = &p->nodes[id];
        if (b->status != VINCI_OK) return;
        if (b->n_states > MAX_NFA) {
            b->status =
                fail(b->err, VINCI_LIMIT, "%.200s: the regular expression is too large", p->where);
            return;
        }
        switch (node->kind) {
        case NODE_EMPTY: grammar_add_empty(b, from, to); return;
        case NODE_SET:
            for (uint32_t i = node->a; i < node->b; i++)
                add_set(b, from, to, p->ranges[i].lo, p->ranges[i].hi, json);
            return;
        case NODE_CAT: {
            uint32_t middle = grammar_add_state(b);
            add_tree(p, b, node->b, middle, to, json);
            to = middle;
            id = node->a;
            continue;
        }
        case NODE_ALT:
            add_tree(p, b, node->b, from, to, json);
            id = node->a;
            continue;
        case NODE_REPEAT: {
            uint32_t n = node->max != NONE ? node->max : node->min;
            for (uint32_t i = 0; i < n && b->status == VINCI_OK; i++) {
                uint32_t next = grammar_add_state(b);
                if (i >= node->min) grammar_add_empty(b, from, to);
                add_tree(p, b, node->a, from, next, json);
                from = next;
            }
            if (node->max == NONE) { /* a state of its own: what loops must not leak backwards */
                uint32_t loop = grammar_add_state(b);
                grammar_add_empty(b, from, loop);
                add_tree(p, b, node->a, loop, loop, json);
                from = loop;
            }
            grammar_add_empty(b, from, to);
            return;
        }
        }
    }
}

/* ---- sets of states ------------------------------------------------------------------------- */

struct subsets {
    const struct grammar_builder *nfa;
    uint32_t accept; /* of the automaton over bytes */
    struct subset {
        uint32_t first, n; /* members, sorted */
        uint32_t state;    /* of the grammar */
    } * sets;
    uint32_t *members;
    uint32_t *table; /* set + 1 by hash */
    size_t n_sets, n_members, set_capacity, member_capacity, table_size, work;
    uint32_t *stack, *stamp; /* [nfa->n_states] */
    uint32_t n_stamp;
    bool no_memory, too_many;
};

static bool add_member(struct subsets *s, size_t n, uint32_t state)
{
    uint32_t *members =
        array_grow(s->members, &s->member_capacity, s->n_members + n + 1, sizeof *members);
    if (!members) {
        s->no_memory = true;
        return false;
    }
    s->members = members;
    members[s->n_members + n] = state;
    return true;
}

/* What is reached from `state` without reading, behind the n members so far; each once. */
static bool add_reached(struct subsets *s, uint32_t state, size_t *n)
{
    uint32_t depth = 0;
    if (s->stamp[state] == s->n_stamp) return true;
    s->stamp[state] = s->n_stamp;
    s->stack[depth++] = state;
    while (depth > 0) {
        uint32_t at = s->stack[--depth];
        bool reads = at == s->accept;
        for (uint32_t i = s->nfa->first[at]; i != NONE; i = s->nfa->links[i].next) {
            const struct grammar_link *link = &s->nfa->links[i];
            s->work++;
            if (link->kind == LINK_BYTES) {
                reads = true;
            } else if (s->stamp[link->target] != s->n_stamp) {
                s->stamp[link->target] = s->n_stamp;
                s->stack[depth++] = link->target;
            }
        }
        if (reads && !add_member(s, (*n)++, at)) return false;
    }
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static size_t hash_members(const uint32_t *members, size_t n)
{
    uint64_t h = n;
    for (size_t i = 0; i < n; i++) h = (h ^ members[i]) * 0x9e3779b97f4a7c15u, h ^= h >> 31;
    return (size_t)h;
}

/* The set with exactly the n members behind the last one's; a new one gets a state. NONE: failure.
 */
static uint32_t find_set(struct subsets *s, size_t n, struct grammar_builder *b)
{
    uint32_t *members = s->members + s->n_members;
    if (n == 0) return NONE;
    qsort(members, n, sizeof *members, by_number);
    size_t at = hash_members(members, n) & (s->table_size - 1);
    for (; s->table[at]; at = (at + 1) & (s->table_size - 1)) {
        const struct subset *set = &s->sets[s->table[at] - 1];
        if (set->n == n && memcmp(s->members + set->first, members, n * sizeof *members) == 0)
            return s->table[at] - 1;
    }
    struct subset *sets = array_grow(s->sets, &s->set_capacity, s->n_sets + 1, sizeof *sets);
    if (!sets) s->no_memory = true;
    else s->sets = sets;
    if (s->n_sets == MAX_DFA || s->work > MAX_WORK) s->too_many = true;
    if (s->no_memory || s->too_many) return NONE;
    sets[s->n_sets] = (struct subset){(uint32_t)s->n_members, (uint32_t)n, grammar_add_state(b)};
    s->n_members += n;
    s->table[at] = (uint32_t)++s->n_sets;
    return (uint32_t)s->n_sets - 1;
}

/* The set that `byte` leads to from set i, and the last byte that leads to the same. */
static uint32_t follow(struct subsets *s, uint32_t i, uint32_t byte, uint32_t *last,
                       struct grammar_builder *b)
{
    size_t n = 0;
    *last = 255;
    s->n_stamp++;
    for (uint32_t k = 0; k < s->sets[i].n; k++) {
        uint32_t state = s->members[s->sets[i].first + k];
        for (uint32_t l = s->nfa->first[state]; l != NONE; l = s->nfa->links[l].next) {
            const struct grammar_link *link = &s->nfa->links[l];
            if (link->kind != LINK_BYTES || link->hi < byte) continue;
            s->work++;
            if (link->lo > byte) {
                if (link->lo - 1u < *last) *last = link->lo - 1u;
                continue;
            }
            if (link->hi < *last) *last = link->hi;
            if (!add_reached(s, link->target, &n)) return NONE;
        }
    }
    return find_set(s, n, b);
}

/* Adds the deterministic automaton to the grammar. */
static void add_sets(struct subsets *s, struct grammar_builder *b, uint32_t from, uint32_t to,
                     bool json, const char *where)
{
    size_t n = 0;
    s->n_stamp = 1;
    if (add_reached(s, 0, &n) && find_set(s, n, b) != NONE)
        grammar_add_empty(b, from, s->sets[0].state);
    for (uint32_t i = 0; i < s->n_sets && !s->no_memory && !s->too_many; i++) {
        for (uint32_t byte = 0, last; byte < 256; byte = last + 1) {
            uint32_t next = follow(s, i, byte, &last, b);
            if (next != NONE)
                grammar_add_range(b, s->sets[i].state, (uint8_t)byte, (uint8_t)last,
                                  s->sets[next].state);
        }
        const uint32_t *members = s->members + s->sets[i].first;
        if (!bsearch(&s->accept, members, s->sets[i].n, sizeof *members, by_number)) continue;
        if (json) grammar_add_range(b, s->sets[i].state, '"', '"', to);
        else grammar_add_empty(b, s->sets[i].state, to);
    }
    if (b->status != VINCI_OK) return;
    if (s->no_memory) b->status = fail_memory(b->err, s->n_members * 4, "a regular expression");
    else if (s->too_many)
        b->status = fail(b->err, VINCI_LIMIT,
                         "%.200s: the regular expression is too complex: it needs more than %d "
                         "states",
                         where, MAX_DFA);
}

static void determinize(const struct grammar_builder *nfa, uint32_t accept,
                        struct grammar_builder *b, uint32_t from, uint32_t to, bool json,
                        const char *where)
{
    struct subsets s = {.nfa = nfa, .accept = accept, .table_size = 4 * MAX_DFA};
    s.stack = array_new(nfa->n_states, sizeof *s.stack);
    s.stamp = array_new_zero(nfa->n_states, sizeof *s.stamp);
    s.table = array_new_zero(s.table_size, sizeof *s.table);
    if (s.stack && s.stamp && s.table) add_sets(&s, b, from, to, json, where);
    else b->status = fail_memory(b->err, s.table_size * sizeof *s.table, "a regular expression");
    free(s.stack);
    free(s.stamp);
    free(s.table);
    free(s.sets);
    free(s.members);
}

void grammar_add_regex(struct grammar_builder *b, uint32_t from, uint32_t to, const char *pattern,
                       size_t n, enum grammar_regex_kind kind, const char *where)
{
    struct parser p = {.pattern = pattern, .n = n, .where = where, .err = b->err};
    struct grammar_builder nfa = {.err = b->err};
    bool json = kind != REGEX_WHOLE;
    if (b->status != VINCI_OK) return;
    if (n > MAX_PATTERN) refuse(&p, VINCI_LIMIT, "longer than 4096 bytes");
    uint32_t root = parse_pattern(&p, kind == REGEX_JSON_SEARCH);
    if (p.status == VINCI_OK && p.at < n) refuse(&p, VINCI_UNSUPPORTED, "$ is supported last only");
    b->status = p.status;
    if (b->status == VINCI_OK) {
        uint32_t begin = grammar_add_state(&nfa), accept = grammar_add_state(&nfa);
        add_tree(&p, &nfa, root, begin, accept, json);
        b->status = nfa.status;
        if (b->status == VINCI_OK) determinize(&nfa, accept, b, from, to, json, where);
    }
    grammar_builder_free(&nfa);
    free(p.nodes);
    free(p.ranges);
}

enum vinci_status vinci_grammar_regex(struct vinci_grammar **out,
                                      const struct vinci_tokenizer *tokenizer, const char *pattern,
                                      size_t n_bytes, struct vinci_error *err)
{
    struct grammar_builder b = {.err = err};
    struct json_rules json;
    grammar_add_json(&b, &json);
    uint32_t root = grammar_add_rule(&b);
    grammar_add_regex(&b, rule_start(&b, root), rule_end(&b, root), pattern, n_bytes, REGEX_WHOLE,
                      "the pattern");
    enum vinci_status status = grammar_finish(out, &b, root, tokenizer, err);
    grammar_builder_free(&b);
    return status;
}
