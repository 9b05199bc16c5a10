/* program.c - the process around the commands: environment, standard streams, signals, messages,
 * the progress line. The state that signal handlers need is the only one kept in globals. */
#include "cli/program.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const struct program_variable program_variables[] = {
    {"MODELSCOPE_CACHE", "where ModelScope's models are kept and looked for, instead of "
                         "~/.cache/modelscope/hub"},
    {"HF_HUB_CACHE", "where Hugging Face's models are kept and looked for, instead of "
                     "$HF_HOME/hub"},
    {"HF_HOME", "Hugging Face's folder, instead of ~/.cache/huggingface"},
    {"MODELSCOPE_DOMAIN", "host, or address with http:// or https://, to fetch ModelScope's models "
                          "from, instead of www.modelscope.cn"},
    {"HF_ENDPOINT", "address to fetch Hugging Face's models from, instead of "
                    "https://huggingface.co"},
    {"MODELSCOPE_API_TOKEN", "access token for ModelScope"},
    {"HF_TOKEN", "access token for Hugging Face; without it, the one in $HF_TOKEN_PATH or "
                 "$HF_HOME/token"},
    {"SSL_CERT_FILE", "certificates to trust when fetching, instead of the system's"},
    {"https_proxy", "proxy for fetching; also http_proxy, all_proxy and no_proxy"},
    {"XDG_CACHE_HOME", "what replaces ~/.cache for Hugging Face's folder"},
    {"XDG_STATE_HOME", "what replaces ~/.local/state for the history of 'vinci chat'"},
    {"NOTIFY_SOCKET", N_("where 'vinci serve' tells systemd that it is ready")},
    {"ASCEND_HOME_PATH",
     "where CANN, the software of Ascend NPUs, is installed; set by its set_env.sh"},
    {"ASCEND_TOOLKIT_HOME", "the same, of older versions"},
    {"NO_COLOR", "if set and not empty, no colours on the terminal"},
    {"LC_ALL, LC_MESSAGES, LANG, LANGUAGE",
     "Chinese messages for zh_CN, English ones for everything else; see --lang"},
    {"TERM", "'dumb': no colours, no progress line, no Markdown"},
    {NULL, NULL},
};

static volatile sig_atomic_t stop_requested;
static int output_error; /* errno of the first failed write to standard output */

bool interrupted(void)
{
    return stop_requested != 0;
}

static void on_stop_signal(int number)
{
    if (stop_requested != SIGTERM) stop_requested = number;
}

static void on_bus_error(int number)
{
    const char *text = _("vinci: a model file shrank or became unreadable while in use; its folder "
                         "must not be written to while vinci runs\n");
    (void)number;
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n;
    _exit(VINCI_IO);
}

static void set_handler(int number, void (*handler)(int), unsigned flags)
{
    struct sigaction action = {.sa_flags = (int)flags}, old;
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    /* A signal that the caller had ignored (nohup) stays ignored. */
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN) return;
    sigaction(number, &action, NULL);
}

bool interrupt_forget(void)
{
    if (stop_requested != SIGINT) return stop_requested == 0;
    set_handler(SIGINT, on_stop_signal, SA_RESETHAND);
    stop_requested = 0;
    return true;
}

/* Opened the wrong way round on purpose: reading from or writing to it fails. */
static void open_missing_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
            int opened = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
            (void)opened; /* the lowest free number, which is fd */
        }
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static char *joined(const char *folder, const char *name)
{
    struct buf path = {0};
    if (!folder || !buf_printf(&path, "%s/%s", folder, name)) return NULL;
    return path.data;
}

static bool find_caches(struct program *program)
{
    const char *home = variable("HOME");
    char *cache = joined(home, ".cache");
    const char *xdg = variable("XDG_CACHE_HOME") ? variable("XDG_CACHE_HOME") : cache;
    char *hf_home = variable("HF_HOME") ? strdup(variable("HF_HOME")) : joined(xdg, "huggingface");
    program->modelscope = variable("MODELSCOPE_CACHE") ? strdup(variable("MODELSCOPE_CACHE"))
                                                       : joined(cache, "modelscope/hub");
    program->huggingface =
        variable("HF_HUB_CACHE") ? strdup(variable("HF_HUB_CACHE")) : joined(hf_home, "hub");
    program->hubs.huggingface_token_file =
        variable("HF_TOKEN_PATH") ? strdup(variable("HF_TOKEN_PATH")) : joined(hf_home, "token");
    bool ok = !home || (cache && hf_home && program->modelscope && program->huggingface);
    free(cache);
    free(hf_home);
    program->hub = (struct vinci_caches){program->modelscope, program->huggingface};
    return ok;
}

