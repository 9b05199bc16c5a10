/* tokenizer_json.c - reads Hugging Face's tokenizer.json.
 *
 * Vocabulary and merges are 27 MB of the published file, the rest is a page. So yajl streams the
 * file: the two big members go straight into tables, everything else becomes a small document of
 * jansson's. Merges are kept as bytes until the whole file was read, because nothing says that the
 * vocabulary comes first.
 *
 * yajl does not check its own allocations: a failed one leaves it by longjmp, and all its memory is
 * on a list that is freed at the end. (jansson's parser does not check all of its own either; it is
 * not used here.) */
#include "text/array.h"

#include "base/lang.h"
#include "text/byte_level.h"
#include "text/tokenizer_file.h"
#include "text/utf8.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#define DEPTH_MAX 64

/* One merge: n bytes in struct reader.merge_bytes, the left part is the first n_left. */
struct merge_text {
    uint32_t n_left, n;
};

/* A piece of yajl's memory, on a ring. */
struct link {
    struct link *previous, *next;
};

struct block {
    struct link link;
    max_align_t data[];
};

enum place { IN_REST, IN_VOCAB, IN_MERGES, IN_MERGE };

struct reader {
    struct vocab *vocab;
    struct buf token; /* the vocabulary's last key, as bytes */
    struct buf merge_bytes;
    struct merge_text *merges; /* [n_merges] */
    size_t n_merges, merge_capacity;
    size_t merge_begin, n_left; /* of the merge being read: its bytes, its left part */
    unsigned n_parts;

    enum place place;
    json_t *rest;            /* the document without vocabulary and merges */
    json_t *open[DEPTH_MAX]; /* [n_open], its objects and arrays that are not closed yet */
    size_t n_open;
    struct buf key;   /* the last key in the rest */
    enum place ahead; /* what the value of this key is: IN_VOCAB, IN_MERGES, else IN_REST */

    struct link blocks; /* the ring's fixed point */
    jmp_buf no_memory;
    yajl_handle parser;
    enum vinci_status status; /* set by the callback that stopped the parser */
    struct vinci_error *err;
};

/* ---- yajl's memory ------------------------------------------------------------------------ */

static void link_block(struct reader *reader, struct block *block)
{
    struct link *link = &block->link;
    link->previous = &reader->blocks;
    link->next = reader->blocks.next;
    link->next->previous = link->previous->next = link;
}

static void unlink_block(struct block *block)
{
    block->link.previous->next = block->link.next;
    block->link.next->previous = block->link.previous;
}

static struct block *block_of(void *data)
{
    return (struct block *)(void *)((char *)data - offsetof(struct block, data));
}

static void *yajl_realloc_block(void *context, void *data, size_t n)
{
    struct reader *reader = context;
    struct block *old = data ? block_of(data) : NULL, *block = NULL;
    size_t n_bytes;
    if (old) unlink_block(old);
    if (size_add(n, sizeof *block, &n_bytes)) block = realloc(old, n_bytes);
    if (!block) {
        if (old) link_block(reader, old);
        longjmp(reader->no_memory, 1);
    }
    link_block(reader, block);
    return block->data;
}

static void *yajl_malloc_block(void *context, size_t n)
{
    return yajl_realloc_block(context, NULL, n);
}

static void yajl_free_block(void *context, void *data)
{
    (void)context;
    if (!data) return;
    unlink_block(block_of(data));
    free(block_of(data));
}

static void free_blocks(struct reader *reader)
{
    while (reader->blocks.next != &reader->blocks)
        yajl_free_block(reader, ((struct block *)(void *)reader->blocks.next)->data);
}

/* ---- the stream ---------------------------------------------------------------------------- */

static int stop(struct reader *reader, enum vinci_status status)
{
    reader->status = status;
    return 0;
}

/* A value that may not stand where it does. */
static int unexpected(struct reader *reader, const char *got)
{
    switch (reader->place) {
    case IN_VOCAB:
        return stop(reader, fail(reader->err, VINCI_BAD_FILE,
                                 "model.vocab: expected token ids from 0 to %u, got %s",
                                 VOCAB_MAX_IDS - 1, _(got)));
    case IN_MERGES:
    case IN_MERGE:
        return stop(reader, fail(reader->err, VINCI_BAD_FILE,
                                 "model.merges[%zu]: expected [\"a\", \"b\"] or \"a b\", got %s",
                                 reader->n_merges, _(got)));
    case IN_REST: break;
    }
    bool vocab = reader->ahead == IN_VOCAB;
    return stop(reader,
                fail(reader->err, VINCI_BAD_FILE, "model.%s: expected %s, got %s",
                     vocab ? "vocab" : "merges", vocab ? _("an object") : _("an array"), _(got)));
}

