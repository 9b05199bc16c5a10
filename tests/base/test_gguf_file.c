/* test_gguf_file.c - the GGUF container: every type of value, look-ups by every getter, and files
 * that are wrong or cut off. Also git-lfs pointers, which every reader of files asks about. */
#include "base/gguf_file.h"
#include "base/lfs_pointer.h"
#include "checkpoint_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Reads a copy of exactly that many bytes. *file borrows it: free() *copy after the file. */
static enum vinci_status read_bytes(struct gguf_file **file, uint8_t **copy, const void *bytes,
                                    size_t n, struct vinci_error *err)
{
    static char path[] = "x.gguf";
    *copy = malloc(n ? n : 1);
    assert_non_null(*copy);
    if (n) memcpy(*copy, bytes, n);
    struct file_map map = {.data = n ? *copy : NULL, .size = n, .fd = -1, .path = path};
    *err = (struct vinci_error){0};
    return gguf_file_read(file, &map, err);
}

static void add_array(struct gguf_writer *w, const char *key, uint32_t item_type, uint64_t n,
                      const void *items, size_t n_bytes)
{
    struct buf value = {0};
    assert_true(buf_append(&value, &item_type, 4) && buf_append(&value, &n, 8) &&
                buf_append(&value, items, n_bytes));
    gguf_writer_kv(w, key, GGUF_ARRAY, value.data, value.size);
    buf_free(&value);
}

/* A file with a value of every type and two tensors. */
static struct buf make_file(uint32_t version)
{
    struct gguf_writer w = {.version = version};
    const int8_t i8 = -8;
    const int16_t i16 = -16;
    const uint16_t u16 = 65535;
    const int32_t i32 = -32;
    const uint64_t u64 = UINT64_MAX;
    const int64_t i64 = INT64_MIN;
    const float f32 = 1.5f;
    const double f64 = -2.25;
    static const char strings[] = "\3\0\0\0\0\0\0\0a\0b\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0z";
    /* An array of two arrays: two u8, and no string. */
    static const char nested[] = "\0\0\0\0\2\0\0\0\0\0\0\0\1\2\10\0\0\0\0\0\0\0\0\0\0\0";
    gguf_writer_kv(&w, "z.u8", GGUF_U8, "\377", 1);
    gguf_writer_kv(&w, "a.i8", GGUF_I8, &i8, 1);
    gguf_writer_kv(&w, "u16", GGUF_U16, &u16, 2);
    gguf_writer_kv(&w, "i16", GGUF_I16, &i16, 2);
    gguf_writer_u32(&w, "u32", 4000000000u);
    gguf_writer_kv(&w, "i32", GGUF_I32, &i32, 4);
    gguf_writer_kv(&w, "f32", GGUF_F32, &f32, 4);
    gguf_writer_kv(&w, "bool", GGUF_BOOL, "\1", 1);
    gguf_writer_text(&w, "text", "some text");
    gguf_writer_kv(&w, "u64", GGUF_U64, &u64, 8);
    gguf_writer_kv(&w, "i64", GGUF_I64, &i64, 8);
    gguf_writer_kv(&w, "f64", GGUF_F64, &f64, 8);
    add_array(&w, "strings", GGUF_STRING, 3, strings, sizeof strings - 1);
    add_array(&w, "ints", GGUF_I32, 2, (int32_t[]){-5, 7}, 8);
    add_array(&w, "bools", GGUF_BOOL, 2, "\0\1", 2);
    add_array(&w, "longs", GGUF_U64, 1, &u64, 8);
    add_array(&w, "empty", GGUF_STRING, 0, "", 0);
    add_array(&w, "nested", GGUF_ARRAY, 2, nested, sizeof nested - 1);
    gguf_writer_tensor(&w, "t.one", 0, (uint64_t[]){3, 2}, 2, "123456789012345678901234", 24);
    gguf_writer_tensor(&w, "t.two", 39, (uint64_t[]){32}, 1, "12345678901234567", 17);
    return gguf_writer_finish(&w);
}

