// SPDX-License-Identifier: Apache-2.0
// The module's face: probing for devices, opening one, and the table that the engine calls.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eng-cuda-private.h"

// Of a thread, at the start: the driver keeps that much of the card's memory for all threads that can be resident, and takes more for
// kernels that need it.
#define STACK_BYTES 64

EngStatus
cu_error (EngError *error, EngStatus code, const char *field, uint64_t needed, uint64_t available,
          const char *format, ...)
{
  if (!error)
    return code;
  memset (error, 0, sizeof *error);
  error->code = code;
  error->offset = ENG_OFFSET_NONE;
  error->needed = needed;
  error->available = available;
  snprintf (error->field, sizeof error->field, "%s", field ? field : "");
  va_list args;
  va_start (args, format);
  vsnprintf (error->text, sizeof error->text, format, args);
  va_end (args);
  return code;
}

EngStatus
cu_fail (EngDevice *device, cudaError_t e, const char *what, EngError *error)
{
  if (e == cudaErrorMemoryAllocation)
    {
      cudaGetLastError (); // not sticky: the context is whole
      return cu_error (error, ENG_ERR_DEVICE_MEMORY, what, 0, 0, "%s: the GPU's memory ran out", what);
    }
  if (device)
    device->lost = true;
  return cu_error (error, ENG_ERR_DEVICE, what, 0, 0, "%s: %s (%s)", what, cudaGetErrorString (e),
                   cudaGetErrorName (e));
}

static int
version_major (int v)
{
  return v / 1000;
}

// One info that says why there is nothing to use.
static EngStatus
nothing (EngDeviceInfo *infos, uint32_t cap, uint32_t *n, EngStatus status, const char *format, ...)
{
  *n = 1;
  if (cap == 0)
    return ENG_OK;
  memset (infos, 0, sizeof *infos);
  infos->kind = ENG_DEVICE_GPU;
  infos->status = status;
  snprintf (infos->name, sizeof infos->name, "NVIDIA GPU");
  snprintf (infos->api, sizeof infos->api, "cuda");
  va_list args;
  va_start (args, format);
  vsnprintf (infos->problem, sizeof infos->problem, format, args);
  va_end (args);
  return ENG_OK;
}

