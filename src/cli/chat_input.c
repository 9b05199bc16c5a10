/* chat_input.c - reading messages.
 *
 * libedit edits the line and keeps the history, which lives in $XDG_STATE_HOME/vinci/history. It
 * reads characters by our function, because its own goes on waiting after a signal. A pasted text
 * comes between two marks (bracketed paste), so that its line ends do not send it. From a pipe
 * there is no prompt, no echo and no history. */
#include "cli/chat_input.h"

#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_SIZE = 1000 };

struct chat_input {
    EditLine *edit; /* NULL: a pipe */
    History *history;
    char *history_path; /* NULL: not kept */
    const char *prompt;
    bool paste; /* the terminal may be asked to mark what is pasted */
    char *line; /* of the pipe */
    size_t line_size;
};

static volatile sig_atomic_t window_changed;

static void on_window_change(int number)
{
    (void)number;
    window_changed = 1;
}

static char *prompt_of(EditLine *edit)
{
    struct chat_input *input = NULL;
    el_get(edit, EL_CLIENTDATA, &input);
    return (char *)input->prompt;
}

/* One character; -1 after a signal that asks to stop. */
static int read_character(EditLine *edit, wchar_t *out)
{
    mbstate_t state = {0};
    for (;;) {
        char byte;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (window_changed) {
            window_changed = 0;
            el_resize(edit);
            el_set(edit, EL_REFRESH);
        }
        if (n < 0 && errno == EINTR && !interrupted()) continue;
        if (n <= 0) return (int)n;
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used == (size_t)-2) continue;
        if (used != (size_t)-1) return 1;
        state = (mbstate_t){0}; /* not a character: forgotten */
    }
}

/* What stands between ESC [200~, which led here, and ESC [201~ becomes part of the line, line ends
 * included but for the last ones; other control characters do not. */
static unsigned char take_paste(EditLine *edit, wint_t key)
{
    static const char end[] = "\033[201~";
    struct buf text = {0};
    char byte[MB_LEN_MAX];
    wchar_t c;
    bool ok = true, marked = false;
    (void)key;
    while (ok && !marked && el_wgetc(edit, &c) == 1) {
        int n = wctomb(byte, c == L'\r' ? L'\n' : c);
        ok = n > 0 && buf_append(&text, byte, (size_t)n);
        marked = text.size >= sizeof end - 1 &&
                 memcmp(text.data + text.size - (sizeof end - 1), end, sizeof end - 1) == 0;
    }
    if (ok && marked) {
        size_t n = 0;
        text.size -= sizeof end - 1;
        for (size_t i = 0; i < text.size; i++) {
            unsigned char b = (unsigned char)text.data[i];
            if ((b >= ' ' && b != 0x7f) || b == '\n' || b == '\t') text.data[n++] = (char)b;
        }
        while (n > 0 && text.data[n - 1] == '\n') n--;
        text.data[n] = '\0';
        ok = n == 0 || el_insertstr(edit, text.data) == 0;
    }
    buf_free(&text);
    return ok && marked ? CC_REFRESH : CC_REFRESH_BEEP;
}

/* mkdir -p; errors show when the file cannot be written. */
static void make_folders(const char *path)
{
    char part[PATH_MAX];
    for (size_t i = 1; path[i] && i < sizeof part; i++)
        if (path[i] == '/') {
            memcpy(part, path, i);
            part[i] = '\0';
            mkdir(part, 0700);
        }
}

