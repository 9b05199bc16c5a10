/* fuzz_tokenizer.c - libFuzzer: any bytes, once as a tokenizer's file (of the format they look
 * like) and once as a text. A file is refused or works; the ids of a text decode to the text with
 * its ill-formed parts replaced, whether special tokens are recognised or not, and what the
 * streaming decoder shows is the same.
 *
 * Seeds: tests/vectors/golden/text/tokenizer.json, small .gguf and .tiktoken files, any texts. */
#include "text/utf8.h"
#include "tokenizer_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void check_stream(const struct vinci_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                         const struct buf *expected)
{
    struct vinci_utf8_stream stream = {0};
    struct buf shown = {0};
    for (size_t i = 0; i <= n_ids; i++) {
        size_t n = 0;
        const char *bytes = i < n_ids ? vinci_token_bytes(tokenizer, ids[i], &n) : "";
        char *out = malloc(3 * (n + 4));
        n = vinci_utf8_stream_next(&stream, bytes, n, i == n_ids, out);
        check(utf8_valid_length(out, n) == n, "a stream shows ill-formed text");
        buf_append(&shown, out, n);
        free(out);
    }
    check(shown.size == expected->size && !memcmp(shown.data, expected->data, shown.size),
          "a stream shows something else than the text");
    buf_free(&shown);
}

static void check_text(const struct vinci_tokenizer *tokenizer, const char *text, size_t n)
{
    struct buf expected = {0};
    check(utf8_append_lossy(&expected, text, n) && buf_reserve(&expected, 0), "out of memory");
    for (int special = 0; special < 2; special++) {
        int32_t *ids = NULL;
        char *back = NULL;
        size_t n_ids, n_back;
        struct vinci_error err;
        enum vinci_status status = vinci_tokenize(tokenizer, text, n, special, &ids, &n_ids, &err);
        if (status == VINCI_LIMIT) continue; /* an expression that runs on */
        check(!status, err.text);
        for (size_t i = 0; i < n_ids && !special; i++)
            check(!vinci_token_is_special(tokenizer, ids[i]), "a special token from plain text");
        check(!vinci_detokenize(tokenizer, ids, n_ids, &back, &n_back, &err), err.text);
        check(n_back == expected.size && !memcmp(back, expected.data, n_back),
              "decoding gives something else than the text");
        check_stream(tokenizer, ids, n_ids, &expected);
        vinci_free(back);
        vinci_free(ids);
    }
    buf_free(&expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vinci_tokenizer *small;
    struct vinci_tokenizer *tokenizer = NULL;
    struct vinci_error err = {0};
    if (!small) check(!vinci_tokenizer_open(&small, TEST_VECTORS "/golden/text", &err), err.text);
    check_text(small, (const char *)data, size);
    if (case_load(&tokenizer, data, size, &err) == VINCI_OK)
        check_text(tokenizer, "Hello <|end|>, 世界 123!\n\n  x\xff", 32);
    else check(err.text[0] && !tokenizer, "refused without a sentence");
    vinci_tokenizer_close(tokenizer);
    return 0;
}
