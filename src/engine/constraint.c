/* constraint.c - which grammar applies when.
 *
 * A turn in harmony is headers and contents in turn. Headers have a grammar too, made here from the
 * tools' names: what it leaves no choice is forced, what it does not have is masked. It ends in
 * <|message|> and tells, by channel and recipient, what holds for the content: a grammar or any
 * text, and the tokens that may end it. Control tokens take part in header grammars as bytes that
 * no text has (text/vocab_trie.h). */
#include "engine/constraint.h"

#include "base/buf.h"
#include "text/grammar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOOLS = 1024, MAX_RECIPIENT = 256 };

enum mode {
    MODE_TEXT,    /* a grammar for the whole output */
    MODE_HEADER,  /* from <|start|> to <|message|> */
    MODE_CONTENT, /* of a message */
    MODE_OVER     /* behind the end of the turn: anything */
};

struct tool {
    char *recipient;
    struct vinci_grammar *arguments; /* may be NULL */
};

struct constraint {
    const struct vinci_tokenizer *tokenizer;
    uint32_t n_vocab;
    enum mode mode;
    struct vocab_trie *trie;
    uint32_t *mask;  /* [(n_vocab + 31) / 32] */
    int32_t ends[3]; /* tokens that may end what is being read, once it is complete */
    size_t n_ends;
    struct grammar_matcher *matcher; /* of a header or content; NULL: any text */
    struct buf header;               /* as the header's grammar reads it */

    /* Turns. */
    struct vinci_grammar *first_header, *next_header; /* both from <|start|> on */
    struct vinci_grammar *response;
    struct tool *tools; /* [n_tools] */
    size_t n_tools;
    bool parallel_calls;
    int32_t start, end, call, done; /* control tokens */

    int32_t *stops; /* [n_stops] of the request, for MODE_TEXT */
    size_t n_stops;
};

/* ---- header grammars ----------------------------------------------------------------------- */

#define START "\xf8"
#define CHANNEL "\xf9"
#define MESSAGE "\xfa"
#define CONSTRAIN "\xfb"

static void add_choice(struct grammar_builder *b, uint32_t from, const char *text, uint32_t to)
{
    grammar_add_choice(b, from, text, strlen(text), to);
}

/* What may stand behind the recipient or, if that came first, the channel: a type, <|message|>. */
static uint32_t add_type(struct grammar_builder *b, uint32_t to, bool is_function)
{
    uint32_t from = grammar_add_state(b);
    add_choice(b, from, MESSAGE, to);
    add_choice(b, from, " json" MESSAGE, to);
    add_choice(b, from, " " CONSTRAIN "json" MESSAGE, to);
    add_choice(b, from, CONSTRAIN "json" MESSAGE, to);
    if (!is_function) add_choice(b, from, " code" MESSAGE, to);
    return from;
}

/* Both orders: " to=f<|channel|>commentary json<|message|>" is how calls are rendered,
 * "<|channel|>commentary to=f <|constrain|>json<|message|>" how models write them. */
static void add_call(struct grammar_builder *b, uint32_t from, const char *recipient, uint32_t to)
{
    bool is_function = strncmp(recipient, "functions.", 10) == 0;
    char text[MAX_RECIPIENT + 64];
    uint32_t type = add_type(b, to, is_function);
    for (int i = 0; i < (is_function ? 1 : 2); i++) {
        const char *channel = i == 0 ? "commentary" : "analysis";
        snprintf(text, sizeof text, " to=%s" CHANNEL "%s", recipient, channel);
        add_choice(b, from, text, type);
        snprintf(text, sizeof text, CHANNEL "%s to=%s", channel, recipient);
        add_choice(b, from, text, type);
    }
}

static enum vinci_status create_header(struct vinci_grammar **out, const struct constraint *c,
                                       enum vinci_tool_choice choice, bool first,
                                       struct vinci_error *err)
{
    struct grammar_builder b = {.err = err};
    uint32_t rule = grammar_add_rule(&b), to = rule_end(&b, rule);
    uint32_t from = grammar_add_text(&b, rule_start(&b, rule), START "assistant", 10);
    bool required = choice == VINCI_TOOL_CHOICE_REQUIRED;
    bool calls = c->n_tools > 0 && choice != VINCI_TOOL_CHOICE_NONE;
    if (first || !required) add_choice(&b, from, CHANNEL "analysis" MESSAGE, to);
    if (!required) add_choice(&b, from, CHANNEL "final" MESSAGE, to);
    if (!required && calls) add_choice(&b, from, CHANNEL "commentary" MESSAGE, to);
    for (size_t i = 0; calls && i < c->n_tools; i++) add_call(&b, from, c->tools[i].recipient, to);
    enum vinci_status status = grammar_finish(out, &b, rule, c->tokenizer, err);
    grammar_builder_free(&b);
    return status;
}

