/* cmd_pull.c - `vinci pull`: fetches a model from a hub.
 *
 * Standard output is the path to give to --model, alone on a line, so that scripts can use it. */
#include "base/clock.h"
#include "base/lang.h"
#include "cli/command.h"
#include "cli/hub_options.h"
#include "cli/lang.h"
#include "cli/model_options.h"
#include "cli/print.h"

#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct pull_args {
    struct hub_options hub;
    struct text_list include, exclude;
    const char *local_dir, *revision;
    uint32_t connections;
    uint64_t piece;
    bool all, dry_run, json, quiet;
};

#define FIELD(name) .offset = offsetof(struct pull_args, name)

static const struct option_row what_rows[] = {
    {"revision", 0, "REVISION",
     N_("branch, tag or commit; default: master on ModelScope, main on Hugging Face"), OPTION_TEXT,
     FIELD(revision)},
    {"include", 0, "PATTERN...",
     N_("fetch the files that match, such as '*.json' or 'original/*'; several may stand behind "
        "it, "
        "and it may be given several times"),
     OPTION_LIST, FIELD(include), .several = true},
    {"exclude", 0, "PATTERN...", N_("leave out the files that match; several as with --include"),
     OPTION_LIST, FIELD(exclude), .several = true},
    {"all", 0, NULL,
     N_("everything in the repository, not only what vinci reads (of gpt-oss-20b three times as "
        "much)"),
     OPTION_FLAG, FIELD(all)},
    {"local-dir", 0, "DIR", N_("the folder to fetch into, instead of the hub's cache"), OPTION_TEXT,
     FIELD(local_dir), COMPLETE_FOLDER},
    {"dry-run", 0, NULL, N_("only list what would be fetched"), OPTION_FLAG, FIELD(dry_run)},
    {0}};

static const struct option_row how_rows[] = {
    {"connections", 0, "N", N_("parts of files fetched side by side; default: 8"), OPTION_U32,
     FIELD(connections), .min = 1, .max = 64},
    {"piece", 0, "SIZE",
     N_("how much is verified and kept at a time, the most that an interruption costs a "
        "connection; default: 4M"),
     OPTION_SIZE, FIELD(piece), .min = 1000, .max = 1e9},
    {0}};

static const struct option_row output_rows[] = {
    {"json", 0, NULL, N_("print one JSON object instead of the path"), OPTION_FLAG, FIELD(json)},
    {"quiet", 'q', NULL, N_("no progress, no summary"), OPTION_FLAG, FIELD(quiet)},
    {0}};

static const struct option_group groups[] = {
    {N_("What"), what_rows, 0},
    {N_("How"), how_rows, 0},
    {N_("Network"), hub_rows, offsetof(struct pull_args, hub)},
    {N_("Output"), output_rows, 0},
    {0}};

static const struct command_example examples[] = {
    {"pull openai-mirror/gpt-oss-20b",
     N_("from ModelScope; 'vinci chat -m' with this name runs it")},
    {"pull hf:openai/gpt-oss-20b", N_("from Hugging Face, or from where HF_ENDPOINT points")},
    {"pull openai-mirror/gpt-oss-20b --local-dir /data/gpt-oss-20b",
     N_("into a folder of your choice")},
    {"pull openai-mirror/gpt-oss-20b --include 'original/*'", N_("OpenAI's original layout")},
    {0}};

static void init(void *arguments)
{
    struct pull_args *args = arguments;
    hub_options_init(&args->hub);
    args->connections = 8;
    args->piece = 4 << 20;
}

static void release(void *arguments)
{
    struct pull_args *args = arguments;
    text_list_free(&args->include);
    text_list_free(&args->exclude);
}

/* What the callbacks need. */
struct pull_view {
    struct hub_display display;
    struct log_sink sink;
    bool dry_run, json, quiet;
    json_t *files; /* of a dry run with --json */
};

static void on_log(void *user, enum vinci_log_level level, const char *message)
{
    struct pull_view *view = user;
    if (level > view->sink.level) return;
    hub_display_clear(&view->display);
    log_to_stderr(&view->sink, level, message);
}

static void on_progress(void *user, const struct hub_progress *progress)
{
    struct pull_view *view = user;
    if (!view->quiet) hub_display_update(&view->display, progress);
}

static void on_planned(void *user, const struct hub_file *file, bool here)
{
    struct pull_view *view = user;
    char bytes[16];
    if (!view->dry_run) return;
    if (view->json) {
        json_array_append_new(view->files, json_pack("{s:s, s:I, s:b, s:s}", "path", file->path,
                                                     "size", (json_int_t)file->size, "here", here,
                                                     "digest", file->digest.hex));
        return;
    }
    const char *state = here ? _("here") : _("fetch");
    printf("%-*s  %10s  %s\n", text_field(state, 5), state, format_bytes(file->size, bytes),
           file->path);
}

