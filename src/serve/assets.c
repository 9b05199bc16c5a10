/* assets.c - files that are served as they are: the page at "/" and what belongs to it.
 *
 * The page shows what models write, so the browser is told to trust it with little: scripts and
 * styles from files of this server alone, no requests elsewhere, and no text ever becomes HTML or a
 * script (trusted types, none of which the page makes). A browser asks each time whether a file is
 * still the same, so that a new vinci never meets an old page. */
#include "serve/assets.h"

#include "serve/http.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

const struct asset *asset_find(const char *path)
{
    for (size_t i = 0; i < n_web_files; i++)
        if (strcmp(web_files[i].path, path) == 0) return &web_files[i];
    return NULL;
}

/* "deflate, gzip;q=0.5" names gzip, "gzip;q=0" refuses it. */
static bool takes_gzip(const char *codings)
{
    const char *at = codings ? strcasestr(codings, "gzip") : NULL;
    if (!at) return false;
    at += strlen("gzip");
    at += strspn(at, " ;");
    return strncasecmp(at, "q=0", 3) != 0 || at[3 + strspn(at + 3, ".0")] > '0';
}

void asset_answer(struct exchange *x, const struct asset *asset)
{
    const char *known = http_header(x, "If-None-Match");
    x->status = known && strstr(known, asset->tag) ? 304 : 200;
    x->content_type = asset->content_type;
    x->asset = asset;
    x->asset_packed = asset->packed && takes_gzip(http_header(x, "Accept-Encoding"));
}

void asset_add_headers(const struct exchange *x, struct MHD_Response *response)
{
    MHD_add_response_header(response, "Content-Security-Policy", policy);
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cross-Origin-Opener-Policy", "same-origin");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Cache-Control", "no-cache");
    MHD_add_response_header(response, "ETag", x->asset->tag);
    MHD_add_response_header(response, "Vary", "Accept-Encoding");
    if (x->asset_packed) MHD_add_response_header(response, "Content-Encoding", "gzip");
}
