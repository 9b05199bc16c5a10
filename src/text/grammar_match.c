/* grammar_match.c - follows a text through a grammar and finds the tokens that may come next.
 *
 * The mask of a position is the union over its items (state, tail). What a state allows inside its
 * own rule does not depend on the tail: it is found once, by a walk over the whole trie, and kept
 * in the grammar. The walk also notes the nodes at which the rule is done in the middle of a token;
 * only there, in small subtrees, the tail is needed. So the first visit of a state inside a string
 * costs some milliseconds and every other little.
 *
 * Sets of items lie in one pool used as a stack, one set for each level of the trie. */
#include "text/grammar.h"

#include "text/array.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_ITEMS = 1 << 14,   /* of one position */
    MAX_TAILS = 1 << 20,   /* of one text */
    MAX_WORK = 1 << 27,    /* steps for one mask or text: a second or so */
    MASK_BYTES = 64 << 20, /* of all masks kept in one grammar */
    BOTTOM = 0,            /* the tail of the root: nothing follows */
};

struct item {
    uint32_t state, tail;
};

struct pending_call {
    uint32_t rule, order;
    struct item back; /* where the text goes on after it */
};

struct seen_slot {
    struct item item;
    uint32_t stamp;
};

struct set {
    size_t at, n; /* in the pool */
    bool complete;
};

struct grammar_matcher {
    struct vinci_grammar *grammar;
    struct item *items; /* [n_items]: the position */
    size_t n_items, item_capacity;
    bool complete;

    struct item *frames; /* of all tails */
    size_t n_frames, frame_capacity;
    struct tail {
        uint32_t first, n;
    } * tails;
    size_t n_tails, tail_capacity;
    uint32_t *table; /* [table_size] tail + 1 by hash of its frames, 0: empty */
    size_t table_size;

    struct item *pool;
    size_t n_pool, pool_capacity;
    struct item *visits; /* stack of a closure */
    size_t n_visits, visit_capacity;
    struct seen_slot *seen; /* [seen_size] */
    size_t seen_size, n_seen;
    uint32_t stamp;
    struct pending_call *calls;
    size_t n_calls, call_capacity;
    uint32_t *exits;
    size_t n_exits, exit_capacity;
    size_t work;
    bool over; /* a limit was passed, else memory was short */

    uint32_t *mask;          /* [grammar_matcher_words], of mask_items */
    struct item *mask_items; /* [n_mask_items] */
    size_t n_mask_items, mask_item_capacity;
    bool mask_known;
    uint32_t *walk_bits; /* [grammar_matcher_words] */
};

size_t grammar_matcher_words(const struct grammar_matcher *m)
{
    return (m->grammar->trie->n_ids + 31) / 32;
}

static enum vinci_status failed(const struct grammar_matcher *m, struct vinci_error *err)
{
    if (m->over)
        return fail(err, VINCI_LIMIT,
                    "the grammar is too ambiguous here: too many ways to read the text; use a "
                    "simpler schema");
    return fail_memory(err, m->pool_capacity * sizeof *m->pool, "a position in a grammar");
}

static bool too_much(struct grammar_matcher *m)
{
    m->over = true;
    return false;
}

/* ---- tails --------------------------------------------------------------------------------- */

static uint64_t hash_items(const struct item *items, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n; i++) {
        h ^= (uint64_t)items[i].state << 32 | items[i].tail;
        h *= 0xbf58476d1ce4e5b9u;
        h ^= h >> 29;
    }
    return h;
}

static bool grow_table(struct grammar_matcher *m)
{
    size_t size = m->table_size ? 2 * m->table_size : 64;
    uint32_t *table = array_new_zero(size, sizeof *table);
    if (!table) return false;
    for (size_t t = 1; t < m->n_tails; t++) {
        size_t at = hash_items(m->frames + m->tails[t].first, m->tails[t].n) & (size - 1);
        while (table[at]) at = (at + 1) & (size - 1);
        table[at] = (uint32_t)t + 1;
    }
    free(m->table);
    m->table = table;
    m->table_size = size;
    return true;
}

