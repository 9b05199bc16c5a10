/* answers.c - greedy answers of vinci to many prompts, side by side; for evaluate.py.
 *
 *     answers MODEL MAX_NEW < prompts > answers
 *
 * A line of standard input is a prompt, its token ids in decimal; the same line of standard output
 * is what the model says, up to one of the harmony format's stop tokens, which is included. */
#include "vinci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PROMPTS = 10000, MAX_IDS = 4096 };

static int fail(const char *what)
{
    fprintf(stderr, "answers: %s\n", what);
    return 1;
}

int main(int argc, char **argv)
{
    static struct vinci_request *requests[MAX_PROMPTS];
    static int32_t ids[MAX_IDS];
    struct vinci_engine_options engine_options;
    struct vinci_engine *engine = NULL;
    struct vinci_tokenizer *tokenizer = NULL;
    struct vinci_error err = {0};
    int32_t stop[3];
    size_t n_prompts = 0, n_active = 1, capacity = 0;
    char *line = NULL;
    if (argc != 3) return fail("usage: answers MODEL MAX_NEW < prompts > answers");
    vinci_engine_options_init(&engine_options);
    engine_options.model = argv[1];
    engine_options.n_ctx = MAX_IDS;
    if (vinci_engine_open(&engine, &engine_options, &err) != VINCI_OK ||
        vinci_tokenizer_open(&tokenizer, argv[1], &err) != VINCI_OK)
        return fail(err.text);
    stop[0] = vinci_token_special_id(tokenizer, "<|return|>");
    stop[1] = vinci_token_special_id(tokenizer, "<|call|>");
    stop[2] = vinci_token_special_id(tokenizer, "<|endoftext|>");

    while (getline(&line, &capacity, stdin) > 0) {
        struct vinci_request_options options;
        size_t n = 0;
        char *at = line, *end = NULL;
        for (long id = strtol(at, &end, 10); end != at && n < MAX_IDS; id = strtol(at, &end, 10)) {
            ids[n++] = (int32_t)id;
            at = end;
        }
        vinci_request_options_init(&options);
        options.prompt = ids;
        options.n_prompt = n;
        options.max_new_tokens = strtoul(argv[2], NULL, 10);
        options.sampling.temperature = 0;
        options.stop_tokens = stop;
        options.n_stop_tokens = 3;
        if (n_prompts == MAX_PROMPTS) return fail("too many prompts");
        if (vinci_request_submit(&requests[n_prompts++], engine, &options, &err) != VINCI_OK)
            return fail(err.text);
    }
    while (n_active)
        if (vinci_engine_step(engine, &n_active, &err) != VINCI_OK) return fail(err.text);
    for (size_t i = 0; i < n_prompts; i++) {
        size_t n = 0;
        const int32_t *got = vinci_request_tokens(requests[i], &n);
        for (size_t k = 0; k < n; k++) printf("%s%d", k ? " " : "", got[k]);
        putchar('\n');
        vinci_request_close(requests[i]);
    }
    free(line);
    vinci_tokenizer_close(tokenizer);
    vinci_engine_close(engine);
    return 0;
}
