/* hub_options.c - what the commands that talk to hubs share.
 *
 * A token belongs to a hub's own address. To an address that the environment names instead (a
 * mirror) it goes only with --send-token; http.c sees to it that no redirect carries it further. */
#include "cli/hub_options.h"

#include "base/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void hub_options_init(struct hub_options *options)
{
    *options = (struct hub_options){
        .retries = 8, .timeout = 30, .retry_delay = 1, .log_level = VINCI_LOG_WARN};
}

#define FIELD(name) .offset = offsetof(struct hub_options, name)

const struct option_row hub_rows[] = {
    {"retries", 0, "N",
     N_("attempts after a failed one, counted anew when something arrives; default: 8"), OPTION_U32,
     FIELD(retries), .max = 1000},
    {"retry-delay", 0, "SECONDS",
     N_("pause before the second attempt; doubles each time, up to a minute; default: 1"),
     OPTION_FLOAT, FIELD(retry_delay), .min = 0, .max = 60},
    {"timeout", 0, "SECONDS",
     N_("give a connection up that brings nothing for so long; default: 30"), OPTION_U32,
     FIELD(timeout), .min = 1, .max = 3600},
    {"send-token", 0, NULL,
     N_("send the access token also to an address that is not the hub's own (MODELSCOPE_DOMAIN, "
        "HF_ENDPOINT)"),
     OPTION_FLAG, FIELD(send_token)},
    {"log-level", 0, "LEVEL",
     N_("what to report on standard error: error, warn (the default), info or debug"),
     OPTION_CHOICE, FIELD(log_level), COMPLETE_WORDS, "error|warn|info|debug"},
    {0}};

static bool stop_asked(void *user)
{
    (void)user;
    return interrupted();
}

/* The first line of a small file, "" if there is none. */
static void read_line(const char *path, char *line, int size)
{
    line[0] = '\0';
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file) return;
    if (!fgets(line, size, file)) line[0] = '\0';
    line[strcspn(line, " \r\n\t")] = '\0';
    fclose(file);
}

static bool find_endpoint(struct hub_connection *connection, const char *given, const char *own)
{
    struct buf text = {0};
    const char *scheme = given && strstr(given, "://") ? "" : "https://";
    bool ok = given ? buf_printf(&text, "%s%s", scheme, given) : buf_append_text(&text, own);
    while (ok && text.size > 0 && text.data[text.size - 1] == '/') text.data[--text.size] = '\0';
    connection->endpoint = text.data;
    return ok;
}

enum vinci_status hub_connection_open(struct hub_connection *connection,
                                      const struct program *program, enum hub_kind kind,
                                      const struct hub_options *options, struct vinci_error *err)
{
    static const char *const own[] = {"https://www.modelscope.cn", "https://huggingface.co"};
    const struct program_hubs *hubs = &program->hubs;
    bool hf = kind == HUB_HUGGINGFACE;
    char from_file[512] = "";
    struct buf header = {0};
    *connection = (struct hub_connection){0};
    bool ok = find_endpoint(connection, hf ? hubs->huggingface_endpoint : hubs->modelscope_domain,
                            own[kind]);
    if (!ok) return fail_memory(err, 256, "an address");
    if (strncmp(connection->endpoint, "http://", 7) != 0 &&
        strncmp(connection->endpoint, "https://", 8) != 0)
        return fail(err, VINCI_USAGE, "%s: expected an address with http:// or https://, got '%s'",
                    hf ? "HF_ENDPOINT" : "MODELSCOPE_DOMAIN", connection->endpoint);
    const char *token = hf ? hubs->huggingface_token : hubs->modelscope_token;
    if (hf && !token) {
        read_line(hubs->huggingface_token_file, from_file, sizeof from_file);
        token = *from_file ? from_file : NULL;
    }
    bool ours = strcmp(connection->endpoint, own[kind]) == 0;
    if (token && strpbrk(token, "\r\n;, ")) token = NULL; /* nothing that is a token */
    if (token && (ours || options->send_token)) {
        ok =
            buf_printf(&header, hf ? "Authorization: Bearer %s" : "Cookie: m_session_id=%s", token);
        connection->token_header = header.data;
        if (!ok) return fail_memory(err, 256, "the access token");
    }
    connection->http = (struct http){.endpoint = connection->endpoint,
                                     .token_header = connection->token_header,
                                     .ca_file = hubs->ca_file,
                                     .n_retries = options->retries,
                                     .retry_delay = (double)options->retry_delay,
                                     .stall_seconds = options->timeout,
                                     .stop = stop_asked};
    return http_init(err);
}