static EngStatus
cu_enumerate (EngDeviceInfo *infos, uint32_t cap, uint32_t *n, EngError *error)
{
  int driver = 0, runtime = 0, count = 0;
  cudaRuntimeGetVersion (&runtime);
  if (cudaDriverGetVersion (&driver) != cudaSuccess || driver == 0)
    return nothing (infos, cap, n, ENG_ERR_NO_DRIVER,
                    "no NVIDIA driver is loaded: install it to use the GPU");
  // minor versions of one major are compatible both ways; an older major is not
  if (version_major (driver) < version_major (runtime))
    return nothing (infos, cap, n, ENG_ERR_OLD_DRIVER,
                    "the NVIDIA driver is too old: it speaks CUDA %d.%d, %d.0 is needed",
                    driver / 1000, driver % 1000 / 10, version_major (runtime));
  const cudaError_t e = cudaGetDeviceCount (&count);
  if (e == cudaErrorInsufficientDriver)
    return nothing (infos, cap, n, ENG_ERR_OLD_DRIVER,
                    "the NVIDIA driver is too old: it speaks CUDA %d.%d, %d.%d is needed",
                    driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
  if (e != cudaSuccess || count == 0)
    return nothing (infos, cap, n, ENG_ERR_NO_DEVICE, "no NVIDIA GPU was found (%s)",
                    e == cudaSuccess ? "the driver lists none" : cudaGetErrorString (e));
  *n = (uint32_t) count;
  for (int i = 0; i < count && (uint32_t) i < cap; i++)
    {
      EngDeviceInfo *d = &infos[i];
      memset (d, 0, sizeof *d);
      d->kind = ENG_DEVICE_GPU;
      snprintf (d->api, sizeof d->api, "cuda");
      cudaDeviceProp p;
      if (cudaGetDeviceProperties (&p, i) != cudaSuccess)
        {
          d->status = ENG_ERR_DEVICE;
          snprintf (d->problem, sizeof d->problem, "the GPU does not answer");
          continue;
        }
      snprintf (d->name, sizeof d->name, "%s", p.name);
      d->n_units = p.multiProcessorCount;
      d->memory_bytes = p.totalGlobalMem;
      if (p.major * 10 + p.minor < 75)
        {
          d->status = ENG_ERR_UNSUPPORTED;
          snprintf (d->problem, sizeof d->problem,
                    "compute capability %d.%d is too old: 7.5 (GeForce 16 and 20) is the first that works",
                    p.major, p.minor);
          continue;
        }
      size_t free_bytes = 0, total = 0;
      if (cudaSetDevice (i) == cudaSuccess && cudaMemGetInfo (&free_bytes, &total) == cudaSuccess)
        {
          d->free_bytes = free_bytes;
          d->score = 100 + p.multiProcessorCount;
        }
      else
        {
          cudaGetLastError ();
          d->status = ENG_ERR_DEVICE;
          snprintf (d->problem, sizeof d->problem, "the GPU is there but no work can be started on it");
        }
    }
  return ENG_OK;
}

static void
cu_close (EngDevice **device)
{
  if (!device || !*device)
    return;
  cudaSetDevice ((*device)->ordinal);
  cu_blas_close ((*device)->blas);
  if ((*device)->stream)
    cudaStreamDestroy ((*device)->stream);
  free (*device);
  *device = NULL;
}

static EngStatus
cu_open (uint32_t index, const EngDeviceOptions *options, EngDevice **device, EngError *error)
{
  EngDevice *d = (EngDevice *) calloc (1, sizeof *d);
  if (!d)
    return cu_error (error, ENG_ERR_NO_MEMORY, "device", 0, 0, "out of memory");
  d->ordinal = (int) index;
  d->limit_bytes = options ? options->memory_limit_bytes : 0;
  cudaDeviceProp p;
  cudaError_t e = cudaSetDevice (d->ordinal);
  if (e == cudaSuccess)
    e = cudaGetDeviceProperties (&p, d->ordinal);
  if (e == cudaSuccess)
    e = cudaStreamCreateWithFlags (&d->stream, cudaStreamNonBlocking);
  if (e != cudaSuccess)
    {
      const EngStatus status = cu_fail (d, e, "opening the GPU", error);
      cu_close (&d);
      return status;
    }
  cudaDeviceSetLimit (cudaLimitStackSize, STACK_BYTES);
  d->n_units = p.multiProcessorCount;
  d->major = p.major;
  d->minor = p.minor;
  const int arch = cu_code_arch ();
  if (arch == 0)
    {
      cu_close (&d);
      return cu_error (error, ENG_ERR_UNSUPPORTED, "device", 0, 0,
                       "the GPU module holds no code for this card (compute capability %d.%d)", p.major, p.minor);
    }
  d->code_arch = arch;
  d->pdl = arch >= 90;
  *device = d;
  return ENG_OK;
}

static void *
cu_host_alloc (EngDevice *d, uint64_t bytes)
{
  int i = 0;
  while (i < 16 && d->host[i])
    i++;
  if (i == 16)
    return NULL;
  cudaSetDevice (d->ordinal);
  if (cudaHostAlloc (&d->host[i], bytes ? bytes : 1, cudaHostAllocDefault) != cudaSuccess)
    {
      cudaGetLastError ();
      d->host[i] = NULL;
      return NULL;
    }
  d->host_end[i] = (uint8_t *) d->host[i] + bytes;
  return d->host[i];
}

static void
cu_host_free (EngDevice *d, void *memory)
{
  for (int i = 0; i < 16; i++)
    if (d->host[i] == memory)
      {
        cudaSetDevice (d->ordinal);
        cudaFreeHost (memory);
        d->host[i] = NULL;
        return;
      }
}

bool
cu_is_host (const EngDevice *d, const void *memory, uint64_t bytes)
{
  for (int i = 0; i < 16; i++)
    if (d->host[i] && (const uint8_t *) memory >= (const uint8_t *) d->host[i]
        && (const uint8_t *) memory + bytes <= d->host_end[i])
      return true;
  return false;
}

extern "C" __attribute__ ((visibility ("default"))) const EngDeviceApi *
inglenook_device_api (void)
{
  static const EngDeviceApi api = {
    ENG_DEVICE_ABI, sizeof (EngDeviceApi), "cuda",      cu_enumerate,  cu_open,
    cu_close,       cu_plan,               cu_bind,     cu_unbind,     cu_state_new,
    cu_state_free,  cu_run,                cu_copy_block, cu_block_bytes, cu_read_block,
    cu_write_block, NULL,                  cu_host_alloc, cu_host_free, cu_sample,
  };
  return &api;
}
