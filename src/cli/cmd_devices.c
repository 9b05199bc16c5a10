/* cmd_devices.c - `vinci devices`: what there is to run on. */
#include "base/lang.h"
#include "cli/command.h"
#include "cli/devices.h"

#include <stddef.h>
#include <stdlib.h>

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
    if (args->json) {
        json_t *array = devices_json(&list);
        char *text = array ? json_dumps(array, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
        if (text) puts(text);
        else status = fail_memory(err, 4096, "the JSON");
        free(text);
        json_decref(array);
    } else {
        devices_print(&list);
    }
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