static bool find_state(struct program *program)
{
    const char *home = variable("HOME"), *xdg = variable("XDG_STATE_HOME");
    program->state_folder = xdg ? joined(xdg, "vinci") : joined(home, ".local/state/vinci");
    return program->state_folder || (!xdg && !home);
}

static void find_cann(struct program *program)
{
    static const char *const names[] = {"ASCEND_HOME_PATH",
                                        "ASCEND_TOOLKIT_HOME",
                                        "ASCEND_OPP_PATH",
                                        "ASCEND_AICPU_PATH",
                                        "ASCEND_CUSTOM_OPP_PATH",
                                        "ASCEND_VISIBLE_DEVICES",
                                        "ASCEND_RT_VISIBLE_DEVICES",
                                        "ASCEND_LAUNCH_BLOCKING",
                                        "ASCEND_GLOBAL_LOG_LEVEL",
                                        "ASCEND_SLOG_PRINT_TO_STDOUT",
                                        "ASCEND_PROCESS_LOG_PATH",
                                        "TOOLCHAIN_HOME",
                                        "HCCL_BUFFSIZE",
                                        "HCCL_OP_EXPANSION_MODE",
                                        "HCCL_CONNECT_TIMEOUT",
                                        "LD_LIBRARY_PATH",
                                        "LD_PRELOAD"};
    enum { N = sizeof names / sizeof *names };
    _Static_assert(N < sizeof program->cann_environment / sizeof *program->cann_environment,
                   "room for the end");
    for (size_t i = 0; i < N; i++)
        program->cann_environment[i] = (struct program_value){names[i], variable(names[i])};
    program->cann =
        (struct vinci_cann_places){variable("ASCEND_HOME_PATH"), variable("ASCEND_TOOLKIT_HOME")};
    program->home = variable("HOME");
}

static void find_hubs(struct program_hubs *hubs)
{
    hubs->modelscope_domain = variable("MODELSCOPE_DOMAIN");
    hubs->huggingface_endpoint = variable("HF_ENDPOINT");
    hubs->modelscope_token = variable("MODELSCOPE_API_TOKEN");
    hubs->huggingface_token = variable("HF_TOKEN");
    hubs->ca_file = variable("SSL_CERT_FILE");
}

enum vinci_status program_init(struct program *program, struct vinci_error *err)
{
    *program = (struct program){0};
    open_missing_streams();
    set_handler(SIGINT, on_stop_signal, SA_RESETHAND);
    set_handler(SIGTERM, on_stop_signal, SA_RESETHAND);
    set_handler(SIGHUP, on_stop_signal, SA_RESETHAND);
    set_handler(SIGBUS, on_bus_error, 0);
    /* Their writes fail instead, with an error that can be told and cleaned up after. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    setenv("HWLOC_HIDE_ERRORS", "2", 0); /* hwloc would write to standard error by itself */
    const char *term = variable("TERM");
    bool dumb = term && strcmp(term, "dumb") == 0;
    program->no_color = variable("NO_COLOR") != NULL;
    program->progress = isatty(STDERR_FILENO) && !dumb;
    program->redraw = isatty(STDOUT_FILENO) && !dumb;
    program->color = program->progress && !program->no_color;
    program->notify_socket = variable("NOTIFY_SOCKET");
    find_hubs(&program->hubs);
    find_cann(program);
    if (!find_caches(program) || !find_state(program))
        return fail_memory(err, 4096, "the environment");
    return VINCI_OK;
}

void program_release(struct program *program)
{
    free(program->state_folder);
    free(program->hubs.huggingface_token_file);
    free(program->modelscope);
    free(program->huggingface);
    *program = (struct program){0};
}

/* A datagram to a socket whose name may be abstract, then written with '@'. */
void program_notify(const struct program *program, const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = program->notify_socket ? strlen(program->notify_socket) : 0;
    if (n < 2 || n >= sizeof address.sun_path) return;
    memcpy(address.sun_path, program->notify_socket, n);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    (void)sent; /* nobody to tell it to */
    close(fd);
}

