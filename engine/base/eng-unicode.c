/* SPDX-License-Identifier: Apache-2.0 */
#include "eng-unicode.h"

#include "eng-unicode-private.h"

static uint8_t
property (uint32_t cp)
{
  if (cp > 0x10ffff)
    return ENG_UNICODE_CN;
  size_t block = eng_unicode_block_index[cp >> ENG_UNICODE_BLOCK_BITS];
  return eng_unicode_blocks[block << ENG_UNICODE_BLOCK_BITS
                            | (cp & ((1u << ENG_UNICODE_BLOCK_BITS) - 1))];
}

uint32_t
eng_unicode_class (uint32_t cp)
{
  uint8_t p = property (cp);
  return ENG_UNICODE_BIT (p & 0x1f)
         | ((p & ENG_UNICODE_PROPERTY_WHITE_SPACE) ? ENG_UNICODE_WHITE_SPACE : 0);
}

EngUnicodeCategory
eng_unicode_category (uint32_t cp)
{
  return (EngUnicodeCategory) (property (cp) & 0x1f);
}

/* Index of @cp in the sorted @keys, or @n. */
static size_t
find (const uint32_t *keys, size_t n, uint32_t cp)
{
  size_t low = 0, high = n;
  while (low < high)
    {
      size_t mid = low + (high - low) / 2;
      if (keys[mid] < cp)
        low = mid + 1;
      else
        high = mid;
    }
  return low < n && keys[low] == cp ? low : n;
}

uint32_t
eng_unicode_to_lower (uint32_t cp)
{
  if (cp < 0x80)
    return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
  size_t i = find (eng_unicode_lower_from, eng_unicode_n_lower, cp);
  return i < eng_unicode_n_lower ? eng_unicode_lower_to[i] : cp;
}

size_t
eng_unicode_decompose (uint32_t cp, uint32_t out[ENG_UNICODE_MAX_DECOMPOSITION])
{
  out[0] = cp;
  if (cp < 0xc0)
    return 1;
  if (cp >= 0xac00 && cp < 0xac00 + 11172)
    { /* Hangul syllables, Unicode Standard section 3.12 */
      uint32_t s = cp - 0xac00;
      out[0] = 0x1100 + s / 588;
      out[1] = 0x1161 + s % 588 / 28;
      out[2] = 0x11a7 + s % 28;
      return s % 28 ? 3 : 2;
    }
  size_t i = find (eng_unicode_decomposition_from, eng_unicode_n_decompositions, cp);
  if (i == eng_unicode_n_decompositions)
    return 1;
  size_t n = eng_unicode_decomposition_length[i];
  for (size_t k = 0; k < n; k++)
    out[k] = eng_unicode_decomposition_pool[eng_unicode_decomposition_at[i] + k];
  return n;
}