static int by_item(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return x->state != y->state ? (x->state < y->state ? -1 : 1)
                                : (x->tail > y->tail) - (x->tail < y->tail);
}

/* The tail with exactly these frames, given behind the last frame and sorted here. */
static bool find_tail(struct grammar_matcher *m, size_t n, uint32_t *tail)
{
    struct item *frames = m->frames + m->n_frames;
    if (n > 1) qsort(frames, n, sizeof *frames, by_item);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || by_item(&frames[kept - 1], &frames[i]) != 0) frames[kept++] = frames[i];
    if (m->n_tails * 2 >= m->table_size && !grow_table(m)) return false;
    size_t at = hash_items(frames, kept) & (m->table_size - 1);
    for (; m->table[at]; at = (at + 1) & (m->table_size - 1)) {
        const struct tail *t = &m->tails[m->table[at] - 1];
        if (t->n == kept && memcmp(m->frames + t->first, frames, kept * sizeof *frames) == 0) {
            *tail = m->table[at] - 1;
            return true;
        }
    }
    if (m->n_tails >= MAX_TAILS || m->n_frames > UINT32_MAX / 2) return too_much(m);
    struct tail *tails = array_grow(m->tails, &m->tail_capacity, m->n_tails + 1, sizeof *tails);
    if (!tails) return false;
    m->tails = tails;
    m->tails[m->n_tails] = (struct tail){(uint32_t)m->n_frames, (uint32_t)kept};
    m->n_frames += kept;
    *tail = (uint32_t)m->n_tails++;
    m->table[at] = *tail + 1;
    return true;
}

/* ---- closure ------------------------------------------------------------------------------- */

static bool append(struct grammar_matcher *m, struct item item)
{
    struct item *pool = array_grow(m->pool, &m->pool_capacity, m->n_pool + 1, sizeof *pool);
    if (!pool) return false;
    m->pool = pool;
    m->pool[m->n_pool++] = item;
    return true;
}

static bool grow_seen(struct grammar_matcher *m)
{
    size_t size = m->seen_size ? 2 * m->seen_size : 64;
    struct seen_slot *seen = array_new_zero(size, sizeof *seen);
    if (!seen) return false;
    for (size_t i = 0; i < m->seen_size; i++) {
        if (m->seen[i].stamp != m->stamp) continue;
        size_t at = hash_items(&m->seen[i].item, 1) & (size - 1);
        while (seen[at].stamp) at = (at + 1) & (size - 1);
        seen[at] = m->seen[i];
    }
    free(m->seen);
    m->seen = seen;
    m->seen_size = size;
    return true;
}

/* To be looked at, once. */
static bool visit(struct grammar_matcher *m, uint32_t state, uint32_t tail)
{
    struct item item = {state, tail};
    if (2 * m->n_seen >= m->seen_size && !grow_seen(m)) return false;
    size_t at = hash_items(&item, 1) & (m->seen_size - 1);
    for (; m->seen[at].stamp == m->stamp; at = (at + 1) & (m->seen_size - 1))
        if (by_item(&m->seen[at].item, &item) == 0) return true;
    m->seen[at] = (struct seen_slot){item, m->stamp};
    if (++m->n_seen > MAX_ITEMS || ++m->work > MAX_WORK) return too_much(m);
    struct item *visits =
        array_grow(m->visits, &m->visit_capacity, m->n_visits + 1, sizeof *visits);
    if (!visits) return false;
    m->visits = visits;
    m->visits[m->n_visits++] = item;
    return true;
}

static void closure_begin(struct grammar_matcher *m)
{
    if (++m->stamp == 0) { /* after 2^32 closures the stamps begin anew */
        memset(m->seen, 0, m->seen_size * sizeof *m->seen);
        m->stamp = 1;
    }
    m->n_seen = m->n_visits = m->n_calls = 0;
}

