/* chat_view.c - a turn on the terminal, as it comes.
 *
 * A Markdown answer is laid out anew, as a whole, some thirty times a second; only the lines that
 * changed are drawn again, by going up to the first of them. Lines that have left the screen stay
 * as they are. What is not a terminal gets the model's bytes, nothing added but a last newline. */
#include "cli/chat_view.h"

#include "base/clock.h"
#include "cli/chat_markdown.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void screen_size(size_t *columns, size_t *rows)
{
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;
    *columns = known ? size.ws_col : 80;
    *rows = known ? size.ws_row : 24;
}

bool text_equals(struct vinci_text text, const char *string)
{
    return text.data && text.size == strlen(string) && memcmp(text.data, string, text.size) == 0;
}

void chat_view_init(struct chat_view *view, const struct program *program,
                    enum chat_reasoning reasoning, bool quiet)
{
    *view = (struct chat_view){.program = program,
                               .reasoning = reasoning,
                               .quiet = quiet,
                               .newline = true,
                               .markdown = program->redraw && markdown_available};
}

void chat_view_release(struct chat_view *view)
{
    buf_free(&view->source);
    buf_free(&view->shown);
}

static const char *dim(const struct chat_view *view)
{
    return view->program->color ? "\033[2m" : "";
}

static const char *plain(const struct chat_view *view)
{
    return view->program->color ? "\033[0m" : "";
}

/* To standard error, which a person reads; safe on a terminal. */
static void say_text(struct chat_view *view, const char *text, size_t n)
{
    struct buf safe = {0};
    if (n == 0) return;
    if (terminal_text(&safe, text, n)) {
        say("%s%.*s%s", dim(view), (int)safe.size, safe.data, plain(view));
        view->newline = safe.data[safe.size - 1] == '\n';
    }
    buf_free(&safe);
}

/* The line that the cursor stands in, anew. */
VINCI_PRINTF(2, 3) static void redraw_line(struct chat_view *view, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say("\r\033[K%s%s%s", dim(view), text, plain(view));
}

void chat_view_note(struct chat_view *view, const char *format, ...)
{
    char *text = NULL; /* whole, whatever its length: a person may have to decide about it */
    va_list args;
    va_start(args, format);
    int n = view->quiet ? -1 : vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) return;
    say_text(view, text, (size_t)n);
    say("\n");
    view->newline = true;
    free(text);
}

/* ---- Markdown ------------------------------------------------------------------------------ */

static size_t count_lines(const struct buf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->size; i++) n += text->data[i] == '\n';
    return n;
}

/* Where the first line begins that differs; its number in *line. */
static size_t first_difference(const struct buf *a, const struct buf *b, size_t *line)
{
    size_t start = 0, i = 0;
    *line = 0;
    for (; i < a->size && i < b->size && a->data[i] == b->data[i]; i++)
        if (a->data[i] == '\n') {
            start = i + 1;
            ++*line;
        }
    return start;
}

/* The cursor stands in column 0 below the last line that is shown. */
static void draw(struct chat_view *view)
{
    struct buf lines = {0}, screen = {0};
    size_t columns, rows, line = 0, n_shown = count_lines(&view->shown);
    screen_size(&columns, &rows);
    if (columns < 21) columns = 21;
    bool resized = n_shown > 0 && columns != view->width;
    view->width = columns;
    bool ok = markdown_render(&lines, view->source.data, view->source.size, view->width - 1,
                              !view->program->no_color);
    size_t at = resized ? 0 : first_difference(&view->shown, &lines, &line);
    if (resized) { /* where lines stand now depends on the terminal: the screen is drawn anew */
        ok = ok && buf_append_text(&screen, "\033[H\033[2J");
        line = n_shown = 0;
    }
    while (ok && n_shown - line > rows - 1) { /* not reachable any more */
        const char *end = at < lines.size ? memchr(lines.data + at, '\n', lines.size - at) : NULL;
        if (!end) break;
        at = (size_t)(end - lines.data) + 1;
        line++;
    }
    if (ok && n_shown > line) ok = buf_printf(&screen, "\033[%zuA\r\033[J", n_shown - line);
    if (ok && at < lines.size) ok = buf_append(&screen, lines.data + at, lines.size - at);
    if (ok && screen.size) ok = output(screen.data, screen.size);
    if (!ok) view->failed = true;
    buf_free(&screen);
    buf_free(&view->shown);
    view->shown = lines;
    view->drawn = seconds_now();
}