static void check_numbers(const struct gguf_file *file)
{
    struct vinci_error err;
    static const struct {
        const char *key;
        uint64_t value;
    } unsigned_ones[] = {{"z.u8", 255}, {"u16", 65535}, {"u32", 4000000000u}, {"u64", UINT64_MAX}};
    for (size_t i = 0; i < 4; i++) {
        uint64_t value = 0;
        assert_int_equal(gguf_read_u64(file, unsigned_ones[i].key, true, &value, &err), VINCI_OK);
        assert_int_equal(value, unsigned_ones[i].value);
    }
    static const struct {
        const char *key;
        double value;
    } reals[] = {{"a.i8", -8}, {"i16", -16},   {"i32", -32},  {"i64", -0x1p63},
                 {"f32", 1.5}, {"f64", -2.25}, {"z.u8", 255}, {"u32", 4e9}};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        double value = 0;
        assert_int_equal(gguf_read_f64(file, reals[i].key, true, &value, &err), VINCI_OK);
        assert_true(value == reals[i].value);
    }
    bool flag = false;
    assert_int_equal(gguf_read_bool(file, "bool", true, &flag, &err), VINCI_OK);
    assert_true(flag);
}

static void check_arrays(const struct gguf_file *file)
{
    struct vinci_error err;
    struct gguf_text text = {0};
    struct gguf_strings strings = {0};
    const struct gguf_kv *kv = NULL;
    assert_int_equal(gguf_read_text(file, "text", true, &text, &err), VINCI_OK);
    assert_true(gguf_text_is(text, "some text") && !gguf_text_is(text, "some tex"));

    assert_int_equal(gguf_read_strings(file, "strings", true, &strings, &err), VINCI_OK);
    assert_int_equal(strings.n_left, 3);
    assert_true(gguf_strings_next(&strings, &text));
    assert_int_equal(text.n, 3);
    assert_memory_equal(text.data, "a\0b", 3);
    assert_true(gguf_strings_next(&strings, &text) && text.n == 0);
    assert_true(gguf_strings_next(&strings, &text) && gguf_text_is(text, "z"));
    assert_false(gguf_strings_next(&strings, &text));
    assert_int_equal(gguf_read_strings(file, "empty", true, &strings, &err), VINCI_OK);
    assert_false(gguf_strings_next(&strings, &text));

    assert_int_equal(gguf_read_ints(file, "ints", true, &kv, &err), VINCI_OK);
    assert_int_equal(kv->n, 2);
    assert_int_equal(gguf_int_at(kv, 0), -5);
    assert_int_equal(gguf_int_at(kv, 1), 7);
    assert_int_equal(gguf_read_ints(file, "bools", true, &kv, &err), VINCI_OK);
    assert_int_equal(gguf_int_at(kv, 1), 1);
    assert_int_equal(gguf_read_ints(file, "longs", true, &kv, &err), VINCI_OK);
    assert_int_equal(gguf_int_at(kv, 0), INT64_MAX);
}

static void test_read(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct buf bytes = make_file(version);
        struct gguf_file *file = NULL;
        uint8_t *copy = NULL;
        struct vinci_error err;
        if (read_bytes(&file, &copy, bytes.data, bytes.size, &err) != VINCI_OK)
            fail_msg("%s", err.text);
        assert_int_equal(file->version, version);
        assert_int_equal(file->alignment, 32);
        assert_int_equal(file->n_kvs, 18);
        assert_true(gguf_text_is(file->kvs[0].key, "a.i8")); /* sorted */
        check_numbers(file);
        check_arrays(file);
        const struct gguf_kv *nested = gguf_find(file, "nested");
        assert_true(nested && nested->item_type == GGUF_ARRAY && nested->n == 2);
        assert_int_equal(file->n_tensors, 2);
        assert_true(gguf_text_is(file->tensors[0].name, "t.one"));
        assert_int_equal(file->tensors[0].n_dims, 2);
        assert_int_equal(file->tensors[0].shape[0], 3);
        assert_int_equal(file->tensors[1].type, 39);
        assert_int_equal(file->tensors[1].offset, 32);
        assert_int_equal(file->n_bytes, 64);
        assert_memory_equal(file->data, "1234567890", 10);
        gguf_file_free(file);
        free(copy);
        buf_free(&bytes);
    }
}

static void expect_error(const struct vinci_error *err, enum vinci_status status, const char *text)
{
    if (err->status != status || !strstr(err->text, text))
        fail_msg("expected %s and \"%s\", got %s: %s", vinci_status_name(status), text,
                 vinci_status_name(err->status), err->text);
}