static bool visit_tail(struct grammar_matcher *m, uint32_t tail)
{
    for (uint32_t i = 0; i < m->tails[tail].n; i++) {
        struct item back = m->frames[m->tails[tail].first + i];
        if (!visit(m, back.state, back.tail)) return false;
    }
    return true;
}

static bool note_call(struct grammar_matcher *m, uint32_t rule, struct item back)
{
    struct pending_call *calls =
        array_grow(m->calls, &m->call_capacity, m->n_calls + 1, sizeof *calls);
    if (!calls) return false;
    m->calls = calls;
    m->calls[m->n_calls++] = (struct pending_call){rule, m->grammar->rules[rule].order, back};
    return true;
}

/* Looks at what was visited, by way of empty edges and ends; calls are collected. */
static bool follow_jumps(struct grammar_matcher *m, bool *complete)
{
    const struct vinci_grammar *g = m->grammar;
    while (m->n_visits > 0) {
        struct item item = m->visits[--m->n_visits];
        const struct grammar_state *state = &g->states[item.state];
        if (state->n_edges && !append(m, item)) return false;
        if (state->is_end && item.tail == BOTTOM) *complete = true;
        else if (state->is_end && !visit_tail(m, item.tail)) return false;
        for (uint32_t i = 0; i < state->n_jumps; i++) {
            struct grammar_jump jump = g->jumps[state->first_jump + i];
            struct item next = {jump.target, item.tail};
            if (jump.rule == GRAMMAR_NO_RULE ? !visit(m, next.state, next.tail)
                                             : !note_call(m, jump.rule, next))
                return false;
        }
    }
    return true;
}

/* Begins the first of the pending rules, with one tail for all its callers. In the rules' order all
 * callers are known by then. */
static bool begin_rule(struct grammar_matcher *m)
{
    size_t first = 0, n = 0, left = 0;
    uint32_t tail;
    for (size_t i = 1; i < m->n_calls; i++)
        if (m->calls[i].order < m->calls[first].order) first = i;
    uint32_t rule = m->calls[first].rule;
    struct item *frames =
        array_grow(m->frames, &m->frame_capacity, m->n_frames + m->n_calls, sizeof *frames);
    if (!frames) return false;
    m->frames = frames;
    for (size_t i = 0; i < m->n_calls; i++)
        if (m->calls[i].rule == rule) m->frames[m->n_frames + n++] = m->calls[i].back;
        else m->calls[left++] = m->calls[i];
    m->work += m->n_calls;
    m->n_calls = left;
    return find_tail(m, n, &tail) && visit(m, m->grammar->rules[rule].start, tail);
}

/* The items with edges that are reached from what was visited, appended to the pool. */
static bool closure_end(struct grammar_matcher *m, bool *complete)
{
    if (!follow_jumps(m, complete)) return false;
    while (m->n_calls > 0)
        if (!begin_rule(m) || !follow_jumps(m, complete)) return false;
    return true;
}

/* ---- steps --------------------------------------------------------------------------------- */

/* The set behind `byte`, appended to the pool. */
static inline bool step(struct grammar_matcher *m, struct set set, uint8_t byte, struct set *next)
{
    const struct vinci_grammar *g = m->grammar;
    *next = (struct set){m->n_pool, 0, false};
    if (set.n == 0) return true;
    struct item first = m->pool[set.at];
    const struct grammar_state *state = &g->states[first.state];
    if (set.n == 1 && state->simple) {
        const struct grammar_edge *edge = g->edges + state->first_edge, *end;
        for (end = edge + state->n_edges; edge < end && byte > edge->hi; edge++) {}
        if (edge == end || byte < edge->lo) return true;
        if (g->states[edge->target].simple) {
            next->n = 1;
            return append(m, (struct item){edge->target, first.tail});
        }
    }
    closure_begin(m);
    for (size_t i = 0; i < set.n; i++) {
        struct item item = m->pool[set.at + i];
        state = &g->states[item.state];
        m->work++;
        for (uint32_t e = 0; e < state->n_edges; e++) {
            struct grammar_edge edge = g->edges[state->first_edge + e];
            if (edge.lo > byte) break; /* sorted */
            if (byte <= edge.hi && !visit(m, edge.target, item.tail)) return false;
        }
    }
    if (m->work > MAX_WORK) return too_much(m);
    if (!closure_end(m, &next->complete)) return false;
    next->n = m->n_pool - next->at;
    return true;
}

