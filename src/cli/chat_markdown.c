/* chat_markdown.c - Markdown -> lines for a terminal.
 *
 * md4c parses. The text of a block (paragraph, heading, cell) is gathered as glyphs, a character
 * with its width and attributes each, and laid out when the block ends; so one function breaks all
 * lines, and knows that a line may break around wide characters but not before closing
 * punctuation. What stands left of a block (list markers, quotation bars) is a stack of prefixes.
 *
 * Each line opens and closes its own attributes, so that any line can be drawn again alone. */
#include "cli/chat_markdown.h"

#ifdef HAVE_MD4C
#include <md4c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const bool markdown_available = true;

enum { BOLD = 1, ITALIC = 2, UNDERLINE = 4, STRIKE = 8, CODE = 16, DIM = 32 };
enum { DEPTH_MAX = 24, TAB = 4 };

struct glyph {
    char text[4];
    uint8_t size, width, style;
};

struct glyphs {
    struct glyph *items;
    size_t n, capacity;
};

struct cell {
    struct glyphs glyphs;
    MD_ALIGN align;
    bool header;
};

struct prefix {
    char first[16], rest[8]; /* `first` stands on the first line only */
    int width;
    bool used, list, ordered, tight;
    unsigned number;
};

struct renderer {
    struct buf *out;
    size_t width;
    bool color, failed;
    bool gap;     /* a block came before: an empty line goes between */
    bool in_code; /* of a code block: nothing is broken at words */
    uint8_t style;
    size_t link;          /* where the text of the link begins, in `glyphs` */
    struct glyphs glyphs; /* of the block, or of the cell that is being read */
    struct prefix prefixes[DEPTH_MAX];
    size_t depth, too_deep;
    struct cell *cells; /* of the table, [rows, columns] */
    size_t n_cells, cells_capacity, n_columns;
};

/* ---- glyphs -------------------------------------------------------------------------------- */

static void add_glyph(struct renderer *r, const char *text, size_t size, int width)
{
    struct glyphs *g = &r->glyphs;
    if (g->n == g->capacity) {
        size_t capacity = 2 * g->capacity + 64;
        struct glyph *items = realloc(g->items, capacity * sizeof *items);
        if (!items) {
            r->failed = true;
            return;
        }
        g->items = items;
        g->capacity = capacity;
    }
    struct glyph *glyph = &g->items[g->n++];
    *glyph = (struct glyph){.size = (uint8_t)size, .width = (uint8_t)width, .style = r->style};
    memcpy(glyph->text, text, size);
}

static void add_text(struct renderer *r, const char *text, size_t n)
{
    for (size_t i = 0, size = 0; i < n; i += size) {
        uint32_t c = character_at(text + i, n - i, &size);
        if (c == '\t')
            for (int j = 0; j < TAB; j++) add_glyph(r, " ", 1, 1);
        else if (c == '\n') add_glyph(r, "\n", 1, 0);
        else if (c != '\r') add_glyph(r, text + i, size, character_width(c));
    }
}

/* ---- lines --------------------------------------------------------------------------------- */

static void put(struct renderer *r, const char *text, size_t n)
{
    if (!buf_append(r->out, text, n)) r->failed = true;
}

static void put_text(struct renderer *r, const char *text)
{
    put(r, text, strlen(text));
}

static void put_style(struct renderer *r, uint8_t style)
{
    static const char *const codes[] = {";1", ";3", ";4", ";9", ";36", ";2"};
    if (!r->color) return;
    put_text(r, "\033[0");
    for (int bit = 0; bit < 6; bit++)
        if (style >> bit & 1) put_text(r, codes[bit]);
    put_text(r, "m");
}

static size_t prefix_width(const struct renderer *r)
{
    size_t width = 0;
    for (size_t i = 0; i < r->depth; i++) width += (size_t)r->prefixes[i].width;
    return width;
}