/* ---- create -------------------------------------------------------------------------------- */

static void set_bit(uint32_t *mask, int32_t token)
{
    mask[token / 32] |= 1u << token % 32;
}

static struct vinci_grammar *retain(const struct vinci_grammar *grammar)
{
    return grammar ? grammar_retain(grammar) : NULL;
}

static enum vinci_status find_control(const struct constraint *c, const char *name, int32_t *id,
                                      struct vinci_error *err)
{
    *id = vinci_token_special_id(c->tokenizer, name);
    if (*id >= 0 && (uint32_t)*id < c->n_vocab) return VINCI_OK;
    return fail(err, VINCI_UNSUPPORTED,
                "turn rules: the tokenizer has no %s; they need harmony's control tokens", name);
}

static enum vinci_status find_controls(struct constraint *c, struct vinci_error *err)
{
    int32_t unused;
    enum vinci_status status = find_control(c, "<|start|>", &c->start, err);
    if (status == VINCI_OK) status = find_control(c, "<|channel|>", &unused, err);
    if (status == VINCI_OK) status = find_control(c, "<|message|>", &unused, err);
    if (status == VINCI_OK) status = find_control(c, "<|end|>", &c->end, err);
    if (status == VINCI_OK) status = find_control(c, "<|call|>", &c->call, err);
    if (status == VINCI_OK) status = find_control(c, "<|return|>", &c->done, err);
    return status;
}

static enum vinci_status add_tool(struct constraint *c, const struct vinci_tool_rule *rule,
                                  struct vinci_error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t n = rule->recipient ? strlen(rule->recipient) : 0;
    if (n == 0 || n >= MAX_RECIPIENT || strspn(rule->recipient, allowed) != n)
        return fail(err, VINCI_USAGE,
                    "turn rules: a tool's name has 1 to %d letters, digits and _ . -, got '%.100s'",
                    MAX_RECIPIENT - 1, n ? rule->recipient : "");
    struct tool *tool = &c->tools[c->n_tools];
    if (!(tool->recipient = text_copy(rule->recipient, n))) return fail_memory(err, n, "a tool");
    tool->arguments = retain(rule->arguments);
    c->n_tools++;
    return VINCI_OK;
}

static enum vinci_status check_grammar(const struct constraint *c,
                                       const struct vinci_grammar *grammar, struct vinci_error *err)
{
    if (!grammar || grammar->trie == c->trie) return VINCI_OK;
    return fail(err, VINCI_USAGE, "the request's grammar was made for another tokenizer");
}

static enum vinci_status enter_header(struct constraint *c, const struct vinci_grammar *grammar,
                                      struct vinci_error *err)
{
    grammar_matcher_free(c->matcher);
    c->matcher = NULL;
    c->mode = MODE_HEADER;
    c->n_ends = 0;
    c->header.size = 0;
    return grammar_matcher_create(&c->matcher, grammar, err);
}

/* The prompt's last message, from <|start|> on, is read as if it had been generated. */
static enum vinci_status read_prompt(struct constraint *c, const int32_t *prompt, size_t n,
                                     struct vinci_error *err)
{
    size_t at = n;
    bool done;
    while (at > 0 && prompt[at - 1] != c->start) at--;
    if (at == 0)
        return fail(err, VINCI_USAGE,
                    "turn rules: the prompt has no <|start|>; it must end in <|start|>assistant");
    enum vinci_status status = enter_header(c, c->first_header, err);
    for (at--; at < n && status == VINCI_OK; at++)
        status = constraint_accept(c, prompt[at], &done, err);
    if (status == VINCI_USAGE)
        return fail(err, VINCI_USAGE,
                    "turn rules: the prompt's last message does not follow them (token %zu): it "
                    "must begin with <|start|>assistant",
                    at);
    return status;
}

