/* hub_options.h - what the commands that talk to hubs share: addresses, tokens, the progress
 * display. */
#ifndef VINCI_CLI_HUB_OPTIONS_H
#define VINCI_CLI_HUB_OPTIONS_H

#include "cli/options.h"
#include "cli/program.h"
#include "hub/hub.h"

struct hub_options {
    uint32_t retries, timeout;
    float retry_delay;
    bool send_token;
    unsigned log_level;
};
void hub_options_init(struct hub_options *options);
extern const struct option_row hub_rows[];

/* Address, token and certificates of a hub, from the environment; texts live in here. */
struct hub_connection {
    struct http http;
    char *endpoint, *token_header;
};
enum vinci_status hub_connection_open(struct hub_connection *connection,
                                      const struct program *program, enum hub_kind kind,
                                      const struct hub_options *options, struct vinci_error *err);
void hub_connection_close(struct hub_connection *connection);

/* A few lines on the terminal, redrawn in place: each file on the way, and the whole. */
struct hub_display {
    const struct program *program;
    double drawn, start;
    unsigned n_lines; /* on the screen now */
    struct {
        double time;
        uint64_t bytes;
    } marks[16]; /* a window of some seconds, for the speed */
    unsigned n_marks;
};
void hub_display_update(void *display, const struct hub_progress *progress);
void hub_display_clear(struct hub_display *display);

#endif
