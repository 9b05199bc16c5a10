/* harmony_case.c - helpers of the tests of the chat format. */
#include "harmony_case.h"

#include "text/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void give_up(const char *what)
{
    fprintf(stderr, "test: %s\n", what);
    exit(1);
}

const struct vinci_tokenizer *harmony_tokenizer(void)
{
    static struct vinci_tokenizer *tokenizer;
    struct vinci_error err = {0};
    if (!tokenizer &&
        vinci_tokenizer_open(&tokenizer, TEST_VECTORS "/tokenizer/o200k_base.tiktoken", &err))
        give_up(err.text);
    return tokenizer;
}

json_t *harmony_lines(const char *name)
{
    char path[512], *line = NULL;
    size_t capacity = 0;
    json_t *lines = json_array();
    json_error_t error;
    snprintf(path, sizeof path, TEST_VECTORS "/text/%s", name);
    FILE *file = fopen(path, "r");
    if (!file) give_up(path);
    for (ssize_t n; (n = getline(&line, &capacity, file)) > 0;)
        if (json_array_append_new(lines, json_loadb(line, (size_t)n, JSON_ALLOW_NUL, &error)))
            give_up(error.text);
    fclose(file);
    free(line);
    return lines;
}

struct ids ids_of_json(const json_t *array)
{
    struct ids ids = {malloc((json_array_size(array) + 1) * sizeof(int32_t)),
                      json_array_size(array)};
    if (!ids.ids) give_up("out of memory");
    for (size_t i = 0; i < ids.n; i++)
        ids.ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return ids;
}

struct ids ids_of_text(const char *text)
{
    struct ids ids;
    struct vinci_error err = {0};
    if (vinci_tokenize(harmony_tokenizer(), text, strlen(text), true, &ids.ids, &ids.n, &err))
        give_up(err.text);
    return ids;
}

struct ids ids_render(const struct vinci_conversation *conversation,
                      const struct vinci_render_options *options)
{
    struct ids ids;
    struct vinci_error err = {0};
    if (vinci_conversation_render(conversation, harmony_tokenizer(), options, &ids.ids, &ids.n,
                                  &err))
        give_up(err.text);
    return ids;
}

void ids_free(struct ids *ids)
{
    free(ids->ids);
    *ids = (struct ids){0};
}

#define N_ROWS 32

/* The tokens of row i of a table of control tokens and header words. */
static const struct ids *row_ids(size_t i)
{
    static const char *const rows[N_ROWS] = {"<|start|>",
                                             "<|end|>",
                                             "<|message|>",
                                             "<|channel|>",
                                             "<|constrain|>",
                                             "<|call|>",
                                             "<|return|>",
                                             "<|endoftext|>",
                                             "assistant",
                                             "user",
                                             "tool",
                                             "system",
                                             "final",
                                             "analysis",
                                             "commentary",
                                             " to=",
                                             "functions",
                                             ".",
                                             "f",
                                             " json",
                                             "json",
                                             " code",
                                             "python",
                                             " ",
                                             "\n",
                                             "{\"",
                                             ":",
                                             "\u4e2d",
                                             "\U0001f600",
                                             "<|reserved_200013|>",
                                             "<|startoftext|>",
                                             "<|endofprompt|>"};
    static struct ids ids[N_ROWS]; /* encoded once: the fuzzer comes here for every byte */
    if (!ids[i].ids) ids[i] = ids_of_text(rows[i]);
    return &ids[i];
}

/* A byte below N_ROWS is a row; 0xc0 and above, with two more bytes, any id, unknown ones among
 * them; the rest are the tokens of single bytes and half characters. */
struct ids ids_of_bytes(const uint8_t *bytes, size_t n)
{
    struct buf ids = {0};
    for (size_t i = 0; i < n; i++) {
        int32_t id = bytes[i];
        struct ids one = {&id, 1};
        const struct ids *row = id < N_ROWS ? row_ids(bytes[i]) : &one;
        if (bytes[i] >= 0xc0 && i + 2 < n) {
            id = (bytes[i] & 0x3f) << 16 | bytes[i + 1] << 8 | bytes[i + 2];
            id = bytes[i] == 0xff ? -id : id % 202000;
            i += 2;
        }
        if (!buf_append(&ids, row->ids, row->n * sizeof *row->ids)) give_up("out of memory");
    }
    return (struct ids){(int32_t *)(void *)ids.data, ids.size / sizeof(int32_t)};
}

/* ---- the watcher ---- */

struct watcher {
    struct buf header;   /* text that may become content: ordinary tokens since the last message */
    struct buf said;     /* bytes of ordinary tokens since the content began */
    struct buf deltas;   /* of the current message, joined */
    size_t n_header_end; /* bytes of `header` when the content began */
    bool strict, open, marked;
    size_t n_messages;
    const char *wrong;
};

static void expect(struct watcher *w, bool holds, const char *otherwise)
{
    if (!holds && !w->wrong) w->wrong = otherwise;
}

static bool same(struct vinci_text a, struct vinci_text b)
{
    return a.size == b.size && (!a.size || memcmp(a.data, b.data, a.size) == 0);
}