static enum vinci_status print_result_json(const struct pull_view *view,
                                           const struct hub_model *model,
                                           const struct hub_pull_result *result, double seconds,
                                           struct vinci_error *err)
{
    json_t *root = json_pack("{s:s, s:s, s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:f, s:b, s:O?}", "hub",
                             hub_key(model->kind), "model", model->id, "revision", model->revision,
                             "path", json_words(result->path), "commit", result->commit, "files",
                             (json_int_t)result->n_files, "bytes", (json_int_t)result->bytes,
                             "fetched_files", (json_int_t)result->n_fetched, "fetched_bytes",
                             (json_int_t)result->fetched_bytes, "seconds", seconds, "offline",
                             result->offline, "plan", view->dry_run ? view->files : NULL);
    return print_json(root, err);
}

static void summarise(const struct program *program, const struct hub_pull_result *result,
                      double seconds)
{
    char bytes[16], speed[16];
    if (result->offline) {
        say_warning(program, _("the hub cannot be reached; all files of the last pull are here"));
    } else if (result->n_fetched == 0) {
        format_bytes(result->bytes, bytes);
        if (result->n_files == 1) say(_("complete: 1 file, %s\n"), bytes);
        else say(_("complete: %zu files, %s\n"), result->n_files, bytes);
    } else {
        format_bytes(seconds > 0 ? (uint64_t)((double)result->fetched_bytes / seconds) : 0, speed);
        format_bytes(result->fetched_bytes, bytes);
        if (result->n_fetched == 1)
            say(_("fetched 1 file, %s in %.1f s, %s/s; verified\n"), bytes, seconds, speed);
        else
            say(_("fetched %zu files, %s in %.1f s, %s/s; all verified\n"), result->n_fetched,
                bytes, seconds, speed);
    }
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct pull_args *args = arguments;
    struct pull_view view = {.display = {.program = program},
                             .sink = {program, (enum vinci_log_level)args->hub.log_level},
                             .dry_run = args->dry_run,
                             .json = args->json,
                             .quiet = args->quiet};
    struct hub_connection connection = {0};
    struct hub_pull_result result = {0};
    struct hub_pull_options options = {.caches = program->hub,
                                       .local_dir = args->local_dir,
                                       .selection = {args->include.items, args->exclude.items,
                                                     args->include.n, args->exclude.n, args->all},
                                       .n_connections = args->connections,
                                       .piece_bytes = (uint32_t)args->piece,
                                       .range_pieces = 16,
                                       .dry_run = args->dry_run,
                                       .log = on_log,
                                       .log_user = &view,
                                       .progress = on_progress,
                                       .planned = on_planned,
                                       .user = &view};
    enum vinci_status status =
        program->operand ? hub_model_parse(program->operand, &options.model, err)
                         : fail(err, VINCI_USAGE,
                                "which model? `vinci pull openai-mirror/gpt-oss-20b` fetches the "
                                "smaller one");
    if (status == VINCI_OK && args->local_dir && !*args->local_dir)
        status = fail(err, VINCI_USAGE, "--local-dir: expected a folder, got ''");
    if (status == VINCI_OK && args->revision && !*args->revision)
        status = fail(err, VINCI_USAGE, "--revision: expected a branch, tag or commit, got ''");
    if (status != VINCI_OK) goto cleanup;
    bool hf = options.model.kind == HUB_HUGGINGFACE;
    options.model.revision = args->revision ? args->revision : hf ? "main" : "master";
    status = hub_connection_open(&connection, program, options.model.kind, &args->hub, err);
    if (status != VINCI_OK) goto cleanup;
    options.http = connection.http;
    view.files = json_array();
    double start = seconds_now();
    status = hub_pull(&options, &result, err);
    hub_display_clear(&view.display);
    if (status != VINCI_OK) goto cleanup;
    double seconds = seconds_now() - start;
    if (args->json) status = print_result_json(&view, &options.model, &result, seconds, err);
    else if (!args->dry_run) printf("%s\n", result.path);
    if (!args->quiet && !args->dry_run) summarise(program, &result, seconds);
cleanup:
    if (args->json && status != VINCI_OK) print_json_failure(status, err);
    json_decref(view.files);
    hub_pull_result_free(&result);
    hub_connection_close(&connection);
    return status;
}

const struct command command_pull = {
    .name = "pull",
    .summary = N_("fetch a model from ModelScope or Hugging Face"),
    .operands = "MODEL",
    .description =
        N_("MODEL is OWNER/NAME on ModelScope, or hf:OWNER/NAME on Hugging Face; the address of "
           "the model's page does too. Only the files that vinci reads are fetched. They go to the "
           "cache of the hub's own tool, where --model finds them by the same name.\n\n"
           "Whatever interrupts it, the same command goes on where it was: what had arrived is "
           "read again and compared before it counts. Every file is compared with the hub's "
           "SHA-256 while it arrives and appears under its name only when it is right. Run again, "
           "it asks the hub for changes and says that all is complete."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct pull_args),
    .init = init,
    .release = release,
    .run = run,
};
