/* chat_turn.c - one turn: the conversation's tokens to the model, its tokens to messages, calls to
 * the user's program, and again until the model has nothing more to say. */
#include "cli/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void chat_settings_release(struct chat_settings *settings)
{
    free(settings->date);
    free(settings->instructions);
    free(settings->tools);
    *settings = (struct chat_settings){0};
}

bool chat_set_text(char **text, const char *value, size_t n)
{
    char *copy = value ? text_copy(value, n) : NULL;
    if (value && !copy) return false;
    free(*text);
    *text = copy;
    return true;
}

enum vinci_status chat_apply_settings(struct vinci_conversation *conversation,
                                      const struct chat_settings *settings, struct vinci_error *err)
{
    struct vinci_system_message system;
    struct vinci_developer_message developer = {
        .instructions = vinci_text_of(settings->instructions),
        .tools = vinci_text_of(settings->tools),
    };
    vinci_system_message_init(&system);
    system.effort = settings->effort;
    system.current_date = settings->date;
    enum vinci_status status = vinci_conversation_set_system(conversation, &system, err);
    if (status != VINCI_OK) return status;
    bool any = settings->instructions || settings->tools;
    return vinci_conversation_set_developer(conversation, any ? &developer : NULL, err);
}

size_t chat_n_front(const struct vinci_conversation *conversation)
{
    size_t n = vinci_conversation_n_messages(conversation), i = 0;
    while (i < n && i < 2) {
        struct vinci_message message = vinci_conversation_message(conversation, i);
        bool front = i == 0 ? message.role == VINCI_ROLE_SYSTEM
                            : message.role == VINCI_ROLE_DEVELOPER && !message.content.data;
        if (!front) break;
        i++;
    }
    return i;
}

static enum vinci_status render(const struct chat *chat, int32_t **ids, size_t *n,
                                struct vinci_error *err)
{
    struct vinci_render_options options;
    vinci_render_options_init(&options);
    return vinci_conversation_render(chat->conversation, chat->model.loaded.tokenizer, &options,
                                     ids, n, err);
}

enum vinci_status chat_count_tokens(const struct chat *chat, size_t *n, struct vinci_error *err)
{
    int32_t *ids = NULL;
    enum vinci_status status = render(chat, &ids, n, err);
    vinci_free(ids);
    return status;
}

enum vinci_status chat_add_user(struct chat *chat, const char *text, size_t n,
                                struct vinci_error *err)
{
    struct vinci_message message = {.role = VINCI_ROLE_USER, .content = {text, n}};
    return vinci_conversation_add(chat->conversation, &message, err);
}

size_t chat_last_turn(const struct vinci_conversation *conversation)
{
    for (size_t i = vinci_conversation_n_messages(conversation); i > 0; i--)
        if (vinci_conversation_message(conversation, i - 1).role == VINCI_ROLE_USER) return i;
    return 0;
}

/* ---- an answer ----------------------------------------------------------------------------- */

struct listener {
    struct chat_view *view;
    struct vinci_harmony_parser *parser;
    enum vinci_status status;
    struct vinci_error *err;
};

static void on_event(void *user, const struct vinci_harmony_event *event)
{
    chat_view_event(user, event);
}

static bool on_token(void *user, const struct vinci_token_event *event)
{
    struct listener *listener = user;
    chat_view_token(listener->view);
    listener->status = vinci_harmony_parser_push(listener->parser, event->token, listener->err);
    return listener->status == VINCI_OK && !listener->view->failed;
}

static void add_figures(struct chat_figures *figures, const struct vinci_request_result *result)
{
    figures->n_answers++;
    figures->n_prompt = result->n_prompt;
    figures->n_reused += result->n_reused;
    figures->n_prefilled += result->n_prompt - result->n_reused;
    figures->n_generated += result->n_generated;
    figures->n_decoded += result->n_generated ? result->n_generated - 1 : 0;
    figures->prefill_seconds += result->prefill_seconds;
    figures->decode_seconds += result->decode_seconds;
    figures->finish = result->finish;
}

static void say_finish(struct chat *chat)
{
    const struct chat_figures *figures = &chat->figures;
    switch (figures->finish) {
    case VINCI_FINISH_LENGTH:
        chat_view_note(&chat->view, _("[cut after %zu tokens; what there is stays]"),
                       figures->n_generated);
        break;
    case VINCI_FINISH_CONTEXT:
        chat_view_note(&chat->view,
                       _("[cut: the context of %u tokens is full; what there is stays; go on after "
                         "/undo, or with a larger --ctx]"),
                       chat->model.n_ctx);
        break;
    case VINCI_FINISH_CANCELLED:
        chat_view_note(&chat->view, _("[stopped; what there is stays]"));
        break;
    default: break;
    }
}