void hub_connection_close(struct hub_connection *connection)
{
    if (connection->http.endpoint) http_exit();
    free(connection->endpoint);
    free(connection->token_header);
    *connection = (struct hub_connection){0};
}

/* ---- the display --------------------------------------------------------------------------- */

static double clock_now(void)
{
    return seconds_now();
}

/* Bytes a second over the last marks. */
static double speed_now(struct hub_display *display, uint64_t bytes, double now)
{
    unsigned n_max = sizeof display->marks / sizeof *display->marks;
    if (display->n_marks == 0 || now - display->marks[display->n_marks - 1].time >= 0.5) {
        if (display->n_marks == n_max) {
            memmove(display->marks, display->marks + 1, (n_max - 1) * sizeof *display->marks);
            display->n_marks--;
        }
        display->marks[display->n_marks].time = now;
        display->marks[display->n_marks++].bytes = bytes;
    }
    double seconds = now - display->marks[0].time;
    return seconds > 0.3 ? (double)(bytes - display->marks[0].bytes) / seconds : 0;
}

static const char *format_left(double seconds, char text[24])
{
    if (seconds < 100) snprintf(text, 24, _("%.0f s"), seconds);
    else if (seconds < 6000) snprintf(text, 24, _("%.0f min"), seconds / 60);
    else snprintf(text, 24, _("%.1f h"), seconds / 3600);
    return text;
}

static unsigned terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 30) return size.ws_col;
    return 80;
}

void hub_display_clear(struct hub_display *display)
{
    if (display->n_lines == 0) return;
    fputs("\r\033[K", stderr);
    for (unsigned i = 1; i < display->n_lines; i++) fputs("\033[A\033[K", stderr);
    display->n_lines = 0;
}

static void draw_file(const struct fetch_file *file, unsigned width)
{
    char bytes[16];
    double share = file->size ? (double)file->done / (double)file->size : 1;
    int n_name = (int)width - 48 > 40 ? 40 : (int)width - 48 < 12 ? 12 : (int)width - 48;
    int n_bar = width >= 60 ? 20 : 0, n_full = (int)(share * n_bar);
    const char *name = file->name;
    size_t n = strlen(name);
    if (n > (size_t)n_name) name += n - (size_t)n_name;
    fprintf(stderr, "  %-*s ", n_name, name);
    for (int i = 0; i < n_bar; i++) fputs(i < n_full ? "#" : "-", stderr);
    fprintf(stderr, " %3.0f %%  %s\n", 100 * share, format_bytes(file->size, bytes));
}

void hub_display_update(void *user, const struct hub_progress *progress)
{
    struct hub_display *display = user;
    double now = clock_now();
    if (!display->program->progress) return;
    if (display->start == 0) display->start = now;
    double speed = speed_now(display, progress->checking ? progress->done : progress->arrived, now);
    if (now - display->start < 0.3 || now - display->drawn < 0.2) return;
    unsigned width = terminal_width(), n_shown = 0;
    display->drawn = now;
    hub_display_clear(display);
    for (size_t i = 0; i < progress->n_on_way && n_shown < 8; i++) {
        const struct fetch_file *file = &progress->files[i];
        if (file->state != FETCH_WAITING || file->done == 0) continue;
        draw_file(file, width);
        n_shown++;
    }
    char done[16], total[16], per_second[16], left[24];
    double rest = speed > 0 ? (double)(progress->total - progress->done) / speed : 0;
    fprintf(stderr, "%s  %.0f %%  %s/%s  %s/s", progress->checking ? _("checking") : _("fetching"),
            progress->total ? 100.0 * (double)progress->done / (double)progress->total : 100.0,
            format_bytes(progress->done, done), format_bytes(progress->total, total),
            format_bytes((uint64_t)speed, per_second));
    if (speed > 0) fprintf(stderr, _("  %s left"), format_left(rest, left));
    display->n_lines = n_shown + 1;
}
