/* SPDX-License-Identifier: Apache-2.0 */
/* A ZIP file says twice what is in it: in its directory at the end and before each entry. Files on which the two differ,
 * or whose entries share bytes, are made to show one thing to a checker and another to a reader, or to unpack a few
 * bytes many times; no program writes such. Format: APPNOTE.TXT 6.3.10, 4.3.7, 4.3.12, 4.3.14 and 4.3.16. */
#include <glib/gi18n.h>
#include <string.h>

#include "reader-zip.h"

#define END_BYTES 22u
#define CENTRAL_BYTES 46u
#define LOCAL_BYTES 30u
#define MAX_COMMENT_BYTES 65535u

typedef struct
{
  guint64 start, end; /* of the local header and the packed bytes behind it */
} Span;

static guint32
get16 (const guint8 *p)
{
  return (guint32) p[0] | (guint32) p[1] << 8;
}

static guint32
get32 (const guint8 *p)
{
  return get16 (p) | get16 (p + 2) << 16;
}

static gboolean
refuse (GError **error, const char *why, guint64 at)
{
  g_set_error (error, RDR_ERROR, RDR_CODE_FORMAT, "broken archive: %s at byte %" G_GUINT64_FORMAT, why, at);
  return FALSE;
}

/* The end record: the last one whose comment ends where the file does. */
static const guint8 *
find_end (const guint8 *data, gsize n)
{
  for (gsize back = END_BYTES; back <= n && back <= END_BYTES + MAX_COMMENT_BYTES; back++)
    {
      const guint8 *p = data + n - back;
      if (memcmp (p, "PK\5\6", 4) == 0 && get16 (p + 20) == back - END_BYTES)
        return p;
    }
  return NULL;
}

/* What stands before the entry agrees with @central; *@span becomes its bytes. */
static gboolean
check_entry (const guint8 *data, guint64 limit, const guint8 *central, Span *span, GError **error)
{
  const guint32 n_name = get16 (central + 28), packed = get32 (central + 20);
  const guint64 at = get32 (central + 42);
  if (at == G_MAXUINT32 || packed == G_MAXUINT32)
    {
      /* ZIP64: entries beyond 4 GB, which is more than a document may have. */
      g_set_error (error, RDR_ERROR, RDR_CODE_LIMIT, _ ("an entry of the archive is larger than 4 GB"));
      return FALSE;
    }
  if (at + LOCAL_BYTES > limit || memcmp (data + at, "PK\3\4", 4) != 0)
    return refuse (error, "an entry is not where the directory says", at);
  const guint8 *local = data + at;
  const guint32 n_local_name = get16 (local + 26);
  span->start = at;
  span->end = at + LOCAL_BYTES + n_local_name + get16 (local + 28) + packed;
  if (span->end > limit)
    return refuse (error, "an entry ends behind the directory's begin", at);
  if (n_local_name != n_name || memcmp (local + LOCAL_BYTES, central + CENTRAL_BYTES, n_name) != 0)
    return refuse (error, "an entry has another name than in the directory", at);
  if (get16 (local + 8) != get16 (central + 10))
    return refuse (error, "an entry is packed in another way than the directory says", at);
  /* Bit 3: sizes stand behind the data, those before it are zero. Writers that use ZIP64 fields in the local header alone
   * put all ones there. */
  if ((get16 (local + 6) & 8) == 0)
    for (guint k = 0; k < 8; k += 4)
      if (get32 (local + 18 + k) != get32 (central + 20 + k) && get32 (local + 18 + k) != G_MAXUINT32)
        return refuse (error, "an entry has another size than in the directory", at);
  return TRUE;
}

static int
compare_spans (gconstpointer a, gconstpointer b)
{
  const Span *x = a, *y = b;
  return x->start < y->start ? -1 : x->start > y->start;
}

gboolean
rdr_zip_check (GBytes *bytes, GError **error)
{
  gsize n;
  const guint8 *data = g_bytes_get_data (bytes, &n);
  const guint8 *end = data != NULL ? find_end (data, n) : NULL;
  if (end == NULL)
    return refuse (error, "it has no directory, or ends early,", n);
  const guint64 start = get32 (end + 16), length = get32 (end + 12), n_entries = get16 (end + 10);
  if (start + length > (guint64) (end - data))
    return refuse (error, "its directory lies behind its end", start);
  g_autoptr (GArray) spans = g_array_new (FALSE, FALSE, sizeof (Span));
  guint64 at = start;
  for (guint64 i = 0; i < n_entries; i++)
    {
      if (at + CENTRAL_BYTES > start + length || memcmp (data + at, "PK\1\2", 4) != 0)
        return refuse (error, "its directory ends early", at);
      const guint8 *central = data + at;
      at += CENTRAL_BYTES + get16 (central + 28) + get16 (central + 30) + get16 (central + 32);
      if (at > start + length)
        return refuse (error, "its directory ends early", at);
      Span span;
      if (!check_entry (data, start, central, &span, error))
        return FALSE;
      g_array_append_val (spans, span);
    }
  g_array_sort (spans, compare_spans);
  for (guint i = 1; i < spans->len; i++)
    if (g_array_index (spans, Span, i).start < g_array_index (spans, Span, i - 1).end)
      return refuse (error, "two entries share bytes", g_array_index (spans, Span, i).start);
  return TRUE;
}
