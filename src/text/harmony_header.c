/* harmony_header.c - what the words of a message header mean: between <|start|> and <|message|>.
 *
 * Two readings. The strict one is the reference's, errors included. The lenient one never fails:
 * it looks at each word for what it can be (a role, to=RECIPIENT, a channel's name, a type) rather
 * than at its place, and drops the rest. Where <|message|> is missing it says where the content
 * begins. docs/harmony.md states the meaning of each malformed case; nothing here allocates. */
#include "text/harmony.h"

#include "text/utf8.h"

#include <string.h>

#define WORDS_MAX 4 /* words without a meaning that are looked at; one more replaces the last */

static const char *const channel_names[] = {"analysis", "commentary", "final"};
static const char *const format_names[] = {"json", "code", "text"};

static bool is(struct vinci_text text, const char *string)
{
    return text.size == strlen(string) && memcmp(text.data, string, text.size) == 0;
}

static bool begins(struct vinci_text text, const char *string)
{
    size_t n = strlen(string);
    return text.size >= n && memcmp(text.data, string, n) == 0;
}

static struct vinci_text skip(struct vinci_text text, size_t n)
{
    return (struct vinci_text){text.data + n, text.size - n};
}

static bool is_one_of(struct vinci_text text, const char *const names[3])
{
    return is(text, names[0]) || is(text, names[1]) || is(text, names[2]);
}

/* Length of the white space character (Unicode's White_Space) at the start of n bytes, else 0. */
static size_t white_length(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    if (n && *text == HARMONY_MARK_START) return 1;
    if (n && (p[0] == ' ' || (p[0] >= 9 && p[0] <= 13))) return 1;
    if (n >= 2 && p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0)) return 2;
    if (n < 3 || p[0] < 0xe1 || p[0] > 0xe3) return 0;
    unsigned tail = (unsigned)p[1] << 8 | p[2];
    bool white = p[0] == 0xe1   ? tail == 0x9a80
                 : p[0] == 0xe3 ? tail == 0x8080
                                : (tail >= 0x8080 && tail <= 0x808a) || tail == 0x80a8 ||
                                      tail == 0x80a9 || tail == 0x80af || tail == 0x819f;
    return white ? 3 : 0;
}

static struct vinci_text trim_front(struct vinci_text text)
{
    size_t n;
    while ((n = white_length(text.data, text.size))) text = skip(text, n);
    return text;
}

static struct vinci_text trim(struct vinci_text text)
{
    size_t end = 0, n;
    text = trim_front(text);
    for (size_t i = 0; i < text.size; i += n ? n : 1) {
        n = white_length(text.data + i, text.size - i);
        if (!n) end = i + 1;
    }
    text.size = end;
    return text;
}

/* ---- strict ---- */

