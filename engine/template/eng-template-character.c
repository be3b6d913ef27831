/* SPDX-License-Identifier: Apache-2.0 */
/* What Python's str methods know about characters. */
#include "eng-template-private.h"

typedef struct
{
  uint32_t first, last;
} TplCharRange;

/* Every @stride-th character of a run maps to itself plus @delta. */
typedef struct
{
  uint32_t first, last;
  uint8_t stride;
  int32_t delta;
} TplCaseRun;

typedef struct
{
  uint32_t c;
  uint32_t to[3];
} TplCaseSpecial;

#include "eng-template-character-tables.h"

#define N(array) (sizeof (array) / sizeof (array)[0])

static bool
in_ranges (const TplCharRange *ranges, size_t n, uint32_t c)
{
  size_t low = 0, high = n;
  while (low < high)
    {
      size_t mid = (low + high) / 2;
      if (c < ranges[mid].first)
        high = mid;
      else if (c > ranges[mid].last)
        low = mid + 1;
      else
        return true;
    }
  return false;
}

bool
eng_tpl_is_space (uint32_t c)
{
  return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31) || c == 0x85 || c == 0xa0
         || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f
         || c == 0x205f || c == 0x3000;
}

bool
eng_tpl_is_printable (uint32_t c)
{
  return c < 0x80 ? c >= 0x20 && c < 0x7f : !in_ranges (unprintable, N (unprintable), c);
}

bool
eng_tpl_is_upper (uint32_t c)
{
  return c < 0x80 ? c >= 'A' && c <= 'Z' : in_ranges (uppercase, N (uppercase), c);
}

bool
eng_tpl_is_lower (uint32_t c)
{
  return c < 0x80 ? c >= 'a' && c <= 'z' : in_ranges (lowercase, N (lowercase), c);
}

bool
eng_tpl_is_cased (uint32_t c)
{
  return c < 0x80 ? eng_tpl_is_upper (c) || eng_tpl_is_lower (c) : in_ranges (cased, N (cased), c);
}

bool
eng_tpl_is_case_ignorable (uint32_t c)
{
  return in_ranges (case_ignorable, N (case_ignorable), c);
}

bool
eng_tpl_is_digit (uint32_t c)
{
  return c < 0x80 ? c >= '0' && c <= '9' : in_ranges (numeric, N (numeric), c);
}

bool
eng_tpl_is_alpha (uint32_t c)
{
  return c < 0x80 ? eng_tpl_is_cased (c) : in_ranges (alphabetic, N (alphabetic), c);
}

static unsigned
map_case (const TplCaseRun *runs, size_t n_runs, const TplCaseSpecial *special, size_t n_special,
          uint32_t c, uint32_t out[3])
{
  for (size_t k = 0; k < n_special && special[k].c <= c; k++)
    if (special[k].c == c)
      {
        memcpy (out, special[k].to, sizeof special[k].to);
        return out[2] ? 3 : 2;
      }
  size_t low = 0, high = n_runs;
  out[0] = c;
  while (low < high)
    {
      size_t mid = (low + high) / 2;
      if (c < runs[mid].first)
        high = mid;
      else if (c > runs[mid].last)
        low = mid + 1;
      else
        {
          if ((c - runs[mid].first) % runs[mid].stride == 0)
            out[0] = (uint32_t) ((int64_t) c + runs[mid].delta);
          break;
        }
    }
  return 1;
}

unsigned
eng_tpl_upper (uint32_t c, uint32_t out[3])
{
  if (c < 0x80)
    {
      out[0] = c >= 'a' && c <= 'z' ? c - 32 : c;
      return 1;
    }
  return map_case (upper_runs, N (upper_runs), upper_special, N (upper_special), c, out);
}

unsigned
eng_tpl_lower (uint32_t c, uint32_t out[3])
{
  if (c < 0x80)
    {
      out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c;
      return 1;
    }
  return map_case (lower_runs, N (lower_runs), lower_special, N (lower_special), c, out);
}

unsigned
eng_tpl_title (uint32_t c, uint32_t out[3])
{
  if (c < 0x80)
    return eng_tpl_upper (c, out);
  return map_case (title_runs, N (title_runs), title_special, N (title_special), c, out);
}
