/* SPDX-License-Identifier: Apache-2.0 */
#include "ing-reader-client.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "ing-document-password.h"
#include "ing-error-private.h"
#include "ing-json.h"
#include "ing-reader-child.h"
#include "reader-wire.h"

#define MAX_BOXES 4096u

typedef struct
{
  RdrWireType type;
  GBytes *payload;
  JsonObject *object; /* NULL for pixels */
} Frame;

static void
frame_clear (Frame *frame)
{
  g_clear_pointer (&frame->payload, g_bytes_unref);
  g_clear_pointer (&frame->object, json_object_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Frame, frame_clear)

void
ing_extracted_clear (IngExtracted *extracted)
{
  g_clear_pointer (&extracted->title, g_free);
  g_clear_pointer (&extracted->kind, g_free);
  g_clear_pointer (&extracted->notes, g_strfreev);
}

void
ing_page_picture_clear (IngPagePicture *picture)
{
  g_clear_pointer (&picture->pixels, g_bytes_unref);
  g_clear_pointer (&picture->boxes, g_array_unref);
}

/* ------------------------------------------------------------------ frames */

/* FALSE without an error: the stream ended before the last byte. */
static gboolean
read_all (IngReaderChild *child, void *data, gsize n, GError **error)
{
  for (gsize done = 0; done < n;)
    {
      gssize k = ing_reader_child_read (child, (char *) data + done, n - done, error);
      if (k <= 0)
        return FALSE;
      done += (gsize) k;
    }
  return TRUE;
}

static gboolean
refuse_frame (IngReaderChild *child, GError **error)
{
  g_propagate_error (error, ing_error_new (ING_ERROR_PROTOCOL, child->path, 0, 0,
                                           "inglenook-reader said something that cannot be understood"));
  return FALSE;
}

/* FALSE without an error: the child went away. */
static gboolean
next_frame (IngReaderChild *child, Frame *frame, GError **error)
{
  guint32 header[2];
  if (!read_all (child, header, sizeof header, error))
    return FALSE;
  guint32 word = GUINT32_FROM_LE (header[0]), n = GUINT32_FROM_LE (header[1]);
  if ((word & 0xffff0000u) != RDR_WIRE_MAGIC || n > RDR_WIRE_MAX_PAYLOAD)
    return refuse_frame (child, error);
  frame->type = (RdrWireType) (word & 0xffff);
  g_autofree char *payload = g_try_malloc (n + 1u);
  if (payload == NULL)
    {
      g_propagate_error (error, ing_error_new (ING_ERROR_NO_MEMORY, child->path, n, 0, "no memory"));
      return FALSE;
    }
  if (!read_all (child, payload, n, error))
    return FALSE;
  payload[n] = '\0';
  if (frame->type != RDR_WIRE_PIXELS)
    {
      frame->object = ing_json_parse_object (payload, (gssize) n, NULL);
      if (frame->object == NULL)
        return refuse_frame (child, error);
    }
  frame->payload = g_bytes_new_take (g_steal_pointer (&payload), n);
  return TRUE;
}

static void
fail_as_said (IngReaderChild *child, JsonObject *object, GError **error)
{
  static const struct
  {
    const char *code;
    IngErrorCode error;
  } codes[] = { { RDR_ERROR_FORMAT, ING_ERROR_FORMAT },
                { RDR_ERROR_ENCRYPTED, ING_ERROR_PROTECTED },
                { RDR_ERROR_PASSWORD, ING_ERROR_PASSWORD },
                { RDR_ERROR_WRONG_PASSWORD, ING_ERROR_WRONG_PASSWORD },
                { RDR_ERROR_LIMIT, ING_ERROR_LIMIT },
                { RDR_ERROR_UNSUPPORTED, ING_ERROR_UNSUPPORTED },
                { RDR_ERROR_MEMORY, ING_ERROR_NO_MEMORY } };
  const char *code = ing_json_get_string (object, "code", "");
  IngErrorCode number = ING_ERROR_FORMAT;
  for (guint i = 0; i < G_N_ELEMENTS (codes); i++)
    if (g_str_equal (code, codes[i].code))
      number = codes[i].error;
  g_propagate_error (error, ing_error_new (number, child->path, 0, 0, "%s", ing_json_get_string (object, "text", "")));
}

/* The stream ended without END: the document ended the child, or a limit did. */
static void
fail_as_died (IngReaderChild *child, int status, GError **error)
{
  if (WIFSIGNALED (status) && WTERMSIG (status) == SIGXCPU)
    g_propagate_error (error, ing_error_new (ING_ERROR_LIMIT, child->path, 0, 0, "reading the file took too long"));
  else
    g_propagate_error (error, ing_error_new (ING_ERROR_FORMAT, child->path, 0, 0,
                                             "the file broke the program that reads documents (%s %d)",
                                             WIFSIGNALED (status) ? "signal" : "status",
                                             WIFSIGNALED (status) ? WTERMSIG (status) : WEXITSTATUS (status)));
}

/* TRUE: that was the last frame. FALSE with an error: enough of this child. */
typedef gboolean (*TakeFrame) (IngReaderChild *child, const Frame *frame, gpointer data, GError **error);

/* Starts @child and hands its frames to @take until the last one; the child is gone when this returns. */
static gboolean
run_child (IngReaderChild *child, const char *const *words, TakeFrame take, gpointer data, GError **error)
{
  GError *own = NULL;
  gboolean ended = FALSE;
  int document = ing_reader_open (child->path, error);
  if (document < 0)
    return FALSE;
  char *password = ing_document_password_dup (child->path);
  gboolean started = ing_reader_child_start (child, document, password, words, error);
  ing_document_password_free (password);
  if (!started)
    return FALSE;
  while (!ended && own == NULL)
    {
      g_auto (Frame) frame = { 0 };
      if (!next_frame (child, &frame, &own))
        break;
      ended = take (child, &frame, data, &own);
    }
  if (!ended && own == NULL)
    fail_as_died (child, ing_reader_child_finish_closed (child), &own);
  else
    ing_reader_child_finish (child);
  if (g_error_matches (own, ING_ERROR, ING_ERROR_WRONG_PASSWORD))
    ing_document_password_set (child->path, NULL);
  if (own != NULL)
    g_propagate_error (error, own);
  return ended;
}

/* ------------------------------------------------------------------ text */

static gboolean
tell_block (JsonObject *object, const IngReaderHandler *handler)
{
  static const char *const kinds[] = { "paragraph", "heading", "item", "row", "code" };
  const char *kind = ing_json_get_string (object, "kind", "");
  IngBlock block = { .text = ing_json_get_string (object, "text", ""),
                     .path = ing_json_get_string (object, "path", ""),
                     .header = ing_json_get_string (object, "header", ""),
                     .page = (guint) CLAMP (ing_json_get_int (object, "page", 0), 0, G_MAXINT32),
                     .start = (guint64) MAX (ing_json_get_int (object, "start", 0), 0),
                     .hidden = ing_json_get_boolean (object, "hidden", FALSE) };
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_str_equal (kind, kinds[i]))
      block.kind = (IngBlockKind) i;
  if (block.kind == ING_BLOCK_HEADING)
    block.level = (guint) CLAMP (ing_json_get_int (object, "level", 1), 1, 6);
  return *block.text == '\0' || handler->block (&block, handler->data);
}

