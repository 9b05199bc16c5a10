/* cmd_harmony.c - `vinci harmony`: conversations to tokens and tokens to messages, line by line, in
 * the form of tests/vectors/text/{render,parse}.jsonl, so that anyone can compare with another
 * implementation. Results that stand in the lines are ignored. */
#include "cli/command.h"
#include "cli/lang.h"
#include "cli/model_options.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct harmony_args {
    struct model_options model;
    bool jsonl, lenient;
};

#define FIELD(name) .offset = offsetof(struct harmony_args, name)

static const struct option_row input_rows[] = {
    {"jsonl", 0, NULL, N_("read one JSON object a line from standard input"), OPTION_FLAG,
     FIELD(jsonl)},
    {"lenient", 0, NULL, N_("parse: never fail, whatever a line says about strictness"),
     OPTION_FLAG, FIELD(lenient)},
    {0}};

static const struct option_group groups[] = {
    {N_("Tokenizer"), tokenizer_rows, offsetof(struct harmony_args, model)},
    {N_("Model"), model_rows, offsetof(struct harmony_args, model)},
    {N_("Input"), input_rows, 0},
    {0}};

static const struct command_example examples[] = {
    {"harmony render --jsonl -m gpt-oss-20b < render.jsonl", N_("conversations to token ids")},
    {"harmony parse --jsonl --lenient -m gpt-oss-20b < parse.jsonl",
     N_("what a server would make of these tokens")},
    {0}};

static void init(void *arguments)
{
    model_options_init(&((struct harmony_args *)arguments)->model);
}

/* ---- JSON ---- */

static bool is_text(const json_t *string, const char *text)
{
    return json_is_string(string) && strcmp(json_string_value(string), text) == 0;
}

static enum vinci_role role_of(const json_t *name)
{
    for (int role = VINCI_ROLE_SYSTEM; role <= VINCI_ROLE_TOOL; role++)
        if (is_text(name, vinci_role_name((enum vinci_role)role))) return (enum vinci_role)role;
    return VINCI_ROLE_NONE;
}

/* Role of a line; absent and null are VINCI_ROLE_NONE. */
static enum vinci_status read_role(const json_t *line, const char *key, enum vinci_role *role,
                                   struct vinci_error *err)
{
    const json_t *name = json_object_get(line, key);
    *role = role_of(name);
    if (*role != VINCI_ROLE_NONE || !name || json_is_null(name)) return VINCI_OK;
    return fail(err, VINCI_BAD_FILE,
                "%s: expected null or system, developer, user, assistant or tool, got another",
                key);
}

static json_t *json_of_text(struct vinci_text text)
{
    return text.data ? json_stringn(text.data, text.size) : json_null();
}

static json_t *json_of_role(enum vinci_role role)
{
    return role == VINCI_ROLE_NONE ? json_null() : json_string(vinci_role_name(role));
}

/* NULL when memory is short, as from all that returns json_t here. */
static json_t *json_of_message(const struct vinci_message *message)
{
    json_t *object = json_pack("{s:o, s:o, s:[{s:s, s:o}]}", "role", json_of_role(message->role),
                               "name", json_of_text(message->name), "content", "type", "text",
                               "text", json_of_text(message->content));
    const struct {
        const char *key;
        struct vinci_text text;
    } rows[] = {{"channel", message->channel},
                {"recipient", message->recipient},
                {"content_type", message->content_type}};
    for (size_t i = 0; object && i < sizeof rows / sizeof *rows; i++)
        if (rows[i].text.data &&
            json_object_set_new(object, rows[i].key, json_of_text(rows[i].text)) != 0) {
            json_decref(object);
            object = NULL;
        }
    return object;
}

/* Writes `line` and releases it; NULL: memory was short. False: nobody reads any more. */
static enum vinci_status write_line(json_t *line, bool *reads, struct vinci_error *err)
{
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(line);
    if (!text) return fail_memory(err, 0, "a line");
    *reads = output(text, strlen(text)) && output("\n", 1);
    free(text);
    return VINCI_OK;
}

/* ---- render ---- */

static enum vinci_status read_render_options(const json_t *line,
                                             struct vinci_render_options *options,
                                             struct vinci_error *err)
{
    const json_t *kind = json_object_get(line, "kind"), *config = json_object_get(line, "config");
    vinci_render_options_init(options);
    if (is_text(kind, "conversation")) options->kind = VINCI_RENDER_CONVERSATION;
    else if (is_text(kind, "training")) options->kind = VINCI_RENDER_TRAINING;
    else if (kind && !is_text(kind, "completion"))
        return fail(err, VINCI_BAD_FILE,
                    "kind: expected \"completion\", \"conversation\" or \"training\"");
    options->keep_analysis = json_is_false(json_object_get(config, "auto_drop_analysis"));
    enum vinci_role role;
    enum vinci_status status = read_role(line, "next_turn_role", &role, err);
    if (status == VINCI_OK && role != VINCI_ROLE_NONE) options->next_role = role;
    return status;
}

