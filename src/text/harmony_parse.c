/* harmony_parse.c - tokens -> messages, one token at a time, with events.
 *
 * A small machine: between messages, in a header, in a content. Strict mode does what the reference
 * does, errors included; it exists to be compared. Lenient mode is total: control tokens have one
 * meaning wherever they stand (<|start|> and <|channel|> begin a header, end markers end a message)
 * and never become text, and the bytes of all other tokens inside a content are the content, with
 * ill-formed UTF-8 replaced. So in both modes the deltas, joined, are the content. */
#include "text/harmony.h"

#include "text/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 1024 /* bytes; beyond, a lenient header is a content without <|message|> */

enum parser_state { BETWEEN, IN_HEADER, IN_CONTENT };

struct vinci_harmony_parser {
    struct vinci_harmony_parser_options options;
    struct harmony_tokens tokens;
    enum parser_state state;
    size_t n_tokens;
    struct vinci_error failure; /* status OK until the first failure */

    struct buf header;
    enum vinci_role told; /* the header's role where it is known without its words */
    bool started;         /* <|start|> opened the header */
    bool interrupted;     /* the header was opened inside a content */
    bool undecodable;     /* strict: an id that has no text stands in the header or the content */

    struct vinci_message message; /* texts owned, but for the content, which is `content` */
    struct buf content;
    struct vinci_utf8_stream utf8; /* lenient: of the header or the content */
    struct buf pending;            /* strict: bytes of the content not yet shown */

    struct vinci_message *messages; /* texts owned */
    size_t n_messages, capacity;
};

/* ---- messages ---- */

static void release_message(struct vinci_message *message)
{
    free((char *)message->name.data);
    free((char *)message->channel.data);
    free((char *)message->recipient.data);
    free((char *)message->content_type.data);
    free((char *)message->content.data);
    *message = (struct vinci_message){0};
}

static enum vinci_status no_memory(const struct vinci_harmony_parser *parser,
                                   struct vinci_error *err)
{
    return fail_memory(err, parser->content.size + parser->header.size, "a parsed message");
}

static void emit(struct vinci_harmony_parser *parser, enum vinci_harmony_event_kind kind,
                 struct vinci_text text, enum vinci_message_end end)
{
    struct vinci_harmony_event event = {kind, text, &parser->message, end};
    if (parser->options.on_event) parser->options.on_event(parser->options.user, &event);
}

/* False when memory is short. Absent text stays absent. */
static bool copy_text(struct vinci_text *copy, struct vinci_text text, const char *before)
{
    struct buf buf = {0};
    if (!text.data) return true;
    if (!buf_append_text(&buf, before) || !buf_append(&buf, text.data, text.size)) {
        buf_free(&buf);
        return false;
    }
    *copy = (struct vinci_text){buf.data, buf.size};
    return true;
}

static enum vinci_status begin_message(struct vinci_harmony_parser *parser,
                                       const struct harmony_header *header, struct vinci_error *err)
{
    struct vinci_message *message = &parser->message;
    parser->content.size = 0;
    message->role = header->role;
    if (!buf_reserve(&parser->content, 0) || !copy_text(&message->name, header->name, "") ||
        !copy_text(&message->channel, header->channel, "") ||
        !copy_text(&message->recipient, header->recipient, "") ||
        !copy_text(&message->content_type, header->content_type,
                   header->constrained ? HARMONY_CONSTRAIN : ""))
        return no_memory(parser, err);
    message->content = (struct vinci_text){parser->content.data, 0};
    parser->state = IN_CONTENT;
    emit(parser, VINCI_HARMONY_MESSAGE_START, message->name, VINCI_END_CUT);
    if (message->channel.data) emit(parser, VINCI_HARMONY_CHANNEL, message->channel, VINCI_END_CUT);
    if (message->recipient.data)
        emit(parser, VINCI_HARMONY_RECIPIENT, message->recipient, VINCI_END_CUT);
    return VINCI_OK;
}

