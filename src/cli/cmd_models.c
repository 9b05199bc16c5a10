/* cmd_models.c - `vinci models`: what is in the hubs' caches, and removing it. */
#include "base/lang.h"
#include "cli/command.h"
#include "cli/hub_options.h"
#include "cli/lang.h"
#include "cli/print.h"
#include "hub/place.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct models_args {
    bool json, yes;
};

#define FIELD(name) .offset = offsetof(struct models_args, name)

static const struct option_row rows[] = {
    {"json", 0, NULL, N_("print a JSON array"), OPTION_FLAG, FIELD(json)},
    {"yes", 'y', NULL, N_("rm: do not ask"), OPTION_FLAG, FIELD(yes)},
    {0}};

static const struct option_group groups[] = {{N_("Options"), rows, 0}, {0}};

static const struct command_example examples[] = {
    {"models", N_("a line for each model: size, state, what it is, name, folder")},
    {"models rm openai-mirror/gpt-oss-20b", N_("removes its files, after asking")},
    {0}};

/* Keys of --json; what people read is their translation. */
static const char *state_key(const struct hub_entry *entry)
{
    return entry->complete ? N_("verified") : entry->recorded ? N_("incomplete") : N_("unverified");
}

/* What the model is in a few words, "" if vinci cannot run it. */
static void describe(const struct hub_entry *entry, char text[64])
{
    struct vinci_model_info info;
    text[0] = '\0';
    if (vinci_model_describe(entry->model, &info, NULL, NULL, NULL) != VINCI_OK) return;
    snprintf(text, 64, "%.1fB %s", (double)info.n_params / 1e9,
             info.n_dtypes ? info.dtypes[0].name : "");
}

static enum vinci_status print_entries_json(const struct hub_entries *entries,
                                            struct vinci_error *err)
{
    json_t *array = json_array();
    for (size_t i = 0; i < entries->n; i++) {
        const struct hub_entry *entry = &entries->items[i];
        char what[64];
        describe(entry, what);
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:b}", "hub",
                             entry->kind == HUB_HUGGINGFACE ? "huggingface" : "modelscope", "model",
                             entry->id, "path", entry->model, "folder", entry->folder, "bytes",
                             (json_int_t)entry->bytes, "state", state_key(entry), "usable",
                             what[0] != '\0'));
    }
    return print_json(array, err);
}

static void print_list(const struct program *program, const struct hub_entries *entries)
{
    uint64_t total = 0;
    char bytes[16];
    for (size_t i = 0; i < entries->n; i++) {
        const struct hub_entry *entry = &entries->items[i];
        char what[64];
        describe(entry, what);
        total += entry->bytes;
        const char *state = _(state_key(entry));
        printf("%10s  %-*s  %-14s  %s%s\n%38s  %s\n", format_bytes(entry->bytes, bytes),
               text_field(state, 10), state, *what ? what : "-",
               entry->kind == HUB_HUGGINGFACE ? "hf:" : "", entry->id, "", entry->model);
    }
    if (entries->n == 0)
        say(_("no models in %s and %s; `vinci pull openai-mirror/gpt-oss-20b` fetches one\n"),
            program->hub.modelscope ? program->hub.modelscope : "-",
            program->hub.huggingface ? program->hub.huggingface : "-");
    else say(_("%zu models, %s\n"), entries->n, format_bytes(total, bytes));
}

static enum vinci_status find_entry(const struct hub_entries *entries, const char *name,
                                    const struct hub_entry **out, struct vinci_error *err)
{
    struct hub_model model = {0};
    bool plain = hub_model_parse(name, &model, NULL) == VINCI_OK && strcmp(model.id, name) == 0;
    *out = NULL;
    for (size_t i = 0; i < entries->n; i++) {
        const struct hub_entry *entry = &entries->items[i];
        bool same = strcmp(entry->id, model.id) == 0 && (plain || entry->kind == model.kind);
        if (!same && strcmp(entry->folder, name) != 0 && strcmp(entry->model, name) != 0) continue;
        if (*out)
            return fail(err, VINCI_USAGE, "%s: it is there twice, give the folder: %s or %s", name,
                        (*out)->folder, entry->folder);
        *out = entry;
    }
    if (*out) return VINCI_OK;
    return fail(err, VINCI_NOT_FOUND, "%s: not in the hubs' caches; `vinci models` lists them",
                name);
}

static enum vinci_status remove_model(const struct hub_entries *entries, const char *name, bool yes,
                                      struct vinci_error *err)
{
    const struct hub_entry *entry = NULL;
    char bytes[16], answer[16] = "";
    enum vinci_status status = find_entry(entries, name, &entry, err);
    if (status != VINCI_OK) return status;
    format_bytes(entry->bytes, bytes);
    if (!yes) {
        if (!isatty(STDIN_FILENO))
            return fail(err, VINCI_USAGE, "%s: %s would be removed; --yes does it", entry->folder,
                        bytes);
        say(_("remove %s, %s? [y/N] "), entry->folder, bytes);
        if (!fgets(answer, sizeof answer, stdin) || !strchr("yY", answer[0]))
            return fail(err, VINCI_CANCELLED, "nothing was removed");
    }
    status = hub_entry_remove(entry, err);
    if (status == VINCI_OK) say(_("removed %s, %s\n"), entry->folder, bytes);
    return status;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct models_args *args = arguments;
    struct hub_entries entries;
    bool rm = program->n_operands > 0 && strcmp(program->operands[0], "rm") == 0;
    if (program->n_operands > 0 && !rm)
        return fail(err, VINCI_USAGE, "'%s': expected nothing, or rm and a model",
                    program->operands[0]);
    if (rm && program->n_operands != 2)
        return fail(err, VINCI_USAGE, "rm: which model? `vinci models` lists them");
    enum vinci_status status = hub_entries_read(&entries, &program->hub, err);
    if (status != VINCI_OK) return status;
    if (rm) status = remove_model(&entries, program->operands[1], args->yes, err);
    else if (args->json) status = print_entries_json(&entries, err);
    else print_list(program, &entries);
    hub_entries_free(&entries);
    return status;
}

const struct command command_models = {
    .name = "models",
    .summary = N_("list the models that are here, or remove one"),
    .operands = "[rm MODEL]",
    .n_operands_max = 2,
    .description =
        N_("Lists what is in the caches of ModelScope's and Hugging Face's own tools, where 'vinci "
           "pull' keeps models too: size, state, what it is, the name for --model and its folder. "
           "The state is 'verified' for what 'vinci pull' brought whole, 'incomplete' for what is "
           "on the way, 'unverified' for what another tool fetched. 'rm' removes a model by its "
           "name or folder; folders outside the caches are never touched."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct models_args),
    .run = run,
};
