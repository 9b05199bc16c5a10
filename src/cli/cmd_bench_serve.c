/* cmd_bench_serve.c - `vinci bench serve`: drives any server of the OpenAI API with many requests
 * and prints throughput and latencies. Options and JSON keys are those of vLLM's `bench serve`, so
 * that scripts and dashboards made for it work; the keys may grow, never change. */
#include "base/buf.h"
#include "base/lang.h"
#include "base/random.h"
#include "bench/load.h"
#include "cli/bench_record.h"
#include "cli/command.h"
#include "cli/print.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct serve_args {
    const char *base_url, *endpoint, *model, *tokenizer, *key_file, *prompts, *rate, *percentiles;
    const char *goodput, *result;
    uint32_t input_len, output_len, num_prompts, max_concurrency, warmups;
    float range_ratio, burstiness, temperature, timeout;
    uint64_t seed;
    bool ignore_eos;
};

enum { NUM_PROMPTS = 100, INPUT_LEN = 512, OUTPUT_LEN = 128, TIMEOUT = 3600, WARMUPS = 1 };

#define FIELD(name) .offset = offsetof(struct serve_args, name)

static const struct option_row server_rows[] = {
    {"base-url", 0, "URL", N_("the server; default: http://127.0.0.1:8000"), OPTION_TEXT,
     FIELD(base_url)},
    {"endpoint", 0, "PATH", N_("/v1/chat/completions or /v1/completions; default: the first"),
     OPTION_TEXT, FIELD(endpoint), COMPLETE_WORDS, "/v1/chat/completions|/v1/completions"},
    {"model", 0, "NAME", N_("the model's name there; default: the first it lists"), OPTION_TEXT,
     FIELD(model)},
    {"api-key-file", 0, "FILE", N_("a file whose first line is sent as key"), OPTION_TEXT,
     FIELD(key_file), COMPLETE_FILE},
    {0}};

static const struct option_row load_rows[] = {
    {"num-prompts", 0, "N", N_("requests in all; default: 100"), OPTION_U32, FIELD(num_prompts),
     .min = 1, .max = 1000000},
    {"request-rate", 0, "RATE", N_("requests per second, or inf: all at once; default: inf"),
     OPTION_TEXT, FIELD(rate)},
    {"burstiness", 0, "X", N_("shape of the gaps' gamma distribution; 1, the default: Poisson"),
     OPTION_FLOAT, FIELD(burstiness), .min = .01, .max = 1000},
    {"max-concurrency", 0, "N", N_("requests under way at once; default: no limit"), OPTION_U32,
     FIELD(max_concurrency)},
    {"random-input-len", 0, "N", N_("tokens of a prompt, without the chat's frame; default: 512"),
     OPTION_U32, FIELD(input_len), .min = 1, .max = 1000000},
    {"random-output-len", 0, "N", N_("tokens to generate; default: 128"), OPTION_U32,
     FIELD(output_len), .min = 1, .max = 1000000},
    {"random-range-ratio", 0, "R",
     N_("lengths vary by this share to both sides, 0 to 1; default: 0"), OPTION_FLOAT,
     FIELD(range_ratio), .max = 1},
    {"prompts", 0, "FILE", N_("prompts from a file, a line each, in turn, instead of random ones"),
     OPTION_TEXT, FIELD(prompts), COMPLETE_FILE},
    {"tokenizer", 0, "FILE",
     N_("makes random prompts of exactly so many tokens; without it, of so many short words"),
     OPTION_TEXT, FIELD(tokenizer), COMPLETE_FILE},
    {"num-warmups", 0, "N", N_("requests before the measured ones; default: 1"), OPTION_U32,
     FIELD(warmups)},
    {"ignore-eos", 0, NULL, N_("ask for all tokens, whatever the model says (vLLM, vinci)"),
     OPTION_FLAG, FIELD(ignore_eos)},
    {"temperature", 0, "T", N_("default: 0"), OPTION_FLOAT, FIELD(temperature), .max = 10},
    {"seed", 0, "N", N_("same seed, same prompts and gaps; default: 0"), OPTION_U64, FIELD(seed)},
    {"timeout", 0, "SECONDS", N_("that one request may take; default: 3600"), OPTION_FLOAT,
     FIELD(timeout), .min = .1, .max = 1e6},
    {0}};

