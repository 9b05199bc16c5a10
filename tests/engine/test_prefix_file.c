/* test_prefix_file.c - the prefix cache from one engine to the next: the same bits as without it,
 * what belongs to another way of computing is left aside, damage costs no more than what is behind
 * it, and limits of size hold. */
#include "temp_folder.h"
#include "vinci.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MODEL TEST_VECTORS "/../../models/nano"

enum { N_NEW = 12, N_IDS = 700 };

static struct temp_folder folder;
static char logged[4096];

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temp_folder_remove(&folder);
    return 0;
}

static void log_message(void *user, enum vinci_log_level level, const char *message)
{
    (void)user;
    (void)level;
    size_t n = strlen(logged);
    snprintf(logged + n, sizeof logged - n, "%s\n", message);
}

struct settings {
    uint64_t file_bytes;
    enum vinci_kv_type kv;
    bool no_folder;
};

static struct vinci_engine *open_engine(struct settings settings)
{
    struct vinci_engine_options options;
    struct vinci_engine *engine = NULL;
    struct vinci_error err;
    vinci_engine_options_init(&options);
    options.model = MODEL;
    options.n_threads = 1;
    options.n_ctx = 1024;
    options.n_seqs = 2;
    options.kv_type = settings.kv;
    options.prefix_cache = true;
    options.prefix_cache_folder = settings.no_folder ? NULL : folder.path;
    options.prefix_cache_file_bytes = settings.file_bytes;
    options.log = log_message;
    logged[0] = '\0';
    if (vinci_engine_open(&engine, &options, &err)) fail_msg("%s", err.text);
    return engine;
}

/* What a prompt of n of these tokens gives. */
struct answer {
    int32_t tokens[N_NEW];
    float logprobs[N_NEW];
    size_t n, n_reused;
};

static bool keep(void *user, const struct vinci_token_event *event)
{
    struct answer *answer = user;
    answer->tokens[answer->n] = event->token;
    answer->logprobs[answer->n++] = event->logprob;
    return true;
}

static struct answer ask(struct vinci_engine *engine, int32_t seed, size_t n)
{
    struct answer answer = {.n = 0};
    struct vinci_request_options options;
    struct vinci_request_result result;
    struct vinci_error err;
    int32_t ids[N_IDS];
    for (int32_t i = 0; i < N_IDS; i++) ids[i] = (i * 37 + (i > 300 ? seed : 0)) % 2000;
    vinci_request_options_init(&options);
    options.prompt = ids;
    options.n_prompt = n;
    options.max_new_tokens = N_NEW;
    options.n_top_logprobs = 1;
    options.on_token = keep;
    options.user = &answer;
    if (vinci_generate(engine, &options, &result, &err)) fail_msg("%s", err.text);
    answer.n_reused = result.n_reused;
    return answer;
}

static void same(struct answer a, struct answer b)
{
    assert_int_equal(a.n, N_NEW);
    assert_memory_equal(a.tokens, b.tokens, sizeof a.tokens);
    assert_memory_equal(a.logprobs, b.logprobs, sizeof a.logprobs);
}

/* The only file in the folder; "" if there is none. */
static const char *saved_file(void)
{
    static char path[512];
    glob_t found;
    path[0] = '\0';
    if (glob(temp_path(&folder, "*"), 0, NULL, &found) == 0) {
        assert_int_equal(found.gl_pathc, 1);
        snprintf(path, sizeof path, "%s", found.gl_pathv[0]);
    }
    globfree(&found);
    return path;
}

static const char *saved_name(void)
{
    return strrchr(saved_file(), '/') + 1;
}

static struct answer expected[3]; /* 700, 600 and 650 tokens of seeds 1, 2 and 1 */

/* Fills the file with two prompts that share their beginning; without it when `settings` say so. */
static void fill(struct settings settings)
{
    struct vinci_engine *engine = open_engine(settings);
    expected[0] = ask(engine, 1, 700);
    expected[1] = ask(engine, 2, 600);
    vinci_engine_close(engine);
}

static void test_same_bits(void **state)
{
    (void)state;
    struct stat about;
    fill((struct settings){.no_folder = true});
    assert_string_equal(saved_file(), "");
    struct answer without[] = {expected[0], expected[1]};
    fill((struct settings){0});
    same(without[0], expected[0]);
    assert_non_null(strstr(logged, "saved 7 beginnings"));
    assert_int_equal(stat(saved_file(), &about), 0);
    assert_int_equal(about.st_mode & 077, 0); /* it tells what was asked */
    struct vinci_engine *engine = open_engine((struct settings){0});
    assert_non_null(strstr(logged, "7 beginnings"));
    struct answer again = ask(engine, 2, 600);
    assert_int_equal(again.n_reused, 512);
    same(again, expected[1]);
    again = ask(engine, 1, 700);
    assert_int_equal(again.n_reused, 512);
    same(again, expected[0]);
    /* The end of a prompt is found where the next one goes on. */
    expected[2] = ask(engine, 1, 650);
    assert_int_equal(expected[2].n_reused, 512);
    vinci_engine_close(engine);
    engine = open_engine((struct settings){0}); /* a third run, from what the second saved */
    again = ask(engine, 1, 650);
    same(again, expected[2]);
    vinci_engine_close(engine);
}

