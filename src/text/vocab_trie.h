/* vocab_trie.h - a vocabulary's tokens as a tree over their bytes, for masks of whole vocabularies:
 * what an automaton refuses at a node it refuses for all tokens below it.
 *
 * The nodes lie in one array in preorder, so a walk is a loop: on to the next node, or past the
 * subtree. Normal tokens hang at their bytes. Four control tokens of harmony's headers stand under
 * one byte each that no UTF-8 text has; tokens with such bytes are left out, and those longer than
 * TRIE_MAX_DEPTH. Made once a tokenizer, when it is first needed. */
#ifndef VINCI_TEXT_VOCAB_TRIE_H
#define VINCI_TEXT_VOCAB_TRIE_H

#include "base/status.h"

#include <pthread.h>

enum {
    TRIE_MAX_DEPTH = 250,
    TRIE_MARK_START = 0xf8,
    TRIE_MARK_CHANNEL = 0xf9,
    TRIE_MARK_MESSAGE = 0xfa,
    TRIE_MARK_CONSTRAIN = 0xfb,
};

struct trie_node {
    uint32_t next; /* the node behind this one's subtree */
    int32_t token; /* that ends here, -1: none */
    uint8_t byte, depth;
};

/* What a grammar's state allows without what follows its rule: tokens that stay inside the rule (or
 * end with it), and the nodes at which the rule is done and a token goes on (text/grammar.h). */
struct state_mask {
    uint32_t *bits;  /* [words of a mask], or NULL: */
    int32_t *tokens; /* [n_tokens] */
    uint32_t *exits; /* [n_exits] */
    uint32_t n_tokens, n_exits;
};

void state_mask_free(struct state_mask *mask);

struct vocab_trie {
    struct trie_node *nodes; /* [n_nodes], the root left out: depth begins at 1 */
    uint32_t n_nodes;
    uint32_t n_ids;  /* masks have (n_ids + 31) / 32 words */
    uint32_t *plain; /* the mask of all tokens but control tokens */
    pthread_mutex_t lock;
    struct state_mask **common; /* [n_common] of the states that all JSON grammars begin with; NULL
                                   while not known */
    uint32_t n_common;
};

/* Where a tokenizer keeps its trie. */
struct trie_slot {
    pthread_mutex_t lock;
    struct vocab_trie *trie;
};

struct trie_slot *trie_slot_create(void); /* NULL when memory is short */
void trie_slot_free(struct trie_slot *slot);

/* The tokenizer's trie; lives as long as the tokenizer. */
enum vinci_status vocab_trie_get(struct vocab_trie **out, const struct vinci_tokenizer *tokenizer,
                                 struct vinci_error *err);

/* The mark of a control token, 0 if it has none. */
uint8_t trie_mark_of(const char *bytes, size_t n);

#endif
