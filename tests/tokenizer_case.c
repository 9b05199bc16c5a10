/* tokenizer_case.c - tokenizers in other formats and in memory, for tests. */
#include "tokenizer_case.h"

#include "text/tokenizer_file.h"

#include <stdlib.h>
#include <string.h>

bool case_ids_equal(const json_t *array, const int32_t *ids, size_t n)
{
    if (json_array_size(array) != n) return false;
    for (size_t i = 0; i < n; i++)
        if (json_integer_value(json_array_get(array, i)) != ids[i]) return false;
    return true;
}

enum vinci_status case_load(struct vinci_tokenizer **out, const void *data, size_t n,
                            struct vinci_error *err)
{
    static char path[] = "FILE";
    uint8_t *copy = malloc(n + !n);
    if (!copy) abort();
    if (n) memcpy(copy, data, n);
    struct file_map map = {.data = copy, .size = n, .fd = -1, .path = path};
    enum vinci_status status = tokenizer_load(out, &map, err);
    free(copy);
    return status;
}

/* ---- other formats ------------------------------------------------------------------------- */

/* Bytes in GPT-2's alphabet, appended as UTF-8. */
static void put_letters(struct buf *out, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned byte = (uint8_t)bytes[i], letter = byte;
        if (byte <= 0x20) letter = 0x100 + byte;
        else if (byte >= 0x7f && byte <= 0xa0) letter = 0x121 + byte - 0x7f;
        else if (byte == 0xad) letter = 0x143;
        if (letter < 0x80) buf_printf(out, "%c", (int)letter);
        else buf_printf(out, "%c%c", (int)(0xc0 | letter >> 6), (int)(0x80 | (letter & 0x3f)));
    }
}

static void put_token(struct buf *out, const struct vinci_tokenizer *tokenizer, uint32_t id)
{
    const struct token *token = &tokenizer->vocab.tokens[id];
    put_letters(out, vocab_bytes(&tokenizer->vocab, token), token->n_bytes);
}

/* JSON needs two of the alphabet's letters escaped. */
static void put_token_json(struct buf *out, const struct vinci_tokenizer *tokenizer, uint32_t id)
{
    struct buf letters = {0};
    put_token(&letters, tokenizer, id);
    for (size_t i = 0; i < letters.size; i++) {
        if (letters.data[i] == '"' || letters.data[i] == '\\') buf_append(out, "\\", 1);
        buf_append(out, letters.data + i, 1);
    }
    buf_free(&letters);
}

static void put_string_json(struct buf *out, const char *text)
{
    json_t *string = json_string(text);
    char *json = json_dumps(string, JSON_ENCODE_ANY);
    buf_append_text(out, json);
    free(json);
    json_decref(string);
}

void case_write_json(struct buf *out, const struct vinci_tokenizer *tokenizer,
                     enum case_merges merges, int32_t n_added_end)
{
    const char *comma = "";
    const struct vocab *vocab = &tokenizer->vocab;
    buf_append_text(out, "{\"version\":\"1.0\",\"added_tokens\":[");
    for (int32_t id = 0; id < n_added_end; id++) {
        if (!vinci_token_is_special(tokenizer, id)) continue;
        buf_printf(out, "%s{\"id\":%d,\"content\":\"%.*s\",\"special\":true}", comma, id,
                   (int)vocab->tokens[id].n_bytes, vocab_bytes(vocab, &vocab->tokens[id]));
        comma = ",";
    }
    buf_append_text(out, "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Sequence\","
                         "\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":");
    put_string_json(out, split_regex_o200k);
    buf_append_text(out, "},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","
                         "\"add_prefix_space\":false,\"use_regex\":false}]},\"model\":{\"type\":"
                         "\"BPE\",\"ignore_merges\":true,\"vocab\":{");
    comma = "";
    for (uint32_t id = 0; id < vocab->n_ids; id++) {
        if (vocab->tokens[id].kind != TOKEN_NORMAL) continue;
        buf_printf(out, "%s\"", comma);
        put_token_json(out, tokenizer, id);
        buf_printf(out, "\":%u", id);
        comma = ",";
    }
    buf_append_text(out, "},\"merges\":[");
    for (size_t i = 0; i < tokenizer->bpe.n_merges; i++) {
        const struct merge *merge = &tokenizer->bpe.merges[i];
        bool pair = merges == MERGES_AS_PAIRS;
        buf_printf(out, "%s%s\"", i ? "," : "", pair ? "[" : "");
        put_token_json(out, tokenizer, merge->left);
        buf_append_text(out, pair ? "\",\"" : " ");
        put_token_json(out, tokenizer, merge->right);
        buf_append_text(out, pair ? "\"]" : "\"");
    }
    buf_append_text(out, "]}}\n");
}

static void put_number(struct buf *out, uint64_t value, size_t n_bytes)
{
    buf_append(out, &value, n_bytes); /* little-endian, as all of vinci */
}

static void put_text(struct buf *out, const char *text, size_t n)
{
    put_number(out, n, 8);
    buf_append(out, text, n);
}

/* Key and type of a metadata entry; for an array also the items' type and number. */
static void put_key(struct buf *out, const char *key, uint32_t item_type, uint64_t n_items)
{
    put_text(out, key, strlen(key));
    if (n_items) put_number(out, 9, 4);
    put_number(out, item_type, 4);
    if (n_items) put_number(out, n_items, 8);
}

void case_write_gguf(struct buf *out, const struct vinci_tokenizer *tokenizer)
{
    enum { GGUF_TYPE_I32 = 5, GGUF_TYPE_STRING = 8 };
    const struct vocab *vocab = &tokenizer->vocab;
    struct buf text = {0};
    buf_append(out, "GGUF\3\0\0\0", 8);
    put_number(out, 0, 8); /* tensors */
    put_number(out, 5, 8); /* metadata entries */
    put_key(out, "tokenizer.ggml.model", GGUF_TYPE_STRING, 0);
    put_text(out, "gpt2", 4);
    put_key(out, "tokenizer.ggml.pre", GGUF_TYPE_STRING, 0);
    put_text(out, "gpt-4o", 6);
    put_key(out, "tokenizer.ggml.tokens", GGUF_TYPE_STRING, vocab->n_ids);
    for (uint32_t id = 0; id < vocab->n_ids; id++) {
        const struct token *token = &vocab->tokens[id];
        text.size = 0;
        if (token->kind == TOKEN_NORMAL) put_token(&text, tokenizer, id);
        else if (token->kind == TOKEN_UNKNOWN) buf_printf(&text, "[PAD%u]", id);
        else buf_append(&text, vocab_bytes(vocab, token), token->n_bytes);
        put_text(out, text.data, text.size);
    }
    put_key(out, "tokenizer.ggml.token_type", GGUF_TYPE_I32, vocab->n_ids);
    for (uint32_t id = 0; id < vocab->n_ids; id++) {
        static const uint32_t types[] = {
            [TOKEN_UNKNOWN] = 5, [TOKEN_NORMAL] = 1, [TOKEN_ADDED] = 4, [TOKEN_CONTROL] = 3};
        put_number(out, types[vocab->tokens[id].kind], 4);
    }
    put_key(out, "tokenizer.ggml.merges", GGUF_TYPE_STRING, tokenizer->bpe.n_merges);
    for (size_t i = 0; i < tokenizer->bpe.n_merges; i++) {
        text.size = 0;
        put_token(&text, tokenizer, tokenizer->bpe.merges[i].left);
        buf_append_text(&text, " ");
        put_token(&text, tokenizer, tokenizer->bpe.merges[i].right);
        put_text(out, text.data, text.size);
    }
    buf_free(&text);
}
