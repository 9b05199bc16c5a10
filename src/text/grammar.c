/* grammar.c - automata: building them, removing what cannot be completed, ordering the rules,
 * counting references. */
#include "text/grammar.h"

#include "text/array.h"
#include "text/tokenizer_file.h"

#include <stdlib.h>
#include <string.h>

#define NO_LINK UINT32_MAX

/* ---- building ------------------------------------------------------------------------------ */

void grammar_builder_free(struct grammar_builder *b)
{
    free(b->first);
    free(b->links);
    free(b->rules);
}

static void too_large(struct grammar_builder *b, const char *what, size_t most)
{
    b->status =
        fail(b->err, VINCI_LIMIT,
             "the grammar is too large: more than %zu %s; use a smaller schema", most, what);
}

/* Room for one more element; false, with the failure noted, if there is none. */
static bool grow(struct grammar_builder *b, void *array, size_t n, size_t *capacity, size_t size,
                 size_t most, const char *what)
{
    void **at = array;
    if (b->status != VINCI_OK) return false;
    if (n >= most) {
        too_large(b, what, most);
        return false;
    }
    void *grown = array_grow(*at, capacity, n + 1, size);
    if (!grown) {
        b->status = fail_memory(b->err, n * size, "a grammar");
        return false;
    }
    *at = grown;
    return true;
}

uint32_t grammar_add_state(struct grammar_builder *b)
{
    if (!grow(b, &b->first, b->n_states, &b->state_capacity, sizeof *b->first, GRAMMAR_MAX_STATES,
              "states"))
        return 0;
    b->first[b->n_states] = NO_LINK;
    return (uint32_t)b->n_states++;
}

uint32_t grammar_add_rule(struct grammar_builder *b)
{
    struct grammar_rule rule = {grammar_add_state(b), grammar_add_state(b), 0};
    if (!grow(b, &b->rules, b->n_rules, &b->rule_capacity, sizeof *b->rules, GRAMMAR_MAX_RULES,
              "rules"))
        return 0;
    b->rules[b->n_rules] = rule;
    return (uint32_t)b->n_rules++;
}

static void add_link(struct grammar_builder *b, uint32_t from, struct grammar_link link)
{
    if (!grow(b, &b->links, b->n_links, &b->link_capacity, sizeof *b->links, GRAMMAR_MAX_LINKS,
              "edges"))
        return;
    link.next = b->first[from];
    b->first[from] = (uint32_t)b->n_links;
    b->links[b->n_links++] = link;
}

void grammar_add_range(struct grammar_builder *b, uint32_t from, uint8_t lo, uint8_t hi,
                       uint32_t to)
{
    add_link(b, from, (struct grammar_link){.target = to, .lo = lo, .hi = hi, .kind = LINK_BYTES});
}

void grammar_add_empty(struct grammar_builder *b, uint32_t from, uint32_t to)
{
    add_link(b, from, (struct grammar_link){.target = to, .kind = LINK_EMPTY});
}

void grammar_add_call(struct grammar_builder *b, uint32_t from, uint32_t rule, uint32_t to)
{
    add_link(b, from, (struct grammar_link){.target = to, .rule = rule, .kind = LINK_CALL});
}

uint32_t grammar_add_text(struct grammar_builder *b, uint32_t from, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t next = grammar_add_state(b);
        grammar_add_range(b, from, (uint8_t)text[i], (uint8_t)text[i], next);
        from = next;
    }
    return from;
}

/* Where exactly this byte leads, NO_LINK if nowhere. */
static uint32_t follow(const struct grammar_builder *b, uint32_t from, uint8_t byte)
{
    for (uint32_t i = b->first[from]; i != NO_LINK; i = b->links[i].next)
        if (b->links[i].kind == LINK_BYTES && b->links[i].lo == byte && b->links[i].hi == byte)
            return b->links[i].target;
    return NO_LINK;
}

void grammar_add_choice(struct grammar_builder *b, uint32_t from, const char *text, size_t n,
                        uint32_t to)
{
    for (size_t i = 0; i < n && b->status == VINCI_OK; i++) {
        uint32_t next = follow(b, from, (uint8_t)text[i]);
        if (next == NO_LINK) {
            next = grammar_add_state(b);
            grammar_add_range(b, from, (uint8_t)text[i], (uint8_t)text[i], next);
        }
        from = next;
    }
    grammar_add_empty(b, from, to);
}

/* ---- checking ------------------------------------------------------------------------------ */

/* True if the end of the rule can be reached by way of this link, as far as is known. */
static bool link_is_alive(const struct grammar_builder *b, const uint8_t *alive,
                          const struct grammar_link *link)
{
    return alive[link->target] && (link->kind != LINK_CALL || alive[b->rules[link->rule].start]);
}

static bool update_alive(const struct grammar_builder *b, uint8_t *alive, size_t state)
{
    if (alive[state]) return false;
    for (uint32_t i = b->first[state]; i != NO_LINK; i = b->links[i].next)
        if (link_is_alive(b, alive, &b->links[i])) return (alive[state] = 1);
    return false;
}

