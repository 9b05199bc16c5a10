/* devices.h - the list of devices, for the commands that show it or choose from it. */
#ifndef VINCI_CLI_DEVICES_H
#define VINCI_CLI_DEVICES_H

#include "cli/program.h"

#include <jansson.h>

struct device_list {
    struct vinci_device_info *devices; /* [n], the CPU first */
    size_t n;
    enum vinci_status npu_status;  /* why there is no NPU among them */
    struct vinci_error npu_reason; /* in words, "" if there is one */
};

enum vinci_status devices_open(struct device_list *list, const struct program *program,
                               struct vinci_error *err);
void devices_close(struct device_list *list);

/* `wanted` NULL: the first NPU, else the CPU. An NPU that is not there is no failure: a warning
 * says why, and the CPU is chosen. */
enum vinci_status devices_choose(const struct device_list *list, const struct program *program,
                                 const char *wanted, const struct vinci_device_info **out,
                                 struct vinci_error *err);

void devices_print(const struct device_list *list);

/* An array, NULL when memory is short. */
json_t *devices_json(const struct device_list *list);

#endif
