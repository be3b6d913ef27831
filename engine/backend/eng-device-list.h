/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of this machine: the CPU, always first, and what modules loaded at run time offer.
 *
 * A module is a shared object that exports ENG_DEVICE_SYMBOL. Order: open, ABI, enumerate (its probe
 * and score), and later open of a device. Whatever goes wrong leaves an entry with score 0, a status and
 * words for a person; the CPU goes on. A module stays loaded until the process ends: drivers
 * start threads that outlive a close.
 *
 * Modules are looked for as inglenook-<api>.so in the folders of $INGLENOOK_MODULE_PATH (colons
 * between) if it is set, else beside the program (../<libdir>/inglenook, ../lib/inglenook) and in
 * ENG_MODULE_DIR (<prefix>/<libdir>/inglenook).
 *
 * The list is plain data after _fill: any thread may read it. */
#pragma once

#include "eng-device.h"

#define ENG_MAX_DEVICES 16u

typedef struct
{
  const EngDeviceApi *api; /* NULL when the module itself is missing or unusable */
  uint32_t index;          /* within the api */
  EngDeviceInfo info;
} EngDeviceEntry;

typedef struct
{
  EngDeviceEntry entries[ENG_MAX_DEVICES];
  uint32_t n;
} EngDeviceList;

/* Fill with the CPU and every known kind of module ("cuda"). Only the CPU's own failure is an error. */
EngStatus eng_device_list_fill (EngDeviceList *list, EngError *error);

/* Whether a module lies where _fill would look; nothing is loaded. */
bool eng_device_list_has_module (void);

/* Add the devices of the module at @path, or one entry that says why there are none. @api is the name shown for it
 * ("cuda"). Never fails. */
void eng_device_list_add_module (EngDeviceList *list, const char *path, const char *api);

/* The entry that @wish means: "auto" (the highest score), "cpu", "<api>" or "<api>:N" (the N-th of that api).
 * ENG_ERR_ARGUMENT for what is no such name; the entry's own status and words when it cannot run. */
EngStatus eng_device_list_choose (const EngDeviceList *list, const char *wish, uint32_t *index,
                                  EngError *error);
