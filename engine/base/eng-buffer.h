/* SPDX-License-Identifier: Apache-2.0 */
/* Growable byte string. A failure sticks: append as often as you like, look once at the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialize to use; one owner thread. @data is NULL or NUL-terminated, owned by the buffer.
 */
typedef struct
{
  char *data;
  size_t n_bytes;
  size_t capacity;
  size_t limit_bytes; /* 0 = none; growing past it fails */
  bool failed;        /* memory or the limit ran out: what follows was dropped */
} EngBuffer;

/* Each returns false when the buffer has failed, now or before; nothing is appended then. */
bool eng_buffer_append (EngBuffer *buffer, const void *bytes, size_t n_bytes);
bool eng_buffer_append_string (EngBuffer *buffer, const char *s);
bool eng_buffer_append_char (EngBuffer *buffer, char c);
bool eng_buffer_append_repeat (EngBuffer *buffer, char c, size_t n);
/* Hands the bytes over (free with eng_free) and leaves an empty buffer; NULL if it had failed. An
 * empty buffer gives "". */
char *eng_buffer_take (EngBuffer *buffer, size_t *n_bytes);
/* Forgets the content, keeps the memory and clears @failed. */
void eng_buffer_reset (EngBuffer *buffer);
void eng_buffer_clear (EngBuffer *buffer);
