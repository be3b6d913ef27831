/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-buffer.h"

#include <stdint.h>
#include <string.h>

#include "eng-arena.h"

#define FIRST_CAPACITY ((size_t) 64)

static bool
reserve (EngBuffer *buffer, size_t more)
{
  if (buffer->failed)
    return false;
  if (more > SIZE_MAX - 1 - buffer->n_bytes)
    return !(buffer->failed = true);
  size_t need = buffer->n_bytes + more + 1;
  if (buffer->limit_bytes && need - 1 > buffer->limit_bytes)
    return !(buffer->failed = true);
  if (need <= buffer->capacity)
    return true;
  size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
  while (capacity < need)
    capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
  char *data = eng_realloc_array (buffer->data, capacity, 1);
  if (!data)
    return !(buffer->failed = true);
  buffer->data = data;
  buffer->capacity = capacity;
  return true;
}

bool
eng_buffer_append (EngBuffer *buffer, const void *bytes, size_t n_bytes)
{
  if (!reserve (buffer, n_bytes))
    return false;
  if (n_bytes)
    memcpy (buffer->data + buffer->n_bytes, bytes, n_bytes);
  buffer->n_bytes += n_bytes;
  buffer->data[buffer->n_bytes] = '\0';
  return true;
}

bool
eng_buffer_append_string (EngBuffer *buffer, const char *s)
{
  return eng_buffer_append (buffer, s, strlen (s));
}

bool
eng_buffer_append_char (EngBuffer *buffer, char c)
{
  return eng_buffer_append (buffer, &c, 1);
}

bool
eng_buffer_append_repeat (EngBuffer *buffer, char c, size_t n)
{
  if (!reserve (buffer, n))
    return false;
  memset (buffer->data + buffer->n_bytes, c, n);
  buffer->n_bytes += n;
  buffer->data[buffer->n_bytes] = '\0';
  return true;
}

char *
eng_buffer_take (EngBuffer *buffer, size_t *n_bytes)
{
  char *data = reserve (buffer, 0) ? buffer->data : NULL;
  if (data)
    {
      data[buffer->n_bytes] = '\0';
      if (n_bytes)
        *n_bytes = buffer->n_bytes;
      buffer->data = NULL;
      buffer->n_bytes = buffer->capacity = 0;
    }
  return data;
}

void
eng_buffer_reset (EngBuffer *buffer)
{
  buffer->n_bytes = 0;
  buffer->failed = false;
  if (buffer->data)
    buffer->data[0] = '\0';
}

void
eng_buffer_clear (EngBuffer *buffer)
{
  size_t limit = buffer->limit_bytes;
  eng_free (buffer->data);
  memset (buffer, 0, sizeof *buffer);
  buffer->limit_bytes = limit;
}
