/* generation.c - from tokens to items; see generation.h. */
#include "serve/generation.h"

#include "base/clock.h"
#include "serve/json_out.h"
#include "serve/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void make_id(char id[40], const char *prefix)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char bytes[24] = {0};
    char text[25];
    if (getrandom(bytes, sizeof bytes, 0) < 0) memcpy(bytes, &(uint64_t){(uintptr_t)id}, 8);
    for (size_t i = 0; i < 24; i++) text[i] = letters[bytes[i] & 31];
    text[24] = '\0';
    snprintf(id, 40, "%.14s%s", prefix, text);
}

static void fail_generation(struct generation *g)
{
    if (!g->failed) api_fail_memory(&g->error);
    g->failed = true;
}

/* ---- items --------------------------------------------------------------------------------- */

static void report(struct choice *choice, enum piece_kind kind, struct vinci_text text)
{
    struct generation *g = choice->generation;
    struct piece piece = {.kind = kind,
                          .choice = choice->index,
                          .item = (uint32_t)(choice->n_items ? choice->n_items - 1 : 0),
                          .text = text};
    if (g->on_piece) g->on_piece(g->user, &piece);
    if (kind != PIECE_DELTA) return;
    struct item *item = &choice->items[piece.item];
    item->reported = item->tokens.n;
    item->top_reported = item->tokens.n_top;
}

static struct item *open_item(struct choice *choice)
{
    return choice->open ? &choice->items[choice->n_items - 1] : NULL;
}

static struct item *begin_item(struct choice *choice, enum item_kind kind)
{
    static const char *const prefixes[] = {"rs_", "msg_", "fc_"};
    if (!grow((void **)&choice->items, &choice->items_capacity, choice->n_items + 1,
              sizeof *choice->items)) {
        fail_generation(choice->generation);
        return NULL;
    }
    struct item *item = &choice->items[choice->n_items++];
    *item = (struct item){.kind = kind};
    make_id(item->id, prefixes[kind]);
    if (kind == ITEM_CALL) make_id(item->call_id, "call_");
    choice->open = true;
    return item;
}

static void add_text(struct choice *choice, const char *text, size_t n)
{
    struct item *item = open_item(choice);
    if (!buf_append(&item->text, text, n)) fail_generation(choice->generation);
    report(choice, PIECE_DELTA, (struct vinci_text){text, n});
}

/* Where in `text` a stop string begins, SIZE_MAX if none does; *which is the string. */
static size_t find_stop(const struct generation *g, const struct buf *text, const char **which)
{
    size_t best = SIZE_MAX, i;
    const json_t *stop;
    json_array_foreach(g->params->stop, i, stop)
    {
        const char *at =
            memmem(text->data, text->size, json_string_value(stop), json_string_length(stop));
        if (at && (size_t)(at - text->data) < best) {
            best = (size_t)(at - text->data);
            *which = json_string_value(stop);
        }
    }
    return best;
}

/* How many bytes at the end of `text` may be the beginning of a stop string. */
static size_t may_become_stop(const struct generation *g, const struct buf *text)
{
    size_t longest = 0, i;
    const json_t *stop;
    json_array_foreach(g->params->stop, i, stop)
    {
        size_t n = json_string_length(stop) - 1;
        if (n > text->size) n = text->size;
        for (; n > longest; n--)
            if (memcmp(text->data + text->size - n, json_string_value(stop), n) == 0) longest = n;
    }
    return longest;
}

static void stop_choice(struct choice *choice)
{
    choice->stopped = true;
    loop_satisfied(&choice->job);
}

/* Text of an answer: through the stop strings. */
static void add_answer_text(struct choice *choice, const char *text, size_t n)
{
    struct generation *g = choice->generation;
    struct buf *held = &choice->held;
    if (!g->params->stop) {
        add_text(choice, text, n);
        return;
    }
    if (!buf_append(held, text, n)) {
        fail_generation(g);
        return;
    }
    size_t shown = find_stop(g, held, &choice->matched);
    if (shown != SIZE_MAX) stop_choice(choice);
    else shown = held->size - may_become_stop(g, held);
    if (shown) add_text(choice, held->data, shown);
    if (choice->matched) {
        held->size = 0;
        return;
    }
    memmove(held->data, held->data + shown, held->size - shown);
    held->size -= shown;
}

