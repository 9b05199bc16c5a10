/* pretokenize.c - the split regex of the tokenizer's file, by PCRE2 (JIT, UTF, UCP).
 *
 * Two things need care. PCRE2's \s takes U+180E, which left White_Space in Unicode 6.3: \s and \S
 * are rewritten to explicit ranges before compiling. And a match over megabytes of one character
 * may meet the library's limits: the step limit grows with the text, and where the JIT's stack is
 * too small a larger one is made, then the interpreter tried. */
#include "text/pretokenize.h"

#include "base/buf.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define JIT_STACK_START ((size_t)256 << 10)
#define JIT_STACK_MAX ((size_t)64 << 20)
#define HEAP_LIMIT_KIB (512u << 10)

const char split_regex_o200k[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    "|\\p{N}{1,3}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
    "|\\s*[\\r\\n]+"
    "|\\s+(?!\\S)"
    "|\\s+";

struct split_pattern {
    pcre2_general_context *memory;
    pcre2_code *code;
    bool jit;
};

struct split {
    const struct split_pattern *pattern;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *jit_stack; /* NULL while the machine stack is enough */
    const char *text;
    size_t n;
    size_t emitted;    /* everything before was handed out */
    size_t begin, end; /* the match that is to be handed out next, if begin < end */
    size_t search;     /* where the next search starts */
};

/* PCRE2 allocates through these, so that the tests can make any of it fail. */
static void *allocate(size_t n, void *context)
{
    (void)context;
    return malloc(n);
}

static void release(void *p, void *context)
{
    (void)context;
    free(p);
}

/* White_Space and its complement, as the inside of a class. */
#define WHITE \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}" \
    "\\x{202f}\\x{205f}\\x{3000}"
#define NOT_WHITE \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}" \
    "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}" \
    "\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"

/* Copies the expression with \s and \S spelt out, inside and outside of classes. */
static bool spell_out_white_space(const char *regex, size_t n, struct buf *out)
{
    bool in_class = false;
    for (size_t i = 0; i < n; i++) {
        if (regex[i] == '\\' && i + 1 < n) {
            char escape = regex[++i];
            const char *text = escape == 's'   ? in_class ? WHITE : "[" WHITE "]"
                               : escape == 'S' ? in_class ? NOT_WHITE : "[^" WHITE "]"
                                               : NULL;
            if (text ? !buf_append_text(out, text) : !buf_append(out, regex + i - 1, 2))
                return false;
            continue;
        }
        if (!buf_append(out, regex + i, 1)) return false;
        if (in_class) {
            in_class = regex[i] != ']';
        } else if (regex[i] == '[') {
            in_class = true;
            /* A bracket right behind the opening one is a member. */
            size_t member = i + 1 + (i + 1 < n && regex[i + 1] == '^');
            if (member >= n || regex[member] != ']') continue;
            if (!buf_append(out, regex + i + 1, member - i)) return false;
            i = member;
        }
    }
    return true;
}

static enum vinci_status compile(struct split_pattern *pattern, const struct buf *regex,
                                 struct vinci_error *err)
{
    pcre2_compile_context *context = NULL;
    pattern->memory = pcre2_general_context_create(allocate, release, NULL);
    if (pattern->memory) context = pcre2_compile_context_create(pattern->memory);
    if (!context) return fail_memory(err, regex->size, "the split expression");
    int code;
    size_t at;
    pattern->code =
        pcre2_compile((PCRE2_SPTR)regex->data, regex->size,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!pattern->code) {
        char message[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
        if (code == PCRE2_ERROR_HEAP_FAILED)
            return fail_memory(err, regex->size, "the split expression");
        return fail(err, VINCI_BAD_FILE, "the split expression does not compile: %s", message);
    }
    /* Where code may not be made at run time the interpreter does the same, slower. */
    pattern->jit = pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE) == 0;
    return VINCI_OK;
}

enum vinci_status split_pattern_open(struct split_pattern **out, const char *regex, size_t n_bytes,
                                     struct vinci_error *err)
{
    *out = NULL;
    struct buf spelt = {0};
    struct split_pattern *pattern = array_new_zero(1, sizeof *pattern);
    bool ok =
        pattern && buf_reserve(&spelt, n_bytes) && spell_out_white_space(regex, n_bytes, &spelt);
    enum vinci_status status =
        ok ? compile(pattern, &spelt, err) : fail_memory(err, n_bytes, "the split expression");
    buf_free(&spelt);
    if (status) split_pattern_close(pattern);
    else *out = pattern;
    return status;
}

void split_pattern_close(struct split_pattern *pattern)
{
    if (!pattern) return;
    pcre2_code_free(pattern->code);
    pcre2_general_context_free(pattern->memory);
    free(pattern);
}

enum vinci_status split_open(struct split **out, const struct split_pattern *pattern,
                             struct vinci_error *err)
{
    *out = NULL;
    struct split *split = array_new_zero(1, sizeof *split);
    if (split) {
        split->pattern = pattern;
        split->match = pcre2_match_data_create(1, pattern->memory);
        split->context = pcre2_match_context_create(pattern->memory);
    }
    if (!split || !split->match || !split->context) {
        split_close(split);
        return fail_memory(err, sizeof *split, "splitting text");
    }
    pcre2_set_heap_limit(split->context, HEAP_LIMIT_KIB);
    *out = split;
    return VINCI_OK;
}

void split_close(struct split *split)
{
    if (!split) return;
    pcre2_match_data_free(split->match);
    pcre2_match_context_free(split->context);
    pcre2_jit_stack_free(split->jit_stack);
    free(split);
}

void split_begin(struct split *split, const char *text, size_t n)
{
    split->text = text;
    split->n = n;
    split->emitted = split->begin = split->end = split->search = 0;
    /* Steps of one match: the library's own limit, and room for going back over the whole text. */
    size_t limit = n < UINT32_MAX / 32 ? 10000000 + n * 16 : UINT32_MAX;
    pcre2_set_match_limit(split->context, (uint32_t)limit);
}

/* PCRE2's answer for a match at `search` or behind it. The text is known to be well-formed. */
static int find_match(struct split *split)
{
    const struct split_pattern *pattern = split->pattern;
    PCRE2_SPTR text = (PCRE2_SPTR)split->text;
    if (pattern->jit) {
        int found = pcre2_jit_match(pattern->code, text, split->n, split->search, 0, split->match,
                                    split->context);
        if (found == PCRE2_ERROR_JIT_STACKLIMIT && !split->jit_stack) {
            split->jit_stack =
                pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, split->pattern->memory);
            if (!split->jit_stack) return PCRE2_ERROR_NOMEMORY;
            pcre2_jit_stack_assign(split->context, NULL, split->jit_stack);
            found = pcre2_jit_match(pattern->code, text, split->n, split->search, 0, split->match,
                                    split->context);
        }
        if (found != PCRE2_ERROR_JIT_STACKLIMIT) return found;
    }
    return pcre2_match(pattern->code, text, split->n, split->search,
                       PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, split->match, split->context);
}

