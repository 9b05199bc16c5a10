/* cmd_chat.c - `vinci chat`: options, and the three ways to talk: one question from the command
 * line, a session at a terminal, the same session from a pipe. chat.h says what lies behind. */
#include "cli/chat.h"
#include "cli/command.h"
#include "cli/sampling_options.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct chat_args {
    struct model_options model;
    struct sampling_options sampling;
    struct chat_tool_options tool;
    const char *system, *date, *tools, *load, *save, *replay;
    struct text_list files;
    unsigned effort; /* index of "low|medium|high" */
    unsigned show_reasoning;
    uint32_t max_new_tokens;
    bool json;
};

#define FIELD(name) .offset = offsetof(struct chat_args, name)

static const struct option_row chat_rows[] = {
    {"system", 's', "TEXT", N_("instructions for the model"), OPTION_TEXT, FIELD(system)},
    {"file", 'f', "FILE",
     N_("put the text of FILE behind the first message; may be given several times"), OPTION_LIST,
     FIELD(files), COMPLETE_FILE},
    {"reasoning", 'r', "LEVEL", N_("how long to think: low, medium (the default) or high"),
     OPTION_CHOICE, FIELD(effort), COMPLETE_WORDS, "low|medium|high"},
    {"date", 0, "DATE", N_("the date that the model is told; default: today, none: no date"),
     OPTION_TEXT, FIELD(date)},
    {"max-new-tokens", 'n', "N",
     N_("cut an answer after N tokens; 0 (the default): when the context is full"), OPTION_U32,
     FIELD(max_new_tokens)},
    {"load", 0, "FILE", N_("go on with a saved conversation, or any in OpenAI's form"), OPTION_TEXT,
     FIELD(load), COMPLETE_FILE},
    {"save", 0, "FILE", N_("write the conversation to FILE at the end"), OPTION_TEXT, FIELD(save),
     COMPLETE_FILE},
    {0}};

static const struct option_row output_rows[] = {
    {"show-reasoning", 0, "HOW",
     N_("full: all of it on standard error; brief (the default): how long it takes, on a terminal; "
        "none"),
     OPTION_CHOICE, FIELD(show_reasoning), COMPLETE_WORDS, "full|brief|none"},
    {"json", 0, NULL, N_("print the turn as one JSON object (with a QUESTION)"), OPTION_FLAG,
     FIELD(json)},
    {0}};

static const struct option_row tool_rows[] = {
    {"tools", 0, "FILE", N_("functions that the model may call: JSON in OpenAI's form"),
     OPTION_TEXT, FIELD(tools), COMPLETE_FILE},
    {"tool-exec", 0, "COMMAND",
     N_("run COMMAND for a call: it gets {\"name\", \"arguments\"} on standard input and answers "
        "on standard output"),
     OPTION_TEXT, FIELD(tool.exec)},
    {"yes", 'y', NULL, N_("run calls without asking"), OPTION_FLAG, FIELD(tool.yes)},
    {"tool-timeout", 0, "SECONDS", N_("end a call after this time; default: 30"), OPTION_U32,
     FIELD(tool.seconds), .min = 1, .max = 86400},
    {"tool-limit", 0, "SIZE", N_("cut an answer of a tool after SIZE; default: 64K"), OPTION_SIZE,
     FIELD(tool.bytes)},
    {"tool-rounds", 0, "N", N_("most calls in one turn; default: 20"), OPTION_U32,
     FIELD(tool.rounds), .max = 10000},
    {"replay", 0, "FILE",
     N_("take the answers from FILE instead of a model, a JSON string a line, to try tools; needs "
        "the tokenizer only"),
     OPTION_TEXT, FIELD(replay), COMPLETE_FILE},
    {0}};

static const struct option_group groups[] = {
    {N_("Model"), model_rows, offsetof(struct chat_args, model)},
    {N_("Conversation"), chat_rows, 0},
    {N_("Output"), output_rows, 0},
    {N_("Tools"), tool_rows, 0},
    {N_("Sampling"), sampling_rows, offsetof(struct chat_args, sampling)},
    {N_("Tokenizer"), tokenizer_rows, offsetof(struct chat_args, model)},
    {N_("Engine"), engine_rows, offsetof(struct chat_args, model)},
    {0}};

static const struct command_example examples[] = {
    {"chat -m gpt-oss-20b", N_("a session; /help lists its commands")},
    {"chat -m gpt-oss-20b 'Why is the sky blue?'", N_("one question")},
    {"chat -m gpt-oss-20b 'Summarise this.' < report.txt", N_("a question about a text")},
    {"chat -m gpt-oss-20b --tools tools.json --tool-exec ./run-tool", N_("a session with tools")},
    {0}};

