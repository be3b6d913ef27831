/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants:
 * 1. `code` is the text as given, without a line feed at its end; copying copies it.
 * 2. In label mode the labels' texts, joined by line feeds, are `code`; only the last one changes
 *    while text is appended.
 * 3. Once in view mode (too long for labels) a block stays in it until new text that does not begin
 *    with the old is set. */
#include "ing-code-block.h"

#include "ing-text-selection.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>
#include <gtksourceview/gtksource.h>
#include <string.h>

#define LINES_PER_LABEL 32
/* While text grows it is coloured at most this often. */
#define COLOR_INTERVAL_MS 400
/* A source view lays a line out as a whole; longer ones are cut for showing. */
#define MAX_LINE_BYTES 2000

struct _IngCodeBlock
{
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkLabel *language_label;
  GtkButton *copy_button;
  GtkWidget *scroller;
  GtkWidget *lines; /* box of labels, or NULL in view mode */
  GtkWidget *view;  /* source view, or NULL in label mode */

  GString *code;
  char *language;
  gboolean growing;
  gsize last_label_start; /* byte of `code` the last label begins at */
  guint n_labels;
  guint n_colored; /* labels before this one have their final colours */
  gsize view_bytes; /* of `code` that are in the view */

  GtkSourceBuffer *buffer; /* for colours; created on first use */
  gsize buffer_bytes;      /* of `code` that are in it */
  guint color_source;
  guint copied_source;
};

G_DEFINE_FINAL_TYPE (IngCodeBlock, ing_code_block, GTK_TYPE_WIDGET)

static const struct
{
  const char *written;
  const char *id;
} language_ids[] = {
  { "bash", "sh" },         { "shell", "sh" },      { "zsh", "sh" },       { "console", "sh" },
  { "py", "python3" },      { "python", "python3" }, { "javascript", "js" }, { "node", "js" },
  { "jsx", "jsx" },         { "ts", "typescript" }, { "tsx", "typescript-jsx" },
  { "c++", "cpp" },         { "cc", "cpp" },        { "hpp", "cpp" },      { "h", "c" },
  { "c#", "c-sharp" },      { "cs", "c-sharp" },    { "csharp", "c-sharp" }, { "rs", "rust" },
  { "golang", "go" },       { "rb", "ruby" },       { "yml", "yaml" },     { "md", "markdown" },
  { "tex", "latex" },       { "make", "makefile" }, { "dockerfile", "docker" }, { "kt", "kotlin" },
  { "hs", "haskell" },      { "pl", "perl" },       { "objc", "objc" },    { "patch", "diff" },
  { "htm", "html" },        { "svg", "xml" },       { "f90", "fortran" },  { "jl", "julia" },
};

static GtkSourceLanguage *
find_language (const char *written)
{
  GtkSourceLanguageManager *manager = gtk_source_language_manager_get_default ();
  g_autofree char *id = NULL;

  if (written == NULL || *written == '\0' || strlen (written) > 32)
    return NULL;
  id = g_ascii_strdown (written, -1);
  for (gsize i = 0; i < G_N_ELEMENTS (language_ids); i++)
    if (g_str_equal (language_ids[i].written, id))
      return gtk_source_language_manager_get_language (manager, language_ids[i].id);
  return gtk_source_language_manager_get_language (manager, id);
}

static GtkSourceStyleScheme *
get_scheme (void)
{
  GtkSourceStyleSchemeManager *manager = gtk_source_style_scheme_manager_get_default ();
  gboolean dark = adw_style_manager_get_dark (adw_style_manager_get_default ());

  return gtk_source_style_scheme_manager_get_scheme (manager, dark ? "Adwaita-dark" : "Adwaita");
}

/* The attributes of the tags over one stretch of text; the tag of highest priority wins. */
static void
append_tag_attributes (PangoAttrList *list, const GtkTextIter *at, guint start, guint end)
{
  g_autoptr (GSList) tags = gtk_text_iter_get_tags (at);
  g_autoptr (GdkRGBA) color = NULL;
  int weight = 0, style = 0;
  gboolean has_weight = FALSE, has_style = FALSE;
  PangoAttribute *attribute;

  for (GSList *l = tags; l != NULL; l = l->next)
    {
      gboolean color_set, weight_set, style_set;

      g_object_get (l->data, "foreground-set", &color_set, "weight-set", &weight_set, "style-set",
                    &style_set, NULL);
      if (color_set)
        {
          g_clear_pointer (&color, gdk_rgba_free);
          g_object_get (l->data, "foreground-rgba", &color, NULL);
        }
      if (weight_set)
        {
          g_object_get (l->data, "weight", &weight, NULL);
          has_weight = TRUE;
        }
      if (style_set)
        {
          g_object_get (l->data, "style", &style, NULL);
          has_style = TRUE;
        }
    }
#define ADD(constructed)                                                                           \
  G_STMT_START                                                                                     \
  {                                                                                                \
    attribute = (constructed);                                                                     \
    attribute->start_index = start;                                                                \
    attribute->end_index = end;                                                                    \
    pango_attr_list_insert (list, attribute);                                                      \
  }                                                                                                \
  G_STMT_END
  if (color != NULL)
    ADD (pango_attr_foreground_new ((guint16) (color->red * 65535), (guint16) (color->green * 65535),
                                    (guint16) (color->blue * 65535)));
  if (has_weight)
    ADD (pango_attr_weight_new ((PangoWeight) weight));
  if (has_style)
    ADD (pango_attr_style_new ((PangoStyle) style));
#undef ADD
}

