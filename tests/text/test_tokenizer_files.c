/* Tokenizer files that are damaged, of another kind, cut off anywhere or changed anywhere; memory
 * that runs out at every allocation; where a file is looked for; special tokens of odd shapes.
 *
 * The files are the small ones of the golden model, and edits of them. */
#include "alloc_fail.h"
#include "temp_folder.h"
#include "text/tokenizer_file.h"
#include "tokenizer_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))

/* The golden model's tokenizer.json without its indentation, and the metadata of the GGUF file. */
static struct buf small_json, small_gguf;

static int read_small_files(void **state)
{
    (void)state;
    json_t *root = json_load_file(TEST_VECTORS "/golden/text/tokenizer.json", 0, NULL);
    char *text = json_dumps(root, JSON_COMPACT);
    assert_true(text && buf_append_text(&small_json, text));
    free(text);
    json_decref(root);
    struct vinci_tokenizer *tokenizer = NULL;
    assert_int_equal(case_load(&tokenizer, small_json.data, small_json.size, NULL), VINCI_OK);
    case_write_gguf(&small_gguf, tokenizer);
    vinci_tokenizer_close(tokenizer);
    return 0;
}

static int release_small_files(void **state)
{
    (void)state;
    buf_free(&small_json);
    buf_free(&small_gguf);
    return 0;
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void check_refused(const void *data, size_t n, enum vinci_status status, const char *says)
{
    struct vinci_tokenizer *tokenizer = NULL;
    struct vinci_error err = {0};
    enum vinci_status got = case_load(&tokenizer, data, n, &err);
    if (got != status || !strstr(err.text, says) || strncmp(err.text, "FILE: ", 6) != 0)
        fail_msg("expected status %d and \"%s\", got %d and \"%s\"", status, says, got, err.text);
    assert_null(tokenizer);
    assert_int_equal(case_load(&tokenizer, data, n, NULL), status);
}

/* tokenizer.json with one place changed. */
static const struct json_edit {
    const char *old, *new;
    enum vinci_status status;
    const char *says;
} edits[] = {
    {"{\"version\"", "{\"version\":1 \"", VINCI_BAD_FILE, "not valid JSON at byte"},
    {"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}", VINCI_UNSUPPORTED, "normalizer"},
    {"\"normalizer\":null", "\"model\":1", VINCI_BAD_FILE, "\"model\" stands twice"},
    {"\"type\":\"Split\"", "\"type\":\"Punctuation\"", VINCI_UNSUPPORTED, "pre_tokenizer"},
    {"\"Regex\":\"", "\"Regex\":\"(", VINCI_BAD_FILE, "does not compile"},
    {"\"Regex\":\"", "\"String\":\"", VINCI_UNSUPPORTED, "pre_tokenizer"},
    {"\"Isolated\"", "\"Removed\"", VINCI_UNSUPPORTED, "pre_tokenizer"},
    {"\"add_prefix_space\":false", "\"add_prefix_space\":true", VINCI_UNSUPPORTED, "pre_tokenizer"},
    {"\"use_regex\":false", "\"use_regex\":true", VINCI_UNSUPPORTED, "pre_tokenizer"},
    {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", VINCI_UNSUPPORTED, "got \"Unigram\""},
    {"\"dropout\":null", "\"dropout\":0.1", VINCI_UNSUPPORTED, "dropout"},
    {"\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"", VINCI_UNSUPPORTED,
     "end_of_word_suffix"},
    {"\"lstrip\":false", "\"lstrip\":true", VINCI_UNSUPPORTED, "added_tokens[0]: lstrip"},
    {"{\"id\":591,", "{\"id\":\"591\",", VINCI_BAD_FILE, "added_tokens[0]: expected an id"},
    {"{\"id\":591,", "{\"id\":-1,", VINCI_BAD_FILE, "added_tokens[0]: expected an id"},
    {"{\"id\":591,", "{\"id\":4194304,", VINCI_LIMIT, "expected an id below 4194304"},
    {"{\"id\":591,", "{\"id\":590,", VINCI_BAD_FILE, "two tokens have the id 590"},
    {"\"<|endoftext|>\"", "\"\"", VINCI_BAD_FILE, "token 592 is empty"},
    {"\"<|endoftext|>\"", "\"<|startoftext|>\"", VINCI_BAD_FILE,
     "two special tokens are spelt \"<|startoftext|>\""},
    {"\"vocab\":{", "\"vocab\":[", VINCI_BAD_FILE, "model.vocab: expected an object, got an array"},
    {"\"vocab\":{", "\"vocab\":7,\"v\":{", VINCI_BAD_FILE, "expected an object, got a number"},
    {"\"vocab\":{", "\"v\":{", VINCI_BAD_FILE, "no token for the byte 0x00"},
    {"\"!\":0", "\"!\":0.5", VINCI_BAD_FILE, "model.vocab: expected token ids"},
    {"\"!\":0", "\"!\":-1", VINCI_BAD_FILE, "model.vocab: expected token ids"},
    {"\"!\":0", "\"!\":\"0\"", VINCI_BAD_FILE, "got a string"},
    {"\"!\":0", "\"!\":null", VINCI_BAD_FILE, "got null"},
    {"\"!\":0", "\"!\":true", VINCI_BAD_FILE, "got true"},
    {"\"!\":0", "\"!\":{}", VINCI_BAD_FILE, "got an object"},
    {"\"!\":0", "\"!\":[]", VINCI_BAD_FILE, "got an array"},
    {"\"!\":0", "\"!\":99999999999999999999999999", VINCI_BAD_FILE, "token ids from 0 to 4194303"},
    {"\"!\":0", "\"!\":4194304", VINCI_LIMIT, "expected an id below 4194304"},
    {"\"!\":0", "\"!\":1", VINCI_BAD_FILE, "two tokens have the id 1"},
    {"\"!\":0", "\"!!!!\":0", VINCI_BAD_FILE, "no token for the byte 0x21"},
    {"\"!\":0", "\"\":0", VINCI_BAD_FILE, "token 0 is empty"},
    {"\"!\":0", "\"!\":0,\"!\":600", VINCI_BAD_FILE, "tokens 0 and 600 have the same bytes"},
    {"\"!\":0", "\"!\xe4\xb8\xad\":0", VINCI_BAD_FILE,
     "token \"!\xe4\xb8\xad\": expected the byte"},
    {"\"!\":0", "\"a b\":0", VINCI_BAD_FILE, "token \"a b\": expected the byte-level alphabet"},
    {"\"!\":0", "\"\xff\":0", VINCI_BAD_FILE, "not valid JSON"},
    {"\"merges\":[", "\"merges\":{", VINCI_BAD_FILE, "model.merges: expected an array, got an obj"},
    {"\"merges\":[", "\"merges\":null,\"m\":[", VINCI_BAD_FILE, "expected an array, got null"},
    {"\"merges\":[[", "\"merges\":[{}, [", VINCI_BAD_FILE, "model.merges[0]: expected [\"a\""},
    {"\"merges\":[[", "\"merges\":[1, [", VINCI_BAD_FILE, "got a number"},
    {"\"merges\":[[", "\"merges\":[[], [", VINCI_BAD_FILE, "got fewer than two parts"},
    {"\"merges\":[[", "\"merges\":[[\"a\"], [", VINCI_BAD_FILE, "got fewer than two parts"},
    {"\"merges\":[[", "\"merges\":[[\"t\",\"h\",\"e\"], [", VINCI_BAD_FILE, "got a third part"},
    {"\"merges\":[[", "\"merges\":[[[]], [", VINCI_BAD_FILE, "got an array"},
    {"\"merges\":[[", "\"merges\":[\"th\", [", VINCI_BAD_FILE, "expected two tokens and a space"},
    {"\"merges\":[[", "\"merges\":[\"t h e\", [", VINCI_BAD_FILE, "byte-level alphabet"},
    {"\"merges\":[[", "\"merges\":[\"qqq q\", [", VINCI_BAD_FILE, "merge 0: its left part is no"},
    {"\"merges\":[[", "\"merges\":[\"q qqq\", [", VINCI_BAD_FILE, "merge 0: its right part is no"},
    {"\"merges\":[[", "\"merges\":[\"q q\", [", VINCI_BAD_FILE, "merge 0: its result is no token"},
    {"\"merges\":[[", "\"merges\":[\" q\", [", VINCI_BAD_FILE, "merge 0: its left part is no"},
    {"\"merges\":[[", "\"merges\":[\"\xc4\xa0 t\", [", VINCI_BAD_FILE,
     "merges 0 and 1 are the same"},
    {"]]}}", "]],\"vocab\":{\"q\":900}}}", VINCI_BAD_FILE, "\"vocab\" stands twice"},
    {"]]}}", "]],\"merges\":[]}}", VINCI_BAD_FILE, "\"merges\" stands twice"},
    {"]]}}", "]]}", VINCI_BAD_FILE, "not valid JSON at byte"},
    {"]]}}", "]]}},", VINCI_BAD_FILE, "not valid JSON at byte"},
};

static void edit_json(struct buf *out, const struct json_edit *edit)
{
    const char *at = strstr(small_json.data, edit->old);
    if (!at) fail_msg("the file has no %s", edit->old);
    out->size = 0;
    buf_append(out, small_json.data, (size_t)(at - small_json.data));
    buf_append_text(out, edit->new);
    buf_append_text(out, at + strlen(edit->old));
}

static void test_damaged_json(void **state)
{
    (void)state;
    struct buf file = {0};
    for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
        edit_json(&file, &edits[i]);
        check_refused(file.data, file.size, edits[i].status, edits[i].says);
    }
    file.size = 0;
    buf_append_text(&file, "{\"added_tokens\":");
    for (int i = 0; i < 1000; i++) buf_append_text(&file, "[");
    check_refused(file.data, file.size, VINCI_BAD_FILE, "nested too deeply");
    buf_free(&file);
}

