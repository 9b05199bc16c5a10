/* Parsing: every line of parse.jsonl in strict mode as the reference; in lenient mode what each
 * malformed case means, line by line of docs/harmony.md, and what must hold for any tokens. */
#include "harmony_case.h"

#include "text/harmony.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool is_role(const char *word, enum vinci_role *role)
{
    *role = harmony_role_find(word, strlen(word));
    return *role != VINCI_ROLE_NONE;
}

/* Equal to a JSON string; absent text to null and to a missing key. */
static bool same_text(struct vinci_text text, const json_t *want)
{
    if (!want || json_is_null(want)) return !text.data;
    return text.data && text.size == json_string_length(want) &&
           memcmp(text.data, json_string_value(want), text.size) == 0;
}

static bool same_message(const struct vinci_message *message, const json_t *want)
{
    const json_t *content = json_array_get(json_object_get(want, "content"), 0);
    return same_text(vinci_text_of(vinci_role_name(message->role)),
                     json_object_get(want, "role")) &&
           same_text(message->name, json_object_get(want, "name")) &&
           same_text(message->channel, json_object_get(want, "channel")) &&
           same_text(message->recipient, json_object_get(want, "recipient")) &&
           same_text(message->content_type, json_object_get(want, "content_type")) &&
           same_text(message->content, json_object_get(content, "text"));
}

/* ---- strict ---- */

static void keep_delta(void *user, const struct vinci_harmony_event *event)
{
    struct vinci_text *delta = user;
    if (event->kind == VINCI_HARMONY_CONTENT) *delta = event->text;
}

/* What was said by one token against one element of "deltas". */
static bool same_delta(struct vinci_text delta, const struct vinci_message *current,
                       enum vinci_role role, const json_t *want)
{
    static const struct vinci_message none;
    const char *name = vinci_role_name(current ? current->role : role);
    if (!current) current = &none;
    return same_text(delta, json_object_get(want, "delta")) &&
           same_text(vinci_text_of(*name ? name : NULL), json_object_get(want, "role")) &&
           same_text(current->channel, json_object_get(want, "channel")) &&
           same_text(current->recipient, json_object_get(want, "recipient")) &&
           same_text(current->content_type, json_object_get(want, "content_type"));
}

static const char *strict_difference(const json_t *line)
{
    const json_t *deltas = json_object_get(line, "deltas");
    const json_t *messages = json_object_get(line, "messages");
    bool complete = json_is_true(json_object_get(line, "deltas_complete"));
    bool fails = json_is_string(json_object_get(line, "error"));
    size_t error_at = (size_t)json_integer_value(json_object_get(line, "error_at"));
    struct ids ids = ids_of_json(json_object_get(line, "ids"));
    struct vinci_text delta = {0};
    struct vinci_harmony_parser_options options = {
        .tokenizer = harmony_tokenizer(), .strict = true, .on_event = keep_delta, .user = &delta};
    struct vinci_harmony_parser *parser = NULL;
    struct vinci_error err = {0};
    const char *difference = NULL, *role = json_string_value(json_object_get(line, "role"));
    if (role) assert_true(is_role(role, &options.role));
    assert_int_equal(vinci_harmony_parser_open(&parser, &options, &err), VINCI_OK);

    enum vinci_status status = VINCI_OK;
    enum vinci_role told = options.role;
    size_t i;
    for (i = 0; i < ids.n && !difference; i++) {
        delta = (struct vinci_text){0};
        status = vinci_harmony_parser_push(parser, ids.ids[i], &err);
        if (status != VINCI_OK) break;
        const struct vinci_message *current = vinci_harmony_parser_current(parser);
        if (current) told = VINCI_ROLE_NONE;
        if (i >= json_array_size(deltas)) difference = "a token that the reference refuses";
        else if (complete && !same_delta(delta, current, told, json_array_get(deltas, i)))
            difference = "delta";
    }
    if (status == VINCI_OK) status = vinci_harmony_parser_finish(parser, &err);
    if ((status == VINCI_FAILED) != fails) difference = "error";
    if (fails && i != error_at) difference = "error_at";
    if (fails && vinci_harmony_parser_push(parser, 0, NULL) != VINCI_FAILED)
        difference = "goes on after a failure";

    size_t n;
    const struct vinci_message *got = vinci_harmony_parser_messages(parser, &n);
    if (n != json_array_size(messages)) difference = "number of messages";
    for (size_t k = 0; k < n && !difference; k++)
        if (!same_message(&got[k], json_array_get(messages, k))) difference = "message";
    vinci_harmony_parser_close(parser);
    ids_free(&ids);
    return difference;
}

