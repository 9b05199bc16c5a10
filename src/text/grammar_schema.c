/* grammar_schema.c - JSON schema -> automaton. docs/grammar.md lists what is handled.
 *
 * One rule for each schema that is more than a plain type, made when it is first met and filled in
 * from a queue: references, also recursive ones, are calls of rules, and nothing here recurses on
 * what the document says. A keyword that is neither handled nor a mere annotation is refused: the
 * output shall satisfy the schema, not most of it. */
#include "text/array.h"
#include "text/grammar.h"
#include "text/harmony.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SCHEMA_BYTES = 1 << 20,
    MAX_REFERENCES = 64, /* one behind the other, without anything else */
    MAX_ALTERNATIVES = 256,
    MAX_ITEMS = 4096, /* of minItems and maxItems */
    MAX_LENGTH = 512, /* of minLength and maxLength */
};

/* A schema and its rule. */
struct schema_rule {
    const json_t *schema;
    uint32_t rule;
    char *path;
};

struct schema_builder {
    struct grammar_builder b;
    struct json_rules json;
    const json_t *document;
    struct schema_rule *known; /* [n_known]; those from n_done on are still to be filled in */
    size_t n_known, known_capacity;
};

static void refuse(struct schema_builder *s, enum vinci_status status, const char *path,
                   const char *format, ...) VINCI_PRINTF(4, 5);

static void refuse(struct schema_builder *s, enum vinci_status status, const char *path,
                   const char *format, ...)
{
    if (s->b.status != VINCI_OK) return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->b.status = fail(s->b.err, status, "schema %.200s: %s", path, text);
}

static void no_memory(struct schema_builder *s)
{
    if (s->b.status == VINCI_OK) s->b.status = fail_memory(s->b.err, 0, "a JSON schema");
}

static bool failed(const struct schema_builder *s)
{
    return s->b.status != VINCI_OK;
}

/* ---- keywords ------------------------------------------------------------------------------ */

enum keyword_group {
    ANNOTATION = 1,
    TYPE = 2,
    OBJECT = 4,
    ARRAY = 8,
    STRING = 16,
    NUMBER = 32,
    VALUES = 64, /* enum, const */
    ANY_OF = 128,
    REFERENCE = 256,
};

static const struct {
    const char *name;
    enum keyword_group group;
} keywords[] = {
    {"title", ANNOTATION},
    {"description", ANNOTATION},
    {"default", ANNOTATION},
    {"example", ANNOTATION},
    {"examples", ANNOTATION},
    {"deprecated", ANNOTATION},
    {"readOnly", ANNOTATION},
    {"writeOnly", ANNOTATION},
    {"$schema", ANNOTATION},
    {"$id", ANNOTATION},
    {"$comment", ANNOTATION},
    {"$defs", ANNOTATION},
    {"definitions", ANNOTATION},
    {"type", TYPE},
    {"properties", OBJECT},
    {"required", OBJECT},
    {"additionalProperties", OBJECT},
    {"items", ARRAY},
    {"minItems", ARRAY},
    {"maxItems", ARRAY},
    {"pattern", STRING},
    {"format", STRING},
    {"minLength", STRING},
    {"maxLength", STRING},
    {"minimum", NUMBER},
    {"maximum", NUMBER},
    {"exclusiveMinimum", NUMBER},
    {"exclusiveMaximum", NUMBER},
    {"enum", VALUES},
    {"const", VALUES},
    {"anyOf", ANY_OF},
    {"$ref", REFERENCE},
};

/* Which groups of keywords the schema has; an unknown one is refused. */
static unsigned groups_of(struct schema_builder *s, const json_t *schema, const char *path)
{
    unsigned groups = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)schema, key, value)
    {
        size_t i = 0, n = sizeof keywords / sizeof *keywords;
        while (i < n && strcmp(keywords[i].name, key) != 0) i++;
        if (i < n) groups |= keywords[i].group;
        else if (strncmp(key, "x-", 2) != 0)
            refuse(s, VINCI_UNSUPPORTED, path, "the keyword '%.100s' is not supported", key);
    }
    return groups;
}

static const json_t *get(const json_t *schema, const char *key)
{
    return json_object_get(schema, key);
}

