/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>
#include <errno.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#include "reader.h"

#define FLUSH_BYTES (32u << 10)
#define PART_BYTES 2u /* two line feeds between blocks */

G_DEFINE_QUARK (rdr-error-quark, rdr_error)

struct _RdrOut
{
  int fd;
  JsonArray *blocks; /* not sent yet */
  gsize blocks_bytes;
  char *title;
  guint page, pages;
  gboolean hidden;
  GPtrArray *notes;
  GPtrArray *headings; /* by level - 1; NULL where one is skipped */
  char *table_header;
  guint64 text_bytes, characters;
};

RdrOut *
rdr_out_new (int fd)
{
  RdrOut *out = g_new0 (RdrOut, 1);
  out->fd = fd;
  out->blocks = json_array_new ();
  out->notes = g_ptr_array_new_with_free_func (g_free);
  out->headings = g_ptr_array_new_with_free_func (g_free);
  return out;
}

void
rdr_out_free (RdrOut *out)
{
  json_array_unref (out->blocks);
  g_ptr_array_unref (out->notes);
  g_ptr_array_unref (out->headings);
  g_free (out->title);
  g_free (out->table_header);
  g_free (out);
}

static void
write_all (int fd, const void *data, gsize n)
{
  for (gsize done = 0; done < n;)
    {
      gssize k = write (fd, (const char *) data + done, n - done);
      if (k < 0 && errno == EINTR)
        continue;
      if (k <= 0)
        _exit (0); /* nobody listens any more */
      done += (gsize) k;
    }
}

void
rdr_out_frame (RdrOut *out, RdrWireType type, const void *payload, gsize n_bytes)
{
  guint32 header[2] = { GUINT32_TO_LE (RDR_WIRE_MAGIC | (guint32) type), GUINT32_TO_LE ((guint32) n_bytes) };
  write_all (out->fd, header, sizeof header);
  write_all (out->fd, payload, n_bytes);
}

static void
send_object (RdrOut *out, RdrWireType type, JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), object);
  g_autofree char *text = json_to_string (node, FALSE);
  rdr_out_frame (out, type, text, strlen (text));
}

static void
flush (RdrOut *out)
{
  if (json_array_get_length (out->blocks) == 0)
    return;
  g_autoptr (JsonObject) object = json_object_new ();
  json_object_set_array_member (object, "blocks", out->blocks);
  out->blocks = json_array_new ();
  out->blocks_bytes = 0;
  send_object (out, RDR_WIRE_BLOCKS, object);
}

void
rdr_out_set_title (RdrOut *out, const char *title)
{
  if (out->title != NULL || title == NULL)
    return;
  g_autofree char *valid = g_utf8_make_valid (title, -1);
  g_strstrip (valid);
  if (*valid != '\0')
    out->title = g_steal_pointer (&valid);
}

void
rdr_out_set_page (RdrOut *out, guint page)
{
  out->page = page;
}

void
rdr_out_set_pages (RdrOut *out, guint pages)
{
  out->pages = pages;
}

void
rdr_out_set_hidden (RdrOut *out, gboolean hidden)
{
  out->hidden = hidden;
}

void
rdr_out_note (RdrOut *out, const char *note)
{
  if (!g_ptr_array_find_with_equal_func (out->notes, note, g_str_equal, NULL))
    g_ptr_array_add (out->notes, g_strdup (note));
}

void
rdr_out_progress (RdrOut *out, guint done, guint total)
{
  g_autoptr (JsonObject) object = json_object_new ();
  flush (out);
  json_object_set_int_member (object, "done", done);
  json_object_set_int_member (object, "total", total);
  send_object (out, RDR_WIRE_PROGRESS, object);
}

void
rdr_out_scan (RdrOut *out, guint page, guint pages)
{
  g_autoptr (JsonObject) object = json_object_new ();
  flush (out);
  json_object_set_int_member (object, "page", page);
  json_object_set_int_member (object, "pages", pages);
  json_object_set_string_member (object, "title", out->title != NULL ? out->title : "");
  send_object (out, RDR_WIRE_SCAN, object);
}

gsize
rdr_out_get_characters (RdrOut *out)
{
  return out->characters;
}

