/* SPDX-License-Identifier: Apache-2.0 */
/* A device module that is wrong in one way: FAKE says which. */
#include <stdio.h>
#include <string.h>

#include "eng-device.h"

#define FAKE_EMPTY 1       /* no symbol */
#define FAKE_ABI 2         /* of another version */
#define FAKE_SHORT 3       /* a smaller table */
#define FAKE_HOLE 4        /* a function is missing */
#define FAKE_NULL 5        /* no table */
#define FAKE_NO_DRIVER 6   /* probe: driver absent */
#define FAKE_OLD_DRIVER 7  /* probe: driver too old */
#define FAKE_NO_DEVICE 8   /* probe: no device */
#define FAKE_FAILS 9       /* enumerate itself fails */
#define FAKE_DIES_AT_OPEN 10 /* good until a device is opened */

#if FAKE != FAKE_EMPTY
static EngStatus
fake_enumerate (EngDeviceInfo *infos, uint32_t cap, uint32_t *n, EngError *error)
{
  if (FAKE == FAKE_FAILS)
    {
      memset (error, 0, sizeof *error);
      error->code = ENG_ERR_DEVICE;
      strcpy (error->text, "the probe itself failed");
      return ENG_ERR_DEVICE;
    }
  memset (&infos[0], 0, sizeof infos[0]);
  infos[0].kind = ENG_DEVICE_GPU;
  strcpy (infos[0].api, "cuda");
  infos[0].status = FAKE == FAKE_NO_DRIVER    ? ENG_ERR_NO_DRIVER
                    : FAKE == FAKE_OLD_DRIVER ? ENG_ERR_OLD_DRIVER
                    : FAKE == FAKE_NO_DEVICE  ? ENG_ERR_NO_DEVICE
                                              : ENG_OK;
  strcpy (infos[0].problem, infos[0].status != ENG_OK ? "no, because the test says so" : "");
  infos[0].score = infos[0].status == ENG_OK ? 1000 : 0;
  infos[0].free_bytes = infos[0].memory_bytes = 1u << 30;
  strcpy (infos[0].name, "Fake");
  *n = cap > 0;
  return ENG_OK;
}

static EngStatus
fake_open (uint32_t index, const EngDeviceOptions *options, EngDevice **device, EngError *error)
{
  memset (error, 0, sizeof *error);
  error->code = ENG_ERR_DEVICE;
  strcpy (error->text, "the device fell off its bus");
  return ENG_ERR_DEVICE;
}

static int
never (void)
{
  return ENG_ERR_INTERNAL;
}

__attribute__ ((visibility ("default"))) const EngDeviceApi *inglenook_device_api (void);
const EngDeviceApi *
inglenook_device_api (void)
{
  static EngDeviceApi api;
  api = (EngDeviceApi) {
    .abi = FAKE == FAKE_ABI ? ENG_DEVICE_ABI + 1 : ENG_DEVICE_ABI,
    .struct_size = FAKE == FAKE_SHORT ? 16 : sizeof api,
    .name = "cuda",
    .enumerate = fake_enumerate,
    .open = fake_open,
  };
  void *hole = (void *) never;
  memcpy (&api.close, &hole, sizeof hole);
  memcpy (&api.plan, &hole, sizeof hole);
  memcpy (&api.bind, &hole, sizeof hole);
  memcpy (&api.unbind, &hole, sizeof hole);
  memcpy (&api.state_new, &hole, sizeof hole);
  memcpy (&api.state_free, &hole, sizeof hole);
  memcpy (&api.run, &hole, sizeof hole);
  memcpy (&api.copy_block, &hole, sizeof hole);
  memcpy (&api.block_bytes, &hole, sizeof hole);
  memcpy (&api.read_block, &hole, sizeof hole);
  if (FAKE != FAKE_HOLE)
    memcpy (&api.write_block, &hole, sizeof hole);
  return FAKE == FAKE_NULL ? NULL : &api;
}
#endif
