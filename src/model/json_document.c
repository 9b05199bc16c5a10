/* json_document.c - parses a JSON document of a model's folder.
 *
 * jansson collects each token in a buffer, and when that cannot grow it drops characters without a
 * word: short of memory, a file would be read with other keys than it has. So the document is
 * handed over as [PRIMER, document]: the primer, a text longer than any token that matters, makes
 * the buffer grow first, and its length afterwards tells whether it could. */
#include "model/json_document.h"

#include "base/lang.h"

#include <string.h>

enum { PRIMER_CHARACTERS = 4096 };
static const char BEFORE[] = "[\"", BETWEEN[] = "\",\n", BEHIND[] = "]";

struct source {
    const char *text;
    size_t n_bytes;
    size_t n_done; /* of all that is handed over */
};

/* Copies what lies at n_done, as far as it reaches into [begin, begin + n), and fits. */
static size_t copy_part(struct source *source, size_t begin, const char *part, size_t n, char *to,
                        size_t n_room)
{
    size_t from = source->n_done - begin;
    if (source->n_done < begin || from >= n || !n_room) return 0;
    size_t n_copied = n - from < n_room ? n - from : n_room;
    if (part) memcpy(to, part + from, n_copied);
    else memset(to, ' ', n_copied);
    source->n_done += n_copied;
    return n_copied;
}

static size_t read_source(void *to, size_t n_room, void *user)
{
    struct source *source = user;
    const struct {
        const char *text; /* NULL: spaces */
        size_t n;
    } parts[] = {{BEFORE, strlen(BEFORE)},
                 {NULL, PRIMER_CHARACTERS},
                 {BETWEEN, strlen(BETWEEN)},
                 {source->text, source->n_bytes},
                 {BEHIND, strlen(BEHIND)}};
    size_t n = 0, begin = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; begin += parts[i++].n)
        n += copy_part(source, begin, parts[i].text, parts[i].n, (char *)to + n, n_room - n);
    return n;
}

/* Bytes of the document that have been read. */
static size_t bytes_read(const json_error_t *error)
{
    size_t n_before = strlen(BEFORE) + PRIMER_CHARACTERS + strlen(BETWEEN);
    size_t n = error->position > 0 ? (size_t)error->position : 0;
    return n > n_before ? n - n_before : 0;
}

/* Where jansson fails without a text, it was memory. So it was where it expected a string, and the
 * last thing it read was a closing quote: strings that are wrong have texts of their own. */
static bool was_memory(const json_error_t *error, const struct source *source)
{
    static const char VALUE[] = "invalid token", KEY[] = "string or '}' expected";
    if (json_error_code(error) == json_error_out_of_memory || !error->text[0]) return true;
    if (strncmp(error->text, VALUE, strlen(VALUE)) && strncmp(error->text, KEY, strlen(KEY)))
        return false;
    size_t n = bytes_read(error);
    return n == 0 || (n <= source->n_bytes && source->text[n - 1] == '"');
}

enum vinci_status json_document_parse(json_t **out, const char *text, size_t n_bytes,
                                      const char *path, const char *what, struct vinci_error *err)
{
    *out = NULL;
    json_error_t error;
    enum vinci_status status = VINCI_OK;
    struct source source = {text, n_bytes, 0};
    json_t *outer = json_load_callback(read_source, &source, JSON_REJECT_DUPLICATES, &error);
    const json_t *primer = json_array_get(outer, 0);
    json_t *root = json_array_get(outer, 1);
    if (outer ? json_string_length(primer) != PRIMER_CHARACTERS : was_memory(&error, &source))
        status = fail_memory(err, n_bytes, path);
    else if (!outer)
        status = fail(err, VINCI_BAD_FILE, "%s: %s is not valid JSON: line %d, column %d: %s", path,
                      what, error.line - 1, error.column,
                      bytes_read(&error) > n_bytes ? _("it ends too early") : error.text);
    else if (json_array_size(outer) != 2 || !json_is_object(root))
        status = fail(err, VINCI_BAD_FILE, "%s: %s: expected one JSON object, got something else",
                      path, what);
    else *out = json_incref(root);
    json_decref(outer);
    return status;
}
