/* chat_model.h - what answers: a model, or in its place a file of answers (--replay). */
#ifndef VINCI_CLI_CHAT_MODEL_H
#define VINCI_CLI_CHAT_MODEL_H

#include "cli/model_options.h"

struct chat_model {
    struct loaded_model loaded; /* the tokenizer always, the engine without --replay */
    struct vinci_session *session;
    char name[128]; /* how a saved conversation calls it */
    char **answers; /* of --replay; NULL: the engine answers */
    size_t n_answers, next_answer;
    int32_t *held; /* --replay: the tokens that a session would hold */
    size_t n_held;
    uint32_t n_ctx;
    int32_t stops[VINCI_HARMONY_STOP_TOKENS_MAX];
    size_t n_stops;
};

/* `replay`: a file with one JSON string a line, each an answer in harmony's form as it follows
 * <|start|>assistant; NULL: none. */
enum vinci_status chat_model_open(struct chat_model *model, const struct program *program,
                                  const struct model_options *options, const char *replay,
                                  struct vinci_error *err);
void chat_model_close(struct chat_model *model);

/* One answer to `ids`, token by token to `on_token`, up to a stop token. Ctrl-C ends it with
 * VINCI_FINISH_CANCELLED. LIMIT when the ids do not fit into the context. */
enum vinci_status chat_model_answer(struct chat_model *model, const int32_t *ids, size_t n_ids,
                                    const struct vinci_sampling *sampling, size_t max_new_tokens,
                                    vinci_token_fn *on_token, void *user,
                                    struct vinci_request_result *result, struct vinci_error *err);

#endif
