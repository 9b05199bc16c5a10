/* cmd_serve.c - `vinci serve`: options, the model, signals around the server (src/serve).
 *
 * Standard output gets one line, the address, once the server answers. SIGINT and SIGTERM end it:
 * what is under way may finish for --grace seconds; a second one ends at once. SIGHUP reads the key
 * file again. All three are blocked from the start and taken by sigtimedwait, so that no thread is
 * ever interrupted. */
#include "cli/command.h"
#include "cli/lang.h"
#include "cli/model_options.h"
#include "serve/serve.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

struct serve_args {
    struct model_options model;
    struct serve_options serve;
    uint32_t port, parallel, batch, grace;
    bool quiet, no_prefix_cache;
};

#define FIELD(name) .offset = offsetof(struct serve_args, name)

static const struct option_row server_rows[] = {
    {"host", 0, "ADDRESS",
     N_("address to listen on; default: 127.0.0.1, this machine only; 0.0.0.0: every network"),
     OPTION_TEXT, FIELD(serve.host)},
    {"port", 'p', "N", N_("port to listen on; default: 8000; 0: a free one, see the line printed"),
     OPTION_U32, FIELD(port), .max = 65535},
    {"alias", 0, "NAME",
     N_("the model's names, by commas; '*' accepts every name; default: its folder's"), OPTION_TEXT,
     FIELD(serve.names)},
    {"api-key-file", 0, "FILE", N_("ask for one of these keys, one a line; SIGHUP reads it again"),
     OPTION_TEXT, FIELD(serve.api_key_file), COMPLETE_FILE},
    {"cors-origin", 0, "ORIGIN",
     N_("web pages that may ask from a browser, by commas, such as https://example.org; '*': all"),
     OPTION_TEXT, FIELD(serve.cors_origins)},
    {"no-webui", 0, NULL, N_("no chat page at /"), OPTION_FLAG, FIELD(serve.no_web_page)},
    {"date", 0, "DATE",
     N_("the current date for the model; default: today's in UTC; 'none': do not tell it"),
     OPTION_TEXT, FIELD(serve.date)},
    {"grace", 0, "S", N_("seconds that requests under way may take when ending; default: 30"),
     OPTION_U32, FIELD(grace), .max = 86400},
    {0}};

static const struct option_row limit_rows[] = {
    {"parallel", 0, "N", N_("requests computed at once; default: 16"), OPTION_U32, FIELD(parallel),
     .min = 1, .max = 4096},
    {"batch", 'b', "N", N_("most tokens in one step; default: 512"), OPTION_U32, FIELD(batch),
     .min = 1, .max = 65536},
    {"kv-memory", 0, "SIZE",
     N_("most memory for keys and values, with the beginnings of prompts that are kept for "
        "requests to come; default: what --parallel sequences of --ctx need, and at most 2 GiB of "
        "it kept"),
     OPTION_SIZE, FIELD(model.kv_memory), .min = 1},
    {"no-prefix-cache", 0, NULL, N_("keep no beginnings of prompts for requests to come"),
     OPTION_FLAG, FIELD(no_prefix_cache)},
    {"prefix-cache-dir", 0, "DIR",
     N_("save those beginnings here when ending and take them up again at the next start"),
     OPTION_TEXT, FIELD(model.prefix_cache_folder), COMPLETE_FOLDER},
    {"prefix-cache-size", 0, "SIZE",
     N_("largest file of saved beginnings; default: all that memory keeps of them"), OPTION_SIZE,
     FIELD(model.prefix_cache_file_bytes), .min = 1},
    {"queue", 0, "N", N_("requests that may wait beyond those; default: 256"), OPTION_U32,
     FIELD(serve.max_queue), .max = 1000000},
    {"max-tokens", 0, "N", N_("longest answer in tokens; default: as far as the context goes"),
     OPTION_U32, FIELD(serve.max_tokens)},
    {"max-connections", 0, "N", N_("connections at once; default: 512"), OPTION_U32,
     FIELD(serve.max_connections), .min = 1, .max = 65536},
    {"max-body", 0, "SIZE", N_("largest request; default: 16777216 bytes"), OPTION_SIZE,
     FIELD(serve.max_body), .min = 1024},
    {"max-stored", 0, "N", N_("responses kept for previous_response_id; default: 1000; 0: none"),
     OPTION_U32, FIELD(serve.max_stored)},
    {0}};

static const struct option_row log_rows[] = {
    {"quiet", 'q', NULL, N_("do not log requests"), OPTION_FLAG, FIELD(quiet)},
    {"log-prompts", 0, NULL, N_("also log what is asked: every body, whole"), OPTION_FLAG,
     FIELD(serve.log_prompts)},
    {0}};

static const struct option_group groups[] = {
    {N_("Model"), model_rows, offsetof(struct serve_args, model)},
    {N_("Server"), server_rows, 0},
    {N_("Limits"), limit_rows, 0},
    {N_("Log"), log_rows, 0},
    {N_("Tokenizer"), tokenizer_rows, offsetof(struct serve_args, model)},
    {N_("Engine"), engine_rows, offsetof(struct serve_args, model)},
    {0}};