static bool in_rest(const struct reader *reader)
{
    return reader->place == IN_REST && reader->ahead == IN_REST;
}

/* Puts a value where the rest of the document has come to; NULL is memory that could not be had. */
static int put(struct reader *reader, json_t *value)
{
    json_t *parent = reader->n_open ? reader->open[reader->n_open - 1] : NULL;
    bool ok = value != NULL;
    if (json_is_object(parent) && json_object_get(parent, reader->key.data)) {
        json_decref(value);
        return stop(reader,
                    fail(reader->err, VINCI_BAD_FILE, "the key \"%s\" stands twice in one object",
                         utf8_quote((char[UTF8_QUOTE_BYTES]){0}, reader->key.data,
                                    strlen(reader->key.data))));
    }
    if (!parent) reader->rest = value;
    else if (json_is_array(parent)) ok = json_array_append_new(parent, value) == 0;
    else ok = json_object_set_new_nocheck(parent, reader->key.data, value) == 0;
    return ok ? 1 : stop(reader, fail_memory(reader->err, 64, "reading the tokenizer"));
}

/* The same for an object or array, which is open then. */
static int put_open(struct reader *reader, json_t *value)
{
    if (reader->n_open == DEPTH_MAX) {
        json_decref(value);
        return stop(reader, fail(reader->err, VINCI_BAD_FILE,
                                 "objects and arrays are nested too deeply: expected at most %d",
                                 DEPTH_MAX));
    }
    if (!put(reader, value)) return 0;
    reader->open[reader->n_open++] = value;
    return 1;
}

static int on_null(void *context)
{
    struct reader *reader = context;
    return in_rest(reader) ? put(reader, json_null()) : unexpected(reader, "null");
}

static int on_boolean(void *context, int value)
{
    struct reader *reader = context;
    return in_rest(reader) ? put(reader, json_boolean(value))
                           : unexpected(reader, value ? "true" : "false");
}

/* The number that n digits say, UINT64_MAX for anything else and beyond 10^18. */
static uint64_t read_id(const char *text, size_t n)
{
    uint64_t id = n && n <= 18 ? 0 : UINT64_MAX;
    for (size_t i = 0; i < n && id != UINT64_MAX; i++)
        id = text[i] >= '0' && text[i] <= '9' ? id * 10 + (uint64_t)(text[i] - '0') : UINT64_MAX;
    return id;
}

static int on_number(void *context, const char *text, size_t n)
{
    struct reader *reader = context;
    uint64_t id = read_id(text, n);
    if (in_rest(reader)) {
        if (id != UINT64_MAX) return put(reader, json_integer((json_int_t)id));
        char copy[64]; /* yajl's texts have no end; what matters here is far shorter */
        snprintf(copy, sizeof copy, "%.*s", n < sizeof copy ? (int)n : (int)sizeof copy - 1, text);
        double value = strtod(copy, NULL);
        return put(reader, json_real(isfinite(value) ? value : DBL_MAX));
    }
    if (reader->place != IN_VOCAB) return unexpected(reader, N_("a number"));
    if (id == UINT64_MAX) return unexpected(reader, N_("another number"));
    enum vinci_status status =
        vocab_add(reader->vocab, id, reader->token.data, reader->token.size, reader->err);
    return status ? stop(reader, status) : 1;
}

/* The bytes behind merge_begin, n_left of them the left part, are a merge. */
static enum vinci_status end_merge(struct reader *reader)
{
    size_t n = reader->merge_bytes.size - reader->merge_begin;
    struct merge_text *merges =
        array_grow(reader->merges, &reader->merge_capacity, reader->n_merges + 1, sizeof *merges);
    if (!merges)
        return fail_memory(reader->err, (reader->n_merges + 1) * sizeof *merges, "the merges");
    reader->merges = merges;
    if (n > VOCAB_MAX_TOKEN_BYTES)
        return fail(reader->err, VINCI_LIMIT, "model.merges[%zu]: %zu bytes are too many",
                    reader->n_merges, n);
    merges[reader->n_merges++] = (struct merge_text){(uint32_t)reader->n_left, (uint32_t)n};
    reader->merge_begin += n;
    return VINCI_OK;
}

static int on_string(void *context, const unsigned char *bytes, size_t n)
{
    struct reader *reader = context;
    const char *text = (const char *)bytes;
    enum vinci_status status;
    if (in_rest(reader)) return put(reader, json_stringn_nocheck(text, n));
    switch (reader->place) {
    case IN_MERGES:
        status =
            byte_level_decode_pair(&reader->merge_bytes, text, n, &reader->n_left, reader->err);
        if (!status) status = end_merge(reader);
        break;
    case IN_MERGE:
        if (++reader->n_parts > 2) return unexpected(reader, N_("a third part"));
        status = byte_level_decode(&reader->merge_bytes, text, n, reader->err);
        if (reader->n_parts == 1) reader->n_left = reader->merge_bytes.size - reader->merge_begin;
        else if (!status) status = end_merge(reader);
        break;
    default: return unexpected(reader, N_("a string"));
    }
    return status ? stop(reader, status) : 1;
}