/* A keyword's whole number from 0 to `most`; `absent` where it is not there. */
static size_t get_size(struct schema_builder *s, const json_t *schema, const char *key, size_t most,
                       size_t absent, const char *path)
{
    const json_t *value = get(schema, key);
    if (!value) return absent;
    double number = json_number_value(value);
    if (!json_is_number(value) || number < 0 || number != (double)(int64_t)number)
        refuse(s, VINCI_BAD_FILE, path, "%s must be a whole number from 0 on", key);
    else if (number > (double)most)
        refuse(s, VINCI_LIMIT, path, "%s can be at most %zu", key, most);
    return failed(s) ? 0 : (size_t)number;
}

/* ---- schemas to rules ---------------------------------------------------------------------- */

/* "PATH/a/b" with ~ and / in the name written as ~0 and ~1; free(). */
static char *join_path(const char *path, const char *keyword, const char *name)
{
    struct buf buf = {0};
    bool ok =
        buf_append_text(&buf, path) && buf_append(&buf, "/", 1) && buf_append_text(&buf, keyword);
    if (name) ok = ok && buf_append(&buf, "/", 1);
    for (; ok && name && *name; name++)
        ok = *name == '~'   ? buf_append(&buf, "~0", 2)
             : *name == '/' ? buf_append(&buf, "~1", 2)
                            : buf_append(&buf, name, 1);
    if (ok) return buf.data;
    buf_free(&buf);
    return NULL;
}

/* One step of a JSON pointer: ~0 and ~1 and percent escapes undone. */
static const json_t *point_into(const json_t *at, const char *name, size_t n)
{
    char key[512];
    size_t n_key = 0;
    if (n >= sizeof key) return NULL;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (c == '~' && i + 1 < n) c = name[++i] == '0' ? '~' : '/';
        if (c == '%' && i + 2 < n) {
            char hex[3] = {name[i + 1], name[i + 2], 0};
            c = (char)strtoul(hex, NULL, 16);
            i += 2;
        }
        key[n_key++] = c;
    }
    key[n_key] = '\0';
    if (json_is_object(at)) return json_object_get(at, key);
    if (json_is_array(at) && n_key > 0 && strspn(key, "0123456789") == n_key)
        return json_array_get(at, (size_t)strtoul(key, NULL, 10));
    return NULL;
}

static const json_t *resolve(struct schema_builder *s, const json_t *reference, const char *path)
{
    const char *text = json_string_value(reference);
    if (!text || *text != '#' || (text[1] && text[1] != '/')) {
        refuse(s, VINCI_UNSUPPORTED, path,
               "a $ref must be \"#\" or begin with \"#/\": other documents are not read");
        return NULL;
    }
    const json_t *at = s->document;
    for (const char *p = text + 1; at && *p == '/';) {
        size_t n = strcspn(p + 1, "/");
        at = point_into(at, p + 1, n);
        p += n + 1;
    }
    if (!at) refuse(s, VINCI_BAD_FILE, path, "$ref \"%.200s\" leads nowhere", text);
    return at;
}

/* What a chain of references leads to. */
static const json_t *follow_references(struct schema_builder *s, const json_t *schema,
                                       const char *path)
{
    for (int i = 0; !failed(s) && json_is_object(schema) && get(schema, "$ref"); i++) {
        unsigned groups = groups_of(s, schema, path);
        if (groups & ~(unsigned)(REFERENCE | ANNOTATION))
            refuse(s, VINCI_UNSUPPORTED, path, "$ref cannot be combined with other keywords");
        if (i == MAX_REFERENCES) refuse(s, VINCI_USAGE, path, "the $ref leads only to other $refs");
        if (!failed(s)) schema = resolve(s, get(schema, "$ref"), path);
    }
    return failed(s) ? NULL : schema;
}

/* The rule of a plain type, GRAMMAR_NO_RULE where the schema says more. */
static uint32_t plain_rule(const struct schema_builder *s, const json_t *schema, unsigned groups)
{
    static const unsigned more = OBJECT | ARRAY | STRING | NUMBER | VALUES | ANY_OF | REFERENCE;
    const char *type = json_string_value(get(schema, "type"));
    if (json_is_true(schema) || (json_is_object(schema) && !(groups & (more | TYPE))))
        return s->json.value;
    if (!type || (groups & (VALUES | ANY_OF))) return GRAMMAR_NO_RULE;
    if (strcmp(type, "string") == 0 && !(groups & STRING)) return s->json.string;
    if (strcmp(type, "number") == 0 && !(groups & NUMBER)) return s->json.number;
    if (strcmp(type, "integer") == 0 && !(groups & NUMBER)) return s->json.integer;
    if (strcmp(type, "boolean") == 0) return s->json.boolean;
    if (strcmp(type, "null") == 0) return s->json.null;
    if (strcmp(type, "object") == 0 && !(groups & OBJECT)) return s->json.object;
    if (strcmp(type, "array") == 0 && !(groups & ARRAY)) return s->json.array;
    return GRAMMAR_NO_RULE;
}

