/* test_pull.c - `vinci pull`, `verify` and `models` against a hub that makes mistakes: cuts, wrong
 * bytes, wrong ranges, refusals, redirects; and against kill -9.
 *
 *   build/tests/hub/test_pull [KILLS]    kill -9 so many times; default: 50 */
#include "hub_server.h"
#include "temp_folder.h"
#include "vinci.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char INDEX[] =
    "{\"weight_map\": {\"a\": \"model-00001-of-00003.safetensors\", \"b\": "
    "\"model-00002-of-00003.safetensors\", \"c\": \"model-00003-of-00003.safetensors\"}}";

static struct hub_server_file files[] = {
    {.path = "README.md", .text = "# A model\n"},
    {.path = "chat_template.jinja", .text = "{{ messages }}"},
    {.path = "config.json", .text = "{\"model_type\": \"gpt_oss\"}"},
    {.path = "metal/model.bin", .size = 300000, .seed = 8},
    {.path = "model-00001-of-00003.safetensors", .size = 1000003, .seed = 1},
    {.path = "model-00002-of-00003.safetensors", .size = 640000, .seed = 2},
    {.path = "model-00003-of-00003.safetensors", .size = 5, .seed = 3},
    {.path = "model.safetensors.index.json", .text = INDEX},
    {.path = "original/model.safetensors", .size = 400000, .seed = 9},
    {.path = "tokenizer.json", .size = 300000, .seed = 4},
};
enum { N_FILES = sizeof files / sizeof *files, N_WANTED = 7 };
static const uint64_t WANTED_BYTES = 1000003 + 640000 + 5 + 300000 + 24 + 14 + sizeof INDEX - 1;

static struct hub_server server;
static struct temp_folder folder;
static unsigned n_kills = 50;

/* ---- running vinci ------------------------------------------------------------------------- */

static char out_text[20000], err_text[20000];

static void read_text(const char *name, char *text, size_t size)
{
    FILE *file = fopen(temp_path(&folder, name), "rb");
    assert_non_null(file);
    size_t n = fread(text, 1, size - 1, file);
    text[n] = '\0';
    fclose(file);
}

static const char *extra_environment = "";

/* Replaces the process by vinci with these arguments, streams to files of the folder. */
static void become_vinci(const char *arguments)
{
    const char *build = getenv("BUILD"), *runner = getenv("RUN");
    char line[3000];
    snprintf(line, sizeof line,
             "exec env -u http_proxy -u https_proxy -u all_proxy -u HTTPS_PROXY -u ALL_PROXY "
             "-u no_proxy -u HF_HOME -u HF_TOKEN_PATH HOME=%s MODELSCOPE_CACHE=%s/ms "
             "HF_HUB_CACHE=%s/hf MODELSCOPE_DOMAIN=http://127.0.0.1:%u "
             "HF_ENDPOINT=http://127.0.0.1:%u/ HF_TOKEN=secret MODELSCOPE_API_TOKEN=secret %s "
             "%s %s/vinci %s >%s/out 2>%s/err </dev/null",
             folder.path, folder.path, folder.path, server.hub_port, server.hub_port,
             extra_environment, runner ? runner : "", build ? build : "build", arguments,
             folder.path, folder.path);
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

static pid_t start(const char *arguments)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) become_vinci(arguments);
    return pid;
}

