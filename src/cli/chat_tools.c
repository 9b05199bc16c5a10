/* chat_tools.c - tool definitions from a file, and one run of the user's program for a call.
 *
 * vinci carries out nothing that a model wrote: the user names a program, and that gets the name
 * and the arguments as data on its standard input. It runs in a process group of its own, which is
 * killed when its time is over, when it says too much, or on Ctrl-C. A failure is not an error of
 * vinci's but an answer to the model, which may then do something about it. */
#include "cli/chat_tools.h"

#include "base/clock.h"
#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *function_name(const json_t *tool)
{
    const json_t *function = json_object_get(tool, "function");
    return json_string_value(json_object_get(json_is_object(function) ? function : tool, "name"));
}

enum vinci_status chat_tools_read(const char *path, char **json, struct vinci_error *err)
{
    struct buf text = {0};
    json_error_t problem;
    json_t *root = NULL, *tools, *tool;
    size_t i;
    *json = NULL;
    enum vinci_status status = read_input(path, &text, err);
    if (status != VINCI_OK) return status;
    root = json_loadb(text.data ? text.data : "", text.size, JSON_REJECT_DUPLICATES, &problem);
    tools = json_is_object(root) ? json_object_get(root, "tools") : root;
    if (!root)
        status = fail(err, VINCI_BAD_FILE, "%s: not JSON: line %d: %s", path, problem.line,
                      problem.text);
    else if (!json_is_array(tools))
        status = fail(err, VINCI_BAD_FILE, "%s: expected a JSON array of functions", path);
    json_array_foreach(tools, i, tool)
    {
        if (status == VINCI_OK && !function_name(tool))
            status = fail(err, VINCI_BAD_FILE,
                          "%s: [%zu]: expected {\"type\": \"function\", \"function\": {\"name\": "
                          "..., \"parameters\": ...}}",
                          path, i);
    }
    if (status == VINCI_OK) {
        *json = json_dumps(tools, JSON_COMPACT);
        if (!*json) status = fail_memory(err, text.size, "tools");
    }
    json_decref(root);
    buf_free(&text);
    return status;
}

enum vinci_status chat_tools_names(const char *json, struct buf *names, struct vinci_error *err)
{
    json_t *tools = json ? json_loads(json, 0, NULL) : NULL, *tool;
    size_t i;
    bool ok = buf_append_text(names, "");
    json_array_foreach(tools, i, tool)
    {
        const char *name = function_name(tool);
        ok = ok && buf_printf(names, "%s%s", i ? ", " : "", name ? name : "?");
    }
    json_decref(tools);
    return ok ? VINCI_OK : fail_memory(err, 4096, "tools");
}

static bool has_tool(const char *json, const char *name)
{
    json_t *tools = json ? json_loads(json, 0, NULL) : NULL, *tool;
    bool found = false;
    size_t i;
    json_array_foreach(tools, i, tool)
    {
        const char *other = function_name(tool);
        if (other && strcmp(other, name) == 0) found = true;
    }
    json_decref(tools);
    return found;
}

const char *chat_tools_refusal(const char *json, const char *recipient, const char *arguments,
                               const char **name, char *reason, size_t size)
{
    static const char prefix[] = "functions.";
    size_t n = sizeof prefix - 1;
    json_error_t problem;
    *name = strncmp(recipient, prefix, n) == 0 ? recipient + n : recipient;
    if (*name == recipient || !has_tool(json, *name)) {
        struct buf names = {0};
        bool ok = chat_tools_names(json, &names, NULL) == VINCI_OK;
        snprintf(reason, size, "Error: there is no function %.100s; there are: %s", *name,
                 ok && names.size ? names.data : "none");
        buf_free(&names);
        return reason;
    }
    /* The numbers are not looked at: integers of any length will do. */
    json_t *value = json_loads(arguments, JSON_DECODE_INT_AS_REAL, &problem);
    bool object = json_is_object(value);
    json_decref(value);
    if (object) return NULL;
    snprintf(reason, size, "Error: the arguments are not a JSON object: %s",
             value ? "another kind of value" : problem.text);
    return reason;
}

/* ---- the program --------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int in, out; /* our ends; -1: closed */
    int status;
    bool ended;
};

static enum vinci_status start(struct child *child, const char *command, struct vinci_error *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    *child = (struct child){.pid = -1, .in = -1, .out = -1};
    if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0) child->pid = fork();
    if (child->pid == 0) {
        setpgid(0, 0);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        if (dup2(in[0], STDIN_FILENO) >= 0 && dup2(out[1], STDOUT_FILENO) >= 0)
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    int error = errno;
    if (in[0] >= 0) close(in[0]);
    if (out[1] >= 0) close(out[1]);
    child->in = in[1];
    child->out = out[0];
    if (child->pid > 0) {
        setpgid(child->pid, child->pid); /* whoever is first */
        fcntl(child->in, F_SETFL, O_NONBLOCK);
        fcntl(child->out, F_SETFL, O_NONBLOCK);
        return VINCI_OK;
    }
    if (child->in >= 0) close(child->in);
    if (child->out >= 0) close(child->out);
    return fail_errno(err, error, command, "start");
}