static void strict_agrees_with_the_reference(void **state)
{
    (void)state;
    json_t *lines = harmony_lines("parse.jsonl"), *line, *first = NULL;
    size_t i, n = 0, n_failed = 0;
    json_array_foreach(lines, i, line)
    {
        if (!json_is_true(json_object_get(line, "strict"))) continue;
        const char *difference = strict_difference(line);
        if (difference)
            printf("%s: %s\n", json_string_value(json_object_get(line, "name")), difference);
        n_failed += difference != NULL;
        if (!first) first = line;
        n++;
    }
    assert_int_equal(n, 91);
    assert_int_equal(n_failed, 0);

    /* The comparison notices a wrong delta, message, error and place of it. */
    json_t *delta = json_array_get(json_object_get(first, "deltas"), 4);
    json_t *message = json_array_get(json_object_get(first, "messages"), 1);
    json_object_set_new(delta, "delta", json_string("x"));
    assert_non_null(strict_difference(first));
    json_object_set_new(first, "deltas_complete", json_false());
    assert_null(strict_difference(first));
    json_object_set_new(message, "channel", json_string("x"));
    assert_string_equal(strict_difference(first), "message");
    json_object_set_new(first, "error", json_string("x"));
    assert_string_equal(strict_difference(first), "error_at");
    json_decref(lines);
}

/* Half a surrogate (ED A8) is two ill-formed parts, and the first is known at its second byte. */
static void strict_replaces_half_surrogates(void **state)
{
    (void)state;
    static const int32_t ids[] = {200008, 169, 101, 17952, 200002}; /* ED, A8, "tool" */
    struct vinci_text delta = {0};
    struct vinci_harmony_parser_options options = {.tokenizer = harmony_tokenizer(),
                                                   .role = VINCI_ROLE_ASSISTANT,
                                                   .strict = true,
                                                   .on_event = keep_delta,
                                                   .user = &delta};
    struct vinci_harmony_parser *parser = NULL;
    assert_int_equal(vinci_harmony_parser_open(&parser, &options, NULL), VINCI_OK);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(vinci_harmony_parser_push(parser, ids[i], NULL), VINCI_OK);
        if (i == 1) assert_null(delta.data);
        if (i == 2) assert_int_equal(delta.size, 3);
    }
    size_t n;
    const struct vinci_message *messages = vinci_harmony_parser_messages(parser, &n);
    assert_int_equal(n, 1);
    assert_string_equal(messages[0].content.data, "\xef\xbf\xbd\xef\xbf\xbdtool");
    vinci_harmony_parser_close(parser);
}

/* ---- lenient ---- */

/* Messages as one line: "role:name to=recipient #channel |type| content" joined by " + ". */
static char *described(const struct vinci_message *messages, size_t n)
{
    struct buf out = {0};
    bool ok = buf_append_text(&out, "");
    for (size_t i = 0; i < n && ok; i++) {
        const struct vinci_message *m = &messages[i];
        ok = buf_printf(&out, "%s%s", i ? " + " : "", vinci_role_name(m->role));
        if (m->name.data) ok = ok && buf_printf(&out, ":%s", m->name.data);
        if (m->recipient.data) ok = ok && buf_printf(&out, " to=%s", m->recipient.data);
        if (m->channel.data) ok = ok && buf_printf(&out, " #%s", m->channel.data);
        if (m->content_type.data) ok = ok && buf_printf(&out, " |%s|", m->content_type.data);
        ok = ok && buf_printf(&out, " '%s'", m->content.data);
    }
    assert_true(ok);
    return out.data;
}

static char *parse_lenient(const struct ids *ids, enum vinci_role role)
{
    struct vinci_harmony_parser_options options = {.tokenizer = harmony_tokenizer(), .role = role};
    struct vinci_harmony_parser *parser = NULL;
    struct vinci_error err = {0};
    assert_int_equal(vinci_harmony_parser_open(&parser, &options, &err), VINCI_OK);
    for (size_t i = 0; i < ids->n; i++)
        assert_int_equal(vinci_harmony_parser_push(parser, ids->ids[i], &err), VINCI_OK);
    assert_int_equal(vinci_harmony_parser_finish(parser, &err), VINCI_OK);
    size_t n;
    const struct vinci_message *messages = vinci_harmony_parser_messages(parser, &n);
    char *text = described(messages, n);
    vinci_harmony_parser_close(parser);
    return text;
}

