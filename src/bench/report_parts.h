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

/* The model's name without its folder, "" if the record has none. */
const char *report_model_name(const json_t *root);

/* The row of a test with the largest value under `key`; depth < 0: any. */
const json_t *report_largest(const json_t *root, const char *test, const char *key, double depth);

/* Pieces: a line of a list, a field of a table (`number`: on the right), a figure in large. A
 * figure that is not known is left out. */
bool report_sentence(struct buf *out, const char *format, ...) VINCI_PRINTF(2, 3);
bool report_cell(struct buf *out, bool number, const char *format, ...) VINCI_PRINTF(3, 4);
bool report_card(struct buf *out, const char *title, const char *format, double value);
bool report_card_seconds(struct buf *out, const char *title, double seconds);

struct comparison;

/* Sections; each writes nothing where the record has nothing for it. */
bool report_write_summary(struct buf *out, const json_t *root, const struct comparison *comparison);
bool report_write_comparison(struct buf *out, const struct comparison *comparison);
bool report_write_results(struct buf *out, const json_t *root);
bool report_write_prompts(struct buf *out, const json_t *root);
bool report_write_environment(struct buf *out, const json_t *root);

/* Of a server under load. */
bool report_say_serve(struct buf *out, const json_t *root);
bool report_serve_cards(struct buf *out, const json_t *root);
bool report_write_serve(struct buf *out, const json_t *root);

/* As record_latencies, sorted. */
double *report_latencies(const json_t *root, const char *what, size_t *n);

/* Every chart that the record has data for, each a <figure>. */
bool report_write_charts(struct buf *out, const json_t *root, const struct comparison *comparison);

#endif