/* {"name", "ids", "text"}, and "error" for a conversation that is refused. */
static enum vinci_status render_line(const struct vinci_tokenizer *tokenizer, const json_t *line,
                                     json_t **answer, struct vinci_error *err)
{
    struct vinci_render_options options;
    struct vinci_conversation *conversation = NULL;
    struct vinci_error refusal = {0};
    int32_t *ids = NULL;
    char *text = NULL, *json = NULL;
    size_t n_ids = 0, n_text = 0;
    enum vinci_status status = read_render_options(line, &options, err);
    if (status != VINCI_OK) return status;
    json_t *document = json_object_get(line, "conversation");
    json = document ? json_dumps(document, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (!json) return fail(err, VINCI_BAD_FILE, "conversation: missing");
    status = vinci_conversation_from_json(&conversation, json, strlen(json), &refusal);
    if (status == VINCI_OK)
        status =
            vinci_conversation_render(conversation, tokenizer, &options, &ids, &n_ids, &refusal);
    if (status == VINCI_OK)
        status = vinci_detokenize(tokenizer, ids, n_ids, &text, &n_text, &refusal);
    json_t *name = json_object_get(line, "name");
    if (status == VINCI_OK) {
        json_t *array = json_array();
        for (size_t i = 0; i < n_ids && array; i++)
            if (json_array_append_new(array, json_integer(ids[i])) != 0) {
                json_decref(array);
                array = NULL;
            }
        *answer = json_pack("{s:O?, s:o, s:s%}", "name", name, "ids", array, "text", text, n_text);
    } else if (status != VINCI_NO_MEMORY) {
        *answer =
            json_pack("{s:O?, s:n, s:n, s:s}", "name", name, "ids", "text", "error", refusal.text);
        status = VINCI_OK;
    } else {
        fail(err, status, "%s", refusal.text);
    }
    vinci_conversation_close(conversation);
    free(json);
    vinci_free(ids);
    vinci_free(text);
    return status;
}

/* ---- parse ---- */

/* One element of "deltas" is what a token said and where; the message may end with the token, so
 * that is noted when the text comes. */
struct delta_watch {
    json_t *said; /* the element, NULL if the token said nothing */
    bool begun, failed;
};

static json_t *delta_element(struct vinci_text delta, const struct vinci_message *message,
                             enum vinci_role role)
{
    static const struct vinci_message none;
    if (!message) message = &none;
    else role = message->role;
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "delta", json_of_text(delta), "channel",
                     json_of_text(message->channel), "recipient", json_of_text(message->recipient),
                     "content_type", json_of_text(message->content_type), "role",
                     json_of_role(role));
}

/* A token says at most one thing: either the last of one message or the first of another. */
static void watch_delta(void *user, const struct vinci_harmony_event *event)
{
    struct delta_watch *watch = user;
    watch->begun = true;
    if (event->kind != VINCI_HARMONY_CONTENT) return;
    json_decref(watch->said);
    watch->said = delta_element(event->text, event->message, VINCI_ROLE_NONE);
    if (!watch->said) watch->failed = true;
}

static enum vinci_status parse_ids(struct vinci_harmony_parser *parser, struct delta_watch *watch,
                                   const json_t *ids, enum vinci_role role, json_t *deltas,
                                   struct vinci_error *err)
{
    const json_t *id;
    size_t i;
    enum vinci_status status = VINCI_OK;
    json_array_foreach(ids, i, id)
    {
        json_int_t value = json_integer_value(id);
        status = vinci_harmony_parser_push(
            parser, value >= 0 && value <= INT32_MAX ? (int32_t)value : -1, err);
        if (status != VINCI_OK) return status;
        if (!watch->said)
            watch->said =
                delta_element((struct vinci_text){0}, vinci_harmony_parser_current(parser),
                              watch->begun ? VINCI_ROLE_NONE : role);
        if (watch->failed || json_array_append_new(deltas, watch->said) != 0) watch->failed = true;
        watch->said = NULL;
    }
    status = vinci_harmony_parser_finish(parser, err);
    /* What only the end of the tokens showed is one element more. */
    if (watch->said && json_array_append_new(deltas, watch->said) != 0) watch->failed = true;
    watch->said = NULL;
    return status;
}