static int on_key(void *context, const unsigned char *bytes, size_t n)
{
    struct reader *reader = context;
    const char *key = (const char *)bytes;
    if (reader->place == IN_VOCAB) {
        reader->token.size = 0;
        enum vinci_status status = byte_level_decode(&reader->token, key, n, reader->err);
        return status ? stop(reader, status) : 1;
    }
    reader->key.size = 0;
    if (!buf_append(&reader->key, key, n))
        return stop(reader, fail_memory(reader->err, n, "reading the tokenizer"));
    /* Directly inside the member "model" of the whole? */
    if (reader->n_open != 2 || reader->open[1] != json_object_get(reader->rest, "model")) return 1;
    if (strcmp(reader->key.data, "vocab") == 0) reader->ahead = IN_VOCAB;
    if (strcmp(reader->key.data, "merges") == 0) reader->ahead = IN_MERGES;
    return 1;
}

/* One of the two big members begins; null stands for it in the rest. */
static int enter(struct reader *reader)
{
    reader->place = reader->ahead;
    reader->ahead = IN_REST;
    return put(reader, json_null());
}

static int on_start_map(void *context)
{
    struct reader *reader = context;
    if (in_rest(reader)) return put_open(reader, json_object());
    return reader->ahead == IN_VOCAB ? enter(reader) : unexpected(reader, N_("an object"));
}

static int on_start_array(void *context)
{
    struct reader *reader = context;
    if (in_rest(reader)) return put_open(reader, json_array());
    if (reader->ahead == IN_MERGES) return enter(reader);
    if (reader->place != IN_MERGES) return unexpected(reader, N_("an array"));
    reader->place = IN_MERGE;
    reader->n_parts = 0;
    return 1;
}

/* The end of an object or an array: yajl sees to it that it is the right one. */
static int on_end(void *context)
{
    struct reader *reader = context;
    switch (reader->place) {
    case IN_REST: reader->n_open--; break;
    case IN_MERGE:
        if (reader->n_parts < 2) return unexpected(reader, N_("fewer than two parts"));
        reader->place = IN_MERGES;
        break;
    default: reader->place = IN_REST;
    }
    return 1;
}

/* Reads the file into the vocabulary, the merges and the rest. */
static enum vinci_status stream_file(struct reader *reader, const struct file_map *map)
{
    static const yajl_callbacks callbacks = {
        .yajl_null = on_null,
        .yajl_boolean = on_boolean,
        .yajl_number = on_number,
        .yajl_string = on_string,
        .yajl_start_map = on_start_map,
        .yajl_map_key = on_key,
        .yajl_end_map = on_end,
        .yajl_start_array = on_start_array,
        .yajl_end_array = on_end,
    };
    yajl_alloc_funcs memory = {yajl_malloc_block, yajl_realloc_block, yajl_free_block, reader};
    if (setjmp(reader->no_memory))
        return fail_memory(reader->err, map->size, "reading the tokenizer");
    reader->parser = yajl_alloc(&callbacks, &memory, reader);
    yajl_status parsed = yajl_parse(reader->parser, map->data, map->size);
    if (parsed == yajl_status_ok) parsed = yajl_complete_parse(reader->parser);
    if (reader->status) return reader->status;
    if (parsed != yajl_status_ok) {
        const char *message = (const char *)yajl_get_error(reader->parser, 0, map->data, map->size);
        size_t n = strcspn(message, "\n");
        return fail(reader->err, VINCI_BAD_FILE, "not valid JSON at byte %zu of %zu: %.*s",
                    yajl_get_bytes_consumed(reader->parser), map->size, (int)n, message);
    }
    return VINCI_OK;
}

/* ---- the rest: configuration and added tokens ---------------------------------------------- */