/* What the model wrote behind "<|start|>assistant" -> what it means. The order, and the cases, are
 * those of docs/harmony.md. */
static const struct {
    const char *tokens, *messages;
} lenient_cases[] = {
#define F "<|channel|>final<|message|>"
#define A "<|channel|>analysis<|message|>"
#define S "<|start|>assistant"
    /* well-formed */
    {A "a<|end|>" S F "b<|return|>", "assistant #analysis 'a' + assistant #final 'b'"},
    {"<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>",
     "assistant to=functions.f #commentary |<|constrain|>json| '{}'"},
    {" to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|>",
     "assistant to=functions.f #commentary |<|constrain|>json| '{}'"},
    {" to=functions.f<|channel|>commentary json<|message|>{}<|call|>",
     "assistant to=functions.f #commentary |json| '{}'"},
    {"<|channel|>analysis to=python code<|message|>1<|call|>",
     "assistant to=python #analysis |code| '1'"},
    {F "<|return|>", "assistant #final ''"},
    {"<|message|>x<|return|>", "assistant 'x'"},

    /* inside a content */
    {A "a" S F "b<|return|>", "assistant #analysis 'a' + assistant #final 'b'"},
    {A "a<|channel|>final<|message|>b<|return|>", "assistant #analysis 'a' + assistant #final 'b'"},
    {F "a<|message|>b<|return|>", "assistant #final 'ab'"},
    {F "a<|constrain|>b<|return|>", "assistant #final 'ab'"},
    {F "a<|reserved_200013|>b<|startoftext|>c<|return|>", "assistant #final 'abc'"},
    {F "a<|endoftext|>", "assistant #final 'a'"},
    {F "a<|endoftext|>" S F "b", "assistant #final 'a' + assistant #final 'b'"},
    {F "a", "assistant #final 'a'"},
    {F, "assistant #final ''"},
    {A "a<|start|>b c<|end|>" S F "d",
     "assistant #analysis 'a' + assistant #analysis 'b c' + assistant #final 'd'"},
    {A "a <|channel|>b c<|end|>" S F "d",
     "assistant #analysis 'a ' + assistant #analysis 'b c' + assistant #final 'd'"},
    {A "a<|channel|>final b<|end|>", "assistant #analysis 'a' + assistant #final 'b'"},
    {A "a<|channel|><|end|>" S F "d", "assistant #analysis 'a' + assistant #final 'd'"},

    /* between messages */
    {F "a<|return|><|return|><|end|>", "assistant #final 'a'"},
    {F "a<|return|> \n", "assistant #final 'a'"},
    {F "a<|return|> more<|end|>", "assistant #final 'a' + assistant 'more'"},
    {A "a<|end|>assistant" F "b<|return|>", "assistant #analysis 'a' + assistant #final 'b'"},
    {A "a<|end|>" F "b<|return|>", "assistant #analysis 'a' + assistant #final 'b'"},
    {A "a<|end|><|message|>b<|return|>", "assistant #analysis 'a' + assistant 'b'"},
    {A "a<|end|><|message|>" S F "b<|return|>", "assistant #analysis 'a' + assistant #final 'b'"},
    {A "a<|end|><|constrain|>", "assistant #analysis 'a'"},

    /* roles */
    {"assistant" F "a", "assistant #final 'a'"},
    {S F "a", "assistant #final 'a'"},
    {A "a<|end|>" S S F "b", "assistant #analysis 'a' + assistant #final 'b'"},
    {A "a<|end|>" S "assistant" F "b", "assistant #analysis 'a' + assistant #final 'b'"},
    {A "a<|end|>" S " assistant" F "b", "assistant #analysis 'a' + assistant #final 'b'"},
    {A "a<|end|><|start|>" F "b", "assistant #analysis 'a' + assistant #final 'b'"},
    {"user<|message|>a<|end|>", "assistant 'a'"},
    {A "a<|end|>user<|message|>b<|end|>", "assistant #analysis 'a' + user 'b'"},
    {"<|start|>user<|message|>a<|end|>", "user 'a'"},
    {"<|start|>user:bob<|message|>a<|end|>", "user:bob 'a'"},
    {"<|start|>functions.f to=assistant<|channel|>commentary<|message|>1<|end|>",
     "tool:functions.f to=assistant #commentary '1'"},
    {"<|start|>functions.f<|channel|>commentary<|message|>1<|end|>",
     "tool:functions.f #commentary '1'"},
    {"<|start|>tool<|message|>1<|end|>", "tool:tool '1'"},
    {"<|start|>robot<|message|>1<|end|>", "tool:robot '1'"},
    {"<|start|>assistantto=functions.f<|channel|>commentary<|message|>1",
     "assistant to=functions.f #commentary '1'"},
    {"<|start|>assistantfinal<|message|>1", "assistant #final '1'"},
    {"<|start|>assistants.list<|message|>1", "tool:assistants.list '1'"},

    /* channels */
    {"<|channel|><|message|>a", "assistant 'a'"},
    {"<|channel|> final <|message|>a", "assistant #final 'a'"},
    {"<|channel|>Final<|message|>a", "assistant #Final 'a'"},
    {"<|channel|>musings<|message|>a", "assistant #musings 'a'"},
    {"<|channel|>analysis<|channel|>final<|message|>a", "assistant #final 'a'"},
    {" to=functions.f<|channel|>commentary<|channel|><|message|>a",
     "assistant to=functions.f #commentary 'a'"},
    {" to=functions.f<|channel|>commentary<|channel|>commentary json<|message|>{}<|call|>",
     "assistant to=functions.f #commentary |json| '{}'"},
    {"final<|message|>a", "assistant #final 'a'"},
    {" analysis to=python code<|message|>a", "assistant to=python #analysis |code| 'a'"},

    /* recipients and types */
    {"<|channel|>analysis to=functions.f<|message|>{}<|call|>",
     "assistant to=functions.f #analysis '{}'"},
    {" to=functions.a<|channel|>commentary to=functions.b json<|message|>{}<|call|>",
     "assistant to=functions.b #commentary |json| '{}'"},
    {"<|channel|>commentary to= json<|message|>{}<|call|>", "assistant #commentary |json| '{}'"},
    {"<|channel|>commentary functions.f<|message|>{}<|call|>",
     "assistant to=functions.f #commentary '{}'"},
    {"<|channel|>commentary functions.f json<|message|>{}<|call|>",
     "assistant to=functions.f #commentary |json| '{}'"},
    {"<|channel|>commentary get_weather<|message|>{}<|call|>",
     "assistant to=get_weather #commentary '{}'"},
    {"<|channel|>analysis python<|message|>1<|call|>", "assistant to=python #analysis '1'"},
    {"<|channel|>analysis hmm<|message|>1", "assistant #analysis '1'"},
    {"<|channel|>final answer.txt<|message|>1", "assistant #final '1'"},
    {"<|channel|>final json<|message|>1", "assistant #final |json| '1'"},
    {"<|channel|>final <|constrain|>json<|message|>1", "assistant #final |<|constrain|>json| '1'"},
    {"<|channel|>commentary to=functions.f<|constrain|> json<|message|>1",
     "assistant to=functions.f #commentary |<|constrain|>json| '1'"},
    {"<|channel|>commentary to=functions.f <|constrain|><|message|>1",
     "assistant to=functions.f #commentary '1'"},
    {"<|channel|>commentary to=functions.f foo bar json<|message|>1",
     "assistant to=functions.f #commentary |json| '1'"},
    {"<|channel|>commentary to=functions.f foo bar<|message|>1",
     "assistant to=functions.f #commentary '1'"},
    {"<|channel|>analysis foo bar baz<|message|>1", "assistant #analysis '1'"},
    {"<|channel|>commentary json to=functions.f<|message|>1",
     "assistant to=functions.f #commentary |json| '1'"},
    {"<|channel|>commentary a b c d e to=functions.f json<|message|>1",
     "assistant to=functions.f #commentary |json| '1'"},
    {"<|channel|>commentary to=functions.f<|reserved_200013|>.g<|message|>1",
     "assistant to=functions.f.g #commentary '1'"},

    /* no <|message|> */
    {"<|channel|>final Hi  there<|return|>", "assistant #final 'Hi  there'"},
    {"Hello there, I am text.<|return|>", "assistant 'Hello there, I am text.'"},
    {"Hello there", "assistant 'Hello there'"},
    {"user says<|return|>", "assistant 'user says'"},
    {"assistant is my role<|return|>", "assistant 'assistant is my role'"},
    {"assistant<|return|>", ""},
    {"<|channel|>finalHi<|return|>", "assistant #final 'Hi'"},
    {"<|channel|>musings Hi<|return|>", "assistant #musings 'Hi'"},
    {"<|channel|>commentary to=functions.f <|constrain|>json{\"a\":1}<|call|>",
     "assistant to=functions.f #commentary |<|constrain|>json| '{\"a\":1}'"},
    {"<|channel|>commentary to=functions.f <|constrain|>{\"a\":1}<|call|>",
     "assistant to=functions.f #commentary '{\"a\":1}'"},
    {"<|channel|>commentary to=functions.f{\"a\":1}<|call|>",
     "assistant to=functions.f #commentary '{\"a\":1}'"},
    {"<|channel|>commentary to=functions.f<|call|>", "assistant to=functions.f #commentary ''"},
    {"<|channel|>analysis<|end|>" S F "b", "assistant #analysis '' + assistant #final 'b'"},
    {"Hello there" S F "b", "assistant 'Hello there' + assistant #final 'b'"},
    {A "a<|end|>" S "<|channel|>final b<|channel|>c<|end|>",
     "assistant #analysis 'a' + assistant #final 'bc'"},
    {A "a<|end|>" S " to=functions.f x<|end|>",
     "assistant #analysis 'a' + assistant to=functions.f 'x'"},
    {A "a<|end|><|start|>Well then<|end|>", "assistant #analysis 'a' + assistant 'Well then'"},
    {A "a<|end|><|start|>Well<|end|>", "assistant #analysis 'a' + assistant 'Well'"},
    {"<|start|>functions.f<|channel|>commentary 1<|end|>", "tool:functions.f #commentary '1'"},

    /* the tokens end inside a header */
    {A "a<|end|>" S "<|channel|>fin", "assistant #analysis 'a'"},
    {A "a<|end|><|start|>", "assistant #analysis 'a'"},
    {A "a<|end|><|start|>assist", "assistant #analysis 'a'"},
    {A "a<|end|>" S " to=functions.f<|channel|>commentary <|constrain|>js",
     "assistant #analysis 'a'"},
    {"", ""},
    {"<|return|>", ""},
    {"<|call|>", ""},
    {"<|start|>", ""},
    {"<|start|><|start|><|end|><|start|>", ""},
#undef F
#undef A
#undef S
};