static void test_another_way_of_computing(void **state)
{
    (void)state;
    fill((struct settings){0});
    struct vinci_engine *engine = open_engine((struct settings){.kv = VINCI_KV_F32});
    assert_int_equal(ask(engine, 1, 700).n_reused, 0);
    vinci_engine_close(engine);
    glob_t found;
    assert_int_equal(glob(temp_path(&folder, "prefixes-*"), 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 2); /* each has its own */
    globfree(&found);
}

static void test_cut_off(void **state)
{
    (void)state;
    size_t n, last = SIZE_MAX;
    fill((struct settings){0});
    char name[256];
    snprintf(name, sizeof name, "%s", saved_name());
    char *bytes = read_whole_file(saved_file(), &n);
    for (size_t part = 10; part-- > 0;) { /* from 9 tenths to nothing */
        temp_write(&folder, name, bytes, n * part / 10);
        struct vinci_engine *engine = open_engine((struct settings){0});
        assert_non_null(strstr(logged, part ? "damaged or cut off behind" : "no prefix cache of"));
        struct answer again = ask(engine, 2, 600);
        assert_true(again.n_reused <= last);
        last = again.n_reused;
        same(again, expected[1]);
        vinci_engine_close(engine);
    }
    assert_int_equal(last, 0);
    free(bytes);
}

static void test_damaged(void **state)
{
    (void)state;
    size_t n;
    uint64_t random = 88172645463325252;
    fill((struct settings){0});
    char name[256];
    snprintf(name, sizeof name, "%s", saved_name());
    char *bytes = read_whole_file(saved_file(), &n);
    for (size_t i = 0; i < 60; i++) { /* all of the first words, then anywhere */
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        size_t at = i < 45 ? 2 * i : random % n;
        bytes[at] ^= (char)(1 << i % 8);
        temp_write(&folder, name, bytes, n);
        struct vinci_engine *engine = open_engine((struct settings){0});
        if (!strstr(logged, "damaged or cut off") && !strstr(logged, "no prefix cache of"))
            fail_msg("byte %zu was not missed: %s", at, logged);
        same(ask(engine, 2, 600), expected[1]);
        vinci_engine_close(engine);
        bytes[at] ^= (char)(1 << i % 8);
    }
    free(bytes);
}

static void test_limit(void **state)
{
    (void)state;
    size_t n, n_less;
    fill((struct settings){0});
    free(read_whole_file(saved_file(), &n));
    fill((struct settings){.file_bytes = n / 2});
    free(read_whole_file(saved_file(), &n_less));
    assert_true(n_less <= n / 2);
    assert_true(n_less > n / 8);
    struct vinci_engine *engine = open_engine((struct settings){0});
    assert_null(strstr(logged, "damaged"));
    struct answer again = ask(engine, 2, 600); /* used last: kept before the other */
    assert_true(again.n_reused >= 256);
    same(again, expected[1]);
    vinci_engine_close(engine);
}

static void test_no_folder(void **state)
{
    (void)state;
    struct vinci_engine_options options;
    struct vinci_engine *engine = NULL;
    struct vinci_error err;
    vinci_engine_options_init(&options);
    options.model = MODEL;
    options.prefix_cache = true;
    options.prefix_cache_folder = "/nonexistent/folder";
    assert_int_equal(vinci_engine_open(&engine, &options, &err), VINCI_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/folder"));
    options.prefix_cache_folder = MODEL "/config.json";
    assert_int_equal(vinci_engine_open(&engine, &options, &err), VINCI_USAGE);
    assert_non_null(strstr(err.text, "expected a folder"));
    /* A folder that goes away: a sentence, nothing else. */
    options.prefix_cache_folder = temp_path(&folder, "gone");
    temp_mkdir(&folder, "gone");
    char path[512];
    snprintf(path, sizeof path, "%s", options.prefix_cache_folder);
    options.prefix_cache_folder = path;
    options.log = log_message;
    assert_int_equal(vinci_engine_open(&engine, &options, &err), VINCI_OK);
    assert_int_equal(remove(path), 0);
    logged[0] = '\0';
    vinci_engine_close(engine);
    assert_non_null(strstr(logged, "cannot save the prefix cache"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_bits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_way_of_computing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_folder, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("prefix_file", tests, NULL, NULL);
}
