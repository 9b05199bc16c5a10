/* call.h - what a request of any API holds while it is answered, and the way there: read, generate,
 * then write the answer whole or as a stream of events. What an API adds is in its struct api. */
#ifndef VINCI_SERVE_CALL_H
#define VINCI_SERVE_CALL_H

#include "serve/generation.h"
#include "serve/http.h"
#include "serve/json_out.h"
#include "serve/routes.h"
#include "serve/server.h"

/* An API's own struct begins with it. */
struct call {
    const struct api *api;
    struct exchange *exchange;
    json_t *body;
    struct params params;
    struct generation *generation;
    char id[40];
    int64_t created;    /* seconds since 1970 */
    struct usage usage; /* once everything is generated */

    /* Of a stream. */
    struct buf *out; /* while it is written */
    bool begun, failed;
};

struct api {
    size_t size; /* of the struct that begins with the call; it starts all zero */
    bool (*start)(struct call *call, struct exchange *exchange, struct api_error *error);
    void (*release)(struct call *call); /* what that struct holds beside the call; NULL: nothing */
    void (*write)(struct json_out *out, struct call *call); /* the whole answer */

    /* A stream's first events (NULL: none), those of a piece (`user` is the call), the last. */
    void (*begin)(struct call *call);
    piece_fn *on_piece;
    void (*end)(struct call *call);
    const char *keep_alive; /* while there is nothing to say; NULL: a comment */
};

/* Answers the exchange. */
void call_answer(struct exchange *exchange, const struct api *api);

/* Parses the body, checks the model, readies `params` and names the call. Fails with an error;
 * call_release is due either way. */
bool call_begin(struct call *call, struct exchange *exchange, const char *id_prefix,
                struct api_error *error);
void call_release(struct call *call);

/* The prompt of the conversation in `params`; *ids is freed with vinci_free. */
bool call_render(struct call *call, int32_t **ids, size_t *n_ids, struct api_error *error);

/* An event of a stream: an object whose members are written between the two. With a `type` the
 * event has it as its name and the object as its first member. */
struct json_out begin_event(struct call *call, const char *type);
void end_event(struct call *call, struct json_out *out);

/* The event that tells why the generation failed. */
void send_error(struct call *call);

/* The member "usage" of /v1/chat/completions and, without `reasoning`, of /v1/completions. */
void write_token_usage(struct json_out *out, const struct call *call, bool reasoning);

/* "stop", "length", "tool_calls", "error" */
const char *finish_name(enum choice_finish finish);

/* Texts of all items of a kind, an empty line between them. */
bool join_items(const struct choice *choice, enum item_kind kind, struct buf *text);

#endif