/* ---- parts --------------------------------------------------------------------------------- */

static enum chat_part part_of(const struct vinci_message *message)
{
    if (vinci_message_is_call(message)) return PART_CALL;
    if (text_equals(message->channel, "analysis")) return PART_REASONING;
    if (text_equals(message->channel, "commentary")) return PART_REMARK;
    return PART_ANSWER;
}

static void end_part(struct chat_view *view)
{
    enum chat_part part = view->part;
    view->part = PART_NONE;
    if (part == PART_REASONING && view->reasoning == REASONING_BRIEF) {
        if (view->program->progress)
            redraw_line(view, _("thought for %.1f s, %zu tokens\n"), seconds_now() - view->start,
                        view->n_reasoning);
        return;
    }
    if (part == PART_ANSWER && view->markdown) draw(view);
    else if (part == PART_ANSWER) {
        if (!view->newline && !output("\n", 1)) view->failed = true;
    } else if (!view->newline) say("\n");
    view->newline = true;
}

static void begin_part(struct chat_view *view, enum chat_part part)
{
    size_t rows;
    if (view->part != PART_NONE) end_part(view);
    view->part = part;
    if (part == PART_REASONING) {
        view->start = seconds_now();
        view->n_reasoning = 0;
    }
    view->newline = true;
    view->source.size = view->shown.size = 0;
    screen_size(&view->width, &rows);
    if (view->width < 21) view->width = 21;
}

void chat_view_token(struct chat_view *view)
{
    if (view->part != PART_REASONING) return;
    view->n_reasoning++;
    if (view->quiet || view->reasoning != REASONING_BRIEF || !view->program->progress ||
        seconds_now() - view->drawn < 0.1)
        return;
    redraw_line(view, _("thinking: %zu tokens"), view->n_reasoning);
    view->drawn = seconds_now();
}

static void show_answer(struct chat_view *view, struct vinci_text text)
{
    struct buf safe = {0};
    if (view->markdown) {
        if (!buf_append(&view->source, text.data, text.size)) view->failed = true;
        else if (seconds_now() - view->drawn > 0.033) draw(view);
        return;
    }
    bool terminal = isatty(STDOUT_FILENO),
         ok = !terminal || terminal_text(&safe, text.data, text.size);
    if (ok) ok = terminal ? output(safe.data, safe.size) : output(text.data, text.size);
    if (!ok) view->failed = true;
    view->newline = text.data[text.size - 1] == '\n';
    buf_free(&safe);
}

static void show(struct chat_view *view, struct vinci_text text)
{
    switch (view->part) {
    case PART_REASONING:
        if (view->reasoning == REASONING_FULL) say_text(view, text.data, text.size);
        break;
    case PART_REMARK: say_text(view, text.data, text.size); break;
    case PART_ANSWER: show_answer(view, text); break;
    default: break; /* a call is shown when it is whole */
    }
}

void chat_view_event(struct chat_view *view, const struct vinci_harmony_event *event)
{
    if (view->quiet) return;
    if (event->kind == VINCI_HARMONY_CONTENT) {
        enum chat_part part = part_of(event->message);
        if (view->part != part) begin_part(view, part);
        show(view, event->text);
    } else if (event->kind == VINCI_HARMONY_MESSAGE_END) {
        if (view->part != PART_NONE) end_part(view);
        if (vinci_message_is_call(event->message)) {
            struct vinci_text to = event->message->recipient, with = event->message->content;
            chat_view_note(view, _("calls %.*s %.*s"), (int)to.size, to.data, (int)with.size,
                           with.data ? with.data : "");
        }
    }
}

void chat_view_end(struct chat_view *view)
{
    if (view->part != PART_NONE) end_part(view);
}
