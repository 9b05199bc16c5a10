/* The published vocabulary, read from every format, against the vectors in tests/vectors/text: ids
 * of texts, of texts with special tokens, of bytes that are not UTF-8; bytes and streamed text of
 * ids. What is not in the repository (tokenizer.json, 27 MB) is written from the .tiktoken file by
 * the test, and the published one is read too where it is at hand. */
#include "harmony_case.h"
#include "temp_folder.h"
#include "text/tokenizer_file.h"
#include "tokenizer_case.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))

static struct source {
    const char *name;
    struct vinci_tokenizer *tokenizer; /* NULL: not at hand */
    double load_seconds;
} sources[] = {{.name = "o200k_base.tiktoken"},
               {.name = "written tokenizer.json, merges as pairs"},
               {.name = "written tokenizer.json, merges as texts"},
               {.name = "written GGUF"},
               {.name = "published tokenizer.json"}};

#define FOR_EACH(source) \
    for (struct source *source = sources; source < sources + ARRAY_SIZE(sources); source++) \
        if (source->tokenizer)

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Times mean nothing under a sanitizer or an emulator. */
static bool times_count(void)
{
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
    return false;
#else
    const char *run = getenv("RUN");
    return !run || !*run;
#endif
}

static void open_source(struct source *source, const char *path)
{
    struct vinci_error err = {0};
    double start = cpu_seconds();
    if (vinci_tokenizer_open(&source->tokenizer, path, &err)) fail_msg("%s", err.text);
    source->load_seconds = cpu_seconds() - start;
    print_message("%s: loaded in %.3f s\n", source->name, source->load_seconds);
}

static int open_all(void **state)
{
    (void)state;
    struct temp_folder folder;
    temp_folder_make(&folder);
    open_source(&sources[0], PUBLISHED_TIKTOKEN);
    for (size_t i = 1; i <= 3; i++) {
        struct buf file = {0};
        if (i == 3) case_write_gguf(&file, sources[0].tokenizer);
        else
            case_write_json(&file, sources[0].tokenizer, i == 1 ? MERGES_AS_PAIRS : MERGES_AS_TEXTS,
                            200019);
        temp_write(&folder, "tokenizer", file.data, file.size);
        open_source(&sources[i], temp_path(&folder, "tokenizer"));
        buf_free(&file);
    }
    temp_folder_remove(&folder);
    if (access(PUBLISHED_JSON, R_OK) == 0) open_source(&sources[4], PUBLISHED_JSON);
    else print_message("%s: not there, left out\n", PUBLISHED_JSON);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) vinci_tokenizer_close(sources[i].tokenizer);
    return 0;
}

/* Ids of the text are those of the array. */
static bool encodes(const struct vinci_tokenizer *tokenizer, const char *text, size_t n,
                    bool special, const json_t *ids)
{
    int32_t *got = NULL;
    size_t n_got = 0;
    struct vinci_error err = {0};
    if (vinci_tokenize(tokenizer, text, n, special, &got, &n_got, &err)) fail_msg("%s", err.text);
    bool same = case_ids_equal(ids, got, n_got);
    vinci_free(got);
    return same;
}

static bool encodes_string(const struct vinci_tokenizer *tokenizer, const json_t *text,
                           bool special, const json_t *ids)
{
    return encodes(tokenizer, json_string_value(text), json_string_length(text), special, ids);
}

static bool unicode_is_older_than_16(void)
{
    char version[64] = "";
    pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, version);
    return atof(version) < 16;
}

static void test_encode(void **state)
{
    (void)state;
    json_t *lines = harmony_lines("encode.jsonl"), *line;
    size_t i, n_excused = 0;
    FOR_EACH(source)
    {
        json_array_foreach(lines, i, line)
        {
            if (encodes_string(source->tokenizer, json_object_get(line, "text"), false,
                               json_object_get(line, "ids")))
                continue;
            if (!json_object_get(line, "after_unicode_14") || !unicode_is_older_than_16())
                fail_msg("%s: line %zu", source->name, i + 1);
            n_excused++;
        }
        print_message("%s: %zu lines, %zu excused by older Unicode tables\n", source->name, i,
                      n_excused);
        n_excused = 0;
    }
    line = json_array_get(lines, 20); /* the check can fail */
    assert_false(encodes(sources[0].tokenizer, "x", 1, false, json_object_get(line, "ids")));
    json_decref(lines);
}

