/* writer.c - see writer.h. Locks are taken in the order waiter, writer. Only this thread ends a
 * waiter's parking, so one that is in the list lives until it is taken out. */
#include "serve/writer.h"

#include "base/buf.h"
#include "base/lang.h"

#include <stdlib.h>

struct writer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct waiter *first, **last; /* with news */
    bool stopping;
};

void writer_add(struct waiter *waiter)
{
    struct writer *writer = waiter->writer;
    if (waiter->state != WAITER_PARKED || waiter->listed) return;
    waiter->listed = true;
    waiter->next = NULL;
    pthread_mutex_lock(&writer->lock);
    *writer->last = waiter;
    writer->last = &waiter->next;
    pthread_mutex_unlock(&writer->lock);
}

void writer_wake(struct writer *writer)
{
    pthread_cond_signal(&writer->wake);
}

bool writer_lend(struct writer *writer, struct waiter *waiter, double seconds, writer_fn *write,
                 void *user)
{
    pthread_mutex_lock(&waiter->lock);
    if (!waiter->news) {
        waiter->writer = writer;
        waiter->write = write;
        waiter->user = user;
        waiter->state = WAITER_PARKED;
        waiter->silent = waiter->wanted_back = false;
    }
    while (waiter->state != WAITER_OWN) {
        waiter->silent = true;
        if (waiter_wait(waiter, seconds) || !waiter->silent || waiter->state != WAITER_PARKED)
            continue;
        waiter->wanted_back = true;
        writer_add(waiter);
        writer_wake(writer);
    }
    bool written = !waiter->wanted_back;
    waiter->wanted_back = false;
    pthread_mutex_unlock(&waiter->lock);
    return written;
}

/* Writes until there is no news; the waiter may be gone afterwards. */
static void serve_waiter(struct waiter *waiter)
{
    bool goes_on = true;
    pthread_mutex_lock(&waiter->lock);
    waiter->listed = false;
    waiter->state = WAITER_WRITING;
    while (goes_on && waiter->news) {
        waiter->silent = waiter->wanted_back = false;
        pthread_mutex_unlock(&waiter->lock);
        goes_on = waiter->write(waiter->user);
        pthread_mutex_lock(&waiter->lock);
    }
    waiter->state = goes_on && !waiter->wanted_back ? WAITER_PARKED : WAITER_OWN;
    if (waiter->state == WAITER_OWN) pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

static void *run(void *user)
{
    struct writer *writer = user;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (!writer->first && !writer->stopping) pthread_cond_wait(&writer->wake, &writer->lock);
        struct waiter *waiter = writer->first;
        if (!waiter) break;
        writer->first = NULL;
        writer->last = &writer->first;
        pthread_mutex_unlock(&writer->lock);
        while (waiter) {
            struct waiter *next = waiter->next;
            serve_waiter(waiter);
            waiter = next;
        }
        pthread_mutex_lock(&writer->lock);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

enum vinci_status writer_start(struct writer **out, struct vinci_error *err)
{
    *out = NULL;
    struct writer *writer = array_new_zero(1, sizeof *writer);
    if (!writer) return fail_memory(err, sizeof *writer, "the writing thread");
    writer->last = &writer->first;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->wake, NULL);
    int error = pthread_create(&writer->thread, NULL, run, writer);
    if (error) {
        pthread_cond_destroy(&writer->wake);
        pthread_mutex_destroy(&writer->lock);
        free(writer);
        return fail(err, VINCI_FAILED, "cannot start a thread");
    }
    *out = writer;
    return VINCI_OK;
}

void writer_stop(struct writer *writer)
{
    if (!writer) return;
    pthread_mutex_lock(&writer->lock);
    writer->stopping = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}