static enum vinci_status create_turn(struct constraint *c, const struct vinci_turn_rules *turn,
                                     const struct vinci_request_options *options,
                                     struct vinci_error *err)
{
    if (turn->n_tools > MAX_TOOLS)
        return fail(err, VINCI_LIMIT, "turn rules: expected at most %d tools, got %zu", MAX_TOOLS,
                    turn->n_tools);
    if (turn->tool_choice == VINCI_TOOL_CHOICE_REQUIRED && turn->n_tools == 0)
        return fail(err, VINCI_USAGE, "turn rules: a call is required, but there is no tool");
    c->parallel_calls = turn->parallel_calls;
    c->response = retain(turn->response);
    enum vinci_status status = find_controls(c, err);
    if (status == VINCI_OK) status = check_grammar(c, c->response, err);
    c->tools = array_new_zero(turn->n_tools, sizeof *c->tools);
    if (!c->tools) return fail_memory(err, turn->n_tools * sizeof *c->tools, "turn rules");
    for (size_t i = 0; i < turn->n_tools && status == VINCI_OK; i++) {
        status = check_grammar(c, turn->tools[i].arguments, err);
        if (status == VINCI_OK) status = add_tool(c, &turn->tools[i], err);
    }
    if (status == VINCI_OK)
        status = create_header(&c->first_header, c, turn->tool_choice, true, err);
    if (status == VINCI_OK)
        status = create_header(&c->next_header, c, turn->tool_choice, false, err);
    return status == VINCI_OK ? read_prompt(c, options->prompt, options->n_prompt, err) : status;
}

static enum vinci_status create_text(struct constraint *c,
                                     const struct vinci_request_options *options,
                                     struct vinci_error *err)
{
    enum vinci_status status = check_grammar(c, options->grammar, err);
    if (status != VINCI_OK) return status;
    c->mode = MODE_TEXT;
    c->stops = array_new(options->n_stop_tokens, sizeof *c->stops);
    if (!c->stops) return fail_memory(err, options->n_stop_tokens * sizeof *c->stops, "a request");
    for (size_t i = 0; i < options->n_stop_tokens; i++)
        if (options->stop_tokens[i] >= 0 && (uint32_t)options->stop_tokens[i] < c->n_vocab)
            c->stops[c->n_stops++] = options->stop_tokens[i];
    return grammar_matcher_create(&c->matcher, options->grammar, err);
}

enum vinci_status constraint_create(struct constraint **out,
                                    const struct vinci_request_options *options, uint32_t n_vocab,
                                    struct vinci_error *err)
{
    *out = NULL;
    if (!options->grammar && !options->turn) return VINCI_OK;
    if (options->grammar && options->turn)
        return fail(err, VINCI_USAGE, "a request has a grammar or turn rules, not both");
    if (!options->tokenizer)
        return fail(err, VINCI_USAGE, "a request with a grammar or turn rules needs a tokenizer");
    size_t n_words = (n_vocab + 31) / 32;
    struct constraint *c = array_new_zero(1, sizeof *c);
    if (!c) return fail_memory(err, sizeof *c, "a request's constraint");
    c->tokenizer = options->tokenizer;
    c->n_vocab = n_vocab;
    c->mask = array_new_zero(n_words, sizeof *c->mask);
    enum vinci_status status = vocab_trie_get(&c->trie, c->tokenizer, err);
    if (!c->mask) status = fail_memory(err, n_words * sizeof *c->mask, "a request's constraint");
    if (status == VINCI_OK && c->trie->n_ids > n_vocab)
        status = fail(err, VINCI_UNSUPPORTED,
                      "the tokenizer has %u ids and the model %u: they do not belong together",
                      c->trie->n_ids, n_vocab);
    if (status == VINCI_OK)
        status = options->grammar ? create_text(c, options, err)
                                  : create_turn(c, options->turn, options, err);
    if (status == VINCI_OK) *out = c;
    else constraint_free(c);
    return status;
}

void constraint_free(struct constraint *c)
{
    if (!c) return;
    grammar_matcher_free(c->matcher);
    vinci_grammar_close(c->first_header);
    vinci_grammar_close(c->next_header);
    vinci_grammar_close(c->response);
    for (size_t i = 0; i < c->n_tools; i++) {
        vinci_grammar_close(c->tools[i].arguments);
        free(c->tools[i].recipient);
    }
    free(c->tools);
    free(c->stops);
    free(c->mask);
    buf_free(&c->header);
    free(c);
}

/* ---- masks --------------------------------------------------------------------------------- */

enum vinci_status constraint_mask(struct constraint *c, const uint32_t **allowed,
                                  struct vinci_error *err)
{
    size_t n_words = (c->n_vocab + 31) / 32, n = (c->trie->n_ids + 31) / 32;
    const uint32_t *mask = c->trie->plain;
    enum vinci_status status = VINCI_OK;
    *allowed = c->mode == MODE_OVER ? NULL : c->mask;
    if (c->mode == MODE_OVER) return VINCI_OK;
    if (c->matcher) status = grammar_matcher_mask(c->matcher, &mask, err);
    if (status != VINCI_OK) return status;
    memcpy(c->mask, mask, n * sizeof *mask);
    memset(c->mask + n, 0, (n_words - n) * sizeof *mask);
    bool complete = !c->matcher || grammar_matcher_is_complete(c->matcher);
    if (complete && c->mode == MODE_TEXT)
        for (size_t i = 0; i < c->n_stops; i++) set_bit(c->mask, c->stops[i]);
    if (complete && c->mode == MODE_CONTENT)
        for (size_t i = 0; i < c->n_ends; i++) set_bit(c->mask, c->ends[i]);
    return VINCI_OK;
}