static void init(void *arguments)
{
    struct chat_args *args = arguments;
    model_options_init(&args->model);
    sampling_options_init(&args->sampling);
    args->effort = 1;
    args->show_reasoning = REASONING_BRIEF;
    args->tool = (struct chat_tool_options){.seconds = 30, .bytes = 64000, .rounds = 20};
}

static void release(void *arguments)
{
    struct chat_args *args = arguments;
    sampling_options_release(&args->sampling);
    text_list_free(&args->files);
}

static enum vinci_status first_settings(struct chat_settings *settings,
                                        const struct chat_args *args, struct vinci_error *err)
{
    char today[16];
    struct tm local;
    time_t now = time(NULL);
    const char *date = args->date;
    settings->effort = (enum vinci_effort)(VINCI_EFFORT_LOW + (int)args->effort);
    if (!date && localtime_r(&now, &local) && strftime(today, sizeof today, "%Y-%m-%d", &local) > 0)
        date = today;
    if (date && strcmp(date, "none") == 0) date = NULL;
    if (!chat_set_text(&settings->date, date, date ? strlen(date) : 0) ||
        !chat_set_text(&settings->instructions, args->system,
                       args->system ? strlen(args->system) : 0))
        return fail_memory(err, 4096, "the settings");
    return args->tools ? chat_tools_read(args->tools, &settings->tools, err) : VINCI_OK;
}

/* What --load brought gives way to what was said on the command line. */
static enum vinci_status load(struct chat *chat, const struct chat_args *args,
                              struct vinci_error *err)
{
    struct buf text = {0};
    enum vinci_status status = read_input(args->load, &text, err);
    if (status == VINCI_OK)
        status = chat_from_json(chat, text.data ? text.data : "", text.size, args->load, err);
    buf_free(&text);
    if (status == VINCI_OK && args->system &&
        !chat_set_text(&chat->settings.instructions, args->system, strlen(args->system)))
        status = fail_memory(err, 4096, "the settings");
    if (status == VINCI_OK && args->tools) {
        free(chat->settings.tools);
        chat->settings.tools = NULL;
        status = chat_tools_read(args->tools, &chat->settings.tools, err);
    }
    if (status != VINCI_OK) return status;
    return chat_apply_settings(chat->conversation, &chat->settings, err);
}

/* "TEXT", an empty line, each file. */
static enum vinci_status add_files(const struct chat_args *args, struct buf *text,
                                   struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    for (size_t i = 0; i < args->files.n && status == VINCI_OK; i++) {
        struct buf file = {0};
        status = read_input(args->files.items[i], &file, err);
        if (status == VINCI_OK && ((text->size && !buf_append_text(text, "\n\n")) ||
                                   (file.size && !buf_append(text, file.data, file.size))))
            status = fail_memory(err, file.size, args->files.items[i]);
        buf_free(&file);
    }
    return status;
}

/* Whether something may come from standard input besides what a person types. */
static bool input_is_piped(void)
{
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY && !isatty(STDIN_FILENO);
}

static enum vinci_status one_question(struct chat *chat, const struct chat_args *args,
                                      const char *question, struct vinci_error *err)
{
    struct buf text = {0}, piped = {0};
    char *json = NULL;
    enum vinci_status status = VINCI_OK;
    if (!buf_append_text(&text, question)) status = fail_memory(err, 4096, "the question");
    if (status == VINCI_OK && input_is_piped()) status = read_input("-", &piped, err);
    if (status == VINCI_OK && piped.size &&
        ((text.size && !buf_append_text(&text, "\n\n")) ||
         !buf_append(&text, piped.data, piped.size)))
        status = fail_memory(err, piped.size, "the question");
    if (status == VINCI_OK) status = add_files(args, &text, err);
    if (status == VINCI_OK && !text.size) status = fail(err, VINCI_USAGE, "the question is empty");
    if (status == VINCI_OK) status = chat_add_user(chat, text.data, text.size, err);
    if (status == VINCI_OK) status = chat_turn(chat, err);
    if (status == VINCI_OK && args->json) {
        status = chat_turn_json(chat, &json, err);
        if (status == VINCI_OK && !(output(json, strlen(json)) && output("\n", 1)))
            status = VINCI_IO;
    }
    if (status == VINCI_OK && chat->figures.finish == VINCI_FINISH_CANCELLED)
        status = fail(err, VINCI_CANCELLED, "stopped");
    free(json);
    buf_free(&text);
    buf_free(&piped);
    return status;
}

/* A message of the session. A failure is told, and the message taken back. */
static enum vinci_status say_to_model(struct chat *chat, const struct buf *text)
{
    struct vinci_error err = {0};
    size_t n = vinci_conversation_n_messages(chat->conversation);
    enum vinci_status status = chat_add_user(chat, text->data, text->size, &err);
    if (status == VINCI_OK) status = chat_turn(chat, &err);
    if (status == VINCI_OK || chat->view.failed) return status;
    say_error(chat->program, err.text);
    if (vinci_conversation_n_messages(chat->conversation) == n + 1)
        vinci_conversation_truncate(chat->conversation, n);
    return status == VINCI_DEVICE || status == VINCI_IO ? status : VINCI_OK;
}

