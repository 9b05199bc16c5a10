/* test_requests.c - many requests of all kinds at once on the trained model: the same bytes as each
 * alone, with and without shared prefixes, with little memory; turns kept to their rules; order by
 * priority and key; cancellation within one step; scripted answers. */
#include "alloc_fail.h"
#include "golden_case.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MODEL TEST_VECTORS "/../../models/nano"

enum { N_MIXED = 32, MAX_NEW = 60 };

static struct vinci_tokenizer *tokenizer;
static struct vinci_grammar *weather, *answer, *any_object, *number;

static const char WEATHER[] =
    "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\",\"pattern\":\"^[A-Z][a-z]"
    "{1,8}$\"},\"days\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":14}},\"required\":["
    "\"city\","
    "\"days\"],\"additionalProperties\":false}";
static const char ANSWER[] =
    "{\"type\":\"object\",\"properties\":{\"kind\":{\"enum\":[\"a\",\"bc\"]},\"next\":{\"anyOf\":"
    "[{\"$ref\":\"#\"},{\"type\":\"null\"}]}},\"required\":[\"kind\",\"next\"],"
    "\"additionalProperties\":false}";

static int set_up(void **state)
{
    (void)state;
    struct vinci_error err;
    if (vinci_tokenizer_open(&tokenizer, MODEL, &err) ||
        vinci_grammar_json_schema(&weather, tokenizer, WEATHER, strlen(WEATHER), &err) ||
        vinci_grammar_json_schema(&answer, tokenizer, ANSWER, strlen(ANSWER), &err) ||
        vinci_grammar_json(&any_object, tokenizer, &err) ||
        vinci_grammar_regex(&number, tokenizer, "[0-9]{2,4}(\\.5)?", 17, &err)) {
        print_message("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vinci_grammar_close(weather);
    vinci_grammar_close(answer);
    vinci_grammar_close(any_object);
    vinci_grammar_close(number);
    vinci_tokenizer_close(tokenizer);
    return 0;
}

static struct vinci_engine *open_engine(bool prefix_cache, uint64_t kv_bytes, uint32_t n_seqs,
                                        const char *script)
{
    struct vinci_engine_options options;
    struct vinci_engine *engine = NULL;
    struct vinci_error err;
    vinci_engine_options_init(&options);
    options.model = MODEL;
    options.n_threads = 2;
    options.n_ctx = 1024;
    options.n_seqs = n_seqs;
    options.prefix_cache = prefix_cache;
    options.kv_bytes = kv_bytes;
    options.script = script;
    if (vinci_engine_open(&engine, &options, &err)) fail_msg("%s", err.text);
    return engine;
}

/* A prompt in harmony that asks question i; long ones have a long system message in front. */
static int32_t *make_prompt(size_t i, size_t *n)
{
    static const char *const systems[] = {"", "You are brief. ", "Rule: be kind and exact. "};
    char text[8192];
    size_t at = 0, repeat = i % 4 == 3 ? 60 : i % 4;
    int32_t *ids = NULL;
    struct vinci_error err;
    at += (size_t)snprintf(text, sizeof text, "<|start|>system<|message|>");
    for (size_t k = 0; k < repeat; k++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s", systems[i % 3]);
    snprintf(text + at, sizeof text - at,
             "<|end|><|start|>user<|message|>What is %zu plus %zu?<|end|><|start|>assistant", i,
             i * 7 % 10);
    assert_int_equal(vinci_tokenize(tokenizer, text, strlen(text), true, &ids, n, &err), VINCI_OK);
    return ids;
}

/* What a test keeps of a request. */
struct kept {
    struct vinci_request *request;
    int32_t tokens[MAX_NEW];
    size_t n_tokens, cancel_at;
    char text[4096];
    size_t n_text;
    struct vinci_request_result result;
};

static bool keep_token(void *user, const struct vinci_token_event *event)
{
    struct kept *kept = user;
    assert_true(kept->n_tokens < MAX_NEW);
    kept->tokens[kept->n_tokens++] = event->token;
    assert_true(kept->n_text + event->n_text < sizeof kept->text);
    memcpy(kept->text + kept->n_text, event->text, event->n_text);
    kept->n_text += event->n_text;
    return kept->n_tokens != kept->cancel_at;
}

static const struct vinci_tool_rule tools[] = {{"functions.get_weather", NULL},
                                               {"functions.look", NULL}};

/* Request i of the mix: lengths, sampling, constraints, endings. */
static void submit_mixed(struct vinci_engine *engine, struct kept *kept, size_t i)
{
    struct vinci_request_options options;
    struct vinci_turn_rules turn = {0};
    struct vinci_tool_rule rules[2];
    struct vinci_error err;
    int32_t stops[VINCI_HARMONY_STOP_TOKENS_MAX];
    size_t n;
    memset(kept, 0, sizeof *kept);
    memcpy(rules, tools, sizeof rules);
    rules[0].arguments = weather;
    vinci_request_options_init(&options);
    int32_t *prompt = make_prompt(i, &n);
    options.prompt = prompt;
    options.n_prompt = n;
    options.max_new_tokens = 20 + i % 5 * 10;
    options.sampling.temperature = i % 5 == 0 ? 0 : 0.6f + 0.2f * (float)(i % 8);
    options.sampling.top_k = i % 6 == 1 ? 40 : 0;
    options.sampling.top_p = i % 6 == 2 ? 0.9f : 1;
    options.sampling.presence_penalty = i % 7 == 3 ? 0.5f : 0;
    options.sampling.seed = 77 + i;
    options.n_top_logprobs = i % 9 == 4 ? 5 : 0;
    assert_int_equal(vinci_harmony_stop_tokens(tokenizer, stops, &options.n_stop_tokens, &err),
                     VINCI_OK);
    options.stop_tokens = stops;
    options.tokenizer = tokenizer;
    options.fair_key = i % 3;
    options.priority = i % 11 == 5;
    turn.tools = rules;
    turn.n_tools = i % 8 == 2 ? 0 : 2;
    turn.response = i % 8 == 2 ? answer : any_object;
    if (i % 8 == 6) turn.tool_choice = VINCI_TOOL_CHOICE_REQUIRED;
    if (i % 2 == 0 && i % 8 != 4) options.turn = &turn;
    if (i % 8 == 4) options.grammar = number;
    options.on_token = keep_token;
    options.user = kept;
    kept->cancel_at = i % 10 == 9 ? 7 : 0;
    if (vinci_request_submit(&kept->request, engine, &options, &err)) fail_msg("%s", err.text);
    vinci_free(prompt);
}

static void finish(struct vinci_engine *engine, struct kept *kept, size_t n)
{
    struct vinci_error err;
    size_t n_active = 1;
    while (n_active) assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    for (size_t i = 0; i < n; i++) {
        vinci_request_result(kept[i].request, &kept[i].result);
        if (kept[i].result.finish == VINCI_FINISH_ERROR) fail_msg("%s", kept[i].result.error.text);
        vinci_request_close(kept[i].request);
        kept[i].request = NULL;
    }
}

static void compare(const struct kept *a, const struct kept *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i].n_tokens != b[i].n_tokens || a[i].result.finish != b[i].result.finish ||
            memcmp(a[i].tokens, b[i].tokens, sizeof a[i].tokens) != 0 ||
            memcmp(a[i].text, b[i].text, sizeof a[i].text) != 0)
            fail_msg("request %zu is not what it was alone", i);
    }
}

