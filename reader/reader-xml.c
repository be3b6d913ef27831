/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>
#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <string.h>

#include "reader-markup.h"

#define MAX_ATTRIBUTES 64

typedef struct
{
  const RdrXmlHandler *handler;
  xmlParserCtxtPtr parser;
  guint depth;
  guint64 n_elements;
  GError *error;
} Xml;

static void
refuse (Xml *x, const char *why)
{
  if (x->error == NULL)
    g_set_error_literal (&x->error, RDR_ERROR, RDR_CODE_LIMIT, why);
  xmlStopParser (x->parser);
}

/* A document type declaration has no place in these formats, and entities are what bombs are made of. */
static void
on_subset (void *data, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
  refuse (data, _ ("the file declares a document type, which may hold entities"));
}

static void
on_start (void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_namespaces,
          const xmlChar **namespaces, int n_attributes, int n_defaulted, const xmlChar **attributes)
{
  Xml *x = data;
  const char *list[2 * MAX_ATTRIBUTES + 1];
  char *values[MAX_ATTRIBUTES];
  int n = MIN (n_attributes, MAX_ATTRIBUTES);
  if (++x->depth > RDR_MAX_DEPTH)
    {
      refuse (x, _ ("elements stand deeper in each other than 256"));
      return;
    }
  if (++x->n_elements > RDR_MAX_ELEMENTS)
    {
      refuse (x, _ ("more elements than 50 million"));
      return;
    }
  for (int i = 0; i < n; i++)
    {
      values[i] = g_strndup ((const char *) attributes[5 * i + 3],
                             (gsize) (attributes[5 * i + 4] - attributes[5 * i + 3]));
      list[2 * i] = (const char *) attributes[5 * i];
      list[2 * i + 1] = values[i];
    }
  list[2 * n] = NULL;
  x->handler->start ((const char *) name, list, x->handler->data);
  for (int i = 0; i < n; i++)
    g_free (values[i]);
  if (x->handler->stop != NULL && *x->handler->stop != NULL)
    xmlStopParser (x->parser);
}

static void
on_end (void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
  Xml *x = data;
  x->depth--;
  x->handler->end ((const char *) name, x->handler->data);
  if (x->handler->stop != NULL && *x->handler->stop != NULL)
    xmlStopParser (x->parser);
}

static void
on_characters (void *data, const xmlChar *text, int n)
{
  Xml *x = data;
  x->handler->text ((const char *) text, (gsize) n, x->handler->data);
}

static void
on_message (void *data, const char *format, ...)
{
}

const char *
rdr_xml_get (const char **attributes, const char *name)
{
  for (; *attributes != NULL; attributes += 2)
    if (g_str_equal (attributes[0], name))
      return attributes[1];
  return NULL;
}

gboolean
rdr_xml_parse (const char *text, gsize n, const RdrXmlHandler *handler, GError **error)
{
  xmlSAXHandler sax = { .initialized = XML_SAX2_MAGIC, .startElementNs = on_start, .endElementNs = on_end,
                        .characters = on_characters, .cdataBlock = on_characters, .internalSubset = on_subset,
                        .warning = on_message, .error = on_message };
  Xml x = { .handler = handler };
  int rc = 0;
  x.parser = xmlCreatePushParserCtxt (&sax, &x, NULL, 0, NULL);
  xmlCtxtUseOptions (x.parser, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
  for (gsize i = 0; i < n && rc == 0; i += 65536)
    rc = xmlParseChunk (x.parser, text + i, (int) MIN (n - i, 65536), 0);
  if (rc == 0)
    rc = xmlParseChunk (x.parser, NULL, 0, 1);
  int line = (int) xmlSAX2GetLineNumber (x.parser);
  if (x.parser->myDoc != NULL)
    xmlFreeDoc (x.parser->myDoc);
  xmlFreeParserCtxt (x.parser);
  if (handler->stop != NULL && *handler->stop != NULL)
    {
      g_clear_error (&x.error);
      return FALSE; /* theirs is the error */
    }
  if (x.error != NULL)
    {
      g_propagate_error (error, x.error);
      return FALSE;
    }
  if (rc != 0)
    {
      g_set_error (error, RDR_ERROR, RDR_CODE_FORMAT, "broken XML in line %d", line);
      return FALSE;
    }
  return TRUE;
}
