/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-cpu-device.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "eng-cpu-features.h"
#include "eng-cpu-private.h"

static void
read_memory (uint64_t *total, uint64_t *available)
{
  *total = *available = 0;
  FILE *file = fopen ("/proc/meminfo", "re");
  if (file == NULL)
    return;
  char line[128];
  unsigned long long kib;
  while (fgets (line, sizeof line, file) != NULL)
    if (sscanf (line, "MemTotal: %llu kB", &kib) == 1)
      *total = kib << 10;
    else if (sscanf (line, "MemAvailable: %llu kB", &kib) == 1)
      *available = kib << 10;
  fclose (file);
}

static EngStatus
cpu_enumerate (EngDeviceInfo *infos, uint32_t cap, uint32_t *n, EngError *error)
{
  (void) error;
  *n = 1;
  if (cap == 0)
    return ENG_OK;
  EngDeviceInfo *info = &infos[0];
  *info = (EngDeviceInfo){ .kind = ENG_DEVICE_CPU, .api = "cpu", .score = 1, .status = ENG_OK };
  eng_cpu_get_name (info->name, sizeof info->name);
  if (info->name[0] == '\0')
    snprintf (info->name, sizeof info->name, "CPU");
  read_memory (&info->memory_bytes, &info->free_bytes);
  info->n_units = eng_cpu_default_threads ();
  return ENG_OK;
}

static void
cpu_close (EngDevice **device)
{
  if (*device == NULL)
    return;
  eng_thread_pool_free (&(*device)->pool);
  eng_free (*device);
  *device = NULL;
}

static EngStatus
cpu_open (uint32_t index, const EngDeviceOptions *options, EngDevice **out, EngError *error)
{
  if (index != 0)
    return eng_error_set (error, ENG_ERR_NOT_FOUND, "device", ENG_OFFSET_NONE,
                          "there is no CPU device %u", index);
  EngDevice *device = eng_alloc (sizeof *device);
  if (device == NULL)
    return eng_error_set (error, ENG_ERR_NO_MEMORY, "device", ENG_OFFSET_NONE,
                          "no memory to open the CPU");
  EngStatus status = eng_thread_pool_new (options != NULL ? options->n_threads : 0, &device->pool,
                                          error);
  if (status != ENG_OK)
    {
      cpu_close (&device);
      return status;
    }
  eng_kernels_init_ref (&device->exact);
  uint64_t mask = options != NULL ? options->kernel_mask : 0;
  uint32_t allowed = (uint32_t) mask != 0 ? (uint32_t) mask : UINT32_MAX;
  device->without = mask & ~(uint64_t) UINT32_MAX;
  eng_kernels_init (&device->kernels, eng_cpu_get_tiers () & allowed);
  if ((device->without & ENG_CPU_WITHOUT_WORDS) != 0)
    memset (device->kernels.words_from, 0, sizeof device->kernels.words_from);
  if ((device->without & ENG_CPU_WITHOUT_SPIN) != 0)
    eng_thread_pool_set_spin_us (device->pool, 0);
  *out = device;
  return ENG_OK;
}

static EngStatus
cpu_plan (EngDevice *device, const EngProgram *program, const EngBindOptions *bind,
          const EngStateOptions *state, EngMemoryPlan *plan, EngError *error)
{
  EngMemoryPlan sum = { 0 };
  EngStatus status = eng_cpu_plan_weights (device, program, bind, &sum, error);
  if (status == ENG_OK && state != NULL)
    status = eng_cpu_plan_state (device, program, state, &sum, error);
  if (status == ENG_OK)
    *plan = sum;
  return status;
}

const EngDeviceApi *
eng_cpu_device_api (void)
{
  static const EngDeviceApi api = {
    .abi = ENG_DEVICE_ABI,
    .struct_size = sizeof (EngDeviceApi),
    .name = "cpu",
    .enumerate = cpu_enumerate,
    .open = cpu_open,
    .close = cpu_close,
    .plan = cpu_plan,
    .bind = eng_cpu_bind,
    .unbind = eng_cpu_unbind,
    .state_new = eng_cpu_state_new,
    .state_free = eng_cpu_state_free,
    .run = eng_cpu_run,
    .copy_block = eng_cpu_copy_block,
    .block_bytes = eng_cpu_block_bytes,
    .read_block = eng_cpu_read_block,
    .write_block = eng_cpu_write_block,
    .move_keys = eng_cpu_move_keys,
  };
  return &api;
}
