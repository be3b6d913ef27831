/* SPDX-License-Identifier: Apache-2.0 */
/* The office formats inside a ZIP archive: ISO/IEC 29500 (Office Open XML), ISO/IEC 26300 (OpenDocument), EPUB 3. */
#pragma once

#include "reader-markup.h"
#include "reader-zip.h"

gboolean rdr_office_docx (RdrZip *zip, RdrOut *out, GError **error);
gboolean rdr_office_pptx (RdrZip *zip, RdrOut *out, GError **error);
gboolean rdr_office_xlsx (RdrZip *zip, RdrOut *out, GError **error);
gboolean rdr_office_odf (RdrZip *zip, RdrOut *out, GError **error);
gboolean rdr_office_epub (RdrZip *zip, RdrOut *out, GError **error);

/* One part of the archive through the XML parser; an absent part is an error only where @needed. */
gboolean rdr_office_parse (RdrZip *zip, const char *name, gboolean needed, const RdrXmlHandler *handler, GError **error);
