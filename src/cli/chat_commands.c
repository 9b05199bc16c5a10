/* chat_commands.c - what a session understands beside messages: a table, one function a row.
 *
 * Remarks go to standard error like all that is said to a person; a command that fails says so and
 * changes nothing. */
#include "cli/chat.h"

#include "cli/options.h"

#include <stdlib.h>
#include <string.h>

struct chat_command_row {
    const char *name, *argument, *help;
    enum vinci_status (*run)(struct chat *chat, const char *argument, struct vinci_error *err);
};

extern const struct chat_command_row chat_command_rows[];

static enum vinci_status help(struct chat *chat, const char *argument, struct vinci_error *err)
{
    (void)argument;
    (void)err;
    for (const struct chat_command_row *row = chat_command_rows; row->name; row++)
        chat_view_note(&chat->view, "/%-7s%-9s %s", row->name, row->argument, _(row->help));
    chat_view_note(&chat->view,
                   _("A message of several lines: end lines in \\, or put it between two "
                     "\"\"\". Ctrl-C stops an answer."));
    return VINCI_OK;
}

/* Takes over what `changed` holds if the conversation accepts it. */
static enum vinci_status change_settings(struct chat *chat, struct chat_settings *changed,
                                         struct vinci_error *err)
{
    enum vinci_status status = chat_apply_settings(chat->conversation, changed, err);
    if (status == VINCI_OK) {
        chat_settings_release(&chat->settings);
        chat->settings = *changed;
        *changed = (struct chat_settings){0};
    } else {
        chat_apply_settings(chat->conversation, &chat->settings, NULL);
    }
    chat_settings_release(changed);
    return status;
}

static bool copy_settings(struct chat_settings *copy, const struct chat_settings *from)
{
    *copy = (struct chat_settings){.effort = from->effort};
    return chat_set_text(&copy->date, from->date, from->date ? strlen(from->date) : 0) &&
           chat_set_text(&copy->instructions, from->instructions,
                         from->instructions ? strlen(from->instructions) : 0) &&
           chat_set_text(&copy->tools, from->tools, from->tools ? strlen(from->tools) : 0);
}

static enum vinci_status fail_copy(struct chat_settings *changed, struct vinci_error *err)
{
    chat_settings_release(changed);
    return fail_memory(err, 4096, "the settings");
}

static enum vinci_status system_text(struct chat *chat, const char *argument,
                                     struct vinci_error *err)
{
    struct chat_settings changed;
    const char *text = strcmp(argument, "-") == 0 ? NULL : argument;
    if (!*argument) {
        chat_view_note(&chat->view, "%s",
                       chat->settings.instructions ? chat->settings.instructions : _("none"));
        return VINCI_OK;
    }
    if (!copy_settings(&changed, &chat->settings) ||
        !chat_set_text(&changed.instructions, text, text ? strlen(text) : 0))
        return fail_copy(&changed, err);
    return change_settings(chat, &changed, err);
}

static enum vinci_status effort(struct chat *chat, const char *argument, struct vinci_error *err)
{
    static const char *const words[] = {"low", "medium", "high"};
    struct chat_settings changed;
    if (!*argument) {
        chat_view_note(&chat->view, "%s", words[chat->settings.effort - VINCI_EFFORT_LOW]);
        return VINCI_OK;
    }
    for (int i = 0; i < 3; i++)
        if (strcmp(argument, words[i]) == 0) {
            if (!copy_settings(&changed, &chat->settings)) return fail_copy(&changed, err);
            changed.effort = (enum vinci_effort)(VINCI_EFFORT_LOW + i);
            return change_settings(chat, &changed, err);
        }
    return fail(err, VINCI_USAGE, "/effort: expected low, medium or high, got '%s'", argument);
}

static enum vinci_status tools(struct chat *chat, const char *argument, struct vinci_error *err)
{
    struct chat_settings changed;
    struct buf names = {0};
    enum vinci_status status = VINCI_OK;
    if (*argument) {
        char *json = NULL;
        if (strcmp(argument, "-") != 0) status = chat_tools_read(argument, &json, err);
        if (status == VINCI_OK && !copy_settings(&changed, &chat->settings)) {
            free(json);
            return fail_copy(&changed, err);
        }
        if (status != VINCI_OK) return status;
        free(changed.tools);
        changed.tools = json;
        status = change_settings(chat, &changed, err);
        if (status != VINCI_OK) return status;
    }
    status = chat_tools_names(chat->settings.tools, &names, err);
    if (status == VINCI_OK)
        chat_view_note(&chat->view, "%s%s", names.size ? names.data : _("none"),
                       names.size && !chat->tool.exec ? _(" (nothing runs them: --tool-exec)")
                                                      : "");
    buf_free(&names);
    return status;
}

static enum vinci_status save(struct chat *chat, const char *argument, struct vinci_error *err)
{
    char *json = NULL;
    if (!*argument) return fail(err, VINCI_USAGE, "/save: give a file");
    enum vinci_status status = chat_to_json(chat, &json, err);
    if (status == VINCI_OK) status = chat_write_file(argument, json, err);
    if (status == VINCI_OK) chat_view_note(&chat->view, _("saved to %s"), argument);
    free(json);
    return status;
}

static size_t n_said(const struct chat *chat)
{
    return vinci_conversation_n_messages(chat->conversation) - chat_n_front(chat->conversation);
}

