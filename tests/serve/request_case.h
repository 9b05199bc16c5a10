/* request_case.h - a body of one of the server's APIs, read and rendered: for the table of requests
 * and for the fuzzer. */
#ifndef TESTS_REQUEST_CASE_H
#define TESTS_REQUEST_CASE_H

#include "serve/params.h"

enum request_api { API_CHAT, API_RESPONSES, API_MESSAGES, API_COUNT };

/* The whole way from bytes to the prompt's ids and the turn's rules. False with an error, which
 * then is complete; *ids is freed with vinci_free. */
bool request_read(enum request_api api, const char *body, size_t n,
                  const struct vinci_tokenizer *tokenizer, int32_t **ids, size_t *n_ids,
                  struct api_error *error);

/* The repository's demonstration model's tokenizer. */
struct vinci_tokenizer *request_tokenizer(void);

#endif
