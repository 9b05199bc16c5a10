/* script.c - answers from a file: {"when": "text" or null, "text": "..."} or {"when": ..., "ids":
 * [...]}, one a line, tried in order for each request. */
#include "engine/script.h"

#include "base/buf.h"
#include "base/file_map.h"
#include "text/harmony.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 4096, SHOWN = 200 /* bytes of a prompt in an error text */ };

struct script {
    char *path;
    json_t *lines; /* array of objects */
};

static enum vinci_status check_line(const json_t *line, const char *path, size_t number,
                                    struct vinci_error *err)
{
    const json_t *when = json_object_get(line, "when"), *text = json_object_get(line, "text");
    const json_t *ids = json_object_get(line, "ids"), *id;
    bool ok = json_is_object(line) && (!when || json_is_string(when) || json_is_null(when));
    size_t i;
    ok = ok && (json_is_string(text) != 0) != (json_is_array(ids) != 0);
    if (ids && json_array_size(ids) == 0) ok = false;
    if (text && json_string_length(text) == 0) ok = false;
    json_array_foreach(ids, i, id)
    {
        if (!json_is_integer(id)) ok = false;
    }
    if (ok) return VINCI_OK;
    return fail(err, VINCI_BAD_FILE,
                "%s, line %zu: expected {\"when\": text or null, \"text\": text} or \"ids\": "
                "[numbers] in its place, not empty",
                path, number);
}

static bool is_blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r", text[i]) || !text[i]) return false;
    return true;
}

static enum vinci_status read_lines(struct script *s, const struct file_map *map,
                                    struct vinci_error *err)
{
    const char *at = (const char *)map->data, *end = at + map->size;
    for (size_t number = 1; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((newline ? newline : end) - at);
        struct vinci_error inner = {0};
        json_t *line = NULL;
        enum vinci_status status = VINCI_OK;
        if (!is_blank(at, n)) {
            if (number > MAX_LINES)
                return fail(err, VINCI_LIMIT, "%s: more than %d lines", s->path, MAX_LINES);
            status = harmony_json_load(&line, at, n, "a line of the script", &inner);
            if (status != VINCI_OK)
                return fail(err, status, "%s, line %zu: %s", s->path, number, inner.text);
            status = check_line(line, s->path, number, err);
            if (status == VINCI_OK && json_array_append(s->lines, line) != 0)
                status = fail_memory(err, n, "the script");
            json_decref(line);
        }
        if (status != VINCI_OK) return status;
        at += n + 1;
    }
    return VINCI_OK;
}

enum vinci_status script_open(struct script **out, const char *path, struct vinci_error *err)
{
    struct file_map *map = NULL;
    *out = NULL;
    struct script *s = array_new_zero(1, sizeof *s);
    enum vinci_status status = VINCI_OK;
    if (s) s->path = text_copy(path, strlen(path));
    if (s) s->lines = json_array();
    if (!s || !s->path || !s->lines) status = fail_memory(err, sizeof *s, "the script");
    if (status == VINCI_OK) status = file_map_open(&map, path, err);
    if (status == VINCI_OK) status = read_lines(s, map, err);
    file_map_close(map);
    if (status == VINCI_OK) *out = s;
    else script_close(s);
    return status;
}

void script_close(struct script *s)
{
    if (!s) return;
    json_decref(s->lines);
    free(s->path);
    free(s);
}

/* The text of the last message that the prompt has whole: from the last <|start|> but one. Without
 * such tokens the whole prompt. */
static enum vinci_status last_message(const struct vinci_request_options *options, char **text,
                                      size_t *n, struct vinci_error *err)
{
    int32_t start = vinci_token_special_id(options->tokenizer, "<|start|>");
    size_t at = options->n_prompt, found = 0;
    for (; at > 0 && found < 2; at--) found += options->prompt[at - 1] == start;
    return vinci_detokenize(options->tokenizer, options->prompt + at, options->n_prompt - at, text,
                            n, err);
}

static enum vinci_status answer_ids(const struct script *s, const json_t *line,
                                    const struct vinci_request_options *options, uint32_t n_vocab,
                                    int32_t **ids, size_t *n_ids, struct vinci_error *err)
{
    const json_t *text = json_object_get(line, "text"), *list = json_object_get(line, "ids");
    int32_t *made = NULL;
    enum vinci_status status = VINCI_OK;
    *n_ids = json_array_size(list);
    if (text)
        status = vinci_tokenize(options->tokenizer, json_string_value(text),
                                json_string_length(text), true, &made, n_ids, err);
    if (status != VINCI_OK) return status;
    *ids = array_new(*n_ids, sizeof **ids);
    if (!*ids) status = fail_memory(err, *n_ids * sizeof **ids, "the script's answer");
    for (size_t i = 0; i < *n_ids && status == VINCI_OK; i++) {
        json_int_t id = made ? made[i] : json_integer_value(json_array_get(list, i));
        if (id < 0 || id >= n_vocab)
            status = fail(err, VINCI_BAD_FILE, "%s: token %lld is not of the model, which has %u",
                          s->path, (long long)id, n_vocab);
        (*ids)[i] = (int32_t)id;
    }
    vinci_free(made);
    if (status == VINCI_OK) return VINCI_OK;
    free(*ids);
    *ids = NULL;
    return status;
}

enum vinci_status script_answer(const struct script *s, const struct vinci_request_options *options,
                                uint32_t n_vocab, int32_t **ids, size_t *n_ids,
                                struct vinci_error *err)
{
    const json_t *line = NULL;
    char *message = NULL;
    size_t n = 0, i;
    *ids = NULL;
    if (!options->tokenizer)
        return fail(err, VINCI_USAGE, "%s: a scripted answer needs the request's tokenizer",
                    s->path);
    enum vinci_status status = last_message(options, &message, &n, err);
    if (status != VINCI_OK) return status;
    json_array_foreach(s->lines, i, line)
    {
        const json_t *when = json_object_get(line, "when");
        if (!json_is_string(when) ||
            memmem(message, n, json_string_value(when), json_string_length(when)))
            break;
    }
    if (i < json_array_size(s->lines))
        status = answer_ids(s, line, options, n_vocab, ids, n_ids, err);
    else
        status = fail(err, VINCI_NOT_FOUND,
                      "%s: no line has a \"when\" that occurs in the prompt's last message, '%.*s'",
                      s->path, n < SHOWN ? (int)n : SHOWN, message);
    vinci_free(message);
    return status;
}