/* Goes down the trie's nodes [first, end), the children of a node of depth `base`, with `set`.
 * Tokens that the grammar follows to their end are marked in `bits`; with `note_exits`, nodes with
 * children at which the bottom was reached are appended to m->exits. */
static bool walk(struct grammar_matcher *m, uint32_t first, uint32_t end, uint32_t base,
                 struct set set, uint32_t *bits, bool note_exits)
{
    const struct trie_node *nodes = m->grammar->trie->nodes;
    struct set levels[TRIE_MAX_DEPTH + 1];
    levels[0] = set;
    for (uint32_t i = first; i < end;) {
        const struct trie_node *node = &nodes[i];
        uint32_t level = node->depth - base;
        struct set parent = levels[level - 1];
        m->n_pool = parent.at + parent.n;
        if (!step(m, parent, node->byte, &levels[level])) return false;
        if (levels[level].n == 0 && !levels[level].complete) {
            i = node->next;
            continue;
        }
        if (node->token >= 0) bits[node->token / 32] |= 1u << node->token % 32;
        if (note_exits && levels[level].complete && node->next > i + 1) {
            uint32_t *exits =
                array_grow(m->exits, &m->exit_capacity, m->n_exits + 1, sizeof *exits);
            if (!exits) return false;
            m->exits = exits;
            m->exits[m->n_exits++] = i;
        }
        i = levels[level].n ? i + 1 : node->next;
    }
    return true;
}

/* ---- masks --------------------------------------------------------------------------------- */

/* Copies what a walk found: few tokens as a list, many as bits. */
static struct state_mask *new_state_mask(const struct grammar_matcher *m, size_t *n_bytes)
{
    size_t words = grammar_matcher_words(m), n = 0, at = 0;
    for (size_t i = 0; i < words; i++) n += (size_t)__builtin_popcount(m->walk_bits[i]);
    struct state_mask *mask = array_new_zero(1, sizeof *mask);
    if (!mask) return NULL;
    mask->exits = array_new(m->n_exits, sizeof *mask->exits);
    if (n >= words) mask->bits = array_new(words, sizeof *mask->bits);
    else mask->tokens = array_new(n, sizeof *mask->tokens);
    if (!mask->exits || (!mask->bits && !mask->tokens)) {
        free(mask->exits);
        free(mask->bits);
        free(mask->tokens);
        free(mask);
        return NULL;
    }
    if (m->n_exits) memcpy(mask->exits, m->exits, m->n_exits * sizeof *mask->exits);
    mask->n_exits = (uint32_t)m->n_exits;
    if (mask->bits) {
        memcpy(mask->bits, m->walk_bits, words * sizeof *mask->bits);
    } else {
        for (size_t i = 0; i < words; i++)
            for (uint32_t word = m->walk_bits[i]; word; word &= word - 1)
                mask->tokens[at++] = (int32_t)(i * 32) + __builtin_ctz(word);
        mask->n_tokens = (uint32_t)n;
    }
    *n_bytes = sizeof *mask + (m->n_exits + (mask->bits ? words : n)) * sizeof(uint32_t);
    return mask;
}