static void
color_label (IngCodeBlock *self, GtkLabel *label, guint i_label)
{
  g_autoptr (PangoAttrList) list = pango_attr_list_new ();
  GtkTextBuffer *buffer = GTK_TEXT_BUFFER (self->buffer);
  GtkTextIter start, end, at;
  guint byte = 0;

  gtk_text_buffer_get_iter_at_line (buffer, &start, (int) (i_label * LINES_PER_LABEL));
  end = start;
  gtk_text_iter_forward_lines (&end, LINES_PER_LABEL);
  gtk_source_buffer_ensure_highlight (self->buffer, &start, &end);
  at = start;
  while (gtk_text_iter_compare (&at, &end) < 0)
    {
      GtkTextIter next = at;
      g_autofree char *piece = NULL;
      guint n;

      if (!gtk_text_iter_forward_to_tag_toggle (&next, NULL)
          || gtk_text_iter_compare (&next, &end) > 0)
        next = end;
      piece = gtk_text_iter_get_slice (&at, &next);
      n = (guint) strlen (piece);
      append_tag_attributes (list, &at, byte, byte + n);
      byte += n;
      at = next;
    }
  ing_text_selection_set_label_attributes (label, list);
}

static void
color_labels (IngCodeBlock *self)
{
  GtkSourceLanguage *language = find_language (self->language);
  GtkTextIter end;
  GtkWidget *child;
  guint i = 0;

  if (language == NULL || self->lines == NULL)
    return;
  if (self->buffer == NULL)
    {
      self->buffer = gtk_source_buffer_new (NULL);
      gtk_text_buffer_set_enable_undo (GTK_TEXT_BUFFER (self->buffer), FALSE);
      gtk_source_buffer_set_highlight_matching_brackets (self->buffer, FALSE);
      self->buffer_bytes = 0;
    }
  if (gtk_source_buffer_get_language (self->buffer) != language)
    gtk_source_buffer_set_language (self->buffer, language);
  gtk_source_buffer_set_style_scheme (self->buffer, get_scheme ());
  gtk_text_buffer_get_end_iter (GTK_TEXT_BUFFER (self->buffer), &end);
  gtk_text_buffer_insert (GTK_TEXT_BUFFER (self->buffer), &end, self->code->str + self->buffer_bytes,
                          (int) (self->code->len - self->buffer_bytes));
  self->buffer_bytes = self->code->len;
  for (child = gtk_widget_get_first_child (self->lines); child != NULL;
       child = gtk_widget_get_next_sibling (child), i++)
    if (i >= self->n_colored)
      color_label (self, GTK_LABEL (child), i);
  self->n_colored = i > 0 ? i - 1 : 0;
}

static gboolean
color_cb (gpointer user_data)
{
  IngCodeBlock *self = user_data;

  self->color_source = 0;
  color_labels (self);
  return G_SOURCE_REMOVE;
}

static void
queue_color (IngCodeBlock *self)
{
  if (self->color_source == 0 && self->language != NULL && self->lines != NULL)
    self->color_source
        = g_timeout_add_full (G_PRIORITY_LOW, self->growing ? COLOR_INTERVAL_MS : 1, color_cb, self,
                              NULL);
}

static void
dark_changed_cb (IngCodeBlock *self)
{
  if (self->view != NULL)
    gtk_source_buffer_set_style_scheme (
        GTK_SOURCE_BUFFER (gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->view))), get_scheme ());
  self->n_colored = 0;
  queue_color (self);
}

static void
append_label (IngCodeBlock *self)
{
  GtkWidget *label = g_object_new (GTK_TYPE_LABEL, "xalign", 0.0f, "single-line-mode", FALSE, NULL);

  gtk_widget_add_css_class (label, "code-text");
  gtk_widget_set_direction (label, GTK_TEXT_DIR_LTR);
  ing_text_selection_mark_label (GTK_LABEL (label), self->n_labels == 0 ? "\n\n" : "\n");
  gtk_box_append (GTK_BOX (self->lines), label);
  self->n_labels++;
}