/* The rule for a schema at PATH/KEYWORD/NAME. */
static uint32_t rule_of(struct schema_builder *s, const json_t *schema, const char *path,
                        const char *keyword, const char *name)
{
    char *own = keyword ? join_path(path, keyword, name) : text_copy(path, strlen(path));
    uint32_t rule = 0;
    if (!own) no_memory(s);
    schema = failed(s) ? NULL : follow_references(s, schema, own);
    if (!failed(s) && !json_is_object(schema) && !json_is_true(schema))
        refuse(s, json_is_false(schema) ? VINCI_UNSUPPORTED : VINCI_BAD_FILE, own,
               "expected a schema: an object or true");
    if (failed(s)) goto cleanup;
    for (size_t i = 0; i < s->n_known; i++)
        if (s->known[i].schema == schema) {
            rule = s->known[i].rule;
            goto cleanup;
        }
    unsigned groups = json_is_object(schema) ? groups_of(s, schema, own) : 0;
    rule = plain_rule(s, schema, groups);
    if (rule != GRAMMAR_NO_RULE) goto cleanup;
    rule = grammar_add_rule(&s->b);
    struct schema_rule *known =
        array_grow(s->known, &s->known_capacity, s->n_known + 1, sizeof *known);
    if (!known) {
        no_memory(s);
        goto cleanup;
    }
    s->known = known;
    s->known[s->n_known++] = (struct schema_rule){schema, rule, own};
    return rule;
cleanup:
    free(own);
    return rule;
}

/* ---- values -------------------------------------------------------------------------------- */

/* A value as compact JSON; numbers have the fewest digits that read back. False: no memory. */
static bool put_value(struct buf *out, const json_t *value)
{
    if (json_is_real(value)) {
        char text[40];
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, json_real_value(value));
            if (strtod(text, NULL) == json_real_value(value)) break;
        }
        for (char *p = text; *p; p++)
            if (*p == ',') *p = '.';
        return buf_append_text(out, text);
    }
    struct text_out text = {0};
    if (json_is_object(value) || json_is_array(value)) {
        char *dump = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17));
        bool ok = dump && buf_append_text(out, dump);
        free(dump);
        return ok;
    }
    put_json(&text, value);
    bool ok = !text.failed && buf_append(out, text.buf.data, text.buf.size);
    buf_free(&text.buf);
    return ok;
}

static bool has_type(const json_t *value, const char *type)
{
    double number = json_number_value(value);
    if (strcmp(type, "integer") == 0)
        return json_is_integer(value) || (json_is_real(value) && number == (double)(int64_t)number);
    return strcmp(type, "string") == 0    ? json_is_string(value)
           : strcmp(type, "number") == 0  ? json_is_number(value)
           : strcmp(type, "boolean") == 0 ? json_is_boolean(value)
           : strcmp(type, "null") == 0    ? json_is_null(value)
           : strcmp(type, "object") == 0  ? json_is_object(value)
           : strcmp(type, "array") == 0   ? json_is_array(value)
                                          : false;
}

/* `types` is absent, a string or an array of strings. */
static bool has_one_type(const json_t *value, const json_t *types)
{
    if (!types) return true;
    if (json_is_string(types)) return has_type(value, json_string_value(types));
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (type && has_type(value, type)) return true;
    }
    return false;
}

