/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-power.h"

#include <dlfcn.h>
#include <string.h>

#include "eng-arena.h"

typedef struct nvmlDevice_st *NvmlDevice;

struct EngPowerMeter
{
  void *library;
  int (*shutdown) (void);
  int (*energy) (NvmlDevice device, unsigned long long *millijoules);
  NvmlDevice device;
};

/* dlsym () as a function pointer; ISO C has no cast for it. */
static bool
find (void *library, const char *name, void *function)
{
  void *symbol = dlsym (library, name);
  memcpy (function, &symbol, sizeof symbol);
  return symbol != NULL;
}

static bool
choose_board (EngPowerMeter *m, const char *name, unsigned ordinal)
{
  int (*count) (unsigned *n);
  int (*by_index) (unsigned index, NvmlDevice *device);
  int (*get_name) (NvmlDevice device, char *text, unsigned size);
  unsigned n = 0;
  if (!find (m->library, "nvmlDeviceGetCount_v2", &count)
      || !find (m->library, "nvmlDeviceGetHandleByIndex_v2", &by_index)
      || !find (m->library, "nvmlDeviceGetName", &get_name) || count (&n) != 0)
    return false;
  for (unsigned i = 0; i < n; i++)
    {
      char text[96] = "";
      if (by_index (i, &m->device) == 0 && get_name (m->device, text, sizeof text) == 0
          && strncmp (text, name, sizeof text) == 0 && ordinal-- == 0)
        return true;
    }
  return false;
}

EngPowerMeter *
eng_power_meter_new (const char *name, unsigned ordinal)
{
  EngPowerMeter *m = eng_alloc (sizeof *m);
  if (!m)
    return NULL;
  int (*init) (void);
  double joules;
  m->library = dlopen ("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (m->library && find (m->library, "nvmlInit_v2", &init)
      && find (m->library, "nvmlDeviceGetTotalEnergyConsumption", &m->energy) && init () == 0)
    {
      find (m->library, "nvmlShutdown", &m->shutdown);
      if (choose_board (m, name, ordinal) && eng_power_meter_read (m, &joules))
        return m;
    }
  eng_power_meter_free (&m);
  return NULL;
}

void
eng_power_meter_free (EngPowerMeter **meter)
{
  EngPowerMeter *m = *meter;
  *meter = NULL;
  if (!m)
    return;
  if (m->shutdown)
    m->shutdown ();
  if (m->library)
    dlclose (m->library);
  eng_free (m);
}

bool
eng_power_meter_read (EngPowerMeter *m, double *joules)
{
  unsigned long long millijoules = 0;
  if (m->energy (m->device, &millijoules) != 0)
    return false;
  *joules = (double) millijoules / 1e3;
  return true;
}