static struct kept alone[N_MIXED], together[N_MIXED];

static void test_mixed_requests(void **state)
{
    (void)state;
    struct vinci_engine_info info;
    struct vinci_engine *engine = open_engine(false, 0, 4, NULL);
    for (size_t i = 0; i < N_MIXED; i++) {
        submit_mixed(engine, &alone[i], i);
        finish(engine, &alone[i], 1);
    }
    vinci_engine_info(engine, &info);
    assert_int_equal(info.n_preempted, 0);
    uint64_t least = info.kv_bytes_max / 4; /* what one sequence needs */
    vinci_engine_close(engine);

    static const struct {
        bool prefix_cache, little_memory;
        uint32_t n_seqs;
    } cases[] = {{false, false, 16}, {true, false, 16}, {true, true, 8}, {false, true, 16}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint64_t kv_bytes = cases[c].little_memory ? least : 0;
        engine = open_engine(cases[c].prefix_cache, kv_bytes, cases[c].n_seqs, NULL);
        for (size_t i = 0; i < N_MIXED; i++) submit_mixed(engine, &together[i], i);
        finish(engine, together, N_MIXED);
        compare(alone, together, N_MIXED);
        vinci_engine_info(engine, &info);
        print_message("case %zu: %llu steps, %llu of %llu prompt tokens reused, %llu preempted, "
                      "%u kept\n",
                      c, (unsigned long long)info.n_steps, (unsigned long long)info.n_reused_tokens,
                      (unsigned long long)info.n_prompt_tokens,
                      (unsigned long long)info.n_preempted, info.n_cached);
        if (cases[c].little_memory) assert_true(info.kv_bytes_peak <= kv_bytes);
        if (cases[c].prefix_cache && !cases[c].little_memory)
            assert_true(info.n_reused_tokens > 0 && info.n_cached > 0);
        assert_int_equal(info.n_running + info.n_waiting, 0);
        if (!cases[c].prefix_cache) assert_int_equal(info.kv_bytes, 0);
        else assert_true(info.kv_bytes <= info.cached_bytes && info.kv_bytes > 0);
        vinci_engine_close(engine);
    }
    together[3].tokens[0]++; /* and a difference would be seen */
    assert_int_not_equal(memcmp(together[3].tokens, alone[3].tokens, sizeof alone[3].tokens), 0);
}