/* An absent member and null are the same. */
static json_t *member(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static const char *text_member(const json_t *object, const char *key)
{
    const char *text = json_string_value(member(object, key));
    return text ? text : "";
}

static enum vinci_status read_added_tokens(const json_t *root, struct vocab *vocab,
                                           struct vinci_error *err)
{
    const json_t *added = member(root, "added_tokens"), *token;
    size_t i;
    json_array_foreach(added, i, token)
    {
        const json_t *id = member(token, "id"), *content = member(token, "content");
        if (!json_is_integer(id) || json_integer_value(id) < 0 || !json_is_string(content))
            return fail(err, VINCI_BAD_FILE, "added_tokens[%zu]: expected an id and a content", i);
        if (json_is_true(member(token, "lstrip")) || json_is_true(member(token, "rstrip")) ||
            json_is_true(member(token, "single_word")))
            return fail(err, VINCI_UNSUPPORTED,
                        "added_tokens[%zu]: lstrip, rstrip and single_word are not supported", i);
        enum vinci_status status = vocab_add_special(
            vocab, (uint64_t)json_integer_value(id), json_string_value(content),
            json_string_length(content),
            json_is_true(member(token, "special")) ? TOKEN_CONTROL : TOKEN_ADDED, err);
        if (status) return status;
    }
    return VINCI_OK;
}

/* Finds the expression in a Split followed by ByteLevel, the form of gpt-oss. */
static enum vinci_status read_pre_tokenizer(const json_t *root, struct split_pattern **split,
                                            struct vinci_error *err)
{
    const json_t *steps = member(member(root, "pre_tokenizer"), "pretokenizers");
    const json_t *cut = json_array_get(steps, 0), *bytes = json_array_get(steps, 1);
    const json_t *regex = member(member(cut, "pattern"), "Regex");
    bool known = json_array_size(steps) == 2 && strcmp(text_member(cut, "type"), "Split") == 0 &&
                 json_is_string(regex) && strcmp(text_member(cut, "behavior"), "Isolated") == 0 &&
                 strcmp(text_member(bytes, "type"), "ByteLevel") == 0 &&
                 json_is_false(member(bytes, "add_prefix_space")) &&
                 json_is_false(member(bytes, "use_regex"));
    if (!known)
        return fail(err, VINCI_UNSUPPORTED,
                    "pre_tokenizer: expected a Split by a regular expression (Isolated), then "
                    "ByteLevel without prefix space and expression of its own, as gpt-oss has");
    return split_pattern_open(split, json_string_value(regex), json_string_length(regex), err);
}

static enum vinci_status read_model(const json_t *root, struct bpe *bpe, struct vinci_error *err)
{
    const json_t *model = member(root, "model"), *dropout = member(model, "dropout");
    const char *type = text_member(model, "type");
    if (member(root, "normalizer"))
        return fail(err, VINCI_UNSUPPORTED, "normalizer: expected null; others are not supported");
    if (strcmp(type, "BPE") != 0)
        return fail(err, VINCI_UNSUPPORTED, "model.type: expected \"BPE\", got \"%.64s\"", type);
    if (*text_member(model, "continuing_subword_prefix") ||
        *text_member(model, "end_of_word_suffix") ||
        (json_is_number(dropout) && json_number_value(dropout) != 0))
        return fail(err, VINCI_UNSUPPORTED,
                    "model: continuing_subword_prefix, end_of_word_suffix and dropout are not "
                    "supported");
    bpe->whole_pieces = json_is_true(member(model, "ignore_merges"));
    return VINCI_OK;
}

static enum vinci_status add_merges(const struct reader *reader, struct vinci_tokenizer *tokenizer,
                                    struct vinci_error *err)
{
    const char *bytes = reader->merge_bytes.data;
    for (uint32_t i = 0; i < reader->n_merges; i++) {
        const struct merge_text *merge = &reader->merges[i];
        enum vinci_status status = bpe_add_merge(&tokenizer->bpe, &tokenizer->vocab, bytes,
                                                 merge->n_left, merge->n, i, err);
        if (status) return status;
        bytes += merge->n;
    }
    return bpe_finish(&tokenizer->bpe, &tokenizer->vocab, err);
}

enum vinci_status tokenizer_read_json(struct vinci_tokenizer *tokenizer, const struct file_map *map,
                                      struct vinci_error *err)
{
    struct reader reader = {.vocab = &tokenizer->vocab, .err = err};
    reader.blocks.previous = reader.blocks.next = &reader.blocks;
    enum vinci_status status = stream_file(&reader, map);
    free_blocks(&reader);
    if (status) goto cleanup;
    if ((status = read_model(reader.rest, &tokenizer->bpe, err))) goto cleanup;
    if ((status = read_pre_tokenizer(reader.rest, &tokenizer->split, err))) goto cleanup;
    if ((status = read_added_tokens(reader.rest, &tokenizer->vocab, err))) goto cleanup;
    if ((status = vocab_finish(&tokenizer->vocab, err))) goto cleanup;
    status = add_merges(&reader, tokenizer, err);
cleanup:
    buf_free(&reader.token);
    buf_free(&reader.merge_bytes);
    buf_free(&reader.key);
    json_decref(reader.rest);
    free(reader.merges);
    return status;
}