static const struct command_example examples[] = {
    {"serve -m gpt-oss-20b", N_("the OpenAI API on http://127.0.0.1:8000/v1")},
    {"serve -m gpt-oss-20b --host 0.0.0.0 --api-key-file keys.txt", N_("for others, with keys")},
    {0}};

static void init(void *arguments)
{
    struct serve_args *args = arguments;
    model_options_init(&args->model);
    serve_options_init(&args->serve);
    args->port = args->serve.port;
    args->parallel = 16;
    args->grace = 30;
}

/* A line may stand there that shows how far the model is read. */
static void log_line(void *user, const char *line)
{
    const struct program *program = user;
    say(program->progress ? "\r\033[K%s\n" : "%s\n", line);
}

static sigset_t our_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    return set;
}

/* The signal that came within so many milliseconds, 0 if none did. */
static int next_signal(long milliseconds)
{
    sigset_t set = our_signals();
    struct timespec wait = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    int number = sigtimedwait(&set, NULL, &wait);
    return number > 0 ? number : 0;
}

static void block_signals(void)
{
    sigset_t set = our_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void reload(const struct program *program, struct server *server)
{
    struct vinci_error err = {0};
    program_notify(program, "RELOADING=1");
    if (serve_reload_keys(server, &err) == VINCI_OK)
        say(_("vinci: the API keys were read again\n"));
    else say_error(program, err.text);
    program_notify(program, "READY=1");
}

/* Until a signal to end, or the engine's end. */
static enum vinci_status run_server(const struct program *program, struct server *server,
                                    const struct loaded_model *loaded, uint32_t grace,
                                    struct vinci_error *err)
{
    struct reading reading;
    char address[300], line[320];
    enum vinci_status status = VINCI_OK;
    serve_address(server, address, sizeof address);
    int n = snprintf(line, sizeof line, "%s\n", address);
    output(line, (size_t)n);
    program_notify(program, "READY=1");
    reading_begin(&reading, loaded, program);
    for (int number = 0; number != SIGINT && number != SIGTERM;) {
        number = next_signal(reading_goes_on(&reading) ? READING_MILLISECONDS : 1000);
        if (number == SIGHUP) reload(program, server);
        if (serve_has_failed(server)) {
            status = fail(err, VINCI_DEVICE, "the engine cannot go on; the log says why");
            break;
        }
    }
    reading_end(&reading);
    program_notify(program, "STOPPING=1");
    serve_drain(server);
    if (!serve_is_idle(server))
        say(_("vinci: ending; requests under way have %u s more, a second signal ends at once\n"),
            grace);
    for (uint32_t i = 0; i < 10 * grace && !serve_is_idle(server); i++) {
        int number = next_signal(100);
        if (number == SIGINT || number == SIGTERM) break;
    }
    return status;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    struct serve_args *args = arguments;
    struct loaded_model loaded = {0};
    struct server *server = NULL;
    args->model.prefix_cache = !args->no_prefix_cache;
    block_signals();
    lang_keep_here();
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 2); /* threads come and go with connections: their heaps would only grow */
#endif
    enum vinci_status status =
        loaded_model_open(&loaded, program, &args->model, args->batch, args->parallel, err);
    if (status == VINCI_OK) status = loaded_model_tokenizer(&loaded, &args->model, err);
    if (status == VINCI_OK) {
        args->serve.port = (uint16_t)args->port;
        if (!args->quiet) args->serve.log = log_line;
        args->serve.log_user = (void *)(uintptr_t)program;
        status = serve_start(&server, loaded.engine, loaded.tokenizer, &args->serve, err);
    }
    if (status == VINCI_OK) {
        if (!serve_is_local(&args->serve) && !args->serve.api_key_file)
            say_warning(program, _("everybody who reaches this address may use the model; "
                                   "--api-key-file asks for keys"));
        status = run_server(program, server, &loaded, args->grace, err);
    }
    serve_stop(server);
    loaded_model_close(&loaded);
    return status;
}

const struct command command_serve = {
    .name = "serve",
    .summary = N_("serve the OpenAI API"),
    .operands = "",
    .description = N_(
        "Answers HTTP requests in the form of OpenAI's API: /v1/chat/completions, /v1/responses, "
        "/v1/completions, /v1/models; in Anthropic's: /v1/messages; and /tokenize, /detokenize, "
        "/health, /ready and /metrics (Prometheus). Prints its address once it answers.\n\n"
        "Without --api-key-file nobody is asked for a key. SIGTERM or Ctrl-C ends it, after the "
        "requests under way or --grace seconds; SIGHUP reads the keys again. Requests are logged "
        "on standard error, a JSON object a line, without what was asked."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct serve_args),
    .init = init,
    .run = run,
};
