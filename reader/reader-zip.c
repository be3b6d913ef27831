/* SPDX-License-Identifier: Apache-2.0 */
#include "reader-zip.h"

#include <glib/gi18n.h>
#include <archive.h>
#include <archive_entry.h>
#include <string.h>

struct _RdrZip
{
  GBytes *bytes;
  GPtrArray *names;
  GHashTable *set; /* of names */
  guint64 n_unpacked;
};

static gboolean
fail (struct archive *archive, GError **error)
{
  const char *text = archive_error_string (archive);
  g_set_error (error, RDR_ERROR, RDR_CODE_FORMAT, "broken archive: %s", text != NULL ? text : "no more is known");
  return FALSE;
}

static struct archive *
open_archive (RdrZip *zip, GError **error)
{
  gsize n;
  const void *data = g_bytes_get_data (zip->bytes, &n);
  struct archive *archive = archive_read_new ();
  /* By the directory at its end, as every other program reads it; rdr_zip_check() saw that the entries say the same. */
  archive_read_support_format_zip_seekable (archive);
  if (archive_read_open_memory (archive, data, n) == ARCHIVE_OK)
    return archive;
  fail (archive, error);
  archive_read_free (archive);
  return NULL;
}

static gboolean
is_safe_name (const char *name)
{
  return name != NULL && *name != '\0' && *name != '/' && strstr (name, "..") == NULL && strchr (name, '\\') == NULL
         && g_utf8_validate (name, -1, NULL);
}

RdrZip *
rdr_zip_open (GBytes *bytes, GError **error)
{
  g_autoptr (RdrZip) zip = g_new0 (RdrZip, 1);
  struct archive_entry *entry;
  int rc;
  zip->bytes = g_bytes_ref (bytes);
  zip->names = g_ptr_array_new_with_free_func (g_free);
  zip->set = g_hash_table_new (g_str_hash, g_str_equal);
  struct archive *archive = rdr_zip_check (bytes, error) ? open_archive (zip, error) : NULL;
  if (archive == NULL)
    return NULL;
  gboolean ok = TRUE;
  guint n = 0;
  while (ok && (rc = archive_read_next_header (archive, &entry)) != ARCHIVE_EOF)
    {
      const char *name = archive_entry_pathname (entry);
      if (rc < ARCHIVE_WARN)
        ok = fail (archive, error);
      else if (++n > RDR_MAX_ENTRIES)
        {
          g_set_error (error, RDR_ERROR, RDR_CODE_LIMIT, _ ("more than %u entries in the archive"), RDR_MAX_ENTRIES);
          ok = FALSE;
        }
      else if (archive_entry_filetype (entry) == AE_IFREG && is_safe_name (name) && !g_hash_table_contains (zip->set, name))
        {
          g_ptr_array_add (zip->names, g_strdup (name));
          g_hash_table_add (zip->set, g_ptr_array_index (zip->names, zip->names->len - 1));
        }
    }
  archive_read_free (archive);
  return ok ? g_steal_pointer (&zip) : NULL;
}

void
rdr_zip_free (RdrZip *zip)
{
  g_bytes_unref (zip->bytes);
  g_hash_table_unref (zip->set);
  g_ptr_array_unref (zip->names);
  g_free (zip);
}

gboolean
rdr_zip_has (RdrZip *zip, const char *name)
{
  return g_hash_table_contains (zip->set, name);
}

GPtrArray *
rdr_zip_get_names (RdrZip *zip)
{
  return zip->names;
}

static GBytes *
read_entry (RdrZip *zip, struct archive *archive, GError **error)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  guint64 allowed = (guint64) g_bytes_get_size (zip->bytes) * RDR_MAX_ENTRY_RATIO;
  static guint8 buffer[65536];
  for (;;)
    {
      gssize k = archive_read_data (archive, buffer, sizeof buffer);
      if (k == 0)
        return g_byte_array_free_to_bytes (g_steal_pointer (&out));
      if (k < 0)
        {
          fail (archive, error);
          return NULL;
        }
      zip->n_unpacked += (guint64) k;
      if (zip->n_unpacked > RDR_MAX_UNPACKED_BYTES || zip->n_unpacked > allowed)
        {
          g_set_error (error, RDR_ERROR, RDR_CODE_LIMIT, _ ("the archive unpacks to more than %llu MB"),
                       (unsigned long long) (MIN (allowed, RDR_MAX_UNPACKED_BYTES) >> 20));
          return NULL;
        }
      g_byte_array_append (out, buffer, (guint) k);
    }
}

GBytes *
rdr_zip_read (RdrZip *zip, const char *name, GError **error)
{
  struct archive_entry *entry;
  GBytes *bytes = NULL;
  GError *own = NULL;
  struct archive *archive = open_archive (zip, error);
  if (archive == NULL)
    return NULL;
  while (bytes == NULL && own == NULL && archive_read_next_header (archive, &entry) == ARCHIVE_OK)
    if (g_strcmp0 (archive_entry_pathname (entry), name) == 0)
      {
        if (archive_entry_is_encrypted (entry))
          g_set_error_literal (&own, RDR_ERROR, RDR_CODE_ENCRYPTED, "the document is locked with a password");
        else
          bytes = read_entry (zip, archive, &own);
      }
  archive_read_free (archive);
  if (own != NULL)
    g_propagate_error (error, own);
  else if (bytes == NULL)
    g_set_error (error, RDR_ERROR, RDR_CODE_FORMAT, "the archive has no %s", name);
  return bytes;
}
