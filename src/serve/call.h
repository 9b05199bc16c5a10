/* call.h - what a request of any API holds while it is answered. */
#ifndef VINCI_SERVE_CALL_H
#define VINCI_SERVE_CALL_H

#include "serve/generation.h"
#include "serve/http.h"
#include "serve/json_out.h"
#include "serve/routes.h"
#include "serve/server.h"

/* An API's own struct begins with it. */
struct call {
    struct exchange *exchange;
    json_t *body;
    struct params params;
    struct generation *generation;
    char id[40];
    int64_t created; /* seconds since 1970 */
};

/* Parses the body, checks the model, readies `params` and names the call. Fails with an error;
 * call_release is due either way. */
bool call_begin(struct call *call, struct exchange *exchange, const char *id_prefix,
                struct api_error *error);
void call_release(struct call *call);

/* Waits until everything is generated. False: it failed, and the exchange has its error. */
bool call_wait(struct call *call);

/* The sums, also noted for the log. */
void call_usage(struct call *call, struct usage *usage);

/* "stop", "length", "tool_calls", "error" */
const char *finish_name(enum choice_finish finish);

/* Texts of all items of a kind, an empty line between them. */
bool join_items(const struct choice *choice, enum item_kind kind, struct buf *text);

#endif