static void lenient_meaning_of_each_case(void **state)
{
    (void)state;
    size_t n_failed = 0;
    for (size_t i = 0; i < sizeof lenient_cases / sizeof *lenient_cases; i++) {
        struct ids ids = ids_of_text(lenient_cases[i].tokens);
        char *got = parse_lenient(&ids, VINCI_ROLE_ASSISTANT);
        if (strcmp(got, lenient_cases[i].messages) != 0) {
            printf("%s\n  got      %s\n  expected %s\n", lenient_cases[i].tokens, got,
                   lenient_cases[i].messages);
            n_failed++;
        }
        const char *wrong = harmony_check(ids.ids, ids.n, VINCI_ROLE_ASSISTANT, false, NULL);
        if (wrong) printf("%s\n  %s\n", lenient_cases[i].tokens, wrong);
        n_failed += wrong != NULL;
        free(got);
        ids_free(&ids);
    }
    assert_int_equal(n_failed, 0);
}

/* Lenient mode gives the messages that the reference gives when it is not strict, but for the lines
 * whose reading hurts: each is listed here with what is given instead. */
static const struct {
    const char *name, *messages;
} better_cases[] = {
    /* the reference loses or misplaces text */
    {"start-though-role-given", "assistant #analysis 'User says hi.' + assistant #final 'Hello!'"},
    {"call-recipient-empty", "assistant #commentary |json| '{}'"},
    {"channel-twice", "assistant #final 'Hi'"},
    {"no-message-call", "assistant to=functions.f #commentary |<|constrain|>json| '{\"a\":1}'"},
    {"start-in-content", "assistant #analysis 'thinking' + assistant #final 'x'"},
    {"message-in-content", "assistant #final 'ab'"},
    {"channel-in-content", "assistant #analysis 'a' + assistant #final 'b'"},
    {"endoftext-in-content", "assistant #final 'a'"},
    {"constrain-in-content", "assistant #final 'ab'"},
    {"reserved-in-content", "assistant #final 'ab'"},
    {"id-out-of-range", "assistant #final 'ab'"},
    {"id-huge", "assistant #final 'ab'"},
    {"damaged-4", "assistant #final '短い答え。'"},
    {"damaged-7",
     "assistant #commentary 'I will look.' + assistant to=functions.g #commentary |json| '{}'"},
    {"damaged-9", "assistant #analysis 'Need a tool.' + assistant to=functions.f #commentary "
                  "|<|constrain|>json| '{\"x\":1}'"},
    {"damaged-10", "assistant #final '短い答え。'"},
    {"damaged-11", "assistant #commentary 'I will look.' + assistant #commentary |json| '{}'"},
    {"damaged-12", "assistant #analysis 'Think 想一' + assistant #analysis '想 😀.' + assistant "
                   "#final 'Answer: 42.'"},
    /* the reference fails */
    {"cut-in-header", "assistant #analysis 'a'"},
    {"cut-after-start", "assistant #analysis 'a'"},
    {"call-three-words", "assistant to=functions.f #commentary |json| '{}'"},
    {"call-recipient-twice", "assistant to=functions.b #commentary |json| '{}'"},
    {"tool-message-no-recipient", "tool:functions.f #commentary '1'"},
    {"named-user", "user:bob 'Hi'"},
    {"unknown-role", "tool:robot 'Hi'"},
    {"channel-empty", "assistant 'Hi'"},
    {"channel-spaced", "assistant #final 'Hi'"},
    {"text-without-end", "assistant 'Hello there'"},
    {"header-junk", "assistant #analysis 'x'"},
    {"nothing", ""},
    {"only-start", ""},
    {"return-twice", "assistant #final 'x'"},
    {"text-after-return", "assistant #final 'x' + assistant 'more'"},
    {"start-start", "assistant #final 'x' + assistant #final 'y'"},
    {"start-missing", "assistant #analysis 'a' + assistant #final 'b'"},
    {"utf8-in-header", "assistant #\xef\xbf\xbd 'x'"},
    {"id-huge-in-header", "assistant 'b'"},
    {"damaged-0", "assistant 'Think 想一想 😀.' + assistant #final ''"},
    {"damaged-1", "assistant #analysis 'Think 想一想 😀.' + assistant ''"},
    {"damaged-2", "assistant #commentary 'I will look.' + assistant to=.g #commentary |json| '{}'"},
    {"damaged-6",
     "assistant #analysis 'Think 想一想 😀.' + assistant #final 'Answer:' + assistant '42.'"},
    {"damaged-8", "assistant #comment '' + assistant 'I will'"},
    {"damaged-13", "assistant #analysis 'Think 想一想 😀.' + assistant #final ': 42.'"},
};

