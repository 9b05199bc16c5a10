/* assets.h - files that are served as they are: the page at "/" and what belongs to it. */
#ifndef VINCI_SERVE_ASSETS_H
#define VINCI_SERVE_ASSETS_H

#include <stddef.h>

struct exchange;
struct MHD_Response;

struct asset {
    const char *path; /* "/", "/web/app.js" */
    const char *content_type;
    const char *tag;                 /* ETag: changes with the bytes */
    const char *data, *end;          /* as it is */
    const char *packed, *packed_end; /* by gzip; NULL: that would not make it smaller */
};

/* Made by tools/web-to-c of src/serve/web and of the libraries that the distribution has. */
extern const struct asset web_files[];
extern const size_t n_web_files;

/* NULL: there is none at this path. */
const struct asset *asset_find(const char *path);

/* Answers with the exchange's asset: whole, packed, or that the browser has it already. */
void asset_answer(struct exchange *x, const struct asset *asset);

/* What a browser is to know of an asset: how long it is good for, and what it may do. */
void asset_add_headers(const struct exchange *x, struct MHD_Response *response);

#endif