static void put_prefixes(struct renderer *r)
{
    for (size_t i = 0; i < r->depth; i++) {
        struct prefix *prefix = &r->prefixes[i];
        put_text(r, prefix->used ? prefix->rest : prefix->first);
        prefix->used = true;
    }
}

/* Glyphs from `start` up to `end`; returns their width. */
static size_t put_glyphs(struct renderer *r, const struct glyph *items, size_t start, size_t end)
{
    uint8_t style = 0;
    size_t width = 0;
    for (size_t i = start; i < end; i++) {
        if (items[i].style != style) put_style(r, style = items[i].style);
        put(r, items[i].text, items[i].size);
        width += items[i].width;
    }
    if (style) put_style(r, 0);
    return width;
}

static bool is_space(const struct glyph *glyph)
{
    return glyph->text[0] == ' ';
}

/* Punctuation that must not begin a line, in Chinese and Japanese. */
static bool closes(const struct glyph *glyph)
{
    static const char marks[] = "、。，．：；！？）」』】〉》〕”’…—・";
    char text[5] = {0};
    memcpy(text, glyph->text, glyph->size);
    return glyph->size > 1 && strstr(marks, text) != NULL;
}

/* The line that begins at `start` goes up to *end, the next begins at the result. */
static size_t break_line(const struct glyphs *g, size_t start, size_t width, bool words,
                         size_t *end)
{
    size_t used = 0, i, best = 0;
    for (i = start; i < g->n && g->items[i].text[0] != '\n'; i++) {
        const struct glyph *glyph = &g->items[i];
        bool may_break =
            i > start &&
            (is_space(glyph) || is_space(glyph - 1) ||
             ((glyph->width > 1 || glyph[-1].width > 1) && glyph->width > 0 && !closes(glyph)));
        if (may_break && words) best = i;
        if (used + glyph->width > width && i > start && !(words && is_space(glyph))) {
            *end = best ? best : i;
            size_t next = *end;
            while (words && *end > start && is_space(&g->items[*end - 1])) --*end;
            while (words && next < g->n && is_space(&g->items[next])) next++;
            return next;
        }
        used += glyph->width;
    }
    *end = i;
    while (words && *end > start && is_space(&g->items[*end - 1])) --*end;
    return i < g->n ? i + 1 : i;
}

/* The gathered glyphs as lines, which are then forgotten. */
static void put_block(struct renderer *r, bool words)
{
    size_t left = prefix_width(r), end = 0;
    size_t width = left + 10 < r->width ? r->width - left : 10;
    if (!words && r->glyphs.n && r->glyphs.items[r->glyphs.n - 1].text[0] == '\n') r->glyphs.n--;
    for (size_t at = 0; at < r->glyphs.n;) {
        size_t start = at;
        at = break_line(&r->glyphs, start, width, words, &end);
        put_prefixes(r);
        put_glyphs(r, r->glyphs.items, start, end);
        put_text(r, "\n");
    }
    r->glyphs.n = 0;
}

static bool in_tight_list(const struct renderer *r)
{
    for (size_t i = r->depth; i > 0; i--)
        if (r->prefixes[i - 1].list) return r->prefixes[i - 1].tight;
    return false;
}

/* Before a block: what a tight item gathered so far, and the empty line between blocks. */
static void begin_block(struct renderer *r)
{
    if (r->glyphs.n) put_block(r, true);
    if (r->gap && !in_tight_list(r)) {
        for (size_t i = 0; i < r->depth; i++) /* quotation bars go on, list markers wait */
            if (r->prefixes[i].used) put_text(r, r->prefixes[i].rest);
        while (r->out->size && r->out->data[r->out->size - 1] == ' ') r->out->size--;
        put_text(r, "\n");
    }
    r->gap = false;
}

static struct prefix *push(struct renderer *r, const char *first, const char *rest, int width)
{
    if (r->depth == DEPTH_MAX) {
        r->too_deep++;
        return NULL;
    }
    struct prefix *prefix = &r->prefixes[r->depth++];
    *prefix = (struct prefix){.width = width};
    snprintf(prefix->first, sizeof prefix->first, "%s", first);
    snprintf(prefix->rest, sizeof prefix->rest, "%s", rest);
    return prefix;
}

