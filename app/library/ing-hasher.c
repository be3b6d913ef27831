/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-hasher.h"

#include <string.h>

void
ing_hasher_init (IngHasher *hasher)
{
  memset (hasher, 0, sizeof *hasher);
  sha256_init (&hasher->sha);
  hasher->blocks = g_array_new (FALSE, FALSE, sizeof (guint64));
}

void
ing_hasher_clear (IngHasher *hasher)
{
  g_clear_pointer (&hasher->blocks, g_array_unref);
}

/* Multiply and rotate: every step can be undone, so two blocks that differ in one word have different sums. */
static inline guint64
mix (guint64 sum, guint64 word)
{
  sum = (sum ^ word) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  return (sum << 29) | (sum >> 35);
}

static void
sum_block (IngHasher *hasher, const guint8 *bytes, gsize n)
{
  guint64 at = hasher->n_bytes, sum = hasher->sum;
  while (n > 0 && at % 8 != 0)
    {
      hasher->word |= (guint64) *bytes++ << (at % 8 * 8);
      n--;
      if (++at % 8 == 0)
        {
          sum = mix (sum, hasher->word);
          hasher->word = 0;
        }
    }
  for (; n >= 8; n -= 8, bytes += 8, at += 8)
    {
      guint64 word;
      memcpy (&word, bytes, 8);
      sum = mix (sum, GUINT64_FROM_LE (word));
    }
  for (; n > 0; n--, at++)
    hasher->word |= (guint64) *bytes++ << (at % 8 * 8);
  hasher->sum = sum;
  hasher->n_bytes = at;
}

static void
end_block (IngHasher *hasher)
{
  guint64 sum = mix (hasher->sum, hasher->word);
  g_array_append_val (hasher->blocks, sum);
  hasher->sum = hasher->word = 0;
}

void
ing_hasher_update (IngHasher *hasher, const guint8 *bytes, gsize n)
{
  sha256_update (&hasher->sha, n, bytes);
  while (n > 0)
    {
      gsize part = MIN (n, ING_HASHER_BLOCK_BYTES - hasher->n_bytes % ING_HASHER_BLOCK_BYTES);
      sum_block (hasher, bytes, part);
      bytes += part;
      n -= part;
      if (hasher->n_bytes % ING_HASHER_BLOCK_BYTES == 0)
        end_block (hasher);
    }
}

char *
ing_hasher_finish (IngHasher *hasher)
{
  guint8 digest[SHA256_DIGEST_SIZE];
  char *hex = g_malloc (2 * SHA256_DIGEST_SIZE + 1);
  if (hasher->n_bytes % ING_HASHER_BLOCK_BYTES != 0)
    end_block (hasher);
  sha256_digest (&hasher->sha, sizeof digest, digest);
  for (gsize i = 0; i < sizeof digest; i++)
    g_snprintf (hex + 2 * i, 3, "%02x", digest[i]);
  return hex;
}

char *
ing_hasher_blocks_to_text (const GArray *blocks)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < blocks->len; i++)
    g_string_append_printf (text, "%s%016" G_GINT64_MODIFIER "x", i > 0 ? "," : "",
                            g_array_index (blocks, guint64, i));
  return g_string_free (text, FALSE);
}

GArray *
ing_hasher_blocks_from_text (const char *text)
{
  if (text == NULL)
    return NULL;
  g_autoptr (GArray) blocks = g_array_new (FALSE, FALSE, sizeof (guint64));
  while (*text != '\0')
    {
      char *end = NULL;
      guint64 sum = g_ascii_isxdigit (*text) ? g_ascii_strtoull (text, &end, 16) : 0;
      if (end == NULL || end - text != 16 || (*end != ',' && *end != '\0'))
        return NULL;
      g_array_append_val (blocks, sum);
      text = *end == ',' ? end + 1 : end;
    }
  return g_steal_pointer (&blocks);
}
