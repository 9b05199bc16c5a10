/* chunk.h - how many prompt tokens a step may take while others generate.
 *
 * Whoever generates waits for the whole step, so prompts then come in pieces whose size follows the
 * measured time: halved when a mixed step took longer than the target, doubled when it took less
 * than half of it. The target is 200 milliseconds, or twice what a step without prompts takes where
 * that is more. By the numeric contract the pieces never show in a result. */
#ifndef VINCI_ENGINE_CHUNK_H
#define VINCI_ENGINE_CHUNK_H

#include <stdint.h>

enum { CHUNK_LEAST = 16, CHUNK_FIRST = 64 };

struct chunk {
    uint32_t n;            /* tokens of the next mixed step's prompts; 0: none was measured */
    double decode_seconds; /* of the last step that only generated */
};

/* Prompt tokens for a step that also generates n_decode tokens; n_batch bounds both together. */
uint32_t chunk_room(const struct chunk *chunk, uint32_t n_decode, uint32_t n_batch);

/* A step of so many tokens took so long. */
void chunk_note(struct chunk *chunk, uint32_t n_decode, uint32_t n_prompt, double seconds);

#endif
