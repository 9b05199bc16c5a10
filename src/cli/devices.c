/* devices.c - shows devices to people and programs, and chooses one. */
#include "cli/devices.h"

#include "base/lang.h"
#include "cli/print.h"

#include <math.h>
#include <string.h>

enum vinci_status devices_open(struct device_list *list, const struct program *program,
                               struct vinci_error *err)
{
    *list = (struct device_list){0};
    return vinci_devices(&list->devices, &list->n, &program->cann, &list->npu_status,
                         &list->npu_reason, err);
}

void devices_close(struct device_list *list)
{
    vinci_free(list->devices);
    *list = (struct device_list){0};
}

static const struct vinci_device_info *find(const struct device_list *list, const char *id)
{
    size_t n = strlen(id);
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->devices[i].id, id) == 0) return &list->devices[i];
        /* "npu" is the first one. */
        if (strcmp(id, "npu") == 0 && strncmp(list->devices[i].id, "npu:", n + 1) == 0)
            return &list->devices[i];
    }
    return NULL;
}

enum vinci_status devices_choose(const struct device_list *list, const struct program *program,
                                 const char *wanted, const struct vinci_device_info **out,
                                 struct vinci_error *err)
{
    char text[sizeof list->npu_reason.text + 200];
    *out = find(list, wanted ? wanted : "npu");
    if (*out) return VINCI_OK;
    if (wanted && strncmp(wanted, "npu", 3) != 0)
        return fail(err, VINCI_USAGE, "--device: expected \"cpu\" or \"npu:N\", got \"%s\"",
                    wanted);
    if (list->npu_reason.text[0])
        snprintf(text, sizeof text, _("%s; checking the CPU instead"), list->npu_reason.text);
    else snprintf(text, sizeof text, _("there is no device %s; checking the CPU instead"), wanted);
    if (wanted) say_warning(program, text);
    else say("vinci: %s\n", text);
    *out = find(list, "cpu");
    return VINCI_OK;
}

static void print_versions(const struct vinci_device_info *device)
{
    const char *parts[][2] = {
        {_("driver"), device->driver}, {_("firmware"), device->firmware}, {"CANN", device->cann}};
    char text[160] = "";
    for (size_t i = 0, n = 0; i < sizeof parts / sizeof *parts; i++)
        if (*parts[i][1])
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %s", n > 0 ? ", " : "",
                                  parts[i][0], parts[i][1]);
    if (*text) print_field(_("versions"), "%s", text);
}

static void print_device(const struct vinci_device_info *device)
{
    char a[16], b[16];
    print_field(device->id, "%s", *device->name ? device->name : _("(no name)"));
    if (device->n_cores > 0) {
        print_field(_("  cores"), _("%u cores, %u hardware threads, %u memory nodes"),
                    device->n_cores, device->n_hardware_threads, device->n_nodes);
        print_field(_("  kernels"), "%s", device->isa);
    }
    print_field(_("  memory"), _("%s, %s free"), format_bytes(device->memory_bytes, a),
                format_bytes(device->memory_free_bytes, b));
    print_versions(device);
    if (!isnan(device->temperature_celsius))
        print_field(_("  heat"), "%.0f C", device->temperature_celsius);
    if (!isnan(device->power_watts)) print_field(_("  power"), "%.1f W", device->power_watts);
    if (!isnan(device->utilisation_percent))
        print_field(_("  busy"), "%.0f %%", device->utilisation_percent);
}

void devices_print(const struct device_list *list)
{
    for (size_t i = 0; i < list->n; i++) print_device(&list->devices[i]);
    if (list->npu_reason.text[0]) print_field(_("no NPU"), "%s", list->npu_reason.text);
}

/* NAN becomes null: it is no JSON. */
static json_t *number_or_null(double value)
{
    return isnan(value) ? json_null() : json_real(value);
}

json_t *devices_json(const struct device_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < list->n; i++) {
        const struct vinci_device_info *d = &list->devices[i];
        json_t *device = json_pack(
            "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "id", d->id,
            "name", d->name, "memory_bytes", (json_int_t)d->memory_bytes, "memory_free_bytes",
            (json_int_t)d->memory_free_bytes, "cores", (json_int_t)d->n_cores, "hardware_threads",
            (json_int_t)d->n_hardware_threads, "nodes", (json_int_t)d->n_nodes, "isa", d->isa,
            "driver", d->driver, "firmware", d->firmware, "cann", d->cann, "temperature_celsius",
            number_or_null(d->temperature_celsius), "power_watts", number_or_null(d->power_watts),
            "utilisation_percent", number_or_null(d->utilisation_percent));
        if (!device || json_array_append_new(array, device) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}
