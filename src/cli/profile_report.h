/* profile_report.h - the table and the JSON of `--profile`. */
#ifndef VINCI_CLI_PROFILE_REPORT_H
#define VINCI_CLI_PROFILE_REPORT_H

#include "vinci.h"

#include <jansson.h>
#include <stdio.h>

/* The time of each operation in each kind of layer, and how fast its weights were read. */
void profile_print(FILE *out, struct vinci_engine *engine);

/* [{"operation", "layers", "calls", "seconds", "weight_bytes"}]; NULL when memory is short. */
json_t *profile_json(struct vinci_engine *engine);

#endif
