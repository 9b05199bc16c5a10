/* cmd_top.c - `vinci top`: the devices and a running server, live. On a terminal one screen that is
 * drawn again each time; otherwise, or with --lines, one line a sample for a log; --json one object
 * a sample. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/lang.h"
#include "bench/server_metrics.h"
#include "bench/usage.h"
#include "cli/command.h"
#include "cli/devices.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct top_args {
    const char *url, *key_file;
    float interval;
    uint32_t count;
    bool lines, json;
};

#define FIELD(name) .offset = offsetof(struct top_args, name)

static const struct option_row rows[] = {
    {"url", 0, "URL", N_("the server to watch; default: http://127.0.0.1:8000"), OPTION_TEXT,
     FIELD(url)},
    {"api-key-file", 0, "FILE", N_("a file whose first line is sent as key"), OPTION_TEXT,
     FIELD(key_file), COMPLETE_FILE},
    {"interval", 'i', "SECONDS", N_("time between samples; default: 1"), OPTION_FLOAT,
     FIELD(interval), .min = .1, .max = 3600},
    {"count", 'n', "N", N_("samples to take; default: until Ctrl-C"), OPTION_U32, FIELD(count),
     .min = 1},
    {"lines", 0, NULL, N_("a line for each sample, also on a terminal"), OPTION_FLAG, FIELD(lines)},
    {"json", 0, NULL, N_("a JSON object for each sample"), OPTION_FLAG, FIELD(json)},
    {0}};

static const struct option_group groups[] = {{N_("Watch"), rows, 0}, {0}};

static const struct command_example examples[] = {
    {"top", N_("this machine, and the server on port 8000 if there is one")},
    {"top --url http://10.0.0.7:8000 --lines --interval 10 >>server.log",
     N_("a log, a line every 10 s")},
    {0}};

static void init(void *arguments)
{
    struct top_args *args = arguments;
    args->url = "http://127.0.0.1:8000";
    args->interval = 1;
}

enum { HISTORY = 60 };

/* One moment, and what changed since the one before; NAN: not known. */
struct sample {
    double busy, frequency, temperature;
    struct server_metrics server;
    bool answers;
    struct vinci_error reason;                         /* why it does not */
    double generated_rate, prompt_rate, finished_rate; /* a second */
    double ttft, itl;                                  /* seconds, means of this interval */
};

struct top {
    const struct top_args *args;
    struct http_get *watch;
    struct device_list devices;
    struct usage usage;
    struct sample now;
    double time, last_time;
    double history[HISTORY]; /* tokens/s, the newest last */
    size_t n_history;
};

static double rate(double now, double before, double seconds)
{
    return now >= before ? (now - before) / seconds : (double)NAN; /* lower: it was restarted */
}

static void take_sample(struct top *top)
{
    struct server_metrics before = top->now.server;
    bool answered = top->now.answers;
    struct sample *s = &top->now;
    s->busy = usage_busy(&top->usage);
    s->frequency = usage_frequency();
    s->temperature = usage_temperature();
    s->answers = server_watch_read(top->watch, &s->server, &s->reason) == VINCI_OK;
    top->last_time = top->time;
    top->time = seconds_now();
    s->generated_rate = s->prompt_rate = s->finished_rate = s->ttft = s->itl = (double)NAN;
    if (!s->answers || !answered) return;
    double seconds = top->time - top->last_time;
    const struct server_metrics *now = &s->server;
    s->generated_rate = rate(now->generated_tokens, before.generated_tokens, seconds);
    s->prompt_rate = rate(now->prompt_tokens, before.prompt_tokens, seconds);
    s->finished_rate = rate(now->finished, before.finished, seconds);
    if (now->ttft_count > before.ttft_count)
        s->ttft = (now->ttft_sum - before.ttft_sum) / (now->ttft_count - before.ttft_count);
    if (now->itl_count > before.itl_count)
        s->itl = (now->itl_sum - before.itl_sum) / (now->itl_count - before.itl_count);
    if (isnan(s->generated_rate)) return;
    if (top->n_history == HISTORY)
        memmove(top->history, top->history + 1, (--top->n_history) * sizeof *top->history);
    top->history[top->n_history++] = s->generated_rate;
}

/* ---- for people ---------------------------------------------------------------------------- */

/* "12.3", or "-" where it is not known. */
static const char *number(double value, const char *format, char text[32])
{
    if (isnan(value)) snprintf(text, 32, "-");
    else snprintf(text, 32, format, value);
    return text;
}

