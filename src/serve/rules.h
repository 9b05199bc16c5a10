/* rules.h - what the model may write in its turn, from a request's tools and response format. */
#ifndef VINCI_SERVE_RULES_H
#define VINCI_SERVE_RULES_H

#include "serve/params.h"

/* All zero holds nothing. */
struct rules {
    struct vinci_turn_rules turn;
    struct vinci_grammar *response;
    struct vinci_grammar **arguments;        /* [n] */
    struct vinci_tool_rule *tools;           /* [n] */
    char (*recipients)[NAME_MAX_BYTES + 16]; /* [n] */
    size_t n;
};

/* Headers are always held to their form; arguments to the parameters' schema where the tool is
 * strict, else to any JSON object; the answer to the response format. A schema that cannot be
 * followed is refused by name, unless the request says "strict": false. */
bool rules_make(struct rules *rules, const struct params *params,
                const struct vinci_tokenizer *tokenizer, struct api_error *error);
void rules_release(struct rules *rules);

#endif
