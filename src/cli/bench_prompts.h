/* bench_prompts.h - `vinci bench --prompts` and `--load`: tables and what they add to the record.
 */
#ifndef VINCI_CLI_BENCH_PROMPTS_H
#define VINCI_CLI_BENCH_PROMPTS_H

#include "bench/bench.h"
#include "cli/bench_record.h"
#include "cli/model_options.h"

/* The lines of a file that are not empty; *text holds them and is freed after them. */
enum vinci_status bench_read_prompts(const char *path, struct buf *text, struct text_list *prompts,
                                     struct vinci_error *err);

enum vinci_status bench_compare_prompts(struct bench_record *record, struct vinci_engine *engine,
                                        const char *const *texts,
                                        const struct bench_prompt *prompts, size_t n,
                                        uint32_t max_new_tokens, uint32_t repeat,
                                        struct vinci_error *err);

/* Opens the model cold and warm. `open` opens it as the other forms do. */
struct load_test {
    const char *path; /* of the model's files */
    void *user;
    enum vinci_status (*open)(void *user, struct loaded_model *loaded, struct vinci_error *err);
};
enum vinci_status bench_load(struct bench_record *record, const struct load_test *test,
                             uint32_t repeat, struct vinci_error *err);

#endif