static void append_devices(const struct top *top, struct buf *out)
{
    for (size_t i = 0; i < top->devices.n; i++) {
        const struct vinci_device_info *d = &top->devices.devices[i];
        bool cpu = strcmp(d->id, "cpu") == 0;
        const struct sample *s = &top->now;
        double busy = cpu ? 100 * s->busy : d->utilisation_percent;
        double heat = cpu ? s->temperature : d->temperature_celsius;
        char a[32], b[32], c[32], e[32], used[16], all[16];
        buf_printf(out, "%-8s%s\n", d->id, d->name);
        buf_printf(out, _("        busy %s %%   clock %s GHz   %s C   %s W   memory %s of %s\n"),
                   number(busy, "%3.0f", a), number(cpu ? s->frequency / 1e9 : NAN, "%.2f", b),
                   number(heat, "%.0f", c), number(d->power_watts, "%.0f", e),
                   format_bytes(d->memory_bytes - d->memory_free_bytes, used),
                   format_bytes(d->memory_bytes, all));
    }
}

static void append_chart(const struct top *top, struct buf *out)
{
    static const char *const bars[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double most = 0;
    for (size_t i = 0; i < top->n_history; i++) most = fmax(most, top->history[i]);
    buf_append_text(out, "        ");
    for (size_t i = 0; i < top->n_history; i++)
        buf_append_text(out, bars[most > 0 ? (int)ceil(8 * top->history[i] / most) : 0]);
    buf_printf(out, most > 0 ? _("  at most %.1f\n") : "\n", most);
}

static void append_server(const struct top *top, struct buf *out)
{
    const struct sample *s = &top->now;
    char a[32], b[32], c[32], d[32];
    buf_printf(out, _("server  %s\n"), top->args->url);
    if (!s->answers) {
        buf_printf(out, "        %s\n", s->reason.text);
        return;
    }
    buf_printf(out,
               _("        requests: %s running, %s waiting, %s a second done   KV cache %s %%\n"),
               number(s->server.running, "%.0f", a), number(s->server.waiting, "%.0f", b),
               number(s->finished_rate, "%.1f", c), number(100 * s->server.kv_use, "%.0f", d));
    buf_printf(out,
               _("        tokens/s: %s generated, %s of prompts   first after %s s, then %s ms\n"),
               number(s->generated_rate, "%.1f", a), number(s->prompt_rate, "%.1f", b),
               number(s->ttft, "%.2f", c), number(1e3 * s->itl, "%.0f", d));
    append_chart(top, out);
}

static void append_screen(const struct top *top, struct buf *out)
{
    char clock[32];
    time_t seconds = time(NULL);
    struct tm local;
    localtime_r(&seconds, &local);
    strftime(clock, sizeof clock, "%Y-%m-%d %H:%M:%S", &local);
    buf_append_text(out, "\033[H\033[J"); /* the cursor to the top, the rest cleared */
    buf_printf(out, _("vinci top   %s   every %g s; Ctrl-C ends\n\n"), clock,
               (double)top->args->interval);
    append_devices(top, out);
    buf_append_text(out, "\n");
    append_server(top, out);
}

/* Columns by name, one line: to be read by eye and by awk. */
static void append_line(const struct top *top, struct buf *out)
{
    const struct sample *s = &top->now;
    char clock[32], t[8][32];
    time_t seconds = time(NULL);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(clock, sizeof clock, "%Y-%m-%dT%H:%M:%SZ", &utc);
    double used =
        (double)(top->devices.devices[0].memory_bytes - top->devices.devices[0].memory_free_bytes);
    struct buf npus = {
        0}; /* " npu:0=45% npu:0.memory=30.1GB npu:0.temperature=52C npu:0.power=95W" */
    buf_append_text(&npus, "");
    for (size_t i = 1; i < top->devices.n; i++) {
        const struct vinci_device_info *d = &top->devices.devices[i];
        buf_printf(&npus, " %s=%s %s.memory=%.1fGB %s.temperature=%s %s.power=%s", d->id,
                   number(d->utilisation_percent, "%.0f%%", t[0]), d->id,
                   (double)(d->memory_bytes - d->memory_free_bytes) / 1e9, d->id,
                   number(d->temperature_celsius, "%.0fC", t[1]), d->id,
                   number(d->power_watts, "%.0fW", t[2]));
    }
    if (!npus.data) return;
    buf_printf(out,
               "%s cpu=%s memory=%.1fGB running=%s waiting=%s kv=%s generated=%s prompts=%s "
               "first=%s next=%s%s\n",
               clock, number(100 * s->busy, "%.0f%%", t[0]), used / 1e9,
               number(s->answers ? s->server.running : NAN, "%.0f", t[1]),
               number(s->answers ? s->server.waiting : NAN, "%.0f", t[2]),
               number(s->answers ? 100 * s->server.kv_use : NAN, "%.0f%%", t[3]),
               number(s->generated_rate, "%.1f/s", t[4]), number(s->prompt_rate, "%.1f/s", t[5]),
               number(s->ttft, "%.3fs", t[6]), number(1e3 * s->itl, "%.1fms", t[7]), npus.data);
    buf_free(&npus);
}

/* ---- for programs -------------------------------------------------------------------------- */

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void append_json(const struct top *top, struct buf *out)
{
    const struct sample *s = &top->now;
    json_t *server = json_null();
    if (s->answers)
        server = json_pack(
            "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "running", real_or_null(s->server.running),
            "waiting", real_or_null(s->server.waiting), "kv_use", real_or_null(s->server.kv_use),
            "generated_tokens_per_second", real_or_null(s->generated_rate),
            "prompt_tokens_per_second", real_or_null(s->prompt_rate), "requests_per_second",
            real_or_null(s->finished_rate), "ttft_seconds", real_or_null(s->ttft), "itl_seconds",
            real_or_null(s->itl));
    json_t *root = json_pack(
        "{s:I, s:o, s:o, s:o, s:o, s:o}", "time", (json_int_t)time(NULL), "cpu_busy",
        real_or_null(s->busy), "cpu_hz", real_or_null(s->frequency), "cpu_celsius",
        real_or_null(s->temperature), "devices", devices_json(&top->devices), "server", server);
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (text) buf_printf(out, "%s\n", text);
    free(text);
    json_decref(root);
}

/* ---- the command --------------------------------------------------------------------------- */

/* False: Ctrl-C. */
static bool wait_seconds(double seconds)
{
    struct timespec left = {(time_t)seconds, (long)(1e9 * (seconds - floor(seconds)))};
    while (!interrupted())
        if (nanosleep(&left, &left) == 0) return true;
    return false;
}

static enum vinci_status show(const struct top *top, const struct program *program,
                              struct vinci_error *err)
{
    struct buf out = {0};
    if (top->args->json) append_json(top, &out);
    else if (top->args->lines || !program->redraw) append_line(top, &out);
    else append_screen(top, &out);
    enum vinci_status status = VINCI_OK;
    if (!out.data) status = fail_memory(err, 4096, "the screen");
    else if (!output(out.data, out.size)) status = VINCI_IO;
    buf_free(&out);
    return status;
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct top_args *args = arguments;
    struct buf key = {0};
    struct top *top = calloc(1, sizeof *top);
    if (!top) return fail_memory(err, sizeof *top, "the samples");
    top->args = args;
    enum vinci_status status = read_key_file(args->key_file, &key, err);
    if (status == VINCI_OK) status = server_watch_open(&top->watch, args->url, key.data, err);
    if (status == VINCI_OK) take_sample(top); /* what the first one shown is compared with */
    for (uint32_t i = 0; status == VINCI_OK && (args->count == 0 || i < args->count); i++) {
        if (!wait_seconds((double)args->interval)) break;
        devices_close(&top->devices);
        status = devices_open(&top->devices, program, err);
        if (status != VINCI_OK) break;
        take_sample(top);
        status = show(top, program, err);
    }
    http_get_close(top->watch);
    devices_close(&top->devices);
    buf_free(&key);
    free(top);
    return status;
}

const struct command command_top = {
    .name = "top",
    .summary = N_("watch the devices and a running server"),
    .operands = "",
    .description =
        N_("Shows every device (how busy, clock, temperature, power, memory) and what a server "
           "says at /metrics: requests running and waiting, use of the KV cache, tokens per second "
           "of prompts and answers, the wait for the first token and between tokens. Any server "
           "with vLLM's metric names will do. What the system does not tell is shown as -.\n\n"
           "Into a file or a pipe it writes one line a sample, with the time in UTC. Ctrl-C ends."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct top_args),
    .init = init,
    .run = run,
};