static const struct option_row report_rows[] = {
    {"metric-percentiles", 0, "LIST", N_("percentiles to print; default: 50,90,99"), OPTION_TEXT,
     FIELD(percentiles)},
    {"goodput", 0, "LIST",
     N_("limits in ms, as ttft:500,tpot:50,e2el:10000: requests per second that keep all of them"),
     OPTION_TEXT, FIELD(goodput)},
    {"json", 0, "FILE", N_("also write figures and samples as JSON; - for standard output"),
     OPTION_TEXT, FIELD(result), COMPLETE_FILE},
    {0}};

static const struct option_group groups[] = {{N_("Server"), server_rows, 0},
                                             {N_("Load"), load_rows, 0},
                                             {N_("Report"), report_rows, 0},
                                             {0}};

static const struct command_example examples[] = {
    {"bench serve --num-prompts 64 --max-concurrency 16", N_("16 clients, 64 requests")},
    {"bench serve --request-rate 2 --random-input-len 1024 --json r.json",
     N_("two requests a second, as they come in life")},
    {"bench --from r.json --report r.html", N_("a page of charts of what was measured")},
    {0}};

static void init(void *arguments)
{
    *(struct serve_args *)arguments = (struct serve_args){.base_url = "http://127.0.0.1:8000",
                                                          .endpoint = "/v1/chat/completions",
                                                          .rate = "inf",
                                                          .percentiles = "50,90,99",
                                                          .num_prompts = NUM_PROMPTS,
                                                          .input_len = INPUT_LEN,
                                                          .output_len = OUTPUT_LEN,
                                                          .warmups = WARMUPS,
                                                          .burstiness = 1,
                                                          .timeout = TIMEOUT};
}

/* ---- prompts ------------------------------------------------------------------------------- */

/* Common words, one token each in the usual vocabularies. */
static const char *const words[] = {
    "time",  "year",  "people", "way",   "day",  "man",   "thing", "woman", "life",
    "child", "world", "part",   "place", "case", "week",  "point", "home",  "water",
    "room",  "area",  "money",  "story", "fact", "month", "lot",   "right", "study",
    "book",  "eye",   "job",    "word",  "side", "kind",  "head",  "house", "page",
    "hand",  "work",  "line",   "game",  "city", "table", "food",  "car"};

/* A length within ratio of n. */
static uint32_t vary(uint32_t n, double ratio, uint64_t seed, uint32_t index)
{
    double low = floor(n * (1 - ratio)), high = ceil(n * (1 + ratio));
    double value = low + random_uniform(seed, index) * (high - low + 1);
    return value < 1 ? 1 : value > high ? (uint32_t)high : (uint32_t)value;
}

static enum vinci_status random_words(uint32_t n, uint64_t seed, struct buf *out,
                                      struct vinci_error *err)
{
    const uint64_t n_words = sizeof words / sizeof *words;
    for (uint32_t i = 0; i < n; i++)
        if (!buf_printf(out, "%s%s", i > 0 ? " " : "", words[random_u64(seed, i) % n_words]))
            return fail_memory(err, out->size, "a prompt");
    return VINCI_OK;
}

/* Words are added until there are enough tokens; then the last tokens are cut off. */
static enum vinci_status random_tokens(const struct vinci_tokenizer *tokenizer, uint32_t n,
                                       uint64_t seed, struct buf *out, struct vinci_error *err)
{
    int32_t *ids = NULL;
    char *text = NULL;
    size_t n_ids = 0, n_bytes = 0;
    enum vinci_status status = random_words(n, seed, out, err);
    if (status == VINCI_OK)
        status = vinci_tokenize(tokenizer, out->data, out->size, false, &ids, &n_ids, err);
    if (status == VINCI_OK)
        status = vinci_detokenize(tokenizer, ids, n_ids < n ? n_ids : n, &text, &n_bytes, err);
    if (status == VINCI_OK) {
        out->size = 0;
        if (!buf_append(out, text, n_bytes)) status = fail_memory(err, n_bytes, "a prompt");
    }
    vinci_free(ids);
    vinci_free(text);
    return status;
}

/* Prompts one after the other in one buffer, each with a NUL behind it. */
struct prompts {
    struct buf text;
    size_t *first; /* [n] */
};

