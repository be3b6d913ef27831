/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 * 1. `shown[i]` describes chunk i of the chunker as it was rendered last; a chunk equal to its record
 *    (same start, length, kind, number) over unchanged bytes needs no work.
 * 2. The widgets of the records, in order, followed by `more`, are the view's children. */
#include "ing-markdown-view.h"

#include "ing-link-popover.h"
#include "ing-markdown-blocks.h"
#include "ing-markdown-chunks.h"
#include "ing-text-selection.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* Space above blocks, in pixels. */
#define GAP_BLOCK 12
#define GAP_HEADING 20
#define GAP_ITEM 4
#define GAP_LOOSE_ITEM 8

typedef struct
{
  IngChunk chunk;
  gboolean growing;
  GPtrArray *widgets; /* borrowed children of the view */
} Shown;

struct _IngMarkdownView
{
  GtkWidget parent_instance;

  GString *text;
  gboolean growing;
  IngChunker *chunker;
  GArray *shown; /* Shown */
  GtkWidget *more; /* label that says how much is not shown, or NULL */
  IngTextSelection *selection;
  char *needle;
  guint n_matches;
  guint64 n_parsed;
};

static guint signal_citation;

G_DEFINE_FINAL_TYPE (IngMarkdownView, ing_markdown_view, GTK_TYPE_WIDGET)

static void
clear_shown (gpointer data)
{
  Shown *shown = data;

  for (guint i = 0; i < shown->widgets->len; i++)
    gtk_widget_unparent (g_ptr_array_index (shown->widgets, i));
  g_ptr_array_unref (shown->widgets);
}

static gboolean
activate_link_cb (GtkLabel *label, const char *address, IngMarkdownView *self)
{
  GdkRectangle area = { 0, 0, 1, 1 };
  graphene_rect_t bounds;
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GdkSurface *surface = root != NULL ? gtk_native_get_surface (GTK_NATIVE (root)) : NULL;
  GdkSeat *seat = gdk_display_get_default_seat (gtk_widget_get_display (GTK_WIDGET (self)));
  double x, y, sx, sy, lx, ly;

  if (g_str_has_prefix (address, "citation:"))
    {
      g_signal_emit (self, signal_citation, 0, (guint) g_ascii_strtoull (address + strlen ("citation:"), NULL, 10));
      return TRUE;
    }
  if (!gtk_widget_compute_bounds (GTK_WIDGET (label), GTK_WIDGET (self), &bounds))
    return TRUE;
  area.x = (int) bounds.origin.x;
  area.y = (int) bounds.origin.y;
  area.width = (int) bounds.size.width;
  area.height = (int) bounds.size.height;
  /* At the pointer, if it is on the label; by keyboard, at the label. */
  if (surface != NULL && seat != NULL
      && gdk_surface_get_device_position (surface, gdk_seat_get_pointer (seat), &x, &y, NULL))
    {
      gtk_native_get_surface_transform (GTK_NATIVE (root), &sx, &sy);
      if (gtk_widget_translate_coordinates (GTK_WIDGET (root), GTK_WIDGET (self), x - sx, y - sy, &lx,
                                            &ly)
          && graphene_rect_contains_point (&bounds, &GRAPHENE_POINT_INIT ((float) lx, (float) ly)))
        {
          area.x = (int) lx;
          area.y = (int) ly;
          area.width = area.height = 1;
        }
    }
  ing_link_popover_show (GTK_WIDGET (self), &area, address);
  return TRUE;
}

static int
gap_above (const IngChunk *chunk, const IngChunk *previous)
{
  if (previous == NULL)
    return 0;
  if (chunk->kind == ING_CHUNK_HEADING)
    return GAP_HEADING;
  if (chunk->kind == ING_CHUNK_LIST_ITEM && previous->kind == ING_CHUNK_LIST_ITEM)
    return chunk->after_blank ? GAP_LOOSE_ITEM : GAP_ITEM;
  if (previous->kind == ING_CHUNK_HEADING)
    return GAP_LOOSE_ITEM;
  return GAP_BLOCK;
}

