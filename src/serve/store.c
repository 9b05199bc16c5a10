/* store.c - kept responses. Entries hold text, not trees: threads share nothing that counts
 * references. A ring in the order of arrival; looked through from the newest, as what is referred
 * to is nearly always recent. */
#include "serve/store.h"

#include "base/buf.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char id[40];
    uint64_t owner;
    char *response, *items; /* NULL: removed */
    size_t n_bytes;
};

struct store {
    pthread_mutex_t lock;
    struct entry *entries; /* [max], `n` of them in use from `first` on */
    size_t max, first, n, n_bytes, max_bytes;
};

enum vinci_status store_open(struct store **out, uint32_t max, size_t max_bytes,
                             struct vinci_error *err)
{
    *out = NULL;
    struct store *store = array_new_zero(1, sizeof *store);
    if (!store) return fail_memory(err, sizeof *store, "the kept responses");
    pthread_mutex_init(&store->lock, NULL);
    store->max = max;
    store->max_bytes = max_bytes;
    store->entries = array_new_zero(max, sizeof *store->entries);
    if (!store->entries) {
        store_close(store);
        return fail_memory(err, max * sizeof *store->entries, "the kept responses");
    }
    *out = store;
    return VINCI_OK;
}

static struct entry *entry_at(struct store *store, size_t i)
{
    return &store->entries[(store->first + i) % store->max];
}

static void clear(struct store *store, struct entry *entry)
{
    store->n_bytes -= entry->n_bytes;
    free(entry->response);
    free(entry->items);
    *entry = (struct entry){0};
}

static void drop_oldest(struct store *store)
{
    clear(store, entry_at(store, 0));
    store->first = (store->first + 1) % store->max;
    store->n--;
}

void store_close(struct store *store)
{
    if (!store) return;
    while (store->entries && store->n) drop_oldest(store);
    free(store->entries);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

void store_put(struct store *store, const char *id, uint64_t owner, const char *response,
               const json_t *items)
{
    struct entry entry = {.owner = owner};
    if (store->max == 0 || strlen(id) >= sizeof entry.id) return;
    memcpy(entry.id, id, strlen(id) + 1);
    entry.items = json_dumps(items, JSON_COMPACT);
    entry.response = text_copy(response, strlen(response));
    if (entry.items && entry.response)
        entry.n_bytes = strlen(entry.items) + strlen(entry.response) + 2;
    if (entry.n_bytes == 0 || entry.n_bytes > store->max_bytes) {
        free(entry.items);
        free(entry.response);
        return;
    }
    pthread_mutex_lock(&store->lock);
    while (store->n == store->max ||
           (store->n && store->n_bytes + entry.n_bytes > store->max_bytes))
        drop_oldest(store);
    *entry_at(store, store->n++) = entry;
    store->n_bytes += entry.n_bytes;
    pthread_mutex_unlock(&store->lock);
}

static struct entry *find(struct store *store, const char *id, uint64_t owner)
{
    for (size_t i = store->n; i > 0; i--) {
        struct entry *entry = entry_at(store, i - 1);
        if (entry->items && entry->owner == owner && strcmp(entry->id, id) == 0) return entry;
    }
    return NULL;
}

static char *copy_of(struct store *store, const char *id, uint64_t owner, bool items)
{
    pthread_mutex_lock(&store->lock);
    const struct entry *entry = find(store, id, owner);
    const char *text = !entry ? NULL : items ? entry->items : entry->response;
    char *copy = text ? text_copy(text, strlen(text)) : NULL;
    pthread_mutex_unlock(&store->lock);
    return copy;
}

json_t *store_items(struct store *store, const char *id, uint64_t owner)
{
    char *text = copy_of(store, id, owner, true);
    json_t *items = text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
    free(text);
    return items;
}

char *store_response(struct store *store, const char *id, uint64_t owner)
{
    return copy_of(store, id, owner, false);
}

json_t *store_item(struct store *store, const char *id, uint64_t owner)
{
    char needle[80], *text = NULL;
    json_t *found = NULL, *item;
    size_t at;
    if (strlen(id) > 60 || strpbrk(id, "\"\\")) return NULL;
    snprintf(needle, sizeof needle, "\"id\":\"%s\"", id);
    pthread_mutex_lock(&store->lock);
    for (size_t i = store->n; i > 0 && !text; i--) {
        const struct entry *entry = entry_at(store, i - 1);
        if (entry->items && entry->owner == owner && strstr(entry->items, needle))
            text = text_copy(entry->items, strlen(entry->items));
    }
    pthread_mutex_unlock(&store->lock);
    json_t *items = text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
    json_array_foreach(items, at, item)
    {
        const char *name = json_string_value(json_object_get(item, "id"));
        if (!found && name && strcmp(name, id) == 0) found = json_incref(item);
    }
    json_decref(items);
    free(text);
    return found;
}

bool store_remove(struct store *store, const char *id, uint64_t owner)
{
    pthread_mutex_lock(&store->lock);
    struct entry *entry = find(store, id, owner);
    if (entry) clear(store, entry);
    pthread_mutex_unlock(&store->lock);
    return entry != NULL;
}
