/* chunk.c - the size of prompt pieces beside generation, by measured time. */
#include "engine/chunk.h"

static const double TARGET_SECONDS = .2;

uint32_t chunk_room(const struct chunk *chunk, uint32_t n_decode, uint32_t n_batch)
{
    uint32_t room = n_batch - n_decode, n = chunk->n ? chunk->n : CHUNK_FIRST;
    return n_decode == 0 || room < n ? room : n;
}

void chunk_note(struct chunk *chunk, uint32_t n_decode, uint32_t n_prompt, double seconds)
{
    if (n_decode == 0) return;
    if (n_prompt == 0) {
        chunk->decode_seconds = seconds;
        return;
    }
    double target = 2 * chunk->decode_seconds;
    if (target < TARGET_SECONDS) target = TARGET_SECONDS;
    uint32_t n = chunk->n ? chunk->n : CHUNK_FIRST;
    if (seconds > target) n = n / 2 < CHUNK_LEAST ? CHUNK_LEAST : n / 2;
    else if (seconds < target / 2 && n_prompt >= n && n < UINT32_MAX / 2) n *= 2;
    chunk->n = n;
}
