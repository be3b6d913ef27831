/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF reader: opens any bytes; what opens is walked to its last string and tensor byte. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "eng-gguf.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void
walk_value (const EngGgufValue *value)
{
  EngGgufStrings it;
  EngGgufString s;
  int64_t i;
  float f;
  if (value->type == ENG_GGUF_STRING && value->string.n_bytes)
    sink += (uint8_t) value->string.data[value->string.n_bytes - 1];
  if (value->type != ENG_GGUF_ARRAY)
    return;
  for (it = eng_gguf_array_get_strings (&value->array); eng_gguf_strings_next (&it, &s);)
    if (s.n_bytes)
      sink += (uint8_t) s.data[0] + (uint8_t) s.data[s.n_bytes - 1];
  for (uint64_t k = 0; k < value->array.n && k < 4096; k++)
    {
      if (eng_gguf_array_get_i64 (&value->array, k, &i))
        sink += (uint64_t) i;
      if (eng_gguf_array_get_f32 (&value->array, k, &f))
        sink += f > 0;
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  EngGguf *gguf;
  EngError error;
  if (eng_gguf_open_memory (data, size, &gguf, &error) != ENG_OK)
    {
      if (gguf || error.text[0] == '\0')
        abort ();
      return 0;
    }
  for (uint64_t i = 0; i < eng_gguf_get_n_keys (gguf); i++)
    {
      EngGgufString key;
      EngGgufValue value;
      eng_gguf_get_entry (gguf, i, &key, &value);
      sink += (uint8_t) key.data[0];
      walk_value (&value);
    }
  for (uint64_t i = 0; i < eng_gguf_get_n_tensors (gguf); i++)
    {
      const EngGgufTensor *t = eng_gguf_get_tensor (gguf, i);
      if (eng_gguf_find_tensor (gguf, t->name) != t)
        abort ();
      sink += ((const uint8_t *) t->data)[0] + ((const uint8_t *) t->data)[t->n_bytes - 1];
    }
  eng_gguf_close (&gguf);
  return 0;
}
