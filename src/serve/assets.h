/* assets.h - files that are served as they are, such as the page at "/". */
#ifndef VINCI_SERVE_ASSETS_H
#define VINCI_SERVE_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path; /* "/" */
    const char *content_type;
    const char *data;
    size_t size;
};

/* NULL: there is none at this path. */
const struct asset *asset_find(const char *path);

/* The value of Content-Security-Policy for all of them. */
extern const char asset_policy[];

#endif