static int finish(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) assert_int_equal(errno, EINTR);
    read_text("out", out_text, sizeof out_text);
    read_text("err", err_text, sizeof err_text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void expect(enum vinci_status expected, const char *arguments)
{
    int status = finish(start(arguments));
    if (status != (int)expected)
        fail_msg("vinci %s: status %d, expected %d:\n%s", arguments, status, (int)expected,
                 err_text);
}

static void says(const char *text, const char *what)
{
    if (!strstr(text, what)) fail_msg("expected '%s' in:\n%s", what, text);
}

/* Small pieces and pauses, so that little files are many ranges and faults cost little time. */
#define QUICK " --piece 20000 --connections 4 --retry-delay 0.01 --timeout 5 "

/* ---- what is there ------------------------------------------------------------------------- */

static bool is_there(const char *name)
{
    struct stat st;
    return stat(temp_path(&folder, name), &st) == 0;
}

static const struct hub_server_file *file_of(const char *path)
{
    for (size_t i = 0; i < N_FILES; i++)
        if (strcmp(files[i].path, path) == 0) return &files[i];
    fail_msg("no file %s", path);
    return NULL;
}

static void expect_content(const char *below, const char *path)
{
    const struct hub_server_file *file = file_of(path);
    char name[600];
    size_t n = 0;
    snprintf(name, sizeof name, "%s/%s", below, path);
    char *is = read_whole_file(temp_path(&folder, name), &n);
    assert_int_equal(n, hub_server_size(file));
    char *expected = malloc(n + 1);
    assert_non_null(expected);
    hub_server_content(file, 0, n, expected);
    assert_memory_equal(is, expected, n);
    free(expected);
    free(is);
}

/* What vinci needs is there, right and whole, and nothing else of the repository. */
static void expect_model(const char *below)
{
    char name[600];
    for (size_t i = 0; i < N_FILES; i++) {
        const char *path = files[i].path;
        snprintf(name, sizeof name, "%s/%s", below, path);
        bool wanted = !strchr(path, '/') && strcmp(path, "README.md") != 0;
        if (wanted) expect_content(below, path);
        else if (is_there(name)) fail_msg("%s was fetched", name);
        snprintf(name, sizeof name, "%s/.vinci/parts/%s.part", below, path);
        assert_false(is_there(name));
        snprintf(name, sizeof name, "%s/.vinci/parts/%s.journal", below, path);
        assert_false(is_there(name));
    }
}

static void remove_model(const char *name)
{
    char line[700];
    snprintf(line, sizeof line, "rm -rf '%s'", temp_path(&folder, name));
    assert_int_equal(system(line), 0);
}

static void flip_byte(const char *name, long at)
{
    FILE *file = fopen(temp_path(&folder, name), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void sleep_seconds(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&t, &t) != 0) continue;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int setup(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    hub_server_start(&server, files, N_FILES);
    extra_environment = "";
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_server_stop(&server);
    temp_folder_remove(&folder);
    return 0;
}

#define MODEL "ms/models/o/m___x"

/* ---- the straight way ---------------------------------------------------------------------- */

static void modelscope_fetches_what_vinci_needs(void **state)
{
    (void)state;
    char path[1024], line[1100];
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect_model(MODEL);
    snprintf(line, sizeof line, "%s\n", temp_path(&folder, MODEL));
    assert_string_equal(out_text, line);
    says(err_text, "all verified");
    struct vinci_caches caches = {temp_path(&folder, "ms"), NULL};
    assert_int_equal(vinci_model_find("o/m.x", &caches, path, sizeof path, NULL), VINCI_OK);
    assert_string_equal(path, temp_path(&folder, MODEL));

    /* Again: one question, no file, no time. */
    hub_server_reset(&server);
    double begin = now();
    expect(VINCI_OK, "pull o/m.x");
    assert_true(now() - begin < (getenv("SAN") && *getenv("SAN") ? 5 : 1));
    says(err_text, "complete: 7 files");
    assert_int_equal(hub_server_count(&server).requests, 1);
    assert_int_equal(hub_server_count(&server).file_answers, 0);
    expect(VINCI_OK, "verify o/m.x");
    says(out_text, "model-00001-of-00003.safetensors");
    expect(VINCI_NOT_FOUND, "verify /no/such/folder");
}

static void huggingface_fills_its_own_layout(void **state)
{
    (void)state;
    char path[1024], link[300];
    server.page = 3;
    expect(VINCI_OK, "pull hf:o/m --json" QUICK);
    assert_true(hub_server_count(&server).lists >= 4); /* all pages */
    says(out_text, "\"hub\": \"huggingface\"");
    says(out_text, "\"commit\": \"0123456789abcdef0123456789abcdef01234567\"");
    expect_model("hf/models--o--m/snapshots/0123456789abcdef0123456789abcdef01234567");
    struct vinci_caches caches = {NULL, temp_path(&folder, "hf")};
    assert_int_equal(vinci_model_find("o/m", &caches, path, sizeof path, NULL), VINCI_OK);
    ssize_t n = readlink(
        temp_path(&folder,
                  "hf/models--o--m/snapshots/0123456789abcdef0123456789abcdef01234567/config.json"),
        link, sizeof link - 1);
    assert_true(n > 0);
    link[n] = '\0';
    assert_memory_equal(link, "../../blobs/", 12);
    assert_int_equal(strlen(link), 12 + 40); /* git's blob id */
    hub_server_reset(&server);
    expect(VINCI_OK, "pull hf:o/m");
    says(err_text, "complete: 7 files");
    assert_int_equal(hub_server_count(&server).file_answers, 0);
    expect(VINCI_OK, "verify hf:o/m");
    /* Without vinci's record the blobs' names are enough. */
    remove_model("hf/models--o--m/.vinci");
    expect(VINCI_OK, "verify hf:o/m");
    flip_byte("hf/models--o--m/snapshots/0123456789abcdef0123456789abcdef01234567/tokenizer.json",
              7);
    expect(VINCI_BAD_FILE, "verify hf:o/m");
    says(err_text, "tokenizer.json");
}

static void patterns_choose(void **state)
{
    (void)state;
    char line[700];
    snprintf(line, sizeof line, "pull o/m --include 'original/*' --include '*.md' --local-dir %s/d",
             folder.path);
    expect(VINCI_OK, line);
    expect_content("d", "original/model.safetensors");
    expect_content("d", "README.md");
    assert_false(is_there("d/config.json"));
    snprintf(line, sizeof line, "pull o/m --all --exclude metal/ --local-dir %s/e/f", folder.path);
    expect(VINCI_OK, line);
    expect_content("e/f", "original/model.safetensors");
    expect_content("e/f", "tokenizer.json");
    assert_false(is_there("e/f/metal"));
    /* Several behind one option, as the hubs' own tools have them. */
    expect(VINCI_OK,
           "pull o/m --include 'original/*' '*.md' tokenizer.json --exclude R*d --dry-run");
    says(out_text, "original/model.safetensors");
    says(out_text, "tokenizer.json");
    assert_null(strstr(out_text, "README"));
    assert_null(strstr(out_text, "config.json"));
    expect(VINCI_OK, "pull --include '*.md' o/m --dry-run");
    says(out_text, "README.md");
    expect(VINCI_OK, "pull o/m --dry-run");
    says(out_text, "fetch");
    assert_null(strstr(out_text, "original"));
    assert_false(is_there("ms"));
    expect(VINCI_USAGE, "pull o/m --include nothing");
    expect(VINCI_USAGE, "pull gpt-oss-20b");
    says(err_text, "openai-mirror/gpt-oss-20b");
    expect(VINCI_USAGE, "pull");
    expect(VINCI_USAGE, "pull ../m");
    expect(VINCI_USAGE, "pull o/m --local-dir ''");
    expect(VINCI_USAGE, "pull o/m --revision ''");
    expect(VINCI_USAGE, "pull o/m --piece 1");
    says(err_text, "from 1.00 kB to 1.00 GB");
    expect(VINCI_USAGE, "pull o/m --piece 10G");
}

/* ---- faults -------------------------------------------------------------------------------- */

static void connections_that_break(void **state)
{
    (void)state;
    server.faults.cut = -1;
    server.faults.cut_after = 7001;
    expect(VINCI_OK, "pull o/m.x --retries 3" QUICK);
    expect_model(MODEL);
    /* What had arrived was not asked for again. */
    assert_true(hub_server_count(&server).bytes < WANTED_BYTES + WANTED_BYTES / 10);
    remove_model("ms");
    server.faults.cut_after = 0;
    expect(VINCI_IO, "pull o/m.x --retries 3" QUICK);
    says(err_text, "given up at attempt 4");
    assert_false(is_there(MODEL "/config.json"));
    hub_server_reset(&server);
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect_model(MODEL);
}

static void servers_that_answer_something_else(void **state)
{
    (void)state;
    server.faults.wrong_range = 5;
    server.faults.unsatisfiable = 3;
    server.faults.too_long = 2;
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect_model(MODEL);
    remove_model("ms");
    hub_server_reset(&server);
    server.faults.wrong_range = -1;
    expect(VINCI_IO, "pull o/m.x --retries 2" QUICK);
    says(err_text, "got others");
    assert_false(is_there(MODEL "/model-00001-of-00003.safetensors"));
    hub_server_reset(&server);
    server.faults.unsatisfiable = -1;
    expect(VINCI_IO, "pull o/m.x --retries 2" QUICK);
    says(err_text, "416");
}

static void servers_without_ranges(void **state)
{
    (void)state;
    server.faults.ignore_ranges = true;
    server.faults.cut = 2;
    server.faults.cut_after = 90000;
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect_model(MODEL);
}

static void refusals(void **state)
{
    (void)state;
    server.faults.refuse = 6;
    server.faults.refuse_code = 503;
    expect(VINCI_OK, "pull o/m.x --retries 6" QUICK);
    expect_model(MODEL);
    remove_model("ms");
    hub_server_reset(&server);
    server.faults.refuse = 1;
    server.faults.refuse_code = 429;
    server.faults.retry_after = 1;
    double begin = now();
    expect(VINCI_OK, "pull o/m.x" QUICK);
    assert_true(now() - begin >= 1); /* although --retry-delay is shorter */
    hub_server_reset(&server);
    remove_model("ms");
    server.faults.refuse = -1;
    server.faults.refuse_code = 403;
    expect(VINCI_NOT_FOUND, "pull o/m.x" QUICK);
    says(err_text, "access token");
    assert_int_equal(hub_server_count(&server).requests, 1); /* no use to ask again */
    server.faults.refuse_code = 404;
    expect(VINCI_NOT_FOUND, "pull o/m.x" QUICK);
    says(err_text, "not now"); /* the hub's own words */
}

static void wrong_bytes(void **state)
{
    (void)state;
    server.faults.corrupt = 1;
    server.faults.corrupt_path = "model-00001-of-00003.safetensors";
    server.faults.corrupt_at = 500000;
    expect(VINCI_OK, "pull o/m.x" QUICK);
    says(err_text, "fetched once more");
    expect_model(MODEL);
    remove_model("ms");
    server.faults.corrupt = -1;
    expect(VINCI_BAD_FILE, "pull o/m.x" QUICK);
    says(err_text, "expected sha256");
    assert_false(is_there(MODEL "/model-00001-of-00003.safetensors"));
    assert_false(is_there(MODEL "/config.json"));
    hub_server_reset(&server);
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect_model(MODEL);
    /* Others were whole: not again. */
    assert_true(hub_server_count(&server).bytes < 1100000);
}

static void redirects_and_tokens(void **state)
{
    (void)state;
    server.faults.redirect = true;
    expect(VINCI_OK, "pull hf:o/m" QUICK);
    assert_int_equal(hub_server_count(&server).tokens_at_hub, 0); /* a mirror, and nobody asked */
    expect(VINCI_OK, "pull o/m.x" QUICK);
    assert_int_equal(hub_server_count(&server).tokens_at_hub, 0);
    expect_model(MODEL);
    remove_model("ms");
    remove_model("hf");
    expect(VINCI_OK, "pull hf:o/m --send-token" QUICK);
    assert_true(hub_server_count(&server).tokens_at_hub > 10);
    assert_int_equal(hub_server_count(&server).tokens_at_content, 0); /* another port */
    expect(VINCI_OK, "pull o/m.x --send-token" QUICK);
    assert_int_equal(hub_server_count(&server).tokens_at_content, 0);
    remove_model("ms");
    server.faults.redirect = false;
    server.faults.redirect_loop = true;
    expect(VINCI_IO, "pull o/m.x" QUICK);
    says(err_text, "in circles");
}

static void proxies(void **state)
{
    (void)state;
    char environment[200];
    server.faults.is_proxy = true;
    snprintf(environment, sizeof environment,
             "MODELSCOPE_DOMAIN=http://hub.invalid http_proxy=http://127.0.0.1:%u",
             server.content_port);
    extra_environment = environment;
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect_model(MODEL);
    extra_environment = "MODELSCOPE_DOMAIN=http://hub.invalid http_proxy=http://127.0.0.1:9";
    remove_model("ms");
    expect(VINCI_IO, "pull o/m.x" QUICK);
    says(err_text, "that is the proxy");
}

static void lists_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *body, *says;
        enum vinci_status status;
    } cases[] = {
        {"<html>log in</html>", "login page", VINCI_BAD_FILE},
        {"{\"Code\":10010205001,\"Message\":\"record not found\"}", "record not found",
         VINCI_NOT_FOUND},
        {"{\"Code\":200,\"Data\":{\"Files\":[]}}", "no files", VINCI_NOT_FOUND},
        {"{\"Code\":200,\"Data\":{\"Files\":[{\"Path\":\"../config.json\",\"Size\":3}]}}",
         "no path to keep", VINCI_BAD_FILE},
        {"{\"Code\":200,\"Data\":{\"Files\":[{\"Path\":\"/etc/passwd\",\"Size\":3}]}}",
         "no path to keep", VINCI_BAD_FILE},
        {"{\"Code\":200,\"Data\":{\"Files\":[{\"Path\":\"a/.vinci/x\",\"Size\":3}]}}",
         "no path to keep", VINCI_BAD_FILE},
        {"{\"Code\":200,\"Data\":{\"Files\":[{\"Path\":\"config.json\",\"Size\":-3}]}}",
         "no usable size", VINCI_BAD_FILE},
        {"{\"Code\":200,\"Data\":{\"Files\":[{\"Path\":\"a\",\"Size\":3},{\"Path\":\"a\","
         "\"Size\":3}]}}",
         "twice", VINCI_BAD_FILE},
        {"{\"Code\":200,\"Data\":{\"Files\":[{\"Path\":\"a\",\"Size\":3,\"Sha256\":\"12\"}]}}",
         "'12' as sha256", VINCI_BAD_FILE},
        {"{\"Code\":200,\"Data\":{\"Files\":[{\"Path\":\"model.safetensors\",\"Size\":"
         "1000000000000000}]}}",
         "expected room for 1.00 PB more", VINCI_LIMIT},
        {"{\"Code\":200,\"Data\":{\"Files\":[{\"Path\":\"a.gguf\",\"Size\":1},{\"Path\":"
         "\"b.gguf\",\"Size\":1}]}}",
         "--include", VINCI_USAGE},
        {"{\"Code\":200,\"Data\":{\"Files\":[{\"Path\":\"model.safetensors\",\"Size\":3}]}}", "404",
         VINCI_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        server.faults.list_body = cases[i].body;
        expect(cases[i].status, "pull o/m.x" QUICK);
        says(err_text, cases[i].says);
        assert_false(is_there(MODEL "/config.json"));
    }
}

/* ---- going on ------------------------------------------------------------------------------ */

/* When the server has given so many bytes, however fast the machine is. */
static void pull_is_interrupted(uint64_t bytes, int signal, int expected)
{
    pid_t pid = start("pull o/m.x" QUICK);
    for (double begin = now(); hub_server_count(&server).bytes < bytes && now() - begin < 30;)
        sleep_seconds(0.01);
    kill(pid, signal);
    assert_int_equal(finish(pid), expected);
}

static void ctrl_c_loses_little(void **state)
{
    (void)state;
    server.faults.rate = 200000; /* some 2.5 seconds with four connections */
    pull_is_interrupted(800000, SIGINT, VINCI_CANCELLED);
    says(err_text, "stopped");
    assert_false(is_there(MODEL "/config.json"));
    expect(VINCI_BAD_FILE, "verify o/m.x --json");
    says(err_text, "`vinci pull o/m.x` goes on");
    says(out_text, "\"good\": false");
    expect(VINCI_BAD_FILE, "verify o/m.x"); /* no less when asked again */
    uint64_t first = hub_server_count(&server).bytes;
    assert_true(first > 200000 && first < WANTED_BYTES);
    hub_server_reset(&server);
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect_model(MODEL);
    /* At most an unfinished piece of each connection, and what was in its buffers, came twice. */
    assert_true(first + hub_server_count(&server).bytes < WANTED_BYTES + 4 * 100000);
    assert_true(hub_server_count(&server).bytes < WANTED_BYTES - 100000);
}

/* The length of a part says nothing, and its journal is compared with the bytes. */
static void parts_are_not_believed(void **state)
{
    (void)state;
    static const char part[] = MODEL "/.vinci/parts/model-00001-of-00003.safetensors.part";
    static const char journal[] = MODEL "/.vinci/parts/model-00001-of-00003.safetensors.journal";
    for (int damage = 0; damage < 5; damage++) {
        size_t n = 0;
        hub_server_reset(&server);
        server.faults.rate = 400000;
        pull_is_interrupted(500000, SIGKILL, 1000 + SIGKILL);
        char *text = read_whole_file(temp_path(&folder, journal), &n);
        assert_true(n > 200);                  /* some pieces */
        if (damage == 0) flip_byte(part, 100); /* within the first piece */
        if (damage == 1) assert_int_equal(truncate(temp_path(&folder, part), 30000), 0);
        if (damage == 2) assert_int_equal(truncate(temp_path(&folder, part), 1000003), 0);
        if (damage == 3) temp_write(&folder, journal, text, n - 30); /* a line cut off */
        if (damage == 4) unlink(temp_path(&folder, part));
        free(text);
        hub_server_reset(&server);
        expect(VINCI_OK, "pull o/m.x" QUICK);
        expect_model(MODEL);
        assert_null(strstr(err_text, "once more")); /* the damage was seen before the end */
        remove_model("ms");
    }
}

static void the_hub_changes_meanwhile(void **state)
{
    (void)state;
    server.faults.rate = 200000;
    pull_is_interrupted(800000, SIGKILL, 1000 + SIGKILL);
    hub_server_reset(&server);
    files[4].seed = 77; /* another first shard */
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect_model(MODEL);
    hub_server_reset(&server);
    files[9].seed = 78; /* another tokenizer, after all was complete */
    files[9].size = 299999;
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect_model(MODEL);
    assert_true(hub_server_count(&server).bytes < 310000); /* nothing else */
    files[4].seed = 1;
    files[9].seed = 4;
    files[9].size = 300000;
}

static void kill_at_random_moments(void **state)
{
    (void)state;
    unsigned seed = 5, n_killed = 0, n_rounds = 0;
    uint64_t served = 0;
    while (n_killed < n_kills) {
        hub_server_reset(&server);
        server.faults.rate = 1500000;
        server.faults.redirect = n_rounds % 2;
        for (;;) {
            seed = seed * 1103515245 + 12345;
            pid_t pid = start("pull o/m.x" QUICK);
            sleep_seconds(0.02 + (double)(seed >> 16 & 1023) / 1023 * 0.2);
            kill(pid, SIGKILL);
            int status = finish(pid);
            if (status == 0) break; /* it had come to its end */
            assert_int_equal(status, 1000 + SIGKILL);
            n_killed++;
            /* What has its name is whole. */
            for (size_t i = 0; i < N_FILES; i++) {
                char name[300];
                snprintf(name, sizeof name, MODEL "/%s", files[i].path);
                if (is_there(name)) expect_content(MODEL, files[i].path);
            }
        }
        served += hub_server_count(&server).bytes;
        expect_model(MODEL);
        expect(VINCI_OK, "verify o/m.x");
        remove_model("ms");
        n_rounds++;
    }
    print_message("%u kills in %u pulls, %.2f of the bytes were served\n", n_killed, n_rounds,
                  (double)served / (double)(n_rounds * WANTED_BYTES));
    /* Every pull was killed several times; if nothing were kept, it would never end. */
    assert_true(n_rounds > 0);
}

static void two_at_once(void **state)
{
    (void)state;
    server.faults.rate = 200000;
    pid_t first = start("pull o/m.x" QUICK);
    for (double begin = now(); hub_server_count(&server).bytes < 20000 && now() - begin < 30;)
        sleep_seconds(0.01);
    expect(VINCI_FAILED, "pull o/m.x" QUICK);
    says(err_text, "another vinci");
    kill(first, SIGKILL);
    finish(first);
}

/* ---- what others left, and what is left ------------------------------------------------------ */

static void files_of_other_tools_are_kept(void **state)
{
    (void)state;
    char *bytes = malloc(1000003);
    assert_non_null(bytes);
    for (size_t i = 0; i < N_FILES; i++) {
        char name[300];
        if (strchr(files[i].path, '/')) continue;
        snprintf(name, sizeof name, "ms/o/m.x/%s", files[i].path); /* an older layout */
        hub_server_content(&files[i], 0, hub_server_size(&files[i]), bytes);
        temp_write(&folder, name, bytes, hub_server_size(&files[i]));
    }
    free(bytes);
    expect(VINCI_OK, "verify o/m.x"); /* by asking the hub */
    hub_server_reset(&server);
    temp_text(&folder, "ms/o/m.x/config.json", "{\"model_type\": \"changed\"}");
    expect(VINCI_BAD_FILE, "verify o/m.x");
    hub_server_reset(&server);
    expect(VINCI_OK, "pull o/m.x" QUICK);
    says(err_text, "it is replaced");
    assert_true(hub_server_count(&server).bytes < 1000); /* the index and the configuration */
    expect_content("ms/o/m.x", "config.json");
    assert_false(is_there("ms/models"));
    expect(VINCI_OK, "models --json");
    says(out_text, "\"verified\"");
}

static void damage_is_found_and_repaired(void **state)
{
    (void)state;
    struct stat st;
    expect(VINCI_OK, "pull o/m.x" QUICK);
    const char *shard = MODEL "/model-00002-of-00003.safetensors";
    assert_int_equal(stat(temp_path(&folder, shard), &st), 0);
    flip_byte(shard, 1234);
    /* As a disk would do it: the time does not change. */
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, temp_path(&folder, shard), times, 0), 0);
    unlink(temp_path(&folder, MODEL "/tokenizer.json"));
    expect(VINCI_BAD_FILE, "verify o/m.x --json");
    says(out_text, "\"bad\"");
    says(out_text, "\"missing\"");
    says(err_text, "2 of 7");
    hub_server_reset(&server);
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect_model(MODEL);
    assert_true(hub_server_count(&server).bytes < 1000000);
    expect(VINCI_OK, "verify o/m.x");
    char line[700];
    snprintf(line, sizeof line, "verify %s", temp_path(&folder, MODEL));
    expect(VINCI_OK, line);
    expect(VINCI_NOT_FOUND, "verify o/other");
}