static void pop(struct renderer *r)
{
    if (r->too_deep) r->too_deep--;
    else if (r->depth) r->depth--;
}

/* ---- tables -------------------------------------------------------------------------------- */

static void add_cell(struct renderer *r, MD_ALIGN align, bool header)
{
    if (r->n_cells == r->cells_capacity) {
        size_t capacity = 2 * r->cells_capacity + 16;
        struct cell *cells = realloc(r->cells, capacity * sizeof *cells);
        if (!cells) {
            r->failed = true;
            r->glyphs.n = 0;
            return;
        }
        r->cells = cells;
        r->cells_capacity = capacity;
    }
    r->cells[r->n_cells++] = (struct cell){r->glyphs, align, header};
    r->glyphs = (struct glyphs){0};
}

static size_t cell_width(const struct glyphs *g)
{
    size_t width = 0;
    for (size_t i = 0; i < g->n; i++) width += g->items[i].width;
    return width;
}

/* Natural widths; the widest column gives way until the table fits. */
static void column_widths(const struct renderer *r, size_t *widths, size_t room)
{
    size_t n = r->n_columns, sum = 3 * (n - 1);
    for (size_t c = 0; c < n; c++) {
        widths[c] = 1;
        for (size_t i = c; i < r->n_cells; i += n) {
            size_t width = cell_width(&r->cells[i].glyphs);
            if (width > widths[c]) widths[c] = width;
        }
        sum += widths[c];
    }
    while (sum > room) {
        size_t widest = 0;
        for (size_t c = 1; c < n; c++)
            if (widths[c] > widths[widest]) widest = c;
        if (widths[widest] <= 4) break;
        widths[widest]--;
        sum--;
    }
}

static void put_spaces(struct renderer *r, size_t n)
{
    while (n-- > 0) put_text(r, " ");
}

/* One row: as many lines as its highest cell. `at` has room for a number a column. */
static void put_row(struct renderer *r, struct cell *cells, const size_t *widths, size_t *at)
{
    bool more = true;
    memset(at, 0, r->n_columns * sizeof *at);
    while (more) {
        more = false;
        put_prefixes(r);
        for (size_t c = 0; c < r->n_columns; c++) {
            const struct glyphs *g = &cells[c].glyphs;
            size_t start = at[c], end = start, width = 0;
            if (start < g->n) at[c] = break_line(g, start, widths[c], true, &end);
            for (size_t i = start; i < end; i++) width += g->items[i].width;
            size_t space = width < widths[c] ? widths[c] - width : 0;
            size_t before = cells[c].align == MD_ALIGN_RIGHT    ? space
                            : cells[c].align == MD_ALIGN_CENTER ? space / 2
                                                                : 0;
            if (c) put_text(r, " │ ");
            put_spaces(r, before);
            put_glyphs(r, g->items, start, end);
            if (c + 1 < r->n_columns) put_spaces(r, space - before);
            if (at[c] < g->n) more = true;
        }
        put_text(r, "\n");
    }
}

static void put_table(struct renderer *r)
{
    size_t n = r->n_columns, left = prefix_width(r);
    size_t *numbers = n ? array_new_zero(2 * n, sizeof *numbers) : NULL, *widths = numbers;
    if (!numbers) r->failed = true;
    if (numbers) column_widths(r, widths, left + 10 < r->width ? r->width - left : 10);
    for (size_t i = 0; numbers && i + n <= r->n_cells; i += n) {
        put_row(r, r->cells + i, widths, numbers + n);
        if (!r->cells[i].header || (i + n < r->n_cells && r->cells[i + n].header)) continue;
        put_prefixes(r);
        for (size_t c = 0; c < n; c++) {
            if (c) put_text(r, "─┼─");
            for (size_t j = 0; j < widths[c]; j++) put_text(r, "─");
        }
        put_text(r, "\n");
    }
    free(numbers);
    for (size_t i = 0; i < r->n_cells; i++) free(r->cells[i].glyphs.items);
    r->n_cells = 0;
}

