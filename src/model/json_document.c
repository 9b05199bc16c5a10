/* json_document.c - parses a JSON document of a model's folder. */
#include "model/json_document.h"

#include <string.h>

enum vinci_status json_document_parse(json_t **out, const char *text, size_t n_bytes,
                                      const char *path, const char *what, struct vinci_error *err)
{
    json_error_t error;
    *out = NULL;
    json_t *root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &error);
    /* Not every allocation that fails inside jansson says so: an empty text means memory as well,
     * and a few look like bad syntax. */
    if (!root && (json_error_code(&error) == json_error_out_of_memory || !error.text[0]))
        return fail_memory(err, n_bytes, path);
    if (!root)
        return fail(err, VINCI_BAD_FILE, "%s: %s is not valid JSON: line %d, column %d: %s", path,
                    what, error.line, error.column, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return fail(err, VINCI_BAD_FILE, "%s: %s: expected a JSON object, got something else", path,
                    what);
    }
    *out = root;
    return VINCI_OK;
}