/* What one state allows, by a walk over the whole trie. */
static struct state_mask *find_state_mask(struct grammar_matcher *m, uint32_t state,
                                          size_t *n_bytes)
{
    memset(m->walk_bits, 0, grammar_matcher_words(m) * sizeof *m->walk_bits);
    m->n_exits = 0;
    size_t at = m->n_pool;
    struct set set = {at, 1, false};
    if (!append(m, (struct item){state, BOTTOM}) ||
        !walk(m, 0, m->grammar->trie->n_nodes, 0, set, m->walk_bits, true))
        return NULL;
    m->n_pool = at;
    return new_state_mask(m, n_bytes);
}

/* The same, kept: for the states of JSON itself with the trie, once for all grammars. The grammar's
 * lock is held. */
static const struct state_mask *state_mask(struct grammar_matcher *m, uint32_t state)
{
    struct vinci_grammar *g = m->grammar;
    size_t n_bytes = 0;
    if (state < g->n_common) {
        pthread_mutex_lock(&g->trie->lock);
        if (!g->trie->common[state]) g->trie->common[state] = find_state_mask(m, state, &n_bytes);
        const struct state_mask *common = g->trie->common[state];
        pthread_mutex_unlock(&g->trie->lock);
        return common;
    }
    if (g->masks[state]) return g->masks[state];
    if (g->mask_bytes > MASK_BYTES) grammar_drop_masks(g);
    g->masks[state] = find_state_mask(m, state, &n_bytes);
    if (g->masks[state]) g->mask_bytes += n_bytes;
    return g->masks[state];
}

static void add_mask(uint32_t *bits, const struct state_mask *mask, size_t words)
{
    if (mask->bits)
        for (size_t i = 0; i < words; i++) bits[i] |= mask->bits[i];
    for (uint32_t i = 0; i < mask->n_tokens; i++)
        bits[mask->tokens[i] / 32] |= 1u << mask->tokens[i] % 32;
}

/* Tokens that end the item's rule on the way. */
static bool walk_exits(struct grammar_matcher *m, const struct state_mask *mask, uint32_t tail)
{
    const struct trie_node *nodes = m->grammar->trie->nodes;
    struct set set = {0, 0, false};
    m->n_pool = 0;
    closure_begin(m);
    if (!visit_tail(m, tail) || !closure_end(m, &set.complete)) return false;
    set.n = m->n_pool;
    for (uint32_t i = 0; i < mask->n_exits && set.n > 0; i++) {
        uint32_t node = mask->exits[i];
        if (!walk(m, node + 1, nodes[node].next, nodes[node].depth, set, m->mask, false))
            return false;
    }
    return true;
}

static bool find_mask(struct grammar_matcher *m)
{
    memset(m->mask, 0, grammar_matcher_words(m) * sizeof *m->mask);
    for (size_t i = 0; i < m->n_items; i++) {
        struct item item = m->items[i];
        m->n_pool = 0;
        const struct state_mask *mask = state_mask(m, item.state);
        if (!mask) return false;
        add_mask(m->mask, mask, grammar_matcher_words(m));
        if (item.tail != BOTTOM && mask->n_exits && !walk_exits(m, mask, item.tail)) return false;
    }
    struct item *copy = array_grow(m->mask_items, &m->mask_item_capacity, m->n_items, sizeof *copy);
    if (!copy) return false;
    m->mask_items = copy;
    if (m->n_items) memcpy(copy, m->items, m->n_items * sizeof *copy);
    m->n_mask_items = m->n_items;
    return true;
}

enum vinci_status grammar_matcher_mask(struct grammar_matcher *m, const uint32_t **mask,
                                       struct vinci_error *err)
{
    bool same = m->mask_known && m->n_items == m->n_mask_items;
    if (same && m->n_items)
        same = memcmp(m->items, m->mask_items, m->n_items * sizeof *m->items) == 0;
    *mask = m->mask;
    if (same) return VINCI_OK;
    m->work = 0;
    m->over = false;
    pthread_mutex_lock(&m->grammar->lock);
    m->mask_known = find_mask(m);
    pthread_mutex_unlock(&m->grammar->lock);
    return m->mask_known ? VINCI_OK : failed(m, err);
}