static enum vinci_status load(struct chat *chat, const char *argument, struct vinci_error *err)
{
    struct buf text = {0};
    if (!*argument) return fail(err, VINCI_USAGE, "/load: give a file");
    enum vinci_status status = read_input(argument, &text, err);
    if (status == VINCI_OK)
        status = chat_from_json(chat, text.data ? text.data : "", text.size, argument, err);
    if (status == VINCI_OK) chat_view_note(&chat->view, _("loaded %zu messages"), n_said(chat));
    buf_free(&text);
    return status;
}

static enum vinci_status undo(struct chat *chat, const char *argument, struct vinci_error *err)
{
    size_t last = chat_last_turn(chat->conversation);
    (void)argument;
    if (!last) return fail(err, VINCI_USAGE, "/undo: nothing was said yet");
    vinci_conversation_truncate(chat->conversation, last - 1);
    chat_view_note(&chat->view, _("the last turn is taken back; %zu messages are left"),
                   n_said(chat));
    return VINCI_OK;
}

/* Another seed, or the answer would be the same. */
static enum vinci_status retry(struct chat *chat, const char *argument, struct vinci_error *err)
{
    size_t last = chat_last_turn(chat->conversation);
    (void)argument;
    if (!last) return fail(err, VINCI_USAGE, "/retry: nothing was said yet");
    vinci_conversation_truncate(chat->conversation, last);
    chat->sampling.seed++;
    return chat_turn(chat, err);
}

static enum vinci_status tokens(struct chat *chat, const char *argument, struct vinci_error *err)
{
    size_t n = 0;
    (void)argument;
    enum vinci_status status = chat_count_tokens(chat, &n, err);
    if (status == VINCI_OK)
        chat_view_note(&chat->view, _("%zu tokens in %zu messages; the context has %u"), n,
                       vinci_conversation_n_messages(chat->conversation), chat->model.n_ctx);
    return status;
}

static double rate(size_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

static enum vinci_status speed(struct chat *chat, const char *argument, struct vinci_error *err)
{
    const struct chat_figures *f = &chat->figures;
    (void)argument;
    if (!f->n_answers) return fail(err, VINCI_USAGE, "/speed: nothing was answered yet");
    if (chat->model.answers) { /* out of a file: nothing was computed that could be timed */
        chat_view_note(&chat->view, _("prompt    %zu tokens reused, %zu prefilled"), f->n_reused,
                       f->n_prefilled);
        chat_view_note(&chat->view, _("answer    %zu tokens"), f->n_generated);
        return VINCI_OK;
    }
    chat_view_note(
        &chat->view, _("prompt    %zu tokens reused, %zu prefilled, %.2f s, %.1f tokens/s"),
        f->n_reused, f->n_prefilled, f->prefill_seconds, rate(f->n_prefilled, f->prefill_seconds));
    chat_view_note(&chat->view, _("answer    %zu tokens, %.2f s, %.1f tokens/s"), f->n_generated,
                   f->decode_seconds, rate(f->n_decoded, f->decode_seconds));
    return VINCI_OK;
}

const struct chat_command_row chat_command_rows[] = {
    {"help", "", N_("this list"), help},
    {"system", "[TEXT]", N_("shows or sets the instructions; - removes them"), system_text},
    {"effort", "[LEVEL]", N_("how long to think: low, medium or high"), effort},
    {"tools", "[FILE]", N_("shows the tools, or reads them from FILE; - removes them"), tools},
    {"save", "FILE", N_("writes the conversation, as JSON in OpenAI's form"), save},
    {"load", "FILE", N_("goes on with a conversation from a file"), load},
    {"undo", "", N_("takes back the last message and its answer"), undo},
    {"retry", "", N_("another answer to the last message"), retry},
    {"tokens", "", N_("how much of the context is used"), tokens},
    {"speed", "", N_("what the last turn cost"), speed},
    {"quit", "", N_("ends the session; so does Ctrl-D"), NULL},
    {0}};

void chat_command(struct chat *chat, const char *line, bool *quit)
{
    struct vinci_error err = {0};
    const char *names[sizeof chat_command_rows / sizeof *chat_command_rows];
    size_t n = strcspn(line + 1, " \t\n"), n_names = 0;
    const char *argument = line + 1 + n;
    argument += strspn(argument, " \t");
    char *name = text_copy(line + 1, n), *rest = text_copy(argument, strlen(argument));
    enum vinci_status status = name && rest ? VINCI_OK : fail_memory(&err, n, "a command");
    const struct chat_command_row *row = chat_command_rows;
    for (size_t end = rest ? strlen(rest) : 0; end && strchr(" \t", rest[end - 1]); end--)
        rest[end - 1] = '\0';
    for (; status == VINCI_OK && row->name && strcmp(row->name, name) != 0; row++)
        names[n_names++] = row->name;
    if (status == VINCI_OK && !row->name) {
        const char *near = nearest(name, names, n_names);
        status = near ? fail(&err, VINCI_USAGE, "no command '/%s'; did you mean '/%s'?", name, near)
                      : fail(&err, VINCI_USAGE,
                             "no command '/%s'; /help lists them, and a message may begin with a "
                             "space",
                             name);
    } else if (status == VINCI_OK && !row->run) {
        *quit = true;
    } else if (status == VINCI_OK) {
        status = row->run(chat, rest, &err);
    }
    if (status != VINCI_OK && err.text[0]) say_error(chat->program, err.text);
    free(name);
    free(rest);
}