/* ---- memory -------------------------------------------------------------------------------- */

enum { N_LONG = 6, LONG_NEW = 300 };

static void run_long(struct vinci_engine *engine, size_t first, size_t n,
                     int32_t tokens[][LONG_NEW], bool *all_ran)
{
    struct vinci_request *requests[N_LONG] = {NULL};
    struct vinci_error err;
    struct vinci_engine_info info;
    size_t n_active = 1, n_ids, n_got;
    for (size_t i = 0; i < n; i++) {
        struct vinci_request_options options;
        vinci_request_options_init(&options);
        int32_t *prompt = make_prompt(4 * (first + i), &n_ids);
        options.prompt = prompt;
        options.n_prompt = n_ids;
        options.max_new_tokens = LONG_NEW;
        options.sampling.seed = first + i;
        options.sampling.temperature = 1.5f;
        assert_int_equal(vinci_request_submit(&requests[i], engine, &options, &err), VINCI_OK);
        vinci_free(prompt);
    }
    while (n_active) {
        assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
        vinci_engine_info(engine, &info);
        if (info.n_running == n) *all_ran = true;
    }
    for (size_t i = 0; i < n; i++) {
        const int32_t *got = vinci_request_tokens(requests[i], &n_got);
        assert_int_equal(n_got, LONG_NEW);
        memcpy(tokens[first + i], got, sizeof tokens[0]);
        vinci_request_close(requests[i]);
    }
}

/* Together they need three times the memory that there is: some give theirs back and begin anew. */
static void test_preemption(void **state)
{
    (void)state;
    static int32_t one[N_LONG][LONG_NEW], all[N_LONG][LONG_NEW];
    struct vinci_engine_info info;
    bool ran = false;
    struct vinci_engine *engine = open_engine(false, 0, N_LONG, NULL);
    for (size_t i = 0; i < N_LONG; i++) run_long(engine, i, 1, one, &ran);
    vinci_engine_info(engine, &info);
    uint64_t least = info.kv_bytes_max / N_LONG;
    vinci_engine_close(engine);
    for (int prefix_cache = 0; prefix_cache < 2; prefix_cache++) {
        engine = open_engine(prefix_cache, least, N_LONG, NULL);
        memset(all, 0, sizeof all);
        ran = false;
        run_long(engine, 0, N_LONG, all, &ran);
        vinci_engine_info(engine, &info);
        assert_true(ran && info.n_preempted > 0);
        assert_true(info.kv_bytes_peak <= least);
        assert_memory_equal(one, all, sizeof one);
        vinci_engine_close(engine);
    }
    struct vinci_engine_options options;
    struct vinci_error err;
    vinci_engine_options_init(&options);
    options.model = MODEL;
    options.n_ctx = 1024;
    options.kv_bytes = least / 2;
    assert_int_equal(vinci_engine_open(&engine, &options, &err), VINCI_LIMIT);
}

/* ---- prefixes ------------------------------------------------------------------------------ */

static size_t reused(struct vinci_engine *engine, const int32_t *ids, size_t n, int32_t *first)
{
    struct vinci_request_options options;
    struct vinci_request_result result;
    struct vinci_error err;
    struct kept kept = {0};
    vinci_request_options_init(&options);
    options.prompt = ids;
    options.n_prompt = n;
    options.max_new_tokens = 1;
    options.sampling.temperature = 0;
    options.on_token = keep_token;
    options.user = &kept;
    assert_int_equal(vinci_generate(engine, &options, &result, &err), VINCI_OK);
    *first = kept.tokens[0];
    return result.n_reused;
}

