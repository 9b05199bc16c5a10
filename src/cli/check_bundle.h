/* check_bundle.h - `vinci check --bundle FILE`: a text report for whoever shall help. */
#ifndef VINCI_CLI_CHECK_BUNDLE_H
#define VINCI_CLI_CHECK_BUNDLE_H

#include "cli/devices.h"
#include "cli/program.h"

/* Writes the report; what cannot be found out is a line of it, not a failure. `device` is checked
 * with small sizes, on `n_threads` of the CPU. IO: the file cannot be written. */
enum vinci_status bundle_write(const char *path, const struct program *program,
                               const struct device_list *devices,
                               const struct vinci_device_info *device, uint32_t n_threads,
                               struct vinci_error *err);

#endif
