/* synth_vocab.c - the vocabulary that a synthetic GGUF file carries: a tokenizer.json's, or an
 * invented one of the right size.
 *
 * The file is only read as far as GGUF wants it (texts, kinds, merges); whether it is a good
 * tokenizer is for the tokenizer to say. */
#include "base/file_map.h"
#include "base/lang.h"
#include "model/json_document.h"
#include "model/synth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void synth_vocab_free(struct synth_vocab *vocab)
{
    for (size_t i = 0; vocab->texts && i < vocab->n; i++) free(vocab->texts[i]);
    for (size_t i = 0; vocab->merges && i < vocab->n_merges; i++) free(vocab->merges[i]);
    free(vocab->texts);
    free(vocab->types);
    free(vocab->merges);
    *vocab = (struct synth_vocab){0};
}

static enum vinci_status vocab_alloc(struct synth_vocab *vocab, uint32_t n, struct vinci_error *err)
{
    *vocab = (struct synth_vocab){.n = n, .bos = -1, .eos = -1, .pad = -1, .call = -1};
    vocab->texts = array_new_zero(n, sizeof *vocab->texts);
    vocab->types = array_new_zero(n, sizeof *vocab->types);
    if (vocab->texts && vocab->types) return VINCI_OK;
    return fail_memory(err, n * sizeof *vocab->texts, "a vocabulary");
}

/* Replaces what stood there. */
static enum vinci_status set_token(struct synth_vocab *vocab, uint32_t id, const char *text,
                                   uint8_t type, struct vinci_error *err)
{
    free(vocab->texts[id]);
    vocab->texts[id] = text_copy(text, strlen(text));
    vocab->types[id] = type;
    return vocab->texts[id] ? VINCI_OK : fail_memory(err, strlen(text), "a token's text");
}

/* The ids that the program itself needs, by their texts; and where plain text ends. */
static void find_special(struct synth_vocab *vocab)
{
    const struct {
        const char *text;
        int64_t *id;
    } wanted[] = {{"<|startoftext|>", &vocab->bos},
                  {"<|return|>", &vocab->eos},
                  {"<|endoftext|>", &vocab->pad},
                  {"<|call|>", &vocab->call}};
    for (uint32_t i = 0; i < vocab->n; i++) {
        if (vocab->types[i] == SYNTH_TOKEN_NORMAL || vocab->types[i] == SYNTH_TOKEN_USER)
            vocab->n_plain = i + 1;
        for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++)
            if (vocab->types[i] == SYNTH_TOKEN_CONTROL &&
                strcmp(vocab->texts[i], wanted[k].text) == 0)
                *wanted[k].id = i;
    }
}

/* ---- from tokenizer.json ------------------------------------------------------------------ */

struct file {
    const char *path;
    const json_t *vocab, *added, *merges;
};

static enum vinci_status bad(const struct file *file, const char *what, struct vinci_error *err)
{
    return fail(err, VINCI_BAD_FILE, "%s: %s; expected a byte-level BPE tokenizer.json", file->path,
                _(what));
}

/* An id from the file; -1 when it is none. */
static int64_t token_id(const json_t *value)
{
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    return id >= 0 && id < MAX_VOCAB ? (int64_t)id : -1;
}

static enum vinci_status count_ids(const struct file *file, uint32_t *n, struct vinci_error *err)
{
    const char *text;
    json_t *value;
    size_t i;
    int64_t last = -1;
    json_object_foreach((json_t *)file->vocab, text, value)
    {
        int64_t id = token_id(value);
        if (id < 0) return bad(file, N_("model.vocab has an id that is none"), err);
        if (id > last) last = id;
    }
    json_array_foreach(file->added, i, value)
    {
        int64_t id = token_id(json_object_get(value, "id"));
        if (id < 0 || !json_is_string(json_object_get(value, "content")))
            return bad(file, N_("added_tokens has an entry without id and content"), err);
        if (id > last) last = id;
    }
    *n = (uint32_t)(last + 1);
    return VINCI_OK;
}

static enum vinci_status read_tokens(struct synth_vocab *vocab, const struct file *file,
                                     struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    const char *text;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)file->vocab, text, value)
    {
        status = set_token(vocab, (uint32_t)token_id(value), text, SYNTH_TOKEN_NORMAL, err);
        if (status) return status;
    }
    json_array_foreach(file->added, i, value)
    {
        bool special = json_is_true(json_object_get(value, "special"));
        status = set_token(vocab, (uint32_t)token_id(json_object_get(value, "id")),
                           json_string_value(json_object_get(value, "content")),
                           special ? SYNTH_TOKEN_CONTROL : SYNTH_TOKEN_USER, err);
        if (status) return status;
    }
    for (uint32_t id = 0; id < vocab->n; id++) {
        char name[32];
        if (vocab->texts[id]) continue;
        snprintf(name, sizeof name, "[PAD%" PRIu32 "]", id);
        if ((status = set_token(vocab, id, name, SYNTH_TOKEN_UNUSED, err))) return status;
    }
    return VINCI_OK;
}