/* ---- tokens -------------------------------------------------------------------------------- */

/* The word behind `mark` in a header. */
static struct vinci_text header_word(const struct buf *header, const char *mark)
{
    size_t n_mark = strlen(mark), n = 0;
    const char *at = memmem(header->data, header->size, mark, n_mark);
    if (!at) return (struct vinci_text){NULL, 0};
    at += n_mark;
    while (at + n < header->data + header->size && at[n] > ' ' && (uint8_t)at[n] < 0x80) n++;
    return (struct vinci_text){at, n};
}

static bool text_is(struct vinci_text text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

/* The header is whole: what holds for its content. */
static enum vinci_status enter_content(struct constraint *c, struct vinci_error *err)
{
    struct vinci_text recipient = header_word(&c->header, " to=");
    const struct vinci_grammar *grammar = NULL;
    grammar_matcher_free(c->matcher);
    c->matcher = NULL;
    c->mode = MODE_CONTENT;
    c->n_ends = 0;
    if (recipient.data) {
        for (size_t i = 0; i < c->n_tools; i++)
            if (text_is(recipient, c->tools[i].recipient)) grammar = c->tools[i].arguments;
        c->ends[c->n_ends++] = c->call;
        if (c->parallel_calls) c->ends[c->n_ends++] = c->end;
    } else if (text_is(header_word(&c->header, CHANNEL), "final")) {
        grammar = c->response;
        c->ends[c->n_ends++] = c->done;
    } else {
        c->ends[c->n_ends++] = c->end;
    }
    return grammar ? grammar_matcher_create(&c->matcher, grammar, err) : VINCI_OK;
}

static enum vinci_status not_allowed(const struct constraint *c, int32_t token,
                                     struct vinci_error *err)
{
    (void)c;
    return fail(err, VINCI_USAGE, "token %d is not what the request's grammar allows here", token);
}

/* Reads the token's bytes, a control token as its mark. */
static enum vinci_status advance(struct constraint *c, int32_t token, struct vinci_error *err)
{
    size_t n = 0;
    bool ok = false;
    const char *bytes = vinci_token_bytes(c->tokenizer, token, &n);
    char mark = 0;
    if (!bytes) return not_allowed(c, token, err);
    if (vinci_token_is_special(c->tokenizer, token)) {
        mark = (char)trie_mark_of(bytes, n);
        if (!mark) return not_allowed(c, token, err);
        bytes = &mark;
        n = 1;
    }
    enum vinci_status status = grammar_matcher_advance(c->matcher, bytes, n, &ok, err);
    if (status == VINCI_OK && !ok) status = not_allowed(c, token, err);
    if (status == VINCI_OK && c->mode == MODE_HEADER && !buf_append(&c->header, bytes, n))
        status = fail_memory(err, n, "a message's header");
    return status;
}

static bool is_end(const struct constraint *c, int32_t token)
{
    for (size_t i = 0; i < c->n_ends; i++)
        if (c->ends[i] == token) return true;
    return false;
}

static bool is_stop(const struct constraint *c, int32_t token)
{
    for (size_t i = 0; i < c->n_stops; i++)
        if (c->stops[i] == token) return true;
    return false;
}

enum vinci_status constraint_accept(struct constraint *c, int32_t token, bool *done,
                                    struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    *done = false;
    switch (c->mode) {
    case MODE_OVER: break;
    case MODE_TEXT:
        if (is_stop(c, token) && grammar_matcher_is_complete(c->matcher)) break;
        status = advance(c, token, err);
        *done = status == VINCI_OK && !grammar_matcher_can_continue(c->matcher);
        break;
    case MODE_HEADER:
        status = advance(c, token, err);
        if (status == VINCI_OK && grammar_matcher_is_complete(c->matcher))
            status = enter_content(c, err);
        break;
    case MODE_CONTENT:
        if (is_end(c, token) && (!c->matcher || grammar_matcher_is_complete(c->matcher))) {
            if (token == c->done) c->mode = MODE_OVER;
            else status = enter_header(c, c->next_header, err);
        } else if (c->matcher) {
            status = advance(c, token, err);
        } else if (vinci_token_is_special(c->tokenizer, token)) {
            status = not_allowed(c, token, err);
        }
        break;
    }
    return status;
}
