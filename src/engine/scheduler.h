/* scheduler.h - continuous batching: each step takes one token of every request that is generating
 * and fills the rest of the batch with pieces of prompts; beside generation the pieces are small
 * enough not to stall it (chunk.h). */
#ifndef VINCI_ENGINE_SCHEDULER_H
#define VINCI_ENGINE_SCHEDULER_H

#include "engine/request.h"

struct scheduler;

enum vinci_status scheduler_create(struct scheduler **out, struct vinci_engine *engine,
                                   struct vinci_error *err);
void scheduler_destroy(struct scheduler *scheduler);

/* Puts a request at the end of the queue. */
enum vinci_status scheduler_add(struct scheduler *scheduler, struct vinci_request *request,
                                struct vinci_error *err);

/* Takes it out, whatever its state; waits for a step that is under way. */
void scheduler_remove(struct scheduler *scheduler, struct vinci_request *request);

/* Fills in the counts of requests and tokens and the memory in use: as they are, or during a step
 * as they were before it. From any thread. */
void scheduler_info(struct scheduler *scheduler, struct vinci_engine_info *info);

#endif
