/* SPDX-License-Identifier: Apache-2.0 */
/* Character properties from the Unicode character database: general category, White_Space, simple
 * lower case, canonical decomposition. The tables are generated (gen-unicode.py). Pure functions,
 * any thread; code points above U+10FFFF, ENG_UTF8_INVALID among them, count as unassigned. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* General categories in the order of the generated table. */
typedef enum
{
  ENG_UNICODE_LU, ENG_UNICODE_LL, ENG_UNICODE_LT, ENG_UNICODE_LM, ENG_UNICODE_LO,
  ENG_UNICODE_MN, ENG_UNICODE_MC, ENG_UNICODE_ME,
  ENG_UNICODE_ND, ENG_UNICODE_NL, ENG_UNICODE_NO,
  ENG_UNICODE_PC, ENG_UNICODE_PD, ENG_UNICODE_PS, ENG_UNICODE_PE, ENG_UNICODE_PI, ENG_UNICODE_PF,
  ENG_UNICODE_PO,
  ENG_UNICODE_SM, ENG_UNICODE_SC, ENG_UNICODE_SK, ENG_UNICODE_SO,
  ENG_UNICODE_ZS, ENG_UNICODE_ZL, ENG_UNICODE_ZP,
  ENG_UNICODE_CC, ENG_UNICODE_CF, ENG_UNICODE_CS, ENG_UNICODE_CO, ENG_UNICODE_CN,
} EngUnicodeCategory;

/* Sets of categories, one bit each, with White_Space as one more bit: a character class is a mask,
 * and membership one AND. */
#define ENG_UNICODE_BIT(category) (UINT32_C (1) << (category))
#define ENG_UNICODE_WHITE_SPACE (UINT32_C (1) << 31)
#define ENG_UNICODE_LETTER                                                                         \
  (ENG_UNICODE_BIT (ENG_UNICODE_LU) | ENG_UNICODE_BIT (ENG_UNICODE_LL)                             \
   | ENG_UNICODE_BIT (ENG_UNICODE_LT) | ENG_UNICODE_BIT (ENG_UNICODE_LM)                           \
   | ENG_UNICODE_BIT (ENG_UNICODE_LO))
#define ENG_UNICODE_MARK                                                                           \
  (ENG_UNICODE_BIT (ENG_UNICODE_MN) | ENG_UNICODE_BIT (ENG_UNICODE_MC)                             \
   | ENG_UNICODE_BIT (ENG_UNICODE_ME))
#define ENG_UNICODE_NUMBER                                                                         \
  (ENG_UNICODE_BIT (ENG_UNICODE_ND) | ENG_UNICODE_BIT (ENG_UNICODE_NL)                             \
   | ENG_UNICODE_BIT (ENG_UNICODE_NO))
#define ENG_UNICODE_PUNCTUATION                                                                    \
  (ENG_UNICODE_BIT (ENG_UNICODE_PC) | ENG_UNICODE_BIT (ENG_UNICODE_PD)                             \
   | ENG_UNICODE_BIT (ENG_UNICODE_PS) | ENG_UNICODE_BIT (ENG_UNICODE_PE)                           \
   | ENG_UNICODE_BIT (ENG_UNICODE_PI) | ENG_UNICODE_BIT (ENG_UNICODE_PF)                           \
   | ENG_UNICODE_BIT (ENG_UNICODE_PO))
#define ENG_UNICODE_SYMBOL                                                                         \
  (ENG_UNICODE_BIT (ENG_UNICODE_SM) | ENG_UNICODE_BIT (ENG_UNICODE_SC)                             \
   | ENG_UNICODE_BIT (ENG_UNICODE_SK) | ENG_UNICODE_BIT (ENG_UNICODE_SO))

/* Category of @cp as one bit, with ENG_UNICODE_WHITE_SPACE where the property holds. */
uint32_t eng_unicode_class (uint32_t cp);
EngUnicodeCategory eng_unicode_category (uint32_t cp);

static inline bool
eng_unicode_is (uint32_t cp, uint32_t mask)
{
  return (eng_unicode_class (cp) & mask) != 0;
}

/* Simple (one to one) lower case; @cp itself where there is none. */
uint32_t eng_unicode_to_lower (uint32_t cp);

#define ENG_UNICODE_MAX_DECOMPOSITION 4
/* Full canonical decomposition (NFD without the reordering of combining marks), Hangul included.
 * Returns the number of code points written, 1 when @cp stands for itself. */
size_t eng_unicode_decompose (uint32_t cp, uint32_t out[ENG_UNICODE_MAX_DECOMPOSITION]);