/* Valid UTF-8 without control characters; runs of white space become one space, or in code stay. A cell's tab
 * stays a tab. Soft hyphens and zero-width spaces go: they part words for no reader. */
static char *
clean (const char *text, gssize n_bytes, RdrKind kind)
{
  g_autofree char *valid = g_utf8_make_valid (text, n_bytes);
  GString *out = g_string_sized_new (strlen (valid));
  gboolean space = FALSE;
  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      if (kind == RDR_CODE && (c == '\n' || c == '\t' || c == ' '))
        g_string_append_c (out, (char) c);
      else if (kind == RDR_ROW && c == '\t')
        {
          space = FALSE;
          g_string_append_c (out, '\t');
        }
      else if (c == 0xad || c == 0x200b || c == 0xfeff || c == 0xfffe)
        continue;
      else if (g_unichar_isspace (c) || c == 0xa0)
        space = TRUE;
      else if (!g_unichar_iscntrl (c))
        {
          if (space && out->len > 0 && out->str[out->len - 1] != '\t')
            g_string_append_c (out, ' ');
          space = FALSE;
          g_string_append_unichar (out, c);
        }
    }
  if (kind == RDR_CODE)
    {
      while (out->len > 0 && g_ascii_isspace (out->str[out->len - 1]))
        g_string_truncate (out, out->len - 1);
      gsize n = strspn (out->str, "\n");
      g_string_erase (out, 0, (gssize) n);
    }
  else
    while (out->len > 0 && (out->str[out->len - 1] == '\t' || out->str[out->len - 1] == ' '))
      g_string_truncate (out, out->len - 1);
  return g_string_free (out, FALSE);
}

static char *
heading_path (RdrOut *out, guint below_level)
{
  GString *path = g_string_new (NULL);
  for (guint i = 0; i < out->headings->len && i + 1 < below_level; i++)
    {
      const char *heading = g_ptr_array_index (out->headings, i);
      if (heading == NULL)
        continue;
      if (path->len > 0)
        g_string_append (path, " › ");
      g_string_append (path, heading);
    }
  return g_string_free (path, FALSE);
}

static void
enter_heading (RdrOut *out, guint level, const char *text)
{
  g_ptr_array_set_size (out->headings, (gint) level - 1);
  g_ptr_array_add (out->headings, g_utf8_strlen (text, -1) > 200 ? g_utf8_substring (text, 0, 200) : g_strdup (text));
}

static const char *const kind_names[] = { "paragraph", "heading", "item", "row", "code" };

static gboolean
add_block (RdrOut *out, RdrKind kind, guint level, const char *text, GError **error)
{
  gsize n = strlen (text);
  if (out->text_bytes + n > RDR_MAX_TEXT_BYTES)
    {
      g_set_error (error, RDR_ERROR, RDR_CODE_LIMIT, _ ("more than %llu MB of text"), RDR_MAX_TEXT_BYTES >> 20);
      return FALSE;
    }
  if (out->text_bytes > 0)
    out->characters += PART_BYTES;
  JsonObject *block = json_object_new ();
  g_autofree char *path = heading_path (out, kind == RDR_HEADING ? level : G_MAXUINT);
  json_object_set_string_member (block, "kind", kind_names[kind]);
  json_object_set_string_member (block, "text", text);
  json_object_set_int_member (block, "start", (gint64) out->characters);
  if (kind == RDR_HEADING)
    json_object_set_int_member (block, "level", level);
  if (out->page > 0)
    json_object_set_int_member (block, "page", out->page);
  if (*path != '\0')
    json_object_set_string_member (block, "path", path);
  if (kind == RDR_ROW && out->table_header != NULL)
    json_object_set_string_member (block, "header", out->table_header);
  if (out->hidden)
    {
      json_object_set_boolean_member (block, "hidden", TRUE);
      rdr_out_note (out, "hidden-text");
    }
  json_array_add_object_element (out->blocks, block);
  out->text_bytes += n;
  out->characters += (guint64) g_utf8_strlen (text, (gssize) n);
  out->blocks_bytes += n + strlen (path) + 64;
  if (kind == RDR_HEADING)
    enter_heading (out, level, text);
  if (out->blocks_bytes >= FLUSH_BYTES)
    flush (out);
  return TRUE;
}

