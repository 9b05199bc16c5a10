/* params.h - what every API's body becomes: a conversation, and how to answer it.
 *
 * Each API has a reader (chat_in.c, responses_in.c, messages_in.c, completions.c) that fills one
 * struct params through the functions here; from then on the APIs share one way (generation.h).
 * Texts from the body reach the model through vinci_conversation_*, which never makes control
 * tokens of them; names, which end up in headers, are held to [A-Za-z0-9_.-]. */
#ifndef VINCI_SERVE_PARAMS_H
#define VINCI_SERVE_PARAMS_H

#include "base/buf.h"
#include "serve/json_in.h"

#define CHOICES_MAX 16
#define STOPS_MAX 16
#define TOOLS_MAX 512
#define NAME_MAX_BYTES 128
#define LOGIT_BIAS_MAX 1024

enum tool_choice { TOOL_CHOICE_AUTO, TOOL_CHOICE_NONE, TOOL_CHOICE_REQUIRED, TOOL_CHOICE_NAMED };
enum answer_format { FORMAT_TEXT, FORMAT_JSON, FORMAT_JSON_SCHEMA };

/* All zero is empty; params_init gives the defaults. */
struct params {
    struct vinci_conversation *conversation;
    struct buf instructions; /* of the developer message */
    enum vinci_effort effort;
    bool no_reasoning; /* the answer begins behind an empty analysis */

    /* Function objects {"name", "description", "parameters", "strict"}, as vinci_developer_message
     * takes them; `custom` are the names of those whose input is free text, not JSON. */
    json_t *tools, *custom;
    enum tool_choice tool_choice;
    char named_tool[NAME_MAX_BYTES + 1];
    bool parallel_calls;
    enum answer_format format;
    json_t *schema;        /* for FORMAT_JSON_SCHEMA: {"name", "description", "schema"} */
    bool schema_is_a_hint; /* "strict": false */

    struct vinci_sampling sampling;
    struct vinci_logit_bias *biases;
    uint32_t n;          /* choices */
    uint32_t max_tokens; /* 0: until the context is full */
    json_t *stop;        /* array of strings, not empty; NULL: none */
    bool logprobs;
    uint32_t top_logprobs;
    bool ignore_eos;
    int32_t priority;
    uint64_t fair_key; /* whose request it is */
    bool stream, include_usage;
    bool continuous_usage; /* with each piece of a stream, as vLLM has it */
};

bool params_init(struct params *params, struct api_error *error);
void params_release(struct params *params);

/* What the APIs have in common: temperature, top_p, top_k, min_p, penalties, seed, logit_bias, n,
 * stop, stream, ignore_eos, priority. */
bool params_read_sampling(struct params *params, const json_t *body, struct api_error *error);

/* [A-Za-z0-9_.-]{1,128}: tools' and persons' names. */
bool name_is_valid(const struct vinci_text *name);

/* Adds a tool. `function` is {"name", "description", "parameters", ...}; `where` names it. */
bool params_add_tool(struct params *params, const json_t *function, bool custom, const char *where,
                     struct api_error *error);
bool params_has_tool(const struct params *params, const char *name, size_t n);
bool params_tool_is_custom(const struct params *params, const char *name, size_t n);

/* The one tool that must be called. False, and nothing is chosen: `name` is NULL or too long. */
bool params_choose_tool(struct params *params, const char *name);

/* After the tools: the choice must be possible. */
bool params_check_tools(const struct params *params, struct api_error *error);

/* "low", "medium", "high", "none", "minimal" (as low), "xhigh" and "max" (as high). */
bool params_set_effort(struct params *params, const char *effort, const char *where,
                       struct api_error *error);

/* {"type": "text" | "json_object" | "json_schema", ...}; `inner` says that a schema's parts stand
 * beside the type (Responses) instead of in "json_schema" (chat). */
bool params_set_format(struct params *params, const json_t *format, bool inner, const char *where,
                       struct api_error *error);

/* ---- the conversation, message by message ---- */

/* System and developer messages before the first other one become the developer message's
 * instructions; later ones stay where they are. */
bool params_add_instructions(struct params *params, struct vinci_text text,
                             struct api_error *error);
bool params_add_user(struct params *params, struct vinci_text name, struct vinci_text text,
                     struct api_error *error);
bool params_add_reasoning(struct params *params, struct vinci_text text, struct api_error *error);
/* An answer; with `before_call`, what is said before calls. */
bool params_add_answer(struct params *params, struct vinci_text text, bool before_call,
                       struct api_error *error);
bool params_add_call(struct params *params, struct vinci_text name, struct vinci_text arguments,
                     bool custom, struct api_error *error);
bool params_add_result(struct params *params, struct vinci_text name, struct vinci_text text,
                       struct api_error *error);

/* The text of a message's content: a string, or parts {"type", "text"} with one of the `types`
 * ("text|input_text|output_text"), joined. Other parts are refused: the models read text only.
 * NULL content gives absent text. */
bool params_read_content(const json_t *content, const char *types, const char *where,
                         struct buf *out, struct api_error *error);

/* What was read so; borrowed, never absent. */
struct vinci_text buf_text(const struct buf *buf);

/* ---- tokens ---- */

/* The prompt, and in *n_forced how many of its last tokens the assistant's turn begins with.
 * `date` may be NULL. *ids is freed with vinci_free. */
bool params_render(struct params *params, const struct vinci_tokenizer *tokenizer, const char *date,
                   int32_t **ids, size_t *n_ids, size_t *n_forced, struct api_error *error);

#endif