static size_t next_character(const struct split *split, size_t i)
{
    do i++;
    while (i < split->n && ((uint8_t)split->text[i] & 0xc0) == 0x80);
    return i;
}

/* Finds the next match; at the end of the text that is an empty one there. An empty match ends the
 * piece before it and the search goes on one character further. */
static enum vinci_status search(struct split *split, struct vinci_error *err)
{
    split->begin = split->end = split->n;
    if (split->search >= split->n) return VINCI_OK;
    int found = find_match(split);
    if (found == PCRE2_ERROR_NOMATCH) {
        split->search = split->n;
        return VINCI_OK;
    }
    if (found == PCRE2_ERROR_NOMEMORY) return fail_memory(err, split->n, "splitting text");
    if (found < 0) {
        char message[128] = "";
        pcre2_get_error_message(found, (PCRE2_UCHAR *)message, sizeof message);
        return fail(err, VINCI_LIMIT, "the split expression fails at byte %zu of the text: %s",
                    split->search, message);
    }
    const size_t *range = pcre2_get_ovector_pointer(split->match);
    /* \K may put the start behind the end or before what was handed out. */
    split->end = range[1];
    split->begin = range[0] <= range[1] ? range[0] : range[1];
    if (split->begin < split->emitted) split->begin = split->emitted;
    split->search = split->begin < split->end ? split->end : next_character(split, split->end);
    return VINCI_OK;
}

enum vinci_status split_next(struct split *split, const char **piece, size_t *n,
                             struct vinci_error *err)
{
    *piece = NULL;
    *n = 0;
    while (split->emitted < split->n) {
        size_t from = split->emitted, to;
        if (split->begin < from || split->begin == split->end) {
            enum vinci_status status = search(split, err);
            if (status) return status;
        }
        to = split->begin > from ? split->begin : split->end;
        if (to == from) continue;
        split->emitted = to;
        *piece = split->text + from;
        *n = to - from;
        break;
    }
    return VINCI_OK;
}
