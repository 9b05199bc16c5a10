/* chat_in.h - the body of /v1/chat/completions into params. */
#ifndef VINCI_SERVE_CHAT_IN_H
#define VINCI_SERVE_CHAT_IN_H

#include "serve/params.h"

/* False with an error; `params` is released by the caller either way. */
bool chat_in(struct params *params, const json_t *body, struct api_error *error);

/* The messages, tools and format alone, as /tokenize wants them. */
bool chat_in_conversation(struct params *params, const json_t *body, struct api_error *error);

#endif