static void test_encode_special(void **state)
{
    (void)state;
    json_t *lines = harmony_lines("encode_special.jsonl"), *line;
    size_t i;
    FOR_EACH(source)
    {
        json_array_foreach(lines, i, line)
        {
            const json_t *text = json_object_get(line, "text"), *ids;
            ids = json_object_get(line, "ids_tiktoken");
            if (!ids || vinci_token_special_id(source->tokenizer, json_string_value(text)) < 0)
                ids = json_object_get(line, "ids");
            if (!encodes_string(source->tokenizer, text, true, ids))
                fail_msg("%s: line %zu", source->name, i + 1);
        }
    }
    json_decref(lines);
}

static size_t bytes_of_hex(const json_t *hex, char *bytes)
{
    const char *digits = json_string_value(hex);
    size_t n = json_string_length(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        sscanf(digits + 2 * i, "%2x", &byte);
        bytes[i] = (char)byte;
    }
    return n;
}

/* The bytes of the ids are exactly these. */
static bool decodes(const struct vinci_tokenizer *tokenizer, const json_t *array, const json_t *hex)
{
    struct ids ids = ids_of_json(array);
    struct vinci_error err = {0};
    char *text = NULL, *bytes = malloc(json_string_length(hex) + 1);
    size_t n, n_bytes = bytes_of_hex(hex, bytes);
    if (vinci_detokenize(tokenizer, ids.ids, ids.n, &text, &n, &err)) fail_msg("%s", err.text);
    bool same = n == n_bytes && memcmp(text, bytes, n) == 0 && text[n] == '\0';
    vinci_free(text);
    ids_free(&ids);
    free(bytes);
    return same;
}

static void test_encode_bytes(void **state)
{
    (void)state;
    json_t *lines = harmony_lines("encode_bytes.jsonl"), *line;
    size_t i;
    FOR_EACH(source)
    {
        json_array_foreach(lines, i, line)
        {
            const json_t *hex = json_object_get(line, "hex"), *ids = json_object_get(line, "ids");
            char *bytes = malloc(json_string_length(hex) + 1);
            size_t n = bytes_of_hex(hex, bytes);
            if (!encodes(source->tokenizer, bytes, n, false, ids) ||
                !encodes_string(source->tokenizer, json_object_get(line, "text"), false, ids) ||
                !decodes(source->tokenizer, json_object_get(line, "byte_ids"), hex))
                fail_msg("%s: line %zu", source->name, i + 1);
            free(bytes);
        }
    }
    json_decref(lines);
}

/* What is shown after each token, and at the end, is the array's strings. */
static bool streams(const struct vinci_tokenizer *tokenizer, const json_t *array,
                    const json_t *shown)
{
    struct vinci_utf8_stream stream = {0};
    struct ids ids = ids_of_json(array);
    bool same = json_array_size(shown) == ids.n + 1;
    for (size_t i = 0; i <= ids.n && same; i++) {
        const json_t *expected = json_array_get(shown, i);
        size_t n = 0;
        const char *bytes = i < ids.n ? vinci_token_bytes(tokenizer, ids.ids[i], &n) : "";
        char *out = malloc(3 * (n + 4));
        n = vinci_utf8_stream_next(&stream, bytes, n, i == ids.n, out);
        same =
            n == json_string_length(expected) && memcmp(out, json_string_value(expected), n) == 0;
        free(out);
    }
    ids_free(&ids);
    return same;
}

static void test_decode(void **state)
{
    (void)state;
    json_t *lines = harmony_lines("decode.jsonl"), *line;
    size_t i;
    FOR_EACH(source)
    {
        json_array_foreach(lines, i, line)
        {
            const json_t *ids = json_object_get(line, "ids");
            if (!decodes(source->tokenizer, ids, json_object_get(line, "hex")) ||
                !streams(source->tokenizer, ids, json_object_get(line, "stream")))
                fail_msg("%s: line %zu", source->name, i + 1);
        }
    }
    const json_t *one = json_array_get(lines, 1), *other = json_array_get(lines, 2);
    assert_false(
        decodes(sources[0].tokenizer, json_object_get(one, "ids"), json_object_get(other, "hex")));
    assert_false(streams(sources[0].tokenizer, json_object_get(one, "ids"),
                         json_object_get(other, "stream")));
    json_decref(lines);
}