/* The body of a fence as a block: no parser looks at it, so growth costs nothing but its text. */
static IngBlock *
new_fence_block (const char *text, const IngChunk *chunk, gboolean growing)
{
  IngBlock *root = g_new0 (IngBlock, 1);
  IngBlock *code = g_new0 (IngBlock, 1);
  const char *head = text + chunk->start;
  gsize head_length = MIN (chunk->fence_head, chunk->length);
  gsize start = head_length, end = chunk->length;
  gsize i = 0, indent = 0;
  char fence;
  const char *line;

  while (i < head_length && head[i] == ' ')
    i++, indent++;
  fence = head[i];
  while (i < head_length && head[i] == fence)
    i++;
  while (i < head_length && (head[i] == ' ' || head[i] == '\t'))
    i++;
  code->kind = ING_BLOCK_CODE;
  for (gsize from = i; i <= head_length; i++)
    if (i == head_length || g_ascii_isspace (head[i]) || head[i] == '{' || head[i] == ',')
      {
        code->language = g_strndup (head + from, i - from);
        break;
      }
  if (!g_utf8_validate (code->language != NULL ? code->language : "", -1, NULL))
    g_clear_pointer (&code->language, g_free);

  /* The last line, if it is (or may become) the closing one, is not code. */
  while (end > start && (head[end - 1] == '\n' || head[end - 1] == '\r'))
    end--;
  line = end > start ? g_strrstr_len (head + start, (gssize) (end - start), "\n") : NULL;
  line = line != NULL ? line + 1 : head + start;
  if (end > start)
    {
      const char *p = line;
      gsize n = 0;

      while (p < head + end && *p == ' ')
        p++;
      for (; p < head + end && *p == fence; p++)
        n++;
      if (p == head + end && n >= (growing && !chunk->closed ? 1 : 3))
        end = (gsize) (line - head);
    }
  code->text = g_string_sized_new (end - start);
  for (gsize at = start; at < end;)
    {
      const char *stop = memchr (head + at, '\n', end - at);
      gsize next = stop != NULL ? (gsize) (stop - head) + 1 : end;

      for (gsize n = 0; n < indent && at < next && head[at] == ' '; n++)
        at++;
      g_string_append_len (code->text, head + at, (gssize) (next - at));
      at = next;
    }
  root->kind = ING_BLOCK_ROOT;
  root->children = g_ptr_array_new_with_free_func ((GDestroyNotify) ing_block_free);
  g_ptr_array_add (root->children, code);
  return root;
}

static IngBlock *
parse_chunk (IngMarkdownView *self, const IngChunk *chunk, gboolean growing)
{
  const char *text = self->text->str + chunk->start;
  g_autofree char *completed = NULL;

  self->n_parsed++;
  if (chunk->kind == ING_CHUNK_FENCE)
    return new_fence_block (self->text->str, chunk, growing);
  if (!growing || chunk->length > ING_MARKDOWN_MAX_BYTES || chunk->kind == ING_CHUNK_INDENTED)
    return ing_markdown_parse (text, chunk->length);
  completed = ing_markdown_complete (text, chunk->length);
  return ing_markdown_parse (completed, strlen (completed));
}

/* Make the record at @i show its chunk; @previous is the widget it follows. Returns its last widget. */
static GtkWidget *
render_chunk (IngMarkdownView *self, guint i, gboolean growing, GtkWidget *previous)
{
  Shown *shown = &g_array_index (self->shown, Shown, i);
  const IngChunk *chunk = ing_chunker_get_chunk (self->chunker, i);
  const IngMarkdownBlocks blocks = { growing, G_CALLBACK (activate_link_cb), self };
  g_autoptr (IngBlock) root = parse_chunk (self, chunk, growing);
  guint n = root->children != NULL ? root->children->len : 0;

  for (guint j = 0; j < n; j++)
    {
      GtkWidget *old = j < shown->widgets->len ? g_ptr_array_index (shown->widgets, j) : NULL;
      GtkWidget *widget
          = ing_markdown_block_update (&blocks, old, g_ptr_array_index (root->children, j));

      if (widget != old)
        {
          if (old != NULL)
            gtk_widget_unparent (old);
          gtk_widget_insert_after (widget, GTK_WIDGET (self), previous);
          if (old != NULL)
            shown->widgets->pdata[j] = widget;
          else
            g_ptr_array_add (shown->widgets, widget);
        }
      gtk_widget_set_margin_top (
          widget, j > 0 ? GAP_BLOCK
                        : gap_above (chunk, i > 0 ? ing_chunker_get_chunk (self->chunker, i - 1)
                                                  : NULL));
      if (j == 0 && chunk->ordinal > 0)
        ing_markdown_block_set_ordinal (widget, chunk->ordinal);
      previous = widget;
    }
  while (shown->widgets->len > n)
    {
      gtk_widget_unparent (g_ptr_array_index (shown->widgets, shown->widgets->len - 1));
      g_ptr_array_set_size (shown->widgets, (int) shown->widgets->len - 1);
    }
  shown->chunk = *chunk;
  shown->growing = growing;
  return previous;
}

