/* store.h - responses that may be referred to later (previous_response_id), bounded in number and
 * bytes: the oldest go first. In memory only. */
#ifndef VINCI_SERVE_STORE_H
#define VINCI_SERVE_STORE_H

#include "base/status.h"

#include <jansson.h>

struct store;

/* At most `max` responses and `max_bytes` of their JSON. max 0 keeps nothing. */
enum vinci_status store_open(struct store **out, uint32_t max, size_t max_bytes,
                             struct vinci_error *err);
void store_close(struct store *store);

/* Keeps copies: `response` is the object as it was answered, `items` the whole conversation up to
 * and with its output. `owner` alone may ask for it. Not kept when memory is short. */
void store_put(struct store *store, const char *id, uint64_t owner, const char *response,
               const json_t *items);

/* The items, to be released with json_decref; NULL: not (or no longer) there. */
json_t *store_items(struct store *store, const char *id, uint64_t owner);

/* The response's text, to be released with free; NULL: not there. */
char *store_response(struct store *store, const char *id, uint64_t owner);

/* The item of this id in any of the owner's responses; as store_items. */
json_t *store_item(struct store *store, const char *id, uint64_t owner);

bool store_remove(struct store *store, const char *id, uint64_t owner);

#endif
