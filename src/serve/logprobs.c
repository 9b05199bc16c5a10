/* logprobs.c - log-probabilities in OpenAI's chat form. */
#include "serve/generation.h"
#include "serve/json_out.h"

#include <stdlib.h>

char *token_text(const struct vinci_tokenizer *tokenizer, int32_t id, size_t *n)
{
    struct vinci_utf8_stream stream = {0};
    size_t size = 0;
    const char *bytes = vinci_token_bytes(tokenizer, id, &size);
    char *text = malloc(3 * (size + 4));
    *n = text ? vinci_utf8_stream_next(&stream, bytes ? bytes : "", size, true, text) : 0;
    return text;
}

/* The members "token", "logprob" and "bytes". */
static void write_token(struct json_out *out, const struct vinci_tokenizer *tokenizer, int32_t id,
                        float logprob)
{
    size_t n = 0, n_text = 0;
    const char *bytes = vinci_token_bytes(tokenizer, id, &n);
    char *text = token_text(tokenizer, id, &n_text);
    if (!text) {
        out->failed = true;
        return;
    }
    out_key(out, "token");
    out_text(out, text, n_text);
    out_key_real(out, "logprob", (double)logprob);
    out_key(out, "bytes");
    out_begin(out, '[');
    for (size_t i = 0; i < n; i++) out_int(out, (unsigned char)bytes[i]);
    out_end(out, ']');
    free(text);
}

void write_logprobs(struct json_out *out, const struct generation *generation,
                    const struct item *item, size_t from, size_t from_top)
{
    const struct vinci_token_logprob *top = item->tokens.top; /* NULL: nobody asked */
    for (size_t t = from; t < item->tokens.n; t++) {
        const struct job_token *token = &item->tokens.entries[t];
        out_begin(out, '{');
        write_token(out, generation->tokenizer, token->id, token->logprob);
        out_key(out, "top_logprobs");
        out_begin(out, '[');
        for (uint32_t i = 0; i < token->n_top && i < generation->params->top_logprobs; i++) {
            out_begin(out, '{');
            write_token(out, generation->tokenizer, top[from_top + i].token,
                        top[from_top + i].logprob);
            out_end(out, '}');
        }
        out_end(out, ']');
        out_end(out, '}');
        from_top += token->n_top;
    }
}
