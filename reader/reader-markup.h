/* SPDX-License-Identifier: Apache-2.0 */
/* HTML as told by a SAX parser, element by element: for files, and for the chapters of an EPUB. */
#pragma once

#include "reader.h"

/* The whole of an HTML or XHTML text in UTF-8. With @title_is_heading FALSE its title becomes the document's. */
gboolean rdr_html_feed (const char *text, gsize n_bytes, gboolean is_chapter, RdrOut *out, GError **error);

/* XML through libxml2's SAX2 interface, pushed in parts: no DTD, no external entity, depth and elements counted.
 * Names come without their namespace's prefix. Attributes by name: rdr_xml_get. */
typedef struct
{
  void (*start) (const char *name, const char **attributes, gpointer data);
  void (*end) (const char *name, gpointer data);
  void (*text) (const char *text, gsize n_bytes, gpointer data);
  gpointer data;
  GError **stop; /* a handler sets it to give up: parsing ends and fails with it */
} RdrXmlHandler;
gboolean rdr_xml_parse (const char *text, gsize n_bytes, const RdrXmlHandler *handler, GError **error);
const char *rdr_xml_get (const char **attributes, const char *name); /* NULL if it is not there */
