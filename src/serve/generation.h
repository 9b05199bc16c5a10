/* generation.h - one answer, or several choices of it, on their way: prompts go to the engine's
 * loop, tokens come back and become items (reasoning, text, a call) through the harmony parser.
 *
 * Every API builds on this: generation_next waits for tokens and reports what they mean, piece by
 * piece; streams write the pieces, whole answers are written from the items at the end. What is
 * made of a message:
 *
 *   channel analysis                                  reasoning
 *   a recipient that is a declared tool               a call
 *   a recipient that is not, or the tool channel      reasoning: nothing is lost, nobody is called
 *   commentary without recipient                      text; reasoning where JSON was asked for
 *   final, no channel, an unknown one                 text
 *   another role than assistant                       nothing: the model plays somebody else, the
 *                                                     generation ends
 *
 * Stop strings are looked for in text only, and what may still become one is held back. */
#ifndef VINCI_SERVE_GENERATION_H
#define VINCI_SERVE_GENERATION_H

#include "serve/json_in.h"
#include "serve/loop.h"
#include "serve/params.h"
#include "serve/rules.h"

enum item_kind { ITEM_REASONING, ITEM_TEXT, ITEM_CALL };

struct item {
    enum item_kind kind;
    char id[40];      /* "rs_...", "msg_...", "fc_..." */
    char call_id[40]; /* "call_..." */
    char name[NAME_MAX_BYTES + 1];
    bool custom;     /* a call whose input is free text */
    bool whole;      /* the message ended by itself */
    struct buf text; /* of a call: the arguments */

    /* Log-probabilities of the text's tokens; from `reported` on they are news to the piece being
     * reported. */
    struct job_tokens tokens;
    size_t reported, top_reported;
};

enum choice_finish { CHOICE_RUNNING, CHOICE_STOP, CHOICE_LENGTH, CHOICE_CALLS, CHOICE_FAILED };

enum piece_kind { PIECE_BEGIN, PIECE_DELTA, PIECE_END, PIECE_FINISH };

/* What tokens brought; `text` is borrowed for the call. */
struct piece {
    enum piece_kind kind;
    uint32_t choice, item;
    struct vinci_text text;
};
typedef void piece_fn(void *user, const struct piece *piece);

struct choice {
    struct job job;
    uint32_t index;
    struct vinci_harmony_parser *parser; /* NULL: raw text */
    struct vinci_utf8_stream utf8;
    struct item *items; /* [n_items] */
    size_t n_items, items_capacity;
    bool open;       /* the last item goes on */
    bool dropping;   /* the message being read is nobody's */
    struct buf held; /* text that may become a stop string */
    enum choice_finish finish;
    bool stopped;        /* ended here, not by the engine; tokens that still come are ignored */
    const char *matched; /* the stop string that ended it; NULL: none */
    size_t n_tokens, n_reasoning_tokens;
    struct generation *generation;
};

struct generation {
    const struct vinci_tokenizer *tokenizer;
    struct loop *loop;
    struct params *params;
    struct waiter waiter;
    struct choice *choices; /* [n_choices] */
    uint32_t n_choices, n_running;
    int32_t **prompts; /* [n_prompts], freed with vinci_free */
    size_t *prompt_sizes, n_prompts;
    int32_t stops[VINCI_HARMONY_STOP_TOKENS_MAX];
    size_t n_stops;
    struct rules rules; /* of a turn in harmony */
    bool failed;
    struct api_error error; /* when failed */
    piece_fn *on_piece;     /* during generation_next */
    void *user;
};

struct server;

/* Renders (or takes over `prompts` of raw text, then `raw`) and submits. The generation borrows
 * `params` and must be released before them. `fd` is the client's socket. Nothing is left behind on
 * failure. */
bool generation_start(struct generation **out, struct server *server, struct params *params, int fd,
                      struct api_error *error);
bool generation_start_raw(struct generation **out, struct server *server, struct params *params,
                          int32_t **prompts, size_t *prompt_sizes, size_t n_prompts, int fd,
                          struct api_error *error);

enum generation_state { GENERATION_MORE, GENERATION_IDLE, GENERATION_DONE };

/* Waits for tokens, at most so many seconds (then IDLE), and reports their pieces. DONE: every
 * choice has reported PIECE_FINISH, or `failed` is set. */
enum generation_state generation_next(struct generation *generation, double seconds,
                                      piece_fn *on_piece, void *user);

/* Cancels what still runs and waits for its end (a step): how many tokens the engine generated. */
size_t generation_stop(struct generation *generation);

/* The same, and releases. Accepts NULL. */
void generation_release(struct generation *generation);

/* Sums over the choices; the prompt counts once for each prompt. */
struct usage {
    size_t n_prompt, n_cached, n_generated, n_reasoning;
};
void generation_usage(const struct generation *generation, struct usage *usage);

/* The tokens' log-probabilities from index `from` (whose first `top` entry is `from_top`) on, as
 * elements of the array "content" in OpenAI's chat form. */
struct json_out;
void write_logprobs(struct json_out *out, const struct generation *generation,
                    const struct item *item, size_t from, size_t from_top);

/* A token's text as valid UTF-8; NULL when memory is short, else released with free. */
char *token_text(const struct vinci_tokenizer *tokenizer, int32_t id, size_t *n);

/* "prefix" and 24 random characters. */
void make_id(char id[40], const char *prefix);

#endif
