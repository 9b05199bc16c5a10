/* bench_speed.h - `vinci bench --limits` and the speed matrix: which measurements the options ask
 * for, their tables and their JSON. */
#ifndef VINCI_CLI_BENCH_SPEED_H
#define VINCI_CLI_BENCH_SPEED_H

#include "cli/bench_record.h"
#include "cli/model_options.h"

/* Lists of whole numbers as the user typed them; NULL where not given. */
struct speed_args {
    bool limits, profile;
    const char *pp, *tg, *ttft;
    const char *depth, *batch;
    uint32_t repeat;
    uint64_t seed;
};

void speed_args_init(struct speed_args *args);

extern const struct option_row speed_rows[];

/* True if the options ask for this form of the benchmark; USAGE when they do not go together. */
enum vinci_status speed_args_check(const struct speed_args *args, bool *wanted,
                                   struct vinci_error *err);

/* Measures and prints. `open` opens the model for that many tokens a sequence and sequences at
 * once, when the options need one; loaded_model_close is the caller's. */
struct speed_model {
    struct loaded_model loaded;
    const struct model_options *options;
    void *user;
    enum vinci_status (*open)(struct loaded_model *loaded, void *user, uint32_t n_ctx,
                              uint32_t n_sequences, struct vinci_error *err);
};
enum vinci_status speed_run(const struct speed_args *args, struct speed_model *model,
                            struct bench_record *record, struct vinci_error *err);

#endif