static gboolean
is_current (const Shown *shown, const IngChunk *chunk, gboolean growing)
{
  return shown->chunk.start == chunk->start && shown->chunk.length == chunk->length
         && shown->chunk.kind == chunk->kind && shown->chunk.ordinal == chunk->ordinal
         && shown->chunk.closed == chunk->closed && shown->chunk.fence_head == chunk->fence_head
         && shown->growing == growing;
}

/* How many chunks are shown; what stands behind them is too much. */
static guint
limit_chunks (IngMarkdownView *self)
{
  guint n = ing_chunker_get_n_chunks (self->chunker);
  gsize bytes = 0;

  if (self->text->len <= ING_MARKDOWN_VIEW_MAX_BYTES)
    return n;
  for (guint i = 0; i < n; i++)
    {
      const IngChunk *chunk = ing_chunker_get_chunk (self->chunker, i);

      /* Code, and chunks shown as such, cost only what is visible of them. */
      if (chunk->kind != ING_CHUNK_FENCE && chunk->length <= ING_MARKDOWN_MAX_BYTES)
        bytes += chunk->length;
      if (bytes > ING_MARKDOWN_VIEW_MAX_BYTES)
        return i + 1;
    }
  return n;
}

static void
set_more (IngMarkdownView *self, guint n_chunks)
{
  g_autofree char *size = NULL;
  g_autofree char *text = NULL;

  const IngChunk *last = n_chunks > 0 ? ing_chunker_get_chunk (self->chunker, n_chunks - 1) : NULL;
  gsize hidden = last != NULL ? self->text->len - last->start - last->length : 0;

  g_clear_pointer (&self->more, gtk_widget_unparent);
  if (hidden == 0)
    return;
  size = g_format_size (hidden);
  text = g_strdup_printf (_("%s more are not shown. Copying the message copies all of it."), size);
  self->more = gtk_label_new (text);
  gtk_label_set_wrap (GTK_LABEL (self->more), TRUE);
  gtk_label_set_xalign (GTK_LABEL (self->more), 0);
  gtk_widget_add_css_class (self->more, "dim-label");
  gtk_widget_set_margin_top (self->more, GAP_BLOCK);
  gtk_widget_insert_before (self->more, GTK_WIDGET (self), NULL);
}

static void
render (IngMarkdownView *self, guint from)
{
  guint n = limit_chunks (self);
  GtkWidget *previous = NULL;

  if (self->shown->len > n)
    g_array_set_size (self->shown, n);
  from = MIN (from, self->shown->len);
  for (guint i = from; i > 0 && previous == NULL; i--)
    {
      GPtrArray *widgets = g_array_index (self->shown, Shown, i - 1).widgets;

      if (widgets->len > 0)
        previous = g_ptr_array_index (widgets, widgets->len - 1);
    }
  for (guint i = from; i < n; i++)
    {
      gboolean growing = self->growing && i + 1 == n;
      Shown *shown;

      if (i == self->shown->len)
        {
          Shown fresh = { .widgets = g_ptr_array_new () };

          fresh.chunk.start = G_MAXSIZE;
          g_array_append_val (self->shown, fresh);
        }
      shown = &g_array_index (self->shown, Shown, i);
      if (!is_current (shown, ing_chunker_get_chunk (self->chunker, i), growing))
        previous = render_chunk (self, i, growing, previous);
      else if (shown->widgets->len > 0)
        previous = g_ptr_array_index (shown->widgets, shown->widgets->len - 1);
    }
  set_more (self, n);
}