static void without_a_network(void **state)
{
    (void)state;
    expect(VINCI_OK, "pull o/m.x" QUICK);
    extra_environment = "MODELSCOPE_DOMAIN=http://127.0.0.1:1";
    expect(VINCI_OK, "pull o/m.x" QUICK);
    says(err_text, "cannot be reached");
    says(out_text, MODEL);
    expect(VINCI_IO, "pull o/other" QUICK);
    extra_environment = "MODELSCOPE_DOMAIN=ftp://127.0.0.1";
    expect(VINCI_USAGE, "pull o/m.x" QUICK);
}

static void models_are_listed_and_removed(void **state)
{
    (void)state;
    expect(VINCI_OK, "models");
    says(err_text, "no models");
    expect(VINCI_OK, "pull o/m.x" QUICK);
    expect(VINCI_OK, "models");
    says(err_text, "1 model, ");
    expect(VINCI_OK, "pull hf:o/m" QUICK);
    temp_text(&folder, "ms/other/one/model.safetensors", "x");
    expect(VINCI_OK, "models");
    says(out_text, "hf:o/m");
    says(out_text, "o/m.x");
    says(out_text, "other/one");
    says(err_text, "3 models");
    expect(VINCI_USAGE, "models rm o/m.x"); /* nobody there to ask */
    assert_true(is_there(MODEL));
    expect(VINCI_USAGE, "models rm o/m.x --json");
    says(out_text, "\"exit_code\": 2");
    expect(VINCI_OK, "models --json");
    says(out_text, "\"name\": \"hf:o/m\"");
    says(out_text, "\"parameters\": null"); /* these are no real weights */
    expect(VINCI_NOT_FOUND, "verify o/nothing --json");
    says(out_text, "\"exit_code\": 3");
    expect(VINCI_OK, "models rm o/m.x --yes --json");
    says(out_text, "\"removed\": {");
    assert_false(is_there(MODEL));
    assert_true(is_there("ms/other/one"));
    expect(VINCI_OK, "models rm hf:o/m --yes");
    assert_false(is_there("hf/models--o--m"));
    expect(VINCI_NOT_FOUND, "models rm o/m.x --yes");
    expect(VINCI_NOT_FOUND, "models rm / --yes");
    expect(VINCI_USAGE, "models remove o/m.x");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(modelscope_fetches_what_vinci_needs),
        TEST(huggingface_fills_its_own_layout),
        TEST(patterns_choose),
        TEST(connections_that_break),
        TEST(servers_that_answer_something_else),
        TEST(servers_without_ranges),
        TEST(refusals),
        TEST(wrong_bytes),
        TEST(redirects_and_tokens),
        TEST(proxies),
        TEST(lists_that_lie),
        TEST(ctrl_c_loses_little),
        TEST(parts_are_not_believed),
        TEST(the_hub_changes_meanwhile),
        TEST(kill_at_random_moments),
        TEST(two_at_once),
        TEST(files_of_other_tools_are_kept),
        TEST(damage_is_found_and_repaired),
        TEST(without_a_network),
        TEST(models_are_listed_and_removed),
    };
    if (argc > 1) n_kills = (unsigned)strtoul(argv[1], NULL, 10);
    signal(SIGPIPE, SIG_IGN);
    /* Hundreds of fsync in small files: where they cost nothing, if there is such a place. */
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
