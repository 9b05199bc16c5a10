/* request.h - one generation: its prompt, sampler and text on the way out. The scheduler moves it
 * through its states; nothing here touches the device. */
#ifndef VINCI_ENGINE_REQUEST_H
#define VINCI_ENGINE_REQUEST_H

#include "engine/constraint.h"
#include "engine/sampler.h"
#include "engine/session.h"
#include "engine/stop.h"

#include <stdatomic.h>

enum request_state {
    REQUEST_QUEUED,
    REQUEST_PREFILL, /* the session holds a part of what is known; with tokens that were generated
                        before the request had to give its memory back */
    REQUEST_DECODE,  /* the last token is to be appended next */
    REQUEST_ENDING,  /* the last token was drawn, and is not reported yet */
    REQUEST_DONE
};

struct share; /* scheduler.c */

struct vinci_request {
    struct vinci_engine *engine;
    struct vinci_request_options options; /* the pointers that it copies are its own */
    int32_t *all; /* [capacity]: options.n_prompt tokens of the prompt, then n_tokens generated */
    size_t n_tokens, capacity;
    int32_t *stop_tokens; /* [options.n_stop_tokens] */
    struct vinci_session *session;
    bool owns_session, holds_session; /* made for it; marked as in use by it */
    struct sampler *sampler;
    struct stop_matcher *stop;
    struct constraint *constraint; /* NULL: none */
    struct vinci_utf8_stream utf8;
    int32_t *scripted; /* [n_scripted]: what is generated instead of the model's choice, or NULL */
    size_t n_scripted;
    uint32_t *scripted_mask;          /* [(n_vocab + 31) / 32] the next of them alone */
    _Atomic enum request_state state; /* read by other threads */
    atomic_bool cancelled, paused;
    struct vinci_request_result result;
    struct share *share; /* of its fair_key, while it is in the scheduler's list */
    uint64_t step;       /* the last one that it took part in */
    bool unreported;     /* the token that was drawn last is */
    float logprob;       /* of it */
    enum vinci_finish
        finish; /* why the request ends with it, as far as is known without its text */
    double time_submitted, time_started, time_first_token;
    struct vinci_request *next; /* in the scheduler's list */
};

/* Tokens that are known: the prompt and what was generated. */
static inline size_t request_n_known(const struct vinci_request *request)
{
    return request->options.n_prompt + request->n_tokens;
}

/* Copies and checks the options; the session is made when none is given. */
enum vinci_status request_create(struct vinci_request **out, struct vinci_engine *engine,
                                 const struct vinci_request_options *options,
                                 struct vinci_error *err);
void request_destroy(struct vinci_request *request);

/* Draws the next token from logits [n_vocab] (NULL: it is `best`): REQUEST_DECODE or _ENDING
 * afterwards. */
void request_draw(struct vinci_request *request, const float *logits, int32_t best);

/* Reports the token that was drawn last, and ends the request where it should. */
void request_report(struct vinci_request *request);

/* request_draw wants no logits: NULL, and the token with the largest of them in `best`. */
bool request_takes_best(const struct vinci_request *request);

/* One more token will be drawn even after the next, unless that one ends the request by what it
 * is. */
bool request_goes_on(const struct vinci_request *request);

/* Ends the request and gives a borrowed session back. */
void request_finish(struct vinci_request *request, enum vinci_finish finish);
void request_fail(struct vinci_request *request, const struct vinci_error *error);

#endif
