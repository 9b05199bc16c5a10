/* responses_out.h - the objects of /v1/responses: the response and its items. */
#ifndef VINCI_SERVE_RESPONSES_OUT_H
#define VINCI_SERVE_RESPONSES_OUT_H

#include "serve/call.h"

/* One item; as it begins (`whole` false: no text, in progress) or as it ended. */
void write_item(struct json_out *out, const struct call *call, const struct item *item, bool whole);

/* The part that holds the text of a reasoning or message item. */
void write_part(struct json_out *out, const struct call *call, const struct item *item, bool whole);

/* `status`: "in_progress", "completed", "incomplete", "failed". Usage and output are written unless
 * in progress. */
void write_response(struct json_out *out, const struct call *call, const char *status);

/* How the call ended. */
const char *response_status(const struct call *call);

#endif
