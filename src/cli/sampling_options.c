/* sampling_options.c - the table of the sampling options, and --logit-bias into numbers. */
#include "cli/sampling_options.h"

#include "base/buf.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLING(name) .offset = offsetof(struct sampling_options, sampling.name)

const struct option_row sampling_rows[] = {
    {"temperature", 0, "X",
     N_("0: always the likeliest token; 1: the model's distribution; default: 0 for generate, 1 "
        "for chat"),
     OPTION_FLOAT, SAMPLING(temperature), .max = 100},
    {"top-k", 0, "N", N_("draw from the N likeliest; 0 (the default): from all"), OPTION_U32,
     SAMPLING(top_k)},
    {"top-p", 0, "X", N_("draw from the likeliest that make up X of the probability; default: 1"),
     OPTION_FLOAT, SAMPLING(top_p), .max = 1},
    {"min-p", 0, "X", N_("leave out what is less likely than X times the likeliest; default: 0"),
     OPTION_FLOAT, SAMPLING(min_p), .max = 1},
    {"repetition-penalty", 0, "X", N_("divide the logits of tokens seen before; default: 1"),
     OPTION_FLOAT, SAMPLING(repetition_penalty), .min = 0.01, .max = 100},
    {"presence-penalty", 0, "X",
     N_("subtract from the logits of tokens generated before; default: 0"), OPTION_FLOAT,
     SAMPLING(presence_penalty), .min = -100, .max = 100},
    {"frequency-penalty", 0, "X", N_("the same, times how often; default: 0"), OPTION_FLOAT,
     SAMPLING(frequency_penalty), .min = -100, .max = 100},
    {"seed", 0, "N", N_("same seed, same text, everywhere; default: 0"), OPTION_U64,
     SAMPLING(seed)},
    {"logit-bias", 0, "ID=X", N_("add X to the logit of token ID; may be given several times"),
     OPTION_LIST, .offset = offsetof(struct sampling_options, logit_bias)},
    {0}};

void sampling_options_init(struct sampling_options *options)
{
    *options = (struct sampling_options){0};
    vinci_sampling_init(&options->sampling);
}

void sampling_options_release(struct sampling_options *options)
{
    text_list_free(&options->logit_bias);
    free(options->biases);
}

/* "17=-100" */
enum vinci_status sampling_options_finish(struct sampling_options *options, struct vinci_error *err)
{
    const struct text_list *list = &options->logit_bias;
    struct vinci_logit_bias *biases = array_new_zero(list->n, sizeof *biases);
    if (!biases) return fail_memory(err, list->n * sizeof *biases, "--logit-bias");
    for (size_t i = 0; i < list->n; i++) {
        char id[16];
        uint64_t token = 0;
        double bias = 0;
        size_t n = strcspn(list->items[i], "=");
        snprintf(id, sizeof id, "%.*s", (int)(n < sizeof id ? n : 0), list->items[i]);
        if (!list->items[i][n] || !parse_u64(id, 0, INT32_MAX, &token) ||
            !parse_double(list->items[i] + n + 1, -1e6, 1e6, &bias)) {
            free(biases);
            return fail(err, VINCI_USAGE, "--logit-bias: expected ID=X such as 17=-100, got '%s'",
                        list->items[i]);
        }
        biases[i] = (struct vinci_logit_bias){(int32_t)token, (float)bias};
    }
    options->biases = biases;
    options->sampling.logit_bias = biases;
    options->sampling.n_logit_bias = list->n;
    return VINCI_OK;
}