static void test_special_tokens(void **state)
{
    (void)state;
    static const struct {
        int32_t id;
        const char *text;
    } named[] = {
        {199998, "<|startoftext|>"}, {199999, "<|endoftext|>"},      {200002, "<|return|>"},
        {200003, "<|constrain|>"},   {200005, "<|channel|>"},        {200006, "<|start|>"},
        {200007, "<|end|>"},         {200008, "<|message|>"},        {200012, "<|call|>"},
        {200018, "<|endofprompt|>"}, {200017, "<|reserved_200017|>"}};
    FOR_EACH(source)
    {
        const struct vinci_tokenizer *tokenizer = source->tokenizer;
        size_t n;
        for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
            assert_int_equal(vinci_token_special_id(tokenizer, named[i].text), named[i].id);
            const char *bytes = vinci_token_bytes(tokenizer, named[i].id, &n);
            assert_int_equal(n, strlen(named[i].text));
            assert_memory_equal(bytes, named[i].text, n);
            assert_true(vinci_token_is_special(tokenizer, named[i].id));
        }
        static const char *const none[] = {"", "<", "<|end|", "<|end|>x", "hello", "a"};
        for (size_t i = 0; i < ARRAY_SIZE(none); i++)
            assert_int_equal(vinci_token_special_id(tokenizer, none[i]), -1);
        bool reserved = source == &sources[0] || source == &sources[3];
        uint32_t n_vocab = reserved ? 201088 : 200019;
        assert_int_equal(vinci_tokenizer_n_vocab(tokenizer), n_vocab);
        assert_false(vinci_token_is_special(tokenizer, 199997));
        assert_int_equal(vinci_token_is_special(tokenizer, 201087), reserved);
        const int32_t unknown[] = {-1, (int32_t)n_vocab, INT32_MAX, INT32_MIN};
        for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
            struct vinci_error err;
            char *text;
            assert_null(vinci_token_bytes(tokenizer, unknown[i], &n));
            assert_int_equal(n, 0);
            assert_false(vinci_token_is_special(tokenizer, unknown[i]));
            assert_int_equal(vinci_detokenize(tokenizer, &unknown[i], 1, &text, &n, &err),
                             VINCI_LIMIT);
            assert_null(text);
            assert_non_null(strstr(err.text, "at index 0"));
        }
    }
    assert_int_equal(vinci_token_special_id(sources[0].tokenizer, "<|reserved_200018|>"), 200018);
    assert_int_equal(vinci_token_special_id(sources[0].tokenizer, "<|reserved_201087|>"), 201087);
}

/* The lists of ranks and of merges say the same. */
static void test_merges(void **state)
{
    (void)state;
    FOR_EACH(source) assert_int_equal(source->tokenizer->bpe.n_merges, 446189);
}

/* Decoding gives the text back; time is near-linear in the length of a piece. */
static void test_long_pieces(void **state)
{
    (void)state;
    enum { N = 100000 };
    static const char *const units[] = {
        "a", "A", " ", "\n", "=", "0", "\xe4\xb8\xad", "\xf0\x9f\x98\x80", "ab", "\xcc\x81", "the"};
    char *text = malloc(N);
    const struct vinci_tokenizer *tokenizer = sources[0].tokenizer;
    for (size_t u = 0; u < ARRAY_SIZE(units); u++) {
        size_t n_unit = strlen(units[u]), n = N / n_unit * n_unit, n_ids, n_back;
        for (size_t i = 0; i < n; i++) text[i] = units[u][i % n_unit];
        int32_t *ids;
        char *back;
        double start = cpu_seconds();
        assert_int_equal(vinci_tokenize(tokenizer, text, n, false, &ids, &n_ids, NULL), VINCI_OK);
        double seconds = cpu_seconds() - start;
        if (times_count() && seconds > 1) fail_msg("run %zu: %.2f s", u, seconds);
        assert_int_equal(vinci_detokenize(tokenizer, ids, n_ids, &back, &n_back, NULL), VINCI_OK);
        assert_int_equal(n_back, n);
        assert_memory_equal(back, text, n);
        vinci_free(back);
        vinci_free(ids);
    }
    free(text);
}

static void test_load_time(void **state)
{
    (void)state;
    if (!times_count()) skip();
    FOR_EACH(source)
    if (source->load_seconds > 0.5) fail_msg("%s: %.2f s", source->name, source->load_seconds);
}

/* A list of tokens grows by one piece after the other and stays as it was when one fails. */
static void test_append(void **state)
{
    (void)state;
    struct token_list list = {0};
    const struct vinci_tokenizer *tokenizer = sources[0].tokenizer;
    assert_int_equal(tokenizer_encode(tokenizer, "Hel", 3, false, &list, NULL), VINCI_OK);
    assert_int_equal(tokenizer_encode(tokenizer, "", 0, false, &list, NULL), VINCI_OK);
    assert_int_equal(tokenizer_encode(tokenizer, "lo", 2, false, &list, NULL), VINCI_OK);
    assert_int_equal(list.n, 2);
    assert_int_equal(tokenizer_encode(tokenizer, "<|end|>", 7, true, &list, NULL), VINCI_OK);
    assert_int_equal(list.n, 3);
    assert_int_equal(list.ids[2], 200007);
    token_list_free(&list);
}