/* ---- positions ----------------------------------------------------------------------------- */

static bool set_position(struct grammar_matcher *m, struct set set)
{
    struct item *items = array_grow(m->items, &m->item_capacity, set.n, sizeof *items);
    if (!items) return false;
    m->items = items;
    if (set.n) memcpy(items, m->pool + set.at, set.n * sizeof *items);
    qsort(items, set.n, sizeof *items, by_item);
    m->n_items = set.n;
    m->complete = set.complete;
    return true;
}

enum vinci_status grammar_matcher_reset(struct grammar_matcher *m, struct vinci_error *err)
{
    struct set set = {0, 0, false};
    m->work = 0;
    m->over = false;
    m->n_pool = 0;
    closure_begin(m);
    if (!visit(m, m->grammar->rules[m->grammar->root].start, BOTTOM) ||
        !closure_end(m, &set.complete))
        return failed(m, err);
    set.n = m->n_pool;
    return set_position(m, set) ? VINCI_OK : failed(m, err);
}

enum vinci_status grammar_matcher_create(struct grammar_matcher **out,
                                         const struct vinci_grammar *grammar,
                                         struct vinci_error *err)
{
    *out = NULL;
    struct grammar_matcher *m = array_new_zero(1, sizeof *m);
    if (!m) return fail_memory(err, sizeof *m, "a position in a grammar");
    m->grammar = grammar_retain(grammar);
    m->mask = array_new(grammar_matcher_words(m), sizeof *m->mask);
    m->walk_bits = array_new(grammar_matcher_words(m), sizeof *m->walk_bits);
    m->tails = array_grow(NULL, &m->tail_capacity, 1, sizeof *m->tails);
    if (m->tails) m->tails[m->n_tails++] = (struct tail){0}; /* BOTTOM */
    enum vinci_status status =
        m->mask && m->walk_bits && m->tails
            ? grammar_matcher_reset(m, err)
            : fail_memory(err, grammar_matcher_words(m) * 8, "a position in a grammar");
    if (status == VINCI_OK) *out = m;
    else grammar_matcher_free(m);
    return status;
}

void grammar_matcher_free(struct grammar_matcher *m)
{
    if (!m) return;
    vinci_grammar_close(m->grammar);
    free(m->items);
    free(m->frames);
    free(m->tails);
    free(m->table);
    free(m->pool);
    free(m->visits);
    free(m->seen);
    free(m->calls);
    free(m->exits);
    free(m->mask);
    free(m->mask_items);
    free(m->walk_bits);
    free(m);
}

enum vinci_status grammar_matcher_advance(struct grammar_matcher *m, const char *text, size_t n,
                                          bool *ok, struct vinci_error *err)
{
    struct set set = {0, 0, m->complete};
    *ok = false;
    m->work = 0;
    m->over = false;
    m->n_pool = 0;
    for (size_t i = 0; i < m->n_items; i++)
        if (!append(m, m->items[i])) return failed(m, err);
    set.n = m->n_pool;
    for (size_t i = 0; i < n; i++) {
        struct set next;
        if (!step(m, set, (uint8_t)text[i], &next)) return failed(m, err);
        if (next.n == 0 && !next.complete) return VINCI_OK;
        memmove(m->pool, m->pool + next.at, next.n * sizeof *m->pool);
        m->n_pool = next.n;
        m->work = 0;
        set = (struct set){0, next.n, next.complete};
    }
    if (!set_position(m, set)) return failed(m, err);
    *ok = true;
    return VINCI_OK;
}

bool grammar_matcher_is_complete(const struct grammar_matcher *m)
{
    return m->complete;
}

bool grammar_matcher_can_continue(const struct grammar_matcher *m)
{
    return m->n_items > 0;
}