static void test_prefix_cache(void **state)
{
    (void)state;
    int32_t ids[1000], other[1000], token, again;
    struct vinci_engine *engine = open_engine(true, 0, 4, NULL);
    for (size_t i = 0; i < 1000; i++) ids[i] = other[i] = (int32_t)(i * 37 % 2000);
    for (size_t i = 600; i < 1000; i++) other[i] = (int32_t)(i * 11 % 1999);
    assert_int_equal(reused(engine, ids, 700, &token), 0);
    assert_int_equal(reused(engine, ids, 700, &again), 512); /* 700 is not before the last token */
    assert_int_equal(token, again);
    assert_int_equal(reused(engine, ids, 701, &token), 700);   /* goes on where it ended */
    assert_int_equal(reused(engine, other, 900, &token), 512); /* shares its beginning */
    assert_int_equal(reused(engine, ids, 400, &again), 256);
    assert_int_equal(reused(engine, ids + 1, 400, &again), 0);
    struct vinci_engine *without = open_engine(false, 0, 4, NULL);
    assert_int_equal(reused(without, other, 900, &again), 0);
    assert_int_equal(token, again);
    assert_int_equal(reused(without, other, 900, &again), 0);
    vinci_engine_close(without);
    vinci_engine_close(engine);

    /* With room for little, what was used longest ago goes. */
    struct vinci_engine_info info;
    engine = open_engine(true, 0, 1, NULL);
    vinci_engine_info(engine, &info);
    uint64_t kv_bytes = info.kv_bytes_max + info.kv_bytes_max / 2;
    vinci_engine_close(engine);
    engine = open_engine(true, kv_bytes, 1, NULL);
    for (int32_t round = 0; round < 6; round++) {
        for (size_t i = 0; i < 600; i++) other[i] = (int32_t)(i * 13 + 1) % 2000 + round;
        assert_int_equal(reused(engine, other, 600, &token), 0);
        assert_int_equal(reused(engine, other, 601, &token), 600);
    }
    for (size_t i = 0; i < 600; i++) other[i] = (int32_t)(i * 13 + 1) % 2000;
    assert_int_equal(reused(engine, other, 601, &token), 0);
    vinci_engine_info(engine, &info);
    assert_true(info.kv_bytes_peak <= kv_bytes);
    vinci_engine_close(engine);
}

/* ---- turns --------------------------------------------------------------------------------- */

struct turn_check {
    bool called, answered;
    size_t n_calls;
    enum vinci_message_end end;
};

static void check_message(void *user, const struct vinci_harmony_event *event)
{
    struct turn_check *check = user;
    if (event->kind != VINCI_HARMONY_MESSAGE_END || event->end == VINCI_END_CUT) return;
    const struct vinci_message *message = event->message;
    bool ok = true;
    struct vinci_error err;
    check->end = event->end;
    if (vinci_message_is_call(message)) {
        check->n_calls++;
        check->called = true;
        if (message->recipient.size == strlen("functions.get_weather"))
            assert_int_equal(vinci_grammar_accepts(weather, message->content.data,
                                                   message->content.size, &ok, &err),
                             VINCI_OK);
        else assert_memory_equal(message->recipient.data, "functions.look", 14);
        assert_int_equal(event->end, VINCI_END_CALL);
    } else if (message->channel.size == 5 && memcmp(message->channel.data, "final", 5) == 0) {
        check->answered = true;
        assert_int_equal(
            vinci_grammar_accepts(answer, message->content.data, message->content.size, &ok, &err),
            VINCI_OK);
        assert_int_equal(event->end, VINCI_END_RETURN);
    }
    if (!ok) fail_msg("'%.*s'", (int)message->content.size, message->content.data);
}