/* What the line's messages are, as described() writes them. */
static char *described_line(const json_t *line)
{
    static const char *const keys[] = {"name", "channel", "recipient", "content_type"};
    const json_t *messages = json_object_get(line, "messages"), *message;
    struct buf all = {0};
    size_t i;
    assert_true(buf_append_text(&all, ""));
    json_array_foreach(messages, i, message)
    {
        const json_t *part = json_array_get(json_object_get(message, "content"), 0);
        struct vinci_text texts[4];
        struct vinci_message m = {0};
        for (size_t k = 0; k < 4; k++)
            texts[k] = vinci_text_of(json_string_value(json_object_get(message, keys[k])));
        m = (struct vinci_message){VINCI_ROLE_NONE, texts[0], texts[1], texts[2], texts[3], {0}};
        m.content = vinci_text_of(json_string_value(json_object_get(part, "text")));
        assert_true(is_role(json_string_value(json_object_get(message, "role")), &m.role));
        char *text = described(&m, 1);
        assert_true(buf_printf(&all, "%s%s", i ? " + " : "", text));
        free(text);
    }
    return all.data;
}

/* True if the line reads as it should. */
static bool lenient_line(const json_t *line, size_t *n_better)
{
    const char *name = json_string_value(json_object_get(line, "name")), *want = NULL;
    const char *word = json_string_value(json_object_get(line, "role"));
    enum vinci_role role = VINCI_ROLE_NONE;
    if (word) assert_true(is_role(word, &role));
    struct ids ids = ids_of_json(json_object_get(line, "ids"));
    const char *wrong = harmony_check(ids.ids, ids.n, role, false, NULL);
    char *got = parse_lenient(&ids, role), *reference = described_line(line);
    for (size_t k = 0; k < sizeof better_cases / sizeof *better_cases; k++)
        if (strcmp(name, better_cases[k].name) == 0) want = better_cases[k].messages;
    if (want) (*n_better)++;
    else if (json_is_string(json_object_get(line, "error"))) wrong = "the reference fails";
    if (strcmp(got, want ? want : reference) != 0) {
        printf("%s\n  got      %s\n  expected %s\n", name, got, want ? want : reference);
        wrong = "other messages";
    }
    if (wrong) printf("%s: %s\n", name, wrong);
    free(got);
    free(reference);
    ids_free(&ids);
    return !wrong;
}