/* ---- what md4c reports --------------------------------------------------------------------- */

static void enter_item(struct renderer *r, const MD_BLOCK_LI_DETAIL *item)
{
    char marker[16] = "• ";
    int width = 2;
    struct prefix *list =
        r->depth && r->prefixes[r->depth - 1].list ? &r->prefixes[r->depth - 1] : NULL;
    if (r->glyphs.n) put_block(r, true);
    if (list && list->ordered)
        width = snprintf(marker, sizeof marker, "%u. ", list->number++ % 1000000);
    if (item->is_task) snprintf(marker, sizeof marker, "%s ", item->task_mark == ' ' ? "☐" : "☑");
    if (r->gap && !in_tight_list(r)) begin_block(r);
    push(r, marker, width == 2 ? "  " : width == 3 ? "   " : "    ", width > 4 ? 4 : width);
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *user)
{
    struct renderer *r = user;
    struct prefix *list = NULL;
    switch (type) {
    case MD_BLOCK_QUOTE:
        begin_block(r);
        push(r, "│ ", "│ ", 2);
        break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
        begin_block(r);
        list = push(r, "", "", 0);
        if (!list) break;
        list->list = true;
        list->ordered = type == MD_BLOCK_OL;
        list->tight = list->ordered ? ((MD_BLOCK_OL_DETAIL *)detail)->is_tight
                                    : ((MD_BLOCK_UL_DETAIL *)detail)->is_tight;
        list->number = list->ordered ? ((MD_BLOCK_OL_DETAIL *)detail)->start : 0;
        break;
    case MD_BLOCK_LI: enter_item(r, detail); break;
    case MD_BLOCK_H:
        begin_block(r);
        r->style = ((MD_BLOCK_H_DETAIL *)detail)->level == 1 ? BOLD | UNDERLINE : BOLD;
        break;
    case MD_BLOCK_CODE:
        begin_block(r);
        push(r, "  ", "  ", 2);
        r->style = CODE;
        r->in_code = true;
        break;
    case MD_BLOCK_TABLE:
        begin_block(r);
        r->n_columns = ((MD_BLOCK_TABLE_DETAIL *)detail)->col_count;
        break;
    case MD_BLOCK_TH: r->style = BOLD; break;
    case MD_BLOCK_P:
    case MD_BLOCK_HTML:
    case MD_BLOCK_HR: begin_block(r); break;
    default: break;
    }
    return r->failed;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *user)
{
    struct renderer *r = user;
    switch (type) {
    case MD_BLOCK_QUOTE:
    case MD_BLOCK_UL:
    case MD_BLOCK_OL: pop(r); break;
    case MD_BLOCK_LI:
        if (!r->glyphs.n && r->depth && !r->prefixes[r->depth - 1].used) add_text(r, " ", 1);
        if (r->glyphs.n) put_block(r, true);
        pop(r);
        break;
    case MD_BLOCK_CODE:
        put_block(r, false);
        pop(r);
        r->in_code = false;
        r->style = 0;
        break;
    case MD_BLOCK_H:
        put_block(r, true);
        r->style = 0;
        break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
        add_cell(r, ((MD_BLOCK_TD_DETAIL *)detail)->align, type == MD_BLOCK_TH);
        r->style = 0;
        return r->failed;
    case MD_BLOCK_TABLE: put_table(r); break;
    case MD_BLOCK_HR:
        for (size_t i = 0; i < 24; i++) add_text(r, "─", 3);
        put_block(r, true);
        break;
    case MD_BLOCK_P:
    case MD_BLOCK_HTML: put_block(r, true); break;
    default: return r->failed;
    }
    r->gap = true;
    return r->failed;
}