/* What was appended to the content from byte `begin` on becomes visible. */
static void show_content(struct vinci_harmony_parser *parser, size_t begin)
{
    struct vinci_text *content = &parser->message.content;
    *content = (struct vinci_text){parser->content.data, parser->content.size};
    if (content->size == begin) return;
    struct vinci_text delta = {content->data + begin, content->size - begin};
    emit(parser, VINCI_HARMONY_CONTENT, delta, VINCI_END_CUT);
}

/* Appends `n` bytes as the stream shows them. False when memory is short. */
static bool append_utf8(struct vinci_utf8_stream *stream, struct buf *buf, const char *bytes,
                        size_t n, bool flush)
{
    size_t room;
    if (!size_add(n, 4, &room) || !size_mul(room, 3, &room) || !buf_reserve(buf, room))
        return false;
    buf->size += vinci_utf8_stream_next(stream, bytes, n, flush, buf->data + buf->size);
    buf->data[buf->size] = '\0';
    return true;
}

static enum vinci_status end_message(struct vinci_harmony_parser *parser,
                                     enum vinci_message_end end, struct vinci_error *err)
{
    size_t begin = parser->content.size, n = parser->n_messages;
    if (n == parser->capacity) {
        size_t capacity = n ? 2 * n : 4, n_bytes;
        struct vinci_message *messages = size_mul(capacity, sizeof *messages, &n_bytes)
                                             ? realloc(parser->messages, n_bytes)
                                             : NULL;
        if (!messages) return no_memory(parser, err);
        parser->messages = messages;
        parser->capacity = capacity;
    }
    bool ok = append_utf8(&parser->utf8, &parser->content, "", 0, true);
    if (ok && parser->undecodable) ok = buf_append_text(&parser->content, "\xef\xbf\xbd");
    if (ok) ok = utf8_append_lossy(&parser->content, parser->pending.data, parser->pending.size);
    if (!ok) return no_memory(parser, err);
    show_content(parser, begin);
    emit(parser, VINCI_HARMONY_MESSAGE_END, parser->message.content, end);
    parser->messages[parser->n_messages++] = parser->message;
    parser->message = (struct vinci_message){0};
    parser->content = (struct buf){0};
    parser->pending.size = 0;
    parser->undecodable = false;
    parser->state = BETWEEN;
    return VINCI_OK;
}

static void open_header(struct vinci_harmony_parser *parser, bool started, enum vinci_role told)
{
    parser->state = IN_HEADER;
    parser->header.size = 0;
    parser->started = started;
    parser->told = told;
    parser->interrupted = false;
    parser->undecodable = false;
    parser->utf8 = (struct vinci_utf8_stream){0};
}

/* ---- strict ---- */

/* The reference's text of an id: it calls every special token outside its own list reserved, up to
 * one beyond the vocabulary. NULL for an id that it does not know. */
static const char *strict_bytes(const struct vinci_harmony_parser *parser, int32_t id, size_t *n,
                                char reserved[32])
{
    const struct harmony_tokens *t = &parser->tokens;
    bool named = id == t->start || id == t->message || id == t->channel || id == t->constrain ||
                 id == t->end || id == t->call || id == t->done;
    if (!t->o200k || named || id < 200000 || id > 201088)
        return vinci_token_bytes(parser->options.tokenizer, id, n);
    *n = (size_t)snprintf(reserved, 32, "<|reserved_%d|>", (int)id);
    return reserved;
}

/* Shows what the reference shows: all that is well-formed up to the first ill-formed part and one
 * U+FFFD for that; what stands behind it waits for the next token. */
static enum vinci_status strict_content(struct vinci_harmony_parser *parser, const char *bytes,
                                        size_t n, struct vinci_error *err)
{
    struct buf *pending = &parser->pending, *content = &parser->content;
    size_t begin = content->size;
    if (!buf_append(pending, bytes, n)) return no_memory(parser, err);
    size_t valid = utf8_valid_length(pending->data, pending->size);
    size_t ill = utf8_ill_formed_length(pending->data + valid, pending->size - valid);
    if (!buf_append(content, pending->data, valid) ||
        (ill && !buf_append_text(content, "\xef\xbf\xbd")))
        return no_memory(parser, err);
    pending->size -= valid + ill;
    memmove(pending->data, pending->data + valid + ill, pending->size);
    show_content(parser, begin);
    return VINCI_OK;
}

