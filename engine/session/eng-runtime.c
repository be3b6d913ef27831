/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-runtime.h"

#include <string.h>

#include "eng-arena.h"
#include "eng-error.h"

#define MAX_OPEN 8u

typedef struct
{
  const EngDeviceApi *api;
  uint32_t index;
  EngDeviceOptions options;
  EngDevice *device;
} Open;

struct EngRuntime
{
  EngDeviceList devices;
  Open open[MAX_OPEN];
  uint32_t n_open;
};

EngStatus
eng_runtime_new (EngRuntime **runtime, EngError *error)
{
  EngRuntime *r = eng_alloc (sizeof *r);
  if (!r)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, NULL, ENG_OFFSET_NONE, "no memory");
  EngStatus status = eng_device_list_fill (&r->devices, error);
  if (status != ENG_OK)
    {
      eng_free (r);
      return status;
    }
  *runtime = r;
  return ENG_OK;
}

void
eng_runtime_free (EngRuntime **runtime)
{
  EngRuntime *r = *runtime;
  *runtime = NULL;
  if (!r)
    return;
  for (uint32_t i = 0; i < r->n_open; i++)
    r->open[i].api->close (&r->open[i].device);
  eng_free (r);
}

const EngDeviceList *
eng_runtime_get_devices (const EngRuntime *runtime)
{
  return &runtime->devices;
}

EngStatus
eng_runtime_open (EngRuntime *r, uint32_t index, const EngDeviceOptions *options,
                  EngDevice **device, EngError *error)
{
  if (index >= r->devices.n || !r->devices.entries[index].api)
    return eng_error_set (error, ENG_ERR_NO_DEVICE, "device", ENG_OFFSET_NONE,
                          "there is no device %u", index);
  const EngDeviceEntry *entry = &r->devices.entries[index];
  for (uint32_t i = 0; i < r->n_open; i++)
    if (r->open[i].api == entry->api && r->open[i].index == entry->index
        && memcmp (&r->open[i].options, options, sizeof *options) == 0)
      {
        *device = r->open[i].device;
        return ENG_OK;
      }
  if (r->n_open == MAX_OPEN)
    return eng_error_set (error, ENG_ERR_LIMIT, "device", ENG_OFFSET_NONE,
                          "more than %u devices are open", MAX_OPEN);
  Open *o = &r->open[r->n_open];
  EngStatus status = entry->api->open (entry->index, options, &o->device, error);
  if (status != ENG_OK)
    return status;
  o->api = entry->api;
  o->index = entry->index;
  o->options = *options;
  r->n_open++;
  *device = o->device;
  return ENG_OK;
}