static GtkWidget *
last_label (GtkWidget *widget)
{
  for (GtkWidget *child = gtk_widget_get_last_child (widget); child != NULL;
       child = gtk_widget_get_prev_sibling (child))
    {
      GtkWidget *found = GTK_IS_LABEL (child) ? child : last_label (child);

      if (found != NULL)
        return found;
    }
  return NULL;
}

/* The caret at the end of growing text: drawn, so that neither a copy nor a screen reader meets it. */
static void
snapshot_caret (IngMarkdownView *self, GtkSnapshot *snapshot)
{
  GtkWidget *label = last_label (GTK_WIDGET (self));
  GdkRGBA color = { 0.89f, 0.39f, 0.13f, 1.0f };
  PangoRectangle at = { 0 };
  graphene_rect_t bounds;
  int x = 0, y = 0;

  if (label == NULL || !gtk_widget_compute_bounds (label, GTK_WIDGET (self), &bounds))
    return;
  gtk_label_get_layout_offsets (GTK_LABEL (label), &x, &y);
  pango_layout_get_cursor_pos (gtk_label_get_layout (GTK_LABEL (label)),
                               (int) strlen (gtk_label_get_text (GTK_LABEL (label))), &at, NULL);
  G_GNUC_BEGIN_IGNORE_DEPRECATIONS
  gtk_style_context_lookup_color (gtk_widget_get_style_context (GTK_WIDGET (self)), "ember_color",
                                  &color);
  G_GNUC_END_IGNORE_DEPRECATIONS
  gtk_snapshot_append_color (
      snapshot, &color,
      &GRAPHENE_RECT_INIT (bounds.origin.x + (float) x + (float) at.x / PANGO_SCALE + 2,
                           bounds.origin.y + (float) y + (float) at.y / PANGO_SCALE + 2, 2,
                           (float) at.height / PANGO_SCALE - 4));
}

static void
ing_markdown_view_snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  IngMarkdownView *self = ING_MARKDOWN_VIEW (widget);

  GTK_WIDGET_CLASS (ing_markdown_view_parent_class)->snapshot (widget, snapshot);
  if (self->growing)
    snapshot_caret (self, snapshot);
}

static void
copy_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  g_autofree char *text = ing_markdown_view_dup_selection (ING_MARKDOWN_VIEW (widget));

  if (*text != '\0')
    gdk_clipboard_set_text (gtk_widget_get_clipboard (widget), text);
}

static void
select_all_cb (GtkWidget *widget, const char *name, GVariant *parameter)
{
  ing_markdown_view_select_all (ING_MARKDOWN_VIEW (widget));
}

static void
ing_markdown_view_dispose (GObject *object)
{
  IngMarkdownView *self = ING_MARKDOWN_VIEW (object);
  GtkWidget *child;

  g_array_set_size (self->shown, 0);
  g_clear_pointer (&self->more, gtk_widget_unparent);
  /* Popovers of links. */
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))) != NULL)
    gtk_widget_unparent (child);
  g_clear_object (&self->selection);
  G_OBJECT_CLASS (ing_markdown_view_parent_class)->dispose (object);
}

static void
ing_markdown_view_finalize (GObject *object)
{
  IngMarkdownView *self = ING_MARKDOWN_VIEW (object);

  g_string_free (self->text, TRUE);
  g_array_unref (self->shown);
  ing_chunker_free (self->chunker);
  g_free (self->needle);
  G_OBJECT_CLASS (ing_markdown_view_parent_class)->finalize (object);
}

static void
ing_markdown_view_class_init (IngMarkdownViewClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = ing_markdown_view_dispose;
  G_OBJECT_CLASS (klass)->finalize = ing_markdown_view_finalize;
  widget_class->snapshot = ing_markdown_view_snapshot;
  signal_citation = g_signal_new ("citation", ING_TYPE_MARKDOWN_VIEW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                                  G_TYPE_UINT);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BOX_LAYOUT);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
  gtk_widget_class_set_css_name (widget_class, "markdown");
  gtk_widget_class_install_action (widget_class, "selection.copy", NULL, copy_cb);
  gtk_widget_class_install_action (widget_class, "selection.select-all", NULL, select_all_cb);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_c, GDK_CONTROL_MASK, "selection.copy",
                                       NULL);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_a, GDK_CONTROL_MASK,
                                       "selection.select-all", NULL);
}