static enum vinci_status make_random(const struct serve_args *args, uint32_t n,
                                     struct prompts *prompts, struct vinci_error *err)
{
    struct vinci_tokenizer *tokenizer = NULL;
    struct buf one = {0};
    enum vinci_status status = VINCI_OK;
    if (args->tokenizer) status = vinci_tokenizer_open(&tokenizer, args->tokenizer, err);
    for (uint32_t i = 0; status == VINCI_OK && i < n; i++) {
        uint64_t seed = random_u64(args->seed, i);
        uint32_t length = vary(args->input_len, (double)args->range_ratio, args->seed + 1, i);
        one.size = 0;
        status = tokenizer ? random_tokens(tokenizer, length, seed, &one, err)
                           : random_words(length, seed, &one, err);
        prompts->first[i] = prompts->text.size;
        if (status == VINCI_OK &&
            !(buf_append(&prompts->text, one.data, one.size) && buf_append(&prompts->text, "", 1)))
            status = fail_memory(err, one.size, "the prompts");
    }
    vinci_tokenizer_close(tokenizer);
    buf_free(&one);
    return status;
}

static enum vinci_status read_prompts(const struct serve_args *args, uint32_t n,
                                      struct prompts *prompts, struct vinci_error *err)
{
    uint32_t n_lines = 0;
    enum vinci_status status = read_input(args->prompts, &prompts->text, err);
    if (status != VINCI_OK) return status;
    char *text = prompts->text.data, *end = text + prompts->text.size;
    for (char *line = text; line && line < end && n_lines < n;) {
        size_t length = strcspn(line, "\r\n");
        if (length > 0) prompts->first[n_lines++] = (size_t)(line - text);
        line += length;
        while (line < end && (*line == '\r' || *line == '\n')) *line++ = '\0';
    }
    if (n_lines == 0) return fail(err, VINCI_USAGE, "%s: no prompt in it", args->prompts);
    for (uint32_t i = n_lines; i < n; i++) prompts->first[i] = prompts->first[i - n_lines];
    return VINCI_OK;
}

/* ---- figures ------------------------------------------------------------------------------- */

enum metric { TTFT, TPOT, ITL, E2EL, N_METRICS };
static const char *const metric_keys[N_METRICS] = {"ttft", "tpot", "itl", "e2el"};
static const char *const metric_names[N_METRICS] = {N_("first token"), N_("per token after it"),
                                                    N_("between tokens"), N_("whole request")};

enum { PERCENTILES_MAX = 16 };

struct metric_figures {
    double *ms; /* [n], sorted */
    uint32_t n;
    double mean, median, std, percentiles[PERCENTILES_MAX];
};

