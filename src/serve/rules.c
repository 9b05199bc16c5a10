/* rules.c - grammars for a turn. */
#include "serve/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rules_release(struct rules *rules)
{
    vinci_grammar_close(rules->response);
    for (size_t i = 0; rules->arguments && i < rules->n; i++)
        vinci_grammar_close(rules->arguments[i]);
    free(rules->arguments);
    free(rules->tools);
    free(rules->recipients);
    *rules = (struct rules){0};
}

/* A schema's grammar; `lenient`: any JSON object in place of one that is not supported. */
static bool grammar_of(struct vinci_grammar **out, const struct vinci_tokenizer *tokenizer,
                       const json_t *schema, bool lenient, const char *where,
                       struct api_error *error)
{
    struct vinci_error err = {0};
    char *text = schema ? json_dumps(schema, JSON_COMPACT) : NULL;
    if (schema && !text) return api_fail_memory(error);
    enum vinci_status status =
        text ? vinci_grammar_json_schema(out, tokenizer, text, strlen(text), &err)
             : vinci_grammar_json(out, tokenizer, &err);
    free(text);
    if (status != VINCI_OK && status != VINCI_NO_MEMORY && lenient)
        status = vinci_grammar_json(out, tokenizer, &err);
    if (status == VINCI_OK) return true;
    if (status == VINCI_NO_MEMORY) return api_fail_memory(error);
    return api_fail(error, 400, where, "invalid_json_schema", "Invalid schema for '%s': %s", where,
                    err.text);
}

static bool add_tool(struct rules *rules, const struct params *params, const json_t *tool,
                     const struct vinci_tokenizer *tokenizer, struct api_error *error)
{
    struct vinci_text name = json_text(json_object_get(tool, "name"));
    const json_t *schema = json_object_get(tool, "parameters");
    bool strict = json_is_true(json_object_get(tool, "strict"));
    char where[NAME_MAX_BYTES + 32];
    size_t i = rules->n;
    if (params->tool_choice == TOOL_CHOICE_NAMED && strcmp(name.data, params->named_tool) != 0)
        return true;
    snprintf(rules->recipients[i], sizeof *rules->recipients, "functions.%s", name.data);
    snprintf(where, sizeof where, "tools.%s.parameters", name.data);
    rules->n++;
    if (!params_tool_is_custom(params, name.data, name.size) &&
        !grammar_of(&rules->arguments[i], tokenizer, strict ? schema : NULL, false, where, error))
        return false;
    rules->tools[i] = (struct vinci_tool_rule){rules->recipients[i], rules->arguments[i]};
    return true;
}

bool rules_make(struct rules *rules, const struct params *params,
                const struct vinci_tokenizer *tokenizer, struct api_error *error)
{
    size_t n = params->tool_choice == TOOL_CHOICE_NONE ? 0 : json_array_size(params->tools);
    *rules = (struct rules){0};
    rules->arguments = array_new_zero(n, sizeof(struct vinci_grammar *));
    rules->tools = array_new_zero(n, sizeof *rules->tools);
    rules->recipients = array_new_zero(n, sizeof *rules->recipients);
    bool ok = (rules->arguments && rules->tools && rules->recipients) || api_fail_memory(error);
    for (size_t i = 0; ok && i < n; i++)
        ok = add_tool(rules, params, json_array_get(params->tools, i), tokenizer, error);
    if (ok && params->format == FORMAT_JSON)
        ok = grammar_of(&rules->response, tokenizer, NULL, false, "response_format", error);
    if (ok && params->format == FORMAT_JSON_SCHEMA)
        ok = grammar_of(&rules->response, tokenizer, json_object_get(params->schema, "schema"),
                        params->schema_is_a_hint, "response_format", error);
    if (!ok) return false;
    rules->turn = (struct vinci_turn_rules){
        .response = rules->response,
        .tool_choice = params->tool_choice >= TOOL_CHOICE_REQUIRED ? VINCI_TOOL_CHOICE_REQUIRED
                       : rules->n                                  ? VINCI_TOOL_CHOICE_AUTO
                                                                   : VINCI_TOOL_CHOICE_NONE,
        .tools = rules->tools,
        .n_tools = rules->n,
        .parallel_calls = params->parallel_calls,
    };
    return true;
}