static void run_turn(struct vinci_engine *engine, const struct vinci_turn_rules *turn,
                     const char *prefill, uint64_t seed, struct turn_check *check)
{
    struct vinci_request_options options;
    struct vinci_request_result result;
    struct vinci_harmony_parser_options parser_options;
    struct vinci_harmony_parser *parser = NULL;
    struct vinci_request *request = NULL;
    struct vinci_logit_bias biases[4];
    struct vinci_error err;
    char text[512];
    int32_t *prompt = NULL, stops[VINCI_HARMONY_STOP_TOKENS_MAX];
    size_t n, n_active = 1;
    snprintf(text, sizeof text, "<|start|>user<|message|>Hello %d<|end|><|start|>assistant%s",
             (int)seed, prefill);
    assert_int_equal(vinci_tokenize(tokenizer, text, strlen(text), true, &prompt, &n, &err),
                     VINCI_OK);
    vinci_request_options_init(&options);
    options.prompt = prompt;
    options.n_prompt = n;
    options.max_new_tokens = 400;
    options.sampling.temperature = 2;
    options.sampling.seed = seed;
    /* a random model would seldom end anything: ends and quotes are made likely */
    static const char *const likely[] = {"<|end|>", "<|call|>", "<|return|>"};
    for (size_t i = 0; i < 3; i++)
        biases[i] = (struct vinci_logit_bias){vinci_token_special_id(tokenizer, likely[i]), 14.0f};
    options.sampling.logit_bias = biases;
    options.sampling.n_logit_bias = 3;
    vinci_harmony_stop_tokens(tokenizer, stops, &options.n_stop_tokens, &err);
    options.stop_tokens = stops;
    options.tokenizer = tokenizer;
    options.turn = turn;
    if (vinci_request_submit(&request, engine, &options, &err)) fail_msg("%s", err.text);
    while (n_active) assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    vinci_request_result(request, &result);
    if (result.finish == VINCI_FINISH_ERROR) fail_msg("%s", result.error.text);

    vinci_harmony_parser_options_init(&parser_options);
    parser_options.tokenizer = tokenizer;
    parser_options.on_event = check_message;
    parser_options.user = check;
    memset(check, 0, sizeof *check);
    assert_int_equal(vinci_harmony_parser_open(&parser, &parser_options, &err), VINCI_OK);
    const int32_t *tokens = vinci_request_tokens(request, &n);
    int32_t *own = NULL;
    size_t n_own = 0;
    assert_int_equal(vinci_tokenize(tokenizer, prefill, strlen(prefill), true, &own, &n_own, &err),
                     VINCI_OK);
    for (size_t i = 0; i < n_own; i++) vinci_harmony_parser_push(parser, own[i], &err);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(vinci_harmony_parser_push(parser, tokens[i], &err), VINCI_OK);
    vinci_harmony_parser_finish(parser, &err);
    if (result.finish == VINCI_FINISH_STOP) assert_true(check->called || check->answered);
    vinci_harmony_parser_close(parser);
    vinci_request_close(request);
    vinci_free(own);
    vinci_free(prompt);
}

static void test_turns(void **state)
{
    (void)state;
    struct vinci_tool_rule rules[] = {{"functions.get_weather", weather}, {"functions.look", NULL}};
    struct vinci_turn_rules turn = {.response = answer, .tools = rules, .n_tools = 2};
    struct turn_check check;
    size_t n_called = 0, n_answered = 0;
    struct vinci_engine *engine = open_engine(false, 0, 1, NULL);
    for (uint64_t seed = 0; seed < 12; seed++) { /* either may happen */
        run_turn(engine, &turn, "", seed, &check);
        n_called += check.called;
        n_answered += check.answered;
    }
    print_message("free: %zu calls, %zu answers\n", n_called, n_answered);
    turn.tool_choice = VINCI_TOOL_CHOICE_NONE;
    for (uint64_t seed = n_answered = 0; seed < 6; seed++) {
        run_turn(engine, &turn, "", seed, &check);
        assert_false(check.called);
        n_answered += check.answered;
    }
    assert_true(n_answered > 0);
    turn.tool_choice = VINCI_TOOL_CHOICE_REQUIRED;
    turn.n_tools = 1;
    for (uint64_t seed = n_called = 0; seed < 6; seed++) {
        run_turn(engine, &turn, "", seed, &check);
        assert_false(check.answered);
        n_called += check.called;
    }
    assert_true(n_called > 0);
    turn.tool_choice = VINCI_TOOL_CHOICE_AUTO; /* begun by the prompt */
    run_turn(engine, &turn, "<|channel|>final<|message|>{\"kind\":", 3, &check);
    run_turn(engine, &turn, "<|channel|>commentary to=functions.get_weather", 4, &check);
    assert_true(check.called || check.n_calls == 0);

    struct vinci_request_options options;
    struct vinci_request *request = NULL;
    struct vinci_error err;
    int32_t *prompt = NULL;
    size_t n;
    static const char *const bad[] = {"<|start|>user<|message|>Hi<|end|>", "Hi",
                                      "<|start|>assistant<|channel|>chat<|message|>",
                                      "<|start|>assistant<|channel|>final<|message|>{\"kind\": 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(vinci_tokenize(tokenizer, bad[i], strlen(bad[i]), true, &prompt, &n, &err),
                         VINCI_OK);
        vinci_request_options_init(&options);
        options.prompt = prompt;
        options.n_prompt = n;
        options.tokenizer = tokenizer;
        options.turn = &turn;
        assert_int_equal(vinci_request_submit(&request, engine, &options, &err), VINCI_USAGE);
        assert_null(request);
        vinci_free(prompt);
    }
    vinci_engine_close(engine);
}

