/* SPDX-License-Identifier: Apache-2.0 */
/* Inside inglenook-reader: one document, read once, told as blocks. One thread; every function that can fail
 * returns FALSE with an error set. */
#pragma once

#include <glib.h>

#include "reader-limits.h"
#include "reader-wire.h"

#define RDR_ERROR (rdr_error_quark ())
GQuark rdr_error_quark (void);
typedef enum
{
  RDR_CODE_FORMAT,
  RDR_CODE_ENCRYPTED,
  RDR_CODE_LIMIT,
  RDR_CODE_UNSUPPORTED,
  RDR_CODE_MEMORY,
  RDR_CODE_PASSWORD,
  RDR_CODE_WRONG_PASSWORD
} RdrCode;

/* ------------------------------------------------------------------ what is told */

typedef enum
{
  RDR_PARAGRAPH,
  RDR_HEADING,
  RDR_ITEM,
  RDR_ROW,
  RDR_CODE
} RdrKind;

typedef struct _RdrOut RdrOut;
RdrOut *rdr_out_new (int fd);
void rdr_out_free (RdrOut *out);

void rdr_out_set_title (RdrOut *out, const char *title); /* the first one that is not empty stays */
void rdr_out_set_page (RdrOut *out, guint page);         /* of the blocks that follow */
void rdr_out_set_pages (RdrOut *out, guint pages);
void rdr_out_set_hidden (RdrOut *out, gboolean hidden);
void rdr_out_note (RdrOut *out, const char *note);       /* once each */
void rdr_out_progress (RdrOut *out, guint done, guint total);
void rdr_out_scan (RdrOut *out, guint page, guint pages); /* @page is a picture */

/* One block. @text may be any bytes: it is made valid, its white space is narrowed (code aside) and what is
 * empty then is not told. @level only for headings, 1 to 6. */
gboolean rdr_out_block (RdrOut *out, RdrKind kind, guint level, const char *text, gssize n_bytes, GError **error);

/* A table: begin, then rows. Cells are parted by tabs in @text; where @is_header the row names the columns of
 * those that follow and is told as a row as well. */
void rdr_out_begin_table (RdrOut *out);
gboolean rdr_out_row (RdrOut *out, const char *text, gboolean is_header, GError **error);

gsize rdr_out_get_characters (RdrOut *out);
void rdr_out_confined (RdrOut *out, gboolean seccomp, int landlock, gboolean limits);
void rdr_out_end (RdrOut *out, const char *kind);
void rdr_out_error (RdrOut *out, const GError *error);
void rdr_out_frame (RdrOut *out, RdrWireType type, const void *payload, gsize n_bytes);

/* ------------------------------------------------------------------ readers */

/* All take the whole document. */
gboolean rdr_read_text (GBytes *bytes, RdrOut *out, GError **error);
gboolean rdr_read_code (GBytes *bytes, RdrOut *out, GError **error);
gboolean rdr_read_markdown (GBytes *bytes, RdrOut *out, GError **error);
gboolean rdr_read_csv (GBytes *bytes, RdrOut *out, GError **error);
gboolean rdr_read_html (GBytes *bytes, RdrOut *out, GError **error);
gboolean rdr_read_rtf (GBytes *bytes, RdrOut *out, GError **error);
/* @password: NULL if none was given. */
gboolean rdr_read_pdf (GBytes *bytes, const char *password, RdrOut *out, GError **error);
/* DOCX, PPTX, XLSX, ODT, ODP, ODS, EPUB; which one is told by what is in it. *kind is static. */
gboolean rdr_read_archive (GBytes *bytes, RdrOut *out, const char **kind, GError **error);

gboolean rdr_draw_page (GBytes *bytes, const char *password, guint page, guint width, const char *find, RdrOut *out,
                        GError **error);

/* Any encoding to UTF-8: a byte order mark, UTF-8 itself, what HTML or XML declares (@declared, may be NULL), then
 * a guess by the frequencies of bytes. Refuses what looks like no text. */
char *rdr_decode_text (const char *data, gsize n_bytes, const char *declared, gsize *n_out, GError **error);

/* Give up reading, writing, the network and, unless @may_execute, new programs, as far as this kernel can. @out (may be NULL)
 * tells what could be given up. */
void rdr_confine (RdrOut *out, gboolean may_execute);
