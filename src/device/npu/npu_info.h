/* npu_info.h - the NPUs that there are. */
#ifndef VINCI_DEVICE_NPU_NPU_INFO_H
#define VINCI_DEVICE_NPU_NPU_INFO_H

#include "base/status.h"

/* All NPUs, n >= 1, freed with free(). NO_DEVICE says what is missing: CANN, driver, NPU. */
enum vinci_status npu_devices(struct vinci_device_info **out, size_t *n,
                              const struct vinci_cann_places *places, struct vinci_error *err);

#endif
