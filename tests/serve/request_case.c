/* request_case.c - from the bytes of a body to what the engine is asked. */
#include "serve/request_case.h"

#include "serve/chat_in.h"
#include "serve/messages_in.h"
#include "serve/responses_in.h"
#include "serve/rules.h"

bool request_read(enum request_api api, const char *body, size_t n,
                  const struct vinci_tokenizer *tokenizer, int32_t **ids, size_t *n_ids,
                  struct api_error *error)
{
    struct params params = {0};
    struct rules rules = {0};
    json_t *json = NULL, *items = NULL;
    size_t n_forced;
    *error = (struct api_error){0};
    *ids = NULL;
    bool ok = json_in(&json, body, n, error) && params_init(&params, error);
    if (ok && api == API_CHAT) ok = chat_in(&params, json, error);
    else if (ok && api == API_RESPONSES) ok = responses_in(&params, json, NULL, 0, &items, error);
    else if (ok) ok = messages_in(&params, json, error);
    ok = ok && rules_make(&rules, &params, tokenizer, error) &&
         params_render(&params, tokenizer, NULL, ids, n_ids, &n_forced, error);
    rules_release(&rules);
    params_release(&params);
    json_decref(items);
    json_decref(json);
    return ok;
}

struct vinci_tokenizer *request_tokenizer(void)
{
    struct vinci_tokenizer *tokenizer = NULL;
    struct vinci_error err;
    vinci_tokenizer_open(&tokenizer, TEST_VECTORS "/../../models/nano", &err);
    return tokenizer;
}