static bool is_ascii_white(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

/* Takes the next word off `text`, absent at the end. <|constrain|> begins a word also behind text.
 */
static struct vinci_text strict_word(struct vinci_text *text)
{
    while (text->size && is_ascii_white(*text->data)) *text = skip(*text, 1);
    if (!text->size) return (struct vinci_text){0};
    size_t n = 1;
    while (n < text->size && !is_ascii_white(text->data[n]) &&
           !begins(skip(*text, n), HARMONY_CONSTRAIN))
        n++;
    struct vinci_text word = {text->data, n};
    *text = skip(*text, n);
    return word;
}

static struct vinci_text without_to(struct vinci_text word)
{
    return begins(word, "to=") ? skip(word, 3) : word;
}

/* Takes "<|channel|>NAME" out of the text. */
static enum vinci_status take_strict_channel(struct vinci_text *channel, struct buf *name,
                                             char *text, size_t *size, struct vinci_error *err)
{
    static const char marker[] = "<|channel|>";
    char *at = memmem(text, *size, marker, sizeof marker - 1);
    if (!at) return VINCI_OK;
    char *begin = at + sizeof marker - 1, *stop = text + *size, *end = begin;
    while (end < stop && *end != '<' && !white_length(end, (size_t)(stop - end))) end++;
    if (end == begin)
        return fail(err, VINCI_FAILED, "message header: a channel's name is missing after %s",
                    marker);
    if (!buf_append(name, begin, (size_t)(end - begin)))
        return fail_memory(err, (size_t)(end - begin), "a channel's name");
    *channel = (struct vinci_text){name->data, name->size};
    memmove(at, end, (size_t)(stop - end));
    *size -= (size_t)(end - at);
    return VINCI_OK;
}

enum vinci_status harmony_header_strict(struct harmony_header *header, struct buf *channel,
                                        char *text, size_t size, enum vinci_role told,
                                        struct vinci_error *err)
{
    *header = (struct harmony_header){.role = told};
    if (utf8_valid_length(text, size) != size)
        return fail(err, VINCI_FAILED, "message header: not UTF-8");
    enum vinci_status status = take_strict_channel(&header->channel, channel, text, &size, err);
    if (status != VINCI_OK) return status;
    struct vinci_text words = trim((struct vinci_text){text, size}), word;
    struct vinci_text first = {0}, second = {0}, last = {0}, before_last = {0};
    size_t begin = 0, n = 0; /* words [begin, n) are still to be read */
    for (; (word = strict_word(&words)).data; n++) {
        before_last = last;
        last = word;
        if (n == 0) first = word;
        if (n == 1) second = word;
    }
    if (told == VINCI_ROLE_NONE) {
        if (!n) return fail(err, VINCI_FAILED, "message header: no role");
        header->role = harmony_role_find(first.data, first.size);
        if (header->role == VINCI_ROLE_NONE && n == 1 && !begins(first, "to="))
            return fail(err, VINCI_FAILED, "message header: '%.*s' is no role",
                        first.size < 80 ? (int)first.size : 80, first.data);
        if (header->role == VINCI_ROLE_NONE) {
            header->role = VINCI_ROLE_TOOL;
            begin = 1;
        }
        if (header->role == VINCI_ROLE_TOOL) header->name = first;
    }
    if (begin < n && is(begin ? second : first, vinci_role_name(header->role))) begin++;
    if (begin == n) return VINCI_OK;
    if (begins(last, "to=") || begin + 1 == n) {
        header->recipient = without_to(last);
        n--;
    } else {
        header->content_type = last;
        header->recipient = without_to(before_last);
        n -= 2;
    }
    if (begin == n) return VINCI_OK;
    return fail(err, VINCI_FAILED,
                "message header: expected a role, to=RECIPIENT and a content type, got words that "
                "are too many: %zu",
                n - begin);
}

/* ---- lenient ---- */

enum word_kind { WORD_PLAIN, WORD_CHANNEL, WORD_TYPE };

static bool is_mark(char c)
{
    return c == HARMONY_MARK_CHANNEL || c == HARMONY_MARK_CONSTRAIN;
}

/* Takes the next word off `text`; behind a mark it may be empty. False at the end. */
static bool next_word(struct vinci_text *text, struct vinci_text *word, enum word_kind *kind)
{
    *text = trim_front(*text);
    if (!text->size) return false;
    *kind = *text->data == HARMONY_MARK_CHANNEL     ? WORD_CHANNEL
            : *text->data == HARMONY_MARK_CONSTRAIN ? WORD_TYPE
                                                    : WORD_PLAIN;
    if (*kind != WORD_PLAIN) *text = trim_front(skip(*text, 1));
    size_t n = 0;
    while (n < text->size && !is_mark(text->data[n]) &&
           !white_length(text->data + n, text->size - n))
        n++;
    *word = (struct vinci_text){text->data, n};
    *text = skip(*text, n);
    return true;
}

/* Takes a role off the front of `word`: "assistant", "user:bob", and roles that something was glued
 * to ("assistantassistant", "assistantto=f", "assistantfinal"). */
static bool take_role(struct harmony_header *header, const struct harmony_header_input *input,
                      struct vinci_text *word)
{
    for (int i = VINCI_ROLE_SYSTEM; i <= VINCI_ROLE_TOOL; i++) {
        enum vinci_role role = (enum vinci_role)i;
        const char *name = vinci_role_name(role);
        bool known = input->told != VINCI_ROLE_NONE && !input->started;
        if (!begins(*word, name) || (known && role != input->told)) continue;
        struct vinci_text rest = skip(*word, strlen(name));
        bool named = rest.size > 1 && rest.data[0] == ':';
        if (rest.size && !named && !begins(rest, name) && !begins(rest, "to=") &&
            !is_one_of(rest, channel_names))
            continue;
        header->role = role;
        if (role == VINCI_ROLE_TOOL) header->name = (struct vinci_text){word->data, strlen(name)};
        if (named) header->name = skip(rest, 1);
        *word = named ? skip(rest, rest.size) : rest;
        return true;
    }
    return false;
}

/* Without to=, the first word may still be whom a call goes to. Never on channel final: an answer
 * taken for a call would be lost. */
static bool is_bare_recipient(const struct harmony_header *header, struct vinci_text word, size_t n)
{
    struct vinci_text channel = header->channel;
    if (is_one_of(word, format_names) || is(channel, "final")) return false;
    const char *dot = memchr(word.data, '.', word.size);
    bool dotted = dot && dot > word.data && dot + 1 < word.data + word.size;
    return dotted || is(word, "python") || is(word, "browser") ||
           (is(channel, "commentary") && n <= 2);
}

/* Gives the words that said nothing by themselves what meaning is still free. */
static void place_words(struct harmony_header *header, const struct vinci_text *words, size_t n)
{
    size_t n_kept = n < WORDS_MAX ? n : WORDS_MAX, i = 0;
    if (!header->channel.data && i < n_kept && is_one_of(words[i], channel_names))
        header->channel = words[i++];
    if (!header->recipient.data && i < n_kept && is_bare_recipient(header, words[i], n - i))
        header->recipient = words[i++];
    if (header->content_type.data || i == n_kept) return;
    struct vinci_text last = words[n_kept - 1];
    if (is_one_of(last, format_names) || (n - i == 1 && header->recipient.data))
        header->content_type = last;
}

static void set_recipient(struct harmony_header *header, struct vinci_text word)
{
    if (word.size > 3) header->recipient = skip(word, 3);
}

static void read_whole_header(struct harmony_header *header,
                              const struct harmony_header_input *input)
{
    struct vinci_text left = {input->text, input->size}, word, words[WORDS_MAX];
    enum word_kind kind;
    size_t n_words = 0;
    bool at_role = true;
    while (next_word(&left, &word, &kind)) {
        at_role = at_role && kind == WORD_PLAIN;
        while (at_role && word.size && take_role(header, input, &word)) {}
        if (!word.size) continue;
        if (begins(word, "to=")) {
            set_recipient(header, word);
        } else if (kind == WORD_CHANNEL) {
            header->channel = word;
        } else if (kind == WORD_TYPE) {
            header->content_type = word;
            header->constrained = true;
        } else if (at_role && input->started && header->role == VINCI_ROLE_NONE &&
                   !is_one_of(word, channel_names)) {
            header->role = VINCI_ROLE_TOOL;
            header->name = word;
        } else {
            words[n_words < WORDS_MAX ? n_words : WORDS_MAX - 1] = word;
            n_words++;
        }
        at_role = false;
    }
    place_words(header, words, n_words);
}

/* Bytes of `word` that can be a type: letters, digits and _ . + / - */
static size_t type_length(struct vinci_text word)
{
    size_t n = 0;
    while (n < word.size) {
        char c = word.data[n], lower = (char)(c | 0x20);
        bool letter = lower >= 'a' && lower <= 'z', digit = c >= '0' && c <= '9';
        if (!letter && !digit && (c == '\0' || !strchr("_.+/-", c))) break;
        n++;
    }
    return n;
}

/* Takes off `word` what belongs to the header; what is left of it begins the content. */
static void take_part(struct harmony_header *header, const struct harmony_header_input *input,
                      struct vinci_text *word, enum word_kind kind)
{
    size_t n = word->size;
    if (begins(*word, "to=")) {
        const char *brace = memchr(word->data, '{', word->size);
        n = brace ? (size_t)(brace - word->data) : n;
        set_recipient(header, (struct vinci_text){word->data, n});
    } else if (kind == WORD_CHANNEL) {
        n = input->interrupted ? 0 : n; /* a stray <|channel|>, unless a known name follows */
        for (size_t i = 0; i < 3; i++)
            if (begins(*word, channel_names[i])) n = strlen(channel_names[i]);
        if (n) header->channel = (struct vinci_text){word->data, n};
    } else if (kind == WORD_TYPE) {
        n = type_length(*word);
        if (n) header->content_type = (struct vinci_text){word->data, n};
        header->constrained = n > 0;
    } else {
        n = 0;
    }
    *word = skip(*word, n);
}

/* Without <|message|>: the words that can only be a header, then content. A role counts only where
 * the text is a header for certain: after <|start|>, before a channel, or alone. */
static void read_open_header(struct harmony_header *header,
                             const struct harmony_header_input *input)
{
    struct vinci_text left = {input->text, input->size}, word;
    enum word_kind kind;
    bool marked = memchr(input->text, HARMONY_MARK_CHANNEL, input->size) != NULL, at_role = true;
    while (next_word(&left, &word, &kind)) {
        const char *begin = word.data;
        bool alone = !trim_front(left).size;
        at_role = at_role && kind == WORD_PLAIN;
        if (at_role && (input->started || marked || alone)) {
            while (word.size && take_role(header, input, &word)) {}
            if (word.size && input->started && marked && header->role == VINCI_ROLE_NONE &&
                !begins(word, "to=")) {
                header->role = VINCI_ROLE_TOOL;
                header->name = word;
                word.size = 0;
            }
        }
        if (!word.size) continue;
        if (at_role && alone && word.data == begin && input->started && input->cut) return;
        at_role = false;
        take_part(header, input, &word, kind);
        if (!word.size && kind != WORD_TYPE) continue;
        header->rest = trim_front(
            (struct vinci_text){word.data, (size_t)(input->text + input->size - word.data)});
        return;
    }
}

void harmony_header_lenient(struct harmony_header *header, const struct harmony_header_input *input)
{
    *header = (struct harmony_header){.role = VINCI_ROLE_NONE};
    if (input->complete) read_whole_header(header, input);
    else read_open_header(header, input);
    if (header->role == VINCI_ROLE_NONE)
        header->role = input->told != VINCI_ROLE_NONE ? input->told : VINCI_ROLE_ASSISTANT;
}
