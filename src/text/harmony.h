/* harmony.h - the chat format of gpt-oss: conversations -> tokens, tokens -> messages. The public
 * functions are in vinci.h and docs/harmony.md describes the format; this is what the files of
 * src/text share.
 *
 *   harmony_conversation.c  the conversation: built by calls or from JSON, checked on the way in
 *   harmony_render.c        conversation -> tokens
 *   harmony_tools.c         tools and their JSON schemas -> TypeScript-like notation
 *   harmony_json.c          JSON with exact numbers, in and out
 *   harmony_parse.c         tokens -> messages, token by token
 *   harmony_header.c        what the words of a message header mean
 *
 * The one decision: a conversation *is* its JSON document (the form of tests/vectors/text/
 * render.jsonl), checked when it comes in, so that everything that exists can be rendered. Control
 * tokens come only from struct harmony_tokens; text is always encoded without special tokens. */
#ifndef VINCI_TEXT_HARMONY_H
#define VINCI_TEXT_HARMONY_H

#include "base/buf.h"
#include "base/status.h"

#include <jansson.h>

/* ---- control tokens (harmony_render.c) ---- */

struct harmony_tokens {
    int32_t start, message, channel, constrain; /* the parts of a header */
    int32_t end, call, done;                    /* <|end|>, <|call|>, <|return|> */
    int32_t end_of_text;                        /* -1 where the tokenizer has none */
    bool o200k;                                 /* the ids of the published tokenizer */
};

/* UNSUPPORTED when the tokenizer lacks one of them. */
enum vinci_status harmony_tokens_find(struct harmony_tokens *tokens,
                                      const struct vinci_tokenizer *tokenizer,
                                      struct vinci_error *err);

/* <|constrain|> as text: how a content type begins that renders as the control token. */
#define HARMONY_CONSTRAIN "<|constrain|>"

/* ---- text and JSON (harmony_json.c) ---- */

/* Text under construction; `failed` is set when memory ran out, and looked at once at the end. */
struct text_out {
    struct buf buf;
    bool failed;
};

void put(struct text_out *out, const char *text);
void put_bytes(struct text_out *out, const char *text, size_t n);
void put_spaces(struct text_out *out, size_t n);
void put_string(struct text_out *out, const json_t *string); /* its raw text, no quotes */

/* Compact JSON: only " \ and controls are escaped; doubles have the fewest digits that read back
 * ("0.00001", "1e16", "-0.0"), and keep ".0" where they are whole. */
void put_json(struct text_out *out, const json_t *value);

/* jansson's document, NUL allowed in strings. Integers beyond 64 bits become doubles; -0 is the
 * double -0.0. `what` begins the error text. */
enum vinci_status harmony_json_load(json_t **out, const char *text, size_t n, const char *what,
                                    struct vinci_error *err);

/* ---- tools (harmony_tools.c) ---- */

/* "# Tools" and one section for each namespace, sorted by key. */
void put_tools(struct text_out *out, const json_t *namespaces);

/* The type that a JSON schema describes; lines of its body are indented by `indent` spaces. */
void put_schema_type(struct text_out *out, const json_t *schema, size_t indent);

/* ---- conversations (harmony_conversation.c) ---- */

struct vinci_conversation {
    json_t *messages; /* array; every element has been checked */
};

/* NULL for absent and for null. */
const json_t *harmony_get(const json_t *object, const char *key);
bool harmony_is(const json_t *object, const char *key, const char *value);

/* Definitions of the built-in tools: a JSON object for each, as under "tools". */
extern const char harmony_browser_tool[];
extern const char harmony_python_tool[];

/* ---- headers (harmony_header.c) ---- */

/* Inside a header's text the lenient parser marks control tokens by bytes that no UTF-8 has (the
 * strict one writes their text). A second <|start|> only separates words. */
#define HARMONY_MARK_START '\xfd'
#define HARMONY_MARK_CHANNEL '\xfe'
#define HARMONY_MARK_CONSTRAIN '\xff'

/* What a header says; the texts point into it. */
struct harmony_header {
    enum vinci_role role;
    struct vinci_text name, channel, recipient, content_type;
    bool constrained;       /* put <|constrain|> before the content type */
    struct vinci_text rest; /* lenient, no <|message|>: what can only be content */
};

struct harmony_header_input {
    const char *text;
    size_t size;
    enum vinci_role told; /* the role if it is known without the header, else VINCI_ROLE_NONE */
    bool started;         /* <|start|> came before it */
    bool interrupted;     /* it began inside a content, where an end marker was missing */
    bool complete;        /* <|message|> came after it */
    bool cut;             /* neither that nor an end marker did */
};

/* The reference's reading. `text` is changed: the channel is taken out of it, to `channel`. */
enum vinci_status harmony_header_strict(struct harmony_header *header, struct buf *channel,
                                        char *text, size_t size, enum vinci_role told,
                                        struct vinci_error *err);

/* Never fails; docs/harmony.md says what each malformed case means. */
void harmony_header_lenient(struct harmony_header *header,
                            const struct harmony_header_input *input);

/* VINCI_ROLE_NONE for a word that is no role. */
enum vinci_role harmony_role_find(const char *word, size_t n);

#endif