static void test_other_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum vinci_status status;
        const char *says;
    } files[] = {
        {"", VINCI_BAD_FILE, "the file is empty"},
        {" \n\t\r\n", VINCI_BAD_FILE, "the file is empty"},
        {"{}", VINCI_UNSUPPORTED, "model.type: expected \"BPE\", got \"\""},
        {"[]", VINCI_BAD_FILE, "line 1: expected a token in base64"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", VINCI_BAD_FILE,
         "git-lfs pointer"},
        {"GGUF", VINCI_BAD_FILE, ""},
        {"IQ== 0\nIg== 1\n", VINCI_BAD_FILE, "expected the 199998 ranks of o200k_base, got 2"},
        {"IQ== 0\nIg== 0\n", VINCI_BAD_FILE, "line 2: two tokens have the id 0"},
        {"IQ== 0\n\nIg== 1\n", VINCI_BAD_FILE, "line 2: expected a token in base64"},
        {"IQ==0\n", VINCI_BAD_FILE, "line 1"},
        {"IQ== \n", VINCI_BAD_FILE, "line 1"},
        {"IQ== 1x\n", VINCI_BAD_FILE, "got \"IQ== 1x\""},
        {"IQ== -1\n", VINCI_BAD_FILE, "line 1"},
        {"IQ= 1\n", VINCI_BAD_FILE, "line 1"},
        {"I=== 1\n", VINCI_BAD_FILE, "line 1"},
        {"==== 1\n", VINCI_BAD_FILE, "line 1"},
        {"I*== 1\n", VINCI_BAD_FILE, "line 1"},
        {" 1\n", VINCI_BAD_FILE, "line 1"},
        {"\xff\x01 1\n", VINCI_BAD_FILE, "got \"\\xff\\x01 1\""},
        {"IQ== 199998\n", VINCI_UNSUPPORTED, "expected the 199998 ranks"},
        {"IQ== 99999999999999999999999\n", VINCI_BAD_FILE, "line 1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        check_refused(files[i].text, strlen(files[i].text), files[i].status, files[i].says);
}

/* Replaces the bytes of `old`, which stands once in the GGUF file, by as many others. */
static void check_gguf_edit(const char *old, const char *new, size_t n, enum vinci_status status,
                            const char *says)
{
    struct buf file = {0};
    buf_append(&file, small_gguf.data, small_gguf.size);
    char *at = memmem(file.data, file.size, old, n);
    assert_non_null(at);
    memcpy(at, new, n);
    check_refused(file.data, file.size, status, says);
    buf_free(&file);
}

static void test_damaged_gguf(void **state)
{
    (void)state;
    check_gguf_edit("gpt2", "bert", 4, VINCI_UNSUPPORTED, "expected \"gpt2\"");
    check_gguf_edit("gpt-4o", "llama3", 6, VINCI_UNSUPPORTED, "got \"llama3\"");
    check_gguf_edit("ggml.merges", "ggml.other.", 11, VINCI_BAD_FILE, "tokenizer.ggml.merges");
    check_gguf_edit("ggml.token_type", "ggml.token_kind", 15, VINCI_BAD_FILE, "token_type");
    check_gguf_edit("ggml.tokens", "ggml.others", 11, VINCI_BAD_FILE, "tokenizer.ggml.tokens");
    /* types: 600 of i32, the first 1; then 599; then merges whose first letter is no letter. */
    check_gguf_edit("\5\0\0\0\x58\2\0\0\0\0\0\0\1", "\5\0\0\0\x58\2\0\0\0\0\0\0\6", 13,
                    VINCI_UNSUPPORTED, "token 0: expected 1 (normal)");
    check_gguf_edit("\4\0\0\0\0\0\0\0\xc4\xa0 ", "\4\0\0\0\0\0\0\0\xc4\xa0-", 11, VINCI_BAD_FILE,
                    "expected two tokens and a space between");
}

static void test_missing_files(void **state)
{
    (void)state;
    struct temp_folder folder;
    struct vinci_tokenizer *tokenizer = NULL;
    struct vinci_error err = {0};
    char file[1024], expected[1024];
    temp_folder_make(&folder);
    temp_mkdir(&folder, "empty");
    assert_int_equal(vinci_tokenizer_open(&tokenizer, temp_path(&folder, "none"), &err),
                     VINCI_NOT_FOUND);
    assert_int_equal(vinci_tokenizer_open(&tokenizer, temp_path(&folder, "empty"), &err),
                     VINCI_NOT_FOUND);
    assert_non_null(strstr(err.text, "no tokenizer: expected tokenizer.json"));
    assert_null(tokenizer);

    /* What is taken from a folder, by and by better things in it. */
    static const struct {
        const char *add, *ask, *expected;
    } steps[] = {
        {"m/model-00002-of-00002.gguf", "m", "m/model-00002-of-00002.gguf"},
        {"m/model-00001-of-00002.gguf", "m", "m/model-00001-of-00002.gguf"},
        {"m/b.tiktoken", "m", "m/b.tiktoken"},
        {"m/a.tiktoken", "m", "m/a.tiktoken"},
        {"m/tokenizer.json", "m", "m/tokenizer.json"},
        {"m/model.safetensors", "m/model.safetensors", "m//tokenizer.json"},
        {"m/original/model.safetensors", "m/original", "m/original/../tokenizer.json"},
        {"m/x.bin", "m/x.bin", "m/x.bin"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        temp_text(&folder, steps[i].add, "x");
        if (tokenizer_find_file(temp_path(&folder, steps[i].ask), file, sizeof file, &err))
            fail_msg("%s", err.text);
        snprintf(expected, sizeof expected, "%s/%s", folder.path, steps[i].expected);
        assert_string_equal(file, expected);
        assert_int_equal(
            tokenizer_find_file(temp_path(&folder, steps[i].ask), file, strlen(expected), &err),
            VINCI_LIMIT);
    }
    temp_folder_remove(&folder);
    vinci_tokenizer_close(NULL);
}

/* ---- any bytes ------------------------------------------------------------------------------ */

/* Loads what was damaged; what is accepted all the same must work. */
static bool try_load(const void *data, size_t n)
{
    struct vinci_tokenizer *tokenizer = NULL;
    struct vinci_error err = {0};
    enum vinci_status status = case_load(&tokenizer, data, n, &err);
    assert_true((status == VINCI_OK) == (tokenizer != NULL));
    assert_true((status == VINCI_OK) == (err.text[0] == '\0'));
    if (!tokenizer) return false;
    static const char text[] = "Hello <|end|> 世界 don't\n\n  12345 \xff!";
    int32_t *ids = NULL;
    char *back = NULL;
    size_t n_ids, n_back;
    for (int special = 0; special < 2; special++) {
        if (vinci_tokenize(tokenizer, text, sizeof text, special, &ids, &n_ids, NULL)) continue;
        assert_int_equal(vinci_detokenize(tokenizer, ids, n_ids, &back, &n_back, NULL), VINCI_OK);
        vinci_free(back);
        vinci_free(ids);
    }
    vinci_tokenizer_close(tokenizer);
    return true;
}

static void test_truncated(void **state)
{
    (void)state;
    for (size_t n = 0; n < small_json.size; n += 1 + n / 50)
        assert_false(try_load(small_json.data, n));
    assert_true(try_load(small_json.data, small_json.size));
    for (size_t n = 0; n < small_gguf.size; n += 1 + n / 50)
        assert_false(try_load(small_gguf.data, n));
    assert_true(try_load(small_gguf.data, small_gguf.size));
}

static void test_mutated(void **state)
{
    (void)state;
    static const uint8_t likely[] = {0,   1,   0x7f, 0x80, 0xff, '"', '\\', '[',
                                     ']', '{', '}',  ',',  ':',  ' ', '9',  'a'};
    struct buf *const files[] = {&small_json, &small_gguf};
    uint32_t random = 1;
    for (size_t f = 0; f < ARRAY_SIZE(files); f++) {
        struct buf file = {0};
        size_t n_accepted = 0;
        buf_append(&file, files[f]->data, files[f]->size);
        for (int round = 0; round < 2000; round++) {
            size_t at[3];
            size_t n_places = 1 + (size_t)round % ARRAY_SIZE(at);
            for (size_t i = 0; i < n_places; i++) {
                random = random * 1664525 + 1013904223;
                /* Half of them in the head, where structure is dense. */
                at[i] = random % (random >> 31 ? file.size : 2000);
                file.data[at[i]] = (char)likely[(random >> 16) % sizeof likely];
            }
            n_accepted += try_load(file.data, file.size);
            for (size_t i = 0; i < n_places; i++) file.data[at[i]] = files[f]->data[at[i]];
        }
        assert_true(n_accepted > 0 && n_accepted < 2000);
        buf_free(&file);
    }
}

/* ---- memory -----------------------------------------------------------------------------------
 */

static void load_with_failures(const struct buf *file)
{
    size_t k = 1;
    for (;; k++) {
        struct vinci_tokenizer *tokenizer = NULL;
        struct vinci_error err = {0};
        struct file_map map = {.data = (const uint8_t *)file->data, .size = file->size, .fd = -1};
        char path[] = "FILE";
        map.path = path;
        alloc_fail_begin(k);
        enum vinci_status status = tokenizer_load(&tokenizer, &map, &err);
        bool failed = alloc_fail_end();
        /* PCRE2's JIT may do without. */
        if (status && status != VINCI_NO_MEMORY) fail_msg("allocation %zu: %s", k, err.text);
        assert_true((status == VINCI_OK) == (tokenizer != NULL));
        vinci_tokenizer_close(tokenizer);
        if (failed) continue;
        assert_int_equal(status, VINCI_OK);
        break;
    }
    assert_true(k > 20);
}

static void test_memory_at_load(void **state)
{
    (void)state;
    load_with_failures(&small_json);
    load_with_failures(&small_gguf);
}

/* One allocation in many: the whole vocabulary takes a tenth of a second to read. */
static void test_memory_at_load_of_ranks(void **state)
{
    (void)state;
    for (size_t k = 1;; k += 1 + k / 4) {
        struct vinci_tokenizer *tokenizer = NULL;
        alloc_fail_begin(k);
        enum vinci_status status = vinci_tokenizer_open(&tokenizer, PUBLISHED_TIKTOKEN, NULL);
        bool failed = alloc_fail_end();
        vinci_tokenizer_close(tokenizer);
        assert_true(status == VINCI_OK || (failed && status == VINCI_NO_MEMORY));
        if (!failed) break;
    }
}

static void test_memory_at_work(void **state)
{
    (void)state;
    enum { N = 6000 };
    struct vinci_tokenizer *tokenizer = NULL;
    char *text = malloc(N);
    for (size_t i = 0; i < N; i++) text[i] = "some words\xff, <|end|>s 123 "[i * i % 24];
    assert_int_equal(case_load(&tokenizer, small_json.data, small_json.size, NULL), VINCI_OK);
    int32_t *expected;
    size_t n_expected;
    assert_int_equal(vinci_tokenize(tokenizer, text, N, true, &expected, &n_expected, NULL),
                     VINCI_OK);
    for (size_t k = 1;; k++) {
        struct vinci_error err = {0};
        int32_t *ids;
        char *back = NULL;
        size_t n_ids, n_back;
        alloc_fail_begin(k);
        enum vinci_status status = vinci_tokenize(tokenizer, text, N, true, &ids, &n_ids, &err);
        if (!status) {
            assert_int_equal(n_ids, n_expected);
            assert_memory_equal(ids, expected, n_ids * sizeof *ids);
            status = vinci_detokenize(tokenizer, ids, n_ids, &back, &n_back, &err);
        }
        bool failed = alloc_fail_end();
        vinci_free(ids);
        vinci_free(back);
        if (status && status != VINCI_NO_MEMORY) fail_msg("allocation %zu: %s", k, err.text);
        if (!failed) {
            assert_int_equal(status, VINCI_OK);
            break;
        }
    }
    /* After a failure a list holds what it held. */
    struct token_list list = {0};
    assert_true(token_list_append(&list, expected, 3));
    for (size_t k = 1;; k++) {
        alloc_fail_begin(k);
        enum vinci_status status = tokenizer_encode(tokenizer, text, N, true, &list, NULL);
        if (!alloc_fail_end() || !status) break;
        assert_int_equal(list.n, 3);
        assert_memory_equal(list.ids, expected, 3 * sizeof *expected);
    }
    token_list_free(&list);
    vinci_free(expected);
    vinci_tokenizer_close(tokenizer);
    free(text);
}

/* ---- forms that the published file does not have ------------------------------------------------
 */

/* Ids of the text, as text. */
static void check_ids(const struct vinci_tokenizer *tokenizer, const char *text, bool special,
                      const char *expected)
{
    struct vinci_error err;
    int32_t *ids;
    size_t n;
    char got[256] = "";
    if (vinci_tokenize(tokenizer, text, strlen(text), special, &ids, &n, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++) sprintf(got + strlen(got), "%s%d", i ? " " : "", ids[i]);
    assert_string_equal(got, expected);
    vinci_free(ids);
}

/* Of added tokens at one place the longest wins; only control tokens are special to the reader; a
 * token of the vocabulary that is also added is special only. */
static void test_added_tokens(void **state)
{
    (void)state;
    static const struct json_edit edit = {
        "\"added_tokens\":[",
        "\"added_tokens\":[{\"id\":700,\"content\":\"<a>\",\"special\":true},"
        "{\"id\":701,\"content\":\"<a>b\",\"special\":true},"
        "{\"id\":702,\"content\":\"<a>bcd\",\"special\":false},"
        "{\"id\":703,\"content\":\"\\u0000\\u4e2d\",\"special\":true},"
        "{\"id\":573,\"content\":\"ture\",\"special\":false},",
        VINCI_OK, ""};
    struct vinci_tokenizer *tokenizer = NULL;
    struct vinci_error err = {0};
    struct buf file = {0};
    size_t n;
    edit_json(&file, &edit);
    if (case_load(&tokenizer, file.data, file.size, &err)) fail_msg("%s", err.text);
    check_ids(tokenizer, "<a>", true, "700");
    check_ids(tokenizer, "<a>b", true, "701");
    check_ids(tokenizer, "<a>bc", true, "701 66");
    check_ids(tokenizer, "<a>bcd", true, "702");
    check_ids(tokenizer, "<a<a>bc<a>bcd<", true, "27 64 701 66 702 27");
    check_ids(tokenizer, "xture", false, "87 573");
    check_ids(tokenizer, "xturex", true, "87 573 87");
    assert_int_equal(vinci_token_special_id(tokenizer, "<a>b"), 701);
    assert_int_equal(vinci_token_special_id(tokenizer, "<a>bcd"), -1);
    assert_true(vinci_token_is_special(tokenizer, 701));
    assert_false(vinci_token_is_special(tokenizer, 702));
    assert_false(vinci_token_is_special(tokenizer, 640)); /* a hole in the ids */
    assert_null(vinci_token_bytes(tokenizer, 640, &n));
    assert_int_equal(vinci_tokenizer_n_vocab(tokenizer), 704);
    assert_memory_equal(vinci_token_bytes(tokenizer, 703, &n), "\0\xe4\xb8\xad", 4);
    assert_int_equal(n, 4);
    vinci_tokenizer_close(tokenizer);

    /* A control token must not come from plain text: 573 is what a merge gives. */
    edit_json(&file, &(struct json_edit){"\"added_tokens\":[",
                                         "\"added_tokens\":[{\"id\":573,\"content\":\"ture\","
                                         "\"special\":true},",
                                         VINCI_OK, ""});
    check_refused(file.data, file.size, VINCI_BAD_FILE, "its result is no token");
    buf_free(&file);
}

/* Without ignore_merges a piece that is a token is merged like any other. */
static void test_whole_pieces(void **state)
{
    (void)state;
    static const char *const forms[] = {"\"ignore_merges\":true", "\"ignore_merges\":false"};
    for (int merge = 0; merge < 2; merge++) {
        struct vinci_tokenizer *tokenizer = NULL;
        struct buf one = {0}, file = {0};
        edit_json(&one, &(struct json_edit){"\"!\":0", "\"!\":0,\"q!q!\":800", VINCI_OK, ""});
        char *at = strstr(one.data, forms[0]);
        assert_non_null(at);
        buf_append(&file, one.data, (size_t)(at - one.data));
        buf_append_text(&file, forms[merge]);
        buf_append_text(&file, at + strlen(forms[0]));
        assert_int_equal(case_load(&tokenizer, file.data, file.size, NULL), VINCI_OK);
        check_ids(tokenizer, "q!q!", false, "80 0 80 0"); /* the expression cuts here */
        vinci_tokenizer_close(tokenizer);
        buf_free(&file);
        buf_free(&one);
        edit_json(&one, &(struct json_edit){"\"!\":0", "\"!\":0,\"qqqq\":800", VINCI_OK, ""});
        at = strstr(one.data, forms[0]);
        buf_append(&file, one.data, (size_t)(at - one.data));
        buf_append_text(&file, forms[merge]);
        buf_append_text(&file, at + strlen(forms[0]));
        assert_int_equal(case_load(&tokenizer, file.data, file.size, NULL), VINCI_OK);
        check_ids(tokenizer, "qqqq", false, merge ? "80 80 80 80" : "800");
        vinci_tokenizer_close(tokenizer);
        buf_free(&file);
        buf_free(&one);
    }
}

/* Members may come in any order: here the model, with the merges before the vocabulary, is first.
 */
static void test_order_of_members(void **state)
{
    (void)state;
    json_t *root = json_loadb(small_json.data, small_json.size, 0, NULL), *value;
    json_t *model = json_object_get(root, "model");
    struct buf file = {0};
    const char *key;
    buf_append_text(&file, "{\"model\":{\"merges\":");
    for (int vocab = 0; vocab < 2; vocab++) {
        char *text = json_dumps(json_object_get(model, vocab ? "vocab" : "merges"), 0);
        buf_append_text(&file, text);
        if (!vocab) buf_append_text(&file, ",\"vocab\":");
        free(text);
    }
    json_object_foreach(model, key, value)
    {
        if (strcmp(key, "merges") == 0 || strcmp(key, "vocab") == 0) continue;
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        buf_printf(&file, ",\"%s\":%s", key, text);
        free(text);
    }
    buf_append_text(&file, "}");
    json_object_foreach(root, key, value)
    {
        if (strcmp(key, "model") == 0) continue;
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        buf_printf(&file, ",\"%s\":%s", key, text);
        free(text);
    }
    buf_append_text(&file, "}");
    struct vinci_tokenizer *one = NULL, *other = NULL;
    struct vinci_error err;
    if (case_load(&one, file.data, file.size, &err)) fail_msg("%s", err.text);
    assert_int_equal(case_load(&other, small_json.data, small_json.size, &err), VINCI_OK);
    assert_int_equal(one->vocab.n_ids, other->vocab.n_ids);
    assert_int_equal(one->bpe.n_merges, other->bpe.n_merges);
    assert_memory_equal(one->bpe.merges, other->bpe.merges,
                        one->bpe.n_merges * sizeof *one->bpe.merges);
    vinci_tokenizer_close(one);
    vinci_tokenizer_close(other);
    json_decref(root);
    buf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_json),   cmocka_unit_test(test_other_files),
        cmocka_unit_test(test_damaged_gguf),   cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_truncated),      cmocka_unit_test(test_mutated),
        cmocka_unit_test(test_memory_at_load), cmocka_unit_test(test_memory_at_load_of_ranks),
        cmocka_unit_test(test_memory_at_work), cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_whole_pieces),   cmocka_unit_test(test_order_of_members),
    };
    alloc_fail_json();
    return cmocka_run_group_tests_name("tokenizer files", tests, read_small_files,
                                       release_small_files);
}