static void add_values(struct schema_builder *s, const json_t *schema, uint32_t rule,
                       const char *path)
{
    const json_t *list = get(schema, "enum"), *constant = get(schema, "const");
    if (list && constant) refuse(s, VINCI_UNSUPPORTED, path, "enum and const cannot be combined");
    if (list && (!json_is_array(list) || json_array_size(list) == 0))
        refuse(s, VINCI_BAD_FILE, path, "enum must be an array of at least one value");
    size_t n = list ? json_array_size(list) : 1, n_fit = 0;
    for (size_t i = 0; i < n && !failed(s); i++) {
        const json_t *value = list ? json_array_get(list, i) : constant;
        struct buf text = {0};
        if (!has_one_type(value, get(schema, "type"))) continue;
        n_fit++;
        if (put_value(&text, value))
            grammar_add_choice(&s->b, rule_start(&s->b, rule), text.data, text.size,
                               rule_end(&s->b, rule));
        else no_memory(s);
        buf_free(&text);
    }
    if (n_fit == 0) refuse(s, VINCI_USAGE, path, "no value of enum or const is of the type");
}

/* ---- strings ------------------------------------------------------------------------------- */

#define HOUR_MINUTE "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
#define FULL_TIME HOUR_MINUTE ":[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-]" HOUR_MINUTE ")"
/* Months have their days; 29 February where the year has it. */
#define FULL_DATE \
    "(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|" \
    "[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|" \
    "(?:[2468][048]|[13579][26])00)-02-29)"
#define OCTET "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 "(?:" OCTET "\\.){3}" OCTET
#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
#define H16 "[0-9A-Fa-f]{1,4}"

static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date-time", FULL_DATE "T" FULL_TIME},
    {"date", FULL_DATE},
    {"time", FULL_TIME},
    {"duration",
     "P(?:[0-9]{1,9}W|(?:[0-9]{1,9}D|[0-9]{1,9}M(?:[0-9]{1,9}D)?|[0-9]{1,9}Y(?:[0-9]{1,9}M(?:[0-9]"
     "{1,9}D)?)?)(?:T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|"
     "[0-9]{1,9}S))?|T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|"
     "[0-9]{1,9}S))"},
    {"email", "[A-Za-z0-9_+-]{1,32}(?:\\.[A-Za-z0-9_+-]{1,16})?@" LABEL "(?:\\." LABEL
              "){0,3}\\.[A-Za-z]{2,16}"},
    {"hostname", LABEL "(?:\\." LABEL "){0,6}"},
    {"ipv4", IPV4},
    {"ipv6", "(?:" H16 ":){7}" H16 "|(?:" H16 ":){1,6}:" H16 "|::(?:" H16 ":){0,5}" H16 "|(?:" H16
             ":){1,7}:|::"},
    {"uuid", "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"},
};

static void add_string(struct schema_builder *s, const json_t *schema, uint32_t rule,
                       const char *path)
{
    const json_t *pattern = get(schema, "pattern"), *format = get(schema, "format");
    bool length = get(schema, "minLength") || get(schema, "maxLength");
    uint32_t from = grammar_add_text(&s->b, rule_start(&s->b, rule), "\"", 1);
    uint32_t to = rule_end(&s->b, rule);
    if ((pattern && !json_is_string(pattern)) || (format && !json_is_string(format)))
        refuse(s, VINCI_BAD_FILE, path, "pattern and format must be strings");
    if ((pattern != NULL) + (format != NULL) + length > 1)
        refuse(s, VINCI_UNSUPPORTED, path,
               "only one of pattern, format and minLength/maxLength can be given");
    if (failed(s)) return;
    if (pattern) {
        grammar_add_regex(&s->b, from, to, json_string_value(pattern), json_string_length(pattern),
                          REGEX_JSON_SEARCH, path);
    } else if (format) {
        const char *name = json_string_value(format);
        size_t i = 0, n = sizeof formats / sizeof *formats;
        while (i < n && strcmp(formats[i].name, name) != 0) i++;
        if (i == n)
            refuse(s, VINCI_UNSUPPORTED, path, "the format '%.100s' is not supported", name);
        else
            grammar_add_regex(&s->b, from, to, formats[i].pattern, strlen(formats[i].pattern),
                              REGEX_JSON_WHOLE, path);
    } else if (length) {
        char any[64];
        size_t min = get_size(s, schema, "minLength", MAX_LENGTH, 0, path);
        size_t max = get_size(s, schema, "maxLength", MAX_LENGTH, SIZE_MAX, path);
        if (max < min) refuse(s, VINCI_USAGE, path, "maxLength is less than minLength");
        if (max == SIZE_MAX) snprintf(any, sizeof any, "[^]{%zu,}", min);
        else snprintf(any, sizeof any, "[^]{%zu,%zu}", min, max);
        if (!failed(s))
            grammar_add_regex(&s->b, from, to, any, strlen(any), REGEX_JSON_WHOLE, path);
    } else {
        grammar_add_call(&s->b, rule_start(&s->b, rule), s->json.string, to);
    }
}