/* Bring the labels up to `code` from the start of the last label on. */
static void
fill_labels (IngCodeBlock *self)
{
  const char *code = self->code->str;
  gsize start = self->last_label_start;

  if (self->n_labels == 0)
    append_label (self);
  for (;;)
    {
      GtkWidget *label = gtk_widget_get_last_child (self->lines);
      const char *end = code + start;
      g_autofree char *piece = NULL;

      for (guint n = 0; n < LINES_PER_LABEL && end != NULL; n++)
        end = strchr (n == 0 ? end : end + 1, '\n');
      piece = end != NULL ? g_strndup (code + start, (gsize) (end - code) - start)
                          : g_strdup (code + start);
      if (g_strcmp0 (gtk_label_get_text (GTK_LABEL (label)), piece) != 0)
        gtk_label_set_text (GTK_LABEL (label), piece);
      self->last_label_start = start;
      if (end == NULL)
        break;
      start = (gsize) (end - code) + 1;
      append_label (self);
    }
}

static gboolean
has_long_line (const char *text)
{
  for (const char *end; (end = strchr (text, '\n')) != NULL; text = end + 1)
    if (end - text > MAX_LINE_BYTES)
      return TRUE;
  return strlen (text) > MAX_LINE_BYTES;
}

/* The code with overlong lines cut for showing. */
static char *
dup_cut_lines (const char *text)
{
  GString *out = g_string_sized_new (strlen (text));
  gsize column = 0;

  for (const char *p = text; *p != '\0';)
    {
      const char *next = g_utf8_next_char (p);

      if (*p == '\n')
        column = 0;
      else if ((column += (gsize) (next - p)) > MAX_LINE_BYTES)
        {
          g_string_append_c (out, '\n');
          column = (gsize) (next - p);
        }
      g_string_append_len (out, p, next - p);
      p = next;
    }
  return g_string_free (out, FALSE);
}

static void
set_mode (IngCodeBlock *self, gboolean use_view)
{
  GtkScrolledWindow *scroller = GTK_SCROLLED_WINDOW (self->scroller);

  if (use_view && self->view == NULL)
    {
      GtkSourceBuffer *buffer = gtk_source_buffer_new (NULL);

      self->lines = NULL;
      self->view = gtk_source_view_new_with_buffer (buffer);
      g_object_unref (buffer);
      gtk_text_buffer_set_enable_undo (GTK_TEXT_BUFFER (buffer), FALSE);
      gtk_source_buffer_set_style_scheme (buffer, get_scheme ());
      gtk_text_view_set_editable (GTK_TEXT_VIEW (self->view), FALSE);
      gtk_text_view_set_cursor_visible (GTK_TEXT_VIEW (self->view), FALSE);
      gtk_text_view_set_monospace (GTK_TEXT_VIEW (self->view), TRUE);
      gtk_widget_add_css_class (self->view, "code-text");
      gtk_accessible_update_property (GTK_ACCESSIBLE (self->view), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                      _("Code"), -1);
      gtk_scrolled_window_set_child (scroller, self->view);
      gtk_scrolled_window_set_policy (scroller, GTK_POLICY_AUTOMATIC, GTK_POLICY_AUTOMATIC);
      gtk_scrolled_window_set_min_content_height (scroller, 480);
    }
  else if (!use_view && self->lines == NULL)
    {
      self->view = NULL;
      self->lines = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
      gtk_widget_add_css_class (self->lines, "code-lines");
      gtk_scrolled_window_set_child (scroller, self->lines);
      gtk_scrolled_window_set_policy (scroller, GTK_POLICY_AUTOMATIC, GTK_POLICY_NEVER);
      gtk_scrolled_window_set_min_content_height (scroller, -1);
    }
}

static void
fill_view (IngCodeBlock *self)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->view));
  g_autofree char *shown = dup_cut_lines (self->code->str + self->view_bytes);
  GtkTextIter end;

  gtk_source_buffer_set_language (GTK_SOURCE_BUFFER (buffer), find_language (self->language));
  gtk_text_buffer_get_end_iter (buffer, &end);
  gtk_text_buffer_insert (buffer, &end, shown, -1);
  self->view_bytes = self->code->len;
}

static gboolean
copied_cb (gpointer user_data)
{
  IngCodeBlock *self = user_data;

  self->copied_source = 0;
  gtk_button_set_icon_name (self->copy_button, "edit-copy-symbolic");
  return G_SOURCE_REMOVE;
}

static void
copy_cb (IngCodeBlock *self)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)), self->code->str);
  gtk_button_set_icon_name (self->copy_button, "object-select-symbolic");
  g_clear_handle_id (&self->copied_source, g_source_remove);
  self->copied_source = g_timeout_add (1500, copied_cb, self);
}