static void lenient_agrees_or_does_better(void **state)
{
    (void)state;
    json_t *lines = harmony_lines("parse.jsonl"), *line;
    size_t i, n_failed = 0, n_better = 0;
    json_array_foreach(lines, i, line)
    {
        if (json_is_true(json_object_get(line, "strict"))) continue;
        if (!lenient_line(line, &n_better)) n_failed++;
    }
    assert_int_equal(n_better, sizeof better_cases / sizeof *better_cases);
    assert_int_equal(n_failed, 0);
    json_decref(lines);
}

/* ---- any tokens ---- */

static void random_tokens_lose_nothing(void **state)
{
    (void)state;
    uint64_t seed = 1;
    size_t n_messages = 0;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        size_t n = 0;
        do {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            uint8_t high = (uint8_t)(seed >> 56), low = (uint8_t)(seed >> 48);
            bytes[n++] = high < 200 ? low % 32 : low; /* mostly control tokens and header words */
        } while (n < sizeof bytes && seed >> 58);
        struct ids ids = ids_of_bytes(bytes, n);
        enum vinci_role role = seed >> 40 & 1 ? VINCI_ROLE_ASSISTANT : VINCI_ROLE_NONE;
        size_t n_here;
        const char *wrong = harmony_check(ids.ids, ids.n, role, false, &n_here);
        n_messages += n_here;
        if (!wrong) wrong = harmony_check(ids.ids, ids.n, role, true, NULL);
        if (wrong) {
            for (size_t k = 0; k < ids.n; k++) printf("%d ", ids.ids[k]);
            puts("");
            fail_msg("round %d: %s", round, wrong);
        }
        ids_free(&ids);
    }
    printf("%zu messages\n", n_messages);
    assert_true(n_messages > 50000);
}

