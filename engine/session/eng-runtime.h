/* SPDX-License-Identifier: Apache-2.0 */
/* What models share: the list of devices and the handles opened on them (with their threads).
 *
 * One owner thread. Outlives every session made with it. */
#pragma once

#include "eng-device-list.h"

typedef struct EngRuntime EngRuntime;

/* ENG_ERR_NO_DEVICE when not even the CPU can be used; ENG_ERR_NO_MEMORY. */
EngStatus eng_runtime_new (EngRuntime **runtime, EngError *error);
void eng_runtime_free (EngRuntime **runtime);

const EngDeviceList *eng_runtime_get_devices (const EngRuntime *runtime);

/* The handle of device @index (of the list) opened with @options; opened once for equal options. */
EngStatus eng_runtime_open (EngRuntime *runtime, uint32_t index, const EngDeviceOptions *options,
                            EngDevice **device, EngError *error);