/* alive[s]: from state s the end of its rule can be reached. Passes up and down until nothing
 * changes; most grammars need two. */
static uint8_t *find_alive(const struct grammar_builder *b)
{
    uint8_t *alive = array_new_zero(b->n_states, 1);
    if (!alive) return NULL;
    for (size_t i = 0; i < b->n_rules; i++) alive[b->rules[i].end] = 1;
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t s = b->n_states; s-- > 0;) changed |= update_alive(b, alive, s);
        if (!changed) break;
        changed = false;
        for (size_t s = 0; s < b->n_states; s++) changed |= update_alive(b, alive, s);
    }
    return alive;
}

static int by_byte(const void *a, const void *b)
{
    const struct grammar_edge *x = a, *y = b;
    return x->lo != y->lo ? (x->lo < y->lo ? -1 : 1) : x->hi < y->hi ? -1 : x->hi > y->hi;
}

/* Links into arrays by state, without the dead ones; a rule without an end has no states left. */
static bool copy_states(struct vinci_grammar *g, const struct grammar_builder *b,
                        const uint8_t *alive)
{
    size_t n_edges = 0, n_jumps = 0;
    g->states = array_new_zero(b->n_states, sizeof *g->states);
    g->edges = array_new(b->n_links, sizeof *g->edges);
    g->jumps = array_new(b->n_links, sizeof *g->jumps);
    g->rules = array_new(b->n_rules, sizeof *g->rules);
    g->masks = array_new_zero(b->n_states, sizeof(struct state_mask *));
    if (!g->states || !g->edges || !g->jumps || !g->rules || !g->masks) return false;
    g->n_states = (uint32_t)b->n_states;
    g->n_rules = (uint32_t)b->n_rules;
    memcpy(g->rules, b->rules, b->n_rules * sizeof *g->rules);
    for (size_t s = 0; s < b->n_states; s++) {
        struct grammar_state *state = &g->states[s];
        state->first_edge = (uint32_t)n_edges;
        state->first_jump = (uint32_t)n_jumps;
        for (uint32_t i = b->first[s]; i != NO_LINK; i = b->links[i].next) {
            const struct grammar_link *link = &b->links[i];
            if (!link_is_alive(b, alive, link)) continue;
            if (link->kind == LINK_BYTES)
                g->edges[n_edges++] = (struct grammar_edge){link->target, link->lo, link->hi};
            else
                g->jumps[n_jumps++] = (struct grammar_jump){
                    link->target, link->kind == LINK_CALL ? link->rule : GRAMMAR_NO_RULE};
        }
        struct grammar_edge *edges = g->edges + state->first_edge;
        state->n_edges = (uint32_t)n_edges - state->first_edge;
        state->n_jumps = (uint32_t)n_jumps - state->first_jump;
        qsort(edges, state->n_edges, sizeof *edges, by_byte);
        state->simple = state->n_jumps == 0 && state->n_edges > 0;
        for (uint32_t i = 1; i < state->n_edges; i++)
            if (edges[i].lo <= edges[i - 1].hi) state->simple = false;
    }
    for (size_t i = 0; i < b->n_rules; i++) {
        g->states[b->rules[i].end].is_end = true;
        g->states[b->rules[i].end].simple = false;
    }
    return true;
}

/* ---- the order of the rules ---------------------------------------------------------------- */

struct order_search {
    uint32_t *stack, *stamp; /* [n_states] */
    uint32_t *first;         /* [n_rules + 1] of its callees */
    uint32_t *callees;       /* [number of jumps] */
    uint32_t *n_callers, *queue;
};

/* The rules that `rule` can call before it has read a byte; false if it need not read any. */
static bool left_calls(const struct vinci_grammar *g, struct order_search *o, uint32_t rule,
                       uint32_t *n)
{
    uint32_t depth = 0;
    bool reads = true;
    o->stack[depth++] = g->rules[rule].start;
    o->stamp[g->rules[rule].start] = rule + 1;
    while (depth > 0) {
        const struct grammar_state *state = &g->states[o->stack[--depth]];
        if (state->is_end) reads = false;
        for (uint32_t i = 0; i < state->n_jumps; i++) {
            const struct grammar_jump *jump = &g->jumps[state->first_jump + i];
            if (jump->rule != GRAMMAR_NO_RULE) {
                o->callees[(*n)++] = jump->rule;
            } else if (o->stamp[jump->target] != rule + 1) {
                o->stamp[jump->target] = rule + 1;
                o->stack[depth++] = jump->target;
            }
        }
    }
    return reads;
}