bool output(const char *bytes, size_t n)
{
    errno = 0;
    if (fwrite(bytes, 1, n, stdout) == n && fflush(stdout) == 0) return true;
    if (output_error == 0) output_error = errno;
    return false;
}

enum vinci_status program_finish_output(enum vinci_status status, struct vinci_error *err)
{
    bool failed = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) != 0) {
        failed = true;
        if (output_error == 0) output_error = errno;
    }
    if (!failed || (status != VINCI_OK && status != VINCI_IO)) return status;
    if (output_error == EPIPE) return fail(err, VINCI_IO, "%s", "");
    return fail(err, VINCI_IO, "standard output: cannot write%s%s", output_error ? ": " : "",
                output_error ? _(strerror(output_error)) : "");
}

static void say_labelled(const char *label, const char *color, const char *text)
{
    if (color) fprintf(stderr, "vinci: \033[%sm%s\033[0m%s\n", color, label, text);
    else fprintf(stderr, "vinci: %s%s\n", label, text);
}

void say_error(const struct program *program, const char *text)
{
    say_labelled(_("error: "), program->color ? "1;31" : NULL, text);
}

void say_warning(const struct program *program, const char *text)
{
    say_labelled(_("warning: "), program->color ? "1;33" : NULL, text);
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
}

void progress_begin(struct progress *progress, const struct program *program, const char *label)
{
    *progress = (struct progress){program, label, seconds_now(), 0};
}

void progress_update(struct progress *progress, uint64_t done, uint64_t total)
{
    double time = seconds_now(), elapsed = time - progress->start;
    if (!progress->program->progress || time - progress->drawn < 0.2 || elapsed < 0.2) return;
    char speed[16];
    double per_second = (double)done / elapsed;
    double left = per_second > 0 ? (double)(total - done) / per_second : 0;
    fputs("\r\033[K", stderr);
    fprintf(stderr, _("%s  %.0f %%  %s/s  %.0f s left"), progress->label,
            total ? 100.0 * (double)done / (double)total : 0.0,
            format_bytes((uint64_t)per_second, speed), left);
    progress->drawn = time;
}

void progress_end(struct progress *progress)
{
    if (progress->drawn > 0) fputs("\r\033[K", stderr);
}

void memory_use_now(struct memory_use *use)
{
    static const struct {
        const char *name;
        size_t offset;
    } fields[] = {{"VmHWM:", offsetof(struct memory_use, peak)},
                  {"RssFile:", offsetof(struct memory_use, mapped)},
                  {"RssAnon:", offsetof(struct memory_use, own)}};
    char line[256];
    struct rusage usage;
    *use = (struct memory_use){0};
    if (getrusage(RUSAGE_SELF, &usage) == 0) use->peak = (uint64_t)usage.ru_maxrss * 1024;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) return;
    while (fgets(line, sizeof line, file))
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
            size_t n = strlen(fields[i].name);
            unsigned long long kib = 0;
            if (strncmp(line, fields[i].name, n) == 0 && sscanf(line + n, "%llu", &kib) == 1)
                memcpy((char *)use + fields[i].offset, &(uint64_t){kib * 1024}, sizeof(uint64_t));
        }
    fclose(file);
}

enum vinci_status read_input(const char *path, struct buf *out, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? _("standard input") : path;
    struct buf text = {0};
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno(err, errno, name, "open");
    for (;;) {
        if (interrupted()) {
            status = fail(err, VINCI_CANCELLED, "stopped");
            goto cleanup;
        }
        if (!buf_reserve(&text, 1 << 16)) {
            status = fail_memory(err, text.size + (1 << 16), name);
            goto cleanup;
        }
        ssize_t n = read(fd, text.data + text.size, 1 << 16);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            status = fail_errno(err, errno, name, "read");
            goto cleanup;
        }
        if (n == 0) break;
        text.size += (size_t)n;
        text.data[text.size] = '\0';
    }
    buf_free(out);
    *out = text;
    text = (struct buf){0};
cleanup:
    if (!standard) close(fd);
    buf_free(&text);
    return status;
}

enum vinci_status read_key_file(const char *path, struct buf *key, struct vinci_error *err)
{
    if (!path) return VINCI_OK;
    enum vinci_status status = read_input(path, key, err);
    if (status == VINCI_OK && key->data) key->data[strcspn(key->data, "\r\n")] = '\0';
    return status;
}
