/* chat_model.c - one answer to a conversation's tokens.
 *
 * The engine answers through one session, so that each turn computes only what is new. --replay
 * takes the answers from a file instead: what a tool does, or how a terminal shows an answer, can
 * then be tried without a model and comes out the same each time. */
#include "cli/chat_model.h"

#include "base/buf.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLAY_CONTEXT = 131072 };

static enum vinci_status read_answers(struct chat_model *model, const char *path,
                                      struct vinci_error *err)
{
    struct buf text = {0};
    size_t line_number = 0;
    enum vinci_status status = read_input(path, &text, err);
    if (status != VINCI_OK) return status;
    model->answers = array_new_zero(text.size + 1, sizeof *model->answers);
    if (!model->answers) status = fail_memory(err, text.size, "--replay");
    for (char *line = text.data; status == VINCI_OK && line && *line;) {
        char *end = line + strcspn(line, "\n"), *next = *end ? end + 1 : end;
        *end = '\0';
        line_number++;
        if (line[strspn(line, " \t\r")]) {
            json_error_t problem;
            json_t *answer = json_loads(line, JSON_DECODE_ANY, &problem);
            char *copy = json_is_string(answer) ? strdup(json_string_value(answer)) : NULL;
            if (copy) model->answers[model->n_answers++] = copy;
            else
                status = fail(err, VINCI_BAD_FILE,
                              "%s: line %zu: expected one JSON string, an answer in harmony's form",
                              path, line_number);
            json_decref(answer);
        }
        line = next;
    }
    buf_free(&text);
    return status;
}

/* "/models/gpt-oss-20b/" -> "gpt-oss-20b" */
static void set_name(struct chat_model *model, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    size_t start = n;
    while (start > 0 && path[start - 1] != '/') start--;
    snprintf(model->name, sizeof model->name, "%.*s", (int)(n - start), path + start);
}

enum vinci_status chat_model_open(struct chat_model *model, const struct program *program,
                                  const struct model_options *options, const char *replay,
                                  struct vinci_error *err)
{
    enum vinci_status status;
    *model = (struct chat_model){.n_ctx = options->ctx ? options->ctx : REPLAY_CONTEXT};
    if (replay) {
        set_name(model, options->model ? options->model : "replay");
        status = model_tokenizer(&model->loaded.tokenizer, program, options, err);
        if (status == VINCI_OK) status = read_answers(model, replay, err);
    } else {
        status = loaded_model_open(&model->loaded, program, options, 0, 1, err);
        if (status == VINCI_OK) status = loaded_model_tokenizer(&model->loaded, options, err);
        if (status == VINCI_OK)
            status = vinci_session_open(&model->session, model->loaded.engine, err);
        if (status == VINCI_OK) {
            struct vinci_engine_info info;
            set_name(model, model->loaded.path);
            vinci_engine_info(model->loaded.engine, &info);
            model->n_ctx = info.n_ctx;
            loaded_model_watch(&model->loaded, program);
        }
    }
    if (status == VINCI_OK)
        status =
            vinci_harmony_stop_tokens(model->loaded.tokenizer, model->stops, &model->n_stops, err);
    if (status != VINCI_OK) chat_model_close(model);
    return status;
}

void chat_model_close(struct chat_model *model)
{
    vinci_session_close(model->session);
    loaded_model_close(&model->loaded);
    for (size_t i = 0; i < model->n_answers; i++) free(model->answers[i]);
    free(model->answers);
    free(model->held);
    *model = (struct chat_model){0};
}

static enum vinci_status answer_by_engine(struct chat_model *model,
                                          struct vinci_request_options *options,
                                          struct vinci_request_result *result,
                                          struct vinci_error *err)
{
    struct vinci_request *request = NULL;
    options->session = model->session;
    enum vinci_status status = vinci_request_submit(&request, model->loaded.engine, options, err);
    size_t n_active = 1;
    while (status == VINCI_OK && n_active > 0) {
        if (interrupted()) vinci_request_cancel(request);
        status = vinci_engine_step(model->loaded.engine, &n_active, err);
    }
    if (status == VINCI_OK) vinci_request_result(request, result);
    if (status == VINCI_OK && result->finish == VINCI_FINISH_ERROR)
        status = fail(err, result->error.status, "%s", result->error.text);
    vinci_request_close(request);
    return status;
}

