/* tokenizer_tiktoken.c - o200k_base.tiktoken: one token a line, its bytes in base64 and its rank.
 *
 * The file holds ranks only. The split expression and the special tokens of o200k_harmony, which
 * belong to exactly this list, are written down here, so a list of another size is refused rather
 * than read wrongly. */
#include "text/tokenizer_file.h"
#include "text/utf8.h"

#include <stdio.h>
#include <string.h>

#define N_RANKS 199998u
#define N_IDS 201088u

static const struct {
    uint32_t id;
    const char *text;
} named_specials[] = {
    {199998, "<|startoftext|>"}, {199999, "<|endoftext|>"}, {200002, "<|return|>"},
    {200003, "<|constrain|>"},   {200005, "<|channel|>"},   {200006, "<|start|>"},
    {200007, "<|end|>"},         {200008, "<|message|>"},   {200012, "<|call|>"},
    {200018, "<|endofprompt|>"},
};

/* The other ids are <|reserved_ID|>, and so is 200018 as a second spelling. */
static enum vinci_status add_specials(struct vocab *vocab, struct vinci_error *err)
{
    size_t n_named = sizeof named_specials / sizeof *named_specials;
    for (uint32_t id = N_RANKS, i = 0; id < N_IDS; id++) {
        char reserved[32];
        enum vinci_status status = VINCI_OK;
        bool named = i < n_named && named_specials[i].id == id;
        if (named) {
            const char *text = named_specials[i++].text;
            status = vocab_add_special(vocab, id, text, strlen(text), TOKEN_CONTROL, err);
        }
        if (!status && (!named || id == 200018)) {
            int n = snprintf(reserved, sizeof reserved, "<|reserved_%u|>", id);
            status = vocab_add_special(vocab, id, reserved, (size_t)n, TOKEN_CONTROL, err);
        }
        if (status) return status;
    }
    return VINCI_OK;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes padded base64 behind what `out` has; false if it is none or memory is short. */
static bool append_base64(struct buf *out, const char *text, size_t n)
{
    if (n == 0 || n % 4 || !buf_reserve(out, n)) return false;
    size_t n_digits = n - (text[n - 1] == '=') - (text[n - 1] == '=' && text[n - 2] == '=');
    uint32_t bits = 0;
    for (size_t i = 0; i < n_digits; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) return false;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4) out->data[out->size++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    return true;
}

/* One line without its end: base64, a space, a decimal number. */
static enum vinci_status add_line(struct vocab *vocab, const char *line, size_t n, size_t number,
                                  struct buf *bytes, struct vinci_error *err)
{
    const char *space = memchr(line, ' ', n);
    uint64_t rank = 0;
    bool ok = space && space + 1 < line + n;
    for (const char *p = ok ? space + 1 : line + n; ok && p < line + n; p++) {
        ok = *p >= '0' && *p <= '9' && rank < N_RANKS;
        rank = rank * 10 + (uint64_t)(*p - '0');
    }
    if (!buf_reserve(bytes, n)) return fail_memory(err, n, "a token");
    bytes->size = 0;
    if (!ok || !append_base64(bytes, line, (size_t)(space - line)))
        return fail(err, VINCI_BAD_FILE,
                    "line %zu: expected a token in base64, a space and its rank, got \"%s\"",
                    number, utf8_quote((char[UTF8_QUOTE_BYTES]){0}, line, n));
    if (rank >= N_RANKS)
        return fail(err, VINCI_UNSUPPORTED,
                    "line %zu: rank %ju: expected the %u ranks of o200k_base, gpt-oss's "
                    "vocabulary; others are not supported",
                    number, (uintmax_t)rank, N_RANKS);
    enum vinci_status status = vocab_add(vocab, rank, bytes->data, bytes->size, err);
    if (status && err) fail(err, status, "line %zu: %s", number, err->text);
    return status;
}

enum vinci_status tokenizer_read_tiktoken(struct vinci_tokenizer *tokenizer,
                                          const struct file_map *map, struct vinci_error *err)
{
    struct vocab *vocab = &tokenizer->vocab;
    struct buf bytes = {0};
    enum vinci_status status = VINCI_OK;
    const char *p = (const char *)map->data, *end = p + map->size;
    size_t n_lines = 0;
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *next = newline ? newline + 1 : end, *line_end = newline ? newline : end;
        if (line_end > p && line_end[-1] == '\r') line_end--;
        status = add_line(vocab, p, (size_t)(line_end - p), ++n_lines, &bytes, err);
        if (status) goto cleanup;
        p = next;
    }
    /* No rank came twice, so as many lines as ranks means all of them. */
    if (n_lines != N_RANKS) {
        status = fail(err, VINCI_BAD_FILE,
                      "expected the %u ranks of o200k_base, got %zu; the file is cut off or of "
                      "another vocabulary: fetch it again",
                      N_RANKS, n_lines);
        goto cleanup;
    }
    tokenizer->bpe.whole_pieces = true;
    if ((status = add_specials(vocab, err))) goto cleanup;
    if ((status = vocab_finish(vocab, err))) goto cleanup;
    if ((status = bpe_add_all_splits(&tokenizer->bpe, vocab, err))) goto cleanup;
    if ((status = bpe_finish(&tokenizer->bpe, vocab, err))) goto cleanup;
    status =
        split_pattern_open(&tokenizer->split, split_regex_o200k, strlen(split_regex_o200k), err);
cleanup:
    buf_free(&bytes);
    return status;
}