static bool open_editor(struct chat_input *input, const struct program *program)
{
    HistEvent event;
    struct buf path = {0};
    input->edit = el_init("vinci", stdin, stdout, stderr);
    input->history = history_init();
    if (!input->edit || !input->history) return false;
    history(input->history, &event, H_SETSIZE, HISTORY_SIZE);
    history(input->history, &event, H_SETUNIQUE, 1);
    if (program->state_folder && buf_printf(&path, "%s/history", program->state_folder)) {
        make_folders(path.data);
        history(input->history, &event, H_LOAD, path.data);
        input->history_path = path.data;
    }
    el_set(input->edit, EL_CLIENTDATA, input);
    el_set(input->edit, EL_PROMPT, prompt_of);
    el_set(input->edit, EL_EDITOR, "emacs");
    el_set(input->edit, EL_HIST, history, input->history);
    el_set(input->edit, EL_GETCFN, read_character);
    el_set(input->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    /* Not el_set, which copies the names and never frees them. */
    el_wset(input->edit, EL_ADDFN, L"vinci-paste", L"takes a pasted text", take_paste);
    el_set(input->edit, EL_BIND, "\033[200~", "vinci-paste", NULL);
    input->paste = program->redraw;
    return true;
}

enum vinci_status chat_input_open(struct chat_input **out, const struct program *program,
                                  struct vinci_error *err)
{
    *out = NULL;
    struct chat_input *input = array_new_zero(1, sizeof *input);
    bool ok = input != NULL;
    if (ok && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) ok = open_editor(input, program);
    if (!ok) {
        chat_input_close(input);
        return fail_memory(err, sizeof *input, "the line editor");
    }
    *out = input;
    return VINCI_OK;
}

void chat_input_close(struct chat_input *input)
{
    HistEvent event;
    if (!input) return;
    if (input->history_path) history(input->history, &event, H_SAVE, input->history_path);
    if (input->history) history_end(input->history);
    if (input->edit) el_end(input->edit);
    free(input->history_path);
    free(input->line);
    free(input);
}

void chat_input_echo(struct chat_input *input, bool on)
{
    struct termios mode;
    if (!input->edit || tcgetattr(STDIN_FILENO, &mode) != 0) return;
    if (on) mode.c_lflag |= ECHO;
    else mode.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

bool chat_input_is_terminal(const struct chat_input *input)
{
    return input->edit != NULL;
}

/* el_gets, with pastes marked and changes of the window followed. */
static const char *edit_line(struct chat_input *input, int *n)
{
    struct sigaction action = {.sa_handler = on_window_change}, before;
    sigemptyset(&action.sa_mask);
    bool follows = sigaction(SIGWINCH, &action, &before) == 0;
    if (input->paste) fputs("\033[?2004h", stdout);
    el_resize(input->edit); /* the window may have changed during an answer */
    const char *line = el_gets(input->edit, n);
    if (input->paste) fputs("\033[?2004l", stdout);
    fflush(stdout);
    if (follows) sigaction(SIGWINCH, &before, NULL);
    return line;
}

/* One line without its end, borrowed; NULL at the end or after Ctrl-C. A pasted one may hold line
 * ends. */
static const char *read_line(struct chat_input *input, const char *prompt, bool keep, size_t *n)
{
    const char *line = NULL;
    if (input->edit) {
        int count = 0;
        HistEvent event;
        input->prompt = prompt;
        line = edit_line(input, &count);
        if (!line || count <= 0 || interrupted()) {
            fputs("\n", stdout);
            fflush(stdout);
            el_reset(input->edit);
            return NULL;
        }
        *n = (size_t)count;
        if (keep && line[strspn(line, " \t\n")]) history(input->history, &event, H_ENTER, line);
    } else {
        ssize_t count = getline(&input->line, &input->line_size, stdin);
        if (count < 0) return NULL;
        line = input->line;
        *n = (size_t)count;
    }
    if (*n && line[*n - 1] == '\n') --*n;
    return line;
}

static bool ends_quote(const char *line, size_t n)
{
    return n >= 3 && memcmp(line + n - 3, "\"\"\"", 3) == 0;
}

enum chat_read chat_input_read(struct chat_input *input, struct buf *text)
{
    bool quoted = false, begun = false, end = false;
    text->size = 0;
    while (!end) {
        size_t n = 0;
        const char *line = read_line(input, begun || quoted ? "... " : "> ", true, &n);
        if (!line) {
            if (interrupted()) return READ_STOPPED;
            return begun ? READ_TEXT : READ_END; /* a message without its end is one too */
        }
        if (!begun && !quoted && n >= 3 && memcmp(line, "\"\"\"", 3) == 0) {
            quoted = true;
            line += 3;
            n -= 3;
            if (n == 0) continue;
        }
        if (quoted) end = ends_quote(line, n);
        else end = !(n && line[n - 1] == '\\');
        if (quoted && end) n -= 3;
        else if (!end && !quoted) n--;
        if ((begun && !buf_append_text(text, "\n")) || !buf_append(text, line, n)) return READ_END;
        begun = true;
    }
    if (quoted && text->size && text->data[text->size - 1] == '\n') text->data[--text->size] = '\0';
    return READ_TEXT;
}

enum chat_read chat_input_ask(struct chat_input *input, const char *prompt, struct buf *text)
{
    size_t n = 0;
    const char *line = read_line(input, prompt, false, &n);
    text->size = 0;
    if (line && buf_append(text, line, n)) return READ_TEXT;
    return interrupted() ? READ_STOPPED : READ_END;
}