struct result {
    struct metric_figures metrics[N_METRICS];
    double wanted[PERCENTILES_MAX], limits[N_METRICS]; /* limits: ms, 0: none */
    uint32_t n_wanted, n_completed, n_failed, n_good;
    uint64_t n_input, n_output;
    double seconds;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void summarise(struct metric_figures *m, const struct result *result)
{
    if (m->n == 0) return;
    double sum = 0, squares = 0;
    qsort(m->ms, m->n, sizeof *m->ms, by_size);
    for (uint32_t i = 0; i < m->n; i++) sum += m->ms[i];
    m->mean = sum / m->n;
    for (uint32_t i = 0; i < m->n; i++) squares += (m->ms[i] - m->mean) * (m->ms[i] - m->mean);
    m->std = sqrt(squares / m->n);
    m->median = load_percentile(m->ms, m->n, 50);
    for (uint32_t i = 0; i < result->n_wanted; i++)
        m->percentiles[i] = load_percentile(m->ms, m->n, result->wanted[i]);
}

static void add_request(struct result *result, const struct load_request *r)
{
    double values[N_METRICS] = {
        [TTFT] = 1e3 * (r->first - r->start), [E2EL] = 1e3 * (r->end - r->start)};
    bool good = true, has_tpot = r->n_output > 1;
    if (has_tpot) values[TPOT] = 1e3 * (r->end - r->first) / (r->n_output - 1);
    for (int i = 0; i < N_METRICS; i++) {
        struct metric_figures *m = &result->metrics[i];
        if (i == ITL || (i == TPOT && !has_tpot)) continue;
        m->ms[m->n++] = values[i];
        good = good && (result->limits[i] <= 0 || values[i] <= result->limits[i]);
    }
    for (uint32_t i = 0; i < r->n_gaps; i++)
        result->metrics[ITL].ms[result->metrics[ITL].n++] = 1e3 * r->gaps[i];
    result->n_good += good;
    result->n_completed++;
    result->n_input += r->n_input;
    result->n_output += r->n_output;
}

static enum vinci_status make_result(struct result *result, const struct load_request *requests,
                                     uint32_t n, struct vinci_error *err)
{
    size_t n_gaps = 0;
    for (uint32_t i = 0; i < n; i++) n_gaps += requests[i].n_gaps;
    for (int i = 0; i < N_METRICS; i++) {
        result->metrics[i].ms = array_new(i == ITL ? n_gaps : n, sizeof(double));
        if (!result->metrics[i].ms) return fail_memory(err, 8 * n_gaps, "the figures");
    }
    for (uint32_t i = 0; i < n; i++) {
        if (requests[i].ok) add_request(result, &requests[i]);
        else result->n_failed++;
    }
    for (int i = 0; i < N_METRICS; i++) summarise(&result->metrics[i], result);
    return VINCI_OK;
}

/* "50,90,99" */
static enum vinci_status read_percentiles(const char *list, struct result *result,
                                          struct vinci_error *err)
{
    for (const char *p = list; p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
        char item[16];
        double value;
        snprintf(item, sizeof item, "%.*s", (int)strcspn(p, ","), p);
        if (result->n_wanted == PERCENTILES_MAX || !parse_double(item, 0, 100, &value))
            return fail(err, VINCI_USAGE,
                        "--metric-percentiles: expected up to %d numbers from 0 to 100 with commas "
                        "between, got '%s'",
                        PERCENTILES_MAX, list);
        result->wanted[result->n_wanted++] = value;
    }
    return VINCI_OK;
}

/* "ttft:500,tpot:50" */
static enum vinci_status read_goodput(const char *list, struct result *result,
                                      struct vinci_error *err)
{
    for (const char *p = list; p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
        char item[32];
        double value = 0;
        int metric = N_METRICS;
        size_t n = strcspn(p, ",");
        snprintf(item, sizeof item, "%.*s", n < sizeof item ? (int)n : 0, p);
        char *colon = strchr(item, ':');
        if (colon) *colon = '\0';
        for (int i = 0; colon && i < N_METRICS; i++)
            if (i != ITL && strcmp(item, metric_keys[i]) == 0) metric = i;
        if (metric == N_METRICS || !parse_double(colon + 1, 0.001, 1e9, &value))
            return fail(err, VINCI_USAGE,
                        "--goodput: expected limits in ms such as ttft:500,tpot:50,e2el:10000, got "
                        "'%s'",
                        list);
        result->limits[metric] = value;
    }
    return VINCI_OK;
}

/* ---- for people ---------------------------------------------------------------------------- */

static void print_readable(FILE *out, const struct result *r, const struct load_request *requests,
                           uint32_t n)
{
    fprintf(out, _("requests     %u done, %u failed, in %.2f s: %.2f a second\n"), r->n_completed,
            r->n_failed, r->seconds, r->n_completed / r->seconds);
    fprintf(out, _("tokens       %llu read, %llu generated\n"), (unsigned long long)r->n_input,
            (unsigned long long)r->n_output);
    fprintf(out, _("throughput   %.2f tokens/s generated, %.2f with those read\n"),
            (double)r->n_output / r->seconds, (double)(r->n_input + r->n_output) / r->seconds);
    if (r->limits[TTFT] > 0 || r->limits[TPOT] > 0 || r->limits[E2EL] > 0)
        fprintf(out, _("goodput      %.2f requests/s within the limits\n"), r->n_good / r->seconds);
    fputc('\n', out);
    print_cell(out, _("milliseconds"), -20);
    print_cell(out, _("mean"), 10);
    for (uint32_t i = 0; i < r->n_wanted; i++) fprintf(out, "%9s%g", "p", r->wanted[i]);
    fputc('\n', out);
    for (int i = 0; i < N_METRICS; i++) {
        const struct metric_figures *m = &r->metrics[i];
        print_cell(out, _(metric_names[i]), -20);
        if (m->n == 0) fprintf(out, "%10s", "-");
        else fprintf(out, "%10.2f", m->mean);
        for (uint32_t j = 0; m->n > 0 && j < r->n_wanted; j++) {
            char head[16];
            int width = 9 + snprintf(head, sizeof head, "%g", r->wanted[j]);
            fprintf(out, "%*.2f", width, m->percentiles[j]);
        }
        fputc('\n', out);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (requests[i].ok) continue;
        fprintf(out, _("\nthe first that failed: %s\n"), requests[i].error);
        break;
    }
}

/* ---- for programs -------------------------------------------------------------------------- */

static void set(json_t *root, const char *key, json_t *value)
{
    json_object_set_new(root, key, value);
}

static void set_metric(json_t *root, const struct result *r, int metric)
{
    const struct metric_figures *m = &r->metrics[metric];
    const char *name = metric_keys[metric];
    char key[64];
    snprintf(key, sizeof key, "mean_%s_ms", name);
    set(root, key, json_real(m->mean));
    snprintf(key, sizeof key, "median_%s_ms", name);
    set(root, key, json_real(m->median));
    snprintf(key, sizeof key, "std_%s_ms", name);
    set(root, key, json_real(m->std));
    for (uint32_t i = 0; i < r->n_wanted; i++) {
        snprintf(key, sizeof key, "p%g_%s_ms", r->wanted[i], name);
        set(root, key, json_real(m->percentiles[i]));
    }
}

/* The samples of every request, in the order in which they were sent. */
static void set_samples(json_t *root, const struct load_request *requests, uint32_t n)
{
    json_t *inputs = json_array(), *outputs = json_array(), *ttfts = json_array();
    json_t *itls = json_array(), *errors = json_array(), *starts = json_array();
    for (uint32_t i = 0; i < n; i++) {
        const struct load_request *r = &requests[i];
        json_t *gaps = json_array();
        for (uint32_t j = 0; j < r->n_gaps; j++) json_array_append_new(gaps, json_real(r->gaps[j]));
        json_array_append_new(inputs, json_integer(r->n_input));
        json_array_append_new(outputs, json_integer(r->n_output));
        json_array_append_new(ttfts, json_real(r->ok ? r->first - r->start : 0));
        json_array_append_new(itls, gaps);
        json_array_append_new(starts, json_real(r->start));
        json_array_append_new(errors, json_string(r->error));
    }
    set(root, "input_lens", inputs);
    set(root, "output_lens", outputs);
    set(root, "ttfts", ttfts);
    set(root, "itls", itls);
    set(root, "start_times", starts);
    set(root, "errors", errors);
}

static enum vinci_status write_json(const struct serve_args *args, const char *model,
                                    const struct result *r, const struct load_request *requests,
                                    struct vinci_error *err)
{
    char date[32];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y%m%d-%H%M%S", &utc);
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s?, s:I, s:s, s:f, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:f, "
        "s:f}",
        "vinci", vinci_version(), "date", date, "backend", "openai", "endpoint", args->endpoint,
        "model_id", model, "tokenizer_id", args->tokenizer, "num_prompts",
        (json_int_t)args->num_prompts, "request_rate", args->rate, "burstiness",
        (double)args->burstiness, "max_concurrency", (json_int_t)args->max_concurrency, "duration",
        r->seconds, "completed", (json_int_t)r->n_completed, "failed", (json_int_t)r->n_failed,
        "total_input_tokens", (json_int_t)r->n_input, "total_output_tokens",
        (json_int_t)r->n_output, "request_throughput", r->n_completed / r->seconds,
        "output_throughput", (double)r->n_output / r->seconds, "total_token_throughput",
        (double)(r->n_input + r->n_output) / r->seconds);
    if (args->goodput) set(root, "request_goodput", json_real(r->n_good / r->seconds));
    for (int i = 0; root && i < N_METRICS; i++) set_metric(root, r, i);
    if (root) set_samples(root, requests, args->num_prompts);
    enum vinci_status status = bench_write_json(args->result, root, err);
    json_decref(root);
    return status;
}

