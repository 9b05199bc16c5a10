/* keys.h - API keys from a file: one a line, '#' begins a comment line. */
#ifndef VINCI_SERVE_KEYS_H
#define VINCI_SERVE_KEYS_H

#include "base/status.h"

#define KEY_BYTES_MAX 255
#define KEYS_MAX 1024

struct keys;

/* `path` NULL: no keys, everybody may. */
enum vinci_status keys_open(struct keys **out, const char *path, struct vinci_error *err);

/* Reads the file again; on failure the old keys stay. */
enum vinci_status keys_reload(struct keys *keys, struct vinci_error *err);
void keys_close(struct keys *keys);

/* Takes the same time for every wrong key. `key` NULL is no key. *index is the key's place among
 * the keys, from 1; *owner a number that goes with the key itself, also after a reload. Both are 0
 * where no keys are asked for. */
bool keys_accept(struct keys *keys, const char *key, uint32_t *index, uint64_t *owner);

#endif
