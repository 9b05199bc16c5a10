/* stop.h - finds stop strings in text that arrives in pieces, and holds back what may still become
 * one. Bytes are compared; pieces of valid UTF-8 with whole characters give such pieces again. */
#ifndef VINCI_ENGINE_STOP_H
#define VINCI_ENGINE_STOP_H

#include "base/status.h"

struct stop_matcher;

/* Copies the strings; n may be 0. An empty string is refused. */
enum vinci_status stop_create(struct stop_matcher **out, const char *const *strings, size_t n,
                              struct vinci_error *err);
void stop_free(struct stop_matcher *matcher);

/* What can be shown: never any part of a stop string that was found, nor of one that is begun. */
struct stop_text {
    const char *text; /* borrowed until the next call; not NUL-terminated */
    size_t n;
    int match; /* which string was found, -1: none yet */
};

/* The string that ends first in the text is the one found; of several that end there, the longest.
 * Text behind a match is dropped, as is all later text. */
enum vinci_status stop_feed(struct stop_matcher *matcher, const char *text, size_t n,
                            struct stop_text *shown, struct vinci_error *err);

/* The end of the text: releases what was held back. */
void stop_flush(struct stop_matcher *matcher, struct stop_text *shown);

#endif
