/* dcmi.c - the driver's card management: one card per device, device 0 the NPU, device 1 the MCU.
 */
#include "sim.h"
#include <stdio.h>
#include <string.h>

enum { OK = 0, PARAMETER = -8001, NOT_SUPPORTED = -8255 };

static int n_cards(void)
{
    return (int)sim_number("NPU_SIM_DEVICES", 1);
}

static bool npu(int card_id, int device_id)
{
    return card_id >= 0 && card_id < n_cards() && device_id == 0;
}

int sim_dcmi_init(void)
{
    return sim_enter("dcmi_init") || sim_busy("init") ? -8005 : OK;
}

int sim_dcmi_get_dcmi_version(char *dcmi_ver, unsigned int len)
{
    return dcmi_ver && snprintf(dcmi_ver, len, "25.0.rc1.1") > 0 ? OK : PARAMETER;
}

int sim_dcmi_get_driver_version(char *driver_ver, unsigned int len)
{
    return driver_ver && len >= 64 && snprintf(driver_ver, len, "25.0.rc1.1") > 0 ? OK : PARAMETER;
}

int sim_dcmi_get_card_list(int *card_num, int *card_list, int list_len)
{
    if (!card_num || !card_list) return PARAMETER;
    *card_num = n_cards();
    for (int i = 0; i < *card_num && i < list_len; i++) card_list[i] = i;
    return OK;
}

int sim_dcmi_get_device_num_in_card(int card_id, int *device_num)
{
    if (!device_num || card_id < 0 || card_id >= n_cards()) return PARAMETER;
    *device_num = 1;
    return OK;
}

int sim_dcmi_get_device_id_in_card(int card_id, int *device_id_max, int *mcu_id, int *cpu_id)
{
    if (!device_id_max || !mcu_id || !cpu_id || card_id < 0 || card_id >= n_cards())
        return PARAMETER;
    *device_id_max = 1, *mcu_id = 1, *cpu_id = -1;
    return OK;
}

int sim_dcmi_get_device_type(int card_id, int device_id, enum dcmi_unit_type *device_type)
{
    if (!device_type || card_id < 0 || card_id >= n_cards() || device_id < 0 || device_id > 1)
        return PARAMETER;
    *device_type = device_id ? MCU_TYPE : NPU_TYPE;
    return OK;
}

int sim_dcmi_get_card_id_device_id_from_logicid(int *card_id, int *device_id,
                                                unsigned int device_logic_id)
{
    if (!card_id || !device_id || device_logic_id >= (unsigned)n_cards()) return PARAMETER;
    *card_id = (int)device_logic_id, *device_id = 0;
    return OK;
}

int sim_dcmi_get_card_id_device_id_from_phyid(int *card_id, int *device_id,
                                              unsigned int device_phy_id)
{
    return sim_dcmi_get_card_id_device_id_from_logicid(card_id, device_id, device_phy_id);
}

int sim_dcmi_get_device_logic_id(int *device_logic_id, int card_id, int device_id)
{
    if (!device_logic_id || !npu(card_id, device_id)) return PARAMETER;
    *device_logic_id = card_id;
    return OK;
}

int sim_dcmi_get_device_chip_info_v2(int card_id, int device_id,
                                     struct dcmi_chip_info_v2 *chip_info)
{
    if (!chip_info || !npu(card_id, device_id)) return PARAMETER;
    memset(chip_info, 0, sizeof *chip_info);
    strcpy((char *)chip_info->chip_type, "Ascend");
    strcpy((char *)chip_info->chip_name, "910B3");
    strcpy((char *)chip_info->chip_ver, "V1");
    strcpy((char *)chip_info->npu_name, "910B3");
    chip_info->aicore_cnt = 20;
    return OK;
}

int sim_dcmi_get_device_hbm_info(int card_id, int device_id, struct dcmi_hbm_info *hbm_info)
{
    if (!hbm_info || !npu(card_id, device_id)) return PARAMETER;
    uint64_t free = 0, total = 0;
    pthread_mutex_lock(&sim_lock);
    memory_info(card_id, &free, &total);
    pthread_mutex_unlock(&sim_lock);
    *hbm_info = (struct dcmi_hbm_info){.memory_size = total >> 20,
                                       .freq = 1600,
                                       .memory_usage = (total - free) >> 20,
                                       .temp = 44,
                                       .bandwith_util_rate = 5};
    return OK;
}

int sim_dcmi_get_device_utilization_rate(int card_id, int device_id, int input_type,
                                         unsigned int *utilization_rate)
{
    if (!utilization_rate || !npu(card_id, device_id)) return PARAMETER;
    if (input_type == 1 || input_type == 5 || input_type == 8) return NOT_SUPPORTED;
    *utilization_rate = input_type == 2 ? 7 : input_type == 6 ? 6 : input_type == 10 ? 5 : 3;
    return OK;
}

int sim_dcmi_get_device_power_info(int card_id, int device_id, int *power)
{
    if (!power || !npu(card_id, device_id)) return PARAMETER;
    *power = 932; /* 0.1 W */
    return OK;
}

int sim_dcmi_get_device_temperature(int card_id, int device_id, int *temperature)
{
    if (!temperature || !npu(card_id, device_id)) return PARAMETER;
    *temperature = 41;
    return OK;
}

int sim_dcmi_get_device_frequency(int card_id, int device_id, enum dcmi_freq_type input_type,
                                  unsigned int *frequency)
{
    if (!frequency || !npu(card_id, device_id)) return PARAMETER;
    *frequency = input_type == DCMI_FREQ_HBM ? 1600 : input_type == DCMI_FREQ_CTRLCPU ? 2000 : 1800;
    return OK;
}

int sim_dcmi_get_device_health(int card_id, int device_id, unsigned int *health)
{
    if (!health || !npu(card_id, device_id)) return PARAMETER;
    *health = 0;
    return OK;
}

int sim_dcmi_get_device_component_static_version(int card_id, int device_id,
                                                 enum dcmi_component_type component_type,
                                                 unsigned char *version_str, unsigned int len)
{
    if (!version_str || len < 64 || !npu(card_id, device_id)) return PARAMETER;
    if (component_type != DCMI_COMPONENT_TYPE_HILINK) return NOT_SUPPORTED;
    return snprintf((char *)version_str, len, "7.7.0.1.238") > 0 ? OK : PARAMETER;
}

int sim_dcmi_get_device_resource_info(int card_id, int device_id,
                                      struct dcmi_proc_mem_info *proc_info, int *proc_num)
{
    if (!proc_info || !proc_num || !npu(card_id, device_id)) return PARAMETER;
    *proc_num = 0;
    return OK;
}
