/* assets.c - the table of files that are served as they are. */
#include "serve/assets.h"

#include <string.h>

static const char index_page[] =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>vinci</title>\n"
    "<p>vinci serves the OpenAI API here: <code>/v1/chat/completions</code>, "
    "<code>/v1/responses</code>, <code>/v1/completions</code>, <code>/v1/models</code>; "
    "<a href=\"/health\">/health</a>, <a href=\"/metrics\">/metrics</a>.</p>\n</html>\n";

static const struct asset assets[] = {
    {"/", "text/html; charset=utf-8", index_page, sizeof index_page - 1},
};

const char asset_policy[] = "default-src 'self'; base-uri 'none'; form-action 'none'; "
                            "frame-ancestors 'none'; object-src 'none'";

const struct asset *asset_find(const char *path)
{
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++)
        if (strcmp(assets[i].path, path) == 0) return &assets[i];
    return NULL;
}
