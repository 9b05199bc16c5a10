/* responses_out.c - writes the objects of /v1/responses. */
#include "serve/responses_out.h"

#include <string.h>

void write_part(struct json_out *out, const struct call *call, const struct item *item, bool whole)
{
    const struct buf none = {0};
    const struct buf *text = whole ? &item->text : &none;
    out_begin(out, '{');
    out_key_str(out, "type", item->kind == ITEM_REASONING ? "reasoning_text" : "output_text");
    out_key_text(out, "text", text);
    if (item->kind == ITEM_TEXT) {
        out_key(out, "annotations");
        out_begin(out, '[');
        out_end(out, ']');
        out_key(out, "logprobs");
        out_begin(out, '[');
        if (whole) write_logprobs(out, call->generation, item, 0, 0);
        out_end(out, ']');
    }
    out_end(out, '}');
}

static void write_parts(struct json_out *out, const struct call *call, const struct item *item,
                        bool whole)
{
    out_key(out, "content");
    out_begin(out, '[');
    if (whole) write_part(out, call, item, true);
    out_end(out, ']');
}

void write_item(struct json_out *out, const struct call *call, const struct item *item, bool whole)
{
    const struct buf none = {0};
    out_begin(out, '{');
    out_key_str(out, "id", item->id);
    if (item->kind == ITEM_CALL) {
        out_key_str(out, "type", item->custom ? "custom_tool_call" : "function_call");
        out_key_str(out, "call_id", item->call_id);
        out_key_str(out, "name", item->name);
        out_key_text(out, item->custom ? "input" : "arguments", whole ? &item->text : &none);
    } else if (item->kind == ITEM_TEXT) {
        out_key_str(out, "type", "message");
        out_key_str(out, "role", "assistant");
        write_parts(out, call, item, whole);
    } else {
        out_key_str(out, "type", "reasoning");
        out_key(out, "summary");
        out_begin(out, '[');
        out_end(out, ']');
        write_parts(out, call, item, whole);
    }
    out_key_str(out, "status", !whole ? "in_progress" : item->whole ? "completed" : "incomplete");
    out_end(out, '}');
}

const char *response_status(const struct call *call)
{
    const struct generation *g = call->generation;
    if (g->failed) return "failed";
    return g->choices[0].finish == CHOICE_LENGTH ? "incomplete" : "completed";
}

/* A member of the request, or what stands for it when it was not given. */
static void echo(struct json_out *out, const struct call *call, const char *key,
                 const char *otherwise)
{
    const json_t *value = in_member(call->body, key);
    out_key(out, key);
    if (value) out_json(out, value);
    else out_raw(out, otherwise, strlen(otherwise));
}

static void write_settings(struct json_out *out, const struct call *call)
{
    static const char *const efforts[] = {"none", "low", "medium", "high"};
    const struct params *params = &call->params;
    const json_t *reasoning = in_member(call->body, "reasoning");
    echo(out, call, "instructions", "null");
    echo(out, call, "max_output_tokens", "null");
    echo(out, call, "max_tool_calls", "null");
    echo(out, call, "metadata", "{}");
    echo(out, call, "previous_response_id", "null");
    echo(out, call, "prompt_cache_key", "null");
    echo(out, call, "safety_identifier", "null");
    echo(out, call, "service_tier", "\"default\"");
    echo(out, call, "store", "true");
    echo(out, call, "text", "{\"format\":{\"type\":\"text\"}}");
    echo(out, call, "tool_choice", "\"auto\"");
    echo(out, call, "tools", "[]");
    echo(out, call, "top_logprobs", "0");
    echo(out, call, "truncation", "\"disabled\"");
    echo(out, call, "user", "null");
    out_key_bool(out, "background", false);
    out_key_bool(out, "parallel_tool_calls", params->parallel_calls);
    out_key_real(out, "temperature", (double)params->sampling.temperature);
    out_key_real(out, "top_p", (double)params->sampling.top_p);
    out_key_real(out, "presence_penalty", (double)params->sampling.presence_penalty);
    out_key_real(out, "frequency_penalty", (double)params->sampling.frequency_penalty);
    out_key(out, "reasoning");
    out_begin(out, '{');
    out_key_str(out, "effort", efforts[params->no_reasoning ? 0 : params->effort]);
    out_key_json(out, "summary", in_member(reasoning, "summary"));
    out_end(out, '}');
}

static void write_usage(struct json_out *out, const struct usage *usage)
{
    out_key(out, "usage");
    out_begin(out, '{');
    out_key_int(out, "input_tokens", (int64_t)usage->n_prompt);
    out_key(out, "input_tokens_details");
    out_begin(out, '{');
    out_key_int(out, "cached_tokens", (int64_t)usage->n_cached);
    out_end(out, '}');
    out_key_int(out, "output_tokens", (int64_t)usage->n_generated);
    out_key(out, "output_tokens_details");
    out_begin(out, '{');
    out_key_int(out, "reasoning_tokens", (int64_t)usage->n_reasoning);
    out_end(out, '}');
    out_key_int(out, "total_tokens", (int64_t)(usage->n_prompt + usage->n_generated));
    out_end(out, '}');
}

static void write_reasons(struct json_out *out, const struct call *call, const char *status)
{
    out_key(out, "error");
    if (strcmp(status, "failed") == 0) {
        out_begin(out, '{');
        out_key_str(out, "code", "server_error");
        out_key_str(out, "message", call->generation->error.message);
        out_end(out, '}');
    } else {
        out_null(out);
    }
    out_key(out, "incomplete_details");
    if (strcmp(status, "incomplete") == 0) {
        out_begin(out, '{');
        out_key_str(out, "reason", "max_output_tokens");
        out_end(out, '}');
    } else {
        out_null(out);
    }
}

void write_response(struct json_out *out, const struct call *call, const char *status)
{
    bool ended = strcmp(status, "in_progress") != 0;
    const struct choice *choice = &call->generation->choices[0];
    out_begin(out, '{');
    out_key_str(out, "id", call->id);
    out_key_str(out, "object", "response");
    out_key_int(out, "created_at", call->created);
    if (ended) out_key_int(out, "completed_at", (int64_t)time(NULL));
    out_key_str(out, "status", status);
    out_key_str(out, "model", call->exchange->model);
    write_reasons(out, call, status);
    out_key(out, "output");
    out_begin(out, '[');
    for (size_t i = 0; ended && i < choice->n_items; i++)
        write_item(out, call, &choice->items[i], true);
    out_end(out, ']');
    write_settings(out, call);
    if (ended) write_usage(out, &call->usage);
    else out_key_null(out, "usage");
    out_end(out, '}');
}