/* ---- order --------------------------------------------------------------------------------- */

struct order {
    char names[64];
    size_t n;
};
struct ordered {
    struct order *order;
    char name;
};

static bool note_first(void *user, const struct vinci_token_event *event)
{
    struct ordered *o = user;
    if (event->index == 0) o->order->names[o->order->n++] = o->name;
    return true;
}

/* One sequence at a time: the order of the first tokens is the order of the queue. */
static void test_order(void **state)
{
    (void)state;
    static const struct {
        char name;
        int32_t priority;
        uint64_t key;
    } queue[] = {{'a', 0, 1}, {'b', 0, 1}, {'c', 0, 1}, {'d', 0, 2},
                 {'e', 0, 2}, {'f', 0, 3}, {'g', 1, 3}, {'h', -1, 4}};
    enum { N = sizeof queue / sizeof *queue };
    struct vinci_engine *engine = open_engine(false, 0, 1, NULL);
    struct vinci_request *requests[N];
    struct ordered users[N];
    struct order order = {{0}, 0};
    struct vinci_error err;
    int32_t prompt[] = {5, 6, 7};
    size_t n_active = 1;
    for (size_t i = 0; i < N; i++) {
        struct vinci_request_options options;
        vinci_request_options_init(&options);
        options.prompt = prompt;
        options.n_prompt = 3;
        options.max_new_tokens = 4;
        options.priority = queue[i].priority;
        options.fair_key = queue[i].key;
        options.on_token = note_first;
        users[i] = (struct ordered){&order, queue[i].name};
        options.user = &users[i];
        assert_int_equal(vinci_request_submit(&requests[i], engine, &options, &err), VINCI_OK);
    }
    while (n_active) assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    assert_string_equal(order.names, "gadbefch"); /* keys take turns */
    for (size_t i = 0; i < N; i++) vinci_request_close(requests[i]);
    vinci_engine_close(engine);
}

static void test_cancelled_within_one_step(void **state)
{
    (void)state;
    struct vinci_engine *engine = open_engine(true, 0, 2, NULL);
    struct vinci_request *requests[3]; /* one decodes, one is in its prompt, one waits */
    struct vinci_error err;
    struct vinci_engine_info info;
    int32_t prompt[900];
    size_t n_active;
    for (size_t i = 0; i < 900; i++) prompt[i] = (int32_t)(i % 1000);
    for (size_t i = 0; i < 3; i++) {
        struct vinci_request_options options;
        vinci_request_options_init(&options);
        options.prompt = prompt;
        options.n_prompt = i == 1 ? 900 : 5;
        assert_int_equal(vinci_request_submit(&requests[i], engine, &options, &err), VINCI_OK);
    }
    assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    vinci_engine_info(engine, &info);
    assert_int_equal(n_active, 3);
    assert_int_equal(info.n_running, 2);
    assert_int_equal(info.n_waiting, 1);
    for (size_t i = 0; i < 3; i++) vinci_request_cancel(requests[i]);
    assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    assert_int_equal(n_active, 0);
    for (size_t i = 0; i < 3; i++) {
        struct vinci_request_result result;
        assert_true(vinci_request_done(requests[i]));
        vinci_request_result(requests[i], &result);
        assert_int_equal(result.finish, VINCI_FINISH_CANCELLED);
        assert_int_equal(result.n_generated, i == 0);
        vinci_request_close(requests[i]);
    }
    vinci_engine_close(engine);
}

