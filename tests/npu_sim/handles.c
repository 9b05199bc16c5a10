/* handles.c - the set of objects that the program holds, by address and kind, so that a handle that
 * was destroyed, or never was one, is known without touching its memory. */
#include "sim.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char gone; /* marks a slot whose object was removed */
static struct slot {
    const void *object;
    enum handle_kind kind;
} * slots;
static size_t n_slots, n_used; /* n_used: with the marks */
static uint64_t alive[N_HANDLES];

const char *handle_name(enum handle_kind kind)
{
    static const char *const names[N_HANDLES] = {
        "aclTensor", "aclScalar", "aclIntArray", "aclFloatArray",  "aclBoolArray", "aclTensorList",
        "executor",  "stream",    "event",       "captured model", "task group",   "pinned memory"};
    return names[kind];
}

static size_t find(const void *object)
{
    size_t i = ((uintptr_t)object >> 4) * 0x9E3779B97F4A7C15ull >> 20;
    size_t mark = SIZE_MAX;
    for (;; i++) {
        struct slot *s = &slots[i & (n_slots - 1)];
        if (s->object == object) return i & (n_slots - 1);
        if (s->object == &gone && mark == SIZE_MAX) mark = i & (n_slots - 1);
        if (!s->object) return mark == SIZE_MAX ? i & (n_slots - 1) : mark;
    }
}

static void grow(void)
{
    struct slot *old = slots;
    size_t n_old = n_slots, n_alive = 0;
    for (size_t i = 0; i < n_old; i++) n_alive += old[i].object && old[i].object != &gone;
    n_slots = FIRST_SLOTS;
    while (n_slots < 4 * n_alive) n_slots *= 2;
    slots = sim_alloc(n_slots * sizeof *slots);
    n_used = 0;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].object && old[i].object != &gone) {
            slots[find(old[i].object)] = old[i];
            n_used++;
        }
    free(old);
}

void handle_add(enum handle_kind kind, const void *object)
{
    pthread_mutex_lock(&lock);
    if (2 * (n_used + 1) > n_slots) grow();
    struct slot *s = &slots[find(object)];
    if (!s->object) n_used++;
    *s = (struct slot){object, kind};
    alive[kind]++;
    pthread_mutex_unlock(&lock);
}

static bool holds(enum handle_kind kind, const void *object, size_t *at)
{
    if (!object || !n_slots) return false;
    *at = find(object);
    return slots[*at].object == object && slots[*at].kind == kind;
}

bool handle_is(enum handle_kind kind, const void *object)
{
    size_t at = 0;
    pthread_mutex_lock(&lock);
    bool found = holds(kind, object, &at);
    pthread_mutex_unlock(&lock);
    return found;
}

bool handle_remove(enum handle_kind kind, const void *object)
{
    size_t at = 0;
    pthread_mutex_lock(&lock);
    bool found = holds(kind, object, &at);
    if (found) {
        slots[at].object = &gone;
        alive[kind]--;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

uint64_t handle_count(enum handle_kind kind)
{
    pthread_mutex_lock(&lock);
    uint64_t n = alive[kind];
    pthread_mutex_unlock(&lock);
    return n;
}

void handle_each(enum handle_kind kind, void (*visit)(const void *object, void *data), void *data)
{
    pthread_mutex_lock(&lock);
    size_t n = 0;
    const void **objects = sim_alloc((alive[kind] + 1) * sizeof *objects);
    for (size_t i = 0; i < n_slots; i++)
        if (slots[i].object && slots[i].object != &gone && slots[i].kind == kind)
            objects[n++] = slots[i].object;
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < n; i++) visit(objects[i], data);
    free(objects);
}
