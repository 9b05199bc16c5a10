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
    {"json", 0, NULL, N_("print JSON: an array of the models, or what rm removed"), OPTION_FLAG,
     FIELD(json)},
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

/* "20.9B", "3.4M" parameters. */
static const char *format_count(uint64_t n, char text[16])
{
    bool small = n < 100000000;
    double value = (double)n / (small ? 1e6 : 1e9);
    snprintf(text, 16, value < 99.95 ? "%.1f%c" : "%.0f%c", value, small ? 'M' : 'B');
    return text;
}

/* False if vinci cannot run it. */
static bool describe(const struct hub_entry *entry, struct vinci_model_info *info)
{
    return vinci_model_describe(entry->model, info, NULL, NULL, NULL) == VINCI_OK;
}

static const char *dtype_of(const struct vinci_model_info *info)
{
    return info->n_dtypes ? info->dtypes[0].name : "";
}

static json_t *entry_json(const struct hub_entry *entry)
{
    struct vinci_model_info info;
    bool usable = describe(entry, &info);
    char name[300];
    snprintf(name, sizeof name, "%s%s", hub_prefix(entry->kind), entry->id);
    json_t *object =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:s, s:b}", "hub", hub_key(entry->kind), "model",
                  json_words(entry->id), "name", json_words(name), "path", json_words(entry->model),
                  "folder", json_words(entry->folder), "bytes", (json_int_t)entry->bytes, "state",
                  state_key(entry), "usable", usable);
    json_object_set_new(object, "parameters",
                        usable ? json_integer((json_int_t)info.n_params) : json_null());
    json_object_set_new(object, "dtype", usable ? json_string(dtype_of(&info)) : json_null());
    return object;
}

static enum vinci_status print_entries_json(const struct hub_entries *entries,
                                            struct vinci_error *err)
{
    json_t *array = json_array();
    for (size_t i = 0; i < entries->n; i++)
        json_array_append_new(array, entry_json(&entries->items[i]));
    return print_json(array, err);
}

static void print_list(const struct program *program, const struct hub_entries *entries)
{
    uint64_t total = 0;
    char bytes[16], count[16];
    for (size_t i = 0; i < entries->n; i++) {
        const struct hub_entry *entry = &entries->items[i];
        struct vinci_model_info info;
        char what[64] = "-";
        if (describe(entry, &info))
            snprintf(what, sizeof what, "%s %s", format_count(info.n_params, count),
                     dtype_of(&info));
        total += entry->bytes;
        const char *state = _(state_key(entry));
        printf("%10s  %-*s  %-14s  %s%s\n%12s%s\n", format_bytes(entry->bytes, bytes),
               text_field(state, 10), state, what, hub_prefix(entry->kind), entry->id, "",
               entry->model);
    }
    format_bytes(total, bytes);
    if (entries->n == 0)
        say(_("no models in %s and %s; `vinci pull openai-mirror/gpt-oss-20b` fetches one\n"),
            program->hub.modelscope ? program->hub.modelscope : "-",
            program->hub.huggingface ? program->hub.huggingface : "-");
    else if (entries->n == 1) say(_("1 model, %s\n"), bytes);
    else say(_("%zu models, %s\n"), entries->n, bytes);
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

static enum vinci_status remove_model(const struct hub_entries *entries, const char *name,
                                      const struct models_args *args, struct vinci_error *err)
{
    const struct hub_entry *entry = NULL;
    char bytes[16], answer[16] = "";
    enum vinci_status status = find_entry(entries, name, &entry, err);
    if (status != VINCI_OK) return status;
    format_bytes(entry->bytes, bytes);
    if (!args->yes) {
        if (!isatty(STDIN_FILENO))
            return fail(err, VINCI_USAGE, "%s: %s would be removed; --yes does it", entry->folder,
                        bytes);
        say(_("remove %s, %s? [y/N] "), entry->folder, bytes);
        if (!fgets(answer, sizeof answer, stdin) || !strchr("yY", answer[0]))
            return fail(err, VINCI_CANCELLED, "nothing was removed");
    }
    json_t *removed = args->json ? entry_json(entry) : NULL; /* while it can be read */
    status = hub_entry_remove(entry, err);
    if (status == VINCI_OK) say(_("removed %s, %s\n"), entry->folder, bytes);
    if (status == VINCI_OK && args->json)
        return print_json(json_pack("{s:o}", "removed", removed), err);
    json_decref(removed);
    return status;
}

static enum vinci_status list_or_remove(const struct program *program,
                                        const struct models_args *args, struct vinci_error *err)
{
    struct hub_entries entries;
    bool rm = program->n_operands > 0 && strcmp(program->operands[0], "rm") == 0;
    if (program->n_operands > 0 && !rm)
        return fail(err, VINCI_USAGE, "'%s': expected nothing, or rm and a model",
                    program->operands[0]);
    if (rm && program->n_operands != 2)
        return fail(err, VINCI_USAGE, "rm: which model? `vinci models` lists them");
    enum vinci_status status = hub_entries_read(&entries, &program->hub, err);
    if (status != VINCI_OK) return status;
    if (rm) status = remove_model(&entries, program->operands[1], args, err);
    else if (args->json) status = print_entries_json(&entries, err);
    else print_list(program, &entries);
    hub_entries_free(&entries);
    return status;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct models_args *args = arguments;
    enum vinci_status status = list_or_remove(program, args, err);
    if (args->json && status != VINCI_OK) print_json_failure(status, err);
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