/* Memory for one sequence: who begins in the step that ends a cancelled request gets its pages. */
static void test_cancelled_gives_place(void **state)
{
    (void)state;
    struct vinci_engine *engine = open_engine(false, 0, 1, NULL);
    struct vinci_request *requests[2];
    struct vinci_request_result result;
    struct vinci_engine_info info;
    struct vinci_error err;
    size_t n_active = 0;
    vinci_engine_info(engine, &info);
    size_t n = info.n_ctx - 4;
    int32_t *prompt = malloc(n * sizeof *prompt);
    assert_non_null(prompt);
    for (size_t r = 0; r < 2; r++) {
        struct vinci_request_options options;
        vinci_request_options_init(&options);
        for (size_t i = 0; i < n; i++) prompt[i] = (int32_t)((i + r) % 1000);
        options.prompt = prompt;
        options.n_prompt = n;
        options.max_new_tokens = 2;
        assert_int_equal(vinci_request_submit(&requests[r], engine, &options, &err), VINCI_OK);
        for (result.n_generated = 0; r == 0 && result.n_generated == 0;) {
            assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
            vinci_request_tokens(requests[r], &result.n_generated);
        }
    }
    assert_false(vinci_request_done(requests[0]));
    vinci_request_cancel(requests[0]);
    while (!vinci_request_done(requests[1]))
        assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    vinci_request_result(requests[0], &result);
    assert_int_equal(result.finish, VINCI_FINISH_CANCELLED);
    vinci_request_result(requests[1], &result);
    assert_string_equal(result.error.text, "");
    assert_int_not_equal(result.finish, VINCI_FINISH_ERROR);
    for (size_t r = 0; r < 2; r++) vinci_request_close(requests[r]);
    free(prompt);
    vinci_engine_close(engine);
}

/* ---- held requests ------------------------------------------------------------------------- */