static void a_header_without_end_becomes_content(void **state)
{
    (void)state;
    static const struct {
        const char *before, *repeated;
        size_t n;
        const char *message; /* up to the content */
        bool all;            /* every repetition is in the content */
    } cases[] = {
        {"", "word ", 1000, "assistant 'word word ", true},
        {"<|channel|>final", " word", 1000, "assistant #final 'word word ", true},
        {"<|channel|>commentary to=functions.f ", "x", 5000,
         "assistant to=functions.f #commentary 'xxx", true},
        {" to=functions.", "f", 3000, "assistant to=functions.fff", false},
        {"", " ", 5000, "", false},
        {"", "<|channel|>", 5000, "", false},
        {"", "<|start|>", 5000, "", false},
        {"", "assistant", 5000, "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf text = {0};
        bool ok = buf_append_text(&text, cases[i].before);
        for (size_t k = 0; k < cases[i].n && ok; k++)
            ok = buf_append_text(&text, cases[i].repeated);
        assert_true(ok);
        struct ids ids = ids_of_text(text.data);
        char *got = parse_lenient(&ids, VINCI_ROLE_ASSISTANT);
        assert_null(harmony_check(ids.ids, ids.n, VINCI_ROLE_ASSISTANT, false, NULL));
        assert_int_equal(strncmp(got, cases[i].message, strlen(cases[i].message)), 0);
        if (cases[i].all) assert_true(strlen(got) >= cases[i].n * strlen(cases[i].repeated));
        if (!*cases[i].message) assert_string_equal(got, "");
        free(got);
        ids_free(&ids);
        buf_free(&text);
    }
}

static void log_event(void *user, const struct vinci_harmony_event *event)
{
    static const char *const ends[] = {"cut", "end", "call", "return"};
    static const char *const kinds[] = {"start", "channel", "recipient", "content", "end"};
    bool ok = buf_printf(user, "%s(%s) ", kinds[event->kind],
                         event->kind == VINCI_HARMONY_MESSAGE_START
                             ? vinci_role_name(event->message->role)
                         : event->kind == VINCI_HARMONY_MESSAGE_END ? ends[event->end]
                                                                    : event->text.data);
    if (event->kind != VINCI_HARMONY_CONTENT) assert_true(ok);
}

static void events_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *tokens, *events;
    } cases[] = {
        {"<|channel|>analysis<|message|>a<|end|>",
         "start(assistant) channel(analysis) content(a) end(end) "},
        {" to=f<|channel|>commentary json<|message|>{}<|call|>",
         "start(assistant) channel(commentary) recipient(f) content({}) end(call) "},
        {"<|message|><|return|>", "start(assistant) end(return) "},
        {"<|message|>a<|endoftext|>", "start(assistant) content(a) end(return) "},
        {"<|message|>a", "start(assistant) content(a) end(cut) "},
        {"<|message|>a<|start|>user<|message|>b",
         "start(assistant) content(a) end(cut) start(user) content(b) end(cut) "},
        {"a b<|end|>", "start(assistant) content(a b) end(end) "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf events = {0};
        struct vinci_harmony_parser *parser = NULL;
        struct vinci_harmony_parser_options options;
        struct ids ids = ids_of_text(cases[i].tokens);
        vinci_harmony_parser_options_init(&options);
        options.tokenizer = harmony_tokenizer();
        options.on_event = log_event;
        options.user = &events;
        assert_int_equal(vinci_harmony_parser_open(&parser, &options, NULL), VINCI_OK);
        for (size_t k = 0; k < ids.n; k++)
            assert_int_equal(vinci_harmony_parser_push(parser, ids.ids[k], NULL), VINCI_OK);
        assert_int_equal(vinci_harmony_parser_finish(parser, NULL), VINCI_OK);
        assert_string_equal(events.data, cases[i].events);
        vinci_harmony_parser_close(parser);
        buf_free(&events);
        ids_free(&ids);
    }
}