static uint8_t span_style(MD_SPANTYPE type)
{
    switch (type) {
    case MD_SPAN_EM: return ITALIC;
    case MD_SPAN_STRONG: return BOLD;
    case MD_SPAN_A:
    case MD_SPAN_IMG: return UNDERLINE;
    case MD_SPAN_CODE: return CODE;
    case MD_SPAN_DEL: return STRIKE;
    default: return 0;
    }
}

static int enter_span(MD_SPANTYPE type, void *detail, void *user)
{
    struct renderer *r = user;
    (void)detail;
    r->style |= span_style(type);
    if (type == MD_SPAN_A) r->link = r->glyphs.n;
    return r->failed;
}

/* A bare address links to itself. */
static bool is_link_text(const struct renderer *r, const MD_ATTRIBUTE *target)
{
    size_t at = 0;
    for (size_t i = r->link; i < r->glyphs.n; i++) {
        const struct glyph *glyph = &r->glyphs.items[i];
        if (glyph->size > target->size - at || memcmp(target->text + at, glyph->text, glyph->size))
            return false;
        at += glyph->size;
    }
    return at == target->size;
}

static int leave_span(MD_SPANTYPE type, void *detail, void *user)
{
    struct renderer *r = user;
    const MD_ATTRIBUTE *target = NULL;
    r->style &= (uint8_t)~span_style(type);
    if (type == MD_SPAN_A) target = &((MD_SPAN_A_DETAIL *)detail)->href;
    if (type == MD_SPAN_IMG) target = &((MD_SPAN_IMG_DETAIL *)detail)->src;
    if (target && target->size && !(type == MD_SPAN_A && is_link_text(r, target))) {
        add_text(r, " (", 2);
        add_text(r, target->text, target->size);
        add_text(r, ")", 1);
    }
    return r->failed;
}

static void add_entity(struct renderer *r, const char *text, size_t n)
{
    static const char *const known[][2] = {{"&amp;", "&"},   {"&lt;", "<"},   {"&gt;", ">"},
                                           {"&quot;", "\""}, {"&nbsp;", " "}, {"&apos;", "'"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i][0]) == n && memcmp(known[i][0], text, n) == 0) {
            add_text(r, known[i][1], strlen(known[i][1]));
            return;
        }
    add_text(r, text, n);
}

static int text(MD_TEXTTYPE type, const MD_CHAR *bytes, MD_SIZE n, void *user)
{
    struct renderer *r = user;
    switch (type) {
    case MD_TEXT_BR: add_text(r, "\n", 1); break;
    case MD_TEXT_SOFTBR: add_text(r, " ", 1); break;
    case MD_TEXT_NULLCHAR: add_text(r, "\xef\xbf\xbd", 3); break;
    case MD_TEXT_ENTITY: add_entity(r, bytes, n); break;
    default: add_text(r, bytes, n); break;
    }
    return r->failed;
}

bool markdown_render(struct buf *out, const char *bytes, size_t n, size_t width, bool color)
{
    static const MD_PARSER parser = {
        .flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS | MD_FLAG_NOHTML |
                 MD_FLAG_PERMISSIVEURLAUTOLINKS,
        .enter_block = enter_block,
        .leave_block = leave_block,
        .enter_span = enter_span,
        .leave_span = leave_span,
        .text = text,
    };
    struct buf safe = {0};
    struct renderer r = {.out = out, .width = width < 20 ? 20 : width, .color = color};
    bool ok = terminal_text(&safe, bytes, n);
    if (ok && safe.size) ok = md_parse(safe.data, (MD_SIZE)safe.size, &parser, &r) == 0;
    for (size_t i = 0; i < r.n_cells; i++) free(r.cells[i].glyphs.items);
    free(r.cells);
    free(r.glyphs.items);
    buf_free(&safe);
    return ok && !r.failed;
}
#else
const bool markdown_available = false;

bool markdown_render(struct buf *out, const char *text, size_t n, size_t width, bool color)
{
    (void)width;
    (void)color;
    return terminal_text(out, text, n);
}
#endif
