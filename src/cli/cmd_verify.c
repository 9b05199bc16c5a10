/* cmd_verify.c - `vinci verify`: are a model's files what the hub says they are? */
#include "base/lang.h"
#include "cli/command.h"
#include "cli/hub_options.h"
#include "cli/lang.h"
#include "cli/print.h"
#include "hub/place.h"
#include "hub/record.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct verify_args {
    struct hub_options hub;
    const char *revision;
    bool json;
};

#define FIELD(name) .offset = offsetof(struct verify_args, name)

static const struct option_row rows[] = {
    {"revision", 0, "REVISION", N_("where the hub is asked: branch, tag or commit"), OPTION_TEXT,
     FIELD(revision)},
    {"json", 0, NULL, N_("print one JSON object"), OPTION_FLAG, FIELD(json)},
    {0}};

static const struct option_group groups[] = {
    {N_("Options"), rows, 0}, {N_("Network"), hub_rows, offsetof(struct verify_args, hub)}, {0}};

static const struct command_example examples[] = {
    {"verify openai-mirror/gpt-oss-20b", N_("the model in ModelScope's cache")},
    {"verify /data/gpt-oss-20b", N_("a folder that `vinci pull --local-dir` filled")},
    {0}};

static void init(void *arguments)
{
    hub_options_init(&((struct verify_args *)arguments)->hub);
}

struct verify_view {
    struct hub_display display;
    json_t *files; /* NULL: people's text */
};

static void on_progress(void *user, const struct hub_progress *progress)
{
    hub_display_update(&((struct verify_view *)user)->display, progress);
}

static void on_verdict(void *user, const char *path, uint64_t size, enum hub_verdict verdict)
{
    static const char *const keys[] = {"good", "bad", "missing"};
    static const char *const texts[] = {N_("good"), N_("BAD"), N_("MISSING")};
    struct verify_view *view = user;
    char bytes[16];
    if (view->files) {
        json_array_append_new(view->files, json_pack("{s:s, s:I, s:s}", "path", path, "size",
                                                     (json_int_t)size, "verdict", keys[verdict]));
        return;
    }
    hub_display_clear(&view->display);
    const char *text = _(texts[verdict]);
    printf("%-*s  %10s  %s\n", text_field(text, 8), text, format_bytes(size, bytes), path);
}

static bool stop_asked(void *user)
{
    (void)user;
    return interrupted();
}

/* A folder, or the name of a model that is in a cache: then `model` says what to ask the hub. */
static enum vinci_status find_folder(const struct program *program, const char *name,
                                     struct hub_model *model, bool *on_hub, char *path, size_t size,
                                     struct vinci_error *err)
{
    struct stat st;
    *on_hub = false;
    if (stat(name, &st) == 0) {
        if (strlen(name) >= size || !S_ISDIR(st.st_mode))
            return fail(err, VINCI_USAGE, "%s: expected a model's folder or its name on a hub",
                        name);
        memcpy(path, name, strlen(name) + 1);
        return VINCI_OK;
    }
    if (name[0] == '/' || name[0] == '.')
        return fail(err, VINCI_NOT_FOUND,
                    "%s: no such folder; expected a model's folder or its "
                    "name on a hub",
                    name);
    enum vinci_status status = hub_model_parse(name, model, err);
    if (status != VINCI_OK) return status;
    *on_hub = true;
    struct vinci_caches caches = program->hub;
    bool plain = strcmp(name, model->id) == 0; /* in whichever cache it is */
    if (!plain && model->kind == HUB_HUGGINGFACE) caches.modelscope = NULL;
    if (!plain && model->kind == HUB_MODELSCOPE) caches.huggingface = NULL;
    status = vinci_model_find(model->id, &caches, path, size, err);
    if (status == VINCI_OK && plain && caches.huggingface &&
        strncmp(path, caches.huggingface, strlen(caches.huggingface)) == 0)
        model->kind = HUB_HUGGINGFACE;
    /* One that is on the way is no model yet, but has its folder. */
    struct hub_place place = {.lock = -1};
    struct record record = {0};
    for (int kind = 0; kind < 2 && status == VINCI_NOT_FOUND; kind++) {
        struct hub_model other = *model;
        other.kind = kind == 0 ? HUB_MODELSCOPE : HUB_HUGGINGFACE;
        if ((!plain && other.kind != model->kind) ||
            !(other.kind == HUB_HUGGINGFACE ? caches.huggingface : caches.modelscope) ||
            hub_place_find(&place, &other, &caches, NULL, NULL) != VINCI_OK)
            continue;
        if (record_read(&record, place.folder, NULL) == VINCI_OK && record.id &&
            strlen(place.folder) < size) {
            memcpy(path, place.folder, strlen(place.folder) + 1);
            model->kind = other.kind;
            status = VINCI_OK;
        }
        record_free(&record);
        hub_place_free(&place);
    }
    return status;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct verify_args *args = arguments;
    struct verify_view view = {.display = {.program = program}};
    struct hub_connection connection = {0};
    struct hub_model model = {0};
    bool on_hub = false;
    char path[4096];
    enum vinci_status status =
        program->operand
            ? find_folder(program, program->operand, &model, &on_hub, path, sizeof path, err)
            : fail(err, VINCI_USAGE, "which model? `vinci models` lists what is here");
    if (status != VINCI_OK) goto cleanup;
    bool hf = model.kind == HUB_HUGGINGFACE;
    model.revision = args->revision ? args->revision : hf ? "main" : "master";
    if (on_hub) status = hub_connection_open(&connection, program, model.kind, &args->hub, err);
    if (status != VINCI_OK) goto cleanup;
    if (args->json) view.files = json_array();
    struct hub_verify_options options = {.folder = path,
                                         .http = on_hub ? &connection.http : NULL,
                                         .model = on_hub ? &model : NULL,
                                         .stop = stop_asked,
                                         .progress = on_progress,
                                         .verdict = on_verdict,
                                         .user = &view};
    status = hub_verify(&options, err);
    hub_display_clear(&view.display);
    if (args->json && (status == VINCI_OK || status == VINCI_BAD_FILE)) {
        json_t *root = json_pack("{s:o, s:b, s:O}", "path", json_words(path), "good",
                                 status == VINCI_OK, "files", view.files);
        if (root && status != VINCI_OK) {
            json_object_set_new(root, "error", json_words(err->text));
            json_object_set_new(root, "exit_code", json_integer(status));
        }
        enum vinci_status printed = print_json(root, err);
        if (printed != VINCI_OK) status = printed;
    }
cleanup:
    if (args->json && status != VINCI_OK && status != VINCI_BAD_FILE)
        print_json_failure(status, err);
    json_decref(view.files);
    hub_connection_close(&connection);
    return status;
}

const struct command command_verify = {
    .name = "verify",
    .summary = N_("check a model's files against the hub's digests"),
    .operands = "MODEL",
    .description =
        N_("Reads every file of a model again and compares it with its SHA-256: the one that "
           "'vinci pull' noted, the one by which Hugging Face's cache names it, or the one that "
           "the hub says. MODEL is a name as for 'vinci pull', or a folder. A file that is bad or "
           "missing gives exit code 5; 'vinci pull' then fetches it again."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct verify_args),
    .init = init,
    .run = run,
};