static enum vinci_status strict_header_end(struct vinci_harmony_parser *parser,
                                           struct vinci_error *err)
{
    struct harmony_header header;
    struct buf channel = {0};
    enum vinci_status status = VINCI_OK;
    if (parser->undecodable)
        status = fail(err, VINCI_FAILED, "message header: an id that is no token");
    else if (!buf_reserve(&parser->header, 0)) status = no_memory(parser, err);
    else
        status = harmony_header_strict(&header, &channel, parser->header.data, parser->header.size,
                                       parser->told, err);
    if (status == VINCI_OK) status = begin_message(parser, &header, err);
    buf_free(&channel);
    return status;
}

static enum vinci_status strict_push(struct vinci_harmony_parser *parser, int32_t id,
                                     struct vinci_error *err)
{
    const struct harmony_tokens *t = &parser->tokens;
    enum vinci_message_end end = id == t->end    ? VINCI_END_END
                                 : id == t->call ? VINCI_END_CALL
                                 : id == t->done ? VINCI_END_RETURN
                                                 : VINCI_END_CUT;
    if (parser->state == BETWEEN) {
        if (id != t->start)
            return fail(err, VINCI_FAILED, "between messages: expected <|start|> (%d), got %d",
                        (int)t->start, (int)id);
        open_header(parser, true, VINCI_ROLE_NONE);
        return VINCI_OK;
    }
    if (parser->state == IN_CONTENT && end != VINCI_END_CUT) return end_message(parser, end, err);
    if (parser->state == IN_HEADER && id == t->message) return strict_header_end(parser, err);
    char reserved[32];
    size_t n;
    const char *bytes = strict_bytes(parser, id, &n, reserved);
    if (!bytes) parser->undecodable = true;
    if (parser->undecodable) return VINCI_OK;
    if (parser->state == IN_CONTENT) return strict_content(parser, bytes, n, err);
    return buf_append(&parser->header, bytes, n) ? VINCI_OK : no_memory(parser, err);
}

/* ---- lenient ---- */

/* What is known of the header so far, without what may be half a character at its end. */
static void read_header(const struct vinci_harmony_parser *parser, struct harmony_header *header,
                        bool complete, bool cut)
{
    struct harmony_header_input input = {
        .text = parser->header.size ? parser->header.data : "",
        .size = parser->header.size,
        .told = parser->told,
        .started = parser->started,
        .interrupted = parser->interrupted,
        .complete = complete,
        .cut = cut,
    };
    harmony_header_lenient(header, &input);
}

/* <|message|> is missing: what the header's text must be begins the content. */
static enum vinci_status begin_with_rest(struct vinci_harmony_parser *parser,
                                         const struct harmony_header *header,
                                         struct vinci_error *err)
{
    struct harmony_header own = *header;
    /* A stray control token inside a content: what follows goes on with it. */
    if (parser->interrupted && !own.channel.data)
        own.channel = parser->messages[parser->n_messages - 1].channel;
    enum vinci_status status = begin_message(parser, &own, err);
    if (status != VINCI_OK) return status;
    for (size_t i = 0; i < own.rest.size; i++) {
        const char *c = own.rest.data + i;
        if (*c == HARMONY_MARK_START || *c == HARMONY_MARK_CHANNEL || *c == HARMONY_MARK_CONSTRAIN)
            continue;
        if (!buf_append(&parser->content, c, 1)) return no_memory(parser, err);
    }
    show_content(parser, 0);
    return VINCI_OK;
}

/* A header that is too long is none: it begins a message, or said nothing and is forgotten. */
static enum vinci_status bound_header(struct vinci_harmony_parser *parser, struct vinci_error *err)
{
    struct harmony_header header;
    if (parser->header.size <= HEADER_MAX) return VINCI_OK;
    read_header(parser, &header, false, false);
    if (header.rest.size || header.channel.data || header.recipient.data)
        return begin_with_rest(parser, &header, err);
    parser->told = header.role;
    parser->header.size = 0;
    return VINCI_OK;
}

/* The header ends without <|message|>: by an end marker, or cut (`end` is CUT). With text that can
 * only be content it is a message; with an end marker also if it names a channel or a recipient. */
