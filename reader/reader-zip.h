/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of a ZIP archive in memory, read into memory and never written anywhere. What all entries unpack to is
 * counted together (RDR_MAX_UNPACKED_BYTES), so that entries that overlap or repeat cost no more. */
#pragma once

#include "reader.h"

typedef struct _RdrZip RdrZip;

/* Reads the list of entries: names that climb out, links and directories are left out, and so are archives in it. */
RdrZip *rdr_zip_open (GBytes *bytes, GError **error);
void rdr_zip_free (RdrZip *zip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RdrZip, rdr_zip_free)

/* The directory agrees with what stands before each entry, and no two entries share bytes. rdr_zip_open() asks it. */
gboolean rdr_zip_check (GBytes *bytes, GError **error);

gboolean rdr_zip_has (RdrZip *zip, const char *name);
GPtrArray *rdr_zip_get_names (RdrZip *zip); /* of char *, in the archive's order */
/* The bytes of @name. NULL with an error when it is absent, broken or too large. */
GBytes *rdr_zip_read (RdrZip *zip, const char *name, GError **error);
