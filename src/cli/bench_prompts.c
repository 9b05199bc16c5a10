/* bench_prompts.c - `vinci bench --prompts` and `--load`. */
#include "cli/bench_prompts.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/lang.h"
#include "bench/cold.h"
#include "bench/prompts.h"
#include "bench/samples.h"

#include <stdlib.h>
#include <string.h>

enum vinci_status bench_read_prompts(const char *path, struct buf *text, struct text_list *prompts,
                                     struct vinci_error *err)
{
    size_t n = 1;
    enum vinci_status status = read_input(path, text, err);
    if (status != VINCI_OK) return status;
    for (size_t i = 0; i < text->size; i++) n += text->data[i] == '\n';
    prompts->items = array_new_zero(n, sizeof *prompts->items);
    if (!prompts->items) return fail_memory(err, n * sizeof *prompts->items, "the prompts");
    for (char *line = text->data, *next = NULL; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        if (*line) prompts->items[prompts->n++] = line;
    }
    if (prompts->n == 0)
        return fail(err, VINCI_USAGE, "%s: expected prompts, one a line, it has none", path);
    return VINCI_OK;
}

/* The text's begin: at most n bytes, and no half of a character. */
static void begin_of(const char *text, char *out, size_t n)
{
    size_t end = strlen(text);
    if (end > n) {
        end = n;
        while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80) end--;
    }
    memcpy(out, text, end);
    out[end] = '\0';
}

enum vinci_status bench_compare_prompts(struct bench_record *record, struct vinci_engine *engine,
                                        const char *const *texts,
                                        const struct bench_prompt *prompts, size_t n,
                                        uint32_t max_new_tokens, uint32_t repeat,
                                        struct vinci_error *err)
{
    json_t *array = json_array();
    enum vinci_status status = VINCI_OK;
    json_object_set_new(record->root, "prompts", array);
    fprintf(record->table, _("prompts  medians of %u, %u tokens generated after each\n"), repeat,
            max_new_tokens);
    fputs(_("  no. tokens  first token   reading  generating  prompt\n"
            "                   seconds  tokens/s    tokens/s\n"),
          record->table);
    for (size_t i = 0; i < n && status == VINCI_OK; i++) {
        struct prompt_sample samples[PROMPTS_REPEAT_MAX];
        double first[PROMPTS_REPEAT_MAX] = {0}, decode[PROMPTS_REPEAT_MAX] = {0};
        json_t *firsts = json_array(), *decodes = json_array();
        char begin[81], start[31];
        double at = bench_record_time(record);
        status =
            prompts_measure(engine, &prompts[i], max_new_tokens, repeat, interrupted, samples, err);
        for (uint32_t k = 0; k < repeat && status == VINCI_OK; k++) {
            first[k] = samples[k].first_token_seconds;
            decode[k] = (samples[k].n_generated - 1) / samples[k].decode_seconds;
            json_array_append_new(firsts, json_real(first[k]));
            json_array_append_new(decodes, json_real(decode[k]));
        }
        if (status == VINCI_OK) {
            double wait = samples_median(first, repeat), speed = samples_median(decode, repeat);
            begin_of(texts[i], begin, sizeof begin - 1);
            begin_of(texts[i], start, sizeof start - 1);
            fprintf(record->table, "%5zu %6zu %12.4f %9.1f %11.2f  %s\n", i + 1, prompts[i].n, wait,
                    (double)prompts[i].n / wait, speed, start);
            json_t *row = json_pack(
                "{s:s*, s:I, s:f, s:f, s:f, s:O, s:O}", "text", begin, "tokens",
                (json_int_t)prompts[i].n, "first_token_seconds", wait, "prefill_tokens_per_second",
                (double)prompts[i].n / wait, "decode_tokens_per_second", speed,
                "samples_first_token_seconds", firsts, "samples_decode_tokens_per_second", decodes);
            bench_record_row(record, row, decode, repeat, at);
            json_array_append_new(array, row);
            if (fflush(record->table) != 0) status = VINCI_IO;
        }
        json_decref(firsts);
        json_decref(decodes);
    }
    return status;
}

/* ---- loading -------------------------------------------------------------------------------- */

struct load_times {
    double open[64], first[64], left;
};

static enum vinci_status load_once(const struct load_test *test, double *open, double *first,
                                   struct vinci_error *err)
{
    static const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct bench_prompt prompt = {ids, sizeof ids / sizeof *ids};
    struct loaded_model loaded = {0};
    struct vinci_request_options options;
    struct vinci_request *request = NULL;
    double start = seconds_now();
    enum vinci_status status = test->open(test->user, &loaded, err);
    *open = seconds_now() - start;
    vinci_request_options_init(&options);
    options.prompt = prompt.ids;
    options.n_prompt = prompt.n;
    options.max_new_tokens = 1;
    if (status == VINCI_OK) status = vinci_request_submit(&request, loaded.engine, &options, err);
    while (status == VINCI_OK && !vinci_request_done(request)) {
        size_t n_active = 0;
        status = interrupted() ? fail(err, VINCI_CANCELLED, "stopped")
                               : vinci_engine_step(loaded.engine, &n_active, err);
    }
    *first = seconds_now() - start;
    vinci_request_close(request);
    loaded_model_close(&loaded);
    return status;
}

enum vinci_status bench_load(struct bench_record *record, const struct load_test *test,
                             uint32_t repeat, struct vinci_error *err)
{
    static const char *const keys[] = {"cold", "warm"};
    static const char *const names[] = {N_("cold"), N_("warm")};
    enum vinci_status status = VINCI_OK;
    json_t *load = json_object();
    json_object_set_new(record->root, "load", load);
    fputs(_("load     opening, s  first token, s  in memory before\n"), record->table);
    for (int kind = 0; kind < 2 && status == VINCI_OK; kind++) {
        struct load_times times = {.left = 1};
        for (uint32_t i = 0; i < repeat && status == VINCI_OK; i++) {
            if (kind == 0) status = cold_evict(test->path, &times.left, err);
            if (status == VINCI_OK) status = load_once(test, &times.open[i], &times.first[i], err);
        }
        if (status != VINCI_OK) break;
        double open = samples_median(times.open, repeat),
               first = samples_median(times.first, repeat);
        /* The padding counts bytes; both words are short. */
        fprintf(record->table, "%s\t%11.4f %15.4f %14.0f %%\n", _(names[kind]), open, first,
                100 * times.left);
        json_t *opens = json_array(), *firsts = json_array();
        for (uint32_t i = 0; i < repeat; i++) {
            json_array_append_new(opens, json_real(times.open[i]));
            json_array_append_new(firsts, json_real(times.first[i]));
        }
        json_object_set_new(load, keys[kind],
                            json_pack("{s:f, s:f, s:f, s:o, s:o}", "open_seconds", open,
                                      "first_token_seconds", first, "in_memory_before", times.left,
                                      "samples_open_seconds", opens, "samples_first_token_seconds",
                                      firsts));
        if (kind == 0 && times.left > 0.05)
            say_warning(record->program,
                        _("the system kept a part of the files in memory: the cold times are too "
                          "short"));
    }
    return status;
}
