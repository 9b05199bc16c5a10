/* cmd_tokenize.c - `vinci tokenize`: text to token ids and back, for people and for tests. */
#include "base/buf.h"
#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/tokenize.h"

#include <stddef.h>
#include <string.h>

struct tokenize_args {
    struct model_options model;
    const char *text, *file;
    bool special, jsonl, ids;
};

#define FIELD(name) .offset = offsetof(struct tokenize_args, name)

static const struct option_row input_rows[] = {
    {"text", 0, "TEXT", N_("the text"), OPTION_TEXT, FIELD(text)},
    {"file", 'f', "FILE", N_("read the text from FILE, or from standard input for -"), OPTION_TEXT,
     FIELD(file), COMPLETE_FILE},
    {"special", 0, NULL, N_("recognise special tokens such as <|start|> in the text"), OPTION_FLAG,
     FIELD(special)},
    {"jsonl", 0, NULL,
     N_("read lines {\"text\": ...}, {\"hex\": ...} or {\"ids\": [...]} from standard input and "
        "answer each with a line"),
     OPTION_FLAG, FIELD(jsonl)},
    {0}};

static const struct option_row output_rows[] = {
    {"ids", 0, NULL, N_("print the ids alone, on one line"), OPTION_FLAG, FIELD(ids)}, {0}};

static const struct option_group groups[] = {
    {N_("Tokenizer"), tokenizer_rows, offsetof(struct tokenize_args, model)},
    {N_("Model"), model_rows, offsetof(struct tokenize_args, model)},
    {N_("Input"), input_rows, 0},
    {N_("Output"), output_rows, 0},
    {0}};

static const struct command_example examples[] = {
    {"tokenize -m gpt-oss-20b --text 'Hello, world'", N_("ids and pieces")},
    {"tokenize -m gpt-oss-20b --ids -f story.txt > story.ids", N_("for --ids of other commands")},
    {0}};

static void init(void *arguments)
{
    model_options_init(&((struct tokenize_args *)arguments)->model);
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct tokenize_args *args = arguments;
    struct vinci_tokenizer *tokenizer = NULL;
    struct buf text = {0};
    if (args->jsonl + (args->text != NULL) + (args->file != NULL) != 1)
        return fail(err, VINCI_USAGE, "give one of --text, --file and --jsonl");
    enum vinci_status status = model_tokenizer(&tokenizer, program, &args->model, err);
    if (status == VINCI_OK && args->file) status = read_input(args->file, &text, err);
    if (status == VINCI_OK && args->jsonl) {
        status = tokenize_lines(tokenizer, args->special, err);
    } else if (status == VINCI_OK) {
        const char *bytes = args->text ? args->text : text.data;
        size_t n = args->text ? strlen(args->text) : text.size;
        status = tokenize_show(tokenizer, bytes, n, args->special, args->ids, err);
    }
    buf_free(&text);
    vinci_tokenizer_close(tokenizer);
    return status;
}

const struct command command_tokenize = {
    .name = "tokenize",
    .summary = N_("show a text's token ids, and text from ids"),
    .operands = "",
    .description = N_("Prints a line for each token: its id and its bytes as a JSON string; or the "
                      "ids alone with --ids.\n\n"
                      "With --jsonl, each line {\"text\": ...} or {\"hex\": ...} (raw bytes) of "
                      "standard input is answered with {\"ids\": [...]}, and each line {\"ids\": "
                      "[...]} with {\"hex\": ..., \"stream\": [...]}: the exact bytes, and what "
                      "becomes showable after each token and at the end."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct tokenize_args),
    .init = init,
    .run = run,
};