/* ---- numbers ------------------------------------------------------------------------------- */

static void read_bound(struct schema_builder *s, const json_t *schema, const char *inclusive,
                       const char *exclusive, struct number_bound *bound, const char *path)
{
    const json_t *in = get(schema, inclusive), *ex = get(schema, exclusive);
    if (in && ex)
        refuse(s, VINCI_UNSUPPORTED, path, "%s and %s cannot be combined", inclusive, exclusive);
    if (failed(s) || (!in && !ex)) return;
    bound->exclusive = ex != NULL;
    s->b.status = number_bound_read(bound, in ? in : ex, path, s->b.err);
}

static void add_number(struct schema_builder *s, const json_t *schema, bool integer, uint32_t rule,
                       const char *path)
{
    struct number_bound min = {0}, max = {0};
    uint32_t number = integer ? s->json.integer : s->json.number;
    read_bound(s, schema, "minimum", "exclusiveMinimum", &min, path);
    read_bound(s, schema, "maximum", "exclusiveMaximum", &max, path);
    if (failed(s)) return;
    if (min.is_set || max.is_set) number = grammar_add_number(&s->b, integer, &min, &max);
    grammar_add_call(&s->b, rule_start(&s->b, rule), number, rule_end(&s->b, rule));
}

/* ---- arrays -------------------------------------------------------------------------------- */

static void add_array(struct schema_builder *s, const json_t *schema, uint32_t rule,
                      const char *path)
{
    struct grammar_builder *b = &s->b;
    const json_t *items = get(schema, "items");
    size_t min = get_size(s, schema, "minItems", MAX_ITEMS, 0, path);
    size_t max = get_size(s, schema, "maxItems", MAX_ITEMS, SIZE_MAX, path);
    if (max < min) refuse(s, VINCI_USAGE, path, "maxItems is less than minItems");
    if (failed(s)) return;
    uint32_t item = items ? rule_of(s, items, path, "items", NULL) : s->json.value;
    uint32_t open = grammar_add_text(b, rule_start(b, rule), "[", 1), end = rule_end(b, rule);
    uint32_t close = grammar_add_state(b);
    grammar_add_range(b, close, ']', ']', end);
    if (min == 0) grammar_add_empty(b, open, close);
    uint32_t at = max > 0 ? grammar_add_space(b, &s->json, open) : open;
    size_t unrolled = max != SIZE_MAX ? max : min ? min : 1;
    for (size_t i = 1; i <= unrolled && !failed(s); i++) {
        uint32_t behind = grammar_add_state(b), comma;
        grammar_add_call(b, at, item, behind);
        if (i >= min) grammar_add_empty(b, grammar_add_space(b, &s->json, behind), close);
        if (i == max) break;
        comma = grammar_add_space(b, &s->json, grammar_add_text(b, behind, ",", 1));
        if (i == unrolled) grammar_add_empty(b, comma, at); /* from here on any number */
        at = comma;
    }
}

/* ---- objects ------------------------------------------------------------------------------- */

static bool is_required(const json_t *required, const char *key)
{
    const json_t *name;
    size_t i;
    json_array_foreach(required, i, name)
    {
        if (strcmp(json_string_value(name), key) == 0) return true;
    }
    return false;
}

static void check_object(struct schema_builder *s, const json_t *properties, const json_t *required,
                         const char *path)
{
    const json_t *name;
    size_t i;
    if (properties && !json_is_object(properties))
        refuse(s, VINCI_BAD_FILE, path, "properties must be an object");
    if (required && !json_is_array(required))
        refuse(s, VINCI_BAD_FILE, path, "required must be an array");
    json_array_foreach(required, i, name)
    {
        if (!json_is_string(name)) refuse(s, VINCI_BAD_FILE, path, "required must hold strings");
        else if (!failed(s) && !json_object_get(properties, json_string_value(name)))
            refuse(s, VINCI_UNSUPPORTED, path,
                   "required names '%.100s', which is not in properties", json_string_value(name));
    }
}

