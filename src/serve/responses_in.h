/* responses_in.h - the body of /v1/responses into params. */
#ifndef VINCI_SERVE_RESPONSES_IN_H
#define VINCI_SERVE_RESPONSES_IN_H

#include "serve/params.h"
#include "serve/store.h"

/* `store` (may be NULL) is where previous_response_id and references to items are looked up for
 * `owner`. *items, an array released with json_decref also after a failure, is the conversation:
 * that of the previous response and then the input. */
bool responses_in(struct params *params, const json_t *body, struct store *store, uint64_t owner,
                  json_t **items, struct api_error *error);

#endif