static enum vinci_status close_header(struct vinci_harmony_parser *parser,
                                      enum vinci_message_end end, struct vinci_error *err)
{
    struct harmony_header header;
    bool cut = end == VINCI_END_CUT;
    if (!append_utf8(&parser->utf8, &parser->header, "", 0, true)) return no_memory(parser, err);
    read_header(parser, &header, false, cut);
    parser->state = BETWEEN;
    if (!header.rest.size && (cut || (!header.channel.data && !header.recipient.data)))
        return VINCI_OK;
    enum vinci_status status = begin_with_rest(parser, &header, err);
    return status == VINCI_OK ? end_message(parser, end, err) : status;
}

static enum vinci_status lenient_start(struct vinci_harmony_parser *parser, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    bool interrupted = parser->state == IN_CONTENT;
    if (interrupted) status = end_message(parser, VINCI_END_CUT, err);
    if (parser->state == IN_HEADER) {
        /* A second <|start|> is a stray one unless something was said before it. */
        size_t n = parser->n_messages;
        status = close_header(parser, VINCI_END_CUT, err);
        if (status == VINCI_OK && parser->n_messages == n) {
            parser->state = IN_HEADER;
            parser->started = true;
            const char mark = HARMONY_MARK_START;
            if (!buf_append(&parser->header, &mark, 1)) return no_memory(parser, err);
            return bound_header(parser, err);
        }
    }
    if (status != VINCI_OK) return status;
    open_header(parser, true, VINCI_ROLE_NONE);
    parser->interrupted = interrupted;
    return VINCI_OK;
}

static enum vinci_status lenient_message(struct vinci_harmony_parser *parser,
                                         struct vinci_error *err)
{
    struct harmony_header header;
    if (parser->state != IN_HEADER) return VINCI_OK; /* doubled or stray */
    if (!append_utf8(&parser->utf8, &parser->header, "", 0, true)) return no_memory(parser, err);
    read_header(parser, &header, true, false);
    return begin_message(parser, &header, err);
}

static enum vinci_status lenient_mark(struct vinci_harmony_parser *parser, char mark,
                                      struct vinci_error *err)
{
    enum vinci_role role = parser->message.role;
    if (parser->state == IN_CONTENT) {
        if (mark == HARMONY_MARK_CONSTRAIN) return VINCI_OK;
        enum vinci_status status = end_message(parser, VINCI_END_CUT, err);
        if (status != VINCI_OK) return status;
        open_header(parser, false, role);
        parser->interrupted = true;
    }
    if (parser->state == BETWEEN) open_header(parser, false, VINCI_ROLE_NONE);
    if (!append_utf8(&parser->utf8, &parser->header, "", 0, true) ||
        !buf_append(&parser->header, &mark, 1))
        return no_memory(parser, err);
    return bound_header(parser, err);
}

static enum vinci_status lenient_text(struct vinci_harmony_parser *parser, const char *bytes,
                                      size_t n, struct vinci_error *err)
{
    if (parser->state == IN_CONTENT) {
        size_t begin = parser->content.size;
        if (!append_utf8(&parser->utf8, &parser->content, bytes, n, false))
            return no_memory(parser, err);
        show_content(parser, begin);
        return VINCI_OK;
    }
    if (parser->state == BETWEEN) open_header(parser, false, VINCI_ROLE_NONE);
    if (!append_utf8(&parser->utf8, &parser->header, bytes, n, false))
        return no_memory(parser, err);
    return bound_header(parser, err);
}

