/* report_parts.h - what the files of the report share. */
#ifndef VINCI_BENCH_REPORT_PARTS_H
#define VINCI_BENCH_REPORT_PARTS_H

#include "base/buf.h"

#include <jansson.h>

/* NAN where the record has no such number; "" where it has no such text. */
double report_real(const json_t *object, const char *key);
const char *report_text(const json_t *object, const char *key);

/* The row is of this test: "prefill", "decode", "first token". */
bool report_is(const json_t *row, const char *test);

/* The first result like this, a negative number being any; NULL if there is none. */
const json_t *report_find(const json_t *root, const char *test, double tokens, double depth,
                          double batch);

bool html_text(struct buf *out, const char *text);

/* Every chart that the record has data for, each a <figure>. */
bool report_write_charts(struct buf *out, const json_t *root, const json_t *before);

#endif