static bool is_stop(const struct chat_model *model, int32_t id)
{
    for (size_t i = 0; i < model->n_stops; i++)
        if (model->stops[i] == id) return true;
    return false;
}

/* Reports the tokens as the engine would, and counts what a session would have reused. */
static enum vinci_status replay(struct chat_model *model, const int32_t *ids, size_t n_ids,
                                const struct vinci_request_options *options,
                                struct vinci_request_result *result, struct vinci_error *err)
{
    const char *text = model->answers[model->next_answer++];
    int32_t *answer = NULL, *held = NULL;
    size_t n_answer = 0, n = 0, same = 0;
    enum vinci_status status =
        vinci_tokenize(model->loaded.tokenizer, text, strlen(text), true, &answer, &n_answer, err);
    if (status != VINCI_OK) return status;
    held = array_new(n_ids + n_answer, sizeof *held);
    if (!held) {
        vinci_free(answer);
        return fail_memory(err, (n_ids + n_answer) * sizeof *held, "--replay");
    }
    while (same < model->n_held && same + 1 < n_ids && model->held[same] == ids[same]) same++;
    *result = (struct vinci_request_result){.n_prompt = n_ids, .n_reused = same};
    while (result->finish == VINCI_FINISH_NONE) {
        if (interrupted()) result->finish = VINCI_FINISH_CANCELLED;
        else if (n_ids + n >= model->n_ctx) result->finish = VINCI_FINISH_CONTEXT;
        else if (n == n_answer || (options->max_new_tokens && n == options->max_new_tokens))
            result->finish = VINCI_FINISH_LENGTH;
        else {
            struct vinci_token_event event = {.token = answer[n], .index = n, .text = ""};
            n++;
            if (is_stop(model, event.token)) result->finish = VINCI_FINISH_STOP;
            if (!options->on_token(options->user, &event)) result->finish = VINCI_FINISH_CANCELLED;
        }
    }
    result->n_generated = n;
    memcpy(held, ids, n_ids * sizeof *held);
    if (n) memcpy(held + n_ids, answer, n * sizeof *held);
    free(model->held);
    vinci_free(answer);
    model->held = held;
    model->n_held = n_ids + n;
    return VINCI_OK;
}

enum vinci_status chat_model_answer(struct chat_model *model, const int32_t *ids, size_t n_ids,
                                    const struct vinci_sampling *sampling, size_t max_new_tokens,
                                    vinci_token_fn *on_token, void *user,
                                    struct vinci_request_result *result, struct vinci_error *err)
{
    struct vinci_request_options options;
    *result = (struct vinci_request_result){0};
    if (n_ids >= model->n_ctx)
        return fail(
            err, VINCI_LIMIT,
            "the conversation has %zu tokens and the context %u; begin anew, take something "
            "back, or give a larger --ctx",
            n_ids, model->n_ctx);
    vinci_request_options_init(&options);
    options.prompt = ids;
    options.n_prompt = n_ids;
    options.max_new_tokens = max_new_tokens;
    options.sampling = *sampling;
    options.stop_tokens = model->stops;
    options.n_stop_tokens = model->n_stops;
    options.tokenizer = model->loaded.tokenizer;
    options.on_token = on_token;
    options.user = user;
    if (!model->answers) return answer_by_engine(model, &options, result, err);
    if (model->next_answer == model->n_answers)
        return fail(err, VINCI_FAILED, "--replay: the file has %zu answers, another was asked for",
                    model->n_answers);
    return replay(model, ids, n_ids, &options, result, err);
}