static void end_item(struct choice *choice, bool whole)
{
    struct item *item = open_item(choice);
    if (!item) return;
    if (choice->held.size && !choice->matched)
        add_text(choice, choice->held.data, choice->held.size);
    choice->held.size = 0;
    if (item->kind == ITEM_CALL && item->text.size == 0 && whole && !item->custom)
        add_text(choice, "{}", 2); /* clients parse it */
    item->whole = whole;
    choice->open = false;
    report(choice, PIECE_END, (struct vinci_text){NULL, 0});
}

/* ---- harmony ------------------------------------------------------------------------------- */

static bool text_is(struct vinci_text text, const char *word)
{
    return text.data && text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

/* The declared tool that a recipient means: "functions.f", or "f" alone. */
static bool find_tool(const struct params *params, struct vinci_text recipient,
                      struct vinci_text *name)
{
    static const char prefix[] = "functions.";
    size_t n = sizeof prefix - 1;
    if (params->tool_choice == TOOL_CHOICE_NONE) return false;
    *name = recipient;
    if (recipient.size > n && memcmp(recipient.data, prefix, n) == 0) {
        name->data += n;
        name->size -= n;
    }
    return params_has_tool(params, name->data, name->size);
}

/* A message's header is known: which item does its content belong to? */
static void begin_message(struct choice *choice, const struct vinci_message *message)
{
    const struct params *params = choice->generation->params;
    struct vinci_text name;
    choice->dropping = message->role != VINCI_ROLE_ASSISTANT && message->role != VINCI_ROLE_NONE;
    if (choice->dropping) {
        if (!params->ignore_eos) stop_choice(choice);
        return;
    }
    enum item_kind kind = ITEM_TEXT;
    if (vinci_message_is_call(message))
        kind = find_tool(params, message->recipient, &name) ? ITEM_CALL : ITEM_REASONING;
    else if (text_is(message->channel, "analysis")) kind = ITEM_REASONING;
    else if (text_is(message->channel, "commentary") && params->format != FORMAT_TEXT)
        kind = ITEM_REASONING;
    struct item *item = begin_item(choice, kind);
    if (!item) return;
    if (kind == ITEM_CALL) {
        snprintf(item->name, sizeof item->name, "%.*s", (int)name.size, name.data);
        item->custom = params_tool_is_custom(params, name.data, name.size);
    }
    report(choice, PIECE_BEGIN, (struct vinci_text){NULL, 0});
}

static void end_message(struct choice *choice, const struct vinci_harmony_event *event)
{
    if (!choice->open && !choice->dropping && vinci_message_is_call(event->message))
        begin_message(choice, event->message); /* a call without content */
    bool call = choice->open && open_item(choice)->kind == ITEM_CALL;
    end_item(choice, event->end != VINCI_END_CUT);
    choice->dropping = false;
    const struct params *params = choice->generation->params;
    if (call && event->end != VINCI_END_CUT && !params->parallel_calls && !params->ignore_eos)
        stop_choice(choice);
}

static void on_event(void *user, const struct vinci_harmony_event *event)
{
    struct choice *choice = user;
    if (choice->stopped) return;
    if (event->kind == VINCI_HARMONY_CONTENT) {
        if (!choice->open && !choice->dropping) begin_message(choice, event->message);
        struct item *item = open_item(choice);
        if (!item || choice->stopped) return;
        if (item->kind == ITEM_TEXT) add_answer_text(choice, event->text.data, event->text.size);
        else add_text(choice, event->text.data, event->text.size);
    } else if (event->kind == VINCI_HARMONY_MESSAGE_END) {
        end_message(choice, event);
    }
}

/* ---- tokens -------------------------------------------------------------------------------- */

static void take_raw(struct choice *choice, int32_t id, bool flush)
{
    struct generation *g = choice->generation;
    size_t n = 0;
    const char *bytes = "";
    if (!flush && !vinci_token_is_special(g->tokenizer, id))
        bytes = vinci_token_bytes(g->tokenizer, id, &n);
    char *text = malloc(3 * (n + 4));
    if (!text) {
        fail_generation(g);
        return;
    }
    n = vinci_utf8_stream_next(&choice->utf8, bytes ? bytes : "", n, flush, text);
    if (n && !choice->stopped) add_answer_text(choice, text, n);
    free(text);
}

static void take_token(struct choice *choice, const struct job_token *token,
                       const struct vinci_token_logprob *top)
{
    struct generation *g = choice->generation;
    struct vinci_error err = {0};
    choice->n_tokens++;
    if (!choice->parser) {
        if (g->params->logprobs && !job_tokens_add(&choice->items[0].tokens, token, top))
            fail_generation(g);
        take_raw(choice, token->id, false);
        return;
    }
    /* Inside a content every ordinary token is text of it. */
    const struct vinci_message *current = vinci_harmony_parser_current(choice->parser);
    bool content = current && !vinci_token_is_special(g->tokenizer, token->id);
    if (content && !choice->open && !choice->dropping) begin_message(choice, current);
    struct item *item = open_item(choice);
    if (item && item->kind == ITEM_REASONING) choice->n_reasoning_tokens++;
    if (g->params->logprobs && content && item && item->kind == ITEM_TEXT &&
        !job_tokens_add(&item->tokens, token, top))
        fail_generation(g);
    if (vinci_harmony_parser_push(choice->parser, token->id, &err) != VINCI_OK) {
        api_fail(&g->error, 500, NULL, "internal_error", "%s", err.text);
        g->failed = true;
    }
}

static enum choice_finish finish_of(const struct choice *choice)
{
    const struct vinci_request_result *result = &choice->job.result;
    bool calls = false;
    bool stopped = choice->stopped;
    if (result->finish == VINCI_FINISH_ERROR) return CHOICE_FAILED;
    if (result->finish == VINCI_FINISH_CANCELLED && !stopped) return CHOICE_FAILED;
    for (size_t i = 0; i < choice->n_items; i++)
        calls = calls || (choice->items[i].kind == ITEM_CALL && choice->items[i].whole);
    bool cut = result->finish == VINCI_FINISH_LENGTH || result->finish == VINCI_FINISH_CONTEXT;
    if (cut && !stopped) return CHOICE_LENGTH;
    return calls ? CHOICE_CALLS : CHOICE_STOP;
}

static void finish_choice(struct choice *choice)
{
    struct generation *g = choice->generation;
    struct vinci_error err = {0};
    if (choice->parser && !choice->stopped) vinci_harmony_parser_finish(choice->parser, &err);
    else if (!choice->parser) take_raw(choice, 0, true);
    end_item(choice, !choice->parser || choice->stopped);
    choice->finish = finish_of(choice);
    if (choice->finish == CHOICE_FAILED && !g->failed) {
        if (atomic_load(&g->waiter.client_left))
            api_fail(&g->error, 503, NULL, "client_left", "The client has left.");
        else if (choice->job.result.finish == VINCI_FINISH_CANCELLED)
            api_fail(&g->error, 503, NULL, "cancelled", "The request was stopped by the server.");
        else
            api_fail_status(&g->error, choice->job.result.error.status, NULL,
                            &choice->job.result.error);
        g->failed = true;
    }
    g->n_running--;
    report(choice, PIECE_FINISH, (struct vinci_text){NULL, 0});
}

static bool has_news(const struct generation *g)
{
    for (uint32_t i = 0; i < g->n_choices; i++)
        if (g->choices[i].finish == CHOICE_RUNNING &&
            (g->choices[i].job.tokens.n || g->choices[i].job.done))
            return true;
    return false;
}

enum generation_state generation_next(struct generation *g, double seconds, piece_fn *on_piece,
                                      void *user)
{
    double until = seconds_now() + seconds;
    if (g->failed || g->n_running == 0) return GENERATION_DONE;
    g->on_piece = on_piece;
    g->user = user;
    pthread_mutex_lock(&g->waiter.lock);
    while (!has_news(g)) {
        double left = until - seconds_now();
        if (left <= 0 || !waiter_wait(&g->waiter, left)) break;
    }
    bool any = has_news(g);
    g->waiter.news = false;
    pthread_mutex_unlock(&g->waiter.lock);
    for (uint32_t i = 0; any && i < g->n_choices; i++) {
        struct choice *choice = &g->choices[i];
        if (choice->finish != CHOICE_RUNNING) continue;
        pthread_mutex_lock(&g->waiter.lock); /* only to take over what the job has */
        struct job_tokens taken;
        bool done = choice->job.done;
        loop_take(&choice->job, &taken);
        pthread_mutex_unlock(&g->waiter.lock);
        size_t at = 0; /* in taken.top, which may be NULL */
        for (size_t t = 0; t < taken.n && !choice->stopped && !g->failed; t++) {
            take_token(choice, &taken.entries[t], taken.top ? taken.top + at : NULL);
            at += taken.entries[t].n_top;
        }
        job_tokens_free(&taken);
        if (done && !g->failed) finish_choice(choice);
    }
    g->on_piece = NULL;
    if (g->failed || g->n_running == 0) return GENERATION_DONE;
    return any ? GENERATION_MORE : GENERATION_IDLE;
}

/* ---- beginning and end --------------------------------------------------------------------- */

static bool check_prompts(const struct generation *g, const struct server *server,
                          struct api_error *error)
{
    for (size_t i = 0; i < g->n_prompts; i++) {
        if (g->prompt_sizes[i] < 1)
            return api_bad(error, "prompt", "Invalid 'prompt': it has no tokens");
        if (g->prompt_sizes[i] >= server->info.n_ctx)
            return api_fail(error, 400, "messages", "context_length_exceeded",
                            "This model's maximum context length is %u tokens. However, your "
                            "messages resulted in %zu tokens. Please reduce the length of the "
                            "messages.",
                            server->info.n_ctx, g->prompt_sizes[i]);
    }
    for (size_t i = 0; i < g->params->sampling.n_logit_bias; i++)
        if ((uint32_t)g->params->biases[i].token >= vinci_tokenizer_n_vocab(server->tokenizer))
            return api_bad(error, "logit_bias", "Invalid 'logit_bias': there is no token %d",
                           g->params->biases[i].token);
    return true;
}

static void set_options(struct choice *choice, const struct server *server, size_t prompt,
                        uint32_t nth)
{
    struct generation *g = choice->generation;
    const struct params *params = g->params;
    struct vinci_request_options *options = &choice->job.options;
    uint32_t limit = server->options.max_tokens;
    vinci_request_options_init(options);
    options->prompt = g->prompts[prompt];
    options->n_prompt = g->prompt_sizes[prompt];
    options->max_new_tokens = params->max_tokens;
    if (limit && (params->max_tokens == 0 || params->max_tokens > limit))
        options->max_new_tokens = limit;
    options->sampling = params->sampling;
    options->sampling.seed += nth * UINT64_C(0x9e3779b97f4a7c15); /* choices differ */
    options->stop_tokens = g->stops;
    options->n_stop_tokens = params->ignore_eos ? 0 : g->n_stops;
    if (params->logprobs) options->n_top_logprobs = params->top_logprobs ? params->top_logprobs : 1;
    options->priority = params->priority;
    options->fair_key = params->fair_key;
    options->tokenizer = g->tokenizer;
    if (choice->parser && !params->ignore_eos) options->turn = &g->rules.turn;
    choice->job.waiter = &g->waiter;
    choice->job.arrived = seconds_now();
}

/* The parser is told what the prompt has already begun of the assistant's turn. */
static bool open_parser(struct choice *choice, const int32_t *forced, size_t n_forced,
                        struct api_error *error)
{
    struct vinci_error err = {0};
    struct vinci_harmony_parser_options options;
    vinci_harmony_parser_options_init(&options);
    options.tokenizer = choice->generation->tokenizer;
    options.on_event = on_event;
    options.user = choice;
    enum vinci_status status = vinci_harmony_parser_open(&choice->parser, &options, &err);
    for (size_t i = 0; i < n_forced && status == VINCI_OK; i++)
        status = vinci_harmony_parser_push(choice->parser, forced[i], &err);
    return status == VINCI_OK || api_fail_status(error, status, NULL, &err);
}

static bool submit(struct generation *g, struct api_error *error)
{
    for (uint32_t i = 0; i < g->n_choices; i++) {
        if (loop_submit(g->loop, &g->choices[i].job)) {
            g->choices[i].finish = CHOICE_RUNNING;
            g->n_running++;
            continue;
        }
        return api_fail(error, 503, NULL, "server_overloaded",
                        "The server has as many requests as it takes, or is shutting down. Please "
                        "try again later.");
    }
    return true;
}

static bool begin(struct generation **out, struct generation *g, const struct server *server,
                  const int32_t *forced, size_t n_forced, bool raw, struct api_error *error)
{
    const struct params *params = g->params;
    struct vinci_error err = {0};
    bool ok = check_prompts(g, server, error) &&
              (raw || rules_make(&g->rules, params, g->tokenizer, error));
    if (ok && vinci_harmony_stop_tokens(g->tokenizer, g->stops, &g->n_stops, &err) != VINCI_OK)
        g->n_stops = 0; /* a tokenizer without harmony's tokens: raw texts only */
    size_t n = g->n_prompts * params->n;
    g->choices = ok ? array_new_zero(n, sizeof *g->choices) : NULL;
    if (ok && !g->choices) ok = api_fail_memory(error);
    for (size_t i = 0; ok && i < n; i++) {
        struct choice *choice = &g->choices[i];
        choice->generation = g;
        choice->index = (uint32_t)i;
        choice->finish = CHOICE_FAILED; /* until it is submitted */
        g->n_choices++;
        if (!raw) ok = open_parser(choice, forced, n_forced, error);
        else if (!begin_item(choice, ITEM_TEXT)) ok = api_fail_memory(error);
        set_options(choice, server, i / params->n, (uint32_t)(i % params->n));
    }
    ok = ok && submit(g, error);
    if (ok) *out = g;
    else generation_release(g);
    return ok;
}

static struct generation *create(struct server *server, struct params *params, int fd)
{
    struct generation *g = array_new_zero(1, sizeof *g);
    if (!g) return NULL;
    waiter_init(&g->waiter, fd);
    g->tokenizer = server->tokenizer;
    g->loop = server->loop;
    g->params = params;
    return g;
}

bool generation_start(struct generation **out, struct server *server, struct params *params, int fd,
                      struct api_error *error)
{
    char date[16];
    size_t n_forced = 0;
    *out = NULL;
    struct generation *g = create(server, params, fd);
    if (!g) return api_fail_memory(error);
    g->prompts = array_new_zero(1, sizeof *g->prompts);
    g->prompt_sizes = array_new_zero(1, sizeof *g->prompt_sizes);
    g->n_prompts = 1;
    bool ok = g->prompts && g->prompt_sizes;
    if (!ok) api_fail_memory(error);
    ok = ok && params_render(params, server->tokenizer, server_date(server, date), &g->prompts[0],
                             &g->prompt_sizes[0], &n_forced, error);
    if (!ok) {
        generation_release(g);
        return false;
    }
    const int32_t *forced = g->prompts[0] + g->prompt_sizes[0] - n_forced;
    return begin(out, g, server, forced, n_forced, false, error);
}

bool generation_start_raw(struct generation **out, struct server *server, struct params *params,
                          int32_t **prompts, size_t *prompt_sizes, size_t n_prompts, int fd,
                          struct api_error *error)
{
    *out = NULL;
    struct generation *g = create(server, params, fd);
    if (!g) {
        for (size_t i = 0; i < n_prompts; i++) vinci_free(prompts[i]);
        free(prompts);
        free(prompt_sizes);
        return api_fail_memory(error);
    }
    g->prompts = prompts;
    g->prompt_sizes = prompt_sizes;
    g->n_prompts = n_prompts;
    return begin(out, g, server, NULL, 0, true, error);
}

static void release_choice(struct choice *choice)
{
    for (size_t i = 0; i < choice->n_items; i++) {
        buf_free(&choice->items[i].text);
        job_tokens_free(&choice->items[i].tokens);
    }
    free(choice->items);
    buf_free(&choice->held);
    vinci_harmony_parser_close(choice->parser);
    job_tokens_free(&choice->job.tokens);
}

size_t generation_stop(struct generation *g)
{
    size_t n_generated = 0;
    for (uint32_t i = 0; i < g->n_choices; i++)
        if (g->choices[i].finish == CHOICE_RUNNING) loop_cancel(&g->choices[i].job);
    for (uint32_t i = 0; i < g->n_choices; i++) {
        struct choice *choice = &g->choices[i];
        bool running = choice->finish == CHOICE_RUNNING;
        pthread_mutex_lock(&g->waiter.lock);
        while (running && !choice->job.done) waiter_wait(&g->waiter, 1);
        pthread_mutex_unlock(&g->waiter.lock);
        choice->finish = running ? CHOICE_FAILED : choice->finish;
        n_generated += choice->job.result.n_generated;
    }
    g->n_running = 0;
    return n_generated;
}

void generation_release(struct generation *g)
{
    if (!g) return;
    generation_stop(g);
    for (uint32_t i = 0; i < g->n_choices; i++) release_choice(&g->choices[i]);
    for (size_t i = 0; g->prompts && i < g->n_prompts; i++) vinci_free(g->prompts[i]);
    rules_release(&g->rules);
    free(g->choices);
    free(g->prompts);
    free(g->prompt_sizes);
    waiter_release(&g->waiter);
    free(g);
}

void generation_usage(const struct generation *g, struct usage *usage)
{
    *usage = (struct usage){0};
    for (size_t i = 0; i < g->n_prompts; i++) usage->n_prompt += g->prompt_sizes[i];
    for (uint32_t i = 0; i < g->n_choices; i++) {
        const struct choice *choice = &g->choices[i];
        usage->n_generated += choice->n_tokens;
        usage->n_reasoning += choice->n_reasoning_tokens;
        if (choice->finish == CHOICE_RUNNING) continue; /* its result is the loop's still */
        if (g->n_choices == 1 || i % (g->n_choices / g->n_prompts) == 0)
            usage->n_cached += choice->job.result.n_reused;
    }
}