static void
ing_code_block_dispose (GObject *object)
{
  IngCodeBlock *self = ING_CODE_BLOCK (object);

  g_clear_handle_id (&self->color_source, g_source_remove);
  g_clear_handle_id (&self->copied_source, g_source_remove);
  g_clear_object (&self->buffer);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  G_OBJECT_CLASS (ing_code_block_parent_class)->dispose (object);
}

static void
ing_code_block_finalize (GObject *object)
{
  IngCodeBlock *self = ING_CODE_BLOCK (object);

  g_string_free (self->code, TRUE);
  g_free (self->language);
  G_OBJECT_CLASS (ing_code_block_parent_class)->finalize (object);
}

static void
ing_code_block_class_init (IngCodeBlockClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = ing_code_block_dispose;
  G_OBJECT_CLASS (klass)->finalize = ing_code_block_finalize;
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
  gtk_widget_class_set_css_name (widget_class, "codeblock");
}

static void
ing_code_block_init (IngCodeBlock *self)
{
  GtkWidget *head = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);

  self->code = g_string_new (NULL);
  self->box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  gtk_widget_add_css_class (self->box, "card");
  gtk_widget_set_parent (self->box, GTK_WIDGET (self));

  self->language_label = GTK_LABEL (gtk_label_new (NULL));
  gtk_label_set_ellipsize (self->language_label, PANGO_ELLIPSIZE_END);
  gtk_label_set_xalign (self->language_label, 0);
  gtk_widget_set_hexpand (GTK_WIDGET (self->language_label), TRUE);
  gtk_widget_add_css_class (GTK_WIDGET (self->language_label), "caption");
  gtk_widget_add_css_class (GTK_WIDGET (self->language_label), "dim-label");
  gtk_box_append (GTK_BOX (head), GTK_WIDGET (self->language_label));

  self->copy_button = GTK_BUTTON (gtk_button_new_from_icon_name ("edit-copy-symbolic"));
  gtk_widget_add_css_class (GTK_WIDGET (self->copy_button), "flat");
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->copy_button), _("Copy code"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->copy_button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _("Copy code"), -1);
  g_signal_connect_swapped (self->copy_button, "clicked", G_CALLBACK (copy_cb), self);
  gtk_box_append (GTK_BOX (head), GTK_WIDGET (self->copy_button));
  gtk_widget_add_css_class (head, "code-head");
  gtk_box_append (GTK_BOX (self->box), head);

  self->scroller = gtk_scrolled_window_new ();
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (self->scroller), TRUE);
  gtk_box_append (GTK_BOX (self->box), self->scroller);
  set_mode (self, FALSE);

  g_signal_connect_object (adw_style_manager_get_default (), "notify::dark",
                           G_CALLBACK (dark_changed_cb), self, G_CONNECT_SWAPPED);
}

GtkWidget *
ing_code_block_new (void)
{
  return g_object_new (ING_TYPE_CODE_BLOCK, NULL);
}

static void
restart (IngCodeBlock *self)
{
  GtkWidget *child;

  g_string_truncate (self->code, 0);
  set_mode (self, FALSE);
  while ((child = gtk_widget_get_first_child (self->lines)) != NULL)
    gtk_box_remove (GTK_BOX (self->lines), child);
  self->n_labels = self->n_colored = 0;
  self->last_label_start = 0;
  self->view_bytes = 0;
  g_clear_object (&self->buffer);
}

void
ing_code_block_set_code (IngCodeBlock *self, const char *language, const char *text, gsize length,
                         gboolean growing)
{
  gboolean was_growing = self->growing;

  g_return_if_fail (ING_IS_CODE_BLOCK (self));

  while (length > 0 && text[length - 1] == '\n')
    length--;
  if (language != NULL && *language == '\0')
    language = NULL;
  if (g_strcmp0 (language, self->language) != 0)
    {
      g_free (self->language);
      self->language = g_strdup (language);
      gtk_label_set_text (self->language_label, language != NULL ? language : "");
      g_clear_object (&self->buffer);
      self->n_colored = 0;
    }
  self->growing = growing;
  if (length == self->code->len && was_growing == growing && self->n_labels > 0
      && memcmp (text, self->code->str, length) == 0)
    return;
  if (length < self->code->len || memcmp (text, self->code->str, self->code->len) != 0)
    restart (self);
  g_string_append_len (self->code, text + self->code->len, (gssize) (length - self->code->len));

  if (self->view != NULL || self->code->len > ING_CODE_BLOCK_MAX_LABEL_BYTES
      || has_long_line (self->code->str + self->last_label_start))
    {
      set_mode (self, TRUE);
      fill_view (self);
    }
  else
    {
      fill_labels (self);
      queue_color (self);
    }
}

const char *
ing_code_block_get_code (IngCodeBlock *self)
{
  g_return_val_if_fail (ING_IS_CODE_BLOCK (self), NULL);
  return self->code->str;
}
