/* vocab_trie.c - builds the trie of a vocabulary: sort by bytes, then one pass. */
#include "text/vocab_trie.h"

#include "text/tokenizer_file.h"

#include <stdlib.h>
#include <string.h>

struct trie_slot *trie_slot_create(void)
{
    struct trie_slot *slot = array_new_zero(1, sizeof *slot);
    if (slot) pthread_mutex_init(&slot->lock, NULL);
    return slot;
}

void state_mask_free(struct state_mask *mask)
{
    if (!mask) return;
    free(mask->bits);
    free(mask->tokens);
    free(mask->exits);
    free(mask);
}

static void trie_free(struct vocab_trie *trie)
{
    if (!trie) return;
    for (uint32_t i = 0; i < trie->n_common; i++) state_mask_free(trie->common[i]);
    free(trie->common);
    free(trie->plain);
    pthread_mutex_destroy(&trie->lock);
    free(trie->nodes);
    free(trie);
}

void trie_slot_free(struct trie_slot *slot)
{
    if (!slot) return;
    trie_free(slot->trie);
    pthread_mutex_destroy(&slot->lock);
    free(slot);
}

uint8_t trie_mark_of(const char *bytes, size_t n)
{
    static const struct {
        const char *text;
        uint8_t mark;
    } marks[] = {{"<|start|>", TRIE_MARK_START},
                 {"<|channel|>", TRIE_MARK_CHANNEL},
                 {"<|message|>", TRIE_MARK_MESSAGE},
                 {"<|constrain|>", TRIE_MARK_CONSTRAIN}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (n == strlen(marks[i].text) && memcmp(bytes, marks[i].text, n) == 0)
            return marks[i].mark;
    return 0;
}

/* A token on its way into the trie. */
struct entry {
    const uint8_t *bytes;
    uint32_t n;
    int32_t id;
};

static int by_bytes(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    return order ? order : x->n != y->n ? (x->n < y->n ? -1 : 1) : x->id < y->id ? -1 : 1;
}

static bool is_text(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] >= TRIE_MARK_START) return false;
    return true;
}

static size_t collect(struct entry *entries, const struct vocab *vocab, size_t *n_bytes)
{
    static const uint8_t marks[] = {TRIE_MARK_START, TRIE_MARK_CHANNEL, TRIE_MARK_MESSAGE,
                                    TRIE_MARK_CONSTRAIN};
    size_t n = 0;
    *n_bytes = 0;
    for (size_t id = 0; id < vocab->n_ids; id++) {
        const struct token *token = &vocab->tokens[id];
        const char *bytes = vocab_bytes(vocab, token);
        struct entry entry = {(const uint8_t *)bytes, token->n_bytes, (int32_t)id};
        if (token->kind == TOKEN_CONTROL) {
            uint8_t mark = trie_mark_of(bytes, token->n_bytes);
            if (!mark) continue;
            entry.bytes = &marks[mark - TRIE_MARK_START];
            entry.n = 1;
        } else if (token->kind != TOKEN_NORMAL || entry.n == 0 || entry.n > TRIE_MAX_DEPTH ||
                   !is_text(entry.bytes, entry.n)) {
            continue;
        }
        *n_bytes += entry.n;
        entries[n++] = entry;
    }
    return n;
}

/* The entries are sorted, so each shares its beginning with the one before it. */
static void build(struct vocab_trie *trie, const struct entry *entries, size_t n)
{
    uint32_t open[TRIE_MAX_DEPTH + 1]; /* open[d]: the node of depth d + 1 on the way down */
    uint32_t depth = 0;
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &entries[i];
        uint32_t same = 0;
        while (same < depth && same < e->n && trie->nodes[open[same]].byte == e->bytes[same])
            same++;
        for (; depth > same; depth--) trie->nodes[open[depth - 1]].next = trie->n_nodes;
        for (; depth < e->n; depth++) {
            open[depth] = trie->n_nodes;
            trie->nodes[trie->n_nodes++] =
                (struct trie_node){0, -1, e->bytes[depth], (uint8_t)(depth + 1)};
        }
        if (trie->nodes[open[depth - 1]].token < 0) trie->nodes[open[depth - 1]].token = e->id;
    }
    for (; depth > 0; depth--) trie->nodes[open[depth - 1]].next = trie->n_nodes;
}

static enum vinci_status create(struct vocab_trie **out, const struct vocab *vocab,
                                struct vinci_error *err)
{
    size_t n_bytes = 0, n = 0;
    struct vocab_trie *trie = array_new_zero(1, sizeof *trie);
    struct entry *entries = array_new(vocab->n_ids, sizeof *entries);
    struct trie_node *fitting;
    if (trie) pthread_mutex_init(&trie->lock, NULL);
    if (trie) trie->plain = array_new_zero((vocab->n_ids + 31) / 32, sizeof *trie->plain);
    if (!trie || !entries || !trie->plain) goto no_memory;
    for (size_t id = 0; id < vocab->n_ids; id++)
        if (vocab->tokens[id].kind == TOKEN_NORMAL || vocab->tokens[id].kind == TOKEN_ADDED)
            trie->plain[id / 32] |= 1u << id % 32;
    n = collect(entries, vocab, &n_bytes);
    trie->n_ids = (uint32_t)vocab->n_ids;
    if (!(trie->nodes = array_new(n_bytes, sizeof *trie->nodes))) goto no_memory;
    qsort(entries, n, sizeof *entries, by_bytes);
    build(trie, entries, n);
    free(entries);
    fitting = realloc(trie->nodes, (trie->n_nodes ? trie->n_nodes : 1) * sizeof *fitting);
    if (fitting) trie->nodes = fitting;
    *out = trie;
    return VINCI_OK;
no_memory:
    free(entries);
    trie_free(trie);
    return fail_memory(err, (vocab->n_ids + n_bytes) * sizeof *entries, "the vocabulary's trie");
}

enum vinci_status vocab_trie_get(struct vocab_trie **out, const struct vinci_tokenizer *tokenizer,
                                 struct vinci_error *err)
{
    struct trie_slot *slot = tokenizer->trie;
    enum vinci_status status = VINCI_OK;
    *out = NULL;
    pthread_mutex_lock(&slot->lock);
    if (!slot->trie) status = create(&slot->trie, &tokenizer->vocab, err);
    if (status == VINCI_OK) *out = slot->trie;
    pthread_mutex_unlock(&slot->lock);
    return status;
}