/* {"name", "messages", "deltas", "error"} */
static enum vinci_status parse_line(const struct vinci_tokenizer *tokenizer, const json_t *line,
                                    bool lenient, json_t **answer, struct vinci_error *err)
{
    const json_t *ids = json_object_get(line, "ids"), *id;
    struct delta_watch watch = {0};
    struct vinci_harmony_parser_options options = {
        .tokenizer = tokenizer,
        .strict = !lenient && !json_is_false(json_object_get(line, "strict")),
        .on_event = watch_delta,
        .user = &watch,
    };
    struct vinci_harmony_parser *parser = NULL;
    struct vinci_error refusal = {0};
    size_t i, n = 0;
    enum vinci_status status = read_role(line, "role", &options.role, err);
    if (status != VINCI_OK) return status;
    if (!json_is_array(ids)) return fail(err, VINCI_BAD_FILE, "ids: expected an array");
    json_array_foreach(ids, i, id) if (!json_is_integer(id)) return fail(
        err, VINCI_BAD_FILE, "ids[%zu]: expected an integer", i);
    status = vinci_harmony_parser_open(&parser, &options, err);
    if (status != VINCI_OK) return status;
    json_t *deltas = json_array(), *list = json_array();
    status = parse_ids(parser, &watch, ids, options.role, deltas, &refusal);
    const struct vinci_message *messages = vinci_harmony_parser_messages(parser, &n);
    for (i = 0; i < n; i++)
        if (json_array_append_new(list, json_of_message(&messages[i])) != 0) watch.failed = true;
    vinci_harmony_parser_close(parser);
    if (watch.failed || status == VINCI_NO_MEMORY) {
        json_decref(watch.said);
        json_decref(deltas);
        json_decref(list);
        return fail_memory(err, 0, "what was parsed");
    }
    *answer = json_pack("{s:O?, s:o, s:o, s:s?}", "name", json_object_get(line, "name"), "messages",
                        list, "deltas", deltas, "error", status == VINCI_OK ? NULL : refusal.text);
    return VINCI_OK;
}

/* ---- lines ---- */

static enum vinci_status answer_line(const struct vinci_tokenizer *tokenizer, const char *text,
                                     size_t n, bool render, bool lenient, bool *reads,
                                     struct vinci_error *err)
{
    json_error_t error;
    json_t *line = json_loadb(text, n, JSON_ALLOW_NUL, &error), *answer = NULL;
    if (!json_is_object(line)) {
        enum vinci_status status = fail(err, VINCI_BAD_FILE, "expected a JSON object: %s",
                                        line ? "got an array" : error.text);
        json_decref(line);
        return status;
    }
    enum vinci_status status = render ? render_line(tokenizer, line, &answer, err)
                                      : parse_line(tokenizer, line, lenient, &answer, err);
    json_decref(line);
    return status == VINCI_OK ? write_line(answer, reads, err) : status;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct harmony_args *args = arguments;
    const char *what = program->operand ? program->operand : "", *language = lang_name();
    bool render = strcmp(what, "render") == 0, reads = true;
    struct vinci_tokenizer *tokenizer = NULL;
    char *text = NULL;
    size_t capacity = 0, n_lines = 0;
    if (!render && strcmp(what, "parse") != 0)
        return fail(err, VINCI_USAGE, "'%s': expected render or parse", what);
    if (!args->jsonl)
        return fail(err, VINCI_USAGE, "give --jsonl: lines of JSON are the only form of input");
    enum vinci_status status = model_tokenizer(&tokenizer, program, &args->model, err);
    while (status == VINCI_OK && reads && !interrupted()) {
        ssize_t n = getline(&text, &capacity, stdin);
        if (n < 0) break;
        n_lines++;
        if (strspn(text, " \t\r\n") == (size_t)n) continue;
        lang_choose("en"); /* "error" is read by programs */
        status = answer_line(tokenizer, text, (size_t)n, render, args->lenient, &reads, err);
        lang_choose(language);
        if (status != VINCI_OK && err)
            fail(err, status, "standard input, line %zu: %s", n_lines, err->text);
    }
    if (status == VINCI_OK && ferror(stdin))
        status = fail(err, VINCI_IO, "standard input: cannot read");
    if (status == VINCI_OK && interrupted()) status = fail(err, VINCI_CANCELLED, "stopped");
    free(text);
    vinci_tokenizer_close(tokenizer);
    return status;
}

const struct command command_harmony = {
    .name = "harmony",
    .summary = N_("conversations to tokens and tokens to messages, as lines of JSON"),
    .operands = "render|parse",
    .description =
        N_("render answers each line {\"name\", \"kind\", \"next_turn_role\", \"config\", "
           "\"conversation\"} with {\"name\", \"ids\", \"text\"}; a conversation that is refused "
           "has null for both and \"error\".\n\n"
           "parse answers each line {\"name\", \"role\", \"strict\", \"ids\"} with {\"name\", "
           "\"messages\", \"deltas\", \"error\"}: an element of \"deltas\" for each token, one "
           "more if the end of the tokens shows something. Without strict, or with --lenient, "
           "nothing a model emits is an error.\n\n"
           "Both forms are those of openai-harmony's test vectors in tests/vectors/text, so that "
           "the answers can be compared with another implementation's."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct harmony_args),
    .init = init,
    .run = run,
};
