/* sampling_options.h - the options that say how tokens are drawn, for every command that draws. */
#ifndef VINCI_CLI_SAMPLING_OPTIONS_H
#define VINCI_CLI_SAMPLING_OPTIONS_H

#include "cli/options.h"

struct sampling_options {
    struct vinci_sampling sampling;
    struct text_list logit_bias;
    struct vinci_logit_bias *biases; /* what `sampling` points to */
};

extern const struct option_row sampling_rows[];

void sampling_options_init(struct sampling_options *options);
void sampling_options_release(struct sampling_options *options);

/* After parsing: --logit-bias becomes part of `sampling`. */
enum vinci_status sampling_options_finish(struct sampling_options *options,
                                          struct vinci_error *err);

#endif