/* {"key": value, ...} with any keys. */
static void add_map(struct schema_builder *s, const json_t *values, uint32_t rule, const char *path)
{
    struct grammar_builder *b = &s->b;
    uint32_t value = rule_of(s, values, path, "additionalProperties", NULL);
    uint32_t open = grammar_add_text(b, rule_start(b, rule), "{", 1), end = rule_end(b, rule);
    uint32_t key = grammar_add_space(b, &s->json, open), colon = grammar_add_state(b);
    uint32_t behind = grammar_add_state(b), close;
    grammar_add_range(b, open, '}', '}', end);
    grammar_add_call(b, key, s->json.string, colon);
    grammar_add_call(b, grammar_add_space(b, &s->json, grammar_add_text(b, colon, ":", 1)), value,
                     behind);
    grammar_add_empty(b, grammar_add_space(b, &s->json, grammar_add_text(b, behind, ",", 1)), key);
    close = grammar_add_space(b, &s->json, behind);
    grammar_add_range(b, close, '}', '}', end);
}

/* `"key": value` from `at` on; returns the state behind it. */
static uint32_t add_property(struct schema_builder *s, uint32_t at, const char *key,
                             const json_t *schema, const char *path)
{
    struct text_out text = {0};
    uint32_t behind = grammar_add_state(&s->b);
    uint32_t value = rule_of(s, schema, path, "properties", key);
    json_t *name = json_string(key);
    if (name) put_json(&text, name);
    put(&text, ":");
    if (!name || text.failed) {
        no_memory(s);
    } else {
        at = grammar_add_text(&s->b, at, text.buf.data, text.buf.size);
        grammar_add_call(&s->b, grammar_add_space(&s->b, &s->json, at), value, behind);
    }
    json_decref(name);
    buf_free(&text.buf);
    return behind;
}

/* Properties come in the schema's order, optional ones or not at all. `first` is where a property
 * can come with nothing before it, `more` where with a comma. */
static void add_object(struct schema_builder *s, const json_t *schema, uint32_t rule,
                       const char *path)
{
    struct grammar_builder *b = &s->b;
    const json_t *properties = get(schema, "properties"), *required = get(schema, "required");
    const json_t *additional = get(schema, "additionalProperties");
    check_object(s, properties, required, path);
    if (failed(s)) return;
    bool any = json_object_size(properties) == 0;
    if (any && !properties && !additional) {
        grammar_add_call(b, rule_start(b, rule), s->json.object, rule_end(b, rule));
        return;
    }
    if (any && additional && !json_is_false(additional)) {
        add_map(s, additional, rule, path);
        return;
    }
    if (additional && !json_is_false(additional))
        refuse(s, VINCI_UNSUPPORTED, path, "additionalProperties beside properties must be false");
    uint32_t open = grammar_add_text(b, rule_start(b, rule), "{", 1), end = rule_end(b, rule);
    uint32_t first = grammar_add_space(b, &s->json, open), more = grammar_add_state(b);
    bool can_be_first = true;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)properties, key, value)
    {
        if (failed(s)) return;
        uint32_t at = grammar_add_state(b), next = grammar_add_state(b);
        if (can_be_first) grammar_add_empty(b, first, at);
        grammar_add_empty(b, grammar_add_space(b, &s->json, grammar_add_text(b, more, ",", 1)), at);
        grammar_add_empty(b, add_property(s, at, key, value, path), next);
        if (is_required(required, key)) can_be_first = false;
        else grammar_add_empty(b, more, next);
        more = next;
    }
    uint32_t close = grammar_add_space(b, &s->json, more);
    grammar_add_range(b, close, '}', '}', end);
    if (can_be_first) grammar_add_range(b, open, '}', '}', end);
}

/* ---- one schema ---------------------------------------------------------------------------- */

static void add_type(struct schema_builder *s, const json_t *schema, const char *type,
                     uint32_t rule, const char *path)
{
    uint32_t plain = GRAMMAR_NO_RULE;
    if (strcmp(type, "object") == 0) add_object(s, schema, rule, path);
    else if (strcmp(type, "array") == 0) add_array(s, schema, rule, path);
    else if (strcmp(type, "string") == 0) add_string(s, schema, rule, path);
    else if (strcmp(type, "number") == 0) add_number(s, schema, false, rule, path);
    else if (strcmp(type, "integer") == 0) add_number(s, schema, true, rule, path);
    else if (strcmp(type, "boolean") == 0) plain = s->json.boolean;
    else if (strcmp(type, "null") == 0) plain = s->json.null;
    else refuse(s, VINCI_BAD_FILE, path, "'%.100s' is no type", type);
    if (plain != GRAMMAR_NO_RULE)
        grammar_add_call(&s->b, rule_start(&s->b, rule), plain, rule_end(&s->b, rule));
}