/* Where to cut @text so that a piece has at most RDR_MAX_BLOCK_BYTES: behind the last white space, else before a
 * character. */
static gsize
piece_bytes (const char *text, gsize n)
{
  if (n <= RDR_MAX_BLOCK_BYTES)
    return n;
  for (gsize i = RDR_MAX_BLOCK_BYTES; i > RDR_MAX_BLOCK_BYTES / 2; i--)
    if (g_ascii_isspace (text[i - 1]))
      return i;
  return (gsize) (g_utf8_find_prev_char (text, text + RDR_MAX_BLOCK_BYTES) - text);
}

gboolean
rdr_out_block (RdrOut *out, RdrKind kind, guint level, const char *text, gssize n_bytes, GError **error)
{
  g_autofree char *cleaned = clean (text, n_bytes, kind);
  gsize n = strlen (cleaned);
  if (n == 0)
    return TRUE;
  level = CLAMP (level, 1, 6);
  /* A heading of a page's length is none. */
  if (kind == RDR_HEADING && n > 1000)
    kind = RDR_PARAGRAPH;
  for (const char *p = cleaned; n > 0;)
    {
      gsize k = piece_bytes (p, n);
      g_autofree char *piece = g_strndup (p, k);
      if (k < n && kind != RDR_CODE)
        g_strchomp (piece);
      if (!add_block (out, kind, level, piece, error))
        return FALSE;
      p += k;
      n -= k;
    }
  return TRUE;
}

void
rdr_out_begin_table (RdrOut *out)
{
  g_clear_pointer (&out->table_header, g_free);
}

gboolean
rdr_out_row (RdrOut *out, const char *text, gboolean is_header, GError **error)
{
  if (is_header)
    {
      g_clear_pointer (&out->table_header, g_free);
      g_autofree char *header = clean (text, -1, RDR_ROW);
      if (!rdr_out_block (out, RDR_ROW, 0, text, -1, error))
        return FALSE;
      if (*header != '\0' && strlen (header) < 4096)
        out->table_header = g_steal_pointer (&header);
      return TRUE;
    }
  return rdr_out_block (out, RDR_ROW, 0, text, -1, error);
}

void
rdr_out_confined (RdrOut *out, gboolean seccomp, int landlock, gboolean limits)
{
  g_autoptr (JsonObject) object = json_object_new ();
  json_object_set_boolean_member (object, "seccomp", seccomp);
  json_object_set_int_member (object, "landlock", landlock);
  json_object_set_boolean_member (object, "limits", limits);
  send_object (out, RDR_WIRE_CONFINED, object);
}

void
rdr_out_end (RdrOut *out, const char *kind)
{
  g_autoptr (JsonObject) object = json_object_new ();
  JsonArray *notes = json_array_new ();
  flush (out);
  for (guint i = 0; i < out->notes->len; i++)
    json_array_add_string_element (notes, g_ptr_array_index (out->notes, i));
  json_object_set_string_member (object, "title", out->title != NULL ? out->title : "");
  json_object_set_string_member (object, "kind", kind);
  json_object_set_int_member (object, "pages", out->pages);
  json_object_set_int_member (object, "characters", (gint64) out->characters);
  json_object_set_array_member (object, "notes", notes);
  send_object (out, RDR_WIRE_END, object);
}

void
rdr_out_error (RdrOut *out, const GError *error)
{
  static const char *const codes[] = { RDR_ERROR_FORMAT, RDR_ERROR_ENCRYPTED, RDR_ERROR_LIMIT, RDR_ERROR_UNSUPPORTED,
                                       RDR_ERROR_MEMORY,    RDR_ERROR_PASSWORD, RDR_ERROR_WRONG_PASSWORD };
  g_autoptr (JsonObject) object = json_object_new ();
  g_autofree char *text = g_utf8_make_valid (error->message, -1);
  flush (out);
  json_object_set_string_member (object, "code", error->domain == RDR_ERROR ? codes[error->code] : RDR_ERROR_FORMAT);
  json_object_set_string_member (object, "text", text);
  send_object (out, RDR_WIRE_ERROR, object);
}
