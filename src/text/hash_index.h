/* hash_index.h - from a 64-bit hash to a small number: open addressing in one array of 32-bit
 * slots.
 *
 * A slot holds the number plus one in its low bits and bits of the hash above them, so that nearly
 * every miss is decided in the slot itself and the numbers' own records, which live elsewhere, are
 * touched once for a hit. Slots are at least twice the numbers; nothing is ever removed.
 *
 *     for (struct hash_probe it = hash_probe(index, hash); hash_next(index, &it, &number);)
 *         if (records[number] is the one) return number; */
#ifndef VINCI_TEXT_HASH_INDEX_H
#define VINCI_TEXT_HASH_INDEX_H

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

struct hash_index {
    uint32_t *slots; /* [mask + 1]; 0 is empty */
    size_t mask;
    uint32_t number_mask;
};

struct hash_probe {
    size_t slot;
    uint32_t tag;
};

/* For numbers < n_numbers; false when memory is short or n_numbers is beyond 2^30. */
static inline bool hash_index_init(struct hash_index *index, size_t n_numbers)
{
    if (n_numbers > (size_t)1 << 30) return false;
    size_t n_slots = 16;
    uint32_t number_mask = 1;
    while (n_slots < 2 * n_numbers) n_slots *= 2;
    while (number_mask < n_numbers) number_mask = number_mask << 1 | 1;
    *index = (struct hash_index){.mask = n_slots - 1, .number_mask = number_mask};
    index->slots = array_new_zero(n_slots, sizeof *index->slots);
    return index->slots != NULL;
}

static inline void hash_index_free(struct hash_index *index)
{
    free(index->slots);
    *index = (struct hash_index){0};
}

static inline struct hash_probe hash_probe(const struct hash_index *index, uint64_t hash)
{
    return (struct hash_probe){(size_t)hash & index->mask,
                               (uint32_t)(hash >> 32) & ~index->number_mask};
}

/* The next number whose hash may be the one sought; false when there is none (then it->slot is
 * where it would stand). */
static inline bool hash_next(const struct hash_index *index, struct hash_probe *it,
                             uint32_t *number)
{
    for (;;) {
        uint32_t slot = index->slots[it->slot];
        if (!slot) return false;
        it->slot = (it->slot + 1) & index->mask;
        if ((slot & ~index->number_mask) != it->tag) continue;
        *number = (slot & index->number_mask) - 1;
        return true;
    }
}

/* Puts a number where a probe that found nothing ended. */
static inline void hash_put(struct hash_index *index, const struct hash_probe *it, uint32_t number)
{
    index->slots[it->slot] = it->tag | (number + 1);
}

static inline uint64_t hash_mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static inline uint64_t hash_bytes(const char *p, size_t n)
{
    uint64_t h = n * UINT64_C(0xff51afd7ed558ccd), word = 0;
    if (n >= 8) {
        size_t i = 0;
        for (; i + 8 < n; i += 8) {
            memcpy(&word, p + i, 8);
            h = hash_mix(h, word);
        }
        memcpy(&word, p + n - 8, 8);
    } else if (n >= 4) {
        uint32_t first, last;
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        word = (uint64_t)first << 32 | last;
    } else if (n) {
        word = (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1];
    }
    return hash_mix(h, word);
}

#endif
