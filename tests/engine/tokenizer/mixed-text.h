/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded text of many scripts, for the tokenizer's tests: the same bytes for the same seed and size,
 * so that golden values made from it stay valid. Valid UTF-8. */
#pragma once

#include <glib.h>
#include <string.h>

#include "eng-unicode.h"
#include "eng-utf8.h"

/* The text that the golden files are made from. */
#define MIXED_SEED 20240229
#define MIXED_BYTES 1000000

/* FNV-1a over the bytes of @v, little end first. */
#define MIXED_HASH_START 0xcbf29ce484222325u
static inline guint64
mixed_hash (guint64 h, guint64 v)
{
  for (int i = 0; i < 8; i++, v >>= 8)
    h = (h ^ (v & 0xff)) * 0x100000001b3u;
  return h;
}

typedef struct
{
  guint64 state;
} MixedRandom;

/* xorshift64* (Vigna 2016). */
static inline guint32
mixed_next (MixedRandom *r, guint32 n)
{
  r->state ^= r->state >> 12;
  r->state ^= r->state << 25;
  r->state ^= r->state >> 27;
  return (guint32) ((r->state * 0x2545f4914f6cdd1du) >> 33) % n;
}

/* Unassigned characters get their properties in later versions of Unicode, and these two had theirs
 * changed after 15.0: a pattern run elsewhere would disagree for no fault of ours. */
static inline gboolean
mixed_is_stable (guint32 cp)
{
  return eng_unicode_category (cp) != ENG_UNICODE_CN && eng_unicode_category (cp) != ENG_UNICODE_CS
         && cp != 0x295 && cp != 0x1171e;
}

static inline void
mixed_put (GString *s, guint32 cp)
{
  guint8 bytes[ENG_UTF8_MAX_BYTES];
  gsize n = eng_utf8_put (cp, bytes);
  g_string_append_len (s, (const char *) bytes, (gssize) n);
}

static inline void
mixed_run (GString *s, MixedRandom *r, guint32 first, guint32 last, guint n)
{
  while (n-- > 0)
    {
      guint32 cp = first + mixed_next (r, last - first + 1);
      if (mixed_is_stable (cp))
        mixed_put (s, cp);
    }
}

static inline void
mixed_pick (GString *s, MixedRandom *r, const char *const *list, gsize n_list, guint n)
{
  while (n-- > 0)
    g_string_append (s, list[mixed_next (r, (guint32) n_list)]);
}

/* One bit of text: a word, a number, white space, marks, a contraction, another script, anything. */
static inline void
mixed_item (GString *s, MixedRandom *r)
{
  static const char *const spaces[]
      = { " ", " ", " ", " ", " ", "  ", "\t", "\n", "\n", "\r\n", "\r", "\v", "\f", "\xc2\x85",
          "\u00a0", "\u2028", "\u2009", "\u3000", "\u200b", "\x1c" };
  static const char *const marks[] = { ".", ",", "!", "?", "'", "\"", "-", "_", "/", "\\", "(", ")",
                                       "[", "]", "{", "}", "<", ">", "=", "+", "$", "^", "|", "~",
                                       "`", "@", "#", "%", "&", "*", ":", ";", "—", "…", "“", "”",
                                       "。", "，", "、", "！", "£", "€", "→", "©", "¡" };
  static const char *const tails[] = { "'s", "'S", "'t", "'re", "'RE", "'Ve", "'ve", "'m", "'M",
                                       "'ll", "'lL", "'d", "'D", "'x", "'", "'\u017f", "'l", "'r" };
  static const char *const emoji[] = { "🦙", "👩‍👩‍👧", "🏳️‍🌈", "1️⃣", "🇩🇪", "😶‍🌫️", "✅", "e\u0301", "\u0301",
                                       "\u0e33", "\u0940", "ﬁ", "Ǆ", "ǅ", "ª", "ʰ", "Ⅷ", "½", "٣" };
  static const guint32 scripts[][2]
      = { { 0xc0, 0x24f },   { 0x370, 0x3ff },   { 0x400, 0x52f },   { 0x531, 0x58f },
          { 0x591, 0x5f4 },  { 0x600, 0x6ff },   { 0x900, 0x97f },   { 0xe01, 0xe5b },
          { 0x1780, 0x17f9 }, { 0x10a0, 0x10ff }, { 0x1e00, 0x1fff }, { 0x2000, 0x206f },
          { 0x2070, 0x218b }, { 0x3041, 0x30ff }, { 0x4e00, 0x9fff }, { 0xac00, 0xd7a3 },
          { 0xff00, 0xffef }, { 0x10400, 0x1044f }, { 0x1d400, 0x1d7ff }, { 0x1f300, 0x1f9ff },
          { 0x20000, 0x2a6df } };
  guint n = 1 + mixed_next (r, 8);
  switch (mixed_next (r, 16))
    {
    case 0: case 1: case 2:
      mixed_run (s, r, 'a', 'z', n);
      break;
    case 3:
      mixed_run (s, r, 'A', 'Z', 1);
      mixed_run (s, r, 'a', 'z', n);
      break;
    case 4:
      for (guint i = 0; i < n; i++)
        mixed_run (s, r, mixed_next (r, 2) ? 'a' : 'A', 'z', 1);
      break;
    case 5:
      mixed_run (s, r, '0', '9', n);
      break;
    case 6: case 7: case 8:
      mixed_pick (s, r, spaces, G_N_ELEMENTS (spaces), 1);
      break;
    case 9:
      mixed_pick (s, r, spaces, G_N_ELEMENTS (spaces), n);
      break;
    case 10:
      mixed_pick (s, r, marks, G_N_ELEMENTS (marks), 1 + n / 3);
      break;
    case 11:
      mixed_pick (s, r, tails, G_N_ELEMENTS (tails), 1);
      break;
    case 12:
      mixed_pick (s, r, emoji, G_N_ELEMENTS (emoji), 1 + n / 4);
      break;
    case 13: case 14:
      {
        guint i = mixed_next (r, G_N_ELEMENTS (scripts));
        mixed_run (s, r, scripts[i][0], scripts[i][1], n);
        break;
      }
    default:
      mixed_run (s, r, 0, mixed_next (r, 4) ? 0xffff : 0x10ffff, n);
    }
}

/* At least @n_bytes of text. */
static inline GString *
mixed_text (guint64 seed, gsize n_bytes)
{
  MixedRandom r = { seed * 2 + 1 };
  GString *s = g_string_sized_new (n_bytes + 64);
  while (s->len < n_bytes)
    mixed_item (s, &r);
  return s;
}
