/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors reader: opens any bytes; what opens is walked. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "eng-safetensors.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static volatile uint64_t sink;

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  EngSafetensors *st;
  EngError error;
  if (eng_safetensors_open_memory (data, size, &st, &error) != ENG_OK)
    {
      if (st || error.text[0] == '\0')
        abort ();
      return 0;
    }
  for (uint64_t i = 0; i < eng_safetensors_get_n_tensors (st); i++)
    {
      const EngSafetensor *t = eng_safetensors_get_tensor (st, i);
      if (eng_safetensors_find (st, t->name) != t)
        abort ();
      if (t->n_bytes)
        sink += ((const uint8_t *) t->data)[0] + ((const uint8_t *) t->data)[t->n_bytes - 1];
    }
  eng_safetensors_close (&st);
  return 0;
}
