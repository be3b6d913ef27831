/* SPDX-License-Identifier: Apache-2.0 */
/* What a GPU's board has used, by the vendor's own counter: NVML, opened at run time (libnvidia-ml.so.1, which comes
 * with the driver). Source of names and units: NVIDIA, "NVML API Reference Guide" (nvmlDeviceGetTotalEnergyConsumption:
 * millijoules since the driver was loaded, on Volta and later). One thread. */
#pragma once

#include <stdbool.h>

typedef struct EngPowerMeter EngPowerMeter;

/* The meter of the board that CUDA calls @name, @ordinal-th of those of that name. NULL: no NVML, no such board, or a
 * board without a counter. */
EngPowerMeter *eng_power_meter_new (const char *name, unsigned ordinal);
void eng_power_meter_free (EngPowerMeter **meter);

/* Joules since some moment in the past. False when the board does not answer. The counter moves in steps of up to 0.1 s:
 * measure over at least a second. */
bool eng_power_meter_read (EngPowerMeter *meter, double *joules);