/* ---- the command --------------------------------------------------------------------------- */

static void on_done(void *user, uint32_t n_done, uint32_t n)
{
    const struct program *program = user;
    if (!program->progress) return;
    say("\r\033[K");
    say(_("%u of %u requests"), n_done, n);
}

/* `url`: a copy of --base-url, which loses slashes at its end and outlives the options. */
static enum vinci_status make_options(const struct serve_args *args, struct buf *url,
                                      const struct program *program, struct load_options *options,
                                      struct vinci_error *err)
{
    double rate = 0;
    size_t n = strlen(url->data);
    if (strcmp(args->rate, "inf") != 0 && !parse_double(args->rate, 1e-6, 1e6, &rate))
        return fail(err, VINCI_USAGE, "--request-rate: expected a number or inf, got '%s'",
                    args->rate);
    while (n > 0 && url->data[n - 1] == '/') url->data[--n] = '\0';
    if (n == 0 || args->endpoint[0] != '/')
        return fail(err, VINCI_USAGE,
                    "expected a --base-url such as http://HOST:PORT and an --endpoint that begins "
                    "with /, got '%s' and '%s'",
                    args->base_url, args->endpoint);
    *options = (struct load_options){.url = url->data,
                                     .endpoint = args->endpoint,
                                     .model = args->model,
                                     .temperature = (double)args->temperature,
                                     .ignore_eos = args->ignore_eos,
                                     .request_rate = rate,
                                     .burstiness = (double)args->burstiness,
                                     .max_concurrency = args->max_concurrency,
                                     .seed = args->seed,
                                     .timeout = (double)args->timeout,
                                     .stop = interrupted,
                                     .on_done = on_done,
                                     .user = (void *)(uintptr_t)program};
    return VINCI_OK;
}