static void
ing_markdown_view_init (IngMarkdownView *self)
{
  GtkLayoutManager *layout = gtk_widget_get_layout_manager (GTK_WIDGET (self));

  gtk_orientable_set_orientation (GTK_ORIENTABLE (layout), GTK_ORIENTATION_VERTICAL);
  self->text = g_string_new (NULL);
  self->chunker = ing_chunker_new ();
  self->shown = g_array_new (FALSE, TRUE, sizeof (Shown));
  g_array_set_clear_func (self->shown, clear_shown);
  self->selection = ing_text_selection_new (GTK_WIDGET (self));
  gtk_widget_set_focusable (GTK_WIDGET (self), TRUE);
  gtk_widget_set_focus_on_click (GTK_WIDGET (self), TRUE);
  gtk_widget_set_cursor_from_name (GTK_WIDGET (self), "text");
}

GtkWidget *
ing_markdown_view_new (void)
{
  return g_object_new (ING_TYPE_MARKDOWN_VIEW, NULL);
}

void
ing_markdown_view_set_text (IngMarkdownView *self, const char *text, gboolean growing)
{
  g_autofree char *valid = NULL;
  gsize length = strlen (text);
  guint changed;

  g_return_if_fail (ING_IS_MARKDOWN_VIEW (self));

  if (length == self->text->len && growing == self->growing
      && memcmp (text, self->text->str, length) == 0)
    return;
  if (length < self->text->len || memcmp (text, self->text->str, self->text->len) != 0)
    {
      ing_text_selection_clear (self->selection);
      ing_chunker_reset (self->chunker);
      g_string_truncate (self->text, 0);
      /* Records stay for their widgets, but none is current any more. */
      for (guint i = 0; i < self->shown->len; i++)
        g_array_index (self->shown, Shown, i).chunk.start = G_MAXSIZE;
    }
  if (!g_utf8_validate (text + self->text->len, (gssize) (length - self->text->len), NULL))
    {
      valid = g_utf8_make_valid (text, (gssize) length);
      if (self->text->len > 0)
        {
          ing_markdown_view_set_text (self, "", FALSE);
          ing_markdown_view_set_text (self, valid, growing);
          return;
        }
      text = valid;
      length = strlen (valid);
    }
  g_string_append_len (self->text, text + self->text->len, (gssize) (length - self->text->len));
  self->growing = growing;
  changed = ing_chunker_feed (self->chunker, self->text->str, self->text->len);
  /* The chunk that was last before may have been rendered as growing. */
  render (self, changed > 0 ? MIN (changed, self->shown->len > 0 ? self->shown->len - 1 : 0) : 0);
  if (self->needle != NULL)
    self->n_matches = ing_text_selection_mark_matches (self->selection, self->needle);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

const char *
ing_markdown_view_get_text (IngMarkdownView *self)
{
  g_return_val_if_fail (ING_IS_MARKDOWN_VIEW (self), NULL);
  return self->text->str;
}

char *
ing_markdown_view_dup_selection (IngMarkdownView *self)
{
  g_return_val_if_fail (ING_IS_MARKDOWN_VIEW (self), NULL);
  return ing_text_selection_dup_text (self->selection);
}

void
ing_markdown_view_select_all (IngMarkdownView *self)
{
  g_return_if_fail (ING_IS_MARKDOWN_VIEW (self));
  ing_text_selection_select_all (self->selection);
}

guint
ing_markdown_view_set_needle (IngMarkdownView *self, const char *needle)
{
  g_return_val_if_fail (ING_IS_MARKDOWN_VIEW (self), 0);
  if (needle != NULL && *needle == '\0')
    needle = NULL;
  if (g_strcmp0 (needle, self->needle) == 0)
    return self->n_matches;
  g_free (self->needle);
  self->needle = g_strdup (needle);
  self->n_matches = ing_text_selection_mark_matches (self->selection, needle);
  return self->n_matches;
}

guint64
ing_markdown_view_get_n_parsed (IngMarkdownView *self)
{
  g_return_val_if_fail (ING_IS_MARKDOWN_VIEW (self), 0);
  return self->n_parsed;
}

char *
ing_markdown_view_dup_plain (IngMarkdownView *self)
{
  g_return_val_if_fail (ING_IS_MARKDOWN_VIEW (self), NULL);
  return ing_text_selection_dup_all (self->selection);
}