static void add_any_of(struct schema_builder *s, const json_t *list, uint32_t rule,
                       const char *path)
{
    const json_t *schema;
    char number[24];
    size_t i;
    if (!json_is_array(list) || json_array_size(list) == 0)
        refuse(s, VINCI_BAD_FILE, path, "anyOf must be an array of at least one schema");
    else if (json_array_size(list) > MAX_ALTERNATIVES)
        refuse(s, VINCI_LIMIT, path, "anyOf can have at most %d schemas", MAX_ALTERNATIVES);
    json_array_foreach(list, i, schema)
    {
        if (failed(s)) return;
        snprintf(number, sizeof number, "%zu", i);
        grammar_add_call(&s->b, rule_start(&s->b, rule), rule_of(s, schema, path, "anyOf", number),
                         rule_end(&s->b, rule));
    }
}

/* Without a type the keywords tell. */
static const char *implied_type(unsigned groups)
{
    switch (groups & (OBJECT | ARRAY | STRING | NUMBER)) {
    case OBJECT: return "object";
    case ARRAY: return "array";
    case STRING: return "string";
    case NUMBER: return "number";
    default: return NULL;
    }
}

static void fill_rule(struct schema_builder *s, struct schema_rule known)
{
    const json_t *schema = known.schema, *types = get(schema, "type"), *type;
    unsigned groups = groups_of(s, schema, known.path);
    size_t i;
    if (failed(s)) return;
    if (types && !json_is_string(types) && !(json_is_array(types) && json_array_size(types) > 0))
        refuse(s, VINCI_BAD_FILE, known.path, "type must be a string or an array of strings");
    else if (groups & ANY_OF && groups & ~(unsigned)(ANY_OF | ANNOTATION))
        refuse(s, VINCI_UNSUPPORTED, known.path, "anyOf cannot be combined with other keywords");
    else if (groups & VALUES && groups & ~(unsigned)(VALUES | TYPE | ANNOTATION))
        refuse(s, VINCI_UNSUPPORTED, known.path, "enum and const can be combined with type alone");
    else if (groups & ANY_OF) add_any_of(s, get(schema, "anyOf"), known.rule, known.path);
    else if (groups & VALUES) add_values(s, schema, known.rule, known.path);
    else if (json_is_string(types))
        add_type(s, schema, json_string_value(types), known.rule, known.path);
    else if (types) json_array_foreach(types, i, type)
        {
            if (json_is_string(type))
                add_type(s, schema, json_string_value(type), known.rule, known.path);
            else refuse(s, VINCI_BAD_FILE, known.path, "type must hold strings");
        }
    else if (implied_type(groups))
        add_type(s, schema, implied_type(groups), known.rule, known.path);
    else
        refuse(s, VINCI_UNSUPPORTED, known.path,
               "keywords of several types need a type beside them");
}

enum vinci_status vinci_grammar_json_schema(struct vinci_grammar **out,
                                            const struct vinci_tokenizer *tokenizer,
                                            const char *schema, size_t n_bytes,
                                            struct vinci_error *err)
{
    struct schema_builder s = {.b = {.err = err}};
    json_t *document = NULL;
    *out = NULL;
    if (n_bytes > MAX_SCHEMA_BYTES)
        return fail(err, VINCI_LIMIT, "the schema has %zu bytes; expected at most %d", n_bytes,
                    MAX_SCHEMA_BYTES);
    enum vinci_status status = harmony_json_load(&document, schema, n_bytes, "the schema", err);
    if (status != VINCI_OK) return status;
    s.document = document;
    grammar_add_json(&s.b, &s.json);
    uint32_t root = rule_of(&s, document, "#", NULL, NULL);
    for (size_t i = 0; i < s.n_known && !failed(&s); i++) fill_rule(&s, s.known[i]);
    status = grammar_finish(out, &s.b, root, tokenizer, err);
    grammar_builder_free(&s.b);
    for (size_t i = 0; i < s.n_known; i++) free(s.known[i].path);
    free(s.known);
    json_decref(document);
    return status;
}
