/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: what was taken so far, and what is ready, never contains a stop string nor the beginning
 * of one that what is held could still complete. */
#include <string.h>

#include "eng-session-private.h"

/* First place in @text where @stop begins, or n when it does not occur. */
static size_t
find (const char *text, size_t n, const EngString *stop)
{
  for (size_t i = 0; stop->n_bytes <= n && i <= n - stop->n_bytes; i++)
    if (memcmp (text + i, stop->text, stop->n_bytes) == 0)
      return i;
  return n;
}

/* Length of the longest end of @text that is a proper beginning of @stop. */
static size_t
overlap (const char *text, size_t n, const EngString *stop)
{
  size_t k = stop->n_bytes - 1 < n ? stop->n_bytes - 1 : n;
  while (k > 0 && memcmp (text + n - k, stop->text, k) != 0)
    k--;
  return k;
}

bool
eng_stop_filter_push (EngStopFilter *filter, const char *text, size_t n_bytes, size_t *n_ready)
{
  EngBuffer *held = &filter->text;
  /* The caller reserved room for the longest token behind the longest stop string. */
  memcpy (held->data + held->n_bytes, text, n_bytes);
  held->n_bytes += n_bytes;
  size_t n = held->n_bytes, first = n, longest = 0;
  for (uint32_t i = 0; i < filter->n_stops; i++)
    {
      size_t at = find (held->data, n, &filter->stops[i]);
      first = at < first ? at : first;
      size_t k = overlap (held->data, n, &filter->stops[i]);
      longest = k > longest ? k : longest;
    }
  *n_ready = first < n ? first : n - longest;
  return first < n;
}

void
eng_stop_filter_take (EngStopFilter *filter, size_t n_bytes)
{
  filter->text.n_bytes -= n_bytes;
  memmove (filter->text.data, filter->text.data + n_bytes, filter->text.n_bytes);
}
