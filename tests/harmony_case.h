/* harmony_case.h - what the tests of the chat format share: the published tokenizer, the lines of a
 * vector file, ids from JSON and from text with control tokens written out, and a watcher that
 * collects a parser's events and checks what must hold for every sequence of tokens.
 *
 * The helpers end the program when memory or a vector file is missing. */
#ifndef TESTS_HARMONY_CASE_H
#define TESTS_HARMONY_CASE_H

#include "base/buf.h"
#include "vinci.h"

#include <jansson.h>

/* tests/vectors/tokenizer/o200k_base.tiktoken, opened once. */
const struct vinci_tokenizer *harmony_tokenizer(void);

/* An array of the objects in tests/vectors/text/NAME, one a line. */
json_t *harmony_lines(const char *name);

struct ids {
    int32_t *ids;
    size_t n;
};

struct ids ids_of_json(const json_t *array);
struct ids ids_of_text(const char *text); /* control tokens are recognised */
struct ids ids_render(const struct vinci_conversation *conversation,
                      const struct vinci_render_options *options);
void ids_free(struct ids *ids);

/* Any bytes as tokens, many of them control tokens and header words: what the fuzz target and the
 * random test feed. */
struct ids ids_of_bytes(const uint8_t *bytes, size_t n);

/* Fed to a parser token by token; NULL or what is wrong:
 *   a lenient parser fails; events are out of order; an event's message is not the one that is
 *   completed; the deltas of a message, joined, are not its content; a delta is empty or not UTF-8;
 *   lenient: a content is not the text of the ordinary tokens that were pushed while it was open,
 *   with ill-formed parts replaced, behind an end of the header's text if <|message|> was missing.
 * *n_messages (may be NULL) is the number of messages completed. */
const char *harmony_check(const int32_t *ids, size_t n, enum vinci_role role, bool strict,
                          size_t *n_messages);

#endif
