/* routes.h - paths to handlers; who may ask, from where. */
#ifndef VINCI_SERVE_ROUTES_H
#define VINCI_SERVE_ROUTES_H

#include "serve/http.h"

typedef void route_fn(struct exchange *exchange);

struct route {
    const char *method, *path; /* a path that ends in '*' matches what begins so */
    route_fn *handler;
    bool open;      /* asks for no key */
    bool quiet;     /* not in the log when all is well */
    bool anthropic; /* errors in Anthropic's form */
};

struct MHD_Response;

/* When the headers have come: finds the route, names the exchange. */
void routes_begin(struct exchange *exchange);

/* False: the answer stands already, whatever the body is. */
bool routes_check(struct exchange *exchange);

/* The body has come: fills in the answer. */
void routes_answer(struct exchange *exchange);

void routes_add_headers(const struct exchange *exchange, struct MHD_Response *response);

/* ---- what handlers answer with ---- */

/* An error object in the form of the exchange's API. */
void answer_error(struct exchange *exchange, const struct api_error *error);

/* The same as the data of a stream's last event. */
void write_error_object(struct buf *out, bool anthropic, const struct api_error *error);

/* After writing exchange->out: 200, or 503 when that failed for want of memory. */
struct json_out;
void answer_written(struct exchange *exchange, const struct json_out *out);

/* The answer is a stream of events. */
void answer_stream(struct exchange *exchange, stream_next_fn *next, stream_free_fn *free_stream,
                   void *stream);

/* "model" must be the one that is served; absent or null it is. */
bool check_model(struct exchange *exchange, const json_t *body, struct api_error *error);

/* ---- handlers ---- */

route_fn handle_chat, handle_completions, handle_responses, handle_response_get,
    handle_response_delete, handle_messages, handle_count_tokens, handle_tokenize,
    handle_detokenize;

#endif