static void close_end(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static bool has_ended(struct child *child)
{
    if (!child->ended && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
        child->ended = true;
    return child->ended;
}

static void end(struct child *child)
{
    close_end(&child->in);
    close_end(&child->out);
    kill(-child->pid, SIGKILL);
    while (!child->ended)
        if (waitpid(child->pid, &child->status, 0) == child->pid || errno != EINTR)
            child->ended = true;
}

static void feed(struct child *child, const struct buf *input, size_t *n_written)
{
    ssize_t n = write(child->in, input->data + *n_written, input->size - *n_written);
    if (n > 0) *n_written += (size_t)n;
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || *n_written == input->size)
        close_end(&child->in); /* it need not read what it was given */
}

/* Takes over what can be read now; false when memory is short. */
static bool drain(struct child *child, struct buf *answer, size_t most)
{
    char bytes[4096];
    while (child->out >= 0 && answer->size <= most) {
        ssize_t n = read(child->out, bytes, sizeof bytes);
        if (n > 0 && !buf_append(answer, bytes, (size_t)n)) return false;
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_end(&child->out);
        if (n < 0) break;
    }
    return true;
}

/* What became of the run, in words for the model; "" when it went well. */
static const char *talk(struct child *child, const struct chat_tool_options *options,
                        const struct buf *input, struct buf *answer, bool *stopped, char text[96])
{
    double deadline = seconds_now() + options->seconds;
    size_t n_written = 0;
    for (;;) {
        bool ended = has_ended(child); /* before the last look at what it wrote */
        if (child->in >= 0) feed(child, input, &n_written);
        if (!drain(child, answer, options->bytes)) return "Error: out of memory";
        if (answer->size > options->bytes) {
            answer->size = options->bytes;
            snprintf(text, 96, "Error: the answer was cut after %llu bytes",
                     (unsigned long long)options->bytes);
            return text;
        }
        if (ended) break;
        if (interrupted()) {
            *stopped = true;
            return "Error: the user stopped the function";
        }
        if (seconds_now() > deadline) {
            snprintf(text, 96, "Error: the function did not end within %u s", options->seconds);
            return text;
        }
        struct pollfd fds[2] = {{child->out, POLLIN, 0}, {child->in, POLLOUT, 0}};
        poll(fds, 2, child->out < 0 ? 5 : 50);
    }
    if (WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0) return "";
    if (WIFEXITED(child->status))
        snprintf(text, 96, "Error: the function failed with status %d", WEXITSTATUS(child->status));
    else snprintf(text, 96, "Error: the function was ended by signal %d", WTERMSIG(child->status));
    return text;
}

enum vinci_status chat_tools_run(const struct chat_tool_options *options, const char *name,
                                 const char *arguments, struct buf *answer, bool *stopped,
                                 struct vinci_error *err)
{
    struct child child;
    struct buf input = {0}, output = {0};
    char text[96];
    enum vinci_status status = VINCI_OK;
    *stopped = false;
    /* The arguments as the model wrote them, so that no number loses digits, but on one line: line
     * ends are white space there, as those in strings are escaped. */
    json_t *quoted = json_string(name);
    char *name_text = quoted ? json_dumps(quoted, JSON_ENCODE_ANY) : NULL;
    if (!name_text || !buf_printf(&input, "{\"name\":%s,\"arguments\":%s}", name_text, arguments))
        status = fail_memory(err, strlen(arguments), "a call");
    for (size_t i = 0; i < input.size; i++)
        if (input.data[i] == '\n' || input.data[i] == '\r') input.data[i] = ' ';
    if (status == VINCI_OK && !buf_append_text(&input, "\n"))
        status = fail_memory(err, input.size, "a call");
    if (status == VINCI_OK) status = start(&child, options->exec, err);
    if (status == VINCI_OK) {
        const char *problem = talk(&child, options, &input, &output, stopped, text);
        end(&child);
        while (output.size && output.data[output.size - 1] == '\n') output.size--;
        if (!buf_append_text(answer, problem) ||
            (*problem && output.size && !buf_append_text(answer, "\n")) ||
            (output.size && !buf_append(answer, output.data, output.size)))
            status = fail_memory(err, output.size, "an answer");
    }
    json_decref(quoted);
    free(name_text);
    buf_free(&input);
    buf_free(&output);
    return status;
}