static gboolean
tell_blocks (JsonObject *object, const IngReaderHandler *handler, GError **error)
{
  JsonArray *blocks = ing_json_get_array (object, "blocks");
  guint n = blocks != NULL ? json_array_get_length (blocks) : 0;
  for (guint i = 0; i < n; i++)
    {
      JsonNode *item = json_array_get_element (blocks, i);
      if (JSON_NODE_HOLDS_OBJECT (item) && !tell_block (json_node_get_object (item), handler))
        {
          g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "no more is wanted");
          return FALSE;
        }
    }
  return TRUE;
}

static void
keep_end (JsonObject *object, IngExtracted *out)
{
  g_autoptr (GStrvBuilder) notes = g_strv_builder_new ();
  JsonArray *array = ing_json_get_array (object, "notes");
  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++)
    {
      JsonNode *note = json_array_get_element (array, i);
      if (JSON_NODE_HOLDS_VALUE (note) && json_node_get_value_type (note) == G_TYPE_STRING)
        g_strv_builder_add (notes, json_node_get_string (note));
    }
  out->title = g_strdup (ing_json_get_string (object, "title", ""));
  out->kind = g_strdup (ing_json_get_string (object, "kind", ""));
  out->pages = (guint) CLAMP (ing_json_get_int (object, "pages", 0), 0, G_MAXINT32);
  out->characters = (guint64) MAX (ing_json_get_int (object, "characters", 0), 0);
  out->notes = g_strv_builder_end (notes);
}

typedef struct
{
  const IngReaderHandler *handler;
  IngExtracted *out;
} Text;