/* "a b", or in newer files ["a", "b"]. */
static enum vinci_status read_merges(struct synth_vocab *vocab, const struct file *file,
                                     struct vinci_error *err)
{
    vocab->merges = array_new_zero(json_array_size(file->merges), sizeof *vocab->merges);
    if (!vocab->merges) return fail_memory(err, 0, "a vocabulary's merges");
    json_t *value;
    size_t i;
    json_array_foreach(file->merges, i, value)
    {
        struct buf text = {0};
        const char *whole = json_string_value(value);
        const char *left = json_string_value(json_array_get(value, 0));
        const char *right = json_string_value(json_array_get(value, 1));
        if (!whole && (!left || !right)) return bad(file, N_("model.merges has no two parts"), err);
        bool ok = whole ? buf_append_text(&text, whole)
                        : buf_append_text(&text, left) && buf_append_text(&text, " ") &&
                              buf_append_text(&text, right);
        if (!ok) {
            buf_free(&text);
            return fail_memory(err, 0, "a vocabulary's merges");
        }
        vocab->merges[vocab->n_merges++] = text.data;
    }
    return VINCI_OK;
}

enum vinci_status synth_vocab_read(struct synth_vocab *vocab, const char *path, uint32_t n_vocab,
                                   struct vinci_error *err)
{
    *vocab = (struct synth_vocab){0};
    struct file_map *map = NULL;
    json_t *root = NULL;
    uint32_t n = 0;
    enum vinci_status status = file_map_open(&map, path, err);
    if (status == VINCI_OK)
        status = json_document_parse(&root, (const char *)map->data, map->size, path,
                                     "the tokenizer", err);
    if (status) goto cleanup;
    const json_t *model = json_object_get(root, "model");
    struct file file = {path, json_object_get(model, "vocab"),
                        json_object_get(root, "added_tokens"), json_object_get(model, "merges")};
    if (!json_is_object(file.vocab) || !json_is_array(file.merges)) {
        status = bad(&file, N_("model.vocab or model.merges is missing"), err);
        goto cleanup;
    }
    if ((status = count_ids(&file, &n, err))) goto cleanup;
    if (n_vocab && n > n_vocab) {
        status = fail(err, VINCI_USAGE,
                      "%s: the tokenizer has %" PRIu32
                      " ids, and the shape's vocabulary is %" PRIu32 "; expected at most as many",
                      path, n, n_vocab);
        goto cleanup;
    }
    status = vocab_alloc(vocab, n_vocab ? n_vocab : n, err);
    if (status == VINCI_OK) status = read_tokens(vocab, &file, err);
    if (status == VINCI_OK) status = read_merges(vocab, &file, err);
    if (status == VINCI_OK) find_special(vocab);
cleanup:
    json_decref(root);
    file_map_close(map);
    if (status) synth_vocab_free(vocab);
    return status;
}

/* ---- invented ----------------------------------------------------------------------------- */

/* Byte-level BPE's character for byte number i: the printable ones stand for themselves and come
 * first, the others are moved behind U+0100. */
static void byte_text(uint32_t i, char text[3])
{
    uint32_t n_moved = 0, n_printable = 0, code = 0;
    for (uint32_t byte = 0; byte < 256; byte++) {
        bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
        if (printable && n_printable++ == i) code = byte;
        if (!printable && 188 + n_moved++ == i) code = 255 + n_moved;
    }
    size_t n = 0;
    if (code < 128) text[n++] = (char)code;
    else {
        text[n++] = (char)(0xc0 | code >> 6);
        text[n++] = (char)(0x80 | (code & 63));
    }
    text[n] = '\0';
}

enum vinci_status synth_vocab_invent(struct synth_vocab *vocab, uint32_t n_vocab,
                                     struct vinci_error *err)
{
    static const struct {
        const char *text;
        uint32_t harmony; /* its id in o200k_harmony */
    } special[] = {{"<|startoftext|>", 199998}, {"<|endoftext|>", 199999}, {"<|return|>", 200002},
                   {"<|constrain|>", 200003},   {"<|channel|>", 200005},   {"<|start|>", 200006},
                   {"<|end|>", 200007},         {"<|message|>", 200008},   {"<|call|>", 200012}};
    enum { N_SPECIAL = sizeof special / sizeof *special, FIRST = 199998, LAST = 200012 };
    enum vinci_status status = vocab_alloc(vocab, n_vocab, err);
    bool harmony = n_vocab > LAST;
    uint32_t n_special = n_vocab < N_SPECIAL ? 0 : N_SPECIAL;
    uint32_t n_plain = harmony ? FIRST : n_vocab - n_special;
    for (uint32_t id = 0; status == VINCI_OK && id < n_vocab; id++) {
        char text[32];
        if (id < 256) byte_text(id, text);
        else snprintf(text, sizeof text, "[%" PRIu32 "]", id);
        if (id >= n_plain) snprintf(text, sizeof text, "<|reserved_%" PRIu32 "|>", id);
        status = set_token(vocab, id, text, id < n_plain ? SYNTH_TOKEN_NORMAL : SYNTH_TOKEN_CONTROL,
                           err);
    }
    for (uint32_t i = 0; status == VINCI_OK && i < n_special; i++)
        status = set_token(vocab, harmony ? special[i].harmony : n_plain + i, special[i].text,
                           SYNTH_TOKEN_CONTROL, err);
    if (status == VINCI_OK) find_special(vocab);
    else synth_vocab_free(vocab);
    return status;
}
