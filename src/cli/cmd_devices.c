/* cmd_devices.c - `vinci devices`: what there is to run on. */
#include "base/lang.h"
#include "cli/command.h"
#include "cli/devices.h"
#include "cli/print.h"

#include <stddef.h>

struct devices_args {
    bool json;
};

static const struct option_row rows[] = {{"json", 0, NULL, N_("print a JSON array"), OPTION_FLAG,
                                          .offset = offsetof(struct devices_args, json)},
                                         {0}};

static const struct option_group groups[] = {{N_("Output"), rows, 0}, {0}};

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct devices_args *args = arguments;
    struct device_list list;
    enum vinci_status status = devices_open(&list, program, err);
    if (status != VINCI_OK) return status;
    if (args->json) status = print_json(devices_json(&list), err);
    else devices_print(&list);
    devices_close(&list);
    return status;
}

const struct command command_devices = {
    .name = "devices",
    .summary = N_("list the devices: processor and NPUs"),
    .operands = "",
    .description =
        N_("Names, memory and versions of everything that --device can be: the CPU with its cores "
           "(those that this process may use), the instruction sets there are kernels for, best "
           "first, and its memory (or its control group's limit); every Ascend NPU with what its "
           "driver tells. Where no NPU is found the last line says why."),
    .groups = groups,
    .args_size = sizeof(struct devices_args),
    .run = run,
};
