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

/* The parts that the @element elements of @part name by relations, in their order; "" for one whose relation is missing. Empty
 * where there are no relations. Never NULL. */
GPtrArray *rdr_office_list_parts (RdrZip *zip, const char *part, const char *element);
/* The part that @part has a relation to whose type ends in @type. NULL = none; caller frees. */
char *rdr_office_find_related (RdrZip *zip, const char *part, const char *type);