static void test_missing_and_mistyped(void **state)
{
    (void)state;
    struct buf bytes = make_file(3);
    struct gguf_file *file = NULL;
    uint8_t *copy = NULL;
    struct vinci_error err;
    uint64_t u64 = 11;
    double f64 = 12;
    bool flag = true;
    struct gguf_text text = {0};
    struct gguf_strings strings = {0};
    const struct gguf_kv *kv = NULL;
    assert_int_equal(read_bytes(&file, &copy, bytes.data, bytes.size, &err), VINCI_OK);

    /* Missing: what was there stays. */
    assert_int_equal(gguf_read_u64(file, "none", false, &u64, &err), VINCI_OK);
    assert_int_equal(u64, 11);
    assert_int_equal(gguf_read_f64(file, "none", false, &f64, &err), VINCI_OK);
    assert_int_equal(gguf_read_bool(file, "none", false, &flag, &err), VINCI_OK);
    assert_int_equal(gguf_read_text(file, "none", false, &text, &err), VINCI_OK);
    assert_int_equal(gguf_read_strings(file, "none", false, &strings, &err), VINCI_OK);
    assert_int_equal(gguf_read_ints(file, "none", false, &kv, &err), VINCI_OK);
    assert_true(f64 == 12 && flag && !text.data && !strings.n_left && !kv);
    gguf_read_u64(file, "none", true, &u64, &err);
    expect_error(&err, VINCI_BAD_FILE, "x.gguf: the GGUF metadata has no none");

    gguf_read_u64(file, "i8", true, &u64, &err);
    gguf_read_u64(file, "a.i8", true, &u64, &err);
    expect_error(&err, VINCI_BAD_FILE, "a.i8: expected a number that is not negative, got -8");
    gguf_read_u64(file, "f32", true, &u64, &err);
    expect_error(&err, VINCI_BAD_FILE, "f32: expected an integer, got f32");
    gguf_read_u64(file, "bool", true, &u64, &err);
    expect_error(&err, VINCI_BAD_FILE, "bool: expected an integer, got bool");
    gguf_read_f64(file, "text", true, &f64, &err);
    expect_error(&err, VINCI_BAD_FILE, "text: expected a number, got a string");
    gguf_read_bool(file, "u32", true, &flag, &err);
    expect_error(&err, VINCI_BAD_FILE, "u32: expected a bool, got u32");
    gguf_read_text(file, "strings", true, &text, &err);
    expect_error(&err, VINCI_BAD_FILE, "strings: expected a string, got an array of a string");
    gguf_read_strings(file, "ints", true, &strings, &err);
    expect_error(&err, VINCI_BAD_FILE, "ints: expected an array of strings, got an array of i32");
    gguf_read_ints(file, "nested", true, &kv, &err);
    expect_error(&err, VINCI_BAD_FILE, "nested: expected an array of integers");
    gguf_file_free(file);
    free(copy);
    buf_free(&bytes);
}

static void expect_refused(const struct buf *bytes, enum vinci_status status, const char *text)
{
    struct gguf_file *file = NULL;
    uint8_t *copy = NULL;
    struct vinci_error err;
    read_bytes(&file, &copy, bytes->data, bytes->size, &err);
    assert_null(file);
    expect_error(&err, status, text);
    free(copy);
}

/* The file of make_file with bytes put over it. */
static void test_damaged(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *bytes;
        size_t n;
        enum vinci_status status;
        const char *text;
    } rows[] = {
        {0, "gguf", 4, VINCI_BAD_FILE, "got 67 67 75 66"},
        {4, "\0\0\0\3", 4, VINCI_UNSUPPORTED, "big-endian"},
        {4, "\1\0\0\0", 4, VINCI_UNSUPPORTED, "expected GGUF version 2 or 3, got 1"},
        {8, "\377\377\377\377\377\377\377\377", 8, VINCI_BAD_FILE, "18446744073709551615 tensors"},
        {8, "\0\0\0\0\1\0\0\0", 8, VINCI_BAD_FILE, "4294967296 tensors"},
        {16, "\377\377\377\377\377\377\377\377", 8, VINCI_BAD_FILE,
         "18446744073709551615 metadata entries"},
        {16, "\23\0\0\0\0\0\0\0", 8, VINCI_BAD_FILE, "damaged or cut off"},
        {24, "\377\377\377\377\377\377\377\377", 8, VINCI_BAD_FILE,
         "metadata entry 1 of 18: the file ends"},
        {24, "\0\0\0\0\0\0\0\0", 8, VINCI_BAD_FILE, "entry 1 of 18: its name is empty"},
        {32, "z\nu8", 4, VINCI_BAD_FILE, "entry 1 of 18: its name holds something other"},
        {36, "\15\0\0\0", 4, VINCI_BAD_FILE, "entry 1 of 18, z.u8: its type is not"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf bytes = make_file(3);
        memcpy(bytes.data + rows[i].at, rows[i].bytes, rows[i].n);
        expect_refused(&bytes, rows[i].status, rows[i].text);
        buf_free(&bytes);
    }
}