static struct load_request *make_requests(const struct serve_args *args,
                                          const struct prompts *prompts, uint32_t n)
{
    struct load_request *requests = array_new_zero(n, sizeof *requests);
    for (uint32_t i = 0; requests && i < n; i++) {
        requests[i].prompt = prompts->text.data + prompts->first[i];
        requests[i].max_tokens =
            vary(args->output_len, (double)args->range_ratio, args->seed + 2, i);
    }
    return requests;
}

/* The warm-up runs one after the other and must succeed: a wrong address is found at once. */
static enum vinci_status warm_up(const struct load_options *options, const struct prompts *prompts,
                                 const struct serve_args *args, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    struct load_options quiet = *options;
    quiet.on_done = NULL;
    for (uint32_t i = 0; status == VINCI_OK && i < args->warmups; i++) {
        double seconds;
        struct load_request *one = make_requests(args, prompts, 1);
        if (!one) return fail_memory(err, sizeof *one, "the warm-up");
        status = load_run(&quiet, one, 1, &seconds, err);
        if (status == VINCI_OK && !one->ok)
            status = fail(err, VINCI_FAILED, "%s%s: the warm-up failed: %s", options->url,
                          options->endpoint, one->error);
        load_free(one, 1);
    }
    return status;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct serve_args *args = arguments;
    uint32_t n = args->num_prompts;
    struct load_options options;
    struct prompts prompts = {.first = array_new_zero(n, sizeof(size_t))};
    struct load_request *requests = NULL;
    struct buf key = {0}, url = {0};
    struct result result = {0};
    char *model = NULL;
    enum vinci_status status = buf_append_text(&url, args->base_url)
                                   ? make_options(args, &url, program, &options, err)
                                   : fail_memory(err, strlen(args->base_url), "the address");
    if (status == VINCI_OK && !prompts.first) status = fail_memory(err, n * 8, "the prompts");
    if (status == VINCI_OK) status = read_percentiles(args->percentiles, &result, err);
    if (status == VINCI_OK) status = read_goodput(args->goodput, &result, err);
    if (status == VINCI_OK) status = read_key_file(args->key_file, &key, err);
    options.key = key.data;
    if (status == VINCI_OK)
        status = args->prompts ? read_prompts(args, n, &prompts, err)
                               : make_random(args, n, &prompts, err);
    if (status == VINCI_OK && !options.model) {
        status = load_first_model(&options, &model, err);
        options.model = model;
    }
    if (status == VINCI_OK) status = warm_up(&options, &prompts, args, err);
    if (status == VINCI_OK && !(requests = make_requests(args, &prompts, n)))
        status = fail_memory(err, n * sizeof *requests, "the requests");
    if (status == VINCI_OK) status = load_run(&options, requests, n, &result.seconds, err);
    if (program->progress) say("\r\033[K");
    if (status == VINCI_OK) status = make_result(&result, requests, n, err);
    bool json_out = args->result && strcmp(args->result, "-") == 0;
    if (status == VINCI_OK) print_readable(json_out ? stderr : stdout, &result, requests, n);
    if (status == VINCI_OK && args->result)
        status = write_json(args, options.model, &result, requests, err);
    if (status == VINCI_OK && result.n_completed == 0)
        status = fail(err, VINCI_FAILED, "no request succeeded");
    for (int i = 0; i < N_METRICS; i++) free(result.metrics[i].ms);
    load_free(requests, n);
    buf_free(&prompts.text);
    buf_free(&key);
    buf_free(&url);
    free(prompts.first);
    free(model);
    return status;
}

const struct command command_bench_serve = {
    .name = "bench-serve",
    .summary = N_("measure a server under load (also: vinci bench serve)"),
    .operands = "",
    .description = N_("Sends requests to a server of the OpenAI API, as many at once and as fast "
                      "as asked for, and prints throughput and latencies: the wait for the first "
                      "token (ttft), the time per token after it (tpot), between events with text "
                      "(itl) and of whole requests (e2el). Options and JSON keys are those of "
                      "vLLM's 'bench serve'. Token counts are the server's own."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct serve_args),
    .init = init,
    .run = run,
};