static void calls_are_told_from_other_messages(void **state)
{
    (void)state;
    static const struct {
        enum vinci_role role;
        const char *recipient;
        bool call;
    } cases[] = {
        {VINCI_ROLE_ASSISTANT, "functions.f", true}, {VINCI_ROLE_ASSISTANT, "python", true},
        {VINCI_ROLE_ASSISTANT, "all", false},        {VINCI_ROLE_ASSISTANT, "user", false},
        {VINCI_ROLE_ASSISTANT, "assistant", false},  {VINCI_ROLE_ASSISTANT, "", false},
        {VINCI_ROLE_ASSISTANT, NULL, false},         {VINCI_ROLE_TOOL, "functions.f", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vinci_message message = {.role = cases[i].role,
                                        .recipient = vinci_text_of(cases[i].recipient)};
        assert_int_equal(vinci_message_is_call(&message), cases[i].call);
    }
    int32_t stop[VINCI_HARMONY_STOP_TOKENS_MAX];
    size_t n;
    assert_int_equal(vinci_harmony_stop_tokens(harmony_tokenizer(), stop, &n, NULL), VINCI_OK);
    assert_int_equal(n, 3);
    assert_int_equal(stop[0], 200002);
    assert_int_equal(stop[1], 200012);
    assert_int_equal(stop[2], 199999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_agrees_with_the_reference),
        cmocka_unit_test(strict_replaces_half_surrogates),
        cmocka_unit_test(lenient_meaning_of_each_case),
        cmocka_unit_test(lenient_agrees_or_does_better),
        cmocka_unit_test(random_tokens_lose_nothing),
        cmocka_unit_test(a_header_without_end_becomes_content),
        cmocka_unit_test(events_in_order),
        cmocka_unit_test(calls_are_told_from_other_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
