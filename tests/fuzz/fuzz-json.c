/* SPDX-License-Identifier: Apache-2.0 */
/* JSON reader: any bytes; what it accepts is looked up, written and read again to the same text. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "eng-json.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
walk (const EngJson *value)
{
  if (value->type == ENG_JSON_STRING && value->string[value->n] != '\0')
    abort ();
  if (value->type != ENG_JSON_ARRAY && value->type != ENG_JSON_OBJECT)
    return;
  for (size_t k = 0; k < value->n; k++)
    {
      const EngJson *item = eng_json_at (value, k);
      if (value->type == ENG_JSON_OBJECT
          && eng_json_get_n (value, item->key, item->key_bytes) != item)
        abort ();
      walk (item);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  EngArena arena = { 0 };
  EngError error = { 0 };
  const EngJson *root;
  EngStatus status = eng_json_parse ((const char *) data, size, 0, &arena, &root, &error);
  if ((status == ENG_OK) != (root != NULL) || (status && (!error.text[0] || error.line == 0)))
    abort ();
  if (!status)
    {
      EngBuffer first = { 0 }, second = { 0 };
      EngJsonWriter w = { .out = &first, .indent = 2 }, w2 = { .out = &second, .indent = 2 };
      walk (root);
      eng_json_write_value (&w, root);
      if (first.failed || eng_json_parse (first.data, first.n_bytes, 0, &arena, &root, NULL))
        abort ();
      eng_json_write_value (&w2, root);
      if (second.failed || first.n_bytes != second.n_bytes
          || memcmp (first.data, second.data, first.n_bytes) != 0)
        abort ();
      eng_buffer_clear (&first);
      eng_buffer_clear (&second);
    }
  eng_arena_clear (&arena);
  return 0;
}