/* The content is `said` as UTF-8, behind what of the header was no header. */
static void check_content(struct watcher *w, struct vinci_text content)
{
    struct buf all = {0};
    size_t begin = w->marked ? w->n_header_end : 0;
    if (!buf_append(&all, w->header.data ? w->header.data : "", w->n_header_end) ||
        !buf_append(&all, w->said.data ? w->said.data : "", w->said.size))
        give_up("out of memory");
    struct buf shown = {0};
    if (!utf8_append_lossy(&shown, all.data + begin, all.size - begin)) give_up("out of memory");
    if (w->marked) {
        expect(w, same(content, (struct vinci_text){shown.data, shown.size}),
               "a content is not the text of its tokens");
    } else {
        bool fits = content.size <= shown.size;
        const char *end = fits ? shown.data + shown.size - content.size : NULL;
        expect(w, fits && (!content.size || memcmp(end, content.data, content.size) == 0),
               "a content without <|message|> is not the end of the header's text");
        struct buf least = {0};
        if (!utf8_append_lossy(&least, w->said.data, w->said.size)) give_up("out of memory");
        expect(w, content.size + 3 >= least.size, "a content without <|message|> lost text");
        buf_free(&least);
    }
    buf_free(&all);
    buf_free(&shown);
}

static void watch(void *user, const struct vinci_harmony_event *event)
{
    struct watcher *w = user;
    const struct vinci_message *message = event->message;
    struct vinci_text text = event->text;
    switch (event->kind) {
    case VINCI_HARMONY_MESSAGE_START:
        expect(w, !w->open, "a message starts inside another");
        expect(w, message->role != VINCI_ROLE_NONE, "a message without role");
        w->open = true;
        w->n_header_end = w->header.size;
        w->said.size = w->deltas.size = 0;
        break;
    case VINCI_HARMONY_CHANNEL:
        expect(w, w->open && text.size && same(text, message->channel), "channel event");
        break;
    case VINCI_HARMONY_RECIPIENT:
        expect(w, w->open && text.data && same(text, message->recipient), "recipient event");
        break;
    case VINCI_HARMONY_CONTENT:
        expect(w, w->open && text.size, "an empty delta");
        expect(w, utf8_valid_length(text.data, text.size) == text.size, "a delta is not UTF-8");
        if (!buf_append(&w->deltas, text.data, text.size)) give_up("out of memory");
        expect(w, same(message->content, (struct vinci_text){w->deltas.data, w->deltas.size}),
               "the content so far is not the deltas");
        break;
    case VINCI_HARMONY_MESSAGE_END:
        expect(w, w->open, "a message ends that did not start");
        expect(w, same(message->content, (struct vinci_text){w->deltas.data, w->deltas.size}),
               "the content is not the deltas");
        w->open = false;
        w->n_messages++;
        if (!w->strict) check_content(w, message->content);
        w->header.size = w->said.size = 0;
        break;
    }
}

/* What the token adds to the text that the watcher keeps. */
static void note(struct watcher *w, const struct vinci_tokenizer *tokenizer, int32_t id)
{
    static const char *const controls[] = {"<|message|>",   "<|start|>",    "<|channel|>",
                                           "<|constrain|>", "<|end|>",      "<|call|>",
                                           "<|return|>",    "<|endoftext|>"};
    static int32_t control_ids[8];
    size_t n, i = 0;
    const char *bytes = vinci_token_bytes(tokenizer, id, &n);
    for (size_t k = 0; !control_ids[7] && k < 8; k++)
        control_ids[k] = vinci_token_special_id(tokenizer, controls[k]);
    while (i < 8 && control_ids[i] != id) i++;
    if (!w->open) w->marked = i == 0;
    if (bytes && !vinci_token_is_special(tokenizer, id)) {
        if (!buf_append(w->open ? &w->said : &w->header, bytes, n)) give_up("out of memory");
    } else if (!w->open && i < 8) {
        struct buf shown = {0}; /* in a header, a control token ends half a character */
        if (!utf8_append_lossy(&shown, w->header.data, w->header.size)) give_up("out of memory");
        buf_free(&w->header);
        w->header = shown;
    }
}

const char *harmony_check(const int32_t *ids, size_t n, enum vinci_role role, bool strict,
                          size_t *n_messages)
{
    struct watcher w = {.strict = strict};
    const struct vinci_tokenizer *tokenizer = harmony_tokenizer();
    struct vinci_harmony_parser *parser = NULL;
    struct vinci_harmony_parser_options options = {
        .tokenizer = tokenizer, .role = role, .strict = strict, .on_event = watch, .user = &w};
    struct vinci_error err = {0};
    enum vinci_status status = vinci_harmony_parser_open(&parser, &options, &err);
    for (size_t i = 0; i < n && status == VINCI_OK && !w.wrong; i++) {
        note(&w, tokenizer, ids[i]);
        status = vinci_harmony_parser_push(parser, ids[i], &err);
        expect(&w, w.open == (vinci_harmony_parser_current(parser) != NULL),
               "the current message is not the one that started");
    }
    if (status == VINCI_OK) status = vinci_harmony_parser_finish(parser, &err);
    expect(&w, strict || status == VINCI_OK, "the lenient parser failed");
    expect(&w, status == VINCI_OK || status == VINCI_FAILED, "a status that is not FAILED");
    expect(&w, status != VINCI_OK || !w.open, "a message is left open");
    size_t n_done;
    vinci_harmony_parser_messages(parser, &n_done);
    expect(&w, n_done == w.n_messages, "the messages are not those that ended");
    if (n_messages) *n_messages = n_done;
    vinci_harmony_parser_close(parser);
    buf_free(&w.header);
    buf_free(&w.said);
    buf_free(&w.deltas);
    return w.wrong;
}
