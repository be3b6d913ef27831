/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-utf8.h"

/* Length that the lead byte @b announces and the range that the second byte must lie in (table 3-7
 * of the Unicode Standard); 0 = no lead byte. */
static size_t
lead_length (uint8_t b, uint8_t *low, uint8_t *high)
{
  *low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
  *high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
  if (b < 0x80)
    return 1;
  if (b < 0xc2)
    return 0;
  return b < 0xe0 ? 2 : b < 0xf0 ? 3 : b < 0xf5 ? 4 : 0;
}

/* How many of the @len bytes announced by the lead byte at @s are there and right. */
static size_t
good_prefix (const uint8_t *s, size_t n, size_t len, uint8_t low, uint8_t high)
{
  size_t i = 1;
  if (i < len && i < n && s[i] >= low && s[i] <= high)
    for (i = 2; i < len && i < n && (s[i] & 0xc0) == 0x80; i++)
      ;
  return i;
}

size_t
eng_utf8_next (const uint8_t *s, size_t n, uint32_t *cp)
{
  if (s[0] < 0x80)
    {
      *cp = s[0];
      return 1;
    }
  uint8_t low, high;
  size_t len = lead_length (s[0], &low, &high);
  size_t got = len ? good_prefix (s, n, len, low, high) : 1;
  if (got != len)
    {
      *cp = ENG_UTF8_INVALID;
      return got;
    }
  uint32_t v = s[0] & (0x7fu >> len);
  for (size_t i = 1; i < len; i++)
    v = v << 6 | (s[i] & 0x3fu);
  *cp = v;
  return len;
}

size_t
eng_utf8_put (uint32_t cp, uint8_t out[ENG_UTF8_MAX_BYTES])
{
  if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
    cp = 0xfffd;
  if (cp < 0x80)
    {
      out[0] = (uint8_t) cp;
      return 1;
    }
  size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
  for (size_t i = len - 1; i > 0; i--, cp >>= 6)
    out[i] = (uint8_t) (0x80 | (cp & 0x3f));
  out[0] = (uint8_t) (cp | (0xf00u >> len));
  return len;
}

bool
eng_utf8_is_valid (const uint8_t *s, size_t n)
{
  uint32_t cp;
  for (size_t i = 0; i < n;)
    {
      i += eng_utf8_next (s + i, n - i, &cp);
      if (cp == ENG_UTF8_INVALID)
        return false;
    }
  return true;
}

size_t
eng_utf8_incomplete_tail (const uint8_t *s, size_t n)
{
  for (size_t back = 1; back <= 3 && back <= n; back++)
    {
      uint8_t low, high;
      size_t len = lead_length (s[n - back], &low, &high);
      if (len == 0)
        continue; /* a continuation byte, or one that starts nothing: then nothing is open */
      return len > back && good_prefix (s + n - back, back, len, low, high) == back ? back : 0;
    }
  return 0;
}