static enum vinci_status lenient_push(struct vinci_harmony_parser *parser, int32_t id,
                                      struct vinci_error *err)
{
    const struct harmony_tokens *t = &parser->tokens;
    if (id == t->start) return lenient_start(parser, err);
    if (id == t->message) return lenient_message(parser, err);
    if (id == t->channel) return lenient_mark(parser, HARMONY_MARK_CHANNEL, err);
    if (id == t->constrain) return lenient_mark(parser, HARMONY_MARK_CONSTRAIN, err);
    if (id == t->end || id == t->call || id == t->done || (id >= 0 && id == t->end_of_text)) {
        enum vinci_message_end end = id == t->end    ? VINCI_END_END
                                     : id == t->call ? VINCI_END_CALL
                                                     : VINCI_END_RETURN;
        if (parser->state == IN_CONTENT) return end_message(parser, end, err);
        return parser->state == IN_HEADER ? close_header(parser, end, err) : VINCI_OK;
    }
    size_t n;
    const char *bytes = vinci_token_bytes(parser->options.tokenizer, id, &n);
    if (!bytes || vinci_token_is_special(parser->options.tokenizer, id)) return VINCI_OK;
    return lenient_text(parser, bytes, n, err);
}

/* ---- the public functions ---- */

void vinci_harmony_parser_options_init(struct vinci_harmony_parser_options *options)
{
    *options = (struct vinci_harmony_parser_options){.role = VINCI_ROLE_ASSISTANT};
}

enum vinci_status vinci_harmony_parser_open(struct vinci_harmony_parser **out,
                                            const struct vinci_harmony_parser_options *options,
                                            struct vinci_error *err)
{
    struct harmony_tokens tokens;
    *out = NULL;
    enum vinci_status status = harmony_tokens_find(&tokens, options->tokenizer, err);
    if (status != VINCI_OK) return status;
    struct vinci_harmony_parser *parser = array_new_zero(1, sizeof *parser);
    if (!parser) return fail_memory(err, sizeof *parser, "a parser");
    parser->options = *options;
    parser->tokens = tokens;
    if (options->role != VINCI_ROLE_NONE) open_header(parser, false, options->role);
    *out = parser;
    return VINCI_OK;
}

void vinci_harmony_parser_close(struct vinci_harmony_parser *parser)
{
    if (!parser) return;
    parser->message.content.data = NULL; /* belongs to `content` */
    release_message(&parser->message);
    for (size_t i = 0; i < parser->n_messages; i++) release_message(&parser->messages[i]);
    free(parser->messages);
    buf_free(&parser->header);
    buf_free(&parser->content);
    buf_free(&parser->pending);
    free(parser);
}

/* Hands the status on; a failure stays, with the place where it happened. */
static enum vinci_status keep_failure(struct vinci_harmony_parser *parser, enum vinci_status status,
                                      struct vinci_error *err)
{
    struct vinci_error *failure = &parser->failure;
    if (status == VINCI_FAILED)
        fail(failure, status, "token %zu: %s", parser->n_tokens, failure->text);
    return status == VINCI_OK ? status : fail(err, status, "%s", failure->text);
}

enum vinci_status vinci_harmony_parser_push(struct vinci_harmony_parser *parser, int32_t id,
                                            struct vinci_error *err)
{
    struct vinci_error *failure = &parser->failure;
    if (failure->status != VINCI_OK) return fail(err, failure->status, "%s", failure->text);
    enum vinci_status status = parser->options.strict ? strict_push(parser, id, failure)
                                                      : lenient_push(parser, id, failure);
    status = keep_failure(parser, status, err);
    parser->n_tokens++;
    return status;
}

enum vinci_status vinci_harmony_parser_finish(struct vinci_harmony_parser *parser,
                                              struct vinci_error *err)
{
    struct vinci_error *failure = &parser->failure;
    enum vinci_status status = VINCI_OK;
    if (failure->status != VINCI_OK) return fail(err, failure->status, "%s", failure->text);
    if (parser->state == IN_CONTENT) status = end_message(parser, VINCI_END_CUT, failure);
    else if (parser->state == IN_HEADER && !parser->options.strict)
        status = close_header(parser, VINCI_END_CUT, failure);
    else if (parser->state == IN_HEADER)
        status = fail(failure, VINCI_FAILED, "the tokens end inside a message header");
    return keep_failure(parser, status, err);
}

const struct vinci_message *vinci_harmony_parser_messages(const struct vinci_harmony_parser *parser,
                                                          size_t *n)
{
    *n = parser->n_messages;
    return parser->messages;
}

const struct vinci_message *vinci_harmony_parser_current(const struct vinci_harmony_parser *parser)
{
    return parser->state == IN_CONTENT ? &parser->message : NULL;
}
