/* keys.c - API keys. Each stands in a slot of fixed size filled up with zeros, and a candidate is
 * compared with all of all slots: neither the length nor the place of a difference shows in time.
 */
#include "serve/keys.h"

#include "base/buf.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct slot {
    unsigned char bytes[KEY_BYTES_MAX + 1];
};

struct keys {
    char *path;
    pthread_mutex_t lock;
    struct slot *slots; /* [n] */
    size_t n;
};

static enum vinci_status add_line(const char *path, char *line, size_t number, struct slot **slots,
                                  size_t *n, struct vinci_error *err)
{
    size_t begin = strspn(line, " \t"), end = strlen(line);
    while (end > begin && strchr(" \t\r\n", line[end - 1])) end--;
    size_t size = end - begin;
    if (size == 0 || line[begin] == '#') return VINCI_OK;
    if (size > KEY_BYTES_MAX || *n == KEYS_MAX)
        return fail(err, VINCI_LIMIT, "%s:%zu: expected at most %d keys of at most %d bytes", path,
                    number, KEYS_MAX, KEY_BYTES_MAX);
    struct slot *moved = realloc(*slots, (*n + 1) * sizeof *moved);
    if (!moved) return fail_memory(err, (*n + 1) * sizeof *moved, "the API keys");
    *slots = moved;
    moved[*n] = (struct slot){{0}};
    memcpy(moved[(*n)++].bytes, line + begin, size);
    return VINCI_OK;
}

enum vinci_status keys_reload(struct keys *keys, struct vinci_error *err)
{
    struct slot *slots = NULL;
    size_t n = 0, capacity = 0, number = 0;
    char *line = NULL;
    if (!keys->path) return VINCI_OK;
    FILE *file = fopen(keys->path, "re");
    if (!file) return fail_errno(err, errno, keys->path, "open");
    enum vinci_status status = VINCI_OK;
    while (status == VINCI_OK && getline(&line, &capacity, file) >= 0)
        status = add_line(keys->path, line, ++number, &slots, &n, err);
    if (status == VINCI_OK && ferror(file)) status = fail_errno(err, errno, keys->path, "read");
    fclose(file);
    free(line);
    if (status == VINCI_OK && n == 0)
        status = fail(err, VINCI_BAD_FILE,
                      "%s: no API key in it; expected one a line (openssl rand -hex 24 makes one)",
                      keys->path);
    if (status == VINCI_OK) {
        pthread_mutex_lock(&keys->lock);
        struct slot *old = keys->slots;
        keys->slots = slots;
        keys->n = n;
        pthread_mutex_unlock(&keys->lock);
        slots = old;
    }
    free(slots);
    return status;
}

enum vinci_status keys_open(struct keys **out, const char *path, struct vinci_error *err)
{
    *out = NULL;
    struct keys *keys = array_new_zero(1, sizeof *keys);
    if (!keys) return fail_memory(err, sizeof *keys, "the API keys");
    pthread_mutex_init(&keys->lock, NULL);
    keys->path = path ? text_copy(path, strlen(path)) : NULL;
    enum vinci_status status = VINCI_OK;
    if (path && !keys->path) status = fail_memory(err, strlen(path), "the API keys");
    if (status == VINCI_OK) status = keys_reload(keys, err);
    if (status == VINCI_OK) *out = keys;
    else keys_close(keys);
    return status;
}

void keys_close(struct keys *keys)
{
    if (!keys) return;
    pthread_mutex_destroy(&keys->lock);
    free(keys->path);
    free(keys->slots);
    free(keys);
}

/* FNV-1a over the whole slot. */
static uint64_t hash(const unsigned char bytes[KEY_BYTES_MAX + 1])
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i <= KEY_BYTES_MAX; i++) sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

bool keys_accept(struct keys *keys, const char *key, uint32_t *index, uint64_t *owner)
{
    struct slot candidate = {{0}};
    size_t n = key ? strlen(key) : 0;
    uint32_t found = 0;
    *index = 0;
    *owner = 0;
    if (!keys->path) return true; /* none are asked for */
    if (n == 0 || n > KEY_BYTES_MAX) return false;
    memcpy(candidate.bytes, key, n);
    pthread_mutex_lock(&keys->lock);
    for (size_t i = 0; i < keys->n; i++) {
        volatile unsigned char differs = 0;
        for (size_t b = 0; b < sizeof candidate.bytes; b++)
            differs = (unsigned char)(differs | (candidate.bytes[b] ^ keys->slots[i].bytes[b]));
        found |= (uint32_t)(i + 1) & (uint32_t) - (differs == 0);
    }
    pthread_mutex_unlock(&keys->lock);
    *index = found;
    *owner = found ? hash(candidate.bytes) : 0;
    return found != 0;
}
