/* ids.c - token ids from a file: white space between them, or a JSON array. */
#include "cli/ids.h"

#include "base/buf.h"
#include "cli/program.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static enum vinci_status scan_array(const struct buf *text, const char *name, int32_t *ids,
                                    size_t *n_ids, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    json_error_t problem;
    json_t *array = json_loadb(text->data, text->size, JSON_REJECT_DUPLICATES, &problem), *item;
    if (!array)
        return fail(err, VINCI_BAD_FILE, "%s: not a JSON array: %s at byte %d", name, problem.text,
                    problem.position);
    size_t i;
    json_array_foreach(array, i, item)
    {
        json_int_t value = json_integer_value(item);
        if (!json_is_integer(item) || value < 0 || value > INT32_MAX) {
            status =
                fail(err, VINCI_BAD_FILE, "%s: item %zu of the array is not a token id", name, i);
            break;
        }
        ids[i] = (int32_t)value;
    }
    *n_ids = json_array_size(array);
    json_decref(array);
    return status;
}

static enum vinci_status scan_words(const struct buf *text, const char *name, int32_t *ids,
                                    size_t *n_ids, struct vinci_error *err)
{
    const char *at = text->data, *end = text->data + text->size;
    for (;;) {
        while (at < end && isspace((unsigned char)*at)) at++;
        if (at == end) return VINCI_OK;
        const char *start = at;
        int64_t value = 0;
        while (isdigit((unsigned char)*at) && value <= INT32_MAX)
            value = 10 * value + (*at++ - '0');
        if (at == start || value > INT32_MAX || (at < end && !isspace((unsigned char)*at)))
            return fail(err, VINCI_BAD_FILE,
                        "%s: expected a token id at byte %zu; ids are separated by white space, or "
                        "form one JSON array",
                        name, (size_t)(start - text->data));
        ids[(*n_ids)++] = (int32_t)value;
    }
}

enum vinci_status ids_read(const char *path, int32_t **ids, size_t *n_ids, struct vinci_error *err)
{
    const char *name = strcmp(path, "-") == 0 ? _("standard input") : path;
    struct buf text = {0};
    int32_t *found = NULL;
    size_t n = 0;
    enum vinci_status status = read_input(path, &text, err);
    if (status != VINCI_OK) goto cleanup;
    found = array_new(text.size / 2 + 1, sizeof *found); /* an id takes two bytes, the last one */
    if (!found || !buf_reserve(&text, 0)) {              /* of all may take one */
        status = fail_memory(err, text.size * 2, "token ids");
        goto cleanup;
    }
    bool array = text.data[strspn(text.data, " \t\r\n")] == '[';
    status = (array ? scan_array : scan_words)(&text, name, found, &n, err);
    if (status == VINCI_OK && n == 0) status = fail(err, VINCI_BAD_FILE, "%s: no token ids", name);
    if (status != VINCI_OK) goto cleanup;
    *ids = found;
    *n_ids = n;
    found = NULL;
cleanup:
    buf_free(&text);
    free(found);
    return status;
}