static void test_wrong_content(void **state)
{
    (void)state;
    uint32_t depth5[] = {9, 1, 0, 9, 1, 0, 9, 1, 0, 9, 1, 0, 0, 0, 0}; /* type, u64 length, ... */
    static const uint32_t alignments[] = {0, 24, 1u << 21};
    struct gguf_writer w = {0};
    struct buf bytes;

    gguf_writer_u32(&w, "twice", 1);
    gguf_writer_u32(&w, "twice", 2);
    bytes = gguf_writer_finish(&w);
    expect_refused(&bytes, VINCI_BAD_FILE, "the key twice twice");
    buf_free(&bytes);

    w = (struct gguf_writer){0};
    gguf_writer_kv(&w, "deep", GGUF_ARRAY, depth5, sizeof depth5);
    bytes = gguf_writer_finish(&w);
    expect_refused(&bytes, VINCI_BAD_FILE, "deep: arrays are nested more than 4 deep");
    buf_free(&bytes);

    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        w = (struct gguf_writer){0};
        gguf_writer_u32(&w, "general.alignment", alignments[i]);
        bytes = gguf_writer_finish(&w);
        expect_refused(&bytes, VINCI_BAD_FILE, "general.alignment: expected a power of two");
        buf_free(&bytes);
    }

    w = (struct gguf_writer){0};
    gguf_writer_u32(&w, "general.alignment", 64);
    gguf_writer_tensor(&w, "a", 0, (uint64_t[]){1}, 1, "1234", 4);
    gguf_writer_tensor(&w, "b", 0, (uint64_t[]){1}, 1, "1234", 4);
    bytes = gguf_writer_finish(&w);
    expect_refused(&bytes, VINCI_BAD_FILE,
                   "tensor b: expected an offset that is a multiple of 64, got 32");
    buf_free(&bytes);

    w = (struct gguf_writer){0};
    gguf_writer_tensor(&w, "flat", 0, NULL, 0, "1234", 4);
    bytes = gguf_writer_finish(&w);
    expect_refused(&bytes, VINCI_BAD_FILE, "tensor description 1 of 1, flat: expected 1 to 4");
    buf_free(&bytes);
}

static void test_cut_off(void **state)
{
    (void)state;
    struct buf bytes = make_file(3);
    size_t n_metadata = 0;
    for (size_t n = 0; n <= bytes.size; n++) {
        struct gguf_file *file = NULL;
        uint8_t *copy = NULL;
        struct vinci_error err;
        enum vinci_status status = read_bytes(&file, &copy, bytes.data, n, &err);
        if (status == VINCI_OK && !n_metadata) n_metadata = n;
        /* From there on only tensor bytes are missing, which is the model's affair. */
        assert_true((status == VINCI_OK) == (n_metadata != 0));
        if (status) assert_int_equal(status, VINCI_BAD_FILE);
        else assert_true(file->n_bytes <= 64);
        gguf_file_free(file);
        free(copy);
    }
    assert_in_range(bytes.size - n_metadata, 64, 64 + 31);
    buf_free(&bytes);
}

static void test_lfs_pointer(void **state)
{
    (void)state;
    static char path[] = "some/where/model.gguf", alone[] = "model.gguf", root[] = "/model.gguf";
    static const char text[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    static const struct {
        char *path;
        const char *command;
    } rows[] = {{path, "git lfs pull` in some/where"},
                {alone, "git lfs pull` in ."},
                {root, "git lfs pull` in /"}};
    struct vinci_error err;
    for (size_t i = 0; i < 3; i++) {
        struct file_map map = {
            .data = (const uint8_t *)text, .size = sizeof text - 1, .path = rows[i].path};
        assert_int_equal(lfs_pointer_check(&map, &err), VINCI_BAD_FILE);
        expect_error(&err, VINCI_BAD_FILE, rows[i].command);
        expect_error(&err, VINCI_BAD_FILE, "a git-lfs pointer of 57 bytes, not the file itself");
        map.size = 20;
        assert_int_equal(lfs_pointer_check(&map, &err), VINCI_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),    cmocka_unit_test(test_missing_and_mistyped),
        cmocka_unit_test(test_damaged), cmocka_unit_test(test_wrong_content),
        cmocka_unit_test(test_cut_off), cmocka_unit_test(test_lfs_pointer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
