/* generate.c - continues a text with the public API alone.
 *
 *   cc generate.c $(pkg-config --cflags --libs vinci) -o generate
 *   ./generate MODEL TEXT [N] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vinci.h>

static bool print_token(void *user, const struct vinci_token_event *event)
{
    (void)user;
    fwrite(event->text, 1, event->n_text, stdout);
    return fflush(stdout) == 0; /* false stops the generation */
}

static void stop_on(enum vinci_status status, const struct vinci_error *err)
{
    if (status == VINCI_OK) return;
    fprintf(stderr, "%s\n", err->text);
    exit((int)status);
}

int main(int argc, char **argv)
{
    struct vinci_error err;
    struct vinci_engine *engine;
    struct vinci_tokenizer *tokenizer;
    struct vinci_engine_options model;
    struct vinci_request_options request;
    struct vinci_request_result result;
    int32_t *ids;
    if (argc < 3) return fprintf(stderr, "usage: generate MODEL TEXT [N]\n"), VINCI_USAGE;

    vinci_engine_options_init(&model);
    model.model = argv[1];
    stop_on(vinci_engine_open(&engine, &model, &err), &err);
    stop_on(vinci_tokenizer_open(&tokenizer, vinci_engine_model(engine)->tokenizer, &err), &err);

    vinci_request_options_init(&request);
    stop_on(
        vinci_tokenize(tokenizer, argv[2], strlen(argv[2]), false, &ids, &request.n_prompt, &err),
        &err);
    request.prompt = ids;
    request.max_new_tokens = argc > 3 ? strtoul(argv[3], NULL, 10) : 32;
    request.sampling.temperature = 0; /* always the likeliest token */
    request.tokenizer = tokenizer;
    request.on_token = print_token;
    stop_on(vinci_generate(engine, &request, &result, &err), &err);

    vinci_free(ids);
    vinci_tokenizer_close(tokenizer);
    vinci_engine_close(engine);
    return 0;
}
