/* npu_info.c - the NPUs of this machine, without opening one: names and figures come from the card
 * management library of the driver (DCMI), which needs no context and disturbs nobody. Where it is
 * not there, as in some containers, CANN itself is asked for names and memory. */
#include "device/npu/npu_info.h"

#include "base/buf.h"
#include "base/lang.h"
#include "device/npu/loader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NPUS = 64 };

static void begin_info(struct vinci_device_info *info, uint32_t id, const struct cann *cann)
{
    *info = (struct vinci_device_info){0};
    snprintf(info->id, sizeof info->id, "npu:%u", id);
    snprintf(info->cann, sizeof info->cann, "%.31s", cann->version);
    info->temperature_celsius = info->power_watts = info->utilisation_percent = (double)NAN;
}

/* False where there is no such NPU. Figures that the driver does not give stay unknown. */
static bool describe_by_dcmi(struct vinci_device_info *info, const struct dcmi *dcmi, uint32_t id)
{
    struct dcmi_chip_info_v2 chip = {0};
    struct dcmi_hbm_info memory = {0};
    unsigned int percent = 0;
    int card, device, value = 0;
    if (dcmi->dcmi_get_card_id_device_id_from_logicid(&card, &device, id) != 0) return false;
    if (dcmi->dcmi_get_device_chip_info_v2 &&
        dcmi->dcmi_get_device_chip_info_v2(card, device, &chip) == 0)
        snprintf(info->name, sizeof info->name, "%.31s%s%.31s", (const char *)chip.chip_type,
                 *chip.chip_name ? " " : "", (const char *)chip.chip_name);
    if (dcmi->dcmi_get_device_hbm_info &&
        dcmi->dcmi_get_device_hbm_info(card, device, &memory) == 0) {
        info->memory_bytes = (uint64_t)memory.memory_size << 20;
        if (memory.memory_usage < memory.memory_size)
            info->memory_free_bytes = (uint64_t)(memory.memory_size - memory.memory_usage) << 20;
    }
    if (dcmi->dcmi_get_device_temperature &&
        dcmi->dcmi_get_device_temperature(card, device, &value) == 0)
        info->temperature_celsius = value;
    if (dcmi->dcmi_get_device_power_info &&
        dcmi->dcmi_get_device_power_info(card, device, &value) == 0)
        info->power_watts = value * .1;
    if (dcmi->dcmi_get_device_utilization_rate &&
        dcmi->dcmi_get_device_utilization_rate(card, device, DCMI_UTILIZATION_AICORE, &percent) ==
            0)
        info->utilisation_percent = percent;
    char version[65] = {0}; /* one more than they may write */
    if (dcmi->dcmi_get_driver_version && dcmi->dcmi_get_driver_version(version, 64) == 0)
        snprintf(info->driver, sizeof info->driver, "%.31s", version);
    memset(version, 0, sizeof version);
    if (dcmi->dcmi_get_device_component_static_version &&
        dcmi->dcmi_get_device_component_static_version(card, device, DCMI_COMPONENT_TYPE_HILINK,
                                                       (unsigned char *)version, 64) == 0)
        snprintf(info->firmware, sizeof info->firmware, "%.31s", version);
    return true;
}

static size_t list_by_dcmi(struct vinci_device_info *list, const struct cann *cann)
{
    struct dcmi dcmi;
    size_t n = 0;
    if (!dcmi_load(&dcmi, cann->folder) || !dcmi.dcmi_get_card_id_device_id_from_logicid) return 0;
    for (; n < MAX_NPUS; n++) {
        begin_info(&list[n], (uint32_t)n, cann);
        if (!describe_by_dcmi(&list[n], &dcmi, (uint32_t)n)) break;
    }
    return n;
}

static enum vinci_status list_by_cann(struct vinci_device_info *list, size_t *n, struct cann *cann,
                                      struct vinci_error *err)
{
    uint32_t count = 0;
    enum vinci_status status = cann_start(cann, err);
    if (status != VINCI_OK) return status;
    int code = cann->aclrtGetDeviceCount(&count);
    if (code != ACL_SUCCESS) return cann_refused(cann, code, _("the NPUs cannot be counted"), err);
    if (count == 0)
        return fail(err, VINCI_NO_DEVICE, "CANN %s is there, but no NPU%s", cann->version,
                    cann_driver_hint(0));
    for (uint32_t i = 0; i < count && i < MAX_NPUS; i++) {
        size_t free_bytes = 0, total_bytes = 0;
        begin_info(&list[i], i, cann);
        if (cann->aclrtSetDevice((int32_t)i) == ACL_SUCCESS) {
            const char *soc = cann->aclrtGetSocName();
            snprintf(list[i].name, sizeof list[i].name, "%.60s", soc ? soc : "");
            cann->aclrtGetMemInfo(ACL_HBM_MEM, &free_bytes, &total_bytes);
            cann->aclrtResetDevice((int32_t)i);
        }
        list[i].memory_bytes = total_bytes;
        list[i].memory_free_bytes = free_bytes;
        *n = i + 1;
    }
    return VINCI_OK;
}

enum vinci_status vinci_cann_describe(char **text, const struct vinci_cann_places *places,
                                      struct vinci_error *err)
{
    struct buf out = {0};
    *text = NULL;
    enum vinci_status status = cann_describe(&out, places, err);
    if (status == VINCI_OK) *text = out.data;
    else buf_free(&out);
    return status;
}

enum vinci_status npu_devices(struct vinci_device_info **out, size_t *n,
                              const struct vinci_cann_places *places, struct vinci_error *err)
{
    struct cann *cann = NULL;
    *out = NULL;
    *n = 0;
    struct vinci_device_info *list = array_new_zero(MAX_NPUS, sizeof *list);
    if (!list) return fail_memory(err, MAX_NPUS * sizeof *list, "the list of NPUs");
    enum vinci_status status = cann_find(&cann, places, NULL, err);
    if (status == VINCI_OK) *n = list_by_dcmi(list, cann);
    if (status == VINCI_OK && *n == 0) status = list_by_cann(list, n, cann, err);
    cann_unload(cann);
    if (status != VINCI_OK) {
        free(list);
        *n = 0;
        return status;
    }
    *out = list;
    return VINCI_OK;
}