static void test_paused_leaves_its_place(void **state)
{
    (void)state;
    struct vinci_engine *engine = open_engine(false, 0, 1, NULL);
    struct vinci_engine_info info;
    struct vinci_error err;
    struct kept held = {0}, other = {0};
    size_t n_active = 0;
    submit_mixed(engine, &held, 1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    size_t n_tokens = held.n_tokens;
    assert_true(n_tokens > 0);
    vinci_request_pause(held.request, true);
    submit_mixed(engine, &other, 2);
    while (!vinci_request_done(other.request))
        assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    assert_int_equal(n_active, 1);
    vinci_engine_info(engine, &info);
    assert_int_equal(info.n_running, 0);
    assert_int_equal(info.n_paused, 1);
    assert_int_equal(held.n_tokens, n_tokens);
    vinci_request_close(other.request);
    vinci_request_cancel(held.request); /* also while it is held */
    assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    assert_int_equal(n_active, 0);
    assert_true(vinci_request_done(held.request));
    vinci_request_close(held.request);
    vinci_engine_close(engine);
}

/* Held and let go at random, with more requests than places and memory for one sequence: the same
 * bytes as alone. */
static void test_paused_at_random(void **state)
{
    (void)state;
    enum { N = 10 };
    struct vinci_engine *engine = open_engine(false, 0, 2, NULL);
    struct vinci_engine_info info;
    struct vinci_error err;
    uint64_t random = 88172645463325252;
    size_t n_active = 1;
    memset(alone, 0, sizeof alone);
    memset(together, 0, sizeof together);
    for (size_t i = 0; i < N; i++) {
        submit_mixed(engine, &alone[i], i);
        finish(engine, &alone[i], 1);
    }
    vinci_engine_info(engine, &info);
    vinci_engine_close(engine);
    engine = open_engine(true, info.kv_bytes_max / 2, 2, NULL);
    for (size_t i = 0; i < N; i++) submit_mixed(engine, &together[i], i);
    for (size_t n_steps = 0; n_active && n_steps < 20000; n_steps++) {
        for (size_t i = 0; i < N; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if (random % 8 == 0) vinci_request_pause(together[i].request, random >> 8 & 1);
        }
        assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
        vinci_engine_info(engine, &info);
        assert_true(info.n_running + info.n_paused + info.n_waiting == n_active);
    }
    assert_int_equal(n_active, 0);
    finish(engine, together, N);
    compare(alone, together, N);
    vinci_engine_close(engine);
}

/* ---- failing allocations ------------------------------------------------------------------- */

/* A request with turn rules on an engine that stays: whatever fails, the request ends and the next
 * one is right. */
static void test_failing_allocations(void **state)
{
    (void)state;
    struct vinci_engine *engine = open_engine(true, 0, 2, NULL);
    struct kept whole, kept;
    struct vinci_error err;
    size_t n_failed = 0, n_active;
    submit_mixed(engine, &whole, 6);
    finish(engine, &whole, 1);
    int32_t *prompt = make_prompt(6, &n_active);
    for (size_t k = 1;; k++) {
        struct vinci_tool_rule rule = {"functions.get_weather", weather};
        struct vinci_turn_rules turn = {.tools = &rule,
                                        .n_tools = 1,
                                        .tool_choice = VINCI_TOOL_CHOICE_REQUIRED,
                                        .response = answer};
        struct vinci_request_options options;
        struct vinci_request_result result = {0};
        static const char *const stop[] = {"never"};
        vinci_request_options_init(&options);
        options.prompt = prompt;
        options.n_prompt = n_active;
        options.max_new_tokens = 4;
        options.tokenizer = tokenizer;
        options.turn = &turn;
        options.stop_strings = stop;
        options.n_stop_strings = 1;
        memset(&err, 0, sizeof err);
        alloc_fail_begin(k);
        enum vinci_status status = vinci_generate(engine, &options, &result, &err);
        bool failed = alloc_fail_end();
        if (status != VINCI_OK && status != VINCI_NO_MEMORY) fail_msg("%zu: %s", k, err.text);
        n_failed += status == VINCI_NO_MEMORY;
        if (!failed) break;
    }
    vinci_free(prompt);
    assert_true(n_failed > 20);
    submit_mixed(engine, &kept, 6);
    finish(engine, &kept, 1);
    compare(&whole, &kept, 1);
    vinci_engine_close(engine);
}

/* ---- scripts ------------------------------------------------------------------------------- */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_script(void **state)
{
    (void)state;
    char path[] = "/tmp/vinci-script-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path, "{\"when\": \"plus 9\", \"text\": \"<|channel|>final<|message|>Nine.\"}\n\n"
                     "{\"when\": \"plus 8\", \"ids\": [5, 6]}\n");
    struct vinci_engine *engine = open_engine(true, 0, 2, path);
    struct vinci_request_options options;
    struct vinci_request *request = NULL;
    struct vinci_error err;
    size_t n, n_active = 1;
    struct kept kept = {0};
    int32_t *prompt = make_prompt(7, &n); /* plus 9 */
    vinci_request_options_init(&options);
    options.prompt = prompt;
    options.n_prompt = n;
    options.tokenizer = tokenizer;
    options.n_top_logprobs = 2;
    options.on_token = keep_token;
    options.user = &kept;
    assert_int_equal(vinci_request_submit(&kept.request, engine, &options, &err), VINCI_OK);
    finish(engine, &kept, 1);
    assert_string_equal(kept.text, "finalNine.");
    assert_int_equal(kept.result.finish, VINCI_FINISH_STOP);
    vinci_free(prompt);
    prompt = make_prompt(1, &n); /* plus 7 */
    options.prompt = prompt;
    options.n_prompt = n;
    assert_int_equal(vinci_request_submit(&request, engine, &options, &err), VINCI_NOT_FOUND);
    vinci_free(prompt);
    prompt = make_prompt(4, &n); /* plus 8 */
    memset(&kept, 0, sizeof kept);
    options.prompt = prompt;
    options.n_prompt = n;
    options.max_new_tokens = 1; /* everything else is as always */
    assert_int_equal(vinci_request_submit(&kept.request, engine, &options, &err), VINCI_OK);
    while (n_active) assert_int_equal(vinci_engine_step(engine, &n_active, &err), VINCI_OK);
    vinci_request_result(kept.request, &kept.result);
    assert_int_equal(kept.result.finish, VINCI_FINISH_LENGTH);
    assert_int_equal(kept.tokens[0], 5);
    vinci_request_close(kept.request);
    vinci_free(prompt);
    vinci_engine_close(engine);

    static const char *const bad[] = {"{\"when\": 3, \"text\": \"x\"}\n",
                                      "{\"when\": null}\n",
                                      "{\"text\": \"x\", \"ids\": [1]}\n",
                                      "{\"ids\": []}\n",
                                      "x\n",
                                      "{\"ids\": [\"a\"]}\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vinci_engine_options engine_options;
        write_file(path, bad[i]);
        vinci_engine_options_init(&engine_options);
        engine_options.model = MODEL;
        engine_options.script = path;
        assert_int_equal(vinci_engine_open(&engine, &engine_options, &err), VINCI_BAD_FILE);
        assert_non_null(strstr(err.text, "line 1"));
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixed_requests),
        cmocka_unit_test(test_preemption),
        cmocka_unit_test(test_prefix_cache),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_cancelled_within_one_step),
        cmocka_unit_test(test_cancelled_gives_place),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_paused_leaves_its_place),
        cmocka_unit_test(test_paused_at_random),
    };
    return cmocka_run_group_tests_name("requests", tests, set_up, tear_down);
}