/* Pieces that come again, at all distances, get the same ids as on their own. */
static void test_repeated_pieces(void **state)
{
    (void)state;
    const struct vinci_tokenizer *tokenizer = sources[0].tokenizer;
    json_t *lines = harmony_lines("encode.jsonl"), *line;
    struct buf text = {0};
    struct token_list expected = {0}, got = {0};
    uint32_t random = 7;
    size_t i;
    for (int round = 0; round < 20; round++) {
        json_array_foreach(lines, i, line)
        {
            const json_t *string = json_object_get(line, "text");
            random = random * 1664525 + 1013904223;
            if (random >> 30 || json_string_length(string) > 200) continue;
            /* Special tokens keep the lines apart. */
            buf_append(&text, json_string_value(string), json_string_length(string));
            buf_append_text(&text, "<|end|>");
            tokenizer_encode(tokenizer, json_string_value(string), json_string_length(string), true,
                             &expected, NULL);
            token_list_append(&expected, &(int32_t){200007}, 1);
        }
    }
    assert_true(text.size > 100000);
    assert_int_equal(tokenizer_encode(tokenizer, text.data, text.size, true, &got, NULL), VINCI_OK);
    assert_int_equal(got.n, expected.n);
    assert_memory_equal(got.ids, expected.ids, got.n * sizeof *got.ids);
    token_list_free(&got);
    token_list_free(&expected);
    buf_free(&text);
    json_decref(lines);
}

static json_t *thread_lines;

static void *encode_all(void *wrong)
{
    json_t *line;
    size_t i;
    json_array_foreach(thread_lines, i, line)
    {
        const json_t *text = json_object_get(line, "text"), *ids = json_object_get(line, "ids");
        if (json_object_get(line, "after_unicode_14")) continue;
        int32_t *got = NULL;
        size_t n = 0;
        vinci_tokenize(sources[0].tokenizer, json_string_value(text), json_string_length(text),
                       false, &got, &n, NULL);
        if (!case_ids_equal(ids, got, n)) ++*(int *)wrong;
        vinci_free(got);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    enum { N_THREADS = 4 };
    pthread_t threads[N_THREADS];
    int wrong[N_THREADS] = {0};
    thread_lines = harmony_lines("encode.jsonl");
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_all, &wrong[i]), 0);
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
    json_decref(thread_lines);
}

/* The small trained tokenizer of the golden model: its merges are a real list. */
static void test_golden(void **state)
{
    (void)state;
    static const char *const paths[] = {
        TEST_VECTORS "/golden/text/tokenizer.json", TEST_VECTORS "/golden/text",
        TEST_VECTORS "/golden/text-gguf/text.gguf", TEST_VECTORS "/golden/text-gguf"};
    json_t *golden = json_load_file(TEST_VECTORS "/golden/text/golden.json", 0, NULL), *line;
    assert_non_null(golden);
    for (size_t p = 0; p < ARRAY_SIZE(paths); p++) {
        struct vinci_tokenizer *tokenizer = NULL;
        struct vinci_error err = {0};
        size_t i;
        if (vinci_tokenizer_open(&tokenizer, paths[p], &err)) fail_msg("%s", err.text);
        json_array_foreach(json_object_get(golden, "tokenizer_vectors"), i, line)
        {
            const json_t *text = json_object_get(line, "text");
            if (!encodes_string(tokenizer, text, true, json_object_get(line, "ids")) ||
                !encodes_string(tokenizer, text, false,
                                json_object_get(line, "ids_without_special")))
                fail_msg("%s: line %zu", paths[p], i);
        }
        assert_true(encodes_string(tokenizer, json_object_get(golden, "prompt"), true,
                                   json_object_get(golden, "input_ids")));
        assert_int_equal(vinci_tokenizer_n_vocab(tokenizer), 600);
        assert_int_equal(vinci_token_special_id(tokenizer, "<|return|>"), 593);
        vinci_tokenizer_close(tokenizer);
    }
    json_decref(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode),         cmocka_unit_test(test_encode_special),
        cmocka_unit_test(test_encode_bytes),   cmocka_unit_test(test_decode),
        cmocka_unit_test(test_special_tokens), cmocka_unit_test(test_merges),
        cmocka_unit_test(test_long_pieces),    cmocka_unit_test(test_load_time),
        cmocka_unit_test(test_append),         cmocka_unit_test(test_repeated_pieces),
        cmocka_unit_test(test_threads),        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, open_all, close_all);
}