/* Asks the model once and appends its messages. *call: the last of them calls a tool. */
static enum vinci_status answer(struct chat *chat, bool *call, struct vinci_error *err)
{
    struct vinci_harmony_parser_options parsing;
    struct vinci_request_result result;
    struct listener listener = {.view = &chat->view, .err = err};
    int32_t *ids = NULL;
    size_t n_ids = 0, n_messages = 0;
    *call = false;
    vinci_harmony_parser_options_init(&parsing);
    parsing.tokenizer = chat->model.loaded.tokenizer;
    parsing.on_event = on_event;
    parsing.user = &chat->view;
    enum vinci_status status = vinci_harmony_parser_open(&listener.parser, &parsing, err);
    if (status == VINCI_OK) status = render(chat, &ids, &n_ids, err);
    if (status == VINCI_OK)
        status = chat_model_answer(&chat->model, ids, n_ids, &chat->sampling, chat->max_new_tokens,
                                   on_token, &listener, &result, err);
    if (status == VINCI_OK) {
        add_figures(&chat->figures, &result);
        status = listener.status;
    }
    if (status == VINCI_OK) status = vinci_harmony_parser_finish(listener.parser, err);
    chat_view_end(&chat->view);
    /* Also after a failure: what the model said was shown, and stays. */
    const struct vinci_message *messages =
        listener.parser ? vinci_harmony_parser_messages(listener.parser, &n_messages) : NULL;
    for (size_t i = 0; i < n_messages; i++) {
        enum vinci_status added = vinci_conversation_add(chat->conversation, &messages[i], err);
        if (status == VINCI_OK) status = added;
    }
    if (status == VINCI_OK && result.finish == VINCI_FINISH_STOP && n_messages)
        *call = vinci_message_is_call(&messages[n_messages - 1]);
    vinci_harmony_parser_close(listener.parser);
    vinci_free(ids);
    if (status == VINCI_OK) say_finish(chat);
    return status;
}

/* ---- calls --------------------------------------------------------------------------------- */

/* A line from the terminal itself, where standard input is not the person. */
static bool ask_terminal(char *line, int size)
{
    FILE *terminal = fopen("/dev/tty", "r+");
    if (!terminal) return false;
    bool ok = fgets(line, size, terminal) != NULL;
    fclose(terminal);
    return ok;
}

/* The person's leave. Nobody there to ask means no. */
static bool may_run(struct chat *chat, const char *name, const char *arguments)
{
    char line[64] = "";
    struct buf text = {0};
    if (chat->tool.yes) return true;
    if (chat->input && chat_input_is_terminal(chat->input)) {
        enum chat_read read = chat_input_ask(chat->input, _("run it? [y/N] "), &text);
        if (read == READ_TEXT) snprintf(line, sizeof line, "%s", text.data);
    } else if (chat->program->progress && !chat->input) {
        if (chat->view.quiet) { /* nobody decides about what was not shown */
            chat->view.quiet = false;
            chat_view_note(&chat->view, _("calls %s %s"), name, arguments);
            chat->view.quiet = true;
        }
        say(_("run it? [y/N] "));
        ask_terminal(line, sizeof line);
    } else {
        say_warning(chat->program,
                    _("a call was refused, as there is nobody to ask; --yes runs all calls"));
    }
    buf_free(&text);
    return line[0] == 'y' || line[0] == 'Y';
}

static enum vinci_status add_tool_answer(struct chat *chat, const char *recipient,
                                         const struct buf *text, struct vinci_error *err)
{
    struct vinci_message message = {
        .role = VINCI_ROLE_TOOL,
        .name = vinci_text_of(recipient),
        .recipient = vinci_text_of("assistant"),
        .channel = vinci_text_of("commentary"),
        .content = {text->data ? text->data : "", text->size},
    };
    return vinci_conversation_add(chat->conversation, &message, err);
}

/* Carries out the call that stands last. *go_on: the model should now be asked again. */
static enum vinci_status carry_out(struct chat *chat, bool *go_on, struct vinci_error *err)
{
    size_t n = vinci_conversation_n_messages(chat->conversation);
    struct vinci_message call = vinci_conversation_message(chat->conversation, n - 1);
    char *recipient = text_copy(call.recipient.data, call.recipient.size);
    char *arguments = text_copy(call.content.data ? call.content.data : "", call.content.size);
    char reason[512];
    const char *name = NULL;
    struct buf text = {0};
    bool stopped = false;
    enum vinci_status status = VINCI_OK;
    *go_on = false;
    if (!recipient || !arguments) {
        status = fail_memory(err, call.content.size, "a call");
        goto cleanup;
    }
    const char *refusal = chat_tools_refusal(chat->settings.tools, recipient, arguments, &name,
                                             reason, sizeof reason);
    if (!refusal && !chat->tool.exec) {
        chat_view_note(&chat->view, _("[the call is open: --tool-exec would carry it out]"));
        goto cleanup;
    }
    if (!refusal && !may_run(chat, name, arguments))
        refusal = "Error: the user did not allow this call";
    if (refusal) {
        if (!buf_append_text(&text, refusal)) status = fail_memory(err, 512, "an answer");
        stopped = interrupted();
    } else {
        status = chat_tools_run(&chat->tool, name, arguments, &text, &stopped, err);
    }
    if (status != VINCI_OK) goto cleanup;
    chat_view_note(&chat->view, _("%s answers %s"), name, text.size ? text.data : _("nothing"));
    status = add_tool_answer(chat, recipient, &text, err);
    *go_on = !stopped;
    if (stopped) chat->figures.finish = VINCI_FINISH_CANCELLED;
    if (stopped) say_finish(chat);
cleanup:
    buf_free(&text);
    free(recipient);
    free(arguments);
    return status;
}

enum vinci_status chat_turn(struct chat *chat, struct vinci_error *err)
{
    bool go_on = true;
    enum vinci_status status = VINCI_OK;
    chat->figures = (struct chat_figures){0};
    if (chat->input) chat_input_echo(chat->input, false);
    for (uint32_t round = 0; status == VINCI_OK && go_on; round++) {
        bool call = false;
        go_on = false;
        status = answer(chat, &call, err);
        if (status != VINCI_OK || !call) break;
        if (round == chat->tool.rounds) {
            chat_view_note(&chat->view,
                           _("[%u calls in one turn: --tool-rounds; the last is open]"), round + 1);
            break;
        }
        status = carry_out(chat, &go_on, err);
    }
    if (chat->input) chat_input_echo(chat->input, true);
    if (status == VINCI_OK && chat->view.failed) return VINCI_IO; /* said at the end */
    return status;
}
