/* writer.h - one thread that writes the events of all streams whose clients keep up.
 *
 * A connection's thread that has nothing to send parks its waiter here and sleeps. From then on the
 * engine's thread wakes this one, once a step for all streams together, instead of a thread for
 * each: with steps of a few milliseconds the wake-ups cost more than the writing. A waiter goes
 * back to its connection's thread when `write` says so (the end, an error, a client that reads too
 * slowly) or after a time without news; whatever takes long is that thread's. */
#ifndef VINCI_SERVE_WRITER_H
#define VINCI_SERVE_WRITER_H

#include "base/status.h"
#include "serve/loop.h"

/* Writes what there is, without blocking. False: the connection's thread is to go on. */
typedef bool writer_fn(void *user);

enum vinci_status writer_start(struct writer **out, struct vinci_error *err);

/* Nothing may be parked any more. Accepts NULL. */
void writer_stop(struct writer *writer);

/* Lends the waiter until `write` returns false, or for so many seconds without news; false then. */
bool writer_lend(struct writer *writer, struct waiter *waiter, double seconds, writer_fn *write,
                 void *user);

/* There is news for a waiter that is parked; the waiter's lock is held. writer_wake is due. */
void writer_add(struct waiter *waiter);
void writer_wake(struct writer *writer);

#endif