/* TRUE at the end of the document. */
static gboolean
take_text_frame (IngReaderChild *child, const Frame *frame, gpointer data, GError **error)
{
  const IngReaderHandler *handler = ((Text *) data)->handler;
  IngExtracted *out = ((Text *) data)->out;
  switch (frame->type)
    {
    case RDR_WIRE_CONFINED:
      out->seccomp = ing_json_get_boolean (frame->object, "seccomp", FALSE);
      out->landlock = (int) CLAMP (ing_json_get_int (frame->object, "landlock", 0), 0, 1000);
      out->limits = ing_json_get_boolean (frame->object, "limits", FALSE);
      return FALSE;
    case RDR_WIRE_BLOCKS:
      tell_blocks (frame->object, handler, error);
      return FALSE;
    case RDR_WIRE_PROGRESS:
      if (handler->progress != NULL)
        handler->progress ((guint) CLAMP (ing_json_get_int (frame->object, "done", 0), 0, G_MAXINT32),
                           (guint) CLAMP (ing_json_get_int (frame->object, "total", 0), 0, G_MAXINT32), handler->data);
      return FALSE;
    case RDR_WIRE_SCAN:
      if (handler->scan != NULL
          && !handler->scan ((guint) CLAMP (ing_json_get_int (frame->object, "page", 1), 1, G_MAXINT32),
                             (guint) CLAMP (ing_json_get_int (frame->object, "pages", 1), 1, G_MAXINT32),
                             ing_json_get_string (frame->object, "title", ""), handler->data))
        g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "no more is wanted");
      return FALSE;
    case RDR_WIRE_END:
      keep_end (frame->object, out);
      return TRUE;
    case RDR_WIRE_ERROR:
      fail_as_said (child, frame->object, error);
      return FALSE;
    case RDR_WIRE_PAGE:
    case RDR_WIRE_PIXELS:
    default:
      refuse_frame (child, error);
      return FALSE;
    }
}

gboolean
ing_reader_extract (const char *path, const IngReaderHandler *handler, GCancellable *cancellable, IngExtracted *out,
                    GError **error)
{
  g_autofree char *name = g_path_get_basename (path);
  const char *const words[] = { "text", name, NULL };
  IngReaderChild child = { .path = path, .cancellable = cancellable };
  Text data = { handler, out };
  *out = (IngExtracted){ 0 };
  return run_child (&child, words, take_text_frame, &data, error);
}

/* ------------------------------------------------------------------ pages */

static void
keep_boxes (JsonObject *object, GArray *boxes)
{
  JsonArray *array = ing_json_get_array (object, "boxes");
  for (guint i = 0; array != NULL && i < MIN (json_array_get_length (array), MAX_BOXES); i++)
    {
      JsonNode *item = json_array_get_element (array, i);
      JsonArray *four = JSON_NODE_HOLDS_ARRAY (item) ? json_node_get_array (item) : NULL;
      float box[4];
      if (four == NULL || json_array_get_length (four) != 4)
        continue;
      for (guint j = 0; j < 4; j++)
        box[j] = (float) json_node_get_double (json_array_get_element (four, j));
      g_array_append_val (boxes, box);
    }
}

static gboolean
take_page_frame (IngReaderChild *child, const Frame *frame, gpointer data, GError **error)
{
  IngPagePicture *out = data;
  if (frame->type == RDR_WIRE_ERROR)
    fail_as_said (child, frame->object, error);
  else if (frame->type == RDR_WIRE_PAGE)
    {
      out->width = (guint) CLAMP (ing_json_get_int (frame->object, "width", 0), 0, 1 << 20);
      out->height = (guint) CLAMP (ing_json_get_int (frame->object, "height", 0), 0, 1 << 20);
      out->stride = (guint) CLAMP (ing_json_get_int (frame->object, "stride", 0), 0, 1 << 22);
      keep_boxes (frame->object, out->boxes);
    }
  else if (frame->type == RDR_WIRE_PIXELS)
    {
      if (out->width == 0 || out->stride / 4 < out->width
          || g_bytes_get_size (frame->payload) != (gsize) out->stride * out->height)
        return refuse_frame (child, error);
      out->pixels = g_bytes_ref (frame->payload);
      return TRUE;
    }
  else if (frame->type != RDR_WIRE_CONFINED)
    refuse_frame (child, error);
  return FALSE;
}

gboolean
ing_reader_draw_page (const char *path, guint page, guint width, const char *find, GCancellable *cancellable,
                      IngPagePicture *out, GError **error)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *page_text = g_strdup_printf ("%u", page), *width_text = g_strdup_printf ("%u", width);
  const char *const words[] = { "page", name, page_text, width_text, find, NULL };
  IngReaderChild child = { .path = path, .cancellable = cancellable };
  *out = (IngPagePicture){ .boxes = g_array_new (FALSE, FALSE, sizeof (float[4])) };
  return run_child (&child, words, take_page_frame, out, error);
}