static enum vinci_status session(struct chat *chat, const struct chat_args *args,
                                 struct vinci_error *err)
{
    struct buf text = {0};
    bool quit = false, first = true;
    enum vinci_status status = VINCI_OK;
    if (chat_input_is_terminal(chat->input))
        chat_view_note(&chat->view, _("%s, context of %u tokens; /help lists the commands"),
                       chat->model.name, chat->model.n_ctx);
    while (status == VINCI_OK && !quit) {
        enum chat_read read = chat_input_read(chat->input, &text);
        if (read == READ_END) break;
        if (read == READ_STOPPED) {
            if (!interrupt_forget() || !chat_input_is_terminal(chat->input)) break;
            chat_view_note(&chat->view, _("/quit or Ctrl-D ends the session"));
            continue;
        }
        const char *line = text.data;
        if (!line[strspn(line, " \t\r\n")] && !(first && args->files.n)) continue;
        if (line[0] == '/') {
            chat_command(chat, line, &quit);
            status = chat->view.failed ? VINCI_IO : VINCI_OK;
        } else {
            if (first) status = add_files(args, &text, err);
            first = false;
            if (status == VINCI_OK) status = say_to_model(chat, &text);
        }
        if (!interrupt_forget()) break;
    }
    buf_free(&text);
    return status;
}

static enum vinci_status save(struct chat *chat, const char *path, struct vinci_error *err)
{
    char *json = NULL;
    enum vinci_status status = chat_to_json(chat, &json, err);
    if (status == VINCI_OK) status = chat_write_file(path, json, err);
    free(json);
    return status;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    struct chat_args *args = arguments;
    struct chat chat = {.program = program, .tool = args->tool};
    if (args->json && !program->operand)
        return fail(err, VINCI_USAGE, "--json: give a QUESTION as well");
    if (args->tool.exec && !args->tools && !args->load && program->operand)
        return fail(err, VINCI_USAGE, "--tool-exec: give the functions with --tools as well");
    chat_view_init(&chat.view, program, (enum chat_reasoning)args->show_reasoning, args->json);
    enum vinci_status status = sampling_options_finish(&args->sampling, err);
    chat.sampling = args->sampling.sampling;
    chat.max_new_tokens = args->max_new_tokens;
    if (status == VINCI_OK) status = first_settings(&chat.settings, args, err);
    if (status == VINCI_OK) status = vinci_conversation_create(&chat.conversation, err);
    if (status == VINCI_OK) status = chat_apply_settings(chat.conversation, &chat.settings, err);
    if (status == VINCI_OK && args->load) status = load(&chat, args, err);
    if (status == VINCI_OK && args->save) status = chat_try_file(args->save, err);
    if (status == VINCI_OK)
        status = chat_model_open(&chat.model, program, &args->model, args->replay, err);
    if (status == VINCI_OK && program->operand) {
        status = one_question(&chat, args, program->operand, err);
    } else if (status == VINCI_OK) {
        status = chat_input_open(&chat.input, program, err);
        if (status == VINCI_OK) status = session(&chat, args, err);
    }
    if (args->save && chat.model.name[0]) { /* also what stood before something failed */
        bool told = status != VINCI_OK && status != VINCI_CANCELLED;
        struct vinci_error second = {0};
        enum vinci_status saved = save(&chat, args->save, told ? &second : err);
        if (saved != VINCI_OK && !told) status = saved;
    }
    chat_input_close(chat.input);
    chat_view_release(&chat.view);
    vinci_conversation_close(chat.conversation);
    chat_settings_release(&chat.settings);
    chat_model_close(&chat.model);
    return status;
}

const struct command command_chat = {
    .name = "chat",
    .summary = N_("talk with a model"),
    .operands = "[QUESTION]",
    .description = N_(
        "With a QUESTION: asks it and prints the answer. What comes by a pipe on standard input, "
        "and each --file, is put behind it. The answer alone goes to standard output; on a "
        "terminal its Markdown is rendered.\n\n"
        "Without one: a session, from the terminal (with editing, and a history of what was typed) "
        "or, line by line, from a pipe. A message of several lines has a backslash at the end of "
        "each but the last, or stands between two \"\"\". Lines that begin with / are commands; "
        "/help lists them. Ctrl-C stops an answer and keeps the session.\n\n"
        "The model calls a function of --tools; you are asked; --tool-exec runs, and what it "
        "prints goes back to the model, until that answers. A command that fails, takes too long "
        "or says too much is reported to the model. vinci itself runs nothing that a model wrote."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct chat_args),
    .init = init,
    .release = release,
    .run = run,
};
