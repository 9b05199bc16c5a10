/* pretokenize.h - cuts text into the pieces that are encoded one by one, by a regular expression.
 */
#ifndef VINCI_TEXT_PRETOKENIZE_H
#define VINCI_TEXT_PRETOKENIZE_H

#include "base/status.h"

/* The expression of o200k_base, for files that do not bring one. */
extern const char split_regex_o200k[];

struct split_pattern; /* compiled; may be shared by threads */

enum vinci_status split_pattern_open(struct split_pattern **out, const char *regex, size_t n_bytes,
                                     struct vinci_error *err);
void split_pattern_close(struct split_pattern *pattern);

/* One caller's work with a pattern. */
struct split;

enum vinci_status split_open(struct split **out, const struct split_pattern *pattern,
                             struct vinci_error *err);
void split_close(struct split *split);

/* Starts on n bytes of well-formed UTF-8, which must stay until the last piece. */
void split_begin(struct split *split, const char *text, size_t n);

/* The next piece, never empty; *piece is NULL at the end. The pieces together are the text: what
 * the expression matches and what lies between two matches. */
enum vinci_status split_next(struct split *split, const char **piece, size_t *n,
                             struct vinci_error *err);

#endif
