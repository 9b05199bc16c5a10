/* messages_in.h - the body of Anthropic's /v1/messages into params. */
#ifndef VINCI_SERVE_MESSAGES_IN_H
#define VINCI_SERVE_MESSAGES_IN_H

#include "serve/params.h"

bool messages_in(struct params *params, const json_t *body, struct api_error *error);

/* The conversation and the tools alone, as count_tokens wants them. */
bool messages_in_conversation(struct params *params, const json_t *body, struct api_error *error);

#endif
