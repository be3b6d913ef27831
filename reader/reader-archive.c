/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>
#include <string.h>

#include "reader-office.h"

gboolean
rdr_office_parse (RdrZip *zip, const char *name, gboolean needed, const RdrXmlHandler *handler, GError **error)
{
  if (!needed && !rdr_zip_has (zip, name))
    return TRUE;
  g_autoptr (GBytes) bytes = rdr_zip_read (zip, name, error);
  if (bytes == NULL)
    return FALSE;
  gsize n;
  const char *text = g_bytes_get_data (bytes, &n);
  gboolean ok = rdr_xml_parse (text, n, handler, error);
  if (!ok && handler->stop != NULL && *handler->stop != NULL)
    {
      g_propagate_error (error, *handler->stop);
      *handler->stop = NULL;
    }
  return ok;
}

gboolean
rdr_read_archive (GBytes *bytes, RdrOut *out, const char **kind, GError **error)
{
  static const struct
  {
    const char *part, *kind;
    gboolean (*read) (RdrZip *zip, RdrOut *out, GError **error);
  } formats[] = {
    { "word/document.xml", "docx", rdr_office_docx }, { "ppt/presentation.xml", "pptx", rdr_office_pptx },
    { "xl/workbook.xml", "xlsx", rdr_office_xlsx },   { "META-INF/container.xml", "epub", rdr_office_epub },
    { "content.xml", "odf", rdr_office_odf },
  };
  *kind = "archive";
  g_autoptr (RdrZip) zip = rdr_zip_open (bytes, error);
  if (zip == NULL)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (rdr_zip_has (zip, formats[i].part))
      {
        *kind = formats[i].kind;
        return formats[i].read (zip, out, error);
      }
  g_set_error_literal (error, RDR_ERROR, RDR_CODE_UNSUPPORTED,
                       _ ("the archive is no document that can be read; unpack it and add the files in it"));
  return FALSE;
}