/* Kahn's order over "calls before reading". */
static enum vinci_status order_rules(struct vinci_grammar *g, struct order_search *o,
                                     struct vinci_error *err)
{
    uint32_t n = 0, n_queued = 0;
    for (uint32_t r = 0; r < g->n_rules; r++) {
        o->first[r] = n;
        if (!left_calls(g, o, r, &n) && r != g->root)
            return fail(err, VINCI_USAGE, "the grammar has a rule that matches nothing at all");
    }
    o->first[g->n_rules] = n;
    for (uint32_t i = 0; i < n; i++) o->n_callers[o->callees[i]]++;
    for (uint32_t r = 0; r < g->n_rules; r++)
        if (o->n_callers[r] == 0) o->queue[n_queued++] = r;
    for (uint32_t i = 0; i < n_queued; i++) {
        uint32_t r = o->queue[i];
        g->rules[r].order = i;
        for (uint32_t c = o->first[r]; c < o->first[r + 1]; c++)
            if (--o->n_callers[o->callees[c]] == 0) o->queue[n_queued++] = o->callees[c];
    }
    if (n_queued < g->n_rules)
        return fail(err, VINCI_USAGE,
                    "the schema refers to itself without an object, array or value in between");
    return VINCI_OK;
}

static enum vinci_status find_order(struct vinci_grammar *g, size_t n_links,
                                    struct vinci_error *err)
{
    struct order_search o = {
        .stack = array_new(g->n_states, sizeof(uint32_t)),
        .stamp = array_new_zero(g->n_states, sizeof(uint32_t)),
        .first = array_new(g->n_rules + 1, sizeof(uint32_t)),
        .callees = array_new(n_links, sizeof(uint32_t)),
        .n_callers = array_new_zero(g->n_rules, sizeof(uint32_t)),
        .queue = array_new(g->n_rules, sizeof(uint32_t)),
    };
    enum vinci_status status;
    if (o.stack && o.stamp && o.first && o.callees && o.n_callers && o.queue)
        status = order_rules(g, &o, err);
    else status = fail_memory(err, (g->n_states + n_links) * sizeof(uint32_t), "a grammar");
    free(o.stack);
    free(o.stamp);
    free(o.first);
    free(o.callees);
    free(o.n_callers);
    free(o.queue);
    return status;
}

/* Where the trie keeps the masks of the states that all JSON grammars have. */
static enum vinci_status make_common(const struct vinci_grammar *g, struct vinci_error *err)
{
    struct vocab_trie *trie = g->trie;
    enum vinci_status status = VINCI_OK;
    pthread_mutex_lock(&trie->lock);
    if (g->n_common && !trie->common) {
        trie->common = array_new_zero(g->n_common, sizeof(struct state_mask *));
        if (trie->common) trie->n_common = g->n_common;
        else status = fail_memory(err, g->n_common * sizeof(struct state_mask *), "a grammar");
    }
    pthread_mutex_unlock(&trie->lock);
    return status;
}

enum vinci_status grammar_finish(struct vinci_grammar **out, struct grammar_builder *b,
                                 uint32_t root, const struct vinci_tokenizer *tokenizer,
                                 struct vinci_error *err)
{
    *out = NULL;
    if (b->status != VINCI_OK) return b->status;
    uint8_t *alive = find_alive(b);
    struct vinci_grammar *g = array_new_zero(1, sizeof *g);
    enum vinci_status status = VINCI_OK;
    if (g) {
        atomic_init(&g->n_refs, 1);
        pthread_mutex_init(&g->lock, NULL);
        g->root = root;
        g->n_common = b->n_common;
    }
    if (!alive || !g || !copy_states(g, b, alive))
        status = fail_memory(err, b->n_states * sizeof *g->states, "a grammar");
    else if (!alive[b->rules[root].start])
        status = fail(err, VINCI_USAGE, "no finite value satisfies the schema");
    if (status == VINCI_OK) status = vocab_trie_get(&g->trie, tokenizer, err);
    if (status == VINCI_OK) status = make_common(g, err);
    if (status == VINCI_OK) status = find_order(g, b->n_links, err);
    free(alive);
    if (status == VINCI_OK) *out = g;
    else vinci_grammar_close(g);
    return status;
}

/* ---- life ---------------------------------------------------------------------------------- */

struct vinci_grammar *grammar_retain(const struct vinci_grammar *grammar)
{
    struct vinci_grammar *g = (struct vinci_grammar *)grammar;
    atomic_fetch_add(&g->n_refs, 1);
    return g;
}

void grammar_drop_masks(struct vinci_grammar *g)
{
    for (uint32_t i = 0; g->masks && i < g->n_states; i++) {
        state_mask_free(g->masks[i]);
        g->masks[i] = NULL;
    }
    g->mask_bytes = 0;
}

void vinci_grammar_close(struct vinci_grammar *g)
{
    if (!g || atomic_fetch_sub(&g->n_refs, 1) > 1) return;
    grammar_drop_masks(g);
    free(g->masks);
    free(g->states);
    free(g->edges);
    free(g->jumps);
    free(g->rules);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

enum vinci_status vinci_grammar_accepts(const struct vinci_grammar *grammar, const char *text,
                                        size_t n_bytes, bool *accepts, struct vinci_error *err)
{
    struct grammar_matcher *matcher = NULL;
    *accepts = false;
    enum vinci_status status = grammar_matcher_create(&matcher, grammar, err);
    if (status == VINCI_OK) status = grammar_matcher_advance(matcher, text, n_bytes, accepts, err);
    if (status == VINCI_OK && *accepts) *accepts = grammar_matcher_is_complete(matcher);
    grammar_matcher_free(matcher);
    return status;
}
